"""Checks of a recurrent network: one step of an LSTM, a classifier, transfer, large batches."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    attempt,
    by_hand,
    call,
    close,
    compare,
    fail,
    generator,
    own_random,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)

# ---------------------------------------------------------------- one step


def lstm_cell(answer: Callable) -> None:
    """``answer(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh) -> (h, c)`` of the next step."""
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


# ---------------------------------------------------------------- the classifier


@own_random
def speech_lstm(model_class: Callable) -> None:
    """``model_class(classes, features=12, hidden=64, layers=3)``; ``model(x, lengths=None)``."""
    small = {"features": 7, "hidden": 6, "layers": 2}
    for classes, named in ((10, {}), (11, {}), (35, {}), (5, small)):
        model = call(model_class, classes, **named)
        for name, kind in (("lstm", nn.LSTM), ("output", nn.Linear)):
            if not isinstance(getattr(model, name, None), kind):
                got = type(getattr(model, name, None)).__name__
                cause = f"self.{name} = nn.{kind.__name__}(...): transfer finds it by its name"
                fail(f"an nn.{kind.__name__} in the attribute {name}", got, cause)
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
        total = torch.ones(batch)
        for scale, values in (("probabilities", got), ("log-probabilities", got.exp())):
            if torch.allclose(values.sum(dim=1), total, atol=1e-4):
                fail("logits", scale, "the loss applies log-softmax, not the model")
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


# ---------------------------------------------------------------- transfer


def _small_model() -> nn.Module:
    """A network whose names and shapes set traps."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.full((1,), 0.5))
            self.body = nn.ModuleDict(
                {"first": nn.Linear(6, 5), "norm": nn.BatchNorm1d(5), "output": nn.Linear(5, 5)}
            )
            self.output = nn.Linear(5, 3)

        def forward(self, x):
            for layer in self.body.values():
                x = layer(x).tanh()
            return self.output(self.scale * x)

    return Small()


@own_random
def transfer(load_matching: Callable, freeze_all_but: Callable) -> None:
    """``load_matching(model, weights) -> names``, ``freeze_all_but(model, prefix) -> list``."""
    _loads(load_matching)
    for prefix in ("output", "body.norm", "output.bias", ""):
        _freezes(freeze_all_but, prefix)
    passed("what fits is copied, what is frozen stays as it is to the last bit")


