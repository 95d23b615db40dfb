"""Checks of lengths: how many frames come out of convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    call,
    fail,
    passed,
    same_dtype,
    same_shape,
    unchanged,
)


def counted(frames: int, layers: list[tuple[int, int]]) -> int:
    """The oracle: let torch convolve zeros, and count."""
    x = torch.zeros(1, 1, frames)
    for kernel, stride in layers:
        weight = torch.zeros(1, 1, kernel)
        x = F.conv1d(x, weight, stride=stride, padding=kernel // 2)
    return x.shape[2]


# 4.9 - One length for all


def output_frames(answer: Callable) -> None:
    """As many frames as come out of torch's convolutions.

    ``answer(frames, layers)``: frames behind convolutions, for an int or an int64 tensor
    """
    for layers in (
        [(5, 1)],
        [(5, 3)],
        [(41, 2), (21, 2)],  # of the large network
        [(5, 3), (5, 1)],
        [(4, 2)],
        [(2, 2), (3, 3), (6, 1)],
        [],
    ):
        counts = [*range(1, 14), 122, 1001]
        expected = [counted(n, layers) for n in counts]
        given = list(layers)
        got = [call(answer, n, layers) for n in counts]
        if layers != given:
            fail("layers as they were", "changed ones", "go through the list: for kernel, stride")
        if any(type(value) is not int for value in got):
            kind = next(type(value).__name__ for value in got if type(value) is not int)
            fail("an int for an int", kind, "integer arithmetic: //, no / and no tensors")
        case = f"frames for {counts} and layers {layers}"
        _right_counts(got, expected, counts, layers, case)
        lengths = torch.tensor(counts)
        try:
            got = call(answer, lengths, layers)
        except CheckFailed as error:
            if "element" not in str(error.__cause__):
                raise
            cause = "math.ceil, math.floor and int() take one number: // works for both"
            fail("lengths for a tensor of lengths", f"{error.__cause__}", cause)
        unchanged(torch.tensor(counts), lengths, "lengths (frames //= stride writes into them)")
        cause = "a tensor of lengths comes back as one: the same arithmetic for all of them"
        same_shape(got, (len(counts),), cause)
        cause = "lengths are int64: // of integers, not / and not math.ceil"
        same_dtype(got, torch.int64, cause)
        _right_counts(got.tolist(), expected, counts, layers, case)
    passed("as many frames as torch's convolutions give, for 105 pairs of length and layers")


def _right_counts(
    got: list[int], expected: list[int], counts: list[int], layers: list, case: str
) -> None:
    if got == expected:
        return

    def each(step: Callable) -> list[int]:
        numbers = list(counts)
        for kernel, stride in layers:
            numbers = [step(n, kernel, stride) for n in numbers]
        return numbers

    product = math.prod(stride for _, stride in layers)
    known = {
        "divide layer by layer and round up: (122, two strides of 2) is 31, not 122 // 4": [
            n // product for n in counts
        ],
        "a padded convolution of stride s gives ceil(n / s), not n // s": each(
            lambda n, kernel, stride: n // stride
        ),
        "an even kernel makes one frame more: not ceil(n / stride) alone": each(
            lambda n, kernel, stride: -(-n // stride)
        ),
        "an even kernel makes one frame more": [-(-n // product) for n in counts],
        "n // stride + 1 is one too many where stride divides n": each(
            lambda n, kernel, stride: n // stride + 1
        ),
        "the padding is missing: kernel // 2 on both sides": each(
            lambda n, kernel, stride: (n - kernel) // stride + 1
        ),
        "the padding is on both sides: 2 * (kernel // 2)": each(
            lambda n, kernel, stride: (n + kernel // 2 - kernel) // stride + 1
        ),
        "2 * (kernel // 2) and kernel differ where the kernel is odd": each(
            lambda n, kernel, stride: n // stride
        ),
        "the padding is kernel // 2: 2 * (kernel // 2) is not kernel for an odd one": each(
            lambda n, kernel, stride: (n + kernel - kernel) // stride + 1
        ),
        "+ 1: the first position counts, too": each(
            lambda n, kernel, stride: (n + 2 * (kernel // 2) - kernel) // stride
        ),
        "the layers come one after the other: this is the first": [
            counted(n, layers[:1]) for n in counts
        ],
        "the layers come one after the other: this is the last": [
            counted(n, layers[-1:]) for n in counts
        ],
        "a layer is (kernel, stride), in this order": each(
            lambda n, stride, kernel: (n + 2 * (kernel // 2) - kernel) // stride + 1
        ),
        "round down: torch leaves out what a kernel does not fill": each(
            lambda n, kernel, stride: -(-(n + 2 * (kernel // 2) - kernel) // stride) + 1
        ),
        "the frames are divided by the strides": counts,
    }
    at = next(
        place for place, pair in enumerate(zip(got, expected, strict=True)) if len({*pair}) > 1
    )
    cause = "floor((n + 2 * (kernel // 2) - kernel) / stride) + 1, layer after layer"
    cause = next((why for why, value in known.items() if value == got), cause)
    fail(f"{expected[at]} for {counts[at]} frames, layers {layers}", got[at], cause)
