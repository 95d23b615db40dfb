"""Checks of decoding: the best path, and a beam of texts."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.agree import agree
from course_utils.checks.core import call, chance, check, fail, generator, passed


def _collapsed(path: Iterable[int]) -> list[int]:
    return [symbol for symbol, _ in itertools.groupby(path) if symbol]


# 4.13 - Greedy decoding


def _greedy(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
    """The oracle: plain Python, frame by frame."""
    return [
        _collapsed(max(range(len(frame)), key=frame.__getitem__) for frame in clip[:length])
        for clip, length in zip(log_probs.tolist(), lengths.tolist(), strict=True)
    ]


def _each(read: Callable[[list[int], int], list], best: Callable | None = None) -> Callable:
    """A greedy decoding that reads each clip's path, given its length."""
    best = best or partial(torch.argmax, dim=2)
    return lambda x, n: [
        read(path, k) for path, k in zip(best(x).tolist(), n.tolist(), strict=False)
    ]


def _over(best: Callable) -> Callable:
    return _each(lambda path, n: _collapsed(path[:n]), best)


_EACH_CLIP = "a list of tokens for each clip"
_NO_TENSORS = "collapse(path.tolist()): lists of int"
_INTS = "path.tolist() before collapse: tensors are never equal"

GREEDY_MISTAKES: dict[str, Callable] = {
    "the frames behind a clip's end do not count: [:length]": _each(lambda p, n: _collapsed(p)),
    "collapse the path: repeats, then blanks": _each(lambda p, n: p[:n]),
    "the blanks are still in there": _each(lambda p, n: [s for s, _ in itertools.groupby(p[:n])]),
    "merge repeats, too": _each(lambda p, n: [s for s in p[:n] if s]),
    "merge repeats first, then drop blanks": _each(lambda p, n: _collapsed(filter(None, p[:n]))),
    "a symbol may come back later: only neighbours are merged":
        _each(lambda p, n: list(dict.fromkeys(filter(None, p[:n])))),
    "a clip of n frames has the frames 0 to n - 1, not one fewer":
        _each(lambda p, n: _collapsed(p[: max(0, n - 1)])),
    "a clip of n frames has the frames 0 to n - 1, not one more":
        _each(lambda p, n: _collapsed(p[: n + 1])),
    "the first frame counts, too": _each(lambda p, n: _collapsed(p[1:n])),
    "the best symbol of each frame: argmax over dim=2": _over(partial(torch.argmax, dim=1)),
    "the best symbol of each frame: argmax over dim=2, not over the clips":
        _over(partial(torch.argmax, dim=0)),
    "cut the path, then collapse it": _each(lambda p, n: _collapsed(p)[:n]),
    "the valid frames are the first ones: [:length]": _each(lambda p, n: _collapsed(p[-n:])),
    "each clip has its own length": lambda x, n: _greedy(x, n[:1].expand(len(n))),
    "each clip has its own length, not that of the longest":
        lambda x, n: _greedy(x, n.amax().expand(len(n))),
    "each clip starts anew: before its first symbol there is none":
        lambda x, n: [text[row > 0 :] for row, text in enumerate(_greedy(x, n))],
    "the most probable symbol: argmax, not argmin": _over(partial(torch.argmin, dim=2)),
    "the blank may be the most probable, too: argmax over all symbols":
        _over(lambda x: 1 + x[..., 1:].argmax(dim=2)),
    "a symbol for each frame, not one for the whole clip":
        lambda x, n: [[int(clip[:k].sum(0).argmax())] for clip, k in zip(x, n, strict=True)],
    "a clip without letters has a list, too: []": lambda x, n: [t for t in _greedy(x, n) if t],
    _EACH_CLIP: lambda x, n: list(itertools.chain(*_greedy(x, n))),
    _NO_TENSORS: lambda x, n: [torch.tensor(text) for text in _greedy(x, n)],
    _INTS: lambda x, n: [list(clip[:k].argmax(dim=1)) for clip, k in zip(x, n, strict=True)],
}


