"""Singular values and principal components of matrices of low rank, by random sampling.

The range finder of Halko, Martinsson and Tropp, "Finding structure with randomness"
(2009), algorithm 4.4, and the decomposition of what it catches (algorithm 5.1).
"""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch

__all__ = ["get_approximate_basis", "pca_lowrank", "svd_lowrank"]


def _shifted(A: Any, M: Any) -> Any:
    return A if M is None else A - M


def get_approximate_basis(A: Any, q: int, niter: int | None = 2, M: Any = None) -> Any:
    """Orthonormal columns ``Q (…, m, q)`` with ``Q Qᴴ A`` near ``A`` (or ``A - M``)."""
    A = _shifted(A, M)
    sample = torch.randn(A.shape[-1], q, dtype=A.dtype, device=A.device)
    found = torch.linalg.qr(A @ sample).Q
    for _ in range(2 if niter is None else niter):
        found = torch.linalg.qr(A.mH @ found).Q
        found = torch.linalg.qr(A @ found).Q
    return found


def svd_lowrank(
    A: Any, q: int | None = 6, niter: int | None = 2, M: Any = None
) -> tuple[Any, Any, Any]:
    """``U, S, V`` of the ``q`` largest singular values of ``A`` (or of ``A - M``).

    ``niter`` rounds of subspace iteration sharpen it; ``V`` isn't transposed.
    """
    q = 6 if q is None else q
    if M is not None:
        M = M.broadcast_to(A.size())
    A = _shifted(A, M)
    wide = A.shape[-2] < A.shape[-1]
    if wide:
        A = A.mH
    basis = get_approximate_basis(A, q, niter)
    left, S, Vh = torch.linalg.svd(basis.mH @ A, full_matrices=False)
    V = Vh.mH
    U = basis @ left
    return (V, S, U) if wide else (U, S, V)


def pca_lowrank(
    A: Any, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Any, Any, Any]:
    """``U, S, V``: the principal directions of the rows of ``A`` are ``V``'s columns.

    Raises ValueError for a ``q`` or ``niter`` out of range.
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)="
            f"{min(m, n)}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    if center:
        A = A - A.mean(dim=(-2,), keepdim=True)
    return svd_lowrank(A, q, niter=niter)
