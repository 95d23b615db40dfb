"""A private exam: ``python -m course_utils.instructor.exam --secret TEXT --out DIR``.

Speakers whom nobody has heard say the ten commands, in the layout of Speech Commands. They are
drawn from the secret: the same secret makes the same exam, another one other speakers. With
``--score`` it also lets submitted networks listen, and writes a leaderboard.

::

    python -m course_utils.instructor.exam --secret "autumn, for us alone" --out exam
    python -m course_utils.instructor.exam --secret "autumn, for us alone" --out exam --score DIR

``DIR`` holds a folder for each student, with a checkpoint (``.pt``, of ``runs/``) and the notebook
that defines its network. Keep the secret, and the folder of the exam, to yourself.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm.auto import tqdm

from course_utils import files, rates, settings
from course_utils.corpora import CorpusError, embedded
from course_utils.corpora.clips import SAMPLE_RATE
from course_utils.corpora.embedded import COMMANDS
from course_utils.corpora.embedded.speakers import Speaker, make_reader, make_speaker
from course_utils.instructor.desk import pages, sandbox, sheets
from course_utils.instructor.desk.marks import key_of

SPEAKERS, TAKES = 40, 3
#: Speakers of each embedded corpus that count as heard: more than any of them has.
KNOWN = 200
SHORTEST_SECRET = 8
#: Seconds that an entry may take, and bytes that its two files may have.
LIMIT, LARGEST = 120.0, 60_000_000
#: Bytes that an entry may say.
_REPORTED = 1_000_000


class ExamError(ValueError):
    """The exam cannot be made or held; the message is one line for the user."""


@dataclass
class Entry:
    """What came of one submission: its share of right answers, or why there is none."""

    student: str
    key: str
    reason: str = ""
    accuracy: float = 0.0
    interval: tuple[float, float] = (0.0, 0.0)
    model: str = ""
    parameters: int = 0


# ---------------------------------------------------------------- speakers and clips


def drawn(secret: str) -> tuple[int, int]:
    """The seed of an exam, and the number of its first speaker: rooms come from numbers alone.

    Raises
    ------
    ExamError
        The secret is so short that it could be found by trying.
    """
    if len(secret) < SHORTEST_SECRET:
        raise ExamError(f"--secret: give {SHORTEST_SECRET} characters or more, for you alone.")
    digest = hashlib.sha256(f"exam\0{secret}".encode()).digest()
    first = 10 * (1_000 + int.from_bytes(digest[16:20], "big") % 10**8)
    return int.from_bytes(digest[:16], "big"), first


def speakers_of(secret: str, count: int = SPEAKERS) -> list[Speaker]:
    """The speakers of an exam."""
    seed, first = drawn(secret)
    return [make_speaker(index, seed) for index in range(first, first + count)]


def known_speakers() -> list[Speaker]:
    """Those of the embedded corpora, whom students have."""
    return [make_speaker(index) for index in range(KNOWN)] + [
        make_reader(index, language=language) for language in ("fr", "en") for index in range(KNOWN)
    ]


def voice(speaker: Speaker) -> str:
    """A hash of all that makes a speaker, but for the name and number."""
    own = {key: value for key, value in asdict(speaker).items() if key not in ("index", "name")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def features(speakers: Iterable[Speaker]) -> np.ndarray:
    """The numbers that make speakers, ``(speaker, number)``, in the order of their fields."""
    kept = [field.name for field in dataclasses.fields(Speaker)][4:]  # not names and kinds
    return np.array(
        [np.concatenate([np.atleast_1d(getattr(one, name)) for name in kept]) for one in speakers],
        dtype=float,
    )


def nearest(speakers: Sequence[Speaker], others: Sequence[Speaker]) -> np.ndarray:
    """The distance of each speaker from the nearest of the others ``(speaker,)``.

    It is the root of the mean square over all numbers, each in standard deviations of the others.
    """
    own, theirs = features(speakers), features(others)
    scale = theirs.std(axis=0) + 1e-9
    return np.array([np.sqrt((((one - theirs) / scale) ** 2).mean(axis=1)).min() for one in own])


def made(secret: str, out: Path) -> Path:
    """Synthesise the exam, or find it; returns the folder of the clips.

    Raises
    ------
    ExamError
        The folder holds another exam or something else, or a speaker is not new.
    CorpusError
        It cannot be synthesised.
    """
    seed, first = drawn(secret)
    people, known = speakers_of(secret), known_speakers()
    for trait in (voice, lambda speaker: speaker.name):
        if {trait(one) for one in people} & {trait(one) for one in known}:
            raise ExamError("A speaker of this exam is one of the course's: take another secret.")
    if out.exists() and not out.is_dir():
        raise ExamError(f"{out} is a file; name a folder with --out.")
    folder = embedded.speech_commands(
        out / "speech",
        speakers=SPEAKERS,
        digit_takes=0,
        command_takes=TAKES,
        other_takes=0,
        seed=seed,
        first=first,
    )
    own = nearest(people, known).min()
    theirs = min(
        nearest([one], known[:place] + known[place + 1 : KNOWN])[0]
        for place, one in enumerate(known[:SPEAKERS])
    )
    print(
        f"{folder}: {SPEAKERS} speakers, none of them the course's. The nearest one differs by "
        f"{own:.2f} standard deviations in the mean; the course's own from each other by "
        f"{theirs:.2f}."
    )
    return folder


def clips_in(folder: Path, secret: str) -> tuple[np.ndarray, list[str], list[str]]:
    """The clips of an exam: int16 ``(clip, time)``, their words, and their speakers.

    Their order comes from the secret: from one that is known an entry could read the words.
    """
    paths = sorted(path for word in COMMANDS for path in (folder / word).glob("*.wav"))
    order = np.random.default_rng([drawn(secret)[0], 1]).permutation(len(paths))
    paths = [paths[place] for place in order]
    sounds = np.zeros((len(paths), SAMPLE_RATE), np.int16)
    for row, path in zip(sounds, paths, strict=True):
        samples, _ = soundfile.read(path, dtype="int16")
        row[: len(samples)] = samples
    return sounds, [path.parent.name for path in paths], [path.name[:8] for path in paths]


# ---------------------------------------------------------------- entries


def files_of(folder: Path) -> dict[str, Path]:
    """The notebook and the checkpoint that a student handed in.

    Raises
    ------
    ExamError
        They are not one and one, or too large.
    """
    found = {}
    for name, pattern in (("notebook", "*.ipynb"), ("checkpoint", "*.pt")):
        paths = [
            path
            for path in folder.rglob(pattern)
            if path.is_file() and not path.is_symlink() and ".ipynb_checkpoints" not in path.parts
        ]
        if len(paths) != 1:
            raise ExamError(f"hand in one {name} ({pattern}); here are {len(paths)}")
        if paths[0].stat().st_size > LARGEST:
            raise ExamError(f"its {name} has more than {LARGEST / 1e6:.0f} MB")
        found[name] = paths[0]
    return found


def run_guarded(task: dict, rules: sandbox.Rules | None, limit: float = LIMIT) -> dict:
    """Let an entry listen, in a process of its own.

    Parameters
    ----------
    task : dict
        Paths of its ``notebook`` and ``checkpoint``, and of the ``clips``.
    rules : Rules or None
        What it may do; None trusts it.
    limit : float
        Seconds.

    Returns
    -------
    dict
        What it said, or the ``problem``.
    """
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="course-entry-") as scratch:
        process = subprocess.Popen(
            [sys.executable, "-m", "course_utils.instructor.desk.examinee"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=[writer], start_new_session=True, cwd=scratch, env=_environment(scratch),
        )  # fmt: skip
        os.close(writer)
        try:
            more = {"outcome": writer, "scratch": scratch, "rules": rules and asdict(rules)}
            line = json.dumps({name: str(path) for name, path in task.items()} | more)
            with contextlib.suppress(OSError):  # it has ended: nothing comes from it below
                process.stdin.write(line.encode() + b"\n")
                process.stdin.close()
            said = _read(reader, limit)
        finally:
            os.close(reader)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if said is None:
        return {"problem": f"it took more than {limit:.0f} s"}
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, dict) else {"problem": "its process ended before its time"}


def _read(reader: int, limit: float) -> bytes | None:
    """The first line from an entry; None if the time is up."""
    said, end = b"", time.monotonic() + limit
    while b"\n" not in said and len(said) < _REPORTED:
        ready, _, _ = select.select([reader], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        part = os.read(reader, 1 << 16)
        if not part:
            break
        said += part
    return said.partition(b"\n")[0]


def _environment(folder: str) -> dict[str, str]:
    """What an entry is told of the machine: little."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return kept | {
        "HOME": folder, "PYTHONPATH": str(settings.CHECKOUT), "OMP_NUM_THREADS": "1",
        "MPLCONFIGDIR": folder, "PYTHONDONTWRITEBYTECODE": "1", "CUDA_VISIBLE_DEVICES": "",
        "COURSE_DATA": folder, "COURSE_RUNS": folder, "COURSE_OFFLINE": "1", "COURSE_DEVICE": "cpu",
        "COURSE_RESULTS": str(Path(folder, "results.json")),
    }  # fmt: skip


