"""Python's operators on tensors, and indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.codegen import keys_of
from dispatchtorch.ops._common import check_number, torch
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
        if vars(Tensor).get(dunder) is first:  # else overrides watch it for now
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


def _first_select(self: Tensor, dim: int, index: int) -> Any:
    """Puts the generated function of ``select`` in its place, and calls it."""
    global _select
    _select = _operator.packets["select"].callable("method")
    return _select(self, dim, index)


_select: Any = _first_select


def _getitem(self: Tensor, index: Any) -> Any:
    kind = type(index)
    if kind is int:
        try:
            return _select(self, 0, index)
        except IndexError:
            pass  # for the words of indexing rather than those of select
    elif kind is slice:
        return _sliced(self, 0, index, whole=False)
    return _Indexing(self, index).read()


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    made = value if isinstance(value, Tensor) else _as_number(value, self)
    if index is False:
        return
    if type(index) is slice:
        _write_view(_sliced(self, 0, index, whole=False), made)
    else:
        _Indexing(self, index).write(made)


class _Indexing:
    """An index applied: basic parts as views, tensors of indices kept for the end."""

    __slots__ = ("filled", "indices", "source", "view")

    def __init__(self, source: Tensor, index: Any) -> None:
        self.source = source
        self.indices: list[Any] = []
        self.filled = 0  # dims that the indices stand for
        parts = _parts(index)
        ndim = len(source._shape)
        used = sum([_dims_used(p) for p in parts])
        if used > ndim:
            if not ndim and not isinstance(index, tuple) and _is_int(index):
                if index:
                    raise _out_of_bounds(index, 0, 0)
                raise IndexError(
                    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                    "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
                )
            raise IndexError(f"too many indices for tensor of dimension {ndim}")
        self.view = self._apply(parts, ndim - used)

    def _apply(self, parts: tuple[Any, ...], rest: int) -> Tensor:
        t = self.source
        dim = at = 0  # the dim of the view, and that of the source
        for part in parts:
            kind = type(part)
            if kind is int:
                t = _selected(t, dim, part, at)
                at += 1
            elif kind is slice:
                t = _sliced(t, dim, part)
                dim += 1
                at += 1
            elif part is Ellipsis:
                dim += rest
                at += rest
            elif part is None:
                t = t.unsqueeze(dim)
                dim += 1
            elif part is True or part is False:
                t = t.unsqueeze(dim)
                self._put(dim, torch.full((1,), part, device=t.device))
                dim += 1
            else:
                t, dim, at = self._apply_tensor(t, dim, part, at)
        return t

    def _apply_tensor(
        self, t: Tensor, dim: int, part: Any, at: int
    ) -> tuple[Tensor, int, int]:
        """A part that is no literal: a tensor, or what stands for one."""
        if not isinstance(part, Tensor):
            part = _part(part)
            if type(part) is int:
                return _selected(t, dim, part, at), dim, at + 1
        if part.ndim:
            self._put(dim, part)
            count = part.ndim if part._keys & _MASKS else 1
            return t, dim + count, at + count
        if part._keys & _MASKS:
            self._put(dim, part.reshape(1).to(torch.bool))
            return t.unsqueeze(dim), dim + 1, at
        if part._keys & dtypes.DIFFERENTIABLE_MASK:
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors"
            )
        return _selected(t, dim, int(part.item()), at), dim, at + 1

    def _put(self, dim: int, part: Tensor) -> None:
        """A mask of several dims stands for as many indices as it has dims."""
        self.indices.extend([None] * (dim - self.filled))
        self.indices.append(part)
        self.filled = dim + (part.ndim if part._keys & _MASKS else 1)

    def read(self) -> Any:
        if not self.indices:
            if self.view is self.source:
                return _aliased(self.view)
            return self.view
        return _index(self.view, _same_device(self.indices, self.view))

    def write(self, value: Tensor) -> None:
        view = self.view
        if not self.indices:
            _write_view(view, value)
            return
        if not isinstance(value, Tensor):
            value = torch.full((), value, dtype=view.dtype, device=view.device)
        if value._backend is not view._backend:
            value = value.to(view.device)
        view.index_put_(_same_device(self.indices, view), _squeezed(value))


_MASKS = dtypes.bool.bit | dtypes.uint8.bit


def _aliased(t: Tensor) -> Tensor:
    from dispatchtorch.ops.view import alias

    return alias(t)  # type: ignore[no-any-return]


def _write_view(view: Tensor, value: Any) -> None:
    if not isinstance(value, Tensor):
        view.fill_(value)
        return
    if value._shape != view._shape:
        while value._shape[:1] == (1,):
            value = value.squeeze(0)
        value = value.expand(view._shape)
    view.copy_(value)


def _squeezed(value: Tensor) -> Tensor:
    """Without leading dims of size 1."""
    while value.ndim > 1 and value._shape[0] == 1:
        value = value.squeeze(0)
    return value


def _same_device(indices: list[Any], view: Tensor) -> list[Any]:
    backend = view._backend
    return [
        i if i is None or i._backend is backend else i.to(view.device) for i in indices
    ]


def _as_number(value: Any, target: Tensor) -> Any:
    """A Python or NumPy number that a tensor can hold, else PyTorch's error."""
    if isinstance(value, np.integer):
        value = value.item()
    elif not isinstance(value, (bool, int, float, complex)):
        from dispatchtorch.tensor import type_name

        raise TypeError(f"can't assign a {_full_name(value)} to a {type_name(target)}")
    check_number(value, target.dtype)
    return value


