"""``torch.distributed`` as in a build without it: it says that it isn't available."""

from __future__ import annotations

from typing import Any

from dispatchtorch._absent import explanation

__all__ = ["is_available"]


def is_available() -> bool:
    """False: distributed training isn't supported."""
    return False


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'torch.distributed' has no attribute '{name}'"
        f"{'' if name.startswith('__') else explanation('distributed')}"
    )
