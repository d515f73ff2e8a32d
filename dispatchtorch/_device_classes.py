"""The classes of ``torch.<device type>``, and the modules inside of it.

Each is made once for a device type, under the name that it has there.
"""

from __future__ import annotations

import contextlib
import warnings
from functools import partial
from importlib import import_module
from typing import Any

from dispatchtorch import streams
from dispatchtorch.backend import get_backend
from dispatchtorch.device import device as Device
from dispatchtorch.device_namespace import available, required

__all__ = [
    "deferred_error",
    "device_context",
    "inside",
    "made_class",
    "needing_device",
    "properties_class",
    "storage_class",
]


class _Needing(type):
    """The class of stand-ins for what only a device's plugin has."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        words = f"Tried to instantiate dummy base class {cls.__name__}"
        required(cls._type, words if cls.__name__[0].isupper() else "")  # type: ignore[attr-defined]
        raise NotImplementedError(
            f"the plugin of device '{cls._type}' has no {cls.__name__}"  # type: ignore[attr-defined]
        )


def needing_device(device_type: str, name: str) -> Any:
    """A stand-in for a class or function that only the device's plugin can bring."""
    return made_class(
        device_type, name, (), "Brought by the device's plugin.", metaclass=_Needing
    )


_classes: dict[tuple[str, str], Any] = {}


def made_class(
    device_type: str,
    name: str,
    bases: tuple[Any, ...],
    doc: str,
    metaclass: Any = type,
    **members: Any,
) -> Any:
    found = _classes.get((device_type, name))
    if found is None:
        members |= {"_type": device_type, "__module__": f"torch.{device_type}"}
        found = metaclass(name, bases, {"__doc__": doc, **members})
        _classes[device_type, name] = found
    return found


def deferred_error(device_type: str) -> Any:
    doc = "An error of a call that waited for the device."
    return made_class(device_type, "DeferredCudaCallError", (Exception,), doc)


class _DeviceContext:
    """A block in which a device is the current one of its type."""

    _type: str

    def __init__(self, device: Any) -> None:
        self.idx = self._index(device)
        self.prev_idx = -1

    def _index(self, device: Any) -> Any:
        if device is None or (isinstance(device, int) and device < 0):
            return -1
        if isinstance(device, int):
            return device
        found = device if isinstance(device, Device) else Device(device)
        if found.type != self._type:
            raise ValueError(f"Expected a {self._type} device, but got: {found}")
        if found.index is None and available(self._type):
            return get_backend(self._type).current_device()
        return found.index

    def __enter__(self) -> None:
        if self.idx == -1:
            return
        words = f"PyTorch was compiled without {self._type.upper()} support"
        backend = required(self._type, words)
        index = streams.device_index(backend, self.idx)
        self.prev_idx = backend.current_device()
        backend.set_device(index)

    def __exit__(self, *exc_info: object) -> None:
        if self.idx != -1:
            get_backend(self._type).set_device(self.prev_idx)


class _DeviceOf(_DeviceContext):
    """A block in which the device of a tensor (or storage) is the current one."""

    def _index(self, device: Any) -> Any:
        place = device.device
        return place.index if place.type == self._type else -1


def device_context(device_type: str, name: str) -> Any:
    if name == "device":
        bases: tuple[Any, ...] = (_DeviceContext,)
    else:
        bases = _DeviceOf, device_context(device_type, "device")
    return made_class(device_type, name, bases, bases[0].__doc__)


class _Properties:
    """What ``get_device_properties`` returns: attributes, shown by ``repr``."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __repr__(self) -> str:
        shown = dict(self.__dict__)
        if "total_memory" in shown:
            shown["total_memory"] = f"{shown['total_memory'] >> 20}MB"
        parts = [f"{k}={v!r}" if k == "name" else f"{k}={v}" for k, v in shown.items()]
        return f"{type(self).__name__}({', '.join(parts)})"


def properties_class(device_type: str) -> Any:
    name = f"_{device_type.capitalize()}DeviceProperties"
    doc = f"The properties of a {device_type} device."
    return made_class(device_type, name, (_Properties,), doc)


_storages: dict[str, dict[str, Any]] = {}


def storage_class(device_type: str, name: str) -> Any:
    """``torch.<device type>.FloatStorage``: typed storages on the device (legacy)."""
    found = _storages.get(device_type)
    if found is None:
        from dispatchtorch._storage.typed import legacy_storage_classes

        found = legacy_storage_classes(f"torch.{device_type}", device_type)
        _storages[device_type] = found
    return found.get(name)


def inside(device_type: str, module: str, name: str) -> Any:
    """What a submodule has that isn't the namespace's; None for all else."""
    family = module.partition(".")[0]
    make = _INSIDE.get(family)
    return None if make is None else make(device_type, name)


def _amp(device_type: str, name: str) -> Any:
    """``torch.<device type>.amp``: ``torch.amp`` with the device type given."""
    import dispatchtorch

    if name == "amp_definitely_not_available":
        return lambda: not available(device_type)
    whole = getattr(dispatchtorch.amp, name)
    if not isinstance(whole, type):
        return partial(whole, device_type=device_type)

    def start(self: Any, *args: Any, **options: Any) -> None:
        warnings.warn(
            f"`torch.{device_type}.amp.{name}(args...)` is deprecated. Please use "
            f"`torch.amp.{name}('{device_type}', args...)` instead.",
            FutureWarning,
            stacklevel=2,
        )
        whole.__init__(self, device_type, **_by_name(name, args, options))  # type: ignore[misc]

    return made_class(device_type, name, (whole,), whole.__doc__ or "", __init__=start)


_AMP_PARAMETERS = {
    "autocast": ("enabled", "dtype", "cache_enabled"),
    "GradScaler": (
        "init_scale growth_factor backoff_factor growth_interval enabled".split()
    ),
}


def _by_name(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    parameters = _AMP_PARAMETERS[name]
    if len(args) > len(parameters):
        raise TypeError(
            f"{name}() takes at most {len(parameters)} arguments, got {len(args)}"
        )
    return dict(zip(parameters, args, strict=False)) | options


def _nvtx(device_type: str, name: str) -> Any:
    """Marks for a profiler's timeline, which only the device's plugin can set."""
    if name == "range":
        return partial(_nvtx_range, device_type)

    def refuse(*args: Any, **options: Any) -> Any:
        raise RuntimeError(
            "NVTX functions not installed. Are you sure you have a CUDA build?"
        )

    refuse.__name__ = name
    return refuse


@contextlib.contextmanager
def _nvtx_range(device_type: str, msg: str, *args: Any, **options: Any) -> Any:
    """A block that is shown on a profiler's timeline."""
    from dispatchtorch import device_namespace

    module: Any = device_namespace.namespace(device_type)
    module.nvtx.range_push(msg.format(*args, **options))
    try:
        yield
    finally:
        module.nvtx.range_pop()


def _nccl(device_type: str, name: str) -> Any:
    def is_available(tensors: Any) -> bool:
        """False: no collective library is used through this module."""
        warnings.warn("PyTorch is not compiled with NCCL support", stacklevel=2)
        return False

    return is_available


def _comm(device_type: str, name: str) -> Any:
    """Copies and sums between devices of one process."""
    # By its name, since modules lie a floor above.
    return getattr(import_module("dispatchtorch.nn.parallel.comm"), name)


_INSIDE = {
    "amp": _amp,
    "comm": _comm,
    "nccl": _nccl,
    "nvtx": _nvtx,
    "profiler": needing_device,
}
