"""Checks of the worked functions of stage 3, and what all checks of that stage keep to."""

import re

import pytest
import torch
import torch.nn.functional as F

from course_utils.checks import stage3 as checks
from course_utils.checks.core import CheckFailed


def cause_of(check, *answers):
    """What a failed check calls the likely cause."""
    with pytest.raises(CheckFailed) as error:
        check(*answers)
    first = str(error.value).splitlines()[0]
    return re.fullmatch(r"expected .+, got .+; likely cause: (.+)", first).group(1)


def accepted(capsys, check, *answers):
    """Whether a check prints one line, and leaves torch's random state as it was."""
    before = torch.get_rng_state()
    check(*answers)
    printed = capsys.readouterr()
    assert re.fullmatch(r"Passed: .+\n", printed.out)
    assert printed.err == ""
    return torch.equal(before, torch.get_rng_state())


# --- shift, pad, gain ---------------------------------------------------------------------------


def shift(waveforms, samples):
    time = waveforms.shape[2]
    source = torch.arange(time) - samples[:, None, None]
    inside = (source >= 0) & (source < time)
    return waveforms.gather(2, source.clamp(0, time - 1)) * inside


def shift_in_a_loop(waveforms, samples):
    result = torch.zeros_like(waveforms)
    for row, by in enumerate(samples.tolist()):
        if by > 0:
            result[row, :, by:] = waveforms[row, :, :-by]
        elif by < 0:
            result[row, :, :by] = waveforms[row, :, -by:]
        else:
            result[row] = waveforms[row]
    return result


@pytest.mark.parametrize("check", [checks.shift, checks.pad])
@pytest.mark.parametrize("answer", [shift, shift_in_a_loop])
def test_moved_clips_are_accepted(check, answer, capsys):
    assert accepted(capsys, check, answer)


def test_a_shift_may_be_negative_and_a_pad_may_not(capsys):
    def later_only(waveforms, samples):
        return shift(waveforms, samples.clamp(min=0))

    assert "sample t of the result" in cause_of(checks.shift, later_only)
    assert accepted(capsys, checks.pad, later_only)


def gain(waveforms, factors):
    return (waveforms * factors[:, None, None]).clamp(-1, 1)


def test_gain_is_accepted(capsys):
    assert accepted(capsys, checks.gain, gain)
    assert accepted(capsys, checks.gain, lambda w, f: F.hardtanh(torch.einsum("bct,b->bct", w, f)))


# --- augmentation -------------------------------------------------------------------------------


def augment(waveforms, generator):
    samples = torch.randint(-1000, 1000, (len(waveforms),), generator=generator)
    factors = 0.5 + torch.rand(len(waveforms), generator=generator)
    return gain(shift(waveforms, samples), factors)


def louder(waveforms, generator):
    return waveforms * (0.5 + torch.rand(len(waveforms), 1, 1, generator=generator))


def half_of_the_clips(waveforms, generator):
    chosen = torch.rand(len(waveforms), 1, 1, generator=generator) < 0.5
    return torch.where(chosen, louder(waveforms, generator), waveforms)


@pytest.mark.parametrize("answer", [augment, louder, half_of_the_clips])
def test_augmentations_are_accepted(answer, capsys):
    assert accepted(capsys, checks.augmentation, answer)


# --- accumulation -------------------------------------------------------------------------------


def accumulate(model, optimiser, x, y, parts):
    optimiser.zero_grad()
    for part_x, part_y in zip(x.chunk(parts), y.chunk(parts), strict=True):
        loss = F.cross_entropy(model(part_x), part_y) * len(part_y) / len(y)
        loss.backward()
    optimiser.step()


def accumulate_sums(model, optimiser, x, y, parts):
    for parameter in model.parameters():
        parameter.grad = None
    for rows in torch.arange(len(x)).chunk(parts):
        (F.cross_entropy(model(x[rows]), y[rows], reduction="sum") / len(x)).backward()
    optimiser.step()
    return len(x)


@pytest.mark.parametrize("answer", [accumulate, accumulate_sums])
def test_accumulations_are_accepted(answer, capsys):
    assert accepted(capsys, checks.accumulation, answer)


def test_fewer_parts_than_asked_for():
    def by_their_number(model, optimiser, x, y, parts):
        pieces = list(zip(x.chunk(parts), y.chunk(parts), strict=True))
        optimiser.zero_grad()
        for part_x, part_y in pieces:
            weight = 1 / parts if parts == 7 else len(part_x) / len(x)  # 7 are five in fact
            (F.cross_entropy(model(part_x), part_y) * weight).backward()
        optimiser.step()

    assert "torch.chunk may make fewer parts" in cause_of(checks.accumulation, by_their_number)


# --- what all of them keep to -------------------------------------------------------------------


def test_the_filters_that_the_check_works_out_are_those_of_torchaudio():
    from torchaudio.functional import melscale_fbanks

    from course_utils.checks.stage3.cepstrum import _triangles

    for bands, bins, rate in ((40, 257, 16_000), (20, 201, 8000)):
        ours = _triangles(bands, bins, rate)
        torch.testing.assert_close(
            ours.float(), melscale_fbanks(bins, 0.0, rate / 2, bands, rate), atol=1e-4, rtol=0
        )


def test_the_matrix_that_the_check_works_out_is_that_of_torchaudio():
    from torchaudio.functional import create_dct

    from course_utils.checks.stage3.cepstrum import _cosines

    torch.testing.assert_close(_cosines(12, 40).float(), create_dct(12, 40, norm="ortho"))


class SpeechLSTM(torch.nn.Module):
    def __init__(self, classes, features=12, hidden=64, layers=3):
        super().__init__()
        self.lstm = torch.nn.LSTM(features, hidden, layers, batch_first=True)
        self.output = torch.nn.Linear(hidden, classes)

    def forward(self, x, lengths=None):
        states = self.lstm(x.transpose(1, 2))[0]
        if lengths is None:
            return self.output(states.mean(dim=1))
        valid = (torch.arange(states.shape[1]) < lengths[:, None])[..., None]
        return self.output((states * valid).sum(dim=1) / lengths[:, None])


def test_a_check_neither_needs_nor_moves_the_random_state(capsys):
    for seed in (0, 1, 2):  # initial weights come from torch's state: none may be rejected
        torch.manual_seed(seed)
        assert accepted(capsys, checks.speech_lstm, SpeechLSTM)


@pytest.mark.parametrize(
    "check",
    [
        checks.frame,
        checks.power_spectrum,
        checks.mel_filterbank,
        checks.decibels,
        checks.dct_matrix,
        checks.change_speed,
        checks.add_noise,
        checks.lstm_cell,
        checks.shift,
        checks.pad,
        checks.gain,
    ],
)
@pytest.mark.parametrize(
    "answer, told",
    [
        (lambda *given: given[0], ""),
        (lambda *given: torch.zeros(0), ""),
        (lambda *given: torch.full((4, 4), torch.nan), ""),
        (lambda *given: "words", "str"),
        (lambda *given: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_nonsense_is_rejected_in_words(check, answer, told):
    with pytest.raises(CheckFailed, match=f"expected .*, got .*{told}.*; likely cause: "):
        check(answer)
