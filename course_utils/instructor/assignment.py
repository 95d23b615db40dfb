"""A course for nbgrader, and a folder for students who shall not have the solutions.

::

    python -m course_utils.instructor.release --assignment DIR --withhold

writes ``DIR/source/stageN/`` (the solutions), ``DIR/release/stageN/`` (the student notebooks, byte
for byte), ``DIR/nbgrader_config.py``, and ``DIR/students/``.
"""

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from course_utils import files, settings
from course_utils.exercises import EMPTY

CONFIG = '''\
"""nbgrader's settings for this course; nbgrader reads them where it is started, in this folder.

    nbgrader generate_assignment stage1 --force     # into its database; release/ stays as it is
    nbgrader autograde stage1                       # submitted/STUDENT/stage1/NOTEBOOK.ipynb
    nbgrader generate_feedback stage1
"""

import os
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from nbgrader.preprocessors import ClearSolutions

c = get_config()
here = Path(__file__).resolve().parent

# A training cell may take minutes. nbgrader alone stops each cell after 30 seconds.
c.ExecutePreprocessor.timeout = 600
# A check that a student deleted is still asked.
c.OverwriteCells.add_missing_cells = True
# The stubs of the course, which name their exercise, in the place of nbgrader's bare ones.
c.GenerateAssignment.preprocessors = [
    "course_utils.instructor.release.nbgrader_stubs" if step is ClearSolutions else step
    for step in GenerateAssignment.class_traits()["preprocessors"].default()
]

# The kernels that grade: seconds instead of minutes, and nothing of theirs in the instructor's own
# results and checkpoints.
os.environ.update(
    COURSE_QUICK="1",
    COURSE_RUNS=str(here / "kernels" / "runs"),
    COURSE_RESULTS=str(here / "kernels" / "results.json"),
)
'''

#: What students need beside the notebooks: from the checkout, without what is named below.
HANDED_OUT = (
    *("README.md", "LICENSE", "requirements.txt", "environment.yml", "pyproject.toml"),
    *(".gitignore", ".gitattributes", ".github/shift.png"),
    *("course_utils", "labsolutions/measurements"),
)
#: The tests hold right answers; the rest is made anew.
_LEFT_OUT = ("instructor", "tests", "__pycache__", ".ipynb_checkpoints")
#: Of the README: what only the whole repository can do.
_HEADING = re.compile(r"^(?=##+ )", re.MULTILINE)
_ON_TESTS = re.compile(
    r"and \*\*one command passes its tests\*\*.*?```bash\n.*?\n```\n\n", re.DOTALL
)


def write_or_say_why(folder: Path, texts: Mapping[Path, str], withhold: bool) -> int:
    """Write a course for nbgrader, and say where; returns the exit status of the command.

    Parameters
    ----------
    folder : Path
        New or empty: what somebody has there is never touched.
    texts : mapping of Path to str
        The text of the student notebook of each solution.
    withhold : bool
        Whether to make a folder for students, too.
    """
    folder = folder.resolve()
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            print(
                f"{folder} is no empty folder; name a new one. Nothing was changed.",
                file=sys.stderr,
            )
            return 1
        with files.replace_with(folder) as building:
            _write(building, texts)
            if withhold:
                _hand_out(building / "students", texts)
            if folder.exists():
                folder.rmdir()  # it is empty; a file that somebody has put there meanwhile stays
    except OSError as error:
        print(files.disk_error(error, folder, "Nothing was written.", "DIR"), file=sys.stderr)
        return 1
    print(f"wrote {folder}: source/, release/ and nbgrader_config.py, which says how to go on")
    if withhold:
        print(f"wrote {folder / 'students'}: what students get, without the solutions")
    return 0


def _write(folder: Path, texts: Mapping[Path, str]) -> None:
    """The folders of nbgrader."""
    for solution, text in texts.items():
        stage = f"stage{int(solution.name[:2])}"
        for name, content in (("source", solution.read_bytes()), ("release", text.encode())):
            (folder / name / stage).mkdir(parents=True)
            (folder / name / stage / solution.name).write_bytes(content)
    (folder / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")


def _hand_out(folder: Path, texts: Mapping[Path, str]) -> None:
    """The course without solutions; empty notebooks stand in for them, to start again from."""
    for name in HANDED_OUT:
        found, target = settings.CHECKOUT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, target, ignore=shutil.ignore_patterns(*_LEFT_OUT))
        else:
            shutil.copyfile(found, target)
    for place in (folder / "notebooks", folder / "labsolutions" / EMPTY):
        place.mkdir()
        for solution, text in texts.items():
            (place / solution.name).write_bytes(text.encode())
    (folder / "README.md").write_text(
        for_students((folder / "README.md").read_text(encoding="utf-8")), encoding="utf-8"
    )


def for_students(readme: str) -> str:
    """The README without what needs the solutions or the tests."""
    sections = _HEADING.split(_ON_TESTS.sub("", readme))
    kept = "".join(each for each in sections if "course_utils.instructor" not in each)
    return "".join(line for line in kept.splitlines(True) if "pytest" not in line)
