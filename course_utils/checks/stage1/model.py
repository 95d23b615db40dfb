"""Checks of a model and its loss."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree, gradients_arrive, same, same_in_both_modes
from course_utils.checks.core import (
    CheckFailed,
    are_logits,
    call,
    chance,
    check,
    close,
    fail,
    generator,
    passed,
    same_shape,
)
from course_utils.checks.unaided import by_hand

# 1.4 - The multilayer perceptron


def _mlp(
    forward: Callable = lambda model, x: model.layers(x), relus: str = "11 ", inputs: int = 0,
    bias: bool = True, flat: bool = True, registered: bool = True,
) -> type[nn.Module]:
    """The network with something changed."""

    class SpeechMLP(nn.Module):
        def __init__(self, classes: int, inputs: int = inputs or 16_000, fixed: int = inputs):
            super().__init__()
            layers: list[nn.Module] = [nn.Flatten()] if flat else []
            sizes = pairwise((fixed or inputs, 128, 64, classes))
            for (a, b), relu in zip(sizes, relus, strict=True):
                layers += [nn.Linear(a, b, bias), nn.ReLU()][: 1 + (relu == "1")]
            self.layers = nn.Sequential(*layers) if registered else (nn.Sequential(*layers),)

        def forward(self, waveforms: Tensor) -> Tensor:
            return forward(self, waveforms)

    return SpeechMLP


_MLP_MISTAKES: dict[str, Any] = {
    "layers in a Python list are not registered; nn.Sequential registers them":
        _mlp(lambda model, x: model.layers[0](x), registered=False),
    "the first layer takes as many numbers as the argument inputs says": _mlp(inputs=16_000),
    "three linear layers with bias: inputs to 128, 128 to 64, 64 to the classes": _mlp(bias=False),
    "flatten (batch, 1, inputs) to (batch, inputs) first": _mlp(flat=False),
    "the loss applies log-softmax; return what the last layer gives":
        _mlp(lambda model, x: model.layers(x).softmax(dim=1)),
    "a batch of one clip is a batch, too: flatten(1) keeps it, squeeze() drops it":
        _mlp(lambda model, x: model.layers[1:](x.squeeze())),
    "a ReLU after the first and the second layer, none after the last, nothing else":
        _mlp(relus="1  "),
    "train mode and eval mode compute the same here: there is no dropout in this network":
        _mlp(lambda model, x: model.layers(x) + 0.1 * model.training),
    "stay in torch from input to output: no .detach(), .item(), .data or NumPy":
        _mlp(lambda model, x: model.layers[3:](model.layers[:3](x).detach())),
}
_LISTED, _INPUTS, _SIZES, _FLAT, _LOGITS, _ONE, _RELU, _MODES, _DETACHED = _MLP_MISTAKES


@check("1.4", _MLP_MISTAKES)
def mlp(model_class: Callable) -> None:
    """Parameters as counted by hand, and logits as three multiplications by hand.

    ``model_class(classes, inputs=16000)``: inputs-128-64-classes on ``(batch, 1, inputs)``
    """
    random = chance(4)
    classes, inputs = random.choice([10, 11, 12, 13]), random.choice([23, 24, 25, 26])
    for sizes in ((35,), (classes,), (classes, inputs)):
        model = call(model_class, *sizes)
        got = sum(parameter.numel() for parameter in model.parameters())
        shape = (*sizes[1:], 128, 64, sizes[0]) if len(sizes) > 1 else (16_000, 128, 64, sizes[0])
        parameters = sum(a * b + b for a, b in pairwise(shape))
        if got != parameters:
            cause = _LISTED if got == 0 else _INPUTS if len(sizes) == 2 else _SIZES
            asked = " and ".join(
                f"{n} {name}" for n, name in zip(sizes, ("classes", "inputs"), strict=False)
            )
            fail(f"{parameters:,} parameters for {asked}", f"{got:,}", cause)
    waveforms = torch.randn(3, 1, inputs, generator=generator(0))
    with torch.no_grad():
        logits = call(model, waveforms)
        same_shape(logits, (3, classes), _FLAT)
        are_logits(logits, _LOGITS)
        same_shape(call(model, waveforms[:1]), (1, classes), _ONE)

    def layers(training: bool, x: Tensor) -> Tensor:
        """The oracle: the same weights, found by their size and multiplied out by hand."""
        found = {parameter.numel(): parameter.detach() for parameter in model.parameters()}
        x = x[:, 0]
        for fan_in, fan_out in pairwise((inputs, 128, 64, classes)):
            weight = found[fan_in * fan_out]
            weight = weight.flatten(1)  # as that of a convolution over the whole clip
            weight = weight if weight.shape == (fan_in, fan_out) else weight.T
            x = x @ weight + found[fan_out].flatten()
            x = x.clamp(min=0) if fan_out > classes else x
        return x

    modes = [call(model.train(mode), waveforms).detach() for mode in (True, False)]
    if not same(*modes, 1e-4) and any(same(m, layers(True, waveforms), 1e-4) for m in modes):
        for mode in modes:
            are_logits(mode, _LOGITS)
        fail("the same logits in train mode and in eval mode", "others", _MODES)
    close(modes[0], layers(True, waveforms), _RELU, 1e-4, "a logit")
    same_in_both_modes(model, layers, [(waveforms,), (waveforms[:1],)], _RELU, 1e-4, "a logit")
    gradients_arrive(model, [waveforms], model.named_parameters(), _DETACHED)
    passed("2,058,659 parameters for 35 words, and the layers compute what they should")


# 1.5 - From logits to a loss


def log_softmax_by_hand(logits: Tensor) -> Tensor:
    """The oracle: exp and log of plain Python numbers, one row at a time."""
    rows = []
    for row in logits.tolist():
        top = max(row)
        total = math.log(math.fsum(math.exp(value - top) for value in row))
        rows.append([value - top - total for value in row])
    return torch.tensor(rows, dtype=torch.float64)


def _loss_by_hand(log_probs: Tensor, labels: Tensor) -> Tensor:
    rows = zip(log_probs.tolist(), labels.tolist(), strict=True)
    return torch.tensor(-math.fsum(row[y] for row, y in rows) / len(labels), dtype=torch.float64)


def _less_log_sum(logits: Tensor, dim: Any = 1, largest: Any = 0) -> Tensor:
    shifted = logits - largest
    return shifted - shifted.exp().sum(dim, keepdim=True).log()


def _picked(log_probs: Tensor, labels: Tensor) -> Tensor:
    return log_probs[torch.arange(len(labels)), labels]


_LOSS_MISTAKES: list[dict[str, Callable]] = [
    {
        "the log is missing": lambda z: z.softmax(dim=1),
        "sum over the classes (dim=1, keepdim=True), not over the batch":
            lambda z: _less_log_sum(z, 0, z.amax(1, keepdim=True)),
        "sum over the classes of each clip (dim=1, keepdim=True), not over everything":
            lambda z: _less_log_sum(z, (0, 1)),
        "what you subtract must be the same for all logits of a clip: its own maximum (dim=1)":
            lambda z: _less_log_sum(z, 1, z.amax(0, keepdim=True)),
        "z - log(sum(exp(z))), where both z are the same, shifted or not":
            lambda z: (z - (z - z.amax(1, keepdim=True)).exp().sum(1, keepdim=True).log()),
        "exp(1000) is infinite, exp(-1000) is zero: subtract each clip's largest logit first":
            _less_log_sum,
        "subtract the largest logit of each clip, not that of the whole batch":
            lambda z: (_less_log_sum(z, 1, z.max())),
        "exp(-1000) is zero, and so is p: do not take the log of p, but z - log(sum(exp(z)))":
            lambda z: z.softmax(dim=1).log(),
        "the natural logarithm, not that to the base 2": lambda z: z.log_softmax(1) / math.log(2),
        "the minus belongs into the loss, not here": lambda z: -z.log_softmax(1),
        "no number is added to p: subtract the largest logit instead":
            lambda z: (z.softmax(dim=1) + 1e-8).log(),
    },
    {
        "the minus is missing: a loss is minimised": lambda p, y: _picked(p, y).mean(),
        "the mean over the batch, not the sum": lambda p, y: -_picked(p, y).sum(),
        "divide by the number of clips, not of classes": lambda p, y: -_picked(p, y).sum()
        / p.shape[1],
        "the loss is one number: the mean over the batch": lambda p, y: -_picked(p, y),
        "one value a row: pair each row with its own label": lambda p, y: -p[:, y].mean(),
        "the logarithms are there already: no second log": lambda p, y: -_picked(p, y).exp().mean(),
        "the most probable word is not asked for, but the true one": lambda p, y: -p.amax(1).mean(),
        "a large loss stays as it is: no clamp":
            lambda p, y: ((-_picked(p, y)).clamp(max=100).mean()),
        "F.one_hot makes as many columns as the largest label needs: tell it the classes":
            lambda p, y: -(F.one_hot(y) * p).sum(dim=1).mean(),
        "return the tensor, without .item(): a float has no gradient":
            lambda p, y: float(-_picked(p, y).mean()),
    },
]


@check("1.5", _LOSS_MISTAKES, (log_softmax_by_hand, _loss_by_hand), draws=False)
def log_softmax_and_nll(log_softmax: Callable, nll_loss: Callable) -> None:
    """Equal to arithmetic in plain Python, also for large logits.

    ``log_softmax(logits (batch, classes))`` and ``nll_loss(log_probs, labels (batch,))``
    """
    random = chance(5)
    clips, classes = random.randint(3, 5), random.randint(6, 8)
    logits = 3 * torch.randn(clips, classes, generator=generator(1), dtype=torch.float64)
    # The maximum of the second row is far from that of the first.
    huge = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, -1000.0, -1000.0]], dtype=torch.float64)
    otherwise = "z - log(sum(exp(z))) over the classes of each clip, less its largest logit first"
    mine, theirs = _as_double(log_softmax), _as_double(nll_loss)
    for cases in ([(logits,), (logits[:1] + 7,)], [(logits,), (huge,), (huge[:1],)]):
        mistakes = _LOSS_MISTAKES[0]
        agree(mine, log_softmax_by_hand, cases, mistakes, otherwise, 1e-6, "a log-probability")

    labels = torch.tensor([2, 0, 4, 2, 1][:clips])  # not the last class: a batch need not have each
    log_probs = log_softmax_by_hand(logits)
    far = log_probs - 300 * torch.eye(clips, classes, dtype=torch.float64)
    cases = [(log_probs, labels), (log_probs[:1], labels[:1]), (far, torch.arange(clips))]
    otherwise = "pick one value a row as it is: the one at the row's label; then the mean, negative"
    agree(theirs, _loss_by_hand, cases, _LOSS_MISTAKES[1], otherwise, 1e-6, "a loss")
    _gradient_of_the_loss(log_softmax, nll_loss, logits, labels)
    remark = _done_by_torch(log_softmax, logits)
    passed("equal to arithmetic by hand, also at logits of 1000", remark)


def _as_double(answer: Callable) -> Callable:
    """An answer whose tensors come in double precision: float32 is right, too."""

    @functools.wraps(answer)
    def converted(*arguments: Any) -> Any:
        result = answer(*arguments)
        return result.double() if isinstance(result, Tensor) else result

    return converted


def _gradient_of_the_loss(
    log_softmax: Callable, nll_loss: Callable, logits: Tensor, labels: Tensor
) -> None:
    """Fail unless the two together have the gradient of cross-entropy: (p - one-hot) / batch."""
    given = logits.clone().requires_grad_()
    if getattr(log_softmax, "__name__", "") == log_softmax_by_hand.__name__:
        return  # the oracle, in plain Python
    loss = call(nll_loss, call(log_softmax, given), labels)
    cause = "stay in torch: .detach(), .item(), .data or NumPy cut the way back to the logits"
    if not loss.requires_grad:
        fail("a loss with a gradient", "one without", cause)
    expected = (logits.softmax(1) - torch.eye(logits.shape[1])[labels]) / len(labels)
    (gradient,) = torch.autograd.grad(loss, given, allow_unused=True)
    close(gradient if gradient is not None else 0 * given, expected, cause, 1e-5, "a gradient")


def _done_by_torch(log_softmax: Callable, logits: Tensor) -> str:
    """A kind remark for an answer that lets torch do it."""
    names = ["softmax", "logsumexp", "cross_entropy"]
    try:
        with by_hand("exp, log, sum and max", "torch's own", names):
            log_softmax(logits.clone())
    except CheckFailed:
        return "torch did the work: now try it with exp, log, sum and max, as the task asks"
    return ""
