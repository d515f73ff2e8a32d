"""Factories: tensors made from sizes and numbers."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import current_accelerator, resolve_device
from dispatchtorch.dispatch.codegen import fits_scalar
from dispatchtorch.dispatch.derivative import nondifferentiable
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import as_ints, contiguous_strides, torch
from dispatchtorch.tensor import Tensor, wrap

_OPTIONS = (
    "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
    "bool? pin_memory=None, bool requires_grad=False"
)
_LIKE = (
    "*, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
    "bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None"
)


def check_size(size: Any, name: str = "empty") -> tuple[int, ...]:
    """The ints of a size; errors in PyTorch's words."""
    if type(size) is not tuple:
        size = _listed(size, name)
    try:
        shape = as_ints(size)
    except AttributeError:
        at, wrong = next(
            (i, v) for i, v in enumerate(size) if not hasattr(v, "__index__")
        )
        if not at and len(size) == 1:
            raise _no_size(wrong, name) from None
        raise TypeError(
            f"{name}(): argument 'size' failed to unpack the object at pos {at + 1} with "
            f'error "type must be tuple of ints,but got {type(wrong).__name__}"'
        ) from None
    for n in shape:
        if n < 0:
            if name == "zeros":
                raise RuntimeError("zeros: Dimension size must be non-negative.")
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


def _listed(size: Any, name: str) -> Any:
    if isinstance(size, (list, tuple)):
        return size
    if hasattr(size, "__index__") and not isinstance(size, bool):
        return (size,)
    raise _no_size(size, name)


def _no_size(size: Any, name: str) -> TypeError:
    return TypeError(
        f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
        f"{type(size).__name__}"
    )


def as_dtype(dtype: Any) -> dtypes.dtype:
    """A dtype argument; Python's types stand for dtypes as in PyTorch."""
    if type(dtype) is dtypes.dtype:
        return dtype
    if dtype is None:
        return dtypes.get_default_dtype()
    if dtype is float:
        return dtypes.float64
    if dtype is int:
        return dtypes.int64
    if dtype is bool:
        return dtypes.bool
    if dtype is complex:
        return dtypes.complex128
    raise TypeError(f"dtype must be a torch.dtype, not {type(dtype).__name__}")


def check_layout(layout: Any) -> None:
    if layout is not None and str(layout) != "torch.strided":
        raise NotImplementedError(f"factories of layout {layout} aren't supported")


def finish(t: Tensor, requires_grad: bool) -> Tensor:
    """A new tensor as its maker gets it: never written to, as far as versions say."""
    t._ver = None
    if not requires_grad:
        return t
    if not t._keys & dtypes.DIFFERENTIABLE_MASK:
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients"
        )
    return t.requires_grad_()


def check_pinned(pin_memory: Any) -> None:
    """RuntimeError where pinned memory is asked for and no accelerator is there."""
    if pin_memory:
        try:
            current_accelerator()
        except RuntimeError:
            raise RuntimeError(
                "pin_memory=True requires a CUDA or other accelerator backend; no pinned "
                "memory allocator is available on this system."
            ) from None


@operator(
    f"empty(int[] size, {_OPTIONS}, MemoryFormat? memory_format=None) -> Tensor",
    tags="factory out",
    variants="function",
)
def empty(size, *, dtype, layout, device, pin_memory, requires_grad, memory_format):
    """A tensor of undefined values."""
    check_layout(layout)
    check_pinned(pin_memory)
    shape = check_size(size)
    backend, index = resolve_device(device)
    made = wrap(backend.empty(shape, as_dtype(dtype), index), backend)
    if memory_format is not None:
        strides = torch_memory_format_strides(shape, memory_format)
        if strides is not None:
            made = made.as_strided(shape, strides)
            made._base = None
    if pin_memory:
        made = made.pin_memory()
    return finish(made, requires_grad)


