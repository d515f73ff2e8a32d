"""How ``__torch_function__`` sees calls that aren't operators.

Operators meet overrides in a layer. Tensor's Python methods, its attributes and the
functions that are written in Python have no table to bind a layer in, so

- classes that override functions are given descriptors that ask ``__torch_function__``,
- Tensor has such descriptors for as long as some thread is inside a function mode,
- functions are wrapped by :func:`overridable`, which looks at the classes of arguments.

A plain tensor outside modes pays for none of it, but for the look at the classes.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, TypeVar

from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import FUNCTION
from dispatchtorch.rejection import overrides_of
from dispatchtorch.tensor import Tensor

__all__ = [
    "equip",
    "handle_torch_function",
    "handled",
    "is_unanswered",
    "modes_changed",
    "overridable",
    "set_modes",
    "tensor_attributes",
]

F = TypeVar("F", bound=Callable[..., Any])

# What no override sees: construction, the protocol itself, and our own internals.
_UNSEEN = frozenset(
    """
    __new__ __init__ __getattr__ __dir__ __hash__ __torch_function__ __torch_dispatch__
    __init_subclass__ __class_getitem__ __setattr__ __delattr__ __getattribute__ __class__
    __dict__ __doc__ __module__ __weakref__ __slots__ __array_priority__
    __annotations__ __dlpack__ __dlpack_device__ __iter__ __rsub__ new_tensor_ layout_
    as_subclass is_inference names rename align_to reinforce_type
    """.split()
)
# Operators whose dunder PyTorch shows as itself and not as the method of its operator.
_OWN_NAME = frozenset(
    "__eq__ __pow__ __rpow__ __floordiv__ __rfloordiv__ __rtruediv__ __rsub__ __rmod__ "
    "__rlshift__ __rrshift__ __getitem__ __setitem__ __rmatmul__".split()
)


def tensor_attributes() -> dict[str, Any]:
    """Tensor's Python methods and properties that overrides are asked about."""
    found = {}
    for name, value in _originals(Tensor).items():
        if name in _UNSEEN and name not in _OWN_NAME:
            continue
        if name.startswith("_") and not name.endswith("__"):
            if name not in ("_version", "_base", "_backward_hooks", "_is_view"):
                continue
            if not isinstance(value, (property, FunctionType)):
                continue
        if isinstance(value, property) or (
            isinstance(value, FunctionType)
            and (name in _OWN_NAME or not _is_operator(value))
        ):
            found[name] = value
    return found


def _is_operator(function: Any) -> bool:
    return (
        hasattr(function, "op")
        or hasattr(function, "packet")
        or function.__name__ in _GENERATED_DUNDERS
    )


_GENERATED_DUNDERS = frozenset(
    """
    __add__ __radd__ __iadd__ __sub__ __isub__ __mul__ __rmul__ __imul__ __truediv__
    __itruediv__ __matmul__ __and__ __iand__ __or__ __ior__ __xor__ __ixor__ __mod__
    __imod__ __ipow__ __ifloordiv__ __lshift__ __rshift__ __ilshift__ __irshift__ __ne__
    __lt__ __le__ __gt__ __ge__ __neg__ __abs__ __invert__
    """.split()
)


def _originals(cls: type) -> dict[str, Any]:
    return {
        name: value.original if isinstance(value, Intercepted) else value
        for name, value in vars(cls).items()
    }


class Intercepted:
    """A method or property that asks overrides; on the class it is the original."""

    __slots__ = ("name", "original", "wrapper")

    def __init__(self, name: str, original: Any) -> None:
        self.name = name
        self.original = original
        if not isinstance(original, property):

            @functools.wraps(original)
            def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
                return handled(original, (self, *args), self, *args, **kwargs)

            self.wrapper = wrapper

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        original = self.original
        if instance is None:
            return original
        if isinstance(original, property):
            if _intercepts(instance):
                return handled(original.__get__, (instance,), instance)
            return original.__get__(instance, owner)
        if _intercepts(instance):
            return MethodType(self.wrapper, instance)
        return MethodType(original, instance)


class InterceptedProperty(Intercepted):
    """An :class:`Intercepted` that can be set; it takes precedence over the instance."""

    __slots__ = ()

    def __set__(self, instance: Any, value: Any) -> None:
        if _intercepts(instance):
            handled(self.original.__set__, (instance, value), instance, value)
        else:
            self.original.__set__(instance, value)

    def __delete__(self, instance: Any) -> None:
        if _intercepts(instance):
            handled(self.original.__delete__, (instance,), instance)
        else:
            self.original.__delete__(instance)


def _intercepts(instance: Any) -> bool:
    tls = state.tls
    if tls.function_modes and not tls.functions_disabled:
        return True
    return bool(instance._keys & FUNCTION & tls.mask)


