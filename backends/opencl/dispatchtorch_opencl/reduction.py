"""Reductions, scans and sorting, along any dims.

A sum adds blocks up in eight lanes and the blocks with Kahan's compensation, so that its
error stays below that of pairwise summation. Where few results are made of many elements,
the work is cut in parts whose results a second pass of the same kernel reduces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import collapse, geometry
from dispatchtorch_opencl.array import OpenCLArray, made_like, size_of
from dispatchtorch_opencl.indexing import contiguous, copy_

__all__ = ["any_zero", "kernels_for", "lines_of", "reduce", "scan"]

#: name -> how ``a`` and the element ``v`` combine, and the start.
_COMBINE = {
    "sum": ("a + v", "0"),
    "prod": ("a * v", "1"),
    "amax": ("v > a || v != v ? v : a", "least"),
    "amin": ("v < a || v != v ? v : a", "most"),
    "any": ("a | (v != 0)", "0"),
    "all": ("a & (v != 0)", "1"),
}
#: Elements for which a pass of its own pays.
_PART = 1 << 15


def _limit(dtype: Any, kind: str) -> str:
    if kind not in ("least", "most"):
        return kind
    if types.CLASS[dtype] == "f":
        return "-INFINITY" if kind == "least" else "INFINITY"
    if dtype is dtypes.bool:
        return "0" if kind == "least" else "1"
    info = np.iinfo(dtype.host)
    value = int(info.min if kind == "least" else info.max)
    if value == -(2**63):
        return "(-9223372036854775807L - 1)"
    return f"{value}UL" if value > 2**63 - 1 else f"{value}L"


def _reduction_source(
    name: str, source: Any, acc: Any, dtype: Any, across: bool
) -> str:
    """``reduction``: lanes are elements of a row, or neighbouring results (across)."""
    combine, start = _COMBINE[name]
    kind = types.COMPUTE[acc]
    if name == "prod" and types.CLASS[acc] == "c":
        combine = f"({kind})(a.x * v.x - a.y * v.y, a.x * v.y + a.y * v.x)"
        start = f"({kind})(1, 0)"
    value = types.cast("e", source, acc)
    if name in ("any", "all") and types.CLASS[source] == "c":
        value = "(uchar)(e.x != 0 || e.y != 0)"
    elif name in ("any", "all"):
        value = "(uchar)(e != 0)"
    floats = name == "sum" and types.CLASS[acc] in "fc"
    flush = (
        "A y_ = b - c; A t_ = total + y_; A d_ = (t_ - total) - y_; "
        # Infinite totals have no remainder.
        "c = d_; total = t_;"
        if floats
        else "total = join(total, b);"
    )
    if floats and types.CLASS[acc] == "f":
        flush = flush.replace("c = d_;", "c = isfinite(t_) ? d_ : 0;")
    elif floats:
        flush = flush.replace(
            "c = d_;", "c = isfinite(t_.x) && isfinite(t_.y) ? d_ : (A)(0);"
        )
    load = types.load(source, "x", "at")
    common = f"""
#define A {kind}
inline A join(A a, A v) {{ return {combine}; }}
inline A element(__global const {types.STORAGE[source]}* x, long at) {{
  const {types.COMPUTE[source]} e = {load}; return {value}; }}
#define START ((A)({_limit(acc, start)}))
"""
    if name == "prod" and types.CLASS[acc] == "c":
        common = common.replace(f"((A)({start}))", start)
    head = f"""
