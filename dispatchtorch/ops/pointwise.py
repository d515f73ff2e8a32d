"""Pointwise operators: arithmetic, comparison, bits, elementary functions.

Most are rows: schema tail, promotion, derivative. The kernels of all primitives here take
native arrays of one dtype that broadcast.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import (
    Operator,
    get_operator,
    operator,
    primitive,
)
from dispatchtorch.dtypes import COMPLEX_MASK
from dispatchtorch.lift import Pointwise, native_as, result_keys, result_type
from dispatchtorch.lift.pointwise import Broadcast, Failed
from dispatchtorch.ops._common import conj, torch
from dispatchtorch.tensor import Tensor, bare, new_tensor

_NO_BOOL_NEG = {
    dtypes.BOOL: "Negation, the `-` operator, on a bool tensor is not supported. If you "
    "are trying to invert a mask, use the `~` or `logical_not()` operator instead."
}
_NO_BOOL_SUB = {
    dtypes.BOOL: "Subtraction, the `-` operator, with two bool tensors is not supported. "
    "Use the `^` or `logical_xor()` operator instead."
}
_NO_BOOL_OPERAND = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
    "to invert a mask, use the `~` or `logical_not()` operator instead."
)


def _not_for(kernel: str, *categories: int) -> dict[int, str]:
    text = f"\"{kernel}\" not implemented for '{{dtype}}'"
    return dict.fromkeys(categories, text)


def _no_complex(text: str, error: type = RuntimeError) -> dict[int, Any]:
    return {dtypes.COMPLEX: (error, text)}


_ONE = 1  # the default of alpha, known by identity because that is cheapest
_SAME = Pointwise("same")
_FLOAT = Pointwise("float")
_BOOL = Pointwise("bool")


def _unary(
    name: str,
    lift: Pointwise = _FLOAT,
    body: Any = None,
    inplace: bool = True,
    schema: str = "(Tensor self) -> Tensor",
) -> Operator:
    if body is None:
        return primitive(name + schema, lift=lift, inplace=inplace, tags="pointwise")
    declare = operator(name + schema, lift=lift, inplace=inplace, tags="pointwise")
    return declare(_refusing(name, lift, body, 1))


def _refusing(name: str, lift: Pointwise, body: Any, operands: int) -> Any:
    """A decomposition that refuses the same dtypes as a kernel's lift."""
    if not lift.forbid:
        return body

    def check(*values: Any) -> None:
        lift.compute_dtype(get_operator(name), result_type(values))

    def unary(self):  # type: ignore[no-untyped-def]
        check(self)
        return body(self)

    def binary(self, other):  # type: ignore[no-untyped-def]
        check(self, other)
        return body(self, other)

    made = unary if operands == 1 else binary
    made.__doc__ = body.__doc__
    return made


def _binary(
    name: str,
    lift: Pointwise = _SAME,
    body: Any = None,
    inplace: bool = True,
    other: str = "Tensor|Scalar",
    overload: str = "",
) -> Operator:
    schema = f"{name}{overload}(Tensor self, {other} other) -> Tensor"
    if body is None:
        return primitive(schema, lift=lift, inplace=inplace, tags="pointwise")
    body = _refusing(name + overload, lift, body, 2)
    return operator(schema, lift=lift, inplace=inplace, tags="pointwise")(body)


# Arithmetic. ``alpha`` is a scale of the second operand, which few calls give; the
# primitive is plain addition.


