"""Views: operators whose result shares memory with their first argument.

Each is one function from (shape, strides, offset) to those of the result. A device needs
``as_strided`` alone.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.codegen import fits_int
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.keys import LAZY, VIEW
from dispatchtorch.dispatch.operator import Operator, operator, packets, primitive
from dispatchtorch.lift import View
from dispatchtorch.memory_format import contiguous_format
from dispatchtorch.ops._common import (
    as_ints,
    contiguous_strides,
    infer_size,
    numel_of,
    torch,
    wrap_dim,
    wrap_dims,
)
from dispatchtorch.ops._formats import with_gaps
from dispatchtorch.ops._geometry import Geometry, as_strided_backward, sum_to
from dispatchtorch.tensor import type_name

Layout = tuple[tuple[int, ...], tuple[int, ...], int]


def _view(schema: str, geometry: Any, variants: str = "function method") -> Operator:
    op = primitive(schema, lift=View(geometry), tags="view", variants=variants)
    op.__doc__ = geometry.__doc__
    return op


def _as_strided(shape, strides, offset, size, stride, storage_offset=None) -> Layout:
    """A view of the tensor's memory with any shape, strides and offset (in elements)."""
    size, stride = as_ints(size), as_ints(stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    return size, stride, offset if storage_offset is None else storage_offset


class _AsStrided(View):
    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        return _checked(self.bind_generic(op, keys, backend, kernel.function), backend)


def _checked(view: Any, backend: Any) -> Any:
    root = backend.root

    def as_strided(self, size, stride, storage_offset):  # type: ignore[no-untyped-def]
        size, stride = as_ints(size), as_ints(stride)
        start = backend.offset(self._data) if storage_offset is None else storage_offset
        if 0 not in size:
            if any(n < 0 for n in size):
                raise RuntimeError(
                    f"Storage size calculation overflowed with sizes={list(size)} and "
                    f"strides={list(stride)}"
                )
            if start < 0:
                raise RuntimeError(f"Tensor: invalid storage offset {start}")
            last = start + sum((n - 1) * s for n, s in zip(size, stride, strict=False))
            room = numel_of(backend.shape(root(self._data)))
            if (
                last >= room
                and len(size) == len(stride)
                and min(stride, default=0) >= 0
            ):
                item = self.dtype.itemsize
                raise RuntimeError(
                    f"setStorage: sizes {list(size)}, strides {list(stride)}, storage "
                    f"offset {start}, and itemsize {item} requiring a storage size of "
                    f"{(last + 1) * item} are out of bounds for storage of size "
                    f"{room * item}"
                )
        return view(self, size, stride, start)

    return as_strided


as_strided = primitive(
    "as_strided(Tensor(a) self, int[] size, int[] stride, int? storage_offset=None) -> "
    "Tensor(a)",
    lift=_AsStrided(_as_strided),
    tags="view",
)
as_strided.__doc__ = _as_strided.__doc__


def _as_strided_backward(grad, self, size, stride, storage_offset):
    base = Geometry(self)
    view = Geometry(self)
    view.shape, view.strides = as_ints(size), as_ints(stride)
    if storage_offset is not None:
        view.offset = storage_offset
    return as_strided_backward(grad, base, view)


derive(as_strided, self=_as_strided_backward)


def view_strides(
    shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The strides that show the same elements in another shape; None: impossible."""
    if 0 in shape:
        return strides if tuple(shape) == tuple(new) else contiguous_strides(new)
    result = [0] * len(new)
    at = len(new) - 1
    chunk = strides[-1] if shape else 1
    sizes = 1
    wanted = 1
    for i in range(len(shape) - 1, -1, -1):
        sizes *= shape[i]
        ends = i == 0 or (shape[i - 1] != 1 and strides[i - 1] != sizes * chunk)
        if ends:
            while at >= 0 and (wanted < sizes or new[at] == 1):
                result[at] = wanted * chunk
                wanted *= new[at]
                at -= 1
            if wanted != sizes:
                return None
            if i > 0:
                chunk = strides[i - 1]
                sizes = wanted = 1
    while at >= 0:  # a 0-d tensor seen with leading ones
        result[at] = 1
        at -= 1
    return tuple(result)


def _view_geometry(shape, strides, offset, size) -> Layout:
    """The same elements in another shape; RuntimeError where that needs a copy."""
    new = infer_size(as_ints(size), numel_of(shape))
    found = view_strides(shape, strides, new)
    if found is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least "
            "one dimension spans across two contiguous subspaces). Use .reshape(...) "
            "instead."
        )
    return new, found, offset


view = _view("view(Tensor(a) self, int[] size) -> Tensor(a)", _view_geometry, "method")
derive(view, self=lambda grad, self_sizes: grad.reshape(self_sizes))


@operator(
    "view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)", variants="method"
)
def view_dtype(self, dtype):
    """The same bytes as another dtype: without history, as in PyTorch."""
    if self._keys & LAZY and dtype is not self.dtype:
        kind = (
            "conjugate view tensors"
            if self.is_conj()
            else "tensors with negative bit set"
        )
        raise RuntimeError(
            f"torch.Tensor.view is not supported for {kind} when converting to a "
            "different dtype."
        )
    made = torch._view_dtype(self.detach(), dtype)
    made._base = None
    made._keys &= ~VIEW
    return made


@operator("reshape(Tensor(a) self, int[] shape) -> Tensor(a)")
def reshape(self, shape):
    """The same elements in another shape: a view where possible, else a copy."""
    new = as_ints(shape)
    try:
        return self.view(*new) if new else self.view(())
    except RuntimeError as error:
        if "not compatible" not in str(error):
            raise
    new = infer_size(new, numel_of(self._shape))
    return torch._unsafe_view(self.clone(memory_format=contiguous_format), new)


@operator("_unsafe_view(Tensor self, int[] size) -> Tensor", variants="function")
def _unsafe_view(self, size):
    """A view that counts as a new tensor: its base is a temporary nobody else sees."""
    made = self.view(size)
    made._base = None
    made._keys = self._keys
    made._ver = None
    return made


derive(
    _unsafe_view,
    name_="UnsafeViewBackward0",
    self=lambda grad, self_sizes: grad.reshape(self_sizes),
)


def _permute(shape, strides, offset, dims) -> Layout:
    """The dims in another order."""
    ndim = len(shape)
    dims = as_ints(dims)
    if len(dims) != ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not "
            "match the length of the desired ordering of dimensions i.e. input.dim() = "
            f"{ndim} is not equal to len(dims) = {len(dims)}"
        )
    order = [wrap_dim(d, ndim) for d in dims]
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return tuple([shape[d] for d in order]), tuple([strides[d] for d in order]), offset


permute = _view("permute(Tensor(a) self, int[] dims) -> Tensor(a)", _permute)


def _permute_backward(grad, dims):
    ndim = grad.ndim
    order = [wrap_dim(d, ndim) for d in dims]
    return grad.permute(sorted(range(ndim), key=order.__getitem__))


derive(permute, self=_permute_backward)


def _transpose(shape, strides, offset, dim0, dim1) -> Layout:
    """Two dims swapped."""
    ndim = len(shape)
    a, b = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    if a == b:
        return shape, strides, offset
    sizes, steps = list(shape), list(strides)
    sizes[a], sizes[b] = sizes[b], sizes[a]
    steps[a], steps[b] = steps[b], steps[a]
    return tuple(sizes), tuple(steps), offset


transpose = _view(
    "transpose(Tensor(a) self, int dim0, int dim1) -> Tensor(a)", _transpose
)
derive(transpose, self=lambda grad, dim0, dim1: grad.transpose(dim0, dim1))


def _t(shape, strides, offset) -> Layout:
    """The transposed matrix; tensors of fewer dims as they are."""
    if len(shape) > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {len(shape)}D"
        )
    return shape[::-1], strides[::-1], offset


t = _view("t(Tensor(a) self) -> Tensor(a)", _t)
derive(t, name_="TBackward0", self=lambda grad: grad.t())


def _expand(shape, strides, offset, size, implicit=False) -> Layout:
    """Dims of size 1 (and new leading dims) repeated, without copying."""
    size = as_ints(size)
    lead = len(size) - len(shape)
    new, steps = list(size), [0] * len(size)
    for i in range(len(size) - 1, -1, -1):
        wanted = size[i]
        own = shape[i - lead] if i >= lead else 1
        if wanted == -1:
            if i < lead:
                raise RuntimeError(
                    f"The expanded size of the tensor (-1) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
            new[i] = own
        elif own != wanted and own != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing "
                f"size ({own}) at non-singleton dimension {i}.  Target sizes: "
                f"{list(size)}.  Tensor sizes: {list(shape)}"
            )
        if i >= lead and new[i] == own:
            steps[i] = strides[i - lead]
    if new and min(new) < 0:
        raise RuntimeError("numel: integer multiplication overflow")
    for i in range(lead - 1, -1, -1):
        if new[i] == 1:  # as PyTorch gives leading dims of size 1 a contiguous stride
            steps[i] = new[i + 1] * steps[i + 1] if i + 1 < len(new) else 1
    return tuple(new), tuple(steps), offset


class _Expand(View):
    def bind_generic(self, op, keys, backend, as_strided):  # type: ignore[no-untyped-def]
        inner = super().bind_generic(op, keys, backend, as_strided)

        def expand(self, size, implicit):  # type: ignore[no-untyped-def]
            size = as_ints(size)
            if len(size) < self.ndim:
                raise RuntimeError(
                    f"expand({type_name(self)}{{{list(self._shape)}}}, size="
                    f"{list(size)}): the number of sizes provided ({len(size)}) must be "
                    "greater or equal to the number of dimensions in the tensor "
                    f"({self.ndim})"
                )
            return inner(self, size, implicit)

        return expand


expand = primitive(
    "expand(Tensor(a) self, int[] size, *, bool implicit=False) -> Tensor(a)",
    lift=_Expand(_expand),
    tags="view",
    variants="method",
)
expand.__doc__ = _expand.__doc__


def _expand_backward(grad, self_sizes):
    return sum_to(grad, self_sizes)


derive(expand, self=_expand_backward)


def _select(shape, strides, offset, dim, index) -> Layout:
    """One slice of a dim, without the dim."""
    ndim = len(shape)
    if ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, ndim)
    size = shape[dim]
    index = index if type(index) is int else index.__index__()
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at "
            f"dimension {dim}"
        )
    if index < 0:
        index += size
    return (
        shape[:dim] + shape[dim + 1 :],
        strides[:dim] + strides[dim + 1 :],
        offset + index * strides[dim],
    )


select = _view("select.int(Tensor(a) self, int dim, int index) -> Tensor(a)", _select)
derive(
    select,
    self=lambda grad, self_sizes, dim, index: torch.select_backward(
        grad, self_sizes, dim, index
    ),
)


@operator(
    "select_backward(Tensor grad_output, int[] input_sizes, int dim, int index) "
    "-> Tensor",
    variants="function",
)
def select_backward(grad_output, input_sizes, dim, index):
    """Zeros with the gradient in one slice."""
    made = grad_output.new_zeros(input_sizes)
    made.select(dim, index).copy_(grad_output)
    return made


derive(select_backward, grad_output=lambda grad, dim, index: grad.select(dim, index))


def _slice(shape, strides, offset, dim=0, start=None, end=None, step=1) -> Layout:
    """Every ``step``-th element of a dim from ``start`` to before ``end``."""
    ndim = len(shape)
    if ndim == 0:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, ndim)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    size = shape[dim]
    start, end, _ = slice(start, end).indices(size)
    length = max(0, -(-(end - start) // step))
    return (
        (*shape[:dim], length, *shape[dim + 1 :]),
        (*strides[:dim], strides[dim] * step, *strides[dim + 1 :]),
        offset + min(start, size) * strides[dim],
    )


slice_ = _view(
    "slice.Tensor(Tensor(a) self, int dim=0, int? start=None, int? end=None, "
    "int step=1) -> Tensor(a)",
    _slice,
    "private",
)
derive(
    slice_,
    self=lambda grad, self_sizes, dim, start, end, step: torch.slice_backward(
        grad, self_sizes, dim, start, end, step
    ),
)


@operator(
    "slice_backward(Tensor grad_output, int[] input_sizes, int dim, int? start, "
    "int? end, int step) -> Tensor",
    variants="function",
)
def slice_backward(grad_output, input_sizes, dim, start, end, step):
    """Zeros with the gradient in a slice."""
    made = grad_output.new_zeros(input_sizes)
    slice_(made, dim, start, end, step).copy_(grad_output)
    return made


derive(
    slice_backward,
    grad_output=lambda grad, dim, start, end, step: slice_(grad, dim, start, end, step),
)


@operator("narrow(Tensor(a) self, int dim, int start, int length) -> Tensor(a)")
def narrow(self, dim, start, length):
    """``length`` elements of a dim from ``start`` on."""
    if not (fits_int(dim) and fits_int(length)) or not (
        hasattr(start, "_keys") or fits_int(start)
    ):
        from dispatchtorch.signatures import raise_mismatch

        raise_mismatch(packets["narrow"], "function", (self, dim, start, length), {})
    if hasattr(start, "_keys"):
        if start.ndim or start.dtype.category != dtypes.INT:
            raise RuntimeError("start must be an 0-dim integral Tensor.")
        start = start.item()
    if self.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    size = self._shape[wrap_dim(dim, self.ndim)]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got "
            f"{start})"
        )
    if start < 0:
        start += size
    if start + length > size:
        raise RuntimeError(
            f"start ({start}) + length ({length}) exceeds dimension size ({size})."
        )
    return slice_(self, dim, start, start + length, 1)


def _unsqueeze(shape, strides, offset, dim) -> Layout:
    """A new dim of size 1."""
    dim = wrap_dim(dim, len(shape) + 1)
    step = shape[dim] * strides[dim] if dim < len(shape) else 1
    return (
        (*shape[:dim], 1, *shape[dim:]),
        (*strides[:dim], step, *strides[dim:]),
        offset,
    )


unsqueeze = _view("unsqueeze(Tensor(a) self, int dim) -> Tensor(a)", _unsqueeze)
derive(unsqueeze, self=lambda grad, dim: grad.squeeze(dim))


def _squeeze(shape, strides, offset, dims=None) -> Layout:
    """Without the dims of size 1 (among those given)."""
    ndim = len(shape)
    among = range(ndim) if dims is None else (wrap_dims(dims, ndim) if ndim else ())
    kept = [i for i in range(ndim) if shape[i] != 1 or i not in among]
    return tuple([shape[i] for i in kept]), tuple([strides[i] for i in kept]), offset


squeeze = _view("squeeze(Tensor(a) self) -> Tensor(a)", _squeeze)
squeeze_dim = _view("squeeze.dim(Tensor(a) self, int dim) -> Tensor(a)", _squeeze)
squeeze_dims = _view("squeeze.dims(Tensor(a) self, int[] dim) -> Tensor(a)", _squeeze)
for _n, _op in enumerate((squeeze, squeeze_dim, squeeze_dims)):
    derive(
        _op,
        name_=f"SqueezeBackward{_n}",
        self=lambda grad, self_sizes: grad.reshape(self_sizes),
    )


def _diagonal(shape, strides, offset, at=0, dim1=0, dim2=1) -> Layout:
    """A diagonal of two dims, as a new last dim."""
    ndim = len(shape)
    a, b = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    if at >= 0:
        size = max(min(shape[a], shape[b] - at), 0)
        step = at * strides[b]
    else:
        size = max(min(shape[a] + at, shape[b]), 0)
        step = -at * strides[a]
    kept = [i for i in range(ndim) if i not in (a, b)]
    return (
        (*(shape[i] for i in kept), size),
        (*(strides[i] for i in kept), strides[a] + strides[b]),
        offset + (step if size else 0),
    )


diagonal = _view(
    "diagonal(Tensor(a) self, int offset=0, int dim1=0, int dim2=1) -> Tensor(a)",
    _diagonal,
)


@operator(
    "diagonal_backward(Tensor grad_output, int[] input_sizes, int offset, "
    "int dim1, int dim2) -> Tensor",
    variants="function",
)
def diagonal_backward(grad_output, input_sizes, offset, dim1, dim2):
    """Zeros with the gradient on a diagonal."""
    made = grad_output.new_zeros(input_sizes)
    made.diagonal(offset, dim1, dim2).copy_(grad_output)
    return made


derive(
    diagonal,
    self=lambda grad, self_sizes, offset, dim1, dim2: torch.diagonal_backward(
        grad, self_sizes, offset, dim1, dim2
    ),
)
derive(
    diagonal_backward,
    grad_output=lambda grad, offset, dim1, dim2: grad.diagonal(offset, dim1, dim2),
)


def _unfold(shape, strides, offset, dimension, size, step) -> Layout:
    """All windows of a dim, each in a new last dim."""
    ndim = len(shape)
    dim = wrap_dim(dimension, ndim)
    own = shape[dim] if ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > own:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {own} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    stride = strides[dim] if ndim else 1
    if ndim == 0:
        return (size,), (1,), offset
    count = (own - size) // step + 1
    return (
        (*shape[:dim], count, *shape[dim + 1 :], size),
        (*strides[:dim], stride * step, *strides[dim + 1 :], stride),
        offset,
    )


unfold = _view(
    "unfold(Tensor(a) self, int dimension, int size, int step) -> Tensor(a)",
    _unfold,
    "method",
)


def unfold_backward(grad, self_sizes, dimension, size, step):
    """Windows laid over each other, ``step`` apart, and added."""
    if not self_sizes:
        return grad.sum()
    dim = wrap_dim(dimension, len(self_sizes))
    count = grad._shape[dim]
    # Blocks of a step each: those at one place in the windows don't overlap.
    blocks = -(-size // step)
    if blocks * step > size:
        grad = torch.constant_pad_nd(grad, (0, blocks * step - size), 0)
    shape = list(self_sizes)
    shape[dim] = max(shape[dim], (count - 1 + blocks) * step)
    made = grad.new_zeros(shape)
    shape[dim] = count * step
    for i in range(blocks):
        part = grad.narrow(-1, i * step, step).movedim(-1, dim + 1).reshape(shape)
        made.narrow(dim, i * step, count * step).add_(part)
    return made.narrow(dim, 0, self_sizes[dim])


derive(unfold, self=unfold_backward)


def _alias(shape, strides, offset) -> Layout:
    """The same tensor as a view of itself."""
    return shape, strides, offset


alias = _view("alias(Tensor(a) self) -> Tensor(a)", _alias, "private")
derive(alias, self=lambda grad: grad)


@operator(
    "as_strided_scatter(Tensor self, Tensor src, int[] size, int[] stride, "
    "int? storage_offset=None) -> Tensor"
)
def as_strided_scatter(self, src, size, stride, storage_offset=None):
    """A copy in which a strided part is replaced."""
    made = with_gaps(self, whole=True)
    made.as_strided(size, stride, storage_offset).copy_(src)
    return made


def _scatter_rest(grad, src, size, stride, storage_offset):
    return grad.as_strided_scatter(
        grad.new_zeros(src._shape), size, stride, storage_offset
    )


derive(
    as_strided_scatter,
    self=_scatter_rest,
    src=lambda grad, size, stride, storage_offset: grad.as_strided(
        size, stride, storage_offset
    ),
)


@operator("sum_to_size(Tensor self, int[] size) -> Tensor", variants="method")
def sum_to_size(self, size):
    """Summed over the dims that a broadcast from ``size`` would repeat."""
    size = as_ints(size)
    if not size:
        return self.sum()
    lead = self.ndim - len(size)
    fits = lead >= 0 and all(
        n in (1, m) for n, m in zip(size, self._shape[lead:], strict=True)
    )
    if not fits:
        raise RuntimeError(
            f"size {{{list(size)}}} is not expandable to size {{{list(self._shape)}}}."
        )
    return sum_to(self, size)
