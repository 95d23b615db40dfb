"""Results are checked, replaced, never lost; references fill in for stages not yet run."""

import json
import subprocess
import sys
from dataclasses import asdict
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_utils import exercises, results, settings
from course_utils.results import tables

GOOD = {
    "stage": 1,
    "model": "MLP",
    "headline": True,
    "trained_on": "embedded",
    "tested_on": "embedded",
    "split": "test",
    "train_clips": 2000,
    "test_clips": 500,
    "test_speakers": 12,
    "classes": 10,
    "chance": 0.1,
    "parameters": 123456,
    "metric": "accuracy",
    "value": 0.873,
    "seconds": 31.2,
    "seed": 0,
    "device": "cpu",
    "variant": "",
    "task": "",
    "noise": "",
    "references": [],
    "caveats": [],
    "low": None,
    "high": None,
}
OPTIONAL = ("variant", "task", "noise", "references", "caveats", "low", "high")


def stored(path=None):
    return [asdict(result) for result in results.load(path)]


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    """A results file and a checkout of its own for each test."""
    monkeypatch.setenv("COURSE_RESULTS", str(tmp_path / "folder" / "results.json"))
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    return tmp_path / "folder" / "results.json"


def measure(tmp_path, name, date, *records):
    folder = tmp_path / "labsolutions" / "measurements"
    folder.mkdir(parents=True, exist_ok=True)
    content = {"date": date, "machine": {}, "versions": {}, "records": list(records), "more": 1}
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


# --- records ----------------------------------------------------------------------------------


def test_a_record_is_kept(path):
    assert stored() == []
    assert asdict(results.keep(**GOOD)) == GOOD
    assert stored() == [GOOD] == json.loads(path.read_text(encoding="utf-8"))
    assert sorted(file.name for file in path.parent.iterdir() if ".tmp" in file.name) == []


def test_numpy_scalars_and_references_become_plain(tmp_path):
    other = tmp_path / "other.json"
    fields = {**GOOD, "classes": np.int64(10), "value": np.float32(0.5), "references": ("1.2",)}
    results.keep(path=other, **fields)
    [one] = json.loads(other.read_text(encoding="utf-8"))
    assert one == {**GOOD, "value": 0.5, "references": ["1.2"]}
    assert stored() == [] and stored(other) == [one]


@pytest.mark.parametrize(
    "key",
    ["stage", "model", "trained_on", "tested_on", "split", "metric", "seed", "classes"],
)
def test_a_record_replaces_only_its_own_like(key):
    results.keep(**GOOD)
    others = {"stage": 2, "split": "validation", "metric": "wer", "seed": 1, "classes": 35}
    results.keep(**{**GOOD, key: others.get(key, "other")})
    assert len(stored()) == 2
    results.keep(**{**GOOD, "value": 0.9, "device": "cuda", "seconds": 1, "train_clips": 1})
    assert [one["value"] for one in stored()] == [0.873, 0.9]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stage", 5),
        ("stage", "1"),
        ("stage", True),
        ("model", ""),
        ("model", 3),
        ("headline", 1),
        ("split", "dev"),
        ("train_clips", 20.5),
        ("test_clips", -1),
        ("chance", 1.1),
        ("chance", None),
        ("metric", "loss"),
        ("value", 87.3),
        ("value", float("nan")),
        ("value", "0.9"),
        ("seconds", float("inf")),
        ("seed", None),
        ("references", "1.2"),
        ("unheard", 1),
    ],
)
def test_a_wrong_field_is_named(path, key, value):
    with pytest.raises(ValueError, match=rf"\b{key}\b"):
        results.keep(**{**GOOD, key: value})
    assert not path.exists()


