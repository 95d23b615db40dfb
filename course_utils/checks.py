"""What the check cells call: one line when an answer is right, and else what is wrong and why.

A check compares an answer with an *independent* oracle: plain Python arithmetic, a closed form,
a table worked by hand. It is silent but for one line. A wrong answer raises an AssertionError
whose first line reads *expected, got, likely cause*.

Stuck? `load_reference` runs the reference solution of one exercise in its place, so that you can
go on; `restore_stub` gives you the empty exercise back.

Notebook: 01_speech_commands_mlp.ipynb
"""

from __future__ import annotations

import math
import re
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from course_utils import settings

# ---------------------------------------------------------------- saying what is wrong


class CheckFailed(AssertionError):
    """An answer is not right. A notebook shows its message, and not the insides of the check."""

    def _render_traceback_(self) -> list[str]:  # IPython asks an exception for this
        lines = []
        if self.__cause__ is not None:  # an error in the answer itself: there the lines help
            lines = traceback.format_exception(self.__cause__)
            own = [line for line in lines if Path(__file__).name not in line]
            lines = [part for line in own for part in line.rstrip("\n").split("\n")]
        return [*lines, f"AssertionError: {self}"]


def fail(expected: Any, got: Any, cause: str) -> None:
    """Raise the AssertionError that every check raises.

    Examples
    --------
    >>> fail("(2, 1)", "(1, 2)", "the axes are swapped")
    Traceback (most recent call last):
    course_utils.checks.CheckFailed: expected (2, 1), got (1, 2); likely cause: the axes are swapped
    """
    raise CheckFailed(f"expected {expected}, got {got}; likely cause: {cause}")


def passed(what: str) -> None:
    """Print the one line of a check that passed."""
    print(f"Passed: {what}")


def call(function: Callable, *arguments: Any, **named: Any) -> Any:
    """Call an answer; an error inside it becomes a failed check that names the error.

    The NotImplementedError of an exercise that is not filled in passes through.
    """
    try:
        return function(*arguments, **named)
    except NotImplementedError:
        raise
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise CheckFailed(
            f"expected {name} to return, got {type(error).__name__}: {error}; "
            "likely cause: the line of your code that the traceback above points at"
        ) from error


def same_shape(got: Any, expected: tuple[int, ...], cause: str) -> None:
    """Fail unless `got` is a tensor of this shape."""
    import torch

    if not isinstance(got, torch.Tensor):
        fail(f"a tensor of shape {expected}", f"{type(got).__name__}", cause)
    if tuple(got.shape) != tuple(expected):
        fail(f"shape {tuple(expected)}", f"shape {tuple(got.shape)}", cause)


def same_dtype(got: Any, expected: Any, cause: str) -> None:
    """Fail unless the tensor `got` has this dtype."""
    if got.dtype != expected:
        fail(expected, got.dtype, cause)


def close(got: Any, expected: Any, cause: str, tolerance: float = 1e-5) -> None:
    """Fail unless the numbers or tensors agree to `tolerance`, relative to the largest."""
    import torch

    got_values = torch.as_tensor(got, dtype=torch.float64)
    expected_values = torch.as_tensor(expected, dtype=torch.float64)
    same_shape(got_values, tuple(expected_values.shape), cause)
    error = (got_values - expected_values).abs()
    allowed = tolerance * max(1.0, float(expected_values.abs().max()))
    if bool((error <= allowed).all()):  # a NaN is not <= anything, so it fails, too
        return
    worst = int(torch.where(error.isnan(), math.inf, error).argmax())
    place = "" if expected_values.ndim == 0 else f" at position {worst} of the flattened result"
    fail(
        f"{float(expected_values.flatten()[worst]):.6g}{place}",
        f"{float(got_values.flatten()[worst]):.6g}",
        cause,
    )


def _generator(seed: int):
    import torch

    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- data


