"""Check of what stands before a network that is asked: any length, rate, number of channels."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils import audio
from course_utils.checks.core import Watched, attempt, chance, check, fail, generator, passed
from course_utils.checks.stage2.records import as_recorded

# 2.10 - Predict one clip of any length and rate


class _Ear(nn.Module):
    """Hears patterns in one second, however loud: a stand-in that is quick."""

    def __init__(self, words: int):
        super().__init__()
        self.patterns = nn.Parameter(torch.randn(8000, words, generator=generator(210)))
        self.bias = nn.Parameter(torch.randn(words, generator=generator(211)))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape != (1, 1, 8000):
            return self.bias.expand(len(x), -1)  # the check will say what is wrong
        return 2 * F.normalize(x[0], eps=1e-30) @ self.patterns + self.bias


def _loudest(x: Tensor, power: int = 2) -> int:
    energy = F.pad((x[0].double() ** power).cumsum(0), (1, 0))
    return int((energy[8000:] - energy[:-8000]).argmax())


def _predict(
    model: nn.Module, words: list[str], x: Tensor, rate: int, *,
    silent: Callable = lambda x: not x.any(), begin: Callable = lambda x: x, when: int = 0,
    order: Sequence[int] = (0, 1), mono: Callable = lambda x: x.mean(dim=0, keepdim=True),
    many: str = "", resample: bool = True, counted: bool = True,
    pad: Callable = lambda x, n: F.pad(x, (0, n)), start: Callable = _loudest,
    training: bool = False, gradients: bool = False, ready: Callable = lambda x: x[None],
    share: Callable = lambda x: x.softmax(dim=1)[0],
) -> tuple:
    """By the task; each argument behind the star is a way to go wrong."""
    silence, notes, given = (None, 0.0, ["silence"]), [], x.shape[1]
    if when == 0 and silent(x):
        return silence
    x = begin(x)
    for step in order:
        if step == 0 and len(x) > 1:
            notes.append(f"averaged {many or len(x)} channels")
            x = mono(x)
        if step == 1 and rate != 8000:
            notes.append(f"resampled from {rate} Hz")
            x = audio.resample(x, rate, 8000) if resample else x
        if step == 0 and when == 1 and silent(x):
            return silence
    n = x.shape[1] if counted else given
    if x.shape[1] < 8000:
        notes.append(f"padded from {n} samples")
        x = pad(x, 8000 - x.shape[1])
    elif x.shape[1] > 8000:
        notes.append(f"kept the loudest second of {n} samples")
        x = x[:, start(x) :][:, :8000]
    model.train(training)
    with torch.set_grad_enabled(gradients):
        shares = share(model(ready(x))).detach()
    if when == 2 and silent(x):
        return silence
    best = int(shares.argmax())
    return words[best], float(shares[best]), notes


PREDICT_MISTAKES: dict[str, Callable] = {
    cause: functools.partial(_predict, **mistake)
    for cause, mistake in {
        "look for silence first, and return: every sample is zero": dict(when=3),
        "look for silence before you ask the network": dict(when=2),
        "look for silence before you average: channels may cancel": dict(when=1),
        "silence is when every sample is zero; a quiet clip is none":
            dict(silent=lambda x: x.abs().max() < 0.01),
        "silence is when every sample is zero, and not their sum":
            dict(silent=lambda x: x.sum() == 0),
        "silence is when every sample is zero: they may all be below 0":
            dict(silent=lambda x: x.max() <= 0),
        "average, then resample, then count samples at 8 kHz; the task has the words":
            dict(order=(1, 0)),
        "a clip may have more than two channels: count them": dict(many="2"),
        "the mean of the channels, not their sum": dict(mono=lambda x: x.sum(0, keepdim=True)),
        "the mean of the channels, not the first": dict(mono=lambda x: x[:1]),
        "resample what is not at 8 kHz": dict(resample=False),
        "N counts samples at 8 kHz, not those of before": dict(counted=False),
        "the second whose squares have the largest sum, not the first or a peak":
            dict(start=lambda x: 0),
        "energy: the sum of squares, not of samples": dict(start=lambda x: _loudest(x, 1)),
        "a second may start at any sample, not each 10 ms only":
            dict(start=lambda x: 80 * round(_loudest(x) / 80)),
        "entry n of the running sum is to be the energy of the first n samples: a 0 in front":
            dict(start=lambda x: min(_loudest(x) + 1, x.shape[1] - 8000)),
        "the clip as it is, then zeros: F.pad(waveform, (0, missing))":
            dict(pad=lambda x, n: F.pad(x, (n, 0))),
        "call model.eval() before you predict": dict(training=True),
        "with torch.no_grad():": dict(gradients=True),
        "one second at 8 kHz, with a batch axis: waveform[None]": dict(ready=lambda x: x),
        "softmax(dim=1) of the logits, then float()": dict(share=lambda x: x[0]),
        "the samples as they are, neither louder nor softer":
            dict(begin=lambda x: x / x.abs().max()),
    }.items()
}


def _clips() -> list[tuple[Tensor, int]]:
    """Waveforms and their rates: of all lengths, one of them quiet, some that cancel, silence."""
    sizes, random = chance(212), generator(212)

    def noise(channels: int, samples: int) -> Tensor:  # in steps of 1/128: sums are exact
        return torch.randint(-64, 65, (channels, samples), generator=random) / 128

    def long(before: int, after: int) -> Tensor:
        loud = 0.9 * (2 * torch.rand(1, 8000, generator=random) - 1) ** 3
        loud[0, [0, -1]] = 0.9  # so that there is only one loudest second
        quiet = 0.02 * noise(1, before + after)
        quiet[:, 10:8010] += 0.25  # an offset has a large sum, but little energy
        quiet[0, 20] = 1  # nor has a click
        return torch.cat([quiet[:, :before], loud, quiet[:, before:]], dim=1)

    short, many = noise(1, sizes.randint(1800, 2600)), sizes.randint(3, 5)
    stereo = noise(2, 44_100) * torch.tensor([[1.0], [0.5]])
    several = noise(many, sizes.randint(9000, 12_000)) * torch.arange(many)[:, None] / many
    cancel, begin = noise(1, 8000), 8100 + 80 * sizes.randint(1, 60)
    return [
        (1e-9 * noise(1, 8000), 8000),
        (short, 8000),
        (long(begin + sizes.randint(10, 30), sizes.randint(900, 4000)), 8000),
        (long(begin + sizes.randint(10, 30), 0), 8000),
        (stereo, 44_100),
        (noise(1, 24_000 + 2 * sizes.randint(1, 99)), 16_000),
        (several, 22_050),
        (noise(1, 16_000), 16_000),
        (noise(1, sizes.randint(3000, 5000)), 6000),
        (torch.cat([cancel, -cancel]), 8000),
        (torch.cat([short, -short], dim=1), 8000),
        (F.pad(-short.abs(), (sizes.randint(3, 99), 0)), 8000),
        (torch.zeros(1, 5000), 16_000),
        (-torch.zeros(2, 44_100), 44_100),
    ]


@check("2.10", PREDICT_MISTAKES, draws=False, trains=True)
def predict(answer: Callable) -> None:
    """Clips of any length, rate and number of channels reach the network as one second.

    ``answer(model, words, waveform (channel, time), sample_rate) -> word, p, notes``
    """
    words = chance(210).sample(["one", "two", "three", "four", "five", "six"], 5)
    clips, ear = _clips(), _Ear(len(words))

    def heard(function: Callable) -> Iterator[dict]:
        for waveform, rate in clips:
            model = Watched(ear).train()
            result = attempt(function, model, words, waveform, rate)
            if not (isinstance(result, tuple | list) and len(result) == 3):
                fail("(word, probability, notes)", type(result).__name__, "return three things")
            trained, recorded, seen = zip(*model.calls, strict=True) if model.calls else ((),) * 3
            yield {
                "notes": result[2], "calls of the network": len(seen),
                "shape of a batch": [tuple(x.shape) for x in seen], "train mode": list(trained),
                "gradients": list(recorded), "a sample": seen[0] if seen else None,
                "word": result[0], "probability": result[1],
            }  # fmt: skip

    otherwise = {
        "notes": "average, then resample, then count samples at 8 kHz; the task has the words",
        "calls of the network": "look for silence first; about all else ask the network once",
        "shape of a batch": "one second at 8 kHz, with a batch axis: waveform[None]",
        "train mode": "call model.eval() before you predict",
        "gradients": "with torch.no_grad():",
        "a sample": "the clip as it is, then zeros, or its second with the most energy",
        "word": "argmax over the classes (dim=1), then the word at that position",
        "probability": "softmax(dim=1) over the classes, at the word that was found; then float()",
    }
    mistakes = {cause: functools.partial(heard, make) for cause, make in PREDICT_MISTAKES.items()}
    as_recorded(list(heard(answer)), functools.partial(heard, _predict), mistakes, otherwise)
    passed(f"{len(clips)} clips, short and long, loud, quiet and silent: each was handled and said")