def torch_memory_format_strides(
    shape: tuple[int, ...], memory_format: Any
) -> tuple[int, ...] | None:
    """The strides of a memory format; None for the row-major ones."""
    name = str(memory_format)
    if name.endswith("channels_last"):
        if len(shape) != 4:
            raise RuntimeError("required rank 4 tensor to use channels_last format")
    elif name.endswith("channels_last_3d"):
        if len(shape) != 5:
            raise RuntimeError("required rank 5 tensor to use channels_last_3d format")
    elif name.endswith("preserve_format"):
        raise RuntimeError("unsupported memory format Preserve")
    else:
        return None
    n, c, *spatial = shape
    inner = contiguous_strides((n, *spatial, c))
    return (inner[0], inner[-1], *inner[1:-1])


@operator(
    f"empty_strided(int[] size, int[] stride, {_OPTIONS}) -> Tensor",
    tags="factory",
    variants="function",
)
def empty_strided(size, stride, *, dtype, layout, device, pin_memory, requires_grad):
    """A tensor of undefined values with given strides."""
    shape, strides = check_size(size, "empty_strided"), as_ints(stride)
    if len(shape) != len(strides):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of "
            f"strides ({len(strides)})"
        )
    if any(s < 0 for s in strides):
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and "
            f"strides={list(strides)}"
        )
    span = (
        0
        if 0 in shape
        else 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    )
    memory = torch.empty((span,), dtype=dtype, device=device)
    made = memory.as_strided(shape, strides)
    made._base = None
    made._keys = memory._keys
    return finish(made, requires_grad)


@operator(
    f"empty_permuted(int[] size, int[] physical_layout, {_OPTIONS}) -> Tensor",
    tags="factory",
    variants="function",
)
def empty_permuted(
    size, physical_layout, *, dtype, layout, device, pin_memory, requires_grad
):
    """A tensor of undefined values whose dims lie in memory in a given order."""
    shape, order = check_size(size, "empty_permuted"), as_ints(physical_layout)
    if len(shape) != len(order):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the "
            f"physical_layout; i.e. len(size) = {len(shape)} is not equal to "
            f"len(physical_layout) = {len(order)}"
        )
    for i, dim in enumerate(order):
        if not 0 <= dim < len(shape):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, "
                f"but got {dim} at index {i}).  NB: negative dims not currently "
                "supported; file an issue if you want it."
            )
        if dim in order[:i]:
            raise RuntimeError("Duplicate dim not allowed")
    dense = contiguous_strides([shape[d] for d in order])
    strides = [0] * len(shape)
    for dim, step in zip(order, dense, strict=True):
        strides[dim] = step
    return torch.empty_strided(
        shape,
        strides,
        dtype=dtype,
        layout=layout,
        device=device,
        pin_memory=pin_memory,
        requires_grad=requires_grad,
    )


def full_dtype(value: Any, dtype: Any) -> dtypes.dtype:
    if dtype is not None:
        return as_dtype(dtype)
    if hasattr(value, "_keys"):
        return value.dtype
    if isinstance(value, bool):
        return dtypes.bool
    if isinstance(value, int):
        return dtypes.int64
    default = dtypes.get_default_dtype()
    return default.to_complex() if isinstance(value, complex) else default


@operator(
    f"full(int[] size, Scalar fill_value, {_OPTIONS}) -> Tensor",
    tags="factory out",
    variants="function",
)
def full(size, fill_value, *, dtype, layout, device, pin_memory, requires_grad):
    """A tensor filled with one number."""
    if not isinstance(size, (tuple, list)):
        raise TypeError(
            "full(): argument 'size' (position 1) must be tuple of ints, not "
            f"{type(size).__name__}"
        )
    if not fits_scalar(fill_value, "Scalar"):
        raise TypeError(
            "full(): argument 'fill_value' (position 2) must be Number, not "
            f"{type(fill_value).__name__}"
        )
    made = torch.empty(
        size,
        dtype=full_dtype(fill_value, dtype),
        layout=layout,
        device=device,
        pin_memory=pin_memory,
    )
    return finish(made.fill_(fill_value), requires_grad)


