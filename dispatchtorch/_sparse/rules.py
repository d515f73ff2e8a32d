"""Elementwise operators, shapes and reductions of sparse tensors."""

from __future__ import annotations

from typing import Any

from dispatchtorch._sparse.convert import (
    as_coo,
    coalesced,
    gathered,
    to_compressed,
    to_dense,
)
from dispatchtorch._sparse.data import (
    CompressedData,
    CooData,
    is_sparse,
    linear_indices,
    make_compressed,
    make_coo,
    rebuilt,
)
from dispatchtorch._sparse.layer import composite, rule
from dispatchtorch.memory_format import (
    sparse_bsc,
    sparse_bsr,
    sparse_csc,
    sparse_csr,
    strided,
)
from dispatchtorch.ops._common import torch, wrap_dim
from dispatchtorch.tensor import Tensor

__all__: list[str] = []

# Functions that map 0 to 0: they act on values alone, after repeats were summed.
_ZERO_PRESERVING = """
    abs absolute angle asin asinh atan atanh ceil conj_physical deg2rad erf erfinv expm1
    floor frac isinf isnan isneginf isposinf log1p neg nan_to_num positive rad2deg relu
    round sgn sign signbit sin sinh sqrt tan tanh trunc resolve_conj resolve_neg real imag
    bitwise_not_
""".split()
_LINEAR = {"neg", "positive", "real", "imag", "conj_physical", "deg2rad", "rad2deg"}


def _map_values(name: str) -> Any:
    def kernel(self: Tensor, *args: Any) -> Tensor:
        function = getattr(torch, name)
        if isinstance(self._data, CooData) and name not in _LINEAR:
            self = coalesced(self)
        return rebuilt(self, self._data.mapped(lambda v: function(v, *args)))

    return kernel


for _name in _ZERO_PRESERVING:
    rule(_name)(_map_values(_name))


@rule("clone")
def clone(self: Tensor, memory_format: Any) -> Tensor:
    return rebuilt(self, self._data.moved(lambda p: p.clone()))


@rule("detach")
def detach(self: Tensor) -> Tensor:
    return rebuilt(self, self._data)


@rule("_to_copy")
def to_copy(
    self: Tensor, dtype: Any, device: Any, non_blocking: bool, memory_format: Any
) -> Tensor:
    data = self._data
    if device is not None:
        data = data.moved(lambda p: p.to(device, non_blocking=non_blocking))
    if dtype is not None:
        data = data.mapped(lambda v: v.to(dtype))
    return rebuilt(self, data if data is not self._data else data.moved(torch.clone))


@rule("copy_")
def copy_(self: Tensor, src: Tensor, non_blocking: bool) -> Tensor:
    from dispatchtorch._sparse.layer import write

    if not is_sparse(self) or not is_sparse(src):
        raise RuntimeError(
            "copy_() between dense and sparse Tensors is not implemented! Found self type "
            f"= {self.type()} and src type = {src.type()}"
        )
    write(self, src.to(self.device, self.dtype, copy=True))
    return self


@rule("zero_")
def zero_(self: Tensor) -> Tensor:
    data = self._data
    if isinstance(data, CompressedData):
        data.values.zero_()
        return self
    values = data.values
    empty = make_coo(data.indices[:, :0], values[:0], data.shape, True)
    data.assign(empty._data)
    return self


@rule("zeros_like", "empty_like")
def zeros_like(
    self: Tensor, dtype: Any, layout: Any, device: Any, *rest: Any
) -> Tensor:
    if layout is not None and layout is strided:
        return torch.zeros(
            self._shape, dtype=dtype or self.dtype, device=device or self.device
        )
    made = self.to(dtype=dtype, device=device, copy=True)
    if isinstance(made._data, CompressedData):
        data = made._data
        return make_compressed(
            data.layout,
            torch.zeros_like(data.compressed),
            data.plain[..., :0],
            data.values.narrow(len(data.batch), 0, 0),
            data.shape,
        )
    return zero_(made)


