"""Batch normalisation on CPU devices: a work item takes a channel, from sums to values.

Elsewhere a channel is too much for one work item, and the decomposition is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, is_dense, made_like, size_of
from dispatchtorch_opencl.indexing import contiguous

__all__ = ["kernels_for"]


def _sum(into: str, setup: str, value: str) -> str:
    """Adds ``value`` of all elements ``p`` of channel ``c`` up, in eight lanes."""
    return f"""
    A {into} = 0;
    for (long s = 0; s < n; s++) {{
      const long base = (s * channels + c) * plane; long k = 0;
      A lane[8] = {{0, 0, 0, 0, 0, 0, 0, 0}};
      for (; k + 8 <= plane; k += 8) for (int l = 0; l < 8; l++) {{
        const long p = base + k + l; {setup} lane[l] += {value}; }}
      for (; k < plane; k++) {{ const long p = base + k; {setup} lane[0] += {value}; }}
      {into} += ((lane[0] + lane[1]) + (lane[2] + lane[3]))
        + ((lane[4] + lane[5]) + (lane[6] + lane[7])); }}
"""


def _each(body: str) -> str:
    return f"""
    for (long s = 0; s < n; s++) {{ const long base = (s * channels + c) * plane;
      _Pragma("clang loop vectorize(assume_safety)")
      for (long p = base; p < base + plane; p++) {{ {body} }} }}
"""


def _forward(dtype: Any) -> str:
    return f"""
#define A {types.COMPUTE[dtype]}
__kernel void norm(__global A* o, __global A* means, __global A* roots,
    __global const A* x, long xo, long n, long channels, long plane, __global const A* w,
    long wo, __global const A* b, long bo, __global A* rm, long mo, __global A* rv, long vo,
    int given, A momentum, A eps) {{
  x += xo;
  SHARE(c, channels);
  for (; c < c_end; NEXT(c, 1)) {{
    const A count = n * plane;
    {_sum("total", "", "x[p]")}
    const A mean = total / count;
    {_sum("squares", "const A d = x[p] - mean;", "d * d")}
    const A variance = squares / count, root = 1 / sqrt(variance + eps);
    means[c] = mean; roots[c] = root;
    if (given & 4) rm[mo + c] = rm[mo + c] * (1 - momentum) + mean * momentum;
    if (given & 8) rv[vo + c] = rv[vo + c] * (1 - momentum)
      + variance * (count / (count > 1 ? count - 1 : 1)) * momentum;
    const A scale = root * (given & 1 ? w[wo + c] : 1), shift = given & 2 ? b[bo + c] : 0;
    {_each("o[p] = (x[p] - mean) * scale + shift;")}
  }}
}}"""


def _backward(dtype: Any) -> str:
    return f"""
#define A {types.COMPUTE[dtype]}
__kernel void norm(__global A* gx, __global A* gw, __global A* gb, __global const A* g,
    long go, __global const A* x, long xo, long n, long channels, long plane,
    __global const A* w, long wo, __global const A* means, long mo,
    __global const A* roots, long ro, int given) {{
  x += xo; g += go;
  SHARE(c, channels);
  for (; c < c_end; NEXT(c, 1)) {{
    const A count = n * plane, mean = means[mo + c], root = roots[ro + c];
    {_sum("total", "", "g[p]")}
    {_sum("product", "", "g[p] * (x[p] - mean)")}
    gw[c] = product * root; gb[c] = total;
    const A scale = root * (given & 1 ? w[wo + c] : 1);
    const A even = total / count, slope = product * root * root / count;
    {_each("gx[p] = (g[p] - even - (x[p] - mean) * slope) * scale;")}
  }}
}}"""


def _kernel(runtime: Any, name: str, dtype: Any) -> Any:
    key = (name, dtype)
    kernel = runtime.cache.get(key)
    if kernel is None:
        source = _forward(dtype) if name == "batch_norm" else _backward(dtype)
        kernel = runtime.cache[key] = runtime.build(
            "norm", source, types.options_for(dtype)
        )
    return kernel


def _fits(x: OpenCLArray, others: Sequence[OpenCLArray | None]) -> bool:
    """Whether the kernels take these operands."""
    return (
        x.memory.runtime.is_cpu
        and x.dtype in (dtypes.float32, dtypes.float64)
        and x.ndim >= 2
        and x.size > 0
        and is_dense(x.shape, x.strides)
        and all(
            o is None or (o.dtype is x.dtype and is_dense(o.shape, o.strides))
            for o in others
        )
    )


def batch_norm(
    x: OpenCLArray,
    weight: OpenCLArray | None,
    bias: OpenCLArray | None,
    running_mean: OpenCLArray | None,
    running_var: OpenCLArray | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    given = (weight, bias, running_mean, running_var)
    if not training or momentum is None or not _fits(x, given):
        return NotImplemented
    runtime = x.memory.runtime
    n, channels, *rest = x.shape
    made = made_like(x, x.shape)
    means, roots = made_like(x, (channels,)), made_like(x, (channels,))
    args = [made.memory.buffer, means.memory.buffer, roots.memory.buffer]
    args += [x.memory.buffer]
    args += [np.int64(v) for v in (x.offset, n, channels, size_of(rest))]
    bits = 0
    for place, each in enumerate(given):
        operand = means if each is None else each
        args += [operand.memory.buffer, np.int64(operand.offset)]
        bits |= (each is not None) << place
    real = x.dtype.host.type
    args += [np.int32(bits), real(momentum), real(eps)]
    kernel = _kernel(runtime, "batch_norm", x.dtype)
    runtime.launch(kernel, runtime.items(channels, n * size_of(rest) * 2), args)
    return made, means, roots


def batch_norm_backward(
    grad: OpenCLArray,
    x: OpenCLArray,
    weight: OpenCLArray | None,
    running_mean: OpenCLArray | None,
    running_var: OpenCLArray | None,
    mean: OpenCLArray | None,
    root: OpenCLArray | None,
    train: bool,
    eps: float,
    mask: Sequence[bool],
) -> Any:
    if not train or mean is None or root is None:
        return NotImplemented
    if grad.dtype is not x.dtype or not _fits(x, (weight, mean, root)):
        return NotImplemented
    grad = contiguous(grad)
    runtime = x.memory.runtime
    n, channels, *rest = x.shape
    made = [made_like(x, s) for s in (x.shape, (channels,), (channels,))]
    args = [m.memory.buffer for m in made]
    args += [grad.memory.buffer, np.int64(grad.offset), x.memory.buffer]
    args += [np.int64(v) for v in (x.offset, n, channels, size_of(rest))]
    for each in (mean if weight is None else weight, mean, root):
        args += [each.memory.buffer, np.int64(each.offset)]
    args.append(np.int32(weight is not None))
    kernel = _kernel(runtime, "batch_norm_backward", x.dtype)
    runtime.launch(kernel, runtime.items(channels, n * size_of(rest) * 2), args)
    return tuple(m if wanted else None for m, wanted in zip(made, mask, strict=True))


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of batch normalisation."""
    return {
        "native_batch_norm": (batch_norm, False),
        "native_batch_norm_backward": (batch_norm_backward, False),
    }
