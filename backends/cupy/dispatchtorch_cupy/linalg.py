"""Products of matrices by cuBLAS, factorisations by cuSOLVER or the host.

Products are cuBLAS's strided batches, straight on the operands' memory: transposes and
broadcast batches are given as strides, half types multiply as they are and add up in
float32, and ``torch.backends.cuda.matmul.allow_tf32`` decides about TF32.

Small matrices are factored on the host, where a factorisation is done before a GPU has
begun; large ones by cuSOLVER.
"""

from __future__ import annotations

import functools
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

# The numbers of cudaDataType and cublasComputeType_t.
_DATA = {"f": 0, "d": 1, "e": 2, "F": 4, "D": 5, "E": 14}
_COMPUTE_32F, _COMPUTE_32F_FAST_TF32, _COMPUTE_64F = 68, 77, 70
_GEMM_DEFAULT = -1
_SCALAR = {"e": "f4", "E": "f4", "f": "f4", "d": "f8", "F": "c8", "D": "c16"}
_ARGUMENT = 2**31 - 1


@functools.cache
def _number(value: complex, kind: str) -> np.ndarray[Any, Any]:
    return np.array(value if kind[0] == "c" else value.real, kind)


@functools.cache
def _cublas() -> Any:
    from cupy_backends.cuda.libs import cublas

    return cublas


def _tf32() -> bool:
    from dispatchtorch.backends import cuda

    return bool(cuda.matmul.allow_tf32)


def _laid(x: Any) -> tuple[Any, int, int]:
    """(operand, whether cuBLAS has to transpose it, leading dimension).

    cuBLAS counts by columns, so that what is row-major is transposed already.
    """
    rows, columns = x.shape[-2:]
    size = x.itemsize
    down, along = x.strides[-2] // size, x.strides[-1] // size
    if (along == 1 or columns == 1) and (down >= columns or rows == 1):
        return x, 0, max(columns, down if rows > 1 else 1, 1)
    if (down == 1 or rows == 1) and (along >= rows or columns == 1):
        return x, 1, max(rows, along if columns > 1 else 1, 1)
    return cupy.ascontiguousarray(x), 0, max(columns, 1)


def _product(
    x: Any, y: Any, made: Any, alpha: complex = 1, beta: complex = 0
) -> Any:
    """Writes ``alpha * x @ y + beta * made`` to row-major matrices (batches, m, n)."""
    m, n = made.shape[-2:]
    k = x.shape[-1]
    kind = x.dtype.char
    x, turn_x, step_x = _laid(x)
    y, turn_y, step_y = _laid(y)
    size = x.itemsize
    batches = made.shape[0] if made.ndim == 3 else 1
    between = [
        each.strides[0] // size if each.ndim == 3 and batches > 1 else 0
        for each in (y, x, made)
    ]
    if kind in "dD":
        compute = _COMPUTE_64F
    else:
        tf32 = kind in "fF" and _tf32()
        compute = _COMPUTE_32F_FAST_TF32 if tf32 else _COMPUTE_32F
    scalar = _SCALAR[kind]
    one, two = _number(complex(alpha), scalar), _number(complex(beta), scalar)
    data = _DATA[kind]
    cublas = _cublas()
    handle = cupy.cuda.device.get_cublas_handle()
    # made = x y is made' = y' x' by columns.
    cublas.gemmStridedBatchedEx(
        handle, turn_y, turn_x, n, m, k, one.ctypes.data,
        y.data.ptr, data, step_y, between[0],
        x.data.ptr, data, step_x, between[1], two.ctypes.data,
        made.data.ptr, data, max(n, 1), between[2], batches, compute, _GEMM_DEFAULT,
    )  # fmt: skip
    return made


def _fits(x: Any, y: Any) -> bool:
    return (
        x.dtype.char in _DATA
        and x.dtype == y.dtype
        and max(*x.shape, *y.shape, *x.strides, *y.strides, 0) < _ARGUMENT
        and min(*x.strides, *y.strides, 0) >= 0
    )


def _matmul(x: Any, y: Any) -> Any:
    shape = (*x.shape[:-1], y.shape[-1])
    if not x.size or not y.size:
        return cupy.zeros(shape, x.dtype)
    if _fits(x, y):
        return _product(x, y, cupy.ndarray(shape, x.dtype))
    if x.dtype.kind in "biu":
        return cupy.matmul(x, y)
    x, y = cupy.ascontiguousarray(x), cupy.ascontiguousarray(y)
    return _product(x, y, cupy.ndarray(shape, x.dtype)) if _fits(x, y) else x @ y


def _addmm(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    if not a.size or not b.size or not (a.dtype == x.dtype and _fits(a, b)):
        return NotImplemented
    made = cupy.ndarray((a.shape[0], b.shape[1]), a.dtype)
    if beta:
        made[...] = x
    return _product(a, b, made, alpha, beta)


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
    dense = np.ascontiguousarray(x.transpose(order)).reshape([x.shape[d] for d in order])
    strides = [0] * x.ndim
    for d, step in zip(order, dense.strides, strict=True):
        strides[d] = step // size
    made = empty_ordered(x.shape, x.dtype, tuple(strides) if x.size else None)
    if x.size:
        made.transpose(order).set(dense)
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


_ON_DEVICE = {
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
        "addmm": (_addmm, False),
    }
    for name, (function, _) in decompositions.kernels().items():
        own = _ON_DEVICE.get(name)
        kernels[name] = (
            _host(function) if own is None else _large(own, function),
            False,
        )
    return kernels
