"""How sharp a rate is: whose errors they are, how it moves with speakers and by chance, what is
better."""

import math
from collections.abc import Iterable, Mapping

import numpy as np


def by_speaker(
    speakers: Iterable[str], errors: Iterable[int], lengths: Iterable[int]
) -> dict[str, tuple[int, int]]:
    """Errors and letters of each speaker, from those of each sentence.

    Examples
    --------
    >>> by_speaker(["a", "b", "a"], [1, 0, 2], [10, 5, 10])
    {'a': (3, 20), 'b': (0, 5)}
    """
    found: dict[str, tuple[int, int]] = {}
    for speaker, wrong, length in zip(speakers, errors, lengths, strict=True):
        before = found.get(str(speaker), (0, 0))
        found[str(speaker)] = before[0] + wrong, before[1] + length
    return found


def bootstrap(
    speakers: Mapping[str, tuple[int, int]], draws: int = 1_000, seed: int = 0
) -> tuple[float, float]:
    """Between which rates 95 % of the draws of as many speakers lie, with replacement.

    Parameters
    ----------
    speakers : dict of str to (errors, letters)
    draws : int
    seed : int

    Examples
    --------
    >>> bootstrap({"a": (1, 10), "b": (2, 20)})
    (0.1, 0.1)
    """
    counts = np.array(list(speakers.values()))
    rows = np.random.default_rng(seed).integers(len(counts), size=(draws, len(counts)))
    drawn = counts[rows].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return float(low), float(high)


def better(
    speakers: Iterable[str], first: Iterable[float], second: Iterable[float],
    draws: int = 10_000, seed: int = 0,
) -> float:
    """How often chance alone would put the first so far above the second, on the same clips.

    A permutation test over speakers: were the two equally good, then each speaker's difference
    could as well have the other sign. All clips of a speaker change sides together, for they are
    no independent trials.

    Parameters
    ----------
    speakers : iterable of str (clip,)
    first, second : iterable of bool or float (clip,)
        Whether each clip is right; more is better.
    draws : int
        Of signs; where there are fewer ways than that, all of them are tried.
    seed : int

    Returns
    -------
    float
        p, one-sided: below 0.05, the first is better by more than chance explains.

    Examples
    --------
    >>> better(["a", "b", "c"], [1, 1, 1], [0, 0, 0])  # one of eight ways
    0.125
    """
    gaps: dict[str, float] = {}
    for speaker, one, other in zip(speakers, first, second, strict=True):
        gaps[str(speaker)] = gaps.get(str(speaker), 0.0) + float(one) - float(other)
    gap = np.array([value for value in gaps.values() if value])  # a tie says nothing
    if 2 ** len(gap) <= draws:
        ways = np.arange(2 ** len(gap))[:, None] >> np.arange(len(gap)) & 1
        extra = 0
    else:
        ways = np.random.default_rng(seed).integers(2, size=(draws, len(gap)))
        extra = 1  # the way that was seen, so that p is never 0
    sums = (2 * ways - 1) @ gap
    return float((np.sum(sums >= gap.sum() - 1e-9) + extra) / (len(ways) + extra))


def share_of_worst(speakers: Mapping[str, tuple[int, int]], count: int) -> float:
    """How much of all errors so many speakers make, those with the highest rates.

    Examples
    --------
    >>> share_of_worst({"a": (9, 10), "b": (1, 20), "c": (0, 20)}, 1)
    0.9
    """
    ranked = sorted(speakers.values(), key=lambda counts: counts[0] / counts[1], reverse=True)
    total = sum(errors for errors, _ in ranked)
    return sum(errors for errors, _ in ranked[:count]) / total if total else 0.0


def poisson(events: int, hours: float) -> tuple[float, float]:
    """Between which rates an hour the true one lies, of things that come by chance.

    The exact 95 % interval of a Poisson distribution: a lower rate gives as many events or more
    once in forty times, a higher one as few or fewer. None leave no lower end, and all doubt to
    the upper one: once in twenty times.

    Parameters
    ----------
    events : int
        How many came.
    hours : float
        In which time.

    Examples
    --------
    >>> [round(rate, 2) for rate in poisson(0, 1 / 6)], [round(rate, 2) for rate in poisson(10, 1)]
    ([0.0, 17.97], [4.8, 18.39])
    """
    if not events:
        return 0.0, -math.log(0.05) / hours

    def mean(most: int, chance: float) -> float:
        """The mean at which at most so many come with this chance."""
        low, high = 0.0, 2.0 * most + 20
        for _ in range(60):
            middle = (low + high) / 2
            logs = (k * math.log(middle) - middle - math.lgamma(k + 1) for k in range(most + 1))
            low, high = (middle, high) if sum(map(math.exp, logs)) > chance else (low, middle)
        return low

    return mean(events - 1, 0.975) / hours, mean(events, 0.025) / hours
