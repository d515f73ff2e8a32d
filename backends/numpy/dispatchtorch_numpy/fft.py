"""Fourier transforms along the last dims of rows that lie one after another.

The results' memory is laid out as PyTorch's is: transformed dims innermost, in the order
that they have in the operand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]
Dims = tuple[int, ...]

# (forward, what to divide by) -> NumPy's word; `_NONE`, `_ROOT`, `_N` of the operators.
_NORM = {
    (True, 0): "backward",
    (True, 1): "ortho",
    (True, 2): "forward",
    (False, 0): "forward",
    (False, 1): "ortho",
    (False, 2): "backward",
}
_COMPLEX = {"f": "F", "d": "D"}
_REAL = {"F": "f", "D": "d"}


def _outer_first(x: Any, dims: Any) -> list[int]:
    """Dims by their strides, the largest first."""
    return sorted(dims, key=lambda d: -x.strides[d])


def kernels_for(xp: Any) -> Kernels:
    """The Fourier kernels of an array module."""

    def transformed(x: Any, dims: list[int], kind: str, run: Any) -> Any:
        """``run`` over the last dims of ``x``, permuted to have ``dims`` there."""
        batch = _outer_first(x, [d for d in range(x.ndim) if d not in dims])
        order = (*batch, *dims)
        rows = xp.ascontiguousarray(x.transpose(order))
        made = run(rows, tuple(range(len(batch), x.ndim)))
        made = xp.ascontiguousarray(made.astype(kind, copy=False))
        back = sorted(range(x.ndim), key=order.__getitem__)
        return made.transpose(back)

    def complex_(x: Any, dims: Any, norm: str, forward: bool) -> Any:
        if not dims:
            return x
        run = xp.fft.fftn if forward else xp.fft.ifftn
        return transformed(
            x,
            _outer_first(x, dims),
            x.dtype.char,
            lambda rows, axes: run(rows, axes=axes, norm=norm),
        )

    def c2c(x: Any, dim: Dims, normalization: int, forward: bool) -> Any:
        if not dim:
            return x.copy(order="K")
        return complex_(x, dim, _NORM[forward, normalization], forward)

    def r2c(x: Any, dim: Dims, normalization: int, onesided: bool) -> Any:
        norm = _NORM[True, normalization]
        kind = _COMPLEX[x.dtype.char]
        last = x.shape[dim[-1]]

        def run(rows: Any, axes: Dims) -> Any:
            if onesided:
                return xp.fft.rfftn(rows, axes=axes, norm=norm)
            if len(axes) > 1:
                return xp.fft.fftn(rows, axes=axes, norm=norm)
            half = xp.fft.rfft(rows, norm=norm)
            made = xp.empty(rows.shape, kind)
            count = half.shape[-1]
            made[..., :count] = half
            xp.conj(half[..., last - count : 0 : -1], out=made[..., count:])
            return made

        return transformed(x, [*_outer_first(x, dim[:-1]), dim[-1]], kind, run)

    def c2r(x: Any, dim: Dims, normalization: int, last_dim_size: int) -> Any:
        norm = _NORM[False, normalization]
        x = complex_(x, dim[:-1], norm, False)
        return transformed(
            x,
            [dim[-1]],
            _REAL[x.dtype.char],
            lambda rows, axes: xp.fft.irfft(rows, last_dim_size, norm=norm),
        )

    return {
        "_fft_c2c": (c2c, False),
        "_fft_r2c": (r2c, False),
        "_fft_c2r": (c2r, False),
    }
