"""Plots of what cosines have to do with sound: windows, Fourier, the cosine transform."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import (
    array,
    checked_rate,
    curve_style,
    new_axes,
    note,
    samples_of,
    with_grid,
)


def windows(
    tone: ArrayLike, shapes: Mapping[str, ArrayLike], sample_rate: int,
    axes: Sequence[Axes] | None = None,
) -> NDArray:
    """Draw one frame under several windows, and beside it the level of each frequency.

    Parameters
    ----------
    tone : array (window,)
        A frame of a pure tone.
    shapes : dict of str to array (window,)
        Windows by name.
    sample_rate : int
        In Hz.
    axes : two matplotlib Axes, optional

    Returns
    -------
    array of matplotlib Axes
    """
    tone, sample_rate = samples_of(tone), checked_rate(sample_rate)
    left, right = axes = new_axes(8, 2.2, 2) if axes is None else np.asarray(axes)
    for i, (name, shape) in enumerate(shapes.items()):
        shape = array(shape, float)
        left.plot(1000 * np.arange(tone.size) / sample_rate, tone * shape, label=name,
                  linewidth=0.8, **curve_style(i))
        size = np.abs(np.fft.rfft(tone * shape)) / shape.sum() * 2
        level = 20 * np.log10(np.maximum(size, 1e-5))
        hz = np.fft.rfftfreq(tone.size, 1 / sample_rate)
        right.plot(hz, level, label=name, **curve_style(i))
        far = level[hz >= 0.5 * hz[-1]].max()
        note(right, f"Above {0.5 * hz[-1]:.0f} Hz {far:.0f} dB remain with {name}.")
    left.set(xlabel="Time (ms)", ylabel="Amplitude")
    right.set(xlabel="Frequency (Hz)", ylabel="Level (dB)", ylim=(-100, 5))
    right.legend(frameon=False)
    for ax in axes:
        with_grid(ax)
    return axes


def fourier(
    frame: ArrayLike, sample_rate: int, bins: Sequence[int], axes: NDArray | None = None
) -> NDArray:
    """Draw how a Fourier transform asks a frame for a frequency: times a cosine, and add up.

    Parameters
    ----------
    frame : array (window,)
    sample_rate : int
        In Hz.
    bins : list of int
        Frequencies to ask for, by number: bin ``k`` is ``k * sample_rate / window`` Hz.
    axes : array (2, bins) of matplotlib Axes, optional

    Returns
    -------
    array of matplotlib Axes
        Above the frame and the cosine, below their product.
    """
    frame, sample_rate = samples_of(frame), checked_rate(sample_rate)
    ms = 1000 * np.arange(frame.size) / sample_rate
    peak = max(np.abs(frame).max(), 1e-9)
    if axes is None:
        axes = new_axes(3.6 * len(bins), 3.6, len(bins), 2, sharex=True, squeeze=False)
    for (upper, lower), k in zip(axes.T, bins, strict=True):
        # The phase that fits best: a sine and a cosine together find it.
        value = np.fft.rfft(frame)[k]
        cosine = np.cos(2 * np.pi * k * np.arange(frame.size) / frame.size + np.angle(value))
        product = frame * cosine
        upper.plot(ms, frame / peak, label="frame", linewidth=0.9, **curve_style(0))
        upper.plot(ms, cosine, label="cosine", linewidth=0.9, **curve_style(1))
        hz = k * sample_rate / frame.size
        upper.set(title=f"Bin {k}: {hz:.0f} Hz", xlabel="", ylabel="Amplitude")
        lower.fill_between(ms, product / peak, color="#0072B2", alpha=0.6, linewidth=0)
        lower.set(xlabel="Time (ms)", ylabel="Product", ylim=(-1.05, 1.05))
        lower.set_title(f"sum {product.sum():.1f}", fontsize=9)
        note(upper, f"A frame times a cosine of {hz:.0f} Hz: the sum is {product.sum():.1f}.")
    axes[0, -1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    for ax in axes.flat:
        with_grid(ax)
    return axes


def cosines(matrix: ArrayLike, columns: Sequence[int], ax: Axes | None = None) -> Axes:
    """Draw columns of a cosine transform, one above the other.

    Parameters
    ----------
    matrix : array (bands, coefficients)
    columns : list of int
        Which coefficients.
    ax : matplotlib Axes, optional
    """
    matrix = array(matrix, float)
    ax = new_axes(4.5, 3) if ax is None else ax
    step = 2.4 * np.abs(matrix).max()
    for row, k in enumerate(columns):
        ax.axhline(-row * step, color="0.85", linewidth=0.6)
        ax.plot(np.arange(len(matrix)), matrix[:, k] - row * step, **curve_style(0))
    ax.set(xlabel="Band", ylabel="Coefficient", title="The cosines")
    ax.set_yticks([-row * step for row in range(len(columns))], [str(k) for k in columns])
    turns = ", ".join(f"{k}: {int((np.diff(np.sign(matrix[:, k])) != 0).sum())}" for k in columns)
    note(ax, f"Cosines of a transform; how often each changes its sign: {turns}.")
    return with_grid(ax)


def rebuilt(
    levels: ArrayLike, curves: Mapping[str, ArrayLike], ax: Axes | None = None
) -> Axes:
    """Draw the levels of one frame as dots, and what is left of them as curves.

    Parameters
    ----------
    levels : array (bands,)
        In dB.
    curves : dict of str to array (bands,)
        What some coefficients give back.
    ax : matplotlib Axes, optional
    """
    levels = array(levels, float)
    ax = new_axes(5, 3) if ax is None else ax
    ax.plot(levels, "o", color="0.35", markersize=3, label=f"{levels.size} mel bands")
    for i, (name, curve) in enumerate(curves.items()):
        curve = array(curve, float)
        ax.plot(curve, label=name, **curve_style(i))
        off = np.sqrt(np.square(curve - levels).mean())
        note(ax, f"{name}: {off:.1f} dB off (root of the mean square).")
    ax.set(xlabel="Band", ylabel="Level (dB)")
    ax.legend(frameon=False, fontsize=8)
    return with_grid(ax)


def cepstrum(
    matrix: ArrayLike, columns: Sequence[int], levels: ArrayLike, curves: Mapping[str, ArrayLike],
    axes: Sequence[Axes] | None = None,
) -> NDArray:
    """Draw a cosine transform, and beside it what some coefficients keep of a frame.

    Parameters
    ----------
    matrix, columns
        As :func:`cosines` takes them.
    levels, curves
        As :func:`rebuilt` takes them.
    axes : two matplotlib Axes, optional

    Returns
    -------
    array of matplotlib Axes
    """
    axes = new_axes(10, 3.2, 2) if axes is None else np.asarray(axes)
    cosines(matrix, columns, axes[0])
    rebuilt(levels, curves, axes[1]).set_title("The loudest frame")
    return axes
