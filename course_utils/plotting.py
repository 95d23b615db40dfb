"""Plots and players of the course: draw on an axes, describe in words, show with alt text.

A plot function draws on ``ax`` (a new figure where there is none) and returns it; the
``describe_*`` function of the same plot says in words what it shows, from the same data.
:func:`show` puts both on the page::

    ax = plotting.waveform(x, 16000)
    plotting.show(ax, alt=plotting.describe_waveform(x, 16000, "yes"))

Arrays are NumPy's or torch's. A clip ``x`` is (time,) or (1, time), float, in [-1, 1]; a
``sample_rate`` is in Hz. Axes are in seconds and Hz; accuracies are fractions, drawn in percent.
"""

import base64
import html
import io

#: The sample rates in Hz that MP3 knows.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

# Okabe and Ito's colours, each line with its own dashes and marker: readable in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")
_DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
_FILLS = (("#0072B2", ""), ("#F0C060", "////"), ("#FFFFFF", "...."))
_SPLITS = ("train", "validation", "test")
# quantity in a history -> its name, scale, unit
_QUANTITIES = {
    "loss": ("loss", 1, ""),
    "accuracy": ("accuracy", 100, "%"),
    "cer": ("character error rate", 100, "%"),
    "wer": ("word error rate", 100, "%"),
}


def _array(x, dtype=None):
    import numpy as np

    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=dtype)


def _samples(x):
    """One clip as a float array (time,), or a ValueError that says what is wrong with it."""
    import numpy as np

    x = _array(x)
    if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[0] != 1):
        raise ValueError(f"expected one mono clip, (time,) or (1, time), got shape {x.shape}")
    if x.size == 0:
        raise ValueError("the clip is empty: it has no samples")
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"expected float samples in [-1, 1], got {x.dtype} (int16: / 32768)")
    if not np.isfinite(x).all():
        raise ValueError(f"the clip holds {(~np.isfinite(x)).sum()} samples that are NaN or inf")
    return x.reshape(-1)


def _rate(sample_rate) -> int:
    if sample_rate <= 0 or sample_rate != int(sample_rate):
        raise ValueError(f"sample_rate must be a positive whole number of Hz, got {sample_rate}")
    return int(sample_rate)


def _axes(width, height, columns=1):
    from matplotlib import pyplot as plt

    size = (width, height)
    return plt.subplots(1, columns, figsize=size, layout="constrained", facecolor="white")[1]


