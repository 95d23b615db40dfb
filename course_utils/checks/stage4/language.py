"""Checks of a language model."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import torch

from course_utils.checks.agree import agree, same
from course_utils.checks.core import CheckFailed, attempt, call, chance, check, fail, method, passed

# 4.15 - An n-gram language model


def _after(texts: Iterable[list[int]], h: list[int], first: int) -> list[int]:
    """What follows `h`, counted from the place `first` of each text on."""
    n = len(h)
    return [t[i] for t in texts for i in range(max(first, n), len(t)) if t[i - n : i] == h]


class _Grams:
    """The oracle: goes through all texts for every number. Mistakes are other methods."""

    def __init__(self, order: int, symbols: int, weight: float = 1.0):
        self.order, self.symbols, self.weight = order, symbols, weight
        self.texts: list[list[int]] = []

    def fit(self, sentences: list[list[int]]) -> None:
        self.texts += [self.padded(sentence) for sentence in self.counted(sentences)]

    def counted(self, sentences: list[list[int]]) -> Iterable[list[int]]:
        return sentences

    def padded(self, sentence: Sequence[int]) -> list[int]:
        return [0] * (self.order - 1) + list(sentence)

    def known(self, history: tuple[int, ...]) -> list[int]:
        return self.padded(history)

    def lowest(self) -> float:
        return 1 / (self.symbols - 1)

    def lengths(self) -> Iterable[int]:
        return range(self.order)

    def last(self, known: list[int], length: int) -> list[int]:
        return known[len(known) - length :]

    def followers(self, h: list[int]) -> list[int]:
        return _after(self.texts, h, self.order - 1)

    def mixed(self, here: int, before: int, p: float) -> float:
        return (here + self.weight * p) / (before + self.weight)

    def probability(self, history: tuple[int, ...], symbol: int) -> Any:
        known, p = self.known(history), self.lowest()
        for length in self.lengths():
            if length <= len(known):
                followers = self.followers(self.last(known, length))
                p = self.mixed(followers.count(symbol), len(followers), p)
        return p


def _but(**methods: Callable) -> type[_Grams]:
    """A model with other methods."""
    return type("_Other", (_Grams,), methods)


def _says(change: Callable[[float], Any]) -> type[_Grams]:
    return _but(probability=lambda m, h, s: change(_Grams.probability(m, h, s)))


_NUMBER = "probability(history, symbol) is a number"

#: `n` is how often a history was there, `c` how often with the symbol behind it.
NGRAM_MISTAKES: dict[str, Callable] = {
    "p_0 is 1 / (symbols - 1): the blank is never written": _but(lowest=lambda m: 1 / m.symbols),
    "p_0 is 1 / (symbols - 1), not 1": _but(lowest=lambda m: 1.0),
    "p_0 is 1 / (symbols - 1), not 0": _but(lowest=lambda m: 0.0),
    "each order falls back on the order below, not on the uniform one":
        _but(lengths=lambda m: [m.order - 1]),
    "k runs from 1: what was counted with no history is the first to mix":
        _but(lengths=lambda m: range(1, m.order)),
    "from the shortest history to the longest, not the other way round":
        _but(lengths=lambda m: reversed(range(m.order))),
    "order n looks back at n - 1 symbols, not at n":
        lambda order, symbols, weight=1.0: _Grams(order + 1, symbols, weight),
    "order n looks back at n - 1 symbols, not at n - 2":
        lambda order, symbols, weight=1.0: _Grams(max(1, order - 1), symbols, weight),
    "the weight is an argument: use it": lambda order, symbols, weight=1.0: _Grams(order, symbols),
    "the weight is 1 where none is given":
        lambda order, symbols, weight=0.5: _Grams(order, symbols, weight),
    "zeros in front of each sentence, and of a short history": _but(known=lambda m, h: list(h)),
    "fit: put order - 1 zeros in front of each sentence: its first symbols count, too":
        _but(padded=lambda m, s: list(s), known=_Grams.padded),
    "fit: order - 1 zeros in front of each sentence, not one": _but(
        padded=lambda m, s: [*[0][: m.order - 1], *s], known=_Grams.padded,
        followers=lambda m, h: _after(m.texts, h, min(1, m.order - 1)),
    ),
    "the zeros come in front of a history, not behind it":
        _but(known=lambda m, h: list(h) + [0] * (m.order - 1 - len(h))),
    "the zeros of the start are not counted as what follows":
        _but(followers=lambda m, h: _after(m.texts, h, 0)),
    "count(h) counts what is followed by a symbol, not the end of a sentence":
        _but(followers=lambda m, h: _after([[*text, -1] for text in m.texts], h, m.order - 1)),
    "all sentences count, not only the last": _but(counted=lambda m, given: given[-1:]),
    "all sentences count, not only the first": _but(counted=lambda m, given: given[:1]),
    "a sentence that is there twice counts twice":
        _but(counted=lambda m, given: dict.fromkeys(map(tuple, given))),
    "count how often a symbol follows, not whether it does":
        _but(followers=lambda m, h: [*{*_Grams.followers(m, h)}]),
    "each sentence starts anew: they do not run on into each other":
        _but(counted=lambda m, given: [list(itertools.chain(*given))]),
    "the end of a long history counts, not its start":
        _but(known=lambda m, h: _Grams.padded(m, h[: m.order - 1])),
    "h' is h without its first token, not without its last":
        _but(last=lambda m, known, n: known[len(known) - m.order + 1 :][:n]),
    "for k = 1 the history is empty: h[-0:] is the whole of h; h[len(h) - length :] is right":
        _but(last=lambda m, known, n: known[-n:]),
    "for k = 1 the history is empty: h[-0:] is the whole of h, which was never counted": _but(
        last=lambda m, known, n: known[-n:],
        followers=lambda m, h: _Grams.followers(m, h) if len(h) < m.order else [],
    ),
    "for k = 1 the history is empty: h[-0:] is the whole of h, all order - 1 tokens": _but(
        last=lambda m, known, n: known[len(known) - (n or m.order - 1) :],
    ),
    "for k = 1 the history is empty: h[-0:] is the whole of h, also where order - 1 is 0": _but(
        last=lambda m, known, n: known[-m.order + 1 :][-n:],
        followers=lambda m, h: _Grams.followers(m, h) if len(h) < m.order else [],
    ),
    "count(h, s) / count(h), without the order below":
        _but(mixed=lambda m, c, n, p: c / n if n else p),
    "divide by count(h) + weight: weight once, not for each symbol":
        _but(mixed=lambda m, c, n, p: (c + m.weight * p) / (n + m.weight * (m.symbols - 1))),
    "divide by count(h) + weight: it is missing below":
        _but(mixed=lambda m, c, n, p: (c + m.weight * p) / max(n, 1)),
    "mix with the order below always, not only for what is new":
        _but(mixed=lambda m, c, n, p: c / n if c else p),
    "mix with the order below, for a history that was never seen, too":
        _but(mixed=lambda m, c, n, p: _Grams.mixed(m, c, n, p) if n else 0.0),
    "weight * p of the order below, not weight alone":
        _but(mixed=lambda m, c, n, p: (c + m.weight) / (n + m.weight * (m.symbols - 1))),
    "weight times p of the order below": _but(mixed=lambda m, c, n, p: (c + p) / (n + m.weight)),
    "a probability, not its logarithm": _says(math.log),
    "a probability, not minus its logarithm": _says(lambda p: -math.log(p)),
    _NUMBER: _says(torch.tensor),
}


class _Question(NamedTuple):
    """What a model is asked, and what it is made of and fitted on."""

    history: tuple[int, ...]
    order: int
    symbols: int
    weight: float | None
    sentences: list[list[int]]

    def __repr__(self) -> str:
        sizes = f"order {self.order}, {self.symbols} symbols"
        weight = "" if self.weight is None else f", weight {self.weight:g}"
        asked = f"p(1 | h), p(2 | h), ... of h = {self.history}"
        return f"{asked}, {sizes}{weight}, fitted on {self.sentences}"


def _answers(answer: Callable, run: Callable = call) -> Callable[[_Question], Any]:
    """Asks an answer's models, of which there is one for each set of data."""
    models: dict[str, Any] = {}

    def asked(question: _Question) -> list:
        history, order, symbols, weight, sentences = question
        if (key := repr(question[1:])) not in models:
            models[key] = run(answer, order, symbols, *([] if weight is None else [weight]))
            (attempt if run is call else run)(method(models[key], "fit"), sentences)
        found = []
        for symbol in range(1, symbols):
            p = run(method(models[key], "probability"), history, symbol)
            if isinstance(p, bool) or not isinstance(p, Real):
                fail("a float", type(p).__name__, _NUMBER)
            found.append(round(float(p), 9))
        return found

    return asked


