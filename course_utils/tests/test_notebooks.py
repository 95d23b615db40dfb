"""The conventions of a notebook, one small rule each, and the run of a student's empty version.

A rule takes a solution notebook and returns complaints; none means that it is kept. Each rule is
shown a sample that it must accept, and that sample broken in a way that it must notice.
"""

import ast
import itertools
import os
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbval.plugin import comment_markers, get_sanitize_patterns

from course_utils import settings
from course_utils.exercises import QUESTION, QUESTION_MINUTES, NotebookError, exercises, read
from course_utils.instructor import release
from course_utils.tests.test_release import cell_of, code, markdown, sample_notebook

LABSOLUTIONS = settings.CHECKOUT / "labsolutions"
NOTEBOOKS = sorted(LABSOLUTIONS.glob("*.ipynb"))
#: Characters: an alt text is read in one go.
LONGEST_ALT = 350

#: The sections of a notebook; each of these is in a heading of level 2, in this order.
SECTIONS = (
    "Setup",
    "Predict",
    "Look and listen",
    "Build",
    "Train",
    "Analyse",
    "Your voice",
    "Wrap-up",
)

#: Characters in a line of code, and lines in a cell of it.
WIDEST, LONGEST = 100, 40

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


# What the rules are made of


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(cell: NotebookNode) -> str:
    """The source of a markdown cell without what is quoted as code."""
    without_blocks = re.sub(r"^(```|~~~).*?^\1", "", cell.source, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", without_blocks)


def headings(cell: NotebookNode) -> list[tuple[int, str]]:
    """Level and text of each heading of a cell."""
    if cell.cell_type != "markdown":
        return []
    found = re.findall(r"^(#{1,6})\s+(.*?)\s*$", prose(cell), re.MULTILINE)
    return [(len(marks), text) for marks, text in found]


def shows_text(cell: NotebookNode) -> bool:
    """Whether the stored outputs hold something that nbval can compare."""
    return any(
        output.output_type == "stream" or any(mime.startswith("text/") for mime in output.data)
        for output in cell.outputs
        if output.output_type != "error"
    )


def html(cell: NotebookNode) -> Iterator[str]:
    """The texts of a cell in which an image can stand."""
    yield prose(cell) if cell.cell_type == "markdown" else cell.source
    for output in cell.get("outputs", []):
        for mime in ("text/html", "text/markdown"):
            yield output.get("data", {}).get(mime, "")


class Images(HTMLParser):
    """Collects the alt text of each ``<img>``; None where there is none."""

    def __init__(self, text: str):
        super().__init__()
        self.alts: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))


def exercises_or_none(notebook: NotebookNode) -> list:
    """The exercises; none where they cannot be read, which is another rule's complaint."""
    try:
        return exercises(notebook)
    except NotebookError:
        return []


# The rules


def ids_are_readable(notebook: NotebookNode) -> list[str]:
    """Ids are there, unique, and words rather than random digits."""
    ids = [cell.get("id") for cell in notebook.cells]
    random = r"[0-9a-f]{8,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    complaints = []
    for place, name in enumerate(ids, 1):
        if name is None:
            complaints.append(f"cell number {place} has no id")
        elif not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) or not re.search("[a-z]{2}", name):
            complaints.append(f"cell id {name} is not made of lower-case words, digits and hyphens")
        elif re.fullmatch(random, name):
            complaints.append(f"cell id {name} looks random")
        elif ids.count(name) > 1:
            complaints.append(f"cell id {name} is used more than once")
    return complaints


def nbgrader_metadata_is_right(notebook: NotebookNode) -> list[str]:
    """Exercise and check cells are what nbgrader takes them for, and no others are."""
    complaints = []
    for cell in notebook.cells:
        kind = re.fullmatch(r"(ex|check|question)-\d+-\d+", cell.get("id", ""))
        metadata = cell.metadata.get("nbgrader")
        if kind is None:
            if metadata is not None:
                complaints.append(f"cell {cell.id}: nbgrader metadata, but no exercise or check")
            continue
        check, question = (kind[1] == name for name in ("check", "question"))
        points = (metadata or {}).get("points")
        wanted = {
            "grade": check or question,
            "solution": not check,
            "locked": check,
            "schema_version": 3,
            "grade_id": cell.id,
        }
        if check:
            valid = isinstance(points, int) and points > 0
            wanted["points"] = points if valid else "a positive integer"
        if question:
            wanted["points"] = 0  # so that nbgrader's totals are those of the exercises
        # Editors add these two; they may be there if they are right.
        added = {"cell_type": "markdown" if question else "code", "task": False}
        there = {
            key: value
            for key, value in (metadata or {}).items()
            if key not in added or value != added[key]
        }
        if there != wanted:
            complaints.append(f"cell {cell.id}: nbgrader metadata {there}, not {wanted}")
    return complaints


