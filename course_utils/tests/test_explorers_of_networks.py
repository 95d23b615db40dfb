"""Explorers of kernels, of robustness and of CTC, without a browser."""

import itertools
import re

import numpy as np
import pytest
import torch

from course_utils import interactive, plotting
from course_utils.tests.test_explorers import PROBABILITIES, STEPS, SYMBOLS, VIEW, alts, pages, tone

__all__ = ["pages"]  # a fixture
RATE = 16000


def picture(explorer):
    return re.search(r'src="data:image/png;base64,([^"]+)"', explorer.page)[1]


@pytest.fixture
def sounds(monkeypatch):
    """What is played: for each page the clips and their labels."""
    played, players = [], plotting.players
    monkeypatch.setattr(
        plotting, "players", lambda clips, *more: played.append(clips) or players(clips, *more)
    )
    return played


def hears(word):
    """A model that hears its word if the clip is loud, and another otherwise."""
    def predict(clip):
        share = 0.75 if clip.abs().max() > 0.3 else 0.25
        return {word: torch.tensor(share), "hum": 1 - share}

    return predict


# --- kernels ----------------------------------------------------------------------------------

TAPS = torch.arange(80) / RATE
KERNELS = torch.stack([torch.sin(2 * torch.pi * hz * TAPS) for hz in (4000, 375, 1500)])


def test_kernel_explorer_sorts_by_frequency_and_filters_the_clip(pages, sounds):
    low, high = tone(1, hertz=400), tone(1, hertz=4000)
    explorer = interactive.KernelExplorer(KERNELS, [low + high], ["both"], RATE)
    assert "Kernel 1, place 1 of 3 from low to high: it answers most at 375 Hz" in explorer.words
    first = picture(explorer)
    explorer.kernel.value = 3
    assert "Kernel 0, place 3 of 3 from low to high: it answers most at 4000 Hz" in explorer.words
    assert picture(explorer) != first
    (before, _), (after, label) = sounds[-1]
    assert label == "both through kernel 0"
    torch.testing.assert_close(before, low + high)
    spectrum = np.abs(np.fft.rfft(after[0]))
    assert spectrum.argmax() == 4000
    assert spectrum[4000] > 10 * spectrum[400]
    # As loud as the clip.
    assert after.square().mean() == pytest.approx(float(before.square().mean()), rel=0.02)
    wave, response, both = explorer._figure.axes
    np.testing.assert_allclose(wave.lines[0].get_ydata(), KERNELS[0], atol=1e-6)
    assert response.get_xlabel() == "Frequency (Hz)" and response.get_xlim() == (0, 8000)
    assert len(both.lines) == 2 and len(response.lines) == 1
    assert len(pages) == 3 and len(pages[-1]) == 2


def test_kernel_explorer_is_a_cross_correlation_in_step_with_the_clip():
    kernel = torch.zeros(1, 5)
    kernel[0, 3] = 1.0  # one sample after the middle: the next sample is seen now
    clip = torch.zeros(1, 100)
    clip[0, 50] = 0.5
    explorer = interactive.KernelExplorer(kernel, [clip], ["click"], RATE)
    torch.testing.assert_close(
        explorer._filtered(clip, kernel[0].numpy()),
        torch.nn.functional.conv1d(clip[None], kernel[None], padding=2)[0],
    )


def test_kernel_explorer_asks_the_model_for_what_is_played():
    explorer = interactive.KernelExplorer(KERNELS, [tone()], ["yes"], RATE, hears("yes"))
    said = "The network is asked for the filtered clip. Most probable: yes 75 %, hum 25 %."
    assert said in explorer.words
    assert "yes (true)" in {text.get_text() for text in explorer._figure.axes[-1].texts}


def test_kernel_explorer_copes_with_zeros_and_with_a_clip_shorter_than_the_kernel():
    explorer = interactive.KernelExplorer(torch.zeros(1, 80), [tone(0.001)], ["a"], RATE)
    assert "Kernel 0 is zero: it answers to nothing." in explorer.words
    assert explorer.kernel.max == explorer.kernel.min == 1


@pytest.mark.parametrize(
    ("kernels", "clips", "message"),
    [
        (torch.ones(32, 1, 80), [tone()], r"shape \(kernel, taps\), neither 0, got \(32, 1, 80\)"),
        (torch.ones(0, 80), [tone()], "neither 0"),
        (KERNELS, [], "there are 0 clips and 0 labels"),
    ],
)
def test_bad_kernels_are_named(kernels, clips, message):
    with pytest.raises(ValueError, match=message):
        interactive.KernelExplorer(kernels, clips, ["a"] * len(clips), RATE)


