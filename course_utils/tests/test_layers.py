"""A recurrent layer by index is the packed one: answers, gradients, and time that is linear."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from course_utils.layers import BothWays


def both(cell, layers=1, **options):
    """A layer of torch's and the same by index."""
    torch.manual_seed(layers)
    rnn = cell(6, 5, layers, batch_first=True, bidirectional=True, **options)
    return rnn, BothWays(rnn)


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("lengths", [[9], [1], [4, 4, 4], [2, 11, 1, 11, 7], [5, 9]])
def test_it_gives_what_the_packed_layer_gives_and_the_same_gradients(cell, layers, lengths):
    found = []
    lengths = torch.tensor(lengths)
    x = torch.randn(len(lengths), int(lengths.max()), 6)
    weights = torch.randn(len(lengths), x.shape[1], 10)
    rnn, by_index = both(cell, layers)
    for one in (rnn, by_index):
        given = x.clone().requires_grad_()
        packed = pack_padded_sequence(given, lengths, True, enforce_sorted=False)
        y, counts = pad_packed_sequence(one(packed)[0], True)
        assert torch.equal(counts, lengths)
        (y * weights).sum().backward()
        found.append((y, given.grad))
    for mine, theirs in zip(*found[::-1], strict=True):
        assert (mine - theirs).abs().max() < 1e-6 * max(1, theirs.abs().max())
    torch.testing.assert_close(_gradients(by_index), _packed_gradients(rnn), atol=1e-5, rtol=1e-5)


def _gradients(by_index):
    return [
        parameter.grad
        for pair in zip(by_index.ahead, by_index.back, strict=True)
        for one in pair
        for parameter in one.parameters()
    ]


def _packed_gradients(rnn):
    return [parameter.grad for parameter in rnn.parameters()]  # layer by layer, ahead, then back


@pytest.mark.parametrize("options", [{"bias": False}, {"dropout": 0.5}])
def test_options_of_the_layer_are_kept_and_dropout_lies_between_layers(options):
    rnn, by_index = both(nn.LSTM, 2, **options)
    x = torch.randn(3, 8, 6)
    torch.testing.assert_close(by_index.eval()(x)[0], rnn.eval()(x)[0], atol=1e-6, rtol=0)
    by_index.train()
    assert torch.equal(by_index(x)[0], by_index(x)[0]) == ("dropout" not in options)


def test_an_empty_place_behind_a_clip_changes_nothing_in_it():
    _, by_index = both(nn.GRU)
    x = torch.randn(2, 9, 6)
    packed = pack_padded_sequence(x, torch.tensor([4, 9]), True, enforce_sorted=False)
    together, _ = pad_packed_sequence(by_index(packed)[0], True)
    torch.testing.assert_close(together[:1, :4], by_index(x[:1, :4])[0], atol=1e-6, rtol=0)
    assert not together[0, 4:].any()


@pytest.mark.parametrize("batch_first", [False, True])
def test_it_is_called_as_the_layer_was_and_keeps_the_order_of_the_axes(batch_first):
    torch.manual_seed(0)
    rnn = nn.GRU(6, 5, bidirectional=True, batch_first=batch_first)
    by_index = BothWays(rnn)
    for x in (torch.randn(4, 7, 6), torch.randn(9, 6)):
        torch.testing.assert_close(by_index(x)[0], rnn(x)[0], atol=1e-6, rtol=0)


def test_another_cell_takes_its_place_with_the_same_size_and_its_own_seed():
    rnn = nn.GRU(6, 5, 2, batch_first=True, bidirectional=True, dropout=0.25)
    torch.manual_seed(3)
    exchanged = BothWays(rnn, nn.LSTM)
    torch.manual_seed(3)
    own = nn.LSTM(6, 5, 2, batch_first=True, bidirectional=True)
    x = torch.randn(3, 8, 6)
    torch.testing.assert_close(exchanged.eval()(x)[0], own.eval()(x)[0], atol=1e-6, rtol=0)
    assert exchanged.dropout.p == 0.25


@pytest.mark.parametrize("options", [{"bidirectional": False}, {"proj_size": 2}])
def test_what_cannot_run_both_ways_is_refused(options):
    with pytest.raises(ValueError, match="bidirectional=True, and no proj_size"):
        BothWays(nn.LSTM(3, 4, **({"bidirectional": True} | options)))


def _allocated(rnn, frames):
    """Bytes that a step forward and back asks for: what time follows, and the same each run."""
    x = torch.randn(4, frames, 6, requires_grad=True)
    packed = pack_padded_sequence(x, frames - torch.arange(4), True)
    with torch.autograd.profiler.profile(profile_memory=True, use_kineto=False) as profile:
        rnn(packed)[0].data.sum().backward()
    return sum(max(0, event.self_cpu_memory_usage) for event in profile.key_averages())


@pytest.mark.parametrize("cell", [nn.GRU, nn.LSTM])
def test_twice_the_frames_take_twice_the_memory_where_a_packed_layer_takes_more(cell):
    rnn, by_index = both(cell)
    assert _allocated(by_index, 240) < 2.3 * _allocated(by_index, 120)
    assert _allocated(rnn, 240) > 3 * _allocated(rnn, 120)  # if not, torch has mended it
