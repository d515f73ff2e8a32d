"""Data loading against PyTorch: the same orders, the same draws, the same words."""

from __future__ import annotations

import collections
import types
import warnings

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch.utils import data as ours
from dispatchtorch.utils.data._utils import collate as our_collate

oracle = pytest.importorskip("torch")
theirs = oracle.utils.data

pytestmark = pytest.mark.oracle

Pair = collections.namedtuple("Pair", "a b")


def plain(value):
    """A result as comparable Python: tensors as (dtype, values)."""
    if isinstance(value, (torch.Tensor, oracle.Tensor)):
        return str(value.dtype).rpartition(".")[2], value.tolist()
    if isinstance(value, collections.abc.Mapping):
        return type(value).__name__, {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value).__name__, [plain(v) for v in value]
    return value


def outcome(function, *args, **kwargs):
    """What a call does: its result or its exception, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = "value", plain(function(*args, **kwargs))
        except Exception as error:
            result = type(error).__name__, str(error)
    return result, [(w.category.__name__, str(w.message)) for w in caught]


def both(script):
    """``script(torch, data)`` under either framework."""
    results = []
    for framework, data in ((torch, ours), (oracle, theirs)):
        framework.manual_seed(7)
        results.append(outcome(script, framework, data))
    return results


def same(script):
    mine, reference = both(script)
    assert mine == reference


LENGTHS = [
    [3, 7],
    [0.3, 0.7],
    [0.33, 0.33, 0.34],
    [1 / 3] * 3,
    [10, 0],
    [0.05, 0.95],
    [1.0],
    [0.5, 0.6],
    [1.2, -0.2],
    [0.01, 0.99],
    [5, 6],
    [],
]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_random_split_is_the_same_split(lengths):
    def script(framework, data):
        generator = framework.Generator().manual_seed(1)
        parts = data.random_split(range(10), lengths, generator)
        return [p.indices for p in parts], framework.rand(1, generator=generator)

    same(script)


def test_random_split_draws_from_the_default_generator():
    def script(framework, data):
        return [p.indices for p in data.random_split(range(9), [4, 5])]

    same(script)


SAMPLERS = {
    "sequential": lambda d, g: d.SequentialSampler(range(6)),
    "random": lambda d, g: d.RandomSampler(range(10), generator=g),
    "random more": lambda d, g: d.RandomSampler(range(10), False, 25, g),
    "random whole": lambda d, g: d.RandomSampler(range(10), False, 20, g),
    "random fewer": lambda d, g: d.RandomSampler(range(10), False, 3, g),
    "replacement": lambda d, g: d.RandomSampler(range(10), True, None, g),
    "replacement 70": lambda d, g: d.RandomSampler(range(10), True, 70, g),
    "replacement 64": lambda d, g: d.RandomSampler(range(10), True, 64, g),
    "subset": lambda d, g: d.SubsetRandomSampler([5, 6, 7, 8, 9], g),
    "weighted": lambda d, g: d.WeightedRandomSampler([1, 2, 3.5], 9, True, g),
    "weighted without": lambda d, g: d.WeightedRandomSampler([1, 2, 3], 3, False, g),
    "batch": lambda d, g: d.BatchSampler(
        d.RandomSampler(range(7), generator=g), 3, False
    ),
    "batch drop": lambda d, g: d.BatchSampler(range(7), 3, True),
    "distributed": lambda d, g: d.DistributedSampler(range(10), 3, 1),
    "distributed seed": lambda d, g: d.DistributedSampler(range(10), 3, 2, seed=5),
    "distributed drop": lambda d, g: d.DistributedSampler(
        range(10), 4, 3, drop_last=True
    ),
    "distributed plain": lambda d, g: d.DistributedSampler(range(3), 8, 7, False),
}


@pytest.mark.parametrize("with_generator", [False, True])
@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_give_the_same_order_and_leave_the_generator_alike(
    name, with_generator
):
    def script(framework, data):
        generator = framework.Generator().manual_seed(3) if with_generator else None
        sampler = SAMPLERS[name](data, generator)
        passes = [list(sampler), list(sampler), len(sampler)]
        return passes, framework.randint(1 << 30, (2,), generator=generator)

    same(script)


BAD = {
    "replacement": lambda d: d.RandomSampler([1], replacement=1),
    "num_samples": lambda d: d.RandomSampler([1], num_samples=0),
    "num_samples float": lambda d: d.RandomSampler([1], num_samples=1.5),
    "empty": lambda d: d.RandomSampler([]),
    "weights 2d": lambda d: d.WeightedRandomSampler([[1, 2]], 2),
    "weighted samples": lambda d: d.WeightedRandomSampler([1], 2.0),
    "weighted bool": lambda d: d.WeightedRandomSampler([1], True),
    "weighted replacement": lambda d: d.WeightedRandomSampler([1], 1, 1),
    "batch 0": lambda d: d.BatchSampler([1], 0, False),
    "batch bool": lambda d: d.BatchSampler([1], True, False),
    "batch drop": lambda d: d.BatchSampler([1], 2, 1),
    "batch len": lambda d: len(d.BatchSampler(iter([1]), 2, False)),
    "rank": lambda d: d.DistributedSampler([1], 2, 2),
    "sampler arguments": lambda d: d.Sampler([1]),
    "concat nothing": lambda d: d.ConcatDataset([]),
    "concat index": lambda d: d.ConcatDataset([[1, 2]])[-3],
    "misspelt": lambda d: d.ConcatDataset([[1]]).cummulative_sizes,
    "chain": lambda d: list(d.ChainDataset([[1]])),
    "chain len": lambda d: len(d.ChainDataset([[1]])),
    "stack nothing": lambda d: d.StackDataset(),
    "stack both": lambda d: d.StackDataset([1], a=[1]),
    "stack sizes": lambda d: d.StackDataset([1], [1, 2]),
}


@pytest.mark.parametrize("name", BAD)
def test_wrong_arguments_raise_the_same_error(name):
    same(lambda framework, data: BAD[name](data))


OPTIONS = [
    {"num_workers": -1},
    {"timeout": -1},
    {"prefetch_factor": 2},
    {"num_workers": 1, "prefetch_factor": -1},
    {"persistent_workers": True},
    {"sampler": [1], "shuffle": True},
    {"batch_sampler": [[1]], "batch_size": 2},
    {"batch_sampler": [[1]], "shuffle": True},
    {"batch_sampler": [[1]], "sampler": [1]},
    {"batch_sampler": [[1]], "drop_last": True},
    {"batch_size": None, "drop_last": True},
    {"batch_size": 0},
    {"batch_size": 1.5},
    {"drop_last": 1},
    {"num_workers": 1, "multiprocessing_context": "foo"},
    {"num_workers": 1, "multiprocessing_context": 3},
    {"multiprocessing_context": "fork"},
    {"num_workers": 1000},
    {"timeout": 1},
    {"pin_memory": True},
    {"pin_memory": True, "pin_memory_device": "x"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_loader_options_exclude_each_other_in_the_same_words(options):
    def script(framework, data):
        loader = data.DataLoader(range(4), **options)
        return list(loader) if not loader.num_workers else None

    same(script)


@pytest.mark.parametrize(
    "options",
    [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}, {"shuffle": False}],
    ids=str,
)
def test_streams_take_no_order(options):
    def script(framework, data):
        class Stream(data.IterableDataset):
            def __iter__(self):
                return iter(range(5))

        return list(data.DataLoader(Stream(), batch_size=2, **options))

    same(script)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 7])
def test_the_length_of_a_stream_is_taken_from_the_dataset(batch_size, drop_last):
    def script(framework, data):
        class Stream(data.IterableDataset):
            def __iter__(self):
                return iter(range(9))

            def __len__(self):
                return 4

            def __repr__(self):
                return "Stream()"

        loader = data.DataLoader(
            Stream(), batch_size, drop_last=drop_last and batch_size is not None
        )
        return len(loader), [x if batch_size is None else x.tolist() for x in loader]

    same(script)


@pytest.mark.parametrize("name", ["batch_size", "sampler", "dataset", "num_workers"])
def test_which_attributes_can_be_set_later(name):
    same(lambda _, data: setattr(data.DataLoader([1]), name, [2]))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("with_generator", [False, True])
@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_loader_draws_what_pytorchs_draws(shuffle, with_generator, batch_size):
    def script(framework, data):
        generator = framework.Generator().manual_seed(3) if with_generator else None
        loader = data.DataLoader(
            range(10), batch_size, shuffle=shuffle, generator=generator
        )
        log = []
        for _ in range(2):
            batches = iter(loader)
            log.append(framework.rand(1))
            log.append(list(batches))
            log.append(framework.rand(1))
        return log, framework.rand(1, generator=generator)

    same(script)


class Mutable(dict):
    pass


class OwnInit(dict):
    def __init__(self, items, extra):
        super().__init__(items)


class OwnInitList(list):
    def __init__(self, items, extra):
        super().__init__(items)


class Immutable(collections.abc.Mapping):
    def __init__(self, items):
        self.items_ = items

    def __getitem__(self, key):
        return self.items_[key]

    def __iter__(self):
        return iter(self.items_)

    def __len__(self):
        return len(self.items_)


SAMPLES = {
    "int": lambda t: 3,
    "bool": lambda t: True,
    "float": lambda t: 1.5,
    "str": lambda t: "x",
    "bytes": lambda t: b"x",
    "none": lambda t: None,
    "complex": lambda t: 1j,
    "set": lambda t: {1},
    "object": lambda t: Ellipsis,
    "tensor": lambda t: t.ones(2),
    "scalar tensor": lambda t: t.tensor(3),
    "half": lambda t: t.ones(2, dtype=t.float16),
    "array": lambda t: np.ones((2, 1), np.float32),
    "array 0d": lambda t: np.array(2),
    "array str": lambda t: np.array(["a"]),
    "array object": lambda t: np.array([None]),
    "np int": lambda t: np.int32(3),
    "np float": lambda t: np.float32(3),
    "np double": lambda t: np.float64(3),
    "np bool": lambda t: np.bool_(True),
    "np str": lambda t: np.str_("x"),
    "dict": lambda t: {"a": 1, "b": [1.5, "x"]},
    "ordered": lambda t: collections.OrderedDict(a=1),
    "default": lambda t: collections.defaultdict(list, a=1),
    "proxy": lambda t: types.MappingProxyType({"a": 1}),
    "dict subclass": lambda t: Mutable(a=1),
    "dict own init": lambda t: OwnInit({"a": 1}, 2),
    "mapping": lambda t: Immutable({"a": 1}),
    "pair": lambda t: Pair(1, (2, 3)),
    "tuple": lambda t: (1, 2.5, "s"),
    "list": lambda t: [1, t.zeros(1)],
    "list own init": lambda t: OwnInitList([1, 2], 0),
    "range": lambda t: range(2),
    "deque": lambda t: collections.deque([1, 2]),
    "bytearray": lambda t: bytearray(b"ab"),
    "empty": lambda t: [],
    "nested": lambda t: {"x": (1, "a", Pair(1.0, np.ones(1)))},
}


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_collate_to_the_same_batch(name):
    same(lambda t, data: data.default_collate([SAMPLES[name](t), SAMPLES[name](t)]))


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_convert_to_the_same_tensors(name):
    same(lambda t, data: data.default_convert(SAMPLES[name](t)))


UNEVEN = {
    "lists": lambda t: [[1, 2], [3]],
    "tensors": lambda t: [t.ones(2), t.ones(3)],
    "keys": lambda t: [{"a": 1}, {"b": 1}],
    "more keys": lambda t: [{"a": 1}, {"a": 2, "b": 1}],
    "int and float": lambda t: [1, 2.5],
    "float and int": lambda t: [1.5, 2],
    "str and int": lambda t: ["a", 1],
    "nothing": lambda t: [],
    "tuple of samples": lambda t: (1, 2),
}


@pytest.mark.parametrize("name", UNEVEN)
def test_uneven_samples_do_the_same(name):
    same(lambda t, data: data.default_collate(UNEVEN[name](t)))


def test_collate_asks_the_exact_type_first_and_then_bases_in_order():
    def script(framework, data):
        collate = data._utils.collate.collate

        def tagged(tag):
            return lambda batch, *, collate_fn_map=None: (tag, batch)

        table = {int: tagged("int"), (set, dict): tagged("set or dict")}
        return [
            collate([True, False], collate_fn_map=table),
            collate([{1}, {2}], collate_fn_map=table),
            collate([{"a": 1}], collate_fn_map=table),
            collate([[1, 2], [3, 4]], collate_fn_map=table),
        ]

    same(script)


def test_the_table_of_collate_functions_can_be_extended():
    our_collate.default_collate_fn_map[set] = lambda batch, *, collate_fn_map: "sets"
    try:
        assert ours.default_collate([{1}, {2}]) == "sets"
    finally:
        del our_collate.default_collate_fn_map[set]
