"""Solution notebooks as the tools see them: cells with readable ids, exercises, stubs.

An exercise is known by its number. Exercise 1.3 is the cells ``task-1-3`` (heading, info line and
task), ``ex-1-3`` (the code), ``check-1-3`` and ``hints-1-3``; in the code, the lines between
``### BEGIN SOLUTION`` and ``### END SOLUTION`` are the solution.
"""

import ast
import json
import linecache
import re
import textwrap
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

from course_utils import settings

_HEADING = re.compile(r"### Exercise (?P<id>\d+\.\d+) - (?P<title>\S.*)")
_INFO = re.compile(
    r"Difficulty (?P<difficulty>[1-5])/5 · (?P<minutes>\d+) min · (?P<points>\d+) points?"
    r" · needs (?P<needs>nothing before|\d+\.\d+(?:(?:, | and )\d+\.\d+)*)"
)
_REGION = re.compile(
    r"^(?P<indent>[ \t]*)### BEGIN SOLUTION[ \t]*\n(?:.*\n)*?[ \t]*### END SOLUTION[ \t]*$",
    re.MULTILINE,
)

#: Tags of worked cells that define what checks, or later cells, ask for.
NEEDED = {"needs-for-checks", "needs-later"}

#: Ids of the exercises whose reference solution was loaded in this process: a result that was
#: measured afterwards says so.
loaded_references: set[str] = set()


class NotebookError(ValueError):
    """A notebook breaks a convention of the course; the message says which, and in which cell."""


@dataclass(frozen=True)
class Exercise:
    """One exercise of a solution notebook.

    Attributes
    ----------
    id : str
        Stage and number, such as ``"1.3"``.
    title : str
        The heading's text after the number.
    difficulty : int
        1 (easy) to 5.
    minutes : int
        Time to plan for it.
    points : int
        What the check cell is worth.
    needs : tuple of str
        Ids of the exercises that must be solved before.
    solution : str
        Source of the completed cell, markers included; where solutions are withheld, the stub.
    check : str
        Source of the check cell.
    """

    id: str
    title: str
    difficulty: int
    minutes: int
    points: int
    needs: tuple[str, ...]
    solution: str
    check: str

    @property
    def name(self) -> str:
        """``"Exercise 1.3 - Title"``: what a stub, a check and a mark sheet call it."""
        return f"Exercise {self.id} - {self.title}"

    @property
    def number(self) -> tuple[int, int]:
        """Stage and number as integers, so that 1.10 sorts after 1.9."""
        stage, number = self.id.split(".")
        return int(stage), int(number)

    @property
    def placeholder(self) -> str:
        """The two lines that stand in a student's cell instead of the solution."""
        message = f"{self.name}: replace this line with your code."
        literal = json.dumps(message, ensure_ascii=False)  # a title may hold quotes
        return f"# YOUR CODE HERE\nraise NotImplementedError({literal})"

    @property
    def stub(self) -> str:
        """Source of the cell that a student starts from."""
        return self.solution if self.withheld else stub_source(self.solution, self)

    @property
    def withheld(self) -> bool:
        """Whether the solution stayed with the instructor."""
        return "BEGIN SOLUTION" not in self.solution

    def cell(self, part: str) -> str:
        """The id of one of its cells: ``part`` is ``task``, ``ex``, ``check`` or ``hints``."""
        return f"{part}-{self.id.replace('.', '-')}"


def stub_source(cell_source: str, exercise: Exercise) -> str:
    """A completed exercise cell with the solution taken out.

    Parameters
    ----------
    cell_source : str
        Source of the cell, with at least one region between the solution markers.
    exercise : Exercise
        Whose id and title the ``NotImplementedError`` shall name.

    Returns
    -------
    str
        The cell that the student gets.

    Raises
    ------
    NotebookError
        If there is no region, or a marker without its partner.

    Examples
    --------
    >>> exercise = Exercise("1.3", "Twice", 1, 5, 1, (), "", "")
    >>> source = "def twice(x):\\n    ### BEGIN SOLUTION\\n    return 2 * x\\n    ### END SOLUTION"
    >>> print(stub_source(source, exercise))
    def twice(x):
        # YOUR CODE HERE
        raise NotImplementedError("Exercise 1.3 - Twice: replace this line with your code.")
    """

    def replaced(region: re.Match) -> str:
        if region[0].count("BEGIN SOLUTION") > 1:
            raise NotebookError(f"cell {exercise.cell('ex')}: solution markers are nested")
        return textwrap.indent(exercise.placeholder, region["indent"])

    stub, regions = _REGION.subn(replaced, cell_source)
    if not regions:
        raise NotebookError(f"cell {exercise.cell('ex')} has no region between solution markers")
    if re.search("BEGIN SOLUTION|END SOLUTION", stub):
        raise NotebookError(f"cell {exercise.cell('ex')} has a solution marker without its partner")
    return stub


