"""Subclasses of Tensor, and the constructors: ``Tensor(…)``, ``new``, ``new_tensor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch._tensor_methods._install import method
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.keys import AUTOGRAD
from dispatchtorch.tensor import Tensor, alias

__all__: list[str] = []


@method
def as_subclass(self: Tensor, cls: Any) -> Any:
    """The same tensor as an instance of a subclass."""
    return make_subclass(cls, alias_with_history(self))


def alias_with_history(t: Tensor) -> Tensor:
    if not t._keys & AUTOGRAD:
        return alias(t)
    made: Tensor = t.view_as(t)
    return made


def make_subclass(cls: Any, t: Tensor, require_grad: bool | None = None) -> Any:
    """An instance of a subclass on the memory and history of a tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"cls must be a type (got {cls.__class__.__name__})")
    made = object.__new__(cls)
    made._data, made._keys = t._data, t._keys
    made._edge, made._ver = t._edge, t._ver
    made._base, made._meta = t._base, None
    if t._base is not None:
        made._stamp = t._stamp
    if overrides_functions(cls):
        made._keys |= K.FUNCTION
    if require_grad is not None:
        made._edge = None
        made._keys = made._keys & ~AUTOGRAD | (AUTOGRAD if require_grad else 0)
    return made


def overrides_functions(cls: Any) -> bool:
    """Whether calls with instances of a class go through ``__torch_function__``."""
    if cls is Tensor:
        return False
    function = cls.__torch_function__
    return getattr(function, "__func__", function) is not disabled


def disabled(
    func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
) -> Any:
    """``torch._C._disabled_torch_function_impl``: results are plain tensors."""
    from dispatchtorch.dispatch import state

    with state.exclude(K.FUNCTION):
        return func(*args, **(kwargs or {}))


def _make_subclass(
    cls: Any,
    data: Tensor,
    require_grad: bool = False,
    dispatch_strides: bool = False,
    dispatch_device: bool = False,
    device_for_backend_keys: Any = None,
) -> Any:
    if require_grad and not data._keys & dtypes.DIFFERENTIABLE_MASK:
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients"
        )
    made = make_subclass(cls, alias(data), require_grad)
    made._base = None
    if data._keys & K.INFERENCE:
        made._keys |= K.INFERENCE
    return made


Tensor._make_subclass = staticmethod(_make_subclass)  # type: ignore[attr-defined]


@method
def new(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A tensor of this one's type from sizes or data (legacy)."""
    from dispatchtorch.factory import legacy_new

    return legacy_new(self.dtype, self.device, args)


@method
def new_tensor_(
    self: Tensor,
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **kwargs: Any,
) -> Tensor:
    """A tensor of ``data`` with this one's dtype and device by default."""
    from dispatchtorch.factory import tensor

    return tensor(
        data,
        dtype=self.dtype if dtype is None else dtype,
        device=self.device if device is None else device,
        requires_grad=requires_grad,
    )


Tensor.new_tensor = new_tensor_  # type: ignore[attr-defined]


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """``torch.Tensor(…)``: memory from sizes, or values from a sequence."""
    from dispatchtorch.factory import legacy_new

    made = legacy_new(dtypes.get_default_dtype(), kwargs.pop("device", None), args)
    return made if cls is Tensor else make_subclass(cls, made)


Tensor.__new__ = _new  # type: ignore[method-assign,assignment]
