"""What the desk writes: tables that are safe and kept, sheets of the platforms, pages, answers."""

import csv
import errno
import html.parser
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_utils.instructor.desk import alike as alike_module
from course_utils.instructor.desk import outputs, pages, report, sheets
from course_utils.instructor.desk.alike import LONG as LONG_ENOUGH
from course_utils.instructor.desk.alike import alike, form
from course_utils.instructor.desk.gradebook import Task, students_in
from course_utils.instructor.desk.marks import Mark, Submission, key_of
from course_utils.instructor.desk.sheets import OutputError
from course_utils.tests.desk_class import LONG, SCRIPT, a_class, hostile, submission


@pytest.fixture
def write(tmp_path):
    """Write a class of a stage that the course does not have; gives the lines for the user."""

    def written(students, worksheet=None, out=tmp_path / "out", **others):
        names, submissions = a_class(**students)
        return outputs.write(
            out, 9, "Echoes", names, submissions, ["landlock"], worksheet, **others
        )

    return written


def rows_of(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def change(path, student, **cells):
    """Type into a table, as an instructor does."""
    rows = rows_of(path)
    for row in rows:
        if row["student"] == student:
            row |= cells
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, rows[0] | cells)
        table.writeheader()
        table.writerows(rows)


ADA, BOB = (["right", "wrong"],), (["right", "right"],)


# ---------------------------------------------------------------- grades.csv


def test_grades_have_a_row_a_student_and_a_column_an_exercise(tmp_path, write):
    write({"bob": BOB, "ada": ADA, "carl": Submission("k", "", "corrupt", "x is empty")})
    rows = rows_of(tmp_path / "out/grades.csv")
    assert [row["student"] for row in rows] == ["ada", "bob", "carl"]
    assert [row["status"] for row in rows] == ["marked", "marked", "corrupt: x is empty"]
    assert [row["score"] for row in rows] == ["2", "4", "0"]
    assert {row["max"] for row in rows} == {"4"}
    assert [(row["Exercise 9.1"], row["Exercise 9.2"]) for row in rows] == [
        ("2", "0"), ("2", "2"), ("0", "0")
    ]  # fmt: skip


def test_exercises_stand_in_the_order_of_their_numbers(tmp_path, write):
    write({"ada": (["right"] * 11,)})
    header = (tmp_path / "out/grades.csv").read_text("utf-8-sig").splitlines()[0].split(",")
    assert header[5:16] == [f"Exercise 9.{i}" for i in range(1, 12)]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "'", "＝", " ="])
def test_no_cell_of_a_students_is_a_formula(tmp_path, write, start):
    name, flag = f"{start}cmd|' /C calc'!A0", f"{start}HYPERLINK(1)"
    write({name: submission(name, ["right"], flags=[flag], status=flag, reason=flag)})
    with (tmp_path / "out/grades.csv").open(newline="", encoding="utf-8-sig") as file:
        cells = next(row for row in csv.DictReader(file))
    for column in ("student", "flags", "status"):
        assert cells[column].startswith("'"), column
    assert sheets.plain(cells["student"]) == name


def test_what_is_typed_in_is_kept_and_counts(tmp_path, write):
    ada = submission("ada", ["right", "wrong"], texts={"question-9-1": "because"})
    write({"ada": ada, "bob": BOB})
    table = tmp_path / "out/grades.csv"
    assert rows_of(table)[0]["question-9-1"] == ""
    change(table, "ada", **{"question-9-1": "1,5", "my note": "talk to her"})
    change(table, "bob", **{"question-9-1": "ill"})
    write({"ada": ada, "bob": BOB, "carl": BOB})
    first, second, third = rows_of(table)
    assert (first["question-9-1"], first["my note"], first["total"]) == (
        "1,5",
        "talk to her",
        "3.5",
    )
    assert (second["question-9-1"], second["total"]) == ("ill", "4")
    assert (third["question-9-1"], third["my note"]) == ("", "")
    assert first["score"] == "2"


