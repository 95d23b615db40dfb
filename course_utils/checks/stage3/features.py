"""Checks of spectra: frames and a window, the power in each bin."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import CheckFailed, chance, check, fail, generator, passed

#: What a result may differ in besides its numbers, and what to do about it.
_KINDS = {
    "shape": "compare the two shapes: which axis is missing, too long or at another place?",
    "dtype": "compare the two dtypes: .float() makes torch.float32",
}


def agree_in_kind(
    answer: Callable, truth: Callable, cases: Iterable[tuple], mistakes: dict[str, Callable],
    otherwise: str, tolerance: float = 1e-5, name: str = "",
) -> None:
    """As agree; where no mistake does just this, one with the same shapes or dtypes is named."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of logarithms of 0, of bands that hold no bin
        try:
            agree(answer, truth, cases, mistakes, otherwise, tolerance, name)
        except CheckFailed as error:
            for kind, advice in _KINDS.items() if error.cause == otherwise else ():
                kinds = {cause: _only(kind, mistake) for cause, mistake in mistakes.items()}
                agree(_only(kind, answer), _only(kind, truth), cases, kinds, advice)
            raise


def _only(kind: str, function: Callable) -> Callable:
    """Only the shape, or the dtype, of what a function returns."""

    @functools.wraps(function)
    def only(*arguments: Any) -> str:
        result = function(*arguments)
        if not isinstance(result, Tensor):
            name = type(result).__name__
            fail("a tensor", name, f"return a torch.Tensor; this is of type {name}")
        return str(getattr(result, kind))

    return only


def with_option(function: Callable, option: str, values: dict[str, Any]) -> dict[str, Callable]:
    """Mistakes: a function with another value of an option."""
    return {cause: partial(function, **{option: value}) for cause, value in values.items()}


def then(function: Callable, changes: dict[str, Callable]) -> dict[str, Callable]:
    """Mistakes: what a function returns, changed."""
    return {
        cause: lambda *arguments, change=change: change(function(*arguments))
        for cause, change in changes.items()
    }


# 3.1 - Frames and a window


