"""Explorers and collector: without a browser, the last test in a real kernel."""

import io
import re
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from matplotlib import pyplot as plt
from nbclient import NotebookClient

from course_utils import audio, interactive, plotting
from course_utils.interactive import base, decoding, explorers, microphone

RATE = 16000
VIEW = "application/vnd.jupyter.widget-view+json"


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


# --- features ---------------------------------------------------------------------------------


def test_feature_explorer_shows_log_mel_and_mfccs_of_the_chosen_clip(pages):
    before = plt.get_fignums()
    clips = torch.stack([tone(1, hertz=300), tone(1, hertz=3000)])  # (batch, 1, time)
    explorer = interactive.FeatureExplorer(clips, ["low", "high"])
    assert "low: 101 frames of 25 ms, one every 10 ms." in explorer.words
    assert "16,000 samples, 6,400 as 64 mel bands, 1,300 as 13 MFCCs" in explorer.words
    assert "padded to 512 samples for the FFT: its frequency bins are 31.25 Hz apart" in (
        explorer.words
    )
    left, right = explorer._figure.axes[:2]
    assert left.collections[0].get_array().shape == (64, 101)
    assert right.collections[0].get_array().shape == (13, 101)
    low = left.collections[0].get_array()[:, 50].argmax()
    explorer.choice.value = 1
    high = explorer._figure.axes[0].collections[0].get_array()[:, 50].argmax()
    assert high > low + 20
    # The ticks stand at their frequencies.
    axis = explorer._figure.axes[0].yaxis
    places = dict(
        zip([t.get_text() for t in axis.get_ticklabels()], axis.get_ticklocs(), strict=True)
    )
    assert places["2k"] < high < places["4k"]
    assert places["250"] - 1 < low < places["500"]
    _style, controls, first = pages
    assert len(first) == 2
    assert len(controls) == 1 and VIEW in controls[0]
    assert len(alts(first[-1]["text/html"])) == 1
    assert first[-1]["text/html"].count("<audio") == 2
    assert first[-1]["text/plain"] == explorer.words
    assert plt.get_fignums() == before


def test_feature_explorer_follows_every_slider():
    explorer = interactive.FeatureExplorer([tone(1)], ["a"])
    assert [s.continuous_update for s in (explorer.window, explorer.hop)] == [False, False]
    limits = [
        (s.min, s.max) for s in (explorer.window, explorer.hop, explorer.mels, explorer.mfccs)
    ]
    assert limits == [(5, 100), (2, 50), (8, 128), (4, 40)]
    explorer.window.value = 100
    explorer.hop.value = 40
    assert "26 frames of 100 ms, one every 40 ms" in explorer.words
    assert "2048 samples for the FFT: its frequency bins are 7.812 Hz apart" in explorer.words
    assert "not looked at" not in explorer.words
    explorer.window.value = 32  # 512 samples: a power of two stays
    assert "padded to 512 samples" in explorer.words
    assert "Of every 40 ms, 8 ms are not looked at." in explorer.words
    explorer.mels.value = 8
    assert "200 as 8 mel bands, 200 as 8 MFCCs" in explorer.words
    assert "no more MFCCs than mel bands: 8 are shown" in explorer.words
    explorer.mfccs.value = 4
    assert "100 as 4 MFCCs" in explorer.words
    assert "no more MFCCs" not in explorer.words


@pytest.mark.filterwarnings("error")
def test_feature_explorer_says_empty_bands_instead_of_warning():
    explorer = interactive.FeatureExplorer([tone(1)], ["a"])
    assert "empty" not in explorer.words
    explorer.window.value, explorer.mels.value = 5, 128
    bins = torch.linspace(0, RATE / 2, 65)  # 5 ms are 80 samples, padded to 128
    edges = 700 * (10 ** (torch.linspace(0, 2840.0231, 130, dtype=torch.float64) / 2595) - 1)
    empty = sum(
        not ((bins > low) & (bins < high)).any()
        for low, high in zip(edges[:-2], edges[2:], strict=True)
    )
    assert empty > 0
    assert f"{empty} of the 128 mel bands are empty" in explorer.words


