"""Indexing: reading and writing by integers, slices, masks and tensors of indices."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.dtypes import c_type
from dispatchtorch.lift import Plain, broadcast_shapes
from dispatchtorch.lift.base import plain_number
from dispatchtorch.ops._common import (
    check_number,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops._writing import writes_directly

_PLAIN = Plain()

gather = primitive(
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
    lift=_PLAIN,
    tags="apart_out",
)


@gather.preparation
def _(self, dim, index, sparse_grad):
    if sparse_grad:
        raise NotImplementedError("gather: sparse gradients aren't supported")
    dim = check_gather("gather", self, dim, index)
    return self if self.ndim else self.reshape(1), dim, index


def check_index_dtype(name: str, index: Any) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


def check_gather(name: str, self: Any, dim: int, index: Any, src: Any = None) -> int:
    """The checks of gather and scatter; gives the dim wrapped."""
    wrapped = wrap_dim(dim, self.ndim)
    if index.numel():
        check_index_dtype(name, index)
    if src is not None and self.dtype is not src.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if not index.numel():
        return wrapped
    ndim = max(index.ndim, 1)
    for label, other in (("self", self), ("src", src)):
        if other is not None and ndim != max(other.ndim, 1):
            if label == "src" and 0 < other.ndim < ndim:
                wrap_dim(other.ndim, other.ndim)  # its sizes are looked at first
            label = "input" if name == "gather" else label
            raise RuntimeError(
                "Index tensor must have the same number of dimensions as "
                f"{label} tensor"
            )
    shape = index._shape or (1,)
    wide = [
        d
        for d, (n, m) in enumerate(zip(shape, self._shape or (1,), strict=True))
        if d != wrapped and n > m
    ]
    if name == "gather":
        if wide:
            raise RuntimeError(
                f"Size does not match at dimension {wide[0]} expected index "
                f"{list(index._shape)} to be no larger than self {list(self._shape)} "
                f"apart from dimension {wrapped}"
            )
        return wrapped
    if src is not None:
        wide += [n > m for n, m in zip(shape, src._shape or (1,), strict=True) if n > m]
    if wide:
        tail = (
            ""
            if src is None
            else f" and to be no larger size than src {list(src._shape)}"
        )
        raise RuntimeError(
            f"Expected index {list(index._shape)} to be no larger than self "
            f"{list(self._shape)} apart from dimension {wrapped}{tail}"
        )
    return wrapped


gather.shape_rule = lambda x, dim, index: (index.shape, x.dtype)
derive(
    gather,
    self=lambda grad, self_sizes, dim, index: grad.new_zeros(self_sizes).scatter_add(
        dim, index, grad
    ),
)

scatter_add = primitive(
    "scatter_add(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    lift=_PLAIN,
    inplace=True,
    tags="separate_out",
)


@scatter_add.preparation
def _(self, dim, index, src):
    return self, check_gather("scatter", self, dim, index, src), index, src


scatter_add.shape_rule = lambda x, dim, index, src: (x.shape, x.dtype)
derive(
    scatter_add,
    self=lambda grad: grad,
    src=lambda grad, dim, index: grad.gather(dim, index),
)

scatter_src = primitive(
    "scatter.src(Tensor self, int dim, Tensor index, Tensor src) -> Tensor",
    lift=_PLAIN,
    inplace=True,
    tags="separate_out",
)
scatter_src.prepare = scatter_add.prepare
scatter_src.shape_rule = scatter_add.shape_rule
derive(
    scatter_src,
    name_="ScatterBackward0",
    self=lambda grad, dim, index: grad.scatter(dim, index, 0),
    src=lambda grad, dim, index: grad.gather(dim, index),
)


@operator(
    "scatter.value(Tensor self, int dim, Tensor index, Scalar value) -> Tensor",
    inplace=True,
    tags="out separate_out",
)
def scatter_value(self, dim, index, value):
    """A copy with one number written to the places of ``index``."""
    check_gather("scatter", self, dim, index)
    check_number(value, self.dtype)
    src = torch.full((), value, dtype=self.dtype, device=self.device)
    return torch.scatter(self, dim, index, src.expand(index._shape))


derive(
    scatter_value,
    name_="ScatterBackward1",
    self=lambda grad, dim, index: grad.scatter(dim, index, 0),
)

index_ = primitive(
    "index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
    lift=_PLAIN,
    variants="private",
)
index_put = primitive(
    "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> "
    "Tensor",
    lift=_PLAIN,
    inplace=True,
)


@index_.preparation
def _(self, indices):
    return self, expand_masks(self, indices)


@index_put.preparation
def _(self, indices, values, accumulate):
    if hasattr(indices, "_keys"):
        raise TypeError(
            "index_put_(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{type(indices).__name__}"
        )
    places = expand_masks(self, indices)
    given = [each for each in indices if each is not None]
    # One mask and one number: PyTorch fills, which casts, and takes no masks of bytes.
    fills = len(given) == 1 and values.numel() == 1 and not accumulate
    if fills and given[0].dtype is dtypes.uint8:
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype unsigned "
            "char"
        )
    if self.dtype is values.dtype:
        return self, places, values, accumulate
    if fills and given[0].dtype is dtypes.bool:
        return self, places, values.to(self.dtype), accumulate
    shape = indexed_shape(self, places)
    if broadcast_shapes([shape, values._shape]) != shape:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values._shape)} cannot be "
            f"broadcast to indexing result of shape {list(shape)}"
        )
    raise RuntimeError(
        "Index put requires the source and destination dtypes match, got "
        f"{scalar_type_name(self.dtype)} for the destination and "
        f"{scalar_type_name(values.dtype)} for the source."
    )


def _with_masks(indices: Any) -> list[Any]:
    """Masks of bytes as masks of bools."""
    return [
        each.to(dtypes.bool)
        if each is not None and each.dtype is dtypes.uint8
        else each
        for each in indices
    ]


def expand_masks(self: Any, indices: Any) -> list[Any]:
    """Index tensors with masks turned into positions, checked against the sizes."""
    made: list[Any] = []
    common: Any = None
    differ = False
    for each in indices:
        if each is None:
            made.append(None)
            continue
        dtype = each.dtype
        if dtype is dtypes.bool or dtype is dtypes.uint8:
            parts = _positions(self, each, len(made))
        elif dtype is dtypes.int64:
            parts = (each,)
        elif dtype is dtypes.int32:
            parts = (each.to(dtypes.int64),)
        else:
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors"
            )
        made.extend(parts)
        for part in parts:
            if common is not None and part._shape != common:
                differ = True
            common = part._shape
    if differ:
        _check_broadcast(made)
    if len(made) > self.ndim:
        raise IndexError(
            f"too many indices for tensor of dimension {self.ndim} (got {len(made)})"
        )
    return made


def _positions(self: Any, mask: Any, dim: int) -> tuple[Any, ...]:
    """The places where a mask over dims from ``dim`` on is true, by dim."""
    for k, size in enumerate(mask._shape):
        if dim + k >= self.ndim:
            raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
        if size != self._shape[dim + k]:
            raise IndexError(
                f"The shape of the mask {list(mask._shape)} at index {k} does not match "
                f"the shape of the indexed tensor {list(self._shape)} at index {dim + k}"
            )
    if mask.dtype is dtypes.uint8:
        _warn_of_bytes()
    found: tuple[Any, ...] = nonzero(mask, as_tuple=True)
    return found


def _warn_of_bytes() -> None:
    import warnings

    from dispatchtorch.errors import user_level

    warnings.warn(
        "indexing with dtype torch.uint8 is now deprecated, please use a dtype "
        "torch.bool instead.",
        UserWarning,
        stacklevel=user_level(),
    )


def _check_broadcast(made: list[Any]) -> None:
    shapes = [each._shape for each in made if each is not None]
    try:
        broadcast_shapes(shapes)
    except RuntimeError:
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with "
            f"shapes {', '.join(str(list(each)) for each in shapes)}"
        ) from None


def indexed_shape(x: Any, indices: Any) -> tuple[int, ...]:
    """The shape of a read by index tensors: where they stand, or first if apart."""
    places = [d for d, each in enumerate(indices) if each is not None]
    common = broadcast_shapes([indices[d].shape for d in places])
    together = places[-1] - places[0] + 1 == len(places)
    shape: list[int] = [] if together else list(common)
    for d, size in enumerate(x.shape):
        if d not in places:
            shape.append(size)
        elif together and d == places[0]:
            shape.extend(common)
    return tuple(shape)


index_.shape_rule = lambda x, indices: (indexed_shape(x, indices), x.dtype)
index_put.shape_rule = lambda x, indices, values, accumulate: (x.shape, x.dtype)
derive(
    index_,
    self=lambda grad, self_sizes, indices: grad.new_zeros(self_sizes).index_put(
        indices, grad, True
    ),
)
derive(
    index_put,
    self=lambda grad, indices, values, accumulate: (
        grad if accumulate else grad.index_put(_with_masks(indices), grad.new_zeros(()))
    ),
    values=lambda grad, indices: index_(grad, indices),
)

nonzero_ = primitive("nonzero_(Tensor self) -> Tensor", variants="private")


@operator(
    "nonzero(Tensor self, *, bool as_tuple=False) -> Tensor",
    tags="out nondifferentiable separate_out views",
)
def nonzero(self, *, as_tuple):
    """The positions of the elements that aren't zero, one row each (or by dim)."""
    found = nonzero_(self if self.ndim else self.reshape(1))
    if as_tuple:
        return found.unbind(1)
    if self.ndim == 0:
        return torch.empty((found._shape[0], 0), dtype=dtypes.int64, device=self.device)
    return found


