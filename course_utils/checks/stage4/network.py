"""Checks of the networks that listen to sentences: lengths, a large model, the one to train."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    call,
    compare,
    equal,
    fail,
    generator,
    own_random,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)

_DEEP = [(41, 2), (21, 2)]  # (kernel, stride) over frames

# ---------------------------------------------------------------- lengths


def output_frames(answer: Callable) -> None:
    """``answer(frames, layers)``: frames behind convolutions, for an int or an int64 tensor."""
    for layers in (
        [(5, 1)],
        [(5, 3)],
        _DEEP,
        [(5, 3), (5, 1)],
        [(4, 2)],
        [(2, 2), (3, 3), (6, 1)],
        [],
    ):
        counts = [*range(1, 14), 122, 1001]
        expected = [_counted(n, layers) for n in counts]
        given = list(layers)
        got = [call(answer, n, layers) for n in counts]
        if layers != given:
            fail("layers as they were", "changed ones", "go through the list: for kernel, stride")
        if any(type(value) is not int for value in got):
            kind = next(type(value).__name__ for value in got if type(value) is not int)
            fail("an int for an int", kind, "integer arithmetic: //, no / and no tensors")
        case = f"frames for {counts} and layers {layers}"
        _right_counts(got, expected, counts, layers, case)
        lengths = torch.tensor(counts)
        try:
            got = call(answer, lengths, layers)
        except CheckFailed as error:
            if "element" not in str(error.__cause__):
                raise
            cause = "math.ceil, math.floor and int() take one number: // works for both"
            fail("lengths for a tensor of lengths", f"{error.__cause__}", cause)
        unchanged(torch.tensor(counts), lengths, "lengths (frames //= stride writes into them)")
        cause = "a tensor of lengths comes back as one: the same arithmetic for all of them"
        same_shape(got, (len(counts),), cause)
        cause = "lengths are int64: // of integers, not / and not math.ceil"
        same_dtype(got, torch.int64, cause)
        _right_counts(got.tolist(), expected, counts, layers, case)
    passed("as many frames as torch's convolutions give, for 105 pairs of length and layers")


def _counted(frames: int, layers: list[tuple[int, int]]) -> int:
    """The oracle: let torch convolve zeros, and count."""
    x = torch.zeros(1, 1, frames)
    for kernel, stride in layers:
        weight = torch.zeros(1, 1, kernel)
        x = F.conv1d(x, weight, stride=stride, padding=kernel // 2)
    return x.shape[2]


def _right_counts(
    got: list[int], expected: list[int], counts: list[int], layers: list, case: str
) -> None:
    if got == expected:
        return

    def each(step: Callable) -> list[int]:
        numbers = list(counts)
        for kernel, stride in layers:
            numbers = [step(n, kernel, stride) for n in numbers]
        return numbers

    product = math.prod(stride for _, stride in layers)
    known = {
        "divide layer by layer and round up: (122, two strides of 2) is 31, not 122 // 4": [
            n // product for n in counts
        ],
        "a padded convolution of stride s gives ceil(n / s), not n // s": each(
            lambda n, kernel, stride: n // stride
        ),
        "an even kernel makes one frame more: not ceil(n / stride) alone": each(
            lambda n, kernel, stride: -(-n // stride)
        ),
        "an even kernel makes one frame more": [-(-n // product) for n in counts],
        "n // stride + 1 is one too many where stride divides n": each(
            lambda n, kernel, stride: n // stride + 1
        ),
        "the padding is missing: kernel // 2 on both sides": each(
            lambda n, kernel, stride: (n - kernel) // stride + 1
        ),
        "the padding is on both sides: 2 * (kernel // 2)": each(
            lambda n, kernel, stride: (n + kernel // 2 - kernel) // stride + 1
        ),
        "2 * (kernel // 2) and kernel differ where the kernel is odd": each(
            lambda n, kernel, stride: n // stride
        ),
        "the padding is kernel // 2: 2 * (kernel // 2) is not kernel for an odd one": each(
            lambda n, kernel, stride: (n + kernel - kernel) // stride + 1
        ),
        "+ 1: the first position counts, too": each(
            lambda n, kernel, stride: (n + 2 * (kernel // 2) - kernel) // stride
        ),
        "the layers come one after the other: this is the first": [
            _counted(n, layers[:1]) for n in counts
        ],
        "the layers come one after the other: this is the last": [
            _counted(n, layers[-1:]) for n in counts
        ],
        "a layer is (kernel, stride), in this order": each(
            lambda n, stride, kernel: (n + 2 * (kernel // 2) - kernel) // stride + 1
        ),
        "round down: torch leaves out what a kernel does not fill": each(
            lambda n, kernel, stride: -(-(n + 2 * (kernel // 2) - kernel) // stride) + 1
        ),
        "the frames are divided by the strides": counts,
    }
    at = next(
        place for place, pair in enumerate(zip(got, expected, strict=True)) if len({*pair}) > 1
    )
    cause = "floor((n + 2 * (kernel // 2) - kernel) / stride) + 1, layer after layer"
    cause = next((why for why, value in known.items() if value == got), cause)
    fail(f"{expected[at]} for {counts[at]} frames, layers {layers}", got[at], cause)


# ---------------------------------------------------------------- the large model


@own_random
def deep_speech(model_class: Callable) -> None:
    """``model_class(bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1)``."""

    def build(**named: Any) -> nn.Module:
        with torch.device("meta"):  # shapes without numbers: 65 million parameters take no memory
            return call(model_class, **named)

    model = build()
    for name, kind in (("cnn", nn.Sequential), ("rnn", nn.GRU), ("output", nn.Linear)):
        if not isinstance(getattr(model, name, None), kind):
            got = type(getattr(model, name, None)).__name__
            fail(f"an nn.{kind.__name__} in the attribute {name}", got, f"self.{name} = nn. ...")
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


# ---------------------------------------------------------------- the model to train


@own_random
def speech_ctc(model_class: Callable) -> None:
    """``model_class(bands, symbols, channels=96, hidden=128, layers=LAYERS, dropout=0.0)``."""
    default = _default_layers(model_class)
    small = {"channels": 5, "hidden": 4, "layers": [(3, 2), (4, 1)]}
    wide = {"channels": 6, "layers": [(7, 1), (3, 2), (5, 2)]}
    for bands, symbols, named in ((40, 31, {}), (64, 30, {}), (9, 5, small), (7, 6, wide)):
        model = call(model_class, bands, symbols, **named)
        for name, kind in (("rnn", nn.GRU), ("output", nn.Linear)):
            if not isinstance(getattr(model, name, None), kind):
                got = type(getattr(model, name, None)).__name__
                cause = f"self.{name} = nn.{kind.__name__}(...)"
                fail(f"an nn.{kind.__name__} in the attribute {name}", got, cause)
        _small_counts(model, bands, symbols, {"layers": default, **named})
    _small_layers(model_class, default, {})
    for layers in ([(5, 3), (5, 1)], [(3, 2), (4, 1)], [(5, 2), (3, 2)]):
        _small_layers(model_class, layers, {"layers": layers})
    _small_dropout(model_class)
    passed("its lengths are exact, and a clip alone and in a padded batch are the same")


def _default_layers(model_class: Callable) -> list[tuple[int, int]]:
    """The layers of a model that is built without saying which: LAYERS of the notebook."""
    try:
        default = inspect.signature(model_class).parameters["layers"].default
    except (TypeError, ValueError, KeyError):
        cause = "def __init__(self, bands, symbols, channels=96, hidden=128, layers=LAYERS, ...)"
        fail("an argument layers", "a model without it", cause)
    if isinstance(default, list | tuple) and default:
        return list(default)
    return model_class.__init__.__globals__.get("LAYERS", [(5, 3), (5, 1)])


def _small_parts(
    bands: int,
    symbols: int,
    channels: int = 96,
    hidden: int = 128,
    layers: list = (),
    *,
    bias: bool = True,
) -> dict[str, int]:
    """Parameters of each part, in closed form."""
    widths = [bands] + [channels] * (len(layers) - 1)
    return {
        "the convolutions": sum(
            (width * kernel + bias) * channels
            for width, (kernel, _) in zip(widths, layers, strict=True)
        ),
        "the batch norms": 2 * channels * len(layers),
        "the recurrent network": 2 * 3 * hidden * (channels + hidden + 2),
        "the linear layer": (2 * hidden + 1) * symbols,
    }


def _small_counts(model: nn.Module, bands: int, symbols: int, named: dict[str, Any]) -> None:
    parts = _small_parts(bands, symbols, **named)
    kinds = {
        "the convolutions": nn.Conv1d,
        "the batch norms": nn.BatchNorm1d,
        "the recurrent network": nn.GRU,
        "the linear layer": nn.Linear,
    }
    causes = {
        "the convolutions": "for each (kernel, stride) an nn.Conv1d, with a bias",
        "the batch norms": "an nn.BatchNorm1d(channels) behind each convolution",
        "the recurrent network": "nn.GRU(channels, hidden, batch_first=True, bidirectional=True)",
        "the linear layer": "nn.Linear(2 * hidden, symbols)",
    }
    shown = f"{bands} bands, {symbols} symbols" + (f", {named}" if named else "")
    for part, expected in parts.items():
        found = [module for module in model.modules() if isinstance(module, kinds[part])]
        got = sum(parameter.numel() for module in found for parameter in module.parameters())
        if got == expected:
            continue
        cause = causes[part]
        if part == "the convolutions":
            cause = {
                _small_parts(bands, symbols, **{**named, "layers": [(5, 1), (5, 1)]})[part]: (
                    "layers is an argument: use it"
                ),
                _small_parts(bands, symbols, **{**named, "channels": 96})[part]: (
                    "the number of channels is an argument: use it"
                ),
                _small_parts(bands, symbols, **named, bias=False)[part]: (
                    "the convolutions have a bias"
                ),
            }.get(got, cause)
        if part == "the recurrent network" and found:
            rnn = found[0]
            if len(found) > 1 or rnn.num_layers != 1:
                cause = "one recurrent layer"
            elif not rnn.bidirectional:
                cause = "the network hears both directions: bidirectional=True"
            elif rnn.hidden_size != named.get("hidden", 128):
                cause = "the size of the hidden state is an argument: use it"
        fail(f"{expected:,} parameters in {part} ({shown})", f"{got:,}", cause)
    total = sum(parameter.numel() for parameter in model.parameters())
    if total != sum(parts.values()):
        cause = "convolutions, batch norms, rnn and output are all: no further layers"
        fail(f"{sum(parts.values()):,} parameters ({shown})", f"{total:,}", cause)


def _small_layers(model_class: Callable, layers: list, named: dict[str, Any]) -> None:
    """Fail unless a network computes, with its own weights, what it should."""
    symbols = 14  # another number than those of the frames below
    model = call(model_class, 9, symbols, channels=5, hidden=4, **named)
    random = generator(11)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                noise = torch.randn(value.shape, generator=random)
                value.copy_(0.5 + noise.abs() if name.endswith("_var") else 0.6 * noise)
    model.eval()
    for kind, frames, counts in (
        ("of full length", 17, [17, 17]),
        ("of different lengths", 23, [14, 23, 7, 11]),
        ("that are all padded", 31, [12, 25, 8]),
        ("alone, with padding", 13, [5]),
        ("sorted by length", 18, [18, 13, 6]),
    ):
        clips = torch.randn(len(counts), 9, frames, generator=random)
        for row, count in enumerate(counts):  # rubbish, and not only zeros, behind a clip
            clips[row, :, count:] *= 30
        lengths = torch.tensor(counts)
        given = clips.clone(), lengths.clone()
        try:
            got = call(model, *given)
        except CheckFailed as error:
            _about_packing(error, kind, model, layers)
            raise
        unchanged(clips, given[0], "features")
        unchanged(lengths, given[1], "lengths")
        if not (isinstance(got, tuple) and len(got) == 2):
            fail("(log_probs, lengths)", type(got).__name__, "return both, for the loss")
        log_probs, out = got
        _right_lengths(out, counts, layers)
        out_frames = _counted(frames, layers)
        known = {
            (len(counts), symbols, out_frames): "symbols come last: (batch, frame', symbol)",
            (out_frames, len(counts), symbols): "the batch comes first: batch_first=True",
            (len(counts), max(out.tolist()), symbols): (
                "all frames of the convolutions: pad_packed_sequence(..., total_length=x.shape[2])"
            ),
            (len(counts), frames, symbols): "the convolutions have strides",
        }
        shape_of(log_probs, (len(counts), out_frames, symbols), known, "(batch, frame', symbol)")
        same_dtype(log_probs, torch.float32, "stay in float32")
        if not log_probs.requires_grad:
            cause = "no torch.no_grad(), .detach() or .data in forward"
            fail("log_probs that training can follow back", "no gradient", cause)
        valid = torch.arange(out_frames) < out[:, None]
        with torch.no_grad():
            log_probs = log_probs * valid[..., None]
            # The oracle: each clip alone, without its padding, step by step.
            expected = torch.zeros_like(log_probs)
            for row, count in enumerate(counts):
                alone = _heard(model, clips[row : row + 1, :, :count], layers)
                expected[row, : alone.shape[1]] = alone[0]
            mistakes = partial(_small_mistakes, model, clips, lengths, layers, valid)
            cause = (
                "zeros behind the valid frames: of the input, and after each convolution; "
                "then GRU over packed sequences, linear, log_softmax"
            )
            if not model.rnn.batch_first:
                cause = "nn.GRU takes (frame, batch, feature) unless it has batch_first=True"
            compare(log_probs, expected, mistakes, cause, 1e-4, f"a log_prob of clips {kind}")


def _about_packing(error: CheckFailed, kind: str, model: nn.Module, layers: list) -> None:
    """Fail with the cause of an error that torch raised about lengths, if it is one."""
    raised = str(error.__cause__)
    if "enforce_sorted" in raised or "sorted" in raised:
        cause = "pack_padded_sequence(..., enforce_sorted=False): clips come in any order"
        fail(f"log_probs of clips {kind}", "lengths that are not sorted", cause)
    if "must match" in raised or "size" in raised or "length" in raised.lower():
        cause = (
            "the lengths that go on are those behind the convolutions: output_frames(lengths, "
            "layers so far), and pad_packed_sequence(..., total_length=x.shape[2])"
        )
        convolutions = [module for module in model.modules() if isinstance(module, nn.Conv1d)]
        paddings = [layer.padding for layer in convolutions]
        if paddings != [(kernel // 2,) for kernel, _ in layers]:
            cause = "every convolution is padded: padding=kernel // 2"
        fail(f"log_probs of clips {kind}", raised.splitlines()[0][:120], cause)


def _right_lengths(out: object, counts: list[int], layers: list) -> None:
    cause = "one number of frames for each clip"
    same_shape(out, (len(counts),), cause)
    same_dtype(out, torch.int64, "lengths are int64: output_frames(lengths, layers)")
    product = math.prod(stride for _, stride in layers)
    known = {
        "lengths behind the convolutions: output_frames(lengths, layers)": counts,
        "output_frames(lengths, layers): T // stride drops the last frame": [
            n // product for n in counts
        ],
        "the valid frames of each clip, not of the longest": [
            _counted(max(counts), layers) for _ in counts
        ],
        "the lengths of the clips in their own order: the sorting is not undone": sorted(
            (_counted(n, layers) for n in counts), reverse=True
        ),
        "all the layers count": [_counted(n, layers[:1]) for n in counts],
    }
    expected = [_counted(n, layers) for n in counts]
    cause = "output_frames(lengths, layers)"
    equal(out.tolist(), expected, known, cause, f"lengths {counts} and layers {layers}")


def _heard(
    model: nn.Module,
    x: Tensor,
    layers: list,
    lengths: Tensor | None = None,
    *,
    masks: Callable = lambda layer: True,
    packed: bool = True,
    norm: bool = True,
    relu: str = "after",
    direction: str = "both",
    turn: Callable | None = None,
    head: Callable | None = None,
) -> Tensor:
    """Log-probabilities, operation by operation, and what may be wrong on the way.

    Without lengths: of clips that have no padding.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv1d)]
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]

    def silent(x: Tensor, counts: list[int], layer: int) -> Tensor:
        if not masks(layer):
            return x
        return x * (torch.arange(x.shape[2]) < torch.tensor(counts)[:, None])[:, None]

    counts = [x.shape[2]] * len(x) if lengths is None else lengths.tolist()
    x = silent(x, counts, 0)
    for number, (kernel, stride) in enumerate(layers):
        convolution, batch_norm = convolutions[number], norms[number]
        x = F.conv1d(x, convolution.weight, convolution.bias, stride, kernel // 2)
        if relu == "before":
            x = x.relu()
        if norm:
            x = F.batch_norm(
                x,
                batch_norm.running_mean,
                batch_norm.running_var,
                batch_norm.weight,
                batch_norm.bias,
                eps=batch_norm.eps,
            )
        if relu == "after":
            x = x.relu()
        counts = [_counted(n, [(kernel, stride)]) for n in counts]
        x = silent(x, counts, number + 1)
    frames = x.shape[2]
    x = x.transpose(1, 2) if turn is None else turn(x)
    if not packed:
        counts = [frames] * len(x)
    states = torch.zeros(len(x), frames, 2 * model.rnn.hidden_size)
    for row, count in enumerate(counts):
        halves = [
            _steps(model.rnn, x[row, :count], ""),
            _steps(model.rnn, x[row, :count].flip(0), "_reverse").flip(0),
        ]
        if direction == "forward":
            halves[1] = torch.zeros_like(halves[1])
        states[row, :count] = torch.cat(halves, dim=1)
    logits = states @ model.output.weight.T + model.output.bias
    return logits.log_softmax(dim=2) if head is None else head(logits)


def _steps(rnn: nn.Module, x: Tensor, suffix: str) -> Tensor:
    """One direction of a GRU, step by step: (frame, hidden)."""
    weights = [
        getattr(rnn, f"{name}_l0{suffix}")
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    h = torch.zeros(1, rnn.hidden_size)
    steps = []
    for frame in x:
        h = torch.gru_cell(frame[None], h, *weights)
        steps.append(h)
    return torch.cat(steps)


def _small_mistakes(
    model: nn.Module, clips: Tensor, lengths: Tensor, layers: list, valid: Tensor
) -> dict[str, Tensor]:
    """Causes, and the log-probabilities of valid frames to which they lead."""
    last = len(layers)
    run = partial(_heard, model, clips, layers, lengths)
    order = lengths.argsort(descending=True, stable=True)
    known = {
        "log_softmax is missing: these are logits": run(head=lambda logits: logits),
        "log_softmax, not softmax": run(head=lambda logits: logits.softmax(dim=2)),
        "log_softmax over the symbols, not over the frames": run(
            head=lambda logits: logits.log_softmax(dim=1)
        ),
        "log_softmax over the symbols, not over the batch": run(
            head=lambda logits: logits.log_softmax(dim=0)
        ),
        "swap the axes with transpose(1, 2): a reshape mixes frames and channels": run(
            turn=lambda x: x.reshape(len(x), x.shape[2], -1)
        ),
        "a ReLU behind each batch norm": run(relu="never"),
        "convolution, batch norm, ReLU: in this order": run(relu="before"),
        "a batch norm behind each convolution": run(norm=False),
        "what stands in the padding is no part of a clip: zeros there, too": run(
            masks=lambda layer: layer > 0
        ),
        "zeros behind the valid frames: no mask at all": run(masks=lambda layer: False),
        "the mask is missing after the convolutions: biases fill the padding": run(
            masks=lambda layer: layer == 0
        ),
        "the GRU runs over packed sequences: else its way back starts in the padding": run(
            packed=False
        ),
        "neither masks nor packed sequences: padding reaches the clips": run(
            masks=lambda layer: False, packed=False
        ),
        "masks are there, packed sequences are missing": run(
            masks=lambda layer: layer != last, packed=False
        ),
        "the clips come back in another order: undo the sorting by length": run()[order],
        "both directions": run(direction="forward"),
    }
    for number in range(1, last):
        cause = f"the mask is missing after convolution {number}: the next one sees its padding"
        known[cause] = run(masks=lambda layer, number=number: layer != number)
    return {cause: value * valid[..., None] for cause, value in known.items()}


def _small_dropout(model_class: Callable) -> None:
    """Fail unless dropout is there in training, and only then."""
    x, lengths = torch.randn(3, 9, 21, generator=generator(12)), torch.tensor([21, 15, 9])
    for dropout in (0.0, 0.5):
        named = {"dropout": dropout} if dropout else {}
        model = call(model_class, 9, 6, channels=8, hidden=8, **named)
        model.train()
        with torch.no_grad():
            first, second = (call(model, x.clone(), lengths)[0] for _ in range(2))
        if torch.allclose(first, second) != (dropout == 0):
            if dropout:
                cause = "nn.Dropout(dropout) in front of the linear layer: the argument is not used"
                fail("dropout in training for dropout=0.5", "the same outputs twice", cause)
            cause = "the share that is dropped is an argument, 0 if nothing is said"
            fail("the same outputs twice without dropout", "others", cause)
        model.eval()
        with torch.no_grad():
            first, second = (call(model, x.clone(), lengths)[0] for _ in range(2))
        if not torch.equal(first, second):
            cause = "dropout in training only: nn.Dropout, or training=self.training"
            fail("no dropout in eval mode", "random outputs", cause)
        model.train()
        loss = -call(model, x.clone(), lengths)[0][:, :2].mean()
        loss.backward()
        silent = [
            name
            for name, parameter in model.named_parameters()
            if parameter.grad is None or not bool(parameter.grad.abs().sum() > 0)
        ]
        silent = [name for name in silent if not name.endswith("bias")]  # batch norm takes it off
        if silent:
            cause = "every layer is used in forward, and no tensor is detached"
            fail("a gradient for every weight", f"none for {', '.join(silent[:3])}", cause)
