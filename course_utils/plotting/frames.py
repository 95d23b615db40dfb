"""Plots of sequences of frames and of filters. Frame ``t`` is centred at ``t * hop_seconds``."""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import (
    COLOURS,
    array,
    checked_rate,
    new_axes,
    note,
    quietly,
    samples_of,
    with_grid,
)
from course_utils.plotting.clips import hz_to_mel, mel_to_hz

#: Blue below zero, white at zero, red above.
SIGNED = "RdBu_r"


# No colour of a value; no line between one hidden frame and the next.
_HIDDEN = {"facecolor": "0.55", "edgecolor": "0.8", "hatch": "////", "linewidth": 0}


_PADDING = {"facecolor": "0.9", "edgecolor": "0.6", "hatch": "..", "linewidth": 0}


def picture(values: ArrayLike, shape: str = "(feature, frame)") -> NDArray:
    """A finite float array of two dimensions, neither empty, or a ValueError."""

    values = array(values)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"expected {shape}, neither empty, got shape {values.shape}")
    values = values.astype(float)
    if np.isnan(values).any():
        raise ValueError(f"{np.isnan(values).sum()} of {values.size} values are NaN")
    return values


def checked_hop(hop_seconds: float) -> float:
    """Seconds from frame to frame, or a ValueError."""
    if not (isinstance(hop_seconds, Real) and 0 < hop_seconds < float("inf")):
        raise ValueError(f"hop_seconds must be a positive number of seconds, got {hop_seconds!r}")
    if hop_seconds > 10:
        raise ValueError(f"hop_seconds is {hop_seconds:g} s between two frames: is it in samples?")
    return float(hop_seconds)


def frame_edges(frames: int, hop_seconds: float) -> NDArray:
    """The edges of the frames in s, (frames + 1,)."""

    return (np.arange(frames + 1) - 0.5) * hop_seconds


def features(
    values: ArrayLike, hop_seconds: float, ax: Axes | None = None, ylabel: str = "Coefficient",
    title: str | None = None, colorbar: bool | str = True, name: str = "a clip", first: int = 0,
    **style: Any,
) -> Axes:
    """Draw features as a picture against time in seconds.

    Parameters
    ----------
    values : array (feature, frame)
        Such as log-mel levels or MFCCs; frame t is centred at ``t * hop_seconds``.
    hop_seconds : float
        Time from one frame to the next, in s.
    ax : matplotlib Axes, optional
    ylabel, title : str
        What a feature is, and a heading.
    colorbar : bool or str
        Whether a scale of colours stands beside it; a str is its label, else "Value".
    name : str
        What the clip is called in words.
    first : int
        The number of the first feature.
    **style
        Settings of ``Axes.pcolormesh``, such as ``vmin`` and ``vmax``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `values` are not a finite (feature, frame), or the hop is no time.
    """

    values, hop_seconds = _finite(values), checked_hop(hop_seconds)
    count, frames = values.shape
    ax = new_axes(8, 2.8) if ax is None else ax
    # What has a sign is drawn around white: blue below zero, red above.
    limit = float(np.abs(values).max())
    signed = values.min() < -0.1 * limit and values.max() > 0.1 * limit
    if signed and "cmap" not in style:
        style = {"vmin": -limit, "vmax": limit, **style, "cmap": SIGNED}
    style = {"cmap": "magma", **style}
    ax.grid(False)
    drawn = ax.pcolormesh(
        frame_edges(frames, hop_seconds), np.arange(count + 1) + first - 0.5, values, **style
    )
    ax.set(xlabel="Time (s)", ylabel=ylabel)
    ax.yaxis.get_major_locator().set_params(integer=True)
    if title is not None:
        ax.set_title(title)
    if colorbar:
        label = colorbar if isinstance(colorbar, str) else "Value"
        ax.figure.colorbar(drawn, ax=ax, label=label, pad=0.02)
    note(ax, _features_in_words(values, hop_seconds, name, ylabel, first))
    return ax


