"""Operators that make sparse tensors, take them apart and convert them.

Bodies are what dense operands get; rules (``dispatchtorch/_sparse``) what sparse ones get.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.keys import SPARSE
from dispatchtorch.dispatch.operator import add_alias, operator
from dispatchtorch.memory_format import (
    sparse_bsc,
    sparse_bsr,
    sparse_coo,
    sparse_csc,
    sparse_csr,
    strided,
)
from dispatchtorch.ops._common import torch, wrap_dim
from dispatchtorch.tensor import Tensor, bare

__all__: list[str] = []


def _is_sparse(t: Any) -> bool:
    return bool(t._keys & SPARSE)


def _rules() -> Any:
    """The sparse package, whose import adds its layers."""
    from dispatchtorch._sparse import convert, data, products, rules
    from dispatchtorch._sparse import layer as _layer

    return data, convert, rules, products, _layer


def _expected_coo(name: str, t: Any) -> RuntimeError:
    kind = "Strided" if not _is_sparse(t) else _layout_name(t.layout)
    return RuntimeError(
        f"{name} expected sparse coordinate tensor layout but got {kind}"
    )


def _layout_name(layout: Any) -> str:
    return {
        "torch.sparse_coo": "Sparse",
        "torch.sparse_csr": "SparseCsr",
        "torch.sparse_csc": "SparseCsc",
        "torch.sparse_bsr": "SparseBsr",
        "torch.sparse_bsc": "SparseBsc",
    }.get(str(layout), "Strided")


# ------------------------------------------------------------------ construction


@operator(
    "_sparse_coo_tensor_with_dims_and_tensors(Tensor indices, Tensor values, int[] size, "
    "*, bool? is_coalesced=None) -> Tensor",
    variants="private",
)
def _coo(indices, values, size, *, is_coalesced):
    """A COO tensor of checked parts."""
    data = _rules()[0]
    return data.make_coo(bare(indices), bare(values), tuple(size), bool(is_coalesced))


derive(
    _coo,
    name_="SparseCooTensorWithDimsAndTensorsBackward0",
    values=lambda grad, indices: torch._sparse_values_at(grad, indices),
)


@operator(
    "_sparse_values_at(Tensor self, Tensor indices) -> Tensor", variants="private"
)
def _values_at(self, indices):
    """The values of a dense or sparse tensor at the columns of ``indices``."""
    data, convert, rules, *_ = _rules()
    if not _is_sparse(self):
        return convert.gathered(self, indices)
    empty = self._data.values[:0]
    mask = data.make_coo(indices, empty, self._shape)
    return rules.masked_like(self, mask)._data.values


derive(
    _values_at,
    self=lambda grad, self, indices: _placed(grad, self, indices),
)


def _placed(grad: Any, self: Any, indices: Any) -> Any:
    made = _coo(indices, grad, self._shape, is_coalesced=False)
    return made if _is_sparse(self) else made.to_dense()


@operator(
    "_sparse_compressed(Tensor compressed_indices, Tensor plain_indices, Tensor values, "
    "int[] size, *, Layout layout) -> Tensor",
    variants="private",
)
def _compressed(compressed_indices, plain_indices, values, size, *, layout):
    """A compressed tensor of checked parts."""
    return _rules()[0].make_compressed(
        layout, bare(compressed_indices), bare(plain_indices), bare(values), tuple(size)
    )


derive(
    _compressed,
    name_="SparseCompressedTensorBackward0",
    values=lambda grad, result: grad.sparse_mask(result).values(),
)


# ------------------------------------------------------------------- conversion


@operator(
    "to_dense(Tensor self, ScalarType? dtype=None, *, bool? masked_grad=None) -> Tensor",
    variants="method",
)
def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor in an array; itself if it is dense already."""
    if not _is_sparse(self):
        return self if dtype is None else self.to(dtype)
    return _to_dense(self, dtype, masked_grad is None or masked_grad)


@operator(
    "_to_dense(Tensor self, ScalarType? dtype, bool masked_grad) -> Tensor",
    variants="private",
)
def _to_dense(self, dtype, masked_grad):
    """A sparse tensor as an array; the gradient is taken at its positions if masked."""
    dense = _rules()[1].to_dense(self)
    return dense if dtype is None else dense.to(dtype)


derive(
    _to_dense,
    name_="ToDenseBackward0",
    self=lambda grad, self, masked_grad: (
        grad.sparse_mask(_positions(self))
        if masked_grad
        else grad.to_sparse(layout=self.layout)
    ),
)