@operator(
    "nonzero_static(Tensor self, *, int size, int fill_value=-1) -> Tensor",
    tags="out nondifferentiable",
)
def nonzero_static(self, *, size, fill_value):
    """The first ``size`` positions that nonzero gives, filled up where it gives fewer."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    rows = nonzero_(self if self.ndim else self.reshape(1))[:size, : self.ndim]
    made = torch.full(
        (size, self.ndim), fill_value, dtype=dtypes.int64, device=self.device
    )
    made[: rows._shape[0]] = rows
    return made


nonzero_.tags = nonzero_.tags | {"nondifferentiable"}


@operator(
    "index_select(Tensor self, int dim, Tensor index) -> Tensor",
    lift=_PLAIN,
    tags="apart_out",
)
def index_select(self, dim, index):
    """The slices of a dim that ``index`` lists."""
    self, dim, index = _check_index_select(self, dim, index)
    if self.ndim == 0:
        check_range(index, 1, out_of_range)
        return self.reshape(1)[index.reshape(-1)].reshape(())
    return index_(self, [None] * dim + [index.reshape(-1)])


@index_select.preparation
def _check_index_select(self, dim, index):
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if self.ndim == 0 and index.numel() != 1:
        raise RuntimeError(
            "index_select(): Index to scalar can have only 1 value, got "
            f"{index.numel()} value(s)"
        )
    return self, wrap_dim(dim, self.ndim), index


derive(
    index_select,
    self=lambda grad, self_sizes, dim, index: grad.new_zeros(self_sizes).index_add(
        dim, index, grad
    ),
)


def check_slices(name: str, self: Any, dim: int, index: Any, source: Any) -> int:
    """The checks of index_add and index_reduce; gives the dim wrapped."""
    dim = wrap_dim(dim, self.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"{name}_(): Index is supposed to be a vector, but got dim: {index.ndim} "
            f"with type: {scalar_type_name(index.dtype)} and size: {list(index._shape)}"
        )
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"{name}_(): Expected dtype int32/int64 for index but got: "
            f"{scalar_type_name(index.dtype)}"
        )
    if self.dtype is not source.dtype:
        raise RuntimeError(
            f"{name}_(): self ({scalar_type_name(self.dtype)}) and source "
            f"({scalar_type_name(source.dtype)}) must have the same scalar type"
        )
    count = 1
    if source.ndim:
        if dim >= source.ndim:
            raise RuntimeError(
                f"{name}_(): Indexing dim {dim} is out of bounds of the source tensor "
                f"with dim {source.ndim}"
            )
        count = source._shape[dim]
    if index.numel() != count:
        wrap_dim(dim, source.ndim, wrap_scalar=False)
        raise RuntimeError(
            f"{name}_(): Number of indices ({index.numel()}) should be equal to "
            f"source.size(dim): ({count}), for dim: {dim}"
        )
    own, other = list(self._shape), list(source._shape)
    if own:
        del own[dim]
    if other:
        del other[dim]
    if own != other or bool(self.ndim) != bool(source.ndim):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified "
            f"dimension. Got self.shape = {list(self._shape)} source.shape = "
            f"{list(source._shape)}"
        )
    return dim


def check_range(index: Any, size: int, error: Any, least: int = 0) -> None:
    """Raises ``error(bad index)`` where a host index isn't in least…size-1."""
    if index.numel() and index._backend.is_host:
        low, high = int(index.min()), int(index.max())
        if low < least or high >= size:
            raise error(low if low < least else high)


