"""Speech Commands from any source, as one dataset type.

A source is ``"embedded"``, ``"mini"``, ``"v0.01"``, ``"v0.02"`` (downloaded once), or a folder in
the same layout: a folder a word, and in it clips named ``<speaker>_nohash_<utterance>.wav``.

Reference: P. Warden, *Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition*,
arXiv:1804.03209.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

from course_utils import audio, settings
from course_utils.corpora import CorpusError, cache, clips, download, embedded
from course_utils.corpora.clips import CHUNK, SAMPLE_RATE, SPLITS
from course_utils.corpora.embedded import COMMANDS, DIGITS, WORDS

__all__ = ["COMMANDS", "DIGITS", "SAMPLE_RATE", "SPLITS", "WORDS", "SpeechCommands", "load"]

CLIP_SAMPLES = 16_000  # one second
LIST_FILES = {"validation": "validation_list.txt", "test": "testing_list.txt"}


@dataclass(frozen=True)
class Archive:
    """A corpus that can be downloaded."""

    url: str
    size: int  # bytes
    sha256: str | None  # None: its publisher gives none
    unpacked: int  # bytes on disk


_HOST = "https://storage.googleapis.com/download.tensorflow.org/data/"
ARCHIVES = {
    "mini": Archive(_HOST + "mini_speech_commands.zip", 182_082_353, None, 260_000_000),
    "v0.01": Archive(
        _HOST + "speech_commands_v0.01.tar.gz", 1_489_096_277,
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d", 2_200_000_000,
    ),
    "v0.02": Archive(
        _HOST + "speech_commands_v0.02.tar.gz", 2_428_923_189,
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58", 3_600_000_000,
    ),
}


class SpeechCommands(clips.Clips):
    """Clips of single words; a map-style dataset, and whole arrays for those who want speed.

    Make one with `load`. `split`, `only`, `first_takes` and `sample` return smaller ones; all
    share one memory-mapped file.

    Attributes
    ----------
    name : str
        The source, such as ``"embedded"``; what the results table shows.
    synthetic : bool
        True if no human said these words.
    words : list of str
        The classes; ``labels`` are positions in this list.
    labels : int64 array (clip,)
    lengths : int64 array (clip,)
        True length of each clip in samples, before it was padded or cut to one second.
    speakers, paths : str arrays (clip,)
        Who speaks; where the clip lies in the corpus folder.
    utterances : int64 array (clip,)
        The number of this recording among those of this speaker and word, from 0.
    splits : str array (clip,)
        ``"train"``, ``"validation"`` or ``"test"``.
    """

    columns = ("paths", "spoken", "speakers", "utterances", "lengths", "splits")

    def __init__(
        self, place: Path, folder: Path, name: str, index: dict[str, Any], notes: Sequence[str] = ()
    ):
        self.words: list[str] = list(index["words"])
        super().__init__(place, folder, name, index, notes)
        self._store = self._store.reshape(-1, CLIP_SAMPLES)

    def _choose(self, rows: np.ndarray) -> None:
        super()._choose(rows)
        position = {word: number for number, word in enumerate(self.words)}
        self.labels = np.array([position[word] for word in self.spoken], np.int64)

    def __getitem__(self, item: int) -> tuple[torch.Tensor, int, str, str, int]:
        """One clip at its true length, never over one second.

        Returns
        -------
        waveform : float32 tensor (1, time)
        sample_rate : int
        word : str
        speaker : str
        utterance : int
        """

        length = min(int(self.lengths[self._checked(item)]), CLIP_SAMPLES)
        samples = self._store[self._rows[item], :length].astype(np.float32) / 32768
        return (
            torch.from_numpy(samples)[None], SAMPLE_RATE, self.words[self.labels[item]],
            str(self.speakers[item]), int(self.utterances[item]),
        )

    def __repr__(self) -> str:
        return self._in_words(f"Speech Commands ({self.name}", f"{len(self.words)} words")

    def _why_empty(self) -> str:
        return (
            f"{len(set(self.speakers))} speakers are too few to share out. Use a corpus with more, "
            f"or add the lists {' and '.join(LIST_FILES.values())}."
        )

    @property
    def waveforms(self) -> np.ndarray:
        """int16 array (clip, 16000), each clip padded or cut to one second.

        The whole corpus is the memory-mapped file itself; a part of it is a copy in memory.
        """
        if np.array_equal(self._rows, np.arange(len(self._store))):
            return self._store
        return self._store[self._rows]

    def tensors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All clips at once, for a training loop that slices.

        Returns
        -------
        waveforms : float32 tensor (clip, 1, 16000), amplitude in [-1, 1]
            64 kB a clip: the 35 words of 80 speakers take 180 MB, all of v0.02 5.4 GB.
        labels : int64 tensor (clip,)
        """

        waveforms = torch.empty(len(self), 1, CLIP_SAMPLES)
        for start in range(0, len(self), CHUNK):  # no second copy of all clips
            samples = self._store[self._rows[start : start + CHUNK]]
            waveforms[start : start + CHUNK, 0] = torch.from_numpy(samples)
        return waveforms.div_(32768), torch.from_numpy(self.labels.copy())

    def only(self, words: Iterable[str]) -> SpeechCommands:
        """The clips of `words`, labelled in the order of `words`.

        Words that the corpus lacks are named in `notes` and left out.

        Raises
        ------
        CorpusError
            Fewer than two of the words are there.
        """
        words, missing = _known_words(words, self.words, self.name)
        rows = self._rows[np.isin(self.spoken, words)]
        notes = [*self.notes, f"no clips of: {', '.join(missing)}"] if missing else self.notes
        return self._with(rows, words=words, notes=notes)

    def noted(self, note: str) -> SpeechCommands:
        """The same clips, with one more note."""
        return self._with(self._rows, notes=[*self.notes, note])

    def first_takes(self) -> SpeechCommands:
        """Each speaker's first recording of each word: every word then has as many clips."""
        return self._with(self._rows[self.utterances == 0])

    def sample(self, clips_per_word: int, seed: int = 0) -> SpeechCommands:
        """At most so many clips of each word and split, drawn at random."""
        random = np.random.default_rng(seed)
        keep = []
        for split in SPLITS:
            for label in range(len(self.words)):
                rows = self._rows[(self.labels == label) & (self.splits == split)]
                keep.append(random.permutation(rows)[:clips_per_word])
        return self._with(np.sort(np.concatenate(keep)))

    def count(self) -> dict[str, int]:
        """Clips of each word."""
        counts = np.bincount(self.labels, minlength=len(self.words))
        return dict(zip(self.words, counts.tolist(), strict=True))

    def background_noise(self) -> dict[str, torch.Tensor]:
        """The long noises by name, each float32 ``(1, time)`` at 16 kHz.

        A corpus that has none takes the six of the embedded corpus.
        """
        folder = self.folder / "_background_noise_"
        if not any(folder.glob("*.wav")):
            print(f"{self.name} has no background noise: the embedded noises are used.")
            folder = embedded.background_noise_folder()
        return {
            path.stem: audio.load_clip(path, SAMPLE_RATE) for path in sorted(folder.glob("*.wav"))
        }


