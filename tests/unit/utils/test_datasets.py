"""Datasets and how they combine; what needs no oracle to be said."""

from __future__ import annotations

import pytest

import dispatchtorch as torch
from dispatchtorch.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    StackDataset,
    Subset,
    TensorDataset,
    random_split,
)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i * i


class Batched(Squares):
    def __getitems__(self, indices):
        return [-i for i in indices]


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def test_dataset_says_what_a_subclass_has_to_define():
    with pytest.raises(NotImplementedError, match="should implement __getitem__"):
        Dataset()[0]


def test_iterable_dataset_without_iter_cannot_be_made():
    class Nothing(IterableDataset):
        pass

    with pytest.raises(TypeError, match="abstract"):
        Nothing()


def test_adding_map_datasets_concatenates_and_adding_streams_chains():
    assert isinstance(Squares(2) + Squares(3), ConcatDataset)
    both = Stream(2) + Stream(3)
    assert isinstance(both, ChainDataset)
    assert list(both) == [0, 1, 0, 1, 2]


def test_tensor_dataset_indexes_all_its_tensors():
    x, y = torch.arange(6).reshape(3, 2), torch.arange(3)
    data = TensorDataset(x, y)
    assert len(data) == 3
    row, label = data[1]
    assert row.tolist() == [2, 3]
    assert label.item() == 1


def test_concat_dataset_finds_samples_from_both_ends():
    data = ConcatDataset([Squares(2), Squares(0), Squares(3)])
    assert [data[i] for i in range(len(data))] == [0, 1, 0, 1, 4]
    assert [data[-1 - i] for i in range(len(data))] == [4, 1, 0, 1, 0]
    assert data.cumulative_sizes == [2, 2, 5]
    with pytest.raises(ValueError, match="should not exceed dataset length"):
        data[-6]


def test_chain_dataset_opens_each_stream_when_it_is_reached():
    opened = []

    class Noted(Stream):
        def __iter__(self):
            opened.append(self.n)
            return super().__iter__()

    items = iter(ChainDataset([Noted(1), Noted(2)]))
    next(items)
    assert opened == [1]


def test_stack_dataset_gives_tuples_or_dicts():
    assert StackDataset(Squares(3), "abc")[2] == (4, "c")
    assert StackDataset(n=Squares(3), s="abc")[1] == {"n": 1, "s": "b"}
    with pytest.raises(ValueError, match="Size mismatch"):
        StackDataset(Squares(3), "ab")
    with pytest.raises(ValueError, match="both types are given"):
        StackDataset(Squares(3), s="abc")


def test_stack_and_subset_fetch_batches_through_getitems():
    assert StackDataset(Batched(4), "abcd").__getitems__([1, 3]) == [
        (-1, "b"),
        (-3, "d"),
    ]
    assert Subset(Batched(9), [5, 7]).__getitems__([1, 0]) == [-7, -5]
    assert Subset(Squares(9), [5, 7]).__getitems__([1, 0]) == [49, 25]


def test_a_loader_fetches_batches_through_getitems():
    batches = [b.tolist() for b in DataLoader(Batched(5), batch_size=2)]
    assert batches == [[0, -1], [-2, -3], [-4]]


def test_random_split_parts_are_disjoint_and_complete():
    parts = random_split(Squares(11), [0.5, 0.3, 0.2])
    assert [len(p) for p in parts] == [6, 3, 2]
    indices = [i for p in parts for i in p.indices]
    assert sorted(indices) == list(range(11))


def test_random_split_rejects_lengths_that_do_not_fit():
    with pytest.raises(ValueError, match="Sum of input lengths"):
        random_split(Squares(5), [2, 2])
    with pytest.raises(ValueError, match="Fraction at index 0"):
        random_split(Squares(5), [1.5, -0.5])


def test_distributed_replicas_share_the_dataset_out():
    shares = [DistributedSampler(range(10), 3, rank) for rank in range(3)]
    assert sorted({i for s in shares for i in s}) == list(range(10))
    assert {len(list(s)) for s in shares} == {4}
    cut = [DistributedSampler(range(10), 3, r, drop_last=True) for r in range(3)]
    assert len({i for s in cut for i in s}) == 9


def test_distributed_sampler_without_a_process_group_says_what_it_needs():
    if hasattr(torch, "distributed") and torch.distributed.is_available():
        pytest.skip("there is a distributed package")
    with pytest.raises(NotImplementedError, match="process group"):
        DistributedSampler(range(10))


def test_distributed_epochs_differ():
    sampler = DistributedSampler(range(50), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first