def hidden_parts(
    versions: ArrayLike, valid: int, hop_seconds: float
) -> Sequence[Axes]:
    """Draw versions of one clip of which parts are hidden: bands and frames that are all 0.

    What is hidden is hatched, and so is the padding: neither has the colour of a value.

    Parameters
    ----------
    versions : array (version, feature, frame)
        Around 0; drawn from -3 to 3.
    valid : int
        How many frames come before the padding.
    hop_seconds : float

    Returns
    -------
    array of matplotlib Axes
    """
    versions = array(versions, float)
    axes = np.atleast_1d(new_axes(4.6 * len(versions), 2.6, len(versions), sharey=True))
    edges = frame_edges(versions.shape[2], checked_hop(hop_seconds))
    for number, (ax, version) in enumerate(zip(axes, versions, strict=True), start=1):
        zero = version[:, :valid] == 0
        bands, frames = zero.all(axis=1), zero.all(axis=0)
        with quietly(ax):
            features(version, hop_seconds, ax, "Mel band", f"Version {number}", False,
                     vmin=-3, vmax=3, cmap=SIGNED)
        for band in np.flatnonzero(bands):
            ax.fill_between(edges[[0, valid]], band - 0.5, band + 0.5, **_HIDDEN)
        for frame in np.flatnonzero(frames):
            ax.axvspan(*edges[[frame, frame + 1]], **_HIDDEN)
        ax.axvspan(*edges[[valid, -1]], **_PADDING)
        ax.label_outer()
        note(ax, f"Hidden in version {number}: {bands.sum()} bands and {frames.sum()} of {valid} "
             "frames, hatched; then padding.")
    colours = axes[0].collections[0]
    axes[0].figure.colorbar(colours, ax=axes, label="Standard deviations", pad=0.01)
    shown = [Patch(**_HIDDEN, label="hidden"), Patch(**_PADDING, label="padding")]
    axes[0].figure.legend(handles=shown, loc="outside upper right", ncols=2)
    return axes


def heard(
    x: ArrayLike,
    sample_rate: float,
    posteriors: ArrayLike,
    seconds: ArrayLike,
    words: Sequence[str],
    threshold: float,
    events: Sequence[tuple[float, str]],
    ax: Axes | None = None,
    last: float = 10,
) -> Axes:
    """Draw what a detector heard in the end of a sound: a row for each word, its level on top.

    Parameters
    ----------
    x : array (time,) or (1, time)
    sample_rate : int
        In Hz.
    posteriors : array (frame, word)
        As they are compared with the threshold.
    seconds : array (frame,)
        When each frame is known.
    words : sequence of str
    threshold : float
    events : sequence of (float, str)
        Seconds and words.
    ax : matplotlib Axes, optional
    last : float
        So many seconds are drawn.
    """
    x, posteriors, seconds = samples_of(x), picture(posteriors, "(frame, word)"), array(seconds)
    end = x.size / checked_rate(sample_rate)
    start = max(0.0, end - last)
    ax = new_axes(8, 1.2 + 0.22 * (len(words) + 2)) if ax is None else ax
    peak = max(1e-3, float(np.abs(x).max(initial=0)))
    from_sample = int(start * sample_rate)
    times = start + np.arange(x.size - from_sample) / sample_rate
    ax.plot(times, -1.5 + 0.9 * x[from_sample:] / peak, color="0.4", linewidth=0.4)
    for row in range(len(words)):
        base = row + 0.5
        ax.fill_between(
            seconds, base, base - 0.9 * posteriors[:, row], color=COLOURS[0], linewidth=0
        )
        ax.axhline(base - 0.9 * threshold, color="0.6", linestyle="--", linewidth=0.7)
        ax.axhline(base, color="0.8", linewidth=0.5)
    told = [(second, word) for second, word in events if second >= start]
    for second, word in told:
        ax.axvline(second, color="black", linewidth=1)
        ax.text(
            second,
            -2.6,
            f" {word} ",
            ha="left" if second < end - 1 else "right",
            va="bottom",
            fontsize=8,
        )
    ax.grid(False)
    ax.set_yticks([-1.5, *range(len(words))], ["sound", *words], fontsize=9)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel="Time (s)", xlim=(start, end), ylim=(len(words) - 0.4, -2.6))
    names = ", ".join(f"{word} at {second:.1f} s" for second, word in told) or "nothing"
    note(
        ax,
        f"The sound from {start:.0f} to {end:.0f} s, and under it the probability of "
        f"{', '.join(words)}. Heard above {threshold:.2f}: {names}.",
    )
    return ax


def power(
    values: ArrayLike, hop_seconds: float, sample_rate: float, ax: Axes | None = None,
    name: str = "a clip",
) -> Axes:
    """Draw the power of each frequency bin in each frame, as a level in dB.

    Parameters
    ----------
    values : array (frame, bin)
        From 0 Hz to half the sample rate.
    hop_seconds : float
        Time from one frame to the next, in s.
    sample_rate : int
        In Hz.
    ax : matplotlib Axes, optional
    name : str
        What the clip is called in words.
    """
    values = picture(values, "(frame, bin)")
    if values.shape[1] < 2 or values.min() < 0:
        raise ValueError("a power is not negative, and there are at least two bins")
    step = checked_rate(sample_rate) / 2 / (values.shape[1] - 1)
    return features(
        10 * np.log10(np.maximum(values.T, 1e-7)), hop_seconds, ax, f"Bin, {step:g} Hz each",
        title=f"Power of {name}", colorbar="Level (dB)", name=f"{name}, power spectrum in dB",
        cmap="magma",
    )  # fmt: skip


