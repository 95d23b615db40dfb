"""How sharp an error rate is: whose errors they are, and how much it moves with the speakers."""

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
