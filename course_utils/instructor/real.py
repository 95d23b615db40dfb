"""The stages' headlines on the published tasks: ``measure --real v0.02``.

For somebody with a network and an evening. It downloads Speech Commands v0.02 and the published
test clips of the 12 classes, trains what the solution notebooks define, and adds each result to
the file of measurements as soon as it is there. Killed and started again, it goes on: a download
where it broke off, a training at its last epoch, and what is in the file is not run again.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from course_utils import audio, exercises, results, settings
from course_utils.corpora import archives, speech_commands
from course_utils.corpora.noises import kept_apart, parts_of
from course_utils.corpora.official import TASKS
from course_utils.device import select_device
from course_utils.runs import Trainer, epochs_for, in_batches, train_or_load


@dataclass(frozen=True)
class Step:
    """One headline."""

    stage: int
    model: str  # what the table of results calls it
    task: str  # a key of `TASKS`
    epochs: int
    clips: int  # of v0.02's training part, for the estimate
    goal: str  # from the literature: no result


STEPS = (
    Step(1, "MLP on raw samples", "35", 10, 84_843, "a failure, as on every corpus"),
    Step(1, "MLP on log-mel", "35", 20, 84_843, "–"),
    Step(2, "raw-waveform CNN", "35", 10, 84_843, "88 %, at most 27,000 parameters"),
    Step(3, "LSTM", "12", 16, 36_923, "95 %, at most 100,000 parameters"),
)


def run(
    source: str, seeds: Iterable[int], file: Path, merge: Callable[..., None]
) -> None:
    """Measure what is not measured yet.

    Parameters
    ----------
    source : str
        ``"v0.02"``, or a folder in its layout.
    seeds : iterable of int
    file : Path
        The file of measurements; all files beside it are looked through for what is done.
    merge : callable
        As :func:`course_utils.instructor.measure.merge`.
    """
    seeds = list(seeds)
    print("\n".join(estimate(len(seeds))), flush=True)
    if source in archives.TEST_SETS:
        archives.downloaded(source)
        archives.downloaded(source, archives.TEST_SETS)
    for step in STEPS:
        for seed in seeds:
            name = f"headline of stage {step.stage}: {step.model}, {TASKS[step.task]}"
            about = {"notebook": name, "source": Path(source).name, "seed": seed}
            if about in _done(file.parent):
                print(f"{name}, seed {seed}: measured before", flush=True)
                continue
            result = _measured(step, source, seed)
            merge(file, [result], [about | {"seconds": round(result.seconds, 1)}])
            print(f"{name}, seed {seed}: {result.value:.1%}, {result.seconds:.0f} s", flush=True)


def _done(folder: Path) -> list[dict]:
    """Runs that stand in a file of measurements, without their seconds."""
    names = ("notebook", "source", "seed")
    return [
        {name: run_of.get(name) for name in names}
        for path in sorted(folder.glob("*.json"))
        for run_of in json.loads(path.read_text(encoding="utf-8")).get("runs", [])
    ]


def estimate(seeds: int) -> list[str]:
    """How long it takes on one thread of a CPU, and what that is reckoned from."""
    known: dict[tuple[int, str], results.Result] = {}
    for result, _ in results.references():
        usual = result.variant == ("augmented" if result.stage == 3 else "") and not result.noise
        if result.tested_on == result.trained_on == "embedded" and usual:
            known[result.stage, result.model] = result
    lines, total = ["Estimated on one thread of a CPU, from what the embedded corpus took:"], 0.0
    for step in STEPS:
        basis = known.get((step.stage, step.model))
        if basis is None:
            lines.append(f"  {step.model}: no measurement to reckon from")
            continue
        each = basis.seconds / (basis.train_clips * _epochs_of(step, basis.train_clips))
        seconds = seeds * each * step.clips * step.epochs
        total += seconds
        lines.append(
            f"  {step.model}, {TASKS[step.task]}: {seconds / 3600:.2f} h for {seeds} seeds "
            f"({1000 * each:.2f} ms a clip and epoch, {step.clips:,} clips, {step.epochs} epochs)"
        )
    lines.append(
        f"  together {total / 3600:.1f} h, beside the download of 2.5 GB and its decoding; 8 GB of "
        "memory"
    )
    return lines


def _epochs_of(step: Step, clips: int) -> int:
    """Epochs of the training that was measured on the embedded corpus."""
    if step.stage == 1:
        return step.epochs
    heard, fewest = {2: (40_000, 10), 3: (51_200, 1)}[step.stage]
    return epochs_for(clips, heard, fewest)


def _measured(step: Step, source: str, seed: int) -> results.Result:
    """Train a headline, or go on with it, and score it on the test part."""
    corpus = speech_commands.load(source, task=step.task, verbose=False)
    device = select_device()
    path = next((settings.CHECKOUT / "labsolutions").glob(f"0{step.stage}_*.ipynb"))
    space = exercises.definitions(path)
    space |= {"SEED": seed, "device": device}
    space.setdefault("shift", audio.shift)  # stage 2 takes it from there by an assignment
    epochs = 2 if settings.quick() else step.epochs
    train = {1: _stage_1, 2: _stage_2, 3: _stage_3}[step.stage]
    network, checkpoint, right = train(step, space, corpus, epochs, seed, device)
    with tempfile.TemporaryDirectory() as private:  # not among a student's results
        return results.record(
            step.model, network, float(right.mean()), stage=step.stage, run=checkpoint,
            trained_on=corpus, task=corpus.task, right=right,
            variant="augmented" if step.stage == 3 else "", path=Path(private, "results.json"),
        )


def _parts(corpus: Any, ready: Callable) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Inputs and labels of training, validation and test."""
    for split in speech_commands.SPLITS:
        x, y = corpus.split(split).tensors()
        yield in_batches(ready, x), y


