"""Getting the samples of one batch out of a dataset, in whatever process."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any

__all__ = ["create_fetcher"]


class _Fetcher:
    def __init__(
        self,
        dataset: Any,
        auto_collation: bool,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
    ) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def fetch(self, possibly_batched_index: Any) -> Any:
        """The batch for a list of keys, or the sample for one key."""
        raise NotImplementedError


class _MapDatasetFetcher(_Fetcher):
    def fetch(self, possibly_batched_index: Any) -> Any:
        if not self.auto_collation:
            return self.collate_fn(self.dataset[possibly_batched_index])
        batched = getattr(self.dataset, "__getitems__", None)
        if batched:
            return self.collate_fn(batched(possibly_batched_index))
        return self.collate_fn([self.dataset[i] for i in possibly_batched_index])


class _IterableDatasetFetcher(_Fetcher):
    """Takes as many samples as it is given keys; the keys themselves mean nothing."""

    def __init__(self, dataset: Any, *args: Any) -> None:
        super().__init__(dataset, *args)
        self.stream = iter(dataset)
        self.ended = False

    def fetch(self, possibly_batched_index: Any) -> Any:
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.stream))
        wanted = len(possibly_batched_index)
        samples = list(islice(self.stream, wanted))
        self.ended = len(samples) < wanted
        if not samples or (self.drop_last and self.ended):
            raise StopIteration
        return self.collate_fn(samples)


def create_fetcher(iterable: bool, *args: Any) -> _Fetcher:
    """The fetcher for an iterable-style or a map-style dataset."""
    return (_IterableDatasetFetcher if iterable else _MapDatasetFetcher)(*args)
