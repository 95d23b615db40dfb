"""How a check says what is wrong: expected, got, likely cause."""

from __future__ import annotations

import dis
import functools
import math
import random
import re
import sysconfig
import textwrap
import traceback
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import IPython
import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks import progress
from course_utils.checks.state import Snapshot, misplaced_switch, own_chances

#: Likely causes, each with an answer that makes the mistake; one dict for each answer of a check.
Mistakes = dict[str, Any] | Sequence[dict[str, Any]]


class CheckFailed(AssertionError):
    """An answer is not right: ``str()`` is one line, a notebook shows three.

    Attributes
    ----------
    expected, got, cause : str
        The parts of the message.
    """

    def __init__(self, expected: str, got: str, cause: str):
        super().__init__(f"expected {expected}, got {got}; likely cause: {cause}")
        self.expected, self.got, self.cause = expected, got, cause

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        lines = []
        if self.__cause__ is not None:  # an error in the answer itself: there the lines help
            lines = [*_own_lines(self.__cause__), ""]
        parts = (("expected", self.expected), ("got", self.got), ("likely cause", self.cause))
        return [*lines, "✗ Not yet", *(f"  {name:<12}  {text}" for name, text in parts)]


def _own_lines(error: BaseException) -> list[str]:
    """The traceback of an error in a student's code, with cells named as the notebook does."""
    checks = str(Path(__file__).parent)
    found = traceback.TracebackException.from_exception(error)
    found.stack = traceback.StackSummary.from_list(
        [frame for frame in found.stack if not frame.filename.startswith(checks)]
    )
    text = "".join(found.format(chain=False))
    shell = IPython.get_ipython()
    named = getattr(getattr(shell, "compile", None), "format_code_name", lambda name: None)
    for file in {frame.filename for frame in found.stack}:
        if cell := named(file):
            text = text.replace(f'File "{file}"', " ".join(cell))
    return text.rstrip("\n").split("\n")


class NotFilledIn(NotImplementedError):
    """An exercise still holds its stub. A notebook shows one line, and not the check's insides."""

    def _render_traceback_(self) -> list[str]:
        return [f"NotImplementedError: {self}"]


# ---------------------------------------------------------------- saying it


def fail(expected: Any, got: Any, cause: str) -> None:
    """Raise the AssertionError that every check raises.

    Examples
    --------
    >>> fail("(2, 1)", "(1, 2)", "swapped axes")
    Traceback (most recent call last):
    course_utils.checks.core.CheckFailed: expected (2, 1), got (1, 2); likely cause: swapped axes
    """
    raise CheckFailed(str(expected), str(got), cause)


def passed(message: str, remark: str = "") -> None:
    """Print the one line of a check that passed, with a remark on how."""
    global _remark
    _remark = remark
    print(f"Passed: {message}{'. ' * bool(remark)}{remark}")


def remark() -> str:
    """The remark of the check that passed last."""
    return _remark


_remark = ""


# ---------------------------------------------------------------- calling an answer


def attempt(function: Callable, *arguments: Any, **named: Any) -> Any:
    """Call an answer; an error inside it becomes a failed check that names the error.

    What it leaves changed (switches of the program, what it was given, random states, modes of
    models) is named, and set back. The NotImplementedError of an exercise that is not filled in
    passes through.
    """
    before = Snapshot((function, *arguments, *named.values()), _frame.draws)
    try:
        result = function(*arguments, **named)
    except CheckFailed:  # something that the check itself watches
        raise
    except Exception as error:
        before.restore(chances=False)
        if open_exercise := not_filled_in(error):
            raise NotFilledIn(open_exercise) from None
        expected = f"{name_of(function)} to return"
        raise CheckFailed(expected, raised(error), _pointed_at(error)) from error
    if changed := before.changed(modes=not _frame.trains):
        before.restore()
        fail(*changed)
    return _plain(result)


#: Kinds of which an answer could make a class of its own, and how its content is taken out.
_KINDS: dict[type, Callable] = {
    Tensor: lambda value: torch.Tensor.as_subclass(value, Tensor),
    np.ndarray: lambda value: np.ndarray.view(value, np.ndarray),
    dict: lambda value: dict(dict.items(value)),
    list: lambda value: list.__getitem__(value, slice(None)),
    tuple: lambda value: tuple(tuple.__iter__(value)),
    str: str.__str__,
    float: float.__float__,
    int: int.__int__,
}
_KNOWN = {*_KINDS, bool, nn.Parameter, torch.Size, Counter, OrderedDict, defaultdict}


