"""Order: which examples make up which batch of which epoch, on which device; a function of seed and epoch alone.

Here: shuffling, balanced drawing, sharing among devices, going on in the middle of an epoch.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOBODY = -1  # fills up a device's share, so that all have the same number of batches


@dataclass(frozen=True)
class Share:
    """This process's part of every batch: ``rank`` of ``ranks``."""

    rank: int = 0
    ranks: int = 1


class Order:
    """Batches of indices, for training (shuffled by ``seed`` and epoch) or, with ``seed`` None, one pass in order.

    ``chances`` are the examples' chances of being drawn, with replacement; None takes each example once an epoch.
    ``soon`` is told each batch and the next one before they are asked for.
    """

    def __init__(
        self, examples: int, batch_size: int, seed: int | None, share: Share, *, chances: NDArray[np.float64] | None = None,
        soon: Callable[[Sequence[int]], None] | None = None,
    ) -> None:
        self._examples, self._batch_size, self._seed, self._share = examples, batch_size, seed, share
        self._chances, self._soon = chances, soon
        self._epoch = self._skipped = 0
        self.sampler = self  # Lightning tells the epoch to a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """The epoch (from 0) whose order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        """Batches of an epoch, the same on every device."""
        whole, rest = divmod(self._examples, self._batch_size)
        # a training batch of one image a device has no variance to normalise by
        return whole + (rest > 0 and (self._seed is None or rest >= 2 * self._share.ranks or whole == 0))

    def __iter__(self) -> Iterator[list[int]]:
        """This device's part of the batches of the epoch, from the first that was not taken yet."""
        first, self._skipped = self._skipped, 0
        drawn = self._drawn()
        parts = [self._part(drawn[start : start + self._batch_size])
                 for start in range(0, len(self) * self._batch_size, self._batch_size)]
        for number in range(first, len(parts)):
            if self._soon is not None:
                for near in parts[number:number + 2]:  # this one first: nobody waits for the next yet
                    self._soon(near)
            yield parts[number]

    def skip(self, batches: int) -> None:
        """Begin the next epoch after so many batches."""
        self._skipped = batches % max(1, len(self))

    def _drawn(self) -> NDArray[np.int64]:
        if self._seed is None:
            return np.arange(self._examples)
        rng = np.random.default_rng([self._seed, self._epoch])
        if self._chances is None:
            return rng.permutation(self._examples)
        return rng.choice(self._examples, self._examples, p=self._chances)

    def _part(self, batch: NDArray[np.int64]) -> list[int]:
        """Every ``ranks``-th of the batch, filled up to equal parts: in training by its first examples, else by nobody."""
        ranks = self._share.ranks
        lacking = -len(batch) % ranks
        filler = batch[:lacking] if self._seed is not None else np.full(lacking, NOBODY)
        part: list[int] = np.concatenate([batch, filler])[self._share.rank :: ranks].tolist()
        return part


class Batches:
    """What Lightning takes for a loader: the batches of ``order``, fetched. No worker processes: none has anything to do."""

    def __init__(self, order: Order, fetch: Callable[[Sequence[int]], Any]) -> None:
        self.batch_sampler, self._fetch = order, fetch

    def __len__(self) -> int:
        return len(self.batch_sampler)

    def __iter__(self) -> Iterator[Any]:
        return (self._fetch(part) for part in self.batch_sampler)
