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
from dispatchtorch.dispatch.keys import AUTOGRAD, CONJ, LAZY, VIEW
from dispatchtorch.dtypes import COMPLEX_MASK
from dispatchtorch.ops._common import torch
from dispatchtorch.ops._geometry import Geometry, as_strided_backward, overlaps
from dispatchtorch.tensor import Tensor

__all__ = ["CopySlices", "Geometry", "check_inplace", "rebase_history", "renew"]


_MADE_WITHOUT_GRAD = (
    "A view was created in no_grad mode and {} with grad mode enabled. Given that this "
    "use case is ambiguous and error-prone, it is forbidden. You can clarify your code "
    "by moving both the view and the inplace either both inside the no_grad block (if "
    "you don't want the inplace to be tracked) or both outside (if you want the inplace "
    "to be tracked)."
)
_WRITTEN = "its base or another view of its base has been modified inplace"


def check_inplace(t: Tensor) -> None:
    """RuntimeError where an in-place write would break the graph."""
    base = t._base
    if base is not None:
        if t._stamp < 0 and t._edge is None:
            check_made_without_grad(t)
        renew(t)
    keys = t._keys
    if not keys & AUTOGRAD or not state.grad_enabled():
        return
    if base is None:
        if t._edge is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place "
                "operation."
            )
        return
    meta = t._meta
    if meta is not None and meta.creation:
        raise _forbidden(t, meta.creation, "is being modified inplace")
    if base._edge is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place "
            "operation."
        )


def _forbidden(t: Tensor, why: str, what: str) -> RuntimeError:
    """What writing to a view's memory raises that autograd couldn't follow."""
    edge = t._edge
    name, number = (edge[0].short_name(), edge[1]) if edge is not None else ("", 0)
    return RuntimeError(f"Output {number} of {name} is a view and {what}. {why}")


def check_made_without_grad(t: Tensor) -> None:
    """RuntimeError for writing with grad mode to a view that was made without it."""
    if state.grad_enabled():
        raise RuntimeError(_MADE_WITHOUT_GRAD.format("is being modified inplace"))


def rebase_history(t: Tensor, node: Node) -> None:
    """Makes ``node`` the origin of what ``t`` holds after an in-place operation."""
    ver = t._ver
    base = t._base
    if base is None:
        node.shape, node.keys = t._shape, t._keys & ~AUTOGRAD
        retains = _move_hooks(t)
        t._keys |= AUTOGRAD
        t._edge = (node, 0)
        if retains:
            t.retain_grad()
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


def _move_hooks(t: Tensor) -> bool:
    """Whether retain_grad has to follow the tensor from its old node to its new one."""
    meta = t._meta
    if meta is None or not meta.retains_grad or t._edge is None:
        return False
    node, number = t._edge
    if node.retained is not None:
        node.retained.pop(number, None)
    meta.retains_grad = False
    return True


def renew(view: Tensor) -> None:
    """Derives the history of a view from its base, if that has changed since."""
    ver = view._ver
    base = view._base
    if base is None or ver is None or ver[1] == view._stamp:
        return
    if view._stamp < 0:
        if view._edge is None:
            if ver[0] == ~view._stamp or not base._keys & AUTOGRAD:
                return
            raise RuntimeError(_MADE_WITHOUT_GRAD.format(_WRITTEN))
        # Made below autograd, which knows its history.
        if ver[0] == ~view._stamp:
            view._stamp = ver[1]
            return
    if not base._keys & AUTOGRAD:
        view._stamp = ver[1]
        return
    meta = view._meta
    if meta is not None and meta.creation:
        raise _forbidden(
            view,
            meta.creation,
            _WRITTEN,
        )
    view._stamp = ver[1]
    conjugate = (view._keys ^ base._keys) & CONJ and view._shape == base._shape
    kind = ConjBackward0 if conjugate else AsStridedBackward0
    node = kind.__new__(kind)
    node.next = (edge_of(base),)
    node.seq = next_sequence()
    node.shape = view._shape
    node.keys = view._keys & ~AUTOGRAD
    node.base, node.view, node.mixed = _geometries(base, view)
    view._edge = (node, 0)
    view._keys |= AUTOGRAD


_tensor.renew = renew


def _geometries(base: Tensor, view: Tensor) -> tuple[Geometry, Geometry, bool]:
    """Both geometries in the same unit, and whether one tensor only is complex."""
    mixed = bool((base._keys ^ view._keys) & COMPLEX_MASK)
    made = []
    for t in (base, view):
        at = Geometry(t)
        if mixed and t._keys & COMPLEX_MASK:  # as reals, with a last dim of two
            at.shape = (*at.shape, 2)
            at.strides = (*(2 * s for s in at.strides), 1)
            at.offset *= 2
        made.append(at)
    return made[0], made[1], mixed


def _flip(t: Tensor, bits: int) -> Tensor:
    """From values to what lazy memory holds, or back."""
    if not bits:
        return t
    from dispatchtorch.ops._conjugate import flipped

    return flipped(t, bits)  # type: ignore[no-any-return]


def _as_reals(t: Tensor) -> Tensor:
    if t._keys & LAZY:
        t = t.resolve_conj()
    return torch.view_as_real(t) if t._keys & COMPLEX_MASK else t  # type: ignore[no-any-return]


class AsStridedBackward0(Node):
    """A view of its base, by geometry."""

    base: Geometry
    view: Geometry
    mixed: bool

    def apply(self, grads: list[Tensor | None]) -> Any:
        grad = grads[0]
        if grad is None:
            return [None]
        base, view = self.base, self.view
        grad = _flip(grad, view.lazy)
        if not self.mixed:
            return [_flip(as_strided_backward(grad, base, view), base.lazy)]
        made = as_strided_backward(_as_reals(grad), base, view)
        if not grad._keys & COMPLEX_MASK:
            made = torch.view_as_complex(made.contiguous())
        return [_flip(made, base.lazy)]


class ConjBackward0(AsStridedBackward0):
    """The lazy conjugate of its base."""


class CopySlices(Node):
    """An in-place operation on a part of its base: the rest passes through."""

    __slots__ = ("base", "fn", "mixed", "view")

    def __init__(self, base: Tensor, view: Tensor, fn: Node) -> None:
        self.base, self.view, self.mixed = _geometries(base, view)
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
        mixed = self.mixed
        grad = _flip(grad, base.lazy)
        real_part = mixed and grad._keys & COMPLEX_MASK
        if real_part:
            grad = _as_reals(grad)
        whole = grad.new_empty_strided(base.shape, base.strides).copy_(grad)
        part = whole.as_strided(view.shape, view.strides, start).clone()
        if mixed and not real_part:
            part = torch.view_as_complex(part)
        first, *rest = self.fn.apply([_flip(part, view.lazy)])
        if self.next[0] is None:
            return [None, *rest]
        if first is None:
            first = part.new_zeros(part.shape)
        first = _flip(first.to(part.dtype).expand(part.shape), view.lazy)
        if mixed:
            first = _as_reals(first)
        made = whole.as_strided_scatter(first, view.shape, view.strides, start)
        if real_part:
            made = torch.view_as_complex(made.contiguous())
        return [_flip(made, base.lazy), *rest]

    def release(self) -> None:
        self.fn.release()
