"""Train once, load the next time: checkpoints that know what made them.

A checkpoint's file name ends in a key: a hash of the code, the settings, the corpus and the
device. Change any of them and the model is trained anew; change none and it is loaded. A training
that was cut off goes on after its last whole epoch, from a `TrainingState`.

Notebooks: 01_speech_commands_mlp.ipynb, 03_mfcc_lstm_augmentation.ipynb
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import json
import linecache
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from course_utils import settings


def _source(item: Callable) -> str:
    """Source of a function or a class, also of one defined in a notebook.

    In a notebook Python finds the lines of functions, but up to 3.12 not those of classes: then
    they are looked for in the cells that hold the class's methods.
    """
    if not inspect.isclass(item):
        return inspect.getsource(item)
    with contextlib.suppress(OSError, TypeError):  # no file; TypeError: not even a module
        return inspect.getsource(item)
    methods = [value for value in vars(item).values() if inspect.isfunction(value)]
    for file in {inspect.unwrap(method).__code__.co_filename for method in methods}:
        cell = "".join(linecache.getlines(file))
        for node in ast.walk(ast.parse(cell)):
            if isinstance(node, ast.ClassDef) and node.name == item.__name__:
                return ast.get_source_segment(cell, node)
    raise OSError(f"The source of the class {item.__name__} is not found; define it in a cell.")


class Run:
    """One training, identified by all that decides its result.

    Parameters
    ----------
    name : str
        Such as ``"mlp-raw"``; the start of the file name.
    parameters : dict
        What JSON can hold: epochs, learning rate, seed.
    code : functions and classes
        What the training calls; their source is a part of the key.
    data : str
        A fingerprint of the corpus.
    device : str
        Results differ in the last digits between devices.
    """

    def __init__(
        self,
        name: str,
        *,
        parameters: dict[str, Any],
        code: Iterable[Callable],
        data: str,
        device: str = "cpu",
    ):
        import torch

        parts = [
            json.dumps(parameters, sort_keys=True),
            *(_source(item) for item in code),
            data,
            str(device),
            torch.__version__,
        ]
        self.key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
        self.path: Path = settings.runs_folder() / f"{name}-{self.key}.pt"
        #: Where a `TrainingState` of this run belongs until the training is finished.
        self.unfinished: Path = self.path.with_suffix(".unfinished.pt")

    def load(self) -> dict[str, Any] | None:
        """What `save` wrote, or None if this training is still to be done; says which."""
        if settings.quick() or not self.path.is_file():
            return None
        state = _read(self.path)
        if state is not None:
            print(
                f"Loaded {self.path.parent.name}/{self.path.name}: code, settings and corpus are "
                "the same. Delete the file to train again."
            )
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write tensors and numbers; atomic, so that a full disk leaves no half file."""
        if not settings.quick():
            told = "The model is trained and usable; a rerun of this notebook trains it again."
            _write(state, self.path, told)


class CheckpointError(ValueError):
    """A checkpoint does not belong to what it is loaded into; the message names what differs."""


class TrainingState:
    """Everything that a training needs to go on where it was cut off.

    Parameters
    ----------
    path : path
        Where the state is kept; for a `Run`, ``run.unfinished``.
    **parts
        Whatever changes while training: model, optimiser and schedule (``state_dict`` and
        ``load_state_dict``), and the ``torch.Generator`` of every random number that is drawn.
        Only then does a training that goes on reach the weights of one that was never cut off.

    Examples
    --------
    >>> import tempfile, torch
    >>> model, generator = torch.nn.Linear(2, 1), torch.Generator()
    >>> path = Path(tempfile.mkdtemp()) / "line.pt"
    >>> state = TrainingState(path, model=model, generator=generator)
    >>> state.save(epoch=3)
    >>> TrainingState(path, model=torch.nn.Linear(2, 1), generator=generator).restore()
    {'epoch': 3}
    """

    def __init__(self, path: str | Path, **parts: Any):
        self.path, self.parts = Path(path), parts

    def save(self, **progress: Any) -> None:
        """Keep the state of every part, and numbers, lists and tensors such as the history."""
        if settings.quick():
            return
        _write(
            {
                "kinds": {name: type(part).__name__ for name, part in self.parts.items()},
                "parts": {name: _state(part) for name, part in self.parts.items()},
                "progress": progress,
            },
            self.path,
            "Training goes on; if it is cut off, it starts again.",
        )

    def restore(self) -> dict[str, Any] | None:
        """Put every part back into its saved state; returns the progress, or None if none is kept.

        Raises
        ------
        CheckpointError
            The file belongs to another model, optimiser or list of parts. Nothing was changed.
        """
        if settings.quick() or not self.path.is_file():
            return None
        kept = _read(self.path)
        if kept is None:
            return None
        different = self._differences(kept)
        if different:
            raise CheckpointError(
                f"{self.path.name} does not fit: {'; '.join(different)}. Use the model and the "
                "settings that it was made with, or delete the file to train anew."
            )
        for name, part in self.parts.items():
            state = kept["parts"][name]
            part.load_state_dict(state) if _has_dict(part) else part.set_state(state)
        return kept["progress"]

    def forget(self) -> None:
        """Delete the file: the training is finished."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _differences(self, kept: Any) -> list[str]:
        if not isinstance(kept, dict) or not {"kinds", "parts", "progress"} <= kept.keys():
            return ["it is not the state of a training"]
        here = {name: type(part).__name__ for name, part in self.parts.items()}
        lines = [
            f"{name} is {kept['kinds'].get(name, 'missing')} there and {here.get(name, 'missing')} "
            "here"
            for name in sorted(here.keys() | kept["kinds"].keys())
            if here.get(name) != kept["kinds"].get(name)
        ]
        if lines:
            return lines
        for name, part in self.parts.items():
            there, mine = _sizes(kept["parts"][name]), _sizes(_state(part))
            lines += [
                f"{name}.{key} is {there.get(key, 'missing')} there and {mine.get(key, 'missing')} "
                "here"
                for key in dict.fromkeys([*mine, *there])
                if there.get(key) != mine.get(key)
            ]
        return lines[:4] + [f"and {len(lines) - 4} more"] * (len(lines) > 4)


def _has_dict(part: Any) -> bool:
    return hasattr(part, "load_state_dict")


def _state(part: Any) -> Any:
    return part.state_dict() if _has_dict(part) else part.get_state()


def _sizes(state: Any) -> dict[str, Any]:
    """What must agree: shapes of a model's tensors, how many an optimiser moves in each group."""
    if not isinstance(state, dict):
        return {}
    if "param_groups" in state:  # an optimiser has no tensors before its first step
        groups = enumerate(state["param_groups"])
        return {f"group {i}": f"{len(group['params'])} parameters" for i, group in groups}
    return {name: tuple(value.shape) for name, value in state.items() if hasattr(value, "shape")}


def _read(path: Path) -> Any:
    """A checkpoint; a damaged one is set aside, and None returned."""
    import torch

    try:
        # weights_only: a checkpoint holds tensors and numbers, and never runs code.
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        print(
            f"The checkpoint {path.name} is damaged ({type(error).__name__}); it is now "
            f"{aside.name}, and the model is trained anew."
        )
        return None


def _write(state: Any, path: Path, consequence: str) -> None:
    """Write a checkpoint whole or not at all; a full disk is said and stops nothing."""
    import torch

    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(state, temporary)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        reason = (str(error) or type(error).__name__).splitlines()[0]
        print(
            f"The checkpoint was not saved ({reason}). {consequence} Free some space, or set "
            "COURSE_RUNS to a folder that you may write to."
        )
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
