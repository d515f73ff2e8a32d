"""Products of matrices, batched and strided.

Large ones are packed: panels of both operands are laid out in the order in which they are
read, converted to the type of the arithmetic on the way (so transposes and half types cost
nothing more), and each work item computes tiles in registers of vector types. Devices that
aren't CPUs multiply tiles held in local memory. Small and whole-number products take a
plain kernel.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, made_like

__all__ = ["kernels_for", "product"]

#: Multiplications for which packing pays.
_LARGE = 1 << 17
_LOCAL = 16


def _batches(x: OpenCLArray) -> list[Any]:
    """Strides and the offset of an array of (outer, inner, rows, columns)."""
    return [np.int64(s) for s in (x.offset, *x.strides)]


def _plain_source(dtype: Any) -> str:
    c = types.COMPUTE[dtype]
    times = "a * v"
    if types.CLASS[dtype] == "c":
        times = f"({c})(a.x * v.x - a.y * v.y, a.x * v.y + a.y * v.x)"
    s = types.STORAGE[dtype]
    body = f"""
      for (long k = 0; k < K; k++) {{ const {c} a = {types.load(dtype, "x", "px + k * xc")};
        for (int l = 0; l < LANES; l++) {{
          const {c} v = {types.load(dtype, "y", "py + k * yr + l * YC")};
          sum[l] += {times}; }} }}"""
    whole = body.replace("LANES", "16")
    part = body.replace("LANES", "lanes").replace("YC", "yc")
    return f"""
__kernel void product(__global {s}* o, long oo, long o1, long o2, long om, long on,
    __global const {s}* x, long xo, long x1, long x2, long xr, long xc,
    __global const {s}* y, long yo, long y1, long y2, long yr, long yc,
    long inner, long batches, long M, long N, long K) {{
  const long blocks = (N + 15) / 16;
  SHARE(i, batches * M * blocks);
  for (; i < i_end; NEXT(i, 1)) {{
    const long block = i % blocks, m = i / blocks % M, b = i / blocks / M;
    const long b1 = b / inner, b2 = b % inner;
    const int lanes = (int)min(16L, N - block * 16);
    const long px = xo + b1 * x1 + b2 * x2 + m * xr;
    const long py = yo + b1 * y1 + b2 * y2 + block * 16 * yc;
    const long po = oo + b1 * o1 + b2 * o2 + m * om + block * 16 * on;
    {c} sum[16];
    for (int l = 0; l < 16; l++) sum[l] = 0;
    if (lanes == 16 && yc == 1) {{ {whole.replace("YC", "1")} }}
    else {{ {part} }}
    for (int l = 0; l < lanes; l++) {{
      {types.store(dtype, "o", "po + l * on", "sum[l]")} }}
  }}
}}"""


def _pack_source(dtype: Any, width: int) -> str:
    c = types.COMPUTE[dtype]
    return f"""
__kernel void pack(__global {c}* o, __global const {types.STORAGE[dtype]}* x, long xo,
    long x1, long x2, long xr, long xk, long inner, long batches, long R, long K) {{
  const long tiles = (R + {width} - 1) / {width};
  SHARE(i, batches * tiles);
  for (; i < i_end; NEXT(i, 1)) {{
    const long b = i / tiles, first = (i - b * tiles) * {width};
    __global {c}* to = o + i * K * {width};
    const long p = xo + b / inner * x1 + b % inner * x2 + first * xr;
    const int full = (int)min((long){width}, R - first);
    if (full == {width} && xr == 1) {{
      for (long k = 0; k < K; k++)
        for (int r = 0; r < {width}; r++)
          to[k * {width} + r] = {types.load(dtype, "x", "p + k * xk + r")};
    }} else if (full == {width}) {{
      for (long k = 0; k < K; k++)
        for (int r = 0; r < {width}; r++)
          to[k * {width} + r] = {types.load(dtype, "x", "p + r * xr + k * xk")};
    }} else {{
      for (long k = 0; k < K; k++)
        for (int r = 0; r < {width}; r++)
          to[k * {width} + r] = r < full ? {types.load(dtype, "x", "p + r * xr + k * xk")}
            : 0;
    }}
  }}
}}"""


def _tile_source(dtype: Any, rows: int, width: int) -> str:
    """A tile of rows × 2 vectors, each of ``width`` lanes, held in registers.

    Compilers make multiply-adds of ``+=``; ``fma`` is a function of some libraries.
    """
    c = types.COMPUTE[dtype]
    v = f"{c}{width}"
    zero = " ".join(f"{v} c{i}a = 0, c{i}b = 0;" for i in range(rows))
    step = " ".join(
        f"c{i}a += ({v})(pa[{i}]) * u; c{i}b += ({v})(pa[{i}]) * w;"
        for i in range(rows)
    )
    spill = " ".join(
        f"vstore{width}(c{i}a, 0, held + {i} * {2 * width}); "
        f"vstore{width}(c{i}b, 0, held + {i} * {2 * width} + {width});"
        for i in range(rows)
    )
    return f"""
