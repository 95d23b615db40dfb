"""Fetch a file once, and unpack it safely.

A corpus has gigabytes, a classroom has one weak network, and a kernel is restarted often. Hence:
a download that is cut off goes on where it stopped, also in another process; a file stands under
its own name only after its SHA-256 was verified; a folder stands there only when it is complete.

Beside a file ``name`` may lie ``name.part`` (what has arrived), ``name.part.etag`` (which version
of the file that is), ``name.sha256`` (a hash recorded here) and ``name.lock`` (an empty file).
"""

import glob
import gzip
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import time
import zipfile
import zlib
from contextlib import AbstractContextManager
from pathlib import Path, PureWindowsPath
from urllib.parse import urlsplit

import pooch
import requests
from tqdm.auto import tqdm
from urllib3.exceptions import HTTPError as BrokenStream
from urllib3.exceptions import TimeoutError as SlowStream

from course_utils import files, settings
from course_utils.corpora import network

#: Seconds before the first new try; each further one waits twice as long, at most 30 s.
BACKOFF = 1.0
#: Bytes read at once. What is cut off in the middle of a chunk is lost, so it is not large.
CHUNK = 1 << 16

_OTHER_SOURCES = (
    "set COURSE_SPEECH_COMMANDS=embedded, or in stage 4 COURSE_COMMON_VOICE=embedded (speech made "
    "on this machine), or to a corpus folder"
)
#: What the readers of archives raise on damaged bytes.
_DAMAGE = (
    *(tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError),
    *(zipfile.BadZipFile, RuntimeError, ValueError, struct.error),
)


class DownloadError(RuntimeError):
    """A corpus could not be fetched or unpacked; the message says what happened, what to do."""


class _TryAgain(Exception):
    """One try failed, but the next may succeed."""


def fetch(
    url: str, path: Path, *, sha256: str | None, size: int, retries: int = 5, timeout: float = 30
) -> Path:
    """Download a file once, resuming what was interrupted, and verify it.

    A file that is already at `path` with the right size is trusted without hashing gigabytes
    again, because only verified files are moved there.

    Parameters
    ----------
    url : str
        Where the file is.
    path : Path
        Where it shall be, name included. Missing folders are made.
    sha256 : str or None
        Published SHA-256 of the file. If None, the hash of the first download is recorded in
        ``<name>.sha256`` and a later download must match it.
    size : int
        Size of the file in bytes.
    retries : int
        Tries in a row that may bring nothing new before the download is given up.
    timeout : float
        Seconds without a byte from the server after which a try is given up.

    Returns
    -------
    Path
        `path`, where the complete and verified file now is.

    Raises
    ------
    DownloadError
        No network, a refusal of the server, wrong bytes, a full disk, or ``COURSE_OFFLINE=1``.

    Examples
    --------
    What is there is not fetched again:

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "yes.txt")
    ...     _ = path.write_bytes(b"yes")
    ...     fetch("https://example.org/yes.txt", path, sha256=None, size=3).name
    'yes.txt'
    """
    path = Path(path)
    if _size(path) == size:
        return path
    if settings.offline():
        raise DownloadError(
            f"{path.name} is not there yet, and COURSE_OFFLINE=1 forbids the network. It would be "
            f"fetched from {url} ({_mb(size)}). Either unset COURSE_OFFLINE and run again, or "
            f"{_OTHER_SOURCES}."
        )
    part = _beside(path, ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path):
            if _size(path) != size:  # another notebook may have fetched it meanwhile
                _fetch(url, path, part, sha256, size, retries, timeout)
    except OSError as error:  # the errors of the network were dealt with below
        state = (
            f"{path.name} needs {_mb(size - _size(part))} more; the {_mb(_size(part))} that have "
            "arrived are kept, and the next run goes on from there."
        )
        raise DownloadError(files.disk_error(error, path.parent, state)) from error
    return path


