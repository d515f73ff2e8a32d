"""Memory formats of convolution weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch.nn.modules.module import Module

    _M = TypeVar("_M", bound=Module)

__all__ = [
    "convert_conv2d_weight_memory_format",
    "convert_conv3d_weight_memory_format",
]


def _convert(module: Any, memory_format: Any, kinds: Any) -> Any:
    if isinstance(module, kinds):
        weight = module.weight
        weight.data = weight.detach().clone(memory_format=memory_format)
    for child in module.children():
        _convert(child, memory_format, kinds)
    return module


def convert_conv2d_weight_memory_format(
    module: _M, memory_format: torch.memory_format
) -> _M:
    """Lay out the weights of all 2-D convolutions below `module` in `memory_format`."""
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    return _convert(module, memory_format, kinds)


def convert_conv3d_weight_memory_format(
    module: _M, memory_format: torch.memory_format
) -> _M:
    """Lay out the weights of all 3-D convolutions below `module` in `memory_format`."""
    kinds = (torch.nn.Conv3d, torch.nn.ConvTranspose3d)
    return _convert(module, memory_format, kinds)
