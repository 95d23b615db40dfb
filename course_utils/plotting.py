"""Plots and players of the course: draw on an axes, describe in words, show with alt text.

A plot function draws on ``ax`` (a new figure where there is none) and returns it; the
``describe_*`` function of the same plot says in words what it shows, from the same data.
:func:`show` puts both on the page. Axes are in seconds and Hz. Arrays are NumPy or torch.

    plotting.show(plotting.waveform(x, 16000), alt=plotting.describe_waveform(x, 16000, "yes"))
"""

import base64
import html
import io
import math

import numpy as np

#: The sample rates in Hz that MP3 knows.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

# Okabe and Ito's colours, each with its own dashes, marker and hatch: readable in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")
_DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_FILLS = (("#0072B2", ""), ("#E69F00", "////"), ("#FFFFFF", "...."))
_SPLITS = ("train", "validation", "test")
_NAMES = {"cer": "character error rate", "wer": "word error rate"}


# --- helpers ------------------------------------------------------------------------------------


def _array(x) -> np.ndarray:
    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x)


def _samples(x) -> np.ndarray:
    """One clip as a float array of shape (time,), or a ValueError that says what is wrong."""
    x = _array(x)
    shape = x.shape
    if x.ndim == 2 and shape[0] == 1:
        x = x[0]
    if x.ndim != 1:
        raise ValueError(f"expected one clip, (time,) or (1, time), got shape {shape}")
    if x.size == 0:
        raise ValueError("the clip is empty: it has no samples")
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"expected float samples in [-1, 1], got {x.dtype}; divide by its maximum")
    if not np.isfinite(x).all():
        raise ValueError(f"the clip holds {(~np.isfinite(x)).sum()} samples that are NaN or inf")
    return x


def _rate(sample_rate) -> int:
    if sample_rate <= 0 or sample_rate != int(sample_rate):
        raise ValueError(f"sample_rate must be a positive whole number of Hz, got {sample_rate}")
    return int(sample_rate)


def _axes(width: float, height: float, columns: int = 1):
    from matplotlib import pyplot as plt

    return plt.subplots(
        1, columns, figsize=(width, height), layout="constrained", facecolor="white"
    )[1]


def _line(i: int, points: int) -> dict:
    """Colour, dashes and marker of the line with number i."""
    styles = {"color": _COLOURS, "linestyle": _DASHES, "marker": _MARKERS}
    return {
        **{name: values[i % len(values)] for name, values in styles.items()},
        "markersize": 4,
        "markevery": max(1, points // 10),
    }


def _clean(ax, grid: str | None = "both"):
    """Lighter frame, and a thin grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    if grid:
        ax.grid(axis=grid, color="0.85", linewidth=0.6)
        ax.set_axisbelow(True)
    return ax


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.0f} %"


def _times(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


# --- one clip -----------------------------------------------------------------------------------


def waveform(x, sample_rate, ax=None, label=None, **line):
    """Draw amplitude against time in seconds.

    Parameters
    ----------
    x : array, (time,) or (1, time)
        Samples, in [-1, 1].
    sample_rate : int
        In Hz.
    label, **line
        Legend entry, and settings of matplotlib's ``Axes.plot``.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    x, sample_rate = _samples(x), _rate(sample_rate)
    ax = _axes(8, 2.2) if ax is None else ax
    before = [np.abs(other.get_ydata()).max(initial=0) for other in ax.get_lines()]
    right = max([ax.get_xlim()[1]] if before else [], default=0)
    style = {"color": _COLOURS[len(before) % len(_COLOURS)], "linewidth": 0.6, **line}
    ax.plot(np.arange(x.size) / sample_rate, x, label=label, **style)
    limit = 1.05 * max(np.abs(x).max(), *before, 0.01)
    ax.set(xlabel="Time (s)", ylabel="Amplitude", ylim=(-limit, limit))
    ax.set_xlim(0, max(right, x.size / sample_rate))
    if label is not None:
        ax.legend(loc="upper right", frameon=False)
    return _clean(ax)


def describe_waveform(x, sample_rate, name: str) -> str:
    """Say how long and how loud a clip is, and where it is loudest.

    >>> describe_waveform([0.0] * 800 + [0.5] * 200, 1000, "a click")
    'Waveform of a click: 1.00 s, peak amplitude 0.50, loudest around 0.90 s.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    x, sample_rate = _samples(x), _rate(sample_rate)
    text = f"Waveform of {name}: {x.size / sample_rate:.2f} s, "
    peak = float(np.abs(x).max())
    if peak == 0:
        return text + "silent throughout."
    energy = x.astype(np.float64) ** 2
    width = max(1, min(x.size, sample_rate // 5))  # 200 ms
    moving = np.diff(np.cumsum(np.concatenate([[0.0], energy])), 1)
    moving = np.convolve(moving, np.ones(width), mode="valid") if x.size < 20000 else moving
    centre = (int(np.argmax(np.round(moving, 9))) + width / 2) / sample_rate
    return text + f"peak amplitude {peak:.2f}, loudest around {centre:.2f} s."
