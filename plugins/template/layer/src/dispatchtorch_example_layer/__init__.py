"""The dispatch layer ``example_layer``.

with layer.enabled():
    model(x)
print(layer.calls.most_common(5))
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_example_layer.layer import layer

__all__ = ["Plugin", "layer"]


class Plugin:
    """The hooks; docs/plugins.md of dispatchtorch describes them all."""

    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {"summary": "the dispatch layer example_layer"}

    def dispatchtorch_register_layers(self, register: Callable[[Any], None]) -> None:
        register(layer)