def _out_of_bounds(bad: int, dim: int, size: int) -> Exception:
    return RuntimeError(
        f"index {bad} is out of bounds for dimension {dim} with size {size}"
    )


def out_of_range(bad: int) -> Exception:
    """What most readers and writers by index raise."""
    return IndexError("index out of range in self")


@operator(
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, "
    "Scalar alpha=1) -> Tensor",
    inplace=True,
    tags="out separate_out",
)
def index_add(self, dim, index, source, *, alpha):
    """A copy with the slices of ``source`` added where ``index`` says."""
    dim = check_slices("index_add", self, dim, index, source)
    size = self._shape[dim] if self.ndim else 1
    outer = self.ndim > 1 and dim in (0, self.ndim - 1) and index.dtype is dtypes.int64

    def error(bad: int) -> Exception:
        return _out_of_bounds(bad, dim, size) if outer else out_of_range(bad)

    check_range(index, size, error)
    if type(alpha) is not int or alpha != 1:
        check_number(alpha, self.dtype)
        source = source * torch.full((), alpha, dtype=self.dtype, device=self.device)
    if self.ndim == 0:
        return self + source
    places = [None] * dim + [index.reshape(-1)]
    return self.contiguous().index_put(places, source, True)


derive(
    index_add,
    self=lambda grad: grad,
    source=lambda grad, dim, index, alpha, source_sizes: (
        grad.index_select(dim, index).reshape(source_sizes) * alpha
    ),
)


