"""What devices that generate kernels in a C-like language share.

``expressions`` has rows of pointwise operators and their C expressions, ``geometry`` the
arithmetic of shapes and strides by which kernels find elements, ``sampling`` what their
generators of random numbers have in common. Nothing here knows a device.
"""

from __future__ import annotations

__all__: list[str] = []
