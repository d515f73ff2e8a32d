"""Imports every family, which declares its operators."""

from __future__ import annotations

import dispatchtorch.device_layer
import dispatchtorch.autograd.layer
from dispatchtorch.ops import (
    activation,
    classification_loss,
    conv,
    copy,
    creation,
    distance,
    dropout,
    embedding,
    indexing,
    linalg,
    loss,
    normalization,
    pointwise,
    pool,
    random,
    reduction,
    softmax,
    view,
)

__all__ = [
    "activation",
    "classification_loss",
    "conv",
    "copy",
    "creation",
    "distance",
    "dropout",
    "embedding",
    "indexing",
    "linalg",
    "loss",
    "normalization",
    "pointwise",
    "pool",
    "random",
    "reduction",
    "softmax",
    "view",
]
