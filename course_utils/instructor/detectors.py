"""Measure the word detectors of stage 3: ``python -m course_utils.instructor.detectors FOLDER``.

Networks, features, training, events and counts are those of the solution notebook. Scenes of three
hours a kind are made; each network is trained for some seeds; the threshold is the highest at which
at most 8 % of the commands are missed in the validation scenes (or the fewest, where that is out of
reach); with it the test scenes are heard once. What lies in FOLDER is not made again, so a run that
was stopped goes on. ::

    python -m course_utils.instructor.detectors /tmp/detectors -j 8
    python -m course_utils.instructor.detectors /tmp/detectors --device cuda --minutes 6
    python -m course_utils.instructor.detectors /tmp/detectors --hours 0.02 --epochs 1 --seeds 0
    python -m course_utils.instructor.detectors /tmp/detectors --recordings --out detectors.json
"""

import argparse
import json
import math
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from course_utils import audio, exercises, files, runs, settings
from course_utils.corpora import common_voice, speech_commands
from course_utils.corpora.embedded import scenes
from course_utils.corpora.noises import kept_apart, parts_of
from course_utils.corpora.scenes import Scene, of_recordings
from course_utils.instructor import measure
from course_utils.instructor.alarms import COMMANDS, Code, Heard, rearmed, with_hard_ones

RULE = 0.08  # misses on validation
FIND = {"command": 0.5, "open": 0.2, "word": 0.15, "grammar": 0.15}
KINDS = tuple(scenes.MIX)
SPEAKERS = 40  # of the validation scenes, and others of the test scenes
NEEDED = (
    "CausalCNN", "SpeechLSTM", "answers", "fit_detector", "detector_features", "find_events",
    "count_events", "levels_of", "running_level", "stream_frames", "load_matching", "prepare",
    "spread_of", "TRAINING", "EPOCHS", "HOURS",
)  # fmt: skip
#: What is changed of the training of the causal CNN, one thing at a time.
ABLATIONS: dict[str, dict[str, Any]] = {
    "without a running level": {"level": False},
    "without the five worst frames": {"worst": 0.0},
    "without cut words": {"cut": False},
    "without sentences": {"silent": ("grammar", "open")},
    "without other single words": {"silent": ("word", "single")},
    "hard negatives mined": {"mined": True},
}
CNN, LSTM, WINDOWS = "causal CNN", "LSTM", "clip LSTM in windows"
BASE_LEVEL = -10.0  # dB, in place of a running level


@dataclass(frozen=True)
class Plan:
    """Where and how much."""

    folder: Path
    device: str
    hours: float  # of each kind of other sound in the test scenes; a third of it in validation
    epochs: int  # of 100 steps; 0: as the notebook has it
    until: float  # no ablation begins later, in seconds since 1970

    def hours_of(self, part: str) -> float:
        """Of each kind of other sound in a part."""
        return self.hours if part == "test" else self.hours / 3


def notebook() -> Code:
    """What notebook 03 defines."""
    [path] = (settings.CHECKOUT / "labsolutions").glob("03_*.ipynb")
    return exercises.definitions(path, NEEDED)


# --- sound --------------------------------------------------------------------------------------


def scene(plan: Plan, part: str, kind: str, processes: int = 1) -> Scene:
    """Find or make one of the scenes."""
    if part == "train":
        return scenes.make(
            "train", _minutes(plan.hours * notebook()["HOURS"] / 3), shares=notebook()["TRAINING"],
            speakers=160, noisy=0.0, pause=(0.03, 0.5), processes=processes,
        )  # fmt: skip
    hours = min(1.0, plan.hours) if kind == COMMANDS else plan.hours_of(part)
    shares = FIND if kind == COMMANDS else {kind: 1.0}
    return scenes.make(part, _minutes(hours), shares=shares, speakers=SPEAKERS, processes=processes)


def _minutes(hours: float) -> float:
    """A whole number where it is one: the recipe of a scene tells 60 from 60.0."""
    minutes = 60 * hours
    return int(minutes) if minutes == int(minutes) else minutes


