"""Which modules are running: in forward passes, and in the backward passes of them."""

from __future__ import annotations

import weakref
from typing import Any

import dispatchtorch as torch
from dispatchtorch.autograd.engine import queue_callback
from dispatchtorch.utils._pytree import tree_flatten

__all__ = ["ModuleTracker"]


class ModuleTracker:
    """A block in which ``parents`` holds the dotted names of the modules that run.

    A name begins with the class of the outermost module; "Global" is always there.
    ``is_bw`` says whether a backward pass is going on.
    """

    parents: set[str]

    def __init__(self) -> None:
        self.parents = {"Global"}
        self._known: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()
        self._has_callback = False
        self._handles: list[Any] = []

    @property
    def is_bw(self) -> bool:
        """Whether this is called from within a backward pass."""
        return self._has_callback

    def _name_of(self, module: Any) -> str:
        if module not in self._known:
            self._known[module] = type(module).__name__
        name = self._known[module]
        if module not in self._seen:
            for child_name, child in module.named_children():
                self._known[child] = f"{name}.{child_name}"
                self._name_of(child)
            self._seen.add(module)
        return name

    def _append(self, name: str) -> None:
        self.parents.add(name)

    def _pop(self, name: str) -> None:
        self.parents.discard(name)

    def _before(self, module: Any, inputs: Any) -> None:
        name = self._name_of(module)
        self._append(name)
        tensors = [
            t
            for t in tree_flatten(inputs)[0]
            if isinstance(t, torch.Tensor) and t.requires_grad
        ]
        if tensors:  # their gradients are ready when the module's backward is over
            self._handles.append(
                torch.autograd.graph.register_multi_grad_hook(
                    tensors, lambda grads: self._pop(name)
                )
            )

    def _after(self, module: Any, inputs: Any, output: Any) -> None:
        name = self._name_of(module)
        self._pop(name)
        tensors = [
            t
            for t in tree_flatten(output)[0]
            if isinstance(t, torch.Tensor) and t.requires_grad
        ]
        if tensors:
            self._handles.append(
                torch.autograd.graph.register_multi_grad_hook(
                    tensors, lambda grad: self._begin_backward(name), mode="any"
                )
            )

    def _begin_backward(self, name: str) -> None:
        if not self._has_callback:
            self._has_callback = True

            def reset() -> None:
                self.parents = {"Global"}
                self._has_callback = False

            queue_callback(reset)
        self._append(name)

    def __enter__(self) -> ModuleTracker:
        module = torch.nn.modules.module
        self._hooks = [
            module.register_module_forward_pre_hook(self._before),
            module.register_module_forward_hook(self._after, always_call=True),
        ]
        return self

    def __exit__(self, *exc_info: object) -> None:
        for handle in [*self._hooks, *self._handles]:
            handle.remove()
        self._handles.clear()
        self.parents = {"Global"}