# ------------------------------------------------------------------- arithmetic


def _same_shape(self: Tensor, other: Tensor, name: str) -> None:
    if self._shape != other._shape:
        raise RuntimeError(
            f"{name}: expected sizes of 'self' and 'other' to match, but "
            f"{list(self._shape)} != {list(other._shape)}"
        )


@rule("add")
def add(self: Any, other: Any, alpha: Any) -> Tensor:
    if not isinstance(other, Tensor):
        raise NotImplementedError(
            "add(sparse, number) isn't supported: the result would be dense"
        )
    if not is_sparse(self):
        return torch.add(self, to_dense(other), alpha=alpha)
    if not is_sparse(other):
        if isinstance(self._data, CompressedData) or self._shape != other._shape:
            return torch.add(to_dense(self), other, alpha=alpha)
        raise RuntimeError(
            "add(sparse, dense) is not supported. Use add(dense, sparse) instead."
        )
    _same_shape(self, other, "add")
    kind = torch.result_type(self._data.values, other._data.values)
    if isinstance(self._data, CompressedData):
        first, second = coalesced(as_coo(self)), coalesced(as_coo(other))
        total = coalesced(add(first, second, alpha))
        blocks = self._data.blocksize if self._data.blocked else None
        return to_compressed(total, self.layout, blocks)
    a, b = as_coo(self)._data, as_coo(other)._data
    if a.sparse_dim != b.sparse_dim:
        raise RuntimeError(
            "add: expected 'self' and 'other' to have same number of sparse dimensions, "
            f"but {a.sparse_dim} != {b.sparse_dim}"
        )
    scaled = b.values if alpha == 1 else b.values * alpha
    made = make_coo(
        torch.cat([a.indices, b.indices], 1),
        torch.cat([a.values.to(kind), scaled.to(kind)], 0),
        a.shape,
    )
    return coalesced(made) if a.coalesced and b.coalesced else made


@rule("sub")
def sub(self: Any, other: Any, alpha: Any) -> Tensor:
    return add(self, other, -alpha)


@rule("mul")
def mul(self: Any, other: Any) -> Tensor:
    if not is_sparse(self):
        self, other = other, self
    if not isinstance(other, Tensor) or not (is_sparse(other) or other.ndim):
        return rebuilt(self, self._data.mapped(lambda v: v * other))
    if not is_sparse(other):
        return _mul_dense(self, other)
    if isinstance(self._data, CompressedData):
        made = mul(coalesced(as_coo(self)), coalesced(as_coo(other)))
        blocks = self._data.blocksize if self._data.blocked else None
        return to_compressed(made, self.layout, blocks)
    _same_shape(self, other, "mul")
    first, second = coalesced(self)._data, coalesced(as_coo(other))._data
    sizes = first.shape[: first.sparse_dim]
    a, b = linear_indices(first.indices, sizes), linear_indices(second.indices, sizes)
    if not a._shape[0] or not b._shape[0]:
        kind = torch.result_type(first.values, second.values)
        return make_coo(
            first.indices[:, :0], first.values[:0].to(kind), first.shape, True
        )
    at = torch.searchsorted(b, a).clamp_max(b._shape[0] - 1)
    both = b[at] == a
    mine, its = both.nonzero().reshape(-1), at[both]
    values = first.values.index_select(0, mine) * second.values.index_select(0, its)
    return make_coo(first.indices.index_select(1, mine), values, first.shape, True)


def _mul_dense(self: Tensor, other: Tensor) -> Tensor:
    data = self._data
    if isinstance(data, CompressedData):
        made = _mul_dense(coalesced(as_coo(self)), other)
        blocks = data.blocksize if data.blocked else None
        return to_compressed(made, data.layout, blocks)
    dense = other.expand(data.shape) if other._shape != data.shape else other
    values = data.values * gathered(dense, data.indices)
    return make_coo(data.indices, values, data.shape, data.coalesced)


