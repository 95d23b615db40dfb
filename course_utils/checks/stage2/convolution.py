"""Checks of convolutions: rates, batches, the sum by hand, lengths, receptive fields."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import operator
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, fail, generator, passed
from course_utils.checks.state import unset_memory_is_nan
from course_utils.checks.unaided import by_hand

Layers = list[tuple[int, int]]

# 2.1 - Halve the sample rate of a batch

_LOW_PASS = np.sinc(np.arange(-32, 33) / 2) * np.hamming(65)
_LOW_PASS /= _LOW_PASS.sum()


def _halved(waveforms: Tensor) -> Tensor:
    """The oracle: clip by clip, in NumPy."""
    clips = waveforms.double().numpy()[:, 0]
    rows = [np.convolve(clip, _LOW_PASS)[32 : 32 + len(clip) : 2] for clip in clips]
    return torch.tensor(np.array(rows), dtype=waveforms.dtype)[:, None]


def _filtered(x: Tensor, before: int = 32, after: int = 32) -> Tensor:
    weights = torch.from_numpy(_LOW_PASS).to(x)[None, None]
    return F.conv1d(F.pad(x, (before, after)), weights)


def _without_upper_half(x: Tensor) -> Tensor:
    spectrum = torch.fft.rfft(x)
    spectrum[..., spectrum.shape[-1] // 2 :] = 0
    return torch.fft.irfft(spectrum, x.shape[-1])[..., ::2]


HALVE_MISTAKES: dict[str, Callable] = {
    "a tone of 5 kHz comes back as 3 kHz: filter before you drop samples": lambda x: x[..., ::2],
    "every second sample is to be kept: stride=2": _filtered,
    "the filter cuts too low: low_pass() first, on all samples, then drop":
        lambda x: _filtered(x[..., ::2]),
    "(batch, 1, time) as before: pad, so that the first result is centred on sample 0, and keep "
    "samples 0, 2, 4":
        lambda x: _filtered(x, 0, 0)[..., ::2],
    "the sound has moved: pad by half of the filter on both sides, keep sample 0":
        lambda x: _filtered(x, 64, 0)[..., ::2],
    "the sound has moved: keep samples 0, 2, 4, and not 1, 3, 5": lambda x: _filtered(x)[..., 1::2],
    "rounded up: of an odd number of samples the last one stays":
        lambda x: _filtered(x)[..., : x.shape[2] // 2 * 2 : 2],
    "filter once: the second time, what is just below the limit gets softer":
        lambda x: _filtered(_filtered(x))[..., ::2],
    "the filter's weights are those of low_pass(), which sum to 1":
        lambda x: _halved(x) / float(_LOW_PASS.max()),
    "a tone stays as loud as it is: no scaling to the old peak":
        lambda x: _halved(x) * (x.abs().amax() / _halved(x).abs().amax()),
    "a tone stays as loud as it is: no scaling of each clip to a peak":
        lambda x: _halved(x) / _halved(x).abs().amax(dim=2, keepdim=True).clamp(min=1e-9),
    "filter with low_pass(): a spectrum that is cut hard rings": _without_upper_half,
    "each clip of the batch is filtered by itself, whatever stands beside it":
        lambda x: _halved(x[:1]).expand(len(x), -1, -1),
    "a clip may have more than 16,000 samples": lambda x: _halved(x)[..., :8000],
    "the filter takes the waveforms' dtype and device: .to(waveforms)":
        lambda x: _halved(x).float(),
    "keep all three axes, (batch, 1, time): no squeeze()": lambda x: _halved(x).squeeze(),
    "keep the channel: (batch, 1, time)": lambda x: _halved(x)[:, 0],
    "a batch of one clip keeps its batch axis": lambda x: _halved(x).squeeze(0),
    "this filter does not learn: F.conv1d with low_pass(), no layer with parameters":
        lambda x: _halved(x).requires_grad_(),
}


@check("2.1", HALVE_MISTAKES)
def halve_rate(answer: Callable) -> None:
    """Tones below the new limit stay as they are, those above it are gone.

    ``answer(waveforms (batch, 1, time)) -> (batch, 1, ceil(time / 2))``
    """

    @functools.wraps(answer)
    def filters(waveforms: Tensor) -> Tensor:
        got = answer(waveforms)
        if isinstance(got, Tensor) and got.requires_grad:
            fail("samples", "samples that remember a gradient", list(HALVE_MISTAKES)[-1])
        return got

    sizes = chance(21)
    hertz = torch.tensor([[300.0], [1000], [2000], [3000], [5000], [6500]])[:, None]
    tones = torch.sin(2 * math.pi * hertz * torch.arange(1000) / 16_000)
    odd, even = 2 * sizes.randint(50, 70) + 1, 2 * sizes.randint(71, 90)
    shapes = [(1, even), (sizes.randint(2, 4), odd), (1, sizes.randint(17_000, 18_000)), (2, 7)]
    noises = [torch.randn(b, 1, t, generator=generator(t)) for b, t in shapes]
    noises[1][0] = 0  # a clip of silence beside others
    scattered = torch.randn(even, 1, 3, generator=generator(21)).permute(2, 1, 0)
    cases = [(x,) for x in (tones, *noises, scattered, noises[1].double())]
    otherwise = (
        "low_pass() over 32 zeros on each side of the clip, then samples 0, 2, 4; no sample is "
        "scaled or cut off"
    )
    agree(filters, _halved, cases, HALVE_MISTAKES, otherwise, 1e-4)
    passed("tones up to 3 kHz stay as they are, tones from 5 kHz are gone")


# 2.2 - Pad a batch of unequal clips


def _padded(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The oracle: number by number, in plain Python."""
    lengths = [clip.numel() for clip in clips]
    rows = [[clip[0].tolist() + [0] * (max(lengths) - clip.numel())] for clip in clips]
    return torch.tensor(rows, dtype=clips[0].dtype), torch.tensor(lengths)


