"""Windows on device memory: strided arrays at any place, and new ones in a given order.

Every array's ``data.mem`` is the allocation that it lies in, so that an array needs no
record of what it was made from.
"""

from __future__ import annotations

import math
from typing import Any

import cupy

from dispatchtorch.ops.creation import inferred_strides

__all__ = [
    "Array",
    "as_strided",
    "contiguous_strides",
    "empty_ordered",
    "is_capturing",
    "offset_of",
    "ordered_like",
    "strides_of",
    "whole",
]

Array = cupy.ndarray
_Pointer = cupy.cuda.MemoryPointer
_alloc = cupy.cuda.alloc


def as_strided(
    x: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> Any:
    """A window on an array's whole memory; strides and offset in its elements."""
    memory = x.data.mem
    size = x.itemsize
    return Array(
        shape,
        x.dtype,
        _Pointer(memory, offset * size if memory.ptr else 0),
        tuple([s * size for s in strides]),
    )


def is_capturing() -> bool:
    """Whether the current stream records a graph; then nothing may wait for it."""
    stream = cupy.cuda.get_current_stream()
    return stream.ptr > 2 and stream.is_capturing()  # type: ignore[no-any-return]


def offset_of(x: Any) -> int:
    """The place of an array's first element in its memory, in elements."""
    data = x.data
    return (data.ptr - data.mem.ptr) // x.itemsize  # type: ignore[no-any-return]


def whole(x: Any) -> Any:
    """An array's whole memory as a vector of its dtype."""
    memory = x.data.mem
    return Array((memory.size // x.itemsize,), x.dtype, _Pointer(memory, 0))


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides in elements, where dims without elements count as one."""
    steps, step = [], 1
    for size in reversed(shape):
        steps.append(step)
        step *= max(size, 1)
    return tuple(reversed(steps))


def strides_of(x: Any) -> tuple[int, ...]:
    """Strides in elements."""
    size = x.itemsize
    strides = x.strides
    if not x.size and not all(strides):  # CuPy's own for arrays without elements
        return contiguous_strides(x.shape)
    return tuple([s // size for s in strides])


def empty_ordered(
    shape: tuple[int, ...], dtype: Any, strides: tuple[int, ...] | None
) -> Any:
    """A new dense array whose memory has the order of the strides given (None: rows)."""
    if strides is None:
        return Array(shape, dtype)
    size = dtype.itemsize
    memory = _alloc(size * math.prod(shape))
    return Array(shape, dtype, memory, tuple([s * size for s in strides]))


def ordered_like(dtype: Any, shape: tuple[int, ...], *operands: Any) -> Any:
    """A new array for a pointwise result, in the memory order that PyTorch gives it."""
    rank = len(shape)
    steps = []
    for each in operands:
        missing = rank - each.ndim
        own = [
            0 if n == 1 != size else s
            for n, s, size in zip(
                each.shape, each.strides, shape[missing:], strict=True
            )
        ]
        steps.append((*[0] * missing, *own))
    if 0 in shape:
        return Array(shape, dtype)
    return empty_ordered(shape, dtype, inferred_strides(shape, *steps))
