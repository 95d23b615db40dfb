"""The private exam: speakers whom nobody has heard, and what becomes of each entry."""

import csv
import itertools
import json
import socket
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from course_utils import exercises, settings
from course_utils.corpora.embedded import COMMANDS
from course_utils.corpora.embedded.speakers import make_speaker
from course_utils.instructor import exam
from course_utils.instructor.desk import examinee, sandbox
from course_utils.runs.code import collected
from course_utils.tests.browser import browser_with, needs_browser
from course_utils.tests.test_release import code

SECRET = "a secret of the tests"
LABSOLUTIONS = settings.CHECKOUT / "labsolutions"
needs_sandbox = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 10)
        {beginning}

    def forward(self, x):
        {hearing}
        return self.layer(x.abs().amax(dim=2))
"""


def entry(folder, beginning="pass", hearing="pass"):
    """A student's folder with a network that is as good as a coin, and some lines in it."""
    folder.mkdir(parents=True)
    notebook = exercises.nbformat.v4.new_notebook()
    notebook.cells = [code("net", NET.format(beginning=beginning, hearing=hearing))]
    exercises.write(folder / "mine.ipynb", notebook)
    weights = {"layer.weight": torch.zeros(10, 1), "layer.bias": -torch.arange(10.0)}
    torch.save(checkpoint("Net", weights, {}), folder / "mine.pt")
    return folder


def checkpoint(name, weights, arguments, features=None, rate=16_000):
    """What a finished training leaves, without a training."""
    return {
        "best": weights, "last": weights, "history": {}, "extras": {}, "settings": {}, "table": {},
        "arguments": arguments, "feature_arguments": {}, "versions": {}, "code": {}, "keep": "last",
        "class": name, "notebook": "mine.ipynb", "corpus": "embedded", "fingerprint": "0",
        "device": "cpu", "features": features, "labels": list(COMMANDS), "seconds": 0.0,
        "epochs": 1, "sample_rate": rate, "seed": 0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A small exam: ten speakers, each of the ten commands once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exam, "SPEAKERS", 10)
        patch.setattr(exam, "TAKES", 1)
        out = tmp_path_factory.mktemp("exam")
        assert exam.main(["--secret", SECRET, "--out", str(out)]) == 0
        yield out


@pytest.fixture
def small(spoken, monkeypatch):
    monkeypatch.setattr(exam, "SPEAKERS", 10)
    monkeypatch.setattr(exam, "TAKES", 1)
    return spoken


def scored(out, submissions, *more):
    """The command with --score: its status, and the rows of scores.csv by student."""
    arguments = ["--secret", SECRET, "--out", str(out), "--score", str(submissions), *more]
    status = exam.main([*arguments, "-j", "2"])
    if not (out / "scores.csv").exists():
        return status, {}
    with (out / "scores.csv").open(encoding="utf-8-sig", newline="") as file:
        return status, {row["student"]: row for row in csv.DictReader(file)}


# Speakers


def test_a_secret_always_gives_the_same_speakers_and_no_other_does():
    assert exam.speakers_of(SECRET) == exam.speakers_of(SECRET)
    secrets = (SECRET, SECRET + " ", "another secret", "a third one")
    exams = [exam.speakers_of(secret) for secret in secrets]
    for one, other in itertools.combinations([*exams, exam.known_speakers()], 2):
        for trait in (exam.voice, lambda speaker: speaker.name, lambda speaker: speaker.index):
            assert not {trait(speaker) for speaker in one} & {trait(speaker) for speaker in other}


def test_exam_speakers_are_as_far_from_the_courses_as_these_from_each_other():
    known = [make_speaker(index) for index in range(100)]
    others = [exam.nearest([one], [k for k in known if k != one])[0] for one in known]
    own = exam.nearest(exam.speakers_of(SECRET), known)
    assert own.min() > 0.5 * min(others)
    assert 0.9 < np.median(own) / np.median(others) < 1.15
    assert exam.nearest(known[:1], known)[0] == 0  # what it measures is seen


def test_the_layout_is_that_of_speech_commands(spoken):
    sounds, words, speakers = exam.clips_in(spoken / "speech", SECRET)
    assert sounds.shape == (100, 16_000) and sounds.dtype == np.int16
    assert (abs(sounds.astype(int)).max(axis=1) > 500).all()  # every clip is heard
    assert sorted(words) == sorted(COMMANDS * 10)
    names = {speaker.name for speaker in exam.speakers_of(SECRET, 10)}
    assert set(speakers) == names
    records = json.loads((spoken / "speech" / "speakers.json").read_text("utf-8"))
    assert {record["name"] for record in records} == names


