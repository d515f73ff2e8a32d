"""Data types: values of the ground floor, each with the keyset bit that names it.

A tensor's keyset carries its dtype as a bit, so an operator's table is keyed by the
dtypes of its operands too and every bound kernel knows them: promotion is decided once,
when a kernel is bound, and never on the way through a call. Python scalars have bits of
their own because they take part in promotion by category alone.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

__all__ = [
    "DTYPES",
    "DTYPE_MASK",
    "FIRST_FREE_BIT",
    "PYTHON_SCALARS",
    "SCALAR_MASK",
    "c_type",
    "can_cast",
    "dtype",
    "dtypes_in",
    "finfo",
    "from_host_dtype",
    "get_default_dtype",
    "iinfo",
    "promote_types",
    "scalar_type_name",
    "set_default_dtype",
]

BOOL, INT, FLOAT, COMPLEX = range(4)

DTYPES: list[dtype] = []
_BY_HOST: dict[Any, dtype] = {}


class dtype:
    """An element type. Instances are singletons: ``torch.float32`` and its kind."""

    __slots__ = (
        "_host",
        "bit",
        "category",
        "host_name",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "name",
    )

    def __init__(
        self,
        name: str,
        host_name: str,
        itemsize: int,
        category: int,
        signed: builtins.bool,
    ) -> None:
        self.name = name
        self.host_name = host_name
        self.itemsize = itemsize
        self.category = category
        self.is_floating_point = category == FLOAT
        self.is_complex = category == COMPLEX
        self.is_signed = signed
        self.bit = 1 << len(DTYPES)
        self._host: Any = None
        DTYPES.append(self)

    @property
    def host(self) -> np.dtype[Any]:
        """The NumPy dtype of this type's host arrays (ml_dtypes' where NumPy has none)."""
        if self._host is None:
            try:
                self._host = np.dtype(self.host_name)
            except TypeError:
                import ml_dtypes

                self._host = np.dtype(getattr(ml_dtypes, self.host_name))
            _BY_HOST[self._host] = self
        return self._host

    def to_real(self) -> dtype:
        return _TO_REAL.get(self, self)

    def to_complex(self) -> dtype:
        return _TO_COMPLEX.get(self, self)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: object) -> dtype:
        return self


bool = dtype("bool", "bool", 1, BOOL, False)
uint8 = dtype("uint8", "uint8", 1, INT, False)
int8 = dtype("int8", "int8", 1, INT, True)
int16 = dtype("int16", "int16", 2, INT, True)
int32 = dtype("int32", "int32", 4, INT, True)
int64 = dtype("int64", "int64", 8, INT, True)
float16 = dtype("float16", "float16", 2, FLOAT, True)
bfloat16 = dtype("bfloat16", "bfloat16", 2, FLOAT, True)
float32 = dtype("float32", "float32", 4, FLOAT, True)
float64 = dtype("float64", "float64", 8, FLOAT, True)
complex64 = dtype("complex64", "complex64", 8, COMPLEX, True)
complex128 = dtype("complex128", "complex128", 16, COMPLEX, True)
uint16 = dtype("uint16", "uint16", 2, INT, False)
uint32 = dtype("uint32", "uint32", 4, INT, False)
uint64 = dtype("uint64", "uint64", 8, INT, False)
float8_e4m3fn = dtype("float8_e4m3fn", "float8_e4m3fn", 1, FLOAT, True)
float8_e5m2 = dtype("float8_e5m2", "float8_e5m2", 1, FLOAT, True)
float8_e4m3fnuz = dtype("float8_e4m3fnuz", "float8_e4m3fnuz", 1, FLOAT, True)
float8_e5m2fnuz = dtype("float8_e5m2fnuz", "float8_e5m2fnuz", 1, FLOAT, True)
float8_e8m0fnu = dtype("float8_e8m0fnu", "float8_e8m0fnu", 1, FLOAT, False)

DTYPE_MASK = (1 << len(DTYPES)) - 1
FLOATING_MASK = sum(d.bit for d in DTYPES if d.category == FLOAT)
COMPLEX_MASK = sum(d.bit for d in DTYPES if d.category == COMPLEX)
DIFFERENTIABLE_MASK = FLOATING_MASK | COMPLEX_MASK

_scalar_bit = 1 << len(DTYPES)
PYTHON_SCALARS: dict[type, int] = {
    builtins.bool: _scalar_bit,
    int: _scalar_bit << 1,
    float: _scalar_bit << 2,
    complex: _scalar_bit << 3,
}
SCALAR_MASK = sum(PYTHON_SCALARS.values())
FIRST_FREE_BIT = len(DTYPES) + 4

_TO_REAL = {complex64: float32, complex128: float64}
_TO_COMPLEX = {
    float16: complex64,
    bfloat16: complex64,
    float32: complex64,
    float64: complex128,
}

for _d in DTYPES[:15]:
    if _d.name != "bfloat16":
        _BY_HOST[_d.host] = _d


def from_host_dtype(host: Any) -> dtype:
    """The dtype of a NumPy dtype; TypeError with PyTorch's wording for all others."""
    found = _BY_HOST.get(host)
    if found is None:
        host = np.dtype(host)
        if host.kind == "V" or host.name.startswith(("bfloat16", "float8")):
            for d in DTYPES:
                if d.host == host:
                    return d
        found = _BY_HOST.get(host.newbyteorder("=") if host.byteorder == ">" else host)
        if found is None or host.byteorder == ">":
            raise TypeError(
                f"can't convert np.ndarray of type {_host_type_name(host)}. The only "
                "supported types are: float64, float32, float16, complex64, complex128, "
                "int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
            )
    return found