@check("4.13", GREEDY_MISTAKES, draws=False)
def greedy(answer: Callable) -> None:
    """The best symbol of every valid frame, collapsed.

    ``answer(log_probs (batch, frame, symbol), lengths (batch,)) -> list of lists``
    """

    def asked(log_probs: Tensor, lengths: Tensor) -> list[list[int]]:
        got = call(answer, log_probs, lengths)
        rows = got if isinstance(got, list | tuple) else [got]
        for row, wanted in ((got, "a list of lists"), *((row, "lists of tokens") for row in rows)):
            if not isinstance(row, list | tuple):
                cause = _NO_TENSORS if isinstance(row, Tensor | np.ndarray) else _EACH_CLIP
                fail(wanted, f"a {type(row).__name__}", cause)
        for token in itertools.chain(*got):
            if type(token) is not int:
                fail("tokens as int", type(token).__name__, _INTS)
        return got

    sizes = chance(13)
    ordinary = [_spoken(13, 7, 4, [5])]
    for salt in (14, 15, 16):
        batch, symbols = sizes.sample(range(3, 8), 2)
        frames = sizes.randint(14, 30)
        ordinary.append(
            _spoken(salt, frames, symbols, [3, *sizes.sample(range(4, frames), batch - 1)])
        )
    ordinary.append(_spoken(17, 12, 5, [8, 3, 9]))
    special = [_spoken(18, 9, 4, [3, 9, 1, 0, 8]), _spoken(19, 1, 3, [1, 0])]
    special[0][0][0, :, 0] = 0  # a clip of blanks
    otherwise = "argmax of each valid frame, then collapse"
    for cases in (ordinary, special):
        agree(asked, _greedy, cases, GREEDY_MISTAKES, otherwise)
    passed("the best symbol of every valid frame, collapsed, for clips of no and of many frames")


def _spoken(salt: int, frames: int, symbols: int, counts: list[int]) -> tuple[Tensor, Tensor]:
    """Log probabilities of paths with repeats, which begin and end with token 1; and lengths."""
    draw, shape, lengths = generator(salt), (len(counts), frames), torch.tensor(counts)
    paths = torch.randint(symbols, shape, generator=draw).repeat_interleave(2, dim=1)[:, :frames]
    paths[:, 0] = 1
    paths[range(len(counts)), lengths - 1] = 1
    logits = torch.randn(*shape, symbols, generator=draw)
    best = logits.amax(dim=2, keepdim=True) + 0.2  # a network is sure only now and then
    return logits.scatter(2, paths[..., None], best).log_softmax(dim=2), lengths


# 4.14 - Prefix beam search

Text = tuple[int, ...]
Pairs = list[tuple[Text, float]]

NEVER = -math.inf


def _log_sum(values: Sequence[float]) -> float:
    return float(np.logaddexp.reduce(values))


def _exhaustive(log_probs: Tensor, width: int, score: Callable | None = None) -> Pairs:
    """The oracle of a beam that is wide enough for all texts: every path, one by one."""
    rows = log_probs.tolist()
    ways: dict[Text, list[float]] = {}
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(rows)):
        total = sum(row[symbol] for row, symbol in zip(rows, path, strict=True))
        ways.setdefault(tuple(_collapsed(path)), []).append(total)
    return _best_first((t, _log_sum(found) + _bonuses(t, score)) for t, found in ways.items())


def _best_first(pairs: Iterable[tuple[Text, float]]) -> Pairs:
    return sorted(pairs, key=lambda pair: pair[1], reverse=True)


def _bonuses(text: Text, score: Callable | None) -> float:
    return sum(score(text[:n], symbol) for n, symbol in enumerate(text)) if score else 0.0


def _beam(
    log_probs: Tensor, width: int, score: Callable | None = None, *, blank: str = "both",
    goes_on: str = "letter", anew: str = "blank", other: str = "both",
    to_blank: Sequence[str] = ("blank",), overwrites: Sequence[str] = (),
    scored: Sequence[str] = ("anew", "other"), add: Callable = _log_sum,
    rank: Callable | None = None, total: Callable | None = None, start: float = NEVER,
) -> Pairs:
    """The oracle of a narrow beam, in plain Python; and what may be wrong in it.

    There are four ways for a text: the blank comes, its last letter goes on, or comes anew, or
    another letter comes. An argument says from which probability each of them starts.
    """
    takes = {"blank": blank, "goes_on": goes_on, "anew": anew, "other": other}
    beam = {(): (0.0, start)}
    for row in log_probs.tolist():
        grown: dict[Text, tuple[list[float], list[float]]] = {}
        for text, (in_blank, in_letter) in beam.items():
            source = {"blank": in_blank, "letter": in_letter, "never": NEVER}
            source["both"] = add([in_blank, in_letter])
            ways = [("blank", text, 0)]
            for symbol in range(1, len(row)):
                again = text[-1:] == (symbol,)
                ways += [("goes_on", text, symbol)] if again else []
                ways += [("anew" if again else "other", (*text, symbol), symbol)]
            for way, new, symbol in ways:
                value = source[takes[way]] + row[symbol]
                if score and way in scored and (symbol or text):
                    value += score(text, symbol) if symbol else score(text[:-1], text[-1])
                ends = grown.setdefault(new, ([], []))[way not in to_blank]
                if way in overwrites:
                    ends.clear()
                ends.append(value)
        added = {text: (add(a), add(b)) for text, (a, b) in grown.items()}
        by = rank or (lambda a, b: add([a, b]))
        best = sorted(added, key=lambda text: by(*added[text]), reverse=True)
        beam = {text: added[text] for text in best[:width]}
    pairs = [(text, (total or _log_sum)(ends)) for text, ends in beam.items()]
    return [(text, value) for text, value in pairs if value > NEVER]


