"""What the samplers accept: dtypes, bounds and PyTorch's errors for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Any

import numpy as np

__all__ = [
    "DIGITS",
    "check_multinomial",
    "check_permutation",
    "check_uniform",
    "cpp_name",
    "dtype_name",
    "integer_range",
    "is_narrow_float",
    "require",
    "torch_name",
]

DType = np.dtype[Any]

# NumPy's name of a dtype: PyTorch's and C++'s, as the errors have them
_NAMES = {
    "bool": ("Bool", "bool"),
    "uint8": ("Byte", "unsigned char"),
    "int8": ("Char", "signed char"),
    "int16": ("Short", "short int"),
    "int32": ("Int", "int"),
    "int64": ("Long", "long int"),
    "uint16": ("UInt16", "short unsigned int"),
    "uint32": ("UInt32", "unsigned int"),
    "uint64": ("UInt64", "long unsigned int"),
    "float16": ("Half", "c10::Half"),
    "bfloat16": ("BFloat16", "c10::BFloat16"),
    "float32": ("Float", "float"),
    "float64": ("Double", "double"),
    "complex64": ("ComplexFloat", "c10::complex<float>"),
    "complex128": ("ComplexDouble", "c10::complex<double>"),
}
# bits of the significand, hidden one included, of the dtypes that samplers draw
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_LARGEST = {
    name: (2.0 - 2.0 ** (1 - digits)) * 2.0**exponent
    for (name, digits), exponent in zip(DIGITS.items(), (15, 127, 127, 1023))
}
_INT64_MIN = -(2**63)


_name_of: dict[DType, str] = {}


def dtype_name(dtype: DType) -> str:
    """NumPy's name of `dtype`, which NumPy itself puts together at every asking."""
    name = _name_of.get(dtype)
    if name is None:
        name = _name_of[dtype] = dtype.name
    return name


def torch_name(dtype: DType) -> str:
    """PyTorch's scalar type name: Float, Byte, Float8_e4m3fn."""
    known = _NAMES.get(dtype.name)
    return known[0] if known else dtype.name.capitalize()


def cpp_name(dtype: DType) -> str | None:
    """The C++ type's name, None for the 8-bit floats."""
    known = _NAMES.get(dtype.name)
    return known[1] if known else None


def is_narrow_float(dtype: DType) -> bool:
    """Whether a real `dtype` is a float of 16 bits; bfloat16's kind is no help."""
    return dtype.itemsize == 2 and dtype.kind not in "iu"


def require(dtype: DType, allowed: Collection[str], kernel: str) -> None:
    """Raise PyTorch's NotImplementedError unless `kernel` knows `dtype`."""
    if dtype_name(dtype) not in allowed:
        name = torch_name(dtype)
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{name}'")


def _largest(dtype: DType) -> float:
    """The largest finite value of a float dtype."""
    return _LARGEST[dtype_name(dtype)]


def check_uniform(dtype: DType, low: float, high: float) -> None:
    """Refuse bounds that `dtype` can't hold, or that are the wrong way round."""
    require(dtype, DIGITS, "check_uniform_bounds")
    most = _largest(dtype)
    for name, bound in (("from", low), ("to", high)):
        if not -most <= bound <= most:
            raise RuntimeError(f"{name} is out of bounds for {cpp_name(dtype)}")
    if low > high:
        raise RuntimeError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={low:g} > to={high:g}"
        )
    if high - low > most:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{torch_name(dtype)}>"
            f"::max(), but found to={high:g} and from={low:g} which result in to-from "
            "to exceed the limit"
        )


def _held(dtype: DType, value: int) -> int:
    """The integer that float `dtype` holds for `value`, itself where that is none."""
    single = np.int64(value).astype(np.float64 if dtype.itemsize == 8 else np.float32)
    with np.errstate(over="ignore"):
        held = float(single.astype(dtype))
    return int(held) if -(2.0**63) <= held < 2.0**63 else value


def _narrowed(dtype: DType, low: int, high: int) -> tuple[int, int]:
    """Bounds moved inwards until float `dtype` doesn't round past them."""
    digits = DIGITS[dtype_name(dtype)]
    last, first = _held(dtype, high - 1), _held(dtype, low + 1)
    if last >= high:
        high = last - (1 << (abs(high - 1).bit_length() - digits))
    if first < low:
        low = first + (1 << (abs(low + 1).bit_length() - digits))
    return low, high


