"""Tensors from Python's and NumPy's data."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import get_backend, resolve_device
from dispatchtorch.device import device as Device
from dispatchtorch.dispatch import state
from dispatchtorch.dtypes import c_type
from dispatchtorch.interception import handled
from dispatchtorch.ops.creation import as_dtype, check_pinned, check_size, finish
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
    if type(requires_grad) is not bool:
        raise TypeError(
            "tensor(): argument 'requires_grad' must be bool, not "
            f"{type(requires_grad).__name__}"
        )
    if dtype is not None and not isinstance(dtype, (dtypes.dtype, type)):
        raise TypeError(
            "tensor(): argument 'dtype' must be torch.dtype, not "
            f"{type(dtype).__name__}"
        )
    check_pinned(pin_memory)
    if state.ACTIVE and state.tls.function_modes:
        given: dict[str, Any] = {"dtype": dtype, "device": device}
        if requires_grad:
            given["requires_grad"] = requires_grad
        return handled(tensor, (), data, **given)  # type: ignore[no-any-return]
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
        made = _of_device_array(data).clone()
        return finish(
            made if dtype is None else made.to(as_dtype(dtype)), requires_grad
        )
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
        _check_array(data)
        found = dtypes.from_host_dtype(data.dtype) if dtype is None else dtype
        return _cast(np.array(data, order="K"), found)
    if isinstance(data, np.generic):
        found = dtypes.from_host_dtype(data.dtype) if dtype is None else dtype
        return _cast(np.asarray(data), found)
    kinds = _Kinds()
    plain = kinds.visit(data)
    if dtype is None:
        dtype = dtypes.get_default_dtype() if 0 in _shape_of(plain) else kinds.dtype()
    return _fill(plain, dtype, kinds)


class _Kinds:
    """One walk over nested data: its shape, and which kinds of numbers it holds."""

    __slots__ = ("category", "explicit", "shape")

    def __init__(self) -> None:
        self.category = -1
        self.explicit: dtypes.dtype | None = None
        self.shape: tuple[int, ...] | None = None

    def visit(self, data: Any, depth: int = 0, first: bool = True) -> Any:
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
            if data.numel() == 1:
                return data.item()
            if data.dtype.category >= dtypes.FLOAT:
                raise ValueError(
                    "only one element tensors can be converted to Python scalars"
                )
            raise TypeError(
                "only integer tensors of a single element can be converted to an index"
            )
        elif isinstance(data, np.ndarray):
            self._explicit(dtypes.from_host_dtype(data.dtype))
            if not data.ndim:
                raise TypeError("len() of unsized object")
            return data.tolist()
        elif isinstance(data, str) and depth and first:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        elif isinstance(data, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        elif (
            hasattr(data, "__len__")
            and hasattr(data, "__getitem__")
            and not isinstance(data, dict)
        ):
            return [self.visit(v, depth + 1, not i) for i, v in enumerate(data)]
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
    if 0 in shape:
        return np.empty(shape, dtype.host)
    _check_rectangular(plain, shape, 0, dtype)
    host = dtype.host
    if dtype.category == dtypes.BOOL:
        wide = np.complex128 if kinds.category == dtypes.COMPLEX else np.float64
        return (np.array(plain, wide) != 0).reshape(shape)
    if kinds.category == dtypes.COMPLEX and not dtype.is_complex:
        raise TypeError(
            "must be real number, not complex"
            if dtype.is_floating_point
            else "'complex' object cannot be interpreted as an integer"
        )
    if dtype.category == dtypes.INT:
        return _integers(plain, dtype).reshape(shape)
    with np.errstate(all="ignore"):
        if dtype.itemsize < 4:
            return _cast(np.array(plain, np.float64), dtype).reshape(shape)
        return np.array(plain, host).reshape(shape)


def _integers(plain: Any, dtype: dtypes.dtype) -> np.ndarray[Any, Any]:
    """Numbers as an array of an integer dtype; those that don't fit raise."""
    limits = np.iinfo(dtype.host)
    # Negative integers wrap around in the narrow unsigned dtypes, but floats don't.
    least = limits.min if limits.min else -limits.max
    made = []
    for value in _leaves(plain):
        whole = isinstance(value, int)
        if whole and dtype is dtypes.uint64:
            if value < 0:
                raise OverflowError("can't convert negative int to unsigned")
            if value > limits.max:
                raise OverflowError("int too big to convert")
        elif whole and not -(2**63) <= value < 2**63:
            raise ValueError("Overflow when unpacking long long")
        lowest = least if whole else limits.min
        if value != value or not lowest <= value <= limits.max:
            raise RuntimeError(
                f"value cannot be converted to type {dtype.name} without overflow"
            )
        made.append(int(value))
    wide = np.uint64 if dtype is dtypes.uint64 else np.int64
    return np.array(made, wide).astype(dtype.host)


def _leaves(plain: Any) -> Any:
    if isinstance(plain, list):
        for each in plain:
            yield from _leaves(each)
    else:
        yield plain


