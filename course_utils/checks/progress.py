"""What has been solved in this kernel, and by whom: the student, or a loaded reference."""

import html
import itertools
import time
from collections.abc import Callable
from typing import Any

from IPython import get_ipython
from IPython.display import display

from course_utils import exercises

#: Exercises whose check has passed in this kernel.
_passed: set[str] = set()
#: What the reference of an exercise has defined, to tell it from the student's own answer.
_references: dict[str, list[Any]] = {}


def is_reference(exercise: str, defined: list[Any]) -> None:
    """Remember what the loaded reference of an exercise has defined."""
    _references[exercise] = defined


def forget(exercise: str) -> None:
    """The exercise is empty again: nothing of it is solved."""
    _passed.discard(exercise)
    _references.pop(exercise, None)


def solved(exercise: str, answers: tuple) -> None:
    """A check has passed. The mark of a loaded reference goes if the answers are the student's."""
    _passed.add(exercise)
    known = _references.get(exercise, ())
    own = not any(answer is item for answer in answers for item in known)
    if own and exercise in exercises.loaded_references:
        exercises.loaded_references.discard(exercise)
        _references.pop(exercise, None)
        print(f"Exercise {exercise} is your own now: results from here on do not name it.")


def progress_of(stage: int) -> Callable[[], None]:
    """The function ``progress()`` of a stage's checks."""

    def progress() -> None:
        """Print how much of this stage is solved, and which exercise comes next.

        What passed with a loaded reference is counted apart, and brings no points.
        """
        found = exercises.exercises(exercises.read(exercises.untouched(stage)), solved=False)
        own = [item for item in found if item.id in _passed - exercises.loaded_references]
        lent = [item.id for item in found if item.id in _references.keys() - {i.id for i in own}]
        line = (
            f"{len(own)} of {len(found)} exercises, {sum(item.points for item in own)} of "
            f"{sum(item.points for item in found)} points"
        )
        if lent:
            line += f"; {len(lent)} by {'its reference' if len(lent) == 1 else 'their references'}"
        done = {*lent, *(item.id for item in own)}
        following = next((item.id for item in found if item.id not in done), None)
        print(line + (f"; next {following}" if following else ""))

    return progress


_number = itertools.count()


def point_at(words: str) -> None:
    """Show a line in the notebook and scroll to it: *Run All* leaves the page at its end.

    Where the file is opened again, nothing scrolls.
    """
    if getattr(get_ipython(), "kernel", None) is None:
        return
    name, now = f"course-open-{next(_number)}-{time.time_ns()}", round(1000 * time.time())
    script = (
        f'if (Date.now() - {now} < 60000) setTimeout(() => document.getElementById("{name}")'
        '?.scrollIntoView({block: "center"}), 300);'
    )
    page = f'<div id="{name}">{html.escape(words)}</div><script>{script}</script>'
    display({"text/html": page, "text/plain": words}, raw=True)
