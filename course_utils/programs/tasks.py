"""What `fit` needs to know of a task, and what both tasks share."""

import argparse
import ast
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import nn
from torch.utils.data import Dataset

from course_utils.programs.base import Refused


class Task(Protocol):
    """Clips, a network, and how well it does; made of what a notebook defines."""

    score: str  #: the measure that chooses the best epoch
    counts: int  #: numbers in `sums`
    make: Callable[..., nn.Module]
    arguments: dict[str, Any]
    train: Dataset
    validation: Dataset

    def batches(self, epoch: int, size: int) -> list[list[int]]:
        """Positions of training clips, a list for each step, the same in all processes."""

    def collate(self, items: list) -> Sequence[torch.Tensor]:
        """Items of a dataset to a batch."""

    def ready(self, batch: Sequence[torch.Tensor], longest: Callable) -> Sequence[torch.Tensor]:
        """A batch on the device as the network takes it; `longest` is the largest anywhere."""

    def loss(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """The mean over the clips."""

    def sums(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """What `measures` needs of a batch: float64 numbers that may be added up."""

    def measures(self, sums: torch.Tensor) -> dict[str, float]:
        """Measures of the whole validation part, the score among them."""

    def decoded(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> list[str]:
        """What was said and what is written or named, a line for each clip."""

    def about(self) -> dict[str, Any]:
        """What :func:`course_utils.runs.checkpoint.described` is to be told."""


#: Arguments of a network that corpus and notebook decide.
SIZES = ("bands", "symbols", "classes")


def built(
    make: Callable[..., nn.Module], arguments: Mapping[str, Any], options: argparse.Namespace
) -> nn.Module:
    """The network; what fails is told in a line where options of its own were given.

    Raises
    ------
    Refused
        It cannot be made with these.
    """
    given = {name: getattr(options, name) for name in ("hidden", "cell", "dropout")}
    if not options.set and all(value is None for value in given.values()):
        return make(**arguments)  # a fault of the notebook's, which shows where it happened
    try:
        return make(**arguments)
    except Exception as error:
        told = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise Refused(
            f"{make.__name__} cannot be made with {told}: {type(error).__name__}: {error}"
        ) from error


def arguments_for(
    make: Callable[..., nn.Module], given: Mapping[str, Any], settings: Sequence[str]
) -> dict[str, Any]:
    """What a class is made with: what was asked for, as far as it has arguments of these names.

    Parameters
    ----------
    make : class
    given : dict
        None stands for its own default.
    settings : list of str
        ``NAME=VALUE``, of any arguments.

    Raises
    ------
    Refused
        It takes no argument of a name.

    Examples
    --------
    >>> def make(bands, hidden=4, cell=None): ...
    >>> arguments_for(make, {"bands": 40, "hidden": None}, ["cell=LSTM", "hidden=8"])
    {'bands': 40, 'cell': <class 'torch.nn.modules.rnn.LSTM'>, 'hidden': 8}
    """
    known = inspect.signature(make).parameters
    if any(one.kind is one.VAR_KEYWORD for one in known.values()) and len(make.__mro__) > 1:
        for base in make.__mro__:  # it hands its arguments on
            known = {**known, **inspect.signature(base).parameters}
    found = {name: value for name, value in given.items() if value is not None}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if name in SIZES:
            raise Refused(f"--set {setting}: corpus and notebook decide {name}.")
        if not equals:
            raise Refused(f"--set {setting} is no NAME=VALUE, such as hidden=256")
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name] = text
    if wrong := [name for name in found if name not in known]:
        names = ", ".join(name for name in known if name not in ("self", "arguments", "options"))
        raise Refused(f"{make.__name__} takes no {', '.join(wrong)}; it takes {names}.")
    if isinstance(found.get("cell"), str):
        cell = getattr(nn, found["cell"].upper(), None)
        if cell is None:
            raise Refused(f"cell is {found['cell']!r}; use GRU or LSTM")
        found["cell"] = cell
    return found


class Counted:
    """A network's answer that is there already: a notebook's loss asks for it again, for nothing.

    >>> Counted("answer").train()(1, 2)
    'answer'
    """

    def __init__(self, answer: Any):
        self.answer = answer

    def __call__(self, *batch: torch.Tensor) -> Any:
        return self.answer

    def train(self, mode: bool = True) -> "Counted":
        """Itself, as a network would do."""
        return self