def test_what_is_typed_in_for_somebody_who_left_is_kept(tmp_path, write):
    ada = submission("ada", ["right"], texts={"question-9-1": "because"})
    write({"ada": ada, "bob": BOB})
    change(tmp_path / "out/grades.csv", "bob", **{"question-9-1": "2"})
    for _ in range(2):
        write({"ada": ada})
        rows = rows_of(tmp_path / "out/grades.csv")
        assert [(row["student"], row["question-9-1"]) for row in rows] == [
            ("ada", ""),
            ("bob", "2"),
        ]
        assert rows[1]["status"] == "not among the submissions now"
    write({"ada": ada, "bob": BOB})
    rows = rows_of(tmp_path / "out/grades.csv")
    assert [(row["status"], row["question-9-1"]) for row in rows] == [
        ("marked", ""),
        ("marked", "2"),
    ]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8"])
def test_a_table_comes_back_from_any_spreadsheet(tmp_path, write, delimiter, encoding):
    zoe = submission("Zoë", ["right"], texts={"question-9-1": "because"})
    write({"Zoë": zoe})
    table = tmp_path / "out/grades.csv"
    change(table, "Zoë", **{"question-9-1": "1"})
    rows = list(csv.reader(io.StringIO(table.read_text("utf-8-sig"), newline="")))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(rows)
    table.write_bytes(text.getvalue().encode(encoding))
    write({"Zoë": zoe})
    assert [row["question-9-1"] for row in rows_of(table)] == ["1"]


def test_an_earlier_run_says_who_had_which_key(tmp_path, write):
    assert students_in(tmp_path / "out") == {}
    write({"=ada": ADA, "'t Hooft": BOB})
    assert students_in(tmp_path / "out") == {
        key_of(name, "secret"): name for name in ("=ada", "'t Hooft")
    }


def test_a_table_of_somebody_else_is_not_overwritten(tmp_path, write):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/grades.csv").write_text("name,mark\nada,1\n")
    with pytest.raises(OutputError, match="no columns student and key") as error:
        write({"ada": ADA})
    assert len(str(error.value).splitlines()) == 1
    assert (tmp_path / "out/grades.csv").read_text() == "name,mark\nada,1\n"


# ---------------------------------------------------------------- overrides.csv


def test_overrides_are_applied_shown_and_kept(tmp_path, write):
    write({"ada": ADA, "bob": BOB})
    table = tmp_path / "out/overrides.csv"
    typed = (
        'student,exercise,points,reason\nada,Exercise 9.2,"1,5",nearly right\nbob,ex-9-1,0,talked\n'
    )
    assert rows_of(table) == []
    table.write_text(typed)
    for _ in range(2):
        assert write({"ada": ADA, "bob": BOB}) == []
        rows = rows_of(tmp_path / "out/grades.csv")
        assert [(row["Exercise 9.2"], row["score"]) for row in rows] == [("1.5", "3.5"), ("2", "2")]
    assert table.read_text() == typed
    assert "points given by hand: nearly right" in (tmp_path / "out/feedback/ada.html").read_text()
    shown = (tmp_path / "out/report.html").read_text()
    assert "nearly right" in shown and "talked" in shown


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("eve,9.2,1,x", "no student 'eve'"),
        ("ada,9.12,1,x", "no exercise '9.12'"),
        ("ada,01-Sep,1,x", "no exercise '01-Sep'"),
        ("ada,9.2,3,x", "points from 0 to 2, not '3'"),
        ("ada,9.2,-1,x", "points from 0 to 2, not '-1'"),
        ("ada,9.2,nan,x", "points from 0 to 2, not 'nan'"),
        ("ada,9.2", "points from 0 to 2, not ''"),
        ("ada,9.1,1,x", "write 'Exercise 9.1'"),
    ],
)
def test_an_override_that_is_not_understood_changes_nothing(tmp_path, write, line, complaint):
    students = {"ada": (["wrong"] * 10,)}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/overrides.csv").write_text(f"student,exercise,points,reason\n\n{line}\n")
    (said,) = write(students)
    assert said.startswith("overrides.csv, line 3: nothing was changed:") and complaint in said
    assert rows_of(tmp_path / "out/grades.csv")[0]["score"] == "0"
    assert complaint.split("'")[0] in (tmp_path / "out/report.html").read_text()


