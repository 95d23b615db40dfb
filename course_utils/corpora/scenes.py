"""Scenes: sound as a microphone hears it all day, and a table of what is said when.

A clip is cut to a word, and is half commands. A day is not: it is sentences, noise and silence,
and now and then a command. A scene has any length, and its table says what a detector should do.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils.corpora import CorpusError, cache
from course_utils.corpora.clips import SAMPLE_RATE
from course_utils.corpora.common_voice import CommonVoice
from course_utils.corpora.embedded import COMMANDS, sentences
from course_utils.corpora.speech_commands import SpeechCommands

#: Raise it when the same recipe makes other bytes.
VERSION = 1
#: What a scene holds, kind by kind.
KINDS = {
    "command": "a command",
    "word": "another word of Speech Commands",
    "single": "a single word that Speech Commands does not have",
    "grammar": "a sentence of the course's grammar, without a command",
    "open": "a sentence of open text, without a command",
    "noise": "noise alone",
    "silence": "a faint hiss",
}
HISS = -75  # dBFS; under everything: no microphone is silent
STRETCH = 15 * SAMPLE_RATE  # a noise lies under so many samples, or none does
FADE = SAMPLE_RATE // 100  # where one recording ends and another begins

#: So many samples of a noise, drawn from a generator: float ``(time,)`` at any level.
Noise = Callable[[int, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Row:
    """What is heard from `start` to `end`, in seconds; of noise, `text` is its kind and level."""

    start: float
    end: float
    kind: str
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Item:
    """A recording that is put into a scene: int16 ``(time,)``, spoken from sample to sample."""

    text: str
    speaker: str
    samples: np.ndarray
    start: int
    end: int


class Scene:
    """A long sound and its table.

    Attributes
    ----------
    samples : int16 array (time,)
        Memory-mapped, at 16 kHz.
    rows : list of Row
        Everything that is heard, in order; two rows do not overlap.
    background : list of Row
        The noises that lie under it.
    synthetic : bool
        True if nobody said this.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, place: Path):
        table = json.loads((place / "table.json").read_text(encoding="utf-8"))
        self.samples = np.memmap(place / "waveform.int16", np.int16, mode="r")
        self.rows = [Row(**row) for row in table["rows"]]
        self.background = [Row(**row) for row in table["background"]]
        self.synthetic: bool = table["synthetic"]

    def __repr__(self) -> str:
        kinds = ", ".join(f"{kind} {len(self.of_kind(kind)):,}" for kind in self.hours)
        speakers = len({row.speaker for row in self.rows} - {""})
        speech = "synthetic" if self.synthetic else "recorded"
        return f"A scene of {self.seconds / 60:.1f} min, {speech}, {speakers} speakers: {kinds}"

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def hours(self) -> dict[str, float]:
        """Hours of each kind; a pause counts to what stands before it."""
        starts = [row.start for row in self.rows] + [self.seconds]
        hours = dict.fromkeys((kind for kind in KINDS if self.of_kind(kind)), 0.0)
        for row, start, end in zip(self.rows, starts, starts[1:], strict=False):
            hours[row.kind] += (end - start) / 3600
        return hours

    def of_kind(self, kind: str) -> list[Row]:
        """The rows of one kind."""
        return [row for row in self.rows if row.kind == kind]

    def waveform(self, start: float = 0, end: float | None = None) -> torch.Tensor:
        """The sound from second to second: float32 ``(1, time)``."""
        start, end = (
            None if second is None else round(second * SAMPLE_RATE) for second in (start, end)
        )
        return torch.from_numpy(self.samples[start:end].astype(np.float32) / 32768)[None]


def made(
    recipe: Mapping[str, Any],
    corpus: Path,
    fingerprint: str,
    make: Callable[[Path], tuple[np.ndarray, dict[str, Any]]],
) -> Scene:
    """The scene of a recipe, which is made where it is not there yet.

    Parameters
    ----------
    recipe : dict
        All that decides what is in it.
    corpus, fingerprint : Path and str
        Whose recordings it holds, as :func:`~course_utils.corpora.cache.entry` takes them.
    make : callable
        ``make(folder)`` returns what `compose` does, and may write into the folder.
    """
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]
    place = cache.entry(f"scene_{digest}", corpus, f"v{VERSION}{fingerprint}")
    with cache.building(place) as folder:
        if folder:
            cache.require_space(folder, int(4 * 60 * recipe["minutes"] * SAMPLE_RATE), "the scene")
            samples, table = make(folder)
            samples.tofile(folder / "waveform.int16")
            (folder / "table.json").write_text(json.dumps(table), encoding="utf-8")
    return Scene(place)