def _paths(log_probs: Tensor, width: int, score: Callable | None = None) -> Pairs:
    """A beam of paths: those that say the same are added up at its end."""
    beam: list[tuple[Text, float]] = [((), 0.0)]
    for row in log_probs.tolist():
        grown = []
        for path, value in beam:
            for symbol, p in enumerate(row):
                longer = score is not None and symbol not in (0, *path[-1:])
                bonus = score(tuple(_collapsed(path)), symbol) if longer else 0.0
                grown.append(((*path, symbol), value + p + bonus))
        beam = _best_first(grown)[:width]
    ways: dict[Text, list[float]] = {}
    for path, value in beam:
        ways.setdefault(tuple(_collapsed(path)), []).append(value)
    return _best_first((text, _log_sum(values)) for text, values in ways.items())


def _best_path(log_probs: Tensor, width: int, score: Callable | None = None) -> Pairs:
    text = tuple(_collapsed(log_probs.argmax(dim=1).tolist()))
    return [(text, float(log_probs.amax(dim=1).sum()) + _bonuses(text, score))]


def _but(**arguments: Any) -> Callable:
    """A beam search with another argument."""
    return partial(_beam, **arguments)


def _given(change: Callable[[Tensor, int], tuple[Tensor, int]]) -> Callable:
    """A beam search in other numbers, or of another width."""
    return lambda p, width, score=None: _beam(*change(p, width), score)


def _scores(change: Callable[[Callable, Text, int], float]) -> Callable:
    """A beam search with another score."""
    return lambda p, width, score=None: _beam(p, width, score and partial(change, score))


def _gives(change: Callable[[Pairs], Any]) -> Callable:
    """A beam search that gives back something else."""
    return lambda p, width, score=None: change(_beam(p, width, score))


def _each_pair(change: Callable[[Text, float], Any]) -> Callable:
    return _gives(lambda pairs: list(itertools.starmap(change, pairs)))


_FALLING = "best first, by both probabilities together: sorted(..., reverse=True)"
_LIST = "return a list of (text, log score), best first"
_PAIR = "one pair for each text"
_FLOAT = "one number: the logaddexp of both log probabilities, as a float"
_ONCE = "two ways to the same text are one entry: add their probabilities"
_TOKENS = "tokens are int: log_probs.tolist(), and range(1, symbols)"
_NO_BLANK = "a blank leaves the text as it is"
_NAN = "logaddexp(-inf, -inf) is -inf: numpy's does that"
_TUPLES = "texts are tuples"
_LETTERS = "a blank extends no text: score(text, symbol) for the letters only"
_TOO_SMALL = "probabilities of many frames are too small for a number: keep their logarithms"
_NO_FRAMES = "no frames: the empty text, with a log score of 0"

