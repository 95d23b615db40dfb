"""The embedded corpus: what is in it, that it is the same everywhere, and what may go wrong."""

import errno
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, namedtuple
from pathlib import Path

import espeakng_loader
import numpy as np
import platformdirs
import pytest
import soundfile

from course_utils.corpora import CorpusError, embedded
from course_utils.corpora.embedded import COMMANDS, DIGITS, WORDS, espeak
from course_utils.corpora.embedded import build as builder
from course_utils.corpora.embedded.speakers import make_speaker

SMALL = {"speakers": 10, "digit_takes": 1, "command_takes": 1}  # 350 clips
Usage = namedtuple("Usage", "total used free")
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")


def build(folder, **changes):
    return embedded.speech_commands(folder, **{**SMALL, **changes})


def refused(folder, **changes):
    """What a student is told when a corpus cannot be built."""
    with pytest.raises(CorpusError) as error:
        build(folder, **changes)
    return str(error.value)


def files(folder):
    """The hash of every file by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def clips(folder):
    return sorted(path for path in folder.glob("*/*.wav") if path.parent.name[0] != "_")


def remains(folder):
    """What lies beside a corpus folder, but for the lock, which is an empty file."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A corpus of ten speakers."""
    return build(tmp_path_factory.mktemp("embedded") / "small")


@pytest.fixture(scope="session")
def full():
    """The corpus of the notebooks, in the data folder of the tests: built here if it is not yet."""
    return embedded.speech_commands()


# --- what is in it ------------------------------------------------------------------------------


def test_the_words():
    assert len(set(WORDS)) == len(WORDS) == 35
    assert list(WORDS) == sorted(WORDS)
    assert len(DIGITS) == len(COMMANDS) == 10
    assert set(DIGITS) | set(COMMANDS) < set(WORDS)


def test_the_full_corpus(full):
    found = clips(full)
    assert len(found) == 10_500
    count = Counter(path.parent.name for path in found)
    takes = {**dict.fromkeys(WORDS, 1), **dict.fromkeys(DIGITS, 5), **dict.fromkeys(COMMANDS, 4)}
    assert count == {word: 100 * take for word, take in takes.items()}
    assert json.loads((full / "corpus.json").read_text("utf-8"))["clips"] == 10_500


def test_one_clip_in_six_is_short(full):
    # Each clip is short with a chance of 1/6, on its own: a binomial number, whose standard
    # deviation is sqrt(n p (1 - p)). Another seed is farther off than four of them once in 16,000.
    sizes = [path.stat().st_size for path in clips(full)]
    header = 44
    assert max(sizes) == header + 2 * espeak.SAMPLE_RATE
    short, chance = sum(size < max(sizes) for size in sizes), 1 / 6
    deviation = math.sqrt(len(sizes) * chance * (1 - chance))
    assert abs(short - len(sizes) * chance) < 4 * deviation


def split_of_speakers(folder):
    """Speakers of each split, as the lists have them; all the others are for training."""
    everything = {path.relative_to(folder).as_posix() for path in clips(folder)}
    splits = {}
    for split, name in (("validation", "validation_list.txt"), ("test", "testing_list.txt")):
        lines = (folder / name).read_text("utf-8").splitlines()
        assert lines == sorted(set(lines))
        assert set(lines) <= everything
        everything -= set(lines)
        splits[split] = {line.split("/")[1].split("_nohash_")[0] for line in lines}
    splits["train"] = {path.split("/")[1].split("_nohash_")[0] for path in everything}
    return splits


@pytest.mark.parametrize("name, speakers", [("small", 10), ("full", 100)])
def test_no_speaker_is_in_two_splits(request, name, speakers):
    splits = split_of_speakers(request.getfixturevalue(name))
    assert {split: len(found) for split, found in splits.items()} == {
        "train": 0.8 * speakers,
        "validation": 0.1 * speakers,
        "test": 0.1 * speakers,
    }
    assert len(set().union(*splits.values())) == speakers  # so that no two share one


def test_every_clip_is_16_khz_mono_16_bit_of_at_most_a_second(small):
    found = clips(small)
    assert len(found) == 350
    for path in found:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16")
        assert 1_000 < info.frames <= 16_000


def test_every_clip_is_loud_enough_to_hear(small):
    for path in clips(small):
        samples, _ = soundfile.read(path, dtype="float32")
        assert 0.01 < np.abs(samples).max() < 1


def test_no_two_clips_are_the_same(small):
    assert len({path.read_bytes() for path in clips(small)}) == 350


