"""Checks of decoding: the best path, and a beam of texts."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from course_utils.checks.core import call, equal, fail, generator, passed, unchanged
from course_utils.checks.stage4.ctc import NEVER, log_sum
from course_utils.checks.stage4.paths import runs_in, spelled

# 4.13 - Greedy decoding


def greedy(answer: Callable) -> None:
    """The best symbol of every valid frame, collapsed.

    ``answer(log_probs (batch, frame, symbol), lengths (batch,)) -> list of lists``
    """
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
                list(spelled(row)) for row in whole
            ],
            "collapse the path: repeats, then blanks": rows,
            "the blanks are still in there": [[s for s, _ in itertools.groupby(r)] for r in rows],
            "merge repeats, too": [[s for s in row if s] for row in rows],
            "merge repeats first, then drop blanks": [
                [s for s, _ in itertools.groupby(s for s in row if s)] for row in rows
            ],
            "a clip of n frames has the frames 0 to n - 1, not one fewer": [
                list(spelled(row[:-1])) for row in rows
            ],
            "a clip of n frames has the frames 0 to n - 1, not one more": [
                list(spelled(row[: count + 1])) for row, count in zip(whole, counts, strict=True)
            ],
            "the best symbol of each frame: argmax over dim=2": [
                list(spelled(row[:count]))
                for row, count in zip(log_probs.argmax(dim=1).tolist(), counts, strict=True)
            ],
            "cut the path, then collapse it": [
                list(spelled(row))[:count] for row, count in zip(whole, counts, strict=True)
            ],
            "the valid frames are the first ones: [:length]": [
                list(spelled(row[-count:])) for row, count in zip(whole, counts, strict=True)
            ],
            "each clip has its own length": [list(spelled(row[: counts[0]])) for row in whole],
            "the most probable symbol: argmax, not argmin": [
                list(spelled(row[:count]))
                for row, count in zip(log_probs.argmin(dim=2).tolist(), counts, strict=True)
            ],
        }
        cause = "argmax of each valid frame, then collapse"
        expected = [list(spelled(row)) for row in rows]
        equal(got, expected, known, cause, f"{batch} clips of {counts} frames")
    passed("the best symbol of every valid frame, collapsed, for clips of 0 to 31 frames")


# 4.14 - Prefix beam search


def beam_search(answer: Callable) -> None:
    """All texts of a wide beam as by trying every path; narrow beams as in plain Python.

    ``answer(log_probs (frame, symbol), width, score=None) -> [(text, log score), ...]``
    """
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
            if wide and any(len(set(_repeated(prefix))) for prefix in expected.keys() - found):
                cause = "the same letter twice in a text: a blank has to lie between"
        best = _first_difference(found, expected)
        wanted, value = (_shown(values.get(best)) for values in (expected, found))
        fail(f"{wanted} for {best} in {case}", value, cause)
    if any(a < b - 1e-12 for a, b in itertools.pairwise(values)):
        cause = "best first, by both probabilities together: sorted(..., reverse=True)"
        fail(f"the texts of {case} in falling order", "another order", cause)


def _repeated(prefix: tuple) -> list[int]:
    return [run[0] for run in runs_in(list(prefix)) if len(run) > 1]


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
        found.setdefault(spelled(path), []).append(total)
    bonus = score or (lambda prefix, symbol: 0.0)
    return {
        prefix: log_sum(values) + sum(bonus(prefix[:n], s) for n, s in enumerate(prefix))
        for prefix, values in found.items()
    }


def _beam(
    log_probs: Tensor,
    width: int,
    score: Callable | None = None,
    *,
    add: Callable = log_sum,
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
    beam: dict[tuple, tuple[float, float]] = {(): (0.0, NEVER)}
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
    return {prefix: value for prefix, value in totals.items() if value > NEVER}


def _beam_mistakes(
    log_probs: Tensor, width: int, score: Callable | None
) -> dict[str, dict[tuple, float]]:
    """Causes, and the texts with scores to which they lead."""
    run = partial(_beam, log_probs, width, score)

    def best(values: list[float]) -> float:
        return max(values, default=NEVER)

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
        merged.setdefault(spelled(path), []).append(total)
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
            prefix: log_sum(values) for prefix, values in merged.items()
        },
        "the best path is not the best text: keep `width` texts, and add their paths up": {
            spelled(log_probs.argmax(dim=1).tolist()): float(log_probs.amax(dim=1).sum())
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
