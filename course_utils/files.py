"""Files that are whole or not there, and what is wrong with a disk: written once, for all rooms."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout


@contextlib.contextmanager
def replace_with(path: str | Path) -> Iterator[Path]:
    """Give a temporary place beside `path`, which becomes `path` if the body succeeds.

    Parameters
    ----------
    path : path
        The file or folder to write; folders above it are made.

    Yields
    ------
    Path
        Where to write. It is new for each process, and gone if the body raises.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "new" / "numbers.txt"
    >>> with replace_with(path) as temporary:
    ...     _ = temporary.write_text("1 2 3")
    >>> path.read_text(), [item.name for item in path.parent.iterdir()]
    ('1 2 3', ['numbers.txt'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        with contextlib.suppress(OSError):
            if temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(path: str | Path, seconds: float = -1, waiting: str = "") -> Iterator[None]:
    """Hold a lock on `path` while the body runs, so that two notebooks take turns.

    Parameters
    ----------
    path : path
        The file or folder that is about to change; ``.NAME.lock`` beside it is the lock.
    seconds : float
        How long to wait for another process; -1 waits for ever.
    waiting : str
        Printed if there is another process to wait for.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.parent / f".{path.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if waiting:
            print(waiting)
        lock.acquire(timeout=seconds)
    try:
        yield
    finally:
        lock.release()


def is_full(error: OSError) -> bool:
    """Whether the disk, or a user's share of it, had no room left."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def disk_error(error: OSError, folder: Path, state: str, setting: str = "COURSE_DATA") -> str:
    """Say what is wrong with a disk, what became of the work, and what to do.

    Parameters
    ----------
    error : OSError
    folder : Path
        Where it was to be written.
    state : str
        A sentence: what is lost, and what is kept.
    setting : str
        The environment variable that names another folder.

    Examples
    --------
    >>> disk_error(OSError(errno.ENOSPC, "no space"), Path("data"), "Nothing was kept.")
    'The disk of data is full. Nothing was kept. Free some space, or set COURSE_DATA to a folder \
on another disk, and run this again.'
    """
    if is_full(error):
        return (
            f"The disk of {folder} is full. {state} Free some space, or set {setting} to a folder "
            "on another disk, and run this again."
        )
    return (
        f"{folder} cannot be written ({error}). {state} Set {setting} to a folder that you may "
        "write to."
    )


def missing_space(folder: Path, needed: float, purpose: str) -> str:
    """Say that a disk has too little room for `needed` bytes; "" if it has enough.

    Parameters
    ----------
    folder : Path
        A folder on the disk; it need not exist yet.
    needed : float
        Bytes.
    purpose : str
        What needs them, such as ``"Decoding mini"``.
    """
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free
    if free >= needed:
        return ""
    return (
        f"{purpose} needs {needed / 1e6:,.0f} MB in {folder}, and {free / 1e6:,.0f} MB are free. "
        "Free some space, or set COURSE_DATA to a folder on another disk."
    )
