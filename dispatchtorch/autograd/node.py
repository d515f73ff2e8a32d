"""Nodes of the autograd graph, and what they save.

A node's ``next`` holds one entry for each differentiable input: ``None``, an edge
``(node, output number)``, or, for a leaf, the tensor itself. ``grad_fn.next_functions``
shows the latter as ``AccumulateGrad`` nodes, as PyTorch does, which are made on demand.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD
from dispatchtorch.tensor import Tensor, new_tensor, type_name

__all__ = ["AccumulateGrad", "Node", "RemovableHandle", "edge_of"]

next_sequence = itertools.count().__next__
RELEASED: Any = type("Released", (), {"__repr__": lambda self: "<released>"})()


class RemovableHandle:
    """What registering a hook returns; ``remove()`` takes the hook away."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any]) -> None:
        self._hooks = hooks
        self.id = next(self._ids)

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


class Node:
    """One recorded operation (``torch.autograd.graph.Node``)."""

    __slots__ = ("__dict__", "__weakref__", "keys", "next", "seq", "shape")

    next: tuple[Any, ...]
    seq: int
    #: Shape and keyset of the result (tuples of them where there are several).
    shape: Any
    keys: Any

    #: Whether any of the following is set, so that the engine looks at one flag.
    special = False
    hooks: dict[int, Callable[..., Any]] | None = None  # after the node ran
    pre_hooks: dict[int, Callable[..., Any]] | None = None  # on all its gradients
    tensor_hooks: dict[int, dict[int, Callable[..., Any]]] | None = None
    retained: dict[int, weakref.ref[Tensor]] | None = None
    forward_stack: str | None = None
    outputs = 1
    #: Whether the node runs even if no gradient has arrived at it (users' functions do).
    takes_undefined = False

    def apply(self, grads: list[Tensor | None]) -> Any:
        """The gradients of the inputs, from those of the results."""
        raise NotImplementedError

    def release(self) -> None:
        """Drops the saved tensors."""

    def name(self) -> str:
        return type(self).__name__

    def short_name(self) -> str:
        """The name as errors show it: ``Mul`` for MulBackward0."""
        name = self.name()
        return name.rstrip("0123456789").removesuffix("Backward")

    @property
    def metadata(self) -> dict[str, Any]:
        """A place for users' notes."""
        made: dict[str, Any] = self.__dict__.setdefault("_metadata", {})
        return made

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        return tuple(_as_function(entry) for entry in self.next)

    def _sequence_nr(self) -> int:
        return self.seq

    def register_hook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Calls ``fn(grad_inputs, grad_outputs)`` after the node ran."""
        self.special = True
        if self.hooks is None:
            self.hooks = {}
        handle = RemovableHandle(self.hooks)
        self.hooks[handle.id] = fn
        return handle

    def register_prehook(self, fn: Callable[..., Any]) -> RemovableHandle:
        """Calls ``fn(grad_outputs)`` before the node runs."""
        self.special = True
        if self.pre_hooks is None:
            self.pre_hooks = {}
        handle = RemovableHandle(self.pre_hooks)
        self.pre_hooks[handle.id] = fn
        return handle

    def __call__(self, *grads: Any) -> Any:
        result = self.apply(list(grads))
        return result[0] if len(result) == 1 else tuple(result)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class AccumulateGrad(Node):
    """The node of a leaf as ``next_functions`` shows it."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable
        self.next = ()
        self.seq = 1 << 62
        self.shape = variable._shape
        self.keys = variable._keys

    def apply(self, grads: list[Tensor | None]) -> Any:
        from dispatchtorch.autograd.engine import accumulate

        if grads[0] is not None:
            accumulate(self.variable, grads[0], False)
        return []


def accumulate_node(leaf: Tensor) -> AccumulateGrad:
    """The AccumulateGrad of a leaf: one object as long as anybody holds it."""
    meta = leaf._autograd_meta()
    node = meta.accumulate() if meta.accumulate is not None else None
    if node is None:
        node = AccumulateGrad(leaf)
        meta.accumulate = weakref.ref(node)
    return node  # type: ignore[no-any-return]


def _as_function(entry: Any) -> tuple[Any, int]:
    if entry is None:
        return (None, 0)
    if type(entry) is tuple:
        return entry
    return (accumulate_node(entry), 0)


