"""Between layouts: dense, coordinates, compressed."""

from __future__ import annotations

from typing import Any

from dispatchtorch._sparse.data import (
    CompressedData,
    CooData,
    linear_indices,
    make_compressed,
    make_coo,
    unravel,
    volume,
)
from dispatchtorch.memory_format import sparse_bsc, sparse_bsr, sparse_csc, sparse_csr
from dispatchtorch.ops._common import torch
from dispatchtorch.tensor import Tensor

__all__ = [
    "as_coo",
    "coalesced",
    "gathered",
    "to_compressed",
    "to_coo",
    "to_dense",
]


def coalesced(t: Tensor) -> Tensor:
    """Sorted positions without repeats; values at one position are summed."""
    data: CooData = t._data
    if data.coalesced:
        return t
    sizes = data.shape[: data.sparse_dim]
    if data.nnz < 2:
        return make_coo(data.indices, data.values, data.shape, True)
    flat = linear_indices(data.indices, sizes)
    places, inverse = torch.unique(flat, return_inverse=True)
    kind = data.values
    summed = kind.new_zeros([places._shape[0], *kind._shape[1:]])
    if kind.dtype is torch.bool:
        summed = summed.to(torch.uint8).index_add_(0, inverse, kind.to(torch.uint8))
        summed = summed.to(torch.bool)
    else:
        summed = summed.index_add_(0, inverse, kind)
    return make_coo(unravel(places, sizes), summed, data.shape, True)


def to_dense(t: Tensor) -> Tensor:
    """The same tensor in an array, zeros included."""
    data = as_coo(t)._data
    sizes = data.shape[: data.sparse_dim]
    rest = data.shape[data.sparse_dim :]
    values = data.values
    flat = linear_indices(data.indices, sizes)
    dense = values.new_zeros([volume(sizes), *rest])
    if values.dtype is torch.bool:
        counted = dense.to(torch.uint8).index_add_(0, flat, values.to(torch.uint8))
        dense = counted.to(torch.bool)
    else:
        dense = dense.index_add_(0, flat, values)
    return dense.reshape(data.shape)


def to_coo(dense: Tensor, sparse_dim: int) -> Tensor:
    """The non-zero elements (or slices over the last dims) of a dense tensor."""
    shape = dense._shape
    present = dense != 0
    if sparse_dim < len(shape):
        present = present.any(list(range(sparse_dim, len(shape))))
    indices = present.nonzero().t().contiguous()
    if sparse_dim == 0:
        values = dense.unsqueeze(0)[: indices._shape[1]]
        return make_coo(indices.reshape(0, indices._shape[1]), values, shape, True)
    values = gathered(dense, indices)
    return make_coo(indices, values, shape, True)


def gathered(dense: Tensor, indices: Tensor) -> Tensor:
    """The slices of ``dense`` at the columns of ``indices``."""
    count = indices._shape[0]
    shape = dense._shape
    flat = linear_indices(indices, shape[:count])
    return dense.reshape([volume(shape[:count]), *shape[count:]]).index_select(0, flat)


