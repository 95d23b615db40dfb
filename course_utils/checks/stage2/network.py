"""Checks of a convolutional network: its blocks, its norm, and what it is asked for."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree, gradients_arrive, same
from course_utils.checks.core import (
    attempt,
    call,
    chance,
    check,
    fail,
    generator,
    passed,
)

# 2.6 - The network

_TABLE = ((1, 32, 80, 16), (32, 32, 3, 1), (32, 64, 3, 1), (64, 64, 3, 1))


class _Blocks(nn.Module):
    """The network of the task, from torch's layers; each argument is a way to go wrong."""

    def __init__(
        self, classes: int, order: str = "norm relu pool", *, norm: Callable = nn.BatchNorm1d,
        relu: Callable = nn.ReLU, pool: Callable = nn.MaxPool1d, width: int = 4, bias: bool = True,
        padding: bool = False, gather: Callable = lambda layers: nn.Sequential(*layers),
        begin: Callable = lambda x: x, over: Callable = lambda x: x.mean(dim=2),
        end: Callable = lambda x: x,
    ):
        super().__init__()
        layers = []
        for inputs, outputs, taps, stride in _TABLE:
            beside = taps // 2 if padding else 0
            layers.append(nn.Conv1d(inputs, outputs, taps, stride, beside, bias=bias))
            made = {"norm": norm(outputs), "relu": relu(), "pool": pool(width)}
            layers += [made[step] for step in order.split()]
        self.blocks, self.output = gather(layers), nn.Linear(64, classes)
        self.begin, self.over, self.end = begin, over, end

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, time) -> logits (batch, classes)."""
        x = self.begin(x)
        for layer in self.blocks:
            x = layer(x)
        return self.end(self.output(self.over(x)))


def _blocks(*order: str, **mistake: object) -> Callable[[int], nn.Module]:
    return lambda classes: _Blocks(classes, *order, **mistake)


CNN_MISTAKES: dict[str, Callable] = {
    "batch normalisation is missing: two numbers a channel": _blocks("relu pool"),
    "the convolutions have a bias": _blocks(bias=False),
    "the last layer has as many outputs as the argument classes says": lambda _: _Blocks(10),
    "layers in a Python list are not registered: nn.Sequential, nn.ModuleList":
        _blocks(gather=list),
    "batch norm keeps running averages, for evaluation":
        _blocks(norm=lambda channels: nn.BatchNorm1d(channels, track_running_stats=False)),
    "ReLU comes after batch norm": _blocks("relu norm pool"),
    "the pooling is the last step of a block": _blocks("pool norm relu"),
    "each block has a ReLU": _blocks("norm pool"),
    "nn.ReLU has no upper end: not ReLU6": _blocks(relu=nn.ReLU6),
    "pooling of 4 samples, not of 2": _blocks(width=2),
    "max pooling, not the average": _blocks(pool=nn.AvgPool1d),
    "convolution without padding": _blocks(padding=True),
    "the loss applies log-softmax, not the model": _blocks(end=lambda x: x.log_softmax(dim=1)),
    "logits, as the last layer gives them: no softmax behind it":
        _blocks(end=lambda x: x.softmax(dim=1)),
    "it works for one second only: take the mean over the time that is left":
        _blocks(over=lambda x: x.flatten(1)),
    "one second is right, two are not: take the mean over the time that is left":
        _blocks(over=lambda x: x[..., -1]),
    "the mean over the time that is left, not the largest": _blocks(over=lambda x: x.amax(dim=2)),
    "a longer clip is heard to its end: the mean is over all of its time":
        _blocks(begin=lambda x: x[..., :8000]),
    "a clip may be shorter than a second: nothing is to be filled up":
        _blocks(begin=lambda x: F.pad(x, (0, max(0, 8000 - x.shape[2])))),
    "a batch of one clip keeps its batch axis: no squeeze()": _blocks(end=torch.squeeze),
    "no dropout: the same clips have the same logits each time":
        _blocks(over=nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout())),
    "stay in torch from input to output: no .detach(), .item(), .data or NumPy":
        _blocks(over=lambda x: x.detach().mean(dim=2)),
}
_UNSTEADY, _DETACHED = list(CNN_MISTAKES)[-2:]


def _layers(model: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    found = [layer for layer in model.modules() if isinstance(layer, kind)]
    return sorted(found, key=lambda layer: tuple(next(layer.parameters()).shape))


def _like(model: nn.Module, other: nn.Module) -> nn.Module:
    """`other` with the weights and averages of `model`, layer for layer."""
    for kind in (nn.Conv1d, nn.BatchNorm1d, nn.Linear):
        for mine, theirs in zip(_layers(other, kind), _layers(model, kind), strict=True):
            mine.load_state_dict(theirs.state_dict())
    return other


def _sizes(model: nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(parameter.shape) for parameter in model.parameters())


def _has_its_layers(model: nn.Module, classes: int) -> None:
    """Fail unless the model has the parameters and the layers of the table."""
    if not isinstance(model, nn.Module):
        fail("an nn.Module", type(model).__name__, "class WaveformCNN(nn.Module)")
    right = _sizes(_Blocks(classes))
    if (got := _sizes(model)) != right:
        causes = [cause for cause, make in CNN_MISTAKES.items() if _sizes(make(classes)) == got]
        causes += ["the table's convolutions with bias, batch norms, and a linear layer from 64"]
        wanted, count = (sum(map(math.prod, sizes)) for sizes in (right, got))
        found = f"{count:,}" if count != wanted else f"as many, of the shapes {got}"
        fail(f"{wanted:,} parameters for {classes} classes", found, causes[0])
    found = _layers(model, nn.Conv1d)
    shapes = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in found]
    if sorted(shapes) != sorted(_TABLE):
        fail(list(_TABLE), shapes, "each row of the table: in, out, taps, stride")
    norms = _layers(model, nn.BatchNorm1d)
    if len(norms) != 4:
        fail("4 nn.BatchNorm1d", len(norms), "one in each block, for the channels that come out")
    if any(norm.running_mean is None for norm in norms):
        cause = "batch norm keeps running averages, for evaluation"
        fail("running averages", "none", cause)


@check("2.6", CNN_MISTAKES)
def waveform_cnn(model_class: Callable) -> None:
    """Four blocks, a mean over time and a linear layer, with the weights of the answer.

    ``model_class(classes)``: four blocks, mean over time, linear
    """
    sizes, random = chance(26), generator(26)
    for classes in (10, 35, sizes.randint(3, 9)):
        model = call(model_class, classes)
        _has_its_layers(model, classes)
    with torch.no_grad():
        for norm in _layers(model, nn.BatchNorm1d):  # as after some training, or much of it
            for values, low, high in (
                (norm.weight, -6, 6), (norm.bias, -1, 1), (norm.running_mean, -0.3, 0.3),
                (norm.running_var, 0.2, 2),
            ):
                values.uniform_(low, high, generator=random)
    trained = copy.deepcopy(model)
    clips = [torch.randn(2, 1, 8000, generator=random)]
    clips += [torch.randn(1, sizes.randint(15_400, 16_000), 3, generator=random).permute(2, 0, 1)]
    clips += [torch.randn(1, 1, sizes.randint(6900, 7900), generator=random)]

    def logits(training: bool, x: Tensor, asked: nn.Module | None = None) -> Tensor:
        with torch.no_grad():
            return (model if asked is None else asked).train(training)(x)

    def made(make: Callable) -> Callable:
        return lambda *case: logits(*case, _like(trained, make(classes)))

    if not same(*(attempt(logits, True, clips[0]) for _ in "12"), 1e-6):
        fail("the same logits for the same clips", "others", _UNSTEADY)
    mistakes = {cause: made(make) for cause, make in CNN_MISTAKES.items()}
    otherwise = "in each block convolution without padding, batch norm, ReLU, max pooling"
    for asked in (clips[:1], clips[1:]):
        cases = [(training, x) for training in (False, True) for x in asked]
        model = copy.deepcopy(trained)
        agree(logits, made(_Blocks), cases, mistakes, otherwise, 1e-4, "a logit")
    for norm, before in zip(*(_layers(m, nn.BatchNorm1d) for m in (model, trained)), strict=True):
        if torch.equal(norm.running_mean, before.running_mean):
            cause = "batch norm keeps running averages, for evaluation"
            fail("running averages that move in training", "the same as before", cause)
    if frozen := [name for name, p in model.named_parameters() if not p.requires_grad]:
        fail("parameters that learn", f"{frozen[0]} frozen", "leave requires_grad as it is")
    gradients_arrive(model, clips[2:], model.named_parameters(), _DETACHED)
    passed("25,290 parameters for 10 words, and the blocks compute what they should")


# 2.7 - Batch normalisation, two ways


def _torch_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, training: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The oracle: torch's function, on copies of the averages."""
    mean, var = mean.detach().clone(), var.detach().clone()
    return F.batch_norm(x, mean, var, gamma, beta, training), mean, var


