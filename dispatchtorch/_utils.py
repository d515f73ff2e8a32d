"""How tensors are taken apart for pickling and copying, and put together again.

Pickled tensors name the ``_rebuild_*`` functions here, as PyTorch's do, so their names
and arguments are a file format. Each checks what it is given: a rebuilt tensor never
reaches beyond its storage, whatever the file says.
"""

from __future__ import annotations

import copy
import copyreg
import reprlib
import threading
import warnings
from collections import OrderedDict
from typing import Any

import dispatchtorch as torch
from dispatchtorch._storage.base import legacy_name
from dispatchtorch._storage.typed import TypedStorage
from dispatchtorch._storage.untyped import UntypedStorage
from dispatchtorch.dispatch.keys import LAZY, PYTHON

__all__ = [
    "get_tensor_metadata",
    "set_tensor_metadata",
    "tensor_deepcopy",
    "tensor_reduce_ex",
]


# -- taking apart ----------------------------------------------------------------------


def tensor_reduce_ex(tensor: Any, protocol: Any = 2) -> tuple[Any, ...]:
    """What ``Tensor.__reduce_ex__`` returns: a rebuild function and its arguments.

    Tensors of a subclass or with attributes of their own are wrapped in
    ``_rebuild_from_type_v2``.
    """
    _warn_of_hooks(tensor)
    state = _get_obj_state(tensor)
    function, arguments = _reduce_plain(tensor)
    if type(tensor) is torch.Tensor and not state:
        return function, arguments
    return _rebuild_from_type_v2, (function, type(tensor), arguments, state)


def _reduce_plain(tensor: Any) -> tuple[Any, tuple[Any, ...]]:
    """The rebuild call of a tensor as a plain ``Tensor`` without attributes."""
    if tensor.layout is not torch.strided:
        return _rebuild_sparse_tensor, (tensor.layout, _sparse_parts(tensor))
    if getattr(tensor, "is_quantized", False) or getattr(tensor, "is_nested", False):
        raise NotImplementedError(
            "pickling quantized and nested tensors is not supported"
        )
    size, stride = tuple(tensor.size()), tuple(tensor.stride())
    if tensor.device.type == "meta":
        args = (tensor.dtype, size, stride, tensor.requires_grad)
        return _rebuild_meta_tensor_no_storage, args
    storage = TypedStorage._of(tensor)
    place = (tensor.storage_offset(), size, stride, tensor.requires_grad)
    hooks: OrderedDict[Any, Any] = OrderedDict()  # older files keep hooks here
    metadata = get_tensor_metadata(tensor)
    extra = (metadata,) if metadata else ()
    if legacy_name(tensor.dtype) is None:
        args = (storage._untyped(), *place, hooks, tensor.dtype, *extra)
        return _rebuild_tensor_v3, args
    return _rebuild_tensor_v2, (storage, *place, hooks, *extra)


def _sparse_parts(tensor: Any) -> tuple[Any, ...]:
    if tensor.layout is torch.sparse_coo:
        return (
            tensor._indices(),
            tensor._values(),
            tensor.size(),
            tensor.is_coalesced(),
        )
    compressed, plain = _COMPRESSED[str(tensor.layout)]
    indices = getattr(tensor, compressed)(), getattr(tensor, plain)()
    return (*indices, tensor.values(), tensor.size())


_ROWS, _COLUMNS = "crow_indices", "ccol_indices"
_COMPRESSED = {
    "torch.sparse_csr": (_ROWS, "col_indices"),
    "torch.sparse_bsr": (_ROWS, "col_indices"),
    "torch.sparse_csc": (_COLUMNS, "row_indices"),
    "torch.sparse_bsc": (_COLUMNS, "row_indices"),
}


def _warn_of_hooks(tensor: Any) -> None:
    hooks = getattr(tensor, "_backward_hooks", None) or {}
    for hook in hooks.values():
        if not getattr(hook, "__torch_unserializable__", False):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is "
                "expected, you can decorate the function with "
                "@torch.utils.hooks.unserializable_hook to suppress this warning",
                UserWarning,
                stacklevel=2,
            )


def _get_obj_state(obj: Any) -> Any:
    """The attributes that a tensor has beyond ``Tensor``'s: None, a dict, or a pair of
    dicts where the subclass has slots. Its own ``__getstate__`` decides instead."""
    own = type(obj).__getstate__
    if own not in (object.__getstate__, torch.Tensor.__getstate__):
        return own(obj)  # type: ignore[call-arg]
    return _own_attributes(obj)


def _own_attributes(obj: Any) -> Any:
    kind = type(obj)
    attributes = dict(getattr(obj, "__dict__", None) or {}) or None
    if kind is torch.Tensor:
        return attributes
    names = set(copyreg._slotnames(kind))  # type: ignore[attr-defined]
    names -= set(copyreg._slotnames(torch.Tensor))  # type: ignore[attr-defined]
    slots = {n: getattr(obj, n) for n in sorted(names) if hasattr(obj, n)}
    return (attributes or {}, slots) if slots else attributes


