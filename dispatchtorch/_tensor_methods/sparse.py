"""What sparse tensors say of themselves."""

from __future__ import annotations

from typing import Any

from dispatchtorch._tensor_methods._install import attribute, method
from dispatchtorch.dispatch.keys import SPARSE
from dispatchtorch.memory_format import sparse_coo, sparse_csr
from dispatchtorch.tensor import Tensor

__all__: list[str] = []


def _coo(self: Tensor, name: str) -> Any:
    if self.layout is not sparse_coo:
        from dispatchtorch.ops.sparse import _expected_coo

        raise _expected_coo(name, self)
    return self._data


@attribute
def is_sparse(self: Tensor) -> bool:
    return bool(self._keys & SPARSE) and self.layout is sparse_coo


@attribute
def is_sparse_csr(self: Tensor) -> bool:
    return bool(self._keys & SPARSE) and self.layout is sparse_csr


@method
def is_coalesced(self: Tensor) -> bool:
    """Whether the positions are sorted and unique."""
    return bool(_coo(self, "is_coalesced").coalesced)


@method
def _coalesced_(self: Tensor, coalesced: bool) -> Tensor:
    """Says whether the positions are sorted and unique."""
    _coo(self, "_coalesced_").coalesced = coalesced
    return self


@method
def _nnz(self: Tensor) -> int:
    """The number of specified elements."""
    if not self._keys & SPARSE:
        raise NotImplementedError(
            "Could not run 'aten::_nnz' with arguments from the 'CPU' backend."
        )
    return int(self._data.nnz)


@method
def sparse_dim(self: Tensor) -> int:
    """The number of sparse dims (0 for dense tensors)."""
    if not self._keys & SPARSE:
        return 0
    return int(getattr(self._data, "sparse_dim", 2) if self.is_sparse else 2)


@method
def dense_dim(self: Tensor) -> int:
    """The number of dense dims."""
    if not self._keys & SPARSE:
        return self.ndim
    data = self._data
    lead = 1 if self.is_sparse else len(data.batch) + (3 if data.blocked else 1)
    return len(data.values._shape) - lead


@method
def sparse_resize_(self: Tensor, size: Any, sparse_dim: int, dense_dim: int) -> Tensor:
    """Gives a COO tensor another size; specified elements stay."""
    data = _coo(self, "sparse_resize_")
    if data.nnz and (sparse_dim != data.sparse_dim or dense_dim != self.dense_dim()):
        raise RuntimeError(
            "changing the number of "
            f"{'sparse' if sparse_dim != data.sparse_dim else 'dense'} dimensions (from "
            f"{data.sparse_dim} to {sparse_dim}) on a non-empty sparse tensor is not "
            "supported."
        )
    if data.nnz and any(new < old for new, old in zip(size, data.shape, strict=False)):
        raise RuntimeError(
            "shrinking the size of sparse dimensions (from "
            f"{list(data.shape[:sparse_dim])} to {list(size[:sparse_dim])}) on a "
            "non-empty sparse tensor is not supported."
        )
    if data.nnz:
        data.shape = tuple(size)
        return self
    return self.sparse_resize_and_clear_(size, sparse_dim, dense_dim)


@method
def resize_as_sparse_(self: Tensor, other: Tensor) -> Tensor:
    """Gives a COO tensor the size and the split of dims of another one."""
    template = _coo(other, "resize_as_sparse_")
    mine = _coo(self, "resize_as_sparse_")
    dense = len(template.shape) - template.sparse_dim
    if (mine.shape, mine.sparse_dim) != (template.shape, template.sparse_dim):
        self.sparse_resize_(template.shape, template.sparse_dim, dense)
    return self


@method
def to_sparse_coo(self: Tensor) -> Tensor:
    """The tensor by coordinates: :meth:`to_sparse`."""
    return self.to_sparse()


@method
def sparse_resize_and_clear_(
    self: Tensor, size: Any, sparse_dim: int, dense_dim: int
) -> Tensor:
    """Gives a COO tensor another size and no elements."""
    from dispatchtorch._sparse.data import CooData

    data = _coo(self, "sparse_resize_and_clear_")
    indices = data.indices.new_empty([sparse_dim, 0])
    values = data.values.new_empty([0, *size[sparse_dim:]])
    data.assign(CooData(indices, values, tuple(size), True))
    return self
