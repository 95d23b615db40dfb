"""Measure the stages: ``python -m course_utils.instructor.measure``.

What a notebook shows for one seed, this runs for several, on any corpus, and writes to a dated
file beside the solutions. It executes the solution notebooks themselves: there is no second
implementation that could drift. The results table shows these records where a stage has not been
run, and the README's table is made from them.

::

    python -m course_utils.instructor.measure                      # all stages, seeds 0 to 2
    python -m course_utils.instructor.measure 01 --seeds 0 1 2 3 4
    python -m course_utils.instructor.measure 01 --source v0.02    # or a folder
    COURSE_LANGUAGE=en python -m course_utils.instructor.measure 04 --seeds 0
    COURSE_SWEEPS=1 python -m course_utils.instructor.measure 02 --seeds 0
    python -m course_utils.instructor.measure --table              # the README's table
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import date
from importlib import metadata
from pathlib import Path

from course_utils import exercises, results, settings
from course_utils.instructor import release

FOLDER = settings.CHECKOUT / "labsolutions" / "measurements"
PACKAGES = ("torch", "torchaudio", "numpy", "librosa", "scikit-learn", "espeakng-loader")


def machine() -> dict[str, str | int]:
    """What the seconds depend on; nothing that names a person or a host."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


def measure(path: Path, source: str, seed: int) -> tuple[list[dict], float]:
    """Execute a solution notebook; returns the records that it wrote, and its seconds.

    Raises
    ------
    NotebookError
        A cell failed, also one that asserts a bound on a score.
    """
    with tempfile.TemporaryDirectory(prefix="course-measure-") as private:
        variables = release.environment(settings.data_folder(), Path(private))
        switch = "COMMON_VOICE" if "common_voice" in path.name else "SPEECH_COMMANDS"
        variables |= {"COURSE_SEED": str(seed), f"COURSE_{switch}": source}
        for kept in ("DEVICE", "THREADS", "OFFLINE", "SWEEPS", "LANGUAGE"):
            kept = f"COURSE_{kept}"
            if kept in os.environ:
                variables[kept] = os.environ[kept]
        start = time.perf_counter()
        release.run(exercises.read(path), path.parent, variables, timeout=3 * 3600)
        seconds = time.perf_counter() - start
        return results.load(variables["COURSE_RESULTS"]), seconds


def merge(path: Path, records: list[dict], runs: list[dict]) -> None:
    """Add records to the file of today; one replaces an older one of the same run."""
    content = {"date": path.stem, "machine": {}, "versions": {}, "runs": [], "records": []}
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
    content["machine"] = machine()
    content["versions"] = {name: metadata.version(name) for name in PACKAGES}
    for key, new, identity in (
        ("runs", runs, ("notebook", "source", "seed")),
        ("records", records, results.IDENTITY),
    ):
        names = {tuple(one[field] for field in identity) for one in new}
        kept = [one for one in content[key] if tuple(one[f] for f in identity) not in names]
        content[key] = kept + new
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
    scratch.replace(path)


def table() -> str:
    """The measurements as a table in markdown: mean over seeds, and half of their range."""
    groups: dict[tuple, list[dict]] = {}
    for record in results.reference_records():
        # Guessing is in the column of chance; sweeps are scored on validation.
        if record["parameters"] == 0 or record["split"] != "test":
            continue
        key = ("stage", "trained_on", "tested_on", "classes", "metric", "model")
        groups.setdefault(tuple(record[name] for name in key), []).append(record)
    lines = [
        "| stage | model | corpus | classes | chance | score | seeds | parameters | training |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (stage, trained, tested, classes, metric, model), same in sorted(groups.items()):
        values = [100 * one["value"] for one in same]
        spread = f" ± {(max(values) - min(values)) / 2:.1f}" if len(values) > 1 else ""
        corpus = trained if trained == tested else f"{trained}, tested on {tested}"
        chance = "" if same[0]["chance"] is None else f"{same[0]['chance']:.1%}"
        seconds = sum(one["seconds"] for one in same) / len(same)
        lines.append(
            f"| {stage} | {model} | {corpus}, {same[0]['test_speakers']} test speakers | {classes} "
            f"| {chance} | {metric} {sum(values) / len(values):.1f}{spread} % | {len(same)} "
            f"| {same[0]['parameters']:,} | {seconds:.0f} s |"
        )
    return "\n".join(lines)


def _name(path: Path, source: str) -> str:
    """What a run is called in the file; Common Voice's name tells the language, too."""
    name = Path(source).name
    if "common_voice" not in path.name:
        return name
    return (
        f"{name} {settings.language()}" if name == source else f"{Path(source).parent.name}/{name}"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.measure", description="Measure the stages."
    )
    parser.add_argument("names", nargs="*", help="how the names of notebooks start, such as 01")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--source", default="embedded", help="embedded, mini, v0.02 or a folder")
    parser.add_argument("--table", action="store_true", help="print the README's table and stop")
    options = parser.parse_args(arguments)
    if options.table:
        print(table())
        return 0
    source = options.source
    if Path(source).is_dir():
        source = str(Path(source).resolve())  # the kernel's folder is the notebook's
    paths = sorted((settings.CHECKOUT / "labsolutions").glob("*.ipynb"))
    paths = [p for p in paths if not options.names or p.name.startswith(tuple(options.names))]
    if not paths:
        print(f"No solution notebook starts with {' or '.join(options.names)}.")
        return 1
    file = FOLDER / f"{date.today().isoformat()}.json"
    for path in paths:
        for seed in options.seeds:
            try:
                records, seconds = measure(path, source, seed)
            except exercises.NotebookError as error:
                print(f"{path.name}, seed {seed}: {error}. Nothing of this run was recorded.")
                return 1
            run = {
                "notebook": path.name,
                "source": _name(path, source),
                "seed": seed,
                "seconds": round(seconds, 1),
            }
            merge(file, records, [run])
            print(f"{path.name}, {run['source']}, seed {seed}: {seconds:.0f} s", flush=True)
            for one in records:
                print(f"    {one['model']}, {one['classes']} classes: {one['value']:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
