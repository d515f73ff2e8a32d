"""``torch.nn.functional``: operators of neural networks as functions.

Follows https://docs.pytorch.org/docs/stable/nn.functional.html. Functions that PyTorch
writes in Python stand in the ``_functional_*`` rooms beside this one; all others are
operators, looked up when they are first named.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.interception import overridable

from . import (
    _functional_activation,
    _functional_attention,
    _functional_image,
    _functional_loss,
    _functional_matmul,
    _functional_norm,
    _functional_pooling,
)
from ._functional_activation import *  # noqa: F403
from ._functional_attention import *  # noqa: F403
from ._functional_image import *  # noqa: F403
from ._functional_loss import *  # noqa: F403
from ._functional_matmul import *  # noqa: F403
from ._functional_norm import *  # noqa: F403
from ._functional_pooling import *  # noqa: F403

#: Functions here that are operators under another name.
_RENAMED = {"logsigmoid": "log_sigmoid"}

#: Functions that are operators under their own name.
_OPERATORS = tuple(
    """
    adaptive_avg_pool1d avg_pool1d avg_pool2d avg_pool3d bilinear celu_ channel_shuffle
    conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d
    cosine_similarity elu_ gelu hardshrink hardtanh_ leaky_relu_ linear
    native_channel_shuffle one_hot pairwise_distance pdist pixel_shuffle pixel_unshuffle
    prelu relu_ rrelu_ scaled_dot_product_attention selu_ softplus softshrink threshold_
    """.split()
)

_ROOMS = (
    _functional_activation,
    _functional_attention,
    _functional_image,
    _functional_loss,
    _functional_matmul,
    _functional_norm,
    _functional_pooling,
)
_WRITTEN = [name for room in _ROOMS for name in room.__all__]

__all__ = sorted({*_WRITTEN, *_RENAMED, *_OPERATORS})

for _name in _WRITTEN:
    globals()[_name].__module__ = __name__
    globals()[_name] = overridable(globals()[_name])


def __getattr__(name: str) -> Any:
    packet = _operator.packets.get(_RENAMED.get(name, name))
    if packet is None or not (
        name in _RENAMED or name in _OPERATORS or "nn" in packet.variants
    ):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = packet.callable("function")
    if "function" not in packet.variants:
        made.__module__ = __name__
    globals()[name] = made
    return made


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
