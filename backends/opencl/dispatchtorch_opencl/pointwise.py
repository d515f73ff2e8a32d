"""Pointwise kernels, from rows of (operator, class of dtypes, C expression).

The rows are those that devices share; a class of dtypes that has none is declined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.kernelgen.expressions import HELPERS, rows
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import Expression, elementwise
from dispatchtorch_opencl.array import OpenCLArray

__all__ = ["float_rows", "kernels_for"]

#: Rows whose integer kinds divide: zero divisors raise on the host.
_DIVISIONS = ("floor_divide", "remainder", "fmod")


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The pointwise kernels."""
    kernels: dict[str, tuple[Callable[..., Any], bool]] = {}
    for name, result, by_class in _expressions():
        kernels[name] = (_kernel(name, result, by_class), True)
    kernels["where.self"] = (_where(kernels["where.self"][0]), False)
    kernels["threshold_backward"] = (_threshold(kernels, backend), False)
    for name in _DIVISIONS:
        kernels[name] = (_dividing(kernels[name][0]), True)
    kernels["clamp"] = (_clamp(kernels, backend), False)
    for name in ("addcmul", "addcdiv"):
        kernels[name] = (_with_factor(name, backend), False)
    return kernels


def float_rows() -> dict[str, Expression]:
    """The expressions of the operators that have one for floats."""
    return {name: row["f"] for name, _, row in _expressions() if "f" in row}


def _expressions() -> list[tuple[str, str, dict[str, Expression]]]:
    """(operator, kind of result, class of dtypes -> expression) of each row."""
    return [
        (
            name,
            result,
            {
                each: Expression(f"{name}:{each}", code, vector, HELPERS[each])
                for each, (code, vector) in by_class.items()
            },
        )
        for name, result, by_class in rows()
    ]


def _kernel(
    name: str, result: str, by_class: dict[str, Expression]
) -> Callable[..., Any]:
    classes = types.CLASS

    def kernel(*operands: OpenCLArray, out: OpenCLArray | None = None) -> Any:
        first = operands[-1]
        row = by_class.get(classes.get(first.dtype))  # type: ignore[arg-type]
        if row is None:
            return NotImplemented
        if result == "bool":
            dtype = dtypes.bool
        elif result == "real":
            dtype = first.dtype.to_real()
        else:
            dtype = first.dtype
        return elementwise(row, operands, dtype, out)

    kernel.__name__ = name
    return kernel


def _where(plain: Callable[..., Any]) -> Callable[..., Any]:
    def where(condition: OpenCLArray, x: OpenCLArray, y: OpenCLArray) -> Any:
        return plain(condition, x, y)

    return where


def _threshold(kernels: Any, backend: Any) -> Callable[..., Any]:
    plain = kernels["threshold_backward"][0]

    def threshold_backward(grad: OpenCLArray, x: OpenCLArray, threshold: Any) -> Any:
        if grad.dtype is not x.dtype:
            return NotImplemented
        return plain(grad, x, backend.scalar(threshold, x.dtype, 0))

    return threshold_backward


def _dividing(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Integers can't be divided by zero; the device is asked whether one is."""

    def divide(x: OpenCLArray, y: OpenCLArray, out: OpenCLArray | None = None) -> Any:
        if types.CLASS.get(y.dtype) in ("i", "u"):
            constant = y.memory.constant
            if constant is not None:
                zero = not constant
            else:
                from dispatchtorch_opencl.reduction import any_zero

                zero = y.size > 0 and any_zero(y)
            if zero:
                raise RuntimeError("ZeroDivisionError")
        return plain(x, y, out=out)

    return divide


def _clamp(kernels: Any, backend: Any) -> Callable[..., Any]:
    above, below = kernels["maximum"][0], kernels["minimum"][0]

    def clamp(x: OpenCLArray, low: Any, high: Any) -> Any:
        made: Any = x
        if low is not None:
            made = above(made, backend.scalar(low, x.dtype, 0))
        if high is not None and made is not NotImplemented:
            made = below(made, backend.scalar(high, x.dtype, 0))
        return NotImplemented if made is x else made

    return clamp


def _with_factor(name: str, backend: Any) -> Callable[..., Any]:
    """``x + value * a * b`` and ``x + value * a / b`` in one pass."""
    code = "x + w * y * z" if name == "addcmul" else "x + w * y / z"
    row = Expression(name, code, True)

    def kernel(x: OpenCLArray, a: OpenCLArray, b: OpenCLArray, value: Any) -> Any:
        if types.CLASS.get(x.dtype) != "f":
            return NotImplemented
        if not x.dtype is a.dtype is b.dtype:
            return NotImplemented
        factor = backend.scalar(value, x.dtype, 0)
        return elementwise(row, (x, a, b, factor), x.dtype)

    return kernel
