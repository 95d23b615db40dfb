"""Checks of a training: one epoch, and the learning rate at each of its steps."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import Watched, call, chance, check, fail, generator, passed
from course_utils.checks.stage2.records import as_recorded

# 2.8 - One epoch, for training and for evaluation


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


def _epoch(
    model: nn.Module, waveforms: Tensor, labels: Tensor, batch_size: int,
    optimiser: torch.optim.Optimizer | None = None, scheduler: _Halving | None = None,
    augment: Callable | None = None, *, fault: str = "",
) -> tuple[float, float]:
    """By the task; each `fault` is a way to go wrong."""
    training, clips = optimiser is not None, len(labels)
    model.train({"train": True, "eval": False}.get(fault, training))
    shuffled = {"in order": False, "shuffles": True}.get(fault, training)
    order = torch.randperm(clips) if shuffled else torch.arange(clips)
    batches = order.split(batch_size)
    if fault == "mixes batches" and training:
        batches = order.sort().values.split(batch_size)
        batches = [rows[torch.randperm(len(rows))] for rows in batches]
    if fault == "drops":
        batches = [rows for rows in batches if len(rows) == batch_size]
    if fault == "draws" and training:
        batches = torch.randint(clips, (clips,)).split(batch_size)
    if fault == "own optimiser" and training:
        rate = optimiser.param_groups[0]["lr"]
        optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    if fault == "empties once" and training:
        optimiser.zero_grad()
    losses, right = [], 0
    for rows in batches:
        x, y = waveforms[rows], labels[rows]
        if fault == "labels":
            y = labels[len(losses) * batch_size :][: len(rows)]
        paired = fault == "only with a scheduler" and not scheduler
        if augment and (training or fault == "augments") and fault != "no augment" and not paired:
            x = (augment(x), x)[fault == "in vain"]
        with torch.set_grad_enabled(training or fault == "gradients"):
            logits = model(x)
            loss = F.cross_entropy(logits, y, reduction="sum" if fault == "sum" else "mean")
        if training:
            if fault not in ("empties once", "empties after", "never empties"):
                optimiser.zero_grad()
            loss.backward()
            moved = [optimiser, *[scheduler] * bool(scheduler and fault[:5] != "sched")]
            for one in moved[:: -1 if fault == "before" else 1]:
                one.step()
            if fault == "empties after":
                optimiser.zero_grad()
        if fault == "always" and scheduler and not training:
            scheduler.step()
        losses.append(loss.item() * (1 if fault in ("sum", "unweighted", "means") else len(y)))
        right += int((logits.argmax(dim=1) == y).sum())
    if fault == "scheduled at the end" and scheduler:
        scheduler.step()
    loss = sum(losses) / (len(losses) if fault == "means" else clips)
    return torch.tensor(loss) if fault == "tensors" else loss, right / clips


EPOCH_MISTAKES: dict[str, Callable] = {
    cause: functools.partial(_epoch, fault=fault)
    for cause, fault in {
        "without an optimiser: model.eval() or model.train(False)": "train",
        "with an optimiser: model.train(), gradients on": "eval",
        "without an optimiser: torch.no_grad() or torch.set_grad_enabled(False)": "gradients",
        "evaluation does not shuffle": "shuffles",
        "evaluation does not augment, even if it could": "augments",
        "torch.randperm(len(labels)), each time anew": "in order",
        "shuffle all clips, not those of each batch among themselves": "mixes batches",
        "each clip once: torch.randperm, no drawing with replacement": "draws",
        "call the model once for each batch, the last, smaller one too": "drops",
        "one order for both: waveforms[rows] and labels[rows]": "labels",
        "in training x = augment(x) for each batch, if augment is given": "no augment",
        "augment and scheduler do not need each other": "only with a scheduler",
        "scheduler.step() belongs to training": "always",
        "augment returns a new batch: x = augment(x), before model(x)": "in vain",
        "scheduler.step() after each optimiser step, not after each epoch": "scheduled at the end",
        "scheduler.step() comes after optimiser.step()": "before",
        "the optimiser that is given has a state: make no other": "own optimiser",
        "gradients add up: optimiser.zero_grad() is missing": "never empties",
        "gradients add up: optimiser.zero_grad() before each backward": "empties once",
        "a model may come with gradients: zero_grad() before the first backward": "empties after",
        "the mean of cross entropy over a batch, not its sum": "sum",
        "the last batch is smaller: add loss.item() * len(y), divide by len(labels)": "means",
        "cross entropy is a mean over the batch: times len(y), before you add it": "unweighted",
        "use .item(), and / to divide": "tensors",
    }.items()
}
_ANEW, _AMONG, _ONCE, _EACH = list(EPOCH_MISTAKES)[5:9]


def _observed(
    function: Callable, training: bool, extras: str, order: Sequence[int] = ()
) -> dict[str, object]:
    """What an epoch does with a model and an optimiser that have learnt before.

    `extras` are what is given, too: ``"a"`` to augment, ``"s"`` a scheduler.
    """
    sizes, random = chance(28), generator(28 + len(extras))
    batch, time, classes = sizes.randint(4, 5), sizes.randint(6, 8), sizes.randint(3, 4)
    clips = 2 * batch + (3 if training else 1)
    x = torch.randn(clips, 1, time, generator=random, dtype=torch.float64)
    x[:, 0, 0] = torch.arange(1, clips + 1) / 10  # the first number names the clip
    y = torch.randint(classes, (clips,), generator=random)
    net = [nn.Conv1d(1, 5, 3), nn.BatchNorm1d(5), nn.ReLU(), nn.Flatten()]
    net += [nn.Linear(5 * (time - 2), classes)]
    model, augment = Watched(nn.Sequential(*net).double()).train(not training), _Augment()
    for values in model.parameters():
        values.data = torch.randn(values.shape, generator=random, dtype=values.dtype) / 2
        values.grad = torch.randn(values.shape, generator=random, dtype=values.dtype)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    optimiser.step()  # it has a state from now on, and the model a gradient that was left
    scheduler = _Halving(optimiser) if "s" in extras else None
    learns = (optimiser if training else None, scheduler)
    with ExitStack() as stack:
        if order:
            drawn = torch.tensor(order)
            stack.enter_context(mock.patch("torch.randperm", lambda *_, **__: drawn))
        result = call(function, model, x, y, batch, *learns, augment if "a" in extras else None)
    if not (isinstance(result, tuple | list) and len(result) == 2):
        fail("(loss, accuracy)", type(result).__name__, "return two numbers")
    if not all(isinstance(value, float) for value in result):
        kinds = ", ".join(type(value).__name__ for value in result)
        fail("two floats", kinds, "use .item(), and / to divide")
    firsts = [seen[:, 0, 0] for *_, seen in model.calls]
    rows = [(10 * first.abs() - 1).round().int().tolist() for first in firsts]
    flat = [row for group in rows for row in group]
    if max(map(len, rows), default=0) > batch:
        fail(f"batches of {batch}", f"one of {max(map(len, rows))}", "order.split(batch_size)")
    if sorted(flat) != list(range(clips)):
        cause = _ONCE if len(flat) == clips else _EACH
        fail(f"each of {clips} clips once", f"{len(flat)} clips in {len(rows)} batches", cause)
    state = [values.double().flatten() for values in model.state_dict().values()]
    return {
        "train mode": [trained for trained, *_ in model.calls],
        "gradients": [recorded for _, recorded, _ in model.calls],
        "batches": rows, "augmented batches": augment.sizes,
        "augmented clips in the model": [bool((first < 0).all()) for first in firsts],
        "steps of the scheduler": scheduler.steps if scheduler else 0,
        "a loss": result[0], "an accuracy": result[1], "a weight after it": torch.cat(state),
    }  # fmt: skip


@check("2.8", EPOCH_MISTAKES, trains=True)
def run_epoch(answer: Callable) -> None:
    """Evaluation in order and untouched, training shuffled, augmented and scheduled.

    ``answer(model, waveforms, labels, batch_size, optimiser, scheduler, augment)``
    """
    scenes = [(training, extras) for training in (False, True) for extras in ("as", "", "a")]
    got = [_observed(answer, *scene) for scene in scenes]
    orders = [[*itertools.chain(*record["batches"])] for record in got]
    if orders[3] == orders[4] or orders[3] == sorted(orders[3]):
        fail("a random order in training", "always the same", _ANEW)
    for record in got[3:]:
        groups = [set(rows) for rows in record["batches"]]
        if all(max(rows) - min(rows) == len(rows) - 1 for rows in groups):
            fail("clips from anywhere in a batch", "neighbours only", _AMONG)

    def all_of(function: Callable) -> Iterator[dict]:
        for scene, order in zip(scenes, orders, strict=True):
            yield _observed(function, *scene, order)

    otherwise = {
        "train mode": "with an optimiser model.train(), without one model.eval()",
        "gradients": "on with an optimiser, off without one: torch.set_grad_enabled(training)",
        "batches": "without an optimiser the clips come in order, batch_size at a time",
        "augmented batches": "in training x = augment(x) for each batch, if augment is given",
        "augmented clips in the model": "x = augment(x) in training, before model(x)",
        "steps of the scheduler": "scheduler.step() after each optimiser step",
        "a loss": "F.cross_entropy of the logits as they come, averaged over all clips",
        "an accuracy": "right answers (argmax over dim=1) of all batches / len(labels), 0 to 1",
        "a weight after it": "zero_grad, backward, step for each batch; the mean of cross entropy",
    }
    mistakes = {cause: functools.partial(all_of, make) for cause, make in EPOCH_MISTAKES.items()}
    as_recorded(got, functools.partial(all_of, _epoch), mistakes, otherwise)
    passed("evaluation in order and untouched, training shuffled, augmented and scheduled")


# 2.9 - OneCycle


@functools.cache
def _cycle(steps: int, peak: float) -> list[float]:
    """The oracle: torch's scheduler, from the first step to the last."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, peak, steps, cycle_momentum=False)
    rates = []
    for _ in range(steps):
        rates.append(schedule.get_last_lr()[0])
        with warnings.catch_warnings():  # no weights are moved here, and torch would say so
            warnings.simplefilter("ignore")
            schedule.step()
    return rates


