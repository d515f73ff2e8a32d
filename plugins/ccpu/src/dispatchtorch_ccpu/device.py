"""The device: memory from C's ``malloc``, and the kernels of ``kernels.c``."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend
from dispatchtorch.errors import UnsupportedOperator
from dispatchtorch.lift import broadcast_shapes
from dispatchtorch.ops.indexing import indexed_shape
from dispatchtorch_ccpu.library import compiler, library

__all__ = ["CcpuArray", "CcpuBackend"]

TYPES = (
    *(dtypes.bool, dtypes.uint8, dtypes.int32, dtypes.int64),
    *(dtypes.float32, dtypes.float64),
)
CODES = {dtype: code for code, dtype in enumerate(TYPES)}


class CcpuArray:
    """A strided window on a piece of C's memory (strides and offset in elements)."""

    __slots__ = ("dtype", "memory", "nbytes", "offset", "shape", "strides")

    def __init__(
        self,
        memory: Any,
        nbytes: int,
        shape: Any,
        strides: Any,
        offset: int,
        dtype: Any,
    ) -> None:
        self.memory, self.nbytes, self.offset = memory, nbytes, offset
        self.shape, self.strides, self.dtype = tuple(shape), tuple(strides), dtype


class CcpuBackend(Backend):
    """``ccpu``: the host's processor, driven through C."""

    device_type = "ccpu"
    array_type = CcpuArray
    indexed = False
    dtypes = frozenset(TYPES)

    def __init__(self) -> None:
        super().__init__()
        for table in (POINTWISE, REDUCTIONS, OTHERS):
            for name, function in table.items():
                self.add_kernel(name, function)

    def is_available(self) -> bool:
        return compiler() is not None

    def unavailable_reason(self) -> str:
        return "there is no C compiler; install one, or name it in CC"

    def empty(self, shape: tuple[int, ...], dtype: Any, index: int) -> CcpuArray:
        return empty(shape, dtype)

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> CcpuArray:
        return upload(array)

    def to_host(self, array: CcpuArray) -> np.ndarray[Any, Any]:
        made = np.empty(array.shape, array.dtype.host)
        library()[0].memmove(made, contiguous(array).memory, made.nbytes)
        return made

    def root(self, array: CcpuArray) -> CcpuArray:
        size = array.nbytes // array.dtype.itemsize
        return as_strided(array, (size,), (1,), 0)

    def data_ptr(self, array: CcpuArray) -> int:
        address = int(library()[0].cast("intptr_t", array.memory))
        return address + array.offset * array.dtype.itemsize


# Memory.


def empty(shape: Sequence[int], dtype: Any) -> CcpuArray:
    """A new contiguous array."""
    if dtype not in CODES:
        raise UnsupportedOperator(f"device 'ccpu' has no {dtype}")
    ffi, lib = library()
    nbytes = math.prod(shape) * dtype.itemsize
    memory = lib.malloc(max(nbytes, 1))
    if not memory:
        raise MemoryError(f"{nbytes} bytes on device 'ccpu'")
    memory = ffi.gc(ffi.cast("char *", memory), lib.free, nbytes)
    strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
    return CcpuArray(memory, nbytes, shape, strides, 0, dtype)


def upload(array: np.ndarray[Any, Any]) -> CcpuArray:
    """A new array with a host array's values."""
    made = empty(array.shape, dtypes.from_host_dtype(array.dtype))
    library()[0].memmove(made.memory, np.ascontiguousarray(array), array.nbytes)
    return made


def as_strided(x: CcpuArray, shape: Any, strides: Any, offset: int) -> CcpuArray:
    """Another window on the same memory."""
    return CcpuArray(x.memory, x.nbytes, shape, strides, offset, x.dtype)


def copy_(target: CcpuArray, source: CcpuArray) -> None:
    """Writes ``source``, cast and broadcast, to ``target``."""
    if source.memory is target.memory:
        source = cast(source, source.dtype)
    run(f"to{CODES[target.dtype]}", source.dtype, target.shape, target, source, source)


def cast(x: CcpuArray, dtype: Any) -> CcpuArray:
    """A new contiguous array of another dtype."""
    made = empty(x.shape, dtype)
    copy_(made, x)
    return made


