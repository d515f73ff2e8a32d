"""Subclasses of Tensor, and the constructors: ``Tensor(…)``, ``new``, ``new_tensor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch._tensor_methods._install import method
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.keys import AUTOGRAD
from dispatchtorch.dispatch.operator import packets
from dispatchtorch.interception import equip
from dispatchtorch.tensor import Tensor, alias

__all__: list[str] = []


@method
def as_subclass(self: Tensor, cls: Any) -> Any:
    """The same tensor as an instance of a subclass."""
    return make_subclass(cls, alias_with_history(self))


def alias_with_history(t: Tensor) -> Tensor:
    if not t._keys & AUTOGRAD:
        return alias(t)
    made: Tensor = packets["alias"].callable("method")(t)
    return made


def make_subclass(cls: Any, t: Tensor, require_grad: bool | None = None) -> Any:
    """An instance of a subclass on the memory and history of a tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        if isinstance(cls, type):
            raise TypeError(
                "Creating a Tensor subclass from a class that does not inherit from "
                "Tensor is not possible. Make sure your class inherits from Tensor."
            )
        raise TypeError(f"cls must be a type (got {cls.__class__.__name__})")
    made = object.__new__(cls)
    made._data, made._keys = t._data, t._keys & ~(K.FUNCTION | K.PYTHON)
    made._edge, made._ver = t._edge, t._ver
    made._base, made._meta = t._base, None
    if t._base is not None:
        made._stamp = t._stamp
    if overrides_functions(cls):
        made._keys |= K.FUNCTION
        equip(cls)
    if cls.__torch_dispatch__ is not disabled_dispatch:
        _take_part_in_dispatch(cls, made)
    if require_grad is not None:
        made._edge = None
        made._keys = made._keys & ~AUTOGRAD | (AUTOGRAD if require_grad else 0)
    return made


def _take_part_in_dispatch(cls: Any, made: Tensor) -> None:
    from dispatchtorch import python_dispatch

    if python_dispatch.overrides_dispatch(cls):
        python_dispatch.install()
        made._keys |= K.PYTHON


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


disabled.disables = True  # type: ignore[attr-defined]


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


def disabled_dispatch(*args: Any, **kwargs: Any) -> Any:
    """``torch._C._disabled_torch_dispatch_impl``: the class takes no part in dispatch."""
    return NotImplemented


def _make_wrapper_subclass(cls: Any, size: Any, *args: Any, **kwargs: Any) -> Any:
    """An instance of a class with ``__torch_dispatch__``, without memory of its own."""
    from dispatchtorch.python_dispatch import make_wrapper_subclass

    return make_wrapper_subclass(cls, size, *args, **kwargs)


disabled_dispatch.__name__ = "_disabled_torch_dispatch_impl"
Tensor._make_subclass = staticmethod(_make_subclass)  # type: ignore[attr-defined]
Tensor._make_wrapper_subclass = staticmethod(  # type: ignore[attr-defined]
    _make_wrapper_subclass
)
Tensor.__torch_dispatch__ = staticmethod(disabled_dispatch)  # type: ignore[attr-defined]


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

    device = kwargs.pop("device", None) or "cpu"  # whatever the default device
    for name in ("size", "data", "storage", "other"):
        if name in kwargs and not args:
            args = (kwargs.pop(name),)
            if name == "size":
                args = tuple(args[0])
    made = legacy_new(dtypes.get_default_dtype(), device, args, any_dtype=True)
    return made if cls is Tensor else make_subclass(cls, made)


Tensor.__new__ = _new  # type: ignore[method-assign,assignment]
