"""What the notebook of stage 4 builds agrees with brute force and with libraries, at random.

The functions are those of the solution cells. Cases are drawn by hypothesis; where one fails, it
is made as small as possible before it is shown.
"""

import itertools
import math
from collections import Counter
from types import SimpleNamespace

import jiwer
import pytest
import torch
import torch.nn.functional as F
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.checks import stage4 as checks
from course_utils.checks.core import CheckFailed
from course_utils.exercises import exercises, read
from course_utils.settings import CHECKOUT
from course_utils.tests.test_wrong_answers import NEEDED

NOTEBOOK = CHECKOUT / "labsolutions" / "04_common_voice_ctc.ipynb"

#: The same cases in every run, none of them too slow for a busy machine.
FIXED = {"deadline": None, "derandomize": True, "database": None}


@pytest.fixture(scope="module")
def stage():
    """The solutions of stage 4, by name."""
    notebook = read(NOTEBOOK)
    solutions = {exercise.cell("ex") for exercise in exercises(notebook)}
    names = {"__name__": "stage4"}
    for cell in notebook.cells:
        if cell.id in solutions or NEEDED in cell.metadata.get("tags", []):
            exec(compile(cell.source, f"<{cell.id}>", "exec"), names)
    return SimpleNamespace(**names)


@st.composite
def clips(draw, most_frames=5, most_symbols=4, targets=True):
    """Log-probabilities (frame, symbol) in float64, and a target."""
    frames = draw(st.integers(1, most_frames))
    symbols = draw(st.integers(2, most_symbols))
    seed, scale = draw(st.integers(0, 2**32)), draw(st.sampled_from([0.3, 1.0, 4.0]))
    random = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(frames, symbols, generator=random, dtype=torch.float64)
    if not targets:
        return logits
    target = draw(st.lists(st.integers(1, symbols - 1), max_size=frames + 1))
    return logits, target


def torch_loss(log_probs, target):
    return F.ctc_loss(
        log_probs[:, None],
        torch.tensor([target], dtype=torch.int64).reshape(1, -1),
        torch.tensor([len(log_probs)]),
        torch.tensor([len(target)]),
        reduction="sum",
    )


def probabilities(log_probs, collapse):
    """Probability of every text, by going through all paths."""
    found = Counter()
    rows = log_probs.exp().tolist()
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(rows)):
        p = math.prod(row[symbol] for row, symbol in zip(rows, path, strict=True))
        found[tuple(collapse(list(path)))] += p
    return found


# ---------------------------------------------------------------- the loss


@settings(max_examples=300, **FIXED)
@given(clip=clips())
def test_brute_force_forward_algorithm_and_torch_agree(stage, clip):
    logits, target = clip
    log_probs = logits.log_softmax(dim=1)
    by_force = -stage.brute_force(log_probs, target)
    by_hand, by_torch = stage.ctc_loss(log_probs, target), torch_loss(log_probs, target)
    assert by_hand.dtype == torch.float64
    assert by_force == pytest.approx(float(by_torch), abs=1e-9)
    assert float(by_hand) == pytest.approx(float(by_torch), abs=1e-9)


@settings(max_examples=200, **FIXED)
@given(clip=clips(most_frames=9, most_symbols=6))
def test_gradients_are_those_of_torch(stage, clip):
    logits, target = clip
    if stage.frames_needed(target) > len(logits):
        return
    gradients = []
    for loss in (stage.ctc_loss, torch_loss):
        x = logits.clone().requires_grad_()
        loss(x.log_softmax(dim=1), target).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(*gradients, rtol=1e-8, atol=1e-9)


@settings(max_examples=100, **FIXED)
@given(clip=clips(most_frames=4, most_symbols=3))
def test_the_gradient_is_a_difference_quotient(stage, clip):
    logits, target = clip
    if stage.frames_needed(target) > len(logits):
        return
    x = logits.clone().requires_grad_()
    stage.ctc_loss(x.log_softmax(dim=1), target).backward()
    step = 1e-5
    for place in itertools.product(range(len(x)), range(x.shape[1])):
        moved = [logits.clone(), logits.clone()]
        moved[0][place] += step
        moved[1][place] -= step
        high, low = (-stage.brute_force(m.log_softmax(dim=1), target) for m in moved)
        assert float(x.grad[place]) == pytest.approx((high - low) / (2 * step), abs=1e-6)


@settings(max_examples=100, **FIXED)
@given(logits=clips(targets=False))
def test_the_probabilities_of_all_texts_sum_to_one(stage, logits):
    log_probs = logits.log_softmax(dim=1)
    texts = probabilities(log_probs, stage.collapse)
    assert sum(texts.values()) == pytest.approx(1)
    losses = torch.stack([stage.ctc_loss(log_probs, list(text)) for text in texts])
    assert float((-losses).exp().sum()) == pytest.approx(1)


