"""A check that has never rejected a wrong answer is no check.

A mistake that is a function stands beside its check, which must reject it with the likely cause
under which it stands there, whatever the seed. ``wrong_answers/stageN*.py`` holds what needs a
whole cell: ``WRONG_ANSWERS``, for each exercise a list of plausible mistakes, each with a name, the
source of an exercise cell and words of the likely cause that the check must name. A check must name
the exercise where only the stub stands, and accept the solution with one line; and so
``RIGHT_ANSWERS``, right answers that look unusual.
"""

import contextlib
import importlib
import io
import linecache
import re
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from nbformat import NotebookNode

from course_utils import settings
from course_utils.checks import core
from course_utils.exercises import Exercise, exercises, read
from course_utils.tests.test_release import DOUBLE, TRIPLE, cell_of, sample_notebook

LABSOLUTIONS = settings.CHECKOUT / "labsolutions"
NOTEBOOKS = sorted(LABSOLUTIONS.glob("*.ipynb"))
FILES = sorted(Path(__file__).with_name("wrong_answers").glob("stage*.py"))

#: Seconds that a check may take.
SLOWEST = 2.0

#: Cells with this tag are what the exercises need around them: imports and small set-up.
NEEDED = "needs-for-checks"

WrongAnswers = dict[str, list[tuple[str, str, str]]]
RightAnswers = dict[str, list[tuple[str, str]]]


def answers_of(stage: int) -> tuple[WrongAnswers, RightAnswers]:
    """The wrong and the unusual right answers to the exercises of a stage, from all its files."""
    wrong, right = {}, {}
    for path in FILES:
        if path.stem.split("_")[0] == f"stage{stage}":
            module = importlib.import_module(f"{__package__}.wrong_answers.{path.stem}")
            wrong |= module.WRONG_ANSWERS
            right |= module.RIGHT_ANSWERS
    return wrong, right


@dataclass
class Outcome:
    """What became of a piece of a notebook."""

    error: Exception | None
    stdout: str
    stderr: str
    seconds: float

    @property
    def what(self) -> str:
        """In a line, for a complaint."""
        if self.error is None:
            return "nothing was raised"
        return f"{type(self.error).__name__}: {first_line(self.error)}"


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]


def execute(source: str, name: str, namespace: dict) -> Outcome:
    """Execute a cell's source, with what it prints and warns of caught.

    The source is registered under its name, so that ``inspect.getsource`` and tracebacks find it
    as they would in a notebook.
    """
    filename = f"<{name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    stdout, stderr = io.StringIO(), io.StringIO()
    error = None
    start, busy = time.perf_counter(), time.process_time()
    with (
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        warnings.catch_warnings(record=True) as caught,
    ):
        # pytest would keep warnings to itself; in a notebook they are lines on stderr, except for
        # those that Python does not show.
        warnings.simplefilter("always")
        for hidden in (
            DeprecationWarning,
            PendingDeprecationWarning,
            ImportWarning,
            ResourceWarning,
        ):
            warnings.simplefilter("ignore", hidden)
        try:
            exec(compile(source, filename, "exec"), namespace)
        except Exception as raised:
            error = raised
    # Another program on the machine stretches the one clock, a second thread the other.
    seconds = min(time.perf_counter() - start, time.process_time() - busy)
    warned = "".join(f"{warning.category.__name__}: {warning.message}\n" for warning in caught)
    return Outcome(error, stdout.getvalue(), stderr.getvalue() + warned, seconds)


def complaints_about(
    notebook: NotebookNode, wrong_answers: WrongAnswers, right_answers: RightAnswers | None = None
) -> list[str]:
    """Try solution, stub and every wrong or right answer of each exercise on its check.

    An exercise sees the cells tagged :data:`NEEDED` that stand before it and the solutions of the
    exercises before it. Each attempt has its own copy of these names.

    Parameters
    ----------
    notebook : NotebookNode
        A solution notebook.
    wrong_answers : dict
        Exercise id to a list of (name of the mistake, source of the exercise cell, words of the
        likely cause).
    right_answers : dict, optional
        (Name, source) of answers other than the solution that are right, too.

    Returns
    -------
    list of str
        A line for everything that is not as it should be.
    """
    by_cell = {exercise.cell("ex"): exercise for exercise in exercises(notebook)}
    ids = {exercise.id for exercise in by_cell.values()}
    right_answers = right_answers or {}
    complaints = [
        f"{name}: {kind} answers, but no exercise"
        for kind, answers in (("wrong", wrong_answers), ("right", right_answers))
        for name in sorted(answers.keys() - ids)
    ]
    namespace: dict = {"__name__": "__main__", "display": lambda *things, **options: None}
    for cell in notebook.cells:
        exercise = by_cell.get(cell.id)
        if exercise is not None:
            wrong, right = (
                answers.get(exercise.id, []) for answers in (wrong_answers, right_answers)
            )
            complaints += _of_exercise(exercise, wrong, right, namespace)
        if exercise is not None or NEEDED in cell.metadata.get("tags", []):
            outcome = execute(cell.source, cell.id, namespace)
            if outcome.error:
                # What follows could only fail for want of what this cell defines.
                return [*complaints, f"cell {cell.id}: {outcome.what}"]
    return complaints


