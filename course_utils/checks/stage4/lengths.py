"""Checks of lengths: how many frames come out of convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, fail, passed, same_dtype, same_shape
from course_utils.checks.stage4.paths import looked_at

Layers = list[tuple[int, int]]


def counted(frames: int, layers: Layers) -> int:
    """The oracle: list the places where a kernel may start, and count them."""
    for kernel, stride in layers:
        frames = len(range(0, frames + 2 * (kernel // 2) - kernel + 1, stride))
    return frames


# 4.9 - One length for all


def _frames(frames: Any, layers: Layers) -> Any:
    if not isinstance(frames, Tensor):
        return counted(frames, layers)
    return torch.tensor([counted(n, layers) for n in frames.tolist()], dtype=torch.int64)


def _each(step: Callable) -> Callable:
    """An answer that goes through the layers in this step."""

    def answer(frames: Any, layers: Layers) -> Any:
        for kernel, stride in layers:
            frames = step(frames, kernel, stride)
        return frames

    return answer


def _changed(change: Callable) -> Callable:
    """An answer that is right for an int, and changes what is right for a tensor."""
    return lambda n, layers: (change if isinstance(n, Tensor) else int)(_frames(n, layers))


def _padded(n: Any, kernel: int) -> Any:
    return n + 2 * (kernel // 2) - kernel


FRAMES_MISTAKES: dict[str, Callable] = {
    "divide layer by layer and round up: (122, two strides of 2) is 31, not 122 // 4":
        _each(lambda n, k, s: n // s),
    "an even kernel makes one frame more: not ceil(n / stride) alone":
        _each(lambda n, k, s: -(-n // s)),
    "n // stride + 1 is one too many where stride divides n": _each(lambda n, k, s: n // s + 1),
    "the padding is missing: kernel // 2 on both sides": _each(lambda n, k, s: (n - k) // s + 1),
    "the padding is on both sides: 2 * (kernel // 2)":
        _each(lambda n, k, s: (n + k // 2 - k) // s + 1),
    "the padding is kernel // 2, for an even kernel, too":
        _each(lambda n, k, s: (n + 2 * ((k - 1) // 2) - k) // s + 1),
    "+ 1: the first position counts, too": _each(lambda n, k, s: _padded(n, k) // s),
    "+ 1 for each layer, not once":
        lambda n, layers: _each(lambda n, k, s: _padded(n, k) // s)(n, layers) + 1,
    "the layers come one after the other: this is the first":
        lambda n, layers: _frames(n, layers[:1]),
    "the layers come one after the other: this is the last":
        lambda n, layers: _frames(n, layers[-1:]),
    "the layers come one after the other, in their order":
        lambda n, layers: _frames(n, layers[::-1]),
    "a layer is (kernel, stride), in this order": _each(lambda n, s, k: _padded(n, k) // s + 1),
    "round down: torch leaves out what a kernel does not fill":
        _each(lambda n, k, s: -(-_padded(n, k) // s) + 1),
    "round down, also below 0: // does, int() and .long() cut towards 0":
        _each(lambda n, k, s: abs(x := _padded(n, k)) // s * (1 - 2 * (x < 0)) + 1),
    "the frames are divided by the strides": lambda n, layers: n,
    "the layers are an argument: not always two of stride 2": lambda n, layers: (n + 3) // 4,
    "math.ceil, math.floor and int() take one number: // works for both":
        _each(lambda n, k, s: math.floor(_padded(n, k) / s) + 1),
    "integer arithmetic: //, no / and no tensors": _each(lambda n, k, s: _padded(n, k) / s + 1),
    "lengths are int64: // of integers, not / and not math.ceil": _changed(Tensor.float),
    "return a torch.Tensor; this is of type list": _changed(Tensor.tolist),
    "a tensor of lengths comes back as one: the same arithmetic for all of them": _changed(max),
}


def _like_the_frames(got: Any, frames: Any, layers: Layers) -> None:
    if isinstance(frames, Tensor):
        cause = "a tensor of lengths comes back as one: the same arithmetic for all of them"
        same_shape(got, tuple(frames.shape), cause)
        cause = "lengths are int64: // of integers, not / and not math.ceil"
        same_dtype(got, torch.int64, cause)
    elif isinstance(got, bool) or not isinstance(got, int | np.integer):
        cause = "integer arithmetic: //, no / and no tensors"
        fail("an int for an int", type(got).__name__, cause)


@check("4.9", FRAMES_MISTAKES, draws=False)
def output_frames(answer: Callable) -> None:
    """As many frames as come out of torch's convolutions.

    ``answer(frames, layers)``: frames behind convolutions, for an int or an int64 tensor
    """
    drawn = chance(9)
    stacks = [[(5, 1)], [(5, 3)], [(41, 2), (21, 2)], [(5, 3), (5, 1)], [(4, 2)], []]
    stacks += [[(2, 2), (3, 3), (6, 1)]]
    stacks += [
        [(drawn.randint(1, 12), drawn.randint(1, 4)) for _ in range(drawn.randint(1, 3))]
        for _ in range(5)
    ]
    counts = [*range(1, 14), 122, 1001, *drawn.sample(range(14, 2000), drawn.randint(3, 6))]
    asked = looked_at(answer, _like_the_frames)
    otherwise = "floor((n + 2 * (kernel // 2) - kernel) / stride) + 1, layer after layer"
    steps = [(n, layers) for layers in stacks for n in counts]
    tensors = [(torch.tensor(counts), layers) for layers in stacks]
    alone = [(torch.tensor([n]), layers) for layers in stacks for n in counts[-3:]]
    none = [(0, layers) for layers in stacks] + [(torch.tensor([0, 7, 0]), [(5, 3), (3, 2)])]
    for cases in (steps, tensors, alone[::2], [*steps[::5], *none]):
        agree(asked, _frames, cases, FRAMES_MISTAKES, otherwise, 0)
    passed(f"as many frames as a kernel has places, for {len(steps)} pairs of length and layers")
