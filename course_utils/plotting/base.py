"""What every plot shares: one style, notes in words, and the way to the page."""

import base64
import html
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import matplotlib as mpl
import numpy as np
from IPython.display import HTML, display
from matplotlib import font_manager
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font
from numpy.typing import ArrayLike, NDArray
from PIL import Image

# Okabe and Ito's colours, each line with its own dashes and marker: readable in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")


DASHES = ("-", "--", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))


MARKERS = ("o", "s", "^", "D", "v", "P")


#: Stored pixels for each of the page's: crisp on a fine screen, and at 200 %.
FINE = 2


# What is said in words of each figure, in the order in which it was drawn.
_notes: WeakKeyDictionary[Figure, list[str]] = WeakKeyDictionary()


def use_style() -> None:
    """Give every figure the same look, also one that a cell draws itself."""
    mpl.rcParams.update(
        {
            "figure.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.prop_cycle": mpl.cycler(color=COLOURS, linestyle=DASHES),
            "grid.color": "0.85",
            "grid.linewidth": 0.6,
            "legend.frameon": False,
        }
    )


def use_fonts_for(text: str) -> None:
    """Let figures draw these letters, in the fonts that this computer has; say which they cannot.

    Parameters
    ----------
    text : str
        Every letter that a figure will show.
    """
    families = mpl.rcParams["font.family"]
    names = [name for family in families for name in mpl.rcParams.get(f"font.{family}", [family])]
    fonts = font_manager.fontManager.ttflist  # one of them has a box for every letter there is
    entries = {font.name: font.fname for font in fonts if "Last Resort" not in font.name}
    wanted = {ord(letter) for letter in text if not letter.isspace()}

    def drawn(name: str) -> set[int]:
        return wanted & get_font(entries[name]).get_charmap().keys()

    for name in names:
        if name in entries:
            wanted -= drawn(name)
            break  # the first that is there draws the rest of the text
    while wanted and (best := max(sorted(entries), key=lambda name: len(drawn(name)))):
        if not (found := drawn(best)):
            break
        wanted -= found
        families = [*families, best]
    mpl.rcParams["font.family"] = families
    if wanted:
        shown = " ".join(sorted(map(chr, wanted))[:8])
        print(f"No font of this computer draws {shown}: figures show boxes, printed text is right.")
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")


def note(place: Axes | Figure | NDArray, text: str) -> None:
    """Say in words what was drawn, for readers who do not see it; `show` tells them.

    Parameters
    ----------
    place : Axes, array of Axes, or Figure
    text : str
        A sentence.
    """
    _notes.setdefault(figure_of(place), []).append(text)


def taken_notes(figure: Figure) -> str:
    """The notes of a figure in one text; they are forgotten, so that it can be drawn anew."""
    return " ".join(_notes.pop(figure, []))


@contextmanager
def quietly(place: Axes | Figure | NDArray) -> Iterator[None]:
    """Forget what is noted inside: a note on the whole says it in fewer words."""
    figure = figure_of(place)
    before = list(_notes.get(figure, ()))
    yield
    _notes[figure] = before


def figure_of(place: Axes | Figure | NDArray) -> Figure:
    """The figure of an axes, of an array of axes, or itself."""
    first = place.flat[0] if hasattr(place, "flat") else place
    return first if isinstance(first, Figure) else first.figure


def array(x: ArrayLike, dtype: Any = None) -> NDArray:
    """An array of NumPy from one of NumPy or torch."""

    return np.asarray(x.detach().cpu() if hasattr(x, "detach") else x, dtype=dtype)


def samples_of(x: ArrayLike) -> NDArray:
    """One clip as a float array (time,), or a ValueError that says what is wrong with it."""

    x = array(x)
    if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[0] != 1):
        raise ValueError(f"expected one mono clip, (time,) or (1, time), got shape {x.shape}")
    if x.size == 0:
        raise ValueError("the clip is empty: it has no samples")
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"expected float samples in [-1, 1], got {x.dtype} (int16: / 32768)")
    if not np.isfinite(x).all():
        raise ValueError(f"the clip holds {(~np.isfinite(x)).sum()} samples that are NaN or inf")
    return x.reshape(-1)


