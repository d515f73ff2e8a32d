"""Losses over classes, and embeddings: one or two kernels for each direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, made_like, number, size_of
from dispatchtorch_opencl.indexing import built, contiguous, converted, copy_

__all__ = ["kernels_for"]

_LABELS = (dtypes.int64, dtypes.int32, dtypes.uint8)
NONE, MEAN = 0, 1


def _operand(x: OpenCLArray) -> list[Any]:
    return [x.memory.buffer, np.int64(x.offset)]


def _longs(*values: int) -> list[Any]:
    return [np.int64(v) for v in values]


# Negative log-likelihood. Scores lie as (samples, classes, plane), labels without classes.

_BAD = """
// The label of element i; -1 where it doesn't count.
inline long label_(long at, long classes, long ignored, __global long* flag) {
  if (at == ignored) return -1;
  if (at >= 0 && at < classes) return at;
  flag[1] = at; flag[0] = 1; return -1; }
"""


def _nll_source(dtype: Any, label: Any) -> str:
    """Losses one by one, or the sums of losses and of weights of each work item."""
    s = types.STORAGE[dtype]
    score = types.load(dtype, "x", "(i / plane * classes + at) * plane + i % plane")
    return f"""{_BAD}
#define A {types.COMPUTE[dtype]}
#define ADD(sum, c, v) {{ const A y_ = (v) - c, t_ = sum + y_; \\
  c = isfinite(t_) ? (t_ - sum) - y_ : 0; sum = t_; }}
__kernel void nll(__global {s}* o, __global A* sums, __global const {s}* x, long xo,
    __global const {types.STORAGE[label]}* k, long ko, __global const {s}* w, long wo,
    long n, long classes, long plane, long ignored, int weighted, int each,
    __global long* flag) {{
  x += xo; k += ko; w += wo;
  A losses = 0, weights = 0, c = 0, d = 0;
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    const long at = label_(k[i], classes, ignored, flag);
    A loss = 0;
    if (at >= 0) {{
      const A weight = weighted ? {types.load(dtype, "w", "at")} : 1;
      loss = -{score} * weight;
      if (!each) {{ ADD(losses, c, loss) ADD(weights, d, weight) }} }}
    if (each) {types.store(dtype, "o", "i", "loss")} }}
  if (!each) {{ sums[2 * get_global_id(0)] = losses;
    sums[2 * get_global_id(0) + 1] = weights; }}
}}"""


def _nll_end_source(dtype: Any) -> str:
    s = types.STORAGE[dtype]
    return f"""
#define A {types.COMPUTE[dtype]}
__kernel void ended(__global {s}* o, __global {s}* total, __global const A* sums, long n,
    int mean) {{
  A losses = 0, weights = 0;
  for (long i = 0; i < n; i++) {{ losses += sums[2 * i]; weights += sums[2 * i + 1]; }}
  {types.store(dtype, "o", "0", "mean ? losses / weights : losses")}
  {types.store(dtype, "total", "0", "weights")}
}}"""


def _nll_back_source(dtype: Any, label: Any) -> str:
    s = types.STORAGE[dtype]
    value = "-weight * (each ? GRAD(i * plane + q) : slope)"
    return f"""{_BAD}
