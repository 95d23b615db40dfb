"""Plots of filters, cosines and memories: what they draw, what they say, what they refuse."""

import re

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from course_utils import plotting
from course_utils.plotting.base import figure_of, taken_notes

RATE = 16_000
SIZE = 512
TIMES = np.arange(SIZE) / RATE
N = np.arange(40)[:, None] + 0.5
COSINES = np.sqrt(2 / 40) * np.cos(np.pi / 40 * N * np.arange(40))


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def said(place):
    return taken_notes(figure_of(place))


def test_a_window_lowers_what_is_far_from_the_tone():
    tone = np.sin(2 * np.pi * 1010 * TIMES)
    axes = plotting.windows(tone, {"cut": np.ones(SIZE), "Hann": np.hanning(SIZE)}, RATE)
    cut, hann = (line.get_ydata() for line in axes[1].lines)
    assert cut.max() == pytest.approx(-1, abs=1.5)
    assert cut[128:].max() > hann[128:].max() + 40
    assert "dB remain with cut" in said(axes)


def test_fourier_adds_up_where_the_frame_swings_along():
    frame = np.hanning(SIZE) * np.sin(2 * np.pi * 500 * TIMES + 1)
    axes = plotting.fourier(torch.from_numpy(frame), RATE, [16, 25])
    words = said(axes)
    right = np.abs(np.fft.rfft(frame))
    assert f"a cosine of 500 Hz: the sum is {right[16]:.1f}" in words
    assert right[16] > 100 > 1 > right[25]
    assert [ax.get_title() for ax in axes[0]] == ["Bin 16: 500 Hz", "Bin 25: 781 Hz"]


def test_each_cosine_changes_its_sign_as_often_as_its_number_says():
    ax = plotting.cosines(COSINES, [0, 1, 3, 12])
    assert said(ax).endswith("0: 0, 1: 1, 3: 3, 12: 12.")
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "3", "12"]


def test_what_is_rebuilt_is_compared_with_the_levels():
    levels = np.linspace(-40, 0, 40)
    ax = plotting.rebuilt(levels, {"all": levels, "mean": np.full(40, levels.mean())})
    words = said(ax)
    assert f": all 0.0 dB, mean {levels.std():.1f} dB." in words


def test_the_cell_is_told_in_words():
    assert "The memory c runs straight through" in said(plotting.lstm_cell())


def test_memories_stand_side_by_side():
    likely = {"no": torch.linspace(0, 1, 51), "on": torch.linspace(1, 0.2, 51)}
    kept = {"first": torch.randn(51, 4), "top": torch.ones(51, 2)}
    clips = {name: (torch.randn(12, 51), kept, likely) for name in ("a", "b")}
    axes = plotting.memories(clips, 0.02)
    assert axes.shape == (4, 2)
    assert len(axes[1, 0].lines) == 4
    words = said(axes)
    assert "a: no leads from 0.56 s on, at the end 100 %." in words
    assert "top 1.0. b: no leads" in words and len(words) < 350


def test_some_numbers_and_the_likeliest_words_are_drawn():
    shares = {"a": 0.1, "b": 0.6, "c": 0.0, "d": 0.3}
    likely = {word: torch.full((9,), share) for word, share in shares.items()}
    clips = {"x": (torch.randn(12, 9), {"top": torch.arange(64.0).expand(9, 64)}, likely)}
    axes = plotting.memories(clips, 0.02)
    assert [line.get_ydata()[0] for line in axes[1, 0].lines] == [0, 13, 26, 39, 52]
    assert [line.get_label() for line in axes[2, 0].lines] == ["b", "d", "a"]


def test_a_transform_stands_beside_what_it_keeps():
    axes = plotting.cepstrum(COSINES, [0, 1], np.zeros(40), {"all": np.ones(40)})
    assert "how often each changes its sign" in said(axes)
    assert axes[1].get_title() == "The loudest frame" and len(axes[1].lines) == 2


@pytest.mark.parametrize(("log", "scale"), [(True, "log"), (False, "linear")])
def test_what_fades(log, scale):
    ax = plotting.fading([5, 80], {"plain": [0.1, 0.0]}, ylabel="Left", log=log)
    assert ax.get_yscale() == scale
    assert "plain: 0.1 after 5 frames, 0 after 80." in said(ax)


def test_a_threshold_trades_one_share_for_the_other():
    ax = plotting.trade_off(torch.tensor([0.99, 0.8, 0.0]), torch.tensor([0.95, 0.2]), 0.9)
    assert "33% of the commands are named rightly and 50% of other sounds are refused" in said(ax)
    named, refused = (line.get_ydata() for line in ax.lines[:2])
    assert (np.diff(named) <= 0).all()
    assert (np.diff(refused) >= 0).all()


