"""Tensors from Python's and NumPy's data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import get_backend, resolve_device
from dispatchtorch.ops.creation import as_dtype, finish
from dispatchtorch.tensor import Tensor, wrap

__all__ = ["as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "tensor"]


def tensor(
    data: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of ``data`` (numbers, nested sequences, arrays).

    Follows https://docs.pytorch.org/docs/stable/generated/torch.tensor.html.
    """
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
        made = data.detach().to(
            data.device if device is None else device,
            data.dtype if dtype is None else as_dtype(dtype),
            copy=True,
        )
        return finish(made, requires_grad)
    if device is None and hasattr(data, "__cuda_array_interface__"):
        return finish(from_dlpack(data).clone(), requires_grad)
    array = host_array(data, None if dtype is None else as_dtype(dtype))
    return _on_device(array, device, requires_grad)


def _on_device(array: Any, device: Any, requires_grad: bool) -> Tensor:
    backend, index = resolve_device(device)
    if not backend.is_available():
        from dispatchtorch.ops.copy import unavailable

        raise unavailable(backend)
    return finish(wrap(backend.from_host(array, index), backend), requires_grad)


def host_array(data: Any, dtype: dtypes.dtype | None) -> np.ndarray[Any, Any]:
    """A new C-contiguous host array of ``data``, in PyTorch's inferred dtype."""
    if isinstance(data, np.ndarray):
        found = dtypes.from_host_dtype(data.dtype) if dtype is None else dtype
        return _cast(np.array(data, order="C"), found)
    if isinstance(data, np.generic):
        found = dtypes.from_host_dtype(data.dtype) if dtype is None else dtype
        return _cast(np.asarray(data), found)
    kinds = _Kinds()
    plain = kinds.visit(data, [])
    if dtype is None:
        dtype = kinds.dtype()
    return _fill(plain, dtype, kinds)


class _Kinds:
    """One walk over nested data: its shape, and which kinds of numbers it holds."""

    __slots__ = ("category", "explicit", "shape")

    def __init__(self) -> None:
        self.category = -1
        self.explicit: dtypes.dtype | None = None
        self.shape: tuple[int, ...] | None = None

    def visit(self, data: Any, path: list[int]) -> Any:
        if isinstance(data, np.generic):  # before float, which float64 is one of
            self._explicit(dtypes.from_host_dtype(data.dtype))
            return data.item()
        if isinstance(data, bool):
            self.category = max(self.category, dtypes.BOOL)
        elif isinstance(data, int):
            self.category = max(self.category, dtypes.INT)
        elif isinstance(data, float):
            self.category = max(self.category, dtypes.FLOAT)
        elif isinstance(data, complex):
            self.category = max(self.category, dtypes.COMPLEX)
        elif isinstance(data, Tensor):
            self._explicit(data.dtype)
            return data.tolist()
        elif isinstance(data, (np.ndarray, np.generic)):
            self._explicit(dtypes.from_host_dtype(data.dtype))
            return data.tolist()
        elif isinstance(data, str):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        elif hasattr(data, "__array__") and not hasattr(data, "__len__"):
            array = np.asarray(data)
            self._explicit(dtypes.from_host_dtype(array.dtype))
            return array.tolist()
        elif hasattr(data, "__len__") and hasattr(data, "__getitem__"):
            return [self.visit(each, path) for each in data]
        elif hasattr(data, "__index__"):
            self.category = max(self.category, dtypes.INT)
            return data.__index__()
        elif hasattr(data, "__float__"):
            self.category = max(self.category, dtypes.FLOAT)
            return float(data)
        elif data is None:
            raise RuntimeError("Could not infer dtype of NoneType")
        else:
            raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
        return data

    def _explicit(self, found: dtypes.dtype) -> None:
        if self.explicit is None:
            self.explicit = found
        else:
            self.explicit = dtypes.promote_types(self.explicit, found)

    def dtype(self) -> dtypes.dtype:
        default = dtypes.get_default_dtype()
        numbers = {
            -1: default,
            dtypes.BOOL: dtypes.bool,
            dtypes.INT: dtypes.int64,
            dtypes.FLOAT: default,
            dtypes.COMPLEX: default.to_complex(),
        }[self.category]
        if self.explicit is None:
            return numbers
        if self.category < 0:
            return self.explicit
        return dtypes.promote_types(self.explicit, numbers)


