"""Plots have labels and limits, figures have alt text, players have the true loudness."""

import base64
import io
import re
import warnings
from itertools import pairwise

import matplotlib
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from course_utils import plotting
from course_utils.plotting.base import figure_of, taken_notes
from course_utils.plotting.clips import hz_to_mel, log_mel_levels, mel_to_hz

RATE = 16000
WORDS = ["yes", "no", "up"]
HISTORY = {
    "train_loss": [2.3, 1.0, 0.5],
    "validation_loss": [2.2, 0.9, 1.1],
    "train_accuracy": [0.1, 0.6, 0.9],
    "validation_accuracy": [0.1, 0.7, 0.6],
    "seconds": [3.0, 3.0, 3.0],
}
ALT = 'A sine of 440 Hz & "nothing" <else>'


@pytest.fixture(autouse=True)
def close():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def tone():
    """Silence, then a tone of 1 kHz in the second half: (time,), 1 s."""
    x = 0.25 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE).astype(np.float32)
    x[: RATE // 2] = 0
    return x


@pytest.fixture
def displayed(monkeypatch):
    """The list of HTML texts that were displayed."""
    texts = []
    monkeypatch.setattr("course_utils.plotting.base.display", lambda item: texts.append(item.data))
    return texts


def said(drawn) -> str:
    """What a plot has noted in words on its figure."""
    return taken_notes(figure_of(drawn))


def png(text: str) -> bytes:
    return base64.b64decode(re.search(r'src="data:image/png;base64,([^"]+)"', text)[1])


def decoded(text: str):
    mp3 = base64.b64decode(re.search(r'src="data:audio/mpeg;base64,([^"]+)"', text)[1])
    return soundfile.read(io.BytesIO(mp3), dtype="float32")


def rms(x) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


# --- plots ------------------------------------------------------------------------------------


def test_waveform_is_in_seconds_and_symmetric(tone):
    ax = plotting.waveform(tone - 0.1, RATE)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (s)", "Amplitude")
    assert ax.get_xlim() == pytest.approx((0, 1))
    low, high = ax.get_ylim()
    assert low == -high and high == pytest.approx(1.05 * 0.35, rel=1e-3)
    np.testing.assert_allclose(ax.lines[0].get_xdata()[[0, 1, -1]], [0, 1 / RATE, 1 - 1 / RATE])


def test_waveform_takes_a_tensor_and_adds_a_line(tone):
    ax = plotting.waveform(tone, RATE, label="short")
    longer = torch.from_numpy(np.tile(2 * tone, 2))[None].requires_grad_()
    assert plotting.waveform(longer, RATE, ax=ax, label="long", alpha=0.5) is ax
    assert len(ax.lines) == 2 and ax.lines[0].get_color() != ax.lines[1].get_color()
    assert ax.get_xlim()[1] == pytest.approx(2) and ax.get_ylim()[1] == pytest.approx(0.525)
    plotting.waveform(tone, RATE, ax=ax)
    assert ax.get_xlim()[1] == pytest.approx(2) and ax.get_ylim()[1] == pytest.approx(0.525)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["short", "long"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(0, np.float32), "empty"),
        (np.array([0.1, np.nan], np.float32), "1 samples that are NaN"),
        (np.zeros((2, 10), np.float32), r"got shape \(2, 10\)"),
        (np.zeros((1, 1, 10), np.float32), "got shape"),
        (np.zeros(10, np.int16), "int16"),
    ],
)
@pytest.mark.parametrize("draw", [plotting.waveform, plotting.log_mel, "player"])
def test_a_bad_clip_is_named(x, message, draw):
    with pytest.raises(ValueError, match=message):
        plotting.player(x, RATE, "x") if draw == "player" else draw(x, RATE)


@pytest.mark.parametrize("rate", [0, -16000, 16000.5])
def test_a_bad_sample_rate_is_named(tone, rate):
    with pytest.raises(ValueError, match="sample_rate"):
        plotting.waveform(tone, rate)


