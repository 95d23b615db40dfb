"""Who speaks in the clips of a folder, as their names tell, and in which part each speaker is.

A promise about new speakers holds only if the names tell speakers apart: that is looked up here,
and not assumed.
"""

from __future__ import annotations

import difflib
import hashlib
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from course_utils import audio
from course_utils.corpora import CorpusError
from course_utils.corpora.clips import SPLITS
from course_utils.corpora.embedded import DIGITS, WORDS
from course_utils.corpora.folders import OTHER_SOUND, composed, decoded, few, scan

LIST_FILES = {"validation": "validation_list.txt", "test": "testing_list.txt"}
#: The number of a recording at the end of a name: 3, 03, take3.
_TAKE = re.compile(r"(?:take|rep|rec|nr|no|t|r|v|n)?(\d+)", re.IGNORECASE)
_NOHASH = re.compile("_nohash_", re.IGNORECASE)  # a copy from an old disk has capitals


@dataclass
class Names:
    """What the names of clips say, and how far that can be trusted."""

    speakers: list[str]
    takes: list[int]
    official: bool = True  # some names have _nohash_, so the corpus' own rule of splits holds
    unknown: str = ""  # why nobody knows who speaks
    notes: list[str] = field(default_factory=list)


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
    stem = composed(PurePosixPath(file).stem)
    speaker, *utterance = _NOHASH.split(stem, maxsplit=1)
    take = utterance[0] if utterance else ""
    return composed(word), speaker, int(take) if take.isdecimal() else 0


def read_names(paths: Sequence[str]) -> Names:
    """Tell the speakers apart, by the corpus' own rule or by a pattern that the names bear out.

    Without ``_nohash_`` in the names, a pattern such as ``digit_speaker_take.wav`` is taken where
    it yields three speakers or more, and each of them says most of the words. Otherwise a file
    name is a speaker, and a note says what that means for the splits.
    """
    parts = [split_name(path) for path in paths]
    names = Names([speaker for _, speaker, _ in parts], [take for _, _, take in parts])
    follow = [bool(_NOHASH.search(PurePosixPath(path).name)) for path in paths]
    count = len(set(names.speakers))
    if any(follow):
        _check_official(names, paths, follow)
        return names
    names.official = False
    if swapped := _swapped(parts, PurePosixPath(paths[0]).name):
        names.unknown = swapped
        return names
    for separator in "_-. ":
        pattern = _pattern(parts, separator)
        if not pattern:
            continue
        found = sorted({speaker for speaker, _ in pattern})
        numbered = not all(map(str.isdecimal, found)) and _numbered(found, "[spmf]$")
        if not numbered and _plausible(parts, [speaker for speaker, _ in pattern]):
            names.speakers, names.takes = map(list, zip(*pattern, strict=True))
            names.notes.append(
                f"no name has _nohash_: speakers are read from names such as "
                f"{PurePosixPath(paths[0]).name}, {len(found):,} of them ({few(found)})"
            )
            return names
    example, known = PurePosixPath(paths[0]).name, few(sorted(set(names.speakers)))
    if not _plausible(parts, names.speakers):
        names.unknown = (
            f"no name has _nohash_, so each of the {count:,} file names, such as {example}, counts "
            "as a speaker"
        )
    elif _numbered(names.speakers):
        names.unknown = (
            f"no name has _nohash_, and the files of each word are numbered: each number, as in "
            f"{example}, counts as a speaker"
        )
    else:
        names.notes.append(
            f"no name has _nohash_: each of the {count:,} file names ({known}) is a speaker, for "
            "they are the same in most words"
        )
    return names


def _check_official(names: Names, paths: Sequence[str], follow: Sequence[bool]) -> None:
    """Note what makes the speakers doubtful where some names or all have ``_nohash_``."""
    others = [path for path, known in zip(paths, follow, strict=True) if not known]
    if others:
        about = (
            f"{len(others):,} of {len(paths):,} names have no _nohash_, such as {others[0]}: each "
            "of these counts as a speaker"
        )
        if len(others) > len(paths) / 10:
            names.unknown = about
        else:
            names.notes.append(about)
    elif len(paths) > 2 and len(set(names.speakers)) == len(paths):
        names.notes.append(
            f"as many speakers as clips, {len(paths):,}: if one person has several of these names, "
            "the splits are NOT by speaker"
        )


