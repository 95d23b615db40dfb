"""Checks of what is done to waveforms before training: speed, noise, shift, silence, gain."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.core import (
    call,
    compare,
    fail,
    generator,
    own_random,
    passed,
    recognised,
    same_dtype,
    same_shape,
    unchanged,
)

_KEPT = "(batch, 1, time) as before"


def _samples(got: Tensor, waveforms: Tensor) -> None:
    """Fail unless `got` may be the waveforms, changed."""
    same_shape(got, tuple(waveforms.shape), _KEPT)
    same_dtype(got, torch.float32, "the samples stay float32")
    if bool(got.isnan().any()):
        fail("samples", "not a number", "a division by zero, or a logarithm of zero")


# 3.6 - Faster and slower


def change_speed(answer: Callable) -> None:
    """Equal to NumPy's interpolation, each clip with its own factor.

    ``answer(waveforms (batch, 1, time), factors (batch,)) -> (batch, 1, time)``
    """
    ramp = torch.tensor([10.0, 20.0, 30.0, 40.0]).expand(4, 1, 4)
    random = generator(6)
    noise = 2 * torch.rand(6, 1, 203, generator=random) - 1
    time = torch.arange(16_000) / 16_000
    tones = [0.6 * torch.sin(2 * math.pi * hz * time + hz) for hz in (200, 450, 700)]
    for waveforms, factors in (
        (ramp, torch.tensor([1.0, 0.5, 1.5, 2.0])),
        (noise, torch.tensor([0.8, 1.0, 1.3, 2.0, 0.5, 1.1])),
        (noise[:1], torch.tensor([1.1])),
        (torch.stack(tones)[:, None], torch.tensor([1.3, 0.77, 1.1])),
    ):
        waveforms = waveforms.clone()
        before = waveforms.clone(), factors.clone()
        got = call(answer, waveforms, factors)
        unchanged(before[0], waveforms, "waveforms")
        unchanged(before[1], factors, "factors")
        _samples(got, waveforms)
        # The oracle: NumPy's interpolation, a clip at a time. Between the last sample and the
        # first that is not there a value may fade, or be zero already: that is not compared.
        last = waveforms.shape[2] - 1
        positions = torch.arange(last + 1).double() * factors.double()[:, None]
        counted = ((positions <= last) | (positions >= last + 1))[:, None]
        rows = before[0][:, 0].double()
        compare(
            got * counted,
            _read(rows, positions) * counted,
            partial(_speed_mistakes, rows, factors.double(), counted),
            "sample n reads position n * factor: on a line between two neighbours, 0 past the end",
            1e-3,
            "a sample",
        )
    passed("hand-worked ramps, noise and tones, each clip with its own factor")


def _read(rows: Tensor, positions: Tensor, **beyond: float) -> Tensor:
    """Each row at its positions, on straight lines: (batch, 1, time)."""
    places = np.arange(rows.shape[1])
    read = [
        np.interp(position, places, row, **(beyond or {"right": 0.0}))
        for row, position in zip(rows.numpy(), positions.numpy(), strict=True)
    ]
    return torch.from_numpy(np.stack(read))[:, None]


def _speed_mistakes(rows: Tensor, factors: Tensor, counted: Tensor) -> dict[str, Tensor]:
    """Causes, and the waveforms to which they lead."""
    time = rows.shape[1]
    n = torch.arange(time).double()
    own = n * factors[:, None]
    left = own.floor()
    inside = own <= time - 1

    def pick(places: Tensor) -> Tensor:
        return rows.gather(1, places.long().clamp(0, time - 1)) * (places <= time - 1)

    part = own - left
    known = {
        "position n * factor, not n / factor": _read(rows, n / factors[:, None]),
        "each clip has its own factor: this is the first clip's": _read(
            rows, n * factors[:1, None].expand(len(rows), 1)
        ),
        "each clip has its own factor: this is their mean": _read(
            rows, n * factors.mean().expand(len(rows), 1)
        ),
        "a line between the two neighbours, not the sample before": pick(left) * inside,
        "a line between the two neighbours, not the nearest one": pick(own.round()) * inside,
        "the nearer neighbour has the larger weight: 1 - part for the left, part for the right": (
            pick(left) * part + pick(left + 1) * (1 - part)
        )
        * inside,
        "beyond the last sample is silence, not the last sample": _read(rows, own, right=None),
        "beyond the last sample is silence: nothing wraps round": _read(rows, own % time),
        "the last sample itself can be read, too: positions <= time - 1": _read(rows, own)
        * (own < time - 1)[:, None],
        "a factor that speaks faster reads further apart; the middle does not stay": _read(
            rows, (n - time // 2) * factors[:, None] + time // 2, left=0.0, right=0.0
        ),
    }
    return {
        cause: (value if value.ndim == 3 else value[:, None]) * counted
        for cause, value in known.items()
    }


# 3.7 - Noise at a signal-to-noise ratio


def add_noise(answer: Callable) -> None:
    """The ratio is measured in what was added; silence stays silence.

    ``answer(waveforms, noises (batch, 1, time), snr (batch,)) -> (batch, 1, time)``
    """
    random = generator(7)
    speech = torch.randn(5, 1, 640, generator=random) + 0.3
    speech[..., 320:] *= 0.05  # half of it is nearly silent, as in a clip with one short word
    speech *= torch.tensor([0.2, 0.05, 0.4, 1e-3, 0.1])[:, None, None]
    noises = torch.rand(5, 1, 640, generator=random) - 0.3
    noises *= torch.tensor([0.5, 1.0, 0.1, 0.3, 2e-3])[:, None, None]
    snr = torch.tensor([10.0, 0.0, -5.0, 20.0, 7.0])
    some = torch.tensor([0, 1, 2])
    for rows in (some[:1], torch.arange(5), some):
        given = [speech[rows].clone(), noises[rows].clone(), snr[rows].clone()]
        silent = len(rows) == 3
        if silent:  # silent speech, silent noise, both
            given[0][0] = given[0][2] = 0
            given[1][1] = given[1][2] = 0
        before = [values.clone() for values in given]
        got = call(answer, *given)
        for value, after, name in zip(before, given, ("clips", "noises", "ratios"), strict=True):
            unchanged(value, after, name)
        same_shape(got, tuple(given[0].shape), _KEPT)
        same_dtype(got, torch.float32, "the samples stay float32")
        for row, name in enumerate(("silent clip", "clip with a silent noise", "silence")):
            if silent and not torch.equal(got[row], before[0][row]):
                cause = "a noise of power 0 cannot be scaled: then its factor is 0"
                if row == 0:
                    cause = "next to silence no noise is quiet enough: its factor is 0"
                change = float((got[row] - before[0][row]).abs().max())
                fail(f"a {name} as it was", f"a change of {change:.3g}", cause)
        if not silent:
            _right_ratios(got, *before)
    passed("the ratio of each clip is right to half a dB, and silence stays silence")


def _right_ratios(got: Tensor, speech: Tensor, noises: Tensor, snr: Tensor) -> None:
    """Fail unless `got` is the speech, and for each clip its noise at the ratio asked for."""
    speech, noises = speech[:, 0].double(), noises[:, 0].double()
    # The oracle: what was added is measured, clip by clip.
    added = got[:, 0].double() - speech
    for row, asked in enumerate(snr.tolist()):
        factor = float(added[row] @ noises[row] / (noises[row] @ noises[row]))
        rest = float((added[row] - factor * noises[row]).square().mean())
        power = float(added[row].square().mean())
        if not rest <= 1e-3 * power or factor < 0:
            cause = "speech + factor * noise: the speech is not scaled, the sum is not clipped"
            cause = recognised(got[:, 0], _noise_mistakes(speech, noises, snr), cause, 1e-4)
            fail(f"clip {row} as it was, with its noise added", "something else", cause)
        measured = -math.inf
        if power > 0:
            measured = 10 * math.log10(float(speech[row].square().mean()) / power)
        if not abs(measured - asked) <= 0.5:
            cause = "factor = sqrt(mean(speech ** 2) / mean(noise ** 2) / 10 ** (snr / 10))"
            cause = recognised(got[:, 0], _noise_mistakes(speech, noises, snr), cause, 1e-4)
            if row >= 3 and cause.startswith("factor"):
                cause = (
                    "this clip or its noise is quiet: what keeps from dividing by 0 is too large"
                )
            fail(f"a ratio of {asked:.1f} dB in clip {row}", f"{measured:.1f} dB", cause)


def _noise_mistakes(speech: Tensor, noises: Tensor, snr: Tensor) -> dict[str, Tensor]:
    """Causes, and the noisy speech to which they lead: (batch, time)."""
    ratio = snr.double()[:, None]

    def mixed(measure: Callable, ratio: Tensor = ratio) -> Tensor:
        return speech + (measure(speech) / measure(noises) / 10 ** (ratio / 10)).sqrt() * noises

    def power(x: Tensor) -> Tensor:
        return x.square().mean(dim=1, keepdim=True)

    def batch_power(x: Tensor) -> Tensor:
        return x.square().mean()

    def variance(x: Tensor) -> Tensor:
        return x.var(dim=1, keepdim=True)

    def magnitude(x: Tensor) -> Tensor:
        return x.abs().mean(dim=1, keepdim=True).square()

    def peak(x: Tensor) -> Tensor:
        return x.abs().amax(dim=1, keepdim=True).square()

    amplitude = (power(speech) / power(noises)).sqrt()
    right = mixed(power)
    scale = 10 ** (ratio / 10)
    return {
        "20 for amplitudes, 10 for powers: factor = ratio of amplitudes / 10 ** (snr / 20)": speech
        + amplitude / scale * noises,
        "the factor is for amplitudes: the root of the ratio of powers": speech
        + amplitude.square() / scale * noises,
        "10 ** (snr / 10) belongs to powers: take the root of all of it": speech
        + amplitude.square() / scale.sqrt() * noises,
        "10 for powers: this ratio is 10 ** (snr / 20)": mixed(power, ratio / 2),
        "the power of each clip, not of the whole batch": mixed(batch_power),
        "the power is the mean of the squares, also where the mean is not zero": mixed(variance),
        "the power is the mean of the squares, not of the magnitudes": mixed(magnitude),
        "the power is the mean of the squares, not the peak": mixed(peak),
        "a higher ratio is less noise: the sign of snr": mixed(power, -ratio),
        "each clip has its own ratio: this is the first clip's": mixed(power, ratio[:1]),
        "each clip has its own ratio: this is their mean": mixed(power, ratio.mean()),
        "the noise is not scaled to the power of its clip": speech + noises / scale.sqrt(),
        "the noise is not scaled": speech + noises,
        "the speech is missing: waveforms + the scaled noise": right - speech,
        "the noise was not added": speech,
        "the ratio is speech to noise, not noise to speech": speech
        + (power(noises) / power(speech) / scale).sqrt() * noises,
        "the ratio of dB is a power of ten, not of e": speech
        + amplitude / torch.exp(ratio / 20) * noises,
        "the noise is scaled, not the speech": speech / amplitude * scale.sqrt() + noises,
        "the sum is not clipped": right.clamp(-1, 1),
        "the sum is not scaled to a peak of 1": right / right.abs().amax(dim=1, keepdim=True),
    }


# Worked examples


def shift(answer: Callable) -> None:
    """Clips move later and earlier, each by its own number.

    ``answer(waveforms (batch, 1, time), samples (batch,)) -> (batch, 1, time)``
    """
    _moved(
        answer,
        [5, 0, -4, 11, -1],
        "later, earlier, not at all and all the way: each clip by its own number",
    )


def pad(answer: Callable) -> None:
    """Silence goes in front of each clip.

    ``answer(waveforms (batch, 1, time), before (batch,)) -> (batch, 1, time)``
    """
    _moved(answer, [5, 0, 7, 11, 1], "5, 0, 7, all and 1 samples of silence in front")


def _moved(answer: Callable, moves: list[int], message: str) -> None:
    waveforms = torch.rand(len(moves), 1, 11, generator=generator(8)) + 0.1
    for rows in (slice(None), slice(2, 3)):
        clips, samples = waveforms[rows].clone(), torch.tensor(moves[rows])
        got = call(answer, clips, samples)
        unchanged(waveforms[rows], clips, "waveforms")
        unchanged(torch.tensor(moves[rows]), samples, "numbers of samples")
        _samples(got, clips)
        # The oracle: lists of Python.
        expected = [
            [[clip[t - by] if 0 <= t - by < 11 else 0.0 for t in range(11)]]
            for clip, by in zip(clips[:, 0].tolist(), samples.tolist(), strict=True)
        ]
        cause = "sample t of the result is sample t - samples of the clip, or 0"
        compare(got, expected, partial(_move_mistakes, clips, samples), cause, 1e-6, "a sample")
    passed(message)


def _move_mistakes(clips: Tensor, samples: Tensor) -> dict[str, Tensor]:
    """Causes, and the waveforms to which they lead."""
    time = clips.shape[2]
    n = torch.arange(time).expand(len(clips), 1, time)
    source = n - samples[:, None, None]

    def take(source: Tensor, inside: Tensor | bool = True) -> Tensor:
        return clips.gather(2, source.remainder(time)) * inside

    def here(source: Tensor) -> Tensor:
        return (source >= 0) & (source < time)

    first = n - samples[:1, None, None]
    other = n + samples[:, None, None]
    return {
        "what is pushed out is gone: it does not come back at the other end": take(source),
        "the clip moves: its start is not blanked where it stands": clips * here(source),
        "later, not earlier: zeros go in front": take(other, here(other)),
        "each clip has its own number: this is the first clip's": take(first, here(first)),
        "zeros fill the gap, not the sample at the edge": clips.gather(
            2, source.clamp(0, time - 1)
        ),
        "the clips have not moved": clips,
    }


def gain(answer: Callable) -> None:
    """Each clip times its factor, clipped to [-1, 1].

    ``answer(waveforms (batch, 1, time), factors (batch,)) -> (batch, 1, time)``
    """
    waveforms = 1.2 * torch.rand(5, 1, 90, generator=generator(9)) - 0.6
    factors = torch.tensor([0.5, 1.0, 1.5, 4.0, 0.0])
    clips, own = waveforms.clone(), factors.clone()
    got = call(answer, clips, own)
    unchanged(waveforms, clips, "waveforms")
    unchanged(factors, own, "factors")
    _samples(got, clips)
    # The oracle: lists of Python.
    expected = [
        [[max(-1.0, min(1.0, factor * x)) for x in clip]]
        for clip, factor in zip(waveforms[:, 0].tolist(), factors.tolist(), strict=True)
    ]

    def mistakes() -> dict[str, Tensor]:
        own = factors[:, None, None]
        loud = waveforms * own
        return {
            "what leaves [-1, 1] is clipped": loud,
            "clipped at 1 is not enough: also at -1": loud.clamp(max=1),
            "clipped, not scaled down to a peak of 1": loud
            / loud.abs().amax(dim=2, keepdim=True).clamp(min=1),
            "multiply first, then clip": waveforms.clamp(-1, 1) * own,
            "each clip has its own factor: this is the first clip's": waveforms * factors[0],
            "the factor multiplies the samples: it is no number of dB": (
                waveforms * 10 ** (own / 20)
            ).clamp(-1, 1),
            "the factor multiplies the samples, not their energy": (waveforms * own.sqrt()).clamp(
                -1, 1
            ),
        }

    compare(got, expected, mistakes, "each clip times its factor, between -1 and 1", 1e-6)
    passed("five factors; the energy changes by their squares where nothing is clipped")


@own_random
def augmentation(answer: Callable) -> None:
    """The generator decides all, and each clip and each batch is treated differently.

    ``answer(waveforms (batch, 1, time), generator) -> (batch, 1, time)``
    """
    time = torch.arange(16_000) / 16_000
    word = 0.3 * torch.sin(2 * math.pi * 220 * time) * torch.sin(math.pi * time)
    waveforms = word.repeat(6, 1, 1)

    def augmented(random: torch.Generator, clips: Tensor = waveforms) -> Tensor:
        given = clips.clone()
        got = call(answer, given, random)
        unchanged(clips, given, "waveforms")
        _samples(got, clips)
        return got

    random = generator(1)
    once, twice = augmented(random), augmented(random)
    torch.default_generator.manual_seed(1)  # torch's own: nothing may depend on it
    again = augmented(generator(1))
    if not torch.equal(once, again):
        cause = "every draw takes it: torch.rand(..., generator=generator), and randn, randint"
        fail("the same result from a generator with the same seed", "another", cause)
    if torch.equal(once, waveforms):
        fail("clips that were changed", "the clips as they were", "return the augmented clips")
    if torch.equal(once, augmented(generator(2))):
        cause = "the draws come from the generator that was given, not from a seed of their own"
        fail("another result from another seed", "the same", cause)
    if torch.equal(once, twice):
        cause = "the generator goes on from batch to batch: do not copy it, nor seed it again"
        fail("the next batch to be treated differently", "the same result again", cause)
    if all(torch.equal(got[0], other) for got in (once, twice) for other in got):
        cause = "draw as many numbers as there are clips: torch.rand(len(waveforms), ...)"
        fail("six equal clips to be treated differently", "six equal clips", cause)
    augmented(generator(3), waveforms[:1])
    augmented(generator(4), torch.cat([waveforms[:2], torch.zeros(2, 1, 16_000)]))
    passed("the seed decides all, each clip and each batch is treated differently")