def _plain(value: Any) -> Any:
    """A result without a class of its own, which could say that it equals everything."""
    kind = type(value)
    if kind not in _KNOWN and getattr(np, kind.__name__, None) is not kind:
        for base, content in _KINDS.items():
            if issubclass(kind, base):
                with torch._C.DisableTorchFunctionSubclass():
                    value = content(value)
                break
            if isinstance(value, base):  # it only says so
                cause = "return values of the usual kinds, not objects that take their place"
                fail(f"a {base.__name__}", f"an object of class {kind.__name__}", cause)
    if type(value) in (tuple, list):
        items = [_plain(item) for item in value]
        changed = any(new is not old for new, old in zip(items, value, strict=True))
        return type(value)(items) if changed else value
    if type(value) is dict:
        items = {key: _plain(item) for key, item in value.items()}
        return items if any(items[key] is not value[key] for key in value) else value
    return value


def not_filled_in(error: BaseException) -> str:
    """What a stub says that raised `error`, the course's or nbgrader's bare one; else ``""``.

    torch raises this kind of error, too, for what it has not got: in C, or in a file of its own.
    """
    if not isinstance(error, NotImplementedError):
        return ""
    if re.match(r"Exercise \d+\.\d+", str(error)):
        return str(error)
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    raises = code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    if not raises or code.co_filename.startswith(_LIBRARIES):
        return ""
    return (
        str(error) or f"{code.co_qualname} is not filled in: put your code in place of its raise."
    )


#: Where no answer lies: beside torch, Python's own modules, and the checks.
_LIBRARIES = (
    str(Path(torch.__file__).parents[1]),
    sysconfig.get_path("stdlib"),
    str(Path(__file__).parent),
)


def raised(error: Exception) -> str:
    """An error in one line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 300)


def _pointed_at(error: Exception) -> str:
    """What to do about an error in an answer, with a hint where one fits."""
    cause = "the line of your code that the traceback above points at"
    for words, hint in (_HINTS | _frame.hints).items():
        if re.search(words, str(error)):
            return f"{cause} ({hint})"
    return cause


#: What errors mean wherever they come from; a check adds those of its own.
_HINTS = {
    "index .* is out of bounds|out of bounds for dim": "an index past the end: .clamp(max=...)",
    "list index out of range|tuple index": "an index past the end: what is empty has no last one",
    "shapes cannot be multiplied": "compare the two shapes: a .T is missing, or axes are swapped",
    "expected scalar type|same dtype": "two dtypes meet: .float() or .long() one of them",
}


def call(function: Callable, *arguments: Any, **named: Any) -> Any:
    """Call an answer as :func:`attempt` does, and fail if it returns None."""
    result = attempt(function, *arguments, **named)
    if result is None:
        cause = (
            "the return is missing, or has a call behind it that returns nothing, such as .sort()"
        )
        fail(f"a result from {name_of(function)}", None, cause)
    return result


def name_of(function: Callable) -> str:
    """What an answer is called."""
    return getattr(function, "__name__", type(function).__name__)


def method(answer: Any, name: str) -> Callable:
    """A method of an answer; fail if it has none of this name."""
    found = getattr(answer, name, None)
    if not callable(found):
        cause = f"def {name}(self, ...) stands inside the class, further in than its head"
        fail(f"a method {name}", "none", cause)
    return found


# ---------------------------------------------------------------- the frame of a check


@dataclass(frozen=True)
class _Frame:
    """What an answer may do in the check that runs now."""

    draws: bool = True
    trains: bool = True
    hints: dict[str, str] = field(default_factory=dict)


_frame = _Frame()
_seed = 0
#: No student's: that an answer seeds torch anew is seen by another seed.
_OWN_SEED = 735_001


def check(
    exercise: str, mistakes: Mistakes = (), truth: Sequence[Any] = (), *, draws: bool = True,
    trains: bool = False, hints: dict[str, str] | None = None,
) -> Callable[[Callable], Callable]:
    """Make a check of a function of answers: same chances each time, and nothing left behind.

    Parameters
    ----------
    exercise : str
        Its number, such as ``"1.3"``.
    mistakes : dict of str to answer, or list of such dicts
        Likely causes, each with a wrong answer that the check rejects with just this cause; a list
        holds a dict for each of the check's answers.
    truth : sequence
        Right answers, which stand in for the others where a check has several.
    draws : bool
        Whether an answer may draw from torch's own random numbers.
    trains : bool
        Whether an answer may leave a model in another mode.
    hints : dict of str to str
        For an error whose text fits the pattern, what it means in this exercise.
    """

    def framed(function: Callable) -> Callable:
        @functools.wraps(function)
        def run(*answers: Any) -> None:
            global _frame
            if misplaced := misplaced_switch():
                fail(*misplaced)
            outer, _frame = _frame, _Frame(draws, trains, hints or {})
            try:
                with own_chances(_OWN_SEED + _seed):
                    function(*answers)
            except CheckFailed:
                raise
            except NotFilledIn:
                progress.point_at(f"Exercise {exercise} is open: the work goes on here.")
                raise
            except Exception as error:  # an answer of a kind that the check did not foresee
                cause = "what your answer returns cannot be compared: look at its type and shape"
                raise CheckFailed("a result like that of the task", raised(error), cause) from error
            finally:
                _frame = outer
            progress.solved(exercise, answers)

        run.exercise, run.truth = exercise, tuple(truth)
        run.mistakes = [mistakes] if isinstance(mistakes, dict) else list(mistakes)
        return run

    return framed


def replays(checked: Callable) -> Iterator[tuple[str, tuple]]:
    """Each mistake of a check: its cause, and the answers to hand to the check."""
    for place, mistakes in enumerate(checked.mistakes):
        for cause, mistake in mistakes.items():
            answers = list(checked.truth) or [None]
            answers[place] = mistake
            yield cause, tuple(answers)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let the checks draw their values and sizes from another seed while it is open.

    A student's is 0. With another one a grader asks with numbers that the student has not seen.
    """
    global _seed
    outer, _seed = _seed, seed
    try:
        yield
    finally:
        _seed = outer


