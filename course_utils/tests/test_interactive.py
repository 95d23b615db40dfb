"""Live curves, recorder, upload and explorer: without a browser, the last test in a real kernel."""

import io
import itertools
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import soundfile
import torch
from matplotlib import pyplot as plt
from nbclient import NotebookClient

from course_utils import interactive, plotting
from course_utils.interactive import base, microphone

RATE = 16000


def tone(seconds=0.5, rate=RATE, hertz=440.0):
    """float32 (1, time), peak 0.5."""
    return 0.5 * torch.sin(2 * torch.pi * hertz * torch.arange(round(seconds * rate)) / rate)[None]


def shifted(x, samples):
    """Later by `samples`, zeros in the gap: what leaves is cut off."""
    return torch.nn.functional.pad(x, (samples, -samples))


def alts(page):
    return re.findall(r'<img alt="([^"]*)" src="data:image/png;base64,', page)


@pytest.fixture
def pages(monkeypatch):
    """What a notebook would show: a list for each output, with its versions one after another."""
    outputs = []

    def display(bundle, raw=False, display_id=False):
        versions = [bundle]
        outputs.append(versions)
        if display_id:
            return SimpleNamespace(update=lambda bundle, raw: versions.append(bundle))

    monkeypatch.setattr(base, "get_ipython", lambda: SimpleNamespace(kernel=True))
    monkeypatch.setattr(base, "display", display)
    monkeypatch.setattr(microphone, "display", display)
    return outputs


@pytest.fixture
def no_display(monkeypatch):
    def display(*_, **__):
        raise AssertionError("nothing may be displayed where there is no notebook")

    monkeypatch.setattr(base, "display", display)
    monkeypatch.setattr(microphone, "display", display)


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


# --- live curves ------------------------------------------------------------------------------


def train(curves, clock, epochs, seconds):
    for epoch in range(1, epochs + 1):
        clock.now += seconds
        curves.update(
            train_loss=1 / epoch,
            validation_loss=torch.tensor(2 / epoch),
            train_accuracy=epoch / 100,
            validation_accuracy=epoch / 200,
        )


def test_curves_draw_at_most_twice_a_second_into_one_output_and_once_more_on_close(pages):
    clock = Clock()
    curves = interactive.LiveCurves(epochs=23, chance=0.1, title="MLP", clock=clock)
    train(curves, clock, 23, 0.125)  # 2.75 s from the first epoch to the last
    assert len(pages) == 1
    epochs = [re.search(r"Epoch (\d+)/23", bundle["text/plain"])[1] for bundle in pages[0]]
    assert epochs == ["1", "5", "9", "13", "17", "21"]
    curves.close()
    curves.close()
    assert len(pages) == 1
    assert len(pages[0]) == 7
    (alt,) = alts(pages[0][-1]["text/html"])
    for words in ("MLP", "Epoch 23/23, 2.9 s", "to 0.04", "to 0.09", "to 23.0 %", "to 11.5 %"):
        assert words in alt
    assert "<div>Epoch 23/23, 2.9 s</div>" in pages[0][-1]["text/html"]
    assert curves.history["validation_loss"] == pytest.approx([2 / n for n in range(1, 24)])
    assert all(type(number) is float for number in curves.history["validation_loss"])


@pytest.mark.parametrize("loss", [0.5, 1000.0])
def test_labels_of_three_panels_lie_beside_the_curves(loss):
    curves = interactive.LiveCurves(title="Sentences by CTC (embedded fr)")
    for quantity in ("loss", "accuracy", "cer"):
        curves.history[f"validation_{quantity}"] = [loss if quantity == "loss" else 1.25, 0.1]
    figure = curves._render()
    figure.canvas.draw()
    for before, after in itertools.pairwise(figure.axes):
        label = after.yaxis.label.get_window_extent()
        assert before.get_window_extent().x1 < label.x0
        ticks = [tick.get_window_extent() for tick in after.get_yticklabels()]
        assert label.x1 < min(tick.x0 for tick in ticks if tick.width)


def test_an_epoch_that_has_just_begun_has_no_time_left_to_say(pages):
    curves = interactive.LiveCurves(epochs=3, clock=Clock())
    curves.step(0, 10)
    assert pages[-1][-1]["text/plain"] == "Epoch 1/3, 0%"


