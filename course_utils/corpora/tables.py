"""The tables of a Common Voice release, read without opening a clip.

A release has a folder for each language, and in it ``clips/`` and tables of tab-separated values.
Releases differ in their columns, so they are found by name: only ``client_id``, ``path`` and
``sentence`` are needed.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from course_utils.corpora import CorpusError
from course_utils.corpora.clips import SPLITS

TABLES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
EVERYTHING = "validated.tsv"
EMPTY = "its sentence is empty"
DURATIONS = "clip_durations.tsv"
REQUIRED = ("client_id", "path", "sentence")
#: What is kept of the other columns, where a release has them; older ones say "accent".
OPTIONAL = {
    "age": ("age",),
    "gender": ("gender",),
    "accents": ("accents", "accent"),
    "locale": ("locale",),
}


@dataclass(frozen=True)
class Row:
    """What a table says about one clip."""

    path: str  # relative to the folder of the language, with "/" on every system
    speaker: str
    transcript: str
    split: str = ""
    age: str = ""
    gender: str = ""
    accents: str = ""
    locale: str = ""


@dataclass
class Release:
    """All that is known about a corpus before a clip is opened."""

    folder: Path
    language: str
    rows: list[Row]
    hash: str  # of the tables
    synthetic: bool = False
    seconds: dict[str, float] = field(default_factory=dict)  # by path; may be empty
    problems: list[tuple[str, str]] = field(default_factory=list)  # clips left out, and why
    notes: list[str] = field(default_factory=list)


def find(folder: Path, language: str) -> Path:
    """The folder of a language in a release: `folder` itself, or one or two levels below.

    Raises
    ------
    CorpusError
        There is no table, or there are several languages and none is the one asked for.
    """
    if _tables_in(folder):
        return folder
    found = [place for place in sorted(folder.glob("*")) if _tables_in(place)]
    found = found or [place for place in sorted(folder.glob("*/*")) if _tables_in(place)]
    if not found:
        inside = sorted(item.name for item in folder.iterdir())
        raise CorpusError(
            f"{folder} is not a release of Common Voice: neither it nor a folder in it holds "
            f"{', '.join(TABLES.values())} or {EVERYTHING}. It holds "
            f"{', '.join(inside[:5]) or 'nothing'}{' ...' if len(inside) > 5 else ''}."
        )
    matching = [place for place in found if place.name == language]
    if len(matching) == 1 or len(found) == 1:
        return (matching or found)[0]
    raise CorpusError(
        f"{folder} holds {len(found)} corpora ({', '.join(place.name for place in found[:8])}), "
        f"and {len(matching)} of them are in {language!r}. Name the folder of one."
    )


def _tables_in(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*TABLES.values(), EVERYTHING))


def read(folder: Path) -> Release:
    """Read the tables in the folder of a language.

    The official splits are used where train, dev and test are there and none is empty. Otherwise
    the rows are split by speaker, and a note says so.

    Raises
    ------
    CorpusError
        A table lacks a column, is no text, or none has a row.
    """
    digest = hashlib.sha256()
    problems: list[tuple[str, str]] = []
    notes: list[str] = []
    parts = {
        split: list(_rows(folder / name, split, digest, problems))
        for split, name in TABLES.items()
        if (folder / name).is_file()
    }
    if all(parts.get(split) for split in SPLITS):
        rows = [row for split in SPLITS for row in parts[split]]
    else:
        absent = [name for split, name in TABLES.items() if not parts.get(split)]
        rows = [row for part in parts.values() for row in part]
        if (folder / EVERYTHING).is_file():
            rows += _rows(folder / EVERYTHING, "", digest, problems)
        rows = _unique(rows)[0]
        rows = split_by_speaker(rows)
        notes.append(f"no rows in {', '.join(absent)}: split by a hash of the speaker")
    rows, twice = _unique(rows)
    if twice:
        notes.append(f"{twice:,} clips stand in two tables or twice in one: the first row counts")
    problems = list(dict(problems).items())
    if not rows:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in problems[:3])
        raise CorpusError(
            f"No table in {folder} has a row that can be used{f' ({reasons})' if reasons else ''}."
            " Was the release unpacked completely?"
        )
    seconds = _seconds(folder / DURATIONS, digest)
    locales = Counter(row.locale for row in rows if row.locale)
    return Release(
        folder=folder, language=locales.most_common(1)[0][0] if locales else folder.name, rows=rows,
        hash=digest.hexdigest(), synthetic=_synthetic(folder), seconds=seconds, problems=problems,
        notes=notes + _shared_speakers(rows),
    )


def split_by_speaker(rows: Iterable[Row]) -> list[Row]:
    """Share the speakers out, 80/10/10 and by a hash of their names; each part gets one at least.

    Examples
    --------
    >>> rows = split_by_speaker(Row(f"{name}.mp3", name, "oui") for name in "abcdefghij")
    >>> Counter(row.split for row in rows)
    Counter({'train': 8, 'validation': 1, 'test': 1})
    """
    rows = list(rows)
    speakers = sorted({row.speaker for row in rows}, key=_name_hash)
    share = max(1, round(len(speakers) / 10))
    split = dict.fromkeys(speakers, "train")
    if len(speakers) > 1:
        split |= dict.fromkeys(speakers[:share], "test")
    if len(speakers) > 2:
        split |= dict.fromkeys(speakers[share : 2 * share], "validation")
    return [_with_split(row, split[row.speaker]) for row in rows]


def _name_hash(name: str) -> str:
    return hashlib.sha1(name.encode()).hexdigest()


def _with_split(row: Row, split: str) -> Row:
    return Row(**{**row.__dict__, "split": split})


def _unique(rows: list[Row]) -> tuple[list[Row], int]:
    """The first row of each clip, and how many others there were."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.path, row)
    return list(first.values()), len(rows) - len(first)


