"""Methods of Tensor that aren't operators: conversions, queries, autograd, dunders."""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.autograd.api import backward as _run_backward
from dispatchtorch.autograd.engine import run_backward as _run_engine
from dispatchtorch.autograd.node import RemovableHandle
from dispatchtorch.backend import backend_of
from dispatchtorch.device import device as Device
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.keys import AUTOGRAD
from dispatchtorch.memory_format import layout, strided
from dispatchtorch.ops import copy as _copy
from dispatchtorch.ops._common import torch
from dispatchtorch.ops.creation import contiguous_strides
from dispatchtorch.tensor import Tensor, alias, new_tensor, wrap

__all__: list[str] = []

# A keyset without what autograd and overrides add: device, dtype and scalars are left.
_PLAIN_KEYS = ~(AUTOGRAD | K.VIEW | K.FUNCTION | K.INFERENCE)


def method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a function to Tensor under its own name."""
    function.__qualname__ = f"Tensor.{function.__name__}"
    setattr(Tensor, function.__name__, function)
    return function


def attribute(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds a read-only property to Tensor."""
    setattr(Tensor, function.__name__, property(function))
    return function


# Shape and layout.


@method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dim."""
    if dim is None:
        return self.shape
    from dispatchtorch.ops._common import wrap_dim

    shape = self._shape
    return shape[wrap_dim(dim, len(shape), wrap_scalar=False)]


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """The strides in elements, or that of one dim."""
    strides = self._backend.strides(self._data)
    if dim is None:
        return strides
    from dispatchtorch.ops._common import wrap_dim

    return strides[wrap_dim(dim, len(strides), wrap_scalar=False)]


@method
def storage_offset(self: Tensor) -> int:
    """The first element's place in the storage, in elements."""
    return self._backend.offset(self._data)


@method
def dim(self: Tensor) -> int:
    """The number of dims."""
    return len(self._shape)


Tensor.ndimension = dim  # type: ignore[attr-defined]


@method
def numel(self: Tensor) -> int:
    """The number of elements."""
    return math.prod(self._shape)


Tensor.nelement = numel  # type: ignore[attr-defined]
setattr(Tensor, "is_contiguous", lambda self, memory_format=None: _copy.is_contiguous(
    self, memory_format))  # fmt: skip


@method
def element_size(self: Tensor) -> int:
    """The bytes of one element."""
    return self.dtype.itemsize


@attribute
def itemsize(self: Tensor) -> int:
    return self.dtype.itemsize


@attribute
def nbytes(self: Tensor) -> int:
    return math.prod(self._shape) * self.dtype.itemsize


@attribute
def layout_(self: Tensor) -> layout:
    return strided


Tensor.layout = Tensor.layout_  # type: ignore[attr-defined]


@method
def data_ptr(self: Tensor) -> int:
    """The address of the first element (0 for an empty tensor)."""
    return self._backend.data_ptr(self._data)


@method
def _root(self: Tensor) -> Tensor:
    """The whole memory as a 1-d tensor of the same dtype, from offset 0."""
    return wrap(self._backend.root(self._data), self._backend)


@method
def get_device(self: Tensor) -> int:
    """The device's index; -1 on the host."""
    backend = self._backend
    return -1 if backend.is_host else backend.index(self._data)


def _is_device(name: str) -> property:
    def get(self: Tensor) -> bool:
        return self._backend.device_type == name

    return property(get)


for _name in ("cpu", "cuda", "meta", "xpu", "mps", "mkldnn", "vulkan", "ipu", "xla"):
    setattr(Tensor, f"is_{_name}", _is_device(_name))
for _name in ("sparse", "sparse_csr", "quantized", "nested", "maia", "vulkan_"):
    setattr(Tensor, f"is_{_name}", property(lambda self: False))


@method
def is_floating_point(self: Tensor) -> bool:
    """Whether the dtype is a floating one."""
    return self._keys & dtypes.FLOATING_MASK != 0


@method
def is_complex(self: Tensor) -> bool:
    """Whether the dtype is complex."""
    return self._keys & dtypes.COMPLEX_MASK != 0


@method
def is_signed(self: Tensor) -> bool:
    """Whether the dtype has a sign."""
    return self.dtype.is_signed


