"""How far a student is: points, references, and open exercises that are met on the way."""

import re

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from course_utils import exercises, settings
from course_utils.checks import progress, stage1, stuck

SETUP = "import torch\nimport torch.nn.functional as F\n"
RIGHT = """
def fit_to_length(waveform, samples):
    return F.pad(waveform[..., :samples], (0, max(0, samples - waveform.shape[-1])))
"""


@pytest.fixture(scope="module")
def running():
    shell = InteractiveShell.instance()
    yield shell
    InteractiveShell.clear_instance()  # other tests run outside of a notebook


@pytest.fixture
def shell(running, monkeypatch):
    monkeypatch.setattr(progress, "_passed", set())
    monkeypatch.setattr(progress, "_references", {})
    monkeypatch.setattr(exercises, "loaded_references", set())
    running.run_cell(SETUP)
    running.user_ns["checks"] = stage1
    stuck.tell_open_exercises()
    yield running
    running.reset(new_session=False)


def run(shell, source):
    """What a cell prints, and whether it fails."""
    with capture_output() as captured:
        result = shell.run_cell(source, store_history=False)
    return captured.stdout, result


def total(stage):
    [path] = (settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb")
    found = exercises.exercises(exercises.read(path))
    return len(found), sum(item.points for item in found), found[0].points


def test_a_pass_brings_its_points_and_names_the_next(shell):
    count, points, first = total(1)
    said = run(shell, "checks.progress()")[0]
    assert said == f"0 of {count} exercises, 0 of {points} points; next 1.1\n"
    run(shell, RIGHT + "checks.fit_to_length(fit_to_length)")
    said = run(shell, "checks.progress()")[0]
    assert said == f"1 of {count} exercises, {first} of {points} points; next 1.2\n"


def test_a_reference_brings_none_and_its_mark_goes_with_an_answer_of_ones_own(shell):
    count, points, first = total(1)
    run(shell, 'checks.load_reference("1.1")')
    run(shell, "checks.fit_to_length(fit_to_length)")
    assert stuck.references() == ["1.1"]
    said = run(shell, "checks.progress()")[0]
    assert said == f"0 of {count} exercises, 0 of {points} points; 1 by its reference; next 1.2\n"
    said, _ = run(shell, RIGHT + "checks.fit_to_length(fit_to_length)")
    assert said.endswith("Exercise 1.1 is your own now: results from here on do not name it.\n")
    assert stuck.references() == []
    said = run(shell, "checks.progress()")[0]
    assert said.startswith(f"1 of {count} exercises, {first} of")


def test_a_reference_is_shown_without_markers_and_counts_until_ones_own_passes(shell):
    said, _ = run(shell, 'checks.show_reference("1.1")')
    assert "The reference of exercise 1.1; the results table will say that you saw it" in said
    assert "fit_to_length" not in shell.user_ns
    assert "; next 1.1" in run(shell, "checks.progress()")[0]  # it was seen, and is still open
    assert stuck.references() == ["1.1"]
    run(shell, RIGHT + "checks.fit_to_length(fit_to_length)")
    assert stuck.references() == []


def test_an_open_exercise_is_one_line_wherever_it_is_met(shell, monkeypatch):
    monkeypatch.setattr(shell, "colors", "nocolor", raising=False)
    stub = 'def f(x):\n    raise NotImplementedError("Exercise 1.3 - A batch: replace it.")\n'
    said, result = run(shell, f"{stub}def g(x):\n    return f(x)\ng(1)")
    assert not result.success
    assert said.strip() == "NotImplementedError: Exercise 1.3 - A batch: replace it."
    said, _ = run(shell, f"{stub}def f(x):\n    raise NotImplementedError()\nf(1)")
    assert (
        said.strip()
        == "NotImplementedError: f is not filled in: put your code in place of its raise."
    )
    said, _ = run(shell, 'raise NotImplementedError("no such kernel")')
    assert "Traceback" in said and "no such kernel" in said
    assert len(re.findall("\n", said)) > 3
