"""The tables of a Common Voice release, read without opening a clip.

A release has a folder for each language, and in it ``clips/`` and tables of tab-separated values.
Releases differ in their columns, so they are found by name: only ``client_id``, ``path`` and
``sentence`` are needed. A dataset of spontaneous speech has ``audios/`` and one table instead,
``ss-corpus-LANGUAGE.tsv``, with ``audio_file``, ``transcription`` and ``split``.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.corpora import CorpusError, folders, sharing
from course_utils.corpora.clips import SPLITS
from course_utils.corpora.folders import composed
from course_utils.corpora.rows import ClipNames, Problems, as_text, read_table
from course_utils.corpora.sharing import Row

TABLES = {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv"}
EVERYTHING = "validated.tsv"
EMPTY = "its sentence is empty"
DURATIONS = "clip_durations.tsv"
#: How programs call what a release calls train, dev and test.
_CALLED = {
    "train.tsv": ("train", "training"),
    "dev.tsv": ("dev", "development", "val", "valid", "validation"),
    "test.tsv": ("test", "testing", "eval"),
}
#: What the needed columns are called, in releases of read sentences and of spontaneous speech.
REQUIRED = {
    "client_id": ("client_id",),
    "path": ("path", "audio_file"),
    "sentence": ("sentence", "transcription"),
}
#: What is kept of the other columns, where a release has them; older ones say "accent".
OPTIONAL = {
    "age": "age", "gender": "gender", "accent": "accents", "accents": "accents", "locale": "locale",
}
_LENGTHS = ("duration[ms]", "duration", "duration_ms")  # milliseconds, all of them


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
    caveats: list[str] = field(default_factory=list)  # in a few words: what a score then means


def find(folder: Path, language: str) -> Path:
    """The folder of a language in a release: `folder` itself, or one or two levels below.

    Raises
    ------
    CorpusError
        There is no table, or there are several languages and none is the one asked for.
    """
    for is_release in (_tables_in, _spontaneous_in):
        if is_release(folder):
            return folder
        found = [place for place in sorted(folder.glob("*")) if is_release(place)]
        found = found or [place for place in sorted(folder.glob("*/*")) if is_release(place)]
        if found:
            return _of_language(folder, found, language)
    try:
        inside = sorted(item.name for item in folder.iterdir())
    except OSError as error:
        raise CorpusError(
            f"The folder {folder} cannot be listed ({error.strerror}). Check its permissions."
        ) from error
    if _tables_in(folder.parent):
        raise CorpusError(
            f"{folder} is a part of a release of Common Voice. Name the folder above it, "
            f"{folder.parent} (COURSE_COMMON_VOICE or source=)."
        )
    raise CorpusError(
        f"{folder} is not a release of Common Voice: neither it nor a folder in it holds "
        f"{', '.join(TABLES.values())} or {EVERYTHING}. It holds "
        f"{', '.join(inside[:5]) or 'nothing'}{' ...' if len(inside) > 5 else ''}."
        f"{_nearly_a_table(folder)}"
    )


def _nearly_a_table(folder: Path) -> str:
    """What to do with train.csv, train.tsv.gz or TRAIN.TSV, here or in a folder below."""
    for place in (folder, *(folder / name for name in sorted(folders.names(folder)))):
        for table in (*TABLES.values(), EVERYTHING):
            if meant := _meant(place, table):
                return (
                    f" {place / meant[0]} is there: a table of a release is text with tabs between "
                    f"its columns, and is called {table}. Unpack it, or save it so."
                )
    return ""


def _meant(folder: Path, table: str) -> list[str]:
    """Files that may have been meant by a table that is not there, such as validation.tsv."""
    called = _CALLED.get(table, (table.removesuffix(".tsv"),))
    try:
        there = sorted(entry.name for entry in folders.scan(folder) if entry.is_file())
    except (CorpusError, OSError):
        return []
    return [
        name
        for name in there
        if name != table
        and (parts := name.casefold().split("."))[0] in called
        and parts[1:2] in (["tsv"], ["csv"], ["txt"])
    ]


def _of_language(folder: Path, found: list[Path], language: str) -> Path:
    codes = {place: _language_of(place) for place in found}
    matching = [place for place in found if codes[place] == language]
    if not matching:  # FR and fr, sv_SE and sv-SE are one
        matching = [place for place in found if _code(codes[place]) == _code(language)]
    if len(matching) == 1 or len(found) == 1:
        return (matching or found)[0]
    names = sorted(set(codes.values()))
    shown = f"{', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"
    if matching:
        raise CorpusError(
            f"{folder} holds {len(found)} corpora ({shown}), and {len(matching)} of them are in "
            f"{language!r}: {', '.join(str(place) for place in matching[:4])}. Name the folder of "
            "one (COURSE_COMMON_VOICE or source=)."
        )
    near = nearest(language, names)
    hint = f"Did you mean {' or '.join(near)} (COURSE_LANGUAGE or language=)?" if near else (
        "Set COURSE_LANGUAGE to one of them, or name the folder of one."
    )
    raise CorpusError(
        f"{folder} holds {len(found)} corpora ({shown}), and 0 of them are in {language!r}. {hint}"
    )


def nearest(language: str, known: list[str]) -> list[str]:
    """The languages whose codes are most like this one.

    Examples
    --------
    >>> nearest("sv", ["fr", "sl", "sv-SE"]), nearest("zh_TW", ["zh-CN", "zh-HK"])
    (['sv-SE'], ['zh-CN', 'zh-HK'])
    """
    wanted = _code(language)
    same = [name for name in known if _code(name).split("-")[0] == wanted.split("-")[0]]
    codes = {_code(name): name for name in known}
    return same[:4] or [codes[code] for code in difflib.get_close_matches(wanted, codes, n=3)]


def _code(language: str) -> str:
    return composed(language).casefold().replace("_", "-")


def _language_of(place: Path) -> str:
    """What language a folder is of: that of its spontaneous speech, or else its own name."""
    if not _tables_in(place):
        for path in _spontaneous_in(place):
            if found := re.fullmatch(r"ss-corpus-(.+)\.tsv", path.name):
                return composed(found[1])
    return composed(place.name)


def _tables_in(folder: Path) -> bool:
    try:
        return any((folder / name).is_file() for name in (*TABLES.values(), EVERYTHING))
    except OSError:  # a folder that may not be entered is none of ours
        return False


def _spontaneous_in(folder: Path) -> list[Path]:
    """The tables of spontaneous speech in a folder, told by their columns."""
    found = []
    try:
        for path in sorted(folder.glob("*.tsv")):
            with path.open("rb") as file:
                columns = as_text(file.readline(100_000)).split("\t")
            if {"audio_file", "transcription"} <= {name.strip() for name in columns}:
                found.append(path)
    except OSError:
        return []
    return found


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
    problems: Problems = []
    clips = ClipNames(folder)
    seconds: dict[str, float] = {}
    spontaneous = [] if _tables_in(folder) else _spontaneous_in(folder)
    parts: dict[str, list[Row]] = {split: [] for split in (*SPLITS, "")}
    for path in spontaneous:
        for row in _rows(path, None, digest, problems, clips, seconds):
            parts[row.split].append(row)
    for split, name in {} if spontaneous else TABLES.items():
        if (folder / name).is_file():
            parts[split] += _rows(folder / name, split, digest, problems, clips, seconds)
    notes = []
    if all(parts[split] for split in SPLITS):
        rows = [row for split in SPLITS for row in parts[split]]
        if parts[""]:
            notes.append(f"{len(parts['']):,} clips belong to no split of the release: not used")
    else:
        absent = [name for split, name in TABLES.items() if not parts[split]]
        rows = [row for part in parts.values() for row in part]
        if not spontaneous and (folder / EVERYTHING).is_file():
            rows += _rows(folder / EVERYTHING, "", digest, problems, clips, seconds)
        rows, _, changed = _unique(rows)
        if changed:
            notes.append(f"{changed:,} rows repeat a clip with another sentence: not used")
        rows = sharing.split_by_speaker(rows)
        where = [f"a split {name.removesuffix('.tsv')}" for name in absent]
        missing = ", ".join(where if spontaneous else absent)
        if meant := [name for table in absent for name in _meant(folder, table)]:
            missing += f" (but {', '.join(meant)}: is that one meant? Name it as the release does)"
        notes.append(f"no rows in {missing}: split by a hash of the speaker")
    rows, twice, changed = _unique(rows)
    if twice:
        note = f"{twice:,} clips stand in two tables or twice in one: the first row counts"
        notes.append(f"{note}; {changed:,} have another sentence there" if changed else note)
    if clips.converted:
        notes.append(
            f"{clips.converted:,} clips lie there in another format than the tables say: used"
        )
    problems = list(dict(problems).items())
    if not rows:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in problems[:3])
        raise CorpusError(
            f"No table in {folder} has a row that can be used{f' ({reasons})' if reasons else ''}."
            " Was the release unpacked completely?"
        )
    if (folder / DURATIONS).is_file():
        try:
            seconds |= _seconds(folder / DURATIONS, digest, clips)
        except CorpusError as error:  # the clips themselves will tell
            notes.append(f"{DURATIONS} is not used: {error}")
    if spontaneous:
        notes.append(_about_speaking_freely(rows))
    locales = Counter(row.locale for row in rows if row.locale)
    language = locales.most_common(1)[0][0] if locales else _language_of(folder)
    others = {name: count for name, count in locales.items() if _code(name) != _code(language)}
    if others:
        known = ", ".join(f"{name} {count:,}" for name, count in sorted(others.items())[:4])
        notes.append(f"other languages in the column locale, used with the rest: {known}")
    # Also a clip that has come or gone changes what the rows are.
    digest.update("\n".join(row.path for row in rows).encode(errors="surrogateescape"))
    found = sharing.notes(rows)
    return Release(
        folder=folder, language=language, rows=rows, hash=digest.hexdigest(),
        synthetic=folders.is_synthetic(folder) or folders.is_synthetic(folder.parent),
        seconds=seconds, problems=problems, notes=notes + [note for note, _ in found],
        caveats=[few for _, few in found],
    )


def _unique(rows: list[Row]) -> tuple[list[Row], int, int]:
    """The first row of each clip, how many others there were, and those with another sentence."""
    first: dict[str, Row] = {}
    for row in rows:
        first.setdefault(row.path, row)
    changed = sum(row.transcript != first[row.path].transcript for row in rows)
    return list(first.values()), len(rows) - len(first), changed


def _about_speaking_freely(rows: list[Row]) -> str:
    tagged = sum(bool(re.search(r"\[\w+\]", row.transcript)) for row in rows)
    return (
        "spontaneous speech, written down afterwards"
        f"{f': {tagged:,} transcripts hold marks such as [noise]' if tagged else ''}"
    )


def _rows(
    path: Path, split: str | None, digest: Any, problems: Problems, clips: ClipNames,
    seconds: dict[str, float],
) -> Iterator[Row]:
    """The rows of one table; a column says their split where `split` is None."""
    parts = {"train": "train", "dev": "validation", "validation": "validation", "test": "test"}
    for number, entry in read_table(path, REQUIRED, digest, problems):
        name, transcript = entry["path"].strip(), composed(entry["sentence"].strip())
        if not name:
            problems.append((f"{path.name}, line {number}", "the row names no clip"))
            continue
        where, wrong = clips.find(name)
        if wrong or not transcript:
            problems.append((where, wrong or EMPTY))
            continue
        more = {}
        for column, key in OPTIONAL.items():
            if column in entry:
                more[key] = entry[column] or more.get(key, "")
        part = parts.get(entry.get("split", "").strip(), "") if split is None else split
        if (stated := _stated(entry)) is not None:
            seconds[where] = stated
        yield Row(where, composed(entry["client_id"].strip()), transcript, part, **more)


def _seconds(path: Path, digest: Any, clips: ClipNames) -> dict[str, float]:
    """Durations by path, from the release's own table."""
    found = {}
    for _, entry in read_table(path, {"clip": ("clip", "path", "audio_file")}, digest, []):
        if (stated := _stated(entry)) is not None:
            found[clips.find(entry["clip"])[0]] = stated
    # No table is of clips under a tenth of a second alone: a script wrote seconds.
    unit = 1000 if max(found.values(), default=1) < 0.1 else 1
    return {path: unit * stated for path, stated in found.items()}


def _stated(entry: dict[str, str]) -> float | None:
    """The seconds that a row states; None where they are no length of a clip."""
    text = next((entry[name] for name in _LENGTHS if entry.get(name)), "")
    try:
        seconds = float(text) / 1000
    except ValueError:
        return None  # the clip will tell
    return seconds if math.isfinite(seconds) and 0 < seconds < 1e6 else None
