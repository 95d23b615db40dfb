"""What a program has of its own, beside its variables: switches, and the state of its chances."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: Switches of the whole program: what they are called, how they are read, how they are set, and
#: what they are when a notebook starts.
_SWITCHES: list[tuple[str, Callable, Callable, Any]] = [
    ("torch.set_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled, True),
    ("torch.set_default_dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32),
    (
        "torch.set_deterministic_debug_mode",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
        0,
    ),
]


class Snapshot:
    """The state of the program and of what an answer is given, to compare and to restore.

    Parameters
    ----------
    given : sequence
        What the answer is given; its tensors, arrays, lists and dicts must stay as they are, and
        its models in the mode that they are in.
    draws : bool
        Whether the answer may draw random numbers from torch's own generator.
    """

    def __init__(self, given: tuple = (), draws: bool = True):
        self._switches = [get() for _, get, _, _ in _SWITCHES]
        self._torch, self._seed = torch.get_rng_state(), torch.initial_seed()
        self._numpy, self._python = np.random.get_state(), random.getstate()  # noqa: NPY002
        self._draws = draws
        self._given = [(value, _copied(value)) for value in given if not _is_model(value)]
        self._modes = [
            (module, module.training)
            for value in given
            if _is_model(value)
            for module in value.modules()
        ]

    def changed(self, modes: bool = True) -> tuple[str, str, str] | None:
        """What is no longer as it was: what was expected, what is there, and the likely cause.

        Parameters
        ----------
        modes : bool
            Whether models must be in the mode in which they were given.
        """
        for (name, get, _, _), before in zip(_SWITCHES, self._switches, strict=True):
            if get() != before:
                cause = f"{name} is for the whole program: the exercises after this one suffer"
                return f"{name}({before}) as before the call", str(get()), cause
        for value, before in self._given:
            if not same_content(value, before):
                cause = "work on copies: make new values, do not change those that you are given"
                kind = "tensor" if isinstance(value, Tensor) else type(value).__name__
                return f"the {kind} that you are given as it was", "a changed one", cause
        if modes and any(module.training != before for module, before in self._modes):
            return (
                "the model in the mode in which it was given",
                "another mode",
                "train() and eval() stay when your function has ended: the caller chose the mode",
            )
        return self._chances()

    def _chances(self) -> tuple[str, str, str] | None:
        if torch.initial_seed() != self._seed:
            cause = "torch.manual_seed is for the whole program: draw from a generator of your own"
            return "torch's random numbers not seeded anew", "a new seed", cause
        if not self._draws and not torch.equal(torch.get_rng_state(), self._torch):
            cause = "draw from the generator that is given, or from none: generator=..."
            return "torch's own random numbers untouched", "some were drawn", cause
        _, keys, place, *_ = np.random.get_state()  # noqa: NPY002
        if not (np.array_equal(keys, self._numpy[1]) and place == self._numpy[2]):
            cause = "it belongs to the whole program: draw from np.random.default_rng(seed)"
            return "NumPy's global generator untouched", "a changed state", cause
        if random.getstate() != self._python:
            cause = "it belongs to the whole program: draw from random.Random(seed)"
            return "Python's global generator untouched", "a changed state", cause
        return None

    def restore(self, chances: bool = True) -> None:
        """Set switches and modes back, and with `chances` the random states."""
        for (_, get, put, _), before in zip(_SWITCHES, self._switches, strict=True):
            if get() != before:
                put(before)
        for module, before in self._modes:
            module.training = before
        if chances:
            torch.default_generator.manual_seed(self._seed)
            torch.set_rng_state(self._torch)
            np.random.set_state(self._numpy)  # noqa: NPY002
            random.setstate(self._python)


def misplaced_switch() -> tuple[str, str, str] | None:
    """A switch that an earlier cell has left off; it is set back."""
    for name, get, put, usual in _SWITCHES:
        if get() != usual:
            found = get()
            put(usual)
            cause = f"a cell before called {name}; it is set back: run this cell again"
            return f"{name}({usual}) before the check", str(found), cause
    return None


@contextmanager
def own_chances(seed: int) -> Iterator[None]:
    """Draw from seeded states while it is open; switches and states are then as they were."""
    before = Snapshot()
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)
    try:
        yield
    finally:
        before.restore()


def same_content(a: Any, b: Any) -> bool:
    """Whether two values hold the same, down to the last bit; not a number equals itself."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if a.is_meta or b.is_meta:  # there are no numbers to compare
            return a.is_meta and b.is_meta
        a, b = a.detach(), b.detach()
        return bool(((a == b) | ((a != a) & (b != b))).all())
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return a.shape == b.shape and a.dtype == b.dtype and a.tolist() == b.tolist()
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same_content, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same_content(a[key], b[key]) for key in a)
    if isinstance(a, torch.Generator):  # it is there to be drawn from
        return True
    try:
        return a is b or bool(a == b)
    except (RuntimeError, TypeError, ValueError):  # objects that do not compare
        return True


def _copied(value: Any) -> Any:
    """A copy of numbers, texts, tensors, arrays and what holds them; all else is itself."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, set):
        return copy.copy(value)
    return value


def _is_model(value: Any) -> bool:
    return isinstance(value, nn.Module)


@contextmanager
def unset_memory_is_nan() -> Iterator[None]:
    """While it is open, memory that nobody has set (torch.empty) holds NaN, and never by luck 0."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
