"""What checks say when an answer is wrong, and the two ways on for a student who is stuck."""

import math
import re

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.ultratb import AutoFormattedTB

from course_utils import exercises, settings
from course_utils.checks import core, progress, stuck
from course_utils.checks.core import CheckFailed
from course_utils.exercises import write
from course_utils.instructor import release
from course_utils.tests.test_release import sample_notebook

# --- fail, call, close --------------------------------------------------------------------------


def complaint(function, *arguments, **named):
    """The first line of what a student reads; every one names the same three things."""
    with pytest.raises(CheckFailed) as error:
        function(*arguments, **named)
    first = str(error.value).splitlines()[0]
    assert re.fullmatch(r"expected .+, got .+; likely cause: .+", first)
    return first


def test_fail_says_expected_got_and_cause():
    told = complaint(core.fail, (2, 1), [1, 2], "the axes are swapped")
    assert told == "expected (2, 1), got [1, 2]; likely cause: the axes are swapped"


def test_a_failed_check_is_an_assertion_error():  # that is what graders count
    with pytest.raises(AssertionError):
        core.fail(1, 2, "a guess")


def test_passed_prints_one_line(capsys):
    core.passed("both lengths are right")
    assert capsys.readouterr().out == "Passed: both lengths are right\n"


@pytest.mark.parametrize("try_it", [core.call, core.attempt])
def test_what_an_answer_returns_comes_back(try_it):
    assert try_it(divmod, 7, 2) == (3, 1)
    assert try_it(int, "11", base=2) == 3
    assert try_it(bool) is False


def test_an_answer_without_a_return():
    assert core.attempt([].append, 1) is None  # some answers are called for what they do
    told = complaint(core.call, [].append, 1)
    assert told.startswith("expected a result from append, got None; likely cause: the return")


def answer(x):
    return x["missing"]


def test_an_error_in_an_answer_is_named():
    told = complaint(core.call, answer, {})
    assert told.startswith("expected answer to return, got KeyError: 'missing'; likely cause: the")


def test_a_callable_without_a_name_is_named_by_its_type():
    told = complaint(core.call, torch.nn.Linear(3, 1), torch.ones(2))
    assert told.startswith("expected Linear to return, got RuntimeError: ")


def test_a_long_error_is_cut_short():
    told = complaint(core.call, {}.__getitem__, "long " * 1000)
    assert "KeyError" in told
    assert len(told) < 600


@pytest.mark.parametrize(
    "stub, said",
    [
        (
            "def f(x):\n    raise NotImplementedError()",
            "f is not filled in: put your code in place",
        ),
        ("def f(x):\n    raise NotImplementedError", "f is not filled in: put your code in place"),
        (
            "def g(x):\n    raise NotImplementedError()\ndef f(x):\n    return g(x)",
            "g is not filled",
        ),
        ("def f(x):\n    raise NotImplementedError('later')", "later"),
        (
            "class f:\n    def __init__(self, x):\n        raise NotImplementedError()",
            "f.__init__ is",
        ),
    ],
)
def test_a_bare_stub_is_not_filled_in(stub, said):
    space = {}
    exec(stub, space)
    with pytest.raises(core.NotFilledIn, match=f"^{said}"):
        core.call(space["f"], 1)


@pytest.mark.parametrize(
    "answer",
    [
        torch.nn.Module(),  # raises in a file of torch's
        lambda x: torch.arange(3).softmax(0),  # raises in C
    ],
)
def test_what_a_library_has_not_got_is_an_error_of_the_answer(answer):
    told = complaint(core.call, answer, torch.ones(2))
    assert "got NotImplementedError: " in told and "not filled in" not in told


@pytest.mark.parametrize("error", [NotImplementedError("Exercise 1.1"), KeyboardInterrupt()])
def test_a_stub_and_the_stop_button_pass_through(error):
    def stub():
        raise error

    with pytest.raises(type(error)) as raised:
        core.call(stub)
    assert str(raised.value) == str(error)


def test_what_torch_has_not_implemented_is_no_stub():
    told = complaint(core.call, torch.ones(2, device="meta").tolist)
    assert "expected tolist to return, got NotImplementedError: " in told


def shown(error):
    """The lines that a notebook shows."""
    return error._render_traceback_()


def test_a_notebook_shows_three_lines_and_not_the_check():
    with pytest.raises(CheckFailed) as error:
        core.fail(1, 2, "a guess")
    assert shown(error.value) == [
        "✗ Not yet", "  expected      1", "  got           2", "  likely cause  a guess",
    ]  # fmt: skip


def test_a_notebook_shows_where_an_answer_failed():
    with pytest.raises(CheckFailed) as error:
        core.call(answer, {})
    text = "\n".join(shown(error.value))
    assert 'return x["missing"]' in text
    assert "KeyError: 'missing'" in text
    assert f'"{core.__file__}"' not in text
    assert text.count("Not yet") == 1 and text.count("likely cause") == 1


def test_a_notebook_names_its_cells_and_no_file(shell):
    shell.run_cell("def double(x):\n    return y")
    with pytest.raises(CheckFailed) as error:
        core.call(shell.user_ns["double"], 1)
    text = "\n".join(shown(error.value))
    assert "Cell In[1], line 2, in double" in text or "Cell In[0], line 2, in double" in text
    assert ".py" not in text and "File" not in text


