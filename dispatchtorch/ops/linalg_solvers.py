"""Systems of linear equations: square, triangular, least squares, and what they give."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.errors import LinAlgError
from dispatchtorch.lift import broadcast_shapes, return_type
from dispatchtorch.ops._common import (
    as_ints,
    numel_of,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops._linalg import (
    broadcast_batch,
    check_floating,
    check_info,
    check_kernel_dtype,
    check_square,
    column_major,
    deprecated,
    element,
    host_primitive,
    mH,
    mT,
    row_major,
)
from dispatchtorch.ops.linalg_lu import (
    _check_pair,
    _solve_factored,
    check_systems,
    solve_again,
)

__all__: list[str] = []

# Triangular systems.

_triangular = host_primitive(
    "_triangular(Tensor A, Tensor B, bool upper, bool unitriangular) -> Tensor",
    lambda a, b, upper, unit: (
        (*broadcast_shapes([a.shape[:-2], b.shape[:-2]]), *b.shape[-2:]),
        b.dtype,
    ),
)


@operator(
    "linalg_solve_triangular(Tensor self, Tensor B, *, bool upper, bool left=True, bool "
    "unitriangular=False) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_solve_triangular(self, B, *, upper, left=True, unitriangular=False):
    """The solution of A X = B (X A = B) with a triangular A; its other half isn't read."""
    name = "linalg.solve_triangular"
    check_square(self, name)
    if B.ndim < 2:
        raise RuntimeError(
            f"{name}: The input tensor B must have at least 2 dimensions."
        )
    check_systems(self, B, name, left)
    if self.dtype is not B.dtype:
        _check_pair(self, B, name, left)
    check_kernel_dtype(self, "triangular_solve_cpu")
    broadcast_shapes([B._shape[:-2], self._shape[:-2]])
    if left:
        return _triangular(self, B, upper, unitriangular)
    made = _triangular(mT(self), mT(B), not upper, unitriangular)
    return column_major(mT(made))


def _half(t: Any, upper: bool, unit: bool) -> Any:
    return t.triu(int(unit)) if upper else t.tril(-int(unit))


def _triangular_backward(
    grad: Any,
    self: Any,
    result: Any,
    upper: bool,
    left: bool,
    unitriangular: bool,
    needs: Any,
) -> Any:
    grad_b = torch.linalg_solve_triangular(
        mH(self), grad, upper=not upper, left=left, unitriangular=unitriangular
    )
    grad_a = None
    if needs[0]:
        if left:
            grad_a = -grad_b.matmul(mH(result))
        else:
            grad_a = -mH(result).matmul(grad_b)
        grad_a = _half(grad_a, upper, unitriangular)
    return grad_a, grad_b if needs[1] else None


derive_joint(linalg_solve_triangular, "self B", _triangular_backward)


@operator(
    "triangular_solve(Tensor self, Tensor A, bool upper=True, bool transpose=False, bool "
    "unitriangular=False) -> (Tensor solution, Tensor cloned_coefficient)",
    tags="out",
)
def triangular_solve(self, A, upper=True, transpose=False, unitriangular=False):
    """As ``linalg.solve_triangular``, which replaces it, with A's copy beside."""
    deprecated(
        "torch.triangular_solve is deprecated in favor of torch.linalg.solve_triangularand "
        "will be removed in a future PyTorch release.\ntorch.linalg.solve_triangular has "
        "its arguments reversed and does not return a copy of one of the inputs.\nX = "
        "torch.triangular_solve(B, A).solution\nshould be replaced with\nX = "
        "torch.linalg.solve_triangular(A, B)."
    )
    for t, label in ((self, "b"), (A, "A")):
        if t.ndim < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {label} to have at least 2 dimensions, "
                f"but it has {t.ndim} dimensions instead"
            )
    _check_old_pair(self, A, "triangular_solve")
    check_kernel_dtype(A, "triangular_solve_cpu")
    left, right = broadcast_batch(A, self)
    coefficient, way = (mT(left), not upper) if transpose else (left, upper)
    made = _triangular(coefficient, right, way, unitriangular)
    return return_type(triangular_solve)((made, column_major(left)))


