"""Pointwise kernels: mostly rows of (operator, ufunc); what isn't one ufunc follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["astype", "kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# Operators that are one ufunc of the array module: name, ufunc.
UFUNCS = """
neg negative        exp exp             exp2 exp2           expm1 expm1
log log             log2 log2           log10 log10         log1p log1p
sqrt sqrt           sin sin             cos cos             tan tan
asin arcsin         acos arccos         atan arctan         sinh sinh
cosh cosh           tanh tanh           asinh arcsinh       acosh arccosh
atanh arctanh       floor floor         ceil ceil           trunc trunc
bitwise_not invert  add add             sub subtract        mul multiply
div true_divide     fmod fmod           atan2 arctan2       maximum maximum
minimum minimum     fmax fmax           fmin fmin           eq equal
ne not_equal        lt less             le less_equal       gt greater
ge greater_equal    bitwise_and bitwise_and                 bitwise_or bitwise_or
bitwise_xor bitwise_xor                 isnan isnan         isinf isinf
isfinite isfinite   logical_not logical_not                 signbit signbit
logical_and logical_and                 logical_or logical_or
logical_xor logical_xor                 copysign copysign   nextafter nextafter
hypot hypot         square square       reciprocal reciprocal
deg2rad deg2rad     rad2deg rad2deg     gcd gcd
lcm lcm             abs absolute
"""


def rows(text: str) -> list[tuple[str, str]]:
    words = text.split()
    return list(zip(words[::2], words[1::2], strict=True))


def astype(xp: Any, x: Any, host: Any) -> Any:
    """A C-ordered cast; complex to real drops the imaginary part as PyTorch does."""
    if x.dtype.kind == "c" and host.kind != "c" and host.kind != "b":
        x = x.real
    if host.kind == "V" and host.name in _SATURATING:
        x = _SATURATING[host.name](xp, x.astype(xp.float32))
    if (x.dtype.kind == "f" and host.kind in "iu") or x.dtype.kind == "V":
        return _float_to_int(xp, x, host) if host.kind in "iu" else x.astype(host)
    # NumPy would put the dims that broadcasting repeats innermost.
    return x.astype(host, order="C" if 0 in x.strides else "K")


# What PyTorch makes of numbers that these dtypes can't hold: the largest that they can;
# and dtypes without a sign or a zero take the magnitude, and their least power of two.
_SATURATING = {
    "float8_e4m3fn": lambda xp, x: xp.clip(x, -448, 448),
    "float8_e8m0fnu": lambda xp, x: xp.maximum(xp.abs(x), xp.float32(2.0**-127)),
}


def _float_to_int(xp: Any, x: Any, host: Any) -> Any:
    """As C++ casts on x86-64: small types wrap around what a wider one makes of it."""
    if host.itemsize == 8:
        return x.astype(host)
    if x.dtype.kind == "V":
        x = x.astype("float32")
    wide = "int64" if host.kind == "u" and host.itemsize != 2 else "int32"
    return x.astype(wide).astype(host, copy=False)


class _Zeros(dict[Any, Any]):
    """0-d zeros by dtype, made when first wanted."""

    def __init__(self, xp: Any) -> None:
        super().__init__()
        self.xp = xp

    def __missing__(self, dtype: Any) -> Any:
        zero = self[dtype] = self.xp.zeros((), dtype)
        return zero


def kernels_for(xp: Any) -> Kernels:
    """The pointwise kernels of an array module."""
    kernels: Kernels = {}
    for name, ufunc in rows(UFUNCS):
        function = getattr(xp, ufunc, None)
        if function is not None:
            kernels[name] = (function, True)

    def kernel(name: str, out: bool = False) -> Callable[..., Any]:
        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            kernels[name] = (function, out)
            return function

        return add

    @kernel("where.self")
    def where(condition: Any, x: Any, y: Any) -> Any:
        return xp.where(condition, x, y)

    zeros, maximum = _Zeros(xp), xp.maximum

    @kernel("relu", out=True)
    def relu(x: Any, out: Any = None) -> Any:
        zero = zeros[x.dtype]
        return maximum(x, zero) if out is None else maximum(x, zero, out=out)

    def only_for(name: str, ufunc: Any, kinds: str) -> None:
        """A ufunc for some kinds of dtypes, which other kinds pass unchanged."""

        @kernel(name, out=True)
        def apply(x: Any, out: Any = None) -> Any:
            if x.dtype.kind in kinds or x.dtype.kind == "V":
                return ufunc(x, out=out)
            return x.copy() if out is None else out

    only_for("round", xp.rint, "fV")
    only_for("_conj_physical", xp.conjugate, "c")

    @kernel("logaddexp")
    def logaddexp(x: Any, y: Any) -> Any:
        return NotImplemented if x.dtype.kind == "c" else xp.logaddexp(x, y)

    @kernel("logaddexp2")
    def logaddexp2(x: Any, y: Any) -> Any:
        return xp.logaddexp2(x, y)

    @kernel("sigmoid")
    def sigmoid(x: Any) -> Any:
        if x.dtype.kind == "c":
            return 1 / (1 + xp.exp(-x))
        # tanh doesn't overflow, and is exact at both ends.
        half = x.dtype.type(0.5)
        return xp.tanh(x * half) * half + half

    @kernel("rsqrt")
    def rsqrt(x: Any) -> Any:
        return x.dtype.type(1) / xp.sqrt(x)

    @kernel("sign")
    def sign(x: Any) -> Any:
        if x.dtype.kind == "b":
            return x.copy()
        made = xp.sign(x)
        return (
            xp.where(xp.isnan(x), x.dtype.type(0), made)
            if x.dtype.kind in "fV"  # bfloat16 is a void to NumPy
            else made
        )

    @kernel("remainder")
    def remainder(x: Any, y: Any) -> Any:
        _no_zero_division(xp, y)
        return xp.remainder(x, y)

    @kernel("fmod")
    def fmod(x: Any, y: Any) -> Any:
        _no_zero_division(xp, y)
        return xp.fmod(x, y)

    @kernel("floor_divide")
    def floor_divide(x: Any, y: Any) -> Any:
        _no_zero_division(xp, y)
        made = xp.floor_divide(x, y)
        if x.dtype.kind not in "iub":
            # NumPy gives nan for a division by zero; the quotient is infinite.
            made = xp.where(y == 0, x / y, made)
        return made

    @kernel("pow")
    def power(x: Any, y: Any) -> Any:
        if x.dtype.kind in "iu" and x.dtype.kind == "i":
            made = xp.power(x, xp.maximum(y, 0))
            if y.min() < 0 if y.size else False:
                one = x == 1
                minus = x == -1
                odd = (y & 1).astype(bool)
                negative = xp.where(one, 1, xp.where(minus, xp.where(odd, -1, 1), 0))
                made = xp.where(y < 0, negative.astype(x.dtype), made)
            return made
        return xp.power(x, y)

    @kernel("bitwise_left_shift")
    def left_shift(x: Any, y: Any) -> Any:
        bits = 8 * x.dtype.itemsize
        return xp.where((y < 0) | (y >= bits), x.dtype.type(0), xp.left_shift(x, y))

    @kernel("bitwise_right_shift")
    def right_shift(x: Any, y: Any) -> Any:
        bits = 8 * x.dtype.itemsize
        last = x.dtype.type(bits - 1)
        if x.dtype.kind == "u":
            return xp.where(y >= bits, x.dtype.type(0), xp.right_shift(x, y))
        return xp.right_shift(x, xp.where((y < 0) | (y >= bits), last, y))

    return kernels


def _no_zero_division(xp: Any, y: Any) -> None:
    if y.dtype.kind in "iu" and not y.all():
        raise RuntimeError("ZeroDivisionError")
