"""What a class can do and what it stumbles over: one page for the instructor, one for the room.

``report.html`` names students by their keys, each a link to the page of feedback, whose file has
the name. ``lecture.html`` is for the projector: no keys, no links, nothing that only one has said.
"""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from urllib.parse import quote

from nbformat import NotebookNode

from course_utils.instructor.desk import pages
from course_utils.instructor.desk.alike import alike
from course_utils.instructor.desk.gradebook import Gradebook, Task, changed
from course_utils.instructor.desk.marks import Mark
from course_utils.instructor.desk.pages import bar, items, page, plural, text

#: How many causes of an exercise are shown, exercises in the lecture, and pairs.
CAUSES, HARDEST, PAIRS = 5, 5, 30

#: What a check says of an error in the answer; only a notebook has a traceback above.
RAISED = "the line of your code that the traceback above points at"
#: An outcome in the words of a cause, for those that have none of their own.
WORDS = {
    "hidden": "right for the numbers that the notebook shows, wrong for others",
    "open": "not filled in",
    "missing": "the cell is not in the notebook",
    "reference": "the course's answer was loaded",
    "refused": "it reaches for what it must not use",
    "time": "stopped: it took too long",
    "died": "the process ended",
    "tampered": "the check no longer worked after it",
}


def cause(mark: Mark) -> str:
    """Why an answer has no points, in words that several answers can share."""
    error = re.search(r", got (\w+):", mark.message)
    if error and mark.cause.startswith(RAISED):
        return f"an error in the answer itself: {error[1]}"
    return mark.cause or WORDS.get(mark.outcome, mark.message.split("\n")[0] or mark.outcome)


def report_page(
    book: Gradebook, layers: Sequence[str], files: Mapping[str, str], measured: Mapping[str, float]
) -> str:
    """The instructor's page.

    Parameters
    ----------
    book : Gradebook
    layers : sequence of str
        What kept the answers from the machine.
    files : dict of str to str
        By key: the name of the page of feedback.
    measured : dict of str to float
        What came out, by the question of a prediction.

    Returns
    -------
    str
        HTML.
    """

    def who(key: str) -> str:
        return f'<a href="feedback/{text(quote(files[key]))}">{text(key)}</a>'

    unmarked = [key for key in book.names if key not in book.marked]
    held = ", ".join(layers) or "nothing: the answers were trusted"
    head = (
        f"<p>{plural(len(book.names), 'student')}, {len(book.marked)} marked, {book.most} points. "
        f"Around each answer: {text(held)}.</p><p>A key leads to the student's page, whose file "
        'has the name. <a href="lecture.html">For the next lecture</a>: the hardest steps, '
        "without students.</p>"
    )
    parts = [
        ("Look at these first", _flags(book, who)),
        ("Not marked", items(f"{who(key)}: {text(book.submissions[key].status)}; "
                             f"{text(book.submissions[key].reason)}" for key in unmarked)),
        ("Not understood in your files", items(map(text, book.complaints))),
        ("Changed since the last run", _rows(
            ["Student", "Exercise", "Before", "Now"],
            [(who(key), text(name), old, new) for key, name, old, new in changed(book)])),
        ("Points given by hand", _by_hand(book, who)),
        ("Points of the class", _distribution(book)),
        ("Exercises", _exercises(book)),
        ("Why answers were not right", _causes(book, least=1)),
        ("Predictions", _predictions(book, measured, least=1)),
        ("The same but for names", _alike(book, who)),
    ]  # fmt: skip
    body = head + "".join(f"<h2>{title}</h2>{part}" for title, part in parts if part)
    return page(f"Stage {book.stage}: {book.title}", body, pages.WIDE)


