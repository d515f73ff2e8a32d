"""Process-wide settings and predicates of the top-level namespace."""

from __future__ import annotations

import os
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import default_device, set_default_device
from dispatchtorch.device import device as Device
from dispatchtorch.dispatch.operator import invalidate
from dispatchtorch.dtypes import set_default_dtype
from dispatchtorch.interception import overridable
from dispatchtorch.tensor import Tensor

__all__ = [
    "get_autocast_dtype",
    "get_default_device",
    "get_num_threads",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "is_complex",
    "is_floating_point",
    "is_storage",
    "is_tensor",
    "numel",
    "set_default_device",
    "set_default_dtype",
    "set_default_tensor_type",
    "set_num_threads",
    "typename",
]

dtypes._default_listeners.append(invalidate)


def get_default_device() -> Device:
    """The device that factories use when none is given."""
    return default_device() or Device("cpu")


def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """Whether an object is a storage."""
    from dispatchtorch.storage import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


@overridable
def is_floating_point(input: Tensor) -> bool:
    """Whether a tensor's dtype is a floating one."""
    return input.is_floating_point()


@overridable
def is_complex(input: Tensor) -> bool:
    """Whether a tensor's dtype is complex."""
    return input.is_complex()


@overridable
def numel(input: Tensor) -> int:
    """The number of elements of a tensor."""
    return input.numel()


def typename(obj: Any) -> str:
    """The name of an object's type, with its module."""
    if isinstance(obj, Tensor):
        return obj.type()
    module = getattr(type(obj), "__module__", "")
    name = type(obj).__qualname__
    return name if module in ("", "builtins") else f"{module}.{name}"


def set_default_tensor_type(t: Any) -> None:
    """Sets the default dtype by a tensor type's name (legacy)."""
    from dispatchtorch._tensor_methods import TYPE_NAMES

    name = t if isinstance(t, str) else getattr(t, "__name__", str(t))
    found = TYPE_NAMES.get(name.rpartition(".")[2])
    if found is None:
        raise TypeError(f"invalid type object: {t!r}")
    set_default_dtype(found)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """False: there is no autocast yet, so it is never on."""
    return False


def get_autocast_dtype(device_type: str) -> dtypes.dtype:
    """The dtype that autocast would cast to."""
    return dtypes.bfloat16 if device_type == "cpu" else dtypes.float16


def is_autocast_cache_enabled() -> bool:
    """False: there is no autocast yet, and so no cache of its casts."""
    return False


_threads: int | None = None


def get_num_threads() -> int:
    """The number of threads that kernels may use."""
    return _threads or len(os.sched_getaffinity(0))


def set_num_threads(num: int) -> None:
    """Sets how many threads kernels may use."""
    global _threads
    if not isinstance(num, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError("Expected nthreads > 0 to be true, but got false.")
    _threads = num
