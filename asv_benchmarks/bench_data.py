"""What loading costs: a pass over a dataset in this process and by workers.

An item that takes 2 ms (a decoder, a slow disk) should load nearly twice as fast with
two workers; a cheap one shows what sending batches between processes costs.
"""

from __future__ import annotations

import time

import dispatchtorch as torch
from dispatchtorch.utils.data import DataLoader, Dataset

__all__ = ["Items", "Loading"]


class Items(Dataset[torch.Tensor]):
    """Images that take some seconds each."""

    def __init__(self, count: int, seconds: float) -> None:
        self.count = count
        self.seconds = seconds
        self.image = torch.rand(3, 32, 32)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.seconds:
            time.sleep(self.seconds)
        return self.image + index


class Loading:
    """One pass, by number of workers and milliseconds an item."""

    params = ([0, 2], [0, 2])
    param_names = ["workers", "ms_per_item"]
    timeout = 120

    def setup(self, workers: int, ms: int) -> None:
        self.loader = DataLoader(
            Items(512, ms / 1000),
            batch_size=16,
            num_workers=workers,
            persistent_workers=workers > 0,
        )
        self.time_pass(workers, ms)

    def time_pass(self, workers: int, ms: int) -> None:
        for _ in self.loader:
            pass


class StartingWorkers:
    """Two workers started, one batch loaded, the workers ended."""

    def setup(self) -> None:
        self.loader = DataLoader(Items(2, 0.0), num_workers=2)

    def time_start(self) -> None:
        for _ in self.loader:
            pass