def exercises_have_their_cells(notebook: NotebookNode) -> list[str]:
    """Task, code, check and hints stand together; hints are three; what is needed comes before."""
    try:
        found = exercises(notebook)
    except NotebookError as error:
        return str(error).splitlines()
    order = [cell.get("id") for cell in notebook.cells]
    complaints = []
    for place, exercise in enumerate(found):
        start, end = order.index(exercise.cell("task")), order.index(exercise.cell("ex"))
        wanted = [exercise.cell(part) for part in ("ex", "check", "hints")]
        if start > end or any(c.cell_type != "markdown" for c in notebook.cells[start:end]):
            complaints.append(f"{exercise.id}: between its task and its code only text may stand")
        if order[end : end + 3] != wanted:
            complaints.append(f"{exercise.id}: its cells are not {', '.join(wanted)} in this order")
        elif not three_hints(notebook.cells[end + 2]):
            complaints.append(
                f"{exercise.id}: hints are not three <details>, each with a <summary>"
            )
        if not re.search(r"^[ \t]+### BEGIN SOLUTION", exercise.solution, re.MULTILINE):
            complaints.append(f"{exercise.id}: the solution is not inside a function")
        earlier = {other.id for other in found[:place]}
        late = [needed for needed in exercise.needs if needed not in earlier]
        if late:
            complaints.append(f"{exercise.id} needs {', '.join(late)}, which does not come before")
    strays = [
        name
        for name in order
        if (match := re.fullmatch(r"(?:task|check|hints)-(\d+-\d+)", name or ""))
        and f"ex-{match[1]}" not in order
    ]
    return complaints + [f"cell {name} belongs to no exercise" for name in strays]


def questions_have_their_cells(notebook: NotebookNode) -> list[str]:
    """Before the answer to a question stands the question, and in the answer's cell a key."""
    complaints = []
    for before, cell in itertools.pairwise(notebook.cells):
        if QUESTION.fullmatch(cell.get("id", "")):
            lead = f"**In your own words** · {QUESTION_MINUTES} min · "
            if before.get("id") != f"{cell.id}-text" or not before.source.startswith(lead):
                complaints.append(f"cell {cell.id}: before it stands no question: {lead}")
            if cell.cell_type != "markdown" or "BEGIN MARK SCHEME" not in cell.source:
                complaints.append(f"cell {cell.id}: no text with a key for the marker")
    return complaints


def three_hints(cell: NotebookNode) -> bool:
    summaries = re.findall(r"<details>\s*<summary>[^<\s][^<]*</summary>", cell.source)
    counts = [cell.source.count(mark) for mark in ("<details", "</details>", "<summary")]
    return cell.cell_type == "markdown" and len(summaries) == 3 and counts == [3, 3, 3]


#: Exercises that came later, with the next free number: they stand where they belong.
LATER = {(4, number) for number in range(16, 21)} | {(3, 17)}


def exercise_numbers_ascend(notebook: NotebookNode) -> list[str]:
    """One stage a notebook, each number once, and all but the later ones in their order."""
    numbers = [exercise.number for exercise in exercises_or_none(notebook)]
    first = [number for number in numbers if number not in LATER]
    complaints = []
    if first != sorted(first) or len(set(numbers)) < len(numbers):
        complaints.append(f"the exercises stand in the order {numbers}")
    if len({stage for stage, _ in numbers}) > 1:
        complaints.append("exercises of more than one stage")
    return complaints


def student_version_can_be_made(notebook: NotebookNode) -> list[str]:
    """Releasing refuses nothing: markers in order, both versions small and without paths."""
    try:
        release.student_notebook(notebook)
    except NotebookError as error:
        return str(error).splitlines()
    return []


def notebook_is_tidy(notebook: NotebookNode) -> list[str]:
    """No widget state, execution times or absolute paths; under a megabyte."""
    return release.untidy(notebook)


def code_is_plain_python(notebook: NotebookNode) -> list[str]:
    """Every cell parses, in both versions; no shell lines, magics or installs."""
    stubs = {e.cell("ex"): e.stub for e in exercises_or_none(notebook)}
    complaints = []
    for cell in code_cells(notebook):
        for source in (cell.source, stubs.get(cell.id, "")):
            try:
                ast.parse(source)
            except SyntaxError as error:
                line = (error.text or "").strip()
                what = "a shell line or magic" if line.startswith(("!", "%")) else error.msg
                complaints.append(f"cell {cell.id}, line {error.lineno}: {what}: {line}")
        shell = re.search(
            r"get_ipython|run_line_magic|subprocess|os\.system|os\.popen|\b(?:pip|conda)\b.*install",
            cell.source,
        )
        if shell:
            complaints.append(f"cell {cell.id}: {shell[0]}")
        if not cell.source.strip():
            complaints.append(f"cell {cell.id} is empty")
    return complaints