def test_the_readme_says_that_nobody_spoke(small):
    text = " ".join((small / "README.md").read_text("utf-8").split())
    for words in ("Synthetic speech", "Nobody said these words", "espeak-ng 1.", "350 clips"):
        assert words in text
    for words in ("10 synthetic speakers", "says 35 words", "ten commands once", "human speech"):
        assert words in text


def test_the_record_says_that_it_is_synthetic_and_how_it_was_made(small):
    record = json.loads((small / "corpus.json").read_text("utf-8"))
    assert record["synthetic"] is True
    assert record["name"] == "embedded"
    assert record["recipe"]["version"] == embedded.VERSION
    assert (record["recipe"]["seed"], record["recipe"]["speakers"]) == (0, 10)
    assert record["espeak"][0].isdecimal()


def test_the_speakers_are_described(small):
    people = json.loads((small / "speakers.json").read_text("utf-8"))
    assert {person["name"] for person in people} == set().union(*split_of_speakers(small).values())
    assert len({person["pitch"] for person in people}) == 10
    assert all({"accent", "voice", "words_per_minute", "snr"} <= person.keys() for person in people)


def test_six_noises(small):
    found = sorted((small / "_background_noise_").iterdir())
    names = ["babble", "engine", "mains_hum", "pink_noise", "running_water", "white_noise"]
    assert [path.name for path in found] == [f"{name}.wav" for name in names]
    for path in found:
        samples, rate = soundfile.read(path)
        assert (len(samples), rate) == (30 * 16_000, 16_000)
        assert 0.05 < np.sqrt((samples**2).mean()) < 0.11  # they are scaled to 0.1, then clipped


def test_the_noises_of_the_full_corpus_are_for_everyone(full):
    assert embedded.background_noise_folder() == full / "_background_noise_"


# --- the same everywhere ------------------------------------------------------------------------


def test_the_number_of_processes_changes_no_byte(small, tmp_path):
    one = files(build(tmp_path / "one", speakers=20, processes=1))
    two = files(build(tmp_path / "two", speakers=20, processes=2))
    assert one == two
    assert sum(path.endswith(".wav") for path in one) == 2 * 350 + 6
    alone = {path: file for path, file in files(small).items() if path.endswith(".wav")}
    assert alone.items() <= one.items()  # nor do speakers who come after them


def test_a_seed_makes_speakers():
    first, again, other = (make_speaker(3, seed) for seed in (0, 0, 1))
    assert first == again
    assert (other.name, other.pitch) != (first.name, first.pitch)
    names = {make_speaker(index).name for index in range(500)}
    assert len(names) == 500


def test_the_lists_name_the_speakers_of_the_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "speak", lambda *arguments: "1.0")
    folder = build(tmp_path / "corpus", seed=1)
    for name, index in (("validation_list.txt", 8), ("testing_list.txt", 9)):
        lines = (folder / name).read_text("utf-8").split()
        speaker = make_speaker(index, 1).name
        assert lines == [f"{word}/{speaker}_nohash_0.wav" for word in WORDS]


def test_it_is_built_once(small, capsys):
    before = (small / "corpus.json").stat()
    assert build(small) == small
    assert capsys.readouterr().out == ""
    assert (small / "corpus.json").stat() == before


