"""Work shared between threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch._threads import in_shares


@pytest.fixture(params=[1, 2, 3])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("size", [1, 7, 8, 64, 65, 1000])
def test_shares_cover_everything_once(threads: int, size: int) -> None:
    seen = np.zeros(size, int)
    starts = []

    def part(start: int, stop: int) -> None:
        starts.append(start)
        seen[start:stop] += 1

    in_shares(part, size, 8)
    assert (seen == 1).all()
    assert len(starts) <= threads
    assert all(start % 8 == 0 for start in starts)


def test_shares_do_not_split_again(threads: int) -> None:
    inner: set[str] = set()

    def outer(start: int, stop: int) -> None:
        own = threading.current_thread().name

        def part(first: int, last: int) -> None:
            assert threading.current_thread().name == own
            inner.add(own)

        in_shares(part, 100, 1)

    in_shares(outer, 100, 1)
    assert 1 <= len(inner) <= threads


def test_an_error_in_a_share_comes_out(threads: int) -> None:
    def part(start: int, stop: int) -> None:
        if stop == 100:
            raise ValueError("last")

    with pytest.raises(ValueError, match="last"):
        in_shares(part, 100, 1)


def test_softmax_and_gelu_are_the_same_on_any_number_of_threads(threads: int) -> None:
    x = torch.randn(300, 400, generator=torch.Generator().manual_seed(0))
    many = torch.softmax(x, -1), torch.nn.functional.gelu(x)
    torch.set_num_threads(1)
    one = torch.softmax(x, -1), torch.nn.functional.gelu(x)
    for a, b in zip(many, one, strict=True):
        assert torch.equal(a, b)
