"""All trainings of a stage: what they share is said once, and each says what it changes."""

import functools
import hashlib
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from course_utils import results, settings
from course_utils.runs.checkpoint import with_arguments
from course_utils.runs.training import train_or_load


def in_batches(
    function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, size: int = 256
) -> torch.Tensor:
    """A function of a batch, over many clips, without gradients.

    >>> in_batches(lambda batch: 2 * batch, torch.arange(5), size=2)
    tensor([0, 2, 4, 6, 8])
    """
    with torch.no_grad():
        return torch.cat([function(batch) for batch in x.split(size)])


def epochs_for(clips: int, heard: int, fewest: int = 1, most: int = 60) -> int:
    """How many epochs let about so many clips be heard: a small corpus needs more passes.

    >>> epochs_for(3_200, heard=51_200), epochs_for(80, heard=51_200)
    (16, 60)
    """
    return max(fewest, min(most, math.ceil(heard / clips)))


@dataclass
class Trained:
    """A trained network with what made it, which is asked in waveforms.

    Attributes
    ----------
    network : nn.Module
        In eval mode.
    run : dict
        The checkpoint, or another dict with ``seconds``, ``seed`` and ``device``.
    features : callable
        From waveforms ``(batch, 1, time)`` to what the network takes.
    corpus : SpeechCommands
        What it was trained on.
    trainer : Trainer
    """

    network: nn.Module
    run: Mapping[str, Any]
    features: Callable[[torch.Tensor], torch.Tensor]
    corpus: Any
    trainer: "Trainer"

    @property
    def seconds(self) -> float:
        """How long it was trained."""
        return self.run["seconds"]

    def inputs(self, waveforms: torch.Tensor) -> torch.Tensor:
        """What the network gets of many waveforms (clip, 1, time)."""
        return in_batches(self.features, waveforms.to(self.trainer.device))

    def logits(self, waveforms: torch.Tensor) -> torch.Tensor:
        """What the network says of many waveforms (clip, 1, time): (clip, classes)."""
        return in_batches(self.network.eval(), self.inputs(waveforms))

    def accuracy(self, waveforms: torch.Tensor, labels: torch.Tensor) -> float:
        """The share of clips that are named rightly, as the notebook's `evaluate` has it."""
        labels = labels.to(self.trainer.device)
        return self.trainer.evaluate(self.network, self.inputs(waveforms), labels)[1]

    def right(self, waveforms: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Whether each clip is named rightly: bool (clip,)."""
        return self.logits(waveforms).argmax(dim=1).cpu() == labels.cpu()

    def balanced_accuracy(self, waveforms: torch.Tensor, labels: torch.Tensor) -> float:
        """The mean over the classes: each counts the same, however many clips it has."""
        right = self.right(waveforms, labels).float()
        each = [float(right[labels.cpu() == label].mean()) for label in labels.unique().cpu()]
        return sum(each) / len(each)

    def record(
        self, waveforms: torch.Tensor | Mapping[str, torch.Tensor], labels: torch.Tensor, *,
        split: str = "test", metric: str = "accuracy", headline: bool = False,
        corpus: Any = None, tested_on: Any = None, **about: Any,
    ) -> None:
        """Score it on these clips and keep that; see :func:`course_utils.results.record`.

        Parameters
        ----------
        waveforms : tensor (clip, 1, time), or dict of them
            Several versions of the clips, by the name of the noise in them; "" is quiet.
        labels : tensor (clip,)
        split, metric, tested_on, **about
            As ``results.record`` takes them.
        headline : bool
            Whether this is the stage's main result, in quiet.
        corpus : SpeechCommands, optional
            What it was trained on, where that is not its own.
        """
        corpus = corpus or self.corpus
        usual = (tested_on or corpus).split(split).labels.tolist()
        given = labels.tolist()
        countable = metric == "accuracy" and given == usual  # it is known who speaks in each clip
        versions = waveforms if isinstance(waveforms, Mapping) else {"": waveforms}
        kind = type(self.network).__name__
        for noise, clips in versions.items():
            results.record(
                self.trainer.names.get(kind, kind), self.network,
                getattr(self, metric)(clips, labels), stage=self.trainer.stage, run=self.run,
                trained_on=corpus, tested_on=tested_on, split=split, metric=metric, noise=noise,
                headline=headline and not noise, labels=None if given == usual else given,
                right=self.right(clips, labels) if countable else None, **about,
            )  # fmt: skip


def accuracies(
    networks: Mapping[str, Trained], versions: Mapping[Any, torch.Tensor], labels: torch.Tensor
) -> dict[str, dict[Any, float]]:
    """How each network does in each version of the same clips, a fraction.

    Parameters
    ----------
    networks : dict of str to Trained
    versions : dict of anything to tensor (clip, 1, time)
        Such as clips in quiet and in noise.
    labels : tensor (clip,)

    Returns
    -------
    dict of str to dict
        Of each network, by the names of the versions.
    """
    return {
        name: {version: trained.accuracy(clips, labels) for version, clips in versions.items()}
        for name, trained in networks.items()
    }


class Trainer:
    """What the trainings of a stage have in common; a call trains or loads one of them.

    ``fit(training, model, (train, validation, noises, ready), **settings)`` gets waveforms and
    labels of both parts, the noises, and the function that turns waveforms into what the network
    takes; see :func:`~course_utils.runs.train_or_load`.

    Parameters
    ----------
    fit, evaluate : callables
        The notebook's own; ``evaluate(model, inputs, labels)`` returns loss and accuracy.
    stage : int
    corpus : SpeechCommands
    seed : int
    device : torch.device
    features, given : callable and dict
        ``features(waveforms, **given)`` is what the network takes.
    noises : list of tensor (1, time)
        For `fit` to mix in.
    heard : int
        How many clips a training hears, in at most 60 epochs; see :func:`epochs_for`.
    names : dict of str to str
        What the table of results calls a network, by its class.
    **settings
        What else `fit` is told, such as the batch size.
    """

    def __init__(
        self, fit: Callable[..., None], evaluate: Callable[..., tuple[float, float]], *,
        stage: int, corpus: Any, seed: int, device: torch.device, features: Callable,
        given: Mapping[str, Any], heard: int, noises: Sequence[torch.Tensor] = (),
        names: Mapping[str, str] | None = None, **settings: Any,
    ):
        self.fit, self.evaluate, self.stage = fit, evaluate, stage
        self.corpus, self.seed, self.device = corpus, seed, device
        self.features, self.given, self.noises = features, dict(given), noises
        self.heard, self.names, self.settings = heard, dict(names or {}), settings

    @property
    def epochs(self) -> int:
        """How many epochs a training on its own corpus has."""
        return epochs_for(len(self.corpus.split("train")), self.heard)

    def __call__(
        self, name: str, make: Callable[..., nn.Module],
        arguments: Mapping[str, Any] | None = None, *, source: Any = None,
        features: Callable | None = None, given: Mapping[str, Any] | None = None,
        noises: Sequence[torch.Tensor] | None = None, task: Callable | None = None,
        labels: Iterable[str] | None = None, start: Trained | None = None,
        epochs: int | None = None, show: bool = True, title: str = "", **changes: Any,
    ) -> Trained:
        """Train a network, or load it where nothing has changed.

        Parameters
        ----------
        name : str
            What the folder of the run begins with.
        make, arguments : class and dict
            The network is ``make(classes=..., **arguments)``.
        source, features, given, noises : optional
            Others than those of the stage.
        task : callable, optional
            ``task(waveforms, labels)`` makes other clips and labels of those of the corpus.
        labels : list of str, optional
            What the classes mean, where they are not the corpus's words.
        start : Trained, optional
            Goes on from the weights of this one.
        epochs : int, optional
            With ``COURSE_QUICK=1`` there are two.
        show : bool
            Draw the curves.
        title : str
            What stands above them; default `name`.
        **changes
            Other settings of `fit` than those of the stage.

        Returns
        -------
        Trained
        """
        source = source or self.corpus
        if given is None:
            given = self.given if features is None else {}
        features = features or self.features
        parts = [source.split(split).tensors() for split in ("train", "validation")]
        parts = [
            tuple(tensor.to(self.device) for tensor in (task(*part) if task else part))
            for part in parts
        ]
        # Of the test part, as everywhere; a task has labels of its own.
        tested = parts[1][1] if task else source.split("test").labels
        labels = list(labels or source.words)
        epochs = 2 if settings.quick() else epochs or epochs_for(len(parts[0][0]), self.heard)
        ready = with_arguments(features, given)
        network, run = train_or_load(
            "-".join(re.findall(r"[\w.]+", name)), make,
            {"classes": len(labels)} | dict(arguments or {}), self.fit,
            [*parts, self.noises if noises is None else noises, ready],
            stage=self.stage, corpus=source, seed=self.seed, device=self.device,
            settings=self.settings | {"epochs": epochs, "seed": self.seed} | changes,
            features=features, feature_arguments=given, labels=labels, show=show,
            code=[task] if task else (), chance=results.chance_of(tested.tolist()),
            start=None if start is None else start.network.state_dict(), title=title,
        )  # fmt: skip
        return Trained(network, run, ready, source, self)

    def on_clips(
        self, name: str, fit: Callable[..., None], network: nn.Module, words: Sequence[str],
        clips: torch.Tensor, labels: torch.Tensor, *given: Any, **settings: Any,
    ) -> Trained:
        """Go on with a network on clips of one's own, or load it where nothing has changed.

        Parameters
        ----------
        name : str
            What the folder of the run begins with.
        fit : callable
            ``fit(training, model, (clips, labels, *given), **settings)``.
        network : nn.Module
            Of a class that is made with ``classes=``; its weights are the start.
        words : list of str
            What its outputs mean: they are saved with it.
        clips, labels : tensors (clip, 1, time) and (clip,)
        *given, **settings
            What else `fit` is given and told.
        """
        content = hashlib.sha256(clips.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
        own = SimpleNamespace(
            words=list(words), name="own recordings", fingerprint=content[:12],
            sample_rate=self.corpus.sample_rate,
        )  # fmt: skip
        data = [clips.to(self.device), labels.to(self.device), *given]
        model, run = train_or_load(
            name, type(network), {"classes": len(words)}, fit, data, stage=self.stage, corpus=own,
            seed=self.seed, device=self.device, settings=settings, features=self.features,
            feature_arguments=self.given, keep="last", show=False, start=network.state_dict(),
        )
        return Trained(model, run, with_arguments(self.features, self.given), self.corpus, self)

    def directly(self, function: Callable[..., nn.Module], *given: Any, **options: Any) -> Trained:
        """What a function trains and returns, with the time that it took; there is no checkpoint.

        Parameters
        ----------
        function : callable
            Returns a network, which takes the features of the stage.
        *given, **options
            What it is given.
        """
        start = time.perf_counter()
        network = function(*given, **options)
        run = {
            "seconds": time.perf_counter() - start, "seed": self.seed, "device": str(self.device),
        }  # fmt: skip
        ready = functools.partial(self.features, **self.given)
        return Trained(network, run, ready, self.corpus, self)
