"""Workers against PyTorch's: the same seeds, the same numbers, the same order."""

from __future__ import annotations

import random

import numpy as np
import pytest

import dispatchtorch as torch
import dispatchtorch.utils.data as ours

oracle = pytest.importorskip("torch")
theirs = oracle.utils.data

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:.*fork"),
]


def both(script):
    """``script(torch, data)`` under either framework."""
    results = []
    for framework, data in ((torch, ours), (oracle, theirs)):
        framework.manual_seed(7)
        results.append(script(framework, data))
    return results


def noted(framework, data):
    class Noted(data.Dataset):
        """Who loads which sample, with which random numbers."""

        def __len__(self):
            return 7

        def __getitem__(self, i):
            info = data.get_worker_info()
            return [
                i,
                info.id,
                info.num_workers,
                info.seed,
                random.random(),
                framework.rand(()).item(),
                np.random.rand(),
                framework.initial_seed(),
            ]

    return Noted()


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("with_generator", [False, True])
def test_workers_are_seeded_alike(persistent, shuffle, with_generator):
    def script(framework, data):
        generator = framework.Generator().manual_seed(9) if with_generator else None
        loader = data.DataLoader(
            noted(framework, data),
            batch_size=None,
            shuffle=shuffle,
            num_workers=2,
            generator=generator,
            persistent_workers=persistent,
            multiprocessing_context="fork",
        )
        log = []
        for _ in range(2):
            log.append(list(loader))
            log.append(framework.rand(1).item())
        return log, framework.rand(1, generator=generator).item()

    mine, reference = both(script)
    assert mine == reference


@pytest.mark.parametrize("prefetch_factor", [1, 2, 3])
@pytest.mark.parametrize(
    "lengths", [[5, 3], [3, 5], [0, 4], [2, 3, 6], [6, 1, 3]], ids=str
)
def test_streams_of_uneven_length_interleave_alike(lengths, prefetch_factor):
    def script(framework, data):
        class Stream(data.IterableDataset):
            def __iter__(self):
                worker = data.get_worker_info().id
                return iter([(worker, k) for k in range(lengths[worker])])

        loader = data.DataLoader(
            Stream(),
            batch_size=None,
            num_workers=len(lengths),
            prefetch_factor=prefetch_factor,
            multiprocessing_context="fork",
        )
        return [tuple(x) for x in loader]

    mine, reference = both(script)
    assert mine == reference


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("k"),
        FileNotFoundError(2, "none"),
        UnicodeDecodeError("utf8", b"x", 0, 1, "r"),
        StopIteration(3),
    ],
    ids=lambda e: type(e).__name__,
)
def test_exceptions_are_raised_again_in_the_same_words(error):
    outcomes = []
    for wrapper in (ours._utils.ExceptionWrapper, oracle._utils.ExceptionWrapper):
        try:
            raise error.with_traceback(None)
        except Exception:
            wrapped = wrapper(where="in DataLoader worker process 0")
        with pytest.raises(Exception) as caught:
            wrapped.reraise()
        outcomes.append((caught.type, str(caught.value)))
    assert outcomes[0] == outcomes[1]
