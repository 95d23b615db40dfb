"""Plots of clips and corpora, and players."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
import torchaudio
from IPython.display import HTML
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import (
    COLOURS,
    array,
    checked_rate,
    image,
    new_axes,
    note,
    quietly,
    samples_of,
    taken_notes,
    with_grid,
)

#: The sample rates in Hz that MP3 knows.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


_FILLS = (("#0072B2", ""), ("#F0C060", "////"), ("#FFFFFF", "...."))


def waveform(
    x: ArrayLike, sample_rate: float, ax: Axes | None = None, label: str | None = None,
    name: str = "a clip", **line: Any,
) -> Axes:
    """Draw amplitude against time in seconds; a second call on the same `ax` adds a line.

    Parameters
    ----------
    x : array (time,) or (1, time)
        Amplitude in [-1, 1], NumPy's or torch's.
    sample_rate : int
        In Hz.
    ax : matplotlib Axes, optional
        Where to draw; a new figure where there is none.
    label : str, optional
        For a legend.
    name : str
        What the clip is called in words.
    **line
        Settings of ``Axes.plot``.
    """
    x, sample_rate = samples_of(x), checked_rate(sample_rate)
    ax = new_axes(8, 2.2) if ax is None else ax
    style = {"color": COLOURS[len(ax.lines) % len(COLOURS)], "linewidth": 0.7} | line
    ax.plot(np.arange(x.size) / sample_rate, x, label=label, **style)
    limit = 1.05 * max(0.01, *(np.abs(drawn.get_ydata()).max() for drawn in ax.lines))
    end = max(x.size / sample_rate, ax.get_xlim()[1] if len(ax.lines) > 1 else 0)
    ax.set(xlabel="Time (s)", ylabel="Amplitude", xlim=(0, end), ylim=(-limit, limit))
    if label is not None:
        ax.legend(loc="upper right", frameon=False)
    note(ax, _waveform_in_words(x, sample_rate, name))
    return with_grid(ax)


def _waveform_in_words(x: ArrayLike, sample_rate: float, name: str) -> str:
    """Say how long and loud a clip is, (time,) or (1, time), and where it is loudest, in s.

    >>> _waveform_in_words([0.0] * 800 + [0.5] * 200, 1000, "a click")
    'Waveform of a click: 1.00 s, peak amplitude 0.50, loudest around 0.85 s.'
    """

    x, sample_rate = samples_of(x), checked_rate(sample_rate)
    seconds, peak = x.size / sample_rate, np.abs(x).max()
    if peak == 0:
        return f"Waveform of {name}: {seconds:.2f} s of silence."
    block = max(1, sample_rate // 10)  # 100 ms
    energy = np.add.reduceat(x.astype(np.float64) ** 2, np.arange(0, x.size, block))
    loudest = min((energy.argmax() + 0.5) * block / sample_rate, seconds)
    text = f"Waveform of {name}: {seconds:.2f} s, peak amplitude {peak:.2f}"
    return f"{text}, loudest around {loudest:.2f} s."


# (M. Slaney, Auditory Toolbox, 1998; librosa's and torchaudio's "slaney".)
def hz_to_mel(hz: ArrayLike) -> Any:
    """Slaney's mel scale: linear up to 1000 Hz, then 27 steps a factor of 6.4."""

    hz = np.asarray(hz, dtype=float)
    return np.where(
        hz < 1000, 3 * hz / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4)
    )


def mel_to_hz(mel: ArrayLike) -> Any:
    """The inverse of :func:`hz_to_mel`."""

    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def log_mel_levels(
    x: ArrayLike, sample_rate: int, n_fft: int, hop_length: int, n_mels: int
) -> tuple[Any, Any, Any]:
    """Level in dB below the peak (n_mels, frames), edges of frames in s and of bands in Hz."""

    x = np.pad(x, (0, max(0, n_fft - x.size)))  # at least one whole window
    # librosa computes the same, and takes three seconds to load.
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate, n_fft, hop_length=hop_length, n_mels=n_mels, norm="slaney", mel_scale="slaney",
        pad_mode="constant",
    )
    power = transform(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))).numpy()
    level = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(power.max(), 1e-10))
    times = (np.arange(power.shape[1] + 1) - 0.5) * hop_length / sample_rate
    top = hz_to_mel(sample_rate / 2)
    edges = mel_to_hz((np.arange(n_mels + 1) + 0.5) * top / (n_mels + 1))
    return np.maximum(level, -80), times, edges