def _plainly(function: Callable, *arguments: Any) -> Any:
    return function(*arguments)


@check(
    "4.15", NGRAM_MISTAKES, draws=False,
    hints={
        "unexpected keyword": "the arguments are called order, symbols and weight",
        "'int' object is not iterable|object of type 'int'": "probability(history, symbol)",
    },
)
def ngram(answer: Callable) -> None:
    """Probabilities recounted sentence by sentence; every history sums to 1.

    ``answer(order, symbols, weight=1.0)``: ``fit(sentences)``, ``probability(history, s)``
    """
    draw = chance(15)
    mistakes = {cause: _answers(wrong, _plainly) for cause, wrong in NGRAM_MISTAKES.items()}
    asked, right = _answers(answer), _answers(_Grams, _plainly)

    def drawn(*sizes: int) -> list[list[int]]:
        return [draw.choices(range(1, 6), [5, 3, 2, 1, 1], k=size) for size in sizes]

    _own_counts(answer, drawn(4), drawn(5))
    hand = [[1, 2]], [[1, 2, 1]], [[1, 1, 2], [2], [1, 1, 2]]
    cases = [_Question(h, 2, 3, None, data) for data in hand for h in ((1,), (2,), ())]
    sentences = drawn(6, 1, draw.randint(7, 9), 4, 7)
    sentences += [[], sentences[0], sentences[3], sentences[2]]
    histories = [(), (1,), (2, 1), (1, 1, 2), (5, 5, 5, 5), tuple(sentences[2][:6])]
    for order, symbols, weight in (3, 7, None), (1, 7, None), (2, 7, 0.5), (4, 6, 3.0):
        more = [tuple(draw.choices(range(1, symbols), k=order)) for _ in range(2)]
        cases += [_Question(h, order, symbols, weight, sentences) for h in histories + more]
    cases += [_Question(h, 3, draw.randint(8, 12), 2.0, []) for h in ((), (1, 2))]
    otherwise = "(count(h, s) + weight * p of the shorter history) / (count(h) + weight)"
    agree(asked, right, [(case,) for case in cases], mistakes, otherwise, 1e-7)
    _fits_again(answer, sentences, drawn(5, 8, 4))
    passed("hand-worked counts, and orders 1 to 4 recounted; every history sums to 1")


