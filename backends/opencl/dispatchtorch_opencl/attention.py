"""Scaled dot-product attention: products of matrices, and a kernel between them.

The kernel scales and masks a row of scores, and makes weights of it, in one pass over
memory and a second one in cache. Backward, weights are made anew from the kept logarithms
of sums. Half types compute in float32 all the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import broadcast_strides, collapse, geometry
from dispatchtorch_opencl.array import OpenCLArray, made_like, size_of
from dispatchtorch_opencl.indexing import converted
from dispatchtorch_opencl.linalg import product

__all__ = ["kernels_for"]

# A row of scores: the places that it may see, and where its mask begins.
_ROW = """
    const long l = i % targets, seen = causal ? min(l + 1, length) : length;
    __global A* row = o + i * length;
    long u = i, at = mo;
    for (int d = g.nd - 1; d >= 0; d--) { const long q = u / g.shape[d];
      at += (u - q * g.shape[d]) * g.st[0][d]; u = q; }
    for (long j = seen; j < length; j++) row[j] = 0;
"""
_LOOP = '_Pragma("clang loop vectorize(assume_safety)")\n    '


def _score(mask: Any) -> str:
    """The score of place ``j`` from the product ``v``."""
    if mask is None:
        return "v * scale"
    if mask is dtypes.bool:
        return "m[at + j * ms] ? v * scale : -INFINITY"
    return f"v * scale + (A){types.load(mask, 'm', 'at + j * ms')}"


def _head(dtype: Any, mask: Any, more: str) -> str:
    return f"""
