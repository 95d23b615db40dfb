"""What every model of stages 1 to 4 costs: ``python -m course_utils.instructor.prices``.

Networks and features are those that the solution notebooks define; nothing is trained, for a cost
does not depend on the weights. Results go to the file of measurements. Times are of one clip, on
one thread of the machine that the file names, from samples to answer.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import nn

from course_utils import costs, exercises, results, settings
from course_utils.instructor import measure

Priced = tuple[int, str, nn.Module, tuple[torch.Tensor, ...], float, Callable | None]


def _defined(folder: Path, stage: int) -> dict[str, Any]:
    path = next(folder.glob(f"0{stage}_*.ipynb"))
    return exercises.definitions(path)


def models(folder: Path) -> Iterator[Priced]:
    """Stage, name, network, what it gets, seconds of the clip, and samples to answer."""
    second = torch.randn(1, 1, 16_000, generator=torch.Generator().manual_seed(0)) / 10
    one, two, three, four = (_defined(folder, stage) for stage in (1, 2, 3, 4))
    raw = one["SpeechMLP"](10)
    yield 1, "MLP on raw samples", raw, (second,), 1.0, None
    log_mel = one["LogMel"]()
    features = log_mel(second)
    mlp = one["SpeechMLP"](10, features.shape[2])
    yield 1, "MLP on log-mel", mlp, (features,), 1.0, lambda: mlp(log_mel(second))
    half = second[..., ::2].contiguous()
    for name, kind in (
        ("raw-waveform CNN", "WaveformCNN"), ("log-mel ResNet (given)", "LogMelResNet"),
        ("2-D CNN on log-mel (given)", "ImageCNN"),
    ):
        if kind in two:
            yield 2, name, two[kind](10), (half,), 1.0, None
    spread = torch.ones(three["COEFFICIENTS"], 1)

    def prepared() -> torch.Tensor:
        return three["prepare"](second, spread)

    lstm = three["SpeechLSTM"](10)
    yield 3, "LSTM", lstm, (prepared(),), 1.0, lambda: lstm(prepared())
    sentence = second[0].repeat(1, 4)  # four seconds
    ctc = four["SpeechCTC"](four["BANDS"], 29)

    def heard() -> tuple[torch.Tensor, torch.Tensor]:
        frames = four["log_mel"](sentence)[None]
        return frames, torch.tensor([frames.shape[2]])

    yield 4, "CTC", ctc, heard(), 4.0, lambda: ctc(*heard())


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.prices", description="What the models cost."
    )
    parser.add_argument("--calls", type=int, default=200, help="how often each clip is timed")
    options = parser.parse_args(arguments)
    found, rows = [], []
    for stage, name, network, inputs, seconds, whole in models(
        settings.CHECKOUT / "labsolutions"
    ):
        cost = costs.of(network, *inputs, seconds=seconds, calls=options.calls, whole=whole)
        found.append({"stage": stage, "model": name, "seconds": seconds} | asdict(cost))
        rows.append({"Stage": str(stage), "Model": name} | costs.row(cost))
    print(results.Table(rows, "One clip, on one thread"))
    measure.merge(measure.FOLDER / f"{date.today().isoformat()}.json", [], [], costs=found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
