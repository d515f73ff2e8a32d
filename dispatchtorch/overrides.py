"""``__torch_function__`` and function modes: the outermost layer of dispatch.

Tensors whose class overrides functions carry the layer's bit, and a mode switches it on
for its thread; all other calls never meet this file. What isn't an operator is seen to by
``dispatchtorch/interception.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import FUNCTION
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator, packets
from dispatchtorch.interception import (
    handle_torch_function,
    is_unanswered,
    modes_changed,
    set_modes,
    tensor_attributes,
)
from dispatchtorch.rejection import given_arguments, overrides_of
from dispatchtorch.tensor import Tensor

__all__ = [
    "BaseTorchFunctionMode",
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "redispatch_function",
    "resolve_name",
    "wrap_torch_function",
]

Kernel = Callable[..., Any]


class FunctionLayer(Layer):
    """Hands calls to function modes and to ``__torch_function__`` of the operands."""

    name = "function"
    order = 100
    replaces = True

    def bind_form(self, op: Operator, keys: int, inner: Kernel, form: Any) -> Kernel:
        """``form`` is the public function that was called, which overrides are given."""
        is_operator = getattr(form, "form", "") == "operator"
        public = packets[op.name].callable("method") if is_operator else form

        def kernel(*args: Any) -> Any:
            nonlocal public
            if public is None:
                from dispatchtorch._ops import overload_for

                public = overload_for(op, args)
            positional, keywords = given_arguments(op, args)
            if not is_operator:
                return handle_torch_function(public, args, *positional, **keywords)
            try:
                return handle_torch_function(public, args, *positional, **keywords)
            except TypeError as error:
                if is_unanswered(error):
                    return NotImplemented  # Python asks the other operand
                raise

        return kernel

    def describe(self, op: Operator, keys: int) -> str:
        return "__torch_function__ of subclasses and modes"


class TorchFunctionMode:
    """A block in which every call of a public function goes through a method.

    Subclasses define ``__torch_function__(self, func, types, args=(), kwargs=None)``,
    which runs with this mode off.
    Follows https://docs.pytorch.org/docs/stable/torch.overrides.html.
    """

    def __torch_function__(
        self, func: Kernel, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise NotImplementedError

    def __enter__(self) -> Any:
        before = state.tls.function_modes
        entered = self.__dict__.setdefault("_entered", [])
        modes_changed(+1)
        entered.append((before, set_modes((*before, self))))
        return self

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        before, masks = self.__dict__["_entered"].pop()
        state.tls.function_modes = before
        state.restore(masks)
        modes_changed(-1)

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> Any:
        """An instance (the former way to enter a mode)."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Kernel, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


def _get_current_function_mode() -> Any:
    stack = _get_current_function_mode_stack()
    return stack[-1] if stack else None


def _get_current_function_mode_stack() -> list[Any]:
    """The active modes; default devices show as modes, as they are in PyTorch."""
    from importlib import import_module  # from the floor above

    from dispatchtorch import backend

    DeviceContext = import_module("dispatchtorch.utils._device").DeviceContext
    devices = [d for d in (backend._default_device, *state.tls.devices) if d]
    return [*map(DeviceContext, devices), *state.tls.function_modes]


class DisableTorchFunctionSubclass:
    """A block in which ``__torch_function__`` of operands isn't called; modes are."""

    def __enter__(self) -> None:
        tls = state.tls
        self._before = state.update(tls.mask & ~FUNCTION, tls.include)

    def __exit__(self, *exc_info: object) -> None:
        state.restore(self._before)


class DisableTorchFunction:
    """A block in which neither operands' ``__torch_function__`` nor modes are called."""

    def __enter__(self) -> None:
        tls = state.tls
        self._disabled = tls.functions_disabled
        tls.functions_disabled = True
        self._before = state.update(tls.mask & ~FUNCTION, tls.include & ~FUNCTION)

    def __exit__(self, *exc_info: object) -> None:
        state.tls.functions_disabled = self._disabled
        state.restore(self._before)