def test_log_mel_has_the_tone_where_it_belongs(tone):
    ax = plotting.log_mel(torch.from_numpy(tone), RATE)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time (s)", "Frequency (Hz)")
    assert ax.get_xlim() == pytest.approx((0, 1))
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["250", "500", "1k", "2k", "4k"]
    mesh = ax.collections[0]
    level = np.asarray(mesh.get_array())  # (mel, frame)
    assert level.shape == (64, 101) and level.max() == pytest.approx(0) and level.min() >= -80
    edges, times = mesh.get_coordinates()[:, 0, 1], mesh.get_coordinates()[0, :, 0]
    band = level[:, 75].argmax()
    assert edges[band] <= 1000 <= edges[band + 1]
    assert level[:, :45].max() == -80  # silence
    assert times[50] < 0.5 < times[51]
    assert len(ax.figure.axes) == 2  # the colour bar
    top, middle, bottom = (ax.transData.transform((0, hz))[1] for hz in (4000, 2000, 1000))
    assert top - middle == pytest.approx(middle - bottom, rel=0.01)  # octaves above 1 kHz


def test_log_mel_on_given_axes_without_colorbar_and_with_a_short_clip():
    _, ax = plt.subplots()
    assert plotting.log_mel(np.full(100, 0.1), RATE, ax=ax, colorbar=False) is ax
    assert len(ax.figure.axes) == 1


def test_class_balance_stacks_the_splits():
    counts = {"train": {"yes": 5, "no": 7}, "test": {"no": 2, "up": 3}}
    ax = plotting.class_balance(counts)
    assert ax.get_ylabel() == "Clips"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["yes", "no", "up"]
    assert [(bar.get_y(), bar.get_height()) for bar in ax.patches] == [
        (0, 5),
        (0, 7),
        (0, 0),
        (5, 0),
        (7, 2),
        (0, 3),
    ]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["train (12)", "test (5)"]
    assert len({bar.get_hatch() for bar in ax.patches}) == 2
    with pytest.raises(ValueError, match="no words"):
        plotting.class_balance({"train": {}})


@pytest.mark.parametrize("draw", ["balance", "confusion"])
def test_labels_of_35_words_do_not_overlap(draw):
    words = [f"backward{i}" for i in range(35)]
    if draw == "balance":
        ax = plotting.class_balance({"train": dict.fromkeys(words, 10)})
    else:
        ax = plotting.confusion_matrix(range(35), range(35), words)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert len(boxes) == 35
    assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
    assert min(box.y0 for box in boxes) >= 0


def test_clip_lengths_in_seconds():
    ax = plotting.clip_lengths(torch.tensor([8000, 16000, 16000]), RATE)
    assert ax.get_xlabel() == "Length (s)"
    steps = dict(zip(*ax.lines[0].get_data(), strict=True))  # length to share, the last of equals
    assert steps == {0.5: pytest.approx(1 / 3), 1.0: 1}
    assert ax.yaxis.get_major_formatter()(0.5) == "50"
    with pytest.raises(ValueError, match="no clip lengths"):
        plotting.clip_lengths([], RATE)


def test_learning_curves():
    axes = plotting.learning_curves(HISTORY, chance=0.1)
    assert [ax.get_ylabel() for ax in axes] == ["Loss", "Accuracy (%)"]
    assert [len(ax.lines) for ax in axes] == [2, 3]
    train, validation, chance = axes[1].lines
    np.testing.assert_allclose(train.get_ydata(), [10, 60, 90])
    np.testing.assert_array_equal(train.get_xdata(), [1, 2, 3])
    assert train.get_linestyle() != validation.get_linestyle()
    assert train.get_marker() != validation.get_marker()
    assert chance.get_linestyle() == ":" and chance.get_ydata()[0] == pytest.approx(10)
    assert axes[0].get_ylim() == pytest.approx((0, 1.05 * 2.3)) and axes[1].get_ylim() == (0, 102)


def test_learning_curves_on_given_axes_and_with_error_rates():
    _, axes = plt.subplots(2)
    history = {"train_loss": [3.0, np.nan], "validation_cer": [1.2, 0.4]}
    assert plotting.learning_curves(history, axes=axes)[1] is axes[1]
    assert axes[1].get_ylabel() == "CER (%)" and axes[1].get_ylim()[1] > 120
    assert "best in epoch 2" in said(plotting.learning_curves(history))
    with pytest.raises(ValueError, match="train_loss"):
        plotting.learning_curves({"seconds": [1.0]})


def test_one_epoch_is_a_visible_point_at_1():
    [ax] = plotting.learning_curves({"train_loss": [2.0]})
    assert [tick for tick in ax.get_xticks() if 0.5 < tick < 1.5] == [1]
    assert ax.get_ylim()[1] > 2
    assert ax.lines[0].get_marker() == "o"


