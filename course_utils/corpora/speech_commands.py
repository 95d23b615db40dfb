"""Speech Commands from any source, as one dataset type.

A source is ``"embedded"``, ``"mini"``, ``"v0.01"``, ``"v0.02"`` (downloaded once), or a folder in
the same layout: a folder a word, and in it clips named ``<speaker>_nohash_<utterance>.wav``.

Reference: P. Warden, *Speech Commands: A Dataset for Limited-Vocabulary Speech Recognition*,
arXiv:1804.03209.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils import audio, settings
from course_utils.corpora import (
    CorpusError,
    archives,
    cache,
    clips,
    embedded,
    folders,
    official,
    speakers,
)
from course_utils.corpora.archives import ARCHIVES, Archive
from course_utils.corpora.clips import CHUNK, SAMPLE_RATE, SPLITS
from course_utils.corpora.embedded import COMMANDS, DIGITS, WORDS
from course_utils.corpora.speakers import LIST_FILES, hash_split, split_name

__all__ = [
    "ARCHIVES", "COMMANDS", "DIGITS", "SAMPLE_RATE", "SPLITS", "WORDS", "Archive",
    "SpeechCommands", "hash_split", "load", "split_name",
]

CLIP_SAMPLES = 16_000  # one second
SHORTEST_NOISE = 1_600  # samples


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
    task : str
        The published task that these clips are, such as ``"12 classes"``; "" for any others.
    by_lists : bool
        Whether the corpus' own lists say which clip is in which split.
    """

    columns = ("paths", "spoken", "speakers", "utterances", "lengths", "splits")

    def __init__(
        self, place: Path, folder: Path, name: str, index: dict[str, Any], notes: Sequence[str] = ()
    ):
        self.words: list[str] = list(index["words"])
        self.by_lists: bool = index["by_lists"]
        self.task: str = index.get("task", "")
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

    def _spans(self) -> tuple[np.ndarray, np.ndarray]:
        return self._rows * CLIP_SAMPLES, np.full(len(self), CLIP_SAMPLES)

    def __repr__(self) -> str:
        return self._in_words(f"Speech Commands ({self.name}", f"{len(self.words)} words")

    def _why_empty(self) -> str:
        if self.by_lists:
            return (
                f"{' and '.join(LIST_FILES.values())} in {self.folder} say which clips are in it, "
                "and none of their lines names one that can be used. Correct the lists, or remove "
                "both: the speakers are then shared out."
            )
        return (
            f"{len(set(self.speakers))} speakers are too few to share out, for each of "
            f"{', '.join(SPLITS)} needs one of its own. Use a corpus with three or more, or add "
            f"the lists {' and '.join(LIST_FILES.values())}."
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
        missing = [_with_hint(word, self.words, same=True) for word in missing]
        rows = self._rows[np.isin(self.spoken, words)]
        notes = [*self.notes, f"no clips of: {', '.join(missing)}"] if missing else self.notes
        return self._with(rows, words=words, notes=notes)

    def noted(self, note: str, **changes: Any) -> SpeechCommands:
        """The same clips, with one more note and, by name, other attributes."""
        return self._with(self._rows, notes=[*self.notes, note], **changes)

    def first_takes(self) -> SpeechCommands:
        """Each speaker's first recording of each word: every word then has as many clips."""
        first: dict[tuple[str, str], int] = {}  # the number need not be 0
        for row in np.argsort(self.utterances, kind="stable"):
            first.setdefault((self.spoken[row], self.speakers[row]), row)
        return self._with(self._rows[sorted(first.values())])

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

        A corpus with fewer than two kinds takes the six of the embedded corpus, too: one kind
        cannot be met in training and be new afterwards. What cannot be used is named.
        """
        noises: dict[str, torch.Tensor] = {}
        for recording in folders.noises(self.folder).recordings:
            path = self.folder / recording.path
            try:
                noise = audio.load_clip(path, SAMPLE_RATE)
                if noise.numel() < SHORTEST_NOISE:
                    raise audio.AudioError(f"{path} is shorter than a tenth of a second.")
            except Exception as error:  # one odd file must not stop a stage
                print(clips.printable(f"left out of the noises: {error}"))
                continue
            name = folders.composed(path.stem)
            noises[folders.composed(path.name) if name in noises else name] = noise
        if len(noises) >= 2:
            return noises
        there = "one background noise" if noises else "no background noise"
        print(f"{self.name} has {there}: the embedded noises are used{', too' * len(noises)}.")
        folder = embedded.background_noise_folder()
        files = sorted(folder.glob("*.wav"))
        return {path.stem: audio.load_clip(path, SAMPLE_RATE) for path in files} | noises


def load(
    source: str | Path | None = None, *, words: Iterable[str] | None = None, task: str = "",
    seed: int = 0, verbose: bool = True,
) -> SpeechCommands:
    """Open Speech Commands; the first use downloads or builds it, and decodes it once.

    Parameters
    ----------
    source : str or Path, optional
        ``"embedded"``, ``"mini"``, ``"v0.01"``, ``"v0.02"`` or a folder; default
        ``COURSE_SPEECH_COMMANDS``, else ``"embedded"``.
    words : list of str, optional
        The classes, in this order; default all words of the corpus in alphabetical order. Words
        that the corpus lacks are named and left out; if it has fewer than two of them, or no
        clip of them in one of its parts, all of its words are used, and the report says so.
    task : str, optional
        A published one in place of `words`: ``"35"`` words, ``"12"`` classes or ``"10"`` words;
        see :mod:`course_utils.corpora.official`.
    seed : int
        Which clips are drawn for *unknown* and *silence* of the 12 classes.
    verbose : bool
        Print the corpus and its notes.

    Raises
    ------
    CorpusError
        There is no such source, or the folder is not in the layout.
    ValueError
        There is no such task.
    """
    source = str(source) if source is not None else settings.speech_commands_source()
    folder, name = _locate(source)
    corpus = _open(folder, name)
    if task:
        corpus = official.of_task(corpus, task, seed)
    elif words is not None:
        words = [folders.composed(word) for word in words]
        if len(set(words) & set(corpus.words)) >= 2:
            corpus = _with_every_split(corpus.only(words), corpus)
        elif set(words) <= set(WORDS):  # a stage's words: go on with what there is
            wanted = ", ".join(_with_hint(word, corpus.words, same=True) for word in words)
            note = f"fewer than two of the words asked for ({wanted}): all of its words are used"
            corpus = corpus.noted(note)
        else:
            corpus = corpus.only(words)  # raises, and names what is unknown
    if verbose:
        print(corpus)
        for note in corpus.notes:
            print(f"  - {note}")
    return corpus


def _with_every_split(chosen: SpeechCommands, corpus: SpeechCommands) -> SpeechCommands:
    """The chosen words, or all of them where a part that the corpus has would be empty."""
    missing = [split for split in SPLITS if split in corpus.splits and split not in chosen.splits]
    if not missing:
        return chosen
    spoken, parts = ", ".join(chosen.words), " and ".join(missing)
    return corpus.noted(f"no clip of {spoken} is for {parts}: all of its words are used")


def _known_words(wanted: Iterable[str], known: list[str], name: str) -> tuple[list, list]:
    wanted = list(dict.fromkeys(map(folders.composed, wanted)))  # a word named twice is one class
    found = [word for word in wanted if word in known]
    missing = [word for word in wanted if word not in known]
    if len(found) < 2:
        hints = [_with_hint(word, known, quoted=True) for word in missing]
        raise CorpusError(
            f"A classifier needs at least two words, and {name} has {len(found)} of those asked "
            f"for. It lacks {', '.join(hints) or 'none, but one word is not enough'}. "
            f"It has: {', '.join(known)}."
        )
    return found, missing


def _with_hint(word: str, known: list[str], same: bool = False, quoted: bool = False) -> str:
    """A word, and the known one that was meant; with `same`, one that differs in capitals only."""
    folded = {other.casefold(): other for other in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=1 if same else 0.6)
    shown = repr if quoted else str
    if not close or word in known:
        return shown(word)
    return f"{shown(word)} (did you mean {shown(folded[close[0]])}?)"


def _locate(source: str) -> tuple[Path, str]:
    """The corpus folder of a source and its name; builds or downloads when it is not there."""
    source = settings.source(source, settings.SPEECH_COMMANDS)
    if source == "embedded":
        return embedded.speech_commands(), "embedded"
    if source in ARCHIVES:
        return archives.downloaded(source), source
    folder = folders.existing(Path(source).expanduser())
    if not folder.is_dir():
        raise CorpusError(
            f"There is no corpus {source!r}: use embedded, {', '.join(ARCHIVES)}, or a folder "
            f"that exists (COURSE_SPEECH_COMMANDS or source=).{_nearest(source, folder)}"
        )
    folder = folder.resolve()
    is_taken = folder.name in settings.SPEECH_COMMANDS  # it is not that corpus: not its scores
    return folder, clips.printable("/".join(folder.parts[-2:]) if is_taken else folder.name)


def _nearest(source: str, folder: Path) -> str:
    """What a source that is not there may have meant."""
    if folder.is_file():
        kind = "an archive: unpack it" if folder.suffix in (".zip", ".gz", ".tgz") else "a file"
        return f" {folder} is {kind}; name the folder of the words."
    spelled = re.sub("^speech_?commands_?", "", source.casefold().replace("-", "_"))
    spelled = re.sub(r"(_speech_?commands)?(\.zip|\.tar\.gz)?$", "", spelled)
    versions = {re.sub(r"\D", "", name): name for name in ARCHIVES if name != "mini"}
    number = re.fullmatch(r"v?_?(0?[._]?0?[12])", spelled)
    digits = number and re.sub(r"\D", "", number[1])
    close = difflib.get_close_matches(spelled, settings.SPEECH_COMMANDS, n=1, cutoff=0.7)
    if digits:
        return f" Did you mean {versions['00' + digits[-1]]}?"
    if close:
        return f" Did you mean {close[0]}?"
    siblings = folders.names(folder.parent)
    close = difflib.get_close_matches(folder.name, siblings, n=1, cutoff=0.7)
    if close:
        return f" Did you mean {folder.parent / close[0]}?"
    return "" if folder.is_absolute() else f" {folder} was looked for in {Path.cwd()}."


# ---------------------------------------------------------------- reading a folder


@dataclass(frozen=True)
class _Listing:
    """What is in a folder, found without decoding a clip."""

    words: folders.Found
    noises: folders.Found
    fingerprint: str

    @property
    def paths(self) -> list[str]:
        """Of the clips: word/file, with "/" on every system."""
        return [recording.path for recording in self.words.recordings]


def _list(folder: Path) -> _Listing:
    """List the clips; the fingerprint covers names, sizes and times, and the split lists."""
    words, noises = folders.words(folder)
    if not words.recordings:
        raise CorpusError(folders.not_a_corpus(folder, words))
    about = [(item.path, item.size, item.modified) for item in words.recordings]
    digest = hashlib.sha256(repr((5, about)).encode())  # 5: the version of the cache
    digest.update(speakers.list_bytes(folder))
    digest.update(b"synthetic" if folders.is_synthetic(folder) else b"")
    return _Listing(words, noises, digest.hexdigest()[:16])


def _open(folder: Path, name: str) -> SpeechCommands:
    listing = _list(folder)
    left_out = listing.words.left_out + listing.noises.left_out
    left_out = [(clips.printable(path), reason) for path, reason in left_out]

    def make(place: Path, index: dict[str, Any]) -> SpeechCommands:
        notes = [*index["notes"], *listing.words.notes(), *listing.noises.notes()]
        notes += _problem_notes(index["problems"])
        index = index | {"problems": [*index["problems"], *left_out], "notes": notes}
        return SpeechCommands(place, folder, name, index)

    return clips.opened(
        "speech_commands", folder, listing.fingerprint, name, make,
        lambda place: _decode(folder, listing, place, name),
    )


def _decode(folder: Path, listing: _Listing, place: Path, name: str) -> dict[str, Any]:
    """Decode every clip once into `place`; returns what the index is to hold."""
    everything = listing.paths
    cache.require_space(place, len(everything) * CLIP_SAMPLES * 2, name)
    sounds = clips.decode(folder, everything, place, name, fitted=CLIP_SAMPLES)
    found = list(zip(everything, sounds, strict=True))
    problems = [(clips.printable(path), sound.problem) for path, sound in found if sound.problem]
    paths = [path for path, sound in found if not sound.problem]
    sounds = [sound for sound in sounds if not sound.problem]
    spoken = [split_name(path)[0] for path in paths]
    words = sorted(set(spoken))
    if len(words) < 2:
        reasons = [reason for _, reason in problems[:3]]
        reasons = [*reasons, *listing.words.notes()][:3]
        raise CorpusError(
            f"{folder} has clips of {len(words)} words that can be read; a classifier needs at "
            f"least two. {'; '.join(reasons) or 'Each word has a folder of its own.'}"
        )
    names = speakers.read_names(paths)
    splits = speakers.read_splits(folder, paths, everything, names)
    lost = sorted({split_name(path)[0] for path in everything} - set(words))
    return {
        "samples": len(paths) * CLIP_SAMPLES,
        "words": words,
        "synthetic": folders.is_synthetic(folder),
        "paths": paths,
        "spoken": spoken,
        "speakers": names.speakers,
        "utterances": names.takes,
        "lengths": [sound.length for sound in sounds],
        "splits": splits.splits,
        "by_lists": splits.by_lists,
        "problems": problems,
        "notes": [
            *_length_notes(sounds), *clips.sound_notes(sounds), *map(clips.printable, splits.notes),
            *_word_notes(words, lost),
        ],
        "caveats": splits.caveats,
    }


def _length_notes(sounds: list[clips.Sound]) -> list[str]:
    short = sum(sound.length < CLIP_SAMPLES for sound in sounds)
    long = sum(sound.length > CLIP_SAMPLES for sound in sounds)
    return [
        f"{short:,} clips are shorter than one second, {long:,} longer; arrays hold them fitted"
    ]


def _word_notes(words: Sequence[str], lost: Sequence[str]) -> list[str]:
    """What is odd about the folders' names, and words of which nothing is left."""
    notes = []
    if lost:
        notes.append(f"not one clip can be read of: {', '.join(lost)}")
    folded = Counter(word.casefold() for word in words)
    if twice := [word for word in words if folded[word.casefold()] > 1]:
        notes.append(f"words that differ in capital letters only: {', '.join(twice)}")
    joined = Counter("".join(word.casefold().split()) for word in words)
    spaced = [word for word in words if joined["".join(word.casefold().split())] > 1]
    if spaced := [word for word in spaced if word not in twice]:
        notes.append(f"words that differ in spaces only: {', '.join(map(repr, spaced))}")
    for word in words:
        if re.sub("[_ -]", "", word.casefold()) in ("backgroundnoise", "backgroundnoises"):
            notes.append(f"{word} is taken for a word; noises lie in {folders.NOISES}")
    return notes


def _problem_notes(problems: Sequence[Sequence[str]]) -> list[str]:
    if not problems:
        return []
    return [
        f"left out, because they cannot be read: {len(problems):,} clips",
        *(f"left out: {reason}" for _, reason in problems[:3]),
    ]