def _set_obj_state(obj: Any, state: Any) -> Any:
    """Gives ``obj`` the attributes that ``_get_obj_state`` found."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        obj.__dict__.update(attributes)
    if slots:
        known = copyreg._slotnames(type(obj))  # type: ignore[attr-defined]
        for name, value in slots.items():
            if name not in known:
                raise AttributeError(f"{type(obj).__name__} has no slot {name!r}")
            setattr(obj, name, value)
    return obj


def get_tensor_metadata(tensor: Any) -> dict[str, bool]:
    """Whether the tensor is lazily conjugated (``conj``) or negated (``neg``)."""
    flags = {"conj": "is_conj", "neg": "is_neg"}
    return {name: True for name, ask in flags.items() if getattr(tensor, ask, bool)()}


class before_data:
    """The context in which pickles are read whose storages get their data later.

    What would compute with the data then gives a stand-in, and ``needed`` becomes true:
    the pickle has to be read again.
    """

    def __enter__(self) -> before_data:
        self.needed = False
        self._outer, _reading.context = getattr(_reading, "context", None), self
        return self

    def __exit__(self, *exc_info: object) -> None:
        _reading.context = self._outer


_reading = threading.local()


def _data_is_missing() -> bool:
    context = getattr(_reading, "context", None)
    if context is not None:
        context.needed = True
    return context is not None


def set_tensor_metadata(tensor: Any, metadata: dict[str, bool]) -> Any:
    """``tensor`` with the lazy flags in ``metadata``; returns it."""
    unknown = metadata.keys() - {"conj", "neg"}
    if unknown:
        raise NotImplementedError(f"unknown tensor metadata: {sorted(unknown)}")
    for name, view in (("conj", torch._conj), ("neg", torch._neg_view)):
        if metadata.get(name):
            tensor._keys |= view(tensor.detach())._keys & LAZY
    return tensor


# -- putting together ------------------------------------------------------------------


def _check_geometry(*numbers: Any) -> None:
    for number in numbers:
        if not isinstance(number, int) or number < 0:
            # reprlib, as the repr of what a pickle has built can be endless.
            raise RuntimeError(
                "a tensor's sizes, strides and storage offset must be non-negative "
                f"integers, got {reprlib.repr(number)}"
            )


def _check_tensors(*tensors: Any) -> None:
    for tensor in tensors:
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"expected a Tensor, got {type(tensor).__name__}")


def _strided(root: Any, size: Any, stride: Any, offset: Any) -> Any:
    """The tensor of that shape over ``root``, a 1-d tensor; RuntimeError if it doesn't
    fit."""
    size, stride = tuple(size), tuple(stride)
    _check_geometry(*size, *stride, offset)
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {len(stride)} and {len(size)}"
        )
    if 0 not in size:
        reach = offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if reach > root.numel():
            item = root.element_size()
            raise RuntimeError(
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage "
                f"offset {offset}, and itemsize {item} requiring a storage size of "
                f"{reach * item} are out of bounds for storage of size "
                f"{root.numel() * item}"
            )
    # Offsets count from where the memory starts, and a root may be a part of it.
    offset += root.storage_offset()
    view = torch.as_strided(root.detach(), size, stride, offset)
    # What comes out is no view of the root: it is a tensor of its own.
    return torch.empty(0, dtype=root.dtype, device=root.device).set_(view)


def _rebuild_tensor(storage: Any, storage_offset: Any, size: Any, stride: Any) -> Any:
    """The tensor of that shape over a typed storage."""
    if not isinstance(storage, TypedStorage):
        raise TypeError(f"expected a TypedStorage, got {type(storage).__name__}")
    root = storage._untyped()._as_tensor(storage.dtype)
    return _strided(root, size, stride, storage_offset)


def _finish(tensor: Any, requires_grad: Any, hooks: Any, metadata: Any) -> Any:
    if metadata:
        tensor = set_tensor_metadata(tensor, metadata)
    if requires_grad:
        tensor.requires_grad_(True)
    for hook in (hooks or {}).values():
        tensor.register_hook(hook)
    return tensor


def _rebuild_tensor_v2(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Any:
    """A strided tensor of a dtype that has a storage class."""
    tensor = _rebuild_tensor(storage, storage_offset, size, stride)
    return _finish(tensor, requires_grad, backward_hooks, metadata)


def _rebuild_tensor_v3(
    storage: Any,
    storage_offset: Any,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: Any,
    metadata: Any = None,
) -> Any:
    """A strided tensor of any dtype, over an untyped storage."""
    if isinstance(storage, TypedStorage):
        storage = storage._untyped()
    if not isinstance(storage, UntypedStorage):
        raise TypeError(f"expected an UntypedStorage, got {type(storage).__name__}")
    if storage._foreign_bytes:
        storage.byteswap(dtype)
        storage._foreign_bytes = False
    tensor = _strided(storage._as_tensor(dtype), size, stride, storage_offset)
    return _finish(tensor, requires_grad, backward_hooks, metadata)


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Any:
    _check_tensors(data)
    parameter = torch.nn.Parameter(data, requires_grad)
    return _finish(parameter, False, backward_hooks, None)


def _rebuild_parameter_with_state(
    data: Any, requires_grad: bool, backward_hooks: Any, state: Any
) -> Any:
    parameter = _rebuild_parameter(data, requires_grad, backward_hooks)
    return _set_obj_state(parameter, state)


def _rebuild_from_type_v2(function: Any, new_type: Any, args: Any, state: Any) -> Any:
    """A tensor of a subclass or with attributes, from the plain one underneath."""
    tensor = function(*args)
    if type(tensor) is not new_type:
        tensor = tensor.as_subclass(new_type)
    own = getattr(type(tensor), "__setstate__", None)
    if own is not getattr(torch.Tensor, "__setstate__", None):
        tensor.__setstate__(state)
    elif state:
        tensor = _set_obj_state(tensor, state)
    return tensor


def _rebuild_meta_tensor_no_storage(
    dtype: Any, size: Any, stride: Any, requires_grad: bool
) -> Any:
    _check_geometry(*size, *stride)
    return torch.empty_strided(
        size, stride, dtype=dtype, device="meta", requires_grad=requires_grad
    )


def _rebuild_device_tensor_from_numpy(
    data: Any, dtype: Any, device: Any, requires_grad: bool
) -> Any:
    tensor = torch.from_numpy(data)
    return _rebuild_device_tensor_from_cpu_tensor(tensor, dtype, device, requires_grad)


def _rebuild_device_tensor_from_cpu_tensor(
    data: Any, dtype: Any, device: Any, requires_grad: bool
) -> Any:
    _check_tensors(data)
    if _data_is_missing():
        return data
    tensor = data.to(dtype=dtype, device=device)
    tensor.requires_grad = requires_grad
    return tensor


def _rebuild_sparse_tensor(layout: Any, data: Any) -> Any:
    """A sparse tensor; the indices are checked, as they come from a file."""
    name = str(layout)
    maker = (
        "sparse_coo_tensor"
        if layout is torch.sparse_coo
        else "sparse_compressed_tensor"
    )
    if name != "torch.sparse_coo" and name not in _COMPRESSED:
        raise NotImplementedError(f"rebuilding sparse tensor for layout {layout}")
    make = getattr(torch, maker, None)
    if make is None:
        raise NotImplementedError(f"{name} tensors are not supported by this build")
    if layout is not torch.sparse_coo:
        compressed, plain, values, size = data
        _check_geometry(*size)
        _check_tensors(compressed, plain, values)
        if _data_is_missing():
            return values
        return make(
            compressed, plain, values, size, layout=layout, check_invariants=True
        )
    _check_geometry(*data[2])
    _check_tensors(*data[:2])
    if _data_is_missing():
        return data[1]
    indices, values, size = data[:3]  # older files don't say whether it is coalesced
    coalesced = data[3] if len(data) > 3 else None
    return make(indices, values, size, check_invariants=True, is_coalesced=coalesced)


def _unsupported(name: str, what: str) -> Any:
    def rebuild(*args: Any) -> Any:
        raise NotImplementedError(f"torch._utils.{name}: {what} are not supported")

    rebuild.__name__ = rebuild.__qualname__ = name
    return rebuild


_rebuild_qtensor = _unsupported("_rebuild_qtensor", "quantized tensors")
_rebuild_nested_tensor = _unsupported("_rebuild_nested_tensor", "nested tensors")
_rebuild_wrapper_subclass = _unsupported(
    "_rebuild_wrapper_subclass", "wrapper subclasses without storage"
)


# -- copying ---------------------------------------------------------------------------


def tensor_deepcopy(tensor: Any, memo: dict[int, Any]) -> Any:
    """What ``Tensor.__deepcopy__`` returns: tensors that share memory still do after.

    The gradient and attributes are copied too. Raises RuntimeError for tensors that
    autograd computed.
    """
    if id(tensor) in memo:
        return memo[id(tensor)]
    if not tensor.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the "
            "deepcopy protocol at the moment.  If you were attempting to deepcopy a "
            "module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    with torch.no_grad():
        if (
            tensor.layout is not torch.strided
            or tensor.device.type == "meta"
            or tensor._keys & PYTHON
            or get_tensor_metadata(tensor)
        ):
            made = tensor.detach().clone()
        else:
            storage = copy.deepcopy(UntypedStorage._of(tensor), memo)
            made = _strided(
                storage._as_tensor(tensor.dtype),
                tensor.size(),
                tensor.stride(),
                tensor.storage_offset(),
            )
        if type(made) is not type(tensor):
            made = made.as_subclass(type(tensor))
    if tensor.requires_grad:
        made.requires_grad_(True)
    if tensor.grad is not None:
        made.grad = copy.deepcopy(tensor.grad, memo)
    memo[id(tensor)] = made
    if state := _own_attributes(tensor):
        _set_obj_state(made, copy.deepcopy(state, memo))
    return made