def _frames(waveforms: Tensor, window: int, hop: int) -> Tensor:
    """The oracle: the middle of frame t is sample t * hop; one number after the other."""
    time = waveforms.shape[2]
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / window) for n in range(window)]

    def cut(clip: list[float], start: int) -> list[float]:
        places = range(start, start + window)
        return [clip[i] * w if 0 <= i < time else 0.0 for i, w in zip(places, hann, strict=True)]

    starts = [t * hop - window // 2 for t in range(1 + time // hop)]
    return torch.tensor([[cut(clip, s) for s in starts] for clip in waveforms[:, 0].tolist()])


def _cut(
    x: Tensor, window: int, hop: int, weights: Callable = torch.hann_window,
    pads: Callable = lambda w, h: (w // 2, w // 2), mode: str = "constant",
) -> Tensor:
    return F.pad(x, pads(window, hop), mode)[:, 0].unfold(1, window, hop) * weights(window)


FRAME_MISTAKES: dict[str, Callable] = {
    **with_option(_cut, "weights", {
        "a periodic window: torch.hann_window(window), not a symmetric one":
            partial(torch.hann_window, periodic=False),
        "the Hann window is missing": torch.ones,
        "a Hann window, not a Hamming window": torch.hamming_window,
        "the Hann window once, not twice": lambda w: torch.hann_window(w) ** 2,
        "the Hann window as it is, without the root": lambda w: torch.hann_window(w).sqrt(),
    }),
    "the window is for each frame, not for the whole clip":
        lambda x, w, h: _cut(x * torch.hann_window(x.shape[2]), w, h, torch.ones),
    **with_option(_cut, "pads", {
        "there are 1 + time // hop frames: pad window // 2 zeros on both sides":
            lambda w, h: (0, 0),
        "pad on both sides, not on one: these zeros are in front": lambda w, h: (w // 2, 0),
        "pad on both sides, not on one: these zeros are behind": lambda w, h: (0, w // 2),
        "half of the zeros go in front: these are all behind": lambda w, h: (0, w),
        "half of the zeros go behind: these are all in front": lambda w, h: (w, 0),
        "pad half a window on each side, not a whole one": lambda w, h: (w, w),
        "pad half a window on each side, not half a hop": lambda w, h: (h // 2, h // 2),
        # Only an odd window shows this.
        "window // 2 zeros, rounded down: these are rounded up": lambda w, h: (-(-w // 2), w // 2),
    }),
    "pad with zeros: this is mode 'reflect'": partial(_cut, mode="reflect"),
    "pad with zeros: this is mode 'replicate'": partial(_cut, mode="replicate"),
    "pad with zeros: this is mode 'circular'": partial(_cut, mode="circular"),
    "unfold takes the window first, then the hop":
        lambda x, w, h: F.pad(x, (w // 2, w // 2))[:, 0].unfold(1, h, w) * torch.hann_window(w),
    "one frame too many: there are 1 + time // hop": lambda x, w, h: _cut(F.pad(x, (0, h)), w, h),
    "keep every clip of the batch": lambda x, w, h: _cut(x[:1], w, h),
    **then(_cut, {
        "the channel axis goes: waveforms[:, 0]": lambda y: y[:, None],
        "frames come before samples: (batch, frames, window)": lambda y: y.mT,
        "samples of a frame, not yet its spectrum": lambda y: torch.fft.rfft(y).abs(),
        "one frame is missing: there are 1 + time // hop": lambda y: y[:, :-1],
        "the window has the dtype of the waveforms: float32": lambda y: y.double(),
    }),
    # What only a hop that divides the clip shows, or a batch of one.
    "one frame is missing where hop divides time: there are 1 + time // hop":
        lambda x, w, h: _frames(x, w, h)[:, : -(-x.shape[2] // h)],
    "a batch of one keeps its axis: waveforms[:, 0], not .squeeze()":
        lambda x, w, h: _frames(x, w, h).squeeze(0),
}  # fmt: skip


@check(
    "3.1", FRAME_MISTAKES, draws=False,
    hints={"Dimension out of range": "a batch of one keeps its axes: waveforms[:, 0]"},
)
def frame(answer: Callable) -> None:
    """Windows around every hop, sample by sample.

    ``answer(waveforms (batch, 1, time), window, hop) -> (batch, frames, window)``
    """
    sizes, random = chance(31), generator(31)

    def drawn(batch: int, odd: int = 0, divided: bool = False) -> tuple[int, int, int, int]:
        window = 2 * sizes.randint(4, 12) + odd
        hop = sizes.randint(3, window // 2)
        # Not a multiple of hop with an odd window, whose last frame padding and unfold leave out.
        time = hop * sizes.randint(9, 14) + (0 if divided else sizes.randint(1, hop - 2))
        return batch, time, window, hop

    # As in the notebook; a hop as long as the window, and a longer one; twice the same sizes.
    ordinary = [(2, 1613, 512, 320), (3, 45, 10, 10), (4, 101, 10, 30), drawn(2), *[drawn(3)] * 2]
    # An odd window; a hop that divides the clip; one clip, and one shorter than a window.
    special = [drawn(3, odd=1), drawn(2, divided=True), drawn(1), (1, 10, 32, 8)]
    otherwise = "frame t holds samples t * hop - window // 2 and on, times the Hann window"
    for shapes in (ordinary, special):
        cases = [(torch.rand(b, 1, t, generator=random) - 0.3, w, h) for b, t, w, h in shapes]
        agree_in_kind(answer, _frames, cases, FRAME_MISTAKES, otherwise, name="a sample")
    passed(f"windows around every hop, of {len(ordinary + special)} sizes, sample by sample")


# 3.2 - The power spectrum


def _powers(frames: Tensor) -> Tensor:
    """The oracle: the sum of the definition, with a cosine and a sine for every bin."""
    window = frames.shape[2]
    angle = 2 * math.pi / window * torch.outer(
        torch.arange(window).double(), torch.arange(window // 2 + 1)
    )
    return sum((frames.double() @ wave(angle)).square() for wave in (torch.cos, torch.sin)).float()


def _power(frames: Tensor, **options: Any) -> Tensor:
    return torch.fft.rfft(frames, **options).abs().square()


POWER_MISTAKES: dict[str, Callable] = {
    **then(torch.fft.rfft, {
        "the square is missing: this is the absolute value": lambda z: z.abs(),
        "the square once: these are fourth powers": lambda z: z.abs() ** 4,
        "all bins are twice too large": lambda z: 2 * z.abs() ** 2,
        "the imaginary part counts, too: abs(), not .real": lambda z: z.real**2,
        "the real part counts, too: abs(), not .imag": lambda z: z.imag**2,
        "the absolute value comes first, then the square": lambda z: (z**2).real,
        "squares of both parts: this adds them as they are": lambda z: (z.real + z.imag) ** 2,
        "the squares of both parts, added: no decibels yet": lambda z: 20 * z.abs().log10(),
        "the absolute value first: .abs().square()": lambda z: z**2,
        "the two parts of a complex number make one power": lambda z: torch.view_as_real(z) ** 2,
    }),
    "no division by the window's length": partial(_power, norm="ortho"),
    "no division by the square of the window's length": partial(_power, norm="forward"),
    "the transform runs over the samples: the last axis": partial(_power, dim=1),
    "the transform runs over the samples, not over the clips": partial(_power, dim=0),
    **then(_power, {
        "bins are not doubled for the half that is not there":
            lambda p: torch.cat([p[..., :1], 2 * p[..., 1:-1], p[..., -1:]], -1),
        "each power as it is, not relative to the loudest": lambda p: p / p.max(),
        "a spectrum for each frame: no sum or mean over them": lambda p: p.mean(1),
        "frames come before bins": lambda p: p.mT,
        "keep the last bin, too: there are window // 2 + 1": lambda p: p[..., :-1],
        "keep the first bin, too: there are window // 2 + 1": lambda p: p[..., 1:],
        "stay in float32": lambda p: p.double(),
    }),
    "the frames have had their Hann window already":
        lambda x: _power(x * torch.hann_window(x.shape[2])),
    "the frames as they are: their mean is bin 0": lambda x: _power(x - x.mean(2, keepdim=True)),
    "the second half mirrors the first: torch.fft.rfft": lambda x: torch.fft.fft(x).abs() ** 2,
    # What only silence shows, or a batch of one.
    "silence has no power: add nothing": lambda x: _powers(x) + 1e-10,
    "a batch of one keeps its axis: no .squeeze()": lambda x: _powers(x).squeeze(0),
}  # fmt: skip


@check("3.2", POWER_MISTAKES, draws=False)
def power_spectrum(answer: Callable) -> None:
    """Equal to sums of cosines and sines.

    ``answer(frames (batch, frames, window)) -> (batch, frames, window // 2 + 1)``
    """
    sizes, random = chance(32), generator(32)
    # An even window and an odd one; twice the same sizes.
    shapes = [(*sizes.sample(range(2, 9), 2), 2 * sizes.randint(8, 24) + odd) for odd in (0, 1)]
    cases = [(torch.randn(*size, generator=random) + 0.5,) for size in (*shapes, shapes[0])]
    window = sizes.randint(16, 48)
    tone = torch.cos(2 * math.pi * sizes.randint(2, 6) * torch.arange(window) / window)
    cases.append((sizes.uniform(0.5, 2) * tone.repeat(2, 3, 1),))
    otherwise = "the squared absolute value of each bin of the Fourier transform"
    agree_in_kind(answer, _powers, cases, POWER_MISTAKES, otherwise, 1e-4, "a power")
    cases, otherwise = [(torch.zeros(1, 3, window),)], "silence has no power"
    agree_in_kind(answer, _powers, cases, POWER_MISTAKES, otherwise, 1e-11, "a power")
    passed("sums of sines and cosines give the same for noise, for a tone and for silence")