def code_fits_a_screen(notebook: NotebookNode) -> list[str]:
    """No line is too wide, but for the one that a student replaces; no cell is too long."""
    complaints = []
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        wide = [place for place, line in enumerate(lines, 1) if len(line) > WIDEST]
        complaints += [f"cell {cell.id}, line {place}: over {WIDEST} characters" for place in wide]
        if len(lines) > LONGEST:
            complaints.append(f"cell {cell.id}: {len(lines)} lines")
    return complaints


def images_have_alt_text(notebook: NotebookNode) -> list[str]:
    """Each image says in words what is seen, and no more than one listens to."""
    complaints = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for alt in re.findall(r"!\[([^\]]*)\]", prose(cell)):
                if len(alt.strip()) < 8:
                    complaints.append(f"cell {cell.id}: the alt text {alt!r} is too short")
        for text in html(cell):
            for alt in Images(text).alts:
                if not (alt or "").strip():
                    complaints.append(f"cell {cell.id}: an <img> without alt text")
                elif len(alt) > LONGEST_ALT:
                    complaints.append(f"cell {cell.id}: an alt text of {len(alt)} characters")
    return complaints


def outputs_are_plain(notebook: NotebookNode) -> list[str]:
    """Figures are shown with plotting.show; nothing on stderr; no error that is not announced."""
    complaints = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            bare = [mime for mime in output.get("data", {}) if mime.startswith("image/")]
            if bare:
                complaints.append(f"cell {cell.id}: {bare[0]} output; use plotting.show")
            if output.get("name") == "stderr":
                complaints.append(f"cell {cell.id}: stderr: {output.text.strip()[:60]}")
            raises = {"raises-exception", "nbval-raises-exception"} & set(tags(cell))
            if output.output_type == "error" and not raises:
                complaints.append(f"cell {cell.id} raised {output.ename}")
    return complaints


def kernel_is_python3(notebook: NotebookNode) -> list[str]:
    """The kernel that everybody has."""
    kernelspec = notebook.metadata.get("kernelspec", {})
    if (kernelspec.get("name"), kernelspec.get("language")) != ("python3", "python"):
        return [f"kernelspec {dict(kernelspec)}"]
    return []


def headings_form_an_outline(notebook: NotebookNode) -> list[str]:
    """The title is the only heading of level 1, and no level is skipped."""
    found = [(cell.get("id"), *heading) for cell in notebook.cells for heading in headings(cell)]
    titles = [name for name, level, _ in found if level == 1]
    complaints = []
    if titles != [notebook.cells[0].get("id")]:
        complaints.append(f"headings of level 1 stand in {titles}, not once in the first cell")
    level = 0
    for name, next_level, text in found:
        if next_level > level + 1:
            complaints.append(f"cell {name}: {text!r} skips from level {level} to {next_level}")
        level = next_level
    return complaints


def sections_are_those_of_the_course(notebook: NotebookNode) -> list[str]:
    """A table at the start, then every section in its order."""
    texts = [text for cell in notebook.cells for level, text in headings(cell) if level == 2]
    remaining = iter(texts)
    complaints = [
        f"no section {section!r}, or not after those before it, in {texts}"
        for section in SECTIONS
        if not any(section.lower() in text.lower() for text in remaining)
    ][:1]
    opening = []
    for cell in notebook.cells:
        if any(level == 2 for level, _ in headings(cell)):
            break
        opening.append(cell.source)
    if not re.search(r"^\|.*\|\s*\n\|[-: |]+\|\s*$", "\n".join(opening), re.MULTILINE):
        complaints.append("no table (minutes, data, prerequisites) before the first section")
    return complaints


