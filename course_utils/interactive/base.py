"""What every widget shares: a page that is drawn again, and errors in plain words.

A static result is always part of the page, which is complete without a kernel. Where there is no
notebook (a script, a test), nothing is shown.
"""

import html
import reprlib
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import anywidget
import ipywidgets
import numpy as np
import torch
import traitlets
from IPython import get_ipython
from IPython.display import display
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import ArrayLike
from PIL import Image

from course_utils import audio
from course_utils.plotting.base import img, samples_of, taken_notes


def in_kernel() -> bool:
    """Whether a notebook or a console shows what is displayed."""
    return getattr(get_ipython(), "kernel", None) is not None


def show_page(page: str, words: str, handle: Any = None) -> Any:
    """Display HTML, with `words` for pages without HTML; or update what `handle` displays."""
    bundle = {"text/html": page, "text/plain": words}
    if handle is not None:
        handle.update(bundle, raw=True)
    elif in_kernel():
        handle = display(bundle, raw=True, display_id=True)
    return handle


#: A widget whose kernel was restarted has a class for it; in a notebook that was opened again it
#: is an element without children, with an error's text.
_LOST = """<style>
.jupyter-widgets-disconnected:not(.jupyter-widgets *)::after,
.jp-OutputArea-output.jupyter-widgets:not(:has(*))::after {
  content: "Nothing answers here: run this cell again.";
  font-size: var(--jp-content-font-size1, 14px); padding: 4px; align-self: flex-start;
}
.jp-OutputArea-output.jupyter-widgets:not(:has(*)) { font-size: 0; }
</style>"""


def show_widget(widget: ipywidgets.Widget) -> None:
    """Display a widget, with words for pages whose kernel is gone."""
    words = "Buttons stand here when the notebook runs."
    if in_kernel():
        display({"text/html": _LOST, "text/plain": ""}, raw=True)
        display({**widget._repr_mimebundle_(), "text/plain": words}, raw=True)


#: Of a figure with one pixel for each of the page's, drawn in half the time of a stored one.
DPI = 90


def new_figure(height: float) -> Figure:
    """Return a figure 9 inches wide that is drawn again and again; pyplot does not know it."""
    return FigureCanvasAgg(Figure(figsize=(9, height), dpi=DPI)).figure


def emptied(ax: Axes) -> Axes:
    """The axes without what was drawn on it; its ticks stay, which would take longest to make."""
    for artist in [*ax.lines, *ax.collections, *ax.patches, *ax.texts]:
        artist.remove()
    ax.set_prop_cycle(None)  # the next line is again the first
    return ax


#: What does not move in a figure, as it was drawn.
_still: WeakKeyDictionary[Figure, Any] = WeakKeyDictionary()


def figure_image(figure: Figure, alt: str, moving: Sequence[Artist] = (), fine: int = 1) -> str:
    """``<img alt>`` of the figure as it is: faster than the cropped one of ``plotting.show``.

    Where something is named that moves, all else is drawn once. The picture has `fine` pixels for
    each of the page's.
    """
    figure.set_dpi(fine * DPI)
    taken_notes(figure)  # they are in `alt`, as far as they are to be said
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a word may hold a $
    if moving and figure in _still:
        figure.canvas.restore_region(_still[figure])
    else:
        for artist in moving:
            artist.set_visible(False)
        figure.canvas.draw()
        _still[figure] = figure.canvas.copy_from_bbox(figure.bbox)
    for artist in moving:
        artist.set_visible(True)
        figure.draw_artist(artist)
    pixels = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
    return img(figure, pixels, alt, fine, compress_level=6)


def plain_words(error: Exception) -> str:
    """One line: the message of an audio error, or the error and the line that raised it."""
    if isinstance(error, audio.AudioError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    own = Path(__file__).parent
    place = next((frame for frame in frames if Path(frame.filename).parent != own), None)
    where = f" (line {place.lineno} of {place.name})" if place else ""
    return f"{type(error).__name__}: {error}{where}"


def attempt(output: ipywidgets.Output, function: Callable, *arguments: Any) -> bool:
    """Call a function whose prints and plots, or whose error in one line, appear in `output`."""
    output.clear_output()
    with output:
        try:
            function(*arguments)
        except Exception as error:
            print(f"That did not work. {plain_words(error)}")
            return False
    return True


def text_block(words: str) -> str:
    """Words as a block of HTML."""
    return f"<div>{html.escape(words)}</div>"


def slider(
    kind: type, name: str, value: float, low: float, high: float, step: float
) -> ipywidgets.Widget:
    """A slider that tells its value when it is let go."""
    return kind(value, min=low, max=high, step=step, description=name, continuous_update=False)


class SliderNames(anywidget.AnyWidget):
    """What a screen reader says of the sliders beside it, in their order."""

    _esm = Path(__file__).with_name("names.js")
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)


