"""LU and LDL decompositions, and the determinants and inverses that follow from LU."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import return_type
from dispatchtorch.ops._common import conj, scalar_type_name, torch
from dispatchtorch.ops._linalg import (
    broadcast_batch,
    check_floating,
    check_info,
    check_kernel_dtype,
    check_square,
    column_major,
    deprecated,
    eye_like,
    host_primitive,
    mH,
    mT,
    row_major,
)

__all__ = ["SINGULAR", "solve_again"]

SINGULAR = (
    "The diagonal element {code} is zero, the inversion could not be completed because "
    "the input matrix is singular."
)

_lu = host_primitive(
    "_lu(Tensor A) -> (Tensor LU, Tensor pivots, Tensor info)",
    lambda a: (
        (a.shape, a.dtype),
        ((*a.shape[:-2], min(a.shape[-2:])), dtypes.int32),
        (a.shape[:-2], dtypes.int32),
    ),
)


def _check_lu(A: Any, name: str, pivot: bool) -> None:
    if A.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: "
            f"{list(A._shape)} instead"
        )
    check_kernel_dtype(A, "lu_cpu")
    if not pivot:
        raise RuntimeError(
            "linalg.lu_factor: LU without pivoting is not implemented on the CPU"
        )


_ZERO_PIVOT = (
    "U[{code},{code}] is zero and using it on lu_solve would result in a division by "
    "zero. If you still want to perform the factorization, consider calling linalg.lu(A, "
    "pivot) or linalg.lu_factor_ex(A, pivot)"
)


@operator(
    "linalg_lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> "
    "(Tensor LU, Tensor pivots, Tensor info)",
    variants="private",
    tags="out",
)
def linalg_lu_factor_ex(A, *, pivot, check_errors):
    """L and U in one matrix, the rows swapped, and 0 or where U has its first zero."""
    _check_lu(A, "torch.lu_factor", pivot)
    made = _lu(A)
    if check_errors:
        check_info(made[2], "torch.linalg.lu_factor_ex", _ZERO_PIVOT, RuntimeError)
    return return_type(linalg_lu_factor_ex)(made)


def _lu_backward(grad_l: Any, grad_u: Any, P: Any, L: Any, U: Any) -> Any:
    """The gradient of A = P L U, in three blocks for matrices that aren't square."""
    m, n = L._shape[-2], U._shape[-1]
    k = min(m, n)
    if grad_l is None and grad_u is None:
        return None
    if k == 0:
        return torch.zeros_like(P.matmul(L.matmul(U)))
    low, up = L.narrow(-2, 0, k), U.narrow(-1, 0, k)
    inner_l = inner_u = None
    if grad_l is not None:
        inner_l = mH(low).matmul(grad_l.narrow(-2, 0, k))
    if grad_u is not None:
        inner_u = grad_u.narrow(-1, 0, k).matmul(mH(up))
    rest_l = grad_l.narrow(-2, k, m - k) if grad_l is not None and m > k else None
    rest_u = grad_u.narrow(-1, k, n - k) if grad_u is not None and n > k else None
    if rest_u is not None:
        through = rest_u.matmul(mH(U.narrow(-1, k, n - k)))
        inner_l = -through if inner_l is None else inner_l - through
    if rest_l is not None:
        through = mH(L.narrow(-2, k, m - k)).matmul(rest_l)
        inner_u = -through if inner_u is None else inner_u - through
    inner = None
    if inner_l is not None:
        inner = inner_l.tril(-1)
    if inner_u is not None:
        inner = inner_u.triu() if inner is None else inner + inner_u.triu()
    made = torch.linalg_solve_triangular(mH(up), inner, upper=False, left=False)
    made = torch.linalg_solve_triangular(mH(low), made, upper=True, unitriangular=True)
    if rest_u is not None:
        beside = torch.linalg_solve_triangular(
            mH(low), rest_u, upper=True, unitriangular=True
        )
        made = torch.cat([made, beside], -1)
    elif n > k:
        made = torch.cat([made, torch.zeros_like(U.narrow(-1, k, n - k))], -1)
    if rest_l is not None:
        under = torch.linalg_solve_triangular(mH(up), rest_l, upper=False, left=False)
        made = torch.cat([made, under], -2)
    elif m > k:
        made = torch.cat([made, torch.zeros_like(L.narrow(-2, k, m - k))], -2)
    return P.matmul(made)


