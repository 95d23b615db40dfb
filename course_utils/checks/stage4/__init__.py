"""The checks of stage 4, in the order of its exercises, and the ways on for who is stuck.

A notebook imports this package as ``checks``.
"""

from course_utils.checks.progress import progress_of
from course_utils.checks.stage4.alignment import soft_alignment
from course_utils.checks.stage4.batches import collate_sequences, statistics
from course_utils.checks.stage4.ctc import brute_force, ctc_loss
from course_utils.checks.stage4.decoding import beam_search, greedy
from course_utils.checks.stage4.errors import edit_distance
from course_utils.checks.stage4.language import ngram
from course_utils.checks.stage4.large_network import deep_speech
from course_utils.checks.stage4.large_trained import deep_speech_ctc
from course_utils.checks.stage4.lengths import output_frames
from course_utils.checks.stage4.masks import spec_augment
from course_utils.checks.stage4.network import speech_ctc
from course_utils.checks.stage4.paths import collapse, feasible
from course_utils.checks.stage4.text import char_map
from course_utils.checks.stage4.training import batch_loss, clipped_step, weight_penalty
from course_utils.checks.stuck import (
    load_before,
    load_reference,
    references,
    restore_stub,
    show_reference,
    tell_open_exercises,
)

__all__ = [  # noqa: RUF022  in the order of the exercises
    "char_map",  # 4.1
    "statistics",  # 4.2
    "spec_augment",  # 4.3
    "collate_sequences",  # 4.4
    "collapse",  # 4.5
    "brute_force",  # 4.6
    "ctc_loss",  # 4.7
    "feasible",  # 4.8
    "output_frames",  # 4.9
    "deep_speech",  # 4.10
    "speech_ctc",  # 4.11
    "edit_distance",  # 4.12
    "greedy",  # 4.13
    "beam_search",  # 4.14
    "ngram",  # 4.15
    "deep_speech_ctc",  # 4.16
    "batch_loss",  # 4.17
    "clipped_step",  # 4.18
    "soft_alignment",  # 4.19
    "weight_penalty",  # 4.20
    "load_reference",
    "show_reference",
    "load_before",
    "restore_stub",
    "references",
    "progress",
]

progress = progress_of(4)
tell_open_exercises()