@pytest.mark.parametrize(
    "got, expected",
    [
        (1.0 + 1e-6, 1.0),
        (2, 2.0),
        ([1, 2], [1.0, 2.0]),
        (torch.tensor([1000.001, 0.001]), torch.tensor([1000.0, 0.0])),  # relative to the largest
        (torch.tensor([-math.inf, 1.0]), torch.tensor([-math.inf, 1.0])),
        (torch.tensor(True), 1.0),
    ],
)
def test_close_accepts(got, expected):
    core.close(got, expected, "none")


@pytest.mark.parametrize(
    "got, expected, told",
    [
        (1.1, 1.0, "expected 1, got 1.1"),
        (math.nan, 1.0, "expected 1, got nan"),
        (
            torch.tensor([[1.0, 2.0], [3.0, 9.0]]),
            torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
            "expected 4 at [1, 1], got 9",
        ),
        (
            torch.tensor([5.0, math.nan]),
            torch.tensor([1.0, 2.0]),
            "expected 2 at [1], got nan",
        ),
        (
            torch.tensor([0.0, 7.0]),
            torch.tensor([-math.inf, 1.0]),
            "expected -inf at [0], got 0",
        ),
        (
            torch.tensor([-math.inf, 7.0]),  # an infinity elsewhere makes nothing else right
            torch.tensor([-math.inf, 1.0]),
            "expected 1 at [1], got 7",
        ),
        (torch.ones(2, 3), torch.ones(3, 2), "expected shape (3, 2), got shape (2, 3)"),
        (torch.ones(1), 1.0, "expected shape (), got shape (1,)"),
        ("one", 1.0, "expected a number or a tensor, got str"),
        (None, 1.0, "expected a number or a tensor, got NoneType"),
        (torch.ones(2, requires_grad=True), torch.zeros(2), "expected 0 at [0]"),
    ],
)
def test_close_rejects(got, expected, told, recwarn):
    line = complaint(core.close, got, expected, "my cause")
    assert line.startswith(told)
    assert line.endswith("likely cause: my cause")
    assert not recwarn.list  # a warning on stderr would cost a student the points


def test_the_tolerance_counts():
    core.close(1.04, 1.0, "none", tolerance=0.05)
    complaint(core.close, 1.04, 1.0, "my cause", tolerance=0.03)
    complaint(core.close, 1.0 + 1e-9, 1.0, "my cause", tolerance=0.0)


def test_shape_and_type_of_a_tensor():
    core.same_shape(torch.ones(2, 3), (2, 3), "none")
    told = complaint(core.same_shape, torch.ones(3, 2), (2, 3), "swapped")
    assert told == "expected shape (2, 3), got shape (3, 2); likely cause: swapped"
    told = complaint(core.same_shape, [1, 2], (2,), "swapped")
    assert told.startswith("expected a tensor of shape (2,), got list; likely cause: return a tor")
    core.same_dtype(torch.ones(1), torch.float32, "none")
    told = complaint(core.same_dtype, torch.ones(1), torch.int64, "labels are whole numbers")
    assert told.startswith("expected torch.int64, got torch.float32; likely cause: labels")


# --- stuck --------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A notebook's shell, in a checkout with the solutions of a sample notebook."""
    (tmp_path / "labsolutions").mkdir()
    write(tmp_path / "labsolutions" / "01_sample.ipynb", sample_notebook())
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    monkeypatch.setattr(exercises, "loaded_references", set())
    shell = InteractiveShell()  # not .instance(): no other test shall see it
    shell.InteractiveTB = AutoFormattedTB(mode="Plain", theme_name="nocolor")
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    yield shell
    shell.history_manager.end_session()


def test_a_reference_takes_the_place_of_an_answer(shell, capsys):
    shell.run_cell("def double(x):\n    return x + 2").raise_error()
    assert shell.user_ns["double"](5) == 7
    stuck.load_reference("1.1")
    assert shell.user_ns["double"](5) == 10
    told = "The reference of exercise 1.1 is loaded; the results table will say so.\n"
    assert capsys.readouterr().out == told
    assert stuck.references() == ["1.1"]


ASK = (
    lambda: stuck.load_reference("1.1"),
    lambda: stuck.show_reference("1.1"),
    lambda: stuck.load_before("1.2"),  # with 1.1 missing
)


@pytest.mark.parametrize("ask", ASK)
def test_no_reference_while_nbgrader_grades(shell, monkeypatch, ask):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(RuntimeError, match=r"nbgrader grades: exercise 1\.1 needs an answer in th"):
        ask()
    assert "double" not in shell.user_ns
    assert stuck.references() == []


@pytest.fixture
def withheld(shell, tmp_path, monkeypatch):
    """The checkout as students get it who shall not have the solutions."""
    monkeypatch.setattr(progress, "_references", {})
    monkeypatch.setattr(progress, "_passed", set())
    solution = tmp_path / "labsolutions" / "01_sample.ipynb"
    empty = tmp_path / "labsolutions" / "empty" / solution.name
    empty.parent.mkdir()
    write(empty, release.student_notebook(exercises.read(solution)))
    solution.unlink()