def _of_exercise(
    exercise: Exercise,
    wrong: list[tuple[str, str, str]],
    right: list[tuple[str, str]],
    namespace: dict,
) -> list[str]:
    complaints = []
    for texts in ({name for name, _, _ in wrong}, {source for _, source, _ in wrong}):
        if len(texts) < len(wrong):
            complaints.append(f"{exercise.id}: two wrong answers are the same")

    def attempt(source: str, name: str) -> Outcome:
        attempted = dict(namespace)
        name = f"{exercise.id}, {name}"
        outcome = execute(source, name, attempted)
        if outcome.error:
            complaints.append(f"{name}: the cell itself fails with {outcome.what}")
            return outcome
        outcome = execute(exercise.check, f"{name}, check", attempted)
        if outcome.seconds > SLOWEST:  # the first call of a library may have imported half of it
            again = execute(exercise.check, f"{name}, check", attempted)
            outcome.seconds = min(outcome.seconds, again.seconds)
        if outcome.seconds > SLOWEST:
            complaints.append(f"{name}: the check takes {outcome.seconds:.1f} s")
        return outcome

    outcome = attempt(exercise.solution, "solution")
    if outcome.error:
        complaints.append(f"{exercise.id}: the solution is rejected with {outcome.what}")
    elif not re.fullmatch(r".+\n", outcome.stdout):
        complaints.append(f"{exercise.id}: the check prints {outcome.stdout!r}, not one line")
    if outcome.stderr:
        complaints.append(f"{exercise.id}: on stderr: {outcome.stderr!r}")

    for unusual, source in right:
        outcome = attempt(source, unusual)
        if outcome.error:
            complaints.append(f"{exercise.id}, {unusual}: REJECTED by the check: {outcome.what}")

    outcome = attempt(exercise.stub, "stub")
    if not isinstance(outcome.error, NotImplementedError) or exercise.name not in str(
        outcome.error
    ):
        complaints.append(f"{exercise.id}: the stub does not name the exercise: {outcome.what}")

    for mistake, source, cause in wrong:
        outcome = attempt(source, mistake)
        if outcome.error is None:
            complaints.append(f"{exercise.id}, {mistake}: ACCEPTED by the check")
        elif not isinstance(outcome.error, AssertionError):
            complaints.append(f"{exercise.id}, {mistake}: not an AssertionError: {outcome.what}")
        else:
            line = first_line(outcome.error).lower()
            if cause.lower() not in line.rpartition("likely cause: ")[2]:
                complaints.append(f"{exercise.id}, {mistake}: not {cause!r} in {line!r}")
            for part in ("expected", "got", "likely cause"):
                if part not in line:
                    complaints.append(f"{exercise.id}, {mistake}: no {part!r} in {line!r}")
    return complaints


# The notebooks of the course


def test_there_are_notebooks():
    assert NOTEBOOKS, "labsolutions/ holds no notebook: the test below had nothing to look at"


def test_each_stage_has_a_notebook_and_wrong_answers():
    stages = {path.stem.split("_")[0] for path in FILES}
    assert stages == {f"stage{int(path.name[:2])}" for path in NOTEBOOKS}


#: Seeds of the checks: a student's is 0, the others are a grader's, who tries his own with the
#: course's answers before he marks.
LATER = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 11)]
SEEDS = [0, 1, 2, *LATER[2:]]