class _Scaled(Pointwise):
    """Addition with ``alpha``: the strict kernel where it is 1, else a product first."""

    def __init__(self, name: str, forbid: dict[int, str] | None = None) -> None:
        super().__init__("same", forbid=forbid)
        self.name = name

    def _names(self, op: Operator) -> Any:
        return ["self", "other"], ["self", "other"], []

    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        if self.forbid and keys & dtypes.bool.bit:
            return _without_bool(op)
        return super().bind(op, keys, backend, kernel, declined)

    def bind_inplace(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        if self.forbid and keys & dtypes.bool.bit:
            return _without_bool(op)
        return super().bind_inplace(op, keys, backend, kernel, declined)

    def prologue(self, op: Operator, constants: dict[str, Any]) -> list[str]:
        constants.update(ONE=_ONE, with_alpha=_with_alpha(op))
        return ["if alpha is not ONE: return with_alpha(self, other, alpha)"]


def _without_bool(op: Operator) -> Any:
    def refuse(self, other, alpha):  # type: ignore[no-untyped-def]
        _refuse_bool_sub(self, other)

    return refuse


def _with_alpha(op: Operator) -> Any:
    name = op.name

    def scaled(self, other, alpha):  # type: ignore[no-untyped-def]
        other = scaled_operand(name, self, other, alpha)
        # Below autograd: whatever history the operands have is recorded above.
        return op(bare(self), bare(other) if hasattr(other, "_keys") else other)

    return scaled


def scaled_operand(name: str, self: Any, other: Any, alpha: Any) -> Any:
    """``other * alpha``, with PyTorch's checks of alpha's kind."""
    keys = getattr(self, "_keys", 0) | getattr(other, "_keys", 0)
    if type(alpha) is float and keys & dtypes.FLOATING_MASK:
        return other * alpha
    if isinstance(alpha, bool) and not keys & dtypes.bool.bit:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if (
        isinstance(alpha, float)
        and not keys & dtypes.DIFFERENTIABLE_MASK
        and not (isinstance(other, float) or isinstance(self, float))
    ):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point "
            "number."
        )
    if isinstance(alpha, complex) and not keys & dtypes.COMPLEX_MASK:
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )
    if hasattr(other, "_keys") and other._keys & dtypes.DTYPE_MASK & dtypes.bool.bit:
        other = other.to(torch.int64) if not isinstance(alpha, bool) else other
    return other * alpha


def _scale(grad: Any, alpha: Any) -> Any:
    return grad if alpha is _ONE else grad * alpha


add = primitive(
    "add(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
    lift=_Scaled("add"),
    inplace=True,
    tags="pointwise",
)
derive(
    add,
    self=lambda grad: grad,
    other=lambda grad, alpha: _scale(grad, conj(alpha)) if alpha != 1 else grad,
)

sub = primitive(
    "sub(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
    lift=_Scaled("sub", _NO_BOOL_SUB),
    inplace=True,
    tags="pointwise",
)
derive(
    sub,
    self=lambda grad: grad,
    other=lambda grad, alpha: -grad if alpha == 1 else grad * -conj(alpha),
)

mul = _binary("mul")
# Real factors are told from complex ones here, which is quicker than to ask conj.
derive(
    mul,
    self=lambda grad, other: (
        grad * other
        if type(other) is Tensor and not other._keys & COMPLEX_MASK
        else grad * conj(other)
    ),
    other=lambda grad, self: (
        grad * self
        if type(self) is Tensor and not self._keys & COMPLEX_MASK
        else grad * conj(self)
    ),
)


class _Division(Pointwise):
    """True division; ``rounding_mode`` leads to the operators that round."""

    def _names(self, op: Operator) -> Any:
        return ["self", "other"], ["self", "other"], []

    def prologue(self, op: Operator, constants: dict[str, Any]) -> list[str]:
        constants["rounded"] = _write_rounded if "inplace" in op.tags else _rounded
        return [
            "if rounding_mode is not None: return rounded(self, other, rounding_mode)"
        ]


def _rounded(self: Any, other: Any, mode: str) -> Any:
    self, other = (bare(v) if hasattr(v, "_keys") else v for v in (self, other))
    if mode == "floor":
        return torch.floor_divide(self, other)
    if mode != "trunc":
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{mode}'"
        )
    common = _scalar_operand_dtype(self, other)
    if common.category == dtypes.INT:
        # The remainder that has the dividend's sign leaves an exact quotient.
        self = self.to(common)
        return torch.floor_divide(self - torch.fmod(self, other), other)
    if common.category != dtypes.FLOAT:
        name = dtypes.scalar_type_name(common)
        raise NotImplementedError(f"\"div_trunc_cpu\" not implemented for '{name}'")
    return torch.trunc(torch.div(self, other))