def score(
    folder: Path,
    secret: str,
    clips: Path,
    words: Sequence[str],
    speakers: Sequence[str],
    rules: sandbox.Rules | None,
) -> Entry:
    """What a submission is worth; whatever is wrong with it becomes its reason.

    Parameters
    ----------
    folder : Path
        Of one student.
    secret : str
    clips : Path
        The clips as an ``.npy`` file.
    words, speakers : list of str
        Of each clip.
    rules : Rules or None
    """
    entry = Entry(folder.name, key_of(folder.name, secret)[:8])
    try:
        found = run_guarded({**files_of(folder), "clips": clips}, rules)
    except (ExamError, OSError) as error:
        entry.reason = str(error)
        return entry
    if "sandbox" in found:
        raise ExamError(sandbox.NO_LAYER)
    said = found.get("words")
    if not isinstance(said, list) or len(said) != len(words):
        entry.reason = str(found.get("problem", "it did not say a word for each clip"))[:500]
        return entry
    wrong = [int(answer != word) for answer, word in zip(said, words, strict=True)]
    by_speaker = rates.by_speaker(speakers, wrong, [1] * len(words))
    low, high = rates.bootstrap(by_speaker)
    entry.accuracy, entry.interval = 1 - sum(wrong) / len(wrong), (1 - high, 1 - low)
    entry.model = str(found.get("model", ""))[:100]
    parameters = found.get("parameters")
    entry.parameters = parameters if isinstance(parameters, int) else 0
    return entry


