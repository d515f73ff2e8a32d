"""Other dtypes and devices, and memory that processes share."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch._tensor_methods._install import method
from dispatchtorch.device import device as Device
from dispatchtorch.ops import copy as _copy
from dispatchtorch.tensor import Tensor

__all__: list[str] = []


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name, or the tensor as another type."""
    from dispatchtorch.tensor import type_name

    if dtype is None:
        return type_name(self)
    if isinstance(dtype, str):
        place, _, name = dtype.rpartition(".")
        wanted = TYPE_NAMES.get(name)
        if wanted is None:
            raise ValueError(f"invalid type: '{dtype}'")
        device = place.removeprefix("torch").removeprefix(".") or "cpu"
        return self.to(device, wanted, non_blocking=non_blocking)
    wanted = getattr(dtype, "dtype", dtype)
    if not isinstance(wanted, (dtypes.dtype, type)):
        raise TypeError("dtype must be a type, str, or dtype object")
    own = getattr(dtype, "device_type", None)  # of torch.cuda.FloatTensor
    if own is not None:
        return self.to(own, wanted, non_blocking=non_blocking)
    return self.to(wanted, non_blocking=non_blocking)


Tensor.type = _type  # type: ignore[attr-defined,assignment]
TYPE_NAMES = {dtypes.scalar_type_name(d) + "Tensor": d for d in dtypes.DTYPES}


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype and on the device of another."""
    return self.to(other.device, other.dtype)


Tensor.to = _copy.to  # type: ignore[attr-defined,assignment]
for _name, _function in _copy.CAST_METHODS.items():
    setattr(Tensor, _name, _function)


@method
def cpu(self: Tensor, *, memory_format: Any = None) -> Tensor:
    """The tensor on the host; itself where it is there already."""
    return self.to("cpu", memory_format=memory_format)


def to_device_method(name: str) -> Callable[..., Tensor]:
    """``Tensor.cuda`` and its kind: the tensor on a device type."""

    def move(
        self: Tensor,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        if device is None:
            target = Device(name)
        else:
            target = Device(name, device) if isinstance(device, int) else Device(device)
        return self.to(target, non_blocking=non_blocking, memory_format=memory_format)

    move.__name__ = name
    move.__qualname__ = f"Tensor.{name}"
    return move


Tensor.cuda = to_device_method("cuda")  # type: ignore[attr-defined]


def _accelerator(device: Any, name: str) -> Any:
    """The backend that host memory is pinned for; None where there is none."""
    from dispatchtorch.backend import current_accelerator, get_backend

    if device is not None:
        warnings.warn(
            f"The argument 'device' of Tensor.{name}() is deprecated. Please do not pass "
            "this argument.",
            DeprecationWarning,
            stacklevel=3,
        )
        return get_backend(Device(device).type)
    try:
        return get_backend(current_accelerator())
    except RuntimeError:
        return None


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """A copy in page-locked host memory, where the accelerator gains from that."""
    from dispatchtorch.tensor import wrap

    if not self._backend.is_host:
        raise RuntimeError(
            f"cannot pin '{self.type()}' only dense CPU tensors can be pinned"
        )
    backend = _accelerator(device, "pin_memory")
    if backend is None:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    array = self._data
    if backend.is_pinned(array):
        return self
    pinned = backend.pin_memory(array)
    return self if pinned is array else wrap(pinned, self._backend)


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked for the accelerator."""
    if not self._backend.is_host:
        return False
    backend = _accelerator(device, "is_pinned")
    return backend is not None and backend.is_pinned(self._data)


@method
def share_memory_(self: Tensor) -> Tensor:
    """Moves the memory to where child processes share it.

    Other tensors that view the old memory stay there.
    """
    if not self._backend.is_host or self.is_shared() or not self.numel():
        return self
    from dispatchtorch.storage import UntypedStorage

    old = self.untyped_storage()
    new = UntypedStorage._new_shared(old.nbytes()).copy_(old)
    moved = new._as_tensor(self.dtype)
    self._data = moved.as_strided(
        self._shape, self.stride(), self.storage_offset()
    )._data
    return self


@method
def is_shared(self: Tensor) -> bool:
    """Whether other processes can map the memory."""
    return bool(self._backend.is_host and self.untyped_storage().is_shared())