def test_somebody_without_a_notebook_can_get_points(tmp_path, write):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/overrides.csv").write_text(
        "student,exercise,points,reason\ncarl,9.1,2,on paper\n"
    )
    write({"ada": ADA, "carl": Submission("k", "", "missing", "nothing was handed in")})
    assert [row["score"] for row in rows_of(tmp_path / "out/grades.csv")] == ["2", "2"]


# ---------------------------------------------------------------- the platforms' sheets

MOODLE = (
    'Identifier,"Full name","ID number",Status,Grade,"Maximum grade","Feedback comments"\r\n'
    '"Participant 41","Ada, the first",s1,Submitted,,4.00,"<p>=1</p>"\r\n'
    '"Participant 42",Ada,s2,Submitted,1.00,4.00,\r\n'
    '"Participant 43",Bob,s3,-,,4.00,\r\n'
)
CANVAS = (
    "Student,ID,SIS User ID,SIS Login ID,Section,Stage 8 (77),Stage 9: echoes (78),Final Score\n"
    "    Points Possible,,,,,10,4,(read only)\n"
    '"Lovelace, Ada",12,u1,ada,A,5,,50\n'
    '"Lovelace, Ada",13,u2,ada2,B,,,\n'
    '"Student, Test",14,,x,A,,,\n'
)


def filled(path):
    return [row[4] if "moodle" in path.name else row[6]
            for row in csv.reader(io.StringIO(path.read_text(), newline=""))]  # fmt: skip


def test_moodles_sheet_is_filled_by_its_numbers(tmp_path, write):
    sheet = tmp_path / "sheet.csv"
    sheet.write_bytes(MOODLE.encode())
    students = {"Ada_41": ADA, "Ada_42": BOB, "Ada": ADA, "Ada_44": ADA, "S3": BOB}
    numbers = {"Ada_41": "moodle 41", "Ada_42": "moodle 42", "Ada_44": "moodle 44"}
    lines = write(students, sheet, numbers=numbers)
    assert filled(tmp_path / "out/moodle.csv") == ["Grade", "2", "4", "4"]
    assert lines == [
        f"{tmp_path}/out/moodle.csv: 3 grades in the column 'Grade'",
        f"{tmp_path}/out/moodle.csv: 1 of them had another grade before",
        f"{tmp_path}/out/moodle.csv: in no row of it: Ada, Ada_44",
    ]
    assert sheet.read_bytes() == MOODLE.encode()
    before, after = (list(csv.reader(io.StringIO(text, newline="")))
                     for text in (MOODLE, (tmp_path / "out/moodle.csv").read_text()))  # fmt: skip
    assert [row[:4] + row[5:] for row in before] == [row[:4] + row[5:] for row in after]


