"""The random engine of CUDA devices: Philox 4x32-10, a seed and an offset for a state.

J. K. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Seeds,
offsets and which thread draws which element are those of PyTorch's CUDA generator: blocks
of 256 threads, as many as the multiprocessors hold at once, each with a subsequence of
its own and four words (or two, of 64 bits) by each step. Samplers that reject draw on the
host, from a stream of the same seed and place.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.kernelgen.sampling import DeviceSampler
from dispatchtorch_cupy.kernels.types import STORAGE

__all__ = ["PhiloxEngine"]

DEFAULT_SEED = 67280421310721
_BLOCK = 256
#: Ranges from this size on take 64 bits, so that the remainder hardly favours any.
_TWO_WORDS = 1 << 28

_SOURCE = """
#ifdef EMULATED
#define __sinf(v) sinf(v)
#define __cosf(v) cosf(v)
#define sinpi(v) sin(3.14159265358979323846 * (v))
#define cospi(v) cos(3.14159265358979323846 * (v))
#endif
struct Words { u32 x, y, z, w; };
struct Args {
  u64 seed, offset, state; i64 n; double a, b; u64 count; i64 low;
};
DEVICE Words philox(u64 counter, u64 sequence, u64 seed) {
  u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
  Words c = {(u32)counter, (u32)(counter >> 32), (u32)sequence, (u32)(sequence >> 32)};
  for (int round = 0; round < 10; round++) {
    const u64 p = (u64)0xD2511F53u * c.x, q = (u64)0xCD9E8D57u * c.z;
    const Words next = {(u32)(q >> 32) ^ c.y ^ k0, (u32)q,
                        (u32)(p >> 32) ^ c.w ^ k1, (u32)p};
    c = next; k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
  }
  return c;
}
// Uniform in (0, 1].
DEVICE float unit(u32 w) { return w * 2.3283064e-10f + 2.3283064e-10f / 2.0f; }
DEVICE double unit2(u32 a, u32 b) {
  const u64 w = (u64)a ^ ((u64)b << 21);
  return w * 1.1102230246251565e-16 + 1.1102230246251565e-16 / 2.0;
}
// PyTorch's normals use the fast functions of the hardware too.
DEVICE void normals(u32 a, u32 b, float* out) {
  const float s = sqrtf(-2.0f * logf(unit(a)));
  const float turn = 2.3283064e-10f * 6.2831855f, v = b * turn + turn / 2.0f;
  out[0] = s * __sinf(v); out[1] = s * __cosf(v);
}
DEVICE void normals2(Words w, double* out) {
  const double s = sqrt(-2.0 * log(unit2(w.x, w.y)));
  const double v = 2.0 * unit2(w.z, w.w);
  out[0] = s * sinpi(v); out[1] = s * cospi(v);
}
DEVICE float logarithm(float u) {
  return u >= 1.0f - 5.9604645e-8f ? -5.9604645e-8f : logf(u);
}
DEVICE double logarithm(double u) {
  return u >= 1.0 - 1.1102230246251565e-16 ? -1.1102230246251565e-16 : log(u);
}
DEVICE T draw(A u, A a, A b, T*) { return %(expression)s; }
KERNEL sample(T* o, const Args g) {
  const u64 thread = (u64)blockIdx.x * blockDim.x + threadIdx.x;
  const i64 threads = (i64)gridDim.x * blockDim.x;
  u64 seed = g.seed, counter = g.offset;
  if (g.state) {
    const u64* held = (const u64*)g.state;
    seed = held[0]; counter += held[1];
  }
  counter >>= 2;
  const A a = (A)g.a, b = (A)g.b;
  for (i64 i = thread; i < g.n; i += threads * EACH, counter++) {
    const Words w = philox(counter, thread, seed);
    %(words)s
    for (int k = 0; k < EACH; k++) {
      const i64 at = i + k * threads;
      if (at < g.n) o[at] = %(value)s;
    }
  }
}
"""

_UNIFORM = {
    "float": "const float u[4] = {unit(w.x), unit(w.y), unit(w.z), unit(w.w)};",
    "double": "const double u[2] = {unit2(w.x, w.y), unit2(w.z, w.w)};",
}
_NORMAL = {
    "float": "float u[4]; normals(w.x, w.y, u); normals(w.z, w.w, u + 2);",
    "double": "double u[2]; normals2(w, u);",
}
_INTEGERS = {
    4: "const u64 u[4] = {w.x, w.y, w.z, w.w};",
    2: "const u64 u[2] = {(u64)w.x << 32 | w.y, (u64)w.z << 32 | w.w};",
}
# Of a number u: uniform in (0, 1], or normal. Parameters are a and b.
_SAMPLERS = {
    "uniform": (_UNIFORM, "inside(narrow<T>(u * (b - a) + a), a, b)"),
    "bernoulli": (_UNIFORM, "narrow<T>((A)(u <= a && a > 0))"),
    "exponential": (_UNIFORM, "narrow<T>(-logarithm(u) / a)"),
    "cauchy": (
        _UNIFORM,
        "narrow<T>(a + b * tan((A)3.14159265358979323846 * (u - (A)0.5)))",
    ),
    "geometric": (_UNIFORM, "narrow<T>(ceil(log(u) / log1p(-a)))"),
    "normal": (_NORMAL, "narrow<T>(u * b + a)"),
    "log_normal": (_NORMAL, "narrow<T>(exp(u * b + a))"),
}
# The upper end of (0, 1] becomes the lower one.
_INSIDE = """
DEVICE T inside(T v, A a, A b) { return wide(v) == wide(narrow<T>(b)) ? narrow<T>(a) : v; }
"""


def program(name: str, storage: str, each: int) -> str:
    """The source of a sampler: ``each`` numbers by a step of the counter."""
    wide = "double" if storage == "double" else "float"
    if name == "integers":
        words, expression = _INTEGERS[each], "narrow<T>(u)"
        whole = "(i64)((g.count ? u[k] % g.count : u[k]) + (u64)g.low)"
        if storage == "u8b":
            value = f"(T)(({whole}) & 1)"
        elif storage in ("half_t", "bf16_t"):
            value = f"narrow<T>((float){whole})"
        else:
            value = f"(T){whole}"
    else:
        words, expression = _SAMPLERS[name][0][wide], _SAMPLERS[name][1]
        value = "draw(u[k], a, b, (T*)0)"
    parts = {"expression": expression, "words": words, "value": value}
    return _INSIDE + _SOURCE % parts


class PhiloxEngine(DeviceSampler):
    """A stream of a seed, and the offset of what comes next.

    Samplers take a shape and a NumPy dtype as those of the ``cpu`` engine do (which checks
    their parameters too), and return native arrays.
    """

    def __init__(self, backend: Any = None, index: int = 0) -> None:
        from dispatchtorch.backend import get_backend

        self._backend: Any = get_backend("cuda") if backend is None else backend
        self._index = index
        self._lock = threading.RLock()
        self._seed = DEFAULT_SEED
        self._offset = 0
        self._captured: Any = None
        self._checks: Any = None
        self._kernels: dict[Any, Any] = {}

    # Seeds and state.

    def set_offset(self, offset: int) -> None:
        if offset % 4:
            raise RuntimeError("offset must be a multiple of 4")
        with self._lock:
            self._offset = int(offset)

    def get_state(self) -> np.ndarray[Any, Any]:
        """Sixteen bytes: the seed and the offset."""
        return np.array([self._seed, self._offset], "uint64").view("uint8")

    def set_state(self, state: np.ndarray[Any, Any]) -> PhiloxEngine:
        if state.nbytes not in (8, 16):
            raise RuntimeError("RNG state is wrong size")
        words = np.ascontiguousarray(state).view("uint64")
        with self._lock:
            self._seed = int(words[0])
            self._offset = int(words[1]) if len(words) > 1 else 0
        return self

    def clone(self) -> PhiloxEngine:
        return type(self)(self._backend, self._index).set_state(self.get_state())

    # Graphs: the seed and the offset are read from memory that each replay writes.

    def capture(self, held: Any) -> Any:
        """Draws from the state in ``held`` (or the engine's own: None); the last one."""
        with self._lock:
            before, self._captured = self._captured, held
        return before

    def take(self, increment: int) -> tuple[int, int, int]:
        """(seed, offset, address of a state that is added, or 0), moved on by steps.

        ``increment`` counts words of 32 bits that each thread may draw.
        """
        increment = -(-increment // 4) * 4
        with self._lock:
            held = self._captured
            if held is not None:
                start = held.offset
                held.offset += increment
                return self._seed, start, held.address
            start = self._offset
            self._offset = (start + increment) % 2**64
        return self._seed, start, 0

    # Sampling.

    def _threads(self, n: int) -> int:
        """Blocks that are started for ``n`` numbers."""
        found = self._backend.runtime.properties(self._index)
        each = found["max_threads_per_multi_processor"] // _BLOCK
        return min(found["multi_processor_count"] * each, -(-n // _BLOCK))

    def _draw(
        self,
        name: str,
        shape: Any,
        host: Any,
        a: float = 0.0,
        b: float = 1.0,
        count: int = 0,
        low: int = 0,
    ) -> Any:
        host = np.dtype(host)
        dtype = dtypes.from_host_dtype(host)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        made = self._backend.empty(shape, dtype, self._index)
        n = math.prod(shape)
        if not n:
            return made
        if name == "integers":
            each = 4 if 0 < count < _TWO_WORDS else 2
        else:
            each = 2 if host == np.float64 else 4
        blocks = self._threads(n)
        steps = (n - 1) // (_BLOCK * blocks * each) + 1
        seed, offset, state = self.take(4 * steps)
        launcher = self._backend.runtime.launcher
        launch = self._kernel(launcher, name, dtype, host, each)
        values = (seed, offset, state, n, float(a), float(b), count, low)
        with self._backend.runtime.on(self._index):
            launch((blocks,), (_BLOCK,), (made, launcher.constant("QQQqddQq", *values)))
        return made

    def _kernel(
        self, launcher: Any, name: str, dtype: Any, host: Any, each: int
    ) -> Any:
        key = (name, dtype, each)
        found = self._kernels.get(key)
        if found is None:
            storage = STORAGE[host]
            marked = "u8b" if dtype is dtypes.bool else storage
            defined = {
                "T": storage,
                "A": "double" if storage == "double" else "float",
                "EACH": each,
            }
            code = launcher.program(defined, program(name, marked, each))
            found = self._kernels[key] = launcher.compile(code, "sample")
        return found

    def _complex(self, name: str, shape: Any, dtype: Any, a: Any, b: Any) -> Any:
        if name == "normal":  # each part has half of the variance
            b *= math.sqrt(0.5)
        host = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        real = np.dtype("f4" if host.itemsize == 8 else "f8")
        parts = self._draw(name, (*shape, 2), real, complex(a).real, b)
        made = parts.view(host) if parts.size else parts[..., :1].astype(host)
        return made.reshape(shape)

    def random_from_to(
        self, shape: Any, dtype: Any, low: int = 0, high: int | None = None
    ) -> Any:
        from dispatchtorch_numpy._random_checks import integer_range

        self._checked("random_from_to", dtype, low, high)
        base, count = integer_range(np.dtype(dtype), low, high)
        return self._draw("integers", shape, dtype, count=count % 2**64, low=base)

    def _salt(self, name: str) -> int:
        _, offset, state = self.take(4)
        if state:
            raise RuntimeError(
                f"{name} draws on the host, which a CUDA graph can't record"
            )
        return int(offset)
