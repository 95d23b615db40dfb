"""Sentences by CTC, of what notebook 04 defines."""

import argparse
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_utils import transcripts
from course_utils.corpora import alphabet, common_voice
from course_utils.corpora.clips import SAMPLE_RATE
from course_utils.programs.base import Refused, taken_from
from course_utils.programs.shares import Key, Sounds, generator_of
from course_utils.programs.tasks import Counted, arguments_for, built

#: What the notebook must define, beside the network.
NAMES = (
    "normalise", "CharMap", "log_mel", "statistics", "prepare", "prepare_batch", "spec_augment",
    "collate", "make_batches", "frames_needed", "loss_of", "greedy", "error_rate",
)  # fmt: skip
#: Mean and spread of the features come from so many training clips at most, drawn at random.
STATISTICS_CLIPS = 4_000


def network_name(notebook: str | Path, wanted: str | None) -> str:
    """The class to train: the one asked for, or the notebook's last."""
    if wanted:
        return wanted
    written = Path(notebook).read_text("utf-8", "replace") if Path(notebook).is_file() else ""
    return "FastCTC" if "class FastCTC(" in written else "SpeechCTC"


class Utterances(Sounds):
    """Features and tokens of clips; of training clips altered at random.

    Parameters
    ----------
    part : CommonVoice
    rows : int array (clip,)
        Which of its clips, and in which order.
    tokens : list of list of int
        Of these clips.
    features : callable
        From a waveform (1, time) to (band, frame).
    augment : callable, optional
        ``augment(waveform, generator) -> features``, in place of `features`.
    seed : int
    """

    def __init__(
        self,
        part: common_voice.CommonVoice,
        rows: Sequence[int],
        tokens: Sequence[list[int]],
        features: Callable,
        augment: Callable | None = None,
        seed: int = 0,
    ):
        file, starts, lengths = part.places()
        super().__init__(file, starts[rows], lengths[rows])
        self.features, self.augment, self.seed = features, augment, seed
        # One array, not a list for each clip: reading an object writes its count of references,
        # and each worker would get a copy of its own.
        self.tokens = np.fromiter((token for text in tokens for token in text), np.int32)
        self.ends = np.cumsum([len(text) for text in tokens])

    def __getitem__(self, key: Key) -> tuple[torch.Tensor, list[int]]:
        epoch, row = key
        start = self.ends[row - 1] if row else 0
        tokens = self.tokens[start : self.ends[row]].tolist()
        waveform = self.waveform(row)
        if self.augment is None:
            return self.features(waveform), tokens
        return self.augment(waveform, tokens, generator_of(self.seed, epoch, row)), tokens


