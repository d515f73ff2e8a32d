"""The contract of a device, and the registry of devices.

A device is a :class:`Backend`: a few methods about memory, and kernels, which are plain
functions over the device's own arrays. Read this file to write one; nothing else is
asked of a device.

The native array
    Any class, strided and mutable, with ``shape`` (a tuple of ints), ``strides`` and
    ``offset`` counted in elements, and ``dtype`` (a dispatchtorch dtype). Where the
    library's arrays say the last three differently, override :meth:`Backend.strides` and
    its kind.
    Views share memory with the array that they were made from.

Kernels
    ``@backend.kernel("add")`` registers the kernel of the operator ``add``. Kernels take
    and return native arrays. The core has seen to promotion (operands of one dtype),
    broadcasting (shapes are compatible), wrapping of negative dims and error messages. A
    kernel returns ``NotImplemented`` to decline a call; the next candidate is tried.
    What each primitive is given is said where it is declared, in ``dispatchtorch.ops``;
    ``dispatchtorch coverage --device D`` lists those that a device lacks.

Streams and events
    A device that has finished when a kernel returns needs none of their methods: the
    defaults are :class:`Synchronous`. An asynchronous one overrides the methods under
    "Streams" and "Events" together; native streams and events are whatever its library
    has. The current index and the current streams belong to the calling thread. The core
    makes ``torch.Stream``, ``torch.Event``, ``torch.accelerator`` and
    ``torch.<device type>`` of them.
"""

from __future__ import annotations

import contextvars
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.device import device as Device
from dispatchtorch.device import registry as _devices
from dispatchtorch.dispatch import codegen, keys, state
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.operator import changing_registry

__all__ = [
    "API_VERSION",
    "Backend",
    "Handle",
    "Kernel",
    "Overlay",
    "Synchronous",
    "current_accelerator",
    "get_backend",
    "register_backend",
    "registered_backends",
]

API_VERSION = 1

Native = Any
DType = dtypes.dtype  # the name, where a class attribute hides the module


class Kernel:
    """A registered kernel: the function, and what the core may assume of it."""

    __slots__ = ("function", "name", "out", "owner", "priority")

    def __init__(
        self, name: str, function: Callable[..., Any], owner: str, out: bool
    ) -> None:
        self.name = name
        self.function = function
        self.owner = owner
        self.out = out
        self.priority = 0

    def where(self) -> str:
        """File and line of the function, for ``explain``."""
        function = self.function
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        code = getattr(function, "__code__", None)
        if code is None:
            return (
                f"{type(function).__name__} {getattr(function, '__name__', function)}"
            )
        return f"{code.co_filename}:{code.co_firstlineno}"

    def __repr__(self) -> str:
        return f"<kernel {self.name} of {self.owner} at {self.where()}>"


