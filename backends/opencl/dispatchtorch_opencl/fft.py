"""Fourier transforms: one pass for each factor of a size, in Stockham's order.

After factors of product L, each subsequence of the input (every M-th element, N = L·M) has
been transformed; a pass joins p of them. Angles are reduced as whole numbers, so that they
are exact to rounding. The work is N times the sum of the factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, made_like, size_of
from dispatchtorch_opencl.indexing import copy_

__all__ = ["kernels_for"]

#: Sizes with a prime factor above this are left to the host.
_LARGEST = 1024


def _factors(n: int) -> list[int]:
    """Fours, a two, and the other primes."""
    made = []
    for p in (4, 2):
        while n % p == 0:
            made.append(p)
            n //= p
    p = 3
    while n > 1:
        while n % p == 0:
            made.append(p)
            n //= p
        p = p + 2 if p * p <= n else max(n, p + 2)
    return made


def _source(dtype: Any) -> str:
    c = types.COMPUTE[dtype]
    r = c[:-1]
    return f"""
__kernel void stage(__global {c}* o, __global const {c}* x, long count, long n, long inner,
    long done, long p, int forward, {r} scale) {{
  const long length = done * p, M = n / length;
  SHARE(i, count);
  for (; i < i_end; NEXT(i, 1)) {{
    const long low = i % inner; long u = i / inner;
    const long at = u % n, outer = u / n, j = at / length, k = at - j * length;
    __global const {c}* from = x + (outer * n + j * done + k % done) * inner + low;
    {c} sum = 0; long turn = 0;
    for (long q = 0; q < p; q++) {{
      const {c} v = from[q * M * done * inner];
      const {r} angle = ({r})(2 * turn) / ({r})length;
      const {r} co = turn ? cospi(angle) : 1, si = turn ? sinpi(angle) : 0;
      const {r} s = forward ? -si : si;
      sum += ({c})(v.x * co - v.y * s, v.x * s + v.y * co);
      turn += k; if (turn >= length) turn -= length;
    }}
    o[i] = sum * scale;
  }}
}}"""


def _along(x: OpenCLArray, dim: int, forward: bool, scale: float) -> OpenCLArray:
    """Transforms a dim of a contiguous array."""
    n = x.shape[dim]
    runtime = x.memory.runtime
    key = ("fft", x.dtype)
    kernel = runtime.cache.get(key)
    if kernel is None:
        options = types.options_for(x.dtype)
        kernel = runtime.cache[key] = runtime.build("stage", _source(x.dtype), options)
    real = x.dtype.to_real().host.type
    inner, done = size_of(x.shape[dim + 1 :]), 1
    factors = _factors(n) or [1]
    for place, p in enumerate(factors):
        made = made_like(x, x.shape)
        last = place == len(factors) - 1
        args = [made.memory.buffer, x.memory.buffer]
        args += [np.int64(v) for v in (x.size, n, inner, done, p)]
        args += [np.int32(forward), real(scale if last else 1.0)]
        runtime.launch(kernel, runtime.items(x.size, p * 8), args)
        x, done = made, done * p
    return x


def _rows(x: OpenCLArray, order: Sequence[int]) -> OpenCLArray:
    """A row-major copy of the array with its dims in another order."""
    shape = tuple([x.shape[d] for d in order])
    strides = tuple([x.strides[d] for d in order])
    made = made_like(x, shape)
    copy_(made, OpenCLArray(x.memory, shape, strides, x.offset, x.dtype))
    return made


def c2c(x: OpenCLArray, dim: Any, normalization: int, forward: bool) -> Any:
    """Transforms over dims; the sum is divided by 1, the root of their size, or it."""
    sizes = [x.shape[d] for d in dim]
    if x.dtype not in (dtypes.complex64, dtypes.complex128) or not x.size:
        return NotImplemented
    if not dim or max(max(_factors(n) or [1]) for n in sizes) > _LARGEST:
        return NotImplemented
    by_stride = sorted(range(x.ndim), key=lambda d: -x.strides[d])
    dims = [d for d in by_stride if d in dim]
    order = [d for d in by_stride if d not in dim] + dims
    made = _rows(x, order)
    total = size_of(sizes)
    scale = {0: 1.0, 1: 1 / math.sqrt(total), 2: 1 / total}[normalization]
    for place in range(x.ndim - len(dims), x.ndim):
        last = place == x.ndim - 1
        made = _along(made, place, forward, scale if last else 1.0)
    back = sorted(range(x.ndim), key=order.__getitem__)
    return OpenCLArray(
        made.memory,
        tuple([made.shape[d] for d in back]),
        tuple([made.strides[d] for d in back]),
        0,
        made.dtype,
    )


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The Fourier kernel."""
    return {"_fft_c2c": (c2c, False)}
