"""Downloads against a local server that misbehaves on order, and archives that mean harm."""

import errno
import hashlib
import io
import logging
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from course_utils.corpora import download
from course_utils.corpora.download import DownloadError, extract, fetch

BODY = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
CUT = 200_000  # where a dropped connection breaks off: some chunks in, not at their border
ETAG = '"version-1"'

Usage = namedtuple("Usage", "total used free")


# ---------------------------------------------------------------------------------------- server


class Handler(BaseHTTPRequestHandler):
    """Each request runs the next entry of the server's script; a good answer when it is over."""

    def do_GET(self):
        self.server.requests.append(dict(self.headers))
        answer = self.server.script.pop(0) if self.server.script else good()
        answer(self)

    def log_message(self, *arguments):
        pass

    def start(self, status, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()


def good(body=BODY, upto=None, ranges=True, etag=ETAG, **headers):
    """A server that knows ranges (unless told otherwise) and drops the line after `upto` bytes."""

    def answer(handler):
        wanted = handler.headers.get("Range") if ranges else None
        if handler.headers.get("If-Range", etag) != etag:
            wanted = None
        first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        extra = {"ETag": etag} if etag else {}
        if wanted:
            extra["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        extra |= headers
        handler.start(206 if wanted else 200, Content_Length=len(body) - first, **extra)
        handler.wfile.write(body[first:upto])

    return answer


def status(code, **headers):
    return lambda handler: handler.start(code, Content_Length=0, **headers)


def stall(after=0):
    """Send some bytes, then nothing until the test is over."""

    def answer(handler):
        handler.start(200, Content_Length=len(BODY), ETag=ETAG)
        handler.wfile.write(BODY[:after])
        handler.wfile.flush()
        handler.server.stalled.set()
        handler.server.over.wait(10)

    return answer


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests, self.script = [], []
        self.over, self.stalled = threading.Event(), threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/speech.tar.gz"

    def handle_error(self, request, client_address):
        pass  # the client hung up, as some tests want it to


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def online(monkeypatch):
    monkeypatch.delenv("COURSE_OFFLINE")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(download, "BACKOFF", 0.001)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "archives" / "speech.tar.gz"


def part_of(path):
    return path.with_name(path.name + ".part")


def names(folder):
    """What a folder holds, lock files left out: those may stay."""
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix != ".lock")


def get(server, path, **changes):
    return fetch(server.url, path, **{"sha256": SHA256, "size": len(BODY)} | changes)


# ---------------------------------------------------------------------------------------- fetch


def test_fetches_and_announces(server, path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 56_789_000_000))
    assert get(server, path) == path
    assert path.read_bytes() == BODY
    assert names(path.parent) == ["speech.tar.gz"]
    printed = capsys.readouterr()
    assert printed.out == (
        f"Fetching speech.tar.gz: 0.3 MB, 56.8 GB free in {path.parent}\n"  # and nothing else
    )
    assert "100%" in printed.err and "speech.tar.gz" in printed.err


def test_pooch_is_silent(server, path):
    logger, heard = pooch.get_logger(), io.StringIO()
    handler = logging.StreamHandler(heard)
    logger.setLevel("INFO")
    logger.addHandler(handler)
    try:
        get(server, path, sha256=None)
    finally:
        logger.removeHandler(handler)
    assert heard.getvalue() == ""


def test_second_start_makes_no_request(server, path, monkeypatch):
    get(server, path)
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert get(server, path) == path
    assert len(server.requests) == 1


def test_file_of_another_size_is_not_trusted(server, path, capsys):
    path.parent.mkdir()
    path.write_bytes(BODY[:-1])
    get(server, path)
    assert path.read_bytes() == BODY
    assert "has 299999 bytes instead of 300000" in capsys.readouterr().out


def test_file_of_another_size_without_published_hash_is_not_trusted(server, path):
    path.parent.mkdir()
    path.write_bytes(BODY[:-1])
    get(server, path, sha256=None)
    assert path.read_bytes() == BODY


