"""The sampler that gives each replica of a distributed job its share of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any, TypeVar

import dispatchtorch as torch

from .dataset import Dataset
from .sampler import Sampler

__all__ = ["DistributedSampler"]

_T_co = TypeVar("_T_co", covariant=True)


def _process_group() -> Any:
    dist = getattr(torch, "distributed", None)
    if dist is None or not dist.is_available():
        raise NotImplementedError(
            "DistributedSampler would have to ask a process group for num_replicas "
            "and rank, and no distributed package is available; pass both explicitly"
        )
    return dist


class DistributedSampler(Sampler[_T_co]):
    """Every ``num_replicas``-th index of a shared order, starting at ``rank``.

    Without ``drop_last`` the order is lengthened from its own beginning until it can
    be shared out evenly, with it the tail is cut. Call :meth:`set_epoch` before each
    epoch, or every epoch is shuffled alike.

    Args:
        num_replicas, rank: by default those of the current process group.
        seed: shuffles; must be the same in all replicas.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = int(_process_group().get_world_size())
        if rank is None:
            rank = int(_process_group().get_rank())
        if not 0 <= rank < num_replicas:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval"
                f" [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        size = len(dataset)  # type: ignore[arg-type]
        share = size / num_replicas
        self.num_samples = math.floor(share) if drop_last else math.ceil(share)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[Any]:
        size = len(self.dataset)  # type: ignore[arg-type]
        order: Any = range(size)
        if self.shuffle:
            generator = torch.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = torch.randperm(size, generator=generator).tolist()
        # Cycling lengthens a short order, islice cuts a long one.
        return islice(cycle(order), self.rank, self.total_size, self.num_replicas)

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Makes the next pass shuffle differently from other epochs."""
        self.epoch = epoch