# --- robustness -------------------------------------------------------------------------------

GAIN = {"Gain": (lambda x, factor: x * factor, 0, 2, 0.1, 1, "")}


def test_robustness_explorer_shows_what_each_network_hears(pages, sounds):
    models = {"CNN": hears("yes"), "MLP": lambda clip: {"no": 0.9, "yes": 0.1}}
    explorer = interactive.RobustnessExplorer([tone()], ["yes"], GAIN, models)
    assert explorer.words.startswith(
        "yes, unchanged. CNN: yes 75 %, right. MLP: no 90 %, wrong (yes 10 %)."
    )
    first = picture(explorer)
    explorer.sliders["Gain"].value = 0.5
    assert explorer.words.startswith("yes, Gain 0.5. CNN: hum 75 %, wrong (yes 25 %). MLP: no 90 %")
    assert picture(explorer) != first
    top, cnn, mlp = explorer._figure.axes
    assert abs(top.lines[0].get_ydata()).max() == pytest.approx(0.25, rel=1e-3)
    assert (cnn.get_title(), mlp.get_title()) == ("CNN", "MLP")
    assert [bar.get_width() for bar in mlp.patches] == pytest.approx([10, 90])
    (before, _), (after, label) = sounds[-1]
    torch.testing.assert_close(after, 0.5 * before)
    assert label == "yes, Gain 0.5, what the networks hear"
    _style, controls, page = pages
    assert VIEW in controls[0]
    assert page[-1]["text/html"].count("<audio") == 2
    assert "CNN: hum 75 %" in alts(page[-1]["text/html"])[0]


def test_robustness_explorer_takes_one_network_and_words_that_it_does_not_know():
    explorer = interactive.RobustnessExplorer([tone()], ["odd"], {}, {"CNN": hears("yes")})
    assert "CNN: yes 75 %, wrong (odd 0 %)." in explorer.words
    assert len(explorer._figure.axes) == 2


def test_many_networks_stand_in_rows():
    networks = {f"network {number}": hears("yes") for number in range(7)}
    explorer = interactive.RobustnessExplorer([tone()], ["yes"], {}, networks)
    _top, *below = explorer._figure.axes
    places = [ax.get_position() for ax in below]
    assert [len({place.x0 for place in places}), len({place.y0 for place in places})] == [5, 2]
    titles = [ax.title.get_window_extent() for ax in below[:5]]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(titles))


@pytest.mark.parametrize(
    ("models", "message"),
    [({}, "there is no model to ask"), ({"CNN": 3}, "model 'CNN' must be a function of a clip")],
)
def test_bad_networks_are_named(models, message):
    with pytest.raises(ValueError, match=message):
        interactive.RobustnessExplorer([tone()], ["yes"], GAIN, models)


@pytest.mark.parametrize(
    ("heard", "message"),
    [
        ({"yes": float("nan"), "no": float("nan")}, "the probability of 'yes' is nan, not 0 to 1"),
        ({"yes": 0.5, "no": 12.0}, "the probability of 'no' is 12, not 0 to 1"),
        (torch.tensor([0.9, 0.1]), r"expected a dict .* got tensor\("),
        ({}, "expected a dict with the probability of each word, got {}"),
    ],
)
def test_a_network_that_gives_no_probabilities_is_named(heard, message):
    networks = {"CNN": hears("yes"), "MLP": lambda clip: heard}
    with pytest.raises(ValueError, match=f"^MLP: {message}"):
        interactive.RobustnessExplorer([tone()], ["yes"], GAIN, networks)
    with pytest.raises(ValueError, match=f"^the network: {message}"):
        interactive.ShiftExplorer([tone()], ["yes"], networks["MLP"])


def test_a_word_is_drawn_as_it_is_written():
    word = r"$\frac{$"  # as mathematics it is an error
    heard = {word: 0.9, "$x$": 0.1}
    explorer = interactive.RobustnessExplorer([tone()], [word], GAIN, {word: lambda clip: heard})
    assert explorer.words.startswith(f"{word}, unchanged. {word}: {word} 90 %, right.")


def test_a_word_that_the_network_does_not_know_has_no_place():
    explorer = interactive.ShiftExplorer([tone()], ["odd"], hears("yes"))
    assert explorer.words.endswith(f"The true word is none of {len(hears('yes')(tone()))}.")


def test_an_error_of_a_network_is_said_and_goes_away():
    def predict(clip):
        return {"yes": 1.0} if clip.abs().max() > 0.1 else {}[0]

    explorer = interactive.RobustnessExplorer([tone()], ["yes"], GAIN, {"CNN": predict})
    explorer.sliders["Gain"].value = 0
    assert explorer.words.startswith("That did not work. KeyError: 0 (line")
    explorer.sliders["Gain"].value = 1
    assert "yes, unchanged. CNN: yes 100 %, right." in explorer.words


