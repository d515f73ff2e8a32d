"""How functions become methods and properties of Tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.tensor import Tensor

__all__ = ["attribute", "method"]


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a function to Tensor under its own name."""
    function.__qualname__ = f"Tensor.{function.__name__}"
    setattr(Tensor, function.__name__, function)
    return function


def attribute(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a read-only property to Tensor."""
    setattr(Tensor, function.__name__, property(function))
    return function