def levels(plan: Plan, part: str, kind: str) -> Path:
    """What a stream makes of a scene, as `streamed` has it, kept in a folder."""
    place = plan.folder / "levels" / f"{part}-{kind}-{plan.hours:g}"
    if not place.is_dir():
        found = streamed(notebook(), scene(plan, part, kind).samples)
        unfinished = place.with_name(f"{place.name}.unfinished-{os.getpid()}")
        unfinished.mkdir(parents=True)
        for name, rows in found.items():
            np.save(unfinished / f"{name}.npy", rows)
        unfinished.rename(place)
    return place


def streamed(code: Code, sound: np.ndarray) -> dict[str, np.ndarray]:
    """Log-mel levels (frame, band) as a stream has them, and what a running level leaves."""
    window, minute = code["WINDOW"], 60 * code["RATE"]
    kept, state, plain, centred = torch.zeros(window // 2), None, [], []
    for start in range(0, len(sound), minute):
        chunk = torch.from_numpy(sound[start : start + minute].astype(np.float32) / 32768)
        frames, kept = code["stream_frames"](chunk, kept, window, code["HOP"])
        if len(frames):
            level = code["levels_of"](frames[None], 0)
            values, state = code["running_level"](level, code["DECAY"], state)
            plain.append(level[0].T.half())
            centred.append(values[0].T.half())
    return {"plain": torch.cat(plain).numpy(), "centred": torch.cat(centred).numpy()}


# --- networks -----------------------------------------------------------------------------------


def clip_network(plan: Plan, seed: int) -> runs.Trained:
    """The LSTM of the stage's second sitting, trained as in the notebook."""
    os.environ["COURSE_RUNS"] = str(plan.folder / "runs")
    code = notebook()
    corpus = speech_commands.load(words=speech_commands.COMMANDS, verbose=False)
    noises = corpus.background_noise()
    spread = code["spread_of"](corpus.split("train").tensors()[0])
    code |= {
        "corpus": corpus, "SEED": seed, "device": torch.device(plan.device), "SPREAD": spread,
        "train_noises": parts_of(noises, kept_apart(noises)[0], 0, 0.7),
        "shift": audio.shift,
    }  # fmt: skip
    [path] = (settings.CHECKOUT / "labsolutions").glob("03_*.ipynb")
    [cell] = [cell for cell in exercises.read(path).cells if cell.id == "train-or-load"]
    exec(cell.source, code)  # one statement, and no definition: the trainer and its settings
    return code["train_network"]("lstm-all", code["SpeechLSTM"], show=False)


def train(plan: Plan, name: str, seed: int) -> Path:
    """Train one network, or find its weights."""
    path = plan.folder / "weights" / f"{name}-{seed}.pt"
    if path.is_file():
        return path
    torch.set_num_threads(1)
    code, changes = notebook(), dict(ABLATIONS.get(name, {}))
    found = scene(plan, "train", "")
    words = list(speech_commands.COMMANDS)
    sound = torch.from_numpy(np.array(found.samples))
    silent, mined = changes.pop("silent", ()), changes.pop("mined", False)
    for row in found.rows:
        if row.kind in silent:
            sound[round(row.start * code["RATE"]) : round(row.end * code["RATE"])] = 0
    spoken = [row for row in found.rows if row.kind not in silent]
    table = torch.tensor(
        [
            (row.start, row.end, words.index(row.text) if row.kind == "command" else len(words))
            for row in spoken
        ]
    )
    noises = speech_commands.load(words=words, verbose=False).background_noise()
    noises = parts_of(noises, kept_apart(noises)[0], 0, 0.7)
    torch.manual_seed(seed)
    about: dict[str, Any] = {"name": name, "seed": seed, "device": plan.device}
    epochs = plan.epochs or code["EPOCHS"]
    features, options = code["detector_features"], {"peak": 0.01}
    if name == LSTM:
        clip = clip_network(plan, seed)
        network = code["SpeechLSTM"](len(words) + 1)
        code["load_matching"](network, clip.network.cpu().state_dict())
        with torch.no_grad():  # the ten words' rows, too; the eleventh begins at random
            network.output.weight[:-1] = clip.network.output.weight
            network.output.bias[:-1], network.output.bias[-1] = clip.network.output.bias, 0
        spread = clip.features.keywords["spread"].cpu()
        about |= {"spread": spread, "clip": clip.network.state_dict(), "clip_seconds": clip.seconds}
        options = {"peak": 0.004}
        features = partial(features, coefficients=code["COEFFICIENTS"], spread=spread)
    else:
        network = code["CausalCNN"](len(words) + 1)
    if not changes.pop("level", True):
        features = without_level(code)
    data = [sound, table, noises, features]
    if mined:
        data[:2] = with_hard_ones(code, torch.load(train(plan, CNN, seed))["weights"], data, words)
    data[0] = data[0].to(plan.device)
    network.to(plan.device)
    started, busy = time.perf_counter(), time.process_time()
    fit = {"batch_size": 4 if settings.quick() else 24, "seed": seed} | options | changes
    code["fit_detector"](runs.Training(), network, data, epochs=epochs, **fit)
    about |= {
        "seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - busy,
        "steps": 100 * epochs, "weights": network.cpu().eval().state_dict(),
    }  # fmt: skip
    with files.replace_with(path) as temporary:
        torch.save(about, temporary)
    return path


def without_level(code: Code) -> Callable[[torch.Tensor], torch.Tensor]:
    """Features whose level is fixed."""

    def features(waveforms):
        frames = code["frame"](waveforms, code["WINDOW"], code["HOP"])
        return (code["levels_of"](frames, 0) - BASE_LEVEL) / 10

    return features


# --- what they say ------------------------------------------------------------------------------


def listened(plan: Plan, name: str, seed: int, part: str) -> Heard:
    """What a network says of all scenes of a part."""
    code, about = notebook(), torch.load(train(plan, LSTM if name == WINDOWS else name, seed))
    found = {kind: scene(plan, part, kind) for kind in (COMMANDS, *KINDS)}
    sound = {kind: levels(plan, part, kind) for kind in found} if name != WINDOWS else {}
    level = "centred" if ABLATIONS.get(name, {}).get("level", True) else "plain"
    rows = {kind: np.load(place / f"{level}.npy", mmap_mode="r") for kind, place in sound.items()}
    return answered(plan.device, code, name, about, found, rows)


@torch.no_grad()
def answered(
    device: str, code: Code, name: str, about: dict[str, Any], found: dict[str, Scene],
    levels: dict[str, np.ndarray],
) -> Heard:
    """What a network says of some scenes, whose levels are given (windows need none)."""
    words, rate = list(speech_commands.COMMANDS), code["RATE"]
    kind = "CausalCNN" if name not in (LSTM, WINDOWS) else "SpeechLSTM"
    network = code[kind](len(words) + (name != WINDOWS))
    network.load_state_dict(about["clip" if name == WINDOWS else "weights"])
    network.to(device).eval()
    if name == WINDOWS:
        options = {"hop": 0.1, "first": 1.0, "after": 1.0}
        rows = {
            kind: in_windows(device, code, network, about["spread"], each.samples)
            for kind, each in found.items()
        }
    else:
        options = {"hop": code["HOP"] / rate, "first": code["WINDOW"] / 2 / rate}
        rows = {
            kind: in_frames(device, code, network, about, each) for kind, each in levels.items()
        }
    return Heard(found, rows, words, code["find_events"], code["count_events"], **options)


def in_windows(
    device: str, code: Code, network: torch.nn.Module, spread: torch.Tensor, samples: np.ndarray
) -> np.ndarray:
    """Probabilities of the words in windows of a second, every 100 ms."""
    rate, rows = code["RATE"], []
    for start in range(0, len(samples) - rate, 60 * rate):
        x = torch.from_numpy(samples[start : start + 61 * rate - rate // 10].astype(np.float32))
        windows = (x / 32768).unfold(0, rate, rate // 10)[:600, None].to(device)
        rows.append(network(code["prepare"](windows, spread)).softmax(dim=1).cpu().half().numpy())
    return np.concatenate(rows)


def in_frames(
    device: str, code: Code, network: torch.nn.Module, about: dict[str, Any], levels: np.ndarray
) -> np.ndarray:
    """Probabilities of the words, frame by frame, with the state carried on."""
    x = torch.from_numpy(np.array(levels)).float()
    if about["name"] == LSTM:
        x = x @ code["cosines"]()[:, : code["COEFFICIENTS"]] / about["spread"][:, 0]
    elif ABLATIONS.get(about["name"], {}).get("level", True):
        x = x / 10
    else:
        x = (x - BASE_LEVEL) / 10
    state, rows = None, []
    for chunk in x.split(5000):
        log_p, state = code["answers"](network, chunk.T[None].to(device), state)
        rows.append(log_p[0, :, :-1].exp().cpu().half().numpy())
    return np.concatenate(rows)


def score(plan: Plan, name: str, seed: int) -> Path | None:
    """Choose the threshold on validation, and hear the test scenes once; None if it is too late."""
    path = plan.folder / "scores" / f"{name}-{seed}.json"
    if path.is_file():
        return path
    if name in ABLATIONS and time.time() > plan.until:
        return None
    torch.set_num_threads(1)
    about = torch.load(train(plan, LSTM if name == WINDOWS else name, seed))
    validation, test = (listened(plan, name, seed, part) for part in ("validation", "test"))
    ways: dict[str, dict[str, Any]] = {"": {}}
    if name == CNN:
        twice = {"find_events": rearmed(validation.find_events)}
        ways |= {"two thresholds": twice, "refractory 0.5 s": {"rest": 0.5}}
    if name in (CNN, LSTM, WINDOWS):
        ways |= {f"mean of {frames}": {"smooth": frames} for frames in (1, 10)}
    content: dict[str, Any] = {
        key: about[key] for key in ("seed", "device", "steps", "seconds", "cpu_seconds")
    } | {"name": name, "ways": {}}
    for way, changes in ways.items():
        chosen_on, heard = replace(validation, **changes), replace(test, **changes)
        threshold, reached = chosen_on.operating_point(RULE)
        own, possible = heard.operating_point(0.1)
        content["ways"][way] = {
            "rule_reached": reached,
            "validation": chosen_on.score(threshold),
            "test": heard.score(threshold),
            "test_curve_at_10": heard.score(own) if possible else None,
        }
    if name not in ABLATIONS:
        content["curves"] = {"validation": validation.curve(), "test": test.curve()}
    with files.replace_with(path) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")
    return path


# --- all of it ----------------------------------------------------------------------------------


def run(plan: Plan, seeds: list[int], processes: int, out: Path, ablations: list[str]) -> None:
    """Make and measure what is not there yet: scenes and the chief networks, then the rest.

    The clip network in windows, which is slow to hear, is measured for the first seed alone.
    """
    speech_commands.load(verbose=False)  # built by all processes, once
    told("the corpus")
    scene(plan, "train", "", processes)
    told("the scene of training")
    spawn = multiprocessing.get_context("spawn")
    chief = [(name, seed) for name in (CNN, LSTM) for seed in seeds]
    sounds = [(part, kind) for part in ("test", "validation") for kind in (COMMANDS, *KINDS)]
    long = [(part, kind) for part, kind in sounds if part == "test" and kind in scenes.SECONDS]
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        # What takes longest begins first.
        jobs = [pool.submit(levels, plan, *sound) for sound in long]
        jobs += [pool.submit(train, plan, *job) for job in chief]
        jobs += [pool.submit(levels, plan, *sound) for sound in sounds if sound not in long]
        for job in as_completed(jobs):
            _finished(job)
        chief.append((WINDOWS, seeds[0]))
        jobs = [pool.submit(score, plan, *job) for job in chief]
        jobs += [pool.submit(score, plan, name, seed) for seed in seeds for name in ablations]
        for job in as_completed(jobs):
            _finished(job)
            keep(plan, out)


def _finished(job: Future) -> None:
    """Say what is done; what failed is said, and the others go on."""
    try:
        path = job.result()
        told("an ablation is left out" if path is None else path.name)
    except Exception as error:
        told(f"failed: {error!r}")


def recordings(device: str, file: Path) -> None:
    """Add to a file of results what its networks do on real recordings, all of them unheard.

    Commands, other words and noises are those of ``COURSE_SPEECH_COMMANDS``, and sentences in
    English those of ``COURSE_COMMON_VOICE``; each is heard once.
    """
    corpus = speech_commands.load(verbose=False)
    if corpus.synthetic:
        raise SystemExit("Set COURSE_SPEECH_COMMANDS to recordings: these are synthetic.")
    spoken = common_voice.load("en", verbose=False)
    noises, words = corpus.background_noise(), set(speech_commands.COMMANDS)
    commands = sum(word in words for word in corpus.spoken)
    minutes = {COMMANDS: commands, "word": len(corpus) - commands, "noise": 1200}
    minutes = {kind: math.floor(clips * 1.9 / 60) for kind, clips in minutes.items()}
    if not spoken.synthetic:
        minutes["open"] = math.floor(sum(len(clip[0][0]) / 16_000 + 0.9 for clip in spoken) / 60)
    found = {
        kind: of_recordings(
            corpus, noises, length, spoken=None if spoken.synthetic else spoken,
            shares={"command" if kind == COMMANDS else kind: 1.0}, noisy=0.0,
        )
        for kind, length in minutes.items()
    }  # fmt: skip
    code, content = notebook(), json.loads(file.read_text(encoding="utf-8"))
    sounds = {kind: streamed(code, each.samples)["centred"] for kind, each in found.items()}
    kept, rows = torch.load(file.with_suffix(".pt")), []
    for item in content["detectors"]:
        if item["name"] in (CNN, LSTM):
            about = kept[f"{item['name']}-{item['seed']}"]
            heard = answered(device, code, item["name"], about, found, sounds)
            least, _ = heard.operating_point(0.1)
            rows.append({
                "name": item["name"], "seed": item["seed"],
                "chosen_before": heard.score(item["ways"][""]["test"]["threshold"]),
                "least_missed": heard.score(least),
            })  # fmt: skip
            told(f"{item['name']}, seed {item['seed']}")
    content["recordings"] = {"corpus": corpus.name, "detectors": rows}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")


def told(what: str) -> None:
    """Say what is done, and when."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def keep(plan: Plan, out: Path) -> None:
    """Write all scores so far as a file of measurements, and the chief networks beside it."""
    paths = sorted((plan.folder / "scores").glob("*.json"))
    content = {
        "date": date.today().isoformat(),
        "machine": measure.machine(),
        "versions": {name: metadata.version(name) for name in measure.PACKAGES},
        "runs": [],
        "records": [],
        "mix": scenes.MIX,
        "rule": RULE,
        "detectors": [json.loads(path.read_text(encoding="utf-8")) for path in paths],
    }
    with files.replace_with(out) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8", newline="\n")
    chief = [
        path
        for path in (plan.folder / "weights").glob("*.pt")
        if path.stem.rpartition("-")[0] in (CNN, LSTM)
    ]
    with files.replace_with(out.with_suffix(".pt")) as temporary:
        torch.save({path.stem: torch.load(path) for path in chief}, temporary)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.detectors",
        description="Measure the word detectors of stage 3.",
    )
    parser.add_argument("folder", type=Path, help="where it works; a later run goes on there")
    parser.add_argument(
        "--out", type=Path, help="the file of results; default FOLDER/detectors.json"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("-j", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--hours", type=float, default=3.0, help="of each kind in the test scenes")
    parser.add_argument(
        "--epochs", type=int, default=0, help="of 100 steps; default the notebook's"
    )
    parser.add_argument("--ablations", nargs="*", default=list(ABLATIONS), metavar="NAME")
    parser.add_argument("--minutes", type=float, default=1e6, help="after them no ablation begins")
    parser.add_argument("--recordings", action="store_true", help="add real speech to --out")
    options = parser.parse_args(arguments)
    if options.recordings:
        recordings(options.device, options.out)
        return 0
    for name in ("weights", "scores", "levels"):
        (options.folder / name).mkdir(parents=True, exist_ok=True)
    plan = Plan(
        options.folder.resolve(), options.device, options.hours, options.epochs,
        time.time() + 60 * options.minutes,
    )  # fmt: skip
    out = options.out or plan.folder / "detectors.json"
    run(plan, options.seeds, options.j, out, options.ablations)
    return 0


if __name__ == "__main__":
    sys.exit(main())
