"""What a class handed in: a folder, or the zip of a learning platform, as a notebook a student.

Submissions are read as bytes and JSON, never run. A name inside them is never used as a place to
write to, and the input is never changed.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from course_utils.files import disk_error

#: Bytes of one notebook, and of all that are taken out of a zip.
LARGEST, LARGEST_IN_ALL = 50_000_000, 2_000_000_000
#: Commas and brackets of one notebook: 50 MB of nothing else take a minute and gigabytes to read.
MOST_PARTS = 8_000_000
MOST_FILES, DEEPEST = 200_000, 20
#: How many notebooks of one student are looked into before the desk gives up.
MOST_TRIES = 5

_MOODLE = re.compile(r"(?P<name>.+?)_(?P<id>[1-9]\d*)_assignsubmission_[a-z]+(?:_|$)", re.DOTALL)
_CANVAS = re.compile(
    r"(?P<name>[^\W_]+)(?:_LATE)?_(?P<id>[1-9]\d*)_(?P<submission>[1-9]\d*)_"
    r"(?P<file>.+?)(?:-(?P<again>\d+))?\.\w+"
)
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz")
_NOISE = ("__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini")


class SubmissionsError(ValueError):
    """What was given cannot be a class's submissions; the message is one line for the user."""


@dataclass(frozen=True)
class HandedIn:
    """What one student handed in.

    Attributes
    ----------
    student : str
        A name that no other student of this class has.
    path : Path or None
        The notebook that counts; None if there is none that can be read.
    reason : str
        Why there is none.
    notes : tuple of str
        What was decided, such as which of several notebooks counts.
    number : str
        What the platform calls the student, such as ``"moodle 123456"``; "" if it said nothing.
    """

    student: str
    path: Path | None
    reason: str = ""
    notes: tuple[str, ...] = ()
    number: str = ""


@dataclass(frozen=True)
class _Entry:
    """A file, link or folder of the input; ``parts`` are the names that lead to it."""

    parts: tuple[str, ...]
    kind: str  # "file", "folder" or "link"
    size: int
    time: tuple
    source: Any

    @property
    def name(self) -> str:
        return self.parts[-1]

    @property
    def is_notebook(self) -> bool:
        return self.kind != "folder" and self.name.lower().endswith(".ipynb")

    @property
    def is_archive(self) -> bool:
        return self.kind == "file" and self.name.lower().endswith(_ARCHIVES)


class _Unusable(Exception):
    """One file cannot be taken; the message says why, after the file's name."""


def collect(
    path: Path, scratch: Path, suits: Callable[[dict], bool] | None = None
) -> list[HandedIn]:
    """Find the notebook that counts of each student.

    Parameters
    ----------
    path : Path
        A folder with a folder a student or with loose notebooks, or a zip of these, such as
        Moodle and Canvas make.
    scratch : Path
        A folder that notebooks are taken out of a zip to; their names in it are numbers.
    suits : function of a notebook, optional
        Whether a notebook, as JSON, is one of the wanted stage: of several, the newest that is.

    Returns
    -------
    list of HandedIn
        One of each student, sorted. Those without a notebook are there, with the reason.

    Raises
    ------
    SubmissionsError
        If there is nothing to grade, or a zip is not what a platform makes.
    """
    if path.is_dir():
        return _collect(_Folder(path), suits)
    if not path.exists():
        raise SubmissionsError(f"{path} does not exist")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise SubmissionsError(f"{path} is neither a folder nor a zip of submissions")
    try:
        with zipfile.ZipFile(path) as archive:
            return _collect(_Zip(path, archive, scratch), suits)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, EOFError) as error:
        raise SubmissionsError(f"{path} is a damaged zip ({error}): download it again") from None


# ---------------------------------------------------------------- where files come from


class _Folder:
    """A folder on the disk; links in it are seen, and not followed."""

    def __init__(self, path: Path):
        self.path, self.title = path, ""

    def entries(self) -> Iterator[_Entry]:
        def stop(error: OSError) -> None:
            raise SubmissionsError(f"{error.filename} cannot be read ({error.strerror})")

        for folder, folders, files in os.walk(self.path, onerror=stop):
            for name in (*folders, *files):
                place = Path(folder, name)
                found = place.lstat()
                is_link, is_folder = stat.S_ISLNK(found.st_mode), stat.S_ISDIR(found.st_mode)
                if not (is_link or is_folder or stat.S_ISREG(found.st_mode)):
                    continue  # a pipe would wait for ever
                kind = "link" if is_link else "folder" if is_folder else "file"
                parts = place.relative_to(self.path).parts
                yield _Entry(parts, kind, found.st_size, (found.st_mtime,), place)
            depth = len(Path(folder).relative_to(self.path).parts)
            folders[:] = [name for name in folders if depth < DEEPEST and not _is_noise(name)]

    def read(self, entry: _Entry) -> bytes:
        try:
            flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            with open(
                entry.source, "rb", opener=lambda name, mode: os.open(name, mode | flags)
            ) as f:
                return f.read(LARGEST + 1)
        except OSError as error:
            raise _Unusable(f"cannot be read ({error.strerror})") from None

    def allow(self, size: int) -> None:
        """Nothing is taken out of a folder."""

    def keep(self, entry: _Entry, data: bytes) -> Path:
        return entry.source


