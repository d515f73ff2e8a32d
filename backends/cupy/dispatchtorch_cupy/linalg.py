"""Products of matrices by CuPy, factorisations by cuSOLVER or the host.

The products lie under those of :mod:`.kernels`, which call cuBLAS on the operands as they
lie in memory. Small matrices are factored on the host, where a factorisation is done before
a GPU has begun; large ones by cuSOLVER.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from dispatchtorch_numpy import decompositions

from dispatchtorch_cupy.arrays import empty_ordered

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

#: Matrices from this size on are factored on the device.
_LARGE = 256


def _matmul(x: Any, y: Any) -> Any:
    if not x.size or not y.size:
        return cupy.zeros((*x.shape[:-1], y.shape[-1]), x.dtype)
    if x.dtype.kind == "V":  # CuPy has no batched products of bfloat16
        made = cupy.matmul(x.astype(np.float32), y.astype(np.float32))
        return made.astype(x.dtype)
    return cupy.matmul(x, y)


# Factorisations.


def _host(function: Callable[..., Any]) -> Callable[..., Any]:
    """A host function of matrices, with its operands and results moved."""

    def kernel(*args: Any) -> Any:
        moved = [a.get() if type(a) is cupy.ndarray else a for a in args]
        with np.errstate(all="ignore"):
            made = function(*moved)
        return tuple(map(_moved, made)) if isinstance(made, tuple) else _moved(made)

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


def _moved(x: np.ndarray[Any, Any]) -> Any:
    """A host array on the device, its dims in the same order in memory."""
    size = x.itemsize
    order = sorted(range(x.ndim), key=lambda d: (-x.strides[d], -x.shape[d]))
    dense = np.ascontiguousarray(x.transpose(order)).reshape(
        [x.shape[d] for d in order]
    )
    strides = [0] * x.ndim
    for d, step in zip(order, dense.strides, strict=True):
        strides[d] = step // size
    made = empty_ordered(x.shape, x.dtype, tuple(strides) if x.size else None)
    if x.size:
        (made.transpose(*order) if x.ndim > 1 else made).set(dense)
    return made


def _columns(x: Any) -> Any:
    """The same values with columns that lie together, as LAPACK's results do."""
    turned = cupy.ascontiguousarray(cupy.swapaxes(x, -1, -2))
    return cupy.swapaxes(turned, -1, -2)


def _large(device: Callable[..., Any], host: Callable[..., Any]) -> Callable[..., Any]:
    """cuSOLVER's function for large matrices; where it fails, or for others, the host's."""
    there = _host(host)

    def kernel(a: Any, *args: Any) -> Any:
        if a.ndim == 2 and min(a.shape) >= _LARGE:
            from cupyx import errstate

            try:
                with errstate(linalg="raise"), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    return device(a, *args)
            except (np.linalg.LinAlgError, NotImplementedError):
                pass
        return there(a, *args)

    kernel.__wrapped__ = host  # type: ignore[attr-defined]
    return kernel


def _eigh(a: Any, uplo: str, vectors: bool) -> Any:
    if not vectors:
        return cupy.linalg.eigvalsh(a, uplo), cupy.empty(0, a.dtype)
    values, found = cupy.linalg.eigh(a, uplo)
    return values, _columns(found)


def _cholesky(a: Any, upper: bool) -> Any:
    lower = cupy.conj(a.T) if upper else a
    factor = cupy.linalg.cholesky(cupy.ascontiguousarray(lower))
    info = cupy.zeros((), np.int32)
    return _columns(cupy.conj(factor.T) if upper else factor), info


def _lu(a: Any) -> Any:
    from cupyx.scipy.linalg import lu_factor

    if a.shape[0] != a.shape[1]:
        raise NotImplementedError
    made, rows = lu_factor(a, check_finite=False)
    zero = cupy.diagonal(made) == 0
    info = cupy.where(zero.any(), zero.argmax() + 1, 0).astype(np.int32)
    return _columns(made), (rows + 1).astype(np.int32), info


def _triangular(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    from cupyx.scipy.linalg import solve_triangular

    if b.ndim != 2:
        raise NotImplementedError
    made = solve_triangular(
        a, b, lower=not upper, unit_diagonal=unit, check_finite=False
    )
    return _columns(made)


_ON_DEVICE: dict[str, Callable[..., Any]] = {
    "_eigh": _eigh,
    "_cholesky": _cholesky,
    "_lu": _lu,
    "_triangular": _triangular,
}


def kernels_for(backend: Any) -> Kernels:
    """Products and factorisations of matrices."""
    kernels: Kernels = {
        "mm": (_matmul, False),
        "bmm": (_matmul, False),
    }
    for name, (function, _) in decompositions.kernels().items():
        own = _ON_DEVICE.get(name)
        kernels[name] = (
            _host(function) if own is None else _large(own, function),
            False,
        )
    return kernels
