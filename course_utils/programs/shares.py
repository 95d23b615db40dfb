"""Who hears which clip: batches shared out among processes, the same whatever their number is."""

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

#: An epoch and a clip: what is random about a clip depends on these and the seed alone.
Key = tuple[int, int]


def seed_of(*numbers: int) -> int:
    """A seed for each tuple of numbers.

    >>> seed_of(0, 1) == seed_of(0, 1) != seed_of(1, 0)
    True
    """
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def generator_of(*numbers: int) -> torch.Generator:
    """A generator of random numbers for each tuple of numbers."""
    return torch.Generator().manual_seed(seed_of(*numbers))


@dataclass(frozen=True)
class Share:
    """What one process hears at once: clips, and what their mean loss counts."""

    rows: list[int]
    weight: float


def shares(batch: Sequence[int], rank: int, processes: int, pieces: int = 1) -> list[Share]:
    """The part of a batch that one process hears, in pieces that go through one after another.

    The mean over processes of the sum over pieces of ``weight * mean loss`` is the mean loss of the
    whole batch, whatever the numbers are. Where a process would have nothing to hear it gets a clip
    that counts nothing: all processes take as many steps.

    Parameters
    ----------
    batch : list of int
        Clips, neighbours of similar length.
    rank, processes : int
    pieces : int

    Examples
    --------
    >>> shares([4, 7, 9], rank=0, processes=2), shares([4, 7, 9], rank=1, processes=2)
    ([Share(rows=[4, 9], weight=1.3333333333333333)], [Share(rows=[7], weight=0.6666666666666666)])
    """
    mine = [list(batch[rank + processes * piece :: processes * pieces]) for piece in range(pieces)]
    return [
        Share(rows or [batch[0]], len(rows) * processes / len(batch)) for rows in mine
    ]  # fmt: skip


class Sounds(Dataset):
    """Clips by number, read where they lie: processes share the pages of one file.

    It holds numbers alone, no objects: memory that is only read stays shared with a worker.

    Parameters
    ----------
    file : Path
        Of int16 samples.
    starts, lengths : int64 arrays (clip,)
        In samples.
    """

    def __init__(self, file: Path, starts: np.ndarray, lengths: np.ndarray):
        self.starts, self.lengths = starts.astype(np.int64), lengths.astype(np.int64)
        self._store = np.memmap(file, np.int16, mode="r")

    def __len__(self) -> int:
        return len(self.starts)

    def waveform(self, row: int) -> torch.Tensor:
        """A clip, float32 (1, time), amplitude in [-1, 1]."""
        start = self.starts[row]
        samples = self._store[start : start + self.lengths[row]].astype(np.float32)
        return torch.from_numpy(samples / 32768)[None]


def loader(
    data: Dataset, keys: Sequence[Sequence[Key]], collate: Callable, workers: int, pin: bool
) -> Iterator:
    """Batches of these clips, in this order, made ahead by other processes.

    Parameters
    ----------
    data : Dataset
        Whose items are asked for by `Key`.
    keys : list of list of Key
        A list for each batch.
    collate : callable
        From a list of items to a batch.
    workers : int
        Processes; 0 makes them here.
    pin : bool
        Into memory that a GPU can copy from meanwhile.
    """
    if workers:  # a collection of garbage writes into all objects: a worker would copy them
        gc.collect()
        gc.freeze()
    return iter(
        DataLoader(
            data, batch_sampler=keys, collate_fn=collate, num_workers=workers, pin_memory=pin,
            prefetch_factor=4 if workers else None,
            # its own, or a training that goes on would draw other numbers than one in one go
            generator=torch.Generator(),
            # what a notebook defines has no module: another process must begin as a copy
            multiprocessing_context="fork" if workers else None,
        )
    )  # fmt: skip
