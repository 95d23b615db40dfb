"""Decoded corpora on disk: where they lie, how they are built, what they take, how they go.

A corpus folder is never changed, and may be read-only. What decoding makes goes to ``cache/`` in
the data folder, or, where that cannot be written, to the user's own folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from course_utils import files, settings
from course_utils.corpora import CorpusError


def folder() -> Path:
    """The folder of all caches."""
    return settings.writable_data_folder() / "cache"


def entry(kind: str, corpus: Path, fingerprint: str) -> Path:
    """The cache folder of a corpus whose content has this fingerprint; it may not exist yet."""
    place = hashlib.sha256(str(corpus.resolve()).encode()).hexdigest()[:8]
    return folder() / f"{kind}-{place}-{fingerprint}"


@contextlib.contextmanager
def building(path: Path) -> Iterator[Path | None]:
    """Fill a cache folder: yields a temporary one, which takes the place of `path` at the end.

    Yields None if another process filled it meanwhile. If the body raises, nothing stays. Caches
    of the same corpus with older content are removed.

    Raises
    ------
    CorpusError
        The disk is full, or the folder cannot be written.
    """
    try:
        with files.locked(path):
            if path.is_dir():
                yield None
                return
            corpus = path.name.rsplit("-", 1)[0]
            for old in path.parent.glob(f"{corpus}-*"):  # older content, or a killed build
                shutil.rmtree(old, ignore_errors=True)
            temporary = path.with_name(f"{path.name}.building")
            temporary.mkdir()
            try:
                yield temporary
                temporary.replace(path)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        state = "The half-decoded corpus was removed, and your recordings are untouched."
        raise CorpusError(files.disk_error(error, path.parent, state)) from error


def require_space(path: Path, needed: int, name: str) -> None:
    """Raise CorpusError if the disk of `path` has less than `needed` bytes free."""
    if missing := files.missing_space(path.parent, needed, f"Decoding {name}"):
        raise CorpusError(missing)


def entries() -> list[tuple[Path, int]]:
    """Every cache folder with its size in bytes."""
    if not folder().is_dir():
        return []
    found = []
    for path in sorted(folder().iterdir()):
        if path.is_dir():
            found.append((path, sum(f.stat().st_size for f in path.rglob("*") if f.is_file())))
    return found


def clear() -> int:
    """Delete every cache; corpora, results and checkpoints stay. Returns the bytes freed."""
    freed = sum(size for _, size in entries())
    for path, _ in entries():
        shutil.rmtree(path)
    if folder().is_dir():
        for lock in folder().glob(".*.lock"):
            with contextlib.suppress(OSError):
                lock.unlink()
    return freed
