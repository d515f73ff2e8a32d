"""The autograd layer: binds an operator's derivative around the layers below.

For each operator one Node class is generated, with a slot for each value that its
formulas name; for each keyset one kernel, which calls the layers below and records a
node. Operators without a derivative of their own decompose here, above autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.autograd.node import Node, edge_of, next_sequence
from dispatchtorch.autograd.recorder import Recorder
from dispatchtorch.autograd.views import (
    check_inplace,
    check_made_without_grad,
    renew,
)
from dispatchtorch.device_layer import positional_body
from dispatchtorch.dispatch.codegen import compile_kernel, inlined
from dispatchtorch.dispatch.derivative import Derivative
from dispatchtorch.dispatch.keys import AUTOGRAD, LAZY, VIEW
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import DIFFERENTIABLE_MASK
from dispatchtorch.tensor import Tensor, alias

__all__ = ["AutogradLayer", "ViewLayer"]

Kernel = Callable[..., Any]


class AutogradLayer(Layer):
    """Records a node where an operand requires grad, and runs the layers below."""

    name = "autograd"
    order = 40

    def bind(self, op: Operator, keys: int, inner: Kernel) -> Kernel:
        derivative = op.derivative
        if "nondifferentiable" in op.tags:
            if "inplace" in op.tags:
                return _checked_inplace(inner)
            return inner
        if derivative is None:
            if op.body is not None and "no_derivative" not in op.tags:
                return positional_body(op)
            if op.functional is not None and op.functional.body is not None:
                return _inplace_by_copy(op)
            return _without_derivative(op, inner)
        recorder = Recorder(op, derivative, keys)
        return recorder.kernel(inner)

    def describe(self, op: Operator, keys: int) -> str:
        derivative = op.derivative
        if "nondifferentiable" in op.tags:
            return "not differentiable"
        if derivative is None:
            return "decomposes above autograd" if op.body else "no derivative"
        return (
            f"{derivative.node_name(op)}, saves {_saved_names(derivative) or 'nothing'}"
        )


class ViewLayer(Layer):
    """Renews the histories of views whose base was written to since they were made."""

    name = "view"
    order = 41
    key = VIEW

    def bind(self, op: Operator, keys: int, inner: Kernel) -> Kernel:
        table = op.new_table()
        arguments = op.schema.arguments
        listed = ", ".join(a.name for a in arguments)
        checks = []
        for a in arguments:
            if a.base == "Tensor" and not a.is_list and not a.optional:
                checks.append(
                    f"{a.name}._base is not None and {a.name}._ver[1] != {a.name}._stamp"
                )
            elif a.is_tensor:
                checks.append(f"stale({a.name})")
        lines = [f"if {' or '.join(checks)}: return renewed(({listed},))"]
        if "inplace" in op.tags and not keys & AUTOGRAD:
            first = arguments[0].name
            lines += [
                f"base = {first}._base",
                f"if base is not None and base._keys & AUTOGRAD and {first}._keys & "
                f"VIEW: made_without_grad({first})",
            ]

        writes = "inplace" in op.tags

        def renewed(args: tuple[Any, ...]) -> Any:
            keyset = keys & ~VIEW
            if writes and args[0]._base is not None and args[0]._base._keys & AUTOGRAD:
                check_inplace(args[0])
            for each in args:
                for t in each if type(each) in (list, tuple) else (each,):
                    if hasattr(t, "_keys"):
                        if t._base is not None:
                            renew(t)
                        keyset |= t._keys & AUTOGRAD
            return table[keyset](*args)

        constants = {
            "renewed": renewed,
            "stale": _stale,
            "made_without_grad": check_made_without_grad,
            "AUTOGRAD": AUTOGRAD,
            "VIEW": VIEW,
        }
        lines += [*inlined(inner, listed, "made", constants), "return made"]
        return compile_kernel(listed, lines, constants)


def _stale(value: Any) -> bool:
    if type(value) in (list, tuple):
        return any(_stale(each) for each in value)
    base = getattr(value, "_base", None)
    return base is not None and value._ver[1] != value._stamp


def _saved_names(derivative: Derivative) -> str:
    names = {n for needed in derivative.needed.values() for n in needed}
    return ", ".join(sorted(names - {"grad", "grads", "needs"}))


def _without_derivative(op: Operator, inner: Kernel) -> Kernel:
    """Runs, and complains only when somebody asks for the gradient."""

    writes = "inplace" in op.tags

    def kernel(*args: Any) -> Any:
        if writes:
            check_inplace(args[0])
        result = inner(*args)
        inputs = tuple(edge_of(a) for a in args)
        for i, t in enumerate(result if isinstance(result, tuple) else (result,)):
            if hasattr(t, "_keys") and t._keys & DIFFERENTIABLE_MASK:
                node = NotImplementedNode()
                node.op_name = op.name
                node.next = inputs
                node.seq = next_sequence()
                node.shape, node.keys = t._shape, t._keys
                t._keys |= AUTOGRAD
                t._edge = (node, i)
        return result

    return kernel


class NotImplementedNode(Node):
    """The node of an operator whose derivative nobody has written."""

    op_name = ""

    def apply(self, grads: list[Tensor | None]) -> Any:
        raise RuntimeError(f"derivative for aten::{self.op_name} is not implemented")

    def name(self) -> str:
        return "NotImplemented"


NotImplementedNode.__name__ = NotImplementedNode.__qualname__ = "NotImplemented"


def _checked_inplace(inner: Kernel) -> Kernel:
    def kernel(self: Tensor, *args: Any) -> Any:
        check_inplace(self)
        return inner(self, *args)

    return kernel


def _inplace_by_copy(op: Operator) -> Kernel:
    """In place for an operator that decomposes above autograd: compute, then copy_."""
    functional = op.functional
    assert functional is not None
    arguments = functional.schema.arguments

    def kernel(self: Tensor, *args: Any) -> Any:
        check_inplace(self)
        names = [a.name for a in arguments[1:]]
        given = dict(zip(names, args, strict=True))
        first = {arguments[0].name: self}
        result = functional(**first, **given)
        from dispatchtorch.device_layer import native_kernel, write_back

        if result._keys & AUTOGRAD or self._keys & LAZY:
            if result.dtype is not self.dtype:
                write_back(op, alias(self), alias(result), self._backend, _no_write)
            return self.copy_(result)
        backend = self._backend
        write_back(op, self, result, backend, native_kernel("copy_", backend))
        if self._ver is None:
            self._ver = [1, 0]
        else:
            self._ver[0] += 1
        return self

    return kernel


def _no_write(target: Any, source: Any) -> None:
    """Takes the place of ``copy_`` where only the checks of a write are wanted."""


register_layer(AutogradLayer())
register_layer(ViewLayer())
