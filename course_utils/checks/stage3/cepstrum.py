"""Checks of what makes features of spectra: mel filters, decibels, the cosine transform."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torchaudio
from torch import Tensor

from course_utils.checks.core import chance, check, generator, passed
from course_utils.checks.stage3.features import agree_in_kind, then, with_option

# 3.3 - A mel filterbank


def _bank(bands: int, bins: int, rate: float, top: float | None = None, **options: Any) -> Tensor:
    """The oracle: torchaudio's, with what may be wrong in it."""
    top = top or rate / 2
    return torchaudio.functional.melscale_fbanks(bins, 0.0, top, bands, rate, **options)


def _mel(hz: Tensor) -> Tensor:
    return 2595 * torch.log10(1 + hz / 700)


def _hz(mel: Tensor) -> Tensor:
    return 700 * (10 ** (mel / 2595) - 1)


def _points(
    bands: int, rate: float, to_mel: Callable = _mel, to_hz: Callable = _hz,
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Points in Hz, evenly spaced in mel."""
    top = float(to_mel(torch.tensor(rate / 2).double()))
    return to_hz(torch.linspace(0, top, bands + 2, dtype=dtype))


def _triangles(
    bands: int, bins: int, rate: float, points: Callable = _points, steps: int = -1,
    moved: Callable = lambda hz, width: hz, scale: Callable = lambda hz: hz,
    join: Callable = lambda a, b: torch.minimum(a, b).clamp(min=0),
) -> Tensor:
    """A filterbank by its formulas, with what else may be wrong in it."""
    width = rate / 2 / (bins + steps)
    hz, at = scale(torch.arange(bins)[:, None] * width), scale(moved(points(bands, rate), width))
    low, top, high = at[:-2], at[1:-1], at[2:]
    return join((hz - low) / (top - low), (high - hz) / (high - top)).float()


_ON_BINS = "the corners lie between bins: do not round them to whole bins"
_MANY = "bands + 2 points make as many triangles as there are bands: "

FILTER_MISTAKES: dict[str, Callable] = {
    **with_option(_triangles, "points", {
        "a logarithm to the base 10: this one is natural, and 10 ** does not undo it":
            partial(_points, to_mel=lambda hz: 2595 * torch.log1p(hz / 700)),
        "10 ** (mel / 2595) undoes the logarithm to the base 10, exp does not":
            partial(_points, to_hz=lambda mel: 700 * torch.expm1(mel / 2595)),
        "the - 1 is missing: 700 * (10 ** (m / 2595) - 1)":
            partial(_points, to_hz=lambda mel: 700 * 10 ** (mel / 2595)),
        "the points are to be turned back into Hz": partial(_points, to_hz=lambda mel: mel),
        "the points are evenly spaced in mel, not in Hz":
            lambda b, r: torch.arange(b + 2) * r / 2 / (b + 1),
        "the points start at 0 Hz, the first triangle at the first point":
            lambda b, r: _points(b + 1, r)[1:],
        "bands + 1 steps lead from first to last point": lambda b, r: _points(b + 1, r)[:-1],
    }),
    "the triangles rise and fall linearly in Hz, not in mel": partial(_triangles, scale=_mel),
    "outside of its triangle a weight is 0, not negative": partial(_triangles, join=torch.minimum),
    "a triangle is the smaller one of the two lines, not the larger":
        partial(_triangles, join=lambda a, b: torch.maximum(a, b).clamp(min=0)),
    "bins - 1 steps lead from the first bin to the last": partial(_triangles, steps=0),
    "the formula is 2595 log10(1 + hz / 700): this is another scale":
        partial(_bank, mel_scale="slaney"),
    "every triangle has the height 1: no division by its width": partial(_bank, norm="slaney"),
    "the last bin lies at half of the sample rate, not at the rate":
        lambda b, n, r: _bank(b, n, 2 * r, r / 2),
    "the points end at half of the sample rate": lambda b, n, r: _bank(b, n, r, r),
    "bins and points end at half of the sample rate": lambda b, n, r: _bank(b, n, 2 * r),
    "the sample rate is an argument: it need not be 16,000": lambda b, n, r: _bank(b, n, 16_000),
    # As most tutorials do it: to the bin below, the nearest, the one above; the last corner may
    # fall a bin too low in float32.
    **with_option(_triangles, "moved", {
        _ON_BINS: lambda hz, width: (hz / width).floor() * width,
        f"{_ON_BINS} (not to the nearest either)": lambda hz, width: (hz / width).round() * width,
        f"{_ON_BINS} (not upwards either)": lambda hz, width: (hz / width).ceil() * width,
        f"{_ON_BINS} (here by floor((n_fft + 1) * f / rate))":
            lambda hz, width: (hz / width + hz / hz[-1] / 2).floor() * width,
    }),
    **with_option(partial(_triangles, points=partial(_points, dtype=torch.float32)), "moved", {
        f"{_ON_BINS} (here downwards, and the last one in float32)":
            lambda hz, width: (hz / width).floor() * width,
        f"{_ON_BINS} (here upwards, in float32)": lambda hz, width: (hz / width).ceil() * width,
    }),
    _MANY + "one point is missing": lambda b, n, r: _bank(b - 1, n, r),
    _MANY + "two points are missing": lambda b, n, r: _bank(b - 2, n, r),
    "a triangle needs three points: two fewer triangles than points":
        lambda b, n, r: _bank(b + 2, n, r),
    **then(_bank, {
        "every triangle has the height 1: its sum does not matter": lambda w: w / w.sum(0),
        "a tip may fall between bins: no column is to be brought to 1": lambda w: w / w.amax(0),
        "a row for each bin, a column for each band: transpose": lambda w: w.T,
        "the spectra are float32, and so are the weights": lambda w: w.double(),
    }),
}  # fmt: skip


@check("3.3", FILTER_MISTAKES, draws=False)
def mel_filterbank(answer: Callable) -> None:
    """Every weight as torchaudio has it.

    ``answer(bands, bins, sample_rate) -> (bins, bands)``
    """
    sizes = chance(33)
    rates = [sizes.randrange(8000, 22_050, 50) for _ in range(5)]
    ordinary = [(sizes.randint(6, 12), sizes.randint(90, 140), rate) for rate in rates[:3]]
    ordinary.append((40, 257, 16_000))
    # The worked example; a single band; more bands than bins, so that some hold no bin.
    special = [(1, 5, 16_000), (1, sizes.randint(5, 30), rates[3])]
    special.append((sizes.randint(20, 30), sizes.randint(10, 15), rates[4]))
    otherwise = "triangle b rises from 0 at point b to 1 at point b + 1, and falls to point b + 2"
    for cases in (ordinary, special):
        agree_in_kind(answer, _bank, cases, FILTER_MISTAKES, otherwise, 1e-4, "a weight")
    counts = ", ".join(str(bands) for bands, *_ in ordinary + special)
    passed(f"every weight of {counts} triangles as torchaudio has it")


# 3.4 - Decibels, clip by clip


def _levels(power: Tensor) -> Tensor:
    """The oracle: plain Python, number by number."""
    clips = [[10 * math.log10(max(x, 1e-10)) for x in clip] for clip in power.flatten(1).tolist()]
    rows = [[max(x, max(clip) - 80) for x in clip] for clip in clips]
    return torch.tensor(rows).reshape(power.shape)


def _db(power: Tensor) -> Tensor:
    return 10 * power.clamp(min=1e-10).log10()


def _above(level: Tensor, floor: Tensor | float) -> Tensor:
    return torch.maximum(level, torch.as_tensor(floor))


def _top(level: Tensor, dim: int | tuple[int, ...] = (1, 2)) -> Tensor:
    return level.amax(dim, keepdim=True)


def _own(level: Tensor) -> Tensor:
    """With the floor of each clip."""
    return _above(level, _top(level) - 80)


_OF_CLIP = "80 dB below the loudest of the clip, not"
_QUIET = "what is too quiet comes up to the floor, and not"

LEVEL_MISTAKES: dict[str, Callable] = {
    **then(_db, {
        "the loudest value of each clip, not of the whole batch": lambda x: _above(x, x.max() - 80),
        "80 dB below the loudest are missing": lambda x: x,
        f"{_OF_CLIP} of each frame": lambda x: _above(x, _top(x, 2) - 80),
        f"{_OF_CLIP} of each band": lambda x: _above(x, _top(x, 1) - 80),
        f"{_OF_CLIP} of all clips at this place": lambda x: _above(x, _top(x, 0) - 80),
        f"{_OF_CLIP} below 0 dB": lambda x: _above(x, -80.0),
        f"{_OF_CLIP} below its mean": lambda x: _above(x, x.mean((1, 2), keepdim=True) - 80),
        "the loudest value keeps its level: it is not taken off": lambda x: _own(x) - _top(x),
        "10 times the logarithm: a power is squared already": lambda x: _own(2 * x),
        "the logarithm to the base 10, not the natural one": lambda x: _own(x * math.log(10)),
        "the logarithm to the base 10, not to the base 2": lambda x: _own(x * math.log2(10)),
        "the factor 10 is missing: these are bels": lambda x: _own(x / 10),
        "80 dB are taken off the loudest level, not added to it": lambda x: _above(x, _top(x) + 80),
        "80 dB are a difference of levels, not a factor": lambda x: _above(x, _top(x) * 1e-8),
        f"{_QUIET} down to -100": lambda x: torch.where(x < _top(x) - 80, -100.0, x),
        f"{_QUIET} to 0": lambda x: torch.where(x < _top(x) - 80, 0.0, x),
        "nothing is lower than the floor; what is louder stays": lambda x: x.minimum(_top(x) - 80),
        "stay in float32": lambda x: _own(x.double()),
    }),
    # What only quiet clips show, zeros, or a batch of one.
    "the larger of power and 1e-10, not their sum": lambda p: _own(10 * (p + 1e-10).log10()),
    "the logarithm of 0 is no number: clamp(min=1e-10) before it": lambda p: _own(10 * p.log10()),
    "the smallest power is 1e-10: not for zeros alone":
        lambda p: _own(10 * torch.where(p == 0, 1e-10, p).log10()),
    "a clip of zeros has -100 dB everywhere": lambda p: _levels(p) * (_top(p) > 0),
    "a batch of one keeps its axis: no .squeeze()": lambda p: _levels(p).squeeze(0),
}  # fmt: skip


@check(
    "3.4", LEVEL_MISTAKES, draws=False,
    hints={"must match the size": "(batch,) meets (batch, frames, bands): keepdim=True"},
)
def decibels(answer: Callable) -> None:
    """Levels in plain Python, each clip with 80 dB of its own.

    ``answer(power (batch, frames, bands)) -> the same shape, in dB``
    """
    sizes, random = chance(34), generator(34)

    def drawn(*loudest: float) -> Tensor:
        """Clips in random order, with powers down to 110 dB below their loudest."""
        shape = len(loudest), *sizes.sample(range(6, 12), 2)
        below = torch.rand(shape, generator=random) ** 4
        below[:, 2, 3], below[:, 3, 1] = 0, 1
        tops = torch.tensor(sizes.sample(loudest, len(loudest)))
        return tops[:, None, None] * 10 ** (-11 * below)

    ordinary = [(drawn(1e3, 200.0, sizes.uniform(20, 50)),) for _ in range(3)]  # all above 1e-10
    otherwise = "10 log10 of the power, at least 1e-10; then clip by clip 80 dB from its loudest"
    agree_in_kind(answer, _levels, ordinary, LEVEL_MISTAKES, otherwise, name="a level")
    quiet = drawn(1e3, 1e-4, 1e-6, 1.0, 0.0)
    quiet[:, 1, 1] = 0
    special = [(quiet,), (quiet[:1],), (torch.zeros(1, 3, 2),)]
    agree_in_kind(answer, _levels, special, LEVEL_MISTAKES, otherwise, name="a level")
    passed("loud, quiet and silent clips in one batch, each with 80 dB of its own")


# 3.5 - The discrete cosine transform


def _cosines(
    coefficients: int, bands: int, *, half: float = 0.5, start: float = 0, column: float = 0.5**0.5,
    scale: Callable = lambda N: math.sqrt(2 / N), length: Callable = lambda N: N,
    wave: Callable = math.cos,
) -> Tensor:
    """The oracle: the definition, entry by entry, with what may be wrong in it."""
    rows = [
        [wave(math.pi / length(bands) * (n + half) * (k + start)) for k in range(coefficients)]
        for n in range(bands)
    ]
    columns = [scale(bands) * (1 if k else column) for k in range(coefficients)]
    return torch.tensor([[x * y for x, y in zip(row, columns, strict=True)] for row in rows])


_FIRST = "the first column is divided by sqrt(2), not"
_SCALE = "the factor is sqrt(2 / bands)"
_all_alike = partial(_cosines, column=1)

COSINE_MISTAKES: dict[str, Callable] = {
    "the first column is to be divided by sqrt(2)": _all_alike,
    f"{_FIRST} by 2": partial(_cosines, column=0.5),
    f"{_FIRST} multiplied": partial(_cosines, column=2**0.5),
    **then(_all_alike, {
        f"{_FIRST} the first row": lambda D: torch.cat([D[:1] / math.sqrt(2), D[1:]]),
        "all columns are divided by sqrt(2): only the first should be": lambda D: D / math.sqrt(2),
    }),
    "the factor sqrt(2 / bands) is missing, and the first column's":
        partial(_all_alike, scale=lambda N: 1),
    f"{_SCALE}: this is 2": partial(_all_alike, scale=lambda N: 2),
    "the factor sqrt(2 / bands) is missing": partial(_cosines, scale=lambda N: 1),
    f"{_SCALE}: the root is missing": partial(_cosines, scale=lambda N: 2 / N),
    f"{_SCALE}: this is its inverse": partial(_cosines, scale=lambda N: math.sqrt(N / 2)),
    f"{_SCALE}, not of coefficients": lambda c, N: _cosines(c, N) * math.sqrt(N / c),
    "the 1/2 is missing: (n + 1/2)": partial(_cosines, half=0),
    "n + 1/2, with n from 0": partial(_cosines, half=1.5),
    "n + 1/2, not n + 1": partial(_cosines, half=1),
    "the first coefficient is number 0": partial(_all_alike, start=1),
    "the first coefficient is number 0, and divided by sqrt(2)": partial(_cosines, start=1),
    "the 1/2 belongs to n, not to k": partial(_cosines, start=0.5, half=0),
    "pi is divided by the number of bands, not of coefficients":
        lambda c, N: _cosines(c, N, length=lambda N: c),
    "pi is divided by bands": partial(_cosines, length=lambda N: N - 1),
    "pi / bands, not 2 pi / bands": partial(_cosines, length=lambda N: N / 2),
    "cosines, not sines": partial(_cosines, wave=math.sin),
    "dct_matrix(coefficients, bands): in this order": lambda c, N: _cosines(N, c),
    **then(_cosines, {
        "a row for each band, a column for each coefficient: transpose": lambda D: D.T,
        "column 0 belongs to it, too": lambda D: D[:, 1:],
        "the levels are float32, and so is the matrix": lambda D: D.double(),
    }),
}  # fmt: skip


@check("3.5", COSINE_MISTAKES, draws=False)
def dct_matrix(answer: Callable) -> None:
    """Every entry by its definition.

    ``answer(coefficients, bands) -> (bands, coefficients)``
    """
    sizes = chance(35)
    ordinary = [(12, 40), *((sizes.randint(2, 9), sizes.randint(10, 30)) for _ in range(3))]
    special = [(2, 2), (sizes.randint(3, 25),) * 2, (1, sizes.randint(2, 20)), (1, 1)]
    otherwise = "sqrt(2 / bands) * cos(pi / bands * (n + 1/2) * k), first column / sqrt(2)"
    for cases in (ordinary, special):
        agree_in_kind(answer, _cosines, cases, COSINE_MISTAKES, otherwise, name="an entry")
    passed(f"every entry of {len(ordinary + special)} sizes, as the definition has it")
