"""Memory and indexing: views, copies, gather, scatter, index, index_put, nonzero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.ops.creation import inferred_strides
from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import (
    Expression,
    broadcast,
    broadcast_strides,
    collapse,
    elementwise,
    geometry,
)
from dispatchtorch_opencl.array import (
    OpenCLArray,
    is_dense,
    made_like,
    size_of,
)

__all__ = ["as_strided", "built", "contiguous", "converted", "copy_", "kernels_for"]


def as_strided(
    x: OpenCLArray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> OpenCLArray:
    return OpenCLArray(x.memory, tuple(shape), tuple(strides), offset, x.dtype)


def copy_(target: OpenCLArray, source: OpenCLArray) -> None:
    if source.memory is target.memory and source.memory.constant is None:
        same = source.strides == target.strides and source.offset == target.offset
        if same and source.dtype is target.dtype:
            return
        fresh = made_like(source, source.shape)
        copy_(fresh, source)
        source = fresh
    code = types.cast("x", source.dtype, target.dtype)
    name = f"copy:{source.dtype.name}:{target.dtype.name}"
    elementwise(Expression(name, code), (source,), target.dtype, target)


def contiguous(x: OpenCLArray) -> OpenCLArray:
    """The array, or a row-major copy of it."""
    if is_dense(x.shape, x.strides) and x.memory.constant is None:
        return x
    made = made_like(x, x.shape)
    copy_(made, x)
    return made


def converted(x: OpenCLArray, dtype: Any) -> OpenCLArray:
    """The array in another dtype: itself, or a contiguous copy."""
    if x.dtype is dtype:
        return x
    made = made_like(x, x.shape, dtype)
    copy_(made, x)
    return made


def view_dtype(x: OpenCLArray, dtype: Any) -> Any:
    """The same bytes as another dtype, offsets and strides in its elements."""
    x.memory.buffer  # noqa: B018
    old, new = x.dtype.itemsize, dtype.itemsize
    if old == new:
        return OpenCLArray(x.memory, x.shape, x.strides, x.offset, dtype)
    shape = (*x.shape[:-1], x.shape[-1] * old // new)
    strides = (*[s * old // new for s in x.strides[:-1]], 1)
    return OpenCLArray(x.memory, shape, strides, x.offset * old // new, dtype)


# Where the elements of row i of a geometry start; each row is a loop of its own.
_ROW = """
    long r_ = i / row; const long j_ = i - r_ * row;
    {starts}
    for (int d = last - 1; d >= 0; d--) {{
      const long q = r_ / g.shape[d], c = r_ - q * g.shape[d]; r_ = q; {advance} }}
"""


def _row(operands: Sequence[str]) -> str:
    starts = " ".join(
        f"long {n} = {n}o + j_ * g.st[{k}][last];" for k, n in enumerate(operands)
    )
    advance = " ".join(f"{n} += c * g.st[{k}][d];" for k, n in enumerate(operands))
    return _ROW.format(starts=starts, advance=advance)


_ROWS = "const int last = g.nd - 1; const long row = g.shape[last];"
_CHECK = """
inline bool wrong(long at, long size, __global long* flag) {
  if (at >= 0 && at < size) return false;
  flag[1] = at; flag[0] = 1; return true; }
"""

_LINEAR = (
    _CHECK
    + """
__kernel void linear(__global long* o, __global const long* x, long xo, long n, long size,
    long stride, int first, __global long* flag, const Geometry g) {
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {
    long u = i, p = xo;
    for (int d = g.nd - 1; d >= 0; d--) { const long q = u / g.shape[d];
      p += (u - q * g.shape[d]) * g.st[0][d]; u = q; }
    long at = x[p];
    if (at < -size || at >= size) { flag[1] = at; flag[0] = 1; at = 0; }
    if (at < 0) at += size;
    o[i] = (first ? 0 : o[i]) + at * stride; }
}"""
)


def _index_source(kind: str) -> str:
    return f"""
