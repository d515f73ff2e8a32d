"""Factories: tensors made from sizes and numbers."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import resolve_device
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


def check_size(size: Any) -> tuple[int, ...]:
    """The ints of a size; errors in PyTorch's words."""
    shape = as_ints(size)
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return shape


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
    return t.requires_grad_() if requires_grad else t


@operator(
    f"empty(int[] size, {_OPTIONS}, MemoryFormat? memory_format=None) -> Tensor",
    tags="factory out",
    variants="function",
)
def empty(size, *, dtype, layout, device, pin_memory, requires_grad, memory_format):
    """A tensor of undefined values."""
    check_layout(layout)
    shape = check_size(size)
    backend, index = resolve_device(device)
    made = wrap(backend.empty(shape, as_dtype(dtype), index), backend)
    if memory_format is not None:
        strides = torch_memory_format_strides(shape, memory_format)
        if strides is not None:
            made = made.as_strided(shape, strides)
            made._base = None
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
    shape, strides = check_size(size), as_ints(stride)
    if len(shape) != len(strides):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of "
            f"strides ({len(strides)})"
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
    made = torch.empty(
        size, dtype=full_dtype(fill_value, dtype), layout=layout, device=device
    )
    return finish(made.fill_(fill_value), requires_grad)


@operator(
    f"zeros(int[] size, {_OPTIONS}) -> Tensor", tags="factory out", variants="function"
)
def zeros(size, *, dtype, layout, device, pin_memory, requires_grad):
    """A tensor of zeros."""
    made = torch.empty(size, dtype=dtype, layout=layout, device=device)
    return finish(made.fill_(0), requires_grad)


@operator(
    f"ones(int[] size, {_OPTIONS}) -> Tensor", tags="factory out", variants="function"
)
def ones(size, *, dtype, layout, device, pin_memory, requires_grad):
    """A tensor of ones."""
    made = torch.empty(size, dtype=dtype, layout=layout, device=device)
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
        return _inferred_strides(shape, strides)
    result = tuple(made)
    return None if result == contiguous_strides(shape) else result


def _inferred_strides(
    shape: tuple[int, ...], strides: tuple[int, ...]
) -> tuple[int, ...] | None:
    """As PyTorch infers dense strides: an insertion sort in which stride 0 is neutral."""
    perm = list(range(len(shape) - 1, -1, -1))

    def swap_needed(a: int, b: int) -> int:
        if strides[a] == 0 or strides[b] == 0:
            return 0
        if strides[a] != strides[b]:
            return -1 if strides[a] < strides[b] else 1
        return 1 if shape[a] > shape[b] else 0

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


def _range_dtype(values: tuple[Any, ...], dtype: Any) -> dtypes.dtype:
    if dtype is not None:
        return as_dtype(dtype)
    if any(
        isinstance(v, float) or (hasattr(v, "_keys") and v.is_floating_point())
        for v in values
    ):
        return dtypes.get_default_dtype()
    return dtypes.int64


def _arange(start, end, step, dtype, layout, device, pin_memory, requires_grad):
    import numpy as np

    found = _range_dtype((start, end, step), dtype)
    if dtype is None or not found.is_floating_point:
        start, end, step = (_number(v) for v in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(map(math.isfinite, (start, end))):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if end != start and (end > start) != (step > 0):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if found.is_floating_point:
        size = math.ceil((end - start) / step)
        wide = np.arange(size, dtype=np.float64) * step + start
    else:
        start, step = int(start), int(step)
        size = (
            math.ceil((end - start) / step)
            if isinstance(end, float)
            else -(-(int(end) - start) // step)
        )
        wide = np.arange(size, dtype=np.int64) * step + start
    return from_host(wide, found, device, requires_grad)


def _number(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def from_host(array: Any, dtype: dtypes.dtype, device: Any, requires_grad: bool) -> Any:
    """A tensor on a device with a host array's values in ``dtype``."""
    backend, index = resolve_device(device)
    if array.dtype != dtype.host:
        array = array.astype(dtype.host)
    return finish(wrap(backend.from_host(array, index), backend), requires_grad)


@operator(
    f"arange(Scalar end, {_OPTIONS}) -> Tensor", tags="factory out", variants="function"
)
def arange(end, *, dtype, layout, device, pin_memory, requires_grad):
    """The numbers 0, 1, … below ``end``."""
    return _arange(0, end, 1, dtype, layout, device, pin_memory, requires_grad)


@operator(
    f"arange.start(Scalar start, Scalar end, Scalar step=1, {_OPTIONS}) -> Tensor",
    tags="factory out",
    variants="function",
)
def arange_start(start, end, step, *, dtype, layout, device, pin_memory, requires_grad):
    """The numbers start, start + step, … before ``end``."""
    return _arange(start, end, step, dtype, layout, device, pin_memory, requires_grad)


@operator(
    f"linspace(Scalar start, Scalar end, int steps, {_OPTIONS}) -> Tensor",
    tags="factory out",
    variants="function",
)
def linspace(start, end, steps, *, dtype, layout, device, pin_memory, requires_grad):
    """``steps`` numbers evenly spaced from ``start`` to ``end``, both included."""
    import numpy as np

    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    start, end = _number(start), _number(end)
    found = full_dtype(0j if complex in (type(start), type(end)) else 0.0, dtype)
    work = found.host if found.category > 1 and found.itemsize > 2 else np.float64
    step = work_type(work, (end - start) / (steps - 1)) if steps > 1 else 0
    index = np.arange(steps)
    first = work_type(work, start)
    last = work_type(work, end)
    # From both ends, so that the last value is exact.
    values = (
        np.where(
            index < steps // 2, first + step * index, last - step * (steps - 1 - index)
        )
        if steps > 1
        else np.full(steps, first)
    )
    return from_host(np.asarray(values).astype(work), found, device, requires_grad)


def work_type(host: Any, value: Any) -> Any:
    import numpy as np

    return np.dtype(host).type(value)


@operator(
    f"logspace(Scalar start, Scalar end, int steps, float base=10.0, {_OPTIONS}) -> "
    "Tensor",
    tags="factory out",
    variants="function",
)
def logspace(
    start, end, steps, base, *, dtype, layout, device, pin_memory, requires_grad
):
    """Powers of ``base`` whose exponents are evenly spaced."""
    found = full_dtype(0.0, dtype)
    exponents = torch.linspace(start, end, steps, dtype=torch.float64, device=device)
    made = torch.pow(
        torch.full((), base, dtype=torch.float64, device=device), exponents
    )
    return finish(made.to(found), requires_grad)


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
    arange, arange_start, linspace, logspace, eye, scalar_tensor,
)  # fmt: skip
