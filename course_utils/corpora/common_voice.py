"""Common Voice from any source, as one dataset type.

A source is ``"embedded"`` (synthetic speech, made on the spot), a folder of a release,
``"mdc:DATASET_ID"`` (a dataset of the Mozilla Data Collective, with your own key), or
``"mini_librispeech"`` (English, downloaded once). Nothing downstream knows which it is.

Reference: R. Ardila et al., *Common Voice: A Massively-Multilingual Speech Corpus*,
arXiv:1912.06670.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from course_utils import settings
from course_utils.corpora import CorpusError, cache, decoding, embedded
from course_utils.corpora import release as releases
from course_utils.corpora.decoding import SAMPLE_RATE
from course_utils.corpora.release import SPLITS, Release

__all__ = ["SAMPLE_RATE", "SPLITS", "Clip", "CommonVoice", "load"]

#: Columns of the index that are text, each an array (clip,).
_TEXTS = ("paths", "speakers", "transcripts", "splits", "ages", "genders", "accents")


class Clip(NamedTuple):
    """One clip of `CommonVoice`."""

    waveform: torch.Tensor  # float32 (1, time) at 16 kHz, amplitude in [-1, 1]
    transcript: str  # as the corpus has it, with capitals and punctuation
    speaker: str
    path: str
    seconds: float


class CommonVoice(Dataset):
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

    sample_rate = SAMPLE_RATE

    def __init__(self, *, folder, name, language, synthetic, store, index, rows, problems, notes):
        self.folder: Path = folder
        self.name: str = name
        self.language: str = language
        self.synthetic: bool = synthetic
        self.problems: list[tuple[str, str]] = problems
        self.notes: list[str] = notes
        self._store: np.memmap = store
        self._index: dict[str, np.ndarray] = index
        self._rows: np.ndarray = rows
        self.transcripts = index["transcripts"][rows]
        self.speakers = index["speakers"][rows]
        self.paths = index["paths"][rows]
        self.splits = index["splits"][rows]
        self.ages = index["ages"][rows]
        self.genders = index["genders"][rows]
        self.accents = index["accents"][rows]
        self.lengths = index["lengths"][rows]
        self.durations = index["durations"][rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, item: int) -> Clip:
        """One clip: waveform float32 ``(1, time)``, transcript, speaker, path and seconds."""

        if not -len(self) <= item < len(self):
            raise IndexError(f"clip {item} of {len(self)}")
        length = int(self.lengths[item])
        start = int(self._index["starts"][self._rows[item]])
        samples = self._store[start : start + length].astype(np.float32) / 32768
        return Clip(
            torch.from_numpy(samples)[None],
            str(self.transcripts[item]),
            str(self.speakers[item]),
            str(self.paths[item]),
            length / SAMPLE_RATE,
        )

    def __repr__(self) -> str:
        parts = ", ".join(f"{split} {(self.splits == split).sum():,}" for split in SPLITS)
        kind = "synthetic speech" if self.synthetic else "recorded speech"
        return (
            f"Common Voice ({self.name}, {self.language}, {kind}): {len(self):,} clips, "
            f"{_span(self.seconds)}, {len(set(self.speakers)):,} speakers; {parts}"
        )

    @property
    def seconds(self) -> float:
        """How long all clips are together."""
        return float(self.lengths.sum()) / SAMPLE_RATE

    def split(self, name: str) -> CommonVoice:
        """The clips of ``"train"``, ``"validation"`` or ``"test"``."""
        if name not in SPLITS:
            raise ValueError(f"split is {name!r}; use one of {', '.join(SPLITS)}.")
        part = self._with(self._rows[self.splits == name])
        if not len(part):
            raise CorpusError(
                f"The {name} part of {self.name} is empty: there are {len(self):,} clips of "
                f"{len(set(self.speakers)):,} speakers. Use a larger corpus, or wider limits."
            )
        return part

    def sample(self, clips: int, seed: int = 0) -> CommonVoice:
        """At most so many clips of each split, drawn at random."""
        random = np.random.default_rng(seed)
        keep = [random.permutation(self._rows[self.splits == split])[:clips] for split in SPLITS]
        return self._with(np.sort(np.concatenate(keep)))

    def take(self, items: Iterable[int]) -> CommonVoice:
        """The clips at these positions, in this order."""
        items = np.asarray(list(items))
        return self._with(self._rows[items if len(items) else []])

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
            ("accents", self.accents),
            ("genders", self.genders),
            ("ages", self.ages),
        ):
            counts = Counter(str(value) or "not stated" for value in column)
            shares = [f"{name} {count / len(self):.0%}" for name, count in counts.most_common(4)]
            rest = f", and {len(counts) - 4} more" if len(counts) > 4 else ""
            lines.append(f"  {label}: {', '.join(shares)}{rest}")
        return "\n".join(lines + [f"  - {note}" for note in self.notes])

    @property
    def fingerprint(self) -> str:
        """Twelve characters that change when the clips or their order change."""
        digest = hashlib.sha256(Path(self._store.filename).parent.name.encode())
        digest.update(self._rows.tobytes())
        return digest.hexdigest()[:12]

    def _with(self, rows) -> CommonVoice:
        return CommonVoice(
            folder=self.folder,
            name=self.name,
            language=self.language,
            synthetic=self.synthetic,
            store=self._store,
            index=self._index,
            rows=rows,
            problems=self.problems,
            notes=self.notes,
        )


def load(
    language: str = "fr",
    source: str | Path | None = None,
    *,
    min_seconds: float | None = None,
    max_seconds: float | None = None,
    max_clips: int | None = None,
    verbose: bool = True,
) -> CommonVoice:
    """Open Common Voice; the first use downloads or builds it, and decodes it once.

    Parameters
    ----------
    language : str
        Which language of the source; a source that has only one is used as it is, and says so.
    source : str or Path, optional
        ``"embedded"``, a folder of a release (the whole, or that of one language),
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
    source = str(source) if source is not None else settings.common_voice_source()
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
    if source == "embedded":
        folder = embedded.common_voice(language)
        return releases.read(folder / language), "embedded"
    if source == "mini_librispeech":
        from course_utils.corpora import mini_librispeech

        return mini_librispeech.read(mini_librispeech.folder()), source
    if source.startswith("mdc:"):
        from course_utils.corpora import mdc

        return releases.read(releases.find(mdc.folder(source[4:]), language)), source
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise CorpusError(
            f"There is no corpus {source!r}: use embedded, mini_librispeech, mdc:DATASET_ID, or a "
            "folder that exists (COURSE_COMMON_VOICE or source=)."
        )
    folder = releases.find(folder.resolve(), language)
    return releases.read(folder), f"{folder.parent.name}/{folder.name}"


