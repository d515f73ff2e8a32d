"""The loopback backend: the required primitives, each NumPy's kernel behind the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from dispatchtorch_numpy import indexing, linalg, nn, pointwise, reduction, special

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend
from dispatchtorch.dispatch.operator import all_operators
from dispatchtorch_loopback.array import LoopbackArray

__all__ = ["backend_class"]


def backend_class(name: str) -> type[Backend]:
    """The backend class of a loopback device called ``name``."""
    return type(f"Loopback_{name}", (_Loopback,), {"device_type": name})


class _Loopback(Backend):
    array_type = LoopbackArray
    is_accelerator = False

    def __init__(self) -> None:
        super().__init__()
        primitives = {n for n, op in all_operators().items() if op.is_primitive}
        for family in (pointwise, reduction, indexing, linalg, nn, special):
            for name, (function, _) in family.kernels_for(np).items():
                if name in primitives and name not in _OWN:
                    self.add_kernel(name, _behind(function))
        for name, function in _OWN.items():
            self.add_kernel(name, function)

    def device_count(self) -> int:
        return 2

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> LoopbackArray:
        return _lift(np.array(array, order="C"), index)

    def to_host(self, array: LoopbackArray) -> np.ndarray[Any, Any]:
        return _lower(array).copy()

    def index(self, array: LoopbackArray) -> int:
        return array.index

    def root(self, array: LoopbackArray) -> LoopbackArray:
        memory = array._memory
        return LoopbackArray(memory, memory.shape, (1,), 0, array.dtype, array.index)

    def data_ptr(self, array: LoopbackArray) -> int:
        start = int(array._memory.__array_interface__["data"][0])
        return start + array.offset * array.dtype.itemsize

    def device_name(self, index: int) -> str:
        return f"loopback to host memory {index}"


def _lift(array: np.ndarray[Any, Any], index: int) -> LoopbackArray:
    """Host values as a loopback array with memory of its own."""
    flat = np.array(array, order="C").reshape(-1)
    steps, step = [], 1
    for size in reversed(array.shape):
        steps.append(step)
        step *= max(size, 1)
    found = dtypes.from_host_dtype(array.dtype)
    return LoopbackArray(flat, array.shape, tuple(reversed(steps)), 0, found, index)


def _lower(array: LoopbackArray) -> np.ndarray[Any, Any]:
    """The memory that a loopback array shows, as a NumPy view."""
    memory = array._memory
    size = memory.itemsize
    return np.lib.stride_tricks.as_strided(
        memory[min(array.offset, memory.size) :],
        array.shape,
        tuple(s * size for s in array.strides),
    )


def _behind(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy kernel that takes and gives loopback arrays."""

    def lower(value: Any) -> Any:
        if type(value) is LoopbackArray:
            return _lower(value)
        return [lower(each) for each in value] if type(value) is list else value

    def kernel(*args: Any) -> Any:
        indices = [a.index for a in args if type(a) is LoopbackArray]
        indices += [
            a.index
            for each in args
            if type(each) is list
            for a in each
            if type(a) is LoopbackArray
        ]
        index = indices[0] if indices else 0
        with np.errstate(all="ignore"):
            result = function(*[lower(each) for each in args])
        if isinstance(result, tuple):
            return tuple(_lift(np.asarray(each), index) for each in result)
        if isinstance(result, (np.ndarray, np.generic)):
            return _lift(np.asarray(result), index)
        return result

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


def as_strided(
    x: LoopbackArray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> LoopbackArray:
    return LoopbackArray(
        x._memory, tuple(shape), tuple(strides), offset, x.dtype, x.index
    )


def copy_(target: LoopbackArray, source: LoopbackArray) -> None:
    values = _lower(source)
    if source.dtype is not target.dtype:
        with np.errstate(all="ignore"):
            values = pointwise.astype(np, values, target.dtype.host)
    elif source._memory is target._memory:
        values = values.copy()
    _lower(target)[...] = values


def view_dtype(x: LoopbackArray, dtype: dtypes.dtype) -> LoopbackArray:
    """The same bytes as another dtype, offsets and strides in its elements."""
    old, new = x.dtype.itemsize, dtype.itemsize
    memory = x._memory[: x._memory.nbytes // new * new // old].view(dtype.host)
    if old == new:
        return LoopbackArray(memory, x.shape, x.strides, x.offset, dtype, x.index)
    shape = (*x.shape[:-1], x.shape[-1] * old // new)
    strides = (*(s * old // new for s in x.strides[:-1]), 1)
    return LoopbackArray(memory, shape, strides, x.offset * old // new, dtype, x.index)


_OWN: dict[str, Callable[..., Any]] = {
    "as_strided": as_strided,
    "copy_": copy_,
    "_view_dtype": view_dtype,
}
