"""Other dtypes and devices, and memory that processes share."""

from __future__ import annotations

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
        wanted = TYPE_NAMES.get(dtype.rpartition(".")[2])
        if wanted is None:
            raise ValueError(f"invalid type: '{dtype}'")
        return self.to(wanted)
    wanted = getattr(dtype, "dtype", dtype)
    if not isinstance(wanted, (dtypes.dtype, type)):
        raise TypeError("dtype must be a type, str, or dtype object")
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
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
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


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: host memory needs no pinning for the devices here."""
    return self


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is pinned."""
    return False


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