def test_hash_in_capital_letters(server, path):
    assert get(server, path, sha256=SHA256.upper()).read_bytes() == BODY


def test_resumes_after_a_drop(server, path, capsys):
    server.script = [good(upto=CUT)]
    get(server, path)
    assert path.read_bytes() == BODY
    first, second = server.requests
    assert "Range" not in first
    start = int(re.fullmatch(r"bytes=(\d+)-", second["Range"])[1])
    assert CUT - download.CHUNK < start <= CUT  # at most one chunk is fetched twice
    assert second["If-Range"] == ETAG
    assert "speech.tar.gz: the connection was dropped; next try in 0.001 s" in (
        capsys.readouterr().out
    )
    assert names(path.parent) == ["speech.tar.gz"]


def test_drops_that_bring_something_do_not_count_as_failures(server, path):
    server.script = [good(upto=end) for end in (100_000, 200_000, 280_000)]
    get(server, path, retries=1)
    assert path.read_bytes() == BODY


def test_short_body_without_length_is_noticed(server, path):
    def unannounced(handler):
        handler.start(200)
        handler.wfile.write(BODY[:CUT])

    server.script = [unannounced]
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" in server.requests[1]


def test_resumes_in_another_process_after_a_kill(server, path):
    server.script = [stall(after=CUT)]
    code = (
        "import sys; from pathlib import Path; from course_utils.corpora.download import fetch\n"
        f"fetch(sys.argv[1], Path(sys.argv[2]), sha256={SHA256!r}, size={len(BODY)})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", code, server.url, str(path)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert server.stalled.wait(10)
        deadline = time.monotonic() + 10
        part = part_of(path)
        while not (part.exists() and part.stat().st_size > CUT - download.CHUNK):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.kill()
    arrived = part.stat().st_size
    assert not path.exists()
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests[1]["Range"] == f"bytes={arrived}-"
    assert server.requests[1]["If-Range"] == ETAG


def test_interrupt_keeps_what_has_arrived(server, path, monkeypatch):
    server.script = [good(upto=CUT)]

    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(download.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get(server, path)
    monkeypatch.undo()
    monkeypatch.delenv("COURSE_OFFLINE")
    assert not path.exists()
    assert 0 < part_of(path).stat().st_size < len(BODY)
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" in server.requests[1]


def test_interrupt_while_hashing_keeps_the_download(server, path, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pooch.core.hash_matches", interrupt)
        with pytest.raises(KeyboardInterrupt):
            get(server, path)
    assert not path.exists()
    get(server, path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 1
    assert names(path.parent) == ["speech.tar.gz"]


def test_file_system_without_hard_links(server, path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    get(server, path)
    assert path.read_bytes() == BODY
    assert names(path.parent) == ["speech.tar.gz"]


def test_server_that_ignores_range(server, path):
    server.script = [good(upto=CUT), good(ranges=False)]
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" in server.requests[1] and len(server.requests) == 2


def test_file_replaced_between_two_tries(server, path):
    old = bytes(len(BODY))
    server.script = [good(body=old, upto=CUT, etag='"version-0"')]
    get(server, path)  # the rest of the new file after the start of the old one would not verify
    assert path.read_bytes() == BODY
    assert server.requests[1]["If-Range"] == '"version-0"'


@pytest.mark.parametrize("etag", ['W/"weak"', None])
def test_last_modified_where_there_is_no_strong_etag(server, path, etag):
    date = "Wed, 01 Jan 2020 00:00:00 GMT"
    headers = {"Last-Modified": date}
    server.script = [good(upto=CUT, etag=etag, **headers), good(etag=date)]
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests[1]["If-Range"] == date


def test_no_validator_known(server, path):
    server.script = [good(upto=CUT, etag=None), good(etag=None)]
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" in server.requests[1] and "If-Range" not in server.requests[1]


def test_416_starts_again(server, path):
    server.script = [good(upto=CUT), status(416)]
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" in server.requests[1] and "Range" not in server.requests[2]


def test_range_that_was_not_asked_for(server, path):
    def another_part(handler):
        content_range = f"bytes 100-{len(BODY) - 1}/{len(BODY)}"
        handler.start(206, Content_Length=len(BODY) - 100, Content_Range=content_range)
        handler.wfile.write(BODY[100:])

    server.script = [good(upto=CUT), another_part]
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" not in server.requests[2]


def test_part_that_is_too_long_is_thrown_away(server, path):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY + b"more")
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" not in server.requests[0]


def test_complete_part_needs_no_request(server, path):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY)
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests == []


def test_content_encoding_label_is_not_decoded(server, path):
    server.script = [good(**{"Content-Encoding": "x-gzip"})]
    get(server, path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 1
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_wrong_bytes(server, path):
    wrong = BODY[:-1] + b"?"
    assert wrong != BODY
    server.script = [good(body=wrong)]
    with pytest.raises(DownloadError) as caught:
        get(server, path)
    message = str(caught.value)
    assert "speech.tar.gz arrived with wrong bytes" in message
    assert f"expected {SHA256} but got {hashlib.sha256(wrong).hexdigest()}" in message
    assert "Nothing was kept: run again" in message
    assert names(path.parent) == []
    assert len(server.requests) == 1
    assert get(server, path).read_bytes() == BODY


def test_file_of_another_size_on_the_server(server, path):
    page = b"<html>Please log in to the wireless network</html>"
    path.parent.mkdir()
    part_of(path).write_bytes(BODY[:CUT])
    server.script = [good(body=page, ranges=False)]
    with pytest.raises(DownloadError, match=r"now has 50 bytes instead of 300000.*wants a login"):
        get(server, path)
    assert part_of(path).read_bytes() == BODY[:CUT]  # a login page costs nobody the download
    assert len(server.requests) == 1


def test_server_that_sends_too_much(server, path):
    def more(handler):
        handler.start(200)
        handler.wfile.write(bytes(2 * len(BODY)))

    server.script = [more]
    with pytest.raises(DownloadError, match="sends more than the 300000 bytes expected"):
        get(server, path)
    assert not path.exists()
    assert get(server, path).read_bytes() == BODY


@pytest.mark.parametrize("code", [401, 403, 404])
def test_refusal_is_not_retried(server, path, code):
    server.script = [status(code)] * 3
    with pytest.raises(DownloadError) as caught:
        get(server, path)
    message = str(caught.value)
    assert server.url in message and f"the server answered {code} " in message
    assert "trying again will not help" in message
    assert "COURSE_SPEECH_COMMANDS=embedded" in message
    assert len(server.requests) == 1
    assert not path.exists()


@pytest.mark.parametrize("code", [500, 503, 429])
def test_passing_failure_of_the_server(server, path, code):
    server.script = [status(code)]
    get(server, path)
    assert path.read_bytes() == BODY
    assert len(server.requests) == 2


def test_lasting_failure_of_the_server(server, path, monkeypatch):
    waits = []
    monkeypatch.setattr(download.time, "sleep", waits.append)
    monkeypatch.setattr(download, "BACKOFF", 8)
    server.script = [status(503)] * 10
    with pytest.raises(DownloadError) as caught:
        get(server, path, retries=4)
    message = str(caught.value)
    assert server.url in message
    assert "the server answered 503 Service Unavailable (5 tries)" in message
    assert "run again later" in message
    assert len(server.requests) == 5
    assert waits == [8, 16, 30, 30]


def test_server_that_always_drops_ends(server, path):
    server.script = [good(upto=CUT, ranges=False)] * 10
    with pytest.raises(DownloadError, match=r"the connection was dropped \(3 tries\)") as caught:
        get(server, path, retries=2)
    assert "of 0.3 MB that have arrived are kept" in str(caught.value)
    assert len(server.requests) == 4  # the first one brought something
    assert not path.exists()


def test_redirect(server, path):
    server.script = [good(upto=CUT), status(302, Location="/elsewhere")]
    get(server, path)
    assert path.read_bytes() == BODY
    assert "Range" in server.requests[2]  # also asked of the other address


def test_endless_redirect(server, path):
    server.script = [status(302, Location="/speech.tar.gz")] * 40
    with pytest.raises(DownloadError, match=r"cannot be fetched: Exceeded 30 redirects"):
        get(server, path)


def test_not_a_url(path):
    with pytest.raises(DownloadError, match=r"speech cannot be fetched: Invalid URL"):
        fetch("speech", path, sha256=SHA256, size=len(BODY))


@pytest.mark.parametrize("after", [0, CUT])
def test_slow_server(server, path, after, capsys):
    server.script = [stall(after)]
    get(server, path, timeout=0.2)
    assert path.read_bytes() == BODY
    assert "the server sent nothing for 0.2 s" in capsys.readouterr().out
    assert ("Range" in server.requests[1]) == (after > 0)


def test_server_that_stays_silent(server, path):
    def silent(handler):
        handler.server.over.wait(10)

    server.script = [silent] * 3
    with pytest.raises(DownloadError, match=r"the server sent nothing for 0.1 s \(2 tries\)"):
        get(server, path, timeout=0.1, retries=1)


def test_no_network(path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DownloadError) as caught:
        fetch(f"http://127.0.0.1:{port}/speech.tar.gz", path, sha256=SHA256, size=len(BODY))
    message = str(caught.value)
    assert "no connection to 127.0.0.1: " in message and "refused" in message.lower()
    assert "(6 tries)" in message
    assert "Check that this machine is online" in message


def test_name_that_is_not_resolved(path, monkeypatch):
    def unknown(*arguments, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError, match=r"no connection to corpora\.invalid: .*not known"):
        fetch("http://corpora.invalid/a.zip", path, sha256=SHA256, size=len(BODY), retries=0)


def test_offline_opens_no_socket(path, monkeypatch):
    def forbidden(*arguments, **options):
        pytest.fail("a socket was opened")

    monkeypatch.setenv("COURSE_OFFLINE", "1")
    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, forbidden)
    path.parent.mkdir()
    path.write_bytes(BODY[:-1])
    url = "https://example.invalid/speech.tar.gz"
    with pytest.raises(DownloadError) as caught:
        fetch(url, path, sha256=SHA256, size=len(BODY))
    message = str(caught.value)
    assert "COURSE_OFFLINE=1 forbids the network" in message
    assert url in message and "(0.3 MB)" in message
    assert "unset COURSE_OFFLINE" in message
    assert "COURSE_SPEECH_COMMANDS=embedded" in message and "folder" in message
    assert path.exists()  # offline nothing is thrown away either


def test_too_little_disk_space(server, path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 250_000))
    with pytest.raises(DownloadError) as caught:
        get(server, path, size=1_250_000_000)
    message = str(caught.value)
    assert "The download of" in message
    assert "needs 1,250 MB" in message
    assert "COURSE_DATA" in message
    assert server.requests == []


def test_what_has_arrived_needs_no_space(server, path, monkeypatch):
    path.parent.mkdir()
    part_of(path).write_bytes(BODY[:CUT])
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, len(BODY) - CUT))
    get(server, path)
    assert path.read_bytes() == BODY