def _line(i: int, points: int) -> dict:
    styles = {"color": _COLOURS, "linestyle": _DASHES, "marker": _MARKERS}
    style = {name: values[i % len(values)] for name, values in styles.items()}
    return style | {"markersize": 4, "markevery": max(1, points // 10)}


def _chance(ax, chance):
    if chance is not None:
        ax.axhline(100 * chance, color="0.35", linestyle=":", label="chance")


def _clean(ax, grid="both"):
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color="0.85", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


# --- one clip ---------------------------------------------------------------------------------


def waveform(x, sample_rate, ax=None, label=None, **line):
    """Draw amplitude against time in seconds; a second call on the same ``ax`` adds a line.

    ``x`` (time,) or (1, time), ``sample_rate`` in Hz; ``line`` are settings of ``Axes.plot``.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    x, sample_rate = _samples(x), _rate(sample_rate)
    ax = _axes(8, 2.2) if ax is None else ax
    style = {"color": _COLOURS[len(ax.lines) % len(_COLOURS)], "linewidth": 0.7} | line
    ax.plot(np.arange(x.size) / sample_rate, x, label=label, **style)
    limit = 1.05 * max(0.01, *(np.abs(drawn.get_ydata()).max() for drawn in ax.lines))
    end = max(x.size / sample_rate, ax.get_xlim()[1] if len(ax.lines) > 1 else 0)
    ax.set(xlabel="Time (s)", ylabel="Amplitude", xlim=(0, end), ylim=(-limit, limit))
    if label is not None:
        ax.legend(loc="upper right", frameon=False)
    return _clean(ax)


def describe_waveform(x, sample_rate, name: str) -> str:
    """Say how long and loud a clip is, (time,) or (1, time), and where it is loudest, in s.

    >>> describe_waveform([0.0] * 800 + [0.5] * 200, 1000, "a click")
    'Waveform of a click: 1.00 s, peak amplitude 0.50, loudest around 0.85 s.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    x, sample_rate = _samples(x), _rate(sample_rate)
    seconds, peak = x.size / sample_rate, np.abs(x).max()
    if peak == 0:
        return f"Waveform of {name}: {seconds:.2f} s of silence."
    block = max(1, sample_rate // 10)  # 100 ms
    energy = np.add.reduceat(x.astype(np.float64) ** 2, np.arange(0, x.size, block))
    loudest = min((energy.argmax() + 0.5) * block / sample_rate, seconds)
    text = f"Waveform of {name}: {seconds:.2f} s, peak amplitude {peak:.2f}"
    return f"{text}, loudest around {loudest:.2f} s."


# Slaney's mel scale: linear up to 1000 Hz, then logarithmic with 27 steps a factor of 6.4.
# (M. Slaney, Auditory Toolbox, 1998; librosa's and torchaudio's "slaney".)
def _hz_to_mel(hz):
    import numpy as np

    hz = np.asarray(hz, dtype=float)
    return np.where(
        hz < 1000, 3 * hz / 200, 15 + 27 * np.log(np.maximum(hz, 1) / 1000) / np.log(6.4)
    )


def _mel_to_hz(mel):
    import numpy as np

    mel = np.asarray(mel, dtype=float)
    return np.where(mel < 15, 200 * mel / 3, 1000 * 6.4 ** ((mel - 15) / 27))


def _log_mel(x, sample_rate, n_fft, hop_length, n_mels):
    """Level in dB below the peak (n_mels, frames), edges of frames in s and of bands in Hz."""
    import numpy as np
    import torch
    import torchaudio

    x = np.pad(x, (0, max(0, n_fft - x.size)))  # at least one whole window
    # librosa computes the same, and takes three seconds to load.
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate,
        n_fft,
        hop_length=hop_length,
        n_mels=n_mels,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    power = transform(torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))).numpy()
    level = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(power.max(), 1e-10))
    times = (np.arange(power.shape[1] + 1) - 0.5) * hop_length / sample_rate
    top = _hz_to_mel(sample_rate / 2)
    edges = _mel_to_hz((np.arange(n_mels + 1) + 0.5) * top / (n_mels + 1))
    return np.maximum(level, -80), times, edges


def log_mel(x, sample_rate, ax=None, n_fft=512, hop_length=160, n_mels=64, colorbar=True):
    """Draw the log-mel spectrogram: seconds, Hz on the mel scale, dB below the peak.

    ``x`` (time,) or (1, time), ``sample_rate`` in Hz; window ``n_fft`` and ``hop_length`` in
    samples (32 ms and 10 ms at 16 kHz); ``n_mels`` bands up to half the sample rate.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    x, sample_rate = _samples(x), _rate(sample_rate)
    level, times, edges = _log_mel(x, sample_rate, n_fft, hop_length, n_mels)
    ax = _axes(8, 2.8) if ax is None else ax
    image = ax.pcolormesh(times, edges, level, cmap="magma")
    ax.set_yscale("function", functions=(_hz_to_mel, _mel_to_hz))
    ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000, 16000) if hz <= edges[-1]]
    ax.set_yticks(ticks, [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz)", xlim=(0, x.size / sample_rate))
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label="Level (dB re peak)", pad=0.01)
    return ax


def describe_log_mel(x, sample_rate, name: str, n_fft=512, hop_length=160, n_mels=64) -> str:
    """Say when a clip, (time,) or (1, time), is loud, in s, and where it peaks, in s and Hz.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    x, sample_rate = _samples(x), _rate(sample_rate)
    seconds = x.size / sample_rate
    text = f"Log-mel spectrogram of {name}: {seconds:.2f} s, up to {sample_rate // 2} Hz; "
    if not x.any():
        return text + "silent."
    level, times, edges = _log_mel(x, sample_rate, n_fft, hop_length, n_mels)
    at = np.minimum((times[1:] + times[:-1]) / 2, seconds)
    loud = at[level.max(axis=0) > -30]
    band, frame = np.unravel_index(level.argmax(), level.shape)
    hz = (edges[band] + edges[band + 1]) / 2
    text += f"within 30 dB of its peak from {loud[0]:.2f} to {loud[-1]:.2f} s, "
    return text + f"strongest at {at[frame]:.2f} s near {round(float(hz), -1):.0f} Hz."


# --- a corpus ---------------------------------------------------------------------------------