def fit_to_length(answer: Callable) -> None:
    """``answer(waveform (channel, time), samples) -> (channel, samples)``."""
    import torch

    # Sizes are small and all different, so that swapped axes or a fixed 16,000 cannot pass.
    cases = [(1, 7, 12), (1, 12, 7), (2, 5, 9), (3, 9, 5), (1, 6, 6), (1, 0, 4), (1, 1, 16_000)]
    for channels, time, samples in cases:
        clip = torch.rand(channels, time, generator=_generator(time)) + 1
        before = clip.clone()
        got = call(answer, clip, samples)
        shape_cause = "pad or cut the last dimension only, to the length that was asked for"
        same_shape(got, (channels, samples), shape_cause)
        same_dtype(got, torch.float32, "the zeros that you add must have the waveform's dtype")
        for channel in range(channels):
            kept = before[channel].tolist()[:samples]
            expected = kept + [0.0] * (samples - len(kept))
            values = got[channel].tolist()
            if values != expected:
                if any(math.isnan(value) for value in values):
                    cause = "new memory was not set to zero (torch.empty holds anything)"
                elif time < samples and values[: len(kept)] != kept:
                    cause = "the zeros belong at the end, so that the word stays where it was"
                elif time < samples:
                    cause = "the clip is to be filled up with zeros, not repeated or mirrored"
                else:
                    cause = "cut the end of the clip, not its start"
                fail(_short(expected), _short(values), cause)
        if not torch.equal(clip, before):
            fail("the clip unchanged", "a changed clip", "work on a copy, not in place")
    passed(f"clips of {', '.join(str(case[1]) for case in cases)} samples were padded or cut")


def _short(values: list[float], most: int = 8) -> str:
    text = ", ".join(f"{value:.3g}" for value in values[:most])
    return f"[{text}{', ...' if len(values) > most else ''}]"


def vocabulary(
    make_vocabulary: Callable, words_to_indices: Callable, indices_to_words: Callable
) -> None:
    """Three answers: the sorted list of words, words to indices, indices to words."""
    import torch

    spoken = "yes no up yes down no stop yes".split()
    expected = ["down", "no", "stop", "up", "yes"]
    for order in (spoken, spoken[::-1], sorted(spoken)):
        got = call(make_vocabulary, list(order))
        if list(got) != expected:
            fail(
                expected,
                got,
                "sort the words and keep each once: an order that depends on the data gives "
                "each subset other labels",
            )
    words = ["stop", "yes", "down", "yes"]
    indices = call(words_to_indices, words, expected)
    same_shape(indices, (4,), "one index a word")
    same_dtype(indices, torch.int64, "torch's losses take class indices as int64 (torch.long)")
    if indices.tolist() != [2, 4, 0, 4]:
        fail([2, 4, 0, 4], indices.tolist(), "an index is the word's position in the vocabulary")
    back = call(indices_to_words, torch.tensor([2, 4, 0, 4]), expected)
    if list(back) != words:
        fail(words, back, "each index picks the word at that position; return plain strings")
    try:
        answer = words_to_indices(["stop", "banana"], expected)
    except (KeyError, ValueError):
        passed("5 words, there and back; an unknown word is an error")
        return
    fail(
        "a KeyError or ValueError for the unknown word 'banana'",
        answer,
        "a silent default labels an unknown word as some other word",
    )


def collate(answer: Callable) -> None:
    """``answer(items, vocabulary) -> waveforms (batch, 1, 16000), labels (batch,)``."""
    import torch

    words = ["bed", "cat", "dog"]
    lengths = [16_000, 9_000, 1, 12_345, 16_000]
    said = ["dog", "bed", "dog", "cat", "bed"]
    items = [
        (torch.rand(1, length, generator=_generator(length)), 16_000, word, "3d9200b9", take)
        for take, (length, word) in enumerate(zip(lengths, said, strict=True))
    ]
    result = call(answer, items, words)
    if not (isinstance(result, tuple | list) and len(result) == 2):
        fail("(waveforms, labels)", type(result).__name__, "return two tensors")
    waveforms, labels = result
    same_shape(waveforms, (5, 1, 16_000), "stack along a new first dimension and keep the channel")
    same_dtype(waveforms, torch.float32, "waveforms are float32")
    same_shape(labels, (5,), "one label a clip")
    same_dtype(labels, torch.int64, "class indices are int64 (torch.long)")
    if labels.tolist() != [2, 0, 2, 1, 0]:
        fail([2, 0, 2, 1, 0], labels.tolist(), "look up the word (field 2), not another field")
    for row, (item, length) in enumerate(zip(items, lengths, strict=True)):
        if not torch.equal(waveforms[row, 0, :length], item[0][0]):
            fail(f"clip {row} at row {row}", "other samples", "keep the order of the items")
        if bool(waveforms[row, 0, length:].any()):
            fail("zeros after the clip", "something else", "pad with zeros at the end")
    passed("5 clips of unequal length became (5, 1, 16000) and (5,)")