def _lu_factor_backward(grad: Any, LU: Any, pivots: Any) -> Any:
    P, L, U = torch.lu_unpack(LU, pivots)
    k = pivots._shape[-1]
    grad_l, grad_u = grad.narrow(-1, 0, k), grad.narrow(-2, 0, k)
    return _lu_backward(grad_l, grad_u, P, L, U)


derive(
    linalg_lu_factor_ex,
    outputs_=(0,),
    A=lambda grad, LU, pivots: _lu_factor_backward(grad, LU, pivots),
)


@operator(
    "linalg_lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)",
    variants="private",
    tags="out",
)
def linalg_lu_factor(A, *, pivot):
    """L and U in one matrix, and the rows swapped (counted from 1)."""
    LU, pivots, info = torch.linalg_lu_factor_ex(A, pivot=pivot)
    check_info(info, "torch.linalg.lu_factor", _ZERO_PIVOT, RuntimeError)
    return return_type(linalg_lu_factor)((LU, pivots))


@operator(
    "_lu_with_info(Tensor self, bool pivot=True, bool check_errors=True) -> (Tensor LU, "
    "Tensor pivots, Tensor info)",
    variants="function",
)
def _lu_with_info(self, pivot=True, check_errors=True):
    """What ``torch.lu`` stands on."""
    deprecated(
        "torch.lu is deprecated in favor of torch.linalg.lu_factor / "
        "torch.linalg.lu_factor_ex and will be removed in a future PyTorch release.\nLU, "
        "pivots = torch.lu(A, compute_pivots)\nshould be replaced with\nLU, pivots = "
        "torch.linalg.lu_factor(A, compute_pivots)\nand\nLU, pivots, info = torch.lu(A, "
        "compute_pivots, get_infos=True)\nshould be replaced with\nLU, pivots, info = "
        "torch.linalg.lu_factor_ex(A, compute_pivots)"
    )
    made = torch.linalg_lu_factor_ex(self, pivot=pivot, check_errors=check_errors)
    return return_type(_lu_with_info)(tuple(made))


# Row swaps, in order, as one permutation: row i of the permuted matrix is row order[i].
_row_order = host_primitive(
    "_row_order(Tensor pivots, int rows) -> Tensor",
    lambda pivots, rows: ((*pivots.shape[:-1], rows), dtypes.int64),
)


@operator(
    "lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool "
    "unpack_pivots=True) -> (Tensor P, Tensor L, Tensor U)",
    variants="function",
    tags="out",
)
def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True):
    """P, L and U from what ``linalg.lu_factor`` returns."""
    if LU_data.ndim < 2:
        raise RuntimeError(
            "torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: "
            f"{list(LU_data._shape)} instead"
        )
    if unpack_pivots and LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of "
            "torch.int32 dtype.\nNote: this function is intended to be used with the "
            "output produced by torch.linalg.lu_factor"
        )
    m, n = LU_data._shape[-2:]
    k = min(m, n)
    P = L = U = LU_data.new_empty((0,))
    if unpack_data:
        L = LU_data.narrow(-1, 0, k).tril(-1) + eye_like(LU_data, m, k)
        U = LU_data.narrow(-2, 0, k).triu()
    if unpack_pivots:
        if LU_pivots.numel() and not LU_pivots.is_meta:
            low, high = int(LU_pivots.amin().item()), int(LU_pivots.amax().item())
            if low < 1 or high > m:
                raise RuntimeError(
                    "pivots passed to lu_unpack must be between 1 and LU.size(-2) "
                    "inclusive.Did you properly pass the result of lu_factor?"
                )
        batch = LU_data._shape[:-2]
        pivots = LU_pivots.expand((*batch, LU_pivots._shape[-1]))
        order = _row_order(pivots, m)
        columns = torch.arange(m, device=LU_data.device)
        P = mT(order.unsqueeze(-1) == columns).to(LU_data.dtype).contiguous()
    return return_type(lu_unpack)((P, L, U))


def _unpack_backward(grads: Any, LU_data: Any) -> Any:
    _, grad_l, grad_u = grads
    made = None
    shape = LU_data._shape
    for g, part in ((grad_l, "l"), (grad_u, "u")):
        if g is None:
            continue
        g = g.tril(-1) if part == "l" else g.triu()
        dim = -1 if part == "l" else -2
        lacks = shape[dim] - g._shape[dim]
        if lacks:
            zeros = list(shape)
            zeros[dim] = lacks
            g = torch.cat([g, g.new_zeros(zeros)], dim)
        made = g if made is None else made + g
    return made


