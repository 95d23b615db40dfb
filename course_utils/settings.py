"""Every setting of the course is an environment variable, read here and nowhere else.

=========================  =========================================================  ==============
variable                   meaning                                                    default
=========================  =========================================================  ==============
``COURSE_DATA``            folder of the corpora                                      ``data/``
``COURSE_SPEECH_COMMANDS`` ``embedded``, ``mini``, ``v0.01``, ``v0.02`` or a folder   ``embedded``
``COURSE_COMMON_VOICE``    ``embedded``, ``mini_librispeech``, ``mdc:ID``, a folder   ``embedded``
``COURSE_LANGUAGE``        which language of Common Voice, such as ``fr`` or ``en``      ``fr``
``COURSE_DEVICE``          ``cpu``, ``cuda``, ``cuda:1``, ``mps``                     the best found
``COURSE_THREADS``         threads of torch on the CPU                                1
``COURSE_SEED``            seed of every random generator                             0
``COURSE_RUNS``            folder of checkpoints and logs                             ``runs/``
``COURSE_RESULTS``         JSON file of results                                       in data folder
``COURSE_OFFLINE``         1: open no socket                                          0
``COURSE_QUICK``           1: a run of seconds that records nothing                   0
``COURSE_SWEEPS``          1: run sweeps in full, minutes long, for measurements      0
=========================  =========================================================  ==============

``data/`` and ``runs/`` lie in the checkout of the course, whatever the current folder is.
"""

import os
from pathlib import Path

#: The checkout of the course: the folder that holds ``course_utils``, ``notebooks`` and the rest.
CHECKOUT = Path(__file__).resolve().parent.parent


def _folder(variable: str, default: Path) -> Path:
    text = os.environ.get(variable, "").strip()
    return Path(text).expanduser().resolve() if text else default


def _flag(variable: str) -> bool:
    text = os.environ.get(variable, "").strip().lower()
    if text in ("", "0", "false", "no", "off"):
        return False
    if text in ("1", "true", "yes", "on"):
        return True
    raise ValueError(f"{variable} is {text!r}; set it to 1 or 0.")


def _integer(variable: str, default: int, smallest: int, largest: int) -> int:
    text = os.environ.get(variable, "").strip()
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
    return os.environ.get("COURSE_SPEECH_COMMANDS", "").strip() or "embedded"


def common_voice_source() -> str:
    """Which Common Voice to use: ``COURSE_COMMON_VOICE``, else ``"embedded"``."""
    return os.environ.get("COURSE_COMMON_VOICE", "").strip() or "embedded"


def language() -> str:
    """Which language of Common Voice to use: ``COURSE_LANGUAGE``, else ``"fr"``."""
    return os.environ.get("COURSE_LANGUAGE", "").strip() or "fr"


def device_name() -> str | None:
    """The device that the user asked for with ``COURSE_DEVICE``, or None."""
    return os.environ.get("COURSE_DEVICE", "").strip() or None


def threads() -> int | None:
    """Threads that the user asked for with ``COURSE_THREADS``, or None."""
    return _integer("COURSE_THREADS", 0, 1, 1024) or None


def seed() -> int:
    """The seed: ``COURSE_SEED``, else 0."""
    return _integer("COURSE_SEED", 0, 0, 2**32 - 1)  # what NumPy takes


def offline() -> bool:
    """True if ``COURSE_OFFLINE=1``: nothing may open a socket."""
    return _flag("COURSE_OFFLINE")


def sweeps() -> bool:
    """True if ``COURSE_SWEEPS=1``: notebooks run their sweeps in full, for the measurements."""
    return _flag("COURSE_SWEEPS")


def quick() -> bool:
    """True if ``COURSE_QUICK=1``: a run of seconds that records nothing."""
    return _flag("COURSE_QUICK")
