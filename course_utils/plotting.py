"""Plots and players of the course: draw on an axes, describe in words, show with alt text.

A plot function draws on ``ax`` (a new figure where there is none) and returns it; the
``describe_*`` function of the same plot says in words what it shows, from the same data.
:func:`show` puts both on the page. Axes are in seconds and Hz. Arrays are NumPy or torch::

    ax = plotting.waveform(x, 16000)
    plotting.show(ax, alt=plotting.describe_waveform(x, 16000, "yes"))
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
# quantity of a history -> axis label, and what turns a value into the axis's unit
_QUANTITIES = {
    "loss": ("Loss", 1),
    "accuracy": ("Accuracy (%)", 100),
    "cer": ("Character error rate (%)", 100),
    "wer": ("Word error rate (%)", 100),
}


# --- helpers ----------------------------------------------------------------------------------


def _array(x, dtype=None):
    import numpy as np

    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=dtype)


def _samples(x):
    """One clip as a float array of shape (time,), or a ValueError that says what is wrong."""
    import numpy as np

    x = _array(x)
    shape = x.shape
    if x.ndim == 2 and shape[0] == 1:
        x = x[0]
    if x.ndim != 1:
        raise ValueError(f"expected one mono clip, (time,) or (1, time), got shape {shape}")
    if x.size == 0:
        raise ValueError("the clip is empty: it has no samples")
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"expected float samples in [-1, 1], got {x.dtype} (int16: / 32768)")
    if not np.isfinite(x).all():
        raise ValueError(f"the clip holds {(~np.isfinite(x)).sum()} samples that are NaN or inf")
    return x


def _rate(sample_rate) -> int:
    if sample_rate <= 0 or sample_rate != int(sample_rate):
        raise ValueError(f"sample_rate must be a positive whole number of Hz, got {sample_rate}")
    return int(sample_rate)


def _axes(width: float, height: float, columns: int = 1):
    from matplotlib import pyplot as plt

    size = (width, height)
    return plt.subplots(1, columns, figsize=size, layout="constrained", facecolor="white")[1]


def _line(i: int, points: int) -> dict:
    """Colour, dashes and markers of line number i."""
    styles = {"color": _COLOURS, "linestyle": _DASHES, "marker": _MARKERS}
    style = {name: values[i % len(values)] for name, values in styles.items()}
    return style | {"markersize": 4, "markevery": max(1, points // 10)}


def _chance(ax, chance: float | None):
    if chance is not None:
        ax.axhline(100 * chance, color="0.35", linestyle=":", label="chance")


def _clean(ax, grid: str):
    """A light frame, and a thin grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, color="0.85", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def _list(texts) -> str:
    return "; ".join(texts) + "."


# --- one clip ---------------------------------------------------------------------------------


def waveform(x, sample_rate, ax=None, label=None, **line):
    """Draw amplitude against time in seconds; a second call on the same ``ax`` adds a line.

    Parameters
    ----------
    x : array, (time,) or (1, time)
        Samples in [-1, 1].
    sample_rate : int
        In Hz.
    label : str, optional
        Entry of the legend.
    **line
        Settings of matplotlib's ``Axes.plot``.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    x, sample_rate = _samples(x), _rate(sample_rate)
    ax = _axes(8, 2.2) if ax is None else ax
    color = _COLOURS[len(ax.get_lines()) % len(_COLOURS)]
    ax.plot(np.arange(x.size) / sample_rate, x, label=label, **{"color": color, "lw": 0.7, **line})
    lines = [drawn for drawn in ax.get_lines() if len(drawn.get_xdata())]
    limit = 1.05 * max(0.01, *(np.abs(drawn.get_ydata()).max() for drawn in lines))
    end = max(x.size / sample_rate, *(np.max(drawn.get_xdata()) for drawn in lines))
    ax.set(xlabel="Time (s)", ylabel="Amplitude", xlim=(0, end), ylim=(-limit, limit))
    if label is not None:
        ax.legend(loc="upper right", frameon=False)
    return _clean(ax, "both")


def describe_waveform(x, sample_rate, name: str) -> str:
    """Say how long and how loud a clip, (time,) or (1, time), is, and where it is loudest.

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
    loudest = min((int(energy.argmax()) + 0.5) * block / sample_rate, seconds)
    return (
        f"Waveform of {name}: {seconds:.2f} s, peak amplitude {peak:.2f}, "
        f"loudest around {loudest:.2f} s."
    )


