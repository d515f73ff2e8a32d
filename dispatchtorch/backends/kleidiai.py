"""``torch.backends.kleidiai``: a library that isn't here."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """False."""
    return False
