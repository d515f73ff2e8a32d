"""Pooling with its gradients, and the windows that convolution shares with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, made_like, size_of
from dispatchtorch_opencl.indexing import built, contiguous, converted

__all__ = ["WINDOW", "kernels_for", "window", "zeros"]

# The fields of a window: channels, samples, and five triples.
WINDOW = """
typedef struct { long n, c, in[3], k[3], step[3], pad[3], gap[3], out[3]; } Window;
"""


def window(
    n: int,
    c: int,
    sizes: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    gap: Any,
    out: Any,
) -> bytes:
    """A window of up to three dims, as the kernels' argument."""
    fields = [n, c]
    for values, filling in (
        (sizes, 1), (kernel, 1), (stride, 1), (padding, 0), (gap, 1), (out, 1),
    ):  # fmt: skip
        fields += [filling] * (3 - len(values)) + [int(v) for v in values]
    return np.array(fields, "int64").tobytes()


def zeros(like: OpenCLArray, shape: tuple[int, ...]) -> OpenCLArray:
    made = made_like(like, shape)
    if made.size:
        runtime = like.memory.runtime
        runtime.upload(made.memory.buffer, np.zeros(shape, like.dtype.host))
    return made


# A window's bounds in one dim: the first place, and where it begins and ends inside.
_BOUNDS = """
    long u = i;
    const long a2 = u % w.out[2]; u /= w.out[2]; const long a1 = u % w.out[1];
    u /= w.out[1]; const long a0 = u % w.out[0]; u /= w.out[0];
    const long s0 = a0 * w.step[0] - w.pad[0], s1 = a1 * w.step[1] - w.pad[1],
      s2 = a2 * w.step[2] - w.pad[2], base = u * w.in[0] * w.in[1] * w.in[2];
"""
_INSIDE = """
    for (long b0 = 0; b0 < w.k[0]; b0++) {
      const long p0 = s0 + b0 * w.gap[0]; if (p0 < 0 || p0 >= w.in[0]) continue;
      for (long b1 = 0; b1 < w.k[1]; b1++) {
        const long p1 = s1 + b1 * w.gap[1]; if (p1 < 0 || p1 >= w.in[1]) continue;
        for (long b2 = 0; b2 < w.k[2]; b2++) {
          const long p2 = s2 + b2 * w.gap[2]; if (p2 < 0 || p2 >= w.in[2]) continue;
          const long at = (p0 * w.in[1] + p1) * w.in[2] + p2;
"""


def _max_source(dtype: Any) -> str:
    kind = types.COMPUTE[dtype]
    return f"""{WINDOW}
__kernel void pool(__global {types.STORAGE[dtype]}* o, __global long* places,
    __global const {types.STORAGE[dtype]}* x, long xo, long n, const Window w) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{ {_BOUNDS}
    {kind} best = 0; long place = -1;
    {_INSIDE}
          const {kind} v = {types.load(dtype, "x", "xo + base + at")};
          if (place < 0 || v > best || v != v) {{ best = v; place = at; }} }} }} }}
    {types.store(dtype, "o", "i", "best")}
    places[i] = place; }}
}}"""


def _average_source(dtype: Any) -> str:
    return f"""{WINDOW}
__kernel void pool(__global {types.STORAGE[dtype]}* o,
    __global const {types.STORAGE[dtype]}* x, long xo, long n, long divisor, int padded,
    const Window w) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{ {_BOUNDS}
    {types.COMPUTE[dtype]} sum = 0; long count = 0;
    {_INSIDE}
          sum += {types.load(dtype, "x", "xo + base + at")}; count++; }} }} }}
    if (padded) count = (min(s0 + w.k[0], w.in[0] + w.pad[0]) - s0)
      * (min(s1 + w.k[1], w.in[1] + w.pad[1]) - s1)
      * (min(s2 + w.k[2], w.in[2] + w.pad[2]) - s2);
    {types.store(dtype, "o", "i", "sum / (divisor ? divisor : count)")} }}
}}"""


