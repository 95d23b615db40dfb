"""Features, filters, letters and probabilities: axes in seconds and Hz, and words from the data."""

import matplotlib
import numpy as np
import pytest
import torch
import torchaudio

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from course_utils import plotting
from course_utils.plotting.base import figure_of, taken_notes
from course_utils.plotting.letters import best_path

RATE = 16000
SYMBOLS = ["-", " ", "a", "b", "c", "d"]


@pytest.fixture(autouse=True)
def close():
    plt.close("all")
    yield
    plt.close("all")


def posteriors(path, sure=0.9):
    """log probabilities (frame, symbol) in which `path`, a str, wins with probability `sure`."""
    probabilities = np.full((len(path), len(SYMBOLS)), (1 - sure) / (len(SYMBOLS) - 1))
    for frame, symbol in enumerate(path):
        probabilities[frame, SYMBOLS.index(symbol)] = sure
    return np.log(probabilities)


def said(drawn) -> str:
    """What a plot has noted in words on its figure."""
    return taken_notes(figure_of(drawn))


def labels(axis):
    return [tick.get_text() for tick in axis.get_ticklabels()]


# --- features ---------------------------------------------------------------------------------


def test_a_frame_of_features_is_centred_at_its_time():
    values = torch.arange(12.0).reshape(3, 4).requires_grad_()  # (feature, frame)
    ax = plotting.features(values, 0.02, ylabel="MFCC", title="yes")
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("Time (s)", "MFCC", "yes")
    (mesh,) = ax.collections
    np.testing.assert_array_equal(mesh.get_array(), values.detach().numpy())
    corners = mesh.get_coordinates()
    np.testing.assert_allclose(corners[0, :, 0], [-0.01, 0.01, 0.03, 0.05, 0.07])
    np.testing.assert_allclose(corners[:, 0, 1], [-0.5, 0.5, 1.5, 2.5])
    assert len(ax.figure.axes) == 2


def test_features_on_given_axes_with_limits_and_a_named_scale_or_none():
    _, ax = plt.subplots()
    assert plotting.features(np.zeros((2, 3)), 0.01, ax, colorbar=False, vmin=-3, vmax=3) is ax
    assert len(ax.figure.axes) == 1
    assert ax.collections[0].get_clim() == (-3, 3)
    named = plotting.features(np.zeros((2, 3)), 0.01, colorbar="Level (dB)")
    assert named.figure.axes[1].get_ylabel() == "Level (dB)"


def test_zero_is_in_the_middle_of_the_colours_of_what_has_a_sign():
    signed = np.array([[-1.0, 0.0, 4.0]])
    for ax in (plotting.features(signed, 0.01), plotting.features(signed, 0.01, vmin=-3, vmax=3)):
        mesh = ax.collections[0]
        low, high = mesh.get_clim()
        assert low == -high
        middle = mesh.cmap(mesh.norm(0.0))[:3]
        assert min(middle) > 0.95  # white
        assert mesh.cmap(mesh.norm(-1.0))[2] > mesh.cmap(mesh.norm(-1.0))[0]  # blue
        assert mesh.cmap(mesh.norm(1.0))[0] > mesh.cmap(mesh.norm(1.0))[2]  # red
    assert plotting.features(-np.abs(signed), 0.01).collections[0].cmap.name == "magma"
    assert plotting.features(signed, 0.01).figure.axes[1].get_ylabel() == "Value"


def test_what_is_hidden_has_no_colour_of_a_value():
    versions = np.full((1, 4, 8), 1.5)
    versions[0, 1, :6] = 0
    versions[0, :, 3] = 0
    versions[0, :, 6:] = 0  # padding
    [ax] = plotting.hidden_parts(versions, 6, 0.01)
    mesh, band = ax.collections
    shades = [tuple(band.get_facecolor()[0]), *(p.get_facecolor() for p in ax.patches)]
    assert len(shades) == 3 and band.get_hatch() == ax.patches[0].get_hatch() == "////"
    for red, green, blue, _ in shades:
        assert red == green == blue < 0.95  # grey; the scale has colours, and white at zero
    assert shades[0] == shades[1] != shades[2]
    scale = mesh.cmap(np.linspace(0, 1, 256))
    for shade in shades:
        assert np.abs(scale - shade).max(axis=1).min() > 0.04
    labels = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert labels == ["hidden", "padding"]
    assert ax.get_title() == "Version 1"
    assert ax.figure.axes[-1].get_ylabel() == "Standard deviations"


def test_features_in_words_follow_the_data():
    values = np.zeros((13, 50))
    values[4, 30] = 7
    values[2] = -1
    text = said(plotting.features(values, 0.01, ylabel="MFCC", name="yes"))
    assert "yes: 13 by 50 frames, one every 10 ms" in text
    assert "values -1 to 7, largest at 0.30 s in mfcc 4; mfcc 4 varies most, 0 least." in text
    assert "varies" not in said(plotting.features(np.ones((2, 3)), 0.01, name="silence"))


