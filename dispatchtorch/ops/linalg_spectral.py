"""Eigenvalues and singular values.

Gradients as in ``linalg_decompositions``.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.dispatch.state import grad_enabled
from dispatchtorch.lift import return_type
from dispatchtorch.ops._common import conj, torch
from dispatchtorch.ops._linalg import (
    check_floating,
    check_kernel_dtype,
    check_matrix,
    check_square,
    eye_like,
    host_primitive,
    mH,
    real_dtype,
)

__all__: list[str] = []


# Eigenvalues.


def _eigh_shapes(a: Any, uplo: str, vectors: bool) -> Any:
    found = a.shape if vectors else (0,)
    return (a.shape[:-1], real_dtype(a.dtype)), (found, a.dtype)


_eigh = host_primitive(
    "_eigh(Tensor A, str UPLO, bool vectors) -> (Tensor eigenvalues, Tensor "
    "eigenvectors)",
    _eigh_shapes,
)


@operator(
    '_linalg_eigh(Tensor A, str UPLO="L", bool compute_v=True) -> (Tensor eigenvalues, '
    "Tensor eigenvectors)",
    variants="function",
    tags="out",
)
def _linalg_eigh(A, UPLO="L", compute_v=True):
    """Eigenvalues of Hermitian matrices, and eigenvectors where these are wanted."""
    check_square(A, "linalg.eigh")
    if UPLO[:1].upper() not in ("L", "U") or len(UPLO) != 1:
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    check_kernel_dtype(A, "linalg_eigh_cpu")
    return return_type(_linalg_eigh)(_eigh(A, UPLO.upper(), compute_v))


def _imaginary_diagonal(x: Any, what: str) -> None:
    """The loss may not depend on phases that are arbitrary."""
    off = torch.imag(x.diagonal(0, -2, -1)).detach()
    if not torch.allclose(off, torch.zeros_like(off), atol=1e-2, rtol=1e-2):
        raise RuntimeError(what)


def _gauge(x: Any, name: str) -> None:
    _imaginary_diagonal(
        x,
        f"{name}: The eigenvectors in the complex case are specified up to "
        "multiplication by e^{i phi}. The specified loss function depends on this "
        "quantity, so it is ill-defined.",
    )


def _differences(values: Any) -> Any:
    """E with E[i, j] = l[j] - l[i], and ones on the diagonal."""
    made = values.unsqueeze(-2) - values.unsqueeze(-1)
    return made + eye_like(made, made._shape[-1])


def _eigh_backward(grads: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    grad_values, grad_vectors = grads
    v = eigenvectors
    if grad_vectors is None:
        if grad_values is None:
            return None
        return (v * grad_values.unsqueeze(-2).to(v.dtype)).matmul(mH(v))
    inner = mH(v).matmul(grad_vectors)
    if inner.is_complex():
        _gauge(inner, "linalg_eigh_backward")
    made = inner / _differences(eigenvalues)
    made = made - torch.diag_embed(made.diagonal(0, -2, -1))
    if grad_values is not None:
        made = made + torch.diag_embed(grad_values)
    made = v.matmul(made).matmul(mH(v))
    return 0.5 * (made + mH(made))  # the other part can't be reached


derive(
    _linalg_eigh,
    name_="LinalgEighBackward0",
    A=lambda grads, eigenvalues, eigenvectors: _eigh_backward(
        grads, eigenvalues, eigenvectors
    ),
)


@operator(
    'linalg_eigh(Tensor self, str UPLO="L") -> (Tensor eigenvalues, Tensor '
    "eigenvectors)",
    variants="private",
    tags="out",
)
def linalg_eigh(self, UPLO="L"):
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices."""
    return return_type(linalg_eigh)(torch._linalg_eigh(self, UPLO, True))


@operator(
    'linalg_eigvalsh(Tensor self, str UPLO="L") -> Tensor',
    variants="private",
    tags="out",
)
def linalg_eigvalsh(self, UPLO="L"):
    """The eigenvalues of Hermitian matrices, ascending."""
    wanted = self.requires_grad and grad_enabled()
    return torch._linalg_eigh(self, UPLO, wanted)[0]


