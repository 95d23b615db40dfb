"""Checks of CTC: paths and what they spell, the loss, how many frames it takes, decoding."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    attempt,
    by_hand,
    call,
    compare,
    equal,
    fail,
    generator,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)

_NEVER = -math.inf

# ---------------------------------------------------------------- what a path spells


def _spelled(path: Sequence[int], blank: int = 0) -> tuple[int, ...]:
    """What a path collapses to, by regular expressions."""
    text = "".join(chr(97 + symbol) for symbol in path)
    text = re.sub(r"(.)\1+", r"\1", text).replace(chr(97 + blank), "")
    return tuple(ord(letter) - 97 for letter in text)


def collapse(answer: Callable) -> None:
    """``answer(path, blank=0) -> list``: repeats merged, then blanks dropped."""
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
        _collapses(answer, path, list(_spelled(path)))
        _collapses(answer, path, list(_spelled(path, 2)), 2)
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
        "the blank is an argument: it need not be 0": list(_spelled(path)),
        "the blank is an argument: 0 may be a symbol": [
            symbol for symbol in merged if symbol not in (0, zero)
        ],
        "the last symbol counts, too": expected[:-1],
        "the first symbol counts, too": expected[1:],
        "merge all repeats, also three and more in a row": [
            s for s in list(itertools.chain(*map(_pairs, _runs(path)))) if s != zero
        ],
    }
    cause = "keep a symbol if it differs from the one before, then drop blanks"
    equal(got, expected, known, cause, f"{path}, blank {zero}")


def _runs(path: list[int]) -> list[list[int]]:
    return [list(run) for _, run in itertools.groupby(path)]


def _pairs(run: list[int]) -> list[int]:
    """A run in which each pair has become one."""
    return run[::2]


# ---------------------------------------------------------------- all paths


#: Of an answer to 4.6 or 4.7: it may not call torch's own loss.
_own_work = partial(
    by_hand, forbidden="CTC loss", places=("torch.nn.functional.ctc_loss", "torch.ctc_loss")
)


def _torch_loss(log_probs: Tensor, target: list[int]) -> Tensor:
    """torch's CTC loss of one clip: log_probs (frame, symbol)."""
    return F.ctc_loss(
        log_probs[:, None],
        torch.tensor([target], dtype=torch.int64).reshape(1, -1),
        torch.tensor([len(log_probs)]),
        torch.tensor([len(target)]),
        reduction="sum",
    )


def brute_force(answer: Callable) -> None:
    """``answer(log_probs (frame, symbol), target) -> float``, over all paths."""
    hand = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    random = generator(6)
    cases = []
    for frames, symbols, target in (
        (4, 3, [1, 2]),
        (5, 3, [1, 1]),
        (3, 4, [3, 1, 2]),
        (5, 3, []),
        (4, 4, [2]),
        (3, 3, [1, 1, 2]),
        (2, 4, [2, 1]),
        (3, 2, [1, 1]),
    ):
        logits = 2 * torch.randn(frames, symbols, generator=random)
        cases.append((logits.log_softmax(dim=1), target))
    cases += [(hand, [1]), (hand, []), (hand, [1, 1]), (hand[:1], [1])]
    for log_probs, target in cases:
        given, tokens = log_probs.clone(), list(target)
        try:
            with _own_work("a sum over all paths"):
                got = call(answer, given, tokens)
        except CheckFailed as error:
            if not isinstance(error.__cause__, ValueError | ZeroDivisionError):
                raise
            cause = "no path at all: the log of 0 is -math.inf, math.log(0) an error"
            wanted = f"a number for {target} in {len(log_probs)} frames"
            fail(wanted, f"{type(error.__cause__).__name__}: {error.__cause__}", cause)
        unchanged(log_probs, given, "log_probs")
        if tokens != target:
            fail("the target as it was", "a changed one", "leave the list as it is")
        if isinstance(got, bool) or not isinstance(got, float | int):
            fail("a float", type(got).__name__, "return a float: .item() of a tensor")
        # The oracle: torch's own loss, in float64.
        expected = -float(_torch_loss(log_probs.double(), target))
        name = f"log p({target}) in {len(log_probs)} frames of {log_probs.shape[1]} symbols,"
        mistakes = partial(_path_mistakes, log_probs.double(), target)
        cause = "log of the sum of exp(sum of log_probs[t, path[t]]) over the paths that collapse"
        compare(float(got), expected, mistakes, cause, 1e-4, name)
    passed("0.64 and 0.36 by hand, and torch's loss for targets of 0 to 3 symbols")


