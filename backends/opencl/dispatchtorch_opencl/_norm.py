"""Batch, group and layer normalisation: one kernel forward, one or two backward.

All three see the input as rows, each of some segments of neighbouring elements, and give
each row mean 0 and variance 1. What differs is where segments lie and which weight an
element has, so the numbers of a ``Layout`` say it. On a CPU a work item takes a row;
elsewhere a work group does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import (
    OpenCLArray,
    is_dense,
    made_like,
    row_major,
    size_of,
)
from dispatchtorch_opencl.indexing import contiguous

__all__ = ["kernels_for"]

_GROUP = 64

# Row ``r`` has ``parts`` segments of ``plane`` elements; segment ``s`` begins at
# (r * row + s * part) * plane. Its weight is number r % wrap * wrow + s * wpart, and with
# PLACES that of element ``k`` is k further on.
_LAYOUT = """
typedef struct { long rows, parts, plane, row, part, wrap, wrow, wpart; } Layout;
#define BASE (r * v.row + s * v.part) * v.plane
#ifdef PLACES
#define WEIGHT(k) (k)
#else
#define WEIGHT(k) (r % v.wrap * v.wrow + s * v.wpart)
#endif
#ifdef ON_CPU
#define ROWS(r, n) SHARE(r, n); for (; r < r##_end; r++)
#define SHARED
#define ADDED(x) (x)
#define EACH_OF(k, n) _Pragma("clang loop vectorize(assume_safety)") \\
  for (long k = 0; k < (n); k++)
#define LEADS 1
#else
#define ROWS(r, n) for (long r = get_group_id(0); r < (n); r += get_num_groups(0))
#define SHARED __local A shared_[GROUP];
#define ADDED(x) added(x, shared_)
#define EACH_OF(k, n) for (long k = get_local_id(0); k < (n); k += GROUP)
#define LEADS (get_local_id(0) == 0)
inline A added(A x, __local A* shared) {
  const int at = get_local_id(0);
  barrier(CLK_LOCAL_MEM_FENCE);
  shared[at] = x;
  for (int m = GROUP / 2; m; m /= 2) {
    barrier(CLK_LOCAL_MEM_FENCE);
    if (at < m) shared[at] += shared[at + m]; }
  barrier(CLK_LOCAL_MEM_FENCE);
  return shared[0];
}
#endif
"""


def _sum(into: str, setup: str, value: str, base: str = "BASE") -> str:
    """Adds ``value`` of all elements ``p`` of row ``r`` up, on CPUs in eight lanes."""
    return f"""
    A {into} = 0;
    for (long s = 0; s < v.parts; s++) {{
      const long base = {base};
#ifdef ON_CPU
      for (long b = 0; b < v.plane; b += 4096) {{
        const long end = min(b + 4096, v.plane); long k = b;
        A lane[8] = {{0, 0, 0, 0, 0, 0, 0, 0}};
        for (; k + 8 <= end; k += 8) for (int l = 0; l < 8; l++) {{
          const long p = base + k + l; const long place = k + l;
          {setup} lane[l] += {value}; }}
        for (; k < end; k++) {{
          const long p = base + k; const long place = k; {setup} lane[0] += {value}; }}
        {into} += ((lane[0] + lane[1]) + (lane[2] + lane[3]))
          + ((lane[4] + lane[5]) + (lane[6] + lane[7])); }}
#else
      EACH_OF(k, v.plane) {{
        const long p = base + k; const long place = k; {setup} {into} += {value}; }}
#endif
    }}
    {into} = ADDED({into});
"""


def _each(setup: str, body: str) -> str:
    return f"""
    for (long s = 0; s < v.parts; s++) {{ const long base = BASE; {setup}
      EACH_OF(k, v.plane) {{ const long p = base + k; {body} }} }}
"""


def _head(dtype: Any, parameter: Any, places: bool) -> str:
    """Types, and how the arrays are read: ``X(p)``, ``G(p)``, and parameters by name."""
    reads = "".join(
        f"#define {name.upper()}(i) ({types.load(of, name, 'i')})\n"
        for name, of in [("x", dtype), ("g", dtype)]
        + [(n, parameter) for n in ("w", "b", "means", "roots", "rm", "rv")]
    )
    return f"""
