"""How a check says what is wrong: expected, got, likely cause."""

from __future__ import annotations

import functools
import math
import re
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn


class CheckFailed(AssertionError):
    """An answer is not right. A notebook shows its message, and not the insides of the check."""

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        lines = []
        if self.__cause__ is not None:  # an error in the answer itself: there the lines help
            lines = traceback.format_exception(self.__cause__)
            own = [line for line in lines if str(Path(__file__).parent) not in line]
            lines = [part for line in own for part in line.rstrip("\n").split("\n")]
        return [*lines, f"AssertionError: {self}"]


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
    raise CheckFailed(f"expected {expected}, got {got}; likely cause: {cause}")


def passed(message: str) -> None:
    """Print the one line of a check that passed."""
    print(f"Passed: {message}")


def short(values: list[float], count: int = 8) -> str:
    """The first `count` numbers of a list, for a message.

    Examples
    --------
    >>> short([0.5, 1, 2.25], count=2)
    '[0.5, 1, ...]'
    """
    text = ", ".join(f"{value:.3g}" for value in values[:count])
    return f"[{text}{', ...' if len(values) > count else ''}]"


# ---------------------------------------------------------------- calling an answer


def attempt(function: Callable, *arguments: Any, **named: Any) -> Any:
    """Call an answer; an error inside it becomes a failed check that names the error.

    The NotImplementedError of an exercise that is not filled in passes through.
    """
    try:
        return function(*arguments, **named)
    except CheckFailed:  # something that the check itself watches
        raise
    except Exception as error:
        if isinstance(error, NotImplementedError) and str(error).startswith("Exercise"):
            # torch knows this kind of error, too, and means something else
            raise NotFilledIn(str(error)) from None
        raised = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        cause = "the line of your code that the traceback above points at"
        for words, hint in _ERRORS.items():
            if re.search(words, str(error)):
                cause += f" ({hint})"
                break
        raise CheckFailed(
            f"expected {_name(function)} to return, got {raised}; likely cause: {cause}"
        ) from error


#: What torch's errors mean most of the time.
_ERRORS = {
    "index .* is out of bounds|out of bounds for dim": "an index past the end: .clamp(max=...)",
    "list index out of range|tuple index": "an index past the end: what is empty has no last one",
    "shapes cannot be multiplied": "compare the two shapes: a .T is missing, or axes are swapped",
    "must match the size of tensor b": "(batch,) meets (batch, 1, time): .view(-1, 1, 1) first",
    "expected scalar type|same dtype": "two dtypes meet: .float() or .long() one of them",
    "input.size\\(-1\\) must be equal": "the last axis must be the features: transpose(1, 2)",
}


def call(function: Callable, *arguments: Any, **named: Any) -> Any:
    """Call an answer as :func:`attempt` does, and fail if it returns None."""
    result = attempt(function, *arguments, **named)
    if result is None:
        cause = (
            "the return is missing, or has a call behind it that returns nothing, such as .sort()"
        )
        fail(f"a result from {_name(function)}", None, cause)
    return result


def _name(function: Callable) -> str:
    return getattr(function, "__name__", type(function).__name__)


def method(answer: Any, name: str) -> Callable:
    """A method of an answer; fail if it has none of this name."""
    found = getattr(answer, name, None)
    if not callable(found):
        cause = f"def {name}(self, ...) stands inside the class, further in than its head"
        fail(f"a method {name}", "none", cause)
    return found


@contextmanager
def by_hand(expected: str, forbidden: str, places: Sequence[str]) -> Iterator[None]:
    """While it is open, a call of one of torch's functions at these places is a failed check."""

    def instead(*arguments: Any, **named: Any) -> None:
        cause = "the exercise is to do by hand what it does"
        fail(expected, f"a call of torch's {forbidden}", cause)

    with ExitStack() as stack:
        for place in places:
            stack.enter_context(mock.patch(place, instead))
        yield


def generator(seed: int) -> torch.Generator:
    """A seeded generator for the oracle's own numbers."""
    return torch.Generator().manual_seed(seed)


def own_random(check: Callable) -> Callable:
    """Run a check from the same random state each time, and leave torch's state as it was."""

    @functools.wraps(check)
    def run(*answers: Any) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            check(*answers)

    return run


class Watched(nn.Module):
    """Calls a layer, and remembers each call: train mode, gradients recorded, what came in."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer
        self.calls: list[tuple[bool, bool, Tensor]] = []

    def forward(self, x: Tensor) -> Tensor:
        """What the layer makes of `x`."""
        self.calls.append((self.training, torch.is_grad_enabled(), x.detach().clone()))
        return self.layer(x)

    @property
    def sizes(self) -> list[int]:
        """The sizes of the batches."""
        return [len(x) for _, _, x in self.calls]


# ---------------------------------------------------------------- comparing


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


def shape_of(got: Any, expected: tuple[int, ...], known: dict[tuple, str], otherwise: str) -> None:
    """Fail unless the shape is right; `known` names the causes of other shapes."""
    same_shape(got, expected, known.get(tuple(getattr(got, "shape", ())), otherwise))


def same_dtype(got: Tensor, expected: torch.dtype, cause: str) -> None:
    """Fail unless the tensor `got` has this dtype."""
    if got.dtype != expected:
        fail(expected, got.dtype, cause)


def unchanged(before: Tensor, after: Tensor, name: str) -> None:
    """Fail if an answer has written into what it was given; `name` is in the plural."""
    if not torch.equal(before, after):
        fail(
            f"{name} as they were", "changed ones", "make new tensors, do not change them in place"
        )


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


def compare(
    got: Any,
    expected: Any,
    mistakes: Callable[[], dict[str, Any]],
    otherwise: str,
    tolerance: float = 1e-5,
    name: str = "",
) -> None:
    """Fail unless `got` is `expected`, with the cause of the mistake that leads to just this.

    `mistakes` returns causes, each with the result to which it leads; for the rest see
    :func:`close`.
    """
    try:
        close(got, expected, otherwise, tolerance, name)
    except CheckFailed:
        cause = recognised(got, mistakes(), otherwise, tolerance)
        close(got, expected, cause, tolerance, name)


def recognised(got: Any, known: dict[str, Any], otherwise: str, tolerance: float = 1e-5) -> str:
    """The first cause that leads to just what was got, or else `otherwise`.

    The tolerance is relative to the largest number, as that of :func:`close` is.
    """
    try:
        got = torch.as_tensor(got, dtype=torch.float64).detach()
    except (TypeError, ValueError, RuntimeError):
        return otherwise
    for cause, value in known.items():
        value = torch.as_tensor(value, dtype=torch.float64).detach()
        if value.shape != got.shape:
            continue
        largest = max(1.0, float(value.abs().nan_to_num(0, posinf=0).max()))
        near = (got - value).abs() <= tolerance * largest
        if bool((near | (got == value)).all()):  # infinity less infinity is not a number
            return cause
    return otherwise


def equal(got: Any, expected: Any, known: dict[str, Any], otherwise: str, asked: str = "") -> None:
    """Fail unless two texts, numbers or lists are equal, with the first cause that leads to `got`.

    `known` holds causes, each with the result to which it leads; `asked` says of what it was.
    """
    if got != expected:
        cause = next((cause for cause, value in known.items() if value == got), otherwise)
        suffix = f" of {asked}" if asked else ""
        fail(f"{expected!r}{suffix}", textwrap.shorten(repr(got), 200), cause)