def _check_bounds(dtype: DType, low: int, last: int) -> None:
    """Both ends within `dtype`; a warning where a float dtype has gaps there."""
    digits = DIGITS.get(dtype_name(dtype))
    if digits:
        most: float = _largest(dtype)
        least = -most
    elif dtype.kind == "b":
        least, most = 0, 1
    else:
        least, most = np.iinfo(dtype).min, np.iinfo(dtype).max
    ends = (("from", low), ("to - 1", last))
    for name, end in ends:
        if not least <= end <= most:
            raise RuntimeError(f"{name} is out of bounds for {cpp_name(dtype)}")
    for name, end in ends:
        if digits and not -(2**digits) <= end <= 2**digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision"
                f" limitations {cpp_name(dtype)} can support discrete uniform "
                "distribution only within this range. This warning will become an error"
                " in version 1.7 release, please fix the code in advance",
                stacklevel=4,
            )


def integer_range(dtype: DType, low: int, high: int | None) -> tuple[int, int]:
    """The least integer to draw, and how many there are (2**64: any)."""
    is_float = dtype_name(dtype) in DIGITS
    if high is not None:
        if not low < high:
            raise RuntimeError(
                "random_ expects 'from' to be less than 'to', but got "
                f"from={low} >= to={high}"
            )
        if dtype_name(dtype) not in _NAMES:
            require(dtype, (), "random_update_from_to")
        if dtype.kind == "c":
            raise RuntimeError(
                "check_random_bounds handles only integral, floating-point and "
                "boolean types"
            )
        if is_float:
            low, high = _narrowed(dtype, low, high)
            if not low < high:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' "
                    f"casted to dtype, but got from={low} >= to={high}"
                )
        _check_bounds(dtype, low, high - 1)
        return low, high - low
    if low == _INT64_MIN:
        if dtype_name(dtype) in ("int64", "float64", "float32", "bfloat16"):
            return 0, 2**64
        kernel = "random_full_64_bits_range_kernel_cpu"
        require(dtype, ("uint8", "int8", "int16", "int32"), kernel)
        raise RuntimeError(f"{kernel} handles only int64, double, float and bfloat16")
    if dtype_name(dtype) not in _NAMES:
        require(dtype, (), "random_from_to_range_calc")
    if dtype.kind == "c":
        raise RuntimeError(
            "random_from_to_impl handles only integral, floating-point and boolean "
            "types"
        )
    if is_float:
        last = 2 ** DIGITS[dtype_name(dtype)]
        low, _ = _narrowed(dtype, low, last)
        # compared before the dtype's own range is, and with the end left out
        if abs(low) <= _largest(dtype) and not low < last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to "
                f"'to_inc' casted to dtype, but got from={low} > to_inc={last}"
            )
    elif dtype.kind == "b":
        last = 1
    else:
        last = int(np.iinfo(dtype).max)
    if dtype_name(dtype) == "uint64":  # PyTorch holds the bound in 64 signed bits
        last = -1
    _check_bounds(dtype, low, last)
    return low, last - low + 1


def check_permutation(dtype: DType, n: int) -> None:
    """Refuse a length below zero, and numbers that `dtype` doesn't tell apart."""
    if n < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {n}: [{n}]"
        )
    name = dtype_name(dtype)
    require(dtype, {"uint8", "int8", "int16", "int32", "int64", *DIGITS}, "randperm")
    if name in DIGITS:
        digits = DIGITS[name]
        limit = "2049" if name == "float16" else f"2^{digits}+1"
        if name != "bfloat16" and n > 2**digits + 1:
            raise RuntimeError(
                f"n cannot be greater than {limit} for {torch_name(dtype)} type."
            )
    elif n - 1 > np.iinfo(dtype).max:
        raise RuntimeError(
            f"value cannot be converted to type {name}_t without overflow"
        )


def check_multinomial(
    weights: np.ndarray[Any, Any], num_samples: int, replacement: bool
) -> None:
    """Refuse what isn't one or more rows of weights with a positive sum."""
    if weights.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if dtype_name(weights.dtype) not in DIGITS:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            + torch_name(weights.dtype)
        )
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > weights.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if weights.shape[-1] > 2**24:
        raise RuntimeError("number of categories cannot exceed 2^24")
    if weights.shape[-1] == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the "
            "operation has no identity."
        )
    with np.errstate(all="ignore"):
        if replacement and num_samples > 1:
            _check_rows(weights)
        elif not np.all((weights >= 0) & (weights < np.inf)):
            raise RuntimeError(
                "probability tensor contains either `inf`, `nan` or element < 0"
            )
        if not np.all((weights != 0).any(-1)):
            raise RuntimeError(
                "invalid multinomial distribution (sum of probabilities <= 0)"
            )


def _check_rows(weights: np.ndarray[Any, Any]) -> None:
    """As PyTorch does while it cumulates the weights: the first bad one decides."""
    flat = weights.reshape(-1)
    bad = np.flatnonzero(~((flat >= 0) & (flat < np.inf)))
    if bad.size:
        entry = "< 0" if not flat[bad[0]] >= 0 else "= infinity or NaN"
        raise RuntimeError(
            f"invalid multinomial distribution (encountering probability entry {entry})"
        )
