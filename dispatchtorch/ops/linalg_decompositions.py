"""Decompositions of matrices that aren't spectral: Cholesky, QR, reflectors.

Each stands on a private operator that devices may leave to ``cpu``. The gradients follow
Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), and
Walter and Lehmann, "Algorithmic differentiation of linear algebra functions" (2018),
extended to complex matrices.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import return_type
from dispatchtorch.ops._common import conj, torch
from dispatchtorch.ops._linalg import (
    check_floating,
    check_info,
    check_kernel_dtype,
    check_matrix,
    check_square,
    column_major,
    deprecated,
    element,
    eye_like,
    host_primitive,
    mH,
)

__all__: list[str] = []


# Cholesky.

_cholesky = host_primitive(
    "_cholesky(Tensor A, bool upper) -> (Tensor L, Tensor info)",
    lambda a, upper: ((a.shape, a.dtype), (a.shape[:-2], dtypes.int32)),
)
_NOT_POSITIVE = (
    "The factorization could not be completed because the input is not positive-definite "
    "(the leading minor of order {code} is not positive-definite)."
)


@operator(
    "linalg_cholesky_ex(Tensor self, *, bool upper=False, bool check_errors=False) -> "
    "(Tensor L, Tensor info)",
    variants="private",
    tags="out",
)
def linalg_cholesky_ex(self, *, upper, check_errors):
    """Cholesky's factor, and 0 or the order of the first minor that isn't positive."""
    check_square(self, "linalg.cholesky")
    check_floating(self, "linalg.cholesky")
    check_kernel_dtype(self, "cholesky_cpu")
    made = _cholesky(self, upper)
    if check_errors:
        check_info(made[1], "linalg.cholesky_ex", _NOT_POSITIVE)
    return return_type(linalg_cholesky_ex)(made)


def _cholesky_backward(grad: Any, factor: Any, upper: bool) -> Any:
    lower, grad = (mH(factor), mH(grad)) if upper else (factor, grad)
    inner = mH(lower).matmul(grad).tril()
    inner = 0.5 * (inner + mH(inner.tril(-1)))
    half = torch.linalg_solve_triangular(mH(lower), inner, upper=True)
    return torch.linalg_solve_triangular(lower, half, upper=False, left=False)


derive(
    linalg_cholesky_ex,
    outputs_=(0,),
    self=lambda grad, L, upper: _cholesky_backward(grad, L, upper),
)


@operator(
    "linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_cholesky(self, *, upper):
    """The triangular L of A = L Lᴴ; LinAlgError unless A is positive definite."""
    factor, info = torch.linalg_cholesky_ex(self, upper=upper)
    check_info(info, "linalg.cholesky", _NOT_POSITIVE)
    return factor


@operator("cholesky(Tensor self, bool upper=False) -> Tensor", tags="out")
def cholesky(self, upper=False):
    """As ``linalg.cholesky``, which replaces it."""
    deprecated(
        "torch.cholesky is deprecated in favor of torch.linalg.cholesky and will be "
        "removed in a future PyTorch release.\nL = torch.cholesky(A)\nshould be "
        "replaced with\nL = torch.linalg.cholesky(A)\nand\nU = torch.cholesky(A, "
        "upper=True)\nshould be replaced with\nU = torch.linalg.cholesky(A).mH\nThis "
        "transform will produce equivalent results for all valid (symmetric positive "
        "definite) inputs."
    )
    check_square(self, "cholesky")
    check_kernel_dtype(self, "cholesky_cpu")
    factor, info = _cholesky(self, upper)
    check_info(info, "cholesky", _NOT_POSITIVE)
    return factor


derive(
    cholesky, self=lambda grad, result, upper: _cholesky_backward(grad, result, upper)
)


@operator("cholesky_inverse(Tensor self, bool upper=False) -> Tensor", tags="out")
def cholesky_inverse(self, upper=False):
    """The inverse of L Lᴴ (Uᴴ U) from its factor."""
    check_square(self, "cholesky_inverse")
    check_kernel_dtype(self, "cholesky_inverse_out_cpu")
    zero = self.diagonal(0, -2, -1) == 0
    found = (
        element((zero.long().cumsum(-1) == 1).long().argmax(-1) + zero.any(-1))
        if zero.numel() and not zero.is_meta and bool(zero.any())
        else None
    )
    if found is not None:
        raise_singular("cholesky_inverse", found)
    return column_major(
        torch.cholesky_solve(eye_like(self, self._shape[-1]), self, upper)
    )


def raise_singular(name: str, found: tuple[str, int]) -> None:
    """LinAlgError for a zero on a diagonal."""
    from dispatchtorch.errors import LinAlgError

    where, code = found
    raise LinAlgError(
        f"{name}: {where}The diagonal element {code} is zero, the inversion could not be "
        "completed because the input matrix is singular."
    )


def _cholesky_inverse_backward(grad: Any, self: Any, upper: bool, result: Any) -> Any:
    both = grad + mH(grad)
    inner = result.matmul(both).matmul(result)
    return -(self.matmul(inner) if upper else inner.matmul(self))


derive(cholesky_inverse, self=_cholesky_inverse_backward)


# QR.

_QR_MODES = ("reduced", "r", "complete")


def _qr_shapes(a: Any, mode: str) -> Any:
    *batch, m, n = a.shape
    rows = m if mode == "complete" else min(m, n)
    q = (0,) if mode == "r" else (*batch, m, rows)
    return (q, a.dtype), ((*batch, rows, n), a.dtype)


_qr = host_primitive("_qr(Tensor A, str mode) -> (Tensor Q, Tensor R)", _qr_shapes)


@operator(
    'linalg_qr(Tensor A, str mode="reduced") -> (Tensor Q, Tensor R)',
    variants="private",
    tags="out",
)
def linalg_qr(A, mode="reduced"):
    """Orthonormal columns Q and an upper triangular R with A = Q R."""
    check_matrix(A, "linalg.qr")
    check_floating(A, "linalg.qr")
    if mode not in _QR_MODES:
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' "
            "(default), 'r', or 'complete'"
        )
    check_kernel_dtype(A, "geqrf_cpu")
    return return_type(linalg_qr)(_qr(A, mode))


def _qr_backward(grads: Any, Q: Any, R: Any, mode: str) -> Any:
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when "
            "mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to "
            "differentiate through linalg.qr."
        )
    m, n = Q._shape[-2], R._shape[-1]
    if mode == "complete" and m > n:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > "
            "ncols."
        )
    grad_q, grad_r = grads
    if grad_q is None and grad_r is None:
        return None
    if m >= n:
        return _qr_square(grad_q, grad_r, Q, R)
    # The columns beyond the first square block only follow it: V = Qᴴ Y.
    left, right = R.narrow(-1, 0, m), R.narrow(-1, m, n - m)
    if grad_r is None:
        made = _qr_square(grad_q, None, Q, left)
        return torch.cat([made, torch.zeros_like(right)], -1)
    grad_right = grad_r.narrow(-1, m, n - m)
    through = Q.matmul(right).matmul(mH(grad_right))
    total = through if grad_q is None else grad_q + through
    made = _qr_square(total, grad_r.narrow(-1, 0, m), Q, left)
    return torch.cat([made, Q.matmul(grad_right)], -1)


def _qr_square(grad_q: Any, grad_r: Any, q: Any, r: Any) -> Any:
    inner: Any = None
    if grad_r is not None:
        inner = grad_r.matmul(mH(r))
    if grad_q is not None:
        own = mH(q).matmul(grad_q)
        inner = -own if inner is None else inner - own
    upper = inner.triu()
    strict = inner.triu(1)
    real = upper - strict  # the diagonal, of which the real part counts
    if real.is_complex():
        real = 0.5 * (real + conj(real))
    made = q.matmul(strict + mH(strict) + real)
    if grad_q is not None:
        made = made + grad_q
    return torch.linalg_solve_triangular(mH(r), made, upper=False, left=False)


derive(
    linalg_qr,
    A=lambda grads, Q, R, mode: _qr_backward(grads, Q, R, mode),
)


@operator("qr(Tensor self, bool some=True) -> (Tensor Q, Tensor R)", tags="out")
def qr(self, some=True):
    """As ``linalg.qr``, which replaces it."""
    deprecated(
        "torch.qr is deprecated in favor of torch.linalg.qr and will be removed in a "
        "future PyTorch release.\nThe boolean parameter 'some' has been replaced with a "
        "string parameter 'mode'.\nQ, R = torch.qr(A, some)\nshould be replaced with\n"
        "Q, R = torch.linalg.qr(A, 'reduced' if some else 'complete')"
    )
    return return_type(qr)(torch.linalg_qr(self, "reduced" if some else "complete"))


# Householder's reflectors.

_geqrf = host_primitive(
    "_geqrf(Tensor self) -> (Tensor a, Tensor tau)",
    lambda a: (
        (a.shape, a.dtype),
        ((*a.shape[:-2], min(a.shape[-2:])), a.dtype),
    ),
)


@operator("geqrf(Tensor self) -> (Tensor a, Tensor tau)", tags="out")
def geqrf(self):
    """R with the reflectors of Q below its diagonal, and their scales."""
    if self.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    check_kernel_dtype(self, "geqrf_cpu")
    return return_type(geqrf)(_geqrf(self))


def _no_geqrf_backward(grads: Any) -> Any:
    raise NotImplementedError("the derivative for 'geqrf' is not implemented.")


derive(geqrf, self=_no_geqrf_backward)


def _vectors(packed: Any, k: int) -> list[Any]:
    """The reflectors' vectors as columns: ones on the diagonal, zeros above."""
    m = packed._shape[-2]
    unit = packed.narrow(-1, 0, k).tril(-1) + eye_like(packed, m, k)
    return [unit.narrow(-1, i, 1) for i in range(k)]


