"""What lies in a folder of recordings: every file is listed, or left out with its reason.

Names are compared after Unicode's composition (NFC): macOS writes "ü" as "u" and a mark.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from course_utils import audio
from course_utils.corpora import CorpusError
from course_utils.corpora.clips import printable

NOISES = "_background_noise_"
#: What an operating system puts into every folder, and nobody misses.
_OF_THE_SYSTEM = {".ds_store", ".directory", "thumbs.db", "desktop.ini", "icon\r"}
#: Folders of operating systems and storage devices, which are no words.
_SYSTEM_FOLDERS = {
    "$recycle.bin", "#recycle", "@eadir", "@recycle", "lost+found", "recycler",
    "system volume information",
}
#: Endings of recordings in formats that are not read here.
OTHER_SOUND = {
    ".3gp", ".aac", ".ac3", ".aif", ".aiff", ".amr", ".au", ".avi", ".caf", ".m4a", ".mka", ".mkv",
    ".mov", ".mp4", ".oga", ".ogg", ".opus", ".raw", ".sph", ".voc", ".webm", ".wma",
}


@dataclass(frozen=True)
class Recording:
    """A file that should be a recording."""

    path: str  # with "/" on every system
    size: int  # bytes
    modified: int  # nanoseconds


@dataclass
class Found:
    """The recordings of some folders, and what was left out."""

    recordings: list[Recording] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)  # path, reason
    empty: list[str] = field(default_factory=list)  # folders without any file

    def notes(self) -> list[str]:
        """One for each folder and reason, and a sum where they would be too many."""
        where: dict[tuple[str, str], list[str]] = {}
        for path, reason in self.left_out:
            where.setdefault((str(PurePosixPath(path).parent), reason), []).append(path)
        notes = []
        for (place, reason), paths in where.items():
            place = "" if place == "." else f"{place}: "
            names = few(PurePosixPath(path).name for path in paths)
            notes.append(f"{place}{_count(paths, 'file')} left out: {reason} ({names})")
        if len(notes) > 8:
            folders = {place for place, _ in where}
            rest = len(self.left_out) - sum(len(paths) for paths in list(where.values())[:6])
            notes[6:] = [
                f"{rest:,} more files left out, in {len(folders):,} folders in all; .problems "
                "names each"
            ]
        if self.empty:
            notes.append(f"no file at all in {few(self.empty)}")
        return [printable(note) for note in notes]


def listed(folder: Path, name: str) -> Found:
    """The recordings in ``folder/name``, of words and of noises alike, without opening one.

    Raises
    ------
    CorpusError
        The folder cannot be listed.
    """
    found = Found()
    entries = sorted(scan(folder / name), key=lambda entry: entry.name)
    for entry in entries:
        path = f"{name}/{entry.name}"
        status = None
        # Nearly every file ends so: of a hundred thousand each is asked this alone.
        usual = entry.name.endswith(audio.FORMATS) and entry.name[0] != "."
        reason = "" if usual else _not_taken(entry)
        if usual or not (reason or entry.name.lower() in _OF_THE_SYSTEM):
            status, reason = _status(entry)
        if reason:
            found.left_out.append((path, reason))
        elif status:
            found.recordings.append(Recording(path, status.st_size, status.st_mtime_ns))
    if not (found.recordings or found.left_out):
        found.empty.append(name)
    return found


def noises(folder: Path) -> Found:
    """The background noises of a corpus; none where it has no folder of them."""
    return listed(folder, NOISES) if (folder / NOISES).is_dir() else Found()


def _not_taken(entry: os.DirEntry) -> str:
    """Why a file is no recording, by its name; "" if it may be one, or nobody misses it."""
    name = entry.name.lower()
    if name in _OF_THE_SYSTEM:
        return ""
    if name.startswith("._"):
        return "what macOS keeps beside a file, without sound"
    if name.startswith("."):
        return "a name that begins with a dot"
    if name.endswith(audio.FORMATS):
        return ""
    if _is_folder(entry):
        return "a folder in a folder, and recordings lie in the outer one"
    return f"none of {', '.join(audio.FORMATS)}" + (
        "; convert to WAV" if PurePosixPath(name).suffix in OTHER_SOUND else ""
    )


def _status(entry: os.DirEntry) -> tuple[os.stat_result | None, str]:
    try:
        status = entry.stat()
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return None, "neither file nor folder"  # a pipe would be waited for, for ever
        return status, ""
    except OSError:  # a link that leads nowhere: reported when it is read
        pass
    try:
        return entry.stat(follow_symlinks=False), ""
    except OSError as error:
        return None, f"gone or unreadable ({error.strerror})"


def scan(folder: Path | str) -> Iterator[os.DirEntry]:
    """The entries of a folder, or a CorpusError."""
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        raise CorpusError(
            f"The folder {folder} cannot be listed ({error.strerror}). Check its permissions."
        ) from error


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def words(folder: Path) -> tuple[Found, Found]:
    """The recordings of all words and those of the noises; what else lies there is left out.

    Texts beside the folders, such as a licence, are no recordings and nothing that is missing.
    """
    spoken = Found()
    for entry in sorted(scan(folder), key=lambda entry: entry.name):
        name = entry.name
        if not _is_folder(entry):
            ending = PurePosixPath(name.lower()).suffix
            if name[0] != "." and (ending in audio.FORMATS or ending in OTHER_SOUND):
                spoken.left_out.append((name, "not in the folder of a word"))
        elif name[0] == "_" and name not in (NOISES, "__MACOSX"):
            inside = listed(folder, name)
            reason = f"a folder that begins with _ is no word, and noises lie in {NOISES}"
            spoken.left_out += [(item.path, reason) for item in inside.recordings]
            spoken.left_out += inside.left_out
        elif name.casefold() in _SYSTEM_FOLDERS:
            try:
                inside = listed(folder, name)
            except CorpusError:  # most of them are closed to everybody
                continue
            reason = "a folder of the operating system is no word"
            spoken.left_out += [(item.path, reason) for item in inside.recordings]
        elif name[0] not in "_.":
            inside = listed(folder, name)
            spoken.recordings += inside.recordings
            spoken.left_out += inside.left_out
            spoken.empty += inside.empty
    spoken.recordings.sort(key=lambda item: item.path)
    return spoken, noises(folder)


def not_a_corpus(folder: Path, found: Found) -> str:
    """Why a folder without one recording of a word is no corpus, and what to do."""
    names = sorted(printable(entry.name) for entry in scan(folder))
    hint = ""
    others = Counter(PurePosixPath(path).suffix.lower() for path, _ in found.left_out)
    others = Counter({ending: count for ending, count in others.items() if ending in OTHER_SOUND})
    beside = sum("/" not in path for path, _ in found.left_out)
    inner = sorted(entry.name for entry in scan(folder) if _holds_words(entry))
    if len(inner) > 1:
        hint = (
            f" Recordings lie one folder deeper, in several of these ({few(inner)}). If they are "
            "parts such as train and test, put the clips of each word together, and the names of "
            "the parts' clips into the lists that the corpus has. If the deeper folders are "
            "people, name the clips <word>/<speaker>_nohash_<number>.wav. If each is a corpus of "
            "its own, name one of them."
        )
    elif below := _deeper(folder):
        hint = f" Did you mean {below}?"
    elif beside:
        hint = (
            f" {beside:,} recordings lie in it directly: make a folder for each word, and put "
            "its recordings there."
        )
        if sum(_holds_recordings(entry) for entry in scan(folder.parent)) > 1:
            hint += f" Or is it one of the words of {folder.parent}?"
    elif others:
        kinds = ", ".join(f"{ending} {count:,}" for ending, count in others.most_common(3))
        hint = f" Its folders hold recordings in other formats ({kinds}): convert them to WAV."
    elif named := [item for item in found.left_out if "/." not in item[0]]:
        hint = f" Its folders hold {_count(named, 'file')}, such as {named[0][0]}: {named[0][1]}."
    return printable(
        f"{folder} is not in the layout of Speech Commands: it should hold one folder a word, "
        f"such as yes/ and no/, with WAV files in them. It holds "
        f"{', '.join(names[:5]) or 'nothing'}{' ...' if len(names) > 5 else ''}.{hint}"
    )


def _deeper(folder: Path) -> Path | None:
    """The only folder with folders of recordings, up to four levels below."""
    level = [folder]
    for _ in range(4):
        entries = [entry for place in level[:50] for entry in _folders_in(place)]
        if found := [entry for entry in entries if _holds_words(entry)]:
            return Path(found[0].path) if len(found) == 1 else None
        level = [Path(entry.path) for entry in entries]
    return None


def _folders_in(folder: Path) -> list[os.DirEntry]:
    try:
        return [entry for entry in scan(folder) if _is_folder(entry) and entry.name[0] not in "._"]
    except CorpusError:
        return []


def _holds_words(entry: os.DirEntry) -> bool:
    """Whether a folder holds folders with recordings."""
    try:
        return _is_folder(entry) and any(map(_holds_recordings, scan(entry.path)))
    except CorpusError:
        return False


def _holds_recordings(entry: os.DirEntry) -> bool:
    try:
        return _is_folder(entry) and any(
            item.name.lower().endswith(audio.FORMATS) and item.name[0] != "."
            for item in scan(entry.path)
        )
    except CorpusError:
        return False


def is_synthetic(folder: Path) -> bool:
    """Whether a corpus says of itself that nobody spoke it; another program's record says nothing.
    """
    try:
        record = json.loads((folder / "corpus.json").read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(record, dict) and record.get("synthetic") is True


def names(folder: Path) -> list[str]:
    """Of the folders in a folder; none where it cannot be listed."""
    try:
        return [entry.name for entry in scan(folder) if _is_folder(entry)]
    except CorpusError:
        return []


def existing(path: Path) -> Path:
    """The path as it is on the disk, which may write a letter as two signs and not as one."""
    if path.exists():
        return path
    found = Path(path.anchor)
    for part in path.relative_to(path.anchor).parts:
        same = [name for name in names(found) if composed(name) == composed(part)]
        found /= part if (found / part).exists() or not same else same[0]
    return found if found.exists() else path


def composed(name: str) -> str:
    """A name as it is compared.

    Examples
    --------
    >>> composed("fu\\u0308nf") == "f\\xfcnf"
    True
    """
    return printable(unicodedata.normalize("NFC", name))


def decoded(content: bytes) -> str:
    """Text in whatever encoding an editor or a shell saved it.

    Windows' own editor writes a mark before UTF-8, PowerShell writes UTF-16, and old programs
    write the code page of Western Europe.

    Examples
    --------
    >>> [decoded("fünf".encode(code)) for code in ("utf-8-sig", "utf-16", "utf-16-be", "cp1252")]
    ['fünf', 'fünf', 'fünf', 'fünf']
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),  # before UTF-16: its
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),  # mark begins the same
    ):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if b"\0" in content:  # no text has it, but half of the bytes of UTF-16
        first = content[::2].count(0) > content[1::2].count(0)
        return content.decode("utf-16-be" if first else "utf-16-le", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def few(names: Iterable[str]) -> str:
    """The first three names, and dots where there are more."""
    names = list(names)
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")


def _count(items: list, what: str) -> str:
    return f"{len(items):,} {what}{'' if len(items) == 1 else 's'}"