class Explorer:
    """A page that `_render` makes, and again when a control changes: it displays itself."""

    page = words = ""
    _handle = None

    def _ipython_display_(self) -> None:
        pass  # as the last line of a cell it adds nothing

    def _start(
        self, *controls: ipywidgets.Widget, silent: Sequence[ipywidgets.Widget] = ()
    ) -> None:
        """Show the page under its controls; `silent` widgets stand beside them."""
        self.page, self.words = self._render()
        width = max(8, *(0.55 * len(control.description) for control in controls))  # em
        for control in controls:
            control.style.description_width = f"{width:g}em"
            control.layout.width = f"min(100%, {width + 24:g}em)"
            control.observe(self._changed, "value")
        named = [control.description for control in controls if control.has_trait("readout")]
        silent = [*silent, SliderNames(names=named)]
        # Above what they change, beside each other where there is room: a hand on the slider, an
        # eye on the picture.
        show_widget(ipywidgets.Box([*controls, *silent], layout={"flex_flow": "row wrap"}))
        self._handle = show_page(self.page, self.words)

    def _changed(self, _change: Any = None) -> None:
        try:
            self.page, self.words = self._render()
        except Exception as error:
            self.words = f"That did not work. {plain_words(error)}"
            self.page = html.escape(self.words)
        if self._handle is not None:
            show_page(self.page, self.words, self._handle)

    def _render(self) -> tuple[str, str]:
        raise NotImplementedError


class ClipExplorer(Explorer):
    """An explorer that begins with the choice of a clip."""

    def __init__(self, clips: Sequence[ArrayLike], labels: Sequence[str], sample_rate: int):
        if len(clips) != len(labels) or not len(labels):
            raise ValueError(f"there are {len(clips)} clips and {len(labels)} labels")
        self._clips, self._labels, self._sample_rate = clips, list(labels), sample_rate
        options = [(f"{number + 1}: {word}", number) for number, word in enumerate(self._labels)]
        self.choice = ipywidgets.Dropdown(options=options, description="Clip")

    def _chosen(self) -> tuple[torch.Tensor, str]:
        """The clip, float32 (1, time), and its label."""
        samples = samples_of(self._clips[self.choice.value])
        clip = torch.from_numpy(samples.copy()).float()[None]  # (1, time)
        return clip, self._labels[self.choice.value]


def shares_of(heard: Mapping[str, float], name: str = "the network") -> dict[str, float]:
    """What a model of this name hears, in plain types; a ValueError if it is no probabilities."""
    if not isinstance(heard, Mapping) or not heard:
        got = reprlib.repr(heard)
        raise ValueError(f"{name}: expected a dict with the probability of each word, got {got}")
    shares = {str(word): float(value) for word, value in heard.items()}
    for word, share in shares.items():
        if not -1e-3 <= share <= 1 + 1e-3:  # nor is NaN
            raise ValueError(
                f"{name}: the probability of {word!r} is {share:g}, not 0 to 1. Is there no "
                "softmax, or did the training diverge?"
            )
    return shares


def ranking_in_words(heard: dict[str, float], word: str) -> str:
    """The five most probable words, and the place of the true one."""
    ranking = sorted(heard, key=heard.get, reverse=True)
    place = f"number {ranking.index(word) + 1}" if word in heard else "none"
    shares = ", ".join(f"{name} {100 * heard[name]:.0f} %" for name in ranking[:5])
    return f"Most probable: {shares}. The true word is {place} of {len(ranking)}."


def draw_bars(
    ax: Axes, heard: dict[str, float], word: str, most: int = 5, title: str = "What the model hears"
) -> None:
    """Draw what a model hears: the most probable words, the true one hatched."""
    names = sorted(heard, key=heard.get, reverse=True)[:most][::-1]
    bars = emptied(ax).barh(
        range(len(names)), [100 * heard[name] for name in names],
        color=["#F0C060" if name == word else "#0072B2" for name in names],
        hatch=["////" if name == word else "" for name in names], height=0.45,
    )
    ax.grid(False)
    ax.bar_label(bars, fmt="%.0f %%", padding=3)
    # The names stand above their bars: beside them they would need as much room again.
    for place, name in enumerate(names):
        ax.text(2, place + 0.26, f"{name} (true)" if name == word else name, va="bottom")
    ax.set(xlim=(0, 130), xlabel="Probability (%)")
    ax.set_title(title, fontsize=12 if most > 3 else 9)
    ax.set(yticks=[], xticks=[0, 50, 100], ylim=(-0.5, len(names) - 0.2))