def load(
    source: str | Path | None = None, *, words: Iterable[str] | None = None, verbose: bool = True
) -> SpeechCommands:
    """Open Speech Commands; the first use downloads or builds it, and decodes it once.

    Parameters
    ----------
    source : str or Path, optional
        ``"embedded"``, ``"mini"``, ``"v0.01"``, ``"v0.02"`` or a folder; default
        ``COURSE_SPEECH_COMMANDS``, else ``"embedded"``.
    words : list of str, optional
        The classes, in this order; default all words of the corpus in alphabetical order. Words
        that the corpus lacks are named and left out; if it has fewer than two of them, all of
        its words are used, and the report says so.
    verbose : bool
        Print the corpus and its notes.

    Raises
    ------
    CorpusError
        There is no such source, or the folder is not in the layout.
    """
    source = str(source) if source is not None else settings.speech_commands_source()
    folder, name = _locate(source)
    corpus = _open(folder, name)
    if words is not None:
        words = list(words)
        if len(set(words) & set(corpus.words)) >= 2:
            corpus = corpus.only(words)
        elif set(words) <= set(WORDS):  # a stage's words: go on with what there is
            wanted = ", ".join(words)
            note = f"fewer than two of the words asked for ({wanted}): all of its words are used"
            corpus = corpus.noted(note)
        else:
            corpus = corpus.only(words)  # raises, and names what is unknown
    if verbose:
        print(corpus)
        for note in corpus.notes:
            print(f"  - {note}")
    return corpus


def _known_words(wanted: Iterable[str], known: list[str], name: str) -> tuple[list, list]:
    wanted = list(dict.fromkeys(wanted))  # a word named twice is one class
    found = [word for word in wanted if word in known]
    missing = [word for word in wanted if word not in known]
    if len(found) < 2:
        hints = [
            f"{word!r} (did you mean {close[0]!r}?)" if close else repr(word)
            for word in missing
            for close in [difflib.get_close_matches(word, known, n=1)]
        ]
        raise CorpusError(
            f"A classifier needs at least two words, and {name} has {len(found)} of those asked "
            f"for. It lacks {', '.join(hints) or 'none, but one word is not enough'}. "
            f"It has: {', '.join(known)}."
        )
    return found, missing


