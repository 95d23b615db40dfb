"""What the programs share: how they are called, what they refuse, what they take of a notebook."""

import argparse
import ast
import math
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from course_utils.audio import AudioError
from course_utils.corpora import CorpusError
from course_utils.corpora.download import DownloadError
from course_utils.device import DeviceError
from course_utils.exercises import NotebookError, definitions
from course_utils.runs import CheckpointError
from course_utils.runs.code import reached, source


class Refused(ValueError):
    """Something that a program was given cannot be used; the message says what to do."""


#: What is told in one line; all else is a fault of the program, and shows where it happened.
TOLD = (
    Refused, AudioError, CheckpointError, CorpusError, DeviceError, DownloadError, NotebookError,
    OSError,
)  # fmt: skip


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks; of the system's errors the file comes first.

    >>> one_line(Refused("No.\\n  Never."))
    'No. Never.'
    >>> one_line(FileExistsError(17, "File exists", "runs"))
    'runs cannot be used: file exists.'
    """
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename} cannot be used: {error.strerror.lower()}."
    return " ".join(str(error).split()) or type(error).__name__


def whole(least: int, most: float = math.inf) -> Callable[[str], int]:
    """What makes a whole number within bounds of an argument.

    >>> whole(1)("8")
    8
    """
    return _within(int, "whole number", least, most)


def decimal(least: float = -math.inf, most: float = math.inf) -> Callable[[str], float]:
    """What makes a finite number within bounds of an argument.

    >>> decimal(0, 1)("0.1")
    0.1
    """
    return _within(float, "number", least, most)


def _within(kind: Callable, name: str, least: float, most: float) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if math.isfinite(number) and least <= number <= most:
            return number
        low = f" from {least:g}" if least > -math.inf else ""
        high = f" to {most:g}" if most < math.inf else ""
        raise argparse.ArgumentTypeError(f"{text!r} is no {name}{low}{high}")

    return read


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and end with 2."""
        self.exit(2, f"{self.prog}: {message}. All options: {self.prog} --help\n")


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Defaults behind the options that have one, examples as they are written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, True, False, []):  # a switch has none
            return action.help
        return super()._get_help_string(action)


def parser_for(name: str, purpose: str) -> Parser:
    """An empty parser of a program."""
    return Parser(
        prog=f"python -m course_utils {name}", description=f"{purpose[0].upper()}{purpose[1:]}.",
        formatter_class=_Help, allow_abbrev=False,
    )  # fmt: skip


def example(parser: argparse.ArgumentParser, *commands: str) -> None:
    """Show commands that run below the options."""
    parser.epilog = "examples:\n" + textwrap.indent("\n".join(commands), "  ")


def taken_from(notebook: str | Path, names: Iterable[str]) -> dict[str, Any]:
    """What a notebook defines, if `names` and all that they use are there and written.

    Raises
    ------
    NotebookError
        It is no notebook, lacks one of the names, or an exercise that they need is a stub; the
        message names it.
    """
    notebook, names = Path(notebook), list(names)
    if not notebook.is_file():
        raise NotebookError(f"There is no notebook {notebook}.")
    try:
        space = definitions(notebook, names)
    except NotebookError as error:
        known = notebook.name in str(error)
        raise error if known else NotebookError(f"{notebook.name}: {error}") from error
    if wrong := [name for name in names if not callable(space[name])]:
        raise NotebookError(f"{notebook.name}: {wrong[0]} is no function and no class")
    for name, item in reached(*(space[name] for name in names)).items():
        if callable(item) and (stub := unfilled(source(item))):
            raise NotebookError(
                f"{notebook.name}: {name} is still to be written. {stub.removesuffix('.')}, or "
                "take another notebook with --notebook."
            )
    return space


def unfilled(code: str) -> str:
    """What a stub in a piece of code raises, or "" where all is written.

    >>> unfilled("def f():\\n    raise NotImplementedError('Exercise 1.3 - Twice: write it.')")
    'Exercise 1.3 - Twice: write it.'
    """
    for node in ast.walk(ast.parse(textwrap.dedent(code))):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            given = [part.value for part in node.exc.args if isinstance(part, ast.Constant)]
            text = str(given[0]) if given else ""
            if ast.unparse(node.exc.func) == "NotImplementedError" and text[:9] == "Exercise ":
                return text
    return ""
