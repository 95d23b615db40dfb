"""The desk marks a table of submissions: ordinary, broken and hostile ones, each as if alone."""

import errno
import json
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from course_utils.files import locked
from course_utils.instructor import grade
from course_utils.instructor.desk import classroom, ledger, sandbox, stages
from course_utils.instructor.desk.marks import OUTCOMES, Submission, key_of
from course_utils.instructor.desk.workers import Nursery, Worker
from course_utils.tests import handed_in
from course_utils.tests.handed_in import BROKEN, HOSTILE, ORDINARY, OTHER_STAGES, Filled, Row

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="submissions run in a sandbox of the Linux kernel"
)

SECRET = "of the tests"


class Ready(Nursery):
    """One that stays, so that each test need not wait for torch."""

    def __exit__(self, *error: object) -> None:
        pass


@cache
def ready(number: int) -> Ready:
    return Ready(handed_in.stage(number))


SEEDS: dict[tuple, list[int]] = {}


def try_out_once(stage: stages.Stage, secret: str, count: int, worker: Worker) -> list[int]:
    """The course's own answers are marked in the first run of a stage."""
    key = stage.number, secret, count
    if key not in SEEDS:
        SEEDS[key] = classroom.try_out(stage, secret, count, worker)
    return list(SEEDS[key])


@pytest.fixture(autouse=True, scope="module")
def nurseries_stay():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grade, "Nursery", lambda stage: ready(stage.number))
        patch.setattr(grade, "try_out", try_out_once)
        yield
    for number in (1, 2, 3, 4):
        ready(number).stop()


def run(folder: Path, out: Path, *more: str, stage: int = 1) -> int:
    return grade.main(
        [str(folder), "--out", str(out), "--stage", str(stage), "--secret", SECRET, *more]
    )


@cache
def layers() -> tuple[str, ...]:
    """What holds on this machine."""
    with Worker(ready(1), grade.rules_for("nobody")) as worker:
        worker.start()
        return tuple(worker.layers)


def holds(layer: str) -> bool:
    """Whether a row's layer holds here."""
    landlock = any(name.startswith(sandbox.LANDLOCK) for name in layers())
    return {
        "": True,
        "files": landlock or sandbox.OWN_FILES in layers(),
        "network": sandbox.NAMESPACES in layers() or sandbox.CALLS in layers(),
    }.get(layer, layer in layers())