def _finite(values: ArrayLike) -> NDArray:

    values = picture(values)
    if not np.isfinite(values).all():
        bad = (~np.isfinite(values)).sum()
        raise ValueError(f"{bad} of {values.size} values are infinite: a logarithm of 0?")
    return values


def _features_in_words(
    values: ArrayLike, hop_seconds: float, name: str, ylabel: str = "Coefficient", first: int = 0
) -> str:
    """Say how many features and frames (feature, frame) there are, and what varies most.

    >>> _features_in_words([[0.0, 4.0, 0.0], [1.0, 1.0, 2.0]], 0.01, "yes")
    'Features of yes: 2 by 3 frames, one every 10 ms; values 0 to 4, largest at 0.01 s in \
coefficient 0; coefficient 0 varies most, 1 least.'
    """

    values, hop_seconds = _finite(values), checked_hop(hop_seconds)
    count, frames = values.shape
    top, frame = np.unravel_index(values.argmax(), values.shape)
    spread, feature = values.std(axis=1), ylabel.lower().partition(",")[0]
    text = f"Features of {name}: {count} by {frames} frames, one every {1000 * hop_seconds:g} ms; "
    text += f"values {values.min():.3g} to {values.max():.3g}, "
    text += f"largest at {frame * hop_seconds:.2f} s in {feature} {top + first}"
    if spread.max() == spread.min():
        return text + "."
    most, least = spread.argmax() + first, spread.argmin() + first
    return f"{text}; {feature} {most} varies most, {least} least."


def _checked_bank(bank: ArrayLike) -> NDArray:

    bank = picture(bank, "(bins, bands)")
    if len(bank) < 2:
        raise ValueError(f"expected (bins, bands), at least 2 bins, got shape {bank.shape}")
    if not np.isfinite(bank).all() or bank.min() < 0:
        raise ValueError("a filter bank holds finite weights that are not negative")
    return bank


def filterbank(bank: ArrayLike, sample_rate: float, ax: Axes | None = None) -> Axes:
    """Draw the filters of a bank against frequency: the triangles of the mel scale.

    Parameters
    ----------
    bank : array (bins, bands)
        Weight of each frequency bin, 0 Hz to half the sample rate, in each band: what
        ``torchaudio.functional.melscale_fbanks`` returns.
    sample_rate : int
        In Hz.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `bank` is not (bins, bands), or a weight is negative or not finite.
    """

    bank, sample_rate = _checked_bank(bank), checked_rate(sample_rate)
    hz = np.linspace(0, sample_rate / 2, len(bank))
    ax = new_axes(8, 2.8) if ax is None else ax
    for band, weights in enumerate(bank.T):
        # Neighbours differ in colour and in dashes: readable in grey.
        style = {"color": COLOURS[band % 2], "linestyle": "-" if band % 2 == 0 else "--"}
        ax.plot(hz, weights, linewidth=0.9, **style)
    ax.set(xlabel="Frequency (Hz)", ylabel="Weight", xlim=(0, sample_rate / 2))
    ax.set_ylim(0, 1.05 * max(bank.max(), 1e-12))
    note(ax, _filterbank_in_words(bank, sample_rate))
    return with_grid(ax)


def _filterbank_in_words(bank: ArrayLike, sample_rate: float) -> str:
    """Say how many bands a bank (bins, bands) has, and where the narrowest and the widest are.

    >>> _filterbank_in_words([[1, 0], [0, 0.5], [0, 1], [0, 0.5], [0, 0]], 8000)
    '2 bands over 5 frequency bins, 0 to 4000 Hz, 1000 Hz apart. Narrowest: band 0 around 0 Hz, \
1 bin; widest: band 1 around 2000 Hz, 3 bins.'
    """

    bank, sample_rate = _checked_bank(bank), checked_rate(sample_rate)
    bins, bands = bank.shape
    step = sample_rate / 2 / (bins - 1)
    width, peak = (bank > 0).sum(axis=0), bank.argmax(axis=0) * step
    text = f"{bands} bands over {bins} frequency bins, 0 to {sample_rate / 2:g} Hz, {step:.4g} Hz "
    text += "apart. "
    empty = int((width == 0).sum())
    if empty < bands:
        narrow, wide = np.where(width == 0, bins + 1, width).argmin(), width.argmax()
        sizes = [
            f"band {band} around {peak[band]:.0f} Hz, {width[band]} bin{'s' * int(width[band] > 1)}"
            for band in (narrow, wide)
        ]
        text += f"Narrowest: {sizes[0]}; widest: {sizes[1]}."
    if empty:
        text = f"{text.strip()} Empty, because no bin falls into them: {empty} bands."
    return text


