"""Copies: between tensors, dtypes, devices and memory orders; and filling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.backend import Backend, Kernel, resolve_device
from dispatchtorch.device import device as Device
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import Operator, operator, primitive
from dispatchtorch.dtypes import DTYPE_MASK, FLOAT, dtype
from dispatchtorch.lift import Lift, Plain, run_guarded
from dispatchtorch.lift.base import plain_number
from dispatchtorch.memory_format import contiguous_format, preserve_format
from dispatchtorch.ops._common import check_number, contiguous_strides, torch
from dispatchtorch.ops._formats import suggested_format
from dispatchtorch.ops.creation import (
    as_dtype,
    torch_memory_format_strides,
)
from dispatchtorch.tensor import Tensor, bare, new_tensor


class _Copy(Lift):
    """``copy_``: broadcasts, casts, and crosses between devices."""

    has_out = False

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Callable[..., Any],
    ) -> Callable[..., Any]:
        write = kernel.function
        shape_of = backend.shape

        def copy(self: Tensor, src: Tensor, non_blocking: bool) -> Tensor:
            target, source = self._data, src._data
            other = src._backend
            if other is not backend or (other.index(source) != backend.index(target)):
                source = backend.from_host(other.to_host(source), backend.index(target))
            shape = shape_of(target)
            if shape_of(source) != shape:
                source = expanded(backend, source, shape)
            run_guarded(backend, write, target, source)
            return self

        return copy


def expanded(backend: Backend, source: Any, shape: tuple[int, ...]) -> Any:
    """A native array broadcast to a shape, by strides of 0."""
    from dispatchtorch.device_layer import native_kernel

    own, strides = backend.shape(source), backend.strides(source)
    lead = len(shape) - len(own)
    if lead < 0 and all(n == 1 for n in own[:-lead]):
        own, strides, lead = own[-lead:], strides[-lead:], 0
    fits = lead >= 0 and all(
        a in (1, b) for a, b in zip(own, shape[lead:], strict=True)
    )
    if not fits:
        for i, (a, b) in enumerate(zip(own, shape[lead:], strict=False)):
            if a not in (1, b):
                raise RuntimeError(
                    f"The size of tensor a ({b}) must match the size of tensor b ({a}) "
                    f"at non-singleton dimension {i + lead}"
                )
        raise RuntimeError(
            f"output with shape {list(shape)} doesn't match the broadcast shape "
            f"{list(own)}"
        )
    wanted = (0,) * lead + tuple(
        0 if a != b else s for a, b, s in zip(own, shape[lead:], strides, strict=True)
    )
    return native_kernel("as_strided", backend)(
        source, shape, wanted, backend.offset(source)
    )


copy_ = primitive(
    "copy_(Tensor(a!) self, Tensor other, bool non_blocking=False) -> Tensor(a!)",
    lift=_Copy(),
    tags="inplace mixed_devices no_fallback",
    variants="method",
)
derive(
    copy_,
    name_="CopyBackwards",
    self=lambda grad: grad.new_zeros(grad._shape),
    other=lambda grad, other_options: grad.to(other_options[1]),
)


@operator(
    "clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor",
    lift=Plain(has_out=False),
)
def clone(self, *, memory_format):
    """A copy with its own memory; dims keep their order in memory by default."""
    made = torch.empty_like(self, memory_format=memory_format)
    return made.copy_(self)


derive(clone, self=lambda grad: grad)


@operator("fill.Tensor(Tensor self, Tensor value) -> Tensor", variants="function")
def fill_with(self, value):
    """A copy in which all elements are a 0-d tensor's number."""
    return torch.empty_like(self).fill_(value)


@operator("fill.Scalar(Tensor self, Scalar value) -> Tensor", variants="function")
def fill(self, value):
    """A copy in which all elements are one number."""
    return torch.empty_like(self).fill_(value)


@operator("fill_.Tensor(Tensor(a!) self, Tensor value) -> Tensor(a!)", tags="inplace")
def fill_tensor_(self, value):
    """Writes a 0-d tensor's number to all elements."""
    if value.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    return _write(self, value)


