"""The one results table, which grows from stage to stage.

A record says which model, trained on what, reached which value where. :func:`record` keeps it
in a JSON file (``settings.results_file()``), :func:`table` shows all of them. Where a stage has
not been run, the table shows the measurements that come with the course instead, marked so.

Notebook: 01_speech_commands_mlp.ipynb
"""

import html
import json
import math
import os
import re
from datetime import datetime
from numbers import Integral, Real
from pathlib import Path

from course_utils import settings

# key -> type; a record holds all of them, and may hold "references"
_FIELDS = {
    "stage": int,
    "model": str,
    "headline": bool,  # the stage's main result
    "trained_on": str,
    "tested_on": str,
    "split": str,
    "train_clips": int,
    "test_clips": int,
    "test_speakers": int,
    "classes": int,
    "chance": float,  # a fraction; None where guessing means nothing (cer, wer)
    "parameters": int,
    "metric": str,
    "value": float,  # a fraction
    "seconds": float,  # of training
    "seed": int,
    "device": str,
}
_METRICS = {"accuracy": "accuracy", "cer": "CER", "wer": "WER"}
_CHOICES = {
    "stage": (1, 2, 3, 4),
    "split": ("train", "validation", "test"),
    "metric": tuple(_METRICS),
}
#: The keys that tell one result from another; several seeds of it are one row of the table.
_RESULT = ("stage", "model", "trained_on", "tested_on", "split", "metric", "classes")
#: ... and one run from another: a record replaces one that has all of these in common.
IDENTITY = (*_RESULT, "seed")


def _number(key: str, value, kind: type):
    """A plain int or float, also from NumPy's scalars, or a ValueError that names the key."""
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        raise ValueError(f"{key} is {value!r}; it must be {'an int' if kind is int else 'a float'}")
    value = kind(value)
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{key} is {value!r}; it must be finite and not negative")
    return value


def _check(fields: dict) -> dict:
    """The record in plain types and the usual order, or a ValueError that names the key."""
    if missing := [key for key in _FIELDS if key not in fields]:
        raise ValueError(f"the record lacks {', '.join(missing)}")
    if unknown := [key for key in fields if key not in _FIELDS and key != "references"]:
        raise ValueError(f"a record has no {', '.join(unknown)}; its keys are {', '.join(_FIELDS)}")
    checked = {}
    for key, kind in _FIELDS.items():
        value = fields[key]
        if key == "chance" and value is None and fields["metric"] in ("cer", "wer"):
            pass
        elif kind in (int, float):
            value = _number(key, value, kind)
        elif not isinstance(value, kind) or value == "":
            raise ValueError(f"{key} is {value!r}; it must be a {kind.__name__}, not empty")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise ValueError(f"{key} is {value!r}; it must be one of {_CHOICES[key]}")
        checked[key] = value
    for key in ("value", "chance"):
        if checked["metric"] == "accuracy" and checked[key] > 1:
            raise ValueError(f"{key} is {checked[key]!r}; an accuracy is a fraction, 0 to 1")
    if "references" in fields:
        names = fields["references"]
        if not isinstance(names, list | tuple) or not all(isinstance(n, str) for n in names):
            raise ValueError(f"references is {names!r}; it must be a list of exercise ids")
        checked["references"] = list(names)
    return checked


def _parse(text: str) -> list[dict]:
    records = json.loads(text)
    if not isinstance(records, list) or not all(isinstance(one, dict) for one in records):
        raise ValueError("it is not a list of records")
    return [_check(one) for one in records]


