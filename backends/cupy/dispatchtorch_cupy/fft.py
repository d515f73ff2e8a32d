"""Fourier transforms: the array-neutral kernels over ``cupy.fft`` (cuFFT)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_numpy import fft as generic

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(backend: Any) -> Kernels:
    """The transforms."""
    import cupy.fft

    return generic.kernels_for(cupy)