__kernel void pick(__global {kind}* o, __global const {kind}* x, long xo,
    __global const long* lin, long n, const Geometry g) {{
  {_ROWS} const long lo = 0;
  const long xs = g.st[0][last], ls = g.st[1][last];
  SHARE(i, n);
  while (i < i_end) {{
    {_row(("x", "l")).replace("long x =", "long px =").replace(" x +=", " px +=")}
    const long len = RUN(min(row - j_, i_end - i));
    for (long q = 0; q < len; q++) o[i + q] = x[px + q * xs + lin[l + q * ls]];
    NEXT(i, len); }}
}}"""


def _write(dtype: Any, at: str, accumulate: bool) -> str:
    """Sets ``x[at]`` to ``v[from]``, or adds to it."""
    if not accumulate:
        return f"x[{at}] = v[from];"
    join = "a | b" if types.CLASS[dtype] == "b" else "a + b"
    a, b = types.load(dtype, "x", at), types.load(dtype, "v", "from")
    kept = types.store(dtype, "x", at, join)
    return f"const {types.COMPUTE[dtype]} a = {a}, b = {b}; {kept}"


def _put_source(dtype: Any, accumulate: bool) -> str:
    kind = types.STORAGE[dtype]
    write = _write(dtype, "at", accumulate)
    return f"""
__kernel void put(__global {kind}* x, long xo, __global const {kind}* v, long vo,
    __global const long* lin, long positions, long n, const Geometry g,
    const Geometry gp) {{
  {_ROWS}
  const long xs = g.st[0][last], vs = g.st[1][last];
  SHARE(begin, n);
  for (long k = 0; k < positions; k++) {{
    long u = k, fp = 0;
    for (int d = gp.nd - 1; d >= 0; d--) {{ const long q = u / gp.shape[d];
      fp += (u - q * gp.shape[d]) * gp.st[0][d]; u = q; }}
    long i = begin; const long i_end = begin_end;
    while (i < i_end) {{
      {
        _row(("x", "v"))
        .replace("long x =", "long px =")
        .replace(" x +=", " px +=")
        .replace("long v =", "long pv =")
        .replace(" v +=", " pv +=")
    }
      const long len = RUN(min(row - j_, i_end - i));
      for (long q = 0; q < len; q++) {{
        const long at = px + q * xs + lin[k], from = pv + q * vs + fp; {write} }}
      NEXT(i, len); }} }}
}}"""


def _gather_source(kind: str) -> str:
    return f"""{_CHECK}
__kernel void gathered(__global {kind}* o, __global const {kind}* x, long xo,
    __global const long* k, long ko, long n, long size, long stride,
    __global long* flag, const Geometry g) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    long u = i, p = xo, pk = ko;
    for (int d = g.nd - 1; d >= 0; d--) {{ const long q = u / g.shape[d],
      c = u - q * g.shape[d]; pk += c * g.st[0][d]; p += c * g.st[1][d]; u = q; }}
    const long at = k[pk];
    if (!wrong(at, size, flag)) o[i] = x[p + at * stride]; }}
}}"""


def _scatter_source(dtype: Any, accumulate: bool) -> str:
    kind = types.STORAGE[dtype]
    write = _write(dtype, "to", accumulate)
    return f"""{_CHECK}
