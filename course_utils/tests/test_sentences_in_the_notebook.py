"""What the notebook of stage 4 does with sentences that do not fit: counted, said, left out.

Its own cells are run, on clips of noise.
"""

from types import SimpleNamespace

import pytest
import torch

from course_utils import settings
from course_utils.exercises import read

NOTEBOOK = settings.CHECKOUT / "labsolutions" / "04_common_voice_ctc.ipynb"
CELLS = (
    "setup",
    "text-table",
    "ex-4-1",
    "tokens",
    "ex-4-4",
    "batches",
    "ex-4-5",
    "ex-4-8",
    "ex-4-9",
    "layers",
    "ex-4-11",
    "ex-4-12",
    "ex-4-13",
    "write-down",
    "speeds",
)


@pytest.fixture(scope="module")
def notebook():
    """The names that these cells define; without what they do to the corpus."""
    cells = {cell.id: cell.source for cell in read(NOTEBOOK).cells}
    names = {
        "training_texts": 10 * ["Portez ce vieux whisky au juge blond qui fume."],
        "train": [],
        "EVERY_20_MS": [(5, 1), (5, 2)],
        "prepare": lambda waveform, *_: torch.zeros(40, 1 + waveform.shape[1] // 160),
    }
    for name in CELLS:
        source = cells[name]
        if name == "tokens":  # the definitions; what follows is about the corpus
            source = source.split("\n\nprint(")[0]
        exec(compile(source, f"<{name}>", "exec"), names)
    return names


def clip(seconds, tokens):
    return torch.randn(40, round(100 * seconds) + 1), tokens


def test_unknown_letters_and_empty_texts_are_counted_and_named(notebook, capsys):
    part = SimpleNamespace(transcripts=["Ça va ?", "2 ❌", "…", "Œuf"])
    tokens = notebook["tokens_of"](part)
    decode = notebook["charmap"].decode
    assert [decode(one) if one else None for one in tokens] == ["ca va", None, None, "oeuf"]
    told = capsys.readouterr().out
    assert "2 of 4 clips are left out" in told
    assert "❌" in told
    assert "'2': 1" in told
    notebook["tokens_of"](SimpleNamespace(transcripts=["oui", "?!"]))
    assert capsys.readouterr().out == "1 of 2 clips are left out: nothing to say\n"


def test_text_that_does_not_fit_is_counted_and_left_out(notebook, capsys):
    short = clip(0.1, [1, 2, 2, 3])  # 11 frames, 4 after the strides; the double letter needs 5
    items = [clip(1.0, [1, 2, 3]), short, clip(2.0, [5] * 4), clip(0.1, [1, 2, 3])]
    kept = in_copies(notebook, items, speeds=(1.0,))
    assert [len(tokens) for [(_, tokens)] in kept] == [3, 4, 3]
    told = "1 of 4 clips have more text than frames, and are left out of training\n"
    assert capsys.readouterr().out == told
    in_copies(notebook, [items[0], items[2]], speeds=(1.0,))
    assert capsys.readouterr().out == ""


def in_copies(notebook, items, waveforms=(), speeds=(0.5, 1.0, 2.0)):
    part = [SimpleNamespace(waveform=waveform) for waveform in waveforms]
    rows = range(len(items))
    return notebook["in_copies"](part, rows, items, 0, 1, speeds, notebook["LAYERS"])


def test_copies_have_their_speeds_and_a_copy_without_room_is_left_out_alone(notebook, capsys):
    roomy, tight = clip(1.0, [1, 2, 3]), clip(0.3, [1, 2, 3, 4, 5, 6, 7])  # 7 of 11 frames
    kept = in_copies(notebook, [roomy, tight], [torch.randn(1, 16_000), torch.randn(1, 4_800)])
    assert [[features.shape[1] for features, _ in copies] for copies in kept] == [
        [101, 201, 51],
        [31, 61],  # at double speed 16 frames, and 6 answers for 7 letters
    ]
    assert all(
        tokens == item[1]
        for copies, item in zip(kept, (roomy, tight), strict=True)
        for _, tokens in copies
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seconds", [0.02, 0.1, 60.0])
def test_very_short_and_very_long_clips_are_written_down(notebook, seconds):
    torch.manual_seed(0)
    model = notebook["SpeechCTC"](40, len(notebook["charmap"]))
    log_probs = notebook["log_probs_of"](model, [clip(seconds, [1]), clip(1.0, [2])])
    texts = notebook["write_down"](log_probs)
    assert len(texts) == 2
    assert all(isinstance(text, str) for text in texts)
