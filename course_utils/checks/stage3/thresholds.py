"""Checks of what thresholds do: false alarms and misses at each, and where they are equal."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_curve
from torch import Tensor

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, generator, passed
from course_utils.checks.stage3.features import then, with_option

# 3.16 - All thresholds at once

Curve = tuple[Tensor, Tensor, Tensor]


def _curve(scores: Tensor, is_command: Tensor) -> Curve:
    """The oracle: scikit-learn's, from the lowest threshold to the highest."""
    fpr, tpr, thresholds = roc_curve(is_command.int(), scores.double(), drop_intermediate=False)
    found = (fpr, 1 - tpr, thresholds)
    return tuple(torch.from_numpy(values[::-1].copy()).double() for values in found)


def _rates(
    scores: Tensor, is_command: Tensor,
    at: Callable = lambda scores: torch.cat([scores.unique(), torch.tensor([math.inf])]),
    named: Callable = torch.ge,
    false: Callable = lambda named, command: (named & ~command).sum(1) / (~command).sum(),
    missed: Callable = lambda named, command: (~named & command).sum(1) / command.sum(),
) -> Curve:
    """A right answer, of which each mistake replaces a part."""
    thresholds = at(scores)
    rows = named(scores, thresholds[:, None])  # (threshold, clip)
    fpr, fnr = (rate(rows, is_command).double() for rate in (false, missed))
    return fpr, fnr, thresholds.double()


DET_MISTAKES: dict[str, Callable] = {
    **with_option(_rates, "named", {
        "a score that reaches the threshold is named: >=, not >": torch.gt,
        "a command is named where its score is high, not low": torch.le,
    }),
    **with_option(_rates, "at", {
        "behind the highest score comes infinity: a threshold that nothing reaches":
            lambda scores: scores.unique(),
        "each score once: .unique()":
            lambda scores: torch.cat([scores.sort().values, torch.tensor([math.inf])]),
        "thresholds rise, from the lowest score to infinity":
            lambda scores: torch.cat([scores.unique(), torch.tensor([math.inf])]).flip(0),
        "the lowest score names everything already: no threshold below it": lambda scores:
            torch.cat([torch.tensor([-math.inf]), scores.unique(), torch.tensor([math.inf])]),
        "the thresholds are the scores themselves, not evenly spaced numbers":
            lambda scores: torch.linspace(0, 1, 101),
    }),
    **with_option(_rates, "false", {
        "false alarms are a share of what is no command, not of all clips":
            lambda named, command: (named & ~command).sum(1) / len(command),
        "false alarms are a share of what is no command, not of all that is named":
            lambda named, command: (named & ~command).sum(1) / named.sum(1).clamp(min=1),
        "false alarms are a share: divide by the number of clips that are no command":
            lambda named, command: (named & ~command).sum(1),
        "fpr is what is named and no command, not what is rightly left alone":
            lambda named, command: (~named & ~command).sum(1) / (~command).sum(),
    }),
    **with_option(_rates, "missed", {
        "misses are a share of the commands, not of all clips":
            lambda named, command: (~named & command).sum(1) / len(command),
        "misses are a share of the commands, not of all that is left alone":
            lambda named, command: (~named & command).sum(1) / (~named).sum(1).clamp(min=1),
        "misses are a share: divide by the number of commands":
            lambda named, command: (~named & command).sum(1),
        "fnr is what is missed, not what is named": lambda named, command:
            (named & command).sum(1) / command.sum(),
    }),
    **then(_rates, {
        "the order of the results: fpr, fnr, thresholds": lambda r: (r[1], r[0], r[2]),
        "the order of the results: fpr, fnr, and thresholds last": lambda r: (r[2], r[0], r[1]),
        "three results: fpr, fnr, thresholds": lambda r: r[:2],
        "shares between 0 and 1, not percent": lambda r: (100 * r[0], 100 * r[1], r[2]),
    }),
}  # fmt: skip


def _crossing(fpr: Tensor, fnr: Tensor) -> float:
    """The oracle: halve a stretch of the curve until the two rates meet."""
    low, high, places = 0.0, len(fpr) - 1.0, np.arange(len(fpr))
    for _ in range(40):
        middle = (low + high) / 2
        x, y = (float(np.interp(middle, places, rate.double())) for rate in (fpr, fnr))
        low, high = (middle, high) if x > y else (low, middle)
    return (x + y) / 2


