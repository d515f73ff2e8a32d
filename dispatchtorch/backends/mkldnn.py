"""``torch.backends.mkldnn``: not used; its switches keep their values without effect."""

from __future__ import annotations

from dispatchtorch.backends._common import switching

__all__ = ["flags", "is_available"]

enabled = True
deterministic = False
allow_tf32 = True

flags = switching(globals(), enabled=False, deterministic=False, allow_tf32=True)


def is_available() -> bool:
    """False."""
    return False