@method
def is_conj(self: Tensor) -> bool:
    """False: conjugates are always materialised here."""
    return False


@method
def is_neg(self: Tensor) -> bool:
    """False: negatives are always materialised here."""
    return False


@method
def resolve_conj(self: Tensor) -> Tensor:
    """The tensor itself: conjugates are always materialised here."""
    return self


@method
def resolve_neg(self: Tensor) -> Tensor:
    """The tensor itself: negatives are always materialised here."""
    return self


@method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape."""
    return self._shape == other._shape


@method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors are the same view of the same memory."""
    return (
        self.data_ptr() == tensor.data_ptr()
        and self._shape == tensor._shape
        and self.stride() == tensor.stride()
    )


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name, or the tensor as another type."""
    from dispatchtorch.autograd.node import type_name

    if dtype is None:
        return type_name(self)
    if isinstance(dtype, str):
        wanted = _TYPE_NAMES.get(dtype.rpartition(".")[2])
        if wanted is None:
            raise ValueError(f"invalid type: '{dtype}'")
        return self.to(wanted)
    wanted = getattr(dtype, "dtype", dtype)
    return self.to(wanted, non_blocking=non_blocking)


Tensor.type = _type  # type: ignore[attr-defined]
_TYPE_NAMES = {dtypes.scalar_type_name(d) + "Tensor": d for d in dtypes.DTYPES}


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype and on the device of another."""
    return self.to(other.device, other.dtype)


# Values for Python and NumPy.


def _host(self: Tensor) -> np.ndarray[Any, Any]:
    backend = self._backend
    if backend.device_type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    return backend.to_host(self._data)


@method
def item(self: Tensor) -> Any:
    """The only element as a Python number."""
    array = _host(self)
    if array.size != 1:
        raise RuntimeError(
            f"a Tensor with {array.size} elements cannot be converted to Scalar"
        )
    value = array.item()
    return float(value) if self._keys & dtypes.FLOATING_MASK else value


@method
def tolist(self: Tensor) -> Any:
    """The values as nested lists of Python numbers (a number for 0-d tensors)."""
    array = _host(self)
    if array.dtype.kind == "V" or array.dtype.name.startswith(("bfloat", "float8")):
        array = array.astype(np.float32)
    return array.tolist()


@method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray[Any, Any]:
    """A NumPy array that shares the tensor's memory (``force`` copies where it must)."""
    if force:
        self = self.detach().cpu()
    if self.requires_grad:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy()"
            " instead."
        )
    if not self._backend.is_host:
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() "
            "to copy the tensor to host memory first."
        )
    if self.dtype is dtypes.bfloat16 or (
        self.dtype.itemsize == 1 and (self.dtype.is_floating_point)
    ):
        raise TypeError(
            f"Got unsupported ScalarType {dtypes.scalar_type_name(self.dtype)}"
        )
    return self._data.view()  # type: ignore[no-any-return]


@method
def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = self.numpy()
    if dtype is None:
        return array.copy() if copy else array
    return array.astype(dtype, copy=bool(copy))


Tensor.__array_priority__ = 1000  # type: ignore[attr-defined]


@method
def __array_wrap__(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Any:
    if array.dtype == bool:
        array = array.astype("uint8")
    import dispatchtorch

    return dispatchtorch.from_numpy(np.asarray(array))


@method
def __bool__(self: Tensor) -> bool:
    if self.numel() != 1:
        if self.numel() == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError(
            "Boolean value of Tensor with more than one value is ambiguous"
        )
    return bool(self.item())


@method
def __int__(self: Tensor) -> int:
    return int(self.item())


@method
def __float__(self: Tensor) -> float:
    return float(self.item())


@method
def __complex__(self: Tensor) -> complex:
    return complex(self.item())


@method
def __index__(self: Tensor) -> int:
    if self._keys & dtypes.DIFFERENTIABLE_MASK or self.numel() != 1:
        raise TypeError(
            "only integer tensors of a single element can be converted to an index"
        )
    return int(self.item())


@method
def __len__(self: Tensor) -> int:
    shape = self._shape
    if not shape:
        raise TypeError("len() of a 0-d tensor")
    return shape[0]


@method
def __iter__(self: Tensor) -> Iterator[Tensor]:
    if not self._shape:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


@method
def __contains__(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex)):
        return bool((self == element).any())
    raise RuntimeError(
        "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
        f"{element.__class__}."
    )


