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
    COURSE_SWEEPS="10 minutes" python -m course_utils.instructor.measure 04 \\
        --cells load-corpus copies variants sweep --keep FOLDER
    python -m course_utils.instructor.measure --real v0.02         # published tasks, official lists
    python -m course_utils.instructor.measure --tables             # the README's table

With ``--cells`` a part of a notebook runs: the exercises, the cells that others need, and those
that are named. With ``--keep`` its trainings stay, and a measurement that was stopped goes on. Any
number of them may run at once.
"""

import argparse
import csv
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import date
from importlib import metadata
from pathlib import Path

from course_utils import exercises, files, results, settings
from course_utils.instructor import real, release

FOLDER = settings.CHECKOUT / "labsolutions" / "measurements"
#: Between these lines of the README stands what `overview` makes.
MARKS = ("<!-- measured: made by a command -->", "<!-- end of measured -->")
PACKAGES = ("torch", "torchaudio", "numpy", "librosa", "scikit-learn", "espeakng-loader")


def machine() -> dict[str, str | int]:
    """What the seconds depend on; nothing that names a person or a host."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
    }


def measure(
    path: Path, source: str, seed: int, cells: Sequence[str] = (), keep: Path | None = None
) -> tuple[list[results.Result], list[dict], float]:
    """Execute a solution notebook.

    Parameters
    ----------
    path : Path
    source : str
        Of the corpus.
    seed : int
    cells : sequence of str, optional
        Ids of the cells to run, beside the exercises and what other cells need; default all.
    keep : Path, optional
        Folder for trainings: what is trained there already is loaded.

    Returns
    -------
    records : list of Result
        What the notebook wrote.
    curves : list of dict
        See :func:`curves`.
    seconds : float

    Raises
    ------
    NotebookError
        A cell failed, also one that asserts a bound on a score; or there is no such cell.
    """
    notebook = exercises.read(path)
    if cells:
        notebook.cells = _part(notebook, cells)
    with tempfile.TemporaryDirectory(prefix="course-measure-") as private:
        if keep is not None:
            private = str(keep / f"{path.stem}-{_name(path, source)}-{seed}".replace(" ", "-"))
        variables = release.environment(settings.data_folder(), Path(private))
        switch = "COMMON_VOICE" if "common_voice" in path.name else "SPEECH_COMMANDS"
        variables |= {"COURSE_SEED": str(seed), f"COURSE_{switch}": source}
        for kept in ("DEVICE", "THREADS", "OFFLINE", "SWEEPS", "LANGUAGE"):
            kept = f"COURSE_{kept}"
            if kept in os.environ:
                variables[kept] = os.environ[kept]
        start = time.perf_counter()
        release.run(notebook, path.parent, variables, timeout=3 * 3600)
        seconds = time.perf_counter() - start
        return results.load(variables["COURSE_RESULTS"]), curves(private), seconds


