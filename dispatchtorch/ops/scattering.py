"""Writing by index: copies, fills and reductions into places, and reading them back."""

from __future__ import annotations

import warnings
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import Plain, broadcast_shapes
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import (
    check_number,
    numel_of,
    refuse,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops.indexing import (
    check_gather,
    check_range,
    check_slices,
    index_,
    out_of_range,
)

__all__: list[str] = []


def _check_long(name: str, index: Any) -> None:
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"{name}(): Expected a long tensor for index, but got "
            f"{scalar_type_name(index.dtype)}"
        )


def _check_flat(self: Any, index: Any) -> None:
    """IndexError for an index that isn't in the flattened tensor, from either end."""
    size = self.numel()

    def error(bad: int) -> Exception:
        return IndexError(
            f"out of range: tried to access index {bad} on a tensor of {size} elements."
        )

    check_range(index, size, error, -size)


@operator("take(Tensor self, Tensor index) -> Tensor", tags="out apart_out")
def take(self, index):
    """Elements of the flattened tensor."""
    _check_long("take", index)
    if index.numel() and not self.numel():
        raise IndexError("take(): tried to take from an empty tensor")
    _check_flat(self, index)
    return index_(self.reshape(-1), [index])


derive(
    take,
    self=lambda grad, self_sizes, index: grad.new_zeros(self_sizes).put(
        index, grad, True
    ),
)


@operator(
    "put(Tensor self, Tensor index, Tensor source, bool accumulate=False) -> Tensor",
    inplace=True,
)
def put(self, index, source, accumulate=False):
    """A copy with elements of the flattened tensor replaced."""
    if source.numel() != index.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but "
            f"got source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    _check_long("put_", index)
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype "
            f"= {scalar_type_name(self.dtype)} and source.dtype = "
            f"{scalar_type_name(source.dtype)}"
        )
    _check_flat(self, index)
    flat = self.reshape(-1).index_put(
        [index.reshape(-1)], source.reshape(-1), accumulate
    )
    made = torch.empty_like(self)
    return made.copy_(flat.reshape(self._shape))


derive(
    put,
    self=lambda grad, index, source_sizes, accumulate: (
        grad if accumulate else grad.put(index, grad.new_zeros(source_sizes))
    ),
    source=lambda grad, index, source_sizes: grad.take(index).reshape(source_sizes),
)


@operator(
    "take_along_dim(Tensor self, Tensor indices, int? dim=None) -> Tensor",
    tags="out apart_out",
)
def take_along_dim(self, indices, dim=None):
    """As ``gather``, where the other dims broadcast and indices count from the end."""
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{scalar_type_name(indices.dtype)}"
        )
    if dim is None:
        return self.view(-1).gather(0, indices.view(-1))
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
    size = self._shape[dim] if self.ndim else 1
    if self.ndim:
        own[dim], other[dim] = size, indices._shape[dim]
    if size:
        indices = indices.remainder(size)
    return self.expand(own).gather(dim, indices.expand(other))


@operator(
    "masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", inplace=True
)
def masked_scatter(self, mask, source):
    """A copy with the elements of ``source``, in order, where the mask is true."""
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{scalar_type_name(self.dtype)} and {scalar_type_name(source.dtype)}"
        )
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{scalar_type_name(mask.dtype)}"
        )
    shape = broadcast_shapes([mask._shape, self._shape])
    mask = mask.expand(shape)
    place = mask.reshape(-1).to(dtypes.int64).cumsum(0)
    needed = int(place[-1]) if place.numel() else 0
    if needed > source.numel():
        raise RuntimeError("Number of elements of source < number of ones in mask")
    if not needed:
        return self.expand(shape).clone(memory_format=contiguous_format)
    values = index_(source.reshape(-1), [(place - 1).clamp(min=0, max=needed - 1)])
    return torch.where(mask, values.reshape(shape), self).contiguous()


def _source_of_masked(grad: Any, mask: Any, source_sizes: Any) -> Any:
    """The gradients at the mask's places, in order; zeros for the source's rest."""
    taken = grad.masked_select(mask)
    rest = numel_of(source_sizes) - taken.numel()
    if rest > 0:
        taken = torch.cat([taken, taken.new_zeros(rest)])
    return taken.reshape(source_sizes)


