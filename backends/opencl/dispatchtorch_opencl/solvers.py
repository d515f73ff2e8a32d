"""Small linear systems: LU and Cholesky factors, triangular systems, row swaps.

A work item takes a matrix (of right-hand sides, a column), so that batches of small ones
go in parallel. Results lie by columns, as LAPACK's do. Large matrices are declined: the
host's LAPACK is better at them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.kernelgen.expressions import HELPERS
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import broadcast
from dispatchtorch_opencl.array import OpenCLArray, made_like, size_of
from dispatchtorch_opencl.indexing import as_strided, contiguous, copy_

__all__ = ["kernels_for"]

#: The largest size of a matrix.
_LARGEST = 128

_REAL = """
#define MUL(a, b) ((a) * (b))
#define DIV(a, b) ((a) / (b))
#define SIZE(a) fabs(a)
#define IS_ZERO(a) ((a) == 0)
#define CONJ(a) (a)
#define REAL(a) (a)
#define FROM_REAL(a) (a)
#define R C
"""
_COMPLEX = """
#define MUL(a, b) cmul(a, b)
#define DIV(a, b) cdiv(a, b)
#define SIZE(a) (fabs((a).x) + fabs((a).y))
#define IS_ZERO(a) (!cbool(a))
#define CONJ(a) PAIR((a).x, -(a).y)
#define REAL(a) ((a).x)
#define FROM_REAL(a) PAIR(a, 0)
"""

_LU = """
__kernel void solve(__global C* o, __global int* pivots, __global int* info, long n,
    long rows, long columns) {
  const long count = min(rows, columns);
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {
    __global C* x = o + i * rows * columns; int bad = 0;
    for (long j = 0; j < count; j++) {
      __global C* own = x + j * rows;
      long p = j;
      for (long r = j + 1; r < rows; r++)
        if (SIZE(own[r]) > SIZE(own[p]) || (SIZE(own[r]) != SIZE(own[r])
            && SIZE(own[p]) == SIZE(own[p]))) p = r;
      pivots[i * count + j] = p + 1;
      if (p != j) for (long c = 0; c < columns; c++) {
        const C v = x[c * rows + j]; x[c * rows + j] = x[c * rows + p];
        x[c * rows + p] = v; }
      const C pivot = own[j];
      if (IS_ZERO(pivot)) { if (!bad) bad = j + 1; }
      else for (long r = j + 1; r < rows; r++) own[r] = DIV(own[r], pivot);
      for (long c = j + 1; c < columns; c++) {
        const C f = x[c * rows + j]; __global C* to = x + c * rows;
        for (long r = j + 1; r < rows; r++) to[r] -= MUL(own[r], f); } }
    info[i] = bad; }
}"""

# Element (i, j) of the lower factor; it lies at (j, i), conjugated, where ``upper`` is set.
_CHOLESKY = """
#define L(i, j) x[upper ? (j) + (i) * size : (i) + (j) * size]
__kernel void solve(__global C* o, __global int* info, long n, long size, int upper) {
  SHARE(k, n);
  for (; k < k_end; NEXT(k, 1)) {
    __global C* x = o + k * size * size; int bad = 0;
    if (upper) for (long j = 0; j < size * size; j++) x[j] = CONJ(x[j]);
    for (long j = 0; j < size && !bad; j++) {
      R pivot = REAL(L(j, j));
      for (long c = 0; c < j; c++) pivot -= REAL(MUL(L(j, c), CONJ(L(j, c))));
      if (!(pivot > 0)) { L(j, j) = FROM_REAL(pivot); bad = j + 1; continue; }
      pivot = sqrt(pivot);
      L(j, j) = FROM_REAL(pivot);
      for (long c = 0; c < j; c++) { const C f = CONJ(L(j, c));
        for (long i = j + 1; i < size; i++) L(i, j) -= MUL(L(i, c), f); }
      for (long i = j + 1; i < size; i++) L(i, j) = L(i, j) / pivot; }
    for (long j = 0; j < size; j++) for (long i = 0; i < j; i++) L(i, j) = FROM_REAL(0);
    if (upper) for (long j = 0; j < size * size; j++) x[j] = CONJ(x[j]);
    info[k] = bad; }
}"""

_TRIANGULAR = """
__kernel void solve(__global C* o, __global const C* a, long n, long size, long columns,
    int upper, int unit) {
  SHARE(k, n);
  for (; k < k_end; NEXT(k, 1)) {
    __global C* x = o + k * size;
    __global const C* m = a + k / columns * size * size;
    for (long s = 0; s < size; s++) {
      const long i = upper ? size - 1 - s : s;
      const C v = unit ? x[i] : DIV(x[i], m[i + i * size]);
      x[i] = v;
      const long from = upper ? 0 : i + 1, to = upper ? i : size;
      for (long r = from; r < to; r++) x[r] -= MUL(m[r + i * size], v); } }
}"""

_ORDER = """
__kernel void solve(__global long* o, __global const int* pivots, long start, long n,
    long count, long rows) {
  SHARE(k, n);
  for (; k < k_end; NEXT(k, 1)) {
    __global long* order = o + k * rows;
    __global const int* swaps = pivots + start + k * count;
    for (long i = 0; i < rows; i++) order[i] = i;
    for (long i = 0; i < count; i++) { const long j = swaps[i] - 1;
      if (j < 0 || j >= rows) continue;
      const long v = order[i]; order[i] = order[j]; order[j] = v; } }
}"""


def _kernel(runtime: Any, name: str, source: str, dtype: Any) -> Any:
    key = ("solve", name, dtype)
    kernel = runtime.cache.get(key)
    if kernel is None:
        kind = types.CLASS[dtype]
        head = f"#define C {types.COMPUTE[dtype]}\n"
        if kind == "c":
            head += f"#define R {types.COMPUTE[dtype][:-1]}\n{HELPERS['c']}{_COMPLEX}"
        elif kind == "f":
            head += _REAL
        options = types.options_for(dtype)
        kernel = runtime.build("solve", head + source, options)
        runtime.cache[key] = kernel
    return kernel


def _fits(*arrays: OpenCLArray) -> bool:
    return all(
        types.CLASS[a.dtype] in "fc"
        and a.dtype.itemsize > 2
        and max(a.shape[-2:]) <= _LARGEST
        for a in arrays
    )


def _by_columns(x: OpenCLArray, batch: tuple[int, ...]) -> OpenCLArray:
    """A copy of matrices, repeated for a batch, that lies by columns."""
    rows, columns = x.shape[-2:]
    made = made_like(x, (*batch, columns, rows))
    turned = (*made.strides[:-2], made.strides[-1], made.strides[-2])
    made = as_strided(made, (*batch, rows, columns), turned, 0)
    if made.size:
        copy_(made, x)
    return made


def _whole(like: OpenCLArray, shape: tuple[int, ...]) -> OpenCLArray:
    """Zeros of int32."""
    made = made_like(like, shape, dtypes.int32)
    if made.size:
        made.memory.runtime.upload(made.memory.buffer, np.zeros(shape, "int32"))
    return made


def _longs(*values: int) -> list[Any]:
    return [np.int64(v) for v in values]


def lu(a: OpenCLArray) -> Any:
    if not _fits(a):
        return NotImplemented
    *batch, rows, columns = a.shape
    made = _by_columns(a, tuple(batch))
    pivots = _whole(a, (*batch, min(rows, columns)))
    info = _whole(a, tuple(batch))
    if made.size:
        runtime, n = a.memory.runtime, size_of(batch)
        kernel = _kernel(runtime, "lu", _LU, a.dtype)
        args = [x.memory.buffer for x in (made, pivots, info)]
        work = rows * columns * min(rows, columns)
        size = runtime.items(n, work)
        runtime.launch(kernel, size, [*args, *_longs(n, rows, columns)])
    return made, pivots, info


def cholesky(a: OpenCLArray, upper: bool) -> Any:
    if not _fits(a):
        return NotImplemented
    batch, size = a.shape[:-2], a.shape[-1]
    made, info = _by_columns(a, batch), _whole(a, batch)
    if made.size:
        runtime, n = a.memory.runtime, size_of(batch)
        kernel = _kernel(runtime, "cholesky", _CHOLESKY, a.dtype)
        args = [made.memory.buffer, info.memory.buffer, *_longs(n, size)]
        runtime.launch(kernel, runtime.items(n, size**3), [*args, np.int32(upper)])
    return made, info


def triangular(a: OpenCLArray, b: OpenCLArray, upper: bool, unit: bool) -> Any:
    if not _fits(a) or a.dtype is not b.dtype:
        return NotImplemented
    batch = broadcast([a.shape[:-2], b.shape[:-2]])
    made = _by_columns(b, batch)
    if made.size:
        left = _by_columns(a, batch)
        runtime, (size, columns) = a.memory.runtime, b.shape[-2:]
        n = size_of(batch) * columns
        kernel = _kernel(runtime, "triangular", _TRIANGULAR, a.dtype)
        args = [made.memory.buffer, left.memory.buffer, *_longs(n, size, columns)]
        args += [np.int32(upper), np.int32(unit)]
        runtime.launch(kernel, runtime.items(n, size * size), args)
    return made


def row_order(pivots: OpenCLArray, rows: int) -> Any:
    if pivots.dtype is not dtypes.int32:
        return NotImplemented
    *batch, count = pivots.shape
    made = made_like(pivots, (*batch, rows), dtypes.int64)
    if made.size:
        pivots = contiguous(pivots)
        runtime, n = pivots.memory.runtime, size_of(batch)
        kernel = _kernel(runtime, "order", _ORDER, dtypes.int32)
        args = [made.memory.buffer, pivots.memory.buffer]
        args += _longs(pivots.offset, n, count, rows)
        runtime.launch(kernel, runtime.items(n, rows), args)
    return made


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of factorisations and triangular systems."""
    table: dict[str, Callable[..., Any]] = {
        "_lu": lu,
        "_cholesky": cholesky,
        "_triangular": triangular,
        "_row_order": row_order,
    }
    return {name: (function, False) for name, function in table.items()}
