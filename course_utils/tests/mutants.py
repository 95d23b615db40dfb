"""Is every line of a check needed? Change one at a time, and see whether an answer notices.

A mutant is a check with one thing changed: a comparison, an operator, a number, a condition, or a
failure that is left out. Each is tried on the answers to its exercise alone: the solution, the
mistakes that stand beside the check, and the sources in ``wrong_answers``. A mutant that changes no
outcome survives: a case is missing, or the line is not needed, or both ways are right. What
survived, and why, stands in ``mutants.md``. It takes about half an hour, and is no part of the
tests::

    python -m course_utils.tests.mutants --count 400 --seed 0

Each mutant runs in a process of its own, forked: not on Windows.
"""

import argparse
import ast
import importlib.abc
import importlib.util
import os
import random
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import IPython  # noqa: F401  before the fork: slow to import
import pytest  # noqa: F401
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils import settings
from course_utils.instructor import release  # noqa: F401

FOLDER = settings.CHECKOUT / "course_utils" / "checks"
SECONDS = 60

_COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.Mod: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def mutants(path: Path) -> Iterator[tuple[int, str, int, int]]:
    """Line, what is changed, and the numbers of node and change, of every mutant of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    arbitrary = {id(part) for node in ast.walk(tree) for part in _arbitrary(node)}
    # A number is mutated where it is computed or compared with; others are sizes of cases.
    counts = (ast.BinOp, ast.Compare, ast.Subscript, ast.Slice, ast.Return)
    for node in ast.walk(tree):
        if not isinstance(node, counts):
            arbitrary |= {
                id(part) for part in ast.iter_child_nodes(node) if isinstance(part, ast.Constant)
            }
    for node in tree.body:  # a mistake that is changed is another mistake
        names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and "MISTAKES" in " ".join(names[:1]):
            arbitrary |= {id(part) for part in ast.walk(node)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in arbitrary:
            continue
        for place, (what, _) in enumerate(_changes(node)):
            yield node.lineno, what, number, place


def _arbitrary(node: ast.AST) -> list[ast.AST]:
    """Parts of a call that could as well be others: seeds, drawn sizes, strict=True."""
    if not isinstance(node, ast.Call):
        return []
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    drawn = {"generator", "chance", "numpy_generator", "randint", "randrange", "choice", "choices"}
    given = node.args if name in drawn | {"randn", "rand"} else []
    strict = [keyword.value for keyword in node.keywords if keyword.arg == "strict"]
    return [part for value in [*given, *strict] for part in ast.walk(value)]


def mutated(path: Path, number: int, place: int) -> str:
    """The source of a module with one change."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node = next(node for i, node in enumerate(ast.walk(tree)) if i == number)
    _, change = list(_changes(node))[place]
    change(node)
    return ast.unparse(ast.fix_missing_locations(tree))


def _changes(node: ast.AST) -> Iterator[tuple]:
    """What can be changed in a node: a description, and a function that does it in place."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARED:
        other = _COMPARED[type(node.ops[0])]
        yield f"{ast.unparse(node)}: {other.__name__}", lambda n: n.ops.__setitem__(0, other())
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _OPERATED:
        other = _OPERATED[type(node.op)]
        yield f"{ast.unparse(node)}: {other.__name__}", lambda n: setattr(n, "op", other())
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield f"{node.value}: one more", lambda n: setattr(n, "value", n.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value}: the opposite", lambda n: setattr(n, "value", not n.value)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        positive = ast.UAdd if isinstance(node.op, ast.USub) else _Same
        yield f"{ast.unparse(node)}: without the sign", lambda n: _unsigned(n, positive)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield f"{ast.unparse(node)[:60]}: left out", lambda n: setattr(n, "value", ast.Constant(0))


class _Same:
    """Stands for an operator that is taken away."""


def _unsigned(node: ast.UnaryOp, positive: type) -> None:
    if positive is ast.UAdd:
        node.op = ast.UAdd()
    else:  # not x: twice
        node.operand = ast.UnaryOp(ast.Not(), node.operand)


def exercise_at(path: Path, line: int) -> str:
    """The exercise in whose part of a module a line stands, or ""."""
    found = ""
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if heading := re.match(r"# (\d+\.\d+) - ", text):
            found = heading[1]
        if number == line:
            return found
    return found


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives another source for one module."""

    def __init__(self, name: str, source: str, path: Path):
        self.name, self.source, self.path = name, source, path

    def find_spec(self, name, path=None, target=None):
        if name == self.name:
            return importlib.util.spec_from_loader(name, self, origin=str(self.path))
        return None

    def exec_module(self, module) -> None:
        module.__file__ = str(self.path)
        exec(compile(self.source, str(self.path), "exec"), module.__dict__)