def _write_rounded(self: Any, other: Any, mode: str) -> Any:
    from dispatchtorch.device_layer import native_kernel, write_back

    backend = self._backend
    made = _rounded(self, other, mode)
    return write_back(
        get_operator("div_"), self, made, backend, native_kernel("copy_", backend)
    )


div = primitive(
    "div(Tensor self, Tensor|Scalar other, *, str? rounding_mode=None) -> Tensor",
    lift=_Division("float"),
    inplace=True,
    tags="pointwise",
)


def _div_other(grad: Any, self: Any, other: Any, rounding_mode: Any) -> Any:
    if rounding_mode is not None:
        return _zeros(grad)
    return -grad * conj((self / other) / other)


derive(
    div,
    self=lambda grad, other, rounding_mode: (
        grad / conj(other) if rounding_mode is None else _zeros(grad)
    ),
    other=_div_other,
)

neg = _unary("neg", Pointwise("same", forbid=_NO_BOOL_NEG))
derive(neg, self=lambda grad: -grad)

reciprocal = _unary(
    "reciprocal", _FLOAT, lambda self: torch.div(torch.ones_like(self), self)
)
derive(reciprocal, self=lambda grad, result: -grad * conj(result * result))

_ORDERED = Pointwise(
    "same", forbid=_no_complex("{op} not implemented for complex tensors.")
)
maximum = _binary("maximum", _ORDERED, other="Tensor", inplace=False)
minimum = _binary("minimum", _ORDERED, other="Tensor", inplace=False)


derive(
    maximum,
    self=lambda grad, self, other: _share(grad, self, other, self > other),
    other=lambda grad, self, other: _share(grad, self, other, self < other),
)
derive(
    minimum,
    self=lambda grad, self, other: _share(grad, self, other, self < other),
    other=lambda grad, self, other: _share(grad, self, other, self > other),
)


def _share(grad: Any, self: Any, other: Any, wins: Any) -> Any:
    """A gradient to the winner; halved where both operands are equal."""
    half = torch.where(self == other, grad / 2, 0)
    return torch.where(wins, grad, half)


# Comparison.

for _name, _swap in (("eq", "eq"), ("ne", "ne"), ("lt", "gt"), ("le", "ge"),
                     ("gt", "lt"), ("ge", "le")):  # fmt: skip
    _body: Any = {
        "ne": lambda self, other: torch.logical_not(torch.eq(self, other)),
        "gt": lambda self, other: _flip("lt", self, other),
        "ge": lambda self, other: _flip("le", self, other),
    }.get(_name)
    _compares = (
        _BOOL
        if _name in ("eq", "ne")
        else Pointwise("bool", forbid=_not_for(f"{_name}_cpu", dtypes.COMPLEX))
    )
    nondifferentiable(_binary(_name, _compares, _body))


def _flip(name: str, self: Any, other: Any) -> Any:
    if not hasattr(other, "_keys"):
        other = _number_like(self, other)
    return getattr(torch, name)(other, self)


def _scalar_operand_dtype(self: Any, other: Any) -> Any:
    return result_type([self, other])


nondifferentiable(
    *(get_operator(n + "_") for n in ("eq", "ne", "lt", "le", "gt", "ge"))
)

isnan = _unary("isnan", _BOOL, lambda self: self != self, inplace=False)
isinf = _unary("isinf", _BOOL, lambda self: torch.abs(self) == math.inf, inplace=False)
isfinite = _unary(
    "isfinite",
    _BOOL,
    lambda self: (self == self) & (torch.abs(self) != math.inf),
    inplace=False,
)
nondifferentiable(isnan, isinf, isfinite)