def totals_are_sums(notebook: NotebookNode) -> list[str]:
    """The table at the start has the exercises' minutes and points; two hours at most.

    What is stretch has minutes and points of its own, and is no part of the two hours.
    """
    title = notebook.cells[0].source
    points = re.search(r"Points \| (\d+)(?:, .*; (\d+) more)?", title)
    # A long stage has a row for each of its sittings.
    sittings = re.findall(r"reading (\d+) · exercises (\d+)(?: · stretch (\d+))?", title)
    found = {"points": points, "minutes": sittings}
    complaints = [f"the title's table has no {name}" for name, match in found.items() if not match]
    if complaints:
        return complaints
    promised = {
        "points": [int(number or 0) for number in points.groups()],
        "minutes": [sum(int(row[place] or 0) for row in sittings) for place in (1, 2)],
    }
    sources = {cell.get("id"): cell.source for cell in notebook.cells}
    tasks: tuple[list, list] = ([], [])
    for task in exercises(notebook):
        tasks["**Stretch.**" in sources[task.cell("task")]].append(task)
    questions = sum(QUESTION.fullmatch(cell.get("id", "")) is not None for cell in notebook.cells)
    for name, more in (("points", 0), ("minutes", QUESTION_MINUTES * questions)):
        total = [sum(getattr(task, name) for task in part) for part in tasks]
        total[0] += more
        for said, is_, kind in zip(promised[name], total, ("", " of stretch"), strict=True):
            if said != is_:
                complaints.append(f"the title says {said} {name}{kind}, the exercises {is_}")
    if any(int(reading) + int(minutes) > 120 for reading, minutes, _ in sittings):
        complaints.append("a sitting is at most two hours")
    return complaints


def every_cell_was_run(notebook: NotebookNode) -> list[str]:
    """nbval takes a cell without a count for one that was not run, and compares nothing."""
    counts = [(cell.id, cell.execution_count) for cell in code_cells(notebook)]
    complaints = [f"cell {name} was not run" for name, count in counts if count is None]
    known = [count for _, count in counts if count is not None]
    if any(later <= earlier for earlier, later in itertools.pairwise(known)):
        complaints.append(f"cells were not run in order: {known}")
    return complaints


def outputs_are_compared(notebook: NotebookNode) -> list[str]:
    """Tags hide only what may differ: never a check, nothing without outputs, half at most."""
    complaints = []
    for cell in code_cells(notebook):
        marks = [line.lstrip("# ").strip() for line in cell.source.splitlines() if "#" in line]
        if set(marks) & set(comment_markers):
            complaints.append(f"cell {cell.id}: tag it, instead of a comment for nbval")
        if "nbval-skip" in tags(cell):
            complaints.append(f"cell {cell.id}: nbval-skip")
        if "nbval-ignore-output" in tags(cell):
            if not cell.outputs:
                complaints.append(f"cell {cell.id}: output ignored, but there is none")
            if cell.id.startswith("check-"):
                complaints.append(f"cell {cell.id}: the output of a check must be compared")
        if prints(cell) and not cell.outputs:
            complaints.append(f"cell {cell.id} prints, but no output is stored")
    with_text = [cell for cell in code_cells(notebook) if shows_text(cell)]
    ignored = [cell.id for cell in with_text if "nbval-ignore-output" in tags(cell)]
    if 2 * len(ignored) > len(with_text):
        complaints.append(f"more than half of the outputs are ignored: {', '.join(ignored)}")
    return complaints


def prints(cell: NotebookNode) -> bool:
    """Whether a cell prints whatever happens: a call of ``print`` that nothing encloses."""
    try:
        statements = ast.parse(cell.source).body
    except SyntaxError:
        return False
    calls = [statement.value for statement in statements if isinstance(statement, ast.Expr)]
    return any(isinstance(call, ast.Call) and ast.unparse(call.func) == "print" for call in calls)


def checks_print_one_line(notebook: NotebookNode) -> list[str]:
    """A passing check prints one line and nothing else (nbgrader takes stderr for a failure)."""
    complaints = []
    for cell in code_cells(notebook):
        if cell.id.startswith("check-"):
            texts = [output.get("text", "") for output in cell.outputs]
            if len(texts) != 1 or not re.fullmatch(r".+\n?", texts[0]):
                complaints.append(f"cell {cell.id}: its stored output is not one line")
    return complaints


Rule = Callable[[NotebookNode], list[str]]

RULES: tuple[Rule, ...] = (
    ids_are_readable,
    nbgrader_metadata_is_right,
    exercises_have_their_cells,
    questions_have_their_cells,
    exercise_numbers_ascend,
    student_version_can_be_made,
    notebook_is_tidy,
    code_is_plain_python,
    code_fits_a_screen,
    images_have_alt_text,
    outputs_are_plain,
    kernel_is_python3,
    headings_form_an_outline,
    sections_are_those_of_the_course,
    totals_are_sums,
    every_cell_was_run,
    outputs_are_compared,
    checks_print_one_line,
)


