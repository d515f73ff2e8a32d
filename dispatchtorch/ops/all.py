"""Imports every family, which declares its operators."""

from __future__ import annotations

import dispatchtorch.device_layer
import dispatchtorch.autograd.layer
from dispatchtorch.ops import (
    activation,
    attention,
    classification_loss,
    complex,
    conv,
    copy,
    creation,
    ctc,
    distance,
    dropout,
    embedding,
    foreach,
    indexing,
    linalg,
    loss,
    normalization,
    pointwise,
    pointwise_more,
    pool,
    random,
    reduction,
    softmax,
    special,
    view,
)

__all__ = [
    "activation",
    "attention",
    "classification_loss",
    "complex",
    "conv",
    "copy",
    "creation",
    "ctc",
    "distance",
    "dropout",
    "embedding",
    "foreach",
    "indexing",
    "linalg",
    "loss",
    "normalization",
    "pointwise",
    "pointwise_more",
    "pool",
    "random",
    "reduction",
    "softmax",
    "special",
    "view",
]
