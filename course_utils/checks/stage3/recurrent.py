"""Checks of a recurrent network: one step of an LSTM, and a classifier."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from course_utils.checks.core import (
    CheckFailed,
    are_logits,
    by_hand,
    call,
    compare,
    fail,
    generator,
    holds,
    own_random,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)

# 3.8 - The cell of an LSTM


def lstm_cell(answer: Callable) -> None:
    """Equal to torch's own cell.

    ``answer(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh) -> (h, c)`` of the next step
    """
    random = generator(3)
    for batch, inputs, hidden in ((3, 5, 4), (1, 2, 6)):
        sizes = [
            (batch, inputs),
            (batch, hidden),
            (batch, hidden),
            (4 * hidden, inputs),
            (4 * hidden, hidden),
            (4 * hidden,),
            (4 * hidden,),
        ]
        given = [torch.randn(size, generator=random) for size in sizes]
        before = [value.clone() for value in given]
        places = ("torch.lstm_cell", "torch._VF.lstm_cell", "torch._VF.lstm")
        with by_hand("arithmetic of your own", "LSTM", places):
            result = call(answer, *given)
        for value, after in zip(before, given, strict=True):
            unchanged(value, after, "states and weights")
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(h, c)", type(result).__name__, "return two tensors")
        # The oracle: torch's own cell.
        x, h, c, *weights = before
        expected = torch.lstm_cell(x, (h, c), *weights)
        for got, other in zip(result, reversed(expected), strict=True):
            known = {(batch, 4 * hidden): "four gates of `hidden` rows each: chunk(4, dim=1)"}
            shape_of(got, (batch, hidden), known, "h and c keep their shape (batch, hidden)")
            if torch.allclose(got, other, atol=1e-5):
                fail("(h, c)", "(c, h)", "the order of the two results")
        for which in (1, 0):  # h is made of c: c first
            compare(
                result[which],
                expected[which],
                partial(_half, which, *before),
                ("h = o * tanh(c), with the new c", "c = f * c + i * g")[which],
                1e-5,
                ("an h", "a c")[which],
            )
    passed("equal to torch's LSTM cell, h and c, for two sizes")


def _half(which: int, *given: Tensor) -> dict[str, Tensor]:
    return {cause: both[which] for cause, both in _cell_mistakes(*given).items()}


def _cell_mistakes(
    x: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """Causes, and the h and c to which they lead."""
    sigmoid, tanh = torch.sigmoid, torch.tanh
    from_x, from_h = x @ w_ih.T, h @ w_hh.T
    rows = from_x + b_ih + from_h + b_hh

    def step(
        rows: Tensor = rows,
        order: tuple = (0, 1, 2, 3),
        gate: Callable = sigmoid,
        candidate: Callable = tanh,
        squash: Callable = tanh,
        old: Tensor = c,
    ) -> tuple[Tensor, Tensor]:
        parts = rows.chunk(4, dim=1)
        i, f, g, o = (parts[place] for place in order)
        new = gate(f) * old + gate(i) * candidate(g)
        return gate(o) * squash(new), new

    def same(value: Tensor) -> Tensor:
        return value

    i, f, g, o = rows.chunk(4, dim=1)
    new = step()[1]
    mixed = rows.reshape(len(x), -1, 4).transpose(1, 2).flatten(1)
    known = {
        "the candidate g has tanh, not sigmoid": step(candidate=sigmoid),
        "the candidate g goes through tanh": step(candidate=same),
        "the gates i, f, o have sigmoid, not tanh": step(gate=tanh),
        "the gates i, f, o go through sigmoid": step(gate=same),
        "h = o * tanh(c): the tanh is missing": step(squash=same),
        "h = o * tanh(c), not sigmoid(c)": step(squash=sigmoid),
        "h is made of the new c, not of the old one": (sigmoid(o) * tanh(c), new),
        "bias_hh is missing": step(rows - b_hh),
        "bias_ih is missing": step(rows - b_ih),
        "both biases are missing": step(rows - b_ih - b_hh),
        "h and weight_hh are missing": step(rows - from_h),
        "x and weight_ih are missing": step(rows - from_x),
        "the old c counts, times the forget gate": step(old=torch.zeros_like(c)),
        "the forget gate is missing: f * c": (
            sigmoid(o) * tanh(c + sigmoid(i) * tanh(g)),
            c + sigmoid(i) * tanh(g),
        ),
        "the input gate is missing: i * g": (
            sigmoid(o) * tanh(sigmoid(f) * c + tanh(g)),
            sigmoid(f) * c + tanh(g),
        ),
        "the old part has the forget gate, not 1 - i": (
            sigmoid(o) * tanh((1 - sigmoid(i)) * c + sigmoid(i) * tanh(g)),
            (1 - sigmoid(i)) * c + sigmoid(i) * tanh(g),
        ),
        "each gate has `hidden` rows one after the other: chunk, not every fourth": step(mixed),
    }
    for order in itertools.permutations(range(4)):
        if order != (0, 1, 2, 3):
            known[f"the rows are input, forget, candidate, output: not {_named(order)}"] = step(
                order=order
            )
    return known


def _named(order: tuple) -> str:
    names = ("input", "forget", "candidate", "output")
    places = sorted(range(4), key=lambda gate: order[gate])
    return ", ".join(names[gate] for gate in places)


# 3.9 - The model, for clips of unequal length


@own_random
def speech_lstm(model_class: Callable) -> None:
    """Parameters in closed form; a clip alone and in a padded batch give the same logits.

    ``model_class(classes, features=12, hidden=64, layers=3)``; ``model(x, lengths=None)``
    """
    small = {"features": 7, "hidden": 6, "layers": 2}
    for classes, named in ((10, {}), (11, {}), (35, {}), (5, small)):
        model = call(model_class, classes, **named)
        cause = "self.{name} = nn.{kind}(...): transfer finds it by its name"
        holds(model, {"lstm": nn.LSTM, "output": nn.Linear}, cause)
        got = sum(parameter.numel() for parameter in model.parameters())
        expected = _numbers(classes, **named)
        if got != expected:
            cause = (
                "nn.LSTM(features, hidden, layers, batch_first=True), nn.Linear(hidden, classes)"
            )
            cause = _count_causes(classes, named).get(got, cause)
            fail(f"{expected:,} parameters for {classes} classes", f"{got:,}", cause)
    _layers_compute(model)
    model = call(model_class, 10).eval()
    with torch.no_grad():
        same_shape(call(model, torch.zeros(2, 12, 51)), (2, 10), "a row of logits for a clip")
    passed("87,178 parameters for 10 words; a clip alone and in a padded batch are the same")


def _numbers(
    classes: int,
    features: int = 12,
    hidden: int = 64,
    layers: int = 3,
    *,
    gates: int = 4,
    ways: int = 1,
    biases: int = 2,
    classifier: int | None = None,
) -> int:
    """Parameters of the network, in closed form."""
    inputs = [features] + [ways * hidden] * (layers - 1)
    lstm = sum(ways * gates * hidden * (width + hidden + biases) for width in inputs)
    return lstm + (ways * hidden + 1) * classes if classifier is None else lstm + classifier


def _count_causes(classes: int, named: dict[str, int]) -> dict[int, str]:
    """Numbers of parameters, and what leads to them."""
    hidden = named.get("hidden", 64)
    layers = named.get("layers", 3)
    used = "is an argument: use it"
    return {
        _numbers(10, **named): f"the number of classes {used}",
        _numbers(classes, **(named | {"features": 12})): f"the number of features {used}",
        _numbers(classes, **(named | {"hidden": 64})): f"the size of the hidden state {used}",
        _numbers(classes, **(named | {"layers": 3})): f"the number of layers {used}",
        _numbers(classes): "features, hidden and layers are arguments: use them",
        _numbers(classes, **named, gates=3): "this is a GRU",
        _numbers(classes, **named, gates=1): "this is a plain recurrent network",
        _numbers(classes, **named, ways=2): "the LSTM runs in one direction only",
        _numbers(classes, **named, biases=0): "the LSTM has biases",
        _numbers(classes, **named, classifier=hidden * classes): "the linear layer has a bias",
        **{
            _numbers(
                classes, **(named | {"layers": other})
            ): f"there are {layers} layers, not {other}"
            for other in (1, 2, 4)
            if other != layers
        },
        **{
            _numbers(classes, **named, classifier=(hidden + 1) * classes + 2 * width): cause
            for width, cause in (
                (hidden, "no batch or layer normalisation"),
                (named.get("features", 12), "no normalisation of the features"),
            )
        },
    }


def _layers_compute(model: nn.Module) -> None:
    """Fail unless a small network gives the logits that its weights lead to."""
    random = generator(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.6 * torch.randn(parameter.shape, generator=random))
    model.eval()
    cases = (
        ("without lengths", 9, 4, None),
        ("of full length", 9, 4, [9, 9, 9, 9]),
        ("of different lengths", 9, 5, [4, 9, 1, 6, 4]),
        ("that are all padded", 9, 3, [3, 7, 2]),
        ("alone", 6, 1, [4]),
    )
    for kind, frames, batch, counts in cases:
        clips = torch.randn(batch, 7, frames, generator=random)
        lengths = None if counts is None else torch.tensor(counts)
        for row, count in enumerate(counts or []):  # rubbish, and not only zeros, behind a clip
            clips[row, :, count:] *= 20
        given = clips.clone(), None if lengths is None else lengths.clone()
        try:
            got = call(model, *given)
        except CheckFailed as error:
            if kind != "that are all padded" or not isinstance(error.__cause__, Exception):
                raise
            cause = (
                "no clip fills all frames of this batch, and pad_packed_sequence ends with the "
                "longest clip: take the number of frames from what it returns"
            )
            raised = f"{type(error.__cause__).__name__}: {error.__cause__}"
            fail(f"logits for clips {kind}", textwrap.shorten(raised, 120), cause)
        unchanged(clips, given[0], "features")
        if lengths is not None:
            unchanged(lengths, given[1], "lengths")
        known = {
            (frames, 5): "a clip's first axis is the batch: nn.LSTM(..., batch_first=True)",
            (batch, frames, 5): "the mean over the frames, then the linear layer",
            (batch, 6): "the linear layer comes last: self.output(...)",
        }
        shape_of(got, (batch, 5), known, "a row of logits for each clip: (batch, classes)")
        same_dtype(got, torch.float32, "stay in float32")
        if not got.requires_grad:
            cause = "no torch.no_grad(), .detach() or .data in forward"
            fail("logits that training can follow back", "logits without a gradient", cause)
        got_gradient = torch.autograd.grad(
            got.square().sum(), model.lstm.weight_hh_l0, allow_unused=True
        )[0]
        got = got.detach()
        are_logits(got, "the loss applies log-softmax, not the model")
        with torch.no_grad():
            compare(
                got,
                _logits(model, clips, counts),
                partial(_logit_mistakes, model, clips, counts),
                "the mean of the last layer's outputs over the frames of each clip, then linear",
                1e-4,
                f"a logit of clips {kind}",
            )
        if got_gradient is None:
            cause = "no torch.no_grad(), .detach() or .data in forward"
            fail("a gradient in the LSTM", "none", cause)


def _run(model: nn.Module, clips: Tensor) -> list[Tensor]:
    """Outputs of every layer, step by step with torch's cell: each (batch, frame, hidden)."""
    lstm, x, layers = model.lstm, clips, []
    for layer in range(lstm.num_layers):
        weights = [
            getattr(lstm, f"{name}_l{layer}")
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        h = c = torch.zeros(len(x), lstm.hidden_size)
        steps = []
        for t in range(x.shape[1]):
            h, c = torch.lstm_cell(x[:, t], (h, c), *weights)
            steps.append(h)
        x = torch.stack(steps, dim=1)
        layers.append(x)
    return layers


def _logits(model: nn.Module, clips: Tensor, counts: list[int] | None) -> Tensor:
    """The oracle: each clip alone, without its padding."""
    counts = counts or [clips.shape[2]] * len(clips)
    means = [
        _run(model, clip[None, :, :count].transpose(1, 2))[-1][0].mean(dim=0)
        for clip, count in zip(clips, counts, strict=True)
    ]
    return torch.stack(means) @ model.output.weight.T + model.output.bias


def _logit_mistakes(model: nn.Module, clips: Tensor, counts: list[int] | None) -> dict[str, Tensor]:
    """Causes, and the logits to which they lead."""
    frames = clips.shape[2]
    lengths = torch.tensor(counts or [frames] * len(clips))
    valid = (torch.arange(frames) < lengths[:, None])[..., None]  # (batch, frame, 1)

    def linear(states: Tensor) -> Tensor:
        return states @ model.output.weight.T + model.output.bias

    layers = _run(model, clips.transpose(1, 2))
    top = layers[-1]
    last = top[torch.arange(len(clips)), lengths - 1]
    total = (top * valid).sum(dim=1)
    per_clip = lengths[:, None]
    logits = linear(total / per_clip)
    turned = _run(model, clips.reshape(len(clips), frames, -1))[-1]
    no_first = _run(model, clips.permute(2, 0, 1))[-1].permute(1, 0, 2)
    order = lengths.argsort(descending=True)
    known = {
        "the mean over the frames, not the last frame": linear(last),
        "the last layer's outputs, not those of the first": linear(
            (layers[0] * valid).sum(dim=1) / per_clip
        ),
        "swap the axes with transpose(1, 2): a reshape mixes frames and features": linear(
            (turned * valid).sum(dim=1) / per_clip
        ),
        "nn.LSTM takes (frame, batch, feature) unless it has batch_first=True": linear(
            (no_first * valid).sum(dim=1) / per_clip
        ),
        "the mean over the frames, not the sum": linear(total),
        "the mean over the frames, not the maximum": linear(
            top.masked_fill(~valid, -math.inf).amax(dim=1)
        ),
        "the biases of the linear layer count once: mean first, or divide all": linear(total)
        / per_clip,
        "no activation behind the linear layer": logits.clamp(min=0),
        "no tanh behind the linear layer": logits.tanh(),
        "no activation between mean and linear layer": linear((total / per_clip).clamp(min=0)),
    }
    if counts is not None and min(counts) < frames:
        longest = int(lengths.max())
        padded = {
            "the mean leaves out the frames behind a clip's end": linear(top.mean(dim=1)),
            "the last frame of the batch is padding: the mean over the valid frames": linear(
                top[:, -1]
            ),
            "divide by the frames of each clip, not by those of the batch": linear(total / frames),
            "divide by the frames of each clip, not by those of the longest": linear(
                total / longest
            ),
            "the clips come back in another order: undo the sorting by length": logits[order],
            "a clip of n frames has the frames 0 to n - 1, not one more": linear(
                _up_to(top, lengths + 1)
            ),
            "a clip of n frames has the frames 0 to n - 1, not one fewer": linear(
                _up_to(top, lengths - 1)
            ),
            "the maximum of padded frames": linear(top.amax(dim=1)),
        }
        known = padded | known
    return known


def _up_to(states: Tensor, lengths: Tensor) -> Tensor:
    """The mean over the first frames of each clip."""
    valid = (torch.arange(states.shape[1]) < lengths[:, None])[..., None]
    return (states * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
