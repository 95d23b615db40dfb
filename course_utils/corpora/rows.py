"""The rows of a table of tab-separated values, as programs and people leave them.

A table is text in UTF-8 or, where an editor saved it anew, UTF-16. A row that is damaged costs
that row, named by its line; only a table that is none is an error.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from course_utils import audio, recordings
from course_utils.corpora import CorpusError
from course_utils.corpora.folders import composed, names

#: Folders of clips: in releases of read sentences, and in those of spontaneous speech.
MEDIA = ("clips", "audios")
#: Suffixes of sounds, those that can be read first; the others are named when they are opened.
_SOUNDS = tuple(
    dict.fromkeys(
        (*audio.FORMATS, *".ogg .oga .opus .aiff .aif .m4a .mp4 .aac .webm .wma .amr".split())
    )
)
_NOT_TEXT = re.compile("[\ud800-\udfff]")  # what bytes become that are no text

Problems = list[tuple[str, str]]


def as_text(content: bytes) -> str:
    """Text in UTF-8 or UTF-16, with or without a mark in front; other bytes become surrogates.

    Unlike `folders.decoded`, it guesses no code page: a sentence in a wrong one is no sentence.

    Examples
    --------
    >>> as_text("\\ufeffjá".encode("utf-16-le")), as_text(b"\\xef\\xbb\\xbfj\\xc3\\xa1")
    ('já', 'já')
    """
    marks = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
    encoding = marks.get(content[:2])
    if encoding is None and content[:2].count(0) == 1:  # a table begins with a name in ASCII
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    if encoding is None:
        return content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    even = content[: len(content) // 2 * 2]
    try:
        text = even.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:  # cut off in the middle of a sign
        text = even.decode(encoding, "replace")
    return text.removeprefix("\ufeff")


def read_table(
    path: Path, required: Mapping[str, tuple[str, ...]], digest: Any, problems: Problems
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table, each with the number of its line, as a dict by column name.

    Parameters
    ----------
    path : Path
    required : dict
        What each needed column may be called; the rows have it under the key.
    digest : hash
        Is given what the table holds.
    problems : list of (line, reason)
        Gets the rows that are left out.

    Raises
    ------
    CorpusError
        A required column is missing, or the file is no table of text.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from error
    digest.update(path.name.encode(errors="surrogateescape") + hashlib.sha256(content).digest())
    lines = _lines(as_text(content))
    bad = _unreadable(path, lines)
    # Sentences hold quotation marks, which mean nothing here; only tabs and line ends do.
    named = [name.strip() for name in lines[0].split("\t")] if lines[0] else []
    # Unless a spreadsheet put them around everything, also around the names of the columns.
    is_quoted = all(len(name) > 1 and name[0] == name[-1] == '"' for name in named)
    columns = [(name[1:-1] if is_quoted else name).casefold() for name in named]
    found = {
        key: next((name for name in known if name in columns), None)
        for key, known in required.items()
    }
    if missing := [key for key, name in found.items() if name is None]:
        kind, advice = recordings.kind_of(content)
        if content and kind and not kind.startswith(("text", "JSON")):
            advice = advice if "git" in kind.casefold() else "Download or unpack the release again."
            raise CorpusError(f"{path} is no table: it is {kind}. {advice}")
        shown = ", ".join(named[:15])[:300] or "nothing"
        raise CorpusError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: its "
            f"first line has {shown}. A table of Common Voice has "
            f"tabs between its columns, and needs {', '.join(required)}."
        )
    renamed = {name: key for key, name in found.items()}
    columns = [renamed.get(name, name) for name in columns]
    plain = ((number, line.split("\t")) for number, line in enumerate(lines, 1) if line)
    first: list[str] = []
    for number, fields in _unquoted(lines) if is_quoted else plain:
        if not first:
            first = fields
        elif fields == first:  # two tables, one behind the other
            problems.append((f"{path.name}, line {number}", "it repeats the first line"))
        elif number in bad:
            problems.append((f"{path.name}, line {number}", "it holds bytes that are not text"))
        elif len(fields) != len(columns):
            reason = (
                f"it has {len(fields)} column{'' if len(fields) == 1 else 's'} and the first line "
                f"{len(columns)}: is there a tab or the end of a line in one of them?"
            )
            problems.append((f"{path.name}, line {number}", reason))
        else:
            yield number, dict(zip(columns, fields, strict=True))


def _unquoted(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The rows of a table with quotation marks around its fields, in which they are doubled."""
    reader = csv.reader((f"{line}\n" for line in lines), delimiter="\t")
    number = 1
    try:
        for fields in reader:
            if fields:
                yield number, fields  # a row may go over several lines: the first counts
            number = reader.line_num + 1
    except csv.Error as error:  # a mark that nothing closes: megabytes would be one field
        yield number, [f"{error}"]