def _path_mistakes(log_probs: Tensor, target: list[int]) -> dict[str, float]:
    """Causes, and the results to which they lead."""
    rows = log_probs.tolist()
    frames, symbols = log_probs.shape

    def scores(spelled: Callable = _spelled, first: int = 0) -> list[float]:
        paths = itertools.product(range(first, symbols), repeat=frames)
        return [
            sum(row[symbol] for row, symbol in zip(rows, path, strict=True))
            for path in paths
            if spelled(path) == tuple(target)
        ]

    def logs(values: list[float]) -> float:
        total = sum(map(math.exp, values))
        return math.log(total) if total > 0 else _NEVER

    def blanks_first(path: tuple) -> tuple:
        without = [symbol for symbol in path if symbol]
        return tuple(symbol for symbol, _ in itertools.groupby(without))

    right = scores()
    total = sum(map(math.exp, right))
    return {
        "minus infinity, not infinity": math.inf if not right else math.nan,
        "impossible: the log of no probability is minus infinity": 0.0 if not right else math.nan,
        "the sum of all paths, not the best one": max(right, default=_NEVER),
        "add up probabilities, not logs: exp, sum, log": sum(right),
        "this is the probability: its logarithm is asked": total,
        "the log of the probability, not minus that": -logs(right),
        "the sum over the paths, not their mean": logs(right) - math.log(max(1, len(right))),
        "count probabilities, not paths": float(len(right)),
        "the log of their probability, not of their number": math.log(max(1, len(right))),
        "merge repeats first, then drop blanks": logs(scores(blanks_first)),
        "a blank is part of a path, too: range(symbols)": logs(scores(first=1)),
        "a path that does not collapse to the target does not count": logs(
            scores(lambda path: tuple(target))
        ),
        "paths are longer than the target: collapse(path) == target": logs(scores(tuple)),
        "repeats are merged, too": logs(scores(lambda path: tuple(filter(None, path)))),
        "the order counts": logs(scores(lambda p: tuple(sorted(_spelled(p)))))
        if target == sorted(target)
        else math.nan,
    }


# ---------------------------------------------------------------- the loss


def ctc_loss(answer: Callable) -> None:
    """``answer(log_probs (frame, symbol), target)``: minus the log probability, a scalar."""
    hand = torch.tensor([[0.6, 0.4], [0.6, 0.4]], dtype=torch.float64).log()
    random = generator(7)
    cases = []
    for frames, symbols, target, scale in (
        (8, 5, [2, 2, 4, 3], 2),
        (5, 3, [1, 1], 1),
        (4, 3, [1, 2], 1),
        (1, 3, [2], 1),
        (1, 3, [], 1),
        (6, 4, [3], 1),
        (3, 3, [1, 1], 1),  # just enough frames: one path alone
        (4, 6, [5, 3, 1, 2], 1),
        (2, 3, [1, 1], 1),  # not enough
        (3, 5, [1, 2, 3, 4], 1),
        (12, 6, [1, 2, 1, 3, 3], 3),
        (260, 30, [7, 7, 21], 2),  # probabilities that no float64 holds
    ):
        logits = scale * torch.randn(frames, symbols, generator=random, dtype=torch.float64)
        cases.append((logits.log_softmax(dim=1), target))
    cases[1:1] = [(hand, [1]), (hand, []), (hand, [1, 1])]
    for log_probs, target in cases:
        _right_loss(answer, log_probs, target)
        if len(log_probs) < 100:
            _right_gradient(answer, log_probs, target)
    with _own_work("the forward algorithm"):
        got = call(answer, cases[0][0].float(), cases[0][1])
    same_dtype(got, torch.float32, "float32 in, float32 out: no constants in float64")
    passed(f"the loss and the gradients of torch in {len(cases)} cases, of 0 to 5 letters")


