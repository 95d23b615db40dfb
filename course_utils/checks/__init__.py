"""What the check cells call: one line when an answer is right, and else what is wrong and why.

A check compares an answer with an *independent* oracle: plain Python arithmetic, a closed form,
a table worked by hand. It is silent but for one line. A wrong answer raises an AssertionError
whose first line reads *expected, got, likely cause*.

Stuck? `load_reference` runs the reference solution of one exercise in its place, so that you can
go on; `restore_stub` gives you the empty exercise back.
"""

from course_utils.checks.augment import (
    add_noise,
    augmentation,
    change_speed,
    gain,
    pad,
    shift,
)
from course_utils.checks.batches import collate_sequences, spec_augment, statistics
from course_utils.checks.convolution import (
    batch_norm,
    convolve,
    halve_rate,
    one_cycle,
    output_length,
    pad_batch,
    predict,
    receptive_field,
    run_epoch,
    waveform_cnn,
)
from course_utils.checks.core import (
    CheckFailed,
    attempt,
    call,
    close,
    fail,
    passed,
    same_dtype,
    same_shape,
)
from course_utils.checks.ctc import (
    beam_search,
    brute_force,
    collapse,
    ctc_loss,
    feasible,
    greedy,
)
from course_utils.checks.data import collate, fit_to_length, split_by_speaker, vocabulary
from course_utils.checks.encoder import deep_speech, output_frames, speech_ctc
from course_utils.checks.features import (
    dct_matrix,
    decibels,
    frame,
    mel_filterbank,
    power_spectrum,
)
from course_utils.checks.recurrent import (
    accumulation,
    lstm_cell,
    speech_lstm,
    transfer,
)
from course_utils.checks.stuck import load_before, load_reference, references, restore_stub
from course_utils.checks.text import char_map, edit_distance, ngram
from course_utils.checks.training import (
    evaluate,
    log_softmax_and_nll,
    mlp,
    overfit_one_batch,
    save_and_load,
    training_step,
)
