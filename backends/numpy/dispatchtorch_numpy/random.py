"""The generator of the ``cpu`` device: PyTorch's CPU random numbers on NumPy.

The same seed gives the same numbers as PyTorch 2.13's CPU generator, and leaves the
same state: integers, permutations, masks and uniforms bit for bit, what goes through
logarithms and cosines to the last bits of the dtype. Arrays are filled in C order.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _sampling
from ._mt19937 import DEFAULT_SEED, MT19937Stream, checked_seed, entropy_seed
from ._random_checks import (
    DIGITS,
    check_multinomial,
    check_permutation,
    check_uniform,
    cpp_name,
    dtype_name,
    integer_range,
    is_narrow_float,
    require,
    torch_name,
)

__all__ = ["CPUGenerator"]

Array = np.ndarray[Any, Any]
Shape = int | tuple[int, ...]

_SIGNED_OR_BYTE = frozenset(("uint8", "int8", "int16", "int32", "int64"))
_EXACT = _SIGNED_OR_BYTE | {"bool"}
_WIDE = frozenset(("float32", "float64"))
_BERNOULLI = _EXACT | frozenset(DIGITS)

# From this range on an integer costs two words.
_TWO_WORDS = 2**28
# From this length on a permutation is drawn from 64-bit words.
_LONG_PERMUTATION = (2**32 - 1) // 20
# Elements made at once: a multiple of 16 whose temporaries stay in the cache.
_CHUNK = 1 << 15


def _tuple(shape: Shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def _store(out: Array, values: Array) -> None:
    """Write `values` as `out`'s dtype; 16-bit floats are rounded by way of float32."""
    if values.dtype == np.float64 and is_narrow_float(out.dtype):
        values = values.astype(np.float32)
    out[...] = values


def _restored(kind: type[CPUGenerator], state: Array) -> CPUGenerator:
    return kind().set_state(state)


