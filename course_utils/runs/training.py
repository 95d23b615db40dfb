"""Train, go on after the stop button, or load what was trained before."""

import contextlib
import copy
import csv
import io
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import torch
from torch import nn

from course_utils import files, interactive, plotting, settings
from course_utils.runs import checkpoint as checkpoints
from course_utils.runs.checkpoint import CheckpointError
from course_utils.runs.code import key


class Training:
    """What a notebook's ``fit`` is given: it counts epochs, keeps the best weights, draws curves.

    Parameters
    ----------
    folder : path, optional
        Where the state lies while it trains; None keeps nothing.
    title : str
        Heading of the curves.
    chance : float, optional
        Accuracy of an answer without listening, a fraction, for the curves.
    show : bool
        Draw the curves.
    tensorboard : bool
        Write the measures for TensorBoard, too.

    Attributes
    ----------
    history : dict of str to list of float
        For each measure one number an epoch.
    extras : dict
        Whatever else `fit` wants to keep: numbers, text, lists, tensors.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1)
    >>> training = Training()
    >>> for epoch in training.epochs(3, model=model):
    ...     training.update(score=-epoch, train_loss=0.5 * epoch)
    >>> training.history, training.best_score
    ({'train_loss': [0.0, 0.5, 1.0]}, 0)
    """

    def __init__(
        self, folder: str | Path | None = None, title: str = "", chance: float | None = None,
        show: bool = False, tensorboard: bool = False,
    ):
        self.folder = None if folder is None else Path(folder)
        self.history: dict[str, list[float]] = {}
        self.extras: dict[str, Any] = {}
        self.best: dict[str, torch.Tensor] = {}
        self.best_score = -math.inf
        self.done, self.planned, self.seconds, self.kept = 0, 0, 0.0, False
        self._parts: dict[str, Any] = {}
        self._started: float | None = None  # while an epoch is under way
        self._title, self._chance, self._show = title, chance, show
        self._curves = self._log = None
        self._tensorboard = tensorboard

    def epochs(self, count: int, *, model: nn.Module, **parts: Any) -> Iterator[int]:
        """Count the epochs that are still to be trained, from 0; an earlier call's are not.

        Parameters
        ----------
        count : int
            How many there are in all.
        model : nn.Module
        **parts
            Whatever else changes while training: the optimiser, the schedule, and the
            ``torch.Generator`` of every random number that is drawn. Only then does a training that
            goes on reach the weights of one that was never stopped.

        Raises
        ------
        CheckpointError
            What was kept belongs to other parts. Nothing was changed.
        TypeError
            A part has no state that could be kept.
        RuntimeError
            An epoch was not ended with :meth:`update`.
        """
        for name, part in parts.items():
            if not hasattr(part, "state_dict") and not hasattr(part, "get_state"):
                raise TypeError(f"{name} is a {type(part).__name__}, which has no state to keep.")
        self.planned, self._parts = count, {"model": model, **parts}
        self._restore()
        if self.done:
            print(f"Going on after epoch {self.done} of {count}.")
        if self._show:
            self._curves = interactive.LiveCurves(count, self._chance, self._title)
            for epoch in range(self.done):
                self._curves.update(**{key: values[epoch] for key, values in self.history.items()})
            self._curves.__enter__()
        if self._tensorboard and self.folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._log = SummaryWriter(str(self.folder), purge_step=self.done + 1)
        for epoch in range(self.done, count):
            self._started = time.perf_counter()
            yield epoch
            if self._started is not None:
                raise RuntimeError(f"Epoch {epoch} did not end: end it with training.update.")

    def batches(self, batches: Sequence) -> Iterator:
        """Each of the batches in turn; the curves show how many are done."""
        for number, batch in enumerate(batches, start=1):
            yield batch
            if self._curves is not None:
                self._curves.step(number, len(batches))

    def update(
        self, score: float, texts: Mapping[str, str] | None = None, **measures: float
    ) -> None:
        """End an epoch: keep its measures, its weights if they are the best, and the state.

        Parameters
        ----------
        score : float
            What chooses the best epoch, on validation; larger is better. Of equals the later wins.
        texts : dict of str to str, optional
            Written for TensorBoard.
        **measures : float
            Such as ``train_loss`` and ``validation_accuracy``, the same in every epoch.

        Raises
        ------
        RuntimeError
            There is no epoch to end.
        ValueError
            The measures are not those of the epochs before.
        """
        if self._started is None:
            raise RuntimeError("There is no epoch to end: call training.update once an epoch.")
        if self.done and measures.keys() != self.history.keys():
            raise ValueError(
                f"This epoch has the measures {sorted(measures)}, and those before it have "
                f"{sorted(self.history)}: give training.update the same in every epoch."
            )
        measures = {name: float(value) for name, value in measures.items()}
        with _uninterrupted():
            self.seconds += time.perf_counter() - self._started
            self._started = None
            self.done += 1
            for name, value in measures.items():
                self.history.setdefault(name, []).append(value)
            if score >= self.best_score:
                self.best_score, self.best = score, self._weights()
            if self._curves is not None:
                self._curves.update(**measures)
            if self._log is not None:
                for name, value in measures.items():
                    self._log.add_scalar(name, value, self.done)
                for name, text in (texts or {}).items():
                    self._log.add_text(name, text, self.done)
            self._save()

    def scored(self, train: tuple[float, float], validation: tuple[float, float]) -> None:
        """End an epoch of a classifier: mean loss and accuracy of both parts; see `update`."""
        self.update(
            score=validation[1], train_loss=train[0], validation_loss=validation[0],
            train_accuracy=train[1], validation_accuracy=validation[1],
        )

    def result(self) -> dict[str, Any]:
        """Weights of the best and the last whole epoch, history and what else was kept."""
        if not self._parts:
            raise RuntimeError("Nothing was trained: loop over training.epochs(..., model=model).")
        best = self.best or self._weights()  # stopped in the first epoch: nothing is better yet
        return {
            "best": best,
            "last": self._weights(),
            "history": self.history,
            "extras": checkpoints.plain(self.extras, "extras"),
            "seconds": self.seconds,
            "epochs": self.done,
        }

    def close(self) -> None:
        """Draw the curves a last time and close the log."""
        if self._curves is not None:
            self._curves.close()
        if self._log is not None:
            self._log.close()

    def _weights(self) -> dict[str, torch.Tensor]:
        model = self._parts["model"]
        return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

    def _save(self) -> None:
        if self.folder is None:
            return
        state = {
            "parts": {name: _state(part) for name, part in self._parts.items()},
            "kinds": {name: type(part).__name__ for name, part in self._parts.items()},
            "best": self.best,
            "best_score": float(self.best_score),
            "history": self.history,
            "extras": checkpoints.plain(self.extras, "extras"),
            "done": self.done,
            "seconds": self.seconds,
        }
        self.kept = _write(self.folder, {"state.pt": state}, self.history, "Training goes on.")

    def _restore(self) -> None:
        path = None if self.folder is None else self.folder / "state.pt"
        if path is None or not path.is_file():
            return
        kept = checkpoints.read(path)
        if kept is None:
            return
        kinds = {name: type(part).__name__ for name, part in self._parts.items()}
        before = {name: copy.deepcopy(_state(part)) for name, part in self._parts.items()}
        try:
            if kept["kinds"] != kinds:
                raise ValueError(f"it holds {kept['kinds']}, and here are {kinds}")
            for name, part in self._parts.items():
                _set_state(part, kept["parts"][name])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            for name, part in self._parts.items():  # no half of it may stay
                _set_state(part, before[name])
            raise CheckpointError(
                f"{self.folder.name} does not fit: {error}. Use the model and the settings that it "
                "was made with, or delete the folder to train anew."
            ) from error
        self.best, self.best_score = kept["best"], kept["best_score"]
        self.history, self.extras = kept["history"], kept["extras"]
        self.done, self.seconds, self.kept = kept["done"], kept["seconds"], True


