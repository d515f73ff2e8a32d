"""Products of several matrices, powers, the exponential, and other maps of matrices."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import scalar_type_name, torch
from dispatchtorch.ops._linalg import check_floating, check_square, eye_like, mH
from dispatchtorch.ops.linalg import _cpp

__all__: list[str] = []


@operator(
    "linalg_matmul(Tensor self, Tensor other) -> Tensor", variants="private", tags="out"
)
def linalg_matmul(self, other):
    """As ``torch.matmul``."""
    return torch.matmul(self, other)


@operator(
    "linalg_diagonal(Tensor(a) A, *, int offset=0, int dim1=-2, int dim2=-1) -> "
    "Tensor(a)",
    variants="private",
)
def linalg_diagonal(A, *, offset, dim1, dim2):
    """The diagonals of matrices, as a view."""
    return torch.diagonal(A, offset, dim1, dim2)


@operator(
    "linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_vecdot(x, y, *, dim):
    """The sums of products of x's conjugate and y along a dim."""
    name = "linalg.vecdot"
    check_floating(x, name)
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"{name}: Expected x and y to have the same dtype, but found x of type "
            f"{scalar_type_name(x.dtype)} and y of type {scalar_type_name(y.dtype)} "
            "instead"
        )
    if x.ndim == 1 and y.ndim == 1:
        return torch.vdot(x, y)
    return (x.conj() * y).sum(dim) if x.is_complex() else (x * y).sum(dim)


@operator("linalg_vander(Tensor x, *, int? N=None) -> Tensor", variants="private")
def linalg_vander(x, *, N):
    """The powers 0…N-1 of each element along a new last dim."""
    kind = x.dtype
    if kind in (dtypes.float16, dtypes.bfloat16, dtypes.bool):
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but "
            f"got {scalar_type_name(kind)}"
        )
    x = x if x.ndim else x.reshape(1)
    count = x._shape[-1] if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    columns = x.unsqueeze(-1)
    if count > 2:
        columns = columns.expand((*x._shape, count - 1)).cumprod(-1)
    elif columns.dtype.category <= dtypes.INT:
        columns = columns.long()
    ones = torch.ones((*x._shape, 1), dtype=columns.dtype, device=x.device)
    return torch.cat([ones, columns], -1)


# Products of a chain.


def _check_chain(tensors: Any) -> None:
    count = len(tensors)
    if count < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {count}")
    kind = tensors[0].dtype
    for i, t in enumerate(tensors):
        if i in (0, count - 1):
            which = "first" if i == 0 else "last"
            if t.ndim not in (1, 2):
                raise RuntimeError(
                    f"multi_dot(): the {which} tensor must be 1D or 2D but got {t.ndim}D"
                )
        elif t.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t.ndim}D")
        if t.dtype is not kind:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{_cpp(tensors[0])} and tensor {i} {_cpp(t)}"
            )


def _cheapest(sizes: list[int], count: int) -> list[list[int]]:
    """Where to split each part of the chain for the fewest multiplications."""
    cost = [[0] * count for _ in range(count)]
    split = [[0] * count for _ in range(count)]
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [
                (
                    cost[i][k]
                    + cost[k + 1][j]
                    + sizes[i] * sizes[k + 1] * sizes[j + 1],
                    k,
                )
                for k in range(i, j)
            ]
            cost[i][j], split[i][j] = min(options)
    return split


@operator(
    "linalg_multi_dot(Tensor[] tensors) -> Tensor", variants="private", tags="out"
)
def linalg_multi_dot(tensors):
    """The product of matrices, in the order that takes the fewest multiplications."""
    _check_chain(tensors)
    work = list(tensors)
    shape: list[int] = []
    if work[0].ndim == 1:
        work[0] = work[0].unsqueeze(0)
    else:
        shape.append(work[0]._shape[0])
    if work[-1].ndim == 1:
        work[-1] = work[-1].unsqueeze(-1)
    else:
        shape.append(work[-1]._shape[1])
    for i in range(len(work) - 1):
        if work[i]._shape[1] != work[i + 1]._shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes "
                f"{list(work[i]._shape)} and {list(work[i + 1]._shape)} cannot be "
                "multiplied"
            )
    sizes = [t._shape[0] for t in work] + [work[-1]._shape[1]]
    split = _cheapest(sizes, len(work))

    def product(i: int, j: int) -> Any:
        if i == j:
            return work[i]
        k = split[i][j]
        return product(i, k).mm(product(k + 1, j))

    return product(0, len(work) - 1).view(shape)


