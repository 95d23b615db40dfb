"""Trainings stop and go on, checkpoints explain themselves, and nothing is trusted blindly."""

import io
import itertools
import json
import linecache
import math
import subprocess
import sys
import types
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from course_utils import audio, exercises, files, runs, settings
from course_utils.runs.checkpoint import plain
from course_utils.runs.code import collected

LABSOLUTIONS = settings.CHECKOUT / "labsolutions"
CORPUS = types.SimpleNamespace(
    name="toy", fingerprint="d41d", words=["no", "yes"], sample_rate=16_000
)
cells = itertools.count()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of checkpoints of its own for each test."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def from_notebook(source, monkeypatch, module="__main__", **names):
    """What a cell of a notebook defines: its lines are known to linecache, and to no file."""
    filename = f"<ipython-input-{next(cells)}>"
    lines = source.splitlines(True)
    monkeypatch.setitem(linecache.cache, filename, (len(source), None, lines, filename))
    namespace = {"__name__": module, "torch": torch, **names}
    exec(compile(source, filename, "exec"), namespace)
    return namespace


TOY = """
RATE = 0.1

class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.layer = torch.nn.Linear(width, 2)

    def forward(self, x):
        return self.layer(x)

def halve(waveforms, by):
    return waveforms[:, 0, ::by]

def loss_of(model, x, y):
    return torch.nn.functional.cross_entropy(model(x), y)

def fit(training, model, data, *, epochs, seed):
    x, y = data
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    for epoch in training.epochs(epochs, model=model, optimiser=optimiser, generator=generator):
        for rows in training.batches(torch.randperm(len(x), generator=generator).split(4)):
            optimiser.zero_grad()
            loss_of(model, x[rows], y[rows]).backward()
            optimiser.step()
        loss = loss_of(model, x, y).item()
        training.extras["epoch"] = epoch
        training.update(score=-loss, train_loss=loss, validation_loss=2 * loss)
"""
X = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 2


def train(toy, name="net", epochs=3, seed=0, corpus=CORPUS, **options):
    options = {"features": toy["halve"], "feature_arguments": {"by": 2}, **options}
    return runs.train_or_load(
        name, toy["Net"], {"width": 3}, toy["fit"], (X, Y), stage=1, corpus=corpus, seed=seed,
        settings={"epochs": epochs, "seed": seed}, show=False, **options,
    )  # fmt: skip


@pytest.fixture
def toy(monkeypatch):
    return from_notebook(TOY, monkeypatch)


@pytest.mark.parametrize(("title", "heading"), [("", "net (toy)"), ("A net", "A net (toy)")])
def test_the_curves_have_a_title_that_changes_no_run(toy, monkeypatch, title, heading):
    headings = []
    training = runs.training.Training

    class Noted(training):
        def __init__(self, folder, title, *more):
            headings.append(title)
            super().__init__(folder, title, *more)

    monkeypatch.setattr(runs.training, "Training", Noted)
    train(toy, title=title)
    assert headings == [heading]
    train(toy, title="Another")
    assert len(headings) == 1  # it was loaded


@pytest.fixture
def stop(monkeypatch):
    """Press the stop button when backward has been called this often from now on; 0: never."""

    def at(count):
        backward, passes = torch.Tensor.backward, itertools.count(1)

        def counted(tensor, *arguments, **named):
            if next(passes) == count:
                raise KeyboardInterrupt
            return original(tensor, *arguments, **named)

        original = getattr(backward, "original", backward)
        counted.original = original
        monkeypatch.setattr(torch.Tensor, "backward", counted)

    return at


# --- the code that counts ----------------------------------------------------------------------


