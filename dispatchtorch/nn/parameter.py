"""Parameters and buffers: tensors that a module registers when they are assigned to it.

``Parameter`` is a real subclass of ``Tensor``; operators on it give plain tensors. A
tensor *subclass* cannot become one without losing its type, so it is marked instead and
``isinstance`` honours the mark. ``Buffer`` only ever marks. The ``Uninitialized`` pair
stand in for tensors whose shape the first forward pass tells (lazy modules).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


class _MarkedMeta(type(Tensor)):  # type: ignore[misc]
    """``isinstance`` that also accepts tensors of other classes that carry the mark."""

    _mark: str

    def __instancecheck__(cls, instance: Any) -> bool:
        if type.__instancecheck__(cls, instance):
            return True
        mark = cls.__dict__.get("_mark")
        return (
            mark is not None
            and isinstance(instance, Tensor)
            and instance.__dict__.get(mark, False)
        )


class Parameter(Tensor, metaclass=_MarkedMeta):
    """A tensor that is a parameter of the module it is assigned to.

    Args:
        data: the tensor whose memory the parameter shares; empty if None. A tensor
            subclass keeps its type and is marked as a parameter.
        requires_grad: whether it is trained. Raises RuntimeError for integer dtypes.
    """

    _mark = "_is_param"
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = torch.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            return Tensor._make_subclass(cls, data, requires_grad)
        made: Any = data.detach().requires_grad_(requires_grad)
        if type(made) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} "
                "requires that detach() returns an instance of the same type, but "
                f"return type {type(made).__name__} was found instead. To use the type "
                "as a Parameter, please correct the detach() semantics defined by its "
                "__torch_dispatch__() implementation."
            )
        made._is_param = True
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            copied = self.data.clone(memory_format=torch.preserve_format)
            memo[id(self)] = type(self)(copied, self.requires_grad)
        return memo[id(self)]

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        import dispatchtorch._utils as _utils

        # The third item is where older checkpoints keep hooks; always empty now.
        args: Any = (self.data, self.requires_grad, OrderedDict())
        if state := self.__dict__:
            return _utils._rebuild_parameter_with_state, (*args, state)
        return _utils._rebuild_parameter, args


class Buffer(Tensor, metaclass=_MarkedMeta):
    """A tensor that is a buffer of the module it is assigned to: state, not trained.

    Args:
        data: the tensor whose memory the buffer shares; empty if None.
        persistent: whether it is part of the module's ``state_dict``.

    Returns a tensor of the class of ``data``, marked as a buffer.
    """

    _mark = "_is_buffer"
    __torch_function__ = torch._C._disabled_torch_function_impl

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = torch.empty(0)
        made = data.detach().requires_grad_(data.requires_grad)
        made.persistent = persistent  # type: ignore[attr-defined]
        made._is_buffer = True  # type: ignore[attr-defined]
        return made


_UNINITIALIZED_USE = (
    "Attempted to use an uninitialized parameter in {}. This error happens when you "
    "are using a `LazyModule` or explicitly manipulating `torch.nn.parameter.{}` "
    "objects. When using LazyModules Call `forward` with a dummy batch to initialize "
    "the parameters before calling torch functions"
)


# fmt: off
_PLACEHOLDER_METHODS = frozenset({
    "__hash__", "__get__", "__set__", "size", "copy_", "is_complex", "get_device",
    "is_floating_point", "half", "float", "double", "char", "short", "int", "long",
    "cuda", "cpu", "to", "_to_copy", "_has_compatible_shallow_copy_type",
})
# fmt: on


def _unusable(name: str) -> Any:
    """A method that refuses; for those that aren't operators, so not overridable."""

    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        method = f"Tensor.{name}"
        raise ValueError(_UNINITIALIZED_USE.format(method, type(self).__name__))

    return refuse


class UninitializedTensorMixin:
    """A tensor without a shape yet: it can be converted and materialized, not used."""

    cls_to_become: type[Tensor]

    # What moves or describes the placeholder; "__get__" and "__set__" are attributes.
    _allowed_methods = _PLACEHOLDER_METHODS
    numel = _unusable("numel")
    dim = _unusable("dim")

    def materialize(
        self, shape: Any, device: torch.device | None = None, dtype: Any = None
    ) -> None:
        """Turns this object, in place, into a real tensor of ``shape`` (undefined
        values), on the placeholder's device and dtype unless others are given."""
        data = self.data  # type: ignore[has-type]
        made = torch.empty(
            shape,
            device=data.device if device is None else device,
            dtype=data.dtype if dtype is None else dtype,
        )
        # The class first: what memory it takes then comes to an ordinary tensor.
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        self.data = made

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This "
            "error usually happens in `load_state_dict` when trying to load an "
            "uninitialized parameter into an initialized one. Call `forward` to "
            "initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call "
            "`forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return type(self), (self.requires_grad,)  # type: ignore[attr-defined]

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(func, "__name__", "") in cls._allowed_methods:
            with torch._C.DisableTorchFunctionSubclass():
                result = func(*args, **(kwargs or {}))
            # A buffer is replaced by what it is converted to, a parameter never.
            if isinstance(result, Tensor) and not issubclass(cls, Parameter):
                return result.as_subclass(cls)
            return result
        raise ValueError(_UNINITIALIZED_USE.format(func, cls.__name__))


def is_lazy(param: Any) -> bool:
    """Whether ``param`` still waits for its shape."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[metaclass, misc]
    """A :class:`Parameter` whose shape is not known yet; see ``materialize``."""

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Any = None, dtype: Any = None
    ) -> Any:
        data = torch.empty(0, device=device, dtype=dtype)
        return Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedParameter:
        if id(self) not in memo:
            data = self.data
            memo[id(self)] = type(self)(self.requires_grad, data.device, data.dtype)
        return memo[id(self)]


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose shape is not known yet; becomes a plain tensor."""

    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        data = torch.empty(0, device=device, dtype=dtype)
        made = Tensor._make_subclass(cls, data, requires_grad)
        made.persistent = persistent
        made._is_buffer = True
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> UninitializedBuffer:
        if id(self) not in memo:
            data, keep = self.data, self.persistent
            memo[id(self)] = type(self)(
                self.requires_grad, data.device, data.dtype, keep
            )
        return memo[id(self)]
