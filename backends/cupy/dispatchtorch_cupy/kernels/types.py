"""How dtypes look in CUDA C++: their type in memory, of arithmetic, and their class."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes

__all__ = ["CLASS", "COMPUTE", "REAL", "STORAGE", "accumulator", "class_of", "is_half"]

#: dtype name -> type in memory, type of the arithmetic, class of expressions, type that
#: sums are kept in.
_TABLE = {
    "bool": ("u8", "u8", "b", "i64"),
    "uint8": ("u8", "u8", "u", "i64"),
    "int8": ("i8", "i8", "i", "i64"),
    "int16": ("short", "short", "i", "i64"),
    "int32": ("int", "int", "i", "i64"),
    "int64": ("i64", "i64", "i", "i64"),
    "uint16": ("u16", "u16", "u", "i64"),
    "uint32": ("u32", "u32", "u", "i64"),
    "uint64": ("u64", "u64", "u", "u64"),
    "float16": ("half_t", "float", "f", "float"),
    "bfloat16": ("bf16_t", "float", "f", "float"),
    "float32": ("float", "float", "f", "float"),
    "float64": ("double", "double", "f", "double"),
    "complex64": ("c64", "c64", "c", "c64"),
    "complex128": ("c128", "c128", "c", "c128"),
}
_HOST = {name: getattr(dtypes, name).host for name in _TABLE}
#: NumPy dtype -> type in memory.
STORAGE = {_HOST[n]: row[0] for n, row in _TABLE.items()}
#: NumPy dtype -> type of the arithmetic.
COMPUTE = {_HOST[n]: row[1] for n, row in _TABLE.items()}
#: NumPy dtype -> ``b`` bool, ``u`` and ``i`` integers, ``f`` floats, ``c`` complex.
CLASS = {_HOST[n]: row[2] for n, row in _TABLE.items()}
_SUMS = {_HOST[n]: row[3] for n, row in _TABLE.items()}
#: Type of arithmetic -> the real type of its parts, and of numbers given to it.
REAL = {"c64": "float", "c128": "double"}
_HALVES = (_HOST["float16"], _HOST["bfloat16"])


def class_of(host: Any) -> str:
    """The class of a NumPy dtype; empty where kernels don't know it."""
    return CLASS.get(host, "")


def is_half(host: Any) -> bool:
    """Whether a dtype computes in float32."""
    return host in _HALVES


def accumulator(host: Any) -> str:
    """The type that sums of a dtype are kept in."""
    return _SUMS[host]
