"""CSV files as spreadsheets leave them, and the sheets of Moodle and Canvas, filled in."""

import csv
import io
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from course_utils.files import disk_error, replace_with

#: A cell that begins so is a formula to a spreadsheet; an apostrophe in front makes it text.
_FORMULA = "=+-@\t\r\n＝＋－＠'"


class OutputError(ValueError):
    """Something cannot be read or written; the message is one line for the user."""


@dataclass
class Sheet:
    """A CSV file: its rows, the header first, and how it was written."""

    rows: list[list[str]]
    delimiter: str = ","
    encoding: str = "utf-8-sig"  # with a mark, so that a spreadsheet sees what it is
    line_end: str = "\r\n"

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        return [name.strip() for name in self.rows[0]] if self.rows else []

    def records(self) -> list[dict[str, str]]:
        """The rows below the header by the names of their columns; missing cells are ""."""
        header = self.header
        return [
            dict(zip(header, row + [""] * (len(header) - len(row)), strict=False))
            for row in self.rows[1:]
        ]

    def write(self, path: Path) -> None:
        """Write it all, or nothing."""
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.delimiter, lineterminator=self.line_end).writerows(
            self.rows
        )
        write(path, text.getvalue(), self.encoding)


def write(path: Path, text: str, encoding: str = "utf-8") -> None:
    """Write a file whole or not at all; what has no bytes in the encoding becomes "?".

    Raises
    ------
    OutputError
        If the disk is full, or the place cannot be written.
    """
    try:
        with replace_with(path) as temporary:
            temporary.write_bytes(text.encode(encoding, "replace"))
    except OSError as error:
        state = f"{path.name} is as it was before; the marks are kept."
        raise OutputError(disk_error(error, path.parent, state, "--out")) from None


def read(path: Path) -> Sheet:
    """Read a CSV file, with whatever delimiter and encoding a spreadsheet has given it.

    Raises
    ------
    OutputError
        If it is no such file.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise OutputError(f"{path} cannot be read ({error.strerror})") from None
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        text = data.decode(encoding)
    except UnicodeError:
        encoding, text = "cp1252", data.decode("cp1252", "replace")
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise OutputError(f"{path} is no CSV file ({error})") from None
    return Sheet(rows, delimiter, encoding, "\r\n" if first.endswith("\r") else "\n")


def safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula.

    Examples
    --------
    >>> safe("=HYPERLINK(1)"), safe("Ada"), plain(safe("-Ada"))
    ("'=HYPERLINK(1)", 'Ada', '-Ada')
    """
    return f"'{text}" if text.lstrip(" ").startswith(tuple(_FORMULA)) else text


def plain(text: str) -> str:
    """What :func:`safe` was given."""
    return text[1:] if text.startswith("'") else text


def number(text: str) -> float | None:
    """A number as people type it, with a point or a comma; None if it is none.

    Examples
    --------
    >>> number("1,5"), number(" 2 "), number("two"), number("nan")
    (1.5, 2.0, None, None)
    """
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- what a platform exported


@dataclass(frozen=True)
class _Platform:
    """Where things stand in a platform's sheet: positions of columns, and the highest grade."""

    name: str
    number: int
    others: tuple[int, ...]  # columns with ids that a folder may be named after
    grade: int
    most: str = ""


#: Moodle's headings, in English and German.
_MOODLE_NUMBER, _MOODLE_GRADE = ("Identifier", "ID"), ("Grade", "Bewertung")
_MOODLE_MOST = ("Maximum grade", "Maximum Grade", "Bestwertung")
_IDS = (
    "ID number", "Username", "Email address", "ID-Nummer", "Anmeldename", "E-Mail-Adresse",
    "SIS User ID", "SIS Login ID",
)  # fmt: skip