def test_features_are_those_of_torchaudio():
    clip = tone(0.3) + 0.01 * torch.randn(1, 4800, generator=torch.Generator().manual_seed(0))
    level, mfcc, n_fft, empty, _ = explorers._features(clip, RATE, 32, 10, 40, 13)
    assert (n_fft, empty) == (512, 0)
    settings = {"n_fft": 512, "hop_length": 160, "n_mels": 40, "pad_mode": "constant"}
    expected = torchaudio.transforms.MFCC(RATE, 13, melkwargs=settings)(clip)[0]
    expected = (expected - expected.mean(1, keepdim=True)) / expected.std(1, False, keepdim=True)
    torch.testing.assert_close(mfcc, expected, rtol=1e-3, atol=1e-3)
    power = torchaudio.transforms.MelSpectrogram(RATE, **settings)(clip)[0]
    torch.testing.assert_close(
        level, (10 * (power / power.max()).log10()).clamp(-80), atol=1e-3, rtol=0
    )


def test_mfccs_are_heard_as_far_as_they_keep_the_sound():
    clip = tone(0.5, hertz=1000)

    def tonal(mfccs):
        *_, sound = explorers._features(clip, RATE, 32, 10, 40, mfccs)
        assert sound.shape == clip.shape
        spectrum = np.abs(np.fft.rfft(sound[0]))
        near = spectrum[450:551]  # 900 to 1,100 Hz
        return (near**2).sum() / (spectrum**2).sum()

    assert tonal(40) > 0.9 > 0.5 > tonal(4)
    # Frames that do not overlap, and a clip shorter than one, make none.
    assert explorers._features(clip, RATE, 20, 20, 40, 13)[4] is None
    assert explorers._features(tone(0.02), RATE, 100, 10, 40, 13)[4] is None
    explorer = interactive.FeatureExplorer([clip], ["a"], window=20, hop=20)
    assert "make no sound" in explorer.words
    assert explorer.page.count("<audio") == 1


def test_feature_explorer_copes_with_silence_and_with_a_clip_shorter_than_the_window():
    explorer = interactive.FeatureExplorer([torch.zeros(1, RATE), tone(0.02)], ["off", "short"])
    assert explorer._figure.axes[1].collections[0].get_array().max() == 0
    explorer.window.value = 100
    explorer.choice.value = 1
    assert "short: 3 frames of 100 ms" in explorer.words


@pytest.mark.parametrize(("clips", "labels"), [([], []), ([tone()], ["a", "b"])])
def test_explorers_refuse_clips_without_labels(clips, labels):
    message = f"there are {len(clips)} clips and {len(labels)} labels"
    with pytest.raises(ValueError, match=message):
        interactive.FeatureExplorer(clips, labels)
    with pytest.raises(ValueError, match=message):
        interactive.AugmentationExplorer(clips, labels, {})


# --- augmentation -----------------------------------------------------------------------------

EFFECTS = {
    "Shift": (lambda x, ms: shifted(x[0], round(16 * float(ms)))[None], -300, 300, 10, 0, "ms"),
    "Gain": (lambda x, factor: x * factor, 0, 2, 0.1, 1, ""),
}


def test_augmentation_explorer_applies_what_is_not_neutral_in_order(pages, monkeypatch):
    calls, played = [], []

    def add(x, value):
        calls.append("add")
        return x.add_(value)  # in place: the clip itself stays as it is

    def scale(x, value):
        calls.append("scale")
        return x * value

    players, clip = plotting.players, tone(0.5)

    def heard(sounds, *more):
        (before, _), (after, _) = sounds
        torch.testing.assert_close(before, clip)
        played.append(after)
        return players(sounds, *more)

    monkeypatch.setattr(plotting, "players", heard)
    effects = {"Add": (add, 0, 0.4, 0.1, 0, ""), "Scale": (scale, 0, 2, 0.5, 1, "times")}
    explorer = interactive.AugmentationExplorer([clip], ["yes"], effects)
    assert calls == []
    assert explorer.words.startswith("yes, unchanged: 0.50 s, peak amplitude 0.50.")
    explorer.sliders["Scale"].value = 0.5
    assert calls == ["scale"]
    explorer.sliders["Add"].value = 0.2
    assert calls == ["scale", "add", "scale"]
    torch.testing.assert_close(played[-1], (clip + 0.2) * 0.5)
    assert explorer.words.startswith("yes, Add 0.2, Scale 0.5 times: 0.50 s, peak amplitude 0.35.")
    assert clip.max() <= 0.5
    explorer.sliders["Scale"].value = 1
    explorer.sliders["Add"].value = 0
    torch.testing.assert_close(played[-1], clip)
    assert "unchanged" in explorer.words
    _style, controls, first = pages
    assert len(first) == 5
    assert len(controls) == 1
    assert [slider.description for slider in explorer.sliders.values()] == ["Add", "Scale (times)"]
    assert not any(slider.continuous_update for slider in explorer.sliders.values())