@rule("div")
def div(self: Tensor, other: Any, rounding_mode: Any) -> Tensor:
    if isinstance(other, Tensor) and other.ndim:
        raise RuntimeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got "
            f"shape {list(other._shape)} for divisor)"
        )
    if not is_sparse(self):
        raise RuntimeError("Sparse division requires a dense divisor")
    if isinstance(self._data, CooData) and rounding_mode is not None:
        self = coalesced(self)
    return rebuilt(
        self,
        self._data.mapped(lambda v: torch.div(v, other, rounding_mode=rounding_mode)),
    )


@rule("floor_divide")
def floor_divide(self: Tensor, other: Any) -> Tensor:
    if isinstance(self._data, CooData):
        self = coalesced(self)
    return rebuilt(self, self._data.mapped(lambda v: torch.floor_divide(v, other)))


@rule("pow")
def power(self: Tensor, exponent: Any) -> Tensor:
    if isinstance(exponent, Tensor) and exponent.ndim:
        raise RuntimeError("pow of a sparse tensor takes a number as exponent")
    if float(exponent) == 0:
        raise RuntimeError(
            "pow: cannot raise to zeroth power on sparse tensor; it would make the result "
            "tensor dense"
        )
    return rebuilt(self, coalesced(as_coo(self))._data.mapped(lambda v: v**exponent))


# ------------------------------------------------------------------------ shapes


def _permuted(self: Tensor, dims: list[int]) -> Tensor:
    data = self._data
    if isinstance(data, CompressedData):
        if sorted(dims[-2:]) != [len(dims) - 2, len(dims) - 1] or len(data.batch) > 0:
            raise NotImplementedError(
                f"permuting batch dims of layout {data.layout} isn't supported"
            )
        if dims == list(range(len(dims))):
            return self
        twin = {
            sparse_csr: sparse_csc,
            sparse_csc: sparse_csr,
            sparse_bsr: sparse_bsc,
            sparse_bsc: sparse_bsr,
        }[data.layout]
        values = data.values.transpose(1, 2) if data.blocked else data.values
        shape = tuple(data.shape[d] for d in dims)
        return make_compressed(twin, data.compressed, data.plain, values, shape)
    count = data.sparse_dim
    if sorted(dims[:count]) != list(range(count)):
        raise RuntimeError(
            "transpose: transposing dense and sparse dims is not supported"
        )
    indices = data.indices.index_select(0, data.indices.new_tensor(dims[:count]))
    values = data.values.permute([0, *(d - count + 1 for d in dims[count:])])
    shape = tuple(data.shape[d] for d in dims)
    same = dims[:count] == list(range(count))
    return make_coo(indices, values, shape, same and data.coalesced)


@rule("transpose")
def transpose(self: Tensor, dim0: int, dim1: int) -> Tensor:
    count = len(self._shape)
    a, b = wrap_dim(dim0, count), wrap_dim(dim1, count)
    dims = list(range(count))
    if count:
        dims[a], dims[b] = dims[b], dims[a]
    return _permuted(self, dims)


@rule("t", "numpy_T")
def t(self: Tensor) -> Tensor:
    if len(self._shape) > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {len(self._shape)}D"
        )
    if self.dense_dim():
        raise RuntimeError(
            "t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got "
            f"{self.sparse_dim()} sparse and {self.dense_dim()} dense dimensions"
        )
    return _permuted(self, list(range(len(self._shape)))[::-1])


@rule("permute")
def permute(self: Tensor, dims: Any) -> Tensor:
    count = len(self._shape)
    return _permuted(self, [wrap_dim(d, count) for d in dims])


@rule("cat")
def cat(tensors: list[Tensor], dim: int) -> Tensor:
    parts = [as_coo(each)._data for each in tensors]
    first = parts[0]
    dim = wrap_dim(dim, len(first.shape))
    shape = list(first.shape)
    shape[dim] = sum(p.shape[dim] for p in parts)
    if dim >= first.sparse_dim:
        raise NotImplementedError("cat of sparse tensors along dense dims")
    indices, start = [], 0
    for p in parts:
        shift = p.indices.new_zeros([p.sparse_dim, 1])
        shift[dim] = start
        indices.append(p.indices + shift)
        start += p.shape[dim]
    values = torch.cat([p.values for p in parts], 0)
    return make_coo(torch.cat(indices, 1), values, tuple(shape))


