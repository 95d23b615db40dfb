"""What a network costs: parameters, multiply-accumulates, memory, and the time of one clip.

torch's own counter (``torch.utils.flop_counter``) gives 0 for an LSTM and a GRU. Here each kind of
layer is counted by its formula, from the shapes that pass through it.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}
#: One multiplication an element at most: as in the literature, they are not counted.
FREE = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout, nn.Flatten, nn.Hardtanh, nn.MaxPool1d,
    nn.MaxPool2d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.ReLU, nn.Identity,
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """What a network costs for one clip."""

    parameters: int
    operations: int  # multiply-accumulates; those of the features are not among them
    weights: int  # bytes
    activations: int  # bytes: the most that one layer reads and writes
    milliseconds: float  # of one clip on one thread, the median
    slow: float  # ms: 95 % of the clips are as quick as that
    real_time_factor: float  # the time that it takes, as a share of the time that the clip lasts


def operations(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Multiply-accumulates of one call; features inside of the network are not counted.

    Examples
    --------
    >>> operations(nn.Linear(10, 3), torch.zeros(1, 10))  # 10 for each of 3 outputs
    30
    >>> operations(nn.LSTM(2, 5), torch.zeros(7, 1, 2))  # 7 frames, 4 gates, (2 + 5) * 5 each
    980

    Raises
    ------
    ValueError
        A layer has weights, and no formula for it is known here.
    """
    return _passed(network, inputs)[0]


def _passed(network: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[int, int]:
    """Multiply-accumulates, and the most bytes that one layer reads and writes."""
    total, largest = 0, 0

    def count(layer: nn.Module, given: tuple, made: Any) -> None:
        nonlocal total, largest
        total += _of_layer(layer, given[0], made)
        sizes = [_bytes(part) for part in (given[0], made)]
        largest = max(largest, sum(sizes))

    hooks = [
        layer.register_forward_hook(count)
        for layer in network.modules()
        if not list(layer.children())
    ]
    try:
        with _evaluated(network):
            network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total, largest


def _data(value: Any) -> torch.Tensor:
    """The tensor in what a layer gets or makes: a recurrent one makes a tuple, of a packed one."""
    while not isinstance(value, torch.Tensor):
        value = value[0]  # PackedSequence is a tuple, too: its data stand first
    return value


def _bytes(value: Any) -> int:
    tensor = _data(value)
    return tensor.numel() * tensor.element_size()


def _of_layer(layer: nn.Module, given: Any, made: Any) -> int:
    """Multiply-accumulates of one layer."""
    if isinstance(layer, nn.Linear):
        return _data(made).numel() * layer.in_features
    if isinstance(layer, CONVOLUTIONS):
        turned = isinstance(layer, nn.ConvTranspose1d)
        taps = layer.weight[0].numel()  # of one output, of one channel in a group
        return _data(given if turned else made).numel() * taps
    if kinds := [gates for kind, gates in GATES.items() if isinstance(layer, kind)]:
        x = _data(given)
        ways = 2 if layer.bidirectional else 1
        steps = x.numel() // x.shape[-1]  # frames of all clips
        each = 0
        for number in range(layer.num_layers):
            inputs = layer.input_size if number == 0 else ways * layer.hidden_size
            each += ways * kinds[0] * layer.hidden_size * (inputs + layer.hidden_size)
        return steps * each
    if isinstance(layer, FREE) or not any(True for _ in layer.parameters()):
        return 0
    raise ValueError(f"Nothing is known here of the cost of {type(layer).__name__}: add a formula.")


@contextmanager
def _evaluated(network: nn.Module):
    """Eval mode and no gradients while it is open."""
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        network.train(training)


def of(
    network: nn.Module, *inputs: torch.Tensor, seconds: float = 1.0, calls: int = 100,
    whole: Callable[[], Any] | None = None,
) -> Cost:
    """What one clip costs.

    Parameters
    ----------
    network : nn.Module
        On the CPU.
    *inputs : tensor
        What it gets for one clip: a batch of one.
    seconds : float
        How long the clip lasts.
    calls : int
        How often it is timed, on one thread, after ten calls that are not.
    whole : callable, optional
        From samples to answer, where features are not part of the network: this is timed.
    """
    count, activations = _passed(network, inputs)
    parameters = list(network.parameters())
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _evaluated(network):
            times = []
            for _ in range(10 + calls):
                start = time.perf_counter()
                whole() if whole else network(*inputs)
                times.append(1000 * (time.perf_counter() - start))
    finally:
        torch.set_num_threads(threads)
    median, slow = np.quantile(times[10:], (0.5, 0.95))
    return Cost(
        parameters=sum(p.numel() for p in parameters), operations=count,
        weights=sum(p.numel() * p.element_size() for p in parameters), activations=activations,
        milliseconds=float(median), slow=float(slow),
        real_time_factor=float(median) / 1000 / seconds,
    )


def row(cost: Cost) -> dict[str, str]:
    """A cost as cells of a table."""
    return {
        "Parameters": f"{cost.parameters:,}", "MAC a clip": f"{cost.operations / 1e6:.2f} M",
        "Weights": f"{cost.weights / 1e3:,.0f} kB",
        "Activations": f"{cost.activations / 1e3:,.0f} kB",
        "ms a clip": f"{cost.milliseconds:.2f}", "95 %": f"{cost.slow:.2f}",
        "Real-time factor": f"{cost.real_time_factor:.4f}",
    }
