"""Explorers of CTC's frames: its symbols and its letters so far, and a beam search."""

import html
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from course_utils import plotting
from course_utils.interactive.base import (
    Explorer,
    emptied,
    figure_image,
    new_figure,
    show_page,
    slider,
    text_block,
)
from course_utils.plotting.base import array, samples_of, taken_notes
from course_utils.plotting.letters import best_path, posteriors_in_words, visible_symbols


class PlayCursor(anywidget.AnyWidget):
    """The place of a player in the page: what plays moves it, what sets it moves the player.

    Parameters
    ----------
    label : str
        The player's.

    Attributes
    ----------
    seconds : float
    """

    _esm = Path(__file__).with_name("cursor.js")
    label = traitlets.Unicode().tag(sync=True)
    seconds = traitlets.Float(0.0).tag(sync=True)


class FrameExplorer(Explorer):
    """An explorer with a slider over the frames of one clip, in step with its sound.

    Parameters
    ----------
    frames : tensor (frame, symbol)
        Log probabilities; those of a frame sum to 1 as probabilities.
    symbols : sequence of str
        The name of each symbol.
    hop_seconds : float
        Time from one frame to the next, in s.
    blank : int
        The index of the blank of CTC.
    start : int
        Where the slider stands at first; negative numbers count from the end.
    clip : array (1, time), optional
        The sound, at `sample_rate` in Hz.

    Raises
    ------
    ValueError
        As ``plotting.posteriors`` does, or if the clip is none.
    """

    def __init__(
        self, frames: torch.Tensor, symbols: Sequence[str], hop_seconds: float, blank: int = 0,
        start: int = -1, clip: ArrayLike | None = None, sample_rate: int = 16000,
    ):
        self._frames, self._symbols = array(frames, float), list(symbols)
        self._hop, self._blank = hop_seconds, blank
        posteriors_in_words(self._frames, symbols, hop_seconds, "a clip", blank)  # valid?
        last = len(self._frames) - 1
        self._clip = None if clip is None else samples_of(clip)  # (time,)
        self._sample_rate = sample_rate
        self.frame = slider(ipywidgets.IntSlider, "Frame", range(last + 1)[start], 0, last, 1)

    def _begin(self, name: str, what: str) -> None:
        """Show the page, and under it the player: of what is said, and what follows it."""
        if self._clip is None:
            self._start(self.frame)
            return
        label = f"{name or 'the clip'}: the {what} follow"  # the cursor knows the player by it
        self.cursor = PlayCursor(label=label)
        self.cursor.observe(self._played, "seconds")
        self._start(self.frame, silent=[self.cursor])
        # By itself: a picture that is drawn again does not stop the sound.
        page = plotting.player(self._clip, self._sample_rate, label).data
        show_page(page, f"A player: {label}.")

    def _at_cursor(self) -> int:
        """The frame in which the player stands."""
        return min(len(self._frames) - 1, round(self.cursor.seconds / self._hop))

    def _played(self, _change: object = None) -> None:
        self.frame.value = self._at_cursor()

    def _changed(self, _change: object = None) -> None:
        super()._changed()
        if self._clip is not None and self._at_cursor() != self.frame.value:
            self.cursor.seconds = self.frame.value * self._hop

    def _read(self, count: int) -> list[int]:
        """The symbols of the best path through the first frames, collapsed."""
        return best_path(self._frames[:count], self._blank)

    def _written(self, prefix: str | Sequence[int]) -> str:
        if not isinstance(prefix, str):
            prefix = "".join(self._symbols[int(token)] for token in prefix)
        return prefix

    def _signs(self, count: int) -> list[str]:
        """The best symbol of each of the first frames, as it is drawn."""
        best = self._frames[:count].argmax(axis=1).tolist()
        return ["·" if i == self._blank else _seen(self._symbols[i]) for i in best]

    def _raw(self, now: int) -> str:
        """The best path so far, as HTML."""
        raw = html.escape("".join(self._signs(now + 1)))
        code = f'<code style="overflow-wrap:anywhere">{raw}</code>'
        return f"<div>Greedy, frame by frame (· is the blank): {code}</div>"


