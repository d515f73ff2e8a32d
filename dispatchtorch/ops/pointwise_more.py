"""The rarer pointwise operators, and the aliases of the whole family.

Each has a body in terms of primitives; most have a kernel of their own on devices whose
library offers one.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import add_alias, operator
from dispatchtorch.lift import (
    Plain,
    Pointwise,
    broadcast_shapes,
    result_type,
    return_type,
)
from dispatchtorch.ops._common import conj, refuse, scalar_type_name, torch
from dispatchtorch.ops._pointwise import (
    TO_FLOAT,
    binary,
    not_for,
    number_like,
    unary,
    zeros,
)

BOOL, INT, FLOAT, COMPLEX = range(4)
_INEXACT = {FLOAT, COMPLEX}


def _float_only(name: str, *also: int) -> Pointwise:
    """Floating operands alone; ``also`` are categories that are taken besides."""
    refused = {BOOL, INT, COMPLEX} - set(also)
    return Pointwise("same", forbid=not_for(f"{name}_cpu", *refused))


def _real(name: str) -> Pointwise:
    return Pointwise("float", forbid=not_for(name, COMPLEX))


def _refusing(
    text: str, result: str = "same", *, error: type = RuntimeError
) -> Pointwise:
    return Pointwise(result, forbid={COMPLEX: (error, text)})


def _integers(name: str) -> Pointwise:
    return Pointwise("same", forbid=not_for(name, BOOL, FLOAT, COMPLEX))


# One operand.

frac = unary("frac", _float_only("frac"), lambda self: self - self.trunc())
derive(frac, self=lambda grad: grad)


def _sinc(self: Any) -> Any:
    x = self * math.pi
    safe = torch.where(self == 0, 1, x)
    return torch.where(self == 0, 1, safe.sin() / safe)


def _sinc_backward(grad: Any, self: Any) -> Any:
    x = self * math.pi
    square = x * self
    safe = torch.where(square == 0, 1, square)
    made = (x.cos() * x - x.sin()) / safe
    return grad * conj(torch.where(square == 0, 0, made))


sinc = unary("sinc", TO_FLOAT, _sinc)
derive(sinc, self=_sinc_backward)


@operator(
    "logit(Tensor self, float? eps=None) -> Tensor",
    tags="out",
    inplace=True,
)
def logit(self, eps):
    """log(x / (1 - x)), with ``x`` clamped to [eps, 1 - eps] where ``eps`` is given."""
    refuse(self, "\"logit_cpu\" not implemented for '{dtype}'", COMPLEX)
    x = _as_float(self)
    if eps is not None:
        x = x.clamp(eps, 1 - eps)
    return (x / (1 - x)).log()


def _logit_backward(grad: Any, self: Any, eps: Any) -> Any:
    made = grad / (self * (1 - self))
    low, fill = (0.0, math.nan) if eps is None else (eps, 0.0)
    return torch.where((self < low) | (self > 1 - low), fill, made)


derive(logit, self=_logit_backward)


def _as_float(t: Any) -> Any:
    return t if t.dtype.category in _INEXACT else t.to(dtypes.get_default_dtype())


signbit = unary(
    "signbit",
    _refusing(
        "signbit is not implemented for complex tensors.",
        "bool",
        error=NotImplementedError,
    ),
    lambda self: (
        (self < 0) | (torch.reciprocal(self) < 0)
        if self.is_floating_point()
        else self < 0
    ),
    inplace=False,
)
_INFINITY = "{op} does not support complex inputs."
isposinf = unary(
    "isposinf",
    _refusing(_INFINITY, "bool"),
    lambda self: self == math.inf,
    inplace=False,
)
isneginf = unary(
    "isneginf",
    _refusing(_INFINITY, "bool"),
    lambda self: self == -math.inf,
    inplace=False,
)
isreal = operator("isreal(Tensor self) -> Tensor")(
    lambda self: (
        torch.imag(self) == 0
        if self.is_complex()
        else torch.ones_like(self, dtype=dtypes.bool)
    )
)
nondifferentiable(signbit, isposinf, isneginf, isreal)

_DEGREES = "{op} is not supported for complex tensors."
deg2rad = unary(
    "deg2rad", _refusing(_DEGREES, "float"), lambda self: self * (math.pi / 180)
)
rad2deg = unary(
    "rad2deg", _refusing(_DEGREES, "float"), lambda self: self * (180 / math.pi)
)
derive(deg2rad, name_="Deg2RadBackward0", self=lambda grad: grad * (math.pi / 180))
derive(rad2deg, name_="Rad2DegBackward0", self=lambda grad: grad * (180 / math.pi))


@operator("positive(Tensor(a) self) -> Tensor(a)")
def positive(self):
    """The tensor itself; RuntimeError for a bool tensor."""
    refuse(self, "The `+` operator, on a bool tensor is not supported.", BOOL)
    return self


@operator(
    "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) "
    "-> Tensor",
    tags="out",
    inplace=True,
)
def nan_to_num(self, nan, posinf, neginf):
    """NaN and infinities replaced: by 0 and the dtype's extremes where not given."""
    if self.dtype.category < FLOAT:
        return self.clone()
    if self.is_complex():
        parts = torch.nan_to_num(torch.view_as_real(self), nan, posinf, neginf)
        return torch.view_as_complex(parts)
    limits = dtypes.finfo(self.dtype)
    made = torch.where(self != self, 0.0 if nan is None else nan, self)
    made = torch.where(self == math.inf, limits.max if posinf is None else posinf, made)
    return torch.where(
        self == -math.inf, limits.min if neginf is None else neginf, made
    )