def test_the_order_of_the_clips_is_the_secrets(spoken):
    orders = [
        exam.clips_in(spoken / "speech", secret)[1] for secret in (SECRET, SECRET, "12345678")
    ]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--secret", "short"], "--secret: give 8 characters or more"),
        (["--secret", "another secret"], "made with other settings"),
        (["--secret", SECRET, "--score", "nowhere"], "nowhere is no folder; give one with"),
        (["--secret", SECRET, "--score", "{out}/speech/yes"], "has no folder of a student"),
        (["--secret", SECRET, "-j", "0"], "-j is at least 1"),
        (["--secret", SECRET, "--out", "{out}/speech/corpus.json"], "is a file; name a folder"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_lost(small, capsys, arguments, message):
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    arguments = [text.format(out=small) for text in arguments]
    assert exam.main(["--out", str(small), *arguments]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert message in said
    assert {
        path: path.stat().st_mtime_ns for path in small.rglob("*.wav")
    }.items() <= before.items()


def test_where_there_is_no_sandbox_nothing_is_run(small, tmp_path, monkeypatch, capsys):
    entry(tmp_path / "class" / "ada")
    monkeypatch.setattr(exam, "run_guarded", None)
    monkeypatch.setattr(exam.sys, "platform", "darwin")
    assert scored(small, tmp_path / "class")[0] == 1
    assert "WSL2" in capsys.readouterr().err


# Entries

BAD = {
    "no files": (None, "hand in one notebook"),
    "two checkpoints": (
        lambda folder: (folder / "b.pt").write_bytes(b""),
        "hand in one checkpoint",
    ),
    "no checkpoint": (lambda folder: (folder / "mine.pt").write_bytes(b"PK"), "is damaged"),
    "no notebook": (lambda folder: (folder / "mine.ipynb").write_text("{"), "not a notebook"),
    "another network": (
        lambda folder: torch.save(checkpoint("Other", {}, {}), folder / "mine.pt"),
        "does not define Other",
    ),
}
HOSTILE = {
    "ends": ({"beginning": "import os; os._exit(0)"}, "ended before its time"),
    "another shape": ({"hearing": "return x[:, 0]"}, "not one number for each of its 10 words"),
    "raises": ({"hearing": "raise ValueError('<script>alert(1)</script>')"}, "<script>alert(1)"),
}
OUTSIDE = {
    "reads the exam": "open({exam!r}).read()",
    "reads the solutions": "open({solution!r}).read()",
    "writes outside": "open({outside!r}, 'w')",
    "starts a socket": "import socket; socket.create_connection(('127.0.0.1', {port}), 2)",
}


@pytest.mark.slow
@needs_sandbox
def test_one_bad_entry_never_stops_the_others(small, tmp_path, capsys):
    folder = tmp_path / "class"
    entry(folder / "=cmd()")
    for name, (spoil, _) in BAD.items():
        if spoil is None:
            (folder / name).mkdir(parents=True)
        else:
            spoil(entry(folder / name))
    for name, (lines, _) in HOSTILE.items():
        entry(folder / name, **lines)
    entry(folder / "zoe")
    status, rows = scored(small, folder)
    assert status == 0
    assert "2 entries, 8 not scored" in capsys.readouterr().out
    for name, (_, reason) in (BAD | HOSTILE).items():
        assert reason in rows[name]["reason"], name
        assert not rows[name]["right"]
    # It always says "yes": one in ten is right, and it is so for each speaker.
    assert [rows[name]["right"] for name in ("zoe", "'=cmd()")] == ["0.1000"] * 2
    assert (rows["zoe"]["low"], rows["zoe"]["high"]) == ("0.1000", "0.1000")
    page = (small / "leaderboard.html").read_text("utf-8")
    assert "default-src 'none'" in page and "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert not any(name in page for name in ("zoe", "cmd()", SECRET, str(exam.drawn(SECRET)[0])))
    assert all(row["entry"] in page for row in rows.values())


@needs_sandbox
def test_an_entry_that_does_not_end_is_ended(tmp_path):
    folder = entry(tmp_path / "eve", hearing="while True: pass")
    np.save(tmp_path / "clips.npy", np.zeros((1, 16_000), np.int16))
    task = {**exam.files_of(folder), "clips": tmp_path / "clips.npy"}
    before = time.monotonic()
    assert exam.run_guarded(task, sandbox.rules_for("nobody"), 10.0) == {
        "problem": "it took more than 10 s"
    }
    assert time.monotonic() - before < 20


@pytest.mark.slow
@needs_sandbox
def test_an_entry_cannot_leave_the_sandbox(small, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = {
            "exam": str(small / "speech" / "speakers.json"),
            "solution": str(next(LABSOLUTIONS.glob("01_*.ipynb"))),
            "outside": str(tmp_path / "written"),
            "port": server.getsockname()[1],
        }
        tmp_path.chmod(0o777)
        for name, lines in OUTSIDE.items():
            entry(tmp_path / "class" / name, hearing=lines.format(**target))
        _, trusted = scored(small, tmp_path / "class", "--trust-submissions")
        # Each attack works where nothing stops it.
        assert {name: row["right"] for name, row in trusted.items()} == dict.fromkeys(
            OUTSIDE, "0.1000"
        )
        (tmp_path / "written").unlink()
        _, rows = scored(small, tmp_path / "class")
    for name in OUTSIDE:
        assert "Error" in rows[name]["reason"], (name, rows[name])
    assert not (tmp_path / "written").exists()


@pytest.mark.slow
@needs_sandbox
def test_without_any_layer_nothing_is_scored(small, tmp_path, monkeypatch, capsys):
    skipped = [sandbox.NAMESPACES, sandbox.OWN_FILES, sandbox.LANDLOCK]
    rules = sandbox.Rules(sandbox.readable(), skip=skipped)
    monkeypatch.setattr(sandbox, "rules_for", lambda user: rules)
    entry(tmp_path / "class" / "ada", hearing=f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert scored(small, tmp_path / "class")[0] == 1
    assert "Nothing on this machine can hold a submission" in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()


NETWORKS = [
    ("01", "SpeechMLP", {"classes": 10, "inputs": 16_000}, None),
    ("01", "SpeechMLP", {"classes": 10, "inputs": 1_020}, "LogMel"),
    ("02", "WaveformCNN", {"classes": 10}, "halve_rate"),
    ("02", "LogMelResNet", {"classes": 10}, "halve_rate"),
]


@pytest.mark.parametrize("stage, name, arguments, features", NETWORKS)
def test_networks_of_the_stages_are_rebuilt_and_heard(tmp_path, stage, name, arguments, features):
    [notebook] = LABSOLUTIONS.glob(f"{stage}_*.ipynb")
    space = exercises.definitions(notebook, [name])
    torch.manual_seed(0)
    network = space[name](**arguments).eval()
    kept = checkpoint(name, network.state_dict(), arguments, features)
    kept["code"] = collected(*(space[part] for part in (name, features) if part))
    torch.save(kept, tmp_path / "checkpoint.pt")
    clips = (torch.randn(7, 16_000) * 3_000).short()
    files = {"notebook": notebook, "checkpoint": tmp_path / "checkpoint.pt"}
    said = examinee.answers(tmp_path, {k: Path(v).read_bytes() for k, v in files.items()}, clips)
    assert (said["model"], len(said["words"])) == (name, 7)
    assert said["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    x = clips[:, None] / 32768
    with torch.no_grad():
        made = {
            "LogMel": lambda: space["LogMel"]().eval()(x),
            "halve_rate": lambda: space["halve_rate"](x),
        }
        expected = network(made[features]() if features else x).argmax(dim=1)
    assert said["words"] == [COMMANDS[place] for place in expected]


@pytest.mark.browser
@needs_browser
@pytest.mark.parametrize("width", [1366, 400])
def test_scripts_of_entries_are_words_on_the_leaderboard(tmp_path, width):
    script = "<script>document.title = 'ran'</script><img src=x onerror=\"document.title='ran'\">"
    entries = [exam.Entry(script, "1" * 8, "", 0.9, (0.8, 1.0), script, 5)]
    entries.append(exam.Entry("eve", "2" * 8, f"ValueError: {script}"))
    exam.write(tmp_path, entries, 100)
    from axe_playwright_python.sync_playwright import Axe

    with browser_with(width=width) as page:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "leaderboard.html").as_uri())
        page.wait_for_timeout(200)
        assert page.title() == "The ten commands, by unheard speakers"
        assert page.locator("script, img, iframe").count() == 0
        assert len(asked) == 1
        violations = Axe().run(page).response["violations"]
    assert not [found["id"] for found in violations if found["impact"] in ("serious", "critical")]
