"""Checks of convolutions: rates, lengths, receptive fields, a CNN, its training and its use.

Notebook: 02_raw_waveform_cnn.ipynb
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from course_utils.checks.core import (
    attempt,
    call,
    close,
    fail,
    generator,
    passed,
    same_dtype,
    same_shape,
)

# ---------------------------------------------------------------- before the network


def halve_rate(answer: Callable) -> None:
    """``answer(waveforms (batch, 1, time)) -> (batch, 1, ceil(time / 2))``."""
    import torch

    for batch, time in ((3, 1000), (2, 1001)):
        got = call(answer, torch.rand(batch, 1, time, generator=generator(time)))
        cause = "stride 2, and half of the filter as padding on both sides"
        same_shape(got, (batch, 1, math.ceil(time / 2)), cause)
    same_dtype(got, torch.float32, "stay in float32")
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
            if abs(level - 1) > 0.03:
                cause = "the filter's weights are those of low_pass(), which sum to 1"
            else:
                cause = "the sound has moved: pad by half of the filter, on both sides"
            fail(
                f"a tone of {hz:.0f} Hz as loud and where it was", f"an error of {error:.2f}", cause
            )
    for hz, alias in ((5000.0, 3000), (6500.0, 1500)):
        high = torch.sin(2 * math.pi * hz * time)[None, None]
        left = float(call(answer, high)[0, 0, middle].square().mean()) ** 0.5
        if left > 0.02:  # 0.71 without a filter; 0.002 with the one that is given
            fail(
                f"almost nothing of a tone of {hz:.0f} Hz",
                f"a level of {left:.2f}",
                f"it comes back as {alias} Hz: filter before you drop samples",
            )
    passed("tones up to 3 kHz stay as they are, tones from 5 kHz are gone")


def pad_batch(answer: Callable) -> None:
    """``answer(clips) -> waveforms (batch, 1, longest), lengths (batch,)``."""
    import torch

    for lengths in ([3, 5, 2], [7], [4, 4], [1, 9]):
        clips = [torch.rand(1, n, generator=generator(n)) + 1 for n in lengths]
        result = call(answer, list(clips))
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(waveforms, lengths)", type(result).__name__, "return two tensors")
        waveforms, got_lengths = result
        same_shape(waveforms, (len(clips), 1, max(lengths)), "pad to the longest of this batch")
        same_shape(got_lengths, (len(clips),), "one length a clip")
        same_dtype(got_lengths, torch.int64, "lengths are int64: torch.tensor of Python ints")
        if got_lengths.tolist() != lengths:
            fail(lengths, got_lengths.tolist(), "the lengths before padding, in the same order")
        for row, clip in enumerate(clips):
            kept, rest = waveforms[row, 0, : lengths[row]], waveforms[row, 0, lengths[row] :]
            if not torch.equal(kept, clip[0]):
                fail(
                    f"clip {row} at the start of row {row}", "other samples", "zeros go to the end"
                )
            if bool((rest != 0).any()):
                fail("zeros after the clip", "something else", "pad with zeros")
    passed("batches of 3, 1, 2 and 2 clips, each padded to its longest")


# ---------------------------------------------------------------- convolution


def convolve(answer: Callable) -> None:
    """``answer(x (in, time), weight (out, in, taps), bias (out,), stride) -> (out, steps)``."""
    import torch

    hand = call(
        answer, torch.tensor([[1.0, 2, 3, 4]]), torch.tensor([[[1.0, 10]]]), torch.zeros(1), 1
    )
    same_shape(hand, (1, 3), "a kernel of 2 fits at 3 places of 4 samples")
    if hand.tolist() == [[12.0, 23.0, 34.0]]:
        fail([[21, 32, 43]], [[12, 23, 34]], "the kernel was turned round; here it is not")
    close(hand, [[21.0, 32.0, 43.0]], "1 * x[t] + 10 * x[t + 1]", 1e-6)
    random = generator(6)
    for inputs, outputs, time, taps, stride in (
        (1, 1, 9, 4, 1),
        (3, 2, 11, 3, 2),
        (2, 4, 10, 5, 3),
    ):
        x = torch.randn(inputs, time, generator=random, dtype=torch.float64)
        weight = torch.randn(outputs, inputs, taps, generator=random, dtype=torch.float64)
        bias = torch.randn(outputs, generator=random, dtype=torch.float64)
        got = call(answer, x, weight, bias, stride)
        expected = torch.nn.functional.conv1d(x[None], weight, bias, stride)[0]
        same_shape(
            got,
            tuple(expected.shape),
            "steps: (time - taps) // stride + 1, for each output channel",
        )
        if torch.allclose(got, expected - bias[:, None]):
            fail("the bias added once", "no bias", "each output channel adds its own bias")
        close(
            got,
            expected,
            "sum over all input channels and taps; the window starts at t * stride",
            1e-9,
        )
    passed("equal to the hand-worked example, and to torch with 1 to 4 channels and strides 1 to 3")


def output_length(length: Callable, through: Callable) -> None:
    """``length(samples, taps, stride)`` and ``through(samples, layers)``."""
    for samples in range(1, 40):
        for taps, stride in ((1, 1), (3, 1), (4, 4), (5, 2), (7, 3)):
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
                fail(f"{len(places)} steps for {(samples, taps, stride)}", got, cause)
            if not isinstance(got, int):
                fail("a whole number", type(got).__name__, "use //")
    layers = [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)]
    for samples, expected in (
        (8000, [8000, 496, 124, 122, 30, 28, 7, 5, 1]),
        (16_000, [16_000, 996, 249, 247, 61, 59, 14, 12, 3]),
        (6848, [6848, 424, 106, 104, 26, 24, 6, 4, 1]),
        (6847, [6847, 423, 105, 103, 25, 23, 5, 3, 0]),
    ):
        got = call(through, samples, list(layers))
        if list(got) != expected:
            fail(expected, got, "the input's length first, then each layer on what the last left")
    passed("every window of 1 to 7 taps over 1 to 39 samples, and all four blocks")


def receptive_field(answer: Callable) -> None:
    """``answer(layers) -> samples``."""
    import torch

    cases = [
        [(5, 1)],
        [(3, 1), (3, 1)],
        [(4, 2), (3, 1)],
        [(80, 16), (4, 4)],
        [(3, 2), (2, 3), (4, 1)],
        [(80, 16), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4), (3, 1), (4, 4)],
    ]
    for layers in cases:
        # The oracle: which input samples have a gradient from one output?
        x = torch.zeros(1, 1, 8000, dtype=torch.float64, requires_grad=True)
        y = x
        for taps, stride in layers:
            y = torch.nn.functional.conv1d(y, torch.ones(1, 1, taps, dtype=y.dtype), stride=stride)
        y[0, 0, 0].backward()
        reached = x.grad[0, 0].nonzero()
        expected = int(reached.max() - reached.min()) + 1  # a large stride may leave holes
        got = call(answer, list(layers))
        if got != expected:
            product = math.prod(stride for _, stride in layers)
            if len(layers) == 1:
                cause = "one layer of n taps hears n samples: start with a field of 1"
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
    import torch
    from torch import nn
    from torch.nn import functional as F

    for classes, parameters in ((10, 25_290), (35, 26_915)):
        model = call(model_class, classes)
        got = sum(parameter.numel() for parameter in model.parameters())
        if got != parameters:
            no_norm = parameters - 384
            cause = "the table's convolutions with bias, batch norms, and a linear layer from 64"
            if got == no_norm:
                cause = "batch normalisation is missing: two numbers a channel"
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
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)][-1]
    for norm in norms:  # as after some training: a forgotten norm would else not be seen
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.5, 2)
    model.eval()
    for time in (8000, 16_000):
        waveforms = torch.randn(3, 1, time, generator=generator(time))
        with torch.no_grad():
            got = call(model, waveforms)
            same_shape(got, (3, 10), "mean over what is left of time, then the linear layer")
            # The oracle: the same weights through torch's functions, block by block.
            x = waveforms
            for convolution, norm in zip(convolutions, norms, strict=True):
                x = F.conv1d(x, convolution.weight, convolution.bias, convolution.stride)
                x = (x - norm.running_mean[:, None]) / (norm.running_var[:, None] + 1e-5).sqrt()
                x = (norm.weight[:, None] * x + norm.bias[:, None]).clamp(min=0)
                steps = x.shape[2] // 4
                x = x[:, :, : 4 * steps].unflatten(2, (steps, 4)).amax(dim=3)
            expected = x.mean(dim=2) @ linear.weight.T + linear.bias
            if torch.allclose(got.exp().sum(dim=1), torch.ones(3), atol=1e-4):
                fail("logits", "probabilities", "the loss applies log-softmax, not the model")
            close(
                got,
                expected,
                "in each block convolution, batch norm, ReLU, max pooling of 4, in this order; "
                "at the end the mean over time",
                1e-4,
            )
    passed("25,290 parameters for 10 words, and the blocks compute what they should")


def batch_norm(answer: Callable) -> None:
    """``answer(x, gamma, beta, running_mean, running_var, training) -> y, mean, var``."""
    import torch

    random = generator(9)
    layer = torch.nn.BatchNorm1d(3, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([0.5, 2.0, -1.0]))
        layer.bias.copy_(torch.tensor([1.0, 0.0, -3.0]))
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
            if training:
                cause = "mean and variance (dividing by n) over batch and time, for each channel"
            else:
                cause = "in evaluation use the running averages, not this batch"
            close(y, expected, cause, 1e-9, "an output")
            if not (torch.equal(before[0], mean) and torch.equal(before[1], var)):
                fail("the running averages unchanged", "changed", "make new tensors, not in place")
            cause = (
                "0.9 * running + 0.1 * batch; the variance that is kept divides by n - 1"
                if training
                else "evaluation does not change the running averages"
            )
            close(got_mean, layer.running_mean, cause, 1e-9, "a running mean")
            close(got_var, layer.running_var, cause, 1e-9, "a running variance")
        mean, var = layer.running_mean.clone(), layer.running_var.clone()
    passed(f"equal to torch in both modes, over {len(shapes)} batches")


# ---------------------------------------------------------------- training and use


def run_epoch(answer: Callable) -> None:
    """``answer(model, waveforms, labels, batch_size, optimiser, scheduler, augment)``."""
    import torch
    from torch import nn

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
    x[:, 0] = torch.arange(10) / 10  # the first number names the clip
    y = torch.arange(10) % 3
    names = [round(value, 4) for value in x[:, 0].tolist()]

    model = Watched().train()
    result = call(answer, model, x, y, 4)
    _two_floats(result)
    modes = {(training, gradients) for training, gradients, _ in model.calls}
    if modes != {(False, False)}:
        fail(
            "eval mode without gradients",
            f"train mode {modes.pop()[0]}",
            "without an optimiser: model.train(False) and torch.set_grad_enabled(False)",
        )
    seen = [round(value, 4) for _, _, batch in model.calls for value in batch]
    if seen != names:
        fail("all 10 clips in order", f"{len(seen)} clips", "evaluation takes every clip, in order")
    with torch.no_grad():
        logits = model.linear(x).double()
    # The oracle: one clip at a time, in plain Python.
    losses = [
        math.log(math.fsum(math.exp(v) for v in row)) - row[label]
        for row, label in zip(logits.tolist(), y.tolist(), strict=True)
    ]
    right = sum(
        row.index(max(row)) == label for row, label in zip(logits.tolist(), y.tolist(), strict=True)
    )
    cause = "the last batch is smaller: weight each batch by its size, divide by all clips"
    close(result[0], math.fsum(losses) / 10, cause, 1e-5, "a loss")
    close(result[1], right / 10, cause, 1e-9, "an accuracy")

    class Counting(torch.optim.lr_scheduler.LambdaLR):
        steps = -1  # torch calls step once while it is made

        def step(self, *arguments):
            type(self).steps += 1
            return super().step(*arguments)

    augmented = []

    def augment(batch):
        augmented.append(len(batch))
        return batch

    orders = []
    for seed in (1, 2):
        model = Watched().eval()
        start = model.linear.weight.detach().clone()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.0 if seed == 1 else 0.5)
        Counting.steps = -1
        augmented.clear()
        scheduler = Counting(optimiser, lambda step: 1.0)
        torch.manual_seed(seed)
        _two_floats(call(answer, model, x, y, 4, optimiser, scheduler, augment))
        modes = {(training, gradients) for training, gradients, _ in model.calls}
        if modes != {(True, True)}:
            fail("train mode", "eval mode", "with an optimiser: model.train(True), gradients on")
        seen = [round(value, 4) for _, _, batch in model.calls for value in batch]
        if sorted(seen) != names:
            fail(
                "each of 10 clips once", f"{len(seen)} clips", "the last, smaller batch counts, too"
            )
        orders.append(seen)
        if augmented != [len(batch) for _, _, batch in model.calls]:
            fail("every training batch augmented", f"{len(augmented)} times", "x = augment(x)")
        if Counting.steps != len(model.calls):
            fail(
                f"{len(model.calls)} steps of the scheduler",
                Counting.steps,
                "scheduler.step() after each optimiser step, not after each epoch",
            )
        if seed == 2 and torch.equal(model.linear.weight, start):
            fail("weights that moved", "the same", "zero_grad, backward, step: is one missing?")
    if orders[0] == names or orders[0] == orders[1]:
        fail("a random order in training", "always the same", "torch.randperm(len(labels))")

    # One batch, twice: plain gradient descent has a closed form, and shows a missing zero_grad.
    model = Watched()
    weight, bias = model.linear.weight.detach().double(), model.linear.bias.detach().double()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    one_hot = torch.eye(3, dtype=torch.float64)[y]
    for _ in range(2):
        error = (torch.softmax(x.double() @ weight.T + bias, dim=1) - one_hot) / 10
        weight, bias = weight - 0.5 * error.T @ x.double(), bias - 0.5 * error.sum(dim=0)
        call(answer, model, x, y, 10, optimiser)
    cause = "zero_grad, backward, step for each batch, in this order; the mean of cross entropy"
    close(model.linear.weight, weight, cause, 1e-4, "a weight after two steps")
    passed("evaluation in order and untouched, training shuffled, augmented and scheduled")


def _two_floats(result: Any) -> None:
    if not (isinstance(result, tuple | list) and len(result) == 2):
        fail("(loss, accuracy)", type(result).__name__, "return two numbers")
    if not all(isinstance(value, float) for value in result):
        kinds = ", ".join(type(value).__name__ for value in result)
        fail("two floats", kinds, "use .item(), and / to divide")


def one_cycle(answer: Callable) -> None:
    """``answer(step, steps, peak) -> learning rate``."""
    import warnings

    import torch

    for steps, peak in ((100, 0.01), (57, 0.3)):
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimiser = torch.optim.SGD([parameter], lr=1.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, steps, cycle_momentum=False)
        for step in range(steps):
            expected = schedule.get_last_lr()[0]
            got = call(answer, step, steps, peak)
            if not (isinstance(got, float) and math.isclose(got, expected, rel_tol=1e-6)):
                if step == 0:
                    cause = "the first part starts at peak / 25"
                elif step <= 0.3 * steps - 1:
                    cause = "half a cosine from peak / 25 up to the peak, u = step / up"
                elif step == steps - 1:
                    cause = "the last step has peak / 250000"
                else:
                    cause = (
                        "from the peak down to peak / 250000, u = (step - up) / (steps - 1 - up)"
                    )
                shown = f"{got:.6g}" if isinstance(got, float) else got
                fail(f"{expected:.6g} at step {step} of {steps}", shown, cause)
            with warnings.catch_warnings():  # no weights are moved here, and torch would say so
                warnings.simplefilter("ignore")
                schedule.step()
    passed("equal to torch's OneCycleLR at every step of 100 and of 57")


def predict(answer: Callable) -> None:
    """``answer(model, words, waveform (channel, time), sample_rate) -> word, p, notes``."""
    import torch
    from torch import nn

    class Ear(nn.Module):
        """Hears how many zero crossings there are: a stand-in with a known right answer."""

        def __init__(self):
            super().__init__()
            self.unused = nn.Parameter(torch.zeros(1))
            self.calls = []

        def forward(self, x):
            self.calls.append((tuple(x.shape), self.training, torch.is_grad_enabled()))
            crossings = (x[..., 1:] * x[..., :-1] < 0).sum(dim=2)[:, 0]  # (batch,)
            centres = torch.tensor([400.0, 1600.0, 4000.0])
            return -((crossings[:, None] - centres) / 400).square() + 0 * self.unused

    words = ["low", "middle", "high"]
    time = torch.arange(8000) / 8000

    def tone(hz: float, samples: int, rate: int) -> torch.Tensor:
        return 0.5 * torch.sin(2 * math.pi * hz * torch.arange(samples) / rate + 0.1)[None]

    quiet = 0.01 * tone(200.0, 24_000, 8000)
    quiet[:, 9000:17_000] = 0.5 * torch.sin(2 * math.pi * 800 * time + 0.1)
    cases = {
        "one second at 8 kHz": (tone(200, 8000, 8000), 8000, "low", []),
        "0.3 s": (tone(667, 2400, 8000), 8000, "low", ["padded from 2400 samples"]),
        "3 s": (quiet, 8000, "middle", ["kept the loudest second of 24000 samples"]),
        "44.1 kHz stereo": (
            tone(800, 44_100, 44_100).repeat(2, 1),
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
    }
    for name, (waveform, rate, word, notes) in cases.items():
        model = Ear().train()
        before = waveform.clone()
        result = attempt(answer, model, words, waveform, rate)
        if not (isinstance(result, tuple | list) and len(result) == 3):
            fail("(word, probability, notes)", type(result).__name__, "return three things")
        got_word, probability, got_notes = result
        if list(got_notes) != notes:
            cause = "the notes in the words and the order of the task; lengths count at 8 kHz"
            fail(f"{notes} for {name}", got_notes, cause)
        for shape, training, gradients in model.calls:
            if shape != (1, 1, 8000):
                fail(
                    "a batch of shape (1, 1, 8000)", shape, "one second at 8 kHz, with a batch axis"
                )
            if training:
                fail("eval mode", "train mode", "call model.eval() before you predict")
            if gradients:
                fail("no gradients", "gradients recorded", "with torch.no_grad():")
        if got_word != word:
            cause = {
                "3 s": "take the second with the most energy, not the first one",
                "silence": "return None for silence, before the network is asked",
            }.get(name, "argmax over the classes, then the word at that position")
            fail(f"{word!r} for {name}", repr(got_word), cause)
        if not isinstance(probability, float) or not 0 <= probability <= 1:
            fail(
                "a probability from 0 to 1 as a float", probability, "softmax(dim=1), then float()"
            )
        if word is None:
            close(probability, 0.0, "silence has the probability 0.0")
        else:
            with torch.no_grad():
                logits = Ear()(_second(waveform, rate)[None])
            expected = float(logits.softmax(dim=1).max())
            close(probability, expected, "softmax over the classes, of the largest logit", 0.05)
        if not torch.equal(before, waveform):
            fail("the clip unchanged", "a changed clip", "work on a copy, not in place")
    passed(f"{', '.join(cases)}: each was handled and said")


def _second(waveform: Any, rate: int) -> Any:
    """The loudest second at 8 kHz by brute force, to 10 ms: (1, 8000)."""
    import torch
    import torchaudio

    mono = torchaudio.functional.resample(waveform.mean(dim=0), rate, 8000)
    mono = torch.nn.functional.pad(mono, (0, max(0, 8000 - len(mono))))
    windows = mono.unfold(0, 8000, 80)
    return windows[windows.square().sum(dim=1).argmax()][None]
