"""What others have published on the tasks of the course, with sources: goals, and no results."""

from dataclasses import dataclass

from course_utils.corpora.official import TASKS


@dataclass(frozen=True)
class Published:
    """One published score, on recorded speech."""

    task: str  # a value of `official.TASKS`
    system: str
    accuracy: float  # per cent
    source: str
    parameters: int | None = None
    operations: int | None = None  # multiply-accumulates a clip
    about: str = ""


_12, _35 = TASKS["12"], TASKS["35"]
PUBLISHED = (
    Published(_12, "BC-ResNet-8", 98.7, "arXiv:2106.04140, v0.02", 320_000),
    Published(_12, "KWT-1", 97.7, "ARM-software/keyword-transformer, v0.02", 607_000),
    Published(_12, "SparkNet, C=32", 97.0, "jsvir/sparknet, v0.02", 11_500),
    Published(_12, "BC-ResNet-1", 96.9, "arXiv:2106.04140 and jsvir/sparknet, v0.02",
              9_232, 3_600_000),
    Published(_12, "DS-CNN tiny-kws", 96.65, "huggingface.co priyadeepjaiswal9c/tiny-kws, v0.02",
              119_372, about="30 epochs on a free GPU"),
    Published(_12, "MatchboxNet-3x2x64", 97.48, "arXiv:2004.08531, v0.01"),
    Published(_35, "AST", 98.1, "YuanGongND/ast, v0.02", 87_000_000, about="pre-trained on images"),
    Published(_35, "KWT", 97.7, "arXiv:2104.00769, v0.02", 5_500_000),
    Published(_35, "S5, raw samples", 96.5, "arXiv:2208.04933, v0.02", 280_000),
    Published(_35, "M5, raw samples at 8 kHz", 85.0, "pytorch/tutorials, v0.02", 26_915,
              about="21 epochs; the test is looked at in every epoch"),
)


def column(task: str) -> str:
    """The published scores of a task for one cell of a table: score, system, number of source."""
    found = [(number, each) for number, each in enumerate(PUBLISHED, 1) if each.task == task]
    return "; ".join(f"{each.accuracy:g} {each.system} [{number}]" for number, each in found) or "–"


def sources(cells: str) -> list[str]:
    """A line for each source that the cells of a table point at."""
    lines = []
    for number, each in enumerate(PUBLISHED, 1):
        if f"[{number}]" in cells:
            size = f", {each.parameters:,} parameters" if each.parameters else ""
            about = f" ({each.about})" if each.about else ""
            lines.append(f"[{number}] {each.system}{size}{about}: {each.source}")
    if lines:
        lines.append("Published scores are on recorded speech: compare them with rows on v0.02")
    return lines
