"""The ``loopback`` device: host memory behind a foreign array class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["make_backend", "plugin"]


def make_backend(name: str) -> Any:
    """A further loopback device under another name; pass it to ``register_backend``."""
    from dispatchtorch_loopback.device import backend_class

    return backend_class(name)()


class _Plugin:
    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {
            "device": "loopback",
            "api": (1, 1),
            "dtypes": "all",
            "install": "pip install dispatchtorch-loopback",
            "summary": "host memory behind a foreign array class, for tests",
        }

    def dispatchtorch_register_device(self, register: Callable[[Any], None]) -> None:
        register(make_backend("loopback"))


plugin = _Plugin()
