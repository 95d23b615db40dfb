"""Checks of convolutions: rates, lengths, receptive fields, a CNN, its training and its use."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    attempt,
    by_hand,
    call,
    close,
    fail,
    generator,
    passed,
    recognised,
    same_dtype,
    same_shape,
)

# ---------------------------------------------------------------- before the network


def halve_rate(answer: Callable) -> None:
    """``answer(waveforms (batch, 1, time)) -> (batch, 1, ceil(time / 2))``."""
    for batch, time in ((3, 1000), (2, 1001)):
        got = call(answer, torch.rand(batch, 1, time, generator=generator(time)))
        cause = (
            "(batch, 1, time) as before: pad, so that the first result is centred on sample 0, "
            "and keep samples 0, 2, 4"
        )
        same_shape(got, (batch, 1, math.ceil(time / 2)), cause)
    same_dtype(got, torch.float32, "stay in float32")
    double = call(answer, torch.ones(1, 1, 200, dtype=torch.float64))
    same_dtype(double, torch.float64, "the filter takes the waveforms' dtype and device: .to(...)")
    if got.requires_grad:
        cause = "this filter does not learn: F.conv1d with low_pass(), no layer with parameters"
        fail("samples", "samples that remember a gradient", cause)
    # The oracle: a sine has a closed form, whatever the rate.
    time = torch.arange(4000) / 16_000
    middle = slice(100, 1900)  # the edges have neighbours that are not there
    tones = [300.0, 1000.0, 2000.0, 3000.0]
    sines = torch.stack([torch.sin(2 * math.pi * hz * time) for hz in tones])[:, None]
    got = call(answer, sines)
    for row, hz in enumerate(tones):
        expected = sines[row, 0, ::2][middle]
        error = float((got[row, 0, middle] - expected).abs().max())
        if error > 0.03:
            level = float(got[row, 0, middle].square().mean() / expected.square().mean()) ** 0.5
            alone = call(answer, sines[row : row + 1])[0]
            if not torch.allclose(got[row], alone, atol=1e-3):
                cause = "each clip of the batch is filtered by itself, whatever stands beside it"
            elif level < 0.97 and hz >= 2000:
                cause = "the filter cuts too low: low_pass() first, on all samples, then drop"
            elif abs(level - 1) > 0.03:
                cause = "the filter's weights are those of low_pass(), which sum to 1"
            else:
                cause = (
                    "the sound has moved: pad by half of the filter on both sides, keep sample 0"
                )
            fail(
                f"a tone of {hz:.0f} Hz as loud and where it was", f"an error of {error:.2f}", cause
            )
    for hz, alias in ((5000.0, 3000), (6500.0, 1500)):
        high = torch.sin(2 * math.pi * hz * time)[None, None]
        left = float(call(answer, high)[0, 0, middle].square().mean()) ** 0.5
        if left > 0.02:  # 0.71 without a filter; 0.001 with the one that is given
            fail(
                f"almost nothing of a tone of {hz:.0f} Hz",
                f"a level of {left:.2f}",
                f"it comes back as {alias} Hz: filter before you drop samples",
            )
    passed("tones up to 3 kHz stay as they are, tones from 5 kHz are gone")


def pad_batch(answer: Callable) -> None:
    """``answer(clips) -> waveforms (batch, 1, longest), lengths (batch,)``."""
    for lengths in ([3, 5, 2], [7], [4, 4], [1, 9]):
        clips = [torch.rand(1, n, generator=generator(n)) + 1 for n in lengths]
        result = call(answer, list(clips))
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(waveforms, lengths)", type(result).__name__, "return two tensors")
        waveforms, got_lengths = result
        if getattr(waveforms, "ndim", 3) != 3:
            cause = "torch.stack makes a batch of (1, time); torch.cat would glue the channels"
        else:
            cause = "(batch, 1, time), padded to the longest clip of this batch"
        same_shape(waveforms, (len(clips), 1, max(lengths)), cause)
        same_dtype(waveforms, torch.float32, "the samples stay float32")
        same_shape(got_lengths, (len(clips),), "one length a clip")
        same_dtype(got_lengths, torch.int64, "lengths are int64: torch.tensor of Python ints")
        if got_lengths.tolist() != lengths:
            fail(
                lengths,
                got_lengths.tolist(),
                "the lengths before padding, in the order of the clips",
            )
        for row, clip in enumerate(clips):
            kept, rest = waveforms[row, 0, : lengths[row]], waveforms[row, 0, lengths[row] :]
            if not torch.equal(kept, clip[0]):
                fail(
                    f"clip {row} at the start of row {row}",
                    "other samples",
                    "zeros go behind the clip",
                )
            if bool((rest != 0).any()):
                fail("zeros after the clip", "something else", "pad with zeros")
    passed("batches of 3, 1, 2 and 2 clips, each padded to its longest")


# ---------------------------------------------------------------- convolution


def convolve(answer: Callable) -> None:
    """``answer(x (in, time), weight (out, in, taps), bias (out,), stride) -> (out, steps)``."""
    hand = call(
        answer, torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[[1.0, 10]]]), torch.zeros(1), 1
    )
    same_shape(hand, (1, 3), "(out, steps): a kernel of 2 fits at 3 places of 4 samples")
    if hand.tolist() == [[12.0, 23.0, 34.0]]:
        fail([[21, 32, 43]], [[12, 23, 34]], "the kernel was turned round; here it is not")
    close(hand, [[21.0, 32.0, 43.0]], "each number is the sum 1 * x[t] + 10 * x[t + 1]", 1e-6)
    random = generator(6)
    for inputs, outputs, time, taps, stride in (
        (1, 1, 9, 4, 1),
        (3, 2, 11, 3, 2),
        (2, 4, 10, 5, 3),
    ):
        x = torch.randn(inputs, time, generator=random)
        weight = torch.randn(outputs, inputs, taps, generator=random)
        bias = torch.randn(outputs, generator=random)
        places = ("torch.nn.functional.conv1d", "torch.conv1d")
        with by_hand("loops of your own", "conv1d", places):
            got = call(answer, x, weight, bias, stride)
        conv1d = F.conv1d
        expected = conv1d(x[None], weight, bias, stride)[0]
        steps = expected.shape[1]
        cause = "(out, steps), with (time - taps) // stride + 1 steps: each starts stride later"
        same_shape(got, (outputs, steps), cause)
        known = {
            "the bias is missing": expected - bias[:, None],
            "add the bias once, not for each tap": expected + (inputs * taps - 1) * bias[:, None],
            "the window of step t starts at t * stride": conv1d(x[None], weight, bias)[
                0, :, :steps
            ],
            "sum over all input channels": conv1d(x[None, :1], weight[:, :1], bias, stride)[0],
        }
        cause = "bias[o] + the sum of weight[o] * window, over all input channels and taps"
        close(got, expected, recognised(got, known, cause, 1e-6))
    passed("equal to the hand-worked example, and to torch with 1 to 4 channels and strides 1 to 3")


def output_length(length: Callable, through: Callable) -> None:
    """``length(samples, taps, stride)`` and ``through(samples, layers)``."""
    windows = ((1, 1), (3, 1), (4, 4), (5, 2), (7, 3))
    cases = [(samples, *window) for samples in range(1, 40) for window in windows]
    for samples, taps, stride in sorted(cases, key=lambda case: case[0] < case[1]):  # fits first
        # The oracle: lay the window down, again and again, and count.
        places = [start for start in range(0, samples, stride) if start + taps <= samples]
        got = call(length, samples, taps, stride)
        if got != len(places):
            if len(places) == 0:
                cause = "a window that does not fit makes no step: max(0, ...)"
            elif got == len(places) - 1:
                cause = "the first place counts, too: + 1"
            else:
                cause = "the last window starts at samples - taps or before; // rounds down"
            asked = f"{samples} samples, {taps} taps, stride {stride}"
            fail(f"a length of {len(places)} for {asked}", got, cause)
        if not isinstance(got, int):
            fail("a whole number", f"{type(got).__name__} {got}", "// divides whole numbers")
    layers = [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)]
    for samples, expected in (
        (8000, [8000, 496, 124, 122, 30, 28, 7, 5, 1]),
        (16_000, [16_000, 996, 249, 247, 61, 59, 14, 12, 3]),
        (6848, [6848, 424, 106, 104, 26, 24, 6, 4, 1]),
        (6847, [6847, 423, 105, 103, 25, 23, 5, 3, 0]),
    ):
        got = call(through, samples, list(layers))
        if not isinstance(got, list | tuple):
            fail(
                f"a list of {len(expected)} lengths", got, "collect each length, not the last only"
            )
        if list(got) != expected:
            cause = "each layer (taps, stride) works on what the one before left: lengths[-1]"
            if list(got) == expected[1:]:
                cause = "the list starts with the length of the input"
            fail(expected, got, cause)
    passed("every window of 1 to 7 taps over 1 to 39 samples, and all four blocks")


def receptive_field(answer: Callable) -> None:
    """``answer(layers) -> samples``."""
    cases = [
        [(5, 1)],
        [(3, 1), (3, 1)],
        [(3, 2), (2, 3), (4, 1)],
        [(80, 16), (4, 4)],
        [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)],
    ]
    for layers in cases:
        # The oracle: which input samples have a gradient from one output?
        x = torch.zeros(1, 1, 8000, dtype=torch.float64, requires_grad=True)
        y = x
        for taps, stride in layers:
            y = F.conv1d(y, torch.ones(1, 1, taps, dtype=y.dtype), stride=stride)
        y[0, 0, 0].backward()
        reached = x.grad[0, 0].nonzero()
        expected = int(reached.max() - reached.min()) + 1  # a large stride may leave holes
        got = call(answer, list(layers))
        if got != expected:
            product = math.prod(stride for _, stride in layers)
            if len(layers) == 1:
                cause = "one layer of n taps hears n samples: start with a field of 1, add taps - 1"
            elif got == sum(taps for taps, _ in layers) - len(layers) + 1:
                cause = "the strides are not used: taps of a deep layer are further apart"
            elif got > expected and product > 1:
                cause = "a layer's own stride counts for the layers after it, not for itself"
            else:
                cause = "each layer adds (taps - 1) steps of all strides before it, multiplied"
            fail(f"{expected} samples for {layers}", got, cause)
    passed("the gradient of one output reaches exactly as many samples")


# ---------------------------------------------------------------- the network


def waveform_cnn(model_class: Callable) -> None:
    """``model_class(classes)``: four blocks, mean over time, linear."""
    for classes, parameters in ((10, 25_290), (35, 26_915)):
        model = call(model_class, classes)
        got = sum(parameter.numel() for parameter in model.parameters())
        if got != parameters:
            listed = "layers in a Python list are not registered: nn.Sequential, nn.ModuleList"
            known = {
                parameters - 384: "batch normalisation is missing: two numbers a channel",
                parameters - 192: "the convolutions have a bias",
                25_290: "the last layer has as many outputs as the argument classes says",
                65 * classes: listed,
                0: listed,
            }
            cause = "the table's convolutions with bias, batch norms, and a linear layer from 64"
            cause = known.get(got, cause)
            fail(f"{parameters:,} parameters for {classes} classes", f"{got:,}", cause)
    torch.manual_seed(0)
    model = model_class(10)
    layers = [module for module in model.modules() if not list(module.children())]
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv1d)]
    shapes = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in convolutions]
    expected_shapes = [(1, 32, 80, 16), (32, 32, 3, 1), (32, 64, 3, 1), (64, 64, 3, 1)]
    if shapes != expected_shapes:
        fail(expected_shapes, shapes, "each row of the table: in, out, taps, stride")
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm1d)]
    if len(norms) != 4:
        fail("4 nn.BatchNorm1d", len(norms), "one in each block, for the channels that come out")
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)][-1]
    with torch.no_grad():
        for norm in norms:  # as after some training: else a wrong order would not be seen
            norm.weight.uniform_(-2, 2)
            norm.bias.uniform_(-0.5, 0.5)
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.5, 2)

    def oracle(x, order="norm relu pool", pool=torch.amax, width=4):
        """The same weights, block by block."""
        for convolution, norm in zip(convolutions, norms, strict=True):
            x = F.conv1d(x, convolution.weight, convolution.bias, convolution.stride)
            for step in order.split():
                if step == "norm":
                    x = (x - norm.running_mean[:, None]) / (norm.running_var[:, None] + 1e-5).sqrt()
                    x = norm.weight[:, None] * x + norm.bias[:, None]
                elif step == "relu":
                    x = x.clamp(min=0)
                else:
                    steps = x.shape[2] // width
                    x = pool(x[:, :, : width * steps].unflatten(2, (steps, width)), dim=3)
        return x.mean(dim=2) @ linear.weight.T + linear.bias

    model.eval()
    for time in (8000, 16_000):
        waveforms = torch.randn(3, 1, time, generator=generator(time))
        with torch.no_grad():
            try:
                got = call(model, waveforms)
            except CheckFailed as error:
                if time == 8000:
                    raise
                cause = "it works for one second only: take the mean over the time that is left"
                got = textwrap.shorten(str(error.__cause__), 120)
                fail("logits for clips of two seconds, too", got, cause)
            same_shape(got, (3, 10), "mean over what is left of time, then the linear layer")
            for kind, values in (("probabilities", got), ("log-probabilities", got.exp())):
                if torch.allclose(values.sum(dim=1), torch.ones(3), atol=1e-4):
                    fail("logits", kind, "the loss applies log-softmax, not the model")
            known = {
                "ReLU comes after batch norm": oracle(waveforms, "relu norm pool"),
                "the pooling is the last step of a block": oracle(waveforms, "pool norm relu"),
                "each block has a ReLU": oracle(waveforms, "norm pool"),
                "max pooling, not the average": oracle(waveforms, pool=torch.mean),
                "pooling of 4 samples, not of 2": oracle(waveforms, width=2),
            }
            if time == 8000:
                cause = "in each block convolution without padding, batch norm, ReLU, max pooling"
            else:  # of one second one step is left: its mean, maximum and last step are the same
                cause = "one second is right, two are not: take the mean over the time that is left"
            cause = recognised(got, known, cause, 1e-4)
            close(got, oracle(waveforms), cause, 1e-4, "a logit")
    passed("25,290 parameters for 10 words, and the blocks compute what they should")


def batch_norm(answer: Callable) -> None:
    """``answer(x, gamma, beta, running_mean, running_var, training) -> y, mean, var``."""
    random = generator(9)
    layer = nn.BatchNorm1d(3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.0, -3.0]))
        layer.running_mean.copy_(torch.tensor([0.5, -1.0, 2.0]))
        layer.running_var.copy_(torch.tensor([0.3, 4.0, 1.5]))
    mean, var = layer.running_mean.clone(), layer.running_var.clone()
    shapes = ((4, 5), (2, 7), (3, 1))
    for batch, time in shapes:
        x = 3 * torch.randn(batch, 3, time, generator=random, dtype=torch.float64) + 2
        gamma, beta = layer.weight.detach(), layer.bias.detach()
        before = mean.clone(), var.clone()
        for training in (False, True):
            layer.train(training)
            expected = layer(x).detach()  # in train mode it also updates its averages
            result = call(answer, x, gamma, beta, *before, training)
            if not (isinstance(result, tuple | list) and len(result) == 3):
                fail(
                    "(y, running_mean, running_var)", type(result).__name__, "return three tensors"
                )
            y, got_mean, got_var = result
            same_shape(y, (batch, 3, time), "the output has the shape of the input")
            known = _norm_mistakes(x, gamma, beta, mean, var, training)
            cause = "gamma * (x - mean) / sqrt(var + 1e-5) + beta, with the running averages"
            if training:
                cause = "mean and variance of this batch, for each channel: dim=(0, 2); then scale"
            close(y, expected, recognised(y, known, cause, 1e-9), 1e-9, "an output")
            if not (torch.equal(before[0], mean) and torch.equal(before[1], var)):
                fail("the running averages unchanged", "changed", "make new tensors, not in place")
            if training:
                cause = "0.9 * running + 0.1 * batch"
                swapped = "0.9 of the old average and 0.1 of this batch's, not the other way round"
                biased = 0.9 * var + 0.1 * x.var(dim=(0, 2), unbiased=False)
                known_mean = {swapped: 0.1 * mean + 0.9 * x.mean(dim=(0, 2))}
                known_var = {
                    swapped: 0.1 * var + 0.9 * x.var(dim=(0, 2)),
                    "the variance that is kept divides by n - 1": biased,
                }
            else:
                cause = "evaluation does not change the running averages"
                known_mean = known_var = {}
            cause_mean = recognised(got_mean, known_mean, cause, 1e-6)
            close(got_mean, layer.running_mean, cause_mean, 1e-9, "a running mean")
            cause_var = recognised(got_var, known_var, cause, 1e-6)
            close(got_var, layer.running_var, cause_var, 1e-9, "a running variance")
        mean, var = layer.running_mean.clone(), layer.running_var.clone()
    passed(f"equal to torch in both modes, over {len(shapes)} batches")


def _norm_mistakes(
    x: Tensor,
    gamma: Tensor,
    beta: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    training: bool,
) -> dict[str, Tensor]:
    """Causes, and the outputs to which they lead."""

    def normal(mean, var, inside=1e-5, outside=0.0):
        deviation = (var[:, None] + inside).sqrt() + outside
        return gamma[:, None] * (x - mean[:, None]) / deviation + beta[:, None]

    running = running_mean, running_var
    own = x.mean(dim=(0, 2)), x.var(dim=(0, 2), unbiased=False)
    right, other = (own, running) if training else (running, own)
    known = {
        "training uses mean and variance of this batch, evaluation the averages": normal(*other),
        "the 1e-5 is added to the variance, under the root": normal(*right, 0.0, 1e-5),
        "the 1e-5 under the root is missing": normal(*right, 0.0),
    }
    if training:
        cause = "the variance that normalises divides by n, not by n - 1"
        known[cause] = normal(own[0], x.var(dim=(0, 2)))
    return known


# ---------------------------------------------------------------- training and use


def run_epoch(answer: Callable) -> None:
    """``answer(model, waveforms, labels, batch_size, optimiser, scheduler, augment)``."""

    class Watched(nn.Module):
        """A linear model that remembers how it was called."""

        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.linear = nn.Linear(4, 3)
            self.calls = []

        def forward(self, x):
            self.calls.append((self.training, torch.is_grad_enabled(), x[:, 0].tolist()))
            return self.linear(x)

    x = torch.randn(10, 4, generator=generator(3))
    x[:, 0] = torch.arange(1, 11) / 10  # the first number names the clip
    y = torch.arange(10) % 3
    augmented = []

    def augment(batch):
        augmented.append(len(batch))
        return -batch

    class Halving:
        """A scheduler: the rate halves with each step."""

        def __init__(self, optimiser):
            self.optimiser, self.steps = optimiser, 0

        def step(self):
            self.steps += 1
            self.optimiser.param_groups[0]["lr"] /= 2

    model = Watched().train()
    result = call(answer, model, x, y, 4, None, None, augment)
    _two_floats(result)
    if any(training for training, _, _ in model.calls):
        fail("eval mode", "train mode", "without an optimiser: model.eval() or model.train(False)")
    if any(gradients for _, gradients, _ in model.calls):
        cause = "without an optimiser: torch.no_grad() or torch.set_grad_enabled(False)"
        fail("no gradients", "gradients recorded", cause)
    if augmented:
        fail("clips as they are", "augmented ones", "evaluation does not augment, even if it could")
    order = _rows_seen(model.calls, len(x))
    if _flat(order) != list(range(10)):
        fail("the clips in order", "another order", "evaluation does not shuffle")
    _mean_over_clips(result, model.linear, x, y, order)

    orders = []
    for rate in (0.0, 0.5):
        model = Watched().eval()
        weight, bias = model.linear.weight.detach().clone(), model.linear.bias.detach().clone()
        optimiser = torch.optim.SGD(model.parameters(), lr=rate)
        scheduler = Halving(optimiser)
        augmented.clear()
        torch.manual_seed(len(orders))
        result = call(answer, model, x, y, 4, optimiser, scheduler, augment)
        _two_floats(result)
        if not all(training and gradients for training, gradients, _ in model.calls):
            cause = "with an optimiser: model.train(), gradients on"
            fail("train mode", "eval mode, or no gradients", cause)
        order = _rows_seen(model.calls, len(x))
        orders.append(_flat(order))
        if augmented != [len(rows) for rows in order]:
            cause = "in training x = augment(x) for each batch, if augment is given"
            fail(f"augment called {len(order)} times", f"{len(augmented)} times", cause)
        if any(value > 0 for _, _, batch in model.calls for value in batch):
            cause = "augment returns a new batch: x = augment(x), before model(x)"
            fail("augmented clips in the model", "the clips as they were", cause)
        if scheduler.steps != len(order):
            cause = "scheduler.step() after each optimiser step, not after each epoch"
            fail(f"{len(order)} steps of the scheduler", scheduler.steps, cause)
        if rate == 0:  # the weights stand still
            _mean_over_clips(result, model.linear, -x, y, order)
    if orders[0] == list(range(10)) or orders[0] == orders[1]:
        fail("a random order in training", "always the same", "torch.randperm(len(labels))")
    if torch.equal(model.linear.weight, weight):
        fail("weights that moved", "the same", "zero_grad, backward, step: is one missing?")

    def descend(rates, keep=0.0):
        """Weights in closed form; `keep` is the part of the gradient that is not emptied."""
        w, b, dw, db = weight, bias, 0.0, 0.0
        for rows, rate in zip(order, rates, strict=True):
            error = torch.softmax(-x[rows] @ w.T + b, dim=1) - torch.eye(3)[y[rows]]
            dw = keep * dw + error.T @ -x[rows] / len(rows)
            db = keep * db + error.mean(dim=0)
            w, b = w - rate * dw, b - rate * db
        return w

    rates = [0.5, 0.25, 0.125]
    known = {
        "gradients add up: optimiser.zero_grad() before each backward": descend(rates, keep=1.0),
        "scheduler.step() comes after optimiser.step()": descend([rate / 2 for rate in rates]),
    }
    cause = "zero_grad, backward, step for each batch; the mean of cross entropy"
    cause = recognised(model.linear.weight, known, cause, 1e-4)
    close(model.linear.weight, descend(rates), cause, 1e-4, "a weight after three steps")
    passed("evaluation in order and untouched, training shuffled, augmented and scheduled")


def _rows_seen(calls: list, clips: int) -> list[list[int]]:
    """The rows of each batch that the model has seen, each row once, up to 4 at a time."""
    rows = [[round(10 * abs(value)) - 1 for value in batch] for _, _, batch in calls]
    sizes = [len(batch) for batch in rows]
    if max(sizes, default=0) > 4:
        fail("batches of 4", f"one of {max(sizes)}", "split the rows: order.split(batch_size)")
    if sorted(_flat(rows)) != list(range(clips)):
        cause = "call the model once for each batch, the last, smaller one too"
        fail(f"each of {clips} clips once", f"{sum(sizes)} clips in {len(rows)} batches", cause)
    return rows


def _flat(order: list[list[int]]) -> list[int]:
    return [row for batch in order for row in batch]


def _mean_over_clips(
    result: object, linear: nn.Linear, x: Tensor, y: Tensor, order: list[list[int]]
) -> None:
    """Fail unless `result` is loss and accuracy of a linear model that has not moved."""
    rows, labels = (x @ linear.weight.detach().T + linear.bias.detach()).tolist(), y.tolist()

    def loss(row, label):  # the oracle: one clip at a time, in plain Python
        return math.log(math.fsum(map(math.exp, rows[row]))) - rows[row][label]

    means = [sum(loss(row, labels[row]) for row in batch) / len(batch) for batch in order]
    flat = _flat(order)
    known = {
        "the last batch is smaller: add loss.item() * len(y), divide by len(labels)": sum(means)
        / len(means),
        "cross entropy is a mean over the batch: times len(y), before you add it": sum(means)
        / len(flat),
        "one order for both: waveforms[rows] and labels[rows]": sum(map(loss, flat, labels))
        / len(flat),
        "add up the losses of all batches, this is the last one": means[-1],
    }
    cause = "F.cross_entropy of the logits as they come, averaged over all clips"
    expected = sum(loss(row, labels[row]) for row in flat) / len(flat)
    close(result[0], expected, recognised(result[0], known, cause, 1e-6), 1e-5, "a loss")
    right = sum(rows[row].index(max(rows[row])) == labels[row] for row in flat)
    cause = "right answers (argmax over dim=1) of all batches / len(labels), from 0 to 1"
    close(result[1], right / len(flat), cause, 1e-6, "an accuracy")


def _two_floats(result: object) -> None:
    if not (isinstance(result, tuple | list) and len(result) == 2):
        fail("(loss, accuracy)", type(result).__name__, "return two numbers")
    if not all(isinstance(value, float) for value in result):
        kinds = ", ".join(type(value).__name__ for value in result)
        fail("two floats", kinds, "use .item(), and / to divide")


def one_cycle(answer: Callable) -> None:
    """``answer(step, steps, peak) -> learning rate``."""
    for steps, peak in ((100, 0.01), (57, 0.3)):
        parameter = nn.Parameter(torch.zeros(1))
        optimiser = torch.optim.SGD([parameter], lr=1.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, steps, cycle_momentum=False)
        rates = []
        for _ in range(steps):
            rates.append(schedule.get_last_lr()[0])
            with warnings.catch_warnings():  # no weights are moved here, and torch would say so
                warnings.simplefilter("ignore")
                schedule.step()
        for step in (0, int(0.3 * steps) - 1, steps - 1, *range(steps)):  # landmarks first
            got = call(answer, step, steps, peak)
            if not isinstance(got, float):
                fail("a float", type(got).__name__, "math.cos gives a float, torch.cos a tensor")
            if not math.isclose(got, rates[step], rel_tol=1e-6):
                if step == 0:
                    cause = "the first part starts at peak / 25, with u = 0"
                elif step == steps - 1:
                    cause = "the last step has peak / 250000, with u = 1"
                elif step <= 0.3 * steps - 1:
                    cause = "half a cosine up to the peak: u = step / up with up = 0.3 * steps - 1"
                else:
                    cause = "half a cosine down from the peak: u = (step - up) / (steps - 1 - up)"
                fail(f"{rates[step]:.6g} at step {step} of {steps}", f"{got:.6g}", cause)
    passed("equal to torch's OneCycleLR at every step of 100 and of 57")


def predict(answer: Callable) -> None:
    """``answer(model, words, waveform (channel, time), sample_rate) -> word, p, notes``."""

    class Ear(nn.Module):
        """Hears how many zero crossings there are: a stand-in with a known right answer."""

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))
            self.calls = []

        def forward(self, x):
            self.calls.append((x.detach().clone(), self.training, torch.is_grad_enabled()))
            if x.shape != (1, 1, 8000):
                return torch.zeros(len(x), 3)  # the check will say what is wrong
            crossings = (x[..., 1:] * x[..., :-1] < 0).sum(dim=2)[:, 0]  # (batch,)
            centres = torch.tensor([400.0, 1600.0, 4000.0])
            return -((crossings[:, None] - centres) / 400).square() + 0 * self.unused

    words = ["low", "middle", "high"]
    time = torch.arange(8000) / 8000

    def tone(hz: float, samples: int, rate: int) -> Tensor:
        return 0.5 * torch.sin(2 * math.pi * hz * torch.arange(samples) / rate + 0.1)[None]

    quiet = 0.01 * tone(200.0, 24_000, 8000)
    quiet[:, :8000] += 0.02  # an offset has a large sum, but little energy
    quiet[:, 8960:16_960] = 0.5 * torch.sin(2 * math.pi * 800 * time + 0.1)
    cases = {
        "a quiet second at 8 kHz": (0.002 * tone(200, 8000, 8000), 8000, "low", []),
        "0.3 s": (tone(667, 2400, 8000), 8000, "low", ["padded from 2400 samples"]),
        "3 s": (quiet, 8000, "middle", ["kept the loudest second of 24000 samples"]),
        "44.1 kHz stereo": (
            tone(800, 44_100, 44_100) * torch.tensor([[1.0], [0.5]]),
            44_100,
            "middle",
            ["averaged 2 channels", "resampled from 44100 Hz"],
        ),
        "16 kHz, 1.5 s": (
            tone(800, 24_000, 16_000),
            16_000,
            "middle",
            ["resampled from 16000 Hz", "kept the loudest second of 12000 samples"],
        ),
        "silence": (torch.zeros(1, 5000), 16_000, None, ["silence"]),
        "silence in stereo": (torch.zeros(2, 44_100), 44_100, None, ["silence"]),
    }
    for name, (waveform, rate, word, notes) in cases.items():
        model = Ear().train()
        before = waveform.clone()
        result = attempt(answer, model, words, waveform, rate)
        if not (isinstance(result, tuple | list) and len(result) == 3):
            fail("(word, probability, notes)", type(result).__name__, "return three things")
        got_word, probability, got_notes = result
        if word is None:
            if model.calls or (got_word, probability, got_notes) != (None, 0.0, ["silence"]):
                got = "a network that was asked" if model.calls else result
                cause = "look for silence first, and return: every sample is zero"
                fail("(None, 0.0, ['silence']) for silence", got, cause)
            continue
        if not isinstance(got_notes, list | tuple) or list(got_notes) != notes:
            cause = "average, then resample, then count samples at 8 kHz; the task has the words"
            if "silence" in str(got_notes):
                cause = "silence is when every sample is zero; a quiet clip is none"
            fail(f"notes {notes} for {name}", got_notes, cause)
        if len(model.calls) != 1:
            fail("one call of the model", f"{len(model.calls)} calls", "one batch of one clip")
        heard, training, gradients = model.calls[0]
        if heard.shape != (1, 1, 8000):
            cause = "one second at 8 kHz, with a batch axis: waveform[None]"
            fail("a batch of shape (1, 1, 8000)", tuple(heard.shape), cause)
        if training:
            fail("eval mode", "train mode", "call model.eval() before you predict")
        if gradients:
            fail("no gradients", "gradients recorded", "with torch.no_grad():")
        second = _second(waveform, rate)[None]
        exact = not any("loudest" in note for note in notes)
        energy = float(heard.square().sum() / second.square().sum())
        if abs(energy - 1) > 0.02:
            cause = "the second whose squares have the largest sum, not the first or a peak"
            if len(waveform) > 1:
                cause = "the mean of the channels, not their sum, and not the first"
            elif exact:
                cause = "the samples as they are, neither louder nor softer"
            fail(f"a second with the energy of {name}", f"{energy:.2f} of it", cause)
        if exact and float((heard - second).abs().max()) > 0.01 * float(second.abs().max()):
            cause = "the clip as it is, then zeros: F.pad(waveform, (0, missing))"
            fail(f"the samples of {name}", "others, or at another place", cause)
        if got_word != word:
            cause = "argmax over the classes (dim=1), then the word at that position"
            fail(f"{word!r} for {name}", repr(got_word), cause)
        if not isinstance(probability, float) or not 0 <= probability <= 1:
            cause = "softmax(dim=1) of the logits, then float()"
            got = textwrap.shorten(f"{type(probability).__name__} {probability}", 60)
            fail("a float from 0 to 1", got, cause)
        with torch.no_grad():
            expected = float(Ear()(heard).softmax(dim=1).max())
        cause = "softmax(dim=1) over the classes, at the word that was found"
        close(probability, expected, cause, 1e-4, "a probability")
        if not torch.equal(before, waveform):
            fail("the clip unchanged", "a changed clip", "work on a copy, not in place")
    passed(f"{', '.join(cases)}: each was handled and said")


def _second(waveform: Tensor, rate: int) -> Tensor:
    """The loudest second at 8 kHz by brute force, to 10 ms: (1, 8000)."""
    mono = torchaudio.functional.resample(waveform.mean(dim=0), rate, 8000)
    mono = F.pad(mono, (0, max(0, 8000 - len(mono))))
    windows = mono.unfold(0, 8000, 80)
    return windows[windows.square().sum(dim=1).argmax()][None]
