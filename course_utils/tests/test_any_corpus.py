"""Stages 1 to 3 on corpora that have none of the words, speakers and noises of the embedded one."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from course_utils import settings
from course_utils.audio import read_folder
from course_utils.corpora import word_choice
from course_utils.corpora.clips import SPLITS
from course_utils.corpora.speech_commands import COMMANDS, SpeechCommands, load
from course_utils.exercises import read
from course_utils.instructor import release
from course_utils.runs import check_by_heart
from course_utils.tests.test_speech_commands import named

RATE = 16_000
WORDS = ("zigzag", "блин")


def tones(folder, words=WORDS, speakers=6, takes=5, noises=(0.3, 1.7)):
    """A corpus whose words are tones, of speakers whom their hash puts into training, and noises
    of so many seconds.
    """
    random, people = np.random.default_rng(0), named(20, 100, speakers)

    def write(path, sound):
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound, RATE)

    for number, word in enumerate(words):
        for item in range(speakers * takes):
            seconds = np.arange(random.integers(5_000, 18_000)) / RATE
            tone = 0.3 * np.sin(2 * np.pi * (300 + 200 * number) * seconds)
            name = f"{people[item // takes]}_nohash_{item % takes}.wav"
            write(folder / word / name, tone + 0.01 * random.standard_normal(len(seconds)))
    for number, seconds in enumerate(noises):
        noise = 0.1 * random.standard_normal(round(seconds * RATE))
        write(folder / "_background_noise_" / f"noise {number}.wav", noise)
    return folder


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("small") / "odd")


@pytest.fixture
def opened(own_data, small):
    return load(small, verbose=False)


# Whole notebooks


@pytest.mark.parametrize(
    "stage",
    [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)],
)
def test_solution_runs_on_two_odd_words_and_short_noises(stage, small, tmp_path):
    [path] = (settings.CHECKOUT / "labsolutions").glob(f"{stage:02}_*.ipynb")
    data = Path(os.environ["COURSE_DATA"])  # with the embedded corpus, where a test has made it
    variables = release.environment(data, tmp_path)
    variables |= {"COURSE_QUICK": "1", "COURSE_SPEECH_COMMANDS": str(small)}
    notebook = read(path)
    release.run(notebook, path.parent, variables, timeout=300)
    said = "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
    )
    assert any(word in said for word in WORDS)
    if stage > 1:
        assert "odd is not compared with synthetic speech: the embedded corpus has none" in said
    if stage == 3:
        assert "odd has no other words than these: the embedded corpus lends some." in said


# Who is in which part


def test_speakers_are_shared_out_where_the_hash_leaves_a_part_empty(opened):
    assert [len(set(opened.split(name).speakers)) for name in SPLITS] == [4, 1, 1]
    [note] = [note for note in opened.notes if "split by speaker" in note]
    assert "split by speaker (train 4, validation 1, test 1), for the corpus' own rule" in note
    assert opened.caveats == []


def test_words_that_would_leave_a_part_empty_are_not_chosen_alone(own_data, tmp_path, capsys):
    folder = tones(tmp_path / "corpus", ("yes", "no", "hey"), takes=1)
    tested = set(load(folder, verbose=False).split("test").speakers)
    for word in ("yes", "no"):
        for speaker in tested:
            (folder / word / f"{speaker}_nohash_0.wav").unlink()
    corpus = load(folder, words=COMMANDS)
    assert corpus.words == ["hey", "no", "yes"]
    assert "no clip of yes, no is for test: all of its words are used" in capsys.readouterr().out
    assert len(corpus.split("test"))


def test_a_folder_is_not_taken_for_a_corpus_by_its_name(own_data, tmp_path):
    for name, shown in (("embedded", "mine/embedded"), ("words", "words")):
        folder = tones(tmp_path / "mine" / name, takes=1)
        assert load(folder, verbose=False).name == shown


# What a stage takes from a corpus


def test_examples_are_of_the_words_asked_for_or_of_any(opened):
    train = opened.split("train")
    assert [train[item][2] for item in word_choice.examples(train, ("yes", "no"))] == [*WORDS]
    assert [train[item][2] for item in word_choice.examples(train, ("no", "блин"))] == ["блин"]
    [item] = word_choice.examples(train, count=1, nth=2)
    assert item == np.flatnonzero(train.labels == 0)[2]
    few = train.take([0, 1])
    assert word_choice.examples(few, WORDS) == [1]  # it has no sixth clip, and one word


@pytest.mark.parametrize(
    ("words", "task"),
    [(("yes", "no"), "ten commands"), (("one", "two"), "digits"), (("yes", "two"), "")],
)
def test_task_is_named_by_the_words(words, task, own_data, tmp_path):
    folder = tones(tmp_path / "corpus", words, takes=1)
    assert word_choice.task_of(load(folder, verbose=False)) == task


@pytest.fixture
def lender(own_data, tmp_path, monkeypatch):
    """Stands for the embedded corpus."""
    corpus = load(tones(tmp_path / "lender", ("dog", "two", "one")), verbose=False)
    monkeypatch.setattr(word_choice.speech_commands, "load", lambda *_, **__: corpus)
    return corpus


def test_other_words_are_the_corpus_own_or_lent(opened, lender, capsys):
    assert word_choice.with_other_words(opened, ["zigzag"]) is opened
    assert capsys.readouterr().out == ""
    assert word_choice.with_other_words(opened, WORDS) is lender
    told = "odd has no other words than these: the embedded corpus lends some.\n"
    assert capsys.readouterr().out == told


def test_both_corpora_keep_their_common_words_in_one_order(lender, tmp_path, capsys):
    target = load_of(tmp_path, ("one", "three", "two"))
    source, target = word_choice.with_embedded(target)
    assert source.words == target.words == ["one", "two"]
    for words, why in ((WORDS, "none"), (("one", "блин"), "one")):
        assert word_choice.with_embedded(load_of(tmp_path, words)) is None
        assert f"the embedded corpus has {why} of its words." in capsys.readouterr().out


def load_of(tmp_path, words) -> SpeechCommands:
    from course_utils.corpora import speech_commands

    folder = tones(tmp_path / "-".join(words), words, takes=1)
    return speech_commands._open(folder, folder.name)


def test_too_short_a_noise_is_left_out_and_named(own_data, tmp_path, capsys):
    folder = tones(tmp_path / "corpus", takes=1, noises=(0.3, 0.05, 1.7))
    assert list(load(folder, verbose=False).background_noise()) == ["noise 0", "noise 2"]
    assert "noise 1.wav is shorter than a tenth of a second." in capsys.readouterr().out


# By heart


class Corpus:
    def __init__(self, name):
        self.name = name


def test_by_heart_raises_on_the_embedded_corpus_alone(capsys):
    learnt = torch.linspace(3, 0.01, 60).tolist()
    for name in ("embedded", "other"):
        check_by_heart(learnt, below=0.1, corpus=Corpus(name))
    assert capsys.readouterr().out == ""
    with pytest.raises(AssertionError, match="look for a bug"):
        check_by_heart([3.0] * 60, below=0.1, corpus=Corpus("embedded"))
    check_by_heart([3.0] * 60, below=0.1, corpus=Corpus("other"))
    assert "ends at 3.00, not near zero. That need not be a bug" in capsys.readouterr().out


def test_odd_files_are_read_but_for_the_broken_one(opened, capsys):
    with word_choice.odd_files(opened.split("train")) as folder:
        read_files = {file.name: (x.shape[0], rate) for file, x, rate in read_folder(folder)}
    assert read_files["stereo.mp3"] == (2, 44_100) and read_files["hiss.wav"] == (1, RATE)
    assert "broken.wav" not in read_files and len(read_files) == 4
    assert "broken.wav is not audio" in capsys.readouterr().out
    assert not folder.exists()


def test_other_sounds_are_words_noises_and_hiss(opened):
    part, noise = opened.split("train"), [0.5 * torch.ones(1, RATE)]
    sounds = word_choice.other_sounds(part, ["zigzag"], noise, 0)
    words = len(sounds) - 110
    assert 0 < words == min(200, (part.labels == part.words.index("zigzag")).sum())
    assert sounds.shape[1:] == (1, RATE)
    assert (sounds[words : words + 50] == 0.5).all() and sounds[-10:].abs().max() < 0.01
    assert torch.equal(sounds, word_choice.other_sounds(part, ["zigzag"], noise, 0))
