"""Listening without a browser: what the kernel makes of the microphone's chunks."""

import statistics
import time

import numpy as np
import pytest
import soxr
import torch

from course_utils import audio, interactive, plotting
from course_utils.corpora import embedded
from course_utils.interactive import listener as module
from course_utils.interactive import opening
from course_utils.listening import Detector
from course_utils.plotting.base import taken_notes

RATE, STEP = 16_000, 1_600


def loud(samples, kept):
    """The peak of each 100 ms, as the probability of a bang; a silent class behind it."""
    x = samples if kept is None else torch.cat([kept, samples])
    count = len(x) // STEP
    peaks = x[: count * STEP].view(count, STEP).abs().amax(dim=1).clamp(max=1)
    return torch.stack([peaks, 1 - peaks], dim=1), x[count * STEP :]


def above(posteriors, threshold, smooth, refractory):
    means = [posteriors[max(0, t + 1 - smooth) : t + 1, 0].mean() for t in range(len(posteriors))]
    return [(t, 0) for t, mean in enumerate(means) if mean >= threshold]


BANG = Detector(["bang"], loud, above, 0.5, smooth=1, refractory=10, hop=STEP, first=STEP)


def bangs(seconds, *at, rate=RATE):
    """float32 (time,): 50 ms of a tone of 0.8 at each of these seconds, and a faint hiss."""
    sound = 1e-3 * torch.randn(seconds * rate, generator=torch.Generator().manual_seed(0))
    for second in at:
        place = slice(round(second * rate), round((second + 0.05) * rate))
        sound[place] += 0.8 * torch.sin(torch.arange(place.stop - place.start) * 600 / rate * 6.28)
    return sound


