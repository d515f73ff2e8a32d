"""Operators behind methods that never dispatch: for classes with ``__torch_dispatch__``.

``Tensor.detach`` and ``Tensor.item`` are plain functions. Where a subclass or a mode
wants to see such calls, they are made through these operators instead.
"""

from __future__ import annotations

from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import PYTHON
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.tensor import Tensor, alias

__all__ = ["detach", "local_scalar", "wanted"]


def wanted(t: Tensor) -> bool:
    """Whether somebody wants to see what is done with a tensor."""
    if t._keys & PYTHON & state.tls.mask:
        return True
    return bool(state.ACTIVE and state.tls.include & PYTHON)


@operator(
    "detach(Tensor(a) self) -> Tensor(a)", tags="nondifferentiable", variants="private"
)
def detach(self):
    """The same memory without history."""
    made = alias(self)
    made._base = self if self._base is None else self._base
    made._stamp = made._ver[1] if made._ver is not None else 0
    return made


@operator(
    "_local_scalar_dense(Tensor self) -> Scalar",
    tags="nondifferentiable",
    variants="private",
)
def local_scalar(self):
    """The only element as a Python number."""
    return self.item()
