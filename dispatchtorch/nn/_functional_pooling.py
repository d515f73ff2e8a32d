"""Pooling functions of ``torch.nn.functional`` that PyTorch writes in Python."""

from __future__ import annotations

__all__: list[str] = []