class _Zip:
    """A zip; what is needed is written to a scratch folder, under numbers."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, scratch: Path):
        self.path, self.title, self.archive, self.scratch = path, path.stem, archive, scratch
        self.taken = self.kept = 0

    def entries(self) -> Iterator[_Entry]:
        for info in self.archive.infolist():
            name = _name_in(info)
            parts = tuple(part for part in name.split("/") if part not in ("", "."))
            if name.startswith("/") or ".." in parts or "\0" in name or re.match("[A-Za-z]:", name):
                raise SubmissionsError(
                    f"{self.path} holds {name!r}, which leads out of its folder: nothing was taken "
                    "from it; pack it again, or give a folder"
                )
            is_link = stat.S_ISLNK(info.external_attr >> 16)
            kind = "link" if is_link else "folder" if name.endswith("/") else "file"
            if parts:
                yield _Entry(parts, kind, info.file_size, info.date_time, info)

    def read(self, entry: _Entry) -> bytes:
        info = entry.source
        if info.flag_bits & 1:
            raise _Unusable("is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _Unusable("is packed in a way that only some programs can unpack")
        self.taken += info.file_size
        self.allow(self.taken)
        try:
            with self.archive.open(info) as file:
                return file.read(LARGEST + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError):
            raise _Unusable("is damaged in the zip, or larger than the zip says") from None

    def allow(self, size: int) -> None:
        if size > LARGEST_IN_ALL:
            raise SubmissionsError(
                f"the notebooks in {self.path} are larger than {LARGEST_IN_ALL / 1e9:.0f} GB in "
                "all: nothing was graded; look which of them are, and give the others"
            )

    def keep(self, entry: _Entry, data: bytes) -> Path:
        self.kept += 1
        place = self.scratch / f"{self.kept:05d}.ipynb"
        try:
            self.scratch.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        except OSError as error:
            state = "Nothing was graded, and nothing of the submissions was changed."
            raise SubmissionsError(disk_error(error, self.scratch, state, "TMPDIR")) from None
        return place


def _name_in(info: zipfile.ZipInfo) -> str:
    """A name as it was meant: UTF-8 that is not marked as such is read as code page 437."""
    name = info.orig_filename
    if not info.flag_bits & 0x800:
        with contextlib.suppress(UnicodeError):  # else it is code page 437
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _is_noise(name: str) -> bool:
    return name.startswith(".") or name in _NOISE


# ---------------------------------------------------------------- whose they are


def _collect(place: _Folder | _Zip, suits: Callable[[dict], bool] | None) -> list[HandedIn]:
    entries = []
    for entry in place.entries():
        if not any(map(_is_noise, entry.parts)):
            entries.append(entry)
        if len(entries) > MOST_FILES:
            raise SubmissionsError(f"{place.path} holds more than {MOST_FILES:,} files: a class?")
    by_owner: dict[tuple[str, ...], list[_Entry]] = {}
    for entry in _unwrapped(entries, place.title):
        owner = _owner(entry)
        if owner is not None:
            by_owner.setdefault(owner, []).append(entry)
    everything = [entry for found in by_owner.values() for entry in found]
    platform = any(owner[0] in ("moodle", "canvas") for owner in by_owner)
    if not platform and not any(entry.is_notebook for entry in everything):
        zips = [entry.name for entry in everything if entry.is_archive]
        hint = f"; there is {clean(zips[0])}: give that" if len(zips) == 1 else ""
        raise SubmissionsError(
            f"there are no notebooks in {place.path}: give a folder or a zip with a folder a "
            f"student, or with a notebook a student{hint}"
        )
    newest = [entry for found in by_owner.values() for entry in _candidates(found)[:1]]
    place.allow(sum(entry.size for entry in newest if entry.size <= LARGEST))
    return [
        _handed_in(place, student, owner, by_owner[owner], suits)
        for student, owner in sorted(_students(by_owner).items())
    ]


def _unwrapped(entries: list[_Entry], title: str) -> list[_Entry]:
    """The entries without folders that only hold the students' folders or files."""
    inner = entries
    while inner and all(
        entry.parts[0] == inner[0].parts[0] and (len(entry.parts) > 1 or entry.kind == "folder")
        for entry in inner
    ):
        top = inner[0].parts[0]
        inner = [replace(e, parts=e.parts[1:]) for e in inner if len(e.parts) > 1]
        loose = {e.name for e in inner if len(e.parts) == 1 and e.is_notebook}
        folders = {e.parts[0] for e in inner if len(e.parts) > 1 or e.kind == "folder"}
        named = any(_MOODLE.match(e.parts[0]) or _CANVAS.fullmatch(e.parts[0]) for e in inner)
        several = len(folders) > 1 and not loose
        packed = top.casefold() == title.casefold() and len(folders) + len(loose) > 1
        if _MOODLE.match(top):
            break
        if named or several or packed:
            entries = inner
    return entries


