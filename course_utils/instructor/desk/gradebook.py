"""The marks of a class with what an instructor adds by hand: ``grades.csv``, ``overrides.csv``."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode

from course_utils.exercises import exercises
from course_utils.instructor.desk import sheets
from course_utils.instructor.desk.marks import Mark, Submission
from course_utils.instructor.desk.sheets import OutputError, Sheet

_OVERRIDES = ["student", "exercise", "points", "reason"]


@dataclass(frozen=True)
class Task:
    """An exercise as the release has it."""

    id: str
    title: str = ""
    most: int = 0
    solution: str = ""
    skeleton: str = ""  # what the last hint gives away

    @property
    def name(self) -> str:
        """``"Exercise 1.10"``: a spreadsheet would make 1.1 of 1.10."""
        return f"Exercise {self.id}"


@dataclass(frozen=True)
class Override:
    """Points that the instructor gave by hand."""

    points: float
    reason: str


@dataclass
class Gradebook:
    """One stage of one class.

    Attributes
    ----------
    names : dict of str to str
        The student of each key. They stand in files for the instructor and in names of files.
    submissions : dict of str to Submission
        By key.
    overrides : dict of (str, str) to Override
        By key and exercise.
    kept : dict of str to dict of str to str
        By key: what the last ``grades.csv`` held in columns that are not the desk's.
    before : dict of str to dict of str to str
        By key: all of the row in the last ``grades.csv``.
    complaints : list of str
        What could not be read in the instructor's files.
    """

    stage: int
    title: str
    tasks: dict[str, Task]
    names: dict[str, str]
    submissions: dict[str, Submission]
    overrides: dict[tuple[str, str], Override] = field(default_factory=dict)
    kept: dict[str, dict[str, str]] = field(default_factory=dict)
    before: dict[str, dict[str, str]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    left: list[dict[str, str]] = field(default_factory=list)  # typed in for somebody not here now

    def __post_init__(self):
        self.names = {
            key: self.names.get(key, key)
            for key in sorted(self.submissions, key=lambda key: self.names.get(key, key))
        }

    @property
    def marked(self) -> list[str]:
        """Keys of the submissions that were marked."""
        return [key for key in self.names if self.submissions[key].status == "marked"]

    @property
    def most(self) -> int:
        """The points of all exercises."""
        return sum(task.most for task in self.tasks.values())

    @property
    def questions(self) -> list[str]:
        """Ids of the cells that a person marks."""
        return sorted({name for item in self.submissions.values() for name in item.texts})

    def mark(self, key: str, exercise: str) -> Mark | None:
        """What the desk gave; None if the submission has no such exercise."""
        return self.submissions[key].marks.get(exercise)

    def points(self, key: str, exercise: str) -> float:
        """With the instructor's word, if there is one."""
        if (key, exercise) in self.overrides:
            return self.overrides[key, exercise].points
        mark = self.mark(key, exercise)
        return mark.points if mark else 0

    def score(self, key: str) -> float:
        """The points of a student for all exercises."""
        return sum(self.points(key, exercise) for exercise in self.tasks)

    def typed(self, key: str) -> dict[str, float]:
        """The points that the instructor has given for questions."""
        given = {
            name: sheets.number(self.kept.get(key, {}).get(name, "")) for name in self.questions
        }
        return {name: value for name, value in given.items() if value is not None}

    def total(self, key: str) -> float:
        """Exercises and questions."""
        return self.score(key) + sum(self.typed(key).values())

    def counts(self, key: str) -> bool:
        """Whether there is something to give a grade for."""
        return key in self.marked or any(owner == key for owner, _ in self.overrides)

    def flags(self, key: str) -> list[str]:
        """What to look at in a submission, each with its exercise."""
        submission = self.submissions[key]
        return [
            *submission.flags,
            *(f"{name}: {flag}" for name, mark in submission.marks.items() for flag in mark.flags),
        ]


def open_gradebook(
    out: Path,
    stage: int,
    title: str,
    names: Mapping[str, str],
    submissions: Mapping[str, Submission],
    solution: NotebookNode | None,
) -> Gradebook:
    """The marks, with what the instructor's files in `out` add to them.

    Raises
    ------
    OutputError
        If one of these files is something else.
    """
    by_key = {submission.key: submission for submission in submissions.values()}
    book = Gradebook(stage, title, _tasks(solution, by_key), dict(names), by_key)
    _read_grades(book, out / "grades.csv")
    _read_overrides(book, out / "overrides.csv")
    return book


def _tasks(solution: NotebookNode | None, submissions: Mapping[str, Submission]) -> dict[str, Task]:
    """The exercises of the release; those that only marks know are there, too."""
    tasks = {}
    hints = {cell.id: cell.source for cell in (solution.cells if solution else [])}
    for item in exercises(solution) if solution else []:
        skeletons = re.findall(r"```python\n(.*?)```", hints.get(item.cell("hints"), ""), re.DOTALL)
        tasks[item.id] = Task(
            item.id, item.title, item.points, item.solution, skeletons[-1] if skeletons else ""
        )
    for submission in submissions.values():
        for name, mark in submission.marks.items():
            tasks.setdefault(name, Task(name, most=mark.most))
    return dict(sorted(tasks.items(), key=lambda pair: _number_of(pair[0])))


