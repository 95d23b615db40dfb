"""Which clips of a release are used: by duration and number."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile

from course_utils import recordings
from course_utils.corpora import CorpusError, cache
from course_utils.corpora.clips import SAMPLE_RATE, SPLITS
from course_utils.corpora.tables import Release, Row

FORMAT = 4  # raise it when what lies in the cache changes
_MOST = 2**31  # samples: more are a placeholder, or a damaged header


@dataclass
class Selection:
    """The clips to be decoded."""

    rows: list[Row]
    seconds: list[float]  # of each row; NaN where nobody knows
    notes: list[str]


def select(
    release: Release, min_seconds: float | None = None, max_seconds: float | None = None,
    max_clips: int | None = None,
) -> Selection:
    """Choose clips by duration and number; the choice is kept as JSON under the tables' hash.

    Durations come from the release's table, or else from the headers of the clips. A clip whose
    header cannot be read is kept: decoding will say what is wrong with it.

    Parameters
    ----------
    min_seconds, max_seconds : float, optional
        Shortest and longest clip, both included.
    max_clips : int, optional
        At most so many of each split: those whose names' hashes are smallest, so that the same
        ones are chosen each time.

    Raises
    ------
    CorpusError
        No clip is left.
    """
    if min_seconds is None and max_seconds is None:
        kept = _fewest(release.rows, range(len(release.rows)), max_clips)
        seconds = [release.seconds.get(release.rows[i].path, math.nan) for i in kept]
        return Selection([release.rows[i] for i in kept], seconds, _limit_note(release, kept))
    low, high = float(min_seconds or 0), math.inf if max_seconds is None else float(max_seconds)
    if not 0 <= low <= high:
        raise ValueError(f"min_seconds is {min_seconds}, max_seconds {max_seconds}.")
    wanted = hashlib.sha256(repr((FORMAT, low, high, max_clips)).encode()).hexdigest()[:8]
    path = cache.entry(f"common_voice_index_{wanted}", release.folder, release.hash[:16])
    index = _read_index(path, release)
    if index is None:
        shutil.rmtree(path, ignore_errors=True)
        index = _make_index(release, low, high, max_clips)
        with cache.building(path) as building:
            if building:
                (building / "index.json").write_text(json.dumps(index), encoding="utf-8")
    kept = index["kept"]
    if not kept:
        raise CorpusError(
            f"None of the {len(release.rows):,} clips lasts {low:g} to {high:g} s. "
            "Choose other limits."
        )
    notes = [
        f"{count:,} clips are {what} and not used"
        for what, count in (
            (f"shorter than {low:g} s", index["short"]), (f"longer than {high:g} s", index["long"]),
        )
        if count
    ]
    left = {release.rows[i].split for i in kept}
    gone = [split for split in SPLITS if split in {row.split for row in release.rows} - left]
    if gone:
        notes.append(f"no clip of {' and '.join(gone)} is within these limits")
    seconds = [math.nan if value is None else value for value in index["seconds"]]
    notes += _limit_note(release, kept, index["short"] + index["long"])
    return Selection([release.rows[i] for i in kept], seconds, notes)


def _read_index(path: Path, release: Release) -> dict | None:
    try:
        index = json.loads((path / "index.json").read_text(encoding="utf-8"))
        if max(index["kept"], default=0) < len(release.rows):
            return index
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _make_index(release: Release, low: float, high: float, max_clips: int | None) -> dict:
    rows = release.rows
    seconds = [release.seconds.get(row.path) for row in rows]
    unknown = [i for i, value in enumerate(seconds) if value is None]
    for i, value in zip(unknown, _headers(release.folder, [rows[i] for i in unknown]), strict=True):
        seconds[i] = value
    fits = [i for i, value in enumerate(seconds) if value is None or low <= value <= high]
    kept = _fewest(rows, fits, max_clips)
    return {
        "tables": release.hash,
        "min_seconds": low,
        "max_seconds": high if math.isfinite(high) else None,
        "kept": kept,
        "seconds": [seconds[i] for i in kept],
        "short": sum(value is not None and value < low for value in seconds),
        "long": sum(value is not None and value > high for value in seconds),
    }


def _fewest(rows: list[Row], positions, max_clips: int | None) -> list[int]:
    """At most `max_clips` positions of each split, in order."""
    if max_clips is None:
        return list(positions)
    by_split: dict[str, list[int]] = {}
    for i in positions:
        by_split.setdefault(rows[i].split, []).append(i)
    kept = []
    for split in SPLITS:
        found = by_split.get(split, [])
        kept += sorted(found, key=lambda i: _name_hash(rows[i].path))[:max_clips]
    return sorted(kept)


def _name_hash(path: str) -> bytes:
    return hashlib.sha1(path.encode(errors="surrogateescape")).digest()  # names need not be text


def _limit_note(release: Release, kept: list[int], others: int = 0) -> list[str]:
    unused = len(release.rows) - len(kept) - others
    return [f"{unused:,} clips more are there and not used"] if unused else []


def _header(path: Path) -> float | None:
    """Seconds of a clip as far as its header is right, None where decoding has to tell."""
    try:
        info = soundfile.info(path)
        frames = info.frames
        # A program that writes to a pipe leaves the length open; MP3 is measured by its frames,
        # for without a count of them the library takes the first bit rate for that of all.
        if info.format == "MP3" or not 0 < frames < _MOST:
            found = recordings.examined(path.read_bytes())
            if found.complaint:
                return None
            guessed = info.format == "MP3" and not found.states_length
            frames = found.samples if guessed else (
                soundfile.info(io.BytesIO(found.content)).frames
            )
        return frames / info.samplerate if 0 < frames < _MOST else None
    except Exception:  # whatever it is: decoding names it, and one odd file must not stop a corpus
        return None


def _headers(folder: Path, rows: list[Row]) -> list[float | None]:
    """Seconds of each clip as its header says, None where it cannot be read."""
    from tqdm.auto import tqdm

    if not rows:
        return []
    bar = tqdm(total=len(rows), unit=" clips", desc="reading lengths", leave=False)
    with ThreadPoolExecutor() as pool, bar:
        found = []
        for value in pool.map(_header, [folder / row.path for row in rows]):
            found.append(value)
            bar.update()
    return found


def fingerprint(release: Release, selection: Selection) -> str:
    """Sixteen characters that change with the tables, the choice, or a clip's size or time."""
    digest = hashlib.sha256(repr((FORMAT, release.hash)).encode())
    for row in selection.rows:
        try:
            status = (release.folder / row.path).stat()
            state = (status.st_size, status.st_mtime_ns)
        except (OSError, ValueError):  # missing, or no name: reported when it is read
            state = None
        digest.update(repr((row, state)).encode())
    return digest.hexdigest()[:16]


def bytes_needed(folder: Path, selection: Selection) -> int:
    """An estimate: two bytes a sample, or six times an MP3 file whose length nobody knows."""
    needed = 0.0
    for row, seconds in zip(selection.rows, selection.seconds, strict=True):
        if math.isnan(seconds):
            try:
                needed += 6 * (folder / row.path).stat().st_size
            except (OSError, ValueError):  # reported when it is read
                continue
        else:
            needed += 2 * SAMPLE_RATE * seconds
    return math.ceil(needed)