def test_the_build_is_announced(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(builder, "speak", lambda *arguments: "1.0")
    build(tmp_path / "corpus")
    assert capsys.readouterr().out == (
        "Building the embedded corpus once: 350 clips of synthetic speech, 12 MB, "
        "in less than a minute on two cores.\n"
    )


def test_two_notebooks_at_once_build_it_once(tmp_path):
    running = [start_build(tmp_path / "corpus", **SMALL) for _ in range(2)]
    told = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert "".join(told).count("Building the embedded corpus once") == 1
    assert len(clips(tmp_path / "corpus")) == 350
    assert remains(tmp_path) == ["corpus"]


# --- where it lies ------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path, monkeypatch):
    """A data folder that cannot be written; returns it, and the user's own."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "shared"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, **_: str(tmp_path / "own"))
    monkeypatch.setattr(builder, "speak", lambda *arguments: "1.0")
    return tmp_path / "shared", tmp_path / "own"


def test_a_data_folder_that_cannot_be_written_gives_way_to_the_users_own(shared):
    folder = embedded.speech_commands(**SMALL)
    assert folder == shared[1] / "embedded" / "speech_commands-v1"
    assert (folder / "corpus.json").is_file()
    assert not shared[0].exists()


def test_what_lies_in_a_shared_folder_is_used(shared):
    folder = shared[0] / "embedded" / "speech_commands-v1"
    build(folder)
    assert embedded.speech_commands(**SMALL) == folder
    assert not shared[1].exists()


@pytest.mark.parametrize("name, content", [("thesis.txt", "x"), ("corpus.json", '{"name": "x"}')])
def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, name, content):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text(content)
    told = refused(folder)
    assert told.startswith(f"{folder} exists and is not an embedded corpus")
    assert "Move it away, or name another folder." in told
    assert files(folder) == {name: hashlib.sha256(content.encode()).hexdigest()}


def test_a_file_in_its_place(tmp_path):
    (tmp_path / "corpus").write_text("a file")
    assert "exists and is not an embedded corpus" in refused(tmp_path / "corpus")


def test_other_settings_need_another_folder(small):
    before = files(small)
    for changes in ({"seed": 1}, {"speakers": 20}, {"digit_takes": 2}, {"command_takes": 3}):
        told = refused(small, **changes)
        assert told.startswith(f"{small} holds an embedded corpus made with other settings.")
        assert "Name another folder, or delete this one to build it anew." in told
    assert files(small) == before


def test_an_empty_folder_is_filled(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "speak", lambda *arguments: "1.0")
    (tmp_path / "corpus").mkdir()
    assert (build(tmp_path / "corpus") / "corpus.json").is_file()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    told = refused(tmp_path / "file" / "corpus")
    assert told.startswith(f"{tmp_path / 'file'} cannot be written (")
    assert told.endswith("Set COURSE_DATA to a folder that you may write to.")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"speakers": 9}, "speakers is 9; a split by speaker needs at least 10."),
        ({"processes": 0}, "processes is 0; it takes at least 1 to speak."),
    ],
)
def test_settings_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path / "corpus", **changes)


# --- what may go wrong --------------------------------------------------------------------------


def start_build(folder, **options):
    """Build in a process of its own, as another notebook does."""
    code = (
        "from pathlib import Path\nfrom course_utils.corpora import embedded\n"
        f"embedded.speech_commands(Path({str(folder)!r}), **{options!r})"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_killed_build_is_never_trusted_and_removed_by_the_next(tmp_path):
    folder = tmp_path / "corpus [1]"  # brackets are patterns to glob, and a name to a student
    process = start_build(folder)
    deadline = time.monotonic() + 30
    while len(half := list(tmp_path.glob(".corpus*.building-*/*/*.wav"))) < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate()
    # Those who spoke for it end when they have nobody to tell it to.
    while len(half) != len(half := list(tmp_path.glob(".corpus*.building-*/*/*.wav"))):
        assert time.monotonic() < deadline
        time.sleep(0.7)
    (leftover,) = remains(tmp_path)
    assert leftover == f".corpus [1].building-{process.pid}"
    assert not (tmp_path / leftover / "corpus.json").exists()
    build(folder)
    assert len(clips(folder)) == 350
    assert remains(tmp_path) == ["corpus [1]"]


@pytest.fixture
def started(monkeypatch):
    """The processes that speak; each is handed to a function of the test's as it starts."""
    start, started = builder._start, []

    def start_and_tell(number, job, messages):
        for prepare in started[:1]:
            prepare(job)
        process = start(number, job, messages)
        started.append(process)
        return process

    monkeypatch.setattr(builder, "_start", start_and_tell)
    return started


def test_the_stop_button_leaves_nothing(tmp_path, monkeypatch, started):
    class Bar:
        def __init__(self, **options):
            self.n = 0

        def update(self, more):
            self.n += more
            if self.n:
                raise KeyboardInterrupt

        def close(self):
            pass

    started.append(lambda job: None)
    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "corpus", speakers=20, processes=2)
    assert remains(tmp_path) == []
    assert len(started[1:]) == 2
    assert all(process.poll() not in (None, 0) for process in started[1:])  # ended, not at an end


