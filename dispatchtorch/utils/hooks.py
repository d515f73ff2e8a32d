"""Handles that take hooks away again, and hooks on the backward of a module."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Self, TypeVar

from dispatchtorch.errors import user_level

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

    What goes into the module and what comes out passes through an identity each, whose
    derivatives call the hooks, so that these see the gradients at the module's border.
    :meth:`setup_input_hook` is given the positional arguments,
    :meth:`setup_output_hook` the output; what they return takes the place of these.

    Args:
        module: what hooks are called with first.
        user_hooks: called with the gradients of inputs and of outputs; they may return
            other gradients of inputs.
        user_pre_hooks: called before backward with the gradients of outputs; they may
            return others.
    """

    def __init__(self, module: Any, user_hooks: Any, user_pre_hooks: Any) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.n_inputs = -1
        self.grad_outputs: tuple[Any, ...] | None = None
        self._inputs_tracked = False

    def setup_input_hook(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """``args``, hooked where a tensor among them requires a gradient."""
        self.n_inputs = len(args)
        args, self._inputs_tracked = _pass_through(args, self._at_inputs, True)
        return args

    def setup_output_hook(self, args: Any) -> Any:
        """A tensor or a tuple, hooked where a tensor in it requires a gradient."""
        outputs = args if isinstance(args, tuple) else (args,)
        outputs, _ = _pass_through(outputs, self._at_outputs, False)
        return outputs if isinstance(args, tuple) else outputs[0]

    def _at_outputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.user_pre_hooks:
            changed = hook(self.module, grads)
            grads = _replaced(grads, changed, "pre hook", "grad_output")
        if self._inputs_tracked:
            self.grad_outputs = grads
        else:
            self._fire_without_inputs(grads)
        return grads

    def _fire_without_inputs(self, grads: tuple[Any, ...]) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to "
            "module outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=user_level(),
        )
        nothing = (None,) * self.n_inputs
        for hook in self.user_hooks:
            changed = hook(self.module, nothing, grads)
            if changed is not None and any(grad is not None for grad in changed):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should "
                    "always return None or None for all gradients."
                )

    def _at_inputs(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.grad_outputs is None:
            return grads  # the output was nothing that could be hooked
        for hook in self.user_hooks:
            changed = hook(self.module, grads, self.grad_outputs)
            grads = _replaced(grads, changed, "hook", "grad_input")
        self.grad_outputs = None
        return grads


def _replaced(grads: tuple[Any, ...], changed: Any, who: str, what: str) -> Any:
    """What a hook returned, in place of the gradients that it was given."""
    if changed is None:
        return grads
    if not isinstance(changed, (tuple, list)):
        changed = (changed,)
    if len(changed) != len(grads):
        raise RuntimeError(
            f"Backward {who} returned an invalid number of {what}, "
            f"got {len(changed)}, but expected {len(grads)}"
        )
    return tuple(changed)


@cache
def _identity() -> Any:
    """The autograd function; made late, as hooks are imported before autograd."""
    import dispatchtorch as torch

    class BackwardHookFunction(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, at_backward: Any, materialize: bool, *tensors: Any
        ) -> Any:  # type: ignore[override]
            ctx.at_backward = at_backward
            ctx.set_materialize_grads(materialize)
            ctx.mark_non_differentiable(*(t for t in tensors if not t.requires_grad))
            return tensors

        @staticmethod
        def backward(ctx: Any, *grads: Any) -> Any:
            return None, None, *ctx.at_backward(grads)

    return BackwardHookFunction


def _pass_through(
    values: tuple[Any, ...],
    at_backward: Callable[[tuple[Any, ...]], tuple[Any, ...]],
    materialize: bool,
) -> tuple[tuple[Any, ...], bool]:
    """``values`` with the tensors among them behind an identity, and whether they are.

    ``at_backward`` is given one gradient for each of ``values`` and returns as many.
    """
    import dispatchtorch as torch

    places = [i for i, v in enumerate(values) if isinstance(v, torch.Tensor)]
    tensors = [values[i] for i in places]
    if not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)):
        return values, False

    def spread(grads: tuple[Any, ...]) -> Iterable[Any]:
        padded: list[Any] = [None] * len(values)
        for place, grad in zip(places, grads, strict=True):
            padded[place] = grad
        result = at_backward(tuple(padded))
        return [result[place] for place in places]

    passed = _identity().apply(spread, materialize, *tensors)
    hooked = list(values)
    for place, tensor in zip(places, passed, strict=True):
        hooked[place] = tensor
    make = getattr(type(values), "_make", type(values))  # named tuples keep their type
    return make(hooked), True
