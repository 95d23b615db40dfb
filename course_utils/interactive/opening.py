"""A network that is ready before the first lesson: it hears *yes*, *no*, *up* and *down*.

``python -m course_utils.instructor.first_network`` fits it and writes the program beside this file.
"""

import functools
import json
import logging
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from course_utils import audio, plotting
from course_utils.interactive.base import draw_bars
from course_utils.interactive.microphone import VoicePanel, your_voice

#: A program of ``torch.export``: waveforms float32 (clip, 16000) to probabilities (clip, class).
PROGRAM = Path(__file__).with_name("first_network.pt2")
RATE = 16_000  # Hz; the network hears one second
#: A word with less probability is not said to be heard.
LEAST = 0.5


@functools.cache
def about() -> dict[str, Any]:
    """What the program was made of, and how well it heard people whom it had never met."""
    with zipfile.ZipFile(PROGRAM) as parts:
        [name] = [name for name in parts.namelist() if name.endswith("/about.json")]
        return json.loads(parts.read(name))


@functools.cache
def network() -> Callable[[torch.Tensor], torch.Tensor]:
    """The program, ready to be called; it holds no pickle, and no class is needed."""
    # Another version of torch tells what it makes of the file: on stderr, where errors stand.
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.export.load(PROGRAM).module()
    finally:
        logging.disable(before)


def heard(waveform: torch.Tensor) -> dict[str, float]:
    """Probability of each word, and of something else, in the loudest second of (1, time).

    Examples
    --------
    >>> shares = heard(torch.zeros(1, 16_000))
    >>> max(shares, key=shares.get)
    'something else'
    """
    clip = audio.fit(audio.loudest(waveform, RATE), RATE)
    with torch.no_grad():
        shares = network()(clip)[0]
    return dict(zip(about()["classes"], shares.tolist(), strict=True))


def in_words(shares: dict[str, float]) -> str:
    """What is said of it: the most probable word, where it is probable enough.

    >>> in_words({"yes": 0.9, "no": 0.1})
    'It hears: yes (90 %).'
    >>> in_words({"yes": 0.4, "no": 0.3, "something else": 0.3})
    'It hears none of its words. The nearest is yes (40 %).'
    """
    words = {name: share for name, share in shares.items() if name != "something else"}
    best = max(words, key=words.get)
    said = f"{best} ({100 * words[best]:.0f} %)."
    if words[best] >= LEAST:
        return f"It hears: {said}"
    return f"It hears none of its words. The nearest is {said}"


def measured() -> str:
    """How well the program hears real people, in words."""
    scores = [score for score in about()["scores"] if score["seed"] == about()["seed"]]
    [score] = [score for score in scores if score["tested_on"] != "embedded"]
    return (
        f"It learnt from synthetic voices alone. {score['speakers']} real people said these words "
        f"{score['words']} times: it named {100 * score['right']:.0f} % of them, took "
        f"{100 * score['mistaken']:.0f} % for another of the four, and knew none in the rest. Of "
        f"{score['others']} other words it took {100 * score['others_named']:.0f} % for one of "
        f"the four, of {score['noises']} seconds of noise {100 * score['noises_named']:.0f} %."
    )


def first_words(example: torch.Tensor, said: str) -> VoicePanel:
    """Let the ready network hear an example, then the reader, and show what it hears.

    Parameters
    ----------
    example : float32 tensor (1, time)
        At 16 kHz; what is heard in it is part of the page.
    said : str
        What the example says.
    """

    def show(waveform: torch.Tensor) -> None:
        shares = heard(waveform)
        left, right = plotting.new_axes(9, 2.8, columns=2, width_ratios=[2, 1])
        plotting.log_mel(audio.loudest(waveform, RATE), RATE, ax=left, name="what was said")
        draw_bars(right, shares, "")
        words = in_words(shares)
        print(words)
        plotting.show(left, words)

    print(measured())
    words = ", ".join(about()["classes"][:-1])
    return your_voice(show, fallback=example, say=f"one of: {words}", said=said)
