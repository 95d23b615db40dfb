"""Checks of paths: what a path spells, and how many frames a text takes."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.agree import agree
from course_utils.checks.core import (
    chance,
    check,
    fail,
    generator,
    name_of,
    passed,
    same_dtype,
    same_shape,
)


def spelled(path: Sequence[int], blank: int = 0) -> tuple[int, ...]:
    """What a path collapses to, by regular expressions."""
    text = "".join(chr(97 + symbol) for symbol in path)
    text = re.sub(r"(.)\1+", r"\1", text).replace(chr(97 + blank), "")
    return tuple(ord(letter) - 97 for letter in text)


def runs_in(path: list[int]) -> list[list[int]]:
    """The path cut where its symbol changes."""
    return [list(run) for _, run in itertools.groupby(path)]


def looked_at(answer: Callable, look: Callable[..., None]) -> Callable:
    """The answer; with each result (and the arguments) goes a call of `look`, which may fail."""

    @functools.wraps(answer)
    def run(*arguments: Any) -> Any:
        got = answer(*arguments)
        if got is not None:
            look(got, *arguments)
        return got

    run.__name__ = name_of(answer)
    return run


def of_kind(answer: Callable, kinds: type | tuple[type, ...], kind: str, cause: str) -> Callable:
    """The answer; a result that is not one of `kinds` fails."""

    def look(got: Any, *_: Any) -> None:
        if isinstance(got, bool) or not isinstance(got, kinds):
            fail(kind, type(got).__name__, cause)

    return looked_at(answer, look)


# 4.5 - Collapse a path


def _kept(path: Sequence[int], blank: int) -> list[int]:
    return [symbol for symbol in path if symbol != blank]


def _merged(path: Sequence[int]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path)]


COLLAPSE_MISTAKES: dict[str, Callable] = {
    "merge repeats first: a blank between two equal symbols keeps both":
        lambda p, b=0: _merged(_kept(p, b)),
    "repeats are to be merged: this drops the blanks only": lambda p, b=0: _kept(p, b),
    "blanks are to be dropped: this merges repeats only": lambda p, b=0: _merged(p),
    "the path is neither merged nor without blanks": lambda p, b=0: list(p),
    "a symbol may come back later: only neighbours are merged":
        lambda p, b=0: list(dict.fromkeys(_kept(p, b))),
    "the order counts, and a symbol may come back: no set": lambda p, b=0: sorted({*p} - {b}),
    "the blank is an argument: it need not be 0": lambda p, b=0: _kept(_merged(p), 0),
    "the blank is an argument: 0 may be a symbol": lambda p, b=0: _kept(_kept(_merged(p), b), 0),
    "the last symbol counts, too":
        lambda p, b=0: [s for s, after in itertools.pairwise(p) if s not in (after, b)],
    "the first symbol counts, too":
        lambda p, b=0: [s for before, s in itertools.pairwise(p) if s not in (before, b)],
    "the first has none before it: path[-1] is the last":
        lambda p, b=0: [s for place, s in enumerate(p) if s not in (p[place - 1], b)],
    "before the first there is nothing: 0 may be a symbol":
        lambda p, b=0: [s for before, s in itertools.pairwise([0, *p]) if s not in (before, b)],
    "merge all repeats, also three and more in a row":
        lambda p, b=0: _kept([s for run in runs_in(p) for s in run[::2]], b),
    "blanks go, symbols stay: this is the other way round":
        lambda p, b=0: [s for s in _merged(p) if s == b],
    "compare with != and ==: `is` asks for the same object": lambda p, b=0: [
        s for before, s in itertools.pairwise([None, *p]) if s is not before and s is not b
    ],
    "symbols are numbers of any size: 12 is no 1 and 2":
        lambda p, b=0: [int(digit) for digit in _merged("".join(map(str, p))) if digit != str(b)],
    "return a list of int": lambda p, b=0: spelled(p, b),
}


@check("4.5", COLLAPSE_MISTAKES, draws=False)
def collapse(answer: Callable) -> None:
    """Repeats are merged, then blanks dropped.

    ``answer(path, blank=0) -> list``: repeats merged, then blanks dropped
    """
    hand = [[2, 3, 3, 0, 3, 1, 0, 2, 2, 2, 1], [1, 1, 0, 1, 2, 2], [], [0, 0, 0], [3]]
    hand += [[0, 2, 2, 0, 0, 2, 0], [1, 2, 1, 2, 2, 1], [4, 4, 4, 4], [1, 0, 0, 1, 1, 0, 3]]
    drawn = chance(5)
    paths = [drawn.choices(range(4), [4, 3, 2, 1], k=drawn.randint(1, 12)) for _ in range(40)]
    # Numbers of more than one digit, and each an object of its own.
    large = [([symbol + 1000 for symbol in path], 1002) for path in [*hand, *paths]]
    asked = of_kind(answer, list, "a list", "return a list of int")
    otherwise = "keep a symbol if it differs from the one before, then drop blanks"
    zero = [(path,) for path in [*hand, *paths]]
    other = [(path, 2) for path in [[0, 1, 2], [0, 0, 3, 0], *paths]]
    for cases in (zero, [*zero, *other], [*zero, *other, *large]):
        agree(asked, lambda *case: list(spelled(*case)), cases, COLLAPSE_MISTAKES, otherwise)
    passed("hand-worked paths, and 40 others with any of three blanks")


# 4.8 - Does the text fit?


def _shortest(target: list[int]) -> int:
    """The oracle: the length of the target with a dash between neighbours that are equal."""
    return len(re.sub(r"(.)(?=\1)", r"\1-", "".join(chr(97 + symbol) for symbol in target)))


def _pairs(target: list[int]) -> int:
    return sum(one == other for one, other in itertools.pairwise(target))


NEEDED_MISTAKES: dict[str, Callable] = {
    "a blank between two equal neighbours takes a frame, too": len,
    "a blank is needed between equal neighbours only": lambda t: max(0, 2 * len(t) - 1),
    "blanks are needed between equal neighbours only": lambda t: 2 * len(t) + 1,
    "only neighbours need a blank between them, not every symbol that comes back":
        lambda t: 2 * len(t) - len(set(t)),
    "each pair of equal neighbours takes a frame: three in a row are two pairs":
        lambda t: len(t) + sum(len(run) > 1 for run in runs_in(t)),
    "one blank for each pair of equal neighbours": lambda t: len(t) + (_pairs(t) > 0),
    "a blank for each pair of equal neighbours, not of different ones":
        lambda t: len(t) + max(0, len(t) - 1) - _pairs(t),
    "a blank lies between equal neighbours: one for a pair, not two":
        lambda t: len(t) + 2 * _pairs(t),
    "the first has none before it: target[-1] is the last":
        lambda t: len(t) + sum(s == t[place - 1] for place, s in enumerate(t)),
    "this is the number of pairs: the symbols take frames, too": _pairs,
    "equal neighbours take more frames, not fewer": lambda t: len(runs_in(t)),
    "compare with ==: `is` asks for the same object":
        lambda t: len(t) + sum(one is other for one, other in itertools.pairwise(t)),
    "the empty text takes no frame": lambda t: max(1, _shortest(t)),
    "a number of frames: an int": lambda t: torch.tensor(_shortest(t)),
}


def _feasible(
    frames: Callable[[list[int], int], int] = lambda row, n: _shortest(row[:n]),
    compare: Callable[[Tensor, Tensor], Any] = torch.ge,
) -> Callable:
    """A right answer; or a wrong one, by the frames for a row, or by what becomes of them."""

    def answer(lengths: Tensor, targets: Tensor, target_lengths: Tensor) -> Any:
        needed = map(frames, targets.tolist(), target_lengths.tolist())
        return compare(lengths, torch.tensor([*needed]))

    return answer


FEASIBLE_MISTAKES: dict[str, Callable] = {
    "just enough frames are enough: >=": _feasible(compare=torch.gt),
    "the padding is no part of the target: row[:target_length]":
        _feasible(lambda row, n: _shortest(row)),
    "equal neighbours in the padding take no frame: row[:target_length]":
        _feasible(lambda row, n: n + _pairs(row)),
    "a blank is needed between letters of the target, not before its padding":
        _feasible(lambda row, n: n + _pairs(row[: n + 1])),
    "what stands behind a target's length need not be 0: row[:target_length]":
        _feasible(lambda row, n: _shortest(_kept(row, 0))),
    "the last letter counts, too: row[:target_length]":
        _feasible(lambda row, n: _shortest(row[: max(0, n - 1)])),
    "frames_needed(target), not its length: equal neighbours need a blank":
        _feasible(lambda row, n: n),
    "frames_needed counts the letters already": _feasible(lambda row, n: n + _shortest(row[:n])),
    "true where the frames are enough": _feasible(compare=torch.lt),
    "all of them have enough frames here": _feasible(compare=lambda n, _: n > -1),
    "each clip has its own number of frames":
        _feasible(compare=lambda n, needed: n.max() >= needed),
    "each clip has its own target": _feasible(compare=lambda n, needed: n >= needed.max()),
    "one answer for each clip": _feasible(compare=lambda n, needed: (n >= needed).all()),
    "true or false: lengths >= torch.tensor(needed)": _feasible(compare=torch.sub),
    "return a torch.Tensor; this is of type list":
        _feasible(compare=lambda n, needed: (n >= needed).tolist()),
}


def _one_for_each(got: Any, lengths: Tensor, *_: Any) -> None:
    same_shape(got, (len(lengths),), "one answer for each clip")
    same_dtype(got, torch.bool, "true or false: lengths >= torch.tensor(needed)")


@check("4.8", [NEEDED_MISTAKES, FEASIBLE_MISTAKES], (_shortest, _feasible()), draws=False)
def feasible(needed: Callable, answer: Callable) -> None:
    """As many frames as the shortest path that spells the target has.

    ``needed(target) -> int``; ``answer(lengths, targets, target_lengths) -> bool (batch,)``
    """
    drawn = chance(8)
    targets = [[*t] for n in range(5) for t in itertools.product((1, 2), repeat=n)]
    targets += [drawn.choices(range(1, 5), k=drawn.randint(4, 12)) for _ in range(20)]
    targets += [[symbol + 1000 for symbol in target] for target in targets[-5:]]
    counts = of_kind(needed, (int, np.integer), "an int", "a number of frames: an int")
    otherwise = "len(target), and one more for each pair of equal neighbours"
    agree(counts, _shortest, [(t,) for t in targets], NEEDED_MISTAKES, otherwise)
    batches, soiled, spare = [], [], (-1, 40, -1, 0, 1, 5, -3, 3, 9, 14)
    for size in (24, 9, 1, 1, 1):
        rows = [drawn.choice(targets[size == 1 :]) for _ in range(size)]
        rows += [[1, 1, 1], [2, 1], [3, 3]] if size > 1 else []
        more = [spare[(place + len(batches)) % len(spare)] for place in range(len(rows))]
        frames = [max(0, _shortest(row) + n) for row, n in zip(rows, more, strict=True)]
        padded = torch.zeros(len(rows), max(map(len, rows)) + drawn.randint(3, 6)).long()
        for place, row in enumerate(rows):
            padded[place, : len(row)] = torch.tensor(row)
        lengths = torch.tensor([*map(len, rows)])
        batches.append((torch.tensor(frames), padded, lengths))
        # Behind a target's length: its last letter once more, or anything.
        last = padded.gather(1, (lengths[:, None] - 1).clamp(min=0))
        numbers = torch.randint(-2, 5, padded.shape, generator=generator(size))
        inside = torch.arange(padded.shape[1]) < lengths[:, None]
        for behind in (last, numbers):
            soiled.append((torch.tensor(frames), padded.where(inside, behind), lengths))
    asked = looked_at(answer, _one_for_each)
    otherwise = "lengths >= frames_needed of each target, cut to its target length"
    agree(asked, _feasible(), batches, FEASIBLE_MISTAKES, otherwise)
    otherwise = "the padding is no part of the target: row[:target_length]"
    agree(asked, _feasible(), [*batches, *soiled], FEASIBLE_MISTAKES, otherwise)
    passed(f"{len(targets)} targets, and padded batches of 1 to {len(batches[0][0])} clips")
