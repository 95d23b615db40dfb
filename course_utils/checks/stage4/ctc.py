"""Checks of CTC: the sum over all paths, by brute force and by the forward algorithm."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import (
    call,
    chance,
    check,
    fail,
    generator,
    passed,
    same_dtype,
    same_shape,
)
from course_utils.checks.stage4.paths import looked_at, of_kind, spelled
from course_utils.checks.unaided import by_hand

NEVER = -math.inf


def log_sum(values: list[float]) -> float:
    """The logarithm of the sum of numbers whose logarithms are given."""
    largest = max(values, default=NEVER)
    if largest == NEVER:
        return NEVER
    return largest + math.log(sum(math.exp(value - largest) for value in values))


def _own_work(answer: Callable, expected: str) -> Callable:
    """The answer, which may not call torch's own loss."""

    @wraps(answer)
    def run(*arguments: Any) -> Any:
        with by_hand(expected, "torch's CTC loss", ["ctc"]):
            return answer(*arguments)

    return run


def _torch_loss(log_probs: Tensor, target: list[int]) -> Tensor:
    """The oracle: torch's CTC loss of one clip, computed in float64: log_probs (frame, symbol)."""
    targets = torch.tensor([target], dtype=torch.int64).reshape(1, -1)
    sizes = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
    loss = F.ctc_loss(log_probs.double()[:, None], targets, *sizes, reduction="sum")
    return loss.to(log_probs.dtype)


_DONE_FOR_YOU = "ctc_loss does it for you: the exercise is to do it by hand, once"

# 4.6 - All alignments, by brute force


def _paths(
    end: Callable[[list[float]], Any] = log_sum, says: Callable[[tuple], Any] = spelled,
    which: Callable[[range, int], Iterable] = lambda symbols, n: itertools.product(*[symbols] * n),
    within: Callable[[Any], float] = math.fsum,
) -> Callable:
    """An answer that goes through all paths; `end` makes a result of the paths' scores."""

    def answer(log_probs: Tensor, target: list[int]) -> Any:
        rows = log_probs.tolist()
        return end([
            within(row[symbol] for row, symbol in zip(rows, path, strict=False))
            for path in which(range(len(rows[0])), len(rows))
            if says(path) == tuple(target)
        ])

    return answer


BRUTE_MISTAKES: dict[str, Callable] = {
    "the sum of all paths, not the best one": _paths(partial(max, default=NEVER)),
    "add up probabilities, not logs: exp, sum, log": _paths(math.fsum),
    "this is the probability: its logarithm is asked": _paths(lambda x: math.exp(log_sum(x))),
    "the log of the probability, not minus that": _paths(lambda x: -log_sum(x)),
    "the sum over the paths, not their mean":
        _paths(lambda x: log_sum(x) - math.log(max(1, len(x)))),
    "count probabilities, not paths": _paths(lambda x: float(len(x))),
    "the log of their probability, not of their number":
        _paths(lambda x: math.log(len(x)) if x else NEVER),
    "the log of base e, not 10 or 2": _paths(lambda x: log_sum(x) / math.log(10)),
    "a path is as probable as the product over its frames, not the sum":
        _paths(within=lambda row: math.log(sum(map(math.exp, row)))),
    "merge repeats first, then drop blanks":
        _paths(says=lambda path: tuple(s for s, _ in itertools.groupby(filter(None, path)))),
    "repeats are merged, too": _paths(says=lambda path: tuple(filter(None, path))),
    "a blank is part of a path, too: range(symbols)":
        _paths(which=lambda symbols, n: itertools.product(symbols[1:], repeat=n)),
    "the last symbol is part of a path, too: range(symbols)":
        _paths(which=lambda symbols, n: itertools.product(symbols[:-1], repeat=n)),
    "a symbol may come back in a path: product, not permutations":
        _paths(which=lambda symbols, n: itertools.permutations(symbols, min(n, len(symbols)))),
    "symbols may come in any order: product, not combinations":
        _paths(which=itertools.combinations_with_replacement),
    "a path that does not collapse to the target does not count":
        lambda x, target: _paths(says=lambda path: tuple(target))(x, target),
    "paths are longer than the target: collapse(path) == target": _paths(says=tuple),
    "the order of the letters counts":
        lambda x, target: _paths(says=lambda path: tuple(sorted(spelled(path))))(x, sorted(target)),
    "all come out as impossible: a list never equals a tuple; add probabilities, not logs":
        lambda x, target: NEVER,
    "log_probs is (frames, symbols), in this order": lambda x, target: _paths()(x.T, target),
    "minus infinity, not infinity": _paths(lambda x: log_sum(x) if x else math.inf),
    "impossible: the log of no probability is minus infinity":
        _paths(lambda x: log_sum(x) if x else 0.0),
    "no path at all: the log of 0 is -math.inf, math.log(0) an error":
        _paths(lambda x: math.log(math.fsum(map(math.exp, x)))),
    "however small a probability is, it has a logarithm: only 0 has none":
        _paths(lambda x: log_sum(x) if log_sum(x) > math.log(1e-12) else NEVER),
    "return a float: .item() of a tensor": _paths(lambda x: torch.tensor(log_sum(x))),
    _DONE_FOR_YOU: lambda x, target: -float(_torch_loss(x, target)),
}


