"""Page-locked copies of the tensors in a batch, for faster transfers to a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dispatchtorch as torch

from .collate import is_sequence, rebuild

__all__ = ["pin_memory"]


def pin_memory(data: Any, device: Any = None) -> Any:
    """``data`` with every tensor in it pinned.

    Objects of other types are asked for their own ``pin_memory`` method, and stay as
    they are without one. ``device`` is passed on to tensors where it is given.
    """
    if isinstance(data, torch.Tensor):
        return data.pin_memory() if device is None else data.pin_memory(device)
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, Mapping):
        return rebuild(data, [pin_memory(data[key], device) for key in data])
    if is_sequence(data):
        return rebuild(data, [pin_memory(value, device) for value in data])
    return data