def _locate(source: str) -> tuple[Path, str]:
    """The corpus folder of a source and its name; builds or downloads when it is not there."""
    if source == "embedded":
        return embedded.speech_commands(), "embedded"
    if source in ARCHIVES:
        return _downloaded(source), source
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise CorpusError(
            f"There is no corpus {source!r}: use embedded, {', '.join(ARCHIVES)}, or a folder "
            "that exists (COURSE_SPEECH_COMMANDS or source=)."
        )
    folder = folder.resolve()
    return folder, folder.name


def archive_folder(source: str) -> Path:
    """Where a downloaded corpus lies."""
    name = re.sub(r"\.(tar\.gz|zip)$", "", PurePosixPath(ARCHIVES[source].url).name)
    for data in (settings.data_folder(), settings.writable_data_folder()):
        if (data / name).is_dir():
            return data / name
    return settings.writable_data_folder() / name


def _downloaded(source: str) -> Path:
    archive = ARCHIVES[source]
    name = PurePosixPath(archive.url).name
    folder = archive_folder(source)
    if not folder.is_dir():
        path = download.fetch(
            archive.url, settings.writable_data_folder() / name, sha256=archive.sha256,
            size=archive.size,
        )
        folder = download.extract(path, folder)
        # The clips are there; the archive would take its size a second time.
        path.unlink(missing_ok=True)  # two notebooks may have waited for one download
    inner = [item for item in folder.iterdir() if item.is_dir()]
    return inner[0] if len(inner) == 1 else folder  # the zip has one folder more than the tars


# ---------------------------------------------------------------- reading a folder


@dataclass(frozen=True)
class _Listing:
    """The clips of a folder, found without decoding one."""

    paths: list[str]  # word/file, with "/" on every system
    fingerprint: str


def _list(folder: Path) -> _Listing:
    """List the clips; the fingerprint covers names, sizes and times, and the split lists."""
    clips: list[tuple[str, int, int]] = []
    for word in _scan(folder):
        if not word.is_dir() or word.name[0] in "_.":
            continue
        for entry in _scan(word.path):
            if entry.name.lower().endswith(audio.FORMATS) and entry.name[0] != ".":
                try:
                    status = entry.stat()
                except OSError:  # a link that leads nowhere: reported when it is read
                    status = entry.stat(follow_symlinks=False)
                clips.append((f"{word.name}/{entry.name}", status.st_size, status.st_mtime_ns))
    if not clips:
        raise CorpusError(_not_a_corpus(folder))
    clips.sort()
    digest = hashlib.sha256(repr((3, clips)).encode())  # 3: the version of the cache
    for name in LIST_FILES.values():
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"-")
    return _Listing([clip[0] for clip in clips], digest.hexdigest()[:16])


