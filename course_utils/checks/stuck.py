"""When a student is stuck: the reference of an exercise, or its empty stub again."""

from __future__ import annotations

import re

from course_utils import settings

_references: set[str] = set()


class NoSuchExercise(KeyError):
    """There is no exercise of this number. A notebook shows its message alone."""

    def __str__(self) -> str:
        return self.args[0]  # KeyError would put it in quotes

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        return [f"KeyError: {self}"]


def references() -> list[str]:
    """Ids of the exercises whose reference was loaded; the results table marks them."""
    return sorted(_references, key=lambda exercise: [int(part) for part in exercise.split(".")])


def load_reference(exercise: str) -> None:
    """Run the reference solution of an exercise, such as ``"1.3"``, in place of your own.

    Raises
    ------
    FileNotFoundError, KeyError
        The notebook of solutions is not there; there is no such exercise.
    """
    shell = _shell()
    shell.run_cell(_exercise(exercise).solution, store_history=False).raise_error()
    _references.add(exercise)
    print(f"The reference of exercise {exercise} is loaded; the results table will say so.")


def restore_stub(exercise: str) -> None:
    """Turn this cell into the empty exercise, to start it again; what was defined is undone.

    The stub is made from the solution: your notebook's own file holds what you have written.
    """
    shell = _shell()
    stub = _exercise(exercise).stub
    shell.run_cell(stub, store_history=False).raise_error()
    shell.set_next_input(stub, replace=True)
    _references.discard(exercise)
    print(f"This cell is now the empty exercise {exercise}. Fill it, and run it.")


def _shell():
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("This works in a notebook only.")
    return shell


def _exercise(exercise: str):
    """What the notebook of solutions holds of an exercise."""
    from course_utils.exercises import exercises, read

    if not (isinstance(exercise, str) and re.fullmatch(r"\d+\.\d+", exercise)):
        raise NoSuchExercise(
            f"There is no exercise {exercise!r}: write stage and number, as in '1.3'."
        )
    stage = int(exercise.split(".")[0])
    files = sorted((settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb"))
    if not files:
        raise FileNotFoundError(
            f"There is no notebook of stage {stage} in labsolutions/. Ask your instructor for it."
        )
    found = {item.id: item for item in exercises(read(files[0]))}
    if exercise not in found:
        raise NoSuchExercise(
            f"There is no exercise {exercise}; stage {stage} has {', '.join(found)}."
        )
    return found[exercise]
