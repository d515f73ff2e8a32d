"""Arithmetic, comparison, logic, bits and choosing.

The kernels of all primitives here take native arrays of one dtype that broadcast.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, nondifferentiable
from dispatchtorch.dispatch.operator import Operator, get_operator, operator, primitive
from dispatchtorch.dtypes import COMPLEX_MASK
from dispatchtorch.lift import (
    Pointwise,
    broadcast_shapes,
    native_as,
    result_keys,
    result_type,
)
from dispatchtorch.lift.pointwise import Broadcast, Failed
from dispatchtorch.ops._common import conj, numel_of, strict, torch
from dispatchtorch.ops._pointwise import (
    TO_BOOL,
    TO_FLOAT,
    binary,
    no_complex,
    not_for,
    number_like,
    operand_dtype,
    unary,
    zeros,
)
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

_WIDE = dtypes.float32.bit | dtypes.float64.bit
_ONE = 1  # the default of alpha, known by identity because that is cheapest

_BOOLS = dtypes.bool.bit | dtypes.PYTHON_SCALARS[bool]

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
        if self.forbid and keys & _BOOLS:
            return _without_bool(op)
        return super().bind(op, keys, backend, kernel, declined)

    def bind_inplace(self, op, keys, backend, kernel, declined):  # type: ignore[no-untyped-def]
        if self.forbid and keys & _BOOLS:
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
    sign = {"add_": 1, "sub_": -1}.get(name, 0)

    def scaled(self, other, alpha):  # type: ignore[no-untyped-def]
        if sign and type(alpha) in (float, int) and _is_long(self, other):
            pair = [bare(self), bare(other)]
            strict._foreach_formula_(pair, _ADD_SCALED, 2, [sign * alpha])
            return self
        other = scaled_operand(name, self, other, alpha)
        # Below autograd: whatever history the operands have is recorded above.
        return op(bare(self), bare(other) if hasattr(other, "_keys") else other)

    return scaled


_ADD_SCALED = "t0 = mul(x1, n0)\nx0 = add(x0, t0)"


def _is_long(self: Any, other: Any) -> bool:
    """Whether two tensors are worth a pass over memory without a temporary."""
    keys = getattr(other, "_keys", 0)
    return (
        keys & dtypes.DTYPE_MASK == self._keys & dtypes.DTYPE_MASK
        and keys & _WIDE != 0
        and self._data.shape == other._data.shape
        and numel_of(self._data.shape) > 1 << 16
        and "_foreach_formula_" in self._backend.kernels
    )


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

mul = binary("mul")
# Real factors are told from complex ones here, which is quicker than to ask conj.
derive(
    mul,
    commutes_=True,
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

    def check_written(self, op: Operator, args: tuple[Any, ...]) -> None:
        if len(args) < 3 or args[2] is None:  # rounded whole numbers stay whole
            super().check_written(op, args)

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
    common = operand_dtype(self, other)
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
        return zeros(grad)
    return -grad * conj((self / other) / other)


derive(
    div,
    self=lambda grad, other, rounding_mode: (
        grad / conj(other) if rounding_mode is None else zeros(grad)
    ),
    other=_div_other,
)

neg = unary("neg", Pointwise("same", forbid=_NO_BOOL_NEG))
derive(neg, self=lambda grad: -grad)

reciprocal = unary(
    "reciprocal", TO_FLOAT, lambda self: torch.div(torch.ones_like(self), self)
)
derive(reciprocal, self=lambda grad, result: -grad * conj(result * result))

_ORDERED = Pointwise(
    "same", forbid=no_complex("{op} not implemented for complex tensors.")
)
maximum = binary("maximum", _ORDERED, other="Tensor", inplace=False)
minimum = binary("minimum", _ORDERED, other="Tensor", inplace=False)


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
        TO_BOOL
        if _name in ("eq", "ne")
        else Pointwise("bool", forbid=not_for(f"{_name}_cpu", dtypes.COMPLEX))
    )
    nondifferentiable(binary(_name, _compares, _body))


def _flip(name: str, self: Any, other: Any) -> Any:
    if not hasattr(other, "_keys"):
        other = number_like(self, other)
    elif other._shape != self._shape:
        broadcast_shapes([self._shape, other._shape])  # names the operands in order
    return getattr(torch, name)(other, self)


nondifferentiable(
    *(get_operator(n + "_") for n in ("eq", "ne", "lt", "le", "gt", "ge"))
)

isnan = unary("isnan", TO_BOOL, lambda self: self != self, inplace=False)


def _isinf(self: Any) -> Any:
    exact = not (self.is_floating_point() or self.is_complex())
    return self != self if exact else torch.abs(self) == math.inf


isinf = unary("isinf", TO_BOOL, _isinf, inplace=False)
isfinite = unary(
    "isfinite",
    TO_BOOL,
    lambda self: (self == self) & ~torch.isinf(self),
    inplace=False,
)
nondifferentiable(isnan, isinf, isfinite)

logical_not = unary("logical_not", TO_BOOL, lambda self: self == 0)
logical_and = binary(
    "logical_and",
    TO_BOOL,
    lambda self, other: (self != 0) & (other != 0),
    other="Tensor",
)
logical_or = binary(
    "logical_or",
    TO_BOOL,
    lambda self, other: (self != 0) | (other != 0),
    other="Tensor",
)
logical_xor = binary(
    "logical_xor",
    TO_BOOL,
    lambda self, other: (self != 0) ^ (other != 0),
    other="Tensor",
)
nondifferentiable(logical_not, logical_and, logical_or, logical_xor)

# Bits.


def _bits(name: str) -> Pointwise:
    short = name.removeprefix("bitwise_")
    return Pointwise(
        "same", forbid=not_for(f"bitwise_{short}_cpu", dtypes.FLOAT, dtypes.COMPLEX)
    )


bitwise_and = binary("bitwise_and", _bits("and"))
bitwise_or = binary("bitwise_or", _bits("or"))
bitwise_xor = binary("bitwise_xor", _bits("xor"))
bitwise_not = unary("bitwise_not", _bits("not"))
nondifferentiable(bitwise_and, bitwise_or, bitwise_xor, bitwise_not)
nondifferentiable(*(get_operator(f"bitwise_{n}_") for n in ("and", "or", "xor", "not")))

# Division that rounds.


def _quotient(kernel: str) -> Pointwise:
    return Pointwise("same", forbid=not_for(kernel, dtypes.BOOL, dtypes.COMPLEX))


floor_divide = binary("floor_divide", _quotient("div_floor_cpu"))
remainder = binary("remainder", _quotient("remainder_cpu"))
derive(
    remainder,
    name_="RemainderBackward1",
    number_name_="RemainderBackward0",
    self=lambda grad: grad,
    other=lambda grad, self, other: -grad * torch.floor(self / other),
)
fmod = binary("fmod", _quotient("fmod_cpu"))
derive(
    fmod,
    name_="FmodBackward1",
    number_name_="FmodBackward0",
    self=lambda grad: grad,
    other=lambda grad, self, other: -grad * torch.trunc(self / other),
)
atan2 = binary(
    "atan2",
    Pointwise("float", forbid=not_for("atan2_cpu", dtypes.COMPLEX)),
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
                        "where expected condition to be a boolean tensor, but got a "
                        f"tensor with dtype {dtypes.scalar_type_name(condition.dtype)}"
                    )
                condition = condition.to(dtypes.bool)
            common = result_type([self, other])
            if check is not None:
                check(*[v for v in (condition, self, other) if hasattr(v, "_keys")])
            index = backend.index(condition._data)
            try:
                natives = (
                    condition._data,
                    native_as(self, common, backend, index),
                    native_as(other, common, backend, index),
                )
                r = choose(*natives)
            except Exception as error:
                raise failed(error, (condition, self, other)) from None
            if r is NotImplemented:
                return declined(condition, self, other)
            if type(r) is not backend.array_type:
                r = backend.coerce(r, common)
            if backend.arrange is not None and r.ndim > 1:
                r = backend.arrange(r, *natives)
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
    return torch.sub(number_like(self, other), self, alpha=alpha)


def _refuse_bool_sub(self: Any, other: Any) -> None:
    kinds = [
        v.dtype is dtypes.bool if hasattr(v, "_keys") else isinstance(v, bool)
        for v in (self, other)
    ]
    if any(kinds):
        raise RuntimeError(
            _NO_BOOL_SUB[dtypes.BOOL] if all(kinds) else _NO_BOOL_OPERAND
        )


derive(
    rsub,
    number_name_="RsubBackward1",
    self=lambda grad, alpha: -grad if alpha == 1 else grad * -conj(alpha),
    other=lambda grad: grad,
)
