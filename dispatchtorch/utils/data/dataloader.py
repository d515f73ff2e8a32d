"""The loader: options, and its iterators in this process or over workers."""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import cycle
from typing import Any, Generic, TypeVar

import dispatchtorch as torch

from ._utils.collate import default_collate, default_convert
from ._utils.fetch import create_fetcher
from ._utils.pin_memory import pin_memory
from ._utils.worker import Assignment, Reply, get_worker_info
from .dataset import Dataset, IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_T_co = TypeVar("_T_co", covariant=True)


class _DatasetKind:
    Map = 0
    Iterable = 1


class _InfiniteConstantSampler(Sampler[None]):
    """Stands in for the keys that an iterable dataset doesn't have."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[_T_co]):
    """Batches of a dataset's samples, in this process or from workers.

    Follows ``torch.utils.data.DataLoader``: the same arguments, the same draws from
    the generator, so the same order for the same seed.

    Args:
        dataset: what to load from.
        batch_size: samples a batch; ``None`` gives out single samples.
        shuffle: a new random order each pass.
        sampler: the order of keys, instead of ``shuffle``.
        batch_sampler: lists of keys, instead of the four options above and below.
        num_workers: processes that load; 0 loads in this one.
        collate_fn: makes a batch of a list of samples.
        pin_memory: copies tensors to page-locked memory, if there is an accelerator.
        drop_last: leaves out a last batch that is too small.
        timeout: seconds to wait for a batch from a worker; 0 is without limit.
        worker_init_fn: called with the worker's number at its start.
        multiprocessing_context: a context or the name of a start method.
        generator: source of the order and of the workers' seeds.
        prefetch_factor: batches that each worker loads ahead, by default 2.
        persistent_workers: keeps workers from one pass to the next.
        pin_memory_device: deprecated.
        in_order: whether batches come in the sampler's order, or as they are done.
    """

    dataset: Dataset[_T_co]
    batch_size: int | None
    num_workers: int
    pin_memory: bool
    drop_last: bool
    timeout: float
    sampler: Sampler[Any] | Iterable[Any]
    pin_memory_device: str
    prefetch_factor: int | None
    _iterator: _BaseDataLoaderIter | None
    __initialized = False

    def __init__(
        self,
        dataset: Dataset[_T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_worker_options(num_workers, timeout, prefetch_factor, persistent_workers)
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2

        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order

        iterable = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if iterable else _DatasetKind.Map
        if iterable:
            for name, given, wrong in (
                ("shuffle", shuffle, shuffle not in (None, False)),
                ("sampler", sampler, sampler is not None),
                ("batch_sampler", batch_sampler, batch_sampler is not None),
            ):
                if wrong:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} "
                        f"option, but got {name}={given}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, "
                    "shuffle, sampler, and drop_last"
                )
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching and is mutually "
                "exclusive with drop_last"
            )

        if sampler is None:
            sampler = _default_sampler(dataset, iterable, shuffle, generator)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers

        self.__initialized = True
        self._IterableDataset_len_called: int | None = None
        self._iterator = None
        self.check_worker_number_rationality()

    def __setattr__(self, attr: str, val: Any) -> None:
        if self.__initialized and attr in (
            "batch_size",
            "batch_sampler",
            "sampler",
            "drop_last",
            "dataset",
            "persistent_workers",
        ):
            raise ValueError(
                f"{attr} attribute should not be set after "
                f"{type(self).__name__} is initialized"
            )
        super().__setattr__(attr, val)

    @property
    def multiprocessing_context(self) -> Any:
        """The context that workers are started in; None is the default one."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        if context is not None:
            context = _check_context(context, self.num_workers)
        self.__multiprocessing_context = context

    def _get_iterator(self) -> _BaseDataLoaderIter:
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        self.check_worker_number_rationality()
        return _MultiProcessingDataLoaderIter(self)

    def __iter__(self) -> _BaseDataLoaderIter:
        if not (self.persistent_workers and self.num_workers > 0):
            return self._get_iterator()
        if self._iterator is None:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Any:
        return self.batch_sampler if self._auto_collation else self.sampler

    def __len__(self) -> int:
        """The number of batches; an estimate where the dataset is iterable."""
        if self._dataset_kind == _DatasetKind.Map:
            return len(self._index_sampler)
        samples: int = len(self.dataset)  # type: ignore[arg-type]
        self._IterableDataset_len_called = samples
        if self.batch_size is None:
            return samples
        whole, rest = divmod(samples, self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def check_worker_number_rationality(self) -> None:
        """Warns where there are to be more workers than processors."""
        if not self.num_workers:
            return
        cores: int | None = None
        counted = ""
        if hasattr(os, "sched_getaffinity"):
            cores = len(os.sched_getaffinity(0))
        else:
            cores = os.cpu_count()
            counted = " (`cpuset` is not taken into account)"
        if cores is not None and self.num_workers <= cores:
            return
        verdict = (
            "DataLoader is not able to compute a suggested max number of worker in "
            "current system."
            if cores is None
            else f"Our suggested max number of worker in current system is {cores}"
            f"{counted}, which is smaller than what this DataLoader is going to create."
        )
        warnings.warn(
            f"This DataLoader will create {self.num_workers} worker processes in total."
            f" {verdict} Please be aware that excessive worker creation might get "
            "DataLoader running slow or even freeze, lower the worker number to avoid "
            "potential slowness/freeze if necessary.",
            stacklevel=3,
        )


def _default_sampler(
    dataset: Any, iterable: bool, shuffle: bool | None, generator: Any
) -> Iterable[Any]:
    if iterable:
        return _InfiniteConstantSampler()
    if shuffle:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


def _check_worker_options(
    num_workers: int,
    timeout: float,
    prefetch_factor: int | None,
    persistent_workers: bool,
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; "
            "use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set "
            "prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_context(context: Any, num_workers: int) -> Any:
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading "
            f"(num_workers > 0), but got num_workers={num_workers}"
        )
    import multiprocessing
    from multiprocessing.context import BaseContext

    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method "
                f"in {methods!r}, but got multiprocessing_context={context!r}"
            )
        context = multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a "
            "string specifying the start method, but got "
            f"multiprocessing_context={context}"
        )
    return context


