"""Dispatch modes, and helpers of classes with ``__torch_dispatch__``.

A mode sees every operator below autograd while it is active::

    class Log(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            print(func)
            return func(*args, **(kwargs or {}))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dispatchtorch import python_dispatch as _layer
from dispatchtorch.dispatch import state
from dispatchtorch.tensor import Tensor

__all__ = [
    "BaseTorchDispatchMode",
    "TorchDispatchMode",
    "is_traceable_wrapper_subclass",
    "is_traceable_wrapper_subclass_type",
    "return_and_correct_aliasing",
    "transform_subclass",
]


class TorchDispatchMode:
    """A block in which every operator below autograd goes through a method.

    Subclasses define ``__torch_dispatch__(self, func, types, args=(), kwargs=None)``,
    which runs with this mode off.
    """

    def __init__(self, _dispatch_key: Any = None) -> None:
        if _dispatch_key is not None:
            raise NotImplementedError(
                "TorchDispatchMode: infrastructure modes (_dispatch_key) aren't supported"
            )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        _layer.install()
        before = _layer.set_modes((*state.tls.dispatch_modes, self))
        self.__dict__.setdefault("_before", []).append(before)
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        _layer.set_modes(self.__dict__["_before"].pop())

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """An instance (the former way to enter a mode)."""
        return cls(*args, **kwargs)

    @classmethod
    def is_infra_mode(cls) -> bool:
        return False


class BaseTorchDispatchMode(TorchDispatchMode):
    """A mode that changes nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _get_current_dispatch_mode() -> Any:
    modes = state.tls.dispatch_modes
    return modes[-1] if modes else None


def _get_current_dispatch_mode_stack() -> list[Any]:
    return list(state.tls.dispatch_modes)


def _len_torch_dispatch_stack() -> int:
    return len(state.tls.dispatch_modes)


def is_in_torch_dispatch_mode(include_infra_modes: bool = True) -> bool:
    """Whether a dispatch mode is active in this thread."""
    return bool(state.tls.dispatch_modes)


def _push_mode(mode: TorchDispatchMode) -> None:
    _layer.install()
    _layer.set_modes((*state.tls.dispatch_modes, mode))


def _pop_mode(k: Any = None) -> Any:
    *rest, mode = state.tls.dispatch_modes
    _layer.set_modes(tuple(rest))
    return mode


@contextmanager
def _pop_mode_temporarily(k: Any = None) -> Iterator[Any]:
    old = _pop_mode(k)
    try:
        yield old
    finally:
        _push_mode(old)


@contextmanager
def _disable_current_modes() -> Iterator[list[Any]]:
    """A block without any dispatch mode."""
    before = _layer.set_modes(())
    try:
        yield list(before)
    finally:
        _layer.set_modes(before)


def is_traceable_wrapper_subclass_type(t: Any) -> bool:
    """Whether a class says how its tensors are taken apart and put together."""
    return (
        issubclass(t, Tensor)
        and t is not Tensor
        and hasattr(t, "__tensor_flatten__")
        and hasattr(t, "__tensor_unflatten__")
    )


def is_traceable_wrapper_subclass(t: object) -> bool:
    """As :func:`is_traceable_wrapper_subclass_type`, of an object."""
    return isinstance(t, Tensor) and is_traceable_wrapper_subclass_type(type(t))


def transform_subclass(
    t: Any,
    callback: Callable[[str, Any], Any],
    outer_size: Any = None,
    outer_stride: Any = None,
) -> Any:
    """A wrapper of the same class, its inner tensors replaced by ``callback(name, t)``."""
    outer_size = t.size() if outer_size is None else outer_size
    outer_stride = t.stride() if outer_stride is None else outer_stride
    names, context = t.__tensor_flatten__()
    inner = {name: callback(name, getattr(t, name)) for name in names}
    made = type(t).__tensor_unflatten__(inner, context, outer_size, outer_stride)
    if made.shape != outer_size:
        raise AssertionError(
            f"Expected return value from {type(t)}__tensor_unflatten__() to have shape "
            f"equal to {outer_size}, but got: {made.shape}"
        )
    if made.stride() != outer_stride:
        raise AssertionError(
            f"Expected return value from {type(t)}__tensor_unflatten__() to have stride "
            f"equal to {outer_stride}, but got: {made.stride()}"
        )
    return made


def return_and_correct_aliasing(
    func: Any, args: Any, kwargs: Any, out: Any, *, _skip_alias: bool = False
) -> Any:
    """What a wrapper's ``__torch_dispatch__`` should return, aliasing as the schema says.

    Results that are arguments written in place become those very arguments. The memory
    that views share is seen to by the layer above.
    """
    schema = func._schema
    written = {
        name: given
        for argument in schema.arguments
        if argument.is_write
        for name in argument.alias_info.before_set
        for given in [_given(schema, argument, args, kwargs or {})]
    }
    if not written:
        return out
    outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    made = [
        next((written[n] for n in result.alias_info.before_set if n in written), output)
        if result.alias_info is not None
        else output
        for result, output in zip(schema.returns, outputs, strict=False)
    ]
    if not made:
        return out
    return type(out)(made) if isinstance(out, (list, tuple)) else made[0]


def _given(schema: Any, argument: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if argument.name in kwargs:
        return kwargs[argument.name]
    return args[[a.name for a in schema.arguments].index(argument.name)]
