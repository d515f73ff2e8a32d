"""An overlay on ``cpu``: softmax, log_softmax and silu of large float32 tensors in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Plugin"]


class Plugin:
    """The hooks; docs/plugins.md of dispatchtorch describes them all."""

    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {
            "install": "pip install dispatchtorch-csoftmax, and a C compiler (cc, or CC)",
            "summary": "softmax, log_softmax and silu of large float32 tensors in C",
        }

    def dispatchtorch_register_kernels(self, register: Callable[[Any], None]) -> None:
        from dispatchtorch_csoftmax.overlay import make_overlay

        register(make_overlay())
