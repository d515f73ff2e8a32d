"""Imports every family, which declares its operators."""

from __future__ import annotations

import dispatchtorch.device_layer
import dispatchtorch.autograd.layer
from dispatchtorch.ops import (
    conv,
    copy,
    creation,
    indexing,
    linalg,
    pointwise,
    random,
    reduction,
    view,
)

__all__ = [
    "conv",
    "copy",
    "creation",
    "indexing",
    "linalg",
    "pointwise",
    "random",
    "reduction",
    "view",
]
