"""The engine: runs the graph backward, iteratively, in PyTorch's order.

Nodes run by falling sequence number once all gradients that flow into them have arrived.
There is no recursion, so a chain of any length works; nodes drop what they saved as soon
as they have run, unless the graph is to be kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heappushpop
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.autograd.node import Node
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, PYTHON, SPARSE, VIEW
from dispatchtorch.dispatch.operator import get_operator
from dispatchtorch.ops._common import contiguous_strides
from dispatchtorch.ops._geometry import sum_over, sum_to
from dispatchtorch.tensor import Tensor, new_tensor, renew

__all__ = ["accumulate", "queue_callback", "run_backward"]

_DTYPE_MASK = dtypes.DTYPE_MASK
_HISTORY = AUTOGRAD | VIEW
_NOTHING: list[Tensor | None] = []
getrefcount = sys.getrefcount
_adds: Any = None


def run_backward(
    roots: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] | None = None,
    accumulate_inputs: bool = False,
) -> list[Tensor | None]:
    """Sends ``grads`` back from ``roots``.

    With ``inputs``, only the paths that lead to them run; their gradients are returned,
    or accumulated in ``.grad`` where ``accumulate_inputs``. Without, every leaf
    accumulates.
    """
    tls = state.tls
    mask, include, outer = tls.mask, tls.include, tls.partial_backward
    inner = mask | _HISTORY if create_graph else mask & ~_HISTORY
    state.switch(mask, include, inner, include)
    try:
        if inputs is None:
            if outer:
                tls.partial_backward = False
            _execute(roots, grads, retain_graph, create_graph, None, inner, include)
            return []
        tls.partial_backward = True
        targets = _Targets(inputs, accumulate_inputs, create_graph)
        _execute(roots, grads, retain_graph, create_graph, targets, inner, include)
        return targets.collect()
    finally:
        if outer or inputs is not None:
            tls.partial_backward = outer
        state.switch(inner, include, mask, include)
        if tls.after_backward:
            _run_callbacks()


def queue_callback(callback: Any) -> None:
    """Calls a function when the backward pass that is running ends."""
    state.tls.after_backward += (callback,)


def _run_callbacks() -> None:
    callbacks, state.tls.after_backward = state.tls.after_backward, ()
    for callback in callbacks:
        callback()


def _add_table() -> Any:
    """The kernels of ``add_``, which adds to the gradients of leaves."""
    global _adds
    if _adds is None:
        _adds = get_operator("add_").new_table()
    return _adds


def is_checkpoint_valid() -> bool:
    """Whether a checkpoint may recompute: not where only chosen inputs get gradients."""
    return not state.tls.partial_backward


def _execute(
    roots: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    retain_graph: bool,
    create_graph: bool,
    targets: _Targets | None,
    mask: int,
    include: int,
) -> None:
    """The loop, under the thread's ``mask`` and ``include``.

    A node's inputs are older than the node, so that the youngest node that was reached
    has all its gradients: no other count is needed.
    """
    buffers: dict[Node, list[Tensor | None]] = {}
    pending: list[tuple[int, Node]] = []
    hooked: dict[int, list[Any]] | None = None  # leaves with hooks, by what they await
    add_to = _add_table()
    for root, grad in zip(roots, grads, strict=True):
        if root._base is not None:
            renew(root)
        edge = root._edge
        if edge is None:
            if grad is None:
                continue
            if targets is not None:
                targets.reach(root, grad)
            else:
                accumulate(root, grad, create_graph)
            continue
        node, number = edge
        buffer = buffers.get(node)
        if buffer is None:
            buffer = buffers[node] = [None] * node.outputs
            pending.append((-node.seq, node))
        have = buffer[number]
        if have is None:
            buffer[number] = grad
        elif grad is not None:
            buffer[number] = _sum(have, grad)
    if len(pending) > 1:
        heapify(pending)
    needed = None if targets is None else targets.needed([n for _, n in pending])
    ahead: Node | None = None  # reached last: mostly the next to run
    while True:
        if ahead is None:
            if not pending:
                return
            node = heappop(pending)[1]
        elif pending:
            node = heappushpop(pending, (-ahead.seq, ahead))[1]
            ahead = None
        else:
            node = ahead
            ahead = None
        arrived = buffers.pop(node)
        if needed is not None and node not in needed:
            continue
        special = node.special
        if special:
            arrived = _before(node, arrived, create_graph)
        if targets is not None and id(node) in targets.nodes:
            targets.capture(node, arrived)
        entries = node.next
        if (
            arrived[0] is None
            and not node.takes_undefined
            and (len(arrived) == 1 or all(g is None for g in arrived))
        ) or (needed is not None and not targets.leads_on(node, needed)):  # type: ignore[union-attr]
            results: Any = [None] * len(entries)
        elif special:
            results = _apply(node, arrived, retain_graph)
        else:
            results = node.apply(arrived)
            if not retain_graph:
                node.release()
        results.reverse()
        for entry in entries:
            grad = results.pop()  # so that nothing here holds what a leaf may keep
            if entry is None:
                continue
            if type(entry) is tuple:
                child, number = entry
                buffer = buffers.get(child)
                if buffer is None:
                    buffer = buffers[child] = [None] * child.outputs
                    if ahead is not None:
                        heappush(pending, (-ahead.seq, ahead))
                    ahead = child
                if grad is None:
                    continue
                shape, keys = child.shape, child.keys
                if type(shape) is list:
                    shape, keys = shape[number], keys[number]
                if grad._data.shape != shape or (grad._keys ^ keys) & _DTYPE_MASK:
                    grad = _fit(grad, shape, keys, node, len(results))
                have = buffer[number]
                buffer[number] = grad if have is None else _sum(have, grad)
                continue
            if grad is None:
                if targets is not None or hooked is None:
                    continue
            elif (
                grad._data.shape != entry._data.shape
                or (grad._keys ^ entry._keys) & _DTYPE_MASK
            ):
                if targets is not None and id(entry) not in targets.leaves:
                    continue
                grad = _fit(grad, entry._shape, entry._keys, node, len(results))
            if targets is not None:
                targets.reach(entry, grad)  # type: ignore[arg-type]
                continue
            meta = entry._meta
            if meta is None or meta.plain:
                if grad is None:
                    continue
                if meta is not None and not create_graph:
                    have = meta.grad
                    if have is not None and not have._keys & SPARSE:
                        keys = (have._keys | grad._keys) & mask | include
                        add_to[keys](have, grad, 1)
                        continue
                arrived = buffer = _NOTHING  # drop what they hold
                owned = getrefcount(grad) <= 2  # by this name and by the call
                _store_grad(entry, grad, create_graph, owned)
                continue
            # Hooks see the sum of all that arrives: wait for the last of it.
            if hooked is None:
                hooked = _await_hooked(node, len(results), pending, ahead)
            wait = hooked[id(entry)]
            if grad is not None:
                wait[1] = grad if wait[1] is None else _sum(wait[1], grad)
            wait[0] -= 1
            if not wait[0]:
                total, wait[1] = wait[1], None
                grad = None
                accumulate(entry, total, create_graph)


def _await_hooked(
    node: Node, left: int, pending: list[tuple[int, Node]], ahead: Node | None
) -> dict[int, list[Any]]:
    """How many gradients each leaf with hooks is still to get: ``[count, sum so far]``.

    ``node`` is handing over its gradients; ``left`` come after the present one.
    """
    rest = node.next[len(node.next) - left - 1 :]
    counts: dict[int, list[Any]] = {}

    def count(entries: tuple[Any, ...]) -> None:
        for entry in entries:
            if entry is None or type(entry) is tuple:
                continue
            meta = entry._meta
            if meta is not None and not meta.plain:
                counts.setdefault(id(entry), [0, None])[0] += 1

    count(rest)
    stack = [each for _, each in pending]
    stack += [e[0] for e in rest if type(e) is tuple]
    if ahead is not None:
        stack.append(ahead)
    seen = set(stack)
    stack = list(seen)
    while stack:
        each = stack.pop()
        count(each.next)
        for entry in each.next:
            if type(entry) is tuple and entry[0] not in seen:
                seen.add(entry[0])
                stack.append(entry[0])
    return counts


def _before(
    node: Node, grads: list[Tensor | None], create_graph: bool
) -> list[Tensor | None]:
    """Hooks on the gradients that arrive at a node, and ``retain_grad``."""
    if node.tensor_hooks is not None:
        for number, hooks in node.tensor_hooks.items():
            grads[number] = run_tensor_hooks(hooks, grads[number])
    if node.pre_hooks is not None:
        grads = _run_pre_hooks(node, grads)
    if node.retained is not None:
        _retain(node, grads, create_graph)
    return grads


def _apply(node: Node, grads: list[Tensor | None], retain_graph: bool) -> Any:
    try:
        results = node.apply(grads)
    except Exception:
        if node.forward_stack is not None:
            warn_forward_stack(node)
        raise
    if node.forward_stack is not None:
        _check_nan(node, results)
    if node.hooks is not None:
        results = _run_post_hooks(node, results, grads)
    if not retain_graph:
        node.release()
    return results


class _Targets:
    """The inputs that one backward pass is for: what leads to them, what they got."""

    def __init__(
        self, inputs: Sequence[Tensor], accumulate: bool, create_graph: bool
    ) -> None:
        self.inputs = inputs
        self.accumulate = accumulate
        self.create_graph = create_graph
        #: wanted gradients, by the id of the tensor
        self.captured: dict[int, Tensor | None] = {}
        self.leaves: dict[int, Tensor] = {}
        self.nodes: dict[int, dict[int, list[Tensor]]] = {}
        for t in inputs:
            if t._base is not None:
                renew(t)
            if t._edge is None:
                self.leaves[id(t)] = t
            else:
                node, number = t._edge
                at = self.nodes.setdefault(id(node), {})
                at.setdefault(number, []).append(t)

    def needed(self, starts: list[Node]) -> set[Node]:
        """The nodes on a path to an input, and those of the inputs themselves."""
        seen = set(starts)
        stack = list(seen)
        while stack:
            for entry in stack.pop().next:
                if type(entry) is tuple and entry[0] not in seen:
                    seen.add(entry[0])
                    stack.append(entry[0])
        needed: set[Node] = set()
        for node in sorted(seen, key=lambda each: each.seq):
            if id(node) in self.nodes or self.leads_on(node, needed):
                needed.add(node)
        return needed

    def leads_on(self, node: Node, needed: set[Node]) -> bool:
        for entry in node.next:
            if type(entry) is tuple:
                if entry[0] in needed:
                    return True
            elif entry is not None and id(entry) in self.leaves:
                return True
        return False

    def capture(self, node: Node, grads: list[Tensor | None]) -> None:
        """Keeps the gradients of non-leaf inputs as they pass."""
        for number, tensors in self.nodes[id(node)].items():
            grad = grads[number]
            for t in tensors:
                self.captured[id(t)] = grad
                if self.accumulate and grad is not None:
                    _store_grad(t, grad, self.create_graph, False)

    def reach(self, leaf: Tensor, grad: Tensor) -> None:
        if id(leaf) not in self.leaves:
            return
        have = self.captured.get(id(leaf))
        self.captured[id(leaf)] = grad if have is None else _sum(have, grad)

    def collect(self) -> list[Tensor | None]:
        """The gradients of the inputs; a leaf's hooks see the sum."""
        for leaf in self.leaves.values():
            grad = self.captured.get(id(leaf))
            if grad is None:
                continue
            if self.accumulate:
                del self.captured[id(leaf)]
                accumulate(leaf, grad, self.create_graph)
            elif leaf._meta is not None and leaf._meta.hooks:
                self.captured[id(leaf)] = run_tensor_hooks(leaf._meta.hooks, grad)
        if self.accumulate:
            return []
        return [self.captured.get(id(t)) for t in self.inputs]