class _KernelTable:
    """Kernels by operator name; the part that backends and overlays share."""

    kernels: dict[str, Kernel]
    name: str

    def kernel(
        self, name: str, *, out: bool = False
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Registers the decorated function as the kernel of operator ``name``.

        ``out=True`` promises that the function takes ``out=``, a native array of the
        result's shape and dtype to write to.
        """

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            self.add_kernel(name, function, out=out)
            return function

        return add

    def add_kernel(
        self, name: str, function: Callable[..., Any], *, out: bool = False
    ) -> None:
        """As :meth:`kernel`, for functions that exist already."""
        self.kernels[name] = Kernel(name, function, self.name, out)
        if self._is_registered():
            with changing_registry():
                pass

    def _is_registered(self) -> bool:
        return False


class Backend(_KernelTable):
    """A device type. Subclass it, set ``device_type``, and register kernels."""

    device_type: str = ""
    #: The class of native arrays; results of another class are passed to `coerce`.
    array_type: type = object
    #: Whether binary kernels raise by themselves for shapes that don't broadcast.
    checks_broadcast: bool = False
    #: (result, *operands) -> the result of a pointwise kernel in PyTorch's memory order;
    #: None where kernels give that themselves. For arrays that have ``ndim``.
    arrange: Callable[..., Native] | None = None
    #: A context in which kernels run (floating-point error modes and the like), or None.
    guard: contextvars.Context | None = None
    #: dtypes the device has; None for all.
    dtypes: frozenset[DType] | None = None
    #: Bits of keysets by the ``dtype`` attribute of native arrays, where that tells
    #: more quickly than :meth:`dtype`; None where it doesn't.
    dtype_bits: Mapping[Any, int] | None = None
    #: Whether tensors of this device are host memory that NumPy can see.
    is_host: bool = False
    #: Whether there may be several devices of this type, told apart by an index.
    indexed: bool = True
    #: Whether ``torch.accelerator`` and bare indices may mean this device; not where it
    #: only stands in for one.
    is_accelerator: bool = True

    def __init__(self) -> None:
        self.kernels = {}
        self.name = self.device_type
        self.key = keys.allocate("device", self.device_type)
        self._thread = _ThreadDevice()
        self.version = ""

    def __repr__(self) -> str:
        return f"<backend {self.device_type}>"

    def _is_registered(self) -> bool:
        return _backends.get(self.device_type) is self

    # Required.

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> Native:
        """A native array on device ``index`` with a copy of a NumPy array."""
        raise NotImplementedError(f"{self!r} doesn't implement from_host()")

    def to_host(self, array: Native) -> np.ndarray[Any, Any]:
        """A NumPy array with a native array's values (a copy, or shared memory)."""
        raise NotImplementedError(f"{self!r} doesn't implement to_host()")

    def empty(self, shape: tuple[int, ...], dtype: DType, index: int) -> Native:
        """A new contiguous native array of undefined values."""
        return self.from_host(np.zeros(shape, dtype.host), index)

    # Optional, with defaults.

    def is_available(self) -> bool:
        """Whether the device can be used on this machine."""
        return True

    def unavailable_reason(self) -> str:
        """Why not, and what to do: shown by ``dispatchtorch doctor``."""
        return ""

    def device_count(self) -> int:
        return 1

    def current_device(self) -> int:
        """The index that a device without one means in this thread."""
        return self._thread.index

    def set_device(self, index: int) -> None:
        """Makes an index (checked by the core) this thread's current one."""
        self._thread.index = index

    def device_name(self, index: int) -> str:
        return f"{self.device_type}:{index}"

    def can_access_peer(self, index: int, peer: int) -> bool:
        """Whether kernels on device ``index`` can read memory of device ``peer``."""
        return False

    def device_properties(self, index: int) -> dict[str, Any]:
        """What ``get_device_properties`` shows besides ``name`` and ``total_memory``."""
        return {}

    def capability(self, index: int) -> tuple[int, int]:
        """(major, minor) of the hardware's generation, as ``cuda``'s (9, 0)."""
        raise NotImplementedError(
            f"device '{self.device_type}' has no compute capability"
        )

    def namespace(self) -> dict[str, Any]:
        """Names to add to ``torch.<device type>``, or to put in place of the core's.

        Functions, classes and modules (these importable as
        ``dispatchtorch.<device type>.<name>``). With an ``"__all__"``, the namespace has
        these names and no others of the core's. Asked once, when the first name is looked
        up and the device is available; it may import what it needs.
        """
        return {}

    def shape(self, array: Native) -> tuple[int, ...]:
        return array.shape  # type: ignore[no-any-return]

    def strides(self, array: Native) -> tuple[int, ...]:
        """Strides in elements."""
        return array.strides  # type: ignore[no-any-return]

    def offset(self, array: Native) -> int:
        """The first element's place in the array's memory, in elements."""
        return array.offset  # type: ignore[no-any-return]

    def dtype(self, array: Native) -> DType:
        return array.dtype  # type: ignore[no-any-return]

    def index(self, array: Native) -> int:
        """The index of the device that an array lies on."""
        return 0

    def data_ptr(self, array: Native) -> int:
        """A number that is equal for arrays with the same memory and offset."""
        return id(self.root(array)) + self.offset(array) * self.dtype(array).itemsize

    def root(self, array: Native) -> Native:
        """The whole memory of an array as a 1-d contiguous array of its dtype."""
        return array.root()

    def cast(self, array: Native, dtype: DType) -> Native:
        """A new contiguous array of another dtype; made of `empty` and ``copy_``."""
        result = self.empty(self.shape(array), dtype, self.index(array))
        self.kernels["copy_"].function(result, array)
        return result

    def scalar(self, value: Any, dtype: DType, index: int) -> Native:
        """A 0-d array of a Python number."""
        return self.from_host(_host_scalar(value, dtype), index)

    def coerce(self, value: Any, dtype: DType | None) -> Native:
        """A native array of a kernel's result that isn't one; TypeError by default."""
        raise TypeError(
            f"a kernel of device '{self.device_type}' returned {type(value).__name__}, "
            f"expected {self.array_type.__name__}"
        )

    def synchronize(self, index: int) -> None:
        """Waits until all queued work of a device is done."""

    def generator(self, index: int) -> Any:
        """The device's default random generator; None: numbers are drawn on the host."""
        return None

    def new_generator(self, index: int) -> Any:
        """A further generator of a device, seeded with the default seed, or None."""
        own = self.generator(index)
        return None if own is None else type(own)()

    # Memory figures.

    def memory_stats(self, index: int) -> dict[str, Any]:
        """Figures in bytes, as far as they are known.

        ``allocated`` and ``max_allocated`` (in use by tensors), ``reserved`` and
        ``max_reserved`` (held by the allocator), ``total`` (the device's memory),
        ``allocations`` (how many are in use). Names with a dot
        (``"num_alloc_retries"`` too) are passed on to ``torch.<type>.memory_stats()`` as
        they are.
        """
        return {}

    def reset_peak_memory_stats(self, index: int) -> None:
        """Sets ``max_allocated`` and ``max_reserved`` to what is in use now."""

    def reset_accumulated_memory_stats(self, index: int) -> None:
        """Sets figures that only grow (counts of allocations) to 0."""

    def mem_get_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes of a device's memory."""
        raise NotImplementedError(
            f"device '{self.device_type}' doesn't say how much memory is free"
        )

    def empty_cache(self) -> None:
        """Gives memory that the allocator holds and no tensor uses back."""

    def empty_host_cache(self) -> None:
        """The same for page-locked host memory."""

    def set_memory_fraction(self, fraction: float, index: int) -> None:
        """Limits the allocator to a part (0 … 1) of a device's memory."""
        raise NotImplementedError(
            f"device '{self.device_type}' can't limit its allocator"
        )

    # Page-locked host memory, from which copies run beside other work.

    def pin_memory(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """A copy of a host array in page-locked memory; itself where that is no use."""
        return array

    def is_pinned(self, array: np.ndarray[Any, Any]) -> bool:
        """Whether a host array's memory is page-locked for this device."""
        return False

    # Streams. The defaults are those of a device without queues: see Synchronous.

    def new_stream(self, index: int, priority: int = 0) -> Any:
        """A new queue; lower numbers of ``priority`` come first, 0 is the default."""
        return Synchronous.stream(index)

    def external_stream(self, index: int, handle: int) -> Any:
        """A stream that another library made, by the number its driver knows it by."""
        raise NotImplementedError(
            f"device '{self.device_type}' takes no streams of other libraries"
        )

    def default_stream(self, index: int) -> Any:
        """The stream that a thread uses as long as it sets no other."""
        return Synchronous.stream(index, 0)

    def current_stream(self, index: int) -> Any:
        """The stream of a device that kernels called in this thread go to."""
        found = self._thread.streams.get(index)
        return self.default_stream(index) if found is None else found

    def set_stream(self, index: int, stream: Any) -> None:
        """Makes a native stream this thread's current one of a device."""
        self._thread.streams[index] = stream

    def stream_index(self, stream: Any) -> int:
        """The index of the device that a stream belongs to."""
        return stream.index  # type: ignore[no-any-return]

    def stream_id(self, stream: Any) -> int:
        """A number that equal streams of a device share; 0 for the default one."""
        return stream.id  # type: ignore[no-any-return]

    def stream_handle(self, stream: Any) -> int:
        """The number by which the driver knows a stream (``cuda_stream``)."""
        return self.stream_id(stream)

    def stream_priority(self, stream: Any) -> int:
        return 0

    def stream_priority_range(self) -> tuple[int, int]:
        """(lowest, highest) priority: (0, -1) where there are two."""
        return 0, 0

    def synchronize_stream(self, stream: Any) -> None:
        """Waits until a stream's queued work is done."""

    def query_stream(self, stream: Any) -> bool:
        """Whether a stream's queued work is done."""
        return True

    def is_capturing(self, stream: Any) -> bool:
        """Whether a stream records a graph instead of running."""
        return False

    def record_stream(self, array: Native, stream: Any) -> None:
        """Keeps an array's memory from being used again before a stream is done with it.

        Called for arrays that are used on another stream than the one they were made on.
        """

    # Events.

    def new_event(self, index: int, timing: bool, blocking: bool, shared: bool) -> Any:
        """An event that isn't recorded yet.

        ``timing``: ``elapsed_ms`` will be asked; ``blocking``: waiting threads sleep;
        ``shared``: for other processes too.
        """
        return Synchronous.event(index)

    def record_event(self, event: Any, stream: Any) -> None:
        """Marks the end of a stream's work so far with an event."""
        event.record()

    def wait_event(self, stream: Any, event: Any) -> None:
        """Makes later work of a stream wait for an event (of another one), not the host."""

    def query_event(self, event: Any) -> bool:
        """Whether the work before a recorded event is done."""
        return True

    def synchronize_event(self, event: Any) -> None:
        """Waits for the work before a recorded event."""

    def elapsed_ms(self, start: Any, end: Any) -> float:
        """Milliseconds between two events that were recorded with timing and are done."""
        return (end.time - start.time) / 1e6  # type: ignore[no-any-return]

    def event_handle(self, event: Any) -> int:
        """The number by which the driver knows an event (``cuda_event``)."""
        return id(event)


class _ThreadDevice(threading.local):
    """The current index and streams of a device type, each thread's own."""

    def __init__(self) -> None:
        self.index = 0
        self.streams: dict[int, Any] = {}


class Synchronous:
    """Streams and events of devices whose kernels have finished when they return.

    A stream is a name, nothing more; an event the host's time when it was recorded.
    """

    _numbers = itertools.count(1)

    __slots__ = ("id", "index", "time")

    def __init__(self, index: int, number: int) -> None:
        self.index = index
        self.id = number
        self.time = 0

    @classmethod
    def stream(cls, index: int, number: int | None = None) -> Synchronous:
        """A stream of device ``index``; number 0 is the default one."""
        return cls(index, next(cls._numbers) if number is None else number)

    event = stream

    def record(self) -> None:
        """Takes the time, in nanoseconds."""
        self.time = time.perf_counter_ns()


def _host_scalar(value: Any, dtype: dtypes.dtype) -> np.ndarray[Any, Any]:
    host = dtype.host
    if host.kind in "iu" and isinstance(value, int):
        # Wraps around, as a C++ cast does; NumPy refuses values out of range.
        bits = 8 * dtype.itemsize
        value &= (1 << bits) - 1
        if host.kind == "i" and value >> bits - 1:
            value -= 1 << bits
    with np.errstate(all="ignore"):
        return np.array(value).astype(host)


class Handle:
    """A registration. ``remove()`` undoes it."""

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo: Callable[[], None] | None = undo

    def remove(self) -> None:
        if self._undo is not None:
            undo, self._undo = self._undo, None
            undo()


class Overlay(_KernelTable):
    """Kernels laid over a device's own (or over other overlays, by priority).

    >>> fast = Overlay("fast", "cpu", priority=10)
    >>> @fast.kernel("softmax")
    ... def softmax(x, dim, dtype): ...
    >>> handle = fast.install()
    """

    def __init__(self, name: str, device_type: str, priority: int = 0) -> None:
        self.name = name
        self.device_type = device_type
        self.priority = priority
        self.kernels = {}

    def install(self) -> Handle:
        """Lays the overlay over its device until the handle is removed."""
        with changing_registry():
            _overlays.append(self)
            _overlays.sort(key=lambda each: -each.priority)

        def undo() -> None:
            with changing_registry():
                if self in _overlays:
                    _overlays.remove(self)

        return Handle(undo)

    def _is_registered(self) -> bool:
        return self in _overlays

    def __repr__(self) -> str:
        return f"<overlay {self.name} on {self.device_type}, priority {self.priority}>"


_backends: dict[str, Backend] = {}
_by_key: dict[int, Backend] = {}
_overlays: list[Overlay] = []
_lock = threading.RLock()
# Loads the plugin of a device type, or raises the error that says how to get one.
_load_device: Callable[[str], None] | None = None


def register_backend(backend: Backend) -> Handle:
    """Adds a device type; ValueError where the name is taken."""
    name = backend.device_type
    if not name or not name.isidentifier():
        raise ValueError(f"a device type must be an identifier, got {name!r}")
    with changing_registry():
        if name in _backends:
            raise ValueError(
                f"device type {name!r} is provided already by {_backends[name]!r}"
            )
        _backends[name] = backend
        _by_key[backend.key] = backend

    def undo() -> None:
        with changing_registry():
            if _backends.get(name) is backend:
                del _backends[name], _by_key[backend.key]
                _devices.known.discard(name)

    return Handle(undo)


def registered_backends() -> dict[str, Backend]:
    """The device types that are loaded, by name."""
    return dict(_backends)


def get_backend(device_type: str) -> Backend:
    """The backend of a device type, loading its plugin when it is first named.

    Raises UnknownDeviceError with what is installed and what could be.
    """
    backend = _backends.get(device_type)
    if backend is None:
        if _load_device is not None:
            _load_device(device_type)
        else:
            from dispatchtorch.plugins import manager

            manager.load_device(device_type)
        backend = _backends[device_type]
    return backend


def backend_of(keyset: int) -> Backend:
    """The backend whose bit a keyset holds."""
    bit = keyset & keys.mask_of("device")
    return _by_key[bit]


def overlays_for(device_type: str) -> list[Overlay]:
    """The overlays on a device, those of highest priority first."""
    return [each for each in _overlays if each.device_type == device_type]


def current_accelerator() -> str:
    """The device type that a bare index means: the one available beside ``cpu``."""
    from dispatchtorch.plugins import manager

    for name in manager.accelerators():
        backend = get_backend(name)
        if backend.is_accelerator and backend.is_available():
            return name
    raise RuntimeError("Cannot access accelerator device when none is available.")


def default_device() -> Any:
    """The device of tensors that are made without one."""
    stack = state.tls.devices
    return stack[-1] if stack else _default_device


_default_device: Any = None


def set_default_device(device: Any) -> None:
    """``torch.set_default_device``; None goes back to ``cpu``."""
    global _default_device
    _default_device = None if device is None else Device(device)


def resolve_device(device: Any) -> tuple[Backend, int]:
    """The backend and index that a ``device`` argument means."""
    if device is None:
        device = default_device()
        if device is None:
            return _backends.get("cpu") or get_backend("cpu"), 0
    elif type(device) is not Device:
        device = Device(device)
    backend = get_backend(device.type)
    index = device.index
    if index is None:
        return backend, backend.current_device()
    if index and backend.indexed:
        check_index(backend, index)
    return backend, index


def check_index(backend: Backend, index: int) -> None:
    """AcceleratorError for an index that a backend with devices doesn't have."""
    count = backend.device_count()
    if index >= count > 0 or index < 0:
        from dispatchtorch.errors import AcceleratorError

        name = backend.device_type
        raise AcceleratorError(
            f"{name} error: invalid device ordinal: {name}:{index} doesn't exist, there "
            f"{'is' if count == 1 else 'are'} {count}"
        )


def _device_keys(device: Any) -> int:
    return resolve_device(device)[0].key


codegen.device_keys = _device_keys


def _check_type(name: str) -> None:
    """Raises for a device type that no plugin brings and PyTorch doesn't know."""
    if name not in _backends:
        from dispatchtorch.plugins import PYTORCH_TYPES

        if name not in PYTORCH_TYPES:
            get_backend(name)


_devices.check = _check_type
_devices.accelerator = current_accelerator


def _load_extensions() -> None:
    from dispatchtorch.plugins import manager

    manager.load_extensions()


_operator.before_bind = _load_extensions
