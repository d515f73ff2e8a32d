"""Decompositions of matrices and triangular systems, in LAPACK's conventions.

NumPy's own where it has one; LU, Cholesky's partial results, LDL and substitution are
written here over whole batches. For large matrices SciPy's LAPACK is faster and taken
where it is installed. Results have columns that lie together in memory, as LAPACK's do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from dispatchtorch.errors import LinAlgError

__all__ = ["kernels"]

Array = np.ndarray[Any, Any]
_LARGE = 48  # from this size on SciPy is worth its import and a call for each matrix
_BLOCK = 16  # up to this size substitution goes row by row


@cache
def _scipy() -> Any:
    """``scipy.linalg``, or None."""
    try:
        import scipy.linalg as found
    except ImportError:
        return None
    return found


def _columns(x: Array) -> Array:
    """The same values with columns that lie together, batches in order."""
    turned = np.swapaxes(x, -1, -2)
    made = np.empty(turned.shape, x.dtype)
    if turned.strides == made.strides:
        return x
    made[...] = turned
    return np.swapaxes(made, -1, -2)


def _flat(x: Array, dims: int = 2) -> Array:
    """A copy with the batch dims as one."""
    batch = x.shape[: x.ndim - dims]
    return np.array(x, order="C").reshape((math.prod(batch), *x.shape[x.ndim - dims :]))


def _element(batch: tuple[int, ...], bad: Array) -> str:
    """Names the first element of a batch that is bad."""
    return f"(Batch element {int(np.argmax(bad))}): " if batch else ""


# Factorisations that NumPy has.


def eigh(a: Array, uplo: str, vectors: bool) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of Hermitian matrices, of which one half is read."""
    real = a.real.dtype
    try:
        if not vectors:
            values = np.linalg.eigvalsh(a, uplo)  # type: ignore[call-overload]
            return values.astype(real, copy=False), np.empty(0, a.dtype)
        values, found = np.linalg.eigh(a, uplo)  # type: ignore[call-overload]
    except np.linalg.LinAlgError:
        if np.isfinite(a).all():
            raise LinAlgError(
                "linalg.eigh: The algorithm failed to converge because the input matrix "
                "is ill-conditioned or has too many repeated eigenvalues."
            ) from None
        values, found = np.full(a.shape[:-1], math.nan, real), np.full_like(a, math.nan)
    return values.astype(real, copy=False), _columns(found.astype(a.dtype, copy=False))


def eig(a: Array, vectors: bool) -> tuple[Array, Array]:
    """Complex eigenvalues and eigenvectors of any square matrices."""
    kind = np.result_type(a.dtype, np.complex64)
    if not np.isfinite(a).all():
        if not vectors:
            return np.full(a.shape[:-1], math.nan, kind), np.empty(0, kind)
        raise RuntimeError(
            "torch.linalg.eig: input tensor should not contain infs or NaNs."
        )
    if not vectors:
        return np.linalg.eigvals(a).astype(kind), np.empty(0, kind)
    values, found = np.linalg.eig(a)
    return values.astype(kind), _columns(found.astype(kind))


def svd(a: Array, full: bool, vectors: bool) -> tuple[Array, Array, Array]:
    """Singular values and vectors; the right ones conjugated and transposed."""
    real = a.real.dtype
    try:
        if not vectors:
            none = np.empty(0, a.dtype)
            values = np.linalg.svd(a, compute_uv=False)
            return none, values.astype(real, copy=False), none
        u, s, vh = np.linalg.svd(a, full_matrices=full)
    except np.linalg.LinAlgError:
        bad = ~np.isfinite(a).all(axis=(-1, -2)).reshape(-1)
        reason = (
            "contained non-finite values."
            if bad.any()
            else "is ill-conditioned or has too many repeated singular values."
        )
        raise LinAlgError(
            f"linalg.svd: {_element(a.shape[:-2], bad)}The algorithm failed to converge "
            f"because the input matrix {reason}"
        ) from None
    return (
        _columns(u.astype(a.dtype, copy=False)),
        s.astype(real, copy=False),
        _columns(vh.astype(a.dtype, copy=False)),
    )


