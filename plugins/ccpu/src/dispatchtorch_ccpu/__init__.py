"""The plugin of device ``ccpu``: light, so that it can be described without its driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Plugin"]


class Plugin:
    """The hooks; docs/plugins.md of dispatchtorch describes them all."""

    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {
            "device": "ccpu",
            "install": "pip install dispatchtorch-ccpu",
            "summary": "the device ccpu",
        }

    def dispatchtorch_register_device(self, register: Callable[[Any], None]) -> None:
        from dispatchtorch_ccpu.device import CcpuBackend

        register(CcpuBackend())
