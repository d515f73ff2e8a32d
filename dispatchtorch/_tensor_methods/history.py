"""Autograd: detaching, ``data``, ``grad``, running backward, hooks."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch._tensor_methods._install import attribute, method
from dispatchtorch._tensor_methods.subclasses import overrides_functions
from dispatchtorch.autograd.api import backward as _run_backward
from dispatchtorch.autograd.engine import run_backward as _run_engine
from dispatchtorch.autograd.node import RemovableHandle
from dispatchtorch.backend import backend_of
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD
from dispatchtorch.dtypes import c_type
from dispatchtorch.ops import intercepted
from dispatchtorch.ops.intercepted import wanted
from dispatchtorch.tensor import Tensor, new_tensor

__all__: list[str] = []


# A keyset without what autograd and overrides add: device, dtype and scalars are left.
_PLAIN_KEYS = ~(AUTOGRAD | K.VIEW | K.FUNCTION | K.INFERENCE)


@method
def detach(self: Tensor) -> Tensor:
    """The same memory without history."""
    if (state.ACTIVE or self._keys & K.PYTHON) and wanted(self):
        return intercepted.detach(self)  # type: ignore[no-any-return]
    ver = self._ver
    if ver is None:
        ver = self._ver = [0, 0]
    made = new_tensor(self._data, self._keys & ~(AUTOGRAD | K.VIEW | K.FUNCTION))
    made._ver = ver
    base = self._base
    if base is not None and 0 in self._backend.strides(self._data):
        made._base = base  # so that a write finds out that elements overlap
        made._stamp = ver[1]
    if self._keys & K.FUNCTION:
        return made.as_subclass(self.__class__)
    return made


@method
def detach_(self: Tensor) -> Tensor:
    """Cuts the tensor off its history."""
    if self._base is not None and self._keys & K.VIEW:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is "
            "set as True, gradients are views of DDP buckets, and hence detach_() cannot "
            "be called on these gradients. To fix this error, please refer to the "
            "Optimizer.zero_grad() function in torch/optim/optimizer.py as the solution."
        )
    self._edge = None
    self._keys &= ~AUTOGRAD
    return self


def _get_data(self: Tensor) -> Tensor:
    if self._keys & K.PYTHON:
        return self.detach()
    made = new_tensor(self._data, self._keys & ~(AUTOGRAD | K.VIEW | K.FUNCTION))
    return made


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Variable data has to be a tensor, but got {value.__class__.__name__}"
        )
    if self._keys & AUTOGRAD and not value._keys & dtypes.DIFFERENTIABLE_MASK:
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or "
            "complex dtype"
        )
    self._data = value._data
    self._keys = value._keys & ~(AUTOGRAD | K.FUNCTION | K.VIEW) | self._keys & AUTOGRAD
    if overrides_functions(self.__class__):
        self._keys |= K.FUNCTION
    meta = self._meta
    if meta is not None:
        meta.accumulate = None


Tensor.data = property(_get_data, _set_data)  # type: ignore[attr-defined,assignment]


def _get_grad(self: Tensor) -> Tensor | None:
    meta = self._meta
    if meta is not None and meta.grad is not None:
        return meta.grad
    if self._edge is not None and not (meta is not None and meta.retains_grad):
        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed."
            " Its .grad attribute won't be populated during autograd.backward(). If you "
            "indeed want the .grad field to be populated for a non-leaf Tensor, use "
            ".retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by "
            "mistake, make sure you access the leaf Tensor instead. See "
            "github.com/pytorch/pytorch/pull/30531 for more informations.",
            stacklevel=2,
        )
    return None


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if value is None:
        if self._meta is not None:
            self._meta.grad = None
        return
    if not isinstance(value, Tensor):
        raise TypeError(
            "assigned grad expected to be a Tensor or None but got grad of type "
            f"{value.__class__.__name__}"
        )
    if value is self:
        raise RuntimeError("can't assign Variable as its own grad")
    if value.dtype is not self.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{c_type(value.dtype)}' to a tensor "
            f"with grad_dtype '{dtypes.scalar_type_name(self.dtype)}'. The gradient must "
            "match the tensor's grad_dtype (defaults to the tensor's dtype). You can set "
            "the tensor's grad_dtype attribute with a specific dtype, or None to allow any "
            "dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its "
            "gradient may break downstream systems that assume they match."
        )
    if value._backend is not self._backend:
        raise RuntimeError(
            f"attempting to assign a gradient with device type '{value.device.type}' to "
            f"a tensor with device type '{self.device.type}'. Please ensure that the "
            "gradient and the tensor are on the same device"
        )
    if value._shape != self._shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(value._shape)}' to a tensor "
            f"of size '{list(self._shape)}'. Please ensure that the gradient and the "
            "tensor are the same size"
        )
    self._autograd_meta().grad = value


def _del_grad(self: Tensor) -> None:
    if self._meta is not None:
        self._meta.grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad)  # type: ignore[attr-defined,assignment]


@method
def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradients of the leaves of this tensor to their ``.grad``."""
    keys = self._keys
    if (
        gradient is None
        and inputs is None
        and keys & (AUTOGRAD | K.PYTHON) == AUTOGRAD
        and keys & dtypes.FLOATING_MASK
        and not self._data.shape
        and self._base is None
    ):
        backend = backend_of(keys)
        one = backend.scalar(1, self.dtype, backend.index(self._data))
        start = new_tensor(one, keys & _PLAIN_KEYS)
        keep = create_graph if retain_graph is None else retain_graph
        _run_engine((self,), (start,), keep, create_graph)
        return
    _run_backward(self, gradient, retain_graph, create_graph, inputs=inputs)


