"""Padding: a class says its mode and its number of dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import dispatchtorch.nn.functional as F

from .module import Module
from .utils import _ntuple

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    __constants__ = ["padding"]
    _nd: ClassVar[int]
    _mode: ClassVar[str]
    padding: tuple[int, ...]

    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__()
        self.padding = _ntuple(2 * self._nd)(padding)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self._mode)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]
    _mode = "constant"

    def __init__(self, padding: int | tuple[int, ...], value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pads the last dimension with ``value``.

    ``padding`` is one number for all sides or one for each, the last dimension first:
    ``(left, right, top, bottom, front, back)``. Negative numbers crop.
    """

    _nd = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads the last two dimensions with ``value``; see :class:`ConstantPad1d`."""

    _nd = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads the last three dimensions with ``value``; see :class:`ConstantPad1d`."""

    _nd = 3


class _Zero(_ConstantPadNd):
    def __init__(self, padding: int | tuple[int, ...]) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_Zero, ConstantPad1d):
    """Pads the last dimension with zeros; ``padding`` as in :class:`ConstantPad1d`."""


class ZeroPad2d(_Zero, ConstantPad2d):
    """Pads the last two dimensions with zeros."""


class ZeroPad3d(_Zero, ConstantPad3d):
    """Pads the last three dimensions with zeros."""


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """Pads ``(N, C, W)`` or ``(C, W)`` with its reflection, the border not repeated;
    ``padding`` as in :class:`ConstantPad1d`."""

    _nd = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pads ``(N, C, H, W)`` or ``(C, H, W)`` with its reflection."""

    _nd = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pads ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with its reflection."""

    _nd = 3


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """Pads ``(N, C, W)`` or ``(C, W)`` by repeating the border; ``padding`` as in
    :class:`ConstantPad1d`."""

    _nd = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pads ``(N, C, H, W)`` or ``(C, H, W)`` by repeating the border."""

    _nd = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pads ``(N, C, D, H, W)`` or ``(C, D, H, W)`` by repeating the border."""

    _nd = 3


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() not in (self._nd + 1, self._nd + 2):
            raise ValueError(
                f"expected {self._nd + 1}D or {self._nd + 2}D input (got "
                f"{input.dim()}D input)"
            )
        return F.pad(input, self.padding, "circular")  # type: ignore[arg-type]


class CircularPad1d(_CircularPadNd):
    """Pads ``(N, C, W)`` or ``(C, W)`` with its other end; ``padding`` as in
    :class:`ConstantPad1d`."""

    _nd = 1


class CircularPad2d(_CircularPadNd):
    """Pads ``(N, C, H, W)`` or ``(C, H, W)`` with its other end."""

    _nd = 2


class CircularPad3d(_CircularPadNd):
    """Pads ``(N, C, D, H, W)`` or ``(C, D, H, W)`` with its other end."""

    _nd = 3
