"""What is known of the speakers of the embedded corpus: accent, voice, rate, noise of the room.

Nobody knows this of real speakers unless they told. Synthetic ones were made from it.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

#: What each accent of espeak-ng counts as.
ACCENTS = {
    "en": "British", "en-gb-x-rp": "British", "en-gb-x-gbclan": "British",
    "en-gb-scotland": "Scottish", "en-029": "Caribbean", "en-us": "American",
    "en-us-nyc": "American",
}
TRAITS = ("accent", "voice", "rate", "noise")
#: The groups of which :func:`with_a_bad_line` chooses one.
PLANTED = (("voice", "low"), ("voice", "high"), ("accent", "American"), ("accent", "British"))


def of_speakers(part: Any) -> dict[str, np.ndarray]:
    """The traits of the speaker of each clip, as words; {} where nobody knows.

    ``rate`` is slow, middling or fast and ``noise`` loud, middling or soft: a third of the
    corpus' speakers each.

    Parameters
    ----------
    part : SpeechCommands

    Returns
    -------
    dict of str to str array (clip,)
        For each of ``TRAITS``.
    """
    try:
        text = (part.folder / "speakers.json").read_text(encoding="utf-8")
        known = {each["name"]: each for each in json.loads(text)}
        people = [known[name] for name in part.speakers]
        rate = _thirds(known, "words_per_minute", ("slow", "middling", "fast"))
        noise = _thirds(known, "snr", ("loud", "middling", "soft"))
        return {
            "accent": np.array([ACCENTS[person["accent"]] for person in people]),
            "voice": np.array([person["voice"] for person in people]),
            "rate": np.array([rate[person["name"]] for person in people]),
            "noise": np.array([noise[person["name"]] for person in people]),
        }
    except (OSError, ValueError, KeyError, TypeError):  # another corpus, or its file of speakers
        return {}


def _thirds(known: dict[str, dict], name: str, words: tuple[str, ...]) -> dict[str, str]:
    """Each speaker's third, by a number."""
    order = sorted(known, key=lambda speaker: known[speaker][name])
    return {speaker: words[3 * place // len(order)] for place, speaker in enumerate(order)}


def with_a_bad_line(
    part: Any, waveforms: torch.Tensor, seed: int
) -> tuple[torch.Tensor, tuple[str, str]]:
    """The same clips, with hiss as loud as the speech on those of one group of speakers.

    Parameters
    ----------
    part : SpeechCommands
        Of a corpus whose traits are known.
    waveforms : tensor (clip, 1, time)
    seed : int
        Which group, out of ``PLANTED``.

    Returns
    -------
    the waveforms, and (trait, group) of whose clips were spoilt
    """
    trait, group = PLANTED[np.random.default_rng(seed).integers(len(PLANTED))]
    spoilt = torch.from_numpy(of_speakers(part)[trait] == group)
    hiss = torch.randn(waveforms.shape, generator=torch.Generator().manual_seed(seed))
    loudness = waveforms.square().mean(dim=2, keepdim=True).sqrt()
    changed = torch.where(spoilt[:, None, None], waveforms + loudness * hiss, waveforms)
    return changed, (trait, group)
