"""How long things take, side by side: ``python -m course_utils.instructor.benchmark``.

Each line compares two ways to do the same, in turn and several times on the same machine: what
counts is their ratio, and how far it spreads. Seconds of one machine say little about another one.

::

    python -m course_utils.instructor.benchmark                    # all, five times each
    python -m course_utils.instructor.benchmark features beam      # some
    python -m course_utils.instructor.benchmark --tables --figure .github/benchmark.png  # README
"""

import argparse
import contextlib
import functools
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm.auto import tqdm

from course_utils import device, exercises, files, libraries, plotting, runs, settings
from course_utils.audio import read_samples
from course_utils.corpora import cache, clips, common_voice, embedded, speech_commands
from course_utils.instructor import measure

FOLDER = measure.FOLDER / "benchmark"
MARKS = ("<!-- benchmark: made by a command -->", "<!-- end of benchmark -->")
RATE = 16_000  # Hz


@dataclass
class Pair:
    """Two ways to do the same.

    Attributes
    ----------
    topic : str
        By which it is chosen on the command line.
    slow, fast : str
        What the two do.
    unit : str
        Of what the seconds are.
    seconds : list of (float, float)
        Of each repetition.
    where : str
        The cores that were there, and how many programs wanted one at the end.
    """

    topic: str
    slow: str
    fast: str
    unit: str
    seconds: list[tuple[float, float]]
    where: str = field(default_factory=lambda: here())

    @property
    def ratios(self) -> list[float]:
        """How many times the seconds of the second way the first one takes."""
        return [slow / fast for slow, fast in self.seconds]

    def row(self) -> dict[str, str]:
        """A line of the table."""
        slow, fast = np.median(self.seconds, axis=0)
        low, middle, high = np.quantile(self.ratios, (0, 0.5, 1))
        return {
            "": self.slow, "against": self.fast, "of": self.unit,
            "ms": f"{1000 * slow:,.1f} / {1000 * fast:,.1f}", "on": self.where,
            "ratio": f"**{middle:.2g}** ({low:.2g} to {high:.2g})" if middle < 100
            else f"**{middle:,.0f}** ({low:,.0f} to {high:,.0f})",
        }  # fmt: skip


def here() -> str:
    """What a measurement had to live with: ``2 cores, load 0.9``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.0f}" if hasattr(os, "getloadavg") else ""
    return f"{cores} cores{load}"


def timed(
    slow: Callable[[], None], fast: Callable[[], None], repeats: int, per: float = 1
) -> list[tuple[float, float]]:
    """Seconds of both, in turn, each done once before; divided by `per`."""
    both, found = (slow, fast), []
    for turn in range(repeats + 1):
        row = []
        for do in both:
            start = time.perf_counter()
            do()
            row.append((time.perf_counter() - start) / per)
        if turn:
            found.append((row[0], row[1]))
    return found


def solution(stage: int) -> dict:
    """What a solution defines."""
    [path] = (settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb")
    return exercises.definitions(path)


@contextlib.contextmanager
def private(source: Path, count: int) -> Iterator[Path]:
    """A folder with some clips of each word of a corpus, whose decoded copy is thrown away."""
    with tempfile.TemporaryDirectory(prefix="course-benchmark-") as folder:
        words = sorted({path.parent for path in source.glob("*/*_nohash_0.wav")})
        place = Path(folder) / "corpus"
        for word in words:
            (place / word.name).mkdir(parents=True)
            for path in sorted(word.glob("*.wav"))[: -(-count // len(words))]:
                shutil.copy(path, place / word.name)
        with mock.patch.dict(os.environ, COURSE_DATA=str(Path(folder) / "data")):
            yield place


def corpus(repeats: int) -> Iterator[Pair]:
    """Opening a folder of clips for the first time and later, and on one core."""
    with private(embedded.speech_commands(), 2_000) as folder:
        paths = sorted(folder.rglob("*.wav"))
        unit = f"{len(paths):,} clips"

        def every() -> None:
            for path in paths:
                read_samples(path)

        def warm() -> None:
            speech_commands.load(folder, verbose=False)

        def cold() -> None:
            cache.clear()
            warm()

        one, two = "reading every clip with soundfile", "opening the corpus"
        yield Pair("corpus", one, f"{two}, first time", unit, timed(every, cold, repeats))
        yield Pair("corpus", one, f"{two}, later", unit, timed(every, warm, repeats))
    if hasattr(os, "sched_setaffinity") and (cores := os.sched_getaffinity(0)) - {min(cores)}:
        folders = {"wav": embedded.speech_commands(), "mp3": embedded.common_voice("fr")}
        for kind, folder in folders.items():
            some = sorted(folder.rglob(f"*.{kind}"))[:1_000]
            yield Pair(
                "corpus", f"decoding {kind.upper()} on one core", f"on {len(cores)} cores",
                f"{len(some):,} clips",
                timed(functools.partial(decode, some, {min(cores)}),
                      functools.partial(decode, some, cores), repeats),
            )  # fmt: skip


def decode(paths: list[Path], cores: set[int]) -> None:
    """Decode recordings on some of the cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # threads that start from here on inherit it
    try:
        with tempfile.TemporaryDirectory() as place:
            clips.decode(Path("/"), [str(path) for path in paths], Path(place), "clips")
    finally:
        os.sched_setaffinity(0, before)


