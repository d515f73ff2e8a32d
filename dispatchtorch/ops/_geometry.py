"""Where tensors lie in memory, and what the gradients of views and broadcasts need."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.keys import LAZY
from dispatchtorch.ops._common import torch
from dispatchtorch.tensor import Tensor

__all__ = ["Geometry", "as_strided_backward", "overlaps", "sum_over", "sum_to"]


class Geometry:
    """Where a tensor lies in its memory: (shape, strides, offset) in elements.

    ``lazy`` are the bits by which its values differ from what the memory holds.
    """

    __slots__ = ("lazy", "offset", "shape", "strides")

    def __init__(self, t: Tensor) -> None:
        backend = t._backend
        self.shape = backend.shape(t._data)
        self.strides = backend.strides(t._data)
        self.offset = backend.offset(t._data)
        self.lazy = t._keys & LAZY

    def of(self, t: Tensor) -> Tensor:
        made: Tensor = t.as_strided(self.shape, self.strides, self.offset)
        return made


def as_strided_backward(grad: Tensor, base: Geometry, view: Geometry) -> Tensor:
    """Scatters the gradient of a view to where its elements lie in the base."""
    offset = min(base.offset, view.offset)
    size = max(_extent(base), _extent(view)) - offset
    memory = grad.new_zeros((size,))
    start = view.offset - offset
    if overlaps(view.shape, view.strides):
        places = _places(grad, size, view, start)
        memory = memory.index_add(0, places, grad.reshape(-1))
    else:
        memory = memory.as_strided_scatter(grad, view.shape, view.strides, start)
    start = base.offset - offset
    if overlaps(base.shape, base.strides):
        places = _places(grad, size, base, start)
        ones = grad.new_ones(()).expand(places.shape)
        count = grad.new_zeros((size,)).index_add(0, places, ones)
        memory = memory / count.clamp(min=1)
    return memory.as_strided(base.shape, base.strides, start)


def _places(like: Tensor, size: int, at: Geometry, start: int) -> Tensor:
    numbers = torch.arange(size, device=like.device)
    return numbers.as_strided(at.shape, at.strides, start).reshape(-1)


def _extent(at: Geometry) -> int:
    if 0 in at.shape:
        return at.offset
    last = sum((n - 1) * s for n, s in zip(at.shape, at.strides, strict=True))
    return at.offset + last + 1


def overlaps(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements of a strided layout may share a place."""
    if 0 in shape:
        return False
    reach = 0
    for stride, size in sorted(
        (s, n) for n, s in zip(shape, strides, strict=True) if n > 1
    ):
        if stride <= reach:
            return True
        reach += stride * (size - 1)
    return False


_sum: Any = None  # the entry of sum.dim_IntList, once it was wanted


def sum_over(grad: Tensor, dims: tuple[int, ...]) -> Any:
    """The sum over some dims, none of which is negative."""
    global _sum
    if _sum is None:
        from dispatchtorch.ops._common import strict

        _sum = getattr(strict, "sum.dim_IntList")
    return _sum(grad, dims)


def sum_to(grad: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sums over the dims that broadcasting added or stretched."""
    own = grad._shape
    if own == shape:
        return grad  # no dims would mean all dims
    lead = len(own) - len(shape)
    if own[lead:] == shape:
        return sum_over(grad, (0,) if lead == 1 else tuple(range(lead)))  # type: ignore[no-any-return]
    dims = list(range(lead))
    dims += [i for i in range(lead, len(own)) if shape[i - lead] == 1 and own[i] != 1]
    grad = grad.sum(dims, True)
    return grad.reshape(shape) if lead else grad
