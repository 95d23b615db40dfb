"""Checks of masks: a part of the features is hidden."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.core import (
    CheckFailed,
    call,
    chance,
    check,
    fail,
    generator,
    passed,
    same_dtype,
    same_shape,
)
from course_utils.checks.state import same_content

# 4.3 - SpecAugment, within each clip


def _stretch(draw: Callable[[int], int], most: int, size: int, least: int = 0) -> range:
    """The places of a stretch: the width is drawn, and then a start, so that it fits."""
    width = min(most, max(least, draw(most)))
    return _from(draw(size - width), width)


def _from(start: int, width: int, step: int = 1) -> range:
    return range(start, start + step * width, step)


def _by_share(draw: Callable[[int], int], most: int, size: int) -> range:
    share = draw(999) / 1000
    width = int(share * (most + 1))
    return _from(int(share * (size - width + 1)), width)


def _augmented(
    features: Tensor, lengths: Tensor, bands: int, frames: int, random: torch.Generator, *,
    rows: Callable = _stretch, columns: Callable = _stretch, part: int = 2, padding: str = "",
    fill: float = 0,
) -> Tensor:
    """A right answer, unless there are options."""

    def draw(most: int) -> int:
        return int(torch.randint(most + 1, (), generator=random))

    features = features.clone()
    for clip, length in zip(features, lengths.tolist(), strict=True):
        hidden = [i for i in rows(draw, bands, len(clip)) if i < len(clip)]
        clip[hidden, : None if padding == "bands" else length] = fill
        size = clip.shape[1] if padding == "frames" else length
        hidden = [i for i in columns(draw, min(frames, length // part), size) if i < size]
        clip[:, hidden] = fill
    return features


def _hidden(x: Tensor, n: Tensor, *rest: Any) -> Tensor:
    return _augmented(torch.ones_like(x), n, *rest) == 0


def _shared(x: Tensor, n: Tensor, *rest: Any) -> Tensor:
    inside = torch.arange(x.shape[2]) < n[:, None]
    return x.masked_fill(_hidden(x[:1], n.max()[None], *rest) & inside[:, None], 0)


def _crossed(x: Tensor, n: Tensor, bands: int, frames: int, random: torch.Generator) -> Tensor:
    both = _hidden(x, n, bands, 0, random) & _hidden(x, n, 0, frames, random)
    return x.masked_fill(both, 0)


def _other(**options: Any) -> Callable:
    return functools.partial(_augmented, **options)


#: Faults that the check finds: the likely cause, and an answer of the kind.
_FAULTS: dict[str, tuple[str, Callable]] = {
    "foreign": ("every random number comes from the generator: torch.randint(..., generator=...)",
        lambda *given: _augmented(*given[:4], torch.default_generator)),
    "seeded": ("draw from the generator that is given: it must not be seeded inside",
        lambda *given: _augmented(*given[:4], generator(5))),
    "shared": ("each clip draws its own masks: these are shared by the whole batch", _shared),
    "axes": ("(batch, band, frame) as before", lambda *given: _augmented(*given).mT),
    "dtype": ("features stay float32", lambda *given: _augmented(*given).double()),
    "fill": ("0 is the mean: set masks to 0", _other(fill=1)),
    "padding": ("masked bands end with the clip: features[:, :length] is what may change",
        _other(padding="bands")),
    "outside": ("padding stays as it is, whatever stands in it",
        lambda x, n, *rest: _augmented(x.nan_to_num(0), n, *rest)),
    "beyond": ("the stretch of frames starts in 0..length - width of its own clip",
        _other(padding="frames")),
    "whole": ("a masked band is 0 in all frames, a masked frame in all bands", _crossed),
    "half": ("no more than half of the clip: min(width, length // 2)", _other(part=1)),
    "to half": ("half of a clip may be masked, and no more: min(width, length // 2)",
        _other(part=3)),
    "related": (
        "two widths and two starts for each clip, each drawn anew: one says nothing of another",
        _other(columns=_by_share)),
}
#: The same of a stretch of bands, and of one of frames.
_STRETCHES: dict[str, tuple[str, Callable[[Callable[[int], int], int, int], range]]] = {
    "several": ("one stretch of neighbouring {}, not several",
        lambda draw, most, size: _from(draw(size - 1), draw(most // 2), 2)),
    "wide": ("the width is drawn from 0..{}",
        lambda draw, most, size: _stretch(draw, min(most + 2, size), size)),
    "high": ("the width is drawn from 0..{}: randint(low, high) ends before high, the stretch "
        "before its end",
        lambda draw, most, size: _from(draw(size - most - 1), most + 1)),
    "no": ("a stretch of {} is masked in most clips: here in none",
        lambda draw, most, size: range(0)),
    "widest": ("the widest is possible, too: randint(0, {0} + 1) includes {0}",
        lambda draw, most, size: _stretch(draw, max(0, most - 1), size)),
    "always": ("draw the width of {}, do not always take the widest",
        lambda draw, most, size: _from(draw(size - most), most)),
    "constant": ("the width of {} is drawn anew for each clip",
        lambda draw, most, size: _from(draw(size - most // 2), most // 2)),
    "never 0": ("0 {} are possible, too: a clip may stay whole",
        lambda draw, most, size: _stretch(draw, most, size, 1)),
    "uneven": (
        "every width of {} is equally probable: it is drawn first, then a start so that it fits",
        lambda draw, most, size: _stretch(draw, most * draw(1), size)),
    "last": ("the last of the {} can be masked, too: a start in 0..size - width, inclusive",
        lambda draw, most, size: _stretch(draw, most, max(most, size - 1))),
    "cut": ("a start in 0..size - width, so that the {} fit: this stretch is cut at the end",
        lambda draw, most, size: _from(draw(size - 1), draw(most))),
    "places": ("every start of {} in 0..size - width is equally probable",
        lambda draw, most, size: _from(0, draw(most))),
}
_FAULTS |= {
    f"{kind} {name}": (cause.format(name), _other(**{axis: stretch}))
    for name, axis in (("bands", "rows"), ("frames", "columns"))
    for kind, (cause, stretch) in _STRETCHES.items()
}


def _fault(kind: str, expected: Any, got: Any) -> None:
    fail(expected, got, _FAULTS[kind][0])


@check(
    "4.3", dict(_FAULTS.values()), draws=False,
    hints={
        "expects 'from' to be less than 'to'":
            "the upper end of torch.randint is excluded: randint(width + 1) draws 0 to width",
    },
)
def spec_augment(answer: Callable) -> None:
    """Masks of their own for each clip, inside its own frames.

    ``answer(features (batch, band, frame), lengths, bands, frames, generator)``: masked
    """
    draw, random = chance(3), generator(7)
    count, longest = draw.randint(9, 12), draw.randint(50, 65)
    bands, frames = draw.randint(4, 5), draw.randint(9, 12)  # the widest masks
    short = [draw.randint(24, 28), draw.randint(10, 11), draw.randint(6, 8), 3, 1]
    lengths = torch.tensor([longest, *(size for own in short for size in (own, longest))] * 110)
    features = torch.rand(len(lengths), count, longest, generator=generator(3)) + 0.5  # never 0
    features[:, ::2] *= -1
    features[(torch.arange(longest) >= lengths[:, None])[:, None].expand_as(features)] = math.nan
    got = _masked(answer, features, lengths, bands, frames, random)
    few = (features[:40], lengths[:40], bands, frames)
    first, again, other = (
        _masked(answer, *few, chances) for chances in (generator(7), generator(7), random)
    )
    if not same_content(first, again):
        _fault("foreign", "the same masks from the same seed", "others")
    if same_content(again, other):
        _fault("seeded", "other masks from a generator that has moved on", "the same masks")
    starts, widths = _stripes(got, features, lengths, bands, frames)
    full, sizes = lengths == longest, torch.stack([torch.full_like(lengths, count), lengths])
    both = full & (widths > 0).all(dim=0)
    if int(both.sum()) > 50:
        places = starts / (sizes - widths).clamp(min=1)
        related = torch.corrcoef(torch.cat([widths, places])[:, both]).nan_to_num()
        most = float(related.fill_diagonal_(0).abs().max())
        if most > 6 / math.sqrt(int(both.sum())):
            _fault("related", "numbers that are not related", f"a correlation of {most:.2f}")
    for which, (widest, name) in enumerate(((bands, "bands"), (frames, "frames"))):
        _by_chance(starts[which], widths[which], sizes[which], full, widest, name)
    whole = int((widths[1][lengths == short[0]] == 0).sum())
    if whole > 0.35 * int((lengths == short[0]).sum()):  # a start behind the clip hides nothing
        _fault("beyond", "a stretch of frames in most of the short clips", f"none in {whole}")
    for size in short[1:4]:
        widest = int(widths[1][lengths == size].max())
        if widest < size // 2:
            _fault("to half", f"up to {size // 2} frames of a clip of {size}", widest)
    for size, *most_ in ((40, 0, 0), (40, bands, 0), (40, 0, frames), (1, bands, frames)):
        given = (features[:size], lengths[:size])
        _stripes(_masked(answer, *given, *most_, generator(1)), *given, *most_)
    passed(f"{len(lengths)} clips, each with masks of its own, inside its own frames")


def _masked(answer: Callable, features: Tensor, lengths: Tensor, *rest: Any) -> Tensor:
    try:
        got = call(answer, features.clone(), lengths.clone(), *rest)
    except CheckFailed as error:
        if error.got in ("some were drawn", "a changed state"):  # of another generator
            _fault("foreign", error.expected, error.got)
        raise
    same_shape(got, tuple(features.shape), _FAULTS["axes"][0])
    same_dtype(got, torch.float32, _FAULTS["dtype"][0])
    return got


def _stripes(
    got: Tensor, features: Tensor, lengths: Tensor, bands: int, frames: int
) -> tuple[Tensor, Tensor]:
    """Fail unless each clip has one stretch of bands and one of frames at 0, and is else itself.

    Returns starts and widths of the stretches, each (2, batch): of bands, and of frames.
    """
    changed = (got != features) & ~(got.isnan() & features.isnan())
    if bool((got[changed] != 0).any()):
        _fault("fill", "0 where features are masked", "another number")
    full = changed[lengths == lengths.max()]
    if len(full) > 30 and bool(full.any()) and bool((full == full[:1]).all()):
        _fault("shared", "masks that differ from clip to clip", "the same in every clip")
    outside = torch.arange(got.shape[2]) >= lengths[:, None]
    if bool((changed & outside[:, None]).any()):
        whole = bool((changed.all(dim=1) & outside).any())
        kind = "outside" if bool(changed[outside[:, None].expand_as(changed)].all()) else (
            "beyond" if whole else "padding")
        _fault(kind, "the padding as it was", "changed padding")
    masked = (changed | outside[:, None]).all(dim=2), changed.all(dim=1)
    stripes = (masked[0][:, :, None] | masked[1][:, None]) & ~outside[:, None]
    if not torch.equal(changed, stripes):
        _fault("whole", "whole bands and whole frames at 0", "parts of them")
    found = []
    for hidden, name, drawn, allowed in (
        (masked[1], "frames", frames, (lengths // 2).clamp(max=frames)),
        (masked[0], "bands", bands, torch.full_like(lengths, bands)),
    ):
        width, start = hidden.sum(dim=1), hidden.int().argmax(dim=1)
        last = hidden.shape[1] - 1 - hidden.flip(1).int().argmax(dim=1)
        for row in ((width > 0) & (last - start + 1 != width)).nonzero()[:, 0].tolist()[:1]:
            places = hidden[row].nonzero().flatten().tolist()
            _fault(f"several {name}", f"one stretch of {name} in clip {row}", f"zeros at {places}")
        row = int((width - allowed).argmax())
        if width[row] > allowed[row]:
            excess = int(width.max()) - drawn
            kind = "half" if excess <= 0 else f"{'high' if excess == 1 else 'wide'} {name}"
            frames_ = f"{name} of a clip of {int(lengths[row])} frames"
            _fault(kind, f"at most {int(allowed[row])} {frames_}", int(width[row]))
        found.append((start, width))
    return tuple(torch.stack(pair[::-1]) for pair in zip(*found, strict=True))


def _by_chance(
    starts: Tensor, widths: Tensor, sizes: Tensor, full: Tensor, widest: int, name: str
) -> None:
    """Fail unless all widths of long clips come up equally often, and stretches lie all over."""
    counts = torch.bincount(widths[full], minlength=widest + 1)
    share = float(full.sum()) / (widest + 1)
    squares = float((counts - share).square().sum()) / share  # about as many as there are widths
    inside = (widths > 0) & (widths < sizes)
    starts, places = starts[inside], (sizes - widths + 1)[inside].double()
    at_end, expected = int((starts == places - 1).sum()), float((1 / places).sum())
    at_start = int((starts == 0).sum())
    too_many = expected + 6 * math.sqrt(float((1 / places * (1 - 1 / places)).sum()))
    # Distances from the middle, in standard deviations: their mean is 0, that of squares is 1.
    distance = (starts - (places - 1) / 2) / ((places.square() - 1) / 12).sqrt()
    mean, square = distance.mean().abs(), (distance.square().mean() - 1).abs()
    root = math.sqrt(max(1, len(places)))
    evenly = f"widths 0..{widest} of {name} equally often"
    drawn = f"{', '.join(map(str, counts.tolist()))} times"
    reach = f"stretches of {name} all over, about {expected:.0f} of {len(places)} up to the end"
    reached = f"{at_end}, and {float(distance.mean()):.2f} deviations from the middle"
    for wrong, kind, wanted, got in (
        (counts[0] == counts.sum(), f"no {name}", evenly, drawn),
        (counts[widest] > 0.9 * counts.sum(), f"always {name}", evenly, drawn),
        (counts.max() == counts.sum(), f"constant {name}", evenly, drawn),
        (counts[widest] == 0, f"widest {name}", evenly, drawn),
        (counts[0] == 0, f"never 0 {name}", evenly, drawn),
        (mean > 0.5, f"places {name}", reach, reached),
        (at_end == 0, f"last {name}", reach, reached),
        (at_end > too_many >= at_start, f"cut {name}", reach, reached),
        (squares > widest + 6 * math.sqrt(2 * widest), f"uneven {name}", evenly, drawn),
        (mean > 6 / root or square > 6 * math.sqrt(0.8) / root, f"places {name}", reach, reached),
    ):
        if wrong:
            _fault(kind, wanted, got)