@pytest.mark.parametrize("key", [key for key in GOOD if key not in OPTIONAL])
def test_a_missing_field_is_named(key):
    with pytest.raises(ValueError, match=rf"lacks {key}$"):
        results.keep(**{name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("metric", ["cer", "wer"])
def test_error_rates_may_exceed_one_and_have_no_chance(metric):
    results.keep(**{**GOOD, "metric": metric, "value": 1.3, "chance": None})
    assert "130.0" in repr(results.table())


def test_quick_mode_writes_nothing(path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_QUICK", "1")
    assert asdict(results.keep(**GOOD)) == GOOD
    assert not path.parent.exists()
    assert capsys.readouterr().out.count("\n") == 1
    with pytest.raises(ValueError, match="value"):
        results.keep(**{**GOOD, "value": 2})


@pytest.mark.parametrize(
    "text",
    ['[{"stage": 1', "{}", "[1]", json.dumps([{**GOOD, "value": 2}]), "[NaN]", "\xff\x00"],
)
def test_a_corrupt_file_is_set_aside(path, capsys, text):
    path.parent.mkdir()
    path.write_bytes(text.encode("latin-1"))
    assert stored() == [] and "ignored" in capsys.readouterr().out
    assert path.read_bytes() == text.encode("latin-1")
    results.keep(**GOOD)
    assert stored() == [GOOD]
    [aside] = path.parent.glob("results.json.corrupt-*")
    assert aside.read_bytes() == text.encode("latin-1")
    assert aside.name in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OSError, match=r"cannot be written .* COURSE_RESULTS"):
        results.keep(path=tmp_path / "file" / "results.json", **GOOD)


def test_an_interrupted_write_keeps_the_old_file(path, monkeypatch):
    results.keep(**GOOD)

    def full(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="disk full"):
        results.keep(**{**GOOD, "seed": 1})
    assert stored() == [GOOD]
    assert not list(path.parent.glob("*.tmp"))


def test_two_processes_lose_nothing(path):
    code = (
        "import json, sys, time; from course_utils import results\n"
        "from course_utils.results import records\nparse = records._parse\n"
        "def slow(text): time.sleep(0.005); return parse(text)\n"  # widens the gap to race in
        "records._parse = slow\n"
        "good = json.loads(sys.argv[1])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for seed in range(20): results.keep(**{**good, 'seed': seed, 'model': sys.argv[2]})"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    runs = [
        subprocess.Popen([sys.executable, "-c", code, json.dumps(GOOD), model], **pipes)
        for model in ("MLP", "CNN")
    ]
    assert [run.stdout.readline() for run in runs] == ["ready\n", "ready\n"]
    for run in runs:
        run.stdin.write("go\n")
        run.stdin.flush()
    assert [run.communicate(timeout=60)[0] for run in runs] == ["", ""]
    assert [run.returncode for run in runs] == [0, 0]
    found = {(one["model"], one["seed"]) for one in stored()}
    assert found == {(model, seed) for model in ("MLP", "CNN") for seed in range(20)}
    assert not list(path.parent.glob("*corrupt*"))


# --- the table --------------------------------------------------------------------------------


def test_rows_are_ordered_by_stage_classes_and_value():
    for number, (stage, classes, value) in enumerate(
        [(2, 10, 0.9), (1, 35, 0.5), (1, 10, 0.8), (1, 10, 0.7)]
    ):
        changed = {"stage": stage, "classes": classes, "value": value, "model": f"m{number}"}
        results.keep(**{**GOOD, **changed, "headline": False})
    assert [row["Model"] for row in results.table().rows] == ["m3", "m2", "m1", "m0"]
    assert [row["Model"] for row in results.table(stage=1).rows] == ["m3", "m2", "m1"]


def test_seeds_share_a_row():
    for seed, value in enumerate([0.80, 0.90, 0.88]):
        results.keep(**{**GOOD, "seed": seed, "value": value, "references": [f"1.{seed}"]})
    [row] = results.table().rows
    assert row["Value (%)"] == "86.0 ± 5.0" and row["Chance (%)"] == "10.0"
    assert row["Note"] == "your run, 3 seeds, with loaded references 1.0, 1.1, 1.2"
    assert row["Parameters"] == "123,456" and row["Training"] == "31 s" and row["Model"] == "MLP *"


def test_the_html_is_accessible_and_escaped():
    results.keep(**{**GOOD, "model": "<b>MLP</b>"})
    text = results.table()._repr_html_()
    assert "<caption" in text and "<b>" not in text
    assert text.count('<th scope="col"') == len(results.table().rows[0])
    assert text.count('<th scope="row"') == 1 and "&lt;b&gt;MLP&lt;/b&gt;&nbsp;*</th>" in text
    assert text.count("<td") == text.count("</td>") == len(results.table().rows[0]) - 1


def test_the_text_is_aligned():
    results.keep(**GOOD)
    results.keep(**{**GOOD, "model": "a much longer name", "parameters": 1})
    _, head, line, *rows = repr(results.table()).splitlines()[:5]
    for name in ("Model", "Note"):
        start = head.index(name)
        assert line[start - 1 : start + 1] == " -"
        assert all(row[start - 1] == " " and row[start] != " " for row in rows[:2])
    end = head.index("Parameters") + len("Parameters")
    assert sorted(row[end - 8 : end].strip() for row in rows[:2]) == ["1", "123,456"]


def test_embedded_is_explained_where_it_is_used():
    real = {**GOOD, "trained_on": "v0.02", "tested_on": "v0.02"}
    results.keep(**real)
    assert "synthetic" not in repr(results.table())
    results.keep(**GOOD)
    assert "embedded: synthetic speech" in repr(results.table())
    assert "embedded: synthetic speech" in results.table()._repr_html_()


def test_an_empty_table_says_so():
    assert "none yet" in repr(results.table()) and "none yet" in results.table()._repr_html_()


def test_references_stand_in_for_stages_that_were_not_run(tmp_path):
    second = {**GOOD, "stage": 2, "model": "CNN"}
    measure(tmp_path, "a.json", "2026-11-20", GOOD, second, {**second, "seed": 1, "value": 0.893})
    notes = [row["Note"] for row in results.table().rows]
    assert notes == [
        "reference, 2026-11-20, seed 0",
        "reference, 2026-11-20, 2 seeds",
    ]
    results.keep(**{**GOOD, "model": "my own", "seed": 7})
    table = results.table()
    assert [row["Model"] for row in table.rows] == ["my own *"]
    assert table.rows[0]["Note"] == "your run, seed 7"
    assert table.more.caption == "Measured references of stage 2"
    assert table.more.rows[0]["Value (%)"] == "88.3 ± 1.0"
    page = table._repr_html_()
    assert "<details><summary>Measured references of stage 2: 1 rows</summary>" in page
    assert "CNN" not in page.split("<details>")[0] and "CNN" in repr(table)
    assert stored() == [{**GOOD, "model": "my own", "seed": 7}]


def test_measurements_stand_beside_what_was_run(tmp_path):
    other = {**GOOD, "model": "CNN"}
    measure(tmp_path, "a.json", "2026-11-20", GOOD, other)
    results.keep(**GOOD)
    table = results.table(beside=True)
    notes = {row["Model"]: row["Note"] for row in table.rows}
    assert notes == {"MLP *": "your run, seed 0", "CNN *": "reference, 2026-11-20, seed 0"}
    assert table.more is None


def test_the_newest_measurement_of_a_result_wins(tmp_path):
    other = {**GOOD, "model": "CNN"}
    old = [{**GOOD, "seed": seed, "value": 0.1} for seed in range(3)]
    measure(tmp_path, "z-old.json", "2026-01-05", *old, other)
    measure(tmp_path, "a-new.json", "2026-11-20", {**GOOD, "value": 0.9})
    found = {(result.model, result.value, date) for result, date in results.references()}
    assert found == {("MLP", 0.9, "2026-11-20"), ("CNN", 0.873, "2026-01-05")}
    assert len(results.references()) == 2


def test_curves_are_those_of_the_corpus_and_the_newest_of_each_seed(tmp_path):
    curve = {"name": "net", "source": "embedded fr", "seed": 0, "loss": "0.5 0.25"}
    other = [curve | {"seed": 1, "loss": "0.4 0.3"}, curve | {"source": "v0.02", "name": "cnn"}]
    for date, drawn in (("2026-01-05", [curve]), ("2026-11-20", [curve | {"loss": "0.6"}, *other])):
        content = {"date": date, "records": [], "curves": drawn}
        (tmp_path / "labsolutions" / "measurements").mkdir(parents=True, exist_ok=True)
        path = tmp_path / "labsolutions" / "measurements" / f"{date}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    assert results.curves("embedded fr") == {"net": [{"loss": [0.6]}, {"loss": [0.4, 0.3]}]}
    assert results.curves("embedded en") == {}


@pytest.mark.parametrize("record", [{**GOOD, "value": 7}, {"stage": 1}])
def test_a_wrong_measurement_is_named(tmp_path, record):
    measure(tmp_path, "wrong.json", "2026-11-20", record)
    with pytest.raises(ValueError, match=r"wrong\.json"):
        results.references()


def test_references_are_those_of_the_corpus_in_use(tmp_path, monkeypatch):
    def reference(corpus):
        given = GOOD | {"trained_on": corpus, "tested_on": corpus}
        return results.Result(**given), "2026-01-31"

    both = [reference("embedded"), reference("v0.02")]
    monkeypatch.setattr(tables, "references", lambda: both)
    for source, shown in (("embedded", "embedded"), ("v0.02", "v0.02"), ("mini", "embedded")):
        monkeypatch.setenv("COURSE_SPEECH_COMMANDS", source)
        rows = results.table(path=tmp_path / "results.json").rows
        assert [row["Corpus"] for row in rows] == [shown]
    monkeypatch.setattr(tables, "references", lambda: both[1:])
    assert len(results.table(path=tmp_path / "results.json").rows) == 1  # better than none


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("embedded", "embedded fr"),
        ("mini_librispeech", "embedded fr"),
        ("/data/cv-corpus", "cv-corpus/fr"),
        ("/data/cv-corpus/fr", "cv-corpus/fr"),
        ("/data/other", "embedded fr"),
    ],
)
def test_references_of_sentences_are_those_of_the_corpus_in_use(
    tmp_path, monkeypatch, source, shown
):
    def reference(corpus):
        names = {"trained_on": corpus, "tested_on": corpus}
        return results.Result(**GOOD | names | {"stage": 4}), "2026-01-31"

    both = [reference("embedded fr"), reference("cv-corpus/fr")]
    monkeypatch.setattr(tables, "references", lambda: both)
    monkeypatch.setenv("COURSE_COMMON_VOICE", source)
    rows = results.table(path=tmp_path / "results.json").rows
    assert [row["Corpus"] for row in rows] == [shown]


# --- computed from the objects ----------------------------------------------------------------


class Part(SimpleNamespace):
    """A corpus of two words, or a part of one."""

    caveats = ()

    def split(self, name):
        return self.parts[name]

    def __len__(self):
        return len(self.labels)


def corpus(name, test=(0, 0, 0, 1)):
    parts = {
        part: Part(labels=np.array(labels), speakers=[f"{part}{i % 2}" for i in labels])
        for part, labels in (("train", [0, 1, 1, 1, 1]), ("test", test))
    }
    return Part(name=name, words=["no", "yes"], parts=parts)


RUN = {"seconds": 2.5, "seed": 3, "device": "cpu", "labels": ["no", "yes"]}


def test_a_record_is_computed_from_the_objects(monkeypatch):
    monkeypatch.setattr(exercises, "loaded_references", {"1.10", "1.9"})
    network = __import__("torch").nn.Linear(3, 2)
    found = results.record(
        "MLP", network, 0.8, stage=1, run=RUN, trained_on=corpus("a"), variant="new", task="two"
    )
    assert (found.train_clips, found.test_clips, found.test_speakers) == (5, 4, 2)
    assert (found.classes, found.chance, found.parameters) == (2, 0.75, 8)
    assert (found.seconds, found.seed, found.device) == (2.5, 3, "cpu")
    assert found.references == ["1.9", "1.10"]
    assert results.load() == [found] and found.name == "MLP, new, two"


def test_chance_is_that_of_the_test_part_whatever_was_trained_on():
    tested = corpus("real")
    for trained in (tested, corpus("embedded")):
        found = results.record(
            "MLP", None, 0.8, stage=1, run=RUN, trained_on=trained, tested_on=tested
        )
        assert found.chance == 0.75
    few = results.record(
        "LSTM", None, 0.8, stage=3, run=RUN, trained_on=tested, metric="balanced_accuracy",
        labels=[0, 1, 2, 2, 2], train_clips=7,
    )  # fmt: skip
    assert (few.chance, few.classes, few.test_clips, few.train_clips) == (1 / 3, 3, 5, 7)
    cer = results.record("CTC", None, 1.2, stage=4, run=RUN, trained_on=tested, metric="cer")
    assert cer.chance is None and cer.test_clips == 4


def test_one_test_set_has_one_chance_level_in_every_measurement(monkeypatch):
    monkeypatch.undo()
    chances = {}
    for result, _ in results.references():
        if result.metric == "accuracy":
            key = (result.tested_on, result.split, result.classes, result.test_clips)
            chances.setdefault(key, set()).add(round(result.chance, 6))
    assert len(chances) > 5
    assert all(len(found) == 1 for found in chances.values()), chances


def test_a_field_becomes_columns():
    for noise, value in (("", 0.9), ("met", 0.7)):
        for seed in (0, 1):
            results.keep(**GOOD | {"noise": noise, "seed": seed, "value": value + seed / 50})
    results.keep(**GOOD | {"model": "CNN", "headline": False})
    table = results.table(by="noise", model=lambda name: name in ("MLP", "CNN"))
    assert [(r["Model"], r["quiet (%)"], r["met (%)"], r["Seeds"]) for r in table.rows] == [
        ("MLP", "91.0 ± 1.0", "71.0 ± 1.0", "2"),
        ("CNN", "87.3", "–", "1"),
    ]
    assert "accuracy" in table.caption and "Metric" not in table.rows[0]
    assert len(results.table(by="noise", model="CNN").rows) == 1


def test_a_table_by_corpus_holds_the_numbers_of_each_seed_for_a_plot():
    for corpus, seed, value in (("toy", 0, 0.5), ("toy", 1, 0.7), ("real", 0, 0.9)):
        about = {"trained_on": corpus, "seed": seed, "value": value, "task": "digits"}
        results.keep(**GOOD | {"tested_on": "real", "chance": 0.25} | about)
    results.keep(**GOOD | {"trained_on": "toy", "tested_on": "toy", "task": "digits"})
    table = results.table(by="trained_on")
    assert table.values == {
        "MLP, on real\n10 classes": {"toy": [0.5, 0.7], "real": [0.9]},
        "MLP, on toy\n10 classes": {"toy": [0.873]},
    }
    assert table.chances == {"MLP, on real\n10 classes": 0.25, "MLP, on toy\n10 classes": 0.1}
    results.keep(**GOOD | {"trained_on": "toy", "tested_on": "toy", "task": "commands"})
    assert [row.partition(",")[0] for row in results.table(by="trained_on").values] == [
        "commands", "digits", "digits",
    ]  # fmt: skip


def test_an_older_file_of_results_is_read(path):
    old = {key: value for key, value in GOOD.items() if key not in OPTIONAL}
    path.parent.mkdir()
    path.write_text(json.dumps([old]), encoding="utf-8")
    assert stored() == [GOOD]


def test_what_a_corpus_cannot_promise_stands_in_the_note():
    results.keep(**{**GOOD, "caveats": ["splits not by speaker"]})
    [row] = results.table().rows
    assert row["Note"].endswith("; splits not by speaker")


@pytest.mark.parametrize(
    "wrong", [{"stage": 9}, {"stage": "1"}, {"split": "tests"}, {"by": "nose"}, {"nose": "x"}]
)
def test_a_table_of_what_does_not_exist_is_refused(wrong):
    results.keep(**GOOD)
    with pytest.raises(ValueError, match=r"must be|has no nose; it has stage, model"):
        results.table(**wrong)


def test_a_value_of_another_type_matches_nothing():
    results.keep(**GOOD)
    assert len(results.table(seed=0).rows) == 1
    assert not results.table(seed="0").rows and not results.table(task=["x"]).rows


def test_a_file_with_a_byte_order_mark_is_read(path):
    results.keep(**GOOD)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    results.keep(**GOOD | {"seed": 1})
    assert [result.seed for result in results.load()] == [0, 1]


def test_a_folder_in_place_of_the_file_is_named(path, capsys):
    path.mkdir(parents=True)
    assert results.load() == []
    assert f"{path} is not a file of results and is ignored" in capsys.readouterr().out
    with pytest.raises(OSError, match="Set COURSE_RESULTS"):
        results.keep(**GOOD)


def test_what_a_record_lacks_is_named():
    run = {"seconds": 1.0, "seed": 0, "device": torch.device("cpu")}
    given = {"stage": 1, "trained_on": corpus("words")}
    assert results.record("MLP", None, 0.5, run=run, **given).device == "cpu"
    with pytest.raises(ValueError, match="run has no seed, device; give the checkpoint"):
        results.record("MLP", None, 0.5, run={"seconds": 1.0}, **given)
    with pytest.raises(ValueError, match="metric is 'acc'; it must be one of"):
        results.record("MLP", None, 0.5, run=run, metric="acc", **given)
    with pytest.raises(ValueError, match="There are no labels"):
        results.record("MLP", None, 0.5, run=run, labels=[], **given)


# --- intervals over speakers, and what others have published


def corpus_of(speakers):
    part = SimpleNamespace(speakers=np.array(speakers), labels=np.zeros(len(speakers), int))
    part.split = lambda name: part
    return SimpleNamespace(
        name="folder", words=["a", "b"], caveats=[], split=lambda name: _Sized(part, len(speakers))
    )


class _Sized:
    def __init__(self, part, length):
        self.speakers, self.labels, self.length = part.speakers, part.labels, length

    def __len__(self):
        return self.length


ONCE = {"seconds": 1.0, "seed": 0, "device": "cpu"}


def test_a_record_with_the_clips_has_an_interval_and_the_table_shows_it(path):
    corpus = corpus_of(["a"] * 4 + ["b"] * 4)
    right = [1, 1, 1, 1, 0, 0, 0, 0]
    kept = results.record("net", None, 0.5, stage=1, run=ONCE, trained_on=corpus, right=right)
    assert (kept.low, kept.high) == (0.0, 1.0)  # whole speakers are drawn
    results.record(
        "net", None, 2.5, stage=4, run=ONCE, trained_on=corpus, metric="wer",
        errors=([4, 4, 2, 0, 4, 4, 2, 0], [1] * 8),
    )
    text = repr(results.table())
    assert "0.0 to 100.0" in text and "250.0 to 250.0" in text
    assert "95 % of speakers: where the value lies if speakers are drawn again" in text
    with pytest.raises(ValueError, match=r"value is 0\.7.*make 0\.5"):
        results.record("net", None, 0.7, stage=1, run=ONCE, trained_on=corpus, right=right)


def test_an_interval_has_two_ends():
    for wrong in ({"low": 0.5}, {"low": 0.6, "high": 0.5}):
        with pytest.raises(ValueError, match="an interval has two ends"):
            results.Result(**GOOD | wrong)


def test_published_results_of_the_same_task_stand_in_a_column_with_sources(path):
    results.keep(**GOOD | {"task": "12 classes", "classes": 12})
    results.keep(**GOOD | {"task": "digits", "classes": 11})
    table = results.table(published=True)
    shown = {row["Model"]: row["Published (%)"] for row in table.rows}
    assert "96.65 DS-CNN tiny-kws [5]" in shown["MLP, 12 classes *"]
    assert "M5" not in shown["MLP, 12 classes *"] and shown["MLP, digits *"] == "–"
    assert any(line.startswith("[5] DS-CNN tiny-kws, 119,372 parameters") for line in table.legend)
    assert not any(line.startswith("[10]") for line in table.legend)
    assert "huggingface.co priyadeepjaiswal9c/tiny-kws" in table._repr_html_()
