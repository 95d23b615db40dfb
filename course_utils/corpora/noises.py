"""Stretches of noises: which kinds training hears, and pieces at random of those."""

from collections.abc import Iterable, Mapping, Sequence

import torch

from course_utils import audio


def kept_apart(kinds: Iterable[str]) -> tuple[list[str], list[str]]:
    """Kinds of noise that training meets, and a third of them, which it does not.

    >>> kept_apart(["rain", "fan", "street", "babble"])
    (['fan', 'rain'], ['babble', 'street'])
    """
    kinds = sorted(kinds)
    return [kind for kind in kinds if kind not in kinds[::3]], kinds[::3]


def parts_of(
    noises: Mapping[str, torch.Tensor], kinds: Iterable[str], start: float, end: float
) -> list[torch.Tensor]:
    """A stretch of each of these noises, from and to a fraction of its length: (1, time) each."""
    found = [noises[kind] for kind in kinds]
    return [noise[:, int(start * noise.shape[1]) : int(end * noise.shape[1])] for noise in found]


def random_crops(
    noises: Sequence[torch.Tensor], count: int, samples: int, generator: torch.Generator
) -> torch.Tensor:
    """Pieces of noise, each of a random kind and from a random place.

    Parameters
    ----------
    noises : list of tensor (1, time)
        One that is too short is repeated.
    count : int
    samples : int
        Length of each piece.
    generator : torch.Generator
        Decides all: the same seed gives the same pieces.

    Returns
    -------
    tensor (count, 1, samples)
    """
    which = torch.randint(len(noises), (count,), generator=generator).tolist()
    where = torch.rand(count, generator=generator).tolist()
    crops = []
    for kind, place in zip(which, where, strict=True):
        noise = audio.looped(noises[kind], samples)
        start = int(place * (noise.shape[1] - samples))
        crops.append(noise[:, start : start + samples])
    return torch.stack(crops)
