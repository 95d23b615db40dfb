"""What the README says is what the project does."""

import re

import pytest

from course_utils import settings
from course_utils.corpora.speech_commands import ARCHIVES
from course_utils.instructor import measure

README = (settings.CHECKOUT / "README.md").read_text(encoding="utf-8")


def test_the_numbers_are_those_of_the_file_of_measurements():
    command = "run: python -m course_utils.instructor.measure --tables"
    assert f"{measure.MARKS[0]}\n{measure.overview()}\n{measure.MARKS[1]}" in README, command
    assert (measure.FOLDER / "README.md").read_text(encoding="utf-8") == measure.table(), command


def test_continuous_integration_runs_the_commands_of_the_readme():
    script = (settings.CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    commands = re.search(r"```bash\n(.*?)\n```", README, re.DOTALL).group(1).split(" && ")
    install = [part for part in commands if "pip install" in part]
    assert install == [".venv/bin/python -m pip install -r requirements.txt"]
    assert "pip install --quiet --disable-pip-version-check -r requirements.txt" in script
    assert ".venv/bin/python -m pytest" in README
    assert ".venv/bin/python -m pytest" in script


def test_every_setting_is_explained():
    read = set(re.findall(r"\bCOURSE_[A-Z_]+\b", (settings.__doc__ or "")))
    assert len(read) >= 9
    missing = {name for name in read if name not in README}
    assert not missing


@pytest.mark.parametrize("name", ARCHIVES)
def test_sizes_of_the_downloads(name):
    row = next(line for line in README.splitlines() if line.startswith(f"| `{name}` |"))
    number, unit = re.search(r"\| ([\d.]+) (MB|GB) \|", row).groups()
    size = ARCHIVES[name].size / {"MB": 1e6, "GB": 1e9}[unit]
    assert abs(size - float(number)) < 0.06 * size


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (settings.CHECKOUT / target).exists(), target


def test_the_picture_has_a_text():
    texts = re.findall(r"!\[([^\]]*)\]", README)
    assert texts
    assert all(len(text) > 40 for text in texts)