def _owner(entry: _Entry) -> tuple[str, ...] | None:
    """Whose an entry is: how that is known, the name, and the platform's number."""
    top = entry.parts[0]
    if found := _MOODLE.match(top):
        return "moodle", found["name"], found["id"]
    if len(entry.parts) > 1 or entry.kind == "folder":
        return "folder", top
    if found := _CANVAS.fullmatch(top):
        return "canvas", found["name"], found["id"]
    if entry.is_notebook or entry.is_archive or entry.kind == "link":
        return "loose", top
    return None


def _students(owners: dict[tuple[str, ...], Any]) -> dict[str, tuple[str, ...]]:
    """A name of its own for each owner; what two would share gets a mark that stays the same."""
    wanted = {owner: _called(owner) for owner in sorted(owners)}
    count = Counter(wanted.values())
    students: dict[str, tuple[str, ...]] = {}
    for owner, student in wanted.items():
        mark = hashlib.sha256(repr(owner).encode()).hexdigest()
        if count[student] > 1:
            student = f"{student} ({mark[:6]})"
        while student in students or (student != wanted[owner] and student in count):
            student += mark[-1]
        students[student] = owner
    return students


def _called(owner: tuple[str, ...]) -> str:
    kind, name, *number = owner
    stem = re.sub(r"\.[^.]*$", "", name) if kind == "loose" else "_".join((name, *number))
    return clean(stem) or "unnamed"


def clean(name: str) -> str:
    """A name that can be printed and written: composed, in one line, without control characters.

    Examples
    --------
    >>> clean("Zoe\\u0308\\n\\u202eLovelace ")
    'Zoë Lovelace'
    """
    kept = (c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")
    name = "".join(c if c.isprintable() else " " if c.isspace() else "\ufffd" for c in kept)
    return " ".join(name.split())


# ---------------------------------------------------------------- which notebook counts


def _age(entry: _Entry) -> tuple:
    """Sorts the newest last: by the platform's numbers, by time, by numbers in the name."""
    found = _CANVAS.fullmatch(entry.parts[0]) if len(entry.parts) == 1 else None
    numbers = (int(found["submission"]), int(found["again"] or 1)) if found else (0, 0)
    words = [
        (int(part), "") if part.isdecimal() else (0, part)
        for part in re.split(r"(\d+)", entry.name.rpartition(".")[0])
    ]
    return numbers, entry.time, words


def _candidates(entries: list[_Entry]) -> list[_Entry]:
    """A student's notebooks, the newest first."""
    return sorted((entry for entry in entries if entry.is_notebook), key=_age, reverse=True)


def _notebook(place: _Folder | _Zip, entry: _Entry) -> tuple[dict, bytes]:
    """A notebook as JSON and as bytes."""
    if entry.kind == "link":
        raise _Unusable("is a link, and links are not followed")
    if entry.size > LARGEST:
        raise _Unusable(f"is larger than {LARGEST / 1e6:.0f} MB")
    data = place.read(entry)
    if len(data) > LARGEST:
        raise _Unusable(f"is larger than {LARGEST / 1e6:.0f} MB")
    if not data.strip():
        raise _Unusable("is empty")
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_PARTS:
        raise _Unusable("is corrupt: it has millions of parts")
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise _Unusable("is corrupt: it is no JSON") from None
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise _Unusable("is no notebook of today's format: it has no cells")
    return notebook, data


def _handed_in(
    place: _Folder | _Zip,
    student: str,
    owner: tuple[str, ...],
    entries: list[_Entry],
    suits: Callable[[dict], bool] | None,
) -> HandedIn:
    number = f"{owner[0]} {owner[2]}" if len(owner) > 2 else ""
    candidates = _candidates(entries)
    faults, readable = [], []
    for entry in candidates[:MOST_TRIES]:
        try:
            notebook, data = _notebook(place, entry)
        except _Unusable as error:
            faults.append(f"{clean(entry.name)} {error}")
            continue
        readable.append((entry, data))
        if suits is None or suits(notebook):
            break
    else:
        readable = readable[:1]
    if not readable:
        return HandedIn(student, None, faults[0] if faults else _nothing(entries), number=number)
    entry, data = readable[-1]
    notes = []
    if len(candidates) > 1:
        why = "the newest" if entry is candidates[0] else "the newest that can be graded"
        notes.append(f"{len(candidates)} notebooks: {clean('/'.join(entry.parts))} counts, {why}")
    return HandedIn(student, place.keep(entry, data), "", (*notes, *faults), number)


def _nothing(entries: list[_Entry]) -> str:
    """Why somebody without a notebook has none."""
    if links := [entry for entry in entries if entry.kind == "link"]:
        return f"{clean(links[0].name)} is a link, and links are not followed"
    if archives := [entry for entry in entries if entry.is_archive]:
        return f"no notebook, but {clean(archives[0].name)}, which nobody has unpacked"
    files = sorted(clean(entry.name) for entry in entries if entry.kind == "file")
    if not files:
        return "nothing was handed in"
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"no notebook, but {', '.join(files[:3])}{more}"