@operator(
    "masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor", inplace=True
)
def masked_fill_tensor(self, mask, value):
    """A copy with a 0-d tensor's number where the mask is true."""
    if value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor "
            f"with {value.ndim} dimension(s)."
        )
    if value._backend.is_host:
        check_number(value.item(), self.dtype)
    return _masked(self, mask, value.to(self.device, self.dtype))


@operator(
    "masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor",
    inplace=True,
    lift=Plain(has_out=False),
)
def masked_fill(self, mask, value):
    """A copy with one number where the mask is true."""
    _check_masked_fill(self, mask, value)
    made = torch.full((), value, dtype=self.dtype, device=self.device)
    return _masked(self, mask, made)


@masked_fill.preparation
def _check_masked_fill(self, mask, value):
    check_number(value, self.dtype)
    _check_mask(mask)
    return self, mask, plain_number(value)


def _masked(self: Any, mask: Any, value: Any) -> Any:
    _check_mask(mask)
    return torch.where(mask, value, self).contiguous()


def _check_mask(mask: Any) -> None:
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype "
            f"{c_type(mask.dtype)}"
        )


derive(
    masked_fill,
    name_="MaskedFillBackward0",
    self=lambda grad, mask: grad.masked_fill(mask, 0),
)
derive(
    masked_fill_tensor,
    name_="MaskedFillBackward1",
    self=lambda grad, mask: grad.masked_fill(mask, 0),
    value=lambda grad, mask: torch.where(mask, grad, 0).sum(),
)


@operator(
    "masked_select(Tensor self, Tensor mask) -> Tensor",
    tags="out apart_out",
)
def masked_select(self, mask):
    """The elements where the mask is true, as a vector."""
    if mask.dtype is not dtypes.bool:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes([mask._shape, self._shape])
    if not shape:
        return self.reshape(1)[mask.reshape(1)]
    return index_(self.expand(shape), [mask.expand(shape)])


derive(
    masked_select,
    self=lambda grad, self_sizes, mask: grad.new_zeros(
        broadcast_shapes([self_sizes, mask._shape])
    ).masked_scatter(mask, grad),
)


@operator(
    "_unsafe_masked_index(Tensor self, Tensor mask, Tensor?[] indices, Scalar fill) -> "
    "Tensor",
    variants="function",
)
def _unsafe_masked_index(self, mask, indices, fill):
    """A read by index tensors, with one number where the mask is false."""
    held = [
        each if each is None else each.clamp(0, size - 1)
        for each, size in zip(indices, self._shape, strict=False)
    ]
    return index_(self, held).masked_fill(~mask, fill)


@operator(
    "_unsafe_masked_index_put_accumulate(Tensor self, Tensor mask, Tensor?[] indices, "
    "Tensor values) -> Tensor",
    variants="function",
)
def _unsafe_masked_index_put_accumulate(self, mask, indices, values):
    """A copy with values added by index tensors where the mask is true."""
    held = [
        each if each is None else each.clamp(-size, size - 1)
        for each, size in zip(indices, self._shape, strict=False)
    ]
    return self.index_put(held, values.masked_fill(~mask, 0), True)


derive(
    _unsafe_masked_index,
    self=lambda grad, self_sizes, mask, indices: (
        torch._unsafe_masked_index_put_accumulate(
            grad.new_zeros(self_sizes), mask, indices, grad
        )
    ),
)
derive(
    _unsafe_masked_index_put_accumulate,
    self=lambda grad: grad,
    values=lambda grad, mask, indices: torch._unsafe_masked_index(
        grad, mask, indices, 0
    ),
)

writes_directly("index_put_", "scatter_.src", "scatter_add_", "masked_fill_.Scalar")