def features(repeats: int) -> Iterator[Pair]:
    """MFCC of a clip at a time by libraries, and of a batch as in stage 3."""
    space = solution(3)
    sounds = speech_commands.load("embedded", verbose=False).split("test").tensors()[0][:256]
    others = libraries.mfccs(space["COEFFICIENTS"], space["BANDS"], space["WINDOW"], space["HOP"],
                             RATE)  # fmt: skip

    def batched() -> None:
        for batch in sounds.split(64):
            space["mfcc"](batch)

    for name in ("librosa", "torchaudio"):
        one = others[f"{name}, same settings"]
        seconds = timed(
            lambda one=one: [one(clip) for clip in sounds], batched, repeats, len(sounds)
        )
        yield Pair("features", f"MFCC by {name}, clip by clip", "64 clips at once", "a clip",
                   seconds)  # fmt: skip


def recipes(repeats: int) -> Iterator[Pair]:
    """A piece of an epoch of stage 3: one clip at a time, sixteen gradients a step; and batches."""
    space = solution(3)
    x, y = speech_commands.load("embedded", verbose=False).split("train").tensors()
    x, y, spread = x[:256], y[:256] % 10, torch.ones(12, 1)
    by_librosa = libraries.mfccs(12, 40, 512, 320, RATE)["librosa, same settings"]

    def epoch(size: int, steps: int, prepared: Callable) -> None:
        torch.manual_seed(0)
        model = space["SpeechLSTM"](10)
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
        for number, rows in enumerate(torch.arange(len(x)).split(size)):
            (F.cross_entropy(model(prepared(x[rows])), y[rows]) / steps).backward()
            if number % steps == steps - 1:
                optimiser.step()
                optimiser.zero_grad()

    def as_it_was() -> None:
        epoch(1, 16, lambda clips: torch.stack([by_librosa(clip) for clip in clips]))

    def as_it_is() -> None:
        epoch(64, 1, lambda clips: space["prepare"](clips, spread))

    yield Pair("recipes", "stage 3, clip by clip, gradients of 16 added", "64 clips at once",
               f"{len(x)} clips learnt", timed(as_it_was, as_it_is, repeats))  # fmt: skip