@operator(
    "to_sparse.sparse_dim(Tensor self, int sparse_dim) -> Tensor", variants="method"
)
def to_sparse_dim(self, sparse_dim):
    """COO with the last dims dense."""
    if _is_sparse(self):
        return self
    if not 0 < sparse_dim <= self.ndim and (sparse_dim, self.ndim) != (0, 0):
        raise RuntimeError(
            f"to_sparse: Argument sparse_dim must be in >=0 and <={self.ndim} (number of "
            f"dimensions), got {sparse_dim}"
        )
    return _to_sparse(self, sparse_coo, None, self.ndim - sparse_dim)


@operator(
    "to_sparse(Tensor self, *, Layout? layout=None, int[2]? blocksize=None, "
    "int? dense_dim=None) -> Tensor",
    variants="method",
)
def to_sparse(self, *, layout, blocksize, dense_dim):
    """The tensor in a sparse layout, COO by default."""
    layout = sparse_coo if layout is None else layout
    if self.layout is layout and blocksize is None:
        return self
    if layout is strided:
        raise RuntimeError(
            "to_sparse: conversion from Strided to Strided is not supported"
            if not _is_sparse(self)
            else f"to_sparse: conversion from {_layout_name(self.layout)} to Strided is "
            "not supported"
        )
    blocked = layout in (sparse_bsr, sparse_bsc)
    if blocked and blocksize is None:
        raise RuntimeError(
            f"to_sparse for {_layout_name(self.layout)} to {_layout_name(layout)} "
            "conversion requires blocksize specified."
        )
    if blocksize is not None and not blocked:
        raise RuntimeError(
            f"to_sparse for {_layout_name(self.layout)} to {_layout_name(layout)} "
            "conversion does not use specified blocksize"
        )
    convert = _from_sparse if _is_sparse(self) else _to_sparse
    return convert(self, layout, blocksize, dense_dim)


@operator(
    "_to_sparse(Tensor self, Layout layout, int[2]? blocksize, int? dense_dim) -> Tensor",
    variants="private",
)
def _to_sparse(self, layout, blocksize, dense_dim):
    """A tensor of any layout in a sparse one."""
    _data, convert, *_ = _rules()
    if layout is sparse_coo:
        if _is_sparse(self):
            return convert.as_coo(self)
        return convert.to_coo(self, self.ndim - (dense_dim or 0))
    return convert.to_compressed(
        self, layout, None if blocksize is None else tuple(blocksize), dense_dim
    )


derive(
    _to_sparse,
    name_="ToSparseBackward0",
    self=lambda grad, self_sizes: grad.to_dense(),
)


def _back_to(grad: Any, self: Any) -> Any:
    """A gradient in the sparse layout of what another layout was made from."""
    if not _is_sparse(grad):
        return grad.sparse_mask(self)
    size = self._data.blocksize if self.layout in (sparse_bsr, sparse_bsc) else None
    return grad.to_sparse(layout=self.layout, blocksize=size)


_from_sparse = operator(
    "_from_sparse(Tensor self, Layout layout, int[2]? blocksize, int? dense_dim) -> "
    "Tensor",
    variants="private",
)(
    lambda self, layout, blocksize, dense_dim: _to_sparse(
        self, layout, blocksize, dense_dim
    )
)
_from_sparse.__doc__ = "A tensor of one sparse layout in another."
derive(_from_sparse, name_="ToSparseBackward0", self=_back_to)


def _compressing(name: str, blocked: bool) -> None:
    layout = {
        "csr": sparse_csr,
        "csc": sparse_csc,
        "bsr": sparse_bsr,
        "bsc": sparse_bsc,
    }[name]
    if blocked:

        @operator(
            f"to_sparse_{name}(Tensor self, int[2] blocksize, int? dense_dim=None) -> "
            "Tensor",
            variants="method",
        )
        def convert_blocks(self, blocksize, dense_dim=None):  # type: ignore[no-untyped-def]
            size = [blocksize] * 2 if isinstance(blocksize, int) else list(blocksize)
            if len(size) != 2:
                raise RuntimeError(
                    f"blocksize needs to be a tuple of size 2, but got {len(size)}"
                )
            grid = self.shape[-2 - (dense_dim or 0) :][:2]
            if any(n <= 0 or length % n for n, length in zip(size, grid, strict=True)):
                raise RuntimeError(
                    f"dense_to_sparse_{name}: tensor sparse size ({grid[0]},{grid[1]}) "
                    f"must be divisible by given blocksize ({size[0]},{size[1]})"
                )
            return self.to_sparse(layout=layout, blocksize=size, dense_dim=dense_dim)

        return

    @operator(
        f"to_sparse_{name}(Tensor self, int? dense_dim=None) -> Tensor",
        variants="method",
    )
    def convert(self, dense_dim=None):  # type: ignore[no-untyped-def]
        return self.to_sparse(layout=layout, dense_dim=dense_dim)


for _name in ("csr", "csc", "bsr", "bsc"):
    _compressing(_name, _name.startswith("b"))


