"""A training that is killed goes on, and reaches the weights of one that was never cut off.

The training is the one of the notebook of stage 3, cell by cell, on a few clips of noise.
"""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch

from course_utils import settings
from course_utils.exercises import read
from course_utils.runs import CheckpointError, Run, TrainingState

NOTEBOOK = settings.CHECKOUT / "labsolutions" / "03_mfcc_lstm_augmentation.ipynb"
CELLS = (
    "setup",
    "toy",
    *(f"ex-3-{number}" for number in range(1, 6)),
    "mfcc",
    "given-augmentation",
    "ex-3-6",
    "ex-3-7",
    "augment",
    "ex-3-9",
    "fit",
)

TOY = """
    train_x = torch.randn(40, 1, RATE, generator=torch.Generator().manual_seed(1))
    train_noises = [torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(2))]

    def prepare(waveforms):
        features = mfcc(waveforms)
        return features - features.mean(dim=2, keepdim=True)
"""

TRAIN = """
    import os, signal, sys

    path, kill_at = sys.argv[1], int(sys.argv[2])
    labels = torch.arange(40) % 4
    steps = 0
    given = add_noise

    def add_noise(*arguments):  # one call a batch: this one is in the middle of an epoch
        global steps
        steps += 1
        if steps == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return given(*arguments)

    torch.manual_seed(5)
    model = SpeechLSTM(4, hidden=8, layers=1)
    done = fit(
        Path(path), model, prepare, [(train_x, labels), (train_x[:8], labels[:8])],
        augment=make_augment(), epochs=3, batch_size=16, peak=0.01, schedule="one cycle", seed=3,
        chance=0.25, title="", show=False,
    )
    torch.save({"weights": model.state_dict(), "history": done["history"]}, path + ".result")
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The notebook's cells of features, augmentation, model and training, as a program."""
    cells = {cell.id: cell.source for cell in read(NOTEBOOK).cells}
    parts = []
    for name in CELLS:
        if name == "toy":
            parts.append(textwrap.dedent(TOY))
        else:
            # Checks stand at the end of some cells; they have tests of their own.
            lines = cells[name].splitlines()
            parts.append("\n".join(line for line in lines if not line.startswith("checks.")))
    path = tmp_path_factory.mktemp("resume") / "train.py"
    path.write_text("\n".join([*parts, textwrap.dedent(TRAIN)]), encoding="utf-8")
    return path


def run(script, path, kill_at=0):
    command = [sys.executable, str(script), str(path), str(kill_at)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ})


@pytest.fixture(scope="module")
def whole(script):
    """A training that was never cut off."""
    path = script.with_name("whole.pt")
    finished = run(script, path)
    assert finished.returncode == 0, finished.stderr
    assert not path.exists(), "the state is deleted when the training is finished"
    return path


def test_a_killed_training_reaches_the_same_weights(script, whole, tmp_path):
    cut = tmp_path / "cut.pt"
    killed = run(script, cut, kill_at=5)  # three batches an epoch: in the middle of the second
    assert killed.returncode == -signal.SIGKILL
    assert cut.exists()
    resumed = run(script, cut)
    assert resumed.returncode == 0, resumed.stderr
    assert "Going on after epoch 1 of 3." in resumed.stdout

    one, other = (torch.load(f"{path}.result", weights_only=True) for path in (whole, cut))
    assert one["weights"].keys() == other["weights"].keys()
    for name, tensor in one["weights"].items():
        assert torch.equal(tensor, other["weights"][name]), name
    assert one["history"] == other["history"]
    assert len(one["history"]["train_loss"]) == 3


def test_another_seed_reaches_other_weights(script, whole, tmp_path):
    """The comparison above can fail."""
    changed, path = script.with_name("changed.py"), tmp_path / "other.pt"
    changed.write_text(script.read_text().replace("seed=3", "seed=4"), encoding="utf-8")
    assert run(changed, path).returncode == 0
    one, other = (torch.load(f"{p}.result", weights_only=True)["weights"] for p in (whole, path))
    assert not torch.equal(one["output.weight"], other["output.weight"])


