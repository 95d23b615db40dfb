"""A check that sees to it that an answer does the work itself."""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from course_utils.checks.core import fail


class _Library(TorchFunctionMode):
    """Fails at a function of torch's, called by its name in Python."""

    def __init__(self, refuse: Callable[[str], None]):
        super().__init__()
        self.refuse = refuse

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.refuse(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


class _Kernels(TorchDispatchMode):
    """Fails at an operation of torch's, whichever function it is reached by."""

    def __init__(self, refuse: Callable[[str], None]):
        super().__init__()
        self.refuse = refuse

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.refuse(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def by_hand(expected: str, forbidden: str, operations: Iterable[str]) -> Iterator[None]:
    """While it is open, an operation of torch's with such a name in it is a failed check.

    So is the start of a thread: what runs there is not watched.

    Parameters
    ----------
    expected : str
        What to do instead, such as ``"loops of your own"``.
    forbidden : str
        What was called, in the words of the task.
    operations : iterable of str
        Parts of the names of functions and of kernels: ``"conv"`` is in conv1d and convolution.
    """

    def refuse(name: str) -> None:
        if any(operation in name for operation in operations):
            cause = f"{name} does it for you: the exercise is to do it by hand, once"
            fail(expected, forbidden, cause)

    def refused(*arguments: Any, **named: Any) -> None:
        refuse("convolve")

    def kept_here(start: Callable) -> Callable:
        here = threading.get_ident()

        def started(*arguments: Any, **named: Any) -> Any:
            if threading.get_ident() == here:
                cause = "the exercise is to do it by hand, in the thread that calls you"
                fail(expected, "the start of another thread", cause)
            return start(*arguments, **named)

        return started

    with ExitStack() as stack:
        for home, name in ((threading.Thread, "start"), (ThreadPoolExecutor, "submit")):
            stack.enter_context(mock.patch.object(home, name, kept_here(getattr(home, name))))
        for place in ("numpy.convolve", "numpy.correlate"):
            if any(operation in "convolve" for operation in operations):
                stack.enter_context(mock.patch(place, refused))
        stack.enter_context(_Library(refuse))
        stack.enter_context(_Kernels(refuse))
        yield