#define A {types.COMPUTE[dtype]}
#define GROUP {_GROUP}
{"#define PLACES" if places else ""}
{reads}{_LAYOUT}"""


def _forward(dtype: Any, parameter: Any, places: bool) -> str:
    """Bits of ``given``: weight, bias, running mean and variance, training."""
    t, p = types.STORAGE[dtype], types.STORAGE[parameter]
    shift = types.store(dtype, "o", "p", "(X(p) - mean) * scale + shift")
    keep = types.store(parameter, "means", "r", "mean")
    keep += " " + types.store(parameter, "roots", "r", "root")
    mean = types.store(
        parameter, "rm", "r", "before * (1 - momentum) + mean * momentum"
    )
    moved = "spread * (1 - momentum) + variance * unbiased * momentum"
    spread = types.store(parameter, "rv", "r", moved)
    factors = (
        "const A scale = given & 1 ? root * W(WEIGHT(k)) : root, "
        "shift = given & 2 ? B(WEIGHT(k)) : 0;"
    )
    outer, inner = ("", factors) if places else (factors, "")
    return f"""{_head(dtype, parameter, places)}
__kernel void norm(__global {t}* o, __global {p}* means, __global {p}* roots,
    __global const {t}* x, long xo, const Layout v, __global const {p}* w, long wo,
    __global const {p}* b, long bo, __global {p}* rm, long mo, __global {p}* rv, long vo,
    int given, A momentum, A eps) {{
  SHARED x += xo; w += wo; b += bo; rm += mo; rv += vo;
  ROWS(r, v.rows) {{
    A mean, root;
    if (given & 16) {{
      const A count = v.parts * v.plane;
      // Read before the sums' barriers: what is written may be written twice.
      const A before = given & 4 ? RM(r) : 0, spread = given & 8 ? RV(r) : 0;
      {_sum("total", "", "X(p)")}
      mean = total / count;
      {_sum("squares", "const A d = X(p) - mean;", "d * d")}
      const A variance = squares / count, unbiased = count / (count > 1 ? count - 1 : 1);
      root = 1 / sqrt(variance + eps);
      if (LEADS) {{
        {keep}
        if (given & 4) {{ {mean} }}
        if (given & 8) {{ {spread} }} }}
    }} else {{ mean = RM(r); root = 1 / sqrt(RV(r) + eps); }}
    {_each(outer, inner + shift)}
  }}
}}"""


def _backward(dtype: Any, parameter: Any, places: bool) -> str:
    """Bits of ``given``: weight; gradients of parameters, which rows have; training."""
    t, p = types.STORAGE[dtype], types.STORAGE[parameter]
    # Rows that have one weight each multiply by it afterwards.
    own = "(given & 1 && !(given & 2) ? W(WEIGHT(place)) : 1)"
    slope = "(G(p) * f - even - (X(p) - mean) * slope) * root"
    factor = "const A f = given & 1 ? W(WEIGHT(k)) : 1;"
    outer, inner = ("", factor) if places else (factor, "")
    return f"""{_head(dtype, parameter, places)}
__kernel void norm(__global {t}* gx, __global {p}* gw, __global {p}* gb,
    __global const {t}* g, long go, __global const {t}* x, long xo, const Layout v,
    __global const {p}* w, long wo, __global const {p}* means, long mo,
    __global const {p}* roots, long ro, int given, A eps) {{
  SHARED x += xo; g += go; w += wo; means += mo; roots += ro;
  ROWS(r, v.rows) {{
    const A count = v.parts * v.plane, mean = MEANS(r);
    const A root = given & 4 ? ROOTS(r) : 1 / sqrt(ROOTS(r) + eps);
    A even = 0, slope = 0;
    if (given & 6) {{
      {_sum("total", "", f"G(p) * {own}")}
      {_sum("product", "", f"G(p) * {own} * (X(p) - mean)")}
      A scale = 1;
      if (given & 2) {{
        if (LEADS) {{ {types.store(parameter, "gw", "r", "product * root")}
          {types.store(parameter, "gb", "r", "total")} }}
        if (given & 1) scale = W(r); }}
      if (given & 4) {{ even = total * scale / count;
        slope = product * scale * root * root / count; }} }}
    {_each(outer, inner + types.store(dtype, "gx", "p", slope))}
  }}
}}"""


def _parameters(dtype: Any, parameter: Any, places: bool) -> str:
    """The gradients of weights that rows share.

    Of places: a work item takes neighbouring ones through all rows. Of channels: each is
    a row of this layout, whose segments lie in rows of the other one.
    """
    t, p = types.STORAGE[dtype], types.STORAGE[parameter]
    signature = f"""