def _log_mel(x, sample_rate, n_fft, hop_length, n_mels):
    """Level in dB below the peak, (n_mels, frames), and the edges of the bands in Hz."""
    import librosa
    import numpy as np

    x, sample_rate = _samples(x), _rate(sample_rate)
    x = np.pad(x, (0, max(0, n_fft - x.size)))
    power = librosa.feature.melspectrogram(
        y=x, sr=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels
    )
    top = librosa.hz_to_mel(sample_rate / 2)
    edges = librosa.mel_to_hz((np.arange(n_mels + 1) + 0.5) * top / (n_mels + 1))
    return librosa.power_to_db(power, ref=np.max), edges


def log_mel(x, sample_rate, ax=None, n_fft=512, hop_length=160, n_mels=64, colorbar=True):
    """Draw the log-mel spectrogram: time in seconds, Hz on the mel scale, dB below the peak.

    Parameters
    ----------
    x : array, (time,) or (1, time)
        Samples in [-1, 1].
    sample_rate : int
        In Hz.
    n_fft, hop_length : int
        Window and hop in samples; the defaults are 32 ms and 10 ms at 16 kHz.
    n_mels : int
        Mel bands between 0 Hz and half the sample rate.
    colorbar : bool
        Whether to draw the scale of levels.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import librosa
    import numpy as np

    level, edges = _log_mel(x, sample_rate, n_fft, hop_length, n_mels)
    ax = _axes(8, 2.8) if ax is None else ax
    times = (np.arange(level.shape[1] + 1) - 0.5) * hop_length / sample_rate
    image = ax.pcolormesh(times, edges, level, cmap="magma", rasterized=True)
    ax.set_yscale("function", functions=(librosa.hz_to_mel, librosa.mel_to_hz))
    ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000, 16000) if hz <= edges[-1]]
    ax.set_yticks(ticks, [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    ax.set_yticks([], minor=True)
    ax.set(xlabel="Time (s)", ylabel="Frequency (Hz)")
    ax.set(xlim=(0, _samples(x).size / sample_rate), ylim=(edges[0], edges[-1]))
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label="Level (dB re peak)", pad=0.01)
    return ax


def describe_log_mel(x, sample_rate, name: str, n_fft=512, hop_length=160, n_mels=64) -> str:
    """Say when a clip, (time,) or (1, time), is active and where its energy peaks.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    level, edges = _log_mel(x, sample_rate, n_fft, hop_length, n_mels)
    seconds = _samples(x).size / sample_rate
    text = f"Log-mel spectrogram of {name}: {seconds:.2f} s, up to {sample_rate // 2} Hz; "
    if not np.any(_samples(x)):
        return text + "silent."
    active = np.flatnonzero(level.max(axis=0) > -30) * hop_length / sample_rate
    band, frame = np.unravel_index(level.argmax(), level.shape)
    hz = round(float(edges[band] + edges[band + 1]) / 2, -1)
    return text + (
        f"within 30 dB of its peak from {active[0]:.2f} to {min(active[-1], seconds):.2f} s, "
        f"strongest at {min(frame * hop_length / sample_rate, seconds):.2f} s near {hz:.0f} Hz."
    )


# --- a corpus ---------------------------------------------------------------------------------


