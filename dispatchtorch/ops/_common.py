"""What operator bodies share: the public namespace, dims, shapes, dtypes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, SPARSE, mask_of
from dispatchtorch.dtypes import COMPLEX_MASK, dtype
from dispatchtorch.tensor import Tensor

__all__ = [
    "as_ints",
    "check_number",
    "conj",
    "contiguous_strides",
    "device_of",
    "infer_size",
    "reduction_dims",
    "refuse",
    "scalar_type_name",
    "torch",
    "wrap_dim",
    "wrap_dims",
]

scalar_type_name = dtypes.scalar_type_name


class _Namespace:
    """The functions of all operators, generated when they are first named."""

    def __getattr__(self, name: str) -> Any:
        value: Any = getattr(dtypes, name, None)
        if not isinstance(value, dtype):
            packet = _operator.packets.get(name)
            if packet is None:
                raise AttributeError(f"no operator named {name!r}")
            value = packet.callable("function")
        setattr(self, name, value)
        return value


#: Operator bodies call each other through the public functions, as users do.
torch: Any = _Namespace()


class _Strict:
    """Operators by name, taking exactly their schema's arguments.

    Formulas on hot paths call them: no separate ints, no NumPy names, no overloads.
    """

    def __getattr__(self, name: str) -> Any:
        entry = _operator.get_operator(name).entry
        setattr(self, name, entry)
        return entry


strict: Any = _Strict()


def wrap_dim(dim: int, ndim: int, *, wrap_scalar: bool = True) -> int:
    """A dim in 0…ndim-1; IndexError in PyTorch's words. A 0-d tensor counts as 1-d."""
    if ndim == 0:
        if not wrap_scalar:
            raise IndexError(
                f"Dimension specified as {dim} but tensor has no dimensions"
            )
        ndim = 1
    if -ndim <= dim < ndim:
        return dim + ndim if dim < 0 else dim
    raise IndexError(
        f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but "
        f"got {dim})"
    )


def wrap_dims(dims: Any, ndim: int) -> tuple[int, ...]:
    """Several dims, wrapped; RuntimeError where one appears twice."""
    if type(dims) is int:
        return (wrap_dim(dims, ndim),)
    wrapped = tuple([wrap_dim(int(d), ndim) for d in dims])
    if len(set(wrapped)) != len(wrapped):
        twice = next(d for d in wrapped if wrapped.count(d) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return wrapped


def reduction_dims(dims: Any, ndim: int) -> tuple[int, ...]:
    """The dims of a reduction: all of them for None or an empty list, sorted."""
    if type(dims) is tuple and len(dims) == 1 and 0 <= dims[0] < ndim:
        return dims
    if dims is None or (type(dims) is not int and len(dims) == 0):
        return tuple(range(ndim))
    wrapped = wrap_dims(dims, ndim)
    if ndim == 0:
        return ()
    return tuple(sorted(wrapped)) if len(wrapped) > 1 else wrapped


def as_ints(values: Any) -> tuple[int, ...]:
    """A tuple of ints of an int list argument (a bare int is a list of one)."""
    if type(values) is int:
        return (values,)
    return tuple([v if type(v) is int else v.__index__() for v in values])


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements; dims of size 0 count as 1, as in PyTorch."""
    strides = [1] * len(shape)
    step = 1
    for i in range(len(shape) - 1, -1, -1):
        strides[i] = step
        step *= max(shape[i], 1)
    return tuple(strides)


def infer_size(shape: Sequence[int], numel: int) -> tuple[int, ...]:
    """A shape with its -1 filled in; RuntimeError where the sizes don't fit."""
    unknown = None
    known = 1
    for i, size in enumerate(shape):
        if size == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = i
        elif size < 0:
            raise RuntimeError(
                f"invalid shape dimension {size} at index {i} of shape {list(shape)}"
            )
        else:
            known *= size
    if unknown is None:
        if known != numel:
            raise RuntimeError(
                f"shape '{list(shape)}' is invalid for input of size {numel}"
            )
        return tuple(shape)
    if known == 0:
        if numel == 0:
            raise RuntimeError(
                f"cannot reshape tensor of 0 elements into shape {list(shape)} because "
                "the unspecified dimension size -1 can be any value and is ambiguous"
            )
        raise RuntimeError(
            f"shape '{list(shape)}' is invalid for input of size {numel}"
        )
    if numel % known:
        raise RuntimeError(
            f"shape '{list(shape)}' is invalid for input of size {numel}"
        )
    found = list(shape)
    found[unknown] = numel // known
    return tuple(found)


def numel_of(shape: Sequence[int]) -> int:
    return math.prod(shape)


def conj(t: Any) -> Any:
    """The conjugate in derivative formulas: nothing to do for real operands.

    Lazy where a graph of the gradient is recorded; else at once, which is faster.
    """
    keys = getattr(t, "_keys", None)
    if keys is None:
        return t.conjugate()
    if not keys & COMPLEX_MASK:
        return t
    if keys & SPARSE or (keys & AUTOGRAD and state.grad_enabled()):
        return t.conj()
    return torch._conj_physical(t)


def check_number(value: Any, target: dtype) -> None:
    """RuntimeError where a dtype can't hold a Python number, in PyTorch's words."""
    category = target.category
    if type(value) is complex and category < dtypes.COMPLEX:
        fits = value.imag == 0 or category == dtypes.BOOL
        value = value.real
    else:
        fits = True
    if fits and (category == dtypes.BOOL or -100 < abs(value) < 100):
        return  # hot: the numbers that most fills use
    if fits and _holds(value, target):
        return
    raise RuntimeError(
        f"value cannot be converted to type {dtypes.c_type(target, 't')} without overflow"
    )


def _holds(value: Any, target: dtype) -> bool:
    if isinstance(value, complex):
        real = target.to_real()
        return _holds(value.real, real) and _holds(value.imag, real)
    if target.category >= dtypes.FLOAT:
        if not math.isfinite(value):
            return True
        return abs(value) <= dtypes.finfo(target.to_real()).max
    if not math.isfinite(value):
        return False
    limits = dtypes.iinfo(target)
    # Negative numbers wrap around in unsigned dtypes.
    lowest = limits.min if limits.min else -limits.max
    return bool(lowest <= value <= limits.max)


def device_of(t: Tensor) -> int:
    """The device bit of a tensor's keyset."""
    return t._keys & mask_of("device")


def refuse(t: Tensor, message: str, *categories: int) -> None:
    """Raises for tensors of some kinds of dtypes; ``{dtype}`` in the message is theirs.

    "… not implemented for" messages are NotImplementedErrors, others RuntimeErrors.
    """
    if t.dtype.category in categories:
        text = message.format(dtype=scalar_type_name(t.dtype))
        raise (NotImplementedError if text[0] == '"' else RuntimeError)(text)
