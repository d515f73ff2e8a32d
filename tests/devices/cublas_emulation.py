"""cuBLAS's strided batches of products, over addresses, by NumPy."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

__all__ = ["EmulatedCublas"]

_TYPES = {0: "f4", 1: "f8", 2: "f2", 4: "c8", 5: "c16", 14: ml_dtypes.bfloat16}
_SCALARS = {68: "f4", 77: "f4", 70: "f8"}


def _matrices(
    address: int, kind: int, rows: int, columns: int, lead: int, step: int, count: int
) -> Any:
    """(count, rows, columns) of column-major matrices in memory."""
    host = np.dtype(_TYPES[kind])
    size = host.itemsize
    assert lead >= max(rows, 1), "the leading dim is less than the rows"
    span = ((count - 1) * step + (columns - 1) * lead + rows) * size
    memory = (ctypes.c_char * span).from_address(address)
    flat = np.frombuffer(memory, "uint8")
    return np.ndarray(
        (count, rows, columns), host, flat.data, 0, (step * size, size, lead * size)
    )


class EmulatedCublas:
    """Checks arguments as cuBLAS does, and computes in the type it is asked to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def gemm(self, *args: Any) -> None:
        (turned_a, turned_b, m, n, k, alpha, a, kind_a, lead_a, step_a, b, kind_b,
         lead_b, step_b, beta, c, kind_c, lead_c, step_c, count, compute) = args  # fmt: skip
        self.calls.append((compute, kind_a, kind_c))
        assert kind_a == kind_b
        assert kind_c == kind_a or (kind_c == 0 and kind_a in (2, 14))
        wide = {4: "c8", 5: "c16", 1: "f8"}.get(kind_a, "f4")
        assert (compute == 70) == (kind_a in (1, 5))

        def number(address: int) -> Any:
            size = np.dtype(wide).itemsize
            memory = (ctypes.c_char * size).from_address(address)
            return np.frombuffer(memory, wide)[0]

        left = _matrices(
            a, kind_a, *((k, m) if turned_a else (m, k)), lead_a, step_a, count
        )
        right = _matrices(
            b, kind_b, *((n, k) if turned_b else (k, n)), lead_b, step_b, count
        )
        made = _matrices(c, kind_c, m, n, lead_c, step_c, count)
        assert step_c >= lead_c * (n - 1) + m or count == 1, "results overlap"
        left = left.swapaxes(1, 2) if turned_a else left
        right = right.swapaxes(1, 2) if turned_b else right
        value = number(alpha) * (left.astype(wide) @ right.astype(wide))
        scale = number(beta)
        if scale != 0:
            value = value + scale * made.astype(wide)
        made[...] = value.astype(made.dtype)