class CTCExplorer(FrameExplorer):
    """Let the reader follow CTC through the frames of one clip: symbols, best path, and text.

    Parameters
    ----------
    frames, symbols, hop_seconds, blank
        As :class:`FrameExplorer` takes them.
    clip : array (1, time)
        The sound, at `sample_rate`.
    sample_rate : int
        In Hz.
    said : str
        What is said, if it is known.

    Raises
    ------
    ValueError
        As :class:`FrameExplorer` does.
    """

    MOST = 6  # symbols in the picture

    def __init__(
        self, frames: torch.Tensor, symbols: Sequence[str], hop_seconds: float, clip: ArrayLike,
        sample_rate: int = 16000, blank: int = 0, said: str = "",
    ):
        middle = len(frames) // 2
        super().__init__(frames, symbols, hop_seconds, blank, middle, clip, sample_rate)
        self._said = said
        self._figure = new_figure(2.9)
        left, _ = self._figure.subplots(1, 2, width_ratios=(5, 2))
        self._figure.subplots_adjust(0.08, 0.17, 0.98, 0.9, wspace=0.08)
        plotting.waveform(self._clip, sample_rate, left, color="0.35", linestyle="-")
        low, high = left.get_ylim()
        left.set_ylim(low - 0.3 * (high - low), high)  # under the waveform a strip for letters
        left.set_yticks([tick for tick in left.get_yticks() if low <= tick <= high])
        left.grid(False)
        self._begin(said, "letters")

    def _render(self) -> tuple[str, str]:
        now = self.frame.value
        share = np.exp(self._frames[now])
        best = np.argsort(-share)[: self.MOST]
        names = ["blank" if i == self._blank else _seen(self._symbols[i]) for i in best]
        signs = self._signs(now + 1)
        written = self._written(self._read(now + 1))
        place = f"Frame {now} ({now * self._hop:.2f} s)"
        listed = ", ".join(
            f"{name} {100 * share[i]:.0f} %" for name, i in zip(names, best, strict=True)
        )
        words = f"{place}: {names[0]} is the most probable. Collapsed so far: {_quoted(written)}."
        if self._said:
            words += f" Said: {self._said!r}."

        left, right = self._figure.axes
        for artist in [*left.lines[1:], *left.patches, *left.texts]:
            artist.remove()
        _mark(left, now, self._hop)
        left.set_title(f"Best path so far: {_short(written, 40)}", y=1)  # found while hidden, too
        self._strip(left, signs)
        bars = emptied(right).barh(range(len(best)), 100 * share[best], color="#0072B2", height=0.5)
        right.bar_label(bars, [f"{name} {100 * share[i]:.0f} %" for name, i in
                               zip(names, best, strict=True)], padding=3)
        right.set(ylim=(self.MOST - 0.5, -0.5), xlim=(0, 165), yticks=[], xticks=[0, 50, 100])
        right.set(xlabel="Probability (%)", title=f"Frame {now}")
        right.grid(False)
        alt = f"{place}, probabilities: {listed}. Under the waveform the best path so far."
        taken_notes(self._figure)
        moving = [*left.lines[1:], *left.patches, *left.texts, left.title, right]
        page = figure_image(self._figure, alt, moving) + text_block(words) + self._raw(now)
        return page, f"{words} {alt}"

    def _strip(self, ax: Axes, signs: list[str]) -> None:
        """Write the best path so far under the waveform: each run of a letter once."""
        row, start = ax.get_xaxis_transform(), 0
        for end in range(1, len(signs) + 1):
            if end < len(signs) and signs[end] == signs[start]:
                continue
            if signs[start] != "·":
                edges = [(side - 0.5) * self._hop for side in (start, end)]
                ax.axvspan(*edges, ymax=0.2, color="#0072B2", alpha=0.25, linewidth=0)
                ax.text(sum(edges) / 2, 0.1, signs[start], transform=row, ha="center",
                        va="center", fontsize=10, weight="bold", clip_on=True)
            start = end


