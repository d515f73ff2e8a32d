"""Which dtype and which shape the operands of an operator have in common."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch import state
from dispatchtorch.dtypes import DTYPE_MASK, SCALAR_MASK

__all__ = ["broadcast_shapes", "needs_opmath", "result_type", "with_scalars"]


def with_scalars(dtype: dtypes.dtype, keys: int) -> dtypes.dtype:
    """What a dimensioned tensor of ``dtype`` becomes with the Python scalars in keys."""
    scalar = dtypes.scalar_dtype(keys)
    if scalar is None or scalar.category <= dtype.category:
        return dtype
    if scalar.is_complex and dtype.is_floating_point:
        return dtype.to_complex()
    return scalar


def needs_opmath(dtype: dtypes.dtype, keys: int) -> bool:
    """Half types meet Python scalars in float32, as PyTorch's kernels do."""
    return bool(keys & SCALAR_MASK) and dtype in (dtypes.float16, dtypes.bfloat16)


def result_type(values: Any) -> dtypes.dtype:
    """PyTorch's promotion: dimensioned tensors, then 0-d ones, then Python numbers.

    A lower class takes part only where its category is higher than all classes above.
    """
    dims = zeros = numbers = None
    for value in values:
        keys = getattr(value, "_keys", None)
        if keys is None:
            kind = dtypes.scalar_dtype(_scalar_keys(value))
            assert kind is not None
            numbers = kind if numbers is None else dtypes.promote_types(numbers, kind)
            continue
        own = dtypes.DTYPES[(keys & DTYPE_MASK).bit_length() - 1]
        if value.ndim:
            dims = own if dims is None else dtypes.promote_types(dims, own)
        else:
            zeros = own if zeros is None else dtypes.promote_types(zeros, own)
    found = None
    for kind in (dims, zeros, numbers):
        if kind is None:
            continue
        if found is None:
            found = kind
        elif kind.category > found.category:
            if kind.is_complex and found.is_floating_point:
                found = found.to_complex()
            else:
                found = dtypes.promote_types(found, kind)
    assert found is not None
    return found


def _scalar_keys(value: Any) -> int:
    return state.keys_of(value)  # type: ignore[attr-defined, no-any-return]


def broadcast_shapes(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The common shape; RuntimeError in PyTorch's words where there is none."""
    result: list[int] = []
    for shape in shapes:
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        start = len(result) - len(shape)
        for i in range(len(result) - 1, start - 1, -1):  # the last is complained of
            size = shape[i - start]
            if size != result[i]:
                if result[i] == 1:
                    result[i] = size
                elif size != 1:
                    raise RuntimeError(
                        f"The size of tensor a ({result[i]}) must match the size of "
                        f"tensor b ({size}) at non-singleton dimension {i}"
                    )
    return tuple(result)
