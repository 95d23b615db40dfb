"""Speech Commands from any source, as one dataset type.

A source is ``"embedded"`` (synthetic speech, made on the spot), ``"mini"``, ``"v0.01"``,
``"v0.02"`` (downloaded once), or a folder in the same layout: one folder a word, and in it clips
named ``<speaker>_nohash_<utterance>.wav``. Nothing downstream knows which it is.

Reference: P. Warden, *Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition*,
arXiv:1804.03209.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile

import numpy as np
import soxr
import torch
from torch.utils.data import Dataset

from course_utils import audio, settings
from course_utils.corpora import CorpusError, cache, embedded
from course_utils.corpora.embedded import COMMANDS, DIGITS, WORDS

__all__ = ["COMMANDS", "DIGITS", "SAMPLE_RATE", "SPLITS", "WORDS", "SpeechCommands", "load"]

SAMPLE_RATE = 16_000  # Hz
CLIP_SAMPLES = 16_000  # one second
SPLITS = ("train", "validation", "test")
LIST_FILES = {"validation": "validation_list.txt", "test": "testing_list.txt"}
CHUNK = 512  # clips decoded at a time: 16 MB


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
        _HOST + "speech_commands_v0.01.tar.gz",
        1_489_096_277,
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        2_200_000_000,
    ),
    "v0.02": Archive(
        _HOST + "speech_commands_v0.02.tar.gz",
        2_428_923_189,
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        3_600_000_000,
    ),
}


class SpeechCommands(Dataset):
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
        The how-manieth time that this speaker says this word.
    splits : str array (clip,)
        ``"train"``, ``"validation"`` or ``"test"``.
    problems : list of (path, reason)
        Clips that could not be read and were left out.
    notes : list of str
        What a reader of a score should know: what was padded, resampled, missing.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, *, folder, name, synthetic, store, index, words, rows, problems, notes):
        self.folder: Path = folder
        self.name: str = name
        self.synthetic: bool = synthetic
        self.words: list[str] = list(words)
        self.problems: list[tuple[str, str]] = problems
        self.notes: list[str] = notes
        self._store: np.memmap = store
        self._index: dict[str, np.ndarray] = index
        self._rows: np.ndarray = rows
        position = {word: number for number, word in enumerate(self.words)}
        self.labels = np.array([position[word] for word in index["words"][rows]], np.int64)
        self.lengths = index["lengths"][rows]
        self.speakers = index["speakers"][rows]
        self.utterances = index["utterances"][rows]
        self.paths = index["paths"][rows]
        self.splits = index["splits"][rows]

    def __len__(self) -> int:
        return len(self._rows)

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

        if not -len(self) <= item < len(self):
            raise IndexError(f"clip {item} of {len(self)}")
        length = min(int(self.lengths[item]), CLIP_SAMPLES)
        samples = self._store[self._rows[item], :length].astype(np.float32) / 32768
        return (
            torch.from_numpy(samples)[None],
            SAMPLE_RATE,
            self.words[self.labels[item]],
            str(self.speakers[item]),
            int(self.utterances[item]),
        )

    def __repr__(self) -> str:
        parts = ", ".join(f"{split} {(self.splits == split).sum():,}" for split in SPLITS)
        kind = "synthetic speech" if self.synthetic else "recorded speech"
        return (
            f"Speech Commands ({self.name}, {kind}): {len(self):,} clips, {len(self.words)} words, "
            f"{len(set(self.speakers)):,} speakers; {parts}"
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

        waveforms = torch.from_numpy(np.array(self.waveforms, dtype=np.float32))
        return waveforms.div_(32768)[:, None], torch.from_numpy(self.labels.copy())

    def split(self, name: str) -> SpeechCommands:
        """The clips of ``"train"``, ``"validation"`` or ``"test"``; no speaker is in two."""
        if name not in SPLITS:
            raise ValueError(f"split is {name!r}; use one of {', '.join(SPLITS)}.")
        part = self._with(self._rows[self.splits == name])
        if not len(part):
            raise CorpusError(
                f"The {name} part of {self.name} is empty: {len(set(self.speakers))} speakers are "
                "too few to share out. Use a corpus with more, or add the lists "
                f"{' and '.join(LIST_FILES.values())}."
            )
        return part

    def only(self, words: Iterable[str]) -> SpeechCommands:
        """The clips of `words`, labelled in the order of `words`.

        Words that the corpus lacks are named in `notes` and left out.

        Raises
        ------
        CorpusError
            Fewer than two of the words are there.
        """
        words, missing = _known_words(words, self.words, self.name)
        rows = self._rows[np.isin(self._index["words"][self._rows], words)]
        notes = [*self.notes, f"no clips of: {', '.join(missing)}"] if missing else self.notes
        return self._with(rows, words=words, notes=notes)

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

    def take(self, items: Iterable[int]) -> SpeechCommands:
        """The clips at these positions, in this order."""
        items = np.asarray(list(items))
        return self._with(self._rows[items if len(items) else []])

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

    @property
    def fingerprint(self) -> str:
        """Twelve characters that change when the clips, the words or their order change."""
        digest = hashlib.sha256(json.dumps([self.words, str(self._store.filename)]).encode())
        digest.update(self._rows.tobytes())
        return digest.hexdigest()[:12]

    def _with(self, rows, *, words=None, notes=None) -> SpeechCommands:
        return SpeechCommands(
            folder=self.folder,
            name=self.name,
            synthetic=self.synthetic,
            store=self._store,
            index=self._index,
            words=self.words if words is None else words,
            rows=rows,
            problems=self.problems,
            notes=self.notes if notes is None else notes,
        )


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
            corpus = corpus._with(corpus._rows, notes=[*corpus.notes, note])
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
    from course_utils.corpora import download

    archive = ARCHIVES[source]
    name = PurePosixPath(archive.url).name
    folder = archive_folder(source)
    if not folder.is_dir():
        path = download.fetch(
            archive.url,
            settings.writable_data_folder() / name,
            sha256=archive.sha256,
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
    digest = hashlib.sha256(repr((2, clips)).encode())  # 2: the version of the cache
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
    path = cache.entry("speech_commands", folder, listing.fingerprint)
    if path.is_dir():
        try:
            return _from_cache(path, folder, name)
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            print(f"The decoded copy of {name} is damaged ({error}): it is made anew.")
            shutil.rmtree(path, ignore_errors=True)
    with cache.building(path) as building:
        if building:
            _decode(folder, listing, building, name)
    return _from_cache(path, folder, name)


def _from_cache(path: Path, folder: Path, name: str) -> SpeechCommands:
    info = json.loads((path / "info.json").read_text(encoding="utf-8"))
    with (path / "index.npz").open("rb") as file, np.load(file) as arrays:
        index = {key: arrays[key] for key in arrays.files}
    count = len(index["paths"])
    store = np.memmap(path / "waveforms.int16", np.int16, mode="r", shape=(count, CLIP_SAMPLES))
    return SpeechCommands(
        folder=folder,
        name=name,
        synthetic=info["synthetic"],
        store=store,
        index=index,
        words=info["words"],
        rows=np.arange(count),
        problems=[tuple(problem) for problem in info["problems"]],
        notes=info["notes"],
    )


def _decode(folder: Path, listing: _Listing, target: Path, name: str) -> None:
    """Decode every clip once into `target`: waveforms.int16, index.npz, info.json."""
    from concurrent.futures import ThreadPoolExecutor

    from tqdm.auto import tqdm

    cache.require_space(target, len(listing.paths) * CLIP_SAMPLES * 2, name)
    clips: list[_Clip] = []
    bar = tqdm(total=len(listing.paths), unit=" clips", desc=f"decoding {name}", leave=False)
    # Plain writes, not a memory map: a full disk is then an error and not a killed process.
    with (target / "waveforms.int16").open("wb") as file, ThreadPoolExecutor() as pool, bar:
        for start in range(0, len(listing.paths), CHUNK):
            paths = listing.paths[start : start + CHUNK]
            for clip in pool.map(lambda path: _decode_clip(folder, path), paths):
                if clip.samples is not None:
                    file.write(clip.samples.tobytes())
                clips.append(dataclasses.replace(clip, samples=None))
            bar.update(len(paths))
    problems = [(clip.path, clip.problem) for clip in clips if clip.problem]
    clips = [clip for clip in clips if not clip.problem]
    words = sorted({PurePosixPath(clip.path).parts[0] for clip in clips})
    if len(words) < 2:
        reasons = "; ".join(reason for _, reason in problems[:3])
        raise CorpusError(
            f"{folder} has clips of {len(words)} words that can be read; a classifier needs at "
            f"least two. {reasons}"
        )
    names = [split_name(clip.path) for clip in clips]
    splits, split_note = _splits(folder, [clip.path for clip in clips])
    np.savez(
        target / "index.npz",
        paths=np.array([clip.path for clip in clips]),
        words=np.array([word for word, _, _ in names]),
        speakers=np.array([speaker for _, speaker, _ in names]),
        utterances=np.array([utterance for _, _, utterance in names], np.int64),
        lengths=np.array([clip.length for clip in clips], np.int64),
        splits=np.array(splits),
    )
    record = folder / "corpus.json"
    synthetic = record.is_file() and json.loads(record.read_text("utf-8")).get("synthetic", False)
    info = {
        "words": words,
        "synthetic": synthetic,
        "problems": problems,
        "notes": _notes(clips, problems, split_note, [s for _, s, _ in names], splits),
    }
    (target / "info.json").write_text(json.dumps(info, indent=1), encoding="utf-8")


@dataclass(frozen=True)
class _Clip:
    path: str
    samples: np.ndarray | None = None  # int16 (16000,)
    length: int = 0  # at 16 kHz, before padding or cutting
    rate: int = SAMPLE_RATE
    channels: int = 1
    silent: bool = False
    problem: str = ""


def _decode_clip(folder: Path, path: str) -> _Clip:
    try:
        sound, rate = audio.read_samples(folder / path)
    except audio.AudioError as error:
        return _Clip(path, problem=str(error))
    channels = sound.shape[1]
    samples = sound.mean(axis=1)
    if rate != SAMPLE_RATE:
        samples = soxr.resample(samples, rate, SAMPLE_RATE)
    fitted = np.zeros(CLIP_SAMPLES, np.int16)
    kept = samples[:CLIP_SAMPLES]
    fitted[: len(kept)] = np.clip(np.round(kept * 32768), -32768, 32767)
    return _Clip(path, fitted, len(samples), rate, channels, silent=not samples.any())


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


def _notes(clips, problems, split_note, speakers, splits) -> list[str]:
    def clips_where(condition) -> int:
        return sum(condition(clip) for clip in clips)

    short = clips_where(lambda clip: clip.length < CLIP_SAMPLES)
    long = clips_where(lambda clip: clip.length > CLIP_SAMPLES)
    notes = [
        f"{short:,} clips are shorter than one second, {long:,} longer; arrays hold them fitted"
    ]
    for text, count in {
        "with several channels, averaged to one": clips_where(lambda c: c.channels > 1),
        f"resampled to {SAMPLE_RATE} Hz": clips_where(lambda c: c.rate != SAMPLE_RATE),
        "silent for their whole length": clips_where(lambda c: c.silent),
    }.items():
        if count:
            notes.append(f"{text}: {count:,} clips")
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