CHECKS = {
    check.__name__: check
    for stage in range(1, len(NOTEBOOKS) + 1)
    for check in vars(importlib.import_module(f"course_utils.checks.stage{stage}")).values()
    if hasattr(check, "exercise")
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_checks_tell_right_from_wrong(path, seed, monkeypatch):
    monkeypatch.chdir(LABSOLUTIONS)  # where a notebook's kernel runs
    with core.seeded(seed):
        complaints = complaints_about(read(path), *answers_of(int(path.name[:2])))
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("seed", [SEEDS[0], *LATER])
@pytest.mark.parametrize("name", CHECKS)
def test_each_mistake_is_rejected_with_its_own_cause(name, seed):
    replays = list(core.replays(CHECKS[name]))
    complaints = []
    for cause, answers in replays:
        try:
            with core.seeded(seed):
                CHECKS[name](*answers)
        except core.CheckFailed as error:
            if error.cause != cause:
                complaints.append(f"{cause!r}: {error}")
        else:
            complaints.append(f"{cause!r}: ACCEPTED")
    assert not complaints, "\n".join(complaints)
    given = CHECKS[name].exercise.endswith(".0")  # the check of a worked cell
    assert given or len(replays) >= 3


# The test itself


def sample_answers() -> WrongAnswers:
    """Wrong answers for the sample notebook, all of which its checks reject."""
    return {
        "1.1": [
            ("adds one", DOUBLE.replace("2 * x", "x + 1"), ""),
            ("squares", "square = lambda x: x * x\ndef double(x):\n    return square(x)", ""),
        ],
        "1.2": [
            ("forgets to add", TRIPLE.replace("total + x", "total"), ""),
            ("returns nothing", TRIPLE.replace("return total + x", "total + x"), ""),
        ],
    }


def test_good_checks_and_wrong_answers_pass():
    assert complaints_about(sample_notebook(), sample_answers()) == []


CHECK_1 = "print('Exercise 1.1: passed.')"


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        (f"double(1)\n{CHECK_1}", "1.1, adds one: ACCEPTED by the check"),
        (CHECK_1, "1.1: the stub does not name the exercise: nothing was raised"),
        ("assert double(3) == 6", "1.1: the check prints '', not one line"),
        ("assert double(3) == 6\nprint(1)\nprint(2)", "prints '1\\n2\\n', not one line"),
        ("assert double(3) == 6", "no 'likely cause' in ''"),
        ("assert double(3) == 6, 'expected 6, got 4'", "no 'likely cause' in 'expected 6, got"),
        ("assert double(3) == 6, 'wrong\\nexpected'", "no 'expected' in 'wrong'"),
        ("assert double(3) == 7, 'expected'", "the solution is rejected with AssertionError"),
        ("{6: 0}[double(3)]", "1.1, adds one: not an AssertionError: KeyError: 4"),
        ("import warnings\nwarnings.warn('Ouch')", "1.1: on stderr: 'UserWarning: Ouch\\n'"),
        ("import sys\nprint('Oh', file=sys.stderr)", "1.1: on stderr: 'Oh\\n'"),
        ("sum(range(10**7))", "solution: the check takes"),
    ],
)
def test_bad_checks_are_noticed(check, complaint, monkeypatch):
    monkeypatch.setattr("course_utils.tests.test_wrong_answers.SLOWEST", 0.02)
    notebook = sample_notebook()
    cell_of(notebook, "check-1-1").source = check
    assert complaint in "\n".join(complaints_about(notebook, sample_answers()))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda answers: answers.update({"1.9": []}), "1.9: wrong answers, but no exercise"),
        (
            lambda answers: answers["1.1"].append(("again", answers["1.1"][0][1], "")),
            "1.1: two wrong answers are the same",
        ),
        (
            lambda answers: answers["1.1"].append(("does not run", "1 / 0", "")),
            "1.1, does not run: the cell itself fails with ZeroDivisionError",
        ),
        (
            lambda answers: answers["1.1"].append(
                ("is right", "def double(x):\n    return x + x", "")
            ),
            "1.1, is right: ACCEPTED by the check",
        ),
        (
            lambda answers: answers["1.1"].append(
                ("another cause", "def double(x):\n    return 0", "the moon is full")
            ),
            "1.1, another cause: not 'the moon is full' in",
        ),
    ],
)
def test_bad_lists_are_noticed(change, complaint):
    answers = sample_answers()
    change(answers)
    assert complaint in "\n".join(complaints_about(sample_notebook(), answers))


def test_right_answers_that_are_rejected_are_noticed():
    sample, wrong = sample_notebook(), sample_answers()
    unusual = ("adds to itself", "def double(x):\n    return x + x")
    assert complaints_about(sample, wrong, {"1.1": [unusual]}) == []
    complaints = complaints_about(
        sample, wrong, {"1.1": [wrong["1.1"][0][:2]], "1.9": [unusual]}
    )
    assert complaints[0] == "1.9: right answers, but no exercise"
    assert complaints[1].startswith("1.1, adds one: REJECTED by the check: AssertionError")


def test_missing_set_up_is_noticed():
    notebook = sample_notebook()
    cell_of(notebook, "setup").metadata.tags = []
    complaints = "\n".join(complaints_about(notebook, sample_answers()))
    assert "NameError: name 'NUMBER' is not defined" in complaints
    cell_of(notebook, "setup").metadata.tags = [NEEDED]
    cell_of(notebook, "setup").source = "raise RuntimeError('no corpus')"
    assert complaints_about(notebook, sample_answers()) == ["cell setup: RuntimeError: no corpus"]


def test_checks_can_read_the_source_of_an_answer():
    notebook = sample_notebook()
    check = cell_of(notebook, "check-1-1")
    check.source = (
        "import inspect\ndouble(1)\nassert '2 * x' in inspect.getsource(double), "
        "'expected 2 * x, got another, likely cause: a guess'\n" + CHECK_1
    )
    assert complaints_about(notebook, sample_answers()) == []


def test_an_attempt_leaves_nothing_behind():
    notebook = sample_notebook()
    answers = sample_answers()
    answers["1.1"][0] = ("changes NUMBER", "NUMBER = 7\ndef double(x):\n    return x", "")
    cell_of(notebook, "check-1-2").source += "\nassert NUMBER == 4"
    assert complaints_about(notebook, answers) == []
