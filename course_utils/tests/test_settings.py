"""Every environment variable of the course: default, value, and what a wrong one is told."""

import os
import re
from pathlib import Path

import platformdirs
import pytest

from course_utils import settings

VARIABLES = re.findall(r"^``(COURSE_\w+)``", settings.__doc__, re.MULTILINE)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for variable in [name for name in os.environ if name.startswith("COURSE_")]:
        monkeypatch.delenv(variable)


def test_the_defaults():
    assert settings.data_folder() == settings.CHECKOUT / "data"
    assert settings.runs_folder() == settings.CHECKOUT / "runs"
    assert settings.speech_commands_source() == "embedded"
    assert settings.device_name() is None
    assert settings.threads() is None
    assert settings.seed() == 0
    assert settings.offline() is False
    assert settings.quick() is False


def test_the_checkout_holds_the_course():
    assert (settings.CHECKOUT / "course_utils" / "settings.py").is_file()
    assert (settings.CHECKOUT / "requirements.txt").is_file()


@pytest.mark.parametrize(
    "variable, value, read, expected",
    [
        ("COURSE_SPEECH_COMMANDS", " v0.02 ", settings.speech_commands_source, "v0.02"),
        ("COURSE_DEVICE", "cuda:1", settings.device_name, "cuda:1"),
        ("COURSE_DEVICE", " CPU ", settings.device_name, "cpu"),
        ("COURSE_THREADS", "4", settings.threads, 4),
        ("COURSE_SEED", " 17 ", settings.seed, 17),
        ("COURSE_SEED", "4294967295", settings.seed, 2**32 - 1),
    ],
)
def test_a_value(monkeypatch, variable, value, read, expected):
    monkeypatch.setenv(variable, value)
    assert read() == expected


@pytest.mark.parametrize(
    "variable, read",
    [
        ("COURSE_DATA", settings.data_folder),
        ("COURSE_RUNS", settings.runs_folder),
        ("COURSE_RESULTS", settings.results_file),
    ],
)
def test_a_folder(monkeypatch, tmp_path, variable, read):
    monkeypatch.setenv(variable, f"  {tmp_path / 'some place'} ")
    assert read() == (tmp_path / "some place").resolve()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "here")  # what it means must not change with the current folder
    assert read() == (tmp_path / "here").resolve()
    monkeypatch.setenv(variable, "~/here")
    assert read() == (Path.home() / "here").resolve()


def test_results_lie_with_the_data(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert settings.results_file() == tmp_path.resolve() / "results.json"


@pytest.mark.parametrize("name, read", [("OFFLINE", settings.offline), ("QUICK", settings.quick)])
def test_a_flag(monkeypatch, name, read):
    for value in (" 1 ", "yes", "TRUE", "on"):
        monkeypatch.setenv(f"COURSE_{name}", value)
        assert read() is True
    for value in ("0", "no", "False", "off", " "):
        monkeypatch.setenv(f"COURSE_{name}", value)
        assert read() is False


def test_a_kernel_of_nbgraders_is_quick(monkeypatch):
    for value, quick in (("autograde", True), ("validate", False), ("", False)):
        monkeypatch.setenv("NBGRADER_EXECUTION", value)
        assert settings.quick() is quick


@pytest.mark.parametrize(
    "variable, value, read, message",
    [
        ("COURSE_OFFLINE", "perhaps", settings.offline, "'perhaps'; set it to 1 or 0."),
        ("COURSE_QUICK", "2", settings.quick, "'2'; set it to 1 or 0."),
        ("COURSE_SEED", "lucky", settings.seed, "'lucky'; set it to a whole number."),
        ("COURSE_SEED", "1.5", settings.seed, "'1.5'; set it to a whole number."),
        ("COURSE_SEED", "-1", settings.seed, "-1; set it to 0 to 4294967295."),
        ("COURSE_SEED", "4294967296", settings.seed, "4294967296; set it to 0 to 4294967295."),
        ("COURSE_THREADS", "many", settings.threads, "'many'; set it to a whole number."),
        ("COURSE_THREADS", "0", settings.threads, "0; set it to 1 to 1024."),
    ],
)
def test_a_wrong_value_is_told_what_to_set(monkeypatch, variable, value, read, message):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError) as error:
        read()
    assert str(error.value) == f"{variable} is {message}"


def test_a_shared_data_folder_gives_way_to_the_users_own(monkeypatch, tmp_path):
    shared, own = tmp_path / "shared", tmp_path / "own"
    shared.mkdir()
    monkeypatch.setenv("COURSE_DATA", str(shared / "not" / "yet" / "there"))
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name, **options: str(own / name))
    assert settings.writable_data_folder() == settings.data_folder()
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    assert settings.writable_data_folder() == own / "speech-labbook"
    assert asked == [(shared.resolve(), os.W_OK)]  # the nearest folder that exists decides
    assert settings.data_folder() == (shared / "not" / "yet" / "there").resolve()


def test_every_variable_that_the_course_reads_is_described():
    folder = settings.CHECKOUT / "course_utils"
    sources = [*folder.glob("*.py"), *folder.glob("corpora/*.py"), *folder.glob("instructor/*.py")]
    read = set()
    for path in sources:
        read |= set(re.findall(r"\bCOURSE_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    assert read == set(VARIABLES)


def test_only_settings_reads_variables_of_the_course():
    folder = settings.CHECKOUT / "course_utils"
    # What another room sets, `settings` reads.
    pattern = re.compile(
        r"environ\[\s*[\"']COURSE_\w+[\"']\s*\](?!\s*=[^=])"
        r"|(?:environ\.get|getenv)\(\s*[\"']COURSE_"
    )
    readers = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if "tests" not in path.parts and pattern.search(path.read_text(encoding="utf-8"))
    ]
    assert readers == ["settings.py"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        ("0", ""),
        ("1", "all effects, no memory|order|dropout|"),
        ("memory | order", "all effects, no memory|order"),
    ],
)
def test_sweeps_run_all_or_by_a_part_of_their_names(monkeypatch, text, wanted):
    monkeypatch.setenv("COURSE_SWEEPS", text)
    names = ["all effects, no memory", "order", "dropout", ""]
    assert [name for name in names if settings.sweeps(name)] == (
        wanted.split("|") if wanted else []
    )
