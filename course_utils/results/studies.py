"""Studies: many trainings of the same code on other data, measured for the course."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from course_utils import files, settings


def study(name: str, folder: Path | None = None, /, **wanted: Any) -> list[dict[str, Any]]:
    """What was measured in a study, one record a run; of equal runs the latest.

    Parameters
    ----------
    name : str
        Of its folder in ``labsolutions/measurements``, with a JSON file for each day.
    folder : path, optional
        Another folder of measurements.
    **wanted
        What the runs must have in common, such as ``language="fr"``.

    Returns
    -------
    list of dict
        Each has ``run``, which tells it from the others, and whatever else the study measures.
        Empty where nothing was measured.
    """
    folder = folder or settings.CHECKOUT / "labsolutions" / "measurements"
    found = {}
    for path in sorted((folder / name).glob("*.json")):
        for record in json.loads(path.read_text(encoding="utf-8"))["runs"]:
            found[json.dumps(record["run"], sort_keys=True)] = record
    return [record for record in found.values() if wanted.items() <= record["run"].items()]


def add(name: str, record: Mapping[str, Any], about: Mapping[str, Any], folder: Path) -> None:
    """Add a record to today's file of a study; it replaces an earlier one of the same run.

    Parameters
    ----------
    name : str
        Of the study.
    record : dict
        With ``run``.
    about : dict
        What stands at the head of the file: machine, versions.
    folder : path
        Of the measurements.
    """
    path = folder / name / f"{date.today().isoformat()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(path, seconds=60):
        runs = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
        runs = [old for old in runs if old["run"] != record["run"]] + [dict(record)]
        with files.replace_with(path) as temporary:
            text = json.dumps({**about, "runs": runs}, indent=1, ensure_ascii=False) + "\n"
            temporary.write_text(text, encoding="utf-8", newline="\n")