class FullDisk(io.FileIO):
    """A file that takes whole chunks up to `CUT` bytes, and then no more."""

    def write(self, data):
        if self.tell() + len(data) > CUT:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_full_disk_while_writing(server, path, monkeypatch):
    original = Path.open

    def open_on_a_full_disk(self, mode="r", *arguments, **options):
        if self == part_of(path) and mode == "ab":
            return FullDisk(self, mode)
        return original(self, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_on_a_full_disk)
        with pytest.raises(DownloadError) as caught:
            get(server, path)
    message = str(caught.value)
    assert "The disk of" in message and "is full" in message
    assert "speech.tar.gz needs 0.1 MB more; the 0.2 MB that have arrived are kept" in message
    assert "Free some space" in message
    assert len(server.requests) == 1
    arrived = part_of(path).stat().st_size
    assert 0 < arrived <= CUT
    get(server, path)
    assert path.read_bytes() == BODY
    assert server.requests[1]["Range"] == f"bytes={arrived}-"


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(DownloadError, match=r"data cannot be written"):
        get(server, tmp_path / "data" / "speech.tar.gz")


def test_hash_is_recorded_where_none_is_published(server, path, capsys):
    get(server, path, sha256=None)
    record = path.with_name("speech.tar.gz.sha256")
    assert record.read_text() == f"{SHA256}  speech.tar.gz\n"
    printed = capsys.readouterr().out
    assert f"No SHA-256 is published for speech.tar.gz: {SHA256} was recorded" in printed

    path.unlink()
    get(server, path, sha256=None)
    assert path.read_bytes() == BODY
    assert "was recorded" not in capsys.readouterr().out

    path.unlink()
    wrong = bytes(len(BODY))
    server.script = [good(body=wrong)]
    with pytest.raises(DownloadError) as caught:
        get(server, path, sha256=None)
    message = str(caught.value)
    assert f"expected {SHA256} but got {hashlib.sha256(wrong).hexdigest()}" in message
    assert "delete speech.tar.gz.sha256" in message
    assert names(path.parent) == ["speech.tar.gz.sha256"]