// A work item takes all of a line, so that no two write to one place.
__kernel void scattered(__global {kind}* x, long xo, __global const {kind}* v, long vo,
    __global const long* k, long ko, long n, long length, long size, long xs, long vs,
    long ks, __global long* flag, const Geometry g) {{
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {{
    long u = i, pk = ko, px = xo, pv = vo;
    for (int d = g.nd - 1; d >= 0; d--) {{ const long q = u / g.shape[d],
      c = u - q * g.shape[d]; pk += c * g.st[0][d]; px += c * g.st[1][d];
      pv += c * g.st[2][d]; u = q; }}
    for (long j = 0; j < length; j++) {{
      const long at = k[pk + j * ks];
      if (wrong(at, size, flag)) continue;
      const long to = px + at * xs, from = pv + j * vs; {write} }} }}
}}"""


_NONZERO = """
__kernel void places(__global long* o, __global const long* rank, long n, long found,
    const Geometry g) {
  SHARE(i, n);
  for (; i < i_end; NEXT(i, 1)) {
    const long at = rank[i];
    if (at != (i ? rank[i - 1] : 0)) {
      long u = i;
      for (int d = g.nd - 1; d >= 0; d--) { const long q = u / g.shape[d];
        o[d * found + at - 1] = u - q * g.shape[d]; u = q; } } }
}"""


def built(
    runtime: Any, key: tuple[Any, ...], name: str, source: Callable[[], str]
) -> Any:
    """The kernel ``name`` of a program, made once for a key that names its dtypes."""
    kernel = runtime.cache.get(key)
    if kernel is None:
        kernel = runtime.cache[key] = runtime.build(
            name, source(), types.options_for(*key)
        )
    return kernel


def _plain(sizes: Sequence[int], *steps: Sequence[int]) -> bytes:
    """A geometry whose dims stay as they are."""
    return geometry(list(sizes) or [1], [list(s) or [0] for s in steps])


def _linear(
    x: OpenCLArray, indices: Sequence[OpenCLArray | None]
) -> tuple[OpenCLArray, tuple[int, ...]]:
    """The offsets that index tensors mean, and their common shape."""
    given = [(d, k) for d, k in enumerate(indices) if k is not None]
    shape = broadcast([k.shape for _, k in given])
    runtime = x.memory.runtime
    made = made_like(x, shape, dtypes.int64)
    if not made.size:
        return made, shape
    kernel = built(runtime, ("linear",), "linear", lambda: _LINEAR)
    for place, (d, k) in enumerate(given):
        size = x.shape[d]
        if not size:
            raise IndexError("index is out of bounds for dimension with size 0")
        wide = broadcast_strides(k, shape)
        args = [made.memory.buffer, k.memory.buffer, np.int64(k.offset)]
        args += [np.int64(v) for v in (made.size, size, x.strides[d])]
        args += [np.int32(place == 0), runtime.flag, _plain(shape, wide)]
        runtime.launch(kernel, runtime.items(made.size), args)
        runtime.expect(
            lambda bad, d=d, size=size: IndexError(
                f"index {bad} is out of bounds for dimension {d} with size {size}"
            )
        )
    return made, shape


def _divided(
    x: OpenCLArray, indices: Sequence[OpenCLArray | None]
) -> tuple[list[int], int]:
    """The dims that aren't indexed, and before which of them those of indices come."""
    given = [d for d, k in enumerate(indices) if k is not None]
    kept = [d for d in range(x.ndim) if d not in given]
    lead = given[0] if given[-1] - given[0] + 1 == len(given) else 0
    return kept, lead


def index(x: OpenCLArray, indices: Sequence[OpenCLArray | None]) -> Any:
    if all(k is None for k in indices):
        return NotImplemented
    kept, lead = _divided(x, indices)
    sizes = [x.shape[d] for d in kept]
    given = [k.shape for k in indices if k is not None]
    if not x.size and not all(sizes):
        common = broadcast(given)
        return made_like(x, (*sizes[:lead], *common, *sizes[lead:]))
    lin, common = _linear(x, indices)
    shape = (*sizes[:lead], *common, *sizes[lead:])
    made = made_like(x, shape)
    if not made.size:
        return made
    steps = [x.strides[d] for d in kept]
    xs = (*steps[:lead], *[0] * len(common), *steps[lead:])
    ls = (*[0] * lead, *lin.strides, *[0] * (len(kept) - lead))
    merged = collapse(shape, [xs, ls], True)
    runtime = x.memory.runtime
    kind = types.STORAGE[x.dtype]
    kernel = built(runtime, ("pick", kind), "pick", lambda: _index_source(kind))
    args = [made.memory.buffer, x.memory.buffer, np.int64(x.offset)]
    args += [lin.memory.buffer, np.int64(made.size), geometry(*merged)]
    runtime.launch(kernel, runtime.items(made.size), args)
    return made