def _pins(loader: DataLoader[Any]) -> bool:
    """Whether to pin; warns where that was asked for in vain."""
    if not loader.pin_memory:
        return False
    if loader.pin_memory_device:
        warnings.warn(
            "pin_memory_device is deprecated, the current accelerator will be used as "
            f"the device,ignore pin_memory_device='{loader.pin_memory_device}'.",
            stacklevel=4,
        )
    if torch.accelerator.is_available():
        return True
    warnings.warn(
        "'pin_memory' argument is set as true but no accelerator is found, then "
        "device pinned memory won't be used.",
        stacklevel=4,
    )
    return False


@cache
def _warm_up() -> None:
    """Binds what collating calls, once and not in each worker that is forked."""
    default_collate([(torch.zeros(1), 0, 0.0)] * 2)


class _BaseDataLoaderIter:
    """One pass over a loader, with the loader's options as they were at its start."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._persistent_workers = loader.persistent_workers
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._pin_memory = _pins(loader)
        self._base_seed = draw_seed(loader.generator)
        self._begin(loader)

    def _begin(self, loader: DataLoader[Any]) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        data = self._next_data()
        if self._pin_memory:
            data = pin_memory(data)
        self._num_yielded += 1
        promised = self._IterableDataset_len_called
        if promised is not None and self._num_yielded > promised:
            self._warn_too_many(promised)
        return data

    def _warn_too_many(self, promised: int) -> None:
        if self._dataset_kind != _DatasetKind.Iterable:
            return
        advice = (
            "For multiprocessing data-loading, this could be caused by not properly "
            "configuring the IterableDataset replica at each worker. Please see "
            "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset"
            " for examples."
        )
        warnings.warn(
            f"Length of IterableDataset {self._dataset} was reported to be {promised}"
            f"(when accessing len(dataloader)), but {self._num_yielded} samples have "
            f"been fetched. {advice if self._num_workers else ''}",
            stacklevel=3,
        )

    def __len__(self) -> int:
        return len(self._index_sampler)

    def _reset(self, loader: DataLoader[Any]) -> None:
        self._begin(loader)

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        if self._num_workers != 0:
            raise AssertionError(
                "_SingleProcessDataLoaderIter requires num_workers == 0"
            )
        self._dataset_fetcher = create_fetcher(
            self._dataset_kind == _DatasetKind.Iterable,
            self._dataset,
            self._auto_collation,
            self._collate_fn,
            self._drop_last,
        )

    def _next_data(self) -> Any:
        return self._dataset_fetcher.fetch(self._next_index())


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Hands tasks to workers in turn and reads the answers in the same order.

    ``_under_way`` lists the workers of unanswered tasks, oldest first. A worker
    answers in order, so reading from the worker at the head is all that in-order
    delivery takes. A worker whose stream has ended is given no more tasks.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        from ._utils.pool import Pool

        if loader.num_workers <= 0 or not loader.prefetch_factor:
            raise AssertionError(
                "loading with workers needs num_workers > 0 and prefetch_factor > 0"
            )
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        super().__init__(loader)
        if self._collate_fn is default_collate:
            _warm_up()
        self._prime()
        first: list[list[Any]] = [[] for _ in range(self._num_workers)]
        for worker, task in self._due():
            first[worker].append(task)
        jobs = (
            Assignment(
                worker_id=i,
                num_workers=self._num_workers,
                base_seed=self._base_seed,
                dataset=self._dataset,
                iterable=self._dataset_kind == _DatasetKind.Iterable,
                auto_collation=self._auto_collation,
                collate_fn=self._collate_fn,
                drop_last=self._drop_last,
                init_fn=loader.worker_init_fn,
                first=first[i],
            )
            for i in range(self._num_workers)
        )
        self._pool = Pool(loader.multiprocessing_context, jobs, self._prefetch_factor)

    def _reset(self, loader: DataLoader[Any]) -> None:
        super()._reset(loader)
        self._pool.resume()
        self._prime()
        self._refill()

    def _prime(self) -> None:
        self._under_way: deque[int] = deque()
        self._active = set(range(self._num_workers))
        self._turns = cycle(range(self._num_workers))

    def _refill(self) -> None:
        for worker, task in self._due():
            self._pool.send(worker, task)

    def _due(self) -> Iterator[tuple[int, Any]]:
        """The tasks that give every worker its fill, and whom each is for."""
        limit = self._prefetch_factor
        while len(self._under_way) < limit * len(self._active):
            worker = next(self._turns)
            busy = not self._in_order and self._under_way.count(worker) >= limit
            if worker not in self._active or busy:
                continue
            try:
                index = self._next_index()
            except StopIteration:
                return
            self._under_way.append(worker)
            yield worker, (index,)

    def _next_data(self) -> Any:
        while self._under_way:
            candidates = [self._under_way[0]] if self._in_order else self._under_way
            worker, (kind, payload) = self._pool.receive(candidates, self._timeout)
            if kind == Reply.END:
                self._active.discard(worker)
                self._under_way = deque(w for w in self._under_way if w != worker)
                self._refill()
                continue
            self._under_way.remove(worker)
            self._refill()
            if kind == Reply.ERROR:
                payload.reraise()
            return payload
        if not self._persistent_workers:
            self._pool.shut_down()
        raise StopIteration

    def _shutdown_workers(self) -> None:
        self._pool.shut_down()
