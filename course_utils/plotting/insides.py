"""Plots of what happens inside a network with memory: its cell, what it keeps, what fades."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import (
    array,
    curve_style,
    legend_above,
    line_style,
    new_axes,
    note,
    quietly,
    with_grid,
)
from course_utils.plotting.frames import features


def lstm_cell(ax: Axes | None = None) -> Axes:
    """Draw the cell of an LSTM: the memory runs along the top, gates multiply and add."""
    ax = new_axes(6.4, 3) if ax is None else ax
    ax.set(xlim=(0, 10), ylim=(0, 5.2))
    ax.axis("off")

    def arrow(start: tuple[float, float], end: tuple[float, float]) -> None:
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": "0.25", "shrinkA": 0})

    def join(x: float, y: float, sign: str) -> None:
        ax.add_patch(Circle((x, y), 0.28, facecolor="white", edgecolor="0.25", zorder=3))
        ax.text(x, y, sign, ha="center", va="center", zorder=4)

    gates = {"f": (2, "forget\ngate $f$"), "i": (3.8, "input\ngate $i$"),
             "g": (5.4, "candidate\n$g$"), "o": (7.4, "output\ngate $o$")}
    for x, name in gates.values():
        ax.add_patch(FancyBboxPatch((x - 0.62, 1.1), 1.24, 0.9, boxstyle="round,pad=0.05",
                                    facecolor="#DCEBF7", edgecolor="0.4"))
        ax.text(x, 1.55, name, ha="center", va="center", fontsize=8)
        arrow((x, 0.45), (x, 1.05))
    ax.plot([0.3, 7.4], [0.45, 0.45], color="0.25", linewidth=1)
    ax.text(0.2, 0.45, "$x, h$", ha="right", va="center")
    arrow((0.3, 4.4), (1.72, 4.4))
    arrow((2.28, 4.4), (4.32, 4.4))
    arrow((4.88, 4.4), (9.6, 4.4))
    ax.text(0.2, 4.4, "$c$", ha="right", va="center")
    ax.text(9.7, 4.4, "$c'$", ha="left", va="center")
    join(2, 4.4, "×")
    arrow((2, 2.05), (2, 4.1))
    join(4.6, 4.4, "+")
    join(4.6, 3.1, "×")
    arrow((3.8, 2.05), (4.42, 2.88))
    arrow((5.4, 2.05), (4.78, 2.88))
    arrow((4.6, 3.4), (4.6, 4.1))
    join(7.4, 3.1, "×")
    arrow((7.4, 2.05), (7.4, 2.8))
    arrow((7.4, 4.4), (7.4, 3.4))
    ax.text(7.5, 3.85, "tanh", fontsize=8)
    arrow((7.68, 3.1), (9.6, 3.1))
    ax.text(9.7, 3.1, "$h'$", ha="left", va="center")
    note(ax, "The cell of an LSTM. The memory c runs straight through: times the forget gate, plus "
         "input gate times candidate, and is the new memory. Shown is its tanh times the output "
         "gate. All four are computed from the frame x and from what was shown last, h.")
    return ax


def memories(
    clips: Mapping[str, tuple[ArrayLike, Mapping[str, ArrayLike], Mapping[str, ArrayLike]]],
    hop_seconds: float, axes: NDArray | None = None, *, numbers: int = 5, most: int = 3,
) -> NDArray:
    """Draw clips side by side: features, numbers of the memory, and what is likely so far.

    Parameters
    ----------
    clips : dict
        Name of a clip to its features (feature, frame), its memories by name (frame, numbers),
        a row of the picture each, and by word the probability so far (frame,), a fraction.
    hop_seconds : float
        Time from one frame to the next, in s.
    axes : array (2 + memories, clips) of matplotlib Axes, optional
    numbers : int
        At most so many of each memory are drawn, evenly spaced.
    most : int
        Of so many words the probability: of those that come highest.
    """
    rows = 2 + max(len(memories) for _, memories, _ in clips.values())
    if axes is None:
        size = (4.4 * len(clips), 1.9 * rows)
        axes = new_axes(*size, len(clips), rows, sharex=True, sharey="row", squeeze=False)
    for column, (name, (values, memories, likely)) in zip(axes.T, clips.items(), strict=True):
        with quietly(axes):
            features(values, hop_seconds, column[0], colorbar=False, title=name)
        column[0].set(xlabel="", ylabel="Feature")
        ends = []
        for ax, (place, memory) in zip(column[1:-1], memories.items(), strict=True):
            memory = array(memory, float)
            memory = memory[:, :: -(-memory.shape[1] // numbers)]
            times = hop_seconds * np.arange(len(memory))
            for i in range(memory.shape[1]):
                ax.plot(times, memory[:, i], **curve_style(i))
            with_grid(ax).set_ylabel(place)
            ends.append(f"{place} {np.abs(memory[-1]).max():.1f}")
        likely = {word: array(share, float) for word, share in likely.items()}
        words = sorted(likely, key=lambda word, of=likely: -of[word].max())[:most]
        for i, word in enumerate(words):
            share = likely[word]
            times = hop_seconds * np.arange(len(share))
            column[-1].plot(times, 100 * share, label=word, **curve_style(i))
        column[-1].set(xlabel="Time (s)", ylabel="Likely so far (%)", ylim=(-2, 102))
        with_grid(column[-1]).legend(frameon=False)
        shares = np.stack([*likely.values()])  # (word, frame)
        first = shares.argmax(axis=0) == shares[:, -1].argmax()
        since = hop_seconds * (len(first) - np.argmin(first[::-1]) if not first.all() else 0)
        note(axes, f"{name}: {list(likely)[shares[:, -1].argmax()]} leads from {since:.2f} s on, "
             f"at the end {100 * shares[:, -1].max():.0f} %. Farthest from zero at the end: "
             f"{', '.join(ends)}.")
    for ax in axes[:, 1:].flat:
        ax.set_ylabel("")
    return axes


def fading(
    steps: Sequence[int], curves: Mapping[str, ArrayLike], ax: Axes | None = None, *,
    ylabel: str, log: bool = True,
) -> Axes:
    """Draw what is left after so many frames, on a logarithmic scale by default.

    Parameters
    ----------
    steps : list of int
        Frames.
    curves : dict of str to array (steps,)
    ax : matplotlib Axes, optional
    ylabel : str
    log : bool
    """
    ax = new_axes(7, 2.8) if ax is None else ax
    for i, (name, values) in enumerate(curves.items()):
        values = array(values, float)
        style = line_style(i, 0) if len(steps) < 20 else curve_style(i)
        ax.plot(steps, np.maximum(values, 1e-30) if log else values, label=name, **style)
        note(ax, f"{name}: {values[0]:.2g} after {steps[0]} frames, {values[-1]:.2g} after "
             f"{steps[-1]}.")
    if log:
        ax.set_yscale("log")
    ax.set(xlabel="Frames", ylabel=ylabel)
    legend_above(ax, 2)
    return with_grid(ax)