derive(
    nan_to_num,
    self=lambda grad, self: grad * torch.isfinite(self),
)


@operator(
    "round.decimals(Tensor self, *, int decimals) -> Tensor", tags="out", inplace=True
)
def round_decimals(self, *, decimals):
    """Rounded to ``decimals`` places, halves to even; negative: left of the point."""
    kernel = "round_cpu" if decimals else "round_vml_cpu"
    refuse(self, f"\"{kernel}\" not implemented for '{{dtype}}'", BOOL, INT, COMPLEX)
    scale = float(10 ** abs(decimals))
    if decimals < 0:
        return torch.round(self / scale) * scale
    return torch.round(self * scale) / scale


derive(round_decimals, name_="RoundBackward1", self=zeros)


@operator(
    "frexp.Tensor(Tensor self) -> (Tensor mantissa, Tensor exponent)", lift=Plain()
)
def frexp(self):
    """Mantissas in [0.5, 1) and integer exponents: ``self = mantissa * 2**exponent``."""
    _floats_only(self)
    size = self.abs()
    plain = (size != 0) & torch.isfinite(self)
    safe = torch.where(plain, size, 1)
    exponent = torch.floor(torch.log2(safe)) + 1
    mantissa = safe / torch.exp2(exponent)
    # The logarithm may be off by one unit next to powers of two.
    exponent = torch.where(mantissa >= 1, exponent + 1, exponent)
    exponent = torch.where(mantissa < 0.5, exponent - 1, exponent)
    mantissa = self / torch.exp2(exponent)
    made = (
        torch.where(plain, mantissa, self),
        torch.where(plain, exponent, 0).to(dtypes.int32),
    )
    return return_type(frexp)(made)


def _floats_only(self: Any) -> tuple[Any]:
    if not self.is_floating_point():
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return (self,)


frexp.prepare = _floats_only
frexp.shape_rule = lambda x: ((x.shape, x.dtype), (x.shape, dtypes.int32))
derive(
    frexp,
    outputs_=(0,),
    self=lambda grad, exponent: grad / torch.exp2(exponent.to(grad.dtype)),
)

# Two operands.


def _log_sum(a: Any, b: Any, base: float) -> Any:
    if a.is_complex() or b.is_complex():
        common = result_type([a, b])
        a, b = a.to(common), b.to(common)
        # From the operand of the larger real part, whose angle the result goes on from.
        ours = torch.real(a) > torch.real(b)
        big, small = torch.where(ours, a, b), torch.where(ours, b, a)
        rest = torch.log1p((small - big).exp()) + big
        alike = (torch.real(a) == torch.real(b)) & (torch.real(a).abs() == math.inf)
        return torch.where(alike, (a.exp() + b.exp()).log(), rest)
    big = torch.maximum(a, b)
    gap = -(a - b).abs()
    rest = torch.log1p(gap.exp() if base == math.e else torch.exp2(gap))
    made = big + (rest if base == math.e else rest / math.log(2))
    return torch.where(a == b, big + math.log(2, base), made)


logaddexp = binary(
    "logaddexp",
    _float_only("logaddexp", COMPLEX),
    lambda self, other: _log_sum(self, other, math.e),
    other="Tensor",
    inplace=False,
)
derive(
    logaddexp,
    self=lambda grad, self, result: grad * conj((self - result).exp()),
    other=lambda grad, other, result: grad * conj((other - result).exp()),
)
logaddexp2 = binary(
    "logaddexp2",
    _float_only("logaddexp2"),
    lambda self, other: _log_sum(self, other, 2.0),
    other="Tensor",
    inplace=False,
)
derive(
    logaddexp2,
    self=lambda grad, self, result: grad * torch.exp2(self - result),
    other=lambda grad, other, result: grad * torch.exp2(other - result),
)