def _host_type_name(host: np.dtype[Any]) -> str:
    return f"numpy.{host.type.__name__}"


def dtypes_in(keys: int) -> list[dtype]:
    """The dtypes whose bits ``keys`` holds."""
    keys &= DTYPE_MASK
    found = []
    while keys:
        low = keys & -keys
        found.append(DTYPES[low.bit_length() - 1])
        keys ^= low
    return found


_BARE_UNSIGNED = {uint16, uint32, uint64}


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if not {a, b}.isdisjoint(_BARE_UNSIGNED) and FLOAT not in (a.category, b.category):
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to "
            f"promote {scalar_type_name(a)} and {scalar_type_name(b)}"
        )
    if a.category < b.category:
        a, b = b, a
    if a.category == COMPLEX:
        return complex128 if complex128 in (a, b) or b is float64 else complex64
    if a.category == FLOAT:
        if b.category < FLOAT:
            return a
        if a.itemsize == 1 or b.itemsize == 1:
            raise RuntimeError(
                "Promotion for Float8 Types is not supported, attempted to promote "
                f"{scalar_type_name(a)} and {scalar_type_name(b)}"
            )
        if a.itemsize == b.itemsize:  # float16 with bfloat16
            return float32
        return a if a.itemsize > b.itemsize else b
    if b.category == BOOL:
        return a
    big, small = (a, b) if a.itemsize >= b.itemsize else (b, a)
    if a.is_signed == b.is_signed or (big.is_signed and big.itemsize > small.itemsize):
        return big
    return int16  # uint8 with int8: the only mixed pair left


_SCALAR_TYPE_NAMES = {
    "bool": "Bool",
    "uint8": "Byte",
    "int8": "Char",
    "int16": "Short",
    "int32": "Int",
    "int64": "Long",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "float32": "Float",
    "float64": "Double",
    "complex64": "ComplexFloat",
    "complex128": "ComplexDouble",
    "uint16": "UInt16",
    "uint32": "UInt32",
    "uint64": "UInt64",
}


def scalar_type_name(d: dtype) -> str:
    """The name that PyTorch's error messages give a dtype: ``Float``, ``Long``, …"""
    return _SCALAR_TYPE_NAMES.get(d.name, d.name.capitalize())


# The C++ types of dtypes as PyTorch's messages show them.
_C_TYPES = {
    "float32": "float", "float64": "double", "float16": "c10::Half",
    "bfloat16": "c10::BFloat16", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>", "complex32": "c10::complex<c10::Half>",
    "int32": "int", "float8_e4m3fn": "c10::Float8_e4m3fn",
    "float8_e5m2": "c10::Float8_e5m2", "float8_e4m3fnuz": "c10::Float8_e4m3fnuz",
    "float8_e5m2fnuz": "c10::Float8_e5m2fnuz", "float8_e8m0fnu": "c10::Float8_e8m0fnu",
}  # fmt: skip
_C_INTS = {
    "uint8": "unsigned char", "int8": "signed char", "int16": "short int",
    "int64": "long int", "uint16": "short unsigned int", "uint32": "unsigned int",
    "uint64": "long unsigned int", "bool": "bool",
}  # fmt: skip