logical_not = _unary("logical_not", _BOOL, lambda self: self == 0)
logical_and = _binary(
    "logical_and", _BOOL, lambda self, other: (self != 0) & (other != 0), other="Tensor"
)
logical_or = _binary(
    "logical_or", _BOOL, lambda self, other: (self != 0) | (other != 0), other="Tensor"
)
logical_xor = _binary(
    "logical_xor", _BOOL, lambda self, other: (self != 0) ^ (other != 0), other="Tensor"
)
nondifferentiable(logical_not, logical_and, logical_or, logical_xor)

# Bits.


def _bits(name: str) -> Pointwise:
    short = name.removeprefix("bitwise_")
    return Pointwise(
        "same", forbid=_not_for(f"bitwise_{short}_cpu", dtypes.FLOAT, dtypes.COMPLEX)
    )


bitwise_and = _binary("bitwise_and", _bits("and"))
bitwise_or = _binary("bitwise_or", _bits("or"))
bitwise_xor = _binary("bitwise_xor", _bits("xor"))
bitwise_not = _unary("bitwise_not", _bits("not"))
nondifferentiable(bitwise_and, bitwise_or, bitwise_xor, bitwise_not)
nondifferentiable(*(get_operator(f"bitwise_{n}_") for n in ("and", "or", "xor", "not")))

# Elementary functions: one row each, the derivative from result or self.

exp = _unary("exp")
derive(exp, self=lambda grad, result: grad * conj(result))
log = _unary("log")
derive(log, self=lambda grad, self: grad / conj(self))
sqrt = _unary("sqrt")
derive(sqrt, self=lambda grad, result: grad / conj(2 * result))
sin = _unary("sin")
derive(sin, self=lambda grad, self: grad * conj(self.cos()))
cos = _unary("cos")
derive(cos, self=lambda grad, self: grad * -conj(self.sin()))
tanh = _unary("tanh")
derive(tanh, self=lambda grad, result: grad * (1 - result * result).conj())
erf = _unary("erf", Pointwise("float", forbid=_not_for("erf_vml_cpu", dtypes.COMPLEX)))
derive(
    erf,
    self=lambda grad, self: 2.0 / math.sqrt(math.pi) * (-(self * self)).exp() * grad,
)

expm1 = _unary("expm1")
derive(expm1, self=lambda grad, result: grad * conj(result + 1))
log1p = _unary("log1p")
derive(log1p, self=lambda grad, self: grad / conj(self + 1))
log2 = _unary("log2", _FLOAT, lambda self: self.log() / math.log(2))
derive(log2, self=lambda grad, self: grad / conj(self * math.log(2)))
log10 = _unary("log10", _FLOAT, lambda self: self.log() / math.log(10))
derive(log10, self=lambda grad, self: grad / conj(self * math.log(10)))
exp2 = _unary("exp2", _FLOAT, lambda self: (self * math.log(2)).exp())
derive(exp2, self=lambda grad, result: grad * conj(result) * math.log(2))
rsqrt = _unary("rsqrt", _FLOAT, lambda self: 1 / self.sqrt())
derive(rsqrt, self=lambda grad, result: -0.5 * grad * conj(result * result * result))
square = _unary(
    "square", Pointwise("same", promotes_bool=True), lambda self: self * self
)
derive(square, name_="PowBackward0", self=lambda grad, self: grad * conj(2 * self))
tan = _unary("tan", _FLOAT, lambda self: self.sin() / self.cos())
derive(tan, self=lambda grad, result: grad * conj(1 + result * result))
asin = _unary("asin")
derive(asin, self=lambda grad, self: grad * conj((1 - self * self).rsqrt()))
acos = _unary("acos")
derive(acos, self=lambda grad, self: grad * -conj((1 - self * self).rsqrt()))
atan = _unary("atan")
derive(atan, self=lambda grad, self: grad / conj(self * self + 1))
sinh = _unary("sinh", _FLOAT, lambda self: (self.exp() - (self * -1.0).exp()) / 2)
derive(sinh, self=lambda grad, self: grad * conj(self.cosh()))
cosh = _unary("cosh", _FLOAT, lambda self: (self.exp() + (self * -1.0).exp()) / 2)
derive(cosh, self=lambda grad, self: grad * conj(self.sinh()))
asinh = _unary(
    "asinh",
    _FLOAT,
    lambda self: (
        torch.where(self < 0, -1.0, 1.0) * (self.abs() + (self * self + 1).sqrt()).log()
    ),
)
derive(asinh, self=lambda grad, self: grad * conj((self * self + 1).rsqrt()))
acosh = _unary("acosh", _FLOAT, lambda self: (self + (self * self - 1).sqrt()).log())
derive(
    acosh,
    self=lambda grad, self: grad * conj((self - 1).rsqrt() * (self + 1).rsqrt()),
)
atanh = _unary(
    "atanh", _FLOAT, lambda self: 0.5 * (torch.log1p(self) - torch.log1p(-self))
)
derive(atanh, self=lambda grad, self: grad / conj(1 - self * self))