def x_log(name: str, log: Any) -> Any:
    """``self * log(other)`` that is 0 at ``self == 0`` unless ``other`` is NaN."""

    @operator(
        f"{name}(Tensor|Scalar self, Tensor|Scalar other) -> Tensor",
        tags="out",
        inplace=name == "xlogy",
        variants="function method" if name == "xlogy" else "function",
    )
    def function(self, other):  # type: ignore[no-untyped-def]
        one = _as_float(self if hasattr(self, "_keys") else other)
        words = (
            f"\"{name.removeprefix('special_')}_cpu\" not implemented for '{{dtype}}'"
        )
        x = self if hasattr(self, "_keys") else number_like(one, self)
        y = other if hasattr(other, "_keys") else number_like(one, other)
        kind = torch.result_type(self, other)
        if kind.category not in _INEXACT:
            kind = dtypes.get_default_dtype()
        x, y = x.to(kind), y.to(kind)
        for each in (x, y):
            refuse(each, words, COMPLEX)
        return torch.where(y != y, y, torch.where(x == 0, 0, x * log(y)))

    return function


xlogy = x_log("xlogy", lambda y: torch.log(y))
derive(
    xlogy,
    number_name_="XlogyBackward2",
    self=lambda grad, self, other: (
        grad * torch.where((self == 0) & (other <= 0), 0, _log_of(grad, other))
    ),
    other=lambda grad, self, other: grad * self / other,
)


def _log_of(grad: Any, other: Any) -> Any:
    return other.log() if hasattr(other, "_keys") else grad.new_full((), other).log()


def _hypot(self: Any, other: Any) -> Any:
    a, b = self.abs(), other.abs()
    big, small = torch.maximum(a, b), torch.minimum(a, b)
    plain = (big != 0) & (big != math.inf)
    ratio = small / torch.where(plain, big, 1)
    made = big * (1 + ratio * ratio).sqrt()
    # An infinite operand counts for more than NaN.
    return torch.where(
        (a == math.inf) | (b == math.inf), math.inf, torch.where(plain, made, big)
    )


hypot = binary("hypot", _float_only("hypot"), _hypot, other="Tensor")
derive(
    hypot,
    self=lambda grad, self, result: grad * (self / result),
    other=lambda grad, other, result: grad * (other / result),
)


def _copysign(self: Any, other: Any) -> Any:
    size = _as_float(self).abs()
    if not hasattr(other, "_keys"):
        other = number_like(size, other)
    elif other._shape != size._shape:
        broadcast_shapes([size._shape, other._shape])  # names the operands in order
    return torch.where(torch.signbit(other), -size, size)


copysign = binary("copysign", _real("copysign_cpu"), _copysign)


def _copysign_backward(grad: Any, self: Any, result: Any) -> Any:
    return torch.where(self == 0, 0, grad * (result / self))


derive(copysign, number_name_="CopysignBackward1", self=_copysign_backward, other=zeros)


class _OfOneDtype(Pointwise):
    """Operands of several dtypes are refused rather than promoted."""

    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        bits = keys & dtypes.DTYPE_MASK
        if bits & (bits - 1):
            return self.mixed
        return super().bind(op, keys, backend, kernel, declined)

    def check_written(self, op, args):  # type: ignore[no-untyped-def]
        if args[0].dtype is not args[1].dtype:
            self.mixed(*args)

    @staticmethod
    def mixed(*operands: Any) -> None:
        for each in operands:
            refuse(each, _NO_COMPLEX_STEP, COMPLEX)
        raise RuntimeError(
            "heaviside is not yet implemented for tensors with different dtypes."
        )


_NO_COMPLEX_STEP = "heaviside is not yet implemented for complex tensors."
heaviside = operator(
    "heaviside(Tensor self, Tensor values) -> Tensor",
    lift=_OfOneDtype("same", forbid={COMPLEX: (RuntimeError, _NO_COMPLEX_STEP)}),
    inplace=True,
    tags="pointwise no_derivative",
)(lambda self, values: torch.where(self == 0, values, (self > 0).to(self.dtype)))


def _broadcast(*tensors: Any) -> list[Any]:
    shape = broadcast_shapes([t._shape for t in tensors])
    return [t.expand(shape) for t in tensors]


