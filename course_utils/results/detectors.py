"""What the measured detectors of stage 3 do in hours of sound, as tables."""

import json
from collections import Counter
from typing import Any

import numpy as np

from course_utils import settings
from course_utils.results.tables import Table, mean_and_spread

#: The treatments of every network, by their name in the file; "" is the usual one.
USUAL = ""
#: The networks that are compared; all others are the causal CNN, trained in another way.
CHIEF = ("clip LSTM in windows", "LSTM", "causal CNN")


def measured() -> dict[str, Any]:
    """The newest file of measurements that has detectors; ``{"detectors": []}`` where none has."""
    folder = settings.CHECKOUT / "labsolutions" / "measurements"
    contents = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    found = [content for content in contents if content.get("detectors")]
    return max(found, key=lambda content: content["date"], default={"detectors": []})


def alarms(
    which: str = "test", ways: dict[str, str] | None = None, names: list[str] | None = None
) -> Table:
    """False alarms an hour of each detector, kind by kind, and what it missed.

    Parameters
    ----------
    which : str
        ``"test"``: with the threshold that was chosen on validation; ``"validation"``;
        ``"test_curve_at_10"``: at 10 % misses, read off the test scenes themselves.
    ways : dict of str to str, optional
        What stands behind the name, by the treatment; default the usual one alone.
    names : list of str, optional
        These detectors, in this order; default all.
    """
    content, rows = measured(), []
    for name in names or dict.fromkeys(item["name"] for item in content["detectors"]):
        for way, told in (ways or {USUAL: ""}).items():
            items = [item for item in content["detectors"] if item["name"] == name]
            scores = [item["ways"].get(way, {}).get(which) for item in items]
            if scores := [score for score in scores if score]:
                rows.append({"Model": f"{name}{told}"} | _row(scores))
    caption = "False alarms an hour, in brackets how many were heard"
    return Table(rows, caption)


def ablations() -> list[str]:
    """The causal CNN with one thing changed in its training: the names of what was measured."""
    names = dict.fromkeys(item["name"] for item in measured()["detectors"])
    return [name for name in names if name not in CHIEF]


def _row(scores: list[dict[str, Any]]) -> dict[str, str]:
    """Means over the seeds; events of all seeds together."""
    row = {"Missed (%)": mean_and_spread(score["misses"] for score in scores)}
    for kind in scores[0]["kinds"]:
        each = [score["kinds"][kind] for score in scores]
        mean = np.mean([one["rate"] for one in each])
        row[kind] = f"{_rate(mean)} ({sum(one['events'] for one in each)})"
    low, high = np.mean([score["mix_interval"] for score in scores], axis=0)
    row["mix"] = _rate(np.mean([score["mix"] for score in scores]))
    row["95 %"] = f"{_rate(low)} to {_rate(high)}"
    row["Seeds"] = str(len(scores))
    return row


def _rate(value: float) -> str:
    return f"{value:.1f}" if value < 20 else f"{value:,.0f}"


def alarms_recorded() -> Table:
    """The same detectors on real recordings: with the threshold of before, and at its best."""
    found = measured().get("recordings", {"corpus": "", "detectors": []})
    rows = []
    for name in dict.fromkeys(item["name"] for item in found["detectors"]):
        row = {"Model": name}
        items = [item for item in found["detectors"] if item["name"] == name]
        for which, told in (("chosen_before", ""), ("least_missed", "at best: ")):
            each = _row([item[which] for item in items])
            del each["mix"], each["95 %"]
            row |= {f"{told}{column}": cell for column, cell in each.items()}
        row["Seeds"] = row.pop("at best: Seeds")
        rows.append(row)
    return Table(rows, "False alarms an hour on recordings, in brackets how many were heard")


def mistaken(name: str, count: int = 10) -> Table:
    """What a detector took for what in the test scenes, the most frequent first."""
    found: Counter[tuple[str, str, str]] = Counter()
    for item in measured()["detectors"]:
        if item["name"] == name and (score := item["ways"][USUAL]["test"]):
            for kind, said, heard, times in score["mistaken"]:
                found[kind, said, heard] += times
    rows = [
        {"Said": said, "Heard": heard, "Times": str(times), "Kind": kind}
        for (kind, said, heard), times in found.most_common(count)
    ]
    return Table(rows, f"What the {name} took for a command")
