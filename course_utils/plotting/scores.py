"""Plots of scores: learning curves, robustness, confusions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from numpy.typing import ArrayLike, NDArray

from course_utils.plotting.base import (
    COLOURS,
    array,
    curve_style,
    line_style,
    new_axes,
    note,
    with_grid,
)

_SPLITS = ("train", "validation", "test")


# quantity in a history -> its name, scale, unit
_QUANTITIES = {
    "loss": ("loss", 1, ""),
    "accuracy": ("accuracy", 100, "%"),
    "cer": ("character error rate", 100, "%"),
    "wer": ("word error rate", 100, "%"),
}


def _draw_chance(ax: Axes, chance: float | None) -> None:
    if chance is not None:
        ax.axhline(100 * chance, color="0.35", linestyle=":", label="chance")


def curves_of(history: Mapping[str, Sequence[float]]) -> dict[str, dict[str, NDArray]]:
    """Quantity to split to values (epochs,); other keys, such as "seconds", are left out."""
    found = {}
    for quantity in _QUANTITIES:
        curves = {split: array(history.get(f"{split}_{quantity}", ()), float) for split in _SPLITS}
        found[quantity] = {split: values for split, values in curves.items() if values.size}
    found = {quantity: curves for quantity, curves in found.items() if curves}
    if not found:
        raise ValueError(f"no curve such as 'train_loss' in the history's keys: {list(history)}")
    return found


def learning_curves(
    history: Mapping[str, Sequence[float]], axes: Sequence[Axes] | None = None,
    chance: float | None = None,
) -> NDArray:
    """Draw loss and accuracy against epochs, side by side.

    Parameters
    ----------
    history : dict of str to list of float
        A value per epoch under keys such as ``train_loss`` and ``validation_accuracy`` (also
        ``_cer``, ``_wer``); accuracies and error rates are fractions.
    axes : array of matplotlib Axes, optional
        As many as there are quantities.
    chance : float, optional
        A fraction: a dotted line.

    Returns
    -------
    array of matplotlib Axes
    """
    curves = curves_of(history)
    axes = np.atleast_1d(new_axes(4 * len(curves), 2.9, len(curves)) if axes is None else axes)
    for ax, (quantity, lines) in zip(axes.flat, curves.items(), strict=True):
        name, scale, unit = _QUANTITIES[quantity]
        for split, values in lines.items():
            style = line_style(_SPLITS.index(split), values.size)
            ax.plot(np.arange(1, values.size + 1), scale * values, label=split, **style)
        if quantity != "loss":
            _draw_chance(ax, chance)
        epochs = max(values.size for values in lines.values())
        drawn = scale * np.concatenate(list(lines.values()))
        top = 1.05 * drawn[np.isfinite(drawn)].max(initial=1e-3)
        ax.set(xlabel="Epoch", xlim=(0.5, epochs + 0.5))
        ax.set_ylim(0, 102 if quantity == "accuracy" else top)
        label = quantity.upper() if len(quantity) == 3 else name.capitalize()  # CER, WER: three fit
        ax.set_ylabel(label + (f" ({unit})" if unit else ""))
        ax.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        ax.legend(frameon=False)
        with_grid(ax)
    note(axes, _curves_in_words(history))
    return axes


def _curves_in_words(history: Mapping[str, Sequence[float]]) -> str:
    """Say where each curve, a value per epoch, starts and ends, and the best validation.

    >>> _curves_in_words({"train_loss": [2.3, 0.5], "validation_accuracy": [0.1, 0.8]})
    'Learning curves: train loss 2.30 to 0.50; validation accuracy 10.0 to 80.0 %, best in epoch 2.'
    """

    texts = []
    for quantity, lines in curves_of(history).items():
        name, scale, unit = _QUANTITIES[quantity]
        for split, values in lines.items():
            first, last = (f"{scale * values[i]:.{1 if unit else 2}f}" for i in (0, -1))
            text = f"{split} {name} {first} to {last} {unit}".rstrip()
            if split == "validation":
                good = values if quantity == "accuracy" else -values
                text += f", best in epoch {np.nan_to_num(good, nan=-np.inf).argmax() + 1}"
            texts.append(text)
    return f"Learning curves: {'; '.join(texts)}."


def accuracy_against(
    x: ArrayLike, curves: Mapping[str, ArrayLike | Mapping[Any, float]], ax: Axes | None = None,
    *, xlabel: str, chance: float | None = None,
) -> Axes:
    """Draw accuracies in percent against what was done to the clips: robustness curves.

    Parameters
    ----------
    x : array (points,)
    curves : dict of str to array (points,), or to a dict of them in the order of `x`
        Accuracies, fractions.
    ax : matplotlib Axes, optional
    xlabel : str
        With its unit: ``"Shift (ms)"``.
    chance : float, optional
        A fraction: a dotted line.
    """
    x = array(x, float)
    ax = new_axes(7.5, 3.2) if ax is None else ax
    curves = {
        name: [*values.values()] if isinstance(values, Mapping) else values
        for name, values in curves.items()
    }
    for i, (name, values) in enumerate(curves.items()):
        values = array(values, float)
        if values.shape != x.shape:
            raise ValueError(f"curve {name!r} has shape {values.shape}, but x has {x.shape}")
        ax.plot(x, 100 * values, label=name, **line_style(i, 0))
    _draw_chance(ax, chance)
    ax.set(xlabel=xlabel, ylabel="Accuracy (%)", ylim=(0, 102))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    note(ax, _against_in_words(x, curves, xlabel))
    return with_grid(ax)


def _against_in_words(x: ArrayLike, curves: Mapping[str, ArrayLike], xlabel: str) -> str:
    """Say where each curve of accuracies, (points,) as ``x``, is highest and lowest.

    >>> _against_in_words([-100, 0, 100], {"MLP": [0.3, 0.9, 0.4]}, "Shift (ms)")
    'Accuracy against Shift (ms): MLP highest, 90 %, at 0, lowest, 30 %, at -100.'
    """
    texts = []
    for name, values in curves.items():
        values = array(values, float)
        points = {"highest": values.argmax(), "lowest": values.argmin()}
        at = (f"{how}, {100 * values[i]:.0f} %, at {x[i]:g}" for how, i in points.items())
        texts.append(f"{name} {', '.join(at)}")
    return f"Accuracy against {xlabel}: {'; '.join(texts)}."


def losses(
    curves: Mapping[str, ArrayLike], ax: Axes | None = None, mean_of: int = 1,
    guess: float | None = None,
) -> Axes:
    """Draw the loss of each step of one training or of several.

    Parameters
    ----------
    curves : dict of str to array (steps,)
        What is drawn to what it is called.
    ax : matplotlib Axes, optional
    mean_of : int
        As many steps are one point: their mean.
    guess : float, optional
        The loss of a guess: a dotted line.
    """
    ax = new_axes(7, 2.8) if ax is None else ax
    for i, (name, values) in enumerate(curves.items()):
        values = np.convolve(array(values, float), np.ones(mean_of) / mean_of, mode="valid")
        ax.plot(values, label=name, **curve_style(i))
        note(ax, f"{name}: the loss goes from {values[0]:.2f} to {values[-1]:.3f}.")
    if guess is not None:
        ax.axhline(guess, color="0.35", linestyle=":", label="a guess")
    ylabel = "Loss" if mean_of == 1 else f"Loss, mean of {mean_of} steps"
    ax.set(xlabel="Step", ylabel=ylabel, ylim=(0, None))
    ax.legend(frameon=False)
    return with_grid(ax)


def trade_off(
    named: ArrayLike, refused: ArrayLike, chosen: float, ax: Axes | None = None
) -> Axes:
    """Draw, for each threshold, how many commands pass it rightly, and how much else does not.

    Parameters
    ----------
    named : array (clips,)
        The probability with which each command was named; 0 where another one was.
    refused : array (sounds,)
        The probability of the best word for each sound that is no command.
    chosen : float
        The threshold, from 0 to 1.
    ax : matplotlib Axes, optional
        Most certainties lie close to 1: the axis is stretched there.
    """
    named, refused = array(named, float), array(refused, float)
    ax = new_axes(7, 2.8) if ax is None else ax
    thresholds = 1 - np.geomspace(0.999, 1e-4, 100)
    curves = {
        "commands named rightly": [100 * (named >= t).mean() for t in thresholds],
        "other sounds refused": [100 * (refused < t).mean() for t in thresholds],
    }
    for i, (name, curve) in enumerate(curves.items()):
        ax.plot(1 - thresholds, curve, label=name, **curve_style(i))
    ax.axvline(1 - chosen, color="0.35", linestyle=":", label=f"chosen: {chosen:.3f}")
    ax.set_xscale("log")
    ax.set_xticks([1, 0.5, 0.1, 0.01, 0.001], ["0", "0.5", "0.9", "0.99", "0.999"])
    ax.invert_xaxis()
    ax.set(xlabel="Threshold", ylabel="Share (%)", ylim=(0, 102))
    ax.legend(frameon=False)
    note(ax, f"At the threshold {chosen:.3f}, {(named >= chosen).mean():.0%} of the commands are "
         f"named rightly and {(refused < chosen).mean():.0%} of other sounds are refused; without "
         f"one {curves['commands named rightly'][0]:.0f} % and none.")
    return with_grid(ax)


def predictions(said: Mapping[str, float | None], truth: Mapping[str, float]) -> Axes:
    """Draw what was predicted beside what came out, and print both.

    Parameters
    ----------
    said : dict of str to float or None
        The student's shares, from 0 to 1; None where nothing was said.
    truth : dict of str to float
        The same questions in the same order.

    Raises
    ------
    ValueError
        If a question has no answer here, or a prediction is no share.
    """
    if set(said) != set(truth):
        raise ValueError(f"predicted were {', '.join(said)}, but measured {', '.join(truth)}")
    wrong = [value for value in said.values() if value is not None and not 0 <= value <= 1]
    if wrong:
        raise ValueError(f"your prediction is a share, such as 0.8, not {wrong[0]!r}")
    ax = new_axes(7, 0.6 + 0.4 * len(truth))
    for row, (question, value) in enumerate(truth.items()):
        guess = said[question]
        words = "nothing" if guess is None else f"{guess:.0%}"
        print(f"{question}: you said {words}, it is {value:.1%}")
        if guess is not None:
            ax.plot([100 * guess, 100 * value], [row, row], color="0.7", zorder=1)
            label = "you said" if row == 0 else None
            ax.plot(100 * guess, row, "o", mfc="white", mec="#D55E00", label=label)
        ax.plot(100 * value, row, "s", color="#0072B2", label="it is" if row == 0 else None)
        note(ax, f"{question}: predicted {words}, measured {value:.0%}.")
    ax.set_yticks(range(len(truth)), list(truth))
    ax.set(xlabel="Share (%)", xlim=(-2, 102), ylim=(len(truth) - 0.5, -0.5))
    ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return with_grid(ax, "x")


def rates_by_speaker(
    speakers: Mapping[str, tuple[int, int]], ax: Axes | None = None
) -> Axes:
    """Draw the error rate of each speaker, the lowest first, and that of all together.

    Parameters
    ----------
    speakers : dict of str to (errors, letters)
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = new_axes(8, 2.4) if ax is None else ax
    rates = sorted(100 * errors / letters for errors, letters in speakers.values())
    errors, letters = (sum(counts) for counts in zip(*speakers.values(), strict=True))
    ax.bar(range(1, len(rates) + 1), rates, color=COLOURS[0])
    ax.axhline(100 * errors / letters, color="0.35", linestyle=":", label="all together")
    ax.set(xlabel="Speaker, sorted", ylabel="CER (%)")
    ax.legend(frameon=False)
    text = f"CER of {len(rates)} speakers: from {rates[0]:.1f} to {rates[-1]:.1f} %, half of them "
    text += f"below {np.median(rates):.1f} %; all together {100 * errors / letters:.1f} %."
    note(ax, text)
    return with_grid(ax, "y")