def split_by_speaker(answer: Callable) -> None:
    """``answer(speakers, test_share, seed) -> is_test`` (one bool a clip)."""
    import numpy as np

    random = np.random.default_rng(3)
    for count, share, expected_tests in ((20, 0.25, 5), (6, 1 / 6, 1), (50, 0.1, 5)):
        names = [f"{number:08x}" for number in random.permutation(10_000)[:count]]
        # Speakers talk for unequal lengths, and their clips are not in one block.
        speakers = random.permutation(np.repeat(names, random.integers(1, 9, size=count)))
        is_test = np.asarray(call(answer, speakers, share, 0))
        if is_test.shape != speakers.shape or is_test.dtype != bool:
            fail(
                f"{len(speakers)} booleans, one a clip",
                f"{is_test.dtype} of shape {is_test.shape}",
                "return an array that says for each clip whether it is for testing",
            )
        shared = set(speakers[is_test]) & set(speakers[~is_test])
        if shared:
            fail(
                "no speaker on both sides",
                f"{len(shared)} of {count}",
                "clips were drawn; draw speakers, and take all clips of each",
            )
        tests = len(set(speakers[is_test]))
        if tests != expected_tests:
            fail(
                f"{expected_tests} of {count} speakers for testing",
                tests,
                "round test_share times the number of speakers, not of clips",
            )
        if not np.array_equal(is_test, np.asarray(answer(speakers, share, 0))):
            fail("the same split for the same seed", "another", "seed your own generator")
        splits = {tuple(np.asarray(answer(speakers, share, seed))) for seed in range(8)}
        if len(splits) < 3:
            fail(
                "other splits for other seeds",
                f"{len(splits)} splits in 8",
                "the seed is not used, or speakers are taken in order",
            )
    passed("no speaker is on both sides, in splits of 6, 20 and 50 speakers")


# ---------------------------------------------------------------- model and loss


def mlp(model_class: Callable) -> None:
    """``model_class(classes)``: 16000-128-64-classes on ``(batch, 1, 16000)``."""
    import torch

    expected_counts = {35: 2_058_659, 10: 2_057_034}
    for classes, parameters in expected_counts.items():
        model = call(model_class, classes)
        got = sum(parameter.numel() for parameter in model.parameters())
        if got != parameters:
            fail(
                f"{parameters:,} parameters for {classes} classes",
                f"{got:,}",
                "three linear layers with bias: 16000 to 128, 128 to 64, 64 to the classes",
            )
    waveforms = torch.randn(3, 1, 16_000, generator=_generator(0))
    with torch.no_grad():
        logits = call(model, waveforms)
        same_shape(logits, (3, 10), "flatten (batch, 1, 16000) to (batch, 16000) first")
        # The oracle: the same weights, multiplied out by hand.
        tensors = list(model.state_dict().values())
        activation = waveforms[:, 0]
        for layer, (weight, bias) in enumerate(zip(tensors[::2], tensors[1::2], strict=True)):
            activation = activation @ weight.T + bias
            if layer < 2:
                activation = activation.clamp(min=0)
        if torch.allclose(logits.exp().sum(dim=1), torch.ones(3), atol=1e-4):
            fail(
                "logits",
                "log-probabilities",
                "the loss applies log-softmax; the model returns what the last layer gives",
            )
        close(
            logits,
            activation,
            "a ReLU after the first and the second layer, and none after the last",
            1e-4,
        )
    passed("2,058,659 parameters for 35 words, and the layers compute what they should")


