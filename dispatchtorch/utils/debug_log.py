"""Printing gradients as they arrive."""

from __future__ import annotations

import logging
from typing import Any

from dispatchtorch import Tensor

__all__ = ["debug_grad_log"]

_log = logging.getLogger(__name__)


def debug_grad_log(*tensors: Tensor) -> None:
    """Logs norm, shape and place of each tensor's gradient when backward reaches it."""
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"expected a torch.Tensor, got {type(tensor).__name__}")
        if tensor.requires_grad:
            tensor.register_hook(lambda grad, n=position: _show(grad, n))


def _show(grad: Any, position: int) -> None:
    _log.info(
        "gradient of tensor %d: norm %.6g, shape %s, %s, %s",
        position,
        float(grad.detach().norm()),
        tuple(grad.shape),
        grad.dtype,
        grad.device,
    )