def confusion_matrix(
    targets: ArrayLike, predictions: ArrayLike, words: Sequence[str], ax: Axes | None = None,
    counts: bool = False,
) -> Axes:
    """Draw which word (row) was heard as which (column): shares of the row, or counts of clips.

    Above 12 words the cells hold no numbers, and the scale of colours is a square root, so that
    rare confusions show.

    Parameters
    ----------
    targets, predictions : array (clips,)
        Indices of `words`.
    words : list of str
    ax : matplotlib Axes, optional
    counts : bool
        Counts instead of shares.
    """
    from sklearn.metrics import ConfusionMatrixDisplay

    many = len(words) > 12
    ax = (new_axes(8.4, 7.2) if many else new_axes(6.2, 5.2)) if ax is None else ax
    ax.grid(False)
    drawn = ConfusionMatrixDisplay.from_predictions(
        array(targets), array(predictions), labels=range(len(words)), display_labels=words, ax=ax,
        colorbar=False, normalize=None if counts else "true",
        values_format="d" if counts else ".0%", include_values=not many, text_kw={"fontsize": 8},
        cmap="Blues",
        im_kw={"norm": PowerNorm(0.5 if many else 1, vmin=0, vmax=None if counts else 1)},
    )
    for text in () if many else drawn.text_.flat:
        text.set_visible(text.get_text() not in ("0", "0%"))
    scale = ax.figure.colorbar(drawn.im_, ax=ax, label="Clips" if counts else "Share of the row")
    if not counts:
        scale.ax.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    ax.set(xlabel="Predicted word", ylabel="Spoken word")
    ax.tick_params(labelsize=8 if many else 9)
    ax.tick_params(axis="x", rotation=90 if many else 45)
    note(ax, _confusion_in_words(targets, predictions, words))
    return ax


def _confusion_in_words(targets: ArrayLike, predictions: ArrayLike, words: Sequence[str]) -> str:
    """Say how much lies on the diagonal, and the most frequent confusion; arrays (clips,).

    >>> _confusion_in_words([0, 0, 1, 1], [0, 1, 1, 1], ["yes", "no"]).partition(": ")[2]
    "75.0 % on the diagonal; most frequent confusion: 'yes' heard as 'no', 1 of 2 clips."
    """

    clips = np.zeros((len(words), len(words)), int)
    np.add.at(clips, (array(targets), array(predictions)), 1)
    text = f"Confusion matrix of {len(words)} words, {clips.sum():,} clips: "
    text += f"{100 * clips.trace() / max(1, clips.sum()):.1f} % on the diagonal; "
    wrong = clips * (1 - np.eye(len(words), dtype=int))
    if not wrong.any():
        return text + "no confusions."
    row, column = np.unravel_index(wrong.argmax(), wrong.shape)
    text += f"most frequent confusion: '{words[row]}' heard as '{words[column]}', "
    return text + f"{wrong[row, column]} of {clips[row].sum()} clips."