def start(path: Path, source: str, exercise: str) -> int:
    """A process that ends with 0 if no answer to the exercise notices the change; its number."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(SECONDS)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            name = ".".join(path.relative_to(settings.CHECKOUT).with_suffix("").parts)
            sys.meta_path.insert(0, _Instead(name, source, path))
            code = 0 if not _complaints(exercise) else 1
        except BaseException:
            code = 1
        finally:
            os._exit(code)
    return child


def warm_up() -> None:
    """What is slow once in a process, before the fork."""

    class Mode(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {}))

    torch.set_num_threads(1)
    with Mode():
        torch.ones(2).softmax(0)


def _complaints(exercise: str) -> list[str]:
    """What the answers to one exercise say of its check."""
    from course_utils.checks import core
    from course_utils.exercises import exercises, read
    from course_utils.tests import test_wrong_answers as answers

    stage = int(exercise.split(".")[0])
    notebook = read(answers.NOTEBOOKS[stage - 1])
    checks = importlib.import_module(f"course_utils.checks.stage{stage}")
    [check] = [c for c in vars(checks).values() if getattr(c, "exercise", "") == exercise]
    for cause, wrong in core.replays(check):
        try:
            check(*wrong)
            return [f"{cause}: accepted"]
        except core.CheckFailed as error:
            if error.cause != cause:
                return [str(error)]
    wrong, right = answers.answers_of(stage)
    for cell in notebook.cells:  # the solutions of the others, as they are; their checks do not run
        if (other := re.fullmatch(r"check-(\d+)-(\d+)", cell.id)) and ".".join(
            other.groups()
        ) != exercise:
            cell.source = "print('not asked')"
    names = {item.id for item in exercises(notebook)}
    return [
        line
        for line in answers.complaints_about(
            notebook,
            {name: wrong.get(name, []) if name == exercise else [] for name in names},
            {name: right.get(name, []) if name == exercise else [] for name in names},
        )
        if line.startswith((f"{exercise}:", f"{exercise},")) and "the check takes" not in line
    ]


def main(arguments: list[str] | None = None) -> int:
    """The command line; prints a line for each mutant that survives."""
    parser = argparse.ArgumentParser(prog="python -m course_utils.tests.mutants")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    parser.add_argument("--stage", type=int, nargs="*", default=[1, 2, 3, 4])
    options = parser.parse_args(arguments)
    warm_up()
    found = [
        (path, line, what, *numbers)
        for stage in options.stage
        for path in sorted((FOLDER / f"stage{stage}").glob("*.py"))
        for line, what, *numbers in mutants(path)
        if exercise_at(path, line)
    ]
    drawn = random.Random(options.seed).sample(found, min(options.count, len(found)))
    running: dict[int, str] = {}
    alive = tried = 0
    while drawn or running:
        while drawn and len(running) < options.jobs:
            path, line, what, *numbers = drawn.pop()
            exercise = exercise_at(path, line)
            place = f"{path.relative_to(FOLDER)}:{line}"
            text = f"{exercise:<5} {place:<28} {' '.join(what.split())[:110]}"
            running[start(path, mutated(path, *numbers), exercise)] = text
        child, status = os.wait()
        text, tried = running.pop(child), tried + 1
        if status == 0:
            alive += 1
            print(text, flush=True)
        if tried % 50 == 0:
            print(f"      {tried} tried, {alive} survive", flush=True)
    print(f"{alive} of {tried} mutants survive, of {len(found):,} that there are")
    return 0


if __name__ == "__main__":
    sys.exit(main())