__kernel void norm(__global {p}* gw, __global {p}* gb, __global const {t}* g, long go,
    __global const {t}* x, long xo, const Layout v, __global const {p}* means, long mo,
    __global const {p}* roots, long ro) {{
  SHARED x += xo; g += go; means += mo; roots += ro;"""
    store_w = types.store(parameter, "gw", "{0}", "{1}")
    store_b = types.store(parameter, "gb", "{0}", "{1}")
    if not places:
        row = "const long at = s * v.wrap + r / v.wrow;"
        value = "G(p) * (X(p) - MEANS(at)) * ROOTS(at)"
        return f"""{_head(dtype, parameter, places)}{signature}
  ROWS(r, v.rows) {{
    {_sum("total", "", "G(p)")}
    {_sum("product", row, value)}
    if (LEADS) {{ {store_w.replace("{0}", "r").replace("{1}", "product")}
      {store_b.replace("{0}", "r").replace("{1}", "total")} }}
  }}
}}"""
    to = "first + l"
    return f"""{_head(dtype, parameter, places)}
#ifdef ON_CPU
#define LANES 16
#else
#define LANES 1
#endif
{signature}
  const long blocks = (v.plane + LANES - 1) / LANES;
  SHARE(i, blocks);
  for (; i < i_end; NEXT(i, 1)) {{
    const long first = i * LANES; const int lanes = (int)min((long)LANES, v.plane - first);
    A products[LANES], totals[LANES];
    for (int l = 0; l < LANES; l++) {{ products[l] = 0; totals[l] = 0; }}
    for (long c = 0; c < v.rows; c += 512) {{
      const long end = min(c + 512, v.rows);
      A product[LANES], total[LANES];
      for (int l = 0; l < LANES; l++) {{ product[l] = 0; total[l] = 0; }}
      for (long r = c; r < end; r++) {{
        const A mean = MEANS(r), root = ROOTS(r); const long base = r * v.plane + first;
        if (lanes == LANES) for (int l = 0; l < LANES; l++) {{ const A e = G(base + l);
          product[l] += e * ((X(base + l) - mean) * root); total[l] += e; }}
        else for (int l = 0; l < lanes; l++) {{ const A e = G(base + l);
          product[l] += e * ((X(base + l) - mean) * root); total[l] += e; }} }}
      for (int l = 0; l < LANES; l++) {{
        products[l] += product[l]; totals[l] += total[l]; }} }}
    for (int l = 0; l < lanes; l++) {{
      {store_w.replace("{0}", to).replace("{1}", "products[l]")}
      {store_b.replace("{0}", to).replace("{1}", "totals[l]")} }}
  }}
}}"""


_SOURCES: dict[str, Callable[[Any, Any, bool], str]] = {
    "forward": _forward,
    "backward": _backward,
    "parameters": _parameters,
}


class _Layout:
    """Where rows lie and which weights they have; see ``_LAYOUT``."""

    __slots__ = ("count", "numbers", "places", "rows")

    def __init__(self, *numbers: int, places: bool = False) -> None:
        self.numbers = np.array(numbers, "int64").tobytes()
        self.rows = numbers[0]
        self.count = numbers[1] * numbers[2]
        self.places = places


def _of_layers(rows: int, inner: int) -> _Layout:
    return _Layout(rows, 1, inner, 1, 0, 1, 0, 0, places=True)


def _of_groups(n: int, channels: int, plane: int, group: int) -> _Layout:
    own = channels // group
    return _Layout(n * group, own, plane, own, 1, group, own, 1)


def _of_channels(n: int, channels: int, plane: int, own: int = 1) -> _Layout:
    """Channels through all samples; ``own`` of them make a group."""
    return _Layout(channels, n, plane, 1, channels, channels // own, own, 0)


def _operand(x: OpenCLArray) -> list[Any]:
    return [x.memory.buffer, np.int64(x.offset)]


def _launch(
    name: str, x: OpenCLArray, parameter: Any, layout: _Layout, args: Sequence[Any]
) -> None:
    runtime = x.memory.runtime
    key = ("norm", name, x.dtype, parameter, layout.places)
    kernel = runtime.cache.get(key)
    if kernel is None:
        source = _SOURCES[name](x.dtype, parameter, layout.places)
        kernel = runtime.build("norm", source, types.options_for(x.dtype, parameter))
        runtime.cache[key] = kernel
    size, local = runtime.items(layout.rows, layout.count * 2), None
    if name == "parameters" and layout.places:
        size = runtime.items(-(-layout.count // 16), layout.rows * 32)
        if not runtime.is_cpu:
            size = runtime.items(layout.count)
    elif not runtime.is_cpu:
        size, local = (min(layout.rows, 1 << 14) * _GROUP,), (_GROUP,)
    runtime.launch(kernel, size, args, local)


def _real(x: OpenCLArray, number: float) -> Any:
    return types.compute_host(x.dtype).type(number)


def _parameter(x: OpenCLArray, given: Sequence[OpenCLArray | None]) -> Any:
    """The dtype that all parameters have, ``x``'s without any; None for a mixture."""
    found = {p.dtype for p in given if p is not None}
    return None if len(found) > 1 else found.pop() if found else x.dtype


