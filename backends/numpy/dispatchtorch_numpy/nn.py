"""Kernels of neural-network operators, laid over their decompositions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(xp: Any) -> Kernels:
    """The neural-network kernels of an array module."""
    kernels: Kernels = {}
    return kernels
