"""The types that PyTorch's signatures are written in, for programs that annotate theirs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, TypeAlias

from dispatchtorch._runtime import SymBool, SymFloat, SymInt
from dispatchtorch._storage.base import StorageBase as Storage
from dispatchtorch.autograd.graph import GradientEdge
from dispatchtorch.device import device as _device
from dispatchtorch.dtypes import dtype as _dtype  # noqa: F401
from dispatchtorch.memory_format import layout as _layout  # noqa: F401
from dispatchtorch.size import Size
from dispatchtorch.tensor import Tensor

__all__ = ["Device", "FileLike", "Number", "Storage"]

_bool, _int, _float, _complex, _str, _bytes = bool, int, float, complex, str, bytes

Number: TypeAlias = int | float | bool
_Number = (int, float, bool)
FileLike: TypeAlias = str | os.PathLike[str] | IO[bytes]
Device: TypeAlias = _device | str | int | None

_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrOptionalTensors: TypeAlias = Tensor | Sequence[Tensor | None]
_TensorOrTensorsOrGradEdge: TypeAlias = (
    Tensor | Sequence[Tensor] | GradientEdge | Sequence[GradientEdge]
)
_size: TypeAlias = Size | list[int] | tuple[int, ...]
_symsize: TypeAlias = Size | Sequence[int | SymInt]

IntLikeType: TypeAlias = int | SymInt
FloatLikeType: TypeAlias = float | SymFloat
BoolLikeType: TypeAlias = bool | SymBool
py_sym_types = (SymInt, SymFloat, SymBool)
PySymType: TypeAlias = SymInt | SymFloat | SymBool
