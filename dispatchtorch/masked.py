"""Reductions and normalisations that leave out what a mask marks False (``torch.masked``).

What is masked out takes the place of the operation's identity: 0 in a sum, -inf in a
maximum. A mask broadcasts to the input's shape; None masks nothing out. Masked tensors
as a class of their own aren't offered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]

_number = int | float
Dims = Any
_sum = sum


def _dims(dim: Dims, ndim: int) -> tuple[int, ...]:
    """The dims of a reduction, wrapped: all of them for None."""
    if dim is None:
        return tuple(range(ndim))
    ndim = max(ndim, 1)
    found: list[int] = []
    for each in dim if isinstance(dim, tuple | list) else (dim,):
        if not -ndim <= each < ndim:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-ndim}, "
                f"{ndim - 1}], but got {each})"
            )
        if each % ndim in found:
            raise RuntimeError(
                f"dim={each % ndim} appears multiple times in the list of dims"
            )
        found.append(each % ndim)
    return tuple(found)


def _mask_of(input: Tensor, mask: Tensor) -> Tensor:
    """A mask in the input's shape and as bools."""
    if mask.ndim > input.ndim:
        raise IndexError(
            "_input_mask expected broadcastable mask (got mask dimensionality higher than "
            "of the input)"
        )
    if mask.shape != input.shape:
        mask = torch.broadcast_to(mask.clone(), input.shape)
    return mask if mask.dtype is torch.bool else mask.bool()


def _filled(input: Tensor, mask: Tensor | None, value: _number) -> Tensor:
    """The input with ``value`` where the mask is False."""
    if mask is None:
        return input
    identity = torch.tensor(value, dtype=input.dtype, device=input.device)
    return torch.where(_mask_of(input, mask), input, identity)


def _lowest(dtype: Any) -> _number:
    return int(torch.iinfo(dtype).min) if _is_exact(dtype) else -math.inf


def _highest(dtype: Any) -> _number:
    return int(torch.iinfo(dtype).max) if _is_exact(dtype) else math.inf


def _is_exact(dtype: Any) -> bool:
    return not (dtype.is_floating_point or dtype.is_complex)


def _sum_dtype(input: Tensor, dtype: Any) -> Any:
    if dtype is not None:
        return dtype
    return torch.int64 if _is_exact(input.dtype) else input.dtype


