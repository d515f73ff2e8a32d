"""The CUDA backend: devices, memory, streams, and the kernels of all families.

Importable without CuPy. What needs it lies in :mod:`dispatchtorch_cupy.runtime`, which is
imported where a device was found.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, DType, _host_scalar
from dispatchtorch_cupy import availability

__all__ = ["CudaBackend"]

_NAMES = (
    "bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 float16 float32 float64 "
    "complex64 complex128"
)
_SUPPORTED = frozenset(getattr(dtypes, name) for name in _NAMES.split())


class CudaBackend(Backend):
    """``cuda``: an index for each NVIDIA GPU that the driver shows."""

    device_type = "cuda"
    checks_broadcast = True
    dtypes = _SUPPORTED | {dtypes.bfloat16}

    def __init__(self) -> None:
        super().__init__()
        self.cupy, self._count, self._reason = availability.find()
        self._engines: dict[int, Any] = {}
        self.runtime: Any = None
        #: Whether indices are checked at once: each check waits for the device.
        self.blocking = os.environ.get("CUDA_LAUNCH_BLOCKING", "0") not in ("", "0")
        if self._count:
            self._start()

    def _start(self) -> None:
        """Takes the devices into use: the allocator, and the kernels of all families."""
        from dispatchtorch_cupy.runtime import Runtime

        cupy = self.cupy
        self.array_type = cupy.ndarray
        self.version = f"CuPy {cupy.__version__}"
        if int(cupy.__version__.partition(".")[0]) < 14:
            self.dtypes = _SUPPORTED  # CuPy has no bfloat16 before
        self.runtime = Runtime(self._count)
        # On the path of each view: without a call between.
        self.strides = self.runtime.strides_of
        self.offset = self.runtime.offset_of
        self.root = self.runtime.whole
        for name, (function, out) in self.runtime.kernels(self).items():
            self.add_kernel(name, function, out=out)

    # The devices.

    def is_available(self) -> bool:
        return self._count > 0

    def unavailable_reason(self) -> str:
        return self._reason

    def device_count(self) -> int:
        return self._count

    def current_device(self) -> int:
        return int(self.cupy.cuda.runtime.getDevice()) if self._count else 0

    def set_device(self, index: int) -> None:
        self.cupy.cuda.runtime.setDevice(index)

    def check_index(self, index: int) -> None:
        """RuntimeError for a device that isn't there."""
        if not 0 <= index < self._count:
            if not self._count:
                raise RuntimeError(f"No CUDA GPUs are available: {self._reason}")
            raise RuntimeError(
                f"CUDA error: invalid device ordinal: cuda:{index}, there "
                f"{'is' if self._count == 1 else 'are'} {self._count}"
            )

    def device_name(self, index: int) -> str:
        return str(self.runtime.properties(index)["name"])

    def device_properties(self, index: int) -> dict[str, Any]:
        return dict(self.runtime.properties(index))

    def capability(self, index: int) -> tuple[int, int]:
        found = self.runtime.properties(index)
        return found["major"], found["minor"]

    def namespace(self) -> dict[str, Any]:
        from dispatchtorch_cupy import namespace

        return namespace.names(self)

    def report(self) -> dict[str, object]:
        """What ``doctor`` shows: versions, memory, and which libraries are there."""
        if not self._count:
            return {}
        return self.runtime.report()  # type: ignore[no-any-return]

    # Memory.

    def _check(self, dtype: DType) -> None:
        if dtype not in self.dtypes:
            needs = " before CuPy 14" if dtype is dtypes.bfloat16 else ""
            raise NotImplementedError(
                f"CUDA devices have no {dtype.name}{needs}; move the tensor to 'cpu'"
            )

    def empty(self, shape: tuple[int, ...], dtype: DType, index: int) -> Any:
        self._check(dtype)
        self.check_index(index)
        with self.runtime.on(index):
            return self.cupy.ndarray(tuple(shape), dtype.host)

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Any:
        runtime = self.runtime
        if runtime is not None and runtime.capturing():
            # Replays find the values on the device, and copy them there.
            kept = runtime.recording
            with runtime.aside():
                made = self._upload(array, index)
            kept.append(made)
            return made.copy()
        return self._upload(array, index)

    def _upload(self, array: np.ndarray[Any, Any], index: int) -> Any:
        made = self.empty(array.shape, dtypes.from_host_dtype(array.dtype), index)
        if made.size:
            with self.runtime.on(index):
                self.runtime.upload(made, np.asarray(array, order="C"))
        return made

    def to_host(self, array: Any) -> np.ndarray[Any, Any]:
        with self.runtime.on(array.data.device_id):
            made = array.get()
        self.runtime.raise_late_errors(array.data.device_id)
        return made  # type: ignore[no-any-return]

    def scalar(self, value: Any, dtype: DType, index: int) -> Any:
        runtime = self.runtime
        if runtime is not None and runtime.capturing():
            # Made once and for all, not by each replay.
            kept = runtime.recording
            with runtime.aside():
                made = self._number(value, dtype, index)
            kept.append(made)
            return made
        return self._number(value, dtype, index)

    def _number(self, value: Any, dtype: DType, index: int) -> Any:
        made = self.empty((), dtype, index)
        host = _host_scalar(value, dtype)
        bits = _BITS.get(dtype)
        with self.runtime.on(index):
            # As an argument of a kernel: no memory of the host is read.
            if bits is None:
                made.fill(host[()])
            else:
                made.view(bits).fill(host.view(bits)[()])
        return made

    def coerce(self, value: Any, dtype: DType | None) -> Any:
        if isinstance(value, (np.generic, bool, int, float, complex)):
            host = np.asarray(value) if dtype is None else np.asarray(value, dtype.host)
            return self.from_host(host, self.current_device())
        if isinstance(value, self.array_type):  # of a subclass
            found: Any = value
            return self.cupy.ndarray(
                found.shape, found.dtype, found.data, found.strides
            )
        return super().coerce(value, dtype)

    def strides(self, array: Any) -> tuple[int, ...]:
        return self.runtime.strides_of(array)  # type: ignore[no-any-return]

    def offset(self, array: Any) -> int:
        return self.runtime.offset_of(array)  # type: ignore[no-any-return]

    def dtype(self, array: Any) -> DType:
        return _BY_HOST[array.dtype]

    def index(self, array: Any) -> int:
        return array.data.device_id  # type: ignore[no-any-return]

    def data_ptr(self, array: Any) -> int:
        return array.data.ptr if array.size else 0

    def root(self, array: Any) -> Any:
        return self.runtime.whole(array)

    def cast(self, array: Any, dtype: DType) -> Any:
        self._check(dtype)
        with self.runtime.on(array.data.device_id):
            return self.runtime.astype(array, dtype.host)

    def from_dlpack(self, source: Any) -> Any:
        """An array over the memory of another library's, which is kept alive."""
        return self.cupy.from_dlpack(source)

    def from_cuda_array_interface(self, source: Any) -> Any:
        """An array over what ``source.__cuda_array_interface__`` describes."""
        return self.cupy.asarray(source)

    def pin_memory(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A copy of a host array in page-locked memory."""
        return self.runtime.pin(array)  # type: ignore[no-any-return]

    def is_pinned(self, array: np.ndarray[Any, Any]) -> bool:
        """Whether a host array lies in page-locked memory."""
        return self.runtime.is_pinned(array)  # type: ignore[no-any-return]

    def generator(self, index: int) -> Any:
        if not self._count:
            return None
        found = self._engines.get(index)
        if found is None:
            found = self._engines[index] = self.new_generator(index)
        return found

    def new_generator(self, index: int) -> Any:
        from dispatchtorch_cupy.random import PhiloxEngine

        return PhiloxEngine(self, index)

    # Time and figures.

    def synchronize(self, index: int) -> None:
        with self.runtime.on(index):
            self.cupy.cuda.runtime.deviceSynchronize()
        self.runtime.raise_late_errors(index)

    def memory_stats(self, index: int) -> dict[str, Any]:
        return self.runtime.memory_stats(index)  # type: ignore[no-any-return]

    def reset_peak_memory_stats(self, index: int) -> None:
        allocator = self.runtime.allocator
        allocator.figures[index].reset_peak(allocator.reserved(index))

    def reset_accumulated_memory_stats(self, index: int) -> None:
        self.runtime.allocator.figures[index].reset_accumulated()

    def mem_get_info(self, index: int) -> tuple[int, int]:
        with self.runtime.on(index):
            free, total = self.cupy.cuda.runtime.memGetInfo()
        return int(free), int(total)

    def empty_cache(self) -> None:
        for index in range(self._count):
            self.runtime.memory_stats(index)  # takes the peak of what is reserved
            with self.runtime.on(index):
                self.runtime.allocator.release_deferred(index)
                self.runtime.allocator.pool.free_all_blocks()

    def set_memory_fraction(self, fraction: float, index: int) -> None:
        with self.runtime.on(index):
            if fraction >= 1:
                self.runtime.allocator.pool.set_limit(size=0)
            else:
                self.runtime.allocator.pool.set_limit(fraction=fraction)

    # Streams: CuPy's own objects.

    def new_stream(self, index: int, priority: int = 0) -> Any:
        with self.runtime.on(index):
            return self.cupy.cuda.Stream(non_blocking=True, priority=priority)

    def external_stream(self, index: int, handle: int) -> Any:
        return self.runtime.external_stream(handle, index)

    def default_stream(self, index: int) -> Any:
        return self.runtime.default_stream(index)

    def current_stream(self, index: int) -> Any:
        found = self.cupy.cuda.get_current_stream(index)
        return found if found.ptr else self.runtime.default_stream(index)

    def set_stream(self, index: int, stream: Any) -> None:
        with self.runtime.on(index):
            stream.use()

    def stream_index(self, stream: Any) -> int:
        return max(int(stream.device_id), 0)

    def stream_id(self, stream: Any) -> int:
        return int(stream.ptr)

    def stream_priority(self, stream: Any) -> int:
        return int(stream.priority) if stream.ptr > 2 else 0

    def stream_priority_range(self) -> tuple[int, int]:
        return 0, -5

    def synchronize_stream(self, stream: Any) -> None:
        stream.synchronize()
        self.runtime.raise_late_errors(self.stream_index(stream))

    def query_stream(self, stream: Any) -> bool:
        return bool(stream.done)

    def is_capturing(self, stream: Any) -> bool:
        return bool(stream.ptr > 2 and stream.is_capturing())

    def record_stream(self, array: Any, stream: Any) -> None:
        block = array.data.mem
        if hasattr(block, "streams"):
            block.streams = [*(block.streams or ()), stream]

    def new_event(self, index: int, timing: bool, blocking: bool, shared: bool) -> Any:
        with self.runtime.on(index):
            return self.cupy.cuda.Event(blocking, not timing, shared)

    def record_event(self, event: Any, stream: Any) -> None:
        with self.runtime.on(self.stream_index(stream)):
            event.record(stream)

    def wait_event(self, stream: Any, event: Any) -> None:
        stream.wait_event(event)

    def query_event(self, event: Any) -> bool:
        return bool(event.done)

    def synchronize_event(self, event: Any) -> None:
        event.synchronize()

    def elapsed_ms(self, start: Any, end: Any) -> float:
        return float(self.cupy.cuda.get_elapsed_time(start, end))

    def event_handle(self, event: Any) -> int:
        return int(event.ptr)


_BY_HOST = {each.host: each for each in CudaBackend.dtypes}
# dtypes whose numbers CuPy's kernels are given as their bits.
_BITS = {dtypes.bfloat16: np.uint16}
