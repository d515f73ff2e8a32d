"""The stand-in's devices: memory, streams, events, graphs, kernels and cuBLAS.

A graph records the calls that a stream is given while it captures and makes them again at
each launch; what would wait for the device is refused meanwhile, as CUDA does.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import ml_dtypes
import numpy as np

_BF16 = np.dtype(ml_dtypes.bfloat16)
MEMORY = 1 << 34


# Memory.


class BaseMemory:
    """As CuPy's: subclasses set these three."""

    __slots__ = ("__weakref__", "device_id", "ptr", "size")

    @property
    def device(self) -> Any:
        return Device(self.device_id)


class OutOfMemoryError(MemoryError):
    pass


class _Pooled(BaseMemory):
    __slots__ = ("buffer", "pool")

    def __init__(self, size: int, pool: MemoryPool) -> None:
        rounded = -(-size // 512) * 512
        self.pool = pool
        self.size = rounded
        self.device_id = _state.device
        self.buffer = None
        self.ptr = 0
        if size:
            if pool.used + rounded > pool.limit:
                raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
            # Not zeros: kernels must write all of their results.
            held = np.full(rounded + 512, 0x7B, np.uint8)
            start = -held.ctypes.data % 512
            self.buffer = held[start : start + rounded]
            self.ptr = self.buffer.ctypes.data
            _BUFFERS[self.ptr] = self.buffer
            if _state.recording is not None:
                # Memory of a graph's pool stays where it is as long as the graph lives.
                _state.recording.memory.append(self.buffer)
            pool.used += rounded
            pool.total = max(pool.total, pool.used)

    def __del__(self) -> None:
        if getattr(self, "buffer", None) is not None:
            self.pool.used -= self.size
            _BUFFERS.pop(self.ptr, None)


_BUFFERS: dict[int, Any] = {}


class UnownedMemory(BaseMemory):
    __slots__ = ("_owner",)

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        import ctypes

        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = max(device_id, 0)
        raw = (ctypes.c_uint8 * size).from_address(ptr) if size else b""
        _BUFFERS[ptr] = np.frombuffer(raw, np.uint8)


class MemoryPointer:
    __slots__ = ("device_id", "mem", "ptr")

    def __init__(self, mem: BaseMemory, offset: int) -> None:
        assert isinstance(mem, BaseMemory)
        assert mem.ptr != 0 or offset == 0
        self.mem = mem
        self.ptr = mem.ptr + offset
        self.device_id = mem.device_id

    def copy_from_host_async(self, mem: int, size: int, stream: Any = None) -> None:
        import ctypes

        waits()
        ctypes.memmove(self.ptr, mem, size)

    def __add__(self, offset: int) -> MemoryPointer:
        return MemoryPointer(self.mem, self.ptr - self.mem.ptr + offset)


class MemoryPool:
    def __init__(self, allocator: Any = None) -> None:
        self.used = self.total = 0
        self.limit = MEMORY

    def malloc(self, size: int) -> MemoryPointer:
        return MemoryPointer(_Pooled(size, self), 0)

    def free_all_blocks(self, stream: Any = None) -> None:
        self.total = self.used

    def used_bytes(self) -> int:
        return self.used

    def total_bytes(self) -> int:
        return self.total

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        self.limit = (size or MEMORY) if fraction is None else int((MEMORY) * fraction)


class _State(threading.local):
    def __init__(self) -> None:
        self.device = 0
        self.streams: dict[int, Any] = {}
        self.recording: Any = None


_state = _State()
_pool = MemoryPool()
_allocator: Any = _pool.malloc


def get_default_memory_pool() -> MemoryPool:
    return _pool


def set_allocator(allocator: Any = None) -> None:
    global _allocator
    _allocator = allocator or _pool.malloc


def get_allocator() -> Any:
    return _allocator


def alloc(size: int) -> MemoryPointer:
    return _allocator(size)


class PinnedMemoryPointer(bytearray):
    """Host memory; a buffer, as CuPy's is."""

    def __init__(self, size: int) -> None:
        import ctypes

        super().__init__(max(size, 1))
        self.mem = self
        self.ptr = ctypes.addressof(ctypes.c_char.from_buffer(self))


def alloc_pinned_memory(size: int) -> Any:
    return PinnedMemoryPointer(size)


# Devices, streams, events.


class Device:
    def __init__(self, index: int | None = None) -> None:
        self.id = _state.device if index is None else int(index)
        self.attributes = {"MultiProcessorCount": 4}
        self._before: list[int] = []

    def __enter__(self) -> Device:
        self._before.append(_state.device)
        _state.device = self.id
        return self

    def __exit__(self, *args: Any) -> None:
        _state.device = self._before.pop()

    def use(self) -> None:
        _state.device = self.id


class Event:
    def __init__(
        self,
        block: bool = False,
        disable_timing: bool = False,
        interprocess: bool = False,
    ) -> None:
        if interprocess and not disable_timing:
            raise ValueError("Timing must be disabled for interprocess events")
        self.ptr = id(self)
        self.done = True
        self.timed = not disable_timing
        self.time = 0.0

    def record(self, stream: Any = None) -> None:
        import time

        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass


def get_elapsed_time(start: Event, end: Event) -> float:
    assert start.timed
    assert end.timed
    return (end.time - start.time) * 1e3


class Graph:
    """Calls that were recorded: a replay makes them again, into the same memory."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.memory: list[Any] = []

    def launch(self, stream: Any = None) -> None:
        for function, args, options, made in self.calls:
            again = function(*args, **options)
            pairs = zip(made, again) if isinstance(made, tuple) else [(made, again)]
            for held, new in pairs:
                if hasattr(held, "_a") and held.data.ptr != new.data.ptr:
                    held._a[...] = new._a

    def upload(self, stream: Any = None) -> None:
        pass

    def debug_dot_str(self, flags: int = 0) -> str:
        return "digraph {}"


def recorded(function: Any) -> Any:
    """The function; calls while a graph is recorded are kept with it, the outermost."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        graph = getattr(_state, "graph", None)
        if graph is None or not get_current_stream().is_capturing():
            return function(*args, **options)
        _state.graph = None
        try:
            made = function(*args, **options)
        finally:
            _state.graph = graph
        view = hasattr(made, "_a") and made.base is not None
        if not view:
            graph.calls.append((function, args, options, made))
        return made

    return call


def waits() -> None:
    """What waits for the device can't be recorded."""
    if getattr(_state, "graph", None) and get_current_stream().is_capturing():
        raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted")


class Stream:
    null: Any
    _count = 16

    def __init__(
        self,
        null: bool = False,
        non_blocking: bool = False,
        ptds: bool = False,
        priority: int | None = None,
    ) -> None:
        Stream._count += 16
        self.ptr = 0 if null else Stream._count
        self.device_id = -1 if null else _state.device
        self.priority = priority or 0
        self.done = True
        self._capturing = False

    @classmethod
    def from_external(cls, obj: Any) -> Stream:
        made = cls()
        made.ptr = obj.__cuda_stream__()[1]
        made.device_id = -1
        return made

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self) -> int:
        return self.ptr

    def use(self) -> Stream:
        if self.device_id not in (-1, _state.device):
            raise RuntimeError("The device that the stream is created on doesn't match")
        _state.streams[_state.device] = self
        return self

    def __enter__(self) -> Stream:
        self._last = _state.streams.get(_state.device)
        return self.use()

    def __exit__(self, *args: Any) -> None:
        _state.streams[_state.device] = self._last or Stream.null

    def synchronize(self) -> None:
        if self._capturing:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported")

    def record(self, event: Any = None) -> Event:
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event: Event) -> None:
        pass

    def begin_capture(self, mode: Any = None) -> None:
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self._capturing = True
        _state.graph = _state.recording = Graph()

    def end_capture(self) -> Graph:
        self._capturing = False
        made, _state.graph = _state.graph, None
        _state.recording = None
        return made

    def is_capturing(self) -> bool:
        return self._capturing


