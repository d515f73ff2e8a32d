"""What stacks of layers cost a call: none, a no-op layer off, and on."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch.dispatch.layer import Layer, register_layer


class Passing(Layer):
    """A layer that adds one call and does nothing."""

    name = "benchmark_passing"
    order = 60

    def bind(self, op: Any, keys: int, inner: Any) -> Any:
        def kernel(*args: Any) -> Any:
            return inner(*args)

        return kernel


class Layers:
    """``a + b`` on four elements under different stacks of layers."""

    params = ["none", "registered", "enabled", "no_grad", "requires_grad"]
    param_names = ["stack"]

    def setup(self, stack: str) -> None:
        self.a = torch.tensor(
            [1.0, 2.0, 3.0, 4.0], requires_grad=stack == "requires_grad"
        )
        self.handle = None
        self.block: Any = None
        if stack in ("registered", "enabled"):
            layer = Passing()
            self.handle = register_layer(layer)
            if stack == "enabled":
                self.block = layer.enabled()
        elif stack == "no_grad":
            self.block = torch.no_grad()
        if self.block is not None:
            self.block.__enter__()

    def teardown(self, stack: str) -> None:
        if self.block is not None:
            self.block.__exit__(None, None, None)
        if self.handle is not None:
            self.handle.remove()

    def time_add(self, stack: str) -> None:
        self.a + self.a