def index_put_(
    x: OpenCLArray, indices: Sequence[OpenCLArray | None], values: Any, accumulate: bool
) -> Any:
    if all(k is None for k in indices):
        return NotImplemented
    kept, lead = _divided(x, indices)
    sizes = [x.shape[d] for d in kept]
    lin, common = _linear(x, indices)
    shape = (*sizes[:lead], *common, *sizes[lead:])
    try:
        fits = broadcast([shape, values.shape]) == shape
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be "
            f"broadcast to indexing result of shape {list(shape)}"
        )
    if not size_of(shape):
        return None
    wide = broadcast_strides(values, shape)
    after = lead + len(common)
    own = [x.strides[d] for d in kept]
    merged = collapse(sizes, [own, [*wide[:lead], *wide[after:]]])
    positions = collapse(common, [wide[lead:after]], True)
    runtime = x.memory.runtime
    kernel = built(
        runtime,
        ("put", x.dtype, accumulate),
        "put",
        lambda: _put_source(x.dtype, accumulate),
    )
    n = size_of(sizes)
    args = [x.memory.buffer, np.int64(x.offset), values.memory.buffer]
    args += [np.int64(values.offset), lin.memory.buffer, np.int64(lin.size)]
    args += [np.int64(n), geometry(*merged), geometry(*positions)]
    runtime.launch(kernel, runtime.items(n, lin.size), args)
    return None


def _as_line(x: OpenCLArray) -> OpenCLArray:
    if x.ndim:
        return x
    return OpenCLArray(x.memory, (1,), (1,), x.offset, x.dtype)


def _bad_place(dim: int, size: int) -> Callable[[int], Exception]:
    return lambda bad: RuntimeError(
        f"index {bad} is out of bounds for dimension {dim} with size {size}"
    )


def gather(x: OpenCLArray, dim: int, index: OpenCLArray) -> Any:
    made = made_like(x, index.shape)
    if not made.size:
        return made
    x, k = _as_line(x), _as_line(index)
    runtime = x.memory.runtime
    kind = types.STORAGE[x.dtype]
    kernel = built(runtime, ("gather", kind), "gathered", lambda: _gather_source(kind))
    steps = [0 if d == dim else s for d, s in enumerate(x.strides)]
    size = x.shape[dim]
    args = [made.memory.buffer, x.memory.buffer, np.int64(x.offset), k.memory.buffer]
    args += [np.int64(v) for v in (k.offset, made.size, size, x.strides[dim])]
    args += [runtime.flag, _plain(k.shape, k.strides, steps)]
    runtime.launch(kernel, runtime.items(made.size), args)
    runtime.expect(_bad_place(dim, size))
    return made


def _scatter_(
    x: OpenCLArray, dim: int, index: OpenCLArray, src: OpenCLArray, accumulate: bool
) -> None:
    if not index.size:
        return
    x, k, src = _as_line(x), _as_line(index), _as_line(src)
    runtime = x.memory.runtime
    kernel = built(
        runtime,
        ("scatter", x.dtype, accumulate),
        "scattered",
        lambda: _scatter_source(x.dtype, accumulate),
    )
    rest = [d for d in range(k.ndim) if d != dim]
    sizes = [k.shape[d] for d in rest]
    steps = [[a.strides[d] for d in rest] for a in (k, x, src)]
    count, length, size = size_of(sizes), k.shape[dim], x.shape[dim]
    args = [
        x.memory.buffer,
        np.int64(x.offset),
        src.memory.buffer,
        np.int64(src.offset),
    ]
    args += [k.memory.buffer, np.int64(k.offset)]
    numbers = (count, length, size, x.strides[dim], src.strides[dim], k.strides[dim])
    args += [np.int64(v) for v in numbers]
    args += [runtime.flag, geometry(*collapse(sizes, steps))]
    runtime.launch(kernel, runtime.items(count, length), args)
    runtime.expect(_bad_place(dim, size))


def _copied(x: OpenCLArray) -> OpenCLArray:
    """A copy in the memory order of the array."""
    strides = inferred_strides(x.shape, x.strides)
    made = made_like(x, x.shape)
    if strides is not None:
        made.strides = tuple(strides)
    copy_(made, x)
    return made