def _check_old_pair(b: Any, a: Any, name: str) -> None:
    """What the older solvers ask of B and A, in their words."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "Expected b and A to have the same dtype, but found b of type "
            f"{scalar_type_name(b.dtype)} and A of type {scalar_type_name(a.dtype)} "
            "instead."
        )
    x, y = a._shape, b._shape
    if x[-1] != x[-2]:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {x[-2]} by {x[-1]} "
            "matrices"
        )
    if x[-1] != y[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {x[-1]} by {x[-1]} "
            f"but each b matrix is {y[-2]} by {y[-1]}"
        )


def _triangular_solve_backward(
    grads: Any,
    A: Any,
    solution: Any,
    upper: bool,
    transpose: bool,
    unitriangular: bool,
) -> Any:
    grad, grad_clone = grads
    grad_b = grad_a = None
    if grad is not None:
        a, way = (mT(A), not upper) if transpose else (A, upper)
        grad_b = torch.linalg_solve_triangular(
            mH(a), grad, upper=not way, unitriangular=unitriangular
        )
        grad_a = _half(-grad_b.matmul(mH(solution)), way, unitriangular)
        grad_a = mT(grad_a) if transpose else grad_a
    if grad_clone is not None:
        grad_a = grad_clone if grad_a is None else grad_a + grad_clone
    return grad_b, grad_a


derive_joint(triangular_solve, "self A", _triangular_solve_backward)


@operator(
    "cholesky_solve(Tensor self, Tensor input2, bool upper=False) -> Tensor", tags="out"
)
def cholesky_solve(self, input2, upper=False):
    """The solution of L Lᴴ X = B (Uᴴ U X = B) from Cholesky's factor."""
    for t, label in ((self, "b"), (input2, "u")):
        if t.ndim < 2:
            raise RuntimeError(
                f"{label} should have at least 2 dimensions, but has {t.ndim} dimensions "
                "instead"
            )
    _check_old_pair(self, input2, "cholesky_solve")
    check_kernel_dtype(self, "cholesky_solve_cpu")
    first, second = (mH(input2), input2) if upper else (input2, mH(input2))
    half = _triangular(first, self, False, False)
    return _triangular(second, half, True, False)


def _cholesky_solve_backward(
    grad: Any, input2: Any, result: Any, upper: bool, needs: Any
) -> Any:
    grad_b = torch.cholesky_solve(grad, input2, upper)
    grad_a = None
    if needs[1]:
        both = grad_b.matmul(mH(result))
        both = -(both + mH(both))
        grad_a = input2.matmul(both) if upper else both.matmul(input2)
    return grad_b if needs[0] else None, grad_a


derive_joint(cholesky_solve, "self input2", _cholesky_solve_backward)


# Square systems.


