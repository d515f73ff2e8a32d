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
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
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
        """The index that a device without one means."""
        return 0

    def device_name(self, index: int) -> str:
        return f"{self.device_type}:{index}"

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
        """Waits until the device's queued work is done."""

    def memory_stats(self, index: int) -> dict[str, int]:
        return {}

    def mem_get_info(self, index: int) -> tuple[int, int]:
        """(free, total) bytes of a device's memory."""
        raise NotImplementedError(
            f"device '{self.device_type}' doesn't say how much memory is free"
        )

    def generator(self, index: int) -> Any:
        """The device's default random generator; None: numbers are drawn on the host."""
        return None


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
    return backend, backend.current_device() if device.index is None else device.index


def _device_keys(device: Any) -> int:
    return resolve_device(device)[0].key


codegen.device_keys = _device_keys


def _check_type(name: str) -> None:
    get_backend(name)


_devices.check = _check_type


def _load_extensions() -> None:
    from dispatchtorch.plugins import manager

    manager.load_extensions()


_operator.before_bind = _load_extensions
