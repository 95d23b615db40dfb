"""Checks of a stream: its frames, its running level, and a network whose state is carried on.

A sound comes in chunks, and what leaves must be what the whole sound gives. So each answer is
called for one chunk after the other, and its results stand beside those of the whole.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_utils.checks.agree import agree, gradients_arrive
from course_utils.checks.core import call, chance, check, fail, generator, passed
from course_utils.checks.stage3.features import then, with_option
from course_utils.checks.stage3.recurrent import lstm_steps


def _pair(result: Any, first: str, second: str) -> tuple:
    """A result that has to be two."""
    if not (isinstance(result, tuple | list) and len(result) == 2):
        cause = f"return both, {first} and {second}"
        fail(f"({first}, {second})", type(result).__name__, cause)
    return tuple(result)


def _cut(sizes: Sequence[int], longest: int) -> list[int]:
    """The places at which chunks of these sizes begin and end."""
    places = [0, *itertools.accumulate(sizes)]
    assert places[-1] == longest, "a case whose chunks are not the whole"
    return places


# 3.11 - The frames of a stream


def _whole(sound: Tensor, sizes: Sequence[int], window: int, hop: int) -> tuple[Tensor, ...]:
    """The oracle: frames of the whole sound, number by number, each when its last sample is there.

    Frames and kept samples of each chunk in turn.
    """
    before = window // 2
    padded = [0.0] * before + sound.double().tolist()
    hann = [0.5 - 0.5 * np.cos(2 * np.pi * n / window) for n in range(window)]
    results, given = [], 0
    for heard in _cut(sizes, len(sound))[1:]:
        start, frames = given, []
        while given * hop + window <= before + heard:
            frames.append([padded[given * hop + n] * hann[n] for n in range(window)])
            given += 1
        frames = torch.tensor(frames).reshape(given - start, window)
        results += [frames.float(), torch.tensor(padded[given * hop : before + heard]).float()]
    return tuple(results)


def _chunk_by_chunk(answer: Callable, run: Callable) -> Callable:
    """An answer to 3.11 as a function of the whole sound."""

    @functools.wraps(answer)
    def streamed(sound: Tensor, sizes: Sequence[int], window: int, hop: int) -> tuple:
        kept, results = torch.zeros(window // 2), []
        for chunk in sound.split(list(sizes)):
            frames, kept = _pair(run(answer, chunk, kept, window, hop), "frames", "kept")
            results += [frames, kept]
        return tuple(results)

    return streamed


def _plainly(answer: Callable, *given: Any) -> Any:
    """Call a mistake, as ``call`` does with an answer."""
    return answer(*given)


def _stream(
    chunk: Tensor, kept: Tensor, window: int, hop: int,
    join: Callable = lambda chunk, kept, window: torch.cat([kept, chunk]),
    count: Callable = lambda samples, window, hop: max(0, 1 + (samples - window) // hop),
    weights: Callable = torch.hann_window,
    keep: Callable = lambda x, count, window, hop: x[count * hop :],
) -> tuple[Tensor, Tensor]:
    """A right answer; a mistake replaces a part of it."""
    x = join(chunk, kept, window)
    number = count(len(x), window, hop)
    missing = max(0, (number - 1) * hop + window - len(x))
    padded = torch.cat([x, torch.zeros(missing)])
    frames = [padded[t * hop : t * hop + window] for t in range(number)]
    frames = torch.stack(frames) if frames else x.new_zeros(0, window)
    return frames * weights(window), keep(x, number, window, hop)


def _only_if_enough(chunk: Tensor, kept: Tensor, window: int, hop: int) -> tuple[Tensor, Tensor]:
    if len(kept) + len(chunk) < window:
        return torch.zeros(0, window), kept
    return _stream(chunk, kept, window, hop)


def _unfolded(chunk: Tensor, kept: Tensor, window: int, hop: int) -> tuple[Tensor, Tensor]:
    frames = torch.cat([kept, chunk]).unfold(0, window, hop) * torch.hann_window(window)
    return frames, torch.cat([kept, chunk])[len(frames) * hop :]


_SHORT = "fewer samples than a window: no frame yet, a tensor (0, window)"

STREAM_MISTAKES: dict[str, Callable] = {
    **with_option(_stream, "join", {
        "what was kept comes first, then the chunk: torch.cat([kept, chunk])":
            lambda chunk, kept, window: torch.cat([chunk, kept]),
        "what was kept belongs to the next frame: put it in front of the chunk":
            lambda chunk, kept, window: chunk,
        "the zeros stand at the very start: kept has them, no chunk gets new ones":
            lambda chunk, kept, window: torch.cat([torch.zeros(window // 2), kept, chunk]),
    }),
    **with_option(_stream, "count", {
        "a frame comes when its last sample is there: 1 + (samples - window) // hop":
            lambda samples, window, hop: max(0, (samples - window) // hop),
        "one frame too many: its last samples have not been heard yet":
            lambda samples, window, hop: max(0, 2 + (samples - window) // hop),
        "no zeros behind a chunk: a frame waits until its last sample is there":
            lambda samples, window, hop: max(0, -(-samples // hop)),
        "1 + (samples - window) // hop, and not samples // window: frames overlap":
            lambda samples, window, hop: samples // window,
    }),
    **with_option(_stream, "weights", {
        "the Hann window is missing": torch.ones,
        "a periodic window: torch.hann_window(window), not a symmetric one":
            partial(torch.hann_window, periodic=False),
    }),
    **with_option(_stream, "keep", {
        "keep from where the next frame begins: `hop` behind the last, not behind its end":
            lambda x, count, window, hop: x[(count - 1) * hop + window if count else 0 :],
        "keep from where the next frame begins, not the last one: it would come twice":
            lambda x, count, window, hop: x[max(0, count - 1) * hop :],
        "keep from where the next frame begins: `window - hop` samples fit whole hops only":
            lambda x, count, window, hop: x[max(0, len(x) - (window - hop)) :],
        "keep from where the next frame begins: not half a window":
            lambda x, count, window, hop: x[max(0, len(x) - window // 2) :],
        "keep from where the next frame begins: not a whole window":
            lambda x, count, window, hop: x[max(0, len(x) - window) :],
        "what no frame needs any more goes: all was kept, and frames come twice":
            lambda x, count, window, hop: x,
        "kept is what is left for the next chunk: nothing was":
            lambda x, count, window, hop: x[:0],
    }),
    "too few samples for a frame are kept, too: this chunk was lost": _only_if_enough,
    _SHORT: _unfolded,
    **then(_stream, {
        "a row for each frame: (frames, window)": lambda result: (result[0].T, result[1]),
        "the order of the two results: frames, kept": lambda result: result[::-1],
        "return both, frames and kept": lambda result: result[0],
        "samples are float32, and so are frames": lambda result: (result[0].double(), result[1]),
        "kept is samples as they came, without a window": lambda result:
            (result[0], result[1] * torch.hann_window(len(result[1]), periodic=False)),
    }),
}  # fmt: skip


@check(
    "3.11", STREAM_MISTAKES, draws=False,
    hints={"maximum size for tensor|non-empty TensorList|start .* length": _SHORT},
)
def stream_frames(answer: Callable) -> None:
    """Frames of the whole sound, number by number, whatever the chunks.

    ``answer(chunk (time,), kept (time,), window, hop) -> (frames (frames, window), kept)``
    """
    sizes, random = chance(311), generator(311)

    def drawn(window: int, hop: int, chunks: Sequence[int]) -> tuple:
        sound = torch.randn(sum(chunks), generator=random)
        sound[len(sound) // 2 :][: window // 2] = 0  # as speech has it
        return sound, tuple(chunks), window, hop

    def chunks(most: int, count: int = 8) -> list[int]:
        return [sizes.randint(1, most) for _ in range(count)]

    windows = [(sizes.randint(9, 16), sizes.randint(3, 7)) for _ in range(3)]
    cases = [drawn(*windows[0], chunks(24)), drawn(*windows[1], chunks(9, 14))]
    cases += [drawn(*windows[2], [2 * windows[2][1]] * 5), drawn(*windows[2], [100])]
    cases += [
        drawn(8, 8, [3, 8, 9, 20]), drawn(7, 4, [1] * 30), drawn(512, 320, [1000, 160, 2000]),
        (torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]), (3, 2), 4, 2),  # the worked example
    ]  # fmt: skip
    mistakes = {
        cause: _chunk_by_chunk(mistake, _plainly) for cause, mistake in STREAM_MISTAKES.items()
    }
    otherwise = "as many whole frames as kept and chunk hold; keep from the next frame's start"
    agree(_chunk_by_chunk(answer, call), _whole, cases, mistakes, otherwise, name="a sample")
    passed(f"{len(cases)} streams in chunks of 1 to 2,000 samples, the frames of the whole")


# 3.12 - A level that runs along


def _by_weights(levels: Tensor, sizes: Sequence[int], decay: float) -> Tensor:
    """The oracle: for each frame all weights, in float64; nothing runs."""
    x = levels.double().numpy()
    behind = np.arange(x.shape[2])[:, None] - np.arange(x.shape[2])
    weights = np.where(behind >= 0, decay ** behind.clip(0).astype(float), 0)
    means = np.einsum("bfs,ts->bft", x, weights / weights.sum(axis=1, keepdims=True))
    return torch.from_numpy(x - means).float()


_FIRST = "the order of the two results: centred, state"


def _levelled(answer: Callable, run: Callable) -> Callable:
    """An answer to 3.12 as a function of all levels."""

    @functools.wraps(answer)
    def streamed(levels: Tensor, sizes: Sequence[int], decay: float) -> Tensor:
        state, results = None, []
        for chunk in levels.split(list(sizes), dim=2):
            given = (chunk, decay) if state is None else (chunk, decay, state)
            centred, state = _pair(run(answer, *given), "centred", "state")
            if not isinstance(centred, Tensor):
                fail(f"a tensor of shape {tuple(chunk.shape)}", type(centred).__name__, _FIRST)
            if centred.ndim != 3:
                cause = "as many levels come out as go in: (batch, feature, frame)"
                fail(tuple(chunk.shape), tuple(centred.shape), cause)
            results.append(centred)
        return torch.cat(results, dim=2)

    return streamed


def _running(
    levels: Tensor, decay: float, state: tuple | None = None,
    step: Callable = lambda total, weight, x, d: (d * total + x, d * weight + 1),
    mean: Callable = lambda total, weight, x, d: total / weight,
    show: Callable = lambda x, mean: x - mean,
    begin: Callable = lambda state, x: (torch.zeros_like(x), 0.0) if state is None else state,
) -> tuple[Tensor, tuple]:
    """A right answer; a mistake replaces a part of it. The total and its weight are the state."""
    total, weight = begin(state, levels[..., 0])
    shown = []
    for x in levels.unbind(dim=2):
        total, weight = step(total, weight, x, decay)
        shown.append(show(x, mean(total, weight, x, decay)))
    return torch.stack(shown, dim=2), (total, weight)


def _late(levels: Tensor, decay: float, state: tuple | None = None) -> tuple[Tensor, tuple]:
    """The mean of the frames before."""
    _, end = _running(levels, decay, state)
    means = []
    for t in range(levels.shape[2]):
        means.append(levels[..., 0] * 0 if state is None else state[0] / state[1])
        _, state = _running(levels[..., t : t + 1], decay, state)
    return levels - torch.stack(means, dim=2), end


def _from_first(levels: Tensor, decay: float, state: Tensor | None = None) -> tuple:
    """As many filters begin: with the first value itself."""
    shown = []
    for x in levels.unbind(dim=2):
        state = x if state is None else decay * state + (1 - decay) * x
        shown.append(x - state)
    return torch.stack(shown, dim=2), state


def _powers(levels: Tensor, decay: float, state: tuple | None = None) -> tuple:
    """Without a loop: frames over falling powers, which leave float32 in a long stream."""
    total, start = (torch.zeros_like(levels[..., 0]), 0) if state is None else state
    t = torch.arange(start, start + levels.shape[2])
    sums = total[..., None] + (levels / decay ** t.float()).cumsum(dim=2)
    weights = (1 - decay ** (t + 1.0)) / (1 - decay)
    return levels - sums * decay ** t.float() / weights, (sums[..., -1], start + levels.shape[2])


_TOTAL = "divide by the sum of the weights, which is 1, 1 + decay, 1 + decay + decay ** 2, ...:"

LEVEL_MISTAKES: dict[str, Callable] = {
    **with_option(_running, "mean", {
        f"{_TOTAL} after few frames it is not 1 / (1 - decay)":
            lambda total, weight, x, d: total * (1 - d),
        f"{_TOTAL} the sum alone is no mean": lambda total, weight, x, d: total,
        "each feature has its own mean: not one for all":
            lambda total, weight, x, d: (total / weight).mean(dim=1, keepdim=True),
        "each sound of the batch has its own mean": lambda total, weight, x, d:
            (total / weight).mean(dim=0, keepdim=True),
    }),
    **with_option(_running, "step", {
        "older frames count less: times decay at each step":
            lambda total, weight, x, d: (total + x, weight + 1),
        "decay is what is left of the past, not what the new frame gets":
            lambda total, weight, x, d: ((1 - d) * total + x, (1 - d) * weight + 1),
        "the mean runs over what came in, not over the levels less their mean": lambda t, w, x, d:
            (d * t + x - (t / w if w else 0), d * w + 1),
    }),
    **with_option(_running, "show", {
        "levels less their mean, not the mean itself": lambda x, mean: mean,
        "levels less their mean, not the mean less the levels": lambda x, mean: mean - x,
        "the mean is taken off: levels in dB are not divided by it": lambda x, mean: x / mean,
    }),
    **with_option(_running, "begin", {
        "a chunk goes on where the last one ended: begin with the state": lambda state, x:
            (torch.zeros_like(x), 0.0),
        "the sum of the weights goes on, too: it is part of the state": lambda state, x:
            (torch.zeros_like(x) if state is None else state[0], 0.0),
        "both go on, the sum of the levels, too": lambda state, x:
            (torch.zeros_like(x), 0.0 if state is None else state[1]),
    }),
    "the frame itself counts, too: first the step, then its mean": _late,
    f"{_TOTAL} begun with the first frame alone, it would count for too much": _from_first,
    "decay ** t runs out of float32 in a long stream: go on frame by frame": _powers,
    "what comes later is not known yet: not the mean of the whole chunk": lambda x, d, state=None:
        (x - x.mean(dim=2, keepdim=True), 0),
    "frames are on the last axis: the mean runs along it": lambda x, d, state=None:
        (_running(x.mT, d)[0].mT, 0),
    **then(_running, {
        _FIRST: lambda result: result[::-1],
        "return both, centred and state": lambda result: result[0],
        "levels are float32, and so is the result": lambda r: (r[0].double(), r[1]),
    }),
}  # fmt: skip


@check("3.12", LEVEL_MISTAKES, draws=False)
def running_level(answer: Callable) -> None:
    """The weighted mean with all weights written out, whatever the chunks.

    ``answer(levels (batch, feature, frame), decay, state=None) -> (centred, state)``
    """
    sizes, random = chance(312), generator(312)

    def drawn(chunks: Sequence[int], decay: float) -> tuple:
        shape = sizes.randint(2, 3), sizes.randint(4, 6), sum(chunks)
        offset = 20 * torch.rand(*shape[:2], 1, generator=random) - 40
        return 8 * torch.randn(shape, generator=random) + offset, tuple(chunks), decay

    def chunks(count: int) -> list[int]:
        return [sizes.randint(1, 9) for _ in range(count)]

    cases = [drawn(chunks(6), sizes.uniform(0.6, 0.95)) for _ in range(3)]
    cases += [drawn([1] * 12, 0.9), drawn([25], sizes.uniform(0.2, 0.4)), drawn([1], 0.7)]
    cases += [drawn([150, 150], 0.5), (torch.tensor([[[4.0, 8.0]]]), (1, 1), 0.5)]
    known = {cause: _levelled(mistake, _plainly) for cause, mistake in LEVEL_MISTAKES.items()}
    otherwise = "sums of levels and of weights, both times decay before a frame comes; their ratio"
    agree(_levelled(answer, call), _by_weights, cases, known, otherwise, 1e-4, "a level")
    passed(f"{len(cases)} streams less their weighted means, the same in any chunks")


# 3.13 - A state that is carried on


class _Network(nn.Module):
    """A classifier as 3.9 has it, for one clip after the other."""

    def __init__(self, features: int, hidden: int, layers: int, classes: int, random: Any):
        super().__init__()
        self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
        self.output = nn.Linear(hidden, classes)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(0.7 * torch.randn(parameter.shape, generator=random))

    def __repr__(self) -> str:
        return "the model"

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.lstm(x.transpose(1, 2))[0].mean(dim=1))


def _all_at_once(model: _Network, x: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """The oracle: torch's cell, frame after frame of the whole; log-probabilities by chunk."""
    shown = lstm_steps(model.state_dict(), x.transpose(1, 2), model.lstm.num_layers)
    logits = shown @ model.output.weight.detach().T + model.output.bias.detach()
    return (logits - logits.logsumexp(dim=2, keepdim=True)).split(list(sizes), dim=1)


