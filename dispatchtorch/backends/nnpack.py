"""``torch.backends.nnpack``: a library that isn't here."""

from __future__ import annotations

from dispatchtorch.backends._common import switching

__all__ = ["flags", "is_available", "set_flags"]

enabled = False
flags = switching(globals(), enabled=False)


def is_available() -> bool:
    """False."""
    return False


def set_flags(_enabled: bool) -> tuple[bool]:
    """Sets the switch, which changes nothing, and returns what it was."""
    global enabled
    before, enabled = enabled, _enabled
    return (before,)
