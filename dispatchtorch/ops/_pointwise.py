"""What the families of pointwise operators share: how they are declared, and refused."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.operator import Operator, get_operator, operator, primitive
from dispatchtorch.lift import Pointwise, result_type
from dispatchtorch.ops._common import torch

__all__ = [
    "KEEPING",
    "TO_BOOL",
    "TO_FLOAT",
    "binary",
    "no_complex",
    "not_for",
    "number_like",
    "operand_dtype",
    "refusing",
    "unary",
    "zeros",
]


def not_for(kernel: str, *categories: int) -> dict[int, str]:
    text = f"\"{kernel}\" not implemented for '{{dtype}}'"
    return dict.fromkeys(categories, text)


def no_complex(text: str, error: type = RuntimeError) -> dict[int, Any]:
    return {dtypes.COMPLEX: (error, text)}


KEEPING = Pointwise("same")
TO_FLOAT = Pointwise("float")
TO_BOOL = Pointwise("bool")


def unary(
    name: str,
    lift: Pointwise = TO_FLOAT,
    body: Any = None,
    inplace: bool = True,
    schema: str = "(Tensor self) -> Tensor",
) -> Operator:
    if body is None:
        return primitive(name + schema, lift=lift, inplace=inplace, tags="pointwise")
    declare = operator(name + schema, lift=lift, inplace=inplace, tags="pointwise")
    return declare(refusing(name, lift, body, 1))


def refusing(name: str, lift: Pointwise, body: Any, operands: int) -> Any:
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


def binary(
    name: str,
    lift: Pointwise = KEEPING,
    body: Any = None,
    inplace: bool = True,
    other: str = "Tensor|Scalar",
    overload: str = "",
) -> Operator:
    schema = f"{name}{overload}(Tensor self, {other} other) -> Tensor"
    if body is None:
        return primitive(schema, lift=lift, inplace=inplace, tags="pointwise")
    body = refusing(name + overload, lift, body, 2)
    return operator(schema, lift=lift, inplace=inplace, tags="pointwise")(body)


def zeros(grad: Any) -> Any:
    return grad.new_zeros(grad._shape)


def operand_dtype(self: Any, other: Any) -> Any:
    return result_type([self, other])


def number_like(self: Any, number: Any) -> Any:
    """A Python number as a 0-d tensor of the dtype that it has next to ``self``."""
    return torch.full((), number, dtype=operand_dtype(self, number), device=self.device)
