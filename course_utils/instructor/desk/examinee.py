"""The process of one entry to an exam: it hears clips, and says a word for each.

It is given open files, enters the sandbox, and then runs what the student's notebook defines. It
never learns which word is the right one.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from course_utils import audio, exercises, runs
from course_utils.corpora.clips import SAMPLE_RATE
from course_utils.instructor.desk import sandbox

#: Clips that a network gets at a time.
BATCH = 50


def main() -> None:
    """Do what the line on standard input says; the outcome is a line of JSON."""
    task = json.loads(sys.stdin.readline())
    torch.set_num_threads(1)
    clips = torch.from_numpy(np.load(task["clips"]))
    files = {name: Path(task[name]).read_bytes() for name in ("notebook", "checkpoint")}
    # Compiled code is only found before the machine is out of reach.
    torch.nn.functional.conv1d(torch.zeros(1, 1, 4), torch.zeros(1, 1, 2))
    outcome, scratch = task["outcome"], Path(task["scratch"])
    if task["rules"]:
        layers, scratch = sandbox.enter(sandbox.Rules(**task["rules"]), scratch)
        if not sandbox.holds_anything(layers):
            _say(outcome, {"sandbox": sandbox.NO_LAYER})
            return
    os.chdir(scratch)
    tempfile.tempdir = str(scratch)
    try:
        found = answers(scratch, files, clips)
    except Exception as error:  # a stranger's code may fail in any way
        told = isinstance(error, exercises.NotebookError | runs.CheckpointError)
        found = {"problem": str(error) if told else f"{type(error).__name__}: {error}"}
    _say(outcome, found)


def answers(folder: Path, files: dict[str, bytes], clips: torch.Tensor) -> dict:
    """What a network says of clips.

    Parameters
    ----------
    folder : Path
        Where the files can be put.
    files : dict of str to bytes
        The ``notebook`` and the ``checkpoint``.
    clips : int16 tensor (clip, time)
        At 16 kHz.

    Returns
    -------
    dict
        The ``words``, one a clip, and what the network is: ``model``, ``parameters``.

    Raises
    ------
    NotebookError, CheckpointError
        The notebook defines no such network, or the weights do not fit.
    """
    paths = {"notebook": folder / "entry.ipynb", "checkpoint": folder / "checkpoint.pt"}
    for name, path in paths.items():
        path.write_bytes(files[name])
    network = runs.model(paths["checkpoint"], paths["notebook"])
    said: list[str] = []
    for part in clips.split(BATCH):
        waveforms = part[:, None].float() / 32768  # (batch, 1, time)
        waveforms = audio.resample(waveforms, SAMPLE_RATE, network.sample_rate)
        logits = network(waveforms)
        if not isinstance(logits, torch.Tensor) or logits.shape != (len(part), len(network.labels)):
            shape = tuple(getattr(logits, "shape", ()))
            raise runs.CheckpointError(
                f"it gives {shape or type(logits).__name__} for {len(part)} clips, not one number "
                f"for each of its {len(network.labels)} words"
            )
        said += [str(network.labels[place]) for place in logits.argmax(dim=1).tolist()]
    return {
        "words": said,
        "model": network.checkpoint["class"],
        "parameters": sum(parameter.numel() for parameter in network.network.parameters()),
    }


def _say(outcome: int, words: dict) -> None:
    os.write(outcome, json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    main()
