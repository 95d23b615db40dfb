"""The benchmark: ratios with their spread, a table and a figure from one file."""

import json

import pytest

from course_utils.instructor import benchmark
from course_utils.instructor.benchmark import Pair


@pytest.fixture
def pairs():
    return [
        Pair("features", "slow", "fast", "a clip", [(0.4, 0.1), (0.2, 0.1), (0.3, 0.1)], "2 cores"),
        Pair("corpus", "decoding", "opening", "all clips", [(3.0, 0.001), (3.0, 0.002)], "2 cores"),
    ]


def test_a_row_holds_the_middle_and_the_range_of_ratios(pairs):
    one, two = (pair.row() for pair in pairs)
    assert one == {
        "": "slow", "against": "fast", "of": "a clip", "ms": "300.0 / 100.0", "on": "2 cores",
        "ratio": "**3** (2 to 4)",
    }  # fmt: skip
    assert two["ratio"] == "**2,250** (1,500 to 3,000)"


def test_both_ways_are_tried_in_turn_and_the_first_turn_does_not_count():
    order = []
    found = benchmark.timed(lambda: order.append("a"), lambda: order.append("b"), repeats=3)
    assert order == ["a", "b"] * 4 and len(found) == 3


def test_a_file_keeps_the_topics_that_were_not_measured_again(tmp_path, pairs):
    path = tmp_path / "measured.json"
    benchmark.write(path, pairs)
    again = [Pair("features", "slow", "fast", "a clip", [(1.0, 0.5)])]
    assert "core" in again[0].where
    benchmark.write(path, again)
    assert [(pair.topic, pair.ratios) for pair in benchmark.load(path)] == [
        ("corpus", [3000, 1500]), ("features", [2.0])
    ]  # fmt: skip
    assert set(json.loads(path.read_text())) == {"date", "machine", "threads", "versions", "pairs"}


def test_the_table_stands_between_its_marks_and_nothing_else_changes(tmp_path, pairs, monkeypatch):
    readme = tmp_path / "README.md"
    readme.write_text("before\n{}\nold\n{}\nbehind\n".format(*benchmark.MARKS))
    monkeypatch.setattr(benchmark.settings, "CHECKOUT", tmp_path)
    benchmark.write(tmp_path / "m.json", pairs)
    benchmark.write_table(tmp_path / "m.json")
    text = readme.read_text()
    assert text.startswith("before\n" + benchmark.MARKS[0]) and text.endswith("\nbehind\n")
    assert "| slow | fast | a clip | 300.0 / 100.0 | 2 cores | **3** (2 to 4) |" in text
    assert "old" not in text


def test_the_figure_says_what_it_shows(tmp_path, pairs):
    words = benchmark.figure(pairs, tmp_path / "figure.png")
    assert words == "slow against fast: 3; decoding against opening: 2.2e+03"
    assert (tmp_path / "figure.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize("topic", benchmark.TOPICS)
def test_each_topic_runs(tmp_path, topic):
    assert benchmark.main([topic, "--repeats", "1", "--out", str(tmp_path / "m.json")]) == 0
    if (tmp_path / "m.json").exists():  # torchaudio's decoder and ONNX need not be there
        assert all(min(pair.ratios) > 0 for pair in benchmark.load(tmp_path / "m.json"))


def test_the_readme_shows_what_was_measured(tmp_path, monkeypatch):
    before = (benchmark.settings.CHECKOUT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(before, encoding="utf-8")
    monkeypatch.setattr(benchmark.settings, "CHECKOUT", tmp_path)
    benchmark.write_table(max(benchmark.FOLDER.glob("*.json")))
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == before