#define A {types.COMPUTE[dtype]}
#define GRAD(i) ({types.load(dtype, "g", "i")})
__kernel void nll(__global {s}* o, __global const {s}* g, long go,
    __global const {types.STORAGE[label]}* k, long ko, __global const {s}* w, long wo,
    __global const {s}* total, long to, long n, long classes, long plane, long ignored,
    int weighted, int each, int mean, __global long* flag) {{
  g += go; k += ko; w += wo; total += to;
  const A slope = each ? 0 : mean ? GRAD(0) / {types.load(dtype, "total", "0")} : GRAD(0);
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    __global {s}* row = o + i * classes * plane;
    for (long j = 0; j < classes * plane; j++) row[j] = 0;
    for (long q = 0; q < plane; q++) {{
      const long at = label_(k[i * plane + q], classes, ignored, flag);
      if (at < 0) continue;
      const A weight = weighted ? {types.load(dtype, "w", "at")} : 1;
      {types.store(dtype, "row", "at * plane + q", value)} }} }}
}}"""


def _fits_nll(x: OpenCLArray, target: OpenCLArray, weight: OpenCLArray | None) -> bool:
    return (
        types.CLASS[x.dtype] == "f"
        and target.dtype in _LABELS
        and (weight is None or weight.dtype is x.dtype)
        and bool(x.size)
    )


def _bad_label(bad: int) -> Exception:
    return IndexError(f"Target {bad} is out of bounds.")


def nll_forward(
    x: OpenCLArray,
    target: OpenCLArray,
    weight: OpenCLArray | None,
    reduction: int,
    ignored: int,
    shape: tuple[int, ...],
) -> Any:
    if not _fits_nll(x, target, weight):
        return NotImplemented
    runtime, dtype = x.memory.runtime, x.dtype
    x, target = contiguous(x), contiguous(target)
    each = reduction == NONE
    made, total = made_like(x, tuple(shape) if each else ()), made_like(x, ())
    n, classes, plane = target.size, x.shape[1], size_of(x.shape[2:])
    size = runtime.items(n, 4)
    if not each:
        size = (min(size[0], 1024),)
    wide = dtypes.float32 if dtype.itemsize == 2 else dtype
    sums = made_like(x, (size[0], 2), wide)
    kernel = built(
        runtime, ("nll", dtype, target.dtype), "nll",
        lambda: _nll_source(dtype, target.dtype),
    )  # fmt: skip
    args = [made.memory.buffer, sums.memory.buffer, *_operand(x), *_operand(target)]
    args += _operand(x if weight is None else contiguous(weight))
    args += _longs(n, classes, plane, ignored)
    args += [np.int32(weight is not None), np.int32(each), runtime.flag]
    runtime.launch(kernel, size, args)
    runtime.expect(_bad_label)
    if each:
        copy_(total, number(x, 0))
        return made, total
    kernel = built(runtime, ("nll end", dtype), "ended", lambda: _nll_end_source(dtype))
    args = [a.memory.buffer for a in (made, total, sums)]
    args += [np.int64(size[0]), np.int32(reduction == MEAN)]
    runtime.launch(kernel, (1,), args)
    return made, total


def nll_backward(
    grad: OpenCLArray,
    x: OpenCLArray,
    target: OpenCLArray,
    weight: OpenCLArray | None,
    reduction: int,
    ignored: int,
    total: OpenCLArray,
) -> Any:
    if not _fits_nll(x, target, weight) or not grad.dtype is x.dtype is total.dtype:
        return NotImplemented
    runtime, dtype = x.memory.runtime, x.dtype
    n, classes = (1, x.shape[0]) if x.ndim == 1 else x.shape[:2]
    plane = size_of(x.shape[2:])
    made = made_like(x, x.shape)
    kernel = built(
        runtime, ("nll back", dtype, target.dtype), "nll",
        lambda: _nll_back_source(dtype, target.dtype),
    )  # fmt: skip
    args = [made.memory.buffer, *_operand(contiguous(grad))]
    args += _operand(contiguous(target))
    args += _operand(x if weight is None else contiguous(weight))
    args += [*_operand(total), *_longs(n, classes, plane, ignored)]
    args += [np.int32(weight is not None), np.int32(reduction == NONE)]
    args += [np.int32(reduction == MEAN), runtime.flag]
    runtime.launch(kernel, runtime.items(n, classes * plane), args)
    return made


# Embeddings.


def _rows_source(kind: str, index: Any) -> str:
    return f"""
