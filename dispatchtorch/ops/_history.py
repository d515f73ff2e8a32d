"""The histories of gradients that don't depend on what they were taken at.

PyTorch's gradient of a pooling, say, is differentiable by the input too: with zeros.
Formulas that are linear in the incoming gradient alone would lose that.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.dispatch.state import grad_enabled
from dispatchtorch.ops._common import torch
from dispatchtorch.tensor import alias

__all__ = ["linked"]


@operator("_linked(Tensor self, Tensor[] others) -> Tensor", variants="private")
def _linked(self, others):
    """The tensor itself, differentiable by the others with zeros for gradients."""
    return alias(self)


derive(
    _linked,
    self=lambda grad: grad,
    others=lambda others: [torch.zeros_like(t) for t in others],
)


def linked(made: Any, *inputs: Any) -> Any:
    """Gradients (one, or several with None among them) that require grad where one of
    the tensors they were computed at does, and the computation is recorded."""
    if not grad_enabled():
        return made
    live = [t for t in inputs if t is not None and t.requires_grad]
    if not live:
        return made
    if isinstance(made, (list, tuple)):
        return [None if t is None else _link(t, live) for t in made]
    return _link(made, live)


def _link(t: Any, live: list[Any]) -> Any:
    return t if t.requires_grad else torch._linked(t, live)