def test_accuracy_against():
    curves = {"MLP": [0.2, 0.9, 0.3], "CNN": torch.tensor([0.8, 0.9, 0.7])}
    ax = plotting.accuracy_against([-100, 0, 100], curves, xlabel="Shift (ms)", chance=0.1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Shift (ms)", "Accuracy (%)")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [20, 90, 30])
    assert len({(line.get_linestyle(), line.get_marker()) for line in ax.lines}) == 3
    with pytest.raises(ValueError, match="'MLP' has shape"):
        plotting.accuracy_against([0, 1], {"MLP": [0.1]}, xlabel="Shift (ms)")


def test_a_curve_that_knows_its_clips_has_a_band_over_the_speakers():
    speakers = np.repeat(["a", "b", "c", "d"], 10)
    same = np.tile([True, False], 20)  # each speaker is heard as well as the others
    differ = np.repeat([True, True, False, True], 10)
    right = torch.tensor(np.stack([differ, same]))
    curves = {"same": [same, same], "differ": right, "mean": [0.2, 0.3]}
    ax = plotting.accuracy_against([0, 10], curves, xlabel="Shift (ms)", speakers=speakers)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), [75, 50])
    bands = [band for band in ax.collections if band.get_paths()]  # the legend's has none
    heights = [np.ptp(band.get_paths()[0].vertices, axis=0)[1] for band in bands]
    assert len(bands) == 2  # a mean has no clips
    assert heights[0] == pytest.approx(0, abs=1e-9) and heights[1] > 25
    assert "Bands: 95 % of the draws of 4 speakers." in said(ax)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert "95 % of draws of 4 speakers" in labels
    alone = plotting.accuracy_against([0, 10], {"same": [same, same]}, xlabel="Shift (ms)")
    assert not alone.collections and "Bands" not in said(alone)


def test_a_legend_leaves_the_width_to_the_curves():
    names = ["MLP, its training clips", "CNN", "CNN that never met a shift", "MLP", "LSTM"]
    curves = {name: [0, 1] for name in names}
    ax = plotting.accuracy_against([0, 1], curves, xlabel="x", chance=0.1)
    ax.figure.canvas.draw()
    box, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
    width, height = ax.figure.canvas.get_width_height()
    assert box.width > 0.85 * width and legend.y0 >= box.y1 and legend.x1 <= width
    assert legend.height < height / 3 and legend.y1 <= height


def test_where_no_result_is_yet_the_plot_says_so():
    ax = plotting.transfer({}, {})
    assert [text.get_text() for text in ax.texts] == ["no result yet"]
    assert taken_notes(ax.figure).startswith("No result is there yet")


def test_a_row_for_each_test_shows_what_the_corpus_of_training_changes():
    values = {"on real": {"toy": [0.5, 0.7], "real": [0.8]}, "on toy": {"toy": [0.9]}}
    ax = plotting.transfer(values, {"on real": 0.1, "on toy": None})
    lines = {line.get_label(): line for line in ax.lines if line.get_linestyle() == "None"}
    assert lines["trained on toy"].get_xydata().tolist() == [[pytest.approx(60), 0], [90, 1]]
    assert lines["trained on real"].get_xydata().tolist() == [[80, 0]]
    assert lines["each seed"].get_xydata().tolist() == [[50, 0], [70, 0]]
    assert lines["chance"].get_xydata().tolist() == [[10, 0]]
    assert lines["trained on toy"].get_marker() != lines["trained on real"].get_marker()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["on real", "on toy"]
    assert said(ax) == "Trained on real, toy: on real 80%, 60%; on toy -, 90%."


def test_the_worst_confusion_is_the_same_in_the_figure_and_in_the_picker():
    from course_utils import interactive

    targets, predictions = [2, 2, 0, 1, 0], [1, 1, 2, 0, 2]  # twice 2 as 1 first, twice 0 as 2
    assert plotting.confusions(targets, predictions) == [(0, 2, 2), (2, 1, 2), (1, 0, 1)]
    text = said(plotting.confusion_matrix(targets, predictions, WORDS))
    assert "'yes' heard as 'up', 2 of 2 clips" in text
    picker = interactive.ConfusionPicker(
        targets, predictions, WORDS, lambda item: torch.full((1, 800), 0.1), RATE
    )
    assert (picker.said.value, picker.heard.value) == (0, 2)
    assert plotting.confusions([1, 0], [1, 0]) == []


