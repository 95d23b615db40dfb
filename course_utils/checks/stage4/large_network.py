"""Checks of a network of 65 million parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree, gradients_arrive
from course_utils.checks.core import call, chance, check, generator, holds, passed

#: What errors of torch mean where a network is built or called.
HINTS = {
    "must be Tensor, not tuple": "a recurrent layer returns outputs and states: take the outputs",
    r"before Module.__init__\(\)": "super().__init__() comes first",
}


def plain(function: Callable, *arguments: Any, **named: Any) -> Any:
    """Call a mistake: what it raises is its outcome, and is not explained."""
    return function(*arguments, **named)


def fill(parts: Iterable[nn.Module], lift: float = 0.0) -> None:
    """Give layers numbers that depend on the shapes and on the order within each part.

    To the weights of batch norms `lift` is added.
    """
    for salt, part in enumerate(parts):
        for place, (name, value) in enumerate([*part.named_parameters(), *part.named_buffers()]):
            if value.is_floating_point():
                noise = _noise(generator(1000 + 100 * salt + place).initial_seed(), value.shape)
                value.data.copy_(1 + noise.abs() if name.endswith("_var") else 0.5 * noise)
        for layer in part.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and layer.affine:
                layer.weight.data.add_(lift)


@cache
def _noise(seed: int, shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def averages(model: nn.Module) -> list[Tensor]:
    """What the batch norms of a model have kept count of."""
    return [value.clone() for value in model.buffers() if value.is_floating_point()]


# 4.10 - 65 million parameters

_DEFAULTS: dict[str, Any] = {
    "bands": 20, "symbols": 44, "hidden": 1024, "layers": 4, "cell": nn.GRU, "dropout": 0.1,
}


class Large(nn.Module):
    """The network, with what `wrong` does otherwise."""

    def __init__(self, wrong: dict[str, Any], **named: Any):
        super().__init__()
        a = _DEFAULTS | named | wrong.get("fixed", {})
        first = {"kernel_size": (41, 11), "stride": (2, 2), "padding": (20, 5)}
        second = {"kernel_size": (21, 11), "stride": (2, 1), "padding": (10, 5)}
        block = wrong.get("block", _block)
        self.cnn = nn.Sequential(
            nn.Conv2d(1, 32, **first | wrong.get("first", {})), *block(a["dropout"]),
            nn.Conv2d(32, 32, **second | wrong.get("second", {})), *block(a["dropout"]),
        )
        inputs = wrong.get("inputs", lambda bands: 32 * math.ceil(bands / 2))(a["bands"])
        both = {"batch_first": True, "bidirectional": True}
        if wrong.get("recurrent dropout"):
            both["dropout"] = a["dropout"]
        self.rnn = a["cell"](inputs, a["hidden"], a["layers"], **both | wrong.get("rnn", {}))
        states = a["hidden"] * (1 + self.rnn.bidirectional)
        self.output = nn.Linear(states, a["symbols"], **wrong.get("output", {}))
        self.more = nn.Linear(states, states) if wrong.get("more") else nn.Identity()
        self.see = wrong.get("see", lambda cnn, x: cnn(x))
        self.turn = wrong.get("turn", lambda x: x.transpose(1, 2).flatten(2))
        self.head = wrong.get("head", lambda logits, training: logits)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, frame, band) -> logits (batch, frame', symbol), where nothing is wrong."""
        states = self.rnn(self.turn(self.see(self.cnn, x)))[0]
        return self.head(self.output(self.more(states)), self.training)


def _block(dropout: float, norm: Any = nn.BatchNorm2d, act: Any = None, drop: Any = None) -> list:
    return [norm(32), act or nn.Hardtanh(0, 20), drop or nn.Dropout2d(dropout)]


def _deep(**wrong: Any) -> Callable[..., nn.Module]:
    return partial(Large, wrong)


