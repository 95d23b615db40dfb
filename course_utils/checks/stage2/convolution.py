"""Checks of convolutions: rates, batches, the sum by hand, lengths, receptive fields."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from course_utils.checks.core import (
    by_hand,
    call,
    close,
    fail,
    generator,
    passed,
    recognised,
    same_dtype,
    same_shape,
)

# 2.1 - Halve the sample rate of a batch


def halve_rate(answer: Callable) -> None:
    """Tones below the new limit stay as they are, those above it are gone.

    ``answer(waveforms (batch, 1, time)) -> (batch, 1, ceil(time / 2))``
    """
    for batch, time in ((3, 1000), (2, 1001)):
        got = call(answer, torch.rand(batch, 1, time, generator=generator(time)))
        cause = (
            "(batch, 1, time) as before: pad, so that the first result is centred on sample 0, "
            "and keep samples 0, 2, 4"
        )
        same_shape(got, (batch, 1, math.ceil(time / 2)), cause)
    same_dtype(got, torch.float32, "stay in float32")
    double = call(answer, torch.ones(1, 1, 200, dtype=torch.float64))
    same_dtype(double, torch.float64, "the filter takes the waveforms' dtype and device: .to(...)")
    if got.requires_grad:
        cause = "this filter does not learn: F.conv1d with low_pass(), no layer with parameters"
        fail("samples", "samples that remember a gradient", cause)
    # The oracle: a sine has a closed form, whatever the rate.
    time = torch.arange(4000) / 16_000
    middle = slice(100, 1900)  # the edges have neighbours that are not there
    tones = [300.0, 1000.0, 2000.0, 3000.0]
    sines = torch.stack([torch.sin(2 * math.pi * hz * time) for hz in tones])[:, None]
    got = call(answer, sines)
    for row, hz in enumerate(tones):
        expected = sines[row, 0, ::2][middle]
        error = float((got[row, 0, middle] - expected).abs().max())
        if error > 0.03:
            level = float(got[row, 0, middle].square().mean() / expected.square().mean()) ** 0.5
            alone = call(answer, sines[row : row + 1])[0]
            if not torch.allclose(got[row], alone, atol=1e-3):
                cause = "each clip of the batch is filtered by itself, whatever stands beside it"
            elif level < 0.97 and hz >= 2000:
                cause = "the filter cuts too low: low_pass() first, on all samples, then drop"
            elif abs(level - 1) > 0.03:
                cause = "the filter's weights are those of low_pass(), which sum to 1"
            else:
                cause = (
                    "the sound has moved: pad by half of the filter on both sides, keep sample 0"
                )
            fail(
                f"a tone of {hz:.0f} Hz as loud and where it was", f"an error of {error:.2f}", cause
            )
    for hz, alias in ((5000.0, 3000), (6500.0, 1500)):
        high = torch.sin(2 * math.pi * hz * time)[None, None]
        left = float(call(answer, high)[0, 0, middle].square().mean()) ** 0.5
        if left > 0.02:  # 0.71 without a filter; 0.001 with the one that is given
            cause = f"it comes back as {alias} Hz: filter before you drop samples"
            fail(f"almost nothing of a tone of {hz:.0f} Hz", f"a level of {left:.2f}", cause)
    passed("tones up to 3 kHz stay as they are, tones from 5 kHz are gone")


# 2.2 - Pad a batch of unequal clips


def pad_batch(answer: Callable) -> None:
    """Each batch is padded to its own longest clip.

    ``answer(clips) -> waveforms (batch, 1, longest), lengths (batch,)``
    """
    for lengths in ([3, 5, 2], [7], [4, 4], [1, 9]):
        clips = [torch.rand(1, n, generator=generator(n)) + 1 for n in lengths]
        result = call(answer, list(clips))
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(waveforms, lengths)", type(result).__name__, "return two tensors")
        waveforms, got_lengths = result
        if getattr(waveforms, "ndim", 3) != 3:
            cause = "torch.stack makes a batch of (1, time); torch.cat would glue the channels"
        else:
            cause = "(batch, 1, time), padded to the longest clip of this batch"
        same_shape(waveforms, (len(clips), 1, max(lengths)), cause)
        same_dtype(waveforms, torch.float32, "the samples stay float32")
        same_shape(got_lengths, (len(clips),), "one length a clip")
        same_dtype(got_lengths, torch.int64, "lengths are int64: torch.tensor of Python ints")
        if got_lengths.tolist() != lengths:
            cause = "the lengths before padding, in the order of the clips"
            fail(lengths, got_lengths.tolist(), cause)
        for row, clip in enumerate(clips):
            kept, rest = waveforms[row, 0, : lengths[row]], waveforms[row, 0, lengths[row] :]
            if not torch.equal(kept, clip[0]):
                cause = "zeros go behind the clip"
                fail(f"clip {row} at the start of row {row}", "other samples", cause)
            if bool((rest != 0).any()):
                fail("zeros after the clip", "something else", "pad with zeros")
    passed("batches of 3, 1, 2 and 2 clips, each padded to its longest")


# 2.3 - One convolution by hand


def convolve(answer: Callable) -> None:
    """Equal to a hand-worked example and to torch's convolution.

    ``answer(x (in, time), weight (out, in, taps), bias (out,), stride) -> (out, steps)``
    """
    hand = call(
        answer, torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[[1.0, 10]]]), torch.zeros(1), 1
    )
    same_shape(hand, (1, 3), "(out, steps): a kernel of 2 fits at 3 places of 4 samples")
    if hand.tolist() == [[12.0, 23.0, 34.0]]:
        fail([[21, 32, 43]], [[12, 23, 34]], "the kernel was turned round; here it is not")
    close(hand, [[21.0, 32.0, 43.0]], "each number is the sum 1 * x[t] + 10 * x[t + 1]", 1e-6)
    random = generator(6)
    for inputs, outputs, time, taps, stride in (
        (1, 1, 9, 4, 1),
        (3, 2, 11, 3, 2),
        (2, 4, 10, 5, 3),
    ):
        x = torch.randn(inputs, time, generator=random)
        weight = torch.randn(outputs, inputs, taps, generator=random)
        bias = torch.randn(outputs, generator=random)
        places = ("torch.nn.functional.conv1d", "torch.conv1d")
        with by_hand("loops of your own", "conv1d", places):
            got = call(answer, x, weight, bias, stride)
        conv1d = F.conv1d
        expected = conv1d(x[None], weight, bias, stride)[0]
        steps = expected.shape[1]
        cause = "(out, steps), with (time - taps) // stride + 1 steps: each starts stride later"
        same_shape(got, (outputs, steps), cause)
        known = {
            "the bias is missing": expected - bias[:, None],
            "add the bias once, not for each tap": expected + (inputs * taps - 1) * bias[:, None],
            "the window of step t starts at t * stride": conv1d(x[None], weight, bias)[
                0, :, :steps
            ],
            "sum over all input channels": conv1d(x[None, :1], weight[:, :1], bias, stride)[0],
        }
        cause = "bias[o] + the sum of weight[o] * window, over all input channels and taps"
        close(got, expected, recognised(got, known, cause, 1e-6))
    passed("equal to the hand-worked example, and to torch with 1 to 4 channels and strides 1 to 3")


# 2.4 - How long is the output?


def output_length(length: Callable, through: Callable) -> None:
    """As many steps as there are places for the window, layer after layer.

    ``length(samples, taps, stride)`` and ``through(samples, layers)``
    """
    windows = ((1, 1), (3, 1), (4, 4), (5, 2), (7, 3))
    cases = [(samples, *window) for samples in range(1, 40) for window in windows]
    for samples, taps, stride in sorted(cases, key=lambda case: case[0] < case[1]):  # fits first
        # The oracle: lay the window down, again and again, and count.
        places = [start for start in range(0, samples, stride) if start + taps <= samples]
        got = call(length, samples, taps, stride)
        if got != len(places):
            if len(places) == 0:
                cause = "a window that does not fit makes no step: max(0, ...)"
            elif got == len(places) - 1:
                cause = "the first place counts, too: + 1"
            else:
                cause = "the last window starts at samples - taps or before; // rounds down"
            asked = f"{samples} samples, {taps} taps, stride {stride}"
            fail(f"a length of {len(places)} for {asked}", got, cause)
        if not isinstance(got, int):
            fail("a whole number", f"{type(got).__name__} {got}", "// divides whole numbers")
    layers = [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)]
    for samples, expected in (
        (8000, [8000, 496, 124, 122, 30, 28, 7, 5, 1]),
        (16_000, [16_000, 996, 249, 247, 61, 59, 14, 12, 3]),
        (6848, [6848, 424, 106, 104, 26, 24, 6, 4, 1]),
        (6847, [6847, 423, 105, 103, 25, 23, 5, 3, 0]),
    ):
        got = call(through, samples, list(layers))
        if not isinstance(got, list | tuple):
            fail(
                f"a list of {len(expected)} lengths", got, "collect each length, not the last only"
            )
        if list(got) != expected:
            cause = "each layer (taps, stride) works on what the one before left: lengths[-1]"
            if list(got) == expected[1:]:
                cause = "the list starts with the length of the input"
            fail(expected, got, cause)
    passed("every window of 1 to 7 taps over 1 to 39 samples, and all four blocks")


# 2.5 - Receptive field


def receptive_field(answer: Callable) -> None:
    """As many samples as the gradient of one output reaches.

    ``answer(layers) -> samples``
    """
    cases = [
        [(5, 1)],
        [(3, 1), (3, 1)],
        [(3, 2), (2, 3), (4, 1)],
        [(80, 16), (4, 4)],
        [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)],
    ]
    for layers in cases:
        # The oracle: which input samples have a gradient from one output?
        x = torch.zeros(1, 1, 8000, dtype=torch.float64, requires_grad=True)
        y = x
        for taps, stride in layers:
            y = F.conv1d(y, torch.ones(1, 1, taps, dtype=y.dtype), stride=stride)
        y[0, 0, 0].backward()
        reached = x.grad[0, 0].nonzero()
        expected = int(reached.max() - reached.min()) + 1  # a large stride may leave holes
        got = call(answer, list(layers))
        if got != expected:
            product = math.prod(stride for _, stride in layers)
            if len(layers) == 1:
                cause = "one layer of n taps hears n samples: start with a field of 1, add taps - 1"
            elif got == sum(taps for taps, _ in layers) - len(layers) + 1:
                cause = "the strides are not used: taps of a deep layer are further apart"
            elif got > expected and product > 1:
                cause = "a layer's own stride counts for the layers after it, not for itself"
            else:
                cause = "each layer adds (taps - 1) steps of all strides before it, multiplied"
            fail(f"{expected} samples for {layers}", got, cause)
    passed("the gradient of one output reaches exactly as many samples")
