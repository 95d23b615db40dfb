"""Answers that are the same but for the names in them: pointed out, not judged."""

import ast
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
    >>> form("def f(a):\\n    b = a + 1  # one more\\n    return b") == form(
    ...     "def f(x: int):\\n    '''Add.'''\\n    y = x + 1\\n    return y")
    True
    """
    if len(source) > _LONGEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = ast.parse(textwrap.dedent(source))
        for node in ast.walk(tree):
            _undress(node)
        names = {
            name: f"_{i}"
            for i, name in enumerate(dict.fromkeys(n for n in _bound(tree) if n not in keep))
        }
        for node in ast.walk(tree):
            for part in ("id", "arg", "name"):
                if getattr(node, part, None) in names and not isinstance(node, ast.alias):
                    setattr(node, part, names[getattr(node, part)])
        return ast.dump(tree), sum(1 for _ in ast.walk(tree))
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


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that the answer itself gives, in the order in which they stand."""
    given = {node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node not in given:
            if node.name and not _is_method(node):
                yield node.name


def _is_method(node: ast.AST) -> bool:
    arguments = node.args.args if isinstance(node, ast.FunctionDef) else []
    return bool(arguments) and arguments[0].arg == "self"


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
        reference, skeleton = form(task.solution), form(task.skeleton)
        own = LONG + (skeleton[1] if skeleton else 0)
        groups = defaultdict(list)
        for key, answer in given.items():
            found = form(answer)
            if found and found[1] > own and found != reference:
                groups[found[0]].append(key)
        for keys in groups.values():
            if len(keys) <= max(2, COMMON * len(given)):
                for pair in combinations(sorted(keys), 2):
                    pairs[pair].append(exercise)
    return dict(sorted(pairs.items(), key=lambda item: (-len(item[1]), item[0])))