def _blind(cnn: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return cnn(x)


DEEP_MISTAKES: dict[str, Callable] = {
    # of the convolutions
    "nn.Conv2d(1, 32, (41, 11), ...), with a bias": _deep(first={"bias": False}),
    "nn.Conv2d(32, 32, (21, 11), ...), with a bias": _deep(second={"bias": False}),
    "time comes first, frequency second: kernels of (frames, bands)":
        _deep(first={"kernel_size": (11, 41), "padding": (5, 20)}),
    "time comes first, frequency second, in the second convolution, too":
        _deep(second={"kernel_size": (11, 21), "padding": (5, 10)}),
    "the first convolution halves the bands, too: stride (2, 2)": _deep(first={"stride": (2, 1)}),
    "only the first convolution halves the bands: the second has stride (2, 1)":
        _deep(second={"stride": (2, 2)}),
    "stride (2, 1) of the second convolution is turned round": _deep(second={"stride": (1, 2)}),
    "both convolutions halve the frames: stride (2, ...)": _deep(second={"stride": (1, 1)}),
    "padding (20, 5) and (10, 5): half of each kernel, frames first":
        _deep(first={"padding": (0, 5)}),
    "padding (20, 5) and (10, 5): the second kernel is smaller, and so is half of it":
        _deep(second={"padding": (5, 5)}),
    "convolution, batch norm, Hardtanh, Dropout2d": _deep(block=lambda p: _block(p)[1:]),
    "nn.BatchNorm2d(32) as it is: with weights, averages and momentum 0.1":
        _deep(block=partial(_block, norm=partial(nn.BatchNorm2d, momentum=1.0))),
    "an activation with an upper bound: nn.Hardtanh(0, 20)":
        _deep(block=partial(_block, act=nn.ReLU())),
    "nn.Hardtanh(0, 20): from 0 to 20, not from -1 to 1":
        _deep(block=partial(_block, act=nn.Hardtanh())),
    "nn.Hardtanh(0, 20), from 0 on": _deep(block=partial(_block, act=nn.Hardtanh(-20, 20))),
    "nn.Hardtanh(0, 20), not up to 6": _deep(block=partial(_block, act=nn.ReLU6())),
    "batch norm comes before the activation":
        _deep(block=lambda p: [nn.Hardtanh(0, 20), nn.BatchNorm2d(32), nn.Dropout2d(p)]),
    "nn.Dropout2d(dropout) behind each Hardtanh": _deep(block=partial(_block, drop=nn.Identity())),
    "the share that is dropped is an argument: nn.Dropout2d(dropout)":
        _deep(block=lambda p: _block(0.1)),
    "nn.Dropout2d, which drops whole channels, and not nn.Dropout": _deep(
        block=lambda p: _block(p, drop=nn.Dropout(p))
    ),
    # of the recurrent and the linear layer
    "the network hears both directions: bidirectional=True": _deep(rnn={"bidirectional": False}),
    "the kind of cell is an argument: cell(...)": _deep(fixed={"cell": nn.GRU}),
    "the number of layers is an argument: use it": _deep(fixed={"layers": 4}),
    "the size of the hidden state is an argument: use it": _deep(fixed={"hidden": 1024}),
    "the recurrent network has biases": _deep(rnn={"bias": False}),
    "the first stride makes ceil(bands / 2) bands, also of an odd number":
        _deep(inputs=lambda bands: 32 * (bands // 2)),
    "the number of bands is an argument: use it": _deep(inputs=lambda bands: 320),
    "the first convolution halves the bands: 32 * ceil(bands / 2)":
        _deep(inputs=lambda bands: 32 * bands),
    "channels and bands together: 32 * ceil(bands / 2)":
        _deep(inputs=lambda bands: 32, turn=lambda x: x.mean(dim=3).transpose(1, 2)),
    "bands and channels together: 32 * ceil(bands / 2)":
        _deep(inputs=lambda bands: math.ceil(bands / 2), turn=lambda x: x.mean(dim=1)),
    "the number of symbols is an argument: use it": _deep(fixed={"symbols": 44}),
    "nn.Linear(2 * hidden, symbols), with a bias": _deep(output={"bias": False}),
    "cnn, rnn and output are all: no further layers": _deep(more=True),
    # of the way through
    "transpose(1, 2) before flatten(2): a reshape mixes frames and channels":
        _deep(turn=lambda x: x.reshape(len(x), x.shape[2], -1)),
    "channel by channel, its bands side by side: transpose(1, 2).flatten(2)":
        _deep(turn=lambda x: x.permute(0, 2, 3, 1).flatten(2)),
    "nn.GRU takes (frame, batch, feature) unless it has batch_first=True":
        _deep(rnn={"batch_first": False}),
    "logits: the loss applies log_softmax, or the model that is trained":
        _deep(head=lambda logits, _: logits.log_softmax(dim=2)),
    "logits in train mode, too":
        _deep(head=lambda logits, training: logits.log_softmax(dim=2) if training else logits),
    "logits, not probabilities": _deep(head=lambda logits, _: logits.softmax(dim=2)),
    "(batch, frame', symbols): symbols come last":
        _deep(head=lambda logits, _: logits.transpose(1, 2)),
    "(batch, frame', symbols): a row of logits for each frame":
        _deep(head=lambda logits, _: logits[:, -1]),
    "dropout is for the two nn.Dropout2d: the recurrent layers get none":
        _deep(**{"recurrent dropout": True}),
    "no torch.no_grad(), .detach() or .data in forward": _deep(see=_blind),
}


@check("4.10", DEEP_MISTAKES, hints=HINTS)
def deep_speech(model_class: Callable) -> None:
    """Parameters in closed form, and every layer computes what it should.

    ``model_class(bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1)``
    """

    def ask(run: Callable, truth: Callable, cases: list[tuple], otherwise: str, name: str) -> None:
        named = {cause: partial(run, wrong, call=plain) for cause, wrong in DEEP_MISTAKES.items()}
        agree(partial(run, model_class), truth, cases, named, otherwise, 1e-4, name)

    with torch.device("meta"):  # shapes without numbers: 65 million parameters take no memory
        kinds = {"cnn": nn.Sequential, "rnn": nn.GRU, "output": nn.Linear}
        holds(call(model_class), kinds, "self.{name} = nn. ...")
    sizes = chance(10)
    odd, hidden = sizes.choice([5, 7, 9]), sizes.randint(3, 5)
    small = {"bands": odd, "symbols": sizes.randint(11, 19), "hidden": hidden, "layers": 2}
    small["dropout"] = sizes.choice([0.2, 0.3, 0.4])
    frames, even = sizes.randint(17, 23), small | {"bands": 8, "cell": nn.LSTM}
    several, one, other = (  # none of which lies side by side in memory
        torch.randn(size, 1, bands, time, generator=generator(time)).transpose(2, 3)
        for size, bands, time in ((3, odd, frames), (1, odd, frames + 2), (2, 8, frames + 5))
    )
    cases = [({"hidden": 2, "layers": 2}, (1, 1, 122, 20), True)]
    cases += [(small, several, True), (even, other, False)]
    cause = "convolution, batch norm, Hardtanh(0, 20), dropout, twice; kernels (frame, band)"
    ask(_seen, _images, cases, cause, "an output of cnn")
    wide = {"hidden": sizes.randint(33, 99), "layers": sizes.choice([2, 3, 5])}
    odd = {"bands": sizes.choice([23, 25, 27]), "symbols": sizes.randint(30, 40)}
    named = [{}, odd, {"cell": nn.LSTM}, wide]
    cause = "cell(32 * ceil(bands / 2), hidden, layers, batch_first=True, bidirectional=True)"
    ask(_counted, _numbers, [("rnn", one) for one in named], cause, "parameters")
    cause = "nn.Linear(2 * hidden, symbols)"
    ask(_counted, _numbers, [("output", one) for one in (odd, wide)], cause, "parameters")
    cause = "cnn, rnn and output are all: no further layers"
    ask(_counted, _numbers, [("all", wide)], cause, "parameters")
    cases = [(small, several, False), (even, other[:1], False)]
    cases += [(small, several, True), (small, one, True)]
    cause = "cnn, transpose(1, 2).flatten(2), rnn, output, and no dropout but that of cnn"
    ask(_heard, large_logits, cases, cause, "a logit")
    # Where a kernel is much longer than what it sees, torch's way back has crashed.
    x = torch.randn(2, 1, 61, small["bands"], generator=generator(11))
    model = call(model_class, **small)
    cause = "no torch.no_grad(), .detach() or .data in forward"
    gradients_arrive(model, [x], model.named_parameters(), cause)
    passed("65,271,116 parameters, 31 of 122 frames, and every layer computes what it should")


def _counted(
    model_class: Callable, part: str, named: dict[str, Any], call: Callable = call
) -> str:
    with torch.device("meta"):
        model = call(model_class, **named)
    layers = model if part == "all" else getattr(model, part)
    return f"{sum(value.numel() for value in layers.parameters()):,} parameters in {part}"


def _numbers(part: str, named: dict[str, Any]) -> str:
    """The oracle: the parameters of each part, in closed form."""
    a = _DEFAULTS | named
    hidden, gates = a["hidden"], 4 if a["cell"] is nn.LSTM else 3
    inputs = [32 * math.ceil(a["bands"] / 2)] + [2 * hidden] * (a["layers"] - 1)
    parts = {
        "cnn": 32 * 41 * 11 + 32 + 32 * 32 * 21 * 11 + 32 + 2 * 2 * 32,
        "rnn": sum(2 * gates * hidden * (n + hidden + 2) for n in inputs),
        "output": (2 * hidden + 1) * a["symbols"],
    }
    return f"{parts.get(part, sum(parts.values())):,} parameters in {part}"


def _seen(
    model_class: Callable, named: dict[str, Any], x: Tensor | tuple, training: bool,
    call: Callable = call, whole: bool = False,
) -> tuple:
    """What an answer's cnn, or the whole of it, makes of `x`; it has heard something before."""
    model = call(model_class, **named)
    asked, names = model if whole else model.cnn, [type(layer).__name__ for layer in model.cnn]
    if isinstance(x, tuple):
        return tuple(call(asked, torch.zeros(x)).shape), names
    fill((model.cnn, model.rnn, model.output), 8)  # far enough to meet the bounds of Hardtanh
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        call(asked.eval(), x[-1:, :, 3:] + 1)
        torch.manual_seed(10)
        model.train(training)
        got = call(asked, x)
    return got, averages(model.cnn), names


_heard = partial(_seen, whole=True)


def _images(
    named: dict[str, Any], x: Tensor | tuple, training: bool, whole: bool = False
) -> tuple:
    """The oracle: the operations one by one, with the same numbers."""
    a = _DEFAULTS | named
    names = ["Conv2d", "BatchNorm2d", "Hardtanh", "Dropout2d"] * 2
    if isinstance(x, tuple):
        return (1, 32, 31, a["bands"] // 2), names
    layers = nn.Sequential(
        nn.Conv2d(1, 32, (41, 11)), nn.BatchNorm2d(32),
        nn.Conv2d(32, 32, (21, 11)), nn.BatchNorm2d(32),
    )
    rnn = a["cell"](
        32 * math.ceil(a["bands"] / 2), a["hidden"], a["layers"], batch_first=True,
        bidirectional=True,
    )
    output = nn.Linear(2 * a["hidden"], a["symbols"])
    fill((layers, rnn, output), 8)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(10)
        for place, stride, padding in ((0, (2, 2), (20, 5)), (2, (2, 1), (10, 5))):
            convolution, norm = layers[place], layers[place + 1].train(training)
            x = norm(F.conv2d(x, convolution.weight, convolution.bias, stride, padding))
            x = F.dropout2d(x.clamp(0, 20), a["dropout"], training)
        if whole:
            rows = [torch.cat([*x[:, :, frame].unbind(1)], dim=1) for frame in range(x.shape[2])]
            x = output(rnn(torch.stack(rows, dim=1))[0])
    return x, averages(layers), names


#: The oracle of the whole network: logits, and what else :func:`_images` returns.
large_logits = partial(_images, whole=True)