def test_a_published_hash_overrules_the_recorded_one(server, path):
    path.parent.mkdir()
    path.with_name("speech.tar.gz.sha256").write_text("0" * 64)
    assert get(server, path).read_bytes() == BODY


def test_two_notebooks_at_once(server, path, capsys):
    def slow(handler):
        handler.server.stalled.set()
        time.sleep(0.3)
        good()(handler)

    server.script = [slow]
    results = []

    def notebook():
        results.append(get(server, path).read_bytes() == BODY)

    first, second = threading.Thread(target=notebook), threading.Thread(target=notebook)
    first.start()
    assert server.stalled.wait(5)  # the first one is in the middle of it
    second.start()
    first.join(10)
    second.join(10)
    assert results == [True, True]
    assert len(server.requests) == 1
    assert "Another notebook is working on speech.tar.gz; waiting" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------- extract


def tar_of(path, *members):
    """Write a tar from (name, content) pairs and `TarInfo` objects."""
    with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def archive_of(path, *members):
    return (zip_of if path.suffix == ".zip" else tar_of)(path, *members)


def tree(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def is_refused(archive, folder, *words):
    """Check that an archive is refused in these words and leaves nothing anywhere."""
    before = names(folder.parent)
    with pytest.raises(DownloadError) as caught:
        extract(archive, folder)
    for word in (archive.name, *words):
        assert word in str(caught.value)
    assert names(folder.parent) == before
    return True


@pytest.fixture
def folder(tmp_path):
    """Two levels down, so that what escapes by ``../`` is seen in `tmp_path`."""
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "speech"


GOOD = (("./yes/1.wav", b"yes" * 1000), ("./no/1.wav", b"no"), ("./README.md", b"words"))


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar", "a.zip"])
def test_extract(tmp_path, folder, name, capsys):
    litter = [("__MACOSX/yes/._1.wav", b"x"), ("yes/.DS_Store", b"x"), (".DS_Store", b"x")]
    archive = archive_of(tmp_path / name, *GOOD, *litter)
    assert extract(archive, folder) == folder
    assert tree(folder) == {"yes/1.wav": b"yes" * 1000, "no/1.wav": b"no", "README.md": b"words"}
    assert names(folder.parent) == ["speech"]
    assert f"Unpacking {name}" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["a.tar.gz", "a.tar", "a.zip"])
