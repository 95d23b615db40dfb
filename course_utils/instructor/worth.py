"""What data are worth to stage 4: ``python -m course_utils.instructor.worth``.

It trains the network of the solution notebook, with the notebook's own code, on other data: fewer
and more minutes, other languages, real speech, synthetic speech and then real speech, letters
with their marks, pieces of words in place of letters. What each training reaches is written into
a dated file beside the solutions as soon as it ends. What stands there already is not trained
again, so the command may be stopped and called again.

::

    python -m course_utils.instructor.worth                          # everything embedded
    python -m course_utils.instructor.worth minutes --languages fr --seeds 0
    python -m course_utils.instructor.worth real --real FOLDER       # a release of Common Voice

``real`` takes a corpus of any size and language. A course in Prague (NPFL138) gives its students
about ten thousand utterances of one language of Common Voice, and asks for at most 45 % of the
letters wrong. Whoever has such a release measures ours on it with ``worth real --real FOLDER
--languages cs``.
"""

import argparse
import contextlib
import functools
import io
import itertools
import json
import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from course_utils import exercises, settings, transcripts
from course_utils.corpora import alphabet, common_voice
from course_utils.device import select_device
from course_utils.instructor import measure
from course_utils.results import studies
from course_utils.runs import Training

NAME = "data"  # of the study
#: Each with the languages that it is made in.
STUDIES = {
    "real": ["en", "fr"], "minutes": ["fr", "en"], "marks": ["fr", "de", "es"], "pieces": ["fr"],
}  # fmt: skip
MINUTES = (5, 10, 20)
SPEEDS = (0.88, 0.94, 1.0, 1.06, 1.12)
STEPS, LONGEST = 2_560, 60  # of a training, in batches of eight; epochs
COPIED = 4_000  # of more clips one copy each has to do
MERGES, WIDTH, ORDER, TRIED, LETTER_EPOCHS = 100, 8, 6, 40, 8
EVERY_40_MS = [(5, 2), (5, 2)]
NEEDED = (
    "normalise", "CharMap", "log_mel", "statistics", "prepare", "fits", "frames_needed",
    "output_frames", "FastCTC", "fit", "at_speed", "log_probs_of", "write_down", "said",
    "error_rate", "beam_search", "NGram", "language_score", "decode", "merges_of", "in_pieces",
    "NextLetter", "fit_texts", "text_losses", "best_five", "choose", "edit_distance",
    "BANDS", "EVERY_20_MS",
)  # fmt: skip
Run = dict[str, Any]


def wanted(
    chosen: Iterable[str], languages: list[str] | None, real: Path | None, seeds: Iterable[int]
) -> list[Run]:
    """What tells each training from the others, those first that most is said about."""
    found = []
    for study in STUDIES:
        if study not in chosen or (study == "real" and real is None):
            continue
        spoken = STUDIES[study]
        if languages is not None:
            spoken = [name for name in languages if name in spoken or study == "real"]
        changes = {
            "real": [{"trained_on": "embedded"}, {"trained_on": "real"},
                     *({"trained_on": "real", "minutes": minutes} for minutes in MINUTES[:2])],
            "minutes": [{"minutes": minutes} for minutes in ("all", *MINUTES, "more")],
            "marks": [{"marks": True}, {"marks": False}],
            "pieces": [{"symbols": "pieces", "answers": 20}, {"symbols": "pieces", "answers": 40},
                       {"symbols": "letters", "answers": 40}],
        }[study]  # fmt: skip
        found += [
            {"study": study, "language": language, "seed": seed, **change}
            for language in spoken for seed in seeds for change in changes
            if change.get("minutes") != "more" or language == "fr"
            if study != "real" or change["trained_on"] == "real" or language in STUDIES["real"]
        ]  # fmt: skip

    def late(run: Run) -> bool:
        return run["study"] in ("marks", "pieces") or (run["study"], run.get("minutes")) in (
            ("real", 5),
            ("real", 10),
        )

    return sorted(found, key=lambda run: run["seed"] + late(run))