def sum(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The sum over dims; 0 where all is masked out."""
    dtype = _sum_dtype(input, dtype)
    dims = _dims(dim, input.ndim)
    return torch.sum(_filled(input, mask, 0), dims, bool(keepdim), dtype=dtype)


def prod(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The product over dims; 1 where all is masked out."""
    dtype = _sum_dtype(input, dtype)
    made = _filled(input, mask, 1)
    for each in reversed(_dims(dim, input.ndim)):
        made = made.prod(dim=each, keepdim=bool(keepdim))
    return made.to(dtype=dtype)


def cumsum(
    input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The running sum along a dim; what is masked out adds nothing."""
    (at,) = _dims(dim, input.ndim)
    dtype = input.dtype if dtype is None else dtype
    return torch.cumsum(_filled(input, mask, 0), at, dtype=dtype).to(dtype=dtype)


def cumprod(
    input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None
) -> Tensor:
    """The running product along a dim; what is masked out changes nothing."""
    (at,) = _dims(dim, input.ndim)
    dtype = input.dtype if dtype is None else dtype
    return torch.cumprod(_filled(input, mask, 1), at, dtype=dtype).to(dtype=dtype)


def _extremum(name: str, identity: Callable[[Any], _number]) -> Callable[..., Tensor]:
    def extremum(
        input: Tensor,
        dim: Dims = None,
        *,
        keepdim: bool | None = False,
        dtype: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        dtype = input.dtype if dtype is None else dtype
        dims = _dims(dim, input.ndim)
        filled = _filled(input, mask, identity(input.dtype))
        return getattr(torch, name)(filled, dims, bool(keepdim)).to(dtype=dtype)  # type: ignore[no-any-return]

    extremum.__name__ = extremum.__qualname__ = name
    extremum.__doc__ = (
        f"The {name[1:]}imum over dims; the dtype's extreme where all is masked out."
    )
    return extremum


amax = _extremum("amax", _lowest)
amin = _extremum("amin", _highest)


def _place(name: str, identity: Callable[[Any], _number]) -> Callable[..., Tensor]:
    def place(
        input: Tensor,
        dim: int | None = None,
        *,
        keepdim: bool | None = False,
        dtype: Any = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        filled = _filled(input, mask, identity(input.dtype))
        made = getattr(torch, name)(filled, dim, bool(keepdim))
        return made.to(dtype=input.dtype if dtype is None else dtype)  # type: ignore[no-any-return]

    place.__name__ = place.__qualname__ = name
    place.__doc__ = f"The index of the {name[3:]}imum of what isn't masked out."
    return place


argmax = _place("argmax", _lowest)
argmin = _place("argmin", _highest)


def _count(input: Tensor, dim: Dims, keepdim: bool, mask: Tensor | None) -> Tensor:
    ones = torch.ones(input.shape, dtype=torch.int64, device=input.device)
    return sum(ones, dim, keepdim=keepdim, dtype=torch.int64, mask=mask)


def mean(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The mean over dims; NaN where all is masked out."""
    dtype = input.dtype if dtype is None else dtype
    if _is_exact(dtype):
        raise ValueError(
            f"Dtype {dtype} is not supported: masked.mean needs a floating point or "
            "complex dtype"
        )
    total = sum(input, dim, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / _count(input, dim, bool(keepdim), mask)


def median(
    input: Tensor,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The lower median along a dim; NaN where all is masked out."""
    dtype = input.dtype if dtype is None else dtype
    if not dtype.is_floating_point:
        raise ValueError(
            f"input with no masked elements of dtype {dtype} isn't supported by median, "
            "which stands NaN in for what is masked out"
        )
    (at,) = _dims(dim, input.ndim)
    filled = _filled(input, mask, math.nan)
    if bool(torch.isnan(input).any()):
        made = torch.median(filled, at, keepdim).values
        return made.to(dtype=dtype)
    return torch.nanmedian(filled, at, keepdim).values.to(dtype=dtype)


def logsumexp(
    input: Tensor,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The logarithm of the sum of exponentials; -inf where all is masked out."""
    dtype = input.dtype if dtype is None else dtype
    dims = _dims(dim, input.ndim)
    filled = _filled(input, mask, _lowest(input.dtype))
    return torch.logsumexp(filled, dims, keepdim=keepdim).to(dtype=dtype)


def logaddexp(
    input: Tensor,
    other: Tensor,
    *,
    dtype: Any = None,
    input_mask: Tensor | None = None,
    other_mask: Tensor | None = None,
) -> Tensor:
    """log(exp(input) + exp(other)) of what isn't masked out."""
    dtype = input.dtype if dtype is None else dtype
    first = _filled(input, input_mask, -math.inf)
    second = _filled(other, other_mask, -math.inf)
    return torch.logaddexp(first, second).to(dtype=dtype)


def norm(
    input: Tensor,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The vector norm over dims of what isn't masked out."""
    dtype = input.dtype if dtype is None else dtype
    order = 2.0 if ord is None else ord
    filled = _filled(input, mask, math.inf if order == -math.inf else 0)
    dims = _dims(dim, input.ndim)
    return torch.linalg.vector_norm(filled, order, dims, bool(keepdim), dtype=dtype)  # type: ignore[no-any-return]


def _variance(
    input: Tensor,
    dim: Dims,
    unbiased: bool | None,
    correction: _number | None,
    keepdim: bool | None,
    dtype: Any,
    mask: Tensor | None,
    root: bool,
) -> Tensor:
    if unbiased is not None and correction is not None:
        raise RuntimeError("Only one of unbiased and correction may be given")
    less: _number = 1
    if unbiased is not None:
        less = 1 if unbiased else 0
    elif correction is not None:
        less = correction
    dtype = input.dtype if dtype is None else dtype
    if _is_exact(dtype):
        dtype = torch.float32
    wide = torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype
    count = _count(input, dim, True, mask)
    total = sum(input, dim, keepdim=True, dtype=dtype, mask=mask)
    gap = input - torch.divide(total, count)
    total = sum(gap * gap.conj(), dim, keepdim=keepdim, dtype=wide, mask=mask)
    if not keepdim:
        count = count.reshape(total.shape)
    if less != 0:
        real = wide.to_real() if wide.is_complex else wide
        count = count.to(real) - less
        count = torch.maximum(count, count.new_zeros([]))
    made = torch.divide(total, count).to(dtype=dtype)
    return torch.sqrt(made) if root else made


def var(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: _number | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The variance over dims of what isn't masked out."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask, False)


def std(
    input: Tensor,
    dim: Dims = None,
    unbiased: bool | None = None,
    *,
    correction: _number | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The standard deviation over dims of what isn't masked out."""
    return _variance(input, dim, unbiased, correction, keepdim, dtype, mask, True)


def _softened(name: str, identity: Callable[[Any], _number]) -> Callable[..., Tensor]:
    def soft(
        input: Tensor, dim: int, *, dtype: Any = None, mask: Tensor | None = None
    ) -> Tensor:
        dtype = input.dtype if dtype is None else dtype
        (at,) = _dims(dim, input.ndim)
        filled = _filled(input, mask, identity(input.dtype))
        function = getattr(torch.nn.functional, name)
        return function(filled, at, dtype=dtype)  # type: ignore[no-any-return]

    soft.__name__ = soft.__qualname__ = name
    soft.__doc__ = f"{name} along a dim of what isn't masked out."
    return soft


softmax = _softened("softmax", _lowest)
log_softmax = _softened("log_softmax", _lowest)
softmin = _softened("softmin", _highest)


def normalize(
    input: Tensor,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The input over its norm along a dim, of at least ``eps``; 0 where masked out."""
    dtype = input.dtype if dtype is None else dtype
    size = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    least = torch.tensor(eps, dtype=size.dtype, device=size.device)
    return torch.divide(_filled(input, mask, 0), torch.maximum(size, least))
