"""``make_tensor``: random tensors of any dtype, range and memory layout."""

from __future__ import annotations

import math
import warnings
from typing import Any

import dispatchtorch as torch

__all__ = ["make_tensor"]

# Kinds of dtypes and the range drawn from where the caller names none. The
# range is cut to what the dtype can hold.
_DEFAULT_RANGE = {"bool": (0, 2), "int": (-9, 10), "float": (-9, 9)}

_KIND_OF = {
    "bool": "bool",
    **dict.fromkeys(
        ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        "int",
    ),
    **dict.fromkeys(
        ("float16", "bfloat16", "float32", "float64")
        + ("complex32", "complex64", "complex128"),
        "float",
    ),
    **dict.fromkeys(
        ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"),
        "float8",
    ),
}


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _limits(dtype: Any, kind: str) -> tuple[float, float]:
    """Lowest value of a dtype, and the end of the range to draw from."""
    if kind == "bool":
        return 0, 2
    if kind == "int":
        return torch.iinfo(dtype).min, torch.iinfo(dtype).max + 1
    real = dtype.to_real() if dtype.is_complex else dtype
    return torch.finfo(real).min, torch.finfo(real).max


def _interval(
    low: float | None, high: float | None, dtype: Any, kind: str
) -> tuple[float, float]:
    """Check the caller's range and cut it to what the dtype holds."""
    default = _DEFAULT_RANGE["float" if kind == "float8" else kind]
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    if math.isnan(low) or math.isnan(high):
        raise ValueError(
            f"`low` and `high` cannot be NaN, but got low={low} and high={high}"
        )
    lowest, end = _limits(dtype, kind)
    if low == high and kind == "float":
        warnings.warn(
            "Passing `low==high` to `torch.testing.make_tensor` for floating or "
            "complex types is deprecated since 2.1 and will be removed in 2.3. "
            "Use `torch.full(...)` instead.",
            FutureWarning,
            stacklevel=3,
        )
        low = high = min(max(low, lowest), end)
        return low, high
    if low >= high:
        raise ValueError(f"`low` must be less than `high`, but got {low} >= {high}")
    if high < lowest or low >= end:
        raise ValueError(
            f"The value interval specified by `low` and `high` is [{low}, {high}), "
            f"but {dtype} only supports [{lowest}, {end})"
        )
    low, high = max(low, lowest), min(high, end)
    if kind in ("bool", "int"):
        # the generator takes 64-bit signed bounds
        return math.ceil(low), min(math.ceil(high), 2**63 - 1)
    return low, high


def _fill_uniform(t: Any, low: float, high: float) -> Any:
    """Draw in place, also where ``high - low`` would overflow the dtype."""
    real = torch.view_as_real(t) if t.dtype.is_complex else t
    if low == high:
        real.fill_(low)
    elif high - low >= torch.finfo(real.dtype).max:
        real.uniform_(low / 2, high / 2).mul_(2)
    else:
        real.uniform_(low, high)
    return t


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any,
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor filled with values drawn uniformly from ``[low, high)``.

    Args:
        shape: the sizes, as separate integers or as one sequence.
        dtype: any boolean, integral, floating or complex dtype. The parts of
            complex values are drawn independently.
        device: where the tensor lives.
        low: lower bound; by default -9 (0 for unsigned and boolean dtypes).
        high: upper bound, excluded; by default 10 for integers, 2 for booleans
            and 9 otherwise.
        requires_grad: of floating and complex tensors.
        noncontiguous: the tensor shows every second element of a larger one,
            unless it has less than two elements.
        exclude_zero: replace zeros by the smallest positive value of the dtype.
        memory_format: of the result; excludes ``noncontiguous``.

    Raises:
        ValueError: for an empty range, one outside the dtype's, or arguments that
            exclude each other.
        TypeError: for other dtypes.

    See https://pytorch.org/docs/stable/testing.html
    """
    sizes = (
        shape[0] if len(shape) == 1 and isinstance(shape[0], list | tuple) else shape
    )
    sizes = tuple(sizes)
    if noncontiguous and memory_format is not None:
        raise ValueError(
            "The parameters `noncontiguous` and `memory_format` are mutually "
            f"exclusive, but got {noncontiguous=} and {memory_format=}"
        )
    kind = _KIND_OF.get(_name(dtype))
    if requires_grad and kind in ("bool", "int"):
        raise ValueError(
            "`requires_grad=True` is not supported for boolean and integral dtypes, "
            f"but got {dtype=}"
        )
    if kind is None:
        raise TypeError(
            f"The requested dtype '{dtype}' is not supported by "
            "torch.testing.make_tensor()."
        )
    low, high = _interval(low, high, dtype, kind)

    spread = noncontiguous and math.prod(sizes) > 1
    drawn = (*sizes[:-1], 2 * sizes[-1]) if spread else sizes
    if kind in ("bool", "int"):
        result = torch.randint(low, high, drawn, device=device, dtype=dtype)  # type: ignore[call-overload]
    else:
        narrow = kind == "float8"
        result = torch.empty(
            drawn, device=device, dtype=torch.float32 if narrow else dtype
        )
        result = _fill_uniform(result, low, high).to(dtype)
    if spread:
        result = result[..., 1::2]
    elif memory_format is not None:
        result = result.clone(memory_format=memory_format)
    if exclude_zero:
        integral = kind in ("bool", "int")
        result[result == 0] = 1 if integral else torch.finfo(dtype).tiny
    if requires_grad:
        result.requires_grad = True
    return result
