"""``torch.backends.cusparselt``: a library that isn't here."""

from __future__ import annotations

__all__ = ["get_max_alg_id", "is_available", "version"]


def is_available() -> bool:
    """False."""
    return False


def version() -> int | None:
    """None: there is no library to have one."""
    return None


def get_max_alg_id() -> int | None:
    """None: there are no algorithms to choose from."""
    return None