#: In ``labsolutions/`` of a folder for students, instead of the solutions: the empty notebooks.
EMPTY = "empty"


def untouched(stage: int) -> Path | None:
    """The notebook of a stage that no student writes into, if there is one.

    It is the solution or, where solutions are withheld, the notebook that students started from.
    """
    for folder in (settings.CHECKOUT / "labsolutions", settings.CHECKOUT / "labsolutions" / EMPTY):
        for path in sorted(folder.glob(f"{stage:02d}_*.ipynb")):
            return path
    return None


def exercises(notebook: NotebookNode, solved: bool = True) -> list[Exercise]:
    """The exercises of a solution notebook, in the order in which they stand.

    Parameters
    ----------
    notebook : NotebookNode
        A notebook of ``labsolutions/``.
    solved : bool
        False for a student's notebook, which has no solution markers.

    Returns
    -------
    list of Exercise

    Raises
    ------
    NotebookError
        If a cell of an exercise is missing, or its heading, its info line, its points or its
        solution markers do not follow the conventions. All the problems are named, one a line.
    """
    cells = {cell.get("id"): cell for cell in notebook.cells}
    found, problems = [], []
    for cell in notebook.cells:
        match = re.fullmatch(r"ex-(\d+)-(\d+)", cell.get("id", ""))
        if match:
            try:
                found.append(_exercise(cells, ".".join(match.groups()), solved))
            except NotebookError as error:
                problems.append(str(error))
    if problems:
        raise NotebookError("\n".join(problems))
    return found


def _exercise(cells: dict[str, NotebookNode], exercise_id: str, solved: bool) -> Exercise:
    dashed = exercise_id.replace(".", "-")
    parts = {part: cells.get(f"{part}-{dashed}") for part in ("task", "ex", "check")}
    for part, cell_type in (("task", "markdown"), ("ex", "code"), ("check", "code")):
        if parts[part] is None:
            raise NotebookError(f"cell {part}-{dashed} is missing")
        if parts[part].cell_type != cell_type:
            raise NotebookError(f"cell {part}-{dashed} is not a {cell_type} cell")

    blocks = [block.strip() for block in re.split(r"\n\s*\n", parts["task"].source.strip())]
    heading = _HEADING.fullmatch(blocks[0])
    if heading is None or heading["id"] != exercise_id:
        raise NotebookError(
            f'cell task-{dashed} does not start with "### Exercise {exercise_id} - Title"'
        )
    info = _INFO.fullmatch(blocks[1]) if len(blocks) > 1 else None
    if info is None:
        raise NotebookError(
            f"cell task-{dashed}: the second block is not an info line such as "
            '"Difficulty 2/5 · 10 min · 2 points · needs 1.2" (or "needs nothing before")'
        )
    points = parts["check"].metadata.get("nbgrader", {}).get("points")
    if points != int(info["points"]):
        raise NotebookError(
            f"cell task-{dashed} promises {info['points']} points, its check gives {points}"
        )
    exercise = Exercise(
        id=exercise_id, title=heading["title"], difficulty=int(info["difficulty"]),
        minutes=int(info["minutes"]), points=points,
        needs=tuple(re.findall(r"\d+\.\d+", info["needs"])), solution=parts["ex"].source,
        check=parts["check"].source,
    )
    if solved:
        stub_source(exercise.solution, exercise)  # raises if the markers are not in order
    return exercise