class BeamExplorer(FrameExplorer):
    """Let the reader follow a beam search through the frames of one clip.

    Parameters
    ----------
    frames, symbols, hop_seconds, blank, clip, sample_rate
        As :class:`FrameExplorer` takes them.
    steps : sequence of lists of (prefix, log_prob), or a callable
        The beams after each frame; a prefix is a str, or indices of symbols. A callable is asked
        for them: ``steps(frames)`` searches in the frames so far.

    Raises
    ------
    ValueError
        If there are not as many steps as frames, or a step has no beam; and as
        :class:`FrameExplorer` does.
    """

    MOST = 8  # beams in the picture

    def __init__(
        self, frames: torch.Tensor, symbols: Sequence[str], hop_seconds: float,
        steps: Sequence[Sequence[tuple]] | Callable[[torch.Tensor], Sequence[tuple]],
        blank: int = 0, clip: ArrayLike | None = None, sample_rate: int = 16000,
    ):
        super().__init__(
            frames, symbols, hop_seconds, blank, clip=clip, sample_rate=sample_rate
        )
        if callable(steps):
            steps = [steps(frames[: count + 1]) for count in range(len(frames))]
        self._steps = list(steps)
        if len(self._steps) != len(self._frames):
            raise ValueError(
                f"there are beams for {len(self._steps)} steps, but {len(self._frames)} frames"
            )
        for step, beams in enumerate(self._steps):
            if not len(beams):
                raise ValueError(f"there is no beam after frame {step}")
        self._rows = min(self.MOST, max(map(len, self._steps)))
        shown = visible_symbols(np.exp(self._frames), blank)
        self._figure = new_figure(min(3.6, max(3.0, 0.9 + 0.14 * len(shown))))
        left, _ = self._figure.subplots(1, 2, width_ratios=(5, 3))
        self._figure.subplots_adjust(0.07, 0.15, 0.97, 0.9, wspace=0.12)
        plotting.posteriors(
            self._frames, self._symbols, self._hop, left, self._blank, name="the clip"
        )
        self._seen = taken_notes(self._figure)
        # It opens where the search is least certain: at the end there is little left to choose.
        surest = [max(_shares([score for _, score in beams])) for beams in self._steps]
        self.frame.value = int(np.argmin(surest))
        self._begin(self._written(self._read(len(self._frames))), "beams")

    def _render(self) -> tuple[str, str]:
        now = self.frame.value
        beams = [(self._written(prefix), float(score)) for prefix, score in self._steps[now]]
        beams.sort(key=lambda beam: -beam[1])
        shares = _shares([score for _, score in beams])
        greedy = self._written(self._read(now + 1))
        place = f"After frame {now} ({now * self._hop:.2f} s)"
        many = f"{len(beams)} beam{'s' * (len(beams) > 1)}"
        words = f"{place} the best of {many} is {_quoted(beams[0][0])}, {shares[0]:.0f} % of "
        words += f"their probability. The greedy path reads {_quoted(greedy)}."
        others = [
            f"{_quoted(prefix)} {share:.0f} %"
            for (prefix, _), share in zip(beams, shares, strict=True)
        ]

        left, right = self._figure.axes[:2]
        for artist in [*left.lines, *left.patches]:
            artist.remove()
        _mark(left, now, self._hop)
        left.set_title(f"Frame {now} of 0 to {len(self._frames) - 1}", y=1)
        shown = list(zip(beams, shares, strict=True))[: self.MOST]
        bars = emptied(right).barh(
            range(len(shown)), [share for _, share in shown], color="#0072B2", height=0.4,
        )
        labels = [f"{share:.0f} %, score {score:.1f}" for (_, score), share in shown]
        right.bar_label(bars, labels, padding=3, fontsize=8)
        for row, ((prefix, _), _share) in enumerate(shown):
            right.text(2, row - 0.22, _short(prefix), va="bottom", fontsize=9)
        right.set(ylim=(self._rows - 0.5, -0.8), xlim=(0, 150), yticks=[], xticks=[0, 50, 100])
        right.set(xlabel="Share of the beams (%)", title="Beams")
        right.spines[["top", "right"]].set_visible(False)

        alt = f"{place}. Best beams: {', '.join(others[:2])}. "
        alt += self._seen
        moving = [*left.lines, *left.patches, left.title, right]
        page = figure_image(self._figure, alt, moving) + text_block(words) + self._raw(now)
        return page, f"{words} {alt}"


def _mark(ax: Axes, frame: int, hop_seconds: float) -> None:
    """Mark a frame on an axis of time."""
    edges = [(frame + side) * hop_seconds for side in (-0.5, 0.5)]
    ax.axvspan(*edges, color="#D55E00", alpha=0.25, linewidth=0)
    for edge in edges:
        ax.axvline(edge, color="#D55E00", linewidth=1)


def _shares(scores: Sequence[float]) -> list[float]:
    """How much of all beams' probability each has, in per cent."""
    top = max(map(float, scores))
    weights = [math.exp(score - top) if top > -math.inf else 1.0 for score in scores]
    return [100 * weight / sum(weights) for weight in weights]


def _seen(symbol: str) -> str:
    """A symbol as it is drawn."""
    return "␣" if symbol == " " else symbol


def _quoted(prefix: str) -> str:
    return repr(prefix) if prefix else "nothing yet"


def _short(prefix: str, longest: int = 28) -> str:
    """The end of a prefix, spaces visible; the empty one has a name."""
    if not prefix:
        return "(nothing yet)"
    return (prefix if len(prefix) <= longest else f"…{prefix[1 - longest :]}").replace(" ", "␣")