# ---------------------------------------------------------------- pages and the command


def leaderboard(entries: Sequence[Entry], clips: int) -> str:
    """The page: keys instead of names, so that it can be shown."""
    ranked = sorted((e for e in entries if not e.reason), key=lambda e: (-e.accuracy, e.key))
    rows = [
        (
            str(place), f"<code>{pages.text(entry.key)}</code>",
            pages.bar(entry.accuracy, f"{entry.accuracy:.1%}"),
            f"{entry.interval[0]:.1%} to {entry.interval[1]:.1%}",
            pages.text(entry.model), f"{entry.parameters:,}",
        )
        for place, entry in enumerate(ranked, 1)
    ]  # fmt: skip
    heads = ("Place", "Entry", "Right", "95 % of draws of speakers", "Network", "Parameters")
    body = (
        f"<p>{clips:,} clips of the ten commands by {SPEAKERS} synthetic speakers whom nobody has "
        "heard before. An answer that is none of the ten words counts as wrong; a guess gets one "
        "in ten. Speakers differ more than clips do: so the interval draws speakers, again and "
        "again. <strong>Where intervals overlap, the order says little.</strong></p>"
    )
    body += pages.table(heads, rows) if rows else "<p>No entry could be scored.</p>"
    failed = [entry for entry in entries if entry.reason]
    if failed:
        lines = (
            f"<code>{pages.text(entry.key)}</code>: {pages.text(entry.reason)}" for entry in failed
        )
        body += f"<h2>Not scored</h2>{pages.items(lines)}"
    return pages.page("The ten commands, by unheard speakers", body, pages.WIDE)


def write(out: Path, entries: Sequence[Entry], clips: int) -> None:
    """Write the leaderboard, and the list with names for the instructor."""
    rows = [["student", "entry", "right", "low", "high", "network", "parameters", "reason"]]
    rows += [
        [
            sheets.safe(entry.student), entry.key,
            *(f"{number:.4f}" if not entry.reason else "" for number in
              (entry.accuracy, *entry.interval)),
            sheets.safe(entry.model), str(entry.parameters), sheets.safe(entry.reason),
        ]
        for entry in sorted(entries, key=lambda entry: entry.student)
    ]  # fmt: skip
    sheets.Sheet(rows).write(out / "scores.csv")
    sheets.write(out / "leaderboard.html", leaderboard(entries, clips))


def hold(options: argparse.Namespace, folder: Path) -> list[Entry]:
    """Let all entries of a class listen, some at a time."""
    if not options.score.is_dir():
        raise ExamError(f"{options.score} is no folder; give one with a folder for each student.")
    students = sorted(
        path
        for path in options.score.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )
    if not students:
        raise ExamError(f"{options.score} has no folder of a student in it.")
    rules = None if options.trust_submissions else sandbox.rules_for(options.user)
    sounds, words, speakers = clips_in(folder, options.secret)
    with tempfile.TemporaryDirectory(prefix="course-exam-") as private:
        clips = Path(private, "clips.npy")
        np.save(clips, sounds)

        def heard(student: Path) -> Entry:
            return score(student, options.secret, clips, words, speakers, rules)

        with ThreadPoolExecutor(options.j) as pool:
            bar = tqdm(
                pool.map(heard, students), total=len(students), unit=" entries", disable=None
            )
            entries = list(bar)
    write(options.out, entries, len(words))
    return entries


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status. Errors are one line each."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.exam",
        description="Synthesise unheard speakers, and score submitted networks on them.",
    )
    parser.add_argument("--secret", required=True, help="what the speakers are drawn from")
    parser.add_argument("--out", type=Path, default=Path("exam"), help="default: exam/, here")
    parser.add_argument("--score", type=Path, metavar="SUBMISSIONS", help="a folder a student")
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, help="entries at a time")
    parser.add_argument("--user", default="nobody", help="as root: who runs submissions")
    parser.add_argument("--trust-submissions", action="store_true", help="run without a sandbox")
    options = parser.parse_args(arguments)
    try:
        if options.j < 1:
            raise ExamError("-j is at least 1.")
        folder = made(options.secret, options.out)
        if options.score:
            entries = hold(options, folder)
            failed = sum(bool(entry.reason) for entry in entries)
            print(
                f"{options.out / 'leaderboard.html'}: {len(entries) - failed} entries, {failed} "
                f"not scored; {options.out / 'scores.csv'} has the names."
            )
    except (ExamError, sandbox.NoSandboxError, CorpusError, sheets.OutputError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(files.disk_error(error, options.out, "Nothing was scored.", "--out"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