def _right_loss(answer: Callable, log_probs: Tensor, target: list[int]) -> None:
    given, tokens = log_probs.clone(), list(target)
    with _own_work("the forward algorithm"):
        got = call(answer, given, tokens)
    unchanged(log_probs, given, "log_probs")
    if tokens != target:
        fail("the target as it was", "a changed one", "leave the list as it is")
    if not isinstance(got, Tensor):
        cause = "training follows the loss back: stay with tensors, no .item(), no math.log"
        fail("a tensor of shape ()", type(got).__name__, cause)
    same_shape(got, (), "one number: logsumexp of the last two places")
    cause = "float64 in, float64 out: make tensors with log_probs.new_full(...), dtype as log_probs"
    same_dtype(got, log_probs.dtype, cause)
    # The oracle: torch's own loss.
    expected = _torch_loss(log_probs, target)
    name = f"a loss for {target} in {len(log_probs)} frames"
    value = float(got.detach())
    if math.isnan(value):
        cause = (
            "infinity minus infinity: the logsumexp of places that cannot be reached; "
            "use torch.logsumexp, or a large negative number in place of -math.inf"
        )
        fail(f"{name} of {float(expected):.6g}", "not a number", cause)
    if math.isinf(expected) and value > 1e3:
        if math.isfinite(value):
            cause = "too few frames: a loss of math.inf, not a large number"
            fail(f"{name} of inf", f"{value:.6g}", cause)
        return
    if math.isinf(value) and len(log_probs) > 100:
        cause = (
            "products of many probabilities are 0 in any float: add logarithms, with logsumexp "
            "for the sum"
        )
        fail(f"{name} of {float(expected):.6g}", f"{value:.6g}", cause)
    if math.isinf(value) and math.isfinite(expected):
        cause = (
            "no path reaches the end: stay, step and skip lead there; or infinity minus infinity "
            "has spoilt a sum: torch.logsumexp"
        )
        fail(f"{name} of {float(expected):.6g}", f"{value:.6g}", cause)
    mistakes = partial(_loss_mistakes, log_probs, target)
    cause = "a place is reached from itself, from the one before, or by a skip from two before"
    compare(got, expected, mistakes, cause, 1e-8, name)


def _right_gradient(answer: Callable, log_probs: Tensor, target: list[int]) -> None:
    logits = log_probs.clone().requires_grad_()
    with _own_work("the forward algorithm"):
        loss = call(answer, logits.log_softmax(dim=1), list(target))
    if math.isinf(loss.detach()):
        return
    if not loss.requires_grad:
        cause = "training follows the loss back: no .item(), .tolist(), .detach() or no_grad"
        fail("a loss with a gradient", "one without", cause)
    try:
        got = attempt(torch.autograd.grad, loss, logits, allow_unused=True)[0]
    except CheckFailed as error:
        if "inplace" not in str(error.__cause__):
            raise
        cause = "alpha[s] = ... writes over numbers that the way back needs: make a new alpha"
        fail("a gradient", "an in-place operation", cause)
    if got is None:
        fail("a gradient", "none", "the loss is made from log_probs, by tensor operations")
    (expected,) = torch.autograd.grad(_torch_loss(logits.log_softmax(dim=1), target), logits)
    case = f"{target} in {len(log_probs)} frames"
    if bool(got.isnan().any()):
        cause = (
            "the gradient of logaddexp or logsumexp of -inf and -inf is not a number: leave such "
            "places out, or take -1e30 in place of -math.inf"
        )
        fail(f"a gradient for {case}", "not a number", cause)
    known = {
        "the gradient of the loss, not of the log probability": -expected,
        "all frames have a gradient: alpha of each is made from the one before": (
            expected * (torch.arange(len(expected)) == len(expected) - 1)[:, None]
        ),
    }
    cause = "every operation is one of torch, from log_probs to the loss"
    compare(got, expected, lambda: known, cause, 1e-7, f"a gradient for {case}")


