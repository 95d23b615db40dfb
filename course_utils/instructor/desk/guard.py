"""What an answer must leave as it is, put back and told: the checks, torch, and Python itself."""

import builtins
import contextlib
import signal
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._device import DeviceContext

#: Modules whose names no answer may change. What begins with one of these and a dot, too.
_ROOTS = ("course_utils", "torch.nn", "torch.optim", "torch.utils.data", "numpy.random")
_MODULES = (
    *("torch", "torch.random", "torch.autograd", "torch.overrides", "torch._tensor", "numpy"),
    *("torch._jit_internal", "math", "random", "copy", "functools", "itertools", "operator"),
    *("contextlib", "dataclasses", "unittest.mock", "re", "textwrap", "traceback", "collections"),
    *("IPython", "inspect", "types", "numbers", "linecache", "json", "json.encoder", "os", "sys"),
)
#: What changes while a check runs, or the first time that something is used.
_ALIVE = {"_frame", "_seed", "_remark", "__builtins__", "__warningregistry__", "__annotations__"}
_ALIVE |= {"_SIGCHLD_handler_set"}
#: Whose classes are watched, too.
_HOMES = ("torch", "course_utils", "json", "contextlib", "functools", "unittest")
_OF_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__")
_MISSING = object()


class Guard:
    """A picture of the program before a student's code runs in it."""

    def __init__(self):
        self._names = builtins.__dict__
        self._builtins = dict(builtins.__dict__)
        self._builtins.pop("_", None)
        watched = [
            module
            for name, module in list(sys.modules.items())
            if isinstance(module, types.ModuleType)
            and (name in _MODULES or any(f"{name}.".startswith(f"{root}.") for root in _ROOTS))
        ]
        self._modules = [(module, dict(module.__dict__)) for module in watched]
        self._classes: list[tuple[type, dict]] = []
        self._functions: list[tuple[types.FunctionType, list]] = []
        self._containers: list[tuple[Any, Any, str]] = []
        seen: set[int] = set()
        for module, names in self._modules:
            ours = module.__name__.startswith("course_utils")
            for name, value in names.items():
                if name not in _ALIVE:
                    self._keep(value, f"{module.__name__}.{name}" if ours else "", seen)

    def _keep(self, value: Any, ours: str, seen: set[int]) -> None:
        if id(value) in seen:
            return
        if isinstance(value, type):
            home = str(getattr(value, "__module__", ""))
            if home.startswith(_HOMES):
                seen.add(id(value))
                self._classes.append((value, dict(value.__dict__)))
                for item in list(value.__dict__.values()):
                    self._keep(item, ours, seen)
        elif isinstance(value, types.FunctionType):
            seen.add(id(value))
            about = [getattr(value, name) for name in _OF_FUNCTION]
            # torch itself hangs what it has made of a function at the function.
            self._functions.append((value, [*about, dict(value.__dict__) if ours else None]))
            if ours:
                for item in value.__dict__.values():
                    self._keep(item, ours, seen)
        elif ours and isinstance(value, dict | list):
            seen.add(id(value))
            self._containers.append((value, value.copy(), ours))
            for item in value.values() if isinstance(value, dict) else value:
                self._keep(item, ours, seen)
        elif ours and isinstance(value, tuple):
            for item in value:
                self._keep(item, ours, seen)

    def restore(self) -> list[str]:
        """Put back what was changed.

        Returns
        -------
        list of str
            What that was, such as ``"torch.equal"``.
        """
        # First of all, and by no name that an answer could have changed.
        changed = [
            f"builtins.{name}"
            for name, value in self._builtins.items()
            if self._names.get(name) is not value
        ]
        self._names.update(self._builtins)
        sys.settrace(None)
        sys.setprofile(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
        changed += [*self._restore_names(), *self._restore_classes(), *self._restore_functions()]
        for value, before, name in self._containers:
            if _differs(value, before):
                value.clear()
                value.update(before) if isinstance(value, dict) else value.extend(before)
                changed.append(name)
        return list(dict.fromkeys(changed))

    def _restore_names(self) -> Iterator[str]:
        for module, before in self._modules:
            now = module.__dict__
            for name, value in before.items():
                if now.get(name, _MISSING) is not value and name not in _ALIVE:
                    now[name] = value
                    yield f"{module.__name__}.{name}"

    def _restore_classes(self) -> Iterator[str]:
        for kind, before in self._classes:
            now = dict(kind.__dict__)
            if now.keys() == before.keys() and all(
                now[name] is value for name, value in before.items()
            ):
                continue
            for name in now.keys() | before.keys():
                pair = now.get(name, _MISSING), before.get(name, _MISSING)
                # A class may count in its own numbers; what it does stays as it was.
                if pair[0] is pair[1] or name in _CACHES or not any(map(_is_code, pair)):
                    continue
                with contextlib.suppress(TypeError, AttributeError):
                    if name in before:
                        setattr(kind, name, before[name])
                    else:
                        delattr(kind, name)
                    yield f"{kind.__module__}.{kind.__qualname__}.{name}"

    def _restore_functions(self) -> Iterator[str]:
        for function, (*about, attributes) in self._functions:
            for name, value in zip(_OF_FUNCTION, about, strict=True):
                if getattr(function, name) is not value:
                    setattr(function, name, value)
                    yield f"{function.__module__}.{function.__qualname__}"
            if attributes is not None and function.__dict__ != attributes:
                function.__dict__.clear()
                function.__dict__.update(attributes)
                yield f"{function.__module__}.{function.__qualname__}"


def _is_code(value: Any) -> bool:
    return callable(value) or isinstance(value, property | classmethod | staticmethod)


def _differs(value: Any, before: Any) -> bool:
    """Whether a table holds other things: the same ones, not equal ones."""
    if len(value) != len(before):
        return True
    if isinstance(value, dict):
        return any(value.get(name, _MISSING) is not item for name, item in before.items())
    return any(new is not old for new, old in zip(value, before, strict=True))


#: Written by Python itself, at the first use of a class.
_CACHES = set(
    "__annotations__ __doc__ _abc_impl __abstractmethods__ __weakref__ __slotnames__".split()
)


_C = torch._C
_COUNT = _C._len_torch_function_stack, _C._len_torch_dispatch_stack
_AT = _C._get_function_stack_at


def left_on() -> list[str]:
    """What stands between each call and torch: modes, and kernels put in place of torch's own."""
    modes = [type(_AT(place)) for place in range(_COUNT[0]())]
    found = ["a mode of torch's" for kind in modes if kind is not DeviceContext]
    found += ["a mode of torch's kernels"] * _COUNT[1]()
    own = sorted(name for name in torch.library._impls if name.startswith("aten"))
    # Shapes without numbers, which torch itself registers when it is first asked to compile.
    return found + [f"a kernel for {name}" for name in own if not name.endswith("Meta")]


def others_running() -> bool:
    """Whether a thread goes on beside the main one."""
    return any(thread is not threading.main_thread() for thread in threading.enumerate())
