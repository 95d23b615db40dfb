"""What is written for nbgrader, and for students without solutions; what nbgrader makes of it."""

import csv
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from course_utils import settings
from course_utils.exercises import QUESTION, exercises, read, write
from course_utils.instructor import assignment, release
from course_utils.tests.test_release import NAME, call, cell_of, folders
from course_utils.tests.test_wrong_answers import NEEDED, answers_of

SOLUTIONS = sorted((settings.CHECKOUT / "labsolutions").glob("*.ipynb"))
__all__ = ["folders"]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The course as it is, written once."""
    folder = tmp_path_factory.mktemp("assignment") / "course"
    assert release.main(["--assignment", str(folder), "--withhold"]) == 0
    return folder


def test_source_and_release_are_the_notebooks_of_the_course(course):
    assert len(SOLUTIONS) == 4
    for number, solution in enumerate(SOLUTIONS, 1):
        student = settings.CHECKOUT / "notebooks" / solution.name
        for folder, original in (("source", solution), ("release", student)):
            written = course / folder / f"stage{number}" / solution.name
            assert written.read_bytes() == original.read_bytes()
    compile((course / "nbgrader_config.py").read_text("utf-8"), "config", "exec")


def test_students_get_no_answers(course):
    students = course / "students"
    names = {path.relative_to(students).as_posix() for path in students.rglob("*")}
    assert not any(re.search(r"(^|/)(tests|instructor|__pycache__)(/|$)", name) for name in names)
    notebooks = sorted(name for name in names if name.endswith(".ipynb"))
    assert [name.split("/")[:-1] for name in notebooks] == (
        [["labsolutions", "empty"]] * 4 + [["notebooks"]] * 4
    )
    for solution in SOLUTIONS:
        text = (students / "notebooks" / solution.name).read_text("utf-8")
        assert "SOLUTION" not in text and "MARK SCHEME" not in text
        answers = [exercise.solution for exercise in exercises(read(solution))]
        student = {cell.source for cell in read(students / "notebooks" / solution.name).cells}
        assert answers and not student & set(answers)


def test_students_get_what_the_notebooks_read(course):
    """In a process of its own, which finds its package in the students' folder."""
    code = (
        "from course_utils import results, settings\n"
        "from course_utils.checks import stage1, stage4\n"
        "stage1.progress()\n"
        "print(settings.CHECKOUT.name, len(results.table(stage=1).rows) > 3)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=course / "students",
        text=True,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(course / "students")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 of 11 exercises, 0 of 23 points; next 1.1\n")
    assert done.stdout.endswith("students True\n")
    readme = (course / "students" / "README.md").read_text("utf-8")
    assert "one command starts the course" in readme and "## Licences" in readme
    assert not re.search("pytest|For instructors|course_utils.instructor", readme)
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", readme):
        assert (course / "students" / target).exists(), target


@pytest.mark.parametrize("there", ["a file", "a folder with something in it"])
def test_what_is_there_stays(folders, tmp_path, capsys, there):
    target = tmp_path / "course"
    kept = target
    if there != "a file":
        target.mkdir()
        kept = target / "marks.csv"
    kept.write_text("mine", encoding="utf-8")
    assert call(folders, "--assignment", str(target)) == 1
    assert "is no empty folder; name a new one. Nothing was changed." in capsys.readouterr().err
    assert kept.read_text("utf-8") == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"labsolutions", "course"}


def test_an_empty_folder_is_filled(folders, tmp_path):
    (tmp_path / "course").mkdir()
    assert call(folders, "--assignment", str(tmp_path / "course")) == 0
    assert (tmp_path / "course" / "release" / "stage1" / NAME).is_file()
    assert not (tmp_path / "course" / "students").exists()
    assert not folders[1].exists()  # notebooks/ is another command's


def test_a_full_disk_leaves_nothing(folders, tmp_path, capsys, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(assignment, "_hand_out", full)
    assert call(folders, "--assignment", str(tmp_path / "course"), "--withhold") == 1
    assert "is full. Nothing was written. Free some space" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"labsolutions"}