def _fitted(clips: list[Tensor], samples: int) -> tuple[Tensor, Tensor]:
    padded, lengths = _padded(clips)
    return F.pad(padded, (0, samples - padded.shape[2])), lengths


def _pushed(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    padded, lengths = _padded(clips)
    return torch.stack([x.roll(-int(n), 1) for x, n in zip(padded, lengths, strict=True)]), lengths


def _unset(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    lengths = _padded(clips)[1]
    waveforms = clips[0].new_empty(len(clips), 1, int(lengths.max()))
    for row, clip in zip(waveforms, clips, strict=True):
        row[:, : clip.shape[1]] = clip
    return waveforms, lengths


def _counted(clips: list[Tensor], count: Callable[[Tensor], int]) -> tuple[Tensor, Tensor]:
    return _padded(clips)[0], torch.tensor([count(clip) for clip in clips])


PAD_MISTAKES: dict[str, Callable] = {
    "(batch, 1, time), padded to the longest clip of this batch": lambda c: _fitted(c, 8000),
    "no clip is cut: pad to the longest, not to the shortest":
        lambda c: _fitted(c, min(x.shape[1] for x in c)),
    "zeros go behind the clip": _pushed,
    "new memory was not set to zero (torch.empty holds anything)": _unset,
    "the lengths before padding, in the order of the clips":
        lambda c: _counted(c, lambda _: max(x.shape[1] for x in c)),
    "the clips stay in their order: the longest need not be the first":
        lambda c: _padded(sorted(c, key=lambda x: -x.shape[1])),
    "a zero inside a clip is a sample, too: the length is clip.shape[1]":
        lambda c: _counted(c, lambda x: int(x.count_nonzero())),
    "a clip may end in zeros: the length is clip.shape[1]":
        lambda c: _counted(c, lambda x: int(x[0].nonzero().max() + 1) if x.any() else 0),
    "lengths are int64: torch.tensor of Python ints":
        lambda c: (_padded(c)[0], _padded(c)[1].float()),
    "return a torch.Tensor of lengths; this is of type list":
        lambda c: (_padded(c)[0], _padded(c)[1].tolist()),
    "torch.stack makes a batch of (1, time); torch.cat would glue the channels":
        lambda c: (_padded(c)[0][:, 0], _padded(c)[1]),
    "the samples keep the dtype of the clips: clip.new_zeros(...)":
        lambda c: (_padded(c)[0].float(), _padded(c)[1]),
    "waveforms come first, then the lengths": lambda c: _padded(c)[::-1],
    "return two tensors": lambda c: _padded(c)[0],
}


@check("2.2", PAD_MISTAKES, draws=False)
def pad_batch(answer: Callable) -> None:
    """Each batch is padded to its own longest clip.

    ``answer(clips) -> waveforms (batch, 1, longest), lengths (batch,)``
    """
    sizes = chance(22)
    batches = [[3, 5, 2], [7], [4, 4], [1, 9]]
    batches += [sizes.sample(range(4, 30), count) for count in (4, sizes.randint(5, 7))]
    cases = [[torch.rand(1, n, generator=generator(n)) + 1 for n in batch] for batch in batches]
    for clip in cases[4]:  # zeros in front, inside and at the end, as a recording has them
        clip[0, [0, clip.shape[1] // 2, -1]] = 0
    cases[5][1].zero_()
    cases += [[clip.double() for clip in cases[4]]]
    with unset_memory_is_nan():
        otherwise = "(batch, 1, longest), each clip and zeros behind it; one int64 length a clip"
        agree(answer, _padded, [(clips,) for clips in cases], PAD_MISTAKES, otherwise, 0)
    passed("batches of 3, 1, 2 and 2 clips, each padded to its longest")


# 2.3 - One convolution by hand


def _convolved(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """The oracle: torch's convolution."""
    return F.conv1d(x[None], weight, bias, stride)[0]


def _sums(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    windows = x.unfold(1, weight.shape[2], stride)
    return torch.einsum("ist,oit->os", windows, weight) + bias[:, None]


def _takes(answer: Callable, count: int) -> bool:
    """Whether an answer can be called with so many arguments."""
    try:
        inspect.signature(answer).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


@contextmanager
def _no_convolution() -> Iterator[None]:
    """While it is open, a library's convolution is a failed check, SciPy's and by FFT, too."""

    def refused(*arguments: Any, **named: Any) -> None:
        fail(*wanted, "SciPy does it for you: the exercise is to do it by hand, once")

    wanted = "loops of your own", "a library's convolution"
    with ExitStack() as stack:
        for module in map(sys.modules.get, ("scipy.signal", "scipy.ndimage")):
            for name in dir(module) if module else ():
                if re.search("conv|correl|lfilter", name) and callable(getattr(module, name)):
                    stack.enter_context(mock.patch.object(module, name, refused))
        stack.enter_context(by_hand(*wanted, ["conv", "convol", "fft"]))
        yield


CONVOLVE_MISTAKES: dict[str, Callable] = {
    "the kernel was turned round; here it is not": lambda x, w, b, s=1: _sums(x, w.flip(2), b, s),
    "the bias is missing": lambda x, w, b, s=1: _sums(x, w, 0 * b, s),
    "add the bias once, not for each tap": lambda x, w, b, s=1: _sums(x, w, w[0].numel() * b, s),
    "each output channel has a kernel of its own":
        lambda x, w, b, s=1: _sums(x, w[:1].expand_as(w), b, s),
    "the window of step t starts at t * stride":
        lambda x, w, b, s=1: _sums(x, w, b)[:, : (x.shape[1] - w.shape[2]) // s + 1],
    "the stride is not used": lambda x, w, b, s=1: _sums(x, w, b),
    "the stride is 1 where none is given": lambda x, w, b, s=2: _sums(x, w, b, s),
    "sum over all input channels": lambda x, w, b, s=1: _sums(x[:1], w[:, :1], b, s),
    "sum over all input channels: this is the last one":
        lambda x, w, b, s=1: _sums(x[-1:], w[:, -1:], b, s),
    "(out, steps), with (time - taps) // stride + 1 steps: each starts stride later":
        lambda x, w, b, s=1: _sums(x, w, b, s)[:, :-1],
    "there is no padding: the last step is the last place where the whole kernel fits":
        lambda x, w, b, s=1: _sums(F.pad(x, (w.shape[2] // 2,) * 2), w, b, s),
    "conv1d does it for you: the exercise is to do it by hand, once": _convolved,
}


@check("2.3", CONVOLVE_MISTAKES, draws=False)
def convolve(answer: Callable) -> None:
    """Equal to a hand-worked example and to torch's convolution.

    ``answer(x (in, time), weight (out, in, taps), bias (out,), stride) -> (out, steps)``
    """

    @functools.wraps(answer)
    def by_loops(x: Tensor, *rest: Any) -> Tensor:
        with _no_convolution():
            got = answer(x, *rest)
        floats = isinstance(got, Tensor) and got.is_floating_point()
        return got.to(x.dtype) if floats else got  # double precision inside is fine

    sizes, random = chance(23), generator(23)
    x, weight = torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[[1.0, 10]]])
    cases = [(x, weight, torch.zeros(1), stride) for stride in (1, 2)]
    for inputs, outputs, stride in ((1, 1, 1), (3, 2, 2), (2, 4, 3), (5, 3, sizes.randint(1, 4))):
        taps = sizes.randint(3, 5)
        x = torch.randn(inputs, sizes.randint(12, 20), generator=random)
        weight = torch.randn(outputs, inputs, taps, generator=random)
        cases += [(x, weight, torch.randn(outputs, generator=random), stride)]
    cases += [(x[:, :taps], *cases[-1][1:]), (x, weight[..., :2], cases[-1][2], 3)]  # holes
    if _takes(answer, 3):
        cases += [cases[3][:3]]
    otherwise = "bias[o] + the sum of weight[o] * window, over all input channels and taps"
    agree(by_loops, _convolved, cases, CONVOLVE_MISTAKES, otherwise)
    passed("equal to the hand-worked example, and to torch with 1 to 4 channels and strides 1 to 3")


# 2.4 - How long is the output?


def _places(samples: int, taps: int, stride: int) -> int:
    """The oracle: lay the window down, again and again, and count."""
    return len([start for start in range(0, samples, stride) if start + taps <= samples])


def _lengths(samples: int, layers: Layers, length: Callable = _places) -> list[int]:
    return list(itertools.accumulate(layers, lambda n, layer: length(n, *layer), initial=samples))


def _until_nothing(samples: int, layers: Layers) -> list[int]:
    lengths = _lengths(samples, layers)
    return lengths[: lengths.index(0) + 1] if 0 in lengths else lengths


LENGTH_MISTAKES: dict[str, Callable] = {
    "the last window starts at samples - taps or before; // rounds down":
        lambda n, k, s: max(0, math.ceil((n - k) / s) + 1),
    "the first place counts, too: + 1": lambda n, k, s: max(0, (n - k) // s),
    "a window that does not fit makes no step: max(0, ...)": lambda n, k, s: (n - k) // s + 1,
    "// divides whole numbers": lambda n, k, s: max(0, (n - k) / s + 1),
    "the taps count: the last window starts at samples - taps or before": lambda n, k, s: n // s,
    "there is no padding: a window starts at samples - taps at the latest":
        lambda n, k, s: -(-n // s),
    "each window starts stride later: divide by it": lambda n, k, s: max(0, n - k + 1),
}
THROUGH_MISTAKES: dict[str, Callable] = {
    "the list starts with the length of the input": lambda n, layers: _lengths(n, layers)[1:],
    "each layer (taps, stride) works on what the one before left: lengths[-1]":
        lambda n, layers: [n, *(_places(n, *layer) for layer in layers)],
    "collect each length, not the last only": lambda n, layers: _lengths(n, layers)[-1],
    "a layer is (taps, stride), in this order":
        lambda n, layers: _lengths(n, layers, lambda n, s, k: _places(n, k, s)),
    "what does not fit makes no step here, too: call output_length":
        lambda n, layers: _lengths(n, layers, lambda n, k, s: (n - k) // s + 1),
    "behind a length of 0 each layer still has its length, 0": _until_nothing,
}


@check("2.4", [LENGTH_MISTAKES, THROUGH_MISTAKES], (_places, _lengths), draws=False)
def output_length(length: Callable, through: Callable) -> None:
    """As many steps as there are places for the window, layer after layer.

    ``length(samples, taps, stride)`` and ``through(samples, layers)``
    """
    sizes = chance(24)
    windows = [(1, 1), (3, 1), (4, 4), (5, 2), (7, 3)]
    cases = [(samples, *window) for samples in range(1, 40) for window in windows]
    for most in (50, 500, 20_000):
        cases += [(sizes.randint(30, most), sizes.randint(2, 30), sizes.randint(2, 20))]
    otherwise = "(samples - taps) // stride + 1 places, and 0 if the window does not fit"
    for fits in (True, False):
        asked = [case for case in cases if (case[0] >= case[1]) is fits]
        agree(length, _places, asked, LENGTH_MISTAKES, otherwise)
    network = [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)]
    drawn = [(sizes.randint(2, 9), sizes.randint(2, 4)) for _ in range(sizes.randint(2, 5))]
    long = sizes.randint(9000, 20_000)
    cases = [(samples, network) for samples in (8000, 16_000, 6848, long)] + [(long, drawn)]
    otherwise = "[samples], then output_length of the last one for each layer (taps, stride)"
    agree(through, _lengths, cases, THROUGH_MISTAKES, otherwise)
    short = [(6847, network), (sizes.randint(1, 79), network), (long, [])]
    agree(through, _lengths, cases + short, THROUGH_MISTAKES, otherwise)
    passed("every window of 1 to 7 taps over 1 to 39 samples, and all four blocks")


# 2.5 - Receptive field


def _reached(layers: Layers) -> set[int]:
    """From one output down to the input: all samples that it depends on."""
    samples = {0}
    for taps, stride in reversed(layers):
        samples = {place * stride + tap for place in samples for tap in range(taps)}
    return samples


def _field(layers: Layers) -> int:
    """The oracle: from the first to the last; a large stride may leave holes."""
    return max(_reached(layers)) + 1


def _walked(layers: Layers, field: int = 1, less: int = 1, widen: Callable = operator.mul) -> int:
    step = 1
    for taps, stride in layers:
        field += (taps - less) * step
        step = widen(step, stride)
    return field


def _apart(layers: Layers) -> tuple[list[int], list[int]]:
    """The taps, and for each layer the stride of the next one, 1 behind the last."""
    return [taps for taps, _ in layers], [*(stride for _, stride in layers[1:]), 1]


FIELD_MISTAKES: dict[str, Callable] = {
    "the strides are not used: taps of a deep layer are further apart":
        lambda layers: _walked(layers, widen=lambda *_: 1),
    "a layer's own stride counts for the layers after it, not for itself":
        lambda layers: _walked([(1, layers[0][1]), *zip(*_apart(layers), strict=True)]),
    "each layer adds (taps - 1) steps, not taps": lambda layers: _walked(layers, 0, 0),
    "one layer of n taps hears n samples: start with a field of 1, add taps - 1":
        lambda layers: _walked(layers, 0),
    "all strides before a layer count, multiplied: this is the last one":
        lambda layers: _walked(layers, widen=lambda _, stride: stride),
    "walk from the input to the output": lambda layers: _walked(layers[::-1]),
    "a layer is (taps, stride), in this order": lambda layers: _walked([(k, s) for s, k in layers]),
    "from the first sample to the last, holes and all": lambda layers: len(_reached(layers)),
    "a whole number of samples: no float": lambda layers: float(_field(layers)),
    "a field may be wider than one second": lambda layers: min(_field(layers), 16_000),
}


@check("2.5", FIELD_MISTAKES, draws=False)
def receptive_field(answer: Callable) -> None:
    """As many samples as one output depends on.

    ``answer(layers) -> samples``
    """
    sizes = chance(25)
    network = [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)]
    cases = [[(5, 1)], [(3, 1), (3, 1)], [(3, 2), (2, 3), (4, 1)], [(80, 16), (4, 4)], network]
    cases += [
        [(sizes.randint(2, 9), sizes.randint(1, 4)) for _ in range(count)] for count in (2, 3, 4)
    ]
    cases += [[(2, 5), (sizes.randint(3, 6), 1)], [*network, (sizes.randint(4, 7), 2)]]
    otherwise = "each layer adds (taps - 1) steps of all strides before it, multiplied"
    agree(answer, _field, [(layers,) for layers in cases], FIELD_MISTAKES, otherwise)
    passed("the gradient of one output reaches exactly as many samples")