class _Fill(Lift):
    """``fill_``: a device's kernel writes a number straight to the native array."""

    has_out = False

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Callable[..., Any],
    ) -> Callable[..., Any]:
        write = kernel.function

        def fill(self: Tensor, value: Any) -> Tensor:
            if type(value) not in (int, float) or not -100 < value < 100:
                _check_fill(self, value)
                value = plain_number(value)
            if write(self._data, value) is NotImplemented:
                return declined(self, value)  # type: ignore[no-any-return]
            return self

        return fill


def _check_fill(self: Tensor, value: Any) -> None:
    dtype = self.dtype
    if dtype.itemsize > 2 or dtype.category < FLOAT or self.numel() != 1:
        check_number(value, dtype)  # a single narrow float becomes infinite instead


@operator(
    "fill_.Scalar(Tensor(a!) self, Scalar value) -> Tensor(a!)",
    tags="inplace",
    lift=_Fill(),
)
def fill_(self, value):
    """Writes one number to all elements."""
    _check_fill(self, value)
    dtype = self.dtype
    backend = self._backend
    native = backend.scalar(value, dtype, backend.index(self._data))
    keys = backend.key | self._keys & DTYPE_MASK
    return _write(self, new_tensor(native, keys))


def _write(target: Tensor, source: Tensor) -> Tensor:
    """``copy_`` below the bookkeeping, which the caller's operator does."""
    bare(target).copy_(source)
    return target


for _op, _name in ((fill, "FillBackward0"), (fill_, "FillBackward2")):
    derive(_op, name_=_name, self=lambda grad: grad.new_zeros(grad._shape))
for _op, _name in ((fill_with, "FillBackward1"), (fill_tensor_, "FillBackward3")):
    derive(
        _op,
        name_=_name,
        self=lambda grad: grad.new_zeros(grad._shape),
        value=lambda grad: grad.sum(),
    )


@operator("zero_(Tensor(a!) self) -> Tensor(a!)", tags="inplace")
def zero_(self):
    """Writes zeros."""
    bare(self).fill_(0)
    return self


derive(zero_, self=lambda grad: grad.new_zeros(grad._shape))


@operator(
    "_to_copy(Tensor self, *, ScalarType? dtype=None, Device? device=None, "
    "bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    variants="function",
)
def _to_copy(self, *, dtype, device, non_blocking, memory_format):
    """A copy in another dtype or on another device."""
    made = torch.empty_like(
        self, dtype=dtype, device=device, memory_format=memory_format
    )
    return made.copy_(self, non_blocking)


derive(
    _to_copy,
    name_="ToCopyBackward0",
    self=lambda grad, self_options: grad.to(self_options[1], self_options[0]),
)


_TO = """
 * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, \
bool copy = False, *, torch.memory_format memory_format = None)
 * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, \
torch.memory_format memory_format = None)
 * (Tensor tensor, bool non_blocking = False, bool copy = False, *, \
torch.memory_format memory_format = None)
"""
_TO_NAMES = {
    "device": ("device", "dtype", "non_blocking", "copy"),
    "dtype": ("dtype", "non_blocking", "copy"),
    "tensor": ("tensor", "non_blocking", "copy"),
}


def parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    """(device, dtype, non_blocking, copy, memory_format) of ``Tensor.to``'s arguments."""
    given = dict(kwargs)
    memory_format = given.pop("memory_format", None)
    form = "device"
    if args:
        first = args[0]
        if isinstance(first, Tensor):
            form = "tensor"
        elif _is_dtype(first):
            form = "dtype"
    elif "tensor" in kwargs:
        form = "tensor"
    names = _TO_NAMES[form]
    given.update(zip(names, args, strict=False))
    if (
        len(args) > len(names)
        or any(n in kwargs for n in names[: len(args)])
        or not all(n in names and _fits_to(n, v) for n, v in given.items())
    ):
        raise _bad_to(args, kwargs)
    device, wanted = given.get("device"), given.get("dtype")
    if form == "tensor":
        device, wanted = given["tensor"].device, given["tensor"].dtype
    flags = given.get("non_blocking", False), given.get("copy", False)
    return device, wanted, *flags, memory_format


