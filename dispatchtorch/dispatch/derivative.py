"""Derivatives as data: one short expression for each differentiable argument.

    derive(mul, self=lambda grad, other: grad * conj(other), other=…)

A formula names what it needs: ``grad`` (``grads`` for several results), any argument of
the operator, ``result`` (or a result by its name in the schema), ``needs`` (one bool for
each differentiable argument), ``x_sizes`` for the shape of argument ``x``, ``x_strides``, and
``x_options`` for its dtype and device, which keep no tensor alive. Naming is saving: exactly the tensors
that the formulas of the operands that require grad name are kept for the backward pass.

Formulas call public operators, so double backward and every device come for free.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import SCALAR_MASK

__all__ = ["Derivative", "derive", "derive_joint", "nondifferentiable"]

Formula = Callable[..., Any]


class Derivative:
    """The formulas of one operator.

    ``formulas``: by argument name; or ``joint``: one function that returns the gradients
    of ``arguments`` together. ``outputs``: the indices of differentiable results.
    ``commutes``: the two formulas are one, so that equal operands get equal gradients.
    """

    __slots__ = (
        "arguments",
        "commutes",
        "formulas",
        "joint",
        "name",
        "needed",
        "number_name",
        "outputs",
    )

    def __init__(
        self,
        formulas: dict[str, Formula],
        joint: Formula | None,
        arguments: tuple[str, ...],
        name: str | None,
        outputs: tuple[int, ...] | None,
    ) -> None:
        self.formulas = formulas
        self.joint = joint
        self.arguments = arguments
        self.name = name
        self.number_name: str | None = None
        self.outputs = outputs
        self.commutes = False
        self.needed = {
            a: parameters_of(joint if joint is not None else formulas[a])
            for a in arguments
        }

    def node_name(self, op: Operator, keys: int = 0) -> str:
        """The class name of the graph's node: PyTorch's, e.g. ``AddBackward0``."""
        if self.number_name is not None and keys & SCALAR_MASK:
            return self.number_name
        if self.name is not None:
            return self.name
        words = op.name.rstrip("_").split("_")
        return "".join(w[:1].upper() + w[1:] for w in words) + "Backward0"


def parameters_of(function: Formula) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def derive(
    op: Operator,
    *,
    name_: str | None = None,
    number_name_: str | None = None,
    outputs_: tuple[int, ...] | None = None,
    commutes_: bool = False,
    **formulas: Formula,
) -> None:
    """Declares a formula for each differentiable argument of ``op``.

    ``name_`` is the node's name where it isn't the operator's; ``number_name_`` that of
    calls with a Python number for an operand. ``commutes_`` says that ``self`` and
    ``other`` may change places, so that a square needs one product, not two.
    """
    arguments = tuple(formulas)
    made = Derivative(formulas, None, arguments, name_, outputs_)
    made.number_name = number_name_
    made.commutes = commutes_
    _attach(op, made)


def derive_joint(
    op: Operator,
    arguments: str,
    formula: Formula,
    *,
    name_: str | None = None,
    outputs_: tuple[int, ...] | None = None,
) -> None:
    """Declares one formula that returns the gradients of several arguments."""
    names = tuple(arguments.split())
    _attach(op, Derivative({}, formula, names, name_, outputs_))


def _attach(op: Operator, derivative: Derivative) -> None:
    from dispatchtorch.dispatch.operator import declared_operators

    op.derivative = derivative
    inplace = declared_operators().get(
        f"{op.name}_.{op.overload}" if op.overload else f"{op.name}_"
    )
    if inplace is not None and inplace.functional is op:
        inplace.derivative = derivative


def nondifferentiable(*ops: Operator) -> None:
    """Marks operators whose results never require grad."""
    for op in ops:
        op.tags = op.tags | {"nondifferentiable"}
