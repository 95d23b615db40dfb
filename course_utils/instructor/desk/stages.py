"""What the desk knows of a stage: its exercises, what stands around them, and its checks."""

import ast
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from course_utils import checks, settings
from course_utils.exercises import Exercise, NotebookError, exercises, names_given, read
from course_utils.instructor.release import student_notebook

#: Worked cells with this tag are run before the exercises that stand behind them.
NEEDED = "needs-for-checks"


@dataclass(frozen=True)
class Stage:
    """One stage as it was released, and its answers.

    Attributes
    ----------
    number : int
    title : str
        The first heading of its notebook.
    file : str
        Name of its notebook.
    exercises : dict of str to Exercise
        By id, in their order. The solutions are in it: no process that runs a student's code may
        have them all.
    cells : dict of str to str
        Source of each code cell as a student gets it, by id, in their order.
    setup : tuple of str
        Ids of the cells that the checks need around them.
    fingerprint : str
        Changes with any of its checks and cells, and so does what a mark means.
    """

    number: int
    title: str
    file: str
    exercises: dict[str, Exercise]
    cells: dict[str, str]
    setup: tuple[str, ...]
    fingerprint: str

    @property
    def most(self) -> int:
        """Points of all exercises together."""
        return sum(exercise.points for exercise in self.exercises.values())

    @property
    def imports(self) -> set[str]:
        """Each import of its cells, one name a line, as ``ast.unparse`` writes it."""
        return {line for source in self.cells.values() for line in imports_of(ast.parse(source))}

    def needed(self, exercise: str) -> list[str]:
        """What an exercise needs, directly or not, what comes first first."""
        found: list[str] = []
        for need in self.exercises[exercise].needs:
            found += [item for item in [*self.needed(need), need] if item not in found]
        return found


def imports_of(tree: ast.AST) -> Iterable[str]:
    """What a cell imports, wherever it does so, one name a line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in node.names:
                one = (
                    ast.Import([name])
                    if isinstance(node, ast.Import)
                    else ast.ImportFrom(node.module, [name], node.level)
                )
                yield ast.unparse(one)


def names_of(source: str) -> set[str]:
    """The functions and classes that a cell defines at its top level."""
    return {
        name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        for name in names_given(node)
    }


def numbers(folder: Path | None = None) -> list[int]:
    """The stages that there are."""
    folder = folder or settings.CHECKOUT / "labsolutions"
    found = (re.match(r"(\d\d)_", path.name) for path in folder.glob("*.ipynb"))
    return sorted(int(match[1]) for match in found if match)


def stage(number: int, folder: Path | None = None) -> Stage:
    """Read a stage from its solution.

    Parameters
    ----------
    number : int
    folder : Path, optional
        Where the solutions are; default ``labsolutions/``.

    Raises
    ------
    NotebookError
        There is no such stage, or its notebook breaks the conventions.
    """
    folder = folder or settings.CHECKOUT / "labsolutions"
    path = next(iter(sorted(folder.glob(f"{number:02d}_*.ipynb"))), None)
    if path is None:
        known = ", ".join(map(str, numbers(folder)))
        raise NotebookError(
            f"There is no stage {number} in {folder}; there is {known}."
            if known
            else f"There are no solutions in {folder}: marking needs them."
        )
    solution = read(path)
    student = student_notebook(solution)
    code = {cell.id: cell.source for cell in student.cells if cell.cell_type == "code"}
    found = exercises(solution)
    digest = hashlib.sha256()
    for part in (
        *(f"{cell.id}\n{cell.source}" for cell in solution.cells),
        *(file.read_text(encoding="utf-8") for file in sorted(_files_of_checks())),
    ):
        digest.update(part.encode())
    return Stage(
        number=number,
        title=solution.cells[0].source.splitlines()[0].lstrip("# "),
        file=path.name,
        exercises={exercise.id: exercise for exercise in found},
        cells=code,
        setup=tuple(cell.id for cell in student.cells if NEEDED in cell.metadata.get("tags", [])),
        fingerprint=digest.hexdigest()[:16],
    )


def _files_of_checks() -> Iterable[Path]:
    return Path(checks.__file__).parent.rglob("*.py")
