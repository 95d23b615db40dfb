"""Score a checkpoint on a part of a corpus, with an interval over the speakers."""

import argparse
import collections
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from course_utils import rates, settings
from course_utils.corpora import common_voice, speech_commands
from course_utils.corpora.noises import kept_apart, parts_of
from course_utils.programs.base import Refused, example, taken_from, whole
from course_utils.programs.shares import Sounds
from course_utils.programs.trained import Writer, add_checkpoint, kind_of, opened
from course_utils.programs.transcribe import add_decoding, weights_of
from course_utils.programs.words import SILENCE, labelled
from course_utils.runs import TrainedModel

SHOWN = 10  # confusions


def options(parser: argparse.ArgumentParser) -> None:
    """Add what `test` takes."""
    example(
        parser, "python -m course_utils test runs/trial --limit 20",
        "python -m course_utils test runs/words-trial --split validation --json",
    )  # fmt: skip
    add_checkpoint(parser)
    parser.add_argument("--corpus", help="as in training; none: the one of the course's settings")
    parser.add_argument("--language", default=settings.language(), help="of sentences")
    parser.add_argument(
        "--split", choices=common_voice.SPLITS, default="test", help="which part is scored"
    )
    parser.add_argument("--limit", type=whole(1), help="clips, or clips of each word; none: all")
    add_decoding(parser, beam=8)
    parser.add_argument("--json", action="store_true", help="one line of JSON")


def run(options: argparse.Namespace) -> int:
    """Score; see :func:`options`."""
    trained = opened(options, "ctc", "words")
    scored = _sentences if kind_of(trained.labels) == "ctc" else _words
    found = scored(options, trained)
    if options.json:
        print(json.dumps(found, ensure_ascii=False))
        return 0
    print(
        f"{trained.checkpoint['class']} trained on {trained.checkpoint['corpus']}; {options.split} "
        f"part of {found['corpus']}: {found['clips']:,} clips of {found['speakers']:,} speakers"
    )
    for row in found["scores"]:
        print(
            f"{row['decoder']:<28} {row['metric']:<8} {row['value']:7.2%}"
            f"   ({row['low']:.2%} to {row['high']:.2%})"
        )
    for said, named, count in found.get("confusions", ()):
        print(f"  {said} is taken for {named}: {count} times")
    print("In brackets: 95 % of draws of as many speakers, with replacement.")
    return 0


def _score(
    decoder: str, metric: str, speakers: Sequence[str], wrong: Sequence[int], sizes: Sequence[int]
) -> dict[str, Any]:
    """A rate with its interval; an accuracy is what an error rate leaves of 1."""
    low, high = rates.bootstrap(rates.by_speaker(speakers, wrong, sizes))
    value = sum(wrong) / sum(sizes)
    if metric == "accuracy":
        value, low, high = 1 - value, 1 - high, 1 - low
    return {"decoder": decoder, "metric": metric, "value": value, "low": low, "high": high}


def _sentences(options: argparse.Namespace, trained: TrainedModel) -> dict[str, Any]:
    """CER and WER: greedily, with a beam, and with a language model of the training sentences."""
    writer = Writer(trained, options.beam)
    distance = taken_from(trained.notebook, ["edit_distance"])["edit_distance"]
    try:
        corpus = common_voice.load(options.language, options.corpus, max_seconds=30, verbose=False)
    except ValueError as error:  # of a language
        raise Refused(str(error)) from error
    part = corpus.split(options.split)
    known = {*trained.labels}
    said = [writer.space["normalise"](text, writer.table) for text in part.transcripts]
    rows = [row for row, text in enumerate(said) if text and set(text) <= known]
    rows = sorted(np.random.default_rng(0).permutation(rows)[: options.limit].tolist())
    if not rows:
        raise Refused(f"No sentence of {corpus.name} is made of the network's letters.")
    sounds = Sounds(*part.places())
    log_probs = [
        writer.log_probs(sounds.waveform(row)) for row in tqdm(rows, unit=" clips", leave=False)
    ]
    decoders = {"greedy": (0, False)}
    if options.beam:
        decoders[f"beam of {options.beam}"] = (options.beam, False)
        writer.learn(corpus.split("train").transcripts, *weights_of(options))
        decoders[f"beam of {options.beam}, language model"] = (options.beam, True)
    scores, speakers = [], part.speakers[rows]
    for name, (writer.beam, score) in decoders.items():
        pairs = [
            (said[row], writer.texts(one, score)[0].text)
            for row, one in zip(rows, tqdm(log_probs, desc=name, leave=False), strict=True)
        ]
        for metric, cut in (("CER", list), ("WER", str.split)):
            wrong = [sum(distance(cut(text), cut(written))) for text, written in pairs]
            sizes = [len(cut(text)) for text, _ in pairs]
            scores.append(_score(name, metric, speakers, wrong, sizes))
    return _about(corpus, speakers) | {"scores": scores}


def _words(options: argparse.Namespace, trained: TrainedModel) -> dict[str, Any]:
    """Accuracy, and which words are taken for which."""
    words = trained.labels
    corpus = speech_commands.load(options.corpus, verbose=False)
    if SILENCE not in words:
        corpus = corpus.only(words)
    if options.limit:
        corpus = corpus.sample(options.limit)
    noises = corpus.background_noise()
    _, unmet = kept_apart(noises)
    data = labelled(corpus.split(options.split), words, parts_of(noises, unmet, 0, 1))
    if not len(data):
        raise Refused(f"{corpus.name} has no clip of {', '.join(words)}.")
    named = np.array([int(label) for label in _named(trained, data)])
    wrong = (named != data.labels).astype(int)
    pairs = zip(data.labels[wrong > 0].tolist(), named[wrong > 0].tolist(), strict=True)
    often = collections.Counter(pairs).most_common(SHOWN)
    size = range(len(words))
    matrix = [[int(((data.labels == a) & (named == b)).sum()) for b in size] for a in size]
    # The noises of silence have no speaker: they count in the score, each by itself.
    speakers = [name or f"noise {row}" for row, name in enumerate(data.speakers)]
    return _about(corpus, [name for name in data.speakers if name]) | {
        "scores": [_score("", "accuracy", speakers, wrong.tolist(), [1] * len(wrong))],
        "clips": len(data), "words": words, "confusion": matrix,
        "confusions": [(words[a], words[b], count) for (a, b), count in often],
    }  # fmt: skip


def _named(trained: TrainedModel, data: Any, size: int = 64) -> Iterator[int]:
    device = next(trained.network.parameters()).device
    for start in tqdm(range(0, len(data), size), unit=" batches", leave=False):
        items = [data[0, row][0] for row in range(start, min(start + size, len(data)))]
        with torch.no_grad():
            features = trained.features(torch.stack(items).to(device))
            yield from trained.network(features).argmax(dim=1).tolist()


def _about(corpus: Any, speakers: Sequence[str]) -> dict[str, Any]:
    return {"corpus": corpus.name, "clips": len(speakers), "speakers": len(set(speakers))}