derive(
    lu_unpack,
    outputs_=(1, 2),
    LU_data=lambda grads, LU_data: _unpack_backward(grads, LU_data),
)


@operator(
    "linalg_lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)",
    variants="private",
    tags="out",
)
def linalg_lu(A, *, pivot):
    """P, L and U with A = P L U."""
    _check_lu(A, "linalg.lu", pivot)
    LU, pivots, _ = _lu(A)
    return return_type(linalg_lu)(tuple(torch.lu_unpack(LU, pivots)))


derive(
    linalg_lu,
    outputs_=(1, 2),
    A=lambda grads, P, L, U: _lu_backward(grads[1], grads[2], P, L, U),
)


# Solving with a factorisation.


def _check_pair(a: Any, b: Any, name: str, left: bool, label: str = "A") -> None:
    """What systems A X = B and X A = B ask of A and B."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected {label} and B to have the same dtype, but found {label} of "
            f"type {scalar_type_name(a.dtype)} and B of type {scalar_type_name(b.dtype)} "
            "instead"
        )


def check_systems(a: Any, b: Any, name: str, left: bool) -> None:
    """RuntimeError where the sizes of A X = B (or X A = B) don't fit."""
    x, y = a._shape, b._shape
    if x[-2] != (y[-2] if left else y[-1]):
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({x[-2]}x{x[-1]} and {y[-2]}x{y[-1]})"
        )


@operator(
    "linalg_lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool "
    "adjoint=False) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_lu_solve(LU, pivots, B, *, left, adjoint):
    """The solution of A X = B (or of X A = B, or with Aᴴ) from A's factorisation."""
    name = "linalg.lu_solve"
    check_floating(LU, f"torch.{name}")
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            f"{name}: pivots should be a Tensor of scalar type torch.int32"
        )
    check_square(LU, f"torch.{name}")
    if B.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor B must have at least 2 dimensions."
        )
    _check_pair(LU, B, name, left, "LU")
    check_systems(LU, B, name, left)
    if pivots.ndim < 1 or LU._shape[-1] != pivots._shape[-1]:
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the "
            "matrix"
        )
    if LU._shape[:-2] != pivots._shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LU.shape[:-1] and pivots.shape to be the same, but got "
            f"pivots with shape {list(pivots._shape)} instead"
        )
    check_kernel_dtype(LU, "lu_solve_cpu")
    made = _solve_factored(LU, pivots, B if left else mH(B), adjoint == left)
    if left or not made.numel():
        return column_major(made if left else made.mT)
    return row_major(made.mT).conj()


def _triangular(a: Any, b: Any, upper: bool, unit: bool, adjoint: bool) -> Any:
    if adjoint:
        a, upper = mH(a), not upper
    return torch.linalg_solve_triangular(a, b, upper=upper, unitriangular=unit)


def _solve_factored(LU: Any, pivots: Any, b: Any, adjoint: bool) -> Any:
    """A X = B, or Aᴴ X = B, by two triangular systems and the permutation."""
    LU, b = broadcast_batch(LU, b)
    n = LU._shape[-1]
    order = _row_order(pivots, n)
    order = order.expand((*b._shape[:-2], n)).unsqueeze(-1).expand(b._shape)
    if not adjoint:
        half = _triangular(LU, b.gather(-2, order), False, True, False)
        return _triangular(LU, half, True, False, False)
    half = _triangular(LU, b, True, False, True)
    half = _triangular(LU, half, False, True, True)
    return torch.zeros_like(half).scatter(-2, order, half)


def _lu_solve_backward(
    grad: Any, LU: Any, pivots: Any, result: Any, left: bool, adjoint: bool
) -> Any:
    """The gradient of the packed factors; that of B is another solution."""
    grad, result = (grad, result) if left else (mH(grad), mH(result))
    transposed = adjoint == left
    P, L, U = torch.lu_unpack(LU, pivots)
    if not transposed:  # U X = R, L R = Pᵀ B
        middle = U.matmul(result)
        grad_r = _triangular(U, grad, True, False, True)
        grad_u = -grad_r.matmul(mH(result))
        grad_c = _triangular(L, grad_r, False, True, True)
        grad_l = -grad_c.matmul(mH(middle))
    else:  # Uᴴ R = B, Lᴴ Y = R, X = P Y
        y = mT(P).matmul(result)
        middle = mH(L).matmul(y)
        grad_y = mT(P).matmul(grad)
        grad_r = _triangular(L, grad_y, False, True, False)
        grad_l = -y.matmul(mH(grad_r))
        grad_b = _triangular(U, grad_r, True, False, False)
        grad_u = -middle.matmul(mH(grad_b))
    return grad_l.tril(-1) + grad_u.triu()


