"""The checks of stage 3, in the order of its exercises, and the ways on for who is stuck.

A notebook imports this package as ``checks``.
"""

from course_utils.checks.progress import progress_of
from course_utils.checks.stage3.augment import (
    add_noise,
    augmentation,
    change_speed,
    gain,
    pad,
    shift,
)
from course_utils.checks.stage3.cepstrum import dct_matrix, decibels, mel_filterbank
from course_utils.checks.stage3.events import count_events, find_events
from course_utils.checks.stage3.features import frame, power_spectrum
from course_utils.checks.stage3.listening import listen_on, running_level, stream_frames
from course_utils.checks.stage3.recurrent import lstm_cell, speech_lstm
from course_utils.checks.stage3.thresholds import det
from course_utils.checks.stage3.training import accumulation, transfer
from course_utils.checks.stage3.warping import warp
from course_utils.checks.stuck import (
    load_before,
    load_reference,
    references,
    restore_stub,
    show_reference,
    tell_open_exercises,
)

__all__ = [  # noqa: RUF022  in the order of the exercises
    "frame",  # 3.1
    "power_spectrum",  # 3.2
    "mel_filterbank",  # 3.3
    "decibels",  # 3.4
    "dct_matrix",  # 3.5
    "change_speed",  # 3.6
    "add_noise",  # 3.7
    "lstm_cell",  # 3.8
    "speech_lstm",  # 3.9
    "transfer",  # 3.10
    "stream_frames",  # 3.11
    "running_level",  # 3.12
    "listen_on",  # 3.13
    "find_events",  # 3.14
    "count_events",  # 3.15
    "det",  # 3.16
    "warp",  # 3.17
    "shift",  # worked
    "pad",  # worked
    "gain",  # worked
    "augmentation",  # worked
    "accumulation",  # worked
    "load_reference",
    "show_reference",
    "load_before",
    "restore_stub",
    "references",
    "progress",
]

progress = progress_of(3)
tell_open_exercises()
