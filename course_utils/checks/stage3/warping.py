"""The check of dynamic time warping."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, generator, passed

# 3.17 - Dynamic time warping

_STEPS = ((1, 0), (0, 1), (1, 1))


def _brute_force(cost: Tensor) -> Tensor:
    """The oracle: every path from the first cell to the last, one after the other."""

    def totals(table: list, i: int, j: int) -> list[float]:
        if (i, j) == (len(table) - 1, len(table[0]) - 1):
            return [table[i][j]]
        return [
            table[i][j] + rest
            for down, right in _STEPS
            if i + down < len(table) and j + right < len(table[0])
            for rest in totals(table, i + down, j + right)
        ]

    found = [min(totals(table, 0, 0)) for table in cost.tolist()]
    return torch.tensor(found, dtype=cost.dtype)


def _warped(
    cost: Tensor, steps: tuple = _STEPS, weights: tuple = (1, 1, 1), first: float = 1.0,
    free_start: bool = False, best: Callable = min, edges: bool = True,
) -> Tensor:
    """Table of the cheapest sums, with what may be wrong in it: (batch, rows, columns)."""
    _, rows, columns = cost.shape
    total = torch.full_like(cost, torch.inf if best is min else -torch.inf)
    for i, j in itertools.product(range(rows), range(columns)):
        if (i, j) == (0, 0) or (free_start and 0 in (i, j)):
            total[:, i, j] = first * cost[:, i, j]
            continue
        if not edges and (i == 0 or j == 0):
            continue
        ways = [
            total[:, i - down, j - right] + weight * cost[:, i, j]
            for (down, right), weight in zip(steps, weights, strict=True)
            if i >= down and j >= right
        ]
        if ways:
            joined = torch.stack(ways)
            total[:, i, j] = joined.amin(dim=0) if best is min else joined.amax(dim=0)
    return total


def _greedy(cost: Tensor) -> Tensor:
    """The cheapest next cell each time."""
    found = []
    for table in cost.tolist():
        i = j = 0
        total = table[0][0]
        while (i, j) != (len(table) - 1, len(table[0]) - 1):
            i, j = min(
                (
                    (i + down, j + right)
                    for down, right in _STEPS
                    if i + down < len(table) and j + right < len(table[0])
                ),
                key=lambda cell: table[cell[0]][cell[1]],
            )
            total += table[i][j]
        found.append(total)
    return torch.tensor(found, dtype=cost.dtype)


def _last(table: Tensor) -> Tensor:
    return table[:, -1, -1]


_MISTAKES: dict[str, Callable] = {
    "three steps lead into a cell: from above, from the left, and from both at once":
        lambda cost: _last(_warped(cost, _STEPS[:2], (1, 1))),
    "a frame may last longer: steps from above and from the left, not only from both at once":
        lambda cost: _last(_warped(cost, _STEPS[2:], (1,))),
    "the cheapest next cell leads astray: keep the cheapest sum for every cell": _greedy,
    "the first cell counts, too": lambda cost: _last(_warped(cost, first=0.0)),
    "the path begins at the first frames of both: what lies outside is infinite, not 0":
        lambda cost: _last(_warped(cost, free_start=True)),
    "the path ends at the last frames of both": lambda cost: _warped(cost)[:, -1].amin(dim=1),
    "the smallest of the three, not the largest":
        lambda cost: _last(_warped(cost, best=max)),
    "a step from both at once costs its cell once": lambda cost: _last(
        _warped(cost, weights=(1, 1, 2))
    ),
    "along the edges there is one way: the first row and column are sums": lambda cost: _last(
        _warped(cost, edges=False)
    ),
    "the sum along the path, not its mean":
        lambda cost: _last(_warped(cost)) / (cost.shape[1] + cost.shape[2]),
    "the sum of the costs as they are: no root and no square": lambda cost: _last(
        _warped(cost**2)
    ).sqrt(),
    "one number for each pair: the last cell of its table": _warped,
    "one number for each pair of the batch": lambda cost: _last(_warped(cost))[0],
    "a sum over the diagonal is the distance without warping":
        lambda cost: cost.diagonal(dim1=1, dim2=2).sum(dim=1),
    "keep the dtype of the costs": lambda cost: _last(_warped(cost)).float(),
}


@check("3.17", _MISTAKES, draws=False)
def warp(answer: Callable) -> None:
    """The cheapest path from the first cell to the last, against all paths.

    ``answer(cost (batch, rows, columns)) -> (batch,)``
    """
    sizes = chance(17)
    shapes = [(3, 4, 5), (2, 5, 3), (4, 1, 4), (1, 4, 1), (2, 1, 1), (1, 5, 5)]
    shapes += [(sizes.randint(1, 3), sizes.randint(2, 5), sizes.randint(2, 6)) for _ in range(3)]
    cases = []
    for number, shape in enumerate(shapes):
        cost = torch.rand(shape, generator=generator(number)) ** 3 * 5
        # Equal frames cost nothing, and a valley away from the diagonal draws the path there.
        cost[torch.rand(shape, generator=generator(50 + number)) < 0.2] = 0
        cases.append((cost.double() if number % 3 == 1 else cost,))
    valley = torch.full((1, 5, 5), 3.0)
    valley[0, 0, :3] = valley[0, :, 4] = 0.5
    cases.append((valley,))
    otherwise = (
        "sum of a cell = its cost + the smallest of the sums above, to the left, and above to the "
        "left; then the last cell"
    )
    agree(answer, _brute_force, cases, _MISTAKES, otherwise)
    passed(f"as cheap as the best of all paths, in {len(cases)} batches of tables")
