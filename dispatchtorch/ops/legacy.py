"""Operators off the beaten track: kept for older programs, or for tools."""

from __future__ import annotations

import math
import warnings

from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import (
    as_ints,
    infer_size,
    wrap_dim,
)
from dispatchtorch.tensor import Tensor

# Sizes.


@operator("resize(Tensor self, int[] size) -> Tensor", variants="method")
def resize(self, size):
    """The elements in another shape (deprecated)."""
    warnings.warn("non-inplace resize is deprecated", stacklevel=3)
    return _resized(self, as_ints(size))


@operator("resize_as(Tensor self, Tensor the_template) -> Tensor", variants="method")
def resize_as(self, the_template):
    """The elements in the shape of another tensor (deprecated)."""
    warnings.warn("non-inplace resize_as is deprecated", stacklevel=3)
    return _resized(self, the_template._shape)


def _resized(self: Tensor, shape: tuple[int, ...]) -> Tensor:
    if math.prod(shape) != self.numel():
        own, new = "x".join(map(str, self._shape)), "x".join(map(str, shape))
        raise RuntimeError(
            f"requested resize to {new} ({math.prod(shape)} elements in total), but the "
            f"given tensor has a size of {own} ({self.numel()} elements). autograd's "
            "resize can only change the shape of a given tensor, while preserving the "
            "number of elements. "
        )
    return self.contiguous().view(infer_size(shape, self.numel()))  # type: ignore[no-any-return]


@operator(
    "fill_diagonal_(Tensor(a!) self, Scalar fill_value, bool wrap=False) -> Tensor(a!)",
    variants="method",
)
def fill_diagonal_(self, fill_value, wrap=False):
    """Writes a number to the main diagonal; ``wrap`` starts anew in tall matrices."""
    shape = self._shape
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step = sum(self.stride())
    count = min(shape)
    start = self.storage_offset()
    self.as_strided((count,), (step,), start).fill_(fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        stride, columns = self.stride(0), shape[1]
        rows = range(columns + 1, shape[0], columns + 1)
        for row in rows:
            more = min(columns, shape[0] - row)
            self.as_strided((more,), (step,), start + row * stride).fill_(fill_value)
    return self


# Norms.


@operator(
    "norm_except_dim(Tensor v, int pow=2, int dim=0) -> Tensor", variants="function"
)
def norm_except_dim(v, pow=2, dim=0):
    """The norm over all dims but one, of size 1 there; over all dims for -1."""
    if dim == -1:
        return v.norm(pow)
    d = wrap_dim(dim, v.ndim)
    rows = v.movedim(d, 0).reshape(v._shape[d], -1)
    made = rows.norm(pow, 1).view((-1,) + (1,) * (v.ndim - 1))
    return made.transpose(0, d) if d else made


@operator(
    "batch_norm_update_stats(Tensor input, Tensor? running_mean, Tensor? running_var, "
    "float momentum) -> (Tensor, Tensor)",
    tags="nondifferentiable",
    variants="function",
)
def batch_norm_update_stats(input, running_mean, running_var, momentum):
    """The mean and variance of each channel; moves the running ones towards them."""
    rows = input.detach().transpose(0, 1).flatten(1)
    mean, var = rows.mean(1), rows.var(1, correction=0)
    if running_mean is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
    if running_var is not None:
        unbiased = rows.var(1).to(running_var.dtype)
        running_var.lerp_(unbiased, momentum)
    return mean, var