def test_augmentation_explorer_draws_before_and_after_on_one_scale():
    explorer = interactive.AugmentationExplorer([tone(0.5), tone(1)], ["a", "b"], EFFECTS)
    explorer.sliders["Gain"].value = 2
    explorer.sliders["Shift"].value = -100
    before, after, *_ = (ax for ax in explorer._figure.axes if ax.get_title())
    assert (before.get_title(), after.get_title()) == ("Before", "After")
    assert before.get_ylim() == after.get_ylim() == pytest.approx((-1.05, 1.05), rel=1e-3)
    assert before.get_xlim() == after.get_xlim() == (0, 0.5)
    assert abs(before.lines[0].get_ydata()).max() == pytest.approx(0.5, rel=1e-3)
    assert abs(after.lines[0].get_ydata()[-1600:]).max() == 0
    explorer.choice.value = 1
    assert len(explorer._figure.axes) == 4
    assert explorer.words.startswith("b, Shift -100 ms, Gain 2:")
    (alt,) = alts(explorer.page)
    assert "Before: Log-mel spectrogram of b: 1.00 s" in alt
    assert "After: Log-mel spectrogram of b, Shift -100 ms, Gain 2: 1.00 s" in alt


def test_augmentation_explorer_shows_what_the_model_hears():
    given = []

    def predict(clip):
        given.append(clip)
        loud = clip.abs().max() > 0.6
        shares = torch.tensor([0.1, 0.7, 0.2] if loud else [0.6, 0.3, 0.1])
        return dict(zip(["yes", "no", "up"], shares, strict=True))

    explorer = interactive.AugmentationExplorer([tone()], ["yes"], EFFECTS, predict=predict)
    assert len(given) == 1
    assert "Most probable: yes 60 %, no 30 %, up 10 %. The true word is number 1 of 3." in (
        explorer.words
    )
    assert "Before" not in explorer.words.partition("Waveform and")[0]
    explorer.sliders["Gain"].value = 2
    assert "no 70 %, up 20 %, yes 10 %. The true word is number 3 of 3." in explorer.words
    assert "Before, the model heard yes, 60 %." in explorer.words
    bars = explorer._figure.axes[-1]
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([10, 20, 70])
    texts = [text.get_text() for text in bars.texts]
    assert {"yes (true)", "no", "up", "70 %"} <= set(texts)
    assert [bool(bar.get_hatch()) for bar in bars.patches] == [True, False, False]


def test_augmentation_explorer_lets_a_clip_change_its_length():
    effects = {"Speed": (lambda x, v: x[..., :: round(float(v))], 1, 2, 1, 1, "times")}
    explorer = interactive.AugmentationExplorer([tone(1)], ["a"], effects)
    explorer.sliders["Speed"].value = 2
    assert "a, Speed 2 times: 0.50 s" in explorer.words
    before, after = explorer._figure.axes[0], explorer._figure.axes[2]
    assert before.get_xlim() == after.get_xlim() == (0, 1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x, value: None, "effect 'Bad' returned no waveform (1, time): "),
        (lambda x, value: x[..., :0], "effect 'Bad' returned no waveform (1, time): the clip is"),
        (lambda x, value: x / 0, "NaN or inf"),
        (lambda x, value: torch.cat([x, x]), "got shape (2, 1, 8000)"),
    ],
)
def test_augmentation_explorer_says_what_an_effect_did_wrong(pages, function, message):
    explorer = interactive.AugmentationExplorer(
        [tone()], ["a"], {"Bad": (function, 0, 1, 1, 0, "")}
    )
    explorer.sliders["Bad"].value = 1
    assert explorer.words.startswith("That did not work. ValueError: effect 'Bad'")
    assert message in explorer.words
    assert pages[-1][-1]["text/plain"] == explorer.words
    explorer.sliders["Bad"].value = 0
    assert "unchanged" in pages[-1][-1]["text/plain"]


