"""Convolution and softmax, laid over their decompositions.

Convolutions are products of matrices over the windows of the input (im2col), read and
written through strides, so that samples and groups are batches of one product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, made_like, size_of
from dispatchtorch_opencl.indexing import built, contiguous, converted, copy_
from dispatchtorch_opencl.linalg import product
from dispatchtorch_opencl.pool import WINDOW, window, zeros

__all__ = ["kernels_for"]


def _columns_source(kind: str) -> str:
    """(channels * kernel, samples * out): each column is a window."""
    return f"""{WINDOW}
__kernel void columns(__global {kind}* o, __global const {kind}* x, long xo, long n,
    const Window w) {{
  const long plane = w.out[0] * w.out[1] * w.out[2];
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    const long s = i % w.n; long u = i / w.n;
    const long k2 = u % w.k[2]; u /= w.k[2]; const long k1 = u % w.k[1]; u /= w.k[1];
    const long k0 = u % w.k[0], c = u / w.k[0];
    __global {kind}* to = o + i * plane;
    __global const {kind}* from = x + xo + (s * w.c + c) * w.in[0] * w.in[1] * w.in[2];
    const long z2 = k2 * w.gap[2] - w.pad[2];
    for (long a = 0; a < w.out[0]; a++) {{
      const long p0 = a * w.step[0] + k0 * w.gap[0] - w.pad[0];
      for (long b = 0; b < w.out[1]; b++) {{
        const long p1 = b * w.step[1] + k1 * w.gap[1] - w.pad[1];
        const bool in = p0 >= 0 && p0 < w.in[0] && p1 >= 0 && p1 < w.in[1];
        const long line = (p0 * w.in[1] + p1) * w.in[2];
        for (long q = 0; q < w.out[2]; q++) {{
          const long p2 = q * w.step[2] + z2;
          *to++ = in && p2 >= 0 && p2 < w.in[2] ? from[line + p2] : 0; }} }} }} }}
}}"""


def _image_source(kind: str) -> str:
    """The sum of the windows that each element of the image is in."""
    return f"""{WINDOW}
__kernel void image(__global {kind}* o, __global const {kind}* x, long n,
    const Window w) {{
  const long plane = w.out[0] * w.out[1] * w.out[2], all = w.n * plane;
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    long u = i;
    const long p2 = u % w.in[2]; u /= w.in[2]; const long p1 = u % w.in[1]; u /= w.in[1];
    const long p0 = u % w.in[0]; u /= w.in[0]; const long c = u % w.c, s = u / w.c;
    {kind} sum = 0;
    for (long a = 0; a < w.k[0]; a++) {{
      const long t0 = p0 + w.pad[0] - a * w.gap[0], q0 = t0 / w.step[0];
      if (t0 < 0 || q0 >= w.out[0] || q0 * w.step[0] != t0) continue;
      for (long b = 0; b < w.k[1]; b++) {{
        const long t1 = p1 + w.pad[1] - b * w.gap[1], q1 = t1 / w.step[1];
        if (t1 < 0 || q1 >= w.out[1] || q1 * w.step[1] != t1) continue;
        for (long d = 0; d < w.k[2]; d++) {{
          const long t2 = p2 + w.pad[2] - d * w.gap[2], q2 = t2 / w.step[2];
          if (t2 < 0 || q2 >= w.out[2] || q2 * w.step[2] != t2) continue;
          const long row = ((c * w.k[0] + a) * w.k[1] + b) * w.k[2] + d;
          sum += x[row * all + s * plane + (q0 * w.out[1] + q1) * w.out[2] + q2]; }} }} }}
    o[i] = sum; }}
}}"""


#: Softmax and its kin: what is summed over a line, an element's value, and what goes
#: between. ``v`` is the operand's element, ``y`` the output's, ``m`` the greatest.
_SOFTMAX = {
    "_softmax": ("exp(v - m)", "exp(v - m) * scale", "const A scale = 1 / t;"),
    "_log_softmax": ("exp(v - m)", "v - m - scale", "const A scale = log(t);"),
    "_softmax_backward_data": ("v * y", "y * (v - t)", ""),
    "_log_softmax_backward_data": ("v", "v - exp(y) * t", ""),
}


def _softmax_source(name: str, dtype: Any) -> str:
    """A line at a time; where it lies in one piece, in vectors of eight."""
    term, value, scale = _SOFTMAX[name]
    backward = "backward" in name
    s = types.STORAGE[dtype]
    second = f"__global const {s}* z, long zo, " if backward else ""

    def element(kind: str, array: str, name: str, wide: bool) -> str:
        at = types.load(dtype, array, f"{array}o + p + j * inner")
        read = f"vload8(0, {array} + {array}o + p + j)" if wide else at
        return f"const {kind} {name} = {read};"

    def loop(wide: bool, begin: str, end: str, body: str) -> str:
        kind, step = ("A8", "j += 8") if wide else ("A", "j++")
        read = element(kind, "x", "v", wide)
        if backward:
            read += element(kind, "z", "y", wide)
        return f"for (j = {begin}; j < {end}; {step}) {{ {read} {body} }}"

    write = types.store(dtype, "o", "p + j * inner", value)
    greatest = "" if backward else loop(False, "whole", "length", "GREATER(m, v)")
    narrow = f"""
    {greatest}
    for (long b = whole; b < length; b += 64) {{
      A part = 0; {loop(False, "b", "min(b + 64, length)", f"part += {term};")}
      t += part; }}"""
    if dtype.itemsize == 2:
        vectors = last = ""
    else:
        lanes = "for (int l = 0; l < 8; l++) GREATER(ms[l], x[xo + p + j + l])"
        top = f"""A ms[8]; for (int l = 0; l < 8; l++) ms[l] = -INFINITY;
      for (j = 0; j < whole; j += 8) {lanes}
      for (int l = 0; l < 8; l++) GREATER(m, ms[l])"""
        vectors = f"""
    if (whole) {{
      {"" if backward else top}
      {greatest}
      A8 ts = 0;
      for (long b = 0; b < whole; b += 512) {{
        A8 part = 0; {loop(True, "b", "min(b + 512, whole)", f"part += {term};")}
        ts += part; }}
      t = ((ts.s0 + ts.s1) + (ts.s2 + ts.s3)) + ((ts.s4 + ts.s5) + (ts.s6 + ts.s7)); }}"""
        last = loop(True, "0", "whole", f"vstore8({value}, 0, o + p + j);")
    vector = "ON_CPU && inner == 1 ? length & ~7L : 0" if vectors else "0"
    return f"""
