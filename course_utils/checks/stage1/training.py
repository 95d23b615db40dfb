"""Checks of a model, its loss, a training step, an evaluation, a checkpoint."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.checks.core import (
    Watched,
    are_logits,
    attempt,
    call,
    close,
    fail,
    generator,
    passed,
    same_shape,
    short,
)

# 1.4 - The multilayer perceptron


def mlp(model_class: Callable) -> None:
    """Parameters as counted by hand, and logits as three multiplications by hand.

    ``model_class(classes, inputs=16000)``: inputs-128-64-classes on ``(batch, 1, inputs)``
    """
    for sizes, parameters in (((35,), 2_058_659), ((10,), 2_057_034), ((10, 24), 12_106)):
        model = call(model_class, *sizes)
        got = sum(parameter.numel() for parameter in model.parameters())
        if got != parameters:
            if got == 0:
                cause = "layers in a Python list are not registered; nn.Sequential registers them"
            elif len(sizes) == 2:
                cause = "the first layer takes as many numbers as the argument inputs says"
            else:
                cause = "three linear layers with bias: inputs to 128, 128 to 64, 64 to the classes"
            sizes_in_words = " and ".join(
                f"{n} {name}" for n, name in zip(sizes, ("classes", "inputs"), strict=False)
            )
            fail(f"{parameters:,} parameters for {sizes_in_words}", f"{got:,}", cause)
    waveforms = torch.randn(3, 1, 24, generator=generator(0))
    with torch.no_grad():
        logits = call(model, waveforms)
        same_shape(logits, (3, 10), "flatten (batch, 1, inputs) to (batch, inputs) first")
        are_logits(logits, "the loss applies log-softmax; return what the last layer gives")
        # The oracle: the same weights, found by their size and multiplied out by hand.
        found = {parameter.numel(): parameter for parameter in model.parameters()}
        activation = waveforms[:, 0]
        for fan_in, fan_out in pairwise((24, 128, 64, 10)):
            weight = found[fan_in * fan_out]
            weight = weight if weight.shape == (fan_in, fan_out) else weight.T
            activation = activation @ weight + found[fan_out].flatten()
            if fan_out > 10:
                activation = activation.clamp(min=0)
        cause = "a ReLU after the first and the second layer, none after the last, nothing else"
        close(logits, activation, cause, 1e-4, "a logit")
        alone = call(model, waveforms[:1])
        cause = "a batch of one clip is a batch, too: flatten(1) keeps it, squeeze() drops it"
        same_shape(alone, (1, 10), cause)
    passed("2,058,659 parameters for 35 words, and the layers compute what they should")


# 1.5 - From logits to a loss


def log_softmax_and_nll(log_softmax: Callable, nll_loss: Callable) -> None:
    """Equal to arithmetic in plain Python, also for large logits.

    ``log_softmax(logits (batch, classes))`` and ``nll_loss(log_probs, labels (batch,))``
    """
    logits = 3 * torch.randn(4, 7, generator=generator(1), dtype=torch.float64)
    # The oracle: exp and log of plain Python numbers, one row at a time.
    expected = [
        [value - math.log(math.fsum(math.exp(other) for other in row)) for value in row]
        for row in logits.tolist()
    ]
    given = logits.clone()
    got = call(log_softmax, given)
    same_shape(got, (4, 7), "one value a class, as in the logits")
    if not torch.equal(given, logits):
        cause = "`logits -= ...` works in place: use a new name"
        fail("the logits unchanged", "changed logits", cause)
    got = got.double()
    if _all_one(got.sum(dim=1)):
        fail("log-probabilities", "probabilities", "the log is missing")
    if not _all_one(got.exp().sum(dim=1)):
        if _all_one(got.exp().sum(dim=0)):
            cause = "sum over the classes (dim=1, keepdim=True), not over the batch"
        elif _all_one(got.exp().sum()):
            cause = "sum over the classes of each clip (dim=1, keepdim=True), not over everything"
        else:
            cause = "z - log(sum(exp(z))), where both z are the same, shifted or not"
        sums = short(got.exp().sum(dim=1).tolist())
        fail("probabilities of each clip that sum to 1", f"sums {sums}", cause)
    cause = "what you subtract must be the same for all logits of a clip: its own maximum (dim=1)"
    close(got, expected, cause, 1e-6, "a log-probability")
    # The maximum of the second row is far from that of the first.
    huge = torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, -1000.0, -1000.0]], dtype=torch.float64)
    cause = (
        "exp(1000) is infinite, exp(-1000) is zero: subtract the largest logit of each clip first"
    )
    third = -math.log(3)
    if bool(call(log_softmax, huge.clone())[0].isneginf().any()):
        cause = (
            "exp(-1000) is zero, and so is p: do not take the log of p, but z - log(sum(exp(z)))"
        )
    close(
        call(log_softmax, huge),
        [[0.0, -1000.0, -2000.0], [third] * 3],
        cause,
        1e-6,
        "a log-probability",
    )

    labels = torch.tensor([2, 0, 5, 2])
    by_hand = -math.fsum(expected[row][label] for row, label in enumerate(labels.tolist())) / 4
    loss = call(nll_loss, torch.tensor(expected, dtype=torch.float64), labels)
    if isinstance(loss, float):
        fail("a tensor", "float", "return the tensor, without .item(): a float has no gradient")
    same_shape(loss, (), "the loss is one number: the mean over the batch")
    for wrong, cause in (
        (-by_hand, "the minus is missing: a loss is minimised"),
        (4 * by_hand, "the mean over the batch, not the sum"),
        (4 * by_hand / 7, "divide by the number of clips, not of classes"),
    ):
        if math.isclose(float(loss), wrong, rel_tol=1e-6):
            fail(f"a loss of {by_hand:.6g}", f"{float(loss):.6g}", cause)
    close(
        loss, by_hand, "pick one value a row as it is: the one at the row's label", 1e-6, "a loss"
    )
    both = call(nll_loss, call(log_softmax, logits), labels)
    cause = "your two functions together are torch's cross_entropy"
    close(both, F.cross_entropy(logits, labels), cause, 1e-6, "a loss")
    passed("equal to arithmetic by hand, also at logits of 1000")


def _all_one(values: Tensor) -> bool:
    return bool(((values - 1).abs() < 1e-5).all())


# 1.6 - One training step


def training_step(answer: Callable) -> None:
    """The weights move as the closed form of the gradient says.

    ``answer(model, optimiser, waveforms, labels) -> float``, the loss before the step
    """
    torch.manual_seed(0)
    features = torch.randn(6, 5, generator=generator(2), dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 2, 0, 1])
    one_hot = torch.eye(3, dtype=torch.float64)[labels]

    model = Watched(
        nn.Linear(5, 3, dtype=torch.float64)
    ).eval()  # as an evaluation before would have left it
    rate = 0.5
    optimiser = torch.optim.SGD(model.parameters(), rate)
    weight, bias = (parameter.detach().clone() for parameter in model.layer.parameters())
    for step in range(3):
        # The oracle: the closed form of the gradient of softmax regression.
        probabilities = torch.softmax(features @ weight.T + bias, dim=1)
        expected_loss = -(one_hot * probabilities.log()).sum(dim=1).mean()
        error = (probabilities - one_hot) / len(labels)
        weight = weight - rate * error.T @ features
        bias = bias - rate * error.sum(dim=0)
        before = model.layer.weight.detach().clone()
        loss = call(answer, model, optimiser, features, labels)
        if not isinstance(loss, float):
            fail("a float", type(loss).__name__, "return loss.item(): a tensor keeps its graph")
        if not all(training for training, _, _ in model.calls):
            fail("train mode", "eval mode", "call model.train() first: an evaluation came before")
        cause = "F.cross_entropy(logits, labels), of the logits as they come, before the step"
        close(loss, expected_loss, cause, 1e-9, "a loss")
        if torch.equal(model.layer.weight, before):
            cause = "zero_grad, backward, step: is one not called, or in another place?"
            fail("moved weights", "weights that did not move", cause)
        cause = (
            "one step of the optimiser that was given, with the gradients of this batch alone"
            if step == 0
            else "gradients add up from step to step: empty them with optimiser.zero_grad()"
        )
        close(model.layer.weight, weight, cause, 1e-9, "a weight")
        close(model.layer.bias, bias, cause, 1e-9, "a bias")
    passed("three steps move the weights as the closed form says")


# 1.7 - Evaluation


def evaluate(answer: Callable) -> None:
    """Loss and accuracy over all clips, in eval mode, without gradients, batch by batch.

    ``answer(model, waveforms, labels, batch_size) -> (loss, accuracy)``
    """

    class Noisy(nn.Module):
        """Returns its input as logits; with noise in train mode."""

        def __init__(self):
            super().__init__()
            self.factor = nn.Parameter(torch.ones((), dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.factor + (50 * torch.randn_like(x) if self.training else 0)

    torch.manual_seed(0)
    logits = 2 * torch.randn(7, 4, generator=generator(5), dtype=torch.float64)
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
        model = Watched(Noisy()).train()
        result = call(answer, model, logits, labels, batch_size)
        if not (isinstance(result, tuple | list) and len(result) == 2):
            fail("(loss, accuracy)", type(result).__name__, "return two numbers")
        loss, accuracy = result
        if any(training for training, _, _ in model.calls):
            fail("eval mode", "train mode", "call model.eval() first: dropout must be off")
        if any(gradients for _, gradients, _ in model.calls):
            cause = "wrap the loop in torch.no_grad() (or inference_mode): memory and time are lost"
            fail("no gradients", "gradients recorded", cause)
        if max(model.sizes, default=0) > batch_size:
            cause = "the whole set may not fit into memory: slice waveforms and labels"
            fail(f"batches of {batch_size}", f"one of {max(model.sizes)}", cause)
        if sum(model.sizes) != 7:
            cause = "range(0, clips, batch_size) reaches the last, smaller batch, too"
            fail("each of 7 clips once", f"{sum(model.sizes)} clips", cause)
        if not (isinstance(loss, float) and isinstance(accuracy, float)):
            got = f"{type(loss).__name__} and {type(accuracy).__name__}"
            fail(
                "two floats", got, "use .item() on tensors, and / to divide by the number of clips"
            )
        if batch_size < 7:  # right in one batch, and wrong in three
            cause = "the last batch is smaller: add up sums over clips and divide once at the end"
            loss_cause = accuracy_cause = cause
        else:
            accuracy_cause = (
                "argmax over the classes (dim=1); a share of right answers, from 0 to 1"
            )
            loss_cause = (
                "cross entropy of the logits as they come, averaged over the clips once: "
                "F.cross_entropy has the mean of a batch already, unless you say reduction='sum'"
            )
        if math.isclose(loss, right / 7, rel_tol=1e-6):
            fail("(loss, accuracy)", "(accuracy, loss)", "the order of the two results")
        close(accuracy, right / 7, accuracy_cause, 1e-6, "an accuracy")
        close(loss, math.fsum(losses) / 7, loss_cause, 1e-6, "a loss")
    passed("loss and accuracy of 7 clips in batches of 7, 3 and 100")


# 1.8 - Overfit one batch


def overfit_one_batch(answer: Callable) -> None:
    """The losses are those of Adam on one batch, with the gradient in closed form.

    ``answer(model, waveforms, labels, steps, learning_rate) -> list of losses``
    """
    torch.manual_seed(0)
    steps, rate = 60, 0.02
    waveforms = torch.randn(12, 1, 40, generator=generator(8), dtype=torch.float64)
    labels = torch.arange(12) % 5
    model = nn.Sequential(nn.Flatten(), nn.Linear(40, 5, dtype=torch.float64))
    weights = torch.cat([model[1].weight, model[1].bias[:, None]], dim=1).detach()
    expected = _adam_losses(waveforms[:, 0], labels, weights, steps, rate)
    losses = call(answer, model, waveforms, labels, steps, rate)
    if not isinstance(losses, list) or len(losses) != steps:
        count = f" of {len(losses)}" if isinstance(losses, list) else ""
        cause = "append the loss of every step, and return the list after the loop"
        fail(f"a list of {steps} losses", type(losses).__name__ + count, cause)
    if not all(isinstance(loss, float) for loss in losses):
        fail("floats", type(losses[0]).__name__, "training_step returns a float: append that")

    def follows(curve: list[float]) -> bool:
        return all(math.isclose(a, b, rel_tol=1e-5) for a, b in zip(losses, curve, strict=False))

    if not math.isclose(losses[0], expected[0], rel_tol=1e-5):
        fail(
            f"a first loss of {expected[0]:.4f}, that of the model as it came",
            f"{losses[0]:.4f}",
            "train the model that was given, on all clips, from where it is; losses before steps",
        )
    if not follows(expected):
        if losses[0] == losses[-1]:
            cause = "the model does not learn: call training_step in the loop"
        elif follows(_adam_losses(waveforms[:, 0], labels, weights, steps, rate, restart=True)):
            cause = "make the optimiser once, before the loop: it remembers earlier gradients"
        elif follows(_adam_losses(waveforms[:, 0], labels, weights, steps, 1e-3)):
            cause = "the argument learning_rate is not used: Adam(..., lr=learning_rate)"
        else:
            cause = "one torch.optim.Adam with lr=learning_rate, and all clips in every step"
        fail(f"a loss of {expected[-2]:.3g} in the last step", f"{losses[-1]:.3g}", cause)
    with torch.no_grad():
        end = float(F.cross_entropy(model(waveforms), labels))
    close(end, expected[-1], "train the model that was given, not a copy", 1e-5, "a last loss")
    passed(f"the loss fell from {losses[0]:.2f} to {losses[-1]:.2f} in 60 steps, as Adam's should")


def _adam_losses(
    x: Tensor, labels: Tensor, weights: Tensor, steps: int, rate: float, restart: bool = False
) -> list[float]:
    """Losses of softmax regression before each step of Adam, and after the last one.

    Algorithm 1 of Kingma and Ba, "Adam: a method for stochastic optimization" (2015), with the
    gradient in closed form; with `restart`, an Adam that is made anew for every step.
    """
    x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)  # for the bias
    one_hot = torch.eye(len(weights), dtype=x.dtype)[labels]
    mean, square, losses = 0.0, 0.0, []
    for step in range(1, steps + 2):
        probabilities = torch.softmax(x @ weights.T, dim=1)
        losses.append(float(-(one_hot * probabilities.log()).sum(dim=1).mean()))
        gradient = (probabilities - one_hot).T @ x / len(x)
        if restart:
            step, mean, square = 1, 0.0, 0.0
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = (square / (1 - 0.999**step)).sqrt() + 1e-8
        weights = weights - rate * mean / (1 - 0.9**step) / size
    return losses


# 1.9 - Save and load


def save_and_load(save_weights: Callable, load_weights: Callable) -> None:
    """The loaded model predicts the same; a file that carries code is refused.

    ``save_weights(model, path)`` and ``load_weights(model, path)``
    """

    def make_model() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))

    torch.manual_seed(0)
    model, other = make_model(), make_model()
    model(torch.randn(8, 6))  # the running statistics of batch norm are state, too
    x = torch.randn(5, 6, generator=generator(4))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pt"
        attempt(save_weights, model, path)
        if not path.is_file():
            cause = "torch.save(what, path) writes the file, under the name that was given"
            fail(f"a file {path.name}", "none", cause)
        try:
            state = torch.load(path, weights_only=True)
        except Exception:
            fail(
                "a file of tensors only",
                "a pickle of Python objects",
                "save model.state_dict(), not the model: a pickle can run code when it is opened",
            )
        expected_keys = list(model.state_dict())
        if not isinstance(state, dict) or list(state) != expected_keys:
            got = list(state) if isinstance(state, dict) else type(state).__name__
            cause = "save what model.state_dict() returns, whole and as it is"
            fail(f"the {len(expected_keys)} entries of the state dict", got, cause)
        attempt(load_weights, other, path)
        model.eval()
        other.eval()
        with torch.no_grad():
            cause = "hand the whole state dict to model.load_state_dict(...)"
            close(other(x), model(x), cause, 0.0, "an output")
        # A file from a computer with more GPUs than any reader has.
        with mock.patch("torch.serialization.location_tag", lambda storage: "cuda:99"):
            torch.save(state, path)
        try:
            load_weights(other, path)
        except Exception as error:
            cause = "torch.load puts tensors on the device they were saved from: pass map_location"
            fail("weights that were saved on a GPU to be loaded", type(error).__name__, cause)
        torch.save(_Trap(), path)
        _sprung.clear()
        try:
            load_weights(other, path)
            got = "none"
        except Exception as error:
            got = type(error).__name__
        if _sprung:
            fail("no code run", "code from the file was run", "pass weights_only=True")
        if got == "none":
            fail("an error for a file without weights", "none", "do not catch errors here")
        torch.save(nn.Linear(6, 4).state_dict(), path)
        try:
            load_weights(other, path)
        except Exception:
            pass
        else:
            cause = "strict=False skips what does not fit, and leaves random weights"
            fail("an error for another model's weights", "none", cause)
    passed("the loaded model predicts the same, and a file that carries code is refused")


class _Trap:
    """Unpickling it raises: stands for a checkpoint that carries code."""

    def __reduce__(self):
        return _spring, ()


def _spring():
    _sprung.append(True)


_sprung: list[bool] = []