def _fetch(
    url: str, path: Path, part: Path, sha256: str | None, size: int, retries: int, timeout: float
) -> None:
    """Do the work of `fetch`, alone on `path`."""
    if path.exists():
        print(f"{path.name} has {_size(path)} bytes instead of {size}: it is fetched again.")
        path.unlink()
    if _size(part) > size:
        _discard(part)
    here = f" ({_mb(_size(part))} of it are already here)" if _size(part) else ""
    free = _mb(shutil.disk_usage(path.parent).free)
    print(f"Fetching {path.name}: {_mb(size)}{here}, {free} free in {path.parent}")
    _require_space(path.parent, size - _size(part), f"The download of {path.name}")

    record = _beside(path, ".sha256")
    recorded = record.read_text().split() if sha256 is None and record.exists() else []
    known_hash = recorded[0] if recorded else sha256

    def download(url: str, placeholder: str, _pooch: object) -> None:
        # pooch made this empty file; a killed kernel would leave one more of them each time.
        Path(placeholder).unlink()
        _download(url, part, size, retries, timeout)
        if known_hash is None:
            digest = pooch.file_hash(str(part))
            record.write_text(f"{digest}  {path.name}\n")
            print(
                f"No SHA-256 is published for {path.name}: {digest} was recorded in {record.name}, "
                "and a later download must match it."
            )
        try:  # a second name: who interrupts the hashing that follows does not lose the download
            os.link(part, placeholder)
        except OSError:  # this file system has no hard links
            part.replace(placeholder)

    pooch.get_logger().setLevel("ERROR")  # what a student should know is printed here
    try:
        pooch.retrieve(url, known_hash, path.name, path.parent, downloader=download)
    except ValueError as error:  # pooch's word for a wrong hash; it names both
        _discard(part)
        changed = f" If it was really replaced, delete {record.name} first." if recorded else ""
        raise DownloadError(
            f"{path.name} arrived with wrong bytes. {error} Nothing was kept: run again to fetch "
            f"it from the start.{changed}"
        ) from error
    _discard(part)


def _download(url: str, part: Path, size: int, retries: int, timeout: float) -> None:
    """Fill `part` up to `size` bytes, in as many tries as it needs."""
    furthest, failures = _size(part), 0
    with tqdm(total=size, initial=furthest, unit="B", unit_scale=True, desc=part.stem) as bar:
        while _size(part) < size:
            remedy = "Check that this machine is online"
            try:
                _try(url, part, size, timeout, bar)
                if _size(part) < size:
                    raise _TryAgain("the connection was dropped")
            except (requests.Timeout, SlowStream):
                reason = f"the server sent nothing for {timeout:g} s{network.through(url)}"
            except BrokenStream:
                reason = "the connection was dropped"
            except _TryAgain as error:
                reason = str(error)
            # A wrong certificate or proxy is also a plain OSError, or a ValueError.
            except (OSError, ValueError) as error:
                trouble = network.explain(error, url)
                if trouble and trouble.lasting:
                    raise DownloadError(_hopeless(url, part, trouble)) from error
                if trouble:
                    reason, remedy = trouble.what, trouble.remedy.rstrip(".")
                elif isinstance(error, requests.ConnectionError):
                    cause = getattr(error.args[0], "reason", error) if error.args else error
                    detail = str(cause).rpartition(": ")[2]
                    host = urlsplit(url).hostname
                    reason = f"no connection to {host}{network.through(url)}: {detail}"
                elif isinstance(error, requests.RequestException):  # no URL, endless redirects
                    raise DownloadError(f"{url} cannot be fetched: {error}") from error
                else:
                    raise
            else:
                break
            # What brings us further is no failure, however often the network drops.
            failures = 0 if _size(part) > furthest else failures + 1
            furthest = max(furthest, _size(part))
            if failures > retries:
                raise DownloadError(
                    f"{url} could not be fetched, {reason} ({failures} tries). {remedy}, and run "
                    f"again later: the {_mb(_size(part))} of {_mb(size)} that have arrived are "
                    f"kept. Or {_OTHER_SOURCES}."
                )
            wait = min(BACKOFF * 2 ** max(failures - 1, 0), 30)
            print(f"{part.stem}: {reason}; next try in {wait:g} s")
            time.sleep(wait)


