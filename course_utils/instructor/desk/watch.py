"""What an answer must not reach while it runs: frames, memory, how Python runs a program."""

import signal
import sys
import threading
import types
from collections.abc import Generator
from pathlib import Path
from typing import Any


class Reached(PermissionError):
    """An answer reaches for what it must not use."""


_FRAMES, _MEMORY = "the frames of the program", "what else is in memory"
_RUNS, _FORGED = "how Python runs a program", "code under the name of a trusted file"
#: What Python tells of, and what it means in an answer.
_EVENTS = {
    "sys._getframe": _FRAMES,
    "sys._getframemodulename": _FRAMES,
    "sys._current_frames": _FRAMES,
    "sys._current_exceptions": _FRAMES,
    "gc.get_objects": _MEMORY,
    "gc.get_referrers": _MEMORY,
    "gc.get_referents": _MEMORY,
    "sys.settrace": _RUNS,
    "sys.setprofile": _RUNS,
    "sys.addaudithook": _RUNS,
    "code.__new__": "the code of a function",
}
_ATTRIBUTES = {
    "tb_frame": _FRAMES,
    "gi_frame": _FRAMES,
    "cr_frame": _FRAMES,
    "ag_frame": _FRAMES,
    "__code__": "the code of a function",
}
#: Of Python's own, they do for a caller what it asks for.
_GO_BETWEENS = ("/inspect.py", "/traceback.py", "/ctypes/__init__.py")
#: Library functions that look at frames for themselves, and hand none on, by file.
_LOOK = {
    "/collections/__init__.py": {"namedtuple"},
    "/logging/__init__.py": {"findCaller"},
    "/typing.py": {"_caller", "_allow_reckless_class_checks"},
    "/enum.py": {"_make_class_unpicklable", "_create_"},
    "/doctest.py": set(),
}
#: In these a library function asks another of its own for a frame.
_HELPERS = {"/logging/__init__.py": {"<lambda>", "currentframe"}}
#: It hands on the names of any frame: torch may ask it, an answer not.
_ASKED = "/torch/_jit_internal.py"


