"""The kernels: C for large rows of float32, NotImplemented for everything else.

A kernel that returns NotImplemented leaves the call to the next rung of the ladder, which
is NumPy's. So an overlay has to be right only where it is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch.backend import Overlay
from dispatchtorch_csoftmax.library import library

__all__ = ["LEAST", "make_overlay"]

#: Calls with fewer elements are declined: to cross to C costs as much as NumPy needs.
LEAST = 2048


def make_overlay() -> Overlay:
    """The overlay; compiles the library."""
    ffi, lib = library()
    overlay = Overlay("csoftmax", "cpu", priority=10)
    from_buffer = ffi.from_buffer

    def declines(x: Any) -> bool:
        # Views that aren't dense are NumPy's affair as well.
        return x.size < LEAST or x.dtype != np.float32 or not x.flags.c_contiguous

    def run(function: Callable[..., None], x: Any, length: int) -> Any:
        made = np.empty(x.shape, x.dtype)
        source, target = from_buffer("float[]", x), from_buffer("float[]", made)
        function(source, target, x.size // length, length)
        return made

    def along_rows(name: str, function: Callable[..., None]) -> None:
        @overlay.kernel(name)
        def kernel(x: Any, dim: int, *rest: Any) -> Any:
            if dim not in (-1, x.ndim - 1) or declines(x):
                return NotImplemented
            return run(function, x, x.shape[-1])

    along_rows("_softmax", lib.softmax)
    along_rows("_log_softmax", lib.log_softmax)

    @overlay.kernel("silu")
    def silu(x: Any) -> Any:
        return NotImplemented if declines(x) else run(lib.silu, x, x.size)

    return overlay
