"""Pointwise kernels: rows of (operator, class of dtypes, C expression).

Classes: ``b`` bool, ``u`` and ``i`` integers without and with a sign, ``f`` floats (half
types compute in float), ``c`` complex numbers as vectors of two. A row whose classes are
followed by ``*`` means the same for vector types. A class that has no row is declined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import Expression, elementwise
from dispatchtorch_opencl._functions import HELPERS
from dispatchtorch_opencl.array import OpenCLArray

__all__ = ["float_rows", "kernels_for"]

# operator | result | classes : expression | …    (result: same, bool or real)
ROWS = """
neg | same | iuf* : -x | c : -x
abs | real | bu : x | i : x < 0 ? -x : x | f* : fabs(x) | c : hypot(x.x, x.y)
add | same | b : x | y | iu : x + y | f* : x + y | c : x + y
sub | same | iu : x - y | f* : x - y | c : x - y
mul | same | b : x & y | iu : x * y | f* : x * y | c : cmul(x, y)
div | same | f* : x / y | c : cdiv(x, y)
floor_divide | same | f : ffloordiv(x, y) | i : ifloordiv(x, y) | u : y ? x / y : 0
remainder | same | f : fremainder(x, y) | i : iremainder(x, y) | u : y ? x % y : 0
fmod | same | f : fmod(x, y) | i : y && y != -1 ? x % y : 0 | u : y ? x % y : 0
pow | same | f : pow(x, y) | i : ipow(x, y) | u : upow(x, y) | c : cpow(x, y)
atan2 | same | f : atan2(x, y)
maximum | same | buif : x > y || x != x ? x : y
minimum | same | buif : x < y || x != x ? x : y
fmax | same | bui : max(x, y) | f : fmax(x, y)
fmin | same | bui : min(x, y) | f : fmin(x, y)
eq | bool | buif : x == y | c : x.x == y.x && x.y == y.y
ne | bool | buif : x != y | c : x.x != y.x || x.y != y.y
lt | bool | buif : x < y
le | bool | buif : x <= y
gt | bool | buif : x > y
ge | bool | buif : x >= y
bitwise_and | same | bui : x & y
bitwise_or | same | bui : x | y
bitwise_xor | same | bui : x ^ y
bitwise_not | same | b : !x | ui : ~x
logical_and | bool | buif : x != 0 && y != 0 | c : cbool(x) && cbool(y)
logical_or | bool | buif : x != 0 || y != 0 | c : cbool(x) || cbool(y)
logical_xor | bool | buif : (x != 0) != (y != 0) | c : cbool(x) != cbool(y)
logical_not | bool | buif : x == 0 | c : !cbool(x)
exp | same | f* : exp(x) | c : cexp_(x)
exp2 | same | f* : exp2(x)
expm1 | same | f* : expm1(x) | c : cexpm1_(x)
log | same | f* : log(x) | c : clog_(x)
log2 | same | f* : log2(x)
log10 | same | f* : log10(x)
log1p | same | f* : log1p(x) | c : clog1p_(x)
sqrt | same | f* : sqrt(x) | c : csqrt_(x)
rsqrt | same | f* : K(1) / sqrt(x)
sin | same | f* : sin(x) | c : csin_(x)
cos | same | f* : cos(x) | c : ccos_(x)
tan | same | f* : tan(x)
asin | same | f* : asin(x) | c : casin_(x)
acos | same | f* : acos(x) | c : cacos_(x)
atan | same | f* : atan(x) | c : catan_(x)
sinh | same | f* : sinh(x)
cosh | same | f* : cosh(x)
tanh | same | f* : tanh(x) | c : ctanh_(x)
asinh | same | f* : asinh(x) | c : casinh_(x)
acosh | same | f* : acosh(x) | c : cacosh_(x)
atanh | same | f* : atanh(x) | c : catanh_(x)
erf | same | f : erf(x)
floor | same | ui : x | f* : floor(x)
ceil | same | ui : x | f* : ceil(x)
trunc | same | ui : x | f* : trunc(x)
round | same | ui : x | f* : rint(x)
sign | same | b : x | u : x > 0 | i : (x > 0) - (x < 0) | f : (C)((x > 0) - (x < 0))
where.self | where | buifc : x ? y : z
isnan | bool | bui : 0 | f : x != x | c : x.x != x.x || x.y != x.y
isinf | bool | bui : 0 | f : isinf(x) != 0
isfinite | bool | bui : 1 | f : isfinite(x) != 0
copysign | same | f* : copysign(x, y)
hypot | same | f* : hypot(x, y)
square | same | f* : x * x
reciprocal | same | f* : K(1) / x
relu | same | bu : x | i : x > 0 ? x : 0 | f : x > 0 || x != x ? x : 0
sigmoid | same | f* : K(1) / (K(1) + exp(-x))
_conj_physical | same | buif : x | c : (C)(x.x, -x.y)
silu | same | f* : x / (K(1) + exp(-x))
threshold_backward | threshold | f : y <= z ? 0 : x
"""

#: Rows whose integer kinds divide: zero divisors raise on the host.
_DIVISIONS = ("floor_divide", "remainder", "fmod")


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The pointwise kernels."""
    kernels: dict[str, tuple[Callable[..., Any], bool]] = {}
    for line in ROWS.strip().splitlines():
        name, result, *cells = _cells(line)
        kernels[name] = (_kernel(name, result, _by_class(name, cells)), True)
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
    made = {}
    for line in ROWS.strip().splitlines():
        name, _, *cells = _cells(line)
        row = _by_class(name, cells).get("f")
        if row is not None:
            made[name] = row
    return made


def _cells(line: str) -> list[str]:
    """A row's cells: bars stand alone between them, and in expressions within one."""
    cells: list[str] = []
    for part in line.split(" | "):
        if len(cells) > 2 and " : " not in part:
            cells[-1] += " | " + part
        else:
            cells.append(part.strip())
    return cells


def _by_class(name: str, cells: list[str]) -> dict[str, Expression]:
    made = {}
    for cell in cells:
        classes, _, code = cell.partition(" : ")
        vector = classes.endswith("*")
        for each in classes.strip("* "):
            helpers = HELPERS[each]
            key = f"{name}:{each}"
            made[each] = Expression(key, code, vector and each == "f", helpers)
    return made


def _kernel(name: str, result: str, rows: dict[str, Expression]) -> Callable[..., Any]:
    classes = types.CLASS

    def kernel(*operands: OpenCLArray, out: OpenCLArray | None = None) -> Any:
        first = operands[-1]
        row = rows.get(classes.get(first.dtype))  # type: ignore[arg-type]
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
