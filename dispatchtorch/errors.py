"""The exceptions that dispatchtorch raises beyond Python's own; where warnings point.

RuntimeError
├── AcceleratorError             what a device reported
├── OutOfMemoryError             no memory left on a device
├── LinAlgError                  a matrix is singular, not positive, …
├── FallbackError                the policy "error" forbade a crossing to the host
└── UnknownDeviceError           no plugin provides the device (see plugins)
NotImplementedError
└── UnsupportedOperator          an operator has no kernel for a device
"""

from __future__ import annotations

import sys
from typing import Any

__all__ = [
    "AcceleratorError",
    "FallbackError",
    "LinAlgError",
    "OutOfMemoryError",
    "UnsupportedOperator",
    "user_level",
]


class OutOfMemoryError(RuntimeError):
    """A device couldn't give the memory asked for."""


class AcceleratorError(RuntimeError):
    """An error that a device reported, mostly after the call that caused it."""


class LinAlgError(RuntimeError):
    """A matrix that an algorithm can't take: singular, not positive definite, …"""


# The name that users see it under (torch.linalg.LinAlgError is torch._C's too).
LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"
LinAlgError.__module__ = "torch._C"


class FallbackError(RuntimeError):
    """An operator would have crossed to the host, and the fallback policy forbids it."""


class UnsupportedOperator(NotImplementedError):
    """No kernel, decomposition or fallback for an operator on a device."""


def user_level() -> int:
    """The stack level of the first frame outside this package, for warnings."""
    frame: Any = sys._getframe(1)
    level = 1
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        file = frame.f_code.co_filename
        if not module.startswith("dispatchtorch") and not file.startswith("<generated"):
            return level
        frame = frame.f_back
        level += 1
    return 2
