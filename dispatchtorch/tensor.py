"""The tensor: a native array, a keyset, and autograd metadata.

This file holds the class and what it is by itself. Operators become methods when they
are first looked up (``Tensor.add`` is generated from the schema of ``add``); dunders,
indexing and conversions live in ``dispatchtorch/_tensor_*.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, backend_of
from dispatchtorch.device import device as Device
from dispatchtorch.dispatch import keys as _keys_module
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, FUNCTION, PYTHON, SPARSE, VIEW
from dispatchtorch.size import Size

if TYPE_CHECKING:
    from dispatchtorch._methods import TensorMethods as _Methods  # by `_stubs.py`
    from dispatchtorch.autograd.node import Node
else:
    _Methods = object

__all__ = [
    "AutogradMeta",
    "Tensor",
    "alias",
    "bare",
    "new_tensor",
    "type_name",
    "wrap",
]

_new = object.__new__


class AutogradMeta:
    """What few tensors have: a gradient, hooks, a marker of how a view came to be."""

    __slots__ = (
        "accumulate",
        "creation",
        "grad",
        "hooks",
        "name",
        "plain",
        "post_hooks",
        "retains_grad",
    )

    def __init__(self) -> None:
        self.grad: Tensor | None = None
        self.hooks: dict[int, Callable[..., Any]] | None = None
        self.post_hooks: dict[int, Callable[..., Any]] | None = None
        self.plain = True  # no hooks: the engine need not look for any
        self.retains_grad = False
        self.accumulate: Any = None  # weak reference to the AccumulateGrad of a leaf
        self.creation = ""  # why writing in place to this view is an error
        self.name: str | None = None


class _TensorMeta(type):
    def __getattr__(cls, name: str) -> Any:
        found = install_method(name)
        if found is None:
            raise AttributeError(
                f"type object '{cls.__name__}' has no attribute '{name}'"
            )
        return getattr(cls, name)

    def __dir__(cls) -> list[str]:
        methods = [n for n, p in _operator.packets.items() if "method" in p.variants]
        return sorted({*super().__dir__(), *methods})


def install_method(name: str) -> Callable[..., Any] | None:
    """Makes the operator ``name`` a method of Tensor; None where there is none."""
    if name.startswith("__"):
        return None
    packet = _operator.packets.get(name)
    if packet is None or "method" not in packet.variants:
        return None
    made = packet.callable("method")
    setattr(Tensor, name, made)
    return made


class Tensor(_Methods, metaclass=_TensorMeta):
    """A multi-dimensional array on a device, as PyTorch's ``torch.Tensor``.

    ``_data``   the native array
    ``_keys``   the keyset: device, dtype, autograd when it requires grad, …
    ``_edge``   (node, output number) that made it, or None for leaves
    ``_ver``    the version cell ``[version, history epoch]`` shared with views, or None
                as long as nobody has written or viewed
    ``_base``   for views: the tensor whose memory it views
    ``_stamp``  for views: the history epoch that ``_edge`` belongs to; for one that was
                made without grad mode, the complement (less than 0) of the version
    ``_meta``   rare autograd metadata, or None
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_base",
        "_data",
        "_edge",
        "_keys",
        "_meta",
        "_stamp",
        "_ver",
    )

    _data: Any
    _keys: int
    _edge: tuple[Node, int] | None
    _ver: list[int] | None
    _base: Tensor | None
    _stamp: int
    _meta: AutogradMeta | None

    __hash__ = object.__hash__

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if install_method(name) is None:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute '{name}'"
            )
        return getattr(self, name)

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *dir(type(self))})

    # What the tensor is.

    @property
    def _backend(self) -> Backend:
        return backend_of(self._keys)

    @property
    def dtype(self) -> dtypes.dtype:
        return _DTYPE_OF[self._keys & dtypes.DTYPE_MASK]

    @property
    def device(self) -> Device:
        if self._keys & SPARSE:
            return self._data.values.device  # type: ignore[no-any-return]
        backend = backend_of(self._keys)
        if not backend.indexed:
            if self._keys & PYTHON and not backend.is_host:
                return _claimed_device(self) or _host_device(backend)
            return _host_device(backend)
        return Device(backend.device_type, backend.index(self._data))

    @property
    def shape(self) -> Size:
        return _new_size(Size, self._shape)

    @property
    def _shape(self) -> tuple[int, ...]:
        """The shape as a plain tuple."""
        return self._data.shape  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        return len(self._shape)

    @property
    def requires_grad(self) -> bool:
        if self._base is not None:
            try:
                renew(self)
            except RuntimeError:  # a view whose history can't be told any more
                return True
        return self._keys & AUTOGRAD != 0

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError("requires_grad must be a bool")
        if value and not self._keys & dtypes.DIFFERENTIABLE_MASK:
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients"
            )
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Says whether autograd shall record operations on this tensor; returns it."""
        if not isinstance(requires_grad, bool):
            raise TypeError(
                "requires_grad_(): argument 'requires_grad' (position 1) must be bool, "
                f"not {type(requires_grad).__name__}"
            )
        if self.requires_grad == requires_grad:
            return self
        if not requires_grad:
            if self._edge is not None:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you "
                    "want to use a computed variable in a subgraph that doesn't require "
                    "differentiation use var_no_grad = var.detach()."
                )
            self._keys &= ~AUTOGRAD
            return self
        if not self._keys & dtypes.DIFFERENTIABLE_MASK:
            raise RuntimeError(
                "only Tensors of floating point dtype can require gradients"
            )
        if self.is_inference() and not state.inference_enabled():
            raise RuntimeError(
                "Setting requires_grad=True on inference tensor outside InferenceMode "
                "is not allowed."
            )
        self._keys |= AUTOGRAD
        return self

    @property
    def is_leaf(self) -> bool:
        return not self.requires_grad or self.grad_fn is None

    @property
    def grad_fn(self) -> Node | None:
        if self._base is not None:
            renew(self)
        edge = self._edge
        return edge[0] if edge is not None else None

    @property
    def output_nr(self) -> int:
        edge = self._edge
        return edge[1] if edge is not None else 0

    @property
    def _version(self) -> int:
        if self.is_inference():
            raise RuntimeError("Inference tensors do not track version counter.")
        ver = self._ver
        return ver[0] if ver is not None else 0

    def _autograd_meta(self) -> AutogradMeta:
        meta = self._meta
        if meta is None:
            meta = self._meta = AutogradMeta()
        return meta

    def is_inference(self) -> bool:
        return self._keys & _keys_module.INFERENCE != 0

    def _is_view(self) -> bool:
        return self._base is not None


def support_dispatch(claimed_device: Any, same_subclass: Any) -> None:
    """Called by ``python_dispatch``, which knows tensors without memory of their own."""
    global _claimed_device, _same_subclass
    _claimed_device, _same_subclass = claimed_device, same_subclass


_claimed_device: Callable[[Tensor], Device | None] = lambda t: None  # noqa: E731
_same_subclass: Callable[[Tensor], Tensor]


def renew(view: Tensor) -> None:
    """Replaced by the autograd floor: renews the history of a view, if it is stale."""


_DTYPE_OF = {d.bit: d for d in dtypes.DTYPES}
_new_size = tuple.__new__
_host_devices: dict[Any, Device] = {}


def _host_device(backend: Backend) -> Device:
    found = _host_devices.get(backend)
    if found is None:
        found = _host_devices[backend] = Device(backend.device_type)
    return found


def new_tensor(data: Any, keyset: int) -> Tensor:
    """A tensor of a native array with exactly this keyset."""
    t: Tensor = _new(Tensor)
    t._data = data
    t._keys = keyset
    t._edge = None
    t._ver = None
    t._base = None
    t._meta = None
    return t


def wrap(data: Any, backend: Backend) -> Tensor:
    """A tensor of a native array, the keyset read off it."""
    keyset = backend.key | backend.dtype(data).bit
    if state.ACTIVE and state.tls.include & _keys_module.INFERENCE_MODE:
        keyset |= _keys_module.INFERENCE
    return new_tensor(data, keyset)


def alias(t: Tensor) -> Tensor:
    """A tensor with the same memory and version counter, and no autograd history."""
    keys = t._keys
    if keys & PYTHON:
        return _same_subclass(t)
    ver = t._ver
    if ver is None:
        ver = t._ver = [0, 0]
    made = new_tensor(t._data, keys & ~(AUTOGRAD | VIEW | FUNCTION))
    made._ver = ver
    return made


def bare(t: Tensor) -> Tensor:
    """The same memory without history, and with no version that others would see."""
    return new_tensor(t._data, t._keys & ~(AUTOGRAD | VIEW | FUNCTION))


def type_name(t: Tensor) -> str:
    """PyTorch's type string of a tensor in messages: ``torch.FloatTensor``."""
    device = t.device.type
    place = "torch." if device == "cpu" else f"torch.{device}."
    if t._keys & SPARSE:
        place += "sparse." if t.is_sparse else "sparse_csr."
    name = dtypes.scalar_type_name(t.dtype)
    return f"{place}{name}Tensor"


# PyTorch's name, which reprs of the class and pickles of subclasses show.
Tensor.__module__ = "torch"
state.Tensor = Tensor  # type: ignore[attr-defined]
