"""What data are worth: which trainings there are, and what is kept of them."""

import json

import pytest

from course_utils import results
from course_utils.instructor import worth
from course_utils.results import studies


def test_a_study_keeps_the_latest_of_equal_runs(tmp_path):
    assert results.study("data", tmp_path) == []
    for cer in (0.5, 0.4):
        studies.add("data", {"run": {"seed": 0}, "cer": cer}, {"torch": "2"}, tmp_path)
    studies.add("data", {"run": {"seed": 1}, "cer": 0.3}, {"torch": "2"}, tmp_path)
    assert results.study("data", tmp_path) == [
        {"run": {"seed": 0}, "cer": 0.4}, {"run": {"seed": 1}, "cer": 0.3},
    ]  # fmt: skip
    [path] = (tmp_path / "data").glob("*.json")
    later = json.loads(path.read_text()) | {"runs": [{"run": {"seed": 1}, "cer": 0.2}]}
    (path.parent / "9999-01-01.json").write_text(json.dumps(later))
    assert [run["cer"] for run in results.study("data", tmp_path)] == [0.4, 0.2]
    assert [run["cer"] for run in results.study("data", tmp_path, seed=1)] == [0.2]


def test_what_is_trained(tmp_path):
    found = worth.wanted(["minutes", "real"], None, None, [0])
    assert {run["study"] for run in found} == {"minutes"}  # there is no real speech
    assert [run["minutes"] for run in found if run["language"] == "fr"] == [
        "all", 5, 10, 20, "more",
    ]  # fmt: skip
    assert [run["minutes"] for run in found if run["language"] == "en"] == ["all", 5, 10, 20]
    czech = worth.wanted(["real"], ["cs"], tmp_path, [0, 1])
    assert {(run["language"], run["trained_on"]) for run in czech} == {("cs", "real")}
    every = worth.wanted(worth.STUDIES, None, tmp_path, [0, 1, 2])
    assert len({json.dumps(run) for run in every}) == len(every)
    first = [run for run in every if run["study"] == "real" and "minutes" not in run]
    assert [run["seed"] for run in first] == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize(
    "run, expected",
    [
        ({"study": "real", "trained_on": "real"}, ["real"]),
        ({"study": "real", "trained_on": "embedded"}, ["embedded", "real"]),
        ({"study": "minutes", "minutes": 5}, ["embedded", "embedded:new_words"]),
        ({"study": "minutes", "minutes": "more"},
         ["embedded:more", "embedded", "embedded:new_words"]),
        ({"study": "marks", "marks": True}, ["embedded"]),
    ],
)  # fmt: skip
def test_what_a_training_needs(run, expected):
    assert worth.sources(run) == expected


def test_a_study_that_does_not_exist(capsys):
    with pytest.raises(SystemExit):
        worth.main(["minuets"])
    assert "minuets: a study is one of real, minutes, marks, pieces" in capsys.readouterr().err
