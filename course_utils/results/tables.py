"""The results as a table: as HTML in a notebook, as plain text elsewhere."""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path

from course_utils import settings
from course_utils.results import literature
from course_utils.results.records import (
    METRICS,
    RESULT,
    Result,
    checked,
    exercise_number,
    identity,
    load,
    references,
)


def table(
    stage: int | None = None, split: str = "test", by: str | None = None, everywhere: bool = False,
    beside: bool = False, published: bool = False, path: str | Path | None = None,
    **only: str | Callable[[str], bool],
) -> "Table":
    """The results so far, of one stage or of all, by stage, classes and value.

    Seeds of one result share a row. A stage without a result of yours shows the course's
    measurements on the corpus in use, or else on the embedded one.

    Parameters
    ----------
    stage : int, optional
    split : str
        Sweeps are scored on ``"validation"``.
    by : str, optional
        A field whose values become columns, such as ``"noise"``, ``"trained_on"``, ``"metric"`` or
        ``"split"``. The measurements that come with the course then stand beside yours.
    everywhere : bool
        Measurements on all corpora, not on that in use alone.
    beside : bool
        Yours and the course's measurements in one table: what you have not run stands there, too.
    published : bool
        With a column of what others reached on the same task, and their sources below.
    path : path, optional
        The JSON file; by default ``settings.results_file()``.
    **only
        Fields and the value that they must have, such as ``task="ten commands"``; or a function
        that says whether a value is wanted.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        There is no such stage, split or field; the message names those that there are.
    """
    if stage is not None:
        checked("stage", stage, int)
    checked("split", split, str)
    known = [about.name for about in fields(Result)]
    if unknown := [name for name in (*only, by) if name not in (None, *known)]:
        raise ValueError(f"A result has no {', '.join(unknown)}; it has {', '.join(known)}.")

    def wanted(result: Result) -> bool:
        return (
            stage in (None, result.stage)
            and (by == "split" or split == result.split)
            and all(
                test(getattr(result, name)) if callable(test) else test == getattr(result, name)
                for name, test in only.items()
            )
        )

    own = [(result, "") for result in load(path)]
    stages = {result.stage for result, _ in own}
    known = {identity(result, RESULT) for result, _ in own}
    measured = references() if everywhere else _on_one_corpus(references())
    if by is None and not beside:
        measured = [pair for pair in measured if pair[0].stage not in stages]
    else:
        measured = [pair for pair in measured if identity(pair[0], RESULT) not in known]
    own, measured = ([pair for pair in part if wanted(pair[0])] for part in (own, measured))
    if by is not None:
        return Pivot([*measured, *own], by)
    if beside or not own or not measured:
        return Table(_rows([*own, *measured], published))
    stages = sorted({result.stage for result, _ in measured})
    named = f"stage {stages[0]}" if len(stages) == 1 else f"stages {stages[0]} to {stages[-1]}"
    more = Table(_rows(measured, published), f"Measured references of {named}")
    return Table(_rows(own, published), more=more)


def _grouped(pairs: Iterable[tuple[Result, str]], names: tuple[str, ...]) -> list[list]:
    """Results with these fields in common, and their dates."""
    groups: dict[tuple, list] = {}
    for result, date in pairs:
        groups.setdefault(identity(result, names), []).append((result, date))
    return list(groups.values())


def mean_and_spread(values: Iterable[float]) -> str:
    """The mean in percent, and half of the range where there are several."""
    values = list(values)
    text = f"{100 * sum(values) / len(values):.1f}"
    return text + (f" ± {50 * (max(values) - min(values)):.1f}" if len(values) > 1 else "")


def _corpus(result: Result) -> str:
    if result.trained_on == result.tested_on:
        return result.tested_on
    return f"{result.tested_on}, trained on {result.trained_on}"


def _all_but(by: str) -> tuple[str, ...]:
    return tuple(name for name in RESULT if name != by)


def _interval(same: list[tuple[Result, str]]) -> str:
    """The interval over speakers, in per cent: the mean of those of the seeds."""
    ends = [(result.low, result.high) for result, _ in same if result.low is not None]
    if not ends:
        return "–"
    low, high = (100 * sum(side) / len(ends) for side in zip(*ends, strict=True))
    return f"{low:.1f} to {high:.1f}"