@method
def __format__(self: Tensor, spec: str) -> str:
    if (
        self.ndim == 0
        and self._backend.device_type != "meta"
        and self.__class__ is Tensor
    ):
        return format(self.item(), spec)
    return object.__format__(self, spec) if spec else str(self)


@method
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    from dispatchtorch._tensor_str import tensor_str

    return tensor_str(self, tensor_contents=tensor_contents)


@method
def __reduce_ex__(self: Tensor, proto: int) -> Any:
    from dispatchtorch.storage import tensor_reduce_ex

    return tensor_reduce_ex(self, proto)


@method
def __deepcopy__(self: Tensor, memo: dict[int, Any]) -> Any:
    from dispatchtorch.storage import tensor_deepcopy

    return tensor_deepcopy(self, memo)


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


# Devices and dtypes.

Tensor.to = _copy.to  # type: ignore[attr-defined]
for _name, _function in _copy.CAST_METHODS.items():
    setattr(Tensor, _name, _function)


@method
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the host; itself where it is there already."""
    return self.to("cpu", memory_format=memory_format)


def to_device_method(name: str) -> Callable[..., Tensor]:
    """``Tensor.cuda`` and its kind: the tensor on a device type."""

    def move(
        self: Tensor,
        device: Any = None,
        non_blocking: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        if device is None:
            target = Device(name)
        else:
            target = Device(name, device) if isinstance(device, int) else Device(device)
        return self.to(target, non_blocking=non_blocking, memory_format=memory_format)

    move.__name__ = name
    move.__qualname__ = f"Tensor.{name}"
    return move


Tensor.cuda = to_device_method("cuda")  # type: ignore[attr-defined]


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: host memory needs no pinning for the devices here."""
    return self


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is pinned."""
    return False


@method
def share_memory_(self: Tensor) -> Tensor:
    """Moves the memory to where other processes can map it."""
    if self._backend.is_host:
        self.untyped_storage().share_memory_()
    return self


@method
def is_shared(self: Tensor) -> bool:
    """Whether other processes can map the memory."""
    return bool(self._backend.is_host and self.untyped_storage().is_shared())


# Autograd.


@method
def detach(self: Tensor) -> Tensor:
    """The same memory without history."""
    ver = self._ver
    if ver is None:
        ver = self._ver = [0, 0]
    made = new_tensor(self._data, self._keys & ~(AUTOGRAD | K.VIEW | K.FUNCTION))
    made._ver = ver
    made._base = self if self._base is None else self._base
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
            "Optimizer.zero_grad() function in torch/optim/optimizer.py as a solution."
        )
    self._edge = None
    self._keys &= ~AUTOGRAD
    return self


def _get_data(self: Tensor) -> Tensor:
    made = new_tensor(self._data, self._keys & ~(AUTOGRAD | K.VIEW | K.FUNCTION))
    return made


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(
            f"Variable data has to be a tensor, but got {value.__class__.__name__}"
        )
    self._data = value._data
    self._keys = value._keys & ~(AUTOGRAD | K.FUNCTION | K.VIEW) | self._keys & AUTOGRAD
    if overrides_functions(self.__class__):
        self._keys |= K.FUNCTION
    meta = self._meta
    if meta is not None:
        meta.accumulate = None


Tensor.data = property(_get_data, _set_data)  # type: ignore[attr-defined]


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
            f"attempting to assign a gradient with dtype '{_cpp(value)}' to a tensor "
            f"with dtype '{_cpp(self)}'. The gradient must match the tensor's dtype "
            "(tensor.grad_dtype). You can set the gradient dtype on the tensor using "
            "tensor.grad_dtype = desired_dtype. Set grad_dtype to None to allow any "
            "dtype. Set grad_dtype with caution. Dtype mismatches between forward and "
            "backward passes can cause unexpected numerical issues."
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


def _cpp(t: Tensor) -> str:
    from dispatchtorch.ops.linalg import _CPP

    return _CPP.get(t.dtype.name, t.dtype.name)


def _del_grad(self: Tensor) -> None:
    if self._meta is not None:
        self._meta.grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad)  # type: ignore[attr-defined]


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
        and keys & AUTOGRAD
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


# Subclasses.


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


@method
def set_(
    self: Tensor,
    source: Any = None,
    storage_offset: int = 0,
    size: Any = None,
    stride: Any = None,
) -> Tensor:
    """Makes this tensor a view of another's memory, or of a storage."""
    if source is None:
        source = torch.empty((0,), dtype=self.dtype, device=self.device)
    if not isinstance(source, Tensor):
        source = source._as_tensor(self.dtype)
    if size is not None:
        size = tuple(size)
        steps = contiguous_strides(size) if stride is None else tuple(stride)
        source = source.as_strided(size, steps, storage_offset)
    self._data = source._data
    self._ver = None if self._ver is None else [self._ver[0] + 1, self._ver[1]]
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
    room = math.prod(self._backend.shape(self._backend.root(self._data)))
    start = self.storage_offset()
    need = math.prod(shape)
    strides = contiguous_strides(shape)
    if need + start <= room:
        self._data = self._root().as_strided(shape, strides, start)._data
    else:
        made = torch.empty(shape, dtype=self.dtype, device=self.device)
        old = self._root()
        count = min(max(room - start, 0), need)
        if count:
            made.as_strided((count,), (1,), 0).copy_(
                old.as_strided((count,), (1,), start)
            )
        self._data = made._data
    return self


