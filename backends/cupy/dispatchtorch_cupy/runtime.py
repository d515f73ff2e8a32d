"""CuPy at work: the allocator, transfers, figures, and the kernels of all families."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from dispatchtorch_cupy import (
    arrays,
    fft,
    indexing,
    kernels,
    linalg,
    pointwise,
    reduction,
    special,
)
from dispatchtorch_cupy.arrays import is_capturing
from dispatchtorch_cupy.kernels.runtime import CupyRuntime
from dispatchtorch_cupy.memory import Allocator

__all__ = ["Runtime"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_FAMILIES = (pointwise, reduction, indexing, linalg, special, fft)
_cuda = cupy.cuda
_runtime = cupy.cuda.runtime
_HERE = contextlib.nullcontext()


class Launcher(CupyRuntime):
    """What launches the package's kernels, also while a graph is recorded."""

    def __init__(self, owner: Runtime) -> None:
        super().__init__(cupy)
        self._owner = owner

    def upload(self, values: np.ndarray[Any, Any]) -> Any:
        owner = self._owner
        if not owner.capturing():
            return super().upload(values)
        # CuPy refuses transfers while it records; a graph finds the values there.
        kept: Any = owner.recording
        with owner.aside():
            made = super().upload(values)
        kept.append(made)
        return made


