"""The published tasks: clips, shares, speakers, and the archive of the 12 classes' test."""

import math
from collections import Counter

import numpy as np
import pytest
import soundfile

from course_utils.corpora import CorpusError, embedded, official, word_choice
from course_utils.corpora.embedded import COMMANDS, WORDS
from course_utils.corpora.speech_commands import SPLITS, load
from course_utils.tests import test_speech_commands as folders
from course_utils.tests.test_speech_commands import TEST, TRAIN, VALIDATION, add, lists_in

EXTRA = ("bed", "cat", "tree")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))


@pytest.fixture
def corpus(tmp_path):
    """A made folder in v0.02's layout: lists that put speakers elsewhere than their names would."""
    folder = folders.corpus_in(tmp_path / "speech_commands_v0.02", [*COMMANDS, *EXTRA])
    every = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.wav"))]
    chosen = {"validation": TRAIN[:1], "test": [TRAIN[1], *VALIDATION[:1]]}
    lines = {
        split: [path for path in every if path.split("/")[1].split("_")[0] in speakers]
        for split, speakers in chosen.items()
    }
    lists_in(folder, *("\n".join(each) + "\n" for each in lines.values()))
    for name in ("hum", "tap"):
        add(folder, f"_background_noise_/{name}.wav", folders.noise(40_000))
    return folder, lines | {
        "train": [path for path in every if path not in {*lines["validation"], *lines["test"]}]
    }


def spoken_in(part):
    return sorted(path for path in part.paths if not path.startswith("_"))


def test_each_part_holds_the_clips_of_the_lists_exactly(corpus):
    folder, lines = corpus
    ten = load(folder, task="10", verbose=False)
    for split in SPLITS:
        wanted = [path for path in lines[split] if path.split("/")[0] in COMMANDS]
        assert spoken_in(ten.split(split)) == sorted(wanted)
    assert ten.task == word_choice.task_of(ten) == "ten commands"
    twelve = load(folder, task="12", verbose=False)
    for split in SPLITS:
        part = twelve.split(split)
        wanted = [path for path in lines[split] if path.split("/")[0] in COMMANDS]
        said = [path for path in spoken_in(part) if path.split("/")[0] in COMMANDS]
        assert said == sorted(wanted)
        others = set(spoken_in(part)) - set(wanted)
        assert others <= set(lines[split]) and len(others) == math.ceil(len(wanted) / 10)
        assert part.count()["silence"] == part.count()["unknown"] == len(others)
    wave = {path: row for path, row in zip(twelve.paths, twelve.waveforms, strict=True)}
    path = lines["test"][0]
    assert np.array_equal(wave[path][:900], soundfile.read(folder / path, dtype="int16")[0])


def test_a_corpus_that_lacks_words_is_another_task(corpus):
    folder, _ = corpus
    task = load(folder, task="35", verbose=False).task
    assert task == "13 of the 35 words"
    with pytest.raises(CorpusError, match="12 classes need commands and other words"):
        official.of_task(load(folder, words=COMMANDS, verbose=False), "12")
    with pytest.raises(ValueError, match="use one of 35, 12, 10"):
        load(folder, task="11", verbose=False)


def test_the_seed_decides_what_is_drawn(corpus):
    folder, _ = corpus
    first, again, other = (load(folder, task="12", seed=seed, verbose=False) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert set(first.paths) != set(other.paths)
    assert first.caveats[-1].endswith("drawn with seed 0")


def test_the_published_test_set_takes_the_place_of_the_drawn_one(corpus):
    folder, _ = corpus
    beside = folder.parent / "speech_commands_test_set_v0.02"
    clips = {f"_unknown_/{TEST[0]}_nohash_0.wav", "_silence_/3.wav"}
    clips |= {f"{word}/{TRAIN[1]}_nohash_0.wav" for word in COMMANDS}
    for path in clips:
        add(beside, path, folders.noise(16_000))
    twelve = load(folder, task="12", verbose=False)
    test = twelve.split("test")
    assert set(test.paths) == clips
    assert test.count() == dict.fromkeys([*COMMANDS, "unknown", "silence"], 1)
    assert "12-class test: the published archive of 12 clips" in twelve.caveats
    assert "1 speakers of the test set are in other parts, too" in twelve.caveats
    path = "_unknown_/" + f"{TEST[0]}_nohash_0.wav"
    row = test.waveforms[test.paths.tolist().index(path)]
    assert np.array_equal(row, soundfile.read(beside / path, dtype="int16")[0])
    for path in beside.rglob("*.wav"):
        path.unlink()
    with pytest.raises(CorpusError, match="holds no recording"):
        load(folder, task="12", verbose=False)


def test_the_embedded_corpus_has_all_three(tmp_path):
    place = embedded.speech_commands(
        tmp_path / "corpus", speakers=10, digit_takes=1, command_takes=2
    )
    full, twelve = (load(place, task=task, verbose=False) for task in ("35", "12"))
    assert (full.task, full.words) == ("35 words", sorted(WORDS, key=WORDS.index))
    assert twelve.task == "12 classes"
    for split in SPLITS:
        counts = Counter(twelve.spoken[twelve.splits == split])
        commands = sum(counts[word] for word in COMMANDS)
        assert counts["unknown"] == counts["silence"] == math.ceil(0.1 * commands)
    people = [set(twelve.split(split).speakers) for split in SPLITS]
    assert sum(map(len, people)) == len(set.union(*people))
    quiet = twelve.take(np.flatnonzero(twelve.spoken == "silence")).waveforms
    assert (np.abs(quiet).max(axis=1) > 0).all() and len(np.unique(quiet, axis=0)) == len(quiet)
