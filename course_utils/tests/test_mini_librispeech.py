"""Mini LibriSpeech from a server of ours: fetched once, verified, and read as sentences."""

import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from course_utils.corpora import CorpusError, cache, common_voice, mini_librispeech
from course_utils.corpora.download import DownloadError
from course_utils.corpora.mini_librispeech import ARCHIVES, Archive

SPEAKERS = {"train-clean-5": ("19", "26"), "dev-clean-2": ("84", "174", "251", "422")}


def pack(part):
    """An archive in the layout of LibriSpeech: two clips of each speaker."""
    sound = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).normal(size=8_000)
    soundfile.write(sound, noise, 16_000, format="FLAC")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for speaker in SPEAKERS[part]:
            folder = f"LibriSpeech/{part}/{speaker}/100"
            lines = f"{speaker}-100-0000 THE CAT\n{speaker}-100-0001 IT'S {speaker}\n".encode()
            for name, content in (
                (f"{speaker}-100.trans.txt", lines),
                (f"{speaker}-100-0000.flac", sound.getvalue()),
                (f"{speaker}-100-0001.flac", sound.getvalue()),
            ):
                member = tarfile.TarInfo(f"{folder}/{name}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


class Handler(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.server.asked.append((self.command, self.path))
        self.send_response(200)
        if self.server.states_size:
            self.send_header("Content-Length", str(len(self.server.bodies[self.path])))
        self.end_headers()

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        body = self.server.bodies[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.bodies, server.states_size = [], {}, True
        for part in SPEAKERS:
            body = pack(part)
            server.bodies[f"/{part}.tar.gz"] = body
            url = f"http://127.0.0.1:{server.server_port}/{part}.tar.gz"
            archive = Archive(url, len(body), hashlib.md5(body).hexdigest())
            monkeypatch.setitem(ARCHIVES, part, archive)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
        monkeypatch.delenv("COURSE_OFFLINE", raising=False)
        monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")
        yield server
        server.shutdown()
        thread.join()


def load(**options):
    return common_voice.load("en", "mini_librispeech", **{"verbose": False, **options})


@pytest.mark.parametrize("states_size", [True, False])
def test_it_is_fetched_once_and_read_as_sentences(server, tmp_path, states_size):
    server.states_size = states_size
    corpus = load()
    assert (corpus.name, corpus.language, corpus.synthetic) == ("mini_librispeech", "en", False)
    assert [len(corpus.split(name)) for name in common_voice.SPLITS] == [4, 4, 4]
    clip = corpus.split("train")[1]
    assert (clip.transcript, clip.speaker, clip.seconds) == ("IT'S 19", "19", 0.5)
    assert clip.path == "train-clean-5/LibriSpeech/train-clean-5/19/100/19-100-0001.flac"
    asked = len(server.asked)
    load()
    assert len(server.asked) == asked
    place = tmp_path / "data" / "mini_librispeech"
    assert not list(place.glob("*.tar.gz"))  # they would take their size a second time


def test_the_held_out_speakers_are_shared_between_validation_and_test(server):
    corpus = load()
    speakers = [set(corpus.split(name).speakers) for name in common_voice.SPLITS]
    assert [len(part) for part in speakers] == [2, 2, 2]
    assert len(set.union(*speakers)) == 6
    assert speakers[0] == {"19", "26"}


def test_only_what_is_missing_is_fetched(server, tmp_path):
    mini_librispeech.folder()
    place = tmp_path / "data" / "mini_librispeech"
    (place / "dev-clean-2").rename(tmp_path / "away")
    server.asked.clear()
    mini_librispeech.folder()
    assert {path for _, path in server.asked} == {"/dev-clean-2.tar.gz"}


def test_a_filter_reads_the_headers(server):
    assert len(load(min_seconds=0.4, max_seconds=0.6)) == 12
    with pytest.raises(CorpusError, match=r"None of the 12 clips lasts 1 to inf s"):
        load(min_seconds=1)


def test_wrong_bytes_are_not_unpacked(server, tmp_path):
    body = server.bodies["/train-clean-5.tar.gz"]
    server.bodies["/train-clean-5.tar.gz"] = body[:-1] + b"x"
    with pytest.raises(DownloadError, match="arrived with wrong bytes"):
        load()
    assert not (tmp_path / "data" / "mini_librispeech" / "train-clean-5").exists()


def test_offline(server, monkeypatch):
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    with pytest.raises(DownloadError, match="COURSE_OFFLINE=1 forbids the network") as error:
        load()
    assert "COURSE_COMMON_VOICE=embedded" in str(error.value)
    assert server.asked == []


def test_a_sentence_that_is_empty_and_a_clip_that_is_missing(server, tmp_path):
    place = mini_librispeech.folder() / "train-clean-5" / "LibriSpeech" / "train-clean-5" / "19"
    (place / "100" / "19-100.trans.txt").write_text("19-100-0000 \n19-100-0001 IT'S\n\n")
    (place / "100" / "19-100-0001.flac").unlink()
    corpus = load()
    assert len(corpus) == 10
    reasons = [reason for _, reason in corpus.problems]
    assert reasons[0] == "its sentence is empty"
    assert "does not exist" in reasons[1]


def test_a_part_without_transcripts(tmp_path):
    (tmp_path / "train-clean-5").mkdir()
    with pytest.raises(CorpusError, match="train-clean-5 holds no transcripts"):
        mini_librispeech.read(tmp_path)


def test_another_language_was_asked_for(server):
    corpus = common_voice.load("fr", "mini_librispeech", verbose=False)
    assert "its language is en; fr was asked for" in corpus.notes


def test_the_published_sizes():
    assert sum(archive.size for archive in ARCHIVES.values()) // 10**6 == 459
    assert all(len(archive.md5) == 32 for archive in ARCHIVES.values())