def _rows(pairs: list[tuple[Result, str]], published: bool = False) -> list[dict[str, str]]:
    """The rows of the table: one for the seeds of a result."""
    intervals = any(result.low is not None for result, _ in pairs)

    def order(same: list) -> tuple:
        mean = sum(result.value for result, _ in same) / len(same)
        return same[0][0].stage, same[0][0].classes, mean

    rows = []
    for same in sorted(_grouped(pairs, RESULT), key=order):
        result, date = same[-1]
        seconds = sum(each.seconds for each, _ in same) / len(same)
        loaded = sorted({name for each, _ in same for name in each.references}, key=exercise_number)
        note = f"reference, {date}" if date else "your run"
        note += f", {len(same)} seeds" if len(same) > 1 else f", seed {result.seed}"
        note += f", with loaded references {', '.join(loaded)}" if loaded else ""
        note = "; ".join([note, *dict.fromkeys(text for each, _ in same for text in each.caveats)])
        rows.append(
            {
                "Stage": str(result.stage),
                "Model": result.name + (" *" if result.headline else ""),
                "Corpus": _corpus(result),
                "Clips": f"{result.train_clips:,} + {result.test_clips:,}",
                "Speakers": f"{result.test_speakers:,}",
                "Classes": str(result.classes),
                "Chance (%)": "–" if result.chance is None else f"{100 * result.chance:.1f}",
                "Metric": METRICS[result.metric],
                "Value (%)": mean_and_spread(each.value for each, _ in same),
                **({"95 % of speakers": _interval(same)} if intervals else {}),
                **({"Published (%)": literature.column(result.task)} if published else {}),
                "Parameters": f"{result.parameters:,}" if result.parameters else "–",
                "Training": _time(seconds) if seconds else "–",
                "Note": note,
            }
        )
    return rows


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _title(result: Result, by: str) -> str:
    names = ("model", "variant", "task", "noise")
    return ", ".join(filter(None, (getattr(result, name) for name in names if name != by)))


def _pivot(pairs: list[tuple[Result, str]], by: str) -> list[dict[str, str]]:
    """A row for the results that differ in the field `by` alone, and a column for each value."""
    columns = list(dict.fromkeys(getattr(result, by) for result, _ in pairs))
    rows = []
    for same in _grouped(pairs, _all_but(by)):
        result, title = same[0][0], _title(same[0][0], by)
        row = {"Model": title, "Tested on": result.tested_on, "Classes": str(result.classes)}
        if by != "trained_on":
            row["Trained on"] = result.trained_on
        if by != "metric":
            row["Metric"] = METRICS[result.metric]
        if by != "split":
            row["Chance (%)"] = "–" if result.chance is None else f"{100 * result.chance:.1f}"
        seeds = set()
        for column in columns:
            values = [each.value for each, _ in same if getattr(each, by) == column]
            seeds |= {each.seed for each, _ in same}
            label = METRICS.get(column, column) or "quiet"
            if by == "trained_on":
                label = f"trained on {column}"
            row[f"{label} (%)"] = mean_and_spread(values) if values else "–"
        row["Seeds"] = str(len(seeds))
        rows.append(row)
    return rows