# The sum of gradients at the elements that were picked; a work item takes a plane.
def _picked_source(dtype: Any) -> str:
    s = types.STORAGE[dtype]
    add = f"const A a = {types.load(dtype, 'to', 'at')}, b = {types.load(dtype, 'g', 'i')};"
    return f"""
#define A {types.COMPUTE[dtype]}
__kernel void picked(__global {s}* o, __global const {s}* g, long go,
    __global const long* k, long ko, long n, long size, long count) {{
  g += go; k += ko;
  SHARE(p, n);
  for (; p < p_end; NEXT(p, 1)) {{
    __global {s}* to = o + p * size;
    for (long j = 0; j < size; j++) to[j] = 0;
    for (long i = p * count; i < (p + 1) * count; i++) {{
      const long at = k[i];
      if (at >= 0 && at < size) {{ {add} {types.store(dtype, "to", "at", "a + b")} }} }} }}
}}"""


# How many elements each window's sum was divided by.
_DIVISOR = """
inline long covered(long q, long k, long step, long pad, long in, int padded) {
  const long start = q * step - pad, end = min(start + k, in + pad);
  return padded ? end - start : min(end, in) - max(start, 0L);
}
"""


def _spread_source(dtype: Any) -> str:
    """The sum of the shares that an element has in its windows."""
    s = types.STORAGE[dtype]
    bounds = "".join(
        f"""
    const long l{d} = p{d} + w.pad[{d}] < w.k[{d}] ? 0
      : (p{d} + w.pad[{d}] - w.k[{d}]) / w.step[{d}] + 1;
    const long h{d} = min((p{d} + w.pad[{d}]) / w.step[{d}] + 1, w.out[{d}]);"""
        for d in range(3)
    )
    covered = " * ".join(
        f"covered(q{d}, w.k[{d}], w.step[{d}], w.pad[{d}], w.in[{d}], padded)"
        for d in range(3)
    )
    return f"""{WINDOW}{_DIVISOR}
#define A {types.COMPUTE[dtype]}
__kernel void spread(__global {s}* o, __global const {s}* g, long go, long n,
    long divisor, int padded, const Window w) {{
  g += go;
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    long u = i;
    const long p2 = u % w.in[2]; u /= w.in[2]; const long p1 = u % w.in[1]; u /= w.in[1];
    const long p0 = u % w.in[0]; u /= w.in[0];
    {bounds}
    A sum = 0;
    for (long q0 = l0; q0 < h0; q0++) for (long q1 = l1; q1 < h1; q1++)
      for (long q2 = l2; q2 < h2; q2++) {{
        const long at = ((u * w.out[0] + q0) * w.out[1] + q1) * w.out[2] + q2;
        sum += {types.load(dtype, "g", "at")} / (divisor ? divisor : {covered}); }}
    {types.store(dtype, "o", "i", "sum")} }}
}}"""


def _planes(x: OpenCLArray, dims: int) -> tuple[OpenCLArray, int, tuple[int, ...]]:
    """Contiguous planes, how many, and their sizes."""
    x = contiguous(x)
    sizes = x.shape[x.ndim - dims :]
    return x, size_of(x.shape[: x.ndim - dims]), sizes


def max_pool(
    x: OpenCLArray,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    out: Any,
    last: bool,
) -> Any:
    if last or types.CLASS[x.dtype] in "bc":
        return NotImplemented
    dims = len(kernel)
    x, count, sizes = _planes(x, dims)
    shape = (*x.shape[: x.ndim - dims], *out)
    made, places = made_like(x, shape), made_like(x, shape, dtypes.int64)
    if made.size:
        runtime = x.memory.runtime
        found = built(
            runtime, ("max_pool", x.dtype), "pool", lambda: _max_source(x.dtype)
        )
        w = window(1, count, sizes, kernel, stride, padding, dilation, out)
        args = [made.memory.buffer, places.memory.buffer, x.memory.buffer]
        args += [np.int64(x.offset), np.int64(made.size), w]
        runtime.launch(found, runtime.items(made.size, size_of(kernel)), args)
    return made, places


