"""``torch.backends.mps``: whether a plugin provides the device."""

from __future__ import annotations

from dispatchtorch.backends._common import has_device

__all__ = ["is_available", "is_built"]


def is_built() -> bool:
    """Whether a plugin provides the device."""
    return has_device("mps")


def is_available() -> bool:
    """Whether a plugin provides the device."""
    return has_device("mps")
