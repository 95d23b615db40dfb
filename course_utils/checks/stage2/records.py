"""What an answer does to what it is given, entry by entry, beside what it should do."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable

from torch import Tensor

from course_utils.checks.agree import differ, same
from course_utils.checks.core import fail

Recorded = Callable[[], Iterable[dict]]


def as_recorded(
    got: list[dict], right: Recorded, mistakes: dict[str, Recorded], otherwise: dict[str, str]
) -> None:
    """Fail at the first entry of a record that is another one than the right one.

    The likely cause is that of the first mistake with just the same records; else the one that
    `otherwise` has for this entry.
    """
    for mine, expected in zip(got, right(), strict=True):
        for name, value in expected.items():
            if not same(mine[name], value):
                found = (cause for cause, made in mistakes.items() if _leads_to(got, made))
                cause = next(found, otherwise[name])
                if isinstance(value, Tensor) and isinstance(mine[name], Tensor):
                    differ(mine[name], value, cause, 1e-5, name)
                fail(f"{name}: {value}", textwrap.shorten(f"{mine[name]}", 150), cause)


def _leads_to(got: list[dict], made: Recorded) -> bool:
    try:
        return all(same(a, b) for a, b in zip(made(), got, strict=True))
    except Exception:  # a mistake that ends in an error: the answer did not
        return False