#define A {types.COMPUTE[dtype]}
__kernel void attended(__global A* o, {more}__global const
    {types.STORAGE[mask or dtype]}* m, long mo, long ms, long n, long targets, long length,
    int causal, A scale, const Geometry g) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{ {_ROW}"""


def _forward(dtype: Any, mask: Any) -> str:
    return f"""{_head(dtype, mask, "__global A* sums, ")}
    A top = -INFINITY, sum = 0;
    for (long j = 0; j < seen; j++) {{
      const A v = row[j], score = {_score(mask)};
      row[j] = score; top = score > top || score != score ? score : top; }}
    const A base = top == -INFINITY ? 0 : top;
    {_LOOP}for (long j = 0; j < seen; j++) row[j] = exp(row[j] - base);
    for (long b = 0; b < seen; b += 512) {{
      const long end = min(b + 512, seen); A part = 0;
      for (long j = b; j < end; j++) part += row[j];
      sum += part; }}
    const A share = sum == 0 ? 0 : 1 / sum;
    {_LOOP}for (long j = 0; j < seen; j++) row[j] *= share;
    sums[i] = log(sum) + base;
  }}
}}"""


def _weights(dtype: Any, mask: Any) -> str:
    return f"""{_head(dtype, mask, "__global const A* sums, ")}
    const A base = sums[i] == -INFINITY ? 0 : sums[i];
    {_LOOP}for (long j = 0; j < seen; j++) {{
      const A v = row[j]; row[j] = exp(({_score(mask)}) - base); }}
  }}
}}"""


def _slopes(dtype: Any, mask: Any) -> str:
    """Gradients of weights to those of scores."""
    return f"""{_head(dtype, mask, "__global const A* weights, ")}
    __global const A* weight = weights + i * length;
    A sum = 0;
    for (long b = 0; b < seen; b += 512) {{
      const long end = min(b + 512, seen); A part = 0;
      for (long j = b; j < end; j++) part += row[j] * weight[j];
      sum += part; }}
    {_LOOP}for (long j = 0; j < seen; j++) row[j] = weight[j] * (row[j] - sum) * scale;
  }}
}}"""


_SOURCES = {"forward": _forward, "weights": _weights, "slopes": _slopes}


def _run(
    name: str,
    scores: OpenCLArray,
    other: OpenCLArray,
    mask: OpenCLArray | None,
    causal: bool,
    scale: float,
) -> None:
    """A kernel over the rows of ``scores``, in place."""
    runtime, dtype = scores.memory.runtime, scores.dtype
    kind = None if mask is None else mask.dtype
    key = ("attention", name, dtype, kind)
    kernel = runtime.cache.get(key)
    if kernel is None:
        options = types.options_for(dtype, kind)
        kernel = runtime.build("attended", _SOURCES[name](dtype, kind), options)
        runtime.cache[key] = kernel
    *rows, length = scores.shape
    n, step, start = size_of(rows), 0, 0
    given = scores
    steps: Sequence[int] = (0,) * len(rows)
    if mask is not None:
        given, start = mask, mask.offset
        *steps, step = broadcast_strides(mask, scores.shape)
    args = [scores.memory.buffer, other.memory.buffer, given.memory.buffer]
    args += [np.int64(v) for v in (start, step, n, rows[-1], length)]
    args += [np.int32(causal), types.compute_host(dtype).type(scale)]
    args.append(geometry(*collapse(rows, [steps], True)))
    runtime.launch(kernel, runtime.items(n, length * 4), args)


def _wide(x: OpenCLArray) -> OpenCLArray:
    """An array of a half type in float32."""
    return converted(x, dtypes.float32) if x.dtype.itemsize == 2 else x


def _turned(x: OpenCLArray) -> OpenCLArray:
    """Matrices with rows and columns changed over."""
    shape = (*x.shape[:-2], x.shape[-1], x.shape[-2])
    strides = (*x.strides[:-2], x.strides[-1], x.strides[-2])
    return OpenCLArray(x.memory, shape, strides, x.offset, x.dtype)


def _times(x: OpenCLArray, y: OpenCLArray) -> OpenCLArray:
    made = made_like(x, (*x.shape[:-1], y.shape[-1]))
    product(made, x, y)
    return made


def _fits(arrays: Sequence[OpenCLArray], mask: OpenCLArray | None) -> bool:
    first = arrays[0]
    return (
        types.CLASS[first.dtype] == "f"
        and all(a.dtype is first.dtype and a.ndim == 4 and a.size for a in arrays)
        and (mask is None or types.CLASS[mask.dtype] in "bf")
    )


def forward(
    query: OpenCLArray,
    key: OpenCLArray,
    value: OpenCLArray,
    mask: OpenCLArray | None,
    causal: bool,
    scale: float,
) -> Any:
    if not _fits((query, key, value), mask):
        return NotImplemented
    kind = query.dtype
    query, key, value = _wide(query), _wide(key), _wide(value)
    weights = _times(query, _turned(key))
    sums = made_like(query, query.shape[:3])
    _run("forward", weights, sums, mask, causal, scale)
    return converted(_times(weights, value), kind), sums


def backward(
    grad: OpenCLArray,
    query: OpenCLArray,
    key: OpenCLArray,
    value: OpenCLArray,
    mask: OpenCLArray | None,
    output: OpenCLArray,
    sums: OpenCLArray,
    causal: bool,
    scale: float,
    wanted: Sequence[bool],
) -> Any:
    if not _fits((grad, query, key, value), mask) or sums.offset:
        return NotImplemented
    kind = query.dtype
    grad, query, key, value = (_wide(a) for a in (grad, query, key, value))
    weights = _times(query, _turned(key))
    _run("weights", weights, sums, mask, causal, scale)
    by_query = by_key = by_value = None
    if wanted[2]:
        by_value = converted(_times(_turned(weights), grad), kind)
    if wanted[0] or wanted[1]:
        slopes = _times(grad, _turned(value))
        _run("slopes", slopes, weights, None, causal, scale)
        if wanted[0]:
            by_query = converted(_times(slopes, key), kind)
        if wanted[1]:
            by_key = converted(_times(_turned(slopes), query), kind)
    return by_query, by_key, by_value


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of attention."""
    return {
        "_fused_attention": (forward, False),
        "_fused_attention_backward": (backward, False),
    }
