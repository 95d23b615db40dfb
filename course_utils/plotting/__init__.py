"""Plots and players of the course: draw on an axes, note in words, show with alt text.

A plot draws on ``ax`` (a new figure where there is none), notes on its figure in words what it
shows, and returns the axes; :func:`show` puts figure and words on the page::

    plotting.show(plotting.waveform(x, 16000, name="yes"))

Arrays are NumPy's or torch's. A clip ``x`` is (time,) or (1, time), float, in [-1, 1]; a
``sample_rate`` is in Hz. Axes are in seconds and Hz; accuracies are fractions, drawn in percent.
Figures that a cell draws itself get the same style.
"""

from course_utils.plotting.base import new_axes, note, show, use_fonts_for, use_style
from course_utils.plotting.clips import (
    class_balance,
    clip_lengths,
    log_mel,
    log_mels,
    player,
    players,
    waveform,
)
from course_utils.plotting.frames import (
    features,
    filterbank,
    heard,
    hidden_parts,
    kernels,
    power,
)
from course_utils.plotting.insides import fading, lstm_cell, memories
from course_utils.plotting.letters import (
    aligned_words,
    alignment,
    learning_by_heart,
    learning_to_write,
    posteriors,
)
from course_utils.plotting.paths import forward_table, forward_values, paths, prefix_tree, trellis
from course_utils.plotting.scores import (
    accuracy_against,
    accuracy_against_cost,
    confusion_matrix,
    confusions,
    learning_curves,
    losses,
    predictions,
    rates_by_speaker,
    trade_off,
    transfer,
)
from course_utils.plotting.waves import (
    aliasing,
    cepstrum,
    cosines,
    filter_response,
    fourier,
    matches,
    occlusions,
    rebuilt,
    windows,
)

__all__ = [
    "accuracy_against", "accuracy_against_cost", "aliasing", "aligned_words", "alignment",
    "cepstrum", "class_balance",
    "clip_lengths", "confusion_matrix", "confusions", "cosines", "fading", "features",
    "filter_response", "filterbank", "forward_table", "forward_values", "fourier",
    "heard", "hidden_parts", "kernels", "learning_by_heart", "learning_curves", "learning_to_write",
    "log_mel", "log_mels", "losses", "lstm_cell", "matches", "memories", "new_axes", "note",
    "occlusions", "paths",
    "player", "players", "posteriors", "power", "predictions", "prefix_tree",
    "rates_by_speaker", "rebuilt", "show", "trade_off", "transfer", "trellis", "use_fonts_for",
    "use_style", "waveform", "windows",
]

use_style()
