"""A strided array over an OpenCL buffer, and the memory that arrays share."""

from __future__ import annotations

from typing import Any

from dispatchtorch.kernelgen.geometry import is_dense, row_major, size_of

__all__ = [
    "Memory",
    "OpenCLArray",
    "is_dense",
    "made_like",
    "number",
    "row_major",
    "size_of",
]


class Memory:
    """A buffer of a device's pool, or one number that needs none yet.

    Python numbers become arrays of one element; kernels take these by value, and a
    buffer is only made where somebody writes to one or lays a view over it.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_stored",
        "constant",
        "nbytes",
        "runtime",
        "users",
    )

    def __init__(
        self, runtime: Any, nbytes: int, constant: Any = None, stored: Any = None
    ) -> None:
        # A number in the dtype of the arithmetic, and as memory would hold it.
        self.runtime = runtime
        self.nbytes = nbytes
        self.constant = constant
        self._stored = stored
        self._buffer = None
        self.users: Any = None  # queues beside its own that kernels used it on
        if constant is None:
            self._buffer = runtime.allocate(nbytes)

    @property
    def buffer(self) -> Any:
        """The buffer; the constant is written to it first and then forgotten."""
        found = self._buffer
        if found is None:
            found = self.runtime.allocate(self.nbytes)
            self.runtime.upload(found, self._stored)
            self._buffer = found
            self.constant = None
        return found

    def __del__(self) -> None:
        if self._buffer is not None:
            self.runtime.release(self._buffer, self.nbytes, self.users)


class OpenCLArray:
    """A strided window on a memory (strides and offset in elements)."""

    __slots__ = ("dtype", "memory", "offset", "shape", "strides")

    def __init__(
        self,
        memory: Memory,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        dtype: Any,
    ) -> None:
        self.memory = memory
        self.shape = shape
        self.strides = strides
        self.offset = offset
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return size_of(self.shape)

    @property
    def runtime(self) -> Any:
        """The device that the memory lies on."""
        return self.memory.runtime

    def __repr__(self) -> str:
        return (
            f"<OpenCLArray {self.dtype.name} {self.shape} strides {self.strides} "
            f"offset {self.offset}>"
        )


def made_like(x: OpenCLArray, shape: tuple[int, ...], dtype: Any = None) -> OpenCLArray:
    """A new contiguous array on the device of another one."""
    dtype = x.dtype if dtype is None else dtype
    memory = Memory(x.memory.runtime, size_of(shape) * dtype.itemsize)
    return OpenCLArray(memory, shape, row_major(shape), 0, dtype)


def number(like: OpenCLArray, value: float) -> OpenCLArray:
    """A number in the type of the arithmetic, which half types don't round.

    For kernels' operands alone: it becomes no memory.
    """
    from dispatchtorch_opencl.types import compute_host

    dtype = like.dtype
    constant = compute_host(dtype).type(value)
    memory = Memory(like.memory.runtime, dtype.itemsize, constant)
    return OpenCLArray(memory, (), (), 0, dtype)
