"""Sharing memory with other array libraries through the DLPack protocol."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch._tensor_methods.device_kinds import DLDeviceType

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


def from_dlpack(
    ext_tensor: Any, *, device: Any = None, copy: bool | None = None
) -> torch.Tensor:
    """A tensor on the memory of another library's array.

    Args:
        ext_tensor: an object with ``__dlpack__``, or a DLPack capsule.
        device: where the tensor is to be, by default where the array is.
        copy: True always copies, False never does, None does where it must.
    """
    if not hasattr(ext_tensor, "__dlpack__") and "PyCapsule" in str(type(ext_tensor)):
        if device is not None or copy is not None:
            raise AssertionError(
                "device and copy kwargs not supported when ext_tensor is already a "
                "DLPack capsule."
            )
        ext_tensor = _Exporter(ext_tensor)
    return torch.from_dlpack(ext_tensor, device=device, copy=copy)


class _Exporter:
    """Gives out a capsule that is there already; host memory, as it can't be asked."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return int(DLDeviceType["kDLCPU"]), 0


def to_dlpack(tensor: torch.Tensor) -> Any:
    """A DLPack capsule of ``tensor``'s memory, to be consumed once."""
    return tensor.__dlpack__()
