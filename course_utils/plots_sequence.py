"""Plots of sequences of frames: features, filters, probabilities of symbols, aligned letters.

They belong to ``plotting``, which offers them under its own name (``plotting.features``), and
keep its rules: draw on ``ax`` (a new figure where there is none) and return it; the ``describe_*``
function of the same plot says in words what it shows, from the same data.

Frame ``t`` is centred at ``t * hop_seconds``; arrays are NumPy's or torch's.
"""

import html
from numbers import Real

#: A symbol is drawn where its probability exceeds this in some frame.
VISIBLE = 0.05


def _picture(values, what="(feature, frame)"):
    """A finite float array of two dimensions, neither empty, or a ValueError."""
    import numpy as np

    from course_utils.plotting import _array

    values = _array(values)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"expected {what}, neither empty, got shape {values.shape}")
    values = values.astype(float)
    if np.isnan(values).any():
        raise ValueError(f"{np.isnan(values).sum()} of {values.size} values are NaN")
    return values


def _hop(hop_seconds) -> float:
    if not (isinstance(hop_seconds, Real) and 0 < hop_seconds < float("inf")):
        raise ValueError(f"hop_seconds must be a positive number of seconds, got {hop_seconds!r}")
    if hop_seconds > 10:
        raise ValueError(f"hop_seconds is {hop_seconds:g} s between two frames: is it in samples?")
    return float(hop_seconds)


def _edges(frames: int, hop_seconds: float):
    """The edges of the frames in s, (frames + 1,)."""
    import numpy as np

    return (np.arange(frames + 1) - 0.5) * hop_seconds


# --- features ---------------------------------------------------------------------------------


def features(
    values, hop_seconds, ax=None, ylabel="Coefficient", title=None, colorbar=True, **style
):
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
        Whether a scale of colours stands beside it; a str is its label.
    **style
        Settings of ``Axes.pcolormesh``, such as ``vmin`` and ``vmax``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If `values` are not a finite (feature, frame), or the hop is no time.

    Notebook: 03_mfcc_lstm_augmentation.ipynb
    """
    import numpy as np

    from course_utils.plotting import _axes

    values, hop_seconds = _finite(values), _hop(hop_seconds)
    count, frames = values.shape
    ax = _axes(8, 2.8) if ax is None else ax
    style = {"cmap": "magma", **style}
    image = ax.pcolormesh(_edges(frames, hop_seconds), np.arange(count + 1) - 0.5, values, **style)
    ax.set(xlabel="Time (s)", ylabel=ylabel)
    ax.yaxis.get_major_locator().set_params(integer=True)
    if title is not None:
        ax.set_title(title)
    if colorbar:
        label = colorbar if isinstance(colorbar, str) else None
        ax.figure.colorbar(image, ax=ax, label=label, pad=0.02)
    return ax


def _finite(values):
    import numpy as np

    values = _picture(values)
    if not np.isfinite(values).all():
        bad = (~np.isfinite(values)).sum()
        raise ValueError(f"{bad} of {values.size} values are infinite: a logarithm of 0?")
    return values


def describe_features(values, hop_seconds, name: str, ylabel="Coefficient") -> str:
    """Say how many features and frames (feature, frame) there are, and what varies most.

    >>> describe_features([[0.0, 4.0, 0.0], [1.0, 1.0, 2.0]], 0.01, "yes")
    'Features of yes: 2 by 3 frames, one every 10 ms; values 0 to 4, largest at 0.01 s in \
coefficient 0; coefficient 0 varies most, 1 least.'

    Notebook: 03_mfcc_lstm_augmentation.ipynb
    """
    import numpy as np

    values, hop_seconds = _finite(values), _hop(hop_seconds)
    count, frames = values.shape
    top, frame = np.unravel_index(values.argmax(), values.shape)
    spread, one = values.std(axis=1), ylabel.lower()
    text = f"Features of {name}: {count} by {frames} frames, one every {1000 * hop_seconds:g} ms; "
    text += f"values {values.min():.3g} to {values.max():.3g}, "
    text += f"largest at {frame * hop_seconds:.2f} s in {one} {top}"
    if spread.max() == spread.min():
        return text + "."
    return f"{text}; {one} {spread.argmax()} varies most, {spread.argmin()} least."


def _bank(bank):
    import numpy as np

    bank = _picture(bank, "(bins, bands)")
    if len(bank) < 2:
        raise ValueError(f"expected (bins, bands), at least 2 bins, got shape {bank.shape}")
    if not np.isfinite(bank).all() or bank.min() < 0:
        raise ValueError("a filter bank holds finite weights that are not negative")
    return bank


def filterbank(bank, sample_rate, ax=None):
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

    Notebook: 03_mfcc_lstm_augmentation.ipynb
    """
    import numpy as np

    from course_utils.plotting import _COLOURS, _axes, _clean, _rate

    bank, sample_rate = _bank(bank), _rate(sample_rate)
    hz = np.linspace(0, sample_rate / 2, len(bank))
    ax = _axes(8, 2.8) if ax is None else ax
    for band, weights in enumerate(bank.T):
        # Neighbours differ in colour and in dashes: readable in grey.
        style = {"color": _COLOURS[band % 2], "linestyle": "-" if band % 2 == 0 else "--"}
        ax.plot(hz, weights, linewidth=0.9, **style)
    ax.set(xlabel="Frequency (Hz)", ylabel="Weight", xlim=(0, sample_rate / 2))
    ax.set_ylim(0, 1.05 * max(bank.max(), 1e-12))
    return _clean(ax)


