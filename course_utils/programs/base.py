"""What the programs share: how they are called, what they refuse, what they take of a notebook."""

import argparse
import ast
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from course_utils.audio import AudioError
from course_utils.corpora import CorpusError
from course_utils.corpora.download import DownloadError
from course_utils.exercises import NotebookError, definitions
from course_utils.runs import CheckpointError
from course_utils.runs.code import reached, source


class Refused(ValueError):
    """Something that a program was given cannot be used; the message says what to do."""


#: What is told in one line; all else is a fault of the program, and shows where it happened.
TOLD = (Refused, AudioError, CheckpointError, CorpusError, DownloadError, NotebookError, OSError)


def one_line(error: BaseException) -> str:
    """What an error says, without line breaks.

    >>> one_line(Refused("No.\\n  Never."))
    'No. Never.'
    """
    return " ".join(str(error).split()) or type(error).__name__


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and end with 2."""
        self.exit(2, f"{self.prog}: {message}. All options: {self.prog} --help\n")


class _Help(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Defaults behind the options that have one, examples as they are written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, []):
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
    space = definitions(notebook, names)
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