def _full_name(value: Any) -> str:
    """A type's name as C code sees it: with its module unless Python code made it."""
    kind = type(value)
    made_in_python = kind.__flags__ & 1 << 9
    if made_in_python or kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__}.{kind.__name__}"


def _parts(index: Any) -> tuple[Any, ...]:
    """The parts of an index, one for each position."""
    if isinstance(index, tuple):
        return index
    if type(index) is list and _is_tuple_like(index):
        return tuple(index)
    return (index,)


def _is_tuple_like(index: list[Any]) -> bool:
    """PyTorch takes a short list with slices or tensors in it for a tuple."""
    if len(index) >= 32:
        return False
    return any(
        isinstance(p, (Tensor, slice, list, tuple, np.ndarray))
        or p is None
        or p is Ellipsis
        for p in index
    )


def _is_int(part: Any) -> bool:
    return isinstance(part, (int, np.integer)) and not isinstance(part, bool)


def _part(part: Any) -> Any:
    """An array, a sequence or an integer of another type, as a tensor or an int."""
    if hasattr(part, "__index__") and not isinstance(part, np.ndarray):
        found: int = part.__index__()
        return found
    import dispatchtorch

    if isinstance(part, np.bool_):
        return dispatchtorch.tensor(bool(part))
    sized = hasattr(part, "__len__") and hasattr(part, "__getitem__")
    if sized and not isinstance(part, dict):
        made = dispatchtorch.tensor(part)
        return made if made._keys & _MASKS else made.to(torch.int64)
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
        f"are valid indices (got {type(part).__name__})"
    )


def _dims_used(part: Any) -> int:
    if part is None or part is Ellipsis or part is True or part is False:
        return 0
    if isinstance(part, Tensor) and part._keys & _MASKS:
        return len(part._shape)
    return 1


def _out_of_bounds(index: int, dim: int, size: int) -> IndexError:
    if not -(2**63) <= index < 2**63:
        raise ValueError("Overflow when unpacking long long")
    return IndexError(
        f"index {index} is out of bounds for dimension {dim} with size {size}"
    )


def _selected(t: Tensor, dim: int, index: int, at: int) -> Tensor:
    """One slice of a dim, which is dim ``at`` of the tensor that is indexed."""
    size = t._shape[dim] if dim < len(t._shape) else 0
    if not -size <= index < size:
        raise _out_of_bounds(index, at, size)
    made: Tensor = t.select(dim, index)
    return made


def _sliced(t: Tensor, dim: int, part: slice, whole: bool = True) -> Tensor:
    """A slice of a dim; with ``whole``, ``t`` itself for a slice of all of it."""
    start, stop, step = part.start, part.stop, part.step
    try:
        start = start if start is None else start.__index__()
        stop = stop if stop is None else stop.__index__()
        step = 1 if step is None else step.__index__()
    except AttributeError:
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None
    if step <= 0:
        raise ValueError(
            "step must be greater than zero" if step else "slice step cannot be zero"
        )
    if whole and step == 1 and not start and (stop is None or stop >= t._shape[dim]):
        return t
    made: Tensor = _slice(t, dim, start, stop, step)
    return made


Tensor.__getitem__ = _getitem  # type: ignore[assignment]
Tensor.__setitem__ = _setitem  # type: ignore[assignment]
Tensor.__pos__ = __pos__  # type: ignore[method-assign,assignment]
install()
