"""The random engine of OpenCL devices: Philox 4x32-10, counters in place of a state.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Uniforms,
normals, integers and what is made of one number each are drawn on the device; samplers
that reject draw on the host, from a stream of the same seed and place.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.kernelgen.sampling import DeviceSampler
from dispatchtorch_opencl import types
from dispatchtorch_opencl.array import OpenCLArray, size_of

__all__ = ["PhiloxEngine"]

_PHILOX = """
inline uint4 philox(ulong counter, uint2 key) {
  uint4 c = (uint4)((uint)counter, (uint)(counter >> 32), 0, 0);
  for (int r = 0; r < 10; r++) {
    const uint h0 = mul_hi(0xD2511F53u, c.x), l0 = 0xD2511F53u * c.x;
    const uint h1 = mul_hi(0xCD9E8D57u, c.z), l1 = 0xCD9E8D57u * c.z;
    c = (uint4)(h1 ^ c.y ^ key.x, l1, h0 ^ c.w ^ key.y, l0);
    key += (uint2)(0x9E3779B9u, 0xBB67AE85u);
  }
  return c;
}
inline float unit(uint w) { return (w >> 8) * 5.9604644775390625e-8f; }
"""
_DOUBLE = """
inline double unit2(uint a, uint b) {
  return ((((ulong)a << 32) | b) >> 11) * 1.1102230246251565e-16; }
"""

# Of a number u in [0, 1): parameters are a and b. Those of "words" take 64 bits w.
_SAMPLERS = {
    "uniform": "u * (b - a) + a",
    "bernoulli": "u < a",
    "exponential": "-log1p(-u) / a",
    "cauchy": "a + b * tan((T)3.14159265358979323846 * (u - (T)0.5))",
    "geometric": "ceil(log1p(-u) / log1p(-a))",
}


def _source(name: str, dtype: Any, wide: bool) -> str:
    """Four numbers of 32 bits, or two of 64, by each counter."""
    t = "double" if wide else "float"
    each = 2 if wide else 4
    if name in ("normal", "log_normal"):
        u = "unit2(w.x, w.y), v = unit2(w.z, w.w)" if wide else ""
        pairs = (
            [f"const T u = {u};"]
            if wide
            else ["const T u = unit(w.x), v = unit(w.y), s = unit(w.z), t = unit(w.w);"]
        )
        names = [("u", "v")] if wide else [("u", "v"), ("s", "t")]
        values = []
        for p, q in names:
            radius = f"sqrt(-2 * log1p(-{p}))"
            angle = f"2 * {q}"
            values += [f"{radius} * cospi({angle})", f"{radius} * sinpi({angle})"]
        values = [f"({v}) * b + a" for v in values]
        if name == "log_normal":
            values = [f"exp({v})" for v in values]
        setup = " ".join(pairs)
    elif name == "integers":
        each = 2
        words = ("((ulong)w.x << 32 | w.y)", "((ulong)w.z << 32 | w.w)")
        values = [f"(long)((count ? {w} % count : {w}) + (ulong)low)" for w in words]
        setup = ""
    else:
        setup = ""
        numbers = (
            ["unit2(w.x, w.y)", "unit2(w.z, w.w)"]
            if wide
            else ["unit(w.x)", "unit(w.y)", "unit(w.z)", "unit(w.w)"]
        )
        values = [f"draw({n}, a, b)" for n in numbers]
    lines = []
    for k, value in enumerate(values):
        made = f"({types.COMPUTE[dtype]})({value})"
        if dtype is dtypes.bool and name == "integers":
            made = f"(uchar)(({value}) & 1)"
        write = types.store(dtype, "o", f"i * {each} + {k}", made)
        lines.append(f"if (i * {each} + {k} < n) {{ {write} }}")
    draw = (
        f"inline T draw(T u, T a, T b) {{ return {_SAMPLERS[name]}; }}"
        if name in _SAMPLERS
        else ""
    )
    return f"""{_PHILOX}{_DOUBLE if wide else ""}
#define T {t}
{draw}
__kernel void sample(__global {types.STORAGE[dtype]}* o, long n, ulong start, ulong seed,
    T a, T b, ulong count, long low) {{
  const uint2 key = (uint2)((uint)seed, (uint)(seed >> 32));
  const long groups = (n + {each - 1}) / {each};
  SHARE(i, groups);
  for (; i < i_end; NEXT(i, 1)) {{
    const uint4 w = philox(start + i, key); {setup}
    {" ".join(lines)} }}
}}"""


class PhiloxEngine(DeviceSampler):
    """A stream of a seed, and the counter that comes next.

    Samplers take a shape and a NumPy dtype as those of the ``cpu`` engine do (whose
    checks of parameters they share), and return native arrays.
    """

    def __init__(self, backend: Any = None, index: int = 0) -> None:
        from dispatchtorch.backend import get_backend

        self._backend = get_backend("opencl") if backend is None else backend
        self._index = index
        self._lock = threading.RLock()
        self._seed = 67280421310721
        self._offset = 0

    # Seeds and state.

    def set_offset(self, offset: int) -> None:
        with self._lock:
            self._offset = int(offset)

    def get_state(self) -> np.ndarray[Any, Any]:
        """Sixteen bytes: the seed and the counter."""
        return np.array([self._seed, self._offset], "uint64").view("uint8")

    def set_state(self, state: np.ndarray[Any, Any]) -> PhiloxEngine:
        if state.nbytes != 16:
            raise RuntimeError("RNG state is wrong size")
        seed, offset = np.ascontiguousarray(state).view("uint64")
        with self._lock:
            self._seed, self._offset = int(seed), int(offset)
        return self

    def clone(self) -> PhiloxEngine:
        return type(self)(self._backend, self._index).set_state(self.get_state())

    # Sampling.

    def _take(self, count: int) -> int:
        """The first of ``count`` counters."""
        with self._lock:
            start = self._offset
            self._offset = (start + count) % 2**64
        return start

    def _draw(
        self,
        name: str,
        shape: Any,
        host: Any,
        a: float = 0.0,
        b: float = 1.0,
        count: int = 0,
        low: int = 0,
    ) -> OpenCLArray:
        dtype = dtypes.from_host_dtype(np.dtype(host))
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        made = self._backend.empty(shape, dtype, self._index)
        n = size_of(shape)
        start = self._take(-(-n // 2))
        if not n:
            return made  # type: ignore[no-any-return]
        runtime = made.memory.runtime
        wide = dtype is dtypes.float64
        key = ("random", name, dtype)
        kernel = runtime.cache.get(key)
        if kernel is None:
            source = _source(name, dtype, wide)
            kernel = runtime.build("sample", source, types.options_for(dtype))
            runtime.cache[key] = kernel
        real = np.float64 if wide else np.float32
        args = [
            made.memory.buffer,
            np.int64(n),
            np.uint64(start),
            np.uint64(self._seed),
        ]
        args += [real(a), real(b), np.uint64(count), np.int64(low)]
        runtime.launch(kernel, runtime.items(n, 4), args)
        return made  # type: ignore[no-any-return]

    def _salt(self, name: str) -> int:
        return self._take(1 << 20)
