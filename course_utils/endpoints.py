"""Where somebody speaks in a recording: by its energy alone, without knowing any word."""

from __future__ import annotations

import numpy as np
import torch

from course_utils import audio

FRAME = 0.01  # seconds
#: Speech is this many dB above the quiet frames, and at most so many below the loudest.
ABOVE, BELOW = 6.0, 35.0
#: A pause inside a word, as before the p of *stop*, is shorter (seconds); so is no word.
HANGOVER, SHORTEST = 0.15, 0.06
#: Of the frames so many are quieter than the quiet level, a quantile.
QUIET = 0.15


def speech(waveform: torch.Tensor, sample_rate: int) -> list[tuple[float, float]]:
    """From where to where somebody speaks, in seconds, in order.

    Parameters
    ----------
    waveform : float tensor (1, time)
    sample_rate : int
        In Hz.

    Examples
    --------
    >>> tone = torch.sin(torch.arange(8_000) / 3)
    >>> sound = torch.cat([torch.zeros(8_000), tone, torch.zeros(4_000)])[None]
    >>> speech(sound, 16_000)
    [(0.5, 1.0)]
    """
    level = _levels(waveform, sample_rate)
    if not len(level) or level.max() < -80:
        return []
    threshold = max(np.quantile(level, QUIET) + ABOVE, level.max() - BELOW)
    edges = np.flatnonzero(np.diff(np.pad(level > threshold, 1)))
    runs: list[list[int]] = []
    for start, end in edges.reshape(-1, 2):
        if runs and (start - runs[-1][1]) * FRAME <= HANGOVER:
            runs[-1][1] = end
        else:
            runs.append([start, end])
    return [
        (float(start * FRAME), float(end * FRAME))
        for start, end in runs
        if (end - start) * FRAME > SHORTEST
    ]


def _levels(waveform: torch.Tensor, sample_rate: int) -> np.ndarray:
    """dBFS of each frame (frame,)."""
    size = round(FRAME * sample_rate)
    frames = waveform[0, : waveform.shape[1] // size * size].double().view(-1, size)
    return 10 * np.log10(frames.square().mean(dim=1).numpy() + 1e-12)


def word(waveform: torch.Tensor, sample_rate: int, samples: int) -> torch.Tensor:
    """The word of a recording in the middle of so many samples: (1, samples).

    Of several, the one with most energy. Where nobody is found to speak, or a recording is too
    short, it is as :func:`course_utils.audio.loudest` and :func:`course_utils.audio.fit` cut it.
    """
    runs = speech(waveform, sample_rate)
    if waveform.shape[1] <= samples or not runs:
        return audio.fit(audio.loudest(waveform, samples), samples)
    places = [(round(a * sample_rate), round(b * sample_rate)) for a, b in runs]
    energy = [float(waveform[0, a:b].double().square().sum()) for a, b in places]
    start, end = places[int(np.argmax(energy))]
    if end - start > samples:  # what is longer is no word, or the noise is loud
        return audio.loudest(waveform[:, start:end], samples)
    first = min(max(0, (start + end - samples) // 2), waveform.shape[1] - samples)
    return waveform[:, first : first + samples]