def _rate(
    step: int, steps: int, peak: float, *, late: float = -1, begin: float = 25,
    end: float = 250_000, wave: Callable = lambda u: (1 - math.cos(math.pi * u)) / 2,
    whole: Callable = float,
    fall: Callable = lambda step, steps, up: (step - up) / (steps - 1 - up),
) -> float:
    """By the formula; each argument behind the star is a way to go wrong."""
    up = whole(0.3 * steps + late)
    if step <= up:
        return peak / begin + (peak - peak / begin) * wave(step / up)
    return peak + (peak / end - peak) * wave(fall(step, steps, up))


CYCLE_MISTAKES: dict[str, Callable] = {
    cause: functools.partial(_rate, **mistake)
    for cause, mistake in {
        "the first part starts at peak / 25, with u = 0": dict(begin=1),
        "the last step has peak / 250000, with u = 1": dict(end=1),
        "the last step has peak / 250000: a 25th and a 10,000th of it": dict(end=10_000),
        "half a cosine, not a straight line": dict(wave=lambda u: u),
        "1 - cos: with u = 0 a part is at its start":
            dict(wave=lambda u: (1 + math.cos(math.pi * u)) / 2),
        "half a cosine up to the peak: u = step / up with up = 0.3 * steps - 1": dict(late=0),
        "up = 0.3 * steps - 1 need not be whole: do not round it": dict(whole=int),
        "up = 0.3 * steps - 1 may be less than 1": dict(whole=lambda up: max(1.0, up)),
        "half a cosine down from the peak: u = (step - up) / (steps - 1 - up)":
            dict(fall=lambda step, steps, up: step / (steps - 1)),
        "steps are counted from 0: the last one is steps - 1":
            dict(fall=lambda step, steps, up: (step - up) / (steps - up)),
    }.items()
} | {"math.cos gives a float, torch.cos a tensor": lambda *case: torch.tensor(_rate(*case))}


@check("2.9", CYCLE_MISTAKES, draws=False)
def one_cycle(answer: Callable) -> None:
    """Equal to torch's OneCycleLR at every step.

    ``answer(step, steps, peak) -> learning rate``
    """

    @functools.wraps(answer)
    def rate(*case: float) -> float:
        got = answer(*case)
        if isinstance(got, Tensor):
            fail("a float", "Tensor", "math.cos gives a float, torch.cos a tensor")
        return got

    sizes = chance(29)
    plans = [(100, 0.01), (57, 0.3), (5, 0.1), (sizes.randint(20, 90), sizes.uniform(0.001, 0.9))]
    cases = [(step, *plan) for plan in plans for step in range(plan[0])]
    otherwise = (
        "up to step up = 0.3 * steps - 1 from peak / 25 to the peak, u = step / up; then to "
        "peak / 250000, u = (step - up) / (steps - 1 - up)"
    )
    truth = lambda step, *plan: _cycle(*plan)[step]  # noqa: E731
    agree(rate, truth, cases, CYCLE_MISTAKES, otherwise, 1e-13)
    passed("equal to torch's OneCycleLR at every step of 100 and of 57")