def test_a_german_sheet_and_a_comma(tmp_path, write):
    sheet = tmp_path / "sheet.csv"
    text = 'ID,"Vollständiger Name",Status,Bewertung,Bestwertung\nTeilnehmer/in41,Zoë,-,,"100,00"\n'
    sheet.write_bytes(text.encode("utf-8-sig"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/overrides.csv").write_text(
        "student,exercise,points,reason\nZoë_41,9.1,0.5,x\n"
    )
    lines = write({"Zoë_41": ADA, "Ada": BOB}, sheet, numbers={"Zoë_41": "moodle 41"})
    assert "its highest grade is 100, here it is 4: unscaled" in lines[1]
    data = (tmp_path / "out/moodle.csv").read_bytes()
    assert data == text.replace(',,"100', ',"0,5","100').replace('"V', "V").replace(
        'Name"', "Name").encode("utf-8-sig")  # fmt: skip


def test_canvas_gradebook_is_filled_in_the_column_of_the_stage(tmp_path, write):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(CANVAS)
    students = {"lovelaceada_12": BOB, "ADA2": ADA, "moodles_14": ADA}
    numbers = {"lovelaceada_12": "canvas 12", "moodles_14": "moodle 14"}
    lines = write(students, sheet, numbers=numbers)
    assert filled(tmp_path / "out/canvas.csv") == ["Stage 9: echoes (78)", "4", "4", "2", ""]
    assert lines[1:] == [
        f"{tmp_path}/out/canvas.csv: in no row of it: moodles_14",
        f"{tmp_path}/out/canvas.csv: no marks for Student, Test 14",
    ]


def test_a_folder_with_a_number_in_its_name_is_no_id(tmp_path, write):
    """Only what the platform has named is matched by number."""
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(MOODLE)
    lines = write({"ada_41": ADA}, sheet)
    assert filled(tmp_path / "out/moodle.csv") == ["Grade", "", "1.00", ""]
    assert "in no row of it: ada_41" in lines[1]


def test_a_row_that_two_claim_is_nobodys(tmp_path, write):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(MOODLE)
    lines = write({"s1": ADA, "Ada_41": BOB}, sheet, numbers={"Ada_41": "moodle 41"})
    assert filled(tmp_path / "out/moodle.csv") == ["Grade", "", "1.00", ""]
    assert "in no row of it: Ada_41, s1" in lines[1]


def test_whoever_has_no_marks_gets_no_grade(tmp_path, write):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(MOODLE)
    write({"s1": Submission("k", "", "corrupt"), "s2": BOB}, sheet)
    assert filled(tmp_path / "out/moodle.csv") == ["Grade", "", "4", ""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it has nothing"),
        ("name,points\nada,1\n", "it has name, points"),
        ("Student,ID,Lab (1),Test (2)\nada,1,,\n", "they are Lab (1), Test (2)"),
        ("Student,ID,Notes\nada,1,\n", "they are none"),
        ("Student,ID,Stage 9 (1),Echoes (2)\nada,1,,\n", "they are Stage 9 (1), Echoes (2)"),
        ("Student,ID,Stage 90 (1),Stage 19 (2)\nada,1,,\n", "they are Stage 90 (1), Stage 19 (2)"),
        ('Identifier,Grade\n"' + "x" * 200_000, "is no CSV file"),
    ],
)
def test_a_sheet_of_neither_platform_is_refused(tmp_path, write, text, words):
    sheet = tmp_path / "sheet.csv"
    sheet.write_text(text)
    with pytest.raises(OutputError, match=re.escape(words)) as error:
        write({"ada": ADA}, sheet)
    assert len(str(error.value).splitlines()) == 1


def test_a_sheet_that_is_not_there(tmp_path, write):
    with pytest.raises(OutputError, match=r"nothing.csv cannot be read"):
        write({"ada": ADA}, tmp_path / "nothing.csv")


# ---------------------------------------------------------------- pages


