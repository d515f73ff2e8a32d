"""Pointwise kernels of CuPy's functions, under those of :mod:`.kernels`.

The rows and the composites are the array-neutral ones of the ``cpu`` device. CuPy always
writes new results in row-major order and casts what it has no loop for; PyTorch does
neither, so results are made first where operands lie otherwise, and dtypes without a loop
of their own are declined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
from dispatchtorch_numpy import pointwise as generic

from dispatchtorch_cupy.arrays import ordered_like, strides_of

__all__ = ["astype", "kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# Integers that these leave as they are.
_WHOLE = ("floor", "ceil", "trunc", "round")
_INTEGERS = "biu"
_SINGLE = np.dtype("float32")


def astype(x: Any, host: Any) -> Any:
    """A cast as PyTorch makes it, in the memory order of the operand."""
    return generic.astype(cupy, x, host)


def _loops(ufunc: Any) -> dict[str, Any]:
    """The characters of operands' dtypes that a ufunc has a loop for -> the result's."""
    made: dict[str, Any] = {}
    for line in ufunc.types:
        taken, _, given = line.partition("->")
        if len(set(taken)) == 1 and len(given) == 1:
            made.setdefault(taken[0], given)
    return made


def _hosts(ufunc: Any) -> dict[Any, Any]:
    """dtypes that a ufunc computes in themselves -> the dtype of the result."""
    from dispatchtorch_cupy.device import CudaBackend

    loops = _loops(ufunc)
    made = {}
    for each in CudaBackend.dtypes:
        given = loops.get(each.host.char)
        if given is not None:
            made[each.host] = each.host if given == each.host.char else np.dtype(given)
        elif set(loops.values()) == {"?"} and each.host.kind in "iu":
            # Comparisons have loops for the widest integers alone.
            made[each.host] = np.dtype(bool)
    return made


def _unary(ufunc: Any, whole: bool) -> Callable[..., Any]:
    known = _hosts(ufunc)

    def kernel(x: Any, out: Any = None) -> Any:
        made = known.get(x.dtype)
        if made is None or (whole and x.dtype.kind in "biu"):
            if whole and x.dtype.kind in "biu":
                return _copy(x, out)
            return NotImplemented
        if out is None:
            if x._c_contiguous:
                return ufunc(x)
            out = ordered_like(made, x.shape, x)
        return ufunc(x, out=out)

    return kernel


def _copy(x: Any, out: Any) -> Any:
    if out is None:
        return x.copy("K")
    out[...] = x
    return out


def _binary(ufunc: Any) -> Callable[..., Any]:
    known = _hosts(ufunc)

    def kernel(x: Any, y: Any, out: Any = None) -> Any:
        made = known.get(x.dtype)
        if made is None:
            return NotImplemented
        if out is None:
            if x._c_contiguous and y._c_contiguous:
                return ufunc(x, y)
            out = ordered_like(made, np.broadcast_shapes(x.shape, y.shape), x, y)
        return ufunc(x, y, out=out)

    return kernel


def _ordered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A composite whose result is put into the order that PyTorch gives it.

    It computes bfloat16 in float32: some of CuPy's functions have no loop for that.
    """

    def kernel(*operands: Any) -> Any:
        host = operands[-1].dtype
        if host.kind == "V":
            wide = [x.astype(_SINGLE) if x.dtype == host else x for x in operands]
            made = function(*wide)
            if made is not NotImplemented:
                made = made.astype(host)
        else:
            made = function(*operands)
        return made if made is NotImplemented else _ordered_as(made, operands)

    return kernel


def _in_order(function: Callable[..., Any]) -> Callable[..., Any]:
    """As :func:`_ordered`, for functions that take every dtype."""
    return lambda *operands: _ordered_as(function(*operands), operands)


def _ordered_as(made: Any, operands: tuple[Any, ...]) -> Any:
    if made.ndim < 2:
        return made
    given = [x for x in operands if type(x) is cupy.ndarray]
    if all(x._c_contiguous for x in given):
        return made
    wanted = ordered_like(made.dtype, made.shape, *given)
    if strides_of(wanted) == strides_of(made):
        return made
    wanted[...] = made
    return wanted


def kernels_for(backend: Any) -> Kernels:
    """The pointwise kernels."""
    rows = dict(generic.rows(generic.UFUNCS))
    rows.update(round="rint", _conj_physical="conjugate")
    kernels: Kernels = {}
    for name, (function, _) in generic.kernels_for(cupy).items():
        if name not in rows:
            kernels[name] = (_ordered(function), False)
    for name, function in _COMPOSITES.items():
        kernels[name] = (_ordered(function), False)
    for name, word in rows.items():
        ufunc = getattr(cupy, word, None)
        if ufunc is None:
            continue
        make = _binary(ufunc) if ufunc.nin == 2 else _unary(ufunc, name in _WHOLE)
        if name == "fmod":
            make = _checked(make)
        kernels[name] = (make, True)
    kernels["relu"] = (_relu, True)
    kernels["where.self"] = (_in_order(_where), False)
    return kernels


def _checked(function: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(x: Any, y: Any, out: Any = None) -> Any:
        generic._no_zero_division(cupy, y)
        return function(x, y, out)

    return kernel


def _relu(x: Any, out: Any = None) -> Any:
    if x.dtype.kind == "b":  # with a number it would be an integer
        return _copy(x, out)
    if out is None:
        out = (
            cupy.empty_like(x) if x._c_contiguous else ordered_like(x.dtype, x.shape, x)
        )
    return cupy.maximum(x, 0, out=out)


def _where(condition: Any, x: Any, y: Any) -> Any:
    if x.dtype.kind != "V":
        return cupy.where(condition, x, y)
    # By their bits: CuPy's would give float32.
    made = cupy.where(condition, x.view(np.uint16), y.view(np.uint16))
    return made.view(x.dtype)


def _remainder(x: Any, y: Any) -> Any:
    generic._no_zero_division(cupy, y)
    if x.dtype.kind in _INTEGERS:
        return cupy.remainder(x, y)
    # CuPy's own multiplies a rounded quotient back.
    rest = cupy.fmod(x, y)
    return cupy.where((rest != 0) & ((y < 0) != (rest < 0)), rest + y, rest)


def _floor_divide(x: Any, y: Any) -> Any:
    generic._no_zero_division(cupy, y)
    if x.dtype.kind in _INTEGERS:
        return cupy.floor_divide(x, y)
    rest = cupy.fmod(x, y)
    quotient = (x - rest) / y
    other = (rest != 0) & ((y < 0) != (rest < 0))
    quotient = cupy.where(other, quotient - 1, quotient)
    floor = cupy.floor(quotient)
    floor = cupy.where(quotient - floor > 0.5, floor + 1, floor)
    exact = x / y
    floor = cupy.where(
        quotient == 0, cupy.copysign(cupy.zeros_like(exact), exact), floor
    )
    return cupy.where(y == 0, exact, floor)


def _rsqrt(x: Any) -> Any:
    return 1 / cupy.sqrt(x)


# In place of the array-neutral ones: what CuPy computes less exactly, or by detours.
_COMPOSITES: dict[str, Callable[..., Any]] = {
    "remainder": _remainder,
    "floor_divide": _floor_divide,
    "rsqrt": _rsqrt,
}