def _part(notebook: exercises.NotebookNode, names: Sequence[str]) -> list:
    """The cells of these ids, those of the exercises, and those that others need, in order."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if missing := sorted(set(names) - {cell.id for cell in code}):
        raise exercises.NotebookError(f"there is no code cell {', '.join(missing)}")
    wanted = {*names, *(exercise.cell("ex") for exercise in exercises.exercises(notebook))}
    return [
        cell
        for cell in code
        if cell.id in wanted or set(cell.metadata.get("tags", [])) & exercises.NEEDED
    ]


def curves(private: str | Path) -> list[dict[str, str]]:
    """The measures of each epoch of each training below a folder, a line for each measure."""
    found = []
    for path in sorted(Path(private).glob("runs/*/scalars.csv")):
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        columns = {
            name: " ".join(f"{float(row[name]):.4g}" for row in rows)
            for name in rows[0]
            if name != "epoch"
        }
        found.append({"name": path.parent.name.rpartition("-")[0], **columns})
    return found


def merge(
    path: Path,
    found: list[results.Result],
    runs: list[dict],
    drawn: Sequence[dict] = (),
    costs: Sequence[dict] = (),
) -> None:
    """Add results to the file of today; one replaces an older one of the same run.

    Parameters
    ----------
    path : Path
        Of the JSON file; its stem is the date.
    found : list of Result
    runs : list of dict
        ``notebook``, ``source``, ``seed``, ``part`` and ``seconds`` of each execution.
    drawn : sequence of dict, optional
        Curves, with the ``source`` and the ``seed`` of the execution.
    costs : sequence of dict, optional
        ``stage``, ``model`` and the fields of :class:`course_utils.costs.Cost`.
    """
    with files.locked(path), files.replace_with(path) as temporary:
        content = {"runs": [], "records": []}
        if path.is_file():
            content = json.loads(path.read_text(encoding="utf-8"))
        content = {
            "date": path.stem,
            "machine": machine(),
            "versions": {name: metadata.version(name) for name in PACKAGES},
            "runs": _replaced(content["runs"], runs, ("notebook", "source", "seed", "part")),
            "records": _replaced(content["records"], map(asdict, found), results.IDENTITY),
            "curves": _replaced(content.get("curves", ()), drawn, ("source", "seed", "name")),
            "costs": _replaced(content.get("costs", ()), costs, ("stage", "model")),
        }
        text = json.dumps(content, indent=1) + "\n"
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _replaced(old: Iterable[dict], new: Iterable[dict], names: Sequence[str]) -> list[dict]:
    """The old ones that no new one has these fields in common with, then the new ones."""
    new = list(new)
    replaced = {tuple(item.get(name, "") for name in names) for item in new}
    kept = [item for item in old if tuple(item.get(name, "") for name in names) not in replaced]
    return kept + new


def table() -> str:
    """All measurements on test speakers in markdown, as ``labsolutions/measurements/README.md``."""
    shown = results.table(everywhere=True, path="no results of one's own")
    lines = [
        "# What the stages reach", "",
        "Written by `python -m course_utils.instructor.measure --tables` from the files beside it.",
        "Scores are on clips of speakers that training has not heard, in per cent: accuracy in",
        "stages 1 to 3; in stage 4 wrong characters (CER) and words (WER), where less is better.",
        "Chance is the share of the most frequent word of the test part: the best that an answer",
        "without listening gets. One thread of a CPU; training is for one seed.", "",
        *markdown([{k: v for k, v in row.items() if k != "Speakers"} for row in shown.rows]), "",
        *(f"- {line}" for line in shown.legend),
    ]
    return "\n".join(lines) + "\n"


def markdown(rows: list[dict[str, str]]) -> list[str]:
    """The lines of a table."""
    head = list(rows[0])
    cells = [head, ["---"] * len(head), *(list(row.values()) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in cells]


BUILDS = {
    1: "an MLP on raw samples: a pipeline, a training loop, and a failure",
    2: "a CNN on the raw waveform: nearly indifferent to when a word is said",
    3: "MFCC, an LSTM, and augmentation that survives noise",
    4: "CTC: sentences, without knowing where each letter is",
}


def overview() -> str:
    """One row a stage in markdown, for the README: what it reaches, and the minutes it takes."""
    rows = []
    for stage, builds in BUILDS.items():
        main = [result for result, _ in results.references() if result.headline]
        main = [r for r in main if (r.stage, r.split) == (stage, "test")]
        row = {"stage": str(stage), "you build": builds}
        chances = []
        for name in ("embedded", "real"):
            same = [r for r in main if r.tested_on.startswith("embedded") == (name == "embedded")]
            same = [r for r in same if r.tested_on == same[0].tested_on]  # one language of several
            metric = f"{results.METRICS[same[0].metric]} " if same else ""
            row[name] = (
                f"{metric}{results.mean_and_spread(r.value for r in same)} %" if same else "–"
            )
            if same and same[0].chance is not None:
                chances.append(f"{100 * same[0].chance:.1f}")
        row["chance"] = f"{' / '.join(chances)} %" if chances else "–"
        row["minutes"] = minutes(stage)
        rows.append(row)
    return "\n".join(markdown(rows))


def minutes(stage: int) -> str:
    """Minutes of reading and exercises as the table at the start of a notebook says them."""
    [path] = (settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb")
    title = exercises.read(path).cells[0].source
    sittings = re.findall(r"reading (\d+) · exercises (\d+)", title)
    total = sum(int(reading) + int(solving) for reading, solving in sittings)
    return f"{total}, in {len(sittings)} sittings" if len(sittings) > 1 else str(total)


def write_tables() -> None:
    """Write both tables: the README's rows between its two marks, and the full one."""
    readme = settings.CHECKOUT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    text = f"{before}{MARKS[0]}\n{overview()}\n{MARKS[1]}{after}"
    before, rest = text.split(real.MARKS[0], 1)
    rows = "\n".join(markdown(real.table()))
    text = f"{before}{real.MARKS[0]}\n{rows}\n{real.MARKS[1]}{rest.split(real.MARKS[1], 1)[1]}"
    for path, content in ((readme, text), (FOLDER / "README.md", table())):
        with files.replace_with(path) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="\n")