class Store:
    """The notebook's code, the corpora, and the features of their clips; each is made once.

    Parameters
    ----------
    real : path, optional
        A release of Common Voice, which is called ``"real"``.
    """

    def __init__(self, real: Path | None):
        [notebook] = (settings.CHECKOUT / "labsolutions").glob("04_*.ipynb")
        self.code = exercises.definitions(notebook, NEEDED)
        # A table of classes is no constant, so it is not among the definitions.
        self.code["SCHEDULES"] = {"one cycle": torch.optim.lr_scheduler.OneCycleLR}
        self.real = real
        self._corpora: dict[tuple, common_voice.CommonVoice] = {}
        self._features: dict[tuple, list[torch.Tensor]] = {}

    def part(self, language: str, source: str, split: str) -> common_voice.CommonVoice:
        """The clips of a corpus."""
        if (language, source) not in self._corpora:
            where = self.real if source == "real" else source
            self._corpora[language, source] = common_voice.load(
                language, where, min_seconds=0.5, max_seconds=10, verbose=False
            )
        return self._corpora[language, source].split(split)

    def features(
        self, language: str, source: str, split: str, speed: float = 1.0
    ) -> list[torch.Tensor]:
        """Log-mel (band, frame) of every clip, not yet normalised."""
        key = language, source, split, speed
        if key not in self._features:
            log_mel, at_speed = self.code["log_mel"], self.code["at_speed"]
            with ThreadPoolExecutor() as pool:
                self._features[key] = list(pool.map(
                    lambda clip: log_mel(at_speed(clip.waveform, speed)),
                    self.part(language, source, split),
                ))  # fmt: skip
        return self._features[key]

    def speeds(self, language: str, source: str) -> tuple[float, ...]:
        """At which speeds its training clips are heard."""
        return SPEEDS if len(self.part(language, source, "train")) <= COPIED else (1.0,)

    def has_enough(self, run: Run) -> bool:
        """Whether a part of the real speech is less than the whole."""
        if run["study"] != "real" or "minutes" not in run:
            return True
        whole = self.part(run["language"], "real", "train").durations.sum()
        return bool(whole > 60 * run["minutes"])

    def prepare(self, run: Run) -> None:
        """Make all features that a training needs."""
        for source in sources(run):
            for split in common_voice.SPLITS if source != "embedded:new_words" else ("test",):
                speeds = self.speeds(run["language"], source) if split == "train" else (1.0,)
                for speed in speeds:
                    self.features(run["language"], source, split, speed)


def sources(run: Run) -> list[str]:
    """The corpora that a training and its tests need; it is trained on the first one."""
    if run["study"] == "real":
        return ["real"] if run["trained_on"] == "real" else ["embedded", "real"]
    if run["study"] == "minutes":
        first = "embedded:more" if run["minutes"] == "more" else "embedded"
        return list(dict.fromkeys([first, "embedded", "embedded:new_words"]))
    return ["embedded"]