class Table:
    """A table of results: ``rows`` is a list of dicts of text; shown as HTML or as plain text.

    A column that says the same in every row is said once, in the caption.

    Examples
    --------
    >>> Table([{"Model": "MLP *", "Metric": "accuracy", "Value (%)": "87.3"},
    ...        {"Model": "CNN", "Metric": "accuracy", "Value (%)": "99.0"}])
    Results, stage by stage (accuracy)
    Model  Value (%)
    -----  ---------
    MLP *       87.3
    CNN         99.0
    * the stage's main result
    """

    _texts = ("Model", "Corpus", "Tested on", "Trained on", "Metric", "Note", "Noise")
    _texts += ("Published (%)",)
    _said_once = ("Metric", "Corpus", "Tested on", "Trained on")
    _legend = (
        (" *", "* the stage's main result"),
        ("±", "± half of the range over the seeds, around their mean"),
        ("CER", "CER: character error rate; WER: word error rate"),
        ("embedded", "embedded: synthetic speech, made by espeak-ng, not recorded"),
    )

    def __init__(
        self, rows: list[dict[str, str]], caption: str = "Results, stage by stage",
        more: "Table | None" = None,
    ):
        cells = " ".join(f"{cell} " for row in rows for cell in row.values())
        self.legend = [text for sign, text in self._legend if sign in cells]
        if any("Clips" in row for row in rows):
            self.legend.append("Clips: of training + of the test; Speakers: of the test")
        if any(row.get("95 % of speakers", "–") != "–" for row in rows):
            self.legend.append("95 % of speakers: where the value lies if speakers are drawn again")
        if any("Published (%)" in row for row in rows):
            self.legend += literature.sources(cells)
        once = []
        for name in self._said_once if len(rows) > 1 else ():
            values = {row.get(name) for row in rows}
            if len(values) == 1 and None not in values:
                value = values.pop()
                once.append(value if name == "Metric" else f"{name.lower()}: {value}")
                rows = [{key: cell for key, cell in row.items() if key != name} for row in rows]
        self.rows, self.more = rows, more
        self.caption = (caption or "Measured") + (f" ({'; '.join(once)})" if once else "")

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.caption}: none yet."
        lines = [list(self.rows[0]), *(list(row.values()) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        signs = ["<" if name in self._texts else ">" for name in self.rows[0]]
        texts = [
            "  ".join(
                f"{cell:{sign}{width}}"
                for cell, sign, width in zip(line, signs, widths, strict=True)
            ).rstrip()
            for line in lines
        ]
        text = "\n".join([self.caption, *texts, *self.legend])
        return text if self.more is None else f"{text}\n\n{self.more!r}"

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{html.escape(self.caption)}: none yet.</p>"
        head = "".join(self._cell("th", ' scope="col"', name, name) for name in self.rows[0])
        body = "".join(
            "<tr>"
            + "".join(
                self._cell("th", ' scope="row"', name, text)
                if name == "Model"
                else self._cell("td", "", name, text)
                for name, text in row.items()
            )
            + "</tr>\n"
            for row in self.rows
        )
        # A bar of its own: a wide table in a narrow window is moved, not squeezed.
        page = (
            '<div style="overflow-x:auto" tabindex="0" role="region" '
            f'aria-label="{html.escape(self.caption)}">\n'
            '<table style="table-layout:auto">\n<caption style="text-align:left">'
            f"{html.escape(self.caption)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
            f"<p><small>{'<br>'.join(map(html.escape, self.legend))}</small></p>"
        )
        if self.more is None:
            return page
        title = f"{self.more.caption}: {len(self.more.rows)} rows"
        rest = self.more._repr_html_()
        return f"{page}\n<details><summary>{html.escape(title)}</summary>\n{rest}\n</details>"

    def _cell(self, tag: str, scope: str, name: str, text: str) -> str:
        style = "text-align:right;white-space:nowrap"
        if name in self._texts:
            width = 12 if name == "Model" else 8
            style = f"text-align:left;overflow-wrap:break-word;min-width:{width}em"
        text = html.escape(text).replace(" *", "&nbsp;*")  # they stay together
        return f'<{tag}{scope} style="{style}">{text}</{tag}>'


class Pivot(Table):
    """A table of results with a column for each value of a field; also in numbers, for a plot.

    Attributes
    ----------
    values : dict of str to dict of str to list of float
        Of each row, by column, the values of all seeds, fractions.
    chances : dict of str to float or None
        Of each row.
    """

    def __init__(self, pairs: list[tuple[Result, str]], by: str):
        super().__init__(_pivot(pairs, by), "")
        self.values: dict[str, dict[str, list[float]]] = {}
        self.chances: dict[str, float | None] = {}
        groups = _grouped(pairs, _all_but(by))
        names = [name for name in ("model", "variant", "task", "noise") if name != by]
        # What all rows have in common is not said in each.
        telling = [name for name in names if len({getattr(g[0][0], name) for g in groups}) > 1]
        groups = sorted(groups, key=lambda g: (_title(g[0][0], by), g[0][0].tested_on))
        for same in groups:
            first = same[0][0]
            about = [getattr(first, name) for name in telling or names[:1]]
            row = f"{', '.join(filter(None, about))}, on {first.tested_on}\n{first.classes} classes"
            self.chances[row] = first.chance
            columns = self.values.setdefault(row, {})
            for result, _ in same:
                columns.setdefault(getattr(result, by), []).append(result.value)


def comparison(scores: Mapping[str, Mapping[str, float]], caption: str) -> Table:
    """Fractions as a table in per cent: a column for each name, a row for each version of clips.

    Parameters
    ----------
    scores : dict of str to dict of str to float
        Of each network, by what was mixed into the clips; "" is quiet.
    caption : str

    Examples
    --------
    >>> comparison({"LSTM": {"": 0.99, "rain": 0.5}}, "Test speakers")
    Test speakers
    Noise  LSTM (%)
    -----  --------
    quiet      99.0
    rain       50.0
    """
    versions = dict.fromkeys(version for each in scores.values() for version in each)
    rows = [
        {"Noise": version or "quiet"}
        | {f"{name} (%)": f"{100 * each[version]:.1f}" for name, each in scores.items()}
        for version in versions
    ]
    return Table(rows, caption)


def _on_one_corpus(pairs: list[tuple[Result, str]]) -> list[tuple[Result, str]]:
    """Of each stage's references those on the corpus in use, else on the embedded one, else all."""
    shown = []
    for stage in sorted({result.stage for result, _ in pairs}):
        rows = [pair for pair in pairs if pair[0].stage == stage]
        for corpus in (_in_use(stage), "embedded"):
            fitting = [pair for pair in rows if re.split("[ /]", pair[0].tested_on)[0] == corpus]
            # Common Voice's names end in a language: "embedded fr", "cv-corpus/fr".
            if fitting:
                rows = fitting
                break
        shown += rows
    return shown


def _in_use(stage: int) -> str:
    """The name of the corpus that a stage uses, without a language."""
    if stage < 4:
        return Path(settings.speech_commands_source()).name
    folder = Path(settings.common_voice_source())
    # A release's folder, or that of one of its languages, which is named like "fr" or "zh-CN".
    is_language = re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})?", folder.name)
    return folder.parent.name if is_language else folder.name
