"""The desk's end of a worker: jobs in, outcomes and what was printed out."""

import contextlib
import json
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from course_utils import settings
from course_utils.instructor.desk.sandbox import Rules, SandboxError
from course_utils.instructor.desk.stages import Stage

#: Seconds of an exercise.
LIMIT = 10.0
#: Characters kept of what an exercise prints, and of what it reports.
_PRINTED, _REPORTED = 20_000, 200_000


@dataclass
class Attempt:
    """What came of an exercise: its outcome, or how it ended without one."""

    result: dict | None
    ended: str
    seconds: float
    printed: str
    noise: bool = False


class Nursery:
    """A process that is ready for a stage, and forks workers that are so, too.

    Parameters
    ----------
    stage : Stage
    """

    def __init__(self, stage: Stage):
        self._stage = stage
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "Nursery":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def worker(self, theirs: socket.socket) -> None:
        """Let a new worker serve a socket.

        Raises
        ------
        SandboxError
            The process did not start; the message has its last words.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            socket.send_fds(self._control, [b"w"], [theirs.fileno()])

    def _start(self) -> None:
        self.stop()
        self._folder = tempfile.TemporaryDirectory(prefix="course-desk-")
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process
        self._control, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "course_utils.instructor.desk.worker"],
            stdin=theirs, stdout=self._log, stderr=self._log, cwd=self._folder.name,
            env=_environment(Path(self._folder.name)), start_new_session=True,
        )
        theirs.close()
        cells = self._stage.cells
        others = set(cells) - set(self._stage.setup)
        others -= {
            item.cell(part) for item in self._stage.exercises.values() for part in ("ex", "check")
        }
        begin = {
            "stage": self._stage.number,
            "setup": [cells[name] for name in self._stage.setup],
            "worked": [source for name, source in cells.items() if name in others],
        }
        if _ask(self._control, begin) is None:
            self._log.seek(0)
            words = self._log.read().decode(errors="replace").strip().splitlines()
            self.stop()
            raise SandboxError(f"The workers did not start: {words[-1] if words else 'no words'}")

    def stop(self) -> None:
        """End the process; workers end with their own sockets."""
        if self._process is None:
            return
        self._control.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        self._folder.cleanup()
        self._process = None


class Worker:
    """A process that marks one answer at a time, replaced if an answer ends it.

    Parameters
    ----------
    nursery : Nursery
    rules : Rules or None
        What an answer may do; None trusts it.
    """

    def __init__(self, nursery: Nursery, rules: Rules | None):
        self._nursery, self._rules = nursery, rules
        self._control: socket.socket | None = None
        self._interrupted = False
        self.layers: list[str] = []

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process, and wait until it knows which layers hold.

        Raises
        ------
        SandboxError
            It did not start.
        """
        self.stop()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._nursery.worker(theirs)
        said = _ask(self._control, {"rules": asdict(self._rules) if self._rules else None})
        if said is None:
            self.stop()
            raise SandboxError("A worker did not start.")
        self.layers = said["layers"]

    def stop(self) -> None:
        """End the process and what it has started."""
        if self._control is not None:
            self._control.close()  # it ends of itself, and what it runs with it
            self._control = None

    def interrupt(self) -> None:
        """End what it does, from another thread, and all that it is asked from now on."""
        self._interrupted = True
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)

    def attempt(self, job: dict, limit: float = LIMIT) -> Attempt:
        """Have an answer marked.

        Raises
        ------
        SandboxError
            The sandbox is not what it was at the start; the answer was not run.
        """
        if self._interrupted:
            raise SandboxError("Interrupted.")
        if self._control is None:
            self.start()
        token = secrets.token_hex(16)
        outcome, their_outcome = os.pipe()
        output, their_output = os.pipe()
        with tempfile.TemporaryFile() as file:
            file.write(json.dumps({"token": token, **job}).encode())
            file.seek(0)
            files = [file.fileno(), their_outcome, their_output]
            with contextlib.suppress(OSError):  # it has gone: the end of its socket says so below
                socket.send_fds(self._control, [str(limit).encode()], files)
        os.close(their_outcome)
        os.close(their_output)
        try:
            said, reported, printed = self._collect(outcome, output)
        finally:
            os.close(outcome)
            os.close(output)
        if said is None:
            if self._interrupted:
                raise SandboxError("Interrupted.")
            self.stop()
            said = {"ended": "worker", "seconds": 0.0}
        result, noise = result_of(reported, token)
        if result is not None and "sandbox" in result:
            raise SandboxError(f"The sandbox does not hold any more: {result['sandbox']}")
        text = printed.decode(errors="replace")
        return Attempt(result, said["ended"], said["seconds"], text, noise)

    def _collect(self, outcome: int, output: int) -> tuple[dict | None, bytes, bytes]:
        """Read what comes until the worker says that the exercise has ended."""
        found = {outcome: b"", output: b""}
        most = {outcome: _REPORTED, output: _PRINTED}
        open_files = [outcome, output]
        while True:
            ready, _, _ = select.select([self._control, *open_files], [], [])
            for file in [file for file in ready if file in found]:
                part = os.read(file, 1 << 16)
                if not part:
                    open_files.remove(file)
                found[file] = (found[file] + part)[: most[file]]
            if self._control in ready:
                said = _said(self._control)
                for file in open_files:  # what was still on its way
                    while select.select([file], [], [], 0)[0] and (part := os.read(file, 1 << 16)):
                        found[file] = (found[file] + part)[: most[file]]
                return said, found[outcome], found[output]


def _ask(control: socket.socket, words: dict) -> dict | None:
    """Say something, and wait for the answer."""
    with contextlib.suppress(OSError):
        control.sendall(json.dumps(words).encode() + b"\n")
    return _said(control)


def _said(control: socket.socket) -> dict | None:
    """A line from the other side; None if it has gone."""
    line = b""
    while not line.endswith(b"\n"):
        try:
            part = control.recv(1 << 16)
        except OSError:
            part = b""
        if not part:
            return None
        line += part
    return json.loads(line)


def result_of(reported: bytes, token: str) -> tuple[dict | None, bool]:
    """The line that bears the token, and whether there was anything else."""
    result, noise = None, False
    for line in reported.splitlines():
        try:
            words = json.loads(line)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, dict) and set(words) == {"sandbox"} and len(reported) < 2000:
            return words, noise
        if isinstance(words, dict) and words.pop("token", None) == token and result is None:
            result = words
        else:
            noise = True
    return result, noise


def _environment(folder: Path) -> dict[str, str]:
    """What a worker is told of the machine: little."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "SYSTEMROOT") if name in os.environ}
    return kept | {
        "HOME": str(folder),
        "MPLCONFIGDIR": str(folder),
        "PYTHONPATH": str(settings.CHECKOUT),
        "PYTHONSAFEPATH": "1",  # no folder to write to among those of modules
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "NUMBA_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "COURSE_DATA": str(folder / "data"),
        "COURSE_RUNS": str(folder / "runs"),
        "COURSE_RESULTS": str(folder / "results.json"),
        "COURSE_OFFLINE": "1",
        "COURSE_DEVICE": "cpu",
        "COURSE_THREADS": "1",
        "COURSE_SEED": "0",
    }