class Bench:
    """Trainings and scores in one language, written with one set of symbols."""

    def __init__(
        self, store: Store, run: Run, device: torch.device, quick: bool, longest: int = LONGEST
    ):
        self.store, self.code, self.language = store, store.code, run["language"]
        self.marks, self.seed, self.quick = run.get("marks", False), run["seed"], quick
        self.longest = longest
        self.code["device"] = self.device = device
        self.answers = EVERY_40_MS if run.get("answers") == 40 else self.code["EVERY_20_MS"]
        every = [text for source in sources(run) for text in self.texts(source, "train")]
        symbols, merges = alphabet.symbols(every), []
        if run.get("symbols") == "pieces":
            merges = self.code["merges_of"](every, MERGES)
            symbols = [*symbols, *("".join(pair) for pair in merges)]
        self.charmap = self.code["charmap"] = self.code["CharMap"](symbols)
        self.code["SYMBOLS"] = symbols
        in_pieces = functools.cache(lambda text: self.code["in_pieces"](text, merges))
        self._pieces = in_pieces if merges else lambda text: text
        self.statistics = self.code["statistics"](
            self.store.features(self.language, sources(run)[0], "train")
        )

    def texts(self, source: str, split: str, marks: bool | None = None) -> list[str]:
        """The sentences as the network has to write them."""
        table = alphabet.table(marks=self.marks if marks is None else marks)
        part = self.store.part(self.language, source, split)
        return [self.code["normalise"](text, table) for text in part.transcripts]

    def _encode(self, text: str) -> list[int]:
        return self.charmap.encode(self._pieces(text))

    def items(self, source: str, split: str, speed: float = 1.0) -> list[tuple | None]:
        """(features, tokens) of each clip; None where a character is unknown."""
        letters = "".join(symbol for symbol in self.charmap.symbols if len(symbol) == 1)
        with contextlib.redirect_stdout(io.StringIO()):
            tokens = transcripts.encoded(self.texts(source, split), letters, self._encode)
        features = self.store.features(self.language, source, split, speed)
        log_mel, self.code["log_mel"] = self.code["log_mel"], lambda given: given
        try:  # the notebook's `prepare` asks for the log-mel, which is there already
            return [
                text and (self.code["prepare"](clip, *self.statistics), text)
                for clip, text in zip(features, tokens, strict=True)
            ]
        finally:
            self.code["log_mel"] = log_mel

    def rows(self, source: str, minutes: float | None) -> Sequence[int]:
        """Which clips of a training part are heard: all, or some drawn at random."""
        part = self.store.part(self.language, source, "train")
        return range(len(part)) if minutes is None else some(part, minutes, self.seed)

    def train(
        self, source: str, minutes: float | None = None, start: dict | None = None
    ) -> tuple[torch.nn.Module, Run]:
        """A network, and what its training was.

        Parameters
        ----------
        minutes : float, optional
            How many of the training part, drawn at random.
        start : dict of tensors, optional
            Weights to begin with; the rate is then half as high.
        """
        part, rows = self.store.part(self.language, source, "train"), self.rows(source, minutes)
        copies = [self.items(source, "train", v) for v in self.store.speeds(self.language, source)]
        fits, clips = self.code["fits"], []
        for row in rows:
            clips.append([c[row] for c in copies if c[row] and fits(*c[row], self.answers)])
        data = list(filter(None, clips)), list(filter(None, self.items(source, "validation")))
        epochs = min(self.longest, math.ceil(STEPS / math.ceil(len(data[0]) / 8)))
        if self.quick:
            epochs, data = 1, (data[0][:16], data[1][:4])
        torch.manual_seed(self.seed)
        bands, symbols = self.code["BANDS"], len(self.charmap)
        model, training = self.code["FastCTC"](bands, symbols, layers=self.answers), Training()
        if start is not None:
            model.load_state_dict(start)
        self.code["fit"](
            training, model.to(self.device), data, epochs=epochs, batch_size=8, weight_decay=0.01,
            mask=None, peak=0.004 if start is None else 0.002, copies=None, longest=1.0,
            schedule="one cycle", seed=self.seed,
        )  # fmt: skip
        model.load_state_dict(training.best)
        return model, {
            "clips": len(data[0]), "minutes": round(sum(part.durations[list(rows)]) / 60, 2),
            "epochs": epochs, "seconds": round(training.seconds, 1),
            "validation": round(-training.best_score, 5),
        }  # fmt: skip

    def score(
        self, model: torch.nn.Module, source: str, marks: bool = False, alpha: float = 0.0
    ) -> Run:
        """Error rates on a test part.

        Parameters
        ----------
        marks : bool
            Also against texts with marks and without, whatever the network writes.
        alpha : float
            Also with the beam and n-grams of so much weight.
        """
        items, said = self.items(source, "test"), self.texts(source, "test")
        known = [row for row, item in enumerate(items) if item][: 4 if self.quick else None]
        frames = self.code["log_probs_of"](model, [items[row] for row in known])
        written = self.code["write_down"](frames)
        found = {"clips": len(known), "greedy": self.rates([said[row] for row in known], written)}
        if alpha:
            texts = self.code["decode"](frames, WIDTH, self.code["language_score"](alpha, 1.0))
            found["language model"] = self.rates([said[row] for row in known], texts)
        for kept in (True, False) if marks else ():
            table = alphabet.table(marks=kept)
            there = self.texts(source, "test", kept)
            texts = [self.code["normalise"](text, table) for text in written]
            name = "with marks" if kept else "without marks"
            found[name] = self.rates([there[row] for row in known], texts)
        return found

    def rates(self, said: list[str], written: list[str]) -> dict[str, float]:
        """CER and WER; spaces at the ends count for nothing."""
        texts, rate = [text.strip() for text in written], self.code["error_rate"]
        return {name: round(rate(said, texts, name == "wer"), 5) for name in ("cer", "wer")}

    def learn_language(self, model: torch.nn.Module, source: str, minutes: float | None) -> float:
        """Count n-grams of what the model was trained on; their best weight on validation."""
        items, rows = self.items(source, "train"), self.rows(source, minutes)
        ngram = self.code["ngram"] = self.code["NGram"](order=ORDER, symbols=len(self.charmap))
        ngram.fit([items[row][1] for row in rows if items[row]])
        trial = list(filter(None, self.items(source, "validation")))[: 2 if self.quick else TRIED]
        frames, grid = self.code["log_probs_of"](model, trial), {}
        for alpha in (0.2, 0.5, 0.8):
            texts = self.code["decode"](frames, WIDTH, self.code["language_score"](alpha, 1.0))
            grid[alpha] = self.rates(self.code["said"](trial), texts)["cer"]
        return min(grid, key=grid.get)

    def rescored(
        self, model: torch.nn.Module, source: str, minutes: float | None, tests: list[str]
    ) -> dict[str, Run]:
        """The best five texts of each clip: the first, the best, and the one that an LSTM takes."""
        items, rows = self.items(source, "train"), self.rows(source, minutes)
        torch.manual_seed(self.seed)
        network, start = self.code["NextLetter"](len(self.charmap)).to(self.device), time.time()
        texts = [items[row][1] for row in rows if items[row]]
        self.code["fit_texts"](network, texts, 1 if self.quick else LETTER_EPOCHS, self.seed)
        found = {"seconds of the LSTM": round(time.time() - start, 1)}
        weights: tuple[float, float] = (0.0, 0.0)
        for name, split in [(source, "validation"), *((test, "test") for test in tests)]:
            known = list(filter(None, self.items(name, split)))[: 2 if self.quick else None]
            known = known[:TRIED] if split == "validation" else known
            said = self.code["said"](known)
            five = self.code["best_five"](self.code["log_probs_of"](model, known))
            every = [text for texts in five for text, _ in texts]
            with torch.no_grad():
                language = dict(zip(every, (-self.code["text_losses"](network, every)).tolist(),
                                    strict=True))  # fmt: skip

            def rates(weight, reward, five=five, language=language, said=said):
                texts = self.code["choose"](five, language, weight, reward)
                return self.rates(said, [self.charmap.decode(text) for text in texts])

            if split == "validation":
                grid = itertools.product((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), (0.0, 0.5, 1.0))
                weights = min(grid, key=lambda given: rates(*given)["cer"])
                continue
            best = [
                min((self.charmap.decode(text) for text, _ in texts),
                    key=lambda text: sum(self.code["edit_distance"](right, text.strip())))
                for right, texts in zip(said, five, strict=True)
            ]  # fmt: skip
            found[name] = {
                "first": rates(0, 0), "rescored": rates(*weights), "oracle": self.rates(said, best),
            }  # fmt: skip
        return found | {"weights": weights}

    def without_listening(self, source: str) -> Run:
        """Error rates of nothing, and of the most frequent letter again and again."""
        letters = "".join(self.texts(source, "train")).replace(" ", "")
        often, said = max(sorted(set(letters)), key=letters.count), self.texts(source, "test")
        repeated = transcripts.repeated(f"{often} ", said)
        return {"nothing": self.rates(said, [""] * len(said)), often: self.rates(said, repeated)}


