"""What nodes save: version checks, saved-tensor hooks, and how ``node._saved_x`` reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.autograd.node import (
    RELEASED,
    Node,
    Packed,
    modified_error,
    released_error,
    unpack,
    version_of,
)
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import INFERENCE, allocate

__all__ = [
    "SAVED_HOOKS",
    "SavedTensor",
    "as_saved",
    "check_saved",
    "check_versions",
    "pack",
    "raw_getter",
    "saved_getter",
    "value_getter",
    "versions",
]

Kernel = Callable[..., Any]

# Switched on by saved-tensor hooks, for this thread.
SAVED_HOOKS = allocate("layer", "saved tensor hooks")


def versions(tensors: Any) -> list[int]:
    return [0 if t is None else version_of(t) for t in tensors]


def check_versions(node: Node, tensors: Any, versions: list[int]) -> None:
    """RuntimeError where a tensor of a saved list was written to since."""
    for t, version in zip(tensors, versions, strict=True):
        if t is not None and version_of(t) != version:
            raise modified_error(node, t, version_of(t), version, None)


def saved_getter(name: str, output: int | None) -> Kernel:
    def get(node: Any) -> Any:
        return unpack(
            node, getattr(node, f"s_{name}"), getattr(node, f"v_{name}"), output
        )

    return get


def value_getter(name: str) -> Kernel:
    return lambda node: getattr(node, f"k_{name}")


def raw_getter(name: str) -> Kernel:
    def get(node: Any) -> Any:
        return SavedTensor(node, name)

    return get


class SavedTensor:
    """``node._raw_saved_x``: lets a hook pair be set on one saved tensor."""

    def __init__(self, node: Node, name: str) -> None:
        self.node = node
        self.name = name

    def register_hooks(self, pack_hook: Kernel, unpack_hook: Kernel) -> None:
        """Packs the saved tensor now; it is unpacked when the backward pass needs it."""
        saved = getattr(self.node, f"s_{self.name}")
        if saved is RELEASED:
            raise released_error(self.node)
        if type(saved) is Packed:
            raise RuntimeError(
                "Calling register_hooks on a saved tensor whose hooks have already been "
                "set. Hint: only one pair of hooks is allowed at a time."
            )
        setattr(
            self.node, f"s_{self.name}", Packed(saved, pack_hook(saved), unpack_hook)
        )


def check_saved(value: Any) -> Any:
    """A tensor as it may be saved; RuntimeError for one made in inference mode."""
    if getattr(value, "_keys", 0) & INFERENCE:
        raise RuntimeError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors "
            "created in inference mode in computation tracked by autograd. To work "
            "around this, you can make a clone to get a normal tensor and use it in "
            "autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )
    return value


def as_saved(value: Any) -> tuple[Any, int]:
    """A saved operand that may be a Python number."""
    return value, version_of(value) if hasattr(value, "_keys") else 0


def pack(value: Any) -> tuple[Any, int]:
    hooks = state.tls.saved_tensor_hooks
    if value is None:
        return None, 0
    if not hasattr(value, "_keys") or not hooks:
        return value, version_of(value) if hasattr(value, "_keys") else 0
    pack, unpack_hook = hooks[-1]
    before = state.update(state.tls.mask, state.tls.include & ~SAVED_HOOKS)
    try:
        return Packed(value, pack(value), unpack_hook), 0
    finally:
        state.restore(before)
