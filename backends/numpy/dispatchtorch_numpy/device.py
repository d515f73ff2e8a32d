"""The NumPy backend: memory, layout, and the kernels of all families."""

from __future__ import annotations

import contextvars
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend
from dispatchtorch_numpy import (
    _layout,
    fft,
    fused,
    indexing,
    linalg,
    nn,
    optim,
    ordering,
    pointwise,
    reduction,
    special,
)

__all__ = ["NumpyBackend", "XpBackend"]

_FROM_HOST = dtypes._BY_HOST
from_host_dtype = dtypes.from_host_dtype


_PLAIN_FLOATS = (dtypes.float32, dtypes.float64)


class _Bits(dict[Any, int]):
    """Bits of keysets by NumPy dtype, filled as dtypes are met."""

    def __missing__(self, dtype: Any) -> int:
        bit = self[dtype] = from_host_dtype(dtype).bit
        return bit


class XpBackend(Backend):
    """What devices on NumPy-like array libraries share.

    A subclass sets ``xp`` (the array module) and ``array_type``, and moves memory.
    """

    xp: Any = None
    checks_broadcast = True
    dtype_bits = _Bits()

    def __init__(self) -> None:
        super().__init__()
        for family in (
            pointwise,
            reduction,
            indexing,
            linalg,
            nn,
            optim,
            special,
            fft,
            fused,
            ordering,
        ):
            for name, (function, out) in family.kernels_for(self.xp).items():
                self.add_kernel(name, function, out=out)

    def empty(self, shape: tuple[int, ...], dtype: dtypes.dtype, index: int) -> Any:
        return self.xp.empty(shape, dtype.host)

    def cast(self, array: Any, dtype: dtypes.dtype) -> Any:
        return pointwise.astype(self.xp, array, dtype.host)

    def strides(self, array: Any) -> tuple[int, ...]:
        size = array.itemsize
        if not array.size and not any(array.strides):  # a new array without elements
            return _row_major(array.shape)
        return tuple([s // size for s in array.strides])

    def dtype(self, array: Any) -> dtypes.dtype:
        found = _FROM_HOST.get(array.dtype)
        return found if found is not None else from_host_dtype(array.dtype)

    def coerce(self, value: Any, dtype: dtypes.dtype | None) -> Any:
        if isinstance(value, np.generic):
            return self.xp.asarray(value)
        return super().coerce(value, dtype)


class NumpyBackend(XpBackend):
    """``cpu``: host arrays are native arrays."""

    device_type = "cpu"
    array_type = np.ndarray
    is_host = True
    indexed = False
    xp = np
    arrange = staticmethod(_layout.arranged)

    def __init__(self) -> None:
        super().__init__()
        self.version = f"NumPy {np.__version__}"
        self.guard = _quiet()
        self._generator: Any = None

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Any:
        return array

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        return array  # type: ignore[no-any-return]

    def empty(self, shape: tuple[int, ...], dtype: dtypes.dtype, index: int) -> Any:
        return np.empty(shape, dtype.host)

    def scalar(self, value: Any, dtype: dtypes.dtype, index: int) -> Any:
        if dtype in _PLAIN_FLOATS and type(value) in (int, float):
            try:
                return np.array(value, dtype.host)
            except OverflowError:
                pass
        return super().scalar(value, dtype, index)

    def data_ptr(self, array: Any) -> int:
        return int(array.__array_interface__["data"][0]) if array.size else 0

    def offset(self, array: Any) -> int:
        root = self.root_array(array)
        if root is array:
            return 0
        distance = _address(array) - _address(root)
        return distance // array.itemsize

    @staticmethod
    def root_array(array: Any) -> Any:
        """The array that owns (or was handed) the memory that ``array`` views."""
        base = array.base
        while type(base) is np.ndarray:
            array = base
            base = array.base
        return array

    def root(self, array: Any) -> Any:
        root = self.root_array(array)
        flat = indexing.flat_memory(root)
        return flat.view(array.dtype) if flat.dtype != array.dtype else flat

    def device_name(self, index: int) -> str:
        import platform

        return platform.processor() or platform.machine()

    def namespace(self) -> dict[str, Any]:
        from dispatchtorch_numpy.namespace import names

        return names()

    def generator(self, index: int) -> Any:
        if self._generator is None:
            from dispatchtorch_numpy.random import CPUGenerator

            self._generator = CPUGenerator()
        return self._generator


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps, step = [], 1
    for size in reversed(shape):
        steps.append(step)
        step *= max(size, 1)
    return tuple(reversed(steps))


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _quiet() -> contextvars.Context:
    """A context in which NumPy is silent about overflow and division by zero.

    Running a function in it costs a twentieth of ``with np.errstate(…)``.
    """
    with np.errstate(all="ignore"):
        return contextvars.copy_context()