def accumulate(leaf: Tensor, grad: Tensor | None, create_graph: bool) -> None:
    """Adds a gradient to a leaf's ``.grad``, after its hooks and before its post hooks."""
    meta = leaf._meta
    if meta is None:
        meta = leaf._autograd_meta()
    if meta.hooks:
        grad = run_tensor_hooks(meta.hooks, grad)
    if grad is None:
        return
    owned = getrefcount(grad) <= 3  # by the caller's name, by this and by the call
    _store_grad(leaf, grad, create_graph, owned)
    if meta.post_hooks:
        before = state.update(state.tls.mask & ~(AUTOGRAD | VIEW), state.tls.include)
        try:
            for hook in list(meta.post_hooks.values()):
                hook(leaf)
        finally:
            state.restore(before)


def _store_grad(t: Tensor, grad: Tensor, create_graph: bool, owned: bool) -> None:
    """Adds to ``t.grad``; ``owned`` says that nobody else holds ``grad``.

    A first gradient that others hold, or whose strides aren't its leaf's, is copied, so
    that later sums in place reach nothing else; else it is taken as it is.
    """
    meta = t._autograd_meta()
    have = meta.grad
    if have is not None:
        if create_graph or have._keys & SPARSE:
            meta.grad = _sum(have, grad)
        else:
            have.add_(grad)
    elif create_graph:
        meta.grad = grad.clone() if grad._base is not None else grad
    elif grad._keys & SPARSE:
        meta.grad = grad.detach() if owned else grad.detach().clone()
    elif owned and not grad._keys & AUTOGRAD:
        meta.grad = _taken(t, grad)
    else:
        meta.grad = _copy_like(t, grad)


