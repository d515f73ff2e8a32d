"""``torch.autograd.Function``: operations whose derivative a user writes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from dispatchtorch.autograd.node import (
    RELEASED,
    Node,
    edge_of,
    next_sequence,
    released_error,
    unpack,
    version_of,
)
from dispatchtorch.autograd.saved import SAVED_HOOKS, pack
from dispatchtorch.autograd.views import rebase_history, renew
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, VIEW
from dispatchtorch.dtypes import DIFFERENTIABLE_MASK
from dispatchtorch.tensor import Tensor, alias

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What ``forward`` and ``backward`` share, as their argument ``ctx``."""

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True
    _to_save: tuple[Any, ...] = ()
    _dirty: tuple[Any, ...] = ()
    _non_differentiable: tuple[Any, ...] = ()
    _clear_saved_tensors_on_access = False

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for ``backward``, where they are ``ctx.saved_tensors``."""
        self._to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keeps tensors for ``jvp``."""
        for t in tensors:
            if not isinstance(t, Tensor) and t is not None:
                raise TypeError(
                    "save_for_forward expects all arguments to be tensors; you should "
                    "save non-tensors as attributes on ctx."
                )
        self._saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Says which inputs were written in place."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Says which outputs have no gradient."""
        self._non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that don't exist come as zeros (True) or None."""
        self.materialize_grads = value


class _BackwardNode(Node, FunctionCtx):
    """The node of one application, which is also its ctx."""

    __slots__ = ()
    takes_undefined = True
    _function: Any = None
    _saved: tuple[Any, ...] = ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept, checked for writes since."""
        saved = self.__dict__.get("_saved", ())
        if saved is RELEASED:
            raise released_error(self)
        if not saved and self._to_save:
            return self._to_save
        return tuple(unpack(self, t, v, nr) for t, v, nr in saved)

    @property
    def saved_variables(self) -> tuple[Any, ...]:
        return self.saved_tensors

    saved_for_forward = property(lambda self: self.__dict__["_saved_for_forward"])

    @property
    def _forward_cls(self) -> Any:
        return self._function

    def release(self) -> None:
        if self.__dict__.get("_saved"):
            self.__dict__["_saved"] = RELEASED
        self.__dict__.pop("_to_save", None)

    def name(self) -> str:
        return f"{self._function.__name__}Backward"

    def apply(self, grads: list[Tensor | None]) -> Any:
        """Runs the user's ``backward`` and lines its results up with the inputs."""
        function = self._function
        given = list(grads)
        if self.materialize_grads:
            for i, grad in enumerate(given):
                if grad is None and self.__dict__["_likes"][i] is not None:
                    shape, dtype, device = self.__dict__["_likes"][i]
                    given[i] = _zeros(shape, dtype, device)
        backward = function.backward
        if backward is Function.backward:
            backward = function.vjp
        made = backward(self, *given)
        results = list(made) if isinstance(made, tuple) else [made]
        count = len(self.__dict__["_is_tensor"])
        if len(results) > count and all(r is None for r in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {count}, got {len(results)})"
            )
        kept = []
        for i, (is_tensor, result) in enumerate(
            zip(self.__dict__["_is_tensor"], results, strict=True)
        ):
            if not is_tensor:
                if result is not None:
                    raise RuntimeError(
                        f"function {self.name()} returned a gradient different from None "
                        f"at position {i + 1}, but the corresponding forward input was "
                        "not a Variable"
                    )
                continue
            if result is not None and not isinstance(result, Tensor):
                raise RuntimeError(
                    f"expected Variable or None (got {type(result).__name__})"
                )
            kept.append(result)
        return kept


def _zeros(shape: Any, dtype: Any, device: Any) -> Tensor:
    import dispatchtorch as torch

    zeros: Any = torch.zeros
    return zeros(shape, dtype=dtype, device=device)  # type: ignore[no-any-return]


class _FunctionMeta(type):
    def __init__(cls, name: str, bases: Any, members: Any) -> None:
        super().__init__(name, bases, members)
        cls._backward_cls = type(
            f"{name}Backward", (_BackwardNode,), {"_function": cls, "__slots__": ()}
        )


_VIEW_MADE_INSIDE = (
    "This view was created inside a custom Function (or because an input was returned "
    "as-is) and the autograd logic to handle view+inplace would override the custom "
    "backward associated with the custom Function, leading to incorrect gradients. This "
    "behavior is forbidden. You can fix this by cloning the output of the custom "
    "Function."
)


