"""What the desk writes: tables, pages and answers, each whole or not there.

Students' names stand in ``grades.csv``, ``overrides.csv``, the platform's sheet and the names of
the pages of feedback, and nowhere else: the folder ``answers`` may be given to a service.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from nbformat import NotebookNode

from course_utils import settings
from course_utils.exercises import read
from course_utils.instructor.desk import sheets
from course_utils.instructor.desk.gradebook import (
    Gradebook,
    open_gradebook,
    write_grades,
)
from course_utils.instructor.desk.marks import Mark, Submission
from course_utils.instructor.desk.pages import page, text
from course_utils.instructor.desk.report import (
    RAISED,
    WORDS,
    lecture_page,
    measured_in,
    report_page,
)

#: Bytes of a page of feedback without the student's own answers.
LARGEST_PAGE = 5_000
#: Characters of an answer on a page.
LONGEST_ANSWER = 20_000


def write(
    out: Path,
    stage: int,
    title: str,
    names: Mapping[str, str],
    submissions: Mapping[str, Submission],
    layers: Sequence[str],
    worksheet: Path | None,
    *,
    numbers: Mapping[str, str] | None = None,
    solution: NotebookNode | None = None,
) -> list[str]:
    """Write everything that is made from a class's marks.

    Parameters
    ----------
    out : Path
        ``grades.csv`` and ``overrides.csv`` of an earlier run there are read first.
    names : dict of str to str
        The student of each key.
    submissions : dict of str to Submission
        All of the class: pages of students that are not among them go.
    layers : sequence of str
        What kept the answers from the machine, for the report.
    worksheet : Path or None
        What Moodle or Canvas exported, to be filled in.
    numbers : dict of str to str, optional
        By student: what the platform calls them, as ``HandedIn.number``.
    solution : notebook, optional
        Titles, points and answers; by default the stage's own.

    Returns
    -------
    list of str
        Lines for the user: what in their files was not understood, and who is in no row.

    Raises
    ------
    OutputError
        If something cannot be read or written. Files are replaced one by one, each as a whole.
    """
    solution = solution or solution_of(stage)
    book = open_gradebook(out, stage, title, names, submissions, solution)
    files = {key: f"{name}.html" for key, name in file_names(book.names).items()}
    measured = measured_in(solution)
    pages = {out / "feedback" / files[key]: feedback_page(book, key) for key in book.names}
    pages |= _answers(book, out / "answers")
    pages[out / "report.html"] = report_page(book, layers, files, measured)
    pages[out / "lecture.html"] = lecture_page(book, measured)
    lines = list(book.complaints)
    if worksheet is not None:
        scores = {book.names[key]: book.total(key) for key in book.names if book.counts(key)}
        lines += sheets.fill(worksheet, out, stage, title, scores, numbers or {}, book.most)
    for path, content in pages.items():
        sheets.write(path, content)
    write_grades(book, out)
    for folder, ending in (("feedback", "*.html"), ("answers", "*/*.py")):
        for path in (out / folder).glob(ending):
            if path not in pages:
                path.unlink()
    return lines


def solution_of(stage: int) -> NotebookNode | None:
    """The course's own notebook of a stage; None if it has none."""
    found = sorted((settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb"))
    return read(found[0]) if found else None


def _answers(book: Gradebook, folder: Path) -> dict[Path, str]:
    """A file an answer, in a folder an exercise, for a tool that looks for copies."""
    return {
        folder / f"ex-{name.replace('.', '-')}" / f"{key}.py": mark.answer
        for key in book.marked
        for name, mark in book.submissions[key].marks.items()
        if name in book.tasks and mark.answer.strip() and mark.outcome not in ("open", "missing")
    }


def file_names(names: Mapping[str, str]) -> dict[str, str]:
    """A name for a file of each key, from the student's, that every system takes; no two alike.

    Examples
    --------
    >>> file_names({"k1": "Ada", "k2": "ada", "k3": "../x/<b>", "k4": "con"})
    {'k1': 'Ada_k1', 'k2': 'ada_k2', 'k3': 'x_b', 'k4': 'con_k4'}
    """
    wanted = {}
    for key, name in names.items():
        name = re.sub(r"[^\w -]+", "_", unicodedata.normalize("NFC", name)).strip(" _-")
        wanted[key] = name.encode()[:120].decode(errors="ignore")

    def seen(name: str) -> str:  # what a disk that ignores case and accents' form sees
        return unicodedata.normalize("NFKD", name.casefold())

    count = Counter(map(seen, wanted.values()))
    device = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)?", re.IGNORECASE)
    made: dict[str, str] = {}
    for key, name in wanted.items():
        if count[seen(name)] > 1 or device.fullmatch(name):
            name = f"{name}_{key}"
            while seen(name) in {*count, *map(seen, made.values())}:
                name += "_"
        made[key] = name
    return made


# ---------------------------------------------------------------- a page of feedback


def feedback_page(book: Gradebook, key: str) -> str:
    """What a student gets: points, what is not right yet and why, notes."""
    longest = 300
    while True:
        shown, own = _feedback(book, key, longest)
        if len(shown.encode("utf-8", "replace")) - own <= LARGEST_PAGE or longest < 5:
            return shown
        longest = longest * 3 // 4


def _feedback(book: Gradebook, key: str, longest: int) -> tuple[str, int]:
    """The page with words cut at a length, and how many bytes of it are the student's answers."""
    submission, own = book.submissions[key], 0

    def cut(words: str) -> str:
        return text(words, longest)

    def quoted(words: str) -> str:
        nonlocal own
        shown = text(words, LONGEST_ANSWER)
        own += len(shown.encode("utf-8", "replace"))
        return shown

    parts = [f"<p><b>{book.total(key):g} points</b>, {book.most} for all exercises.</p>"]
    if key not in book.marked:
        parts.append(f"<p>Not marked: {cut(submission.reason or submission.status)}.</p>")
    parts += [f"<p>{cut(note)}</p>" for note in submission.notes]
    for task in book.tasks.values() if book.counts(key) else ():
        mark = book.mark(key, task.id)
        points = f"{book.points(key, task.id):g}/{task.most}"
        lines = _lines(mark) if mark else []
        if given := book.overrides.get((key, task.id)):
            lines.append(f"points given by hand: {given.reason}".rstrip(": "))
        sign = "✓" if book.points(key, task.id) >= task.most else "✗"
        parts.append(f"<p>{sign} <b>{task.id}</b> {text(task.title)} {points}")
        parts += [f"<br>{cut(line)}" for line in lines]
        if mark and mark.points < mark.most and mark.outcome not in ("open", "missing"):
            parts.append(
                f"<details><summary>Answer</summary><pre>{quoted(mark.answer)}</pre></details>"
            )
    for name, answer in submission.texts.items():
        points = book.typed(key).get(name)
        given = "" if points is None else f": points: {points:g}"
        name = re.sub(r"^question-(\d+)-(\d+)$", r"Question \1.\2", name)
        parts.append(f"<h2>{cut(name)}{given}</h2><pre>{quoted(answer)}</pre>")
    return page(f"Stage {book.stage}: {book.title}", "".join(parts)), own


def _lines(mark: Mark) -> list[str]:
    """What is said about one exercise."""
    said = []
    if mark.outcome != "right":  # what a hidden number was stays hidden
        words = WORDS.get(mark.outcome) or mark.message.split("\n")[0] or mark.cause
        said.append(words.replace(RAISED, "the line of your code that raises it"))
    if mark.replaced:
        said.append(f"run with the course's answer to {', '.join(mark.replaced)}")
    return [*said, *mark.notes]
