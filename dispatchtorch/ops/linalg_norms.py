"""Norms of matrices, and what singular values tell: condition, rank, pseudoinverse."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import as_ints, scalar_type_name, torch, wrap_dim
from dispatchtorch.ops._linalg import (
    check_floating,
    check_matrix,
    check_square,
    mH,
    norm_input,
    real_dtype,
)
from dispatchtorch.ops.linalg_solvers import pinv_backward

__all__: list[str] = []

# Norms.


def _matrix_dims(t: Any, dim: Any, name: str) -> tuple[int, int]:
    dims = as_ints(dim)
    if len(dims) != 2:
        raise RuntimeError(
            f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dims))}"
        )
    first, last = (wrap_dim(d, t.ndim) for d in dims)
    if first == last:
        raise RuntimeError(
            f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})"
        )
    return first, last


def _number(value: Any) -> str:
    return f"{value:g}"


@operator(
    "linalg_matrix_norm(Tensor self, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, "
    "*, ScalarType? dtype=None) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_matrix_norm(self, ord, dim=(-2, -1), keepdim=False, *, dtype):
    """The norm of matrices: sums of columns or rows, or singular values."""
    name = "linalg.matrix_norm"
    check_matrix(self, name)
    check_floating(self, name)
    order = float(ord)
    size = abs(order)
    if size not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {_number(order)} not supported.")
    first, last = _matrix_dims(self, dim, name)
    if size == 2:
        check_floating(self, name, low_precision=False)
        values = _values(norm_input(self, dtype, name), first, last)
        return _extreme(values, -1, order > 0, keepdim, first, last, self.ndim)
    along, across = (last, first) if size == math.inf else (first, last)
    if along < across and not keepdim:
        across -= 1
    sums = torch.linalg_vector_norm(self, 1, along, keepdim, dtype=dtype)
    return _reach(sums, across, order > 0, keepdim)


def _values(t: Any, first: int, last: int) -> Any:
    """The singular values of the matrices in two dims."""
    order = [d for d in range(t.ndim) if d not in (first, last)]
    return torch.linalg_svdvals(t.permute([*order, first, last]))


def _reach(t: Any, dim: int, largest: bool, keepdim: bool) -> Any:
    if t._shape[dim] == 0 and largest:  # the largest of nothing is 0
        shape = list(t._shape)
        shape[dim : dim + 1] = [1] if keepdim else []
        return t.new_zeros(shape)
    return torch.amax(t, dim, keepdim) if largest else torch.amin(t, dim, keepdim)


def _spread_back(t: Any, first: int, last: int, ndim: int) -> Any:
    """A value for each matrix, with the matrices' two dims back as 1."""
    order = [d for d in range(ndim) if d not in (first, last)]
    places = [*order, first, last]
    t = t.unsqueeze(-1).unsqueeze(-1)
    return t.permute([places.index(d) for d in range(ndim)])


def _extreme(values: Any, dim: int, largest: bool, keepdim: bool, *at: int) -> Any:
    made = _reach(values, values.ndim + dim, largest, False)
    return _spread_back(made, *at) if keepdim else made


@operator(
    'linalg_matrix_norm.str_ord(Tensor self, str ord="fro", int[] dim=[-2, -1], bool '
    "keepdim=False, *, ScalarType? dtype=None) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_matrix_norm_str(self, ord="fro", dim=(-2, -1), keepdim=False, *, dtype):
    """Frobenius's norm of matrices, or the sum of their singular values ("nuc")."""
    name = "linalg.matrix_norm"
    check_matrix(self, name)
    check_floating(self, name)
    if ord not in ("fro", "nuc"):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    first, last = _matrix_dims(self, dim, name)
    if ord == "fro":
        return torch.linalg_vector_norm(
            norm_input(self, dtype, name), 2, (first, last), keepdim
        )
    check_floating(self, name, low_precision=False)
    made = _values(norm_input(self, dtype, name), first, last).sum(-1)
    return _spread_back(made, first, last, self.ndim) if keepdim else made


def _check_norm_dims(self: Any, dim: Any, ordered: bool) -> None:
    if dim is not None:
        dims = as_ints(dim)
        if len(dims) not in (1, 2):
            raise RuntimeError(
                "linalg.norm: If dim is specified, it must be of length 1 or 2. Got "
                f"{list(dims)}"
            )
    elif ordered and self.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or "
            f"2D. Got {self.ndim}D."
        )