def class_balance(counts: dict[str, dict[str, int]], ax=None):
    """Draw clips per word as bars, the splits on top of each other.

    Parameters
    ----------
    counts : dict
        Split to word to number of clips: ``{"train": {"yes": 80, "no": 78}, "test": ...}``.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    words = list(dict.fromkeys(word for split in counts.values() for word in split))
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
    ax.tick_params(axis="x", length=0, rotation=60 if len(words) > 12 else 0)
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(counts), frameon=False)
    return _clean(ax, "y")


def describe_class_balance(counts: dict[str, dict[str, int]]) -> str:
    """Say how many clips each split holds, and which word has fewest and most.

    >>> describe_class_balance({"train": {"yes": 80, "no": 78}, "test": {"yes": 9, "no": 9}})
    'Clips per word: train 158 in 2 words, from 78 (no) to 80 (yes); test 18 in 2 words, 9 each.'

    Notebook: 01_speech_commands_mlp.ipynb
    """

    def describe(split, of):
        few, many = (f(of, key=of.get, default="") for f in (min, max))
        text = f"{split} {sum(of.values()):,} in {len(of)} words"
        if not of:
            return f"{split} is empty"
        if of[few] == of[many]:
            return f"{text}, {of[few]:,} each"
        return f"{text}, from {of[few]:,} ({few}) to {of[many]:,} ({many})"

    return "Clips per word: " + _list(describe(*item) for item in counts.items())


def clip_lengths(lengths, sample_rate, ax=None):
    """Draw a histogram of clip lengths in seconds; the counts are on a logarithmic axis.

    Parameters
    ----------
    lengths : array, (clips,)
        In samples.
    sample_rate : int
        In Hz.

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
    """Say how long the clips, (clips,) in samples, are.

    >>> describe_clip_lengths([8000, 16000, 16000, 16000], 16000)
    'Lengths of 4 clips: 0.50 to 1.00 s, median 1.00 s; 75 % last exactly 1.00 s.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    lengths = _array(lengths)
    values, counts = np.unique(lengths, return_counts=True)
    low, middle, high, usual = (
        n / _rate(sample_rate)
        for n in (values[0], np.median(lengths), values[-1], values[counts.argmax()])
    )
    share = counts.max() / lengths.size
    return (
        f"Lengths of {lengths.size:,} clips: {low:.2f} to {high:.2f} s, median {middle:.2f} s; "
        f"{share:.0%} last exactly {usual:.2f} s.".replace("%", " %")
    )


# --- training and analysis --------------------------------------------------------------------


def _curves(history) -> dict:
    """Quantity to split to array (epochs,); keys such as "seconds" are left out."""
    found = {}
    for quantity in _QUANTITIES:
        of = {s: _array(history.get(f"{s}_{quantity}", ()), float) for s in _SPLITS}
        if any(values.size for values in of.values()):
            found[quantity] = {split: values for split, values in of.items() if values.size}
    if not found:
        raise ValueError(f"no curve such as 'train_loss' in the history's keys: {list(history)}")
    return found


def learning_curves(history: dict[str, list[float]], axes=None, chance=None):
    """Draw loss and accuracy against epochs, side by side; returns the array of axes.

    Parameters
    ----------
    history : dict
        One value per epoch under keys such as ``train_loss`` and ``validation_accuracy``
        (or ``_cer``, ``_wer``), accuracies as fractions. Each quantity has its axes.
    chance : float, optional
        What guessing reaches, a fraction: a dotted line.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    curves = _curves(history)
    axes = _axes(4 * len(curves), 2.9, len(curves)) if axes is None else axes
    axes = np.atleast_1d(axes)
    for ax, (quantity, of) in zip(axes.flat, curves.items(), strict=True):
        name, scale = _QUANTITIES[quantity]
        for split, values in of.items():
            style = _line(_SPLITS.index(split), values.size)
            ax.plot(np.arange(1, values.size + 1), scale * values, label=split, **style)
        if quantity != "loss":
            _chance(ax, chance)
            ax.set_ylim(0, 102 if quantity == "accuracy" else None)
        ax.set(xlabel="Epoch", ylabel=name)
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(frameon=False)
        _clean(ax, "both")
    return axes


