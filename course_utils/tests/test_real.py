"""One command downloads, trains, is killed, goes on, and writes the file of measurements."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_utils import results, settings
from course_utils.corpora import archives, embedded
from course_utils.corpora.official import TASKS
from course_utils.instructor import measure, real
from course_utils.tests import test_speech_commands
from course_utils.tests.test_speech_commands import tarred

server = test_speech_commands.server  # plays the download

DRIVER = """
import sys
from pathlib import Path
from course_utils.corpora import archives
from course_utils.corpora.archives import Archive
from course_utils.instructor import measure

measure.FOLDER = Path(sys.argv[1])
archives.ARCHIVES["v0.02"] = Archive(sys.argv[2], int(sys.argv[3]), None, 10**6)
archives.TEST_SETS["v0.02"] = Archive(sys.argv[4], int(sys.argv[5]), None, 10**6)
sys.exit(measure.main(["--real", "v0.02", "--seeds", "0"]))
"""


@pytest.fixture
def command(tmp_path, server):
    """The command on made-up archives in v0.02's layout, from a server on this machine."""
    place = embedded.speech_commands(
        tmp_path / "corpus", speakers=10, digit_takes=1, command_takes=1
    )
    beside = tmp_path / "beside"
    for line in (place / "testing_list.txt").read_text().split():
        word = line.split("/")[0]
        folder = word if word in embedded.COMMANDS else "_unknown_" * (word == "bed")
        if folder:
            target = beside / folder / Path(line).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((place / line).read_bytes())
    (beside / "_silence_").mkdir()
    one = next((place / "bed").iterdir())
    (beside / "_silence_" / "0.wav").write_bytes(one.read_bytes())
    sizes = []
    for name, folder in (("v0.02", place), ("test_set_v0.02", beside)):
        file = f"speech_commands_{name}.tar.gz"
        server.files[file] = tarred(folder)
        sizes += [f"http://127.0.0.1:{server.server_port}/{file}", str(len(server.files[file]))]
    (tmp_path / "files").mkdir()
    (tmp_path / "driver.py").write_text(DRIVER)
    environment = os.environ | {
        "COURSE_DATA": str(tmp_path / "data"), "COURSE_RUNS": str(tmp_path / "runs"),
        "COURSE_QUICK": "1", "COURSE_OFFLINE": "0", "COURSE_DEVICE": "cpu",
        "COURSE_RESULTS": str(tmp_path / "results.json"), "PYTHONUNBUFFERED": "1",
    }
    return [sys.executable, tmp_path / "driver.py", tmp_path / "files", *sizes], environment


def written(folder):
    """Runs in the files of measurements."""
    found = []
    for path in folder.glob("*.json"):
        found += json.loads(path.read_text(encoding="utf-8"))["runs"]
    return found


@pytest.mark.slow
def test_it_is_killed_and_goes_on(command, tmp_path, server):
    arguments, environment = command
    files = tmp_path / "files"
    process = subprocess.Popen(
        arguments, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not written(files) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    said = process.communicate()[0]
    before = written(files)
    assert 1 <= len(before) < len(real.STEPS), said
    assert server.requests == [
        f"/speech_commands_{name}.tar.gz" for name in ("v0.02", "test_set_v0.02")
    ]

    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("measured before") == len(before)
    assert len(server.requests) == 2  # nothing is fetched twice
    (path,) = files.glob("*.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert len(content["runs"]) == len(content["records"]) == len(real.STEPS)
    assert content["runs"][: len(before)] == before
    for record, step in zip(content["records"], real.STEPS, strict=True):
        assert (record["stage"], record["model"], record["task"]) == (
            step.stage, step.model, TASKS[step.task],
        )  # fmt: skip
        assert record["trained_on"] == record["tested_on"] == "v0.02"
        assert record["low"] <= record["value"] <= record["high"]
    caveats = " ".join(content["records"][3]["caveats"])
    assert "12-class test: the published archive of 12 clips" in caveats
    again = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=200)
    assert again.stdout.count("measured before") == len(real.STEPS)


def test_the_estimate_states_what_it_is_reckoned_from():
    lines = real.estimate(3)
    assert all(step.model in text for step, text in zip(real.STEPS, lines[1:], strict=False))
    result = next(
        result
        for result, _ in reversed(results.references())
        if (result.stage, result.model, result.variant) == (3, "LSTM", "augmented")
        and result.tested_on == result.trained_on == "embedded" and not result.noise
    )
    each = result.seconds / (result.train_clips * 16)
    assert f"({1000 * each:.2f} ms a clip and epoch, 36,923 clips, 16 epochs)" in lines[4]
    assert f"{3 * each * 36_923 * 16 / 3600:.2f} h for 3 seeds" in lines[4]


def test_the_readme_has_the_row_that_waits():
    rows = "\n".join(measure.markdown(real.table()))
    readme = (settings.CHECKOUT / "README.md").read_text(encoding="utf-8")
    command = "run: python -m course_utils.instructor.measure --tables"
    assert f"{real.MARKS[0]}\n{rows}\n{real.MARKS[1]}" in readme, command
    assert "95 %, at most 100,000 parameters" in rows


def test_a_published_archive_has_its_size():
    assert archives.TEST_SETS["v0.02"].size == 112_563_277
