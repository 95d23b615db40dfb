"""Checks of a network of 65 million parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    call,
    compare,
    fail,
    generator,
    holds,
    own_random,
    passed,
    same_shape,
    shape_of,
    unchanged,
)

# 4.10 - 65 million parameters


@own_random
def deep_speech(model_class: Callable) -> None:
    """Parameters in closed form, and every layer computes what it should.

    ``model_class(bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1)``
    """

    def build(**named: Any) -> nn.Module:
        with torch.device("meta"):  # shapes without numbers: 65 million parameters take no memory
            return call(model_class, **named)

    model = build()
    kinds = {"cnn": nn.Sequential, "rnn": nn.GRU, "output": nn.Linear}
    holds(model, kinds, "self.{name} = nn. ...")
    if not isinstance(build(cell=nn.LSTM).rnn, nn.LSTM):
        kind = type(build(cell=nn.LSTM).rnn).__name__
        fail("an nn.LSTM for cell=nn.LSTM", kind, "the kind of cell is an argument: cell(...)")
    for named in (
        {},
        {"cell": nn.LSTM},
        {"bands": 80},
        {"bands": 23, "symbols": 30},
        {"hidden": 64, "layers": 2},
    ):
        _deep_counts(build(**named), named)
    for bands, wanted in ((80, (1, 32, 31, 40)), (20, (1, 32, 31, 10))):
        known = {
            (1, 32, 31, wanted[3] // 2): "the second convolution has stride (2, 1): bands stay",
            (1, 32, 61, wanted[3] // 2): "stride (2, 1) of the second convolution is turned round",
            (1, 32, 61, wanted[3]): "both convolutions halve the frames: stride (2, ...)",
            (1, 32, 31, bands): "the first convolution halves the bands, too: stride (2, 2)",
        }
        x = torch.zeros(1, 1, 122, bands)
        cnn = call(model_class, bands=bands, hidden=2, layers=1).cnn
        cause = "padding (20, 5) and (10, 5), stride (2, 2) and (2, 1): frames first, then bands"
        shape_of(call(cnn, x), wanted, known, cause)
    _deep_layers(model_class)
    passed("65,271,116 parameters, 31 of 122 frames, and every layer computes what it should")


def _deep_numbers(
    bands: int = 20,
    symbols: int = 44,
    hidden: int = 1024,
    layers: int = 4,
    cell: type[nn.RNNBase] | None = None,
) -> dict[str, int]:
    """Parameters of each part, in closed form."""
    inputs = [32 * math.ceil(bands / 2)] + [2 * hidden] * (layers - 1)
    gates = 4 if cell is not None and cell.__name__ == "LSTM" else 3
    return {
        "the first convolution": 32 * 41 * 11 + 32,
        "the second convolution": 32 * 32 * 21 * 11 + 32,
        "the batch norms": 2 * 2 * 32,
        "the recurrent network": sum(2 * gates * hidden * (n + hidden + 2) for n in inputs),
        "the linear layer": (2 * hidden + 1) * symbols,
    }


def _deep_counts(model: nn.Module, named: dict[str, Any]) -> None:
    parts = _deep_numbers(**named)
    convolutions = [layer for layer in model.cnn if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in model.cnn if isinstance(layer, nn.BatchNorm2d)]
    for layers, kind in ((convolutions, "nn.Conv2d"), (norms, "nn.BatchNorm2d")):
        if len(layers) != 2:
            fail(f"two {kind} in cnn", len(layers), "convolution, batch norm, Hardtanh, Dropout2d")
    for layer, kernel in zip(convolutions, ((41, 11), (21, 11)), strict=True):
        if layer.kernel_size != kernel:
            cause = "time comes first, frequency second: kernels of (frames, bands)"
            fail(f"a kernel {kernel}", layer.kernel_size, cause)
    modules = [[convolutions[0]], [convolutions[1]], norms, [model.rnn], [model.output]]
    shown = {key: getattr(value, "__name__", value) for key, value in named.items()} or "defaults"
    for (part, expected), layers in zip(parts.items(), modules, strict=True):
        got = sum(p.numel() for layer in layers for p in layer.parameters())
        if got == expected:
            continue
        cause = {
            "the first convolution": "nn.Conv2d(1, 32, (41, 11), ...), with a bias",
            "the second convolution": "nn.Conv2d(32, 32, (21, 11), ...), with a bias",
            "the batch norms": "nn.BatchNorm2d(32)",
            "the recurrent network": (
                "cell(32 * ceil(bands / 2), hidden, layers, batch_first=True, bidirectional=True)"
            ),
            "the linear layer": "nn.Linear(2 * hidden, symbols)",
        }[part]
        if part == "the recurrent network":
            cause = _rnn_cause(model.rnn, named, cause)
        if part == "the linear layer" and got == _deep_numbers(**{**named, "symbols": 44})[part]:
            cause = "the number of symbols is an argument: use it"
        fail(f"{expected:,} parameters in {part} ({shown})", f"{got:,}", cause)
    total = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parts.values())
    if total != expected:
        cause = "cnn, rnn and output are all: no further layers"
        fail(f"{expected:,} parameters ({shown})", f"{total:,}", cause)


def _rnn_cause(rnn: nn.Module, named: dict[str, Any], otherwise: str) -> str:
    bands = named.get("bands", 20)
    if not rnn.bidirectional:
        return "the network hears both directions: bidirectional=True"
    if rnn.num_layers != named.get("layers", 4):
        return "the number of layers is an argument: use it"
    if rnn.hidden_size != named.get("hidden", 1024):
        return "the size of the hidden state is an argument: use it"
    if not rnn.bias:
        return "the recurrent network has biases"
    return {
        32 * (bands // 2): "the first stride makes ceil(bands / 2) bands, also of an odd number",
        32 * 10: "the number of bands is an argument: use it",
        32 * bands: "the first convolution halves the bands: 32 * ceil(bands / 2)",
        32 * math.ceil(bands / 4): "only the first convolution halves the bands",
        math.ceil(bands / 2): "channels and bands together: 32 * ceil(bands / 2)",
        32: "channels and bands together: 32 * ceil(bands / 2)",
    }.get(rnn.input_size, otherwise)


def _deep_layers(model_class: Callable) -> None:
    """Fail unless a small network computes, with its own weights, what it should."""
    model = call(model_class, bands=7, symbols=6, hidden=3, layers=2, dropout=0.3)
    dropouts = [layer for layer in model.cnn if isinstance(layer, nn.Dropout2d)]
    if [layer.p for layer in dropouts] != [0.3, 0.3]:
        got = [f"{type(m).__name__}({m.p})" for m in model.cnn if hasattr(m, "p")] or "none"
        cause = "nn.Dropout2d(dropout) behind each Hardtanh: it drops whole channels"
        fail("two nn.Dropout2d(0.3) for dropout=0.3", got, cause)
    random = generator(10)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=random)
                value.copy_(1 + noise.abs() if name.endswith("_var") else 0.5 * noise)
        for layer in model.cnn:
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.add_(8)  # far enough to meet the bounds of Hardtanh
    model.eval()
    x = torch.randn(3, 1, 17, 7, generator=random)
    given = x.clone()
    got = call(model, given)
    unchanged(x, given, "features")
    cause = "(batch, frame', symbols): a row of logits for each frame behind the convolutions"
    same_shape(got, (3, 5, 6), cause)
    if not got.requires_grad:
        cause = "no torch.no_grad(), .detach() or .data in forward"
        fail("logits that training can follow back", "logits without a gradient", cause)
    # The oracle: the operations one by one.
    with torch.no_grad():
        images = call(model.cnn, x)
        right = _deep_cnn(model, x)
        known = {
            "an activation with an upper bound: nn.Hardtanh(0, 20)": _deep_cnn(model, x, high=1e9),
            "nn.Hardtanh(0, 20): from 0 to 20, not from -1 to 1": _deep_cnn(model, x, -1, 1),
            "nn.Hardtanh(0, 20), from 0 on": _deep_cnn(model, x, -20),
            "nn.Hardtanh(0, 20), not up to 6": _deep_cnn(model, x, high=6),
            "batch norm comes before the activation": _deep_cnn(model, x, turned=True),
        }
        cause = "convolution, batch norm, Hardtanh(0, 20), dropout, twice; kernels (frame, band)"
        same_shape(images, tuple(right.shape), cause)
        compare(images, right, lambda: known, cause, 1e-4, "an output of cnn")
        expected = _deep_head(model, images.transpose(1, 2).flatten(2))
        b, c, f, n = images.shape
        known = {
            "logits: the loss applies log_softmax, or the model that is trained": (
                expected.log_softmax(dim=2)
            ),
            "logits, not probabilities": expected.softmax(dim=2),
            "transpose(1, 2) before flatten(2): a reshape mixes frames and channels": _deep_head(
                model, images.reshape(b, f, c * n)
            ),
            "channel by channel, its bands side by side: transpose(1, 2).flatten(2)": _deep_head(
                model, images.permute(0, 2, 3, 1).flatten(2)
            ),
            "the recurrent network takes (batch, frame, feature): batch_first=True": (
                expected
                if model.rnn.batch_first
                else _deep_head(model, images.transpose(1, 2).flatten(2), batch_first=True)
            ),
        }
        cause = "cnn, transpose(1, 2).flatten(2), rnn, output"
        if not model.rnn.batch_first:
            turned = images.permute(2, 0, 1, 3).flatten(2)  # (frame, batch, feature): right, too
            expected = _deep_head(model, turned).transpose(0, 1)
            cause = "nn.GRU takes (frame, batch, feature) unless it has batch_first=True"
        compare(got, expected, lambda: known, cause, 1e-4, "a logit")


def _deep_cnn(
    model: nn.Module, x: Tensor, low: float = 0, high: float = 20, turned: bool = False
) -> Tensor:
    """The convolutions of a model, with torch's functions and the model's weights."""
    convolutions = [layer for layer in model.cnn if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in model.cnn if isinstance(layer, nn.BatchNorm2d)]
    shapes = (((2, 2), (20, 5)), ((2, 1), (10, 5)))
    for layer, norm, (stride, padding) in zip(convolutions, norms, shapes, strict=True):
        x = F.conv2d(x, layer.weight, layer.bias, stride, padding)
        if turned:
            x = x.clamp(low, high)
        x = F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )
        if not turned:
            x = x.clamp(low, high)
    return x


def _deep_head(model: nn.Module, x: Tensor, batch_first: bool = False) -> Tensor:
    """The logits for a sequence of features."""
    if batch_first:
        x = x.transpose(0, 1)
    states, _ = model.rnn(x)
    if batch_first:
        states = states.transpose(0, 1)
    return states @ model.output.weight.T + model.output.bias
