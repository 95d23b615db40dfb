"""Plots of what sound is made of and what is done to it: windows, Fourier, filters, covers."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import mlab
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import (
    COLOURS,
    array,
    checked_rate,
    curve_style,
    legend_above,
    new_axes,
    note,
    quietly,
    samples_of,
    with_grid,
)
from course_utils.plotting.clips import waveform


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
    axes[0, 0].figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left",
                             ncols=2)
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
    said = []
    for i, (name, curve) in enumerate(curves.items()):
        curve = array(curve, float)
        ax.plot(curve, label=name, **curve_style(i))
        said.append(f"{name} {np.sqrt(np.square(curve - levels).mean()):.1f} dB")
    note(ax, f"How far off (root of the mean square): {', '.join(said)}.")
    ax.set(xlabel="Band", ylabel="Level (dB)")
    ax.legend(frameon=False, fontsize=8)
    return with_grid(ax)


def aliasing(
    versions: Mapping[str, tuple[ArrayLike, int]], axes: Sequence[Axes] | None = None
) -> NDArray:
    """Draw spectrograms of one tone at several sample rates, on one axis of frequency.

    The axis is linear: a tone that rises evenly is a straight line.

    Parameters
    ----------
    versions : dict of str to (array (1, time), int)
        Name to clip and its sample rate in Hz.
    axes : as many matplotlib Axes, optional

    Returns
    -------
    array of matplotlib Axes
    """
    axes = new_axes(9, 2.8, len(versions), sharey=True) if axes is None else np.asarray(axes)
    highest = max(rate for _, rate in versions.values()) / 2
    for ax, (name, (clip, rate)) in zip(axes, versions.items(), strict=True):
        power, hz, times = mlab.specgram(samples_of(clip), 256, rate, noverlap=128)
        level = 10 * np.log10(np.maximum(power, 1e-12) / max(power.max(), 1e-12))
        ax.grid(False)
        drawn = ax.pcolormesh(times, hz, level, cmap="magma", vmin=-60, vmax=0)
        ax.set(title=name, xlabel="Time (s)", ylim=(0, highest))
        heard = level.max(axis=0) > -30
        tone, times = hz[level.argmax(axis=0)][heard], times[heard]
        top = tone.argmax()
        note(ax, f"{name}: {tone[0]:.0f} Hz at first, highest {tone[top]:.0f} Hz at "
                 f"{times[top]:.1f} s, {tone[-1]:.0f} Hz when it ends at {times[-1]:.1f} s.")
    axes[0].set_ylabel("Frequency (Hz)")
    axes[0].figure.colorbar(drawn, ax=axes, label="Level (dB re peak)", pad=0.01)
    return axes


def filter_response(
    weights: ArrayLike, sample_rate: int, axes: Sequence[Axes] | None = None
) -> NDArray:
    """Draw the weights of a filter over time, and its gain over frequency.

    Parameters
    ----------
    weights : array (taps,)
        An odd number of them, the middle one at time 0.
    sample_rate : int
        In Hz.
    axes : two matplotlib Axes, optional

    Returns
    -------
    array of matplotlib Axes
    """
    weights, sample_rate = array(weights, float), checked_rate(sample_rate)
    left, right = axes = new_axes(9, 2.6, 2) if axes is None else np.asarray(axes)
    # A stem for each weight: there is nothing between two of them.
    times = 1000 * (np.arange(weights.size) - weights.size // 2) / sample_rate
    left.vlines(times, 0, weights, color=COLOURS[0], linewidth=0.8)
    left.plot(times, weights, "o", color=COLOURS[0], markersize=2.5)
    left.set(xlabel="Time (ms)", ylabel="Weight")
    hz = np.fft.rfftfreq(2048, 1 / sample_rate)
    gain = 20 * np.log10(np.maximum(np.abs(np.fft.rfft(weights, 2048)), 1e-4))
    right.plot(hz, gain)
    right.set(xlabel="Frequency (Hz)", ylabel="Gain (dB)", ylim=(-80, 5))
    passes, stops = hz[gain < -1][0], hz[gain > -40][-1]
    note(left, f"{weights.size} weights, the largest {weights.max():.2f}.")
    note(right, f"The gain is 0 dB up to about {passes:.0f} Hz, and below -40 dB from "
                f"{stops:.0f} Hz on.")
    for ax in axes:
        with_grid(ax)
    return axes


def matches(
    signal: ArrayLike, output: ArrayLike, axes: Sequence[Axes] | None = None
) -> NDArray:
    """Draw a sound above what a kernel makes of it, step by step.

    Where the output is largest, a line marks where the kernel starts, and grey how far it reaches.

    Parameters
    ----------
    signal : array (time,)
    output : array (steps,)
        With a stride of 1; step ``i`` is of the kernel that starts at sample ``i``.
    axes : two matplotlib Axes, optional

    Returns
    -------
    array of matplotlib Axes
    """
    signal, output = array(signal, float), array(output, float)
    if axes is None:
        axes = new_axes(8, 3.4, rows=2, sharex=True)
    top, bottom = axes
    top.plot(signal)
    top.set(ylabel="Sound")
    bottom.plot(output, color="#D55E00")
    bottom.set(xlabel="Sample", ylabel="Output of the kernel")
    first = int(output.argmax())
    elsewhere = output.copy()
    elsewhere[max(0, first - 20) : first + 20] = -np.inf
    places = sorted([first, int(elsewhere.argmax())])
    taps = signal.size - output.size + 1
    for i, place in enumerate(places):
        for ax in axes:
            ax.axvline(place, color="0.35", linestyle=":",
                       label="" if i else "the kernel starts")
        top.axvspan(place, place + taps - 1, color="0.85", linewidth=0,
                    label="" if i else f"its {taps} weights")
    legend_above(top, 2)
    note(top, "Above the sound, below the output of the kernel: it is largest at samples "
              f"{places[0]} and {places[1]}, where the kernel starts.")
    for ax in axes:
        with_grid(ax)
    return axes


def occlusions(
    clips: Sequence[tuple[str, ArrayLike, ArrayLike, ArrayLike]], sample_rate: int,
    axes: NDArray | None = None,
) -> NDArray:
    """Draw clips, and below each how sure a network stays while a part of it is covered.

    Parameters
    ----------
    clips : list of (str, array (1, time), array (covers,), array (covers,))
        Word, waveform, middles of the cover in s, probabilities of the true word.
    sample_rate : int
        In Hz.
    axes : array (2, clips) of matplotlib Axes, optional

    Returns
    -------
    array (2, clips) of matplotlib Axes
    """
    if axes is None:
        axes = new_axes(4 * len(clips), 3.6, len(clips), 2, squeeze=False, sharex=True)
    for (upper, lower), (word, clip, centres, p) in zip(axes.T, clips, strict=True):
        with quietly(upper):
            waveform(clip, sample_rate, ax=upper).set(title=word, xlabel="")
        lower.plot(centres, p)
        lower.set(xlabel="Middle of the cover (s)", ylabel="Probability", ylim=(0, 1.05))
        lowest = int(np.argmin(p))
        note(lower, f"{word}: {p[lowest]:.2f} at the lowest, cover at {centres[lowest]:.2f} s.")
        with_grid(lower)
    return axes



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