@pytest.mark.parametrize(
    ("values", "hop", "message"),
    [
        (np.zeros(5), 0.01, r"\(feature, frame\), neither empty, got shape \(5,\)"),
        (np.zeros((1, 5, 5)), 0.01, "got shape"),
        (np.zeros((0, 5)), 0.01, "neither empty"),
        (np.full((2, 2), np.nan), 0.01, "4 of 4 values are NaN"),
        (np.array([[0.0, -np.inf]]), 0.01, "1 of 2 values are infinite: a logarithm of 0"),
        (np.zeros((2, 2)), 0, "hop_seconds must be a positive"),
        (np.zeros((2, 2)), "10 ms", "hop_seconds must be a positive"),
        (np.zeros((2, 2)), 160, "is it in samples"),
    ],
)
def test_bad_features_are_named(values, hop, message):
    with pytest.raises(ValueError, match=message):
        plotting.features(values, hop)


# --- filters ----------------------------------------------------------------------------------


def test_filterbank_draws_each_band_against_hz_and_says_where_they_are():
    bank = torchaudio.functional.melscale_fbanks(257, 0, RATE / 2, 40, RATE)  # (bin, band)
    ax = plotting.filterbank(bank, RATE)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Frequency (Hz)", "Weight")
    assert ax.get_xlim() == (0, 8000)
    assert len(ax.lines) == 40
    assert ax.lines[0].get_color() != ax.lines[1].get_color()
    assert ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()
    np.testing.assert_allclose(ax.lines[20].get_ydata(), bank[:, 20])
    np.testing.assert_allclose(ax.lines[20].get_xdata()[:2], [0, 31.25])
    text = said(plotting.filterbank(bank, RATE))
    assert "40 bands over 257 frequency bins, 0 to 8000 Hz, 31.25 Hz apart" in text
    assert "Narrowest: band 0" in text
    assert f"widest: band 39 around 7469 Hz, {int((bank[:, 39] > 0).sum())} bins" in text
    assert "Empty" not in text


def test_filterbank_says_how_many_bands_are_empty():
    bank = np.zeros((5, 3))
    bank[1, 1] = 1
    text = said(plotting.filterbank(bank, 8000))
    assert "Narrowest: band 1 around 1000 Hz, 1 bin; widest: band 1" in text
    assert "no bin falls into them: 2 bands." in text
    assert said(plotting.filterbank(np.zeros((5, 3)), 8000)).endswith("3 bands.")
    plotting.filterbank(bank, 8000)


@pytest.mark.parametrize(
    ("bank", "rate", "message"),
    [
        (np.zeros(5), RATE, r"\(bins, bands\)"),
        (np.zeros((1, 5)), RATE, "at least 2 bins"),
        (np.array([[1.0], [-1.0]]), RATE, "not negative"),
        (np.array([[1.0], [np.inf]]), RATE, "finite"),
        (np.ones((5, 2)), 0, "sample_rate"),
    ],
)
def test_a_bad_filterbank_is_named(bank, rate, message):
    with pytest.raises(ValueError, match=message):
        plotting.filterbank(bank, rate)


# --- letters ----------------------------------------------------------------------------------

CLIP = torch.full((1, RATE), 0.5)
SPANS = [("b", 0.5, 0.9, 0.4), ("a", 0.1, 0.2, 0.95), (" ", 0.2, 0.5, 1)]


def test_alignment_puts_each_letter_over_its_time():
    ax = plotting.alignment(CLIP, RATE, SPANS)
    assert ax.get_xlabel() == "Time (s)"
    assert ax.get_xlim() == pytest.approx((0, 1))
    texts = [(text.get_text(), text.get_position()[0]) for text in ax.texts]
    places = {"a": 0.15, "95": 0.15, "␣": 0.35, "100": 0.35, "b": 0.7, "40": 0.7}
    assert dict(texts) == pytest.approx(places)
    words = [text.get_text() for text in ax.texts if text.get_style() == "italic"]
    assert words == ["a", "b"]
    red = [patch.get_facecolor()[0] for patch in ax.patches]  # in the order of time
    assert red[2] > red[0] > red[1]
    assert max(ax.lines[0].get_ydata()) < 0.7 * ax.get_ylim()[1]  # the letters have room
    assert ax.figure.axes[1].get_ylabel() == "Certainty"


def test_alignment_of_many_letters_leaves_out_the_scores():
    spans = [("x", i / 50, (i + 1) / 50, 0.5) for i in range(50)]
    ax = plotting.alignment(CLIP, RATE, spans)
    assert [text.get_text() for text in ax.texts] == [*50 * "x", 50 * "x"]  # letters, and a word
    assert "x 0.00" not in said(ax)