def _best(rate: Callable, quality: Callable) -> Callable:
    """A rate at the point of the curve whose `quality` is smallest."""
    return lambda fpr, fnr: float(rate(fpr, fnr)[quality(fpr, fnr).argmin()])


def _off(fpr: Tensor, fnr: Tensor) -> Tensor:
    return (fpr - fnr).abs()


_LINE = "between two points of the curve runs a straight line: they meet on it, rarely on a point"

EER_MISTAKES: dict[str, Callable] = {
    _LINE: _best(lambda fpr, fnr: (fpr + fnr) / 2, _off),
    f"{_LINE} (nor at its fpr)": _best(lambda fpr, fnr: fpr, _off),
    f"{_LINE} (nor at its fnr)": _best(lambda fpr, fnr: fnr, _off),
    f"{_LINE} (nor at the first with fnr >= fpr)": lambda fpr, fnr: float(fnr[fnr >= fpr][0]),
    f"{_LINE} (nor at the last with fpr >= fnr)": lambda fpr, fnr: float(fpr[fpr >= fnr][-1]),
    "where both are equal, not where their sum is smallest":
        _best(lambda fpr, fnr: (fpr + fnr) / 2, torch.add),
    "where both are equal, not the smallest of all": lambda fpr, fnr: float(fpr.min()),
    "the rate at which they meet, not its place": lambda fpr, fnr: int(_off(fpr, fnr).argmin()),
    "the rate of errors, not of right answers": lambda fpr, fnr: 1 - _crossing(fpr, fnr),
    "the two are equal there: not their sum": lambda fpr, fnr: 2 * _crossing(fpr, fnr),
    "a share between 0 and 1, not percent": lambda fpr, fnr: 100 * _crossing(fpr, fnr),
    "one number": lambda fpr, fnr: (_crossing(fpr, fnr),) * 2,
}


def _as_tensors(answer: Callable) -> Callable:
    """An answer to det_curve whose results are float64, however they came."""

    @functools.wraps(answer)
    def tensors(*given: Tensor) -> Any:
        result = answer(*given)
        if not isinstance(result, tuple | list):
            return result
        return tuple(torch.as_tensor(x).double() for x in result)

    return tensors


def _as_number(answer: Callable) -> Callable:
    """An answer to equal_error_rate that may return a tensor of one number."""

    @functools.wraps(answer)
    def number(*given: Tensor) -> Any:
        result = answer(*given)
        single = isinstance(result, Tensor | np.ndarray) and result.ndim == 0
        return float(result) if single else result

    return number


@check("3.16", [DET_MISTAKES, EER_MISTAKES], [_rates, _crossing], draws=False)
def det(curve: Callable, rate: Callable) -> None:
    """Every point of scikit-learn's curve, and where it meets the diagonal.

    ``curve(scores (clip,), is_command (clip,)) -> (fpr, fnr, thresholds)``
    ``rate(fpr, fnr) -> float``
    """
    sizes, random = chance(316), generator(316)

    def drawn(count: int, apart: float, round_to: int = 0) -> tuple[Tensor, Tensor]:
        command = torch.arange(count) % 3 == 0
        scores = (torch.randn(count, generator=random) + apart * command).sigmoid()
        if round_to:  # so that clips share a score
            scores = (scores * round_to).round() / round_to
        order = torch.randperm(count, generator=random)
        return scores[order], command[order]

    cases = [drawn(sizes.randint(20, 60), sizes.uniform(0.5, 2)) for _ in range(3)]
    cases += [drawn(sizes.randint(40, 80), 1.0, 16), drawn(12, 9.0), drawn(12, -9.0)]
    cases.append((torch.tensor([0.2, 0.6, 0.4, 0.9]), torch.tensor([False, False, True, True])))
    otherwise = "for each score as a threshold: what share of others reaches it, of commands not"
    agree(_as_tensors(curve), _curve, cases, DET_MISTAKES, otherwise, name="a rate")
    curves = [_curve(*case)[:2] for case in cases]
    curves.append((torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 0.2, 1.0])))
    curves.append((torch.tensor([1.0, 0.7, 0.35, 0.0]), torch.tensor([0.0, 0.4, 0.5, 1.0])))
    curves.append((torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])))
    otherwise = "where fpr - fnr changes its sign, a straight line between the two points"
    agree(_as_number(rate), _crossing, curves, EER_MISTAKES, otherwise, name="a rate")
    passed(f"all points of {len(cases)} curves as scikit-learn has them, and where they cross")