@operator(
    f"zeros(int[] size, {_OPTIONS}) -> Tensor", tags="factory out", variants="function"
)
def zeros(size, *, dtype, layout, device, pin_memory, requires_grad):
    """A tensor of zeros."""
    size = check_size(size, "zeros")
    made = torch.empty(
        size, dtype=dtype, layout=layout, device=device, pin_memory=pin_memory
    )
    return finish(made.fill_(0), requires_grad)


@operator(
    f"ones(int[] size, {_OPTIONS}) -> Tensor", tags="factory out", variants="function"
)
def ones(size, *, dtype, layout, device, pin_memory, requires_grad):
    """A tensor of ones."""
    size = check_size(size, "ones")
    made = torch.empty(
        size, dtype=dtype, layout=layout, device=device, pin_memory=pin_memory
    )
    return finish(made.fill_(1), requires_grad)


@operator(f"empty_like(Tensor self, {_LIKE}) -> Tensor", variants="function")
def empty_like(
    self, *, dtype, layout, device, pin_memory, requires_grad, memory_format
):
    """A tensor of undefined values, in the shape and memory order of another."""
    dtype = self.dtype if dtype is None else as_dtype(dtype)
    device = self.device if device is None else device
    shape = self._shape
    name = "torch.preserve_format" if memory_format is None else str(memory_format)
    if name == "torch.preserve_format":
        strides = preserved_strides(self)
        if strides is not None:
            made = torch.empty_strided(shape, strides, dtype=dtype, device=device)
            return finish(made, requires_grad)
        memory_format = None
    made = torch.empty(shape, dtype=dtype, device=device, memory_format=memory_format)
    return finish(made, requires_grad)


def preserved_strides(t: Tensor) -> tuple[int, ...] | None:
    """The strides of a copy that keeps the order of dims in memory; None: row-major.

    Dense tensors keep their strides; others keep the order of their dims.
    """
    backend = t._backend
    shape, strides = t._shape, backend.strides(t._data)
    if strides == contiguous_strides(shape) or 0 in shape or len(shape) < 2:
        return None
    order = sorted(range(len(shape)), key=lambda i: (-strides[i], -shape[i]))
    made = [0] * len(shape)
    step = 1
    dense = True
    for i in reversed(order):
        made[i] = step
        dense = dense and (shape[i] == 1 or strides[i] == step)
        step *= shape[i]
    if dense:
        return strides
    if any(s == 0 and n > 1 for s, n in zip(strides, shape, strict=True)):
        return inferred_strides(shape, strides)
    result = tuple(made)
    return None if result == contiguous_strides(shape) else result