__kernel void tiles(__global {types.STORAGE[dtype]}* o, long oo, long o1, long o2, long om,
    long on, __global const {c}* a, __global const {c}* b, long astep, long bstep,
    long inner, long batches, long M, long N, long K) {{
  const long mt = (M + {rows} - 1) / {rows}, nt = (N + {2 * width} - 1) / {2 * width};
  SHARE(i, batches * mt * nt);
  for (; i < i_end; NEXT(i, 1)) {{
    const long batch = i / (mt * nt), t = i - batch * mt * nt, n = t / mt, m = t - n * mt;
    __global const {c}* pa = a + (batch * astep + m) * K * {rows};
    __global const {c}* pb = b + (batch * bstep + n) * K * {2 * width};
    {zero}
    for (long k = 0; k < K; k++) {{
      const {v} u = vload{width}(0, pb), w = vload{width}(1, pb);
      {step}
      pa += {rows}; pb += {2 * width};
    }}
    {c} held[{rows * 2 * width}];
    {spill}
    const long po = oo + batch / inner * o1 + batch % inner * o2 + m * {rows} * om
      + n * {2 * width} * on;
    const int fm = (int)min((long){rows}, M - m * {rows});
    const int fn = (int)min((long){2 * width}, N - n * {2 * width});
    for (int r = 0; r < fm; r++) for (int l = 0; l < fn; l++) {{
      {types.store(dtype, "o", "po + r * om + l * on", f"held[r * {2 * width} + l]")} }}
  }}
}}"""


def _local_source(dtype: Any) -> str:
    """Tiles of 64 × 64 in local memory; each of 16 × 16 work items holds 4 × 4."""
    c = types.COMPUTE[dtype]
    s = types.STORAGE[dtype]
    return f"""
