"""The memory behind a tensor: storages, resizing, in-place Python functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch._tensor_methods._install import method
from dispatchtorch.dispatch import state
from dispatchtorch.dtypes import c_type
from dispatchtorch.memory_format import preserve_format
from dispatchtorch.ops._common import contiguous_strides, torch
from dispatchtorch.ops.creation import torch_memory_format_strides
from dispatchtorch.signatures import type_name
from dispatchtorch.tensor import Tensor, wrap

__all__: list[str] = []


@method
def untyped_storage(self: Tensor) -> Any:
    """The memory as bytes."""
    from dispatchtorch.storage import UntypedStorage

    return UntypedStorage._of(self)


@method
def storage(self: Tensor) -> Any:
    """The memory as elements (deprecated in favour of ``untyped_storage``)."""
    from dispatchtorch.storage import TypedStorage

    return TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype)


@method
def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Makes this tensor a view of another's memory, or of a storage."""
    if self.requires_grad and state.grad_enabled() and self._edge is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    if source is None:
        source = torch.empty((0,), dtype=self.dtype, device=self.device)
    if not isinstance(source, Tensor):
        source = source._as_tensor(self.dtype)
    if source.dtype is not self.dtype:
        raise RuntimeError(
            f"Could not set tensor of type {c_type(source.dtype)} to a tensor of type "
            f"{c_type(self.dtype)}"
        )
    if size is not None:
        size = tuple(size)
        steps = contiguous_strides(size) if stride is None else tuple(stride)
        source = source.as_strided(size, steps, storage_offset)
    self._data = source._data
    self._ver = [1, 0] if self._ver is None else [self._ver[0] + 1, self._ver[1]]
    return self


@method
def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Changes the shape, keeping the elements that fit; new memory where it must."""
    shape = (
        tuple(sizes[0])
        if len(sizes) == 1 and not isinstance(sizes[0], int)
        else tuple(sizes)
    )
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    if shape == self._shape and memory_format is None:
        return self
    room = math.prod(self._backend.shape(self._backend.root(self._data)))
    start = self.storage_offset()
    need = math.prod(shape)
    strides = None
    if memory_format is not None and memory_format is not preserve_format:
        strides = torch_memory_format_strides(shape, memory_format)
    if strides is None:
        strides = contiguous_strides(shape)
    if need + start <= room:
        self._data = self._root().as_strided(shape, strides, start)._data
    else:
        made = torch.empty_strided(shape, strides, dtype=self.dtype, device=self.device)
        old = self._root()
        count = min(max(room - start, 0), need)
        if count:
            made.as_strided((count,), (1,), 0).copy_(
                old.as_strided((count,), (1,), start)
            )
        self._data = made._data
    return self


@method
def resize_as_(
    self: Tensor, the_template: Tensor, *, memory_format: Any = None
) -> Tensor:
    """Resized to the shape of another tensor."""
    if not isinstance(the_template, Tensor):
        raise TypeError(
            "resize_as_(): argument 'the_template' (position 1) must be Tensor, not "
            f"{type_name(the_template)}"
        )
    return self.resize_(the_template._shape, memory_format=memory_format)


@method
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces each element by ``callable(element)`` (slow; host tensors only)."""
    if not self._backend.is_host:
        raise TypeError("apply_ is only implemented on CPU tensors")
    flat = self.reshape(-1).tolist()
    made = np.array([callable(v) for v in flat], self._data.dtype)
    return self.copy_(wrap(made.reshape(self._data.shape), self._backend))


@method
def map_(self: Tensor, tensor: Tensor, callable: Callable[..., Any]) -> Tensor:
    """Replaces each element by ``callable(element, other's element)`` (slow)."""
    other = tensor.expand(self._shape).tolist()
    pairs = zip(_flat(self.tolist()), _flat(other), strict=True)
    made = np.array([callable(a, b) for a, b in pairs], self._data.dtype)
    return self.copy_(wrap(made.reshape(self._data.shape), self._backend))


def _flat(values: Any) -> list[Any]:
    return list(np.ravel(np.array(values, object)))
