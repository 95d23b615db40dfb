"""Checks of a language model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from course_utils.checks.core import attempt, call, close, fail, method, passed

# 4.15 - An n-gram language model


def ngram(answer: Callable) -> None:
    """Probabilities recounted sentence by sentence; every history sums to 1.

    ``answer(order, symbols, weight=1.0)``: ``fit(sentences)``, ``probability(history, s)``
    """
    chance = random.Random(15)
    sentences = [chance.choices(range(1, 6), [5, 3, 2, 1, 1], k=size) for size in (6, 1, 9, 4, 7)]
    sentences.insert(2, [])
    cases = [(3, 7, 1.0), (1, 7, 1.0), (2, 7, 0.5), (4, 6, 3.0)]
    models = [
        call(answer, order, symbols, weight) if weight != 1 else call(answer, order, symbols)
        for order, symbols, weight in cases
    ]
    for model in models:  # all of them, before any is asked: each has counts of its own
        given = [list(sentence) for sentence in sentences]
        attempt(method(model, "fit"), given)
        if given != sentences:
            fail("sentences as they were", "changed ones", "[0] * (order - 1) + sentence is new")
    for model, case in zip(models, cases, strict=True):
        order, symbols, _ = case
        histories = [(), (1,), (2, 1), (1, 1, 2), (5, 5, 5, 5), (3, 1, 2, 1, 1, 2)]
        histories += [tuple(chance.choices(range(1, symbols), k=order)) for _ in range(3)]
        for history in histories:
            for symbol in range(1, symbols):
                _right_probability(model, history, symbol, sentences, case)
            total = sum(model.probability(history, symbol) for symbol in range(1, symbols))
            close(total, 1, "all symbols but the blank sum to 1", 1e-9, "a sum")
    hand = call(answer, 2, 3)
    attempt(method(hand, "fit"), [[1, 2, 1]])
    # p(1) = (2 + 1/2) / (3 + 1) = 5/8; behind 2 comes 1: (1 + 5/8) / (1 + 1) = 13/16.
    _right_probability(hand, (2,), 1, [[1, 2, 1]], (2, 3, 1.0), 13 / 16)
    passed("hand-worked counts, and orders 1 to 4 recounted; every history sums to 1")


def _right_probability(
    model: object,
    history: tuple[int, ...],
    symbol: int,
    sentences: list[list[int]],
    case: tuple[int, int, float],
    by_hand: float | None = None,
) -> None:
    got = call(method(model, "probability"), history, symbol)
    if isinstance(got, bool) or not isinstance(got, int | float):
        fail("a float", type(got).__name__, "probability(history, symbol) is a number")
    expected = _interpolated(history, symbol, sentences, *case) if by_hand is None else by_hand
    if abs(got - expected) <= 1e-9:
        return
    cause = "(count(h, s) + weight * p of the shorter history) / (count(h) + weight)"
    mistakes = _ngram_mistakes(history, symbol, sentences, *case)
    cause = next((why for why, value in mistakes.items() if abs(value - got) <= 1e-9), cause)
    order, symbols, weight = case
    case = f"p({symbol} | {history}) = {expected:.6g} with order {order}, {symbols} symbols"
    fail(f"{case}, weight {weight:g}", f"{got:.6g}", cause)


def _interpolated(
    history: tuple[int, ...],
    symbol: int,
    sentences: list[list[int]],
    order: int,
    symbols: int,
    weight: float,
    *,
    base: float | None = None,
    starts: bool = True,
    padded: bool = True,
    ends: bool = False,
    joined: bool = False,
    backs_off: bool = True,
    first: bool = False,
    smoothing: Callable | None = None,
) -> float:
    """The oracle: goes through all sentences for every number; and what may be wrong in it."""
    start = [0] * (order - 1)
    texts = [(start if starts else []) + sentence for sentence in sentences]
    if joined:
        texts = [start + [token for sentence in sentences for token in sentence]]
    known = (start if padded else []) + list(history)
    p = 1 / (symbols - 1) if base is None else base
    for length in range(order):
        if length > len(known):
            break
        last = known[:length] if first else known[len(known) - length :]
        here = before = 0
        for text in texts:
            begin = order - 1 if starts else length
            for end in range(max(begin, length), len(text) + ends):
                if text[end - length : end] == last:
                    before += 1
                    here += end < len(text) and text[end] == symbol
        if smoothing is not None:
            p = smoothing(here, before, p)
        elif backs_off:
            p = (here + weight * p) / (before + weight)
        elif length == order - 1:
            lowest = 1 / (symbols - 1)
            p = (here + weight * lowest) / (before + weight)
    return p


def _ngram_mistakes(
    history: tuple[int, ...],
    symbol: int,
    sentences: list[list[int]],
    order: int,
    symbols: int,
    weight: float,
) -> dict[str, float]:
    """Causes, and the probabilities to which they lead."""

    def like(
        order: int = order, symbols: int = symbols, weight: float = weight, **named: Any
    ) -> float:
        return _interpolated(history, symbol, sentences, order, symbols, weight, **named)

    def ratio(here: int, before: int, p: float) -> float:
        return here / before if before else p

    def other_weights(here: int, before: int, p: float) -> float:
        return (here + weight * p) / (before + weight * (symbols - 1))

    def missing_below(here: int, before: int, p: float) -> float:
        return (here + weight * p) / max(before, 1)

    def unseen_only(here: int, before: int, p: float) -> float:
        return here / before if here else p

    def add_one(here: int, before: int, p: float) -> float:
        return (here + weight) / (before + weight * (symbols - 1))

    def unweighted(here: int, before: int, p: float) -> float:
        return (here + p) / (before + weight)

    right = like()
    return {
        "p_0 is 1 / (symbols - 1): the blank is never written": like(base=1 / symbols),
        "p_0 is 1 / (symbols - 1), not 1": like(base=1.0),
        "p_0 is 1 / (symbols - 1), not 0": like(base=0.0),
        "each order falls back on the order below, not on the uniform one": like(backs_off=False),
        "order n looks back at n - 1 symbols, not at n": like(order=order + 1),
        "order n looks back at n - 1 symbols, not at n - 2": like(order=max(1, order - 1)),
        "the weight is an argument: use it": like(weight=1.0),
        "fit: put order - 1 zeros in front of each sentence": like(starts=False),
        "probability: put zeros in front of a short history": like(padded=False),
        "zeros in front of each sentence, and of a short history": like(starts=False, padded=False),
        "all sentences count, not only the last": _interpolated(
            history, symbol, sentences[-1:], order, symbols, weight
        ),
        "each sentence starts anew: they do not run on into each other": like(joined=True),
        "count(h) counts what is followed by a symbol, not the end of a sentence": like(ends=True),
        "the end of a long history counts, not its start": like(first=True),
        "count(h, s) / count(h), without the order below": like(smoothing=ratio),
        "divide by count(h) + weight: weight once, not for each symbol": like(
            smoothing=other_weights
        ),
        "divide by count(h) + weight: it is missing below": like(smoothing=missing_below),
        "mix with the order below always, not only for what is new": like(smoothing=unseen_only),
        "weight * p of the order below, not weight alone": like(smoothing=add_one),
        "weight times p of the order below": like(smoothing=unweighted),
        "a probability, not its logarithm": math.log(right),
        "a probability, not minus its logarithm": -math.log(right),
    }