def as_coo(t: Tensor) -> Tensor:
    """Any sparse tensor by coordinates."""
    data = t._data
    if not isinstance(data, CompressedData):
        return t
    batch = data.batch
    count, lead = data.nnz, volume(batch)
    compressed = data.compressed.reshape(lead, -1)
    lengths = (compressed[:, 1:] - compressed[:, :-1]).reshape(-1)
    rows_of = torch.arange(compressed._shape[1] - 1, device=lengths.device)
    major = rows_of.repeat(lead).repeat_interleave(lengths).to(torch.int64)
    minor = data.plain.reshape(-1).to(torch.int64)
    row, column = (major, minor) if data.by_row else (minor, major)
    values = data.values.reshape([lead * count, *data.values._shape[len(batch) + 1 :]])
    leading = []
    if batch:
        which = torch.arange(lead, device=lengths.device).repeat_interleave(count)
        leading = list(unravel(which, batch))
    if data.blocked:
        height, width = data.blocksize
        size = height * width
        inner = torch.arange(size, device=row.device)
        row = (row.unsqueeze(1) * height + inner // width).reshape(-1)
        column = (column.unsqueeze(1) * width + inner % width).reshape(-1)
        leading = [each.repeat_interleave(size) for each in leading]
        values = values.reshape([lead * count * size, *values._shape[3:]])
    indices = torch.stack([*leading, row, column])
    ordered = data.by_row and not data.blocked
    return make_coo(indices, values, data.shape, ordered)


_ORDERS = {
    sparse_csr: True,
    sparse_bsr: True,
    sparse_csc: False,
    sparse_bsc: False,
}


def to_compressed(
    t: Tensor, layout: Any, blocksize: Any = None, dense_dim: int | None = None
) -> Tensor:
    """A sparse or dense matrix (or batch of them) in a compressed layout."""
    from dispatchtorch._sparse.data import is_sparse

    extra = dense_dim or 0
    if not is_sparse(t):
        batch = t.ndim - 2 - extra
        if batch:
            return _batched(t, layout, blocksize, extra, batch)
        t = to_coo(t, t.ndim - extra)
    elif isinstance(t._data, CompressedData) and t._data.batch:
        dense = to_dense(t)
        return to_compressed(dense, layout, blocksize, extra)
    coo = coalesced(as_coo(t))
    data: CooData = coo._data
    if data.sparse_dim != 2:
        raise RuntimeError(
            f"to_sparse_{str(layout)[-3:]} expected a 2-d sparse tensor, but got one with "
            f"{data.sparse_dim} sparse dims"
        )
    by_row = _ORDERS[layout]
    values, (row, column) = data.values, (data.indices[0], data.indices[1])
    shape = data.shape
    height, width = blocksize or (1, 1)
    if blocksize is not None:
        row_block, column_block = row // height, column // width
        grid = (shape[0] // height, shape[1] // width)
        order = (row_block, column_block) if by_row else (column_block, row_block)
        major_size, minor_size = grid if by_row else grid[::-1]
        flat = order[0] * minor_size + order[1]
        places, inverse = torch.unique(flat, return_inverse=True)
        blocks = values.new_zeros(
            [places._shape[0] * height * width, *values._shape[1:]]
        )
        inside = inverse * (height * width) + (row % height) * width + column % width
        blocks = blocks.index_copy_(0, inside, values)
        values = blocks.reshape([places._shape[0], height, width, *values._shape[1:]])
        major = torch.div(places, max(minor_size, 1), rounding_mode="floor")
        minor = places % max(minor_size, 1)
    else:
        major, minor = (row, column) if by_row else (column, row)
        major_size, minor_size = shape[:2] if by_row else shape[1::-1]
        if not by_row:
            order_ = torch.argsort(major, stable=True)
            major, minor = major[order_], minor[order_]
            values = values.index_select(0, order_)
    counts = torch.bincount(major, minlength=major_size)
    compressed = torch.cat([counts.new_zeros([1]), counts.cumsum(0)])
    return make_compressed(layout, compressed, minor, values, shape)


def _batched(
    dense: Tensor, layout: Any, blocksize: Any, extra: int, batch: int
) -> Tensor:
    lead = dense._shape[:batch]
    matrices = dense.reshape([volume(lead), *dense._shape[batch:]])
    made = [
        to_compressed(m, layout, blocksize, extra)._data for m in matrices.unbind(0)
    ]
    if len({m.nnz for m in made}) > 1:
        raise RuntimeError("Expect the same number of specified elements per batch.")
    compressed, plain, values = (
        torch.stack(each).reshape([*lead, *each[0]._shape])
        for each in zip(*(m.parts() for m in made), strict=True)
    )
    return make_compressed(layout, compressed, plain, values, dense._shape)
