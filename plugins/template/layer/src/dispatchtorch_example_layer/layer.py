"""What the layer does: it counts the calls of each operator.

``bind`` runs once for each operator and kind of operands, and returns the function that is
called from then on. Where the layer has nothing to do it returns ``inner``, which costs
nothing; where it isn't enabled it isn't asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch.layer import Layer

__all__ = ["ExampleLayer", "layer"]


class ExampleLayer(Layer):
    """Counts the calls of each operator."""

    name = "example_layer"
    #: Layers of higher order lie further out. Autograd is 40, the device 0.
    order = 70

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def bind(self, op: Any, keys: int, inner: Callable[..., Any]) -> Callable[..., Any]:
        calls, name = self.calls, op.full_name

        def counted(*args: Any) -> Any:
            calls[name] += 1
            return inner(*args)

        return counted

    def describe(self, op: Any, keys: int) -> str:
        return "counts the call"


layer = ExampleLayer()