def beam(repeats: int) -> Iterator[Pair]:
    """The beam search of exercise 4.14 and torchaudio's, in C++."""
    try:
        from torchaudio.models.decoder import ctc_decoder
    except (ImportError, RuntimeError) as error:
        print(f"beam: left out, torchaudio's decoder is not there ({error})")
        return
    search, width = solution(4)["beam_search"], 8
    letters = ["-", "|", *"abcdefghijklmnopqrstuvwxyz'"]
    generator = torch.Generator().manual_seed(0)
    frames = (3 * torch.randn(100, len(letters), generator=generator)).log_softmax(1)
    theirs = ctc_decoder(None, letters, None, beam_size=width, log_add=True)
    seconds = timed(lambda: search(frames, width), lambda: theirs(frames[None]), repeats)
    yield Pair("beam", "beam search of exercise 4.14, in Python", "torchaudio's, in C++",
               f"3 s of speech, width {width}", seconds)  # fmt: skip


class _Clips(torch.utils.data.Dataset):
    """Features of sentences, computed when they are asked for."""

    def __init__(self, part, prepare: Callable):
        self.part, self.prepare = part, prepare

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, row: int) -> torch.Tensor:
        return self.prepare(self.part[row].waveform)


def waiting(repeats: int) -> Iterator[Pair]:
    """Training the large model of exercise 4.10, and the time that it waits for its data."""
    space = solution(4)
    part = common_voice.load("fr", "embedded", verbose=False).split("train")
    where = device.select_device()
    torch.manual_seed(0)
    model = space["DeepSpeech"](bands=40).to(where)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)
    sentences = _Clips(part, lambda waveform: space["log_mel"](waveform) / 50)
    loader = torch.utils.data.DataLoader(
        sentences, 16 if where.type == "cuda" else 4, num_workers=1, shuffle=True,
        collate_fn=lambda items: nn.utils.rnn.pad_sequence([x.T for x in items], True),
    )  # fmt: skip
    found: list[tuple[float, float]] = []
    batches = iter(loader)
    for number in range(repeats + 2):
        start = time.perf_counter()
        x = next(batches).to(where)
        waited = time.perf_counter() - start
        log_probs = model(x[:, None]).log_softmax(2)
        lengths = torch.full((len(x),), log_probs.shape[1])
        targets = torch.randint(1, 44, (len(x), 10), generator=torch.Generator().manual_seed(0))
        loss = F.ctc_loss(log_probs.transpose(0, 1), targets, lengths, torch.full((len(x),), 10))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # a GPU works on while Python is ahead
        if number > 1:  # the first ones wait for the worker to start
            found.append((time.perf_counter() - start, max(waited, 1e-6)))
    yield Pair("waiting", f"a step of the 65 M model on {where.type}", "waiting for its data",
               f"a step of {len(x)} sentences", found)  # fmt: skip


def latency(repeats: int) -> Iterator[Pair]:
    """One second of sound to a word by stage 3's network: torch, ONNX and ONNX in 8 bits."""
    from course_utils.programs import export
    from course_utils.programs.base import Refused

    try:
        export.needed()
    except Refused as error:
        print(f"latency: left out, {error}")
        return
    space = solution(3)
    torch.manual_seed(0)
    about = {"class": "SpeechLSTM", "table": {}}
    features = runs.checkpoint.with_arguments(space["prepare"], {"spread": torch.ones(12, 1)})
    network = space["SpeechLSTM"](10).eval()
    model = runs.TrainedModel(network, list("0123456789"), RATE, features, about, Path("03"))
    clip = 0.1 * torch.randn(1, 1, RATE, generator=torch.Generator().manual_seed(0))
    times = 50
    with tempfile.TemporaryDirectory() as folder:
        exact, small = Path(folder) / "exact.onnx", Path(folder) / "int8.onnx"
        export.write(model, exact)
        export.quantise(exact, small)
        for name, path in (("ONNX", exact), ("ONNX, 8 bits", small)):
            run = export.opened(path)
            seconds = timed(
                lambda: [model(clip) for _ in range(times)],
                lambda run=run: [run(clip) for _ in range(times)], repeats, times,
            )  # fmt: skip
            yield Pair("latency", "stage 3's features and LSTM by torch", f"by {name}",
                       "a second of sound", seconds)  # fmt: skip