def _taken(leaf: Tensor, grad: Tensor) -> Tensor:
    """A gradient that nobody else holds, or a copy of a view of what somebody does."""
    backend = grad._backend
    if backend.strides(grad._data) != backend.strides(leaf._data):
        return _copy_like(leaf, grad)
    base = grad._base
    if base is None or type(grad) is not Tensor:
        return grad
    if getrefcount(base) > 3:  # by the view, by this name and by the call
        return _copy_like(leaf, grad)
    return new_tensor(grad._data, grad._keys & ~VIEW)


def _sum(have: Tensor, grad: Tensor) -> Tensor:
    """Two gradients' sum; a dense one comes first, as sparse ones want it."""
    if have._keys & SPARSE and not grad._keys & SPARSE:
        return grad + have
    return have + grad


def _copy_like(leaf: Tensor, grad: Tensor) -> Tensor:
    """A copy of a gradient in the strides of its leaf."""
    if grad._keys & AUTOGRAD:
        grad = grad.detach()
    made = grad.clone()
    if leaf._keys & SPARSE or grad.device != leaf.device:
        return made
    if not (leaf._keys | made._keys) & PYTHON:
        strides = leaf._backend.strides
        if strides(made._data) == strides(leaf._data):
            return made
    return grad.new_empty_strided(*_dense(leaf)).copy_(grad)


