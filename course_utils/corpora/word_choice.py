"""Words for a stage, whatever a corpus has: examples, what else it says, what another says, too."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from course_utils import audio
from course_utils.corpora import speech_commands
from course_utils.corpora.noises import random_crops
from course_utils.corpora.speech_commands import COMMANDS, DIGITS, SpeechCommands


def examples(
    part: SpeechCommands, words: Iterable[str] = (), count: int = 4, nth: int = 5
) -> list[int]:
    """One clip each of at most `count` words; at least one clip.

    Parameters
    ----------
    part : SpeechCommands
    words : list of str
        Those of them that the part has come first, in this order; where it has none of them, any
        of its words.
    count : int
        How many words at most.
    nth : int
        Which clip of a word, from 0; the last one, where it has not as many.
    """
    there = [part.words[label] for label in np.unique(part.labels)]
    chosen = [word for word in words if word in there] or there
    rows = [np.flatnonzero(part.labels == part.words.index(word)) for word in chosen[:count]]
    return [int(found[min(nth, len(found) - 1)]) for found in rows]


def task_of(corpus: SpeechCommands) -> str:
    """What the results table calls these words: a list of the course, or "" for any others."""
    if corpus.task:
        return corpus.task
    for task, words in (("ten commands", COMMANDS), ("digits", DIGITS)):
        if set(corpus.words) <= set(words):
            return task
    return ""


def with_other_words(corpus: SpeechCommands, words: Sequence[str]) -> SpeechCommands:
    """The corpus itself, where it says other words than these; else the embedded one."""
    if set(corpus.words) - set(words):
        return corpus
    print(f"{corpus.name} has no other words than these: the embedded corpus lends some.")
    return speech_commands.load("embedded", verbose=False)


def with_embedded(target: SpeechCommands) -> tuple[SpeechCommands, SpeechCommands] | None:
    """The embedded corpus and this one, both with the words that they have in common.

    None, and a line that says why, where that is not enough for a comparison.
    """
    source = speech_commands.load("embedded", verbose=False)
    words = [word for word in target.words if word in source.words]
    clips = np.isin(target.spoken[target.splits == "test"], words).sum()
    if len(words) < 2 or not clips:
        why = f"no test clip says one of {', '.join(words)}"
        if len(words) < 2:
            why = f"the embedded corpus has {words[0] if words else 'none'} of its words"
        print(f"{target.name} is not compared with synthetic speech: {why}.")
        return None
    return source.only(words), target.only(words)


def clips_of(part: SpeechCommands, words: Iterable[str], count: int, seed: int) -> torch.Tensor:
    """At most `count` clips of these words together, drawn by a seed: (clip, 1, time)."""
    rows = np.flatnonzero(np.isin(part.labels, [part.words.index(word) for word in words]))
    rows = np.random.default_rng(seed).permutation(rows)[:count]
    return part.take(rows).tensors()[0]


def few_clips(
    part: SpeechCommands, words: Sequence[str], others: Sequence[str], count: int,
    noises: Sequence[torch.Tensor], seed: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A handful of clips of each word, and a class behind them for whatever is no word.

    Parameters
    ----------
    part : SpeechCommands
    words, others : list of str
        What is to be learnt; what speaks for the last class, twice as many clips, beside `count`
        pieces of noise at random levels and one of silence.
    count : int
        Clips of each word at most.
    noises : list of tensor (1, time)
    seed : int
        Which clips.

    Returns
    -------
    tensor (clip, 1, time) and tensor of int (clip,)
    """
    groups = [clips_of(part, [word], count, seed + i) for i, word in enumerate(words)]
    generator = torch.Generator().manual_seed(seed)
    noise = random_crops(noises, count, part.sample_rate, generator)
    noise = noise * 10 ** (-2 * torch.rand(count, 1, 1, generator=generator))
    silence = torch.zeros(1, 1, part.sample_rate)
    groups.append(torch.cat([clips_of(part, others, 2 * count, seed), noise, silence]))
    y = torch.cat([torch.full((len(group),), number) for number, group in enumerate(groups)])
    return torch.cat(groups), y


def other_sounds(
    part: SpeechCommands, words: Iterable[str], noises: Sequence[torch.Tensor], seed: int
) -> torch.Tensor:
    """At most 200 clips of these words, 100 pieces of noise, half of them softer, 10 of faint hiss.

    Parameters
    ----------
    part : SpeechCommands
    words : list of str
        None of those that a network knows.
    noises : list of tensor (1, time)
    seed : int

    Returns
    -------
    tensor (clip, 1, time), of one second each
    """
    generator = torch.Generator().manual_seed(seed)
    crops = random_crops(noises, 50, part.sample_rate, generator)
    hiss = 1e-3 * torch.randn(10, 1, part.sample_rate, generator=generator)
    return torch.cat([clips_of(part, words, 200, seed), crops, 0.1 * crops, hiss])


@contextlib.contextmanager
def odd_files(part: SpeechCommands) -> Iterator[Path]:
    """A folder of recordings as they come, which is deleted afterwards.

    Two clips, one in stereo at 44.1 kHz as MP3, three seconds of hiss, and a broken file.
    """
    rate, random = part.sample_rate, torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for item in (0, len(part) // 2):
            audio.write(folder / f"{part[item][2]}.wav", part[item][0], rate)
        stereo = audio.resample(part[0][0], rate, 44_100).repeat(2, 1)
        audio.write(folder / "stereo.mp3", stereo, 44_100)
        hiss = 1e-3 * torch.randn(1, 3 * rate, generator=random)
        audio.write(folder / "hiss.wav", hiss, rate)
        (folder / "broken.wav").write_bytes(b"RIFF")
        yield folder
