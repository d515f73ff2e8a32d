"""Reductions and normalisations under a mask: what is left out becomes the identity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dispatchtorch as torch
from dispatchtorch.tensor import Tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin",
    "std", "sum", "var",
]  # fmt: skip

Dims = int | Sequence[int] | None


def _lowest(dtype: Any) -> Any:
    if dtype.is_floating_point or dtype.is_complex:
        return float("-inf")
    return False if dtype is torch.bool else torch.iinfo(dtype).min


def _highest(dtype: Any) -> Any:
    if dtype.is_floating_point:
        return float("inf")
    return True if dtype is torch.bool else torch.iinfo(dtype).max


def _prepared(
    input: Any, mask: Any, dtype: Any, name: str, *, inexact: bool = False
) -> tuple[Tensor, Tensor | None, Any]:
    """The dense data, its mask in the data's shape, and the dtype to compute in."""
    from dispatchtorch.masked._tensor import MaskedTensor

    if isinstance(input, MaskedTensor):
        own = input.get_mask()
        mask = own if mask is None else mask & own
        input = input.get_data()
    if not isinstance(input, Tensor):
        for needed in ("dtype", "layout"):  # an AttributeError says what is missing
            getattr(input, needed)
        raise ValueError(
            f"masked_{name} expects torch.Tensor input, got {type(input).__name__}"
        )
    if input.layout is not torch.strided:
        raise ValueError(
            f"masked_{name} expects strided input (got {input.layout} tensor)"
        )
    if inexact and dtype is None:
        if not (input.is_floating_point() or input.is_complex()):
            raise ValueError(
                f"{name}(): Could not infer output dtype. Input dtype must be either a "
                f"floating point or complex dtype. Got: {input.dtype}"
            )
        dtype = input.dtype
    if mask is not None:
        if mask.ndim > input.ndim:
            raise IndexError(
                "_input_mask expected broadcastable mask (got mask dimensionality higher "
                "than of the input)"
            )
        mask = mask.to(torch.bool).expand(input.shape)
    return input, mask, dtype


def _filled(data: Tensor, mask: Tensor | None, value: Any) -> Tensor:
    return data if mask is None else torch.where(mask, data, _like(data, value))


def _like(data: Tensor, value: Any) -> Tensor:
    return torch.tensor(value, dtype=data.dtype, device=data.device)


def _dims(dim: Dims, ndim: int) -> list[int]:
    """The dims to reduce, in order; all of them for None."""
    if dim is None or (not isinstance(dim, int) and len(dim) == 0):
        return list(range(ndim))
    listed = [dim] if isinstance(dim, int) else list(dim)
    found = []
    for d in listed:
        low, high = min(-ndim, -1), max(ndim - 1, 0)
        if not low <= d <= high:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{low}, {high}], but "
                f"got {d})"
            )
        wrapped = d % ndim if ndim else 0
        if wrapped in found:
            raise RuntimeError(
                f"dim={wrapped} appears multiple times in the list of dims"
            )
        found.append(wrapped)
    return sorted(found)


def _summing_dtype(data: Tensor, dtype: Any) -> Any:
    if dtype is not None:
        return dtype
    small = data.dtype in (
        torch.bool,
        torch.uint8,
        torch.int8,
        torch.int16,
        torch.int32,
    )
    return torch.int64 if small else data.dtype


