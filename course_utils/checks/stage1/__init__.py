"""The checks of stage 1, in the order of its exercises, and the ways on for who is stuck.

A notebook imports this package as ``checks``.
"""

from course_utils.checks.progress import progress_of
from course_utils.checks.stage1.checkpoint import save_and_load
from course_utils.checks.stage1.data import collate, fit_to_length, split_by_speaker, vocabulary
from course_utils.checks.stage1.interval import interval_over_speakers
from course_utils.checks.stage1.model import log_softmax_and_nll, mlp
from course_utils.checks.stage1.training import (
    evaluate,
    overfit_one_batch,
    training_step,
)
from course_utils.checks.stuck import (
    load_before,
    load_reference,
    references,
    restore_stub,
    show_reference,
    tell_open_exercises,
)

__all__ = [  # noqa: RUF022  in the order of the exercises
    "fit_to_length",  # 1.1
    "vocabulary",  # 1.2
    "collate",  # 1.3
    "mlp",  # 1.4
    "log_softmax_and_nll",  # 1.5
    "training_step",  # 1.6
    "evaluate",  # 1.7
    "overfit_one_batch",  # 1.8
    "save_and_load",  # 1.9
    "split_by_speaker",  # 1.10
    "interval_over_speakers",  # 1.11
    "load_reference",
    "show_reference",
    "load_before",
    "restore_stub",
    "references",
    "progress",
]

progress = progress_of(1)
tell_open_exercises()
