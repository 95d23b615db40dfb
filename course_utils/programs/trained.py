"""A checkpoint at work: what it is, and what it says of a recording."""

import argparse
import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torchaudio

from course_utils import runs
from course_utils.device import select_device
from course_utils.programs.base import Refused, taken_from

#: What each kind of checkpoint does, and how it is trained.
KINDS = {"ctc": "writes sentences (train ctc)", "words": "names words (train words)"}


def add_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add what says which network, and where it runs."""
    parser.add_argument("checkpoint", help="folder of a training, such as runs/fr")
    parser.add_argument(
        "--notebook", help="the .ipynb that defines its class; none: the one that it names"
    )
    parser.add_argument("--device", help="cpu, cuda, mps; none: cpu")


def kind_of(labels: Sequence[str]) -> str:
    """Sentences have a blank before their letters, words have none."""
    return "ctc" if list(labels[:1]) == [""] else "words"


def opened(options: argparse.Namespace, *kinds: str) -> runs.TrainedModel:
    """The network of a checkpoint.

    Parameters
    ----------
    options : Namespace
        With what `add_checkpoint` adds.
    *kinds : str
        Of `KINDS`, those that will do.

    Raises
    ------
    Refused
        It is one of another kind.
    CheckpointError, OSError
        It cannot be read, or its class cannot be built.
    """
    kept = runs.load(options.checkpoint)
    kind = kind_of(kept["labels"])
    if kind not in kinds:
        raise Refused(
            f"{options.checkpoint} holds {kept['class']}, which {KINDS[kind]}; needed is one that "
            f"{' or '.join(KINDS[other] for other in kinds)}."
        )
    with contextlib.redirect_stdout(sys.stderr):  # what is asked for stands alone on stdout
        trained = runs.model(options.checkpoint, options.notebook)
        trained.network.to(select_device(options.device or "cpu"))
    return trained


@dataclass(frozen=True)
class Text:
    """What may have been said."""

    text: str
    log_probability: float | None  # None: greedy, which adds up no paths
    tokens: tuple[int, ...]


class Writer:
    """A network of stage 4 with the notebook's decoders.

    Parameters
    ----------
    trained : TrainedModel
    beam : int
        Texts that the beam search keeps; 0 decodes greedily.
    """

    def __init__(self, trained: runs.TrainedModel, beam: int = 0):
        self.trained, self.beam = trained, beam
        names = ["greedy", "normalise", *(["beam_search"] if beam else [])]
        self.space = taken_from(trained.notebook, names)
        self.labels, self.table = trained.labels, trained.checkpoint["table"]
        self.score: Callable | None = None
        self.device = next(trained.network.parameters()).device

    def learn(self, sentences: Iterable[str], alpha: float, beta: float) -> int:
        """Let a language model of these sentences help the beam search; returns how many it took.

        Parameters
        ----------
        sentences : iterable of str
            As they are written; those with letters that the network does not have are left out.
        alpha, beta : float
            What counts its logarithm, and what is added for each letter.
        """
        ngram_class = taken_from(self.trained.notebook, ["NGram"])["NGram"]
        place = {symbol: token for token, symbol in enumerate(self.labels) if symbol}
        texts = [self.space["normalise"](text, self.table) for text in sentences]
        known = [
            [place[symbol] for symbol in text] for text in texts if text and set(text) <= {*place}
        ]
        if not known:
            raise Refused("No sentence of the language model is made of the network's letters.")
        ngram = ngram_class(order=6, symbols=len(self.labels))
        ngram.fit(known)

        @functools.cache
        def added(history: tuple[int, ...], symbol: int) -> float:
            return alpha * math.log(ngram.probability(history, symbol)) + beta

        self.score = lambda text, symbol: added(text[-5:], symbol)
        return len(known)

    def log_probs(self, clip: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (frame, symbol) of a clip (1, time) at the network's sample rate."""
        with torch.no_grad():
            features, lengths = self.trained.features(clip[None])
            found, frames = self.trained.network(
                features.to(self.device), lengths.to(self.device)
            )  # fmt: skip
        return found[0, : int(frames[0])].float().cpu()

    def texts(self, log_probs: torch.Tensor, score: bool = True) -> list[Text]:
        """What may have been said, the likeliest first; greedily there is one text."""
        if not self.beam:
            tokens = self.space["greedy"](log_probs[None], torch.tensor([len(log_probs)]))[0]
            return [self._text(tokens, None)]
        found = self.space["beam_search"](log_probs, self.beam, self.score if score else None)
        return [self._text(tokens, float(value)) for tokens, value in found]

    def _text(self, tokens: Sequence[int], value: float | None) -> Text:
        return Text("".join(self.labels[token] for token in tokens), value, tuple(tokens))

    def times(self, log_probs: torch.Tensor, text: Text, seconds: float) -> list[dict[str, Any]]:
        """When each word of a text is said: a dict of ``word``, ``start`` and ``end`` in seconds.

        By the likeliest path of the text, as torchaudio's ``forced_align`` finds it. A CTC network
        answers in single frames: starts and ends are good to a tenth of a second, not better.
        """
        if not text.tokens:
            return []
        targets = torch.tensor([text.tokens], dtype=torch.int32)
        path, scores = torchaudio.functional.forced_align(log_probs[None], targets)
        spans = torchaudio.functional.merge_tokens(path[0], scores[0])
        frame, words, first = seconds / len(log_probs), [], 0
        letters = [self.labels[token] for token in text.tokens]
        for place, letter in enumerate([*letters, " "]):
            if letter != " ":
                continue
            if place > first:
                start = spans[first].start * frame
                end = min(spans[place - 1].end * frame, seconds)
                word = "".join(letters[first:place])
                words.append({"word": word, "start": round(start, 2), "end": round(end, 2)})
            first = place + 1
        return words