__kernel void rows(__global {kind}* o, __global const {kind}* x, long xo, long xr, long xc,
    __global const {types.STORAGE[index]}* k, long ko, long n, long count, long width,
    __global long* flag) {{
  x += xo; k += ko;
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    const long at = k[i];
    if (at < 0 || at >= count) {{ flag[1] = at; flag[0] = 1; continue; }}
    for (long j = 0; j < width; j++) o[i * width + j] = x[at * xr + j * xc]; }}
}}"""


def _table_source(dtype: Any, index: Any) -> str:
    """Each work item owns rows of the table and looks for them among all indices."""
    g = types.load(dtype, "g", "i * width + j")
    return f"""
#define A {types.COMPUTE[dtype]}
__kernel void table(__global A* o, __global long* often, __global const
    {types.STORAGE[dtype]}* g, long go, __global const {types.STORAGE[index]}* k, long ko,
    long n, long count, long width, long padding, int scaled) {{
  g += go; k += ko;
  const long share = (count + get_global_size(0) - 1) / get_global_size(0);
  const long first = share * get_global_id(0), last = min(first + share, count);
  for (long i = first * width; i < last * width; i++) o[i] = 0;
  if (scaled) {{
    for (long r = first; r < last; r++) often[r] = 0;
    for (long i = 0; i < n; i++) if (k[i] >= first && k[i] < last) often[k[i]]++; }}
  for (long i = 0; i < n; i++) {{
    const long at = k[i];
    if (at < first || at >= last || at == padding) continue;
    const A scale = scaled ? (A)often[at] : 1;
    for (long j = 0; j < width; j++) o[at * width + j] += {g} / scale; }}
}}"""


def embedding(weight: OpenCLArray, indices: OpenCLArray, *options: Any) -> Any:
    if indices.dtype not in _LABELS:
        return NotImplemented
    runtime, kind = weight.memory.runtime, types.STORAGE[weight.dtype]
    count, width = weight.shape
    made = made_like(weight, (*indices.shape, width))
    if not indices.size:
        return made
    kernel = built(
        runtime, ("rows", kind, indices.dtype), "rows",
        lambda: _rows_source(kind, indices.dtype),
    )  # fmt: skip
    args = [made.memory.buffer, *_operand(weight), *_longs(*weight.strides)]
    args += _operand(contiguous(indices))
    args += [*_longs(indices.size, count, width), runtime.flag]
    runtime.launch(kernel, runtime.items(indices.size, width), args)
    runtime.expect(lambda bad: IndexError("index out of range in self"))
    return made


def embedding_backward(
    grad: OpenCLArray,
    indices: OpenCLArray,
    count: int,
    padding: int,
    scaled: bool,
) -> Any:
    if types.CLASS[grad.dtype] != "f" or indices.dtype not in _LABELS:
        return NotImplemented
    runtime, dtype = grad.memory.runtime, grad.dtype
    width = grad.shape[-1]
    wide = dtypes.float32 if dtype.itemsize == 2 else dtype
    table = made_like(grad, (count, width), wide)
    if not table.size:
        return made_like(grad, (count, width))
    often = made_like(grad, (count if scaled else 1,), dtypes.int64)
    kernel = built(
        runtime, ("table", dtype, indices.dtype), "table",
        lambda: _table_source(dtype, indices.dtype),
    )  # fmt: skip
    args = [table.memory.buffer, often.memory.buffer, *_operand(contiguous(grad))]
    args += _operand(contiguous(indices))
    # A row that isn't there pads where no padding is asked for.
    args += _longs(indices.size, count, width, padding if padding >= 0 else -1)
    args.append(np.int32(scaled))
    work = -(-(grad.size + table.size) // count)
    size = min(runtime.items(count, work)[0], 4096)
    runtime.launch(kernel, (size,), args)
    return converted(table, dtype)


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of losses over classes and of embeddings."""
    table: dict[str, Callable[..., Any]] = {
        "nll_loss_forward": nll_forward,
        "nll_loss2d_forward": nll_forward,
        "nll_loss_backward": nll_backward,
        "nll_loss2d_backward": nll_backward,
        "embedding": embedding,
        "embedding_dense_backward": embedding_backward,
    }
    return {name: (function, False) for name, function in table.items()}
