"""Writing by index: copies, fills and reductions into places, and reading them back."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops._common import scalar_type_name, torch, wrap_dim
from dispatchtorch.ops.indexing import index_

__all__: list[str] = []


@operator("take(Tensor self, Tensor index) -> Tensor", tags="out")
def take(self, index):
    """Elements of the flattened tensor."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            "take(): Expected a long tensor for index, but got "
            f"{scalar_type_name(index.dtype)}"
        )
    return index_(self.reshape(-1), [index])


@operator(
    "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
    inplace=True,
)
def put(self, index, source, accumulate=False):
    """A copy with elements of the flattened tensor replaced."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            "put_(): Expected a long tensor for index, but got "
            f"{scalar_type_name(index.dtype)}"
        )
    flat = self.reshape(-1).index_put(
        [index.reshape(-1)], source.reshape(-1), accumulate
    )
    return flat.reshape(self._shape)


@operator(
    "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor", tags="out"
)
def take_along_dim(self, indices, dim=None):
    """As ``gather``, where the other dims broadcast."""
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{scalar_type_name(indices.dtype)}"
        )
    if dim is None:
        return self.reshape(-1).gather(0, indices.reshape(-1))
    if self.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of "
            f"dimensions, but got {self.ndim} dimensions for input, and {indices.ndim} "
            "dimensions for indices"
        )
    dim = wrap_dim(dim, self.ndim)
    common = list(
        broadcast_shapes(
            [
                (*self._shape[:dim], 1, *self._shape[dim + 1 :]),
                (*indices._shape[:dim], 1, *indices._shape[dim + 1 :]),
            ]
        )
    )
    own, other = list(common), list(common)
    own[dim], other[dim] = self._shape[dim], indices._shape[dim]
    return self.expand(own).gather(dim, indices.expand(other))


@operator(
    "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", inplace=True
)
def masked_scatter(self, mask, source):
    """A copy with the elements of ``source``, in order, where the mask is true."""
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{scalar_type_name(mask.dtype)}"
        )
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "masked_scatter_: expected self and source to have same dtypes but got "
            f"{scalar_type_name(self.dtype)} and {scalar_type_name(source.dtype)}"
        )
    shape = broadcast_shapes([self._shape, mask._shape])
    mask = mask.expand(shape)
    place = mask.reshape(-1).to(dtypes.int64).cumsum(0)
    needed = int(place[-1]) if place.numel() else 0
    if needed > source.numel():
        raise RuntimeError("Number of elements of source < number of ones in mask")
    if not needed:
        return self.expand(shape).clone()
    values = index_(source.reshape(-1), [(place - 1).clamp(min=0, max=needed - 1)])
    return torch.where(mask, values.reshape(shape), self)


def _along(dim: int, index: Any) -> list[Any]:
    return [None] * dim + [index.reshape(-1)]


@operator(
    "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
    inplace=True,
    tags="out",
)
def index_copy(self, dim, index, source):
    """A copy with slices of a dim replaced by those of ``source``."""
    dim = wrap_dim(dim, self.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})"
        )
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got "
            f"(self) {scalar_type_name(self.dtype)} and (source) "
            f"{scalar_type_name(source.dtype)}"
        )
    if self.ndim == 0:
        return source.reshape(()).clone()
    return self.index_put(_along(dim, index), source)


derive(
    index_copy,
    self=lambda grad, dim, index: grad.index_fill(dim, index, 0),
    source=lambda grad, dim, index, source_sizes: grad.index_select(dim, index).expand(
        source_sizes
    ),
)


@operator(
    "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    inplace=True,
)
def index_fill(self, dim, index, value):
    """A copy with slices of a dim filled with one number."""
    dim = wrap_dim(dim, self.ndim)
    made = torch.full((), value, dtype=self.dtype, device=self.device)
    return made if self.ndim == 0 else self.index_put(_along(dim, index), made)


@operator(
    "index_fill.int_Tensor(Tensor self, int dim, Tensor index, Tensor value) -> Tensor",
    inplace=True,
)
def index_fill_tensor(self, dim, index, value):
    """A copy with slices of a dim filled with a 0-d tensor."""
    if value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    dim = wrap_dim(dim, self.ndim)
    value = value.to(self.dtype)
    return (
        value.clone() if self.ndim == 0 else self.index_put(_along(dim, index), value)
    )


derive(
    index_fill,
    name_="IndexFillBackward0",
    self=lambda grad, dim, index: grad.index_fill(dim, index, 0),
)
derive(
    index_fill_tensor,
    name_="IndexFillBackward1",
    self=lambda grad, dim, index: grad.index_fill(dim, index, 0),
    value=lambda grad, dim, index: grad.index_select(dim, index.unique()).sum(),
)

_COMBINE = {"prod": "mul", "amax": "maximum", "amin": "minimum"}


def _reduced(
    self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> Any:
    one = torch.ones_like(src.detach())
    if not include_self:
        start = {"sum": 0, "mean": 0, "prod": 1}.get(reduce)
        if start is None:
            kind = self.dtype
            info = dtypes.finfo(kind) if kind.is_floating_point else dtypes.iinfo(kind)
            limit = info.min if reduce == "amax" else info.max
            if kind.is_floating_point:
                limit = float("-inf") if reduce == "amax" else float("inf")
            start = limit  # type: ignore[assignment]
        self = self.scatter(dim, index, start)
    if reduce in ("sum", "mean"):
        total = self.scatter_add(dim, index, src)
        if reduce == "sum":
            return total
        count = torch.ones_like(self.detach())
        if not include_self:
            count = count.scatter(dim, index, 0)
        count = count.scatter_add(dim, index, one).clamp(min=1)
        if total.is_floating_point() or total.is_complex():
            return total / count
        return total.div(count, rounding_mode="floor")
    if reduce not in _COMBINE:
        raise RuntimeError(
            "reduce argument must be either sum, prod, mean, amax or amin, got "
            f"{reduce}"
        )
    combine = getattr(torch, _COMBINE[reduce])
    # One slice of the index at a time: within it no place appears twice.
    for i in range(index._shape[dim]):
        at = index.narrow(dim, i, 1)
        part = src.narrow(dim, i, 1)
        part = part[tuple(slice(0, n) for n in at._shape)]
        self = self.scatter(dim, at, combine(self.gather(dim, at), part))
    return self


@operator(
    "scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, "
    "str reduce, *, bool include_self=True) -> Tensor",
    inplace=True,
    tags="out",
)
def scatter_reduce(self, dim, index, src, reduce, *, include_self):
    """Elements of ``src`` combined at the places that ``index`` names."""
    dim = wrap_dim(dim, self.ndim)
    if self.ndim == 0:
        return _reduced(
            self.reshape(1), 0, index.reshape(1), src.reshape(1), reduce, include_self
        ).reshape(())
    return _reduced(self, dim, index, src, reduce, include_self)


@operator(
    "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, "
    "*, bool include_self=True) -> Tensor",
    inplace=True,
    tags="out",
)
def index_reduce(self, dim, index, source, reduce, *, include_self):
    """Slices of ``source`` combined with those that ``index`` names."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but "
            f"got {reduce}."
        )
    dim = wrap_dim(dim, self.ndim)
    shape = [1] * source.ndim
    shape[dim] = -1
    places = index.to(dtypes.int64).reshape(shape).expand(source._shape)
    return _reduced(self, dim, places, source, reduce, include_self)
