"""``torch.accelerator``: the device beside ``cpu``, whichever plugin provides it."""

from __future__ import annotations

from typing import Any

from dispatchtorch import backend as _backend
from dispatchtorch.device import device as Device

__all__ = [
    "current_accelerator",
    "current_device_index",
    "device_count",
    "is_available",
    "synchronize",
]


def _current() -> _backend.Backend | None:
    try:
        return _backend.get_backend(_backend.current_accelerator())
    except RuntimeError:
        return None


def is_available() -> bool:
    """Whether a device beside ``cpu`` is installed and usable."""
    return _current() is not None


def current_accelerator(check_available: bool = False) -> Device | None:
    """The accelerator's device without an index; None where there is none."""
    found = _current()
    return None if found is None else Device(found.device_type)


def device_count() -> int:
    """The number of accelerators; 0 where there is none."""
    found = _current()
    return 0 if found is None else found.device_count()


def current_device_index() -> int:
    """The index of the accelerator in use."""
    return _required().current_device()


def synchronize(device: Any = None) -> None:
    """Waits until an accelerator's queued work is done."""
    found = _required()
    index = found.current_device()
    if device is not None:
        index = device if isinstance(device, int) else Device(device).index or 0
    found.synchronize(index)


def _required() -> _backend.Backend:
    found = _current()
    if found is None:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    return found