def test_predictions_stand_beside_what_came_out(capsys):
    ax = plotting.predictions({"quiet": 0.5, "noise": None}, {"quiet": 0.97, "noise": 0.3})
    assert capsys.readouterr().out.splitlines() == [
        "quiet: you said 50%, it is 97.0%",
        "noise: you said nothing, it is 30.0%",
    ]
    assert said(ax).startswith("quiet: predicted 50%, measured 97%.")


@pytest.mark.parametrize(
    ("guess", "message"), [({"quiet": 97}, "a share, such as 0.8, not 97"), ({"loud": 0.5}, "loud")]
)
def test_a_prediction_that_cannot_be_is_named(guess, message):
    with pytest.raises(ValueError, match=message):
        plotting.predictions(guess, {"quiet": 0.97})


def test_losses_are_means_of_steps_and_have_a_guess():
    ax = plotting.losses({"one": np.linspace(4, 0, 41)}, mean_of=10, guess=3.5)
    assert ax.lines[0].get_ydata()[[0, -1]] == pytest.approx([3.55, 0.45])
    assert said(ax) == "one: the loss goes from 3.55 to 0.450."
    assert ax.lines[1].get_label() == "a guess"
    assert ax.get_ylabel() == "Loss, mean of 10 steps"


def test_aliasing_has_one_axis_of_frequency():
    tone = 0.3 * torch.sin(2 * np.pi * 1000 * torch.arange(8000) / RATE)[None]
    axes = plotting.aliasing({"whole": (tone, RATE), "half": (tone[:, ::2], RATE // 2)})
    assert [ax.get_ylim()[1] for ax in axes] == [8000, 8000]
    assert "half: 1000 Hz at first, highest 1000 Hz" in said(axes)


def test_a_tone_that_rises_evenly_is_a_line_that_turns_round_where_samples_are_dropped():
    time = torch.arange(2 * RATE) / RATE
    sweep = 0.5 * torch.sin(2 * np.pi * (500 * time + 1750 * time**2))[None]  # up to 7500 Hz
    axes = plotting.aliasing({"whole": (sweep, RATE), "half": (sweep[:, ::2], RATE // 2)})
    pattern = r"(\d+) Hz at first, highest (\d+) Hz at ([\d.]+) s, (\d+)"
    whole, half = re.findall(pattern, said(axes))
    assert float(half[2]) == 1.0 and abs(int(half[1]) - 4000) <= 62 and int(half[3]) < 700
    assert whole[1] == whole[3] and int(whole[1]) > 7300
    mesh = axes[0].collections[0]
    tops = np.asarray(mesh.get_array()).argmax(axis=0)
    assert np.polyfit(np.arange(len(tops)), tops, 2)[0] == pytest.approx(0, abs=1e-3)  # straight
    assert axes[0].get_yscale() == "linear"
    assert axes[0].figure.axes[-1].get_ylabel() == "Level (dB re peak)"


def test_a_filter_says_what_it_passes():
    weights = 0.5 * np.sinc(np.arange(-32, 33) / 2) * np.hamming(65)
    axes = plotting.filter_response(weights, RATE)
    words = said(axes)
    assert axes[0].lines[0].get_linestyle() == "None"  # nothing between two weights
    assert len(axes[0].collections[0].get_segments()) == 65
    passes, stops = map(int, re.findall(r"\d{4}", words))
    assert 3500 < passes < 4000 < stops < 4600


def test_matches_are_where_the_kernel_fits():
    output = np.zeros(185)
    output[[30, 120]] = 2, 3
    axes = plotting.matches(np.zeros(200), output)
    assert "largest at samples 30 and 120, where" in said(axes)
    dotted = [line.get_xdata()[0] for line in axes[0].lines if line.get_linestyle() == ":"]
    assert dotted == [30, 120]
    assert [(p.get_x(), p.get_width()) for p in axes[0].patches] == [(30, 15), (120, 15)]
    labels = [text.get_text() for text in axes[0].get_legend().get_texts()]
    assert labels == ["the kernel starts", "its 16 weights"]


def test_an_occlusion_says_where_it_hurts_most():
    clip = torch.full((1, 8000), 0.1)
    axes = plotting.occlusions([("yes", clip, [0.1, 0.2, 0.3], [0.9, 0.25, 0.8])], 8000)
    assert axes.shape == (2, 1)
    assert said(axes) == "yes: 0.25 at the lowest, cover at 0.20 s."
