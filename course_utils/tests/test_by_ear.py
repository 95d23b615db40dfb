"""A person listens: clips one by one, a score at the end, and what becomes of it."""

import pytest
import torch

from course_utils.interactive import ByEar


def ear(said=("yes", "no", "up"), done=None):
    clips = [0.1 * torch.ones(1, 400 + number) for number in range(len(said))]
    return ByEar(clips, said, ["no", "up", "yes"], 8000, done)


def answer(widget, word):
    widget.heard.value = word
    widget.next.click()


def test_one_clip_after_the_other_and_the_true_words_stay_hidden():
    widget = ear()
    assert widget.words.startswith("Clip 1 of 3.") and widget.page.count("<audio") == 1
    widget.next.click()  # nothing is chosen yet
    assert widget.answers == []
    answer(widget, "yes")
    assert widget.words.startswith("Clip 2 of 3.") and widget.heard.value == ""
    assert "said" not in widget.page


def test_the_score_comes_at_the_end_with_what_was_missed():
    kept = []
    widget = ear(done=lambda right: kept.append(right) or "It stands in the table.")
    for word in ("yes", "up", "up"):
        answer(widget, word)
    assert kept == [[True, False, True]]
    assert widget.words.startswith("2 of 3 right. It stands in the table.")
    assert "said no, you heard up" in widget.page and widget.page.count("<audio") == 1
    widget.heard.value = "no"
    widget.next.click()  # too late
    assert len(widget.answers) == 3 and len(kept) == 1


def test_a_score_that_cannot_be_kept_is_shown_all_the_same():
    def fail(right):
        raise OSError("the disk is full")

    widget = ear(said=["yes"], done=fail)
    answer(widget, "yes")
    assert widget.words.startswith("1 of 1 right. The score was not kept.")
    assert "the disk is full" in widget.words


@pytest.mark.parametrize("said", [[], ["yes", "perhaps"]])
def test_words_that_cannot_be_chosen_are_refused(said):
    with pytest.raises(ValueError, match="to choose from"):
        ear(said=said)
