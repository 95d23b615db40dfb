"""An explorer of beam search, frame by frame."""

import html
import math
from collections.abc import Callable, Sequence

import ipywidgets
import numpy as np
import torch

from course_utils import plotting
from course_utils.interactive.base import Explorer, figure_image, new_figure, slider, text_block
from course_utils.plotting.base import array, taken_notes
from course_utils.plotting.letters import best_path, posteriors_in_words, visible_symbols


class BeamExplorer(Explorer):
    """Let the reader follow a beam search through the frames of one clip.

    Parameters
    ----------
    frames : tensor (frame, symbol)
        Log probabilities; those of a frame sum to 1 as probabilities.
    symbols : sequence of str
        The name of each symbol.
    hop_seconds : float
        Time from one frame to the next, in s.
    steps : sequence of lists of (prefix, log_prob), or a callable
        The beams after each frame; a prefix is a str, or indices of symbols. A callable is asked
        for them: ``steps(frames)`` searches in the frames so far.
    blank : int
        The index of the blank of CTC.

    Raises
    ------
    ValueError
        If there are not as many steps as frames, or a step has no beam; see also
        ``plotting.posteriors``.
    """

    MOST = 8  # beams in the picture

    def __init__(
        self, frames: torch.Tensor, symbols: Sequence[str], hop_seconds: float,
        steps: Sequence[Sequence[tuple]] | Callable[[torch.Tensor], Sequence[tuple]],
        blank: int = 0,
    ):

        if callable(steps):
            steps = [steps(frames[: count + 1]) for count in range(len(frames))]
        self._frames, self._symbols = array(frames, float), list(symbols)
        self._hop, self._steps, self._blank = hop_seconds, list(steps), blank
        posteriors_in_words(self._frames, symbols, hop_seconds, "a clip", blank)  # valid?
        if len(self._steps) != len(self._frames):
            raise ValueError(
                f"there are beams for {len(self._steps)} steps, but {len(self._frames)} frames"
            )
        for step, beams in enumerate(self._steps):
            if not len(beams):
                raise ValueError(f"there is no beam after frame {step}")
        self._rows = min(self.MOST, max(map(len, self._steps)))
        last = len(self._frames) - 1
        self.frame = slider(ipywidgets.IntSlider, "Frame", last, 0, last, 1)

        shown = visible_symbols(np.exp(self._frames), blank)
        self._figure = new_figure(max(3.6, 0.9 + 0.14 * len(shown)))
        self._start(self.frame)

    def _written(self, prefix) -> str:
        if not isinstance(prefix, str):
            prefix = "".join(self._symbols[int(token)] for token in prefix)
        return prefix

    def _render(self) -> tuple[str, str]:
        now = self.frame.value
        beams = [(self._written(prefix), float(score)) for prefix, score in self._steps[now]]
        beams.sort(key=lambda beam: -beam[1])
        top = beams[0][1]
        weights = [math.exp(score - top) if top > -math.inf else 1.0 for _, score in beams]
        shares = [100 * weight / sum(weights) for weight in weights]
        path = self._frames[: now + 1].argmax(axis=1).tolist()
        signs = "".join("·" if i == self._blank else self._symbols[i] for i in path)
        tokens = best_path(self._frames[: now + 1], self._blank)
        greedy = "".join(self._symbols[token] for token in tokens)
        place = f"After frame {now} ({now * self._hop:.2f} s)"
        many = f"{len(beams)} beam{'s' * (len(beams) > 1)}"
        words = f"{place} the best of {many} is {_quoted(beams[0][0])}, {shares[0]:.0f} % of "
        words += f"their probability. The greedy path reads {_quoted(greedy)}."
        others = [
            f"{_quoted(prefix)} {share:.0f} %"
            for (prefix, _), share in zip(beams, shares, strict=True)
        ]

        self._figure.clear()
        left, right = self._figure.subplots(1, 2, width_ratios=(5, 3))
        self._figure.subplots_adjust(0.07, 0.15, 0.97, 0.9, wspace=0.12)
        plotting.posteriors(
            self._frames, self._symbols, self._hop, left, self._blank, name="the clip"
        )
        seen = taken_notes(self._figure)
        edges = [(now + side) * self._hop for side in (-0.5, 0.5)]
        left.axvspan(*edges, color="#D55E00", alpha=0.25, linewidth=0)
        for edge in edges:
            left.axvline(edge, color="#D55E00", linewidth=1)
        left.set_title(f"Frame {now} of 0 to {len(self._frames) - 1}")
        shown = list(zip(beams, shares, strict=True))[: self.MOST]
        bars = right.barh(
            range(len(shown)), [share for _, share in shown], color="#0072B2", height=0.4,
        )
        labels = [f"{share:.0f} %, score {score:.1f}" for (_, score), share in shown]
        right.bar_label(bars, labels, padding=3, fontsize=8)
        for row, ((prefix, _), _share) in enumerate(shown):
            right.text(2, row - 0.22, _short(prefix), va="bottom", fontsize=9)
        right.set(ylim=(self._rows - 0.5, -0.8), xlim=(0, 150), yticks=[], xticks=[0, 50, 100])
        right.set(xlabel="Share of the beams (%)", title="Beams")
        right.spines[["top", "right"]].set_visible(False)

        alt = f"{place}. Beams: {', '.join(others[: self.MOST])}. "
        alt += seen
        page = figure_image(self._figure, alt) + text_block(words)
        raw = html.escape(signs.replace(" ", "␣"))
        code = f'<code style="overflow-wrap:anywhere">{raw}</code>'
        page += f"<div>Greedy, frame by frame (· is the blank): {code}</div>"
        return page, f"{words} {alt}"


def _quoted(prefix: str) -> str:
    return repr(prefix) if prefix else "nothing yet"


def _short(prefix: str, longest: int = 28) -> str:
    """The end of a prefix, spaces visible; the empty one has a name."""
    if not prefix:
        return "(nothing yet)"
    return (prefix if len(prefix) <= longest else f"…{prefix[1 - longest :]}").replace(" ", "␣")