def compose(
    sources: Mapping[str, Iterator[Item]],
    shares: Mapping[str, float],
    noises: Mapping[str, Noise],
    minutes: float,
    seed: int,
    *,
    pause: tuple[float, float] = (0.3, 1.5),
    noisy: float = 0.5,
    synthetic: bool = True,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Put recordings one behind another, with pauses, and noises under them.

    Parameters
    ----------
    sources : dict of str to iterator of Item
        Endless, for each kind of `shares` that is spoken.
    shares : dict of str to float
        How much of the time each of `KINDS` takes.
    noises : dict of str to Noise
        By their names.
    minutes : float
        The length; the last recording that does not fit is left out.
    seed : int
        Of pauses, levels and the order.
    pause : (float, float)
        Seconds, from and to.
    noisy : float
        The share of stretches of 15 s with a noise under them, at -50 to -32 dBFS.
    synthetic : bool
        What the table says of it.

    Returns
    -------
    int16 array (time,), and the table as JSON has it
    """
    random = np.random.default_rng([seed, 17])
    samples = np.zeros(round(minutes * 60) * SAMPLE_RATE, np.int16)
    rows, at, spent = [], 0, dict.fromkeys(shares, 0.0)
    while True:
        # What is most behind its share comes next, with some luck: or a scene would have a rhythm.
        due = {kind: (spent[kind] + 8 * random.random()) / share for kind, share in shares.items()}
        kind = min(due, key=due.get)
        item = next(sources[kind]) if kind in sources else _no_speech(kind, noises, random)
        rest = 0 if kind not in sources else int(random.uniform(*pause) * SAMPLE_RATE)
        if at + len(item.samples) > len(samples):
            break
        samples[at : at + len(item.samples)] = _faded(item.samples)
        where = [(at + edge) / SAMPLE_RATE for edge in (item.start, item.end)]
        rows.append(Row(*where, kind, item.text, item.speaker))
        spent[kind] += (len(item.samples) + rest) / SAMPLE_RATE
        at += len(item.samples) + rest
    background = _lie_under(samples, noises, noisy, random)
    if not rows:
        raise ValueError(f"{minutes} minutes are too short for a single recording.")
    table = {"rows": rows, "background": background}
    listed = {name: [asdict(row) for row in found] for name, found in table.items()}
    return samples, listed | {"synthetic": synthetic}


def _no_speech(kind: str, noises: Mapping[str, Noise], random: np.random.Generator) -> Item:
    """A stretch of a noise, or of nothing."""
    size = int(random.uniform(5, 15) * SAMPLE_RATE)
    if kind == "silence":
        return Item("", "", np.zeros(size, np.int16), 0, size)
    name, level = str(random.choice(sorted(noises))), random.uniform(-50, -20)
    sound = _at(noises[name](size, random), level)
    return Item(f"{name}, {level:.0f} dBFS", "", _int16(sound), 0, size)


def _lie_under(
    samples: np.ndarray, noises: Mapping[str, Noise], noisy: float, random: np.random.Generator
) -> list[Row]:
    """Add the hiss, and noises to some stretches, in place; returns which noise lies where."""
    found = []
    for start in range(0, len(samples), STRETCH):
        block = samples[start : start + STRETCH]
        sound = block / 32768 + _at(random.normal(size=len(block)), HISS)
        if random.random() < noisy:
            name, level = str(random.choice(sorted(noises))), random.uniform(-50, -32)
            sound += _at(noises[name](len(block), random), level)
            where = start / SAMPLE_RATE, (start + len(block)) / SAMPLE_RATE
            found.append(Row(*where, "background", f"{name}, {level:.0f} dBFS"))
        block[:] = _int16(sound)
    return found


def _at(sound: np.ndarray, level: float) -> np.ndarray:
    """The same sound at a level in dBFS: that of its root of the mean square."""
    return sound * 10 ** (level / 20) / np.sqrt((sound**2).mean() + 1e-12)


def _int16(sound: np.ndarray) -> np.ndarray:
    return np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)


def _faded(samples: np.ndarray) -> np.ndarray:
    """The recording with its two edges taken off: a click would tell where it begins."""
    edge = np.linspace(0, 1, min(FADE, len(samples) // 2))
    gain = np.ones(len(samples))
    gain[: len(edge)], gain[len(gain) - len(edge) :] = edge, edge[::-1]
    return np.round(samples * gain).astype(np.int16)


# --- of recordings ------------------------------------------------------------------------------


def of_recordings(
    words: SpeechCommands,
    noises: Mapping[str, torch.Tensor],
    minutes: float = 10,
    *,
    spoken: CommonVoice | None = None,
    shares: Mapping[str, float] | None = None,
    seed: int = 0,
    noisy: float = 0.5,
    pause: tuple[float, float] = (0.3, 1.5),
    commands: Sequence[str] = COMMANDS,
) -> Scene:
    """A scene of recordings: such as clips of test speakers, in a folder of your own.

    Parameters
    ----------
    words : SpeechCommands
        A part of a corpus; a clip's row is its whole length, for nobody marked the word in it.
    noises : dict of str to tensor (1, time)
        As ``background_noise`` gives them.
    minutes : float
    spoken : CommonVoice, optional
        Sentences in English; those with a command in them are left out.
    shares : dict of str to float, optional
        By default 0.4 commands and as much of each other kind that is there.
    seed, noisy, pause
        As `compose` takes them.
    commands : list of str
        The words that are commands.

    Raises
    ------
    CorpusError
        A kind of `shares` is not among the recordings.
    """
    clips = {"command": [], "word": [], "open": []}
    for row, word in enumerate(words.spoken):
        clips["command" if word in commands else "word"].append(row)
    for row, text in enumerate(() if spoken is None else spoken.transcripts):
        if not set(sentences.words(text)) & set(commands):
            clips["open"].append(row)
    there = [kind for kind, rows in clips.items() if rows] + ["noise", "silence"]
    rest = [kind for kind in there if kind != "command"]
    shares = dict(shares or {"command": 0.4} | {kind: 0.6 / len(rest) for kind in rest})
    if missing := [kind for kind in shares if kind not in there]:
        raise CorpusError(
            f"These recordings have nothing of the kind {' or '.join(missing)}: they have "
            f"{', '.join(there)}. Choose other shares, or other recordings."
        )
    random = np.random.default_rng(seed)
    order = {kind: random.permutation(rows).tolist() for kind, rows in clips.items() if rows}
    sources = {kind: _items(spoken if kind == "open" else words, order[kind]) for kind in order}
    kinds = {name: _piece_of(noise[0].numpy()) for name, noise in noises.items()}
    prints = [part.fingerprint for part in (words, spoken) if part is not None]
    recipe = {
        "minutes": minutes, "shares": shares, "seed": seed, "noisy": noisy, "pause": pause,
        "noises": {name: noise.shape[1] for name, noise in noises.items()}, "prints": prints,
        "commands": sorted(commands),
    }  # fmt: skip
    options = {"pause": pause, "noisy": noisy, "synthetic": words.synthetic}
    return made(
        recipe,
        words.folder,
        prints[0],
        lambda folder: compose(sources, shares, kinds, minutes, seed, **options),
    )


def _items(part: SpeechCommands | CommonVoice, rows: list[int]) -> Iterator[Item]:
    """The clips of these rows, again and again."""
    for row in itertools.cycle(rows):
        clip = part[row]
        text, speaker = (clip[1], clip[2]) if isinstance(part, CommonVoice) else clip[2:4]
        samples = _int16(clip[0][0].numpy())
        yield Item(text, speaker, samples, 0, len(samples))


def _piece_of(recording: np.ndarray) -> Noise:
    """A noise that is a piece of a recording, from a place at random; a short one is repeated."""

    def piece(size: int, random: np.random.Generator) -> np.ndarray:
        start = random.integers(len(recording))
        return np.resize(np.roll(recording, -start), size)

    return piece
