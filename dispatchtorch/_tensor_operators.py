"""Python's operators on tensors, and indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.codegen import keys_of
from dispatchtorch.ops._common import torch
from dispatchtorch.ops.indexing import index_ as _index
from dispatchtorch.ops.view import slice_ as _slice
from dispatchtorch.tensor import Tensor

__all__: list[str] = []

# Dunder, operator: the entry is generated at import, because Python looks dunders up on
# the class and never asks __getattr__.
_BINARY = """
__add__ add          __sub__ sub         __mul__ mul          __truediv__ div
__matmul__ matmul    __and__ bitwise_and __or__ bitwise_or    __xor__ bitwise_xor
__pow__ pow          __mod__ remainder   __eq__ eq            __ne__ ne
__lt__ lt            __le__ le           __gt__ gt            __ge__ ge
__lshift__ bitwise_left_shift            __rshift__ bitwise_right_shift
__radd__ add         __rmul__ mul
"""
_INPLACE = """
__iadd__ add_        __isub__ sub_       __imul__ mul_        __itruediv__ div_
__iand__ bitwise_and_ __ior__ bitwise_or_ __ixor__ bitwise_xor_ __imod__ remainder_
__ipow__ pow_        __ifloordiv__ floor_divide_
__ilshift__ bitwise_left_shift_          __irshift__ bitwise_right_shift_
"""
_UNARY = "__neg__ neg  __abs__ abs  __invert__ bitwise_not"


def _lazy(dunder: str, name: str, form: str) -> Any:
    """A dunder that replaces itself by the generated entry at its first use."""

    def first(self: Any, *args: Any) -> Any:
        made = _operator.packets[name].callable(form)
        setattr(Tensor, dunder, made)
        return made(self, *args)

    first.__name__ = dunder
    first.__qualname__ = f"Tensor.{dunder}"
    return first


def install() -> None:
    for text, form in (
        (_BINARY, "operator"),
        (_INPLACE, "operator"),
        (_UNARY, "method"),
    ):
        words = text.split()
        for dunder, name in zip(words[::2], words[1::2], strict=True):
            setattr(Tensor, dunder, _lazy(dunder, name, form))
    Tensor.__hash__ = object.__hash__  # type: ignore[assignment,method-assign]


def _operand(self: Tensor, other: Any) -> bool:
    """Whether Python's operators take ``other``."""
    try:
        keys_of(other)
    except AttributeError:
        return False
    return True


def _no_tensor(dunder: str, value: Any) -> Any:
    """What an operator that is called on the class with no tensor does."""
    if dunder in ("__rand__", "__ror__", "__rxor__"):
        raise TypeError(
            f"descriptor '{dunder}' for 'torch._C.TensorBase' objects doesn't apply to a "
            f"'{type(value).__name__}' object"
        )
    return NotImplemented


def _reflected(dunder: str) -> Any:
    def add(function: Any) -> Any:
        def reflected(self: Tensor, other: Any) -> Any:
            if not isinstance(self, Tensor):
                return _no_tensor(dunder, self)
            if not _operand(self, other):
                return NotImplemented
            return function(self, other)

        reflected.__name__ = dunder
        reflected.__qualname__ = f"Tensor.{dunder}"
        setattr(Tensor, dunder, reflected)
        return function

    return add


@_reflected("__rsub__")
def _rsub(self: Tensor, other: Any) -> Any:
    return torch.rsub(self, other)


@_reflected("__rtruediv__")
def _rdiv(self: Tensor, other: Any) -> Any:
    return self.reciprocal() * other


Tensor.__rdiv__ = Tensor.__rtruediv__  # type: ignore[attr-defined]


@_reflected("__rpow__")
def _rpow(self: Tensor, other: Any) -> Any:
    return torch.pow(other, self)


@_reflected("__floordiv__")
def _floordiv(self: Tensor, other: Any) -> Any:
    return torch.floor_divide(self, other)


@_reflected("__rfloordiv__")
def _rfloordiv(self: Tensor, other: Any) -> Any:
    return torch.floor_divide(_filled(self, other), self)


@_reflected("__rmod__")
def _rmod(self: Tensor, other: Any) -> Any:
    return torch.remainder(_filled(self, other), self)


@_reflected("__rmatmul__")
def _rmatmul(self: Tensor, other: Any) -> Any:
    return torch.matmul(other, self)


@_reflected("__rand__")
def _rand(self: Tensor, other: Any) -> Any:
    return torch.bitwise_and(self, other)