def read(path: Path) -> NotebookNode:
    """A notebook exactly as it is on disk: ``nbformat.read`` would mend its ids on the way.

    Parameters
    ----------
    path : Path
        The ``.ipynb`` file.

    Returns
    -------
    NotebookNode

    Raises
    ------
    NotebookError
        If it is not a valid notebook of format 4.5 or later, or an id is missing or used twice.
    """
    try:
        notebook = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    except (ValueError, AttributeError, TypeError) as error:
        raise NotebookError(f"not a notebook ({error})") from None
    version = (notebook.get("nbformat"), notebook.get("nbformat_minor"))
    if version[0] != 4 or version[1] < 5:
        raise NotebookError(f"format {version[0]}.{version[1]} has no cell ids; save it in Jupyter")
    ids = [cell.get("id") for cell in notebook.cells]
    if None in ids:
        raise NotebookError(f"cell number {ids.index(None) + 1} has no id")
    repeated = sorted({name for name in ids if ids.count(name) > 1})
    if repeated:
        raise NotebookError(f"used more than once: the cell id {', '.join(repeated)}")
    invalid = next(nbformat.validator.iter_validate(notebook), None)
    if invalid is not None:
        raise NotebookError(f"not a valid notebook ({str(invalid).splitlines()[0]})")
    return notebook


def to_text(notebook: NotebookNode) -> str:
    """The text of a notebook's file, as Jupyter itself would write it."""
    return nbformat.v4.writes(notebook) + "\n"


def write(path: Path, notebook: NotebookNode) -> None:
    """Write a notebook with the same line ends on every system, so that bytes can be compared."""
    path.write_bytes(to_text(notebook).encode())


#: What stands in the cell of a question for a person until somebody answers; then it may stay.
ANSWER_HERE = "*Your answer: double-click here, and write in place of this line.*"
#: The cell of an answer to a question for a person; the question stands before it, in ``-text``.
QUESTION = re.compile(r"question-\d+-\d+")
#: Minutes to plan for an answer.
QUESTION_MINUTES = 3
#: How the cell of a prediction begins.
_PREDICTION = re.compile(r"^(my_\w+)\s*=\s*\{", re.MULTILINE)


def texts(notebook: Mapping) -> dict[str, str]:
    """The answers to the questions for a person, of a submission as ``json.load`` gives it.

    Parameters
    ----------
    notebook : mapping
        Whatever somebody handed in: nothing in it needs to be what a notebook has there.

    Returns
    -------
    dict of str to str
        A text for each question by the id of its cell, "" where nobody answered. Of a cell that is
        there twice the last counts.

    Examples
    --------
    >>> cell = {"id": "question-1-1", "cell_type": "markdown", "source": ["A and\\n", "B."]}
    >>> texts({"cells": [cell, {"id": 7}, None]})
    {'question-1-1': 'A and\\nB.'}
    """
    return {
        name: source.replace(ANSWER_HERE, "").strip()
        for name, source in _sources(notebook)
        if QUESTION.fullmatch(name)
    }


def predictions(notebook: Mapping) -> dict[str, str]:
    """What was predicted, of a submission as ``json.load`` gives it; no code of it is run.

    Parameters
    ----------
    notebook : mapping
        As for :func:`texts`.

    Returns
    -------
    dict of str to str
        By the id of the cell: what was predicted, as a dict is written; "" where nothing was; or
        the cell, where it is no dict of plain values any more.

    Examples
    --------
    >>> source = 'my_prediction = {"in quiet": 0.9, "in noise": None}'
    >>> predictions({"cells": [{"id": "predict", "cell_type": "code", "source": source}]})
    {'predict': "{'in quiet': 0.9}"}
    """
    found = {}
    for name, source in _sources(notebook):
        match = _PREDICTION.search(source)
        if match or name == "predict":
            found[name or "predict"] = _prediction(source, match[1] if match else "")
    return found


def _prediction(source: str, variable: str) -> str:
    """The dict of a prediction, without what was left open."""
    try:
        assigned = [
            statement.value
            for statement in ast.parse(source).body
            if isinstance(statement, ast.Assign) and variable in map(ast.unparse, statement.targets)
        ]
        values = dict(ast.literal_eval(assigned[-1]))
    except (SyntaxError, ValueError, TypeError, IndexError, RecursionError, MemoryError):
        return source.strip()
    said = {name: value for name, value in values.items() if value is not None}
    return str(said) if said else ""