TOPICS: dict[str, Callable[[int], Iterator[Pair]]] = {
    topic.__name__: topic for topic in (corpus, features, recipes, beam, waiting, latency)
}


def write(path: Path, found: list[Pair]) -> None:
    """Write the JSON; topics that were not measured now stay as they were."""
    topics = {pair.topic for pair in found}
    kept = [pair for pair in (load(path) if path.is_file() else []) if pair.topic not in topics]
    packages = ("torch", "torchaudio", "numpy", "librosa", "soundfile")
    content = {
        "date": date.today().isoformat(),
        "machine": measure.machine(),
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in packages},
        "pairs": [asdict(pair) for pair in kept + found],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replace_with(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> list[Pair]:
    """What was measured."""
    pairs = json.loads(path.read_text(encoding="utf-8"))["pairs"]
    return [Pair(**{**pair, "seconds": [tuple(s) for s in pair["seconds"]]}) for pair in pairs]


def figure(found: list[Pair], path: Path) -> str:
    """Draw the ratios with their spread into an SVG or PNG; returns its words."""
    ax = plotting.new_axes(8, 0.6 + 0.42 * len(found))
    for place, pair in enumerate(reversed(found)):
        low, middle, high = np.quantile(pair.ratios, (0, 0.5, 1))
        ax.plot([low, high], [place, place], color="C0", lw=2, linestyle="-")
        ax.plot(middle, place, "o", color="C0")
    ax.set_yticks(range(len(found)), [f"{p.slow}\nagainst {p.fast}" for p in reversed(found)],
                  fontsize=8)  # fmt: skip
    ax.set_xscale("log")
    ax.axvline(1, color="0.5", lw=1)
    ax.set_xlabel("How many times longer the first takes (middle and range)")
    ax.figure.savefig(path, bbox_inches="tight")
    return "; ".join(f"{p.slow} against {p.fast}: {np.median(p.ratios):.2g}" for p in found)


def write_table(path: Path) -> None:
    """Write the README's table between its two marks."""
    content = json.loads(path.read_text(encoding="utf-8"))
    lines = measure.markdown([pair.row() for pair in load(path)])
    about = (
        f"Measured on {content['date']}. Load is how many programs wanted a core, this one among "
        "them: on a quiet computer it is 1 or 2."
    )
    readme = settings.CHECKOUT / "README.md"
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0], 1)
    after = rest.split(MARKS[1], 1)[1]
    new = "\n".join([MARKS[0], *lines, "", about, MARKS[1]])
    with files.replace_with(readme) as temporary:
        temporary.write_text(f"{before}{new}{after}", encoding="utf-8", newline="\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.benchmark",
        description="Compare how long things take, as ratios with their spread.",
    )
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}")
    parser.add_argument("--repeats", type=int, default=5, help="of each pair (default 5)")
    parser.add_argument("--out", type=Path, help="the JSON file; default: dated, in measurements/")
    parser.add_argument("--figure", type=Path, help="an SVG or PNG file of the ratios")
    parser.add_argument(
        "--tables", action="store_true", help="measure nothing, write the README's table"
    )
    options = parser.parse_args(arguments)
    if wrong := [topic for topic in options.topics if topic not in TOPICS]:
        parser.error(f"there is no topic {wrong[0]}; they are {', '.join(TOPICS)}")
    out = options.out or FOLDER / f"{date.today().isoformat()}.json"
    if options.tables:
        out = options.out or max(FOLDER.glob("*.json"))
        write_table(out)
    torch.set_num_threads(settings.threads() or 1)
    found = []
    topics = [] if options.tables else options.topics or TOPICS
    for topic in tqdm(topics, leave=False):
        for pair in TOPICS[topic](options.repeats):
            found.append(pair)
            write(out, found)
            print("  ".join(pair.row().values()), flush=True)
    if options.figure:
        print(figure(load(out), options.figure))
    return 0


if __name__ == "__main__":
    sys.exit(main())
