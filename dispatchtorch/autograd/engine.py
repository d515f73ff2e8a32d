"""The engine: runs the graph backward, iteratively, in PyTorch's order.

Nodes run by falling sequence number once all gradients that flow into them have arrived.
There is no recursion, so a chain of any length works; nodes drop what they saved as soon
as they have run, unless the graph is to be kept.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.autograd.node import AccumulateGrad, Node
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, VIEW
from dispatchtorch.ops._geometry import sum_to
from dispatchtorch.tensor import Tensor, renew

__all__ = ["accumulate", "run_backward"]

_DTYPE_MASK = dtypes.DTYPE_MASK
getrefcount = sys.getrefcount


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
    before = (tls.mask, tls.include)
    mask = tls.mask | AUTOGRAD | VIEW if create_graph else tls.mask & ~(AUTOGRAD | VIEW)
    state.update(mask, tls.include)
    outer = tls.partial_backward
    tls.partial_backward = inputs is not None
    try:
        run = _Run(retain_graph, create_graph, inputs, accumulate_inputs)
        return run.execute(roots, grads)
    finally:
        tls.partial_backward = outer
        state.update(*before)


def is_checkpoint_valid() -> bool:
    """Whether a checkpoint may recompute: not where only chosen inputs get gradients."""
    return not state.tls.partial_backward


class _Run:
    """One backward pass."""

    __slots__ = (
        "accumulate_inputs",
        "captured",
        "create_graph",
        "inputs",
        "leaves",
        "nodes",
        "retain_graph",
    )

    def __init__(
        self,
        retain_graph: bool,
        create_graph: bool,
        inputs: Sequence[Tensor] | None,
        accumulate_inputs: bool,
    ) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.inputs = inputs
        self.accumulate_inputs = accumulate_inputs
        #: wanted gradients: {id(leaf): …} and {(id(node), nr): …}
        self.captured: dict[Any, Tensor | None] = {}
        self.leaves: dict[int, Tensor] = {}
        self.nodes: dict[int, dict[int, Any]] = {}
        for t in inputs or ():
            if t._base is not None:
                renew(t)
            if t._edge is None:
                self.leaves[id(t)] = t
            else:
                node, number = t._edge
                self.nodes.setdefault(id(node), {})[number] = t

    def execute(
        self, roots: Sequence[Tensor], grads: Sequence[Tensor | None]
    ) -> list[Tensor | None]:
        buffers: dict[Node, list[Tensor | None]] = {}
        pending: list[Any] = []
        waiting: dict[Node, int] = {}
        starts = []
        for root, grad in zip(roots, grads, strict=True):
            if root._base is not None:
                renew(root)
            edge = root._edge
            if edge is None:
                self._reach_leaf(root, grad)
                continue
            node, number = edge
            starts.append(node)
            buffer = buffers.get(node)
            if buffer is None:
                buffer = buffers[node] = [None] * node.outputs
            have = buffer[number]
            buffer[number] = grad if have is None else have + grad
        needed = self._count(starts, waiting)
        for node in buffers:
            if not waiting.get(node) and (needed is None or node in needed):
                heappush(pending, (-node.seq, id(node), node))
        inputs, retain, wanted_at = self.inputs, self.retain_graph, self.nodes
        create_graph = self.create_graph
        while pending:
            node = heappop(pending)[2]
            arrived = buffers.pop(node, None)
            if arrived is None:
                arrived = [None] * node.outputs
            if node.special:
                arrived = self._before(node, arrived)
            if wanted_at and id(node) in wanted_at:
                self._capture(node, arrived)
            entries = node.next
            if (
                arrived[0] is None
                and (len(arrived) == 1 or all(g is None for g in arrived))
                and not node.takes_undefined
            ) or (needed is not None and not self._leads_on(node, needed)):
                results: Any = [None] * len(entries)
            elif node.special:
                results = self._apply(node, arrived)
            else:
                results = node.apply(arrived)
                if not retain:
                    node.release()
            for i, entry in enumerate(entries):
                if entry is None:
                    continue
                grad = results[i]
                if type(entry) is not tuple:
                    if grad is not None and (
                        inputs is None or id(entry) in self.leaves
                    ):
                        if (
                            grad._data.shape != entry._data.shape
                            or (grad._keys ^ entry._keys) & _DTYPE_MASK
                        ):
                            grad = _fit(grad, entry._shape, entry._keys, node, i)
                        results[i] = None
                        meta = entry._meta
                        if inputs is None and meta is not None and meta.plain:
                            have = meta.grad
                            if have is not None and not create_graph:
                                have.add_(grad)
                                continue
                        self._reach_leaf(entry, grad)
                    continue
                child, number = entry
                if grad is not None:
                    shape, keys = child.shape, child.keys
                    if type(shape) is list:
                        shape, keys = shape[number], keys[number]
                    if grad._data.shape != shape or (grad._keys ^ keys) & _DTYPE_MASK:
                        grad = _fit(grad, shape, keys, node, i)
                    buffer = buffers.get(child)
                    if buffer is None:
                        buffer = buffers[child] = [None] * child.outputs
                    have = buffer[number]
                    buffer[number] = grad if have is None else have + grad
                left = waiting[child] = waiting[child] - 1
                if not left and (needed is None or child in needed):
                    heappush(pending, (-child.seq, id(child), child))
        return self._collect()

    def _before(self, node: Node, grads: list[Tensor | None]) -> list[Tensor | None]:
        """Hooks on the gradients that arrive at a node, and ``retain_grad``."""
        if node.tensor_hooks is not None:
            for number, hooks in node.tensor_hooks.items():
                grads[number] = run_tensor_hooks(hooks, grads[number])
        if node.pre_hooks is not None:
            grads = _run_pre_hooks(node, grads)
        if node.retained is not None:
            _retain(node, grads, self.create_graph)
        return grads

    def _capture(self, node: Node, grads: list[Tensor | None]) -> None:
        """Keeps the gradients of non-leaf inputs as they pass."""
        for number, t in self.nodes[id(node)].items():
            grad = grads[number]
            self.captured[id(t)] = grad
            if self.accumulate_inputs and grad is not None:
                _store_grad(t, grad, self.create_graph)

    def _count(self, starts: list[Node], waiting: dict[Node, int]) -> set[Node] | None:
        """Counts how many gradients each node waits for; finds the needed nodes."""
        seen = set(starts)
        stack = list(seen)
        while stack:
            node = stack.pop()
            for entry in node.next:
                if type(entry) is tuple:
                    child = entry[0]
                    waiting[child] = waiting.get(child, 0) + 1
                    if child not in seen:
                        seen.add(child)
                        stack.append(child)
        if self.inputs is None:
            return None
        needed: set[Node] = set()
        for node in sorted(seen, key=lambda each: each.seq):
            for entry in node.next:
                if entry is None:
                    continue
                if type(entry) is tuple:
                    child, number = entry
                    wanted = self.nodes.get(id(child))
                    if child in needed or (wanted and number in wanted):
                        needed.add(node)
                        break
                elif id(entry) in self.leaves:
                    needed.add(node)
                    break
        self._needed_by_order(needed, seen)
        for node in starts:
            if id(node) in self.nodes:
                needed.add(node)
        for node in seen:
            if id(node) in self.nodes and node not in needed:
                needed.add(node)  # runs only to hand over what arrives
        return needed

    def _needed_by_order(self, needed: set[Node], seen: set[Node]) -> None:
        """Sequence numbers of custom graphs may not be topological: iterate to the end."""
        changed = True
        while changed:
            changed = False
            for node in seen:
                if node not in needed and any(
                    type(e) is tuple and e[0] in needed for e in node.next
                ):
                    needed.add(node)
                    changed = True

    def _leads_on(self, node: Node, needed: set[Node]) -> bool:
        for entry in node.next:
            if type(entry) is tuple:
                if entry[0] in needed:
                    return True
            elif entry is not None and id(entry) in self.leaves:
                return True
        return False

    def _apply(self, node: Node, grads: list[Tensor | None]) -> Any:
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
        if not self.retain_graph:
            node.release()
        return results

    def _reach_leaf(self, leaf: Tensor, grad: Tensor | None) -> None:
        if grad is None:
            return
        if self.inputs is not None:
            if id(leaf) not in self.leaves:
                return
            meta = leaf._meta
            if meta is not None and meta.hooks:
                grad = run_tensor_hooks(meta.hooks, grad)
            if not self.accumulate_inputs:
                have = self.captured.get(id(leaf))
                self.captured[id(leaf)] = grad if have is None else have + grad  # type: ignore[operator]
                return
            accumulate(leaf, grad, self.create_graph, hooks=False)
            return
        accumulate(leaf, grad, self.create_graph)

    def _collect(self) -> list[Tensor | None]:
        if self.inputs is None or self.accumulate_inputs:
            return []
        return [self.captured.get(id(t)) for t in self.inputs]


def accumulate(
    leaf: Tensor, grad: Tensor | None, create_graph: bool, hooks: bool = True
) -> None:
    """Adds a gradient to a leaf's ``.grad``, after its hooks and before its post hooks."""
    meta = leaf._meta
    if meta is None:
        meta = leaf._autograd_meta()
    if hooks and meta.hooks:
        grad = run_tensor_hooks(meta.hooks, grad)
    if grad is None:
        return
    _store_grad(leaf, grad, create_graph)
    if meta.post_hooks:
        before = state.update(state.tls.mask & ~(AUTOGRAD | VIEW), state.tls.include)
        try:
            for hook in list(meta.post_hooks.values()):
                hook(leaf)
        finally:
            state.restore(before)