def generator(salt: int) -> torch.Generator:
    """torch's generator for the numbers of a check, from the seed of the checks and `salt`."""
    return torch.Generator().manual_seed(1_000_003 * _seed + salt)


def chance(salt: int) -> random.Random:
    """Python's generator for the sizes and texts of a check, likewise."""
    return random.Random(1_000_003 * _seed + salt)


def numpy_generator(salt: int) -> np.random.Generator:
    """NumPy's generator, likewise."""
    return np.random.default_rng(1_000_003 * _seed + salt)


# ---------------------------------------------------------------- watching and comparing


class _Log(list):
    """A list that copies of its owner share."""

    def __deepcopy__(self, memo: dict) -> _Log:
        return self


class Watched(nn.Module):
    """Calls a layer, and remembers each call: train mode, gradients recorded, what came in."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer
        self.calls: list[tuple[bool, bool, Tensor]] = _Log()

    def forward(self, x: Tensor) -> Tensor:
        """What the layer makes of `x`."""
        self.calls.append((self.training, torch.is_grad_enabled(), x.detach().clone()))
        return self.layer(x)

    @property
    def sizes(self) -> list[int]:
        """The sizes of the batches."""
        return [len(x) for _, _, x in self.calls]


def holds(model: nn.Module, kinds: dict[str, type[nn.Module]], cause: str) -> None:
    """Fail unless the model has a layer of each kind under its name.

    In `cause`, ``{name}`` and ``{kind}`` stand for what is missing.
    """
    for name, kind in kinds.items():
        found = getattr(model, name, None)
        if not isinstance(found, kind):
            expected = f"an nn.{kind.__name__} in the attribute {name}"
            fail(expected, type(found).__name__, cause.format(name=name, kind=kind.__name__))


def are_logits(got: Tensor, cause: str) -> None:
    """Fail if the rows of `got` are probabilities, or the logarithms of some."""
    for kind, values in (("probabilities", got), ("log-probabilities", got.exp())):
        if torch.allclose(values.sum(dim=1), torch.ones(len(got)), atol=1e-4):
            fail("logits", kind, cause)


def same_shape(got: Any, expected: tuple[int, ...], cause: str) -> None:
    """Fail unless `got` is a tensor of this shape."""
    if not isinstance(got, Tensor):
        kind = type(got).__name__
        fail(
            f"a tensor of shape {expected}", kind, f"return a torch.Tensor; this is of type {kind}"
        )
    if tuple(got.shape) != tuple(expected):
        fail(f"shape {tuple(expected)}", f"shape {tuple(got.shape)}", cause)


def same_dtype(got: Tensor, expected: torch.dtype, cause: str) -> None:
    """Fail unless the tensor `got` has this dtype."""
    if got.dtype != expected:
        fail(expected, got.dtype, cause)


def close(got: Any, expected: Any, cause: str, tolerance: float = 1e-5, name: str = "") -> None:
    """Fail unless the numbers or tensors agree to `tolerance`, relative to the largest.

    The message calls them `name`, such as "a loss".
    """
    try:
        got_values = torch.as_tensor(got, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        fail("a number or a tensor", type(got).__name__, cause)
    expected_values = torch.as_tensor(expected, dtype=torch.float64)
    same_shape(got_values, tuple(expected_values.shape), cause)
    error = (got_values - expected_values).abs()
    error[got_values == expected_values] = 0  # infinity less infinity is not a number
    largest = float(expected_values.abs().nan_to_num(0, posinf=0).max())
    if bool((error <= tolerance * max(1.0, largest)).all()):  # a NaN is not <= anything: it fails
        return
    worst = int(torch.where(error.isnan(), math.inf, error).argmax())
    place = ""
    if expected_values.ndim:
        index = torch.unravel_index(torch.tensor(worst), expected_values.shape)
        place = f" at [{', '.join(str(int(number)) for number in index)}]"
    fail(
        f"{name + ' of ' if name else ''}{float(expected_values.flatten()[worst]):.6g}{place}",
        f"{float(got_values.flatten()[worst]):.6g}",
        cause,
    )