def class_balance(counts: dict[str, dict[str, int]], ax=None):
    """Draw clips per word as bars, the splits on top of each other.

    ``counts``: split to word to clips, ``{"train": {"yes": 80, "no": 78}, "test": ...}``.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    words = list(dict.fromkeys(word for of in counts.values() for word in of))
    if not words:
        raise ValueError("no words to draw: expected {'train': {'yes': 80, ...}, ...}")
    ax = _axes(max(5, min(11, 2 + 0.45 * len(words))), 3.2) if ax is None else ax
    bottom = [0] * len(words)
    for i, (split, of) in enumerate(counts.items()):
        color, hatch = _FILLS[i % len(_FILLS)]
        height = [of.get(word, 0) for word in words]
        style = {"color": color, "hatch": hatch, "edgecolor": "black", "linewidth": 0.5}
        ax.bar(words, height, bottom=bottom, label=f"{split} ({sum(height):,})", **style)
        bottom = [a + b for a, b in zip(bottom, height, strict=True)]
    ax.set(ylabel="Clips", xlim=(-0.6, len(words) - 0.4))
    ax.tick_params(axis="x", length=0, rotation=90 if len(words) > 12 else 0)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(counts), frameon=False)
    return _clean(ax, "y")


def describe_class_balance(counts: dict[str, dict[str, int]]) -> str:
    """Say how many clips each split holds, and which word has fewest and most.

    >>> describe_class_balance({"train": {"yes": 80, "no": 78}, "test": {"yes": 9, "no": 9}})
    'Clips per word: train 158 in 2 words, 78 (no) to 80 (yes); test 18 in 2 words, 9 each.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    texts = []
    for split, of in counts.items():
        text = f"{split} {sum(of.values()):,} in {len(of)} words"
        few, many = min(of, key=of.get, default=None), max(of, key=of.get, default=None)
        if of and of[few] == of[many]:
            text += f", {of[few]:,} each"
        elif of:
            text += f", {of[few]:,} ({few}) to {of[many]:,} ({many})"
        texts.append(text)
    return f"Clips per word: {'; '.join(texts)}."


def clip_lengths(lengths, sample_rate, ax=None):
    """Draw a histogram, on a logarithmic axis, of ``lengths`` (clips,) in samples, as seconds.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    seconds = _array(lengths, float) / _rate(sample_rate)
    if seconds.size == 0:
        raise ValueError("no clip lengths to draw")
    ax = _axes(6, 2.6) if ax is None else ax
    ax.hist(seconds, bins=30, color=_COLOURS[0], edgecolor="white", linewidth=0.5, log=True)
    ax.set(xlabel="Length (s)", ylabel="Clips (log scale)")
    ax.set_ylim(bottom=0.6)
    ax.yaxis.set_major_formatter("{x:,.0f}")
    return _clean(ax, "y")


def describe_clip_lengths(lengths, sample_rate) -> str:
    """Say how long the clips are, in seconds, from ``lengths`` (clips,) in samples.

    >>> describe_clip_lengths([8000, 16000, 16000, 16000], 16000)
    'Lengths of 4 clips: 0.50 to 1.00 s, median 1.00 s; 75.0 % last exactly 1.00 s.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    lengths, rate = _array(lengths), _rate(sample_rate)
    values, counts = np.unique(lengths, return_counts=True)
    text = f"Lengths of {lengths.size:,} clips: {values[0] / rate:.2f} to {values[-1] / rate:.2f} s"
    text += f", median {np.median(lengths) / rate:.2f} s; {100 * counts.max() / lengths.size:.1f} %"
    return f"{text} last exactly {values[counts.argmax()] / rate:.2f} s."


# --- training and analysis --------------------------------------------------------------------


def _curves(history) -> dict:
    """Quantity to split to values (epochs,); other keys, such as "seconds", are left out."""
    found = {}
    for quantity in _QUANTITIES:
        of = {split: _array(history.get(f"{split}_{quantity}", ()), float) for split in _SPLITS}
        found[quantity] = {split: values for split, values in of.items() if values.size}
    found = {quantity: of for quantity, of in found.items() if of}
    if not found:
        raise ValueError(f"no curve such as 'train_loss' in the history's keys: {list(history)}")
    return found


