"""Device memory: CuPy's pool behind an allocator that counts, and that knows true sizes.

CuPy's pool rounds sizes up and forgets what was asked for. Each allocation is therefore
wrapped in a :class:`Block` that keeps the exact size (which storages are measured by) and
counts itself in and out of the figures of its device, in PyTorch's units of 512 bytes.
"""

from __future__ import annotations

import threading
from typing import Any

from cupy.cuda import memory as _memory
from cupy.cuda import runtime

from dispatchtorch.errors import OutOfMemoryError

__all__ = ["Allocator", "Block", "Figures"]

_UNIT = 512
_new_block = _memory.BaseMemory.__new__
_Pointer = _memory.MemoryPointer


class Figures:
    """What one device's tensors hold: bytes and numbers of allocations."""

    __slots__ = (
        "active", "allocated", "calls", "deferred", "freed", "lock", "oom", "peak",
        "peak_active", "peak_reserved", "retries", "total",
    )  # fmt: skip

    def __init__(self) -> None:
        self.allocated = self.peak = self.total = self.freed = 0
        self.active = self.peak_active = self.calls = 0
        self.peak_reserved = 0
        self.retries = self.oom = 0
        #: Memory that streams other than its own may still use: (events, what holds it).
        self.deferred: list[tuple[list[Any], Any]] = []
        self.lock = threading.Lock()

    def reset_peak(self, reserved: int) -> None:
        self.peak = self.allocated
        self.peak_active = self.active
        self.peak_reserved = reserved

    def reset_accumulated(self) -> None:
        self.total = self.freed = self.calls = self.retries = self.oom = 0


class Block(_memory.BaseMemory):  # type: ignore[misc]
    """An allocation of exactly ``size`` bytes, given back to the pool when it dies."""

    __slots__ = ("figures", "held", "streams")
    #: What CuPy asks of memory: whether the host can read it.
    identity = "Memory"

    figures: Figures
    held: Any
    streams: list[Any] | None

    def __del__(self) -> None:
        try:
            figures, size = self.figures, -(-self.size // _UNIT) * _UNIT
        except AttributeError:  # never completed
            return
        figures.allocated -= size
        figures.freed += size
        figures.active -= 1
        if self.streams:
            # The pool would hand the memory out to its own stream at once.
            try:
                events = [stream.record() for stream in self.streams]
            except Exception:  # the interpreter or the driver is going down
                return
            with figures.lock:
                figures.deferred.append((events, self.held))


class Allocator:
    """The allocator that CuPy is given: ``allocator(size) -> MemoryPointer``."""

    def __init__(self, pool: Any, devices: int) -> None:
        self.pool = pool
        self.figures = [Figures() for _ in range(devices)]
        self._private = threading.local()

    def __call__(self, size: int) -> Any:
        pool = getattr(self._private, "pool", None)
        take = self.pool.malloc if pool is None else pool.malloc
        try:
            pointer = take(size)
        except _memory.OutOfMemoryError:
            pointer = self._again(take, size)
        found = pointer.mem
        block = _new_block(Block)
        block.ptr = found.ptr
        block.size = size
        device = block.device_id = pointer.device_id
        block.held = found
        block.streams = None
        figures = block.figures = self.figures[device]
        rounded = -(-size // _UNIT) * _UNIT
        figures.total += rounded
        figures.calls += 1
        active = figures.active = figures.active + 1
        if active > figures.peak_active:
            figures.peak_active = active
        now = figures.allocated = figures.allocated + rounded
        if now > figures.peak:
            figures.peak = now
        if figures.deferred:
            self.release_deferred(device)
        return _Pointer(block, 0)

    def _again(self, take: Any, size: int) -> Any:
        """A second try with everything given back that nobody uses; else the error."""
        device = int(runtime.getDevice())
        figures = self.figures[device]
        figures.retries += 1
        runtime.deviceSynchronize()
        self.release_deferred(device)
        self.pool.free_all_blocks()
        try:
            return take(size)
        except _memory.OutOfMemoryError:
            figures.oom += 1
        raise OutOfMemoryError(self._complaint(device, size))

    def _complaint(self, device: int, size: int) -> str:
        free, total = runtime.memGetInfo()
        allocated = self.figures[device].allocated
        reserved = self.reserved(device)
        return (
            f"CUDA out of memory. Tried to allocate {in_words(size)}. GPU {device} has a "
            f"total capacity of {in_words(total)} of which {in_words(free)} is free. "
            f"Of the allocated memory {in_words(allocated)} is allocated by PyTorch, and "
            f"{in_words(max(0, reserved - allocated))} is reserved by PyTorch but "
            "unallocated."
        )

    def reserved(self, device: int) -> int:
        """Bytes that the pool holds of a device."""
        before = runtime.getDevice()
        if before == device:
            return int(self.pool.total_bytes())
        runtime.setDevice(device)
        try:
            return int(self.pool.total_bytes())
        finally:
            runtime.setDevice(before)

    def release_deferred(self, device: int) -> None:
        """Lets go of memory whose other streams are done with it."""
        figures = self.figures[device]
        with figures.lock:
            figures.deferred = [
                pair for pair in figures.deferred if not all(e.done for e in pair[0])
            ]

    def use_pool(self, pool: Any) -> Any:
        """Allocates from another pool in this thread (None: the common one); the last."""
        before = getattr(self._private, "pool", None)
        self._private.pool = pool
        return before


def in_words(size: int) -> str:
    """A size as PyTorch writes it: ``20.00 MiB``."""
    for unit, scale in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
        if size >= 1 << scale:
            return f"{size / (1 << scale):.2f} {unit}"
    return f"{size} bytes"