def load(path=None) -> list[dict]:
    """Every record of the file; a file that cannot be read is left alone, and named.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    path = Path(path or settings.results_file())
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except ValueError as error:  # also JSONDecodeError and UnicodeDecodeError
        print(f"{path} is not a file of results and is ignored: {error}")
        return []


def record(*, path=None, **fields) -> dict:
    """Check one result and keep it in the file of results.

    It replaces an earlier one of the same stage, model, trained_on, tested_on, split, metric,
    classes and seed. Two notebooks may record at once. A corrupt file is set aside under
    another name. With ``COURSE_QUICK=1`` nothing is written.

    Parameters
    ----------
    path : path, optional
        The JSON file; by default ``settings.results_file()``.
    **fields
        ``stage`` 1 to 4, ``model``, ``headline`` (True for the stage's main result),
        ``trained_on`` and ``tested_on`` (sources), ``split``, ``train_clips``, ``test_clips``,
        ``test_speakers``, ``classes``, ``chance`` (a fraction), ``parameters``, ``metric``
        (``accuracy``, ``cer`` or ``wer``), ``value`` (a fraction), ``seconds`` of training,
        ``seed``, ``device``; ``references``, if any: the exercises whose reference was loaded.

    Raises
    ------
    ValueError
        If a key is missing, unknown or holds a wrong value; the message names it.
    OSError
        If the file cannot be written.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    new = _check(fields)
    if settings.quick():
        print("Quick mode (COURSE_QUICK=1): the result is not recorded.")
        return new
    from filelock import FileLock

    path = Path(path or settings.results_file())
    scratch = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=60):
            try:
                records = _parse(path.read_text(encoding="utf-8"))
            except FileNotFoundError:
                records = []
            except ValueError as error:
                stamp = datetime.now().strftime("%Y%m%d-%H%M%S-%f")
                aside = path.replace(path.with_name(f"{path.name}.corrupt-{stamp}"))
                print(f"{path} is not a file of results ({error}); it is now {aside.name}.")
                records = []
            same = [all(one[key] == new[key] for key in IDENTITY) for one in records]
            records = [one for one, replaced in zip(records, same, strict=True) if not replaced]
            text = json.dumps([*records, new], indent=1, ensure_ascii=False, allow_nan=False)
            try:
                scratch.write_text(text + "\n", encoding="utf-8")
                scratch.replace(path)
            finally:
                scratch.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f"The results cannot be written to {path} ({error}). Set COURSE_RESULTS to a file "
            "in a folder that you may write to."
        ) from error
    return new


