"""Checks of what happens to features before the network: statistics, masks, batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from statistics import fmean, pstdev

import torch
from torch import Tensor

from course_utils.checks.core import (
    call,
    compare,
    equal,
    fail,
    generator,
    own_random,
    passed,
    same_dtype,
    same_shape,
    shape_of,
    unchanged,
)

# 4.2 - Mean and spread, in one pass


class _Once:
    """Clips that can be gone through once, as those of a generator."""

    def __init__(self, clips: list):
        self.clips = clips
        self.passes = 0

    def __iter__(self) -> Iterator:
        self.passes += 1
        if self.passes > 1:
            cause = "the clips may come from a generator: sum x and x ** 2 in the same loop"
            fail("one pass over the clips", "a second one", cause)
        return iter(self.clips)


def statistics(answer: Callable) -> None:
    """Equal to plain Python, in one pass and without rounding errors.

    ``answer(clips, each (band, frame)) -> (mean (band, 1), std (band, 1))``
    """
    random = generator(2)

    def clips(bands: int, counts: tuple, mean: float, std: float) -> list:
        level = mean + std * torch.arange(bands)[:, None]
        return [
            level + std * (1 + row) * torch.randn(bands, count, generator=random)
            for row, count in enumerate(counts)
        ]

    quiet = clips(16, (33, 70), -2.0, 0.5)
    for clip in quiet:  # bands that never change: mean of squares - square of mean is about 0
        clip[1:] = torch.linspace(0.1, 7, 15)[:, None]
    for batch in (
        clips(7, (3, 12, 5, 1), -31.0, 2.0),
        [torch.tensor([[1.0, 2, 3]]), torch.tensor([[6.0]])],  # 3 and sqrt(7 / 2)
        clips(5, (9,), 1.0, 3.0),
        clips(3, (1500, 900, 1700), 5000.0, 0.25),  # squares near 25 million
        quiet,
    ):
        before = [clip.clone() for clip in batch]
        got = call(answer, _Once(batch))
        if not (isinstance(got, tuple | list) and len(got) == 2):
            fail("(mean, std)", type(got).__name__, "return two tensors")
        for clip, after in zip(before, batch, strict=True):
            unchanged(clip, after, "clips")
        # The oracle: plain Python, a band at a time.
        rows = [
            [number for clip in before for number in clip[band].tolist()]
            for band in range(len(before[0]))
        ]
        expected = [torch.tensor([[measure(row)] for row in rows]) for measure in (fmean, pstdev)]
        bands = len(rows)
        for which, name in enumerate(("mean", "std")):
            known = {
                (bands,): "keep the axis, to subtract it from (band, frame): keepdim=True",
                (1, bands): "a row for each band: (band, 1)",
                (): "each band has its own: sum over the frames alone, dim=1",
                (bands, bands): "the axes do not fit: (band, 1) with keepdim=True",
            }
            shape_of(got[which], (bands, 1), known, f"the {name} of each band: (band, 1)")
            same_dtype(got[which], torch.float32, "sum in float64, return float32")
            if bool(got[which].isnan().any()):
                cause = "the root of a number just below 0, by rounding: clamp(min=0) before it"
                if bands == 7:
                    cause = "a division by zero frames, or the root of a negative number"
                fail(f"a {name} in each band", "not a number", cause)
            if bands == 3:  # sums are rounded here if they are kept in float32
                error = (got[which].double() - expected[which]).abs().max()
                if error > (5e-3, 1e-3)[which]:
                    cause = "float32 has 7 digits: keep the sums in float64, clip.double()"
                    fail(
                        f"a {name} that is right to three digits", f"{float(error):.3g} off", cause
                    )
                continue
            mistakes = partial(_of_statistics, which, before)
            cause = ("sum of all frames / number of all frames", "sqrt(mean of x ** 2 - mean ** 2)")
            compare(got[which], expected[which], mistakes, cause[which], 1e-5, f"a {name}")
    passed("mean and std of each band, over all frames, in one pass and without rounding errors")


def _of_statistics(which: int, clips: list) -> dict[str, Tensor]:
    """Causes, and the means or standard deviations to which they lead."""
    clips = [clip.double() for clip in clips]
    frames = torch.cat(clips, dim=1)
    mean = frames.mean(dim=1, keepdim=True)
    std = (frames - mean).square().mean(dim=1, keepdim=True).sqrt()
    ones = torch.ones_like(mean)
    count = frames.shape[1]
    means = torch.cat([clip.mean(dim=1, keepdim=True) for clip in clips], dim=1)
    stds = torch.cat([clip.std(dim=1, keepdim=True, correction=0) for clip in clips], dim=1)
    squares = torch.cat([clip.square().mean(dim=1, keepdim=True) for clip in clips], dim=1)
    of_means = means.mean(dim=1, keepdim=True)
    if which == 0:
        return {
            "a longer clip counts more: all frames, not the mean of the clips' means": of_means,
            "each band has its own mean": ones * frames.mean(),
            "divide by the number of frames: this is the sum": mean * count,
            "divide by the frames, not by the clips": mean * count / len(clips),
            "divide by the frames, not by the frames times the bands": mean / len(mean),
            "zeros behind a clip's end are no frames of it": mean
            * count
            / (len(clips) * max(clip.shape[1] for clip in clips)),
            "all clips count, not only the last": means[:, -1:],
            "all clips count, not only the first": means[:, :1],
            "mean first, then std": std,
        }
    known = {
        "divide by the number of frames, not by one less": std
        * math.sqrt(count / max(1, count - 1)),
        "the root is missing: this is the variance": std.square(),
        "all frames, not the mean of the clips' standard deviations": stds.mean(1, keepdim=True),
        "a longer clip counts more: all frames, not a mean over clips": (
            (squares.mean(1, keepdim=True) - of_means.square()).clamp(min=0).sqrt()
        ),
        "the mean is that of all frames, not the mean of the clips' means": (
            (frames.square().mean(1, keepdim=True) - of_means.square()).clamp(min=0).sqrt()
        ),
        "the mean of the clips' variances leaves out how the clips differ": (
            stds.square().mean(dim=1, keepdim=True).sqrt()
        ),
        "within each clip is not enough: the clips differ, too": (
            sum((clip - clip.mean(1, keepdim=True)).square().sum(1, keepdim=True) for clip in clips)
            / count
        ).sqrt(),
        "subtract the square of the mean": frames.square().mean(dim=1, keepdim=True).sqrt(),
        "each band has its own standard deviation": ones * frames.std(correction=0),
        "all clips count, not only the last": stds[:, -1:],
        "the standard deviation of the frames, not of the clips' means": means.std(
            dim=1, keepdim=True, correction=0
        ),
        "divide by the number of frames": std * math.sqrt(count),
    }
    return {cause: value for cause, value in known.items() if not bool(value.isnan().any())}


# 4.3 - SpecAugment, within each clip


@own_random
def spec_augment(answer: Callable) -> None:
    """Masks of their own for each clip, inside its own frames.

    ``answer(features (batch, band, frame), lengths, bands, frames, generator)``: masked
    """
    bands, frames = 4, 10  # the widest masks
    lengths = torch.tensor([60, 60, 25, 60, 8, 60, 3, 60, 1, 60] * 80)
    features = torch.rand(len(lengths), 9, 60, generator=generator(3)) + 0.5  # nowhere 0
    given, own = features.clone(), lengths.clone()
    random = generator(7)
    got = call(answer, given, own, bands, frames, random)
    unchanged(features, given, "features")
    unchanged(lengths, own, "lengths")
    same_shape(got, tuple(features.shape), "(batch, band, frame) as before")
    same_dtype(got, torch.float32, "features stay float32")
    _from_the_generator(answer, (features, lengths, bands, frames), got, random)
    bands_seen, frames_seen = _only_stripes(got, features, lengths, bands, frames)
    for seen, widest, size, name in (
        (bands_seen, bands, 9, "bands"),
        (frames_seen, frames, 60, "frames"),
    ):
        _uniform([stripe for stripe in seen if stripe[2] == size], widest, size, name)
        _covered(seen, name)
    for size in (25, 8, 3):
        widest = max(width for _, width, own in frames_seen if own == size)
        if widest < min(frames, size // 2):
            cause = "half of a clip may be masked, and no more: min(width, length // 2)"
            fail(f"up to {min(frames, size // 2)} frames of a clip of {size}", widest, cause)
    for widths in ((0, 0), (4, 0), (0, 10)):
        some = call(answer, features[:40].clone(), lengths[:40].clone(), *widths, generator(1))
        same_shape(some, (40, 9, 60), "(batch, band, frame) as before")
        _only_stripes(some, features[:40], lengths[:40], *widths)
    passed(f"{len(lengths)} clips, each with masks of its own, inside its own frames")


def _from_the_generator(
    answer: Callable, given: tuple, got: Tensor, random: torch.Generator
) -> None:
    """Fail unless the masks follow from the generator's state, and from that alone."""
    torch.manual_seed(1)
    again = call(answer, *(_copy(value) for value in given), generator(7))
    if not torch.equal(got, again):
        cause = "every random number comes from the generator: torch.randint(..., generator=...)"
        fail("the same masks from the same seed", "others", cause)
    if torch.equal(got, given[0]):
        fail("stretches set to 0", "the features as they were", "write into a clone, return that")
    if torch.equal(got, call(answer, *(_copy(value) for value in given), random)):
        cause = "draw from the generator that is given: it must not be seeded inside"
        fail("other masks from a generator that has moved on", "the same masks", cause)


