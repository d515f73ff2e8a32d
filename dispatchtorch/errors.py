"""The exceptions that dispatchtorch raises beyond Python's own.

RuntimeError
├── OutOfMemoryError             no memory left on a device
├── FallbackError                the policy "error" forbade a crossing to the host
└── UnknownDeviceError           no plugin provides the device (see plugins)
NotImplementedError
└── UnsupportedOperator          an operator has no kernel for a device
"""

from __future__ import annotations

__all__ = ["FallbackError", "OutOfMemoryError", "UnsupportedOperator"]


class OutOfMemoryError(RuntimeError):
    """A device couldn't give the memory asked for."""


class FallbackError(RuntimeError):
    """An operator would have crossed to the host, and the fallback policy forbids it."""


class UnsupportedOperator(NotImplementedError):
    """No kernel, decomposition or fallback for an operator on a device."""