@_reflected("__ror__")
def _ror(self: Tensor, other: Any) -> Any:
    return torch.bitwise_or(self, other)


@_reflected("__rxor__")
def _rxor(self: Tensor, other: Any) -> Any:
    return torch.bitwise_xor(self, other)


@_reflected("__rlshift__")
def _rlshift(self: Tensor, other: Any) -> Any:
    return torch.bitwise_left_shift(_filled(self, other), self)


@_reflected("__rrshift__")
def _rrshift(self: Tensor, other: Any) -> Any:
    return torch.bitwise_right_shift(_filled(self, other), self)


def _filled(self: Tensor, number: Any) -> Any:
    """A Python number as a 0-d tensor that promotes like the number."""
    if hasattr(number, "_keys"):
        return number
    from dispatchtorch.lift import result_type

    return torch.full((), number, dtype=result_type([self, number]), device=self.device)


def __pos__(self: Tensor) -> Tensor:
    if self.dtype is dtypes.bool:
        raise RuntimeError("positive is not supported for bool tensors")
    return self


# Indexing.


def _getitem(self: Tensor, index: Any) -> Any:
    if type(index) is int:
        try:
            return self.select(0, index)
        except IndexError:
            pass  # for the words of indexing rather than those of select
    return _Indexing(self, index).read()


def _select_scalar(self: Tensor) -> Any:
    raise IndexError(
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
        "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
    )


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    _Indexing(self, index).write(value)


class _Indexing:
    """An index applied: basic parts as views, tensors of indices kept for the end."""

    __slots__ = ("indices", "source", "view")

    def __init__(self, source: Tensor, index: Any) -> None:
        self.source = source
        self.indices: list[Any] = []
        self.view = self._apply(_normalised(index))

    def _apply(self, parts: tuple[Any, ...]) -> Tensor:
        t = self.source
        shape = t._shape
        used = sum(_dims_used(p) for p in parts)
        if used > len(shape):
            if not shape:
                _select_scalar(t)
            raise IndexError(f"too many indices for tensor of dimension {len(shape)}")
        dim = 0
        indices: list[Any] = []
        for part in parts:
            if part is Ellipsis:
                dim += len(shape) - used
            elif part is None:
                t = t.unsqueeze(dim)
                dim += 1
            elif part is True or part is False:
                t = t.unsqueeze(dim)
                self._put(
                    indices,
                    dim,
                    torch.full((1,), part, dtype=torch.bool, device=self.source.device),
                )
                dim += 1
            elif isinstance(part, slice):
                t = _sliced(t, dim, part)
                dim += 1
            elif isinstance(part, Tensor):
                if (
                    part.ndim == 0
                    and part._keys
                    & dtypes.DTYPE_MASK
                    & ~(dtypes.bool.bit | dtypes.uint8.bit)
                    and not part._keys & dtypes.DIFFERENTIABLE_MASK
                ):
                    t = _selected(t, dim, int(part.item()), self.source)
                    continue
                if part.ndim == 0 and part.dtype in (dtypes.bool, dtypes.uint8):
                    t = t.unsqueeze(dim)
                    part = part.reshape(1).to(torch.bool)
                    self._put(indices, dim, part)
                    dim += 1
                    continue
                self._put(indices, dim, part)
                dim += _dims_used(part)
            else:
                t = _selected(t, dim, part, self.source)
        self.indices = indices
        return t

    def _put(self, indices: list[Any], dim: int, part: Tensor) -> None:
        """A mask of several dims stands for as many indices as it has dims."""
        filled = sum(
            each.ndim
            if each is not None and each.dtype in (dtypes.bool, dtypes.uint8)
            else 1
            for each in indices
        )
        indices.extend([None] * (dim - filled))
        indices.append(part)

    def read(self) -> Any:
        if not self.indices:
            if self.view is self.source:
                return _aliased(self.view)
            return self.view
        return _index(self.view, _same_device(self.indices, self.view))

    def write(self, value: Any) -> None:
        view = self.view
        if not isinstance(value, Tensor):
            if not self.indices:
                number = _as_number(value)
                if number is not None:
                    view.fill_(number)
                    return
            value = _value_tensor(value, view)
        if not self.indices:
            _write_view(view, value)
            return
        if value._backend is not view._backend:
            value = value.to(view.device)
        if value.dtype is not view.dtype:
            value = value.to(view.dtype)
        view.index_put_(_same_device(self.indices, view), _squeezed(value))