def c_type(d: dtype, ints: str = "") -> str:
    """The name of a dtype's C++ type in messages; ``ints="t"``: ``int64_t`` and its kind,
    as conversions of numbers call them."""
    found = _C_TYPES.get(d.name)
    if found is not None:
        return found
    return f"{d.name}_t" if ints == "t" else _C_INTS.get(d.name, d.name)


_PROMOTED: dict[int, dtype] = {}


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype of at least both kinds and sizes (``torch.promote_types``)."""
    try:
        key = type1.bit | type2.bit
    except AttributeError:
        raise _no_dtype("promote_types", type1=type1, type2=type2) from None
    found = _PROMOTED.get(key)
    if found is None:
        found = _PROMOTED[key] = _promote(type1, type2)
    return found


def can_cast(from_: dtype, to: dtype) -> builtins.bool:
    """Whether PyTorch's casting rules let ``from_`` be written to ``to``."""
    try:
        return from_.category <= to.category
    except AttributeError:
        raise _no_dtype("can_cast", from_=from_, to=to) from None


def _no_dtype(name: str, **given: Any) -> TypeError:
    """The error of an argument that is no dtype."""
    for i, (argument, value) in enumerate(given.items(), 1):
        if not isinstance(value, dtype):
            return TypeError(
                f"{name}(): argument '{argument}' (position {i}) must be torch.dtype, "
                f"not {value.__class__.__name__}"
            )
    raise AssertionError(given)


_default = float32
_default_listeners: list[Any] = []


def get_default_dtype() -> dtype:
    """The dtype of tensors made from Python floats."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Makes ``d`` (a floating dtype) the dtype of tensors made from Python floats."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError(
            ("" if isinstance(d, dtype) else "invalid dtype object: ")
            + "only floating-point types are supported as the default type"
        )
    _default = d
    for listener in _default_listeners:
        listener()


def scalar_dtype(keys: int) -> dtype | None:
    """The dtype that the Python scalars in ``keys`` have on their own."""
    keys &= SCALAR_MASK
    if not keys:
        return None
    if keys & PYTHON_SCALARS[complex]:
        return _default.to_complex()
    if keys & PYTHON_SCALARS[float]:
        return _default
    return int64 if keys & PYTHON_SCALARS[int] else bool


class finfo:
    """Numerical properties of a floating dtype, as ``torch.finfo``."""

    def __init__(self, type: dtype | None = None) -> None:
        d = _default if type is None else type
        if not isinstance(d, dtype):
            raise _no_dtype("finfo", type=d)
        if not (d.is_floating_point or d.is_complex):
            raise TypeError(
                "torch.finfo() requires a floating point input type. "
                "Use torch.iinfo to handle 'torch.finfo'"
            )
        self._type = d = d.to_real()
        if d.itemsize <= 2 and d is not float16:
            import ml_dtypes

            info: Any = ml_dtypes.finfo(d.host)
        else:
            info = np.finfo(d.host)
        self.bits = d.itemsize * 8
        self.eps = float(info.eps)
        self.max = float(info.max)
        self.min = float(info.min)
        self.tiny = self.smallest_normal = float(info.smallest_normal)
        # Of one decimal digit: how many are certain.
        digits = int(-math.log10(self.eps))
        self.resolution = float(f"1e-{digits}")
        self.dtype = d.name

    def __repr__(self) -> str:
        values = (
            f"{n}={getattr(self, n):g}"
            for n in ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        )
        return f"finfo({', '.join(values)}, dtype={self.dtype})"

    def __eq__(self, other: object) -> Any:
        return isinstance(other, finfo) and other._type is self._type

    def __hash__(self) -> int:
        return hash(self._type)


class iinfo:
    """Numerical properties of an integer dtype, as ``torch.iinfo``."""

    def __init__(self, type: dtype) -> None:
        if not isinstance(type, dtype):
            raise _no_dtype("iinfo", type=type)
        if type.category != INT:
            kind = "bool" if type.category == BOOL else "finfo"
            raise TypeError(
                "torch.bool is not supported by torch.iinfo"
                if kind == "bool"
                else "torch.iinfo() requires an integer input type. "
                "Use torch.finfo to handle 'torch.iinfo'"
            )
        self._type = type
        info = np.iinfo(type.host)
        self.bits = info.bits
        self.min = int(info.min)
        self.max = int(info.max)
        self.dtype = type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

    def __eq__(self, other: object) -> Any:
        return isinstance(other, iinfo) and other._type is self._type

    def __hash__(self) -> int:
        return hash(self._type)
