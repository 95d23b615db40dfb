"""Checks of a training step, an evaluation, overfitting, a checkpoint."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import (
    Watched,
    call,
    chance,
    check,
    close,
    fail,
    generator,
    passed,
)
from course_utils.checks.stage1.model import log_softmax_by_hand

# 1.6 - One training step


class _Toy(nn.Module):
    """Two layers and batch norm: what differs between train and eval mode shows."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        double = {"dtype": torch.float64}
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, 7, **double), nn.BatchNorm1d(7, **double), nn.ReLU(),
            nn.Linear(7, classes, **double),
        )
        nn.init.constant_(self.layers[2].weight, 9)  # gradients long enough for clipping to show

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _step(
    model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, order: str = "tzfbs",
    loss: Callable = F.cross_entropy, change: Callable = lambda model, optimiser: None,
) -> float:
    """One step whose parts come in this order: train, zero_grad, forward, backward, step."""
    for part in order:
        if part == "t":
            model.train()
        elif part == "z":
            optimiser.zero_grad()
        elif part == "f":
            value = loss(model(x), y)
        elif part == "b":
            value.backward()
            change(model, optimiser)
        else:
            optimiser.step()
    return value.item()


def _by_hand(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= optimiser.param_groups[0]["lr"] * parameter.grad


_STEP_MISTAKES: dict[str, Callable] = {
    "call model.train() first: an evaluation came before": lambda *a: _step(*a, order="zfbs"),
    "gradients add up from step to step: empty them with optimiser.zero_grad()":
        lambda *a: _step(*a, order="tfbs"),
    "empty the old gradients before backward, not only behind the step: some may be there":
        lambda *a: _step(*a, order="tfbsz"),
    "the weights do not move: is zero_grad, backward or step not called, or in another place?":
        lambda *a: _step(*a, order="tfbzs"),
    "F.cross_entropy(logits, labels), of the logits as they come: no softmax before it":
        lambda *a: _step(*a, loss=lambda z, y: F.cross_entropy(z.softmax(1), y)),
    "the mean over the batch, not the sum":
        lambda *a: _step(*a, loss=lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "the loss before the step is to be returned":
        lambda *a: (_step(*a), F.cross_entropy(a[0](a[2]), a[3]).item())[1],
    "one step, by the optimiser that was given: not by hand":
        lambda *a: _step(*a, order="tzfb", change=_by_hand),
    "the step of the optimiser that was given, not of one of your own":
        lambda model, _, *a: _step(model, torch.optim.SGD(model.parameters(), 0.1), *a),
    "the gradients go to the optimiser as they are: no clipping": lambda *a: _step(
        *a, change=lambda model, _: nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    ),
    "one step for each call": lambda *a: (_step(*a), _step(*a))[0],
    "return loss.item(): a tensor keeps its graph": lambda *a: torch.tensor(_step(*a)),
}


@check("1.6", _STEP_MISTAKES, trains=True)
def training_step(answer: Callable) -> None:
    """The weights move as the optimiser's do, from old gradients and in eval mode at the start.

    ``answer(model, optimiser, waveforms, labels) -> float``, the loss before the step
    """
    random = chance(6)
    inputs, clips = random.randint(4, 6), random.randint(7, 10)
    x = 3 * torch.randn(clips, 1, inputs, generator=generator(2), dtype=torch.float64)
    labels = torch.arange(clips) % 3
    network = _Toy(inputs, 3)
    makers = {
        "SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
        "Adam": lambda p: torch.optim.Adam(p, 0.02),
    }

    def trained(step: Callable, kind: str, count: int) -> tuple:
        """Losses and weights of so many steps, with an optimiser that has stepped before."""
        model = copy.deepcopy(network)
        optimiser = makers[kind](model.parameters())
        F.cross_entropy(model(x.flip(0)), labels).backward()
        optimiser.step()
        model.eval()  # as an evaluation before leaves it; the old gradients are still there
        losses = [call(step, model, optimiser, x, labels) for _ in range(count)]
        return losses, [parameter.detach().clone() for parameter in model.state_dict().values()]

    @functools.wraps(answer)
    def answered(kind: str, count: int) -> tuple:
        return trained(answer, kind, count)

    mistakes = {
        cause: functools.partial(trained, mistake) for cause, mistake in _STEP_MISTAKES.items()
    }
    otherwise = "train mode, zero_grad, loss, backward, step: each once, in this order"
    loss, _ = answered("SGD", 1)
    if isinstance(loss[0], bool) or not isinstance(loss[0], float):
        cause = list(_STEP_MISTAKES)[-1]
        fail("a float", type(loss[0]).__name__, cause)
    cases = [("SGD", 1), ("SGD", 3), ("Adam", 3)]
    truth = functools.partial(trained, _step)
    agree(answered, truth, cases, mistakes, otherwise, 1e-9, "a loss or a weight")
    passed("three steps of SGD and of Adam move the weights as they should")


# 1.7 - Evaluation


def _evaluate(
    model: nn.Module, x: Tensor, y: Tensor, batch_size: int, modes: str = "", grad: bool = False,
    logits_of: Callable = lambda z: z, last: int = 0, weigh: str = "",
) -> tuple[float, float]:
    """Loss and accuracy, with something changed."""
    if modes != "none":
        model.eval()
    losses, hits, sizes = [], [], []
    with torch.set_grad_enabled(grad):
        for start in range(0, len(x) - last, batch_size):
            logits = logits_of(model(x[start : start + batch_size]))
            labels = y[start : start + batch_size]
            losses.append(F.cross_entropy(logits, labels).item())
            hits.append((logits.argmax(1) == labels).double().mean().item())
            sizes.append(len(labels))
    if modes == "train":
        model.train()
    weights = [1] * len(sizes)

    def mean(values: list[float], name: str) -> float:
        by = weights if name in weigh else sizes
        return sum(v * n for v, n in zip(values, by, strict=True)) / sum(by)

    return mean(losses, "loss"), mean(hits, "hits")


_EVALUATE_MISTAKES: dict[str, Callable] = {
    "call model.eval() first: dropout must be off": lambda *a: _evaluate(*a, modes="none"),
    "a model that was in eval mode must stay in it": lambda *a: _evaluate(*a, modes="train"),
    "wrap the loop in torch.no_grad() (or inference_mode): memory and time are lost":
        lambda *a: (_evaluate(*a, grad=True)),
    "the whole set may not fit into memory: slice waveforms and labels":
        lambda m, x, y, n: (_evaluate(m, x, y, len(x))),
    "range(0, clips, batch_size) reaches the last, smaller batch, too":
        lambda *a: _evaluate(*a, last=2),
    "the last batch is smaller: the mean of the batches' losses is not that of the clips":
        lambda *a: _evaluate(*a, weigh="loss"),
    "the last batch is smaller: the mean of the batches' accuracies is not that of the clips":
        lambda *a: _evaluate(*a, weigh="hits"),
    "the logits as they come: cross entropy has its own softmax":
        lambda *a: _evaluate(*a, logits_of=lambda z: z.softmax(1)),
    "a share of right answers, from 0 to 1: not per cent": lambda *a: (
        torch.tensor(_evaluate(*a), dtype=torch.float64) * torch.tensor([1, 100])
    ).tolist(),
    "argmax(dim=1) has one answer a clip; argmax() alone has one for the whole batch":
        lambda *a: (_evaluate(*a)[0], 0.0),
    "F.cross_entropy has the mean of a batch already, unless you say reduction='sum'": lambda *a: (
        torch.tensor(_evaluate(*a), dtype=torch.float64) / torch.tensor([len(a[1]), 1])
    ).tolist(),
    "the order of the two results: loss, accuracy": lambda *a: _evaluate(*a)[::-1],
    "use .item() on tensors, and / to divide by the number of clips":
        lambda *a: tuple(torch.tensor(_evaluate(*a))),
}
(
    _EVAL, _STAYS, _GRAD, _SLICE, _LAST, _LOSS_MEAN, _HIT_MEAN, _AS_THEY_COME, _SHARE, _ARGMAX,
    _TWICE, _ORDER, _FLOATS,
) = _EVALUATE_MISTAKES  # fmt: skip


@check("1.7", _EVALUATE_MISTAKES, trains=True)
def evaluate(answer: Callable) -> None:
    """Loss and accuracy over all clips, in eval mode, without gradients, batch by batch.

    ``answer(model, waveforms, labels, batch_size) -> (loss, accuracy)``
    """
    clips, classes = chance(7).choice([7, 8, 10]), 4
    logits = 2 * torch.randn(clips, classes, generator=generator(5), dtype=torch.float64)
    labels = torch.arange(clips) % classes
    # Only the last is wrong, in a batch of its own or of two: its share shows how means are taken.
    logits[torch.arange(clips), labels] += 9
    logits[-1, labels[-1]] -= 18
    rows = zip(log_softmax_by_hand(logits).tolist(), logits.tolist(), labels.tolist(), strict=True)
    results = [(-row[y], z.index(max(z)) == y) for row, z, y in rows]
    expected = tuple(math.fsum(column) / clips for column in zip(*results, strict=True))

    class Noisy(nn.Module):
        """Returns its input as logits; with noise in train mode."""

        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.factor + (50 * torch.randn_like(x) if self.training else 0)

    for batch_size, training in ((clips, True), (3, True), (clips - 1, True), (100, False)):
        model = Watched(Noisy()).train(training)
        with torch.set_grad_enabled(training):  # off already, in the last: it must stay so
            result = call(answer, model, logits, labels, batch_size)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(loss, accuracy)", type(result).__name__, "return two numbers")
        loss, accuracy = result
        if any(mode for mode, _, _ in model.calls):
            fail("eval mode", "train mode", _EVAL)
        if model.training and not training:
            fail("eval mode at the end, as it was before", "train mode", _STAYS)
        if any(gradients for _, gradients, _ in model.calls):
            fail("no gradients", "gradients recorded", _GRAD)
        if max(model.sizes, default=0) > batch_size:
            fail(f"batches of {batch_size}", f"one of {max(model.sizes)}", _SLICE)
        if sum(model.sizes) != clips:
            fail(f"each of {clips} clips once", f"{sum(model.sizes)} clips", _LAST)
        if not (isinstance(loss, float) and isinstance(accuracy, float)):
            got = f"{type(loss).__name__} and {type(accuracy).__name__}"
            fail("two floats", got, _FLOATS)
        if math.isclose(loss, expected[1], rel_tol=1e-6):
            fail("(loss, accuracy)", "(accuracy, loss)", _ORDER)
        causes = (_LOSS_MEAN, _HIT_MEAN) if batch_size < clips else (_AS_THEY_COME, _SHARE)
        if batch_size >= clips and math.isclose(loss * clips, expected[0], rel_tol=1e-6):
            causes = (_TWICE, causes[1])
        if accuracy == 0.0:
            causes = (causes[0], _ARGMAX)
        close(accuracy, expected[1], causes[1], 1e-6, "an accuracy")
        close(loss, expected[0], causes[0], 1e-6, "a loss")
    passed(f"loss and accuracy of {clips} clips in batches of {clips}, 3 and 100")


# 1.8 - Overfit one batch


def _overfit(
    model: nn.Module, x: Tensor, y: Tensor, steps: int, rate: float,
    make: Callable = lambda model, rate: torch.optim.Adam(model.parameters(), rate),
    step: Callable = _step, again: bool = False, clips: int | None = None,
) -> list[float]:
    optimiser, losses = make(model, rate), []
    for _ in range(steps):
        optimiser = make(model, rate) if again else optimiser
        losses.append(step(model, optimiser, x[:clips], y[:clips]))
    return losses


_OVERFIT_MISTAKES: dict[str, Callable] = {
    "make the optimiser once, before the loop: it remembers earlier gradients":
        lambda *a: _overfit(*a, again=True),
    "gradients add up from step to step: training_step empties them, a loop of your own must, too":
        lambda *a: _overfit(*a, step=lambda *b: _step(*b, order="tfbs")),
    "the argument learning_rate is not used: Adam(..., lr=learning_rate)":
        lambda *a: _overfit(*a, make=lambda model, rate: torch.optim.Adam(model.parameters())),
    "one torch.optim.Adam with lr=learning_rate, and all clips in every step":
        lambda *a: _overfit(*a, make=lambda model, rate: torch.optim.SGD(model.parameters(), rate)),
    "the model does not learn: call training_step in the loop": lambda *a: _overfit(
        *a, step=lambda model, optimiser, x, y: F.cross_entropy(model.train()(x), y).item()
    ),
    "append the loss of every step, and return the list after the loop":
        lambda *a: _overfit(*a)[-1],
    "train the model that was given, on all clips, from where it is; losses before steps":
        lambda *a: _overfit(*a, clips=1),
    "train the model that was given, not a copy":
        lambda model, *a: _overfit(copy.deepcopy(model), *a),
    "training_step returns a float: append that":
        lambda *a: [torch.tensor(loss) for loss in _overfit(*a)],
    "train in train mode: training_step switches it on":
        lambda *a: _overfit(*a, step=lambda model, *b: _step(model.eval(), *b, order="zfbs")),
}
(
    _AGAIN, _ADDING, _RATE, _ADAM, _LEARN, _APPEND, _GIVEN, _COPY, _FLOAT, _TRAIN,
) = _OVERFIT_MISTAKES  # fmt: skip


@check("1.8", _OVERFIT_MISTAKES, trains=True)
def overfit_one_batch(answer: Callable) -> None:
    """The losses are those of Adam on one batch, with the gradient in closed form.

    ``answer(model, waveforms, labels, steps, learning_rate) -> list of losses``
    """
    random = chance(8)
    steps, rate, inputs = random.randint(40, 60), 0.02, random.randint(38, 42)
    waveforms = torch.randn(12, 1, inputs, generator=generator(8), dtype=torch.float64)
    labels = torch.arange(12) % 5
    linear = nn.Linear(inputs, 5, dtype=torch.float64)
    model = Watched(nn.Sequential(nn.Flatten(), linear))
    weights = torch.cat([linear.weight, linear.bias[:, None]], dim=1).detach()
    expected = _adam_losses(waveforms[:, 0], labels, weights, steps, rate)
    losses = call(answer, model, waveforms, labels, steps, rate)
    if not isinstance(losses, list) or len(losses) != steps:
        count = f" of {len(losses)}" if isinstance(losses, list) else ""
        fail(f"a list of {steps} losses", type(losses).__name__ + count, _APPEND)
    if not all(isinstance(loss, float) for loss in losses):
        fail("floats", type(losses[0]).__name__, _FLOAT)
    if not all(training for training, _, _ in model.calls):
        fail("train mode", "eval mode", _TRAIN)

    def follows(curve: list[float]) -> bool:
        return all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(losses, curve, strict=False))

    if not math.isclose(losses[0], expected[0], rel_tol=1e-5):
        first = f"a first loss of {expected[0]:.4f}, that of the model as it came"
        fail(first, f"{losses[0]:.4f}", _GIVEN)
    if not follows(expected):
        if losses[0] == losses[-1]:
            cause = _LEARN
        elif follows(_adam_losses(waveforms[:, 0], labels, weights, steps, rate, restart=True)):
            cause = _AGAIN
        elif follows(_adam_losses(waveforms[:, 0], labels, weights, steps, rate, adding=True)):
            cause = _ADDING
        elif follows(_adam_losses(waveforms[:, 0], labels, weights, steps, 1e-3)):
            cause = _RATE
        else:
            cause = _ADAM
        fail(f"a loss of {expected[-2]:.3g} in the last step", f"{losses[-1]:.3g}", cause)
    with torch.no_grad():
        close(float(F.cross_entropy(model(waveforms), labels)), expected[-1], _COPY, 1e-5, "a loss")
    fall = f"from {losses[0]:.2f} to {losses[-1]:.2f} in {steps} steps"
    passed(f"the loss fell {fall}, as Adam's should")


def _adam_losses(
    x: Tensor, labels: Tensor, weights: Tensor, steps: int, rate: float, restart: bool = False,
    adding: bool = False,
) -> list[float]:
    """Losses of softmax regression before each step of Adam, and after the last one.

    Algorithm 1 of Kingma and Ba, "Adam: a method for stochastic optimization" (2015), with the
    gradient in closed form; with `restart`, an Adam that is made anew for every step; with
    `adding`, gradients that are never emptied.
    """
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)  # for the bias
    one_hot = torch.eye(len(weights), dtype=x.dtype)[labels]
    mean, square, kept, losses = 0.0, 0.0, 0.0, []
    for step in range(1, steps + 2):
        probabilities = torch.softmax(x @ weights.T, dim=1)
        losses.append(float(-(one_hot * probabilities.log()).sum(dim=1).mean()))
        gradient = (probabilities - one_hot).T @ x / len(x) + kept
        kept = gradient if adding else 0.0
        if restart:
            step, mean, square = 1, 0.0, 0.0
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = (square / (1 - 0.999**step)).sqrt() + 1e-8
        weights = weights - rate * mean / (1 - 0.9**step) / size
    return losses
