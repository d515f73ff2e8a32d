"""PyTorch's name of :mod:`dispatchtorch.autograd.anomaly`."""

from __future__ import annotations

from dispatchtorch.autograd.anomaly import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