def broken_links(notebook: NotebookNode, name: str, folder: Path) -> list[str]:
    """Each relative link leads somewhere, and the notebooks before and after are linked."""
    complaints, targets = [], set()
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose(cell)):
                if re.match(r"\w+:", link):  # on the web, or attached to the cell
                    continue
                targets.add(link)
                if not (folder / link).exists():
                    complaints.append(f"cell {cell.id}: {link} is not there")
    names = sorted(path.name for path in folder.glob("*.ipynb"))
    place = names.index(name)
    for neighbour in names[max(place - 1, 0) : place] + names[place + 1 : place + 2]:
        if neighbour not in targets:
            complaints.append(f"no link to {neighbour}")
    return complaints


def complaints_of_a_student(student: NotebookNode, folder: Path) -> list[str]:
    """Run a student's version in which nothing was filled in.

    What stands before the first exercise must work, and each check must say which exercise is
    still to do: whatever else it said would send a student looking in the wrong place.
    """
    client = NotebookClient(
        student,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        timeout=180,
        allow_errors=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env=os.environ | {"COURSE_QUICK": "1"})
    complaints, before = [], True
    for cell in code_cells(student):
        before = before and not cell.id.startswith("ex-")
        errors = [output for output in cell.outputs if output.output_type == "error"]
        what = "no error"
        if errors:  # the last line is what the student reads first
            what = re.sub(r"\x1b\[[\d;]*m", "", errors[0].traceback[-1]).splitlines()[-1]
        if before and errors:
            complaints.append(f"cell {cell.id}, before the first exercise: {what}")
        if cell.id.startswith("check-"):
            wanted = f"NotImplementedError: Exercise {cell.id.split('-', 1)[1].replace('-', '.')} "
            if not what.startswith(wanted):
                complaints.append(f"cell {cell.id} of an unsolved exercise: {what}")
    return complaints


# The notebooks of the course


def test_there_are_notebooks():
    assert NOTEBOOKS, "labsolutions/ holds no notebook: the tests below had nothing to look at"


@every_notebook
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps(rule, path):
    complaints = rule(read(path))
    assert not complaints, "\n".join(complaints)


@every_notebook
def test_links_lead_somewhere(path):
    complaints = broken_links(read(path), path.name, LABSOLUTIONS)
    assert not complaints, "\n".join(complaints)


@every_notebook
def test_number_of_the_file_is_that_of_its_exercises(path):
    stages = {exercise.number[0] for exercise in exercises(read(path))}
    assert stages == {int(path.name[:2])}


@every_notebook
def test_student_is_told_what_is_left_to_do(path):
    student = release.student_notebook(read(path))
    complaints = complaints_of_a_student(student, LABSOLUTIONS)
    assert not complaints, "\n".join(complaints)


def test_student_notebooks_are_in_step(capsys):
    status = release.main(["--check"])
    assert status == 0, capsys.readouterr().err


# The rules themselves


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_the_sample(rule):
    assert rule(sample_notebook()) == []


def replace(cell, old, new):
    """A way to break the sample: other text in a cell."""

    def change(notebook):
        source = cell_of(notebook, cell).source
        assert old in source
        cell_of(notebook, cell).source = source.replace(old, new, 1)

    return change


def give(cell, **attributes):
    """A way to break the sample: other attributes of a cell."""

    def change(notebook):
        cell_of(notebook, cell).update(attributes)

    return change


def grader(cell, **entries):
    """A way to break the sample: other nbgrader metadata of a cell."""

    def change(notebook):
        cell_of(notebook, cell).metadata.setdefault("nbgrader", {}).update(entries)

    return change


def drop(*names):
    """A way to break the sample: cells are not there."""

    def change(notebook):
        notebook.cells = [cell for cell in notebook.cells if cell.id not in names]

    return change


def swap(first, second):
    """A way to break the sample: two cells change places."""

    def change(notebook):
        order = [cell.id for cell in notebook.cells]
        one, other = order.index(first), order.index(second)
        cells = notebook.cells
        cells[one], cells[other] = cells[other], cells[one]

    return change


def append(cell):
    """A way to break the sample: one more cell at the end."""
    return lambda notebook: notebook.cells.append(cell)


def swap_exercises(notebook):
    cells = notebook.cells
    start = [cell.id for cell in cells].index("task-1-1")
    cells[start : start + 8] = cells[start + 4 : start + 8] + cells[start : start + 4]


def tagged(cell, *names):
    return give(cell, metadata={"tags": list(names)})


def shown(cell, mime, data):
    return give(cell, outputs=[new_output("display_data", {mime: data})])


ALT = "a falling curve of the loss"
TASK = "### Exercise 1.1"