def describe_filterbank(bank, sample_rate) -> str:
    """Say how many bands a bank (bins, bands) has, and where the narrowest and the widest are.

    >>> describe_filterbank([[1, 0], [0, 0.5], [0, 1], [0, 0.5], [0, 0]], 8000)
    '2 bands over 5 frequency bins, 0 to 4000 Hz, 1000 Hz apart. Narrowest: band 0 around 0 Hz, \
1 bin; widest: band 1 around 2000 Hz, 3 bins.'

    Notebook: 03_mfcc_lstm_augmentation.ipynb
    """
    import numpy as np

    from course_utils.plotting import _rate

    bank, sample_rate = _bank(bank), _rate(sample_rate)
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


# --- letters ----------------------------------------------------------------------------------


def _drawn(symbol: str) -> str:
    return "␣" if symbol == " " else symbol


def _said(symbol: str) -> str:
    return "space" if symbol == " " else symbol


def _spans(waveform, sample_rate, spans) -> list[tuple[str, float, float, float]]:
    """The spans in order of time, or a ValueError that names the wrong one."""
    from course_utils.plotting import _rate, _samples

    end = _samples(waveform).size / _rate(sample_rate)
    checked = []
    for span in spans:
        try:
            label, start, stop, score = span
            start, stop, score = float(start), float(stop), float(score)
        except (TypeError, ValueError):
            raise ValueError(f"a span is (label, start, end, score), got {span!r}") from None
        if not 0 <= start <= stop <= end + 0.1:
            raise ValueError(
                f"span {label!r} is from {start:g} to {stop:g} s, but the clip lasts {end:g} s: "
                "are they in seconds, not frames?"
            )
        if not 0 <= score <= 1 + 1e-6:
            raise ValueError(f"the score of {label!r} is {score:g}: a probability, 0 to 1, is due")
        checked.append((str(label), start, stop, score))
    if not checked:
        raise ValueError("no spans to draw: expected (label, start_seconds, end_seconds, score)")
    return sorted(checked, key=lambda span: span[1:3])


def alignment(waveform, sample_rate, spans, ax=None):
    """Draw a waveform, and which letter is spoken where: the darker, the surer.

    Parameters
    ----------
    waveform : array (time,) or (1, time)
        Amplitude in [-1, 1].
    sample_rate : int
        In Hz.
    spans : sequence of (label, start_seconds, end_seconds, score)
        The score is a probability, 0 to 1.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the clip is bad, there is no span, or a span lies outside the clip.

    Notebook: 04_common_voice_ctc.ipynb
    """
    from course_utils import plotting

    spans = _spans(waveform, sample_rate, spans)
    ax = plotting._axes(10, 2.6) if ax is None else ax
    plotting.waveform(waveform, sample_rate, ax, color="0.35")
    ax.grid(False)
    # A strip above the waveform holds the letters, and under each its score.
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.45 * (high - low))
    ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= high])
    shown, size = len(spans) <= 25, 11 if len(spans) <= 40 else 8
    row = ax.get_xaxis_transform()
    for label, start, stop, score in spans:
        fill = {"color": "#0072B2", "alpha": 0.08 + 0.4 * score, "linewidth": 0}
        ax.axvspan(start, stop, **fill)
        ax.axvline(start, color="0.6", linewidth=0.5)
        ax.axvline(stop, color="0.6", linewidth=0.5)
        place = {"transform": row, "ha": "center", "va": "top", "clip_on": True}
        ax.text((start + stop) / 2, 0.97, _drawn(label), fontsize=size, weight="bold", **place)
        if shown:
            ax.text((start + stop) / 2, 0.83, f"{100 * score:.0f}", fontsize=7, **place)
    ax.set_title(f"Letters{' and scores (%)' if shown else ''}", fontsize=10)
    return ax