def responses(weights: ArrayLike, sample_rate: float) -> tuple[NDArray, NDArray, NDArray]:
    """Gain (kernel, 257) from 0 to half the rate, its frequencies in Hz, and the kernels' order."""

    weights = array(weights, float)
    if weights.ndim != 2:
        raise ValueError(f"expected kernels of shape (kernel, taps), got {weights.shape}")
    gain = np.abs(np.fft.rfft(weights, 512, axis=1))
    gain = gain / np.maximum(gain.max(axis=1, keepdims=True), 1e-12)
    hz = np.arange(gain.shape[1]) * sample_rate / 512
    return gain, hz, np.argsort(hz[gain.argmax(axis=1)], kind="stable")


def kernels(
    weights: ArrayLike, sample_rate: float, axes: Sequence[Axes] | None = None
) -> Sequence[Axes]:
    """Draw kernels as waveforms, in ms, and as frequency responses, in Hz.

    Both are sorted by the frequency of the largest response. On the left some of them are drawn,
    evenly spaced, so large that their shape is seen. The dashed line on the right has as many
    frequencies as there are kernels, evenly spaced on the mel scale.

    Parameters
    ----------
    weights : array (kernel, taps)
    sample_rate : int
        In Hz.
    axes : two matplotlib Axes, optional
    """
    sample_rate = checked_rate(sample_rate)
    gain, hz, order = responses(weights, sample_rate)
    weights = array(weights, float)[order]
    axes = new_axes(10, 4.5, 2) if axes is None else axes
    left, right = axes
    ms = 1000 * np.arange(weights.shape[1]) / sample_rate
    step = -(-len(weights) // 8)
    rows = range(step // 2, len(weights), step)
    for row in rows:
        shape = row + 0.5 * step * weights[row] / np.abs(weights[row]).max()
        left.axhline(row, color="0.85", linewidth=0.6)
        left.plot(ms, shape, color=COLOURS[0], linestyle="-", linewidth=1)
    left.set(xlabel="Time (ms)", ylabel="Kernel, sorted", xlim=(0, ms[-1]), yticks=rows)
    left.set_ylim(-0.5, len(weights) - 0.5)
    left.grid(False)
    left.set_title(f"{len(rows)} of {len(weights)} kernels", fontsize=10)
    right.set_title("Which frequencies each answers to", fontsize=10)
    right.grid(False)
    drawn = right.pcolormesh(hz, np.arange(len(weights)), gain[order], cmap="magma")
    centres = np.linspace(0, hz_to_mel(sample_rate / 2), len(weights) + 2)[1:-1]
    right.plot(mel_to_hz(centres), np.arange(len(weights)), "--", color="white", label="mel scale")
    right.set(xlabel="Frequency (Hz)", ylabel="Kernel, sorted", xlim=(0, sample_rate / 2))
    legend = right.legend(loc="lower right", facecolor="0.2", framealpha=0.8)
    for text in legend.get_texts():
        text.set_color("white")
    right.figure.colorbar(drawn, ax=right, label="Gain, relative to each kernel's peak", pad=0.01)
    note(left, _kernels_in_words(weights, sample_rate))
    return axes


def _kernels_in_words(weights: ArrayLike, sample_rate: float) -> str:
    """Say how many kernels (kernel, taps) there are, and how their frequencies are spread."""

    gain, hz, _ = responses(weights, checked_rate(sample_rate))
    peaks = np.sort(hz[gain.argmax(axis=1)])
    taps = array(weights).shape[1]
    return (
        f"{len(peaks)} kernels of {taps} taps, {1000 * taps / sample_rate:.0f} ms, left some as "
        "waveforms, right all as frequency responses. "
        f"They answer most at {peaks[0]:.0f} to {peaks[-1]:.0f} Hz, median "
        f"{np.median(peaks):.0f} Hz; {(peaks < 1000).sum()} of them below 1000 Hz."
    )