class Watch:
    """From now on, refuse to an answer what would let it see the check that calls it.

    Python takes no such watch off.

    Parameters
    ----------
    trusted : tuple of str
        Files and folders whose code is no student's.
    own : set of code
        Of the desk's functions that set traces back and run texts under names of its own.

    Attributes
    ----------
    reached : list of str
        What was refused.
    noted : list of str
        What was let through and is worth a look.
    """

    def __init__(self, trusted: tuple[str, ...], own: set[types.CodeType]):
        self.reached: list[str] = []
        self.noted: list[str] = []
        self._trusted, self._own = trusted, own
        sys.addaudithook(self._hook())

    def is_answer(self, file: str) -> bool:
        """Whether a file's name is that of a student's code: a cell, a text, a helper file."""
        if file.startswith("<"):
            return not file.startswith(("<frozen", "<the c", "<__array_"))
        return not file.startswith(self._trusted) or "/../" in file

    def _hook(self) -> Any:
        busy, frame_of = threading.local(), sys._getframe

        def hook(event: str, arguments: tuple) -> None:
            what = _EVENTS.get(event)
            if event in ("object.__getattr__", "object.__setattr__", "object.__delattr__"):
                what = _ATTRIBUTES.get(arguments[1]) if isinstance(arguments[1], str) else None
            elif event.startswith("ctypes."):
                what = "memory, through ctypes"
            elif event in _OTHERS:
                what = event
            if what is None or getattr(busy, "on", False):
                return
            busy.on = True
            try:
                if event in _OTHERS:
                    what = _OTHERS[event](self, arguments, frame_of(1))
                elif not self._is_for_answer(event, frame_of(1)):
                    what = ""
            finally:
                busy.on = False
            if what:
                self.reached.append(what)
                raise Reached(f"an answer must not reach for {what}")

        return hook

    def _is_for_answer(self, event: str, frame: types.FrameType | None) -> bool:
        while frame is not None and frame.f_code.co_filename.endswith(_GO_BETWEENS):
            frame = frame.f_back
        if frame is None:
            return False
        if event in ("sys.settrace", "sys.setprofile"):
            return not self._is_own(frame)
        if self.is_answer(frame.f_code.co_filename):
            return True
        return _EVENTS.get(event) is _FRAMES and self._hands_on(event, frame)

    def _hands_on(self, event: str, frame: types.FrameType) -> bool:
        """Whether a library, called by an answer, may hand it a frame."""
        if _is_one(frame, _HELPERS) and frame.f_back is not None:
            frame = frame.f_back
        if _is_one(frame, _LOOK) or not self._any_answer(frame):
            return False
        file = frame.f_code.co_filename
        if event != "sys._getframe" or "-packages" not in file:
            return True
        if file.endswith(_ASKED) and frame.f_back is not None:
            return "-packages" not in frame.f_back.f_code.co_filename
        return False

    def _is_own(self, frame: types.FrameType) -> bool:
        return any(frame.f_code is code for code in self._own)  # a copy of it is equal

    def _any_answer(self, frame: types.FrameType | None) -> bool:
        while frame is not None:
            if self.is_answer(frame.f_code.co_filename):
                return True
            frame = frame.f_back
        return False

    # ------------------------------------------------------------ code under another name

    def _compiled(self, arguments: tuple, frame: types.FrameType | None) -> str:
        """A text that becomes code: under a trusted file's name only if it is that file's."""
        source, file = arguments
        if file is None or frame is None or self._is_own(frame):
            return ""
        file = file.decode(errors="replace") if isinstance(file, bytes) else str(file)
        if self.is_answer(file):
            if not file.startswith("<") and frame.f_code.co_filename.startswith("<frozen"):
                self.noted.append("runs code of a file of its own")
            return ""
        if file.startswith("<"):
            ours = not self._any_answer(frame) or "/numpy/" in frame.f_code.co_filename
            return "" if ours else _FORGED
        text = source.encode() if isinstance(source, str) else source
        return "" if isinstance(text, bytes) and text == _bytes_of(file) else _FORGED

    def _unmarshalled(self, arguments: tuple, frame: types.FrameType | None) -> str:
        """Code from a compiled file: only what stands in a trusted one."""
        if frame is None or not self._any_answer(frame):
            return ""
        file = str(frame.f_locals.get("bytecode_path"))
        known = frame.f_code.co_filename.startswith("<frozen") and not self.is_answer(file)
        return "" if known and bytes(arguments[0]) == _bytes_of(file)[16:] else _FORGED

    def _opened(self, arguments: tuple, frame: types.FrameType | None) -> str:
        path = arguments[0]
        if isinstance(path, bytes):
            path = path.decode(errors="replace")
        if isinstance(path, str) and path.rstrip("/").endswith("/mem") and self._any_answer(frame):
            return "memory, through a file"
        return ""


_OTHERS = {
    "compile": Watch._compiled,
    "marshal.loads": Watch._unmarshalled,
    "open": Watch._opened,
}


def _is_one(frame: types.FrameType, table: dict[str, set[str]]) -> bool:
    code = frame.f_code
    return any(
        code.co_filename.endswith(file) and code.co_name in names for file, names in table.items()
    )


def _bytes_of(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


def no_handlers(watch: Watch) -> None:
    """A handler of signals gets the frame that it interrupts: from now on none is installed.

    torch's own, which it has for workers that load data, may be missing.
    """
    kept = signal.SIG_DFL

    def refuse(number: int, handler: Any) -> Any:
        torchs = str(getattr(handler, "__module__", "")).startswith("torch.")
        if callable(handler) and handler is not kept and not torchs:
            watch.noted.append("sets a handler of signals; it was not set")
        return kept

    signal.signal = refuse
    sys.modules["_signal"].signal = refuse


def seal(token: str) -> Generator[str, None, None]:
    """Keep a token where no frame shows it, and give it to nobody but the frame that sealed it.

    Examples
    --------
    >>> def both():
    ...     sealed = seal("secret")
    ...     return next(sealed), next(sealed)
    >>> both()
    ('', 'secret')
    """
    frame_of = sys._getframe
    home = frame_of(1)
    yield ""
    if frame_of(1) is not home:
        raise Reached("an answer must not reach for the desk's own line")
    yield token