def _complex(dtype: Any) -> Any:
    return dtype if dtype.is_complex else dtype.to_complex()


_eig = host_primitive(
    "_eig(Tensor self, bool vectors) -> (Tensor eigenvalues, Tensor eigenvectors)",
    lambda a, vectors: (
        (a.shape[:-1], _complex(a.dtype)),
        (a.shape if vectors else (0,), _complex(a.dtype)),
    ),
)


def _check_eig(t: Any, name: str) -> None:
    check_square(t, name)
    if not (t.dtype.is_floating_point or t.dtype.is_complex):
        raise RuntimeError(
            f"Unknown Complex ScalarType for {dtypes.scalar_type_name(t.dtype)}"
        )
    check_kernel_dtype(t, "linalg_eig_out_cpu")


@operator(
    "linalg_eig(Tensor self) -> (Tensor eigenvalues, Tensor eigenvectors)",
    variants="private",
    tags="out",
)
def linalg_eig(self):
    """Complex eigenvalues and eigenvectors of square matrices."""
    _check_eig(self, "linalg.eig")
    return return_type(linalg_eig)(_eig(self, True))


def _eig_backward(grads: Any, self: Any, eigenvalues: Any, eigenvectors: Any) -> Any:
    grad_values, grad_vectors = grads
    v = eigenvectors
    if grad_vectors is None:
        if grad_values is None:
            return None
        inner = torch.diag_embed(grad_values)
    else:
        own = mH(v).matmul(grad_vectors)
        diagonal = own.diagonal(0, -2, -1)
        _gauge(own, "linalg_eig_backward")
        norm = mH(v).matmul(v * torch.real(diagonal).unsqueeze(-2))
        inner = (own - norm) / conj(_differences(eigenvalues))
        inner = inner - torch.diag_embed(inner.diagonal(0, -2, -1))
        if grad_values is not None:
            inner = inner + torch.diag_embed(grad_values)
    made = torch.linalg_solve_ex(mH(v), inner.matmul(mH(v)))[0]
    return made if self.is_complex() else torch.real(made)


derive(
    linalg_eig,
    self=lambda grads, self, eigenvalues, eigenvectors: _eig_backward(
        grads, self, eigenvalues, eigenvectors
    ),
)


@operator("linalg_eigvals(Tensor self) -> Tensor", variants="private", tags="out")
def linalg_eigvals(self):
    """The complex eigenvalues of square matrices."""
    if self.requires_grad and grad_enabled():
        return torch.linalg_eig(self)[0]
    _check_eig(self, "linalg.eigvals")
    return _eig(self, False)[0]


# Singular values.


def _svd_shapes(a: Any, full: bool, vectors: bool) -> Any:
    *batch, m, n = a.shape
    k = min(m, n)
    values = ((*batch, k), real_dtype(a.dtype))
    if not vectors:
        return ((0,), a.dtype), values, ((0,), a.dtype)
    left = ((*batch, m, m if full else k), a.dtype)
    return left, values, ((*batch, n if full else k, n), a.dtype)


_svd = host_primitive(
    "_svd(Tensor A, bool full_matrices, bool compute_uv) -> (Tensor U, Tensor S, "
    "Tensor Vh)",
    _svd_shapes,
)


@operator(
    "_linalg_svd(Tensor A, bool full_matrices=False, bool compute_uv=True, *, "
    "str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
    variants="function",
    tags="out",
)
def _linalg_svd(A, full_matrices=False, compute_uv=True, *, driver):
    """Singular values, and singular vectors where these are wanted."""
    check_matrix(A, "linalg.svd")
    check_floating(A, "linalg.svd")
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA "
            "inputs with cuSOLVER backend."
        )
    check_kernel_dtype(A, "linalg_svd_cpu")
    return return_type(_linalg_svd)(_svd(A, full_matrices, compute_uv))