def lecture_page(book: Gradebook, measured: Mapping[str, float]) -> str:
    """The hardest steps of the class, for a room that includes those who took them."""
    tried = [task for task in book.tasks.values() if _share(book, task) < 1]
    hardest = sorted(tried, key=lambda task: _share(book, task))[:HARDEST]
    body = "".join(
        f"<h2>{text(task.name)} - {text(task.title)}</h2><p>{_right(book, task)}</p>"
        + _causes(book, least=2, only=task)
        for task in hardest
    )
    if not hardest:
        body = "<p>Everybody had everything right.</p>"
    if not book.marked:
        body = "<p>No notebook was marked.</p>"
    predictions = _predictions(book, measured, least=2)
    if predictions:
        body += f"<h2>What you predicted</h2>{predictions}"
    title = f"Stage {book.stage}: the hardest steps"
    return page(title, body, pages.WIDE + "body{font-size:1.3rem}")


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return pages.table(heads, rows) if rows else ""


# ---------------------------------------------------------------- whom to look at


def _flags(book: Gradebook, who) -> str:
    lines = []
    for key in book.names:
        lines += [(2, f"{who(key)}: {text(flag)}") for flag in book.submissions[key].flags]
        for name, mark in book.submissions[key].marks.items():
            first = 0 if mark.outcome == "tampered" else 1 if mark.outcome == "hidden" else 2
            words = [*mark.flags]
            if first < 2 and not words:
                words = [WORDS[mark.outcome]]
            points = f"{book.points(key, name):g} of {mark.most}"
            head = f"{who(key)}, exercise {text(name)}, {points}: "
            lines += [(first, head + text(flag)) for flag in words]
    return items(line for _, line in sorted(lines, key=lambda line: line[0]))


def _by_hand(book: Gradebook, who) -> str:
    rows = []
    for (key, name), given in book.overrides.items():
        mark = book.mark(key, name)
        before = str(mark.points) if mark else "-"
        rows.append((who(key), text(name), before, f"{given.points:g}", text(given.reason)))
    return _rows(["Student", "Exercise", "The desk", "You", "Reason"], rows)


def _alike(book: Gradebook, who) -> str:
    answers = {
        name: {
            key: mark.answer
            for key in book.marked
            if (mark := book.mark(key, name))
            and mark.outcome not in ("open", "missing", "reference")
        }
        for name in book.tasks
    }
    pairs = alike(book.tasks, answers)
    if not pairs:
        return ""
    rows = [
        (f"{who(one)} and {who(other)}", str(len(names)), text(", ".join(names)))
        for (one, other), names in list(pairs.items())[:PAIRS]
    ]
    more = f"<p>And {len(pairs) - PAIRS} pairs more.</p>" if len(pairs) > PAIRS else ""
    return (
        "<p>Pointed out, not judged. Left out are short answers, the course's own, and what many "
        "have written.</p>" + _rows(["Students", "Answers", "Exercises"], rows) + more
    )


# ---------------------------------------------------------------- what the class can do


def _share(book: Gradebook, task: Task) -> float:
    right = sum(book.points(key, task.id) >= task.most for key in book.marked)
    return right / max(1, len(book.marked))


def _right(book: Gradebook, task: Task) -> str:
    share = _share(book, task)
    return bar(share, f"{share:.0%} of {plural(len(book.marked), 'student')} right")


def _distribution(book: Gradebook) -> str:
    """Tenths of the points, with how many students are in each."""
    if not book.marked or not book.most:
        return ""
    scores = [book.score(key) for key in book.marked]
    bands = Counter(min(9, int(10 * score / book.most)) for score in scores)
    most = max(bands.values())
    rows = [
        (f"{10 * band} to {10 * band + 10} %", bar(bands[band] / most, str(bands[band])))
        for band in range(10)
    ]
    words = (
        f"<p>The middle of the class: {median(scores):g} of {book.most} points; from "
        f"{min(scores):g} to {max(scores):g}.</p>"
    )
    return words + _rows(["Of all points", "Students"], rows)


