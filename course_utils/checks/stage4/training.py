"""Checks of a training on sentences: the loss of a batch, a bounded step, a penalty of weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import call, chance, check, generator, passed
from course_utils.checks.stage4.large_network import plain

# 4.17 - The loss of a batch


class _Hears(nn.Module):
    """Answers to every third frame; counts how often it is asked."""

    def __init__(self, weight: Tensor):
        super().__init__()
        self.weight, self.asked = nn.Parameter(weight), 0

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += 1
        logits = features[:, :, ::3].transpose(1, 2) @ self.weight
        return logits.log_softmax(dim=2), (lengths + 2) // 3


def _mean(losses: Tensor, letters: Tensor, fits: Tensor, frames: Tensor) -> Tensor:
    return (losses / letters).sum() / fits.sum().clamp(min=1)


def _loss(
    model: nn.Module, batch: tuple, *, turn: Callable = lambda x: x.transpose(0, 1),
    head: Callable = lambda x: x, count: Callable = lambda frames, lengths: frames,
    hide: bool = True, mean: Callable = _mean, blank: int = 0,
    asked: Callable = lambda frames, lengths: frames,
) -> Any:
    """A right answer; a mistake replaces a part of it."""
    features, lengths, targets, letters = batch
    log_probs, frames = model(features, lengths)
    one_by_one = partial(F.ctc_loss, reduction="none", blank=blank)
    # Room enough, or the loss is infinite, of any symbols.
    room = torch.zeros(max(log_probs.shape[1], features.shape[2]), len(targets), 99).log_softmax(2)
    fits = one_by_one(room, targets, asked(frames, lengths), letters).isfinite()
    given = head(turn(log_probs)), targets, count(frames, lengths), letters
    return mean(one_by_one(*given, zero_infinity=hide), letters, fits, frames)


def _but(**parts: Any) -> Callable:
    return partial(_loss, **parts)


def _detached(model: nn.Module, batch: tuple) -> Tensor:
    with torch.no_grad():
        return _loss(model, batch)


BATCH_LOSS_MISTAKES: dict[str, Callable] = {
    "F.ctc_loss takes (frame, batch, symbol): log_probs.transpose(0, 1)": _but(turn=lambda x: x),
    "swap the axes with transpose(0, 1): a reshape mixes frames and clips":
        _but(turn=lambda x: x.reshape(x.shape[1], x.shape[0], -1)),
    "F.ctc_loss takes log-probabilities, as the model gives them: no exp, no softmax":
        _but(head=torch.exp),
    "the model has done its log_softmax, over the symbols: this one goes over the clips":
        _but(head=lambda x: x.log_softmax(dim=1)),
    "the model has done its log_softmax, over the symbols: this one goes over the frames":
        _but(head=lambda x: x.log_softmax(dim=0)),
    "the lengths that the model returns: those of the features are from before the strides":
        _but(count=lambda frames, lengths: lengths),
    "each clip has its own length: not the frames of the whole batch":
        _but(count=lambda frames, lengths: torch.full_like(frames, frames.max())),
    "token 0 is the blank, the default": _but(blank=1),
    "each loss is divided by the letters of its own text, before the mean":
        _but(mean=lambda losses, letters, fits, frames: losses.sum() / fits.sum().clamp(min=1)),
    "the mean of losses a letter: each clip counts the same, however long its text is":
        _but(mean=lambda losses, letters, fits, frames: losses.sum() / (letters * fits).sum()),
    "divide by letters, not by frames":
        _but(mean=lambda losses, letters, fits, frames: _mean(losses, frames, fits, frames)),
    "the mean over the clips, not their sum":
        _but(mean=lambda losses, letters, fits, frames: (losses / letters).sum()),
    "one number for the batch: the mean over the clips that fit":
        _but(mean=lambda losses, letters, fits, frames: losses / letters),
    # of what does not fit
    "a clip that does not fit is no loss of 0: divide by the number of clips that do":
        _but(mean=lambda losses, letters, fits, frames: (losses / letters).mean()),
    "the gradient of inf is not a number, also where it is left out: zero_infinity=True":
        _but(hide=False, mean=lambda losses, letters, fits, frames: torch.where(
            fits, losses / letters, 0).sum() / fits.sum().clamp(min=1)),
    "a text that does not fit has the loss inf: count such clips, then zero_infinity=True":
        _but(hide=False),
    "feasible(frames, ...) asks with the lengths that the model returns, not those before":
        _but(asked=lambda frames, lengths: lengths),
    "where no text fits there is nothing to divide by: .clamp(min=1)":
        _but(mean=lambda losses, letters, fits, frames: (losses / letters).sum() / fits.sum()),
    # of the way back
    "where no text fits, 0 with a way back: a sum of zeros, not torch.tensor(0.0)":
        _but(mean=lambda losses, letters, fits, frames: _mean(losses, letters, fits, frames)
             if fits.any() else torch.zeros((), dtype=losses.dtype)),
    "training follows the loss back: return the tensor, no .item() and no no_grad": _detached,
    "return a tensor: .item() cuts the way back": lambda *given: _loss(*given).item(),
    "ask the model once: each call costs as much as the first":
        lambda model, batch: (_loss(model, batch) + _loss(model, batch)) / 2,
}


@check("4.17", BATCH_LOSS_MISTAKES, draws=False)
def batch_loss(answer: Callable) -> None:
    """The loss and its gradient are those of the clips one by one, without padding.

    ``answer(model, (features, lengths, targets, target_lengths)) -> loss ()``
    """
    sizes, numbers = chance(17), generator(17)

    def batch(frames: int, *clips: tuple[int, list[int]]) -> tuple:
        """Clips of so many frames with these texts, and what nobody may read behind both."""
        letters = torch.tensor([len(text) for _, text in clips])
        targets = torch.randint(1, 5, (len(clips), int(letters.max()) + 1), generator=numbers)
        for row, (_, text) in zip(targets, clips, strict=True):
            row[: len(text)] = torch.tensor(text)
        random = {"generator": numbers, "dtype": torch.float64}
        features = torch.randn(len(clips), 4, frames, **random)
        lengths = torch.tensor([n for n, _ in clips])
        return torch.randn(4, 7, **random), features, lengths, targets, letters

    def text(most: int) -> list[int]:
        return sizes.choices(range(1, 7), k=sizes.randint(2, most))

    fit = [
        batch(44, (44, text(6)), (31, text(5)), (28, [2, 2, 4]), (26, text(4))),
        batch(15, (15, [1, 2]), (13, [3]), (13, [3, 3]), (11, text(2)), (10, [5])),
        batch(60, (20, text(3)), (19, [6, 1, 6]), (16, text(2))),  # longer than every clip
        batch(27, (27, text(4))),
    ]
    short = [
        batch(30, (30, text(5)), (30, [1] * 6), (15, [1, 2, 3, 1, 2, 3]), (5, [4] * 5)),
        batch(15, (15, [2] * 4), (12, [1, 2, 3, 4, 5])),
    ]
    cause = "F.ctc_loss(log_probs.transpose(0, 1), targets, frames, target_lengths), by the letters"
    _ask(answer, 0, fit, cause, "a loss")
    otherwise = "the mean of the losses a letter over the clips that fit; 0 where none does"
    _ask(answer, 0, [*fit, *short], otherwise, "a loss")
    _ask(answer, 1, [*fit, *short], otherwise, "a gradient")
    passed("loss and gradient of every clip alone, its padding and what does not fit left out")


def _ask(answer: Callable, part: int, cases: list[tuple], otherwise: str, name: str) -> None:
    @wraps(answer)
    def asked(answer: Callable, *case: Tensor, call: Callable = call) -> Any:
        model = _Hears(case[0])
        loss = call(answer, model, case[1:])
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            return loss, "no gradient", model.asked
        [gradient] = torch.autograd.grad(loss, [model.weight])
        return (loss.detach(), gradient)[part], model.asked

    named = {c: partial(asked, wrong, call=plain) for c, wrong in BATCH_LOSS_MISTAKES.items()}
    agree(partial(asked, answer), partial(_alone, part), cases, named, otherwise, 1e-5, name)


def _alone(part: int, weight: Tensor, features: Tensor, lengths: Tensor, *texts: Tensor) -> Any:
    """The oracle: each clip alone, cut to its frames and its letters."""
    weight, each = weight.clone().requires_grad_(), []
    for x, n, target, letters in zip(features, lengths, *texts, strict=True):
        log_probs = (x[:, :n:3].T @ weight).log_softmax(dim=1)
        sizes = torch.tensor([len(log_probs)]), letters[None]
        loss = F.ctc_loss(log_probs[:, None], target[None, :letters], *sizes, reduction="sum")
        if loss.isfinite():
            each.append(loss / letters)
    loss = torch.stack(each).mean() if each else 0 * weight.sum()
    return (loss.detach(), torch.autograd.grad(loss, weight)[0])[part], 1


# 4.18 - A step of bounded length


class _Toy(nn.Module):
    """Two layers and batch norm: what differs between train and eval mode shows."""

    def __init__(self, inputs: int):
        super().__init__()
        double = {"dtype": torch.float64}
        self.layers = nn.Sequential(
            nn.Linear(inputs, 6, **double), nn.BatchNorm1d(6, **double), nn.Linear(6, 3, **double)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def _steep(model: nn.Module, batch: tuple) -> Tensor:
    x, y, steepness = batch
    return steepness * F.mse_loss(model(x), y)


def _bounded(model: nn.Module, limit: float) -> None:
    nn.utils.clip_grad_norm_(model.parameters(), limit)


def _each_bounded(model: nn.Module, limit: float) -> None:
    for parameter in model.parameters():
        nn.utils.clip_grad_norm_([parameter], limit)


def _always_so_long(model: nn.Module, limit: float) -> None:
    length = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    for parameter in model.parameters():
        parameter.grad *= limit / length


def _step(
    model: nn.Module, optimiser: torch.optim.Optimizer, batch: tuple, loss_of: Callable,
    longest: float = 1.0, *, order: str = "tfzbcs", clip: Callable = _bounded,
) -> float:
    """Its parts in this order: train, forward, zero_grad, backward, clip, step."""
    for part in order:
        if part == "t":
            model.train()
        elif part == "f":
            loss = loss_of(model, batch)
        elif part == "z":
            optimiser.zero_grad()
        elif part == "b":
            loss.backward()
        elif part == "c":
            clip(model, longest)
        else:
            optimiser.step()
    return loss.item()


def _otherwise(**parts: Any) -> Callable:
    return partial(_step, **parts)


STEP_MISTAKES: dict[str, Callable] = {
    "nothing is bounded when the step is made: clip_grad_norm_ between backward() and step()":
        _otherwise(order="tfzbs"),
    "call model.train() first: an evaluation came before": _otherwise(order="fzbcs"),
    "gradients add up from step to step: empty them with optimiser.zero_grad()":
        _otherwise(order="tfbcs"),
    "empty the old gradients before backward, not only behind the step: some may be there":
        _otherwise(order="tfbcsz"),
    "the weights do not move: is zero_grad, backward or step not called, or in another place?":
        _otherwise(order="tfbzcs"),
    "neither emptied nor bounded: zero_grad() before backward(), clip_grad_norm_ behind it":
        _otherwise(order="tfbs"),
    "the length of the gradient is bounded, not each of its numbers: clip_grad_norm_":
        _otherwise(clip=lambda m, limit: nn.utils.clip_grad_value_(m.parameters(), limit)),
    "one length for all parameters together: clip_grad_norm_(model.parameters(), longest)":
        _otherwise(clip=_each_bounded),
    "a gradient that is shorter than longest stays as it is": _otherwise(clip=_always_so_long),
    "how long it may be is an argument: use longest":
        _otherwise(clip=lambda m, limit: _bounded(m, 1.0)),
    "at most longest: clip_grad_norm_(model.parameters(), longest)":
        _otherwise(clip=lambda m, limit: _bounded(m, 10 * limit)),
    "the loss before the step is to be returned":
        lambda *a: (_step(*a), a[3](a[0], a[2]).item())[1],
    "the step of the optimiser that was given, not of one of your own":
        lambda model, _, *a: _step(model, torch.optim.SGD(model.parameters(), 0.1), *a),
    "one step for each call": lambda *a: (_step(*a), _step(*a))[0],
    "return loss.item(): a tensor keeps its graph": lambda *a: torch.tensor(_step(*a)),
}


@check("4.18", STEP_MISTAKES, trains=True)
def clipped_step(answer: Callable) -> None:
    """The weights move as by a gradient of bounded length, and old gradients do not count.

    ``answer(model, optimiser, batch, loss_of, longest=1.0) -> float``, the loss before the step
    """
    inputs = chance(18).randint(4, 6)
    numbers = {"generator": generator(18), "dtype": torch.float64}
    x, y = torch.randn(9, inputs, **numbers), torch.randn(9, 3, **numbers)
    network = _Toy(inputs)
    makers = {
        "SGD": lambda p: torch.optim.SGD(p, 0.2, momentum=0.9, weight_decay=0.01),
        "Adam": lambda p: torch.optim.Adam(p, 0.02),
    }

    def trained(
        step: Callable, kind: str, steepness: float, count: int, *longest: float, call: Callable
    ) -> tuple:
        """Losses and weights of so many steps, with an optimiser that has stepped before."""
        model, batch = copy.deepcopy(network), (x, y, steepness)
        optimiser = makers[kind](model.parameters())
        _steep(model, batch).backward()
        optimiser.step()
        model.eval()  # as an evaluation before leaves it; the old gradients are still there
        losses = [call(step, model, optimiser, batch, _steep, *longest) for _ in range(count)]
        return losses, [value.detach().clone() for value in model.state_dict().values()]

    @wraps(answer)
    def answered(*case: Any) -> tuple:
        return trained(answer, *case, call=call)

    mistakes = {
        cause: partial(trained, mistake, call=plain) for cause, mistake in STEP_MISTAKES.items()
    }
    cases = [
        (kind, steepness, count, *longest)
        for kind in makers for steepness in (50.0, 0.01)
        for count, *longest in ((1,), (3,), (2, 0.25), (1, 4.0))
    ]
    otherwise = "train, loss_of, zero_grad, backward, clip_grad_norm_, step: in this order"
    truth = partial(trained, _moved, call=plain)
    agree(answered, truth, cases, mistakes, otherwise, 1e-5, "a number")
    passed("long gradients make a step as bounded as asked, from old gradients and eval mode")


def _moved(
    model: nn.Module, optimiser: torch.optim.Optimizer, batch: tuple, loss_of: Callable,
    longest: float = 1.0,
) -> float:
    """The oracle: the length by its formula."""
    parameters = [*model.train().parameters()]
    loss = loss_of(model, batch)
    slopes = torch.autograd.grad(loss, parameters)
    length = sum(float(slope.square().sum()) for slope in slopes) ** 0.5
    for parameter, slope in zip(parameters, slopes, strict=True):
        parameter.grad = slope * min(1.0, longest / length)
    optimiser.step()
    return loss.item()


# 4.20 - A price for large weights


def _penalty(
    model: nn.Module, l1: float, l2: float, *, size: Callable = lambda w: w.abs().sum(),
    square: Callable = lambda w: w.square().sum(),
    counted: Callable = lambda name, w: w.requires_grad,
    give: Callable = lambda total: total,
) -> Any:
    """A right answer; a mistake replaces a part of it."""
    total = torch.zeros((), dtype=next(model.parameters()).dtype)
    for name, parameter in model.named_parameters():
        if counted(name, parameter):
            total = total + l1 * size(parameter) + l2 * square(parameter)
    return give(total)


def _priced(**parts: Any) -> Callable:
    return partial(_penalty, **parts)


def _root(model: nn.Module, l1: float, l2: float) -> Tensor:
    squares = _penalty(model, 0.0, 1.0)
    return _penalty(model, l1, 0.0) + l2 * squares.clamp(min=1e-30).sqrt()


PENALTY_MISTAKES: dict[str, Callable] = {
    "l1 is the price of sizes, l2 that of squares": lambda model, l1, l2: _penalty(model, l2, l1),
    "absolute values: a negative weight costs as much as a positive one":
        _priced(size=lambda w: w.sum()),
    "the squares as they are, without a root": _root,
    "the squares as they are, without a root, over all parameters":
        _priced(square=lambda w: w.norm()),
    "sums, not means: each weight costs the same, in a large layer and in a small one":
        _priced(size=lambda w: w.abs().mean(), square=lambda w: w.square().mean()),
    "the sum of the squares, without a half": _priced(square=lambda w: w.square().sum() / 2),
    "both prices are paid: l1 and l2": _priced(square=lambda w: 0 * w.sum()),
    "both prices are paid: l2, too, and l1": _priced(size=lambda w: 0 * w.sum()),
    "all parameters that are trained: biases, too":
        _priced(counted=lambda name, w: w.requires_grad and not name.endswith("bias")),
    "all parameters that are trained: vectors, too":
        _priced(counted=lambda name, w: w.requires_grad and w.ndim > 1),
    "what is not trained costs nothing: requires_grad": _priced(counted=lambda name, w: True),
    "training follows the penalty back: no .data, no .detach(), no no_grad":
        _priced(give=lambda total: total.detach()),
    "return a tensor: .item() cuts the way back": _priced(give=lambda total: total.item()),
    "a penalty is added to the loss: a plus sign": _priced(give=lambda total: -total),
    "a tensor also where nothing is trained: begin with torch.zeros(())":
        _priced(give=lambda total: total if total.requires_grad else 0),
}


@check("4.20", PENALTY_MISTAKES, draws=False)
def weight_penalty(answer: Callable) -> None:
    """The sums and their derivatives: the sign of a weight, and twice the weight.

    ``answer(model, l1, l2) -> penalty ()``
    """
    sizes = chance(20)
    networks = [_Toy(sizes.randint(3, 6)) for _ in range(3)]
    networks[1].layers[0].weight.requires_grad_(False)
    networks[2].requires_grad_(False)
    for salt, network in enumerate(networks):
        for place, parameter in enumerate(network.parameters()):
            noise = torch.randn(parameter.shape, generator=generator(20 + 9 * salt + place))
            parameter.data = noise  # float32, as a network's are
    networks[0].layers[2].bias.data[0] = 0.0
    prices = [(0.3, 0.0), (0.0, 0.2), (0.5, 0.07)]
    cases = [(network, *price) for network in networks[:2] for price in prices]

    @wraps(answer)
    def asked(answer: Callable, model: nn.Module, *price: float, call: Callable = call) -> Any:
        total = call(answer, model, *price)
        if not isinstance(total, Tensor) or not total.requires_grad:
            return total, "no way back"
        trained = [p for p in model.parameters() if p.requires_grad]
        slopes = torch.autograd.grad(total, trained, allow_unused=True, materialize_grads=True)
        return total.detach(), list(slopes)

    def truth(model: nn.Module, l1: float, l2: float) -> tuple:
        trained = [p.detach() for p in model.parameters() if p.requires_grad]
        every = torch.cat([p.flatten() for p in trained])
        slopes = [l1 * p.sign() + 2 * l2 * p for p in trained]
        return l1 * every.norm(p=1) + l2 * every.dot(every), slopes

    named = {c: partial(asked, wrong, call=plain) for c, wrong in PENALTY_MISTAKES.items()}
    otherwise = "l1 times the sum of sizes and l2 times the sum of squares, of all that is trained"
    agree(partial(asked, answer), truth, cases, named, otherwise, 1e-4, "a penalty or a slope")

    def nothing(answer: Callable, call: Callable = call) -> Any:
        total = call(answer, networks[2], 0.3, 0.2)
        return float(total) if isinstance(total, Tensor) else f"a {type(total).__name__}"

    named = {c: partial(nothing, wrong, call=plain) for c, wrong in PENALTY_MISTAKES.items()}
    otherwise = "a model of which nothing is trained costs 0"
    agree(partial(nothing, answer), lambda: 0.0, [()], named, otherwise)
    passed("sums and derivatives of 2 networks at 3 prices; what is not trained costs nothing")