class enable_reentrant_dispatch:
    """A block in which a handler's calls are dispatched to ``__torch_function__`` again."""

    def __enter__(self) -> None:
        tls = state.tls
        self._before = state.update(tls.mask | FUNCTION, tls.include)

    def __exit__(self, *exc_info: object) -> None:
        state.restore(self._before)


def redispatch_function(func: Kernel, types: Any, args: Any, kwargs: Any) -> Any:
    """Calls a function with the handlers of operands off."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


def torch_function(
    cls: type, func: Kernel, types: Any, args: Any = (), kwargs: Any = None
) -> Any:
    """``Tensor.__torch_function__``: runs the function; results are of the subclass."""
    if not all([issubclass(cls, t) for t in types]):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    if func in _kept_as_they_are():
        return result
    return _converted(result, cls)


_kept: set[Any] = set()


def _kept_as_they_are() -> set[Any]:
    """Functions whose results keep their own class."""
    if not _kept:
        attribute = tensor_attributes()
        for name in ("grad", "_base"):
            if isinstance(attribute.get(name), property):
                _kept.add(attribute[name].__get__)
    return _kept


def _converted(result: Any, cls: type) -> Any:
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        if not any(isinstance(each, (Tensor, tuple, list)) for each in result):
            return result
        made = [_converted(each, cls) for each in result]
        if isinstance(result, tuple) and hasattr(result, "_fields"):
            return type(result)(*made)
        return type(result)(made)
    return result


Tensor.__torch_function__ = classmethod(torch_function)  # type: ignore[attr-defined,assignment]


def has_torch_function(relevant_args: Any) -> bool:
    """Whether an argument's class overrides functions, or a mode is active."""
    tls = state.tls
    if tls.function_modes and not tls.functions_disabled:
        return True
    return bool(tls.mask & FUNCTION) and any(
        not isinstance(each, Tensor) or each._keys & FUNCTION
        for each in overrides_of(relevant_args)
    )


def has_torch_function_unary(relevant_arg: Any) -> bool:
    """As :func:`has_torch_function`, for one argument."""
    return has_torch_function((relevant_arg,))


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """As :func:`has_torch_function`, for arguments one by one."""
    return has_torch_function(relevant_args)


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor or of a class that overrides functions."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def wrap_torch_function(dispatcher: Kernel) -> Callable[[Kernel], Kernel]:
    """Decorates a function so that ``__torch_function__`` may answer for it.

    ``dispatcher`` takes the function's arguments and returns those to be asked.
    """
    import functools

    def decorate(function: Kernel) -> Kernel:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        wrapped.__overridable__ = True  # type: ignore[attr-defined]
        return wrapped

    return decorate


# Introspection: what can be overridden, and under which name.


def get_overridable_functions() -> dict[Any, list[Kernel]]:
    """The public functions that overrides see, by the namespace they are in."""
    from dispatchtorch._overridable import overridable_functions

    return {
        namespace: list(functions.values())
        for namespace, functions in overridable_functions().items()
    }


def get_testing_overrides() -> dict[Kernel, Kernel]:
    """{function: a function of the same signature that returns -1}."""
    from dispatchtorch._overridable import testing_overrides

    return testing_overrides()


def get_ignored_functions() -> set[Kernel]:
    """Public functions that overrides don't see."""
    from dispatchtorch._overridable import ignored_functions

    return ignored_functions()


def resolve_name(f: Kernel) -> str | None:
    """The dotted name of an overridable function, as users write it; None for others."""
    from dispatchtorch._overridable import name_of

    return name_of(f)


def is_tensor_method_or_property(func: Kernel) -> bool:
    """Whether a function is a method of Tensor, or gets or sets a property."""
    from dispatchtorch._overridable import name_of

    name = name_of(func)
    return name is not None and name.startswith("torch.Tensor.")


register_layer(FunctionLayer())
