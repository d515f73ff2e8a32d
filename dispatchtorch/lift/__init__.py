"""Lifts: how a native kernel is made to take tensors.

A lift is the shape of a family of operators. It is bound to a native kernel once for each
keyset and yields a flat closure: unwrap, call, wrap. All that is PyTorch's semantics and
no device's business happens here: promotion, scalars, broadcasting errors.

``Pointwise``  operands of one dtype that broadcast; the result's dtype follows a rule
``Plain``      natives in place of tensors, everything else as the schema says
``View``       the result shares memory: a native override, or (shape, strides, offset)
"""

from __future__ import annotations

from dispatchtorch.lift.base import (
    Lift,
    guard_constants,
    guarded,
    native_as,
    out_of_memory,
    result_keys,
    run_guarded,
    shape_mismatch,
)
from dispatchtorch.lift.plain import Plain, natives
from dispatchtorch.lift.pointwise import Pointwise
from dispatchtorch.lift.promotion import broadcast_shapes, result_type
from dispatchtorch.lift.returns import make_return_type, named_returns, return_type
from dispatchtorch.lift.view import View

__all__ = [
    "Lift",
    "Plain",
    "Pointwise",
    "View",
    "broadcast_shapes",
    "guard_constants",
    "guarded",
    "make_return_type",
    "named_returns",
    "native_as",
    "natives",
    "out_of_memory",
    "result_keys",
    "result_type",
    "return_type",
    "run_guarded",
    "shape_mismatch",
]