class Sentences:
    """The task of stage 4; see :class:`~course_utils.programs.tasks.Task`."""

    score, counts = "validation_cer", 6

    def __init__(self, options: argparse.Namespace, device: torch.device):
        self.options, self.device = options, device
        name = network_name(options.notebook, options.model)
        self.space = taken_from(options.notebook, [*NAMES, name])
        self.make = self.space[name]
        self.space["device"] = device
        if options.speeds != [1.0] and options.speeds and "at_speed" not in self.space:
            raise Refused(f"{Path(options.notebook).name} defines no at_speed: leave out --speeds.")
        self.network_arguments(bands=1, symbols=1)  # what is wrong in them is said now

    def network_arguments(self, **sizes: int) -> dict[str, Any]:
        """What the network is made with."""
        own = {"hidden": self.options.hidden, "dropout": self.options.dropout}
        own |= {"cell": self.options.cell}
        known = inspect.signature(self.make).parameters
        if "EVERY_20_MS" in self.space and any(
            one.kind is one.VAR_KEYWORD or one.default == self.space.get("LAYERS")
            for one in known.values()
        ):
            own["layers"] = self.space["EVERY_20_MS"]  # as the notebook's own training has it
        return arguments_for(self.make, {**own, **sizes}, self.options.set)

    def open(self) -> None:
        """Open the corpus, and prepare what all processes compute alike."""
        options, space = self.options, self.space
        try:
            corpus = common_voice.load(
                options.language, options.corpus, min_seconds=options.min_seconds,
                max_seconds=options.max_seconds, max_clips=options.max_clips,
            )  # fmt: skip
        except ValueError as error:  # of a language or of seconds
            raise Refused(str(error)) from error
        self.table = alphabet.table()
        try:  # the letters of all sentences, also where few clips are taken
            self.symbols = alphabet.symbols(self.written(corpus.split("train").transcripts))
        except ValueError as error:
            raise Refused(f"{corpus.name} has {error}") from error
        self.corpus = corpus.sample(options.limit, options.seed) if options.limit else corpus
        parts = {name: self.corpus.split(name) for name in ("train", "validation")}
        texts = {name: self.written(part.transcripts) for name, part in parts.items()}
        self.charmap = space["CharMap"](self.symbols)
        space |= {"charmap": self.charmap, "TABLE": self.table, "SYMBOLS": self.symbols}
        tokens = {name: self.tokens(texts[name]) for name in parts}
        self.statistics = self._statistics(parts["train"])
        bands = len(self.statistics[0])
        if options.mask[0] > bands:
            raise Refused(f"--mask hides up to {options.mask[0]} bands, and there are {bands}.")
        self.arguments = self.network_arguments(bands=bands, symbols=len(self.charmap))
        rows = self._that_fit(parts["train"], tokens["train"], bands)
        self.train = self.utterances(parts["train"], tokens["train"], rows, self.altered)
        self.validation = self.utterances(parts["validation"], tokens["validation"])

    def written(self, texts: Sequence[str]) -> list[str]:
        """Transcripts in the network's letters, as far as it has them."""
        return [self.space["normalise"](text, self.table) for text in texts]

    def tokens(self, texts: Sequence[str]) -> list[list[int] | None]:
        """Tokens of each text, or None where a letter is unknown; says how many."""
        return transcripts.encoded(texts, self.symbols, self.charmap.encode)

    def utterances(
        self,
        part: common_voice.CommonVoice,
        tokens: Sequence[list[int] | None],
        rows: Sequence[int] | None = None,
        augment: Callable | None = None,
    ) -> Utterances:
        """A dataset of the clips whose letters are all known."""
        if rows is None:
            rows = [row for row, text in enumerate(tokens) if text is not None]
        given = [tokens[row] for row in rows]
        return Utterances(part, rows, given, self.features, augment, self.options.seed)

    def features(self, waveform: torch.Tensor) -> torch.Tensor:
        """What the network takes of a clip (1, time): (band, frame)."""
        return self.space["prepare"](waveform, *self.statistics)

    def altered(
        self, waveform: torch.Tensor, tokens: list[int], generator: torch.Generator
    ) -> torch.Tensor:
        """The features of a clip at another speed, with parts hidden, as far as was asked for."""
        speeds = self.options.speeds or [1.0]
        speed = speeds[int(torch.randint(len(speeds), (), generator=generator))]
        features = self.features(
            self.space["at_speed"](waveform, speed) if speed != 1 else waveform
        )  # fmt: skip
        if speed > 1 and not self._fits(features.shape[1], tokens):
            features = self.features(waveform)
        if any(self.options.mask):
            lengths = torch.tensor([features.shape[1]])
            hidden = self.space["spec_augment"](
                features[None], lengths, *self.options.mask, generator
            )
            features = hidden[0]
        return features

    def _statistics(self, part: common_voice.CommonVoice) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and spread of the features, of at most `STATISTICS_CLIPS` clips."""
        rows = np.random.default_rng(0).permutation(len(part))[:STATISTICS_CLIPS]
        sounds = Sounds(*part.places())
        clips = (self.space["log_mel"](sounds.waveform(row)) for row in np.sort(rows))
        return self.space["statistics"](clips)

    def _that_fit(
        self, part: common_voice.CommonVoice, tokens: Sequence[list[int] | None], bands: int
    ) -> list[int]:
        """The clips whose text fits into the answers of the network; says how many do not."""
        with torch.no_grad():  # how many answers it gives to ten seconds
            silence = torch.zeros(1, bands, 1_000)
            torch.manual_seed(0)
            network = built(self.make, self.arguments, self.options).eval()
            found = network(silence, torch.tensor([1_000]))
        if not isinstance(found, tuple) or len(found) != 2:
            raise Refused(
                f"{self.make.__name__} returns no (log_probs, frames): it takes features (batch, "
                "band, frame) and their lengths, as SpeechCTC does."
            )
        self.answers = int(found[1][0]) / 1_000
        one_second = self.space["log_mel"](torch.zeros(1, SAMPLE_RATE)).shape[1]
        frames = (np.asarray(part.lengths) * (one_second - 1)) // SAMPLE_RATE + 1
        rows = [row for row, text in enumerate(tokens) if text is not None]
        fits = [self._fits(int(frames[row]), tokens[row]) for row in rows]
        return transcripts.fitting(rows, fits)

    def _fits(self, frames: int, tokens: list[int]) -> bool:
        return self.space["frames_needed"](tokens) <= int(frames * self.answers)

    def batches(self, epoch: int, size: int) -> list[list[int]]:
        """Of similar length, as the notebook's `make_batches` puts them together."""
        generator = generator_of(self.options.seed, epoch)
        return self.space["make_batches"](self.train.lengths.tolist(), size, generator)

    def collate(self, items: list) -> Sequence[torch.Tensor]:
        """Features, lengths, targets, target lengths, as the notebook's `collate` pads them."""
        return self.space["collate"](items)

    def ready(self, batch: Sequence[torch.Tensor], longest: Callable) -> Sequence[torch.Tensor]:
        """Features padded as long as those of the other processes: their padding counts alike."""
        features, *rest = batch
        return F.pad(features, (0, longest(features.shape[2]) - features.shape[2])), *rest

    def loss(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """The notebook's loss of a batch."""
        return self.space["loss_of"](network, batch)

    def texts(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> tuple[list, list, Any]:
        """What was said, what is written greedily, and the network's answer."""
        features, lengths, targets, target_lengths = batch
        log_probs, frames = network(features, lengths)
        answer = log_probs.float(), frames
        written = [self.charmap.decode(tokens) for tokens in self.space["greedy"](*answer)]
        said = [
            self.charmap.decode(row[:length])
            for row, length in zip(targets.tolist(), target_lengths.tolist(), strict=True)
        ]
        return said, written, answer

    def sums(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Loss and clips, errors and letters, errors and words."""
        said, written, answer = self.texts(network, batch)
        loss = float(self.loss(Counted(answer), batch)) * len(said)
        letters, words = sum(map(len, said)), sum(len(text.split()) for text in said)
        rate = self.space["error_rate"]
        wrong = rate(said, written) * letters, rate(said, written, words=True) * words
        return torch.tensor([loss, len(said), wrong[0], letters, wrong[1], words]).double()

    def measures(self, sums: torch.Tensor) -> dict[str, float]:
        """Loss, character and word error rate."""
        loss, clips, errors, letters, word_errors, words = sums.tolist()
        return {
            "validation_loss": loss / clips, "validation_cer": errors / letters,
            "validation_wer": word_errors / words,
        }  # fmt: skip

    def decoded(self, network: nn.Module, batch: Sequence[torch.Tensor]) -> list[str]:
        """Said and written, a pair of lines for each clip."""
        said, written, _ = self.texts(network, batch)
        return [f"said    {a}\nwritten {b}" for a, b in zip(said, written, strict=True)]

    def about(self) -> dict[str, Any]:
        """For the checkpoint."""
        mean, std = self.statistics
        given = self.space["prepare_batch"]
        names = ("normalise", "CharMap", "log_mel", "statistics", "loss_of")
        return {
            "features": given,
            "feature_arguments": {"mean": mean, "std": std},
            "labels": ["", *self.symbols],
            "table": self.table,
            "corpus": self.corpus,
            "code": [self.make, given, *(self.space[name] for name in names)],
        }
