"""Make the student notebooks from the solutions: ``python -m course_utils.instructor.release``.

``labsolutions/`` is the only source. A student notebook is the solution without what stands
between the solution markers, hidden tests and outputs, and with the check cells locked. It is what
nbgrader would make of the solution, with stubs that name their exercise: a test compares the two.

::

    python -m course_utils.instructor.release            # write notebooks/
    python -m course_utils.instructor.release --check    # write nothing; 1 if out of step
    python -m course_utils.instructor.release --run 02   # first execute the solution of stage 2
    python -m course_utils.instructor.release --assignment DIR   # a course for nbgrader
"""

import argparse
import ast
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from course_utils import settings
from course_utils.exercises import (
    ANSWER_HERE,
    QUESTION,
    Exercise,
    NotebookError,
    exercises,
    read,
    to_text,
    write,
)
from course_utils.instructor import assignment

#: No notebook may be larger, in bytes: larger ones are slow to open and to review.
LARGEST = 1_500_000

#: Seconds that one cell may take under ``--run``.
TIMEOUT = 600

_KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# Word for word what the kernel of this Python says of itself. JupyterLab writes its answer into
# every notebook that it opens, and marks the notebook as unsaved where anything differs: with
# another version of Python it does so for the version alone, which cannot be avoided.
_LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": "3.12.12",
}
# Everything else in a cell's metadata is somebody's editor, screen or clock.
_KEPT_METADATA = ("deletable", "editable", "jupyter", "nbgrader", "tags")
_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
_SOLUTION_MARKER = re.compile("(?:BEGIN|END) SOLUTION")
_MARKER = re.compile(r"(?:BEGIN|END) (?:SOLUTION|HIDDEN TESTS|MARK SCHEME)")
# After a word character it is the path of a web address or of a relative folder.
_ABSOLUTE = re.compile(
    r"(?<![\w.~-])(?:/(?:home|root|Users|work|tmp|var/folders)/|[A-Za-z]:[\\/]+Users\b|"
    + re.escape(tempfile.gettempdir())
    + r")[^\s'\"<>)]*"
)
_BASE64 = re.compile(r"data:[\w/+.-]+;base64,[\w+/=]+")


def tidy(notebook: NotebookNode) -> None:
    """Take out, in place, what differs between two runs or two people and teaches nothing.

    Widget state, execution times and editors' metadata go; sources, ids, tags, outputs and
    execution counts stay (nbval takes a cell without a count for one that was not run).
    """
    notebook.metadata = nbformat.from_dict({"kernelspec": _KERNELSPEC, "language_info": _LANGUAGE})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in _KEPT_METADATA if key in cell.metadata}
        )
        if cell.cell_type == "code":
            cell.outputs = _tidy_outputs(cell.outputs)


def _tidy_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            # Where the kernel cut a long print into messages depends on the clock.
            if kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
                continue
        elif output.output_type == "error":  # a traceback names files of this machine
            output.traceback = [f"{output.ename}: {output.evalue}"]
        else:
            output.data.pop(_WIDGET_VIEW, None)  # the id of a model that is no longer there
            if not output.data:
                continue
        kept.append(output)
    return kept


def untidy(notebook: NotebookNode) -> list[str]:
    """What must be in no notebook of the course, be it a solution or a student's.

    Returns
    -------
    list of str
        A line for each widget state, execution time and absolute path, and for too large a file.
    """
    found = []
    if "widgets" in notebook.metadata:
        found.append("widget state in the metadata (it can hold solutions)")
    for cell in notebook.cells:
        if "execution" in cell.metadata:
            found.append(f"cell {cell.id}: execution times in the metadata")
        for output in cell.get("outputs", []):
            if _WIDGET_VIEW in output.get("data", {}):
                found.append(f"cell {cell.id}: a widget in the outputs, which no kernel will draw")
        for text in _texts(cell):
            # Image and sound data can spell any word.
            for path in _ABSOLUTE.findall(_BASE64.sub("", text)):
                found.append(f"cell {cell.id}: the absolute path {path}")
    size = len(to_text(notebook).encode())
    if size > LARGEST:
        found.append(f"{size / 1e6:.2f} MB; at most {LARGEST / 1e6:.1f} MB: make outputs smaller")
    return found


def _texts(cell: NotebookNode) -> Iterator[str]:
    """The source of a cell, and every text in its outputs."""
    yield cell.source
    for output in cell.get("outputs", []):
        yield output.get("text", "")
        yield output.get("evalue", "")
        yield "\n".join(output.get("traceback", []))
        for mime, data in output.get("data", {}).items():
            if isinstance(data, str) and (mime.startswith("text/") or mime == "image/svg+xml"):
                yield data