def _exercises(book: Gradebook) -> str:
    rows = []
    for task in book.tasks.values():
        marks = [mark for key in book.marked if (mark := book.mark(key, task.id))]
        empty = sum(mark.outcome in ("open", "missing") for mark in marks)
        share = _share(book, task)
        rows.append((text(f"{task.id} {task.title}"), bar(share, f"{share:.0%}"), str(empty)))
    return _rows(["Exercise", "Right", "Not filled in"], rows) if book.marked else ""


def _causes(book: Gradebook, least: int, only: Task | None = None) -> str:
    """The most frequent causes of each exercise that at least so many students share."""
    parts = []
    for task in [only] if only else book.tasks.values():
        marks = [mark for key in book.marked if (mark := book.mark(key, task.id))]
        found = Counter(cause(mark) for mark in marks if mark.outcome != "right")
        shown = [(words, n) for words, n in found.most_common(CAUSES) if n >= least]
        lines = items(f"{plural(n, 'student')}: {text(words)}" for words, n in shown)
        if lines:
            parts.append(
                lines if only else f"<h3>{text(task.name)} - {text(task.title)}</h3>{lines}"
            )
    return "".join(parts)


# ---------------------------------------------------------------- predictions


def measured_in(solution: NotebookNode | None) -> dict[str, float]:
    """What came out where students predict, as the course's own run printed it."""
    found = {}
    for cell in solution.cells if solution else []:
        for output in cell.get("outputs", []):
            lines = re.findall(
                r"^(.+): you said .+, it is (\d+(?:\.\d+)?)%$", output.get("text", ""), re.MULTILINE
            )
            found |= {name: float(value) / 100 for name, value in lines}
    return found


def _said(source: str) -> dict[str, object]:
    """The prediction in a cell: a dict with plain keys and values."""
    try:
        trees = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict)]
        said = ast.literal_eval(trees[0]) if trees else {}
        return {str(name): value for name, value in said.items() if value is not None}
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return {}


def _predictions(book: Gradebook, measured: Mapping[str, float], least: int) -> str:
    numbers: dict[str, list[float]] = {name: [] for name in measured}
    words: dict[str, Counter] = {}
    for key in book.marked:
        for source in book.submissions[key].predictions.values():
            for name, value in _said(source[:5000]).items():
                if isinstance(value, int | float) and 0 <= value <= 1:
                    numbers.setdefault(name, []).append(float(value))
                elif isinstance(value, str):
                    words.setdefault(name, Counter())[value.strip().casefold()] += 1
    lines = []
    for name, values in numbers.items():
        if len(values) >= least:
            truth = measured.get(name)
            said = f"{plural(len(values), 'student')} said {min(values):.0%} to {max(values):.0%}, "
            said += f"the middle {median(values):.0%}"
            said += "" if truth is None else f"; in the course's own run it is {truth:.0%}"
            lines.append(f"<b>{text(name)}</b>: {text(said)}<br>{_dots(values, truth, said)}")
    for name, counts in words.items():
        shown = [f"{word} ({n})" for word, n in counts.most_common(CAUSES) if n >= least]
        if shown:
            lines.append(f"<b>{text(name)}</b>: {text(', '.join(shown))}")
    return items(lines)


def _dots(values: Sequence[float], truth: float | None, words: str) -> str:
    """What everybody said, on a line from 0 to 1, and a bar where it came out."""
    dots = "".join(
        f'<circle cx="{10 + 380 * value:.0f}" cy="15" r="5" fill="currentColor" fill-opacity=".4"/>'
        for value in values
    )
    mark = "" if truth is None else (
        f'<rect x="{8 + 380 * truth:.0f}" y="2" width="4" height="26" fill="#d55e00"/>'
    )  # fmt: skip
    return (
        f'<svg role="img" aria-label="{text(words)}" viewBox="0 0 400 30" width="400" height="30">'
        f'<line x1="10" y1="15" x2="390" y2="15" stroke="currentColor"/>{dots}{mark}</svg>'
    )