def sum(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The sum of the elements under the mask; 0 of none."""
    data, mask, dtype = _prepared(input, mask, dtype, "sum")
    data = data.to(_summing_dtype(data, dtype))
    return _filled(data, mask, 0).sum(_dims(dim, data.ndim), keepdim=keepdim)


def prod(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The product of the elements under the mask; 1 of none."""
    data, mask, dtype = _prepared(input, mask, dtype, "prod")
    result = _filled(data.to(_summing_dtype(data, dtype)), mask, 1)
    for d in reversed(_dims(dim, data.ndim)):
        result = result.prod(d, keepdim=keepdim)
    return result


def _extreme(name: str, identity: Any) -> Any:
    def reduce(
        input: Any,
        dim: Dims = None,
        *,
        keepdim: bool = False,
        dtype: Any = None,
        mask: Any = None,
    ) -> Tensor:
        data, mask, dtype = _prepared(input, mask, dtype, name)
        if dtype is not None:
            data = data.to(dtype)
        filled = _filled(data, mask, identity(data.dtype))
        return getattr(torch, name)(filled, _dims(dim, data.ndim), keepdim)

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = f"``{name}`` of the elements under the mask."
    return reduce


amax = _extreme("amax", _lowest)
amin = _extreme("amin", _highest)


def _place(name: str, identity: Any) -> Any:
    def reduce(
        input: Any,
        dim: int | None = None,
        *,
        keepdim: bool = False,
        dtype: Any = None,
        mask: Any = None,
    ) -> Tensor:
        data, mask, dtype = _prepared(input, mask, dtype, name)
        if dtype is None:
            dtype = data.dtype
        filled = _filled(data, mask, identity(data.dtype))
        found = getattr(torch, name)(filled, dim, bool(keepdim))
        return found.to(dtype)  # type: ignore[no-any-return]

    reduce.__name__ = reduce.__qualname__ = name
    reduce.__doc__ = f"``{name}`` of the elements under the mask, in the input's dtype."
    return reduce


argmax = _place("argmax", _lowest)
argmin = _place("argmin", _highest)


def mean(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The mean of the elements under the mask; nan of none."""
    data, mask, dtype = _prepared(input, mask, dtype, "mean", inexact=True)
    dims = _dims(dim, data.ndim)
    if mask is None:
        return torch.mean(data, dims, keepdim, dtype=dtype)
    count = _count(data, mask, dims, keepdim)
    total = sum(data, dims, keepdim=keepdim, dtype=dtype, mask=mask)
    return total / count


def _count(data: Tensor, mask: Tensor | None, dims: list[int], keepdim: bool) -> Tensor:
    ones = torch.ones_like(data, dtype=torch.int64)
    return sum(ones, dims, keepdim=keepdim, mask=mask)


def median(
    input: Any,
    dim: int = -1,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The lower median of the elements under the mask; nan of none."""
    data, mask, dtype = _prepared(input, mask, dtype, "median")
    if dtype is not None:
        data = data.to(dtype)
    place = _dims(dim, data.ndim)[0] if data.ndim else 0
    if mask is None:
        return torch.median(data, place, keepdim).values  # type: ignore[no-any-return]
    if not data.is_floating_point():
        if not bool(mask.any(place).all()):
            raise ValueError(
                "masked median expects no fully masked out rows if dtype is not floating "
                "point"
            )
        wide = torch.where(mask, data.to(torch.float64), float("nan"))
        found = torch.nanmedian(wide, place, keepdim).values
        return found.to(data.dtype)  # type: ignore[no-any-return]
    return torch.nanmedian(_filled(data, mask, float("nan")), place, keepdim).values  # type: ignore[no-any-return]


def norm(
    input: Any,
    ord: float | None = 2.0,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The vector norm of the elements under the mask."""
    data, mask, dtype = _prepared(input, mask, dtype, "norm", inexact=True)
    value = float("inf") if ord == float("-inf") else 0
    filled = _filled(data, mask, value)
    dims = _dims(dim, data.ndim)
    return torch.linalg.vector_norm(  # type: ignore[no-any-return]
        filled, 2.0 if ord is None else ord, dims, bool(keepdim), dtype=dtype
    )


def _spread(
    name: str,
    input: Any,
    dim: Dims,
    unbiased: bool | None,
    correction: Any,
    keepdim: bool,
    dtype: Any,
    mask: Any,
) -> Tensor:
    if unbiased is not None and correction is not None:
        raise ValueError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    data, mask, _ = _prepared(input, mask, dtype, name)
    kind = dtype
    if kind is None:
        exact = not (data.is_floating_point() or data.is_complex())
        kind = torch.get_default_dtype() if exact else data.dtype
    dims = _dims(dim, data.ndim)
    data = data.to(kind)
    if mask is None:
        result = torch.var(data, dims, correction=correction, keepdim=keepdim).to(kind)
        return result.sqrt() if name == "std" else result
    count = _count(data, mask, dims, True)
    centre = sum(data, dims, keepdim=True, mask=mask) / count
    off = data - centre
    square = off * off.conj() if off.is_complex() else off * off
    total = sum(square, dims, keepdim=keepdim, mask=mask)
    if not keepdim:
        count = count.reshape(total.shape)
    if correction:
        real = total.real.dtype if total.is_complex() else total.dtype
        left = count.to(real) - correction
        count = torch.maximum(left, torch.zeros_like(left))
    result = total / count
    return result.sqrt() if name == "std" else result


def _spread_function(name: str, doc: str) -> Any:
    def spread(
        input: Any,
        dim: Dims = None,
        unbiased: bool | None = None,
        *,
        correction: Any = None,
        keepdim: bool = False,
        dtype: Any = None,
        mask: Any = None,
    ) -> Tensor:
        return _spread(name, input, dim, unbiased, correction, keepdim, dtype, mask)

    spread.__name__ = spread.__qualname__ = name
    spread.__doc__ = doc
    return spread


var = _spread_function("var", "The variance of the elements under the mask.")
std = _spread_function("std", "The standard deviation of the elements under the mask.")


def logsumexp(
    input: Any,
    dim: Dims = None,
    *,
    keepdim: bool = False,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """``log(sum(exp))`` of the elements under the mask; -inf of none."""
    data, mask, dtype = _prepared(input, mask, dtype, "logsumexp")
    if dtype is not None:
        data = data.to(dtype)
    filled = _filled(data, mask, _lowest(data.dtype))
    found = torch.logsumexp(filled, _dims(dim, data.ndim), bool(keepdim))
    return found.to(data.dtype)


def logaddexp(
    input: Any,
    other: Any,
    *,
    dtype: Any = None,
    input_mask: Any = None,
    other_mask: Any = None,
) -> Tensor:
    """``log(exp(input) + exp(other))``; a masked element counts as -inf."""
    sides = []
    for value, mask in ((input, input_mask), (other, other_mask)):
        data, found, kind = _prepared(value, mask, dtype, "logaddexp")
        data = data if kind is None else data.to(kind)
        sides.append(_filled(data, found, float("-inf")))
    return torch.logaddexp(*sides)


def _along(name: str, identity: Any, apply: Any) -> Any:
    def run(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Tensor:
        data, mask, dtype = _prepared(input, mask, dtype, name)
        if dtype is not None:
            data = data.to(dtype)
        place = _dims(dim, data.ndim)[0] if data.ndim else 0
        value = identity(data.dtype) if callable(identity) else identity
        return apply(_filled(data, mask, value), place)  # type: ignore[no-any-return]

    run.__name__ = run.__qualname__ = name
    run.__doc__ = f"``{name}`` along a dim; masked elements count as the identity."
    return run


softmax = _along("softmax", _lowest, lambda t, d: torch.softmax(t, d))
log_softmax = _along("log_softmax", _lowest, lambda t, d: torch.log_softmax(t, d))
softmin = _along("softmin", _highest, lambda t, d: torch.softmax(-t, d))
cumsum = _along("cumsum", 0, lambda t, d: t.cumsum(d, dtype=t.dtype))
cumprod = _along("cumprod", 1, lambda t, d: t.cumprod(d, dtype=t.dtype))


def normalize(
    input: Any,
    ord: float,
    dim: int,
    *,
    eps: float = 1e-12,
    dtype: Any = None,
    mask: Any = None,
) -> Tensor:
    """The elements over the norm of those under the mask, which is at least ``eps``."""
    data, mask, dtype = _prepared(input, mask, dtype, "normalize")
    if dtype is not None:
        data = data.to(dtype)
    size = norm(data, ord, dim, keepdim=True, mask=mask)
    floor = torch.full_like(size, eps)
    return _filled(data, mask, 0) / torch.maximum(size, floor)