_PATH_HINT = {"shorter than|longer than": "a path has a symbol for each of the frames"}


@check("4.6", BRUTE_MISTAKES, draws=False, hints=_PATH_HINT)
def brute_force(answer: Callable) -> None:
    """The log probability of a target over all paths is that of torch's loss.

    ``answer(log_probs (frame, symbol), target) -> float``, over all paths
    """
    hand = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    drawn, numbers = chance(6), generator(6)
    shapes = [(4, 3, [1, 2]), (5, 3, [1, 1]), (3, 4, [3, 1, 2]), (4, 4, [2]), (2, 4, [2, 1])]
    for frames, symbols in ((5, 3), (4, 3), (3, 5)):
        path = drawn.choices(range(symbols), k=frames)
        shapes.append((frames, symbols, [*spelled(path)]))
    cases = [
        ((2 * torch.randn(*shape, generator=numbers)).log_softmax(dim=1), target)
        for *shape, target in [*shapes, (5, 3, []), (3, 3, [1, 1, 2]), (3, 2, [1, 1])]
    ]
    possible, special = [(hand, [1]), *cases[: len(shapes)]], cases[len(shapes) :]
    special += [(hand, []), (hand, [1, 1]), (hand[:1], [1])]
    # All that says the target is as improbable as the last symbol is sure.
    sure = torch.tensor([0, 0, 0, drawn.uniform(15, 18)])
    rare = (torch.randn(4, 4, generator=numbers) + sure).log_softmax(dim=1)
    small = [*possible, (rare, [1, 2]), (rare, [2])]
    asked = of_kind(answer, (float,), "a float", "return a float: .item() of a tensor")
    asked = _own_work(asked, "a sum over all paths")

    def truth(log_probs: Tensor, target: list[int]) -> float:
        return -float(_torch_loss(log_probs.double(), target))

    otherwise = "log of the sum of exp(sum of log_probs[t, path[t]]) over the paths that collapse"
    agree(asked, truth, possible, BRUTE_MISTAKES, otherwise, 1e-4, "log p")
    otherwise = "blanks alone say an empty target; what no path says has -math.inf"
    agree(asked, truth, [*possible, *special], BRUTE_MISTAKES, otherwise, 1e-4, "log p")
    otherwise = "however small a probability is, it has a logarithm: only 0 has none"
    agree(asked, truth, small, BRUTE_MISTAKES, otherwise, 1e-4, "log p")
    passed("0.64 and 0.36 by hand, and torch's loss for targets of 0 to 3 symbols")


