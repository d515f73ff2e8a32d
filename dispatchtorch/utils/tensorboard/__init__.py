"""Writing what TensorBoard shows: scalars, histograms, images, text and more.

Stands on the ``tensorboard`` package, which is imported when a writer is made.
"""

from __future__ import annotations

from typing import Any

from .writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "RecordWriter", "SummaryWriter"]


def __getattr__(name: str) -> Any:
    if name == "RecordWriter":
        from tensorboard.summary.writer.record_writer import RecordWriter

        return RecordWriter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