def _dense(leaf: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape and strides that a copy of ``leaf`` would have."""
    shape, strides = leaf._shape, leaf.stride()
    packed = 1
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size != 1:
            if stride != packed:
                return shape, contiguous_strides(shape)
            packed *= size
    return shape, strides


def run_tensor_hooks(hooks: dict[int, Any], grad: Tensor | None) -> Tensor | None:
    for hook in list(hooks.values()):
        if grad is None:
            break
        made = hook(grad)
        if made is not None:
            if not isinstance(made, Tensor):
                raise TypeError(
                    "expected hook to return a Tensor or None, but got "
                    f"{type(made).__name__}"
                )
            grad = made
    return grad


def _run_pre_hooks(node: Node, grads: list[Tensor | None]) -> list[Tensor | None]:
    assert node.pre_hooks is not None
    for hook in list(node.pre_hooks.values()):
        made = hook(tuple(grads))
        if made is not None:
            grads = list(made) if isinstance(made, (tuple, list)) else [made]
    return grads


def _run_post_hooks(node: Node, results: Any, grads: list[Tensor | None]) -> Any:
    assert node.hooks is not None
    results = [
        grad if grad is None or entry is None else _fit_to(entry, grad, node, i)
        for i, (entry, grad) in enumerate(zip(node.next, results, strict=True))
    ]
    for hook in list(node.hooks.values()):
        made = hook(tuple(results), tuple(grads))
        if made is not None:
            results = list(made) if isinstance(made, (tuple, list)) else [made]
    return results


def _fit_to(entry: Any, grad: Tensor, node: Node, index: int) -> Tensor:
    """A gradient as the input that ``entry`` leads to takes it."""
    if type(entry) is tuple:
        child, number = entry
        shape, keys = child.shape, child.keys
        if type(shape) is list:
            shape, keys = shape[number], keys[number]
    else:
        shape, keys = entry._data.shape, entry._keys
    if grad._data.shape == shape and not (grad._keys ^ keys) & _DTYPE_MASK:
        return grad
    return _fit(grad, shape, keys, node, len(node.next) - index - 1)


def _retain(node: Node, grads: list[Tensor | None], create_graph: bool) -> None:
    assert node.retained is not None
    for number, reference in node.retained.items():
        t, grad = reference(), grads[number]
        if t is not None and grad is not None:
            meta = t._autograd_meta()
            meta.grad = grad if meta.grad is None else meta.grad + grad


def _fit(
    grad: Tensor, shape: tuple[int, ...], keys: int, node: Node, left: int
) -> Tensor:
    """A gradient in its input's shape and dtype: summed where it was broadcast.

    ``left``: how many of the node's gradients come after it.
    """
    own = grad._shape
    if own[1:] == shape and own:
        grad = sum_over(grad, (0,))
    elif own != shape:
        if not _expandable(shape, own):
            index = len(node.next) - left - 1
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {index} - got "
                f"{list(own)} but expected shape compatible with {list(shape)}"
            )
        grad = sum_to(grad, shape)
    if not (grad._keys ^ keys) & _DTYPE_MASK:
        return grad
    wanted = dtypes.DTYPES[(keys & dtypes.DTYPE_MASK).bit_length() - 1]
    if grad._keys & dtypes.COMPLEX_MASK and not wanted.is_complex:
        grad = grad.real
    if grad.dtype is not wanted:
        grad = grad.to(wanted)
    return grad


def _expandable(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    if len(shape) > len(to):
        return False
    tail = to[len(to) - len(shape) :]
    if tail == shape:
        return True
    return all(a == b or a == 1 for a, b in zip(shape, tail, strict=True))


def warn_forward_stack(node: Node) -> None:
    import warnings

    warnings.warn(
        f"Error detected in {node.name()}. Traceback of forward call that caused the "
        f"error:\n{node.forward_stack}",
        stacklevel=2,
    )


def _check_nan(node: Node, results: Any) -> None:
    from dispatchtorch.autograd.anomaly import checks_nan

    if not checks_nan():
        return
    for i, grad in enumerate(results):
        if grad is not None and bool(grad.isnan().any()):
            warn_forward_stack(node)
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {i}th output."
            )
