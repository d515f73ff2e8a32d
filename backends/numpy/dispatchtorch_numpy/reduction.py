"""Reductions and scans over dims that the core has wrapped and sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_numpy.pointwise import astype

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]


def kernels_for(xp: Any) -> Kernels:
    """The reduction kernels of an array module."""
    kernels: Kernels = {}
    add_reduce = xp.add.reduce

    def kernel(name: str) -> Callable[..., Any]:
        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            kernels[name] = (function, False)
            return function

        return add

    array, asarray, as_list = xp.array, xp.asarray, xp.ndarray.tolist

    @kernel("sum")
    def sum_all(x: Any, dtype: Any) -> Any:
        return sum_(x, None, False, dtype)

    def natural_sum(dtype: Any) -> Callable[[Any], Any]:
        """The sum of all elements in the dtype that arrays of ``dtype`` add up in."""
        host = dtype.host
        wide = host
        if host.kind in "biu":
            wide = xp.dtype("int64")
        elif host.itemsize == 2:
            wide = xp.dtype("float32")

        def whole(x: Any) -> Any:
            made = add_reduce(x, None, wide)
            return (
                made.astype(host) if host.itemsize == 2 and wide.kind == "f" else made
            )

        def floats(x: Any) -> Any:
            # Python adds a few numbers up before NumPy has set its loop up.
            if x.ndim == 1 and x.size < 9:
                return array(sum(as_list(x)), host)
            return asarray(add_reduce(x, None))

        if host.kind == "f" and host.itemsize > 2:
            return floats
        return whole

    sum_all.natural = natural_sum  # type: ignore[attr-defined]

    @kernel("sum.dim_IntList")
    def sum_(x: Any, dims: Any, keepdim: bool, dtype: Any) -> Any:
        if dtype is None:
            return add_reduce(x, dims, None, None, keepdim)
        host = dtype.host
        if host.kind == "V" or (host.itemsize == 2 and host.kind == "f"):
            # Half types accumulate in float32.
            return add_reduce(x, dims, "float32", None, keepdim).astype(host)
        return add_reduce(x, dims, host, None, keepdim)

    @kernel("prod_")
    def prod(x: Any, dims: Any, keepdim: bool, dtype: Any) -> Any:
        return xp.multiply.reduce(x, dims, dtype.host, None, keepdim)

    @kernel("amax")
    def amax(x: Any, dims: Any, keepdim: bool) -> Any:
        return xp.maximum.reduce(x, dims, None, None, keepdim)

    @kernel("amin")
    def amin(x: Any, dims: Any, keepdim: bool) -> Any:
        return xp.minimum.reduce(x, dims, None, None, keepdim)

    @kernel("argmax_")
    def argmax(x: Any, dim: int) -> Any:
        return xp.argmax(x, dim)

    @kernel("argmin_")
    def argmin(x: Any, dim: int) -> Any:
        return xp.argmin(x, dim)

    @kernel("any_")
    def any_(x: Any, dims: Any, keepdim: bool) -> Any:
        return xp.any(x, axis=dims, keepdims=keepdim)

    @kernel("all_")
    def all_(x: Any, dims: Any, keepdim: bool) -> Any:
        return xp.all(x, axis=dims, keepdims=keepdim)

    @kernel("cumsum")
    def cumsum(x: Any, dim: int, dtype: Any) -> Any:
        return xp.cumsum(x, dim, dtype.host) if x.ndim else astype(xp, x, dtype.host)

    @kernel("cumprod")
    def cumprod(x: Any, dim: int, dtype: Any) -> Any:
        return xp.cumprod(x, dim, dtype.host) if x.ndim else astype(xp, x, dtype.host)

    @kernel("sort_")
    def sort(x: Any, dim: int, descending: bool) -> Any:
        order = stable_order(xp, x, dim, descending)
        return xp.take_along_axis(x, order, dim), order

    return kernels


def stable_order(xp: Any, x: Any, dim: int, descending: bool) -> Any:
    """The stable sorting order; NaN counts as the largest value, as in PyTorch."""
    if x.dtype.kind == "V":  # bfloat16, which NumPy sorts with NaN anywhere
        x = x.astype("float32")
    if not descending:
        return xp.argsort(x, axis=dim, kind="stable")
    # Reversed twice, so that equal elements keep their order.
    flipped = xp.flip(x, dim)
    order = xp.flip(xp.argsort(flipped, axis=dim, kind="stable"), dim)
    return x.shape[dim] - 1 - order
