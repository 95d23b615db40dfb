"""Checks of features: frames, power spectra, mel filters, decibels, the cosine transform."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.core import (
    call,
    close,
    compare,
    fail,
    generator,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)

# 3.1 - Frames and a window


def frame(answer: Callable) -> None:
    """Windows around every hop, sample by sample.

    ``answer(waveforms (batch, 1, time), window, hop) -> (batch, frames, window)``
    """
    for batch, time, window, hop in (
        (2, 16_000, 512, 320),
        (3, 1003, 64, 50),
        (1, 10, 32, 8),  # shorter than one window
        (4, 90, 10, 30),  # a hop longer than the window
        (1, 4, 2, 2),
    ):
        waveforms = torch.rand(batch, 1, time, generator=generator(time)) - 0.3
        before = waveforms.clone()
        got = call(answer, waveforms, window, hop)
        unchanged(before, waveforms, "waveforms")
        frames = 1 + time // hop
        known = {
            (batch, 1, frames, window): "the channel axis goes: waveforms[:, 0]",
            (batch, window, frames): "frames come before samples: (batch, frames, window)",
            (batch, 1 + (time - window) // hop, window): (
                "there are 1 + time // hop frames: pad window // 2 zeros on both sides"
            ),
            (batch, 1 + (time - window // 2) // hop, window): "pad on both sides, not on one",
            (batch, 1 + (time + window) // hop, window): "pad half a window on each side",
            (batch, frames, window // 2 + 1): "samples of a frame, not yet its spectrum",
        }
        shape_of(got, (batch, frames, window), known, "(batch, 1 + time // hop, window)")
        same_dtype(got, torch.float32, "the window has the dtype of the waveforms: float32")
        # The oracle: the middle of frame t is sample t * hop; one number after the other.
        hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / window) for n in range(window)]
        starts = [t * hop - window // 2 for t in range(frames)]
        expected = [
            [
                [clip[s + n] * hann[n] if 0 <= s + n < time else 0.0 for n in range(window)]
                for s in starts
            ]
            for clip in before[:, 0].tolist()
        ]
        cause = "frame t holds samples t * hop - window // 2 and on, times the Hann window"
        mistakes = partial(_frame_mistakes, before[:, 0], window, hop)
        compare(got, expected, mistakes, cause, name="a sample")
    passed("windows around every hop, of five sizes, sample by sample")


def _frame_mistakes(rows: Tensor, window: int, hop: int) -> dict[str, Tensor]:
    """Causes, and the frames to which they lead."""

    def cut(weights: Tensor, left: int = window // 2, mode: str = "constant") -> Tensor:
        padded = F.pad(rows[:, None], (left, window - left), mode=mode)[:, 0]
        return padded.unfold(1, window, hop) * weights

    hann = torch.hann_window(window)
    known = {
        "a periodic window: torch.hann_window(window), not a symmetric one": cut(
            torch.hann_window(window, periodic=False)
        ),
        "the Hann window is missing": cut(torch.ones(window)),
        "a Hann window, not a Hamming window": cut(torch.hamming_window(window)),
        "the Hann window once, not twice": cut(hann.square()),
        "the Hann window as it is, without the root": cut(hann.sqrt()),
        "half of the zeros go in front: these are all behind": cut(hann, 0),
        "half of the zeros go behind: these are all in front": cut(hann, window),
    }
    for mode in ("reflect", "replicate", "circular"):
        if window // 2 < rows.shape[1]:
            known[f"pad with zeros: this is mode {mode!r}"] = cut(hann, mode=mode)
    return known


# 3.2 - The power spectrum


def power_spectrum(answer: Callable) -> None:
    """Equal to sums of cosines and sines.

    ``answer(frames (batch, frames, window)) -> (batch, frames, window // 2 + 1)``
    """
    time = torch.arange(32)
    tone = 0.5 * torch.cos(2 * math.pi * 3 * time / 32).repeat(2, 3, 1)
    random = generator(2)
    cases = [tone, *(torch.randn(*size, generator=random) for size in ((2, 5, 64), (3, 4, 50)))]
    for frames in cases:
        before = frames.clone()
        got = call(answer, frames)
        unchanged(before, frames, "frames")
        batch, count, window = frames.shape
        known = {
            (batch, count // 2 + 1, window): "the transform runs over the samples: the last axis",
            (batch // 2 + 1, count, window): "the transform runs over the samples: the last axis",
            (batch, window // 2 + 1, count): "frames come before bins",
            (batch, count, window // 2 + 1, 2): "the two parts of a complex number make one power",
            (batch, count, window // 2): "keep the last bin, too: there are window // 2 + 1",
            (batch, count, window): "the second half mirrors the first: torch.fft.rfft",
        }
        shape_of(got, (batch, count, window // 2 + 1), known, "(batch, frames, window // 2 + 1)")
        if got.is_complex():
            fail("real numbers", "complex numbers", "the absolute value first: .abs().square()")
        same_dtype(got, torch.float32, "stay in float32")
        if bool((got < 0).any()):
            cause = "the squares of both parts, added: no decibels yet"
            fail("powers, which are never negative", f"{float(got.min()):.4g}", cause)
        # The oracle: the sum of the definition, with a cosine and a sine for every bin.
        bins = torch.arange(window // 2 + 1, dtype=torch.float64)
        angle = 2 * math.pi * torch.arange(window, dtype=torch.float64)[:, None] * bins / window
        real, imaginary = frames.double() @ angle.cos(), frames.double() @ angle.sin()
        expected = real.square() + imaginary.square()
        if frames is tone:  # the worked example in closed form
            expected = torch.zeros(2, 3, 17, dtype=torch.float64)
            expected[..., 3] = (0.5 * 32 / 2) ** 2
        mistakes = partial(_power_mistakes, real, imaginary, frames)
        cause = "the squared absolute value of each bin of the Fourier transform"
        compare(got, expected, mistakes, cause, 1e-4, "a power")
    passed("(A * window / 2) ** 2 for a cosine, and sines and cosines for noise")


def _power_mistakes(real: Tensor, imaginary: Tensor, frames: Tensor) -> dict[str, Tensor]:
    """Causes, and the spectra to which they lead."""
    power = real.square() + imaginary.square()
    window = frames.shape[2]
    both = torch.full((power.shape[2],), 2.0)
    both[[0, -1]] = 1
    again = torch.fft.rfft(frames * torch.hann_window(window)).abs().square()
    return {
        "the square is missing: this is the absolute value": power.sqrt(),
        "the square once: these are fourth powers": power.square(),
        "no division by the window's length": power / window,
        "no division by the square of the window's length": power / window**2,
        "the absolute value is not divided by the window's length": power.sqrt() / window,
        "bins are not doubled for the half that is not there": power * both,
        "all bins are twice too large": 2 * power,
        "the frames have had their Hann window already": again,
        "the imaginary part counts, too: abs(), not .real": real.square(),
        "square both parts, then add": (real - imaginary).square(),
        "squares of both parts: this adds them as they are": (real + imaginary).square(),
    }


# 3.3 - A mel filterbank


def mel_filterbank(answer: Callable) -> None:
    """Every weight as worked out by hand.

    ``answer(bands, bins, sample_rate) -> (bins, bands)``
    """
    for bands, bins, rate in ((40, 257, 16_000), (6, 33, 8000), (11, 101, 22_050), (1, 5, 16_000)):
        got = call(answer, bands, bins, rate)
        known = {
            (bands, bins): "a row for each bin, a column for each band: transpose",
            (bins, bands + 2): "a triangle needs three points: two fewer triangles than points",
            (bins, bands + 1): "a triangle needs three points: two fewer triangles than points",
            (bins, bands - 2): "bands + 2 points make as many triangles as there are bands",
            (bins, bands - 1): "bands + 2 points make as many triangles as there are bands",
        }
        shape_of(got, (bins, bands), known, "a row for each bin, a column for each band")
        same_dtype(got, torch.float32, "the spectra are float32, and so are the weights")
        compare(
            got,
            _filters(bands, bins, rate),
            partial(_filter_mistakes, bands, bins, rate),
            "triangle b rises from 0 at point b to 1 at point b + 1, and is 0 again at point b + 2",
            1e-4,
            "a weight",
        )
    passed("every weight of 40, 6, 11 and 1 triangles, as worked out by hand")


def _mel(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _hz(mel: float) -> float:
    return 700 * (10 ** (mel / 2595) - 1)


def _points(bands: int, top: float, to_mel: Callable = _mel, to_hz: Callable = _hz) -> list[float]:
    """Points in Hz, evenly spaced in mel."""
    return [to_hz(to_mel(top) * point / (bands + 1)) for point in range(bands + 2)]


def _triangle(x: float, low: float, top: float, high: float) -> float:
    rising = (x - low) / (top - low) if top > low else float(x >= low)
    falling = (high - x) / (high - top) if high > top else float(x <= high)
    return max(0.0, min(rising, falling))


def _weights(bins: list[float], points: list[float], triangle: Callable = _triangle) -> Tensor:
    """The oracle: plain arithmetic, weight by weight: (bins, bands)."""
    bands = range(len(points) - 2)
    weights = [[triangle(x, *points[band : band + 3]) for band in bands] for x in bins]
    return torch.tensor(weights, dtype=torch.float64)


def _filters(bands: int, bins: int, rate: float) -> Tensor:
    return _weights([i * rate / 2 / (bins - 1) for i in range(bins)], _points(bands, rate / 2))


def _filter_mistakes(bands: int, bins: int, rate: int) -> dict[str, Tensor]:
    """Causes, and the filters to which they lead."""
    top = rate / 2
    width = top / (bins - 1)
    hz = [i * width for i in range(bins)]
    points = _points(bands, top)
    right = _weights(hz, points)
    area = torch.tensor(
        [2 / (high - low) for low, high in zip(points, points[2:], strict=False)],
        dtype=torch.float64,
    )

    def unclamped(x: float, low: float, top: float, high: float) -> float:
        return min((x - low) / (top - low), (high - x) / (high - top))

    def tutorial(rounded: Callable) -> Tensor:
        """Points that fall on bins, as in many a tutorial."""
        return _weights(list(range(bins)), [rounded(point / width) for point in points])

    def exponential(mel: float) -> float:
        return 700 * (math.exp(min(mel / 2595, 700)) - 1)

    def natural(hz: float) -> float:
        return 2595 * math.log(1 + hz / 700)

    def kilohertz(hz: float) -> float:  # the formula of the Auditory Toolbox: linear, then log
        return hz / 200 * 3 if hz < 1000 else 15 + math.log(hz / 1000) * 27 / math.log(6.4)

    def from_kilohertz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * math.exp((mel - 15) * math.log(6.4) / 27)

    wide = [i * rate / (bins - 1) for i in range(bins)]
    short = [i * top / bins for i in range(bins)]
    on_bins = "the points lie where they lie: do not round them to bins"
    sums = right.sum(dim=0).clamp(min=1e-12)
    return {
        "a logarithm to the base 10: this one is natural, and 10 ** does not undo it": _weights(
            hz, _points(bands, top, to_mel=natural)
        ),
        "10 ** (mel / 2595) undoes the logarithm to the base 10, exp does not": _weights(
            hz, _points(bands, top, to_hz=exponential)
        ),
        "the formula is 2595 log10(1 + hz / 700): this is another scale": _weights(
            hz, _points(bands, top, kilohertz, from_kilohertz)
        ),
        "the points are evenly spaced in mel, not in Hz": _weights(
            hz, [top * point / (bands + 1) for point in range(bands + 2)]
        ),
        "the triangles rise and fall linearly in Hz, not in mel": _weights(
            [_mel(x) for x in hz], [_mel(point) for point in points]
        ),
        "every triangle has the height 1: no division by its width": right * area,
        "every triangle has the height 1: its sum does not matter": right / sums,
        "outside of its triangle a weight is 0, not negative": _weights(hz, points, unclamped),
        "the last bin lies at half of the sample rate, not at the rate": _weights(wide, points),
        "the points end at half of the sample rate": _weights(hz, _points(bands, rate)),
        "bins and points end at half of the sample rate": _weights(wide, _points(bands, rate)),
        "bins - 1 steps lead from the first bin to the last": _weights(short, points),
        "the points start at 0 Hz, the first triangle at the first point": _weights(
            hz, [*_points(bands + 1, top)[1:]]
        ),
        on_bins: tutorial(math.floor),
        on_bins + ": the nearest is not good enough": tutorial(round),
        on_bins + ", and not up": tutorial(math.ceil),
        on_bins + ", nor by bins + 1": _weights(
            list(range(bins)), [math.floor((2 * bins - 1) * point / rate) for point in points]
        ),
    }


# 3.4 - Decibels, clip by clip


def decibels(answer: Callable) -> None:
    """Levels in plain Python, each clip with 80 dB of its own.

    ``answer(power (batch, frames, bands)) -> the same shape, in dB``
    """
    random = generator(4)
    # 0, -90, -40, -100, -20 and -10 dB: the second and the fourth come up to -80 dB.
    hand = torch.tensor([[[1.0, 1e-9], [1e-4, 0.0], [0.01, 0.1]]])
    loudness = torch.tensor([1e3, 1e-6, 1.0, 0.0])[:, None, None]
    power = loudness * 10 ** (-11 * torch.rand(4, 7, 5, generator=random))
    power[0, 2, 3] = power[1, 2, 3] = 0
    for values in (hand, power):
        before = values.clone()
        got = call(answer, values)
        unchanged(before, values, "powers")
        same_shape(got, tuple(values.shape), "one number for each power")
        same_dtype(got, torch.float32, "stay in float32")
        # The oracle: plain Python.
        rows = [
            [10 * math.log10(max(x, 1e-10)) for x in clip] for clip in before.flatten(1).tolist()
        ]
        rows = [[max(x, max(clip) - 80) for x in clip] for clip in rows]
        expected = torch.tensor(rows, dtype=torch.float64).reshape(values.shape)
        if bool(got.isinf().any() | got.isnan().any()):
            cause = "the logarithm of 0 is no number: clamp(min=1e-10) before it"
            fail("numbers", "infinity or not a number", cause)
        cause = "10 log10 of the power, at least 1e-10; then clip by clip 80 dB from its loudest"
        compare(got, expected, partial(_decibel_mistakes, before), cause, 1e-5, "a level")
    passed("loud, quiet and silent clips in one batch, each with 80 dB of its own")


def _decibel_mistakes(power: Tensor) -> dict[str, Tensor]:
    """Causes, and the levels to which they lead."""
    power = power.double()
    level = 10 * power.clamp(min=1e-10).log10()
    own = level.amax(dim=(1, 2), keepdim=True)

    def above(level: Tensor, floor: Tensor | float) -> Tensor:
        return torch.maximum(level, torch.as_tensor(floor, dtype=level.dtype))

    added = 10 * (power + 1e-10).log10()
    natural = 10 * power.clamp(min=1e-10).log()
    bare = power.clamp(min=1e-10).log10()
    return {
        "the loudest value of each clip, not of the whole batch": above(level, level.max() - 80),
        "80 dB below the loudest are missing": level,
        "80 dB below the loudest of the clip, not of each frame": above(
            level, level.amax(dim=2, keepdim=True) - 80
        ),
        "80 dB below the loudest of the clip, not of each band": above(
            level, level.amax(dim=1, keepdim=True) - 80
        ),
        "80 dB below the loudest of the clip, not below 0 dB": above(level, -80),
        "the loudest value keeps its level: it is not taken off": above(level, own - 80) - own,
        "10 times the logarithm: a power is squared already": above(2 * level, 2 * own - 80),
        "the logarithm to the base 10, not the natural one": above(
            natural, natural.amax(dim=(1, 2), keepdim=True) - 80
        ),
        "the factor 10 is missing: these are bels": above(bare, bare.amax((1, 2), True) - 80),
        "the factor 10 comes before the 80 dB": 10 * above(bare, bare.amax((1, 2), True) - 80),
        "the larger of power and 1e-10, not their sum": above(
            added, added.amax(dim=(1, 2), keepdim=True) - 80
        ),
        "what is too quiet comes up to the floor, and not down to -100": torch.where(
            level < own - 80, torch.tensor(-100.0, dtype=level.dtype), level
        ),
        "nothing is lower than the floor; what is louder stays": torch.minimum(level, own - 80),
    }


# 3.5 - The discrete cosine transform


def dct_matrix(answer: Callable) -> None:
    """Every entry by its definition; the columns are orthonormal.

    ``answer(coefficients, bands) -> (bands, coefficients)``
    """
    for coefficients, bands in ((12, 40), (5, 8), (23, 23), (2, 2)):
        got = call(answer, coefficients, bands)
        shape_of(
            got,
            (bands, coefficients),
            {
                (
                    coefficients,
                    bands,
                ): "a row for each band, a column for each coefficient: transpose"
            },
            "a row for each band, a column for each coefficient",
        )
        same_dtype(got, torch.float32, "the levels are float32, and so is the matrix")
        mistakes = partial(_cosine_mistakes, coefficients, bands)
        cause = "sqrt(2 / bands) * cos(pi / bands * (n + 1/2) * k), first column / sqrt(2)"
        compare(got, _cosines(coefficients, bands), mistakes, cause, 1e-5, "an entry")
        product = got.double().T @ got.double()
        close(product, torch.eye(coefficients), "the columns are orthonormal", 1e-4)
    passed("every entry of four sizes; the columns have length 1 and right angles")


def _cosines(
    coefficients: int,
    bands: int,
    *,
    half: float = 0.5,
    first: int = 0,
    length: float | None = None,
    wave: Callable = math.cos,
) -> Tensor:
    """The definition, entry by entry, with what may be wrong in it: (bands, coefficients)."""

    def entry(n: int, k: int) -> float:
        scale = math.sqrt((1 if k == 0 else 2) / bands)
        return scale * wave(math.pi / (length or bands) * (n + half) * k)

    rows = [[entry(n, k) for k in range(first, first + coefficients)] for n in range(bands)]
    return torch.tensor(rows, dtype=torch.float64)


def _cosine_mistakes(coefficients: int, bands: int) -> dict[str, Tensor]:
    """Causes, and the matrices to which they lead."""
    right = _cosines(coefficients, bands)
    first = torch.ones(coefficients, dtype=torch.float64)
    first[0] = math.sqrt(2)
    row = torch.ones(bands, 1, dtype=torch.float64)
    row[0] = math.sqrt(0.5)
    scale = math.sqrt(2 / bands)
    return {
        "the first column is to be divided by sqrt(2)": right * first,
        "the first column is divided by sqrt(2), not by 2": right / first,
        "the first column is divided by sqrt(2), not multiplied": right * first.square(),
        "all columns are divided by sqrt(2): only the first should be": right * first / 2**0.5,
        "the first column is divided by sqrt(2), not the first row": right * first * row,
        "the factor sqrt(2 / bands) is missing": right / scale,
        "the factor sqrt(2 / bands) is missing, and the first column's": right * first / scale,
        "the factor is sqrt(2 / bands): this is 2": right * first / scale * 2,
        "the factor is sqrt(2 / bands): the root is missing": right * scale,
        "the 1/2 is missing: (n + 1/2)": _cosines(coefficients, bands, half=0),
        "n + 1/2, with n from 0": _cosines(coefficients, bands, half=1.5),
        "n + 1/2, not n + 1": _cosines(coefficients, bands, half=1.0),
        "the first coefficient is number 0": _cosines(coefficients, bands, first=1),
        "the first coefficient is number 0, and divided by sqrt(2)": _cosines(
            coefficients, bands, first=1
        )
        / first,
        "pi is divided by the number of bands, not of coefficients": _cosines(
            coefficients, bands, length=coefficients
        ),
        "pi is divided by bands": _cosines(coefficients, bands, length=bands - 1),
        "pi / bands, not 2 pi / bands": _cosines(coefficients, bands, length=bands / 2),
        "cosines, not sines": _cosines(coefficients, bands, wave=math.sin),
    }