def learning_curves(history: dict[str, list[float]], axes=None, chance=None):
    """Draw loss and accuracy against epochs, side by side; returns the array of axes.

    ``history`` holds a value per epoch under keys such as ``train_loss`` and
    ``validation_accuracy`` (also ``_cer``, ``_wer``): one axes each of loss, accuracy and so
    on. Accuracies, and ``chance`` (a dotted line), are fractions.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    curves = _curves(history)
    axes = np.atleast_1d(_axes(4 * len(curves), 2.9, len(curves)) if axes is None else axes)
    for ax, (quantity, of) in zip(axes.flat, curves.items(), strict=True):
        name, scale, unit = _QUANTITIES[quantity]
        for split, values in of.items():
            style = _line(_SPLITS.index(split), values.size)
            ax.plot(np.arange(1, values.size + 1), scale * values, label=split, **style)
        if quantity != "loss":
            _chance(ax, chance)
        epochs = max(values.size for values in of.values())
        drawn = scale * np.concatenate(list(of.values()))
        top = 1.05 * drawn[np.isfinite(drawn)].max(initial=1e-3)
        ax.set(xlabel="Epoch", xlim=(0.5, epochs + 0.5))
        ax.set_ylim(0, 102 if quantity == "accuracy" else top)
        label = quantity.upper() if len(quantity) == 3 else name.capitalize()  # CER, WER: three fit
        ax.set_ylabel(label + (f" ({unit})" if unit else ""))
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.legend(frameon=False)
        _clean(ax)
    return axes


def describe_curves(history: dict[str, list[float]]) -> str:
    """Say where each curve, a value per epoch, starts and ends, and the best validation.

    >>> describe_curves({"train_loss": [2.3, 0.5], "validation_accuracy": [0.1, 0.8]})
    'Learning curves: train loss 2.30 to 0.50; validation accuracy 10.0 to 80.0 %, best in epoch 2.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    texts = []
    for quantity, of in _curves(history).items():
        name, scale, unit = _QUANTITIES[quantity]
        for split, values in of.items():
            first, last = (f"{scale * values[i]:.{1 if unit else 2}f}" for i in (0, -1))
            text = f"{split} {name} {first} to {last} {unit}".rstrip()
            if split == "validation":
                good = values if quantity == "accuracy" else -values
                text += f", best in epoch {np.nan_to_num(good, nan=-np.inf).argmax() + 1}"
            texts.append(text)
    return f"Learning curves: {'; '.join(texts)}."


def accuracy_against(x, curves: dict, ax=None, *, xlabel: str, chance=None):
    """Draw accuracies in percent against what was done to the clips: robustness curves.

    ``x`` (points,), with its unit in ``xlabel``: ``"Shift (ms)"``; ``curves``: name to
    accuracies (points,), fractions, as is ``chance`` (a dotted line).

    Notebook: 01_speech_commands_mlp.ipynb
    """
    x = _array(x, float)
    ax = _axes(7.5, 3.2) if ax is None else ax
    for i, (name, values) in enumerate(curves.items()):
        values = _array(values, float)
        if values.shape != x.shape:
            raise ValueError(f"curve {name!r} has shape {values.shape}, but x has {x.shape}")
        ax.plot(x, 100 * values, label=name, **_line(i, 0))
    _chance(ax, chance)
    ax.set(xlabel=xlabel, ylabel="Accuracy (%)", ylim=(0, 102))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return _clean(ax)


def describe_against(x, curves: dict, xlabel: str) -> str:
    """Say where each curve of accuracies, (points,) as ``x``, is highest and lowest.

    >>> describe_against([-100, 0, 100], {"MLP": [0.3, 0.9, 0.4]}, "Shift (ms)")
    'Accuracy against Shift (ms): MLP highest, 90 %, at 0, lowest, 30 %, at -100.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    texts = []
    for name, values in curves.items():
        values = _array(values, float)
        points = {"highest": values.argmax(), "lowest": values.argmin()}
        at = (f"{how}, {100 * values[i]:.0f} %, at {x[i]:g}" for how, i in points.items())
        texts.append(f"{name} {', '.join(at)}")
    return f"Accuracy against {xlabel}: {'; '.join(texts)}."


def confusion_matrix(targets, predictions, words: list[str], ax=None, counts=False):
    """Draw which word (row) was heard as which (column): shares of the row, or counts of clips.

    ``targets``, ``predictions`` (clips,): indices of ``words``. Above 12 words the cells hold
    no numbers, and the scale of colours is a square root, so that rare confusions show.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from matplotlib.colors import PowerNorm
    from sklearn.metrics import ConfusionMatrixDisplay

    many = len(words) > 12
    ax = (_axes(8.4, 7.2) if many else _axes(6.2, 5.2)) if ax is None else ax
    drawn = ConfusionMatrixDisplay.from_predictions(
        *(_array(targets), _array(predictions)),
        **{"labels": range(len(words)), "display_labels": words, "ax": ax, "colorbar": False},
        **{"normalize": None if counts else "true", "values_format": "d" if counts else ".0%"},
        **{"include_values": not many, "text_kw": {"fontsize": 8}, "cmap": "Blues"},
        im_kw={"norm": PowerNorm(0.5 if many else 1, vmin=0, vmax=None if counts else 1)},
    )
    for text in [] if many else drawn.text_.flat:
        text.set_visible(text.get_text() not in ("0", "0%"))
    scale = ax.figure.colorbar(drawn.im_, ax=ax, label="Clips" if counts else "Share of the row")
    if not counts:
        scale.ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.set(xlabel="Predicted word", ylabel="Spoken word")
    ax.tick_params(labelsize=8 if many else 9)
    ax.tick_params(axis="x", rotation=90 if many else 45)
    return ax


