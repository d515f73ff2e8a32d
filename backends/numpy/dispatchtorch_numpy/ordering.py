"""Which of several equal elements comes first.

PyTorch's unstable algorithms leave equal elements in an order of their own. Programs see
it in the indices, so the host's kernels leave them in the same one: the classic
introsort, introselect, heap selection and quickselect are replayed on ranks, all rows
and all segments of one depth at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch_numpy.indexing import empty_like

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]
Array = np.ndarray[Any, Any]

#: More elements than this keep the stable order, which costs nothing.
_LIMIT = 1 << 16
#: Segments up to this size are left to an insertion sort, which is stable.
_SMALL = 16


class _Rows:
    """Ranks and original places of the elements of many rows, end to end."""

    def __init__(self, ranks: Array, rows: int, n: int) -> None:
        self.ranks = ranks.reshape(-1)
        self.places = np.tile(np.arange(n), rows)
        self.starts = np.arange(rows) * n
        self.n = n

    def swap(self, a: Array, b: Array) -> None:
        for values in (self.ranks, self.places):
            values[a], values[b] = values[b], values[a]

    def meet(
        self, low: Array, high: Array, pivots: Array, apart: int
    ) -> tuple[Array, Array]:
        """Hoare's scans towards each other in each ``low…high``, with their swaps.

        What is not less than the pivot trades places with what is not greater, the first
        from the left with the first from the right, until the scans cross. With ``apart``
        the scan from the left starts one later and that from the right one earlier, and
        they may trade at the same place. Returns where the two scans end.
        """
        sizes = high - low + 1
        ends = np.cumsum(sizes)
        segments = np.repeat(np.arange(len(low)), sizes)
        at = np.arange(ends[-1]) + (low - (ends - sizes))[segments]
        values, wanted = self.ranks[at], pivots[segments]
        left, right = values >= wanted, values <= wanted
        if apart:
            left[ends - sizes] = right[ends - 1] = False
        l_at, l_segment, r_at = at[left], segments[left], at[right]
        l_count = np.bincount(l_segment, minlength=len(low))
        r_count = np.bincount(segments[right], minlength=len(low))
        l_first, r_last = np.cumsum(l_count) - l_count, np.cumsum(r_count) - 1
        turn = np.arange(len(l_at)) - l_first[l_segment]
        partner = r_at[np.maximum(r_last[l_segment] - turn, 0)]
        trade = (turn < r_count[l_segment]) & (l_at < partner + apart)
        self.swap(l_at[trade], partner[trade])
        trades = np.bincount(l_segment[trade], minlength=len(low))

        def nth(which: Array, index: Array, there: Array, other: int) -> Array:
            found = np.full(len(low), other)
            found[there] = which[index[there]]
            return found

        far = len(self.ranks)
        l_next = nth(l_at, l_first + trades, trades < l_count, far)
        r_next = nth(r_at, r_last - trades, trades < r_count, -1)
        back = trades - 1
        l_done = nth(l_at, l_first + back, back >= 0, -1)
        r_done = nth(r_at, r_last - back, back >= 0, far)
        if apart:  # a trade at one place leaves the one before as the border
            same = l_done == r_done
            back = back - same
            l_done = nth(l_at, l_first + back, back >= 0, -1)
            r_done = nth(r_at, r_last - back, back >= 0, far)
        return np.minimum(l_next, r_done), np.maximum(r_next, l_done)

    def partition(self, first: Array, last: Array) -> Array:
        """Splits each ``first…last - 1`` around the median of three; gives the cuts."""
        a, b, c = first + 1, first + (last - first) // 2, last - 1
        x, y, z = self.ranks[a], self.ranks[b], self.ranks[c]
        rising = np.where(y < z, b, np.where(x < z, c, a))
        falling = np.where(x < z, a, np.where(y < z, c, b))
        self.swap(first, np.where(x < y, rising, falling))
        return self.meet(first + 1, last - 1, self.ranks[first], 0)[0]

    def settle(self, first: Array, last: Array) -> None:
        """A stable sort of each segment."""
        if not len(first):
            return
        sizes = last - first
        ends = np.cumsum(sizes)
        segments = np.repeat(np.arange(len(first)), sizes)
        at = np.arange(ends[-1]) + (first - (ends - sizes))[segments]
        order = at[np.lexsort((self.ranks[at], segments))]
        self.ranks[at], self.places[at] = self.ranks[order], self.places[order]

    def sort(self, size: int) -> None:
        """Introsort of the first ``size`` elements of each row."""
        if size < 2:
            return
        first, last = self.starts, self.starts + size
        for _ in range(2 * (size.bit_length() - 1)):
            large = last - first > _SMALL
            first, last = first[large], last[large]
            if not len(first):
                break
            cut = self.partition(first, last)
            first, last = np.concatenate([first, cut]), np.concatenate([cut, last])
        for begin, end in zip(first, last, strict=True):
            if end - begin > _SMALL:
                self.heap(int(begin), int(end), int(end - begin), True)
        self.settle(self.starts, self.starts + size)

    def select(self, nth: int) -> None:
        """Introselect: what belongs at ``nth`` of each row gets there."""
        first, last = self.starts, self.starts + self.n
        nths = self.starts + nth
        small: list[tuple[Array, Array]] = []
        for _ in range(2 * (self.n.bit_length() - 1)):
            large = last - first > 3
            small.append((first[~large], last[~large]))
            first, last, nths = first[large], last[large], nths[large]
            if not len(first):
                break
            cut = self.partition(first, last)
            first, last = (
                np.maximum(first, np.where(cut <= nths, cut, 0)),
                np.where(cut <= nths, last, cut),
            )
        large = last - first > 3
        small.append((first[~large], last[~large]))
        for begin, end, at in zip(first[large], last[large], nths[large], strict=True):
            self.heap(int(begin), int(end), int(at - begin + 1), False)
            self.swap(begin, at)
        self.settle(*[np.concatenate(each) for each in zip(*small, strict=True)])

    def quickselect(self, nth: int) -> None:
        """Quickselect: what belongs at ``nth`` of each row gets there."""
        low, high = self.starts, self.starts + self.n - 1
        nths = self.starts + nth

        def ordered(a: Array, b: Array) -> None:
            wrong = self.ranks[a] > self.ranks[b]
            self.swap(a[wrong], b[wrong])

        while True:
            pair = high == low + 1
            ordered(low[pair], high[pair])
            more = high > low + 1
            low, high, nths = low[more], high[more], nths[more]
            if not len(low):
                return
            second = low + 1
            self.swap(low + (high - low) // 2, second)
            ordered(second, high)
            ordered(low, high)
            ordered(second, low)
            up, down = self.meet(second, high, self.ranks[low], 1)
            self.swap(low, down)
            low = np.where(down <= nths, up, low)
            high = np.where(down >= nths, down - 1, high)

    def heap(self, begin: int, end: int, k: int, ordered: bool) -> None:
        """The ``k`` least of ``begin…end - 1`` to its front, through a heap."""
        ranks = self.ranks[begin:end].tolist()
        places = self.places[begin:end].tolist()
        items = list(zip(ranks, places, strict=True))
        top = items[:k]
        for parent in range(k // 2 - 1, -1, -1):
            _sift(top, parent, k, top[parent])
        for i in range(k, len(items)):
            if ranks[i] < top[0][0]:
                item, items[i] = items[i], top[0]
                _sift(top, 0, k, item)
        if ordered:
            for size in range(k - 1, 0, -1):
                item, top[size] = top[size], top[0]
                _sift(top, 0, size, item)
        made = np.array(top + items[k:])
        self.ranks[begin:end], self.places[begin:end] = made[:, 0], made[:, 1]


def _sift(heap: list[Any], hole: int, size: int, item: Any) -> None:
    """Fills a hole of a heap: the larger children move up to a leaf, the item after."""
    top = hole
    child = 2 * hole + 2
    while child < size:
        if heap[child][0] < heap[child - 1][0]:
            child -= 1
        heap[hole] = heap[child]
        hole, child = child, 2 * child + 2
    if child == size:
        heap[hole] = heap[child - 1]
        hole = child - 1
    while hole > top and heap[(hole - 1) // 2][0] < item[0]:
        heap[hole] = heap[(hole - 1) // 2]
        hole = (hole - 1) // 2
    heap[hole] = item


def _replay(rows: _Rows, algorithm: str, k: int) -> None:
    if algorithm == "sort":
        rows.sort(rows.n)
    elif algorithm == "kthvalue":
        rows.quickselect(k - 1)
    elif k * 64 <= rows.n:
        for start in rows.starts.tolist():
            rows.heap(start, start + rows.n, k, True)
    else:
        rows.select(k - 1)
        if algorithm == "topk":
            rows.sort(k - 1)


def kernels_for(xp: Any) -> Kernels:
    """The kernels of NumPy alone; other libraries keep the stable order."""

    def settle(values: Any, indices: Any, dim: int, algorithm: str, k: int) -> Any:
        n = values.shape[dim]
        if values.size > _LIMIT or n < 2 or (algorithm == "sort" and n <= _SMALL):
            return values, indices
        by_row = np.moveaxis(values, dim, -1).reshape(-1, n)
        if by_row.dtype.kind == "V":
            by_row = by_row.astype(np.float32)
        later, earlier = by_row[:, 1:], by_row[:, :-1]
        new = later != earlier
        if by_row.dtype.kind == "f":  # one NaN is as another
            new &= (later == later) | (earlier == earlier)
        tied = ~new.all(1)
        if algorithm == "topk unsorted":  # what isn't sorted shows the whole way
            tied[:] = True
        if not tied.any():
            return values, indices
        order = np.moveaxis(indices, dim, -1).reshape(-1, n).copy()
        found = order[tied]
        count = len(found)
        ranks = np.zeros((count, n), np.int64)
        sorted_ranks = np.zeros((count, n), np.int64)
        np.cumsum(new[tied], 1, out=sorted_ranks[:, 1:])
        np.put_along_axis(ranks, found, sorted_ranks, 1)
        rows = _Rows(ranks, count, n)
        _replay(rows, algorithm, k)
        places = rows.places.reshape(count, n)
        # Equal elements can be told apart: 0.0 and -0.0.
        where = np.empty_like(found)
        np.put_along_axis(where, found, np.broadcast_to(np.arange(n), (count, n)), 1)
        where = np.take_along_axis(where, places, 1)
        moved = np.moveaxis(values, dim, -1).reshape(-1, n).copy()
        moved[tied] = np.take_along_axis(moved[tied], where, 1)
        order[tied] = places
        made = empty_like(np, values), empty_like(np, indices)
        for target, source in zip(made, (moved, order), strict=True):
            view = np.moveaxis(target, dim, -1)
            view[...] = source.reshape(view.shape)
        return made

    def logcumsumexp(x: Any, dim: int) -> Any:
        if x.dtype.kind == "c" or not x.ndim:
            return NotImplemented
        wide = np.float64 if x.itemsize > 2 else np.float32
        made = np.logaddexp.accumulate(x.astype(wide), dim)
        return made.astype(x.dtype, "C")

    if xp is not np:
        return {}
    return {"_settle": (settle, False), "logcumsumexp": (logcumsumexp, False)}
