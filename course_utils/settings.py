"""Every setting of the course is an environment variable, read here and nowhere else.

=========================  =========================================================  ==============
variable                   meaning                                                    default
=========================  =========================================================  ==============
``COURSE_DATA``            folder of the corpora                                      ``data/``
``COURSE_SPEECH_COMMANDS`` ``embedded``, ``mini``, ``v0.01``, ``v0.02`` or a folder   ``embedded``
``COURSE_COMMON_VOICE``    ``embedded``, ``mini_librispeech``, ``mdc:ID``, a folder   ``embedded``
                           (``embedded:new_words``, ``embedded:more``: other parts)
``COURSE_LANGUAGE``        which language of Common Voice, such as ``fr`` or ``en``      ``fr``
``COURSE_DEVICE``          ``cpu``, ``cuda``, ``cuda:1``, ``mps``                     the best found
``COURSE_THREADS``         threads of torch on the CPU                                1
``COURSE_SEED``            seed of every random generator                             0
``COURSE_RUNS``            folder of checkpoints and logs                             ``runs/``
``COURSE_RESULTS``         JSON file of results                                       in data folder
``COURSE_OFFLINE``         1: open no socket                                          0
``COURSE_QUICK``           1: a run of seconds that records nothing                   0
``COURSE_SWEEPS``          1: run all sweeps, minutes long; or a part of their names   0
=========================  =========================================================  ==============

A path may stand in quotes or be an address that begins with ``file://``; the case of a name
does not matter.

``data/`` and ``runs/`` lie in the checkout of the course, whatever the current folder is.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.request import url2pathname

#: The checkout of the course: the folder that holds ``course_utils``, ``notebooks`` and the rest.
CHECKOUT = Path(__file__).resolve().parent.parent

#: Names of corpora, as they are written; every other source is a folder.
SPEECH_COMMANDS = ("embedded", "mini", "v0.01", "v0.02")
COMMON_VOICE = ("embedded", "embedded:new_words", "embedded:more", "mini_librispeech")

#: A path that was copied out of a terminal, a file manager or a text may stand in one of these.
_QUOTES = ("\"\"", "''", "“”", "„“", "‘’", "«»", "``")


def _text(variable: str) -> str:
    return _unquoted(os.environ.get(variable, ""))


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        text = text[1:-1].strip()
    return text


def _path(text: str) -> str:
    """A path as people copy it: without quotes round it, ``file://`` and ``%20``."""
    text = _unquoted(text)
    if text[:5].lower() == "file:":  # of one, two or three slashes
        text = url2pathname(re.sub("^file:(//(localhost)?(?=/))?", "", text, flags=re.IGNORECASE))
    if not Path(text).exists():  # what a shell would have done, where nothing has that very name
        for other in (os.path.expandvars(text), re.sub(r"\\([ ()&'])", r"\1", text)):
            if other != text and Path(other).expanduser().exists():
                return other
    return text


def source(text: str, names: Iterable[str]) -> str:
    """The source that a text means: one of `names`, in whatever case, or a path.

    Examples
    --------
    >>> source("Mini", SPEECH_COMMANDS), source("'file:///my%20words'", SPEECH_COMMANDS)
    ('mini', '/my words')
    """
    text = _path(text)
    known = {name.casefold(): name for name in names}
    if text in known.values() or Path(text).is_dir():
        return text
    if text[:4].casefold() == "mdc:":
        return f"mdc:{text[4:].strip()}"
    return known.get(text.casefold(), text)


def _folder(variable: str, default: Path) -> Path:
    text = _path(os.environ.get(variable, ""))
    return Path(text).expanduser().resolve() if text else default


_OFF = ("", "0", "false", "no", "off")
_ON = ("1", "true", "yes", "on")


def _flag(variable: str) -> bool:
    text = _text(variable).lower()
    if text in _OFF:
        return False
    if text in _ON:
        return True
    raise ValueError(f"{variable} is {text!r}; set it to 1 or 0.")


