"""Lazy conjugates and negatives: views whose values aren't what their memory holds.

A tensor may carry a bit that says that its values are the conjugates (``CONJ``) or the
negatives (``NEG``) of the elements in memory. This layer takes part in the calls with
such an operand. Views of it carry the bits on; any other operator gets the values, and
what it writes goes to memory through the same flips. It lies below autograd: gradients
and the names of nodes don't know of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.device_layer import check_overlap, positional_body
from dispatchtorch.dispatch.keys import (
    AUTOGRAD,
    CONJ,
    FUNCTION,
    INFERENCE,
    INFERENCE_MODE,
    LAZY,
    NEG,
    VIEW,
)
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import COMPLEX_MASK, DTYPE_MASK
from dispatchtorch.lift import View
from dispatchtorch.ops._common import torch
from dispatchtorch.tensor import Tensor, new_tensor

__all__ = ["ConjugateLayer", "Flip", "flipped", "materialized"]

_HIDDEN = ~(AUTOGRAD | VIEW | FUNCTION | LAZY)


def flipped(t: Any, bits: int) -> Any:
    """The values conjugated and negated as ``bits`` say; a real conjugate is itself."""
    if bits & CONJ and t._keys & COMPLEX_MASK:
        t = torch._conj_physical(t)
    return torch.neg(t) if bits & NEG else t


def materialized(t: Tensor) -> Tensor:
    """The values of a lazy tensor in memory of their own, without history."""
    return flipped(_memory(t), t._keys)  # type: ignore[no-any-return]


def _memory(t: Tensor) -> Tensor:
    """What the memory holds, as a tensor without history."""
    return new_tensor(t._data, t._keys & _HIDDEN)


def _write(target: Tensor, values: Tensor) -> None:
    """Writes values to a lazy tensor, whose version its base and views share."""
    if target._base is not None:
        check_overlap(target)
    if target._ver is None:
        target._ver = [0, 0]
    memory = _memory(target)
    memory._ver = target._ver
    memory.copy_(flipped(values, target._keys))


class Flip(View):
    """The same memory with a bit of the keyset turned over."""

    def __init__(self, bit: int) -> None:
        super().__init__(lambda *geometry: geometry)
        self.bit = bit

    def bind_generic(
        self, op: Operator, keys: int, backend: Any, as_strided: Callable[..., Any]
    ) -> Callable[..., Any]:
        bit, kept = self.bit, DTYPE_MASK | LAZY | INFERENCE
        marks = backend.key | (INFERENCE if keys & INFERENCE_MODE else 0)

        def flip(self: Tensor) -> Tensor:
            return new_tensor(self._data, self._keys & kept ^ bit | marks)

        return flip


class ConjugateLayer(Layer):
    """Materialises lazy operands of all that isn't a view."""

    name = "conjugate"
    order = 25
    key = LAZY

    def bind(
        self, op: Operator, keys: int, inner: Callable[..., Any]
    ) -> Callable[..., Any]:
        if isinstance(op.lift, Flip):
            return inner
        if "view" in op.tags:
            return _viewing(inner)
        if _hands_on(op):
            composite = op.derivative is None and op.body is not None
            return positional_body(op) if composite else inner
        kernel = _resolving(op, inner)
        if op.full_name in ("dot", "vdot"):
            return _product(op.full_name == "vdot", kernel)
        return kernel

    def describe(self, op: Operator, keys: int) -> str:
        if "view" in op.tags or _hands_on(op):
            return "passes conjugate and negative bits on"
        return "materialises conjugates and negatives"


def _hands_on(op: Operator) -> bool:
    """Whether it hands its operands on to others that know the bits, or are views."""
    if "inplace" in op.tags:
        return False
    if op.name == "matmul" or op.name.startswith("_foreach"):
        return True  # of ``dot``, and of an operator for each tensor of a list
    return "views" in op.tags or "(a)" in op.text


def _viewing(inner: Callable[..., Any]) -> Callable[..., Any]:
    def kernel(self: Tensor, *args: Any) -> Tensor:
        made: Tensor = inner(self, *args)
        made._keys |= self._keys & LAZY
        return made

    return kernel


def _resolving(op: Operator, inner: Callable[..., Any]) -> Callable[..., Any]:
    written = [a.writes for a in op.schema.arguments]

    def kernel(*args: Any) -> Any:
        pending: list[tuple[Tensor, Tensor]] = []

        def given(value: Any, writes: bool) -> Any:
            keys = getattr(value, "_keys", None)
            if keys is not None:
                if not keys & LAZY:
                    return value
                made = materialized(value)
                if writes:
                    pending.append((value, made))
                return made
            if type(value) in (list, tuple):
                return [given(each, writes) for each in value]
            return value

        values = [given(v, w) for v, w in zip(args, written, strict=True)]
        result = inner(*values)
        for target, made in pending:
            _write(target, made)
        return args[0] if args and result is values[0] else result

    return kernel


def _product(conjugates: bool, kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Of two factors that would both be conjugated the product is, lazily."""

    def product(self: Tensor, other: Tensor) -> Tensor:
        first, second = self._keys & LAZY, other._keys & LAZY
        if first | second != CONJ or second != CONJ or bool(first) is conjugates:
            return kernel(self, other)  # type: ignore[no-any-return]
        product = torch.dot(_memory(self), _memory(other))
        made = new_tensor(product._data, product._keys | CONJ)
        return made

    return product


register_layer(ConjugateLayer())