@rule("index_select")
def index_select(self: Tensor, dim: int, index: Tensor) -> Tensor:
    data = coalesced(as_coo(self))._data
    dim = wrap_dim(dim, len(data.shape))
    shape = list(data.shape)
    shape[dim] = index._shape[0]
    if dim >= data.sparse_dim:
        values = data.values.index_select(dim - data.sparse_dim + 1, index)
        return make_coo(data.indices, values, tuple(shape), True)
    size = data.shape[dim]
    wanted = torch.where(index < 0, index + size, index)
    # Each wanted place meets each element there.
    hits = (data.indices[dim].unsqueeze(0) == wanted.unsqueeze(1)).nonzero()
    place, element = hits[:, 0], hits[:, 1]
    indices = data.indices.index_select(1, element).clone()
    indices[dim] = place
    made = make_coo(indices, data.values.index_select(0, element), tuple(shape))
    return coalesced(made)


@rule("select.int")
def select(self: Tensor, dim: int, index: int) -> Tensor:
    data = as_coo(self)._data
    dim = wrap_dim(dim, len(data.shape))
    size = data.shape[dim]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size "
            f"{list(data.shape)} at dimension {dim}"
        )
    index %= size
    shape = data.shape[:dim] + data.shape[dim + 1 :]
    if dim >= data.sparse_dim:
        values = data.values.select(dim - data.sparse_dim + 1, index)
        return make_coo(data.indices, values, shape, data.coalesced)
    mine = (data.indices[dim] == index).nonzero().reshape(-1)
    values = data.values.index_select(0, mine)
    if data.sparse_dim == 1:
        return values.sum(0)
    keep = data.indices.new_tensor([d for d in range(data.sparse_dim) if d != dim])
    indices = data.indices.index_select(1, mine).index_select(0, keep)
    return make_coo(indices, values, shape, data.coalesced)


@composite("narrow")
def narrow(self: Tensor, dim: int, start: Any, length: int) -> Tensor:
    index = torch.arange(int(start), int(start) + length, device=self.device)
    return self.index_select(dim, index)


@rule("unsqueeze")
def unsqueeze(self: Tensor, dim: int) -> Tensor:
    data = as_coo(self)._data
    dim = wrap_dim(dim, len(data.shape) + 1)
    shape = (*data.shape[:dim], 1, *data.shape[dim:])
    if dim > data.sparse_dim:
        values = data.values.unsqueeze(dim - data.sparse_dim + 1)
        return make_coo(data.indices, values, shape, data.coalesced)
    rows = list(data.indices.unbind(0))
    zeros = data.indices.new_zeros([data.nnz])
    indices = torch.stack([*rows[:dim], zeros, *rows[dim:]])
    return make_coo(indices, data.values, shape, data.coalesced)


# -------------------------------------------------------------------- reductions


@rule("sum")
def total(self: Tensor, dtype: Any) -> Tensor:
    return self._data.values.sum(dtype=dtype)


@rule("any")
def any_(self: Tensor) -> Tensor:
    return self._data.values.any()


@rule("sum.dim_IntList")
def sum_dims(self: Tensor, dim: Any, keepdim: bool, dtype: Any) -> Tensor:
    made = sum_over(self, dim, dtype)
    if not keepdim:
        return made
    dims = [dim] if isinstance(dim, int) else list(dim or range(len(self._shape)))
    for d in sorted(d % len(self._shape) for d in dims):
        made = made.unsqueeze(d)
    return made


