"""Plots of letters: probabilities of symbols, and where each letter is spoken."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import checked_rate, new_axes, note, quietly, samples_of, show
from course_utils.plotting.clips import log_mel, waveform
from course_utils.plotting.frames import checked_hop, frame_edges, picture

#: A symbol is drawn where its probability exceeds this in some frame.
VISIBLE = 0.05


# Black letters are read on each of them.
_PALE_BLUES = ListedColormap(colormaps["Blues"](np.linspace(0, 0.6, 64)))


def _drawn(symbol: str) -> str:
    return "␣" if symbol == " " else symbol


def _said(symbol: str) -> str:
    return "space" if symbol == " " else symbol


def _cut(text: str, longest: int = 100) -> str:
    """The beginning of a text: an alt text is listened to, all of it."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _checked_spans(
    clip: ArrayLike, sample_rate: float, spans: Sequence[tuple]
) -> list[tuple[str, float, float, float]]:
    """The spans in order of time, or a ValueError that names the wrong one."""

    end = samples_of(clip).size / checked_rate(sample_rate)
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


def alignment(
    clip: ArrayLike, sample_rate: float, spans: Sequence[tuple[str, float, float, float]],
    ax: Axes | None = None, name: str = "a clip",
) -> Axes:
    """Draw a waveform, and which letter is spoken where, above its word: the darker, the surer.

    Parameters
    ----------
    clip : array (time,) or (1, time)
        Amplitude in [-1, 1].
    sample_rate : int
        In Hz.
    spans : sequence of (label, start_seconds, end_seconds, score)
        The score is a probability, 0 to 1.
    ax : matplotlib Axes, optional
    name : str
        What the clip is called in words.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the clip is bad, there is no span, or a span lies outside the clip.
    """

    spans = _checked_spans(clip, sample_rate, spans)
    ax = new_axes(10, 2.6) if ax is None else ax
    with quietly(ax):
        waveform(clip, sample_rate, ax, color="0.35", linestyle="-")
    ax.grid(False)
    # A strip above the waveform holds the letters, under each its score, and under these the words.
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.6 * (high - low))
    ax.set_yticks([tick for tick in ax.get_yticks() if low <= tick <= high])
    shown, size = len(spans) <= 25, 11 if len(spans) <= 40 else 9
    place = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "top", "clip_on": True}
    shades = ScalarMappable(Normalize(0, 1), _PALE_BLUES)
    for label, start, stop, score in spans:
        ax.axvspan(start, stop, color=shades.to_rgba(score), linewidth=0)
        ax.axvline(start, color="0.6", linewidth=0.5)
        ax.axvline(stop, color="0.6", linewidth=0.5)
        ax.text((start + stop) / 2, 0.98, _drawn(label), fontsize=size, weight="bold", **place)
        if shown:
            ax.text((start + stop) / 2, 0.86, f"{100 * score:.0f}", fontsize=7, **place)
    for space, group in itertools.groupby(spans, lambda span: span[0] == " "):
        letters = list(group)
        if not space:
            middle = (letters[0][1] + letters[-1][2]) / 2
            word = "".join(letter for letter, *_ in letters)
            ax.text(middle, 0.76, word, fontsize=10, style="italic", **place)
    ax.set_title(f"Letters{', scores (%)' if shown else ''} and words", fontsize=10)
    ax.figure.colorbar(shades, ax=ax, label="Certainty", pad=0.01)
    note(ax, _alignment_in_words(clip, sample_rate, spans, name))
    return ax


def _alignment_in_words(
    clip: ArrayLike, sample_rate: float, spans: Sequence[tuple], name: str
) -> str:
    """Say where each letter is spoken, in s, and which one is least sure.

    >>> spans = [("g", 0.1, 0.2, 0.9), ("o", 0.2, 0.5, 0.6)]
    >>> _alignment_in_words([0.1] * 1000, 1000, spans, "go")
    'Alignment of go: 2 letters, 0.10 to 0.50 s of 1.00 s. g 0.10 to 0.20, o 0.20 to 0.50. \
Longest: o; least sure: o, 60 %.'
    """

    spans = _checked_spans(clip, sample_rate, spans)
    end = samples_of(clip).size / sample_rate
    text = f"Alignment of {name}: {len(spans)} letter{'s' * (len(spans) > 1)}, "
    text += f"{spans[0][1]:.2f} to {max(span[2] for span in spans):.2f} s of {end:.2f} s. "
    if len(spans) <= 6:
        places = (f"{_said(label)} {start:.2f} to {stop:.2f}" for label, start, stop, _ in spans)
        text += f"{', '.join(places)}. "
    longest = max(spans, key=lambda span: span[2] - span[1])
    weakest = min(spans, key=lambda span: span[3])
    text += f"Longest: {_said(longest[0])}; least sure: {_said(weakest[0])}, "
    return text + f"{100 * weakest[3]:.0f} %."


