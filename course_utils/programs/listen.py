"""Tell words as they come, in a file or at the microphone."""

import argparse
import functools
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from course_utils import audio, runs
from course_utils.listening import Detector
from course_utils.programs.base import Refused, decimal, example, taken_from
from course_utils.programs.trained import add_checkpoint, opened
from course_utils.programs.words import SILENCE, UNKNOWN

#: Classes that are no command; they stand behind the commands.
NO_COMMAND = ("other", UNKNOWN, SILENCE)
#: The detector of notebook 03 hears log-mel levels (no coefficients), in tens of dB.
STREAMED = {"coefficients": 0, "spread": 10.0}
CHUNK = 0.1  # s; so late an event may be told, beside what the network needs


def options(parser: argparse.ArgumentParser) -> None:
    """Add what `listen` takes."""
    example(
        parser,
        "python -m course_utils listen runs/words-trial --file scene.wav",
        "python -m course_utils listen runs/detector --seconds 60",
    )
    add_checkpoint(parser)
    parser.add_argument("--file", type=Path, help="WAV, FLAC or MP3; none: the microphone")
    parser.add_argument(
        "--threshold", type=decimal(0, 1), default=0.7, help="least probability of a word"
    )
    parser.add_argument("--seconds", type=decimal(0), help="how long to listen; none: until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="a line of JSON for each event")


def run(options: argparse.Namespace) -> int:
    """Listen; see :func:`options`."""
    trained = opened(options, "words")
    stream = detector_of(trained, options.threshold).stream()
    sound = _microphone(trained.sample_rate) if options.file is None else _file(trained, options)
    try:
        for chunk in sound:
            for event in stream.feed(chunk)[1]:
                if options.json:
                    print(json.dumps(vars(event)), flush=True)
                else:
                    print(f"{event.second:8.2f} s  {event.word}  {event.score:.0%}", flush=True)
            if options.seconds and stream.seconds >= options.seconds:
                break
    except KeyboardInterrupt:  # the way to end it
        print()
    return 0


def detector_of(trained: runs.TrainedModel, threshold: float) -> Detector:
    """A detector of what a checkpoint names.

    A network that keeps a state from frame to frame is fed by the notebook's ``hear``; one that
    names clips of a second hears the last second, ten times a second.
    """
    words = [label for label in trained.labels if label not in NO_COMMAND]
    rate, network = trained.sample_rate, trained.network
    find_events = taken_from(trained.notebook, ["find_events"])["find_events"]
    if "state" in inspect.signature(network.forward).parameters:
        hear = taken_from(trained.notebook, ["hear"])["hear"]
        hear = functools.partial(hear, network, **STREAMED)
        return Detector(words, hear, find_events, threshold, sample_rate=rate)
    step = round(CHUNK * rate)
    hear = functools.partial(_in_windows, trained, step)
    return Detector(
        words, hear, find_events, threshold, smooth=1, refractory=rate // step, hop=step,
        first=rate, sample_rate=rate,
    )  # fmt: skip


def _in_windows(
    trained: runs.TrainedModel, step: int, samples: torch.Tensor, kept: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities (window, class) of the seconds that are complete now, and what is kept."""
    size = trained.sample_rate
    heard = samples if kept is None else torch.cat([kept, samples])
    count = max(0, 1 + (len(heard) - size) // step)
    if not count:
        return torch.zeros(0, len(trained.labels)), heard
    windows = heard.unfold(0, size, step)[:count, None]  # (window, 1, time)
    return trained(windows).softmax(dim=1).cpu(), heard[count * step :]


def _file(trained: runs.TrainedModel, options: argparse.Namespace) -> Iterator[torch.Tensor]:
    """A recording in chunks (time,)."""
    waveform, rate = audio.read(options.file, allow_silence=True)
    clip = audio.resample(audio.to_mono(waveform), rate, trained.sample_rate)[0]
    yield from clip.split(round(CHUNK * trained.sample_rate))


def _microphone(sample_rate: int) -> Iterator[torch.Tensor]:
    """Chunks (time,) as they are spoken."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: without the library that it calls
        raise Refused(
            f"The microphone needs sounddevice ({error}): python -m pip install -e "
            '".[programs]"; on Linux also the package libportaudio2. Or give --file.'
        ) from error
    size = round(CHUNK * sample_rate)
    try:
        with sounddevice.InputStream(sample_rate, size, channels=1, dtype="float32") as microphone:
            print("Listening. Ctrl-C ends it.", flush=True)
            while True:
                samples: Any = microphone.read(size)[0]
                yield torch.from_numpy(samples[:, 0].copy())
    except sounddevice.PortAudioError as error:
        raise Refused(f"The microphone cannot be used: {error}. Or give --file.") from error