@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("../evil.wav", "points outside"),
        ("yes/../../evil.wav", "points outside"),
        ("..\\evil.wav", "points outside"),
        ("/evil.wav", "absolute path"),
        ("\\evil.wav", "absolute path"),
        ("C:/evil.wav", "absolute path"),
        ("C:evil.wav", "absolute path"),
        ("//server/share/evil.wav", "absolute path"),
    ],
)
def test_paths_that_leave_the_folder(tmp_path, folder, kind, name, word):
    archive = archive_of(tmp_path / kind, *GOOD, (name, b"evil"))
    assert is_refused(archive, folder, repr(name), word)
    assert names(tmp_path) == [kind, "data"]


def test_absolute_path_of_this_machine(tmp_path, folder):
    target = tmp_path / "evil.wav"
    for kind in ("a.tar", "a.zip"):
        archive = archive_of(tmp_path / kind, (str(target), b"evil"))
        assert is_refused(archive, folder, "absolute path")
        assert not target.exists()


@pytest.mark.parametrize(
    ("member", "word"),
    [
        (special("yes/2.wav", tarfile.LNKTYPE, "yes/1.wav"), "is a link or a device"),
        (special("link", tarfile.SYMTYPE, "../.."), "is a link or a device"),
        (special("link", tarfile.SYMTYPE, "/etc"), "is a link or a device"),
        (special("yes/link", tarfile.LNKTYPE, "../outside.txt"), "is a link or a device"),
        (special("link", tarfile.LNKTYPE, "/etc/passwd"), "is a link or a device"),
        (special("device", tarfile.CHRTYPE), "is a link or a device"),
        (special("device", tarfile.BLKTYPE), "is a link or a device"),
        (special("pipe", tarfile.FIFOTYPE), "is a link or a device"),
    ],
)
def test_links_out_and_devices_in_a_tar(tmp_path, folder, member, word):
    (folder.parent / "outside.txt").write_text("private")
    archive = tar_of(tmp_path / "a.tar.gz", *GOOD, member)
    assert is_refused(archive, folder, repr(member.name), word)


