"""Sharing memory with other array libraries through the DLPack protocol."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import dispatchtorch as torch

__all__ = ["DLDeviceType", "from_dlpack", "to_dlpack"]


class DLDeviceType(IntEnum):
    """The numbers by which DLPack tells kinds of devices apart."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLOpenCL = 4
    kDLVulkan = 7
    kDLMetal = 8
    kDLVPI = 9
    kDLROCM = 10
    kDLROCMHost = 11
    kDLExtDev = 12
    kDLCUDAManaged = 13
    kDLOneAPI = 14
    kDLWebGPU = 15
    kDLHexagon = 16
    kDLMAIA = 17


def from_dlpack(
    ext_tensor: Any, *, device: Any = None, copy: bool | None = None
) -> torch.Tensor:
    """A tensor on the memory of another library's array.

    Args:
        ext_tensor: an object with ``__dlpack__``, or a DLPack capsule.
        device: where the tensor is to be, by default where the array is.
        copy: True always copies, False never does, None does where it must.
    """
    return torch.from_dlpack(ext_tensor, device=device, copy=copy)


def to_dlpack(tensor: torch.Tensor) -> Any:
    """A DLPack capsule of ``tensor``'s memory, to be consumed once."""
    return tensor.__dlpack__()
