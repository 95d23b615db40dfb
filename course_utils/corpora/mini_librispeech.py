"""Mini LibriSpeech: real English sentences for which nobody needs an account.

Five hours to train with and two to test with, read from audiobooks by other speakers each. The
two of ``dev-clean-2`` are shared out, by speaker, between validation and test.

Reference: V. Panayotov et al., *LibriSpeech: an ASR corpus based on public domain audio books*,
ICASSP 2015; https://www.openslr.org/31/, CC BY 4.0.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from course_utils import settings
from course_utils.corpora import CorpusError
from course_utils.corpora.tables import EMPTY, Release, Row


@dataclass(frozen=True)
class Archive:
    """One of the two archives."""

    url: str
    size: int  # bytes; the publisher has replaced one of them, so this is not held against it
    md5: str  # as published in md5sum.txt beside the archives


_HOST = "https://www.openslr.org/resources/31/"
ARCHIVES = {
    "train-clean-5": Archive(
        _HOST + "train-clean-5.tar.gz", 332_954_390, "5df7d4e78065366204ca6845bb08f490"
    ),
    "dev-clean-2": Archive(
        _HOST + "dev-clean-2.tar.gz", 126_046_265, "6d7ab67ac6a1d2c993d050e16d61080d"
    ),
}


def folder() -> Path:
    """The folder that holds both parts; what is missing is downloaded, 459 MB in all.

    Raises
    ------
    DownloadError
        No network, wrong bytes, a full disk, or ``COURSE_OFFLINE=1``.
    """
    from course_utils.corpora import download

    for data in (settings.data_folder(), settings.writable_data_folder()):
        place = data / "mini_librispeech"
        if all((place / part).is_dir() for part in ARCHIVES):
            return place
    for part, archive in ARCHIVES.items():
        if (place / part).is_dir():
            continue
        path = place / f"{part}.tar.gz"
        size = archive.size if settings.offline() else _size(archive)
        download.fetch(archive.url, path, sha256=f"md5:{archive.md5}", size=size)
        download.extract(path, place / part)
        path.unlink(missing_ok=True)  # its clips are there now
    return place


def _size(archive: Archive) -> int:
    """The size of the archive as its server states it; the one known here if it does not."""
    import requests

    try:
        with requests.head(archive.url, allow_redirects=True, timeout=30) as answer:
            length = answer.headers.get("Content-Length", "")
            if answer.ok and length.isdecimal() and int(length) > 0:
                return int(length)
    except (OSError, ValueError):  # also what requests raises for a wrong proxy or certificate
        pass  # the download will tell what is wrong, and try again
    return archive.size


def read(place: Path) -> Release:
    """List the clips of both parts, in the layout of LibriSpeech, without opening one.

    Raises
    ------
    CorpusError
        A part holds no transcripts.
    """
    digest = hashlib.sha256()
    rows: list[Row] = []
    problems: list[tuple[str, str]] = []
    for part in ARCHIVES:
        found = sorted((place / part).rglob("*.trans.txt"))
        if not found:
            raise CorpusError(
                f"{place / part} holds no transcripts (*.trans.txt). Delete the folder, and run "
                "this again to fetch it anew."
            )
        for path in found:
            content = path.read_bytes()
            digest.update(path.name.encode() + hashlib.sha256(content).digest())
            inside = path.parent.relative_to(place).as_posix()
            speaker = path.name.split("-")[0]
            for line in content.decode("utf-8").splitlines():
                name, _, transcript = line.partition(" ")
                clip = f"{inside}/{name}.flac"
                if transcript.strip():
                    split = "train" if part.startswith("train") else ""
                    rows.append(Row(clip, speaker, transcript.strip(), split, locale="en"))
                elif name:
                    problems.append((clip, EMPTY))
    # Every second speaker of the small part, in the order of a hash, is for testing.
    held_out = sorted(
        {row.speaker for row in rows if not row.split},
        key=lambda name: hashlib.sha1(name.encode()).hexdigest(),
    )
    splits = {name: ("validation", "test")[i % 2] for i, name in enumerate(held_out)}
    rows = [Row(**{**row.__dict__, "split": row.split or splits[row.speaker]}) for row in rows]
    return Release(place, "en", rows, digest.hexdigest(), problems=problems)