def _right(network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> Any:
    return (in_batches(network.eval(), x).argmax(dim=1) == y).cpu().numpy()


def _stage_1(step: Step, space: dict, corpus: Any, epochs: int, seed: int, device: Any) -> tuple:
    features = space["LogMel"]() if "mel" in step.model else torch.nn.Identity()
    with torch.no_grad():
        parts = [tuple(t.to(device) for t in part) for part in _parts(corpus, features)]
    network, checkpoint = train_or_load(
        f"official-{step.model}".replace(" ", "-"), space["SpeechMLP"],
        {"classes": len(corpus.words), "inputs": parts[0][0].shape[2]}, space["fit"], parts[:2],
        stage=1, corpus=corpus, seed=seed, device=device, show=False,
        keep="best" if "mel" in step.model else "last",
        settings={"epochs": epochs, "batch_size": 64, "learning_rate": 1e-3, "seed": seed},
    )
    return network, checkpoint, _right(network, *parts[2])


def _stage_2(step: Step, space: dict, corpus: Any, epochs: int, seed: int, device: Any) -> tuple:
    parts = [tuple(t.to(device) for t in part) for part in _parts(corpus, space["halve_rate"])]
    network, checkpoint = train_or_load(
        "official-cnn", space["WaveformCNN"], {"classes": len(corpus.words)}, space["fit"],
        parts[:2], stage=2, corpus=corpus, seed=seed, device=device, show=False,
        features=space["halve_rate"],
        settings={
            "schedule": "one cycle", "peak": 0.01, "augmented": True, "batch_size": 64,
            "epochs": epochs, "seed": seed,
        },
    )
    return network, checkpoint, _right(network, *parts[2])


def _stage_3(step: Step, space: dict, corpus: Any, epochs: int, seed: int, device: Any) -> tuple:
    noises = corpus.background_noise()
    met, _ = kept_apart(noises)
    waveforms = corpus.split("train").tensors()[0]
    trainer = Trainer(
        space["fit"], space["evaluate"], stage=3, corpus=corpus, seed=seed, device=device,
        features=space["prepare"], given={"spread": space["spread_of"](waveforms)},
        noises=parts_of(noises, met, 0, 0.7), heard=epochs * len(waveforms),
        effects=space["EFFECTS"], batch_size=64, peak=0.008, schedule="one cycle",
    )
    trained = trainer("official-lstm", space["SpeechLSTM"], epochs=epochs, show=False)
    right = trained.right(*corpus.split("test").tensors())
    return trained.network, trained.run, right.numpy()


MARKS = ("<!-- official: made by a command -->", "<!-- end of official -->")


def table() -> list[dict[str, str]]:
    """Rows for the README: each task with its goal, and what was reached, if anybody sent it."""
    rows = []
    for step in STEPS:
        wanted = (step.stage, step.model, TASKS[step.task], "v0.02", "v0.02")
        names = ("stage", "model", "task", "trained_on", "tested_on")
        same = [r for r, _ in results.references() if results.identity(r, names) == wanted]
        reached = results.mean_and_spread(each.value for each in same) + " %" if same else ""
        rows.append(
            {
                "stage": str(step.stage), "model": step.model,
                "task": f"v0.02, {TASKS[step.task]}, official lists", "goal": step.goal,
                "measured": reached or "nobody yet: send it in",
            }
        )
    return rows
