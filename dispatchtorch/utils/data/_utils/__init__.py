"""What a loader is made of: fetching, collating, moving batches between processes."""

from __future__ import annotations

from . import collate, fetch, pin_memory, worker
from .worker import ExceptionWrapper

__all__ = ["ExceptionWrapper", "collate", "fetch", "pin_memory", "worker"]