def describe_confusion(targets, predictions, words: list[str]) -> str:
    """Say how much lies on the diagonal, and the most frequent confusion; arrays (clips,).

    >>> describe_confusion([0, 0, 1, 1], [0, 1, 1, 1], ["yes", "no"]).partition(": ")[2]
    "75.0 % on the diagonal; most frequent confusion: 'yes' heard as 'no', 1 of 2 clips."

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    clips = np.zeros((len(words), len(words)), int)
    np.add.at(clips, (_array(targets), _array(predictions)), 1)
    text = f"Confusion matrix of {len(words)} words, {clips.sum():,} clips: "
    text += f"{100 * clips.trace() / max(1, clips.sum()):.1f} % on the diagonal; "
    wrong = clips * (1 - np.eye(len(words), dtype=int))
    if not wrong.any():
        return text + "no confusions."
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    text += f"most frequent confusion: '{words[row]}' heard as '{words[column]}', "
    return text + f"{wrong[row, column]} of {clips[row].sum()} clips."


# --- a first layer ----------------------------------------------------------------------------


def _responses(weights, sample_rate):
    """Gain (kernel, 257) from 0 to half the rate, its frequencies in Hz, and the kernels' order."""
    import numpy as np

    weights = _array(weights, float)
    if weights.ndim != 2:
        raise ValueError(f"expected kernels of shape (kernel, taps), got {weights.shape}")
    gain = np.abs(np.fft.rfft(weights, 512, axis=1))
    gain = gain / np.maximum(gain.max(axis=1, keepdims=True), 1e-12)
    hz = np.arange(gain.shape[1]) * sample_rate / 512
    return gain, hz, np.argsort(hz[gain.argmax(axis=1)], kind="stable")


def kernels(weights, sample_rate, axes=None):
    """Draw kernels (kernel, taps) as waveforms, ms, and as frequency responses, Hz.

    Both are sorted by the frequency of the largest response. The dashed line on the right has as
    many frequencies, evenly spaced on the mel scale.

    Notebook: 02_raw_waveform_cnn.ipynb
    """
    import numpy as np

    sample_rate = _rate(sample_rate)
    gain, hz, order = _responses(weights, sample_rate)
    weights = _array(weights, float)[order]
    axes = _axes(10, 4.5, 2) if axes is None else axes
    left, right = axes
    ms = 1000 * np.arange(weights.shape[1]) / sample_rate
    for row, weight in enumerate(weights):
        left.plot(ms, row + 0.45 * weight / np.abs(weight).max(), color=_COLOURS[0], linewidth=0.8)
    left.set(xlabel="Time (ms)", ylabel="Kernel, sorted", xlim=(0, ms[-1]))
    image = right.pcolormesh(hz, np.arange(len(weights)), gain[order], cmap="magma")
    centres = np.linspace(0, _hz_to_mel(sample_rate / 2), len(weights) + 2)[1:-1]
    right.plot(_mel_to_hz(centres), np.arange(len(weights)), "--", color="white", label="mel scale")
    right.set(xlabel="Frequency (Hz)", ylabel="Kernel, sorted", xlim=(0, sample_rate / 2))
    legend = right.legend(loc="lower right", facecolor="0.2", framealpha=0.8)
    for text in legend.get_texts():
        text.set_color("white")
    right.figure.colorbar(image, ax=right, label="Gain, relative to each kernel's peak", pad=0.01)
    return axes