@pytest.mark.parametrize("mode", [0o120777, 0o020666])
def test_link_or_device_in_a_zip(tmp_path, folder, mode):
    info = zipfile.ZipInfo("yes/link")
    info.create_system, info.external_attr = 3, mode << 16
    archive = zip_of(tmp_path / "a.zip", *GOOD, (info, "../.."))
    assert is_refused(archive, folder, "'yes/link'", "is a symbolic link or a device")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar", "a.zip"])
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
def test_truncated_archive(tmp_path, folder, name, share):
    members = [(f"yes/{i}.wav", random.Random(i).randbytes(5000)) for i in range(10)]
    archive = archive_of(tmp_path / name, *members)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    assert is_refused(archive, folder, "is damaged or not an archive", "delete it and run again")


def test_tar_that_ends_between_two_members(tmp_path, folder):
    archive = tar_of(tmp_path / "a.tar", ("a.wav", bytes(512)), ("b.wav", bytes(512)))
    for end in (1024, 1024 + 100):  # at the header of b.wav, and within it
        archive.write_bytes(archive.read_bytes()[:end])
        assert is_refused(archive, folder, "is damaged or not an archive")


def test_damaged_header_inside_a_tar(tmp_path, folder):
    archive = tar_of(tmp_path / "a.tar", ("a.wav", b"a" * 512), ("b.wav", b"b" * 512))
    data = bytearray(archive.read_bytes())
    data[1024:1034] = b"x" * 10  # the name of b.wav, so that its checksum is wrong
    archive.write_bytes(data)
    assert is_refused(archive, folder, "is damaged or not an archive")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_flipped_bytes(tmp_path, folder, name):
    content = random.Random(0).randbytes(20_000)  # stored as it is: only checksums can tell
    archive = archive_of(tmp_path / name, ("yes/1.wav", content))
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 1
    archive.write_bytes(data)
    assert is_refused(archive, folder, "is damaged or not an archive")