def checked_rate(sample_rate: float) -> int:
    """The sample rate as an int, or a ValueError."""
    if sample_rate <= 0 or sample_rate != int(sample_rate):
        raise ValueError(f"sample_rate must be a positive whole number of Hz, got {sample_rate}")
    return int(sample_rate)


def new_axes(width: float, height: float, columns: int = 1, rows: int = 1, **shared: Any) -> Any:
    """Axes of a new figure, in inches; an array of them for several columns or rows."""
    figure = {"figsize": (width, height), "layout": "constrained", "facecolor": "white"}
    return plt.subplots(rows, columns, **figure, **shared)[1]


def line_style(i: int, points: int) -> dict[str, Any]:
    """Colour, dashes and marker of line number `i` with so many points: readable in grey."""
    styles = {"color": COLOURS, "linestyle": DASHES, "marker": MARKERS}
    style = {name: values[i % len(values)] for name, values in styles.items()}
    return style | {"markersize": 4, "markevery": max(1, points // 10)}


def curve_style(i: int) -> dict[str, Any]:
    """Colour and dashes of line number `i` with many points, without markers."""
    return {name: value for name, value in line_style(i, 0).items() if "mark" not in name}


def with_grid(ax: Axes, axis: str = "both") -> Axes:
    """The axes with a light grid behind what is drawn, along this axis alone."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(False)
    ax.grid(axis=axis, color="0.85", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def legend_above(ax: Axes, columns: int) -> None:
    """The legend in rows above the axes: all of the width is left to what is drawn."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.3)


def img(fig: Figure, pixels: Image.Image, alt: str, fine: int = FINE, **save: Any) -> str:
    """``<img alt>`` of a figure's pixels in RGB, `fine` of them for each of the page's.

    All else goes to Pillow's ``save``.
    """
    png = io.BytesIO()
    # 32 colours halve the size of a notebook. Lines have few, and a median cut keeps them. Where a
    # scale of colours is drawn, it spends most on what is frequent: there they span all there are.
    drawn = [item for ax in fig.axes for item in (*ax.images, *ax.collections)]
    scale = any(item.get_array() is not None for item in drawn)
    how = Image.Quantize.MAXCOVERAGE if scale else Image.Quantize.MEDIANCUT
    pixels.quantize(32, how).save(png, format="png", **save)  # without a date the bytes stay
    data, alt = base64.b64encode(png.getvalue()).decode(), html.escape(" ".join(alt.split()))
    size = f'width="{pixels.width // fine}" style="max-width:100%;height:auto"'
    return f'<img alt="{alt}" src="data:image/png;base64,{data}" {size}>'


def image(fig: Figure, alt: str) -> str:
    """``<img alt>`` of a figure, which is closed."""

    if not isinstance(alt, str) or len(alt.strip()) < 20:
        raise ValueError(
            f"alt={alt!r} says too little: describe in words what the figure shows, for readers "
            "who cannot see it (20 characters at least; a plot of the course writes it for you)"
        )
    pixels = io.BytesIO()
    fig.savefig(pixels, format="png", dpi=FINE * 100, facecolor="white", bbox_inches="tight")
    plt.close(fig)
    return img(fig, Image.open(pixels).convert("RGB"), alt, optimize=True)


def show(place: Axes | Figure | NDArray, alt: str = "") -> None:
    """Show a figure with what its plots have noted as alt text, and close it.

    Parameters
    ----------
    place : Axes, array of Axes, or Figure
    alt : str
        What else is to be said; it comes first. A figure that a cell draws itself has no notes, and
        needs it.

    Raises
    ------
    ValueError
        If there are less than 20 characters to say.
    """
    figure = figure_of(place)
    display(HTML(image(figure, f"{alt} {taken_notes(figure)}")))
