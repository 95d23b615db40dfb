"""Paths, trellis, forward table, beams, learning by heart: what is drawn, and its words."""

import itertools
import math

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt

from course_utils import plotting, rates, transcripts
from course_utils.plotting.base import figure_of, taken_notes
from course_utils.plotting.paths import places

RATE = 16000


@pytest.fixture(autouse=True)
def close():
    plt.close("all")
    yield
    plt.close("all")


def said(drawn) -> str:
    """What a plot has noted in words on its figure."""
    return taken_notes(figure_of(drawn))


def merged(path):
    return "".join(symbol for symbol, _ in itertools.groupby(path) if symbol != "-")


def test_paths_are_boxes_and_must_be_of_one_length():
    ax = plotting.paths(["oo-i", "-o-i"], "oi")
    assert [text.get_text() for text in ax.texts] == [*"oo-i", *"-o-i"]
    assert said(ax) == "2 paths of 4 frames that all say oi: o o - i, - o - i."
    with pytest.raises(ValueError, match="one length"):
        plotting.paths(["o", "oo"], "o")


@pytest.mark.parametrize("word", ["oui", "allo", "a", "aa"])
def test_a_path_ends_in_the_last_letter_or_in_the_blank_behind_it(word):
    for path in itertools.product(["-", *sorted(set(word))], repeat=5):
        if merged(path) == word:
            stands = places(path)
            assert stands[-1] in (2 * len(word) - 1, 2 * len(word))
            assert all(step in (0, 1, 2) for step in np.diff(stands))
            names = f"-{''.join(f'{letter}-' for letter in word)}"
            assert [names[place] for place in stands] == list(path)


def test_a_trellis_colours_one_path_and_writes_it_under_the_axis():
    paths = [p for p in itertools.product("-lo", repeat=5) if merged(p) == "llo"]
    ax = plotting.trellis(paths, "llo", "l-llo")
    assert len(ax.lines) == len(paths) + 1
    assert [tick.get_text().split("\n")[1] for tick in ax.get_xticklabels()] == list("l-llo")
    assert "never that between l and l. In colour: l - l l o." in said(ax)
    with pytest.raises(ValueError, match="'lllll' is not one of"):
        plotting.trellis(paths, "llo", "lllll")


def torch_loss(log_probs, target):
    sizes = torch.tensor([len(log_probs)]), torch.tensor([len(target)])
    targets = torch.tensor([target], dtype=torch.int64).reshape(1, -1)
    loss = torch.nn.functional.ctc_loss(log_probs[:, None], targets, *sizes, reduction="sum")
    return loss if loss < 1e29 else loss.new_tensor(math.inf)


def test_the_forward_table_is_found_by_asking_a_loss():
    frames = torch.tensor([[0.2, 0.7, 0.1], [0.3, 0.4, 0.3], [0.2, 0.1, 0.7]], dtype=torch.float64)
    values = plotting.forward_values(torch_loss, frames.log(), [1, 2])
    by_hand = [
        [0.2, 0.06, 0.012],
        [0.7, 0.36, 0.042],
        [0, 0.21, 0.114],
        [0, 0.21, 0.546],
        [0, 0, 0.042],
    ]
    np.testing.assert_allclose(values, by_hand, atol=1e-12)
    ax = plotting.forward_table(values, "ab")
    assert "5 places by 3 frames" in said(ax)
    assert [text.get_text() for text in ax.texts][3:6] == ["0.700", "0.360", "0.042"]
    with pytest.raises(ValueError, match="'abc' has 7 places, but the table has 5 rows"):
        plotting.forward_table(values, "abc")


def test_a_beam_is_a_tree_of_texts():
    steps = [[((), 0.0)], [((), math.log(0.6)), ((1,), math.log(0.4))], [((1,), math.log(0.64))]]
    ax = plotting.prefix_tree(steps, "-a")
    assert len(ax.lines) == 4  # () to () and a; then () and a to a
    assert said(ax) == (
        "A beam that grows: before: (nothing) 1.00; after frame 0: (nothing) 0.60, a 0.40; "
        "after frame 1: a 0.64."
    )


def test_learning_by_heart_in_two_curves_and_in_pictures():
    text = said(plotting.learning_by_heart([4.0, 1.0], [1.0, 0.25]))
    assert text == (
        "2 steps: the loss goes from 4.0 to 1.000. The share of blank frames starts at 100%, is "
        "above 95 % at 1 steps and ends at 25%."
    )
    even = torch.full((4, 3), 1 / 3).log()
    sure = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05]] * 2).log()
    axes = plotting.learning_to_write({0: even, 50: sure}, ["-", "a", "b"], 0.03)
    assert [ax.get_title() for ax in axes] == ["Step 0", "Step 50"]
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == ["blank", "a"]
    text = said(axes)
    assert "wins in 100% at step 0, 50% at step 50; the best path is then 'aa'." in text
    assert axes[0].figure.axes[-1].get_ylabel() == "Probability"


def test_hidden_parts_are_counted_without_the_padding():
    versions = torch.ones(2, 4, 6)
    versions[0, 1] = 0
    versions[1, :, 2:4] = 0
    versions[:, :, 5] = 0
    text = said(plotting.hidden_parts(versions, 5, 0.01))
    assert "Hidden in version 1: 1 bands and 0 of 5 frames" in text
    assert "Hidden in version 2: 0 bands and 2 of 5 frames" in text


def test_words_are_cut_behind_their_spaces(capsys):
    clip = torch.sin(torch.arange(RATE) / 20)[None] / 2
    spans = [("o", 0.1, 0.3, 0.9), (" ", 0.3, 0.5, 0.8), ("n", 0.5, 0.9, 0.7)]
    pieces = plotting.aligned_words(clip, RATE, spans, "o n")
    assert [word for _, word in pieces] == ["o", "n"]
    assert [len(samples) for samples, _ in pieces] == [RATE // 2, RATE // 2]


def test_rates_of_speakers():
    speakers = rates.by_speaker(["a", "b", "a", "c"], [1, 0, 3, 2], [10, 20, 10, 20])
    assert speakers == {"a": (4, 20), "b": (0, 20), "c": (2, 20)}
    assert "from 0.0 to 20.0 %, half of them below 10.0 %; all together 10.0 %" in said(
        plotting.rates_by_speaker(speakers)
    )
    low, high = rates.bootstrap(speakers)
    assert 0 <= low < 0.1 < high <= 0.2
    assert rates.bootstrap(speakers) == (low, high)
    assert rates.share_of_worst(speakers, 1) == pytest.approx(4 / 6)
    assert rates.share_of_worst({"b": (0, 20)}, 1) == 0


def test_transcripts_without_one_known_text_are_refused():
    with pytest.raises(ValueError, match="no text of these 2 clips is made of 'ab' alone"):
        transcripts.encoded(["12", ""], "ab", list)
    assert transcripts.repeated("e ", ["oui", ""]) == ["e e", ""]


def test_torchaudio_writes_what_is_sure():
    pytest.importorskip("flashlight.lib.text")
    path = torch.tensor([0, 2, 2, 1, 3, 0])
    clip = torch.full((6, 4), 0.01).scatter(1, path[:, None], 0.97).log()
    assert list(transcripts.by_torchaudio([clip], " ab", 4)) == ["a b"]
