"""Checks of a convolutional network: its blocks, its norm, and what it is asked for."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    Watched,
    are_logits,
    attempt,
    call,
    close,
    fail,
    generator,
    passed,
    recognised,
    same_shape,
)

# 2.6 - The network


def waveform_cnn(model_class: Callable) -> None:
    """Four blocks, a mean over time and a linear layer, with the weights of the answer.

    ``model_class(classes)``: four blocks, mean over time, linear
    """
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
            are_logits(got, "the loss applies log-softmax, not the model")
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


# 2.7 - Batch normalisation, two ways


def batch_norm(answer: Callable) -> None:
    """Equal to torch's layer in both modes, running averages too.

    ``answer(x, gamma, beta, running_mean, running_var, training) -> y, mean, var``
    """
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


# 2.10 - Predict one clip of any length and rate


class _Ear(nn.Module):
    """Hears how many zero crossings there are: a stand-in with a known right answer."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape != (1, 1, 8000):
            return torch.zeros(len(x), 3)  # the check will say what is wrong
        crossings = (x[..., 1:] * x[..., :-1] < 0).sum(dim=2)[:, 0]  # (batch,)
        centres = torch.tensor([400.0, 1600.0, 4000.0])
        return -((crossings[:, None] - centres) / 400).square() + 0 * self.unused


def _tone(hz: float, samples: int, rate: int) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * hz * torch.arange(samples) / rate + 0.1)[None]


def _clips() -> dict[str, tuple[Tensor, int, str | None, list[str]]]:
    """By name: waveform, sample rate, the word to be heard, and the notes to be made."""
    quiet = 0.01 * _tone(200.0, 24_000, 8000)
    quiet[:, :8000] += 0.02  # an offset has a large sum, but little energy
    quiet[:, 8960:16_960] = _tone(800, 8000, 8000)
    stereo = _tone(800, 44_100, 44_100) * torch.tensor([[1.0], [0.5]])
    notes = {
        "stereo": ["averaged 2 channels", "resampled from 44100 Hz"],
        "long": ["resampled from 16000 Hz", "kept the loudest second of 12000 samples"],
    }
    return {
        "a quiet second at 8 kHz": (0.002 * _tone(200, 8000, 8000), 8000, "low", []),
        "0.3 s": (_tone(667, 2400, 8000), 8000, "low", ["padded from 2400 samples"]),
        "3 s": (quiet, 8000, "middle", ["kept the loudest second of 24000 samples"]),
        "44.1 kHz stereo": (stereo, 44_100, "middle", notes["stereo"]),
        "16 kHz, 1.5 s": (_tone(800, 24_000, 16_000), 16_000, "middle", notes["long"]),
        "silence": (torch.zeros(1, 5000), 16_000, None, ["silence"]),
        "silence in stereo": (torch.zeros(2, 44_100), 44_100, None, ["silence"]),
    }


def predict(answer: Callable) -> None:
    """Clips of any length, rate and number of channels reach the network as one second.

    ``answer(model, words, waveform (channel, time), sample_rate) -> word, p, notes``
    """
    words = ["low", "middle", "high"]
    clips = _clips()
    for name, (waveform, rate, word, notes) in clips.items():
        model = Watched(_Ear()).train()
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
        heard = _asked_once(model)
        exact = not any("loudest" in note for note in notes)
        _right_second(heard, waveform, rate, name, exact)
        if got_word != word:
            cause = "argmax over the classes (dim=1), then the word at that position"
            fail(f"{word!r} for {name}", repr(got_word), cause)
        if not isinstance(probability, float) or not 0 <= probability <= 1:
            cause = "softmax(dim=1) of the logits, then float()"
            got = textwrap.shorten(f"{type(probability).__name__} {probability}", 60)
            fail("a float from 0 to 1", got, cause)
        with torch.no_grad():
            expected = float(_Ear()(heard).softmax(dim=1).max())
        cause = "softmax(dim=1) over the classes, at the word that was found"
        close(probability, expected, cause, 1e-4, "a probability")
        if not torch.equal(before, waveform):
            fail("the clip unchanged", "a changed clip", "work on a copy, not in place")
    passed(f"{', '.join(clips)}: each was handled and said")


def _asked_once(model: Watched) -> Tensor:
    """What the model heard; fail unless it was asked once, as a model is to be asked."""
    if len(model.calls) != 1:
        fail("one call of the model", f"{len(model.calls)} calls", "one batch of one clip")
    training, gradients, heard = model.calls[0]
    if heard.shape != (1, 1, 8000):
        cause = "one second at 8 kHz, with a batch axis: waveform[None]"
        fail("a batch of shape (1, 1, 8000)", tuple(heard.shape), cause)
    if training:
        fail("eval mode", "train mode", "call model.eval() before you predict")
    if gradients:
        fail("no gradients", "gradients recorded", "with torch.no_grad():")
    return heard


def _right_second(heard: Tensor, waveform: Tensor, rate: int, name: str, exact: bool) -> None:
    """Fail unless the model heard the right second; with `exact`, sample by sample."""
    second = _second(waveform, rate)[None]
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


def _second(waveform: Tensor, rate: int) -> Tensor:
    """The loudest second at 8 kHz by brute force, to 10 ms: (1, 8000)."""
    mono = torchaudio.functional.resample(waveform.mean(dim=0), rate, 8000)
    mono = F.pad(mono, (0, max(0, 8000 - len(mono))))
    windows = mono.unfold(0, 8000, 80)
    return windows[windows.square().sum(dim=1).argmax()][None]