derive(
    linalg_lu_solve,
    LU=_lu_solve_backward,
    B=lambda grad, LU, pivots, left, adjoint: torch.linalg_lu_solve(
        LU, pivots, grad, left=left, adjoint=not adjoint
    ),
)


@operator(
    "lu_solve(Tensor self, Tensor LU_data, Tensor LU_pivots) -> Tensor", tags="out"
)
def lu_solve(self, LU_data, LU_pivots):
    """As ``linalg.lu_solve``, which replaces it, with its arguments reversed."""
    deprecated(
        "torch.lu_solve is deprecated in favor of torch.linalg.lu_solveand will be "
        "removed in a future PyTorch release.\nNote that torch.linalg.lu_solve has its "
        "arguments reversed.\nX = torch.lu_solve(B, LU, pivots)\nshould be replaced "
        "with\nX = torch.linalg.lu_solve(LU, pivots, B)"
    )
    return torch.linalg_lu_solve(LU_data, LU_pivots, self)


def solve_again(A: Any, LU: Any, pivots: Any, B: Any, left: bool = True) -> Any:
    """Aᴴ X = B in a backward pass: by the saved factors, unless it is recorded itself."""
    from dispatchtorch.dispatch.state import grad_enabled

    if grad_enabled():
        return torch.linalg_solve_ex(mH(A), B, left=left)[0]
    return torch.linalg_lu_solve(LU, pivots, B, left=left, adjoint=True)


# Determinants.


def _diagonal_and_sign(LU: Any, pivots: Any) -> tuple[Any, Any]:
    """U's diagonal, and the sign of the permutation."""
    n = LU._shape[-1]
    own = torch.arange(1, n + 1, dtype=pivots.dtype, device=pivots.device)
    swaps = (pivots != own).sum(-1)
    return LU.diagonal(0, -2, -1), 1 - 2 * (swaps % 2)


@operator(
    "_linalg_det(Tensor A) -> (Tensor result, Tensor LU, Tensor pivots)",
    variants="function",
    tags="out",
)
def _linalg_det(A):
    """The determinant, and the factorisation it is the diagonal's product of."""
    check_square(A, "linalg.det")
    check_floating(A, "linalg.det")
    check_kernel_dtype(A, "lu_cpu")
    LU, pivots, _ = _lu(A)
    diagonal, sign = _diagonal_and_sign(LU, pivots)
    made = diagonal.prod(-1) * sign.to(LU.dtype)
    return return_type(_linalg_det)((made, LU, pivots))


def _det_backward(grad: Any, A: Any, result: Any, LU: Any, pivots: Any) -> Any:
    """Jacobi's formula: the adjugate, by the inverse or else by singular values."""
    n = A._shape[-1]
    if A.numel() == 0:
        return torch.zeros_like(A)
    if n == 1:
        return grad.unsqueeze(-1).unsqueeze(-1)
    scale = (grad * conj(result)).unsqueeze(-1).unsqueeze(-1)
    near = result.detach().abs() < 100 * dtypes.finfo(result.dtype).eps
    if A.is_meta or not bool(near.any()):
        return solve_again(A, LU, pivots, scale * eye_like(A, n))
    mask = near.unsqueeze(-1).unsqueeze(-1)
    # Each formula gets matrices that are good for it where the other one counts.
    steps = torch.arange(1, n + 1, dtype=A.dtype, device=A.device)
    singular = torch.where(mask, A, torch.diag_embed(steps))
    regular = torch.where(mask, eye_like(A, n), A)
    inverse = torch.linalg_solve_ex(mH(regular), scale * eye_like(A, n))[0]
    U, S, Vh = torch.linalg_svd(singular)
    factor = grad * conj(torch.linalg_det(U) * torch.linalg_det(Vh))
    adjugate = (U * _products_of_others(S).unsqueeze(-2).to(U.dtype)).matmul(Vh)
    return torch.where(mask, factor.unsqueeze(-1).unsqueeze(-1) * adjugate, inverse)