def _log_sum(values: list[float]) -> float:
    largest = max(values, default=_NEVER)
    if largest == _NEVER:
        return _NEVER
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def _forward(
    log_probs: Tensor,
    target: list[int],
    *,
    skips: Callable | None = None,
    start: tuple = (0, 1),
    end: tuple = (-1, -2),
    stays: bool = True,
    steps: bool = True,
    add: Callable = _log_sum,
    first: bool = True,
    last: bool = True,
    blank: int = 0,
    blanks: bool = True,
) -> float:
    """A forward algorithm in plain Python, with what may be wrong in it: a log probability."""
    rows = log_probs.tolist()
    states = [blank]
    for token in target:
        states += [token, blank]
    if not blanks:
        states = list(target)
    if not states:
        return math.nan
    if skips is None:

        def skips(s: int) -> bool:
            return states[s] != blank and states[s] != states[s - 2]

    before = [_NEVER] * len(states)
    for s in start:
        if s < len(states):
            before[s] = rows[0][states[s]] if first else 0.0
    for row in rows[1 : None if last else -1]:
        after = []
        for s, symbol in enumerate(states):
            ways = [before[s]] if stays else []
            ways += [before[s - 1]] if s >= 1 and steps else []
            ways += [before[s - 2]] if s >= 2 and skips(s) else []
            after.append(row[symbol] + add(ways))
        before = after
    return add([before[s] for s in end if -s <= len(states)])


def _loss_mistakes(log_probs: Tensor, target: list[int]) -> dict[str, float]:
    """Causes, and the losses to which they lead."""
    states = [0, *itertools.chain(*([token, 0] for token in target))]
    run = partial(_forward, log_probs, target)
    everywhere = tuple(range(len(states)))

    def best(values: list[float]) -> float:
        return max(values, default=_NEVER)

    def no_blank(s: int) -> bool:
        return states[s] != 0

    def equal_too(s: int) -> bool:
        return states[s] != 0 and states[s] == states[s - 2]

    right = -run()
    known = {
        "no skip between equal letters: they need a blank between them": -run(skips=no_blank),
        "a letter may be reached from a different letter two places back": -run(
            skips=lambda s: False
        ),
        "the rule for skips is turned round: not between equal letters": -run(skips=equal_too),
        "no letter is left out: a blank is not reached from two places back": -run(
            skips=lambda s: True
        ),
        "a letter is reached from two places back, a blank is not": -run(
            skips=lambda s: states[s] == 0
        ),
        "a path may start with the first letter, too": -run(start=(0,)),
        "a path may start with a blank, too": -run(start=(1,)),
        "a path starts in one of the first two places": -run(start=everywhere),
        "a path may end with the blank behind the last letter": -run(end=(-2,)),
        "a path may end with the last letter, without a blank behind it": -run(end=(-1,)),
        "a path ends in one of the last two places": -run(end=tuple(-s - 1 for s in everywhere)),
        "a path may stay in its place": -run(stays=False),
        "a path may go on to the next place": -run(steps=False),
        "the sum of all paths, not the best one": -run(add=best),
        "add probabilities, not logarithms: logsumexp": -run(add=sum),
        "the first frame counts, too: alpha starts with its log_probs": -run(first=False),
        "the last frame counts, too": -run(last=False),
        "a blank in front, between and behind: 2 * len(target) + 1 places": -run(blanks=False),
        "the blank has index 0, not the last one": -run(blank=log_probs.shape[1] - 1),
        "the loss is minus the log probability": -right,
        "this is the probability: minus its logarithm is asked": math.exp(-right),
        "not divided by the length of the target": right / max(1, len(target)),
        "not divided by the number of frames": right / len(log_probs),
    }
    if math.isinf(right):
        known = {"impossible: infinity, not 0": 0.0, **known}
    if not target:
        known = {"an empty target has one path: all frames blank": 0.0, **known}
    return known