def _is_dtype(value: Any) -> bool:
    return isinstance(value, dtype) or value in (float, int, bool, complex)


def _fits_to(name: str, value: Any) -> bool:
    if name == "device":
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return value is None or is_number or isinstance(value, (str, Device))
    if name == "dtype":
        return value is None or _is_dtype(value)
    return isinstance(value, Tensor if name == "tensor" else bool)


def _bad_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError:
    from dispatchtorch.signatures import _listed

    return TypeError(
        "to() received an invalid combination of arguments - got "
        f"({_listed(args, kwargs, None)}), but expected one of:{_TO}"
    )


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor on another device or in another dtype; itself where it is so already.

    Follows https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to.html.
    """
    device, wanted, non_blocking, copy, memory_format = parse_to(args, kwargs)
    if memory_format is preserve_format:
        memory_format = None
    if wanted is not None:
        wanted = as_dtype(wanted)
        if wanted is self.dtype:
            wanted = None
    if device is not None:
        backend, index = resolve_device(device)
        mine = self._backend
        if backend is mine and index == (self.device.index or 0):
            device = None
        elif not backend.is_available():
            raise unavailable(backend)
        else:
            device = Device(backend.device_type, index if backend.indexed else None)
    if device is None and wanted is None and not copy:
        if memory_format is None or memory_format is suggested_format(self):
            return self
    return torch._to_copy(  # type: ignore[no-any-return]
        self,
        dtype=wanted,
        device=device,
        non_blocking=non_blocking,
        memory_format=memory_format,
    )


def unavailable(backend: Backend) -> RuntimeError:
    reason = backend.unavailable_reason()
    return RuntimeError(
        f"device '{backend.device_type}' isn't available on this machine"
        + (f": {reason}" if reason else "")
    )


@operator(
    "contiguous(Tensor self, *, MemoryFormat memory_format=contiguous_format) -> Tensor",
    variants="method",
)
def contiguous(self, *, memory_format):
    """The tensor itself if its memory is in the order asked for, else a copy."""
    if memory_format is contiguous_format or type(memory_format) is str:
        if is_contiguous(self):
            return self
        return self.clone(memory_format=contiguous_format)
    if memory_format is preserve_format:
        if is_contiguous(self):
            return self
        raise RuntimeError(
            "preserve memory format is unsupported by the contiguous operator"
        )
    if is_contiguous(self, memory_format):
        return self
    return self.clone(memory_format=memory_format)


def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in memory in the order of a memory format."""
    shape = self._shape
    strides = self._backend.strides(self._data)
    expected = None
    if memory_format is not None and memory_format is not contiguous_format:
        name = str(memory_format)
        if name.endswith("channels_last") and len(shape) != 4:
            return False
        if name.endswith("channels_last_3d") and len(shape) != 5:
            return False
        expected = torch_memory_format_strides(shape, memory_format)
    if expected is None:
        expected = contiguous_strides(shape)
    if strides == expected or 0 in shape:
        return True
    return all(
        a == b or n == 1 for n, a, b in zip(shape, strides, expected, strict=True)
    )


def _cast_method(name: str, target: str) -> Callable[..., Tensor]:
    def cast(self: Tensor, *, memory_format: Any = None) -> Tensor:
        return to(self, getattr(torch, target), memory_format=memory_format)

    cast.__name__ = name
    cast.__qualname__ = f"Tensor.{name}"
    cast.__doc__ = f"The tensor as ``torch.{target}``; itself where it is so already."
    return cast


CAST_METHODS = {
    name: _cast_method(name, target)
    for name, target in (
        ("float", "float32"), ("double", "float64"), ("half", "float16"),
        ("bfloat16", "bfloat16"), ("int", "int32"), ("long", "int64"),
        ("short", "int16"), ("char", "int8"), ("byte", "uint8"), ("bool", "bool"),
        ("cfloat", "complex64"), ("cdouble", "complex128"),
    )
}  # fmt: skip