def _aliased(t: Tensor) -> Tensor:
    from dispatchtorch.ops.view import alias

    return alias(t)  # type: ignore[no-any-return]


def _write_view(view: Tensor, value: Tensor) -> None:
    shape, own = view._shape, value._shape
    while len(own) > len(shape) and own[0] == 1:
        value = value.squeeze(0)
        own = value._shape
    try:
        view.copy_(value)
    except RuntimeError as error:
        if "must match the size" in str(error) or "doesn't match" in str(error):
            lead = len(shape) - len(own)
            if lead < 0:
                raise RuntimeError(
                    f"expand({{{list(own)}}}, size={list(shape)}): the number of sizes "
                    f"provided ({len(shape)}) must be greater or equal to the number of "
                    f"dimensions in the tensor ({len(own)})"
                ) from None
            for i, n in enumerate(own):
                if n not in (1, shape[lead + i]):
                    raise RuntimeError(
                        f"The expanded size of the tensor ({shape[lead + i]}) must match "
                        f"the existing size ({n}) at non-singleton dimension {lead + i}."
                        f"  Target sizes: {list(shape)}.  Tensor sizes: {list(own)}"
                    ) from None
        raise


def _squeezed(value: Tensor) -> Tensor:
    while value.ndim > 1 and value._shape[0] == 1:
        value = value.squeeze(0)
    return value


def _same_device(indices: list[Any], view: Tensor) -> list[Any]:
    backend = view._backend
    return [
        i if i is None or i._backend is backend else i.to(view.device) for i in indices
    ]


def _as_number(value: Any) -> Any:
    if isinstance(value, (bool, int, float, complex)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    return None


def _value_tensor(value: Any, view: Tensor) -> Tensor:
    number = _as_number(value)
    if number is not None:
        made: Tensor = torch.full((), number, dtype=view.dtype, device=view.device)
        return made
    raise TypeError(f"can't assign a {type(value).__name__} to a {_type_name(view)}")


def _type_name(t: Tensor) -> str:
    from dispatchtorch.autograd.node import type_name

    return type_name(t)


def _normalised(index: Any) -> tuple[Any, ...]:
    """The parts of an index; lists become tensors of indices."""
    if isinstance(index, tuple):
        parts = index
    elif isinstance(index, list) and _is_tuple_like(index):
        parts = tuple(index)
    else:
        parts = (index,)
    return tuple([_part(p) for p in parts])


def _is_tuple_like(index: list[Any]) -> bool:
    """PyTorch takes a short list with slices or tensors in it for a tuple."""
    if len(index) >= 32:
        return False
    return any(
        isinstance(p, (Tensor, slice, list, tuple)) or p is None or p is Ellipsis
        for p in index
    )


def _part(part: Any) -> Any:
    if part is None or part is Ellipsis or isinstance(part, (bool, int, slice, Tensor)):
        return part
    if isinstance(part, np.ndarray):
        import dispatchtorch

        return dispatchtorch.from_numpy(np.ascontiguousarray(part))
    if isinstance(part, (list, tuple, range)):
        import dispatchtorch

        made = dispatchtorch.tensor(list(part))
        return made.to(torch.int64) if made.numel() == 0 else made
    if isinstance(part, np.bool_):
        return bool(part)
    if hasattr(part, "__index__"):
        return part.__index__()
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
        f"are valid indices (got {type(part).__name__})"
    )


def _dims_used(part: Any) -> int:
    if part is None or part is Ellipsis or part is True or part is False:
        return 0
    if isinstance(part, Tensor) and part.dtype in (dtypes.bool, dtypes.uint8):
        return part.ndim
    return 1


def _selected(t: Tensor, dim: int, index: int, source: Tensor) -> Tensor:
    size = t._shape[dim]
    if not -size <= index < size:
        raise IndexError(
            f"index {index} is out of bounds for dimension {dim} with size {size}"
        )
    made: Tensor = t.select(dim, index)
    return made


def _sliced(t: Tensor, dim: int, part: slice) -> Tensor:
    start, stop, step = (
        None if v is None else v.__index__() for v in (part.start, part.stop, part.step)
    )
    if step is not None and step <= 0:
        raise ValueError("step must be greater than zero")
    if start is None and stop is None and step in (None, 1):
        return t
    made: Tensor = _slice(t, dim, start, stop, 1 if step is None else step)
    return made


Tensor.__getitem__ = _getitem
Tensor.__setitem__ = _setitem
Tensor.__pos__ = __pos__  # type: ignore[method-assign]
install()