# ---------------------------------------------------------------- enough frames


def feasible(needed: Callable, answer: Callable) -> None:
    """``needed(target) -> int``; ``answer(lengths, targets, target_lengths) -> bool (batch,)``."""
    # The oracle: the first length at which some path of three symbols collapses to the target.
    shortest: dict[tuple, int] = {}
    for frames in range(8):
        for path in itertools.product(range(3), repeat=frames):
            shortest.setdefault(_spelled(path), frames)
    targets = [list(t) for n in range(5) for t in itertools.product((1, 2), repeat=n)]
    targets = [[1, 1, 2, 1], [1, 1, 1, 2], *targets]
    for target in targets:
        given = list(target)
        got = call(needed, given)
        if given != target:
            fail("the target as it was", "a changed one", "leave the list as it is")
        if isinstance(got, bool) or not isinstance(got, int):
            fail("an int", type(got).__name__, "a number of frames: an int")
        runs = [len(run) for run in _runs(target)]
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


# ---------------------------------------------------------------- decoding


def greedy(answer: Callable) -> None:
    """``answer(log_probs (batch, frame, symbol), lengths (batch,)) -> list of lists``."""
    random = generator(9)
    for batch, frames, symbols, counts in (
        (3, 11, 5, [11, 4, 7]),
        (1, 6, 3, [6]),
        (5, 9, 4, [3, 9, 1, 0, 8]),
        (2, 40, 3, [25, 31]),
    ):
        log_probs = (2 * torch.randn(batch, frames, symbols, generator=random)).log_softmax(dim=2)
        lengths = torch.tensor(counts)
        given = log_probs.clone(), lengths.clone()
        got = call(answer, *given)
        unchanged(log_probs, given[0], "log_probs")
        unchanged(lengths, given[1], "lengths")
        if not isinstance(got, list):
            fail("a list of lists", type(got).__name__, "a list of tokens for each clip")
        if not all(isinstance(row, list) for row in got):
            kind = next(type(row).__name__ for row in got if not isinstance(row, list))
            fail("lists of tokens", f"a {kind}", "collapse(path.tolist()): lists of int")
        if not all(type(token) is int for row in got for token in row):
            kind = next(type(t).__name__ for row in got for t in row if type(t) is not int)
            fail("tokens as int", kind, "path.tolist() before collapse: tensors are never equal")
        # The oracle: plain Python.
        rows = [
            [max(range(symbols), key=frame.__getitem__) for frame in clip[:count]]
            for clip, count in zip(log_probs.tolist(), counts, strict=True)
        ]
        whole = [
            [max(range(symbols), key=frame.__getitem__) for frame in clip]
            for clip in log_probs.tolist()
        ]
        known = {
            "the frames behind a clip's end do not count: [:length]": [
                list(_spelled(row)) for row in whole
            ],
            "collapse the path: repeats, then blanks": rows,
            "the blanks are still in there": [[s for s, _ in itertools.groupby(r)] for r in rows],
            "merge repeats, too": [[s for s in row if s] for row in rows],
            "merge repeats first, then drop blanks": [
                [s for s, _ in itertools.groupby(s for s in row if s)] for row in rows
            ],
            "a clip of n frames has the frames 0 to n - 1, not one fewer": [
                list(_spelled(row[:-1])) for row in rows
            ],
            "a clip of n frames has the frames 0 to n - 1, not one more": [
                list(_spelled(row[: count + 1])) for row, count in zip(whole, counts, strict=True)
            ],
            "the best symbol of each frame: argmax over dim=2": [
                list(_spelled(row[:count]))
                for row, count in zip(log_probs.argmax(dim=1).tolist(), counts, strict=True)
            ],
            "cut the path, then collapse it": [
                list(_spelled(row))[:count] for row, count in zip(whole, counts, strict=True)
            ],
            "the valid frames are the first ones: [:length]": [
                list(_spelled(row[-count:])) for row, count in zip(whole, counts, strict=True)
            ],
            "each clip has its own length": [list(_spelled(row[: counts[0]])) for row in whole],
            "the most probable symbol: argmax, not argmin": [
                list(_spelled(row[:count]))
                for row, count in zip(log_probs.argmin(dim=2).tolist(), counts, strict=True)
            ],
        }
        cause = "argmax of each valid frame, then collapse"
        expected = [list(_spelled(row)) for row in rows]
        equal(got, expected, known, cause, f"{batch} clips of {counts} frames")
    passed("the best symbol of every valid frame, collapsed, for clips of 0 to 31 frames")