def describe_curves(history: dict[str, list[float]]) -> str:
    """Say where each learning curve starts and ends, and where validation is at its best.

    >>> describe_curves({"train_loss": [2.3, 0.5], "validation_accuracy": [0.1, 0.8]})
    'Learning curves: train loss 2.30 to 0.50; validation accuracy 10.0 to 80.0 %, best in epoch 2.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    texts = []
    for quantity, of in _curves(history).items():
        scale = _QUANTITIES[quantity][1]
        digits, unit = (2, "") if scale == 1 else (1, " %")
        for split, values in of.items():
            first, last = (f"{scale * values[i]:.{digits}f}" for i in (0, -1))
            text = f"{split} {quantity} {first} to {last}{unit}"
            if split == "validation":
                best = values.argmax() if quantity == "accuracy" else values.argmin()
                text += f", best in epoch {best + 1}"
            texts.append(text)
    return "Learning curves: " + _list(texts)


def accuracy_against(x, curves: dict, ax=None, *, xlabel: str, chance=None):
    """Draw accuracies in percent against what was done to the clips: robustness curves.

    Parameters
    ----------
    x : array, (points,)
        Shift, signal-to-noise ratio, speed.
    curves : dict
        Name to array (points,) of accuracies, fractions.
    xlabel : str
        With its unit: ``"Shift (ms)"``.
    chance : float, optional
        What guessing reaches, a fraction: a dotted line.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    x = _array(x, float)
    ax = _axes(6, 3.2) if ax is None else ax
    for i, (name, values) in enumerate(curves.items()):
        values = _array(values, float)
        if values.shape != x.shape:
            raise ValueError(f"curve {name!r} has shape {values.shape}, but x has {x.shape}")
        ax.plot(x, 100 * values, label=name, **_line(i, 0))
    _chance(ax, chance)
    ax.set(xlabel=xlabel, ylabel="Accuracy (%)", ylim=(0, 102))
    ax.legend(frameon=False)
    return _clean(ax, "both")


def describe_against(x, curves: dict, xlabel: str) -> str:
    """Say where each curve (points,) of accuracies, fractions, is highest and lowest.

    >>> describe_against([-100, 0, 100], {"MLP": [0.3, 0.9, 0.4]}, "Shift (ms)")
    'Accuracy against Shift (ms): MLP highest, 90 %, at 0, lowest, 30 %, at -100.'

    Notebook: 01_speech_commands_mlp.ipynb
    """
    x = _array(x, float)

    def describe(name, values):
        values = _array(values, float)
        high, low = int(values.argmax()), int(values.argmin())
        return (
            f"{name} highest, {100 * values[high]:.0f} %, at {x[high]:g}, "
            f"lowest, {100 * values[low]:.0f} %, at {x[low]:g}"
        )

    return f"Accuracy against {xlabel}: " + _list(describe(*item) for item in curves.items())


def confusion_matrix(targets, predictions, words: list[str], ax=None, counts=False):
    """Draw which word (row) was heard as which (column), in shares of the row or in counts.

    Parameters
    ----------
    targets, predictions : array, (clips,)
        Numbers of classes, from 0.
    words : list of str
        The word of each class. Up to 12 words, the cells hold numbers too.
    counts : bool
        Draw clips instead of shares.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    many = len(words) > 12
    ax = (_axes(8.2, 7.2) if many else _axes(6.2, 5.2)) if ax is None else ax
    drawn = ConfusionMatrixDisplay.from_predictions(
        _array(targets),
        _array(predictions),
        labels=range(len(words)),
        display_labels=words,
        normalize=None if counts else "true",
        include_values=not many,
        values_format="d" if counts else ".0%",
        cmap="Blues",
        colorbar=False,
        text_kw={"fontsize": 8},
        im_kw={"vmin": 0} if counts else {"vmin": 0, "vmax": 1},
        ax=ax,
    )
    for text in drawn.text_.flat if drawn.text_ is not None else ():
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

    >>> describe_confusion([0, 0, 1, 1], [0, 1, 1, 1], ["yes", "no"])
    "Confusion matrix of 2 words, 4 clips: 75.0 % on the diagonal; most frequent confusion: \
'yes' heard as 'no', 1 of 2 clips."

    Notebook: 01_speech_commands_mlp.ipynb
    """
    import numpy as np

    targets, predictions = _array(targets), _array(predictions)
    matrix = np.zeros((len(words), len(words)), int)
    np.add.at(matrix, (targets, predictions), 1)
    share = 100 * matrix.trace() / max(1, matrix.sum())
    text = (
        f"Confusion matrix of {len(words)} words, {targets.size:,} clips: "
        f"{share:.1f} % on the diagonal; "
    )
    wrong = matrix - np.diag(matrix.diagonal())
    if not wrong.any():
        return text + "no confusions."
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    return text + (
        f"most frequent confusion: '{words[row]}' heard as '{words[column]}', "
        f"{wrong[row, column]} of {matrix[row].sum()} clips."
    )


# --- on the page ------------------------------------------------------------------------------


