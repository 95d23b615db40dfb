"""An answer beside the truth, case by case; and the mistake that does what the answer does."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.core import CheckFailed, attempt, call, close, fail, raised


def _short(value: Any, width: int) -> str:
    """One line of at most so many characters; spaces within a text stay as they are."""
    text = repr(value)
    if "\n" in text:  # a table of numbers
        text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 6].rstrip() + " [...]"


def agree(
    answer: Callable, truth: Callable, cases: Iterable[tuple], mistakes: dict[str, Any],
    otherwise: str, tolerance: float = 1e-5, name: str = "",
) -> None:
    """Fail unless an answer does in every case what the truth does.

    The likely cause is that of the first mistake that does what the answer does *in all cases*,
    errors included; `otherwise` if there is none.

    Parameters
    ----------
    answer, truth : callable
        Both are called with the arguments of each case, on copies.
    cases : iterable of tuple
        The arguments. What the mistakes do must differ in some of them.
    mistakes : dict of str to callable
        Likely causes, each with a wrong answer.
    otherwise : str
        The likely cause where no mistake fits.
    tolerance : float
        Of numbers, relative to the largest of a result.
    name : str
        What a number of the result is called, such as ``"a loss"``.

    Raises
    ------
    CheckFailed
    """
    cases = [tuple(case) for case in cases]
    expected = [truth(*copy.deepcopy(case)) for case in cases]
    got, failed = [], None
    for case in cases:
        try:
            got.append(call(answer, *copy.deepcopy(case)))
        except CheckFailed as error:
            if error.__cause__ is None:  # nothing was raised: it changed what it must not, or None
                raise
            failed = failed or error
            got.append(type(error.__cause__))
    wrong = [i for i, value in enumerate(got) if not same(value, expected[i], tolerance)]
    if not wrong:
        return
    cause = next(
        (
            cause
            for cause, mistake in mistakes.items()
            if all(
                same(value, outcome(mistake, case), tolerance)
                for value, case in zip(got, cases, strict=True)
            )
        ),
        None,
    )
    first = wrong[0]
    if isinstance(got[first], type):
        raise failed if cause is None else CheckFailed(failed.expected, failed.got, cause) from (
            failed.__cause__
        )
    differ(got[first], expected[first], cause or otherwise, tolerance, name, cases[first])


def outcome(mistake: Callable, case: Sequence) -> Any:
    """What a mistake makes of a case: its result, or the type of its error."""
    try:
        return mistake(*copy.deepcopy(tuple(case)))
    except Exception as error:
        return type(error)


def same(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    """Whether two results are the same: kind, shape, dtype, and values to a relative tolerance.

    A list and a tuple of the same items are the same, and so are the numbers of Python and NumPy;
    a number and a tensor are not. Not a number equals itself.
    """
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        return _near(a.detach().double(), b.detach().double(), tolerance)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
            return False
        if a.dtype.kind not in "fiub":
            return a.tolist() == b.tolist()
        return _near(*(torch.as_tensor(x.astype(float)) for x in (a, b)), tolerance)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(
            same(x, y, tolerance) for x, y in zip(a, b, strict=True)
        )
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key], tolerance) for key in a)
    if isinstance(a, bool | np.bool_) and isinstance(b, bool | np.bool_):
        return bool(a) == bool(b)
    if isinstance(a, str) and isinstance(b, str):
        return str(a) == str(b)
    if isinstance(a, bool) or isinstance(b, bool) or not isinstance(a, Number):
        return type(a) is type(b) and a == b
    if not isinstance(b, Number) or isinstance(a, float) != isinstance(b, float):
        return False
    return _near(*(torch.tensor(float(x), dtype=torch.float64) for x in (a, b)), tolerance)


def _near(a: Tensor, b: Tensor, tolerance: float) -> bool:
    largest = float(b.abs().nan_to_num(0, posinf=0).max()) if b.numel() else 0.0
    near = (a - b).abs() <= tolerance * max(1.0, largest)
    return bool((near | (a == b) | (a.isnan() & b.isnan())).all())


def differ(
    got: Any, expected: Any, cause: str, tolerance: float, name: str = "", case: Sequence = ()
) -> None:
    """Fail with the first place in which a result is another one than the expected."""
    if isinstance(expected, Tensor):
        if not isinstance(got, Tensor):
            fail(f"a tensor of shape {tuple(expected.shape)}", _kind(got), cause)
        if got.dtype != expected.dtype and got.shape == expected.shape:
            fail(expected.dtype, got.dtype, cause)
        close(got, expected, cause, tolerance, name)
    if _holds_tensors(expected) and isinstance(got, tuple | list) and len(got) == len(expected):
        for mine, right in zip(got, expected, strict=True):
            if not same(mine, right, tolerance):
                differ(mine, right, cause, tolerance, name, case)
    asked = f" of {_brief(case if len(case) != 1 else case[0])}" if case else ""
    kinds = type(got) is not type(expected) and not isinstance(got, Number)
    fail(f"{_brief(expected)}{asked}", _kind(got) if kinds else _brief(got), cause)


def _holds_tensors(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, Tensor | np.ndarray) for item in value)
    return isinstance(value, tuple)


def _brief(value: Any) -> str:
    if isinstance(value, tuple) and any(isinstance(item, Tensor | np.ndarray) for item in value):
        return f"({', '.join(map(_brief, value))})"
    if isinstance(value, Tensor | np.ndarray):
        small = value.size < 13 if isinstance(value, np.ndarray) else value.numel() < 13
        text = str(value.tolist()) if small else f"shape {tuple(value.shape)}"
        return f"<{text}>"
    return _short(value, 150)


def _kind(value: Any) -> str:
    text = _short(value, 60)
    return f"{type(value).__name__} {text}" if not isinstance(value, Tensor) else _brief(value)


# ---------------------------------------------------------------- models


def same_in_both_modes(
    model: nn.Module, truth: Callable[..., Any], inputs: Sequence[tuple], otherwise: str,
    tolerance: float = 1e-5, name: str = "",
) -> None:
    """Fail unless a model computes what `truth` does, in train mode and in eval mode.

    Parameters
    ----------
    model : nn.Module
    truth : callable
        ``truth(training, *inputs)``: what comes out in this mode, with the model's own weights.
    inputs : sequence of tuple
        What the model is called with: batches of one and of several. Each is tried as it is, and
        once more where its numbers do not lie side by side in memory.
    otherwise : str
        The likely cause.
    """
    for training in (False, True):
        for given in inputs:
            expected = truth(training, *copy.deepcopy(given))
            for arguments in (given, tuple(map(_scattered, given))):
                model.train(training)
                with torch.no_grad():
                    got = call(model, *copy.deepcopy(arguments))
                if not same(got, expected, tolerance):
                    mode = "train" if training else "eval"
                    differ(got, expected, f"{otherwise} (in {mode} mode)", tolerance, name)


def _scattered(value: Any) -> Any:
    """The same numbers, every second one in memory, and with the last axis first."""
    if not isinstance(value, Tensor) or not value.ndim:
        return value
    turned = value.transpose(0, -1)
    wide = value.new_empty(*turned.shape, 2)
    wide[..., 0] = turned
    return wide[..., 0].transpose(0, -1)


def gradients_arrive(
    function: Callable, inputs: Sequence[Tensor], parameters: Iterable[tuple[str, Tensor]] = (),
    cause: str = "stay in torch from input to output: no .detach(), .item(), .data or NumPy",
) -> None:
    """Fail unless the result depends, for autograd, on each input and on each parameter.

    Parameters
    ----------
    function : callable
        A model, or an answer of tensors.
    inputs : sequence of tensor
        Those of floating point are to get a gradient.
    parameters : iterable of (name, tensor)
        Such as ``model.named_parameters()``.
    """
    given = [x.detach().clone().requires_grad_(x.is_floating_point()) for x in inputs]
    with torch.enable_grad():
        result = attempt(function, *given)
    result = result[0] if isinstance(result, tuple | list) else result
    if not (isinstance(result, Tensor) and result.requires_grad):
        fail("a result through which gradients flow", "one without a gradient", cause)
    wanted = [(f"input {i + 1}", x) for i, x in enumerate(given) if x.requires_grad]
    wanted += [(name, parameter) for name, parameter in parameters if parameter.requires_grad]
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).reshape(result.shape)
    try:
        found = torch.autograd.grad(
            (result * weights).sum(), [x for _, x in wanted], allow_unused=True
        )
    except RuntimeError as error:
        fail("gradients that can be computed", raised(error), cause)
    for (name, _), gradient in zip(wanted, found, strict=True):
        if gradient is None:
            fail(f"a gradient for {name}", "none", cause)
