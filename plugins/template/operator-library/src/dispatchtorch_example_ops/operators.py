"""The operators: for each a schema, and what it means in terms of other operators.

So it works on every device, and has the gradients that follow. A faster kernel for a
device is an overlay: the hook ``dispatchtorch_register_kernels``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["declare"]


def declare(library: Any) -> None:
    """Declares all operators."""

    @library.operator("example_ops::swish(Tensor self, float beta=1.0) -> Tensor")
    def swish(self: Any, beta: float = 1.0) -> Any:
        """``x * sigmoid(beta * x)``."""
        return self * (self * beta).sigmoid()
