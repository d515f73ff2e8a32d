"""Convolution by cuDNN where its library is there; its decompositions serve elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(backend: Any) -> Kernels:
    """The kernels of layers."""
    return {}