def _sources(notebook: Mapping) -> Iterator[tuple[str, str]]:
    """Id, as nbgrader or else Jupyter has it, and source of each cell that has a source."""
    cells = notebook.get("cells") if isinstance(notebook, Mapping) else None
    for cell in cells if isinstance(cells, list) else []:
        if not isinstance(cell, Mapping):
            continue
        place: Any = cell
        for key in ("metadata", "nbgrader", "grade_id"):
            place = place.get(key) if isinstance(place, Mapping) else None
        name = place if isinstance(place, str) else cell.get("id")
        source = cell.get("source")
        if isinstance(source, list):
            source = "".join(line for line in source if isinstance(line, str))
        if isinstance(source, str):
            # Half of a pair of surrogates is JSON, and no file can hold it.
            text = source.encode("utf-8", "replace").decode()
            yield name if isinstance(name, str) else "", text


def definitions(notebook: str | Path, names: Iterable[str] = ()) -> dict[str, Any]:
    """What a notebook defines, without running it: imports, functions, classes and constants.

    A constant is a name that is given a literal, or numbers and names of constants put together,
    such as ``RATE = 16_000`` or ``WINDOW, HOP = 512, RATE // 50``; or another name of something
    that is there, such as ``shift = audio.shift``. No other statement and no magic is run.

    Parameters
    ----------
    notebook : path
        The ``.ipynb`` file.
    names : iterable of str, optional
        What must be there.

    Returns
    -------
    dict
        Name to function, class, module or constant: all that could be defined. The functions see
        each other in it, and what is put into it.

    Raises
    ------
    NotebookError
        It is no notebook, or does not define one of the `names`; the message says why.
    """
    notebook = Path(notebook)
    space: dict[str, Any] = {"__name__": f"definitions of {notebook.name}"}
    problems = {}
    for cell in read(notebook).cells:
        if cell.cell_type != "code":
            continue
        file = f"<{notebook.name}, cell {cell.id}>"
        # So that the source of each function can be looked up, as in a notebook.
        source = without_magics(cell.source)
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            statements = ast.parse(source).body
        except SyntaxError as error:
            problems = {name: f"cell {cell.id}: {error.msg}" for name in names} | problems
            continue
        for statement in statements:
            problem = f"cell {cell.id}: its value is computed, and no cell is run"
            if defines(statement, space):
                try:
                    exec(compile(ast.Module([statement], []), file, "exec"), space)
                    continue
                except Exception as error:  # its decorator or a default needs what was not run
                    problem = f"cell {cell.id}: {error!r}"
            problems |= dict.fromkeys(names_given(statement), problem)
    missing = [
        f"{name} ({problems.get(name, 'no cell does')})" for name in names if name not in space
    ]
    if missing:
        raise NotebookError(f"{notebook.name} does not define {', '.join(missing)}")
    return space


def without_magics(source: str) -> str:
    """A cell in plain Python: its magics become calls, which are not run."""
    # The rest of a cell under one of these is Python of the notebook, under any other it is not.
    source = re.sub(r"\A%%(time|capture|prun)\b.*", "", source)
    return TransformerManager().transform_cell(source)


def names_given(statement: ast.stmt) -> list[str]:
    """The names that a statement gives."""
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = getattr(statement, "targets", None) or [statement.target]
        return [
            part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)
        ]
    return [statement.name] if hasattr(statement, "name") else []


def defines(statement: ast.stmt, space: Container[str]) -> bool:
    """Whether a statement imports, defines, or gives a name to a constant."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        parts = ast.walk(statement.value) if statement.value is not None else [None]
        targets = getattr(statement, "targets", None) or [statement.target]
        named = all(
            isinstance(part, ast.Name | ast.Tuple | ast.Store)
            for target in targets
            for part in ast.walk(target)
        )
        return named and all(
            isinstance(part, _LITERAL) or (isinstance(part, ast.Name) and part.id in space)
            for part in parts
        )
    return isinstance(
        statement,
        ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
    )


_LITERAL = (
    *(ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.Attribute, ast.expr_context),
    *(ast.UnaryOp, ast.unaryop, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv),
)