@settings(max_examples=300, **FIXED)
@given(clip=clips(most_frames=8))
def test_a_loss_is_finite_where_the_frames_are_enough(stage, clip):
    logits, target = clip
    log_probs = logits.log_softmax(dim=1)
    enough = stage.frames_needed(target) <= len(logits)
    assert math.isfinite(stage.ctc_loss(log_probs, target)) == enough
    padded = torch.tensor([[*target, 0, 0, 0]])
    fits = stage.feasible(torch.tensor([len(logits)]), padded, torch.tensor([len(target)]))
    assert fits.tolist() == [enough]


@settings(max_examples=30, **FIXED)
@given(seed=st.integers(0, 2**32), length=st.integers(0, 12))
def test_long_clips_agree_with_torch(stage, seed, length):
    random = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(150, 30, generator=random, dtype=torch.float64)
    target = torch.randint(1, 30, (length,), generator=random).tolist()
    log_probs = logits.log_softmax(dim=1)
    expected = float(torch_loss(log_probs, target))
    assert float(stage.ctc_loss(log_probs, target)) == pytest.approx(expected, rel=1e-9)


# ---------------------------------------------------------------- its gradient


@settings(max_examples=300, **FIXED)
@given(clip=clips(most_frames=9, most_symbols=6))
def test_softmax_less_soft_alignment_is_the_gradient_of_both_losses(stage, clip):
    logits, target = clip
    if stage.frames_needed(target) > len(logits):
        return
    log_probs = logits.log_softmax(dim=1)
    soft = stage.soft_alignment(log_probs, target)
    for loss in (stage.ctc_loss, torch_loss):
        x = logits.clone().requires_grad_()
        loss(x.log_softmax(dim=1), target).backward()
        torch.testing.assert_close(log_probs.exp() - soft, x.grad, rtol=1e-8, atol=1e-9)
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(len(soft)).double())


@settings(max_examples=100, **FIXED)
@given(clip=clips(most_frames=5, most_symbols=4))
def test_the_soft_alignment_counts_paths(stage, clip):
    logits, target = clip
    if stage.frames_needed(target) > len(logits):
        return
    log_probs, counted = logits.log_softmax(dim=1), torch.zeros_like(logits)
    for path in itertools.product(range(logits.shape[1]), repeat=len(logits)):
        if stage.collapse(list(path)) == target:
            frames = range(len(path))
            counted[frames, path] += log_probs[frames, path].sum().exp()
    counted /= counted.sum(dim=1, keepdim=True)
    torch.testing.assert_close(stage.soft_alignment(log_probs, target), counted)


# ---------------------------------------------------------------- decoding


@settings(max_examples=150, **FIXED)
@given(logits=clips(targets=False))
def test_a_wide_beam_is_an_exhaustive_search(stage, logits):
    log_probs = logits.log_softmax(dim=1)
    texts = probabilities(log_probs, stage.collapse)
    found = stage.beam_search(log_probs, width=10_000)
    values = {text: math.exp(value) for text, value in found if value > -math.inf}
    assert values.keys() == texts.keys()
    for text, p in texts.items():
        assert values[text] == pytest.approx(p, rel=1e-9)
    assert [value for _, value in found] == sorted((v for _, v in found), reverse=True)


@settings(max_examples=100, **FIXED)
@given(logits=clips(most_frames=4, most_symbols=3, targets=False), seed=st.integers(0, 999))
def test_scores_are_added_once_for_each_letter(stage, logits, seed):
    def score(text, symbol):
        return math.sin(seed + 7 * len(text) + 3 * sum(text) + symbol)

    log_probs = logits.log_softmax(dim=1)
    texts = probabilities(log_probs, stage.collapse)
    found = dict(stage.beam_search(log_probs, 10_000, score))
    for text, p in texts.items():
        more = sum(score(text[:place], symbol) for place, symbol in enumerate(text))
        assert found[text] == pytest.approx(math.log(p) + more)


@settings(max_examples=150, **FIXED)
@given(logits=clips(most_frames=8, targets=False), width=st.integers(1, 6))
def test_a_narrow_beam_never_says_more_than_there_is(stage, logits, width):
    log_probs = logits.log_softmax(dim=1)
    found = stage.beam_search(log_probs, width)
    assert 1 <= len(found) <= width
    assert len({text for text, _ in found}) == len(found)
    for text, value in found:
        if value > -math.inf:
            assert value <= -float(torch_loss(log_probs, list(text))) + 1e-9