def test_the_code_of_a_training_is_found_by_following_names(toy):
    found = collected(toy["fit"], toy["Net"], toy["halve"])
    assert found.keys() == {"fit", "Net", "halve", "loss_of", "RATE"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("RATE = 0.1", "RATE = 0.2"),
        ("Linear(width, 2)", "Linear(width, 2, bias=True)"),
        ("cross_entropy(model(x), y)", "cross_entropy(model(x), y) * 2"),
        ("::by", "1::by"),
    ],
)
def test_a_change_of_the_code_makes_another_key(toy, monkeypatch, old, new):
    changed = from_notebook(TOY.replace(old, new), monkeypatch)
    names = ("fit", "Net", "halve")
    assert collected(*(changed[n] for n in names)) != collected(*(toy[n] for n in names))


@pytest.mark.parametrize("extra", ["# a comment\n", "\n\n\n", "UNUSED = 3\n"])
def test_what_changes_nothing_changes_no_key(toy, monkeypatch, extra):
    again = from_notebook(extra + TOY, monkeypatch)
    assert collected(again["fit"], again["Net"]) == collected(toy["fit"], toy["Net"])


def test_wrapped_code_bases_closures_and_objects_are_followed(monkeypatch):
    space = from_notebook(
        "import functools\n"
        "class Base:\n    @staticmethod\n    def a(): return deep()\n"
        "class Table(Base):\n    @property\n    def b(self): return 1\n"
        "def deep(): return 1\n"
        "table = Table()\n"
        "def make(f):\n    def inner(): return f() + table.b\n    return inner\n"
        "closed = make(deep)\n"
        "half = functools.partial(closed)\n"
        "def fit(): return half()\n",
        monkeypatch,
    )
    found = collected(space["fit"])
    assert {"fit", "make.<locals>.inner", "deep", "Table", "Base"} <= found.keys()


def test_code_whose_source_is_not_known_is_refused(toy, monkeypatch):
    monkeypatch.delitem(linecache.cache, toy["Net"].__init__.__code__.co_filename)
    with pytest.raises(OSError, match=r"source"):
        collected(toy["fit"])


def test_the_notebooks_leave_nothing_out():
    [notebook] = LABSOLUTIONS.glob("03_*.ipynb")
    third = exercises.definitions(notebook, ["fit", "SpeechLSTM", "prepare"])
    found = collected(third["fit"], third["SpeechLSTM"], third["prepare"])
    assert {"evaluate", "train_step", "augment", "add_noise", "mfcc"} <= found.keys()
    [notebook] = LABSOLUTIONS.glob("04_*.ipynb")
    fourth = exercises.definitions(notebook, ["fit", "SpeechCTC"])
    found = collected(fourth["fit"], fourth["SpeechCTC"])
    assert {"write_down", "said", "collapse", "edit_distance", "output_frames"} <= found.keys()


def test_code_without_lines_of_its_own_is_found(toy, monkeypatch):
    cell = (
        "import dataclasses\n"
        "class Act(torch.nn.GELU): pass\n"
        "@dataclasses.dataclass\nclass Sizes:\n    width: int = 3\n"
        "class Loss:\n    def __call__(self): return Act(), Sizes()\n"
        "loss = Loss()\n"
    )
    broken = "%%bash\nls"  # another cell of the notebook
    found = collected(from_notebook(cell, monkeypatch)["loss"])
    monkeypatch.setitem(linecache.cache, "<bash>", (len(broken), None, [broken], "<bash>"))
    assert found.keys() == {"Loss", "Act", "Sizes"}
    changed = collected(from_notebook(cell.replace("= 3", "= 4"), monkeypatch)["loss"])
    assert [name for name in found if found[name] != changed[name]] == ["Sizes"]


# --- train or load -------------------------------------------------------------------------------


