"""Matrix products with sparse operands."""

from __future__ import annotations

from typing import Any

from dispatchtorch._sparse.convert import as_coo, coalesced, to_compressed, to_dense
from dispatchtorch._sparse.data import CompressedData, CooData, is_sparse, make_coo
from dispatchtorch._sparse.layer import composite
from dispatchtorch.ops._common import torch
from dispatchtorch.tensor import Tensor

__all__ = ["dense_product", "sparse_product"]


def _check(a: Tensor, b: Tensor) -> None:
    if len(a._shape) != 2 or len(b._shape) != 2:
        raise RuntimeError("mm: Expected 2-D tensors")
    if a._shape[1] != b._shape[0]:
        if is_sparse(a) and not is_sparse(b):
            raise RuntimeError(
                f"addmm: Argument #3 (dense): Expected dim 0 size {a._shape[1]}, got "
                f"{b._shape[0]}"
            )
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a._shape[0]}x{a._shape[1]} and "
            f"{b._shape[0]}x{b._shape[1]})"
        )


def dense_product(a: Tensor, b: Tensor) -> Tensor:
    """sparse @ dense: for each element of ``a``, its row gets a row of ``b``."""
    data = as_coo(a)._data
    row, column = data.indices[0], data.indices[1]
    terms = data.values.unsqueeze(1) * b.index_select(0, column)
    out = terms.new_zeros([data.shape[0], b._shape[1]])
    return out.index_add_(0, row, terms)


def sparse_product(a: Tensor, b: Tensor) -> Tensor:
    """sparse @ sparse: every element of ``a`` meets the row of ``b`` that it selects."""
    first, second = coalesced(as_coo(a))._data, coalesced(as_coo(b))._data
    row, column = first.indices[0], first.indices[1]
    counts = torch.bincount(second.indices[0], minlength=second.shape[0])
    starts = counts.cumsum(0) - counts
    lengths = counts[column]
    element = torch.arange(first.nnz, device=row.device).repeat_interleave(lengths)
    ends = lengths.cumsum(0) - lengths
    inside = torch.arange(element._shape[0], device=row.device) - ends[element]
    other = starts[column[element]] + inside
    indices = torch.stack([row[element], second.indices[1][other]])
    values = first.values[element] * second.values[other]
    made = coalesced(make_coo(indices, values, (first.shape[0], second.shape[1])))
    if isinstance(a._data, CompressedData):
        return to_compressed(made, a.layout)
    return made


@composite("mm")
def mm(self: Tensor, mat2: Tensor) -> Tensor:
    _check(self, mat2)
    if is_sparse(self):
        return torch._sparse_product(self, mat2)
    return torch._sparse_product(mat2.t(), self.t()).t()


@composite("mv")
def mv(self: Tensor, vec: Tensor) -> Tensor:
    return mm(self, vec.unsqueeze(1)).squeeze(1)


@composite("matmul")
def matmul(self: Tensor, other: Tensor) -> Tensor:
    a, b = len(self._shape), len(other._shape)
    if a == 2 and b == 1:
        return mv(self, other)
    if a == 2 and b == 2:
        return mm(self, other)
    if a == 3 and b == 3:
        return bmm(self, other)
    if a == 1 and b == 2:
        return mv(other.t(), self)
    raise NotImplementedError(
        f"matmul of a {a}-d and a {b}-d tensor of which one is sparse"
    )


@composite("bmm")
def bmm(self: Tensor, mat2: Tensor) -> Tensor:
    if self._shape[0] != mat2._shape[0] or self._shape[2] != mat2._shape[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{self._shape[0]}, {self._shape[2]}] but got: "
            f"[{mat2._shape[0]}, {mat2._shape[1]}]."
        )
    if not is_sparse(self):
        return torch.bmm(self, mat2.to_dense())
    return torch.stack(
        [mm(self.select(0, i), mat2.select(0, i)) for i in range(self._shape[0])]
    )


@composite("addmm")
def addmm(self: Tensor, mat1: Tensor, mat2: Tensor, beta: Any, alpha: Any) -> Tensor:
    product = mm(mat1, mat2)
    if is_sparse(product) and not is_sparse(self):
        product = product.to_dense()
    scaled = product if alpha == 1 else product * alpha
    if beta == 0:
        return scaled
    return (self if beta == 1 else self * beta) + scaled


@composite("addmv")
def addmv(self: Tensor, mat: Tensor, vec: Tensor, beta: Any, alpha: Any) -> Tensor:
    product = mv(mat, vec) * alpha
    return product if beta == 0 else self * beta + product


def product_gradients(grad: Tensor, a: Tensor, b: Tensor, needs: Any) -> Any:
    """Of ``_sparse_product``: the sparse factor's gradient is taken at its positions."""
    from dispatchtorch._sparse.rules import masked_like

    first = second = None
    if isinstance(a._data, CooData):
        a = coalesced(a)
    if needs[0]:
        if is_sparse(b):
            full = grad.to_dense() @ b.to_dense().conj().t()
        else:
            full = (grad.to_dense() if is_sparse(grad) else grad) @ b.conj().t()
        first = full.sparse_mask(a) if grad.requires_grad else masked_like(full, a)
    if needs[1]:
        left = a.t()
        if a.is_complex():
            left = left.conj_physical()
        if is_sparse(b):
            second = (to_dense(left) @ grad.to_dense()).sparse_mask(b)
        else:
            second = torch.mm(left, grad)
    return first, second