def contiguous(x: CcpuArray) -> CcpuArray:
    """An array whose elements lie in order, from the beginning of its memory."""
    strides = tuple(math.prod(x.shape[d + 1 :]) for d in range(len(x.shape)))
    return x if x.strides == strides and not x.offset else cast(x, x.dtype)


# Calls of C.


def run(
    name: str, dtype: Any, shape: Sequence[int], *arrays: CcpuArray, more: Any = ()
) -> Any:
    """Calls C's loop over ``shape``, to which the arrays are broadcast.

    Returns the first array, NotImplemented, or C's code for an index that is wrong.
    """
    if 0 in shape:
        return arrays[0]
    steps = []
    for x in arrays:
        size, lead = x.dtype.itemsize, len(shape) - len(x.shape)
        own = zip(x.strides, x.shape, shape[lead:], strict=True)
        steps.append([0] * lead + [s * size if n == m else 0 for s, n, m in own])
    dims: list[
        int
    ] = []  # those that are left when the ones that lie in line are joined
    sizes: list[int] = []
    for d, n in enumerate(shape):
        if n == 1:
            continue
        if dims and all(s[dims[-1]] == s[d] * n for s in steps):
            dims[-1], sizes[-1] = d, sizes[-1] * n
        else:
            dims.append(d)
            sizes.append(n)
    starts = [x.memory + x.offset * x.dtype.itemsize for x in arrays]
    rows = [s[d] for s in steps for d in dims] or [0] * len(arrays)
    function = getattr(library()[1], f"k_{name}")
    code = function(CODES[dtype], len(dims) or 1, sizes or [1], starts, rows, *more)
    if code == 2:
        raise RuntimeError("ZeroDivisionError")
    return {0: arrays[0], 1: NotImplemented}.get(code, code)


def pointwise(name: str, dtype: Any = None) -> Callable[..., Any]:
    """The kernel of an operator that works element by element."""

    def kernel(*operands: CcpuArray) -> Any:
        x, y = operands[-2:] if len(operands) > 1 else operands * 2
        shape = broadcast_shapes([each.shape for each in operands])
        made = empty(shape, dtype or y.dtype)
        arrays = operands if len(operands) == 3 else (x, y)
        return run(name, y.dtype, shape, made, *arrays)

    return kernel