def test_an_error_of_an_effect_is_one_line_that_names_its_place():
    def effect(x, value):
        raise NotImplementedError("Exercise 3.4 is open.")

    explorer = interactive.AugmentationExplorer([tone()], ["a"], {"E": (effect, 0, 1, 1, 0, "")})
    explorer.sliders["E"].value = 1
    line = effect.__code__.co_firstlineno + 1
    said = f"NotImplementedError: Exercise 3.4 is open. (line {line} of effect)"
    assert explorer.words == f"That did not work. {said}"
    assert "<img" not in explorer.page


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        (lambda x, v: x, r"effect 'E' must be \(function, low"),
        ((lambda x, v: x, 0, 1), "must be"),
        ((1, 0, 1, 0.1, 0, ""), "must be"),
        ((lambda x, v: x, 1, 2, 0.1, 0, ""), "the neutral value 0 must lie in 1 to 2"),
        ((lambda x, v: x, 0, 1, 0, 0, ""), "the step 0 above 0"),
    ],
)
def test_a_badly_described_effect_is_named(effect, message):
    with pytest.raises(ValueError, match=message):
        interactive.AugmentationExplorer([tone()], ["a"], {"E": effect})


# --- the reader's own clips -------------------------------------------------------------------


def send(recorder, samples, sample_rate=44100):
    """Deliver what the browser sends."""
    data = np.asarray(samples, "<f4").tobytes()
    content = {"kind": "audio", "sample_rate": sample_rate, "samples": len(data) // 4}
    recorder._handle_custom_msg(content, [memoryview(data)])


def upload(panel, name, content):
    """Deliver what the browser's upload button sends."""
    file = {"name": name, "type": "", "size": len(content), "last_modified": 0}
    panel.upload.set_state({"value": [{**file, "content": memoryview(content)}]})


def encoded(waveform, rate, kind="WAV"):
    file = io.BytesIO()
    soundfile.write(file, waveform.numpy().T, rate, format=kind)
    return file.getvalue()


def test_collector_keeps_recordings_and_uploads_by_word(pages, capsys):
    collector = interactive.ClipCollector(["yes", "no"], seconds=0.5)
    assert collector.recorder.seconds == 0.5
    assert collector.words.startswith("Clips in memory: 0 (yes 0, no 0). Your voice stays in the")
    assert "written to a file only if you call save(folder)" in pages[2][0]["text/html"]
    send(collector.recorder, tone(0.5, 44100)[0])
    collector.word.value = "no"
    upload(collector, "a.flac", encoded(tone(0.7, 48000), 48000, "FLAC"))
    send(collector.recorder, tone(0.5, 44100)[0])
    assert {word: len(clips) for word, clips in collector.clips.items()} == {"yes": 1, "no": 2}
    for clip, seconds in ((collector.clips["yes"][0], 0.5), (collector.clips["no"][0], 0.7)):
        assert (clip.dtype, clip.shape) == (torch.float32, (1, round(seconds * RATE)))
        middle = slice(800, -800)
        assert torch.allclose(clip[0, middle], tone(seconds)[0, middle], atol=0.02)
    assert "Clips in memory: 3 (yes 1, no 2)." in pages[2][-1]["text/plain"]
    assert "Kept: no, clip 1: 0.70 s, peak 0.50." in capsys.readouterr().out
    assert collector.recorder.status == "Recorded 0.5 s, peak 0.50 of 1."
    assert collector.upload.value == ()
    players = [versions[0].data for versions in pages if hasattr(versions[0], "data")]
    assert len(players) == 3
    assert all(text.count("<audio") == text.count("<img alt=") == 1 for text in players)


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (tone(0.08), "lasts 0.08 s, too short for a word; it is not kept"),
        (tone(1) / 1000, "is silent (peak 0.0005 of 1); it is not kept. Is the microphone muted"),
    ],
)
def test_collector_refuses_what_is_no_word(waveform, words, capsys):
    collector = interactive.ClipCollector(["yes"])
    send(collector.recorder, waveform[0], RATE)
    assert words in capsys.readouterr().out
    file = io.BytesIO()
    soundfile.write(file, waveform.numpy().T, RATE, format="WAV", subtype="FLOAT")
    upload(collector, "mine.wav", file.getvalue())
    assert words in capsys.readouterr().out
    assert collector.recorder.status == "mine.wav was not kept."
    upload(collector, "mine.wav", encoded(torch.zeros(1, RATE), RATE))
    assert "mine.wav is silent for its whole length" in capsys.readouterr().out
    assert collector.clips == {"yes": []}
    assert "Clips in memory: 0" in collector.words