def _own_counts(answer: Callable, mine: list[list[int]], others: list[list[int]]) -> None:
    """Fail if a model's numbers depend on what another one is fitted on."""
    try:
        model, other = call(answer, 2, 7), call(answer, 2, 7)
        attempt(method(model, "fit"), mine)
        before = call(method(model, "probability"), (1,), 2)
        attempt(method(other, "fit"), others)
        after = call(method(model, "probability"), (1,), 2)
    except CheckFailed:  # the cases find out why
        return
    if not same(after, before):
        cause = "each model has counts of its own: make them in __init__, with self."
        fail(f"{before} as before another model was fitted", after, cause)


def _fits_again(answer: Callable, first: list[list[int]], second: list[list[int]]) -> None:
    """Fail unless a second fit adds to the counts, or starts anew."""

    def after(make: Callable, *fits: list[list[int]]) -> list[float]:
        model = call(make, order=3, symbols=7)
        for sentences in fits:
            attempt(method(model, "fit"), sentences)
            found = [call(method(model, "probability"), (1,), symbol) for symbol in range(1, 7)]
        return [round(float(p), 6) for p in found]

    got, added = after(answer, first, second), after(_Grams, first, second)
    if not any(same(got, wanted, 1e-5) for wanted in (added, after(_Grams, second))):
        cause = "after a second fit both counts, c(h, s) and c(h), are of the same sentences"
        fail(f"{added} behind (1,), after a second fit", got, cause)
