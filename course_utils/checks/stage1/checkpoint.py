"""Checks of saving and loading."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn

from course_utils.checks.core import (
    attempt,
    chance,
    check,
    close,
    fail,
    generator,
    passed,
)

# 1.9 - Save and load


def _read(path: Path, **options: Any) -> Any:
    return torch.load(path, **{"map_location": "cpu", "weights_only": True, **options})


def _copy_known(model: nn.Module, path: Path) -> None:
    kept = _read(path)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.copy_(kept[name])


def _load_or_not(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(_read(path))
    except Exception:
        return


_FILE_MISTAKES: list[dict[str, Callable]] = [
    {
        "save model.state_dict(), not the model: a pickle can run code when it is opened":
            lambda model, path: torch.save(model, path),
        "save what model.state_dict() returns, whole and as it is":
            lambda model, path: torch.save(dict(model.named_parameters()), path),
        "torch.save(what, path) writes the file, under the name that was given":
            lambda model, path: torch.save(model.state_dict(), f"{path}.pt"),
        "the file that was there is replaced: the newest weights count":
            lambda model, path: (path.exists() or torch.save(model.state_dict(), path)),
    },
    {
        "hand the whole state dict to model.load_state_dict(...)": lambda model, path: _read(path)
        and None,
        "pass weights_only=True":
            lambda model, path: model.load_state_dict(_read(path, weights_only=False)) and None,
        "torch.load puts tensors on the device they were saved from: pass map_location":
            lambda model, path: model.load_state_dict(_read(path, map_location=None)) and None,
        "do not catch errors here": _load_or_not,
        "no strict=False, and no error caught on the way: both leave random weights":
            lambda model, path: (model.load_state_dict(_read(path), strict=False) and None),
        "a file with more in it belongs to another model: load_state_dict says so": _copy_known,
        "no assign=True: an optimiser that was made before would lose the parameters": (
            lambda model, path: model.load_state_dict(_read(path), assign=True) and None
        ),
    },
]
_WHOLE_STATE, _ONLY, _PLACE, _CATCH, _STRICT, _MORE, _ASSIGN = _FILE_MISTAKES[1]


def _save(model: nn.Module, path: Path) -> None:
    torch.save(model.state_dict(), path)


def _load(model: nn.Module, path: Path) -> None:
    model.load_state_dict(_read(path))


@check("1.9", _FILE_MISTAKES, (_save, _load))
def save_and_load(save_weights: Callable, load_weights: Callable) -> None:
    """The loaded model predicts the same; a file that carries code is refused.

    ``save_weights(model, path)`` and ``load_weights(model, path)``
    """
    size = chance(9).randint(5, 8)

    def make_model() -> nn.Module:
        return nn.Sequential(nn.Linear(size, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))

    x = torch.randn(5, size, generator=generator(4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        for _ in range(2):  # the second file replaces the first
            model, other = make_model(), make_model()
            model(torch.randn(8, size))  # the running statistics of batch norm are state, too
            attempt(save_weights, model, path)
            state = _saved_state(path, model)
            kept = list(other.parameters())
            attempt(load_weights, other, path)
            if any(a is not b for a, b in zip(kept, other.parameters(), strict=True)):
                fail("the model's own parameters, with new values", "other parameters", _ASSIGN)
            with torch.no_grad():
                close(other.eval()(x), model.eval()(x), _WHOLE_STATE, 0.0, "an output")
        # A file from a computer with more GPUs than any reader has.
        with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:99"):
            torch.save(state, path)
        try:
            load_weights(other, path)
        except Exception as error:
            fail("weights that were saved on a GPU to be loaded", type(error).__name__, _PLACE)
        for content, expected, cause in _bad_files(state, size):
            torch.save(content, path)
            _sprung.clear()
            try:
                load_weights(other, path)
                got = "none"
            except Exception as error:
                got = type(error).__name__
            if _sprung:
                fail("no code run", "code from the file was run", _ONLY)
            if got == "none":
                fail(expected, got, cause)
    passed("the loaded model predicts the same, and a file that carries code is refused")


def _saved_state(path: Path, model: nn.Module) -> dict:
    """What an answer has written, if it is the state of the model and nothing else."""
    not_model, whole, name, newest = _FILE_MISTAKES[0]
    if not path.is_file():
        fail(f"a file {path.name}", "none", name)
    try:
        state = torch.load(path, weights_only=True)
    except Exception:
        fail("a file of tensors only", "a pickle of Python objects", not_model)
    wanted = model.state_dict()
    if not isinstance(state, dict) or list(state) != list(wanted):
        got = list(state) if isinstance(state, dict) else type(state).__name__
        fail(f"the {len(wanted)} entries of the state dict", got, whole)
    if not all(torch.equal(state[key], value) for key, value in wanted.items()):
        fail("the weights of the model", "others", newest)
    return state


def _bad_files(state: dict, size: int) -> Iterator[tuple[Any, str, str]]:
    """Contents that must not be loaded, what is expected instead, and the cause if they are."""
    yield _Trap(), "an error for a file without weights", _CATCH
    yield nn.Linear(size, 4).state_dict(), "an error for another model's weights", _STRICT
    more = {**state, "4.weight": torch.zeros(3)}
    yield more, "an error for the weights of a larger model", _MORE


class _Trap:
    """Unpickling it raises: stands for a checkpoint that carries code."""

    def __reduce__(self):
        return _spring, ()


def _spring():
    _sprung.append(True)


_sprung: list[bool] = []