#ifndef ON_CPU
#define ON_CPU 0
#endif
#define A {types.COMPUTE[dtype]}
#define A8 {types.COMPUTE[dtype]}8
#define GREATER(m, v) m = (v) > m || (v) != (v) ? (v) : m;
__kernel void lines(__global {s}* o, __global const {s}* x, long xo, {second}long n,
    long length, long inner) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    const long p = i / inner * length * inner + i % inner;
    const long whole = {vector}; long j;
    A m = -INFINITY, t = 0;
    {vectors}
    {narrow}
    {scale}
    {last}
    {loop(False, "whole", "length", write)} }}
}}"""


def _strided(
    x: OpenCLArray, shape: Sequence[int], strides: Sequence[int]
) -> OpenCLArray:
    return OpenCLArray(x.memory, tuple(shape), tuple(strides), x.offset, x.dtype)


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel of two floating arrays; half types compute in float32 all the way."""

    def kernel(x: OpenCLArray, y: OpenCLArray, *rest: Any) -> Any:
        if types.CLASS[x.dtype] != "f":
            return NotImplemented
        if x.dtype.itemsize == 2:
            wide = [converted(a, dtypes.float32) for a in (x, y)]
            return converted(function(*wide, *rest), x.dtype)
        return function(contiguous(x), contiguous(y), *rest)

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


def _columns(
    x: OpenCLArray, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any
) -> OpenCLArray:
    n, c, *sizes = x.shape
    made = made_like(x, (c * size_of(kernel), n * size_of(out)))
    runtime = x.memory.runtime
    kind = types.STORAGE[x.dtype]
    found = built(runtime, ("columns", kind), "columns", lambda: _columns_source(kind))
    pieces = made.shape[0] * n
    w = window(n, c, sizes, kernel, stride, padding, dilation, out)
    args = [made.memory.buffer, x.memory.buffer, np.int64(x.offset), np.int64(pieces)]
    runtime.launch(found, runtime.items(pieces, size_of(out)), [*args, w])
    return made


def _plain(kernel: Any, stride: Any, padding: Any) -> bool:
    return (
        all(k == 1 for k in kernel) and all(s == 1 for s in stride) and not any(padding)
    )