Stream.null = Stream(null=True)


def get_current_stream(device_id: int = -1) -> Stream:
    index = _state.device if device_id == -1 else device_id
    return _state.streams.get(index, Stream.null)


_emulator = threading.RLock()


class RawKernel:
    """Kernels of CUDA C++, run by the emulator of the tests beside this folder."""

    runtime: Any = None

    def __init__(self, code: str, name: str, options: Any = ()) -> None:
        if RawKernel.runtime is None:
            from cuda_emulation import EmulatedRuntime

            RawKernel.runtime = EmulatedRuntime()
        with _emulator:
            self._launch = RawKernel.runtime.compile(code, name)
        self.kernel = self

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        with _emulator:  # one kernel at a time
            try:
                self._launch(grid, block, [_argument(a) for a in args], shared_mem)
            except RuntimeError as error:
                if "another size" not in str(error):
                    raise
                # Pointers may come as structs, of which CUDA reads the first 8 bytes.
                given = [_argument(a, pointer=True) for a in args]
                self._launch(grid, block, given, shared_mem)


def _argument(value: Any, pointer: bool = False) -> Any:
    if hasattr(value, "_a"):
        return np.uint64(value.data.ptr)
    if isinstance(value, CNumpyArray):
        raw = value.array
        if pointer and raw.nbytes == 16:
            return np.frombuffer(raw.tobytes()[:8], np.uint64)[0]
        return raw
    return value


