"""Mark a class: ``python -m course_utils.instructor.grade SUBMISSIONS --out DIR``.

``SUBMISSIONS`` is a folder with a folder a student, or with notebooks, or a zip from a learning
platform. Each exercise runs in a process of its own, in a sandbox, with the checks of the course:
no kernel, no training, no corpus. ``DIR`` then holds grades, a page of feedback for each student, a
report on the class, and ``marks.json``, from which a run that was cut short goes on.

::

    python -m course_utils.instructor.grade handed_in.zip --out marks_1
    python -m course_utils.instructor.grade handed_in --out marks_1 --worksheet from_moodle.csv
    python -m course_utils.instructor.grade handed_in --out marks_1 --only "Ada Lovelace"
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from filelock import Timeout
from tqdm.auto import tqdm

from course_utils.exercises import NotebookError
from course_utils.files import disk_error, locked
from course_utils.instructor.desk import outputs, sandbox, stages, submissions
from course_utils.instructor.desk.cells import UnreadableError, cells_in, load, stage_of
from course_utils.instructor.desk.classroom import (
    Paper,
    file_hash,
    mark_all,
    students,
    try_out,
)
from course_utils.instructor.desk.gradebook import students_in
from course_utils.instructor.desk.ledger import Ledger, LedgerError, open_ledger
from course_utils.instructor.desk.marks import key_of
from course_utils.instructor.desk.sandbox import NoSandboxError, SandboxError, rules_for
from course_utils.instructor.desk.sheets import OutputError
from course_utils.instructor.desk.stages import Stage
from course_utils.instructor.desk.workers import Nursery, Worker

#: Exit codes beside 0: something could not be done, the command was wrong, it was interrupted.
FAILED, USAGE, INTERRUPTED = 1, 2, 130


class _Wrong(ValueError):
    """The command cannot be carried out as it was given."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; errors are one line each.

    Returns
    -------
    int
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        _look_at(options)
        scratch = tempfile.TemporaryDirectory(prefix="course-intake-")
        with scratch, locked(options.out, 0):
            return _grade(options, Path(scratch.name))
    except Timeout:
        print(f"Another run is at work in {options.out}: wait for it to end.", file=sys.stderr)
        return USAGE
    except (
        _Wrong, NoSandboxError, NotebookError, LedgerError, submissions.SubmissionsError
    ) as error:
        print(error, file=sys.stderr)
        return USAGE
    except (SandboxError, OutputError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except OSError as error:
        kept = "What was marked until then is kept: the same command goes on from there."
        print(disk_error(error, options.out, kept, "--out"), file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on from here.", file=sys.stderr)
        return INTERRUPTED


def _look_at(options: argparse.Namespace) -> None:
    """What is wrong with the command is said before an hour of marking."""
    if options.worksheet is not None and not options.worksheet.is_file():
        raise _Wrong(f"--worksheet: there is no file {options.worksheet}.")
    if options.out.resolve().is_relative_to(options.submissions.resolve()):
        raise _Wrong(f"--out: {options.out} lies inside what was handed in; name a folder beside.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.grade", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument("submissions", type=Path, help="folder or zip of what was handed in")
    parser.add_argument("--out", type=Path, required=True, help="folder for marks and pages")
    parser.add_argument("--stage", type=int, help="default: the one that the notebooks are of")
    parser.add_argument("-j", type=int, default=len(_processors()), help="workers side by side")
    parser.add_argument("--seeds", type=int, help="how many hidden sets of numbers (default 2)")
    parser.add_argument("--secret", help="what hidden numbers are made from (default: by chance)")
    parser.add_argument("--only", nargs="+", default=[], metavar="ID", help="these, marked anew")
    parser.add_argument("--user", default="nobody", help="as root: who runs submissions")
    parser.add_argument("--worksheet", type=Path, help="what Moodle or Canvas exported, to fill in")
    parser.add_argument(
        "--trust-submissions", action="store_true", help="run them with no sandbox at all"
    )
    return parser


def _processors() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def _grade(options: argparse.Namespace, scratch: Path) -> int:
    trusted = options.trust_submissions and hasattr(os, "fork")  # Windows has nothing like it
    rules = None if trusted else rules_for(options.user)
    if options.j < 1 or (options.seeds is not None and options.seeds < 0):
        raise _Wrong("-j is at least 1, --seeds at least 0.")
    stage, handed_in = _collect(options.submissions, options.stage, scratch)
    ledger = open_ledger(options.out, stage, options.secret, options.seeds)
    papers = [
        Paper(key_of(item.student, ledger.secret), item, file_hash(item.path))
        for item in handed_in
    ]
    unknown = set(options.only) - set(students(papers).values())
    if unknown:
        raise _Wrong(f"--only: {', '.join(sorted(unknown))} handed nothing in.")
    todo = [
        paper
        for paper in papers
        if (not options.only and not ledger.done(paper.key, paper.file_hash))
        or paper.handed_in.student in options.only
    ]
    print(
        f"{stage.title}: {len(papers)} submissions, {len(todo)} to mark.", file=sys.stderr
    )
    if todo:
        _mark(todo, stage, ledger, options, rules)
    # Students of an earlier run with the same folder stay, whatever is handed in now.
    known = students_in(options.out) | students(papers)
    names = {key: name for key, name in known.items() if key in ledger.submissions}
    lines = outputs.write(
        options.out, stage.number, stage.title, names,
        {key: ledger.submissions[key] for key in names}, ledger.layers, options.worksheet,
        numbers={item.student: item.number for item in handed_in if item.number},
    )
    for line in lines:
        print(line, file=sys.stderr)
    _say_what_there_is(options.out, ledger)
    return 0


def _collect(
    path: Path, number: int | None, scratch: Path
) -> tuple[Stage, list[submissions.HandedIn]]:
    """The stage, and what was handed in of it."""
    stage = stages.stage(number) if number is not None else None
    if stage is None:
        found: Counter[int] = Counter()
        for item in submissions.collect(path, scratch / "first"):
            try:
                found.update([stage_of(load(item.path)[0])] if item.path else [])
            except UnreadableError:
                continue
        found.pop(None, None)
        if not found:
            raise _Wrong(f"{path}: no notebook says which stage it is of; say it with --stage.")
        stage = stages.stage(found.most_common(1)[0][0])
    number = stage.number
    return stage, submissions.collect(
        path, scratch / "second", lambda notebook: stage_of(cells_in(notebook)) == number
    )


def _mark(
    todo: list[Paper], stage: Stage, ledger: Ledger, options: argparse.Namespace,
    rules: sandbox.Rules | None,
) -> None:
    """Mark what is to be marked, and keep each outcome as soon as it is there."""
    options.out.mkdir(parents=True, exist_ok=True)
    with Nursery(stage) as nursery, ExitStack() as stack:
        count = min(options.j, len(todo))
        workers = [stack.enter_context(Worker(nursery, rules)) for _ in range(count)]
        workers[0].start()
        layers = workers[0].layers
        if rules is not None and not sandbox.holds_anything(layers):
            raise SandboxError(sandbox.NO_LAYER)
        ledger.layers = layers or ["none: the submissions were trusted"]
        print(f"Sandbox: {'; '.join(ledger.layers)}.", file=sys.stderr)
        ledger.seeds = try_out(stage, ledger.secret, len(ledger.seeds) - 1, workers[0])
        with tqdm(total=len(todo), unit=" submissions", desc="marking", disable=None) as bar:
            for marked in mark_all(todo, stage, ledger.seeds, workers):
                ledger.submissions[marked.key] = marked
                ledger.save(options.out)
                bar.update()


def _say_what_there_is(out: Path, ledger: Ledger) -> None:
    marked = ledger.submissions.values()
    flagged = sum(
        bool(item.flags or any(mark.flags for mark in item.marks.values())) for item in marked
    )
    failed = [item for item in marked if item.status == "failed"]
    lost = [item for item in marked if item.status not in ("marked", "failed")]
    print(f"{out / 'report.html'}: {len(marked)} submissions, {flagged} with something to look at.")
    if lost:
        print(f"{len(lost)} have no notebook that could be marked ({lost[0].reason}).")
    if failed:
        print(f"{len(failed)} were not marked ({failed[0].reason}); the same command tries again.")


if __name__ == "__main__":
    sys.exit(main())