def _is_vector(a: Any, b: Any) -> bool:
    """Whether B is a batch of vectors, as NumPy's solve decides it."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and b._shape == a._shape[:-1])


@operator(
    "_linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> "
    "(Tensor result, Tensor LU, Tensor pivots, Tensor info)",
    variants="function",
    tags="out",
)
def _linalg_solve_ex(A, B, *, left, check_errors):
    """The solution of A X = B (X A = B), and the factorisation it came from."""
    name = "linalg.solve"
    check_square(A, name)
    _check_pair(A, B, name, left)
    check_floating(A, name)
    vector = _is_vector(A, B)
    b = B.unsqueeze(-1) if vector else B
    check_systems(A, b, name, left)
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for "
            "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    check_kernel_dtype(A, "lu_cpu")
    batch = broadcast_shapes([b._shape[:-2], A._shape[:-2]])
    LU, pivots, info = torch.linalg_lu_factor_ex(A)
    if check_errors:
        _check_solved(info, "linalg.solve_ex")
    if left:
        made = _solve_factored(LU, pivots, b.expand((*batch, *b._shape[-2:])), False)
        made = made.squeeze(-1) if vector else made
        made = column_major(made) if made.ndim > 1 else row_major(made)
    else:
        b = mH(b).expand((*batch, *mT(b)._shape[-2:]))
        made = row_major(mT(_solve_factored(LU, pivots, b, True))).conj()
    return return_type(_linalg_solve_ex)((made, LU, pivots, info))


def _check_solved(info: Any, name: str) -> None:
    check_info(
        info,
        f"torch.{name}",
        "The solver failed because the input matrix is singular.",
    )


def _solve_backward(
    grad: Any,
    A: Any,
    B_sizes: Any,
    result: Any,
    LU: Any,
    pivots: Any,
    left: bool,
    needs: Any,
) -> Any:
    vector = len(B_sizes) == 1 or (
        A.ndim - 1 == len(B_sizes) and B_sizes == A._shape[:-1]
    )
    g = grad.unsqueeze(-1) if vector else grad
    x = result.unsqueeze(-1) if vector else result
    grad_b = solve_again(A, LU, pivots, g, left)
    grad_a = None
    if needs[0]:
        grad_a = -grad_b.matmul(mH(x)) if left else -mH(x).matmul(grad_b)
    if not needs[1]:
        return grad_a, None
    return grad_a, grad_b.squeeze(-1) if vector else grad_b


derive_joint(
    _linalg_solve_ex,
    "A B",
    lambda grads, A, B_sizes, result, LU, pivots, left, needs: (
        (None, None)
        if grads[0] is None
        else _solve_backward(grads[0], A, B_sizes, result, LU, pivots, left, needs)
    ),
    name_="LinalgSolveExBackward0",
    outputs_=(0,),
)


@operator(
    "linalg_solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> "
    "(Tensor result, Tensor info)",
    variants="private",
    tags="out",
)
def linalg_solve_ex(A, B, *, left, check_errors):
    """The solution of A X = B (X A = B), and 0 or where LU met its first zero pivot."""
    made = torch._linalg_solve_ex(A, B, left=left, check_errors=check_errors)
    return return_type(linalg_solve_ex)((made[0], made[3]))


@operator(
    "linalg_solve(Tensor A, Tensor B, *, bool left=True) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_solve(A, B, *, left):
    """The solution of A X = B (X A = B); LinAlgError for singular matrices."""
    made = torch._linalg_solve_ex(A, B, left=left)
    _check_solved(made[3], "linalg.solve")
    return made[0]


@operator(
    "linalg_tensorinv(Tensor self, int ind=2) -> Tensor", variants="private", tags="out"
)
def linalg_tensorinv(self, ind=2):
    """The inverse of a tensor as a map between tensors of its last and first dims."""
    if ind <= 0:
        raise RuntimeError(
            f"Expected a strictly positive integer for 'ind', but got {ind}"
        )
    shape = self._shape
    if ind > len(shape):
        raise RuntimeError(f"ArrayRef: invalid slice, N = {ind}; size = {len(shape)}")
    first, last = shape[:ind], shape[ind:]
    rows, columns = numel_of(first), numel_of(last)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {columns} != {rows}"
        )
    made, info = torch.linalg_inv_ex(self.reshape((columns, rows)))
    from dispatchtorch.ops.linalg_lu import SINGULAR

    check_info(info, "inv", SINGULAR)
    return made.reshape((*last, *first))


@operator(
    "linalg_tensorsolve(Tensor self, Tensor other, int[]? dims=None) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_tensorsolve(self, other, dims=None):
    """The X with tensordot(A, X, X.ndim) = B."""
    t = self
    if dims is not None:
        moved = [wrap_dim(d, self.ndim) for d in as_ints(dims)]
        t = self.movedim(moved, list(range(self.ndim - len(moved), self.ndim)))
    first, last = t._shape[: other.ndim], t._shape[other.ndim :]
    rows, columns = numel_of(last), numel_of(other._shape)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {rows} != {columns}"
        )
    del first
    made = torch.linalg_solve(t.reshape((columns, rows)), other.reshape(-1))
    return made.reshape(last)


# LDL.

_ldl = host_primitive(
    "_ldl(Tensor self, bool hermitian) -> (Tensor LD, Tensor pivots, Tensor info)",
    lambda a, hermitian: (
        (a.shape, a.dtype),
        (a.shape[:-1], dtypes.int32),
        (a.shape[:-2], dtypes.int32),
    ),
)
_ldl_solve = host_primitive(
    "_ldl_solve(Tensor LD, Tensor pivots, Tensor B, bool hermitian) -> Tensor",
    lambda ld, pivots, b, hermitian: (
        (*broadcast_shapes([ld.shape[:-2], b.shape[:-2]]), *b.shape[-2:]),
        b.dtype,
    ),
)


def _no_gradient(name: str) -> Any:
    def formula(grads: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return formula


def _no_gradient_of_one(name: str) -> Any:
    def formula(grad: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return formula


@operator(
    "linalg_ldl_factor_ex(Tensor self, *, bool hermitian=False, bool check_errors=False) "
    "-> (Tensor LD, Tensor pivots, Tensor info)",
    variants="private",
    tags="out",
)
def linalg_ldl_factor_ex(self, *, hermitian, check_errors):
    """L and D of a symmetric (or Hermitian) matrix in one, pivots, and D's first zero."""
    name = "torch.linalg.ldl_factor_ex"
    check_square(self, name)
    check_floating(self, name)
    check_kernel_dtype(self, "ldl_factor_kernel_cpu")
    made = _ldl(self, hermitian)
    if check_errors:
        _check_ldl(made[2], name)
    return return_type(linalg_ldl_factor_ex)(made)