def _products_of_others(s: Any) -> Any:
    """For each entry of the last dim the product of the others."""
    ones = torch.ones_like(s.narrow(-1, 0, 1))
    n = s._shape[-1]
    before = torch.cat([ones, s.narrow(-1, 0, n - 1)], -1).cumprod(-1)
    after = torch.cat([ones, s.flip(-1).narrow(-1, 0, n - 1)], -1).cumprod(-1)
    return before * after.flip(-1)


derive(
    _linalg_det,
    name_="LinalgDetBackward0",
    outputs_=(0,),
    A=_det_backward,
)


@operator("linalg_det(Tensor A) -> Tensor", variants="private", tags="out")
def linalg_det(A):
    """The determinant of square matrices."""
    return torch._linalg_det(A)[0]


@operator("det(Tensor self) -> Tensor")
def det(self):
    """As ``linalg.det``."""
    return torch.linalg_det(self)


@operator(
    "_linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet, Tensor LU, Tensor "
    "pivots)",
    variants="function",
    tags="out",
)
def _linalg_slogdet(A):
    """The determinant's sign and logarithm, and the factorisation they are from."""
    check_square(A, "linalg.slogdet")
    check_floating(A, "linalg.slogdet", low_precision=False)
    LU, pivots, _ = _lu(A)
    diagonal, parity = _diagonal_and_sign(LU, pivots)
    sign = diagonal.sgn().prod(-1) * parity.to(LU.dtype)
    size = diagonal.abs().log().sum(-1)
    return return_type(_linalg_slogdet)((sign, size, LU, pivots))


def _slogdet_backward(grads: Any, A: Any, sign: Any, LU: Any, pivots: Any) -> Any:
    grad_sign, grad_size = grads[0], grads[1]
    if grad_sign is None and grad_size is None:
        return None
    factor = grad_size
    if A.is_complex():
        if grad_sign is not None:
            turn = grad_sign * conj(sign)
            turn = 0.5 * (turn - conj(turn))
            factor = turn if factor is None else factor + turn
    elif factor is None:
        return torch.zeros_like(A)
    spread = factor.unsqueeze(-1).unsqueeze(-1) * eye_like(A, A._shape[-1])
    return solve_again(A, LU, pivots, spread)


derive(
    _linalg_slogdet,
    name_="LinalgSlogdetBackward0",
    outputs_=(0, 1),
    A=_slogdet_backward,
)


@operator(
    "linalg_slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)",
    variants="private",
    tags="out",
)
def linalg_slogdet(A):
    """The sign and the logarithm of the absolute value of the determinant."""
    return return_type(linalg_slogdet)(tuple(torch._linalg_slogdet(A))[:2])


@operator("slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)", tags="out")
def slogdet(self):
    """As ``linalg.slogdet``."""
    return return_type(slogdet)(tuple(torch._linalg_slogdet(self))[:2])


@operator("logdet(Tensor self) -> Tensor")
def logdet(self):
    """The logarithm of the determinant; NaN where that is negative."""
    check_square(self, "logdet")
    check_floating(self, "logdet", low_precision=False)
    sign, size = torch.linalg_slogdet(self)
    if self.is_complex():
        return sign.log() + size
    return torch.where(sign == -1, float("nan"), size)


# Inverses.


@operator(
    "linalg_inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor "
    "info)",
    variants="private",
    tags="out",
)
def linalg_inv_ex(A, *, check_errors):
    """The inverse, and 0 or the place of the first zero on U's diagonal."""
    check_square(A, "linalg.inv")
    check_floating(A, "linalg.inv", low_precision=False)
    LU, pivots, info = _lu(A)
    if check_errors:
        check_info(info, "linalg.inv_ex", SINGULAR)
    ones = eye_like(A, A._shape[-1]).expand(A._shape)
    made = column_major(_solve_factored(LU, pivots, ones, False))
    return return_type(linalg_inv_ex)((made, info))


derive(
    linalg_inv_ex,
    outputs_=(0,),
    A=lambda grad, inverse: -mH(inverse).matmul(grad.matmul(mH(inverse))),
)


def _inverse(A: Any, name: str) -> Any:
    made, info = torch.linalg_inv_ex(A)
    check_info(info, name, SINGULAR)
    return made


@operator("linalg_inv(Tensor A) -> Tensor", variants="private", tags="out")
def linalg_inv(A):
    """The inverse of square matrices; LinAlgError for singular ones."""
    return _inverse(A, "linalg.inv")


@operator("inverse(Tensor self) -> Tensor", tags="out")
def inverse(self):
    """As ``linalg.inv``."""
    return _inverse(self, "linalg.inv")
