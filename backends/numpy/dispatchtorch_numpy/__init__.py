"""The ``cpu`` device on NumPy, shipped with the core.

The kernels are written against an array module ``xp`` (``kernels_for(xp)`` in each
family's file), so that CuPy and other NumPy-like libraries become devices by binding the
same source to another module; what only NumPy can do stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["plugin"]


class _Plugin:
    """The plugin object of the built-in device; the hooks are those of every plugin."""

    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {
            "device": "cpu",
            "api": (1, 1),
            "dtypes": "all",
            "install": "shipped with dispatchtorch",
            "summary": "NumPy on the host",
        }

    def dispatchtorch_register_device(self, register: Callable[[Any], None]) -> None:
        from dispatchtorch_numpy.device import NumpyBackend

        register(NumpyBackend())


def __getattr__(name: str) -> Any:
    if name == "plugin":
        return _Plugin()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