def reduction(
    name: str, start: float | None = None, result: Any = None
) -> Callable[..., Any]:
    """The kernel of a reduction: a pointwise one whose result doesn't move."""

    def kernel(x: CcpuArray, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
        made = dtype or result or x.dtype
        wide = dtypes.float64 if made is dtypes.float32 and start == 0 else made
        if x.dtype is not wide:
            x = cast(x, wide)
        dims = range(len(x.shape)) if dims is None else dims
        kept = [1 if d in dims else n for d, n in enumerate(x.shape)]
        total = empty(kept, wide)
        if start is None:
            copy_(total, as_strided(x, kept, x.strides, x.offset))
        else:
            copy_(total, upload(np.array(start, wide.host)))
        run(name, wide, x.shape, total, total, x)
        if wide is not made:
            total = cast(total, made)
        if keepdim:
            return total
        left = [n for d, n in enumerate(kept) if d not in dims]
        steps = [s for d, s in enumerate(total.strides) if d not in dims]
        return as_strided(total, left, steps, 0)

    return kernel


def argmax(x: CcpuArray, dim: int) -> Any:
    """The places of the largest values along a dim."""
    left = [n for d, n in enumerate(x.shape) if d != dim]
    steps = [s for d, s in enumerate(x.strides) if d != dim]
    made, first = empty(left, dtypes.int64), as_strided(x, left, steps, x.offset)
    along = (x.shape[dim], x.strides[dim] * x.dtype.itemsize) if x.shape else (1, 0)
    return run("argmax", x.dtype, left, made, first, more=along)


TAKE, PUT, ADD = range(3)


def indexed(
    x: CcpuArray, indices: dict[int, Any], values: Any, how: int, aligned: bool = False
) -> Any:
    """Moves ``values`` from or to the places of ``x`` that indices by dim name.

    The dims of an index stand where the first of them is, or first if they're apart;
    an ``aligned`` one has all dims of ``x``, as gather's.
    """
    shape, dims = values.shape, sorted(indices)
    common = len(broadcast_shapes([each.shape for each in indices.values()]))
    if aligned:
        steps = [0 if d in indices else s for d, s in enumerate(x.strides)]
        placed = [indices[d] for d in dims]
    else:
        together = dims[-1] - dims[0] + 1 == len(dims)
        at = dims[0] if together else 0
        steps = [s for d, s in enumerate(x.strides) if d not in indices]
        steps[at:at] = [0] * common
        one, zero = ([n] * (len(shape) - at - common) for n in (1, 0))
        placed = [
            as_strided(i, (*i.shape, *one), (*i.strides, *zero), i.offset)
            for i in (indices[d] for d in dims)
        ]
    window = as_strided(x, shape, steps[: len(shape)], x.offset)
    sizes = library()[0].new("int64_t[]", [x.shape[d] for d in dims])
    jumps = [x.strides[d] * x.dtype.itemsize for d in dims]
    more = (len(dims), sizes, jumps, how)
    code = run("indexed", x.dtype, shape, window, values, *placed, more=more)
    if isinstance(code, int):
        d = dims[code - 3]
        raise (RuntimeError if aligned else IndexError)(
            f"index {sizes[code - 3]} is out of bounds for dimension {d} with size "
            f"{x.shape[d]}"
        )
    return code if code is NotImplemented else values if how == TAKE else x


def gather(x: CcpuArray, dim: int, index: CcpuArray) -> Any:
    return indexed(x, {dim: index}, empty(index.shape, x.dtype), TAKE, True)


def scatter_add(x: CcpuArray, dim: int, index: CcpuArray, src: CcpuArray) -> Any:
    if not x.shape or not len(index.shape) == len(x.shape) == len(src.shape):
        return NotImplemented
    part = as_strided(src, index.shape, src.strides, src.offset)
    return indexed(cast(x, x.dtype), {dim: index}, part, ADD, True)


def index(x: CcpuArray, indices: Any) -> Any:
    given = {d: each for d, each in enumerate(indices) if each is not None}
    return indexed(x, given, empty(indexed_shape(x, indices), x.dtype), TAKE)


def index_put(x: CcpuArray, indices: Any, values: CcpuArray, accumulate: bool) -> Any:
    shape = indexed_shape(x, indices)
    if broadcast_shapes([shape, values.shape]) != shape:
        return NotImplemented
    spread = empty(shape, x.dtype)
    copy_(spread, values)
    given = {d: each for d, each in enumerate(indices) if each is not None}
    return indexed(cast(x, x.dtype), given, spread, ADD if accumulate else PUT)


def bmm(x: CcpuArray, y: CcpuArray) -> Any:
    lib, sizes = library()[1], (*x.shape, y.shape[2])
    made, x, y = (
        empty((*x.shape[:2], y.shape[2]), x.dtype),
        contiguous(x),
        contiguous(y),
    )
    pointers = [made.memory, x.memory, y.memory]
    return NotImplemented if lib.k_bmm(CODES[x.dtype], pointers, *sizes) else made


POINTWISE = {
    name: pointwise(name)
    for name in (
        "add sub mul div floor_divide remainder maximum minimum bitwise_or bitwise_not "
        "neg exp log sqrt erf"
    ).split()
}
POINTWISE |= {name: pointwise(name, dtypes.bool) for name in ("eq", "lt", "le")}
POINTWISE["where.self"] = pointwise("where")
REDUCTIONS = {
    "sum.dim_IntList": reduction("add", 0),
    "amax": reduction("maximum"),
    "any_": reduction("bitwise_or", 0, dtypes.bool),
    "all_": reduction("mul", 1, dtypes.bool),
}
OTHERS: dict[str, Callable[..., Any]] = {
    "as_strided": as_strided,
    "copy_": copy_,
    "argmax_": argmax,
    "gather": gather,
    "scatter_add": scatter_add,
    "index.Tensor": index,
    "index_put": index_put,
    "bmm": bmm,
}