def log_softmax_and_nll(log_softmax: Callable, nll_loss: Callable) -> None:
    """``log_softmax(logits (batch, classes))`` and ``nll_loss(log_probs, labels (batch,))``."""
    import torch

    logits = 3 * torch.randn(4, 7, generator=_generator(1), dtype=torch.float64)
    logits[0, 0] = 0.0
    # The oracle: exp and log of plain Python numbers, one row at a time.
    expected = [
        [value - math.log(math.fsum(math.exp(other) for other in row)) for value in row]
        for row in logits.tolist()
    ]
    got = call(log_softmax, logits.clone())
    same_shape(got, (4, 7), "one value a class, as in the logits")
    sums = got.exp().sum(dim=1)
    if not torch.allclose(sums, torch.ones(4, dtype=torch.float64), atol=1e-6):
        fail(
            "probabilities of each clip that sum to 1",
            f"sums {_short(sums.tolist())}",
            "sum over the classes (dim=1, keepdim=True), not over the batch",
        )
    close(got, expected, "logit minus the log of the sum of exponentials", 1e-9)
    huge = torch.tensor([[1000.0, 0.0, -1000.0]], dtype=torch.float64)
    close(
        call(log_softmax, huge),
        [[0.0, -1000.0, -2000.0]],
        "exp(1000) is infinite: subtract the largest logit of each row first",
    )
    labels = torch.tensor([2, 0, 6, 2])
    by_hand = -math.fsum(expected[row][label] for row, label in enumerate(labels.tolist())) / 4
    loss = call(nll_loss, torch.tensor(expected, dtype=torch.float64), labels)
    same_shape(torch.as_tensor(loss), (), "the loss is one number: the mean over the batch")
    if math.isclose(float(loss), -by_hand, rel_tol=1e-6):
        fail(f"{by_hand:.6g}", f"{float(loss):.6g}", "the minus is missing: a loss is minimised")
    if math.isclose(float(loss), 4 * by_hand, rel_tol=1e-6):
        fail(f"{by_hand:.6g}", f"{float(loss):.6g}", "the mean over the batch, not the sum")
    close(loss, by_hand, "pick one value a row: the one at the row's label", 1e-9)
    close(
        nll_loss(log_softmax(logits), labels),
        torch.nn.functional.cross_entropy(logits, labels),
        "your two functions together are torch's cross_entropy",
        1e-9,
    )
    passed("equal to arithmetic by hand and to torch's cross_entropy, also at logits of 1000")


# ---------------------------------------------------------------- training


def training_step(answer: Callable) -> None:
    """``answer(model, optimiser, waveforms, labels) -> float``, the loss before the step."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    features = torch.randn(6, 5, generator=_generator(2), dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 2, 0, 1])
    one_hot = torch.eye(3, dtype=torch.float64)[labels]

    class Watched(nn.Module):
        """A linear model that remembers in which mode it was called."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 3, dtype=torch.float64)
            self.modes = []

        def forward(self, x):
            self.modes.append(self.training)
            return self.linear(x)

    model = Watched().eval()  # as an evaluation before would have left it
    rate = 0.5
    optimiser = torch.optim.SGD(model.parameters(), rate)
    weight, bias = (parameter.detach().clone() for parameter in model.linear.parameters())
    for step in range(3):
        # The oracle: the closed form of the gradient of softmax regression.
        probabilities = torch.softmax(features @ weight.T + bias, dim=1)
        expected_loss = -(one_hot * probabilities.log()).sum(dim=1).mean()
        error = (probabilities - one_hot) / len(labels)
        weight = weight - rate * error.T @ features
        bias = bias - rate * error.sum(dim=0)
        loss = call(answer, model, optimiser, features, labels)
        if not isinstance(loss, float):
            fail("a float", type(loss).__name__, "return loss.item(): a tensor keeps its graph")
        if not all(model.modes):
            fail("train mode", "eval mode", "call model.train() first: an evaluation came before")
        close(loss, expected_loss, "cross entropy of the logits, before the step", 1e-9)
        moved = model.linear.weight.detach()
        if step == 0 and torch.equal(moved, moved.new_tensor(0).expand_as(moved)):
            fail("weights", "zeros", "the weights were overwritten")
        cause = (
            "backward fills .grad, then the optimiser's step uses it: is one missing, or is the "
            "order wrong?"
            if step == 0
            else "gradients add up from step to step: empty them with optimiser.zero_grad()"
        )
        close(moved, weight, cause, 1e-9)
        close(model.linear.bias.detach(), bias, cause, 1e-9)
    passed("three steps move the weights as the closed form says")