# ---------------------------------------------------------------- a state that does not fit


def parts(features=3):
    model = torch.nn.Linear(features, 2)
    optimiser = torch.optim.Adam(model.parameters())
    return {
        "model": model,
        "optimiser": optimiser,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.1, 10),
        "generator": torch.Generator(),
    }


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "state.pt"
    TrainingState(path, **parts()).save(epoch=2, history={"train_loss": [1.0, 0.5]})
    return path


def test_progress_comes_back(saved):
    progress = TrainingState(saved, **parts()).restore()
    assert progress == {"epoch": 2, "history": {"train_loss": [1.0, 0.5]}}


def test_every_part_comes_back(saved):
    first = parts()
    loss = first["model"](torch.ones(1, 3)).sum()
    loss.backward()
    first["optimiser"].step()
    first["scheduler"].step()
    torch.rand(3, generator=first["generator"])
    TrainingState(saved, **first).save(epoch=1)
    second = parts()
    TrainingState(saved, **second).restore()
    assert torch.equal(first["model"].weight, second["model"].weight)
    assert second["optimiser"].state_dict()["state"][0]["step"] == 1
    assert second["scheduler"].last_epoch == first["scheduler"].last_epoch == 1
    assert torch.equal(
        torch.rand(4, generator=first["generator"]), torch.rand(4, generator=second["generator"])
    )


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (parts(features=4), ["model.weight is (2, 3) there and (2, 4) here"]),
        ({**parts(), "ema": torch.nn.Linear(3, 2)}, ["ema is missing there and Linear here"]),
        (
            {k: v for k, v in parts().items() if k != "generator"},
            ["generator is Generator there and missing here"],
        ),
        (
            {**parts(), "optimiser": torch.optim.SGD(torch.nn.Linear(3, 2).parameters())},
            ["optimiser is Adam there and SGD here"],
        ),
        (
            {**parts(), "optimiser": torch.optim.Adam([torch.nn.Parameter(torch.ones(1))])},
            ["optimiser.group 0 is 2 parameters there and 1 parameters here"],
        ),
    ],
)
def test_what_differs_is_named_and_nothing_is_changed(saved, other, words):
    before = {name: value.clone() for name, value in other["model"].state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        TrainingState(saved, **other).restore()
    for part in ("state.pt does not fit", *words, "delete the file to train anew"):
        assert part in str(caught.value)
    for name, value in other["model"].state_dict().items():
        assert torch.equal(value, before[name])


def test_another_kind_of_file_is_named(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(torch.nn.Linear(3, 2).state_dict(), path)
    with pytest.raises(CheckpointError, match="it is not the state of a training"):
        TrainingState(path, **parts()).restore()


def test_code_in_a_checkpoint_is_not_run(tmp_path, capsys):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "was here"),))

    path = tmp_path / "evil.pt"
    torch.save({"kinds": {}, "parts": {}, "progress": Evil()}, path)
    assert TrainingState(path, **parts()).restore() is None
    assert not (tmp_path / "was here").exists()
    assert "is damaged" in capsys.readouterr().out
    assert path.with_suffix(".damaged").exists()


def test_a_cut_file_is_set_aside(saved, capsys):
    saved.write_bytes(saved.read_bytes()[:-200])
    assert TrainingState(saved, **parts()).restore() is None
    assert "is damaged" in capsys.readouterr().out


def test_quick_mode_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_QUICK", "1")
    state = TrainingState(tmp_path / "state.pt", **parts())
    state.save(epoch=1)
    assert not state.path.exists()
    assert state.restore() is None


def test_forget_deletes(saved):
    state = TrainingState(saved, **parts())
    state.forget()
    state.forget()
    assert not saved.exists()


def test_a_run_says_where_its_state_belongs(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_RUNS", str(tmp_path))
    run = Run("lstm", parameters={}, code=[parts], data="d41d")
    assert run.unfinished.parent == run.path.parent
    assert run.unfinished.name == f"lstm-{run.key}.unfinished.pt"
