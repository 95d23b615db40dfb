"""Checks of training from the weights of another network, and of batches in parts."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    CheckFailed,
    Watched,
    attempt,
    call,
    close,
    compare,
    fail,
    generator,
    own_random,
    passed,
)

# 3.10 - Carry weights over, and freeze them


def _small_model() -> nn.Module:
    """A network whose names and shapes set traps."""

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.full((1,), 0.5))
            self.body = nn.ModuleDict(
                {"first": nn.Linear(6, 5), "norm": nn.BatchNorm1d(5), "output": nn.Linear(5, 5)}
            )
            self.output = nn.Linear(5, 3)

        def forward(self, x):
            for layer in self.body.values():
                x = layer(x).tanh()
            return self.output(self.scale * x)

    return Small()


@own_random
def transfer(load_matching: Callable, freeze_all_but: Callable) -> None:
    """What fits is copied, what is frozen stays as it is.

    ``load_matching(model, weights) -> names``, ``freeze_all_but(model, prefix) -> list``
    """
    _loads(load_matching)
    for prefix in ("output", "body.norm", "output.bias", ""):
        _freezes(freeze_all_but, prefix)
    passed("what fits is copied, what is frozen stays as it is to the last bit")


def _loads(answer: Callable) -> None:
    random = generator(6)

    def numbers(tensor: Tensor) -> Tensor:
        if not tensor.is_floating_point():
            return torch.full_like(tensor, 7)
        return torch.randn(tensor.shape, generator=random) + 3

    model = _small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights = {name: numbers(value) for name, value in reversed(list(before.items()))}
    weights["output.weight"] = numbers(torch.empty(8, 5))  # another number of classes
    weights["output.bias"] = numbers(torch.empty(8))
    weights["body.first.weight"] = numbers(torch.empty(5, 6).T)  # as many numbers, turned round
    weights["body.norm.bias"] = numbers(torch.empty(1))  # could be spread over all five
    weights["decoder.weight"] = numbers(torch.empty(2, 2))
    del weights["body.output.bias"]
    kept = {name: value.clone() for name, value in weights.items()}
    names = list(weights)
    left = [name for name in before if name not in kept or kept[name].shape != before[name].shape]
    parameters = {name: id(value) for name, value in model.named_parameters()}
    try:
        got = call(answer, model, weights)
    except CheckFailed as error:
        if "loading state_dict" not in str(error.__cause__):
            raise
        cause = (
            "load_state_dict refuses other shapes, with strict=False, too: first leave out "
            "what does not match"
        )
        fail("what matches to be loaded", f"{type(error.__cause__).__name__}", cause)
    if list(weights) != names or not all(torch.equal(kept[n], weights[n]) for n in names):
        fail("weights as they were", "changed ones", "copy from the dictionary: take nothing out")
    if isinstance(got, str | bytes) or not isinstance(got, list | tuple):
        fail("a list of names", type(got).__name__, "collect the names that were left, in a list")
    loaded = [name for name in before if name not in left]
    after = model.state_dict()
    for name, value in before.items():
        cause = None
        if name in loaded and not torch.equal(after[name], kept[name]):
            cause = "copy every tensor of the same name and shape: tensor.copy_(weights[name])"
            if name not in dict(model.named_parameters()):
                cause = "running averages are tensors of the model, too: go through state_dict()"
            elif torch.equal(after[name], value):
                cause = "a new dictionary does not change the model: load_state_dict or copy_"
            expected = f"{name} from the weights"
        elif name in left and not torch.equal(after[name], value):
            cause = "compare tensor.shape: as many numbers is not enough, nor that they can spread"
            expected = f"{name} as it was"
        if cause:
            fail(expected, "other numbers", cause)
    if list(got) != left:
        cause = "the names of the model's tensors that were left, in the order of state_dict()"
        if list(got) == loaded:
            cause = "the names of what was left, not of what was loaded"
        elif set(got) == set(left):
            cause = "the order of model.state_dict(): go through it, not through weights or a set"
        elif set(got) - set(before):
            cause = "names of the model only: what is in weights alone is ignored"
        elif set(got) < set(left):
            cause = "left are names that weights lacks, and names with another shape"
        fail(left, list(got), cause)
    cause = "an optimiser holds the tensors that are there: copy into them, do not replace them"
    if parameters != {name: id(value) for name, value in model.named_parameters()}:
        fail("the model's own parameters", "new ones", cause)
    if not all(parameter.requires_grad for parameter in model.parameters()):
        fail("parameters that can learn", "frozen ones", "loading freezes nothing")
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    if not all(torch.equal(kept[name], weights[name]) for name in names):
        cause = "the model shares memory with weights: copy the numbers, with copy_ or .clone()"
        fail("weights that training leaves alone", "changed ones", cause)


def _freezes(answer: Callable, prefix: str) -> None:
    model = _small_model()
    x = torch.randn(7, 6, generator=generator(1))
    y = torch.arange(7) % 3
    cross_entropy = F.cross_entropy
    cross_entropy(model(x), y).backward()  # gradients from before must not move anything either
    wanted = {name for name, _ in model.named_parameters() if name.startswith(prefix)}
    for name, parameter in model.named_parameters():  # as another stage may have left them
        parameter.requires_grad_(name.startswith("body."))
    got = call(answer, model, prefix)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and name not in wanted:
            cause = "parameter.requires_grad_(False) for every other name of named_parameters()"
            if all(p.requires_grad == n.startswith("body.") for n, p in model.named_parameters()):
                cause = (
                    "nothing was changed: parameter.requires_grad_(...) of named_parameters(); "
                    "on tensors of state_dict() it has no effect"
                )
            if prefix in name:
                cause = "the name starts with the prefix: name.startswith(prefix)"
            fail(f"{name} frozen, all but {prefix!r}", "it still learns", cause)
        if not parameter.requires_grad and name in wanted:
            cause = (
                "requires_grad_(True) for every name that starts with the prefix: "
                "it may have been frozen before"
            )
            fail(f"{name} to learn", "it is frozen", cause)
    if not isinstance(got, list):
        cause = "return a list: the optimiser and you will both go through it"
        fail("a list of parameters", type(got).__name__, cause)
    if not all(isinstance(parameter, nn.Parameter) for parameter in got):
        kind = next(type(p).__name__ for p in got if not isinstance(p, nn.Parameter))
        cause = "the optimiser takes the parameters themselves, not their names or copies"
        fail("parameters", kind, cause)
    ids = {name: id(parameter) for name, parameter in model.named_parameters()}
    if sorted(map(id, got)) != sorted(ids[name] for name in wanted):
        cause = "the list holds the model's own parameters that learn, each once"
        if len(got) == len(ids):
            cause = "leave out the frozen ones: weight decay and momentum would still move them"
        elif len(got) == len(ids) - len(wanted):
            cause = "the parameters that learn, not those that are frozen"
        fail(f"{len(wanted)} parameters that learn", f"a list of {len(got)}", cause)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.SGD(got, 0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        cross_entropy(model(x), y).backward()
        optimiser.step()
    for name, value in model.named_parameters():
        if torch.equal(value, before[name]) == (name in wanted):
            expected, state = ("moved", "stayed") if name in wanted else ("stayed", "moved")
            cause = "three steps of training with the list that was returned"
            fail(f"{name} {expected}", f"it {state}", cause)


# Worked example: gradients in parts


@own_random
def accumulation(answer: Callable) -> None:
    """One step from the parts is the step of the whole batch.

    ``answer(model, optimiser, x, y, parts)``: one step as that of the whole batch
    """

    x = torch.randn(10, 4, generator=generator(2))
    y = torch.arange(10) % 3
    for parts in (1, 4, 3, 7):  # 7 parts of at most 2 rows are 5 parts
        model = Watched(nn.Linear(4, 3)).train()
        weight, bias = (value.detach().clone() for value in model.layer.parameters())
        for parameter in model.parameters():  # as a step before may have left it
            parameter.grad = torch.ones_like(parameter)
        optimiser = torch.optim.SGD(model.parameters(), 0.5)
        steps = []
        optimiser.register_step_post_hook(lambda *_, steps=steps: steps.append(1))
        attempt(answer, model, optimiser, x.clone(), y.clone(), parts)
        largest = math.ceil(10 / parts)
        if max(model.sizes, default=0) > largest:
            cause = "the whole batch does not fit into memory: torch.chunk(x, parts)"
            fail(f"parts of at most {largest} clips", f"one of {max(model.sizes)}", cause)
        if sum(model.sizes) != 10:
            cause = "every part goes through the model once, the last, smaller one too"
            fail("10 clips", f"{sum(model.sizes)} clips", cause)
        if len(steps) != 1:
            cause = "optimiser.step() once, behind the loop over the parts"
            fail("one step of the optimiser", f"{len(steps)} steps", cause)
        # The oracle: the closed form of the gradient of softmax regression.
        error = torch.softmax(x @ weight.T + bias, dim=1) - torch.eye(3)[y]
        pieces = [
            (e.T @ part / len(part), len(part))
            for e, part in zip(error.split(largest), x.split(largest), strict=True)
        ]
        whole = error.T @ x / 10
        step = partial(_stepped, weight)
        mean = sum(piece for piece, _ in pieces) / len(pieces)
        known = {
            "zero the gradients first: those of the step before are still there": step(whole + 1),
            "the gradients of all parts add up: zero them once, before the loop": step(
                pieces[-1][0] * pieces[-1][1] / 10
            ),
            "the parts differ in size: weight each mean with len(part) / len(x)": step(mean),
            "torch.chunk may make fewer parts: weight each with len(part) / len(x)": step(
                mean * len(pieces) / parts
            ),
            "weight each part's mean with len(part) / len(x): this is their sum": step(
                mean * len(pieces)
            ),
            "divide by the clips of the batch: this is the sum over all clips": step(10 * whole),
            "divide by the clips of the batch, not by the parts": step(10 * whole / parts),
            "the gradients of all parts add up: this is the last one alone": step(pieces[-1][0]),
            "backward() for each part is missing": weight,
        }
        cause = "each part's mean loss times len(part) / len(x), backward for each, one step"
        compare(model.layer.weight, step(whole), lambda known=known: known, cause, 1e-5, "a weight")
        close(model.layer.bias, bias - 0.5 * error.mean(dim=0), cause, 1e-5, "a bias")
    passed("one step from 1, 4, 3 and 7 parts is the step of the whole batch")


def _stepped(weight: Tensor, gradient: Tensor) -> Tensor:
    return weight - 0.5 * gradient