def _fits(x: OpenCLArray, others: Sequence[OpenCLArray | None]) -> bool:
    """Whether the kernels take these operands."""
    return (
        types.CLASS[x.dtype] == "f"
        and x.size > 0
        and all(o is None or is_dense(o.shape, o.strides) for o in others)
    )


def _normalised(
    x: OpenCLArray,
    layout: _Layout,
    parameters: Sequence[OpenCLArray | None],
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[OpenCLArray, OpenCLArray, OpenCLArray] | None:
    """The result, means and roots; ``parameters``: weight, bias, running statistics."""
    kind = _parameter(x, parameters)
    if kind is None:
        return None
    made = made_like(x, x.shape)
    means, roots = (made_like(x, (layout.rows,), kind) for _ in range(2))
    args = [m.memory.buffer for m in (made, means, roots)]
    args += [*_operand(x), layout.numbers]
    bits = training << 4
    for place, each in enumerate(parameters):
        args += _operand(means if each is None else each)
        bits |= (each is not None) << place
    args += [np.int32(bits), _real(x, momentum), _real(x, eps)]
    _launch("forward", x, kind, layout, args)
    return made, means, roots


def _gradients(
    grad: OpenCLArray,
    x: OpenCLArray,
    layout: _Layout,
    weight: OpenCLArray | None,
    mean: OpenCLArray,
    root: OpenCLArray,
    bits: int,
    eps: float = 0.0,
    channels: int = 0,
) -> list[OpenCLArray] | None:
    """By input and, where rows have a weight each, by weight and bias (channels)."""
    kind = _parameter(x, (weight, mean, root))
    if kind is None or grad.dtype is not x.dtype:
        return None
    made = [made_like(x, x.shape)]
    made += [made_like(x, (channels,), kind) for _ in range(2)]
    args = [m.memory.buffer for m in made]
    args += [*_operand(contiguous(grad)), *_operand(x), layout.numbers]
    for each in (mean if weight is None else weight, mean, root):
        args += _operand(each)
    bits |= weight is not None
    _launch("backward", x, kind, layout, [*args, np.int32(bits), _real(x, eps)])
    return made


def _by_parameters(
    grad: OpenCLArray,
    x: OpenCLArray,
    layout: _Layout,
    shape: tuple[int, ...],
    mean: OpenCLArray,
    root: OpenCLArray,
) -> list[OpenCLArray]:
    made = [made_like(x, shape, mean.dtype) for _ in range(2)]
    args = [m.memory.buffer for m in made]
    args += [*_operand(contiguous(grad)), *_operand(x), layout.numbers]
    args += [*_operand(mean), *_operand(root)]
    _launch("parameters", x, mean.dtype, layout, args)
    return made


def _masked(made: Sequence[Any], mask: Sequence[bool]) -> tuple[Any, ...]:
    return tuple(m if wanted else None for m, wanted in zip(made, mask, strict=True))


# The operators.


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
    if (training and momentum is None) or not _fits(x, (x, *given)):
        return NotImplemented
    n, channels, *rest = x.shape
    layout = _of_channels(n, channels, size_of(rest))
    made = _normalised(x, layout, given, training, momentum or 0.0, eps)
    if made is None:
        return NotImplemented
    if training:
        return made
    return made[0], made_like(x, (0,)), made_like(x, (0,))


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
    if not train:
        mean, root = running_mean, running_var
    if mean is None or root is None or not _fits(x, (x, weight, mean, root)):
        return NotImplemented
    n, channels, *rest = x.shape
    layout, bits = _of_channels(n, channels, size_of(rest)), 2 | train << 2
    made = _gradients(grad, x, layout, weight, mean, root, bits, eps, channels)
    return NotImplemented if made is None else _masked(made, mask)


def layer_norm(
    x: OpenCLArray,
    count: int,
    weight: OpenCLArray | None,
    bias: OpenCLArray | None,
    eps: float,
) -> Any:
    if not _fits(x, (weight, bias)):
        return NotImplemented
    x = contiguous(x)
    inner = size_of(x.shape[x.ndim - count :])
    layout = _of_layers(x.size // inner, inner)
    made = _normalised(x, layout, (weight, bias, None, None), True, 0.0, eps)
    if made is None:
        return NotImplemented
    outer = (*x.shape[: x.ndim - count], *(1,) * count)
    return made[0], *[_shaped(m, outer) for m in made[1:]]


def layer_norm_backward(
    grad: OpenCLArray,
    x: OpenCLArray,
    count: int,
    mean: OpenCLArray,
    root: OpenCLArray,
    weight: OpenCLArray | None,
    bias: OpenCLArray | None,
    mask: Sequence[bool],
) -> Any:
    if not _fits(x, (weight, mean, root)):
        return NotImplemented
    x = contiguous(x)
    shape = x.shape[x.ndim - count :]
    layout = _of_layers(x.size // size_of(shape), size_of(shape))
    made = _gradients(grad, x, layout, weight, mean, root, 4)
    if made is None:
        return NotImplemented
    if mask[1] or mask[2]:
        made[1:] = _by_parameters(grad, x, layout, shape, mean, root)
    return _masked(made, mask)


def group_norm(
    x: OpenCLArray,
    weight: OpenCLArray | None,
    bias: OpenCLArray | None,
    n: int,
    channels: int,
    plane: int,
    group: int,
    eps: float,
) -> Any:
    if not _fits(x, (x, weight, bias)):
        return NotImplemented
    layout = _of_groups(n, channels, plane, group)
    made = _normalised(x, layout, (weight, bias, None, None), True, 0.0, eps)
    if made is None:
        return NotImplemented
    return made[0], *[_shaped(m, (n, group)) for m in made[1:]]


def group_norm_backward(
    grad: OpenCLArray,
    x: OpenCLArray,
    mean: OpenCLArray,
    root: OpenCLArray,
    weight: OpenCLArray | None,
    n: int,
    channels: int,
    plane: int,
    group: int,
    mask: Sequence[bool],
) -> Any:
    if not _fits(x, (x, weight, mean, root)):
        return NotImplemented
    layout = _of_groups(n, channels, plane, group)
    made = _gradients(grad, x, layout, weight, mean, root, 4)
    if made is None:
        return NotImplemented
    if mask[1] or mask[2]:
        turned = _of_channels(n, channels, plane, channels // group)
        made[1:] = _by_parameters(grad, x, turned, (channels,), mean, root)
    return _masked(made, mask)


def _shaped(x: OpenCLArray, shape: tuple[int, ...]) -> OpenCLArray:
    """A contiguous array in another shape of as many elements."""
    return OpenCLArray(x.memory, shape, row_major(shape), x.offset, x.dtype)


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of normalisation."""
    table: dict[str, Callable[..., Any]] = {
        "native_batch_norm": batch_norm,
        "native_batch_norm_backward": batch_norm_backward,
        "native_layer_norm": layer_norm,
        "native_layer_norm_backward": layer_norm_backward,
        "native_group_norm": group_norm,
        "native_group_norm_backward": group_norm_backward,
    }
    return {name: (function, False) for name, function in table.items()}