def test_confusion_matrix_rows_are_spoken_words():
    targets, predictions = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 1, 1, 1, 1])
    ax = plotting.confusion_matrix(targets, predictions, WORDS)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted word", "Spoken word")
    np.testing.assert_allclose(ax.images[0].get_array(), [[0.25, 0.75, 0], [0, 1, 0], [0, 0, 0]])
    assert {t.get_text() for t in ax.texts if t.get_visible()} == {"25%", "75%", "100%"}
    ax = plotting.confusion_matrix(targets, predictions, WORDS, counts=True)
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 3, 0], [0, 1, 0], [0, 0, 0]])
    many = plotting.confusion_matrix([0, 1], [0, 2], [f"word{i}" for i in range(13)])
    assert not many.texts


# --- words ------------------------------------------------------------------------------------


def test_every_plot_has_a_description(tone):
    texts = [
        said(plotting.waveform(tone, RATE, name="a tone")),
        said(plotting.log_mel(torch.from_numpy(tone)[None], RATE, name="a tone")),
        said(plotting.class_balance({"train": {"yes": 1}, "test": {}})),
        said(plotting.clip_lengths([RATE], RATE)),
        said(plotting.learning_curves(HISTORY)),
        said(plotting.accuracy_against([0, 1], {"MLP": [0.9, 0.1]}, xlabel="Shift (ms)")),
        said(plotting.confusion_matrix([0, 1], [0, 1], WORDS)),
    ]
    assert all(len(text) >= 20 and text.endswith(".") and "nan" not in text for text in texts)


def test_descriptions_say_what_the_data_holds(tone):
    assert "loudest around 0.55 s" in said(plotting.waveform(tone, RATE, name="a tone"))
    assert "silence" in said(plotting.waveform(0 * tone, RATE, name="nothing"))
    text = said(plotting.log_mel(tone, RATE, name="a tone"))
    low, high, hz = re.search(r"from (\S+) to (\S+) s, .* near (\d+) Hz", text).groups()
    assert 0.48 <= float(low) <= 0.52 and float(high) >= 0.98 and 960 <= int(hz) <= 1040
    assert "silent" in said(plotting.log_mel(0 * tone, RATE, name="nothing"))
    text = said(plotting.learning_curves(HISTORY))
    assert "validation accuracy 10.0 to 60.0 %, best in epoch 2" in text
    assert "validation loss 2.20 to 1.10, best in epoch 2" in text
    text = said(plotting.confusion_matrix([0, 0, 2, 2, 2], [0, 2, 1, 1, 2], WORDS))
    assert "40.0 % on the diagonal" in text and "'up' heard as 'no', 2 of 3 clips" in text
    assert "no confusions" in said(plotting.confusion_matrix([0, 1], [0, 1], WORDS))


# --- show -------------------------------------------------------------------------------------


@pytest.mark.parametrize("alt", ["", "   ", "a plot", "x" * 18 + " " * 9])
def test_a_figure_that_a_cell_draws_itself_needs_words(displayed, alt):
    fig, ax = plt.subplots()
    ax.plot([1, 2])
    with pytest.raises(ValueError, match="describe in words"):
        plotting.show(fig, alt=alt)
    assert not displayed


def test_show_says_what_was_noted_in_the_order_of_drawing(tone, displayed):
    fig, axes = plt.subplots(1, 2)
    plotting.waveform(tone, RATE, axes[0], name="yes")
    plotting.log_mel(tone, RATE, axes[1], name="yes")
    plotting.note(axes[1], "The end.")
    plotting.show(fig, alt="Two views.")
    alt = re.match('<img alt="(.*?)"', displayed[0])[1]
    assert re.fullmatch(
        "Two views. Waveform of yes: .*Log-mel spectrogram of yes: .* The end.", alt
    )


def test_figures_of_cells_have_the_style_of_the_course():
    _, ax = plt.subplots()
    lines = [ax.plot([0, i])[0] for i in range(3)]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 3
    assert len({line.get_linestyle() for line in lines}) == 3
    assert not ax.spines["top"].get_visible() and ax.xaxis.get_gridlines()[0].get_visible()


def test_show_emits_an_escaped_img_and_closes_the_figure(tone, displayed):
    ax = plotting.waveform(tone, RATE)
    said(ax)
    for fig in (ax, ax.figure, np.array([ax])):
        plotting.show(fig, alt=ALT)
    assert plt.get_fignums() == []
    assert len(displayed) == 3 and displayed[0] == displayed[1] == displayed[2]
    escaped = "A sine of 440 Hz &amp; &quot;nothing&quot; &lt;else&gt;"
    assert displayed[0].startswith(f'<img alt="{escaped}" src="data:image/png;base64,')
    assert 'style="max-width:100%;height:auto"' in displayed[0]