def _store_grad(t: Tensor, grad: Tensor, create_graph: bool) -> None:
    meta = t._autograd_meta()
    have = meta.grad
    if have is None:
        # A gradient that anything else can see is copied, so that later sums in place
        # don't reach it; PyTorch steals under the same condition. Five references: the
        # names `grad` of the callers on the way here and getrefcount's own.
        if create_graph:
            meta.grad = grad.clone() if grad._base is not None else grad
        elif (
            grad._base is None and getrefcount(grad) <= 5 and not grad._keys & AUTOGRAD
        ):
            meta.grad = grad
        else:
            meta.grad = grad.detach().clone()
    elif create_graph:
        meta.grad = have + grad
    else:
        have.add_(grad)


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
    for hook in list(node.hooks.values()):
        made = hook(tuple(results), tuple(grads))
        if made is not None:
            results = list(made) if isinstance(made, (tuple, list)) else [made]
    return results


def _retain(node: Node, grads: list[Tensor | None], create_graph: bool) -> None:
    assert node.retained is not None
    for number, reference in node.retained.items():
        t, grad = reference(), grads[number]
        if t is not None and grad is not None:
            meta = t._autograd_meta()
            meta.grad = grad if meta.grad is None else meta.grad + grad


def _fit(
    grad: Tensor, shape: tuple[int, ...], keys: int, node: Node, index: int
) -> Tensor:
    """A gradient in its input's shape and dtype: summed where it was broadcast."""
    own = grad._shape
    if own != shape:
        if not _expandable(shape, own):
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


def is_accumulate(node: Any) -> bool:
    return isinstance(node, AccumulateGrad)