def train_or_load(
    name: str, make: Callable[..., nn.Module], arguments: Mapping[str, Any],
    fit: Callable[..., None], data: Any, *, stage: int, corpus: Any, settings: Mapping[str, Any],
    seed: int, device: torch.device | str = "cpu", features: Callable | None = None,
    feature_arguments: Mapping[str, Any] | None = None, labels: Sequence[str] | None = None,
    table: Mapping[str, str] | None = None, keep: str = "best", chance: float | None = None,
    show: bool = True, tensorboard: bool = False, code: Iterable[Callable] = (),
    start: Mapping[str, torch.Tensor] | None = None, title: str = "",
) -> tuple[nn.Module, dict[str, Any]]:
    """Train a model, go on where it was stopped, or load it where nothing has changed.

    Parameters
    ----------
    name : str
        Such as ``"mlp-raw"``; the start of the folder's name, so without slashes.
    make, arguments : class and dict
        The model is ``make(**arguments)``, with the weights of `seed`.
    fit : callable
        ``fit(training, model, data, **settings)`` trains it; see :class:`Training`.
    data : any
        What `fit` is given to learn from.
    stage : int
        Whose notebook this is.
    corpus : SpeechCommands or CommonVoice
        Where `data` come from.
    settings : dict
        Epochs, rates, sizes: what JSON can hold.
    seed : int
        Of torch's generator, before the model is made; `fit` may need it among its settings, too.
    device : torch.device
    features, feature_arguments : callable and dict, optional
        ``features(waveforms, **feature_arguments)`` is what the network takes of waveforms
        ``(batch, 1, time)``; or a module class and what it is made with.
    labels : list of str, optional
        Words or symbols of the outputs; default the corpus's words.
    table : dict, optional
        How letters are replaced before they become symbols.
    keep : str
        The weights that the model gets: ``"best"`` on validation, or ``"last"``.
    chance : float, optional
        Accuracy of an answer without listening, for the curves.
    show : bool
        Draw the curves.
    tensorboard : bool
        Write a log for TensorBoard beside the checkpoint.
    code : functions and classes, optional
        What made `data`, where `fit` does not reach it.
    start : dict of tensors, optional
        Weights to begin with, instead of random ones.
    title : str
        What stands above the curves, with the corpus; default `name`.

    Returns
    -------
    model : nn.Module
        In eval mode.
    checkpoint : dict
        See :func:`~course_utils.runs.load`.

    Raises
    ------
    ValueError, TypeError
        An argument cannot be used; found before anything is trained.
    """
    checkpoints.refuse_wrong(name, keep, make=make, features=features)
    torch.manual_seed(seed)
    model = make(**arguments).to(device)
    if start is not None:
        model.load_state_dict(start)
    made_by = [item for item in (fit, make, features, *code) if item is not None]
    about = {"name": name} | checkpoints.described(
        make, arguments, notebook=_notebook(stage), settings=settings, features=features,
        feature_arguments=feature_arguments, table=table, corpus=corpus, seed=seed, device=device,
        labels=corpus.words if labels is None else labels, code=made_by,
    )
    known = {} if start is None else {"start": checkpoints.plain(start)}
    folder = runs_folder() / f"{name}-{key(about | known, data)}"
    checkpoint = _finished(folder)
    if checkpoint is None:
        with _claimed(folder) as unfinished:
            heading = f"{title or name} ({corpus.name})"
            training = Training(unfinished, heading, chance, show, tensorboard)
            checkpoint = _train(training, fit, model, data, settings) | about | {"keep": keep}
            if checkpoint["epochs"] == training.planned and unfinished is not None:
                _keep(checkpoint, model, unfinished, folder)
    elif show:
        axes = plotting.learning_curves(checkpoint["history"], chance=chance)
        plotting.show(axes[0].figure)
    model.load_state_dict(checkpoint[keep])
    return model.eval(), checkpoint


