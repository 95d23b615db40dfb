"""The test before each training: can a network learn one batch by heart?"""

from collections.abc import Sequence
from typing import Any


def check_by_heart(losses: Sequence[float], below: float, corpus: Any) -> None:
    """Raise if one batch was not learnt by heart, where it must be: on the embedded corpus.

    Elsewhere two clips can be alike and have different words, and a line says so instead.

    Parameters
    ----------
    losses : list of float
        Of the same clips, at each step.
    below : float
        What one of the last twenty losses has to be below.
    corpus : SpeechCommands
        Where the clips are from.

    Raises
    ------
    AssertionError
        The network has a bug.
    """
    last = min(losses[-20:])
    if last < below:
        return
    if corpus.name == "embedded":
        raise AssertionError(
            f"expected a loss below {below:.2g} after {len(losses)} steps on the same clips, got "
            f"{last:.2g}: the model cannot learn one batch by heart, so look for a bug"
        )
    print(
        f"The loss of these clips ends at {last:.2f}, not near zero. That need not be a bug: clips "
        "of this corpus may be silent, cut off, or alike with different words. Listen to some. The "
        "embedded corpus has none of these: try there, if you are in doubt."
    )