def test_trained_once_and_loaded_the_next_time(toy, folder, capsys):
    model, trained = train(toy)
    [place] = folder.glob("net-*")
    assert sorted(path.name for path in place.iterdir()) == [
        "checkpoint.pt",
        "scalars.csv",
        "summary.txt",
    ]
    assert capsys.readouterr().out == ""
    again, loaded = train(toy)
    told = capsys.readouterr().out
    assert told.startswith(f"Loaded runs/{place.name}: code, settings and corpus are the same.")
    assert loaded["history"] == trained["history"] and loaded["seconds"] == trained["seconds"]
    assert torch.equal(again(X), model(X))
    assert not model.training


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 4},
        {"seed": 1},
        {"corpus": types.SimpleNamespace(**{**vars(CORPUS), "fingerprint": "d41e"})},
        {"feature_arguments": {"by": 3}},
        {"feature_arguments": {"by": torch.ones(2)}},
        {"labels": ["yes", "no"]},
        {"code": (train,)},
    ],
    ids="-".join,  # the names: an id that tells an address differs between two processes
)
def test_every_change_trains_anew(toy, folder, change):
    train(toy)
    train(toy, **change)
    count = 1 if change == {"code": (train,)} else 2  # a function of a file is no cell's
    assert len(list(folder.glob("net-*/checkpoint.pt"))) == count


def test_another_version_of_torch_trains_anew(toy, folder, monkeypatch):
    train(toy)
    monkeypatch.setattr(torch, "__version__", "0.4.1")
    train(toy)
    assert len(list(folder.glob("net-*/checkpoint.pt"))) == 2


def test_settings_that_no_file_can_hold_are_named(toy):
    with pytest.raises(runs.CheckpointError, match=r"\['rate'\] is a object; a checkpoint holds"):
        train(toy, table={"rate": object()})


def test_a_checkpoint_explains_itself(toy, folder):
    train(toy, labels=["", "a"], table={"à": "a"})
    [place] = folder.glob("net-*")
    found = runs.load(place)
    assert found["class"] == "Net" and found["arguments"] == {"width": 3}
    assert found["labels"] == ["", "a"] and found["table"] == {"à": "a"}
    assert found["features"] == "halve" and found["feature_arguments"] == {"by": 2}
    assert (found["corpus"], found["fingerprint"], found["seed"]) == ("toy", "d41d", 0)
    assert found["notebook"].startswith("01_") and found["versions"]["torch"]
    assert found["settings"] == {"epochs": 3, "seed": 0} and found["extras"] == {"epoch": 2}
    text = (place / "summary.txt").read_text()
    assert "layer" in text and "8 parameters" in text and f'runs.model("runs/{place.name}")' in text
    assert "train_loss" in text and "epochs" in text
    lines = (place / "scalars.csv").read_text().splitlines()
    assert lines[0] == "epoch,train_loss,validation_loss" and len(lines) == 4


def test_numpy_is_converted_when_it_is_saved(folder, monkeypatch):
    numpy = TOY.replace('["epoch"] = epoch', '["epoch"] = numpy.array([epoch, 1])').replace(
        "train_loss=loss,", "train_loss=numpy.float64(loss),"
    )
    train(from_notebook(numpy, monkeypatch, numpy=np))
    [place] = folder.glob("net-*")
    found = runs.load(place)
    assert found["extras"]["epoch"].tolist() == [2, 1]
    assert all(type(value) is float for value in found["history"]["train_loss"])
    assert plain({"a": (np.int64(1), [Path("x")])}) == {"a": (1, ["x"])}


def test_tensorboard_and_quick_mode(toy, folder, monkeypatch):
    train(toy, tensorboard=True)
    assert list(folder.glob("net-*/events.out.tfevents.*"))
    monkeypatch.setenv("COURSE_QUICK", "1")
    train(toy, name="quick")
    assert not list(folder.glob("quick*"))


def test_two_at_once_do_not_mix(toy, folder, capsys):
    train(toy)
    [place] = folder.glob("net-*")
    name = place.name
    (place / "checkpoint.pt").unlink()
    with files.locked(folder / f"{name}.unfinished"):
        train(toy)
    assert "Another notebook trains this model now" in capsys.readouterr().out
    assert not (folder / name / "checkpoint.pt").exists()


# --- the stop button -----------------------------------------------------------------------------