def test_web_page_in_place_of_an_archive(tmp_path, folder):
    for name in ("a.tar.gz", "a.zip"):
        archive = tmp_path / name
        archive.write_text("<html>Please log in</html>" * 100)
        assert is_refused(archive, folder, "is damaged or not an archive")


def test_folder_that_exists(tmp_path, folder):
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert is_refused(tar_of(tmp_path / "a.tar", *GOOD), folder, "exists already", "delete")
    assert tree(folder) == {"mine.txt": b"mine"}


def test_archive_that_is_missing(tmp_path, folder):
    assert is_refused(tmp_path / "a.tar", folder, "is not there: fetch it first")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_too_little_space_to_unpack(tmp_path, folder, name, monkeypatch):
    archive = archive_of(tmp_path / name, ("zeros.wav", bytes(2_000_000)))
    assert archive.stat().st_size < 1_000_000
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1_999_999))
    words = ("needs 2 MB", "2 MB are free", "COURSE_DATA")
    assert is_refused(archive, folder, *words)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_full_disk_while_unpacking(tmp_path, folder, name, monkeypatch):
    archive = archive_of(tmp_path / name, *GOOD)

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tarfile, "copyfileobj", full)
    monkeypatch.setattr(zipfile.shutil, "copyfileobj", full)
    assert is_refused(archive, folder, "is full", "Free some space")


@pytest.mark.parametrize(
    ("name", "owner", "method"),
    [("a.tar", tarfile.TarFile, "extractfile"), ("a.zip", zipfile.ZipFile, "extract")],
)
def test_interrupted_extraction_leaves_nothing(tmp_path, folder, name, owner, method, monkeypatch):
    archive = archive_of(tmp_path / name, *GOOD)
    original, seen = getattr(owner, method), []

    def interrupt(self, member, *arguments, **options):
        if seen:
            seen.append(names(folder.parent))
            raise KeyboardInterrupt
        seen.append(member)
        return original(self, member, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(owner, method, interrupt)
        with pytest.raises(KeyboardInterrupt):
            extract(archive, folder)
    assert seen[1] == [f"speech.unpacking-{os.getpid()}"]  # it was under way, under another name
    assert names(folder.parent) == []
    assert len(tree(extract(archive, folder))) == 3


def test_leftovers_of_killed_extractions_are_removed(tmp_path, folder):
    archive = tar_of(tmp_path / "a.tar", *GOOD)
    for number in (1, os.getpid()):
        leftover = folder.with_name(f"speech.unpacking-{number}")
        (leftover / "yes").mkdir(parents=True)
        (leftover / "yes" / "half.wav").write_bytes(b"half")
    other = folder.with_name("speech-other.unpacking-1")
    other.mkdir()
    extract(archive, folder)
    assert names(folder.parent) == ["speech", "speech-other.unpacking-1"]
    assert "yes/half.wav" not in tree(folder)


def test_two_notebooks_unpack_at_once(tmp_path, folder, monkeypatch):
    archive = tar_of(tmp_path / "a.tar", *GOOD)
    original, under_way, results, calls = download._unpack, threading.Event(), [], []

    def slow(*arguments):
        calls.append(arguments)
        under_way.set()
        time.sleep(0.2)
        original(*arguments)

    monkeypatch.setattr(download, "_unpack", slow)

    def notebook():
        results.append(len(tree(extract(archive, folder))))

    first, second = threading.Thread(target=notebook), threading.Thread(target=notebook)
    first.start()
    assert under_way.wait(5)
    second.start()
    first.join(10)
    second.join(10)
    assert results == [3, 3] and len(calls) == 1