# --- CTC --------------------------------------------------------------------------------------


def ctc():
    return interactive.CTCExplorer(
        PROBABILITIES.log(), SYMBOLS, 0.04, tone(0.16), RATE, said="ab"
    )


def test_ctc_explorer_follows_the_frames(pages):
    explorer = ctc()
    assert explorer.frame.value == 2
    assert explorer.words.startswith(
        "Frame 2 (0.08 s): blank is the most probable. Collapsed so far: 'a'. Said: 'ab'."
    )
    assert ">aa·</code>" in explorer.page
    explorer.frame.value = 3
    assert "Frame 3 (0.12 s): b is the most probable. Collapsed so far: 'ab'." in explorer.words
    left, right = explorer._figure.axes
    assert [bar.get_width() for bar in right.patches] == pytest.approx([70, 10, 10, 10])
    assert [text.get_text() for text in left.texts] == ["a", "b"]  # a run of a letter once
    assert [text.get_position()[0] for text in left.texts] == pytest.approx([0.02, 0.12])
    assert [line.get_xdata()[0] for line in left.lines[1:]] == pytest.approx([0.10, 0.14])
    _style, controls, page, player = pages
    assert VIEW in controls[0]
    assert len(page) == 2
    # The player is an output of its own: it is not drawn again while it plays.
    assert len(player) == 1
    assert f'aria-label="{explorer.cursor.label}"' in player[0]["text/html"]
    assert "<audio" not in page[-1]["text/html"]


def test_ctc_explorer_begins_with_nothing():
    explorer = ctc()
    explorer.frame.value = 0
    assert "Collapsed so far: 'a'" in explorer.words
    silent = torch.tensor([[0.97, 0.01, 0.01, 0.01]] * 3).log()
    explorer = interactive.CTCExplorer(silent, SYMBOLS, 0.04, tone(0.12))
    assert "Collapsed so far: nothing yet." in explorer.words
    assert "Said" not in explorer.words


@pytest.mark.parametrize("make", [
    ctc, lambda: interactive.BeamExplorer(PROBABILITIES.log(), SYMBOLS, 0.04, STEPS),
], ids=["ctc", "beam"])  # fmt: skip
def test_what_was_drawn_leaves_no_trace(make):
    explorer = make()
    pictures, start = [picture(explorer)], explorer.frame.value
    for frame in (1, start):
        explorer.frame.value = frame
        pictures.append(picture(explorer))
    assert pictures[0] == pictures[2] != pictures[1]
    for ax in explorer._figure.axes[:2]:  # a heading that is moved out of sight is none
        box = ax.title.get_window_extent()
        assert 0 < box.y0 < box.y1 < explorer._figure.bbox.height


def test_the_player_moves_the_picture_and_the_slider_moves_the_player():
    explorer = ctc()
    explorer.cursor.seconds = 0.13
    assert explorer.frame.value == 3
    assert explorer.cursor.seconds == 0.13  # what plays is not pulled back
    explorer.cursor.seconds = 9.0  # the MP3 lasts longer than the frames
    assert explorer.frame.value == 3
    explorer.frame.value = 1
    assert explorer.cursor.seconds == pytest.approx(0.04)


def test_a_beam_with_a_clip_has_a_player(pages):
    explorer = interactive.BeamExplorer(PROBABILITIES.log(), SYMBOLS, 0.04, STEPS, clip=tone(0.16))
    assert len(pages) == 4
    explorer.cursor.seconds = 0.0
    explorer.cursor.seconds = 0.04
    assert "After frame 1 (0.04 s)" in explorer.words


@pytest.mark.parametrize(
    ("frames", "clip", "message"),
    [
        (PROBABILITIES[:0].log(), tone(), "neither empty"),
        (PROBABILITIES, tone(), "log_softmax"),
        (PROBABILITIES.log(), torch.zeros(1, 0), "the clip is empty"),
    ],
)
def test_bad_frames_and_clips_are_named(frames, clip, message):
    with pytest.raises(ValueError, match=message):
        interactive.CTCExplorer(frames, SYMBOLS, 0.04, clip)


def test_one_frame_is_enough():
    explorer = interactive.CTCExplorer(PROBABILITIES[:1].log(), SYMBOLS, 0.04, tone(0.04))
    assert explorer.frame.max == 0
    assert "Frame 0 (0.00 s): a is the most probable." in explorer.words
