"""``Variable``, the old name of tensors with a history."""

from __future__ import annotations

from typing import Any

from dispatchtorch.tensor import Tensor

__all__ = ["Variable", "VariableMeta"]


class VariableMeta(type):
    """Makes every tensor an instance of ``Variable``."""

    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor)


class Variable(metaclass=VariableMeta):
    """``Variable(data, requires_grad=False)`` is a tensor with the data of another."""

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = False) -> Any:
        import dispatchtorch as torch

        made = torch.empty(0) if data is None else data.detach()
        return made.requires_grad_(requires_grad)