def _img(fig, alt: str, dpi: int = 100) -> str:
    """The figure as ``<img>`` with alt text; the same figure gives the same bytes."""
    from matplotlib import pyplot as plt

    if not isinstance(alt, str) or len(alt.strip()) < 20:
        raise ValueError(
            f"alt={alt!r} says too little: describe in words what the figure shows, for readers "
            "who cannot see it (20 characters at least; the describe_ functions write it for you)"
        )
    png = io.BytesIO()
    fig.savefig(
        png,
        dpi=dpi,
        facecolor="white",
        bbox_inches="tight",
        metadata={"Software": None},
        pil_kwargs={"optimize": True},
    )
    plt.close(fig)
    data = base64.b64encode(png.getvalue()).decode()
    alt = html.escape(" ".join(alt.split()))
    return f'<img alt="{alt}" src="data:image/png;base64,{data}" style="max-width:100%">'


def show(fig, alt: str) -> None:
    """Show a figure with alt text, and close it.

    Parameters
    ----------
    fig : Figure, Axes or array of Axes
        What to show.
    alt : str
        In words, what is seen; see the ``describe_*`` functions.

    Raises
    ------
    ValueError
        If ``alt`` is missing or says next to nothing.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from IPython.display import HTML, display

    ax = fig.flat[0] if hasattr(fig, "flat") else fig
    display(HTML(_img(ax.figure, alt)))


def _player(x, sample_rate, label: str, picture: str = "") -> str:
    import numpy as np
    import soundfile
    import soxr

    x, sample_rate = _samples(x).astype(np.float32), _rate(sample_rate)
    if not str(label).strip():
        raise ValueError("a player needs a label that says what is heard")
    over = int((np.abs(x) > 1).sum())
    if over:
        label = f"{label} (clipped: {over} samples beyond full scale)"
    rate = min((rate for rate in MP3_RATES if rate >= sample_rate), default=MP3_RATES[-1])
    if rate != sample_rate:
        x = soxr.resample(x.clip(-1, 1), sample_rate, rate)
    mp3 = io.BytesIO()
    soundfile.write(mp3, x.clip(-1, 1), rate, format="MP3")
    data, label = base64.b64encode(mp3.getvalue()).decode(), html.escape(str(label))
    return (
        f'<figure style="margin:0 0 0.5em">{picture}<figcaption>{label}</figcaption>'
        f'<audio controls aria-label="{label}" style="width:100%;max-width:20em" '
        f'src="data:audio/mpeg;base64,{data}"></audio></figure>'
    )


def player(x, sample_rate, label: str):
    """A player with its label, at the clip's true loudness; samples beyond [-1, 1] are clipped.

    Parameters
    ----------
    x : array, (time,) or (1, time)
        Samples in [-1, 1].
    sample_rate : int
        In Hz; a rate that MP3 lacks is resampled to the next one above.
    label : str
        What is heard.

    Returns
    -------
    IPython.display.HTML

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from IPython.display import HTML

    return HTML(_player(x, sample_rate, label))


def players(clips: list[tuple], sample_rate, columns: int = 4, images: bool = False):
    """Players in a grid, as HTML.

    Parameters
    ----------
    clips : list of (x, label)
        Clips (time,) or (1, time) with samples in [-1, 1], and what is heard.
    sample_rate : int
        In Hz.
    columns : int
        Players side by side.
    images : bool
        Draw a small waveform above each player, all on one scale.

    Notebook: 01_speech_commands_mlp.ipynb
    """
    from IPython.display import HTML

    limit = 1.05 * max([0.01] + [abs(_samples(x)).max() for x, _ in clips])

    def picture(x, label):
        ax = waveform(x, sample_rate, ax=_axes(2.4, 0.7))
        ax.set(ylim=(-limit, limit), xlabel="", ylabel="", yticks=[])
        ax.tick_params(labelsize=7)
        ax.xaxis.set_major_formatter("{x:g} s")
        ax.spines["left"].set_visible(False)
        return _img(ax.figure, describe_waveform(x, sample_rate, label))

    cells = (
        f'<div role="listitem">{_player(x, sample_rate, label, (images and picture(x, label)) or "")}'
        "</div>"
        for x, label in clips
    )
    style = f"display:grid;grid-template-columns:repeat({columns},minmax(0,1fr));gap:0.5em"
    return HTML(f'<div role="list" style="{style}">{"".join(cells)}</div>')
