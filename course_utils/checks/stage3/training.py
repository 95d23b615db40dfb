"""Checks of training from the weights of another network, and of batches in parts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import Watched, attempt, chance, check, fail, generator, passed

# 3.10 - Carry weights over, and freeze them


class _Small(nn.Module):
    """A network whose names and shapes set traps."""

    def __init__(self, inputs: int, hidden: int, classes: int):
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), 0.5))
        first, last = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden)
        self.body = nn.ModuleDict({"first": first, "norm": nn.BatchNorm1d(hidden), "output": last})
        self.output = nn.Linear(hidden, classes)

    def __repr__(self) -> str:
        return "the model"

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.body.values():
            x = layer(x).tanh()
        return self.output(self.scale * x)


_but = functools.partial  #: a right answer, but for a part


class _Weights(dict):
    """Weights that do not fill a message with their numbers."""

    def __repr__(self) -> str:
        return "the weights"


def _load(
    model: nn.Module, weights: dict[str, Tensor],
    fits: Callable = lambda new, old: new.shape == old.shape,
    copy: Callable = lambda old, new: old.copy_(new),
    tensors: Callable = lambda model: model.state_dict(),
) -> list[str]:
    """A right answer; a mistake replaces a part of it."""
    left = []
    with torch.no_grad():
        for name, old in tensors(model).items():
            if name in weights and fits(weights[name], old):
                copy(old, weights[name])
            else:
                left.append(name)
    return left


def _matching(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    state = model.state_dict()
    return {n: w for n, w in weights.items() if n in state and w.shape == state[n].shape}


def _own(model: nn.Module) -> dict[str, Tensor]:
    """The tensors that are in a model, and not only tensors that share their numbers."""
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    return {name: tensors[name] for name in model.state_dict()}


def _share(old: Tensor, new: Tensor) -> None:
    old.data = new


def _replace(model: nn.Module, weights: dict[str, Tensor]) -> list[str]:
    copies = {name: value.clone() for name, value in _matching(model, weights).items()}
    return model.load_state_dict(copies, strict=False, assign=True).missing_keys


_SHAPES = (
    "what has not the name and the shape stays as it was: compare tensor.shape; as many numbers "
    "is not enough, nor that they can spread"
)
_REFUSED = (
    "load_state_dict refuses other shapes, with strict=False, too: first leave out what does not "
    "match"
)
_ORDER = "the order of model.state_dict(): go through it, not through weights or a set"
_REPLACED = "an optimiser holds the tensors that are there: copy into them, do not replace them"
_SHARED = "the model shares memory with weights: copy the numbers, with copy_ or .clone()"
_LIST = "collect the names that were left, in a list"

LOAD_MISTAKES: dict[str, Callable] = {
    _REFUSED: lambda model, weights: model.load_state_dict(weights, strict=False).missing_keys,
    _SHAPES: _but(
        _load,
        fits=lambda new, old: new.numel() == old.numel(),
        copy=lambda old, new: old.copy_(new.reshape(old.shape)),
    ),
    "running averages are tensors of the model, too: go through state_dict()":
        _but(_load, tensors=lambda model: dict(model.named_parameters())),
    "a new dictionary does not change the model: load_state_dict or copy_":
        _but(_load, copy=lambda old, new: None),
    "an empty list of what was left: return the names": lambda *given: _load(*given)[:0],
    "the names of what was left, not of what was loaded": lambda model, weights:
        [name for name in model.state_dict() if name not in _load(model, weights)],
    _ORDER: lambda *given: sorted(_load(*given)),
    "names of the model only: what is in weights alone is ignored": lambda model, weights:
        _load(model, weights) + [name for name in weights if name not in model.state_dict()],
    "left are names with another shape, too": lambda model, weights:
        [name for name in _load(model, weights) if name not in weights],
    "left are names that weights lacks, too": lambda model, weights:
        [name for name in _load(model, weights) if name in weights],
    _LIST: lambda *given: set(_load(*given)),
    _REPLACED: _replace,
    "loading freezes nothing": lambda model, weights: _load(model.requires_grad_(False), weights),
    "loading thaws nothing": lambda model, weights: _load(model.requires_grad_(True), weights),
    _SHARED: _but(_load, copy=_share, tensors=_own),
}


def _freeze(
    model: nn.Module, prefix: str,
    learns: Callable = lambda name, prefix: name.startswith(prefix),
    switch: Callable = lambda parameter, learns: parameter.requires_grad_(learns),
    listed: Callable = lambda model, wanted: [p for p in model.parameters() if p.requires_grad],
) -> list[nn.Parameter]:
    """A right answer; a mistake replaces a part of it."""
    for name, parameter in model.named_parameters():
        switch(parameter, learns(name, prefix))
    return listed(model, [p for n, p in model.named_parameters() if learns(n, prefix)])


_NOTHING = (
    "nothing was changed: parameter.requires_grad_(...) of named_parameters(); on tensors of "
    "state_dict() it has no effect"
)
_TWICE = "return a list: the optimiser and you will both go through it"
_PREFIX = "only the parameters whose name starts with the prefix learn"
_COPIES = "the list holds the model's own parameters that learn, each once"

FREEZE_MISTAKES: dict[str, Callable] = {
    _NOTHING: _but(_freeze, switch=lambda p, learns: None, listed=lambda model, wanted: wanted),
    "parameter.requires_grad_(False) for every other name of named_parameters()":
        _but(_freeze, switch=lambda p, learns: p.requires_grad_(learns or p.requires_grad)),
    "requires_grad_(True) for every name that starts with the prefix: it may have been frozen "
    "before": _but(_freeze, switch=lambda p, learns: p.requires_grad_(learns and p.requires_grad)),
    "those with the prefix learn, not all the others":
        _but(_freeze, learns=lambda name, prefix: not name.startswith(prefix)),
    "the name starts with the prefix: name.startswith(prefix)":
        _but(_freeze, learns=lambda name, prefix: prefix in name),
    "the prefix is only the start of the name: name.startswith(prefix)":
        _but(_freeze, learns=lambda name, prefix: name == prefix),
    "the prefix may have several parts: name.startswith(prefix)":
        _but(_freeze, learns=lambda name, prefix: name.split(".")[0] == prefix),
    "the prefix may end within a part of the name: name.startswith(prefix)":
        _but(_freeze, learns=lambda name, prefix: f"{name}.".startswith(f"{prefix}.")),
    "weights and biases: all whose name starts with the prefix":
        _but(_freeze, learns=lambda n, prefix: n.startswith(prefix) and not n.endswith("bias")),
    _TWICE: lambda *given: iter(_freeze(*given)),
    "the optimiser takes the parameters themselves, not their names":
        _but(_freeze, listed=lambda m, _: [n for n, p in m.named_parameters() if p.requires_grad]),
    _COPIES: lambda *given: [nn.Parameter(p.clone()) for p in _freeze(*given)],
    "leave out the frozen ones: weight decay and momentum would still move them":
        _but(_freeze, listed=lambda model, _: [*model.parameters()]),
    "the parameters that learn, not those that are frozen":
        _but(_freeze, listed=lambda m, _: [p for p in m.parameters() if not p.requires_grad]),
}


@check(
    "3.10", [LOAD_MISTAKES, FREEZE_MISTAKES], truth=(_load, _freeze),
    hints={"loading state_dict": _REFUSED},
)
def transfer(load_matching: Callable, freeze_all_but: Callable) -> None:
    """What fits is copied, what is frozen stays as it is.

    ``load_matching(model, weights) -> names``, ``freeze_all_but(model, prefix) -> list``
    """
    sizes, random = chance(6), generator(6)
    inputs, hidden, classes, others = sizes.sample(range(3, 10), 4)

    def numbers(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return torch.full_like(tensor, sizes.randint(2, 9))
        return torch.randn(tensor.shape, generator=random) + 3

    model = _Small(inputs, hidden, classes)
    model.body["norm"].eval()  # its mode is not the others'
    for parameter in model.body["first"].parameters():
        parameter.requires_grad_(False)
    same = {name: numbers(value) for name, value in reversed(model.state_dict().items())}
    few = {name: same[name] for name in ("body.norm.num_batches_tracked", "output.bias")}
    weights = same | {
        "output.weight": numbers(torch.empty(others, hidden)),  # another number of classes
        "output.bias": numbers(torch.empty(others)),
        "body.first.weight": numbers(torch.empty(inputs, hidden)),  # as many numbers
        "body.norm.bias": numbers(torch.empty(1)),  # could be spread over all
        "decoder.weight": numbers(torch.empty(2, 2)),
    }
    del weights["body.output.bias"]
    for seen, cause in enumerate(_LOADING, start=1):
        known = {cause: _loaded(mistake, seen) for cause, mistake in LOAD_MISTAKES.items()}
        cases = [(model, given) for given in map(_Weights, (weights, same, few))]
        agree(_loaded(load_matching, seen), _truly_loaded(seen), cases, known, cause)

    model.body["first"].requires_grad_(True)
    x, y = torch.randn(7, inputs, generator=random), torch.arange(7) % classes
    for name, parameter in model.named_parameters():  # as another stage may have left them
        parameter.requires_grad_(name.startswith("body."))
    cases = [(model, prefix) for prefix in ("output", "body.norm", "output.bias", "bo", "")]
    for seen, cause in enumerate((_PREFIX, _COPIES), start=1):
        known = {cause: _frozen(mistake, seen) for cause, mistake in FREEZE_MISTAKES.items()}
        agree(_frozen(freeze_all_but, seen), _truly_frozen(seen), cases, known, cause)
    cause = "three steps of training with the list that was returned"
    agree(_trained(freeze_all_but, x, y), _truly_frozen(1), cases, {}, cause)
    passed("what fits is copied, what is frozen stays as it is to the last bit")


#: What is wrong if the first, the second ... of what _loaded looks at is.
_LOADING = (
    _SHAPES,
    "copy every tensor of the same name and shape: tensor.copy_(weights[name])",
    "the names of the model's tensors that were left, for want of one of this name and shape",
    _ORDER,
    _REPLACED,
    "loading leaves requires_grad as it was",
    _SHARED,
)


def _loaded(load: Callable, count: int) -> Callable:
    """The first things that can be seen after an answer has loaded weights into a model."""

    @functools.wraps(load)
    def seen(model: nn.Module, weights: dict[str, Tensor]) -> tuple:
        before = {name: value.clone() for name, value in model.state_dict().items()}
        parameters = dict(model.named_parameters())
        got = load(model, weights)
        _is_list(got, "names", _LIST)
        after = model.state_dict()
        fits = _matching_names(before, weights)
        changed = [n for n, value in before.items() if not torch.equal(after[n], value)]
        memory = {value.data_ptr() for value in weights.values()}
        return (
            [name for name in changed if name not in fits],
            [name for name in changed if name in fits and torch.equal(after[name], weights[name])],
            sorted(map(str, got)),
            list(got),
            [name for name, p in model.named_parameters() if parameters.get(name) is not p],
            _learning(model),
            [name for name, value in after.items() if value.data_ptr() in memory],
        )[:count]

    return seen


def _truly_loaded(count: int) -> Callable:
    """The oracle: the same, read off from names and shapes alone."""

    def expected(model: nn.Module, weights: dict[str, Tensor]) -> tuple:
        fits = _matching_names(model.state_dict(), weights)
        left = [name for name in model.state_dict() if name not in fits]
        return ([], fits, sorted(left), left, [], _learning(model), [])[:count]

    return expected


def _matching_names(own: dict[str, Tensor], weights: dict[str, Tensor]) -> list[str]:
    shapes = {(name, tuple(value.shape)) for name, value in weights.items()}
    return [name for name, value in own.items() if (name, tuple(value.shape)) in shapes]


def _learning(model: nn.Module) -> list[str]:
    return [name for name, parameter in model.named_parameters() if parameter.requires_grad]


def _is_list(got: list, kind: str, cause: str) -> None:
    if not isinstance(got, list | tuple):
        cause = "the return is missing" if got is None else cause
        fail(f"a list of {kind}", type(got).__name__, cause)


def _frozen(freeze: Callable, count: int) -> Callable:
    """What learns after an answer has frozen the rest, and with a count of 2 what it returns."""

    @functools.wraps(freeze)
    def seen(model: nn.Module, prefix: str) -> tuple:
        got = freeze(model, prefix)
        _is_list(got, "parameters", _TWICE)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        listed = [names.get(id(p), f"another {type(p).__name__}") for p in got]
        return (_learning(model), sorted(listed))[:count]

    return seen


def _truly_frozen(count: int) -> Callable:
    """The oracle."""

    def expected(model: nn.Module, prefix: str) -> tuple:
        learning = [n for n, _ in model.named_parameters() if n[: len(prefix)] == prefix]
        return (learning, sorted(learning))[:count]

    return expected


def _trained(freeze: Callable, x: Tensor, y: Tensor) -> Callable:
    """Which parameters three steps move, with the list that an answer returns."""

    @functools.wraps(freeze)
    def moved(model: nn.Module, prefix: str) -> tuple:
        before = {name: value.detach().clone() for name, value in model.named_parameters()}
        for parameter in model.parameters():  # gradients from before must not move anything either
            parameter.grad = torch.ones_like(parameter)
        optimiser = torch.optim.SGD(freeze(model, prefix), 0.1, momentum=0.9, weight_decay=0.1)
        for _ in range(3):
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
        return ([n for n, p in model.named_parameters() if not torch.equal(p, before[n])],)

    return moved


# Worked example: gradients in parts


def _accumulate(
    model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, parts: int,
    weight: Callable = lambda part, pieces, parts: part,
    zero: str = "before", step: str = "behind", reduction: str = "mean", backward: bool = True,
    chosen: slice = slice(None),
) -> None:
    """A right answer; a mistake replaces a part of it.

    ``weight(share of the clips, number of pieces, parts)`` is that of a piece.
    """
    pieces = list(zip(x.chunk(parts), y.chunk(parts), strict=True))
    if zero == "before":
        optimiser.zero_grad()
    for part_x, part_y in pieces[chosen]:
        if zero == "inside":
            optimiser.zero_grad(set_to_none=False)
        loss = F.cross_entropy(model(part_x), part_y, reduction=reduction)
        if backward:
            (loss * weight(len(part_x) / len(x), len(pieces), parts)).backward()
        if step == "inside":
            optimiser.step()
    if step == "behind":
        optimiser.step()


_MEMORY = "the whole batch does not fit into memory: torch.chunk(x, parts)"
_EVERY = "every part goes through the model once, the last, smaller one too"
_ONCE = "optimiser.step() once, behind the loop over the parts"

ACCUMULATE_MISTAKES: dict[str, Callable] = {
    "zero the gradients first: those of the step before are still there":
        _but(_accumulate, zero="never"),
    "the gradients of all parts add up: zero them once, before the loop":
        _but(_accumulate, zero="inside"),
    "the parts differ in size: weight each mean with len(part) / len(x)":
        _but(_accumulate, weight=lambda share, pieces, parts: 1 / pieces),
    "torch.chunk may make fewer parts: weight each with len(part) / len(x)":
        _but(_accumulate, weight=lambda share, n, parts: share if n == parts else 1 / parts),
    "weight each part's mean with len(part) / len(x): this is their sum":
        _but(_accumulate, weight=lambda *_: 1),
    "divide by the clips of the batch: this is the sum over all clips":
        _but(_accumulate, weight=lambda *_: 1, reduction="sum"),
    "divide by the clips of the batch, not by the parts":
        _but(_accumulate, weight=lambda share, pieces, parts: 1 / parts, reduction="sum"),
    "the gradients of all parts add up: this is the last one alone":
        _but(_accumulate, zero="inside", weight=lambda *_: 1),
    "backward() for each part is missing": _but(_accumulate, zero="inside", backward=False),
    _MEMORY: lambda model, optimiser, x, y, parts: _accumulate(model, optimiser, x, y, 1),
    _EVERY: _but(_accumulate, chosen=slice(-1)),
    _ONCE: _but(_accumulate, step="inside"),
}


@check("3.0", ACCUMULATE_MISTAKES, trains=True)
def accumulation(answer: Callable) -> None:
    """One step from the parts is the step of the whole batch.

    ``answer(model, optimiser, x, y, parts)``: one step as that of the whole batch
    """
    sizes, random = chance(2), generator(2)
    cause = "each part's mean loss times len(part) / len(x), backward for each, one step"
    known = {cause: _one_step(mistake) for cause, mistake in ACCUMULATE_MISTAKES.items()}
    drawn = sizes.choice([(11, 5), (13, 6), (14, 5), (17, 8)])
    for count, parts in ((10, 4), (10, 1), (10, 3), (10, 7), drawn):  # 7 parts are 5
        layer = nn.Linear(4, 3)
        x = torch.randn(count, 4, generator=random)
        given = (layer.weight.detach(), layer.bias.detach(), x, torch.arange(count) % 3, parts)
        agree(_one_step(answer), _whole_step, [given], known, cause, name="a number")
    passed("one step from 1, 4, 3 and 7 parts is the step of the whole batch")


def _whole_step(weight: Tensor, bias: Tensor, x: Tensor, y: Tensor, _: int) -> tuple:
    """The oracle: the closed form of the gradient of softmax regression."""
    error = torch.softmax(x @ weight.T + bias, dim=1) - torch.eye(3)[y]
    return weight - 0.5 * error.T @ x / len(x), bias - 0.5 * error.mean(dim=0)


def _one_step(answer: Callable) -> Callable:
    """Weight and bias after an answer's step."""

    @functools.wraps(answer)
    def stepped(weight: Tensor, bias: Tensor, x: Tensor, y: Tensor, parts: int) -> tuple:
        model = Watched(nn.Linear(4, 3)).train()
        for parameter, value in zip(model.parameters(), (weight, bias), strict=True):
            parameter.data = value.clone()
            parameter.grad = torch.ones_like(value)  # as a step before may have left it
        optimiser = torch.optim.SGD(model.parameters(), 0.5)
        steps = []
        optimiser.register_step_post_hook(lambda *_: steps.append(1))
        attempt(answer, model, optimiser, x, y, parts)
        largest = math.ceil(len(x) / parts)
        if max(model.sizes, default=0) > largest:
            fail(f"parts of at most {largest} clips", f"one of {max(model.sizes)}", _MEMORY)
        if sum(model.sizes) != len(x):
            fail(f"{len(x)} clips", f"{sum(model.sizes)} clips", _EVERY)
        if len(steps) != 1:
            fail("one step of the optimiser", f"{len(steps)} steps", _ONCE)
        return tuple(parameter.detach() for parameter in model.parameters())

    return stepped
