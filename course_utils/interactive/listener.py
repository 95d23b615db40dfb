"""Listening all day: a detector hears the microphone, and its events are shown as they come."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import anywidget
import ipywidgets
import soxr
import torch
import traitlets

from course_utils import audio, plotting
from course_utils.interactive.base import in_kernel, plain_words, show_widget
from course_utils.interactive.microphone import MICROPHONE_ERRORS, script, unpacked
from course_utils.listening import Detector, Event

#: What stands where no sound comes, by the name of the error.
ERRORS = MICROPHONE_ERRORS | {
    "NotAllowedError": "The microphone was refused. Allow it for this page (look beside the "
    "address) and start again, or give listen() a recording; VS Code never allows it.",
    "NotFoundError": "No microphone was found. Connect one and start again, or give listen() a "
    "recording.",
    "NotReadableError": "Another program holds the microphone. Close it and start again.",
    "InsecureContext": "A browser gives the microphone only to pages of https:// or localhost. "
    "Open the notebook there, or give listen() a recording.",
    "NoAudio": "No sound arrives. Is the microphone muted?",
    "Busy": "The kernel is busy with another cell, or gone: what is said now is not heard.",
}
SECONDS = 10  # that are shown
LONGEST = 15 * 60  # seconds of a recording that are sent to the browser


class Listener(anywidget.AnyWidget):
    """A button that lets a detector hear the microphone, until it is stopped; see `listen`.

    Parameters
    ----------
    detector : Detector
    example : float32 tensor (time,), optional
        A recording at the detector's rate that can be heard in place of the microphone.

    Attributes
    ----------
    threshold : float
        As the slider stands.
    events : list of Event
        Of the listening that goes on, or of the last one.
    """

    _esm = script("listener.js")
    messages = traitlets.Dict(ERRORS).tag(sync=True)
    words = traitlets.List(traitlets.Unicode()).tag(sync=True)
    threshold = traitlets.Float().tag(sync=True)
    example = traitlets.Unicode().tag(sync=True)

    def __init__(self, detector: Detector, example: torch.Tensor | None = None):
        name = "" if example is None else "the recording"
        words = [str(word) for word in detector.words]
        super().__init__(words=words, threshold=detector.threshold, example=name)
        self.events: list[Event] = []
        self._detector, self._example = detector, example
        self._heard: _Heard | None = None
        self.on_msg(self._received)

    def _ipython_display_(self) -> None:
        pass  # `listen` has shown it: as the last line of a cell it adds nothing

    def _received(self, _widget, content: Mapping, buffers: Sequence) -> None:
        if content.get("kind") == "example":
            samples = (32767 * self._example.clamp(-1, 1)).round().numpy().astype("<i2")
            self.send({"kind": "example", "rate": self._detector.sample_rate}, [samples.tobytes()])
            return
        session = content.get("session")
        try:
            answer, buffer = self._answer(content, buffers)
        except Exception as error:  # the code of a notebook can fail in any way
            self._heard = None
            words = f"That did not work. {plain_words(error)}"
            answer, buffer = {"kind": "failed", "words": words}, b""
        self.send(answer | {"session": session}, [buffer])

    def _answer(self, content: Mapping, buffers: Sequence) -> tuple[dict, bytes]:
        """What the page is told of a chunk, and the probabilities of its frames."""
        samples, rate = unpacked(content, buffers)
        session, at = content.get("session"), content.get("at", 0)
        if self._heard is None or session != self._heard.session:
            self.events = []
        if self._heard is None or (session, at) != (self._heard.session, self._heard.at):
            self._heard = _Heard(self._detector, session, at, rate)  # new, or a stretch was lost
        heard = self._heard
        first, shown, events = heard.feed(samples, self.threshold)
        self.events += events
        answer = {
            "kind": "heard",
            "until": heard.at / rate,
            "first": first,
            "hop": self._detector.hop / self._detector.sample_rate,
            "events": [vars(event) for event in events],
        }
        return answer, shown.contiguous().numpy().astype("<f4").tobytes()


class _Heard:
    """A stretch of sound without a gap, up to sample `at` of the device."""

    def __init__(self, detector: Detector, session: float, at: int, rate: int):
        self.session, self.at = session, at
        self._began = at / rate  # seconds of the listening before it
        self._stream = detector.stream()
        self._resample = soxr.ResampleStream(rate, detector.sample_rate, 1, "float32")
        self._before = torch.zeros(0, len(detector.words))  # what smoothing reaches back to

    def feed(
        self, samples: torch.Tensor, threshold: float
    ) -> tuple[float, torch.Tensor, list[Event]]:
        """The next samples (1, time) of the device.

        Returns
        -------
        float, tensor (frame, words), list of Event
            The second of the first new frame; probabilities as they are compared with the
            threshold, smoothed; seconds are those of the listening.
        """
        stream, smooth = self._stream, self._stream.detector.smooth
        first = self._began + stream.second(stream.frames)
        stream.threshold = threshold
        new, events = stream.feed(
            torch.from_numpy(self._resample.resample_chunk(samples[0].numpy()))
        )
        self.at += samples.shape[1]
        rows = torch.cat([self._before, new])
        ends = range(len(self._before) + 1, len(rows) + 1)
        means = [rows[max(0, end - smooth) : end].mean(dim=0) for end in ends]
        self._before = rows[max(0, len(rows) - smooth + 1) :]
        events = [replace(event, second=self._began + event.second) for event in events]
        return first, torch.stack(means) if means else new, events


def listen(detector: Detector, recording: torch.Tensor | None = None) -> Listener:
    """Let a detector hear the microphone until it is stopped.

    A strip shows the last ten seconds: the level, and the probability of each word. An event
    appears when it is heard, with its delay. All stays in memory.

    Parameters
    ----------
    detector : Detector
    recording : float tensor (time,) or (1, time), optional
        At the detector's rate. It is heard at once, its last ten seconds are part of the page, and
        it can be heard again in place of the microphone.

    Returns
    -------
    Listener
        Its `events` are those that were heard.

    Raises
    ------
    TypeError
        `detector` is no detector.
    course_utils.audio.AudioError
        The recording is empty, longer than a quarter of an hour, or has several channels.
    """
    if not isinstance(detector, Detector):
        raise TypeError(f"expected a course_utils.listening.Detector, got {detector!r:.80}")
    if recording is None:
        listener = Listener(detector)
    else:
        sound = torch.as_tensor(recording, dtype=torch.float32).detach().cpu()
        seconds = sound.shape[-1] / detector.sample_rate
        if sound.squeeze(0).ndim != 1 or not 0 < seconds <= LONGEST:
            raise audio.AudioError(
                f"expected a recording (time,) of at most {LONGEST // 60} minutes at "
                f"{detector.sample_rate} Hz, got the shape {tuple(sound.shape)}"
            )
        listener = Listener(detector, sound.view(-1))
        _draw(listener, sound.view(-1), detector)
    show_widget(ipywidgets.VBox([listener]))
    return listener


def _draw(listener: Listener, sound: torch.Tensor, detector: Detector) -> None:
    """Hear a recording, and show its last ten seconds."""
    rate = detector.sample_rate
    heard, shown = _Heard(detector, 0, 0, rate), []
    for chunk in sound.split(rate // 10):
        _, rows, events = heard.feed(chunk[None], detector.threshold)
        shown.append(rows)
        listener.events += events
    rows = torch.cat(shown)  # (frame, word)
    seconds = (detector.first + detector.hop * torch.arange(len(rows))) / rate
    events = [(event.second, event.word) for event in listener.events]
    if in_kernel():
        plotting.show(
            plotting.heard(
                sound, rate, rows, seconds, detector.words, detector.threshold, events, last=SECONDS
            )
        )
    for event in listener.events:
        print(f"{event.second:6.2f} s  {event.word}  {event.score:.2f}")