def _carried(answer: Callable, run: Callable) -> Callable:
    """An answer to 3.13 as a function of the whole."""

    @functools.wraps(answer)
    def carried(model: _Network, x: Tensor, sizes: Sequence[int]) -> tuple:
        state, results = None, []
        for chunk in x.split(list(sizes), dim=2):
            given = (model, chunk) if state is None else (model, chunk, state)
            log_probs, state = _pair(run(answer, *given), "log_probs", "state")
            results.append(log_probs)
        return tuple(results)

    return carried


def _listen(
    model: _Network, x: Tensor, state: Any = None,
    turn: Callable = lambda x: x.transpose(1, 2), given: Callable = lambda state: state,
    show: Callable = lambda shown: shown, left: Callable = lambda state, old: state,
    last: Callable = lambda logits: logits.log_softmax(dim=-1),
) -> tuple[Tensor, Any]:
    """A right answer; a mistake replaces a part of it."""
    shown, new = model.lstm(turn(x), given(state))
    return last(model.output(show(shown))), left(new, state)


_SILENT = "stay in torch, with gradients: no torch.no_grad(), .detach() or NumPy"

LISTEN_MISTAKES: dict[str, Callable] = {
    **with_option(_listen, "given", {
        "a chunk goes on where the last one ended: model.lstm(x, state)": lambda state: None,
        "both h and c are the state: c was forgotten":
            lambda state: state and (state[0], torch.zeros_like(state[1])),
        "both h and c are the state: h was forgotten":
            lambda state: state and (torch.zeros_like(state[0]), state[1]),
        "the state is (h, c), in this order": lambda state: state and state[::-1],
    }),
    **with_option(_listen, "left", {
        "return the state behind the last frame, not the one before the first":
            lambda state, old: old or state,
    }),
    **with_option(_listen, "turn", {
        "an LSTM with batch_first reads (batch, frame, feature): transpose": lambda x: x,
        "swap the axes with transpose(1, 2): a reshape mixes frames and features":
            lambda x: x.reshape(len(x), x.shape[2], -1),
    }),
    **with_option(_listen, "show", {
        "one answer a frame: no mean over the frames": lambda shown: shown.mean(dim=1),
        "one answer a frame, not the last alone": lambda shown: shown[:, -1],
        "the output of each frame, not the mean of all so far": lambda shown:
            shown.cumsum(dim=1) / torch.arange(1, shown.shape[1] + 1)[:, None],
        "no activation between the LSTM and the linear layer": lambda shown: shown.relu(),
    }),
    **with_option(_listen, "last", {
        "log-probabilities: the logits still lack log_softmax": lambda logits: logits,
        "log-probabilities, not probabilities: log_softmax": lambda logits: logits.softmax(dim=-1),
        "log_softmax over the classes, not over the frames": lambda logits: logits.log_softmax(1),
        "log_softmax over the classes, not over the batch": lambda logits: logits.log_softmax(0),
        "the classes exclude each other: log_softmax, not logsigmoid":
            nn.functional.logsigmoid,
        "(batch, frame, classes), as the linear layer returns it":
            lambda logits: logits.log_softmax(dim=-1).mT,
        "one frame for each that came in": lambda logits: logits.log_softmax(dim=-1)[:, 1:],
        "a batch of one keeps its axis: no .squeeze()":
            lambda logits: logits.log_softmax(dim=-1).squeeze(0),
        _SILENT: lambda logits: logits.log_softmax(dim=-1).detach(),
    }),
    **then(_listen, {
        "the order of the two results: log_probs, state": lambda result: result[::-1],
        "return both, log_probs and state": lambda result: result[0],
    }),
}  # fmt: skip