def beam_search(answer: Callable) -> None:
    """``answer(log_probs (frame, symbol), width, score=None) -> [(text, log score), ...]``."""
    got = _decoded(answer, torch.zeros(0, 3), 4)
    equal(got, [((), 0.0)], {}, "no frames: the empty text, with a log score of 0", "0 frames")
    hand = torch.tensor([[0.6, 0.4], [0.6, 0.4]], dtype=torch.float64).log()
    random = generator(10)
    cases: list[tuple[Tensor, int, Callable | None]] = [(hand, 10, None)]
    for frames, symbols, scale in ((1, 3, 1), (4, 3, 1), (3, 4, 2), (5, 3, 1)):
        logits = scale * torch.randn(frames, symbols, generator=random, dtype=torch.float64)
        cases.append((logits.log_softmax(dim=1), 10_000, None))
    repeats = torch.tensor([[0.1, 0.9], [0.7, 0.3], [0.2, 0.8], [0.15, 0.85]]).double().log()
    cases.append((repeats, 100, None))
    for log_probs, width, score in cases:
        _same_beam(answer, log_probs, width, score)
    for log_probs, width, _ in (cases[2], cases[3], cases[5]):
        _same_beam(answer, log_probs, width, _bonus)
    for frames, symbols, width in ((6, 4, 3), (6, 4, 1), (8, 3, 2), (9, 5, 4), (7, 3, 2)):
        logits = torch.randn(frames, symbols, generator=random, dtype=torch.float64)
        for score in (None, _bonus):
            _same_beam(answer, logits.log_softmax(dim=1), width, score)
    passed("all texts of a wide beam as by trying every path; narrow beams; with scores, too")


def _bonus(prefix: tuple[int, ...], symbol: int) -> float:
    """A score that depends on all it is given, and that watches how it is asked."""
    if symbol == 0:
        cause = "a blank extends no text: score(text, symbol) for the letters only"
        fail("a letter", "the blank", cause)
    if not isinstance(prefix, tuple):
        fail("a tuple as text", type(prefix).__name__, "texts are tuples")
    mixed = math.sin(sum((place + 2) * token for place, token in enumerate(prefix)) + 3 * symbol)
    return 0.8 * mixed - 0.4


def _decoded(
    answer: Callable, log_probs: Tensor, width: int, score: Callable | None = None
) -> list[tuple]:
    """What an answer returns, if it is a list of pairs."""
    given = log_probs.clone()
    named = {} if score is None else {"score": score}
    got = call(answer, given, width, **named)
    unchanged(log_probs, given, "log_probs")
    if not isinstance(got, list):
        cause = "return a list of (text, log score), best first"
        fail("a list", type(got).__name__, cause)
    for pair in got:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], tuple)):
            fail("pairs of (tuple of tokens, log score)", repr(pair), "one pair for each text")
        if isinstance(pair[1], bool) or not isinstance(pair[1], float | int):
            cause = "one number: the logaddexp of both log probabilities, as a float"
            fail("a float as score", type(pair[1]).__name__, cause)
    return [(tuple(prefix), float(value)) for prefix, value in got]


