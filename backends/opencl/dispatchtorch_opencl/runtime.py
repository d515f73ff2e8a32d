"""One OpenCL device: context, memory, compiled programs and launches."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyopencl as cl

from dispatchtorch.errors import OutOfMemoryError
from dispatchtorch_opencl.queues import CurrentQueue, Queue, is_complete

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
    """A device at work. Kernels go to the calling thread's queue; they are compiled at
    first use.
    """

    def __init__(self, device: cl.Device, index: int) -> None:
        self.device = device
        self.index = index
        style = os.environ.get("DISPATCHTORCH_OPENCL_STYLE", "")
        self.is_cpu = bool(device.type & cl.device_type.CPU) and style != "gpu"
        self.units = device.max_compute_units
        self.has_double = "cl_khr_fp64" in device.extensions
        self.context = cl.Context([device])
        self.default_queue = Queue(self, 0)
        self.thread = CurrentQueue(self.default_queue)
        #: All queues that are alive.
        self.queues = weakref.WeakSet([self.default_queue])
        self.lock = threading.RLock()
        #: What kernels of a family keep: kernels by signature, plans by geometry.
        self.cache: dict[Any, Any] = {}
        self.allocated = self.max_allocated = self.max_reserved = 0
        self.retries = self.failures = 0
        #: Bytes that the pools may hold.
        self.limit = device.global_mem_size
        # Freed buffers that other queues may still use, with the ends of their work.
        self._held: list[tuple[Any, list[Any]]] = []
        self.programs = 0
        self.compile_seconds = 0.0

    def new_queue(self, queue: Any = None) -> Queue:
        """A further queue (``queue``: one that another library made)."""
        made = Queue(self, queue=queue)
        with self.lock:
            self.queues.add(made)
        return made

    # Memory.

    def allocate(self, nbytes: int) -> Any:
        """A buffer of the pool; OutOfMemoryError where the device has no room."""
        with self.lock:
            if self._held:
                self._let_go()
            made = self._from_pool(nbytes)
            if made is None:
                self.retries += 1
                self.free_held()
                made = self._from_pool(nbytes)
            if made is None:
                self.failures += 1
                self.free_held()
                raise OutOfMemoryError(
                    f"OpenCL out of memory. Tried to allocate {_amount(nbytes)}. Device "
                    f"{self.index} has a total capacity of "
                    f"{_amount(self.device.global_mem_size)} of which this process may "
                    f"hold {_amount(self.limit)}; {_amount(self.allocated)} is allocated "
                    f"by tensors, and {_amount(self.reserved - self.allocated)} is "
                    "reserved but unallocated."
                )
            self.allocated += nbytes
            self.max_allocated = max(self.max_allocated, self.allocated)
        return made

    def release(self, buffer: Any, nbytes: int, users: Any = None) -> None:
        """A buffer is no longer in use by tensors; ``users``: queues that it was used on."""
        with self.lock:
            self.allocated -= nbytes
            if users:
                self._held.append((buffer, [queue.marker() for queue in users]))

    def _let_go(self) -> None:
        """Gives freed buffers back that no queue uses any more."""
        self._held = [
            (buffer, events)
            for buffer, events in self._held
            if not all(map(is_complete, events))
        ]

    def free_held(self) -> None:
        """Gives what the pools hold and no tensor uses back to the device."""
        with self.lock:
            for queue in list(self.queues):
                queue.pool.free_held()

    @property
    def reserved(self) -> int:
        """Bytes that the pools hold."""
        return sum(queue.pool.managed_bytes for queue in list(self.queues))

    def _from_pool(self, nbytes: int) -> Any:
        pool = self.thread.stream.pool
        before = pool.managed_bytes
        try:
            made = pool.allocate(max(nbytes, 16))
            if pool.managed_bytes == before:
                return made
            reserved = self.reserved
            if reserved > self.limit:
                return None
            self.max_reserved = max(self.max_reserved, reserved)
            return made
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
                cl.enqueue_copy(self.thread.stream.queue, buffer, _bytes(values))

    def download(self, buffer: Any, into: np.ndarray[Any, Any], offset: int) -> None:
        """Copies from a buffer, bytes from ``offset`` on, to a contiguous host array."""
        if into.nbytes:
            with self.lock:
                queue = self.thread.stream.queue
                cl.enqueue_copy(queue, _bytes(into), buffer, src_offset=offset)

    def synchronize(self) -> None:
        """Waits for all queues."""
        for stream in list(self.queues):
            self.finish(stream)

    def finish(self, stream: Queue) -> None:
        """Waits for one queue; raises what its kernels found wrong."""
        stream.queue.finish()
        self.check(stream)

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
            stream = self.thread.stream
            stream.last = cl.enqueue_nd_range_kernel(stream.queue, kernel, size, local)

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
        stream = self.thread.stream
        if stream.flag is None:
            stream.flag = stream.pool.allocate(16)
            self.upload(stream.flag, np.zeros(2, "int64"))
        return stream.flag

    def expect(self, failure: Any) -> None:
        """Raises ``failure(index)`` if the kernel just started wrote to the flag.

        Devices that share the host's memory are asked at once; for others the question
        waits until results are read or the queue is waited for.
        """
        stream = self.thread.stream
        stream.pending.append(failure)
        if self.is_cpu:
            self.check(stream)

    def check(self, stream: Queue | None = None) -> None:
        """Raises what kernels of a queue (this thread's by default) found wrong."""
        if stream is None:
            stream = self.thread.stream
        if not stream.pending:
            return
        failures, stream.pending = stream.pending, []
        found = np.zeros(2, "int64")
        with self.lock:
            cl.enqueue_copy(stream.queue, found, stream.flag)
        if found[0]:
            with self.lock:
                cl.enqueue_copy(stream.queue, stream.flag, np.zeros(2, "int64"))
            raise failures[0](int(found[1]))


def _amount(nbytes: int) -> str:
    """Bytes as people read them."""
    size = float(nbytes)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{nbytes} bytes" if unit == "bytes" else f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


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
#define INLINE inline
#define PAIR(a, b) ((C)(a, b))
typedef struct { long nd; long shape[12]; long st[4][12]; } Geometry;
inline float bf2f(ushort x) { return as_float((uint)x << 16); }
inline ushort f2bf(float x) {
  uint u = as_uint(x);
  return x != x ? (ushort)0x7fc0 : (ushort)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}
"""
