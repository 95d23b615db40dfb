"""Checks of a training: one epoch, and the learning rate at each of its steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from course_utils.checks.core import Watched, call, close, fail, generator, passed, recognised

# 2.8 - One epoch, for training and for evaluation


def _watched() -> Watched:
    """A linear model, always with the same weights."""
    torch.manual_seed(0)
    return Watched(nn.Linear(4, 3))


class _Halving:
    """A scheduler: the rate halves with each step."""

    def __init__(self, optimiser: torch.optim.Optimizer):
        self.optimiser, self.steps = optimiser, 0

    def step(self) -> None:
        self.steps += 1
        self.optimiser.param_groups[0]["lr"] /= 2


class _Augment:
    """Turns clips over, and remembers the sizes of the batches."""

    def __init__(self):
        self.sizes = []

    def __call__(self, batch: Tensor) -> Tensor:
        self.sizes.append(len(batch))
        return -batch


def run_epoch(answer: Callable) -> None:
    """Evaluation in order and untouched, training shuffled, augmented and scheduled.

    ``answer(model, waveforms, labels, batch_size, optimiser, scheduler, augment)``
    """
    x = torch.randn(10, 4, generator=generator(3))
    x[:, 0] = torch.arange(1, 11) / 10  # the first number names the clip
    y = torch.arange(10) % 3
    _evaluates(answer, x, y)
    first, *_ = _trains(answer, x, y, seed=0, rate=0.0)
    second, model, weight, bias = _trains(answer, x, y, seed=1, rate=0.5)
    if _flat(first) == list(range(10)) or _flat(first) == _flat(second):
        fail("a random order in training", "always the same", "torch.randperm(len(labels))")
    if torch.equal(model.layer.weight, weight):
        fail("weights that moved", "the same", "zero_grad, backward, step: is one missing?")

    def descend(rates: list[float], keep: float = 0.0) -> Tensor:
        """Weights in closed form; `keep` is the part of the gradient that is not emptied."""
        w, b, dw, db = weight, bias, 0.0, 0.0
        for rows, rate in zip(second, rates, strict=True):
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
    cause = recognised(model.layer.weight, known, cause, 1e-4)
    close(model.layer.weight, descend(rates), cause, 1e-4, "a weight after three steps")
    passed("evaluation in order and untouched, training shuffled, augmented and scheduled")


def _evaluates(answer: Callable, x: Tensor, y: Tensor) -> None:
    """Fail unless an epoch without an optimiser leaves all as it is."""
    model, augment = _watched().train(), _Augment()
    result = call(answer, model, x, y, 4, None, None, augment)
    _two_floats(result)
    if any(training for training, _, _ in model.calls):
        fail("eval mode", "train mode", "without an optimiser: model.eval() or model.train(False)")
    if any(gradients for _, gradients, _ in model.calls):
        cause = "without an optimiser: torch.no_grad() or torch.set_grad_enabled(False)"
        fail("no gradients", "gradients recorded", cause)
    if augment.sizes:
        fail("clips as they are", "augmented ones", "evaluation does not augment, even if it could")
    order = _rows_seen(model.calls, len(x))
    if _flat(order) != list(range(10)):
        fail("the clips in order", "another order", "evaluation does not shuffle")
    _mean_over_clips(result, model.layer, x, y, order)


def _trains(
    answer: Callable, x: Tensor, y: Tensor, *, seed: int, rate: float
) -> tuple[list[list[int]], Watched, Tensor, Tensor]:
    """Fail unless an epoch trains; returns rows, model, and its weight and bias of before."""
    model, augment = _watched().eval(), _Augment()
    weight, bias = model.layer.weight.detach().clone(), model.layer.bias.detach().clone()
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    scheduler = _Halving(optimiser)
    torch.manual_seed(seed)
    result = call(answer, model, x, y, 4, optimiser, scheduler, augment)
    _two_floats(result)
    if not all(training and gradients for training, gradients, _ in model.calls):
        cause = "with an optimiser: model.train(), gradients on"
        fail("train mode", "eval mode, or no gradients", cause)
    order = _rows_seen(model.calls, len(x))
    if augment.sizes != [len(rows) for rows in order]:
        cause = "in training x = augment(x) for each batch, if augment is given"
        fail(f"augment called {len(order)} times", f"{len(augment.sizes)} times", cause)
    if any(bool((batch[:, 0] > 0).any()) for _, _, batch in model.calls):
        cause = "augment returns a new batch: x = augment(x), before model(x)"
        fail("augmented clips in the model", "the clips as they were", cause)
    if scheduler.steps != len(order):
        cause = "scheduler.step() after each optimiser step, not after each epoch"
        fail(f"{len(order)} steps of the scheduler", scheduler.steps, cause)
    if rate == 0:  # the weights stand still
        _mean_over_clips(result, model.layer, -x, y, order)
    return order, model, weight, bias


def _rows_seen(calls: list, clips: int) -> list[list[int]]:
    """The rows of each batch that the model has seen, each row once, up to 4 at a time."""
    rows = [[round(10 * abs(value)) - 1 for value in batch[:, 0].tolist()] for _, _, batch in calls]
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


# 2.9 - OneCycle


def one_cycle(answer: Callable) -> None:
    """Equal to torch's OneCycleLR at every step.

    ``answer(step, steps, peak) -> learning rate``
    """
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