def _scan(folder: Path | str) -> Iterator[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise CorpusError(
            f"The folder {folder} cannot be listed ({error.strerror}). Check its permissions."
        ) from error


def _not_a_corpus(folder: Path) -> str:
    found = sorted(item.name for item in folder.iterdir())
    inner = [item for item in folder.iterdir() if item.is_dir() and any(item.glob("*/*.wav"))]
    hint = f" Did you mean {inner[0]}?" if inner else ""
    return (
        f"{folder} is not in the layout of Speech Commands: it should hold one folder a word, "
        f"such as yes/ and no/, with WAV files in them. It holds "
        f"{', '.join(found[:5]) or 'nothing'}{' ...' if len(found) > 5 else ''}.{hint}"
    )


def _open(folder: Path, name: str) -> SpeechCommands:
    listing = _list(folder)
    return clips.opened(
        "speech_commands", folder, listing.fingerprint, name, lambda place,
        index: SpeechCommands(place, folder, name, index),
        lambda place: _decode(folder, listing, place, name),
    )


def _decode(folder: Path, listing: _Listing, place: Path, name: str) -> dict[str, Any]:
    """Decode every clip once into `place`; returns what the index is to hold."""
    cache.require_space(place, len(listing.paths) * CLIP_SAMPLES * 2, name)
    sounds = clips.decode(folder, listing.paths, place, name, fitted=CLIP_SAMPLES)
    found = list(zip(listing.paths, sounds, strict=True))
    problems = [(path, sound.problem) for path, sound in found if sound.problem]
    paths = [path for path, sound in found if not sound.problem]
    sounds = [sound for sound in sounds if not sound.problem]
    names = [split_name(path) for path in paths]
    words = sorted({word for word, _, _ in names})
    if len(words) < 2:
        reasons = "; ".join(reason for _, reason in problems[:3])
        raise CorpusError(
            f"{folder} has clips of {len(words)} words that can be read; a classifier needs at "
            f"least two. {reasons}"
        )
    splits, split_note = _splits(folder, paths)
    speakers = [speaker for _, speaker, _ in names]
    record = folder / "corpus.json"
    synthetic = record.is_file() and json.loads(record.read_text("utf-8")).get("synthetic", False)
    return {
        "samples": len(paths) * CLIP_SAMPLES,
        "words": words,
        "synthetic": synthetic,
        "paths": paths,
        "spoken": [word for word, _, _ in names],
        "speakers": speakers,
        "utterances": [utterance for _, _, utterance in names],
        "lengths": [sound.length for sound in sounds],
        "splits": splits,
        "problems": problems,
        "notes": _notes(sounds, problems, split_note, speakers, splits),
    }


def split_name(path: str) -> tuple[str, str, int]:
    """Word, speaker and utterance number of a clip.

    Examples
    --------
    >>> split_name("yes/004ae714_nohash_2.wav")
    ('yes', '004ae714', 2)
    >>> split_name("yes/anna.wav")
    ('yes', 'anna', 0)
    """
    word, file = PurePosixPath(path).parts[-2:]
    stem = PurePosixPath(file).stem
    speaker, _, utterance = stem.partition("_nohash_")
    return word, speaker, int(utterance) if utterance.isdecimal() else 0


def hash_split(speaker: str, validation_percent: float = 10, test_percent: float = 10) -> str:
    """The corpus' own rule: a speaker's hash decides the split, whatever else is in the folder.

    The SHA-1 of the speaker's name, modulo 2 ** 27, is scaled to 0..100: the lowest part is for
    validation, the next for testing. New recordings of a speaker thus stay in his or her split.

    Reference: README of Speech Commands v0.02, section "Partitioning".

    Examples
    --------
    >>> hash_split("004ae714"), hash_split("3d9200b9")
    ('train', 'train')
    """
    largest = 2**27 - 1
    number = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % (largest + 1)
    percent = number * 100 / largest
    if percent < validation_percent:
        return "validation"
    return "test" if percent < validation_percent + test_percent else "train"


def _splits(folder: Path, paths: list[str]) -> tuple[list[str], str]:
    """The split of each path, and a note where it is not the corpus' own list."""
    lists = {split: folder / name for split, name in LIST_FILES.items()}
    absent = [path.name for path in lists.values() if not path.is_file()]
    if absent:
        note = f"no {' and no '.join(absent)}: split by a hash of the speaker"
        return [hash_split(split_name(path)[1]) for path in paths], note
    split_of = {}
    for split, path in lists.items():
        # A list that somebody saved in another editor can begin with a mark, or not be UTF-8.
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            if line.strip():
                # "./yes/a.wav", "yes\\a.wav" and "yes/a.wav" are one file: a list that is
                # compared unnormalised puts test speakers into the training set.
                name = PurePosixPath(os.path.normpath(line.strip()).replace("\\", "/"))
                split_of[str(name)] = split
    gone = len(set(split_of) - set(paths))
    note = f"the lists name {gone:,} clips that are not there" if gone else ""
    return [split_of.get(path, "train") for path in paths], note


def _notes(
    sounds: list[clips.Sound], problems: list[tuple[str, str]], split_note: str,
    speakers: list[str], splits: list[str],
) -> list[str]:
    short = sum(sound.length < CLIP_SAMPLES for sound in sounds)
    long = sum(sound.length > CLIP_SAMPLES for sound in sounds)
    notes = [
        f"{short:,} clips are shorter than one second, {long:,} longer; arrays hold them fitted",
        *clips.sound_notes(sounds),
    ]
    if split_note:
        notes.append(split_note)
    where: dict[str, set[str]] = {}
    for speaker, split in zip(speakers, splits, strict=True):
        where.setdefault(speaker, set()).add(split)
    shared = sum(len(found) > 1 for found in where.values())
    if shared:
        notes.append(f"{shared:,} speakers are in more than one split: scores will be too high")
    if problems:
        notes.append(f"left out, because they cannot be read: {len(problems):,} clips")
        notes += [f"left out: {reason}" for _, reason in problems[:3]]
    return notes