derive(
    masked_scatter,
    self=lambda grad, mask: grad.masked_fill(mask, 0),
    source=_source_of_masked,
)


def _along(dim: int, index: Any) -> list[Any]:
    return [None] * dim + [index.reshape(-1)]


def _check_index_copy(self: Any, dim: int, index: Any, source: Any) -> None:
    count = index.numel()
    if index.ndim > 1:
        raise IndexError(
            f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})"
        )
    if source.ndim == 0 and count != 1:
        raise IndexError(
            "index_copy_(): When source is scalar, index should have one element (got "
            f"{count})"
        )
    if source.ndim and self.ndim and source.ndim != self.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their "
            f"dimensionality must match. Source dimensionality ({source.ndim}), "
            f"destination dimensionality ({self.ndim})"
        )
    _check_long("index_copy_", index)
    if self.dtype is not source.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got "
            f"(self) {scalar_type_name(self.dtype)} and (source) "
            f"{scalar_type_name(source.dtype)}"
        )
    own, other = list(self._shape), list(source._shape)
    if own:
        del own[dim]
    if other:
        del other[dim]
    if own != other:
        at = dim if own and other else 0
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. "
            f"Destination slice shape: {_words(own)} at dimension {at} and source slice "
            f"shape: {_words(other)} at dimension 0."
        )
    size = source._shape[dim] if source.ndim else 1
    if source.ndim and count != size:
        raise IndexError(
            f"index_copy_(): Number of indices ({count}) should be equal to "
            f"source.size(dim) ({size})"
        )


def _words(shape: list[int]) -> str:
    return " ".join(map(str, shape))


@operator(
    "index_copy(Tensor self, int dim, Tensor index, Tensor source) -> Tensor",
    inplace=True,
    tags="out separate_out",
)
def index_copy(self, dim, index, source):
    """A copy with slices of a dim replaced by those of ``source``."""
    dim = wrap_dim(dim, self.ndim)
    _check_index_copy(self, dim, index, source)
    size = self._shape[dim] if self.ndim else 1

    def error(bad: int) -> Exception:
        return IndexError(
            f"index_copy_(): index {bad} is out of bounds for dimension {dim} with size "
            f"{size}"
        )

    check_range(index, size, error)
    if self.ndim == 0:
        return source.reshape(-1)[-1].clone() if index.numel() else self.clone()
    return self.contiguous().index_put(_along(dim, index), source)


derive(
    index_copy,
    self=lambda grad, dim, index: grad.index_fill(dim, index, 0),
    source=lambda grad, dim, index, source_sizes: grad.index_select(dim, index).expand(
        source_sizes
    ),
)


def _check_index_fill(self: Any, dim: int, index: Any, value: Any) -> int:
    """The checks of index_fill; gives the dim wrapped."""
    if index.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    dim = wrap_dim(dim, self.ndim)
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if isinstance(value, complex) and not self.is_complex():
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not "
            "supported"
        )
    check_number(value, self.dtype)
    size = self._shape[dim] if self.ndim else 1

    def error(bad: int) -> Exception:
        return IndexError(
            f"index {bad} is out of bounds for dimension {dim} with size {size}"
        )

    check_range(index, size, error, -size)
    return dim


def _filled(self: Any, dim: int, index: Any, value: Any) -> Any:
    if self.ndim:
        return self.index_put(_along(dim, index), value)
    return value.clone() if index.numel() else self.clone()


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
    number = value.item() if value._backend.is_host else 0
    dim = _check_index_fill(self, dim, index, number)
    return _filled(self, dim, index, value.to(self.dtype))


@operator(
    "index_fill.int_Scalar(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    inplace=True,
)
def index_fill(self, dim, index, value):
    """A copy with slices of a dim filled with one number."""
    dim = _check_index_fill(self, dim, index, value)
    made = torch.full((), value, dtype=self.dtype, device=self.device)
    return _filled(self, dim, index, made)


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

# Reductions.

_COMBINE = {"prod": "mul", "amax": "maximum", "amin": "minimum"}
_NEUTRAL = {"sum": 0, "mean": 0, "prod": 1}
_UNDEFINED = {"mean": dtypes.BOOL, "amax": dtypes.COMPLEX, "amin": dtypes.COMPLEX}


