"""What the desk finds in a notebook before anything of it runs, and what it keeps of a class."""

import json
import sys

import pytest

from course_utils.checks import core
from course_utils.instructor.desk import ledger, workers
from course_utils.instructor.desk.cells import (
    UnreadableError,
    cells_in,
    forbidden,
    load,
    parsed,
    plain,
    stage_of,
    suspicious,
    understand,
)
from course_utils.instructor.desk.classroom import references
from course_utils.instructor.desk.correcting import correct
from course_utils.instructor.desk.marks import Mark, Submission
from course_utils.instructor.desk.watch import Reached, seal
from course_utils.instructor.desk.workers import Attempt
from course_utils.tests import handed_in
from course_utils.tests.handed_in import Filled


def reading(made: Filled):
    return understand(cells_in(json.loads(json.dumps(made.notebook))), made.stage)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_nothing_is_said_of_a_notebook_with_the_right_answers(number):
    found = reading(Filled(number))
    assert list(found.answers) == list(found.answers) == list(handed_in.stage(number).exercises)
    assert not found.refused
    assert not found.references
    assert not any(found.notes.values())
    assert not any(found.flags.values())
    assert found.predictions
    assert len(found.texts) == 2
    assert stage_of(cells_in(json.loads(json.dumps(Filled(number).notebook)))) == number


def test_the_answer_is_found_by_grade_id_by_id_and_by_names():
    right = Filled(1).right["1.2"]
    for change in (handed_in.strip_metadata, handed_in.same_ids, handed_in.strip_all):
        made = Filled(1)
        change(made)
        assert reading(made).answers["1.2"].strip() == right.strip(), change


def test_definitions_of_the_students_own_are_kept_and_nothing_that_is_computed():
    made = Filled(1, [])
    made.insert(
        "import scipy\nSIZE, NAME = 3, 'x'\ndef helper(x):\n    return x\n"
        "total = sum(range(3))\nprint(total)\nhelper(2)"
    )
    own = [source for exercise, source in reading(made).steps if not exercise]
    assert own == ["import scipy", "SIZE, NAME = (3, 'x')", "def helper(x):\n    return x"]
    assert reading(made).computed["total"] == "mine"


def test_magics_are_left_out_of_an_answer():
    assert plain("%matplotlib inline\nx = 1\n!ls").strip() == "x = 1"
    assert plain("def broken(:") == "def broken(:"


@pytest.mark.parametrize(
    "source",
    [
        "from course_utils.checks import core",
        "from course_utils.checks import stage2",
        "from course_utils.checks.stage1.data import *",
        "import course_utils.checks.core as c",
        "from course_utils import checks as mine",
        "from course_utils import *",
        "from course_utils.exercises import read",
        "from course_utils.tests.wrong_answers import stage1",
        "def f():\n    from course_utils.checks import core",
        "import course_utils\ncourse_utils.checks.core",
        "x = checks",
        "getattr(checks, 'mlp')",
        "checks.mlp.__wrapped__",
        "checks.mlp.mistakes[0]",
        "checks.mlp = print",
        "def f(x):\n    try:\n        checks.mlp(g)\n    except Exception as e:\n        return e",
        "def f(checks):\n    def g():\n        global checks\n        checks.mlp(x)",
        "f = lambda x: checks.mlp(x)",
        "checks.mlp(checks)",
        "@checks.mlp\nclass A: pass",
        "import importlib\nimportlib.import_module('course_utils.checks.core')",
        "f('course_utils.' + 'checks.stage1.data')",
    ],
)
def test_what_an_answer_must_not_use_is_refused(source):
    assert forbidden(parsed(source), handed_in.stage(1))


