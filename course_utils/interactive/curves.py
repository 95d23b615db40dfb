"""Training curves that grow in place."""

import html
import math
import time
from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from course_utils import plotting
from course_utils.interactive.base import (
    DPI,
    figure_image,
    in_kernel,
    new_figure,
    plain_words,
    show_page,
)
from course_utils.plotting.base import FINE, taken_notes
from course_utils.plotting.scores import curves_of

#: Seconds between two frames of the live curves.
FRAME_SECONDS = 0.5


class LiveCurves:
    """Training curves that grow in place while a model trains.

    One output is redrawn at most twice a second, and at the end: the last state is always seen,
    even if the training fails. A drawing that fails is said, and never stops a training.

    Parameters
    ----------
    epochs : int, optional
        How many are planned.
    chance : float, optional
        Accuracy of guessing, a fraction.
    title : str
        Heading of the figure.
    figure_path : path, optional
        Where `close` writes the last figure, also in a script.
    clock : callable
        Returns the time in seconds.

    Attributes
    ----------
    history : dict of str to list of float
        For each measure one number an epoch, as ``plotting.learning_curves`` takes it.

    Examples
    --------
    >>> with LiveCurves(epochs=2, chance=0.5) as curves:
    ...     for loss in (0.9, 0.7):
    ...         curves.update(train_loss=loss, train_accuracy=1 - loss / 2)
    >>> curves.history
    {'train_loss': [0.9, 0.7], 'train_accuracy': [0.55, 0.65]}
    """

    def __init__(
        self, epochs: int | None = None, chance: float | None = None, title: str = "",
        figure_path: str | Path | None = None, clock: Callable[[], float] = time.monotonic,
    ):
        self.history: dict[str, list[float]] = {}
        self.epochs, self.chance, self.title = epochs, chance, title
        self._figure_path, self._clock = figure_path, clock
        self._figure = self._handle = None
        self._started, self._drawn = clock(), -math.inf
        self._epoch, self._resumed, self._progress, self._page = 0, 0, "", ""
        self._pending = self._closed = False

    def __enter__(self) -> "LiveCurves":
        self._started, self._resumed = self._clock(), self._epoch
        words = "The curves come after the first epoch."
        self._handle = show_page(words, words, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def update(self, **measures: float) -> None:
        """Add an epoch.

        Parameters
        ----------
        **measures : float
            Such as ``train_loss``, ``validation_loss``, ``train_accuracy``,
            ``validation_accuracy`` (fractions), the same in every epoch.

        Raises
        ------
        ValueError
            Other measures than in the epochs before.
        RuntimeError
            The curves are closed.
        """
        if self._closed:
            raise RuntimeError("These curves are closed: make new LiveCurves for a new training.")
        if self.history and measures.keys() != self.history.keys():
            raise ValueError(f"expected {', '.join(self.history)}; got {', '.join(measures)}")
        numbers = {name: float(value) for name, value in measures.items()}
        for name, number in numbers.items():
            self.history.setdefault(name, []).append(number)
        now = self._clock()
        self._epoch += 1
        total = f"/{self.epochs}" if self.epochs else ""
        self._progress = f"Epoch {self._epoch}{total}, {now - self._started:.1f} s"
        self._pending = True
        if in_kernel() and now - self._drawn >= FRAME_SECONDS:
            self._draw()

    def step(self, done: int, total: int) -> None:
        """Say how far an epoch is, and how long the training still takes.

        Parameters
        ----------
        done, total : int
            Batches of this epoch that are done, and how many there are.
        """
        now = self._clock()
        if not in_kernel() or now - self._drawn < FRAME_SECONDS:
            return
        share = done / total
        planned = f"/{self.epochs}" if self.epochs else ""
        text = f"Epoch {self._epoch + 1}{planned}, {share:.0%}"
        trained = self._epoch - self._resumed + share  # since the start, in epochs
        if self.epochs and trained:
            left = (self.epochs - self._epoch - share) * (now - self._started) / trained
            text += f", about {left:.0f} s left"
        self._handle = show_page(f"{self._page}<div>{text}</div>", text, self._handle)
        self._drawn, self._pending = now, True

    def close(self) -> None:
        """Draw the last state."""
        if self._closed:
            return
        self._closed = True
        if in_kernel() and self._pending:
            self._draw()
        if self._figure_path is not None and self.history:
            self._render().savefig(self._figure_path, dpi=FINE * DPI)

    def _render(self) -> Figure:
        if self._figure is None:
            self._figure = new_figure(3.1)
            count = len(curves_of(self.history))
            self._figure.subplots(1, count)
            self._figure.subplots_adjust(0.07, 0.16, 0.98, 0.88, wspace=0.32)
            self._figure.suptitle(self.title)
        for ax in self._figure.axes:
            ax.clear()
        taken_notes(self._figure)  # what the last frame said is no longer true
        plotting.learning_curves(self.history, self._figure.axes, self.chance)
        return self._figure

    def _draw(self) -> None:
        try:
            heading = f"{self.title}: {self._progress}" if self.title else self._progress
            figure = self._render()
            alt = f"{heading}. {taken_notes(figure)}"
            self._page = figure_image(figure, alt, fine=FINE if self._closed else 1)
            page = f"{self._page}<div>{self._progress}</div>"
        except Exception as error:
            alt = f"{self._progress}. The curves cannot be drawn. {plain_words(error)}"
            page = html.escape(alt)
        self._handle = show_page(page, alt, self._handle)
        self._drawn, self._pending = self._clock(), False