BROKEN = [
    (ids_are_readable, lambda notebook: notebook.cells[1].pop("id"), "number 2 has no id"),
    (ids_are_readable, give("setup", id="Setup"), "cell id Setup is not"),
    (ids_are_readable, give("setup", id="3"), "cell id 3 is not"),
    (ids_are_readable, give("setup", id="1f0c77ab"), "1f0c77ab looks random"),
    (ids_are_readable, give("setup", id="1f0c77ab-9a1c-4d2e-8f00-0123456789ab"), "random"),
    (ids_are_readable, give("setup", id="title"), "title is used more than once"),
    (nbgrader_metadata_is_right, grader("ex-1-1", grade_id="ex-1-2"), "cell ex-1-1"),
    (nbgrader_metadata_is_right, grader("check-1-1", locked=False), "cell check-1-1"),
    (nbgrader_metadata_is_right, grader("check-1-1", points=0), "a positive integer"),
    (nbgrader_metadata_is_right, grader("ex-1-1", points=2), "cell ex-1-1"),
    (nbgrader_metadata_is_right, grader("ex-1-1", cell_type="markdown"), "cell ex-1-1"),
    (nbgrader_metadata_is_right, grader("setup", locked=True), "no exercise or check"),
    (nbgrader_metadata_is_right, grader("question-1-1", points=1), "cell question-1-1"),
    (questions_have_their_cells, drop("question-1-1-text"), "before it stands no question"),
    (questions_have_their_cells, replace("question-1-1", "BEGIN MARK", "x"), "no text with a key"),
    (nbgrader_metadata_is_right, give("ex-1-1", metadata={}), "cell ex-1-1"),
    (nbgrader_metadata_is_right, give("check-1-1", metadata={}), "a positive integer"),
    (exercises_have_their_cells, drop("task-1-1"), "task-1-1 is missing"),
    (exercises_have_their_cells, drop("check-1-1"), "check-1-1 is missing"),
    (exercises_have_their_cells, drop("ex-1-1"), "check-1-1 belongs to no exercise"),
    (exercises_have_their_cells, drop("hints-1-1"), "1.1: its cells are not"),
    (exercises_have_their_cells, swap("check-1-1", "hints-1-1"), "1.1: its cells are not"),
    (exercises_have_their_cells, swap("setup", "task-1-1"), "only text may stand"),
    (exercises_have_their_cells, swap("task-1-1", "wrap-up"), "only text may stand"),
    (exercises_have_their_cells, replace("task-1-1", TASK, "## Exercise 1.1"), "start with"),
    (exercises_have_their_cells, replace("task-1-1", "2 points", "1 point"), "promises 1"),
    (exercises_have_their_cells, replace("task-1-1", " · needs", " needs"), "info line"),
    (exercises_have_their_cells, replace("task-1-1", "nothing before", "1.2"), "needs 1.2"),
    (exercises_have_their_cells, replace("hints-1-1", "<details>", "<div>"), "not three"),
    (exercises_have_their_cells, replace("hints-1-1", "<summary>", "<b>"), "not three"),
    (
        exercises_have_their_cells,
        give("ex-1-1", source="### BEGIN SOLUTION\ndouble = abs\n### END SOLUTION"),
        "not inside a function",
    ),
    (exercise_numbers_ascend, swap_exercises, "in the order [(1, 2), (1, 1)]"),
    (student_version_can_be_made, replace("ex-1-1", "    ### END SOLUTION", ""), "no region"),
    (student_version_can_be_made, append(code("last", "# BEGIN SOLUTION")), "belongs into"),
    (notebook_is_tidy, lambda notebook: notebook.metadata.update(widgets={}), "widget state"),
    (notebook_is_tidy, give("setup", metadata={"execution": {}}), "execution times"),
    (notebook_is_tidy, replace("wrap-up", "##", "see /home/me/x\n\n##"), "path /home/me/x"),
    (notebook_is_tidy, shown("setup", "text/html", "<b>/root/x</b>"), "path /root/x"),
    (notebook_is_tidy, shown("setup", "text/plain", "a" * 1_600_000), "at most 1.5 MB"),
    (code_is_plain_python, append(code("last", "x = 1\n!ls")), "line 2: a shell line or magic"),
    (code_is_plain_python, append(code("last", "%%time\n1")), "line 1: a shell line or magic"),
    (code_is_plain_python, append(code("last", "x = (")), "cell last, line 1"),
    (code_is_plain_python, append(code("last", "'pip install this'")), "pip install"),
    (code_is_plain_python, append(code("last", "get_ipython().system('ls')")), "get_ipython"),
    (code_is_plain_python, append(code("last", " ")), "cell last is empty"),
    (code_is_plain_python, replace("ex-1-1", "    return 2 * x", "    return 2 *"), "line 4"),
    (code_fits_a_screen, append(code("last", f"x = '{'a' * 95}'")), "cell last, line 1: over 100"),
    (code_fits_a_screen, append(code("last", "x = 1\n" * 41)), "cell last: 41 lines"),
    (images_have_alt_text, append(markdown("last", "![plot](a.png)")), "'plot' is too short"),
    (images_have_alt_text, append(markdown("last", "![][a]")), "'' is too short"),
    (images_have_alt_text, append(markdown("last", "<IMG src='a.png'>")), "without alt text"),
    (images_have_alt_text, append(code("last", "'<img src=a alt=\"\">'")), "without alt text"),
    (images_have_alt_text, shown("setup", "text/html", "<img src='x' alt=' '/>"), "cell setup"),
    (
        images_have_alt_text,
        shown("setup", "text/html", f"<img src='x' alt='{351 * 'a'}'>"),
        "an alt text of 351 characters",
    ),
    (outputs_are_plain, shown("setup", "image/png", "iVBORw0KGgo="), "use plotting.show"),
    (
        outputs_are_plain,
        give("setup", outputs=[new_output("stream", name="stderr", text="a warning")]),
        "stderr: a warning",
    ),
    (outputs_are_plain, give("setup", outputs=[new_output("error", ename="KeyError")]), "KeyError"),
    (kernel_is_python3, lambda notebook: notebook.metadata.kernelspec.update(name="me"), "me"),
    (kernel_is_python3, lambda notebook: notebook.metadata.pop("kernelspec"), "kernelspec {}"),
    (headings_form_an_outline, drop("title"), "stand in []"),
    (headings_form_an_outline, append(markdown("last", "# Another")), "['title', 'last']"),
    (headings_form_an_outline, append(markdown("last", "#### Deep")), "skips from level 2 to 4"),
    (sections_are_those_of_the_course, drop("predict"), "no section 'Predict'"),
    (sections_are_those_of_the_course, swap("train", "analyse"), "no section 'Analyse'"),
    (sections_are_those_of_the_course, replace("title", "|---|---|", ""), "no table"),
    (totals_are_sums, replace("title", "Points | 3", "Points | 4"), "says 4 points"),
    (totals_are_sums, replace("title", "exercises 13", "exercises 10"), "says 10 minutes"),
    (totals_are_sums, replace("title", "reading 5", "reading 120"), "at most two hours"),
    (
        totals_are_sums,
        replace("task-1-1", "nothing before", "nothing before\n\n**Stretch.**"),
        "points of stretch",
    ),
    (totals_are_sums, replace("title", "Points | 3", "Marks | 3"), "has no points"),
    (every_cell_was_run, give("setup", execution_count=None), "cell setup was not run"),
    (every_cell_was_run, give("setup", execution_count=9), "not run in order"),
    (outputs_are_compared, tagged("setup", "nbval-skip"), "nbval-skip"),
    (outputs_are_compared, tagged("check-1-1", "nbval-ignore-output"), "must be compared"),
    (outputs_are_compared, give("timing", outputs=[]), "output ignored, but there is none"),
    (outputs_are_compared, give("setup", outputs=[]), "cell setup prints, but no output"),
    (
        outputs_are_compared,
        append(code("last", "# NBVAL_IGNORE_OUTPUT\n1", prints="1\n")),
        "instead of a comment",
    ),
    (
        outputs_are_compared,
        lambda notebook: notebook.cells.extend(
            code(f"last-{place}", "1", prints="1\n", tags=["nbval-ignore-output"])
            for place in ("one", "two", "three")
        ),
        "more than half of the outputs are ignored: timing, last-one",
    ),
    (checks_print_one_line, give("check-1-1", outputs=[]), "cell check-1-1"),
    (
        checks_print_one_line,
        give("check-1-1", outputs=[new_output("stream", name="stdout", text="one\ntwo\n")]),
        "cell check-1-1",
    ),
]