BEAM_MISTAKES: dict[str, Callable] = {
    "add up all ways to a text, do not keep the best: logaddexp":
        _but(add=partial(max, default=NEVER), total=max),
    "where two ways lead to the same text, add them: do not overwrite":
        _but(overwrites=("goes_on", "anew", "other")),
    "the longer text may be there already: add to it, do not overwrite":
        _but(overwrites=("anew", "other")),
    "the same letter anew needs a blank before it: from the blank probability alone":
        _but(anew="both"),
    "the same letter anew comes from the blank probability, not from the letter's":
        _but(anew="letter"),
    "a repeated letter behind a blank extends the text: that is missing": _but(anew="never"),
    "a letter that goes on leaves the text as it is: that is missing": _but(goes_on="never"),
    "a letter goes on from the letter probability alone: two for each text": _but(goes_on="both"),
    "a letter goes on from the letter probability, not from the blank's": _but(goes_on="blank"),
    "a letter that goes on ends in the letter, not in a blank":
        _but(to_blank=("blank", "goes_on")),
    "two probabilities for each text: with one, repeats cannot be told from new letters":
        _but(goes_on="both", anew="both"),
    "two probabilities for each text: no letter comes twice": _but(goes_on="both", anew="never"),
    "a blank may follow a letter, too: from both probabilities": _but(blank="blank"),
    "a blank may follow a blank, too: from both probabilities": _but(blank="letter"),
    "another letter may follow a letter, too: from both probabilities": _but(other="blank"),
    "another letter may follow a blank, too: from both probabilities": _but(other="letter"),
    "the empty text ends in a letter with a log of -inf, not of 0": _but(start=0.0),
    "every letter is tried, the last one, too: range(1, symbols)":
        _given(lambda p, width: (p[:, :-1], width)),
    "log_probs are logarithms: add them as they are": _given(lambda p, width: (p.exp(), width)),
    "keep the best `width` texts after each frame": _given(lambda p, width: (p, 10**6)),
    "keep the best `width` texts after each frame, not at the end alone":
        lambda p, width, score=None: _beam(p, 10**6, score)[:width],
    "rank by both probabilities together, not by the letter's": _but(rank=lambda b, n: n),
    "rank by both probabilities together: not by the blank's, and not as the texts come":
        _but(rank=lambda b, n: b),
    "rank by both probabilities, not by the larger": _but(rank=max),
    "the best texts stay, not the worst: sorted(..., reverse=True)":
        _but(rank=lambda b, n: -_log_sum([b, n])),
    "keep whole texts, not paths: merge after each frame, not at the end": _paths,
    "the best path is not the best text: keep `width` texts, and add their paths up": _best_path,
    "the score is of both probabilities, not of the letter's": _but(total=lambda ends: ends[1]),
    "the score is of both probabilities, not of the blank's": _but(total=lambda ends: ends[0]),
    "the score is of both probabilities, not of the larger": _but(total=max),
    "log scores, not probabilities": _each_pair(lambda text, v: (text, math.exp(v))),
    "the log score, not minus that": _each_pair(lambda text, v: (text, -v)),
    "the log score, not divided by the length":
        _each_pair(lambda text, v: (text, v / max(1, len(text)))),
    "all texts of the beam, not the best alone": _gives(lambda pairs: pairs[:1]),
    "score counts when a letter extends the text, not when the letter goes on":
        _but(scored=("goes_on", "anew", "other")),
    "score counts when a letter extends the text, not in each frame":
        _but(scored=("blank", "anew", "other")),
    "score counts for a letter that comes anew behind a blank, too": _but(scored=("other",)),
    "score(text, symbol) is not used": _but(scored=()),
    "score sees the text before the letter comes": _scores(lambda s, t, n: s((*t, n), n)),
    "score sees the whole text, not the last letter alone": _scores(lambda s, t, n: s(t[-1:], n)),
    "score is added, not subtracted": _scores(lambda s, t, n: -s(t, n)),
    "score is added to a log probability, not multiplied":
        _scores(lambda s, t, n: math.log(abs(s(t, n)))),
    "score is a logarithm already: add it as it is": _scores(lambda s, t, n: math.exp(s(t, n))),
    "scores decide during the search, not at its end":
        lambda p, w, score=None: [(t, v + _bonuses(t, score)) for t, v in _beam(p, w)],
    _TUPLES: _scores(lambda s, t, n: s(list(t), n)),
    _LETTERS: _scores(lambda s, t, n: s(t, n) + 0 * s(t, 0)),
    _TOO_SMALL: _gives(lambda pairs: [(text, v) for text, v in pairs if v > -740]),
    _NO_FRAMES: _gives(lambda pairs: [] if pairs == [((), 0.0)] else pairs),
    _FALLING: _gives(lambda pairs: pairs[::-1]),
    _LIST: _gives(dict),
    _PAIR: _each_pair(lambda text, v: text),
    _FLOAT: _each_pair(lambda text, v: (text, (v, v))),
    _ONCE: _each_pair(lambda text, v: (text[:1], v)),
    _TOKENS: _each_pair(lambda text, v: (tuple(map(torch.tensor, text)), v)),
    _NO_BLANK: _each_pair(lambda text, v: ((*text, 0), v)),
    _NAN: _each_pair(lambda text, v: (text, math.nan)),
}


