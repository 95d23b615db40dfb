"""A class marked: workers side by side, each submission as if it were alone."""

import hashlib
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from course_utils.instructor.desk.cells import (
    PARSING,
    Cell,
    Reading,
    UnreadableError,
    load,
    stage_of,
    understand,
)
from course_utils.instructor.desk.correcting import correct
from course_utils.instructor.desk.ledger import FAILED, hidden_seeds
from course_utils.instructor.desk.marks import Mark, Submission
from course_utils.instructor.desk.sandbox import SandboxError
from course_utils.instructor.desk.stages import Stage
from course_utils.instructor.desk.submissions import HandedIn
from course_utils.instructor.desk.workers import Worker

#: How many hidden seeds may be left out because the course's own answer fails with them.
_MOST_BAD = 10


@dataclass(frozen=True)
class Paper:
    """A submission before it is marked."""

    key: str
    handed_in: HandedIn
    file_hash: str


def file_hash(path: Path | None) -> str:
    """SHA-256 of a file; "" where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""


def references(stage: Stage) -> Reading:
    """The course's own answers, as a submission."""
    answers = {name: exercise.solution for name, exercise in stage.exercises.items()}
    return Reading(answers=answers, steps=[(name, "") for name in answers])


def try_out(stage: Stage, secret: str, count: int, worker: Worker) -> list[int]:
    """Mark the course's own answers, to see that the desk works here; and the seeds to mark with.

    Raises
    ------
    SandboxError
        The checks reject one of them on this machine, or it cannot be run.
    """
    bad: set[int] = set()
    while len(bad) <= _MOST_BAD:
        hidden = [seed for seed in hidden_seeds(secret, count + len(bad)) if seed not in bad]
        found: list[int] = []

        def attempt(job: dict, limit: float, found: list[int] = found):
            done = worker.attempt(job, limit)
            if done.result and done.result["outcome"] == "hidden":
                found.append(done.result["seed"])
            return done

        seeds = [0, *hidden[:count]]
        marks = correct(references(stage), stage, seeds, attempt)
        failed = {name: mark for name, mark in marks.items() if mark.outcome != "right"}
        if not failed:
            return seeds
        bad.update(found)
        if not found:
            name, mark = next(iter(failed.items()))
            raise SandboxError(
                f"The course's own answer to exercise {name} is not right on this machine "
                f"({mark.outcome}: {mark.message or mark.cause}). Nothing was marked: run the "
                "tests of the course, or try another machine."
            )
    raise SandboxError("The checks reject the course's own answers with too many hidden numbers.")


def mark_paper(paper: Paper, stage: Stage, seeds: list[int], worker: Worker) -> Submission:
    """Mark one submission; whatever it holds, there is an outcome."""
    handed_in = paper.handed_in
    marked = Submission(paper.key, paper.file_hash, notes=list(handed_in.notes))
    if handed_in.path is None:
        marked.status, marked.reason = "nothing", handed_in.reason
        reading = Reading()
    else:
        try:
            with PARSING:
                reading = _read(handed_in.path, stage)
        except UnreadableError as error:
            marked.status, marked.reason = "unreadable", str(error)
            reading = Reading()
    if marked.status == "marked":
        marked.marks = correct(reading, stage, seeds, worker.attempt)
    else:
        marked.marks = {
            name: Mark(0, exercise.points, "missing", message=marked.reason)
            for name, exercise in stage.exercises.items()
        }
    marked.notes += reading.notes.get("", [])
    marked.flags += reading.flags.get("", [])
    marked.texts, marked.predictions = reading.texts, reading.predictions
    return marked


def _read(path: Path, stage: Stage) -> Reading:
    cells: list[Cell] = load(path)[0]
    reading = understand(cells, stage)
    other = stage_of(cells)
    if not reading.answers:
        raise UnreadableError(
            f"This is a notebook of stage {other}."
            if other not in (None, stage.number)
            else f"No exercise of stage {stage.number} is in this notebook."
        )
    return reading


def mark_all(
    papers: list[Paper], stage: Stage, seeds: list[int], workers: list[Worker]
) -> Iterator[Submission]:
    """Mark submissions, some at a time.

    Parameters
    ----------
    papers : list of Paper
    stage : Stage
    seeds : list of int
    workers : list of Worker
        So many at a time.

    Yields
    ------
    Submission
        In the order in which they are done.

    Raises
    ------
    SandboxError
        The sandbox broke: those that are not yielded were not marked.
    """
    todo: queue.SimpleQueue[Paper] = queue.SimpleQueue()
    for paper in papers:
        todo.put(paper)
    done: queue.SimpleQueue[Submission | Exception] = queue.SimpleQueue()
    stop = threading.Event()

    def work(worker: Worker) -> None:
        while not stop.is_set():
            try:
                paper = todo.get_nowait()
            except queue.Empty:
                return
            try:
                done.put(mark_paper(paper, stage, seeds, worker))
            except SandboxError as error:
                done.put(error)
                return
            except Exception as error:  # a mistake of the desk's own: the others go on
                reason = f"The desk failed: {type(error).__name__}: {error}"
                done.put(Submission(paper.key, paper.file_hash, FAILED, reason))

    threads = [threading.Thread(target=work, args=[worker], daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in papers:
            result = done.get()
            if isinstance(result, Exception):
                raise result
            yield result
    finally:
        stop.set()
        for worker in workers:
            worker.interrupt()
        for thread in threads:
            thread.join(5)


def students(papers: list[Paper]) -> Mapping[str, str]:
    """Names by key."""
    return {paper.key: paper.handed_in.student for paper in papers}
