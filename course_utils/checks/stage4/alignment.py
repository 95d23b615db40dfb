"""Check of the soft alignment: what CTC pulls each frame towards."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import call, chance, check, generator, passed
from course_utils.checks.stage4.large_network import plain
from course_utils.checks.unaided import by_hand

# 4.19 - The soft alignment

_NEVER = -1e30


def _table(emit: Tensor, places: list[int], add: Callable, ends: int = 2) -> Tensor:
    """The log of all ways to each place, up to each frame: (frame, place)."""
    near = torch.tensor([
        [s - b in (0, 1) or (s - b == 2 and places[s] not in (0, places[b]))
         for b in range(len(places))]
        for s in range(len(places))
    ])  # fmt: skip
    rows = [emit[0].where(torch.arange(len(places)) < ends, _NEVER)]
    for frame in emit[1:]:
        rows.append(add(torch.where(near, rows[-1], _NEVER), 1) + frame)
    return torch.stack(rows)


def _soft(
    log_probs: Tensor, target: list[int], *, add: Callable = torch.logsumexp, ends: int = 2,
    turned: Callable = lambda emit, places: (emit.flip(0, 1), places[::-1]),
    back: Callable = lambda table: table.flip(0, 1),
    through: Callable = lambda ahead, back, emit: ahead + back - emit,
    total: Callable = lambda ahead, add: add(ahead[-1, -2:], 0),
    share: Callable = lambda through, total: (through - total).exp(),
    gather: Callable = lambda zeros, index, shares: zeros.index_add(1, index, shares),
    give: Callable = lambda found, log_probs: found,
) -> Any:
    """A right answer; a mistake replaces a part of it."""
    places = [0]
    for token in target:
        places += [token, 0]
    emit = log_probs[:, places]
    ahead = _table(emit, places, add)
    behind = back(_table(*turned(emit, places), add, ends))
    shares = share(through(ahead, behind, emit), total(ahead, add))
    return give(gather(torch.zeros_like(log_probs), torch.tensor(places), shares), log_probs)


def _but(**parts: Any) -> Callable:
    return partial(_soft, **parts)


def _best_path(values: Tensor, dim: int) -> Tensor:
    return values.amax(dim)


SOFT_MISTAKES: dict[str, Callable] = {
    "this frame is in both tables: take its log_probs away once, ahead + back - emit":
        _but(through=lambda ahead, back, emit: ahead + back),
    "each row sums to 1, but this frame counts twice: ahead + back - emit, then the total":
        _but(through=lambda ahead, back, emit: ahead + back,
             share=lambda through, total: through.softmax(dim=1)),
    "what comes after a frame counts, too: the way back is missing":
        _but(through=lambda ahead, back, emit: ahead,
             share=lambda through, total: through.softmax(dim=1)),
    "what comes before a frame counts, too: the way ahead is missing":
        _but(through=lambda ahead, back, emit: back,
             share=lambda through, total: through.softmax(dim=1)),
    "given the text: divide by its probability, the sum of the last two places":
        _but(share=lambda through, total: through.exp()),
    "probabilities, not their logarithms": _but(give=lambda found, _: found.log()),
    "a symbol may stand in several places: their shares are added":
        _but(gather=lambda zeros, index, shares: zeros.index_copy(1, index, shares)),
    "a column for each symbol: (frames, symbols), not (frames, places)":
        _but(gather=lambda zeros, index, shares: shares),
    "all paths through a place, not the best one: logsumexp": _but(add=_best_path),
    "the way back, too, begins in the last blank or in the last letter": _but(ends=1),
    "the way back is turned round in time and in places: turn both axes back":
        _but(back=lambda table: table.flip(0)),
    "the way back is turned round in time, too: turn both axes back":
        _but(back=lambda table: table.flip(1)),
    "the way back reads the places from the last one, too: places turned round, not time alone":
        _but(turned=lambda emit, places: (emit.flip(0), places), back=lambda table: table.flip(0)),
    "a text may end in its last letter, too: the sum of the last two places":
        _but(total=lambda ahead, add: ahead[-1, -1]),
    "this is what the clip says without the text": lambda x, target: x.exp(),
    "this is the gradient: the soft alignment alone is asked":
        _but(give=lambda found, log_probs: log_probs.exp() - found),
    "it is the soft alignment itself, not minus that": _but(give=lambda found, _: -found),
}


def _from_torch(log_probs: Tensor, target: list[int]) -> Tensor:
    """The oracle: the gradient of torch's loss by the logits is softmax less soft alignment."""
    with torch.enable_grad():
        logits = log_probs.clone().requires_grad_()
        sizes = torch.tensor([len(logits)]), torch.tensor([len(target)])
        targets = torch.tensor([target], dtype=torch.int64).reshape(1, -1)
        given = logits.log_softmax(dim=1)[:, None], targets, *sizes
        [gradient] = torch.autograd.grad(F.ctc_loss(*given, reduction="sum"), [logits])
    return log_probs.exp() - gradient


@check("4.19", SOFT_MISTAKES, draws=False)
def soft_alignment(answer: Callable) -> None:
    """The soft alignment is what is missing from torch's gradient to the softmax.

    ``answer(log_probs (frame, symbol), target) -> (frame, symbol)``, of a target that fits
    """
    drawn, numbers = chance(19), generator(19)
    shapes = [(3, 3, [1, 2]), (6, 4, [2, 2]), (5, 3, []), (1, 3, [1]), (1, 4, [])]
    shapes.append((9, 5, [1, 3, 1]))
    for _ in range(6):
        text = drawn.choices(range(1, 5), k=drawn.randint(2, 6))
        shapes.append((2 * len(text) + drawn.randint(0, 6), 5, text))
    cases = [
        ((2 * torch.randn(*shape, generator=numbers, dtype=torch.float64)).log_softmax(1), text)
        for *shape, text in shapes
    ]
    cases += [(x.float(), text) for x, text in cases[-2:]]

    @wraps(answer)
    def asked(answer: Callable, *case: Any, call: Callable = call) -> Any:
        # autograd would do it, too: the exercise is to see how
        with torch.no_grad(), by_hand("a way ahead and a way back", "torch's CTC", ["ctc"]):
            return call(answer, *case)

    named = {cause: partial(asked, wrong, call=plain) for cause, wrong in SOFT_MISTAKES.items()}
    otherwise = "all paths through a place: ahead + back - emit - total, exp, added by symbol"
    mine = partial(asked, answer)
    agree(mine, _from_torch, cases, named, otherwise, 1e-5, "a probability")
    passed(f"softmax less torch's gradient, for {len(cases)} clips with texts of 0 to 6 letters")