@pytest.mark.parametrize("ask", ASK)
def test_the_instructor_has_the_reference(shell, withheld, ask):
    with pytest.raises(
        FileNotFoundError, match=r"^Your instructor has the reference of exercise 1"
    ):
        ask()
    assert "double" not in shell.user_ns
    assert stuck.references() == []


def test_without_solutions_the_rest_is_as_ever(shell, withheld, monkeypatch, capsys):
    shell.run_cell("def double(x):\n    return x + x").raise_error()
    stuck.load_before("1.2")
    assert "1 worked cells were run." in capsys.readouterr().out
    progress.progress_of(1)()
    assert capsys.readouterr().out == "0 of 2 exercises, 0 of 3 points; next 1.1\n"
    inputs = []
    monkeypatch.setattr(shell, "set_next_input", lambda text, replace: inputs.append(text))
    stuck.restore_stub("1.1")
    assert "raise NotImplementedError" in inputs[0]


def test_references_are_counted_once_and_in_order(shell):
    for exercise in ("1.2", "1.1", "1.2"):
        stuck.load_reference(exercise)
    assert stuck.references() == ["1.1", "1.2"]
    exercises.loaded_references.add("1.10")
    assert stuck.references() == ["1.1", "1.2", "1.10"]


def test_a_reference_that_fails_is_not_marked(shell, tmp_path):
    notebook = sample_notebook()
    cell = next(cell for cell in notebook.cells if cell.id == "ex-1-1")
    cell.source = cell.source.replace("def double", "undefined_name\n\n\ndef double")
    write(tmp_path / "labsolutions" / "01_sample.ipynb", notebook)
    with pytest.raises(NameError, match="undefined_name"):
        stuck.load_reference("1.1")
    assert stuck.references() == []


def test_the_stub_comes_back_whatever_the_student_has_saved(shell, tmp_path, monkeypatch):
    # A student's file holds the student's answer: the stub cannot come from there.
    answered = sample_notebook()
    next(cell for cell in answered.cells if cell.id == "ex-1-1").source = "def double(x): my own"
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks" / "01_sample.ipynb", answered)
    inputs = []
    monkeypatch.setattr(shell, "set_next_input", lambda text, replace: inputs.append(text))
    stuck.load_reference("1.1")
    stuck.restore_stub("1.1")
    (stub,) = inputs
    assert stub.startswith("def double(")
    assert "SOLUTION" not in stub
    assert "my own" not in stub
    assert stuck.references() == []
    with pytest.raises(NotImplementedError, match=r"^Exercise 1\.1 - Twice, or \"double\": "):
        shell.user_ns["double"](5)


def test_what_is_missing_before_an_exercise_is_run(shell, capsys):
    stuck.load_before("1.2")
    assert shell.user_ns["NUMBER"] == 4  # a worked cell that later ones need
    assert shell.user_ns["double"](5) == 10
    assert "triple" not in shell.user_ns
    told = capsys.readouterr().out
    assert "The references of 1.1 are loaded; the results table will say so." in told
    assert "1 worked cells were run." in told
    assert stuck.references() == ["1.1"]


def test_what_is_there_stays(shell, capsys):
    shell.run_cell("NUMBER = 5\ndef double(x):\n    return x + x").raise_error()
    stuck.load_before("1.2")
    assert shell.user_ns["NUMBER"] == 5
    assert capsys.readouterr().out == "No worked cell was missing.\n"
    assert stuck.references() == []


@pytest.mark.parametrize(
    "source, names",
    [
        ("import math\nx, (y, z) = 1, (2, 3)", ["x", "y", "z"]),
        ("class A:\n    b = 1\n\n\ndef c():\n    d = 2", ["A", "c"]),
        ("a[0] = b.c = 1", []),
    ],
)
def test_names_that_a_cell_defines(source, names):
    assert sorted(stuck._defined(source)) == sorted(names)


@pytest.mark.parametrize("ask", [stuck.load_reference, stuck.restore_stub, stuck.load_before])
@pytest.mark.parametrize(
    "exercise, kind, message",
    [
        ("1.9", KeyError, r"There is no exercise 1\.9; stage 1 has 1\.1, 1\.2"),
        ("7.1", FileNotFoundError, r"no notebook of stage 7 in labsolutions/\. Ask your instruct"),
        ("first", KeyError, r"no exercise 'first': write stage and number, as in '1\.3'"),
        ("1", KeyError, r"no exercise '1': write stage and number"),
        (1.1, KeyError, r"no exercise 1\.1: write stage and number, as in '1\.3'"),
    ],
)
def test_an_exercise_that_is_not_there(shell, ask, exercise, kind, message):
    with pytest.raises(kind, match=message):
        ask(exercise)
    assert stuck.references() == []


@pytest.mark.parametrize("ask", [stuck.load_reference, stuck.restore_stub])
def test_outside_of_a_notebook(ask):
    with pytest.raises(RuntimeError, match=r"This works in a notebook only\."):
        ask("1.1")
