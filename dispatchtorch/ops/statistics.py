"""Moments, norms, histograms and what else sums elements up."""

from __future__ import annotations

import math
import warnings
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.lift import return_type
from dispatchtorch.ops._common import (
    as_ints,
    conj,
    numel_of,
    reduction_dims,
    refuse,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops._linalg import check_floating, norm_input
from dispatchtorch.ops._precision import single
from dispatchtorch.ops.creation import as_dtype
from dispatchtorch.ops.reduction import sum_dtype, unsqueeze_dims

__all__ = ["float_of", "norm_backward", "squared"]


def float_of(t: Any) -> Any:
    """A tensor of integers or bools in the default dtype, any other as it is."""
    return t if t.dtype.category > dtypes.INT else t.to(dtypes.get_default_dtype())


def squared(t: Any) -> Any:
    """The squares of the absolute values."""
    if t.is_complex():
        return t.real.square() + t.imag.square()
    return t.square()


# Moments.


def _correction(unbiased: bool) -> int:
    return 1 if unbiased else 0


def _count(shape: tuple[int, ...], dim: Any) -> int:
    return numel_of([shape[d] for d in reduction_dims(dim, len(shape))])


def _moments(
    self: Any, dim: Any, correction: Any, keepdim: bool, name: str
) -> tuple[Any, Any]:
    """The variance and the mean, half types in float32."""
    if self.dtype.category <= dtypes.INT:
        raise RuntimeError(
            "std and var only support floating point and complex dtypes"
            if "_mean" not in name
            else f"{name} only support floating point and complex dtypes"
        )
    x = single(self)
    dims = reduction_dims(dim, x.ndim)
    count = _count(x._shape, dim)
    free = count - (1 if correction is None else correction)
    if free <= 0 and self.numel():
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less "
            "than the reduction factor (input numel divided by output numel).",
            stacklevel=2,
        )
    mean = x.mean(dims, keepdim=True)
    total = squared(x - mean).sum(dims, keepdim)
    if not keepdim:
        mean = mean.reshape(total._shape)
    return total / max(free, 0), mean


def _in(t: Any, self: Any) -> Any:
    """A result in the dtype of what it was computed from (its real part's for complex)."""
    return t if t.dtype is self.dtype or self.is_complex() else t.to(self.dtype)


def _var_backward(
    grad: Any, self: Any, dim: Any, correction: Any, keepdim: bool
) -> Any:
    free = _count(self._shape, dim) - (1 if correction is None else correction)
    dims = reduction_dims(dim, self.ndim)
    grad = unsqueeze_dims(grad, dim, keepdim, self.ndim)
    return (
        (2 / free if free > 0 else math.inf)
        * grad
        * (self - self.mean(dims, keepdim=True))
    )


def _std_backward(
    grad: Any, self: Any, result: Any, dim: Any, correction: Any, keepdim: bool
) -> Any:
    scaled = (grad / (result * 2)).masked_fill(result == 0, 0)
    return _var_backward(scaled, self, dim, correction, keepdim)


def _mean_backward(grad: Any, shape: tuple[int, ...], dim: Any, keepdim: bool) -> Any:
    spread = unsqueeze_dims(grad, dim, keepdim, len(shape)).expand(shape)
    return spread / max(_count(shape, dim), 1)


def _moment(name: str, with_mean: bool) -> None:
    both = "(Tensor first, Tensor mean)" if with_mean else "Tensor"
    root = name.startswith("std")

    def compute(self, dim, correction, keepdim):  # type: ignore[no-untyped-def]
        var, mean = _moments(self, dim, correction, keepdim, name)
        first = _in(var.sqrt() if root else var, self)
        return (first, mean.to(self.dtype)) if with_mean else first

    def corrected(self, dim=None, *, correction=None, keepdim=False):  # type: ignore[no-untyped-def]
        return compute(self, dim, correction, keepdim)

    def along(self, dim, unbiased=True, keepdim=False):  # type: ignore[no-untyped-def]
        return op(self, dim, correction=_correction(unbiased), keepdim=keepdim)

    def whole(self, unbiased=True):  # type: ignore[no-untyped-def]
        return op(self, None, correction=_correction(unbiased))

    what = "standard deviation" if root else "variance"
    text = f"The {what}{' and the mean' if with_mean else ''}"
    corrected.__doc__ = f"{text} over dims, with Bessel's ``correction`` (1)."
    along.__doc__ = f"{text} over dims."
    whole.__doc__ = f"{text} of all elements."
    out = "tuple" if with_mean else "out"
    variants = "function" if with_mean else "function method"
    op = operator(
        f"{name}.correction(Tensor self, int[1]? dim=None, *, Scalar? correction=None, "
        f"bool keepdim=False) -> {both}", tags=out, variants=variants,
    )(corrected)  # fmt: skip
    operator(
        f"{name}.dim(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False) "
        f"-> {both}", tags=out, variants=variants,
    )(along)  # fmt: skip
    operator(
        f"{name}(Tensor self, bool unbiased=True) -> {both}",
        tags=out,
        variants=variants,
    )(whole)
    if with_mean:
        derive(op, self=_both_backward(root))
    elif root:
        derive(op, self=_std_backward)
    else:
        derive(op, self=_var_backward)