@pytest.mark.parametrize(
    "source",
    [
        "from course_utils.checks import stage1 as checks",
        "checks.mlp(SpeechMLP)",
        "checks.progress()",
        "from course_utils import audio, plotting",
        "class Model(nn.Module):\n    def forward(self, x):\n        self.checks = x",
        "def f(x):\n    checks = 0\n    checks += 1\n    return checks",
        "def f(checks):\n    return checks",
        "'''See course_utils.checks for more.'''",
    ],
)
def test_what_a_notebook_does_anyway_is_not_refused(source):
    assert not forbidden(parsed(source), handed_in.stage(1))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("torch.equal = print", "changes torch.equal"),
        ("torch.Tensor.__le__ = print", "changes torch.Tensor.__le__"),
        ("nn.functional.relu: int = 3", "changes nn.functional.relu"),
        ("import sys\nsys._getframe()", "frames"),
        ("x.__globals__", "insides"),
        ("exec('x = 1')", "runs text as code"),
        ("setattr(torch, 'equal', print)", "by their text"),
        ("import gc\ngc.get_objects()", "memory"),
        ("get_ipython()", "notebook's program"),
        ("from ctypes import CDLL", "another way"),
        ("open('labsolutions/x')", "solutions"),
        ("f('__glo' + 'bals__')", "insides"),
        ("f(f'__glo{\"bals__\"}')", "insides"),
        ("f(''.join(['f_', 'back']))", "frames"),
        ("f('__wrapped__.__globals__')", "insides"),
        ("match x:\n    case object(__globals__=y): pass", "insides"),
        ("functools.reduce(getattr, names, x)", "by their text"),
        ("getattr(x, name)", "by their text"),
        ("operator.attrgetter(name)(x)", "by their text"),
        ("from operator import methodcaller", "by their text"),
        ("string.Formatter().get_field('0.x', [y], {})", "by their text"),
        ("pkgutil.resolve_name(name)", "by their text"),
        ("import pydoc", "by their text"),
        ("from unittest import mock", "by their text"),
        ("import site\nsite.addsitedir('x')", "tables"),
        ("sys.path.insert(0, 'x')", "tables"),
    ],
)
def test_what_is_worth_a_look_is_pointed_out(source, what):
    assert any(what in found for found in suspicious(parsed(source), handed_in.stage(1)))


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()\npattern = re.compile('x')",
        "sizes = [layer.weight.shape for layer in model.modules()]",
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Linear(2, 3)",
        "x = getattr(y, 'size')\nprint('open modules and events: ' + 'a mock')",
        "model.weight.data = x\noptimiser.param_groups[0]['lr'] = 1.0",
    ],
)
def test_honest_code_is_not_pointed_out(source):
    assert not suspicious(parsed(source), handed_in.stage(1))


def test_references_are_counted_where_they_are_loaded_with_a_constant():
    made = Filled(1)
    made.insert(
        'checks.load_reference("1.1")\nchecks.show_reference("1.2")\n'
        "for n in range(3):\n    checks.load_reference(f'1.{n}')"
    )
    found = reading(made)
    assert found.references == {"1.1"}
    assert any("shows" in flag for flag in found.flags["1.2"])
    assert any("only a run would tell" in flag for flag in found.flags[""])


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 3}', "[" * 100_000, "\xff"])
def test_a_file_that_is_no_notebook_is_told(content, tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UnreadableError):
        load(path)


@pytest.mark.parametrize(
    "cell",
    [3, {}, {"source": 3, "cell_type": []}, {"source": ["x", 2], "metadata": 7, "id": {}},
     {"cell_type": "code", "source": "\ud800", "metadata": {"nbgrader": "x"}}],
)
def test_cells_of_any_kind_are_taken(cell):
    understand(cells_in({"cells": [cell]}), handed_in.stage(1))


# ---------------------------------------------------------------- the order of things


def attempts(outcomes: dict[str, str]):
    """A stand-in for workers, and the jobs that it got."""
    jobs = []

    def attempt(job, limit):
        jobs.append(job)
        outcome = outcomes.get(job["exercise"], "right")
        if outcome in ("time", "exit", "9", "worker"):
            return Attempt(None, outcome, 10.0, "")
        result = {"outcome": outcome, "cause": "c", "message": "m", "flags": [], "defined": True,
                  "defining": 0.1}
        return Attempt(result, "exit", 0.1, "")

    return attempt, jobs


def test_what_failed_and_is_needed_runs_as_its_reference():
    stage = handed_in.stage(1)
    attempt, jobs = attempts({"1.1": "wrong"})
    marks = correct(references(stage), stage, [0], attempt)
    needing = next(job for job in jobs if job["exercise"] == "1.3")
    assert ("a reference", stage.exercises["1.1"].solution) in needing["steps"]
    assert marks["1.3"].replaced == ["1.1"]
    assert marks["1.3"].points == stage.exercises["1.3"].points
    others = [source for job in jobs if job["exercise"] in ("1.1", "1.2")
              for kind, source in job["steps"] if kind == "a reference"]
    assert not others  # no answer of a solution where none failed


def test_solutions_of_what_is_right_go_nowhere():
    stage = handed_in.stage(4)
    made = {name: f"# mine {name}" for name in stage.exercises}
    own = references(stage)
    own.answers = made
    attempt, jobs = attempts({})
    correct(own, stage, [0], attempt)
    sent = json.dumps(jobs)
    assert not any(json.dumps(item.solution)[1:-1] in sent for item in stage.exercises.values())


@pytest.mark.parametrize(
    ("ended", "outcome"), [("time", "time"), ("exit", "died"), ("9", "died"), ("worker", "died")]
)
def test_how_a_process_ended_is_told(ended, outcome):
    stage = handed_in.stage(1)
    attempt, _ = attempts({"1.2": ended})
    mark = correct(references(stage), stage, [0], attempt)["1.2"]
    assert (mark.outcome, mark.points) == (outcome, 0)
    assert mark.message