def _gcd(self: Any, other: Any) -> Any:
    other = other if hasattr(other, "_keys") else number_like(self, other)
    a, b = _broadcast(self.abs(), other.abs())
    while bool((b != 0).any()):
        rest = a % torch.where(b == 0, 1, b)
        a, b = torch.where(b == 0, a, b), torch.where(b == 0, 0, rest)
    return a + torch.zeros_like(b)


def _lcm(self: Any, other: Any) -> Any:
    common = torch.gcd(self, other)
    part = torch.floor_divide(self, torch.where(common == 0, 1, common))
    return (part * other).abs()


gcd = binary("gcd", _integers("gcd_cpu"), _gcd, other="Tensor")
lcm = binary("lcm", _integers("lcm_cpu"), _lcm, other="Tensor")
nondifferentiable(gcd, lcm)

_BITS_OF = {8: dtypes.int64, 4: dtypes.int32, 2: dtypes.int16}


def _nextafter(self: Any, other: Any) -> Any:
    """One step in the integers that floats are ordered like."""
    self, other = _broadcast(self, other)
    self = self.contiguous()
    bits = self.view(_BITS_OF[self.dtype.itemsize])
    tiny = torch.ones((), dtype=bits.dtype, device=self.device).view(self.dtype)
    step = torch.where((other > self) == (self > 0), 1, -1).to(bits.dtype)
    moved = (bits + step).view(self.dtype)
    from_zero = torch.where(other > 0, tiny, -tiny)
    made = torch.where(self == 0, from_zero, moved)
    made = torch.where(self == other, other, made)
    return torch.where((self != self) | (other != other), self + other, made)


nextafter = binary("nextafter", _float_only("nextafter"), _nextafter, other="Tensor")
derive(
    nextafter,
    self=lambda grad, self, other: torch.where(self == other, 0, grad),
    other=zeros,
)


def _extreme(name: str, wins: str, text: str) -> Any:
    def body(self: Any, other: Any) -> Any:
        keep = getattr(torch, wins)(self, other) | (other != other)
        return torch.where(keep, self, other)

    op = binary(name, _refusing(text), body, other="Tensor", inplace=False)
    derive(
        op,
        self=lambda grad, self, other: torch.where(
            getattr(torch, wins)(self, other) | (other != other), grad, 0
        ),
        other=lambda grad, self, other: torch.where(
            getattr(torch, wins)(self, other) | (other != other), 0, grad
        ),
    )
    return op


fmax = _extreme("fmax", "ge", "{op} not implemented for complex tensors.")
fmin = _extreme("fmin", "le", "{op} not implemented for complex tensors.")


@operator("ldexp.Tensor(Tensor self, Tensor other) -> Tensor", tags="out", inplace=True)
def ldexp(self, other):
    """``self * 2**other``; whole exponents leave a float its dtype."""
    if not self.is_floating_point():
        two = 2.0 if not self.is_complex() else _two(self)
        return torch.mul(self, torch.pow(two, other))
    if other.dtype.category in _INEXACT:
        return torch.mul(self, torch.pow(_two(self), other))
    refuse(other, "\"ldexp_cpu_exp\" not implemented for '{dtype}'", BOOL)
    wide = self.dtype if self.dtype.itemsize > 2 else dtypes.float32
    return torch.mul(self.to(wide), torch.pow(2.0, other.to(wide))).to(self.dtype)


def _two(self: Any) -> Any:
    return torch.full((), 2.0, dtype=self.dtype, device=self.device)


derive(
    ldexp,
    self=lambda grad, other: grad * conj(torch.pow(2.0, other)),
    other=lambda grad, result: grad * conj(result) * math.log(2),
)


def _shift_amount(self: Any, other: Any) -> tuple[Any, Any]:
    if not hasattr(other, "_keys"):
        other = number_like(self, other)
    bits = 8 * self.dtype.itemsize
    return other, (other < 0) | (other >= bits)


def _left_shift(self: Any, other: Any) -> Any:
    other, outside = _shift_amount(self, other)
    two = torch.full((), 2, dtype=other.dtype, device=other.device)
    return torch.where(
        outside, 0, self * torch.pow(two, torch.where(outside, 0, other))
    )


def _right_shift(self: Any, other: Any) -> Any:
    other, outside = _shift_amount(self, other)
    two = torch.full((), 2, dtype=other.dtype, device=other.device)
    steps = torch.where(outside, 0, other)
    # In two divisions, because the largest power of two is negative in signed types.
    half = torch.floor_divide(steps, 2)
    made = torch.floor_divide(self, torch.pow(two, half))
    made = torch.floor_divide(made, torch.pow(two, steps - half))
    return torch.where(outside, torch.where(self < 0, -1, 0).to(made.dtype), made)


