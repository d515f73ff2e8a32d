"""Views and in-place writes: whose history changes when memory is written.

An in-place operation on a view belongs to the history of its base: the base gets a
``CopySlices`` node, and every view of it derives its history anew from the base the next
time it is used (``renew``). The version cell that views share carries the epoch by which
a stale view is known.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import tensor as _tensor  # type: ignore[no-redef]
from dispatchtorch.autograd.node import Node, edge_of, next_sequence
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, VIEW
from dispatchtorch.ops._geometry import Geometry, as_strided_backward, overlaps
from dispatchtorch.tensor import Tensor

__all__ = ["CopySlices", "Geometry", "check_inplace", "rebase_history", "renew"]


def check_inplace(t: Tensor) -> None:
    """RuntimeError where an in-place write would break the graph."""
    if t._base is not None:
        renew(t)
    keys = t._keys
    if not keys & AUTOGRAD or not state.grad_enabled():
        return
    base = t._base
    if base is None:
        if t._edge is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place "
                "operation."
            )
        return
    if base._keys & AUTOGRAD and base._edge is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place "
            "operation."
        )
    meta = t._meta
    if meta is not None and meta.creation:
        name = t.grad_fn.name() if t.grad_fn is not None else "<unknown>"
        raise RuntimeError(meta.creation.format(name=name, output_nr=t.output_nr))


def rebase_history(t: Tensor, node: Node) -> None:
    """Makes ``node`` the origin of what ``t`` holds after an in-place operation."""
    ver = t._ver
    base = t._base
    if base is None:
        node.shape, node.keys = t._shape, t._keys & ~AUTOGRAD
        _move_hooks(t)
        t._keys |= AUTOGRAD
        t._edge = (node, 0)
        if ver is not None:
            ver[1] += 1
        return
    assert ver is not None
    node.shape, node.keys = t._shape, t._keys & ~AUTOGRAD
    copy = CopySlices(base, t, node)
    base._edge = (copy, 0)
    base._keys |= AUTOGRAD
    ver[1] += 1
    if base._base is None and base._keys & VIEW:
        base._keys &= ~VIEW
    renew(t)


def _move_hooks(t: Tensor) -> None:
    """retain_grad follows the tensor to its new node."""
    meta = t._meta
    if meta is not None and meta.retains_grad and t._edge is not None:
        node, number = t._edge
        if node.retained is not None:
            node.retained.pop(number, None)
        meta.retains_grad = False


def renew(view: Tensor) -> None:
    """Derives the history of a view from its base, if that has changed since."""
    ver = view._ver
    base = view._base
    if base is None or ver is None or ver[1] == view._stamp:
        return
    view._stamp = ver[1]
    if not base._keys & AUTOGRAD:
        return
    node = AsStridedBackward0.__new__(AsStridedBackward0)
    node.next = (edge_of(base),)
    node.seq = next_sequence()
    node.shape = view._shape
    node.keys = view._keys & ~AUTOGRAD
    node.base = Geometry(base)
    node.view = Geometry(view)
    view._edge = (node, 0)
    view._keys |= AUTOGRAD


_tensor.renew = renew


class AsStridedBackward0(Node):
    """A view of its base, by geometry."""

    base: Geometry
    view: Geometry

    def apply(self, grads: list[Tensor | None]) -> Any:
        grad = grads[0]
        if grad is None:
            return [None]
        return [as_strided_backward(grad, self.base, self.view)]


class CopySlices(Node):
    """An in-place operation on a part of its base: the rest passes through."""

    __slots__ = ("base", "fn", "view")

    def __init__(self, base: Tensor, view: Tensor, fn: Node) -> None:
        self.base = Geometry(base)
        self.view = Geometry(view)
        self.fn = fn
        self.next = (edge_of(base), *fn.next[1:])
        self.seq = next_sequence()
        self.shape = base._shape
        self.keys = base._keys & ~AUTOGRAD
        # The slice's own gradient is wanted whenever the base's is.
        wanted = self.next[0] is not None
        fn.next = ((fn, 0) if wanted else None, *fn.next[1:])

    def apply(self, grads: list[Tensor | None]) -> Any:
        grad = grads[0]
        if grad is None:
            return [None] * len(self.next)
        base, view = self.base, self.view
        if overlaps(base.shape, base.strides):
            raise RuntimeError(
                "an in-place operation on a view of an expanded tensor has no gradient"
            )
        start = view.offset - base.offset
        whole = grad.new_empty_strided(base.shape, base.strides).copy_(grad)
        part = whole.as_strided(view.shape, view.strides, start).clone()
        first, *rest = self.fn.apply([part])
        if self.next[0] is None:
            return [None, *rest]
        if first is None:
            first = part.new_zeros(part.shape)
        first = first.to(whole.dtype).expand(view.shape)
        return [whole.as_strided_scatter(first, view.shape, view.strides, start), *rest]

    def release(self) -> None:
        self.fn.release()