def test_what_a_check_remarks_becomes_a_note():
    stage = handed_in.stage(1)
    attempt, _ = attempts({})

    def remarks(job, limit):
        done = attempt(job, limit)
        done.result["notes"] = ["by torch"] if job["exercise"] == "1.5" else []
        return done

    marks = correct(references(stage), stage, [0], remarks)
    assert marks["1.5"].notes == ["by torch"]


def test_a_submission_of_loops_ends():
    stage = handed_in.stage(4)
    attempt, jobs = attempts(dict.fromkeys(stage.exercises, "time"))
    marks = correct(references(stage), stage, [0], attempt)
    assert len(jobs) == 12  # of ten seconds each, in two minutes
    assert {mark.outcome for mark in marks.values()} == {"time"}


# ---------------------------------------------------------------- what is kept


def test_hidden_seeds_are_the_secrets_own():
    assert ledger.hidden_seeds("a", 3)[:2] == ledger.hidden_seeds("a", 2)
    assert ledger.hidden_seeds("a", 3) != ledger.hidden_seeds("b", 3)
    assert 0 not in ledger.hidden_seeds("a", 100)
    assert len(set(ledger.hidden_seeds("a", 100))) == 100


def test_marks_are_read_as_they_were_written(tmp_path):
    stage = handed_in.stage(1)
    kept = ledger.open_ledger(tmp_path / "new", stage, "s", 1)
    mark = Mark(2, 2, "right", "", "", ["a"], ["b"], "x = 1", ["1.1"], 0.5)
    kept.submissions["k"] = Submission("k", "h", marks={"1.2": mark}, predictions={"predict": "x"})
    kept.save(tmp_path / "new")
    assert ledger.load(tmp_path / "new") == kept
    assert ledger.open_ledger(tmp_path / "new", stage, None, None) == kept
    assert kept.done("k", "h")
    assert not kept.done("k", "another file")
    assert not ledger.open_ledger(tmp_path / "new", stage, None, 2).submissions  # marked anew
    (tmp_path / "new" / ledger.FILE).write_text("{")
    with pytest.raises(ledger.LedgerError, match="cannot be read"):
        ledger.open_ledger(tmp_path / "new", stage, None, None)


def test_only_the_line_with_the_token_counts():
    good, bad = b'{"token": "t", "outcome": "right"}\n', b'{"token": "", "outcome": "right"}\n'
    assert workers.result_of(good, "t") == ({"outcome": "right"}, False)
    assert workers.result_of(bad + good, "t") == ({"outcome": "right"}, True)
    assert workers.result_of(bad, "t") == (None, True)
    assert workers.result_of(b"", "t") == (None, False)


def test_a_token_is_given_to_the_frame_that_sealed_it_and_to_no_other():
    sealed = seal("t")
    assert next(sealed) == ""
    with pytest.raises(Reached):
        (lambda: next(sealed))()
    sealed = seal("t")
    assert [next(sealed), next(sealed)] == ["", "t"]


# ---------------------------------------------------------------- results that lie


def test_a_result_that_says_that_it_equals_everything_is_taken_at_its_numbers():
    import torch

    class Yes(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            return True

    class Table(dict):
        def keys(self):
            return self

        def __eq__(self, other):
            return True

        __hash__ = None

    class Liar:
        __class__ = torch.Tensor

    given = core.attempt(lambda: (torch.ones(2).as_subclass(Yes), [Table(a=1)], "x"))
    assert type(given[0]) is torch.Tensor
    assert type(given[1][0]) is dict
    assert given[2] == "x"
    same = (torch.ones(2), [1, 2.0])
    assert core.attempt(lambda: same) is same
    with pytest.raises(core.CheckFailed, match="an object of class Liar"):
        core.attempt(Liar)


@pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is the Linux kernel's")
def test_system_calls_are_refused_and_programs_still_run():
    import os
    import socket
    import subprocess

    from course_utils.instructor.desk.calls import refuse_calls

    reader, writer = os.pipe()
    if os.fork() == 0:
        import ctypes

        libc = ctypes.CDLL(None)
        libc.prctl(38, 1, 0, 0, 0)
        found = [refuse_calls()]
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK):
            try:
                socket.socket(family, socket.SOCK_DGRAM)
                found.append("a socket")
            except OSError:
                found.append(True)
        socket.socket(socket.AF_UNIX).close()
        found.append(libc.unshare(0x10000000) == -1)
        found.append(libc.ptrace(0, 0, 0, 0) == -1)
        found.append(subprocess.run(["/bin/sh", "-c", "exit 3"]).returncode == 3)
        os.write(writer, json.dumps(found).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    found = json.loads(os.read(reader, 1000))
    if not found[0]:
        pytest.skip("this kernel filters no system calls")
    assert found == [True] * len(found)
