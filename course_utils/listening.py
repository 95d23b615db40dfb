"""A detector at work: sound goes in as it comes, events come out as they are heard.

What hears and what decides are functions of a notebook; here they are only kept going.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

#: ``(samples (time,), state)`` to probabilities ``(frame, classes)`` of the frames that are
#: complete now, and the state for what comes next; the state is None at the start.
Hear = Callable[[torch.Tensor, Any], tuple[torch.Tensor, Any]]
#: Exercise 3.14: ``(posteriors, threshold, smooth, refractory)`` to pairs of frame and class.
FindEvents = Callable[[torch.Tensor, float, int, int], list[tuple[int, int]]]


@dataclass(frozen=True)
class Event:
    """A word that was told: the second of the stream at which it could be, and how sure it was."""

    second: float
    word: str
    score: float


@dataclass(frozen=True)
class Detector:
    """What is listened for, and with what.

    Parameters
    ----------
    words : sequence of str
        The commands. `hear` has a column for each, in this order; further ones are no command.
    hear : callable
        From samples to probabilities, frame by frame; see `Hear`.
    find_events : callable
        From probabilities to events; see `FindEvents`.
    threshold : float
        Told is what is at least so probable, after smoothing.
    smooth, refractory : int
        In frames: how many are averaged, and how long after an event there is no other.
    hop, first : int
        In samples: from a frame to the next; and how many must be there before frame 0 is known.
    sample_rate : int
        In Hz.

    Examples
    --------
    >>> def loud(samples, state):
    ...     return samples.view(-1, 1), state
    >>> def above(posteriors, threshold, smooth, refractory):
    ...     return [(t, 0) for t, value in enumerate(posteriors[:, 0]) if value >= threshold]
    >>> stream = Detector(["bang"], loud, above, 0.5, 1, 3, hop=1, first=1, sample_rate=1).stream()
    >>> _, events = stream.feed(torch.tensor([0, 1, 1]))
    >>> events += stream.feed(torch.tensor([1.0, 1.0]))[1]
    >>> [(event.second, event.word) for event in events]
    [(2.0, 'bang'), (5.0, 'bang')]
    """

    words: Sequence[str]
    hear: Hear
    find_events: FindEvents
    threshold: float
    smooth: int = 5
    refractory: int = 50
    hop: int = 320
    first: int = 256
    sample_rate: int = 16_000

    def stream(self, threshold: float | None = None) -> Stream:
        """Begin to listen, at another threshold if one is given."""
        return Stream(self, self.threshold if threshold is None else threshold)

    def events(self, sound: torch.Tensor, seconds: float = 10.0) -> list[Event]:
        """All events of a sound ``(time,)``, heard in chunks of so many seconds."""
        stream, found = self.stream(), []
        for chunk in sound.split(round(seconds * self.sample_rate)):
            found += stream.feed(chunk)[1]
        return found


class Stream:
    """One listening: what was heard so far, as far as it matters for what comes.

    Attributes
    ----------
    threshold : float
        May be changed while it listens.
    frames, samples : int
        How many are through.
    """

    def __init__(self, detector: Detector, threshold: float):
        self.detector, self.threshold = detector, threshold
        self.frames, self.samples = 0, 0
        self._state: Any = None
        self._before = torch.zeros(0, len(detector.words))  # what smoothing reaches back to
        self._ready = 0  # the first frame that may be an event again

    @property
    def seconds(self) -> float:
        """How long it has listened."""
        return self.samples / self.detector.sample_rate

    def second(self, frame: int) -> float:
        """When a frame was complete, in seconds from the start."""
        return (self.detector.first + frame * self.detector.hop) / self.detector.sample_rate

    @torch.no_grad()
    def feed(self, samples: torch.Tensor) -> tuple[torch.Tensor, list[Event]]:
        """The next samples.

        Parameters
        ----------
        samples : tensor (time,)
            Of any length, amplitude in [-1, 1].

        Returns
        -------
        tensor (frame, words)
            Probabilities of the commands in the frames that are complete now, not smoothed.
        list of Event
            Told in these frames. How the sound is cut into chunks does not matter.
        """
        probabilities, self._state = self.detector.hear(samples.float(), self._state)
        new = probabilities[:, : len(self.detector.words)].cpu()
        rows = torch.cat([self._before, new])
        offset = self.frames - len(self._before)  # the frame of the stream that row 0 is
        found = []
        # With a refractory time of one frame each frame above the threshold is an event of its
        # own: which of them is told depends on earlier chunks, so that is decided here.
        for row, word in self.detector.find_events(rows, self.threshold, self.detector.smooth, 1):
            frame = offset + row
            if frame >= max(self._ready, self.frames):
                mean = rows[max(0, row + 1 - self.detector.smooth) : row + 1, word].mean()
                found.append(Event(self.second(frame), self.detector.words[word], float(mean)))
                self._ready = frame + self.detector.refractory
        self.frames += len(new)
        self.samples += len(samples)
        self._before = rows[max(0, len(rows) - self.detector.smooth + 1) :]
        return new, found