def _same_beam(answer: Callable, log_probs: Tensor, width: int, score: Callable | None) -> None:
    """Fail unless texts and scores are right."""
    got = _decoded(answer, log_probs, width, score)
    frames, symbols = log_probs.shape
    wide = width > symbols**frames
    case = f"{frames} frames of {symbols} symbols, width {width}" + (", scored" if score else "")
    if len(got) > width:
        cause = "keep the best `width` texts after each frame"
        fail(f"at most {width} texts of {case}", len(got), cause)
    prefixes = [prefix for prefix, _ in got]
    if len(set(prefixes)) < len(prefixes):
        twice = Counter(prefixes).most_common(1)[0][0]
        cause = "two ways to the same text are one entry: add their probabilities"
        fail(f"each text of {case} once", f"{twice} several times", cause)
    if any(0 in prefix for prefix in prefixes):
        worst = next(prefix for prefix in prefixes if 0 in prefix)
        fail("texts without blanks", worst, "a blank leaves the text as it is")
    values = [value for _, value in got]
    if any(map(math.isnan, values)):
        fail("log scores", "not a number", "logaddexp(-inf, -inf) is -inf: numpy's does that")
    # The oracle: every path, one by one; or a beam, if the search is to leave prefixes out.
    expected = _exhaustive(log_probs, score) if wide else _beam(log_probs, width, score)
    found = {prefix: value for prefix, value in got if math.isfinite(value)}
    if not _alike(found, expected):
        cause = "blank and letter probability of each text, merged with logaddexp"
        for why, value in _beam_mistakes(log_probs, width, score).items():
            if _alike(found, value):
                cause = why
                break
        else:
            if wide and any(len(set(_runs_of(prefix))) for prefix in expected.keys() - found):
                cause = "the same letter twice in a text: a blank has to lie between"
        best = _first_difference(found, expected)
        wanted, value = (_shown(values.get(best)) for values in (expected, found))
        fail(f"{wanted} for {best} in {case}", value, cause)
    if any(a < b - 1e-12 for a, b in itertools.pairwise(values)):
        cause = "best first, by both probabilities together: sorted(..., reverse=True)"
        fail(f"the texts of {case} in falling order", "another order", cause)


def _runs_of(prefix: tuple) -> list[int]:
    return [run[0] for run in _runs(list(prefix)) if len(run) > 1]


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"


def _first_difference(found: dict, expected: dict) -> tuple:
    ranked = sorted(expected, key=expected.__getitem__, reverse=True)
    for prefix in [*ranked, *sorted(found.keys() - expected.keys())]:
        if prefix not in found or prefix not in expected:
            return prefix
        if abs(found[prefix] - expected[prefix]) > 1e-5:
            return prefix
    return ()


def _alike(found: dict, expected: dict) -> bool:
    return found.keys() == expected.keys() and all(
        abs(value - expected[prefix]) <= 1e-5 for prefix, value in found.items()
    )


def _exhaustive(log_probs: Tensor, score: Callable | None = None) -> dict[tuple, float]:
    """Log score of every text, by trying all paths."""
    rows = log_probs.tolist()
    found: dict[tuple, list[float]] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(rows)):
        total = sum(row[symbol] for row, symbol in zip(rows, path, strict=True))
        found.setdefault(_spelled(path), []).append(total)
    bonus = score or (lambda prefix, symbol: 0.0)
    return {
        prefix: _log_sum(values) + sum(bonus(prefix[:n], s) for n, s in enumerate(prefix))
        for prefix, values in found.items()
    }


def _beam(
    log_probs: Tensor,
    width: int,
    score: Callable | None = None,
    *,
    add: Callable = _log_sum,
    split: bool = True,
    again: bool = True,
    anew: str = "blank",
    goes_on: bool = True,
    scored: str = "new",
    ranked: Callable | None = None,
    closed: str = "both",
) -> dict[tuple, float]:
    """A prefix beam search in plain Python, with what may be wrong in it."""
    ranked = ranked or add
    beam: dict[tuple, tuple[float, float]] = {(): (0.0, _NEVER)}
    for row in log_probs.tolist():
        ways: dict[tuple, tuple[list, list]] = {}
        for prefix, (blank, symbol) in beam.items():
            both = add([blank, symbol])
            ends = ways.setdefault(prefix, ([], []))
            ends[0].append((both if closed == "both" else blank) + row[0])
            for token in range(1, len(row)):
                bonus = score(prefix, token) if score and scored != "never" else 0.0
                start = both
                if prefix and prefix[-1] == token:
                    if goes_on:
                        kept = symbol if split else both
                        ways[prefix][1].append(
                            kept + row[token] + (bonus if scored == "always" else 0.0)
                        )
                    if not again:
                        continue
                    start = {"blank": blank, "both": both, "letter": symbol}[anew]
                longer = ways.setdefault((*prefix, token), ([], []))
                longer[1].append(start + row[token] + bonus)
        grown = {prefix: (add(a), add(b)) for prefix, (a, b) in ways.items()}
        order = sorted(grown, key=lambda prefix: ranked(list(grown[prefix])), reverse=True)
        beam = {prefix: grown[prefix] for prefix in order[:width]}
    totals = {prefix: add(list(ends)) for prefix, ends in beam.items()}
    return {prefix: value for prefix, value in totals.items() if value > _NEVER}