def runs_folder() -> Path:
    """The folder of all runs."""
    return settings.runs_folder()


def _train(
    training: Training, fit: Callable, model: nn.Module, data: Any, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Call `fit`; the stop button ends it with one line, and what was learnt is kept."""
    try:
        fit(training, model, data, **options)
    except KeyboardInterrupt:
        if not training.planned:
            raise  # it had not begun
        place = f"stopped after epoch {training.done} of {training.planned}"
        if not training.done:
            print("stopped in the first epoch: nothing was learnt yet; run the cell again to train")
        elif training.kept:
            print(f"{place}; what was learnt is kept; run the cell again to go on")
        else:
            print(f"{place}; the model has what was learnt, but no file: a rerun starts again")
    finally:
        training.close()
    return training.result()


def _finished(folder: Path) -> dict[str, Any] | None:
    """The checkpoint of a finished run, or None if it is still to be trained; says which."""
    path = folder / "checkpoint.pt"
    if settings.quick() or not path.is_file():
        return None
    checkpoint = checkpoints.read(path, finished=True)
    if checkpoint is not None:
        print(
            f"Loaded {folder.parent.name}/{folder.name}: code, settings and corpus are the same. "
            "Delete the folder to train again."
        )
    return checkpoint


@contextlib.contextmanager
def _claimed(folder: Path) -> Iterator[Path | None]:
    """The folder of a training under way, or None where nothing can or shall be kept."""
    if settings.quick():
        yield None
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(files.locked(unfinished, seconds=0))
        except filelock.Timeout:
            print("Another notebook trains this model now: here it is trained, but not kept.")
            unfinished = None
        except OSError as error:
            print(_not_saved(error, "It is trained, but not kept."))
            unfinished = None
        yield unfinished


def _keep(checkpoint: dict, model: nn.Module, unfinished: Path, folder: Path) -> None:
    """Give a finished run its name, with the checkpoint and its summary inside."""
    with _uninterrupted():
        text = checkpoints.summary(checkpoint, model, f"runs/{folder.name}")
        told = "The model is trained and usable; a rerun of this notebook trains it again."
        content = {"checkpoint.pt": checkpoint, "summary.txt": text}
        if not _write(unfinished, content, checkpoint["history"], told):
            return
        with contextlib.suppress(OSError):
            (unfinished / "state.pt").unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)  # a damaged one
            unfinished.replace(folder)


def _write(folder: Path, content: Mapping[str, Any], history: Mapping, consequence: str) -> bool:
    """Write each file whole or not at all; a full disk is said and stops nothing."""
    try:
        for name, item in content.items():
            with files.replace_with(folder / name) as temporary:
                if isinstance(item, str):
                    temporary.write_text(item, encoding="utf-8")
                else:
                    torch.save(item, temporary)
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["epoch", *history])
        numbers = enumerate(zip(*history.values(), strict=True), start=1)
        rows.writerows([epoch, *values] for epoch, values in numbers)
        with files.replace_with(folder / "scalars.csv") as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        print(_not_saved(error, consequence))
        return False
    return True


def _not_saved(error: Exception, consequence: str) -> str:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f"The checkpoint was not saved ({reason}). {consequence} Free some space, or set "
        "COURSE_RUNS to a folder that you may write to."
    )


def _notebook(stage: int) -> str:
    """The file name of a stage's notebook; "" where the checkout has none."""
    for folder in ("notebooks", "labsolutions"):
        for path in sorted((settings.CHECKOUT / folder).glob(f"{stage:02d}_*.ipynb")):
            return path.name
    return ""


def _state(part: Any) -> Any:
    return part.state_dict() if hasattr(part, "state_dict") else part.get_state()


def _set_state(part: Any, state: Any) -> None:
    if hasattr(part, "load_state_dict"):
        part.load_state_dict(state)
    else:
        part.set_state(state)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back the stop button until the body is done: half an epoch's end would be no end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
