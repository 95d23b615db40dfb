"""One table of clips for every corpus: samples on disk, columns in memory, and parts."""

import copy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from course_utils import audio
from course_utils.corpora import CorpusError, cache

SAMPLE_RATE = 16_000  # Hz
SPLITS = ("train", "validation", "test")
CHUNK = 512  # clips decoded at a time


@dataclass
class Sound:
    """What became of one recording."""

    samples: np.ndarray | None = None  # int16 (time,), until they are written
    length: int = 0  # at 16 kHz, before it was fitted
    rate: int = SAMPLE_RATE
    channels: int = 1
    silent: bool = False  # for its whole length
    emptied: bool = False  # not for its whole length, but nothing is left in what is kept
    loud: bool = False  # a thousandth of it or more lies beyond full scale, and is cut there
    problem: str = ""


class Clips(Dataset):
    """A part of a corpus: which rows of its table, and what the columns say of them.

    Every corpus makes its own kind of it. Smaller parts share the memory-mapped samples.

    Attributes
    ----------
    name : str
        The source, such as ``"embedded"``; what the results table shows.
    folder : Path
        Where the recordings lie.
    synthetic : bool
        True if nobody said this.
    splits : str array (clip,)
        ``"train"``, ``"validation"`` or ``"test"``.
    problems : list of (path, reason)
        Clips that were left out.
    notes : list of str
        What a reader of a score should know.
    caveats : list of str
        In a few words each, those that change what a score means: they go into the results table.
    """

    sample_rate = SAMPLE_RATE
    columns: tuple[str, ...] = ()  # arrays (clip,) that become attributes

    def __init__(
        self, place: Path, folder: Path, name: str, index: dict[str, Any], notes: Sequence[str]
    ):
        self.folder, self.name = folder, name
        self.synthetic: bool = index["synthetic"]
        self.problems = [tuple(problem) for problem in index["problems"]]
        self.notes: list[str] = [*notes, *index["notes"]]
        self.caveats: list[str] = list(index.get("caveats", ()))
        self._place = place
        self._index = {
            key: np.array(index[key], None if key in _NUMBERS else object) for key in self.columns
        }
        self._file = place / "waveforms.int16"
        self._store = np.memmap(self._file, np.int16, mode="r")
        self._choose(np.arange(len(self._index["paths"])))

    def _choose(self, rows: np.ndarray) -> None:
        self._rows = rows
        for column in self.columns:
            setattr(self, column, self._index[column][rows])

    def _with(self, rows: np.ndarray, **changes: Any) -> Self:
        """The same corpus with other rows, or other attributes."""
        part = copy.copy(self)
        for name, value in changes.items():
            setattr(part, name, value)
        part._choose(rows)
        return part

    def __len__(self) -> int:
        return len(self._rows)

    def _checked(self, item: int) -> int:
        if not -len(self) <= item < len(self):
            raise IndexError(f"clip {item} of {len(self)}")
        return item

    def split(self, name: str) -> Self:
        """The clips of ``"train"``, ``"validation"`` or ``"test"``; no speaker is in two."""
        if name not in SPLITS:
            raise ValueError(f"split is {name!r}; use one of {', '.join(SPLITS)}.")
        part = self._with(self._rows[self.splits == name])
        if not len(part):
            raise CorpusError(f"The {name} part of {self.name} is empty: {self._no_clips(name)}")
        return part

    def _no_clips(self, split: str) -> str:
        whole = int((self._index["splits"] == split).sum())
        if not whole:
            return self._why_empty()
        return (
            f"the whole corpus has {whole:,} clips in it, but none of them is among the "
            f"{len(self):,} that were chosen. Choose more words, speakers or clips."
        )

    def _why_empty(self) -> str:
        """What a user can do about a part without clips."""
        raise NotImplementedError

    def places(self) -> tuple[Path, np.ndarray, np.ndarray]:
        """The file of int16 samples that all processes may share, and where each clip lies in it.

        Returns
        -------
        Path
        starts, lengths : int64 arrays (clip,)
            In samples.
        """
        return self._file, *self._spans()

    def _spans(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError

    def take(self, items: Iterable[int]) -> Self:
        """The clips at these positions, in this order."""
        items = np.asarray(list(items))
        return self._with(self._rows[items if len(items) else []])

    def _in_words(self, title: str, count: str) -> str:
        parts = ", ".join(f"{split} {(self.splits == split).sum():,}" for split in SPLITS)
        kind = "synthetic speech" if self.synthetic else "recorded speech"
        speakers = f"{len(set(self.speakers)):,} speakers"
        return f"{title}, {kind}): {len(self):,} clips, {count}, {speakers}; {parts}"

    @property
    def fingerprint(self) -> str:
        """Twelve characters that change when the clips, what they say or their order change."""
        about = [self._place.name, getattr(self, "words", None)]
        digest = hashlib.sha256(json.dumps(about).encode())
        digest.update(self._rows.tobytes())
        return digest.hexdigest()[:12]


_NUMBERS = ("lengths", "durations", "utterances")


def opened(
    kind: str, folder: Path, fingerprint: str, name: str, make: Callable[[Path, dict], Clips],
    decode: Callable[[Path], dict],
) -> Clips:
    """Open the decoded copy of a corpus, which is made where it is missing or damaged.

    Parameters
    ----------
    kind : str
        Of corpus; the start of the cache folder's name.
    folder : Path
        Of the recordings.
    fingerprint : str
        Of what is in it.
    name : str
        For messages.
    make : callable
        ``make(place, index)`` opens what `decode` left.
    decode : callable
        ``decode(place)`` writes the samples there, and returns the columns and notes.
    """
    place = cache.entry(kind, folder, fingerprint)
    if place.is_dir():
        try:
            return make(place, _read_index(place))
        except (OSError, ValueError, KeyError, TypeError) as error:
            print(f"The decoded copy of {name} is damaged ({error}): it is made anew.")
            shutil.rmtree(place, ignore_errors=True)
    with cache.building(place) as building:
        if building:
            text = json.dumps(decode(building))
            (building / "index.json").write_text(text, encoding="utf-8")
    return make(place, _read_index(place))


def _read_index(place: Path) -> dict[str, Any]:
    index = json.loads((place / "index.json").read_text(encoding="utf-8"))
    if (place / "waveforms.int16").stat().st_size != 2 * index["samples"]:
        raise ValueError("it has another number of samples than its index says")
    return index


def decode(
    folder: Path, paths: Sequence[str], place: Path, name: str, fitted: int | None = None,
    stated: Sequence[float] | None = None,
) -> list[Sound]:
    """Decode recordings once, in threads, into ``waveforms.int16``.

    Parameters
    ----------
    folder, paths : Path and list of str
        Where the recordings lie.
    place : Path
        The folder to write into.
    name : str
        Of the corpus, for the progress bar.
    fitted : int, optional
        Samples that each clip gets, padded or cut; by default its own length.
    stated : list of float, optional
        Seconds that each clip should last; NaN where nobody knows.

    Returns
    -------
    list of Sound
        One for each path; one that cannot be used has a `problem`, and wrote nothing.
    """
    found: list[Sound] = []
    stated = [np.nan] * len(paths) if stated is None else stated
    bar = tqdm(total=len(paths), unit=" clips", desc=f"decoding {name}", leave=False)
    # Plain writes, not a memory map: a full disk is then an error and not a killed process.
    with (place / "waveforms.int16").open("wb") as file, ThreadPoolExecutor() as pool, bar:
        for start in range(0, len(paths), CHUNK):
            chunk = [folder / path for path in paths[start : start + CHUNK]]
            sizes = [fitted] * len(chunk)
            for sound in pool.map(_decoded, chunk, sizes, stated[start : start + CHUNK]):
                if sound.samples is not None:
                    file.write(sound.samples.tobytes())
                    sound.samples = None
                found.append(sound)
            bar.update(len(chunk))
    return found


def _decoded(path: Path, fitted: int | None, stated: float) -> Sound:
    try:
        return _sound(path, fitted, stated)
    except audio.AudioError as error:
        problem = str(error)
    except Exception as error:  # whatever it is: one odd file must not stop a corpus
        problem = (
            f"{path} cannot be used ({type(error).__name__}: {error}). Record it again, or export "
            "it as 16-bit PCM."
        )
    return Sound(problem=printable(problem))


def printable(text: str) -> str:
    """The same text, with what cannot be printed in the manner of ``\\xe9``.

    A file name need not be text; what is no text in it cannot be printed, hashed or written.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def _sound(path: Path, fitted: int | None, stated: float) -> Sound:
    sound, rate = audio.read_samples(path)
    # An MP3 file without a header of its own does not know that it was cut off; the table does.
    seconds = len(sound) / rate
    if seconds < 0.9 * stated - 0.2:
        return Sound(
            problem=f"{path} is cut off: {seconds:.1f} s of {stated:.1f} s are there. "
            "Copy or download it again."
        )
    samples = audio.resampled(sound.mean(axis=1), rate, SAMPLE_RATE)
    if not len(samples):
        return Sound(problem=f"{path} holds less than one sample at {SAMPLE_RATE} Hz.")
    kept = np.zeros(fitted or len(samples), np.int16)
    part = samples[: len(kept)]
    kept[: len(part)] = np.clip(np.round(part * 32768), -32768, 32767)
    silent = not samples.any()
    emptied = not (silent or kept.any())
    loud = bool((np.abs(part) > _FULL).mean() >= 1e-3)
    return Sound(kept, len(samples), rate, sound.shape[1], silent, emptied, loud)


#: Encoders and filters go a little over full scale by themselves.
_FULL = 1.1


def sound_notes(sounds: Sequence[Sound]) -> list[str]:
    """What was done to the clips, and to how many."""
    notes = []
    for text, count in {
        "with several channels, averaged to one": sum(sound.channels > 1 for sound in sounds),
        f"resampled to {SAMPLE_RATE} Hz": sum(sound.rate != SAMPLE_RATE for sound in sounds),
        "silent for their whole length": sum(sound.silent for sound in sounds),
        "silent in what is kept of them, though not in the file": sum(
            sound.emptied for sound in sounds
        ),
        "louder than full scale, and cut off there": sum(sound.loud for sound in sounds),
    }.items():
        if count:
            notes.append(f"{text}: {count:,} clips")
    return notes