def _lines(text: str) -> list[str]:
    text = text.replace("\r\n", "\n")
    if "\n" not in text:  # the line ends of old Macs
        text = text.replace("\r", "\n")
    return text.split("\n")


def _unreadable(path: Path, lines: list[str]) -> set[int]:
    """The numbers of the lines that are no text.

    Raises
    ------
    CorpusError
        There are so many that the whole table is in another encoding, or is none.
    """
    bad = {number for number, line in enumerate(lines, 1) if _NOT_TEXT.search(line)}
    if not bad:
        return bad
    rows = sum(map(bool, lines[1:]))
    # In a table of another encoding, no row with a letter beyond ASCII is right.
    others = any(not line.isascii() for number, line in enumerate(lines, 1) if number not in bad)
    if 1 in bad or 2 * len(bad) > rows or (not others and len(bad) > 1 and 5 * len(bad) > rows):
        raise CorpusError(
            f"{path} is not UTF-8 text (first in line {min(bad):,}, and in {len(bad):,} of its "
            f"{len(lines):,} lines). "
            "Unpack the release again; do not save its tables in a spreadsheet."
        )
    return bad


class ClipNames:
    """Which file a table means: it may lie elsewhere, be converted, or have its name composed.

    Attributes
    ----------
    converted : int
        Clips that lie there in another format than the table says.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        there = sorted(names(folder), key=lambda name: name not in MEDIA)  # or Clips/
        self._inside = next((name for name in there if name.casefold() in MEDIA), MEDIA[0])
        self._names: dict[str, set[str]] = {}  # by folder below that of the clips
        self._alike: dict[str, dict[str, str]] = {}
        self.converted = 0

    def find(self, name: str) -> tuple[str, str]:
        """The path of a clip, relative to the folder, and what is wrong with its name, or ``""``.

        Only a file in the folder of the clips is ever meant.
        """
        if name in self._listed(""):  # nearly all of them
            return f"{self._inside}/{name}", ""
        name = name.strip().replace("\\", "/")
        for inside in MEDIA:  # also of another machine: /home/anna/cv/fr/clips/1.mp3
            before, found, after = name.rpartition(f"{inside}/")
            if found and (not before or before.endswith("/")):
                name = after
        name = name.removeprefix("./")
        if not _stays_inside(name):
            return name, "it points outside of the folder of clips"
        if "\0" in name:
            return name.replace("\0", "?"), "its name holds a sign that no name of a file has"
        parent, _, file = name.rpartition("/")
        listed = self._listed(parent)
        if file not in listed:
            file = self._closest(parent, file)
        path = "/".join(part for part in (self._inside, parent, file) if part)
        # Where no clip at all is there, opening them says so, and looks again each time.
        lost = file not in listed and self._listed("")
        reason = f"{self._folder / path} does not exist. Was the release unpacked completely?"
        return path, reason if lost else ""

    def _closest(self, parent: str, file: str) -> str:
        if f"{file}.mp3" in self._listed(parent):  # the first releases left it out
            return f"{file}.mp3"
        if parent not in self._alike:
            alike: dict[str, str] = {}
            for name in sorted(self._names[parent], key=_preference):
                alike.setdefault(_bare(name), name)
            self._alike[parent] = alike
        found = self._alike[parent].get(_bare(file)) if self._alike[parent] else None
        if found is None:
            return file if PurePosixPath(file).suffix else f"{file}.mp3"
        suffix = PurePosixPath(file).suffix.lower()
        self.converted += suffix in _SOUNDS and suffix != PurePosixPath(found).suffix.lower()
        return found

    def _listed(self, parent: str) -> set[str]:
        if parent not in self._names:
            try:
                self._names[parent] = {
                    path.name for path in (self._folder / self._inside / parent).iterdir()
                }
            except OSError:
                self._names[parent] = set()
        return self._names[parent]


def _stays_inside(name: str) -> bool:
    if "/" not in name and ":" not in name:
        return name != ".."
    path = PureWindowsPath(name)  # knows drives on every system
    return not (path.drive or path.root or ".." in path.parts)


def _bare(name: str) -> str:
    """A name for comparisons: composed, without capitals, and without suffixes of sounds."""
    stem, suffix = os.path.splitext(composed(name).casefold())  # noqa: PTH122 (a million names)
    while suffix in _SOUNDS:
        stem, suffix = os.path.splitext(stem)  # noqa: PTH122
    return stem + suffix


def _preference(name: str) -> tuple[int, str]:
    suffix = PurePosixPath(name).suffix.lower()
    return (_SOUNDS.index(suffix) if suffix in _SOUNDS else len(_SOUNDS), name)
