"""``torch.signal``: signal processing."""

from __future__ import annotations

from dispatchtorch.signal import windows

__all__ = ["windows"]