@pytest.mark.parametrize(("rule", "change", "complaint"), BROKEN)
def test_rule_notices(rule, change, complaint):
    notebook = sample_notebook()
    change(notebook)
    assert complaint in "\n".join(rule(notebook))


def test_every_rule_can_fail():
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_half_of_the_outputs_may_be_ignored():
    notebook = sample_notebook()
    tagged("setup", "nbval-ignore-output")(notebook)
    assert outputs_are_compared(notebook) == []


@pytest.mark.parametrize(
    "cell",
    [
        markdown("last", f"![{ALT}](a.png) and <img src='a.png' alt='{ALT}'>"),
        markdown("last", "write `![](a.png)` or\n\n```html\n<img src='a.png'>\n# no heading\n```"),
        code("last", "x = (5\n     % 3)"),
        code("last", "html = f\"<img src='{1}' alt='{2}'>\""),
    ],
)
@pytest.mark.parametrize(
    "rule", [images_have_alt_text, headings_form_an_outline, code_is_plain_python]
)
def test_rule_is_not_misled_by(rule, cell):
    notebook = sample_notebook()
    notebook.cells.append(cell)
    assert rule(notebook) == []


def test_links_are_followed(tmp_path):
    for name in ("01_a.ipynb", "02_b.ipynb", "03_c.ipynb"):
        (tmp_path / name).touch()
    notebook = sample_notebook()
    notebook.cells[0].source += "\n\n[before](01_a.ipynb) [on](https://example.org) [up](#title)"
    assert broken_links(notebook, "02_b.ipynb", tmp_path) == ["no link to 03_c.ipynb"]
    notebook.cells[0].source += " [after](03_c.ipynb#setup) [gone](04_d.ipynb)"
    assert broken_links(notebook, "02_b.ipynb", tmp_path) == ["cell title: 04_d.ipynb is not there"]