def qr(a: Array, mode: str) -> tuple[Array, Array]:
    """Q and R; Q is empty in mode "r"."""
    kind = a.dtype
    if mode == "r":
        r: Any = np.linalg.qr(a, "r")
        return np.empty(0, kind), _columns(r.astype(kind, copy=False))
    q, r = np.linalg.qr(a, mode)  # type: ignore[call-overload]
    return _columns(q.astype(kind, copy=False)), _columns(r.astype(kind, copy=False))


def geqrf(a: Array) -> tuple[Array, Array]:
    """R with the reflectors below it, and their scales."""
    if not min(a.shape[-2:]):
        return _columns(a), np.empty((*a.shape[:-2], 0), a.dtype)
    h, tau = np.linalg.qr(a, "raw")
    kind = a.dtype
    packed = np.ascontiguousarray(h.astype(kind, copy=False))
    return np.swapaxes(packed, -1, -2), tau.astype(kind, copy=False)


# Cholesky.


def cholesky(a: Array, upper: bool) -> tuple[Array, Array]:
    """The triangular factor, and the order of the first minor that isn't positive."""
    batch = a.shape[:-2]
    info = np.zeros(batch, np.int32)
    if not a.size:
        return _columns(a), info
    lower = np.conj(np.swapaxes(a, -1, -2)) if upper else a
    try:
        factor = np.linalg.cholesky(lower).astype(a.dtype, copy=False)
    except np.linalg.LinAlgError:
        flat, orders = _flat(lower), info.reshape(-1)
        for i, each in enumerate(flat):
            orders[i] = _cholesky_one(each)
        factor, info = np.tril(flat).reshape(a.shape), orders.reshape(batch)
    if upper:
        factor = np.conj(np.swapaxes(factor, -1, -2))
    return _columns(factor), info


def _cholesky_one(a: Array) -> int:
    """Factors the lower half in place; stops at a minor that isn't positive."""
    for j in range(len(a)):
        pivot = a[j, j].real - np.vdot(a[j, :j], a[j, :j]).real
        if not pivot > 0:
            a[j, j] = pivot
            return j + 1
        a[j, j] = pivot = np.sqrt(pivot)
        a[j + 1 :, j] = (a[j + 1 :, j] - a[j + 1 :, :j] @ a[j, :j].conj()) / pivot
    return 0


# LU.


def _pivot_size(x: Array) -> Array:
    """What LAPACK chooses pivots by."""
    return np.abs(x) if x.dtype.kind == "f" else np.abs(x.real) + np.abs(x.imag)


def lu(a: Array) -> tuple[Array, Array, Array]:
    """L and U in one, the rows swapped (from 1), and the first zero pivot (from 1)."""
    m, n = a.shape[-2:]
    k = min(m, n)
    batch = a.shape[:-2]
    flat = _flat(a)
    pivots = np.zeros((len(flat), k), np.int32)
    info = np.zeros(len(flat), np.int32)
    if k >= _LARGE and _scipy() is not None:
        (getrf,) = _scipy().lapack.get_lapack_funcs(("getrf",), (a,))
        for i, each in enumerate(flat):
            flat[i], rows, info[i] = getrf(each)
            pivots[i] = rows + 1
    elif len(flat):
        _eliminate(flat, pivots, info)
    return (
        _columns(flat.reshape(a.shape)),
        pivots.reshape((*batch, k)),
        info.reshape(batch),
    )


def _eliminate(x: Array, pivots: Array, info: Array) -> None:
    """Gauss's elimination with row pivots, a column at a time in all matrices at once."""
    every = np.arange(len(x))
    for j in range(pivots.shape[1]):
        rows = _pivot_size(x[:, j:, j]).argmax(axis=1) + j
        pivots[:, j] = rows + 1
        if (rows != j).any():
            above = x[:, j].copy()
            x[:, j] = x[every, rows]
            x[every, rows] = above
        pivot = x[:, j, j]
        zero = pivot == 0
        if zero.any():
            info[zero & (info == 0)] = j + 1
            pivot = np.where(zero, np.ones_like(pivot), pivot)
        x[:, j + 1 :, j] /= pivot[:, None]
        x[:, j + 1 :, j + 1 :] -= x[:, j + 1 :, j, None] * x[:, j, None, j + 1 :]