__kernel __attribute__((reqd_work_group_size(16, 16, 1)))
void product(__global {s}* o, long oo, long o1, long o2, long om, long on,
    __global const {s}* x, long xo, long x1, long x2, long xr, long xc,
    __global const {s}* y, long yo, long y1, long y2, long yr, long yc,
    long inner, long batches, long M, long N, long K) {{
  __local {c} ta[16][65], tb[16][65];
  const int lx = get_local_id(0), ly = get_local_id(1), flat = ly * 16 + lx;
  const long n0 = get_group_id(0) * 64, m0 = get_group_id(1) * 64, b = get_group_id(2);
  const long px = xo + b / inner * x1 + b % inner * x2;
  const long py = yo + b / inner * y1 + b % inner * y2;
  {c} sum[4][4];
  for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) sum[i][j] = 0;
  for (long k0 = 0; k0 < K; k0 += 16) {{
    for (int q = flat; q < 1024; q += 256) {{
      const int am = xc == 1 ? q / 16 : q % 64, ak = xc == 1 ? q % 16 : q / 64;
      ta[ak][am] = m0 + am < M && k0 + ak < K ?
        {types.load(dtype, "x", "px + (m0 + am) * xr + (k0 + ak) * xc")} : 0;
      const int bn = yr == 1 ? q / 16 : q % 64, bk = yr == 1 ? q % 16 : q / 64;
      tb[bk][bn] = n0 + bn < N && k0 + bk < K ?
        {types.load(dtype, "y", "py + (k0 + bk) * yr + (n0 + bn) * yc")} : 0;
    }}
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int k = 0; k < 16; k++) {{
      {c} ra[4], rb[4];
      for (int i = 0; i < 4; i++) {{ ra[i] = ta[k][ly + 16 * i]; rb[i] = tb[k][lx + 16 * i]; }}
      for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++)
        sum[i][j] = fma(ra[i], rb[j], sum[i][j]);
    }}
    barrier(CLK_LOCAL_MEM_FENCE);
  }}
  for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {{
    const long m = m0 + ly + 16 * i, n = n0 + lx + 16 * j;
    if (m < M && n < N) {{
      const long at = oo + b / inner * o1 + b % inner * o2 + m * om + n * on;
      {types.store(dtype, "o", "at", "sum[i][j]")} }}
  }}
}}"""


def _built(
    runtime: Any, key: tuple[Any, ...], name: str, source: Any, dtype: Any
) -> Any:
    kernel = runtime.cache.get(key)
    if kernel is None:
        kernel = runtime.build(name, source(), types.options_for(dtype))
        runtime.cache[key] = kernel
    return kernel


def product(out: OpenCLArray, x: OpenCLArray, y: OpenCLArray) -> None:
    """Writes ``x @ y`` to ``out``; all have four dims: two of batches, and matrices.

    Operands may repeat a batch by strides of 0.
    """
    outer, inner, M, N = out.shape
    K = x.shape[3]
    batches = outer * inner
    if not out.size:
        return
    runtime = out.memory.runtime
    dtype = out.dtype
    tail = [np.int64(v) for v in (inner, batches, M, N, K)]
    floating = types.CLASS[dtype] == "f"
    tiling = os.environ.get("DISPATCHTORCH_OPENCL_TILING", "")
    local = tiling == "local" or (not runtime.is_cpu and tiling != "packed")
    if floating and local:
        kernel = _built(
            runtime, ("local", dtype), "product", lambda: _local_source(dtype), dtype
        )
        groups = (-(-N // 64) * 16, -(-M // 64) * 16, batches)
    elif not floating or M * N * K < _LARGE or N < 8:
        kernel = _built(
            runtime, ("plain", dtype), "product", lambda: _plain_source(dtype), dtype
        )
        groups = runtime.items(batches * M * -(-N // 16), 16 * max(K, 1))
    else:
        _packed(runtime, out, x, y, tail)
        return
    args = [out.memory.buffer, *_batches(out), x.memory.buffer, *_batches(x)]
    args += [y.memory.buffer, *_batches(y), *tail]
    size = (_LOCAL, _LOCAL, 1) if floating and local else None
    runtime.launch(kernel, groups, args, size)


def _packed(
    runtime: Any, out: OpenCLArray, x: OpenCLArray, y: OpenCLArray, tail: list[Any]
) -> None:
    dtype = out.dtype
    outer, inner, M, N = out.shape
    K = x.shape[3]
    lanes = 16 if runtime.device.native_vector_width_float >= 16 else 8
    rows = 8 if lanes == 16 else 6
    if dtype.itemsize == 8:
        lanes //= 2
    kernel = _built(
        runtime,
        ("tiles", dtype),
        "tiles",
        lambda: _tile_source(dtype, rows, lanes),
        dtype,
    )
    packed = []
    for operand, width, size, row, column in (
        (x, rows, M, 2, 3),
        (y, 2 * lanes, N, 3, 2),
    ):
        shared = not any(
            s and n > 1
            for s, n in zip(operand.strides[:2], (outer, inner), strict=True)
        )
        count = 1 if shared else outer * inner
        wide = _wide(dtype)
        tiles = -(-size // width)
        made = made_like(out, (count, tiles * K * width), wide)
        pack = _built(
            runtime,
            ("pack", dtype, width),
            "pack",
            lambda width=width: _pack_source(dtype, width),
            dtype,
        )
        strides = (operand.strides[0], operand.strides[1])
        numbers = (
            operand.offset,
            *strides,
            operand.strides[row],
            operand.strides[column],
        )
        args = [made.memory.buffer, operand.memory.buffer]
        args += [np.int64(v) for v in (*numbers, inner, count, size, K)]
        runtime.launch(pack, runtime.items(count * tiles, K * width), args)
        packed.append((made, 0 if shared else tiles))
    (a, astep), (b, bstep) = packed
    args = [out.memory.buffer, *_batches(out), a.memory.buffer, b.memory.buffer]
    args += [np.int64(astep), np.int64(bstep), *tail]
    pieces = outer * inner * -(-M // rows) * -(-N // (2 * lanes))
    runtime.launch(kernel, runtime.items(pieces, K * rows * 4), args)


def _wide(dtype: Any) -> Any:
    from dispatchtorch import dtypes

    return dtypes.float64 if dtype is dtypes.float64 else dtypes.float32


def _four(x: OpenCLArray) -> OpenCLArray:
    """A view with four dims."""
    lead = 4 - x.ndim
    x.memory.buffer  # noqa: B018
    return OpenCLArray(
        x.memory, (1,) * lead + x.shape, (0,) * lead + x.strides, x.offset, x.dtype
    )


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of matrix products."""

    def matmul(x: OpenCLArray, y: OpenCLArray) -> OpenCLArray:
        made = made_like(x, (*x.shape[:-1], y.shape[-1]))
        product(_four(made), _four(x), _four(y))
        return made

    return {"bmm": (matmul, False), "mm": (matmul, False)}
