"""Upsampling by interpolation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dispatchtorch.nn.functional as F

from .module import Module

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    Size = int | tuple[int, ...]
    Ratio = float | tuple[float, ...]

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """Resizes ``(N, C, [D, [H,]] W)`` by interpolation.

    Args:
        size, scale_factor: of the output; one of them, one number or one a dimension.
        mode: ``"nearest"``, ``"linear"``, ``"bilinear"``, ``"bicubic"`` or
            ``"trilinear"``, as the number of dimensions demands.
        align_corners: whether the centres of the corner elements stay in place.
        recompute_scale_factor: takes the scale from the rounded output size.
    """

    __constants__ = [
        "size",
        "scale_factor",
        "mode",
        "align_corners",
        "name",
        "recompute_scale_factor",
    ]

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: Ratio | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: Ratio | None
        if isinstance(scale_factor, tuple):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input,
            self.size,  # type: ignore[arg-type]
            self.scale_factor,  # type: ignore[arg-type]
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """:class:`Upsample` of ``(N, C, H, W)`` in mode ``"nearest"``."""

    def __init__(
        self, size: Size | None = None, scale_factor: Ratio | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """:class:`Upsample` of ``(N, C, H, W)`` in mode ``"bilinear"``, corners aligned."""

    def __init__(
        self, size: Size | None = None, scale_factor: Ratio | None = None
    ) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