def _reflect(packed: Any, tau: Any, c: Any, adjoint: bool) -> list[Any]:
    """Q C (or Qᴴ C) by one reflector after the other; every stage from C on."""
    k = tau._shape[-1]
    vectors = _vectors(packed, k)
    stages = [c]
    for i in range(k) if adjoint else reversed(range(k)):
        scale = tau.narrow(-1, i, 1).unsqueeze(-1)
        v = vectors[i]
        c = c - (conj(scale) if adjoint else scale) * v.matmul(mH(v).matmul(c))
        stages.append(c)
    return stages


def _reflect_backward(grad: Any, packed: Any, tau: Any, c: Any, adjoint: bool) -> Any:
    """The gradients of the vectors, the scales and C."""
    k = tau._shape[-1]
    vectors = _vectors(packed, k)
    stages = _reflect(packed, tau, c, adjoint)
    order = list(range(k) if adjoint else reversed(range(k)))
    columns: list[Any] = [None] * k
    scales: list[Any] = [None] * k
    for before, i in zip(reversed(stages[:-1]), reversed(order), strict=True):
        v = vectors[i]
        scale = tau.narrow(-1, i, 1).unsqueeze(-1)
        used = conj(scale) if adjoint else scale
        w = mH(v).matmul(before)
        along = mH(v).matmul(grad)
        grad_scale = -(conj(w) * along).sum(-1)
        scales[i] = conj(grad_scale) if adjoint else grad_scale
        grad_w = -conj(used) * along
        columns[i] = -conj(used) * grad.matmul(mH(w)) + before.matmul(mH(grad_w))
        grad = grad - conj(used) * v.matmul(along)
    if not k:
        return torch.zeros_like(packed), torch.zeros_like(tau), grad
    made = torch.cat(columns, -1).tril(-1)
    rest = packed._shape[-1] - k
    if rest:
        made = torch.cat([made, torch.zeros_like(packed.narrow(-1, k, rest))], -1)
    return made, torch.cat(scales, -1), grad