def fill(
    worksheet: Path,
    out: Path,
    stage: int,
    title: str,
    scores: Mapping[str, float],
    numbers: Mapping[str, str],
    most: float,
) -> list[str]:
    """Write ``out/moodle.csv`` or ``out/canvas.csv``: the platform's own sheet with grades.

    A row is a student's if the platform's number says so, or if the name of the folder is one of
    the row's ids; never by a name that people have.

    Parameters
    ----------
    worksheet : Path
        What the platform exported; it is not changed.
    scores : dict of str to float
        By student.
    numbers : dict of str to str
        What the platform called the student in the names of files, such as ``"moodle 123"``.
    most : float
        The highest score.

    Returns
    -------
    list of str
        Lines that say what was filled in, and who was not found.

    Raises
    ------
    OutputError
        If the sheet is of neither, or has no column for this stage.
    """
    sheet = read(worksheet)
    platform = _platform(worksheet, sheet, stage, title)
    rows, missed = _matched(sheet, platform, scores, numbers)
    filled = replaced = 0
    comma = bool(re.fullmatch(r"\d+,\d+", platform.most.strip()))
    for i, student in rows.items():
        row, text = sheet.rows[i], f"{scores[student]:g}"
        row += [""] * (platform.grade + 1 - len(row))
        old = number(row[platform.grade])
        replaced += old is not None and old != scores[student]
        row[platform.grade] = text.replace(".", ",") if comma else text
        filled += 1
    target = out / f"{platform.name}.csv"
    sheet.write(target)
    lines = [f"{target}: {filled} grades in the column {sheet.header[platform.grade]!r}"]
    if replaced:
        lines.append(f"{target}: {replaced} of them had another grade before")
    highest = number(platform.most)
    if highest is not None and highest != most:
        lines.append(f"{target}: its highest grade is {highest:g}, here it is {most:g}: unscaled")
    if missed:
        lines.append(f"{target}: in no row of it: {', '.join(missed)}")
    if empty := [_person(row) for i, row in _people(sheet, platform) if i not in rows]:
        lines.append(f"{target}: no marks for {', '.join(empty)}")
    return lines


def _platform(worksheet: Path, sheet: Sheet, stage: int, title: str) -> _Platform:
    header = sheet.header

    def column(*names: str) -> int | None:
        return next((header.index(name) for name in names if name in header), None)

    others = tuple(i for i, name in enumerate(header) if name in _IDS)
    first = next(iter(sheet.rows[1:]), [])
    if "Student" in header and "ID" in header:
        grade = _assignment(worksheet, header, stage, title)
        possible = [row for row in sheet.rows[1:4] if row and row[0].strip() == "Points Possible"]
        most = possible[0][grade] if possible and len(possible[0]) > grade else ""
        return _Platform("canvas", header.index("ID"), others, grade, most)
    name, grade, most = column(*_MOODLE_NUMBER), column(*_MOODLE_GRADE), column(*_MOODLE_MOST)
    if name is None or grade is None:
        raise OutputError(
            f"{worksheet} is neither Moodle's grading worksheet (columns Identifier and Grade) nor "
            f"Canvas' gradebook (columns Student and ID); it has {', '.join(header) or 'nothing'}"
        )
    highest = first[most] if most is not None and len(first) > most else ""
    return _Platform("moodle", name, others, grade, highest)


def _assignment(worksheet: Path, header: list[str], stage: int, title: str) -> int:
    """The column of this stage in Canvas' gradebook, where an assignment ends in its number."""
    found = [i for i, name in enumerate(header) if re.search(r" \(\d+\)$", name)]
    if len(found) != 1:
        words = re.compile(rf"\bstage {stage}\b|{re.escape(title)}", re.IGNORECASE)
        names = [header[i] for i in found]
        found = [i for i in found if words.search(header[i])]
        if len(found) != 1:
            raise OutputError(
                f"{worksheet}: which assignment is it? One of its columns should hold 'stage "
                f"{stage}' or the stage's title; they are {', '.join(names) or 'none'}"
            )
    return found[0]


def _person(row: list[str]) -> str:
    return " ".join(filter(None, row[:2])).strip()


def _people(sheet: Sheet, platform: _Platform) -> list[tuple[int, list[str]]]:
    """The rows that are a student's, with their positions."""
    return [
        (i, row)
        for i, row in enumerate(sheet.rows)
        if i and len(row) > platform.number and re.search(r"\d$", row[platform.number].strip())
    ]


def _matched(
    sheet: Sheet, platform: _Platform, scores: Mapping[str, float], numbers: Mapping[str, str]
) -> tuple[dict[int, str], list[str]]:
    """Students by the row that is theirs, and those that have none."""
    people = _people(sheet, platform)
    claims: dict[int, list[str]] = {}
    for student in scores:
        name, _, wanted = numbers.get(student, "").partition(" ")
        found = [
            i
            for i, row in people
            if (wanted and name == platform.name and _digits(row[platform.number]) == wanted)
            or student.casefold()
            in {row[k].strip().casefold() for k in platform.others if k < len(row)}
        ]
        if len(found) == 1:
            claims.setdefault(found[0], []).append(student)
    rows = {i: students[0] for i, students in claims.items() if len(students) == 1}
    return rows, [student for student in scores if student not in rows.values()]


def _digits(text: str) -> str:
    found = re.search(r"\d+$", text.strip())
    return found[0] if found else ""
