"""What happens to one answer, in a process of its own that has entered the sandbox."""

import ast
import contextlib
import gc
import importlib
import itertools
import json
import linecache
import os
import re
import sys
import types
from collections.abc import Callable
from time import process_time
from typing import Any

import torch

from course_utils.checks import core
from course_utils.checks.unaided import by_hand
from course_utils.exercises import defines
from course_utils.instructor.desk.guard import Guard, left_on, others_running
from course_utils.instructor.desk.sandbox import readable
from course_utils.instructor.desk.watch import Watch, no_handlers, seal

#: Known wrong answers that a check must still reject when an answer has passed.
CANARIES = 3
_LONGEST = 2000


class Room:
    """What is there before a student's code comes: the release's cells, the checks, a guard.

    Parameters
    ----------
    stage : int
    setup : list of str
        Cells to run as they are.
    worked : list of str
        Cells whose imports, functions, classes and constants are to be there.
    """

    def __init__(self, stage: int, setup: list[str], worked: list[str]):
        torch.set_num_threads(1)  # a process that forks must have started no threads
        self.checks = importlib.import_module(f"course_utils.checks.stage{stage}")
        self.names: dict[str, Any] = {"__name__": "__main__", "display": _nothing}
        for source in setup:
            exec(compile(source, "<the course>", "exec"), self.names)
        for source in worked:
            _define(source, self.names)
        self.names.pop("__builtins__", None)
        self.canaries = {}
        found = [getattr(self.checks, name) for name in self.checks.__all__]
        for check in found:
            if hasattr(check, "exercise"):
                wrong = [answers for _, answers in itertools.islice(core.replays(check), CANARIES)]
                self.canaries[check.exercise] = (check, wrong)
        with contextlib.redirect_stdout(None):
            with by_hand("", "", []):  # torch completes these classes when they are first used
                torch.zeros(1)
            for check, wrong in self.canaries.values():
                # What a check imports or builds at its first use is there from now on.
                if not rejects(check, wrong):
                    raise RuntimeError(f"the check of {check.exercise} accepts a wrong answer")
        self.trusted = tuple(f"{path.rstrip('/')}/" for path in readable())
        self.guard = Guard()
        gc.collect()
        gc.freeze()  # so that a child does not copy what it only looks at


def _nothing(*things: Any, **options: Any) -> None:
    """Stands in for ``display``, which there is no page for."""


def _define(source: str, names: dict) -> None:
    """Run what a worked cell defines and needs nothing that is computed."""
    for statement in ast.parse(source).body:
        if defines(statement, names):
            with contextlib.suppress(Exception):
                code = compile(ast.Module([statement], []), "<the course>", "exec")
                exec(code, names)


def rejects(check: Callable, wrong: list[tuple], kind: type = core.CheckFailed) -> bool:
    """Whether a check still rejects all of these wrong answers."""
    for answers in wrong:
        try:
            check(*answers)
        except kind:
            continue
        except Exception:
            return False
        return False
    return True


# ---------------------------------------------------------------- one answer


def mark(job: dict, room: Room) -> dict:
    """Run an answer, and ask its check.

    Parameters
    ----------
    job : dict
        ``exercise``; ``steps``, the cells before it as pairs of kind and source; ``answer``;
        ``check``; ``seeds``, the first of which is the student's.
    room : Room

    Returns
    -------
    dict
        ``outcome``, ``cause``, ``message`` and ``flags``, as a mark has them; ``defined``, whether
        the cell ran, and ``defining``, the seconds of the processor that this took; ``seed``, the
        one with which the check failed.
    """
    restore, kind, seeded = room.guard.restore, core.CheckFailed, core.seeded
    check, wrong = room.canaries[job["exercise"]]
    names, checks = room.names, room.checks
    _forget_the_desk()
    watch = Watch(room.trusted, {_run.__code__, Guard.restore.__code__})
    no_handlers(watch)
    before = left_on()
    _run_steps(job["steps"], names)
    restore()
    already = {*watch.reached, *watch.noted}
    started = process_time()
    error = _run(job["answer"], f"<exercise {job['exercise']}>", names)
    defining = {"defined": error is None, "defining": process_time() - started}
    if error is not None:
        found = _failed(error, kind, watch.is_answer)
        return found | defining | {"flags": _remarks(watch, already)}
    flags = [f"changes {name}; it was put back" for name in restore()]
    if others_running():
        flags.append("starts a thread that goes on beside the answer")

    names["checks"] = checks
    names.pop("__builtins__", None)
    result = {"outcome": "right", "cause": "", "message": ""}
    for seed in job["seeds"]:
        with seeded(seed):
            error = _run(job["check"], "<the check>", names)
        if error is not None:
            result = _failed(error, kind, watch.is_answer) | {"seed": seed}
            if seed != job["seeds"][0]:
                flags.append(
                    "is right for the numbers that the student saw, and not for others: "
                    f"{result['cause'] or result['message']}"
                )
                message = "Right for the numbers that you saw, and not for others."
                result |= {"outcome": "hidden", "cause": "", "message": message}
            break
    changed = restore()
    flags += [f"changes {name} while the check runs" for name in changed]
    refused = any(what not in already for what in watch.reached)
    if result["outcome"] == "right" and (changed or not rejects(check, wrong, kind)):
        result = {
            "outcome": "tampered",
            "cause": "",
            "message": "The check does not reject wrong answers any more: something in it, or in "
            "what it uses, was changed.",
        }
    switched = [what for what in left_on() if what not in before]
    flags += [f"leaves on {what}" for what in switched]
    if switched and result["outcome"] in ("right", "hidden"):
        message = f"Left on: {', '.join(switched)}. The check did not see torch's own results."
        result = {"outcome": "tampered", "cause": "", "message": message}
    if result["outcome"] == "tampered" and not flags:
        flags.append("made the check accept wrong answers")
    if result["outcome"] == "right" and core.remark():
        result["notes"] = [core.remark()]
    if refused and result["outcome"] in ("right", "hidden", "tampered"):
        message = f"An answer must not reach for {', '.join(dict.fromkeys(watch.reached))}."
        result = {"outcome": "refused", "cause": "", "message": message}
    return result | defining | {"flags": flags + _remarks(watch, already)}