def row_order(pivots: Array, rows: int) -> Array:
    """The permutation that swaps of row i with row pivots[i] (from 1) make in turn."""
    count = pivots.shape[-1]
    flat = pivots.reshape((math.prod(pivots.shape[:-1]), count)).tolist()
    made = np.empty((len(flat), rows), np.int64)
    for place, swaps in zip(made, flat, strict=True):
        order = list(range(rows))
        for i, j in enumerate(swaps):
            order[i], order[j - 1] = order[j - 1], order[i]
        place[:] = order
    return made.reshape((*pivots.shape[:-1], rows))


# Triangular systems.


def triangular_solve(a: Array, b: Array, upper: bool, unit: bool) -> Array:
    """The solutions X of A X = B, where A's other half isn't read."""
    n, columns = b.shape[-2:]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, n, columns)), order="C")
    if not x.size:
        return _columns(x)
    if n >= _LARGE and _scipy() is not None:
        (trsm,) = _scipy().blas.get_blas_funcs(("trsm",), (a, b))
        left = np.broadcast_to(a, (*batch, n, n)).reshape((-1, n, n))
        flat = x.reshape((-1, n, columns))
        for i, each in enumerate(flat):
            flat[i] = trsm(1.0, left[i], each, lower=not upper, diag=unit)
        return _columns(x)
    _substitute(a, x, upper, unit)
    return _columns(x)


def _substitute(a: Array, x: Array, upper: bool, unit: bool) -> None:
    n = a.shape[-1]
    if n > _BLOCK:  # one half, then what it leaves of the other
        h = n // 2
        first, then = slice(0, h), slice(h, n)
        if upper:
            first, then = then, first
        _substitute(a[..., first, first], x[..., first, :], upper, unit)
        x[..., then, :] -= a[..., then, first] @ x[..., first, :]
        _substitute(a[..., then, then], x[..., then, :], upper, unit)
        return
    for i in reversed(range(n)) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        row = x[..., i : i + 1, :]
        if known.start < known.stop:
            row -= a[..., i : i + 1, known] @ x[..., known, :]
        if not unit:
            row /= a[..., i : i + 1, i : i + 1]


# LDL, by Bunch and Kaufman's diagonal pivots (Math. Comp. 31, 1977).

_ALPHA = (1 + math.sqrt(17)) / 8


def ldl(a: Array, hermitian: bool) -> tuple[Array, Array, Array]:
    """L and the blocks of D in one lower half, pivots as LAPACK's, the first zero block."""
    flat = _flat(a)
    n = a.shape[-1]
    pivots = np.zeros((len(flat), n), np.int32)
    info = np.zeros(len(flat), np.int32)
    conjugated = hermitian and a.dtype.kind == "c"
    for i, each in enumerate(flat):
        info[i] = _ldl_one(each, pivots[i], conjugated)
    flat = np.tril(flat)
    return (
        _columns(flat.reshape(a.shape)),
        pivots.reshape(a.shape[:-1]),
        info.reshape(a.shape[:-2]),
    )


def _ldl_one(a: Array, pivots: Array, conjugated: bool) -> int:
    """Factors one lower half in place; the pivots of a block of two are negative."""
    star: Callable[[Array], Array] = np.conj if conjugated else np.asarray
    size = _pivot_size
    info = k = 0
    n = len(a)
    while k < n:
        if conjugated:
            a[k, k] = a[k, k].real
        own = size(a[k, k])
        below = size(a[k + 1 :, k])
        largest = below.max(initial=0)
        step, pivot = 1, k
        if max(own, largest) == 0:
            info = info or k + 1
        else:
            if own < _ALPHA * largest:
                r = k + 1 + int(below.argmax())
                others = np.concatenate([a[r, k:r], a[r + 1 :, r]])
                reach = size(others).max(initial=0)
                if own >= _ALPHA * largest * (largest / reach):
                    pass
                elif size(a[r, r]) >= _ALPHA * reach:
                    pivot = r
                else:
                    step, pivot = 2, r
            _swap(a, k, step, pivot, conjugated)
            _update(a, k, step, star)
        pivots[k : k + step] = pivot + 1 if step == 1 else -(pivot + 1)
        k += step
    return info


