"""Settings of deterministic mode."""

from __future__ import annotations

__all__ = ["fill_uninitialized_memory"]

#: Whether ``empty`` should fill its memory in deterministic mode. Kernels here read no
#: memory that wasn't written, so that nothing depends on it.
fill_uninitialized_memory = True