class Reader(html.parser.HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def harmless(path):
    """A page has a policy, and no tag or attribute that the desk does not write."""
    page = Reader(path.read_text(encoding="utf-8"))
    allowed = "html head meta title style body main h1 h2 h3 p b br ul li a table thead tbody tr th"
    allowed += " td div span details summary pre svg line circle rect"
    assert set(page.tags) <= set(allowed.split()), path
    assert not any(name.startswith("on") for name in page.attributes)
    assert (
        "default-src &#x27;none&#x27;" in path.read_text()
        or "default-src 'none'" in path.read_text()
    )


def test_a_script_anywhere_is_words(tmp_path, write):
    name = f"m{SCRIPT}"
    twins = {f"{name}{i}": hostile(f"{name}{i}") for i in range(3)}
    write({"ada": ADA, **twins})
    written = list((tmp_path / "out").rglob("*.html"))
    assert len(written) == 6
    for path in written:
        harmless(path)
        assert "document.title" in path.read_text() or path.name == "ada.html"


@given(st.text())
def test_no_text_leaves_its_place(words):
    shown = pages.text(words)
    page = Reader(f'<p title="{shown}">{shown}</p>')
    assert page.tags == ["p"] and page.attributes == ["title"]
    assert isinstance(shown.encode(), bytes)  # half a character has none


def test_half_a_character_and_a_turned_line_do_not_stop_the_class(tmp_path, write):
    mark = Mark(0, 2, "wrong", cause="\ud800\u202e", flags=["\ud800"], answer="x = '\ud800'")
    write({"ada": submission("ada", [mark], texts={"question-9-1": "\ud800\0"}), "bob": BOB})
    assert "\u202e" not in (tmp_path / "out/report.html").read_text()
    assert len(rows_of(tmp_path / "out/grades.csv")) == 2


def test_feedback_says_what_is_right_and_why_not(tmp_path, write):
    wrong = failed("swapped axes")
    wrong.notes, wrong.answer = ["the cell is there twice"], "x = 1 < 2"
    hidden = Mark(0, 2, "hidden", "one less", "expected 7919, got 7920; likely cause: one less")
    lent = Mark(2, 2, "right", replaced=["9.1"], flags=["walks frames"])
    error = Mark(
        0,
        2,
        "wrong",
        report.RAISED,
        f"expected f to return, got TypeError: no; likely cause: {report.RAISED}",
    )
    ada = submission("ada", [wrong, hidden, lent, "open", error], texts={"question-9-1": "because"})
    write({"ada": ada})
    change(tmp_path / "out/grades.csv", "ada", **{"question-9-1": "1.5"})
    write({"ada": ada})
    shown = (tmp_path / "out/feedback/ada.html").read_text()
    for words in (
        "<b>3.5 points</b>, 10 for all exercises",
        "expected a, got b; likely cause: swapped axes",
        "the cell is there twice",
        "x = 1 &lt; 2",
        report.WORDS["hidden"],
        "run with the course&#x27;s answer to 9.1",
        "not filled in",
        "got TypeError: no; likely cause: the line of your code that raises it",
        "Question 9.1: points: 1.5",
        "because",
    ):
        assert words in shown, words
    for words in ("7919", "walks frames", "ada"):  # hidden numbers, flags and names
        assert words not in shown


def test_a_page_of_feedback_is_small_whatever_was_said(tmp_path, write):
    rude = "\"<&'é" * 2_000
    marks = [Mark(0, 2, "wrong", rude, rude, notes=[rude], answer=rude * 2) for _ in range(20)]
    write({"ada": submission("ada", marks, notes=[rude])})
    shown = (tmp_path / "out/feedback/ada.html").read_bytes()
    answers = re.sub(rb"<pre>.*?</pre>", b"", shown, flags=re.DOTALL)
    assert len(answers) <= outputs.LARGEST_PAGE
    assert len(re.findall(rb"<pre>", shown)) == 20
    assert len(shown) < 20 * 6 * (outputs.LONGEST_ANSWER + 100)


def test_pages_are_named_after_students_and_no_two_share_one(tmp_path, write):
    students = {
        name: submission(name, ["right"]) for name in ("ada", "Ada", "a/da", "a:da", "..", "CON")
    }
    write(students)
    names = sorted(path.name for path in (tmp_path / "out/feedback").iterdir())
    assert len({name.casefold() for name in names}) == 6
    assert all(name[0].isalnum() or name[0] == "_" for name in names)
    for student in students:
        link = outputs.file_names({item.key: name for name, item in students.items()})
        assert f"{link[key_of(student, 'secret')]}.html" in names


@given(
    st.dictionaries(st.text("abc012345", min_size=1, max_size=5), st.text(max_size=200), max_size=6)
)
def test_names_of_files_are_safe_and_apart(names):
    made = outputs.file_names(names)
    assert made.keys() == names.keys()
    assert len({name.casefold() for name in made.values()}) == len(made)
    for name in made.values():
        assert re.fullmatch(r"[\w][\w -]*", name) and len(name.encode()) < 200


def test_what_is_of_a_student_who_left_goes(tmp_path, write):
    write({"ada": ADA, "bob": BOB})
    (tmp_path / "out/feedback/notes.txt").write_text("mine")
    write({"ada": ADA})
    assert sorted(path.name for path in (tmp_path / "out/feedback").iterdir()) == [
        "ada.html",
        "notes.txt",
    ]
    assert len(list((tmp_path / "out/answers").rglob("*.py"))) == 2


def test_names_stay_in_tables_and_names_of_files(tmp_path, write):
    write({"adalovelace": (["right", "wrong"],), "bob": BOB})
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file() and path.name != "grades.csv":
            text = path.read_text().replace("feedback/adalovelace.html", "")
            assert "adalovelace" not in text, path
    assert "feedback/" not in (tmp_path / "out/lecture.html").read_text()
    assert key_of("adalovelace", "secret") not in (tmp_path / "out/lecture.html").read_text()


def test_answers_are_files_for_a_tool(tmp_path, write):
    write({"ada": (["right", "open", "missing", "reference"],), "bob": BOB})
    found = {str(path.relative_to(tmp_path / "out/answers")): path.read_text()
             for path in (tmp_path / "out/answers").rglob("*.py")}  # fmt: skip
    ada, bob = (key_of(name, "secret") for name in ("ada", "bob"))
    assert found == {
        f"ex-9-1/{ada}.py": "answer = 1", f"ex-9-1/{bob}.py": "answer = 1",
        f"ex-9-2/{bob}.py": "answer = 2", f"ex-9-4/{ada}.py": "answer = 4",
    }  # fmt: skip


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_disk_that_fails_is_one_line_and_nothing_is_lost(tmp_path, write, monkeypatch, number):
    write({"ada": submission("ada", ["wrong"], texts={"question-9-1": ""})})
    change(tmp_path / "out/grades.csv", "ada", **{"question-9-1": "1"})
    before = (tmp_path / "out/grades.csv").read_bytes()

    def fails(*arguments):
        raise OSError(number, "no")

    monkeypatch.setattr("pathlib.Path.write_bytes", fails)
    with pytest.raises(OutputError, match="--out") as error:
        write({"ada": ADA})
    assert len(str(error.value).splitlines()) == 1
    assert (tmp_path / "out/grades.csv").read_bytes() == before
    assert not list((tmp_path / "out").rglob("*.tmp"))


# ---------------------------------------------------------------- the report


def report_of(tmp_path, name="report"):
    text = (tmp_path / f"out/{name}.html").read_text()
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text.split("</style>")[1]))


