"""The published tasks on Speech Commands, so that a score can stand beside a publication.

``"35"``: all words. ``"12"``: the ten commands, *unknown* for every other word and *silence*.
``"10"``: the ten commands alone. Which clip is in which part, the corpus' own lists say.

Of *unknown* and *silence* there is a tenth of the commands' clips each, in each part, as in
TensorFlow's recipe (P. Warden, arXiv:1804.03209). The test clips of the 12 classes were published
as an archive of their own: they are taken where it lies beside the corpus, and drawn otherwise.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils import audio
from course_utils.corpora import CorpusError, archives, cache, clips, folders
from course_utils.corpora.clips import CHUNK, SAMPLE_RATE, SPLITS
from course_utils.corpora.embedded import COMMANDS, WORDS
from course_utils.corpora.noises import parts_of, random_crops
from course_utils.corpora.speakers import split_name

TASKS = {"35": "35 words", "12": "12 classes", "10": "ten commands"}
UNKNOWN, SILENCE = "unknown", "silence"
SHARE = 0.1  # of unknown and of silence, in each part, of the clips of the commands
#: The stretch of each noise from which the silence of a part is cut.
STRETCHES = {"train": (0.0, 0.8), "validation": (0.8, 0.9), "test": (0.9, 1.0)}
FORMAT = 1  # raise it when what lies in the cache changes


def of_task(corpus: Any, task: str, seed: int = 0) -> Any:
    """The clips of a published task.

    Parameters
    ----------
    corpus : SpeechCommands
        All of its words.
    task : str
        ``"35"``, ``"12"`` or ``"10"``.
    seed : int
        Which clips are drawn for *unknown* and *silence*.

    Raises
    ------
    ValueError
        There is no such task.
    CorpusError
        The corpus lacks the words for it.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; use one of {', '.join(TASKS)}.")
    by = "the corpus' own lists" if corpus.by_lists else "speaker: the corpus has no lists"
    note = f"parts by {by}"
    if task == "12":
        return _twelve(corpus, seed).noted(note)
    words = WORDS if task == "35" else COMMANDS
    part = corpus.only(words)
    name = TASKS[task]
    if len(part.words) < len(words):  # then it is another task, and compares with nothing
        name = f"{len(part.words)} of the {name}"
    return part.noted(note, task=name)


def _twelve(corpus: Any, seed: int) -> Any:
    """The ten commands, unknown and silence, kept in the cache as a corpus of their own."""
    commands = [word for word in COMMANDS if word in corpus.words]
    if len(commands) == len(corpus.words) or not commands:
        raise CorpusError(
            f"The 12 classes need commands and other words, and {corpus.name} has "
            f"{len(commands)} commands of {len(corpus.words)} words. Use another corpus."
        )
    test = archives.test_set_beside(corpus.folder)
    listed = _listed(test) if test else []
    about = (FORMAT, seed, [(item.path, item.size, item.modified) for item in listed])
    fingerprint = corpus.fingerprint + hashlib.sha256(repr(about).encode()).hexdigest()[:8]

    def make(place: Path, index: dict[str, Any]) -> Any:
        return type(corpus)(place, corpus.folder, corpus.name, index, corpus.notes)

    def decode(place: Path) -> dict[str, Any]:
        paths = [item.path for item in listed]
        cache.require_space(place, 2 * SAMPLE_RATE * len(corpus), corpus.name)
        sounds = clips.decode(test, paths, place, corpus.name, fitted=SAMPLE_RATE)
        found = list(zip(paths, sounds, strict=True))
        return _index(corpus, commands, found, place, seed)

    return clips.opened("speech_commands_12", corpus.folder, fingerprint, corpus.name, make, decode)


def _listed(test: Path) -> list[folders.Recording]:
    """The recordings of the published test set; its folders _unknown_ and _silence_ are words."""
    inside = sorted(entry.name for entry in folders.scan(test) if entry.is_dir())
    found = [item for name in inside for item in folders.listed(test, name).recordings]
    if not found:
        raise CorpusError(f"{test} holds no recording: unpack the archive anew, or remove it.")
    return sorted(found, key=lambda item: item.path)


