"""The helper module of the speech labbook.

Submodules load when first used, so that ``import course_utils`` takes a fraction of a second:

===================  =====================================================================
``device``           choose a device, seed every generator
``audio``            read, write, resample and fit recordings
``corpora``          where speech comes from: embedded, downloaded, or a folder of yours
``plotting``         figures with axes in seconds and Hz, and players
``interactive``      live training curves, explorers, the microphone
``checks``           what the check cells call
``exercises``        an exercise as the tools see it
``results``          the one results table that grows from stage to stage
``runs``             checkpoints: train once, load the next time
``settings``         the environment variables that steer all of the above
===================  =====================================================================
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "audio", "checks", "corpora", "device", "exercises", "files", "interactive", "plotting",
    "results", "runs", "settings",
)

__all__ = ["__version__", *_SUBMODULES]


def __getattr__(name: str):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