def _norm(
    x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, training: bool, *,
    less: int = 0, kept_less: int = 1, new: float = 0.1, dims: Sequence[int] = (0, 2),
    own: bool | None = None, updates: bool | None = None, averages: bool = False,
    inside: float = 1e-5, outside: float = 0.0, detached: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """By hand; each argument behind the star is a way to go wrong."""
    own_mean = x.mean(dim=dims, keepdim=True)
    own_var, kept_var = (x.var(dim=dims, correction=n, keepdim=True) for n in (less, kept_less))
    if detached:
        own_mean, own_var = own_mean.detach(), own_var.detach()
    old_mean, old_var = mean, var
    if training if updates is None else updates:
        mean = (1 - new) * mean + new * own_mean.amax(dim=(0, 2))
        var = (1 - new) * var + new * kept_var.amax(dim=(0, 2))
    if not (training if own is None else own):
        own_mean, own_var = (mean, var) if averages else (old_mean, old_var)
        own_mean, own_var = own_mean[:, None], own_var[:, None]
    y = (x - own_mean) / ((own_var + inside).sqrt() + outside)
    return gamma[:, None] * y + beta[:, None], mean, var


NORM_MISTAKES: dict[str, Callable] = {
    "the variance that normalises divides by n, not by n - 1": functools.partial(_norm, less=1),
    "the variance that is kept divides by n - 1": functools.partial(_norm, kept_less=0),
    "mean and variance of this batch, for each channel: dim=(0, 2); then scale":
        functools.partial(_norm, own=False, averages=True),
    "training uses mean and variance of this batch, evaluation the averages":
        functools.partial(_norm, own=True, updates=True),
    "evaluation normalises with the averages, not with this batch's own":
        functools.partial(_norm, own=True),
    "in training mean and variance of this batch, not the averages of before":
        functools.partial(_norm, own=False),
    "evaluation does not change the running averages": functools.partial(_norm, updates=True),
    "the 1e-5 is added to the variance, under the root":
        functools.partial(_norm, inside=0, outside=1e-5),
    "the 1e-5 under the root is missing": functools.partial(_norm, inside=0),
    "0.9 of the old average and 0.1 of this batch's, not the other way round":
        functools.partial(_norm, new=0.9),
    "over all moments of all clips, not of each clip alone: dim=(0, 2)":
        functools.partial(_norm, dims=(2,)),
    "each channel has a mean and a variance of its own: dim=(0, 2)":
        lambda *case: _norm(*case, dims=(0, 1, 2)),
    "scale by gamma": lambda x, gamma, *rest: _norm(x, torch.ones_like(gamma), *rest),
    "move by beta": lambda x, gamma, beta, *rest: _norm(x, gamma, 0 * beta, *rest),
    "return three tensors": lambda *case: _norm(*case)[0],
    "the result has the dtype of x": lambda *case: [value.double() for value in _norm(*case)],
    "mean and variance of the batch depend on x, for the gradient, too":
        functools.partial(_norm, detached=True),
}


def _slopes(function: Callable) -> Callable:
    """The gradients of a weighted sum of the output, by x, gamma and beta."""

    def slopes(*case: object) -> tuple[Tensor, ...]:
        leaves = [value.clone().requires_grad_() for value in case[:3]]
        y = function(*leaves, *case[3:])[0]
        weights = torch.linspace(0.5, 1.5, y.numel(), dtype=y.dtype).reshape(y.shape).square()
        return torch.autograd.grad((y * weights).sum(), leaves)

    return slopes


@check("2.7", NORM_MISTAKES, draws=False)
def batch_norm(answer: Callable) -> None:
    """Equal to torch's layer in both modes, running averages and gradients, too.

    ``answer(x, gamma, beta, running_mean, running_var, training) -> y, mean, var``
    """
    sizes, random = chance(27), generator(27)
    cases = []
    for batch, channels, time in ((4, 3, 5), (2, 5, 7), (3, 2, 1), (1, 4, sizes.randint(6, 9))):
        x, (gamma, beta, mean, var) = (
            torch.randn(*size, generator=random, dtype=torch.float64)
            for size in ((batch, channels, time), (4, channels))
        )
        x, var = 3 * x + 2, var.square() + 0.3
        x[:, 0] *= 1e-3  # nearly silent, so that 1e-5 counts
        if batch == 2:
            x[:, 1], x = 0, x.transpose(1, 2).contiguous().transpose(1, 2)
        cases += [(x, gamma, beta, mean, var, training) for training in (False, True)]
    cases += [tuple(v.float() if isinstance(v, Tensor) else v for v in case) for case in cases[:2]]
    otherwise = (
        "gamma * (x - mean) / sqrt(var + 1e-5) + beta: in training with mean and variance of this "
        "batch, for each channel; 0.9 * running + 0.1 * batch is kept"
    )
    agree(answer, _torch_norm, cases, NORM_MISTAKES, otherwise, 1e-5)
    cause = "stay in torch from input to output: no .detach(), .item(), .data or NumPy"
    gradients_arrive(lambda *leaves: answer(*leaves, *cases[1][3:])[0], cases[1][:3], (), cause)
    slopes = {mistake: _slopes(make) for mistake, make in NORM_MISTAKES.items()}
    agree(_slopes(answer), _slopes(_torch_norm), cases[:4], slopes, otherwise, name="a gradient")
    passed("equal to torch in both modes, over 4 batches")
