"""The file of measurements: written by running notebooks, never by hand."""

import json

import nbformat
import pytest

from course_utils import results
from course_utils.exercises import NotebookError
from course_utils.instructor import measure
from course_utils.results import tables

RECORD = {
    "stage": 1,
    "model": "MLP",
    "headline": True,
    "trained_on": "embedded",
    "tested_on": "embedded",
    "split": "test",
    "train_clips": 80,
    "test_clips": 10,
    "test_speakers": 1,
    "classes": 10,
    "chance": 0.1,
    "parameters": 1234,
    "metric": "accuracy",
    "value": 0.5,
    "seconds": 2.0,
    "seed": 0,
    "device": "cpu",
}


def result(**changes):
    return results.Result(**RECORD | changes)


def notebook(folder, source):
    cell = nbformat.v4.new_code_cell(source, id="only")
    path = folder / "01_small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


def test_measure_runs_the_notebook_with_seed_and_source(tmp_path):
    source = (
        "from course_utils import results, settings\n"
        f"record = {RECORD!r}\n"
        "record['seed'] = settings.seed()\n"
        "record['trained_on'] = settings.speech_commands_source()\n"
        "results.keep(**record);"
    )
    records, _, seconds = measure.measure(notebook(tmp_path, source), "mini", seed=7)
    assert [(one.seed, one.trained_on) for one in records] == [(7, "mini")]
    assert seconds > 0


def test_sentences_have_a_switch_and_a_name_of_their_own(tmp_path, monkeypatch):
    monkeypatch.delenv("COURSE_LANGUAGE", raising=False)
    source = (
        "from course_utils import results, settings\n"
        f"results.keep(**{RECORD!r} | {{'trained_on': settings.common_voice_source()}});"
    )
    path = notebook(tmp_path, source).rename(tmp_path / "04_common_voice.ipynb")
    records, *_ = measure.measure(path, "mini_librispeech", seed=0)
    assert [one.trained_on for one in records] == ["mini_librispeech"]
    assert measure._name(path, "embedded") == "embedded fr"
    assert measure._name(path, "/data/cv-corpus/en") == "cv-corpus/en"
    assert measure._name(tmp_path / "01_small.ipynb", "/data/sample") == "sample"


def test_a_part_runs_what_it_needs_and_what_is_named_and_keeps_its_trainings(tmp_path):
    path = notebook(tmp_path, "raise SystemExit('not asked for')")
    whole = nbformat.read(path, 4)
    sources = {
        "needed": "from course_utils import results, runs, settings\nrecord = " + repr(RECORD),
        "train": (
            "folder = settings.runs_folder() / 'net-0123456789ab'\n"
            "seen = folder.is_dir()\n"
            "folder.mkdir(parents=True, exist_ok=True)\n"
            "_ = (folder / 'scalars.csv').write_text('epoch,loss\\n1,0.51239\\n2,0.25\\n')\n"
            "results.keep(**record | {'value': float(seen)});"
        ),
    }
    for name, source in sources.items():
        whole.cells.append(nbformat.v4.new_code_cell(source, id=name))
    whole.cells[1].metadata["tags"] = ["needs-later"]
    nbformat.write(whole, path)
    for seen in (0, 1):
        records, curves, _ = measure.measure(path, "mini", 0, ["train"], tmp_path / "kept")
        assert [one.value for one in records] == [seen]
        assert curves == [{"name": "net", "loss": "0.5124 0.25"}]
    with pytest.raises(NotebookError, match="no code cell other"):
        measure.measure(path, "mini", 0, ["train", "other"])


def test_a_notebook_that_fails_is_an_error_and_no_record(tmp_path):
    with pytest.raises(NotebookError, match="bound was missed"):
        measure.measure(notebook(tmp_path, "assert False, 'the bound was missed'"), "mini", 0)


def test_merge_replaces_the_same_run_and_keeps_others(tmp_path):
    path = tmp_path / "2026-01-31.json"
    run = {"notebook": "01_small.ipynb", "source": "embedded", "seed": 0, "seconds": 3.0}
    measure.merge(path, [result(), result(seed=1)], [run])
    curve = {"name": "net", "source": "embedded", "seed": 0, "loss": "0.5 0.25"}
    measure.merge(path, [result(value=0.75)], [run | {"seconds": 4.0}], [curve])
    content = json.loads(path.read_text())
    assert content["date"] == "2026-01-31"
    assert {one["seed"]: one["value"] for one in content["records"]} == {0: 0.75, 1: 0.5}
    assert [one["seconds"] for one in content["runs"]] == [4.0]
    assert content["curves"] == [curve]
    assert content["machine"]["cores"] >= 1
    assert set(content["versions"]) == set(measure.PACKAGES)


def test_tables_have_mean_and_half_range(monkeypatch):
    same = [(result(seed=s, value=v), "2026-01-31") for s, v in enumerate((0.5, 0.6))]
    monkeypatch.setattr(results, "references", lambda: same)
    monkeypatch.setattr(tables, "references", lambda: same)
    assert "| 55.0 ± 5.0 | 1,234 | 2 s |" in measure.table()
    assert "| 10.0 |" in measure.table()
    row = next(line for line in measure.overview().splitlines() if line.startswith("| 1 |"))
    assert "| accuracy 55.0 ± 5.0 % | – | 10.0 % |" in row


def test_no_such_notebook(capsys):
    assert measure.main(["99"]) == 1
    assert "No solution notebook starts with 99" in capsys.readouterr().out
