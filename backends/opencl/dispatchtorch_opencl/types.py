"""How dtypes look in OpenCL C: their storage, what they are computed in, and casts."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes

__all__ = [
    "COMPUTE",
    "CLASS",
    "STORAGE",
    "SUPPORTED",
    "cast",
    "compute_host",
    "load",
    "options_for",
    "store",
]

#: dtype name -> type in memory, type of the arithmetic, class of expressions.
_TABLE = {
    "bool": ("uchar", "uchar", "b"),
    "uint8": ("uchar", "uchar", "u"),
    "int8": ("char", "char", "i"),
    "int16": ("short", "short", "i"),
    "int32": ("int", "int", "i"),
    "int64": ("long", "long", "i"),
    "uint16": ("ushort", "ushort", "u"),
    "uint32": ("uint", "uint", "u"),
    "uint64": ("ulong", "ulong", "u"),
    "float16": ("ushort", "float", "f"),
    "bfloat16": ("ushort", "float", "f"),
    "float32": ("float", "float", "f"),
    "float64": ("double", "double", "f"),
    "complex64": ("float2", "float2", "c"),
    "complex128": ("double2", "double2", "c"),
}
_DTYPES = {name: getattr(dtypes, name) for name in _TABLE}
SUPPORTED = frozenset(_DTYPES.values())
STORAGE = {_DTYPES[n]: row[0] for n, row in _TABLE.items()}
COMPUTE = {_DTYPES[n]: row[1] for n, row in _TABLE.items()}
CLASS = {_DTYPES[n]: row[2] for n, row in _TABLE.items()}
_WIDE = (dtypes.float64, dtypes.complex128)


def compute_host(dtype: Any) -> Any:
    """The NumPy dtype of a number passed by value."""
    if dtype in (dtypes.float16, dtypes.bfloat16):
        return dtypes.float32.host
    return dtypes.uint8.host if dtype is dtypes.bool else dtype.host


def options_for(*used: Any) -> tuple[str, ...]:
    """Compiler options: constants are floats where nothing is a double."""
    wide = any(d in _WIDE for d in used)
    return () if wide else ("-cl-single-precision-constant",)


def load(dtype: Any, pointer: str, at: str) -> str:
    """The expression of an element in the type of the arithmetic."""
    if dtype is dtypes.float16:
        return f"vload_half({at}, (__global const half*)({pointer}))"
    if dtype is dtypes.bfloat16:
        return f"bf2f({pointer}[{at}])"
    return f"{pointer}[{at}]"


def store(dtype: Any, pointer: str, at: str, value: str) -> str:
    """The statement that writes a value of the type of the arithmetic."""
    if dtype is dtypes.float16:
        return f"vstore_half_rte({value}, {at}, (__global half*)({pointer}));"
    if dtype is dtypes.bfloat16:
        return f"{pointer}[{at}] = f2bf({value});"
    return f"{pointer}[{at}] = {value};"


def cast(value: str, source: Any, target: Any) -> str:
    """The expression of a cast between types of arithmetic, as PyTorch casts."""
    a, b = CLASS[source], CLASS[target]
    kind = COMPUTE[target]
    if source is target:
        return value
    if b == "b":
        if a == "c":
            return f"(uchar)({value}.x != 0 || {value}.y != 0)"
        return f"(uchar)({value} != 0)"
    if b == "c":
        if a == "c":
            return f"convert_{kind}({value})"
        return f"({kind})(({kind[:-1]})({value}), 0)"
    if a == "c":
        value, a = f"{value}.x", "f"
    if a == "f" and b in "iu":
        if target is dtypes.uint64:
            return f"({value} < 0 ? (ulong)(long){value} : (ulong){value})"
        return f"({kind})(long){value}"
    return f"({kind}){value}"
