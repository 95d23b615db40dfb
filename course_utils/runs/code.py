"""The code that a training depends on, found by following names through the notebook."""

import ast
import contextlib
import dis
import functools
import hashlib
import inspect
import json
import linecache
import textwrap
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch


def collected(*roots: Callable) -> dict[str, str]:
    """Everything of the notebook that these functions and classes reach, each with a hash.

    Names are followed from function to function, into classes, their bases, closures and partials.
    A constant, which is written in capitals, counts with its value. What is imported is left out:
    versions stand for it.

    Parameters
    ----------
    *roots : functions and classes
        Where to start, such as a notebook's ``fit`` and its model class; the first says which
        notebook it is.

    Returns
    -------
    dict of str to str
        Name to twelve characters that change with its code, comments and layout apart.

    Raises
    ------
    OSError
        The source of a class or function is not found.
    """
    return {
        name: _short_hash(repr(item) if _is_constant(item) else _normal(source(item)))
        for name, item in sorted(reached(*roots).items())
    }


def reached(*roots: Callable) -> dict[str, Any]:
    """The functions, classes and constants themselves, by name; see :func:`collected`."""
    found: dict[str, Any] = {}
    waiting = [_unwrapped(root) for root in roots]
    notebook = waiting[0].__module__
    while waiting:
        item = waiting.pop()
        if item.__qualname__ in found or item.__module__ != notebook:
            continue
        found[item.__qualname__] = item
        for name, value in _used(item):
            if name.isupper() and _is_constant(value):
                found[name] = value
            elif isinstance(value, types.FunctionType | type | functools.partial) or hasattr(
                value, "__wrapped__"  # a function that remembers what it has computed
            ):
                waiting.append(_unwrapped(value))
            else:  # an object of the notebook, such as the table of letters: its class counts
                waiting.append(type(value))
    return found


def key(about: Mapping[str, Any], data: Any) -> str:
    """Twelve characters that change with all that decides what is learnt."""
    decides = {key: value for key, value in about.items() if key not in ("name", "notebook")}
    text = json.dumps([decides, _sizes(data)], sort_keys=True, default=_tensor_text)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tensor_text(tensor: torch.Tensor) -> str:
    content = hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
    return f"{tuple(tensor.shape)} {content}"


def _sizes(data: Any) -> Any:
    """How much there is to learn from: shapes of tensors, lengths of lists."""
    if hasattr(data, "shape"):
        return list(data.shape)
    if isinstance(data, list | tuple) and len(data) <= 8:
        return [_sizes(part) for part in data]
    return len(data) if hasattr(data, "__len__") else type(data).__name__


def source(item: Callable) -> str:
    """Source of a function or a class, also of one defined in a notebook.

    In a notebook Python finds the lines of functions, but up to 3.12 not those of classes: then
    they are looked for in the cells that hold the class's methods, and for a class without any in
    the newest cell that defines its name.
    """
    with contextlib.suppress(OSError, TypeError):  # no file; TypeError: not even a module
        return inspect.getsource(item)
    if inspect.isclass(item):
        files = {method.__code__.co_filename for method in _methods(item)} - {"<string>"}
        if not files:  # no methods, or those of a decorator alone
            cached = reversed(linecache.cache.items())
            files = [file for file, about in cached if about[1:2] == (None,)]  # of no file on disk
        for file in files:
            cell = "".join(linecache.getlines(file))
            for node in ast.walk(_tree(cell)):
                if isinstance(node, ast.ClassDef) and node.name == item.__name__:
                    return ast.get_source_segment(cell, node)
    raise OSError(f"The source of {item.__qualname__} is not found; define it in a cell.")


def _tree(cell: str) -> ast.AST:
    """The syntax of a cell; nothing where it has none, such as in a cell of another language."""
    try:
        return ast.parse(cell)
    except SyntaxError:
        return ast.Module([], [])


def _unwrapped(item: Any) -> Any:
    """The function or class behind partials, methods and decorators."""
    while isinstance(item, functools.partial):
        item = item.func
    item = inspect.unwrap(getattr(item, "__func__", item))
    if callable(item) and not hasattr(item, "__qualname__"):  # an object that can be called
        return type(item)
    return item


def _methods(item: type) -> list[types.FunctionType]:
    """Functions in the body of a class, also static ones, class methods and properties."""
    parts = []
    for value in vars(item).values():
        if isinstance(value, property):
            parts += [value.fget, value.fset]
        else:
            parts.append(_unwrapped(value))
    return [part for part in parts if isinstance(part, types.FunctionType)]


def _used(item: Callable) -> Iterator[tuple[str, Any]]:
    """Name and value of each global, closure variable and base class that an item uses."""
    functions = [item]
    if inspect.isclass(item):
        functions = _methods(item)
        yield from ((base.__name__, base) for base in item.__bases__)
    for function in functions:
        for cell, name in zip(
            function.__closure__ or (), function.__code__.co_freevars, strict=True
        ):
            with contextlib.suppress(ValueError):  # a name that was not given a value yet
                yield name, cell.cell_contents
        for name in _globals(function.__code__):
            if name in function.__globals__:
                yield name, function.__globals__[name]


def _globals(code: types.CodeType) -> set[str]:
    """Global names in a piece of code, and in the functions that it makes."""
    names = {
        instruction.argval
        for instruction in dis.get_instructions(code)
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return names.union(*(_globals(part) for part in code.co_consts if inspect.iscode(part)))


def _is_constant(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_constant, value))
    if isinstance(value, dict):
        return all(map(_is_constant, [*value, *value.values()]))
    return value is None or isinstance(value, bool | int | float | str)


def _normal(text: str) -> str:
    """Source without comments and layout, where Python can read it alone."""
    try:
        return ast.unparse(ast.parse(textwrap.dedent(text)))
    except SyntaxError:  # such as a lambda in the middle of a call
        return text


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