def test_students_run_can_complain(tmp_path):
    student = release.student_notebook(sample_notebook())
    assert complaints_of_a_student(student, tmp_path) == []

    cell_of(student, "setup").source = "import os\nNUMBER = os.environ['COURSE_QUICK'] + 1"
    cell_of(student, "check-1-1").source = "print('fine')"
    cell_of(student, "check-1-2").source = "double(1)"
    complaints = complaints_of_a_student(student, tmp_path)
    assert [text.split(":")[0] for text in complaints] == [
        "cell setup, before the first exercise",
        "cell check-1-1 of an unsolved exercise",
        "cell check-1-2 of an unsolved exercise",
    ]
    assert "TypeError" in complaints[0] and "no error" in complaints[1]
    assert "NotImplementedError: Exercise 1.1" in complaints[2]


# The patterns of nbval


def sanitised(text):
    patterns = Path(__file__).with_name("nbval_sanitize.cfg").read_text(encoding="utf-8")
    for regex, replacement in get_sanitize_patterns(patterns):
        text = re.sub(regex, replacement, text)
    return text


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (
            f'<img src="data:image/png;base64,iVBOR+/w0KGgo=" alt="{ALT}">',
            f'<img src="data:image/png;base64,AAAA" alt="{ALT}">',
        ),
        (
            f'<img alt="{ALT}" src="data:image/png;base64,AA" width="801" style="a">',
            f'<img alt="{ALT}" src="data:image/png;base64,AB" width="802" style="a">',
        ),
        (
            "<audio src='data:audio/mpeg;base64,//uQ+A=='>",
            "<audio src='data:audio/mpeg;base64,AA'>",
        ),
        ("<Recorder object at 0x7f00a1b2c3d4>", "<Recorder object at 0x10abcdef0>"),
        ("trained in 3.2 s, loss 0.5", "trained in 41 s, loss 0.5"),
        ("It took 900 ms.", "It took 1.2 ms."),
        ("0.4 s per epoch", "1 s per epoch"),
        ("saved to /tmp/course-1/a.wav", "saved to /tmp/course-2/b.wav"),
        ("saved to /var/folders/x/y", "saved to /var/folders/x/z"),
        (r"C:\Users\a\AppData\Local\Temp\1", r"D:\Users\b\AppData\Local\Temp\2"),
    ],
)
def test_nbval_does_not_compare(one, another):
    assert one != another
    assert sanitised(one) == sanitised(another)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (
            '<img src="data:image/png;base64,AA" alt="up">',
            '<img src="data:image/png;base64,AA" alt="down">',
        ),
        ("a clip of 1.0 s", "a clip of 1.2 s"),
        ("loss 0.512", "loss 0.513"),
        ("0xff", "0xfe"),
    ],
)
def test_nbval_still_compares(one, another):
    assert sanitised(one) != sanitised(another)


# --- what one stage takes from another ----------------------------------------------------------


def class_source(stage, name):
    """A class as the notebook of a stage defines it; the reasons beside its lines stand once."""
    [path] = (settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb")
    for cell in read(path).cells:
        if cell.cell_type == "code" and f"class {name}(" in cell.source:
            nodes = ast.parse(cell.source).body
            return next(ast.unparse(node) for node in nodes if getattr(node, "name", "") == name)
    raise AssertionError(f"stage {stage} has no class {name}")


@pytest.mark.parametrize(
    ("name", "first", "later"), [("SpeechMLP", 1, 2), ("SpeechMLP", 1, 3), ("WaveformCNN", 2, 3)]
)
def test_a_network_of_an_earlier_stage_is_word_for_word_its_solution(name, first, later):
    assert class_source(first, name) == class_source(later, name)