def _check_rectangular(
    plain: Any, shape: tuple[int, ...], dim: int, dtype: dtypes.dtype
) -> None:
    if dim == len(shape):
        if isinstance(plain, list):
            raise TypeError(
                "must be real number, not list"
                if dtype.category >= dtypes.FLOAT
                else "'list' object cannot be interpreted as an integer"
            )
        return
    if not isinstance(plain, list):
        raise TypeError("not a sequence")
    if len(plain) != shape[dim]:
        raise ValueError(
            f"expected sequence of length {shape[dim]} at dim {dim} (got {len(plain)})"
        )
    if dim + 1 < len(shape) or any(isinstance(each, list) for each in plain):
        for each in plain:
            _check_rectangular(each, shape, dim + 1, dtype)


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
        kind = type(ndarray)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        raise TypeError(f"expected np.ndarray (got {module}{kind.__name__})")
    _check_array(ndarray)
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support "
            "non-writable tensors. This means writing to this tensor will result in "
            "undefined behavior. You may want to copy the array to protect its data or "
            "make it writable before converting it to a tensor. This type of warning "
            "will be suppressed for the rest of this program.",
            stacklevel=2,
        )
        ndarray = _writable(ndarray)
    return wrap(np.asarray(ndarray), get_backend("cpu"))


def _writable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same memory without the mark that it is read-only, as PyTorch sees it."""
    import ctypes

    if not array.size:
        return array.copy()
    low, high = np.lib.array_utils.byte_bounds(array)
    memory = (ctypes.c_byte * (high - low)).from_address(low)
    memory._keeps = array  # type: ignore[attr-defined]
    start = array.__array_interface__["data"][0] - low
    made: np.ndarray[Any, Any] = np.ndarray(
        array.shape, array.dtype, memoryview(memory), start, array.strides
    )
    return made


def _check_array(array: np.ndarray[Any, Any]) -> None:
    """The errors of arrays that no tensor can look like."""
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. "
            "Conversion between byte orders is currently not supported."
        )
    dtypes.from_host_dtype(array.dtype)
    size = array.itemsize
    for stride in array.strides:
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


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """A tensor of ``data`` that shares its memory and history where that is possible."""
    if state.ACTIVE and state.tls.function_modes:
        return handled(as_tensor, (), data, dtype=dtype, device=device)  # type: ignore[no-any-return]
    wanted = None if dtype is None else as_dtype(dtype)
    if isinstance(data, Tensor):
        return data.to(
            data.device if device is None else device,
            data.dtype if wanted is None else wanted,
        )
    if isinstance(data, np.ndarray):
        backend, _ = resolve_device(device)
        if backend.is_host:
            t = from_numpy(data)
            return t if wanted is None else t.to(wanted)
    if hasattr(data, "__cuda_array_interface__"):
        made = _of_device_array(data)
        target = made.device if device is None else device
        return made.to(target, made.dtype if wanted is None else wanted)
    return tensor(data, dtype=wanted, device=device)


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """A tensor of any array-like, sharing memory where ``copy`` and the object allow.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.asarray.html.
    """
    wanted = None if dtype is None else as_dtype(dtype)
    shared = _shared(obj, wanted)
    if shared is None:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(
            obj, dtype=wanted, device=device, requires_grad=bool(requires_grad)
        )
    if device is None and isinstance(obj, Tensor):
        target = shared.device
    else:
        backend, index = resolve_device(device)
        target = Device(backend.device_type, index if backend.indexed else None)
    if copy is False:
        if shared.device != target:
            raise ValueError(
                f"can't alias tensor from device '{shared.device}' to '{target}'."
            )
        if wanted is not None and wanted is not shared.dtype:
            raise ValueError(
                "can't alias tensor with dtype "
                f"'{dtypes.scalar_type_name(shared.dtype)}' into dtype "
                f"'{dtypes.scalar_type_name(wanted)}'."
            )
    made = shared.to(target, shared.dtype if wanted is None else wanted)
    if copy and made is shared:
        made = made.clone()
    if requires_grad is False:
        return made.detach() if made.requires_grad else made
    if not requires_grad or made.requires_grad:
        return made
    return finish(made, True)


def _shared(obj: Any, wanted: dtypes.dtype | None) -> Tensor | None:
    """A tensor over an object's memory, where the object gives it away."""
    if isinstance(obj, Tensor):
        return obj
    if isinstance(obj, np.ndarray):
        return from_numpy(obj)
    if isinstance(obj, np.generic):
        return from_numpy(np.array(obj))
    if hasattr(obj, "__dlpack__"):
        return from_dlpack(obj)
    if _has_buffer(obj):
        return frombuffer(obj, dtype=wanted or dtypes.get_default_dtype())
    return None


def _has_buffer(obj: Any) -> bool:
    try:
        memoryview(obj)
    except TypeError:
        return False
    return True


