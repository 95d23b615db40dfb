"""Scenes: what is said where, how loud the noises are, and that no two parts share anything."""

import hashlib
import itertools
import random

import numpy as np
import pytest
import soundfile
import torch

from course_utils.corpora import CorpusError, scenes, speech_commands
from course_utils.corpora.embedded import COMMANDS, sentences
from course_utils.corpora.embedded import scenes as synthetic
from course_utils.corpora.embedded.speakers import make_speaker

RATE = 16_000
PARTS = ("train", "validation", "test")


def tone(samples, level=0.1):
    return np.round(32768 * level * np.sin(np.arange(samples))).astype(np.int16)


def items(text, samples=RATE, start=1600, end=8000):
    """The same recording again and again: silence, a tone from `start` to `end`, silence."""
    sound = np.zeros(samples, np.int16)
    sound[start:end] = tone(end - start)
    return itertools.repeat(scenes.Item(text, "Ann", sound, start, end))


WHITE = {"white": lambda size, random: 7 * random.normal(size=size)}


def composed(minutes=2, seed=0, shares=None, sources=None, **options):
    sources = sources or {
        "command": items("yes"),
        "open": items("A long one.", 3 * RATE, 0, 40_000),
    }
    return scenes.compose(
        sources, shares or {"command": 0.25, "open": 0.75}, WHITE, minutes, seed, **options
    )


def level(samples):
    """In dBFS."""
    return 10 * np.log10(((samples / 32768.0) ** 2).mean())


# --- composing ----------------------------------------------------------------------------------


def test_what_the_table_says_is_where_it_says():
    samples, table = composed(noisy=0)
    assert len(samples) == 120 * RATE
    loud = np.abs(samples.astype(int)) > 327  # the tone has ten times that, the hiss a fifth
    said = np.zeros(len(samples), bool)
    for row in table["rows"]:
        start, end = round(row["start"] * RATE), round(row["end"] * RATE)
        assert not said[start - 1600 : end].any()  # no row in another, nor at its heels
        said[start:end] = True
        assert loud[start:end].mean() > 0.7  # a sine is seldom near zero
    assert not loud[~said].any()


def test_shares_are_shares_of_the_time():
    _, table = composed(minutes=8)
    starts = [row["start"] for row in table["rows"]]
    spent = {"command": 0.0, "open": 0.0}
    for row, end in zip(table["rows"], starts[1:], strict=False):
        spent[row["kind"]] += end - row["start"]
    assert spent["command"] / sum(spent.values()) == pytest.approx(0.25, abs=0.04)


def test_the_order_is_no_rhythm():
    _, table = composed(minutes=5, shares={"command": 0.5, "open": 0.5})
    kinds = [row["kind"] for row in table["rows"]]
    runs = [len(list(run)) for kind, run in itertools.groupby(kinds) if kind == "command"]
    assert len(set(runs)) > 2