def avg_pool(
    x: OpenCLArray,
    kernel: Any,
    stride: Any,
    padding: Any,
    out: Any,
    last: bool,
    include_pad: bool,
    divisor: Any,
) -> Any:
    if last or types.CLASS[x.dtype] != "f":
        return NotImplemented
    dims = len(kernel)
    x, count, sizes = _planes(x, dims)
    made = made_like(x, (*x.shape[: x.ndim - dims], *out))
    if made.size:
        runtime = x.memory.runtime
        found = built(
            runtime, ("avg_pool", x.dtype), "pool", lambda: _average_source(x.dtype)
        )
        ones = (1,) * dims
        w = window(1, count, sizes, kernel, stride, padding, ones, out)
        args = [made.memory.buffer, x.memory.buffer, np.int64(x.offset)]
        args += [np.int64(made.size), np.int64(divisor or 0), np.int32(include_pad)]
        runtime.launch(found, runtime.items(made.size, size_of(kernel)), [*args, w])
    return made


def picked_backward(
    grad: OpenCLArray, indices: OpenCLArray, sizes: Any, dims: int
) -> Any:
    """The gradient of picked elements; half types add up in float32."""
    if types.CLASS[grad.dtype] != "f":
        return NotImplemented
    if grad.dtype.itemsize == 2:
        wide = converted(grad, dtypes.float32)
        return converted(picked_backward(wide, indices, sizes, dims), grad.dtype)
    made = made_like(grad, tuple(sizes))
    if not made.size or not grad.size:
        return zeros(grad, made.shape)
    runtime, dtype = grad.memory.runtime, grad.dtype
    found = built(runtime, ("picked", dtype), "picked", lambda: _picked_source(dtype))
    planes = size_of(made.shape[: made.ndim - dims])
    args = [made.memory.buffer]
    for each in (contiguous(grad), contiguous(indices)):
        args += [each.memory.buffer, np.int64(each.offset)]
    size, count = made.size // planes, grad.size // planes
    args += [np.int64(v) for v in (planes, size, count)]
    runtime.launch(found, runtime.items(planes, size + 2 * count), args)
    return made


def avg_backward(
    grad: OpenCLArray,
    sizes: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    out: Any,
    include_pad: bool,
    divisor: Any,
) -> Any:
    """The gradient of means of windows."""
    if types.CLASS[grad.dtype] != "f":
        return NotImplemented
    made, dims = made_like(grad, tuple(sizes)), len(kernel)
    if not made.size or not grad.size:
        return zeros(grad, made.shape)
    grad = contiguous(grad)
    runtime, dtype = grad.memory.runtime, grad.dtype
    found = built(runtime, ("spread", dtype), "spread", lambda: _spread_source(dtype))
    planes, ones = size_of(made.shape[: made.ndim - dims]), (1,) * dims
    w = window(1, planes, made.shape[-dims:], kernel, stride, padding, ones, out)
    args = [made.memory.buffer, grad.memory.buffer, np.int64(grad.offset)]
    args += [np.int64(made.size), np.int64(divisor or 0), np.int32(include_pad), w]
    runtime.launch(found, runtime.items(made.size, 16), args)
    return made


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of pooling."""
    table: dict[str, Callable[..., Any]] = {
        "_max_pool2d": max_pool,
        "_max_pool3d": max_pool,
        "_avg_pool2d": avg_pool,
        "_avg_pool3d": avg_pool,
        "_picked_backward": picked_backward,
        "_avg_pool_backward": avg_backward,
    }
    return {name: (function, False) for name, function in table.items()}