def _swapped(parts: Sequence[tuple[str, str, int]], example: str) -> str:
    """That the names of the files look like words, and the folders like people; else ""."""
    known = {*WORDS, *DIGITS, *"0123456789"} - {"marvin", "sheila"}  # people have these names
    folders = {word for word, _, _ in parts}
    if not folders.isdisjoint(known):
        return ""
    said: dict[str, set[str]] = {}
    for folder, stem, _ in parts:
        fields = re.split(r"[\W_]+", stem.casefold())
        word = next((field for field in fields if field in known), None)
        if word is None or (word.isdecimal() and folder.casefold() not in fields):
            return ""  # the number of a take is no word
        said.setdefault(word, set()).add(folder)
    # As a label of its folder, each word is said in one folder.
    if len(said) < 2 or not all(len(where) > len(folders) / 2 for where in said.values()):
        return ""
    return (
        f"the folders ({few(sorted(folders))}) look like people, and the names of the files, such "
        f"as {example}, like words; but each folder counts as a word, and so all of this is wrong "
        "unless the folders are words: make a folder for each word, and put its recordings there"
    )


def _numbered(stems: Iterable[str], initials: str = "$.") -> bool:
    """Whether file names are numbers, or one text and numbers; ``speaker3`` is a person."""
    texts = {re.sub(r"\d+", "", stem).strip("_-. ()").casefold() for stem in stems}
    people = f"speaker|spk|person|subject|participant|user|student|kid|child|{initials}"
    return len(texts) == 1 and not any(re.match(people, text) for text in texts)


def _pattern(parts: Sequence[tuple[str, str, int]], separator: str) -> list[tuple[str, int]] | None:
    """Speaker and take of each name, if all names are a label, a speaker and a take, or some.

    A label is a field that says the word: it is the same throughout a word, and another in each.
    """
    fields = [stem.split(separator) for _, stem, _ in parts]
    width = min(map(len, fields))
    if width < 2:
        return None
    labels = []
    for place in range(width):
        said: dict[str, set[str]] = {}
        for (word, _, _), names in zip(parts, fields, strict=True):
            said.setdefault(word, set()).add(names[place])
        values = [value for found in said.values() for value in found]
        if len(values) == len(said) == len(set(values)):
            labels.append(place)
    found = []
    for names in fields:
        rest = [name for place, name in enumerate(names) if place not in labels]
        number = _TAKE.fullmatch(rest[-1]) if len(rest) > 1 else None
        speaker = separator.join(rest[:-1] if number else rest)
        # A number is a speaker only where a label and a take stand beside it; a long one is a date.
        if not speaker or (speaker.isdecimal() and not (number and labels and len(speaker) < 6)):
            return None
        found.append((speaker, int(number[1]) if number else 0))
    return _counted([word for word, _, _ in parts], found)


