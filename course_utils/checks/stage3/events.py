"""Checks of what a detector says in a stream: its events, and how they are counted."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, generator, passed
from course_utils.checks.stage3.features import then, with_option

# 3.14 - From posteriors to events

Events = list[tuple[int, int]]


def _smooth(rows: Sequence[Sequence[float]], count: int) -> list[list[float]]:
    """The mean of the last rows, of fewer at the start: plain Python, class by class."""
    last = [rows[max(0, t + 1 - count) : t + 1] for t in range(len(rows))]
    return [[math.fsum(column) / len(part) for column in zip(*part, strict=True)] for part in last]


def _events(
    posteriors: Tensor, threshold: float, smooth: int, refractory: int,
    mean: Callable = _smooth, reached: Callable = lambda value, threshold: value >= threshold,
    named: Callable = lambda row, raw, threshold: row.index(max(row)),
    ready: Callable = lambda t, last, refractory: t >= last + refractory,
    restart: bool = False,
) -> Events:
    """The oracle: frame after frame in plain Python, with what may be wrong in it.

    With `restart`, frames that are passed over begin the refractory time anew.
    """
    raw = posteriors.tolist()
    found, last = [], -math.inf
    for t, row in enumerate(mean(raw, smooth)):
        if row and reached(max(row), threshold):
            if ready(t, last, refractory):
                found.append((t, named(row, raw[t], threshold)))
                last = t
            elif restart:
                last = t
    return found


def _ahead(rows: list, count: int) -> list:
    return _smooth(rows[::-1], count)[::-1]


def _centred(rows: list, count: int) -> list:
    return (_smooth(rows, count)[count // 2 :] + _ahead(rows, count)[-(count // 2) :])[: len(rows)]


def _always(rows: list, count: int) -> list:
    """Divided by the full number at the start, too."""
    return _smooth([[0.0] * len(rows[0])] * (count - 1) + rows, count)[count - 1 :]


def _waits(rows: list, count: int) -> list:
    return [[-1.0] * len(rows[0])] * (count - 1) + _smooth(rows, count)[count - 1 :]


def _sums(rows: list, count: int) -> list:
    return [
        [min(count, t + 1) * x for x in row] for t, row in enumerate(_smooth(rows, count))
    ]


def _each_word(posteriors: Tensor, threshold: float, smooth: int, refractory: int) -> Events:
    """Every class that reaches it, with a refractory time of its own."""
    return sorted(
        (t, number)
        for number, column in enumerate(posteriors.unbind(dim=1))
        for t, _ in _events(column[:, None], threshold, smooth, refractory)
    )


def _own_time(posteriors: Tensor, threshold: float, smooth: int, refractory: int) -> Events:
    """The most likely class, with a refractory time of its own."""
    found: Events = []
    for t, word in _events(posteriors, threshold, smooth, 1):
        if all(t >= before + refractory for before, known in found if known == word):
            found.append((t, word))
    return found


def _runs(posteriors: Tensor, threshold: float, smooth: int, refractory: int) -> list[Events]:
    """The events without a refractory time, those of neighbouring frames together."""
    runs: list[Events] = []
    for event in _events(posteriors, threshold, smooth, 1):
        if runs and runs[-1][-1][0] == event[0] - 1:
            runs[-1].append(event)
        else:
            runs.append([event])
    return runs


def _rising(*given: Any) -> Events:
    found: Events = []
    for run in _runs(*given):
        if not found or run[0][0] >= found[-1][0] + given[3]:
            found.append(run[0])
    return found


def _highest(posteriors: Tensor, threshold: float, smooth: int, refractory: int) -> Events:
    rows, found = _smooth(posteriors.tolist(), smooth), []
    for run in _runs(posteriors, threshold, smooth, refractory):
        best = max(run, key=lambda event: max(rows[event[0]]))
        if not found or best[0] >= found[-1][0] + refractory:
            found.append(best)
    return found


def _when(change: Callable[[int, int], tuple]) -> Callable:
    """With other things told of each event."""
    return lambda *given: [change(*event) for event in _events(*given)]


EVENT_MISTAKES: dict[str, Callable] = {
    **with_option(_events, "reached", {
        "reaching the threshold is enough: >=, not >": lambda value, threshold: value > threshold,
        "an event is where the largest one reaches the threshold, not where it is below":
            lambda value, threshold: value < threshold,
    }),
    **with_option(_events, "mean", {
        "the mean of the last `smooth` frames: nothing is smoothed here": lambda rows, n: rows,
        "the mean of the last `smooth` frames: this one is of those to come": _ahead,
        "the mean of the last `smooth` frames: this one lies in the middle, and looks ahead":
            _centred,
        "at the start there are fewer frames: divide by as many as there are": _always,
        "at the start there are fewer frames: their mean counts, too": _waits,
        "the mean of the last frames, not their sum": _sums,
        "the last `smooth` frames, this one among them: one too many is in the mean":
            lambda rows, n: _smooth(rows, n + 1),
        "the last `smooth` frames, this one among them: one is missing in the mean":
            lambda rows, n: _smooth(rows, max(1, n - 1)),
        "the mean runs over the frames, not over the classes":
            lambda rows, n: [list(row) for row in zip(*_smooth(list(zip(*rows)), n))],  # noqa: B905
    }),
    **with_option(_events, "named", {
        "the word comes from the smoothed posteriors, too": lambda row, raw, threshold:
            raw.index(max(raw)),
        "the most likely word, not the first one that reaches the threshold":
            lambda row, raw, threshold: next(i for i, x in enumerate(row) if x >= threshold),
        "the most likely word, not the last one that reaches the threshold":
            lambda row, raw, threshold: max(i for i, x in enumerate(row) if x >= threshold),
    }),
    **with_option(_events, "ready", {
        "behind an event there is a refractory time: each frame gives one here":
            lambda t, last, refractory: True,
        "after an event at frame t, t + refractory may be one again: >=, not >":
            lambda t, last, refractory: t > last + refractory,
        "after an event at frame t, t + refractory is the first that may be one again":
            lambda t, last, refractory: t >= last + refractory - 1,
        "go on behind the first event: there may be more":
            lambda t, last, refractory: last < 0,
    }),
    "the refractory time runs from the event, not from the last frame above the threshold":
        partial(_events, restart=True),
    "the refractory time holds for all words, not for the same word alone": _own_time,
    "one event a frame, of the most likely word: not one for each word": _each_word,
    "a word that stays above the threshold is another event when the time is over": _rising,
    "the first frame that reaches the threshold, not the highest one": _highest,
    **then(_events, {
        "numbers of Python: int(...), not tensors": lambda found:
            [(torch.tensor(t), torch.tensor(word)) for t, word in found],
        "the last event counts, too": lambda found: found[:-1],
    }),
    "frame first, then class": _when(lambda t, word: (word, t)),
    "an event is a frame and a class: both": _when(lambda t, word: t),
    "frames are counted from 0": _when(lambda t, word: (t + 1, word)),
}  # fmt: skip


def _apart(values: list[list[float]], about: float) -> float:
    """A threshold near this one from which the largest value of each frame keeps away."""
    tops = sorted(max(row) for row in values)
    gaps = [(b - a, (a + b) / 2) for a, b in itertools.pairwise(tops)]
    near = [gap for gap in gaps if abs(gap[1] - about) < 0.1]
    # Where the largest values leave the middle empty, the gap around it is wide.
    return (max(near) if near else min(gaps, key=lambda gap: abs(gap[1] - about)))[1]


@check("3.14", EVENT_MISTAKES, draws=False)
def find_events(answer: Callable) -> None:
    """Events of posteriors in plain Python, frame after frame.

    ``answer(posteriors (frame, class), threshold, smooth, refractory) -> [(frame, class), ...]``
    """
    sizes, random = chance(314), generator(314)

    def drawn(frames: int, smooth: int, refractory: int) -> tuple:
        """Bumps of unequal height and length, one of them at the very start; two at one place."""
        x = 0.2 * torch.rand(frames, 4, generator=random)
        for start in (0, 12, 13, *sizes.sample(range(5, frames - 5), 7)):
            end, word = start + sizes.randint(2, 9), sizes.randrange(4)
            x[start:end, word] += sizes.uniform(0.5, 0.75)
        x = x.clamp(max=1)
        return x, _apart(_smooth(x.tolist(), smooth), 0.5), smooth, refractory

    cases = [drawn(70, smooth, sizes.randint(4, 12)) for smooth in (2, 3, 4, 5)]
    cases += [drawn(50, 1, 6), drawn(60, 3, 1)]
    x = torch.zeros(12, 2)
    x[2:11, 1], x[6, 0] = 0.5, 1
    cases += [(x, 0.5, 1, 4), (x, 0.5, 2, 3), (x[:2], 0.5, 3, 2), (x[1:4], 0.25, 2, 9)]
    otherwise = "the mean of the last frames, its largest class at the threshold, then a pause"
    agree(answer, _events, cases, EVENT_MISTAKES, otherwise)
    found = sum(len(_events(*case)) for case in cases)
    passed(f"{found} events in {len(cases)} streams, each at its frame")


# 3.15 - Hits, misses, confusions, false alarms

Said = tuple[float, float, str]
Count = tuple[list[float], list[tuple[str, str]], list[tuple[float, str]]]


def _counted(
    events: Sequence[tuple[float, str]], commands: Sequence[Said], after: float = 0.5,
    inside: Callable = lambda t, start, end, after: start <= t <= end + after,
    latency: Callable = lambda t, start, end: t - end,
    near: Callable = lambda known: known, once: bool = True, first: bool = True,
    takes: bool = False, same: Callable = lambda said, heard: said == heard,
    again: str = "alarm", wrong: tuple = ("confusion",), miss: Any = math.nan,
    free: Callable = lambda k, answered: k not in answered, earliest: int = 0, latest: int = -1,
    gone: bool = False,
) -> Count:
    """The oracle: event after event, each beside all commands; with what may be wrong in it.

    Parameters
    ----------
    near : callable
        Which of the commands at this time, by number, are looked at.
    once, first, takes : bool
        A command is answered once; by the first answer; by a wrong word, too.
    again, wrong : str, tuple of str
        What a second answer, and what another word, are taken for.
    free : callable
        Whether a command waits for its answer.
    earliest, latest : int
        Which of several waiting ones is answered, and which one is confused.
    gone : bool
        Answered commands are not there any more.
    """
    latencies: list[Any] = [miss] * len(commands)
    answered: set[int] = set()
    lists: dict[str, list] = {"confusion": [], "alarm": [], "nothing": []}
    for t, word in events:
        there = near([k for k, (s, e, _) in enumerate(commands) if inside(t, s, e, after)])
        there = [k for k in there if not gone or k not in answered]
        right = [k for k in there if same(commands[k][2], word)]
        open_ = [k for k in right if free(k, answered) or not once]
        if open_:
            k = open_[earliest]
            if first or k not in answered:
                latencies[k] = latency(t, *commands[k][:2])
            answered.add(k)
        elif right or not there:
            lists[again if right else "alarm"].append(
                (commands[right[-1]][2], word) if right and again == "confusion" else (t, word)
            )
        else:
            said = commands[there[latest]][2]
            for kind in wrong:
                lists[kind].append((said, word) if kind == "confusion" else (t, word))
            answered |= {there[-1]} if takes else set()
    return latencies, lists["confusion"], lists["alarm"]


def _given(change: Callable[[Count], Any]) -> Callable:
    return lambda *given: change(_counted(*given))


def _part(place: int, change: Callable) -> Callable:
    """With one of the three results changed."""
    return _given(lambda r: tuple(change(x) if i == place else x for i, x in enumerate(r)))


_MISS = "a miss is nan, at the place of its command"

COUNT_MISTAKES: dict[str, Callable] = {
    **with_option(_counted, "inside", {
        "an answer may come up to `after` seconds behind the end": lambda t, s, e, after:
            s <= t <= e,
        "an answer may come before the word has ended": lambda t, s, e, after: e <= t <= e + after,
        "`after` counts from the end of the command, not from its start": lambda t, s, e, after:
            s <= t <= s + after,
        "an answer does not come before the word begins: no `after` there": lambda t, s, e, after:
            s - after <= t <= e + after,
        "after is an argument: it need not be 0.5": lambda t, s, e, after: s <= t <= e + 0.5,
        "start and end + after belong to it: <=, not <": lambda t, s, e, after: s < t < e + after,
        "the last moment, end + after, belongs to it: <=, not <": lambda t, s, e, after:
            s <= t < e + after,
        "the first moment, start, belongs to it: <=, not <": lambda t, s, e, after:
            s < t <= e + after,
    }),
    **with_option(_counted, "latency", {
        "latency runs from the end of the command, not from its start": lambda t, s, e: t - s,
        "a latency is negative where the answer comes before the end": lambda t, s, e: abs(t - e),
        "a latency is negative where the answer comes before the end: not 0": lambda t, s, e:
            max(0.0, t - e),
        "latency: the event less the end of the command": lambda t, s, e: e - t,
    }),
    "a second answer to the same command is a false alarm: this takes the last one":
        partial(_counted, once=False),
    "a second answer to the same command is a false alarm: it is left out here":
        partial(_counted, again="nothing"),
    "a second answer to the same command is a false alarm, no confusion":
        partial(_counted, again="confusion"),
    "nan equals nothing, not even itself: ask math.isnan which commands wait for an answer":
        partial(_counted, free=lambda k, answered: False),
    "of two such commands that wait, the one that began first is answered first":
        partial(_counted, earliest=-1),
    "a confusion names the command that began last": partial(_counted, latest=0),
    "a confusion and a second answer look at all commands of this time, answered ones, too":
        partial(_counted, gone=True),
    "a wrong word does not use the command up: the right one may follow":
        partial(_counted, takes=True),
    "a hit needs the right word": partial(_counted, same=lambda said, heard: True),
    "a wrong word during a command is a confusion, no false alarm":
        partial(_counted, wrong=("alarm",)),
    "a wrong word during a command is a confusion, and not a false alarm besides":
        partial(_counted, wrong=("confusion", "alarm")),
    "a wrong word during a command is a confusion: it is left out here":
        partial(_counted, wrong=("nothing",)),
    "a late answer may come when the next command has begun: look at all commands of this time":
        partial(_counted, near=lambda known: known[-1:]),
    "while two commands are due, an answer to the later one is one, too":
        partial(_counted, near=lambda known: known[:1]),
    **with_option(_counted, "miss", {
        f"{_MISS}: not 0": 0.0, f"{_MISS}: not None": None, f"{_MISS}: not infinity": math.inf,
    }),
    f"{_MISS}: it was left out": _part(0, lambda x: [value for value in x if value == value]),
    "a confusion is (what was said, what was heard)":
        _part(1, lambda x: [pair[::-1] for pair in x]),
    "a list of the confusions, not their number": _part(1, len),
    "a list of the false alarms, not their number": _part(2, len),
    "a false alarm is (second, word), as the event was":
        _part(2, lambda x: [word for _, word in x]),
    "three results: latencies, confusions, false_alarms": _given(lambda result: result[:2]),
    "the order of the results: latencies, confusions, false_alarms":
        _given(lambda result: (result[0], result[2], result[1])),
}  # fmt: skip

#: A scene by hand: what is said, what is heard, and what it comes to.
_SAID = [
    (1.0, 1.5, "yes"), (3.0, 3.25, "no"), (6.0, 6.5, "up"), (9.0, 9.5, "yes"), (10.0, 10.5, "no"),
]  # fmt: skip
_HEARD = [
    (1.25, "yes"), (1.75, "yes"), (3.75, "no"), (5.0, "up"), (6.25, "off"), (6.5, "up"),
    (9.75, "no"), (10.0, "yes"), (12.0, "stop"),
]  # fmt: skip
_BY_HAND = (
    [-0.25, 0.5, 0.0, 0.5, math.nan],
    [("up", "off"), ("yes", "no")],
    [(1.75, "yes"), (5.0, "up"), (12.0, "stop")],
)


def _as_lists(answer: Callable) -> Callable:
    """An answer whose arrays and tensors are lists."""

    @functools.wraps(answer)
    def listed(*given: Any) -> Any:
        result = answer(*given)
        if not isinstance(result, tuple | list):
            return result
        return tuple(x.tolist() if isinstance(x, Tensor | np.ndarray) else x for x in result)

    return listed


@check("3.15", COUNT_MISTAKES, draws=False, hints={"not enough values|too many values": (
    "an event is (second, word), a command (start, end, word)"
)})  # fmt: skip
def count_events(answer: Callable) -> None:
    """A scene counted by hand, and scenes of some minutes, event by event.

    ``answer(events [(second, word)], commands [(start, end, word)], after=0.5)
    -> (latencies, confusions, false_alarms)``
    """
    draw = chance(315)

    def drawn(count: int) -> tuple:
        words, said, heard, at = ("yes", "no", "up"), [], [], 0.5
        for _ in range(count):
            end, word = at + draw.uniform(0.3, 0.7), draw.choice(words)
            said.append((at, end, word))
            for chances, where in ((0.8, end + 0.4), (0.3, end + 1.2), (0.2, end + 0.4)):
                if draw.random() < chances:
                    other = draw.choice(words)
                    named = word if draw.random() < 0.7 else other
                    heard.append((draw.uniform(at - 0.3, where), named))
            at = end + draw.choice((0.15, 0.3, 1.5))
        return sorted(heard), said, draw.uniform(0.3, 0.9)

    cases = [(_HEARD, _SAID), *(drawn(12) for _ in range(5))]  # first the one that one can follow
    cases += [([], _SAID[:2]), (_HEARD[:3], []), ([], []), ([(1.0, "yes")], _SAID)]
    cases += [(_HEARD, _SAID, 0.3), (_HEARD, _SAID, 0.8)]
    # At 1.9 s two commands are due: one that may be answered late, and one that has begun.
    first, words = (1.0, 1.5, "yes"), ("no", "yes")
    heard = [[(1.9, "up")], [(1.9, "yes")], [(1.2, "yes"), (1.9, "yes")]]
    cases += [(events, [first, (1.8, 2.3, word)]) for events in heard for word in words]
    mine = _as_lists(answer)
    otherwise = "hit: right word, in its time, not answered yet; confusion: no such word is due"
    agree(mine, _counted, cases, COUNT_MISTAKES, otherwise)
    agree(mine, lambda *given: _BY_HAND, [(_HEARD, _SAID)], {}, otherwise)
    hits = sum(not math.isnan(x) for case in cases for x in _counted(*case)[0])
    passed(f"{hits} hits and all else in {len(cases)} scenes, one of them counted by hand")