def _neutral(reduce: str, kind: dtypes.dtype) -> Any:
    """What a reduction without the tensor itself starts from."""
    found = _NEUTRAL.get(reduce)
    if found is not None:
        return found
    if kind is dtypes.bool:
        return reduce == "amin"
    if kind.is_floating_point:
        return float("-inf") if reduce == "amax" else float("inf")
    limits = dtypes.iinfo(kind)
    return limits.min if reduce == "amax" else limits.max


def _reduced(
    self: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> Any:
    kept = self
    if not include_self:
        self = self.scatter(dim, index, _neutral(reduce, self.dtype))
    if reduce in ("sum", "mean"):
        total = self.scatter_add(dim, index, src)
        if reduce == "sum":
            return total
        count = torch.ones_like(kept)
        if not include_self:
            count = count.scatter(dim, index, 0)
        count = count.scatter_add(dim, index, torch.ones_like(src))
        count = count.masked_fill(count == 0, 1)
        if total.is_floating_point() or total.is_complex():
            return total / count
        return total.div(count, rounding_mode="floor")
    combine = getattr(torch, _COMBINE[reduce])
    # One slice of the index at a time: within it no place appears twice.
    for i in range(index._shape[dim]):
        at = index.narrow(dim, i, 1)
        part = src.narrow(dim, i, 1)
        part = part[tuple(slice(0, n) for n in at._shape)]
        self = self.scatter(dim, at, combine(self.gather(dim, at), part))
    return self


def _reduced_backward(
    grad: Any,
    self: Any,
    dim: int,
    index: Any,
    src: Any,
    reduce: str,
    include_self: bool,
    result: Any,
) -> tuple[Any, Any]:
    """The gradients of a reduction into places, for the tensor and the source."""
    if reduce == "sum":
        to_self, to_src = grad, grad.gather(dim, index)
    elif reduce == "mean":
        count = torch.ones_like(grad) if include_self else torch.zeros_like(grad)
        count = count.scatter_add(dim, index, torch.ones_like(src))
        count = count.masked_fill(count == 0, 1)
        to_self = grad / count
        to_src = to_self.gather(dim, index)
    elif reduce == "prod":
        to_self, to_src = _product_backward(
            grad, self, dim, index, src, include_self, result
        )
    else:
        # Those that tie for the extreme share the gradient.
        chosen = (self == result).to(grad.dtype)
        source = (src == result.gather(dim, index)).to(grad.dtype)
        shared = grad / chosen.scatter_add(dim, index, source)
        to_self = chosen * shared
        to_src = source * shared.gather(dim, index)
    if not include_self:
        to_self = to_self.scatter(dim, index, 0)
    return to_self, to_src


def _product_backward(
    grad: Any,
    self: Any,
    dim: int,
    index: Any,
    src: Any,
    include_self: bool,
    result: Any,
) -> tuple[Any, Any]:
    # A zero among the factors can't be divided out: it is taken as 1 instead.
    own = self.masked_fill(self == 0, 1)
    rest = own.scatter_reduce(dim, index, src, "prod", include_self=include_self)
    to_self = grad * rest / own
    zero = src == 0
    zeros = torch.zeros_like(self).scatter_add(dim, index, zero.to(self.dtype))
    alone = zero & (zeros.gather(dim, index) == 1)
    without = self.scatter_reduce(
        dim, index, src.masked_fill(alone, 1), "prod", include_self=include_self
    )
    to_src = torch.where(
        alone,
        (grad * without).gather(dim, index),
        (grad * result).gather(dim, index) / src.masked_fill(zero, 1),
    )
    return to_self, to_src


@operator(
    "scatter_reduce.two(Tensor self, int dim, Tensor index, Tensor src, "
    "str reduce, *, bool include_self=True) -> Tensor",
    inplace=True,
    lift=Plain(),
    tags="separate_out",
)
def scatter_reduce(self, dim, index, src, reduce, *, include_self):
    """Elements of ``src`` combined at the places that ``index`` names."""
    _check_scatter_reduce(self, dim, index, src, reduce, include_self)
    if not index.numel():
        return self.clone()
    dim = wrap_dim(dim, self.ndim)
    if 0 in (self.ndim, index.ndim, src.ndim):
        shape = self._shape
        self, index, src = (t.reshape(-1) for t in (self, index, src))
        return _reduced(self, 0, index, src, reduce, include_self).reshape(shape)
    return _reduced(self, dim, index, src, reduce, include_self)


@scatter_reduce.preparation
def _check_scatter_reduce(self, dim, index, src, reduce, include_self):
    dim = check_gather("scatter", self, dim, index, src)
    if reduce not in ("sum", "mean", *_COMBINE):
        raise RuntimeError(
            "reduce argument must be either sum, prod, mean, amax or amin, got "
            f"{reduce}"
        )
    if reduce in _UNDEFINED:
        name = f"scatter_gather_tensor_cpu_reduce_{reduce}"
        refuse(self, f"\"{name}\" not implemented for '{{dtype}}'", _UNDEFINED[reduce])
    return self, dim, index, src, reduce, include_self


derive_joint(scatter_reduce, "self src", _reduced_backward)


@operator(
    "scatter.reduce(Tensor self, int dim, Tensor index, Tensor src, *, str reduce) -> "
    "Tensor",
    inplace=True,
    tags="out separate_out",
)
def scatter_with(self, dim, index, src, *, reduce):
    """As ``scatter_reduce``, by "add" or "multiply" (deprecated)."""
    from dispatchtorch.errors import user_level

    warnings.warn(
        "The reduce argument of torch.scatter with Tensor src is deprecated and will be "
        "removed in a future PyTorch release. Use torch.scatter_reduce instead for more "
        "reduction options.",
        UserWarning,
        stacklevel=user_level(),
    )
    check_gather("scatter", self, dim, index, src)
    return self.scatter_reduce(dim, index, src, _old_name(reduce))


@operator(
    "scatter.value_reduce(Tensor self, int dim, Tensor index, Scalar value, *, "
    "str reduce) -> Tensor",
    inplace=True,
    tags="out separate_out",
)
def scatter_number_with(self, dim, index, value, *, reduce):
    """A number added to, or multiplied with, the places that ``index`` names."""
    check_gather("scatter", self, dim, index)
    check_number(value, self.dtype)
    src = torch.full((), value, dtype=self.dtype, device=self.device)
    return self.scatter_reduce(dim, index, src.expand(index._shape), _old_name(reduce))


def _old_name(reduce: str) -> str:
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    return "sum" if reduce == "add" else "prod"


def _as_places(index: Any, dim: int, source: Any) -> Any:
    """A vector of slices as the places of all their elements."""
    shape = [1] * source.ndim
    if shape:
        shape[dim] = -1
    return index.to(dtypes.int64).reshape(shape).expand(source._shape)


@operator(
    "index_reduce(Tensor self, int dim, Tensor index, Tensor source, str reduce, "
    "*, bool include_self=True) -> Tensor",
    inplace=True,
    tags="out separate_out",
)
def index_reduce(self, dim, index, source, reduce, *, include_self):
    """Slices of ``source`` combined with those that ``index`` names."""
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but "
            f"got {reduce}."
        )
    dim = check_slices("index_reduce", self, dim, index, source)
    part = "func_" if include_self else "reduce_func_exclude_input_init"
    refuse(
        self,
        f"\"index_{part}\" not implemented for '{{dtype}}'",
        dtypes.BOOL,
        dtypes.COMPLEX,
    )
    check_range(index, self._shape[dim] if self.ndim else 1, out_of_range)
    places = _as_places(index, dim, source)
    return self.contiguous().scatter_reduce(
        dim, places, source, reduce, include_self=include_self
    )


def _index_reduce_backward(
    grad: Any,
    self: Any,
    dim: int,
    index: Any,
    source: Any,
    reduce: str,
    include_self: bool,
    result: Any,
) -> tuple[Any, Any]:
    dim = wrap_dim(dim, self.ndim)
    places = _as_places(index, dim, source)
    return _reduced_backward(
        grad, self, dim, places, source, reduce, include_self, result
    )


derive_joint(index_reduce, "self source", _index_reduce_backward)