# 4.7 - The forward algorithm


def _places(target: list[int], blank: int = 0) -> list[int]:
    return [blank, *itertools.chain(*((token, blank) for token in target))]


def _forward(
    log_probs: Tensor, target: list[int], *,
    places: Callable = _places, start: tuple[int, ...] = (0, 1), end: slice = slice(-2, None),
    ways: tuple[int, ...] = (0, 1, 2), frames: slice = slice(1, None),
    skips: Callable = lambda symbol, before: symbol > 0 and symbol != before,
    add: Callable = torch.logsumexp, never: float = -1e30, limit: float = -1e29,
    keep: Callable = lambda reached: reached,
) -> Tensor:
    """The forward algorithm with a table of ways, and with what may be wrong in it."""
    symbols = places(target)
    near = torch.tensor([
        [s - b in ways and (s - b < 2 or skips(to, by)) for b, by in enumerate(symbols)]
        for s, to in enumerate(symbols)
    ])
    emit = log_probs[:, symbols]
    reached = emit[0].where(torch.tensor([s in start for s in range(len(symbols))]), never)
    for frame in emit[frames]:
        reached = add(torch.where(near, keep(reached), never), 1) + frame
    total = add(reached[end], 0)
    return total.new_tensor(math.inf) if total <= limit else -total


def _wrong(**parts: Any) -> Callable:
    return partial(_forward, **parts)


def _unsafe(values: Tensor, dim: int) -> Tensor:
    """The log of the sum of exp, spoilt where all values are minus infinity."""
    largest = values.amax(dim, keepdim=True)
    return (largest + (values - largest).exp().sum(dim, keepdim=True).log()).squeeze(dim)


_DETACHED = "training follows the loss back: no .item(), .tolist(), .detach() or no_grad"
_NO_TENSOR = "training follows the loss back: stay with tensors, no .item(), no math.log"
_SCALAR = "one number: logsumexp of the last two places"
_DOUBLE = "float64 in, float64 out: make tensors with log_probs.new_full(...), dtype as log_probs"
_SINGLE = "float32 in, float32 out: no constants in float64"
_NAN = (
    "infinity minus infinity: the logsumexp of places that cannot be reached; "
    "use torch.logsumexp, or a large negative number in place of -math.inf"
)
_NAN_GRADIENT = (
    "the gradient of logaddexp or logsumexp of -inf and -inf is not a number: leave such "
    "places out, or take -1e30 in place of -math.inf"
)
_WAYS = "a place is reached from itself, from the one before, or by a skip from two before"
_IN_PLACE = "alpha[s] = ... writes over numbers that the way back needs: make a new alpha"

