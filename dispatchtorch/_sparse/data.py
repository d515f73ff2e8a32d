"""What a sparse tensor holds in place of a native array: dense tensors.

COO (coordinates): ``indices`` of shape (sparse dims, nnz), ``values`` of shape
(nnz, *dense dims). Compressed (CSR, CSC and their blocked forms BSR, BSC): ``compressed``
of shape (*batch, n + 1), ``plain`` of shape (*batch, nnz) and ``values``.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch.dispatch.keys import AUTOGRAD, FUNCTION, SPARSE, VIEW
from dispatchtorch.memory_format import layout as Layout
from dispatchtorch.memory_format import sparse_bsc, sparse_bsr, sparse_coo, sparse_csr
from dispatchtorch.ops._common import contiguous_strides, torch
from dispatchtorch.tensor import Tensor, bare, new_tensor

__all__ = [
    "CompressedData",
    "CooData",
    "SparseData",
    "is_sparse",
    "linear_indices",
    "make_coo",
    "make_compressed",
    "rebuilt",
    "unravel",
]

_PLAIN = ~(AUTOGRAD | VIEW | FUNCTION)


class SparseData:
    """Shape, layout and values; subclasses add the indices."""

    __slots__ = ("layout", "shape", "values")

    layout: Layout
    shape: tuple[int, ...]
    values: Tensor

    def __getattr__(self, name: str) -> Any:
        # Whoever asks for more of a native array can't know sparse tensors.
        raise NotImplementedError(
            f"Cannot access data pointer or strides of a tensor of layout {self.layout}"
        )

    def parts(self) -> tuple[Tensor, ...]:
        """The dense tensors."""
        raise NotImplementedError

    def mapped(self, function: Any) -> SparseData:
        """The same positions with ``function`` of the values."""
        raise NotImplementedError

    def moved(self, function: Any) -> SparseData:
        """With ``function`` of every part (another device, a copy)."""
        raise NotImplementedError

    def assign(self, other: Any) -> None:
        """Becomes ``other``: what in-place operators do."""
        for cls in type(self).__mro__:
            for name in getattr(cls, "__slots__", ()):
                setattr(self, name, getattr(other, name))


class CooData(SparseData):
    """Coordinates; ``coalesced`` says that they are sorted and unique."""

    __slots__ = ("coalesced", "indices")

    def __init__(
        self, indices: Tensor, values: Tensor, shape: tuple[int, ...], coalesced: bool
    ) -> None:
        self.layout = sparse_coo
        self.indices = bare(indices)
        self.values = bare(values)
        self.shape = tuple(shape)
        self.coalesced = coalesced

    @property
    def sparse_dim(self) -> int:
        return self.indices._shape[0]

    @property
    def nnz(self) -> int:
        return self.indices._shape[1]

    def parts(self) -> tuple[Tensor, ...]:
        return self.indices, self.values

    def mapped(self, function: Any) -> CooData:
        return CooData(self.indices, function(self.values), self.shape, self.coalesced)

    def moved(self, function: Any) -> CooData:
        return CooData(
            function(self.indices), function(self.values), self.shape, self.coalesced
        )


class CompressedData(SparseData):
    """Rows (or columns) compressed to the places where they start."""

    __slots__ = ("compressed", "plain")

    def __init__(
        self,
        layout: Layout,
        compressed: Tensor,
        plain: Tensor,
        values: Tensor,
        shape: tuple[int, ...],
    ) -> None:
        self.layout = layout
        self.compressed = bare(compressed)
        self.plain = bare(plain)
        self.values = bare(values)
        self.shape = tuple(shape)

    @property
    def blocked(self) -> bool:
        return self.layout in (sparse_bsr, sparse_bsc)

    @property
    def by_row(self) -> bool:
        return self.layout in (sparse_csr, sparse_bsr)

    @property
    def blocksize(self) -> tuple[int, int]:
        if not self.blocked:
            return (1, 1)
        at = self.plain.ndim
        rows, columns = self.values._shape[at : at + 2]
        return rows, columns

    @property
    def nnz(self) -> int:
        return self.plain._shape[-1]

    @property
    def batch(self) -> tuple[int, ...]:
        return self.plain._shape[:-1]

    def parts(self) -> tuple[Tensor, ...]:
        return self.compressed, self.plain, self.values

    def mapped(self, function: Any) -> CompressedData:
        return CompressedData(
            self.layout, self.compressed, self.plain, function(self.values), self.shape
        )

    def moved(self, function: Any) -> CompressedData:
        compressed, plain, values = (function(p) for p in self.parts())
        return CompressedData(self.layout, compressed, plain, values, self.shape)


def is_sparse(t: Any) -> bool:
    return bool(getattr(t, "_keys", 0) & SPARSE)


def wrap(data: SparseData) -> Tensor:
    """A tensor without history that holds ``data``."""
    return new_tensor(data, data.values._keys & _PLAIN | SPARSE)


def rebuilt(t: Tensor, data: SparseData) -> Tensor:
    """What an operator on ``t`` returns: a tensor of other data."""
    return wrap(data)


def make_coo(
    indices: Tensor, values: Tensor, shape: tuple[int, ...], coalesced: bool = False
) -> Tensor:
    return wrap(CooData(indices, values, shape, coalesced))


def make_compressed(
    layout: Layout,
    compressed: Tensor,
    plain: Tensor,
    values: Tensor,
    shape: tuple[int, ...],
) -> Tensor:
    return wrap(CompressedData(layout, compressed, plain, values, shape))


def linear_indices(indices: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The place of each column of ``indices`` in a row-major array of ``sizes``."""
    if not sizes:
        return torch.zeros(
            [indices._shape[1]], dtype=torch.int64, device=indices.device
        )
    strides = indices.new_tensor(contiguous_strides(sizes))
    return (indices * strides.unsqueeze(1)).sum([0])


def unravel(flat: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The inverse of ``linear_indices``: (len(sizes), n)."""
    if not sizes:
        return flat.new_empty([0, flat._shape[0]])
    rows = []
    for stride, size in zip(contiguous_strides(sizes), sizes, strict=True):
        row = torch.div(flat, stride, rounding_mode="floor")
        rows.append(row % size if size else row)
    return torch.stack(rows)


def volume(sizes: tuple[int, ...]) -> int:
    return math.prod(sizes)