@check(
    "3.13", LISTEN_MISTAKES, draws=False,
    hints={r"input.size\(-1\) must be": "the last axis must be the features: transpose(1, 2)"},
)
def listen_on(answer: Callable) -> None:
    """torch's cell frame after frame of the whole, whatever the chunks.

    ``answer(model, x (batch, feature, frame), state=None) -> (log_probs, state)``
    """
    sizes, random = chance(313), generator(313)

    def drawn(batch: int, layers: int, chunks: Sequence[int]) -> tuple:
        features, hidden, classes = sizes.sample([4, 5, 6, 7, 8], 3)
        x = torch.randn(batch, features, sum(chunks), generator=random)
        return _Network(features, hidden, layers, classes, random), x, tuple(chunks)

    cases = [drawn(3, 2, [4, 1, 9, 2]), drawn(2, 1, [sizes.randint(2, 9) for _ in range(4)])]
    cases += [drawn(1, 3, [1] * 8), drawn(1, 2, [12])]
    known = {cause: _carried(mistake, _plainly) for cause, mistake in LISTEN_MISTAKES.items()}
    otherwise = "the LSTM with the state, the linear layer and log_softmax, each at every frame"
    for training in (False, True):
        for model, *_ in cases:
            model.train(training)
        mine = _carried(answer, call)
        agree(mine, _all_at_once, cases, known, otherwise, 1e-4, "a log-probability")
    for model, x, _ in cases:
        one = functools.wraps(answer)(lambda x, model=model: answer(model, x)[0])
        gradients_arrive(one, [x], list(model.named_parameters()), _SILENT)
    passed("log-probabilities as those of the whole, in chunks of 1 to 12 frames; gradients arrive")