__kernel void reduction(__global {types.STORAGE[dtype]}* o, __global const
    {types.STORAGE[source]}* x, long xo, long n, long parts, long count,
    const Geometry kept, const Geometry gone) {{
  const int last = gone.nd - 1; const long row = gone.shape[last], s = gone.st[0][last];
  const long share = (count + parts - 1) / parts;
"""
    walk = """
    long r = part * share; const long end = min(r + share, count);
    while (r < end) {
      long p = base, t = r / row; const long j = r - t * row;
      for (int d = last - 1; d >= 0; d--) {
        const long q = t / gone.shape[d]; p += (t - q * gone.shape[d]) * gone.st[0][d];
        t = q; }
      p += j * s;
"""
    if across:
        body = f"""
  const int lk = kept.nd - 1; const long width = kept.shape[lk];
  const long blocks = (width + 15) / 16; const long rows = n / width;
  SHARE(i, rows * blocks * parts);
  for (; i < i_end; NEXT(i, 1)) {{
    const long part = i % parts; long u = i / parts; const long block = u % blocks;
    u /= blocks; const long first = u * width + block * 16;
    long base = xo + block * 16;
    for (int d = lk - 1; d >= 0; d--) {{ const long q = u / kept.shape[d];
      base += (u - q * kept.shape[d]) * kept.st[0][d]; u = q; }}
    const int lanes = (int)min(16L, width - block * 16);
    A totals[16], lane[16], cs[16];
    for (int l = 0; l < 16; l++) {{ totals[l] = START; lane[l] = START; cs[l] = (A)(0); }}
    long filled = 0;
    {walk}
      long len = min(min(row - j, end - r), 512L);
      if (lanes == 16) for (long q = 0; q < len; q++) {{
        for (int l = 0; l < 16; l++) lane[l] = join(lane[l], element(x, p + q * s + l)); }}
      else for (long q = 0; q < len; q++)
        for (int l = 0; l < lanes; l++) lane[l] = join(lane[l], element(x, p + q * s + l));
      r += len; filled += len;
      if (filled >= 512 || r >= end) {{ filled = 0;
        for (int l = 0; l < 16; l++) {{
          A total = totals[l], b = lane[l], c = cs[l]; {flush}
          totals[l] = total; cs[l] = c; lane[l] = START; }} }}
    }}
    for (int l = 0; l < lanes; l++) {{ const long to = (first + l) * parts + part;
      {types.store(dtype, "o", "to", types.cast("totals[l]", acc, dtype))} }}
  }}
}}"""
    else:
        body = f"""
  SHARE(i, n * parts);
  for (; i < i_end; NEXT(i, 1)) {{
    long u = i / parts; const long part = i - u * parts;
    long base = xo;
    for (int d = kept.nd - 1; d >= 0; d--) {{ const long q = u / kept.shape[d];
      base += (u - q * kept.shape[d]) * kept.st[0][d]; u = q; }}
    A total = START, c = (A)(0);
    A lane[8];
    for (int l = 0; l < 8; l++) lane[l] = START;
    long filled = 0;
    {walk}
      const long len = min(min(row - j, end - r), 4096L), even = len & ~7L;
      if (s == 1) for (long q = 0; q < even; q += 8)
        for (int l = 0; l < 8; l++) lane[l] = join(lane[l], element(x, p + q + l));
      else for (long q = 0; q < even; q += 8)
        for (int l = 0; l < 8; l++)
          lane[l] = join(lane[l], element(x, p + (q + l) * s));
      for (long q = even; q < len; q++)
        lane[q & 7] = join(lane[q & 7], element(x, p + q * s));
      r += len; filled += len;
      if (filled >= 4096 || r >= end) {{
        const A b = join(join(join(lane[0], lane[1]), join(lane[2], lane[3])),
          join(join(lane[4], lane[5]), join(lane[6], lane[7])));
        {flush}
        filled = 0; for (int l = 0; l < 8; l++) lane[l] = START; }}
    }}
    {types.store(dtype, "o", "i", types.cast("total", acc, dtype))}
  }}
}}"""
    return common + head + body


def reduce(
    name: str, x: OpenCLArray, dims: Sequence[int] | None, keepdim: bool, dtype: Any
) -> OpenCLArray:
    """Reduces dims (None: all) to a result of ``dtype``."""
    gone = tuple(range(x.ndim)) if dims is None else tuple(dims)
    shape = tuple(
        1 if d in gone else n for d, n in enumerate(x.shape) if keepdim or d not in gone
    )
    made = made_like(x, shape, dtype)
    kept = [d for d in range(x.ndim) if d not in gone]
    n = size_of(shape)
    if not n:
        return made
    count = size_of([x.shape[d] for d in gone])  # type: ignore[arg-type]
    runtime = x.memory.runtime
    key = ("reduce", name, x.shape, x.strides, gone, x.dtype, dtype)
    plan = runtime.cache.get(key)
    if plan is None:
        plan = runtime.cache[key] = _plan(runtime, name, x, kept, gone, n, count, dtype)
    kernel, size, parts, tail, second = plan
    into = made
    if parts > 1:
        into = made_like(x, (n, parts), _partial(dtype))
    args = [into.memory.buffer, x.memory.buffer, np.int64(x.offset), *tail]
    runtime.launch(kernel, size, args)
    if parts > 1:
        runtime.launch(
            second[0],
            second[1],
            [made.memory.buffer, into.memory.buffer, np.int64(0), *second[2]],
        )
    return made


def _partial(dtype: Any) -> Any:
    """The dtype that partial results are kept in."""
    return dtypes.float32 if dtype.itemsize == 2 and dtype.is_floating_point else dtype


def _plan(
    runtime: Any,
    name: str,
    x: OpenCLArray,
    kept: Sequence[int],
    gone: Sequence[int],
    n: int,
    count: int,
    dtype: Any,
) -> Any:
    k_sizes, k_steps = collapse(
        [x.shape[d] for d in kept], [[x.strides[d] for d in kept]], True
    )
    g_sizes, g_steps = collapse(
        [x.shape[d] for d in gone], [[x.strides[d] for d in gone]]
    )
    across = k_steps[0][-1] == 1 and k_sizes[-1] >= 8 and g_steps[0][-1] != 1
    wanted = runtime.units * 4 if runtime.is_cpu else 1 << 14
    least = _PART if runtime.is_cpu else 64
    parts = 1
    if n < wanted and count >= 2 * least:
        parts = max(1, min(count // least, wanted // n))
    partial = _partial(dtype) if parts > 1 else dtype
    kernel = _kernel(runtime, name, x.dtype, partial, across)
    pieces = (n // k_sizes[-1]) * -(-k_sizes[-1] // 16) if across else n
    weight = max(count // parts, 1) * (16 if across else 1)
    size = runtime.items(pieces * parts, weight)
    tail = [
        np.int64(n),
        np.int64(parts),
        np.int64(count),
        geometry(k_sizes, k_steps),
        geometry(g_sizes, g_steps),
    ]
    second = None
    if parts > 1:
        again = [
            np.int64(n),
            np.int64(1),
            np.int64(parts),
            geometry([n], [[parts]]),
            geometry([parts], [[1]]),
        ]
        second = (
            _kernel(runtime, name, partial, dtype, False),
            runtime.items(n, parts),
            again,
        )
    return kernel, size, parts, tail, second


def _kernel(runtime: Any, name: str, source: Any, dtype: Any, across: bool) -> Any:
    key = ("reduction", name, source, dtype, across)
    kernel = runtime.cache.get(key)
    if kernel is None:
        text = _reduction_source(name, source, dtype, dtype, across)
        options = types.options_for(source, dtype)
        kernel = runtime.cache[key] = runtime.build("reduction", text, options)
    return kernel


def any_zero(x: OpenCLArray) -> bool:
    """Whether an element is zero; waits for the device."""
    found = reduce("all", x, None, False, dtypes.bool)
    host = np.empty(1, "uint8")
    found.memory.runtime.download(found.memory.buffer, host, 0)
    return not host[0]


# Along one dim: lines.


def lines_of(x: OpenCLArray, dim: int, other: OpenCLArray | None = None) -> Any:
    """(lines, length, stride, the other's stride, geometry of where lines start)."""
    rest = [d for d in range(x.ndim) if d != dim]
    steps = [[a.strides[d] for d in rest] for a in (x, other) if a is not None]
    sizes, merged = collapse([x.shape[d] for d in rest], steps, True)
    length = x.shape[dim] if x.ndim else 1
    stride = x.strides[dim] if x.ndim else 1
    second = other.strides[dim] if other is not None and x.ndim else 1
    count = size_of(x.shape) // max(length, 1)
    return count, length, stride, second, geometry(sizes, merged)


_STARTS = """
    long u = i, p = xo, to = 0;
    for (int d = g.nd - 1; d >= 0; d--) { const long q = u / g.shape[d],
      c = u - q * g.shape[d]; p += c * g.st[0][d]; to += c * g.st[1][d]; u = q; }
"""


def _line_kernel(
    runtime: Any, key: tuple[Any, ...], options: Any, source: Callable[[], str]
) -> Any:
    kernel = runtime.cache.get(key)
    if kernel is None:
        kernel = runtime.cache[key] = runtime.build("lines", source(), options)
    return kernel


def _arg_source(dtype: Any, sign: str) -> str:
    return f"""
#define C {types.COMPUTE[dtype]}
__kernel void lines(__global long* o, __global const {types.STORAGE[dtype]}* x, long xo,
    long n, long length, long s, const Geometry g) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{ {_STARTS}
    C best = {types.load(dtype, "x", "p")}; long at = 0;
    for (long j = 1; j < length; j++) {{
      const C v = {types.load(dtype, "x", "p + j * s")};
      if (v {sign} best || (v != v && best == best)) {{ best = v; at = j; }} }}
    o[i] = at; }}
}}"""


def _scan_source(source: Any, dtype: Any, join: str) -> str:
    kind = types.COMPUTE[dtype]
    start = "0" if join == "a + v" else "1"
    if types.CLASS[dtype] == "c" and start == "1":
        join = f"({kind})(a.x * v.x - a.y * v.y, a.x * v.y + a.y * v.x)"
        start = f"({kind})(1, 0)"
    return f"""
__kernel void lines(__global {types.STORAGE[dtype]}* o, __global const
    {types.STORAGE[source]}* x, long xo, long n, long length, long s, long os,
    const Geometry g) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{ {_STARTS}
    {kind} a = {start};
    for (long j = 0; j < length; j++) {{
      const {types.COMPUTE[source]} e = {types.load(source, "x", "p + j * s")};
      const {kind} v = {types.cast("e", source, dtype)};
      a = {join};
      {types.store(dtype, "o", "to + j * os", "a")} }} }}
}}"""


def _sort_source(dtype: Any, descending: bool) -> str:
    kind = types.COMPUTE[dtype]
    before = "AFTER(b, a)" if descending else "AFTER(a, b)"
    return f"""
// Whether b comes before a: NaN counts as the largest number.
#define AFTER(a, b) ((b) < (a) || ((a) != (a) && (b) == (b)))
#define LATER(a, b) {before}
#define LOAD(p, i) {types.load(dtype, "p", "i")}
__kernel void lines(__global {types.STORAGE[dtype]}* v0, __global long* k0,
    __global {types.STORAGE[dtype]}* v1, __global long* k1, long n, long length) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    __global {types.STORAGE[dtype]} *a = v0 + i * length, *b = v1 + i * length;
    __global long *ka = k0 + i * length, *kb = k1 + i * length;
    for (long j = 0; j < length; j++) ka[j] = j;
    for (long w = 0; w < length; w += 16) {{
      const long end = min(w + 16, length);
      for (long j = w + 1; j < end; j++) {{
        const {kind} v = LOAD(a, j); const long k = ka[j]; long q = j;
        for (; q > w && LATER(LOAD(a, q - 1), v); q--) {{
          a[q] = a[q - 1]; ka[q] = ka[q - 1]; }}
        {types.store(dtype, "a", "q", "v")} ka[q] = k; }} }}
    for (long w = 16; w < length; w *= 2) {{
      for (long s = 0; s < length; s += 2 * w) {{
        const long m = min(s + w, length), e = min(s + 2 * w, length);
        long l = s, r = m;
        for (long j = s; j < e; j++) {{
          const bool right = r < e && (l >= m || LATER(LOAD(a, l), LOAD(a, r)));
          const long from = right ? r++ : l++;
          b[j] = a[from]; kb[j] = ka[from]; }} }}
      __global {types.STORAGE[dtype]}* t = a; a = b; b = t;
      __global long* tk = ka; ka = kb; kb = tk; }}
    if (a != v0 + i * length) for (long j = 0; j < length; j++) {{
      v0[i * length + j] = a[j]; k0[i * length + j] = ka[j]; }} }}
}}"""


def _moved(x: OpenCLArray, dim: int, last: int) -> OpenCLArray:
    """A view with a dim at another place."""
    order = [d for d in range(x.ndim) if d != dim]
    order.insert(last, dim)
    return OpenCLArray(
        x.memory,
        tuple([x.shape[d] for d in order]),
        tuple([x.strides[d] for d in order]),
        x.offset,
        x.dtype,
    )


def scan(name: str, x: OpenCLArray, dim: int, dtype: Any) -> OpenCLArray:
    """Running sums or products along a dim."""
    made = made_like(x, x.shape, dtype)
    if not made.size:
        return made
    runtime = x.memory.runtime
    join = "a + v" if name == "cumsum" else "a * v"
    found = _line_kernel(
        runtime,
        (name, x.dtype, dtype),
        types.options_for(x.dtype, dtype),
        lambda: _scan_source(x.dtype, dtype, join),
    )
    count, length, s, os, g = lines_of(x, dim, made)
    args = [made.memory.buffer, x.memory.buffer, np.int64(x.offset)]
    args += [np.int64(v) for v in (count, length, s, os)]
    runtime.launch(found, runtime.items(count, length), [*args, g])
    return made


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of reductions, scans and sorting."""

    def refuses(name: str, dtype: Any) -> bool:
        return types.CLASS.get(dtype) == "c" and name in ("amax", "amin", "sort")

    def reducer(name: str, result: Any = None) -> Callable[..., Any]:
        def kernel(x: OpenCLArray, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
            if refuses(name, x.dtype):
                return NotImplemented
            return reduce(name, x, dims, keepdim, dtype or result or x.dtype)

        return kernel

    def sum_all(x: OpenCLArray, dtype: Any) -> Any:
        return reduce("sum", x, None, False, dtype)

    def arg(name: str, sign: str) -> Callable[..., Any]:
        def kernel(x: OpenCLArray, dim: int) -> Any:
            if types.CLASS[x.dtype] == "c":
                return NotImplemented
            shape = x.shape[:dim] + x.shape[dim + 1 :]
            made = made_like(x, shape, dtypes.int64)
            if not made.size:
                return made
            runtime = x.memory.runtime
            found = _line_kernel(
                runtime,
                (name, x.dtype),
                types.options_for(x.dtype),
                lambda: _arg_source(x.dtype, sign),
            )
            count, length, s, _, g = lines_of(x, dim)
            args = [made.memory.buffer, x.memory.buffer, np.int64(x.offset)]
            args += [np.int64(count), np.int64(length), np.int64(s), g]
            runtime.launch(found, runtime.items(count, length), args)
            return made

        return kernel

    def scanner(name: str) -> Callable[..., Any]:
        return lambda x, dim, dtype: scan(name, x, dim, dtype)

    def sort_(x: OpenCLArray, dim: int, descending: bool) -> Any:
        if refuses("sort", x.dtype):
            return NotImplemented
        if not x.ndim or not x.size:
            return contiguous(x), _zeros(x)
        turned = _moved(x, dim, x.ndim - 1)
        values = made_like(x, turned.shape)
        copy_(values, turned)
        order = made_like(x, turned.shape, dtypes.int64)
        spare, places = made_like(x, turned.shape), made_like(order, turned.shape)
        runtime = x.memory.runtime
        found = _line_kernel(
            runtime,
            ("sort", x.dtype, descending),
            types.options_for(x.dtype),
            lambda: _sort_source(x.dtype, descending),
        )
        length = x.shape[dim]
        count = x.size // length
        args = [a.memory.buffer for a in (values, order, spare, places)]
        args += [np.int64(count), np.int64(length)]
        runtime.launch(found, runtime.items(count, length * 8), args)
        if dim == x.ndim - 1:
            return values, order
        return tuple(contiguous(_moved(a, a.ndim - 1, dim)) for a in (values, order))

    def _zeros(x: OpenCLArray) -> OpenCLArray:
        made = made_like(x, x.shape, dtypes.int64)
        copy_(made, backend.scalar(0, dtypes.int64, 0))
        return made

    table: dict[str, Callable[..., Any]] = {
        "sum": sum_all,
        "sum.dim_IntList": reducer("sum"),
        "prod_": reducer("prod"),
        "amax": reducer("amax"),
        "amin": reducer("amin"),
        "any_": reducer("any", dtypes.bool),
        "all_": reducer("all", dtypes.bool),
        "argmax_": arg("argmax", ">"),
        "argmin_": arg("argmin", "<"),
        "cumsum": scanner("cumsum"),
        "cumprod": scanner("cumprod"),
        "sort_": sort_,
    }
    return {name: (function, False) for name, function in table.items()}