def describe_alignment(waveform, sample_rate, spans, name: str) -> str:
    """Say where each letter is spoken, in s, and which one is least sure.

    >>> spans = [("g", 0.1, 0.2, 0.9), ("o", 0.2, 0.5, 0.6)]
    >>> describe_alignment([0.1] * 1000, 1000, spans, "go")
    'Alignment of go: 2 letters, 0.10 to 0.50 s of 1.00 s. g 0.10 to 0.20, o 0.20 to 0.50. \
Longest: o; least sure: o, 60 %.'

    Notebook: 04_common_voice_ctc.ipynb
    """
    from course_utils.plotting import _samples

    spans = _spans(waveform, sample_rate, spans)
    end = _samples(waveform).size / sample_rate
    text = f"Alignment of {name}: {len(spans)} letter{'s' * (len(spans) > 1)}, "
    text += f"{spans[0][1]:.2f} to {max(span[2] for span in spans):.2f} s of {end:.2f} s. "
    if len(spans) <= 20:
        places = (f"{_said(label)} {start:.2f} to {stop:.2f}" for label, start, stop, _ in spans)
        text += f"{', '.join(places)}. "
    longest = max(spans, key=lambda span: span[2] - span[1])
    weakest = min(spans, key=lambda span: span[3])
    text += f"Longest: {_said(longest[0])}; least sure: {_said(weakest[0])}, "
    return text + f"{100 * weakest[3]:.0f} %."


def _probabilities(log_probs, symbols, blank):
    """Probabilities (frame, symbol) and the names of the symbols, or a ValueError."""
    import numpy as np

    log_probs = _picture(log_probs, "(frame, symbol)")
    if log_probs.shape[1] != len(symbols):
        raise ValueError(
            f"log_probs has shape {log_probs.shape}, (frame, symbol), but there are "
            f"{len(symbols)} symbols"
        )
    if not 0 <= blank < len(symbols):
        raise ValueError(f"blank is {blank}, but there are {len(symbols)} symbols")
    with np.errstate(over="ignore"):
        probabilities = np.exp(log_probs)
    sums = probabilities.sum(axis=1)
    if not np.allclose(sums, 1, atol=0.01):
        worst = abs(sums - 1).argmax()
        raise ValueError(
            f"the probabilities of frame {worst} sum to {sums[worst]:.3g}, not 1: log_probs are "
            "what log_softmax returns, over the last axis"
        )
    return probabilities, ["blank" if i == blank else str(s) for i, s in enumerate(symbols)]


def _best_path(log_probs, blank: int = 0) -> list[int]:
    """The greedy decoding: the best symbol of each frame, repeats merged, blanks dropped.

    >>> _best_path([[-0.1, -3], [-3, -0.1], [-3, -0.1], [-0.1, -3], [-3, -0.1]])
    [1, 1]
    """
    best = _picture(log_probs, "(frame, symbol)").argmax(axis=1).tolist()
    merged = [s for i, s in enumerate(best) if i == 0 or s != best[i - 1]]
    return [symbol for symbol in merged if symbol != blank]


def posteriors(log_probs, symbols, hop_seconds, ax=None, blank=0):
    """Draw the probability of each symbol in each frame, of those that ever exceed 0.05.

    The blank stands at the bottom, above it the symbols in the order in which they come.

    Parameters
    ----------
    log_probs : array (frame, symbol)
        Natural logarithms; the probabilities of a frame sum to 1.
    symbols : sequence of str
        The name of each symbol.
    hop_seconds : float
        Time from one frame to the next, in s.
    ax : matplotlib Axes, optional
    blank : int
        The index of the blank of CTC.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the shapes differ, or the probabilities of a frame do not sum to 1.

    Notebook: 04_common_voice_ctc.ipynb
    """
    import numpy as np

    from course_utils.plotting import _axes

    probabilities, names = _probabilities(log_probs, symbols, blank)
    edges = _edges(len(probabilities), _hop(hop_seconds))
    rows = _visible(probabilities, blank)
    ax = _axes(8, 1.4 + 0.2 * len(rows)) if ax is None else ax
    image = ax.pcolormesh(
        *(edges, np.arange(len(rows) + 1) - 0.5, probabilities[:, rows].T),
        **{"cmap": "Blues", "vmin": 0, "vmax": 1},
    )
    size = 9 if len(rows) <= 16 else 7
    ax.set_yticks(range(len(rows)), [_drawn(names[row]) for row in rows], fontsize=size)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel="Time (s)", ylabel="Symbol")
    ax.figure.colorbar(image, ax=ax, label="Probability", pad=0.02)
    return ax


