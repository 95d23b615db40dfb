"""The choice of the device, on machines that this one is not."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_utils import device
from course_utils.device import seed_everything, select_device

GB = 10**9


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine without a GPU; tests give it some. The number of threads is put back."""
    threads = torch.get_num_threads()
    machine = SimpleNamespace(free={}, broken={}, mps=False)
    monkeypatch.delenv("COURSE_DEVICE", raising=False)
    monkeypatch.delenv("COURSE_THREADS", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(machine.free))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(machine.free))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: f"Card {place.index}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: machine.mps)

    def mem_get_info(place):
        free = machine.free[place.index if isinstance(place, torch.device) else place]
        if free is None:
            raise RuntimeError("CUDA error: all CUDA-capable devices are busy or unavailable")
        return free, 80 * GB

    monkeypatch.setattr(torch.cuda, "mem_get_info", mem_get_info)
    monkeypatch.setattr(device, "_problem", lambda place: machine.broken.get(str(place), ""))
    yield machine
    torch.set_num_threads(threads)


def told(capsys):
    """The one line that was printed."""
    line = capsys.readouterr().out
    assert line.startswith("Device: ")
    assert line.count("\n") == 1
    return line.removeprefix("Device: ").strip()


def test_without_a_gpu_the_cpu_is_taken(capsys):
    assert select_device() == torch.device("cpu")
    assert told(capsys) == "cpu (no usable GPU found, 1 thread)"


def test_of_two_cards_the_one_with_more_free_memory_is_taken(machine, capsys):
    machine.free = {0: 3 * GB, 1: 40 * GB}
    machine.mps = True
    assert select_device() == torch.device("cuda", 1)
    assert told(capsys) == "cuda:1 (Card 1, 40 GB free)"
    machine.free = {0: 50 * GB, 1: 40 * GB}
    assert select_device() == torch.device("cuda", 0)


def test_a_card_that_fails_the_test_is_passed_over(machine, capsys):
    machine.free = {0: 3 * GB, 1: 40 * GB}
    machine.broken = {"cuda:1": "no kernel image is available"}
    assert select_device() == torch.device("cuda", 0)
    assert told(capsys) == "cuda:0 (Card 0, 3 GB free)"


def test_a_card_that_another_program_holds_is_passed_over(machine):
    machine.free = {0: None, 1: 2 * GB}
    assert select_device() == torch.device("cuda", 1)


def test_apples_gpu_comes_after_cuda(machine, capsys):
    machine.mps = True
    assert select_device() == torch.device("mps")
    assert told(capsys) == "mps (Apple GPU)"
    machine.free = {0: GB}
    machine.broken = {"cuda:0": "out of memory"}
    assert select_device() == torch.device("mps")


def test_the_line_says_which_gpu_failed_and_why(machine, capsys):
    machine.free = {0: GB}
    machine.broken = {"cuda:0": "no kernel image is available"}
    assert select_device() == torch.device("cpu")
    reason = "no usable GPU found; cuda:0 failed a test: no kernel image is available"
    assert told(capsys) == f"cpu ({reason}, 1 thread)"
    machine.free, machine.mps, machine.broken = {}, True, {"mps": "out of memory"}
    select_device()
    assert "mps failed a test: out of memory" in told(capsys)


def test_what_was_asked_for_comes_first(machine, monkeypatch, capsys):
    machine.free = {0: 40 * GB, 1: 3 * GB}
    monkeypatch.setenv("COURSE_DEVICE", "cuda:1")
    assert select_device() == torch.device("cuda", 1)
    assert told(capsys) == "cuda:1 (you asked for it)"
    assert select_device("cpu") == torch.device("cpu")  # the argument before the variable
    assert told(capsys) == "cpu (you asked for it, 1 thread)"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda 1"])
def test_a_name_that_is_no_device(monkeypatch, name):
    monkeypatch.setenv("COURSE_DEVICE", name)
    with pytest.raises(RuntimeError) as error:
        select_device()
    assert str(error.value) == (
        f"The device asked for is {name!r}, which is none; set COURSE_DEVICE to cpu, cuda, "
        "cuda:1 or mps, or unset it to let the course choose."
    )


def test_a_device_that_was_asked_for_and_fails_is_an_error(machine):
    machine.broken = {"mps": "it is not there"}
    with pytest.raises(RuntimeError) as error:
        select_device("mps")
    assert str(error.value) == (
        "The device 'mps' cannot be used: it is not there. "
        "Unset COURSE_DEVICE to let the course choose."
    )


def test_threads(monkeypatch, capsys):
    torch.set_num_threads(2)
    select_device()
    assert torch.get_num_threads() == 1
    monkeypatch.setenv("COURSE_THREADS", "3")
    select_device()
    assert torch.get_num_threads() == 3
    assert ", 3 threads)" in capsys.readouterr().out
    select_device(threads=2)  # the argument before the variable
    assert torch.get_num_threads() == 2


# --- the tiny test itself -----------------------------------------------------------------------

problem = device._problem  # the fixture above replaces it in the module


def test_the_cpu_passes_the_tiny_test():
    assert problem(torch.device("cpu")) == ""


def test_a_device_without_values_fails_it():
    assert "meta" in problem(torch.device("meta"))


@pytest.mark.parametrize(
    "error, reason",
    [
        (RuntimeError("no kernel image.\nCompile with ..."), "no kernel image"),
        (AssertionError("Torch not compiled with CUDA enabled"), "Torch not compiled with CUDA"),
        (NotImplementedError(), "NotImplementedError"),
    ],
)
def test_an_error_of_the_device_becomes_one_line(monkeypatch, error, reason):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(torch.nn.functional, "conv1d", fail)
    told = problem(torch.device("cpu"))
    assert told.startswith(reason)
    assert "\n" not in told
    assert not told.endswith(".")  # the sentence goes on after it


def test_a_device_that_computes_nonsense_fails_it(monkeypatch):
    right = torch.nn.functional.conv1d
    monkeypatch.setattr(torch.nn.functional, "conv1d", lambda *inputs: 2 * right(*inputs))
    assert problem(torch.device("cpu")) == "it computed 36.0 where 18 is right"


# --- seeds --------------------------------------------------------------------------------------


def draw():
    return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002


def test_one_seed_gives_one_sequence(monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "5")
    assert seed_everything() == 5
    first = draw()
    assert draw() != first
    assert seed_everything(5) == 5
    assert draw() == first
    seed_everything(6)
    other = draw()
    assert all(a != b for a, b in zip(other, first, strict=True))


def test_seed_zero_is_a_seed(monkeypatch):
    monkeypatch.setenv("COURSE_SEED", "5")
    assert seed_everything(0) == 0
    assert torch.initial_seed() == 0


def test_cudnn_is_told_to_repeat_itself():
    torch.backends.cudnn.benchmark = True
    seed_everything()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