def _check_reflectors(packed: Any, tau: Any, name: str) -> None:
    if tau.ndim != packed.ndim - 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got "
            f"tau.ndim equal to {tau.ndim} and input.ndim is equal to {packed.ndim}"
        )
    if packed._shape[:-2] != tau._shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], "
            f"but got {list(tau._shape[:-1])}"
        )


@operator(
    "linalg_householder_product(Tensor input, Tensor tau) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_householder_product(input, tau):
    """The first columns of the product of reflectors."""
    name = "torch.linalg.householder_product"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if input._shape[-2] < input._shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if tau.ndim and input._shape[-1] < tau._shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    _check_reflectors(input, tau, name)
    if tau.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {dtypes.scalar_type_name(tau.dtype)} does not match "
            f"input dtype {dtypes.scalar_type_name(input.dtype)}"
        )
    check_kernel_dtype(input, "orgqr_cpu")
    return column_major(_reflect(input, tau, _first_columns(input), False)[-1])


def _first_columns(packed: Any) -> Any:
    return eye_like(packed, *packed._shape[-2:]).expand(packed._shape)


def _householder_backward(grad: Any, input: Any, tau: Any) -> Any:
    if not tau.numel():
        return None, None
    return _reflect_backward(grad, input, tau, _first_columns(input), False)[:2]