def _visible(probabilities, blank: int) -> list[int]:
    """The blank, then the symbols that ever exceed `VISIBLE`, as they come in time."""
    most = probabilities.max(axis=0)
    first = (probabilities > most / 2).argmax(axis=0)  # earlier traces are noise
    rest = [row for row in range(len(most)) if row != blank and most[row] > VISIBLE]
    return [blank, *sorted(rest, key=lambda row: first[row])]


def describe_posteriors(log_probs, symbols, hop_seconds, name: str, blank=0) -> str:
    """Say how often the blank wins, which symbols are seen, and what the best path reads.

    >>> import numpy as np
    >>> log_probs = np.log([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
    >>> describe_posteriors(log_probs, ["-", "a", "b"], 0.02, "a vowel")
    "Probabilities of 3 symbols for a vowel: 3 frames, one every 20 ms. The blank is the most \
probable in 67 % of them; above 0.05, in the order in which they come: a, b. Best path: 'a'."

    Notebook: 04_common_voice_ctc.ipynb
    """
    probabilities, names = _probabilities(log_probs, symbols, blank)
    _hop(hop_seconds)
    share = (probabilities.argmax(axis=1) == blank).mean()
    seen = ", ".join(_said(names[row]) for row in _visible(probabilities, blank)[1:])
    read = "".join(names[symbol] for symbol in _best_path(probabilities, blank))
    return (
        f"Probabilities of {len(names)} symbols for {name}: {len(probabilities)} frames, one every "
        f"{1000 * hop_seconds:g} ms. The blank is the most probable in {100 * share:.0f} % of "
        f"them; above {VISIBLE:g}, in the order in which they come: {seen or 'none but it'}. "
        f"Best path: {read!r}."
    )


# --- numbers ----------------------------------------------------------------------------------


class Table:
    """What `table` returns: shown as HTML, or as plain text; ``rows`` are dicts of text."""

    def __init__(self, rows: list[dict], title: str = ""):
        names = list(dict.fromkeys(name for row in rows for name in row))
        self.title = title
        self.rows = [{name: _cell(row.get(name)) for name in names} for row in rows]
        self._numbers = {
            name
            for name in names
            if all(_number(row[name]) for row in rows if row.get(name) is not None)
        }

    def __repr__(self) -> str:
        if not self.rows:
            return f"{self.title}: nothing yet." if self.title else "Nothing yet."
        lines = [list(self.rows[0]), *(list(row.values()) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, ["-" * width for width in widths])
        signs = [">" if name in self._numbers else "<" for name in self.rows[0]]
        texts = (
            "  ".join(
                f"{cell:{sign}{width}}"
                for cell, sign, width in zip(line, signs, widths, strict=True)
            ).rstrip()
            for line in lines
        )
        return "\n".join([self.title, *texts] if self.title else texts)

    def _repr_html_(self) -> str:
        if not self.rows:
            return f"<p>{html.escape(repr(self))}</p>"

        def line(tag: str, cells: dict) -> str:
            scope = ' scope="col"' if tag == "th" else ""
            texts = (
                f'<{tag}{scope} style="text-align:'
                f'{"right" if name in self._numbers else "left"}">{html.escape(text)}</{tag}>'
                for name, text in cells.items()
            )
            return f"<tr>{''.join(texts)}</tr>\n"

        caption = f"<caption>{html.escape(self.title)}</caption>\n" if self.title else ""
        head = line("th", {name: name for name in self.rows[0]})
        body = "".join(line("td", row) for row in self.rows)
        return f"<table>\n{caption}<thead>{head}</thead>\n<tbody>\n{body}</tbody>\n</table>"


def _number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _cell(value) -> str:
    if value is None:
        return "–"
    if _number(value):
        return f"{value:,}" if float(value).is_integer() else f"{value:,.4g}"
    return str(value)


def table(rows: list[dict], title: str = "") -> Table:
    """A small table: one dict a row, its keys the columns; numbers stand on the right.

    Whole numbers get commas, others four digits; None is a dash. The results of the stages have a
    table of their own, ``results.table``.

    >>> table([{"Model": "MLP", "Accuracy (%)": 62.5}, {"Model": "LSTM"}], "Validation")
    Validation
    Model  Accuracy (%)
    -----  ------------
    MLP            62.5
    LSTM              –

    Raises
    ------
    ValueError
        If a row is no dict.

    Notebook: 03_mfcc_lstm_augmentation.ipynb
    """
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError('expected a list of rows such as {"Model": "LSTM", "Accuracy (%)": 90.1}')
    return Table(rows, title)
