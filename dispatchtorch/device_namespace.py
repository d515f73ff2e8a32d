"""``torch.<device type>`` for every device: one namespace, made from its backend.

Also for devices whose plugin isn't installed: there ``is_available()`` is False, so that
programs that ask first run unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from dispatchtorch.backend import Backend, get_backend
from dispatchtorch.device import device as Device

__all__ = ["namespace"]


def namespace(device_type: str) -> ModuleType:
    """A module with the functions of ``torch.cuda`` that a backend can answer."""
    module = ModuleType(
        f"dispatchtorch.{device_type}", f"Device functions of ``{device_type}``."
    )
    module.__path__ = []  # so that `import torch.<device>.…` reports what is missing
    functions = _Functions(device_type)
    for name in dir(functions):
        if not name.startswith("_"):
            setattr(module, name, getattr(functions, name))
    return module


class _Functions:
    def __init__(self, device_type: str) -> None:
        self._type = device_type

    def _backend(self) -> Backend:
        return get_backend(self._type)

    def _index(self, device: Any = None) -> int:
        if device is None:
            return self._backend().current_device()
        if isinstance(device, int):
            return device
        found = Device(device)
        return self._backend().current_device() if found.index is None else found.index

    def is_available(self) -> bool:
        """Whether the plugin is installed and the device usable."""
        try:
            return self._backend().is_available()
        except RuntimeError:
            return False

    def is_initialized(self) -> bool:
        """Whether the device can be used already: the same as ``is_available``."""
        return self.is_available()

    def device_count(self) -> int:
        """The number of devices; 0 where there is none."""
        return self._backend().device_count() if self.is_available() else 0

    def current_device(self) -> int:
        """The index that a device without one means."""
        return self._backend().current_device()

    def get_device_name(self, device: Any = None) -> str:
        """The device's name."""
        return self._backend().device_name(self._index(device))

    def synchronize(self, device: Any = None) -> None:
        """Waits until the device's queued work is done."""
        self._backend().synchronize(self._index(device))

    def memory_stats(self, device: Any = None) -> dict[str, int]:
        """The backend's memory figures in bytes."""
        return self._backend().memory_stats(self._index(device))

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """(free, total) memory of the device in bytes."""
        return self._backend().mem_get_info(self._index(device))

    def memory_allocated(self, device: Any = None) -> int:
        """Bytes in use by tensors."""
        return self.memory_stats(device).get("allocated", 0)

    def max_memory_allocated(self, device: Any = None) -> int:
        """The most bytes that were in use at once."""
        return self.memory_stats(device).get("max_allocated", 0)

    def memory_reserved(self, device: Any = None) -> int:
        """Bytes held by the allocator."""
        return self.memory_stats(device).get("reserved", 0)

    def empty_cache(self) -> None:
        """Gives unused memory back, where the backend holds any."""
        if self.is_available():
            release: Callable[[], None] | None
            release = getattr(self._backend(), "empty_cache", None)
            if release is not None:
                release()

    def manual_seed(self, seed: int) -> None:
        """Seeds the current device's generator (no effect without a device)."""
        if self.is_available():
            from dispatchtorch.random import generator_of

            generator_of(self._type, self.current_device()).manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        """Seeds the generators of all devices of the type."""
        from dispatchtorch.random import generator_of

        for index in range(self.device_count()):
            generator_of(self._type, index).manual_seed(seed)

    def get_rng_state(self, device: Any = None) -> Any:
        """The state of a device's generator."""
        from dispatchtorch.random import generator_of

        return generator_of(self._type, self._index(device)).get_state()

    def set_rng_state(self, new_state: Any, device: Any = None) -> None:
        """Sets the state of a device's generator."""
        from dispatchtorch.random import generator_of

        generator_of(self._type, self._index(device)).set_state(new_state)
