"""Reductions and scans over dims that the core has wrapped and sorted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_numpy.indexing import empty_like
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

    def natural_sum_over(dtype: Any) -> Callable[..., Any]:
        """The sum over some dims, as :func:`natural_sum`."""
        host = dtype.host
        wide = xp.dtype("int64") if host.kind in "biu" else host
        if host.kind == "V" or (host.itemsize == 2 and host.kind == "f"):
            wide = xp.dtype("float32")
        rounds = host.kind not in "biu" and wide is not host

        def over(x: Any, dims: Any, keepdim: bool) -> Any:
            made = add_reduce(x, dims, wide, None, keepdim)
            if made.ndim > 1:
                made = rows(x, made)
            return made.astype(host) if rounds else made

        return over

    def rows(x: Any, made: Any) -> Any:
        """A reduction of ``x`` in row-major order, as PyTorch's are."""
        return made if x.flags.c_contiguous or made.ndim < 2 else made.copy()

    @kernel("sum.dim_IntList")
    def sum_(x: Any, dims: Any, keepdim: bool, dtype: Any) -> Any:
        host = dtype.host
        if host.kind == "V" or (host.itemsize == 2 and host.kind == "f"):
            # Half types accumulate in float32.
            return rows(x, add_reduce(x, dims, "float32", None, keepdim)).astype(host)
        return rows(x, add_reduce(x, dims, host, None, keepdim))

    sum_.natural = natural_sum_over  # type: ignore[attr-defined]

    def reducer(name: str, ufunc: Any, host: Any = None) -> None:
        @kernel(name)
        def reduce(x: Any, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
            kind = host if dtype is None else dtype.host
            return rows(x, ufunc.reduce(x, dims, kind, None, keepdim))

    reducer("prod_", xp.multiply)
    reducer("amax", xp.maximum)
    reducer("amin", xp.minimum)
    reducer("any_", xp.logical_or, bool)
    reducer("all_", xp.logical_and, bool)

    @kernel("argmax_")
    def argmax(x: Any, dim: int) -> Any:
        return xp.argmax(x, dim)

    @kernel("argmin_")
    def argmin(x: Any, dim: int) -> Any:
        return xp.argmin(x, dim)

    def scan(name: str, function: Callable[..., Any]) -> None:
        @kernel(name)
        def run(x: Any, dim: int, dtype: Any) -> Any:
            host = dtype.host
            if not x.ndim:
                return astype(xp, x, host)
            if x.flags.c_contiguous:
                return function(x, dim, host)
            return function(x, dim, host, xp.empty(x.shape, host))

    scan("cumsum", xp.cumsum)
    scan("cumprod", xp.cumprod)

    @kernel("sort_")
    def sort(x: Any, dim: int, descending: bool) -> Any:
        order = stable_order(xp, x, dim, descending)
        values = xp.take_along_axis(x, order, dim)
        if x.flags.c_contiguous and 1 not in x.shape:
            return values, order
        # The results lie in memory as the operand does.
        made = empty_like(xp, x), empty_like(xp, x, order.dtype)
        made[0][...], made[1][...] = values, order
        return made

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
