"""Batch normalisation over all processes, on a CPU, too: torch's own wants a GPU."""

import functools
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm as AnyBatchNorm


def together(network: nn.Module) -> nn.Module:
    """Let every batch normalisation of a network see the whole batch, whoever hears it."""
    for module in network.modules():
        if isinstance(module, AnyBatchNorm):
            module.forward = functools.partial(_normalised, module)
    return network


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        found = x.clone()
        distributed.all_reduce(found)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(ctx, gradient)


def _normalised(module: AnyBatchNorm, x: torch.Tensor) -> torch.Tensor:
    """What the layer makes of (batch, channel, ...), with mean and variance over all processes."""
    if not module.training:
        return type(module).forward(module, x)
    dims, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
    values = x.float()
    sizes = torch.full((1,), values.numel() / values.shape[1], device=x.device)
    count, total = _Sum.apply(torch.cat([sizes, values.sum(dims)])).split([1, x.shape[1]])
    mean = total / count
    away = values - mean.view(shape)
    variance = _Sum.apply(away.square().sum(dims)) / count  # in two passes: digits are kept
    if module.track_running_stats:
        with torch.no_grad():
            module.num_batches_tracked += 1
            share = module.momentum or 1 / float(module.num_batches_tracked)
            unbiased = variance * count / (count - 1)
            module.running_mean.lerp_(mean.to(module.running_mean), share)
            module.running_var.lerp_(unbiased.to(module.running_var), share)
    found = away * (variance.view(shape) + module.eps).rsqrt()
    if module.affine:
        found = found * module.weight.view(shape) + module.bias.view(shape)
    return found.to(x.dtype)
