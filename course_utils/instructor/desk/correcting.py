"""A submission marked, exercise by exercise."""

import re
from collections.abc import Callable

from course_utils.instructor.desk.cells import Reading, plain
from course_utils.instructor.desk.marks import Mark
from course_utils.instructor.desk.stages import Stage
from course_utils.instructor.desk.workers import LIMIT, Attempt

#: Seconds that the exercises of a submission may take together.
ALL = 120.0
#: An answer that needs more seconds of the processor to define is not run again for others.
SLOW = 2.0

_LOST = {
    "time": ("time", f"Not done after {LIMIT:.0f} seconds: a loop that does not end?"),
    "worker": ("died", "The answer ended the process that marks it."),
}


def correct(
    reading: Reading, stage: Stage, seeds: list[int], attempt: Callable[[dict, float], Attempt]
) -> dict[str, Mark]:
    """Mark each exercise of a submission.

    Parameters
    ----------
    reading : Reading
    stage : Stage
    seeds : list of int
        Of the checks: first the student's, 0, then hidden ones.
    attempt : callable
        Has a job done, in so many seconds.

    Returns
    -------
    dict of str to Mark
        By exercise, in the order of the stage.
    """
    marks: dict[str, Mark] = {}
    ran: set[str] = set()
    for exercise in stage.exercises.values():
        mark = marks[exercise.id] = Mark(
            0,
            exercise.points,
            "missing",
            answer=reading.answers.get(exercise.id, ""),
            notes=list(reading.notes.get(exercise.id, [])),
            flags=list(reading.flags.get(exercise.id, [])),
        )
        if exercise.id not in reading.answers:
            mark.message = "The notebook has no cell for this exercise."
        elif exercise.id in reading.references:
            mark.outcome = "reference"
            mark.message = "The notebook loads the reference of this exercise: it brings no points."
        elif exercise.id in reading.refused:
            mark.outcome, mark.message = "refused", f"The answer {reading.refused[exercise.id]}."
        elif mark.answer.strip() == exercise.stub.strip():
            mark.outcome, mark.message = "open", "The exercise is not filled in."
        else:
            left = ALL - sum(item.seconds for item in marks.values())
            job = _job(exercise.id, reading, stage, seeds, marks, ran)
            _run(mark, job, min(LIMIT, left), attempt, ran, exercise.id)
            _look_for_computed(mark, reading)
        if mark.outcome == "right":
            mark.points = mark.most
    return marks


def _job(
    exercise: str,
    reading: Reading,
    stage: Stage,
    seeds: list[int],
    marks: dict[str, Mark],
    ran: set[str],
) -> dict:
    failed = [need for need in stage.needed(exercise) if marks[need].outcome != "right"]
    marks[exercise].replaced = failed
    steps = []
    for answered, definition in reading.steps:
        if definition:
            steps.append(("own definition", definition))
        elif answered in ran and answered != exercise and answered not in failed:
            steps.append(("an earlier answer", plain(reading.answers[answered])))
    steps += [("a reference", stage.exercises[need].solution) for need in failed]
    return {
        "exercise": exercise,
        "steps": steps,
        "answer": plain(reading.answers[exercise]),
        "check": stage.exercises[exercise].check,
        "seeds": seeds,
    }


def _run(
    mark: Mark,
    job: dict,
    limit: float,
    attempt: Callable[[dict, float], Attempt],
    ran: set[str],
    exercise: str,
) -> None:
    if limit < 1:
        mark.outcome = "time"
        mark.message = f"Not run: the exercises before took {ALL:.0f} seconds together."
        return
    done = attempt(job, limit)
    mark.seconds = round(done.seconds, 2)
    if done.noise:
        mark.flags.insert(0, "writes on the desk's own line: its outcome may be forged")
    if done.result is None:
        kind = done.ended if done.ended in _LOST else "died"
        mark.outcome, mark.message = _LOST.get(kind, ("died", _ending(done.ended)))
        return
    mark.outcome, mark.cause = done.result["outcome"], done.result["cause"]
    mark.message = done.result["message"]
    mark.flags += [f"the answer {flag}" for flag in done.result["flags"]]
    mark.notes += done.result.get("notes", [])
    if done.result["defined"] and done.result["defining"] < SLOW:
        ran.add(exercise)


def _ending(how: str) -> str:
    if how == "exit":
        return "The answer ended the process (os._exit, for example)."
    return f"The process was ended by the signal {how} (memory, for example)."


def _look_for_computed(mark: Mark, reading: Reading) -> None:
    """A value that a cell of the notebook computes is not there at the desk: a person decides."""
    name = re.search(r"name '(\w+)' is not defined", mark.message)
    if mark.outcome == "wrong" and name and name[1] in reading.computed:
        where = reading.computed[name[1]]
        mark.flags.append(
            f"the answer uses {name[1]}, which cell {where} computes: no cell is run here, so look"
        )
        mark.notes.append(
            f"Your answer uses {name[1]}, which another cell computes. A function gets what it "
            "needs as arguments."
        )
