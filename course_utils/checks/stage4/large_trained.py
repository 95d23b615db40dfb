"""Check of the large network with lengths: what makes it one that can be trained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from course_utils.checks.agree import agree, gradients_arrive
from course_utils.checks.core import (
    CheckFailed,
    attempt,
    call,
    chance,
    check,
    generator,
    passed,
)
from course_utils.checks.stage4.large_network import HINTS, Large, fill, large_logits, plain

# 4.16 - The large one, with lengths

_ENDS = "zeros behind each end, in the input and behind every layer of self.cnn"


def _frames(n: Tensor, layer: nn.Conv2d) -> Tensor:
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    return (n + 2 * (kernel // 2) - kernel) // stride + 1


def _masked(x: Tensor, n: Tensor, late: int = 0) -> Tensor:
    behind = torch.arange(x.shape[2]) >= n[:, None] + late
    return x.masked_fill(behind[:, None, :, None], 0)


def _packed(rnn: nn.Module, x: Tensor, n: Tensor, ordered: bool = False, **total: int) -> Tensor:
    packed = pack_padded_sequence(x, n, True, enforce_sorted=ordered)
    return pad_packed_sequence(rnn(packed)[0], True, **total)[0]


class _Heard(Large):
    """The network with lengths, and with what `otherwise` does in another way."""

    def __init__(self, otherwise: dict[str, Any], **named: Any):
        super().__init__({}, **named)
        self.otherwise = otherwise

    def forward(self, features: Tensor, lengths: Tensor) -> Any:
        other, given = self.otherwise, lengths
        mask = other.get("mask", lambda x, n, place: _masked(x, n))
        if self.training:
            mask = other.get("mask in training", mask)
        x = other.get("enter", lambda x: x.transpose(1, 2)[:, None])(features)
        x = mask(x, lengths, 0)
        for place, layer in enumerate(self.cnn, start=1):
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                lengths = other.get("lengths", _frames)(lengths, layer)
            x = mask(x, given if "the input's" in other else lengths, place)
        x = other.get("turn", lambda x: x.transpose(1, 2).flatten(2))(x)
        hear = other.get("hear", lambda rnn, x, n: _packed(rnn, x, n, total_length=x.shape[1]))
        head = other.get("head", lambda logits: logits.log_softmax(dim=2))
        give = other.get("give", lambda y, n, given: (y, n))
        return give(head(self.output(hear(self.rnn, x, lengths))), lengths, given)


def _but(**otherwise: Any) -> Callable[..., nn.Module]:
    return partial(_Heard, otherwise)


def _unmasked(*places: int) -> Callable:
    return lambda x, n, place: x if place in places else _masked(x, n)


def _loose(rnn: nn.Module, x: Tensor, n: Tensor) -> Tensor:
    return rnn(x)[0]


_LAYERS = range(1, 9)

HEARD_MISTAKES: dict[str, Callable] = {
    "zeros in train mode, too": _but(**{"mask in training": _unmasked(0, *_LAYERS)}),
    "what stands in the padding of the input is no part of a clip: zeros there, too":
        _but(mask=_unmasked(0)),
    "zeros behind the ends after the first convolution, too: the second one reaches over them":
        _but(mask=_unmasked(*_LAYERS)),
    "packed for the recurrent layers: else their way back starts in the padding":
        _but(hear=_loose),
    "zeros behind the ends: no mask at all": _but(mask=_unmasked(0, *_LAYERS)),
    "neither zeros nor packed sequences: padding reaches the clips":
        _but(mask=_unmasked(0, *_LAYERS), hear=_loose),
    "masks take the lengths that are right there: output_frames at each Conv2d":
        _but(**{"the input's": True}),
    "frame number `length` is behind the end already: frames < lengths stay, without =":
        _but(mask=lambda x, n, place: _masked(x, n, 1)),
    "frame number `length` - 1 is the clip's last: it stays":
        _but(mask=lambda x, n, place: _masked(x, n, -1)),
    "zeros behind the clip's end, not in the clip":
        _but(mask=lambda x, n, place: x - _masked(x, n)),
    "self.cnn takes (batch, 1, frame, band): features.transpose(1, 2)[:, None]":
        _but(enter=lambda x: x[:, None]),
    "bands and frames change places with transpose(1, 2): a reshape mixes them":
        _but(enter=lambda x: x.reshape(len(x), 1, x.shape[2], x.shape[1])),
    "channels and bands side by side with transpose(1, 2).flatten(2): a reshape mixes frames":
        _but(turn=lambda x: x.reshape(len(x), x.shape[2], -1)),
    "channel by channel, its bands side by side: transpose(1, 2).flatten(2)":
        _but(turn=lambda x: x.permute(0, 2, 3, 1).flatten(2)),
    "output_frames for each Conv2d: a length divided by 4 is often wrong by one":
        _but(lengths=lambda n, layer: n // 2),
    "all frames of the convolutions: pad_packed_sequence(..., total_length=x.shape[1])":
        _but(hear=_packed),
    "pack_padded_sequence(..., enforce_sorted=False): clips come in any order": _but(
        hear=lambda rnn, x, n: _packed(rnn, x, n, ordered=True, total_length=x.shape[1])
    ),
    "log_softmax is missing: these are logits": _but(head=lambda logits: logits),
    "log_softmax, not softmax": _but(head=lambda logits: logits.softmax(dim=2)),
    "log_softmax over the symbols, not over the frames":
        _but(head=lambda logits: logits.log_softmax(dim=1)),
    "(batch, frame', symbol): the batch comes first":
        _but(head=lambda logits: logits.log_softmax(dim=2).transpose(0, 1)),
    "return both, for the loss": _but(give=lambda y, n, given: y),
    "lengths behind the convolutions, not those of the features":
        _but(give=lambda y, n, given: (y, given)),
    "the valid frames of each clip, not of the longest":
        _but(give=lambda y, n, given: (y, n.amax().expand(len(n)))),
    "the lengths come back as a torch.Tensor": _but(give=lambda y, n, given: (y, n.tolist())),
    "no torch.no_grad(), .detach() or .data in forward":
        _but(enter=lambda x: x.detach().transpose(1, 2)[:, None], turn=lambda x:
             x.detach().transpose(1, 2).flatten(2)),
}


@check("4.16", HEARD_MISTAKES, hints=HINTS)
def deep_speech_ctc(model_class: Callable) -> None:
    """A clip alone and in a padded batch are the same; in training no padding is heard.

    ``model_class(bands=20, symbols=44, hidden=1024, layers=4, cell=nn.GRU, dropout=0.1)``
    """

    def ask(run: Callable, truth: Callable, cases: list[tuple], otherwise: str, name: str) -> None:
        named = {cause: partial(run, wrong, call=plain) for cause, wrong in HEARD_MISTAKES.items()}
        agree(partial(run, model_class), truth, cases, named, otherwise, 1e-4, name)

    if isinstance(model_class, type) and issubclass(model_class, nn.Module):
        without_layers = model_class.__new__(model_class)  # those are of 4.10, which may be open
        nn.Module.__init__(without_layers)
        with suppress(CheckFailed):
            attempt(model_class.forward, without_layers, None, None)
    sizes = chance(16)
    bands, symbols = sizes.choice([5, 7]), sizes.randint(11, 15)
    small = {"bands": bands, "symbols": symbols, "hidden": sizes.randint(3, 5), "layers": 2}

    def batch(frames: int, *counts: int, training: bool = False, **other: Any) -> tuple:
        """Clips of so many frames, not silent behind their ends nor side by side in memory."""
        named = small | other
        x = torch.randn(frames, named["bands"], len(counts), generator=generator(frames))
        x, lengths = x.permute(2, 1, 0), torch.tensor(counts)
        behind = (torch.arange(frames) >= lengths[:, None])[:, None]
        return named, torch.where(behind, 30 * x, x), lengths, training

    n, m = sizes.randint(41, 46), sizes.randint(27, 34)
    padded = [batch(n, n, m, 9), batch(n + 6, m, n, 1, bands=8, cell=nn.LSTM), batch(m, m - 3)]
    full = [batch(m, m, m)]
    cause = "the valid frames of each clip: output_frames at each Conv2d"
    ask(_lasting, lambda *case: _alone(*case)[1], full + padded, cause, "a length")
    ask(_asked, _alone, full, "self.cnn, transpose, rnn, output, log_softmax", "a log_prob")
    ask(_asked, _alone, full + padded, f"{_ENDS}; packed", "a log_prob of padded clips")
    # Means of the batch may count zeros or not; what stood there before may not matter.
    train = [batch(n, n, m, 9, training=True), batch(m, m, m, training=True)]
    ask(_same, lambda *case: "the same", train, f"{_ENDS}, in train mode, too", "a log_prob")
    named, x, lengths, _ = batch(61, 61, 53)  # long enough for torch's way back
    model = call(model_class, **named)
    cause = "no torch.no_grad(), .detach() or .data in forward"
    gradients_arrive(lambda x: model(x, lengths), [x], model.named_parameters(), cause)
    passed("a clip alone and in a padded batch are the same, in the large network, too")


def _model(model_class: Callable, named: dict[str, Any], call: Callable) -> nn.Module:
    model = call(model_class, **named, dropout=0.0)
    fill((model.cnn, model.rnn, model.output), 8)
    return model


def _asked(
    model_class: Callable, named: dict[str, Any], x: Tensor, lengths: Tensor, training: bool,
    call: Callable = call,
) -> Any:
    """What an answer makes of a batch; behind the ends stands what may."""
    model = _model(model_class, named, call).train(training)
    with torch.no_grad():
        got = call(model, x, lengths)
    if not (isinstance(got, tuple | list) and len(got) == 2):
        return got
    log_probs, out = got
    counts = lengths
    for layer in (layer for layer in model.cnn if isinstance(layer, nn.Conv2d)):
        counts = _frames(counts, layer)
    if log_probs.ndim == 3 and len(log_probs) == len(counts):
        log_probs = _masked(log_probs[:, None], counts)[:, 0]
    return log_probs, out


def _lasting(model_class: Callable, *case: Any, call: Callable = call) -> Any:
    """The lengths that an answer returns, or whatever it returns in place of a pair."""
    got = _asked(model_class, *case, call=call)
    return got[1] if isinstance(got, tuple) and len(got) == 2 else got


def _same(
    model_class: Callable, named: dict[str, Any], x: Tensor, lengths: Tensor, training: bool,
    call: Callable = call,
) -> Any:
    """Whether an answer gives the same where silence stands behind the ends."""
    behind = (torch.arange(x.shape[2]) >= lengths[:, None])[:, None]
    one, other = (
        _asked(model_class, named, given, lengths, training, call=call)
        for given in (x, x.masked_fill(behind, 0))
    )
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return one
    return "the same" if torch.allclose(one[0], other[0], atol=1e-4) else "what padding holds"


def _alone(named: dict[str, Any], x: Tensor, lengths: Tensor, training: bool) -> tuple:
    """The oracle: each clip alone, cut to its frames."""
    rows = []
    for clip, count in zip(x, lengths.tolist(), strict=True):
        alone = clip[None, :, :count].transpose(1, 2)[:, None]
        [row] = large_logits(named, alone, training)[0].log_softmax(dim=2)
        rows.append(row)
    counts = torch.tensor([len(row) for row in rows])
    most = x.shape[2]
    for _ in range(2):
        most = (most - 1) // 2 + 1
    log_probs = torch.zeros(len(rows), most, named["symbols"])
    for row, values in zip(log_probs, rows, strict=True):
        row[: len(values)] = values
    return log_probs.detach(), counts