def test_a_figure_is_stored_with_two_pixels_for_each_of_the_page(tone, displayed):
    plotting.show(plotting.waveform(tone, RATE), alt=ALT)
    width = int(re.search(r' width="(\d+)"', displayed[0])[1])
    pixels = plt.imread(io.BytesIO(png(displayed[0])))
    assert pixels.shape[1] // 2 == width and 700 < width < 830  # 8 inches of 100


def test_few_colours_are_stored_and_each_is_nearly_what_was_drawn(displayed):
    # Nearly all of it is pale: the ends of the scale are rare, and have to stay blue and red.
    values = np.random.default_rng(0).normal(size=(40, 200)) * 0.7
    ax = plotting.features(values, 0.01, vmin=-3, vmax=3)
    drawn = io.BytesIO()
    ax.figure.savefig(drawn, dpi=200, bbox_inches="tight")
    plotting.show(ax)
    stored = Image.open(io.BytesIO(png(displayed[0])))
    assert len(stored.getcolors()) <= 40
    right = np.asarray(Image.open(drawn).convert("RGB"), int)
    assert np.abs(np.asarray(stored.convert("RGB"), int) - right).max() < 35


def test_png_is_small_white_and_the_same_each_time(tone, displayed):
    for _ in range(2):
        plotting.show(plotting.log_mel(tone, RATE), alt=ALT)
    first, second = map(png, displayed)
    assert first == second and len(first) < 80_000 and b"Software" not in first
    pixels = plt.imread(io.BytesIO(first))
    assert pixels[0, 0] == pytest.approx(1) and 800 < pixels.shape[1] < 1800


# --- players ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("rate", "played"), [(16000, 16000), (8000, 8000), (10000, 11025)])
def test_a_player_plays_the_clip_at_its_loudness(rate, played):
    x = 0.02 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    text = plotting.player(torch.from_numpy(x)[None], rate, 'a "tone" <440>').data
    y, got = decoded(text)
    assert got == played and abs(len(y) - played) <= 2400
    assert rms(y) == pytest.approx(rms(x), rel=0.1)
    assert 'aria-label="a &quot;tone&quot; &lt;440&gt;"' in text
    assert "<figcaption>a &quot;tone&quot; &lt;440&gt;</figcaption><audio controls" in text
    assert len(text) < 20_000


def test_a_rate_above_those_of_mp3_is_resampled(tone):
    assert decoded(plotting.player(np.tile(tone, 6), 96000, "a tone").data)[1] == 48000


def test_a_player_clips_and_says_so(tone):
    text = plotting.player(8 * tone, RATE, "loud").data
    over = int((np.abs(8 * tone) > 1).sum())
    assert f"loud (clipped: {over:,} samples beyond full scale)" in text
    assert rms(decoded(text)[0]) == pytest.approx(rms(np.clip(8 * tone, -1, 1)), rel=0.1)
    assert "clipped" not in plotting.player(4 * tone, RATE, "full scale").data
    with pytest.raises(ValueError, match="label"):
        plotting.player(tone, RATE, " ")


def test_players_are_a_grid(tone):
    text = plotting.players([(tone, "one"), (2 * tone, "two & three")], RATE, columns=2).data
    assert text.count("<audio") == 2 and "50%" in text and "<img" not in text
    assert "two &amp; three" in text


def test_players_with_pictures_share_one_scale(tone):
    loud, quiet = np.ones(800, np.float32), np.full(800, 0.1, np.float32)
    text = plotting.players([(quiet, "quiet"), (loud, "loud")], RATE, images=True).data
    alts = re.findall(r'<img alt="([^"]+)"', text)
    assert ["quiet" in alts[0], "loud" in alts[1]] == [True, True]
    assert plt.get_fignums() == []
    alone = plotting.players([(quiet, "quiet")], RATE, images=True).data
    assert png(alone) != png(text)  # drawn small beside the loud one


