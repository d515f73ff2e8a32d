"""The operators ``torch.ops.example_ops.…``."""

from __future__ import annotations

from typing import Any

__all__ = ["Plugin"]


class Plugin:
    """The hooks; docs/plugins.md of dispatchtorch describes them all."""

    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {"summary": "the operators torch.ops.example_ops.…"}

    def dispatchtorch_register_operators(self, library: Any) -> None:
        from dispatchtorch_example_ops.operators import declare

        declare(library)