def student_notebook(solution: NotebookNode) -> NotebookNode:
    """The student's version of a solution notebook.

    Parameters
    ----------
    solution : NotebookNode
        A notebook of ``labsolutions/``, as :func:`~course_utils.exercises.read` gives
        it. It is not changed.

    Returns
    -------
    NotebookNode
        Without solutions, hidden tests, outputs and personal metadata; ids as in the solution.

    Raises
    ------
    NotebookError
        If an exercise breaks the conventions, or if the result would show a marker, have other
        cells than the source, not parse, or be untidy.
    """
    found = exercises(solution)
    by_cell = {exercise.cell("ex"): exercise for exercise in found}
    checks = {exercise.cell("check") for exercise in found}
    student = nbformat.from_dict(solution)  # a deep copy
    tidy(student)
    problems = []
    for cell in student.cells:
        try:
            _release_cell(cell, by_cell.get(cell.id), cell.id in checks)
        except NotebookError as error:
            problems.append(f"cell {cell.id}: {error}")
            continue
        if marker := _MARKER.search(cell.source):
            problems.append(f"cell {cell.id}: the marker {marker[0]} is still there")
        if cell.cell_type == "code":
            try:
                ast.parse(cell.source)
            except SyntaxError as error:
                problems.append(f"cell {cell.id}, line {error.lineno}: {error.msg}")
    problems += untidy(student)
    if problems:
        raise NotebookError("\n".join(problems))
    return student


def _release_cell(cell: NotebookNode, exercise: Exercise | None, is_check: bool) -> None:
    """Turn one cell of a solution into the student's, in place, as nbgrader would."""
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None
    is_question = QUESTION.fullmatch(cell.id) is not None
    if exercise is not None:
        cell.source = exercise.stub
    elif is_question:
        cell.source = _without(cell.source, "MARK SCHEME", True).strip()
        if cell.source != ANSWER_HERE:
            raise NotebookError(f"besides the mark scheme, {ANSWER_HERE!r} has to stand here alone")
    elif cell.metadata.get("nbgrader", {}).get("solution") or _SOLUTION_MARKER.search(cell.source):
        raise NotebookError("a solution belongs into an exercise cell, such as ex-1-3")
    cell.source = _without(cell.source, "HIDDEN TESTS", allowed=is_check)
    cell.source = _without(cell.source, "MARK SCHEME", allowed=False)
    if exercise is not None or is_check or is_question:
        cell.metadata.deletable = False
        if is_check:
            cell.metadata.editable = False
        cell.metadata.nbgrader.cell_type = cell.cell_type
        cell.metadata.nbgrader.checksum = checksum(cell)


#: How nbgrader's documentation writes a marker, and where its region may stand.
_REGIONS = {"HIDDEN TESTS": ("###", "a check cell"), "MARK SCHEME": ("===", "a question's cell")}


def _without(source: str, region: str, allowed: bool) -> str:
    """The source without what stands between a pair of nbgrader's markers."""
    sign, home = _REGIONS[region]
    begin, end = f"{sign} BEGIN {region}", f"{sign} END {region}"
    kept, inside = [], False
    for line in source.split("\n"):
        if begin in line or end in line:
            if not allowed:
                raise NotebookError(f"the region {region} belongs into {home}")
            if inside == (begin in line):
                raise NotebookError(f"the markers of {region} do not come in pairs")
            inside = not inside
        elif not inside:
            kept.append(line)
    if inside:
        raise NotebookError(f"the region {region} has no end")
    return "\n".join(kept)


