"""Storages: the memory that tensors view, as bytes and, for old code, as elements.

``Tensor.untyped_storage()`` gives an ``UntypedStorage``, the memory of the tensor and
of all its views. ``TypedStorage`` and the classes named after dtypes (``FloatStorage``,
…) are PyTorch's deprecated second face of the same thing; checkpoints still name them.
The classes live in ``dispatchtorch._storage``.

Follows https://pytorch.org/docs/stable/storage.html.
"""

from __future__ import annotations

from dispatchtorch._storage.base import _load_from_bytes
from dispatchtorch._storage.typed import (
    TypedStorage,
    _get_always_warn_typed_storage_removal,
    _LegacyStorage,
    _reset_warn_typed_storage_removal,
    _set_always_warn_typed_storage_removal,
    _warn_typed_storage_removal,
    legacy_storage_classes,
)
from dispatchtorch._storage.untyped import UntypedStorage
from dispatchtorch._utils import tensor_deepcopy, tensor_reduce_ex

__all__ = ["TypedStorage", "UntypedStorage"]

# FloatStorage and its kind, which ``dispatchtorch`` shows as its own.
globals().update(legacy_storage_classes("dispatchtorch", "cpu"))
Storage = globals()["FloatStorage"]

# Not public, and yet PyTorch's users, and the tensor here, look for them here.
_private = (
    _LegacyStorage,
    _get_always_warn_typed_storage_removal,
    _load_from_bytes,
    _reset_warn_typed_storage_removal,
    _set_always_warn_typed_storage_removal,
    _warn_typed_storage_removal,
    tensor_deepcopy,
    tensor_reduce_ex,
)