@pytest.mark.parametrize("rate, n_mels", [(16_000, 64), (8_000, 40)])
def test_log_mel_is_librosas(rate, n_mels):
    import librosa

    x = np.random.default_rng(0).normal(size=rate).astype(np.float32) * 0.1
    level, _, _ = log_mel_levels(x, rate, 512, 160, n_mels)
    power = librosa.feature.melspectrogram(y=x, sr=rate, n_fft=512, hop_length=160, n_mels=n_mels)
    assert np.abs(level - librosa.power_to_db(power, ref=np.max)).max() < 0.01  # dB
    hz = np.array([50.0, 440.0, 1000.0, 3000.0])
    assert np.allclose(hz_to_mel(hz), librosa.hz_to_mel(hz))
    assert np.allclose(mel_to_hz(hz_to_mel(hz)), hz)


def test_kernels_are_sorted_by_frequency():
    time = np.arange(80) / 8000
    tones = np.array([3000.0, 500.0, 1500.0])
    weights = np.sin(2 * np.pi * tones[:, None] * time) * np.hanning(80)
    left, right = plotting.kernels(weights, 8000)
    first = left.lines[1].get_ydata()  # the lowest row is the lowest tone
    assert np.allclose(first, 0.5 * weights[1] / np.abs(weights[1]).max())
    assert left.get_xlabel() == "Time (ms)"
    assert right.get_xlabel() == "Frequency (Hz)"
    assert right.get_xlim() == (0, 4000)
    gain = right.collections[0].get_array()
    assert np.allclose(gain.argmax(axis=1) * 8000 / 512, sorted(tones), atol=8000 / 512)
    text = said(plotting.kernels(weights, 8000))
    assert "3 kernels of 80 taps, 10 ms" in text
    assert "1 of them below 1000 Hz" in text
    with pytest.raises(ValueError, match=r"shape \(kernel, taps\), got \(3, 1, 80\)"):
        plotting.kernels(weights[:, None], 8000)


def test_some_of_many_kernels_are_drawn_so_large_that_their_shape_is_seen():
    weights = np.random.default_rng(0).normal(size=(32, 80))
    left, right = plotting.kernels(weights, 8000)
    shapes = [line.get_ydata() for line in left.lines if len(line.get_ydata()) == 80]
    assert len(shapes) == 8 and list(left.get_yticks()) == [2, 6, 10, 14, 18, 22, 26, 30]
    assert min(np.ptp(shape) for shape in shapes) > 2  # of 32 rows
    assert len(right.collections[0].get_array()) == 32


def test_letters_that_a_font_has_need_no_word(capsys, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["sans-serif"])
    plotting.use_fonts_for("Zażółć gęślą jaźń, молоко, γάτα")
    assert matplotlib.rcParams["font.family"] == ["sans-serif"]
    assert not capsys.readouterr().out


def test_letters_of_another_font_are_taken_from_it(capsys, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["cmr10"])  # it comes with matplotlib
    plotting.use_fonts_for("молоко")
    assert len(matplotlib.rcParams["font.family"]) == 2
    assert not capsys.readouterr().out


def test_letters_that_no_font_has_are_named_once(capsys, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["sans-serif"])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        plotting.use_fonts_for("a\ue6c3")  # a letter for private use
        fig, ax = plt.subplots()
        ax.set_title("\ue6c3")
        plotting.show(fig, alt="A title that no font can draw.")
    assert not [warning for warning in seen if "Glyph" in str(warning.message)]
    assert "No font of this computer draws \ue6c3" in capsys.readouterr().out


def test_log_mels_stand_side_by_side(tone):
    axes = plotting.log_mels({"first": tone, "second": tone[::-1].copy(), "third": tone}, RATE)
    assert axes.shape == (1, 3)
    assert [ax.get_title() for ax in axes.flat] == ["first", "second", "third"]
    said_of = re.findall(r"(\w+) ([\d.]+) to ([\d.]+)[;.]", said(axes))
    assert [name for name, *_ in said_of] == ["first", "second", "third"]
    assert float(said_of[0][1]) > 0.45 and float(said_of[1][2]) < 0.55  # turned round
    axes = plotting.log_mels({str(i): tone for i in range(5)}, RATE, columns=3)
    assert axes.shape == (2, 3) and not axes[1, 2].axison
    with pytest.raises(ValueError, match="no clips"):
        plotting.log_mels({}, RATE)


def test_players_take_clips_by_label(tone):
    clips = {"a tone": tone, "half of it": tone / 2}
    pairs = [(x, label) for label, x in clips.items()]
    assert plotting.players(clips, RATE).data == plotting.players(pairs, RATE).data