@pytest.mark.parametrize("passes", [1, 4, 6, 7, 9])
def test_a_stopped_training_goes_on_and_reaches_the_same_weights(toy, stop, capsys, passes):
    _, whole = train(toy, name="whole")
    stop(passes)  # three an epoch
    model, cut = train(toy)
    done = (passes - 1) // 3
    told = capsys.readouterr().out
    if done:
        line = f"stopped after epoch {done} of 3; what was learnt is kept; "
        assert told == f"{line}run the cell again to go on\n"
        assert torch.equal(model.layer.weight, cut["best"]["layer.weight"])
    else:
        assert told.startswith("stopped in the first epoch: nothing was learnt yet")
    assert cut["epochs"] == done == len(cut["history"].get("train_loss", []))
    stop(0)
    _, resumed = train(toy)
    assert ("Going on after epoch" in capsys.readouterr().out) == bool(done)
    assert resumed["history"] == whole["history"]
    for name, weights in whole["last"].items():
        assert torch.equal(resumed["last"][name], weights)
        assert torch.equal(resumed["best"][name], whole["best"][name])


def test_a_training_that_ends_between_two_stops_is_finished_by_itself(toy, stop, folder):
    stop(5)
    train(toy)
    assert [path.name[-11:] for path in folder.glob("net-*")] == [".unfinished"]
    stop(0)
    train(toy)
    assert len(list(folder.glob("net-*/checkpoint.pt"))) == 1
    assert not list(folder.glob("*.unfinished"))


def stage_1(space, generator):
    x = torch.randn(24, 1, 50, generator=generator)
    data = [(x, torch.arange(24) % 3), (x[:6], torch.arange(6) % 3)]
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "seed": 1}
    return space["SpeechMLP"], {"classes": 3, "inputs": 50}, data, settings


def stage_2(space, generator):
    x = torch.randn(24, 1, 8000, generator=generator)
    data = [(x, torch.arange(24) % 3), (x[:6], torch.arange(6) % 3)]
    settings = {"epochs": 3, "batch_size": 8, "peak": 0.01, "schedule": "one cycle"}
    settings |= {"augmented": True, "seed": 1}
    # `shift` is another name for a function of the course, which a notebook gives it.
    space["shift"] = (
        exercises.definitions.__globals__.get("shift")
        or __import__("course_utils.audio", fromlist=["shift"]).shift
    )
    return space["WaveformCNN"], {"classes": 3}, data, settings


def stage_3(space, generator):
    space["shift"] = audio.shift
    x = torch.randn(24, 1, 16_000, generator=generator)
    noises = [torch.randn(1, 32_000, generator=generator)]
    spread = torch.ones(12, 1)

    def ready(waveforms):
        return space["prepare"](waveforms, spread)

    data = [(x, torch.arange(24) % 3), (x[:6], torch.arange(6) % 3), noises, ready]
    settings = {"epochs": 3, "batch_size": 8, "peak": 0.01, "schedule": "one cycle", "seed": 1}
    return space["SpeechLSTM"], {"classes": 3}, data, settings | {"effects": space["EFFECTS"]}


