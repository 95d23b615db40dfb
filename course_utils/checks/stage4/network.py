"""Checks of the network that listens to sentences, and does not see its padding."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from course_utils.checks.agree import agree, gradients_arrive, same
from course_utils.checks.core import call, chance, check, generator, holds, passed
from course_utils.checks.stage4.large_network import HINTS, averages, fill, plain

# 4.11 - A model that does not see its padding

#: What stands behind a clip's end in the last step. Finite, so that an answer which multiplies with
#: its mask is right, too.
_GARBAGE = 1e6
_PADDED = "zeros behind each end, in the input and after every ReLU, whatever stood there"

_LAYERS = [(5, 1), (5, 3)]


def _frames(n: Tensor, layer: tuple[int, int]) -> Tensor:
    kernel, stride = layer
    return (n + 2 * (kernel // 2) - kernel) // stride + 1


def _through(n: Tensor, layers: list) -> Tensor:
    for layer in layers:
        n = _frames(n, layer)
    return n


def _masked(x: Tensor, n: Tensor, late: int = 0) -> Tensor:
    return x.masked_fill((torch.arange(x.shape[2]) >= n[:, None] + late)[:, None], 0)


def _packed(rnn: nn.Module, x: Tensor, n: Tensor, **total: int) -> Tensor:
    packed = pack_padded_sequence(x, n, True, enforce_sorted=False)
    return pad_packed_sequence(rnn(packed)[0], True, **total)[0]


class _Small(nn.Module):
    """The network, with what `wrong` does otherwise."""

    def __init__(
        self, wrong: dict[str, Any], bands: int, symbols: int, channels: int = 96,
        hidden: int = 128, layers: list = _LAYERS, dropout: float = 0.0,
    ):
        super().__init__()
        channels, hidden, self.layers, dropout = (
            wrong.get(name, value)
            for name, value in (
                ("channels", channels), ("hidden", hidden), ("layers", layers), ("p", dropout),
            )
        )
        self.wrong, self.convolutions = wrong, wrong.get("holder", nn.ModuleList)()
        block = wrong.get("block", lambda c, width: [c, nn.BatchNorm1d(width), nn.ReLU()])
        for number, (kernel, stride) in enumerate(self.layers):
            options = {"stride": stride, "padding": kernel // 2} | wrong.get("conv", {})
            convolution = nn.Conv1d(channels if number else bands, channels, kernel, **options)
            self.convolutions.append(nn.Sequential(*block(convolution, channels)))
        both = {"batch_first": True, "bidirectional": True} | wrong.get("rnn", {})
        self.rnn = wrong.get("cell", nn.GRU)(channels, hidden, **both)
        states = hidden * (1 + self.rnn.bidirectional)
        self.more = nn.Linear(states, states) if wrong.get("more") else nn.Identity()
        self.output, self.dropout = nn.Linear(states, symbols), dropout

    def forward(self, features: Tensor, lengths: Tensor) -> Any:
        wrong, given = self.wrong, lengths
        mask = wrong.get("mask", lambda x, n, number: _masked(x, n))
        early, late = wrong.get("training masks", (mask, mask)), wrong.get("lengths", _frames)
        mask = early[self.training]
        x = mask(features, lengths, 0)
        for number, (convolution, layer) in enumerate(
            zip(self.convolutions, self.layers, strict=True), start=1
        ):
            lengths = late(lengths, layer)
            x = mask(convolution(x), given if wrong.get("masks of the input") else lengths, number)
        turn = wrong.get("turn", lambda x: x.transpose(1, 2))
        hear = wrong.get("hear", lambda rnn, x, n: _packed(rnn, x, n, total_length=x.shape[1]))
        count = given if "packs the input's" in wrong else lengths
        states = self.more(hear(self.rnn, turn(x), count))
        drop = wrong.get("drop", lambda x, p, training: F.dropout(x, p, training))
        logits = self.output(drop(states, self.dropout, self.training))
        log_probs = wrong.get("head", lambda logits: logits.log_softmax(dim=2))(logits)
        return wrong.get("give", lambda y, n, given, layers: (y, n))(
            log_probs, lengths, given, self.layers
        )


def _small(**wrong: Any) -> Callable[..., nn.Module]:
    return partial(_Small, wrong)


class _Still(nn.BatchNorm1d):
    """Does in train mode what it does in eval mode."""

    def forward(self, x: Tensor) -> Tensor:
        numbers = self.running_mean, self.running_var, self.weight, self.bias
        return F.batch_norm(x, *numbers, training=False)


def _unmasked(*numbers: int) -> Callable:
    return lambda x, n, number: x if number in numbers else _masked(x, n)


def _loose(rnn: nn.Module, x: Tensor, n: Tensor) -> Tensor:
    return rnn(x)[0]


def _sorted(y: Tensor, n: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    order = n.argsort(descending=True, stable=True)
    return y[order], n[order]


_ALL = range(1, 9)

SMALL_MISTAKES: dict[str, Callable] = {
    # of the layers
    "the convolutions have a bias": _small(conv={"bias": False}),
    "every convolution is padded: padding=kernel // 2": _small(conv={"padding": 0}),
    "an nn.BatchNorm1d(channels) behind each convolution":
        _small(block=lambda c, width: [c, nn.ReLU()]),
    "a plain list hides its layers from parameters(), and from the optimiser: nn.ModuleList":
        _small(holder=list),
    "a ReLU behind each batch norm": _small(block=lambda c, width: [c, nn.BatchNorm1d(width)]),
    "convolution, batch norm, ReLU: in this order":
        _small(block=lambda c, width: [c, nn.ReLU(), nn.BatchNorm1d(width)]),
    "nn.BatchNorm1d(channels) as it is: momentum=0.1":
        _small(block=lambda c, width: [c, nn.BatchNorm1d(width, momentum=1.0), nn.ReLU()]),
    "in train mode a batch norm takes the averages of the batch, and keeps count of them":
        _small(block=lambda c, width: [c, _Still(width), nn.ReLU()]),
    "layers is an argument: use it": _small(layers=_LAYERS),
    "the number of channels is an argument: use it": _small(channels=96),
    "the size of the hidden state is an argument: use it": _small(hidden=128),
    "self.rnn = nn.GRU(...)": _small(cell=nn.LSTM),
    "one recurrent layer": _small(rnn={"num_layers": 2}),
    "the network hears both directions: bidirectional=True": _small(rnn={"bidirectional": False}),
    "nn.GRU takes (frame, batch, feature) unless it has batch_first=True":
        _small(rnn={"batch_first": False}, hear=_loose),
    "convolutions, batch norms, rnn and output are all: no further layers": _small(more=True),
    # of the masks
    "what stands in the padding is no part of a clip: zeros there, too": _small(mask=_unmasked(0)),
    "zeros behind the valid frames: no mask at all": _small(mask=_unmasked(0, *_ALL)),
    "the mask is missing after the convolutions: biases fill the padding":
        _small(mask=_unmasked(*_ALL)),
    "the mask is missing after convolution 1: the next one sees its padding":
        _small(mask=_unmasked(1)),
    "the mask is missing after convolution 2: the next one sees its padding":
        _small(mask=_unmasked(2)),
    "masks take the lengths that are right there: output_frames after each layer":
        _small(**{"masks of the input": True}),
    "zeros behind the clip's end, not in the clip: frames < lengths stay":
        _small(mask=lambda x, n, number: x - _masked(x, n)),
    "frame number `length` is behind the end already: frames < lengths stay, without =":
        _small(mask=lambda x, n, number: _masked(x, n, 1)),
    "frame number `length` - 1 is the clip's last: it stays":
        _small(mask=lambda x, n, number: _masked(x, n, -1)),
    "masks in train mode, too": _small(**{"training masks": (_unmasked(), lambda x, n, number: x)}),
    "the GRU runs over packed sequences: else its way back starts in the padding":
        _small(hear=_loose),
    "masks are there, packed sequences are missing": _small(mask=_unmasked(*_ALL[1:]), hear=_loose),
    "the lengths that go on are those behind the convolutions: output_frames(lengths, layers)":
        _small(**{"packs the input's": True}),
    "neither masks nor packed sequences: padding reaches the clips":
        _small(mask=_unmasked(0, *_ALL), hear=_loose),
    "all frames of the convolutions: pad_packed_sequence(..., total_length=x.shape[2])":
        _small(hear=_packed),
    "pack_padded_sequence(..., enforce_sorted=False): clips come in any order": _small(
        hear=lambda rnn, x, n: pad_packed_sequence(
            rnn(pack_padded_sequence(x, n, True))[0], True, total_length=x.shape[1]
        )[0]
    ),
    # of what comes back
    "swap the axes with transpose(1, 2): a reshape mixes frames and channels":
        _small(turn=lambda x: x.reshape(len(x), x.shape[2], -1)),
    "log_softmax is missing: these are logits": _small(head=lambda logits: logits),
    "log_softmax, not softmax": _small(head=lambda logits: logits.softmax(dim=2)),
    "log_softmax over the symbols, not over the frames":
        _small(head=lambda logits: logits.log_softmax(dim=1)),
    "log_softmax over the symbols, not over the batch":
        _small(head=lambda logits: logits.log_softmax(dim=0)),
    "symbols come last: (batch, frame', symbol)":
        _small(head=lambda logits: logits.log_softmax(dim=2).transpose(1, 2)),
    "the batch comes first: batch_first=True":
        _small(head=lambda logits: logits.log_softmax(dim=2).transpose(0, 1)),
    "return both, for the loss": _small(give=lambda y, n, *_: y),
    "the lengths come back as a torch.Tensor": _small(give=lambda y, n, *_: (y, n.tolist())),
    "lengths are int64: output_frames(lengths, layers)":
        _small(give=lambda y, n, *_: (y, n.float())),
    "lengths behind the convolutions: output_frames(lengths, layers)":
        _small(give=lambda y, n, given, layers: (y, given)),
    "output_frames(lengths, layers): T // stride drops the last frame":
        _small(lengths=lambda n, layer: n // layer[1]),
    "the valid frames of each clip, not of the longest":
        _small(give=lambda y, n, *_: (y, n.amax().expand(len(n)))),
    "all the layers count":
        _small(give=lambda y, n, given, layers: (y, _through(given, layers[:1]))),
    "the lengths of the clips in their own order: the sorting is not undone": _small(give=_sorted),
    "the clips come back in another order: undo the sorting by length": _small(
        give=lambda y, n, *_: (_sorted(y, n)[0], n)
    ),
    # of dropout, and of the way back
    "the share that is dropped is an argument, 0 if nothing is said": _small(p=0.1),
    "nn.Dropout(dropout) in front of the linear layer: the argument is not used": _small(p=0.0),
    "dropout in training only: nn.Dropout, or training=self.training":
        _small(drop=lambda x, p, training: F.dropout(x, p)),
    "dropout is the share that is dropped, not the share that stays":
        _small(drop=lambda x, p, training: F.dropout(x, 1 - p, training) if p else x),
    "every layer is used in forward, and no tensor is detached":
        _small(turn=lambda x: x.detach().transpose(1, 2)),
}


@check("4.11", SMALL_MISTAKES, hints=HINTS)
def speech_ctc(model_class: Callable) -> None:
    """Lengths are exact, and a clip alone and in a padded batch are the same.

    ``model_class(bands, symbols, channels=96, hidden=128, layers=LAYERS, dropout=0.0)``
    """

    def ask(run: Callable, truth: Callable, cases: list[tuple], otherwise: str, name: str) -> None:
        named = {cause: partial(run, wrong, call=plain) for cause, wrong in SMALL_MISTAKES.items()}
        agree(partial(run, model_class), truth, cases, named, otherwise, 1e-4, name)

    sizes, default = chance(11), _default_layers(model_class)
    kinds = {"rnn": nn.GRU, "output": nn.Linear}
    holds(call(model_class, 40, 29), kinds, "self.{name} = nn.{kind}(...)")
    bands, symbols = sizes.sample(range(6, 11), 2)
    small = {"channels": 5, "hidden": sizes.choice([3, 4]), "layers": [(3, 2), (4, 1)]}
    wide = {"channels": sizes.choice([6, 7]), "layers": [(7, 1), (3, 2), (5, 2)]}
    tried = [(40, 31, {}), (bands, symbols, small), (bands + 1, symbols + 9, wide)]
    tried = [(*sizes, {"layers": default} | named) for *sizes, named in tried]
    for part, (_, otherwise) in _PARTS.items():
        cases = [(part, *case) for case in tried[part != "the network" :]]
        ask(_counted, _numbers, cases, otherwise, "parameters")

    shape = {"bands": 9, "symbols": 14, "channels": 5, "hidden": 4}
    stacks = [[(5, 1), (5, 3)], [(5, 3), (5, 1)], [(3, 2), (4, 1)], [(3, 1), (5, 2), (3, 1)]]

    def batch(layers: list | None, frames: int, *counts: int, training: bool = False) -> tuple:
        random = generator(frames)
        # Neither side by side in memory, nor silent behind the clips' ends.
        x = torch.randn(frames, 9, len(counts), generator=random).permute(2, 1, 0)
        lengths = torch.tensor(counts)
        named = shape | ({} if layers is None else {"layers": layers})
        return named, x + 30 * (x - _masked(x, lengths)), lengths, training

    n, m = sizes.sample(range(15, 23), 2)
    otherwise = (
        "zeros behind the valid frames: of the input, and after each convolution; then GRU over "
        "packed sequences, linear, log_softmax"
    )
    full = [batch(layers, n, n, n) for layers in (stacks[0], [(3, 1)], [(3, 2), (5, 2)])]
    padded = [batch(stacks[0], 23, 14, 23, 2, sizes.randint(5, 12)), batch(stacks[2], m, 5)]
    padded += [batch(stacks[1], 31, 12, 25, 2), batch(stacks[3], 25, 25, 9), batch(None, m, m, 7)]
    padded += [batch([(5, 1), (3, 1), (5, 1)], 27, 27, 6, 15, 11)]
    answer = partial(_heard, default=default)
    cause = "the valid frames of each clip, for any layers: output_frames(lengths, layers)"
    ask(_lasting, lambda *case: answer(*case)[1], [*full, *padded], cause, "a length")
    ask(_asked, answer, full, otherwise, "a log_prob of clips of full length")
    ask(_asked, answer, [full[1], *padded], otherwise, "a log_prob of padded clips")
    shares = [(shape | {"dropout": p}, True) for p in (0.5, 0.0, 1 - 1e-6)]
    cause = "nn.Dropout(dropout) between GRU and linear layer, in train mode only"
    ask(_dropped, _spread, [*shares, (shape, True), (shares[0][0], False)], cause, "a log_prob")
    train = [
        batch(layers, frames, *counts, training=True)
        for layers, frames, counts in (
            (stacks[0], 23, (14, 23, 2)), (stacks[3], m, (m, 9)), (stacks[2], 19, (17,)),
        )
    ]
    # In between, zeros behind the ends may be counted, or not, or be put there once more.
    got = [call(partial(_asked, model_class), *case) for case in train]
    ways = [partial(answer, between=between) for between in ("", "masked", "valid")]
    fits = [w for w in ways if same(got, [w(*case) for case in train], 1e-4)]
    way = [*fits, *ways][0]
    ask(_asked, way, [full[0], padded[0], *train], f"{otherwise}; in train mode, too", "a log_prob")
    # Whatever stands behind the ends, in both modes.
    behind = [torch.arange(x.shape[2]) >= lengths[:, None] for _, x, lengths, _ in train]
    bad = [
        (named, x.masked_fill(ends[:, None], _GARBAGE), lengths, training)
        for (named, x, lengths, _), ends in zip(train, behind, strict=True)
        for training in (False, True)
    ]
    agree(partial(_asked, model_class), way, bad, {}, _PADDED, 1e-4, "a log_prob")
    model = call(model_class, **shape, layers=stacks[0])
    _, x, lengths, _ = train[0]
    cause = "every layer is used in forward, and no tensor is detached"
    gradients_arrive(lambda x: model(x, lengths), [x], model.named_parameters(), cause)
    passed("its lengths are exact, and a clip alone and in a padded batch are the same")


def _default_layers(model_class: Callable) -> list[tuple[int, int]]:
    """The layers of a model that is built without saying which: LAYERS of the notebook."""
    found = inspect.signature(model_class).parameters.get("layers")
    if found is not None and isinstance(found.default, list | tuple) and found.default:
        return list(found.default)
    return getattr(model_class.__init__, "__globals__", {}).get("LAYERS", _LAYERS)


#: Parts of the network: their kinds of layers, and what stands in the task of them.
_PARTS: dict[str, tuple[type[nn.Module] | tuple, str]] = {
    "the convolutions": (nn.Conv1d, "for each (kernel, stride) an nn.Conv1d, with a bias"),
    "the batch norms": (nn.BatchNorm1d, "an nn.BatchNorm1d(channels) behind each convolution"),
    "the recurrent network":
        (nn.RNNBase, "nn.GRU(channels, hidden, batch_first=True, bidirectional=True)"),
    "the network":
        (nn.Module, "convolutions, batch norms, rnn and output are all: no further layers"),
}


def _layers_of(model: nn.Module, kind: Any) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, kind)]


def _counted(
    model_class: Callable, part: str, bands: int, symbols: int, named: dict[str, Any],
    call: Callable = call,
) -> str:
    model = call(model_class, bands, symbols, **named)
    found = {p for layer in _layers_of(model, _PARTS[part][0]) for p in layer.parameters()}
    return f"{sum(value.numel() for value in found):,} parameters in {part}"


def _numbers(part: str, bands: int, symbols: int, named: dict[str, Any]) -> str:
    """The oracle: the parameters of each part, in closed form."""
    channels, hidden = named.get("channels", 96), named.get("hidden", 128)
    layers = named["layers"]
    widths = [bands] + [channels] * (len(layers) - 1)
    numbers = [
        sum((n * kernel + 1) * channels for n, (kernel, _) in zip(widths, layers, strict=True)),
        2 * channels * len(layers),
        2 * 3 * hidden * (channels + hidden + 2),
    ]
    numbers.append(sum(numbers) + (2 * hidden + 1) * symbols)
    return f"{numbers[list(_PARTS).index(part)]:,} parameters in {part}"


def _filled(model: nn.Module) -> nn.Module:
    kinds = nn.Conv1d, nn.BatchNorm1d, nn.RNNBase, nn.Linear
    fill((nn.ModuleList(_layers_of(model, kind)) for kind in kinds), 0.5)
    return model


def _valid(log_probs: Tensor, lengths: Tensor) -> Tensor:
    return _masked(log_probs.transpose(1, 2), lengths).transpose(1, 2)


def _asked(
    model_class: Callable, named: dict[str, Any], x: Tensor, lengths: Tensor, training: bool,
    call: Callable = call,
) -> Any:
    """What an answer makes of a batch, once it has heard another one."""
    model = _filled(call(model_class, **named))
    with torch.no_grad():
        call(model.eval(), torch.ones(1, 9, 11), torch.tensor([10]))
        got = call(model.train(training), x, lengths)
    if not (isinstance(got, tuple | list) and len(got) == 2):
        return got
    log_probs, out = got
    right = _through(lengths, named.get("layers", _LAYERS))
    if log_probs.ndim == 3 and len(log_probs) == len(right):
        log_probs = _valid(log_probs, right)  # behind the ends stands what may
    return log_probs, out, averages(model) if training else []


def _lasting(model_class: Callable, *case: Any, call: Callable = call) -> Any:
    """The lengths that an answer returns, or whatever it returns in place of a pair."""
    got = _asked(model_class, *case, call=call)
    return got[1] if isinstance(got, tuple) and len(got) == 3 else got


def _heard(
    named: dict[str, Any], x: Tensor, lengths: Tensor, training: bool, default: list = _LAYERS,
    between: str = "",
) -> tuple:
    """The oracle: nothing but the clips, put into silence before each layer."""
    named = {"layers": default} | named
    model, counts, norms = _filled(_Small({}, **named)), lengths.tolist(), []
    for convolution, norm, _ in model.convolutions:
        silent, ends = torch.zeros_like(x), []
        for row, count in enumerate(counts):
            silent[row, :, :count] = x[row, :, :count]
            ends.append(convolution(x[row, :, :count]).shape[1])
        x, counts = convolution(silent), ends
        valid = torch.arange(x.shape[2]) < torch.tensor(counts)[:, None]
        if between == "masked":
            x = x * valid[:, None]
        if training and between == "valid":
            rows = x.transpose(1, 2)
            x = torch.zeros_like(rows).masked_scatter(valid[..., None], norm(rows[valid]))
            x = x.transpose(1, 2).relu()
        else:
            x = norm.train(training)(x).relu()
        norms.append(norm)
    log_probs = torch.zeros(len(x), x.shape[2], named["symbols"])
    for row, count in enumerate(counts):
        states, _ = model.rnn(x[row, :, :count].T)
        log_probs[row, :count] = model.output(states).log_softmax(dim=1)
    kept = averages(nn.ModuleList(norms)) if training else []
    return log_probs.detach(), torch.tensor(counts), kept


def _dropped(
    model_class: Callable, named: dict[str, Any], training: bool, call: Callable = call
) -> Any:
    """Whether an answer gives the same twice; or what it gives where next to nothing stays."""
    model = _filled(call(model_class, **named)).train(training)
    x, lengths = torch.randn(3, 9, 21, generator=generator(12)), torch.tensor([21, 15, 9])
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(12)
        first, second = (call(model, x, lengths)[0] for _ in range(2))
    if training and named.get("dropout", 0) > 0.9:
        return first[0, :3]
    return "the same outputs twice" if torch.allclose(first, second) else "random outputs"


def _spread(named: dict[str, Any], training: bool) -> Any:
    if training and named.get("dropout", 0) > 0.9:
        bias = _filled(_Small({}, **named)).output.bias.detach()
        return bias.log_softmax(dim=0).expand(3, -1)
    return "random outputs" if training and named.get("dropout") else "the same outputs twice"