@_real
def conv(
    x: OpenCLArray,
    weight: OpenCLArray,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> OpenCLArray:
    kernel = weight.shape[2:]
    n, c, *sizes = x.shape
    o = weight.shape[0]
    out = tuple(
        (s + 2 * p - d * (k - 1) - 1) // t + 1
        for s, k, t, p, d in zip(sizes, kernel, stride, padding, dilation, strict=True)
    )
    if not x.size or not weight.size:
        return zeros(x, (n, o, *out))
    plane = size_of(out)
    rows = c // groups * size_of(kernel)
    made = made_like(x, (n, o, *out))
    part = o // groups
    if _plain(kernel, stride, padding):
        y = _strided(x, (n, groups, rows, plane), (c * plane, rows * plane, plane, 1))
    else:
        cols = _columns(x, kernel, stride, padding, dilation, out)
        y = _strided(
            cols,
            (n, groups, rows, plane),
            (plane, rows * n * plane, n * plane, 1),
        )
    product(
        _strided(made, (n, groups, part, plane), (o * plane, part * plane, plane, 1)),
        _strided(weight, (n, groups, part, rows), (0, part * rows, rows, 1)),
        y,
    )
    return made


@_real
def conv_weight(
    grad: OpenCLArray,
    x: OpenCLArray,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> OpenCLArray:
    n, o, *out = grad.shape
    c = x.shape[1]
    shape = (o, c // groups, *kernel)
    if not grad.size or not x.size:
        return zeros(x, shape)
    cols = _columns(x, kernel, stride, padding, dilation, out)
    plane = size_of(tuple(out))
    rows, part, count = c // groups * size_of(kernel), o // groups, n * plane
    turned = made_like(grad, (o, n, plane))
    copy_(turned, _strided(grad, (o, n, plane), (plane, o * plane, 1)))
    made = made_like(x, shape)
    product(
        _strided(made, (1, groups, part, rows), (0, part * rows, rows, 1)),
        _strided(turned, (1, groups, part, count), (0, part * count, count, 1)),
        _strided(cols, (1, groups, count, rows), (0, rows * count, 1, count)),
    )
    return made


@_real
def conv_input(
    grad: OpenCLArray,
    weight: OpenCLArray,
    sizes: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> OpenCLArray:
    kernel = weight.shape[2:]
    n, o, *out = grad.shape
    c = weight.shape[1] * groups
    shape = (n, c, *sizes)
    if not grad.size or not weight.size:
        return zeros(grad, shape)
    plane = size_of(tuple(out))
    rows, part = c // groups * size_of(kernel), o // groups
    cols = made_like(grad, (rows * groups, n * plane))
    product(
        _strided(
            cols, (n, groups, rows, plane), (plane, rows * n * plane, n * plane, 1)
        ),
        _strided(weight, (n, groups, rows, part), (0, part * rows, 1, rows)),
        _strided(grad, (n, groups, part, plane), (o * plane, part * plane, plane, 1)),
    )
    made = made_like(grad, shape)
    runtime = grad.memory.runtime
    kind = types.STORAGE[grad.dtype]
    found = built(runtime, ("image", kind), "image", lambda: _image_source(kind))
    w = window(n, c, sizes, kernel, stride, padding, dilation, out)
    args = [made.memory.buffer, cols.memory.buffer, np.int64(made.size), w]
    runtime.launch(found, runtime.items(made.size, size_of(kernel)), args)
    return made


def _softmax(name: str) -> Callable[..., Any]:
    def kernel(*args: Any) -> Any:
        *arrays, dim, shape = args
        first = arrays[0]
        if types.CLASS[first.dtype] != "f" or any(
            a.dtype is not first.dtype or a.shape != first.shape for a in arrays
        ):
            return NotImplemented
        made = made_like(first, tuple(shape))
        if not made.size:
            return made
        arrays = [contiguous(a) for a in arrays]
        runtime = first.memory.runtime
        found = built(
            runtime,
            (name, first.dtype),
            "lines",
            lambda: _softmax_source(name, first.dtype),
        )
        length = first.shape[dim] if first.ndim else 1
        inner = size_of(first.shape[dim + 1 :]) if first.ndim else 1
        count = first.size // length
        given: list[Any] = [made.memory.buffer]
        for a in arrays:
            given += [a.memory.buffer, np.int64(a.offset)]
        given += [np.int64(v) for v in (count, length, inner)]
        runtime.launch(found, runtime.items(count, length * 4), given)
        return made

    kernel.__name__ = name
    return kernel


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of neural networks."""
    table: dict[str, Callable[..., Any]] = {
        "_conv": conv,
        "_conv_weight": conv_weight,
        "_conv_input": conv_input,
    }
    for name in _SOFTMAX:
        table[name] = _softmax(name)
    return {name: (function, False) for name, function in table.items()}
