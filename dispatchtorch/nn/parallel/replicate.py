"""Copies of a module on several devices."""

from __future__ import annotations

from .data_parallel import replicate

__all__ = ["replicate"]