def reference_records() -> list[dict]:
    """The measurements that come with the course, each with the date as ``measured_on``.

    Of several files in ``labsolutions/measurements``, the newest that holds a result wins.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    found: dict[tuple, list[dict]] = {}
    files = []
    for path in sorted((settings.CHECKOUT / "labsolutions" / "measurements").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            date = datetime.strptime(content["date"], "%Y-%m-%d").strftime("%Y-%m-%d")
            files.append((date, [_check(one) for one in content["records"]]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path.name} is not a file of measurements: {error!r}") from error
    for date, records in sorted(files, key=lambda file: file[0]):
        newest: dict[tuple, list[dict]] = {}
        for one in records:
            result = tuple(one[key] for key in _RESULT)
            newest.setdefault(result, []).append({**one, "measured_on": date})
        found.update(newest)
    return [one for same in found.values() for one in same]


def _row(same: list[dict]) -> dict[str, str]:
    """One row of the table: the seeds of one result."""
    one = same[-1]
    values = [each["value"] for each in same]
    text = f"{100 * sum(values) / len(values):.1f}"
    if len(values) > 1:
        text += f" ± {50 * (max(values) - min(values)):.1f}"
    seconds = sum(each["seconds"] for each in same) / len(same)
    note = f"reference, measured on {one['measured_on']}" if "measured_on" in one else "your run"
    note += f", n = {len(same)} seeds" if len(same) > 1 else f", seed {one['seed']}"
    loaded = sorted({name for each in same for name in each.get("references", ())})
    return {
        "Stage": str(one["stage"]),
        "Model": one["model"] + (" *" if one["headline"] else ""),
        "Trained on": f"{one['trained_on']}, {one['train_clips']:,} clips",
        "Tested on": f"{one['tested_on']} {one['split']}, {one['test_clips']:,} clips, "
        f"{one['test_speakers']:,} speakers",
        "Classes": str(one["classes"]),
        "Chance (%)": "–" if one["chance"] is None else f"{100 * one['chance']:.1f}",
        "Metric": _METRICS[one["metric"]],
        "Value (%)": text,
        "Parameters": f"{one['parameters']:,}",
        "Training": f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min",
        "Note": note + (f", with loaded references {', '.join(loaded)}" if loaded else ""),
    }


class Table:
    """The results table: ``rows`` is a list of dicts of text; shown as HTML or as plain text.

    >>> Table([{"Model": "MLP *", "Value (%)": "87.3"}])
    Results, stage by stage
    Model  Value (%)
    -----  ---------
    MLP *       87.3
    * the stage's main result

    Notebook: 01_speech_commands_mlp.ipynb
    """

    caption = "Results, stage by stage"
    _numbers = ("Classes", "Chance (%)", "Value (%)", "Parameters", "Training")
    _legend = (
        (" *", "* the stage's main result"),
        ("±", "± half of the range over the seeds, around their mean"),
        ("CER", "CER: character error rate; WER: word error rate"),
        ("embedded", "embedded: synthetic speech, made by espeak-ng, not recorded"),
    )

    def __init__(self, rows: list[dict[str, str]]):
        self.rows = rows
        cells = " ".join(f"{cell} " for row in rows for cell in row.values())
        self.legend = [text for sign, text in self._legend if sign in cells]

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.caption}: none yet."
        lines = [list(self.rows[0]), *(list(row.values()) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        formats = [
            f"{{:{'>' if name in self._numbers else '<'}{width}}}"
            for name, width in zip(self.rows[0], widths, strict=True)
        ]
        texts = ["  ".join(formats).format(*line).rstrip() for line in lines]
        return "\n".join([self.caption, *texts, *self.legend])

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{self.caption}: none yet.</p>"

        def cell(tag: str, scope: str, name: str, text: str) -> str:
            # A long name of a corpus may break anywhere: the table is to fit a page.
            long = name in ("Model", "Trained on", "Tested on", "Note")
            style = "right" if name in self._numbers else "left"
            style += ";overflow-wrap:anywhere" if long else ";white-space:nowrap"
            return f'<{tag}{scope} style="text-align:{style}">{html.escape(text)}</{tag}>'

        def line(row: dict) -> str:
            cells = (
                cell("th", ' scope="row"', *item) if item[0] == "Model" else cell("td", "", *item)
                for item in row.items()
            )
            return f"<tr>{''.join(cells)}</tr>\n"

        head = "".join(cell("th", ' scope="col"', name, name) for name in self.rows[0])
        return (
            f"<table>\n<caption>{self.caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
            f"<tbody>\n{''.join(map(line, self.rows))}</tbody>\n</table>\n"
            f"<p><small>{'<br>'.join(map(html.escape, self.legend))}</small></p>"
        )


def _on_one_corpus(references: list[dict]) -> list[dict]:
    """Of each stage's references those on the corpus in use, else on the embedded one, else all."""
    shown = []
    for stage in sorted({one["stage"] for one in references}):
        rows = [one for one in references if one["stage"] == stage]
        for corpus in (_in_use(stage), "embedded"):
            # Common Voice's names end in a language: "embedded fr", "cv-corpus/fr".
            fitting = [one for one in rows if re.split("[ /]", one["tested_on"])[0] == corpus]
            if fitting:
                rows = fitting
                break
        shown += rows
    return shown


def _in_use(stage: int) -> str:
    """The first word of the name of the corpus that a stage uses."""
    if stage < 4:
        return Path(settings.speech_commands_source()).name
    folder = Path(settings.common_voice_source())
    # A release's folder, or that of one of its languages, which is named like "fr" or "zh-CN".
    return (
        folder.parent.name
        if re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})?", folder.name)
        else folder.name
    )


def table(stage: int | None = None, path=None, split: str = "test") -> Table:
    """The results so far, of one stage or of all, by stage, classes and value.

    Sweeps are scored on validation, and stand in a table of their own: ``split="validation"``.
    Seeds of one result share a row. A stage without a record shows the course's measurements on
    the same corpus, or else on the embedded one.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    own = load(path)
    run = {one["stage"] for one in own}
    references = [one for one in reference_records() if one["stage"] not in run]
    groups: dict[tuple, list[dict]] = {}
    for one in own + _on_one_corpus(references):
        if stage in (None, one["stage"]) and one["split"] == split:
            groups.setdefault(tuple(one[key] for key in _RESULT), []).append(one)

    def order(same: list[dict]) -> tuple:
        value = sum(one["value"] for one in same) / len(same)
        return same[0]["stage"], same[0]["classes"], value

    return Table([_row(same) for same in sorted(groups.values(), key=order)])