def sum_over(self: Tensor, dim: Any, dtype: Any = None) -> Tensor:
    """Sums over sparse and dense dims; dense where no sparse dim is left."""
    data = as_coo(self)._data
    count = len(data.shape)
    dims = [dim] if isinstance(dim, int) else list(dim or range(count))
    dims = sorted({wrap_dim(d, count) for d in dims})
    inner = [d - data.sparse_dim + 1 for d in dims if d >= data.sparse_dim]
    values = data.values if dtype is None else data.values.to(dtype)
    if inner:
        values = values.sum(inner)
    shape = tuple(n for d, n in enumerate(data.shape) if d not in dims)
    outer = [d for d in dims if d < data.sparse_dim]
    if len(outer) == data.sparse_dim:
        return values.sum(0)
    keep = [d for d in range(data.sparse_dim) if d not in outer]
    indices = data.indices.index_select(0, data.indices.new_tensor(keep))
    made = make_coo(indices, values, shape, data.coalesced and not outer)
    return coalesced(made) if outer else made


@composite("norm")
def norm(self: Tensor, p: Any, dim: Any, keepdim: bool, dtype: Any) -> Tensor:
    if dim not in (None, [], ()) or keepdim:
        raise RuntimeError(
            "norm_sparse currently only supports 0 or full-dimension norms"
        )
    return torch.norm(self.coalesce().values(), p, dtype=dtype)


def grouped_softmax(self: Tensor, dim: int, log: bool) -> Tensor:
    """Softmax along a dim among specified elements; the others count as -inf."""
    data = coalesced(as_coo(self))._data
    dim = wrap_dim(dim, len(data.shape))
    if dim >= data.sparse_dim:
        inner = dim - data.sparse_dim + 1
        function = torch.log_softmax if log else torch.softmax
        return rebuilt(self, data.mapped(lambda v: function(v, inner)))
    keep = [d for d in range(data.sparse_dim) if d != dim]
    sizes = tuple(data.shape[d] for d in keep)
    rest = data.indices.index_select(0, data.indices.new_tensor(keep).to(torch.int64))
    flat = linear_indices(rest, sizes)
    if not flat._shape[0]:
        return self
    groups, inverse = torch.unique(flat, return_inverse=True)
    values = data.values
    shape = [groups._shape[0], *values._shape[1:]]
    where = inverse.reshape([-1] + [1] * (values.ndim - 1)).expand(values._shape)
    top = values.new_full(shape, float("-inf"))
    top = top.scatter_reduce(0, where, values, "amax", include_self=False)
    shifted = values - top.index_select(0, inverse)
    sums = values.new_zeros(shape).index_add_(0, inverse, shifted.exp())
    under = sums.index_select(0, inverse)
    made = shifted - under.log() if log else shifted.exp() / under
    return make_coo(data.indices, made, data.shape, True)


def masked_like(dense_or_sparse: Tensor, mask: Tensor) -> Tensor:
    """The elements at the positions of ``mask``, a sparse tensor."""
    source = dense_or_sparse
    data = mask._data
    if isinstance(data, CompressedData):
        coo = coalesced(as_coo(mask))
        made = masked_like(to_dense(source) if is_sparse(source) else source, coo)
        blocks = data.blocksize if data.blocked else None
        if blocks is None and data.layout is sparse_csr and not data.batch:
            return make_compressed(
                data.layout, data.compressed, data.plain, made._data.values, data.shape
            )
        return to_compressed(made, data.layout, blocks)
    if not is_sparse(source):
        values = gathered(source, data.indices)
        return make_coo(data.indices, values, data.shape, data.coalesced)
    own = coalesced(as_coo(source))._data
    sizes = data.shape[: data.sparse_dim]
    have = linear_indices(own.indices, sizes)
    want = linear_indices(data.indices, sizes)
    values = own.values.new_zeros([want._shape[0], *own.values._shape[1:]])
    if have._shape[0] and want._shape[0]:
        at = torch.searchsorted(have, want).clamp_max(have._shape[0] - 1)
        hit = (have[at] == want).nonzero().reshape(-1)
        values = values.index_copy(0, hit, own.values.index_select(0, at[hit]))
    return make_coo(data.indices, values, data.shape, data.coalesced)
