"""Handles that take hooks away again, and hooks on the backward of a module."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Self, TypeVar

__all__ = [
    "BackwardHook",
    "RemovableHandle",
    "unserializable_hook",
    "warn_if_has_hooks",
]

_F = TypeVar("_F", bound=Callable[..., Any])


class RemovableHandle:
    """Removes a hook from the dictionary that it is filed in under the handle's ``id``.

    Also a context manager, which removes the hook at its end.

    Args:
        hooks_dict: where the hook is; only referred to weakly.
        extra_dict: a dictionary or several that may hold something under the same id.
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        extras = () if extra_dict is None else extra_dict
        self._refer(hooks_dict, [extras] if isinstance(extras, dict) else extras)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def _refer(self, hooks_dict: Any, extras: Iterable[Any]) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras)

    def remove(self) -> None:
        """Removes the hook; a second time, or when the hooks are gone, does nothing."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple[Any, int, tuple[Any, ...]]:
        extras = tuple(ref() for ref in self.extra_dict_ref)
        return self.hooks_dict_ref(), self.id, extras

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks, self.id, *rest = state
        extras = rest[0] if rest else ()
        # A dead reference stands for a dictionary that was not pickled along.
        self._refer(
            OrderedDict() if hooks is None else hooks,
            [OrderedDict() if d is None else d for d in extras],
        )
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def unserializable_hook(f: _F) -> _F:
    """Marks a hook that is meant to stay behind when its tensor is pickled."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warns of each hook on ``tensor`` that pickling would lose."""
    for hook in (tensor._backward_hooks or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is "
                "expected, you can decorate the function with "
                "@torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )


class BackwardHook:
    """The backward hooks of one call of a module.

    :meth:`setup_input_hook` is given the positional arguments, :meth:`setup_output_hook`
    the output; what they return takes the place of these.

    Args:
        module: what the hooks are called with first.
        user_hooks: called with the gradients of inputs and of outputs.
        user_pre_hooks: called with the gradients of outputs, before backward.
    """

    def __init__(self, module: Any, user_hooks: Any, user_pre_hooks: Any) -> None:
        from dispatchtorch.nn.modules._hooks import BackwardHooks

        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self._hooks = BackwardHooks(module, user_hooks, user_pre_hooks)

    def setup_input_hook(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._hooks.wrap_inputs(args)

    def setup_output_hook(self, args: Any) -> Any:
        return self._hooks.wrap_output(args)
