"""``torch.backends.mha``: whether attention modules may skip steps when they don't train."""

from __future__ import annotations

__all__ = ["get_fastpath_enabled", "set_fastpath_enabled"]

_enabled = True


def get_fastpath_enabled() -> bool:
    """What ``set_fastpath_enabled`` set; there is one path, which gives the same."""
    return _enabled


def set_fastpath_enabled(value: bool) -> None:
    """Allows the fast path, or forbids it."""
    global _enabled
    _enabled = value
