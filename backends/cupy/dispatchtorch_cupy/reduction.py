"""Reductions, scans and sorting by CuPy's functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from dispatchtorch_numpy.reduction import stable_order

from dispatchtorch_cupy.arrays import ordered_like
from dispatchtorch_cupy.pointwise import astype

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

_SINGLE = np.dtype("float32")
_WIDE = np.dtype("int64")


def _is_half(host: Any) -> bool:
    return host.itemsize == 2 and host.kind in "fV"


def _sum(x: Any, dims: Any, keepdim: bool, dtype: Any) -> Any:
    host = dtype.host
    if dims is not None and not len(dims):
        return astype(x, host)
    if _is_half(host):  # half types add up in float32
        return _sum_in(x, dims, _SINGLE, keepdim).astype(host)
    return _sum_in(x, dims, host, keepdim)


def _sum_in(x: Any, dims: Any, host: Any, keepdim: bool) -> Any:
    if x.dtype != host and (x.dtype.kind == "V" or host.kind in "iu"):
        x = astype(x, host)
    return x.sum(dims, host, None, keepdim)


def _sum_all(x: Any, dtype: Any) -> Any:
    return _sum(x, None, False, dtype)


def _natural(dtype: Any) -> Callable[[Any], Any]:
    """The sum of all elements in the dtype that arrays of ``dtype`` add up in."""
    host = dtype.host
    if host.kind in "biu":
        return lambda x: _sum_in(x, None, _WIDE, False)
    if _is_half(host):
        return lambda x: _sum_in(x, None, _SINGLE, False).astype(host)
    return lambda x: x.sum()


_sum_all.natural = _natural  # type: ignore[attr-defined]


def _prod(x: Any, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
    host = x.dtype if dtype is None else dtype.host
    if _is_half(host):
        return x.astype(_SINGLE).prod(dims, _SINGLE, None, keepdim).astype(host)
    if x.dtype != host:
        x = astype(x, host)
    return x.prod(dims, host, None, keepdim)


def _extreme(name: str) -> Callable[..., Any]:
    def reduce(x: Any, dims: Any, keepdim: bool) -> Any:
        if dims is not None and not len(dims):
            return x.copy()
        return getattr(x, name)(dims, None, keepdim)

    return reduce


def _test(name: str) -> Callable[..., Any]:
    def reduce(x: Any, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
        if x.dtype.kind != "b":
            x = x != 0
        if dims is not None and not len(dims):
            return x.copy()
        return getattr(x, name)(dims, None, keepdim)

    return reduce


def _place(name: str) -> Callable[..., Any]:
    """The first place of an extreme; NaN counts as the most extreme number."""

    def find(x: Any, dim: Any) -> Any:
        if not x.ndim:
            return cupy.zeros((), _WIDE)
        if x.dtype.kind == "V":
            x = x.astype(_SINGLE)
        elif x.dtype.kind == "b":
            x = x.astype(np.uint8)
        made = getattr(x, name)(dim)
        if x.dtype.kind == "f":
            # Of several NaN, CuPy gives any.
            nan = cupy.isnan(x)
            made = cupy.where(nan.any(dim), nan.astype(np.uint8).argmax(dim), made)
        return made.astype(_WIDE, copy=False)

    return find


def _scan(name: str) -> Callable[..., Any]:
    function = getattr(cupy, name)

    def run(x: Any, dim: int, dtype: Any) -> Any:
        host = dtype.host
        if not x.ndim or not x.size:
            return astype(x, host)
        wide = _SINGLE if _is_half(host) else host
        made = function(astype(x, wide) if x.dtype != wide else x, dim, wide)
        return _laid_as(x, made.astype(host, copy=False))

    return run


def _laid_as(x: Any, made: Any) -> Any:
    """A result in the memory order of the operand."""
    if x._c_contiguous and made._c_contiguous:
        return made
    kept = ordered_like(made.dtype, made.shape, x)
    kept[...] = made
    return kept


def _sort(x: Any, dim: int, descending: bool) -> Any:
    if not x.ndim:
        return x.copy(), cupy.zeros((), _WIDE)
    if not x.size:
        return x.copy(), cupy.zeros(x.shape, _WIDE)
    rows = x.astype(np.uint8) if x.dtype.kind == "b" else x
    order = stable_order(cupy, rows, dim, descending).astype(_WIDE, copy=False)
    values = cupy.take_along_axis(x, order, dim)
    return _laid_as(x, values), _laid_as(x, order)


def kernels_for(backend: Any) -> Kernels:
    """The reductions."""
    functions: dict[str, Callable[..., Any]] = {
        "sum": _sum_all,
        "sum.dim_IntList": _sum,
        "prod_": _prod,
        "amax": _extreme("max"),
        "amin": _extreme("min"),
        "any_": _test("any"),
        "all_": _test("all"),
        "argmax_": _place("argmax"),
        "argmin_": _place("argmin"),
        "cumsum": _scan("cumsum"),
        "cumprod": _scan("cumprod"),
        "sort_": _sort,
    }
    return {name: (function, False) for name, function in functions.items()}