def aligned_words(
    clip: ArrayLike, sample_rate: float, spans: Sequence[tuple[str, float, float, float]],
    name: str = "a clip",
) -> list[tuple[NDArray, str]]:
    """Show an alignment above the spectrogram, cut between words, and return the pieces.

    Parameters
    ----------
    clip, sample_rate, spans, name
        As of :func:`alignment`; a span of a space ends a word.

    Returns
    -------
    list of (samples (time,), word)
    """
    samples, rate = samples_of(clip), checked_rate(sample_rate)
    words, ends = [""], []
    for letter, _, end, _ in sorted(spans, key=lambda span: span[1:3]):
        if letter == " ":
            words.append("")
            ends.append(end)
        else:
            words[-1] += letter
    top, bottom = new_axes(10, 4.8, rows=2, sharex=True)
    alignment(clip, sample_rate, spans, top, name=name)
    with quietly(bottom):
        log_mel(clip, sample_rate, bottom, n_mels=40)
    for end in ends:
        bottom.axvline(end, color="white", linestyle="--")
    top.set_xlabel("")
    cuts = ", ".join(f"{end:.2f}" for end in ends) or "nowhere"
    show(top, alt=f"Words cut at {cuts} s, dashed lines in the spectrogram.")
    edges = [0, *(int(rate * end) for end in ends), samples.size]
    pieces = [samples[start:stop] for start, stop in itertools.pairwise(edges)]
    return list(zip(pieces, words, strict=True))


def _probabilities(
    log_probs: ArrayLike, symbols: Sequence[str], blank: int
) -> tuple[NDArray, list[str]]:
    """Probabilities (frame, symbol) and the names of the symbols, or a ValueError."""

    log_probs = picture(log_probs, "(frame, symbol)")
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


def best_path(log_probs: ArrayLike, blank: int = 0) -> list[int]:
    """The greedy decoding: the best symbol of each frame, repeats merged, blanks dropped.

    >>> best_path([[-0.1, -3], [-3, -0.1], [-3, -0.1], [-0.1, -3], [-3, -0.1]])
    [1, 1]
    """
    best = torch.from_numpy(picture(log_probs, "(frame, symbol)")).argmax(dim=1)
    return [symbol for symbol in best.unique_consecutive().tolist() if symbol != blank]