def _check_ldl(info: Any, name: str) -> None:
    found = element(info)
    if found is not None:
        raise RuntimeError(
            f'false INTERNAL ASSERT FAILED at "/__w/pytorch/pytorch/aten/src/ATen/native/'
            f'BatchLinearAlgebra.cpp":1642, please report a bug to PyTorch. {name}: '
            f"Unknown error code: {found[1]}."
        )


derive(
    linalg_ldl_factor_ex,
    name_="NotImplemented",
    outputs_=(0,),
    self=_no_gradient("linalg_ldl_factor_ex"),
)


@operator(
    "linalg_ldl_factor(Tensor self, *, bool hermitian=False) -> (Tensor LD, Tensor "
    "pivots)",
    variants="private",
    tags="out",
)
def linalg_ldl_factor(self, *, hermitian):
    """L and D of a symmetric (or Hermitian) matrix in one, and the pivots."""
    made = torch.linalg_ldl_factor_ex(self, hermitian=hermitian)
    _check_ldl(made[2], "torch.linalg.ldl_factor")
    return return_type(linalg_ldl_factor)(tuple(made)[:2])


@operator(
    "linalg_ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> "
    "Tensor",
    variants="private",
    tags="out",
)
def linalg_ldl_solve(LD, pivots, B, *, hermitian):
    """The solution of A X = B from ``ldl_factor``'s results."""
    name = "torch.linalg.ldl_solve"
    check_square(LD, name)
    check_floating(LD, name)
    wrap_dim(-2, B.ndim)
    if LD._shape[-1] != B._shape[-2] or LD.dtype is not B.dtype:
        if LD.dtype is not B.dtype and LD._shape[-1] == B._shape[-2]:
            _check_old_pair(B, LD, name)
        _check_old_pair(B.to(LD.dtype), LD, name)
    if pivots.dtype.is_floating_point or pivots.dtype.is_complex:
        raise RuntimeError(
            f"{name}: Expected pivots to be integers. Got "
            f"{scalar_type_name(pivots.dtype)}"
        )
    if LD._shape[:-1] != pivots._shape:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got "
            f"pivots with shape {list(pivots._shape)} instead"
        )
    check_kernel_dtype(LD, "ldl_solve_kernel_cpu")
    return _ldl_solve(LD, pivots, B, hermitian)


derive(
    linalg_ldl_solve,
    name_="NotImplemented",
    LD=_no_gradient_of_one("linalg_ldl_solve"),
    B=_no_gradient_of_one("linalg_ldl_solve"),
)


# Least squares.

_DRIVERS = ("gels", "gelsy", "gelsd", "gelss")


@operator(
    "linalg_lstsq(Tensor self, Tensor b, float? rcond=None, *, str? driver=None) -> "
    "(Tensor solution, Tensor residuals, Tensor rank, Tensor singular_values)",
    variants="private",
    tags="out",
)
def linalg_lstsq(self, b, rcond=None, *, driver=None):
    """The X that minimises |A X - B|, of the smallest norm where A lacks rank."""
    vector = _check_lstsq(self, b, driver)
    driver = "gelsy" if driver is None else driver
    m, n = self._shape[-2:]
    right = b.unsqueeze(-1) if vector else b
    batch = broadcast_shapes([self._shape[:-2], right._shape[:-2]])
    a = self.expand((*batch, m, n))
    right = right.expand((*batch, *right._shape[-2:]))
    if rcond is None:
        rcond = max(m, n) * dtypes.finfo(self.dtype).eps
    solution, rank, values, full = _minimise(a, right, rcond, driver)
    columns = right._shape[-1]
    kind = self.dtype.to_real() if self.is_complex() else self.dtype
    residuals = torch.empty((0,), dtype=kind, device=self.device)
    if m > n and driver != "gelsy" and full:
        off = right - a.matmul(solution)
        residuals = (
            (off * off.conj()).real.sum(-2) if off.is_complex() else (off * off).sum(-2)
        )
    none = torch.empty((0,), dtype=kind, device=self.device)
    if driver == "gels":
        rank = torch.empty((0,), dtype=dtypes.int64, device=self.device)
    if driver in ("gels", "gelsy"):
        values = none
    # LAPACK leaves the solution in the first rows of a larger matrix.
    room = column_major(
        torch.cat([solution, solution.new_zeros((*batch, max(m - n, 0), columns))], -2)
    )
    made = room.narrow(-2, 0, n)
    made = made.squeeze(-1) if vector else made
    return return_type(linalg_lstsq)((made, residuals, rank, values))