def _number_of(exercise: str) -> tuple:
    return tuple((int(part), "") if part.isdecimal() else (0, part) for part in exercise.split("."))


# ---------------------------------------------------------------- what people typed


def students_in(out: Path) -> dict[str, str]:
    """The student of each key in the ``grades.csv`` of an earlier run; none without one."""
    path = out / "grades.csv"
    rows = sheets.read(path).records() if path.exists() else []
    return {row["key"]: sheets.plain(row["student"]) for row in rows if row.get("key")}


def _read_grades(book: Gradebook, path: Path) -> None:
    if not path.exists():
        return
    sheet = sheets.read(path)
    if not {"student", "key"} <= set(sheet.header):
        raise OutputError(f"{path} has no columns student and key: move it, or give another --out")
    own = {*_columns(book), "total"} - set(book.questions)
    students = {student: key for key, student in book.names.items()}
    for record in sheet.records():
        student = record["student"]
        key = next(
            (students[name] for name in (sheets.plain(student), student) if name in students),
            record["key"] if record["key"] in book.names else None,
        )
        typed = {name: text for name, text in record.items() if name and name not in own and text}
        if key is not None:
            book.before[key], book.kept[key] = record, typed
        elif typed:
            book.left.append(record)


def _read_overrides(book: Gradebook, path: Path) -> None:
    if not path.exists():
        return
    sheet = sheets.read(path)
    if sheet.header[:3] != _OVERRIDES[:3]:
        raise OutputError(f"{path} should begin with the line {','.join(_OVERRIDES)}")
    students = {student: key for key, student in book.names.items()}
    students |= {key: key for key in book.names}
    for line, record in enumerate(sheet.records(), 2):
        if not any(record.values()):
            continue
        student, exercise = record["student"].strip(), record["exercise"].strip()
        key = students.get(student) or students.get(sheets.plain(student))
        name = re.sub(r"^(exercise |ex-)", "", exercise, flags=re.IGNORECASE).replace("-", ".")
        points = sheets.number(record["points"])
        where = f"overrides.csv, line {line}: nothing was changed:"
        if key is None:
            complaint = f"no student {student!r}"
        elif name == exercise and f"{name}0" in book.tasks:
            complaint = (
                f"{name} may have been {name}0 before a spreadsheet had it: write 'Exercise {name}'"
            )
        elif name not in book.tasks:
            complaint = f"no exercise {exercise!r}"
        elif points is None or not 0 <= points <= book.tasks[name].most:
            complaint = f"points from 0 to {book.tasks[name].most}, not {record['points']!r}"
        else:
            book.overrides[key, name] = Override(points, sheets.plain(record.get("reason", "")))
            continue
        book.complaints.append(f"{where} {complaint}")


# ---------------------------------------------------------------- what is written


def _columns(book: Gradebook) -> list[str]:
    own = [task.name for task in book.tasks.values()]
    total = ["total"] if book.questions else []
    head = ["student", "key", "status", "score", "max"]
    return [*head, *own, *book.questions, *total, "flags"]


def write_grades(book: Gradebook, out: Path) -> None:
    """Write ``grades.csv``, and an ``overrides.csv`` to fill in where there is none.

    Columns of questions, and those that the instructor has added, keep what stands in them.
    """
    typed = {name: None for kept in (*book.kept.values(), *book.left) for name in kept}
    columns = _columns(book)
    columns += [name for name in typed if name and name not in columns]
    rows = [columns]
    for key, student in book.names.items():
        submission = book.submissions[key]
        reason = f": {submission.reason}" if submission.reason else ""
        record = dict(book.kept.get(key, {}))
        record |= {
            "student": sheets.safe(student),
            "key": key,
            "status": sheets.safe(f"{submission.status}{reason}"),
            "score": f"{book.score(key):g}",
            "max": str(book.most),
            "total": f"{book.total(key):g}",
            "flags": sheets.safe("; ".join(book.flags(key))),
        }
        record |= {task.name: f"{book.points(key, task.id):g}" for task in book.tasks.values()}
        rows.append([record.get(name, "") for name in columns])
    for record in book.left:
        gone = record | {"status": "not among the submissions now"}
        rows.append([gone.get(name, "") for name in columns])
    Sheet(rows).write(out / "grades.csv")
    if not (out / "overrides.csv").exists():
        Sheet([_OVERRIDES]).write(out / "overrides.csv")


def changed(book: Gradebook) -> list[tuple[str, str, str, str]]:
    """Whose marks are others than in the last run: key, column, before, now."""
    found = []
    for key, record in book.before.items():
        now = {task.name: book.points(key, task.id) for task in book.tasks.values()}
        for name, points in now.items():
            old = sheets.number(record.get(name, ""))
            if old is not None and old != points:
                found.append((key, name, f"{old:g}", f"{points:g}"))
    return found
