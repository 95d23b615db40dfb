"""Train once, load the next time: checkpoints that know what made them.

A checkpoint's file name ends in a key: a hash of the code, the settings, the corpus and the
device. Change any of them and the model is trained anew; change none and it is loaded.

Notebook: 01_speech_commands_mlp.ipynb
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

    def load(self) -> dict[str, Any] | None:
        """What `save` wrote, or None if this training is still to be done; says which."""
        import torch

        if settings.quick() or not self.path.is_file():
            return None
        try:
            # weights_only: a checkpoint holds tensors and numbers, and never runs code.
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            print(
                f"The checkpoint {self.path.name} is damaged ({type(error).__name__}); it is now "
                f"{aside.name}, and the model is trained anew."
            )
            return None
        print(
            f"Loaded {self.path.parent.name}/{self.path.name}: code, settings and corpus are the "
            "same. Delete the file to train again."
        )
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write tensors and numbers; atomic, so that a full disk leaves no half file."""
        import torch

        if settings.quick():
            return
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(state, temporary)
            temporary.replace(self.path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(
                f"The checkpoint was not saved ({reason}). The model is trained and usable; a "
                "rerun of this notebook trains it again. Free some space, or set COURSE_RUNS to a "
                "folder that you may write to."
            )
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