def _both_backward(root: bool) -> Any:
    def backward(grads, self, first, dim, correction, keepdim):  # type: ignore[no-untyped-def]
        made = None
        if grads[0] is not None:
            if root:
                made = _std_backward(grads[0], self, first, dim, correction, keepdim)
            else:
                made = _var_backward(grads[0], self, dim, correction, keepdim)
        if grads[1] is not None:
            mean = _mean_backward(grads[1], self._shape, dim, keepdim)
            made = mean if made is None else made + mean
        return made

    return backward


for _name in ("var", "std"):
    _moment(_name, False)
    _moment(f"{_name}_mean", True)


# Norms.


@operator(
    "linalg_vector_norm(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, "
    "*, ScalarType? dtype=None) -> Tensor",
    tags="out",
    variants="private",
)
def linalg_vector_norm(self, ord, dim, keepdim, *, dtype):
    """The vector norm of order ``ord`` over dims (all of them for None)."""
    name = "linalg.vector_norm"
    check_floating(self, name)
    x = norm_input(self, None if dtype is None else as_dtype(dtype), name)
    kind = x.dtype.to_real() if x.is_complex() else x.dtype
    dims = reduction_dims(dim, x.ndim)
    x = single(x)
    order = float(ord)
    if (order < 0 or order == math.inf) and 0 in [x._shape[d] for d in dims]:
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {_order_name(order)} norm on an "
            "empty tensor because the operation does not have an identity"
            if len(dims) == x.ndim
            else f"linalg.vector_norm cannot compute the {_order_name(order)} norm on "
            f"the dimension {next(d for d in dims if x._shape[d] == 0)}because this "
            "dimension is empty and the operation does not have an identity"
        )
    if order == 2:
        made = squared(x).sum(dims, keepdim).sqrt()
    elif order == 1:
        made = x.abs().sum(dims, keepdim)
    elif order == math.inf:
        made = x.abs().amax(dims, keepdim)
    elif order == -math.inf:
        made = x.abs().amin(dims, keepdim)
    elif order == 0:
        made = (x != 0).sum(dims, keepdim)
    else:
        made = x.abs().pow(order).sum(dims, keepdim).pow(1 / order)
    return made.to(kind)


def _order_name(order: float) -> str:
    return f"{order:g}"


def norm_backward(
    grad: Any,
    self: Any,
    result: Any,
    ord: Any,
    dim: Any,
    keepdim: bool,
) -> Any:
    order = float(ord)
    dims = reduction_dims(dim, self.ndim)
    grad = unsqueeze_dims(grad, dim, keepdim, self.ndim)
    norm = unsqueeze_dims(result, dim, keepdim, self.ndim)
    if order == 0:
        return None
    if order == 1:
        return self.sgn() * grad
    if order == 2:
        return grad * (self / norm).masked_fill(norm == 0, 0)
    if abs(order) == math.inf:
        size = self.abs()
        reached = (size == norm) | (size.isnan() & norm.isnan())
        count = reached.sum(dims, keepdim=True).clamp(min=1)
        return self.sgn() * (reached.to(size.dtype) / count) * grad
    if order < 1:
        power = self.abs().pow(order - 1).masked_fill(self == 0, 0)
        return self.sgn() * power * grad * norm.pow(1 - order)
    scale = (grad / norm.pow(order - 1)).masked_fill(norm == 0, 0)
    if order < 2:
        return self.sgn() * self.abs().pow(order - 1) * scale
    return self * self.abs().pow(order - 2) * scale


derive(linalg_vector_norm, self=norm_backward)


@operator(
    "norm(Tensor self, Scalar? p='fro', int[1]? dim=None, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    tags="out",
)
def norm(self, p, dim=None, keepdim=False, *, dtype=None):
    """The vector norm of order ``p`` ("fro": 2) over dims."""
    if p is None or p == "fro":
        p = 2.0
    elif isinstance(p, str):
        dims = (-2, -1) if dim is None else as_ints(dim)
        return torch.linalg_matrix_norm(self, p, dims, keepdim, dtype=dtype)
    return torch.linalg_vector_norm(self, p, dim, keepdim, dtype=dtype)


@operator("dist(Tensor self, Tensor other, Scalar p=2) -> Tensor", tags="out")
def dist(self, other, p=2):
    """The norm of the difference of two tensors."""
    return torch.linalg_vector_norm(self - other, p)


def _dist_backward(grad: Any, self: Any, other: Any, p: Any, result: Any) -> Any:
    return norm_backward(grad, self - other, result, p, None, False)


def _dist_other(grad: Any, self: Any, other: Any, p: Any, result: Any) -> Any:
    made = norm_backward(grad, self - other, result, p, None, False)
    return None if made is None else -made