def stage_4(space, generator):
    symbols = " 'abcdefghijklmnopqrstuvwxyz"
    space |= {"device": torch.device("cpu"), "charmap": space["CharMap"](symbols)}
    items = [(torch.randn(40, 60 + i, generator=generator), [1 + i % 5, 2]) for i in range(12)]
    settings = {"epochs": 3, "batch_size": 4, "peak": 0.004, "weight_decay": 0.01}
    settings |= {"mask": [4, 8], "copies": None, "longest": 1.0, "schedule": "one cycle", "seed": 1}
    arguments = {"bands": 40, "symbols": 29, "channels": 8, "hidden": 8, "dropout": 0.3}
    copies = [[item, (item[0][:, 5:], item[1])] for item in items]
    return space["SpeechCTC"], arguments, (copies, items[:4]), settings


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_each_stage_stops_and_goes_on_bit_for_bit(stage, stop, capsys):
    [notebook] = LABSOLUTIONS.glob(f"{stage:02d}_*.ipynb")
    space = exercises.definitions(notebook, ["fit"])
    set_up = (stage_1, stage_2, stage_3, stage_4)[stage - 1]
    make, arguments, data, options = set_up(space, torch.Generator().manual_seed(0))

    def trained(name):
        return runs.train_or_load(
            name, make, arguments, space["fit"], data, stage=stage, corpus=CORPUS, seed=1,
            settings=options, show=False,
        )[1]  # fmt: skip

    whole = trained("whole")
    stop(5)
    trained("cut")
    assert "stopped after epoch 1 of 3; what was learnt is kept" in capsys.readouterr().out
    stop(0)
    torch.manual_seed(99)  # whatever a notebook has drawn meanwhile
    resumed = trained("cut")
    assert resumed["history"] == whole["history"]
    for name, weights in whole["last"].items():
        assert torch.equal(resumed["last"][name], weights), name
    options = options | {"seed": 2}
    assert trained("other")["history"] != whole["history"]  # the comparison can fail


def test_a_state_of_other_parts_is_named_and_nothing_is_changed(tmp_path):
    kept = runs.Training(tmp_path)
    model = torch.nn.Linear(3, 2)
    for _ in kept.epochs(1, model=model, generator=torch.Generator()):
        kept.update(0.0, train_loss=1.0)
    for parts in (
        {"model": torch.nn.Linear(4, 2), "generator": torch.Generator()},
        {"model": torch.nn.Linear(3, 2)},
        {"model": torch.nn.Linear(3, 2), "generator": torch.optim.SGD(model.parameters())},
    ):
        before = {name: value.clone() for name, value in parts["model"].state_dict().items()}
        with pytest.raises(runs.CheckpointError, match=r"(?s)does not fit: .*delete the folder"):
            next(runs.Training(tmp_path).epochs(2, **parts))
        for name, value in parts["model"].state_dict().items():
            assert torch.equal(value, before[name])


UPDATE = "training.update(score=-loss, train_loss=loss, validation_loss=2 * loss)"
EPOCHS = "training.epochs(epochs, model=model, optimiser=optimiser, generator=generator)"


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (UPDATE, "pass", RuntimeError, "Epoch 0 did not end"),
        (UPDATE, f"{UPDATE}; {UPDATE}", RuntimeError, "no epoch to end"),
        ("train_loss=loss", "**{f'loss_{epoch}': loss}", ValueError, "the same in every epoch"),
        (EPOCHS, "()", RuntimeError, "Nothing was trained"),
        ("generator=generator", "generator=3", TypeError, "generator is a int, which has no state"),
    ],
)
def test_a_loop_that_cannot_be_kept_is_refused_at_once(
    folder, monkeypatch, old, new, error, message
):
    with pytest.raises(error, match=message):
        train(from_notebook(TOY.replace(old, new), monkeypatch))
    assert not list(folder.glob("net-*/checkpoint.pt"))


@pytest.mark.parametrize("name", ["", "../up", "/top", "a\\b", "a:b", "a\nb", "x" * 200])
def test_a_name_that_is_no_folder_is_refused(toy, folder, name):
    with pytest.raises(ValueError, match="a folder is called after it"):
        train(toy, name=name)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("option", "error"),
    [({"keep": "Best"}, ValueError), ({"features": torch.nn.Flatten()}, TypeError)],
)
def test_an_option_that_cannot_be_used_is_refused_before_training(toy, folder, option, error):
    with pytest.raises(error, match=f"{next(iter(option))} is "):
        train(toy, **option)
    assert not folder.exists()


# --- damaged, hostile, not saved -----------------------------------------------------------------


def finished(toy, folder):
    train(toy)
    [place] = folder.glob("net-*")
    return place / "checkpoint.pt"