def evaluate(answer: Callable) -> None:
    """``answer(model, waveforms, labels, batch_size) -> (loss, accuracy)``."""
    import torch
    from torch import nn

    class Watched(nn.Module):
        """Returns its input as logits; with noise in train mode; remembers how it was called."""

        def __init__(self):
            super().__init__()
            self.modes, self.gradients, self.sizes = [], [], []

        def forward(self, x):
            self.modes.append(self.training)
            self.gradients.append(torch.is_grad_enabled())
            self.sizes.append(len(x))
            return x + 50 * torch.randn_like(x) if self.training else x

    torch.manual_seed(0)
    logits = 2 * torch.randn(7, 4, generator=_generator(5), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    rows = logits.tolist()
    # The oracle: plain Python, one clip at a time.
    losses = [
        math.log(math.fsum(math.exp(v) for v in row)) - row[label]
        for row, label in zip(rows, labels.tolist(), strict=True)
    ]
    right = sum(
        row.index(max(row)) == label for row, label in zip(rows, labels.tolist(), strict=True)
    )
    for batch_size in (7, 3, 100):
        model = Watched().train()
        result = call(answer, model, logits, labels, batch_size)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(loss, accuracy)", type(result).__name__, "return two numbers")
        loss, accuracy = result
        if any(model.modes):
            fail("eval mode", "train mode", "call model.eval() first: dropout must be off")
        if any(model.gradients):
            fail(
                "no gradients",
                "gradients recorded",
                "wrap the loop in torch.no_grad() (or inference_mode): memory and time are lost",
            )
        if max(model.sizes) > batch_size:
            fail(f"batches of {batch_size}", max(model.sizes), "the whole set may not fit: slice")
        if sum(model.sizes) != 7:
            fail("each of 7 clips once", sum(model.sizes), "the last, smaller batch counts, too")
        if not (isinstance(loss, float) and isinstance(accuracy, float)):
            fail("two floats", f"{type(loss).__name__}, {type(accuracy).__name__}", "use .item()")
        close(accuracy, right / 7, "correct clips divided by all clips, a fraction", 1e-9)
        close(
            loss,
            math.fsum(losses) / 7,
            "the last batch is smaller: add up sums over clips and divide once at the end",
            1e-9,
        )
    passed("loss and accuracy of 7 clips in batches of 7, 3 and 100")


def overfit_one_batch(answer: Callable) -> None:
    """``answer(model, waveforms, labels, steps, learning_rate) -> list of losses``."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    waveforms = torch.randn(12, 1, 40, generator=_generator(8))
    labels = torch.arange(12) % 5
    model = nn.Sequential(nn.Flatten(), nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 5))
    with torch.no_grad():
        start = float(nn.functional.cross_entropy(model(waveforms), labels))
    losses = call(answer, model, waveforms, labels, 60, 0.01)
    if not isinstance(losses, list) or len(losses) != 60:
        got = f"{len(losses)} values" if isinstance(losses, list) else type(losses).__name__
        fail("a list of 60 losses", got, "append the loss of every step, and return the list")
    if not math.isclose(losses[0], start, rel_tol=1e-4):
        fail(
            f"a first loss of {start:.4f}, that of the model as it came",
            f"{losses[0]:.4f}",
            "train the model that was given, on the whole batch, from where it is",
        )
    with torch.no_grad():
        end = float(nn.functional.cross_entropy(model(waveforms), labels))
    # Measured with Adam over 20 seeds: the loss after 60 steps lies between 0.004 and 0.017.
    if not end < 0.1:
        fail(
            "a loss under 0.1 after 60 steps",
            f"{end:.3f}",
            "one Adam optimiser for all steps, with the learning rate that was given",
        )
    with torch.no_grad():
        fresh = nn.Sequential(nn.Flatten(), nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 5))
    slow = call(answer, fresh, waveforms, labels, 5, 1e-7)
    if abs(slow[-1] - slow[0]) > 0.01:
        fail(
            "almost no change at a learning rate of 0.0000001",
            f"from {slow[0]:.3f} to {slow[-1]:.3f}",
            "the argument learning_rate is not used",
        )
    passed(f"the loss fell from {losses[0]:.2f} to almost nothing in 60 steps")


class _Trap:
    """Unpickling it raises: stands for a checkpoint that carries code."""

    def __reduce__(self):
        return _spring, ()


def _spring():
    _sprung.append(True)


_sprung: list[bool] = []


def save_and_load(save_weights: Callable, load_weights: Callable) -> None:
    """``save_weights(model, path)`` and ``load_weights(model, path)``."""
    import torch
    from torch import nn

    def make_model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))

    torch.manual_seed(0)
    model, other = make_model(), make_model()
    model(torch.randn(8, 6))  # the running statistics of batch norm are state, too
    x = torch.randn(5, 6, generator=_generator(4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        call(save_weights, model, path)
        if not path.is_file():
            fail(f"a file {path.name}", "none", "torch.save(what, path) writes the file")
        try:
            state = torch.load(path, weights_only=True)
        except Exception:
            fail(
                "a file of tensors only",
                "a pickle of Python objects",
                "save model.state_dict(), not the model: a pickle can run code when it is opened",
            )
        expected_keys = list(model.state_dict())
        if list(state) != expected_keys:
            fail(expected_keys, list(state), "save the whole state_dict, not parameters() alone")
        call(load_weights, other, path)
        model.eval()
        other.eval()
        with torch.no_grad():
            close(other(x), model(x), "model.load_state_dict(...) puts the tensors in place", 0.0)
        torch.save(_Trap(), path)
        _sprung.clear()
        try:
            load_weights(other, path)
        except Exception:
            if _sprung:
                fail("no code run", "code from the file was run", "pass weights_only=True")
        else:
            fail("an error for a file that carries code", "none", "pass weights_only=True")
        torch.save(nn.Linear(6, 4).state_dict(), path)
        try:
            load_weights(other, path)
        except Exception:
            pass
        else:
            fail(
                "an error for another model's weights",
                "none",
                "strict=False skips what does not fit, and leaves random weights",
            )
    passed("the loaded model predicts the same, and a file that carries code is refused")


# ---------------------------------------------------------------- when a student is stuck

_references: set[str] = set()


def references() -> list[str]:
    """Ids of the exercises whose reference was loaded; the results table marks them."""
    return sorted(_references)


def load_reference(exercise: str) -> None:
    """Run the reference solution of an exercise, such as ``"1.3"``, in place of your own.

    Raises
    ------
    FileNotFoundError, KeyError
        The notebook of solutions is not there; there is no such exercise.
    """
    shell = _shell()
    shell.run_cell(_exercise(exercise).solution, store_history=False).raise_error()
    _references.add(exercise)
    print(f"The reference of exercise {exercise} is loaded; the results table will say so.")


def restore_stub(exercise: str) -> None:
    """Put the empty stub of an exercise into this cell, to start it again.

    The stub is made from the solution: your notebook's own file holds what you have written.
    """
    shell = _shell()
    shell.set_next_input(_exercise(exercise).stub, replace=True)
    _references.discard(exercise)


def _shell():
    from IPython import get_ipython

    shell = get_ipython()
    if shell is None:
        raise RuntimeError("This works in a notebook only.")
    return shell


def _exercise(exercise: str):
    """What the notebook of solutions holds of an exercise."""
    from course_utils.instructor.notebooks import exercises, read

    if not (isinstance(exercise, str) and re.fullmatch(r"\d+\.\d+", exercise)):
        raise KeyError(f"There is no exercise {exercise!r}: write stage and number, as in '1.3'.")
    stage = int(exercise.split(".")[0])
    files = sorted((settings.CHECKOUT / "labsolutions").glob(f"{stage:02d}_*.ipynb"))
    if not files:
        raise FileNotFoundError(
            f"There is no notebook of stage {stage} in labsolutions/. Ask your instructor for it."
        )
    found = {item.id: item for item in exercises(read(files[0]))}
    if exercise not in found:
        raise KeyError(f"There is no exercise {exercise}; stage {stage} has {', '.join(found)}.")
    return found[exercise]
