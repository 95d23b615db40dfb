"""What is said and heard in synthetic scenes: for training, validation and test, nothing twice.

No two parts share a speaker, a sentence, a word that is said alone, or a kind of noise. Speakers
are dealt as in the embedded corpus: of each ten, eight, one and one. So those of the corpus are
among them, in the same parts.
"""

import itertools
import json
import math
import random
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from course_utils.corpora import cache, scenes
from course_utils.corpora.clips import SPLITS
from course_utils.corpora.embedded import COMMANDS, WORDS, build, sentences
from course_utils.corpora.embedded.espeak import SAMPLE_RATE

#: Open text in English, our own, by part; no sentence has a command in it, nor what sounds like it.
OPEN_TEXT: dict[str, list[str]] = json.loads(
    Path(__file__).with_name("open_text.json").read_text(encoding="utf-8")
)
#: Words of no list that sound like a command.
HOMOPHONES = ("know", "write")
#: Shares of the sounds that are no command. A rate of false alarms belongs to a mix: this is ours.
MIX = {"open": 0.35, "grammar": 0.25, "word": 0.2, "noise": 0.11, "single": 0.07, "silence": 0.02}
#: The same with commands, for scenes in which something is to be found.
DAY = {"command": 0.3} | {kind: 0.7 * share for kind, share in MIX.items()}
GRAMMAR_SENTENCES = 6000  # written once, and dealt to the parts by what they say
SECONDS = {"open": 2.7, "grammar": 1.9}  # a little less than the mean; of single words 0.65

_TENTHS = {"train": range(6), "validation": range(6, 8), "test": range(8, 10)}
_SPEAKERS = {"train": range(8), "validation": range(8, 9), "test": range(9, 10)}


def make(
    part: str = "validation",
    minutes: float = 10,
    *,
    shares: Mapping[str, float] | None = None,
    speakers: int = 40,
    seed: int = 0,
    noisy: float = 0.5,
    pause: tuple[float, float] = (0.3, 1.5),
    processes: int | None = None,
) -> scenes.Scene:
    """Find a synthetic scene in the cache, or make it: ten minutes take some seconds.

    Parameters
    ----------
    part : str
        ``"train"``, ``"validation"`` or ``"test"``.
    minutes : float
    shares : dict of str to float, optional
        How much of the time each of ``scenes.KINDS`` takes; default `DAY`.
    speakers : int
        How many people speak.
    seed : int
        Another seed gives another scene of the same people.
    noisy, pause
        As :func:`course_utils.corpora.scenes.compose` takes them.
    processes : int, optional
        How many processes speak at a time; default one a core. It does not change the bytes.

    Raises
    ------
    CorpusError
        espeak-ng cannot be loaded or crashed, or the disk is full.
    """
    if part not in SPLITS:
        raise ValueError(f"part is {part!r}; use one of {', '.join(SPLITS)}.")
    shares = dict(DAY if shares is None else shares)
    if unknown := [kind for kind in shares if kind not in scenes.KINDS]:
        raise ValueError(f"no kind {', '.join(unknown)}; the kinds: {', '.join(scenes.KINDS)}.")
    recipe = {
        "part": part, "minutes": minutes, "shares": shares, "speakers": speakers, "seed": seed,
        "noisy": noisy, "pause": pause,
    }  # fmt: skip

    def record(folder: Path) -> tuple[np.ndarray, dict]:
        time = {kind: 60 * minutes * share / sum(shares.values()) for kind, share in shares.items()}
        counts = {
            kind: math.ceil(seconds / (SECONDS.get(kind, 0.65) + sum(pause) / 2))
            for kind, seconds in time.items()
            if kind not in ("noise", "silence")
        }
        sources = spoken(folder, part, counts, people(part, speakers), seed, processes)
        options = {"noisy": noisy, "pause": pause}
        return scenes.compose(sources, shares, NOISES[part], minutes, seed, **options)

    return scenes.made(recipe, cache.folder() / "embedded", "", record)


def people(part: str, count: int) -> list[int]:
    """The numbers of the first speakers of a part, as ``make_speaker`` takes them.

    >>> people("train", 9), people("test", 2)
    ([0, 1, 2, 3, 4, 5, 6, 7, 10], [9, 19])
    """
    numbers = (number for number in itertools.count() if number % 10 in _SPEAKERS[part])
    return list(itertools.islice(numbers, count))


def texts(part: str, kind: str) -> list[str]:
    """All that is said of a kind in a part: words of the lists are the same in each.

    >>> texts("test", "command")[:3]
    ['yes', 'no', 'up']
    """
    if kind == "command":
        return list(COMMANDS)
    if kind == "word":
        return [word for word in WORDS if word not in COMMANDS]
    if kind == "open":
        return list(OPEN_TEXT[part])
    if kind == "grammar":
        found = sentences.write(GRAMMAR_SENTENCES, "en")
        return [text for text in found if _is_in(part, text) and not _has_command(text)]
    written = itertools.chain.from_iterable(OPEN_TEXT.values())
    heard = sentences.vocabulary("en").union(*map(sentences.words, written))
    known = {*WORDS, *HOMOPHONES}
    return [
        word for word in sorted(heard) if len(word) > 2 and word not in known and _is_in(part, word)
    ]


def _is_in(part: str, text: str) -> bool:
    return zlib.crc32(text.encode()) % 10 in _TENTHS[part]


def _has_command(text: str) -> bool:
    return not {*COMMANDS, *HOMOPHONES}.isdisjoint(sentences.words(text))


