"""Memory and indexing: views, copies, gather, scatter, index, index_put, nonzero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import Expression, elementwise
from dispatchtorch_opencl.array import (
    Memory,
    OpenCLArray,
    is_dense,
    made_like,
    size_of,
)

__all__ = ["as_strided", "contiguous", "copy_", "kernels_for"]


def as_strided(
    x: OpenCLArray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> OpenCLArray:
    return OpenCLArray(x.memory, tuple(shape), tuple(strides), offset, x.dtype)


def copy_(target: OpenCLArray, source: OpenCLArray) -> None:
    if source.memory is target.memory and source.memory.constant is None:
        same = source.strides == target.strides and source.offset == target.offset
        if same and source.dtype is target.dtype:
            return
        fresh = made_like(source, source.shape)
        copy_(fresh, source)
        source = fresh
    code = types.cast("x", source.dtype, target.dtype)
    name = f"copy:{source.dtype.name}:{target.dtype.name}"
    target.memory.buffer  # noqa: B018: a number that is written to is one no more
    elementwise(Expression(name, code), (source,), target.dtype, target)


def contiguous(x: OpenCLArray) -> OpenCLArray:
    """The array, or a row-major copy of it."""
    if is_dense(x.shape, x.strides) and x.memory.constant is None:
        return x
    made = made_like(x, x.shape)
    copy_(made, x)
    return made


def view_dtype(x: OpenCLArray, dtype: Any) -> Any:
    """The same bytes as another dtype, offsets and strides in its elements."""
    x.memory.buffer  # noqa: B018
    old, new = x.dtype.itemsize, dtype.itemsize
    if old == new:
        return OpenCLArray(x.memory, x.shape, x.strides, x.offset, dtype)
    shape = (*x.shape[:-1], x.shape[-1] * old // new)
    strides = (*[s * old // new for s in x.strides[:-1]], 1)
    return OpenCLArray(x.memory, shape, strides, x.offset * old // new, dtype)


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of memory and indexing."""

    def fill_(x: OpenCLArray, value: Any) -> Any:
        if isinstance(value, complex) and types.CLASS[x.dtype] != "c":
            return NotImplemented
        copy_(x, backend.scalar(value, x.dtype, 0))
        return None

    def clone(x: OpenCLArray, memory_format: Any) -> Any:
        if memory_format is not None or not is_dense(x.shape, x.strides):
            return NotImplemented
        made = made_like(x, x.shape)
        copy_(made, x)
        return made

    table: dict[str, Callable[..., Any]] = {
        "as_strided": as_strided,
        "copy_": copy_,
        "_view_dtype": view_dtype,
        "fill_.Scalar": fill_,
        "clone": clone,
    }
    return {name: (function, False) for name, function in table.items()}


_ = (Memory, size_of)
