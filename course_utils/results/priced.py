"""Measured costs of the course's models, beside what they reach on recorded speech."""

import json
from dataclasses import dataclass

from course_utils.results.records import measurements, references

#: The task on which all stages up to 3 meet.
TASK = "ten commands"


@dataclass(frozen=True)
class Priced:
    """A model: what it costs, and the best that it reaches on recorded speech."""

    stage: int
    system: str
    parameters: int
    operations: int  # multiply-accumulates a clip
    milliseconds: float  # of one clip, the median
    slow: float  # ms: 95 % of the clips are as quick as that
    accuracy: float | None  # per cent; None where it is not scored on words


def costs() -> list[Priced]:
    """The costs that come with the course: of several measurements of a model the newest.

    Written by ``python -m course_utils.instructor.prices``.
    """
    found: dict[tuple[int, str], dict] = {}
    for path in measurements():
        content = json.loads(path.read_text(encoding="utf-8"))
        found |= {(each["stage"], each["model"]): each for each in content.get("costs", [])}
    scores: dict[tuple[int, str], list[float]] = {}
    means: dict[tuple, list[float]] = {}
    for result, _ in references():
        if (result.task, result.noise, result.split) == (TASK, "", "test") and (
            "embedded" not in result.trained_on + result.tested_on
        ):
            key = (result.stage, result.model, result.variant)
            means.setdefault(key, []).append(100 * result.value)
    for (stage, model, _), values in means.items():
        scores.setdefault((stage, model), []).append(sum(values) / len(values))
    names = ("parameters", "operations", "milliseconds", "slow")
    return [
        Priced(*key, *(each[name] for name in names), max(scores.get(key, ()), default=None))
        for key, each in sorted(found.items())
    ]