class Runtime:
    """What the backend asks of CuPy, for all devices."""

    as_strided = staticmethod(arrays.as_strided)
    offset_of = staticmethod(arrays.offset_of)
    strides_of = staticmethod(arrays.strides_of)
    whole = staticmethod(arrays.whole)
    astype = staticmethod(pointwise.astype)

    def __init__(self, count: int) -> None:
        self.count = count
        self.allocator = Allocator(cupy.get_default_memory_pool(), count)
        _cuda.set_allocator(self.allocator)
        self.launcher = Launcher(self)
        self._properties: dict[int, dict[str, Any]] = {}
        self._defaults: dict[int, Any] = {}
        self._in_flight: list[tuple[Any, Any]] = []
        self._aside: dict[int, Any] = {}
        #: What the graph that is being recorded has to keep; None where there is none.
        self.recording: list[Any] | None = None
        self._lock = threading.Lock()

    # Devices.

    def on(self, index: int) -> Any:
        """A context in which device ``index`` is the current one."""
        if self.count == 1:
            return _HERE
        return _HERE if _runtime.getDevice() == index else _cuda.Device(index)

    def properties(self, index: int) -> dict[str, Any]:
        """The device's properties under the names of ``get_device_properties``."""
        found = self._properties.get(index)
        if found is None:
            raw = _runtime.getDeviceProperties(index)
            name = raw["name"]
            uuid = raw.get("uuid", b"")
            found = self._properties[index] = {
                "name": name.decode() if isinstance(name, bytes) else str(name),
                "major": int(raw["major"]),
                "minor": int(raw["minor"]),
                "total_memory": int(raw["totalGlobalMem"]),
                "multi_processor_count": int(raw["multiProcessorCount"]),
                "warp_size": int(raw["warpSize"]),
                "max_threads_per_multi_processor": int(
                    raw["maxThreadsPerMultiProcessor"]
                ),
                "max_threads_per_block": int(raw["maxThreadsPerBlock"]),
                "regs_per_multiprocessor": int(raw.get("regsPerMultiprocessor", 0)),
                "shared_memory_per_block": int(raw["sharedMemPerBlock"]),
                "shared_memory_per_block_optin": int(
                    raw.get("sharedMemPerBlockOptin", raw["sharedMemPerBlock"])
                ),
                "shared_memory_per_multiprocessor": int(
                    raw.get("sharedMemPerMultiprocessor", 0)
                ),
                "L2_cache_size": int(raw.get("l2CacheSize", 0)),
                "is_integrated": int(raw.get("integrated", 0)),
                "is_multi_gpu_board": int(raw.get("isMultiGpuBoard", 0)),
                "pci_bus_id": int(raw.get("pciBusID", 0)),
                "pci_device_id": int(raw.get("pciDeviceID", 0)),
                "pci_domain_id": int(raw.get("pciDomainID", 0)),
                "uuid": uuid.hex() if isinstance(uuid, bytes) else str(uuid),
            }
        return found

    def report(self) -> dict[str, object]:
        driver, own = _runtime.driverGetVersion(), _runtime.runtimeGetVersion()
        made: dict[str, object] = {
            "driver": f"CUDA {driver // 1000}.{driver % 1000 // 10}",
            "runtime": f"CUDA {own // 1000}.{own % 1000 // 10}",
        }
        for index in range(self.count):
            found = self.properties(index)
            with self.on(index):
                free, total = _runtime.memGetInfo()
            made[f"cuda:{index} capability"] = f"{found['major']}.{found['minor']}"
            made[f"cuda:{index} memory"] = f"{free >> 20} of {total >> 20} MiB free"
        return made

    # Kernels.

    def kernels(self, backend: Any) -> Kernels:
        """The kernels by operator: CUDA's own over those that CuPy's functions make.

        With ``DISPATCHTORCH_CUDA_KERNELS=cupy`` in the environment, the latter alone.
        """
        generic: Kernels = {}
        for family in _FAMILIES:
            generic.update(family.kernels_for(backend))
        made = dict(generic)
        if os.environ.get("DISPATCHTORCH_CUDA_KERNELS") != "cupy":
            made.update(kernels.kernels(cupy, generic, self.launcher))
        if backend.blocking:
            made = {n: (self._checked(f), out) for n, (f, out) in made.items()}
        if self.count > 1:
            made = {n: (self._there(f), out) for n, (f, out) in made.items()}
        return made

    def _checked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A kernel that is waited for, and whose errors are raised at once."""

        def kernel(*args: Any, **kwargs: Any) -> Any:
            made = function(*args, **kwargs)
            if not is_capturing():
                _cuda.get_current_stream().synchronize()
                self.launcher.check()
            return made

        kernel.__wrapped__ = function  # type: ignore[attr-defined]
        return kernel

    def _there(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A kernel that runs on the device of the arrays that it is given."""
        kind = cupy.ndarray

        def kernel(*args: Any, **kwargs: Any) -> Any:
            index = _index_of(args, kind)
            if index is None:
                return function(*args, **kwargs)
            with self.on(index):
                # Numbers are made on the first device.
                moved = [
                    a.copy()
                    if type(a) is kind and a.data.device_id != index and not a.ndim
                    else a
                    for a in args
                ]
                return function(*moved, **kwargs)

        kernel.__wrapped__ = function  # type: ignore[attr-defined]
        return kernel

    def raise_late_errors(self, index: int) -> None:
        """Raises what kernels found wrong, once the device has been waited for."""
        self.launcher.check()

    # Transfers.

    def upload(self, made: Any, host: np.ndarray[Any, Any]) -> None:
        """Copies host memory to a new array; waits for pageable memory alone."""
        if self.is_pinned(host):
            stream = _cuda.get_current_stream()
            made.set(host, stream)
            # Its pool would hand the host's memory out again before it was read.
            event = stream.record()
            with self._lock:
                kept = [pair for pair in self._in_flight if not pair[0].done]
                self._in_flight = [*kept, (event, host)]
        else:
            made.set(host)

    def pin(self, host: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A copy in page-locked memory."""
        size = max(host.nbytes, 1)
        memory = _cuda.alloc_pinned_memory(size)
        flat = np.frombuffer(memory, np.uint8, host.nbytes)
        strides = host.strides
        dense = host.flags.c_contiguous or host.flags.f_contiguous
        made = np.ndarray(host.shape, host.dtype, flat, 0, strides if dense else None)
        made[...] = host
        return made

    def is_pinned(self, host: np.ndarray[Any, Any]) -> bool:
        base: Any = host
        while isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        if isinstance(base, memoryview):
            base = base.obj
        return isinstance(base, _cuda.PinnedMemoryPointer)

    # Graphs.

    def capturing(self) -> bool:
        """Whether the current stream records a graph."""
        return self.recording is not None and is_capturing()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Work that is done at once, though the current stream records a graph."""
        index = int(_runtime.getDevice())
        stream = self._aside.get(index)
        if stream is None:
            stream = self._aside[index] = _cuda.Stream(non_blocking=True)
        before = self.allocator.use_pool(None)
        try:
            with stream:
                yield
            stream.synchronize()
        finally:
            self.allocator.use_pool(before)

    # Figures and streams.

    def memory_stats(self, index: int) -> dict[str, Any]:
        found = self.allocator.figures[index]
        reserved = self.allocator.reserved(index)
        found.peak_reserved = max(found.peak_reserved, reserved)
        return {
            "allocated": found.allocated,
            "max_allocated": found.peak,
            "reserved": reserved,
            "max_reserved": found.peak_reserved,
            "total": self.properties(index)["total_memory"],
            "allocations": found.active,
            "num_alloc_retries": found.retries,
            "num_ooms": found.oom,
            "allocated_bytes.all.allocated": found.total,
            "allocated_bytes.all.freed": found.freed,
            "allocation.all.peak": found.peak_active,
        }

    def default_stream(self, index: int) -> Any:
        found = self._defaults.get(index)
        if found is None:
            found = _cuda.Stream(null=True)
            found.device_id = index
            self._defaults[index] = found
        return found

    def external_stream(self, handle: int, index: int) -> Any:
        """CuPy's stream of a stream that another library made."""
        take = getattr(_cuda.Stream, "from_external", None)
        if take is None:
            return _cuda.ExternalStream(handle, index)
        made = take(_Handle(handle))
        made.device_id = index
        return made


class _Handle:
    """A stream's handle as the CUDA stream protocol shows it."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


def _index_of(values: Any, kind: Any) -> int | None:
    for each in values:
        if type(each) is kind:
            if each.ndim:
                return each.data.device_id  # type: ignore[no-any-return]
        elif type(each) is list:
            found = _index_of(each, kind)
            if found is not None:
                return found
    for each in values:  # numbers alone
        if type(each) is kind:
            return each.data.device_id  # type: ignore[no-any-return]
    return None
