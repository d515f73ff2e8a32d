"""``__torch_function__`` and function modes: the outermost layer of dispatch.

Tensors whose class overrides functions carry the layer's bit, and a mode switches it on
for its thread; all other calls never meet this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import FUNCTION
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator, packets
from dispatchtorch.rejection import given_arguments, overrides_of
from dispatchtorch.tensor import Tensor

__all__ = [
    "BaseTorchFunctionMode",
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "TorchFunctionMode",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
]

Kernel = Callable[..., Any]


class FunctionLayer(Layer):
    """Hands calls to function modes and to ``__torch_function__`` of the operands."""

    name = "function"
    order = 100

    def bind_form(self, op: Operator, keys: int, inner: Kernel, form: Any) -> Kernel:
        """``form`` is the public function that was called, which overrides are given."""
        public = form if form is not None else op

        def kernel(*args: Any) -> Any:
            positional, keywords = given_arguments(op, args)
            return handle_torch_function(public, args, *positional, **keywords)

        return kernel

    def describe(self, op: Operator, keys: int) -> str:
        return "__torch_function__ of subclasses and modes"


def handle_torch_function(
    public_api: Kernel, relevant_args: Any, *args: Any, **kwargs: Any
) -> Any:
    """Asks the modes from the innermost out, then the overriding operands.

    TypeError where all of them answer NotImplemented.
    """
    overriding = overrides_of(relevant_args)
    types = tuple(type(v) for v in overriding)
    modes = state.tls.function_modes
    if modes:
        mode = modes[-1]
        with _Popped(modes[:-1]):
            result = mode.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    for each in overriding:
        function = type(each).__torch_function__
        result = function(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    if not overriding:
        with state.exclude(FUNCTION):
            return public_api(*args, **kwargs)
    name = getattr(public_api, "__qualname__", str(public_api))
    listed = "\n".join(f"  - tensor subclass {t}" for t in types)
    raise TypeError(
        f"Multiple dispatch failed for 'torch.{name}'; all __torch_function__ handlers "
        f"returned NotImplemented:\n\n{listed}\n\nFor more information, try re-running "
        "with TORCH_LOGS=not_implemented"
    )


class _Popped:
    """A block in which only the outer modes are active."""

    def __init__(self, modes: tuple[Any, ...]) -> None:
        self.modes = modes

    def __enter__(self) -> None:
        self.before = state.tls.function_modes
        self.masks = _set_modes(self.modes)

    def __exit__(self, *exc_info: object) -> None:
        state.tls.function_modes = self.before
        state.restore(self.masks)


def _set_modes(modes: tuple[Any, ...]) -> tuple[int, int]:
    state.tls.function_modes = modes
    include = state.tls.include | FUNCTION if modes else state.tls.include & ~FUNCTION
    return state.update(state.tls.mask, include)


class TorchFunctionMode:
    """A block in which every call of a public function goes through a method.

    Follows https://docs.pytorch.org/docs/stable/torch.overrides.html.
    """

    def __torch_function__(
        self, func: Kernel, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        before = state.tls.function_modes
        entered = self.__dict__.setdefault("_entered", [])
        entered.append((before, _set_modes((*before, self))))
        return self

    def __exit__(self, *exc_info: object) -> None:
        before, masks = self.__dict__["_entered"].pop()
        state.tls.function_modes = before
        state.restore(masks)

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> TorchFunctionMode:
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Kernel, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass(state.exclude):
    """A block in which ``__torch_function__`` of operands isn't called."""

    def __init__(self) -> None:
        super().__init__(FUNCTION)


DisableTorchFunction = DisableTorchFunctionSubclass


def torch_function(
    cls: type, func: Kernel, types: Any, args: Any = (), kwargs: Any = None
) -> Any:
    """``Tensor.__torch_function__``: runs the function; results are of the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with state.exclude(FUNCTION):
        result = func(*args, **(kwargs or {}))
    return _converted(result, cls)


def _converted(result: Any, cls: type) -> Any:
    if cls is Tensor:
        return result
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        return type(result)([_converted(each, cls) for each in result])
    return result


Tensor.__torch_function__ = classmethod(torch_function)  # type: ignore[attr-defined]


def has_torch_function(relevant_args: Any) -> bool:
    """Whether an argument's class overrides functions, or a mode is active."""
    if state.tls.function_modes:
        return True
    return bool(state.tls.mask & FUNCTION) and any(
        not isinstance(each, Tensor) or each._keys & FUNCTION
        for each in overrides_of(relevant_args)
    )


def is_tensor_like(inp: Any) -> bool:
    """Whether an object is a tensor or a class that overrides functions."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def get_overridable_functions() -> dict[Any, list[Kernel]]:
    """The public functions that overrides see, by the namespace they are in."""
    import dispatchtorch

    functions, methods = [], []
    for packet in list(packets.values()):
        if "function" in packet.variants:
            functions.append(packet.callable("function"))
        if "method" in packet.variants:
            methods.append(packet.callable("method"))
    return {dispatchtorch: functions, Tensor: methods}


def resolve_name(f: Kernel) -> str | None:
    """The dotted name of a public function."""
    name = getattr(f, "__qualname__", None)
    return None if name is None else f"torch.{name}"


def is_tensor_method_or_property(func: Kernel) -> bool:
    """Whether a public function is a method of Tensor."""
    return getattr(func, "__qualname__", "").startswith("Tensor.")


register_layer(FunctionLayer())
