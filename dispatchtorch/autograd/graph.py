"""``torch.autograd.graph``: nodes, edges, saved-tensor hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dispatchtorch.autograd.layer import SAVED_HOOKS
from dispatchtorch.autograd.node import Node, accumulate_node
from dispatchtorch.dispatch import state
from dispatchtorch.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
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
