"""The OpenCL backend: devices, memory, and the kernels of all families."""

from __future__ import annotations

from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, _host_scalar
from dispatchtorch_opencl import (
    _norm,
    activations,
    attention,
    blocks,
    fft,
    indexing,
    linalg,
    lists,
    nn,
    pointwise,
    pool,
    random,
    reduction,
    solvers,
    special,
    types,
)
from dispatchtorch_opencl.array import Memory, OpenCLArray, is_dense, row_major, size_of

__all__ = ["OpenCLBackend"]

_FAMILIES: tuple[Any, ...] = (
    pointwise,
    activations,
    indexing,
    reduction,
    linalg,
    solvers,
    lists,
    nn,
    pool,
    _norm,
    attention,
    blocks,
    fft,
    special,
)


class OpenCLBackend(Backend):
    """``opencl``: an index for each device of the platforms in use."""

    device_type = "opencl"
    array_type = OpenCLArray
    checks_broadcast = True

    def __init__(self) -> None:
        super().__init__()
        self._devices: list[Any] | None = None
        self._runtimes: dict[int, Any] = {}
        self._reason = ""
        self._engines: dict[int, Any] = {}
        for family in _FAMILIES:
            for name, (function, out) in family.kernels_for(self).items():
                self.add_kernel(name, function, out=out)
        self.dtypes = types.SUPPORTED
        if self._found() and not all(
            "cl_khr_fp64" in d.extensions for d in self._found()
        ):
            self.dtypes -= {dtypes.float64, dtypes.complex128}

    # The devices.

    def _found(self) -> list[Any]:
        if self._devices is None:
            try:
                import pyopencl

                from dispatchtorch_opencl.runtime import find_devices

                self._devices = find_devices()
                self.version = f"pyopencl {pyopencl.VERSION_TEXT}"
                if not self._devices:
                    self._reason = "no OpenCL device on the platforms in use"
            except Exception as error:
                self._devices = []
                self._reason = f"{type(error).__name__}: {error}"
        return self._devices

    def is_available(self) -> bool:
        return bool(self._found())

    def unavailable_reason(self) -> str:
        if self._found():
            return ""
        hint = "install a driver, or `pip install pocl-binary-distribution`"
        return f"{self._reason}; {hint}"

    def device_count(self) -> int:
        return len(self._found())

    def device_name(self, index: int) -> str:
        device = self.runtime(index).device
        return f"{device.name} ({device.platform.name})"

    def runtime(self, index: int) -> Any:
        """The device ``index`` at work."""
        found = self._runtimes.get(index)
        if found is None:
            devices = self._found()
            if not 0 <= index < len(devices):
                raise RuntimeError(
                    f"opencl:{index} doesn't exist: {len(devices)} OpenCL device(s); "
                    + (self.unavailable_reason() or "check the index")
                )
            from dispatchtorch_opencl.runtime import Runtime

            found = self._runtimes[index] = Runtime(devices[index], index)
        return found

    def report(self) -> dict[str, object]:
        """What ``doctor`` shows: drivers, limits and what was compiled."""
        made: dict[str, object] = {}
        for index in range(self.device_count()):
            runtime = self.runtime(index)
            device = runtime.device
            name = f"opencl:{index}"
            made[f"{name} driver"] = f"{device.version}, {device.driver_version}"
            made[f"{name} memory"] = f"{device.global_mem_size >> 20} MiB"
            made[f"{name} units"] = device.max_compute_units
            made[f"{name} float64"] = runtime.has_double
            made[f"{name} programs"] = (
                f"{runtime.programs} compiled or loaded in {runtime.compile_seconds:.2f} s"
            )
        return made

    # Memory.

    def _check(self, runtime: Any, dtype: Any) -> None:
        if dtype not in types.SUPPORTED:
            raise NotImplementedError(
                f"OpenCL devices have no {dtype.name}; move the tensor to 'cpu'"
            )
        if dtype in (dtypes.float64, dtypes.complex128) and not runtime.has_double:
            raise RuntimeError(
                f"opencl:{runtime.index} ({runtime.device.name}) has no double "
                f"precision (cl_khr_fp64), which {dtype.name} needs; use float32"
            )

    def empty(
        self, shape: tuple[int, ...], dtype: dtypes.dtype, index: int
    ) -> OpenCLArray:
        runtime = self.runtime(index)
        self._check(runtime, dtype)
        shape = tuple(shape)
        memory = Memory(runtime, size_of(shape) * dtype.itemsize)
        return OpenCLArray(memory, shape, row_major(shape), 0, dtype)

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> OpenCLArray:
        array = np.asarray(array, order="C")
        made = self.empty(array.shape, dtypes.from_host_dtype(array.dtype), index)
        made.memory.runtime.upload(made.memory.buffer, array)
        return made

    def to_host(self, array: OpenCLArray) -> np.ndarray[Any, Any]:
        host = array.dtype.host
        constant = array.memory.constant
        if constant is not None:
            value = np.asarray(constant).astype(host)
            return np.broadcast_to(value, array.shape).copy()
        if not is_dense(array.shape, array.strides):
            array = indexing.contiguous(array)
        made = np.empty(array.shape, host)
        runtime = array.memory.runtime
        runtime.download(array.memory.buffer, made, array.offset * array.dtype.itemsize)
        runtime.check()
        return made

    def scalar(self, value: Any, dtype: dtypes.dtype, index: int) -> OpenCLArray:
        runtime = self.runtime(index)
        self._check(runtime, dtype)
        host = _host_scalar(value, dtype)
        constant = host.astype(types.compute_host(dtype))
        memory = Memory(runtime, dtype.itemsize, constant, host)
        return OpenCLArray(memory, (), (), 0, dtype)

    def index(self, array: OpenCLArray) -> int:
        return array.memory.runtime.index  # type: ignore[no-any-return]

    def root(self, array: OpenCLArray) -> OpenCLArray:
        memory = array.memory
        count = memory.nbytes // array.dtype.itemsize
        return OpenCLArray(memory, (count,), (1,), 0, array.dtype)

    def data_ptr(self, array: OpenCLArray) -> int:
        if not array.size:
            return 0
        start = array.memory.buffer.int_ptr
        return int(start) + array.offset * array.dtype.itemsize

    def generator(self, index: int) -> Any:
        """The engine of a device; made where the device is there."""
        found = self._engines.get(index)
        if found is None:
            found = self._engines[index] = random.PhiloxEngine(self, index)
        return found

    def new_generator(self, index: int) -> Any:
        return random.PhiloxEngine(self, index)

    # Streams and events.

    def synchronize(self, index: int) -> None:
        self.runtime(index).synchronize()

    def new_stream(self, index: int, priority: int = 0) -> Any:
        return self.runtime(index).new_queue()

    def external_stream(self, index: int, handle: int) -> Any:
        import pyopencl as cl

        runtime = self.runtime(index)
        queue = cl.CommandQueue.from_int_ptr(handle)
        if queue.context != runtime.context:
            raise RuntimeError(
                f"the command queue {handle:#x} belongs to another context than "
                f"opencl:{index}, whose memory its kernels can't use"
            )
        return runtime.new_queue(queue)

    def default_stream(self, index: int) -> Any:
        return self.runtime(index).default_queue

    def current_stream(self, index: int) -> Any:
        return self.runtime(index).thread.stream

    def set_stream(self, index: int, stream: Any) -> None:
        self.runtime(index).thread.stream = stream

    def stream_handle(self, stream: Any) -> int:
        return stream.queue.int_ptr  # type: ignore[no-any-return]

    def synchronize_stream(self, stream: Any) -> None:
        stream.runtime.finish(stream)

    def query_stream(self, stream: Any) -> bool:
        return stream.is_done()  # type: ignore[no-any-return]

    def record_stream(self, array: OpenCLArray, stream: Any) -> None:
        memory = array.memory
        memory.users = {stream, *(memory.users or ())}

    def new_event(self, index: int, timing: bool, blocking: bool, shared: bool) -> Any:
        from dispatchtorch_opencl.queues import Marker

        return Marker(self.runtime(index))

    def record_event(self, event: Any, stream: Any) -> None:
        event.record(stream)

    def wait_event(self, stream: Any, event: Any) -> None:
        if event.runtime is stream.runtime:
            stream.wait(event.event)
        else:  # devices have contexts of their own, which can't wait for each other
            event.synchronize()

    def query_event(self, event: Any) -> bool:
        return event.is_complete()  # type: ignore[no-any-return]

    def synchronize_event(self, event: Any) -> None:
        event.synchronize()

    def elapsed_ms(self, start: Any, end: Any) -> float:
        return start.milliseconds_to(end)  # type: ignore[no-any-return]

    def event_handle(self, event: Any) -> int:
        return 0 if event.event is None else event.event.int_ptr

    # Figures.

    def memory_stats(self, index: int) -> dict[str, int]:
        runtime = self.runtime(index)
        return {
            "allocated": runtime.allocated,
            "max_allocated": runtime.max_allocated,
            "reserved": runtime.reserved,
            "max_reserved": runtime.max_reserved,
            "total": runtime.device.global_mem_size,
            "num_alloc_retries": runtime.retries,
            "num_ooms": runtime.failures,
        }

    def reset_peak_memory_stats(self, index: int) -> None:
        runtime = self.runtime(index)
        runtime.max_allocated = runtime.allocated
        runtime.max_reserved = runtime.reserved

    def reset_accumulated_memory_stats(self, index: int) -> None:
        runtime = self.runtime(index)
        runtime.retries = runtime.failures = 0

    def mem_get_info(self, index: int = 0) -> tuple[int, int]:
        """Bytes free and in all; OpenCL doesn't say what other programs use."""
        total = self.runtime(index).device.global_mem_size
        return total - self.runtime(index).reserved, total

    def empty_cache(self) -> None:
        for runtime in self._runtimes.values():
            runtime.free_held()

    def set_memory_fraction(self, fraction: float, index: int) -> None:
        runtime = self.runtime(index)
        runtime.limit = int(fraction * runtime.device.global_mem_size)

    def device_properties(self, index: int) -> dict[str, Any]:
        device = self.runtime(index).device
        return {
            "vendor": device.vendor,
            "platform_name": device.platform.name,
            "version": device.version,
            "driver_version": device.driver_version,
            "multi_processor_count": device.max_compute_units,
            "max_work_group_size": device.max_work_group_size,
            "local_mem_size": device.local_mem_size,
            "has_fp64": "cl_khr_fp64" in device.extensions,
            "has_fp16": "cl_khr_fp16" in device.extensions,
        }
