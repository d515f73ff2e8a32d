"""Elementary functions, rounding, signs and powers."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator, primitive
from dispatchtorch.lift import Pointwise
from dispatchtorch.ops._common import conj, strict, torch
from dispatchtorch.ops._pointwise import (
    KEEPING,
    TO_FLOAT,
    no_complex,
    not_for,
    unary,
    zeros,
)

# Elementary functions: one row each, the derivative from result or self.

exp = unary("exp")
derive(exp, self=lambda grad, result: grad * conj(result))
log = unary("log")
derive(log, self=lambda grad, self: grad / conj(self))
sqrt = unary("sqrt")
derive(sqrt, self=lambda grad, result: grad / conj(2 * result))
sin = unary("sin")
derive(sin, self=lambda grad, self: grad * conj(self.cos()))
cos = unary("cos")
derive(cos, self=lambda grad, self: grad * -conj(self.sin()))
tanh = unary("tanh")
derive(tanh, self=lambda grad, result: grad * (1 - result * result).conj())
erf = unary("erf", Pointwise("float", forbid=not_for("erf_vml_cpu", dtypes.COMPLEX)))
derive(
    erf,
    self=lambda grad, self: 2.0 / math.sqrt(math.pi) * (-(self * self)).exp() * grad,
)

expm1 = unary("expm1")
derive(expm1, self=lambda grad, result: grad * conj(result + 1))
log1p = unary("log1p")
derive(log1p, self=lambda grad, self: grad / conj(self + 1))
log2 = unary("log2", TO_FLOAT, lambda self: self.log() / math.log(2))
derive(log2, self=lambda grad, self: grad / conj(self * math.log(2)))
log10 = unary("log10", TO_FLOAT, lambda self: self.log() / math.log(10))
derive(log10, self=lambda grad, self: grad / conj(self * math.log(10)))
exp2 = unary("exp2", TO_FLOAT, lambda self: (self * math.log(2)).exp())
derive(exp2, self=lambda grad, result: grad * conj(result) * math.log(2))
rsqrt = unary("rsqrt", TO_FLOAT, lambda self: 1 / self.sqrt())
derive(rsqrt, self=lambda grad, result: -0.5 * grad * conj(result * result * result))


def _square(self: Any) -> Any:
    return self * self if self.dtype is not dtypes.bool else (self * 1) * self


square = unary("square", Pointwise("same", promotes_bool=True), _square)
derive(square, name_="PowBackward0", self=lambda grad, self: grad * conj(2 * self))
tan = unary("tan", TO_FLOAT, lambda self: self.sin() / self.cos())
derive(tan, self=lambda grad, result: grad * conj(1 + result * result))
asin = unary("asin")
derive(asin, self=lambda grad, self: grad * conj((1 - self * self).rsqrt()))
acos = unary("acos")
derive(acos, self=lambda grad, self: grad * -conj((1 - self * self).rsqrt()))
atan = unary("atan")
derive(atan, self=lambda grad, self: grad / conj(self * self + 1))
sinh = unary("sinh", TO_FLOAT, lambda self: (self.exp() - (self * -1.0).exp()) / 2)
derive(sinh, self=lambda grad, self: grad * conj(self.cosh()))
cosh = unary("cosh", TO_FLOAT, lambda self: (self.exp() + (self * -1.0).exp()) / 2)
derive(cosh, self=lambda grad, self: grad * conj(self.sinh()))


def _asinh(self: Any) -> Any:
    x = self * 1.0  # ints and bools become floats
    squared = x * x
    if x.is_complex():
        left = x.real < 0
        y = torch.where(left, -x, x)
        made = (y + (squared + 1).sqrt()).log()
        return torch.where(left, -made, made)
    size = x.abs()
    near = torch.log1p(size + squared / (1 + (squared + 1).sqrt()))
    # Where the square overflows, the sum is twice the operand.
    made = torch.where(squared == math.inf, size.log() + math.log(2), near)
    return torch.where(x < 0, -made, made)


def _acosh(self: Any) -> Any:
    x = self * 1.0
    return (x + (x - 1).sqrt() * (x + 1).sqrt()).log()


def _atanh(self: Any) -> Any:
    x = self * 1.0
    return 0.5 * (torch.log1p(x) - torch.log1p(-x))


asinh = unary("asinh", TO_FLOAT, _asinh)
derive(asinh, self=lambda grad, self: grad * conj((self * self + 1).rsqrt()))
acosh = unary("acosh", TO_FLOAT, _acosh)
derive(
    acosh,
    self=lambda grad, self: grad * conj((self - 1).rsqrt() * (self + 1).rsqrt()),
)
atanh = unary("atanh", TO_FLOAT, _atanh)
derive(atanh, self=lambda grad, self: grad / conj(1 - self * self))

sigmoid = unary(
    "sigmoid", TO_FLOAT, lambda self: (1 + (self * -1.0).exp()).reciprocal()
)
derive(sigmoid, self=lambda grad, result: grad * conj((1 - result) * result))


def _rounding(name: str) -> Pointwise:
    refused = not_for(f"{name}_vml_cpu", dtypes.BOOL, dtypes.COMPLEX)
    if name != "round":
        refused |= no_complex(
            "{op} is not supported for complex inputs", NotImplementedError
        )
    return Pointwise("same", forbid=refused)


floor = unary("floor", _rounding("floor"))
ceil = unary("ceil", _rounding("ceil"), lambda self: -torch.floor(-self))
trunc = unary(
    "trunc",
    _rounding("trunc"),
    lambda self: torch.where(self < 0, torch.ceil(self), torch.floor(self)),
)
round_ = primitive(
    "round(Tensor self) -> Tensor",
    lift=_rounding("round"),
    inplace=True,
    tags="pointwise",
)
for _op in (floor, ceil, trunc, round_):
    derive(_op, self=zeros)

sign = unary(
    "sign",
    Pointwise(
        "same",
        forbid=no_complex(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
            "torch.sgn instead.",
            NotImplementedError,
        ),
    ),
)
derive(sign, self=zeros)


class _Size(Pointwise):
    def bind_inplace(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        if keys & dtypes.COMPLEX_MASK:
            return _refuse_complex_abs
        return super().bind_inplace(op, keys, backend, kernel, declined)


def _refuse_complex_abs(self: Any) -> Any:
    raise RuntimeError("In-place abs is not supported for complex tensors.")


abs_ = unary("abs", _Size("real", forbid=not_for("abs_cpu", dtypes.BOOL)))
derive(abs_, self=lambda grad, self: grad * self.sgn())
sgn = unary(
    "sgn",
    KEEPING,
    lambda self: (
        torch.where(self == 0, 0, self / self.abs())
        if self.is_complex()
        else self.sign()
    ),
)
derive(sgn, self=lambda grad, self, result: _sgn_backward(grad, self, result))


def _sgn_backward(grad: Any, self: Any, result: Any) -> Any:
    if not self.is_complex():
        return zeros(grad)
    size = self.abs()
    along = (grad - torch.real(conj(grad) * result) * result) / size
    return torch.where(size == 0, 0, along)


relu = unary(
    "relu",
    Pointwise(
        "same",
        forbid={
            dtypes.BOOL: "Boolean inputs not supported for {op}",
            dtypes.COMPLEX: (
                NotImplementedError,
                "clamp is not supported for complex types",
            ),
        },
    ),
    lambda self: torch.maximum(
        self, torch.zeros((), dtype=self.dtype, device=self.device)
    ),
)
derive(relu, self=lambda grad, result: strict.threshold_backward(grad, result, 0))


@operator(
    "threshold_backward(Tensor grad_output, Tensor self, Scalar threshold) -> Tensor",
    variants="function",
)
def threshold_backward(grad_output, self, threshold):
    """The gradient where ``self`` lies above the threshold, zero elsewhere."""
    return torch.where(self <= threshold, 0, grad_output)


derive(
    threshold_backward,
    grad_output=lambda grad, self, threshold: torch.threshold_backward(
        grad, self, threshold
    ),
    self=lambda grad: grad.new_zeros(grad._shape),
)

# Powers.


class _Power(Pointwise):
    """Integers to negative Python numbers are refused."""

    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        inner = super().bind(op, keys, backend, kernel, declined)
        return _checking_exponent(inner, keys)

    def bind_inplace(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        inner = super().bind_inplace(op, keys, backend, kernel, declined)
        return None if inner is None else _checking_exponent(inner, keys)


def _checking_exponent(inner: Any, keys: int) -> Any:
    whole = dtypes.PYTHON_SCALARS[int]
    if keys & dtypes.DIFFERENTIABLE_MASK or not keys & whole:
        return inner

    def checked(self, exponent):  # type: ignore[no-untyped-def]
        if type(exponent) is int and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        return inner(self, exponent)

    return checked


_pow = primitive(
    "pow(Tensor|Scalar self, Tensor|Scalar exponent) -> Tensor",
    lift=_Power("same", forbid=not_for("pow", dtypes.BOOL)),
    inplace=True,
    tags="pointwise",
)


def _pow_self(grad: Any, self: Any, exponent: Any) -> Any:
    if not hasattr(exponent, "_keys"):
        if exponent == 0:
            return zeros(grad)
        return grad * conj(exponent * self.pow(exponent - 1))
    made = grad * conj(exponent * self.pow(exponent - 1))
    return torch.where(exponent == 0, 0, made)


def _pow_exponent(grad: Any, self: Any, exponent: Any, result: Any) -> Any:
    base = self if hasattr(self, "_keys") else grad.new_full((), self)
    wide = base.to(result.dtype) if base.dtype is not result.dtype else base
    made = grad * conj(result * wide.log())
    zero = (base == 0) & (exponent >= 0) if not exponent.is_complex() else base == 0
    return torch.where(zero, 0, made)


derive(
    _pow,
    name_="PowBackward1",
    number_name_="PowBackward0",
    self=_pow_self,
    exponent=_pow_exponent,
)
