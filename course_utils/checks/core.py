"""How a check says what is wrong: expected, got, likely cause."""

from __future__ import annotations

import math
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


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


def fail(expected: Any, got: Any, cause: str) -> None:
    """Raise the AssertionError that every check raises.

    Examples
    --------
    >>> fail("(2, 1)", "(1, 2)", "swapped axes")
    Traceback (most recent call last):
    course_utils.checks.core.CheckFailed: expected (2, 1), got (1, 2); likely cause: swapped axes
    """
    raise CheckFailed(f"expected {expected}, got {got}; likely cause: {cause}")


def passed(what: str) -> None:
    """Print the one line of a check that passed."""
    print(f"Passed: {what}")


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
        what = textwrap.shorten(f"{type(error).__name__}: {error}", 300)
        raise CheckFailed(
            f"expected {_name(function)} to return, got {what}; "
            "likely cause: the line of your code that the traceback above points at"
        ) from error


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


def same_shape(got: Any, expected: tuple[int, ...], cause: str) -> None:
    """Fail unless `got` is a tensor of this shape."""
    import torch

    if not isinstance(got, torch.Tensor):
        kind = type(got).__name__
        fail(
            f"a tensor of shape {expected}", kind, f"return a torch.Tensor; this is of type {kind}"
        )
    if tuple(got.shape) != tuple(expected):
        fail(f"shape {tuple(expected)}", f"shape {tuple(got.shape)}", cause)


def same_dtype(got: Any, expected: Any, cause: str) -> None:
    """Fail unless the tensor `got` has this dtype."""
    if got.dtype != expected:
        fail(expected, got.dtype, cause)


def close(got: Any, expected: Any, cause: str, tolerance: float = 1e-5, what: str = "") -> None:
    """Fail unless the numbers or tensors agree to `tolerance`, relative to the largest.

    The message calls them `what`, such as "a loss".
    """
    import torch

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
    place = "" if expected_values.ndim == 0 else f" at position {worst} of the flattened result"
    fail(
        f"{what + ' of ' if what else ''}{float(expected_values.flatten()[worst]):.6g}{place}",
        f"{float(got_values.flatten()[worst]):.6g}",
        cause,
    )


def generator(seed: int) -> torch.Generator:
    """A seeded generator for the oracle's own numbers."""
    import torch

    return torch.Generator().manual_seed(seed)


def short(values: list[float], most: int = 8) -> str:
    """The first numbers of a list, for a message."""
    text = ", ".join(f"{value:.3g}" for value in values[:most])
    return f"[{text}{', ...' if len(values) > most else ''}]"
