"""Bounds and blends: clamp, lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import add_alias, operator
from dispatchtorch.lift import Plain, Pointwise, result_type
from dispatchtorch.ops._common import conj, refuse, torch
from dispatchtorch.ops._pointwise import not_for
from dispatchtorch.ops.pointwise_more import BOOL, COMPLEX, FLOAT, INT

# Bounds.


class _Clamp(Plain):
    """The kernel takes native operands of the common dtype, and numbers."""


def _clamp_scalars(self: Any, low: Any, high: Any) -> tuple[Any, Any, Any]:
    if low is None and high is None:
        raise RuntimeError(
            "torch.clamp: At least one of 'min' or 'max' must not be None"
        )
    _no_complex(self, low, high)
    common = result_type([v for v in (self, low, high) if v is not None])
    low, high = (v.item() if hasattr(v, "_keys") else v for v in (low, high))
    return self if self.dtype is common else self.to(common), low, high


def _no_complex(*values: Any) -> None:
    for v in values:
        if isinstance(v, complex) or (hasattr(v, "_keys") and v.is_complex()):
            raise NotImplementedError("clamp is not supported for complex types")


@operator(
    "clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor",
    tags="out",
    inplace=True,
)
def clamp_tensor(self, min, max):
    """Values below ``min`` become it, those above ``max`` become that."""
    if min is None and max is None:
        raise RuntimeError(
            "torch.clamp: At least one of 'min' or 'max' must not be None"
        )
    _no_complex(self, min, max)
    made = self if min is None else torch.maximum(self, min)
    return made if max is None else torch.minimum(made, max)


def _clamp_tensor_self(grad: Any, self: Any, min: Any, max: Any) -> Any:
    inside = None if min is None else self >= min
    if max is not None:
        below = self <= max
        inside = below if inside is None else inside & below
    return torch.where(inside, grad, 0)


def _clamp_low(grad: Any, self: Any, min: Any, max: Any) -> Any:
    lost = self < min if max is None else (self < min) & (min < max)
    return torch.where(lost, grad, 0)


def _clamp_high(grad: Any, self: Any, min: Any, max: Any) -> Any:
    lost = self > max if min is None else (self > max) | (max < min)
    return torch.where(lost, grad, 0)


derive(
    clamp_tensor,
    name_="ClampBackward0",
    self=_clamp_tensor_self,
    min=_clamp_low,
    max=_clamp_high,
)


@operator(
    "clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
    lift=_Clamp(),
    inplace=True,
)
def clamp(self, min, max):
    """Values below ``min`` become it, those above ``max`` become that."""
    made, low, high = _clamp_scalars(self, min, max)
    if low is not None:
        made = torch.maximum(
            made, torch.full((), low, dtype=made.dtype, device=made.device)
        )
    if high is not None:
        made = torch.minimum(
            made, torch.full((), high, dtype=made.dtype, device=made.device)
        )
    return made


clamp.prepare = _clamp_scalars
clamp.shape_rule = lambda x, low, high: (x.shape, x.dtype)


def _clamp_backward(grad: Any, self: Any, min: Any, max: Any) -> Any:
    return _clamp_tensor_self(grad, self, min, max)


derive(clamp, name_="ClampBackward1", self=_clamp_backward)


def _one_sided(name: str, side: str) -> None:
    """clamp_min and clamp_max, with a tensor or a number as the bound."""
    low = side == "min"
    pick, wins = ("maximum", "ge") if low else ("minimum", "le")

    def by_tensor(self: Any, bound: Any) -> Any:
        common = result_type([self, bound])
        if common.is_complex:
            kind = dtypes.scalar_type_name(common)
            raise NotImplementedError(f"\"{pick}_cpu\" not implemented for '{kind}'")
        return getattr(torch, pick)(self, bound)

    def by_number(self: Any, bound: Any) -> Any:
        _no_complex(self, bound)
        if isinstance(bound, bool):
            refuse(self, f"\"{name}_scalar_cpu\" not implemented for '{{dtype}}'", BOOL)
        return torch.clamp(self, **{side: bound})

    words = name.title().replace("_", "")
    for overload, kind, body, number in (
        (".Tensor", "Tensor", by_tensor, 1),
        ("", "Scalar", by_number, 0),
    ):
        text = f"{name}{overload}(Tensor self, {kind} {side}) -> Tensor"
        op = operator(text, tags="out", inplace=True)(body)
        formulas = {"self": _keeping(wins, side)}
        if number:
            formulas[side] = _losing(wins, side)
        derive(op, name_=f"{words}Backward{number}", **formulas)


def _keeping(wins: str, side: str) -> Any:
    if side == "min":
        return lambda grad, self, min: torch.where(getattr(self, wins)(min), grad, 0)
    return lambda grad, self, max: torch.where(getattr(self, wins)(max), grad, 0)


def _losing(wins: str, side: str) -> Any:
    if side == "min":
        return lambda grad, self, min: torch.where(self < min, grad, 0)
    return lambda grad, self, max: torch.where(self > max, grad, 0)


_one_sided("clamp_min", "min")
_one_sided("clamp_max", "max")

# Three operands.


def _same_dtype_as(self: Any, **others: Any) -> None:
    for name, other in others.items():
        if hasattr(other, "_keys") and other.dtype is not self.dtype:
            raise RuntimeError(
                f"expected dtype {dtypes.c_type(self.dtype)} for `{name}` but got dtype "
                f"{dtypes.c_type(other.dtype)}"
            )


def _lerp(self: Any, end: Any, weight: Any) -> Any:
    """From the nearer end, so that weights 0 and 1 are exact."""
    gap = end - self
    if not hasattr(weight, "_keys"):
        near = abs(weight) < 0.5
        return self + weight * gap if near else end - gap * (1 - weight)
    return torch.where(
        weight.abs() < 0.5, self + weight * gap, end - gap * (1 - weight)
    )


@operator(
    "lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor",
    tags="out",
    inplace=True,
)
def lerp_tensor(self, end, weight):
    """``self + weight * (end - self)``."""
    _same_dtype_as(self, end=end)
    if weight.ndim or weight.dtype.category > self.dtype.category:
        _same_dtype_as(self, weight=weight)
    else:
        weight = weight.to(self.dtype)
    refuse(self, "\"lerp_kernel_tensor\" not implemented for '{dtype}'", BOOL, INT)
    return _lerp(self, end, weight)


derive(
    lerp_tensor,
    name_="LerpBackward1",
    self=lambda grad, weight: grad * conj(1 - weight),
    end=lambda grad, weight: grad * conj(weight),
    weight=lambda grad, self, end: grad * conj(end - self),
)


@operator(
    "lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor",
    tags="out",
    inplace=True,
)
def lerp(self, end, weight):
    """``self + weight * (end - self)``."""
    _same_dtype_as(self, end=end)
    refuse(self, "\"lerp_kernel_scalar\" not implemented for '{dtype}'", BOOL, INT)
    return _lerp(self, end, weight)


derive(
    lerp,
    self=lambda grad, weight: grad * conj(1 - weight),
    end=lambda grad, weight: grad * conj(weight),
)


class _Scaled3(Pointwise):
    def prologue(self, op: Any, constants: dict[str, Any]) -> list[str]:
        constants["check"] = _check_value
        return [f"check({op.schema.arguments[0].name}, tensor1, tensor2, value)"]


def _check_value(self: Any, tensor1: Any, tensor2: Any, value: Any) -> None:
    """Scalars must not be of a higher kind than the tensors."""
    kinds = max(t.dtype.category for t in (self, tensor1, tensor2))
    if isinstance(value, complex) and kinds < COMPLEX:
        raise RuntimeError(
            "value cannot be converted to type "
            f"{dtypes.c_type(result_type([self, tensor1, tensor2]))} without overflow"
        )
    if isinstance(value, float) and kinds < FLOAT and not value.is_integer():
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point "
            "number."
        )


addcmul = operator(
    "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    lift=_Scaled3("same", forbid=not_for("addcmul_cpu_out", BOOL)),
    inplace=True,
    tags="pointwise",
)(lambda self, tensor1, tensor2, value: self + value * tensor1 * tensor2)
derive(
    addcmul,
    self=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * conj(tensor2 * value),
    tensor2=lambda grad, tensor1, value: grad * conj(tensor1 * value),
)
_INTEGER_ADDCDIV = (
    "Integer division with addcdiv is no longer supported, and in a future  release "
    "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
    "behavior can be implemented as (input + value * torch.trunc(tensor1 / "
    "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
    "tensor2) for float inputs. The future addcdiv behavior is just the latter "
    "implementation: (input + value * tensor1 / tensor2), for all dtypes."
)
addcdiv = operator(
    "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    lift=_Scaled3("same", forbid=dict.fromkeys((BOOL, INT), _INTEGER_ADDCDIV)),
    inplace=True,
    tags="pointwise",
)(lambda self, tensor1, tensor2, value: self + value * tensor1 / tensor2)
derive(
    addcdiv,
    self=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * conj(value / tensor2),
    tensor2=lambda grad, tensor1, tensor2, value: (
        -grad * conj(value * tensor1 / (tensor2 * tensor2))
    ),
)


add_alias("clip", "clamp")