def log_mel(
    x: ArrayLike, sample_rate: float, ax: Axes | None = None, n_fft: int = 512,
    hop_length: int = 160, n_mels: int = 64, colorbar: bool = True, name: str = "a clip",
) -> Axes:
    """Draw the log-mel spectrogram: seconds, Hz on the mel scale, dB below the peak.

    Parameters
    ----------
    x : array (time,) or (1, time)
        Amplitude in [-1, 1], NumPy's or torch's.
    sample_rate : int
        In Hz.
    ax : matplotlib Axes, optional
        Where to draw; a new figure where there is none.
    n_fft, hop_length : int
        Window and hop in samples: 32 ms and 10 ms at 16 kHz.
    n_mels : int
        Bands up to half the sample rate.
    colorbar : bool
        Whether a scale of levels stands beside it.
    name : str
        What the clip is called in words.
    """
    x, sample_rate = samples_of(x), checked_rate(sample_rate)
    level, times, edges = log_mel_levels(x, sample_rate, n_fft, hop_length, n_mels)
    ax = new_axes(8, 2.8) if ax is None else ax
    ax.grid(False)  # before the picture: matplotlib warns of a grid under one
    drawn = ax.pcolormesh(times, edges, level, cmap="magma")
    ax.set_yscale("function", functions=(hz_to_mel, mel_to_hz))
    ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000, 16000) if hz <= edges[-1]]
    ax.set_yticks(ticks, [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz)", xlim=(0, x.size / sample_rate))
    if colorbar:
        ax.figure.colorbar(drawn, ax=ax, label="Level (dB re peak)", pad=0.01)
    note(ax, _log_mel_in_words(x, sample_rate, name, n_fft, hop_length, n_mels))
    return ax


def log_mels(
    clips: Mapping[str, ArrayLike], sample_rate: float, axes: Any = None, columns: int = 4,
    n_mels: int = 40,
) -> Any:
    """Draw log-mel spectrograms of several clips side by side, each under its name.

    Parameters
    ----------
    clips : dict of str to array (time,) or (1, time)
    sample_rate : int
        In Hz.
    axes : array of matplotlib Axes, optional
        As many as there are clips, at least.
    columns : int
        At most so many beside each other.
    n_mels : int
        Bands up to half the sample rate.

    Returns
    -------
    array of matplotlib Axes
    """
    if not clips:
        raise ValueError("there are no clips to draw")
    if axes is None:
        columns = min(columns, len(clips))
        rows = -(-len(clips) // columns)
        size = (2.6 * columns, 0.5 + 1.7 * rows)
        axes = new_axes(*size, columns, rows, sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(clips) :]:
        ax.set_axis_off()
    said = []
    for ax, (name, x) in zip(axes.flat, clips.items(), strict=False):
        with quietly(ax):
            log_mel(x, sample_rate, ax, n_mels=n_mels, colorbar=False, name=name)
        level, edges = ax.collections[0].get_array(), ax.collections[0].get_coordinates()[0, :, 0]
        said.append(name + " {:.2f} to {:.2f}".format(*_loud(level, (edges[1:] + edges[:-1]) / 2)))
        ax.set_title(name, fontsize=10)
        ax.label_outer()
    note(axes, f"Log-mel spectrograms, loud from, to (s): {'; '.join(said)}.")
    return axes


def _log_mel_in_words(
    x: ArrayLike, sample_rate: float, name: str, n_fft: int, hop_length: int, n_mels: int
) -> str:
    """Say when a clip, (time,) or (1, time), is loud, in s, and where it peaks, in s and Hz."""

    x, sample_rate = samples_of(x), checked_rate(sample_rate)
    seconds = x.size / sample_rate
    text = f"Log-mel spectrogram of {name}: {seconds:.2f} s, "
    if not x.any():
        return text + "silent."
    level, times, edges = log_mel_levels(x, sample_rate, n_fft, hop_length, n_mels)
    at = np.minimum((times[1:] + times[:-1]) / 2, seconds)
    first, last = _loud(level, at)
    band, frame = np.unravel_index(level.argmax(), level.shape)
    hz = (edges[band] + edges[band + 1]) / 2
    text += f"loud from {first:.2f} to {last:.2f} s, "
    return text + f"strongest at {at[frame]:.2f} s near {round(float(hz), -1):.0f} Hz."


def _loud(level: NDArray, at: NDArray) -> tuple[float, float]:
    """First and last of the times `at`, (frames,), within 30 dB of the peak of (band, frames)."""
    loud = at[level.max(axis=0) > -30]
    return loud[0], loud[-1]


def class_balance(counts: Mapping[str, Mapping[str, int]], ax: Axes | None = None) -> Axes:
    """Draw clips per word as bars, the splits on top of each other.

    Parameters
    ----------
    counts : dict of dict
        Split to word to clips: ``{"train": {"yes": 80, "no": 78}, "test": ...}``.
    ax : matplotlib Axes, optional
    """
    words = list(dict.fromkeys(word for clips in counts.values() for word in clips))
    if not words:
        raise ValueError("no words to draw: expected {'train': {'yes': 80, ...}, ...}")
    ax = new_axes(max(5, min(11, 2 + 0.45 * len(words))), 3.2) if ax is None else ax
    bottom = [0] * len(words)
    for i, (split, clips) in enumerate(counts.items()):
        color, hatch = _FILLS[i % len(_FILLS)]
        height = [clips.get(word, 0) for word in words]
        style = {"color": color, "hatch": hatch, "edgecolor": "black", "linewidth": 0.5}
        ax.bar(words, height, bottom=bottom, label=f"{split} ({sum(height):,})", **style)
        bottom = [a + b for a, b in zip(bottom, height, strict=True)]
    ax.set(ylabel="Clips", xlim=(-0.6, len(words) - 0.4))
    ax.tick_params(axis="x", length=0, rotation=90 if len(words) > 12 else 0)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(counts), frameon=False)
    note(ax, _class_balance_in_words(counts))
    return with_grid(ax, "y")


def _class_balance_in_words(counts: Mapping[str, Mapping[str, int]]) -> str:
    """Say how many clips each split holds, and which word has fewest and most.

    >>> _class_balance_in_words({"train": {"yes": 80, "no": 78}, "test": {"yes": 9, "no": 9}})
    'Clips per word: train 158 in 2 words, 78 (no) to 80 (yes); test 18 in 2 words, 9 each.'
    """
    texts = []
    for split, clips in counts.items():
        text = f"{split} {sum(clips.values()):,} in {len(clips)} words"
        few = min(clips, key=clips.get, default=None)
        many = max(clips, key=clips.get, default=None)
        if clips and clips[few] == clips[many]:
            text += f", {clips[few]:,} each"
        elif clips:
            text += f", {clips[few]:,} ({few}) to {clips[many]:,} ({many})"
        texts.append(text)
    return f"Clips per word: {'; '.join(texts)}."


def clip_lengths(lengths: ArrayLike, sample_rate: float, ax: Axes | None = None) -> Axes:
    """Draw which share of the clips lasts no longer than so many seconds.

    Parameters
    ----------
    lengths : array (clips,)
        In samples.
    sample_rate : int
        In Hz.
    ax : matplotlib Axes, optional
    """
    seconds = array(lengths, float) / checked_rate(sample_rate)
    if seconds.size == 0:
        raise ValueError("no clip lengths to draw")
    ax = new_axes(6, 2.6) if ax is None else ax
    ax.ecdf(seconds, color=COLOURS[0])
    ax.set(xlabel="Length (s)", ylabel="Clips no longer (%)", ylim=(0, 1.02))
    ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    note(ax, _clip_lengths_in_words(lengths, sample_rate))
    return with_grid(ax)


def _clip_lengths_in_words(lengths: ArrayLike, sample_rate: float) -> str:
    """Say how long the clips are, in seconds, from ``lengths`` (clips,) in samples.

    >>> _clip_lengths_in_words([8000, 16000, 16000, 16000], 16000)
    'Lengths of 4 clips: 0.50 to 1.00 s, median 1.00 s; 75.0 % last exactly 1.00 s.'
    """

    lengths, rate = array(lengths), checked_rate(sample_rate)
    values, counts = np.unique(lengths, return_counts=True)
    text = f"Lengths of {lengths.size:,} clips: {values[0] / rate:.2f} to {values[-1] / rate:.2f} s"
    text += f", median {np.median(lengths) / rate:.2f} s; {100 * counts.max() / lengths.size:.1f} %"
    return f"{text} last exactly {values[counts.argmax()] / rate:.2f} s."


def _player(x: ArrayLike, sample_rate: float, label: str, picture: str = "") -> str:

    x, sample_rate = samples_of(x), checked_rate(sample_rate)
    if not label.strip():
        raise ValueError("a player needs a label that says what is heard")
    if over := int((abs(x) > 1).sum()):
        label = f"{label} (clipped: {over:,} samples beyond full scale)"
    x = x.clip(-1, 1)
    rate = min((rate for rate in MP3_RATES if rate >= sample_rate), default=MP3_RATES[-1])
    if rate != sample_rate:
        x = soxr.resample(x, sample_rate, rate).clip(-1, 1)
    mp3 = io.BytesIO()
    soundfile.write(mp3, x, rate, format="MP3")
    data, label = base64.b64encode(mp3.getvalue()).decode(), html.escape(label)
    return (
        f'<figure style="margin:0 0 0.5em">{picture}<figcaption>{label}</figcaption>'
        f'<audio controls aria-label="{label}" style="width:100%;max-width:20em" '
        f'src="data:audio/mpeg;base64,{data}"></audio></figure>'
    )


def player(x: ArrayLike, sample_rate: float, label: str) -> HTML:
    """A labelled player, at the clip's true loudness.

    Samples beyond [-1, 1] are clipped, and the label says so. A rate that MP3 lacks is resampled
    to the next one above.

    Parameters
    ----------
    x : array (time,) or (1, time)
        Amplitude in [-1, 1], NumPy's or torch's.
    sample_rate : int
        In Hz.
    label : str
        What is heard.
    """
    return HTML(_player(x, sample_rate, label))


def players(
    clips: Sequence[tuple[ArrayLike, str]] | Mapping[str, ArrayLike], sample_rate: float,
    columns: int = 4, images: bool = False,
) -> HTML:
    """Players in a grid, which narrows with the window; without a clip, words that say so.

    Parameters
    ----------
    clips : list of (x, label), or dict of label to x
        Each ``x`` (time,) or (1, time), and what is heard.
    sample_rate : int
        In Hz.
    columns : int
        At most so many beside each other.
    images : bool
        Draw a small waveform above each, all on one scale.
    """
    if not clips:
        return HTML("<div>There is no clip to hear here.</div>")
    if isinstance(clips, Mapping):
        clips = [(x, label) for label, x in clips.items()]
    limit = max([0.01, *(1.05 * abs(samples_of(x)).max() for x, _ in clips)])
    cells = []
    for x, label in clips:
        picture = ""
        if images:
            ax = waveform(x, sample_rate, ax=new_axes(2.4, 0.7), name=label)
            ax.set(ylim=(-limit, limit), xlabel="", ylabel="", yticks=[])
            ax.tick_params(labelsize=7)
            ax.xaxis.set_major_formatter("{x:g} s")
            ax.spines["left"].set_visible(False)
            picture = image(ax.figure, taken_notes(ax.figure))
        cells.append(f'<div role="listitem">{_player(x, sample_rate, label, picture)}</div>')
    # A player needs 13 em to show its buttons: fewer stand beside each other in a narrow window.
    width = f"max(13em,{100 / columns:.4g}% - 0.5em)"
    style = f"display:grid;grid-template-columns:repeat(auto-fill,minmax({width},1fr));gap:0.5em"
    return HTML(f'<div role="list" style="{style}">{"".join(cells)}</div>')