def failed(cause):
    return Mark(0, 2, "wrong", cause, f"expected a, got b; likely cause: {cause}")


def test_the_report_counts(tmp_path, write):
    error = Mark(
        0,
        2,
        "wrong",
        report.RAISED,
        f"expected f to return, got KeyError: 'x'; likely cause: {report.RAISED}",
    )
    write({
        "a": ([failed("swapped axes"), "right"],),
        "b": ([failed("swapped axes"), "right"],),
        "c": ([failed("one too few"), failed("only c")],),
        "d": ([error, "right"],),
        "e": Submission("k", "", "corrupt", "x.ipynb is empty"),
    })  # fmt: skip
    shown = report_of(tmp_path)
    for words in (
        "5 students, 4 marked, 4 points",
        "2 students: swapped axes",
        "1 student: one too few",
        "1 student: an error in the answer itself: KeyError",
        "9.1 0% 0 9.2 75% 0",
        "The middle of the class: 2 of 4 points; from 0 to 2",
        "50 to 60 % 3",
        "corrupt; x.ipynb is empty",
        "landlock",
    ):
        assert words in shown, words
    lecture = report_of(tmp_path, "lecture")
    assert lecture.index("Exercise 9.1") < lecture.index("Exercise 9.2")
    assert "2 students: swapped axes" in lecture
    assert "only c" not in lecture and "one too few" not in lecture  # the room knows who it was


