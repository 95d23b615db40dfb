"""Checks of CTC: the sum over all paths, by brute force and by the forward algorithm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
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
    fail,
    generator,
    passed,
    same_dtype,
    same_shape,
    unchanged,
)
from course_utils.checks.stage4.paths import spelled

NEVER = -math.inf


def log_sum(values: list[float]) -> float:
    """The logarithm of the sum of numbers whose logarithms are given."""
    largest = max(values, default=NEVER)
    if largest == NEVER:
        return NEVER
    return largest + math.log(sum(math.exp(value - largest) for value in values))


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


# 4.6 - All alignments, by brute force


def brute_force(answer: Callable) -> None:
    """The log probability of a target over all paths is that of torch's loss.

    ``answer(log_probs (frame, symbol), target) -> float``, over all paths
    """
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

    def scores(spelled: Callable = spelled, first: int = 0) -> list[float]:
        paths = itertools.product(range(first, symbols), repeat=frames)
        return [
            sum(row[symbol] for row, symbol in zip(rows, path, strict=True))
            for path in paths
            if spelled(path) == tuple(target)
        ]

    def logs(values: list[float]) -> float:
        total = sum(map(math.exp, values))
        return math.log(total) if total > 0 else NEVER

    def blanks_first(path: tuple) -> tuple:
        without = [symbol for symbol in path if symbol]
        return tuple(symbol for symbol, _ in itertools.groupby(without))

    right = scores()
    total = sum(map(math.exp, right))
    return {
        "minus infinity, not infinity": math.inf if not right else math.nan,
        "impossible: the log of no probability is minus infinity": 0.0 if not right else math.nan,
        "the sum of all paths, not the best one": max(right, default=NEVER),
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
        "the order counts": logs(scores(lambda p: tuple(sorted(spelled(p)))))
        if target == sorted(target)
        else math.nan,
    }


# 4.7 - The forward algorithm


def ctc_loss(answer: Callable) -> None:
    """Loss and gradient are those of torch's loss.

    ``answer(log_probs (frame, symbol), target)``: minus the log probability, a scalar
    """
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


def _forward(
    log_probs: Tensor,
    target: list[int],
    *,
    skips: Callable | None = None,
    start: tuple = (0, 1),
    end: tuple = (-1, -2),
    stays: bool = True,
    steps: bool = True,
    add: Callable = log_sum,
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

    before = [NEVER] * len(states)
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
        return max(values, default=NEVER)

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