LOSS_MISTAKES: dict[str, Callable] = {
    "no skip between equal letters: they need a blank between them":
        _wrong(skips=lambda symbol, before: symbol > 0),
    "a letter may be reached from a different letter two places back": _wrong(ways=(0, 1)),
    "the rule for skips is turned round: not between equal letters":
        _wrong(skips=lambda symbol, before: symbol > 0 and symbol == before),
    "no letter is left out: a blank is not reached from two places back":
        _wrong(skips=lambda symbol, before: True),
    "a letter is reached from two places back, a blank is not":
        _wrong(skips=lambda symbol, before: symbol == 0),
    "a path may start with the first letter, too": _wrong(start=(0,)),
    "a path may start with a blank, too": _wrong(start=(1,)),
    "a path starts in one of the first two places": _wrong(start=range(10**6)),
    "a path may end with the blank behind the last letter": _wrong(end=slice(-2, -1)),
    "a path may end with the last letter, without a blank behind it": _wrong(end=slice(-1, None)),
    "a path ends in one of the last two places": _wrong(end=slice(None)),
    "a path may stay in its place": _wrong(ways=(1, 2)),
    "a path may go on to the next place": _wrong(ways=(0, 2)),
    "a place is reached from the one before it, not from the one behind it":
        _wrong(ways=(0, -1, 2)),
    "the sum of all paths, not the best one": _wrong(add=torch.amax),
    "add probabilities, not logarithms: logsumexp": _wrong(add=torch.sum, never=0.0),
    "the first frame counts, too: alpha starts with its log_probs":
        lambda x, target: _forward(torch.cat([0 * x[:1], x[1:]]), target),
    "the first frame counts once: go on with log_probs[1:]": _wrong(frames=slice(None)),
    "the last frame counts, too": _wrong(frames=slice(1, -1)),
    "a blank in front, between and behind: 2 * len(target) + 1 places":
        _wrong(places=lambda target: target or [0]),
    "a blank stands behind the last letter, too":
        _wrong(places=lambda target: _places(target)[: max(1, 2 * len(target))]),
    "-1e30 is far below what log probabilities add up to, -100 is not":
        _wrong(never=-100.0, limit=-10.0),
    "the blank has index 0, not the last one": _wrong(places=partial(_places, blank=-1)),
    "log_probs are logarithms already: no softmax and no log":
        lambda x, target: _forward(x.softmax(dim=1), target),
    "the loss is minus the log probability": lambda x, target: -_forward(x, target),
    "this is the probability: minus its logarithm is asked":
        lambda x, target: (-_forward(x, target)).exp(),
    "not divided by the length of the target":
        lambda x, target: _forward(x, target) / max(1, len(target)),
    "not divided by the number of frames": lambda x, target: _forward(x, target) / len(x),
    "impossible: infinity, not 0": lambda x, target: _forward(x, target).nan_to_num(posinf=0),
    "too few frames: a loss of math.inf, not a large number": _wrong(limit=NEVER),
    "an empty target has one path: all frames blank":
        lambda x, target: _forward(x, target) if target else 0 * x.sum(),
    "an empty target has one place alone, and no second one":
        lambda x, target: _forward(x, target) - 0 * _places(target)[1],
    "products of many probabilities are 0 in any float: add logarithms, with logsumexp for "
    "the sum": _wrong(add=lambda values, dim: values.exp().sum(dim).log()),
    _NAN: _wrong(add=_unsafe, never=NEVER),
    "infinity minus infinity has spoilt a sum: torch.logsumexp, or -1e30 in place of -math.inf":
        lambda x, target: _forward(x, target, add=_unsafe, never=NEVER).nan_to_num(nan=math.inf),
    _NO_TENSOR: lambda x, target: float(_forward(x.detach(), target)),
    _SCALAR: lambda x, target: _forward(x, target)[None],
    _DOUBLE: lambda x, target: _forward(x.float(), target),
    _SINGLE: lambda x, target: _forward(x.double(), target),
    _DETACHED: lambda x, target: _forward(x.detach(), target),
    "all frames have a gradient: alpha of each is made from the one before":
        _wrong(keep=Tensor.detach),
    _NAN_GRADIENT: _wrong(never=NEVER),
    _DONE_FOR_YOU: _torch_loss,
}


def _is_loss(got: Any, log_probs: Tensor, target: list[int]) -> None:
    if not isinstance(got, Tensor):
        fail("a tensor of shape ()", type(got).__name__, _NO_TENSOR)
    same_shape(got, (), _SCALAR)
    same_dtype(got, log_probs.dtype, _DOUBLE if log_probs.dtype == torch.float64 else _SINGLE)
    if got.isnan():
        fail(f"a loss for {target} in {len(log_probs)} frames", "not a number", _NAN)