sigmoid = _unary("sigmoid", _FLOAT, lambda self: (1 + (self * -1.0).exp()).reciprocal())
derive(sigmoid, self=lambda grad, result: grad * conj((1 - result) * result))


def _zeros(grad: Any) -> Any:
    return grad.new_zeros(grad._shape)


def _rounding(name: str) -> Pointwise:
    refused = _not_for(f"{name}_vml_cpu", dtypes.BOOL, dtypes.COMPLEX)
    if name != "round":
        refused |= _no_complex(
            "{op} is not supported for complex inputs", NotImplementedError
        )
    return Pointwise("same", forbid=refused)


floor = _unary("floor", _rounding("floor"))
ceil = _unary("ceil", _rounding("ceil"), lambda self: -torch.floor(-self))
trunc = _unary(
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
    derive(_op, self=_zeros)

sign = _unary(
    "sign",
    Pointwise(
        "same",
        forbid=_no_complex(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
            "torch.sgn instead.",
            NotImplementedError,
        ),
    ),
)
derive(sign, self=_zeros)


class _Size(Pointwise):
    def bind_inplace(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        if keys & dtypes.COMPLEX_MASK:
            return _refuse_complex_abs
        return super().bind_inplace(op, keys, backend, kernel, declined)


def _refuse_complex_abs(self: Any) -> Any:
    raise RuntimeError("In-place abs is not supported for complex tensors.")


abs_ = _unary("abs", _Size("real", forbid=_not_for("abs_cpu", dtypes.BOOL)))
derive(abs_, self=lambda grad, self: grad * self.sgn())
sgn = _unary(
    "sgn",
    _SAME,
    lambda self: (
        torch.where(self == 0, 0, self / self.abs())
        if self.is_complex()
        else self.sign()
    ),
)
derive(sgn, self=lambda grad, self, result: _sgn_backward(grad, self, result))


def _sgn_backward(grad: Any, self: Any, result: Any) -> Any:
    if not self.is_complex():
        return _zeros(grad)
    size = self.abs()
    along = (grad - torch.real(conj(grad) * result) * result) / size
    return torch.where(size == 0, 0, along)


relu = _unary(
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
derive(relu, self=lambda grad, result: torch.threshold_backward(grad, result, 0))


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
    lift=_Power("same", forbid=_not_for("pow", dtypes.BOOL)),
    inplace=True,
    tags="pointwise",
)


def _pow_self(grad: Any, self: Any, exponent: Any) -> Any:
    if not hasattr(exponent, "_keys"):
        if exponent == 0:
            return _zeros(grad)
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

# Division that rounds.


def _quotient(kernel: str) -> Pointwise:
    return Pointwise("same", forbid=_not_for(kernel, dtypes.BOOL, dtypes.COMPLEX))


floor_divide = _binary("floor_divide", _quotient("div_floor_cpu"))
remainder = _binary("remainder", _quotient("remainder_cpu"))
derive(
    remainder,
    name_="RemainderBackward1",
    number_name_="RemainderBackward0",
    self=lambda grad: grad,
    other=lambda grad, self, other: -grad * torch.floor(self / other),
)
fmod = _binary("fmod", _quotient("fmod_cpu"))
derive(
    fmod,
    name_="FmodBackward1",
    number_name_="FmodBackward0",
    self=lambda grad: grad,
    other=lambda grad, self, other: -grad * torch.trunc(self / other),
)
atan2 = _binary(
    "atan2",
    Pointwise("float", forbid=_not_for("atan2_cpu", dtypes.COMPLEX)),
    other="Tensor",
)
derive(
    atan2,
    self=lambda grad, self, other: grad * other / (self * self + other * other),
    other=lambda grad, self, other: grad * -self / (self * self + other * other),
)

# Choosing.


class _Where(Pointwise):
    """The condition takes no part in promotion."""

    def _names(self, op: Operator) -> Any:
        names = [a.name for a in op.schema.arguments]
        return names, ["self", "other"], []

    def bind(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        choose = kernel.function
        check: Any = None if backend.checks_broadcast else Broadcast(op, backend)
        failed = Failed(op, backend)

        def where(condition, self, other):  # type: ignore[no-untyped-def]
            if not condition._keys & dtypes.bool.bit:
                if not condition._keys & dtypes.uint8.bit:
                    raise RuntimeError(
                        "expected condition to be a boolean tensor, but got a tensor "
                        f"with dtype {dtypes.scalar_type_name(condition.dtype)}"
                    )
                condition = condition.to(dtypes.bool)
            common = result_type([self, other])
            if check is not None:
                check(*[v for v in (condition, self, other) if hasattr(v, "_keys")])
            index = backend.index(condition._data)
            try:
                r = choose(
                    condition._data,
                    native_as(self, common, backend, index),
                    native_as(other, common, backend, index),
                )
            except Exception as error:
                raise failed(error, (condition, self, other)) from None
            if r is NotImplemented:
                return declined(condition, self, other)
            if type(r) is not backend.array_type:
                r = backend.coerce(r, common)
            return new_tensor(r, result_keys(backend, common, keys))

        return where

    def bind_inplace(self, *args):  # type: ignore[no-untyped-def]
        return None


where = primitive(
    "where.self(Tensor condition, Tensor|Scalar self, Tensor|Scalar other) -> Tensor",
    lift=_Where(),
    tags="pointwise",
    variants="function",
)
derive(
    where,
    self=lambda grad, condition: torch.where(condition, grad, 0),
    other=lambda grad, condition: torch.where(condition, 0, grad),
)

# Reversed and bounded arithmetic.


@operator(
    "rsub(Tensor self, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
    variants="function",
)
def rsub(self, other, *, alpha):
    """``other - alpha * self``."""
    _refuse_bool_sub(self, other)
    if hasattr(other, "_keys"):
        return torch.sub(other, self, alpha=alpha)
    return torch.sub(_number_like(self, other), self, alpha=alpha)


def _refuse_bool_sub(self: Any, other: Any) -> None:
    kinds = [
        v.dtype is dtypes.bool if hasattr(v, "_keys") else isinstance(v, bool)
        for v in (self, other)
    ]
    if any(kinds):
        raise RuntimeError(
            _NO_BOOL_SUB[dtypes.BOOL] if all(kinds) else _NO_BOOL_OPERAND
        )


def _number_like(self: Any, number: Any) -> Any:
    """A Python number as a 0-d tensor of the dtype that it has next to ``self``."""
    return torch.full(
        (), number, dtype=_scalar_operand_dtype(self, number), device=self.device
    )


derive(
    rsub,
    number_name_="RsubBackward1",
    self=lambda grad, alpha: -grad if alpha == 1 else grad * -conj(alpha),
    other=lambda grad: grad,
)
