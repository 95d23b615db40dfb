"""Multiply-accumulates against layers that were worked by hand."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from course_utils import costs, plotting, results, settings
from course_utils.instructor import prices
from course_utils.plotting.base import taken_notes
from course_utils.tests.test_results import GOOD

#: Layer, input, and the count as it is worked by hand.
BY_HAND = {
    "linear, on frames": (nn.Linear(4, 3), torch.zeros(2, 5, 4), 2 * 5 * 3 * 4),
    "one channel, 80 taps": (nn.Conv1d(1, 32, 80, 16), torch.zeros(1, 1, 8000), 496 * 32 * 80),
    "with padding": (nn.Conv1d(3, 6, 5, padding=2), torch.zeros(1, 3, 10), 10 * 6 * 3 * 5),
    "depthwise": (nn.Conv1d(6, 6, 5, groups=6), torch.zeros(1, 6, 10), 6 * 6 * 5),
    "image": (nn.Conv2d(2, 4, (3, 5), stride=2), torch.zeros(1, 2, 9, 11), 4 * 4 * 4 * 2 * 15),
    # Each of 4 gates of 5 has 3 weights for the input and 5 for what was shown before.
    "lstm": (nn.LSTM(3, 5, batch_first=True), torch.zeros(1, 7, 3), 7 * 4 * 5 * (3 + 5)),
    "lstm, two layers": (
        nn.LSTM(3, 5, 2, batch_first=True), torch.zeros(2, 7, 3),
        2 * 7 * 4 * 5 * ((3 + 5) + (5 + 5)),
    ),
    "gru, both directions, two layers": (
        nn.GRU(3, 5, 2, bidirectional=True, batch_first=True), torch.zeros(1, 7, 3),
        7 * 2 * 3 * 5 * ((3 + 5) + (10 + 5)),
    ),
    "batch norm and ReLU": (
        nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), nn.MaxPool1d(2)), torch.zeros(1, 3, 8), 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BY_HAND)
def test_the_count_is_that_by_hand(name):
    layer, x, wanted = BY_HAND[name]
    assert costs.operations(layer, x) == wanted


def test_where_torch_counts_it_counts_the_same():
    network = nn.Sequential(
        nn.Conv1d(1, 8, 9, 4), nn.ReLU(), nn.Conv1d(8, 8, 3, groups=2), nn.Flatten(),
        nn.Linear(8 * 22, 5),
    )
    x = torch.zeros(1, 1, 103)
    with FlopCounterMode(display=False) as counter:
        network(x)
    assert costs.operations(network, x) == counter.get_total_flops() / 2
    with FlopCounterMode(display=False) as counter:
        nn.LSTM(3, 5)(torch.zeros(7, 1, 3))
    assert counter.get_total_flops() == 0  # the reason for a counter of our own


def test_packed_clips_count_their_own_frames():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(3, 5, batch_first=True)

        def forward(self, x, lengths):
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
            return self.rnn(x)[0].data

    found = costs.operations(Packed(), torch.zeros(2, 7, 3), torch.tensor([7, 4]))
    assert found == 11 * 3 * 5 * (3 + 5)


def test_a_layer_that_is_not_known_is_no_zero():
    with pytest.raises(ValueError, match="Bilinear"):
        costs.operations(Twice(), torch.zeros(1, 3))


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.both = nn.Bilinear(3, 3, 2)

    def forward(self, x):
        return self.both(x, x)


def test_a_cost_leaves_the_network_as_it_was():
    network = nn.Sequential(nn.Linear(100, 50), nn.Dropout(0.5), nn.Linear(50, 2)).train()
    threads = torch.get_num_threads()
    cost = costs.of(network, torch.zeros(1, 100), calls=20, seconds=0.5)
    assert network.training and torch.get_num_threads() == threads
    assert not any(layer._forward_hooks for layer in network.modules())
    assert (cost.parameters, cost.operations, cost.weights) == (5152, 5100, 4 * 5152)
    assert cost.activations == 4 * 150
    assert 0 < cost.milliseconds <= cost.slow
    assert cost.real_time_factor == pytest.approx(cost.milliseconds / 500)


def priced(system, parameters, accuracy):
    return SimpleNamespace(system=system, parameters=parameters, accuracy=accuracy)


def test_the_plot_says_each_model_and_leaves_out_what_has_no_number():
    own = [priced("big", 2_000_000, 10.0), priced("small", 20_000, 90.0), priced("ctc", 5, None)]
    others = [priced("paper", 9_000, 97.0), priced("secret", None, 98.0)]
    ax = plotting.accuracy_against_cost(own, others)
    text = taken_notes(ax.figure)
    text = " ".join(text) if not isinstance(text, str) else text
    assert "small 20,000, 90.0 %; big 2,000,000, 10.0 %" in text
    assert "published: paper 9,000, 97.0 %." in text
    assert "ctc" not in text and "secret" not in text
    points = [tuple(xy) for each in ax.collections for xy in each.get_offsets()]
    assert points == [(20_000, 10), (2_000_000, 90), (9_000, 3)]


def test_a_model_is_priced_with_the_best_that_it_reached_on_recorded_speech(tmp_path, monkeypatch):
    folder = tmp_path / "labsolutions" / "measurements"
    folder.mkdir(parents=True)
    monkeypatch.setattr(settings, "CHECKOUT", tmp_path)
    scores = [("real", "", 0.6), ("real", "augmented", 0.8), ("embedded", "augmented", 0.99)]
    records = [
        GOOD | {
            "stage": 3, "model": "LSTM", "task": "ten commands", "variant": variant,
            "tested_on": corpus, "trained_on": corpus, "value": value,
        }
        for corpus, variant, value in scores
    ]  # fmt: skip
    cost = costs.of(nn.Linear(3, 2), torch.zeros(1, 3), calls=3)
    lines = [
        {"stage": stage, "model": model} | asdict(cost)
        for stage, model in ((3, "LSTM"), (4, "CTC"))
    ]
    content = {"date": "2026-01-01", "records": records, "costs": lines}
    (folder / "2026-01-01.json").write_text(json.dumps(content), encoding="utf-8")
    lstm, ctc = results.costs()
    assert (lstm.system, lstm.parameters, lstm.operations, lstm.accuracy) == ("LSTM", 8, 6, 80.0)
    assert ctc.accuracy is None


def test_every_model_of_the_stages_has_a_price():
    found = [(stage, name) for stage, name, *_ in prices.models(settings.CHECKOUT / "labsolutions")]
    assert {stage for stage, _ in found} == {1, 2, 3, 4} and len(found) >= 6
