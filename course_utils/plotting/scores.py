"""Plots of scores: learning curves, robustness, confusions."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from numpy.typing import ArrayLike, NDArray

from course_utils import rates
from course_utils.plotting.base import (
    COLOURS,
    MARKERS,
    array,
    curve_style,
    legend_above,
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
    x: ArrayLike, curves: Mapping[str, ArrayLike | Mapping[Any, ArrayLike]],
    ax: Axes | None = None, *, xlabel: str, chance: float | None = None,
    speakers: ArrayLike | None = None,
) -> Axes:
    """Draw accuracies in percent against what was done to the clips: robustness curves.

    Parameters
    ----------
    x : array (points,)
    curves : dict of str to array (points,) or (points, clips), or to a dict in the order of `x`
        Accuracies, fractions; or for each clip whether it was named rightly.
    ax : matplotlib Axes, optional
    xlabel : str
        With its unit: ``"Shift (ms)"``.
    chance : float, optional
        A fraction: a dotted line.
    speakers : array (clips,), optional
        Who speaks in each clip: a curve that knows its clips gets a band, in which 95 % of the
        draws of as many speakers lie.
    """
    x = array(x, float)
    ax = new_axes(8, 3.4) if ax is None else ax
    means, drawn = {}, 0
    for i, (name, values) in enumerate(curves.items()):
        values = [*values.values()] if isinstance(values, Mapping) else values
        values = np.stack([array(value, float) for value in values])
        if len(values) != len(x) or values.ndim > 2:
            raise ValueError(f"curve {name!r} has shape {values.shape}, but x has {x.shape}")
        if values.ndim == 2:
            if speakers is not None:
                low, high = np.transpose([_interval(speakers, right) for right in values])
                style = {"color": line_style(i, 0)["color"], "alpha": 0.15, "linewidth": 0}
                ax.fill_between(x, 100 * low, 100 * high, **style)
                drawn += 1
            values = values.mean(axis=1)
        means[name] = values
        ax.plot(x, 100 * values, label=name, **line_style(i, 0))
    _draw_chance(ax, chance)
    said = _against_in_words(x, means, xlabel)
    if drawn:
        many = len(set(array(speakers).tolist()))
        ax.fill_between([], [], color="0.85", label=f"95 % of draws of {many} speakers")
        said += f" Bands: 95 % of the draws of {many} speakers."
    ax.set(xlabel=xlabel, ylabel="Accuracy (%)", ylim=(0, 102))
    legend_above(ax, 3 if max(map(len, curves)) < 26 else 2)
    note(ax, said)
    return with_grid(ax)


def _interval(speakers: ArrayLike, right: NDArray) -> tuple[float, float]:
    """Between which accuracies 95 % of the draws of as many speakers lie; both (clips,)."""
    return rates.bootstrap(rates.by_speaker(array(speakers), right, np.ones(len(right))))


def _against_in_words(x: ArrayLike, curves: Mapping[str, ArrayLike], xlabel: str) -> str:
    """Say where each curve of accuracies, (points,) as ``x``, is highest and lowest.

    >>> _against_in_words([-100, 0, 100], {"MLP": [0.3, 0.9, 0.4]}, "Shift (ms)")
    'Accuracy against Shift (ms), highest and lowest: MLP 90 % at 0, 30 % at -100.'
    """
    texts = []
    for name, values in curves.items():
        values = array(values, float)
        at = (f"{100 * values[i]:.0f} % at {x[i]:g}" for i in (values.argmax(), values.argmin()))
        texts.append(f"{name} {', '.join(at)}")
    return f"Accuracy against {xlabel}, highest and lowest: {'; '.join(texts)}."


def transfer(
    values: Mapping[str, Mapping[str, Sequence[float]]], chances: Mapping[str, float | None],
    ax: Axes | None = None, *, xlabel: str = "Accuracy (%)",
) -> Axes:
    """Draw a row for each test, and in it how networks do that were trained on other corpora.

    Parameters
    ----------
    values : dict of str to dict of str to list of float
        Of each test, by what the networks were trained on, a fraction for each seed.
    chances : dict of str to float or None
        Of each test, what guessing reaches, a fraction.
    ax : matplotlib Axes, optional
    xlabel : str

    Returns
    -------
    matplotlib Axes
    """
    corpora = sorted({corpus for each in values.values() for corpus in each})
    ax = new_axes(8, 1.3 + 0.5 * len(values)) if ax is None else ax
    if not values:
        note(ax, "No result is there yet: nothing was trained or measured for these words.")
        ax.text(0.5, 0.5, "no result yet", ha="center", transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    rows = list(enumerate(values.values()))
    for row, each in rows:
        ends = [100 * np.mean(seeds) for seeds in each.values()]
        ax.plot([min(ends), max(ends)], [row, row], "-", color="0.75", zorder=0)

    def draw(label: str, points: list[tuple[float, int]], **style: Any) -> None:
        if points:
            x, y = zip(*points, strict=True)
            ax.plot(100 * np.array(x), y, label=label, linestyle="", **style)

    for i, corpus in enumerate(corpora):
        found = [(np.mean(each[corpus]), row) for row, each in rows if corpus in each]
        draw(f"trained on {corpus}", found, color=COLOURS[i % 6], marker=MARKERS[i % 6])
    many = [(seed, row) for row, each in rows for seeds in each.values() for seed in seeds
            if len(seeds) > 1]  # fmt: skip
    draw("each seed", many, color="0.2", marker="|", markersize=14)
    guess = [(chances[test], row) for row, test in enumerate(values) if chances[test] is not None]
    draw("chance", guess, color="0.35", marker="x")
    names = [" ".join(test.split()) for test in values]
    said = [
        f"{names[row]} "
        + ", ".join(f"{np.mean(each[corpus]):.0%}" if corpus in each else "-" for corpus in corpora)
        for row, each in rows
    ]
    if len(said) > 4:  # the table beside the figure has them all
        means = {each: [np.mean(row[each]) for _, row in rows if each in row] for each in corpora}
        spans = (f"{each} {min(found):.0%} to {max(found):.0%}" for each, found in means.items())
        said = [f"{len(values)} rows", *spans]
    note(ax, f"Trained on {', '.join(corpora)}: {'; '.join(said)}.")
    ax.set_yticks(range(len(values)), [textwrap.fill(name, 38) for name in names], fontsize=9)
    ax.set(xlabel=xlabel, xlim=(0, max(102, ax.get_xlim()[1])), ylim=(len(values) - 0.5, -0.5))
    # To the left: above the names there is room, and all of the width is left to what is drawn.
    ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.3)
    return with_grid(ax, "x")


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
    legend_above(ax, 2)
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
    ax.set(xlabel="Speaker, sorted", ylabel="CER (%)", xlim=(0.4, len(rates) + 0.6))
    ax.xaxis.get_major_locator().set_params(integer=True)
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

    targets, predictions = array(targets), array(predictions)
    text = f"Confusion matrix of {len(words)} words, {targets.size:,} clips: "
    right = int((targets == predictions).sum())
    text += f"{100 * right / max(1, targets.size):.1f} % on the diagonal; "
    worst = confusions(targets, predictions)
    if not worst:
        return text + "no confusions."
    said, heard, count = worst[0]
    text += f"most frequent confusion: '{words[said]}' heard as '{words[heard]}', "
    return text + f"{count} of {(targets == said).sum()} clips."


def confusions(targets: ArrayLike, predictions: ArrayLike) -> list[tuple[int, int, int]]:
    """Which class was taken for which, and how often: the most frequent first.

    Of equals the one whose true class comes first, then the one whose predicted class does.

    Parameters
    ----------
    targets, predictions : array (clips,)

    Examples
    --------
    >>> confusions([2, 0, 1, 1], [0, 1, 1, 2])
    [(0, 1, 1), (1, 2, 1), (2, 0, 1)]
    """
    pairs = zip(array(targets).tolist(), array(predictions).tolist(), strict=True)
    counts = Counter((said, heard) for said, heard in pairs if said != heard)
    ranked = sorted(counts, key=lambda pair: (-counts[pair], pair))
    return [(*pair, counts[pair]) for pair in ranked]


def accuracy_against_cost(
    own: Sequence[Any], published: Sequence[Any], ax: Axes | None = None
) -> Axes:
    """Draw the share of wrong clips against the number of parameters, both on log axes.

    Parameters
    ----------
    own, published : sequence of objects
        With ``system``, ``parameters`` and ``accuracy`` in percent; one that lacks a number is left
        out.
    ax : matplotlib Axes, optional
    """
    ax = new_axes(9, 4.4) if ax is None else ax
    said, key, number = [], [], 0
    for kind, points in enumerate((own, published)):
        points = [each for each in points if each.parameters and each.accuracy is not None]
        points = sorted(points, key=lambda each: each.parameters)
        name = ("this course", "published")[kind]
        wrong = [100 - each.accuracy for each in points]
        size = [each.parameters for each in points]
        ax.scatter(size, wrong, marker="o^"[kind], color=COLOURS[kind], s=50, label=name, zorder=3)
        for each, y in zip(points, wrong, strict=True):
            number += 1
            key.append(f"{number}  {each.system}")
            ax.annotate(
                str(number), (each.parameters, y), textcoords="offset points", xytext=(6, 4),
                fontsize=9,
            )
        texts = [f"{p.system} {p.parameters:,}, {p.accuracy:.1f} %" for p in points]
        if len(texts) > 5:  # the table beside the figure has them all
            texts = [f"{len(texts)} models from {texts[0]}", f"to {texts[-1]}"]
        said.append(f"{name}: {'; '.join(texts) or 'none'}")
    ax.set(xscale="log", yscale="log", xlabel="Parameters", ylabel="Wrong clips (%)", ylim=(1, 110))
    ax.set_yticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    ax.minorticks_off()
    ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    ax.text(1.03, 1, "\n".join(key), transform=ax.transAxes, va="top", fontsize=9, linespacing=1.4)
    with_grid(ax)
    note(ax, f"Parameters and accuracy. {'. '.join(said)}.")
    return ax
