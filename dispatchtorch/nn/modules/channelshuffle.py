"""Interleaving groups of channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dispatchtorch.nn.functional as F

from .module import Module

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Reorders the channels of ``(N, C, *)``: ``(groups, C / groups)`` transposed.
    https://arxiv.org/abs/1707.01083"""

    __constants__ = ["groups"]

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