def _open(release: Release, name: str, min_seconds, max_seconds, max_clips) -> CommonVoice:
    selection = decoding.select(release, min_seconds, max_seconds, max_clips)
    choice = hashlib.sha256(repr((min_seconds, max_seconds, max_clips)).encode()).hexdigest()[:8]
    path = cache.entry(
        f"common_voice_{choice}", release.folder, decoding.fingerprint(release, selection)
    )
    notes = release.notes + selection.notes
    if path.is_dir():
        try:
            return _from_cache(path, release, name, notes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"The decoded copy of {name} is damaged ({error}): it is made anew.")
            shutil.rmtree(path, ignore_errors=True)
    with cache.building(path) as building:
        if building:
            decoding.decode(release, selection, building, name)
    return _from_cache(path, release, name, notes)


def _from_cache(path: Path, release: Release, name: str, notes: list[str]) -> CommonVoice:
    found = json.loads((path / "index.json").read_text(encoding="utf-8"))
    # Text of very different lengths: an array of one width would be mostly padding.
    index = {key: np.array(found[key], dtype=object) for key in _TEXTS}
    index["lengths"] = np.array(found["lengths"], np.int64)
    index["durations"] = np.array(found["durations"], np.float64)
    index["starts"] = np.cumsum(index["lengths"]) - index["lengths"]
    shape = (int(index["lengths"].sum()),)
    store = np.memmap(path / "waveforms.int16", np.int16, mode="r", shape=shape)
    problems = release.problems + [tuple(problem) for problem in found["problems"]]
    return CommonVoice(
        folder=release.folder,
        name=name,
        language=release.language,
        synthetic=release.synthetic,
        store=store,
        index=index,
        rows=np.arange(len(index["paths"])),
        problems=problems,
        notes=[*notes, *found["notes"], *_problem_notes(problems)],
    )


def _problem_notes(problems: list[tuple[str, str]]) -> list[str]:
    if not problems:
        return []
    empty = sum(reason == releases.EMPTY for _, reason in problems)
    notes = [
        f"left out: {len(problems):,} clips, {empty:,} with an empty sentence and "
        f"{len(problems) - empty:,} that cannot be read; all stand in .problems"
    ]
    return notes + [f"left out: {path}: {reason}" for path, reason in problems[:2]]


def _span(seconds: float) -> str:
    """A time in words: ``"90 s"``, ``"12 min"`` or ``"3.4 h"``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
