"""Train once, load the next time: checkpoints that explain themselves.

A training is known by a key: a hash of its code, settings, corpus, seed and device. Change any of
them and the model is trained anew; change none and it is loaded. A training that was stopped goes
on after its last whole epoch. A finished one is a folder, ``runs/NAME-KEY/``, that holds
``checkpoint.pt``, ``summary.txt`` and ``scalars.csv``.
"""

from course_utils.runs.by_heart import check_by_heart
from course_utils.runs.checkpoint import CheckpointError, TrainedModel, load, model
from course_utils.runs.trainer import Trained, Trainer, accuracies, epochs_for, in_batches
from course_utils.runs.training import Training, train_or_load

__all__ = [
    "CheckpointError",
    "Trained",
    "TrainedModel",
    "Trainer",
    "Training",
    "accuracies",
    "check_by_heart",
    "epochs_for",
    "in_batches",
    "load",
    "model",
    "train_or_load",
]