def _swap(a: Array, k: int, step: int, p: int, conjugated: bool) -> None:
    """Exchanges the last row and column of the block at ``k`` with those at ``p``."""
    q = k + step - 1
    if p == q:
        return
    a[p + 1 :, [q, p]] = a[p + 1 :, [p, q]]
    middle = a[q + 1 : p, q].copy()
    a[q + 1 : p, q], a[p, q + 1 : p] = a[p, q + 1 : p].copy(), middle
    if conjugated:
        a[q + 1 : p, q] = a[q + 1 : p, q].conj()
        a[p, q + 1 : p] = a[p, q + 1 : p].conj()
        a[p, q] = a[p, q].conj()
    a[q, q], a[p, p] = a[p, p].copy(), a[q, q].copy()
    if step == 2:
        a[q, k], a[p, k] = a[p, k].copy(), a[q, k].copy()


def _update(a: Array, k: int, step: int, star: Callable[[Array], Array]) -> None:
    """Divides by the block of D at ``k`` and subtracts what it explains of the rest."""
    rest = slice(k + step, len(a))
    block = a[k : k + step, k : k + step].copy()
    if step == 2:
        block[0, 1] = star(block[1, 0])
        determinant = block[0, 0] * block[1, 1] - block[0, 1] * block[1, 0]
        inverse = np.array(
            [[block[1, 1], -block[0, 1]], [-block[1, 0], block[0, 0]]], a.dtype
        )
        inverse /= determinant
    else:
        inverse = 1 / block
    panel = a[rest, k : k + step].copy()
    factor = panel @ inverse
    a[rest, rest] -= np.tril(factor @ star(panel).T)
    a[rest, k : k + step] = factor


def ldl_solve(ld: Array, pivots: Array, b: Array, hermitian: bool) -> Array:
    """The solutions of L D Lᵀ X = B (Lᴴ for Hermitian matrices)."""
    n, columns = b.shape[-2:]
    batch = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
    x = np.array(np.broadcast_to(b, (*batch, n, columns)), order="C")
    if not x.size:
        return _columns(x)
    conjugated = hermitian and ld.dtype.kind == "c"
    flat = x.reshape((-1, n, columns))
    left = np.broadcast_to(ld, (*batch, n, n)).reshape((-1, n, n))
    order = np.broadcast_to(pivots, (*batch, n)).reshape((-1, n))
    for i, each in enumerate(flat):
        _ldl_solve_one(left[i], order[i], each, conjugated)
    return _columns(x)


def _ldl_solve_one(ld: Array, pivots: Array, x: Array, conjugated: bool) -> None:
    star: Callable[[Array], Array] = np.conj if conjugated else np.asarray
    n = len(ld)
    blocks = []
    k = 0
    while k < n:
        step = 1 if pivots[k] > 0 else 2
        blocks.append((k, step, abs(int(pivots[k])) - 1))
        k += step
    for k, step, p in blocks:
        q, rest = k + step - 1, slice(k + step, n)
        if p != q:
            x[[q, p]] = x[[p, q]]
        x[rest] -= ld[rest, k : k + step] @ x[k : k + step]
        if step == 1:
            x[k] /= ld[k, k]
        else:
            d, e, f = ld[k, k], ld[k + 1, k], ld[k + 1, k + 1]
            first, second = x[k].copy(), x[k + 1].copy()
            determinant = d * f - e * star(e)
            x[k] = (f * first - star(e) * second) / determinant
            x[k + 1] = (d * second - e * first) / determinant
    for k, step, p in reversed(blocks):
        q, rest = k + step - 1, slice(k + step, n)
        x[k : k + step] -= star(ld[rest, k : k + step]).T @ x[rest]
        if p != q:
            x[[q, p]] = x[[p, q]]


def kernels() -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels by operator; none takes ``out=``."""
    functions: dict[str, Callable[..., Any]] = {
        "_eigh": eigh,
        "_eig": eig,
        "_svd": svd,
        "_qr": qr,
        "_geqrf": geqrf,
        "_cholesky": cholesky,
        "_lu": lu,
        "_row_order": row_order,
        "_triangular": triangular_solve,
        "_ldl": ldl,
        "_ldl_solve": ldl_solve,
    }
    return {name: (function, False) for name, function in functions.items()}