def some(part: common_voice.CommonVoice, minutes: float, seed: int) -> list[int]:
    """Clips drawn at random, until they last so many minutes."""
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(seed)).tolist()
    lasted = part.durations[order].cumsum()
    return sorted(order[: 1 + int((lasted < 60 * minutes).sum())])


def measured(store: Store, run: Run, device: torch.device, *options: Any) -> Run:
    """Train, and score: the record of a run; see :class:`Bench` for the options."""
    bench, source = Bench(store, run, device, *options), sources(run)[0]
    minutes = run["minutes"] if run.get("minutes") in MINUTES else None
    if run["study"] == "real":
        record: Run = {"without listening": bench.without_listening("real")}
        start = None
        if source == "embedded":
            model, about = bench.train(source)
            record |= about | {"test": bench.score(model, "real")}
            start = {name: value.cpu() for name, value in model.state_dict().items()}
        model, about = bench.train("real", minutes, start)
        record["on real"] = about | {"test": bench.score(model, "real")}
    else:
        model, record = bench.train(source, minutes)
        heard = run.get("minutes") == "all" or (minutes == 10 and run["language"] == "fr")
        alpha = bench.learn_language(model, source, minutes) if heard else 0.0
        record |= {"alpha": alpha} if heard else {}
        record["test"] = bench.score(model, "embedded", run["study"] == "marks", alpha)
        if run["study"] == "minutes":
            tests = ["embedded", "embedded:new_words"]
            record["new words"] = bench.score(model, tests[1], alpha=alpha)
            if heard:
                record["best five"] = bench.rescored(model, source, minutes, tests)
    return {"run": run, "device": str(device), **record}