derive_joint(linalg_householder_product, "input tau", _householder_backward)


@operator("orgqr(Tensor self, Tensor input2) -> Tensor", tags="out")
def orgqr(self, input2):
    """As ``linalg.householder_product``."""
    return torch.linalg_householder_product(self, input2)


@operator(
    "ormqr(Tensor self, Tensor input2, Tensor input3, bool left=True, "
    "bool transpose=False) -> Tensor",
    tags="out",
)
def ormqr(self, input2, input3, left=True, transpose=False):
    """A product with the whole Q that reflectors stand for."""
    _check_ormqr(self, input2, input3, left)
    c = input3 if left else mH(input3)
    made = _reflect(self, input2, c, left == transpose)[-1]
    return column_major(made if left else mH(made))


def _check_ormqr(self: Any, tau: Any, other: Any, left: bool) -> None:
    name = "torch.ormqr"
    at = -2 if left else -1
    for t, label in ((self, "input"), (other, "other")):
        if t.ndim < 2:
            raise RuntimeError(f"{name}: {label} must have at least 2 dimensions.")
    if other._shape[at] != self._shape[-2]:
        raise RuntimeError(
            f"{name}: other.shape[{at}] must be equal to input.shape[-2]"
        )
    if tau._shape[-1:] != (min(other._shape[at], self._shape[-1]),):
        raise RuntimeError(
            f"{name}: tau.shape[-1] must be equal to min(other.shape[{at}], "
            "input.shape[-1])"
        )
    if tau.ndim != self.ndim - 1:
        _check_reflectors(self, tau, name)
    if other.ndim != self.ndim:
        raise RuntimeError(
            f"{name}: Expected other to have the same number of dimensions as input, but "
            f"got other.ndim equal to {other.ndim} and input.ndim is equal to {self.ndim}"
        )
    _check_reflectors(self, tau, name)
    if self._shape[:-2] != other._shape[:-2]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of other to be equal to input.shape[:-2], "
            f"but got {list(other._shape[:-2])}"
        )
    for t, label in ((tau, "tau"), (other, "other")):
        if t.dtype is not self.dtype:
            raise RuntimeError(
                f"{name}: Expected input and {label} to have the same dtype, but input "
                f"has dtype{dtypes.scalar_type_name(self.dtype)} and {label} has dtype "
                f"{dtypes.scalar_type_name(t.dtype)}"
            )
    check_kernel_dtype(self, "ormqr_cpu")


def _ormqr_backward(
    grad: Any, self: Any, input2: Any, input3: Any, left: bool, transpose: bool
) -> Any:
    if not self.numel() or not input2.numel() or not input3.numel():
        third = torch.ormqr(self, input2, grad, left, not transpose)
        return None, None, third
    c, g = (input3, grad) if left else (mH(input3), mH(grad))
    first, second, third = _reflect_backward(g, self, input2, c, left == transpose)
    return first, second, third if left else mH(third)


derive_joint(ormqr, "self input2 input3", _ormqr_backward)