def _hopeless(url: str, part: Path, trouble: network.Trouble) -> str:
    kept = f" The {_mb(_size(part))} that have arrived are kept." if _size(part) else ""
    return f"{url} cannot be fetched: {trouble.text}{kept} Or {_OTHER_SOURCES}."


def _try(url: str, part: Path, size: int, timeout: float, bar: tqdm) -> None:
    """Ask once for what is missing of `part`, and append what comes."""
    etag = _beside(part, ".etag")
    arrived = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if arrived:
        headers["Range"] = f"bytes={arrived}-"
        if etag.exists():  # "the rest if the file is still the same, else all of it"
            headers["If-Range"] = etag.read_text()
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        status = response.status_code
        answer = f"the server answered {status} {response.reason}"
        # Over http, a proxy answers in the place of the server.
        if status == 407 and (trouble := network.refused_by_proxy(status, response.reason, url)):
            raise DownloadError(_hopeless(url, part, trouble))
        if url.startswith("http://"):
            answer += network.through(url)
        if status == 416:  # it has no such bytes: what is here belongs to another version
            _discard(part)
            raise _TryAgain(answer)
        if status >= 500 or status in (408, 429):
            raise _TryAgain(answer)
        if status not in (200, 206):
            raise DownloadError(
                f"{url} cannot be fetched, {answer}: the file was moved or may not be read by "
                f"everyone, and trying again will not help. Look for a newer version of this "
                f"course, or {_OTHER_SOURCES}."
            )
        start, whole = _offer(response)
        if whole not in (None, size):
            raise DownloadError(
                f"{url} now has {whole} bytes instead of {size}. Either the file was replaced, or "
                "a network that wants a login answers in its place: open the address in a browser."
            )
        if start not in (0, arrived):
            _discard(part)
            raise _TryAgain("the server sent another part than the one asked for")
        if start == 0:  # also what a server does that knows no ranges: from the beginning
            bar.reset()
            _discard(part)
            validator = response.headers.get("ETag", "W/")
            if validator.startswith("W/"):  # a weak ETag does not promise the same bytes
                validator = response.headers.get("Last-Modified", "")
            if validator:
                etag.write_text(validator)
        with part.open("ab") as file:
            # The raw stream: some servers label a .tar.gz so that requests would decompress it.
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > size:
                    raise DownloadError(f"{url} sends more than the {size} bytes expected.")