@operator(
    "linalg_norm(Tensor self, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_norm(self, ord=None, dim=None, keepdim=False, *, dtype):
    """The norm of vectors or of matrices, as the dims say."""
    _check_norm_dims(self, dim, ord is not None)
    two = len(as_ints(dim)) == 2 if dim is not None else self.ndim == 2
    if ord is not None and two:
        dims = (0, 1) if dim is None else dim
        return torch.linalg_matrix_norm(self, ord, dims, keepdim, dtype=dtype)
    return torch.linalg_vector_norm(
        self, 2 if ord is None else ord, dim, keepdim, dtype=dtype
    )


@operator(
    "linalg_norm.ord_str(Tensor self, str ord, int[1]? dim=None, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    variants="private",
    tags="out",
)
def linalg_norm_str(self, ord, dim=None, keepdim=False, *, dtype):
    """The norm of matrices, "fro" or "nuc"."""
    _check_norm_dims(self, dim, True)
    dims = (-2, -1) if dim is None else dim
    return torch.linalg_matrix_norm(self, ord, dims, keepdim, dtype=dtype)


@operator(
    "frobenius_norm(Tensor self, int[1] dim, bool keepdim=False) -> Tensor",
    variants="function",
    tags="out",
)
def frobenius_norm(self, dim, keepdim=False):
    """The root of the sum of squares over at most two dims."""
    dims = as_ints(dim)
    if len(dims) > 2:
        raise RuntimeError(
            f"Expected at most 2 dimensions, but got {len(dims)} dimensions instead."
        )
    return torch.linalg_vector_norm(self, 2, dims, keepdim)


@operator(
    "nuclear_norm(Tensor self, bool keepdim=False) -> Tensor",
    variants="function",
    tags="out",
)
def nuclear_norm(self, keepdim=False):
    """The sum of the singular values."""
    return torch.linalg_matrix_norm(self, "nuc", (-2, -1), keepdim)


@operator(
    "nuclear_norm.dim(Tensor self, int[2] dim, bool keepdim=False) -> Tensor",
    variants="function",
    tags="out",
)
def nuclear_norm_dim(self, dim, keepdim=False):
    """The sum of the singular values of the matrices in two dims."""
    return torch.linalg_matrix_norm(self, "nuc", dim, keepdim)


@operator("_weight_norm(Tensor v, Tensor g, int dim=0) -> Tensor", variants="function")
def _weight_norm(v, g, dim=0):
    """A weight of direction ``v`` and magnitude ``g`` (one for each slice of a dim)."""
    return v * (g / torch.norm_except_dim(v, 2, dim))


# Condition numbers.


def _check_cond(self: Any) -> None:
    if self.ndim < 2:
        raise RuntimeError(
            "linalg.cond: The input tensor must have at least 2 dimensions."
        )


def _cond_by_inverse(self: Any, p: Any, label: str) -> Any:
    check_square(self, f"linalg.cond(ord={label})")
    inverse, info = torch.linalg_inv_ex(self)
    singular = info.unsqueeze(-1).unsqueeze(-1) > 0
    inverse = inverse.masked_fill(singular, math.inf)
    made = torch.linalg_matrix_norm(self, p) * torch.linalg_matrix_norm(inverse, p)
    # Zero times infinity: a singular matrix's condition is infinite.
    return made.nan_to_num(math.inf, math.inf, -math.inf)


@operator(
    "linalg_cond(Tensor self, Scalar? p=None) -> Tensor", variants="private", tags="out"
)
def linalg_cond(self, p=None):
    """The condition number with respect to inversion, in a matrix norm."""
    _check_cond(self)
    if p is not None and abs(float(p)) not in (1, 2, math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {_number(float(p))}")
    if self.numel() == 0:
        return self.new_zeros(self._shape[:-2], dtype=real_dtype(self.dtype))
    if p is None or abs(float(p)) == 2:
        values = torch.linalg_svdvals(self)
        largest = values.narrow(-1, 0, 1)
        smallest = values.narrow(-1, values._shape[-1] - 1, 1)
        if p is not None and float(p) == -2:
            return (smallest / largest).squeeze(-1)
        return (largest / smallest).squeeze(-1)
    return _cond_by_inverse(self, p, _number(float(p)))


@operator(
    "linalg_cond.p_str(Tensor self, str p) -> Tensor", variants="private", tags="out"
)
def linalg_cond_str(self, p):
    """The condition number in the norm "fro" or "nuc"."""
    _check_cond(self)
    if p not in ("fro", "nuc"):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if self.numel() == 0:
        if p == "nuc":
            check_square(self, f"linalg.cond(ord={p})")
        return self.new_zeros(self._shape[:-2], dtype=real_dtype(self.dtype))
    return _cond_by_inverse(self, p, p)


# Rank and pseudoinverse: singular values above a tolerance.


def _tolerance(self: Any, value: Any, name: str, label: str) -> Any:
    """A tolerance as a tensor; no complex ones."""
    if not hasattr(value, "_keys"):
        return torch.full((), value, dtype=dtypes.float64, device=self.device)
    if value.is_complex():
        raise RuntimeError(
            f"torch.linalg.{name}: {label} tensor of complex type is not supported. Got "
            f"{scalar_type_name(value.dtype)}"
        )
    return value


def _tolerances(
    self: Any, atol: Any, rtol: Any, name: str, label: str = "rtol"
) -> tuple[Any, Any]:
    """Both tolerances; without a given atol, rtol has a default."""
    absolute = _tolerance(self, 0.0 if atol is None else atol, name, "atol")
    if rtol is None:
        default = dtypes.finfo(self.dtype).eps * max(self._shape[-2:])
        if atol is None:
            return absolute, _tolerance(self, default, name, label)
        relative = torch.full((), default, dtype=dtypes.float64, device=self.device)
        return absolute, torch.where(absolute > 0, 0.0, relative)
    return absolute, _tolerance(self, rtol, name, label)


def _threshold(largest: Any, atol: Any, rtol: Any) -> Any:
    return torch.maximum(
        atol.unsqueeze(-1).to(largest.dtype),
        rtol.unsqueeze(-1).to(largest.dtype) * largest,
    )


def _sizes_of_spectrum(self: Any, hermitian: bool) -> Any:
    return (
        torch.linalg_eigvalsh(self).abs() if hermitian else torch.linalg_svdvals(self)
    )


def _rank(self: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    name = "matrix_rank"
    if self.ndim < 2:
        raise RuntimeError(
            f"torch.linalg.{name}: The input tensor input must have at least 2 "
            "dimensions."
        )
    if rtol is None and real_dtype(self.dtype) not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            "This function doesn't handle types other than float and double"
        )
    atol, rtol = _tolerances(self, atol, rtol, name)
    if self.numel() == 0:
        return self.new_zeros(self._shape[:-2], dtype=dtypes.int64)
    values = _sizes_of_spectrum(self.detach(), hermitian)
    limit = _threshold(values.amax(-1, True), atol, rtol)
    return (values > limit).sum(-1)


def _both(name: str, tolerance: str, of: Any) -> tuple[Any, Any]:
    """The two forms of an operator: atol and rtol, or one (relative or absolute)."""
    first = operator(
        f"{name}.atol_rtol_tensor(Tensor input, *, Tensor|Scalar? atol=None, "
        "Tensor|Scalar? rtol=None, bool hermitian=False) -> Tensor",
        variants="private",
        tags="out",
    )

    def with_tolerances(input, *, atol, rtol, hermitian):  # type: ignore[no-untyped-def]
        return of(input, atol, rtol, hermitian)

    with_tolerances.__doc__ = of.__doc__
    second = operator(
        f"{name}.{tolerance}_tensor(Tensor input, Tensor|Scalar {tolerance}, bool "
        "hermitian=False) -> Tensor",
        variants="private",
        tags="out",
    )
    return first(with_tolerances), second


_, _declare = _both("linalg_matrix_rank", "tol", _rank)


@_declare
def matrix_rank_tol(input, tol, hermitian=False):
    """The number of singular values above ``tol``."""
    return _rank(input, tol, 0.0, hermitian)


def _pinv(
    input: Any, atol: Any, rtol: Any, hermitian: bool, label: str = "rtol"
) -> Any:
    """The pseudoinverse, which leaves out the singular values up to a tolerance."""
    if input.ndim < 2 or real_dtype(input.dtype) not in (
        dtypes.float32,
        dtypes.float64,
    ):
        raise RuntimeError(
            f"linalg.pinv({scalar_type_name(input.dtype)}{{{list(input._shape)}}}): "
            "expected a tensor with 2 or more dimensions of float, double, cfloat or "
            "cdouble types"
        )
    atol, rtol = _tolerances(input, atol, rtol, "pinv", label)
    *batch, m, n = input._shape
    if input.numel() == 0:
        return input.new_empty((*batch, n, m))
    if hermitian:
        values, vectors = torch.linalg_eigh(input)
        size = values.abs()
        limit = _threshold(size.amax(-1, True), atol, rtol)
        kept = torch.where(size > limit, values.reciprocal(), 0)
        left = vectors * kept.unsqueeze(-2).to(vectors.dtype)
        return left.matmul(mH(vectors))
    u, s, vh = torch.linalg_svd(input, False)
    limit = _threshold(s.narrow(-1, 0, 1), atol, rtol)
    kept = torch.where(s > limit, s.reciprocal(), 0)
    return (mH(vh) * kept.unsqueeze(-2).to(u.dtype)).matmul(mH(u))


_by_tolerances, _declare = _both("linalg_pinv", "rcond", _pinv)
derive(
    _by_tolerances,
    name_="LinalgPinvBackward0",
    input=lambda grad, input, result: pinv_backward(grad, result, input),
)


@_declare
def pinv_rcond(input, rcond, hermitian=False):
    """The pseudoinverse, which leaves out singular values up to a share of the largest."""
    _tolerance(input, rcond, "pinv", "rcond")
    return torch.linalg_pinv(input, atol=0.0, rtol=rcond, hermitian=hermitian)


@operator("pinverse(Tensor self, float rcond=1e-15) -> Tensor")
def pinverse(self, rcond=1e-15):
    """As ``linalg.pinv``."""
    return torch.linalg_pinv(self, atol=0.0, rtol=rcond)