@method
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """Resized to the shape of another tensor."""
    return self.resize_(other._shape)


@attribute
def T(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape"
            " is deprecated and it will throw an error in a future release. Consider "
            "`x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim -"
            " 1, -1, -1))` to reverse the dimensions of a tensor.",
            stacklevel=2,
        )
    return self.permute(tuple(range(self.ndim - 1, -1, -1)))


@attribute
def mT(self: Tensor) -> Tensor:
    if self.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{self.ndim}-D tensor."
        )
    return self.transpose(-2, -1)


@attribute
def H(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise RuntimeError(
            "tensor.H is only supported on matrices (2-D tensors). Got "
            f"{self.ndim}-D tensor."
            + (
                " For batches of matrices, consider using tensor.mH"
                if self.ndim > 2
                else ""
            )
        )
    return self.mH if self.ndim else self.conj()


@attribute
def mH(self: Tensor) -> Tensor:
    if self.ndim < 2:
        raise RuntimeError(
            "tensor.mH is only supported on matrices or batches of matrices. Got "
            f"{self.ndim}-D tensor."
        )
    return self.transpose(-2, -1).conj()


@method
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces each element by ``callable(element)`` (slow; host tensors only)."""
    if not self._backend.is_host:
        raise TypeError("apply_ is only implemented on CPU tensors")
    flat = self._data.reshape(-1).tolist()
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


# DLPack.


@method
def __dlpack__(
    self: Tensor,
    *,
    stream: Any = None,
    max_version: Any = None,
    dl_device: Any = None,
    copy: bool | None = None,
) -> Any:
    if self.requires_grad:
        raise BufferError(
            "Can't export tensors that require gradient, use tensor.detach()"
        )
    native = self._data
    export = getattr(native, "__dlpack__", None)
    if export is None:
        raise BufferError(f"device '{self.device}' doesn't support DLPack")
    if copy:
        native = self.clone()._data
        export = native.__dlpack__
    if self._backend.is_host:
        return export(max_version=max_version) if max_version is not None else export()
    return export(stream=stream)


@method
def __dlpack_device__(self: Tensor) -> Any:
    return self._data.__dlpack_device__()


@method
def __array_namespace__(self: Tensor, *, api_version: str | None = None) -> Any:
    import dispatchtorch

    return dispatchtorch


def _new(cls: Any, *args: Any, **kwargs: Any) -> Any:
    """``torch.Tensor(…)``: memory from sizes, or values from a sequence."""
    from dispatchtorch.factory import legacy_new

    made = legacy_new(dtypes.get_default_dtype(), kwargs.pop("device", None), args)
    return made if cls is Tensor else make_subclass(cls, made)


Tensor.__new__ = _new  # type: ignore[method-assign,assignment]