def flipped(content):
    """One bit of the weights is another, which torch alone does not notice."""
    weights = torch.load(io.BytesIO(content))["best"]["layer.weight"].numpy().tobytes()
    place = content.index(weights)
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda _: b"", lambda _: b"abc", flipped],
)
def test_a_damaged_checkpoint_is_set_aside(toy, folder, capsys, damage):
    path = finished(toy, folder)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(runs.CheckpointError, match="is damaged"):
        runs.load(path)
    train(toy)
    told = capsys.readouterr().out
    assert f"{path.parent.name}/checkpoint.pt is damaged (" in told
    assert "it is now checkpoint.damaged, and the model is trained anew." in told
    assert runs.load(path)["epochs"] == 3


def test_a_file_that_cannot_be_read_is_not_called_damaged(toy, folder, monkeypatch):
    path = finished(toy, folder)

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(PermissionError):
        train(toy)
    assert path.exists() and not path.with_suffix(".damaged").exists()


class Bomb:
    """What a checkpoint of a stranger may carry: opening it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "boom")


def test_code_in_a_checkpoint_is_not_run(toy, folder, tmp_path, capsys):
    path, boom = finished(toy, folder), tmp_path / "boom"
    torch.save({"best": Bomb(boom)}, path)
    with pytest.raises(runs.CheckpointError, match="UnpicklingError"):
        runs.load(path)
    train(toy)
    assert not boom.exists()
    assert "UnpicklingError" in capsys.readouterr().out


def test_what_is_no_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="give the folder of a finished run"):
        runs.load(tmp_path / "nothing")
    torch.save({"weights": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(runs.CheckpointError, match="not a checkpoint of this course"):
        runs.load(tmp_path / "w.pt")


def without(checkpoint, name):
    return {key: value for key, value in checkpoint.items() if key != name}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda checkpoint: [1], "best, last"),
        (lambda checkpoint: checkpoint["best"], "best, last"),
        (lambda checkpoint: without(checkpoint, "history"), r"\(wrong: history\)"),
        (lambda checkpoint: checkpoint | {"best": None, "arguments": 3}, "best, arguments"),
        (lambda checkpoint: checkpoint | {"keep": "middle"}, "keep"),
    ],
)
def test_a_foreign_checkpoint_is_set_aside(toy, folder, capsys, change, named):
    path = finished(toy, folder)
    torch.save(change(runs.load(path)), path)
    with pytest.raises(runs.CheckpointError, match=f"not a checkpoint of this course.*{named}"):
        runs.load(path)
    assert train(toy)[1]["epochs"] == 3
    told = capsys.readouterr().out
    assert "it is now checkpoint.damaged, and the model is trained anew." in told
    assert "Loaded" not in told


def test_a_run_is_found_as_its_summary_calls_it(toy, folder, tmp_path, monkeypatch):
    path = finished(toy, folder)
    monkeypatch.setenv("COURSE_RUNS", str(folder.rename(tmp_path / "elsewhere")))
    monkeypatch.chdir(tmp_path)
    assert runs.load(f"runs/{path.parent.name}")["epochs"] == 3
    assert runs.load(f"{path.parent.name}/checkpoint.pt")["epochs"] == 3


def test_text_and_objects_in_arrays():
    assert plain(np.array(["a", "b"])) == ["a", "b"]
    with pytest.raises(runs.CheckpointError, match=r"x\[0\] is a object"):
        plain(np.array([object()]), "x")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError()])
def test_a_full_disk_is_told_and_stops_nothing(toy, folder, capsys, monkeypatch, stop, error):
    def fail(state, path):
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    model, checkpoint = train(toy)
    told = capsys.readouterr().out
    assert ("No space left on device" if error.args else "RuntimeError") in told
    assert "or set COURSE_RUNS to a folder that you may write to." in told
    assert checkpoint["epochs"] == 3 and torch.isfinite(model(X)).all()
    assert not list(folder.rglob("*.tmp")) and not list(folder.rglob("*.pt"))
    stop(7)
    train(toy)
    assert "but no file: a rerun starts again" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_told(toy, folder, capsys):
    folder.write_text("a file stands here")
    assert train(toy)[1]["epochs"] == 3
    assert "It is trained, but not kept." in capsys.readouterr().out


def test_infinite_scores_are_kept(toy, folder, monkeypatch):
    source = TOY.replace("score=-loss", "score=-float('inf')")
    _, checkpoint = train(from_notebook(source, monkeypatch))
    assert checkpoint["best"].keys() == checkpoint["last"].keys()
    assert math.isfinite(checkpoint["history"]["train_loss"][0])


# --- the model again -----------------------------------------------------------------------------


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """A checkout with one notebook, which holds the toy and a cell that must not be run."""
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    path = tmp_path / "labsolutions" / "01_toy.ipynb"
    path.parent.mkdir()
    write(path, "import torch", f"open({str(tmp_path / 'ran')!r}, 'w')\nTOO = len('x')", TOY)
    return path


def write(path, *sources):
    cells = [nbformat.v4.new_code_cell(s, id=f"c{i}") for i, s in enumerate(sources)]
    exercises.write(path, nbformat.v4.new_notebook(cells=cells))


@pytest.mark.parametrize("keep", ["best", "last"])
def test_a_fresh_process_predicts_what_was_predicted(notebook, folder, tmp_path, keep):
    first_is_best = TOY.replace("score=-loss", "score=-epoch")
    write(notebook, "import torch", f"open({str(tmp_path / 'ran')!r}, 'w')", first_is_best)
    space = exercises.definitions(notebook, ["Net", "fit", "halve"])
    model, checkpoint = train(space, keep=keep)
    assert not torch.equal(*(checkpoint[name]["layer.weight"] for name in ("best", "last")))
    waveforms = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(1))
    [place] = folder.glob("net-*")
    program = (
        "import sys, torch; from course_utils import runs; model = runs.model(*sys.argv[1:]);"
        "x = torch.randn(4, 1, 6, generator=torch.Generator().manual_seed(1));"
        "print(model(x).tolist(), model.labels, model.sample_rate)"
    )
    command = [sys.executable, "-c", program, str(place), str(notebook)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = model(waveforms[:, 0, ::2]).tolist()
    assert done.stdout == f"{expected} ['no', 'yes'] 16000\n"
    assert not (tmp_path / "ran").exists()


def test_another_class_than_the_trained_one_is_named(notebook, folder, capsys):
    train(exercises.definitions(notebook))
    [place] = folder.glob("net-*")
    write(notebook, "import torch", TOY.replace("return self.layer(x)", "return -self.layer(x)"))
    runs.model(place)
    told = capsys.readouterr().out
    assert "labsolutions/01_toy.ipynb is not what was trained." in told
    assert "These definitions differ: Net." in told
    write(notebook, "import torch", TOY.replace("Linear(width, 2)", "Linear(width, 5)"))
    with pytest.raises(runs.CheckpointError, match="weights do not fit Net of labsolutions"):
        runs.model(place)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("Net = 3", "Net is no class"),
        ("def Net(width): return 3", "Net makes no network"),
        (TOY.replace("Linear(width, 2)", "Linear(width, WIDE)"), "NameError: name 'WIDE'"),
        (TOY.replace("(self, width)", "(self, size)"), "TypeError: .*width"),
        (TOY.replace("::by", "nowhere"), "NameError: name 'nowhere'"),
    ],
)
def test_why_a_model_cannot_be_built(notebook, folder, source, reason):
    train(exercises.definitions(notebook))
    [place] = folder.glob("net-*")
    write(notebook, "import torch", "def halve(waveforms, by): return waveforms", source)
    with pytest.raises(runs.CheckpointError, match=f"Net cannot be built. .*{reason}"):
        runs.model(place)


def test_a_strangers_checkpoint_names_no_file_elsewhere(notebook, folder, tmp_path):
    train(exercises.definitions(notebook))
    [place] = folder.glob("net-*")
    write(tmp_path / "evil.ipynb", "import torch", TOY)
    for name in (str(tmp_path / "evil.ipynb"), "../evil.ipynb"):
        torch.save(runs.load(place) | {"notebook": name}, place / "checkpoint.pt")
        with pytest.raises(FileNotFoundError, match=r"evil\.ipynb is not there"):
            runs.model(place)


def test_a_students_stub_gives_way_to_the_solution(notebook, folder, capsys):
    train(exercises.definitions(notebook))
    [place] = folder.glob("net-*")
    stub = TOY.replace("return waveforms[:, 0, ::by]", "raise NotImplementedError('Exercise 1.1')")
    student = notebook.parent.with_name("notebooks") / notebook.name
    student.parent.mkdir()
    write(student, "import torch", stub)
    runs.model(place)
    assert capsys.readouterr().out == ""
    notebook.unlink()
    with pytest.raises(runs.CheckpointError, match=r"Net cannot be built. .*Exercise 1\.1"):
        runs.model(place)
    student.unlink()
    with pytest.raises(FileNotFoundError, match=r"01_toy\.ipynb is not there: it defines Net"):
        runs.model(place)


def test_definitions_run_nothing_else(tmp_path):
    path = tmp_path / "n.ipynb"
    touched = tmp_path / "touched"
    write(
        path,
        "import math\nA, B = 1, 2 * 3\nC = {'x': (A, -B)}\nD = math.sqrt(4)\nE = [i for i in (1,)]",
        f"open({str(touched)!r}, 'w')\ndef f(x=A): return x + B\ng = lambda: 1",
        "%matplotlib inline\ndef h(): return 1",
        "class K:\n    y = A\n\ndef late(x=missing): return x",
        "A.real\nA += 1\nassert False",
    )
    found = exercises.definitions(path)
    assert (found["A"], found["B"], found["C"]) == (1, 6, {"x": (1, -6)})
    assert found["f"]() == 7 and found["K"].y == 1 and found["math"].pi > 3
    assert not {"D", "E", "g", "late"} & found.keys()
    assert found["h"]() == 1  # beside a magic
    assert not touched.exists()
    with pytest.raises(exercises.NotebookError, match=r"does not define late \(cell c3: NameErr"):
        exercises.definitions(path, ["f", "late"])
    with pytest.raises(exercises.NotebookError, match=r"nothing_like_it \(no cell does\)|cell c2"):
        exercises.definitions(path, ["nothing_like_it"])
    (tmp_path / "bad.ipynb").write_text(json.dumps([]))
    with pytest.raises(exercises.NotebookError):
        exercises.definitions(tmp_path / "bad.ipynb")


@pytest.mark.parametrize(
    "cell",
    [
        "!ls\nX = 1",
        "found = !ls\nX = 1",
        "%pip install x\nX = 1",
        "%%time\nX = 1",
        "%%capture told\nX = 1",
        "str?\nX = 1",
        "def f():\n    !ls\n    %timeit 1\nX = 1",
    ],
)
def test_definitions_beside_magics(tmp_path, cell):
    write(tmp_path / "n.ipynb", cell)
    assert exercises.definitions(tmp_path / "n.ipynb", ["X"])["X"] == 1


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("import no_such_package", "cell c0: ModuleNotFoundError"),
        ("from math import no_such_package", "cell c0: ImportError"),
        ("no_such_package = len('a')", "cell c0: its value is computed"),
        ("%%writefile no_such_package.py\nno_such_package = 1", "no cell does"),
    ],
)
def test_why_a_name_is_not_defined(tmp_path, cell, reason):
    write(tmp_path / "n.ipynb", cell, "print('late'")
    with pytest.raises(exercises.NotebookError, match=f"no_such_package .({reason}|cell c1)"):
        exercises.definitions(tmp_path / "n.ipynb", ["no_such_package"])
