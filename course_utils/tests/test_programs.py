"""The programs: training, scores and texts outside the notebook, and what they refuse."""

import csv
import json
import re
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
import torch

from course_utils import __main__ as program
from course_utils import audio, exercises, programs, runs, settings
from course_utils.corpora import common_voice, embedded, speech_commands
from course_utils.layers import BothWays
from course_utils.programs import base, sentences, shares, train
from course_utils.programs.trained import Text, Writer

pytest.importorskip("lightning_fabric", reason="the extra [programs] is not installed")

CTC = settings.CHECKOUT / "labsolutions" / "04_common_voice_ctc.ipynb"
WORDS = settings.CHECKOUT / "labsolutions" / "03_mfcc_lstm_augmentation.ipynb"
SMALL = ["--set", "channels=16", "--hidden", "16", "--workers", "0"]
FIND_EVENTS = '''
def find_events(posteriors, threshold, smooth, refractory):
    """Every frame that is sure enough."""
    sure, word = posteriors.max(dim=1)
    return [(t, int(word[t])) for t in range(len(sure)) if sure[t] >= threshold]
'''


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """A corpus of sentences of twenty speakers; nobody writes to it."""
    folder = tmp_path_factory.mktemp("voices") / "small"
    return embedded.common_voice("fr", folder, speakers=20, sentences=2)


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
    """A corpus of words that are tones, of six speakers; nobody writes to it."""
    folder, time = tmp_path_factory.mktemp("spoken"), np.arange(16_000) / 16_000
    random = np.random.default_rng(0)
    for number, word in enumerate(["yes", "no", "up", "house", "tree"]):
        (folder / word).mkdir()
        for speaker in range(6):
            tone = 0.3 * np.sin(2 * np.pi * (200 * 2**number + 10 * speaker) * time)
            name = f"{speaker:08x}_nohash_0.wav"
            soundfile.write(folder / word / name, tone, 16_000)
    (folder / "_background_noise_").mkdir()
    for kind in ("hiss", "fan", "rain"):
        noise = 0.1 * random.standard_normal(32_000)
        soundfile.write(folder / "_background_noise_" / f"{kind}.wav", noise, 16_000)
    return folder


@pytest.fixture(scope="session")
def by_heart(voices, tmp_path_factory):
    """A training on eight sentences until it writes some letters, and what was printed."""
    out = tmp_path_factory.mktemp("runs") / "by-heart"
    given = ["--corpus", str(voices), "--out", str(out), "--limit", "8", "--epochs", "40"]
    given += ["--batch-size", "8", "--learning-rate", "0.01", "--workers", "0"]
    assert programs.run("train", ["ctc", *given]) == 0
    return out


def told(capsys):
    """The one line on stderr that is none of torch's, of a progress bar, or about the device."""
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    lines = [line for line in lines if line.startswith("python -m") or line.startswith("transc")]
    assert len(lines) == 1, lines
    return lines[0]