derive(dist, self=_dist_backward, other=_dist_other)


@operator(
    "renorm(Tensor self, Scalar p, int dim, Scalar maxnorm) -> Tensor",
    tags="out",
    inplace=True,
)
def renorm(self, p, dim, maxnorm):
    """Slices of a dim scaled down to a norm of at most ``maxnorm``."""
    if self.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {self.ndim} dimensions"
        )
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    dim = wrap_dim(dim, self.ndim)
    rest = [d for d in range(self.ndim) if d != dim]
    norms = torch.linalg_vector_norm(single(self), p, rest, True)
    scale = torch.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1)
    return (self * scale).to(self.dtype).contiguous()


@operator(
    "logsumexp(Tensor self, int[1] dim, bool keepdim=False) -> Tensor", tags="out"
)
def logsumexp(self, dim, keepdim=False):
    """The logarithm of the sum of exponentials over dims, without overflow."""
    x = single(float_of(self))
    dims = reduction_dims(dim, x.ndim)
    if x.numel() == 0:
        made = x.exp().sum(dims, keepdim).log()
    elif x.is_complex():
        top = x.real.amax(dims, True)
        top = torch.where(top.abs() == math.inf, 0, top)
        made = (x - top).exp().sum(dims, keepdim).log()
        made = made + top.reshape(made._shape)
    else:
        top = x.amax(dims, True)
        top = top.masked_fill(top.abs() == math.inf, 0)
        made = (x - top).exp().sum(dims, keepdim).log()
        made = made + top.reshape(made._shape)
    return _in(made, self) if self.dtype.category > dtypes.INT else made


def _logsumexp_backward(
    grad: Any, self: Any, result: Any, dim: Any, keepdim: bool
) -> Any:
    grad = unsqueeze_dims(grad, dim, keepdim, self.ndim)
    result = unsqueeze_dims(result, dim, keepdim, self.ndim)
    return grad * conj((self - result).exp())


derive(logsumexp, self=_logsumexp_backward)


# Sums that skip or count.


def _count_all(self, dim=None):  # type: ignore[no-untyped-def]
    """How many elements aren't zero."""
    return (self != 0).sum() if dim is None else (self != 0).sum(dim)


def _count_dims(self, dim):  # type: ignore[no-untyped-def]
    """How many elements aren't zero, over dims."""
    return (self != 0).sum(dim)


nondifferentiable(
    operator("count_nonzero(Tensor self, int? dim=None) -> Tensor", tags="out")(
        _count_all
    ),
    operator("count_nonzero.dim_IntList(Tensor self, int[] dim) -> Tensor", tags="out")(
        _count_dims
    ),
)


@operator(
    "nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    tags="out",
)
def nansum(self, dim=None, keepdim=False, *, dtype=None):
    """The sum over dims, NaN counted as 0."""
    if self.is_complex():
        raise RuntimeError("nansum on CPU does not support complex inputs")
    if self.dtype.category > dtypes.INT:
        self = torch.where(self.isnan(), 0, self)
    return self.sum(dim, keepdim, dtype=sum_dtype(self, dtype))


derive(
    nansum,
    self=lambda grad, self, dim, keepdim: torch.where(
        self.isnan(), 0, unsqueeze_dims(grad, dim, keepdim, self.ndim)
    ),
)


@operator(
    "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, "
    "ScalarType? dtype=None) -> Tensor",
    tags="out",
)
def nanmean(self, dim=None, keepdim=False, *, dtype=None):
    """The mean over dims of what isn't NaN."""
    if self.dtype.category <= dtypes.INT:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{scalar_type_name(self.dtype)}"
        )
    count = self.isnan().logical_not().sum(dim, keepdim)
    return torch.nansum(self, dim, keepdim, dtype=dtype).div(count)


@operator(
    "aminmax(Tensor self, *, int? dim=None, bool keepdim=False) -> "
    "(Tensor min, Tensor max)",
    tags="out",
)
def aminmax(self, *, dim, keepdim):
    """The least and the greatest element, of all or along a dim."""
    if dim is not None and self.ndim and self._shape[wrap_dim(dim, self.ndim)] == 0:
        raise IndexError(
            f"aminmax: Expected reduction dim {dim} to have non-zero size."
        )
    if self.numel() == 0 and dim is None:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as "
            "the operation has no identity."
        )
    refuse(self, "\"aminmax_cpu\" not implemented for '{dtype}'", dtypes.COMPLEX)
    dims = () if dim is None else (wrap_dim(dim, self.ndim),)
    return return_type(aminmax)((self.amin(dims, keepdim), self.amax(dims, keepdim)))


def _aminmax_backward(grads, self, min, max, dim, keepdim):  # type: ignore[no-untyped-def]
    from dispatchtorch.ops.reduction import _spread

    parts = [
        _spread(g, self, r, dim, keepdim)
        for g, r in zip(grads, (min, max), strict=True)
        if g is not None
    ]
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


derive(aminmax, self=_aminmax_backward)
