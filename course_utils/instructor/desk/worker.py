"""The process that forks workers, and a worker, which forks a child for each exercise.

The first imports torch and the course once, and runs the release's own cells. A job comes to a
worker as open files, which the child reads after it has entered the sandbox: no other process here
ever reads an answer or a reference, and no answer runs in it.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

from course_utils.instructor.desk import sandbox
from course_utils.instructor.desk.marking import Room, answer_job

#: On a busy machine an exercise may take so many times the limit longer, if it stood in line.
_PATIENCE = 5


def main() -> None:
    """Get ready for a stage, then fork a worker for each socket that comes, until there is none."""
    control = socket.socket(fileno=os.dup(0))
    begin = json.loads(_line(control))
    room = Room(begin["stage"], begin["setup"], begin["worked"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers that end are no concern of this one
    _say(control, {"ready": True})
    while True:
        message, files, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            try:
                _serve(socket.socket(fileno=files[0]), room)
            finally:
                os._exit(0)
        os.close(files[0])


def _serve(control: socket.socket, room: Room) -> None:
    """Serve jobs until the socket is closed."""
    begin = json.loads(_line(control))
    rules = sandbox.Rules(**begin["rules"]) if begin["rules"] else None
    if sys.platform == "linux":
        sandbox.adopt_orphans()
    layers = _probe(rules)
    _say(control, {"layers": layers, "process": os.getpid()})
    while True:
        message, files, _, _ = socket.recv_fds(control, 64, 3)
        if not message:
            return
        limit = float(message)
        job, outcome, output = files

        def child(folder: Path, job=job, outcome=outcome, output=output) -> None:
            _enter(rules, folder, layers, outcome)
            _only(outcome, output, job)
            with os.fdopen(os.dup(job)) as file:
                task = json.load(file)
            os.close(job)
            answer_job(room, task, outcome)

        ended, seconds = _fork(child, limit, control, files)
        _say(control, {"ended": ended, "seconds": round(seconds, 3)})


def _line(control: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n"):
        part = control.recv(1 << 16)
        if not part:
            sys.exit(0)
        found += part
    return found


def _say(control: socket.socket, words: dict) -> None:
    control.sendall(json.dumps(words).encode() + b"\n")


def _probe(rules: sandbox.Rules | None) -> list[str]:
    """Which layers hold on this machine: a child enters, and says so."""
    if rules is None:
        return []
    reader, writer = os.pipe()

    def child(folder: Path) -> None:
        os.write(writer, json.dumps(sandbox.enter(rules, folder)[0]).encode())
        os._exit(0)

    _fork(child, 30, None, [])
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        said = file.read()
    return json.loads(said) if said else []


def _enter(rules: sandbox.Rules | None, folder: Path, layers: list[str], outcome: int) -> None:
    """Into the sandbox, or say that it is not what it was: then nothing is run."""
    if rules is None:
        os.chdir(folder)
        return
    try:
        held, place = sandbox.enter(rules, folder)
    except (OSError, sandbox.SandboxError) as error:
        held, place = [f"{error}"], folder
    if held != layers:
        os.write(outcome, json.dumps({"sandbox": held}).encode() + b"\n")
        os._exit(0)
    os.chdir(place)
    tempfile.tempdir = str(place)
    os.environ.update(HOME=str(place), TMPDIR=str(place), USER="student")


def _only(outcome: int, output: int, job: int) -> None:
    """Keep no open file but what is meant for an answer."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    kept = {0, 1, 2, outcome, job}
    for number in range(3, 1024):
        if number not in kept:
            try:
                os.close(number)
            except OSError:
                continue


def _fork(
    child: Callable[[Path], None], limit: float, control: socket.socket | None, files: list[int]
) -> tuple[str, float]:
    """Run a child to its end, or to the limit; then nothing that it started is left.

    Returns
    -------
    str
        ``"exit"``, ``"time"``, or the number of the signal that ended it.
    float
        Seconds of the processor; where the time was over, the limit.
    """
    folder = Path(tempfile.mkdtemp(prefix="exercise-"))
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            child(folder)
        finally:  # whatever happened: never go on as the parent
            os._exit(70)
    for file in files:
        os.close(file)
    ended, seconds = _wait(pid, limit, control)
    _end_all(pid)
    rmtree(folder, ignore_errors=True)
    return ended, seconds


def _wait(pid: int, limit: float, control: socket.socket | None) -> tuple[str, float]:
    """Wait for a process, not longer than the limit, and not for a desk that has gone."""
    handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    begin = time.monotonic()
    end = begin + limit
    try:
        while True:
            if time.monotonic() >= end:
                # What other programs took of the processor is not the answer's fault.
                end = begin + limit + min(_stood_in_line(pid), _PATIENCE * limit)
                if time.monotonic() >= end:
                    return "time", limit
            if handle is None:
                time.sleep(0.005)
            else:
                watched = [handle] if control is None else [handle, control]
                ready, _, _ = select.select(watched, [], [], max(0, end - time.monotonic()))
                if control in ready:  # nothing is sent while a job runs: it was closed
                    _end_all(pid)
                    sys.exit(0)
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                return "exit" if code >= 0 else str(-code), used.ru_utime + used.ru_stime
    finally:
        if handle is not None:
            os.close(handle)


def _stood_in_line(pid: int) -> float:
    """Seconds that a process, or the one that it waits for, was ready to run and did not."""
    try:
        inner = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return sum(
            int(Path(f"/proc/{number}/schedstat").read_text().split()[1]) / 1e9
            for number in [str(pid), *inner[:1]]
        )
    except (OSError, IndexError, ValueError):
        return 0.0


def _end_all(pid: int) -> None:
    """End a child with all that it started: its group, and what had left it."""
    for end in (os.killpg, os.kill):
        try:
            end(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    if sys.platform == "linux":
        for _ in range(200):
            left = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            if not left:
                return
            for orphan in map(int, left):
                try:
                    os.kill(orphan, signal.SIGKILL)
                    os.waitpid(orphan, 0)
                except (ProcessLookupError, ChildProcessError):
                    continue
    else:
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            return


if __name__ == "__main__":
    main()