def _shape_of(data: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(data, list):
        shape.append(len(data))
        if not data:
            break
        data = data[0]
    return tuple(shape)


def _fill(plain: Any, dtype: dtypes.dtype, kinds: _Kinds) -> np.ndarray[Any, Any]:
    shape = _shape_of(plain)
    _check_rectangular(plain, shape, 0)
    if kinds.category == dtypes.COMPLEX and not dtype.is_complex:
        value = next(v for v in _leaves(plain) if isinstance(v, complex))
        raise TypeError(
            "can't convert complex to float"
            if dtype.is_floating_point
            else f"'complex' object cannot be interpreted as an integer{value and ''}"
        )
    if kinds.category == dtypes.FLOAT and dtype.category == dtypes.INT:
        plain = _truncated(plain)
    host = dtype.host
    if dtype.category == dtypes.INT:
        info = np.iinfo(host)
        try:
            array = np.array(plain, np.int64 if info.max <= 2**63 - 1 else host)
        except OverflowError:
            raise RuntimeError(
                "Overflow when unpacking long long"
                if dtype.itemsize == 8
                else f"value cannot be converted to type {dtype.name} without overflow"
            ) from None
        if array.size and (array.min() < info.min or array.max() > info.max):
            raise RuntimeError(
                f"value cannot be converted to type {_INT_NAMES.get(dtype.name)} without "
                "overflow"
            )
        return array.astype(host).reshape(shape)
    if dtype.category == dtypes.BOOL:
        wide = np.array(plain, np.complex128 if kinds.category == 3 else np.float64)
        return (wide != 0).reshape(shape)
    with np.errstate(all="ignore"):
        if dtype.itemsize < 4:
            return np.array(plain, np.float64).astype(host).reshape(shape)
        return np.array(plain, host).reshape(shape)


_INT_NAMES = {"uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int"}


def _leaves(plain: Any) -> Any:
    if isinstance(plain, list):
        for each in plain:
            yield from _leaves(each)
    else:
        yield plain


def _truncated(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_truncated(each) for each in plain]
    return int(plain)


def _check_rectangular(plain: Any, shape: tuple[int, ...], dim: int) -> None:
    if dim == len(shape):
        if isinstance(plain, list):
            raise ValueError(
                "only one element tensors can be converted to Python scalars"
                if not plain
                else f"expected sequence of length 0 at dim {dim} (got {len(plain)})"
            )
        return
    if not isinstance(plain, list):
        raise TypeError(
            f"expected a sequence of length {shape[dim]} at dim {dim}, got "
            f"{type(plain).__name__}"
        )
    if len(plain) != shape[dim]:
        raise ValueError(
            f"expected sequence of length {shape[dim]} at dim {dim} (got {len(plain)})"
        )
    if dim + 1 < len(shape) or any(isinstance(each, list) for each in plain):
        for each in plain:
            _check_rectangular(each, shape, dim + 1)


def _cast(array: np.ndarray[Any, Any], dtype: dtypes.dtype) -> np.ndarray[Any, Any]:
    if array.dtype == dtype.host:
        return array
    from dispatchtorch.backend import get_backend

    with np.errstate(all="ignore"):
        cast: np.ndarray[Any, Any] = get_backend("cpu").cast(array, dtype)
    return cast


def from_numpy(ndarray: Any) -> Tensor:
    """A host tensor that shares a NumPy array's memory."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtypes.from_host_dtype(ndarray.dtype)
    size = ndarray.itemsize
    for stride in ndarray.strides:
        if stride < 0:
            raise ValueError(
                "At least one stride in the given numpy array is negative, and tensors "
                "with negative strides are not currently supported. (You can probably "
                "work around this by making a copy of your array  with array.copy().) "
            )
        if stride % size:
            raise ValueError(
                "given numpy array strides not a multiple of the element byte size. Copy "
                "the numpy array to reallocate the memory."
            )
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support "
            "non-writable tensors. This means writing to this tensor will result in "
            "undefined behavior. You may want to copy the array to protect its data or "
            "make it writable before converting it to a tensor. This type of warning "
            "will be suppressed for the rest of this program.",
            stacklevel=2,
        )
    return wrap(np.asarray(ndarray), get_backend("cpu"))


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of ``data`` that shares its memory and history where that is possible."""
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Tensor):
        return data.to(
            data.device if device is None else device,
            data.dtype if wanted is None else wanted,
        )
    if isinstance(data, np.ndarray):
        backend, _ = resolve_device(device)
        shared = all(s >= 0 for s in data.strides)
        if shared and backend.is_host:
            t = from_numpy(data)
            return t if wanted is None else t.to(wanted)
    return tensor(data, dtype=wanted, device=device)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of any array-like, sharing memory unless ``copy`` is True."""
    if copy:
        if isinstance(obj, Tensor):
            made = obj.detach().to(
                obj.device if device is None else device,
                obj.dtype if dtype is None else as_dtype(dtype),
                copy=True,
            )
            return finish(made, requires_grad)
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    if isinstance(obj, Tensor):
        made = as_tensor(obj, dtype, device)
        return made if requires_grad else made.detach()
    if hasattr(obj, "__dlpack__") and not isinstance(obj, np.ndarray):
        made = as_tensor(from_dlpack(obj), dtype, device)
    elif not isinstance(obj, (np.ndarray, list, tuple, int, float, complex, bool)) and (
        _has_buffer(obj)
    ):
        made = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
    else:
        made = as_tensor(obj, dtype, device)
    if copy is False and isinstance(obj, (list, tuple)):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    return finish(made, requires_grad)


def _has_buffer(obj: Any) -> bool:
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A 1-d host tensor over an object's memory."""
    wanted = as_dtype(dtype)
    view = memoryview(buffer)
    size = wanted.itemsize
    length = view.nbytes
    if length == 0 or count == 0:
        raise ValueError(
            f"both buffer length ({length}) and count ({count}) must not be 0"
        )
    if offset < 0 or offset >= length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer "
            f"length ({length} bytes) minus 1"
        )
    if count < 0:
        if (length - offset) % size:
            raise ValueError(
                f"buffer length ({length - offset} bytes) after offset ({offset} bytes) "
                f"must be a multiple of element size ({size})"
            )
        count = (length - offset) // size
    elif offset + count * size > length:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} "
            f"bytes) must not be greater than actual buffer length ({length} bytes)"
        )
    if view.readonly:
        warnings.warn(
            "The given buffer is not writable, and PyTorch does not support non-writable "
            "tensors. This means you can write to the underlying (supposedly "
            "non-writable) buffer using the tensor. You may want to copy the buffer to "
            "protect its data or make it writable before converting it to a tensor. This "
            "type of warning will be suppressed for the rest of this program.",
            stacklevel=2,
        )
    raw = np.frombuffer(buffer, np.uint8, count * size, offset)
    return finish(wrap(raw.view(wanted.host), get_backend("cpu")), requires_grad)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: Any = None) -> Tensor:
    """A tensor that shares the memory of any DLPack object."""
    kind, _ = (
        ext_tensor.__dlpack_device__()
        if hasattr(ext_tensor, "__dlpack_device__")
        else (1, 0)
    )
    if int(kind) == 1:
        made = wrap(np.from_dlpack(ext_tensor), get_backend("cpu"))
    else:
        from dispatchtorch.plugins import manager

        for name in manager.accelerators():
            backend = get_backend(name)
            take = getattr(backend, "from_dlpack", None)
            if take is not None and backend.is_available():
                made = wrap(take(ext_tensor), backend)
                break
        else:
            raise RuntimeError(
                f"no installed device takes DLPack memory of device type {kind}"
            )
    if device is not None:
        made = made.to(device)
    return made.clone() if copy else made


def legacy_new(dtype: dtypes.dtype, device: Any, args: tuple[Any, ...]) -> Tensor:
    """``torch.Tensor(…)`` and its kin: sizes give memory, sequences give values."""
    from dispatchtorch.ops._common import torch

    if len(args) == 1 and not isinstance(args[0], int):
        only = args[0]
        if isinstance(only, Tensor):
            return only.to(dtype) if only.dtype is not dtype else only.alias()
        if (
            isinstance(only, tuple)
            and all(type(n) is int for n in only)
            and (type(only).__name__ == "Size")
        ):
            made: Tensor = torch.empty(only, dtype=dtype, device=device)
            return made
        return tensor(only, dtype=dtype, device=device)
    made = torch.empty(tuple(args) or (0,), dtype=dtype, device=device)
    return made
