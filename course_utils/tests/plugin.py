"""pytest plugin: every test writes into temporary folders, never into the student's.

Loaded by ``-p`` in pyproject.toml, so that it also covers the notebooks of ``labsolutions/``,
whose kernels inherit the environment set here.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling


def pytest_configure(config):
    if hasattr(config, "workerinput"):  # an xdist worker inherits the folders of its controller
        return
    folder = Path(tempfile.mkdtemp(prefix="course-tests-"))
    config._course_folder = folder
    os.environ.update(
        COURSE_DATA=str(folder / "data"),
        COURSE_RUNS=str(folder / "runs"),
        COURSE_RESULTS=str(folder / "results.json"),
        COURSE_OFFLINE="1",
        COURSE_DEVICE="cpu",
        COURSE_THREADS="1",
        COURSE_SEED="0",
    )
    for variable in (
        "COURSE_SPEECH_COMMANDS",
        "COURSE_COMMON_VOICE",
        "COURSE_QUICK",
        "COURSE_SWEEPS",
    ):
        os.environ.pop(variable, None)


class NotebooksTogether(LoadScopeScheduling):
    """Tests go to the next free process, the notebooks all to one, in their order.

    A cell needs those above it, and the tables of a stage hold the rows of earlier stages.
    xdist's own groups (``--dist=loadgroup``) are lost with pytest 9.2 (pytest-xdist #1386).
    """

    def _split_scope(self, nodeid):
        return "notebooks" if ".ipynb::" in nodeid else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return NotebooksTogether(config, log)


def pytest_unconfigure(config):
    folder = getattr(config, "_course_folder", None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