@check(
    "4.14", BEAM_MISTAKES, draws=False,
    hints={"math domain|positive input": "the logarithm of 0: keep logarithms, -math.inf is that"},
)
def beam_search(answer: Callable) -> None:
    """All texts of a wide beam as by trying every path; narrow beams as in plain Python.

    ``answer(log_probs (frame, symbol), width, score=None) -> [(text, log score), ...]``
    """
    disorder: list[Text] = []
    mistakes = {cause: partial(_texts, wrong, []) for cause, wrong in BEAM_MISTAKES.items()}
    asked, every, right = (
        partial(_texts, search, found)
        for search, found in ((answer, disorder), (_exhaustive, []), (_beam, []))
    )
    sizes, score = chance(14), _Score(chance(15).uniform(0, 6))
    hand = [([[0.6, 0.4], [0.6, 0.4]], 10), ([[0.1, 0.9], [0.7, 0.3], [0.2, 0.8]], 100)]
    wide = [(torch.tensor(rows).log(), width) for rows, width in hand]
    wide += [
        (_sharp(n, *shape), 10_000) for n, shape in enumerate([(1, 3), (3, 3), (3, 4), (5, 3)])
    ]
    narrow = [(_sharp(19, 2, 2), 3)]  # three of four paths, two of which say the same
    narrow += [
        (_sharp(20 + n, sizes.randint(5, 6), sizes.randint(3, 4), 0.8), width)
        for n, width in enumerate([2, 3, 4, 1, 3, 2])
    ]
    otherwise = "blank and letter probability of each text, merged with logaddexp"
    first = asked(*wide[0])
    if (again := asked(*wide[0])) != first:
        fail(f"the same again: {first}", again, "each call starts anew: the beam is the empty text")
    agree(asked, every, wide, mistakes, otherwise)
    otherwise = _FALLING if disorder else "keep the best `width` texts after each frame"
    agree(asked, right, narrow, mistakes, otherwise)
    otherwise = "add score(text, symbol), with the text before, whenever a letter is appended"
    for truth, cases in ((every, wide), (right, narrow)):
        agree(asked, truth, [(*case, score) for case in cases], mistakes, otherwise)
    # So many frames that no float holds the probability of a text: one letter, then blanks that
    # lead so clearly that rounding in single precision changes no place.
    faint = _sharp(30, 480, 8, 0.1)
    faint[0, 1] += 2
    faint[1:, 0] += 0.5
    agree(asked, right, [(faint.log_softmax(dim=1), 1)], {}, _TOO_SMALL)
    agree(asked, right, [(torch.zeros(0, 3), 4)], {}, _NO_FRAMES)
    if disorder:
        fail(f"{disorder[1]} behind {disorder[0]}, which is less", "another order", _FALLING)
    passed("all texts of a wide beam as by trying every path; narrow beams; with scores, too")


def _sharp(salt: int, frames: int, symbols: int, scale: float = 1.5) -> Tensor:
    """Log probabilities of a clip, in single precision as those of a network."""
    logits = scale * torch.randn(frames, symbols, generator=generator(salt))
    return logits.log_softmax(dim=1)


class _Score:
    """A score that depends on all it is given, and that watches how it is asked."""

    def __init__(self, phase: float):
        self.phase = phase

    def __call__(self, text: Text, symbol: int) -> float:
        if symbol == 0:
            fail("a letter", "the blank", _LETTERS)
        if not isinstance(text, tuple):
            fail("a tuple as text", type(text).__name__, _TUPLES)
        mixed = sum((place + 2) * token for place, token in enumerate(text)) + 3 * symbol
        return 0.8 * math.sin(mixed + self.phase) - 0.4

    def __repr__(self) -> str:
        return "a score"


def _texts(
    answer: Callable, disorder: list[Text], log_probs: Tensor, width: int,
    score: Callable | None = None,
) -> dict[Text, float]:
    """Text to log score, as an answer finds them; `disorder` gets two that are not in order."""
    got = call(answer, log_probs, width, **({} if score is None else {"score": score}))
    if not isinstance(got, list | tuple):
        fail("a list", type(got).__name__, _LIST)
    for pair in got:
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], tuple)):
            fail("pairs of (tuple of tokens, log score)", repr(pair), _PAIR)
        if not all(isinstance(token, int | np.integer) for token in pair[0]):
            fail("a tuple of int", pair[0], _TOKENS)
        if isinstance(pair[1], bool) or not isinstance(pair[1], Real):
            fail("a float as score", type(pair[1]).__name__, _FLOAT)
        if 0 in pair[0]:
            fail("texts without blanks", pair[0], _NO_BLANK)
        if math.isnan(pair[1]):
            fail("log scores", "not a number", _NAN)
    text, times = Counter(text for text, _ in got).most_common(1)[0] if got else ((), 0)
    if times > 1:
        fail("each text once", f"{text} {times} times", _ONCE)
    for (text, value), (other, more) in itertools.pairwise(got):
        if value < more - 1e-6 and not disorder:
            disorder += [text, other]
    # A text that no path says does not count: its logarithm is -inf.
    told = [(text, value) for text, value in got if math.isfinite(value) and (value or not text)]
    return {text: round(float(value), 6) for text, value in told}