def _copy(value: object) -> object:
    return value.clone() if hasattr(value, "clone") else value


def _only_stripes(
    got: Tensor, features: Tensor, lengths: Tensor, bands: int, frames: int
) -> tuple[list[tuple], list[tuple]]:
    """Fail unless each clip has one stretch of bands and one of frames at 0, and is else itself.

    Returns (start, width, size) of the stretches of bands, and of frames.
    """
    if bool(got.isnan().any()):
        fail("numbers", "not a number", "set the stretches to 0, do not divide by them")
    changed = got != features
    if not bool((got[changed] == 0).all()):
        fail("0 where features are masked", "another number", "0 is the mean: set masks to 0")
    full = changed[lengths == lengths.max()]
    if len(full) > 30 and bool(full.any()) and bool((full == full[:1]).all()):
        cause = "each clip draws its own masks: these are shared by the whole batch"
        fail("masks that differ from clip to clip", "the same in every clip", cause)
    found: tuple[list[tuple], list[tuple]] = ([], [])
    for row, length in enumerate(lengths.tolist()):
        if bool(changed[row, :, length:].any()):
            columns = changed[row, :, length:].all(dim=0)
            cause = "masked bands end with the clip: features[:, :length] is what may change"
            if bool(columns.any()):
                cause = "the stretch of frames starts in 0..length - width of its own clip"
            fail(f"the padding of clip {row} as it was", "changed padding", cause)
        valid = changed[row, :, :length]
        masked = valid.all(dim=1), valid.all(dim=0)  # over whole bands, over whole frames
        stripes = masked[0][:, None] | masked[1]
        if not torch.equal(valid, stripes):
            cause = "a masked band is 0 in all frames, a masked frame in all bands"
            fail(f"whole bands and whole frames of clip {row} at 0", "parts of them", cause)
        if bool(masked[0].all()) and length // 2 < length:
            cause = (
                f"at most {bands} bands, and at most length // 2 frames: of a clip of "
                f"{length} frames nothing is left"
            )
            fail("a clip that can still be heard", "a clip of zeros", cause)
        for which, (widest, name) in enumerate(
            ((bands, "bands"), (min(frames, length // 2), "frames"))
        ):
            places = masked[which].nonzero().flatten().tolist()
            width = len(places)
            if width and places[-1] - places[0] + 1 != width:
                cause = f"one stretch of neighbouring {name}, not several"
                fail(f"one stretch of {name} in clip {row}", f"zeros at {places}", cause)
            if width > widest:
                cause = f"the width is drawn from 0..{name}"
                if which == 1 and width <= frames:
                    cause = "no more than half of the clip: min(width, length // 2)"
                elif width == widest + 1:
                    cause += ": randint(low, high) ends before high, the stretch before its end"
                fail(f"at most {widest} {name} of a clip of {length} frames", width, cause)
            found[which].append((places[0] if width else 0, width, len(masked[which])))
    return found


def _uniform(seen: list[tuple], widest: int, size: int, name: str) -> None:
    """Fail unless all widths 0..widest come up equally often, and stretches lie all over."""
    counts = [sum(width == wanted for _, width, _ in seen) for wanted in range(widest + 1)]
    share = len(seen) / (widest + 1)
    slack = 6 * math.sqrt(share * (1 - 1 / (widest + 1)))
    drawn = ", ".join(map(str, counts))
    wanted = f"widths 0..{widest} of {name} equally often"
    if counts[widest] == 0 and max(counts) > 0:
        cause = f"{widest} is possible, too: randint(0, {name} + 1) includes {name}"
        if counts[0] == len(seen):
            cause = f"a stretch of {name} is masked in most clips: here in none"
        elif sum(map(bool, counts)) == 1:
            cause = "the width is drawn anew for each clip"
        fail(wanted, f"never {widest}", cause)
    if sum(counts[:-1]) < slack:
        fail(wanted, f"nearly always {widest}", "draw the width, do not always take the widest")
    if counts[0] == 0:
        fail(wanted, "never 0", "0 is possible, too: a clip may stay whole")
    if not all(abs(count - share) <= slack for count in counts):
        cause = "the width is drawn first, then a start from 0..size - width, so that it fits"
        fail(wanted, f"{drawn} times", cause)
    starts = [(start, start + width) for start, width, _ in seen if width]
    middle = sum(start + end for start, end in starts) / (2 * len(starts))
    if abs(middle - size / 2) > 5 * size / math.sqrt(12 * len(starts)):
        cause = "every start in 0..size - width is equally probable"
        fail(f"stretches of {name} around {size / 2:g} on average", f"{middle:.1f}", cause)


def _covered(seen: list[tuple], name: str) -> None:
    """Fail unless stretches reach both ends as often as they should."""
    shares = [1 / (size - width + 1) for _, width, size in seen if 0 < width < size]
    expected = sum(shares)
    slack = 6 * math.sqrt(sum(share * (1 - share) for share in shares))
    at_end = sum(start + width == size for start, width, size in seen if 0 < width < size)
    at_start = sum(start == 0 for start, width, size in seen if 0 < width < size)
    reach = f"about {expected:.0f} stretches of {name}"
    if at_end == 0:
        cause = f"the last of the {name} can be masked, too: a start in 0..size - width, inclusive"
        fail(f"{reach} up to the end", "none", cause)
    if at_start == 0:
        fail(f"{reach} from the start on", "none", "a start can be 0, too")
    if at_end > expected + slack:
        cause = "a start in 0..size - width, so that the stretch fits: this one is cut at the end"
        fail(f"{reach} up to the end", at_end, cause)
    if at_start > expected + slack:
        cause = "every start in 0..size - width is equally probable"
        fail(f"{reach} from the start on", at_start, cause)


# 4.4 - Sort and pad


def collate_sequences(answer: Callable) -> None:
    """Longest first, zeros behind the end, and each target beside its own clip.

    ``answer([(features (band, frame), tokens), ...])``: features, lengths, targets, lengths
    """
    random = generator(4)
    batches = [
        [(5, [3, 1, 2]), (9, [4]), (2, [1, 1, 5, 2]), (9, [2, 2]), (7, []), (9, [6, 7, 8, 9, 1])],
        [(3, [1, 2]), (4, [3])],
        [(6, [5, 5, 1])],
    ]
    for batch in batches:
        items = [
            (torch.rand(4, frames, generator=random) + 0.1, list(tokens))
            for frames, tokens in batch
        ]
        given = [(features.clone(), list(tokens)) for features, tokens in items]
        order = [id(features) for features, _ in given]
        result = call(answer, given)
        _untouched(items, given, order)
        if not (isinstance(result, tuple) and len(result) == 4):
            cause = "return features, lengths, targets, target_lengths"
            fail("a tuple of four tensors", _described(result), cause)
        # The oracle: plain Python. Longest first; clips of the same length in their old order.
        ranked = sorted(items, key=lambda item: -item[0].shape[1])
        longest = ranked[0][0].shape[1]
        longest_target = max(len(tokens) for _, tokens in items)
        known = {
            (len(items), longest, 4): "features stay (band, frame): the batch is (batch, 4, frame)",
            (longest, len(items), 4): "the batch comes first: batch_first=True, and bands second",
            (len(items), 4, min(f for f, _ in batch)): "up to the longest clip, not the shortest",
        }
        names = ("features", "lengths", "targets", "target_lengths")
        for value, name in zip(result, names, strict=True):
            if not isinstance(value, Tensor):
                fail(f"{name} as a tensor", type(value).__name__, "torch.tensor(...) of the list")
        shape_of(result[0], (len(items), 4, longest), known, "(batch, band, longest)")
        same_dtype(result[0], torch.float32, "the features stay float32")
        flat = sum(len(tokens) for _, tokens in items)
        known = {
            (flat,): "a row for each clip, with zeros behind: not all targets in one row",
            (longest_target, len(items)): "the batch comes first",
        }
        shape_of(result[1], (len(items),), {}, "one number of frames for each clip")
        shape_of(result[2], (len(items), longest_target), known, "(batch, longest target)")
        shape_of(result[3], (len(items),), {}, "one number of tokens for each clip")
        for value, name in list(zip(result, names, strict=True))[1:]:
            same_dtype(value, torch.int64, f"{name} are int64, as torch.CTCLoss takes them")
        _lengths_fit(result[1], result[3], items, ranked)
        _rows_fit(result, items, ranked)
    passed("sorted by length, zeros behind the end, and each target beside its own clip")


def _described(result: object) -> str:
    if isinstance(result, tuple | list):
        return f"a {type(result).__name__} of {len(result)}"
    return type(result).__name__


def _untouched(items: list, given: list, order: list[int]) -> None:
    """Fail if the list of items, or what is in it, is not as it was."""
    if [id(features) for features, _ in given] != order:
        cause = "sorted(items, ...) makes a new list, items.sort(...) changes the one given"
        fail("items in their old order", "another order", cause)
    for (features, tokens), (after, tokens_after) in zip(items, given, strict=True):
        if not torch.equal(features, after) or tokens != tokens_after:
            fail("items as they were", "changed ones", "make new tensors and lists")


def _lengths_fit(lengths: Tensor, target_lengths: Tensor, items: list, ranked: list) -> None:
    frames = [features.shape[1] for features, _ in ranked]
    unsorted = [features.shape[1] for features, _ in items]
    by_targets = [
        features.shape[1] for features, _ in sorted(items, key=lambda item: -len(item[1]))
    ]
    known = {
        "longest first: reverse=True": frames[::-1],
        "sort the items by their frames, longest first": unsorted,
        "sort by the frames, not by the tokens": by_targets,
        "the frames of each clip, not of the longest": [frames[0]] * len(frames),
        "the frames of a clip, not its bands: shape[1]": [4] * len(frames),
    }
    equal(lengths.tolist(), frames, known, "the frames of each clip, in the new order", "lengths")
    tokens = [len(row) for _, row in ranked]
    known = {
        "the target lengths are sorted with their clips": [len(row) for _, row in items],
        "the tokens of each target, not of the longest": [max(tokens)] * len(tokens),
        "target lengths follow the clips: sort the items, not each list": sorted(
            tokens, reverse=True
        ),
        "the tokens of each target, not its frames": frames,
        "clips of the same length keep their order: sort with reverse=True, do not turn round": [
            len(row) for _, row in sorted(items, key=lambda item: item[0].shape[1])[::-1]
        ],
    }
    cause = "the tokens of each target, beside its clip"
    equal(target_lengths.tolist(), tokens, known, cause, "target_lengths")


def _rows_fit(result: tuple, items: list, ranked: list) -> None:
    """Fail unless each row holds its clip and its target, and zeros behind them."""
    features, _, targets, _ = result
    rows = targets.tolist()
    for row, (clip, tokens) in enumerate(ranked):
        count = clip.shape[1]
        if features[row, :, :count].tolist() != clip.tolist():
            cause = "the features of each clip at the front of its row, longest clip first"
            if features[row, :, features.shape[2] - count :].tolist() == clip.tolist():
                cause = "zeros go behind the end, not in front"
            elif any(
                features[row, :, : other.shape[1]].tolist() == other.tolist() for other, _ in items
            ):
                cause = "sort features, lengths and targets together: sort the items"
            fail(f"clip {row} of the sorted items in row {row}", "other numbers", cause)
        behind = features[row, :, count:]
        if not bool((behind == 0).all()):
            fail("zeros behind the end of each clip", f"{float(behind.max()):.3g}", "pad with 0")
        wanted = tokens + [0] * (len(rows[row]) - len(tokens))
        if rows[row] != wanted:
            cause = "the tokens of clip and row, then zeros"
            size = len(wanted) - len(tokens)
            if rows[row][: len(tokens)] == tokens:
                cause = f"targets are padded with 0, not with {rows[row][-1]}"
            elif rows[row] == [0] * size + tokens:
                cause = "zeros go behind the end, not in front"
            elif rows[row][: len(items[row][1])] == items[row][1]:
                cause = "targets are sorted with their clips: sort the items"
            fail(f"targets {wanted} in row {row}", rows[row], cause)