bitwise_left_shift = binary("bitwise_left_shift", _integers("lshift_cpu"), _left_shift)
bitwise_right_shift = binary(
    "bitwise_right_shift", _integers("rshift_cpu"), _right_shift
)
nondifferentiable(bitwise_left_shift, bitwise_right_shift)


@operator(
    "float_power(Tensor|Scalar self, Tensor|Scalar exponent) -> Tensor", tags="out"
)
def float_power(self, exponent):
    """A power computed in float64, or complex128."""
    wide = dtypes.float64
    for each in (self, exponent):
        if each.is_complex() if hasattr(each, "_keys") else isinstance(each, complex):
            wide = dtypes.complex128
    parts = [
        each.to(wide)
        if hasattr(each, "_keys")
        else complex(each)
        if wide is dtypes.complex128
        else float(each)
        for each in (self, exponent)
    ]
    return torch.pow(*parts)


@operator(
    "float_power_(Tensor(a!) self, Tensor|Scalar exponent) -> Tensor(a!)",
    variants="method",
)
def float_power_(self, exponent):
    """:func:`float_power` in place; only of float64 and complex128 tensors."""
    complex_ = (
        exponent.is_complex()
        if hasattr(exponent, "_keys")
        else isinstance(exponent, complex)
    )
    wide = dtypes.complex128 if self.is_complex() or complex_ else dtypes.float64
    if self.dtype is not wide:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {scalar_type_name(self.dtype)} but "
            f"the operation's result requires dtype {scalar_type_name(wide)}"
        )
    return self.pow_(exponent.to(wide) if hasattr(exponent, "_keys") else exponent)


# Comparing whole tensors.


@operator(
    "isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, "
    "bool equal_nan=False) -> Tensor"
)
def isclose(self, other, rtol, atol, equal_nan):
    """Where ``|self - other| <= atol + rtol * |other|``, elementwise."""
    if self.dtype is not other.dtype:
        raise RuntimeError(
            f"{scalar_type_name(self.dtype)} did not match {scalar_type_name(other.dtype)}"
        )
    for name, value in (("rtol", rtol), ("atol", atol)):
        if value < 0:
            raise RuntimeError(
                f"{name} must be greater than or equal to zero, but got {value:g}"
            )
    close = self == other
    exact = self.dtype.category < FLOAT
    if equal_nan and not exact:
        close = close | (self != self) & (other != other)
    if rtol == 0 and atol == 0:
        return close
    if exact:
        if self.dtype is dtypes.bool:
            self, other = self.to(dtypes.int64), other.to(dtypes.int64)
        self, other = self.to(dtypes.float64), other.to(dtypes.float64)
    allowed = atol + (rtol * other).abs()
    gap = (self - other).abs()
    return close | torch.isfinite(gap) & (gap <= allowed)


nondifferentiable(isclose)


@operator(
    "allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, "
    "bool equal_nan=False) -> bool"
)
def allclose(self, other, rtol, atol, equal_nan):
    """Whether :func:`isclose` holds everywhere."""
    return bool(torch.isclose(self, other, rtol, atol, equal_nan).all().item())


@operator("equal(Tensor self, Tensor other) -> bool")
def equal(self, other):
    """Whether both have the same size and elements."""
    if self._shape != other._shape:
        return False
    if self.dtype is not other.dtype:
        return bool(torch.eq(self, other).all().item())
    return bool((self == other).all().item())


@operator("is_nonzero(Tensor self) -> bool")
def is_nonzero(self):
    """Whether a tensor of one element isn't zero."""
    return bool(self)


@operator("is_same_size(Tensor self, Tensor other) -> bool", variants="function")
def is_same_size(self, other):
    """Whether both have the same shape."""
    return bool(self._shape == other._shape)


@operator(
    "result_type(Tensor|Scalar self, Tensor|Scalar other) -> ScalarType",
    variants="function",
)
def result_type_(self, other):
    """The dtype that arithmetic of the two gives."""
    return result_type([self, other])


# Names for the same operators.

_ALIASES = """
    true_divide:div divide:div multiply:mul subtract:sub negative:neg absolute:abs
    arcsin:asin arccos:acos arctan:atan arcsinh:asinh arccosh:acosh arctanh:atanh
    arctan2:atan2 fix:trunc greater:gt greater_equal:ge less:lt less_equal:le
    not_equal:ne
"""


for _pair in _ALIASES.split():
    add_alias(*_pair.split(":"))