def _beam_mistakes(
    log_probs: Tensor, width: int, score: Callable | None
) -> dict[str, dict[tuple, float]]:
    """Causes, and the texts with scores to which they lead."""
    run = partial(_beam, log_probs, width, score)

    def best(values: list[float]) -> float:
        return max(values, default=_NEVER)

    right = run()
    paths = (
        sorted(
            (
                (sum(row[s] for row, s in zip(log_probs.tolist(), path, strict=True)), path)
                for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs))
            ),
            reverse=True,
        )[:width]
        if log_probs.shape[1] ** len(log_probs) <= 5000
        else []
    )
    merged: dict[tuple, list] = {}
    for total, path in paths:
        merged.setdefault(_spelled(path), []).append(total)
    known = {
        "add up all ways to a text, do not keep the best: logaddexp": run(add=best),
        "the same letter anew needs a blank before it: from the blank probability alone": run(
            anew="both"
        ),
        "the same letter anew comes from the blank probability, not from the letter's": run(
            anew="letter"
        ),
        "a repeated letter behind a blank extends the text: that is missing": run(again=False),
        "a letter that goes on leaves the text as it is: that is missing": run(goes_on=False),
        "a letter goes on from the letter probability alone: two for each text": run(split=False),
        "two probabilities for each text: with one, repeats cannot be told from new letters": run(
            split=False, anew="both"
        ),
        "two probabilities for each text: no letter comes twice": run(split=False, again=False),
        "a blank may follow a letter, too: from both probabilities": run(closed="blank"),
        "rank by blank and letter probability together": run(ranked=lambda ends: ends[1]),
        "rank by both probabilities, not by the larger": run(ranked=max),
        "keep whole texts, not paths: merge after each frame, not at the end": {
            prefix: _log_sum(values) for prefix, values in merged.items()
        },
        "the best path is not the best text: keep `width` texts, and add their paths up": {
            _spelled(log_probs.argmax(dim=1).tolist()): float(log_probs.amax(dim=1).sum())
        },
        "log scores, not probabilities": {p: math.exp(value) for p, value in right.items()},
        "the log score, not minus that": {p: -value for p, value in right.items()},
        "all texts of the beam, not the best alone": dict(
            sorted(right.items(), key=lambda item: -item[1])[:1]
        ),
    }
    if score is not None:
        known = {
            "score counts when a letter extends the text, not when the letter goes on": run(
                scored="always"
            ),
            "score(text, symbol) is not used": run(scored="never"),
            "score sees the text before the letter comes": _beam(
                log_probs, width, lambda prefix, symbol: score((*prefix, symbol), symbol)
            ),
            "score is added, not subtracted": _beam(
                log_probs, width, lambda prefix, symbol: -score(prefix, symbol)
            ),
            "score is added to a log probability, not multiplied": _beam(
                log_probs, width, lambda prefix, symbol: math.log(abs(score(prefix, symbol)))
            ),
            "scores decide during the search, not at its end": {
                prefix: value + sum(score(prefix[:n], s) for n, s in enumerate(prefix))
                for prefix, value in _beam(log_probs, width).items()
            },
            **known,
        }
    return known
