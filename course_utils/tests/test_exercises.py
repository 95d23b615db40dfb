"""What a person reads of a submission: answers in words and predictions, whatever was handed in."""

import json

import pytest

from course_utils import settings
from course_utils.exercises import ANSWER_HERE, predictions, texts
from course_utils.instructor import release
from course_utils.tests.test_release import sample_notebook

NOTEBOOKS = sorted((settings.CHECKOUT / "notebooks").glob("*.ipynb"))


def cell(name, source, kind="markdown", **more):
    return {"id": name, "cell_type": kind, "source": source, "metadata": {}, **more}


@pytest.mark.parametrize(
    "source, text",
    [
        ("One line.", "One line."),
        (["One\n", "two"], "One\ntwo"),
        (f"{ANSWER_HERE}\n\nBelow it.", "Below it."),
        (["One", 2, None, "\n"], "One"),
        ("<script>", "<script>"),  # a page has to escape it
        ("half \ud800 a pair", "half ? a pair"),
        (ANSWER_HERE, ""),
        ("", ""),
    ],
)
def test_an_answer_in_words(source, text):
    assert texts({"cells": [cell("question-1-1", source)]}) == {"question-1-1": text}
    json.dumps(text, ensure_ascii=False).encode()  # a file can hold it


def test_cells_are_found_by_nbgraders_name_first_and_the_last_one_counts():
    other = cell("a1b2c3d4", "Mine.", metadata={"nbgrader": {"grade_id": "question-2-1"}})
    cells = [cell("question-1-1", "First."), other, cell("question-1-1", "Last.", kind="code")]
    assert texts({"cells": cells}) == {"question-1-1": "Last.", "question-2-1": "Mine."}


@pytest.mark.parametrize(
    "notebook",
    [
        None, [], "text", {}, {"cells": None}, {"cells": {"a": 1}}, {"cells": [None, 3, []]},
        {"cells": [cell("question-1-1", None), cell("predict", {"a": 1})]},
        {"cells": [cell(7, "x"), cell(None, "y"), {"metadata": {"nbgrader": 5}, "source": "x"}]},
        {"cells": [cell("question-1-1-text", "What?"), cell("setup", "x = {}")]},
    ],
)  # fmt: skip
def test_what_is_no_notebook_holds_nothing(notebook):
    assert texts(notebook) == predictions(notebook) == {}


@pytest.mark.parametrize(
    "source, text",
    [
        ('my_prediction = {"quiet": 0.9, "noise": -1}', "{'quiet': 0.9, 'noise': -1}"),
        ('my_prediction = {\n    "quiet": None, "first": "space",\n}\n', "{'first': 'space'}"),
        ('my_prediction = {"quiet": None}', ""),
        ('my_prediction = {"quiet": 1}\nmy_prediction = {"quiet": 2}', "{'quiet': 2}"),
        ('my_prediction = {"quiet": 1 / 3}', 'my_prediction = {"quiet": 1 / 3}'),
        ('my_prediction = {"quiet": 90 %}', 'my_prediction = {"quiet": 90 %}'),
        ('my_prediction = {"quiet": __import__("os").abort()}', None),
        ("my_prediction = {" + "[" * 5_000, None),
        ("about 0.9, I guess", "about 0.9, I guess"),
        ("", ""),
    ],
)
def test_a_prediction_is_read_and_never_run(source, text):
    found = predictions({"cells": [cell("predict", source, "code")]})
    assert found == {"predict": source if text is None else text}


def test_a_prediction_without_its_id_is_found_by_its_name():
    assert predictions({"cells": [cell("", 'my_prediction = {"a": 1}')]}) == {"predict": "{'a': 1}"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nobody_has_answered_or_predicted_in_a_student_notebook(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert predictions(notebook)["predict"] == ""
    assert not any(texts(notebook).values())


def test_the_key_is_no_answer_of_a_student():
    assert texts(release.student_notebook(sample_notebook())) == {"question-1-1": ""}
