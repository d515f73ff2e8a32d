"""``torch.backends.cpu``: what the processor's vector units are used for."""

from __future__ import annotations

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """``"DEFAULT"``: dispatchtorch has no code of its own for vector units."""
    return "DEFAULT"
