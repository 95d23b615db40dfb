"""requirements.txt and the extras name what the course imports, with tested bounds."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from course_utils import settings

LINES = (settings.CHECKOUT / "requirements.txt").read_text(encoding="utf-8").splitlines()

#: Modules whose distribution has another name.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "PIL": "pillow", "xdist": "pytest-xdist"}

#: What is listed, although no code of ours imports it, and why.
TOOLS = {
    "jupyter": "the program in which students open the notebooks",
    "ipykernel": "the kernel that runs them",
    "tensorboard": "torch.utils.tensorboard writes logs for it",
    "flashlight-text": "torchaudio's beam search calls it",
}


def listed(lines):
    """Requirements by canonical name; comments, blank lines and options are no requirements."""
    stripped = [line.partition("#")[0].strip() for line in lines]
    found = [Requirement(line) for line in stripped if line and not line.startswith("-")]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


REQUIREMENTS = listed(LINES)
PROJECT = tomllib.loads((settings.CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = listed([line for extra in PROJECT["optional-dependencies"].values() for line in extra])


def imported_by(source):
    """Canonical names of the distributions that a piece of Python imports."""
    modules = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module)
    top = {module.partition(".")[0] for module in modules}
    top -= {*sys.stdlib_module_names, "course_utils"}
    return {canonicalize_name(DISTRIBUTIONS.get(module, module)) for module in top}


def sources():
    """Name and source of every module, and of every code cell of the solutions."""
    for path in sorted((settings.CHECKOUT / "course_utils").rglob("*.py")):
        yield path.relative_to(settings.CHECKOUT).as_posix(), path.read_text(encoding="utf-8")
    for path in sorted((settings.CHECKOUT / "labsolutions").glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield f"{path.name}, cell {cell['id']}", "".join(cell["source"])


def test_imports_are_found_wherever_they_stand():
    source = (
        "import os.path, torch.nn as nn\nfrom sklearn.metrics import f1_score\nfrom . import a\n"
        "def later():\n    import PIL.Image\n    from IPython.display import HTML\n"
    )
    assert imported_by(source) == {"torch", "scikit-learn", "pillow", "ipython"}


def test_what_is_imported_is_listed():
    missing = {
        f"{distribution}, imported by {name}"
        for name, source in sources()
        for distribution in imported_by(source) - REQUIREMENTS.keys() - EXTRAS.keys()
    }
    assert missing == set()


def test_no_notebook_needs_an_extra():
    asked = {
        (name, distribution)
        for name, source in sources()
        if ".ipynb" in name
        for distribution in imported_by(source) & EXTRAS.keys()
    }
    assert asked == set()


def test_a_student_is_not_given_what_switches_itself_on_in_jupyterlab():
    assert "nbgrader" in EXTRAS and "nbgrader" not in REQUIREMENTS


def test_what_is_listed_is_imported_or_a_tool_with_a_reason():
    imported = set().union(*(imported_by(source) for _, source in sources()))
    assert REQUIREMENTS.keys() - imported == TOOLS.keys()


@pytest.mark.parametrize("name", [*REQUIREMENTS, *EXTRAS])
def test_each_has_a_lower_and_an_upper_bound_and_what_is_installed_lies_between(name):
    requirement = {**REQUIREMENTS, **EXTRAS}[name]
    assert sorted(part.operator for part in requirement.specifier) == ["<", ">="]
    assert requirement.url is None
    if requirement.marker and not requirement.marker.evaluate():
        return  # not for this Python
    if name in EXTRAS and not any(metadata.distributions(name=name)):
        pytest.skip(f"the extra package {name} is not installed")
    assert metadata.version(name) in requirement.specifier


def test_each_is_listed_once():
    assert len([line for line in LINES if re.match(r"[A-Za-z]", line)]) == len(REQUIREMENTS)


def test_the_last_line_installs_the_course_itself():
    assert [line for line in LINES if line.startswith("-")] == ["-e ."]
    assert LINES[-1] == "-e ."


def test_the_package_names_no_dependency_of_its_own():
    assert "dependencies" not in PROJECT


def test_this_python_is_one_that_the_package_allows():
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert ".".join(map(str, sys.version_info[:3])) in allowed


def test_conda_takes_its_packages_from_the_same_list():
    text = (settings.CHECKOUT / "environment.yml").read_text(encoding="utf-8")
    assert "-r requirements.txt" in text
    packages = re.findall(r"^  - (\w+)", text.partition("dependencies:")[2], re.MULTILINE)
    assert packages == ["python", "pip", "pip"]
    version = re.search(r"python=(3\.\d+)", text)[1]
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert f"{version}.99" in allowed


# --- a fresh process ----------------------------------------------------------------------------

PROBE = """
import sys, time
before = time.perf_counter()
import course_utils
print(time.perf_counter() - before)
print([name for name in ("torch", "librosa", "matplotlib", "numpy") if name in sys.modules])
"""


def fresh(code, folder):
    """What a fresh Python prints that runs `code` in `folder`."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_course_is_quick_and_loads_nothing_large(tmp_path):
    seconds, loaded = fresh(PROBE, tmp_path).splitlines()
    assert loaded == "[]"
    assert float(seconds) < 1


@pytest.mark.parametrize("folder", ["", "notebooks", "labsolutions", "course_utils"])
def test_it_works_in_every_folder(folder):
    code = "import course_utils; print(course_utils.settings.CHECKOUT)"
    assert fresh(code, settings.CHECKOUT / folder) == f"{settings.CHECKOUT}\n"


def test_a_submodule_that_is_none():
    with pytest.raises(ImportError, match="cannot import name 'sounds' from 'course_utils'"):
        from course_utils import sounds  # noqa: F401