def _text_of(cells: Sequence[str]) -> str:
    """Which part of a notebook ran; nothing where all of it did."""
    return " ".join([*cells, settings.wanted_sweeps()]).strip() if cells else ""


def _name(path: Path, source: str) -> str:
    """What a run is called in the file; Common Voice's name tells the language, too."""
    name = Path(source).name
    if "common_voice" not in path.name:
        return name
    return (
        f"{name} {settings.language()}" if name == source else f"{Path(source).parent.name}/{name}"
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.measure", description="Measure the stages."
    )
    parser.add_argument("names", nargs="*", help="how the names of notebooks start, such as 01")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--source", default="embedded", help="embedded, mini, v0.02 or a folder")
    parser.add_argument("--cells", nargs="+", default=[], help="run a part: ids of these cells")
    parser.add_argument("--keep", type=Path, help="a folder for trainings, to go on from")
    parser.add_argument("--tables", action="store_true", help="write the tables and stop")
    parser.add_argument(
        "--real", metavar="SOURCE", help="headlines on the published tasks: v0.02, or a folder"
    )
    options = parser.parse_args(arguments)
    if options.tables:
        write_tables()
        return 0
    file = FOLDER / f"{date.today().isoformat()}.json"
    if options.real:
        real.run(options.real, options.seeds, file, merge)
        return 0
    source = options.source
    if Path(source).is_dir():
        source = str(Path(source).resolve())  # the kernel's folder is the notebook's
    paths = sorted((settings.CHECKOUT / "labsolutions").glob("*.ipynb"))
    paths = [p for p in paths if not options.names or p.name.startswith(tuple(options.names))]
    if not paths:
        print(f"No solution notebook starts with {' or '.join(options.names)}.")
        return 1
    for path in paths:
        for seed in options.seeds:
            try:
                records, drawn, seconds = measure(
                    path, source, seed, options.cells, options.keep and options.keep.resolve()
                )
            except exercises.NotebookError as error:
                print(f"{path.name}, seed {seed}: {error}. Nothing of this run was recorded.")
                return 1
            run = {
                "notebook": path.name,
                "source": _name(path, source),
                "seed": seed,
                "part": _text_of(options.cells),
                "seconds": round(seconds, 1),
            }
            about = {"source": run["source"], "seed": seed}
            merge(file, records, [run], [about | curve for curve in drawn])
            print(f"{path.name}, {run['source']}, seed {seed}: {seconds:.0f} s", flush=True)
            for result in records:
                print(f"    {result.name}, {result.classes} classes: {result.value:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
