"""Device ``recorded``: kernels are written down and not run."""

from __future__ import annotations

from typing import Any

import numpy as np
from dispatchtorch_cupy.kernels.runtime import Runtime

from dispatchtorch.backend import get_backend, register_backend
from tests.devices.emulated_device import EmulatedBackend

__all__ = ["recorded"]


class RecordingRuntime(Runtime):
    """NumPy arrays, and launches that do nothing; results are zeros."""

    units = 132

    def __init__(self) -> None:
        super().__init__()
        self.xp = np
        self.sources: dict[str, str] = {}
        self._seen: set[str] = set()

    def compile(self, code: str, name: str) -> Any:
        if code not in self._seen:
            self._seen.add(code)
            self.sources[code] = code
        return lambda *args, **options: None

    def forget(self) -> None:
        """Only what is new from now on."""
        self.sources.clear()

    def empty(self, shape: tuple[int, ...], host: Any) -> Any:
        return np.zeros(shape, host)

    def flag(self) -> Any:
        return None

    def reported(self) -> None:
        return None


class RecordedBackend(EmulatedBackend):
    """As ``emulated``, with that runtime."""

    device_type = "recorded"
    runtime_type = RecordingRuntime


def recorded() -> Any:
    """The registered device."""
    try:
        return get_backend("recorded")
    except Exception:
        register_backend(RecordedBackend())
        return get_backend("recorded")
