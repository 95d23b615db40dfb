"""The check of an interval over speakers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from course_utils.checks.agree import agree
from course_utils.checks.core import call, check, fail, numpy_generator, passed

# 1.11 - An interval over speakers

_ENDS = (0.025, 0.975)
_TOLERANCE = 0.02  # four standard errors of a quantile of 3,000 draws; each mistake is farther off


def _counts(right: np.ndarray, speakers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right answers and clips of each speaker."""
    names = np.unique(speakers)
    return (
        np.array([right[speakers == name].sum() for name in names]),
        np.array([(speakers == name).sum() for name in names]),
    )


def _truth(right: np.ndarray, speakers: np.ndarray, seed: int, draws: int) -> tuple[float, float]:
    """The oracle: how often each speaker was drawn, from the multinomial distribution."""
    correct, clips = _counts(right, speakers)
    count = len(clips)
    times = np.random.default_rng(99).multinomial(count, [1 / count] * count, size=20_000)
    low, high = np.quantile((times @ correct) / (times @ clips), _ENDS)
    return float(low), float(high)


def _interval(
    right: np.ndarray, speakers: np.ndarray, seed: int | None, draws: int,
    ends: tuple[float, float] = _ENDS, number: Callable = lambda count: count,
    replace: bool = True, weighed: bool = True,
) -> tuple[float, float]:
    """An answer, with what may be wrong in it."""
    random = np.random.default_rng(seed)
    correct, clips = _counts(right, speakers)
    size = number(len(clips))
    chosen = np.array(
        [random.choice(len(clips), size, replace=replace) for _ in range(draws)]
    )  # (draw, speaker)
    if weighed:
        rates = correct[chosen].sum(axis=1) / clips[chosen].sum(axis=1)
    else:
        rates = (correct / clips)[chosen].mean(axis=1)
    low, high = np.quantile(rates, ends)
    return float(low), float(high)


def _of_clips(right: np.ndarray, *rest: int) -> tuple[float, float]:
    return _interval(right, np.arange(len(right)), *rest)


_SEED = "draw from a generator of your own that starts from the seed: np.random.default_rng(seed)"
_MISTAKES: dict[str, Callable] = {
    "draw speakers and take all of their clips: clips of one voice are no independent trials":
        lambda right, speakers, *rest: _of_clips(right, *rest),
    "draw with replacement: one speaker twice, another not at all": lambda r, s, *rest: _interval(
        r, s, *rest, replace=False
    ),
    "all right answers of a draw by all of its clips: who has more clips counts for more":
        lambda *given: _interval(*given, weighed=False),
    "95 % in the middle leave 2.5 % on each side: the quantiles 0.025 and 0.975":
        lambda *given: _interval(*given, ends=(0.05, 0.95)),
    "quantiles of the draws: the smallest and the largest get farther with each draw":
        lambda *given: _interval(*given, ends=(0.0, 1.0)),
    "the lower end comes first": lambda *given: _interval(*given)[::-1],
    "as many speakers in a draw as there are, not one; one each makes the speakers' own rates":
        lambda *given: _interval(*given, number=lambda count: 1),
    "as many speakers in a draw as there are, not half of them":
        lambda *given: _interval(*given, number=lambda count: count // 2),
    "a share from 0 to 1, not per cent":
        lambda *given: tuple(100 * end for end in _interval(*given)),
    "two numbers, the ends; not the width":
        lambda *given: float(np.diff(_interval(*given))[0]),
    "the share of right answers, not of wrong ones": lambda right, *rest: _interval(~right, *rest),
    _SEED: lambda r, s, seed, draws: _interval(r, s, None, draws),
    "the seed is not used: another seed draws other speakers":
        lambda r, s, seed, draws: _interval(r, s, 0, draws),
}


@check("1.11", _MISTAKES, draws=False)
def interval_over_speakers(answer: Callable) -> None:
    """The middle 95 % of accuracies when speakers are drawn again and again, with replacement.

    ``answer(right (clip,) bool, speakers (clip,), seed, draws) -> (low, high)``
    """
    random = numpy_generator(11)
    cases = []
    for count in (12, 16):
        weak = np.arange(count) < count // 2  # some are understood, some are not, and these talk
        skill = np.where(weak, 0.15, 0.95)
        clips = np.where(weak, random.integers(15, 19, count), random.integers(6, 9, count))
        names = np.array([f"{name:07x}" for name in random.integers(16**6, 16**7, count)])
        order = random.permutation(clips.sum())
        right = (random.random(clips.sum()) < np.repeat(skill, clips))[order]
        cases.append((right, np.repeat(names, clips)[order], count, 3_000))
    otherwise = (
        "draw as many speakers as there are, with replacement; share of right answers among all "
        "their clips; again, `draws` times; then two quantiles"
    )
    agree(answer, _truth, cases, _MISTAKES, otherwise, _TOLERANCE)
    right, speakers, _, _ = cases[0]
    first, again, *others = (call(answer, right, speakers, seed, 50) for seed in (1, 1, 2, 3, 4))
    if tuple(first) != tuple(again):
        fail("the same interval for the same seed", "another", _SEED)
    if all(tuple(other) == tuple(first) for other in others):
        cause = "the seed is not used: another seed draws other speakers"
        fail("another interval for another seed", "the same for four seeds", cause)
    passed("the intervals of 12 and of 16 speakers, to the width that chance leaves")