class Marked:
    """The tables as they were marked, each once in a run of the tests."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.classes: dict[str, dict[str, Submission]] = {}

    def of(self, name: str, rows: list[Row], stage: int) -> dict[str, Submission]:
        if name not in self.classes:
            folder = self.folder / name
            for row in rows:
                if holds(row.layer):
                    row.make().write(folder / row.name)
            for kind, (file, text) in BROKEN.items() if stage == 1 else ():
                (folder / kind).mkdir()
                (folder / kind / file).write_text(text)
            out = self.folder / f"{name}-marks"
            assert run(folder, out, stage=stage) == 0
            found = ledger.load(out).submissions
            names = [*(row.name for row in rows), *BROKEN]
            self.classes[name] = {
                student: found[key_of(student, SECRET)]
                for student in names
                if key_of(student, SECRET) in found
            }
        return self.classes[name]


@pytest.fixture(scope="module")
def marked(tmp_path_factory) -> Marked:
    return Marked(tmp_path_factory.mktemp("desk"))


def complaints(row: Row, got: Submission, stage: stages.Stage) -> list[str]:
    """What is not as a row says."""
    lost = handed_in.lost(row, stage)
    found = [] if got.status == row.status else [f"status {got.status}: {got.reason}"]
    for name, exercise in stage.exercises.items():
        mark, should = got.marks[name], 0 if name in lost else exercise.points
        assert mark.outcome in OUTCOMES
        if mark.points != should:
            found.append(f"{name}: {mark.points} points ({mark.outcome}: {mark.message})")
        if mark.outcome != row.outcomes.get(name, mark.outcome):
            found.append(f"{name}: {mark.outcome} ({mark.message})")
    flags = [*got.flags, *(flag for mark in got.marks.values() for flag in mark.flags)]
    if row.flagged and not any(row.flagged in flag for flag in flags):
        found.append(f"not pointed out: {row.flagged}; but {flags}")
    if row.honest and flags:
        found.append(f"pointed out: {flags}")
    return found


def check_row(row: Row, got: dict[str, Submission], stage: int) -> None:
    if not holds(row.layer):
        pytest.skip(f"the layer {row.layer} does not hold here: {', '.join(layers())}")
    assert not complaints(row, got[row.name], handed_in.stage(stage))


QUICK = [row for row in [*ORDINARY, *HOSTILE] if row.quick]
STAGE_1 = [*ORDINARY, *HOSTILE]


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_marks_of_a_dozen(row, marked):
    check_row(row, marked.of("dozen", QUICK, 1), 1)


@pytest.mark.slow
@pytest.mark.parametrize("row", STAGE_1, ids=lambda row: row.name)
def test_marks_of_stage_1(row, marked):
    check_row(row, marked.of("stage1", STAGE_1, 1), 1)


@pytest.mark.slow
@pytest.mark.parametrize("row", OTHER_STAGES, ids=lambda row: row.name)
def test_marks_of_the_other_stages(row, marked):
    stage = int(row.name[-1])
    rows = [other for other in OTHER_STAGES if other.name[-1] == row.name[-1]]
    check_row(row, marked.of(f"stage{stage}", rows, stage), stage)


def test_some_hostile_submission_was_run_in_a_sandbox():
    assert [row for row in QUICK if row.layer and holds(row.layer)], (
        f"no layer of the sandbox holds here ({', '.join(layers())}): nothing was tried"
    )


def test_the_table_is_large_enough():
    names = [row.name for row in [*STAGE_1, *OTHER_STAGES]] + list(BROKEN)
    assert len(set(names)) == len(names) >= 60


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_gets_nothing_and_a_reason(name, marked):
    got = marked.of("dozen", QUICK, 1)[name]
    assert got.status in ("unreadable", "nothing")
    assert got.points == 0
    assert got.reason


# ---------------------------------------------------------------- runs


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> tuple[Path, Path]:
    """Three small submissions, and their marks."""
    folder = tmp_path_factory.mktemp("three")
    for name, ids in (("ada", ["1.1"]), ("bob", []), ("eve", ["1.2"])):
        Filled(1, ids).write(folder / "class" / name)
    assert run(folder / "class", folder / "marks", "-j", "1") == 0
    return folder / "class", folder / "marks"


def without_times(path: Path) -> dict:
    found = json.loads((path / ledger.FILE).read_text())
    for submission in found["submissions"].values():
        for mark in submission["marks"].values():
            del mark["seconds"]
    return found


def test_two_workers_give_the_same_marks_as_one(three, tmp_path):
    assert run(three[0], tmp_path / "out", "-j", "2") == 0
    assert without_times(tmp_path / "out") == without_times(three[1])


def test_a_run_that_was_cut_goes_on_where_it_was(three, tmp_path, monkeypatch, capsys):
    marked, save = [], ledger.Ledger.save

    def cut(self, out):
        save(self, out)
        raise KeyboardInterrupt

    monkeypatch.setattr(ledger.Ledger, "save", cut)
    assert run(three[0], tmp_path / "out", "-j", "1") == grade.INTERRUPTED
    assert len(ledger.load(tmp_path / "out").submissions) == 1
    monkeypatch.setattr(ledger.Ledger, "save", save)
    mark_paper = classroom.mark_paper
    monkeypatch.setattr(
        classroom, "mark_paper", lambda *given: marked.append(given[0]) or mark_paper(*given)
    )
    assert run(three[0], tmp_path / "out", "-j", "1") == 0
    assert len(marked) == 2
    assert without_times(tmp_path / "out") == without_times(three[1])
    assert "The same command goes on" in capsys.readouterr().err


def test_only_some_are_marked_anew(three, tmp_path, monkeypatch):
    marked, mark_paper = [], classroom.mark_paper
    monkeypatch.setattr(
        classroom, "mark_paper", lambda *given: marked.append(given[0]) or mark_paper(*given)
    )
    out = tmp_path / "out"
    out.mkdir()
    for path in (three[1] / "marks.json", three[1] / "grades.csv"):
        (out / path.name).write_bytes(path.read_bytes())
    assert run(three[0], out, "--only", "eve") == 0
    assert [paper.handed_in.student for paper in marked] == ["eve"]
    assert without_times(out) == without_times(three[1])


def test_a_mistake_of_the_desk_stops_nobody_else(three, tmp_path, monkeypatch, capsys):
    mark_paper = classroom.mark_paper

    def stumbles(paper, *given):
        if paper.handed_in.student == "ada":
            raise ZeroDivisionError("a mistake")
        return mark_paper(paper, *given)

    monkeypatch.setattr(classroom, "mark_paper", stumbles)
    assert run(three[0], tmp_path / "out", "-j", "1") == 0
    found = ledger.load(tmp_path / "out").submissions
    assert found[key_of("ada", SECRET)].status == "failed"
    assert found[key_of("eve", SECRET)].points == handed_in.stage(1).exercises["1.2"].points
    assert "tries again" in capsys.readouterr().out


# ---------------------------------------------------------------- what the command is given


def refused(capsys, *arguments: str) -> str:
    """The one line of a command that cannot be carried out."""
    assert grade.main(list(arguments)) != 0
    said = capsys.readouterr().err.strip().splitlines()
    assert said
    return said[-1]


def test_bad_input_is_told_in_a_line(tmp_path, capsys, three):
    folder, marks = map(str, three)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("x")
    out = str(tmp_path / "out")
    assert "There is no stage 9" in refused(capsys, folder, "--out", out, "--stage", "9")
    for nothing in ("empty", "file", "gone"):
        assert str(tmp_path / nothing) in refused(capsys, str(tmp_path / nothing), "--out", out)
    other = str(tmp_path / "full")
    assert "holds other files" in refused(capsys, folder, "--out", other)
    file = str(tmp_path / "file")
    assert "is a file" in refused(capsys, folder, "--out", file)
    assert "another --secret" in refused(capsys, folder, "--out", marks, "--secret", "else")
    assert "--stage" not in refused(capsys, folder, "--out", marks, "--only", "nobody there")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "x"
    assert not Path(out).exists()


def test_notebooks_of_another_stage_are_counted_aloud(three, tmp_path, capsys):
    assert run(three[0], tmp_path / "out", stage=2) == 0
    said = capsys.readouterr().out
    assert "have no notebook that could be marked (This is a notebook of stage 1.)" in said


def test_a_folder_of_another_stage_is_left_alone(three, tmp_path, capsys):
    Filled(2, []).write(tmp_path / "two" / "ada")
    before = (three[1] / ledger.FILE).read_bytes()
    line = refused(capsys, str(tmp_path / "two"), "--out", str(three[1]))
    assert "holds the marks of stage 1" in line
    assert (three[1] / ledger.FILE).read_bytes() == before


def test_a_full_disk_is_told_in_a_line(three, tmp_path, monkeypatch, capsys):
    def full(self, out):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ledger.Ledger, "save", full)
    line = refused(capsys, str(three[0]), "--out", str(tmp_path / "out"), "--stage", "1")
    assert "is full" in line
    assert "goes on from there" in line


def test_without_a_layer_nothing_is_run(three, tmp_path, monkeypatch, capsys):
    none = [sandbox.NAMESPACES, sandbox.LANDLOCK, sandbox.CALLS]
    rules = replace(grade.rules_for("nobody"), skip=none)
    monkeypatch.setattr(grade, "rules_for", lambda user: rules)
    line = refused(capsys, str(three[0]), "--out", str(tmp_path / "out"), "--stage", "1")
    assert line == sandbox.NO_LAYER
    assert not (tmp_path / "out" / ledger.FILE).exists()


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_another_system_is_told_where_it_works(system, three, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", system)
    assert grade.main([str(three[0]), "--out", str(tmp_path / "out")]) == grade.USAGE
    said = capsys.readouterr().err
    assert "WSL2" in said
    assert "docker run --rm --network none" in said
    assert "--trust-submissions" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("user", ["root", "who-is-this"])
def test_submissions_are_not_run_as_root(user, three, tmp_path, capsys):
    line = refused(capsys, str(three[0]), "--out", str(tmp_path / "out"), "--user", user)
    assert line.startswith("--user")


def test_trusted_submissions_get_the_same_marks(three, tmp_path, capsys):
    assert run(three[0], tmp_path / "out", "--trust-submissions") == 0
    mine, theirs = without_times(tmp_path / "out"), without_times(three[1])
    assert mine["submissions"] == theirs["submissions"]
    assert "trusted" in mine["layers"][0]


@pytest.mark.parametrize("skip", [[sandbox.NAMESPACES], [sandbox.OWN_FILES], [sandbox.LANDLOCK]])
def test_each_layer_alone_lets_right_answers_pass(skip, monkeypatch):
    rules = grade.rules_for("nobody")
    less = replace(rules, skip=skip)
    stage = handed_in.stage(1)
    with Worker(ready(1), less) as worker:
        worker.start()
        assert classroom.try_out(stage, SECRET, 1, worker)


@pytest.mark.skipif(os.geteuid() != 0, reason="the folder is one that only root may enter")
def test_python_in_a_folder_of_roots_is_readable_to_who_runs_submissions(tmp_path, monkeypatch):
    private = tmp_path / "private"
    (private / "package").mkdir(parents=True)
    (private / "package" / "lazy.py").write_text("VALUE = 1")
    private.chmod(0o700)
    rules = grade.rules_for("nobody")
    more = replace(rules, readable=[*rules.readable, str(private / "package")])
    reader, writer = os.pipe()
    if os.fork() == 0:
        folder = tmp_path / "scratch"
        folder.mkdir()
        held, _ = sandbox.enter(more, folder)
        text = (private / "package" / "lazy.py").read_text()
        os.write(writer, json.dumps([held, text, os.getuid()]).encode())
        os._exit(0)
    os.close(writer)
    held, text, user = json.loads(os.read(reader, 10_000))
    os.wait()
    assert text == "VALUE = 1"
    if sandbox.OWN_FILES in held:
        assert user == rules.user


def test_what_is_wrong_with_the_command_is_said_first(tmp_path, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    assert run(folder, out, "--worksheet", str(tmp_path / "no.csv")) == grade.USAGE
    assert "no.csv" in capsys.readouterr().err
    assert run(folder, folder / "marks") == grade.USAGE
    assert "inside" in capsys.readouterr().err
    with locked(out):
        assert run(folder, out) == grade.USAGE
    assert "Another run" in capsys.readouterr().err
