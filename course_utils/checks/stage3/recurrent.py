"""Checks of a recurrent network: one step of an LSTM, and a classifier."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from course_utils.checks.agree import agree, gradients_arrive, same
from course_utils.checks.core import call, chance, check, fail, generator, holds, passed
from course_utils.checks.unaided import by_hand

# 3.8 - The cell of an LSTM


def _torch_cell(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """The oracle: torch's own cell."""
    return torch.lstm_cell(x, (h, c), *weights)


def _cell(
    rows: Callable = lambda x, h, w, u, b, d: x @ w.T + b + h @ u.T + d,
    order: tuple = (0, 1, 2, 3),
    cut: Callable = lambda rows: rows.chunk(4, dim=1),
    new: Callable = lambda i, f, g, c: f.sigmoid() * c + i.sigmoid() * g.tanh(),
    show: Callable = lambda o, new, c: o.sigmoid() * new.tanh(),
) -> Callable:
    """A cell with one part replaced."""

    def cell(x: Tensor, h: Tensor, c: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        parts = cut(rows(x, h, *weights))
        i, f, g, o = (parts[place] for place in order)
        after = new(i, f, g, c)
        return show(o, after, c), after

    return cell


def _named(order: tuple) -> str:
    names = ("input", "forget", "candidate", "output")
    return ", ".join(names[order.index(place)] for place in range(4))


_STAY = "stay in torch from input to output: no .detach(), .item(), .data or NumPy"

CELL_MISTAKES: dict[str, Callable] = {
    "the candidate g has tanh, not sigmoid":
        _cell(new=lambda i, f, g, c: f.sigmoid() * c + i.sigmoid() * g.sigmoid()),
    "the candidate g goes through tanh":
        _cell(new=lambda i, f, g, c: f.sigmoid() * c + i.sigmoid() * g),
    "the gates i, f, o have sigmoid, not tanh": _cell(
        new=lambda i, f, g, c: f.tanh() * c + i.tanh() * g.tanh(),
        show=lambda o, new, c: o.tanh() * new.tanh(),
    ),
    "the gates i, f, o go through sigmoid":
        _cell(new=lambda i, f, g, c: f * c + i * g.tanh(), show=lambda o, new, c: o * new.tanh()),
    "h = o * tanh(c): the tanh is missing": _cell(show=lambda o, new, c: o.sigmoid() * new),
    "h = o * tanh(c), not sigmoid(c)": _cell(show=lambda o, new, c: o.sigmoid() * new.sigmoid()),
    "h is made of the new c, not of the old one":
        _cell(show=lambda o, new, c: o.sigmoid() * c.tanh()),
    "the output gate is missing: h = o * tanh(c)": _cell(show=lambda o, new, c: new.tanh()),
    "bias_hh is missing": _cell(lambda x, h, w, u, b, d: x @ w.T + b + h @ u.T),
    "bias_ih is missing": _cell(lambda x, h, w, u, b, d: x @ w.T + h @ u.T + d),
    "both biases are missing": _cell(lambda x, h, w, u, b, d: x @ w.T + h @ u.T),
    "h and weight_hh are missing": _cell(lambda x, h, w, u, b, d: x @ w.T + b + d),
    "x and weight_ih are missing": _cell(lambda x, h, w, u, b, d: b + h @ u.T + d),
    "the old c counts, times the forget gate": _cell(new=lambda i, f, g, c: i.sigmoid() * g.tanh()),
    "the forget gate is missing: f * c": _cell(new=lambda i, f, g, c: c + i.sigmoid() * g.tanh()),
    "the input gate is missing: i * g": _cell(new=lambda i, f, g, c: f.sigmoid() * c + g.tanh()),
    "the old part has the forget gate, not 1 - i":
        _cell(new=lambda i, f, g, c: (1 - i.sigmoid()) * c + i.sigmoid() * g.tanh()),
    "each gate has `hidden` rows one after the other: chunk, not every fourth":
        _cell(cut=lambda rows: rows.unflatten(1, (-1, 4)).unbind(2)),
    "four gates of `hidden` rows each, not of one: chunk(4, dim=1)":
        _cell(cut=lambda rows: rows.split(1, dim=1)),
    **{
        f"the rows are input, forget, candidate, output: not {_named(order)}": _cell(order=order)
        for order in itertools.permutations(range(4))
        if order != (0, 1, 2, 3)
    },
    "the order of the two results": lambda *given: _cell()(*given)[::-1],
    "return two tensors": lambda *given: _cell()(*given)[0],
    "lstm_cell does it for you: the exercise is to do it by hand, once": _torch_cell,
    _STAY: lambda x, h, *rest: _cell()(x, h.detach(), *rest),
}


@check("3.8", CELL_MISTAKES, draws=False, hints={r"Can't call numpy\(\)": _STAY})
def lstm_cell(answer: Callable) -> None:
    """Equal to torch's own cell.

    ``answer(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh) -> (h, c)`` of the next step
    """
    random = generator(3)

    @functools.wraps(answer)
    def watched(*given: Tensor) -> tuple[Tensor, Tensor]:
        with by_hand("arithmetic of your own", "torch's LSTM", ["lstm", "rnn", "gru"]):
            result = answer(*given)
        if result is not None and not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(h, c)", type(result).__name__, "return two tensors")
        return result

    def drawn(batch: int, inputs: int, hidden: int) -> tuple[Tensor, ...]:
        sizes = [(batch, inputs), (batch, hidden), (batch, hidden), (4 * hidden, inputs)]
        sizes += [(4 * hidden, hidden), (4 * hidden,), (4 * hidden,)]
        return tuple(torch.randn(size, generator=random) for size in sizes)

    cases = [drawn(*chance(3).sample([2, 3, 5, 6, 7], 3)), drawn(1, 2, 6)]
    zeros = tuple(torch.zeros_like(x) for x in cases[1])
    cases.append((*zeros[:2], zeros[2] + 1, *zeros[3:]))  # the worked example
    cause = "c = f * c + i * g, then h = o * tanh(c), with the new c"
    agree(watched, _torch_cell, cases, CELL_MISTAKES, cause)
    agree(_slopes(answer), _slopes(_torch_cell), cases[:2], {}, _STAY, 1e-4, "a gradient")
    passed("equal to torch's LSTM cell, h and c, for two sizes; gradients arrive everywhere")


def _slopes(cell: Callable) -> Callable:
    """The gradients of what a cell returns."""

    @functools.wraps(cell)
    def slopes(*given: Tensor) -> tuple[Tensor, ...]:
        given = [x.requires_grad_() for x in given]
        for which in (0, 1):
            half = functools.wraps(cell)(lambda *given, which=which: cell(*given)[which])
            gradients_arrive(half, given, cause=_STAY)
        h, c = cell(*given)
        return torch.autograd.grad((h * h).sum() + (c * c.abs()).sum(), given)

    return slopes


# 3.9 - The model, for clips of unequal length


class _Right(nn.Module):
    """A right answer, of which each mistake replaces a part."""

    def __init__(self, classes: int, features: int = 12, hidden: int = 64, layers: int = 3):
        super().__init__()
        self.build(classes, features, hidden, layers)

    def build(self, classes: int, features: int, hidden: int, layers: int, **named) -> None:
        self.lstm = nn.LSTM(features, hidden, layers, **({"batch_first": True} | named))
        self.output = nn.Linear(hidden * (1 + self.lstm.bidirectional), classes)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        n = torch.full((len(x), 1), x.shape[2]) if lengths is None else lengths[:, None]
        return self.decide(self.states(x, n), n)

    def states(self, x: Tensor, n: Tensor) -> Tensor:
        return self.lstm(x.transpose(1, 2))[0]

    def decide(self, states: Tensor, n: Tensor) -> Tensor:
        return self.output(self.pool(states, n))

    def pool(self, states: Tensor, n: Tensor) -> Tensor:
        return _up_to(states, n) / n


def _up_to(states: Tensor, n: Tensor) -> Tensor:
    """The sum over the first n frames of each clip."""
    return (states * _valid(states, n)).sum(dim=1)


def _valid(states: Tensor, n: Tensor) -> Tensor:
    return (torch.arange(states.shape[1]) < n)[..., None]


def _with(**parts: Callable) -> type[nn.Module]:
    return type("SpeechLSTM", (_Right,), parts)


def _built(change: Callable[..., tuple], **named: bool) -> type[nn.Module]:
    """Of other sizes: ``change(classes, features, hidden, layers)`` are those that it takes."""
    return _with(build=lambda self, *sizes: _Right.build(self, *change(*sizes), **named))


def _also(name: str, layer: Callable[..., nn.Module]) -> type[nn.Module]:
    """With a layer of this name, made for (classes, features, hidden, layers)."""

    def build(self: nn.Module, *sizes: int) -> None:
        _Right.build(self, *sizes)
        setattr(self, name, layer(*sizes))

    return _with(build=build)


def _packed(model: nn.Module, x: Tensor, n: Tensor, ordered: bool = False) -> Tensor:
    packed = pack_padded_sequence(x.transpose(1, 2), n[:, 0], True, enforce_sorted=ordered)
    return pad_packed_sequence(model.lstm(packed)[0], batch_first=True)[0]


_CHANCE = "the same clips get the same logits each time: no dropout, no random or kept states"
_FLOWS = "no torch.no_grad(), .detach() or .data in forward"
_ATTRIBUTE = "self.{name} = nn.{kind}(...): transfer finds it by its name"

_LSTM_HINTS = {
    r"input.size\(-1\) must be equal": "the last axis must be the features: transpose(1, 2)",
    "missing 1 required positional argument: 'lengths'": "lengths may be left out: lengths=None",
    "NoneType": "without lengths all frames are valid: look for None first",
}

SIZE_MISTAKES: dict[str, type] = {
    _ATTRIBUTE.format(name="lstm", kind="LSTM"): _also("lstm", lambda c, f, h, n: nn.GRU(f, h, n)),
    _ATTRIBUTE.format(name="output", kind="Linear"): _also("output", lambda *_: nn.Identity()),
    "the number of classes is an argument: use it": _built(lambda c, f, h, n: (10, f, h, n)),
    "the number of features is an argument: use it": _built(lambda c, f, h, n: (c, 12, h, n)),
    "the size of the hidden state is an argument: use it": _built(lambda c, f, h, n: (c, f, 64, n)),
    "the number of layers is an argument: use it": _built(lambda c, f, h, n: (c, f, h, 3)),
    "features, hidden and layers are arguments: use them": _built(lambda c, *_: (c, 12, 64, 3)),
    "as many layers as the argument says, not one": _built(lambda c, f, h, n: (c, f, h, 1)),
    "as many layers as the argument says, not one more":
        _built(lambda c, f, h, n: (c, f, h, n + 1)),
    "as many layers as the argument says, not one fewer":
        _built(lambda c, f, h, n: (c, f, h, n - 1)),
    "the LSTM runs in one direction only": _built(lambda *sizes: sizes, bidirectional=True),
    "the LSTM has biases": _built(lambda *sizes: sizes, bias=False),
    "the linear layer has a bias": _also("output", lambda c, f, h, n: nn.Linear(h, c, False)),
    "no batch or layer normalisation": _also("norm", lambda c, f, h, n: nn.LayerNorm(h)),
    "no normalisation of the features": _also("norm", lambda c, f, h, n: nn.BatchNorm1d(f)),
    "all parameters learn: no requires_grad_(False)":
        _with(build=lambda self, *sizes: _Right.build(self, *sizes) or self.requires_grad_(False)),
    "one linear layer, from hidden to classes": _also("more", lambda c, f, h, n: nn.Linear(h, h)),
}
LOGIT_MISTAKES: dict[str, type] = {
    "the loss applies log-softmax, not the model":
        _with(decide=lambda self, s, n: _Right.decide(self, s, n).log_softmax(dim=1)),
    "the model returns logits, no probabilities: the loss applies the softmax":
        _with(decide=lambda self, s, n: _Right.decide(self, s, n).softmax(dim=1)),
    "no activation behind the linear layer":
        _with(decide=lambda self, s, n: _Right.decide(self, s, n).relu()),
    "no tanh behind the linear layer":
        _with(decide=lambda self, s, n: _Right.decide(self, s, n).tanh()),
    "no activation between mean and linear layer":
        _with(pool=lambda self, s, n: _Right.pool(self, s, n).relu()),
    "the mean over the frames, then the linear layer":
        _with(decide=lambda self, s, n: self.output(s)),
    "the linear layer comes last: self.output(...)": _with(decide=_Right.pool),
    "the biases of the linear layer count once: mean first, or divide all":
        _with(decide=lambda self, s, n: self.output(_up_to(s, n)) / n),
    "the bias of the linear layer does not count in the padding: mean first":
        _with(decide=lambda self, s, n: self.output(s * _valid(s, n)).sum(dim=1) / n),
    "the mean over the frames, not the last frame":
        _with(pool=lambda self, s, n: s[torch.arange(len(s)), n[:, 0] - 1]),
    "the mean over the frames, not the sum": _with(pool=lambda self, s, n: _up_to(s, n)),
    "the mean over the frames, not the maximum":
        _with(pool=lambda self, s, n: s.masked_fill(~_valid(s, n), -math.inf).amax(dim=1)),
    "the mean leaves out the frames behind a clip's end":
        _with(pool=lambda self, s, n: s.mean(dim=1)),
    "divide by the frames of each clip, not by those of the batch":
        _with(pool=lambda self, s, n: _up_to(s, n) / s.shape[1]),
    "divide by the frames of each clip, not by those of the longest":
        _with(pool=lambda self, s, n: _up_to(s, n) / n.max()),
    "divide by the frames of each clip, not by their mean":
        _with(pool=lambda self, s, n: _up_to(s, n) / n.float().mean()),
    "a clip of n frames has the frames 0 to n - 1, not one more":
        _with(pool=lambda self, s, n: _up_to(s, n + 1) / n),
    "a clip of n frames has the frames 0 to n - 1, not one fewer":
        _with(pool=lambda self, s, n: _up_to(s, n - 1) / n),
    "the clips come back in another order: undo the sorting by length": _with(
        decide=lambda self, s, n: _Right.decide(self, s, n)[n[:, 0].argsort(descending=True)]
    ),
    "the last layer's outputs, not those of the first":
        _with(states=lambda self, x, n: lstm_steps(self.state_dict(), x.transpose(1, 2), 1)),
    "swap the axes with transpose(1, 2): a reshape mixes frames and features":
        _with(states=lambda self, x, n: self.lstm(x.reshape(len(x), x.shape[2], -1))[0]),
    "nn.LSTM takes (frame, batch, feature) unless it has batch_first=True":
        _built(lambda *sizes: sizes, batch_first=False),
    "the clips need not come sorted by their lengths: enforce_sorted=False":
        _with(states=lambda self, x, n: _packed(self, x, n, ordered=True)),
    "no clip fills all frames of this batch, and pad_packed_sequence ends with the longest clip: "
    "take the number of frames from what it returns": _with(
        states=lambda self, x, n: _packed(self, x, n) * (torch.arange(x.shape[2]) < n)[..., None]
    ),
    _CHANCE: _built(lambda *sizes: sizes, dropout=0.2),
    _FLOWS: _with(pool=lambda self, s, n: _Right.pool(self, s.detach(), n)),
}


@check("3.9", SIZE_MISTAKES | LOGIT_MISTAKES, hints=_LSTM_HINTS)
def speech_lstm(model_class: Callable) -> None:
    """Parameters in closed form; a clip alone and in a padded batch give the same logits.

    ``model_class(classes, features=12, hidden=64, layers=3)``; ``model(x, lengths=None)``
    """
    sizes, random = chance(5), generator(5)
    features, hidden, batch, frames = sizes.sample([5, 6, 7, 8, 9], 4)
    classes, layers = sizes.choice([3, 4]), 2
    small = {"features": features, "hidden": hidden, "layers": layers}
    for kinds in ((10, {}), (classes, small)):
        model = call(model_class, kinds[0], **kinds[1])
        holds(model, {"lstm": nn.LSTM, "output": nn.Linear}, _ATTRIBUTE)
    counted = {cause: _counted(mistake) for cause, mistake in SIZE_MISTAKES.items()}
    cause = "nn.LSTM(features, hidden, layers, batch_first=True), nn.Linear(hidden, classes)"
    cases = [(10, {}), (11, {}), (35, {}), (classes, small)]
    agree(_counted(model_class), _numbers, cases, counted, cause)

    weights = {
        name: 0.6 * torch.randn(value.shape, generator=random)
        for name, value in _Right(classes, **small).state_dict().items()
    }
    weights["output.bias"] = torch.linspace(-1, 1, classes)

    def drawn(frames: int, lengths: list[int] | None, count: int = batch) -> tuple:
        clips = torch.randn(count, frames, features, generator=random).transpose(1, 2)
        for row, n in enumerate(lengths or []):  # rubbish, and not only zeros, behind a clip
            clips[row, :, n:] *= 20
        return (clips,) if lengths is None else (clips.contiguous(), torch.tensor(lengths))

    def counts(longest: int, count: int) -> list[int]:
        return [*sizes.sample(range(1, longest), count - 2), longest, 2]

    alone = [drawn(frames, None), drawn(6, None, 1)]
    full = [drawn(frames, [frames] * batch), drawn(5, [5], 1)]
    padded = [
        drawn(9, counts(9, 5), 5),
        drawn(11, [4, 7, 2], 3),  # padded all of them
        drawn(10, [*counts(10, 4), 3], 5),
        drawn(7, [4], 1),
    ]
    cause = "the mean of the last layer's outputs over the frames of each clip, then linear"
    truth = functools.partial(_logits, weights)
    for training, cases in itertools.product((False, True), (alone, full, padded)):
        computed = functools.partial(
            _computed, classes=classes, named=small, weights=weights, training=training
        )
        known = {cause: computed(mistake) for cause, mistake in LOGIT_MISTAKES.items()}
        agree(computed(model_class), truth, cases, known, cause, 1e-4, "a logit")
    model = _filled(model_class, classes, small, weights).train()
    for x, *lengths in (*alone, *full, *padded):
        gradients_arrive(model, [x, *lengths], list(model.named_parameters()), _FLOWS)
    passed("87,178 parameters for 10 words; a clip alone and in a padded batch are the same")


def _counted(model_class: Callable) -> Callable:
    """How many parameters of a network of these sizes learn, in words."""

    @functools.wraps(model_class, updated=())
    def counted(classes: int, named: dict[str, int]) -> str:
        parameters = model_class(classes, **named).parameters()
        return f"{sum(p.numel() for p in parameters if p.requires_grad):,} parameters"

    return counted


def _numbers(classes: int, named: dict[str, int]) -> str:
    """The oracle: parameters in closed form."""
    features, hidden, layers = ({"features": 12, "hidden": 64, "layers": 3} | named).values()
    inputs = [features] + [hidden] * (layers - 1)
    lstm = sum(4 * hidden * (width + hidden + 2) for width in inputs)
    return f"{lstm + (hidden + 1) * classes:,} parameters"


def _filled(
    model_class: Callable, classes: int, named: dict[str, int], weights: dict[str, Tensor]
) -> nn.Module:
    """A network of these sizes that has these weights."""
    model = model_class(classes, **named)
    model.load_state_dict(weights, strict=False)
    return model


def _computed(model_class: Callable, training: bool, **given) -> Callable:
    """What a network of the given sizes and weights computes in this mode, as a function."""

    @functools.wraps(model_class, updated=())
    def computed(x: Tensor, *lengths: Tensor) -> Tensor:
        model = _filled(model_class, **given).train(training)
        first, second = model(x, *lengths), model(x, *lengths)
        if not same(first, second):
            mode = "train" if training else "eval"
            fail(f"the same logits twice in {mode} mode", "others", _CHANCE)
        return first

    return computed


def lstm_steps(weights: dict[str, Tensor], x: Tensor, layers: int) -> Tensor:
    """Outputs of the highest layer, step by step with torch's cell: (batch, frame, hidden)."""
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    for layer in range(layers):
        own = [weights[f"lstm.{kind}_l{layer}"] for kind in kinds]
        h = c = torch.zeros(len(x), own[1].shape[1])
        steps = []
        for frame in x.unbind(dim=1):
            h, c = torch.lstm_cell(frame, (h, c), *own)
            steps.append(h)
        x = torch.stack(steps, dim=1)
    return x


def _logits(weights: dict[str, Tensor], clips: Tensor, lengths: Tensor | None = None) -> Tensor:
    """The oracle: each clip alone, without its padding."""
    counts = [clips.shape[2]] * len(clips) if lengths is None else lengths.tolist()
    means = [
        lstm_steps(weights, clip[None, :, :count].transpose(1, 2), 2)[0].mean(dim=0)
        for clip, count in zip(clips, counts, strict=True)
    ]
    return torch.stack(means) @ weights["output.weight"].T + weights["output.bias"]