def frombuffer(
    buffer: Any,
    *,
    dtype: Any = None,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A 1-d host tensor over an object's memory."""
    if dtype is None:
        raise TypeError('frombuffer() missing 1 required positional arguments: "dtype"')
    wanted = as_dtype(dtype)
    try:
        view = memoryview(buffer)
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
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
    if view.readonly:
        raw = _writable(raw)
    return finish(wrap(raw.view(wanted.host), get_backend("cpu")), requires_grad)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: Any = None) -> Tensor:
    """A tensor that shares the memory of any DLPack object, or of a DLPack capsule.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.from_dlpack.html.
    """
    if isinstance(ext_tensor, Tensor):
        if ext_tensor.requires_grad:
            raise BufferError(
                "Can't export tensors that require gradient, use tensor.detach()"
            )
        made = wrap(ext_tensor._data, ext_tensor._backend)
        made._ver = ext_tensor._ver
    else:
        made = _imported(ext_tensor)
    if device is not None:
        made = made.to(device)
    return made.clone() if copy else made


def _imported(source: Any) -> Tensor:
    if not hasattr(source, "__dlpack__"):
        if type(source).__name__ != "PyCapsule":
            raise RuntimeError(
                "from_dlpack received an invalid capsule. Note that DLTensor capsules "
                "can be consumed only once, so you might have already constructed a "
                "tensor from it once."
            )
        source = _Capsule(source)
    kind, _ = getattr(source, "__dlpack_device__", lambda: (1, 0))()
    if int(kind) == 1:
        array = np.from_dlpack(source)
        if not array.flags.writeable:
            array = _writable(array)
        return wrap(array, get_backend("cpu"))
    from dispatchtorch.plugins import manager

    for name in manager.accelerators():
        backend = get_backend(name)
        take = getattr(backend, "from_dlpack", None)
        if take is not None and backend.is_available():
            return wrap(take(source), backend)
    raise RuntimeError(f"no installed device takes DLPack memory of device type {kind}")


def _of_device_array(source: Any) -> Tensor:
    """A tensor over the memory of another library's array on a device."""
    if hasattr(source, "__dlpack__"):
        return from_dlpack(source)
    from dispatchtorch.plugins import manager

    for name in manager.accelerators():
        backend = get_backend(name)
        take = getattr(backend, "from_cuda_array_interface", None)
        if take is not None and backend.is_available():
            return wrap(take(source), backend)
    raise RuntimeError("no installed device takes __cuda_array_interface__")


class _Capsule:
    """Gives out a capsule that is there already; host memory, as it can't be asked."""

    __slots__ = ("capsule",)

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def legacy_new(
    dtype: dtypes.dtype, device: Any, args: tuple[Any, ...], *, any_dtype: bool = False
) -> Tensor:
    """``torch.Tensor(…)`` and its kin: sizes give memory, sequences give values.

    ``any_dtype``: a tensor is taken as it is, as ``torch.Tensor`` itself does.
    """
    from dispatchtorch.ops._common import torch
    from dispatchtorch.ops.view import alias

    if len(args) != 1 or _is_size(args[0]):
        return torch.empty(  # type: ignore[no-any-return]
            _legacy_size(args), dtype=dtype, device=device
        )
    only = args[0]
    if isinstance(only, Tensor):
        if only.dtype is not dtype and not any_dtype:
            kinds = [
                f"TensorOptions(dtype={c_type(each)}, device={only.device}, "
                "layout=Strided, requires_grad=false (default), pinned_memory=false "
                "(default), memory_format=(nullopt))"
                for each in (dtype, only.dtype)
            ]
            raise TypeError(f"expected {kinds[0]} (got {kinds[1]})")
        return alias(only)  # type: ignore[no-any-return]
    if type(only).__name__ == "Size":
        return torch.empty(only, dtype=dtype, device=device)  # type: ignore[no-any-return]
    if hasattr(only, "untyped") and hasattr(only, "nbytes"):
        made: Tensor = torch.empty((0,), dtype=dtype, device=device)
        return made.set_(only)
    if not hasattr(only, "__getitem__") or isinstance(only, dict):
        raise TypeError(f"new(): data must be a sequence (got {type(only).__name__})")
    return tensor(only, dtype=dtype, device=device)


def _is_size(value: Any) -> bool:
    if isinstance(value, (bool, Tensor, np.ndarray)):
        return False
    return hasattr(value, "__index__")


def _legacy_size(args: tuple[Any, ...]) -> tuple[int, ...]:
    if not args:
        return (0,)
    if not hasattr(args[0], "__index__") or isinstance(args[0], Tensor):
        given = ", ".join(type(each).__name__ for each in args)
        wrong = ", ".join(f"!{type(each).__name__}!" for each in args)
        raise TypeError(
            "new() received an invalid combination of arguments - got "
            f"({given}), but expected one of:\n"
            " * (*, torch.device device = None)\n"
            "      didn't match because some of the arguments have invalid types: "
            f"({wrong})\n"
            " * (torch.Storage storage)\n"
            " * (Tensor other)\n"
            " * (tuple of ints size, *, torch.device device = None)\n"
            " * (object data, *, torch.device device = None)\n"
        )
    return check_size(args, "new")