def inferred_strides(
    shape: tuple[int, ...], *operands: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The strides of a result in the memory order of its operands; None: row-major.

    As PyTorch does it: an insertion sort of the dims by the strides of the first operand
    that tells two dims apart, in which stride 0 is neutral.
    """
    perm = list(range(len(shape) - 1, -1, -1))

    def swap_needed(a: int, b: int) -> int:
        for strides in operands:
            if strides[a] == 0 or strides[b] == 0:
                continue
            if strides[a] != strides[b]:
                return -1 if strides[a] < strides[b] else 1
            if shape[a] > shape[b]:
                return 1
        return 0

    for i in range(1, len(perm)):
        at = i
        for other in range(i - 1, -1, -1):
            order = swap_needed(perm[other], perm[at])
            if order > 0:
                perm[other], perm[at] = perm[at], perm[other]
                at = other
            elif order < 0:
                break
    made = [0] * len(shape)
    step = 1
    for i in perm:
        made[i] = step
        step *= shape[i]
    result = tuple(made)
    return None if result == contiguous_strides(shape) else result


def _like(fill: Any) -> Any:
    def body(self, *, dtype, layout, device, pin_memory, requires_grad, memory_format):
        made = torch.empty_like(
            self, dtype=dtype, layout=layout, device=device, memory_format=memory_format
        )
        return finish(made.fill_(fill), requires_grad)

    return body


zeros_like = operator(
    f"zeros_like(Tensor self, {_LIKE}) -> Tensor", variants="function"
)(_like(0))
ones_like = operator(f"ones_like(Tensor self, {_LIKE}) -> Tensor", variants="function")(
    _like(1)
)


@operator(
    f"full_like(Tensor self, Scalar fill_value, {_LIKE}) -> Tensor", variants="function"
)
def full_like(
    self, fill_value, *, dtype, layout, device, pin_memory, requires_grad, memory_format
):
    """A tensor filled with one number, in the shape of another."""
    made = torch.empty_like(
        self, dtype=dtype, layout=layout, device=device, memory_format=memory_format
    )
    return finish(made.fill_(fill_value), requires_grad)


def _new(name: str, schema: str) -> Any:
    def body(self, size, *rest, dtype, layout, device, pin_memory, requires_grad):
        make = getattr(torch, name)
        return make(
            size,
            *rest,
            dtype=self.dtype if dtype is None else dtype,
            device=self.device if device is None else device,
            requires_grad=requires_grad,
        )

    def declared(self, size, dtype, layout, device, pin_memory, requires_grad):
        return body(
            self,
            size,
            dtype=dtype,
            layout=layout,
            device=device,
            pin_memory=pin_memory,
            requires_grad=requires_grad,
        )

    def declared_with(
        self, size, more, dtype, layout, device, pin_memory, requires_grad
    ):
        return body(
            self,
            size,
            more,
            dtype=dtype,
            layout=layout,
            device=device,
            pin_memory=pin_memory,
            requires_grad=requires_grad,
        )

    chosen = declared_with if schema else declared
    return operator(
        f"new_{name}(Tensor self, int[] size{schema}, {_OPTIONS}) -> Tensor",
        variants="method",
    )(chosen)


new_empty = _new("empty", "")
new_zeros = _new("zeros", "")
new_ones = _new("ones", "")
new_full = _new("full", ", Scalar fill_value")
new_empty_strided = _new("empty_strided", ", int[] stride")


def from_host(array: Any, dtype: dtypes.dtype, device: Any, requires_grad: bool) -> Any:
    """A tensor on a device with a host array's values in ``dtype``."""
    backend, index = resolve_device(device)
    if array.dtype != dtype.host:
        array = array.astype(dtype.host)
    return finish(wrap(backend.from_host(array, index), backend), requires_grad)


@operator(
    f"eye(int n, int? m=None, {_OPTIONS}) -> Tensor",
    tags="factory out",
    variants="function",
)
def eye(n, m, *, dtype, layout, device, pin_memory, requires_grad):
    """The identity matrix of n rows and m columns."""
    m = n if m is None else m
    for label, value in (("n", n), ("m", m)):
        if value < 0:
            raise RuntimeError(f"{label} must be greater or equal to 0, got {value}")
    made = torch.zeros((n, m), dtype=dtype, device=device)
    made.as_strided((min(n, m),), (m + 1,)).fill_(1)
    return finish(made, requires_grad)


@operator(
    f"scalar_tensor(Scalar s, {_OPTIONS}) -> Tensor",
    tags="factory",
    variants="function",
)
def scalar_tensor(s, *, dtype, layout, device, pin_memory, requires_grad):
    """A 0-d tensor of a number, in the default dtype."""
    return torch.full(
        (), s, dtype=as_dtype(dtype), device=device, requires_grad=requires_grad
    )


nondifferentiable(
    empty, empty_strided, full, zeros, ones, empty_like, zeros_like, ones_like,
    full_like, new_empty, new_zeros, new_ones, new_full, new_empty_strided,
    eye, scalar_tensor, empty_permuted,
)  # fmt: skip