def _counted(words: Sequence[str], found: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The takes of each speaker and word from 0 on, whatever number they begin with."""
    order = sorted(range(len(found)), key=lambda item: (words[item], *found[item]))
    seen: Counter[tuple[str, str]] = Counter()
    takes = {}
    for item in order:
        key = words[item], found[item][0]
        takes[item] = seen[key]
        seen[key] += 1
    return [(speaker, takes[item]) for item, (speaker, _) in enumerate(found)]


def _plausible(parts: Sequence[tuple[str, str, int]], speakers: Sequence[str]) -> bool:
    """Whether three people or more speak, and each says most of the words."""
    words = {word for word, _, _ in parts}
    said: dict[str, set[str]] = {}
    for (word, _, _), speaker in zip(parts, speakers, strict=True):
        said.setdefault(speaker, set()).add(word)
    most = all(len(found) > len(words) / 2 for found in said.values())
    return len(said) >= 3 and len(words) >= 2 and most


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


def _too_few(splits: Sequence[str], speakers: Sequence[str]) -> list[str]:
    """The parts that the corpus' own rule leaves empty, though there is somebody for each."""
    return [split for split in SPLITS if split not in splits] if len(set(speakers)) >= 3 else []


def share_out(speakers: Sequence[str]) -> dict[str, str]:
    """A part for each speaker, 80/10/10: each part gets one, and training whoever said most.

    Of a handful of speakers, the corpus' own rule can leave a part empty.

    Parameters
    ----------
    speakers : list of str
        Of each clip.

    Examples
    --------
    >>> parts = share_out([*"abcdefaaa"])
    >>> Counter(parts.values()), parts["a"]
    (Counter({'train': 4, 'test': 1, 'validation': 1}), 'train')
    """
    counts = Counter(speakers)
    order = sorted(counts, key=lambda name: hashlib.sha1(name.encode()).hexdigest())
    share = max(1, round(len(order) / 10))
    order.remove(max(order, key=lambda name: counts[name]))
    parts = dict.fromkeys(counts, "train")
    parts |= dict.fromkeys(order[:share], "test")
    return parts | dict.fromkeys(order[share : 2 * share], "validation")


@dataclass
class Splits:
    """The split of each clip, and what is to be said of it."""

    splits: list[str]
    by_lists: bool
    notes: list[str]
    caveats: list[str] = field(default_factory=list)


def read_splits(
    folder: Path, paths: Sequence[str], everything: Sequence[str], names: Names
) -> Splits:
    """The split of each path: by the corpus' own lists, or else by speaker.

    Parameters
    ----------
    folder : Path
    paths : list of str
        The clips that can be used.
    everything : list of str
        Those and the clips that cannot be read.
    names : Names
        Of `paths`.
    """
    found = _by_lists_or_speaker(folder, paths, everything, names)
    found.notes[:0] = names.notes
    if names.unknown and found.by_lists:
        found.notes.append(
            f"{names.unknown}: nobody can tell whether the lists keep speakers apart"
        )
        found.caveats.append("speakers not known")
    elif names.unknown:
        found.notes.append(
            f"{names.unknown}: the splits are NOT by speaker, and scores for new speakers will be "
            "too high. Name the clips <speaker>_nohash_<number>.wav"
        )
        found.caveats.append("splits not by speaker")
    elif several := _in_several(names.speakers, found.splits):
        found.notes.append(
            f"{several:,} speakers are in more than one split: scores will be too high"
        )
        found.caveats.append(f"{several:,} speakers in more than one split")
    folded: dict[str, set[str]] = {}
    for speaker in names.speakers:
        folded.setdefault(speaker.casefold(), set()).add(speaker)
    if alike := sorted(name for same in folded.values() if len(same) > 1 for name in same):
        found.notes.append(
            f"names of speakers that differ in capital letters only: {few(alike)}; each counts as "
            "a person"
        )
    return found


def _by_lists_or_speaker(
    folder: Path, paths: Sequence[str], everything: Sequence[str], names: Names
) -> Splits:
    lists = {split: folder / name for split, name in LIST_FILES.items()}
    absent = [path.name for path in lists.values() if not path.is_file()]
    if absent:
        there = f"no {' and no '.join(absent)}{_near_miss(folder, absent)}"
        found = _by_speaker(names, there, [])
        for split, path in lists.items():
            if path.name not in absent:
                found.notes += _not_used(path, split, absent[0], paths, found.splits)
        return found
    split_of: dict[str, str] = {}
    known = {_key(path) for path in everything}
    notes, useless = [], []
    twice = 0
    for split, path in lists.items():
        lines = _entries(path)
        keys = {_key(line): line for line in lines}
        twice += len(keys.keys() & split_of.keys() & known)
        split_of |= dict.fromkeys(keys, split)
        if keys and not keys.keys() & known:
            useless.append(path.name)
            notes.append(_no_match(path.name, lines[0], keys, paths))
    if gone := len(split_of.keys() - known):
        notes.append(f"the lists name {gone:,} clips that are not there")
    if twice:
        notes.append(f"{twice:,} clips stand in both lists: they are in the test part")
    if useless and not split_of.keys() & known:
        return _by_speaker(names, "the lists match no file", notes)
    return Splits([split_of.get(_key(path), "train") for path in paths], True, notes)


def _by_speaker(names: Names, why: str, notes: list[str]) -> Splits:
    splits = [hash_split(speaker) for speaker in names.speakers]
    how = "split by a hash of the speaker"
    empty = _too_few(splits, names.speakers)
    if empty or not names.official:
        parts = share_out(names.speakers)
        splits = [parts[speaker] for speaker in names.speakers]
        how = "split by file name" if names.unknown else "split by speaker"
        counts = Counter(parts.values())
        how += f" ({', '.join(f'{split} {counts[split]:,}' for split in SPLITS)})"
        if names.official:
            how += f", for the corpus' own rule, a hash, leaves {' and '.join(empty)} empty"
    return Splits(splits, False, [f"{why}: {how}", *notes])


def _not_used(
    path: Path, split: str, other: str, paths: Sequence[str], splits: Sequence[str]
) -> list[str]:
    """That a list stands alone, where its clips are not in its part all the same."""
    keys = set(map(_key, _entries(path)))
    found = [part for name, part in zip(paths, splits, strict=True) if _key(name) in keys]
    wrong = sum(part != split for part in found)
    if not wrong:
        return []
    return [
        f"{path.name} alone is not used, and {wrong:,} of its clips are in another part than "
        f"{split}: write {other} too"
    ]


def list_bytes(folder: Path) -> bytes:
    """The content of both lists, as it is; a list that is not there differs from an empty one."""
    content = []
    for name in LIST_FILES.values():
        path = folder / name
        content.append(_read(path) if path.is_file() else b"-")
    return b"\0".join(content)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CorpusError(
            f"{path} cannot be read ({error.strerror}), so nobody knows which clips are for "
            "testing. Check its permissions."
        ) from error


def _entries(path: Path) -> list[str]:
    """The lines of a list, without what an editor or a shell adds."""
    lines = (line.strip("\ufeff\0 \t\r\n\"'") for line in decoded(_read(path)).splitlines())
    return [line for line in lines if line]


def _key(path: str) -> str:
    """A path as it is compared: "./yes/a.wav", "yes\\\\a.wav" and "yes/a.wav" are one file.

    So is "yes/a.flac", where somebody converted the clips, and "/home/anna/words/yes/a.wav",
    which a program wrote on another computer. A list that is compared as it stands puts test
    speakers into the training set.
    """
    path = posixpath.normpath(composed(path).replace("\\", "/"))
    path = "/".join(path.split("/")[-2:])
    stem, ending = posixpath.splitext(path)
    return stem if ending.lower() in (*audio.FORMATS, *OTHER_SOUND) else path


def _no_match(name: str, line: str, keys: dict[str, str], paths: Sequence[str]) -> str:
    """That a list names no file, with a line of it beside the name of a file; and what differs."""
    by_case = {_key(path).casefold(): path for path in paths}
    by_file = {posixpath.basename(key): path for key, path in by_case.items()}
    file, hint = (paths[0] if paths else "none"), ""
    for about, other, key_of in (
        ("they differ in capital letters", by_case, str),
        ("they differ in the folder", by_file, posixpath.basename),
    ):
        match = next((key for key in keys if key_of(key.casefold()) in other), None)
        if match is not None:
            line, file, hint = keys[match], other[key_of(match.casefold())], f"; {about}"
            break
    line = line if len(line) <= 80 else f"{line[:77]}..."
    return f"{name} matches no file: a line of it is {line!r}, and a file is {file!r}{hint}"


def _near_miss(folder: Path, absent: list[str]) -> str:
    """Files that may have been meant, such as Testing_List.txt or testing_list.txt.txt."""
    there = [entry.name for entry in scan(folder) if entry.name not in LIST_FILES.values()]
    there = [name for name in there if "list" in name.casefold() and name[0] != "."]
    folded = {name.casefold(): name for name in there}
    close = [
        folded[match]
        for name in absent
        for match in difflib.get_close_matches(name, folded, n=1, cutoff=0.75)
    ]
    close = list(dict.fromkeys(close))
    return f" (but {', '.join(close)}: is that one meant?)" if close else ""


def _in_several(speakers: Sequence[str], splits: Sequence[str]) -> int:
    """How many speakers are in more than one split."""
    pairs = set(zip(speakers, splits, strict=True))
    return sum(count > 1 for count in Counter(speaker for speaker, _ in pairs).values())