def _svd_backward(grads: Any, U: Any, S: Any, Vh: Any) -> Any:
    grad_u, grad_s, grad_vh = grads
    if all(g is None for g in grads):
        return None
    m, n, k = U._shape[-2], Vh._shape[-1], S._shape[-1]
    # Of the full matrices only the first columns have gradients that mean anything.
    U, Vh = U.narrow(-1, 0, k), Vh.narrow(-2, 0, k)
    if grad_u is None and grad_vh is None:
        return (U * grad_s.unsqueeze(-2).to(U.dtype)).matmul(Vh)
    size = S.unsqueeze(-2)
    gaps = (size - size.mT) * (size + size.mT) + eye_like(S, k)
    inner: Any = None
    phases: Any = None
    if grad_u is not None:
        grad_u = grad_u.narrow(-1, 0, k)
        own = mH(U).matmul(grad_u)
        skew = own - mH(own)
        phases = skew
        inner = skew / gaps * size
    if grad_vh is not None:
        grad_vh = grad_vh.narrow(-2, 0, k)
        own = Vh.matmul(mH(grad_vh))
        skew = own - mH(own)
        phases = skew if phases is None else phases + skew
        right = size.mT * (skew / gaps)
        inner = right if inner is None else inner + right
    inner = inner - torch.diag_embed(inner.diagonal(0, -2, -1))
    if grad_s is not None:
        inner = inner + torch.diag_embed(grad_s)
    if U.is_complex():
        _imaginary_diagonal(
            phases,
            "svd_backward: The singular vectors in the complex case are specified up to "
            "multiplication by e^{i phi}. The specified loss function depends on this "
            "phase term, making it ill-defined.",
        )
        if grad_u is not None:
            own = mH(U).matmul(grad_u)
            turn = (own - mH(own)).diagonal(0, -2, -1) / (2 * S)
            inner = inner + torch.diag_embed(turn)
    made = U.matmul(inner)
    if grad_u is not None and m > k:
        outside = grad_u - U.matmul(mH(U).matmul(grad_u))
        made = made + outside / size
    made = made.matmul(Vh)
    if grad_vh is not None and n > k:
        outside = grad_vh - grad_vh.matmul(mH(Vh)).matmul(Vh)
        made = made + U.matmul(outside / S.unsqueeze(-1))
    return made


derive(
    _linalg_svd,
    name_="LinalgSvdBackward0",
    A=lambda grads, U, S, Vh: _svd_backward(grads, U, S, Vh),
)


@operator(
    "linalg_svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, "
    "Tensor S, Tensor Vh)",
    variants="private",
    tags="out",
)
def linalg_svd(A, full_matrices=True, *, driver):
    """U, S and Vh with A = U diag(S) Vh, the singular values descending."""
    made = torch._linalg_svd(A, full_matrices, True, driver=driver)
    return return_type(linalg_svd)(made)


@operator(
    "linalg_svdvals(Tensor A, *, str? driver=None) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_svdvals(A, *, driver):
    """The singular values, descending."""
    wanted = A.requires_grad and grad_enabled()
    return torch._linalg_svd(A, False, wanted, driver=driver)[1]


@operator(
    "svd(Tensor self, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, "
    "Tensor V)",
    tags="out",
)
def svd(self, some=True, compute_uv=True):
    """As ``linalg.svd``, which replaces it, with V in place of Vh."""
    if self.ndim < 2:
        raise RuntimeError(
            "linalg.svd: input should have at least 2 dimensions, but has "
            f"{self.ndim} dimensions instead"
        )
    *batch, m, n = self._shape
    if compute_uv:
        left, values, right = torch._linalg_svd(self, not some, True)
        return return_type(svd)((left, values, right.mH))
    values = torch.linalg_svdvals(self)
    zeros = (self.new_zeros((*batch, m, m)), self.new_zeros((*batch, n, n)))
    return return_type(svd)((zeros[0].detach(), values, zeros[1].mH))