class CPUGenerator(MT19937Stream):
    """PyTorch's CPU generator: MT19937 and the samplers drawing from it.

    Samplers take a shape (or an array of parameters) and a NumPy dtype, ml_dtypes'
    bfloat16 among them, and return a fresh C-contiguous array. One lock a generator
    makes each call atomic. Bad parameters raise PyTorch's errors.
    """

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._lock = threading.RLock()
        super().__init__(seed)

    # ---------------------------------------------------------- seeds and state

    def manual_seed(self, seed: int) -> CPUGenerator:
        """Start over from `seed`, any signed or unsigned 64-bit integer."""
        checked = checked_seed(seed)
        with self._lock:
            self._reseed(checked)
        return self

    def seed(self) -> int:
        """Start over from a seed of the operating system's entropy; returns it."""
        seed = entropy_seed()
        self.manual_seed(seed)
        return seed

    def initial_seed(self) -> int:
        """The seed that the stream was last started from."""
        return self._seed

    def get_state(self) -> Array:
        """The state as PyTorch's 5056 bytes (uint8)."""
        with self._lock:
            return self._dump()

    def set_state(self, state: Array) -> CPUGenerator:
        """Take over a state of :meth:`get_state`'s or of PyTorch's.

        Raises TypeError unless uint8, RuntimeError for a wrong size or content.
        """
        with self._lock:
            self._load(state)
        return self

    def clone(self) -> CPUGenerator:
        """A generator of its own at the same place of the same stream."""
        return type(self)().set_state(self.get_state())

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.get_state())

    # ---------------------------------------------------------------- raw words

    def random(self, n: int) -> Array:
        """The next `n` 32-bit words (uint32)."""
        with self._lock:
            return self.words(n)

    def random64(self, n: int) -> Array:
        """The next `n` 64-bit words (uint64): two 32-bit words, high one first."""
        with self._lock:
            return self.words64(n)

    # ------------------------------------------------------------------ helpers

    def _fill(
        self, shape: Shape, dtype: np.dtype[Any], draw: Callable[[int], Array]
    ) -> Array:
        """An array of `draw`'s values, drawn in chunks that stay in the cache."""
        shape = _tuple(shape)
        size = math.prod(shape)
        if size <= _CHUNK:
            with self._lock:
                values = draw(size)
            if values.dtype == dtype:
                return values.reshape(shape)
            out = np.empty(shape, dtype)
            _store(out, values.reshape(shape))
            return out
        out = np.empty(shape, dtype)
        flat = out.reshape(-1)
        with self._lock:
            for start in range(0, size, _CHUNK):
                part = flat[start : start + _CHUNK]
                _store(part, draw(part.size))
        return out

    def _fill_silently(
        self, shape: Shape, dtype: np.dtype[Any], draw: Callable[[int], Array]
    ) -> Array:
        """:meth:`_fill` where a value may overflow, as it may in PyTorch."""
        with np.errstate(all="ignore"):
            return self._fill(shape, dtype, draw)

    def _real_view(
        self, shape: Shape, dtype: np.dtype[Any], sample: Callable[..., Array]
    ) -> Array:
        """A complex array from a real sampler: real and imaginary part by turns."""
        real = np.dtype(f"f{dtype.itemsize // 2}")
        shape = _tuple(shape)
        return sample((*shape, 2), real).view(dtype).reshape(shape)

    # ------------------------------------------------------------------- floats

    def uniform(
        self, shape: Shape, dtype: Any, low: float = 0.0, high: float = 1.0
    ) -> Array:
        """Uniforms in [low, high), as `uniform_` and `rand`; complex by parts."""
        dt = np.dtype(dtype)
        if dt.kind == "c":
            return self._real_view(
                shape, dt, lambda s, d: self.uniform(s, d, low, high)
            )
        check_uniform(dt, low, high)
        double = dt == np.float64
        unit = self.doubles if double else self.floats
        if (low, high) == (0.0, 1.0) and dtype_name(dt) in _WIDE:
            return self._fill(shape, dt, unit)
        wide = np.dtype(np.float64 if double else np.float32)
        ends = np.array((low, high), wide)
        scale, shift = float(ends[1] - ends[0]), float(ends[0])
        first, end = ends.astype(dt)

        def draw(n: int) -> Array:
            out = _sampling.affine(unit(n), scale, shift).astype(wide).astype(dt)
            # rounding may have carried a value up to the open end
            np.copyto(out, first, where=out == end)
            return out

        return self._fill(shape, dt, draw)

    def normal(
        self,
        shape: Shape,
        dtype: Any,
        mean: float = 0.0,
        std: float = 1.0,
        *,
        contiguous: bool = True,
    ) -> Array:
        """Normal variates, as `normal_` and `randn`; complex ones have variance std².

        From 16 elements on PyTorch draws blocks of 16 into a contiguous tensor. For a
        strided one (`contiguous=False`) it draws pairs in float64, as for a few.
        """
        dt = np.dtype(dtype)
        if not std >= 0.0:
            raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
        if dt.kind == "c":
            part = std / math.sqrt(2.0)
            return self._real_view(
                shape,
                dt,
                lambda s, d: self.normal(s, d, mean, part, contiguous=contiguous),
            )
        require(dt, DIGITS, "normal_kernel_cpu")
        out = np.empty(_tuple(shape), dt)
        flat = out.reshape(-1)
        with self._lock, np.errstate(all="ignore"):
            if contiguous and flat.size >= 16:
                self._normal_blocks(flat, mean, std)
            else:
                _store(flat, self._normals(flat.size, mean, std))
        return out

    def _normal_blocks(self, flat: Array, mean: float, std: float) -> None:
        double = flat.dtype == np.float64
        draw = self.doubles if double else self.floats
        if not double:
            mean, std = float(np.float32(mean)), float(np.float32(std))

        def normals(u: Array) -> Array:
            z = _sampling.box_muller_16(u)
            if std == 1.0 and mean == 0.0:
                return z
            return _sampling.affine(z, std, mean).astype(z.dtype)

        size, whole = flat.size, flat.size & ~15
        rest = size - whole
        for start in range(0, whole, _CHUNK):
            stop = min(start + _CHUNK, whole)
            if stop < whole or not rest:
                _store(flat[start:stop], normals(draw(stop - start)))
                continue
            # The last 16 are drawn anew. Wide dtypes first draw, unused, the rest.
            unused = rest if dtype_name(flat.dtype) in _WIDE else 0
            u = draw(stop - start + unused + 16)
            if unused:
                u = np.concatenate((u[: stop - start], u[-16:]))
            z = normals(u)
            _store(flat[start:stop], z[:-16])
            _store(flat[-16:], z[-16:])

    def _normals(self, n: int, mean: float, std: float) -> Array:
        """`n` float64 normals drawn one after the other, the odd one kept for later."""
        out = np.empty(n)
        at = 0
        if n and self._spare is not None:
            out[0], self._spare, at = self._spare, None, 1
        while at < n:
            count = min(n - at, _CHUNK)
            pairs = _sampling.box_muller_pairs(self.doubles(count + (count & 1)))
            out[at : at + count] = pairs[:count]
            if count & 1:
                self._spare = float(pairs[-1])
            at += count
        if std == 1.0 and mean == 0.0:
            return out
        return _sampling.affine(out, std, mean)

    def log_normal(
        self, shape: Shape, dtype: Any, mean: float = 1.0, std: float = 2.0
    ) -> Array:
        """Exponentials of normal variates, as `log_normal_`."""
        dt = np.dtype(dtype)
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
        require(dt, DIGITS, "log_normal_cpu")
        return self._fill_silently(
            shape, dt, lambda n: np.exp(self._normals(n, mean, std))
        )

    def cauchy(
        self, shape: Shape, dtype: Any, median: float = 0.0, sigma: float = 1.0
    ) -> Array:
        """Cauchy variates, as `cauchy_`."""
        dt = np.dtype(dtype)
        if not sigma > 0.0:
            raise RuntimeError(
                f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}"
            )
        if cpp_name(dt) and dtype_name(dt) not in DIGITS:
            raise RuntimeError(
                "Cauchy distribution is a continuous probability distribution. dtype "
                f"must be a floating point but you specified {cpp_name(dt)}"
            )
        require(dt, DIGITS, "cauchy_cpu")

        def draw(n: int) -> Array:
            angle = self.doubles(n)
            angle -= 0.5
            angle *= math.pi
            return _sampling.affine(np.tan(angle), sigma, median)

        return self._fill_silently(shape, dt, draw)

    def exponential(self, shape: Shape, dtype: Any, lambd: float = 1.0) -> Array:
        """Exponential variates of rate `lambd`, as `exponential_`."""
        dt = np.dtype(dtype)
        if not lambd > 0.0:
            raise RuntimeError(
                f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}"
            )
        shape = _tuple(shape)
        if 0 not in shape and cpp_name(dt) and dtype_name(dt) not in DIGITS:
            raise RuntimeError(
                "Exponential distribution is a continuous probability distribution. "
                f"dtype must be a floating point but you specified {torch_name(dt)}"
            )
        require(dt, DIGITS, "exponential_cpu")

        def draw(n: int) -> Array:
            u = self.doubles(n)
            np.log1p(np.negative(u, out=u), out=u)
            u *= -1.0 / lambd
            return u

        return self._fill_silently(shape, dt, draw)

    # ----------------------------------------------------------------- integers

    def random_from_to(
        self, shape: Shape, dtype: Any, low: int = 0, high: int | None = None
    ) -> Array:
        """Integers in [low, high), as `randint` and `random_(low, high)`.

        Without `high` up to the dtype's largest, that included. Float dtypes hold
        whole numbers.
        """
        dt = np.dtype(dtype)
        base, count = integer_range(dt, low, high)
        if count >= 2**64:
            return self._fill(shape, dt, lambda n: self.words64(n).view(np.int64))

        def draw(n: int) -> Array:
            if count < _TWO_WORDS:
                values = _sampling.modulo(self.words(n), count).astype(np.int64)
            else:
                values = _sampling.modulo(self.words64(n), count).view(np.int64)
            values += base
            return values

        if is_narrow_float(dt):
            return self._fill(shape, dt, lambda n: draw(n).astype(np.float32))
        return self._fill(shape, dt, draw)

    def random_full(self, shape: Shape, dtype: Any) -> Array:
        """Integers of the dtype's whole non-negative range, as `random_()`.

        Float dtypes get whole numbers up to the last before which all are exact.
        """
        dt = np.dtype(dtype)
        require(dt, _BERNOULLI, "random_kernel_cpu")
        if dtype_name(dt) in DIGITS:
            count = 2 ** DIGITS[dtype_name(dt)] + 1
        else:
            count = 2 if dt.kind == "b" else int(np.iinfo(dt).max) + 1
        words = self.words64 if dt.itemsize == 8 else self.words

        def draw(n: int) -> Array:
            values = _sampling.modulo(words(n), count)
            return values.astype(np.float32) if is_narrow_float(dt) else values

        return self._fill(shape, dt, draw)

    def randperm(self, n: int, dtype: Any = np.int64) -> Array:
        """A permutation of 0 to n - 1, as `randperm`."""
        dt = np.dtype(dtype)
        check_permutation(dt, n)
        with self._lock:
            if n < _LONG_PERMUTATION:
                order = (
                    _sampling.swap_shuffle(self.words(n - 1))
                    if n
                    else np.empty(0, np.int64)
                )
            else:
                order = np.empty(n, np.int64)
                _sampling.inside_out_shuffle(
                    order,
                    (
                        self.words64(min(_CHUNK, n - start))
                        for start in range(0, n, _CHUNK)
                    ),
                )
        out = np.empty(n, dt)
        _store(out, order.astype(np.float32) if dtype_name(dt) in DIGITS else order)
        return out

    # ------------------------------------------------------- trials and classes

    def bernoulli_scalar(self, shape: Shape, dtype: Any, p: float) -> Array:
        """Ones with probability `p`, else zeros, as `bernoulli_(p)` and dropout."""
        dt = np.dtype(dtype)
        if not 0.0 <= p <= 1.0:
            raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
        require(dt, _BERNOULLI, "bernoulli_scalar_cpu_")
        mask = np.uint64(2**53 - 1)
        bound = np.uint64(math.ceil(p * 2.0**53))

        def draw(n: int) -> Array:
            words = self.words64(n)
            words &= mask
            return words < bound

        return self._fill(shape, dt, draw)

    def bernoulli_tensor(self, p: Array, dtype: Any = None) -> Array:
        """Ones with probabilities `p`, as `bernoulli` and `bernoulli_(p)`.

        The result has `p`'s shape, and its dtype unless another is given.
        """
        dt = p.dtype if dtype is None else np.dtype(dtype)
        require(dt, _BERNOULLI, "bernoulli_tensor_cpu_self_")
        require(p.dtype, DIGITS, "bernoulli_tensor_cpu_p_")
        flat = p.reshape(-1)
        if not np.all((flat >= 0) & (flat <= 1)):
            raise RuntimeError(
                "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could "
                "this error message be improved?  If so, please report an enhancement "
                "request to PyTorch.)"
            )
        double = p.dtype == np.float64
        draw = self.doubles if double else self.floats
        if not double:
            flat = flat.astype(np.float32, copy=False)
        with self._lock:
            hits = draw(flat.size) < flat
        return hits.astype(dt).reshape(p.shape)

    def geometric(self, shape: Shape, dtype: Any, p: float) -> Array:
        """Trials up to the first success, as `geometric_`."""
        dt = np.dtype(dtype)
        if not 0.0 < p < 1.0:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
        require(dt, _SIGNED_OR_BYTE | frozenset(DIGITS), "geometric_cpu")
        log_miss = math.log1p(-p)

        def draw(n: int) -> Array:
            u = self.doubles(n)
            np.log(u, out=u)
            u /= log_miss
            np.ceil(u, out=u)
            if dt.kind not in "iu":
                return u
            if dt.itemsize < 8:  # by way of 32 bits, as processors convert
                u[u >= 2.0**31] = -(2.0**31)
            return u.astype(np.int64)

        return self._fill_silently(shape, dt, draw)

    def multinomial(
        self, weights: Array, num_samples: int, replacement: bool = False
    ) -> Array:
        """Indices (int64) drawn by `weights` along the last of one or two dims.

        Without replacement, or for one sample, the largest of weights over exponential
        variates win; else uniforms are looked up in the cumulated weights.
        """
        check_multinomial(weights, num_samples, replacement)
        rows = weights.reshape(-1, weights.shape[-1])
        shape = (*weights.shape[:-1], num_samples)
        with self._lock, np.errstate(all="ignore"):
            if not replacement or num_samples == 1:
                # Like all fillings, that of the variates goes along the memory.
                turned = 0 < rows.strides[0] < rows.strides[1]
                shape_of = rows.shape[::-1] if turned else rows.shape
                variates = self.exponential(shape_of, rows.dtype)
                race = rows / (variates.T if turned else variates)
                return _largest(race, num_samples).reshape(shape)
            u = self.doubles(len(rows) * num_samples).reshape(-1, num_samples)
            accumulator = np.float64 if rows.dtype == np.float64 else np.float32
            out = np.empty(u.shape, np.int64)
            for row, draws, to in zip(rows.astype(accumulator), u, out):
                steps: Array = np.cumsum(row, dtype=accumulator)
                np.divide(steps, steps[-1], out=steps)
                steps[-1] = 1.0
                to[...] = np.searchsorted(steps.astype(np.float64), draws)
            return out.reshape(shape)

    # ------------------------------------------------- one variate a parameter

    def poisson(self, rates: Array) -> Array:
        """Poisson variates of `rates`, in their dtype, as `poisson`."""
        require(rates.dtype, DIGITS, "poisson_cpu")
        if not np.all(rates >= 0):
            raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
        values = rates.reshape(-1).tolist()

        def run(uniform: Callable[[], float]) -> list[float]:
            return [_sampling.poisson(value, uniform) for value in values]

        return self._one_each(run, rates)

    def binomial(self, count: Array, prob: Array) -> Array:
        """Successes in `count` trials of probability `prob` (same shape and dtype).

        Where either is NaN so is the result; PyTorch may not return.
        """
        require(count.dtype, _WIDE, "binomial_cpu")
        counts, probs = count.reshape(-1), prob.reshape(-1)

        def run(uniform: Callable[[], float]) -> list[float]:
            return _sampling.binomial(counts, probs, uniform)

        return self._one_each(run, count)

    def standard_gamma(self, concentration: Array) -> Array:
        """Gamma variates of rate one, in the dtype of `concentration`."""
        require(concentration.dtype, _WIDE, "gamma_cpu")
        flat = concentration.reshape(-1)

        def run(uniform: Callable[[], float]) -> list[float]:
            values, self._spare = _sampling.gamma(flat, uniform, self._spare)
            return values

        out = self._one_each(run, concentration)
        np.fmax(out, np.finfo(out.dtype).tiny, out=out)
        return out

    def dirichlet(self, concentration: Array) -> Array:
        """Points on the simplex: gamma variates over their sum along the last dim."""
        require(concentration.dtype, _WIDE, "dirichlet")
        parts = self.standard_gamma(concentration.astype(np.float64))
        parts /= parts.sum(-1, keepdims=True)
        info = np.finfo(concentration.dtype)
        largest = 1.0 - float(info.epsneg)
        out = parts.astype(concentration.dtype, copy=False)
        np.clip(out, info.tiny, out.dtype.type(largest), out=out)
        return out

    def _one_each(
        self, run: Callable[[Callable[[], float]], list[float]], like: Array
    ) -> Array:
        out = np.empty(like.shape, like.dtype)
        with self._lock:
            values = self.serially(run, like.size)
        _store(out.reshape(-1), np.array(values, np.float64))
        return out

    def rrelu_noise(self, x: Array, lower: float, upper: float) -> Array:
        """The slopes of a randomised leaky ReLU: uniform where x <= 0, else one."""
        require(x.dtype, _WIDE | {"bfloat16"}, "rrelu_with_noise_out_cpu")
        out = np.ones(x.shape, x.dtype)
        negative = x <= 0
        if x.dtype != np.float64:
            lower, upper = float(np.float32(lower)), float(np.float32(upper))
        with self._lock:
            u = self.doubles(int(np.count_nonzero(negative)))
        u *= upper - lower
        u += lower
        slopes = np.empty(u.shape, x.dtype)
        _store(slopes, u)
        out[negative] = slopes
        return out


def _largest(values: Array, count: int) -> Array:
    """Indices of the `count` largest of each row, descending, NaN largest of all."""
    if count == 1:
        winner: Array = values.argmax(-1)
        return winner
    keys = -np.where(np.isnan(values), np.inf, values.astype(np.float64))
    if 8 * count < keys.shape[-1]:
        some = np.argpartition(keys, count - 1, -1)[:, :count]
        order = np.take_along_axis(keys, some, -1).argsort(-1, kind="stable")
        return np.take_along_axis(some, order, -1)
    return np.ascontiguousarray(keys.argsort(-1, kind="stable")[:, :count])