def _positions(t: Any) -> Any:
    """A sparse tensor as a mask: each position once."""
    return t.coalesce() if t.layout is sparse_coo else t


# -------------------------------------------------------------------------- parts


@operator("coalesce(Tensor(a) self) -> Tensor(a)", variants="method")
def coalesce(self):
    """The tensor with sorted, unique positions; itself if it is so."""
    if self.layout is not sparse_coo:
        raise _expected_coo("coalesce", self)
    return self if self._data.coalesced else _coalesce(self)


@operator("_coalesce(Tensor self) -> Tensor", variants="private")
def _coalesce(self):
    """Repeats summed."""
    return _rules()[1].coalesced(self)


derive(_coalesce, name_="CoalesceBackward0", self=lambda grad: grad)


@operator("_values(Tensor self) -> Tensor", variants="method")
def _values(self):
    """The values as they are stored."""
    if not _is_sparse(self):
        raise _expected_coo("_values", self)
    return bare(self._data.values)


@operator(
    "_indices(Tensor self) -> Tensor", variants="method", tags="nondifferentiable"
)
def _indices(self):
    """The indices as they are stored."""
    if self.layout is not sparse_coo:
        raise _expected_coo("_indices", self)
    return bare(self._data.indices)


@operator("values(Tensor self) -> Tensor", variants="method")
def values(self):
    """The values; of a COO tensor that is coalesced."""
    if not _is_sparse(self):
        raise RuntimeError("values expected sparse tensor layout but got Strided")
    if self.layout is sparse_coo and not self._data.coalesced:
        raise RuntimeError(
            "Cannot get values on an uncoalesced tensor, please call .coalesce() first"
        )
    return bare(self._data.values)


derive(values, self=lambda grad, self: torch._sparse_with_values(self, grad))


@operator(
    "_sparse_with_values(Tensor self, Tensor values) -> Tensor", variants="private"
)
def _with_values(self, values):
    """The positions of a sparse tensor with other values."""
    data = _rules()[0]
    return data.rebuilt(self, self._data.mapped(lambda _: bare(values)))


derive(_with_values, values=lambda grad, self: grad.sparse_mask(self).values())


@operator("indices(Tensor self) -> Tensor", variants="method", tags="nondifferentiable")
def indices(self):
    """The indices of a coalesced COO tensor, of shape (sparse dims, nnz)."""
    if self.layout is not sparse_coo:
        raise _expected_coo("indices", self)
    if not self._data.coalesced:
        raise RuntimeError(
            "Cannot get indices on an uncoalesced tensor, please call .coalesce() first"
        )
    return bare(self._data.indices)


def _part(name: str, slot: str, by_row: bool) -> None:
    @operator(
        f"{name}(Tensor self) -> Tensor", variants="method", tags="nondifferentiable"
    )
    def part(self):  # type: ignore[no-untyped-def]
        layouts = (sparse_csr, sparse_bsr) if by_row else (sparse_csc, sparse_bsc)
        if self.layout not in layouts:
            kind = "row" if by_row else "column"
            raise RuntimeError(
                f"{name} expected sparse {kind} compressed tensor layout but got "
                f"{_layout_name(self.layout)}"
            )
        return bare(getattr(self._data, slot))


def _copied(name: str) -> None:
    @operator(f"{name}_copy(Tensor self) -> Tensor", variants="function", tags="out")
    def copied(self):  # type: ignore[no-untyped-def]
        return getattr(self, name)().clone()

    copied.__doc__ = f"What ``{name}()`` gives, as a copy."


for _name in ("indices", "values", "crow_indices", "col_indices", "ccol_indices",
              "row_indices"):  # fmt: skip
    _copied(_name)

for _row in ("crow_indices compressed 1", "col_indices plain 1",
             "ccol_indices compressed 0", "row_indices plain 0"):  # fmt: skip
    _name, _slot, _flag = _row.split()
    _part(_name, _slot, _flag == "1")


@operator("sparse_mask(Tensor self, Tensor mask) -> Tensor", variants="method")
def sparse_mask(self, mask):
    """The elements of ``self`` at the positions of the sparse tensor ``mask``."""
    if not _is_sparse(mask):
        raise NotImplementedError(
            "Could not run 'aten::sparse_mask' with arguments from the 'CPU' backend."
        )
    if self._shape != mask._shape:
        raise RuntimeError(
            "sparse_mask(): operands have incompatible sizes; self has size "
            f"{list(self.shape)} but mask has size {list(mask.shape)}"
        )
    return _sparse_mask(self, mask)


@operator("_sparse_mask(Tensor self, Tensor mask) -> Tensor", variants="private")
def _sparse_mask(self, mask):
    return _rules()[2].masked_like(bare(self), mask)


