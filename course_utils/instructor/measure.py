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
    python -m course_utils.instructor.measure --tables             # the README's table
"""

import argparse
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
from course_utils.instructor import release

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


def measure(path: Path, source: str, seed: int) -> tuple[list[results.Result], float]:
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


def merge(path: Path, found: list[results.Result], runs: list[dict]) -> None:
    """Add results to the file of today; one replaces an older one of the same run.

    Parameters
    ----------
    path : Path
        Of the JSON file; its stem is the date.
    found : list of Result
    runs : list of dict
        ``notebook``, ``source``, ``seed`` and ``seconds`` of each execution.
    """
    content = {"runs": [], "records": []}
    if path.is_file():
        content = json.loads(path.read_text(encoding="utf-8"))
    content = {
        "date": path.stem,
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "runs": _replaced(content["runs"], runs, ("notebook", "source", "seed")),
        "records": _replaced(content["records"], map(asdict, found), results.IDENTITY),
    }
    with files.replace_with(path) as temporary:
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
        *_markdown([{k: v for k, v in row.items() if k != "Speakers"} for row in shown.rows]), "",
        *(f"- {line}" for line in shown.legend),
    ]
    return "\n".join(lines) + "\n"


def _markdown(rows: list[dict[str, str]]) -> list[str]:
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
    return "\n".join(_markdown(rows))


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
    for path, content in ((readme, text), (FOLDER / "README.md", table())):
        with files.replace_with(path) as temporary:
            temporary.write_text(content, encoding="utf-8", newline="\n")


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
    parser.add_argument("--tables", action="store_true", help="write the tables and stop")
    options = parser.parse_args(arguments)
    if options.tables:
        write_tables()
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
            for result in records:
                print(f"    {result.name}, {result.classes} classes: {result.value:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
