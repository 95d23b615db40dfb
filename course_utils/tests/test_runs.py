"""Checkpoints: found again when nothing changed, made anew when something did, never trusted."""

import inspect
import itertools
import linecache
import math
import os
import sys
import types
from pathlib import Path

import pytest
import torch

from course_utils.runs import Run

cells = itertools.count()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of checkpoints of its own for each test."""
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def train(model, steps):
    return model * steps


def run(name="mlp", **changes):
    options = {"parameters": {"epochs": 3, "rate": 0.1}, "code": [train], "data": "d41d"}
    return Run(name, **{**options, **changes})


def from_notebook(source, name, monkeypatch, module="__main__"):
    """What a cell of a notebook defines: its lines are known to linecache, and to no file."""
    filename = f"<ipython-input-{next(cells)}>"
    monkeypatch.setitem(
        linecache.cache, filename, (len(source), None, source.splitlines(True), filename)
    )
    namespace = {"__name__": module, "torch": torch}
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


STATE = {"weights": {"layer": torch.arange(6.0).reshape(2, 3)}, "losses": [0.5, 0.25], "epoch": 3}


def test_first_nothing_then_what_was_saved(folder, capsys):
    assert run().load() is None
    assert capsys.readouterr().out == ""
    run().save(STATE)
    loaded = run().load()
    assert loaded.keys() == STATE.keys()
    assert loaded["weights"]["layer"].equal(STATE["weights"]["layer"])
    assert (loaded["losses"], loaded["epoch"]) == (STATE["losses"], 3)
    name = f"mlp-{run().key}.pt"
    assert [path.name for path in folder.iterdir()] == [name]  # and no temporary file
    assert capsys.readouterr().out == (
        f"Loaded {folder.name}/{name}: code, settings and corpus are the same. "
        "Delete the file to train again.\n"
    )


def test_deleting_the_file_trains_again():
    run().save(STATE)
    run().path.unlink()
    assert run().load() is None


def test_the_same_run_has_the_same_key():
    assert run().key == run().key
    assert run().key == run(parameters={"rate": 0.1, "epochs": 3}).key  # whatever the order


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"epochs": 4, "rate": 0.1}},
        {"parameters": {"epochs": 3, "rate": 0.1, "seed": 0}},
        {"data": "d41e"},
        {"device": "cuda:0"},
        {"code": []},
        {"code": [train, run]},
        {"code": [run]},
    ],
    ids=str,
)
def test_every_change_makes_another_key(changes):
    assert run(**changes).key != run().key
    run().save(STATE)
    assert run(**changes).load() is None


def test_another_version_of_torch_makes_another_key(monkeypatch):
    before = run().key
    monkeypatch.setattr(torch, "__version__", "0.4.1")
    assert run().key != before


FUNCTION = "def step(x):\n    return x + 1\n"
CLASS = """\
class Net(torch.nn.Module):
    width = 8

    def __init__(self):
        super().__init__()

    @torch.no_grad()
    def forward(self, x):
        return 2 * x
"""


@pytest.mark.parametrize("module", ["__main__", "a_module_that_is_no_file"])
@pytest.mark.parametrize(
    "source, name, old, new",
    [
        (FUNCTION, "step", "x + 1", "x + 2"),
        (CLASS, "Net", "2 * x", "3 * x"),
        (CLASS, "Net", "width = 8", "width = 9"),
        (CLASS, "Net", "torch.no_grad", "torch.enable_grad"),
    ],
)
def test_code_of_a_notebook_is_a_part_of_the_key(monkeypatch, source, name, old, new, module):
    monkeypatch.setitem(sys.modules, "a_module_that_is_no_file", types.ModuleType(""))

    def key(source):
        return run(code=[from_notebook(source, name, monkeypatch, module)]).key

    assert key(source) == key(source)  # in another cell, after another start of the kernel
    assert key(f"UNRELATED = 1\n\n\n{source}") == key(source)
    assert key(source.replace(old, new)) != key(source)


def test_a_class_of_a_file():
    assert run(code=[Run]).key == run(code=[Run]).key != run(code=[Path]).key


def test_code_whose_source_is_not_known_is_refused(monkeypatch):
    unknown = from_notebook(CLASS, "Net", monkeypatch)
    monkeypatch.delitem(linecache.cache, unknown.__init__.__code__.co_filename)
    assert inspect.isclass(unknown)
    with pytest.raises(OSError, match="source of the class Net is not found; define it in a cell"):
        run(code=[unknown])


# --- damaged, hostile, not saved ----------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b""])
def test_a_damaged_checkpoint_is_set_aside(folder, capsys, damage):
    this = run()
    this.save(STATE)
    this.path.write_bytes(damage(this.path.read_bytes()))
    capsys.readouterr()
    assert this.load() is None
    told = capsys.readouterr().out
    assert told.startswith(f"The checkpoint {this.path.name} is damaged (")
    assert told.endswith(f"it is now mlp-{this.key}.damaged, and the model is trained anew.\n")
    assert [path.name for path in folder.iterdir()] == [f"mlp-{this.key}.damaged"]
    this.save(STATE)
    assert this.load()["epoch"] == 3


class Bomb:
    """What a checkpoint of a stranger may carry: opening it would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "boom")


def test_a_checkpoint_that_carries_code_is_refused_and_the_code_not_run(folder, tmp_path, capsys):
    this, boom = run(), tmp_path / "boom"
    folder.mkdir()
    torch.save({"weights": Bomb(boom)}, this.path)
    assert this.load() is None
    assert not boom.exists()
    assert "UnpicklingError" in capsys.readouterr().out
    torch.load(this.path.with_suffix(".damaged"), weights_only=False)
    assert boom.exists()  # it was a bomb indeed


def test_quick_neither_saves_nor_loads(folder, monkeypatch):
    monkeypatch.setenv("COURSE_QUICK", "1")
    run().save(STATE)
    assert not folder.exists()
    monkeypatch.setenv("COURSE_QUICK", "0")
    run().save(STATE)
    monkeypatch.setenv("COURSE_QUICK", "1")
    assert run().load() is None


def not_saved(this, capsys):
    """What is told when a state cannot be saved, which must not end the notebook."""
    this.save({"weights": torch.zeros(100_000)})
    told = capsys.readouterr().out
    assert told.startswith("The checkpoint was not saved (")
    assert "The model is trained and usable; a rerun of this notebook trains it again." in told
    assert told.endswith("or set COURSE_RUNS to a folder that you may write to.\n")
    return told


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told_and_keeps_the_older_checkpoint(folder, capsys):
    this = run()
    this.save(STATE)
    this.path.with_suffix(f".{os.getpid()}.tmp").symlink_to("/dev/full")
    not_saved(this, capsys)
    assert [path.name for path in folder.iterdir()] == [this.path.name]
    assert this.load()["epoch"] == 3


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError()])
def test_whatever_torch_raises_is_told(folder, capsys, monkeypatch, error):
    def fail(state, path):
        Path(path).write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", fail)
    told = not_saved(run(), capsys)
    assert ("No space left on device" if error.args else "RuntimeError") in told
    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(folder, capsys):
    folder.write_text("a file stands here")
    assert "File exists" in not_saved(run(), capsys)
    assert run().load() is None


def test_parameters_must_be_plain():
    assert run(parameters={"best": math.inf}).key != run(parameters={"best": None}).key
    with pytest.raises(TypeError, match="Tensor is not JSON serializable"):
        run(parameters={"rate": torch.tensor(0.1)})
