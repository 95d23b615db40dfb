"""What a finished training leaves: a checkpoint, a summary in words, and the model again."""

import functools
import inspect
import io
import math
import platform
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from course_utils import __version__, exercises, settings
from course_utils.runs.code import collected

#: Which weights a notebook can take.
KEEP = ("best", "last")


class CheckpointError(ValueError):
    """A checkpoint is not what it is taken for; the message says what differs."""


def refuse_wrong(name: str, keep: str, **code: Callable | None) -> None:
    """Raise ValueError or TypeError for what would fail only once a model is trained.

    Parameters
    ----------
    name : str
        Of the run.
    keep : str
        One of `KEEP`.
    **code : class or function, optional
        What a notebook must define under its name.
    """
    if not re.fullmatch(r'[^<>:"/\\|?*]{1,100}', name) or not name.isprintable():
        raise ValueError(
            f"name is {name!r}; a folder is called after it: give 1 to 100 letters, without "
            'any of < > : " / \\ | ? *'
        )
    if keep not in KEEP:
        raise ValueError(f"keep is {keep!r}; it must be one of {KEEP}")
    for what, given in code.items():
        if given is not None and not hasattr(given, "__name__"):
            raise TypeError(f"{what} is {given!r}; give the class or the function itself")


def plain(value: Any, name: str = "this value") -> Any:
    """The same value in types that a checkpoint may hold: numbers, text, lists, dicts, tensors.

    NumPy's scalars and arrays are converted: a checkpoint with one could not be read again.

    Raises
    ------
    CheckpointError
        It holds something else; the message names it.

    Examples
    --------
    >>> plain({"loss": np.float32(0.5), "layers": [(5, 1)]})
    {'loss': 0.5, 'layers': [(5, 1)]}
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "biuf":  # text and objects are no tensor
            return plain(value.tolist(), name)
        return torch.from_numpy(value.copy())
    if isinstance(value, torch.Tensor):
        return value.detach().cpu()
    if isinstance(value, Mapping):
        return {plain(key): plain(item, f"{name}[{key!r}]") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(item, f"{name}[{i}]") for i, item in enumerate(value))
    if isinstance(value, Path | torch.device):
        return str(value)
    if isinstance(value, str):
        return str(value)  # torch's version is a str of its own kind
    if value is None or isinstance(value, bool | int | float):
        return value
    raise CheckpointError(
        f"{name} is a {type(value).__name__}; a checkpoint holds numbers, text, lists, dicts and "
        "tensors only."
    )


#: What a finished training writes, by type; a file without one of these is from elsewhere.
_FIELDS = {
    dict: (
        *("best", "last", "history", "extras", "settings", "arguments", "feature_arguments"),
        *("table", "versions", "code"),
    ),
    str: ("keep", "class", "notebook", "corpus", "fingerprint", "device"),
    str | None: ("features",),
    list: ("labels",),
    int | float: ("seconds", "epochs", "sample_rate"),
}


def _opened(path: Path, finished: bool) -> Any:
    """What a file holds, or a CheckpointError; no code in it is ever run."""
    content = path.read_bytes()  # an error of the disk is not a damaged checkpoint
    place = f"{path.parent.name}/{path.name}"
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:  # torch compares no checksums
            if (part := parts.testzip()) is not None:
                raise zipfile.BadZipFile(part)
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make torch's reader fail in any way
        raise CheckpointError(f"{place} is damaged ({type(error).__name__})") from error
    if finished:
        fields = found if isinstance(found, dict) else {}
        wrong = [
            name
            for kind, names in _FIELDS.items()
            for name in names
            if name not in fields or not isinstance(fields[name], kind)
        ]
        if not wrong and fields["keep"] not in KEEP:
            wrong = ["keep"]
        if wrong:
            lacking = ", ".join(wrong)
            raise CheckpointError(f"{place} is not a checkpoint of this course (wrong: {lacking})")
    return found


def read(path: Path, finished: bool = False) -> Any:
    """What a file of tensors and numbers holds, or None if its content is damaged.

    A damaged file is set aside under another name, and that is said. No code in it is ever run.

    Parameters
    ----------
    path : Path
    finished : bool
        It must hold all that a finished training leaves.

    Raises
    ------
    OSError
        The file cannot be read; it stays where it is.
    """
    try:
        return _opened(path, finished)
    except CheckpointError as error:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        reason = str(error)
    print(f"The checkpoint {reason}; it is now {aside.name}, and the model is trained anew.")
    return None


def load(path: str | Path) -> dict[str, Any]:
    """All that a finished training left.

    Parameters
    ----------
    path : path
        The run's folder, or the ``checkpoint.pt`` in it; ``runs/NAME``, as its summary calls it, is
        found from any folder.

    Returns
    -------
    dict
        ``best`` and ``last`` weights, which of them the notebook took (``keep``), ``history``,
        ``extras``, ``seconds``, ``settings``, ``class`` and ``arguments`` of the model, the
        ``notebook`` it comes from, ``labels`` (words or symbols), ``table`` of letters,
        ``features`` and ``feature_arguments``, ``corpus`` and its ``fingerprint``, ``seed``,
        ``device``, ``versions`` and hashes of its ``code``.

    Raises
    ------
    FileNotFoundError
        There is no such run.
    CheckpointError
        The file is not a checkpoint of this course.
    """
    path = Path(path)
    if not path.is_absolute() and not path.exists():
        parts = path.parts[1:] if path.parts[:1] == ("runs",) else path.parts
        path = settings.runs_folder().joinpath(*parts)
    path = path / "checkpoint.pt" if path.is_dir() else path
    try:
        return _opened(path, finished=True)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no checkpoint {path}: give the folder of a finished run, such as "
            "runs/cnn-0123456789ab."
        ) from None
    except CheckpointError as error:
        raise CheckpointError(f"{error}: give another run, or train this one again.") from error


@dataclass
class TrainedModel:
    """A trained network with all that it needs, from waveform to logits.

    Attributes
    ----------
    network : nn.Module
        In eval mode, on the CPU, with the weights that the notebook kept: those that did best on
        validation, or the last.
    labels : list of str
        Words or symbols, in the order of the outputs.
    sample_rate : int
        Of the waveforms that it takes, in Hz.
    features : callable or None
        From waveforms ``(batch, 1, time)`` to what the network takes.
    checkpoint : dict
        See :func:`load`.
    notebook : Path
        What defines the class.
    """

    network: nn.Module
    labels: list[str]
    sample_rate: int
    features: Callable | None
    checkpoint: dict[str, Any]
    notebook: Path

    def __call__(self, waveforms: torch.Tensor) -> Any:
        """What the network says of waveforms ``(batch, 1, time)``, amplitude in [-1, 1]."""
        with torch.no_grad():
            inputs = waveforms if self.features is None else self.features(waveforms)
            if isinstance(inputs, tuple):  # features and their lengths
                return self.network(*inputs)
            return self.network(inputs)


def model(path: str | Path, notebook: str | Path | None = None) -> TrainedModel:
    """A trained model, from its checkpoint and the notebook that defines its class.

    Parameters
    ----------
    path : path
        The run's folder, or the ``checkpoint.pt`` in it.
    notebook : path, optional
        Where the class is defined; default the notebook that the checkpoint names: the one in
        ``notebooks/`` if its code is what was trained, else the one in ``labsolutions/``.

    Raises
    ------
    FileNotFoundError
        There is no such run, or no such notebook.
    CheckpointError
        No notebook defines the class, or its weights do not fit.

    Warns
    -----
    Prints which definitions are not those that were trained.
    """
    checkpoint = load(path)
    name = Path(checkpoint["notebook"]).name  # a stranger's file must not lead elsewhere
    places = [settings.CHECKOUT / folder / name for folder in _FOLDERS]
    if notebook is not None:
        places = [Path(notebook)]
    places = [place for place in places if place.is_file()]
    if not places:
        raise FileNotFoundError(
            f"The notebook {notebook or checkpoint['notebook']} is not there: it defines "
            f"{checkpoint['class']}. Give its path as notebook=."
        )
    found, reasons = [], []
    for place in places:
        try:
            found.append((place, *_rebuilt(checkpoint, place)))
        except Exception as error:  # the code of a notebook can fail in any way
            told = isinstance(error, exercises.NotebookError | NotImplementedError)
            reason = str(error) if told else f"{type(error).__name__}: {error}"
            reasons.append(f"{place.parent.name}/{place.name}: {reason}")
    if not found:
        raise CheckpointError(f"{checkpoint['class']} cannot be built. {'; '.join(reasons)}")
    place, network, features, changed = min(found, key=lambda item: bool(item[3]))
    if changed:
        print(
            f"Careful: {place.parent.name}/{place.name} is not what was trained. These definitions "
            f"differ: {', '.join(changed)}."
        )
    try:
        network.load_state_dict(checkpoint[checkpoint["keep"]])
    except RuntimeError as error:
        raise CheckpointError(
            f"The weights do not fit {checkpoint['class']} of {place.parent.name}/{place.name}: "
            f"{error}"
        ) from error
    return TrainedModel(
        network.eval(), checkpoint["labels"], checkpoint["sample_rate"], features, checkpoint, place
    )


#: Where a notebook lies: a student's own comes first.
_FOLDERS = ("notebooks", "labsolutions")


def _rebuilt(checkpoint: dict, notebook: Path) -> tuple[nn.Module, Callable | None, list[str]]:
    """Network and features as a notebook defines them, and the names that differ."""
    names = [name for name in (checkpoint["class"], checkpoint["features"]) if name]
    defined = exercises.definitions(notebook, names)
    roots = [defined[name] for name in names]
    for name, root in zip(names, roots, strict=True):
        if not callable(root):
            raise exercises.NotebookError(f"{name} is no class and no function there")
    known, here = checkpoint["code"], collected(*roots)
    changed = [name for name, code in here.items() if known.get(name) != code]
    network = roots[0](**checkpoint["arguments"])
    if not isinstance(network, nn.Module):
        raise exercises.NotebookError(f"{checkpoint['class']} makes no network there")
    features = roots[1] if len(roots) > 1 else None
    if features is not None:
        features = with_arguments(features, checkpoint["feature_arguments"])
        silence = torch.zeros(1, 1, checkpoint["sample_rate"])
        with torch.no_grad():
            features(silence)  # a stub says so now, and not at the first prediction
    return network, features, changed


def with_arguments(features: Callable, arguments: Mapping[str, Any]) -> Callable:
    """A function of waveforms alone, from a function or a module class and its arguments."""
    if inspect.isclass(features):
        return features(**arguments).eval()
    return functools.partial(features, **arguments)


def described(
    make: Callable, arguments: Mapping[str, Any], *, notebook: str, settings: Mapping[str, Any],
    features: Callable | None, feature_arguments: Mapping[str, Any] | None, labels: Sequence[str],
    table: Mapping[str, str] | None, corpus: Any, seed: int, device: torch.device | str,
    code: Iterable[Callable],
) -> dict[str, Any]:
    """What a checkpoint says of a training before it begins; see :func:`load`.

    Parameters
    ----------
    make, arguments : class and dict
        The network is ``make(**arguments)``.
    notebook : str
        The name of the file that defines all of this.
    settings : dict
    features, feature_arguments : callable and dict, optional
        From waveforms to what the network takes.
    labels : list of str
    table : dict, optional
    corpus : SpeechCommands or CommonVoice
    seed : int
    device : torch.device
    code : functions and classes
        What made the data and the weights.

    Raises
    ------
    CheckpointError
        Something in it is nothing that a checkpoint may hold.
    """
    about = {
        "notebook": notebook,
        "class": make.__name__,
        "arguments": dict(arguments),
        "settings": dict(settings),
        "features": None if features is None else features.__name__,
        "feature_arguments": dict(feature_arguments or {}),
        "labels": list(labels),
        "table": dict(table or {}),
        "sample_rate": corpus.sample_rate,
        "corpus": corpus.name,
        "fingerprint": corpus.fingerprint,
        "seed": seed,
        "device": str(device),
        "versions": {
            "torch": torch.__version__,
            "Python": platform.python_version(),
            "course_utils": __version__,
        },
        "code": collected(*code),
    }
    return plain(about, "the settings of this training")


def summary(checkpoint: Mapping[str, Any], network: nn.Module, place: str) -> str:
    """The checkpoint in words: layers, settings, scores, and how to load it.

    Parameters
    ----------
    checkpoint : dict
        See :func:`load`.
    network : nn.Module
    place : str
        The run's folder, as :func:`load` takes it.
    """
    layers = []
    for name, module in network.named_modules():
        count = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        if count:
            kind = type(module).__name__
            layers.append(f"  {name or 'itself':<24} {kind:<14} {count:>10,} parameters")
    total = sum(parameter.numel() for parameter in network.parameters())
    scores = [
        f"  {name:<24} {_best(name)(values):.4f} in epoch "
        f"{values.index(_best(name)(values)) + 1}, {values[-1]:.4f} at the end"
        for name, values in checkpoint["history"].items()
        if not any(map(math.isnan, values))
    ]
    given = [f"  {name:<24} {value}" for name, value in checkpoint["settings"].items()]
    versions = ", ".join(f"{name} {version}" for name, version in checkpoint["versions"].items())
    lines = [
        f"{checkpoint['class']} of {checkpoint['notebook']}: {total:,} parameters",
        f"trained on {checkpoint['corpus']} for {checkpoint['epochs']} epochs in "
        f"{checkpoint['seconds']:.1f} s on {checkpoint['device']}, seed {checkpoint['seed']}",
        f"with {versions}",
        *("", "Layers", *layers),
        *("", "Settings", *given),
        *("", "Scores", *scores),
        *("", "To use it again"),
        "  from course_utils import runs",
        f'  model = runs.model("{place}")  # model(waveforms): (batch, 1, time) at '
        f"{checkpoint['sample_rate']} Hz",
    ]
    return "\n".join(lines) + "\n"


def _best(name: str) -> Callable:
    """Accuracies are to be large, losses and error rates small."""
    return max if name.endswith("accuracy") else min
