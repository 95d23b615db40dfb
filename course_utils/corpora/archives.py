"""What can be downloaded of Speech Commands, and where it lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from course_utils import settings
from course_utils.corpora import download


@dataclass(frozen=True)
class Archive:
    """A corpus that can be downloaded."""

    url: str
    size: int  # bytes
    sha256: str | None  # None: its publisher gives none
    unpacked: int  # bytes on disk


_HOST = "https://storage.googleapis.com/download.tensorflow.org/data/"
ARCHIVES = {
    "mini": Archive(_HOST + "mini_speech_commands.zip", 182_082_353, None, 260_000_000),
    "v0.01": Archive(
        _HOST + "speech_commands_v0.01.tar.gz",
        1_489_096_277,
        "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
        2_200_000_000,
    ),
    "v0.02": Archive(
        _HOST + "speech_commands_v0.02.tar.gz",
        2_428_923_189,
        "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        3_600_000_000,
    ),
}
#: The test clips of the 12-class task, an archive of their own beside the corpus.
TEST_SETS = {
    "v0.02": Archive(
        _HOST + "speech_commands_test_set_v0.02.tar.gz", 112_563_277, None, 160_000_000
    ),
}


def folder_of(archive: Archive) -> Path:
    """Where a downloaded archive lies, unpacked."""
    name = re.sub(r"\.(tar\.gz|zip)$", "", PurePosixPath(archive.url).name)
    for data in (settings.data_folder(), settings.writable_data_folder()):
        if (data / name).is_dir():
            return data / name
    return settings.writable_data_folder() / name


def downloaded(source: str, archives: dict[str, Archive] = ARCHIVES) -> Path:
    """The folder of a corpus, which is downloaded where it is not there."""
    archive = archives[source]
    folder = folder_of(archive)
    if not folder.is_dir():
        path = download.fetch(
            archive.url,
            settings.writable_data_folder() / PurePosixPath(archive.url).name,
            sha256=archive.sha256,
            size=archive.size,
        )
        folder = download.extract(path, folder)
        # The clips are there; the archive would take its size a second time.
        path.unlink(missing_ok=True)  # two notebooks may have waited for one download
    inner = [item for item in folder.iterdir() if item.is_dir()]
    return inner[0] if len(inner) == 1 else folder  # the zip has one folder more than the tars


def test_set_beside(corpus: Path) -> Path | None:
    """The folder of the published test clips of the 12 classes, where it lies beside a corpus.

    ``speech_commands_test_set_v0.02`` belongs to ``speech_commands_v0.02``, and to a folder of any
    other name ``<name>_test_set``.
    """
    published = corpus.name.replace("speech_commands_", "speech_commands_test_set_")
    name = f"{corpus.name}_test_set" if published == corpus.name else published
    folder = corpus.parent / name
    return folder if folder.is_dir() else None