def work(
    store: Store,
    next_run: Callable[[], Run | None],
    done: Callable[[Run | None], None],
    until: float,
    *options: Any,
) -> None:
    """Train in this process until nothing is left or it is too late; None says that it ends."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            device = select_device()
        while time.time() < until and (run := next_run()) is not None:
            with contextlib.redirect_stdout(sys.stderr):
                record = measured(store, run, device, *options)
            done(record)
    finally:
        done(None)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.worth", description="What data are worth."
    )
    parser.add_argument("studies", nargs="*", metavar="study", help=", ".join(STUDIES))
    parser.add_argument("--languages", nargs="+", help="codes, such as fr")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--real", type=Path, help="the folder of a release of Common Voice")
    parser.add_argument("--processes", type=int, default=1, help="that train at a time")
    parser.add_argument("--minutes", type=float, default=1e6, help="after which none is begun")
    parser.add_argument("--folder", type=Path, default=measure.FOLDER, help="of the measurements")
    parser.add_argument("--epochs", type=int, default=LONGEST, help="at most, of each training")
    parser.add_argument("--quick", action="store_true", help="one epoch with sixteen clips")
    options = parser.parse_args(arguments)
    if unknown := set(options.studies) - set(STUDIES):
        parser.error(f"{', '.join(sorted(unknown))}: a study is one of {', '.join(STUDIES)}")
    until = time.time() + 60 * options.minutes
    about = {"machine": measure.machine(), "torch": torch.__version__}

    def keep(record: Run | None) -> None:
        if record is None:
            return
        studies.add(NAME, record, about, options.folder)
        print(json.dumps(record), flush=True)

    torch.set_num_threads(1)  # what is forked must not have had threads of its own
    store = Store(options.real)
    known = [record["run"] for record in studies.study(NAME, options.folder)]
    chosen = options.studies or list(STUDIES)
    runs = wanted(chosen, options.languages, options.real, options.seeds)
    runs = [run for run in runs if run not in known and store.has_enough(run)]
    if not runs:
        return 0
    if options.processes == 1:
        work(store, iter([*runs, None]).__next__, keep, until, options.quick, options.epochs)
        return 0
    for run in runs:
        store.prepare(run)
    # Forked, not spawned: all processes share the features. No device may be touched before.
    context = multiprocessing.get_context("fork")
    waiting, done = context.Queue(), context.Queue()
    for run in [*runs, *[None] * options.processes]:
        waiting.put(run)
    for _ in range(options.processes):
        given = (store, waiting.get, done.put, until, options.quick, options.epochs)
        context.Process(target=work, args=given, daemon=True).start()
    for _ in range(options.processes):
        while (record := done.get()) is not None:
            keep(record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
