"""Plots of paths: symbols frame by frame, the places of a text, and a beam that grows."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from course_utils.plotting.base import COLOURS, new_axes, note
from course_utils.plotting.frames import picture

#: How the blank is written in pictures of paths.
BLANK = "-"


def paths(symbols: Sequence[str], said: str, ax: Axes | None = None) -> Axes:
    """Draw paths below each other as rows of boxes, one symbol a frame; blanks are white.

    Parameters
    ----------
    symbols : sequence of str
        Each path, one character a frame, ``-`` for the blank.
    said : str
        What they all say.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If there is no path, or they are not of one length.
    """
    if len({len(path) for path in symbols}) != 1:
        raise ValueError(f"expected paths of one length, got {list(symbols)}")
    frames = len(symbols[0])
    ax = new_axes(frames, 0.6 + 0.4 * len(symbols)) if ax is None else ax
    for row, path in enumerate(symbols):
        for frame, symbol in enumerate(path):
            colour = "#FFFFFF" if symbol == BLANK else "#F0C060"
            box = {"boxstyle": "round", "facecolor": colour, "edgecolor": "0.5"}
            ax.text(frame, row, symbol, ha="center", va="center", family="monospace", bbox=box)
    ax.set(xlim=(-0.6, frames - 0.4), ylim=(len(symbols) - 0.4, -0.6), xlabel="Frame", yticks=[])
    ax.grid(False)
    spelled = ", ".join(" ".join(path) for path in symbols)
    note(ax, f"{len(symbols)} paths of {frames} frames that all say {said}: {spelled}.")
    return ax


def places(path: Sequence[str]) -> list[int]:
    """Where a path stands in each frame: 0 the first blank, 1 the first letter, and so on.

    >>> places("-ou--ii")
    [0, 1, 3, 4, 4, 5, 5]
    """
    place, before, found = 0, BLANK, []
    for symbol in path:
        if symbol == BLANK:
            place += place % 2  # on to the blank behind the letter, or stay in the blank
        elif symbol != before:
            place += 1 if before == BLANK else 2
        before = symbol
        found.append(place)
    return found


def _names(text: str) -> str:
    """A text with blanks around and between its letters: what its places are called."""
    return BLANK + "".join(f"{letter}{BLANK}" for letter in text)


def trellis(
    all_paths: Sequence[Sequence[str]], text: str, one: str, ax: Axes | None = None
) -> Axes:
    """Draw every path through the places of a text, and one of them in another colour.

    Parameters
    ----------
    all_paths : sequence of paths
        Those that say the text, one symbol a frame.
    text : str
    one : str
        The path that is coloured, and written under the axis.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the coloured path is not among the others.
    """
    spelled = ["".join(path) for path in all_paths]
    if one not in spelled:
        raise ValueError(f"{one!r} is not one of the {len(spelled):,} paths that say {text!r}")
    ax = new_axes(4.5, 3.4) if ax is None else ax
    for path in spelled:
        ax.plot(places(path), "o-", color="0.65", markersize=5, linewidth=0.8)
    ax.plot(places(one), "s-", color=COLOURS[1], markersize=7, linewidth=2.5)
    names = _names(text)
    ax.set(yticks=range(len(names)), yticklabels=names, ylabel="Place", xlabel="Frame")
    ax.set_xticks(range(len(one)), [f"{frame}\n{symbol}" for frame, symbol in enumerate(one)])
    ax.set_title(f"All {len(spelled)} paths that say {text!r}")
    ax.invert_yaxis()
    skips = any(np.diff(places(path)).max() == 2 for path in spelled)
    note(
        ax,
        f"{len(spelled)} paths of {len(one)} frames through the {len(names)} places of {text}; "
        f"{'some skip a blank' if skips else 'none skips a blank'}"
        f"{_never_skipped(text)}. In colour: {' '.join(one)}.",
    )
    return ax


def _never_skipped(text: str) -> str:
    """Which blanks no path skips: those between two equal letters.

    >>> _never_skipped("allo"), _never_skipped("oui")
    (', but never that between l and l', '')
    """
    pairs = [f"{a} and {b}" for a, b in itertools.pairwise(text) if a == b]
    return f", but never that between {', '.join(pairs)}" if pairs else ""


def forward_values(
    loss: Callable[[Tensor, list[int]], Tensor], log_probs: Tensor, target: Sequence[int]
) -> NDArray:
    """The table of the forward algorithm, found by asking a loss for shorter and shorter clips.

    Entry (place, frame) is the probability of all paths up to that frame that end in that place:
    that of the text so far, where the last frame may say the symbol of the place and no other.

    Parameters
    ----------
    loss : callable
        ``loss(log_probs, target)``, minus the log probability of a target.
    log_probs : tensor (frame, symbol)
        Symbol 0 is the blank.
    target : sequence of int

    Returns
    -------
    array (place, frame)
    """
    target = list(target)
    values = np.zeros((2 * len(target) + 1, len(log_probs)))
    for place, frame in np.ndindex(values.shape):
        cut = log_probs[: frame + 1].clone()
        symbol = target[place // 2] if place % 2 else 0
        others = [other for other in range(cut.shape[1]) if other != symbol]
        cut[-1, others] = -1e30
        values[place, frame] = math.exp(-float(loss(cut, target[: (place + 1) // 2])))
    return values


def forward_table(values: ArrayLike, text: str, ax: Axes | None = None) -> Axes:
    """Draw the table of the forward algorithm: a row for each place, a column for each frame.

    Parameters
    ----------
    values : array (place, frame)
        The probability of all paths up to a frame that end in a place.
    text : str
        Whose places these are.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the table has not a row for each place of the text.
    """
    values, names = picture(values, "(place, frame)"), _names(text)
    if len(values) != len(names):
        raise ValueError(f"{text!r} has {len(names)} places, but the table has {len(values)} rows")
    ax = new_axes(1.5 + 0.75 * values.shape[1], 0.9 + 0.34 * len(names)) if ax is None else ax
    ax.grid(False)
    largest = values.max(axis=0, keepdims=True)
    shade = values / np.where(largest > 0, largest, 1)  # each frame for itself: they all shrink
    ax.imshow(shade, cmap="Blues", vmin=0, vmax=1.25, aspect="auto")
    for (place, frame), value in np.ndenumerate(values):
        ax.text(
            frame, place, f"{value:.3f}" if value else "0", ha="center", va="center", fontsize=8,
            color="white" if shade[place, frame] > 0.7 else "0.2",
        )
    ax.set(yticks=range(len(names)), yticklabels=names, xticks=range(values.shape[1]))
    ax.set(xlabel="Frame", ylabel="Place")
    best = ", ".join(f"{names[row]} (place {row})" for row in values.argmax(axis=0))
    note(
        ax,
        f"The forward table of {text}: {len(names)} places by {values.shape[1]} frames. Largest in "
        f"each frame: {best}. The last two places at the last frame hold {values[-2, -1]:.3f} and "
        f"{values[-1, -1]:.3f}.",
    )
    return ax


def prefix_tree(
    steps: Sequence[Sequence[tuple]], symbols: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Draw the texts in the beam after each frame, and which came from which.

    A line leads from a text to itself one frame later, and to the same text with a letter more.
    What has no line onwards fell out of the beam.

    Parameters
    ----------
    steps : sequence of lists of (text, log probability)
        The beam before the first frame, after it, and so on; a text is a tuple of tokens.
    symbols : sequence of str
        The name of each token.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(1.0 + 2.2 * len(steps), 0.8 + 0.5 * max(map(len, steps))) if ax is None else ax
    lines = []
    for frame, beam in enumerate(steps):
        before = [tuple(text) for text, _ in steps[frame - 1]] if frame else []
        for row, (text, score) in enumerate(beam):
            text = tuple(text)
            for other in dict.fromkeys((text, text[:-1])):
                if other in before:
                    ends = [before.index(other), row]
                    colour = "0.6" if other == text else COLOURS[0]
                    ax.plot([frame - 1, frame], ends, "-", color=colour, zorder=0)
            box = {"boxstyle": "round", "facecolor": "#FFFFFF", "edgecolor": "0.5"}
            label = f"{_written(text, symbols)}  {math.exp(score):.2f}"
            ax.text(frame, row, label, ha="center", va="center", fontsize=9, bbox=box)
        texts = (f"{_written(t, symbols)} {math.exp(score):.2f}" for t, score in beam)
        lines.append(f"{'before' if not frame else f'after frame {frame - 1}'}: {', '.join(texts)}")
    titles = ["before", *(f"frame {frame}" for frame in range(len(steps) - 1))]
    ax.set_xticks(range(len(steps)), titles)
    ax.set(xlim=(-0.5, len(steps) - 0.5), ylim=(max(map(len, steps)) - 0.4, -0.6), yticks=[])
    ax.set_ylabel("Beam, best first")
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.grid(False)
    note(ax, f"A beam that grows: {'; '.join(lines)}.")
    return ax


def _written(text: Sequence[int], symbols: Sequence[str]) -> str:
    return "".join(symbols[token] for token in text) or "(nothing)"