class CNumpyArray:
    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        self.array = array


class Runtime:
    """``cupy.cuda.runtime``."""

    count = 1
    driver = 13000
    memory = MEMORY

    def driverGetVersion(self) -> int:  # noqa: N802
        return self.driver

    def runtimeGetVersion(self) -> int:  # noqa: N802
        return 12090

    def getDeviceCount(self) -> int:  # noqa: N802
        return self.count

    def getDevice(self) -> int:  # noqa: N802
        return _state.device

    def setDevice(self, index: int) -> None:  # noqa: N802
        assert 0 <= index < self.count
        _state.device = index

    def deviceSynchronize(self) -> None:  # noqa: N802
        pass

    def memGetInfo(self) -> tuple[int, int]:  # noqa: N802
        return self.memory - _pool.total, self.memory

    def deviceCanAccessPeer(self, a: int, b: int) -> int:  # noqa: N802
        return 1

    def getDeviceProperties(self, index: int) -> dict[str, Any]:  # noqa: N802
        return {
            "name": b"Stand-in for a GPU", "major": 9, "minor": 0,
            "totalGlobalMem": self.memory, "multiProcessorCount": 4, "warpSize": 32,
            "maxThreadsPerMultiProcessor": 2048, "maxThreadsPerBlock": 1024,
            "regsPerMultiprocessor": 65536, "sharedMemPerBlock": 49152,
            "l2CacheSize": 1 << 20, "integrated": 0, "isMultiGpuBoard": 0,
            "pciBusID": 1, "pciDeviceID": 0, "pciDomainID": 0, "uuid": b"\0" * 16,
        }  # fmt: skip


# cuBLAS.


class Cublas:
    """``cupy_backends.cuda.libs.cublas``: a strided batch of products, by columns."""

    def gemmStridedBatchedEx(  # noqa: N802
        self, handle: Any, turn_a: int, turn_b: int, m: int, n: int, k: int, alpha: int,
        a: int, a_type: int, lda: int, a_step: int, b: int, b_type: int, ldb: int,
        b_step: int, beta: int, c: int, c_type: int, ldc: int, c_step: int, count: int,
        compute: int, algorithm: int,
    ) -> None:  # fmt: skip
        import ctypes

        kinds = {0: "f4", 1: "f8", 2: "f2", 4: "c8", 5: "c16", 14: _BF16}
        host = np.dtype(kinds[a_type])
        scalar = {0: "f4", 1: "f8", 2: "f4", 4: "c8", 5: "c16", 14: "f4"}[a_type]
        assert a_type == b_type
        # Sums of half types may be given in float32.
        assert c_type == a_type or (c_type == 0 and a_type in (2, 14))
        assert compute == (70 if a_type in (1, 5) else 68)
        assert lda >= (k if turn_a else m), "leading dimension of A"
        assert ldb >= (n if turn_b else k), "leading dimension of B"
        assert ldc >= m

        def number(at: int) -> Any:
            size = np.dtype(scalar).itemsize
            return np.frombuffer(ctypes.string_at(at, size), scalar)[0]

        def matrices(
            at: int, rows: int, columns: int, lead: int, step: int, host: Any = host
        ) -> Any:
            span = (count - 1) * step + (columns - 1) * lead + rows
            raw = (ctypes.c_uint8 * (span * host.itemsize)).from_address(at)
            flat = np.frombuffer(raw, np.uint8).view(host)
            size = host.itemsize
            return np.lib.stride_tricks.as_strided(
                flat, (count, rows, columns), (step * size, size, lead * size)
            )

        left = matrices(a, *((k, m) if turn_a else (m, k)), lda, a_step)
        right = matrices(b, *((n, k) if turn_b else (k, n)), ldb, b_step)
        target = np.dtype(kinds[c_type])
        made = matrices(c, m, n, ldc, c_step, target)
        left = left.swapaxes(1, 2) if turn_a else left
        right = right.swapaxes(1, 2) if turn_b else right
        wide = np.dtype("f4") if host.itemsize == 2 else host
        with np.errstate(all="ignore"):
            value = number(alpha) * np.matmul(left.astype(wide), right.astype(wide))
            if number(beta):
                value = value + number(beta) * made.astype(wide)
            made[...] = value.astype(target)
