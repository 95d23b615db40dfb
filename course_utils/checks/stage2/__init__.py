"""The checks of stage 2, in the order of its exercises, and the ways on for who is stuck.

A notebook imports this package as ``checks``.
"""

from course_utils.checks.progress import progress_of
from course_utils.checks.stage2.convolution import (
    convolve,
    halve_rate,
    output_length,
    pad_batch,
    receptive_field,
)
from course_utils.checks.stage2.network import batch_norm, waveform_cnn
from course_utils.checks.stage2.prediction import predict
from course_utils.checks.stage2.training import one_cycle, run_epoch
from course_utils.checks.stuck import (
    load_before,
    load_reference,
    references,
    restore_stub,
    show_reference,
    tell_open_exercises,
)

__all__ = [  # noqa: RUF022  in the order of the exercises
    "halve_rate",  # 2.1
    "pad_batch",  # 2.2
    "convolve",  # 2.3
    "output_length",  # 2.4
    "receptive_field",  # 2.5
    "waveform_cnn",  # 2.6
    "batch_norm",  # 2.7
    "run_epoch",  # 2.8
    "one_cycle",  # 2.9
    "predict",  # 2.10
    "load_reference",
    "show_reference",
    "load_before",
    "restore_stub",
    "references",
    "progress",
]

progress = progress_of(2)
tell_open_exercises()