def _slope(answer: Callable) -> Callable:
    """Of an answer to 4.7: the loss and its gradient where there is one."""

    def run(log_probs: Tensor, target: list[int]) -> tuple[Tensor, Any]:
        logits = log_probs.clone().requires_grad_()
        loss = call(answer, logits.log_softmax(dim=1), target)
        if loss.isinf():
            return loss, None
        if not loss.requires_grad:
            fail("a loss with a gradient", "one without", _DETACHED)
        try:
            (gradient,) = torch.autograd.grad(loss, logits, allow_unused=True)
        except RuntimeError as error:
            if "inplace" not in str(error):
                raise
            fail("a gradient", "an in-place operation", _IN_PLACE)
        if gradient is None:
            fail("a gradient", "none", _DETACHED)
        if gradient.isnan().any():
            fail(f"a gradient for {target} in {len(logits)} frames", "not a number", _NAN_GRADIENT)
        return loss.detach(), gradient

    return run


_LOSS_HINT = {"without overflow": "float32 ends at 3e38: -1e30 is small enough"}


@check("4.7", LOSS_MISTAKES, draws=False, hints=_LOSS_HINT)
def ctc_loss(answer: Callable) -> None:
    """Loss and gradient are those of torch's loss.

    ``answer(log_probs (frame, symbol), target)``: minus the log probability, a scalar
    """
    drawn, numbers = chance(7), generator(7)

    def case(frames: int, symbols: int, target: list[int], scale: float = 1) -> tuple:
        logits = scale * torch.randn(frames, symbols, generator=numbers, dtype=torch.float64)
        # Half of them do not lie side by side in memory.
        log_probs = logits.log_softmax(dim=1)
        return log_probs.T.contiguous().T if frames % 2 else log_probs, target

    hand = torch.tensor([[0.6, 0.4], [0.6, 0.4]], dtype=torch.float64).log()
    ordinary = [case(8, 5, [2, 2, 4, 3], 2), (hand, [1]), case(5, 3, [1, 1]), case(4, 3, [1, 2])]
    ordinary += [case(6, 4, [3]), case(7, 5, [1, 4, 2]), case(12, 6, [1, 2, 1, 3, 3], 3)]
    for _ in range(3):
        target = drawn.choices(range(1, drawn.randint(3, 8)), k=drawn.randint(2, 6))
        ordinary.append(case(2 * len(target) + drawn.randint(0, 6), 8, target, 2))
    just = [case(1, 3, [2]), case(3, 3, [1, 1]), case(4, 6, [5, 3, 1, 2])]  # one path alone
    empty = [case(1, 3, []), (hand, []), case(5, 4, [])]
    too_few = [(hand, [1, 1]), case(2, 3, [1, 1]), case(3, 5, [1, 2, 3, 4]), case(1, 4, [2, 1])]
    # Of the second the probability is too small for a float64.
    long = [case(60, 20, [7, 7, 2], 2), case(260, 30, [7, 7, 21], 2)]
    double, few = [*ordinary, *just, *empty, *too_few], ordinary[:3]
    single = [(log_probs.float(), target) for log_probs, target in double[-13:]]
    own = _own_work(looked_at(answer, _is_loss), "the forward algorithm")
    for cases, otherwise, tolerance in (
        (ordinary, _WAYS, 1e-5),
        ([*few, *just, *empty], "an empty target has one place; one path is enough", 1e-5),
        ([*few, *too_few], "too few frames: a loss of math.inf", 1e-5),
        ([*few, *long], "a loss may be large: work with logarithms throughout", 1e-5),
        (few, "stay in the dtype of log_probs: float32 on the way is too coarse", 1e-8),
    ):
        agree(own, _torch_loss, cases, LOSS_MISTAKES, otherwise, tolerance, "a loss")
    slopes = {cause: _slope(mistake) for cause, mistake in LOSS_MISTAKES.items()}
    otherwise = "every operation is one of torch, from log_probs to the loss"
    for cases, tolerance in ((double, 1e-7), (single, 1e-4)):
        agree(_slope(own), _slope(_torch_loss), cases, slopes, otherwise, tolerance, "a gradient")
    passed(f"the loss and the gradients of torch in {len(double)} cases, of 0 to 6 letters")
