"""Hours of sound, counted: against scenes whose events are known."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from course_utils import exercises, results, settings
from course_utils.corpora.scenes import Row
from course_utils.instructor.alarms import COMMANDS, Heard, mixed, rearmed, said

WORDS = ["yes", "no"]


def a_scene(rows, seconds):
    rows = [Row(*row) for row in rows]
    return SimpleNamespace(
        rows=rows, seconds=seconds, of_kind=lambda kind: [row for row in rows if row.kind == kind]
    )


def posteriors(frames, **peaks):
    """Zeros but for a value of a word at a frame, such as ``yes_30=0.9``."""
    found = np.zeros((frames, 2), np.float16)
    for name, value in peaks.items():
        word, frame = name.split("_")
        found[int(frame), WORDS.index(word)] = value
    return found


@pytest.fixture(scope="module")
def heard():
    """Three commands of two speakers, at a tenth of a second a frame; half an hour of others."""
    [path] = (settings.CHECKOUT / "labsolutions").glob("03_*.ipynb")
    code = exercises.definitions(path)
    if "find_events" not in code:
        pytest.skip("the notebook has no exercise 3.14")
    commands = [
        (1, 1.5, "command", "yes", "a"), (5, 5.5, "command", "no", "a"),
        (9, 9.5, "command", "yes", "b"), (12, 13, "word", "four", "b"),
    ]  # fmt: skip
    return Heard(
        {
            COMMANDS: a_scene(commands, 20),
            "word": a_scene([(0, 1, "word", "snow", "a"), (10, 11, "word", "yet", "a")], 1800),
            "noise": a_scene([(0, 1800, "noise", "rain")], 1800),
        },
        {
            COMMANDS: posteriors(200, yes_15=0.95, no_54=0.7, no_94=0.5, yes_130=0.9),
            "word": posteriors(18_000, no_5=0.9, yes_105=0.9, yes_120=0.6, no_12000=0.3),
            "noise": posteriors(18_000),
        },
        WORDS, code["find_events"], code["count_events"], hop=0.1, first=0.1, smooth=1,
    )  # fmt: skip


def test_one_threshold(heard):
    score = heard.score(0.6)
    assert (score["commands"], score["missed"], score["confusions"]) == (3, 1, 0)
    assert score["alarms_beside_commands"] == 1
    assert score["kinds"]["word"]["events"] == 3 and score["kinds"]["word"]["rate"] == 6
    assert score["kinds"]["noise"]["events"] == 0
    assert score["kinds"]["noise"]["interval"][1] == pytest.approx(-np.log(0.05) / 0.5)
    assert score["worst_speakers"] == [1, 0]
    assert score["latency"][0] == pytest.approx((0.1 + 0.0) / 2)
    assert sorted(score["mistaken"]) == [["word", "snow", "no", 1], ["word", "yet", "yes", 2]]
    assert heard.score(0.5)["confusions"] == 1


def test_the_threshold_is_the_highest_that_misses_no_more(heard):
    assert heard.operating_point(0.34) == (0.7, True)
    assert heard.operating_point(0.67) == (0.95, True)
    assert heard.operating_point(0.1)[1] is False  # the third is never heard


def test_a_mix_weighs_the_rates_by_its_shares():
    found = mixed({"open": {"events": 7, "hours": 1}, "noise": {"events": 0, "hours": 1}})
    assert found["mix"] == pytest.approx(7 * 0.35 / 0.46)
    low, high = found["mix_interval"]
    assert low < found["mix"] < high


def test_what_was_said_is_the_last_row_that_began():
    scene = a_scene([(0, 1, "word", "one"), (2, 3, "word", "two")], 5)
    assert said(scene, [(1.9, "no"), (2.0, "yes")]) == [("one", "no"), ("two", "yes")]


def test_a_second_event_needs_a_fall(heard):
    find = rearmed(heard.find_events, low=0.3)
    rows = torch.tensor([[0.9], [0.5], [0.9], [0.1], [0.9]])
    assert find(rows, 0.8, 1, 1) == [(0, 0), (4, 0)]
    assert find(rows, 0.8, 1, 5) == [(0, 0)]
    assert heard.find_events(rows, 0.8, 1, 1) == [(0, 0), (2, 0), (4, 0)]


def test_the_tables_are_made_of_the_newest_file(tmp_path, monkeypatch, heard):
    folder = tmp_path / "labsolutions" / "measurements"
    folder.mkdir(parents=True)
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    assert results.alarms().rows == []
    score = heard.score(0.6)
    for day, name in (("2026-01-01", "old"), ("2026-01-02", "causal CNN")):
        items = [{"name": name, "ways": {"": {"test": score}}}] * 2
        items.append({"name": "without sentences", "ways": {"": {"test": None}}})
        once = {"name": name, "chosen_before": heard.score(0.8), "least_missed": score}
        content = {"date": day, "detectors": items, "recordings": {"detectors": [once]}}
        (folder / f"{day}-detectors.json").write_text(json.dumps(content), encoding="utf-8")
    [row] = results.alarms(ways={"": ", mean of 5"}).rows
    assert row["Model"] == "causal CNN, mean of 5"
    assert (row["Missed (%)"], row["word"], row["Seeds"]) == ("33.3 ± 0.0", "6.0 (6)", "2")
    assert results.mistaken("causal CNN", 1).rows == [
        {"Said": "yet", "Heard": "yes", "Times": "4", "Kind": "word"}
    ]
    assert results.ablations() == ["without sentences"]
    [row] = results.alarms_recorded().rows
    assert (row["Missed (%)"], row["at best: Missed (%)"]) == ("66.7", "33.3")
    assert (row["word"], row["at best: word"], row["Seeds"]) == ("4.0 (2)", "6.0 (3)", "1")