def test_a_text_is_no_list_of_words():
    with pytest.raises(ValueError, match=r"words must be a list, .* not the text 'yes'"):
        interactive.ClipCollector("yes")


def test_collector_forgets_the_last_clip_and_then_the_one_before():
    collector = interactive.ClipCollector(["yes", "no"])
    for word, hertz in (("yes", 200), ("no", 300), ("yes", 400)):
        collector.word.value = word
        send(collector.recorder, tone(0.5, hertz=hertz)[0], RATE)
    kept = collector.clips["yes"][0]
    collector.forget_button.click()
    assert len(collector.clips["yes"]) == 1 and collector.clips["yes"][0] is kept
    assert collector.recorder.status == "The last clip, of yes, is forgotten."
    assert collector.recorder.audio is None
    assert "Clips in memory: 2 (yes 1, no 1)." in collector.words
    collector.clips["no"].clear()  # by the reader
    collector.forget_button.click()
    assert collector.clips == {"yes": [], "no": []}
    collector.forget_button.click()
    assert collector.recorder.status == "There is no clip to forget."


def test_collector_saves_only_when_asked_and_overwrites_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    collector = interactive.ClipCollector(["yes", "no"])
    assert collector.save("mine") == []
    for word in ("yes", "yes", "no"):
        collector.word.value = word
        send(collector.recorder, tone(0.5)[0], RATE)
    assert list(tmp_path.iterdir()) == []
    other = tmp_path / "mine" / "yes" / "me_nohash_0.wav"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"another recording")
    written = collector.save("mine")
    names = [path.relative_to(tmp_path / "mine").as_posix() for path in written]
    assert names == ["yes/me_nohash_1.wav", "yes/me_nohash_2.wav", "no/me_nohash_0.wav"]
    assert other.read_bytes() == b"another recording"
    waveform, rate = audio.read(written[0])
    assert rate == RATE
    assert torch.allclose(waveform, collector.clips["yes"][0], atol=1e-4)
    assert collector.save(tmp_path / "mine") == []  # once each
    send(collector.recorder, tone(0.5)[0], RATE)
    (path,) = collector.save("mine")
    assert path.name == "me_nohash_1.wav"
    assert len(collector.save("elsewhere")) == 4


@pytest.mark.parametrize("words", [[], ["a", "a"], ["../up"], ["a/b"], [""], [3], [".."], ["a "]])
def test_collector_refuses_words_that_are_no_folders(words):
    with pytest.raises(ValueError, match="word"):
        interactive.ClipCollector(words)


def test_collector_takes_any_word_that_is_a_folder():
    words = ["a", "блин", "c++", "what?", "(none)", "don't"]
    assert list(interactive.ClipCollector(words).clips) == words


# --- decoding ---------------------------------------------------------------------------------

SYMBOLS = ["-", " ", "a", "b"]
PROBABILITIES = torch.full((4, 4), 0.1).scatter(1, torch.tensor([[2], [2], [0], [3]]), 0.7)
STEPS = [
    [("a", -0.3), ("", -1.7)],
    [("a", -0.5), ("ab", -2.0)],
    [("a", -0.9), ("ab", -2.1), ((2, 1), -2.2)],
    [("a", -3.0), ("ab", np.log(3) - 3.0)],
]