class Again:
    """A method that asks the handlers left; equal to the method itself."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return handled(self.function, args, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return bool(self.function == getattr(other, "function", other))

    def __hash__(self) -> int:
        return hash(self.function)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def is_unanswered(error: TypeError) -> bool:
    """Whether an error says that all handlers returned NotImplemented."""
    return hasattr(error, "unanswered")


def _unanswered(message: str) -> TypeError:
    error: Any = TypeError(message)
    error.unanswered = True
    return error  # type: ignore[no-any-return]


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Any, *args: Any, **kwargs: Any
) -> Any:
    """Asks the innermost mode, then the overriding operands, subclasses first.

    TypeError where all of them answer NotImplemented.
    """
    tls = state.tls
    overriding = overrides_of(relevant_args) if tls.mask & FUNCTION else []
    types = tuple([type(v) for v in overriding])
    modes = () if tls.functions_disabled else tls.function_modes
    tried = []
    if modes:
        mode = modes[-1]
        with _Popped(modes[:-1]):
            result = mode.__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
        tried.append(f"mode object {mode!r}")
    for each in overriding:
        function = each.__torch_function__
        if getattr(function, "__self__", None) is each:
            warnings.warn(
                "Defining your `__torch_function__` as a plain method is deprecated and "
                "will be an error in future, please define it as a classmethod.",
                stacklevel=3,
            )
        result = function(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
        tried.append(f"tensor subclass {type(each)}")
    if not tried:
        with state.exclude(FUNCTION):
            return public_api(*args, **kwargs)
    from dispatchtorch._overridable import name_of

    name = name_of(public_api) or str(public_api)
    if getattr(public_api, "__overridable__", False) and not modes:
        listed = "[" + ", ".join(map(repr, types)) + "]"
        raise _unanswered(
            f"no implementation found for '{name}' on types that implement "
            f"__torch_function__: {listed}"
        )
    lines = "\n".join(f"  - {each}" for each in tried)
    raise _unanswered(
        f"Multiple dispatch failed for '{name}'; all __torch_function__ handlers "
        f"returned NotImplemented:\n\n{lines}\n\nFor more information, try re-running "
        "with TORCH_LOGS=not_implemented"
    )


class _Popped:
    """A block in which only the outer modes are active."""

    def __init__(self, modes: tuple[Any, ...]) -> None:
        self.modes = modes

    def __enter__(self) -> None:
        self.before = state.tls.function_modes
        self.masks = set_modes(self.modes)

    def __exit__(self, *exc_info: object) -> None:
        state.tls.function_modes = self.before
        state.restore(self.masks)


def set_modes(modes: tuple[Any, ...]) -> tuple[int, int]:
    tls = state.tls
    tls.function_modes = modes
    active = modes and not tls.functions_disabled
    include = tls.include | FUNCTION if active else tls.include & ~FUNCTION
    return state.update(tls.mask, include)


def handled(function: Any, relevant: Any, *args: Any, **kwargs: Any) -> Any:
    """The call of a method (or a factory), as overrides answer it."""
    tls = state.tls
    left = len(tls.function_modes) + bool(
        tls.mask & FUNCTION and overrides_of(relevant)
    )
    public = Again(function) if left > 1 else function
    try:
        return handle_torch_function(public, relevant, *args, **kwargs)
    except TypeError as error:
        if is_unanswered(error) and getattr(function, "__name__", "") in _OWN_NAME:
            return NotImplemented
        raise


def _made(name: str, original: Any) -> Intercepted:
    kind = InterceptedProperty if isinstance(original, property) else Intercepted
    return kind(name, original)


def equip(cls: type) -> None:
    """Gives a class that overrides functions the descriptors, once."""
    if "__intercepts__" in vars(cls):
        return
    type.__setattr__(cls, "__intercepts__", True)
    inherited: set[str] = set()
    for base in cls.__mro__:
        if base is Tensor:
            break
        inherited |= vars(base).keys()
    for name, original in tensor_attributes().items():
        if name not in inherited:
            setattr(cls, name, _made(name, original))


# Modes.

_lock = threading.Lock()
_inside = 0


def modes_changed(by: int) -> None:
    """Counts the threads' function modes; the first one equips Tensor, the last undoes it."""
    global _inside
    with _lock:
        before, _inside = _inside, _inside + by
        if before == 0 and _inside:
            for name, original in tensor_attributes().items():
                setattr(Tensor, name, _made(name, original))
        elif before and _inside == 0:
            for name, value in list(vars(Tensor).items()):
                if isinstance(value, Intercepted):
                    setattr(Tensor, name, value.original)


# Functions.

_PLAIN: set[type] = {Tensor, int, float, bool, str, complex, type(None)}


def overridable(function: F) -> F:
    """A public function written in Python, which overrides of its arguments may answer."""

    @functools.wraps(function)
    def public(*args: Any, **kwargs: Any) -> Any:
        for each in args:
            if type(each) not in _PLAIN:
                break
        else:
            if not kwargs and not state.ACTIVE:
                return function(*args)
        if _wanted((*args, *kwargs.values())):
            relevant = (*args, *kwargs.values())
            return handle_torch_function(public, relevant, *args, **kwargs)
        return function(*args, **kwargs)

    public.__overridable__ = True  # type: ignore[attr-defined]
    return public  # type: ignore[return-value]


def _wanted(values: Any) -> bool:
    tls = state.tls
    if tls.function_modes and not tls.functions_disabled:
        return True
    return bool(tls.mask & FUNCTION) and any(map(_overrides, values))


def _overrides(value: Any) -> bool:
    kind = type(value)
    if kind in _PLAIN:
        return False
    if kind is list or kind is tuple:
        return any(map(_overrides, value))
    if isinstance(value, Tensor):
        if not value._keys & FUNCTION:
            _PLAIN.add(kind)
            return False
        return True
    return getattr(kind, "__torch_function__", None) is not None