def _loads(answer: Callable) -> None:
    random = generator(6)

    def numbers(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return torch.full_like(tensor, 7)
        return torch.randn(tensor.shape, generator=random) + 3

    model = _small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = {name: numbers(value) for name, value in reversed(list(before.items()))}
    weights["output.weight"] = numbers(torch.empty(8, 5))  # another number of classes
    weights["output.bias"] = numbers(torch.empty(8))
    weights["body.first.weight"] = numbers(torch.empty(5, 6).T)  # as many numbers, turned round
    weights["body.norm.bias"] = numbers(torch.empty(1))  # could be spread over all five
    weights["decoder.weight"] = numbers(torch.empty(2, 2))
    del weights["body.output.bias"]
    kept = {name: value.clone() for name, value in weights.items()}
    names = list(weights)
    left = [name for name in before if name not in kept or kept[name].shape != before[name].shape]
    parameters = {name: id(value) for name, value in model.named_parameters()}
    try:
        got = call(answer, model, weights)
    except CheckFailed as error:
        if "loading state_dict" not in str(error.__cause__):
            raise
        cause = (
            "load_state_dict refuses other shapes, with strict=False, too: first leave out "
            "what does not match"
        )
        fail("what matches to be loaded", f"{type(error.__cause__).__name__}", cause)
    if list(weights) != names or not all(torch.equal(kept[n], weights[n]) for n in names):
        fail("weights as they were", "changed ones", "copy from the dictionary: take nothing out")
    if isinstance(got, str | bytes) or not isinstance(got, list | tuple):
        fail("a list of names", type(got).__name__, "collect the names that were left, in a list")
    loaded = [name for name in before if name not in left]
    after = model.state_dict()
    for name, value in before.items():
        cause = None
        if name in loaded and not torch.equal(after[name], kept[name]):
            cause = "copy every tensor of the same name and shape: tensor.copy_(weights[name])"
            if name not in dict(model.named_parameters()):
                cause = "running averages are tensors of the model, too: go through state_dict()"
            elif torch.equal(after[name], value):
                cause = "a new dictionary does not change the model: load_state_dict or copy_"
            expected = f"{name} from the weights"
        elif name in left and not torch.equal(after[name], value):
            cause = "compare tensor.shape: as many numbers is not enough, nor that they can spread"
            expected = f"{name} as it was"
        if cause:
            fail(expected, "other numbers", cause)
    if list(got) != left:
        cause = "the names of the model's tensors that were left, in the order of state_dict()"
        if list(got) == loaded:
            cause = "the names of what was left, not of what was loaded"
        elif set(got) == set(left):
            cause = "the order of model.state_dict(): go through it, not through weights or a set"
        elif set(got) - set(before):
            cause = "names of the model only: what is in weights alone is ignored"
        elif set(got) < set(left):
            cause = "left are names that weights lacks, and names with another shape"
        fail(left, list(got), cause)
    cause = "an optimiser holds the tensors that are there: copy into them, do not replace them"
    if parameters != {name: id(value) for name, value in model.named_parameters()}:
        fail("the model's own parameters", "new ones", cause)
    if not all(parameter.requires_grad for parameter in model.parameters()):
        fail("parameters that can learn", "frozen ones", "loading freezes nothing")
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    if not all(torch.equal(kept[name], weights[name]) for name in names):
        cause = "the model shares memory with weights: copy the numbers, with copy_ or .clone()"
        fail("weights that training leaves alone", "changed ones", cause)


def _freezes(answer: Callable, prefix: str) -> None:
    model = _small_model()
    x = torch.randn(7, 6, generator=generator(1))
    y = torch.arange(7) % 3
    cross_entropy = F.cross_entropy
    cross_entropy(model(x), y).backward()  # gradients from before must not move anything either
    wanted = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    for name, parameter in model.named_parameters():  # as another stage may have left them
        parameter.requires_grad_(name.startswith("body."))
    got = call(answer, model, prefix)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name not in wanted:
            cause = "parameter.requires_grad_(False) for every other name of named_parameters()"
            if all(p.requires_grad == n.startswith("body.") for n, p in model.named_parameters()):
                cause = (
                    "nothing was changed: parameter.requires_grad_(...) of named_parameters(); "
                    "on tensors of state_dict() it has no effect"
                )
            if prefix in name:
                cause = "the name starts with the prefix: name.startswith(prefix)"
            fail(f"{name} frozen, all but {prefix!r}", "it still learns", cause)
        if not parameter.requires_grad and name in wanted:
            cause = (
                "requires_grad_(True) for every name that starts with the prefix: "
                "it may have been frozen before"
            )
            fail(f"{name} to learn", "it is frozen", cause)
    if not isinstance(got, list):
        cause = "return a list: the optimiser and you will both go through it"
        fail("a list of parameters", type(got).__name__, cause)
    if not all(isinstance(parameter, nn.Parameter) for parameter in got):
        kind = next(type(p).__name__ for p in got if not isinstance(p, nn.Parameter))
        cause = "the optimiser takes the parameters themselves, not their names or copies"
        fail("parameters", kind, cause)
    ids = {name: id(parameter) for name, parameter in model.named_parameters()}
    if sorted(map(id, got)) != sorted(ids[name] for name in wanted):
        cause = "the list holds the model's own parameters that learn, each once"
        if len(got) == len(ids):
            cause = "leave out the frozen ones: weight decay and momentum would still move them"
        elif len(got) == len(ids) - len(wanted):
            cause = "the parameters that learn, not those that are frozen"
        fail(f"{len(wanted)} parameters that learn", f"a list of {len(got)}", cause)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.SGD(got, 0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        cross_entropy(model(x), y).backward()
        optimiser.step()
    for name, value in model.named_parameters():
        if torch.equal(value, before[name]) == (name in wanted):
            expected, state = ("moved", "stayed") if name in wanted else ("stayed", "moved")
            cause = "three steps of training with the list that was returned"
            fail(f"{name} {expected}", f"it {state}", cause)


# ---------------------------------------------------------------- gradients in parts


@own_random
def accumulation(answer: Callable) -> None:
    """``answer(model, optimiser, x, y, parts)``: one step as that of the whole batch."""

    class Watched(nn.Module):
        """A linear model that remembers the sizes of its batches."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.sizes = []

        def forward(self, x):
            self.sizes.append(len(x))
            return self.linear(x)

    x = torch.randn(10, 4, generator=generator(2))
    y = torch.arange(10) % 3
    for parts in (1, 4, 3, 7):  # 7 parts of at most 2 rows are 5 parts
        model = Watched().train()
        weight, bias = (value.detach().clone() for value in model.linear.parameters())
        for parameter in model.parameters():  # as a step before may have left it
            parameter.grad = torch.ones_like(parameter)
        optimiser = torch.optim.SGD(model.parameters(), 0.5)
        steps = []
        optimiser.register_step_post_hook(lambda *_, steps=steps: steps.append(1))
        attempt(answer, model, optimiser, x.clone(), y.clone(), parts)
        largest = math.ceil(10 / parts)
        if max(model.sizes, default=0) > largest:
            cause = "the whole batch does not fit into memory: torch.chunk(x, parts)"
            fail(f"parts of at most {largest} clips", f"one of {max(model.sizes)}", cause)
        if sum(model.sizes) != 10:
            cause = "every part goes through the model once, the last, smaller one too"
            fail("10 clips", f"{sum(model.sizes)} clips", cause)
        if len(steps) != 1:
            cause = "optimiser.step() once, behind the loop over the parts"
            fail("one step of the optimiser", f"{len(steps)} steps", cause)
        # The oracle: the closed form of the gradient of softmax regression.
        error = torch.softmax(x @ weight.T + bias, dim=1) - torch.eye(3)[y]
        pieces = [
            (e.T @ part / len(part), len(part))
            for e, part in zip(error.split(largest), x.split(largest), strict=True)
        ]
        whole = error.T @ x / 10
        step = partial(_stepped, weight)
        mean = sum(piece for piece, _ in pieces) / len(pieces)
        known = {
            "zero the gradients first: those of the step before are still there": step(whole + 1),
            "the gradients of all parts add up: zero them once, before the loop": step(
                pieces[-1][0] * pieces[-1][1] / 10
            ),
            "the parts differ in size: weight each mean with len(part) / len(x)": step(mean),
            "torch.chunk may make fewer parts: weight each with len(part) / len(x)": step(
                mean * len(pieces) / parts
            ),
            "weight each part's mean with len(part) / len(x): this is their sum": step(
                mean * len(pieces)
            ),
            "divide by the clips of the batch: this is the sum over all clips": step(10 * whole),
            "divide by the clips of the batch, not by the parts": step(10 * whole / parts),
            "the gradients of all parts add up: this is the last one alone": step(pieces[-1][0]),
            "backward() for each part is missing": weight,
        }
        cause = "each part's mean loss times len(part) / len(x), backward for each, one step"
        compare(
            model.linear.weight, step(whole), lambda known=known: known, cause, 1e-5, "a weight"
        )
        close(model.linear.bias, bias - 0.5 * error.mean(dim=0), cause, 1e-5, "a bias")
    passed("one step from 1, 4, 3 and 7 parts is the step of the whole batch")


def _stepped(weight: Tensor, gradient: Tensor) -> Tensor:
    return weight - 0.5 * gradient