@method
def retain_grad(self: Tensor) -> None:
    """Keeps this non-leaf tensor's gradient in ``.grad``."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    edge = self._edge
    if edge is None:
        return
    meta = self._autograd_meta()
    if meta.retains_grad:
        return
    meta.retains_grad = True
    node, number = edge
    node.special = True
    if node.retained is None:
        node.retained = {}
    node.retained[number] = weakref.ref(self)


@attribute
def retains_grad(self: Tensor) -> bool:
    return self._edge is not None and self._meta is not None and self._meta.retains_grad


@method
def register_hook(self: Tensor, hook: Callable[..., Any]) -> RemovableHandle:
    """Calls ``hook(grad)`` when this tensor's gradient is known; it may replace it."""
    if not self.requires_grad:
        raise RuntimeError(
            "cannot register a hook on a tensor that doesn't require gradient"
        )
    _ = self.grad_fn  # up to date, for a view
    if self._edge is None:
        meta = self._autograd_meta()
        meta.plain = False
        if meta.hooks is None:
            meta.hooks = {}
        hooks = meta.hooks
    else:
        node, number = self._edge
        node.special = True
        if node.tensor_hooks is None:
            node.tensor_hooks = {}
        hooks = node.tensor_hooks.setdefault(number, {})
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


@method
def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[..., Any]
) -> RemovableHandle:
    """Calls ``hook(tensor)`` after a gradient was added to this leaf's ``.grad``."""
    if not self.requires_grad:
        raise RuntimeError(
            "cannot register a hook on a tensor that doesn't require gradient"
        )
    if self._edge is not None:
        raise RuntimeError(
            "post accumulate grad hooks cannot be registered on non-leaf tensors"
        )
    meta = self._autograd_meta()
    meta.plain = False
    if meta.post_hooks is None:
        meta.post_hooks = {}
    handle = RemovableHandle(meta.post_hooks)
    meta.post_hooks[handle.id] = hook
    return handle


@attribute
def _backward_hooks(self: Tensor) -> Any:
    meta = self._meta
    return meta.hooks if meta is not None and meta.hooks else None


@attribute
def name(self: Tensor) -> str | None:
    return self._meta.name if self._meta is not None else None


@attribute
def names(self: Tensor) -> tuple[None, ...]:
    return (None,) * len(self._shape)


@method
def has_names(self: Tensor) -> bool:
    """False: dims have no names here."""
    return False
