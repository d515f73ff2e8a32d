"""Indexing: reading and writing by integers, slices, masks and tensors of indices."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import (
    scalar_type_name,
    torch,
    wrap_dim,
)

_PLAIN = Plain()

gather = primitive(
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
    lift=_PLAIN,
)


@gather.preparation
def _(self, dim, index, sparse_grad):
    dim = check_gather("gather", self, dim, index)
    if self.ndim == 0 or index.ndim == 0:
        return as_1d(self), 0, as_1d(index)
    return self, dim, index


def as_1d(t: Any) -> Any:
    return t if t.ndim else t.reshape(1)


def check_index_dtype(name: str, index: Any) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


def check_gather(name: str, self: Any, dim: int, index: Any) -> int:
    """The checks of gather and scatter; gives the dim wrapped."""
    wrapped = wrap_dim(dim, self.ndim)
    if index.numel() == 0:
        return wrapped
    check_index_dtype(name, index)
    if max(index.ndim, 1) != max(self.ndim, 1):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as "
            f"{'input' if name == 'gather' else 'self'} tensor"
        )
    for d, (n, m) in enumerate(zip(index._shape, self._shape, strict=False)):
        if d != wrapped and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index "
                f"{list(index._shape)} to be no larger than self {list(self._shape)} "
                f"apart from dimension {wrapped}"
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
)


@scatter_add.preparation
def _(self, dim, index, src):
    dim = check_gather("scatter", self, dim, index)
    check_scatter_source(self, dim, index, src)
    return self, dim, index, src


def check_scatter_source(self: Any, dim: int, index: Any, src: Any) -> None:
    if self.dtype is not src.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if index.numel() == 0:
        return
    if any(n > m for n, m in zip(index._shape, src._shape, strict=False)):
        raise RuntimeError(
            f"Expected index {list(index._shape)} to be no larger than self "
            f"{list(self._shape)} apart from dimension {dim} and to be no larger than "
            f"src {list(src._shape)}"
        )


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
)


@scatter_src.preparation
def _(self, dim, index, src):
    dim = check_gather("scatter", self, dim, index)
    check_scatter_source(self, dim, index, src)
    return self, dim, index, src


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
    tags="out",
)
def scatter_value(self, dim, index, value):
    """A copy with one number written to the places of ``index``."""
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
    if self.dtype is not values.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{scalar_type_name(self.dtype)} for the destination and "
            f"{scalar_type_name(values.dtype)} for the source."
        )
    return self, expand_masks(self, indices), values, accumulate


def expand_masks(self: Any, indices: Any) -> list[Any]:
    """Index tensors with masks turned into positions, checked against the sizes."""
    made: list[Any] = []
    for each in indices:
        if each is None:
            made.append(None)
            continue
        if each.dtype in (dtypes.bool, dtypes.uint8):
            for k in range(each.ndim):
                own = self._shape[len(made) + k] if len(made) + k < self.ndim else None
                if own is None:
                    raise IndexError(
                        f"too many indices for tensor of dimension {self.ndim}"
                    )
                if each._shape[k] != own:
                    raise IndexError(
                        f"The shape of the mask {list(each._shape)} at index {k} does "
                        f"not match the shape of the indexed tensor {list(self._shape)} "
                        f"at index {len(made) + k}"
                    )
            made.extend(torch.nonzero(each).unbind(1))
            continue
        if each.dtype not in (dtypes.int64, dtypes.int32, dtypes.int16, dtypes.int8):
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors"
            )
        made.append(each if each.dtype is dtypes.int64 else each.to(dtypes.int64))
    if len(made) > self.ndim:
        raise IndexError(
            f"too many indices for tensor of dimension {self.ndim} (got {len(made)})"
        )
    return made


def indexed_shape(x: Any, indices: Any) -> tuple[int, ...]:
    """The shape of a read by index tensors: where they stand, or first if apart."""
    from dispatchtorch.lift import broadcast_shapes

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
        grad if accumulate else grad.index_put(indices, grad.new_zeros(()))
    ),
    values=lambda grad, indices: index_(grad, indices),
)

nonzero_ = primitive("nonzero_(Tensor self) -> Tensor", variants="private")


@operator(
    "nonzero(Tensor self, *, bool as_tuple=False) -> Tensor",
    tags="out nondifferentiable",
)
def nonzero(self, *, as_tuple):
    """The positions of the elements that aren't zero, one row each (or by dim)."""
    if as_tuple:
        return tuple(nonzero_(self if self.ndim else self.reshape(1)).unbind(1))
    if self.ndim == 0:
        return nonzero_(self.reshape(1))[:, :0]
    return nonzero_(self)


nonzero_.tags = nonzero_.tags | {"nondifferentiable"}


@operator("index_select(Tensor self, int dim, Tensor index) -> Tensor", lift=_PLAIN)
def index_select(self, dim, index):
    """The slices of a dim that ``index`` lists."""
    _check_index_select(self, dim, index)
    if self.ndim == 0:
        return self.reshape(1).index_select(0, index).reshape(())
    dim = wrap_dim(dim, self.ndim)
    return index_(self, [None] * dim + [index.reshape(-1)])


def _check_index_select(self: Any, dim: int, index: Any) -> tuple[Any, ...]:
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    check_index_dtype("index_select", index)
    return self, wrap_dim(dim, self.ndim), index


derive(
    index_select,
    self=lambda grad, self_sizes, dim, index: grad.new_zeros(self_sizes).index_add(
        dim, index, grad
    ),
)


