"""The device ``example``: its memory, and its kernels.

This works as it is, on host memory: everything without a kernel here runs on ``cpu``, and
is counted. Put your device's memory in place of the ``bytearray``, then add kernels;
``dispatchtorch coverage --device example`` says which to write next. What a kernel gets and
gives is described in ``dispatchtorch/backend.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend

__all__ = ["ExampleArray", "ExampleBackend"]


class ExampleArray:
    """A strided window on a piece of memory (strides and offset in elements)."""

    __slots__ = ("dtype", "index", "memory", "offset", "shape", "strides")

    def __init__(
        self,
        memory: bytearray,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        dtype: dtypes.dtype,
        index: int,
    ) -> None:
        self.memory = memory
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.dtype = dtype
        self.index = index


class ExampleBackend(Backend):
    """``example``."""

    device_type = "example"
    array_type = ExampleArray
    # dtypes = frozenset({dtypes.float32, dtypes.int64, dtypes.bool}); None means all.

    def __init__(self) -> None:
        super().__init__()
        self.version = "0.1.0"
        for name, function in KERNELS.items():
            self.add_kernel(name, function)

    def is_available(self) -> bool:
        return True

    def unavailable_reason(self) -> str:
        return "say here what is missing, and how to get it"

    def device_name(self, index: int) -> str:
        return f"example device {index}"

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> ExampleArray:
        dtype = dtypes.from_host_dtype(array.dtype)
        made = self.empty(array.shape, dtype, index)
        made.memory[:] = np.ascontiguousarray(array).tobytes()
        return made

    def to_host(self, array: ExampleArray) -> np.ndarray[Any, Any]:
        return _window(array).copy()

    def empty(
        self, shape: tuple[int, ...], dtype: dtypes.dtype, index: int
    ) -> ExampleArray:
        memory = bytearray(math.prod(shape) * dtype.itemsize)
        return ExampleArray(memory, tuple(shape), _dense(shape), 0, dtype, index)

    def index(self, array: ExampleArray) -> int:
        return array.index

    def root(self, array: ExampleArray) -> ExampleArray:
        size = len(array.memory) // array.dtype.itemsize
        return as_strided(array, (size,), (1,), 0)

    def data_ptr(self, array: ExampleArray) -> int:
        return id(array.memory) + array.offset * array.dtype.itemsize


def _dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array whose elements lie in order."""
    sizes = [max(size, 1) for size in shape]
    return tuple(math.prod(sizes[d + 1 :]) for d in range(len(sizes)))


def _window(array: ExampleArray) -> np.ndarray[Any, Any]:
    """What an array shows, as NumPy sees it: for memory that the host can reach."""
    size, host = array.dtype.itemsize, array.dtype.host
    if 0 in array.shape:
        return np.empty(array.shape, host)
    steps = tuple(s * size for s in array.strides)
    return np.ndarray(array.shape, host, array.memory, array.offset * size, steps)


# Kernels: functions over native arrays. A device needs these three, for views, for writes,
# and to read memory as another dtype; with them, all else can run on the host.


def as_strided(
    x: ExampleArray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> ExampleArray:
    """Another window on the same memory."""
    shape, strides = tuple(shape), tuple(strides)
    return ExampleArray(x.memory, shape, strides, offset, x.dtype, x.index)


def copy_(target: ExampleArray, source: ExampleArray) -> None:
    """Writes ``source``, of the same shape, to ``target``; casts."""
    from dispatchtorch_numpy.pointwise import astype

    values = _window(source)
    if source.memory is target.memory:
        values = values.copy()
    if source.dtype is not target.dtype:
        with np.errstate(all="ignore"):
            values = astype(np, values, target.dtype.host)
    _window(target)[...] = values


def view_dtype(x: ExampleArray, dtype: dtypes.dtype) -> ExampleArray:
    """The same bytes as another dtype, offset and strides in its elements."""
    old, new = x.dtype.itemsize, dtype.itemsize
    shape, strides = x.shape, x.strides
    if old != new:
        shape = (*shape[:-1], shape[-1] * old // new)
        strides = (*(s * old // new for s in strides[:-1]), 1)
    return ExampleArray(x.memory, shape, strides, x.offset * old // new, dtype, x.index)


def neg(x: ExampleArray) -> Any:
    """An example of a kernel that computes; it leaves dtypes but floats to the host."""
    if x.dtype not in (dtypes.float32, dtypes.float64):
        return NotImplemented  # the next candidate is tried
    memory = bytearray(np.negative(_window(x)).tobytes())
    return ExampleArray(memory, x.shape, _dense(x.shape), 0, x.dtype, x.index)


KERNELS: dict[str, Callable[..., Any]] = {
    "as_strided": as_strided,
    "copy_": copy_,
    "_view_dtype": view_dtype,
    "neg": neg,
}
