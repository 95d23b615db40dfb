"""``python -m course_utils``: the report, and the caches."""

import sys

import pytest

from course_utils import __main__ as program
from course_utils import settings
from course_utils.corpora import cache


def test_report_on_this_machine(capsys):
    assert program.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == list(program.CHECKS)
    assert all(line.startswith("[ok]   ") for line in lines)


def test_a_failure_is_a_line_and_the_rest_goes_on(capsys, monkeypatch):
    def broken():
        raise ImportError("libcudart.so.13:\n cannot open")

    monkeypatch.setitem(program.CHECKS, "torch", broken)
    assert program.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "[fail] torch      libcudart.so.13: cannot open" in lines
    assert sum(line.startswith("[ok]") for line in lines) == len(program.CHECKS) - 1


def test_a_package_out_of_bounds_is_named(monkeypatch):
    versions = {"torch": "2.15.0"}
    found = program.metadata.version
    monkeypatch.setattr(program.metadata, "version", lambda name: versions.get(name) or found(name))
    with pytest.raises(RuntimeError, match=r"torch is 2\.15\.0, wanted .*pip install -r"):
        program._packages()


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    with pytest.raises(RuntimeError, match=r"tested with 3\.11 to 3\.13"):
        program._python()


def test_little_disk_is_said(monkeypatch):
    class Usage:
        free = 10_000_000

    monkeypatch.setattr(program.shutil, "disk_usage", lambda path: Usage)
    with pytest.raises(RuntimeError, match=r"0\.0 GB free .* set COURSE_DATA"):
        program._disk()


def test_cache_is_shown_and_cleared(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert program.main(["cache"]) == 0
    assert "none" in capsys.readouterr().out
    folder = cache.entry("speech_commands", tmp_path / "somewhere", "f" * 16)
    folder.mkdir(parents=True)
    (folder / "waveforms.int16").write_bytes(bytes(3_000_000))
    (settings.data_folder() / "results.json").write_text("[]")
    program.main(["cache"])
    assert f"3 MB  {folder.name}" in capsys.readouterr().out
    program.main(["cache", "--clear"])
    assert "Deleted 3 MB" in capsys.readouterr().out
    assert not folder.exists()
    assert (settings.data_folder() / "results.json").exists()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("COURSE_SEED", "abc"),
        ("COURSE_QUICK", "maybe"),
        ("COURSE_DATA", "{file}/below"),
        ("COURSE_RUNS", "{file}"),
        ("COURSE_RESULTS", "{folder}"),
    ],
)
def test_a_setting_that_cannot_be_used_is_a_line(tmp_path, monkeypatch, variable, value):
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv(variable, value.format(file=tmp_path / "file", folder=tmp_path))
    [(good, line)] = program.report({"settings": program.CHECKS["settings"]})
    assert not good and variable in line and "set " in line


def test_half_an_option_clears_no_cache(capsys):
    with pytest.raises(SystemExit):
        program.main(["cache", "--cle"])
    assert "unrecognized arguments: --cle" in capsys.readouterr().err
