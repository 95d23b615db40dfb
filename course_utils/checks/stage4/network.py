"""Checks of the network that listens to sentences, and does not see its padding."""

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
    holds,
    own_random,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)
from course_utils.checks.stage4.lengths import counted

# 4.11 - A model that does not see its padding


@own_random
def speech_ctc(model_class: Callable) -> None:
    """Lengths are exact, and a clip alone and in a padded batch are the same.

    ``model_class(bands, symbols, channels=96, hidden=128, layers=LAYERS, dropout=0.0)``
    """
    default = _default_layers(model_class)
    small = {"channels": 5, "hidden": 4, "layers": [(3, 2), (4, 1)]}
    wide = {"channels": 6, "layers": [(7, 1), (3, 2), (5, 2)]}
    for bands, symbols, named in ((40, 31, {}), (64, 30, {}), (9, 5, small), (7, 6, wide)):
        model = call(model_class, bands, symbols, **named)
        holds(model, {"rnn": nn.GRU, "output": nn.Linear}, "self.{name} = nn.{kind}(...)")
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
        out_frames = counted(frames, layers)
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
            counted(max(counts), layers) for _ in counts
        ],
        "the lengths of the clips in their own order: the sorting is not undone": sorted(
            (counted(n, layers) for n in counts), reverse=True
        ),
        "all the layers count": [counted(n, layers[:1]) for n in counts],
    }
    expected = [counted(n, layers) for n in counts]
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
        counts = [counted(n, [(kernel, stride)]) for n in counts]
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