def edge_of(t: Any) -> Any:
    """A tensor's entry in the ``next`` of a node that takes it as input."""
    keys = getattr(t, "_keys", None)
    if keys is None or not keys & AUTOGRAD:
        return None
    return t._edge or t


def version_of(t: Tensor) -> int:
    ver = t._ver
    return ver[0] if ver is not None else 0


class Packed:
    """A saved tensor that a saved-tensor hook has packed.

    What the hook gives back has no history; the place of the original in the graph is
    kept here: its edge, or a weak reference to a leaf.
    """

    __slots__ = ("origin", "unpack", "value")

    def __init__(
        self, original: Tensor, value: Any, unpack: Callable[[Any], Tensor]
    ) -> None:
        self.value = value
        self.unpack = unpack
        self.origin: Any = None
        if original._keys & AUTOGRAD:
            edge = original._edge
            self.origin = weakref.ref(original) if edge is None else edge

    def restore(self) -> Tensor:
        """The tensor, in the place of the original while history is recorded."""
        made = self.unpack(self.value)
        if not hasattr(made, "_keys"):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got "
                f"result of type {type(made).__name__}"
            ) from None
        origin = self.origin
        if origin is None or not state.grad_enabled():
            return made
        if type(origin) is tuple:
            return _at(made, origin)
        leaf = origin()
        if leaf is None or leaf is made:
            return made
        return _at(made, (_Same(leaf), 0))


class _Same(Node):
    """Hands its gradient on to a leaf, whose unpacked copy took part in the graph."""

    __slots__ = ()

    def __init__(self, leaf: Tensor) -> None:
        self.next = (leaf,)
        self.seq = next_sequence()
        self.shape = leaf._shape
        self.keys = leaf._keys & ~AUTOGRAD

    def apply(self, grads: list[Tensor | None]) -> Any:
        return list(grads)


def released_error(node: Node) -> RuntimeError:
    return RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved "
        "tensors after they have already been freed). Saved intermediate values of the "
        "graph are freed when you call .backward() or autograd.grad(). Specify "
        "retain_graph=True if you need to backward through the graph a second time or if "
        "you need to access saved tensors after calling backward."
    )


def unpack(node: Node, saved: Any, version: int, output: int | None = None) -> Any:
    """A saved tensor as formulas see it, checked for writes since it was saved.

    ``output`` marks a result of the node itself, which is saved without its history
    (that would be a cycle) and gets it back here.
    """
    if saved is None:
        return None
    if saved is RELEASED:
        raise released_error(node)
    try:
        ver = saved._ver
    except AttributeError:
        if type(saved) is not Packed:
            return saved  # a Python number
        made = saved.restore()
        return made if output is None else _at(made, (node, output))
    now = ver[0] if ver is not None else 0
    if now != version:
        raise modified_error(node, saved, now, version, output)
    return saved if output is None else _at(saved, (node, output))


def _at(t: Tensor, edge: tuple[Node, int]) -> Tensor:
    """The tensor's values as the result that ``edge`` says."""
    made = new_tensor(t._data, t._keys | AUTOGRAD)
    made._edge = edge
    made._ver = t._ver
    return made


def modified_error(
    node: Node, saved: Tensor, now: int, expected: int, output: int | None
) -> RuntimeError:
    edge = saved._edge
    if output is not None:
        origin = f", which is output {output} of {node.short_name()},"
    elif edge is not None:
        origin = f", which is output {edge[1]} of {edge[0].short_name()},"
    else:
        origin = ""
    shape = ", ".join(map(str, saved._shape))
    if node.forward_stack is not None:
        hint = (
            "Hint: the backtrace further above shows the operation that failed to "
            "compute its gradient. The variable in question was changed in there or "
            "anywhere later. Good luck!"
        )
    else:
        hint = (
            "Hint: enable anomaly detection to find the operation that failed to compute "
            "its gradient, with torch.autograd.set_detect_anomaly(True, "
            "check_nan=False)."
        )
    return RuntimeError(
        "one of the variables needed for gradient computation has been modified by an "
        f"inplace operation: [{type_name(saved)} [{shape}]]{origin} is at version {now}; "
        f"expected version {expected} instead. {hint}"
    )