def test_a_class_that_is_right_or_not_marked_has_a_lecture_too(tmp_path, write):
    write({"a": BOB})
    assert "Everybody had everything right." in report_of(tmp_path, "lecture")
    write({"a": Submission("k", "", "corrupt")})
    assert "No notebook was marked." in report_of(tmp_path, "lecture")
    assert "1 student, 0 marked" in report_of(tmp_path)


def test_the_suspicious_come_first(tmp_path, write):
    write({
        "a": ([Mark(2, 2, "right", flags=["walks frames"])],),
        "b": (["hidden"],),
        "c": (["tampered"],),
        "d": submission("d", ["right"], flags=["the notebook is a copy"]),
    })  # fmt: skip
    shown = report_of(tmp_path).split("Look at these first")[1].split("Points of the class")[0]
    places = [shown.index(words) for words in (
        report.WORDS["tampered"], report.WORDS["hidden"], "walks frames")]  # fmt: skip
    assert places == sorted(places)
    assert "the notebook is a copy" in shown


def test_changed_marks_are_listed(tmp_path, write):
    write({"ada": ADA, "bob": BOB})
    assert "Changed since" not in report_of(tmp_path)
    write({"ada": BOB, "bob": BOB, "carl": ADA})
    shown = report_of(tmp_path).split("Changed since the last run")[1].split("Points of")[0]
    assert "Exercise 9.2 0 2" in shown
    assert key_of("ada", "secret") in shown and key_of("bob", "secret") not in shown
    write({"ada": BOB, "bob": BOB, "carl": ADA})
    assert "Changed since" not in report_of(tmp_path)


def test_predictions_stand_beside_what_came_out(tmp_path, write, monkeypatch):
    monkeypatch.setattr(outputs, "measured_in", lambda solution: {"new": 0.97, "nobody": 0.5})
    cells = ["x = {'new': 0.2, 'first': 'Space'}", "x = {'new': 0.4, 'first': 'space '}",
             "x = {'new': 0.9, 'first': None}", "x = {'new': 80}", "x = {", "x = {f(): 1}",
             "[]"]  # fmt: skip
    write({f"s{i}": submission(f"s{i}", ["right"], predictions={"predict": cell})
           for i, cell in enumerate(cells)})  # fmt: skip
    shown = report_of(tmp_path)
    assert (
        "new : 3 students said 20% to 90%, the middle 40%; in the course&#x27;s own run it is 97%"
        in shown
    )
    assert "first : space (2)" in shown
    assert "nobody" not in shown


def test_every_stage_that_compares_predictions_has_measured_something():
    """What the report reads is what the solutions print."""
    found = {stage: report.measured_in(outputs.solution_of(stage)) for stage in (1, 2, 3, 4)}
    assert all(found.values()), found
    assert all(0 <= value <= 1 for values in found.values() for value in values.values())


# ---------------------------------------------------------------- answers that are alike

RENAMED = (
    LONG.replace("total", "s").replace("value", "v").replace("    s = 0", "    s = 0  # start")
)


