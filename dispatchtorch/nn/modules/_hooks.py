"""Hooks: the registries for all modules, and how backward hooks attach to the graph.

Full backward hooks see the gradients at the module's border, whatever its forward does
inside: that is ``utils.hooks.BackwardHook``. Here are the older ones, which see a node's.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dispatchtorch import Tensor
from dispatchtorch.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from .module import Module

__all__ = [
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Hook = Callable[..., Any]
Registry = OrderedDict[int, Any]

_global_buffer_registration_hooks: Registry = OrderedDict()
_global_module_registration_hooks: Registry = OrderedDict()
_global_parameter_registration_hooks: Registry = OrderedDict()
_global_forward_pre_hooks: Registry = OrderedDict()
_global_forward_hooks: Registry = OrderedDict()
_global_forward_hooks_with_kwargs: Registry = OrderedDict()
_global_forward_hooks_always_called: Registry = OrderedDict()
_global_backward_pre_hooks: Registry = OrderedDict()
_global_backward_hooks: Registry = OrderedDict()
_global_is_full_backward_hook: bool | None = None

_MIXED_BACKWARD = (
    "Cannot use both regular backward hooks and full backward hooks {}. Please use "
    "only one of them."
)


def register(
    registry: Registry,
    hook: Hook,
    flags: Iterable[tuple[Registry, bool]] = (),
    prepend: bool = False,
) -> RemovableHandle:
    """Files ``hook``, and its id in the registry of each flag that is set; the handle
    takes it out of all of them."""
    flags = list(flags)
    handle = RemovableHandle(registry, extra_dict=[flagged for flagged, _ in flags])
    registry[handle.id] = hook
    for flagged, is_set in flags:
        if is_set:
            flagged[handle.id] = True
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


def full_or_not(current: bool | None, full: bool, where: str) -> bool:
    """The kind of backward hooks in use, or RuntimeError when both kinds are mixed."""
    if current is not None and current is not full:
        raise RuntimeError(_MIXED_BACKWARD.format(where))
    return full


def apply_registration_hooks(
    registry: Registry, module: Module, name: str, value: Any
) -> Any:
    for hook in registry.values():
        replacement = hook(module, name, value)
        if replacement is not None:
            value = replacement
    return value


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, buffer)`` whenever a buffer is registered anywhere; it
    may return another buffer to register instead."""
    return register(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, submodule)`` whenever a submodule is registered
    anywhere; it may return another one to register instead."""
    return register(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, name, param)`` whenever a parameter is registered anywhere;
    it may return another one to register instead."""
    return register(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, args)`` before every module's forward; it may return
    changed arguments. Meant for debugging and profiling."""
    return register(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Calls ``hook(module, args, output)`` after every module's forward; it may return
    a changed output. See ``Module.register_forward_hook`` for the options."""
    flags = [
        (_global_forward_hooks_with_kwargs, with_kwargs),
        (_global_forward_hooks_always_called, always_call),
    ]
    return register(_global_forward_hooks, hook, flags)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, grad_output)`` before every module's backward; it may return
    changed gradients."""
    return register(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Calls ``hook(module, grad_input, grad_output)`` after every module's backward; it
    may return a changed ``grad_input``."""
    return _register_global_backward(hook, True)


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Deprecated form of :func:`register_module_full_backward_hook`: it sees only the
    last node of a module's graph."""
    return _register_global_backward(hook, False)


def _register_global_backward(hook: Hook, full: bool) -> RemovableHandle:
    global _global_is_full_backward_hook
    _global_is_full_backward_hook = full_or_not(
        _global_is_full_backward_hook, full, "as a global Module hook"
    )
    return register(_global_backward_hooks, hook)


def global_backward_hooks(full: bool) -> list[Hook]:
    if _global_is_full_backward_hook is full:
        return list(_global_backward_hooks.values())
    return []


_NON_FULL = (
    "Using {} is deprecated and will be removed in future versions. This hook will be "
    "missing some {}. Please use register_full_backward_hook to get the documented "
    "behavior."
)
_NOT_TENSORS = (
    "non-full backward hooks on a Module that does not {} a single Tensor or a tuple "
    "of Tensors"
)


def attach_non_full(
    module: Module, hooks: list[Hook], inputs: Any, result: Any
) -> None:
    """Registers deprecated backward hooks on the node that made ``result``."""
    tensor = result
    while not isinstance(tensor, Tensor):
        if isinstance(tensor, dict):
            tensor = next(v for v in tensor.values() if isinstance(v, Tensor))
        else:
            tensor = tensor[0]
    node = tensor.grad_fn
    if node is None:
        return
    for hook in hooks:
        node.register_hook(
            lambda grad_in, grad_out, hook=hook: hook(module, grad_in, grad_out)
        )
    complaint = _non_full_complaint(inputs, result, node)
    if complaint:
        warnings.warn(complaint, FutureWarning, stacklevel=4)


def _non_full_complaint(inputs: Any, result: Any, node: Any) -> str | None:
    """Why a non-full hook on this call will not see every gradient, or None."""
    for value, verb, missing in (
        (result, "return", "of the grad_output"),
        (inputs, "take as input", "of the grad_input"),
    ):
        values = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(v, Tensor) for v in values):
            return _NON_FULL.format(_NOT_TENSORS.format(verb), missing)
    results = result if isinstance(result, tuple) else (result,)
    out_nodes = {r.grad_fn for r in results if r.grad_fn is not None}
    if len(out_nodes) > 1 or (out_nodes and node not in out_nodes):
        what = "outputs are generated by different autograd Nodes"
        return _NON_FULL.format(f"a non-full backward hook when {what}", "grad_output")
    in_nodes = {i.grad_fn for i in inputs if i.grad_fn is not None}
    next_nodes = {n for n, _ in node.next_functions}
    if in_nodes != next_nodes:
        what = "the forward contains multiple autograd Nodes"
        return _NON_FULL.format(f"a non-full backward hook when {what}", "grad_input")
    return None
