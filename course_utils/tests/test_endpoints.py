"""Where somebody speaks: known stretches of sound in known noise."""

import numpy as np
import pytest
import torch

from course_utils import audio
from course_utils.endpoints import speech, word

RATE = 16_000


def sound(seconds, *stretches, noise=1e-3, seed=0):
    """float32 (1, time): noise, and a tone of 0.5 from second to second of each stretch."""
    x = noise * torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(seed))
    for start, end, *level in stretches:
        place = slice(round(start * RATE), round(end * RATE))
        x[0, place] += (level or [0.5])[0] * torch.sin(torch.arange(place.stop - place.start) / 5)
    return x


def test_stretches_are_found_to_the_frame():
    assert speech(sound(3, (0.4, 0.8), (1.5, 2.2)), RATE) == pytest.approx(
        np.array([(0.4, 0.8), (1.5, 2.2)]), abs=0.011
    )


def test_a_pause_inside_a_word_does_not_end_it_and_a_click_is_none():
    [found] = speech(sound(2, (0.5, 0.7), (0.82, 1.1), (1.6, 1.62)), RATE)
    assert found == pytest.approx((0.5, 1.1), abs=0.011)


@pytest.mark.parametrize(
    "x", [torch.zeros(1, RATE), sound(2), torch.zeros(1, 20), torch.zeros(1, 0)]
)
def test_where_nobody_speaks_nothing_is_found(x):
    assert speech(x, RATE) == []
    assert torch.equal(word(x, RATE, RATE), audio.fit(audio.loudest(x, RATE), RATE))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("noise", [1e-5, 3e-3, 3e-2])
def test_the_word_stands_in_the_middle(seed, noise):
    start = 0.3 + 0.1 * seed
    x = sound(2.5, (start, start + 0.5), noise=noise, seed=seed)
    first = round((start + 0.25 - 0.5) * RATE)
    expected = x[:, max(0, first) :][:, :RATE]
    cut = word(x, RATE, RATE)
    assert cut.shape == (1, RATE)
    [offset] = [s for s in range(-400, 401) if _same(x, cut, max(0, first) + s)]
    assert abs(offset) <= 240  # 15 ms; the loudest second may begin anywhere around the word
    assert expected.abs().max() == cut.abs().max()


def _same(x, cut, start):
    return start >= 0 and torch.equal(x[:, start : start + cut.shape[1]], cut)


def test_of_two_words_the_one_with_more_energy_is_taken():
    cut = word(sound(4, (0.5, 0.9, 0.2), (2.5, 2.9, 0.5)), RATE, RATE)
    assert speech(cut, RATE) == pytest.approx(np.array([(0.3, 0.7)]), abs=0.02)


def test_what_is_longer_than_the_cut_is_cut_inside():
    cut = word(sound(4, (0.5, 3.5)), RATE, RATE)
    assert cut.abs().amax() > 0.4
    assert (cut[0].view(-1, 160).abs().amax(dim=1) > 0.4).all()


def test_a_short_recording_is_filled_up_as_before():
    x = sound(0.6, (0.2, 0.4))
    assert torch.equal(word(x, RATE, RATE), audio.fit(x, RATE))


def test_a_word_in_noise_is_cut_off_less_often_than_by_the_loudest_second():
    # Measured so with real words, 241 clips that last at most 0.8 s within 20 dB of their peak, in
    # 2.5 s of recorded noise at 10 dB: whole in 96 % of the cuts, and in 85 % of the loudest
    # seconds; the ready network names 82 and 75 %. At 20 dB 97 and 96 %, both named 84 %.
    generator = torch.Generator().manual_seed(0)
    whole = {"word": 0, "loudest": 0}
    for seed in range(100):
        start = 0.1 + 1.7 * float(torch.rand(1, generator=generator))
        x = sound(2.5, (start, start + 0.2, 0.4), (start + 0.2, start + 0.5, 0.02), seed=seed)
        x += 0.1 * torch.randn(x.shape, generator=generator)
        inside = x[0, round(start * RATE) : round((start + 0.5) * RATE)]
        for name, cut in (("word", word(x, RATE, RATE)), ("loudest", audio.loudest(x, RATE))):
            windows = cut[0].unfold(0, len(inside), 1)
            whole[name] += bool((windows[:, ::500] == inside[::500]).all(dim=1).any())
    assert whole["word"] >= 95, whole  # measured: 100
    assert whole["loudest"] < 90, whole  # measured: 73
