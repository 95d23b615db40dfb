"""What a class hands in: folders, loose notebooks, zips of the platforms, and what is refused."""

import hashlib
import json
import os
import re
import stat
import struct
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_utils.instructor.desk import submissions
from course_utils.instructor.desk.submissions import SubmissionsError, clean, collect

MOODLE = "{}_{}_assignsubmission_file_/01_speech.ipynb"


def notebook(text="x = 1"):
    return json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": text}]}).encode()


def put(folder, **files):
    """Write files; in a name ``__`` stands for a folder's slash, and ``_ipynb`` for the ending."""
    for name, data in files.items():
        place(folder, name.replace("__", "/").replace("_ipynb", ".ipynb"), data)
    return folder


def place(folder, name, data, time=None):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else notebook(data))
    if time is not None:
        os.utime(path, (time, time))
    return path


def zipped(path, *files):
    """A zip of (name or ZipInfo, content); later ones are newer by a minute."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for minute, (name, data) in enumerate(files):
            info = name
            if isinstance(name, str):
                info = zipfile.ZipInfo(name, (2026, 11, 27, 12, minute, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data if isinstance(data, bytes) else notebook(data))
    return path


@pytest.fixture
def gather(tmp_path):
    """Collect; gives what counts of each student: the source of its cell, or the reason."""

    def gathered(path, suits=None):
        found = collect(path, tmp_path / "scratch", suits)
        assert len({item.student for item in found}) == len(found)
        assert [item.student for item in found] == sorted(item.student for item in found)
        return {
            item.student: item.reason
            if item.path is None
            else json.loads(item.path.read_bytes())["cells"][0]["source"]
            for item in found
        }

    return gathered


def test_a_folder_a_student(tmp_path, gather):
    put(tmp_path / "in", ada__x_ipynb="A", bob__work__y_ipynb="B", bob__notes=b"words")
    assert gather(tmp_path / "in") == {"ada": "A", "bob": "B"}


def test_loose_notebooks_and_a_folder(tmp_path, gather):
    put(tmp_path / "in", ada_ipynb="A", bob_ipynb="B", carl__z_ipynb="C", readme=b"words")
    assert gather(tmp_path / "in") == {"ada": "A", "bob": "B", "carl": "C"}


@pytest.mark.parametrize("folder", [True, False])
def test_moodle(tmp_path, gather, folder):
    names = [("Ada Lovelace", 41), ("Ada Lovelace", 42), ("Zoë O'Neill-Ng", 7)]
    pattern = MOODLE if folder else MOODLE.replace("_/", "_")
    path = zipped(tmp_path / "in.zip", *((pattern.format(*name), str(name)) for name in names))
    assert gather(path) == {f"{name}_{number}": str((name, number)) for name, number in names}
    assert {item.number for item in collect(path, tmp_path)} == {
        "moodle 41",
        "moodle 42",
        "moodle 7",
    }


def test_moodle_with_a_text_and_a_file_is_one_student(tmp_path, gather):
    path = zipped(
        tmp_path / "in.zip",
        ("Ada_4_assignsubmission_onlinetext_/onlinetext.html", b"<p>"),
        ("Ada_4_assignsubmission_file_/x.ipynb", "A"),
        ("Bob_5_assignsubmission_onlinetext_/onlinetext.html", b"<p>"),
    )
    assert gather(path) == {"Ada_4": "A", "Bob_5": "no notebook, but onlinetext.html"}


def test_canvas(tmp_path, gather):
    path = zipped(
        tmp_path / "in.zip",
        ("lovelaceada_LATE_12_901_01_speech-3.ipynb", "third"),  # the newest, whatever the order
        ("lovelaceada_12_901_01_speech-2.ipynb", "second"),
        ("lovelaceada_12_900_01_speech.ipynb", "first"),
        ("lovelaceada_13_905_01_speech.ipynb", "another of this name"),
        ("ngzoë_14_906_notes.pdf", b"pdf"),
    )
    assert gather(path) == {
        "lovelaceada_12": "third",
        "lovelaceada_13": "another of this name",
        "ngzoë_14": "no notebook, but ngzoë_14_906_notes.pdf",
    }
    assert [item.number for item in collect(path, tmp_path)] == [
        "canvas 12",
        "canvas 13",
        "canvas 14",
    ]


@pytest.mark.parametrize("wrapper", ["", "in/", "class/in/", "in/Stage 1/"])
@pytest.mark.parametrize("names", [["ada/x.ipynb", "bob/y.ipynb"], [MOODLE.format("Ada", 5)]])
def test_folders_around_the_students_do_not_count(tmp_path, gather, wrapper, names):
    path = zipped(tmp_path / "in.zip", (wrapper + "__MACOSX/._x.ipynb", b"mac"),
                  *((wrapper + name, name) for name in names))  # fmt: skip
    assert sorted(gather(path).values()) == names


def test_one_student_alone_keeps_the_folder(tmp_path, gather):
    assert gather(zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A"))) == {"ada": "A"}
    put(tmp_path / "one", ada__x_ipynb="A", ada__old__x_ipynb="B")
    assert set(gather(tmp_path / "one")) == {"ada"}


def test_what_systems_leave_behind_is_no_notebook(tmp_path, gather):
    put(tmp_path / "in", ada__x_ipynb="A")
    for name in (".ipynb_checkpoints/x-checkpoint.ipynb", "__MACOSX/ada/._x.ipynb", "._ada.ipynb"):
        place(tmp_path / "in" / "ada", name, b"\0\5\x16\7")
    (tmp_path / "in" / ".git").mkdir()
    place(tmp_path / "in", "._ada", b"\0")
    (found,) = collect(tmp_path / "in", tmp_path)
    assert (found.student, found.notes) == ("ada", ())


def test_the_newest_counts_and_it_is_said(tmp_path):
    for name, time in (("b", 30), ("a", 40), ("c", 20)):
        place(tmp_path / "in/ada", f"{name}.ipynb", name, time)
    (found,) = collect(tmp_path / "in", tmp_path)
    assert found.path == tmp_path / "in/ada/a.ipynb"
    assert found.notes == ("3 notebooks: ada/a.ipynb counts, the newest",)


def test_of_one_age_the_highest_number_counts(tmp_path):
    for name in ("x (2)", "x (10)", "x"):
        place(tmp_path / "in/ada", f"{name}.ipynb", name, 10)
    (found,) = collect(tmp_path / "in", tmp_path)
    assert found.path.name == "x (10).ipynb"


def test_an_older_one_counts_if_the_newest_cannot(tmp_path):
    place(tmp_path / "in/ada", "old.ipynb", "A", 10)
    place(tmp_path / "in/ada", "new.ipynb", b"{", 20)
    (found,) = collect(tmp_path / "in", tmp_path)
    assert found.path.name == "old.ipynb"
    assert found.notes == (
        "2 notebooks: ada/old.ipynb counts, the newest that can be graded",
        "new.ipynb is corrupt: it is no JSON",
    )


def test_the_wanted_stage_counts(tmp_path, gather):
    place(tmp_path / "in/ada", "1.ipynb", "stage 1", 10)
    place(tmp_path / "in/ada", "2.ipynb", "stage 2", 20)
    place(tmp_path / "in/bob", "1.ipynb", "stage 3", 10)
    place(tmp_path / "in/bob", "2.ipynb", "stage 4", 20)
    suits = lambda book: book["cells"][0]["source"] == "stage 1"  # noqa: E731
    assert gather(tmp_path / "in", suits) == {"ada": "stage 1", "bob": "stage 4"}


UNREADABLE = [
    (b'{"cells": [' + b"[]," * 4_000_000 + b"1]}", "x.ipynb is corrupt: it has millions of parts"),
    (b"", "x.ipynb is empty"),
    (b" \n", "x.ipynb is empty"),
    (b"PK\3\4", "x.ipynb is corrupt: it is no JSON"),
    (notebook()[:-5], "x.ipynb is corrupt: it is no JSON"),
    (b"[" * 100_000, "x.ipynb is corrupt: it is no JSON"),
    (b"\xff\xfe\xff", "x.ipynb is corrupt: it is no JSON"),
    (b"[]", "x.ipynb is no notebook of today's format: it has no cells"),
    (b'{"worksheets": []}', "x.ipynb is no notebook of today's format: it has no cells"),
]


@pytest.mark.parametrize(("data", "reason"), UNREADABLE, ids=range(len(UNREADABLE)))
def test_what_cannot_be_read_keeps_a_row(tmp_path, gather, data, reason):
    put(tmp_path / "in", ada__x_ipynb=data, bob__x_ipynb="B")
    (tmp_path / "in/carl").mkdir()
    put(tmp_path / "in", dora__a_pdf=b"", dora__b=b"", dora__c=b"", dora__d=b"")
    assert gather(tmp_path / "in") == {
        "ada": reason,
        "bob": "B",
        "carl": "nothing was handed in",
        "dora": "no notebook, but a_pdf, b, c and 1 more",
    }


def test_a_zip_in_the_zip_is_named(tmp_path, gather):
    path = zipped(
        tmp_path / "in.zip", ("ada/work.zip", b"PK"), ("bob/x.ipynb", "B"), ("c.ZIP", b"P")
    )
    assert gather(path) == {
        "ada": "no notebook, but work.zip, which nobody has unpacked",
        "bob": "B",
        "c": "no notebook, but c.ZIP, which nobody has unpacked",
    }


def test_names_of_old_and_of_new_zips(tmp_path, gather):
    """Python marks UTF-8; here the mark is taken away, and code page 437 is written."""
    path = zipped(tmp_path / "in.zip", ("Zoë/x.ipynb", "A"), ("Zo\u00e9/x.ipynb", "B"))
    data = bytearray(path.read_bytes())
    for kind, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = data.find(kind)
        while start >= 0:
            flags = struct.unpack_from("<H", data, start + offset)[0]
            struct.pack_into("<H", data, start + offset, flags & ~0x800)
            start = data.find(kind, start + 1)
    path.write_bytes(data)
    assert gather(path) == {"Zoë": "A", "Zoé": "B"}
    path.write_bytes(bytes(data).replace("Zoë".encode(), b"Zo\x89x"))
    assert gather(path) == {"Zoëx": "A", "Zoé": "B"}


def test_backslashes_are_folders(tmp_path, gather):
    path = zipped(tmp_path / "in.zip", ("ada\\x.ipynb", "A"), ("bob\\y.ipynb", "B"))
    assert gather(path) == {"ada": "A", "bob": "B"}


# ---------------------------------------------------------------- names


def test_names_that_look_alike_stay_two_students(tmp_path, gather):
    composed, split = "Zo\u00eb", "Zoe\u0308"
    path = zipped(
        tmp_path / "in.zip",
        *(
            (f"{name}/x.ipynb", name)
            for name in (composed, split, "ada", "Ada", "ada ", "\u202eada")
        ),
        ("ada.ipynb", "loose"),
    )
    found = gather(path)
    assert sorted(found.values()) == sorted(
        [composed, split, "ada", "Ada", "ada ", "\u202eada", "loose"]
    )
    assert found["Ada"] == "Ada"
    assert {name.split(" (")[0] for name in found} == {"Zoë", "ada", "Ada"}


def test_a_name_that_two_share_stays_when_others_come(tmp_path):
    put(tmp_path / "in", ada__x_ipynb="A", ada_ipynb="B")
    before = {item.student for item in collect(tmp_path / "in", tmp_path)}
    place(tmp_path / "in/ada ", "x.ipynb", "C")
    assert before < {item.student for item in collect(tmp_path / "in", tmp_path)}


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6, unique=True))
def test_no_name_in_a_zip_is_lost_or_leads_out(tmp_path, names):
    path = tmp_path / "in.zip"
    files = [(f"{name}/x.ipynb", name) for name in names if _writable(name)]
    zipped(path, *files, ("always/x.ipynb", "x"))
    scratch = tmp_path / "scratch"
    try:
        found = collect(path, scratch)
    except SubmissionsError as error:
        assert len(str(error).splitlines()) == 1
        return
    assert len({item.student for item in found}) == len(found)
    assert all(item.path.parent == scratch and item.student.isprintable() for item in found)
    sources = {json.loads(item.path.read_bytes())["cells"][0]["source"] for item in found}
    plain = all(re.fullmatch(r"[^/\\.\0:][^/\\\0:]*", name) for name in names)
    if plain and not {"always", *submissions._NOISE} & {*names}:
        assert sources == {*(name for _, name in files), "x"}


def _writable(name):
    try:
        name.encode()
    except UnicodeError:
        return False
    return True


@given(st.text(max_size=30))
def test_a_clean_name_can_be_written_in_one_line(name):
    cleaned = clean(name)
    assert clean(cleaned) == cleaned
    assert len(cleaned.encode().splitlines()) <= 1


# ---------------------------------------------------------------- what is refused


def entry(name, mode=0):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


@pytest.mark.parametrize("name", ["../x.ipynb", "ada/../../x.ipynb", "/etc/x.ipynb", "C:\\x.ipynb",
                                  "..\\x.ipynb", "__MACOSX/../../x.ipynb"])  # fmt: skip
def test_a_name_that_leads_out_refuses_the_zip(tmp_path, name):
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A"), (entry(name), "B"))
    with pytest.raises(SubmissionsError, match="leads out of its folder") as error:
        collect(path, tmp_path / "scratch")
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "scratch").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.zip"]


def test_a_name_with_an_end_inside_refuses_the_zip(tmp_path):
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A"), ("bob/x#.ipynb", "B"))
    path.write_bytes(path.read_bytes().replace(b"bob/x#.ipynb", b"bob/x\0.ipynb"))
    with pytest.raises(SubmissionsError, match="leads out of its folder"):
        collect(path, tmp_path / "scratch")


def test_links_are_not_followed(tmp_path, gather):
    secret = place(tmp_path, "secret.ipynb", "S")
    path = zipped(
        tmp_path / "in.zip",
        (entry("ada/x.ipynb", stat.S_IFLNK | 0o777), bytes(secret)),
        (entry("bob", stat.S_IFLNK | 0o777), bytes(tmp_path)),
        ("carl/x.ipynb", "C"),
    )
    expected = {
        "ada": "x.ipynb is a link, and links are not followed",
        "bob": "bob is a link, and links are not followed",
        "carl": "C",
    }
    assert gather(path) == expected
    put(tmp_path / "in", carl__x_ipynb="C")
    (tmp_path / "in/ada").mkdir()
    (tmp_path / "in/ada/x.ipynb").symlink_to(secret)
    (tmp_path / "in/bob").symlink_to(tmp_path)
    assert gather(tmp_path / "in") == expected


def test_a_pipe_is_not_waited_for(tmp_path, gather):
    put(tmp_path / "in", bob__x_ipynb="B")
    (tmp_path / "in/ada").mkdir()
    os.mkfifo(tmp_path / "in/ada/x.ipynb")
    assert gather(tmp_path / "in") == {"ada": "nothing was handed in", "bob": "B"}


def test_a_large_notebook_costs_only_its_student(tmp_path, gather, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST", 1000)
    large = notebook("x" * 1000)
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", large), ("bob/x.ipynb", "B"))
    put(tmp_path / "in", ada__x_ipynb=large, bob__x_ipynb="B")
    for place_ in (path, tmp_path / "in"):
        assert gather(place_) == {"ada": "x.ipynb is larger than 0 MB", "bob": "B"}


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path):
    path = tmp_path / "in.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3):
            archive.writestr(f"s{i}/x.ipynb", notebook())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submissions, "LARGEST_IN_ALL", 2 * len(notebook()))
        with pytest.raises(SubmissionsError, match="larger than 0 GB in all"):
            collect(path, tmp_path / "scratch")
        assert not (tmp_path / "scratch").exists()  # refused for what it says, before it is read
        with pytest.raises(SubmissionsError, match="larger than 0 GB in all"):
            collect(_of_one(tmp_path, 3), tmp_path / "scratch")


def _of_one(tmp_path, count):
    """A zip of one student with so many notebooks; the newest are not JSON."""
    broken = b"x" * len(notebook())
    return zipped(tmp_path / "one.zip", *((f"ada/{i}.ipynb", broken) for i in range(count)))


def test_a_bomb_that_lies_about_its_size(tmp_path, gather):
    """30 MB of zeros that the directory calls 100 bytes."""
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", b"0" * 30_000_000), ("bob/x.ipynb", "B"))
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 30_000_000), struct.pack("<I", 100)))
    assert gather(path) == {
        "ada": "x.ipynb is damaged in the zip, or larger than the zip says",
        "bob": "B",
    }


def test_an_encrypted_and_a_damaged_entry(tmp_path, gather):
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A"), ("bob/x.ipynb", "B"))
    data = bytearray(path.read_bytes())
    middle = data.find(b"ada/x.ipynb") + 11
    data[middle : middle + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    assert gather(path) == {
        "ada": "x.ipynb is damaged in the zip, or larger than the zip says", "bob": "B"
    }  # fmt: skip
    zipped(path, ("ada/x.ipynb", "A"), ("bob/x.ipynb", "B"))
    data = bytearray(path.read_bytes())
    data[data.find(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    assert gather(path) == {"ada": "x.ipynb is encrypted", "bob": "B"}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("ada/x.ipynb", notebook())
    assert gather(path) == {"ada": "x.ipynb is packed in a way that only some programs can unpack"}


def test_bad_input_is_one_clear_line(tmp_path):
    place(tmp_path, "one.ipynb", "x")
    place(tmp_path, "cut.zip", zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A")).read_bytes()[:60])
    (tmp_path / "empty").mkdir()
    put(tmp_path / "pdfs", ada__x_pdf=b"")
    zipped(tmp_path / "none.zip")
    (tmp_path / "outer").mkdir()
    zipped(tmp_path / "outer/CS101.zip")
    for name, words in (
        ("nowhere", "does not exist"),
        ("one.ipynb", "neither a folder nor a zip"),
        ("cut.zip", "neither a folder nor a zip"),
        ("empty", "there are no notebooks in"),
        ("pdfs", "there are no notebooks in"),
        ("none.zip", "there are no notebooks in"),
        ("outer", "there is CS101.zip: give that"),
    ):
        with pytest.raises(SubmissionsError, match=words) as error:
            collect(tmp_path / name, tmp_path / "scratch")
        assert len(str(error.value).splitlines()) == 1
        assert str(tmp_path / name) in str(error.value)


def test_too_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_FILES", 3)
    put(tmp_path / "in", a_ipynb="", b_ipynb="", c_ipynb="", d_ipynb="")
    with pytest.raises(SubmissionsError, match="more than 3 files"):
        collect(tmp_path / "in", tmp_path)


def test_deep_folders_do_not_stop_the_class(tmp_path, gather):
    put(tmp_path / "in", bob__x_ipynb="B")
    deep = tmp_path / "in/ada"
    for _ in range(300):
        deep = deep / "d"
    deep.mkdir(parents=True)
    place(deep, "x.ipynb", "A")
    assert gather(tmp_path / "in") == {"ada": "nothing was handed in", "bob": "B"}


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A"))

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(SubmissionsError, match=r"is full\. Nothing was graded"):
        collect(path, tmp_path / "scratch")


def test_the_input_stays_as_it_is(tmp_path, gather):
    put(tmp_path / "in", ada__x_ipynb="A", bob__x_ipynb=b"", carl_ipynb="C")
    path = zipped(tmp_path / "in.zip", ("ada/x.ipynb", "A"))

    def state():
        return {
            file: (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
            for file in (path, *sorted((tmp_path / "in").rglob("*.ipynb")))
        }

    before = state()
    gather(tmp_path / "in")
    gather(path)
    assert state() == before