def posteriors(
    log_probs: ArrayLike, symbols: Sequence[str], hop_seconds: float, ax: Axes | None = None,
    blank: int = 0, name: str = "a clip",
) -> Axes:
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
    name : str
        What the clip is called in words.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If the shapes differ, or the probabilities of a frame do not sum to 1.
    """

    probabilities, names = _probabilities(log_probs, symbols, blank)
    edges = frame_edges(len(probabilities), checked_hop(hop_seconds))
    rows = visible_symbols(probabilities, blank)
    ax = new_axes(8, 1.4 + 0.2 * len(rows)) if ax is None else ax
    ax.grid(False)
    places = np.arange(len(rows) + 1) - 0.5
    drawn = ax.pcolormesh(edges, places, probabilities[:, rows].T, cmap="Blues", vmin=0, vmax=1)
    size = 9 if len(rows) <= 16 else 7
    ax.set_yticks(range(len(rows)), [_drawn(names[row]) for row in rows], fontsize=size)
    ax.tick_params(axis="y", length=0)
    ax.set(xlabel="Time (s)", ylabel="Symbol")
    ax.figure.colorbar(drawn, ax=ax, label="Probability", pad=0.02)
    note(ax, posteriors_in_words(log_probs, symbols, hop_seconds, name, blank))
    return ax


def learning_to_write(
    steps: Mapping[int, ArrayLike], symbols: Sequence[str], hop_seconds: float, blank: int = 0
) -> Sequence[Axes]:
    """Draw the probabilities of one clip at several steps of a training, side by side.

    All pictures have the rows of the last: the blank at the bottom, above it the symbols in the
    order in which they come.

    Parameters
    ----------
    steps : dict of int to array (frame, symbol)
        Step to log probabilities.
    symbols : sequence of str
        The name of each symbol.
    hop_seconds : float
        Time from one frame to the next, in s.
    blank : int
        The index of the blank of CTC.

    Returns
    -------
    array of matplotlib Axes
    """
    found = {step: _probabilities(values, symbols, blank) for step, values in steps.items()}
    last, names = list(found.values())[-1]
    rows = visible_symbols(last, blank)
    size = (2.6 * len(found), 0.9 + 0.16 * len(rows))
    axes = np.atleast_1d(new_axes(*size, len(found)))
    texts = []
    for ax, (step, (probabilities, _)) in zip(axes, found.items(), strict=True):
        edges = frame_edges(len(probabilities), checked_hop(hop_seconds))
        places = np.arange(len(rows) + 1) - 0.5
        ax.grid(False)
        ax.pcolormesh(edges, places, probabilities[:, rows].T, cmap="Blues", vmin=0, vmax=1)
        ax.set_yticks(range(len(rows)), [_drawn(names[row]) for row in rows], fontsize=8)
        ax.tick_params(axis="y", length=0)
        ax.set(xlabel="Time (s)", title=f"Step {step}")
        texts.append(f"{(probabilities.argmax(axis=1) == blank).mean():.0%} at step {step}")
    with np.errstate(divide="ignore"):
        written = "".join(names[token] for token in best_path(np.log(last), blank))
    note(axes, f"Probabilities of {len(rows)} symbols in {len(last)} frames. The blank wins in "
         f"{', '.join(texts)}; the best path is then {_cut(written)!r}.")
    axes[0].set_ylabel("Symbol")
    axes[0].figure.colorbar(axes[0].collections[0], ax=axes, label="Probability", pad=0.01)
    return axes


def learning_by_heart(losses: Sequence[float], blanks: Sequence[float]) -> Sequence[Axes]:
    """Draw the loss of each step, and the share of frames in which the blank is the best symbol.

    Parameters
    ----------
    losses, blanks : sequence of float
        A number for each step; shares are fractions.

    Returns
    -------
    array of two matplotlib Axes
    """
    axes = new_axes(9, 2.6, 2)
    left, right = axes
    left.plot(losses)
    left.set(xlabel="Step", ylabel="Loss per letter")
    right.plot(100 * np.array(blanks))
    right.set(xlabel="Step", ylabel="Frames that say nothing (%)", ylim=(0, 103))
    silent = sum(share > 0.95 for share in blanks)
    note(left, f"{len(losses)} steps: the loss goes from {losses[0]:.1f} to {losses[-1]:.3f}.")
    note(
        right,
        f"The share of blank frames starts at {blanks[0]:.0%}, is above 95 % at {silent} steps and "
        f"ends at {blanks[-1]:.0%}.",
    )
    return axes


def visible_symbols(probabilities: NDArray, blank: int) -> list[int]:
    """The blank, then the symbols that ever exceed `VISIBLE`, as they come in time."""
    largest = probabilities.max(axis=0)
    first = (probabilities > largest / 2).argmax(axis=0)  # earlier traces are noise
    rest = [row for row in range(len(largest)) if row != blank and largest[row] > VISIBLE]
    return [blank, *sorted(rest, key=lambda row: first[row])]


def posteriors_in_words(
    log_probs: ArrayLike, symbols: Sequence[str], hop_seconds: float, name: str, blank: int = 0
) -> str:
    """Say how often the blank wins, and what the best path reads.

    >>> import numpy as np
    >>> log_probs = np.log([[0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
    >>> posteriors_in_words(log_probs, ["-", "a", "b"], 0.02, "a vowel")
    "Probabilities of 3 symbols for a vowel: 3 frames, one every 20 ms. The blank is the most \
probable in 67 % of them. Best path: 'a'."
    """
    probabilities, names = _probabilities(log_probs, symbols, blank)
    checked_hop(hop_seconds)
    share = (probabilities.argmax(axis=1) == blank).mean()
    read = "".join(names[symbol] for symbol in best_path(probabilities, blank))
    return (
        f"Probabilities of {len(names)} symbols for {name}: {len(probabilities)} frames, one every "
        f"{1000 * hop_seconds:g} ms. The blank is the most probable in {100 * share:.0f} % of "
        f"them. Best path: {_cut(read)!r}."
    )
