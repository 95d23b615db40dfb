"""When a student is stuck: the reference of an exercise, or its empty stub again."""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path

import IPython
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import display

from course_utils import exercises, settings
from course_utils.checks import core, progress

#: Worked cells with one of these tags are needed by what comes after them.


class NoSuchExercise(KeyError):
    """There is no exercise of this number. A notebook shows its message alone."""

    def __str__(self) -> str:
        return self.args[0]  # KeyError would put it in quotes

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        return [f"KeyError: {self}"]


def references() -> list[str]:
    """Ids of the exercises whose reference was loaded, in their order.

    Returns
    -------
    list of str
        Such as ``["1.3", "1.10"]``; the results table marks what was measured with them.
    """
    return sorted(
        exercises.loaded_references,
        key=lambda exercise: [int(part) for part in exercise.split(".")],
    )


def load_reference(exercise: str) -> None:
    """Run the reference solution of an exercise in place of your own.

    Parameters
    ----------
    exercise : str
        Stage and number, such as ``"1.3"``.

    Raises
    ------
    FileNotFoundError
        The notebook of solutions is not there, or your instructor has it.
    KeyError
        There is no such exercise.
    RuntimeError
        This is no notebook, or nbgrader is grading it: it would give the points.
    """
    _run_reference(_shell(), _exercise(exercise))
    print(f"The reference of exercise {exercise} is loaded; the results table will say so.")


def show_reference(exercise: str) -> None:
    """Show the reference solution of an exercise, with the reason for each of its lines.

    It counts as loaded, until the check passes with code of your own.

    Parameters
    ----------
    exercise : str
        Stage and number, such as ``"1.3"``.

    Raises
    ------
    FileNotFoundError, KeyError, RuntimeError
        As :func:`load_reference` does.
    """
    _shell()
    source = _handed_out(_exercise(exercise))
    lines = [line for line in source.split("\n") if not line.strip().startswith("### ")]
    exercises.loaded_references.add(exercise)
    code = "\n".join(lines)
    display({"text/markdown": f"```python\n{code}\n```", "text/plain": code}, raw=True)
    print(
        f"The reference of exercise {exercise}; the results table will say that you saw it, until "
        "its check passes with code of your own."
    )


def _run_reference(shell: InteractiveShell, exercise: exercises.Exercise) -> None:
    """Define the reference in the notebook, and mark the exercise."""
    shell.run_cell(_handed_out(exercise), store_history=False).raise_error()
    exercises.loaded_references.add(exercise.id)
    names = _defined(exercise.solution)
    progress.is_reference(exercise.id, [shell.user_ns[name] for name in names])


def _handed_out(exercise: exercises.Exercise) -> str:
    """The solution of an exercise, if it may be seen here and now."""
    if settings.graded_by_nbgrader():
        raise RuntimeError(
            f"No reference is loaded while nbgrader grades: exercise {exercise.id} needs an answer "
            "in this notebook."
        )
    if exercise.withheld:
        raise FileNotFoundError(
            f"Your instructor has the reference of exercise {exercise.id}; it is not in this "
            "folder. Ask for it."
        )
    return exercise.solution


def tell_open_exercises() -> None:
    """Let a cell that meets an open exercise say in one line which, wherever it is met."""
    shell = IPython.get_ipython()
    if shell is not None:
        shell.set_custom_exc((NotImplementedError,), _told)


def _told(shell, kind, error, trace, tb_offset=None) -> None:
    """What IPython calls for a NotImplementedError: of torch, too, which shows as ever."""
    said = core.not_filled_in(error)
    if (said and not str(error)) or re.match(r"Exercise \d+\.\d+ ", said):
        error._render_traceback_ = lambda: [f"NotImplementedError: {said}"]
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


def load_before(exercise: str) -> None:
    """Run what the cells before an exercise define and this kernel lacks, to start in the middle.

    Worked cells with the tag ``needs-for-checks`` or ``needs-later`` run as they are; an exercise
    whose functions are missing is replaced by its reference, and the results table says so.

    Parameters
    ----------
    exercise : str
        Stage and number, such as ``"4.9"``.

    Raises
    ------
    FileNotFoundError, KeyError, RuntimeError
        As :func:`load_reference` does.
    """
    shell = _shell()
    _exercise(exercise)  # says what is wrong with the number
    notebook = exercises.read(_notebook(exercise))
    by_cell = {item.cell("ex"): item for item in exercises.exercises(notebook, solved=False)}
    stop = f"task-{exercise.replace('.', '-')}"
    loaded, worked = [], 0
    for cell in itertools.takewhile(lambda cell: cell.id != stop, notebook.cells):
        tags = set(cell.metadata.get("tags", []))
        answer = by_cell.get(cell.id)
        if cell.cell_type != "code" or not (answer or tags & exercises.NEEDED):
            continue
        if all(name in shell.user_ns for name in _defined(cell.source)):
            continue
        if answer:
            _run_reference(shell, answer)
            loaded.append(answer.id)
        else:
            shell.run_cell(cell.source, store_history=False).raise_error()
            worked += 1
    if loaded:
        print(f"The references of {', '.join(loaded)} are loaded; the results table will say so.")
    print(f"{worked} worked cells were run." if worked else "No worked cell was missing.")


def _defined(source: str) -> list[str]:
    """Names that a cell defines at its top level."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [
                part.id
                for target in node.targets
                for part in ast.walk(target)
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
            ]
    return names


def restore_stub(exercise: str) -> None:
    """Turn this cell into the empty exercise, to start it again; what was defined is undone.

    The stub is made from the solution: your notebook's own file holds what you have written.

    Parameters
    ----------
    exercise : str
        Stage and number, such as ``"1.3"``.

    Raises
    ------
    FileNotFoundError, KeyError, RuntimeError
        As :func:`load_reference` does.
    """
    shell = _shell()
    stub = _exercise(exercise).stub
    shell.run_cell(stub, store_history=False).raise_error()
    shell.set_next_input(stub, replace=True)
    exercises.loaded_references.discard(exercise)
    progress.forget(exercise)
    print(f"This cell is now the empty exercise {exercise}. Fill it, and run it.")


def _shell() -> InteractiveShell:
    shell = IPython.get_ipython()
    if shell is None:
        raise RuntimeError("This works in a notebook only.")
    return shell


def _notebook(exercise: str) -> Path:
    """The notebook of solutions that holds an exercise, or the empty one."""
    if not (isinstance(exercise, str) and re.fullmatch(r"\d+\.\d+", exercise)):
        raise NoSuchExercise(
            f"There is no exercise {exercise!r}: write stage and number, as in '1.3'."
        )
    stage = int(exercise.split(".")[0])
    path = exercises.untouched(stage)
    if path is None:
        raise FileNotFoundError(
            f"There is no notebook of stage {stage} in labsolutions/. Ask your instructor for it."
        )
    return path


def _exercise(exercise: str) -> exercises.Exercise:
    """What the notebook of solutions holds of an exercise."""
    notebook = exercises.read(_notebook(exercise))
    found = {item.id: item for item in exercises.exercises(notebook, solved=False)}
    if exercise not in found:
        stage = exercise.split(".")[0]
        raise NoSuchExercise(
            f"There is no exercise {exercise}; stage {stage} has {', '.join(found)}."
        )
    return found[exercise]