def describe_kernels(weights, sample_rate) -> str:
    """Say how many kernels (kernel, taps) there are, and how their frequencies are spread.

    Notebook: 02_raw_waveform_cnn.ipynb
    """
    import numpy as np

    gain, hz, _ = _responses(weights, _rate(sample_rate))
    peaks = np.sort(hz[gain.argmax(axis=1)])
    taps = _array(weights).shape[1]
    return (
        f"{len(peaks)} kernels of {taps} taps, {1000 * taps / sample_rate:.0f} ms, as waveforms "
        "and as frequency responses. "
        f"They answer most at {peaks[0]:.0f} to {peaks[-1]:.0f} Hz, median "
        f"{np.median(peaks):.0f} Hz; {(peaks < 1000).sum()} of them below 1000 Hz."
    )


# --- on the page ------------------------------------------------------------------------------


def _img(fig, alt: str) -> str:
    from matplotlib import pyplot as plt
    from PIL import Image

    if not isinstance(alt, str) or len(alt.strip()) < 20:
        raise ValueError(
            f"alt={alt!r} says too little: describe in words what the figure shows, for readers "
            "who cannot see it (20 characters at least; a describe_ function writes it for you)"
        )
    pixels = io.BytesIO()
    fig.savefig(pixels, format="png", dpi=100, facecolor="white", bbox_inches="tight")
    plt.close(fig)
    png = io.BytesIO()
    # 256 colours halve the size of a notebook, and without a date the bytes stay the same.
    Image.open(pixels).convert("RGB").quantize(256).save(png, format="png", optimize=True)
    data, alt = base64.b64encode(png.getvalue()).decode(), html.escape(" ".join(alt.split()))
    return f'<img alt="{alt}" src="data:image/png;base64,{data}" style="max-width:100%">'


def show(fig, alt: str) -> None:
    """Show a Figure (or its Axes, or an array of them) with alt text, and close it.

    ``alt`` says in words what is seen; see the ``describe_*`` functions. A text of less than
    20 characters raises a ValueError.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from IPython.display import HTML, display

    ax = fig.flat[0] if hasattr(fig, "flat") else fig
    display(HTML(_img(ax.figure, alt)))


def _player(x, sample_rate, label: str, picture: str = "") -> str:
    import soundfile
    import soxr

    x, sample_rate = _samples(x), _rate(sample_rate)
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


def player(x, sample_rate, label: str):
    """A labelled player (IPython HTML), at the clip's true loudness.

    ``x`` (time,) or (1, time); samples beyond [-1, 1] are clipped, and the label says so. A
    ``sample_rate`` in Hz that MP3 lacks is resampled to the next one above.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from IPython.display import HTML

    return HTML(_player(x, sample_rate, label))


def players(clips: list[tuple], sample_rate, columns: int = 4, images: bool = False):
    """Players in a grid (IPython HTML): ``clips`` are pairs of ``x`` (time,) and a label.

    ``sample_rate`` in Hz; ``images`` draws a small waveform above each, all on one scale.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from IPython.display import HTML

    limit = max([0.01, *(1.05 * abs(_samples(x)).max() for x, _ in clips)])
    cells = []
    for x, label in clips:
        picture = ""
        if images:
            ax = waveform(x, sample_rate, ax=_axes(2.4, 0.7))
            ax.set(ylim=(-limit, limit), xlabel="", ylabel="", yticks=[])
            ax.tick_params(labelsize=7)
            ax.xaxis.set_major_formatter("{x:g} s")
            ax.spines["left"].set_visible(False)
            picture = _img(ax.figure, describe_waveform(x, sample_rate, label))
        cells.append(f'<div role="listitem">{_player(x, sample_rate, label, picture)}</div>')
    style = f"display:grid;grid-template-columns:repeat({columns},minmax(0,1fr));gap:0.5em"
    return HTML(f'<div role="list" style="{style}">{"".join(cells)}</div>')


# --- sequences of frames ----------------------------------------------------------------------

# In a module of their own, which builds on this one; hence at the end.
from course_utils.plots_sequence import (  # noqa: E402, F401
    alignment,
    describe_alignment,
    describe_features,
    describe_filterbank,
    describe_posteriors,
    features,
    filterbank,
    posteriors,
    table,
)