def _shared_speakers(rows: list[Row]) -> list[str]:
    where: dict[str, set[str]] = {}
    for row in rows:
        where.setdefault(row.speaker, set()).add(row.split)
    shared = sum(len(found) > 1 for found in where.values())
    if not shared:
        return []
    return [f"{shared:,} speakers are in more than one split: scores will be too high"]


def _rows(path: Path, split: str, digest, problems: list[tuple[str, str]]) -> Iterator[Row]:
    for number, entry in enumerate(read_table(path, REQUIRED, digest), 2):
        name, transcript = entry["path"].strip(), entry["sentence"].strip()
        if not name:
            problems.append((f"{path.name}:{number}", "the row names no clip"))
            continue
        if not PurePosixPath(name).suffix:  # the first releases left it out
            name += ".mp3"
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            problems.append((name, "it points outside of the folder of clips"))
        elif not transcript:
            problems.append((f"clips/{name}", EMPTY))
        else:
            more = {
                key: next((entry[column] for column in columns if entry.get(column)), "")
                for key, columns in OPTIONAL.items()
            }
            speaker = entry["client_id"].strip()
            yield Row(f"clips/{name}", speaker, transcript, split, **more)


def read_table(path: Path, required: tuple[str, ...], digest: Any) -> Iterator[dict[str, str]]:
    """The rows of a table by column name; a column that a row lacks is ``""`` there.

    Raises
    ------
    CorpusError
        A required column is missing, or the file is no table of UTF-8 text.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start:,}). "
            "Unpack the release again; do not save its tables in a spreadsheet."
        ) from error
    digest.update(path.name.encode() + hashlib.sha256(content).digest())
    # Sentences hold quotation marks, which mean nothing here; only tabs and line ends do.
    lines = text.replace("\r\n", "\n").split("\n")
    rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE, restval="")
    columns = rows.fieldnames or []
    missing = [name for name in required if name not in columns]
    if missing:
        raise CorpusError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: its "
            f"first line has {', '.join(columns) or 'nothing'}. A table of Common Voice has "
            f"tabs between its columns, and needs {', '.join(required)}."
        )
    try:
        yield from rows
    except csv.Error as error:
        raise CorpusError(f"{path} is damaged in line {rows.line_num} ({error}).") from error


def _seconds(path: Path, digest) -> dict[str, float]:
    """Durations by path, from the release's own table; empty if it has none that can be read."""
    if not path.is_file():
        return {}
    found = {}
    for entry in read_table(path, ("clip",), digest):
        milliseconds = entry.get("duration[ms]") or entry.get("duration") or ""
        try:
            found[f"clips/{entry['clip']}"] = float(milliseconds) / 1000
        except ValueError:
            continue  # the header of the clip will tell
    return found


def _synthetic(folder: Path) -> bool:
    for record in (folder / "corpus.json", folder.parent / "corpus.json"):
        if record.is_file():
            try:
                return bool(json.loads(record.read_text("utf-8")).get("synthetic"))
            except (ValueError, AttributeError):
                return False
    return False