def test_alignment_in_words():
    assert said(plotting.alignment(CLIP, RATE, SPANS, name="a b")).endswith(
        "Alignment of a b: 3 letters, 0.10 to 0.90 s of 1.00 s. "
        "a 0.10 to 0.20, space 0.20 to 0.50, b 0.50 to 0.90. Longest: b; least sure: b, 40 %."
    )


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([], "no spans"),
        ([("a", 0.1, 0.2)], r"\(label, start, end, score\), got \('a', 0.1, 0.2\)"),
        ([("a", 5, 20, 0.5)], "from 5 to 20 s, but the clip lasts 1 s: are they in seconds"),
        ([("a", 0.3, 0.2, 0.5)], "from 0.3 to 0.2 s"),
        ([("a", 0.1, 0.2, -0.7)], "score of 'a' is -0.7: a probability"),
        ([("a", 0.1, 0.2, float("nan"))], "score"),
    ],
)
def test_bad_spans_are_named(spans, message):
    with pytest.raises(ValueError, match=message):
        plotting.alignment(CLIP, RATE, spans)


def test_best_path_merges_repeats_but_not_across_a_blank():
    read = best_path(posteriors("--bb-ba-"))
    assert [SYMBOLS[token] for token in read] == ["b", "b", "a"]
    assert best_path(posteriors("--")) == []
    assert best_path(posteriors("aab-"), blank=2) == [3, 0]


def test_posteriors_show_the_blank_and_what_comes_in_the_order_of_time():
    log_probs = torch.from_numpy(posteriors("-cc-a-", sure=0.9))  # 0.02 for each other symbol
    ax = plotting.posteriors(log_probs, SYMBOLS, 0.04)
    assert labels(ax.yaxis) == ["blank", "c", "a"]
    mesh = ax.collections[0]
    np.testing.assert_allclose(mesh.get_array()[1], [0.02, 0.9, 0.9, 0.02, 0.02, 0.02])
    assert mesh.get_clim() == (0, 1)
    np.testing.assert_allclose(mesh.get_coordinates()[0, :2, 0], [-0.02, 0.02])
    assert ax.get_xlabel() == "Time (s)"
    other = plotting.posteriors(posteriors("a a"), SYMBOLS, 0.04, blank=2)
    assert labels(other.yaxis) == ["blank", "␣"]


def test_posteriors_may_hold_a_probability_of_zero():
    log_probs = torch.eye(6)[[0, 2, 0]].log()  # 0 and -inf
    assert labels(plotting.posteriors(log_probs, SYMBOLS, 0.02).yaxis) == ["blank", "a"]


def test_posteriors_in_words():
    text = said(plotting.posteriors(posteriors("-cc--a d"), SYMBOLS, 0.02, name="a clip"))
    assert "6 symbols for a clip: 8 frames, one every 20 ms" in text
    assert "The blank is the most probable in 38 % of them" in text
    assert "Best path: 'ca d'." in text
    long = said(plotting.posteriors(posteriors("ab" * 100), SYMBOLS, 0.02, name="x"))
    assert len(long) < 350 and long.endswith("a…'.")


@pytest.mark.parametrize(
    ("log_probs", "symbols", "hop", "blank", "message"),
    [
        (posteriors("-a-"), SYMBOLS[:5], 0.02, 0, r"\(3, 6\).* but there are 5 symbols"),
        (posteriors("-a-")[None], SYMBOLS, 0.02, 0, r"\(frame, symbol\)"),
        (posteriors("-a-") + 1, SYMBOLS, 0.02, 0, r"frame \d sum to 2.72, not 1: log_probs"),
        (np.full((2, 6), 1000.0), SYMBOLS, 0.02, 0, "not 1"),
        (np.full((2, 6), np.nan), SYMBOLS, 0.02, 0, "12 of 12 values are NaN"),
        (posteriors("-a-"), SYMBOLS, -1, 0, "hop_seconds"),
        (posteriors("-a-"), SYMBOLS, 0.02, 6, "blank is 6"),
    ],
)
def test_bad_posteriors_are_named(log_probs, symbols, hop, blank, message):
    with pytest.raises(ValueError, match=message):
        plotting.posteriors(log_probs, symbols, hop, blank=blank)


def test_power_is_drawn_in_decibels():
    power = torch.full((4, 5), 0.001)  # (frame, bin)
    power[2, 3] = 1
    ax = plotting.power(power, 0.02, RATE, name="yes")
    assert ax.get_ylabel() == "Bin, 2000 Hz each" and ax.get_title() == "Power of yes"
    assert ax.collections[0].get_array().max() == 0
    assert "values -30 to 0, largest at 0.04 s in bin 3" in said(ax)
    with pytest.raises(ValueError, match="not negative"):
        plotting.power(-power, 0.02, RATE)
