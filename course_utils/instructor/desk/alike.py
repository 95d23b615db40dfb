"""Answers that are the same but for the names in them: pointed out, not judged."""

import ast
import functools
import textwrap
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

from course_utils.instructor.desk.gradebook import Task

#: Nodes of the tree that an answer has beyond what the last hint gives away; below, two people
#: who never met write the same.
LONG = 25
#: Of a form that this share of the class has, the task is the author.
COMMON = 0.2
_LONGEST = 20_000  # characters of an answer; the parser is not for more
#: Where a tree holds a name that may be another.
_NAMES = {
    ast.Name: "id", ast.arg: "arg", ast.FunctionDef: "name", ast.ClassDef: "name",
    ast.ExceptHandler: "name",
}  # fmt: skip


@functools.cache
def form(source: str, keep: frozenset[str] = frozenset()) -> tuple[str, int] | None:
    """An answer without its names, comments, docstrings and annotations, and how large it is.

    Parameters
    ----------
    source : str
    keep : frozenset of str
        Names that the exercise gives.

    Returns
    -------
    (str, int) or None
        None if it is no Python.

    Examples
    --------
    >>> one = form("def f(a):\\n    b = g(a, x=1)  # one more\\n    return b")
    >>> one == form("def h(x: int):\\n    '''Add.'''\\n    y = g(x, x=1)\\n    return y")
    True
    """
    if len(source) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(textwrap.dedent(source))
        for node in ast.walk(tree):
            _undress(node)
        nodes = list(ast.walk(tree))
        bound = (name for name in _bound(nodes) if name not in keep)
        names = {name: f"_{i}" for i, name in enumerate(dict.fromkeys(bound))}
        for node in nodes:
            part = _NAMES.get(type(node), "")
            if getattr(node, part, None) in names:
                setattr(node, part, names[getattr(node, part)])
        return ast.dump(tree), len(nodes) - 1  # without the module
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _undress(node: ast.AST) -> None:
    """Take away what says nothing about how an answer works."""
    if isinstance(node, ast.arg):
        node.annotation = None
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        node.returns = None
    body = getattr(node, "body", None)
    if isinstance(body, list) and isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
        node.body = [statement for statement in body if not _is_words(statement)]


def _is_words(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _bound(nodes: list[ast.AST]) -> Iterator[str]:
    """Names that the answer itself gives, but for attributes and methods, as they come."""
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    methods = {statement for node in classes for statement in node.body}
    for node in nodes:
        read = isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
        name = getattr(node, _NAMES.get(type(node), ""), None)
        if name and not read and node not in methods:
            yield name


def _defined(source: str) -> frozenset[str]:
    """What an exercise defines: its answers must, too."""
    tree = ast.parse(source or "")
    return frozenset(getattr(node, "name", "") for node in tree.body)


def alike(tasks: Mapping[str, Task], answers: Mapping[str, Mapping[str, str]]) -> dict:
    """Pairs of students with the same answers.

    Parameters
    ----------
    tasks : dict of str to Task
    answers : dict of str to dict of str to str
        By exercise: the answer of each key.

    Returns
    -------
    dict of (str, str) to list of str
        By pair of keys, those with the most first: the exercises whose answers are the same.
    """
    pairs = defaultdict(list)
    for exercise, task in tasks.items():
        given = answers.get(exercise, {})
        keep = _defined(task.solution)
        reference, skeleton = form(task.solution, keep), form(task.skeleton)
        own = LONG + (skeleton[1] if skeleton else 0)
        groups = defaultdict(list)
        for key, answer in given.items():
            found = form(answer, keep)
            if found and found[1] > own and found != reference:
                groups[found[0]].append(key)
        for keys in groups.values():
            if len(keys) <= max(2, COMMON * len(given)):
                for pair in combinations(sorted(keys), 2):
                    pairs[pair].append(exercise)
    return dict(sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0])))
