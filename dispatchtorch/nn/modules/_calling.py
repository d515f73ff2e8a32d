"""Calling a module: ``forward`` and the hooks around it."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dispatchtorch import Tensor
from dispatchtorch.utils.hooks import BackwardHook

from ._hooks import (
    Hook,
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_forward_hooks,
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    _global_forward_pre_hooks,
    attach_non_full,
    full_or_not,
    global_backward_hooks,
    register,
)

if TYPE_CHECKING:
    from dispatchtorch.utils.hooks import RemovableHandle

__all__ = ["Calling"]


class Calling:
    """The part of :class:`Module` that runs ``forward`` and its hooks."""

    if TYPE_CHECKING:
        forward: Callable[..., Any]
        _backward_pre_hooks: OrderedDict[int, Hook]
        _backward_hooks: OrderedDict[int, Hook]
        _is_full_backward_hook: bool | None
        _forward_hooks: OrderedDict[int, Hook]
        _forward_hooks_with_kwargs: OrderedDict[int, bool]
        _forward_hooks_always_called: OrderedDict[int, bool]
        _forward_pre_hooks: OrderedDict[int, Hook]
        _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self._backward_hooks
            or self._backward_pre_hooks
            or self._forward_hooks
            or self._forward_pre_hooks
            or _global_backward_pre_hooks
            or _global_backward_hooks
            or _global_forward_hooks
            or _global_forward_pre_hooks
        ):
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    _call_impl = _wrapped_call_impl = __call__

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pending = [
            entry
            for entry in self._all_forward_hooks()
            if entry[0] in entry[3]  # those to call even when something raises
        ]
        if not pending:
            return self._call_through_hooks(args, kwargs, set())
        called: set[int] = set()
        try:
            return self._call_through_hooks(args, kwargs, called)
        except Exception:
            for hook_id, hook, with_kwargs, always in pending:
                if hook_id in called:
                    continue
                try:
                    hook(self, args, kwargs, None) if with_kwargs else hook(
                        self, args, None
                    )
                except Exception as error:
                    where = (
                        "global module"
                        if always is _global_forward_hooks_always_called
                        else "module"
                    )
                    warnings.warn(
                        f"{where} forward hook with ``always_call=True`` raised an "
                        "exception that was silenced as another error was raised in "
                        f"forward: {error}",
                        stacklevel=3,
                    )
            raise

    def _all_forward_hooks(self) -> list[tuple[int, Hook, bool, Any]]:
        """(id, hook, with kwargs, those always called) of all forward hooks."""
        return [
            (hook_id, hook, hook_id in kwargs_ids, always)
            for hooks, kwargs_ids, always in (
                (
                    _global_forward_hooks,
                    _global_forward_hooks_with_kwargs,
                    _global_forward_hooks_always_called,
                ),
                (
                    self._forward_hooks,
                    self._forward_hooks_with_kwargs,
                    self._forward_hooks_always_called,
                ),
            )
            for hook_id, hook in hooks.items()
        ]

    def _call_through_hooks(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]
    ) -> Any:
        """One call with all hooks; notes in ``called`` which forward hooks ran."""
        for hook in list(_global_forward_pre_hooks.values()):
            args = _new_args(hook(self, args), args)
        for hook_id, hook in list(self._forward_pre_hooks.items()):
            if hook_id not in self._forward_pre_hooks_with_kwargs:
                args = _new_args(hook(self, args), args)
                continue
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, "
                        f"new_kwargs), but got {changed}."
                    )
                args, kwargs = changed

        this: Any = self
        full, non_full = self._get_backward_hooks()
        pre_hooks = self._get_backward_pre_hooks()
        backward = BackwardHook(this, full, pre_hooks) if full or pre_hooks else None
        if backward is not None:
            args = backward.setup_input_hook(args)

        result = self.forward(*args, **kwargs)

        for hook_id, hook, with_kwargs, _ in self._all_forward_hooks():
            called.add(hook_id)
            changed = (
                hook(self, args, kwargs, result)
                if with_kwargs
                else hook(self, args, result)
            )
            if changed is not None:
                result = changed
        if backward is not None:
            if not isinstance(result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor "
                    f"or a tuple of Tensors but received {type(result)}",
                    stacklevel=3,
                )
            result = backward.setup_output_hook(result)
        if non_full:
            attach_non_full(this, non_full, args, result)
        return result

    # Hooks.

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, args)`` before forward; it may return new arguments.

        ``with_kwargs``: calls ``hook(module, args, kwargs)``, which may return both.
        ``prepend``: before the hooks that this module has already.
        """
        flags = [(self._forward_pre_hooks_with_kwargs, with_kwargs)]
        return register(self._forward_pre_hooks, hook, flags, prepend)

    def register_forward_hook(
        self,
        hook: Hook,
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(module, args, output)`` after forward; it may return a new
        output.

        ``with_kwargs``: calls ``hook(module, args, kwargs, output)``. ``prepend``:
        before the hooks that this module has already. ``always_call``: even when the
        call raises.
        """
        flags = [
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
        ]
        return register(self._forward_hooks, hook, flags, prepend)

    def register_full_backward_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_output)`` before this module's backward; it may
        return other gradients, a tuple or, for one output, a tensor."""
        return register(self._backward_pre_hooks, hook, (), prepend)

    def register_full_backward_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(module, grad_input, grad_output)`` after this module's backward;
        it may return another ``grad_input``. Gradients are those of positional tensors;
        None stands for anything else."""
        self._note_backward_hook(True)
        return register(self._backward_hooks, hook, (), prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Deprecated form of :meth:`register_full_backward_hook`: it sees only the
        gradients of the last operator in forward."""
        self._note_backward_hook(False)
        return register(self._backward_hooks, hook)

    def _note_backward_hook(self, full: bool) -> None:
        self._is_full_backward_hook = full_or_not(
            self._is_full_backward_hook, full, "on a single Module"
        )

    def _get_backward_hooks(self) -> tuple[list[Hook], list[Hook]]:
        """The full and the non-full backward hooks of a call, global ones first."""
        full, non_full = global_backward_hooks(True), global_backward_hooks(False)
        own = full if self._is_full_backward_hook else non_full
        own += self._backward_hooks.values()
        return full, non_full

    def _get_backward_pre_hooks(self) -> list[Hook]:
        return [
            *_global_backward_pre_hooks.values(),
            *self._backward_pre_hooks.values(),
        ]


def _new_args(changed: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments after a pre-hook that returned ``changed``."""
    if changed is None:
        return args
    return changed if isinstance(changed, tuple) else (changed,)
