"""The kinds of devices that DLPack tells apart."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["DLDeviceType"]

# The numbers by which DLPack tells kinds of devices apart.
_KINDS = {
    "CPU": 1,
    "CUDA": 2,
    "CUDAHost": 3,
    "OpenCL": 4,
    "Vulkan": 7,
    "Metal": 8,
    "VPI": 9,
    "ROCM": 10,
    "ROCMHost": 11,
    "ExtDev": 12,
    "CUDAManaged": 13,
    "OneAPI": 14,
    "WebGPU": 15,
    "Hexagon": 16,
    "MAIA": 17,
}
DLDeviceType = IntEnum(  # type: ignore[misc]
    "DLDeviceType", {f"kDL{name}": number for name, number in _KINDS.items()}
)