def spoken(
    folder: Path,
    part: str,
    counts: Mapping[str, int],
    speakers: list[int],
    seed: int,
    processes: int | None = None,
) -> dict[str, Iterator[scenes.Item]]:
    """Have so many lines of each kind spoken; returns them, endless, by kind.

    Parameters
    ----------
    folder : Path
        For what the processes leave, which goes when all is read.
    part : str
    counts : dict of str to int
    speakers : list of int
        They take turns.
    seed : int
        Who says what, and how.
    processes : int, optional
    """
    lines, draw = [], random.Random(f"scene {part} {seed}")
    for kind, count in counts.items():
        pool, deck = texts(part, kind), []
        turns = itertools.cycle(draw.sample(speakers, len(speakers)))
        for _ in range(count):
            deck = deck or draw.sample(pool, len(pool))  # dealt like cards: rare words come, too
            lines.append((kind, deck.pop(), next(turns)))
    size = build.SPEAKERS_PER_BATCH
    jobs = []
    for start in range(0, len(speakers), size):
        batch = speakers[start : start + size]
        said = [(n, text, who) for n, (_, text, who) in enumerate(lines) if who in batch]
        jobs.append({"name": f"lines-{start}", "speakers": batch, "seed": seed, "lines": said})
    plan = build.Plan(
        recipe={}, clips=len(lines), size=0, folders=(), jobs=jobs, write_texts=lambda *_: None,
        whole="250 MB an hour", real="COURSE_SPEECH_COMMANDS to mini (182 MB)",
        smallest="COURSE_SPEECH_COMMANDS=mini (182 MB)",
    )  # fmt: skip
    build.speak(folder, plan, processes or build.cores())
    items: dict[str, list[scenes.Item | None]] = {kind: [] for kind in counts}
    recorded = dict(itertools.chain.from_iterable(_recordings(folder, job) for job in jobs))
    for number, (kind, text, who) in enumerate(lines):
        samples, start, end = recorded[number]
        items[kind].append(scenes.Item(text, f"speaker {who}", samples, start, end))
    return {kind: itertools.cycle(found) for kind, found in items.items()}


def _recordings(folder: Path, job: dict) -> Iterator[tuple[int, tuple[np.ndarray, int, int]]]:
    """Each line of a job by its number: samples, and where in them it is spoken."""
    sound, spans = (folder / f"{job['name']}.{kind}" for kind in ("int16", "json"))
    samples, at = np.fromfile(sound, "<i2"), 0
    found = json.loads(spans.read_text(encoding="utf-8"))
    sound.unlink()
    spans.unlink()
    for (number, _, _), (size, start, end) in zip(job["lines"], found, strict=True):
        yield number, (samples[at : at + size], start, end)
        at += size


# --- noises -------------------------------------------------------------------------------------


def _coloured(
    size: int, random: np.random.Generator, slope: float, top: float = 8000
) -> np.ndarray:
    """Noise whose power falls as frequency ** -slope, with little above `top` Hz."""
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE) + 20
    gain = frequency ** (-slope / 2) / (1 + (frequency / top) ** 4)
    return np.fft.irfft(np.fft.rfft(random.normal(size=size)) * gain, size)


def _tones(size: int, random: np.random.Generator, low: float, high: float) -> np.ndarray:
    """A tone with overtones, somewhere between two frequencies in Hz."""
    time = np.arange(size) / SAMPLE_RATE
    base = random.uniform(low, high)
    return sum(np.sin(2 * np.pi * base * k * time + k) / k for k in range(1, 12))


def _swell(size: int, random: np.random.Generator, seconds: float) -> np.ndarray:
    """A level that rises and falls at random, about once in so many seconds."""
    points = random.uniform(0.05, 1, int(size / SAMPLE_RATE / seconds) + 3)
    return np.interp(np.linspace(0, len(points) - 1, size), np.arange(len(points)), points)


def _clicks(size: int, random: np.random.Generator, rate: float, fade: float) -> np.ndarray:
    """Short bursts of noise, so many a second, each gone after `fade` seconds."""
    at = random.random(size) < rate / SAMPLE_RATE
    tail = np.exp(-np.arange(int(5 * fade * SAMPLE_RATE)) / (fade * SAMPLE_RATE))
    strength = at * random.exponential(size=size)
    length = 1 << (size + len(tail)).bit_length()
    smooth = np.fft.irfft(np.fft.rfft(strength, length) * np.fft.rfft(tail, length), length)
    return np.maximum(smooth[:size], 0) * random.normal(size=size)


#: The kinds of noise of each part; every stretch of one is another.
NOISES: dict[str, dict[str, scenes.Noise]] = {
    "train": {
        "white noise": lambda size, random: random.normal(size=size),
        "mains hum": lambda size, random: _tones(size, random, 48, 62),
        "engine": lambda size, random: (
            _coloured(size, random, 2) * (1 + 0.8 * np.sign(_tones(size, random, 1, 3))) ** 2
        ),
        "running water": lambda size, random: np.diff(_coloured(size + 1, random, 0, 3500)),
        "hammering": lambda size, random: _clicks(size, random, 3, 0.03),
    },
    "validation": {
        "fan": lambda size, random: (
            _coloured(size, random, 1.5) / 20 + 1e-4 * _tones(size, random, 90, 200)
        ),
        "rain": lambda size, random: _clicks(size, random, 300, 0.002),
    },
    "test": {
        "wind": lambda size, random: _coloured(size, random, 2.5, 900) * _swell(size, random, 0.7),
        "typing": lambda size, random: _clicks(size, random, 7, 0.008),
        "traffic": lambda size, random: (
            _coloured(size, random, 1, 2000) * _swell(size, random, 4) ** 2
        ),
    },
}