def _index(
    corpus: Any,
    commands: list[str],
    published: list[tuple[str, clips.Sound]],
    place: Path,
    seed: int,
) -> dict[str, Any]:
    """Write the clips behind those of the published test set; what the index is to hold."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    problems = [(path, sound.problem) for path, sound in published if sound.problem]
    for path, sound in published:
        if not sound.problem:
            word, speaker, take = split_name(path)
            word = word.strip("_")
            speaker = "nobody, test" if word == SILENCE else speaker
            rows.append(_row(path, word, speaker, take, sound.length, "test"))
    with (place / "waveforms.int16").open("ab") as file:
        for split in SPLITS if not rows else SPLITS[:2]:
            chosen = _spoken(corpus, commands, split, random)
            wanted = int(np.isin(corpus.spoken[chosen], commands).sum())
            for start in range(0, len(chosen), CHUNK):
                file.write(corpus.take(chosen[start : start + CHUNK]).waveforms.tobytes())
            for item in chosen:
                spoken = corpus.spoken[item]
                rows.append(
                    _row(
                        corpus.paths[item],
                        spoken if spoken in commands else UNKNOWN,
                        corpus.speakers[item],
                        int(corpus.utterances[item]),
                        int(corpus.lengths[item]),
                        split,
                    )
                )
            quiet = _silence(corpus, split, _share(wanted), seed)
            file.write(quiet.tobytes())
            rows += [
                _row(
                    f"_silence_/{split}_{i}.wav", SILENCE, f"nobody, {split}", i, SAMPLE_RATE, split
                )
                for i in range(len(quiet))
            ]
    drawn = f"its unknown and silence drawn with seed {seed}"
    told = f"12-class test: {drawn}" if not published else "12-class test: the published archive"
    if published:
        told += f" of {sum(row['splits'] == 'test' for row in rows):,} clips"
    caveats = [*corpus.caveats, told]
    people = [{row["speakers"] for row in rows if row["splits"] == split} for split in SPLITS]
    if published and (shared := people[2] & (people[0] | people[1])):
        caveats.append(f"{len(shared):,} speakers of the test set are in other parts, too")
    columns = {name: [row[name] for row in rows] for name in corpus.columns}
    return columns | {
        "samples": SAMPLE_RATE * len(rows),
        "words": [*commands, UNKNOWN, SILENCE],
        "synthetic": corpus.synthetic,
        "by_lists": corpus.by_lists,
        "problems": problems,
        "notes": [told],
        "caveats": caveats,
        "task": TASKS["12"] if len(commands) == len(COMMANDS) else f"{len(commands) + 2} classes",
    }


def _row(
    path: str, spoken: str, speaker: str, take: int, length: int, split: str
) -> dict[str, Any]:
    return {
        "paths": path,
        "spoken": spoken,
        "speakers": speaker,
        "utterances": take,
        "lengths": length,
        "splits": split,
    }


def _share(wanted: int) -> int:
    """How many clips of unknown, and of silence, stand beside so many of commands."""
    return math.ceil(SHARE * wanted)


def _spoken(
    corpus: Any, commands: list[str], split: str, random: np.random.Generator
) -> np.ndarray:
    """Positions of all clips of commands in a part, and of some of other words."""
    inside, is_command = corpus.splits == split, np.isin(corpus.spoken, commands)
    wanted = np.flatnonzero(inside & is_command)
    others = random.permutation(np.flatnonzero(inside & ~is_command))[: _share(len(wanted))]
    return np.sort(np.concatenate([wanted, others]))


def _silence(corpus: Any, split: str, count: int, seed: int) -> np.ndarray:
    """Seconds of noise, 0 to 40 dB softer than recorded: int16 (count, 16000)."""
    noises = corpus.background_noise()
    generator = torch.Generator().manual_seed(seed + SPLITS.index(split))
    stretches = parts_of(noises, sorted(noises), *STRETCHES[split])
    stretches = [audio.looped(stretch, SAMPLE_RATE) for stretch in stretches]
    crops = random_crops(stretches, count, SAMPLE_RATE, generator)[:, 0]
    level = 10 ** (-2 * torch.rand(count, 1, generator=generator))
    return (32767 * (crops * level).clamp(-1, 1)).round().numpy().astype(np.int16)
