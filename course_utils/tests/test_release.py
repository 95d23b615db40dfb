"""Releasing: what the student gets, what is refused, and what a run leaves in a solution."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_utils import settings
from course_utils.exercises import (
    ANSWER_HERE,
    QUESTION,
    Exercise,
    NotebookError,
    exercises,
    read,
    stub_source,
    to_text,
    write,
)
from course_utils.instructor import release

NAME = "01_sample.ipynb"
SOLUTIONS = settings.CHECKOUT / "labsolutions"


def markdown(name, source):
    return new_markdown_cell(source, id=name)


def code(name, source, prints=None, tags=()):
    """A code cell as a run leaves it; :func:`sample_notebook` counts them."""
    cell = new_code_cell(source, id=name)
    if tags:
        cell.metadata.tags = list(tags)
    if prints is not None:
        cell.outputs = [new_output("stream", name="stdout", text=prints)]
    return cell


def exercise_cells(number, title, solution, check, needs="nothing before", points=2):
    """The four cells of an exercise of stage 1."""
    task = (
        f"### Exercise 1.{number} - {title}\n\n"
        f"Difficulty 1/5 · 5 min · {points} points · needs {needs}\n\nDo it."
    )
    done = code(f"ex-1-{number}", solution)
    done.metadata.nbgrader = {
        "grade": False,
        "solution": True,
        "locked": False,
        "schema_version": 3,
        "grade_id": done.id,
        "cell_type": "code",
    }
    test = code(f"check-1-{number}", check, prints=f"Exercise 1.{number}: passed.\n")
    test.metadata.nbgrader = {
        "grade": True,
        "solution": False,
        "locked": True,
        "schema_version": 3,
        "grade_id": test.id,
        "points": points,
        "cell_type": "code",
    }
    hints = "\n\n".join(
        f"<details><summary>{name}</summary>\n\nThink.\n\n</details>"
        for name in ("The idea", "The API", "The skeleton")
    )
    return [markdown(f"task-1-{number}", task), done, test, markdown(f"hints-1-{number}", hints)]


def question(name, key):
    """The cell of an answer for a person to read, with the key for the marker."""
    scheme = f"=== BEGIN MARK SCHEME ===\n\n{key}\n\n=== END MARK SCHEME ==="
    cell = markdown(name, f"{ANSWER_HERE}\n\n{scheme}")
    cell.metadata.nbgrader = {
        "grade": True,
        "solution": True,
        "locked": False,
        "schema_version": 3,
        "grade_id": name,
        "points": 0,
        "cell_type": "markdown",
    }
    return cell


DOUBLE = '''\
def double(x: float) -> float:
    """Twice ``x``."""
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION'''

TRIPLE = '''\
def triple(x: float) -> float:
    """Three times ``x``, with :func:`double`."""
    if x == 0:
        ### BEGIN SOLUTION
        return x
        ### END SOLUTION
    else:
        ### BEGIN SOLUTION
        total = double(x)
        return total + x
        ### END SOLUTION'''

CHECK = """\
value = {function}(NUMBER)
assert value == {factor} * NUMBER, (
    f"expected {{{factor} * NUMBER}}, got {{value}}; likely cause: the wrong factor"
)
print("Exercise 1.{number}: passed.")"""


def sample_notebook():
    """A small solution notebook that follows every convention, with the outputs of a run."""
    notebook = new_notebook(
        metadata={
            "kernelspec": {
                "display_name": "Python 3 (ipykernel)",
                "language": "python",
                "name": "python3",
            },
            "language_info": {"name": "python"},
        }
    )
    notebook.cells = [
        markdown(
            "title",
            "# A sample\n\n| Minutes | reading 5 · exercises 13 |\n|---|---|\n| Points | 3 |",
        ),
        markdown("setup-heading", "## Setup"),
        code("setup", "NUMBER = 4\nprint(NUMBER)", prints="4\n", tags=["needs-for-checks"]),
        markdown("predict", "## Predict"),
        markdown("look", "## Look and listen"),
        markdown("build", "## Build"),
        *exercise_cells(
            1, 'Twice, or "double"', DOUBLE, CHECK.format(function="double", factor=2, number=1)
        ),
        *exercise_cells(
            2,
            "Three times",
            TRIPLE,
            CHECK.format(function="triple", factor=3, number=2),
            needs="1.1",
            points=1,
        ),
        markdown("question-1-1-text", "**In your own words** · 3 min · no check\n\nWhy twice?"),
        question("question-1-1", "Because it is in the task."),
        markdown("train", "## Train"),
        code(
            "timing",
            "import time\nprint(time.time())",
            prints="1.5\n",
            tags=["nbval-ignore-output"],
        ),
        markdown("analyse", "## Analyse"),
        markdown("voice", "## Your voice"),
        markdown("wrap-up", "## Wrap-up"),
    ]
    count = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            count += 1
            cell.execution_count = count
    return notebook


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


@pytest.fixture
def folders(tmp_path):
    """A source folder with the sample in it, and a target folder that is not yet there."""
    (tmp_path / "labsolutions").mkdir()
    write(tmp_path / "labsolutions" / NAME, sample_notebook())
    return tmp_path / "labsolutions", tmp_path / "notebooks"


def call(folders, *arguments):
    source, target = folders
    return release.main([*arguments, "--source", str(source), "--target", str(target)])


# Exercises


def test_exercises_are_read_from_their_cells():
    first, second = exercises(sample_notebook())
    assert (first.id, first.title, first.needs) == ("1.1", 'Twice, or "double"', ())
    assert (first.difficulty, first.minutes, first.points) == (1, 5, 2)
    assert (second.needs, second.points, second.number) == (("1.1",), 1, (1, 2))
    assert second.cell("check") == "check-1-2"
    assert first.solution == DOUBLE


def test_stub_keeps_signature_and_indentation():
    stub = exercises(sample_notebook())[1].stub
    assert stub.splitlines()[2:] == [
        "    if x == 0:",
        "        # YOUR CODE HERE",
        '        raise NotImplementedError("Exercise 1.2 - Three times: '
        'replace this line with your code.")',
        "    else:",
        "        # YOUR CODE HERE",
        '        raise NotImplementedError("Exercise 1.2 - Three times: '
        'replace this line with your code.")',
    ]


@pytest.mark.parametrize("title", ['"quotes"', "back\\slash", "a 'b' × c"])
def test_stub_of_any_title_raises_its_name(title):
    exercise = Exercise("1.3", title, 1, 5, 1, (), "", "")
    namespace: dict = {}
    exec(stub_source(DOUBLE, exercise), namespace)
    with pytest.raises(NotImplementedError) as caught:
        namespace["double"](1)
    assert str(caught.value) == f"Exercise 1.3 - {title}: replace this line with your code."


@pytest.mark.parametrize(
    ("cell", "old", "new", "message"),
    [
        ("task-1-1", "### Exercise 1.1", "### Exercise 1.7", "does not start with"),
        ("task-1-1", "Difficulty 1/5", "Difficulty 9/5", "not an info line"),
        ("task-1-1", "2 points", "3 points", "promises 3 points, its check gives 2"),
        ("ex-1-1", "### BEGIN SOLUTION\n", "", "no region"),
        ("ex-1-2", "    ### END SOLUTION\n    else", "    pass\n    else", "nested"),
    ],
)
def test_broken_exercise_is_refused(cell, old, new, message):
    notebook = sample_notebook()
    source = cell_of(notebook, cell).source
    assert old in source
    cell_of(notebook, cell).source = source.replace(old, new)
    with pytest.raises(NotebookError, match=message):
        release.student_notebook(notebook)


def test_all_broken_exercises_are_named_at_once():
    notebook = sample_notebook()
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith("check-")]
    with pytest.raises(NotebookError, match="check-1-1 is missing\ncell check-1-2 is missing"):
        exercises(notebook)


# Reading


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["cells"][1].pop("id"), "cell number 2 has no id"),
        (lambda raw: raw["cells"][1].update(id="title"), "more than once: the cell id title"),
        (lambda raw: raw.update(nbformat_minor=4), "no cell ids"),
        (lambda raw: raw["cells"][1].update(cell_type="poem"), "not a valid notebook"),
        (lambda raw: raw.pop("cells"), "not a"),
    ],
)
def test_reading_mends_nothing(folders, change, message):
    path = folders[0] / NAME
    raw = json.loads(path.read_text(encoding="utf-8"))
    change(raw)
    path.write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(NotebookError, match=message):
        read(path)
    assert call(folders) == 1


def test_reading_refuses_what_is_not_json(tmp_path):
    (tmp_path / NAME).write_text("merge <<<<<<< conflict", encoding="utf-8")
    with pytest.raises(NotebookError, match="not a notebook"):
        read(tmp_path / NAME)


# The student's version


def test_student_notebook_differs_only_where_it_should():
    solution = sample_notebook()
    before = to_text(solution)
    student = release.student_notebook(solution)
    assert to_text(solution) == before
    assert [cell.id for cell in student.cells] == [cell.id for cell in solution.cells]
    changed = [
        new.id
        for old, new in zip(solution.cells, student.cells, strict=True)
        if old.source != new.source
    ]
    assert changed == ["ex-1-1", "ex-1-2", "question-1-1"]
    assert cell_of(student, "question-1-1").source == ANSWER_HERE
    assert "editable" not in cell_of(student, "question-1-1").metadata
    assert all(not cell.get("outputs") for cell in student.cells)
    assert all(cell.get("execution_count") is None for cell in student.cells)
    check = cell_of(student, "check-1-1").metadata
    assert (check.editable, check.deletable) == (False, False)
    assert len(check.nbgrader.checksum) == 32
    nbformat.validate(student)


def test_hidden_tests_do_not_reach_the_student():
    notebook = sample_notebook()
    check = cell_of(notebook, "check-1-1")
    check.source += "\n### BEGIN HIDDEN TESTS\nassert double(5) == 10\n### END HIDDEN TESTS"
    assert "double(5)" not in to_text(release.student_notebook(notebook))


def test_personal_metadata_is_stripped():
    clean = to_text(release.student_notebook(sample_notebook()))
    notebook = sample_notebook()
    notebook.metadata.widgets = {"state": {"1": "return 2 * x"}}
    notebook.metadata.authors = [{"name": "Somebody"}]
    notebook.metadata.kernelspec = {"name": "my-env", "display_name": "Mine", "language": "R"}
    notebook.metadata.language_info = {"name": "python", "version": "3.12.1"}
    for cell in notebook.cells:
        cell.metadata.execution = {"iopub.execute_input": "2026-01-01T00:00:00Z"}
        cell.metadata.vscode = {"languageId": "python"}
        cell.metadata.collapsed = True
    assert to_text(release.student_notebook(notebook)) == clean


@pytest.mark.parametrize(
    ("cell", "addition", "message"),
    [
        ("setup", "\n!ls", "cell setup, line 3"),
        ("setup", "\n### BEGIN SOLUTION\nx = 1\n### END SOLUTION", "cell setup: a solution"),
        ("wrap-up", "\n\nmark it with BEGIN SOLUTION", "cell wrap-up: a solution belongs"),
        (
            "setup",
            "\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS",
            "HIDDEN TESTS belongs into a check",
        ),
        ("check-1-1", "\n### BEGIN HIDDEN TESTS", "HIDDEN TESTS has no end"),
        ("wrap-up", "\n\n=== BEGIN MARK SCHEME ===\nx", "MARK SCHEME belongs into a question"),
        ("setup", '\nfolder = "/home/me/data"', "absolute path /home/me/data"),
        ("question-1-1", "\nThe key", "besides the mark scheme, .* has to stand here alone"),
        ("question-1-1", "\n=== BEGIN MARK SCHEME ===", "MARK SCHEME has no end"),
    ],
)
def test_student_notebook_is_refused(cell, addition, message):
    notebook = sample_notebook()
    cell_of(notebook, cell).source += addition
    with pytest.raises(NotebookError, match=message):
        release.student_notebook(notebook)


def test_markers_that_survive_are_refused():
    notebook = sample_notebook()
    cell_of(notebook, "check-1-1").source += "\n# here END MARK SCHEME stands alone"
    with pytest.raises(NotebookError, match="the marker END MARK SCHEME is still there"):
        release.student_notebook(notebook)


@pytest.mark.parametrize("markers", ["BEGIN END END", "END", "BEGIN BEGIN END", "END BEGIN"])
def test_hidden_tests_come_in_pairs(markers):
    notebook = sample_notebook()
    lines = [f"### {marker} HIDDEN TESTS" for marker in markers.split()]
    cell_of(notebook, "check-1-1").source += "\n" + "\n".join(lines)
    with pytest.raises(NotebookError, match=r"HIDDEN TESTS (do not come in pairs|has no end)"):
        release.student_notebook(notebook)


def test_too_large_notebooks_are_refused():
    notebook = sample_notebook()
    cell_of(notebook, "wrap-up").source += "a" * release.LARGEST
    with pytest.raises(NotebookError, match=r"1\.\d\d MB; at most 1\.5 MB"):
        release.student_notebook(notebook)


@pytest.mark.parametrize(
    "text",
    [
        "File /root/x.py",
        "'/Users/me'/",
        r"C:\Users\me",
        r"'C:\\Users\\me'",
        "(/work/x)",
        "/tmp/ipykernel_1/2.py",
        "file:///home/me",
    ],
)
def test_absolute_paths_are_found(text):
    notebook = sample_notebook()
    cell_of(notebook, "setup").outputs[0].text = text
    assert "the absolute path" in "".join(release.untidy(notebook))


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/home/page",
        "data/work/x",
        "https://x.org/~me/work/a",
        '<img src="data:image/png;base64,ab/home/+/work/AA/tmp/==" alt="x">',
    ],
)
def test_other_slashes_are_no_absolute_paths(text):
    notebook = sample_notebook()
    cell_of(notebook, "setup").outputs = [new_output("display_data", {"text/html": text})]
    assert release.untidy(notebook) == []


# The command


def test_release_is_the_same_on_every_run(folders, capfd):
    assert call(folders) == 0
    first = (folders[1] / NAME).read_bytes()
    (folders[1] / NAME).unlink()
    assert call(folders) == 0
    assert (folders[1] / NAME).read_bytes() == first
    assert call(folders) == 0
    captured = capfd.readouterr()
    assert captured.out.split() == ["wrote", NAME, "wrote", NAME, "unchanged", NAME]
    assert captured.err == ""
    assert first.endswith(b"}\n") and b"\r" not in first


def test_another_process_writes_the_same_bytes(folders):
    assert call(folders) == 0
    first = (folders[1] / NAME).read_bytes()
    source, target = folders
    command = [sys.executable, "-m", "course_utils.instructor.release", "--source", str(source)]
    again = subprocess.run(
        [*command, "--target", str(target.parent / "again")],
        cwd=release.settings.CHECKOUT,
        env=os.environ | {"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
    )
    assert (again.returncode, again.stdout, again.stderr) == (0, f"wrote      {NAME}\n", "")
    assert (target.parent / "again" / NAME).read_bytes() == first


def test_check_is_clean_after_a_release(folders, capsys):
    assert call(folders) == 0
    assert call(folders, "--check") == 0
    assert "in step" in capsys.readouterr().out


def test_check_names_what_is_out_of_step_and_writes_nothing(folders, capsys):
    target = folders[1]
    assert call(folders, "--check") == 1
    assert f"notebooks/{NAME}: missing" in capsys.readouterr().err
    assert not target.exists()

    assert call(folders) == 0
    (target / NAME).write_bytes((target / NAME).read_bytes() + b"\n")
    (target / "09_old.ipynb").write_text("{}", encoding="utf-8")
    before = (target / NAME).read_bytes()
    assert call(folders, "--check") == 1
    complaints = capsys.readouterr().err
    assert f"notebooks/{NAME}: out of step" in complaints
    assert "notebooks/09_old.ipynb: no solution has this name" in complaints
    assert (target / NAME).read_bytes() == before
    assert (target / "09_old.ipynb").exists()


def test_check_looks_into_the_solutions(folders, capsys):
    assert call(folders) == 0
    notebook = sample_notebook()
    notebook.metadata.widgets = {"state": {}}
    cell_of(notebook, "setup").metadata.execution = {"iopub.execute_input": "2026"}
    cell_of(notebook, "setup").outputs[0].text = "/home/me\n"
    cell_of(notebook, "timing").outputs = [
        new_output("display_data", {release._WIDGET_VIEW: {"model_id": "1"}})
    ]
    write(folders[0] / NAME, notebook)
    assert call(folders, "--check") == 1
    complaints = capsys.readouterr().err.splitlines()
    assert [line.split(": ", 1)[0] for line in complaints] == [f"labsolutions/{NAME}"] * 4
    for part in ("widget state", "execution times", "absolute path /home/me", "a widget in"):
        assert part in "\n".join(complaints)


def test_one_refused_notebook_stops_the_whole_release(folders, capsys):
    source, target = folders
    notebook = sample_notebook()
    cell_of(notebook, "setup").source = "%time 1"
    write(source / "02_other.ipynb", notebook)
    assert call(folders) == 1
    assert "labsolutions/02_other.ipynb: cell setup" in capsys.readouterr().err
    assert not target.exists()
    assert call(folders, "01") == 0
    assert [path.name for path in target.iterdir()] == [NAME]


@pytest.mark.parametrize("name", [NAME, "01_sample", "01", f"labsolutions/{NAME}"])
def test_notebooks_can_be_named(folders, name):
    assert call(folders, name) == 0
    assert (folders[1] / NAME).exists()


def test_unknown_name_and_empty_folder_are_errors(folders, tmp_path, capsys):
    assert call(folders, "07") == 1
    assert "07: no such notebook" in capsys.readouterr().err
    assert call((tmp_path, folders[1])) == 1
    assert "no notebooks" in capsys.readouterr().err


def test_solutions_are_not_overwritten(folders, capsys):
    source = folders[0]
    before = {path.name: path.read_bytes() for path in source.glob("*.ipynb")}
    assert call((source, source / ".." / source.name)) == 1
    assert "is source and target" in capsys.readouterr().err
    assert call((source, next(source.glob("*.ipynb")))) == 1
    assert "is a file" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in source.glob("*.ipynb")}


# Running


def test_run_stores_outputs_and_is_repeatable(folders, capfd):
    source = folders[0]
    notebook = sample_notebook()
    notebook.cells = [cell for cell in notebook.cells if cell.id != "timing"]
    notebook.cells += [
        code(
            "widgets",
            "import os, sys\nimport ipywidgets\nfrom IPython.display import display\n"
            "box = ipywidgets.Output()\nwith box:\n    print('return 2 * x')\n"
            "display(box, ipywidgets.IntSlider(3))\n"
            "print('one'); sys.stdout.flush(); print('two'); sys.stdout.flush()\n"
            "print(os.environ['COURSE_OFFLINE'], 'COURSE_QUICK' in os.environ)\n"
            "print(os.path.basename(os.getcwd()))",
        ),
        code("raises", "1 / 0", tags=["raises-exception"]),
    ]
    write(source / NAME, notebook)
    assert call(folders, "--run") == 0
    first = (source / NAME).read_bytes()
    assert call(folders, "--run") == 0
    assert (source / NAME).read_bytes() == first
    assert capfd.readouterr().err == ""
    assert call(folders, "--check") == 0

    done = read(source / NAME)
    assert b"model_id" not in first and "widgets" not in done.metadata
    assert [cell.execution_count for cell in done.cells if cell.cell_type == "code"] == [
        *range(1, 8)
    ]
    outputs = cell_of(done, "widgets").outputs
    streams = [output.text for output in outputs if output.output_type == "stream"]
    assert streams == ["one\ntwo\n1 False\nlabsolutions\n"]
    assert any("IntSlider(value=3" in o.data["text/plain"] for o in outputs if "data" in o)
    assert cell_of(done, "raises").outputs[0].traceback == ["ZeroDivisionError: division by zero"]
    assert cell_of(done, "check-1-2").outputs[0].text == "Exercise 1.2: passed.\n"


def test_run_leaves_a_failing_solution_alone(folders, capsys, monkeypatch):
    source, target = folders
    notebook = sample_notebook()
    cell_of(notebook, "timing").source = "print(1)\nraise RuntimeError('no such luck')"
    write(source / NAME, notebook)
    other = sample_notebook()
    cell_of(other, "timing").source = "import time; time.sleep(60)"
    write(source / "02_slow.ipynb", other)
    third = sample_notebook()
    cell_of(third, "timing").source = "import os; os._exit(1)"
    write(source / "03_dead.ipynb", third)
    before = {path: path.read_bytes() for path in source.iterdir()}
    monkeypatch.setattr(release, "TIMEOUT", 15)  # a busy machine needs some
    assert call(folders, "--run") == 1
    complaints = capsys.readouterr().err
    assert f"labsolutions/{NAME}: cell timing: RuntimeError: no such luck" in complaints
    assert "labsolutions/02_slow.ipynb: cell timing: " in complaints
    assert "labsolutions/03_dead.ipynb: cell timing: " in complaints
    assert {path: path.read_bytes() for path in source.iterdir()} == before
    assert not target.exists()


def test_solutions_run_as_the_tests_run_them(monkeypatch):
    monkeypatch.setenv("COURSE_QUICK", "1")
    variables = release.environment(Path("data"), Path("private"))
    course = {name: text for name, text in variables.items() if name.startswith("COURSE_")}
    tests = {name: text for name, text in os.environ.items() if name.startswith("COURSE_")}
    del tests["COURSE_QUICK"]  # the tests themselves run without it
    assert course.keys() == tests.keys()
    folders = ("COURSE_DATA", "COURSE_RUNS", "COURSE_RESULTS")
    assert all(course[name] == tests[name] for name in course if name not in folders)


@pytest.mark.slow
@pytest.mark.parametrize(
    "solution",
    ["a sample", *sorted(SOLUTIONS.glob("*.ipynb"))],
    ids=lambda item: getattr(item, "stem", item),
)
def test_nbgrader_itself_makes_the_same_notebook(tmp_path, solution):
    pytest.importorskip("nbgrader", reason="needs: python -m pip install -e .[instructor]")
    notebook = sample_notebook() if solution == "a sample" else read(solution)
    source = tmp_path / "source" / "stage" / NAME
    source.parent.mkdir(parents=True)
    write(source, notebook)
    programs = Path(sys.executable).parent  # nbgrader calls alembic by its name
    subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", "stage"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        check=True,
        capture_output=True,
    )
    theirs = read(tmp_path / "release" / "stage" / NAME)
    ours = release.student_notebook(notebook)
    for cell, other in zip(ours.cells, theirs.cells, strict=True):
        # Only these differ: ours name the exercise, and say where to write.
        stub = cell.id.startswith("ex-") or QUESTION.fullmatch(cell.id)
        for metadata in (cell.metadata, other.metadata):
            if stub:
                metadata.nbgrader.pop("checksum")
        assert cell.metadata == other.metadata
        assert stub or cell == other