@operator("chain_matmul(Tensor[] matrices) -> Tensor", variants="private", tags="out")
def chain_matmul(matrices):
    """As ``linalg.multi_dot``, of matrices only."""
    for t in matrices:
        if t.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {t.ndim}, expected 2 instead.")
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    if len(matrices) == 1:
        return matrices[0].clone()
    return torch.linalg_multi_dot(matrices)


# Powers.


def _power(self: Any, n: int) -> Any:
    check_square(self, "linalg.matrix_power")
    if n < 0:
        self, n = torch.linalg_inv(self), -n
        if n == 1:
            return self
    if n == 0:
        eye = torch.eye(self._shape[-1], dtype=self.dtype, device=self.device)
        return self.clone().copy_(eye.expand(self._shape))
    if n == 1:
        return self.clone()
    if n == 3:
        return self.matmul(self).matmul(self)
    made, square = None, self
    while n:  # by squaring
        if n & 1:
            made = square if made is None else made.matmul(square)
        n >>= 1
        if n:
            square = square.matmul(square)
    return made


@operator("matrix_power(Tensor self, int n) -> Tensor", tags="out")
def matrix_power(self, n):
    """An integer power of square matrices."""
    return _power(self, n)


@operator(
    "linalg_matrix_power(Tensor self, int n) -> Tensor", variants="private", tags="out"
)
def linalg_matrix_power(self, n):
    """An integer power of square matrices."""
    return _power(self, n)


# The exponential, by a Taylor polynomial of the scaled matrix and repeated squaring
# (Higham, "Functions of Matrices", 2008, chapter 10).

_DEGREE = 18
_RADIUS = 1.0  # where the polynomial is good to double precision


def _taylor(a: Any) -> Any:
    """The polynomial, by powers up to the fourth and Horner's rule in these."""
    eye = eye_like(a, a._shape[-1])
    square = a.matmul(a)
    powers = [eye, a, square, square.matmul(a)]
    fourth = square.matmul(square)
    made = None
    for start in reversed(range(0, _DEGREE + 1, 4)):
        part = None
        for i, power in enumerate(powers):
            if start + i <= _DEGREE:
                term = power / math.factorial(start + i)
                part = term if part is None else part + term
        made = part if made is None else part + fourth.matmul(made)
    return made


@operator("linalg_matrix_exp(Tensor self) -> Tensor", variants="private")
def linalg_matrix_exp(self):
    """The exponential of square matrices."""
    name = "linalg.matrix_exp"
    check_square(self, name)
    check_floating(self, name)
    shape = self._shape
    if self.numel() == 0:
        return self.clone()
    if shape[-1] == 1:
        return self.exp()
    a = self.float() if self.dtype in (dtypes.float16, dtypes.bfloat16) else self
    norm = a.abs().sum(-2).amax(-1).double()
    wanted = (norm / _RADIUS).clamp(min=1).log2().ceil()
    wanted = torch.where(wanted.isfinite(), wanted, 0.0)
    most = 0 if a.is_meta else int(wanted.amax().item())
    steps = wanted.unsqueeze(-1).unsqueeze(-1)
    made = _taylor(a * (2.0**-steps).to(a.abs().dtype))
    for i in range(most):
        square = made.matmul(made)
        made = torch.where(steps > i, square, made)
    return made.to(self.dtype).contiguous()


def _matrix_exp_backward(grad: Any, self: Any) -> Any:
    """The derivative's adjoint is a block of the exponential of a larger matrix."""
    n = self._shape[-1]
    adjoint = mH(self)
    upper = torch.cat([adjoint, grad], -1)
    lower = torch.cat([torch.zeros_like(adjoint), adjoint], -1)
    made = torch.linalg_matrix_exp(torch.cat([upper, lower], -2))
    return made.narrow(-2, 0, n).narrow(-1, n, n)


derive(linalg_matrix_exp, self=_matrix_exp_backward)


@operator("matrix_exp(Tensor self) -> Tensor")
def matrix_exp(self):
    """As ``linalg.matrix_exp``."""
    return torch.linalg_matrix_exp(self)
