"""Choose the device to compute on, and seed every random generator."""

from __future__ import annotations

import contextlib
import os
import random

import numpy as np
import torch
from torch.nn import functional as F

from course_utils import settings


class DeviceError(RuntimeError):
    """The device that was asked for does not exist, or cannot be used."""


def select_device(name: str | None = None, *, threads: int | None = None) -> torch.device:
    """Choose where to compute, set the number of CPU threads, and print one line that says why.

    The order: `name`, else ``COURSE_DEVICE``; else the CUDA device with the most free memory that
    passes a tiny test; else MPS, if it passes; else the CPU.

    Parameters
    ----------
    name : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"``.
    threads : int, optional
        Threads of torch on the CPU; default ``COURSE_THREADS``, else 1. The networks of this
        course are small: two threads that share a busy core can be ten times slower than one.

    Returns
    -------
    torch.device

    Raises
    ------
    DeviceError
        The device that was asked for does not exist or fails the test.
    """
    threads = threads or settings.threads() or 1
    torch.set_num_threads(threads)
    name = name or settings.device_name()
    if name:
        device, why = _wanted(name), "you asked for it"
    else:
        device, why = _best()
    if device.type == "cpu":
        why += f", {threads} thread{'s' if threads > 1 else ''}"
    print(f"Device: {device} ({why})")
    return device


def _wanted(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(
            f"The device asked for is {name!r}, which is none; set COURSE_DEVICE to cpu, cuda, "
            "cuda:1 or mps, or unset it to let the course choose."
        ) from None
    problem = _problem(device)
    if problem:
        raise DeviceError(
            f"The device {name!r} cannot be used: {problem}. "
            "Unset COURSE_DEVICE to let the course choose."
        )
    return device


def _best() -> tuple[torch.device, str]:
    found = _cuda_by_free_memory()
    if torch.backends.mps.is_available():
        found.append((torch.device("mps"), "Apple GPU"))
    failed = ""
    for device, why in found:
        problem = _problem(device)
        if not problem:
            return device, why
        failed = f"; {device} failed a test: {problem}"
    return torch.device("cpu"), f"no usable GPU found{failed}"


def _cuda_by_free_memory() -> list[tuple[torch.device, str]]:
    """The CUDA devices, that with the most free memory first, each with a word about it."""
    free = {}
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        device = torch.device("cuda", index)
        with contextlib.suppress(RuntimeError):  # in use by someone alone, or broken
            free[device] = torch.cuda.mem_get_info(device)[0]
    return [
        (device, f"{torch.cuda.get_device_name(device)}, {free[device] / 1e9:.0f} GB free")
        for device in sorted(free, key=free.get, reverse=True)
    ]


def _problem(device: torch.device) -> str:
    """Why `device` cannot be used; empty if a tiny convolution with its gradient works there.

    A device can be listed and yet fail: a driver that is too old, or a chip that this build of
    torch has no kernels for.
    """
    try:
        x = torch.ones(1, 1, 8, device=device, requires_grad=True)
        F.conv1d(x, torch.ones(1, 1, 3, device=device)).sum().backward()
        value = x.grad.sum().item()
    # torch reports a missing device with one of three types.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return "" if value == 18 else f"it computed {value} where 18 is right"


def seed_everything(seed: int | None = None) -> int:
    """Seed Python, NumPy and torch (all devices).

    Parameters
    ----------
    seed : int, optional
        Default ``COURSE_SEED``, else 0.

    Returns
    -------
    int
        The seed.

    Examples
    --------
    >>> import torch
    >>> seed_everything(3)
    3
    >>> first = torch.rand(2)
    >>> _ = seed_everything(3)
    >>> bool((first == torch.rand(2)).all())
    True
    """
    seed = settings.seed() if seed is None else seed
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  libraries still draw from the global generator
    torch.manual_seed(seed)
    # cuBLAS repeats its sums in the same order only with a fixed workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # torch's profiler would write lines about itself on stderr, into the cell that uses it.
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    return seed
