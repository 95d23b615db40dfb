"""The Mozilla Data Collective, spoken to by its own package, on a server of ours."""

import hashlib
import io
import json
import random
import re
import sys
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from course_utils.corpora import CorpusError, cache, common_voice, mdc
from course_utils.corpora.download import DownloadError

ID = "cmj8u3p1w0075nxxbe8bedl00"
KEY = "a-key-of-ours"


def release():
    """A release of one language with three speakers, packed as Mozilla packs it."""
    sound = io.BytesIO()
    tone = 0.1 * np.random.default_rng(0).normal(size=32_000)
    soundfile.write(sound, tone, 32_000, format="MP3")
    files = {"LICENSE": random.Random(0).randbytes(200_000)}  # some chunks of 64 KiB
    header = "client_id\tpath\tsentence\tlocale\n"
    for name, speaker in (("train", "anna"), ("dev", "bert"), ("test", "cleo")):
        files[f"{name}.tsv"] = f"{header}{speaker}\t{name}.mp3\tBuna, {speaker}.\tro\n".encode()
        files[f"clips/{name}.mp3"] = sound.getvalue()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cv-corpus-23.0-2025-09-05/ro/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


BODY = release()


class Handler(BaseHTTPRequestHandler):
    """The addresses that the package asks for: the dataset, a download of it, the archive."""

    def do_GET(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if self.path == "/archive":
            first = int(re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "bytes=0-")[1])
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(BODY) - first))
            self.end_headers()
            self.wfile.write(BODY[first : self.server.upto])
        elif self.server.refusal:
            self.answer(self.server.refusal, {"message": "the reason"})
        elif self.path == f"/api/datasets/{ID}":
            self.answer(200, {"id": ID, "filename": "ro.tar.gz", "sizeBytes": len(BODY)})
        else:
            self.answer(404, {"message": "no such dataset"})

    def do_POST(self):
        self.server.asked.append((self.command, self.path, None))
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self.answer(401, {"message": "unknown key"})
        elif self.server.terms:
            self.answer(403, {"message": "the terms were not agreed to"})
        elif self.path == f"/api/datasets/{ID}/download":
            url = f"http://127.0.0.1:{self.server.server_port}/archive"
            checksum = hashlib.sha256(BODY).hexdigest()
            session = {"downloadUrl": url, "sizeBytes": len(BODY), "checksum": checksum}
            self.answer(200, session if self.server.sensible else {"hello": "there"})

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def listening(tmp_path, monkeypatch):
    """The server, with the settings of a user who has a key."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.upto, server.refusal = [], None, None
        server.terms, server.sensible = False, True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("MDC_API_URL", f"http://127.0.0.1:{server.server_port}/api")
        monkeypatch.setenv("MDC_API_KEY", KEY)
        monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
        monkeypatch.delenv("COURSE_OFFLINE", raising=False)
        monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(listening):
    pytest.importorskip("datacollective", reason="needs: python -m pip install -e .[mdc]")
    return listening


def refused(dataset=ID):
    with pytest.raises(CorpusError) as error:
        mdc.folder(dataset)
    return str(error.value)


def test_a_dataset_is_fetched_unpacked_and_read(server, tmp_path, capsys):
    corpus = common_voice.load("ro", f"mdc:{ID}")
    assert (len(corpus), corpus.name, corpus.language) == (3, f"mdc:{ID}", "ro")
    assert corpus.synthetic is False
    assert corpus.split("test")[0].transcript == "Buna, cleo."
    assert "Fetching the dataset" in capsys.readouterr().out
    place = tmp_path / "data" / "mdc"
    assert (place / ID / "cv-corpus-23.0-2025-09-05" / "ro" / "train.tsv").is_file()
    assert list(place.rglob("*.tar.gz")) == []  # it would take its size a second time


def test_what_is_there_needs_no_network_and_no_key(server, monkeypatch):
    common_voice.load("ro", f"mdc:{ID}", verbose=False)
    asked = len(server.asked)
    monkeypatch.delenv("MDC_API_KEY")
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    monkeypatch.setitem(sys.modules, "datacollective", None)
    monkeypatch.setenv("COURSE_COMMON_VOICE", f"mdc:{ID}")
    assert len(common_voice.load("ro", verbose=False)) == 3
    assert len(server.asked) == asked


def test_an_interrupted_download_goes_on_where_it_stopped(server):
    server.upto = 150_000
    told = refused()
    assert f"The download of {ID} broke off" in told
    assert "are kept. Run this again: it goes on from there." in told
    server.upto = None
    assert mdc.folder(ID).is_dir()
    assert server.asked[-1] == ("GET", "/archive", "bytes=131072-")


def test_without_a_key_the_three_steps_to_one(server, monkeypatch):
    monkeypatch.setenv("MDC_API_KEY", " ")
    told = refused()
    assert told.startswith("MDC_API_KEY is not set.")
    for step in ("(1) make a free account", "(2) open the page", "(3) make an API key"):
        assert step in told
    assert "COURSE_COMMON_VOICE=embedded" in told
    assert server.asked == []


def test_a_wrong_key(server, monkeypatch):
    monkeypatch.setenv("MDC_API_KEY", "another")
    told = refused()
    assert "does not accept the key in MDC_API_KEY" in told
    assert "(3) make an API key" in told


def test_terms_that_were_not_agreed_to(server):
    server.terms = True
    told = refused()
    assert "the terms were not agreed to" in told
    assert f"Open https://mozilladatacollective.com/datasets/{ID}, agree to its terms" in told


@pytest.mark.parametrize(
    "status, reason",
    [
        (404, "has no dataset"),
        (410, "has no dataset"),
        (429, "asked too often"),
        (500, "cannot be reached"),
    ],
)
def test_refusals_of_the_server(server, status, reason):
    server.refusal = status
    assert reason in refused()


def test_an_answer_that_nobody_understands(server):
    server.sensible = False
    assert "answered something unexpected" in refused()


def test_no_network(server, monkeypatch):
    monkeypatch.setenv("MDC_API_URL", "http://127.0.0.1:9/api")
    told = refused()
    assert "cannot be reached" in told
    assert "Check that this machine is online" in told


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("REQUESTS_CA_BUNDLE", "/not/there.pem", "REQUESTS_CA_BUNDLE names certificates in"),
        ("HTTPS_PROXY", "http://127.0.0.1:9", "the proxy http://127.0.0.1:9 (HTTPS_PROXY) cannot"),
        ("HTTPS_PROXY", "http://me:se#cret@host:9", "the proxy http://host:9 (HTTPS_PROXY) cannot"),
        ("HTTPS_PROXY", "socks5://127.0.0.1:1", "speaks SOCKS, and the package for that is not"),
    ],
)
def test_wrong_certificates_and_proxies_are_named(server, monkeypatch, name, value, reason):
    for other in ("https_proxy", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(other, raising=False)
    if "socks" in value:
        monkeypatch.setattr("requests.adapters.SOCKSProxyManager", no_socks)
    monkeypatch.setenv("MDC_API_URL", "https://127.0.0.1:9/api")
    monkeypatch.setenv(name, value)
    told = refused()
    assert told.startswith("The Mozilla Data Collective cannot be reached: ")
    assert reason in told and "cret" not in told
    assert "cannot be written" not in told


def no_socks(*arguments, **options):
    from requests.exceptions import InvalidSchema

    raise InvalidSchema("Missing dependencies for SOCKS support.")


def test_the_address_of_the_page_is_taken(server):
    place = mdc.folder(f"https://mozilladatacollective.com/datasets/{ID}?tab=card")
    assert place.name == ID


def test_offline(listening, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert "COURSE_OFFLINE=1 forbids the network" in refused()
    assert listening.asked == []


def test_without_the_package_the_line_that_installs_it(listening, monkeypatch):
    monkeypatch.setitem(sys.modules, "datacollective", None)
    assert 'python -m pip install "datacollective>=0.7,<0.8"' in refused()


@pytest.mark.parametrize("name", ["", "../secret", "a b", "a/b"])
def test_a_name_that_is_none(listening, name):
    assert f"mdc:{name} names no dataset" in refused(name)


def test_a_damaged_archive(server, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "BODY", b"\x1f\x8b" + b"damage" * 100)
    with pytest.raises(DownloadError, match="is damaged or not an archive"):
        mdc.folder(ID)
    assert not Path(mdc.settings.data_folder(), "mdc", ID).exists()


def test_a_place_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mdc").write_text("a file")
    assert "cannot be written" in refused()


def test_the_stop_button_stops(server, monkeypatch):
    import datacollective
    from datacollective import errors

    def stop(*arguments, **options):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise errors.DownloadError(0, 0, 1, "x") from error

    monkeypatch.setattr(datacollective, "download_dataset", stop)
    with pytest.raises(KeyboardInterrupt):
        mdc.folder(ID)