def _check_lstsq(a: Any, b: Any, driver: str | None) -> bool:
    name = "torch.linalg.lstsq"
    if a.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if b.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's "
            f"dtype {scalar_type_name(a.dtype)} and other's dtype "
            f"{scalar_type_name(b.dtype)}"
        )
    difference = a.ndim - b.ndim
    if not 0 <= difference <= 1 and b.ndim < a.ndim:
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and "
            "(input.dim() - other.dim()) <= 1"
        )
    vector = difference == 1 and a._shape[:-1] == b._shape
    at = -1 if vector else -2
    if b._shape[at:][:1] != a._shape[-2:-1]:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({at})")
    if not (a.dtype.is_floating_point or a.dtype.is_complex) or a.dtype in (
        dtypes.float16,
        dtypes.bfloat16,
    ):
        raise RuntimeError(
            "This function doesn't handle types other than float and double"
        )
    if driver is not None and driver not in _DRIVERS:
        raise RuntimeError(
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    return vector


def _minimise(a: Any, b: Any, rcond: float, driver: str) -> tuple[Any, Any, Any, bool]:
    """The solution, the rank, the singular values, and whether the rank is full."""
    m, n = a._shape[-2:]
    k = min(m, n)
    batch = a._shape[:-2]
    if driver == "gels":
        return _full_rank(a, b), None, None, True
    u, s, vh = torch._linalg_svd(a)
    if not k:
        rank = torch.zeros(batch, dtype=dtypes.int64, device=a.device)
        return b.new_zeros((*batch, n, b._shape[-1])), rank, s, True
    keep = s > rcond * s.narrow(-1, 0, 1)
    rank = keep.sum(-1)
    scale = torch.where(keep, s.reciprocal(), 0).unsqueeze(-1)
    made = mH(vh).matmul(scale.to(a.dtype) * mH(u).matmul(b))
    full = a.is_meta or bool((rank == n).all())
    return made, rank, s, full


def _full_rank(a: Any, b: Any) -> Any:
    """By QR of A or of Aᴴ, which must have full rank."""
    m, n = a._shape[-2:]
    tall = m >= n
    q, r = torch.linalg_qr(a if tall else mH(a))
    size = r.diagonal(0, -2, -1).abs()
    zero = size <= dtypes.finfo(size.dtype).eps
    if zero.numel() and not zero.is_meta and not tall and bool(zero.any()):
        first = (zero.long().cumsum(-1) == 1).long().argmax(-1) + 1
        found = element(torch.where(zero.any(-1), first, 0))
        if found is not None:
            where, code = found
            raise LinAlgError(
                f"torch.linalg.lstsq: {where}The least squares solution could not be "
                "computed because the input matrix does not have full rank (error code: "
                f"{code})."
            )
    if tall:
        return _triangular(r, mH(q).matmul(b), True, False)
    return q.matmul(_triangular(mH(r), b, False, False))


def _lstsq_backward(grads: Any, self: Any, b: Any, solution: Any, needs: Any) -> Any:
    grad, grad_off = grads[0], grads[1]
    vector = self.ndim == b.ndim + 1 and self._shape[:-1] == b._shape
    right, x = b, solution
    if vector:
        right, x = b.unsqueeze(-1), x.unsqueeze(-1)
        grad = None if grad is None else grad.unsqueeze(-1)
    grad_a = grad_b = None
    if grad is not None:
        inverse = torch.linalg_pinv(self)
        grad_b = mH(inverse).matmul(grad)
        if needs[0]:
            grad_a = pinv_backward(grad.matmul(mH(right)), inverse, self)
    if grad_off is not None and grad_off.numel():
        off = 2 * (self.matmul(x) - right) * grad_off.unsqueeze(-2)
        more = off.matmul(mH(x))
        grad_a = more if grad_a is None else grad_a + more
        grad_b = -off if grad_b is None else grad_b - off
    if vector and grad_b is not None:
        grad_b = grad_b.squeeze(-1)
    return grad_a, grad_b


def pinv_backward(grad: Any, inverse: Any, a: Any) -> Any:
    """Golub and Pereyra's derivative of the pseudoinverse (1973)."""
    adjoint, g = mH(inverse), mH(grad)
    made = -adjoint.matmul(grad).matmul(adjoint)
    middle = g.matmul(inverse).matmul(adjoint)
    made = made + middle - a.matmul(inverse.matmul(middle))
    middle = adjoint.matmul(inverse.matmul(g))
    return made + middle - middle.matmul(inverse).matmul(a)


derive_joint(linalg_lstsq, "self b", _lstsq_backward, outputs_=(0, 1))