@operator(
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, "
    "Scalar alpha=1) -> Tensor",
    inplace=True,
    tags="out",
)
def index_add(self, dim, index, source, *, alpha):
    """A copy with the slices of ``source`` added where ``index`` says."""
    if alpha != 1:
        source = source * alpha
    if self.ndim == 0:
        return self + source.sum()
    dim = wrap_dim(dim, self.ndim)
    if index.numel() != source._shape[dim]:
        raise RuntimeError(
            "index_add_(): Number of indices should be equal to self.size(dim): "
            f"{index.numel()}"
        )
    return self.index_put([None] * dim + [index.reshape(-1)], source, True)


derive(
    index_add,
    self=lambda grad: grad,
    source=lambda grad, dim, index, alpha: grad.index_select(dim, index) * alpha,
)


@operator(
    "masked_fill(Tensor self, Tensor mask, Tensor|Scalar value) -> Tensor", inplace=True
)
def masked_fill(self, mask, value):
    """A copy with one number where the mask is true."""
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype "
            f"{_cpp_name(mask)}"
        )
    if hasattr(value, "_keys"):
        if value.ndim:
            raise RuntimeError(
                "masked_fill only supports a 0-dimensional value tensor, but got tensor "
                f"with {value.ndim} dimension(s)."
            )
        value = value.to(self.dtype)
    else:
        value = torch.full((), value, dtype=self.dtype, device=self.device)
    return torch.where(mask, value, self)


def _cpp_name(t: Any) -> str:
    from dispatchtorch.ops.linalg import _CPP

    return _CPP.get(t.dtype.name, t.dtype.name)


derive(
    masked_fill,
    self=lambda grad, mask: grad.masked_fill(mask, 0),
    value=lambda grad, mask: torch.where(mask, grad, 0).sum(),
)


@operator("masked_select(Tensor self, Tensor mask) -> Tensor", tags="out")
def masked_select(self, mask):
    """The elements where the mask is true, as a vector."""
    if mask.dtype is not dtypes.bool:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    from dispatchtorch.lift import broadcast_shapes

    shape = broadcast_shapes([self._shape, mask._shape])
    if not shape:
        return self.reshape(1)[mask.reshape(1)]
    return index_(self.expand(shape), [mask.expand(shape)])


@operator(
    "cat(Tensor[] tensors, int dim=0) -> Tensor", lift=_PLAIN, variants="function"
)
def cat(tensors, dim=0):
    """Tensors one after the other along a dim."""
    parts, at, dtype = _check_cat(tensors, dim)
    shape = list(parts[0]._shape)
    shape[at] = sum(p._shape[at] for p in parts)
    made = torch.empty(tuple(shape), dtype=dtype, device=parts[0].device)
    start = 0
    for part in parts:
        made.narrow(at, start, part._shape[at]).copy_(part)
        start += part._shape[at]
    return made


def _check_cat(tensors: Any, dim: int) -> tuple[list[Any], int, Any]:
    tensors = list(tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, t in enumerate(tensors):
        if t.ndim == 0:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {i}) cannot be concatenated"
            )
    from dispatchtorch.lift import result_type

    dtype = result_type(tensors)
    # PyTorch lets empty vectors of any shape pass, as relics of its early days.
    parts = [t for t in tensors if t._shape != (0,)] or tensors[:1]
    at = wrap_dim(dim, parts[0].ndim)
    first = parts[0]._shape
    for i, p in enumerate(parts):
        shape = p._shape
        if len(shape) != len(first):
            raise RuntimeError(
                "Tensors must have same number of dimensions: got "
                f"{len(first)} and {len(shape)}"
            )
        for d, (a, b) in enumerate(zip(first, shape, strict=True)):
            if a != b and d != at:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {at}. Expected "
                    f"size {a} but got size {b} for tensor number {i} in the list."
                )
    return parts, at, dtype


@cat.preparation
def _(tensors, dim):
    parts, at, dtype = _check_cat(tensors, dim)
    return [p if p.dtype is dtype else p.to(dtype) for p in parts], at


def _cat_backward(grad, tensors_sizes, dim):
    parts = []
    start = 0
    at = wrap_dim(dim, grad.ndim)
    for shape in tensors_sizes:
        if shape == (0,) and grad.ndim != 1:
            parts.append(grad.new_zeros((0,)))
            continue
        parts.append(grad.narrow(at, start, shape[at]))
        start += shape[at]
    return parts


derive(cat, tensors=_cat_backward)


@operator(
    "stack(Tensor[] tensors, int dim=0) -> Tensor", tags="out", variants="function"
)
def stack(tensors, dim=0):
    """Tensors of one shape one after the other along a new dim."""
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = tensors[0]._shape
    for i, t in enumerate(tensors):
        if t._shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at "
                f"entry 0 and {list(t._shape)} at entry {i}"
            )
    at = wrap_dim(dim, len(first) + 1)
    return torch.cat([t.unsqueeze(at) for t in tensors], at)


derive(stack, tensors=lambda grad, dim: list(grad.unbind(dim)))


@operator("flip(Tensor self, int[] dims) -> Tensor", lift=_PLAIN)
def flip(self, dims):
    """The elements in reverse order along dims."""
    made = self
    for dim in wrapped_flip_dims(self, dims):
        size = self._shape[dim]
        order = (
            torch.arange(size - 1, -1, -1, device=self.device)
            if size
            else torch.arange(0, device=self.device)
        )
        made = made.index_select(dim, order)
    return made.clone() if made is self else made


def wrapped_flip_dims(self: Any, dims: Any) -> tuple[int, ...]:
    from dispatchtorch.ops._common import as_ints, wrap_dims

    wrapped = wrap_dims(as_ints(dims), self.ndim)
    return wrapped if self.ndim else ()


flip.prepare = lambda self, dims: (self, wrapped_flip_dims(self, dims))
derive(flip, self=lambda grad, dims: grad.flip(dims))