@settings(max_examples=200, **FIXED)
@given(batch=st.lists(clips(most_frames=9, most_symbols=2, targets=False), min_size=1, max_size=4))
def test_greedy_is_the_collapsed_best_path(stage, batch):
    lengths = torch.tensor([len(logits) for logits in batch])
    rubbish = torch.randn(len(batch), 12, 2, generator=torch.Generator().manual_seed(1)).double()
    for row, logits in zip(rubbish, batch, strict=True):
        row[: len(logits)] = logits
    expected = [stage.collapse(logits.argmax(dim=1).tolist()) for logits in batch]
    assert stage.greedy(rubbish.log_softmax(dim=2), lengths) == expected


def test_greedy_is_not_always_the_best_text(stage):
    log_probs = torch.tensor([[0.6, 0.4], [0.6, 0.4]]).log()
    assert stage.greedy(log_probs[None], torch.tensor([2])) == [[]]
    (best, value), *_ = stage.beam_search(log_probs, 2)
    assert best == (1,)
    assert value == pytest.approx(math.log(0.64), abs=1e-6)


# ---------------------------------------------------------------- errors and texts

LETTERS = st.text("abc ", max_size=9)
SENTENCES = st.lists(st.sampled_from("un deux trois quatre".split()), min_size=1, max_size=6)


@settings(max_examples=300, **FIXED)
@given(reference=LETTERS, hypothesis=LETTERS)
def test_edit_distances_are_those_of_torchaudio(stage, reference, hypothesis):
    counts = stage.edit_distance(reference, hypothesis)
    assert sum(counts) == torchaudio.functional.edit_distance(reference, hypothesis)
    assert counts[1] - counts[2] == len(hypothesis) - len(reference)
    assert min(counts) >= 0
    swapped = stage.edit_distance(hypothesis, reference)
    assert sum(swapped) == sum(counts)


@settings(max_examples=150, **FIXED)
@given(pairs=st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=4))
def test_error_rates_are_those_of_jiwer(stage, pairs):
    references, hypotheses = (
        [" ".join(words) for words in side] for side in zip(*pairs, strict=True)
    )
    cer = stage.error_rate(references, hypotheses)
    wer = stage.error_rate(references, hypotheses, words=True)
    assert cer == pytest.approx(jiwer.cer(references, hypotheses))
    assert wer == pytest.approx(jiwer.wer(references, hypotheses))


@settings(max_examples=200, **FIXED)
@given(text=st.text(" 'abc", max_size=12))
def test_decoding_undoes_encoding(stage, text):
    charmap = stage.CharMap(" 'abc")
    tokens = charmap.encode(text)
    assert charmap.decode(tokens) == text
    path = [symbol for token in tokens for symbol in (token, token, 0)]
    assert stage.collapse(path) == tokens


@settings(max_examples=200, **FIXED)
@given(text=st.text(max_size=20))
def test_normalising_twice_changes_nothing(stage, text):
    table = {"é": "e", "œ": "oe", "-": " ", "!": ""}
    once = stage.normalise(text, table)
    assert once == once.strip()
    assert "  " not in once
    assert not set(once) & set("œ-!")
    if text.isascii():
        assert stage.normalise(once, table) == once


@settings(max_examples=100, **FIXED)
@given(
    sentences=st.lists(st.lists(st.integers(1, 4), max_size=6), max_size=5),
    history=st.lists(st.integers(1, 4), max_size=5),
    order=st.integers(1, 4),
    weight=st.sampled_from([0.1, 1.0, 5.0]),
)
def test_probabilities_of_a_language_model_sum_to_one(stage, sentences, history, order, weight):
    model = stage.NGram(order, 5, weight)
    model.fit(sentences)
    values = [model.probability(tuple(history), symbol) for symbol in range(1, 5)]
    assert sum(values) == pytest.approx(1)
    assert min(values) > 0
    if order > 1:
        padded = (0,) * order + tuple(history)
        assert model.probability(padded, 1) == pytest.approx(values[0])


# ---------------------------------------------------------------- features and batches


@settings(max_examples=100, **FIXED)
@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=6), seed=st.integers(0, 2**32))
def test_statistics_normalise(stage, counts, seed):
    random = torch.Generator().manual_seed(seed)
    features = [5 + 3 * torch.randn(4, count, generator=random) for count in counts]
    mean, std = stage.statistics(iter(features))
    frames = torch.cat(features, dim=1).double()
    torch.testing.assert_close(mean.double(), frames.mean(dim=1, keepdim=True), atol=1e-5, rtol=0)
    expected = frames.std(dim=1, keepdim=True, correction=0)
    torch.testing.assert_close(std.double(), expected, atol=1e-5, rtol=0)


