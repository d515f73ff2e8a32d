"""``torch.autograd.graph``: nodes, edges, saved-tensor hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dispatchtorch.autograd.engine import queue_callback
from dispatchtorch.autograd.node import Node, accumulate_node
from dispatchtorch.autograd.saved import SAVED_HOOKS
from dispatchtorch.dispatch import state
from dispatchtorch.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """A place in the graph that a gradient flows through."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a tensor that requires grad."""
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not "
            "require gradients"
        )
    node = tensor.grad_fn
    if node is None:
        return GradientEdge(accumulate_node(tensor), 0)
    return GradientEdge(node, tensor.output_nr)


class _MultiHandle:
    """Takes the hooks of several tensors away together."""

    def __init__(self, handles: list[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Any, fn: Callable[..., None], *, mode: str = "all"
) -> _MultiHandle:
    """Calls ``fn(grads)`` when the gradients of all tensors are known, None for those
    that get none; in mode "any" ``fn(grad)`` for the first of each backward pass."""
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    arrived: dict[int, Any] = {}

    def finish() -> None:
        if mode == "all" and 0 < len(arrived) < len(tensors):
            fn([arrived.get(i) for i in range(len(tensors))])
        arrived.clear()

    def hook_of(i: int) -> Callable[..., None]:
        def hook(grad: Tensor) -> None:
            if not arrived:
                queue_callback(finish)
            arrived[i] = grad
            if mode == "any":
                if len(arrived) == 1:
                    fn(grad)
            elif len(arrived) == len(tensors):
                fn([arrived[j] for j in range(len(tensors))])

        return hook

    return _MultiHandle([t.register_hook(hook_of(i)) for i, t in enumerate(tensors)])


class saved_tensors_hooks:
    """A block in which what nodes save passes through ``pack_hook``.

    Follows https://docs.pytorch.org/docs/stable/autograd.html.
    """

    def __init__(
        self,
        pack_hook: Callable[[Tensor], Any],
        unpack_hook: Callable[[Any], Tensor],
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if state.tls.__dict__.get("saved_hooks_disabled"):
            raise RuntimeError(state.tls.__dict__["saved_hooks_disabled"])
        self.before = (state.tls.saved_tensor_hooks, state.tls.include & SAVED_HOOKS)
        state.tls.saved_tensor_hooks += ((self.pack_hook, self.unpack_hook),)
        state.update(state.tls.mask, state.tls.include | SAVED_HOOKS)

    def __exit__(self, *exc_info: object) -> None:
        hooks, bit = self.before
        state.tls.saved_tensor_hooks = hooks
        state.update(state.tls.mask, state.tls.include & ~SAVED_HOOKS | bit)


class save_on_cpu(saved_tensors_hooks):
    """Keeps what nodes save on the host, and brings it back when it is needed."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Tensor) -> Any:
            return t.device, t.cpu().clone() if t.device.type == "cpu" else t.cpu()

        def unpack(packed: Any) -> Tensor:
            device, t = packed
            return t.to(device)  # type: ignore[no-any-return]

        super().__init__(pack, unpack)


class disable_saved_tensors_hooks:
    """A block in which setting saved-tensor hooks raises ``error_message``."""

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        self.before = state.tls.__dict__.get("saved_hooks_disabled")
        if state.tls.saved_tensor_hooks:
            raise RuntimeError(self.message)
        state.tls.__dict__["saved_hooks_disabled"] = self.message

    def __exit__(self, *exc_info: object) -> None:
        state.tls.__dict__["saved_hooks_disabled"] = self.before