def losses(out):
    with (out / "steps.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


# --- training


def test_a_training_leaves_a_checkpoint_that_explains_itself(by_heart, voices):
    kept = runs.load(by_heart)
    assert kept["corpus"] == "small/fr" and kept["notebook"] == CTC.name
    assert kept["epochs"] == 40 and len(kept["history"]["validation_cer"]) == 40
    assert kept["history"]["train_loss"][-1] < 0.7 * kept["history"]["train_loss"][0]
    assert {"train_loss", "validation_wer", "waiting"} <= kept["history"].keys()
    summary = (by_heart / "summary.txt").read_text()
    assert "train ctc" not in summary.partition("Command")[0]
    assert "Conv1d" in summary and "said    " in summary and "--limit 8" not in summary
    lines = (by_heart / "scalars.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,train_loss") and len(lines) == 41
    assert len(losses(by_heart)) == 40
    assert any(path.name.startswith("events.") for path in by_heart.iterdir())
    assert runs.model(by_heart).labels[0] == ""


def test_words_with_unknown_ones_and_silence(spoken, tmp_path, capsys):
    out = tmp_path / "words"
    given = ["--corpus", str(spoken), "--task", "12", "--epochs", "2", "--out", str(out)]
    assert programs.run("train", ["words", *given, "--workers", "0"]) == 0
    assert runs.load(out)["labels"] == ["yes", "no", "up", "unknown", "silence"]
    capsys.readouterr()
    assert programs.run("test", [str(out), "--corpus", str(spoken), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert np.array(found["confusion"]).shape == (5, 5)
    right = np.trace(found["confusion"]) / np.sum(found["confusion"])
    [score] = found["scores"]
    assert score["value"] == pytest.approx(right)
    assert score["low"] <= score["value"] <= score["high"]


def test_pieces_of_a_batch_add_up(spoken, tmp_path):
    found = []
    for pieces in ("1", "3"):
        out = tmp_path / pieces
        given = ["--corpus", str(spoken), "--epochs", "2", "--no-augment", "--batch-size", "7"]
        given += ["--accumulate", pieces, "--workers", "0", "--out", str(out)]
        assert programs.run("train", ["words", *given]) == 0
        found.append(losses(out))
    assert len(found[0]) >= 4
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize(
    ("asked", "recurrent"), [([], BothWays), (["--model", "SpeechCTC"], torch.nn.LSTM)]
)
def test_a_student_s_own_network_trains_by_the_same_command(voices, tmp_path, asked, recurrent):
    notebook = exercises.read(CTC)
    [cell] = [cell for cell in notebook.cells if cell.id == "ex-4-11"]
    assert cell.source.count("nn.GRU(") == 1
    cell.source = cell.source.replace("nn.GRU(", "nn.LSTM(").replace(
        "channels: int = 96", "channels: int = 24"
    )
    exercises.write(tmp_path / CTC.name, notebook)
    out = tmp_path / "out"
    given = ["--notebook", str(tmp_path / CTC.name), "--corpus", str(voices), "--out", str(out)]
    given += [*asked, "--limit", "8", "--epochs", "1", *SMALL[2:]]
    assert programs.run("train", ["ctc", *given]) == 0
    network = runs.model(out, tmp_path / CTC.name).network
    assert isinstance(network.rnn, recurrent)
    lstms = [part for part in network.rnn.modules() if isinstance(part, torch.nn.LSTM)]
    assert {(lstm.input_size, lstm.hidden_size) for lstm in lstms} == {(24, 16)}


def test_an_exercise_that_is_to_be_written_is_named_before_any_corpus_is_read(
    tmp_path, monkeypatch, capsys
):
    def read(*given, **options):
        raise AssertionError("a corpus was read")

    monkeypatch.setattr(common_voice, "load", read)
    notebook = exercises.read(CTC)
    by_id = {exercise.id: exercise for exercise in exercises.exercises(notebook)}
    for number in ("4.3", "4.9", "4.11"):  # used by name, by the network, and the network itself
        spoilt = exercises.read(CTC)
        [cell] = [cell for cell in spoilt.cells if cell.id == by_id[number].cell("ex")]
        cell.source = by_id[number].stub
        exercises.write(tmp_path / CTC.name, spoilt)
        given = ["ctc", "--notebook", str(tmp_path / CTC.name), "--out", str(tmp_path / "out")]
        assert programs.run("train", given) == 2
        assert by_id[number].name in told(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_it_is_told_how_to_go_on(voices, tmp_path, monkeypatch, capsys, asked):
    given = ["ctc", "--corpus", str(voices), "--limit", "8", "--epochs", "2", "--batch-size", "2"]
    given += [*SMALL, "--mask", "4", "10"]
    assert programs.run("train", [*given, "--out", str(tmp_path / "whole")]) == 0
    monkeypatch.setattr(sys, "argv", ["course", "train", *given, "--out", str(tmp_path / "cut")])
    steps, loss = iter(range(100)), sentences.Sentences.loss

    def pressed(self, network, batch):
        if network.training and next(steps) == 2:
            signal.raise_signal(asked)
        return loss(self, network, batch)

    with monkeypatch.context() as patch:
        patch.setattr(sentences.Sentences, "loss", pressed)
        patch.setattr(sentences.Counted, "training", False, raising=False)
        assert programs.run("train", [*given, "--out", str(tmp_path / "cut")]) == 130
    said = capsys.readouterr().out
    assert "Stopped after step 3 of 4 in epoch 1" in said and "--resume" in said
    command = said.strip().splitlines()[-1].split()
    assert command[:5] == ["python", "-m", "course_utils", "train", "ctc"]
    assert programs.run("train", command[4:]) == 0
    whole, cut = (runs.load(tmp_path / name) for name in ("whole", "cut"))
    for name, value in whole["last"].items():
        assert torch.equal(value, cut["last"][name]), name
    assert losses(tmp_path / "whole") == losses(tmp_path / "cut")
    assert whole["history"]["train_loss"] == pytest.approx(cut["history"]["train_loss"])


def test_a_folder_is_neither_overwritten_nor_mixed_up(by_heart, voices, capsys):
    given = ["ctc", "--corpus", str(voices), "--out", str(by_heart)]
    assert programs.run("train", given) == 2
    assert "--resume" in told(capsys)
    assert programs.run("train", [*given, "--resume"]) == 2
    assert re.search(r"trained with other options: .*limit 8 \(now None\)", told(capsys))


# --- shares


@pytest.mark.parametrize("processes", [1, 2, 3, 5])
@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("size", [1, 4, 7])
def test_shares_of_a_batch_give_its_mean(processes, pieces, size):
    batch, loss = list(range(10, 10 + size)), dict(enumerate(np.random.default_rng(0).random(20)))
    heard, means = [], []
    for rank in range(processes):
        mine = shares.shares(batch, rank, processes, pieces)
        assert len(mine) == pieces
        means.append(sum(one.weight * np.mean([loss[row] for row in one.rows]) for one in mine))
        heard += [row for one in mine for row in one.rows if one.weight]
    assert sorted(heard) == batch
    assert np.mean(means) == pytest.approx(np.mean([loss[row] for row in batch]))


def test_places_are_where_the_clips_lie(voices, spoken):
    for corpus in (
        common_voice.load("fr", voices, verbose=False),
        speech_commands.load(spoken, verbose=False),
    ):
        part = corpus.split("validation")
        sounds = shares.Sounds(*part.places())
        for row in range(len(part)):
            expected = part[row][0]
            assert torch.equal(sounds.waveform(row)[:, : expected.shape[1]], expected)


# --- at work


def notebook_s_texts(out, clip):
    """What the functions of the notebook write for a clip, as its cells call them."""
    names = ["log_probs_of", "prepare", "beam_search", "greedy", "CharMap"]
    space, trained = exercises.definitions(CTC, names), runs.model(out)
    space["device"] = torch.device("cpu")
    mean, std = (trained.checkpoint["feature_arguments"][name] for name in ("mean", "std"))
    [frames] = space["log_probs_of"](trained.network, [(space["prepare"](clip, mean, std), [0])])
    charmap = space["CharMap"]("".join(trained.labels))
    greedy = space["greedy"](frames[None], torch.tensor([len(frames)]))[0]
    return charmap.decode(greedy), charmap.decode(space["beam_search"](frames, 4, None)[0][0])


def test_transcribe_writes_what_the_notebook_writes(by_heart, voices, capsys):
    corpus = common_voice.load("fr", voices, verbose=False)
    part = corpus.sample(8).split("train")
    path = corpus.folder / "clips" / part.paths[0].removeprefix("clips/")
    clip = audio.resample(*audio.read(path), 16_000)
    greedy, beam = notebook_s_texts(by_heart, clip)
    assert len(greedy) > 3
    capsys.readouterr()
    assert programs.run("transcribe", [str(by_heart), str(path)]) == 0
    assert capsys.readouterr().out == f"{greedy}\n"
    given = [str(by_heart), str(path), "--beam", "4", "--best", "3", "--json"]
    assert programs.run("transcribe", given) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["text"] == beam and len(found["best"]) == 3
    scores = [one["log_probability"] for one in found["best"]]
    assert scores == sorted(scores, reverse=True)
    times = [time for word in found["words"] for time in (word["start"], word["end"])]
    assert [word["word"] for word in found["words"]] == beam.split()
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= found["seconds"] + 0.01


def test_words_stand_where_they_are_said(by_heart):
    writer = Writer(runs.model(by_heart))
    letters = {letter: token for token, letter in enumerate(writer.labels)}
    path = "-aa- -b-"
    tokens = [letters.get(letter, 0) for letter in path]
    log_probs = torch.full((len(path), len(writer.labels)), -9.0)
    log_probs[range(len(path)), tokens] = -0.01
    text = Text("a b", None, tuple(letters[letter] for letter in "a b"))
    assert writer.times(log_probs, text, 0.8) == [
        {"word": "a", "start": 0.1, "end": 0.3},
        {"word": "b", "start": 0.6, "end": 0.7},
    ]


def test_a_language_model_helps_the_beam(by_heart, voices, tmp_path, capsys):
    text = tmp_path / "sentences.txt"
    text.write_text("Le chat est là.\n\nJe cherche le château !\n", encoding="utf-8")
    [path, *_] = sorted(voices.rglob("*.mp3"))
    given = [str(by_heart), str(path), "--beam", "4", "--best", "1", "--json"]
    found = []
    for more in ([], ["--text", str(text), "--alpha", "3", "--beta", "2"]):
        capsys.readouterr()
        assert programs.run("transcribe", [*given, *more]) == 0
        found.append(json.loads(capsys.readouterr().out)["text"])
    assert found[0] != found[1]


def test_scores_have_intervals_over_speakers(by_heart, voices, capsys):
    given = [str(by_heart), "--corpus", str(voices), "--split", "validation", "--beam", "2"]
    capsys.readouterr()
    assert programs.run("test", [*given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["metric"] for row in found["scores"]] == 3 * ["CER", "WER"]
    assert found["speakers"] > 1
    for row in found["scores"]:
        assert row["low"] <= row["value"] <= row["high"] and row["high"] > row["low"] - 1e-9
    assert programs.run("test", given) == 0
    assert "beam of 2, language model" in capsys.readouterr().out


def test_one_bad_file_does_not_stop_the_others(by_heart, voices, tmp_path, capsys):
    good = sorted(voices.rglob("*.mp3"))[:2]
    for number, path in enumerate(good):
        (tmp_path / f"{number}.mp3").write_bytes(path.read_bytes())
    (tmp_path / "00.wav").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no sound")
    capsys.readouterr()
    assert programs.run("transcribe", [str(by_heart), str(tmp_path), "--json"]) == 2
    out = capsys.readouterr()
    assert [json.loads(line)["file"][-5:] for line in out.out.splitlines()] == ["0.mp3", "1.mp3"]
    assert "00.wav is empty" in out.err


@pytest.fixture
def words(spoken, tmp_path):
    """A network that names words, hardly trained, and a notebook that also finds events."""
    notebook = exercises.read(WORDS)
    [cell] = [cell for cell in notebook.cells if cell.id == "ex-3-10"]
    if "def find_events" not in str([cell.source for cell in notebook.cells]):
        cell.source += FIND_EVENTS
    exercises.write(tmp_path / WORDS.name, notebook)
    out = tmp_path / "words"
    given = ["--corpus", str(spoken), "--epochs", "1", "--workers", "0", "--out", str(out)]
    assert programs.run("train", ["words", *given]) == 0
    return out, tmp_path / WORDS.name


def test_listen_tells_events_of_a_file(words, spoken, tmp_path, capsys):
    out, notebook = words
    scene = tmp_path / "scene.wav"
    soundfile.write(scene, 0.1 * np.random.default_rng(0).standard_normal(8_000 * 4), 8_000)
    given = [str(out), "--notebook", str(notebook), "--file", str(scene), "--threshold", "0"]
    capsys.readouterr()
    assert programs.run("listen", [*given, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    # At a threshold of 0 something is told once a second, from the first whole one.
    assert [event["second"] for event in events] == pytest.approx([1, 2, 3, 4])
    trained = runs.model(out, notebook)
    sound = audio.resample(*audio.read(scene), 16_000)
    for event in events:
        end = round(16_000 * event["second"])
        p = trained(sound[None, :, end - 16_000 : end]).softmax(dim=1)[0]
        assert event["word"] == trained.labels[int(p.argmax())]
        assert event["score"] == pytest.approx(float(p.max()), abs=1e-4)
    assert programs.run("listen", [*given, "--threshold", "1"]) == 0
    assert capsys.readouterr().out == ""


class Microphone:
    """In place of sounddevice: somebody hisses for three seconds, then presses Ctrl-C."""

    class PortAudioError(Exception):
        pass

    def __init__(self, sample_rate, size, channels, dtype):
        assert (sample_rate, channels, dtype) == (16_000, 1, "float32")
        self.left = 48_000

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def read(self, size):
        if self.left <= 0:
            raise KeyboardInterrupt
        self.left -= size
        noise = np.random.default_rng(self.left).standard_normal((size, 1))
        return 0.1 * noise.astype(np.float32), False


def test_listen_tells_events_at_the_microphone(words, monkeypatch, capsys):
    out, notebook = words
    given = [str(out), "--notebook", str(notebook), "--threshold", "0"]
    fake = types.SimpleNamespace(InputStream=Microphone, PortAudioError=Microphone.PortAudioError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    capsys.readouterr()
    assert programs.run("listen", given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Listening. Ctrl-C ends it."
    assert [float(line.split()[0]) for line in lines[1:4]] == [1, 2, 3]

    def broken(*given, **options):
        raise Microphone.PortAudioError("no such device")

    monkeypatch.setattr(fake, "InputStream", broken)
    assert programs.run("listen", given) == 2
    assert "cannot be used: no such device. Or give --file" in told(capsys)
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert programs.run("listen", given) == 2
    assert 'pip install -e ".[programs]"' in told(capsys)


# --- what is refused


def test_without_the_extra_training_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    assert programs.run("train", ["ctc", "--out", str(tmp_path / "out")]) == 2
    assert 'pip install -e ".[programs]"' in told(capsys)


def refusals(by_heart, words, tmp_path):
    """Program, arguments, and what the one line must say."""
    text, empty, half = tmp_path / "a.txt", tmp_path / "a.wav", tmp_path / "half" / "checkpoint.pt"
    text.write_text("This is no sound.")
    empty.write_bytes(b"")
    half.parent.mkdir()
    content = (by_heart / "checkpoint.pt").read_bytes()
    half.write_bytes(content[: len(content) // 2])
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16_000), 16_000)
    ok = str(by_heart)
    yield "transcribe", [ok, str(text)], "a.txt is not audio"
    yield "transcribe", [ok, str(empty)], "a.wav is empty"
    yield "transcribe", [ok, str(silent)], "silent for its whole length"
    yield "transcribe", [ok, str(tmp_path / "none.wav")], "There is no file and no folder"
    yield "transcribe", [ok, str(half.parent)], "holds no file of .wav"
    yield "transcribe", [str(words[0]), str(text)], "names words .train words.; needed is"
    yield "transcribe", [str(half.parent), str(text)], "half/checkpoint.pt is damaged"
    yield "transcribe", [str(tmp_path / "nowhere"), str(text)], "There is no checkpoint"
    yield "transcribe", [ok, str(text), "--notebook", str(WORDS)], "does not define FastCTC"
    yield "transcribe", [ok, str(text), "--best", "3"], "add --beam"
    yield "listen", [ok, "--file", str(text)], "writes sentences .train ctc.; needed is"
    yield "listen", [str(words[0]), "--file", str(text), "--notebook", str(words[1])], "not audio"
    yield "train", ["ctc", "--notebook", str(WORDS)], "does not define normalise"
    yield "train", ["ctc", "--notebook", str(tmp_path / "no.ipynb")], "There is no notebook"
    yield "train", ["ctc", "--set", "width=3"], "SpeechCTC takes no width; it takes bands"
    yield "train", ["ctc", "--model", "Nothing"], "does not define Nothing"
    yield "train", ["ctc", "--corpus", str(tmp_path / "no")], "There is no corpus"
    yield "train", ["ctc", "--notebook", str(silent)], "silent.wav"
    yield "train", ["ctc", "--language", "xx"], "language is 'xx'; the embedded corpus speaks"
    yield "train", ["ctc", "--min-seconds", "20"], "min_seconds is 20.0, max_seconds 10.0"
    yield "train", ["ctc", "--accumulate", "9"], "--accumulate 9 cuts 8 clips"
    yield "train", ["ctc", "--set", "bands=7"], "corpus and notebook decide bands"
    yield "train", ["ctc", "--limit", "4", "--set", "hidden=-1"], "cannot be made with .*hidden=-1"
    yield "train", ["ctc", "--limit", "4", "--mask", "99", "1"], "up to 99 bands, and there are 40"
    yield "train", ["ctc", "--device", "foo"], "The device asked for is 'foo', which is none"
    yield "train", ["ctc", "--out", str(text)], "a.txt cannot be written .*give another"
    yield "transcribe", [ok, str(text), "--beam", "2", "--text", str(half)], "is no text in UTF-8"
    yield "transcribe", [ok, str(text), "--beam", "2", "--text", "none"], "There is no file none"
    yield "transcribe", [ok, str(text), "--alpha", "0.3"], "give its sentences with --text"
    yield "train", ["ctc", "--resume"], "--resume needs the folder"
    yield "train", ["ctc", "--resume", "--out", str(tmp_path)], "holds no state"
    yield "test", [ok, "--corpus", str(tmp_path / "no")], "There is no corpus"


def test_what_cannot_be_used_is_said_in_one_line(by_heart, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sentences, "network_name", lambda notebook, wanted: wanted or "SpeechCTC")
    for name, given, message in refusals(by_heart, words, tmp_path):
        if name == "train" and "--out" not in given and "--resume" not in given:
            given = [*given, "--out", str(tmp_path / "out")]
        capsys.readouterr()
        assert programs.run(name, given) == 2, given
        assert re.search(message, told(capsys)), given


def test_one_bad_path_does_not_stop_the_others(by_heart, voices, tmp_path, capsys):
    clip = sorted(voices.rglob("*.mp3"))[0]
    folder = tmp_path / "some\tfolder"
    folder.mkdir()
    (folder / "clip.mp3").write_bytes(clip.read_bytes())
    (folder / "notes.txt").write_text("nothing to hear")
    (folder / "gone.wav").symlink_to(tmp_path / "nowhere")
    capsys.readouterr()
    assert programs.run("transcribe", [str(by_heart), "none.wav", str(folder)]) == 2
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path}/some folder/clip.mp3\t")
    assert len(said.out.splitlines()) == 1
    for part in ("no folder none.wav", "none of .wav, .flac, .mp3: notes.txt", "gone.wav"):
        assert part in said.err


def test_a_new_training_takes_no_number_that_was_given(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    for name in ("ctc-program-2", "ctc-program-10", "ctc-program-other", "words-program-30"):
        (tmp_path / name).mkdir()
    given = types.SimpleNamespace(out=None, resume=False, kind="ctc")
    assert train._folder(given) == tmp_path / "ctc-program-11"


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("transcribe", ["runs/fr"], "the following arguments are required"),
        ("train", [], "the following arguments are required: kind"),
        ("train", ["ctc", "--epochs", "none"], "--epochs: 'none' is no whole number from 1"),
        ("train", ["ctc", "--learning-rate", "nan"], "'nan' is no number from 1e-09"),
        ("train", ["ctc", "--dropout", "2"], "'2' is no number from 0 to 1"),
        ("train", ["ctc", "--mask", "-1", "3"], "'-1' is no whole number from 0"),
        ("train", ["ctc", "--speeds", "1e9"], "'1e9' is no number from 0.25 to 4"),
        ("train", ["words", "--seed", "-1"], "'-1' is no whole number from 0 to 4.29497e+09"),
        ("transcribe", ["runs/fr", "a.wav", "--beam", "-1"], "'-1' is no whole number from 0"),
        ("transcribe", ["runs/fr", "a.wav", "--best", "0"], "'0' is no whole number from 1"),
        ("test", ["runs/fr", "--limit", "-3"], "'-3' is no whole number from 1"),
        ("listen", ["runs/fr", "--threshold", "inf"], "'inf' is no number from 0 to 1"),
        ("train", ["ctc", "--epoch", "3"], "unrecognized arguments: --epoch"),
        ("test", ["runs/fr", "--split", "all"], "invalid choice: 'all'"),
    ],
)
def test_a_missing_or_wrong_option_is_one_line(name, given, message, capsys):
    with pytest.raises(SystemExit) as ended:
        programs.run(name, given)
    [line] = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and message in line and "--help" in line


# --- help


def parsers():
    """Every parser that a user may ask for help, by its name."""
    for name, purpose in programs.PROGRAMS.items():
        parser = base.parser_for(name, purpose)
        module = pytest.importorskip(f"course_utils.programs.{name}")
        module.options(parser)
        yield parser
        for action in parser._actions:
            if action.dest == "kind":
                yield from action.choices.values()


def test_every_option_has_a_help_and_every_program_an_example_that_parses():
    for parser in parsers():
        for action in parser._actions:
            assert action.help, (parser.prog, action.dest)
            if action.option_strings and action.default is None:
                assert "none: " in action.help, (parser.prog, action.dest)
        assert "examples:" in parser.format_help()
        examples = re.findall("python -m course_utils (.*)", parser.epilog)
        assert examples
        for words in map(str.split, examples):
            given = base.parser_for(words[0], programs.PROGRAMS[words[0]])
            __import__(f"course_utils.programs.{words[0]}", fromlist=["x"]).options(given)
            assert given.parse_args(words[1:])


def test_programs_are_listed_and_found(capsys):
    with pytest.raises(SystemExit):
        program.main(["--help"])
    listed = capsys.readouterr().out
    assert all(name in listed for name in programs.PROGRAMS)
    with pytest.raises(SystemExit):
        program.main(["transcribe", "--help"])
    assert "FILE|FOLDER|-" in capsys.readouterr().out


# --- other processes


def course(*given):
    """A command of the course in a process of its own."""
    command = [sys.executable, "-m", "course_utils", *map(str, given)]
    return subprocess.Popen(command, cwd=settings.CHECKOUT, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_same_weights(voices, tmp_path):
    given = ["train", "ctc", "--corpus", voices, "--batch-size", "2", "--epochs", "2"]
    given += [*SMALL[:-1], "1", "--mask", "4", "10", "--dropout", "0.2", "--save-every", "0"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert course(*given, "--out", whole).wait() == 0
    killed = course(*given, "--out", cut)
    while not ((cut / "steps.csv").is_file() and len(losses(cut)) >= 5):
        assert killed.poll() is None
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert len(losses(cut)) < len(losses(whole)) / 2  # in mid-epoch
    assert course(*given, "--out", cut, "--resume").wait() == 0
    one, other = runs.load(whole), runs.load(cut)
    for name, value in one["last"].items():
        assert torch.equal(value, other["last"][name]), name
    assert losses(whole) == losses(cut)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(voices, tmp_path):
    """With the batch norm of the network over all, and a batch that two cannot halve."""
    found = []
    for processes in ("1", "2"):
        out = tmp_path / processes
        given = ["train", "ctc", "--corpus", voices, "--batch-size", "5", "--epochs", "2"]
        given += [*SMALL, "--mask", "4", "10", "--devices", processes, "--out", out]
        assert course(*given).wait() == 0
        found.append((losses(out), runs.load(out)))
    (alone, one), (together, other) = found
    assert len(alone) == len(together) >= 8
    # Sums in another order: measured 1e-6 in eight steps.
    assert alone == pytest.approx(together, rel=1e-4)
    for name in ("validation_loss", "validation_cer", "validation_wer"):
        assert one["history"][name] == pytest.approx(other["history"][name], rel=1e-3), name


def test_what_changes_the_weights_is_compared_when_a_training_goes_on():
    parser = base.parser_for("train", "train")
    train.options(parser)
    names = vars(parser.parse_args(["ctc"])).keys()
    assert set(train.FREE) - names == {"command"}
    assert {"batch_size", "seed", "precision", "mask", "limit", "schedule"} <= names - {*train.FREE}