def _remarks(watch: Watch, already: set[str]) -> list[str]:
    found = [*(f"was refused {what}" for what in watch.reached if what not in already)]
    found += [what for what in watch.noted if what not in already]
    return list(dict.fromkeys(found))


def _forget_the_desk() -> None:
    """The modules of the desk are not to be found by their names."""
    for name in list(sys.modules):
        if name.startswith("course_utils.instructor"):
            del sys.modules[name]
    sys.modules["__main__"] = types.ModuleType("__main__")


def _run_steps(steps: list[list[str]], names: dict) -> None:
    """What stands around the answer; what fails is tried once more when the rest is there."""
    failed = [
        (kind, source)
        for kind, source in steps
        if _run(source, f"<{kind}>", names, known=kind != "a reference") is not None
    ]
    for kind, source in failed:
        if kind == "own definition":
            _run(source, f"<{kind}>", names)


def _run(source: str, file: str, names: dict, known: bool = True) -> BaseException | None:
    """Run a cell; its source can be looked up, as in a notebook, but for a reference's."""
    if known:
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    try:
        exec(compile(source, file, "exec"), names)
    except BaseException as error:  # sys.exit, KeyboardInterrupt: an answer may raise anything
        return error
    return None


def _failed(error: BaseException, kind: type, is_answer: Callable[[str], bool]) -> dict:
    """What an error means for the mark."""
    if isinstance(error, NotImplementedError) and _is_open(error, is_answer):
        return {"outcome": "open", "cause": "", "message": _first_line(error)}
    if isinstance(error, kind):
        return {
            "outcome": "wrong",
            "cause": str(error.cause)[:_LONGEST],
            "message": _first_line(error),
        }
    name, line = type(error).__name__, _line_of(error)
    message = f"{name}: {_first_line(error)}{line}"
    if not isinstance(error, Exception):  # SystemExit, for example
        cause = "your code ends the program: leave a function with return, not with exit()"
        return {"outcome": "wrong", "cause": cause, "message": message}
    return {"outcome": "wrong", "cause": f"the cell itself ends with {name}", "message": message}


def _is_open(error: NotImplementedError, is_answer: Callable[[str], bool]) -> bool:
    """Whether a stub raised it, and not torch, which knows this kind of error, too."""
    if isinstance(error, core.NotFilledIn):
        return True
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and is_answer(last.tb_frame.f_code.co_filename)


def _first_line(error: BaseException) -> str:
    try:
        return (str(error).splitlines() or [""])[0][:_LONGEST]
    except Exception:  # a student's own kind of error
        return ""


def _line_of(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f" (line {error.lineno})" if isinstance(error.lineno, int) else ""
    trace, found = error.__traceback__, ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("<exercise"):
            found = f" (line {trace.tb_lineno})"
        trace = trace.tb_next
    return found


def answer_job(room: Room, job: dict, outcome: int) -> None:
    """Mark an answer, write one line with its outcome, and end the process."""
    write, dumps, leave, token = os.write, json.dumps, os._exit, seal(job.pop("token"))
    next(token)
    result = mark(job, room)
    room.guard.restore()
    text = {name: _clean(value) for name, value in result.items()}
    line = dumps({"token": next(token), **text}).encode()
    write(outcome, line + b"\n")
    leave(0)


def _clean(value: Any) -> Any:
    """Texts of a student's making, at a length that a page can hold."""
    if isinstance(value, list):
        return [_clean(item) for item in value[:20]]
    if not isinstance(value, str):
        return value
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "?", value)[:_LONGEST]