def test_beam_explorer_follows_the_frames(pages):
    explorer = interactive.BeamExplorer(PROBABILITIES.log(), SYMBOLS, 0.04, STEPS)
    assert explorer.frame.value == 2  # where the best has the smallest share
    explorer.frame.value = 3
    assert "After frame 3 (0.12 s) the best of 2 beams is 'ab', 75 % of their probability." in (
        explorer.words
    )
    assert "The greedy path reads 'ab'." in explorer.words
    assert "<code" in explorer.page and ">aa·b</code>" in explorer.page
    explorer.frame.value = 2
    assert "After frame 2 (0.08 s) the best of 3 beams is 'a', 64 %" in explorer.words
    assert "The greedy path reads 'a'." in explorer.words
    assert "Best beams: 'a' 64 %, 'ab' 19 %." in explorer.words
    left, right = explorer._figure.axes[:2]
    marked = [line.get_xdata()[0] for line in left.lines]
    assert marked == pytest.approx([0.06, 0.10])
    assert [bar.get_width() for bar in right.patches] == pytest.approx([63.7, 19.2, 17.4], abs=0.5)
    assert {"a", "ab", "a␣"} <= {text.get_text() for text in right.texts}
    explorer.frame.value = 0
    assert "(nothing yet)" in {t.get_text() for t in explorer._figure.axes[1].texts}
    assert len(pages) == 3
    assert len(pages[-1]) == 4
    assert alts(pages[-1][-1]["text/html"])


def test_beam_explorer_draws_at_most_eight_beams_and_copes_with_zero_probability():
    many = [(f"{'ab' * n} ", -float(n)) for n in range(1, 21)]
    lost = [("a", -np.inf), ("b", -np.inf)]
    frames = PROBABILITIES[:2].log()
    explorer = interactive.BeamExplorer(frames, SYMBOLS, 0.04, [many, lost])
    explorer.frame.value = 1
    assert "'a', 50 %" in explorer.words
    explorer.frame.value = 0
    assert "20 beams" in explorer.words
    assert len(explorer._figure.axes[1].patches) == 8


def test_a_long_prefix_shows_its_end():
    assert decoding._short("x" * 40 + " end") == "…" + "x" * 23 + "␣end"
    assert len(decoding._short("x" * 40)) == 28


@pytest.mark.parametrize(
    ("frames", "symbols", "steps", "message"),
    [
        (PROBABILITIES.log(), SYMBOLS, STEPS[:3], "beams for 3 steps, but 4 frames"),
        (PROBABILITIES.log(), SYMBOLS, [*STEPS[:3], []], "no beam after frame 3"),
        (PROBABILITIES.log(), SYMBOLS[:3], STEPS, "there are 3 symbols"),
        (PROBABILITIES, SYMBOLS, STEPS, "log_softmax"),
    ],
)
def test_bad_beams_are_named(frames, symbols, steps, message):
    with pytest.raises(ValueError, match=message):
        interactive.BeamExplorer(frames, symbols, 0.04, steps)


# --- in a kernel, and outside -----------------------------------------------------------------


def test_nothing_is_shown_outside_a_kernel(no_display, capsys):
    shown = [
        interactive.FeatureExplorer([tone()], ["a"]),
        interactive.AugmentationExplorer([tone()], ["a"], EFFECTS),
        interactive.ClipCollector(["yes"]),
        interactive.BeamExplorer(PROBABILITIES.log(), SYMBOLS, 0.04, STEPS),
    ]
    shown[0].window.value = 50
    shown[1].sliders["Gain"].value = 2
    shown[3].frame.value = 1
    assert capsys.readouterr().out == ""
    send(shown[2].recorder, tone()[0])
    assert len(shown[2].clips["yes"]) == 1
    for explorer in shown:
        assert len(explorer.words) > 50
        assert explorer.page
        assert explorer._ipython_display_() is None


CELLS = [
    "import torch\n"
    "from course_utils import interactive\n"
    "clip = torch.linspace(-0.5, 0.5, 16000)[None]\n"
    "frames = torch.full((3, 4), 0.25).log()",
    "interactive.FeatureExplorer([clip], ['yes'])",
    "effects = {'Gain': (lambda x, v: x * v, 0, 2, 1, 1, '')}\n"
    "interactive.AugmentationExplorer([clip], ['yes'], effects)",
    "interactive.BeamExplorer(frames, '- ab', 0.02, [[('a', -1.0)]] * 3)",
    "interactive.ClipCollector(['yes', 'no'])",
]


def test_a_page_is_complete_without_a_browser():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    for cell, words in zip(
        notebook.cells[1:],
        ("101 frames", "yes, unchanged", "best of 1 beam is", "Clips in memory: 0"),
        strict=True,
    ):
        _style, controls, first = cell.outputs
        assert words in first.data["text/plain"]
        assert bool(alts(first.data["text/html"])) == ("Clips" not in words)
        assert controls.data["text/plain"] == "Buttons stand here when the notebook runs."
        assert VIEW in controls.data
