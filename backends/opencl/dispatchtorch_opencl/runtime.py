"""One OpenCL device: context, queue, memory pool, compiled programs and launches."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyopencl as cl
from pyopencl.tools import ImmediateAllocator, MemoryPool

from dispatchtorch.errors import OutOfMemoryError

__all__ = ["Runtime", "find_devices"]

#: Elements that one work item of a CPU device takes at least.
_GRAIN = 1 << 14


def find_devices() -> list[cl.Device]:
    """The devices of the platform that DISPATCHTORCH_OPENCL_PLATFORM names, or of all.

    The variable is an index, or a part of the platform's name. GPUs come first.
    """
    platforms = cl.get_platforms()
    wanted = os.environ.get("DISPATCHTORCH_OPENCL_PLATFORM", "")
    if wanted:
        if wanted.isdecimal():
            platforms = platforms[int(wanted) : int(wanted) + 1]
        else:
            platforms = [p for p in platforms if wanted.lower() in p.name.lower()]
    found = [d for p in platforms for d in p.get_devices() if d.available]
    return sorted(found, key=lambda d: not d.type & cl.device_type.GPU)


class Runtime:
    """A device at work. One queue in order; kernels are compiled at first use."""

    def __init__(self, device: cl.Device, index: int) -> None:
        self.device = device
        self.index = index
        self.is_cpu = bool(device.type & cl.device_type.CPU)
        self.units = device.max_compute_units
        self.has_double = "cl_khr_fp64" in device.extensions
        self.context = cl.Context([device])
        self.queue = cl.CommandQueue(self.context)
        self.pool = MemoryPool(ImmediateAllocator(self.queue))
        self.lock = threading.RLock()
        #: What kernels of a family keep: kernels by signature, plans by geometry.
        self.cache: dict[Any, Any] = {}
        self.allocated = self.max_allocated = 0
        self.programs = 0
        self.compile_seconds = 0.0
        self._pending: list[tuple[Any, Any]] = []
        self._flag: Any = None

    # Memory.

    def allocate(self, nbytes: int) -> Any:
        """A buffer of the pool; OutOfMemoryError where the device has no room."""
        with self.lock:
            made = self._from_pool(nbytes)
            if made is None:
                self.pool.free_held()
                made = self._from_pool(nbytes)
            if made is None:
                raise OutOfMemoryError(
                    f"OpenCL out of memory: tried to allocate {nbytes} bytes on "
                    f"opencl:{self.index} ({self.allocated} in use)"
                )
            self.allocated += nbytes
            self.max_allocated = max(self.max_allocated, self.allocated)
        return made

    def _from_pool(self, nbytes: int) -> Any:
        try:
            return self.pool.allocate(max(nbytes, 16))
        except cl.MemoryError:
            return None
        except cl.LogicError as error:  # larger than the device's largest buffer
            if error.code == cl.status_code.INVALID_BUFFER_SIZE:
                return None
            raise

    def upload(self, buffer: Any, values: np.ndarray[Any, Any]) -> None:
        """Copies a contiguous host array to the start of a buffer."""
        if values.nbytes:
            with self.lock:
                cl.enqueue_copy(self.queue, buffer, _bytes(values))

    def download(self, buffer: Any, into: np.ndarray[Any, Any], offset: int) -> None:
        """Copies from a buffer, bytes from ``offset`` on, to a contiguous host array."""
        if into.nbytes:
            with self.lock:
                cl.enqueue_copy(self.queue, _bytes(into), buffer, src_offset=offset)

    def synchronize(self) -> None:
        self.queue.finish()
        self.check()

    # Programs.

    def build(self, name: str, source: str, options: Sequence[str] = ()) -> Any:
        """The kernel ``name`` of a program, compiled (pyopencl keeps it on disk)."""
        start = time.perf_counter()
        head = "#define ON_CPU 1\n" if self.is_cpu else ""
        program = cl.Program(self.context, head + _PREAMBLE + source)
        try:
            program.build(options=["-cl-std=CL1.2", "-w", *options])
        except cl.RuntimeError as error:
            raise RuntimeError(f"OpenCL program '{name}': {error}\n{source}") from None
        kernel = cl.Kernel(program, name)
        self.programs += 1
        self.compile_seconds += time.perf_counter() - start
        return kernel

    def launch(
        self,
        kernel: Any,
        size: tuple[int, ...],
        args: Sequence[Any],
        local: tuple[int, ...] | None = None,
    ) -> None:
        """Puts a kernel into the queue. ``size`` counts work items."""
        if local is None and self.is_cpu:
            local = (1,) * len(size)
        with self.lock:
            set_arg = kernel.set_arg
            for i, each in enumerate(args):
                set_arg(i, each)
            cl.enqueue_nd_range_kernel(self.queue, kernel, size, local)

    def items(self, n: int, weight: int = 1) -> tuple[int]:
        """How many work items share ``n`` pieces of work of ``weight`` elements each."""
        if self.is_cpu:
            share = max(1, _GRAIN // max(weight, 1))
            return (max(1, min(-(-n // share), self.units * 4)),)
        return (max(1, min(n, 1 << 18)),)

    # Indices that a kernel found out of range.

    @property
    def flag(self) -> Any:
        """Two longs that kernels write a wrong index to: 1, and the index."""
        if self._flag is None:
            self._flag = self.pool.allocate(16)
            self.upload(self._flag, np.zeros(2, "int64"))
        return self._flag

    def expect(self, failure: Any) -> None:
        """Raises ``failure(index)`` if the kernel just started wrote to the flag.

        Devices that share the host's memory are asked at once; for others the question
        waits until results are read or the queue is waited for.
        """
        self._pending.append(failure)
        if self.is_cpu:
            self.check()

    def check(self) -> None:
        if not self._pending:
            return
        failures, self._pending = self._pending, []
        found = np.zeros(2, "int64")
        self.download(self.flag, found, 0)
        if found[0]:
            self.upload(self.flag, np.zeros(2, "int64"))
            raise failures[0](int(found[1]))  # type: ignore[operator]


def _bytes(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The bytes of a contiguous array: not all dtypes have a buffer protocol."""
    return values.reshape(-1).view(np.uint8)


# SHARE cuts 0 … n-1 among the work items: in contiguous pieces on a CPU, whose compiler
# makes vectors of the inner loop; in turns elsewhere, so that memory is read in one go.
_PREAMBLE = """#ifdef ON_CPU
#define SHARE(i, n) long share_ = ((n) + (long)get_global_size(0) - 1) / \\
    (long)get_global_size(0), i = share_ * (long)get_global_id(0), \\
    i##_end = min(i + share_, (long)(n))
#define EACH(i) _Pragma("clang loop vectorize(assume_safety)") for (; i < i##_end; i++)
#define NEXT(i, k) i += (k)
#define RUN(left) (left)
#else
#define SHARE(i, n) long i = get_global_id(0), i##_end = (n)
#define EACH(i) for (; i < i##_end; i += get_global_size(0))
#define NEXT(i, k) i += get_global_size(0)
#define RUN(left) 1
#endif
typedef struct { long nd; long shape[12]; long st[4][12]; } Geometry;
inline float bf2f(ushort x) { return as_float((uint)x << 16); }
inline ushort f2bf(float x) {
  uint u = as_uint(x);
  return x != x ? (ushort)0x7fc0 : (ushort)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
"""