def _integer(variable: str, default: int, smallest: int, largest: int) -> int:
    text = _text(variable)
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        raise ValueError(f"{variable} is {text!r}; set it to a whole number.") from None
    if not smallest <= number <= largest:
        raise ValueError(f"{variable} is {number}; set it to {smallest} to {largest}.")
    return number


def data_folder() -> Path:
    """Folder of the corpora: ``COURSE_DATA``, else ``data/`` in the checkout."""
    return _folder("COURSE_DATA", CHECKOUT / "data")


def writable_data_folder() -> Path:
    """The data folder, or the user's own where it is shared and cannot be written."""
    folder = data_folder()
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    if os.access(existing, os.W_OK):
        return folder
    import platformdirs

    return Path(platformdirs.user_data_dir("speech-labbook", appauthor=False))


def runs_folder() -> Path:
    """Folder of checkpoints and logs: ``COURSE_RUNS``, else ``runs/`` in the checkout."""
    return _folder("COURSE_RUNS", CHECKOUT / "runs")


def results_file() -> Path:
    """JSON file of results: ``COURSE_RESULTS``, else ``results.json`` in the data folder."""
    return _folder("COURSE_RESULTS", writable_data_folder() / "results.json")


def speech_commands_source() -> str:
    """Which Speech Commands to use: ``COURSE_SPEECH_COMMANDS``, else ``"embedded"``."""
    return source(os.environ.get("COURSE_SPEECH_COMMANDS", ""), SPEECH_COMMANDS) or "embedded"


def common_voice_source() -> str:
    """Which Common Voice to use: ``COURSE_COMMON_VOICE``, else ``"embedded"``."""
    return source(os.environ.get("COURSE_COMMON_VOICE", ""), COMMON_VOICE) or "embedded"


def language() -> str:
    """Which language of Common Voice to use: ``COURSE_LANGUAGE``, else ``"fr"``."""
    return _text("COURSE_LANGUAGE") or "fr"


def device_name() -> str | None:
    """The device that the user asked for with ``COURSE_DEVICE``, or None."""
    return _text("COURSE_DEVICE").lower() or None


def threads() -> int | None:
    """Threads that the user asked for with ``COURSE_THREADS``, or None."""
    return _integer("COURSE_THREADS", 0, 1, 1024) or None


def seed() -> int:
    """The seed: ``COURSE_SEED``, else 0."""
    return _integer("COURSE_SEED", 0, 0, 2**32 - 1)  # what NumPy takes


def offline() -> bool:
    """True if ``COURSE_OFFLINE=1``: nothing may open a socket."""
    return _flag("COURSE_OFFLINE")


def wanted_sweeps() -> str:
    """``COURSE_SWEEPS`` as it is: 0, 1 or parts of names; ``""`` where it is not set."""
    return _text("COURSE_SWEEPS")


def sweeps(name: str = "") -> bool:
    """Whether a notebook runs a sweep in full, for the measurements: all with ``COURSE_SWEEPS=1``.

    Another text than 0 or 1 stands for the sweeps with it in their names; ``|`` is an *or*.

    Parameters
    ----------
    name : str
        Of the sweep or of a variant in it.
    """
    wanted = wanted_sweeps()
    if wanted.lower() in _OFF + _ON:
        return _flag("COURSE_SWEEPS")
    return bool(name) and any(part.strip() in name for part in wanted.split("|"))


def quick() -> bool:
    """True if ``COURSE_QUICK=1``, or if nbgrader grades: a run of seconds that records nothing."""
    return _flag("COURSE_QUICK") or graded_by_nbgrader()


def graded_by_nbgrader() -> bool:
    """True in a kernel of ``nbgrader autograde``, which sets ``NBGRADER_EXECUTION``."""
    return _text("NBGRADER_EXECUTION") == "autograde"