class Function(metaclass=_FunctionMeta):
    """Subclass with static methods ``forward`` and ``backward``; call ``apply``.

    Follows https://docs.pytorch.org/docs/stable/autograd.html#torch.autograd.Function.
    """

    generate_vmap_rule = False
    _backward_cls: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        import warnings

        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are "
            "all static, so you should invoke them on the class itself. Instantiating an "
            "autograd function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. "
            "Please use new-style autograd function with static forward method. "
            "(Example: https://pytorch.org/docs/stable/autograd.html"
            "#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it "
            "with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: Any, *args: Any) -> Any:
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap "
            "staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Runs ``forward`` and records a node where an input requires grad."""
        node = cls._backward_cls.__new__(cls._backward_cls)  # type: ignore[call-overload]
        recording = state.grad_enabled()
        tensors = [a for a in args if isinstance(a, Tensor)]
        for t in tensors:
            if t._base is not None:
                renew(t)
        needs = tuple(
            recording and isinstance(a, Tensor) and bool(a._keys & AUTOGRAD)
            for a in args
        )
        node.needs_input_grad = needs
        before = state.update(state.tls.mask & ~(AUTOGRAD | VIEW), state.tls.include)
        try:
            if cls.setup_context is Function.setup_context:
                output = cls.forward(node, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, output)
        finally:
            state.restore(before)
        return _record(cls, node, args, output, any(needs), recording)


def _record(
    cls: Any,
    node: Any,
    args: tuple[Any, ...],
    output: Any,
    differentiable: bool,
    recording: bool,
) -> Any:
    single = not isinstance(output, tuple)
    outputs = [output] if single else list(output)
    inputs = {id(a): a for a in args if isinstance(a, Tensor)}
    dirty = {id(t) for t in node._dirty}
    skipped = {id(t) for t in node._non_differentiable}
    for t in node._dirty:
        if t._ver is None:
            t._ver = [1, 0]
        else:
            t._ver[0] += 1
    if not differentiable:
        return output
    node.next = tuple(edge_of(a) for a in args if isinstance(a, Tensor))
    node.__dict__["_is_tensor"] = [isinstance(a, Tensor) for a in args]
    node.seq = next_sequence()
    node.outputs = len(outputs)
    made: list[Any] = []
    likes: list[Any] = []
    saved_as: dict[int, int] = {}
    for i, t in enumerate(outputs):
        if not isinstance(t, Tensor):
            made.append(t)
            likes.append(None)
            continue
        likes.append((t._shape, t.dtype, t.device))
        key = id(t)
        if key in skipped or not t._keys & DIFFERENTIABLE_MASK:
            if key in inputs and key not in dirty:
                t = alias(t)
            made.append(t)
            continue
        saved_as[key] = i
        if key in dirty:
            if t._keys & AUTOGRAD and t._edge is None and key in inputs:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place "
                    "operation."
                )
            rebase_history(t, node)
            node.outputs = len(outputs)
            made.append(t)
            continue
        if key in inputs or t._edge is not None:
            t = t.view_as(t)
        t._keys |= AUTOGRAD
        t._edge = (node, i)
        if t._base is not None:
            t._stamp = t._ver[1] if t._ver is not None else 0
            t._autograd_meta().creation = _VIEW_MADE_INSIDE
        made.append(t)
    node.__dict__["_likes"] = likes
    node.shape = [None if like is None else like[0] for like in likes]
    node.keys = [getattr(t, "_keys", 0) for t in made]
    saved: list[Any] = []
    for t in node._to_save:
        if t is not None and not isinstance(t, Tensor):
            raise TypeError(
                "save_for_backward can only save variables, but argument "
                f"{len(saved)} is of type {type(t).__name__}"
            )
        nr = saved_as.get(id(t))
        if t is not None and nr is not None:
            t = alias(t)
        if state.tls.include & SAVED_HOOKS:
            packed, version = pack(t)
        else:
            packed, version = t, version_of(t) if t is not None else 0
        saved.append((packed, version, nr))
    node.__dict__["_saved"] = tuple(saved)
    node.__dict__.pop("_to_save", None)
    node.__dict__.pop("_dirty", None)
    node.__dict__.pop("_non_differentiable", None)
    return made[0] if single else tuple(made)


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a ``backward`` that can't be differentiated itself."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        recording = state.grad_enabled()
        before = state.update(state.tls.mask & ~(AUTOGRAD | VIEW), state.tls.include)
        try:
            outputs = fn(ctx, *args)
        finally:
            state.restore(before)
        if not recording:
            return outputs
        if not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            return outputs
        single = not isinstance(outputs, tuple)
        listed = [outputs] if single else list(outputs)
        blocked = []
        for t in listed:
            if isinstance(t, Tensor) and t._keys & DIFFERENTIABLE_MASK:
                node = _OnceNode.__new__(_OnceNode)
                node.next = tuple(edge_of(a) for a in args if isinstance(a, Tensor))
                node.seq = next_sequence()
                t = alias(t)
                node.shape, node.keys = t._shape, t._keys
                t._keys |= AUTOGRAD
                t._edge = (node, 0)
            blocked.append(t)
        return blocked[0] if single else tuple(blocked)

    return wrapper


class _OnceNode(Node):
    """Stands where the derivative of a once-differentiable function would."""

    def apply(self, grads: list[Tensor | None]) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with "
            "@once_differentiable"
        )

    def name(self) -> str:
        return "torch::autograd::Error"