def nonzero(x: OpenCLArray) -> Any:
    if not x.ndim:
        return NotImplemented
    from dispatchtorch_opencl.reduction import scan

    count = x.size
    if not count:
        return made_like(x, (0, x.ndim), dtypes.int64)
    mask = made_like(x, x.shape, dtypes.bool)
    copy_(mask, x)
    flat = OpenCLArray(mask.memory, (count,), (1,), 0, dtypes.bool)
    rank = scan("cumsum", flat, 0, dtypes.int64)
    runtime = x.memory.runtime
    total = np.zeros(1, "int64")
    runtime.download(rank.memory.buffer, total, 8 * (count - 1))
    found = int(total[0])
    made = made_like(x, (x.ndim, found), dtypes.int64)
    if found:
        kernel = built(runtime, ("nonzero",), "places", lambda: _NONZERO)
        args = [
            made.memory.buffer,
            rank.memory.buffer,
            np.int64(count),
            np.int64(found),
        ]
        runtime.launch(kernel, runtime.items(count), [*args, _plain(x.shape)])
    return OpenCLArray(made.memory, (found, x.ndim), (1, found or 1), 0, dtypes.int64)


def cat(arrays: Sequence[OpenCLArray], dim: int) -> Any:
    """Arrays of one dtype, one copy each."""
    first = arrays[0]
    if any(a.dtype is not first.dtype or a.ndim != first.ndim for a in arrays):
        return NotImplemented
    shape = list(first.shape)
    shape[dim] = sum(a.shape[dim] for a in arrays)
    made = made_like(first, tuple(shape))
    at = 0
    for a in arrays:
        if a.size:
            offset = at * made.strides[dim]
            copy_(OpenCLArray(made.memory, a.shape, made.strides, offset, a.dtype), a)
        at += a.shape[dim]
    return made


def index_select(x: OpenCLArray, dim: int, index: OpenCLArray) -> Any:
    if not x.ndim or index.dtype is not dtypes.int64:
        return NotImplemented
    line = _as_line(index)
    shape = tuple(line.shape[0] if d == dim else n for d, n in enumerate(x.shape))
    steps = tuple(line.strides[0] if d == dim else 0 for d in range(x.ndim))
    # A gather whose index is the same everywhere but along the dim.
    return gather(
        x, dim, OpenCLArray(line.memory, shape, steps, line.offset, line.dtype)
    )


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernels of memory and indexing."""

    def fill_(x: OpenCLArray, value: Any) -> Any:
        if isinstance(value, complex) and types.CLASS[x.dtype] != "c":
            return NotImplemented
        copy_(x, backend.scalar(value, x.dtype, 0))
        return None

    def clone(x: OpenCLArray, memory_format: Any) -> Any:
        if memory_format is not None or not is_dense(x.shape, x.strides):
            return NotImplemented
        made = made_like(x, x.shape)
        copy_(made, x)
        return made

    def scatterer(accumulate: bool) -> Callable[..., Any]:
        def scatter(x: OpenCLArray, dim: int, index: Any, src: Any) -> Any:
            made = _copied(x)
            _scatter_(made, dim, index, src, accumulate)
            return made

        return scatter

    def writer(accumulate: bool) -> Callable[..., Any]:
        def scatter_(x: OpenCLArray, dim: int, index: Any, src: Any) -> None:
            _scatter_(x, dim, index, src, accumulate)

        return scatter_

    def index_put(x: OpenCLArray, indices: Any, values: Any, accumulate: bool) -> Any:
        made = _copied(x)
        declined = index_put_(made, indices, values, accumulate)
        return made if declined is None else declined

    table: dict[str, Callable[..., Any]] = {
        "as_strided": as_strided,
        "copy_": copy_,
        "_view_dtype": view_dtype,
        "fill_.Scalar": fill_,
        "clone": clone,
        "gather": gather,
        "scatter.src": scatterer(False),
        "scatter_add": scatterer(True),
        "scatter_.src": writer(False),
        "scatter_add_": writer(True),
        "index.Tensor": index,
        "index_put": index_put,
        "index_put_": index_put_,
        "nonzero_": nonzero,
        "cat": cat,
    }
    return {name: (function, False) for name, function in table.items()}
