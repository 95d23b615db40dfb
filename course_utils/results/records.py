"""Results: what one is, how it is computed from the objects, and where it is kept."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from course_utils import exercises, files, rates, settings

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "accuracy, mean over classes",
    "cer": "CER",
    "wer": "WER",
}
_CHOICES = {
    "stage": (1, 2, 3, 4),
    "split": ("train", "validation", "test"),
    "metric": tuple(METRICS),
}
#: The fields that tell one result from another; several seeds of it are one row of the table.
RESULT = ("stage", "model", "variant", "task", "noise", "trained_on", "tested_on", "split")
RESULT += ("metric", "classes")
#: ... and one run from another: a result replaces one that has all of these in common.
IDENTITY = (*RESULT, "seed")


@dataclass
class Result:
    """One value that a model reached; wrong fields raise a ValueError that names them."""

    stage: int
    model: str
    headline: bool  # the stage's main result
    trained_on: str
    tested_on: str
    split: str
    train_clips: int
    test_clips: int
    test_speakers: int
    classes: int
    chance: float | None  # a fraction; None where guessing means nothing (cer, wer)
    parameters: int
    metric: str
    value: float  # a fraction
    seconds: float  # of training
    seed: int
    device: str
    variant: str = ""  # how it was trained, if there are several ways
    task: str = ""  # which words, if not all
    noise: str = ""  # what was mixed into the clips
    references: list[str] = field(default_factory=list)  # exercises whose reference was loaded
    caveats: list[str] = field(default_factory=list)  # of the corpora: what a score then means
    low: float | None = None  # the interval over speakers, where it is known
    high: float | None = None

    def __post_init__(self) -> None:
        for about in fields(self):
            setattr(self, about.name, checked(about.name, getattr(self, about.name), about.type))
        if (self.low is None) != (self.high is None) or (self.low or 0) > (self.high or 0):
            raise ValueError(f"low is {self.low!r}, high {self.high!r}: an interval has two ends")
        for name in ("value", "chance"):
            number = getattr(self, name)
            if "accuracy" in self.metric and (number is None or number > 1):
                raise ValueError(f"{name} is {number!r}; an accuracy is a fraction, 0 to 1")

    @property
    def name(self) -> str:
        """What the table calls it."""
        return ", ".join(filter(None, (self.model, self.variant, self.task, self.noise)))


def checked(name: str, value: Any, kind: Any) -> Any:
    """The value in a plain type, or a ValueError that names the field."""
    if name in ("references", "caveats"):
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return list(value)
        what = "exercise ids" if name == "references" else "texts"
        raise ValueError(f"{name} is {value!r}; it must be a list of {what}")
    if name in ("chance", "low", "high") and value is None:
        return value
    if kind in (int, float, float | None):
        number = Integral if kind is int else Real
        if isinstance(value, bool) or not isinstance(value, number):
            raise ValueError(
                f"{name} is {value!r}; it must be {'an int' if kind is int else 'a float'}"
            )
        value = int(value) if kind is int else float(value)
        if not math.isfinite(value) or value < 0:
            raise ValueError(f"{name} is {value!r}; it must be finite and not negative")
    elif not isinstance(value, kind) or (value == "" and name not in ("variant", "task", "noise")):
        filled = ", not empty" if value == "" else ""
        raise ValueError(f"{name} is {value!r}; it must be a {kind.__name__}{filled}")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ValueError(f"{name} is {value!r}; it must be one of {_CHOICES[name]}")
    return value


def _result(given: Mapping[str, Any]) -> Result:
    """A result of these fields, or a ValueError that names what is missing or unknown."""
    known = {about.name for about in fields(Result)}
    needed = [about.name for about in fields(Result)][
        : -len(("variant", "task", "noise", "references", "caveats", "low", "high"))
    ]
    if missing := [name for name in needed if name not in given]:
        raise ValueError(f"the record lacks {', '.join(missing)}")
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"a record has no {', '.join(unknown)}; its keys are {', '.join(known)}")
    return Result(**given)


def chance_of(labels: Iterable[int], metric: str = "accuracy") -> float | None:
    """The best that an answer without listening can get: always the most frequent word.

    Parameters
    ----------
    labels : iterable of int
        Of the clips that are tested, and of no others.
    metric : str
        Where the classes are averaged, every constant answer gets one class of them; an error rate
        has no chance level.

    Examples
    --------
    >>> chance_of([0, 0, 1, 2]), chance_of([0, 0, 1, 2], "balanced_accuracy"), chance_of([], "cer")
    (0.5, 0.3333333333333333, None)
    """
    if checked("metric", metric, str) in ("cer", "wer"):
        return None
    counts = np.unique(np.asarray(list(labels)), return_counts=True)[1]
    if not len(counts):
        raise ValueError("There are no labels: give those of the clips that are tested.")
    return 1 / len(counts) if metric == "balanced_accuracy" else float(counts.max() / counts.sum())


def record(
    model: str, network: nn.Module | None, value: float, *, stage: int, run: Mapping[str, Any],
    trained_on: Any, tested_on: Any = None, split: str = "test", metric: str = "accuracy",
    variant: str = "", task: str = "", noise: str = "", headline: bool = False,
    labels: Iterable[int] | None = None, train_clips: int | None = None,
    right: Any = None, errors: tuple[Any, Any] | None = None, speakers: Any = None,
    path: str | Path | None = None,
) -> Result:
    """Compute what a result needs from the objects, and keep it in the file of results.

    It replaces an earlier one of the same names, corpora, split, metric, classes and seed.

    Parameters
    ----------
    model : str
        Its name, such as ``"LSTM"``.
    network : nn.Module or None
        Whose parameters are counted.
    value : float
        A fraction.
    stage : int
    run : dict
        The checkpoint, or another dict with ``seconds``, ``seed`` and ``device``.
    trained_on, tested_on : SpeechCommands or CommonVoice
        The corpora; `tested_on` is `trained_on` by default.
    split : str
        Which part of `tested_on`.
    metric : str
        ``accuracy``, ``balanced_accuracy`` (mean over classes), ``cer`` or ``wer``.
    variant, task, noise : str
        How it was trained, which words, what was mixed into the clips: "" where there is one.
    headline : bool
        Whether this is the stage's main result.
    labels : iterable of int, optional
        Of the clips that were tested, where these are not the clips of `split`.
    train_clips : int, optional
        How many it was trained on, where these are not the clips of ``train``.
    right : iterable of bool (clip,), optional
        Of each clip that was tested, in order, whether it was named rightly: then the table has an
        interval over speakers.
    errors : (iterable of int, iterable of int), optional
        The same for a rate of errors: of each clip the errors, and the letters or words.
    speakers : iterable of str (clip,), optional
        Of the clips that were tested, where these are not the clips of `split`.
    path : path, optional
        The JSON file; by default ``settings.results_file()``.

    Raises
    ------
    ValueError
        If a field holds a wrong value; the message names it.
    OSError
        If the file cannot be written.
    """
    checked("metric", metric, str)
    if lacking := [name for name in ("seconds", "seed", "device") if name not in run]:
        raise ValueError(f"run has no {', '.join(lacking)}; give the checkpoint of the training")
    device = str(run["device"]) if isinstance(run["device"], torch.device) else run["device"]
    tested_on = trained_on if tested_on is None else tested_on
    tested = tested_on.split(split)
    classes = len(run.get("labels", ())) or len(trained_on.words)
    low, high = _interval(value, tested.speakers if speakers is None else speakers, right, errors)
    if labels is not None:
        labels = [int(label) for label in labels]
        classes = len(set(labels))
    elif "accuracy" in metric:
        labels = tested.labels
    return keep(
        stage=stage, model=model, variant=variant, task=task, noise=noise, headline=headline,
        trained_on=trained_on.name, tested_on=tested_on.name, split=split,
        train_clips=len(trained_on.split("train")) if train_clips is None else train_clips,
        test_clips=len(tested if labels is None else labels),
        test_speakers=len(set(tested.speakers)), classes=classes,
        chance=chance_of(() if labels is None else labels, metric),
        parameters=0 if network is None else sum(p.numel() for p in network.parameters()),
        metric=metric, value=value, seconds=run["seconds"], seed=run["seed"], device=device,
        references=sorted(exercises.loaded_references, key=exercise_number),
        caveats=list(dict.fromkeys([*trained_on.caveats, *tested_on.caveats])), path=path,
        low=low, high=high,
    )


def _interval(
    value: float, speakers: Iterable[str], right: Any, errors: tuple[Any, Any] | None
) -> tuple[float | None, float | None]:
    """Between which values the speakers would let it lie; nothing where nobody counted."""
    if right is None and errors is None:
        return None, None
    if right is not None:
        right = [int(each) for each in right]
        errors = right, [1] * len(right)
    of_each = rates.by_speaker(speakers, *([int(n) for n in part] for part in errors))
    rate = sum(wrong for wrong, _ in of_each.values()) / sum(n for _, n in of_each.values())
    if abs(rate - value) > 1e-4:
        raise ValueError(
            f"value is {value:.4f}, but the clips that were counted make {rate:.4f}: they are "
            "not those that the value was computed from."
        )
    return rates.bootstrap(of_each)


def exercise_number(exercise: str) -> list[int]:
    """Stage and number of an exercise id, so that 1.10 sorts after 1.9."""
    return [int(part) for part in exercise.split(".")]


def keep(*, path: str | Path | None = None, **given: Any) -> Result:
    """Check the fields of one result and keep it; see :class:`Result` and :func:`record`.

    Two notebooks may record at once. A corrupt file is set aside under another name. With
    ``COURSE_QUICK=1`` nothing is written.
    """
    new = _result(given)
    if settings.quick():
        print("Quick mode (COURSE_QUICK=1): the result is not recorded.")
        return new
    path = Path(path or settings.results_file())
    try:
        with files.locked(path, seconds=60):
            try:
                results = _parse(path.read_text(encoding="utf-8-sig"))
            except FileNotFoundError:
                results = []
            except ValueError as error:
                stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
                aside = path.replace(path.with_name(f"{path.name}.corrupt-{stamp}"))
                print(f"{path} is not a file of results ({error}); it is now {aside.name}.")
                results = []
            results = [old for old in results if identity(old) != identity(new)]
            text = json.dumps([*map(asdict, results), asdict(new)], indent=1, ensure_ascii=False)
            with files.replace_with(path) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise OSError(
            f"The results cannot be written to {path} ({error}). Set COURSE_RESULTS to a file "
            "in a folder that you may write to."
        ) from error
    return new


def identity(result: Result, names: tuple[str, ...] = IDENTITY) -> tuple:
    """What a result has in these fields."""
    return tuple(getattr(result, name) for name in names)


def _parse(text: str) -> list[Result]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError("it is not a list of records")
    return [_result(item) for item in found]


def load(path: str | Path | None = None) -> list[Result]:
    """Every result of the file; a file that cannot be read is left alone, and named."""
    path = Path(path or settings.results_file())
    try:
        return _parse(path.read_text(encoding="utf-8-sig"))  # some editors put a mark before it
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:  # also JSONDecodeError and UnicodeDecodeError
        print(f"{path} is not a file of results and is ignored: {error}")
        return []


def measurements() -> list[Path]:
    """The files of measurements that come with the course, oldest first."""
    return sorted((settings.CHECKOUT / "labsolutions" / "measurements").glob("*.json"))


def references() -> list[tuple[Result, str]]:
    """The measurements that come with the course, each with its date.

    Of several files in ``labsolutions/measurements``, the newest that holds a result wins.
    """
    found: dict[tuple, list[tuple[Result, str]]] = {}
    for date, results, _ in _measured():
        newest: dict[tuple, list[tuple[Result, str]]] = {}
        for result in results:
            newest.setdefault(identity(result, RESULT), []).append((result, date))
        found.update(newest)
    return [pair for same in found.values() for pair in same]


def curves(corpus: str) -> dict[str, list[dict[str, list[float]]]]:
    """The epochs of measured trainings: by name one history a seed, each a list a measure.

    Parameters
    ----------
    corpus : str
        What they were trained on, such as ``"embedded fr"``.
    """
    newest = {
        (curve["name"], curve["seed"]): {
            name: [float(value) for value in text.split()]
            for name, text in curve.items()
            if name not in ("name", "seed", "source")
        }
        for _, _, drawn in _measured()
        for curve in drawn
        if curve["source"] == corpus
    }
    found: dict[str, list[dict[str, list[float]]]] = {}
    for (name, _), history in sorted(newest.items()):
        found.setdefault(name, []).append(history)
    return found


def _measured() -> list[tuple[str, list[Result], list[dict[str, Any]]]]:
    """Date, results and curves of each file of measurements, the oldest first."""
    measured = []
    for path in measurements():
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            date = datetime.strptime(content["date"], "%Y-%m-%d").strftime("%Y-%m-%d")
            records = [_result(item) for item in content["records"]]
            measured.append((date, records, content.get("curves", [])))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name} is not a file of measurements: {error!r}") from error
    return sorted(measured, key=lambda one: one[0])
