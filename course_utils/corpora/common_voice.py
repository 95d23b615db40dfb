"""Common Voice from any source, as one dataset type.

A source is ``"embedded"`` (synthetic speech, made on the spot; with ``":new_words"`` behind it a
test part of words that training has not heard, with ``":more"`` more than twice the
training), a folder of a release,
``"mdc:DATASET_ID"`` (a dataset of the Mozilla Data Collective, with your own key), or
``"mini_librispeech"`` (English, downloaded once). Nothing downstream knows which it is.

Reference: R. Ardila et al., *Common Voice: A Massively-Multilingual Speech Corpus*,
arXiv:1912.06670.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch

from course_utils import settings
from course_utils.corpora import (
    CorpusError,
    cache,
    clips,
    embedded,
    folders,
    mdc,
    mini_librispeech,
    selection,
    tables,
)
from course_utils.corpora.clips import SAMPLE_RATE, SPLITS
from course_utils.corpora.selection import Selection
from course_utils.corpora.tables import Release

__all__ = ["SAMPLE_RATE", "SPLITS", "Clip", "CommonVoice", "load"]


_PACKED = (".gz", ".tgz", ".tar", ".zip", ".xz", ".bz2", ".7z")


class Clip(NamedTuple):
    """One clip of `CommonVoice`."""

    waveform: torch.Tensor  # float32 (1, time) at 16 kHz, amplitude in [-1, 1]
    transcript: str  # as the corpus has it, with capitals and punctuation
    speaker: str
    path: str
    seconds: float


class CommonVoice(clips.Clips):
    """Clips of sentences, each at its own length; a map-style dataset.

    Make one with `load`. `split`, `sample` and `take` return smaller ones; all share one
    memory-mapped file.

    Attributes
    ----------
    name : str
        The source, such as ``"embedded"``; what the results table shows.
    language : str
        Such as ``"fr"``.
    synthetic : bool
        True if no human said these sentences.
    transcripts, speakers, paths, splits : str arrays (clip,)
        What is said; who speaks; where the clip lies in the corpus folder; ``"train"``,
        ``"validation"`` or ``"test"``.
    ages, genders, accents : str arrays (clip,)
        What the speakers say about themselves; mostly ``""``.
    lengths : int64 array (clip,)
        Samples of each clip at 16 kHz.
    durations : float64 array (clip,)
        Seconds of each clip as the release or its header states them.
    problems : list of (path, reason)
        Clips that were left out: no sentence, missing, cut off, no sound.
    notes : list of str
        What a reader of a score should know: what was left out, resampled, split by us.
    """

    columns = ("paths", "speakers", "transcripts", "splits", "ages", "genders", "accents")
    columns += ("lengths", "durations")

    def __init__(
        self, place: Path, folder: Path, name: str, index: dict[str, Any], notes: Sequence[str]
    ):
        self.language: str = index["language"]
        super().__init__(place, folder, name, index, notes)
        lengths = self._index["lengths"]
        self._starts = np.cumsum(lengths) - lengths

    def __getitem__(self, item: int) -> Clip:
        """One clip: waveform float32 ``(1, time)``, transcript, speaker, path and seconds."""
        length = int(self.lengths[self._checked(item)])
        start = int(self._starts[self._rows[item]])
        samples = self._store[start : start + length].astype(np.float32) / 32768
        return Clip(
            torch.from_numpy(samples)[None], str(self.transcripts[item]), str(self.speakers[item]),
            str(self.paths[item]), length / SAMPLE_RATE,
        )

    def _spans(self) -> tuple[np.ndarray, np.ndarray]:
        return self._starts[self._rows], self.lengths

    def __repr__(self) -> str:
        source = self.name.removesuffix(f" {self.language}")
        return self._in_words(f"Common Voice ({source}, {self.language}", _span(self.seconds))

    def _why_empty(self) -> str:
        return (
            f"there are {len(self):,} clips of {len(set(self.speakers)):,} speakers. Use a larger "
            "corpus, or wider limits."
        )

    @property
    def seconds(self) -> float:
        """How long all clips are together."""
        return float(self.lengths.sum()) / SAMPLE_RATE

    def sample(self, clips: int, seed: int = 0) -> CommonVoice:
        """At most so many clips of each split, drawn at random."""
        random = np.random.default_rng(seed)
        keep = [random.permutation(self._rows[self.splits == split])[:clips] for split in SPLITS]
        return self._with(np.sort(np.concatenate(keep)))

    def describe(self) -> str:
        """A data card in words: how much of what, who speaks, and what was left out."""
        lines = [repr(self)]
        for split in SPLITS:
            part = self.splits == split
            if part.any():
                seconds = self.lengths[part] / SAMPLE_RATE
                lines.append(
                    f"  {split}: {part.sum():,} clips, {_span(seconds.sum())}, "
                    f"{len(set(self.speakers[part])):,} speakers, "
                    f"{len(set(self.transcripts[part])):,} sentences; {seconds.min():.1f} to "
                    f"{seconds.max():.1f} s, half of them up to {np.median(seconds):.1f} s"
                )
        for label, column in (
            ("accents", self.accents), ("genders", self.genders), ("ages", self.ages),
        ):
            counts = Counter(str(value) or "not stated" for value in column)
            shares = [f"{name} {count / len(self):.0%}" for name, count in counts.most_common(4)]
            rest = f", and {len(counts) - 4} more" if len(counts) > 4 else ""
            lines.append(f"  {label}: {', '.join(shares)}{rest}")
        return "\n".join(lines + [f"  - {note}" for note in self.notes])


def load(
    language: str = "fr", source: str | Path | None = None, *, min_seconds: float | None = None,
    max_seconds: float | None = None, max_clips: int | None = None, verbose: bool = True,
) -> CommonVoice:
    """Open Common Voice; the first use downloads or builds it, and decodes it once.

    Parameters
    ----------
    language : str
        Which language of the source; a source that has only one is used as it is, and says so.
    source : str or Path, optional
        ``"embedded"``, ``"embedded:new_words"``, ``"embedded:more"``, a folder of a release (the
        whole, or that of one language),
        ``"mdc:DATASET_ID"`` or ``"mini_librispeech"``; default ``COURSE_COMMON_VOICE``, else
        ``"embedded"``.
    min_seconds, max_seconds : float, optional
        Leave out clips that are shorter or longer. Durations are those that the release states,
        or else the clips' headers.
    max_clips : int, optional
        At most so many clips of each split. A large release takes 115 MB an hour when decoded.
    verbose : bool
        Print the corpus and its notes.

    Raises
    ------
    CorpusError
        There is no such source, a table lacks a column, no clip can be read, the disk is full.
    DownloadError
        What has to be fetched cannot be.
    """
    if source is None:
        source = settings.common_voice_source()
    source = settings.source(str(source), settings.COMMON_VOICE)
    release, name = _locate(source, language)
    if release.language != language:
        release.notes.append(f"its language is {release.language}; {language} was asked for")
    corpus = _open(release, name, min_seconds, max_seconds, max_clips)
    if verbose:
        print(corpus)
        for note in corpus.notes:
            print(f"  - {note}")
    return corpus


def _locate(source: str, language: str) -> tuple[Release, str]:
    """The tables of a source and its name; builds or downloads when it is not there."""
    if source in settings.COMMON_VOICE and source.startswith("embedded"):
        part = source.partition(":")[2]
        folder = embedded.common_voice(language, **({"part": part} if part else {}))
        name = " ".join(["embedded", *part.split("_"), language]).replace("  ", " ")
        return tables.read(folder / language), name
    if source == "mini_librispeech":
        return mini_librispeech.read(mini_librispeech.folder()), source
    if source.startswith("mdc:"):
        return tables.read(tables.find(mdc.folder(source[4:]), language)), source
    folder = folders.existing(Path(source).expanduser())
    if folder.is_file():
        raise CorpusError(
            f"{folder} is a file. "
            + ("Unpack it, and name" if folder.suffix in _PACKED else "Name")
            + " the folder of the release (COURSE_COMMON_VOICE or source=)."
        )
    if not folder.is_dir():
        raise CorpusError(
            f"There is no corpus {source!r}: use embedded, mini_librispeech, mdc:DATASET_ID, or a "
            "folder that exists (COURSE_COMMON_VOICE or source=)."
        )
    folder = tables.find(folder.resolve(), language)
    return tables.read(folder), f"{folder.parent.name}/{folder.name}"


def _open(
    release: Release, name: str, min_seconds: float | None, max_seconds: float | None,
    max_clips: int | None,
) -> CommonVoice:
    chosen = selection.select(release, min_seconds, max_seconds, max_clips)
    limits = hashlib.sha256(repr((min_seconds, max_seconds, max_clips)).encode()).hexdigest()[:8]

    def make(place: Path, index: dict[str, Any]) -> CommonVoice:
        problems = [*release.problems, *map(tuple, index["problems"])]
        notes = [*release.notes, *chosen.notes]
        index = index | {"problems": problems, "notes": index["notes"] + _problem_notes(problems)}
        about = {
            "synthetic": release.synthetic, "language": release.language,
            "caveats": release.caveats,
        }
        return CommonVoice(place, release.folder, name, index | about, notes)

    return clips.opened(
        f"common_voice_{limits}", release.folder, selection.fingerprint(release, chosen), name,
        make, lambda place: _decode(release, chosen, place, name),
    )


def _decode(release: Release, chosen: Selection, place: Path, name: str) -> dict[str, Any]:
    """Decode the chosen clips once into `place`; returns what the index is to hold."""
    cache.require_space(place, selection.bytes_needed(release.folder, chosen), name)
    paths = [row.path for row in chosen.rows]
    sounds = clips.decode(release.folder, paths, place, name, stated=chosen.seconds)
    found = list(zip(chosen.rows, sounds, chosen.seconds, strict=True))
    problems = [(row.path, sound.problem) for row, sound, _ in found if sound.problem]
    if len(problems) == len(paths):
        reasons = "; ".join(f"{path}: {reason}" for path, reason in problems[:3])
        place = release.folder / PurePosixPath(paths[0]).parts[0]
        gone = "" if place.is_dir() else f" The folder {place} for them is not there."
        raise CorpusError(
            f"Not one of the {len(paths):,} clips of {name} can be read. The first: {reasons}{gone}"
        )
    found = [item for item in found if not item[1].problem]
    rows, sounds = [row for row, _, _ in found], [sound for _, sound, _ in found]
    spans = [(sound.length / SAMPLE_RATE, stated) for _, sound, stated in found]
    wrong = [span > 1.1 * stated + 0.2 for span, stated in spans]  # shorter ones are cut off
    notes = clips.sound_notes(sounds)
    if any(wrong):
        notes.append(f"longer than the release states: {sum(wrong):,} clips, used as they are")
    return {
        "samples": sum(sound.length for sound in sounds),
        "paths": [row.path for row in rows],
        "speakers": [row.speaker for row in rows],
        "transcripts": [row.transcript for row in rows],
        "splits": [row.split for row in rows],
        "ages": [row.age for row in rows],
        "genders": [row.gender for row in rows],
        "accents": [row.accents for row in rows],
        "lengths": [sound.length for sound in sounds],
        # Where nobody stated a duration, or a wrong one, the decoded clip has told it by now.
        "durations": [
            span if math.isnan(stated) or odd else stated
            for (span, stated), odd in zip(spans, wrong, strict=True)
        ],
        "problems": problems,
        "notes": notes,
    }


def _problem_notes(problems: list[tuple[str, str]]) -> list[str]:
    if not problems:
        return []
    empty = sum(reason == tables.EMPTY for _, reason in problems)
    odd = [problem for problem in problems if ", line " in problem[0]]
    others = [problem for problem in problems if problem not in odd]
    rows = f", {len(odd):,} whose row is damaged" if odd else ""
    notes = [
        f"left out: {len(problems):,} clips, {empty:,} with an empty sentence{rows} and "
        f"{len(problems) - empty - len(odd):,} that cannot be read; all stand in .problems"
    ]
    shown = odd[:2] + others[:2]
    return notes + [f"left out: {path}: {reason}" for path, reason in shown]


def _span(seconds: float) -> str:
    """A time in words: ``"90 s"``, ``"12 min"`` or ``"3.4 h"``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