def test_a_seed_decides_everything():
    first, again, other = (composed(seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first[0], again[0])
    assert first[1] == again[1]
    assert [row["start"] for row in first[1]["rows"]] != [row["start"] for row in other[1]["rows"]]


def test_noises_have_the_level_that_the_table_says():
    samples, table = composed(minutes=4, shares={"noise": 1.0}, sources={"none": None}, noisy=0)
    assert len(table["rows"]) > 10
    for row in table["rows"]:
        name, stated = row["text"].removesuffix(" dBFS").split(", ")
        inside = samples[round((row["start"] + 0.1) * RATE) : round((row["end"] - 0.1) * RATE)]
        assert name == "white"
        assert level(inside) == pytest.approx(float(stated), abs=1)
        assert -50 <= float(stated) <= -20


def test_silence_is_a_faint_hiss():
    samples, table = composed(shares={"silence": 1.0}, sources={"none": None}, noisy=0)
    assert {row["kind"] for row in table["rows"]} == {"silence"}
    assert level(samples) == pytest.approx(scenes.HISS, abs=0.5)


def test_a_share_of_the_stretches_has_a_noise_under_it():
    samples, table = composed(minutes=10, shares={"silence": 1.0}, sources={"none": None})
    assert len(table["background"]) == pytest.approx(20, abs=12)  # of 40
    for row in table["background"]:
        stated = float(row["text"].removesuffix(" dBFS").split(", ")[1])
        assert -50 <= stated <= -32
        inside = samples[round(row["start"] * RATE) : round(row["end"] * RATE)]
        assert level(inside) == pytest.approx(stated, abs=1)


def test_a_scene_that_nothing_fits_into():
    with pytest.raises(ValueError, match="too short for a single recording"):
        composed(minutes=1 / 60, sources={"command": items("yes", 2 * RATE)}, shares={"command": 1})


def test_an_edge_makes_no_click():
    loud = scenes.Item("yes", "Ann", np.full(RATE, 20_000, np.int16), 0, RATE)
    samples, _ = composed(
        sources={"command": itertools.repeat(loud)}, shares={"command": 1}, noisy=0
    )
    assert np.abs(np.diff(samples.astype(int))).max() < 300


# --- what is said -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["open", "grammar", "single"])
def test_no_two_parts_say_the_same(kind):
    said = {part: synthetic.texts(part, kind) for part in PARTS}
    for part, texts in said.items():
        assert len(texts) == len(set(texts)) >= 60
        words = set(itertools.chain.from_iterable(map(sentences.words, texts)))
        assert words.isdisjoint({*COMMANDS, *synthetic.HOMOPHONES}), part
    for one, other in itertools.combinations(PARTS, 2):
        assert set(said[one]).isdisjoint(said[other])


def test_the_open_text_is_long_enough_and_has_words_that_training_never_hears():
    words = {
        part: {word for text in texts for word in sentences.words(text)}
        for part, texts in synthetic.OPEN_TEXT.items()
    }
    assert sum(map(len, synthetic.OPEN_TEXT.values())) >= 120
    for part in ("validation", "test"):
        assert len(words[part] - words["train"]) > 200


def test_a_single_word_is_no_word_of_a_list():
    assert set(synthetic.texts("train", "single")).isdisjoint(speech_commands.WORDS)
    assert set(synthetic.texts("train", "word")) == set(speech_commands.WORDS) - set(COMMANDS)


def test_no_two_parts_share_a_speaker_and_those_of_the_corpus_stay_in_theirs():
    people = {part: set(synthetic.people(part, 60)) for part in PARTS}
    assert all(len(found) == 60 for found in people.values())
    for one, other in itertools.combinations(PARTS, 2):
        assert people[one].isdisjoint(people[other])
    corpus = speech_commands.load("embedded", verbose=False)
    for part in PARTS:
        names = {make_speaker(number).name for number in synthetic.people(part, 80)}
        assert set(corpus.split(part).speakers) <= names


def test_no_two_parts_share_a_noise():
    for one, other in itertools.combinations(PARTS, 2):
        assert set(synthetic.NOISES[one]).isdisjoint(synthetic.NOISES[other])


@pytest.mark.parametrize("part, name", [(p, n) for p in PARTS for n in synthetic.NOISES[p]])
def test_a_noise_is_as_long_as_asked_never_the_same_and_makes_sound(part, name):
    make = synthetic.NOISES[part][name]
    first, again, other = (make(3 * RATE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (3 * RATE,)
    assert np.isfinite(first).all()
    assert first.std() > 0
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.9


# --- made by a voice ----------------------------------------------------------------------------

SHORT = {"minutes": 0.7, "speakers": 12}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty data folder."""
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))


def test_a_synthetic_scene(cache):
    scene = synthetic.make("test", **SHORT)
    assert scene.seconds == 42
    assert scene.synthetic
    assert {row.kind for row in scene.rows} <= set(scenes.KINDS)
    assert sum(scene.hours.values()) == pytest.approx(42 / 3600, rel=0.02)
    speakers = {f"speaker {number}" for number in synthetic.people("test", 12)}
    spoken = [row for row in scene.rows if row.speaker]
    assert {row.speaker for row in spoken} <= speakers
    for row in spoken:
        assert row.text in synthetic.texts("test", row.kind)
        assert 0.1 < row.end - row.start < 8
        assert level(scene.samples[int(row.start * RATE) : int(row.end * RATE)]) > -45
    assert torch.equal(scene.waveform(1, 1.5)[0] * 32768, torch.tensor(scene.samples[16000:24000]))
    assert f"command {len(scene.of_kind('command'))}" in repr(scene)


def test_it_is_the_same_everywhere_and_made_once(tmp_path, monkeypatch):
    made = []
    for processes in (1, 2):
        monkeypatch.setenv("COURSE_DATA", str(tmp_path / str(processes)))
        random.seed(processes)
        made.append(synthetic.make("train", **SHORT, processes=processes))
    one, two = (hashlib.sha256(scene.samples.tobytes()).hexdigest() for scene in made)
    assert one == two
    assert made[0].rows == made[1].rows
    monkeypatch.setattr(synthetic, "spoken", None)  # nothing is spoken twice
    assert synthetic.make("train", **SHORT).rows == made[0].rows
    left = [path.name for path in (tmp_path / "1" / "cache").glob("scene_*/*")]
    assert sorted(left) == ["table.json", "waveform.int16"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"part": "dev"}, "part is 'dev'; use one of train, validation, test."),
        ({"shares": {"song": 1}}, "no kind song; the kinds: command, word,"),
    ],
)
def test_what_cannot_be_made(arguments, message):
    with pytest.raises(ValueError, match=message):
        synthetic.make(**arguments)


# --- of recordings ------------------------------------------------------------------------------


@pytest.fixture
def recordings(cache, tmp_path):
    """Six speakers, each with a long *yes* and a short *bed*."""
    folder = tmp_path / "recordings"
    for word, samples in (("yes", 16_000), ("bed", 9_000)):
        (folder / word).mkdir(parents=True)
        for number in range(6):
            path = folder / word / f"{number:08x}_nohash_0.wav"
            soundfile.write(path, 0.5 * np.sin(np.arange(samples) * (number + 1) / 9), RATE)
    return speech_commands.load(folder, verbose=False)


def test_a_scene_of_recordings(recordings):
    part = recordings.split("train")
    noises = {"hum": torch.sin(torch.arange(50_000.0))[None]}
    scene = scenes.of_recordings(part, noises, 1)
    assert not scene.synthetic
    assert {row.speaker for row in scene.rows} - {""} <= set(part.speakers)
    assert {row.kind for row in scene.rows} == {"command", "word", "noise", "silence"}
    for row in scene.of_kind("word"):
        assert (row.text, round((row.end - row.start) * RATE)) == ("bed", 9_000)
    assert scenes.of_recordings(part, noises, 1).rows == scene.rows
    assert scenes.of_recordings(part, noises, 1, seed=1).rows != scene.rows


def test_which_words_are_commands_is_said(recordings):
    noises = {"hum": torch.sin(torch.arange(50_000.0))[None]}
    scene = scenes.of_recordings(recordings.split("train"), noises, 1, commands=["bed"])
    assert {row.text for row in scene.of_kind("command")} == {"bed"}
    assert "bed" not in {row.text for row in scene.of_kind("word")} != set()


def test_recordings_that_lack_a_kind(recordings):
    with pytest.raises(CorpusError, match="have nothing of the kind open: they have command, word"):
        scenes.of_recordings(recordings, {}, 1, shares={"command": 0.5, "open": 0.5})