class Page:
    """Sends a listener what the browser sends, and keeps the answers."""

    def __init__(self, detector, rate=48_000, session=0.5):
        self.listener = interactive.Listener(detector)
        self.listener.send = lambda content, buffers=None: self.answers.append((content, buffers))
        self.rate, self.session, self.answers = rate, session, []

    def send(self, sound, at=0):
        samples = sound.numpy().astype("<f4")
        content = {
            "kind": "chunk", "session": self.session, "at": at, "samples": len(samples),
            "sample_rate": self.rate,
        }  # fmt: skip
        self.listener._received(self.listener, content, [memoryview(samples.tobytes())])

    def say(self, sound, at=0):
        for start in range(0, len(sound), self.rate // 10):
            self.send(sound[start : start + self.rate // 10], at + start)


def times(events):
    return [round(event.second, 1) for event in events]


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
def test_chunks_at_the_rate_of_the_device_give_the_events_where_they_are(rate):
    page = Page(BANG, rate)
    page.say(bangs(5, 1.02, 3.32, rate=rate))
    assert times(page.listener.events) == [1.1, 3.4]
    told = [event for content, _ in page.answers for event in content["events"]]
    assert [event["word"] for event in told] == ["bang", "bang"]
    rows = np.concatenate([np.frombuffer(buffers[0], "<f4") for _, buffers in page.answers])
    seconds = [
        content["first"] + content["hop"] * row
        for content, buffers in page.answers
        for row in range(len(buffers[0]) // 4)
    ]
    assert np.allclose(seconds, 0.1 * (1 + np.arange(len(rows))))
    assert set(np.flatnonzero(rows > 0.5)) == {10, 33}
    assert page.answers[-1][0]["until"] == pytest.approx(5)


def test_what_is_shown_is_what_is_compared_with_the_threshold():
    page = Page(Detector(["bang"], loud, above, 0.3, 3, 10, hop=STEP, first=STEP), RATE)
    page.say(bangs(2, 1.02))
    rows = np.concatenate([np.frombuffer(buffers[0], "<f4") for _, buffers in page.answers])
    alone = loud(bangs(2, 1.02), None)[0][:, 0].numpy()
    expected = [alone[max(0, t - 2) : t + 1].mean() for t in range(20)]
    assert np.allclose(rows, expected, atol=1e-6)


def test_the_slider_is_the_threshold():
    page = Page(BANG)
    page.listener.threshold = 0.9
    page.say(bangs(2, 1, rate=48_000))
    assert page.listener.events == []
    page.listener.threshold = 0.6
    page.say(bangs(2, 1, rate=48_000), at=96_000)
    assert times(page.listener.events) == [3.1]


def test_a_gap_moves_no_event_and_another_listening_begins_anew():
    page = Page(BANG)
    page.say(bangs(2, 1.02, rate=48_000))
    page.say(bangs(2, 1.02, rate=48_000), at=10 * 48_000)  # eight seconds were lost
    assert times(page.listener.events) == [1.1, 11.1]
    page.session = 0.7
    page.say(bangs(2, 0.52, rate=48_000))
    assert times(page.listener.events) == [0.6]


def test_an_error_of_the_detector_ends_the_listening_in_one_line():
    def hear(samples, kept):
        raise ZeroDivisionError("no such frame")

    page = Page(Detector(["a"], hear, above, 0.5))
    page.send(bangs(1, rate=48_000))
    [(answer, _)] = page.answers
    assert answer["kind"] == "failed"
    assert answer["session"] == page.session
    assert answer["words"].startswith("That did not work. ZeroDivisionError: no such frame (line ")


def test_a_damaged_chunk_is_told():
    page = Page(BANG)
    content = {"kind": "chunk", "session": 1, "at": 0, "samples": 5, "sample_rate": 48_000}
    page.listener._received(page.listener, content, [b"1234"])
    assert "arrived damaged" in page.answers[0][0]["words"]


def test_a_recording_is_heard_drawn_and_sent_when_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(module, "in_kernel", lambda: True)
    shown = []
    monkeypatch.setattr(plotting, "show", lambda ax: shown.append(taken_notes(ax.figure)))
    sound = bangs(14, 1.02, 6.02, 9.52)
    listener = interactive.listen(BANG, sound[None])
    assert times(listener.events) == [1.1, 6.1, 9.6]
    assert shown == [
        "The sound from 4 to 14 s, and under it the probability of bang. Heard above 0.50: bang at "
        "6.1 s, bang at 9.6 s."
    ]
    assert capsys.readouterr().out.splitlines()[1] == "  6.10 s  bang  0.80"
    sent = []
    listener.send = lambda *message: sent.append(message)
    listener._received(listener, {"kind": "example"}, [])
    [(content, [data])] = sent
    assert content == {"kind": "example", "rate": RATE}
    assert np.allclose(np.frombuffer(data, "<i2") / 32767, sound, atol=1e-4)


@pytest.mark.parametrize("shape", [(0,), (2, 100), (15_000_000,)])
def test_what_is_no_recording_is_refused(shape):
    with pytest.raises(audio.AudioError, match=r"a recording \(time,\) of at most 15 min"):
        interactive.listen(BANG, torch.zeros(shape))


def test_what_is_no_detector_is_refused():
    with pytest.raises(TypeError, match=r"expected a course_utils.listening.Detector, got 5"):
        interactive.listen(5)


def test_every_error_of_the_recorder_has_words_here_that_offer_what_there_is():
    assert interactive.Recorder().messages.keys() <= interactive.Listener(BANG).messages.keys()
    assert not any("upload" in words for words in module.ERRORS.values() if "10 MB" not in words)


def test_listening_takes_a_tenth_of_a_core_at_most():
    network, classes = opening.network(), len(opening.about()["classes"])

    def in_windows(samples, kept):
        x = samples if kept is None else torch.cat([kept, samples])
        count = max(0, 1 + (len(x) - RATE) // STEP)
        rows = [network(window[None]) for window in (x.unfold(0, RATE, STEP) if count else ())]
        return torch.cat(rows) if rows else torch.zeros(0, classes), x[count * STEP :]

    detector = Detector(["yes", "no", "up", "down"], in_windows, above, 0.9, hop=STEP, first=RATE)
    said = torch.cat([embedded.say("yes"), torch.zeros(1, RATE)] * 5, dim=1)[0]
    sound = torch.from_numpy(soxr.resample(said.numpy(), RATE, 48_000))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    shares = []
    for session in range(5):
        page = Page(detector, session=session)
        start = time.process_time()
        page.say(sound)
        shares.append((time.process_time() - start) / 10)
    torch.set_num_threads(threads)
    assert page.listener.events
    assert statistics.median(shares) < 0.1, shares  # measured: 0.02
