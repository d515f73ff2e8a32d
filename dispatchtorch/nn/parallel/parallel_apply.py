"""Running several modules, each on inputs of its own."""

from __future__ import annotations

from typing import Any

from dispatchtorch import Tensor

from .data_parallel import parallel_apply

__all__ = ["get_a_var", "parallel_apply"]


def get_a_var(obj: Any) -> Tensor | None:
    """The first tensor inside of lists, tuples and dicts; None where there is none."""
    if isinstance(obj, Tensor):
        return obj
    items: Any = obj.values() if isinstance(obj, dict) else obj
    if isinstance(items, str) or not hasattr(items, "__iter__"):
        return None
    found = (get_a_var(item) for item in items)
    return next((tensor for tensor in found if tensor is not None), None)