def test_a_solution_that_cannot_be_released_is_written_nowhere(folders, tmp_path, capsys):
    notebook = read(folders[0] / NAME)
    cell_of(notebook, "wrap-up").source += "\n\n### BEGIN SOLUTION"
    release.write(folders[0] / NAME, notebook)
    assert call(folders, "--assignment", str(tmp_path / "course")) == 1
    assert "cell wrap-up: a solution belongs" in capsys.readouterr().err
    assert not (tmp_path / "course").exists()


def test_withhold_goes_with_an_assignment(folders, capsys):
    with pytest.raises(SystemExit):
        call(folders, "--withhold")
    assert "--withhold needs --assignment DIR" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_filled_in_notebooks_run_without_the_solutions(course, tmp_path, solution):
    students = course / "students"
    notebook = read(students / "notebooks" / solution.name)
    for exercise in exercises(read(solution)):
        cell_of(notebook, exercise.cell("ex")).source = exercise.solution
    variables = release.environment(settings.data_folder(), tmp_path)
    variables |= {"COURSE_QUICK": "1", "PYTHONPATH": str(students)}
    release.run(notebook, students / "notebooks", variables)
    checks = [cell for cell in notebook.cells if cell.id.startswith("check-")]
    assert checks and all(cell.outputs[0].text.startswith("Passed") for cell in checks)


def honest(solution):
    """Three submissions of a stage: name, notebook, and the points that it deserves.

    The last is by somebody who has deleted what no exercise needs, trainings above all.
    """
    stage = int(solution.name[:2])
    tasks = exercises(read(solution))
    whole = sum(task.points for task in tasks)
    half = tasks[: len(tasks) // 2]
    needed = {name for task in tasks for name in task.needs}
    wrong = answers_of(stage)[0]
    slip = next(task for task in tasks if task.id not in needed and task.id in wrong)
    answers = {task.id: task.solution for task in tasks}
    given = {
        "all right": (answers, whole),
        "first half": ({task.id: task.solution for task in half}, sum(t.points for t in half)),
        "one mistake": (answers | {slip.id: wrong[slip.id][0][1]}, whole - slip.points),
    }
    for name, (cells, points) in given.items():
        notebook = release.student_notebook(read(solution))
        for task in tasks:
            cell = cell_of(notebook, task.cell("ex"))
            cell.source = cells.get(task.id, cell.source)
        for cell in notebook.cells:
            if QUESTION.fullmatch(cell.id) and name == "all right":
                cell.source = "Because."
        if name == "one mistake":
            notebook.cells = [
                cell
                for cell in notebook.cells
                if "nbgrader" in cell.metadata or NEEDED in cell.metadata.get("tags", [])
            ]
        yield name, notebook, points


@pytest.mark.slow
@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda path: path.stem)
def test_nbgrader_gives_the_same_points(tmp_path, solution):
    """generate_assignment, autograde and generate_feedback, as the config's own lines say them."""
    pytest.importorskip("nbgrader", reason="needs: python -m pip install -e .[instructor]")
    folder, stage = tmp_path / "course", f"stage{int(solution.name[:2])}"
    assert release.main([solution.name, "--assignment", str(folder)]) == 0
    handed_out = (folder / "release" / stage / solution.name).read_bytes()
    expected = {}
    for student, notebook, points in honest(solution):
        place = folder / "submitted" / student / stage
        place.mkdir(parents=True)
        write(place / solution.name, notebook)
        expected[student] = float(points)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = os.environ | {"PATH": programs, "PYTHONPATH": str(settings.CHECKOUT)}
    for command in (
        ["generate_assignment", stage, "--force"],
        ["autograde", stage],
        ["generate_feedback", stage],
        ["export"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", *command], cwd=folder, env=variables, text=True,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
    # What nbgrader hands out is what the course hands out, to the byte.
    assert (folder / "release" / stage / solution.name).read_bytes() == handed_out
    with (folder / "grades.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {name: float(row["score"]) for name, row in rows.items()} == expected
    assert {float(row["max_score"]) for row in rows.values()} == {expected["all right"]}
    for student in expected:
        assert (folder / "feedback" / student / stage / f"{solution.stem}.html").is_file()
    assert not list((folder / "kernels").rglob("*.pt"))  # a quick run keeps nothing