def test_curves_of_slow_epochs_are_drawn_each_time_and_not_again_on_close(pages):
    clock = Clock()
    curves = interactive.LiveCurves(clock=clock)
    train(curves, clock, 3, 0.5)
    curves.close()
    assert len(pages[0]) == 3


def test_curves_stay_after_an_error_in_the_training(pages):
    clock = Clock()
    with pytest.raises(ZeroDivisionError), interactive.LiveCurves(clock=clock) as curves:
        train(curves, clock, 2, 0.1)
        raise ZeroDivisionError
    assert "Epoch 2," in pages[0][-1]["text/plain"]
    assert alts(pages[0][-1]["text/html"])


def test_curves_show_nothing_in_a_script_and_write_a_figure_only_if_asked(no_display, tmp_path):
    clock = Clock()
    for figure_path in (None, tmp_path / "curves.png"):
        with interactive.LiveCurves(figure_path=figure_path, clock=clock) as curves:
            train(curves, clock, 2, 5)
        assert len(curves.history["train_loss"]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert plt.imread(tmp_path / "curves.png").shape[1] == 2 * 810
    interactive.LiveCurves(figure_path=tmp_path / "never.png").close()
    assert not (tmp_path / "never.png").exists()


def test_curves_reuse_one_figure_unknown_to_pyplot(pages):
    clock, before = Clock(), plt.get_fignums()
    curves = interactive.LiveCurves(clock=clock)
    train(curves, clock, 1, 1)
    figure = curves._figure
    train(curves, clock, 3, 1)
    assert curves._figure is figure
    assert [len(ax.get_lines()) for ax in figure.axes] == [2, 2]
    assert plt.get_fignums() == before


@pytest.mark.parametrize(
    "measures", [{"train_loss": float("nan")}, {"train_loss": float("inf")}, {"cosiness": 1.0}]
)
def test_curves_never_stop_a_training(pages, measures):
    with interactive.LiveCurves() as curves:
        curves.update(**measures)
    assert "Epoch 1," in pages[0][-1]["text/plain"]
    assert ("cannot be drawn" in pages[0][-1]["text/plain"]) == ("cosiness" in measures)


def test_curves_refuse_other_measures_and_epochs_after_the_end():
    curves = interactive.LiveCurves()
    curves.update(train_loss=1.0)
    with pytest.raises(ValueError, match="expected train_loss; got validation_loss"):
        curves.update(validation_loss=1.0)
    assert curves.history == {"train_loss": [1.0]}
    curves.close()
    with pytest.raises(RuntimeError, match="closed"):
        curves.update(train_loss=1.0)


# --- recorder ---------------------------------------------------------------------------------


def send(recorder, samples, sample_rate=44100, count=None):
    """Deliver what the browser sends."""
    data = np.asarray(samples, "<f4").tobytes()
    count = len(data) // 4 if count is None else count
    content = {"kind": "audio", "sample_rate": sample_rate, "samples": count}
    recorder._handle_custom_msg(content, [memoryview(data)])


def test_recorder_takes_samples_at_the_rate_of_the_device():
    calls = []
    recorder = interactive.Recorder(lambda *arguments: calls.append(arguments), seconds=0.5)
    sent = tone(0.5, 44100)[0].numpy().copy()
    sent[7] = 1.25
    send(recorder, sent)
    ((waveform, sample_rate),) = calls
    assert (waveform.dtype, waveform.shape, sample_rate) == (torch.float32, (1, 22050), 44100)
    assert waveform[0, 7] == 1
    assert torch.equal(waveform[0, 8:], torch.from_numpy(sent[8:]))
    assert recorder.audio is waveform
    assert recorder.sample_rate == 44100
    assert recorder.status == "Recorded 0.5 s, peak 1.00 of 1."


@pytest.mark.parametrize(
    ("samples", "count", "sample_rate", "words"),
    [
        ([0.1, 0.2, 0.3], 4, 44100, "12 bytes for 4 samples"),
        ([0.1, 0.2, 0.3], 2, 44100, "12 bytes for 2 samples"),
        ([0.1], 1, 0, "at 0 Hz"),
        ([], 0, 44100, "No sound arrived"),
        ([0.0, 0.0], 2, 44100, "muted"),
        ([0.1, float("nan")], 2, 44100, "NaN or infinite"),
        ([0.1, float("inf")], 2, 44100, "NaN or infinite"),
    ],
)
def test_recorder_says_what_is_wrong_and_keeps_the_last_recording(
    samples, count, sample_rate, words
):
    calls = []
    recorder = interactive.Recorder(lambda *arguments: calls.append(arguments))
    send(recorder, [0.5, 0.25])
    send(recorder, samples, sample_rate, count)
    assert words in recorder.status
    assert len(calls) == 1
    assert recorder.audio.tolist() == [[0.5, 0.25]]


def test_recorder_survives_a_message_without_a_buffer():
    recorder = interactive.Recorder()
    recorder._handle_custom_msg({"kind": "audio", "sample_rate": 48000, "samples": 9}, [])
    assert "0 bytes for 9 samples" in recorder.status
    assert recorder.audio is None


def test_every_microphone_error_reaches_the_browser_in_plain_words():
    for name, words in microphone.MICROPHONE_ERRORS.items():
        assert interactive.Recorder().messages[name] == words
        assert "Error" not in words


def test_recorder_that_is_displayed_brings_its_output_along():
    recorder = interactive.Recorder()
    bundle = recorder._repr_mimebundle_()
    shown = bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert shown == recorder._box.model_id
    assert recorder._box.children == (recorder, recorder.output)
    assert "0x" not in bundle["text/plain"]


# --- your voice -------------------------------------------------------------------------------


def upload(panel, name, content):
    """Deliver what the browser's upload button sends."""
    file = {"name": name, "type": "", "size": len(content), "last_modified": 0}
    panel.upload.set_state({"value": [{**file, "content": memoryview(content)}]})


def encoded(waveform, rate, kind):
    file = io.BytesIO()
    soundfile.write(file, waveform.numpy().T, rate, format=kind)
    return file.getvalue()


def alike(a, b):
    """Greatest normalised correlation over all delays."""
    a, b = a.flatten().numpy(), b.flatten().numpy()
    return np.correlate(a, b, "full").max() / np.linalg.norm(a) / np.linalg.norm(b)


def test_a_recording_is_resampled_for_on_clip():
    heard = []
    panel = interactive.your_voice(heard.append, seconds=0.5)
    assert panel.recorder.seconds == 0.5
    send(panel.recorder, tone(0.5, 44100)[0])
    (clip,) = heard
    assert (clip.dtype, clip.shape) == (torch.float32, (1, 8000))
    assert alike(clip, tone(0.5)) > 0.99
    assert panel.clip is clip


@pytest.mark.parametrize(("kind", "rate"), [("WAV", 16000), ("FLAC", 48000), ("MP3", 22050)])
def test_an_upload_is_mixed_and_resampled_for_on_clip_and_not_kept(kind, rate):
    heard = []
    panel = interactive.your_voice(heard.append)
    stereo = torch.cat([tone(0.5, rate), torch.zeros(1, rate // 2)])
    upload(panel, f"a.{kind}", encoded(stereo, rate, kind))
    (clip,) = heard
    assert (clip.dtype, clip.shape[0]) == (torch.float32, 1)
    assert clip.shape[1] == pytest.approx(8000, abs=2 if kind != "MP3" else 2000)
    assert alike(clip, tone(0.5)) > 0.95
    assert 0.2 < clip.abs().max() < 0.3  # the mean of a channel and silence
    assert panel.upload.value == ()
    assert panel.recorder.status == f"a.{kind} was used."
    upload(panel, f"a.{kind}", encoded(stereo, rate, kind))
    assert len(heard) == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"these are words, not sound", "not audio"),
        (b"", "empty"),
        (encoded(tone(), RATE, "WAV")[:-400], "cut off"),
        (encoded(torch.zeros(1, 800), RATE, "WAV"), "silent"),
    ],
)
def test_an_upload_that_is_no_recording_is_refused_in_plain_words(content, words, capsys):
    heard = []
    panel = interactive.your_voice(heard.append)
    upload(panel, "mine.wav", content)
    said = capsys.readouterr().out
    assert words in said
    assert "mine.wav" in said
    assert "Traceback" not in said
    assert heard == []
    assert panel.clip is None
    assert panel.recorder.status == "mine.wav was not used."
    assert panel.upload.value == ()


def test_an_error_of_on_clip_is_one_line_that_names_its_place(capsys):
    def on_clip(clip):
        raise NotImplementedError("Exercise 1.2 is open.")

    panel = interactive.your_voice(on_clip)
    line = on_clip.__code__.co_firstlineno + 1
    for deliver in (
        lambda: send(panel.recorder, tone()[0]),
        lambda: upload(panel, "a.wav", encoded(tone(), RATE, "WAV")),
    ):
        deliver()
        said = capsys.readouterr().out
        assert f"NotImplementedError: Exercise 1.2 is open. (line {line} of on_clip)" in said
        assert "Traceback" not in said


def test_the_fallback_is_heard_at_once_and_its_error_is_raised():
    heard = []
    interactive.your_voice(heard.append)
    assert heard == []
    fallback = tone()
    panel = interactive.your_voice(heard.append, fallback=fallback)
    assert heard == [fallback]
    assert panel.clip is None
    with pytest.raises(ZeroDivisionError):
        interactive.your_voice(lambda clip: 1 / 0, fallback=fallback)


def test_forget_deletes_recording_upload_and_output(monkeypatch):
    panel = interactive.your_voice(lambda clip: None)
    send(panel.recorder, tone()[0])
    assert panel.clip is not None
    assert panel.recorder.audio is not None
    cleared = []
    monkeypatch.setattr(panel.recorder.output, "clear_output", lambda: cleared.append(True))
    panel.forget_button.click()
    assert panel.clip is panel.recorder.audio is panel.recorder.sample_rate is None
    assert panel.upload.value == ()
    assert panel.recorder.status == "Forgotten."
    assert cleared == [True]


# --- shifts -----------------------------------------------------------------------------------


def test_explorer_shows_the_shifted_clip_and_what_is_heard(pages, monkeypatch):
    words = ["yes", "no", "up", "down", "left", "right"]
    clips = torch.stack([tone(1, hertz=300), tone(1, hertz=600)])  # (batch, 1, time)
    given, played = [], []
    player = plotting.player
    monkeypatch.setattr(
        plotting, "player", lambda x, rate, label: played.append(x) or player(x, rate, label)
    )

    def predict(clip):
        given.append(clip)
        late = bool(clip[0, :100].abs().max() == 0)
        first = [0.05, 0.6, 0.1, 0.1, 0.1, 0.05] if late else [0.6, 0.05, 0.1, 0.1, 0.1, 0.05]
        return dict(zip(words, torch.tensor(first), strict=True))

    explorer = interactive.ShiftExplorer(clips, ["yes", "no"], predict)
    assert torch.equal(given[-1], clips[0])
    assert "yes 60 %" in explorer.words
    assert "number 1 of 6" in explorer.words
    explorer.shift.value = 100
    assert torch.equal(given[-1], shifted(clips[0], 1600))
    assert torch.equal(played[-1], given[-1])
    assert "yes, 100 ms later. Most probable: no 60 %, up 10 %" in explorer.words
    assert "number 5 of 6" in explorer.words
    explorer.choice.value = 1
    assert torch.equal(given[-1], shifted(clips[1], 1600))
    explorer.shift.value = -300
    assert torch.equal(given[-1], shifted(clips[1], -4800))
    _style, controls, first = pages
    assert len(first) == 4
    assert len(controls) == 1
    (alt,) = alts(first[-1]["text/html"])
    assert "no, 300 ms earlier" in alt
    assert first[-1]["text/html"].count("<audio") == 1
    bars = explorer._figure.axes[1]
    assert {"yes", "no (true)"} <= {text.get_text() for text in bars.texts}
    assert [bar.get_width() for bar in bars.patches][-1] == pytest.approx(60)


def test_explorer_says_an_error_of_predict_in_one_line(pages):
    def predict(clip):
        return {"yes": 1.0} if clip[0, 0] else 1 / 0

    explorer = interactive.ShiftExplorer([torch.ones(1, 1600)], ["yes"], predict)
    explorer.shift.value = 10
    assert "ZeroDivisionError: division by zero (line" in pages[-1][-1]["text/plain"]
    explorer.shift.value = -10
    assert "yes 100 %" in pages[-1][-1]["text/plain"]


def test_a_recording_is_shown_and_can_be_played(pages):
    heard = []
    panel = interactive.your_voice(heard.append, say="one of <yes>, no.")
    send(panel.recorder, torch.linspace(-0.5, 0.5, 44100).numpy())
    assert len(heard) == 1
    page = pages[-1][0].data
    assert "your recording" in page
    assert alts(page)[0].startswith("Waveform of your recording")


# --- in a kernel ------------------------------------------------------------------------------

CELLS = [
    "import torch\n"
    "from course_utils import interactive\n"
    "clip = torch.linspace(-0.5, 0.5, 16000)[None]\n"
    "predict = lambda clip: {'yes': 0.75, 'no': 0.25}",
    "with interactive.LiveCurves(epochs=3) as curves:\n"
    "    for epoch in range(3):\n"
    "        curves.update(train_loss=1.0, train_accuracy=epoch / 2)\n"
    "    raise ValueError('the training fails')",
    "heard = lambda clip: print('heard', tuple(clip.shape))\n"
    "interactive.your_voice(heard, fallback=clip, said='yes')",
    "interactive.ShiftExplorer([clip], ['yes'], predict)",
]


def test_a_page_is_complete_without_a_browser():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    NotebookClient(notebook, timeout=60, allow_errors=True, kernel_name="python3").execute()
    _, training, voice, shift = (cell.outputs for cell in notebook.cells)
    assert [output.output_type for output in training] == ["display_data", "error"]
    assert "Epoch 3/3" in alts(training[0].data["text/html"])[0]
    assert "an example: yes" in voice[0].data["text/html"]
    assert (voice[1].name, voice[1].text) == ("stdout", "heard (1, 16000)\n")
    assert "yes 75 %" in alts(shift[2].data["text/html"])[0]
    for style, controls in (voice[2:], shift[:2]):
        assert style.data["text/html"].startswith("<style>")
        assert controls.data["text/plain"] == "Buttons stand here when the notebook runs."
        assert "application/vnd.jupyter.widget-view+json" in controls.data


def test_confusion_picker_stands_on_the_most_frequent_confusion():
    targets, predictions = [0, 0, 1, 1, 1, 2], [0, 1, 2, 2, 1, 2]
    asked = []

    def clip(item):
        asked.append(item)
        return torch.full((1, 8000), 0.1)

    picker = interactive.ConfusionPicker(targets, predictions, ["a", "b", "c"], clip, 8000)
    assert picker.words == "2 clips: said b, heard c."
    assert asked == [2, 3]
    assert picker.page.count("<audio") == 2
    picker.said.value, picker.heard.value = 0, 0
    assert picker.words == "1 clip: said a, heard a."
    picker.heard.value = 2
    assert picker.words == "0 clips: said a, heard c."
    assert "<audio" not in picker.page


def test_confusion_picker_takes_tensors():
    classes = torch.tensor([0, 1, 1])
    picker = interactive.ConfusionPicker(
        classes, classes.flip(0), ["a", "b"], lambda item: torch.full((1, 800), 0.1), 8000
    )
    assert picker.words == "1 clip: said a, heard b."


def test_confusion_picker_shows_only_some_of_many_and_copes_with_no_mistake():
    picker = interactive.ConfusionPicker(
        [0] * 20, [0] * 20, ["a", "b"], lambda item: torch.full((1, 800), 0.1), 8000
    )
    assert picker.page.count("<audio") == picker.MOST
    assert picker.words == "20 clips: said a, heard a. The first 8:"


def test_every_third_clip_of_a_word_is_kept_back(capsys):
    collector = interactive.ClipCollector(["on", "off", "rare"])
    assert collector.shared_out() is None
    assert "two words with three clips each" in capsys.readouterr().out
    for word, count in (("on", 3), ("off", 4), ("rare", 2)):
        collector.clips[word] = [torch.full((1, 100 * (i + 1)), float(i + 1)) for i in range(count)]
    words, (x, y), (kept_x, kept_y) = collector.shared_out(samples=250)
    assert words == ["on", "off"]
    assert x.shape == (5, 1, 250) and y.tolist() == [0, 0, 1, 1, 1]
    assert kept_y.tolist() == [0, 1] and (kept_x == 3).all()
