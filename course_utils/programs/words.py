"""Single words, of what notebook 03 defines."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_utils.corpora import speech_commands
from course_utils.corpora.noises import kept_apart, parts_of, random_crops
from course_utils.corpora.speech_commands import COMMANDS, SpeechCommands
from course_utils.programs.base import Refused, taken_from
from course_utils.programs.shares import Key, Sounds, generator_of
from course_utils.programs.tasks import arguments_for

NAMES = ("prepare", "spread_of", "augment")
#: The spread of the features comes from so many training clips at most, drawn at random.
STATISTICS_CLIPS = 10_000
UNKNOWN, SILENCE = "unknown", "silence"
TASKS = {
    "10": "the ten commands",
    "12": f"the ten commands, {UNKNOWN} (any other word) and {SILENCE} (a noise), all as frequent",
    "all": "every word of the corpus",
}


class Labelled(Sounds):
    """Clips of one second with their labels; of training clips altered at random.

    Parameters
    ----------
    part : SpeechCommands
    rows : int array (clip,)
        Of its clips; -1 is a piece of a noise.
    labels : int array (clip,)
    noises : list of tensor (1, time)
    augment : callable, optional
        ``augment(waveforms (1, 1, time), noises, generator)``.
    seed : int
    """

    def __init__(
        self,
        part: SpeechCommands,
        rows: np.ndarray,
        labels: np.ndarray,
        noises: Sequence[torch.Tensor],
        augment: Callable | None = None,
        seed: int = 0,
    ):
        file, starts, lengths = part.places()
        super().__init__(file, np.where(rows < 0, -1, starts[rows]), lengths[rows])
        self.speakers = np.where(rows < 0, "", part.speakers[rows])  # nobody's is the noise
        self.labels, self.noises = labels.astype(np.int64), noises
        self.augment, self.seed = augment, seed

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, int]:
        epoch, row = key
        # Noise is another one in each epoch only where it is to be learnt from.
        generator = generator_of(self.seed, epoch if self.augment else 0, row)
        if self.starts[row] < 0:
            loudness = 10 ** (-2 * float(torch.rand((), generator=generator)))  # 0 to -40 dB
            samples = int(self.lengths[row])
            waveform = loudness * random_crops(self.noises, 1, samples, generator)[0]
        else:
            waveform = self.waveform(row)
        if self.augment is not None:
            waveform = self.augment(waveform[None], self.noises, generator)[0]
        return waveform, int(self.labels[row])


def labelled(
    part: SpeechCommands,
    words: Sequence[str],
    noises: Sequence[torch.Tensor],
    augment: Callable | None = None,
    seed: int = 0,
) -> Labelled:
    """The clips of a part that say one of the words; see `TASKS` on unknown words and silence."""
    place = {word: number for number, word in enumerate(words)}
    other = place.get(UNKNOWN, -1)
    labels = np.array([place.get(word, other) for word in part.spoken], np.int64)
    rows = np.flatnonzero(np.isin(part.spoken, words))
    if SILENCE in place:
        count = max(1, len(rows) // (len(words) - 2))
        others = np.random.default_rng(seed).permutation(np.flatnonzero(labels == other))[:count]
        rows = np.concatenate([rows, others, np.full(count, -1)])
    labels = np.where(rows < 0, place.get(SILENCE, -1), labels[rows])
    return Labelled(part, rows, labels, noises, augment, seed)


class Words:
    """The task of stage 3; see :class:`~course_utils.programs.tasks.Task`."""

    score, counts = "validation_accuracy", 3

    def __init__(self, options: argparse.Namespace, device: torch.device):
        self.options, self.device = options, device
        name = options.model or "SpeechLSTM"
        self.space = taken_from(options.notebook, [*NAMES, name])
        self.make = self.space[name]
        self.space["device"] = device
        self.network_arguments(classes=2)  # what is wrong in them is said now

    def network_arguments(self, **sizes: int) -> dict[str, Any]:
        """What the network is made with."""
        own = {"hidden": self.options.hidden, "dropout": self.options.dropout}
        own |= {"cell": self.options.cell}
        return arguments_for(self.make, {**own, **sizes}, self.options.set)

    def open(self) -> None:
        """Open the corpus, and prepare what all processes compute alike."""
        options = self.options
        self.corpus = speech_commands.load(
            options.corpus, words=COMMANDS if options.task == "10" else None
        )
        if options.limit:
            self.corpus = self.corpus.sample(options.limit, options.seed)
        self.words = list(self.corpus.words)
        if options.task == "12":
            self.words = [*(word for word in COMMANDS if word in self.words), UNKNOWN, SILENCE]
            if len(self.words) < 4 or set(self.corpus.words) <= set(COMMANDS):
                raise Refused(
                    f"--task 12 needs commands and other words; {self.corpus.name} has "
                    f"{', '.join(self.corpus.words)}. Take --task 10, or another corpus."
                )
        self.arguments = self.network_arguments(classes=len(self.words))
        noises = self.corpus.background_noise()
        met, _ = kept_apart(noises)
        heard, kept_back = parts_of(noises, met, 0, 0.7), parts_of(noises, met, 0.7, 1)
        augment = self.space["augment"] if options.augment else None
        seed = options.seed
        self.train = labelled(self.corpus.split("train"), self.words, heard, augment, seed)
        self.validation = labelled(self.corpus.split("validation"), self.words, kept_back)
        rows = np.random.default_rng(0).permutation(np.flatnonzero(self.train.starts >= 0))
        some = [self.train.waveform(row) for row in np.sort(rows[:STATISTICS_CLIPS])]
        self.spread = self.space["spread_of"](torch.stack(some))

    def batches(self, epoch: int, size: int) -> list[list[int]]:
        """At random."""
        order = torch.randperm(len(self.train), generator=generator_of(self.options.seed, epoch))
        return [batch.tolist() for batch in order.split(size)]

    def collate(self, items: list) -> Sequence[torch.Tensor]:
        """Waveforms (batch, 1, time) and labels (batch,)."""
        waveforms, labels = zip(*items, strict=True)
        return torch.stack(waveforms), torch.tensor(labels)

    def ready(self, batch: Sequence[torch.Tensor], longest: Callable) -> Sequence[torch.Tensor]:
        """Features (batch, feature, frame) and labels."""
        waveforms, labels = batch
        return self.space["prepare"](waveforms, self.spread), labels

    def loss(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Cross-entropy."""
        features, labels = batch
        return F.cross_entropy(network(features), labels)

    def sums(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Loss, clips that are named rightly, clips."""
        features, labels = batch
        logits = network(features)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        right = (logits.argmax(dim=1) == labels).sum()
        return torch.tensor([float(loss), int(right), len(labels)]).double()

    def measures(self, sums: torch.Tensor) -> dict[str, float]:
        """Loss and accuracy."""
        loss, right, clips = sums.tolist()
        return {"validation_loss": loss / clips, "validation_accuracy": right / clips}

    def decoded(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> list[str]:
        """Said and named, a line for each clip."""
        features, labels = batch
        named = network(features).argmax(dim=1).tolist()
        return [
            f"said {self.words[label]}, named {self.words[name]}"
            for label, name in zip(labels.tolist(), named, strict=True)
        ]

    def about(self) -> dict[str, Any]:
        """For the checkpoint."""
        prepare = self.space["prepare"]
        return {
            "features": prepare, "feature_arguments": {"spread": self.spread},
            "labels": self.words, "table": None, "corpus": self.corpus,
            "code": [self.make, *(self.space[name] for name in NAMES)],
        }  # fmt: skip