def _offer(response: requests.Response) -> tuple[int, int | None]:
    """First byte that a server sends, and the size of the whole file if it says so."""
    if response.status_code == 206:
        found = re.match(r"bytes (\d+)-\d+/(\d+)?", response.headers.get("Content-Range", ""))
        if not found:
            return -1, None
        return int(found[1]), int(found[2]) if found[2] else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def extract(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a new folder: completely, or not at all.

    Nothing is ever written outside of `folder`. ``__MACOSX`` and ``.DS_Store`` are left out.

    Parameters
    ----------
    archive : Path
        A ``.zip``, ``.tar``, ``.tar.gz`` or ``.tgz`` file.
    folder : Path
        The folder to make; it must not exist yet.

    Returns
    -------
    Path
        `folder`.

    Raises
    ------
    DownloadError
        A damaged archive, one with members that point outside, links or devices, a full disk, or
        a folder that exists.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as temporary:
    ...     archive = Path(temporary, "corpus.zip")
    ...     with zipfile.ZipFile(archive, "w") as file:
    ...         file.writestr("yes/1.txt", "yes")
    ...     folder = extract(archive, Path(temporary, "corpus"))
    ...     (folder / "yes" / "1.txt").read_text()
    'yes'
    """
    archive, folder = Path(archive), Path(folder)
    if folder.exists():
        raise DownloadError(
            f"{folder} exists already: delete or rename it to unpack {archive.name} again."
        )
    if not archive.is_file():
        raise DownloadError(f"{archive} is not there: fetch it first.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            if folder.exists():  # another notebook has just unpacked it
                return folder
            # Under the lock nobody else unpacks: such folders are left from killed kernels.
            for leftover in folder.parent.glob(f"{glob.escape(folder.name)}.unpacking-*"):
                shutil.rmtree(leftover)
            temporary = _beside(folder, f".unpacking-{os.getpid()}")
            try:
                _unpack(archive, temporary)
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        state = f"Nothing of {archive.name} is kept."
        raise DownloadError(files.disk_error(error, folder.parent, state)) from error
    return folder


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack after every member was checked, so that a bad one is found before a byte is out."""
    try:
        if archive.suffix.lower() == ".zip":
            _unpack_zip(archive, folder)
        else:
            _unpack_tar(archive, folder)
    except DownloadError:
        raise
    except _DAMAGE as error:
        raise DownloadError(
            f"{archive.name} is damaged or not an archive ({error}): delete it and run again to "
            "fetch it anew."
        ) from error


def _unpack_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive, "r:*") as tar:
        members = []
        for member in tqdm(tar, desc=f"Checking {archive.name}", unit=" files", leave=False):
            _refuse_path(archive, member.name)
            # No corpus needs a link, and chains of them have deceived tarfile's own filter before.
            if not (member.isreg() or member.isdir()):
                raise _refusal(archive, member.name, "is a link or a device")
            if not _is_litter(member.name):
                members.append(member)
        # tarfile stops without a word at a damaged header and never meets the checksum of gzip.
        # After the real end there are zeros only, and reading them makes gzip check its sum.
        rest = b""
        while chunk := tar.fileobj.read(1 << 20):
            rest = chunk
            if chunk.strip(b"\0"):
                break
        if not rest or rest.strip(b"\0"):
            raise tarfile.ReadError("its list of files breaks off")
        _require_space(folder.parent, sum(member.size for member in members), archive.name)
        folder.mkdir()
        for member in tqdm(members, desc=f"Unpacking {archive.name}", unit=" files"):
            target = folder / member.name
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            # Contents alone: owners, permissions and dates of the archive are nobody's business.
            with tar.extractfile(member) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def _unpack_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            _refuse_path(archive, member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0 if made on Windows
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(archive, member.filename, "is a symbolic link or a device")
        members = [member for member in file.infolist() if not _is_litter(member.filename)]
        _require_space(folder.parent, sum(member.file_size for member in members), archive.name)
        folder.mkdir()
        for member in tqdm(members, desc=f"Unpacking {archive.name}", unit=" files"):
            file.extract(member, folder)


def _refuse_path(archive: Path, name: str) -> None:
    path = PureWindowsPath(name)  # knows drives, and takes / and \ for separators on every system
    if path.drive or path.root:
        raise _refusal(archive, name, "has an absolute path")
    if ".." in path.parts:
        raise _refusal(archive, name, "points outside of the folder")


def _refusal(archive: Path, name: str, why: str) -> DownloadError:
    return DownloadError(
        f"{archive.name} was not unpacked, because its member {name!r} {why}. A corpus has no such "
        "members: check where the archive comes from."
    )


def _is_litter(name: str) -> bool:
    parts = PureWindowsPath(name).parts
    return "__MACOSX" in parts or parts[-1:] == (".DS_Store",)


def _locked(path: Path) -> AbstractContextManager:
    """Be the only one, among all notebooks, that works on `path`."""
    return files.locked(path, waiting=f"Another notebook is working on {path.name}; waiting for it")


def _require_space(folder: Path, needed: int, purpose: str) -> None:
    if missing := files.missing_space(folder, needed, purpose):
        raise DownloadError(missing)


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part, ".etag").unlink(missing_ok=True)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e10 else f"{size / 1e9:.1f} GB"
