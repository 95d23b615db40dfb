"""Checks of error rates."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Number
from typing import Any

from course_utils.checks.agree import agree
from course_utils.checks.core import CheckFailed, call, chance, check, fail, passed

# 4.12 - Edit distance and error rates

Way = tuple[int, int, int]


class _Symbol:
    """Compares as its name does, and counts how often it is asked."""

    asked = 0
    limit = 0

    def __init__(self, name: int):
        self.name = name

    def __eq__(self, other: object) -> bool:
        _Symbol.asked += 1
        if _Symbol.asked > _Symbol.limit:
            fail("at most a few comparisons for each pair", f"more than {_Symbol.limit:,}", _AGAIN)
        return isinstance(other, _Symbol) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class _Ways(frozenset):
    """Ways that are equally good: two such sets are the same where they share one."""

    def __eq__(self, other: object) -> bool:
        return bool(self & other)

    __hash__ = frozenset.__hash__

    def __repr__(self) -> str:
        return " or ".join(map(str, sorted(self)[:3]))


def _ways(
    reference: Sequence, hypothesis: Sequence, substitution: float = 1, row: int = 1,
    column: int = 1, swaps: bool = False, same: Callable = lambda r, h, i, j: r[i] == h[j],
) -> _Ways:
    """The oracle: every (substitutions, insertions, deletions) that costs least.

    Parameters
    ----------
    substitution : float
        What one costs.
    row, column : int
        What the first row and the first column of the table count.
    swaps : bool
        Whether two symbols that are exchanged are one error.
    same : callable
        Whether symbol i of the reference and symbol j of the hypothesis are the same.
    """
    price = (substitution, 1, 1)

    def cost(way: Way) -> float:
        return sum(number * each for number, each in zip(way, price, strict=True))

    @functools.cache
    def best(i: int, j: int) -> frozenset[Way]:
        if i == 0 or j == 0:
            return frozenset([(0, j * row, i * column)])
        wrong = not same(reference, hypothesis, i - 1, j - 1)
        ways = {(s + wrong, n, d) for s, n, d in best(i - 1, j - 1)}
        ways |= {(s, n + 1, d) for s, n, d in best(i, j - 1)}
        ways |= {(s, n, d + 1) for s, n, d in best(i - 1, j)}
        if swaps and i > 1 < j and reference[i - 2 : i] == hypothesis[j - 2 : j][::-1]:
            ways |= {(s + 1, n, d) for s, n, d in best(i - 2, j - 2)}
        least = min(map(cost, ways))
        return frozenset(way for way in ways if cost(way) == least)

    return _Ways(best(len(reference), len(hypothesis)))


class _Mistaken:
    """A wrong answer: `ways` are all that it may return, and it returns one of them."""

    def __init__(self, ways: Callable[[Sequence, Sequence], Any]):
        self.ways = ways

    def __call__(self, reference: Sequence, hypothesis: Sequence) -> Any:
        ways = self.ways(reference, hypothesis)
        return min(ways) if isinstance(ways, _Ways) else ways


def _mistaken(change: Callable = lambda way: way, **options: Any) -> _Mistaken:
    return _Mistaken(lambda r, h: _Ways(map(change, _ways(r, h, **options))))


def _on(change: Callable) -> _Mistaken:
    """Of other sequences than those that are given."""
    return _Mistaken(lambda r, h: _ways(*change(r, h)))


def _split(both: int, more: int, missing: int) -> _Ways:
    return _Ways([(both, more - both, missing - both)])


def _placewise(r: Sequence, h: Sequence) -> _Ways:
    wrong, more = sum(a != b for a, b in zip(r, h, strict=False)), len(h) - len(r)
    return _Ways([(wrong, max(0, more), max(0, -more))])


def _unordered(r: Sequence, h: Sequence, kind: Callable = Counter) -> _Ways:
    missing, more = (len(list(Counter(kind(a) - kind(b)).elements())) for a, b in ((r, h), (h, r)))
    return _split(min(missing, more), more, missing)


def _greedy(r: Sequence, h: Sequence) -> _Ways:
    n = d = i = j = 0
    while i < len(r) and j < len(h):
        if r[i] == h[j]:
            i, j = i + 1, j + 1
        elif h[j] in r[i:]:
            d, i = d + 1, i + 1
        else:
            n, j = n + 1, j + 1
    return _Ways([(0, n + len(h) - j, d + len(r) - i)])


def _guessed(r: Sequence, h: Sequence) -> _Ways:
    more = len(h) - len(r)
    return _Ways([(sum(min(_ways(r, h))) - abs(more), max(0, more), max(0, -more))])


def _again(r: Sequence, h: Sequence) -> Way:
    if not len(r) or not len(h):
        return 0, len(h), len(r)
    (s, n, d), right, below = _again(r[1:], h[1:]), _again(r, h[1:]), _again(r[1:], h)
    ways = (s + (r[0] != h[0]), n, d), (right[0], right[1] + 1, right[2])
    return min(*ways, (*below[:2], below[2] + 1), key=sum)


def _each(change: Callable[[Sequence], Sequence]) -> _Mistaken:
    return _on(lambda r, h: (change(r), change(h)))


def _text(change: Callable[[str], Any]) -> _Mistaken:
    return _each(lambda x: change(x) if isinstance(x, str) else [change(word) for word in x])


_AGAIN = "a recursion that solves the same part again and again: keep the results in a table"
_ORDER = "(substitutions, insertions, deletions)"

DISTANCE_MISTAKES: dict[str, Callable] = {
    "return three numbers: (substitutions, insertions, deletions)":
        lambda r, h: sum(min(_ways(r, h))),
    _ORDER: lambda r, h: list(min(_ways(r, h))),
    "errors are counted: all three are int": lambda r, h: tuple(map(float, min(_ways(r, h)))),
    "an insertion is a symbol that only the hypothesis has: insertions and deletions are swapped":
        _mistaken(lambda way: (way[0], way[2], way[1])),
    f"the order is {_ORDER}": _mistaken(lambda way: (way[1], way[2], way[0])),
    f"the order is {_ORDER}, not the reverse": _mistaken(lambda way: way[::-1]),
    "a substitution is one error, not an insertion and a deletion": _mistaken(substitution=2),
    "symbols may move: try all alignments, do not compare place by place": _Mistaken(_placewise),
    "two swapped symbols are two errors": _mistaken(swaps=True),
    "the order counts: sets and counts of symbols do not know it": _Mistaken(_unordered),
    "the order counts, and how often: sets do not know it":
        _Mistaken(lambda r, h: _unordered(r, h, set)),
    "the first row holds 0, 1, 2, ...: with no reference all is inserted": _mistaken(row=0),
    "the first column holds 0, 1, 2, ...: with no hypothesis all is deleted": _mistaken(column=0),
    "first row and first column hold 0, 1, 2, ...": _mistaken(row=0, column=0),
    "cell (i, j) compares symbols i - 1 and j - 1: these are others":
        _mistaken(same=lambda r, h, i, j: r[i] == h[max(0, j - 1)]),
    "the smallest of three ways into each cell: not the first that fits": _Mistaken(_greedy),
    "of a list of words, compare the words, not the letters":
        _each(lambda x: x if isinstance(x, str) else "".join(x)),
    "of a list of words, compare the words, not the letters and the spaces":
        _each(lambda x: x if isinstance(x, str) else " ".join(x)),
    "of a string, compare the characters, not the words":
        _each(lambda x: x.split() if isinstance(x, str) else x),
    "as many errors as there should be, but no way has them in these kinds": _Mistaken(_guessed),
    "spaces at the ends are symbols, too: no strip()": _text(str.strip),
    "spaces are symbols, too: each counts":
        _each(lambda x: " ".join(x.split()) if isinstance(x, str) else x),
    "a capital letter is another symbol: no lower()": _text(str.lower),
    "a symbol that comes twice counts twice: merge nothing":
        _each(lambda x: [a for i, a in enumerate(x) if not i or a != x[i - 1]]),
    _AGAIN: _again,
}


def _rating(
    errors_in: Callable = lambda words: str.split if words else str,
    length_in: Callable | None = None, pairs: Callable = list, errors: Callable = sum,
    over: Callable = lambda pairs: sum(len(r) for r, _ in pairs),
    rate: Callable = lambda errors, length: errors / length,
) -> Callable:
    """The oracle of the rates, and what may be wrong in it."""

    def error_rate(references: list[str], hypotheses: list[str], words: bool = False) -> float:
        texts = pairs(list(zip(references, hypotheses, strict=True)))
        cut, measured = (
            [tuple(map(unit(words), pair)) for pair in texts]
            for unit in (errors_in, length_in or errors_in)
        )
        return rate(sum(errors(min(_ways(*pair))) for pair in cut), over(measured))

    return error_rate


def _mean(references: list[str], hypotheses: list[str], words: bool = False) -> float:
    rates = [_right_rate([r], [h], words) for r, h in zip(references, hypotheses, strict=True)]
    return sum(rates) / len(rates)


def _joined(glue: str, always: bool = True) -> Callable:
    def join(pairs: list) -> list:
        return [tuple(glue.join(texts) for texts in zip(*pairs, strict=True))]

    whole, right = _rating(pairs=join), _rating()
    return lambda r, h, words=False: (whole if always or not words else right)(r, h, words)


def _by_word(split: Callable) -> Callable:
    return _rating(lambda words: split if words else str)


_right_rate = _rating()

RATE_MISTAKES: dict[str, Callable] = {
    "all errors / all lengths, not the mean of the rates": _mean,
    "divide by the length of the references, not of the hypotheses":
        _rating(over=lambda pairs: sum(len(h) for _, h in pairs)),
    "divide by the length of the references, not of the longer of both":
        _rating(over=lambda pairs: sum(max(map(len, pair)) for pair in pairs)),
    "divide by the symbols of all references, not by the sentences": _rating(over=len),
    "this is the number of errors: divide by the length": _rating(rate=lambda e, n: float(e)),
    "an error rate can be above 1: do not cut it": _rating(rate=lambda e, n: min(1.0, e / n)),
    "errors, not what is right": _rating(rate=lambda e, n: 1 - e / n),
    "a share, not per cent": _rating(rate=lambda e, n: 100 * e / n),
    "do not round": _rating(rate=lambda e, n: round(e / n, 2)),
    "spaces are characters, too":
        _rating(lambda words: str.split if words else lambda text: text.replace(" ", "")),
    "spaces at the ends are characters, too: no strip()":
        _rating(lambda words: str.split if words else str.strip),
    "several spaces are one gap: split(), not split(' ')": _by_word(lambda text: text.split(" ")),
    "words=True compares words: split() both": _rating(lambda words: str),
    "words=False compares characters: do not split": _rating(lambda words: str.split),
    "words=False is the default": lambda r, h, words=True: _right_rate(r, h, words),
    "words=True compares words, words=False characters: this is turned round":
        _rating(lambda words: str if words else str.split),
    "the length is counted in words where the errors are": _rating(length_in=lambda words: str),
    "the errors are counted in words where the length is":
        _rating(lambda words: str, lambda words: str.split if words else str),
    "all errors: substitutions, insertions and deletions": _rating(errors=lambda way: way[0]),
    "whole sentences are no symbols":
        lambda r, h, words=False: (sum(a != b for a, b in zip(r, h, strict=True)) / len(r)),
    "pair by pair: an error does not reach into the next sentence": _joined(""),
    "pair by pair: words do not reach into the next sentence": _joined(" "),
    "pair by pair, also of characters: do not join the sentences": _joined("", False),
    "a pair that comes twice counts twice: no set": _rating(pairs=lambda pairs: [*set(pairs)]),
    "a reference may come twice, with another hypothesis: no dict":
        _rating(pairs=lambda pairs: [*dict(pairs).items()]),
    "the length of all references, also of those without an error":
        _rating(pairs=lambda pairs: [(r, h) for r, h in pairs if r != h] or pairs),
    "the errors of all pairs, also where a text is empty":
        _rating(pairs=lambda pairs: [(r, h) for r, h in pairs if r and h]),
}


def _right_distance(reference: Sequence, hypothesis: Sequence) -> Way:
    return max(_ways(reference, hypothesis))


@check("4.12", [DISTANCE_MISTAKES, RATE_MISTAKES], (_right_distance, _right_rate), draws=False)
def edit_distance(answer: Callable, rate: Callable) -> None:
    """The fewest errors of each pair, and rates over all of them.

    ``answer(reference, hypothesis) -> (substitutions, insertions, deletions)``, and rates
    """
    random = chance(12)

    @functools.wraps(answer, updated=())
    def asked(reference: Sequence, hypothesis: Sequence) -> Any:
        got = call(answer, reference, hypothesis)
        if isinstance(got, Number):
            fail(_ORDER, got, f"return three numbers: {_ORDER}")
        if not isinstance(got, tuple) or len(got) != 3:
            fail("a tuple of three numbers", repr(got), _ORDER)
        if not all(isinstance(number, Integral) for number in got):
            kinds = ", ".join(type(number).__name__ for number in got)
            fail("three ints", kinds, "errors are counted: all three are int")
        return _Ways([tuple(map(int, got))])

    pairs: list[tuple[Sequence, Sequence]] = [
        ("chat", "chaud"), ("", ""), ("", "abc"), ("abcd", ""), ("chats", "chat"),
        ("kitten", "sitting"), ("abcdef", "bcdefg"), ("ab", "ba"), ("aab", "ab"),
        ("the cat sat".split(), "the cut sat down".split()), ("eau haut".split(), ["haut"]),
        (["ab", "c"], ["a", "bc"]), ("anna sees otto".split(), []), ([], ["a"]),
    ]
    for alphabet in ("abc", "ab", "aAb ", " ab", ["un", "deux", "Un", "x y"]):
        pairs += [
            tuple(random.choices(alphabet, k=random.randint(2, 7)) for _ in range(2))
            for _ in range(3)
        ]
        if isinstance(alphabet, str):
            pairs[-3:] = [tuple(map("".join, pair)) for pair in pairs[-3:]]
    pairs += [(f" {pairs[-1][0][0]}", "un "), ("aab  b", "ab b"), ("Aa", "aa ")]
    named = {
        cause: getattr(mistake, "ways", lambda r, h, mistake=mistake: _Ways([mistake(r, h)]))
        for cause, mistake in DISTANCE_MISTAKES.items()
    }
    cause = "there is a shorter way: the smallest of the three ways into each cell"
    if _as_short(asked, pairs):
        cause = f"the sum is right, its parts are not, in this order: {_ORDER}"
    agree(asked, _ways, pairs, named, cause)
    # A sentence of some length: as many steps as there are pairs of symbols.
    sizes = random.sample(range(34, 44), 2)
    names = [random.choices(range(5), k=size) for size in sizes]
    _Symbol.asked, _Symbol.limit = 0, 10 * sizes[0] * sizes[1]
    got, right = asked(*([_Symbol(name) for name in row] for row in names)), _ways(*names)
    if not got & right:
        fail(f"{right} errors", got, f"as before, for {sizes[0]} symbols against {sizes[1]}")
    _error_rates(rate, random)
    passed(f"the fewest errors of {len(pairs) + 1} pairs, and rates over all characters and words")


def _as_short(asked: Callable, pairs: Iterable[tuple[Sequence, Sequence]]) -> bool:
    """Whether all sums of errors are the smallest ones."""
    try:
        return all(set(map(sum, asked(*p))) <= set(map(sum, _ways(*p))) for p in pairs)
    except CheckFailed:  # another cause, which is named where it is met
        return False


def _error_rates(rate: Callable, random: Any) -> None:
    @functools.wraps(rate, updated=())
    def asked(*given: Any) -> Any:
        got = call(rate, *given)
        return float(got) if isinstance(got, Number) and not isinstance(got, bool) else got

    twice = (
        ["abcd ef", "ab", "la vie est belle", "oui", "ab"],
        ["abcd ef", "xyb", "la vi belle", "", "xyb"],
    )
    long = ["un", "a b"], ["un deux trois", "a b c d e"]  # more errors than symbols
    across = ["ab c", "d ab", "ab c", ""], ["ab c d", "ab", "b c", " c  d"]
    said, written = (
        [" ".join(random.choices("eau haut un a".split(), k=random.randint(1, 4))) for _ in "12345"]
        for _ in range(2)
    )
    drawn = [f" {said[0]}", *said], [written[0], *written]
    sets = (["oui", "non"], ["oui", "nn"]), twice, (twice[0][:1], twice[0][:1]), long, across, drawn
    cases = [(*map(list, texts), *words) for texts in sets for words in ((), (True,), (False,))]
    cause = "sum of all errors / sum of the lengths of all references"
    agree(asked, _right_rate, cases, RATE_MISTAKES, cause, 1e-6, "an error rate")
