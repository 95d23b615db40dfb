"""Checks of what happens to features before the network: statistics, batches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import chance, check, fail, generator, passed
from course_utils.checks.state import unset_memory_is_nan

#: What to look at in a result, given the clips; a likely cause; what a number there is called.
_Step = tuple[Callable[[Any, list], Any], str, str]


class _Said(str):
    """What a message says without quotes."""

    __repr__ = str.__str__


class _Clips(list):
    """Clips, or clips with their tokens, that a message does not write out."""

    def __repr__(self) -> str:
        clips = (item[0] if isinstance(item, tuple) else item for item in self)
        return f"clips of {', '.join(str(clip.shape[1]) for clip in clips)} frames"


_Clips.__name__ = "list"  # what a message calls it


def _agree_by_steps(
    answer: Callable, truth: Callable, batches: list, mistakes: dict[str, Callable],
    steps: Iterable[_Step], tolerance: float = 0, given: Callable | None = None,
) -> None:
    """Look at one thing in the results after the other; `given` makes of clips what is passed."""

    def seen(function: Callable, look: Callable) -> Callable:
        @functools.wraps(function)
        def looked(clips: list) -> Any:
            result = function(given(clips) if given else clips)
            return None if result is None else look(result, clips)

        return looked

    cases = [(batch,) for batch in batches]
    for look, otherwise, name in steps:
        known = {cause: seen(mistake, look) for cause, mistake in mistakes.items()}
        agree(seen(answer, look), seen(truth, look), cases, known, otherwise, tolerance, name)


def _form(names: str, result: Any, clips: list) -> tuple[_Said, ...]:
    """Dtype and shape of each tensor that is returned."""
    count = len(names.split(", "))
    if not (isinstance(result, tuple | list) and len(result) == count):
        size = f" of {len(result)}" if isinstance(result, tuple | list) else ""
        fail(f"a tuple of {count} tensors", f"{type(result).__name__}{size}", f"return {names}")
    for value, name in zip(result, names.split(", "), strict=True):
        if not isinstance(value, Tensor):
            fail(f"{name} as a tensor", type(value).__name__, _TENSOR)
    return tuple(_Said(f"{value.dtype} of shape {tuple(value.shape)}") for value in result)


_TENSOR = "return tensors: torch.tensor(...) of a list or an array"

# 4.2 - Mean and spread, in one pass


class _Once:
    """Clips that can be gone through once, as those of a generator."""

    def __init__(self, clips: list):
        self.clips, self.passes = clips, 0

    def __iter__(self) -> Iterator:
        self.passes += 1
        if self.passes > 1:
            fail("one pass over the clips", "a second one", _ONE_PASS)
        return iter(self.clips)


def _mean(x: Tensor) -> Tensor:
    return x.mean(dim=1, keepdim=True)


def _std(x: Tensor) -> Tensor:
    return x.std(dim=1, keepdim=True, correction=0)


def _means(clips: list, of: Callable = _mean) -> Tensor:
    return torch.cat([of(clip) for clip in clips], dim=1)  # (band, clip)


def _padded(clips: list) -> Tensor:
    longest = max(clip.shape[1] for clip in clips)
    return torch.cat([F.pad(clip, (0, longest - clip.shape[1])) for clip in clips], dim=1)


def _wrong(
    mean: Callable = lambda x, c: _mean(x), std: Callable = lambda x, c: _std(x),
    then: Callable = Tensor.float,
) -> Callable:
    """Statistics of all frames `x`, side by side, and of the clips `c`: right without options."""

    def statistics(features: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        clips = [clip.double() for clip in features]
        x = torch.cat(clips, dim=1)
        return then(mean(x, clips)), then(std(x, clips))

    return statistics


def _in_a_loop(dtype: torch.dtype, least: float) -> Callable:
    """As the task says it, but with sums of this dtype, and a variance of at least `least`."""

    def statistics(features: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        moments: Any = 0
        for clip in features:
            x = clip.to(dtype)
            moments = moments + torch.stack([torch.ones_like(x), x, x * x]).sum(dim=2)[..., None]
        _, mean, squares = moments / moments[0]
        return mean.float(), (squares - mean.square()).clamp(min=least).sqrt().float()

    return statistics


def _twice(features: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    return _wrong()(features)[0], _wrong()(features)[1]


_ONE_PASS = "the clips may come from a generator: sum x and x ** 2 in the same loop"
_CLAMP = "the root of a number just below 0, by rounding: clamp(min=0) before it"
_DIGITS = "float32 has 7 digits: keep the sums in float64, clip.double()"
_SILENCE = "frames of zeros are frames: a pause counts, too"
_LEAST = "at least 0, and not more: a band that never changes has no spread"
_MEAN_MISTAKES: dict[str, Callable[[Tensor, list], Tensor]] = {
    "a longer clip counts more: all frames, not the mean of means": lambda x, c: _mean(_means(c)),
    "each band has its own mean": lambda x, c: 0 * _mean(x) + x.mean(),
    "divide by the number of frames: this is the sum": lambda x, c: _mean(x) * x.shape[1],
    "divide by the frames, not by the clips": lambda x, c: _mean(x) * x.shape[1] / len(c),
    "divide by the frames, not by the frames times the bands": lambda x, c: _mean(x) / len(x),
    "zeros behind a clip's end are no frames of it": lambda x, c: _mean(_padded(c)),
    "all clips count, not only the last": lambda x, c: _mean(c[-1]),
    "all clips count, not only the first": lambda x, c: _mean(c[0]),
}
_STD_MISTAKES: dict[str, Callable[[Tensor, list], Tensor]] = {
    "divide by the number of frames, not by one less": lambda x, c: x.std(dim=1, keepdim=True),
    "the root is missing: this is the variance": lambda x, c: _std(x).square(),
    "all frames, not the mean of the clips' standard deviations": lambda x, c: _mean(_means(c, _std)
    ),
    "the mean is that of all frames, not the mean of the clips' means": lambda x, c: (
        (_mean(x.square()) - _mean(_means(c)).square()).abs().sqrt()),
    "the mean of the clips' variances leaves out how the clips differ":
        lambda x, c: _mean(_means(c, _std).square()).sqrt(),
    "within each clip is not enough: the clips differ, too": lambda x, c: _std(
        torch.cat([clip - _mean(clip) for clip in c], dim=1)),
    "subtract the square of the mean": lambda x, c: _mean(x.square()).sqrt(),
    "each band has its own standard deviation": lambda x, c: 0 * _std(x) + x.std(correction=0),
    "the standard deviation of the frames, not of the clips' means": lambda x, c: _std(_means(c)),
    "a spread is a root of squares, not the mean of |x - mean|": lambda x, c: _mean(
        (x - _mean(x)).abs()),
}
STATISTICS_MISTAKES: dict[str, Callable] = {
    _ONE_PASS: _twice,
    _CLAMP: _in_a_loop(torch.float64, -math.inf),
    _DIGITS: _in_a_loop(torch.float32, 0),
    _SILENCE: lambda clips: _wrong()(clip[:, (clip != 0).any(dim=0)] for clip in clips),
    _LEAST: _in_a_loop(torch.float64, 1e-10),
    "keep the axis, to subtract it from (band, frame): keepdim=True": _wrong(
        then=lambda value: value[:, 0].float()),
    "a row for each band: (band, 1), not (1, band)": _wrong(then=lambda value: value.T.float()),
    "each band has its own: sum over the frames alone, dim=1": _wrong(
        then=lambda value: value.mean().float()),
    "sum in float64, return float32": _wrong(then=Tensor.double),
    "mean first, then std": lambda clips: _wrong()(clips)[::-1],
    **{cause: _wrong(mean=mistake) for cause, mistake in _MEAN_MISTAKES.items()},
    **{cause: _wrong(std=mistake) for cause, mistake in _STD_MISTAKES.items()},
}
_LOOP = {"has no len|not subscriptable|not an iterator": "an iterable is for a loop: for clip in"}


@check("4.2", STATISTICS_MISTAKES, draws=False, hints=_LOOP)
def statistics(answer: Callable) -> None:
    """Equal to the moments of all frames, in one pass and without rounding errors.

    ``answer(clips, each (band, frame)) -> (mean (band, 1), std (band, 1))``
    """
    draw, random = chance(2), generator(2)

    def clips(bands: int, most: int, mean: float, std: float, count: int = 4) -> _Clips:
        level = mean + std * torch.arange(bands)[:, None]
        sizes = [1, *draw.sample(range(2, most), count)][count == 1 :]
        noise = [torch.randn(bands, size, generator=random) for size in sizes]
        return _Clips(level + std * (1 + row) * clip for row, clip in enumerate(noise))

    usual = [clips(draw.randint(6, 8), 14, draw.uniform(-40, -20), 2.0), clips(1, 9, 0.5, 2.0)]
    usual += [clips(5, 12, 1.0, 3.0, 1), _Clips([torch.tensor([[1.0, 2, 3]]), torch.ones(1, 1)])]
    silent = [clips(4, 14, 3.0, 2.0) for _ in range(3)]
    for clip in (clip for batch in silent for clip in batch[1:]):
        clip[:, [0, clip.shape[1] // 2, -1]] = 0
    large = clips(3, 400, draw.uniform(15_000, 25_000), 0.25)  # squares near 400 million
    # Bands that never change: mean of squares less square of mean is about 0, or just 0.
    still, quiet = clips(6, 20, 0.0, 1.0), [clips(300, most, 0, 1) for most in (30, 99, 150, 300)]
    for batch in quiet:
        level = draw.uniform(5, 9)
        for clip in batch:
            clip[:] = torch.linspace(0.1, level, 300)[:, None]
    for clip in still:
        clip[1:] = torch.tensor([0.0, 0, 2, -0.5, 1])[:, None]
    form = (functools.partial(_form, "mean, std"), "a row for each band: (band, 1), float32", "")
    formulas = "sum of all frames / number of all frames", "sqrt(mean of x ** 2 - mean ** 2)"
    for batches, known, tolerance, first, causes in (
        (usual, STATISTICS_MISTAKES, 1e-5, [form], formulas),
        (silent, STATISTICS_MISTAKES, 1e-5, [], (_SILENCE, _SILENCE)),
        ([large], {}, 1e-5, [], (_DIGITS, _DIGITS)),
        (quiet, {}, 1e-5, [(_no_nan, "", "")], (_LEAST, _LEAST)),
        ([still], {}, 1e-7, [], (_LEAST, _LEAST)),
    ):
        of_mean, of_std = causes
        steps = [(lambda r, _: r[0], of_mean, "a mean"), (lambda r, _: r[1], of_std, "a std")]
        _agree_by_steps(answer, _wrong(), batches, known, [*first, *steps], tolerance, _Once)
    passed("mean and std of each band, over all frames, in one pass and without rounding errors")


def _no_nan(result: Any, clips: list) -> _Said:
    if bool(torch.cat(list(result)).isnan().any()):
        fail("a mean and a std in each band", "not a number", _CLAMP)
    return _Said("numbers")


# 4.4 - Sort and pad


def _frames(item: tuple[Tensor, list[int]]) -> int:
    return item[0].shape[1]


def _longest_first(items: list) -> list:
    return sorted(items, key=_frames, reverse=True)


def _side_by_side(items: list) -> tuple[Tensor, ...]:
    """A batch of the items in this order, in plain Python."""
    lengths, counts = [_frames(item) for item in items], [len(tokens) for _, tokens in items]
    rows = [[*tokens, *[0] * (max(counts) - len(tokens))] for _, tokens in items]
    clips = [[[*band, *[0.0] * (max(lengths) - len(band))] for band in clip.tolist()]
        for clip, _ in items]
    return torch.tensor(clips), torch.tensor(lengths), torch.tensor(rows), torch.tensor(counts)


def _collated(items: list) -> tuple[Tensor, ...]:
    """The oracle."""
    return _side_by_side(_longest_first(items))


def _put(place: int, change: Callable[..., Any]) -> Callable[[list], tuple]:
    """Another part of the right batch of features `x`, `n`, targets `y`, `m`; or, at 4, of all."""

    def collate(items: list) -> tuple:
        batch = _collated(items)
        changed = change(*batch)
        return changed if place == 4 else (*batch[:place], changed, *batch[place + 1 :])

    return collate


def _old(*places: int) -> Callable[[list], tuple]:
    """Parts that are not sorted."""
    return lambda items: tuple(
        (_side_by_side if place in places else _collated)(items)[place] for place in range(4))


def _fill(x: Tensor, n: Tensor, value: Any) -> Tensor:
    """Another value in the padding of features or of targets."""
    behind = torch.arange(x.shape[-1]) >= n.reshape(-1, *[1] * (x.ndim - 1))
    return torch.where(behind, value, x)


def _in_front(x: Tensor, n: Tensor) -> Tensor:
    return torch.stack([row.roll(x.shape[-1] - int(n[i]), -1) for i, row in enumerate(x)])


def _last(x: Tensor, n: Tensor) -> Tensor:
    return torch.stack([row[:, n[i] - 1, None] for i, row in enumerate(x)])


_PARTS = "features, lengths, targets, target_lengths"
_HUGE = torch.iinfo(torch.int64).max
_CHANGES: dict[int, dict[str, Callable]] = {
    4: {
        f"return {_PARTS}": lambda x, n, y, m: (x, n, y),
        _TENSOR: lambda x, n, y, m: (x, n.tolist(), y, m.tolist()),
        "the targets come before their lengths": lambda x, n, y, m: (x, n, m, y),
        "the batch comes first: batch_first=True, and bands second": lambda x, n, y, m: (
            (x.permute(2, 0, 1), n, y.T, m)),
        "new memory was not set to zero (torch.empty holds anything)": lambda x, n, y, m: (
            (_fill(x, n, math.nan), n, _fill(y, m, _HUGE), m)),
        "zeros go behind the end, not in front": lambda x, n, y, m: (
            (_in_front(x, n), n, _in_front(y, m), m))},
    0: {
        "features stay (band, frame): the batch is (batch, band, frame)": lambda x, *_: x.mT,
        "up to the longest clip, not the shortest": lambda x, n, *_: x[:, :, : n.min()],
        "the features stay float32": lambda x, *_: x.double(),
        "zeros behind the end of a clip, not its last frame": lambda x, n, *_: _fill(
            x, n, _last(x, n))},
    1: {
        "lengths are int64, as torch.CTCLoss takes them": lambda x, n, *_: n.float(),
        "the frames of each clip, not of the longest": lambda x, n, *_: n.max().expand_as(n),
        "the frames of a clip, not its bands: shape[1]": lambda x, n, *_: 0 * n + x.shape[1],
        "zeros within a clip are frames, too: shape[1]": lambda x, *_: (x != 0).any(1).sum(1)},
    2: {
        "targets are int64, as torch.CTCLoss takes them": lambda x, n, y, m: y.float(),
        "a row for each clip, with zeros behind: not all targets in one row": lambda x, n, y, m: y[
            y > 0],
        "targets are padded with 0, not with -1": lambda x, n, y, m: _fill(y, m, -1)},
    3: {
        "target_lengths are int64, as torch.CTCLoss takes them": lambda *batch: batch[3].int(),
        "the tokens of each target, not of the longest": lambda *b: b[3].max().expand_as(b[3]),
        "target lengths follow the clips: sort the items, not each list": lambda *batch: (
            batch[3].sort(descending=True).values),
        "the tokens of each target, not its frames": lambda x, n, y, m: n,
        "repeated tokens count, too: len(tokens)": lambda x, n, y, m: torch.tensor(
            [len(set(row) - {0}) for row in y.tolist()])},
}
COLLATE_MISTAKES: dict[str, Callable] = {
    cause: _put(place, change) for place, some in _CHANGES.items() for cause, change in some.items()
} | {
    "lengths are those of the sorted items: take them after sorting": _old(1),
    "the target lengths are sorted with their clips": _old(3),
    "targets are sorted with their clips: sort the items": _old(2, 3),
    "longest first: reverse=True": lambda items: _side_by_side(sorted(items, key=_frames)),
    "clips of the same length keep their order: sort with reverse=True, do not turn round": (
        lambda items: _side_by_side(sorted(items, key=_frames)[::-1])),
    "clips of the same length keep their order: sort by the frames alone": lambda items: (
        _side_by_side(sorted(items, key=lambda item: (-_frames(item), -len(item[1]))))),
    "sort by the frames, not by the tokens": lambda items: _side_by_side(
        sorted(items, key=lambda item: -len(item[1]))),
    "sort the items by their frames, longest first": _side_by_side,
}


def _begins(values: Tensor, items: list, count: Callable) -> tuple[Tensor, ...]:
    """The part of each row that is no padding."""
    counts = [count(item) for item in _longest_first(items)]
    return tuple(row[..., :size] for row, size in zip(values, counts, strict=True))


_COLLATE_STEPS: list[_Step] = [
    (functools.partial(_form, _PARTS),
        "(batch, band, longest); and in int64 (batch,), (batch, longest target), (batch,)",
        ""),
    (lambda batch, items: _begins(batch[0], items, _frames),
        "the features of each clip at the front of its row, longest clip first",
        "a feature"),
    (lambda batch, items: batch[0], "pad with 0", "a feature"),
    (lambda batch, items: _begins(batch[2], items, lambda item: len(item[1])),
        "the tokens of clip and row, then zeros",
        "a target"),
    (lambda batch, items: batch[2], "targets are padded with 0", "a target"),
    (lambda batch, items: batch[1], "the frames of each clip, in the new order", "a length"),
    (lambda batch, items: batch[3], "the tokens of each target, beside its clip", "a length"),
]


@check("4.4", COLLATE_MISTAKES, draws=False)
def collate_sequences(answer: Callable) -> None:
    """Longest first, zeros behind the end, and each target beside its own clip.

    ``answer([(features (band, frame), tokens), ...])``: features, lengths, targets, lengths
    """
    draw, random = chance(4), generator(4)

    def items(sizes: Sequence[tuple[int, int]]) -> _Clips:
        """Normalised features, zeros among them, and tokens, some of them twice."""
        bands, made = draw.randint(2, 3), _Clips()
        for row, (frames, count) in enumerate(sizes):
            clip = torch.randn(bands, frames, generator=random)
            clip[:, [0, frames // 2, -(row % 2)]] = 0
            tokens = draw.choices(range(1, 28), k=count)
            made.append((clip, [*tokens[: count // 2], *tokens[: count - count // 2]]))
        return made

    def sizes(count: int) -> list[tuple[int, int]]:
        frames, tokens = draw.sample(range(4, 20), count), draw.sample(range(1, 9), count)
        return [*zip(frames, tokens, strict=True), (min(frames), 3), (max(frames), 2)]

    hand = [(5, 3), (9, 1), (6, 4), (9, 2), (7, 0), (9, 5)]
    batches = [items(some) for some in (hand, sizes(4), sizes(5), [(3, 2), (4, 1)], [(6, 3)])]
    batches.append(_Clips([batches[0][0], batches[0][2], batches[0][0]]))
    with unset_memory_is_nan():
        _agree_by_steps(answer, _collated, batches, COLLATE_MISTAKES, _COLLATE_STEPS)
    passed("sorted by length, zeros behind the end, and each target beside its own clip")
