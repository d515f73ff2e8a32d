"""Fourier transforms: the array-neutral kernels over ``cupy.fft`` (cuFFT)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
from dispatchtorch_numpy import fft as generic

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(backend: Any) -> Kernels:
    """The transforms."""
    import cupy.fft  # noqa: F401  (a submodule that is made when it is named)

    return generic.kernels_for(cupy)