def test_the_stop_button_at_the_last_moment_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(builder, "speak", lambda *arguments: "1.0")
    monkeypatch.setattr(builder, "_write_texts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "corpus")
    assert remains(tmp_path) == []


def crashed(told, reason):
    assert told == (
        f"The process that speaks ended early ({reason}); no half corpus was left. Run this "
        "again. If it happens again, use real speech: set COURSE_SPEECH_COMMANDS=mini (182 MB)."
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals of this kind")
def test_a_crash_of_espeak_does_not_take_the_notebook_with_it(tmp_path, monkeypatch):
    start = builder._start

    def start_and_kill(number, job, messages):
        process = start(number, job, messages)
        process.kill()
        return process

    monkeypatch.setattr(builder, "_start", start_and_kill)
    crashed(refused(tmp_path / "corpus"), "signal 9")
    assert remains(tmp_path) == []


@pytest.mark.skipif(not shutil.which("false"), reason="needs a program that fails")
def test_a_worker_that_ends_without_a_word(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    crashed(refused(tmp_path / "corpus"), "exit code 1")
    assert remains(tmp_path) == []


def test_an_error_in_a_worker_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "SHORT_SHARE", "many")
    told = refused(tmp_path / "corpus")
    assert "ended early (TypeError: '<' not supported" in told
    assert remains(tmp_path) == []


LIBRARY = str(espeakng_loader.get_library_path())
DATA = str(espeakng_loader.get_data_path())


def loader(folder, monkeypatch, source):
    """Put another espeakng_loader in place of the installed one, for those who speak."""
    folder.mkdir()
    (folder / "espeakng_loader.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize(
    "source, reason",
    [
        ("raise ImportError('no wheel for this computer')", "no wheel for this computer"),
        (
            f"get_library_path = lambda: __file__\nget_data_path = lambda: {DATA!r}",
            "espeakng_loader.py",
        ),
        (
            f"get_library_path = lambda: {LIBRARY!r}\nget_data_path = lambda: '/not/there'",
            "its folder of voices is missing: ",
        ),
    ],
    ids=["no wheel", "no library", "no voices"],
)
def test_without_espeak_the_other_sources_are_named(tmp_path, monkeypatch, source, reason):
    loader(tmp_path / "path", monkeypatch, source)
    told = refused(tmp_path / "place" / "corpus")
    assert told.startswith("The embedded corpus needs espeak-ng, which does not load on this comp")
    assert reason in told
    for other in ("COURSE_SPEECH_COMMANDS", "mini (182 MB)", "v0.02 (2.4 GB)", "to a folder"):
        assert other in told
    assert remains(tmp_path / "place") == []


def test_what_a_library_prints_does_no_harm(tmp_path, monkeypatch):
    source = f"print('hello')\nget_library_path = lambda: {LIBRARY!r}\nget_data_path = lambda: "
    loader(tmp_path / "path", monkeypatch, source + repr(DATA))
    assert len(clips(build(tmp_path / "place" / "corpus"))) == 350


def full_disk(told, folder):
    assert told == (
        f"The disk of {folder} is full. Nothing of the embedded corpus is kept; the whole takes "
        "about 340 MB. Free some space, or set COURSE_DATA to a folder on another disk, and run "
        "this again."
    )
    assert remains(folder) == []


@needs_dev_full
def test_a_disk_that_fills_up_while_they_speak(tmp_path, started):
    def put_a_full_disk_in_the_way(job):
        name = f"{make_speaker(4).name}_nohash_0.wav"
        Path(json.loads(job)["folder"], "tree", name).symlink_to("/dev/full")

    started.append(put_a_full_disk_in_the_way)
    full_disk(refused(tmp_path / "corpus"), tmp_path)
    assert started[1].poll() is not None


@needs_dev_full
def test_a_disk_that_fills_up_at_the_last_file(tmp_path, monkeypatch):
    def speak(building, *arguments):
        (building / "corpus.json").symlink_to("/dev/full")
        return "1.0"

    monkeypatch.setattr(builder, "speak", speak)
    full_disk(refused(tmp_path / "corpus"), tmp_path)


def test_a_quota_is_a_full_disk(tmp_path, monkeypatch):
    def speak(*arguments):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(builder, "speak", speak)
    full_disk(refused(tmp_path / "corpus"), tmp_path)


def test_too_little_space_is_told_before_anybody_speaks(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    assert refused(tmp_path / "corpus") == (
        f"The embedded corpus needs 12 MB in {tmp_path}, and 1 MB are free. "
        "Free some space, or set COURSE_DATA to a folder on another disk."
    )
    assert remains(tmp_path) == []


def test_a_word_is_said_without_a_corpus():
    said = embedded.say("yes")
    assert said.shape == (1, 16_000) and 0.1 < said.abs().max() <= 1
    assert said.equal(embedded.say("yes"))
    assert not said.equal(embedded.say("no")) and not said.equal(embedded.say("yes", speaker=39))


@pytest.mark.parametrize("word", ["", "  ", "..", "../yes", "a/b", "yes\0", "a" * 41, 3, None])
def test_what_is_no_word_is_not_said(word):
    with pytest.raises(ValueError, match="expected a word of at most 40 letters, no slash, got "):
        embedded.say(word)


def test_a_word_without_espeak_is_an_error_in_words(tmp_path, monkeypatch):
    loader(tmp_path / "path", monkeypatch, "raise ImportError('no wheel for this computer')")
    with pytest.raises(CorpusError, match="no wheel for this computer"):
        embedded.say("yes")