def test_answers_that_differ_in_names_alone_are_pointed_out(tmp_path, write):
    other = Mark(2, 2, "right", answer=LONG.replace("// 3", "// 4"))
    marks = {
        "a": LONG,
        "b": RENAMED,
        "c": "def f(x):\n    return x",
        "d": "def f(y):\n    return y",
    }
    write({name: ([Mark(2, 2, "right", answer=answer)],) for name, answer in marks.items()}
          | {"e": ([other],)})  # fmt: skip
    shown = report_of(tmp_path).split("The same but for names")[1]
    assert "Pointed out, not judged." in shown
    assert shown.count(" and ") == 2 and "9.1" in shown  # one pair, and "short answers, ... and"
    assert all((key_of(name, "secret") in shown) == (name in "ab") for name in "abcde")


def test_the_courses_answer_and_what_the_hint_forces_are_not_pointed_out():
    answers = {"9.1": {"a": LONG, "b": RENAMED}}
    assert alike({"9.1": Task("9.1")}, answers) == {("a", "b"): ["9.1"]}
    assert alike({"9.1": Task("9.1", solution=LONG)}, answers) == {}
    assert alike({"9.1": Task("9.1", skeleton=LONG.replace("// 3", "// ..."))}, answers) == {}
    many = {"9.1": {f"k{i}": LONG for i in range(3)} | {f"o{i}": f"x = {i}" for i in range(9)}}
    assert alike({"9.1": Task("9.1")}, many) == {}


def test_pairs_with_the_most_in_common_come_first():
    answers = {"9.1": {"a": LONG, "b": LONG, "c": ""}, "9.2": {"b": LONG, "c": LONG},
               "9.3": {"b": RENAMED, "c": LONG}}  # fmt: skip
    tasks = {name: Task(name) for name in answers}
    assert list(alike(tasks, answers).items()) == [
        (("b", "c"), ["9.2", "9.3"]),
        (("a", "b"), ["9.1"]),
    ]


SAME = [
    ("def f(a):\n    return a + 1", "def f(b: int) -> int:\n    'Add.'\n    return b + 1"),
    ("class A:\n    def go(self, x): return x", "class A:\n    def go(me, y): return y"),
    ("f = lambda a: [b for b in a]", "f = lambda c: [d for d in c]"),
    (
        "def f(a):\n    def g(b): return b\n    return g(a)",
        "def f(a):\n    def h(b): return b\n    return h(a)",
    ),
    (
        "def f(a):\n    try: a()\n    except E as e: print(e)",
        "def f(a):\n    try: a()\n    except E as x: print(x)",
    ),
]
OTHER = [
    ("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"),
    ("def f(a):\n    return a.sum(dim=0)", "def f(a):\n    return a.sum(dim=1)"),
    ("def f(a):\n    return a.sum()", "def f(a):\n    return a.max()"),
    ("def f(a):\n    return len(a)", "def f(a):\n    return sum(a)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_form(one, other):
    assert form(one, frozenset({"f"})) == form(other, frozenset({"f"})) is not None


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_another_form(one, other):
    assert form(one) != form(other)


BOMBS = ["a" + ".b" * 9_000, "-" * 19_000 + "1", "(" * 19_000, "lambda:" * 2_500 + "1", "\0",
         "%time x", "x = 1\n" * 5_000, "'\ud800'"]  # fmt: skip


@pytest.mark.parametrize("source", BOMBS, ids=range(len(BOMBS)))
def test_an_answer_that_breaks_the_parser_has_no_form(source):
    assert form(source) is None
    assert report.cause(Mark(0, 1, "wrong", message=source))


def test_what_is_long_is_measured(monkeypatch):
    size = form(LONG)[1]
    answers = {"9.1": {"a": LONG, "b": RENAMED}}
    assert size > LONG_ENOUGH
    for least, found in ((size - 1, 1), (size, 0)):
        monkeypatch.setattr(alike_module, "LONG", least)
        assert len(alike({"9.1": Task("9.1")}, answers)) == found
