"""Checks of paths: what a path spells, and how many frames a text takes."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Sequence

import torch

from course_utils.checks.core import call, equal, fail, passed, same_dtype, shape_of, unchanged


def spelled(path: Sequence[int], blank: int = 0) -> tuple[int, ...]:
    """What a path collapses to, by regular expressions."""
    text = "".join(chr(97 + symbol) for symbol in path)
    text = re.sub(r"(.)\1+", r"\1", text).replace(chr(97 + blank), "")
    return tuple(ord(letter) - 97 for letter in text)


def runs_in(path: list[int]) -> list[list[int]]:
    """The path cut where its symbol changes."""
    return [list(run) for _, run in itertools.groupby(path)]


# 4.5 - Collapse a path


def collapse(answer: Callable) -> None:
    """Repeats are merged, then blanks dropped.

    ``answer(path, blank=0) -> list``: repeats merged, then blanks dropped
    """
    hand = [
        ([2, 3, 3, 0, 3, 1, 0, 2, 2, 2, 1], [2, 3, 3, 1, 2, 1]),
        ([1, 1, 0, 1, 2, 2], [1, 1, 2]),
        ([], []),
        ([0, 0, 0], []),
        ([3], [3]),
        ([0, 2, 2, 0, 0, 2, 0], [2, 2]),
        ([1, 2, 1, 2, 2, 1], [1, 2, 1, 2, 1]),
        ([4, 4, 4, 4], [4]),
        ([1, 0, 0, 1, 1, 0, 3], [1, 1, 3]),
    ]
    chance = random.Random(5)
    for path, expected in hand:
        _collapses(answer, path, expected)
    for _ in range(40):
        path = chance.choices(range(4), [4, 3, 2, 1], k=chance.randint(1, 12))
        _collapses(answer, path, list(spelled(path)))
        _collapses(answer, path, list(spelled(path, 2)), 2)
    passed("hand-worked paths, and 40 others with either of two blanks")


def _collapses(answer: Callable, path: list[int], expected: list[int], *blank: int) -> None:
    given = list(path)
    got = call(answer, given, *blank)
    if given != path:
        fail("the path as it was", "a changed one", "make a new list: path.remove changes the old")
    if not isinstance(got, list):
        fail("a list", type(got).__name__, "return a list of int")
    zero = blank[0] if blank else 0
    without = [symbol for symbol in path if symbol != zero]
    merged = [symbol for symbol, _ in itertools.groupby(path)]
    known = {
        "merge repeats first: a blank between two equal symbols keeps both": [
            symbol for symbol, _ in itertools.groupby(without)
        ],
        "repeats are to be merged: this drops the blanks only": without,
        "blanks are to be dropped: this merges repeats only": merged,
        "the path is neither merged nor without blanks": path,
        "a symbol may come back later: only neighbours are merged": list(dict.fromkeys(without)),
        "the order counts, and a symbol may come back: no set": sorted(set(without)),
        "the blank is an argument: it need not be 0": list(spelled(path)),
        "the blank is an argument: 0 may be a symbol": [
            symbol for symbol in merged if symbol not in (0, zero)
        ],
        "the last symbol counts, too": expected[:-1],
        "the first symbol counts, too": expected[1:],
        "merge all repeats, also three and more in a row": [
            s for s in list(itertools.chain(*map(_pairs, runs_in(path)))) if s != zero
        ],
    }
    cause = "keep a symbol if it differs from the one before, then drop blanks"
    equal(got, expected, known, cause, f"{path}, blank {zero}")


def _pairs(run: list[int]) -> list[int]:
    """A run in which each pair has become one."""
    return run[::2]


# 4.8 - Does the text fit?


def feasible(needed: Callable, answer: Callable) -> None:
    """As many frames as the shortest path that spells the target has.

    ``needed(target) -> int``; ``answer(lengths, targets, target_lengths) -> bool (batch,)``
    """
    # The oracle: the first length at which some path of three symbols collapses to the target.
    shortest: dict[tuple, int] = {}
    for frames in range(8):
        for path in itertools.product(range(3), repeat=frames):
            shortest.setdefault(spelled(path), frames)
    targets = [list(t) for n in range(5) for t in itertools.product((1, 2), repeat=n)]
    targets = [[1, 1, 2, 1], [1, 1, 1, 2], *targets]
    for target in targets:
        given = list(target)
        got = call(needed, given)
        if given != target:
            fail("the target as it was", "a changed one", "leave the list as it is")
        if isinstance(got, bool) or not isinstance(got, int):
            fail("an int", type(got).__name__, "a number of frames: an int")
        runs = [len(run) for run in runs_in(target)]
        count = len(target)
        known = {
            "a blank between two equal neighbours takes a frame, too": count,
            "a blank is needed between equal neighbours only": 2 * count - 1,
            "blanks are needed between equal neighbours only": 2 * count + 1,
            "only neighbours need a blank between them, not every symbol that comes back": count
            + count
            - len(set(target)),
            "each pair of equal neighbours takes a frame: three in a row are two pairs": count
            + sum(run > 1 for run in runs),
            "one blank for each pair of equal neighbours": count
            + int(any(run > 1 for run in runs)),
            "a blank for each pair of equal neighbours, not of different ones": count
            + sum(a != b for a, b in itertools.pairwise(target)),
            "the first has none before it: target[-1] is the last": count
            + sum(target[place] == target[place - 1] for place in range(count)),
            "this is the number of pairs: the symbols take frames, too": sum(runs) - len(runs),
            "equal neighbours take more frames, not fewer": len(runs),
        }
        cause = "len(target), and one more for each pair of equal neighbours"
        equal(got, shortest[tuple(target)], known, cause, f"frames for {target}")
    chance = random.Random(8)
    for size in (12, 5, 1):
        rows = [chance.choice(targets) for _ in range(size)] + [[1, 1, 1], [2, 1]]
        need = [shortest[tuple(row)] for row in rows]
        frames = [number + (-1, 30, 0, 1)[place % 4] for place, number in enumerate(need)]
        width = max(map(len, rows)) + 3
        padded = [row + [0] * (width - len(row)) for row in rows]
        given = [torch.tensor(frames), torch.tensor(padded), torch.tensor([*map(len, rows)])]
        before = [value.clone() for value in given]
        got = call(answer, *given)
        for value, after in zip(before, given, strict=True):
            unchanged(value, after, "lengths and targets")
        shape_of(got, (len(rows),), {(): "one answer for each clip"}, "one answer for each clip")
        same_dtype(got, torch.bool, "true or false: lengths >= torch.tensor(needed)")
        padding = [width - len(row) for row in rows]
        with_padding = [n + p + max(0, p - 1) for n, p in zip(need, padding, strict=True)]
        tried = {
            "just enough frames are enough: >=": [f > n for f, n in zip(frames, need, strict=True)],
            "the padding is no part of the target: row[:target_length]": [
                f >= n for f, n in zip(frames, with_padding, strict=True)
            ],
            "frames_needed(target), not its length: equal neighbours need a blank": [
                f >= len(row) for f, row in zip(frames, rows, strict=True)
            ],
            "true where the frames are enough": [f < n for f, n in zip(frames, need, strict=True)],
            "all of them have enough frames here": [True] * len(rows),
        }
        expected = [f >= n for f, n in zip(frames, need, strict=True)]
        cause = "lengths >= frames_needed of each target, cut to its target length"
        cause = next((why for why, value in tried.items() if value == got.tolist()), cause)
        for answered, right, clip, row in zip(got.tolist(), expected, frames, rows, strict=True):
            if answered != right:
                fail(f"{right} for {clip} frames and the target {row}", answered, cause)
    passed(f"{len(targets)} targets by trying all paths, and padded batches of 3 to 14 clips")