derive(
    _sparse_mask,
    name_="SparseMaskBackward0",
    self=lambda grad, self, mask: (
        grad if _is_sparse(self) else grad.sparse_mask(_positions(mask)).to_dense()
    ),
)


# --------------------------------------------------------------- sums and products


@operator("_sparse_product(Tensor self, Tensor mat2) -> Tensor", variants="private")
def _sparse_product(self, mat2):
    """A matrix product whose first factor is sparse."""
    products = _rules()[3]
    if _is_sparse(mat2):
        return products.sparse_product(self, mat2)
    return products.dense_product(self, mat2)


derive_joint(
    _sparse_product,
    "self mat2",
    lambda grad, self, mat2, needs: _rules()[3].product_gradients(
        grad, self, mat2, needs
    ),
    name_="MmBackward0",
)


@operator(
    "_sparse_sum(Tensor self, int[]? dim=None, ScalarType? dtype=None) -> Tensor",
    variants="private",
)
def _sparse_sum(self, dim, dtype):
    """Sums over dims of a COO tensor; dense where no sparse dim is left."""
    if dim is None:
        return self._data.values.sum(dtype=dtype)
    return _rules()[2].sum_over(self, list(dim), dtype)


derive(
    _sparse_sum,
    name_="SparseSumBackward0",
    self=lambda grad, self, dim: _sum_backward(grad, self, dim),
)


def _sum_backward(grad: Tensor, self: Tensor, dim: Any) -> Tensor:
    source = self.coalesce()
    stored = source._data.values
    count, total = source._data.sparse_dim, len(self._shape)
    if dim is None:
        return torch._sparse_with_values(source, grad.expand(stored._shape).clone())
    dims = sorted({wrap_dim(d, total) for d in dim})
    keep = [d for d in range(count) if d not in dims]
    if _is_sparse(grad):
        grad = grad.to_dense()
    if keep:
        at = source._data.indices.index_select(0, source._data.indices.new_tensor(keep))
        made = _values_at(grad, at)
    else:
        made = grad.unsqueeze(0)
    for d in dims:
        if d >= count:
            made = made.unsqueeze(d - count + 1)
    return torch._sparse_with_values(source, made.expand(stored._shape).clone())


@operator(
    "_sparse_softmax(Tensor self, int dim, bool log) -> Tensor", variants="private"
)
def _sparse_softmax(self, dim, log):
    """Softmax among the specified elements along a dim."""
    return _rules()[2].grouped_softmax(self, dim, log)


def _softmax_backward(grad: Any, self: Any, dim: int, log: bool) -> Any:
    _data, convert, rules, *_ = _rules()
    soft = rules.grouped_softmax(bare(self), dim, False)
    given = rules.masked_like(bare(grad), soft)
    weighted = given._data.values if log else given._data.values * soft._data.values
    sums = rules.sum_over(rebuilt_like(given, weighted), [dim])
    spread = convert.to_dense(sums) if _is_sparse(sums) else sums
    at = soft._data.indices
    dim = wrap_dim(dim, len(self._shape))
    if dim < soft._data.sparse_dim:
        keep = [d for d in range(soft._data.sparse_dim) if d != dim]
        picked = (
            convert.gathered(spread, at.index_select(0, at.new_tensor(keep)))
            if keep
            else spread.unsqueeze(0)
        )
    else:
        picked = convert.gathered(spread, at).unsqueeze(dim - soft._data.sparse_dim + 1)
    values = soft._data.values
    made = given._data.values - values * picked if log else weighted - values * picked
    return rebuilt_like(soft, made)


def rebuilt_like(t: Any, values: Any) -> Any:
    return _rules()[0].rebuilt(t, t._data.mapped(lambda _: values))


derive(
    _sparse_softmax,
    self=lambda grad, self, dim, log: _softmax_backward(grad, self, dim, log),
)


@operator("smm(Tensor self, Tensor mat2) -> Tensor")
def smm(self, mat2):
    """A product of a sparse and a dense matrix, as a sparse tensor."""
    return torch.mm(self, mat2).to_sparse()


@operator("hspmm(Tensor mat1, Tensor mat2) -> Tensor", variants="function")
def hspmm(mat1, mat2):
    """A product of a sparse and a dense matrix: rows are sparse, columns dense."""
    return torch.mm(mat1, mat2).to_sparse(1)


@operator(
    "sspaddmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) "
    "-> Tensor"
)
def sspaddmm(self, mat1, mat2, *, beta, alpha):
    """``beta * self + alpha * (mat1 @ mat2)`` as a sparse tensor."""
    return self * beta + torch.mm(mat1, mat2).to_sparse() * alpha


add_alias("dsmm", "mm")
add_alias("spmm", "mm")
add_alias("hsmm", "hspmm")
add_alias("saddmm", "sspaddmm")
