"""Is this computer ready? What is stored?

``python -m course_utils`` reports, ``python -m course_utils cache`` shows and clears caches. The
programs, such as ``python -m course_utils train``, run what a notebook defines.

The report prints a line a check, [ok] or [fail], and what to do about each failure; the exit code
is the number of failures.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata

from course_utils import programs, settings

# What else is needed is imported where it is checked: a broken package is one line of the report.


def _python() -> str:
    found = sys.version.split()[0]
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        raise RuntimeError(f"Python {found}; the course is tested with 3.11 to 3.13.")
    return f"Python {found}"


def _packages() -> str:
    """Compare what is installed with requirements.txt."""
    from packaging.requirements import Requirement

    path = settings.CHECKOUT / "requirements.txt"
    lines = (line.split("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    requirements = [Requirement(line) for line in lines if line and not line.startswith("-")]
    # Some are not for every Python or system.
    requirements = [item for item in requirements if not item.marker or item.marker.evaluate()]
    wrong = []
    for requirement in requirements:
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} is {version}, wanted {requirement.specifier}")
    if wrong:
        raise RuntimeError(
            f"{'; '.join(wrong)}. Install again: python -m pip install -r requirements.txt"
        )
    return f"{len(requirements)} packages as in requirements.txt"


def _settings() -> str:
    """Read every setting, so that a wrong one is told here and not in the middle of a notebook."""
    for read in (settings.seed, settings.quick, settings.offline, settings.sweeps):
        read()
    for variable, path in (
        ("COURSE_DATA", settings.writable_data_folder()),
        ("COURSE_RUNS", settings.runs_folder()),
        ("COURSE_RESULTS", settings.results_file().parent),
    ):
        existing = next(place for place in (path, *path.parents) if place.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise RuntimeError(
                f"{existing} is no folder that you may write to; set {variable} to another."
            )
    if settings.results_file().is_dir():
        raise RuntimeError(f"{settings.results_file()} is a folder; set COURSE_RESULTS to a file.")
    return "every variable of the course can be used"


def _torch() -> str:
    import torch
    import torchaudio

    # Resampling runs code of both packages: a pair that does not fit fails here, if not before.
    torchaudio.functional.resample(torch.zeros(1, 160), 16_000, 8_000)
    return f"torch {torch.__version__} and torchaudio {torchaudio.__version__} fit"


def _device() -> str:
    from course_utils.device import select_device

    line = io.StringIO()
    with contextlib.redirect_stdout(line):
        select_device()
    return line.getvalue().strip().removeprefix("Device: ") + f"; {os.cpu_count()} CPU cores"


def _espeak() -> str:
    from course_utils.corpora.embedded.espeak import Espeak
    from course_utils.corpora.embedded.speakers import make_speaker

    speaker = make_speaker(0)
    with Espeak([speaker]) as espeak:
        seconds = len(espeak.say("hello", speaker, 170, 50, 50)) / 16_000
        return f"espeak-ng {espeak.version} says hello in {seconds:.2f} s of sound"


def _disk() -> str:
    folder = settings.writable_data_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if free < 1.5:
        raise RuntimeError(
            f"{free:.1f} GB free in {folder}; the embedded corpus and its cache need 0.7 GB, and "
            "checkpoints some more. Free some space or set COURSE_DATA to another disk."
        )
    return f"{free:.0f} GB free for {folder}"


def _corpora() -> str:
    from course_utils.corpora import embedded
    from course_utils.corpora.archives import ARCHIVES, folder_of

    data = settings.data_folder()
    found = [
        name
        for name, folder in {
            "embedded": data / "embedded" / f"speech_commands-v{embedded.VERSION}",
            **{name: folder_of(archive) for name, archive in ARCHIVES.items()},
        }.items()
        if folder.is_dir()
    ]
    if any((data / "embedded").glob("common_voice*")):
        found.append("embedded sentences")
    in_use = {settings.speech_commands_source(), settings.common_voice_source()}
    return f"corpora found: {', '.join(found) or 'none yet'}; in use: {', '.join(sorted(in_use))}"


CHECKS: dict[str, Callable[[], str]] = {
    "python": _python,
    "packages": _packages,
    "settings": _settings,
    "torch": _torch,
    "device": _device,
    "espeak-ng": _espeak,
    "disk": _disk,
    "corpora": _corpora,
}


def report(checks: dict[str, Callable[[], str]] = CHECKS) -> Iterator[tuple[bool, str]]:
    """Run each check; yields whether it went well and the line to print."""
    for name, check in checks.items():
        try:
            yield True, f"[ok]   {name:<10} {check()}"
        # A report that stops at the first broken package would hide the other ones.
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            yield False, f"[fail] {name:<10} {text}"


def show_cache(clear: bool) -> None:
    """Print the caches of decoded corpora and their sizes; delete them if asked to."""
    from course_utils.corpora import cache

    print(f"Caches in {cache.folder()}:")
    for path, size in cache.entries():
        print(f"  {size / 1e6:>8.0f} MB  {path.name}")
    if clear:
        print(f"Deleted {cache.clear() / 1e6:.0f} MB. Corpora, results and checkpoints are kept.")
    elif not cache.entries():
        print("  none")


def main(arguments: list[str] | None = None) -> int:
    """Run the program with these arguments, by default those of the command line.

    Returns
    -------
    int
        How many checks of the report failed, or the exit code of a program.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in programs.PROGRAMS:
        return programs.run(arguments[0], arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m course_utils", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    for name, purpose in programs.PROGRAMS.items():
        commands.add_parser(name, help=purpose)
    cache = commands.add_parser(
        "cache", help="show the caches of decoded corpora", allow_abbrev=False
    )  # half a word must not delete anything
    cache.add_argument("--clear", action="store_true", help="delete them")
    options = parser.parse_args(arguments)
    if options.command == "cache":
        show_cache(options.clear)
        return 0
    failures = 0
    for good, line in report():
        print(line, flush=True)
        failures += not good
    return failures


if __name__ == "__main__":
    sys.exit(main())
