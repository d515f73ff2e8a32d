"""``torch.backends.cudnn``: not here; its switches keep their values without effect."""

from __future__ import annotations

from typing import Any

from dispatchtorch.backends._common import switching

__all__ = ["flags", "is_acceptable", "is_available", "version"]

enabled = True
benchmark = False
benchmark_limit: int | None = None
deterministic = False
allow_tf32 = True

flags = switching(
    globals(),
    enabled=False,
    benchmark=False,
    benchmark_limit=10,
    deterministic=False,
    allow_tf32=True,
)


def is_available() -> bool:
    """False."""
    return False


def version() -> int | None:
    """None: there is no such library."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """False: no tensor is computed with it."""
    return False