def nbgrader_stubs(notebook: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
    """Do as a preprocessor what nbgrader's ClearSolutions does, with stubs that name exercises."""
    released = {cell.id: cell.source for cell in student_notebook(notebook).cells}
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = released[cell.id]
    return notebook, resources


def checksum(cell: NotebookNode) -> str:
    """What nbgrader calls the checksum of one of its cells: it knows them by it."""
    about = cell.metadata.nbgrader
    locked = not about.solution and (about.grade or about.locked)
    parts = [cell.source, cell.cell_type, about.grade, about.solution, locked, about.grade_id]
    if about.grade:
        parts.append(float(about.points))
    return hashlib.md5("".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def environment(data: Path, private: Path) -> dict[str, str]:
    """The environment in which solutions run: that of the tests, which compare the outputs.

    Parameters
    ----------
    data : Path
        Folder of the corpora.
    private : Path
        Folder of checkpoints and results, new for each notebook: what one notebook shows must not
        depend on which ones ran before it.
    """
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COURSE_")}
    return kept | {
        "COURSE_DATA": str(data),
        "COURSE_RUNS": str(private / "runs"),
        "COURSE_RESULTS": str(private / "results.json"),
        "COURSE_OFFLINE": "1",
        "COURSE_DEVICE": "cpu",
        "COURSE_THREADS": "1",
        "COURSE_SEED": "0",
    }


def run(
    notebook: NotebookNode, folder: Path, variables: Mapping[str, str], timeout: int | None = None
) -> None:
    """Execute a notebook in a fresh kernel and tidy its new outputs, in place.

    Parameters
    ----------
    notebook : NotebookNode
        Whose code cells to execute, in order.
    folder : Path
        The current folder of the kernel: the one where the notebook lies.
    variables : mapping of str to str
        The whole environment of the kernel.
    timeout : int, optional
        Seconds that a cell may take; default :data:`TIMEOUT`.

    Raises
    ------
    NotebookError
        If a cell fails, takes too long, or ends the kernel.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    started = ["none"]
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns of its local socket
        timeout=timeout or TIMEOUT,
        record_timing=False,
        # Without it nbclient 0.11 fails at the first Output widget; tidy() takes the state out.
        store_widget_state=True,
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=lambda cell, cell_index: started.append(cell.id),
    )
    try:
        client.execute(env=dict(variables))
    except CellExecutionError as error:
        raise NotebookError(f"cell {started[-1]}: {error.ename}: {error.evalue}") from None
    except (CellTimeoutError, DeadKernelError) as error:
        raise NotebookError(f"cell {started[-1]}: {str(error).splitlines()[0]}") from None
    tidy(notebook)


def _run_all(paths: list[Path]) -> list[str]:
    """Execute solutions and write their outputs back; one that fails is left as it was."""
    problems = []
    with tempfile.TemporaryDirectory(prefix="course-release-") as name:
        for path in paths:
            print(f"running    {path.name}", flush=True)
            try:
                notebook = read(path)
                run(notebook, path.parent, environment(Path(name, "data"), Path(name, path.stem)))
            except NotebookError as error:
                problems += _named(path, str(error).splitlines())
            else:
                write(path, notebook)
    return problems


def _named(path: Path, problems: list[str]) -> list[str]:
    return [f"{path.parent.name}/{path.name}: {problem}" for problem in problems]


def _chosen(source: Path, names: list[str]) -> list[Path]:
    available = sorted(source.glob("*.ipynb"))
    if not available:
        raise NotebookError(f"{source}: no notebooks in this folder")
    if not names:
        return available
    chosen = set()
    for name in names:
        matches = [path for path in available if path.stem.startswith(Path(name).stem)]
        if not matches:
            raise NotebookError(f"{name}: no such notebook in {source}")
        chosen.update(matches)
    return sorted(chosen)


def _out_of_step(path: Path, text: str) -> list[str]:
    if not path.exists():
        return _named(path, ["missing; release it"])
    if path.read_bytes() != text.encode():
        return _named(path, ["out of step with its solution; change the solution, then release"])
    return []


def _orphans(source: Path, target: Path) -> list[str]:
    solutions = {path.name for path in source.glob("*.ipynb")}
    orphans = [path for path in sorted(target.glob("*.ipynb")) if path.name not in solutions]
    return [line for path in orphans for line in _named(path, ["no solution has this name"])]


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 1 if there is something to mend."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.release",
        description="Make the student notebooks from the solutions.",
    )
    parser.add_argument("names", nargs="*", help="notebooks, or how their names start; else all")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; 1 if out of step")
    mode.add_argument("--run", action="store_true", help="first execute the solutions")
    parser.add_argument("--source", type=Path, default=settings.CHECKOUT / "labsolutions")
    parser.add_argument("--target", type=Path, default=settings.CHECKOUT / "notebooks")
    mode.add_argument("--assignment", type=Path, metavar="DIR", help="write a course for nbgrader")
    parser.add_argument(
        "--withhold", action="store_true", help="with --assignment: also a folder without solutions"
    )
    options = parser.parse_args(arguments)
    if options.withhold and not options.assignment:
        parser.error("--withhold needs --assignment DIR: the folder for students is made in there")
    source, target = options.source.resolve(), options.target.resolve()

    if source == target:
        print(f"{source} is source and target: no solution would be left", file=sys.stderr)
        return 1
    if target.exists() and not target.is_dir():
        print(f"{target} is a file; give a folder as --target", file=sys.stderr)
        return 1
    try:
        paths = _chosen(source, options.names)
    except NotebookError as error:
        print(error, file=sys.stderr)
        return 1
    problems = _run_all(paths) if options.run else []
    texts = {}
    for path in paths:
        try:
            solution = read(path)
            texts[target / path.name] = to_text(student_notebook(solution))
        except NotebookError as error:
            problems += _named(path, str(error).splitlines())
        else:
            problems += _named(path, untidy(solution) if options.check else [])

    if options.assignment and not problems:
        return assignment.write_or_say_why(
            options.assignment, dict(zip(paths, texts.values(), strict=True)), options.withhold
        )
    if options.check:
        for path, text in texts.items():
            problems += _out_of_step(path, text)
    elif not problems:  # all or none: half a release would be out of step with itself
        target.mkdir(parents=True, exist_ok=True)
        for path, text in texts.items():
            changed = bool(_out_of_step(path, text))
            if changed:
                path.write_bytes(text.encode())
            print(f"{'wrote' if changed else 'unchanged':10} {path.name}")
    if not options.names:
        problems += _orphans(source, target)
    for problem in problems:
        print(problem, file=sys.stderr)
    if options.check and not problems:
        print(f"{len(paths)} student notebooks are in step with their solutions.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
