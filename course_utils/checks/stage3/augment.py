"""Checks of what is done to waveforms before training: speed, noise, shift, silence, gain."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from course_utils.checks.agree import agree
from course_utils.checks.core import call, chance, check, fail, generator, passed, same_shape

_KEPT = "(batch, 1, time) as before"
_FLOAT = "the samples stay float32"
_HINTS = {
    "size of tensor a .* must match": "(batch,) meets (batch, 1, time): view it as (batch, 1, 1)"
}


def _samples(got: Tensor, waveforms: Tensor) -> None:
    """Fail unless `got` may be the waveforms, changed."""
    same_shape(got, tuple(waveforms.shape), _KEPT)
    if got.dtype != torch.float32:
        fail(torch.float32, got.dtype, _FLOAT)
    if bool(got.isnan().any()):
        fail("samples", "not a number", "a division by zero, or a logarithm of zero")


def _keeps_shape(answer: Callable, given: Sequence[Tensor]) -> None:
    _samples(call(answer, *(x.clone() for x in given)), given[0])


def _each(values: Tensor) -> Tensor:
    return values[:, None, None]


def _first(values: Tensor) -> Tensor:
    return values[:1].expand(len(values))


def _mean(values: Tensor) -> Tensor:
    return values.mean().expand(len(values))


# 3.6 - Faster and slower


def _read(waveforms: Tensor, positions: Tensor, **beyond: float | None) -> Tensor:
    """Each clip at its positions (batch, 1, time), on straight lines, by NumPy."""
    places = np.arange(waveforms.shape[2])
    rows = [
        np.interp(position, places, clip, **({"right": 0.0} | beyond))
        for clip, position in zip(waveforms[:, 0].numpy(), positions[:, 0].numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(rows)).float()[:, None]


def _n(waveforms: Tensor) -> Tensor:
    return torch.arange(waveforms.shape[2]).double()


def _faster(waveforms: Tensor, factors: Tensor) -> Tensor:
    """The oracle."""
    return _read(waveforms, _n(waveforms) * _each(factors))


def _weighed(weight: Callable) -> Callable:
    """Between the two neighbours, the right one with a weight made of the part behind the left."""

    def read(waveforms: Tensor, factors: Tensor) -> Tensor:
        last = waveforms.shape[2] - 1
        position = _n(waveforms) * _each(factors)
        left = position.long()
        share = weight((position - left).float())
        before, after = (waveforms.gather(2, x.clamp(max=last)) for x in (left, left + 1))
        return (before * (1 - share) + after * share) * (position <= last)

    return read


SPEED_MISTAKES: dict[str, Callable] = {
    "position n * factor, not n / factor": lambda x, f: _read(x, _n(x) / _each(f)),
    "each clip has its own factor: this is the first clip's": lambda x, f: _faster(x, _first(f)),
    "each clip has its own factor: this is their mean": lambda x, f: _faster(x, _mean(f)),
    "a line between the two neighbours, not the sample before": _weighed(torch.zeros_like),
    "a line between the two neighbours, not the sample behind": _weighed(torch.ceil),
    "a line between the two neighbours, not their mean": _weighed(lambda part: part.ceil() / 2),
    "a line between the two neighbours, not the nearest one":
        lambda x, f: _read(x, (_n(x) * _each(f)).round()),
    "the nearer neighbour has the larger weight: 1 - part for the left, part for the right":
        _weighed(lambda part: 1 - part),
    "beyond the last sample is silence, not the last sample":
        lambda x, f: _read(x, _n(x) * _each(f), right=None),
    "beyond the last sample is silence: nothing wraps round":
        lambda x, f: _read(x, _n(x) * _each(f) % x.shape[2]),
    "the last sample itself can be read, too: positions <= time - 1":
        lambda x, f: _faster(x, f) * (_n(x) * _each(f) < x.shape[2] - 1),
    "a factor that speaks faster reads further apart; the middle does not stay":
        lambda x, f: _read(x, (_n(x) - x.shape[2] // 2) * _each(f) + x.shape[2] // 2, left=0.0),
    "the factor is used as it is: it is not rounded": lambda x, f: _faster(x, f.round(decimals=1)),
    "the factor is used as it is, also above 2 and below 0.5":
        lambda x, f: _faster(x, f.clamp(0.5, 2)),
    "positions need the precision of float32":
        lambda x, f: _read(x, (torch.arange(x.shape[2]) * _each(f)).half().double()),
    "a position behind the last sample reads 0: nothing fades":
        lambda x, f: _read(F.pad(x, (0, 1)), _n(x) * _each(f)),
    "the length is that of the clips: it need not be 16,000":
        lambda x, f: _faster(x[..., :16_000], f),
}


@check("3.6", SPEED_MISTAKES, draws=False, hints=_HINTS)
def change_speed(answer: Callable) -> None:
    """Equal to NumPy's interpolation, each clip with its own factor.

    ``answer(waveforms (batch, 1, time), factors (batch,)) -> (batch, 1, time)``
    """
    sizes, random = chance(6), generator(6)

    def noise(batch: int, time: int) -> Tensor:
        return 2 * torch.rand(batch, 1, time, generator=random) - 1

    def factors(batch: int, time: int, fades: bool = False) -> Tensor:
        """In 64ths, so that positions are exact: just behind the last sample lies one, or none."""
        known = (k / 64 for k in range(40, 126))
        return torch.tensor(sizes.sample([f for f in known if _fades(f, time) == fades], batch))

    ramp = torch.tensor([10.0, 20.0, 30.0, 40.0]).expand(5, 1, 4).clone()
    hand = ramp, torch.tensor([1.5, 1.0, 0.5, 2.0, 0.75])
    _keeps_shape(answer, hand)
    hertz = torch.tensor(sizes.sample(range(200, 700), 2))
    tones = 0.6 * torch.sin(_each(hertz) * torch.arange(sizes.randint(16_200, 17_000)) / 2546)
    clips = [noise(6, sizes.randint(150, 260)), noise(1, sizes.randint(40, 90))]
    clips.append(tones[..., :16_000])
    cause = "sample n reads position n * factor: on a line between two neighbours, 0 past the end"
    for cases in (
        [(x, factors(len(x), x.shape[2])) for x in clips],
        [
            hand,
            (noise(5, 101), torch.tensor([1.0, 2.0, 0.5, 1.25, 1.0])),
            (noise(4, 97), torch.tensor([2.5, 0.25, 3.0, 0.375])),
            (clips[0], factors(6, clips[0].shape[2], fades=True)),
            (tones, torch.tensor([0.75, 1.0])),
        ],
    ):
        agree(answer, _faster, cases, SPEED_MISTAKES, cause, 1e-3, "a sample")
    passed("hand-worked ramps, noise and tones, each clip with its own factor")


def _fades(factor: float, time: int) -> bool | None:
    """Whether the first position past the last sample lies before the next; None if on the last."""
    n = math.ceil((time - 1) / factor)
    if n < time and n * factor == time - 1:
        return None
    return n < time and n * factor < time


# 3.7 - Noise at a signal-to-noise ratio


def _with_noise(speech: Tensor, noises: Tensor, snr: Tensor) -> Tensor:
    """The oracle: clip by clip, in plain Python from the levels in dB."""

    def level(samples: Tensor) -> float:
        return 10 * math.log10(math.fsum(x * x for x in samples.tolist()) / len(samples))

    mixed = speech.clone()
    for row, (s, z, ratio) in enumerate(zip(speech[:, 0], noises[:, 0], snr.tolist(), strict=True)):
        if s.any() and z.any():
            mixed[row] += 10 ** ((level(s) - level(z) - ratio) / 20) * z
    return mixed


def _power(x: Tensor) -> Tensor:
    return x.square().mean(dim=2, keepdim=True)


def _db(ratio: Tensor) -> Tensor:
    return 10 ** (_each(ratio) / 10)


def _mix(x: Tensor, z: Tensor, snr: Tensor, power: Callable = _power) -> Tensor:
    return x + (power(x) / power(z) / _db(snr)).sqrt() * z


_QUIET = "this clip or its noise is quiet: what keeps from dividing by 0 is too large"
_NO_SPEECH = "next to silence no noise is quiet enough: its factor is 0"
_NO_NOISE = "a noise of power 0 cannot be scaled: then its factor is 0"
_OTHERS = "silence in one clip or its noise changes nothing for the others of its batch"

NOISE_MISTAKES: dict[str, Callable] = {
    "20 for amplitudes, 10 for powers: factor = ratio of amplitudes / 10 ** (snr / 20)":
        lambda x, z, snr: _mix(x, z, 2 * snr),
    "the factor is for amplitudes: the root of the ratio of powers":
        lambda x, z, snr: x + _power(x) / _power(z) / _db(snr) * z,
    "10 ** (snr / 10) belongs to powers: take the root of all of it":
        lambda x, z, snr: x + _power(x) / _power(z) / _db(snr).sqrt() * z,
    "10 for powers: this ratio is 10 ** (snr / 20)": lambda x, z, snr: _mix(x, z, snr / 2),
    "the power of each clip, not of the whole batch":
        lambda x, z, snr: _mix(x, z, snr, lambda x: x.square().mean()),
    "the power is the mean of the squares, also where the mean is not zero":
        lambda x, z, snr: _mix(x, z, snr, lambda x: x.var(dim=2, keepdim=True)),
    "the power is the mean of the squares, not of the magnitudes":
        lambda x, z, snr: _mix(x, z, snr, lambda x: x.abs().mean(dim=2, keepdim=True).square()),
    "the power is the mean of the squares, not the peak":
        lambda x, z, snr: _mix(x, z, snr, lambda x: x.square().amax(dim=2, keepdim=True)),
    "the power is that of the whole clip, pauses included": lambda x, z, snr: _mix(
        x, z, snr, lambda y: _power(y[..., : y.shape[2] // 2] if y is x else y)
    ),
    "the power is the mean over the whole clip: zeros in it count": lambda x, z, snr: _mix(
        x, z, snr, lambda y: y.square().sum(2, True) / (y != 0).sum(2, keepdim=True)
    ),
    "a higher ratio is less noise: the sign of snr": lambda x, z, snr: _mix(x, z, -snr),
    "each clip has its own ratio: this is the first clip's":
        lambda x, z, snr: _mix(x, z, _first(snr)),
    "each clip has its own ratio: this is their mean": lambda x, z, snr: _mix(x, z, _mean(snr)),
    "each clip has its own noise: this is the first":
        lambda x, z, snr: _mix(x, z[:1].expand_as(z), snr),
    "the noise is not scaled to the power of its clip": lambda x, z, snr: x + z / _db(snr).sqrt(),
    "the noise is not scaled": lambda x, z, snr: x + z,
    "the speech is missing: waveforms + the scaled noise": lambda x, z, snr: _mix(x, z, snr) - x,
    "the noise was not added": lambda x, z, snr: x,
    "the noise is added, not taken away": lambda x, z, snr: 2 * x - _mix(x, z, snr),
    "the ratio is speech to noise, not noise to speech":
        lambda x, z, snr: x + (_power(z) / _power(x) / _db(snr)).sqrt() * z,
    "the ratio of dB is a power of ten, not of e":
        lambda x, z, snr: _mix(x, z, snr * math.log10(math.e)),
    "the noise is scaled, not the speech":
        lambda x, z, snr: x * (_power(z) / _power(x) * _db(snr)).sqrt() + z,
    "the sum is not clipped": lambda x, z, snr: _mix(x, z, snr).clamp(-1, 1),
    "the sum is not scaled to a peak of 1":
        lambda x, z, snr: F.normalize(_mix(x, z, snr), p=math.inf, dim=2),
    _QUIET: lambda x, z, snr: _mix(x, z, snr, lambda y: y.square().mean(2, True) + 1e-8 * (y is z)),
    _NO_NOISE: _mix,
    _NO_SPEECH: lambda x, z, snr: _mix(x, z, snr, lambda y: _power(y).clamp(min=1e-8)),
    _OTHERS: lambda x, z, snr: (
        _with_noise(x, z, snr) if x.any(dim=2).all() and z.any(dim=2).all() else x
    ),
}


@check("3.7", NOISE_MISTAKES, draws=False, hints=_HINTS)
def add_noise(answer: Callable) -> None:
    """The ratio is measured in what was added; silence stays silence.

    ``answer(waveforms, noises (batch, 1, time), snr (batch,)) -> (batch, 1, time)``
    """
    sizes, random = chance(7), generator(7)

    def drawn(loud: list[float], noisy: list[float]) -> tuple[Tensor, Tensor, Tensor]:
        batch, time = len(loud), sizes.randint(300, 400)
        speech = torch.randn(batch, 1, time, generator=random) + 0.3
        speech[..., time // 2 :] *= 0.05  # nearly silent, as in a clip with one short word
        speech[..., -time // 8 :] = 0  # and padded
        noises = torch.rand(batch, 1, time, generator=random) - 0.3
        snr = torch.tensor(sizes.sample([-6.0, -5.0, *map(float, range(5, 21))], batch))
        return speech * _each(torch.tensor(loud)), noises * _each(torch.tensor(noisy)), snr

    speech = torch.tensor([1.0, -1.0, 1.0, -1.0]).expand(2, 1, 4).clone()
    hand = speech, torch.full((2, 1, 4), 2.0), torch.tensor([0.0, 20.0])
    _keeps_shape(answer, hand)
    cause = "factor = sqrt(mean(speech ** 2) / mean(noise ** 2) / 10 ** (snr / 10))"
    ordinary = [drawn([0.5], [0.8]), drawn([0.5, 0.8, 1.5, 0.6], [0.9, 2.0, 1.4, 1.1])]
    ratios = {cause: _ratios(mistake) for cause, mistake in NOISE_MISTAKES.items()}
    agree(_ratios(answer), lambda x, z, snr: snr, ordinary, ratios, cause, 5e-3, "a ratio in dB")
    cause = "speech + factor * noise: the speech is not scaled, the sum is not clipped"
    agree(answer, _with_noise, [hand, *ordinary], NOISE_MISTAKES, cause, 1e-3, "a sample")
    quiet = [drawn([0.5, 0.5, 1e-3, 1e-3], [5e-4, 0.5, 1.0, 5e-4])]
    agree(_ratios(answer), lambda x, z, snr: snr, quiet, {}, _QUIET, 5e-3, "a ratio in dB")
    for batch in (1, 3):
        speech, noises, snr = drawn([0.5] * batch, [0.5] * batch)
        for loud, noisy, cause in ((0, 1, _NO_SPEECH), (1, 0, _NO_NOISE), (0, 0, _NO_NOISE)):
            given = loud * speech, noisy * noises, snr
            agree(answer, _with_noise, [given], {}, cause, 0, "a sample")
    speech[1] = 0
    noises[2] = 0
    agree(answer, _with_noise, [(speech, noises, snr)], {}, _OTHERS, 1e-3, "a sample")
    passed("the ratio of each clip is right, and silence stays silence")


def _ratios(answer: Callable) -> Callable:
    """What was added by an answer is measured: its ratio in dB, clip by clip."""

    @functools.wraps(answer)
    def measured(speech: Tensor, noises: Tensor, snr: Tensor) -> Tensor:
        added = answer(speech, noises, snr).double() - speech
        return (10 * (_power(speech.double()) / _power(added)).log10()).flatten().float()

    return measured


# Worked examples


def _moved(waveforms: Tensor, samples: Tensor) -> Tensor:
    """The oracle: lists of Python."""
    time, rows = waveforms.shape[2], zip(waveforms[:, 0].tolist(), samples.tolist(), strict=True)
    return torch.tensor(
        [[[x[t - by] if 0 <= t - by < time else 0.0 for t in range(time)]] for x, by in rows]
    )


MOVE_MISTAKES: dict[str, Callable] = {
    "what is pushed out is gone: it does not come back at the other end": lambda x, by: torch.stack(
        [clip.roll(int(n), dims=1) for clip, n in zip(x, by, strict=True)]
    ),
    "the clip moves: its start is not blanked where it stands":
        lambda x, by: x * (_moved(torch.ones_like(x), by) > 0),
    "later, not earlier: zeros go in front": lambda x, by: _moved(x, -by),
    "each clip has its own number: this is the first clip's": lambda x, by: _moved(x, _first(by)),
    "zeros fill the gap, not the sample at the edge":
        lambda x, by: x.gather(2, (_n(x).long() - _each(by)).clamp(0, x.shape[2] - 1)),
    "the clips have not moved": lambda x, by: x,
    _KEPT: lambda x, by: _moved(x, by)[:, 0],
    _FLOAT: lambda x, by: _moved(x, by).double(),
}


def _moves(answer: Callable, salt: int, sign: int) -> None:
    sizes = chance(salt)
    time = sizes.randint(9, 13)
    later, other = sizes.sample(range(2, 8), 2)
    moves = [later, 0, other * sign, time, sign]
    waveforms = torch.rand(5, 1, time, generator=generator(salt)) + 0.1
    cases = [(waveforms[rows], torch.tensor(moves)[rows]) for rows in (slice(None), slice(2, 3))]
    _keeps_shape(answer, cases[0])
    cause = "sample t of the result is sample t - samples of the clip, or 0"
    agree(answer, _moved, cases, MOVE_MISTAKES, cause, 1e-6, "a sample")


@check("3.0", MOVE_MISTAKES, draws=False)
def shift(answer: Callable) -> None:
    """Clips move later and earlier, each by its own number.

    ``answer(waveforms (batch, 1, time), samples (batch,)) -> (batch, 1, time)``
    """
    _moves(answer, 8, -1)
    passed("later, earlier, not at all and all the way: each clip by its own number")


@check("3.0", MOVE_MISTAKES, draws=False)
def pad(answer: Callable) -> None:
    """Silence goes in front of each clip.

    ``answer(waveforms (batch, 1, time), before (batch,)) -> (batch, 1, time)``
    """
    _moves(answer, 9, 1)
    passed("no, few and only samples of silence in front: each clip by its own number")


def _gained(waveforms: Tensor, factors: Tensor) -> Tensor:
    """The oracle: lists of Python."""
    rows = zip(waveforms[:, 0].tolist(), factors.tolist(), strict=True)
    return torch.tensor([[[max(-1.0, min(1.0, f * x)) for x in clip]] for clip, f in rows])


GAIN_MISTAKES: dict[str, Callable] = {
    "what leaves [-1, 1] is clipped": lambda x, f: x * _each(f),
    "clipped at 1 is not enough: also at -1": lambda x, f: (x * _each(f)).clamp(max=1),
    "clipped, not scaled down to a peak of 1":
        lambda x, f: x * _each(f) / (x * _each(f)).abs().amax(dim=2, keepdim=True).clamp(min=1),
    "each clip has its own factor: this is the first clip's": lambda x, f: _gained(x, _first(f)),
    "the factor multiplies the samples: it is no number of dB":
        lambda x, f: _gained(x, 10 ** (f / 20)),
    "the factor multiplies the samples, not their energy": lambda x, f: _gained(x, f.sqrt()),
    _FLOAT: lambda x, f: _gained(x, f).double(),
}


@check("3.0", GAIN_MISTAKES, draws=False)
def gain(answer: Callable) -> None:
    """Each clip times its factor, clipped to [-1, 1].

    ``answer(waveforms (batch, 1, time), factors (batch,)) -> (batch, 1, time)``
    """
    sizes = chance(10)
    waveforms = 1.2 * torch.rand(5, 1, sizes.randint(60, 90), generator=generator(10)) - 0.6
    factors = torch.tensor([sizes.uniform(0.2, 0.8), 1.0, 1.5, sizes.uniform(3, 5), 0.0])
    cases = [(waveforms, factors), (waveforms[3:4], factors[3:4])]
    _keeps_shape(answer, cases[0])
    cause = "each clip times its factor, between -1 and 1"
    agree(answer, _gained, cases, GAIN_MISTAKES, cause, 1e-6, "a sample")
    passed("five factors; the energy changes by their squares where nothing is clipped")


def _louder(waveforms: Tensor, random: torch.Generator | None, count: int = 0) -> Tensor:
    return waveforms * torch.rand(count or len(waveforms), 1, 1, generator=random)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


AUGMENT_MISTAKES: dict[str, Callable] = {
    "every draw takes it: torch.rand(..., generator=generator), and randn, randint":
        lambda x, random: _louder(x, None),
    "return the augmented clips": lambda x, random: x,
    "the draws come from the generator that was given, not from a seed of their own":
        lambda x, random: _louder(x, _seeded(3)),
    "the generator goes on from batch to batch: do not copy it, nor seed it again":
        lambda x, random: _louder(x, _seeded(random.initial_seed())),
    "draw as many numbers as there are clips: torch.rand(len(waveforms), ...)":
        lambda x, random: _louder(x, random, 1),
    "a division by zero, or a logarithm of zero":
        lambda x, random: _louder(x, random) / x.abs().amax(dim=2, keepdim=True),
    _KEPT: lambda x, random: _louder(x, random)[..., 1:],
    _FLOAT: lambda x, random: _louder(x, random).double(),
}


@check("3.0", AUGMENT_MISTAKES)
def augmentation(answer: Callable) -> None:
    """The generator decides all, and each clip and each batch is treated differently.

    ``answer(waveforms (batch, 1, time), generator) -> (batch, 1, time)``
    """
    time = torch.arange(16_000) / 16_000
    hertz = chance(11).randint(200, 300)
    word = 0.3 * torch.sin(2 * math.pi * hertz * time) * torch.sin(math.pi * time)
    waveforms = word.repeat(6, 1, 1)

    def augmented(random: torch.Generator, clips: Tensor = waveforms) -> Tensor:
        got = call(answer, clips.clone(), random)
        _samples(got, clips)
        return got

    random = generator(1)
    once, twice = augmented(random), augmented(random)
    torch.default_generator.manual_seed(123_456_789)  # torch's own: nothing may depend on it
    again = augmented(generator(1))
    every, returned, own, onward, many, *_ = AUGMENT_MISTAKES
    if not torch.equal(once, again):
        fail("the same result from a generator with the same seed", "another", every)
    if torch.equal(once, waveforms):
        fail("clips that were changed", "the clips as they were", returned)
    if torch.equal(once, augmented(generator(2))):
        fail("another result from another seed", "the same", own)
    if torch.equal(once, twice):
        fail("the next batch to be treated differently", "the same result again", onward)
    if all(torch.equal(got[0], other) for got in (once, twice) for other in got):
        fail("six equal clips to be treated differently", "six equal clips", many)
    augmented(generator(3), waveforms[:1])
    augmented(generator(4), torch.cat([waveforms[:2], torch.zeros(2, 1, 16_000)]))
    passed("the seed decides all, each clip and each batch is treated differently")