@settings(max_examples=100, **FIXED)
@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    bands=st.integers(0, 4),
    frames=st.integers(0, 30),
    seed=st.integers(0, 2**32),
)
def test_masks_stay_inside_their_clips(stage, counts, bands, frames, seed):
    features = torch.rand(len(counts), 6, 20) + 1
    before = features.clone()
    random = torch.Generator().manual_seed(seed)
    masked = stage.spec_augment(features, torch.tensor(counts), bands, frames, random)
    assert torch.equal(features, before)
    for clip, old, count in zip(masked, before, counts, strict=True):
        assert torch.equal(clip[:, count:], old[:, count:])
        rows = (clip[:, :count] == 0).all(dim=1)
        columns = (clip[:, :count] == 0).all(dim=0)
        assert int(rows.sum()) <= bands
        assert int(columns.sum()) <= min(frames, count // 2)
        assert torch.equal(clip[:, :count] == 0, rows[:, None] | columns)


@settings(max_examples=100, **FIXED)
@given(
    frames=st.integers(1, 400),
    layers=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), max_size=4),
)
def test_lengths_are_those_of_convolutions(stage, frames, layers):
    x = torch.zeros(1, 1, frames)
    for kernel, stride in layers:
        x = F.conv1d(x, torch.zeros(1, 1, kernel), stride=stride, padding=kernel // 2)
    assert stage.output_frames(frames, layers) == x.shape[2]
    lengths = torch.tensor([frames, frames])
    assert stage.output_frames(lengths, layers).tolist() == [x.shape[2]] * 2


@settings(max_examples=20, **FIXED)
@given(counts=st.lists(st.integers(6, 40), min_size=1, max_size=5), seed=st.integers(0, 2**32))
def test_a_clip_alone_and_in_a_batch_are_the_same(stage, counts, seed):
    random = torch.Generator().manual_seed(seed)
    model = stage.SpeechCTC(7, 5, channels=6, hidden=4).eval()
    features = 9 * torch.randn(len(counts), 7, 45, generator=random)
    with torch.no_grad():
        log_probs, lengths = model(features, torch.tensor(counts))
        for row, count in enumerate(counts):
            alone, (own,) = model(features[row : row + 1, :, :count], torch.tensor([count]))
            assert own == lengths[row]
            torch.testing.assert_close(log_probs[row, :own], alone[0], atol=1e-5, rtol=0)


# ---------------------------------------------------------------- the checks


def solutions(stage):
    return {
        checks.char_map: (stage.normalise, stage.CharMap),
        checks.statistics: (stage.statistics,),
        checks.spec_augment: (stage.spec_augment,),
        checks.collate_sequences: (stage.collate,),
        checks.collapse: (stage.collapse,),
        checks.brute_force: (stage.brute_force,),
        checks.ctc_loss: (stage.ctc_loss,),
        checks.feasible: (stage.frames_needed, stage.feasible),
        checks.output_frames: (stage.output_frames,),
        checks.deep_speech: (stage.DeepSpeech,),
        checks.speech_ctc: (stage.SpeechCTC,),
        checks.edit_distance: (stage.edit_distance, stage.error_rate),
        checks.greedy: (stage.greedy,),
        checks.beam_search: (stage.beam_search,),
        checks.ngram: (stage.NGram,),
    }


def test_checks_neither_need_nor_move_the_random_state(stage, capsys):
    for seed in (0, 1, 2):  # initial weights come from torch's state: none may be rejected
        for check, answers in solutions(stage).items():
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            check(*answers)
            assert torch.equal(before, torch.get_rng_state()), check.__name__
            printed = capsys.readouterr()
            assert printed.out.startswith("Passed: ")
            assert printed.out.count("\n") == 1
            assert printed.err == ""


NONSENSE = {
    "what it was given": lambda *given, **named: given[0],
    "an empty tensor": lambda *given, **named: torch.zeros(0),
    "not a number": lambda *given, **named: torch.full((4, 4), torch.nan),
    "NaN": lambda *given, **named: math.nan,
    "words": lambda *given, **named: "words",
    "an empty list": lambda *given, **named: [],
    "nothing": lambda *given, **named: None,
    "an error": lambda *given, **named: 1 / 0,
    "pairs": lambda *given, **named: (torch.zeros(2), torch.zeros(2)),
    "four": lambda *given, **named: (torch.zeros(2),) * 4,
    "ragged": lambda *given, **named: [[1], [2, 3], []],
}


@pytest.mark.parametrize("number", range(15))
@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_rejected_in_words(stage, number, answer):
    check, answers = list(solutions(stage).items())[number]
    wrong = [[*answers[:place], answer, *answers[place + 1 :]] for place in range(len(answers))]
    for given_answers in wrong:
        with pytest.raises(CheckFailed, match=r"(?s)expected .*, got .*; likely cause: "):
            check(*given_answers)
