"""The arithmetic of the samplers: uniforms in, variates out.

Vectorised transforms where every variate costs the same number of uniforms, scalar
loops over a source of uniforms where it doesn't (rejection samplers). Where PyTorch's
compiled kernels fuse a multiply and an add, so does :func:`affine`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

__all__ = [
    "affine",
    "binomial",
    "box_muller_16",
    "box_muller_pairs",
    "gamma",
    "inside_out_shuffle",
    "modulo",
    "poisson",
    "swap_shuffle",
]

Uniform = Callable[[], float]

_SPLIT = 2.0**27 + 1
# beyond this the products of splitting overflow; a fused result is then not attempted
_SPLIT_MAX = 2.0**900
_SPLIT_DOWN = 2.0**128  # what larger ones are divided by meanwhile
_INT64_MIN = -(2**63)
_ROWS = 4096  # parameters prepared at once
_HALF_BLOCK = {4: np.dtype("V32"), 8: np.dtype("V64")}


def affine(x: np.ndarray, scale: float, shift: float) -> np.ndarray:
    """`x * scale + shift` in float64, rounded once as a fused multiply-add does.

    Float32 and integer `x` of at most 29 significant bits need no more than float64;
    float64 goes through error-free products and sums (Dekker, Knuth).
    """
    if x.dtype != np.float64:
        out: np.ndarray = np.multiply(x, scale, dtype=np.float64)
        out += shift
        return out
    product = x * scale
    splits = abs(scale) < _SPLIT_MAX and abs(shift) < _SPLIT_MAX
    if shift == 0.0 or scale == 1.0:
        return product + shift
    if not splits:  # the factors below would overflow; a power of two is exact
        down = 1.0 / _SPLIT_DOWN
        return affine(x, scale * down, shift * down) * _SPLIT_DOWN
    scale_high = _SPLIT * scale
    scale_high -= scale_high - scale
    scale_low = scale - scale_high
    high = _SPLIT * x
    high -= high - x
    low = x - high
    error = high * scale_high - product
    error += high * scale_low
    error += low * scale_high
    error += low * scale_low
    total = product + shift
    part = total - product
    error += (product - (total - part)) + (shift - part)
    return total + error


def modulo(words: np.ndarray, divisor: int) -> np.ndarray:
    """`words % divisor`, in place; NumPy vectorises the division, not the remainder."""
    by = words.dtype.type(divisor)
    quotient = words // by
    quotient *= by
    words -= quotient
    return words


# -------------------------------------------------------------------- normal variates


def box_muller_16(u: np.ndarray) -> np.ndarray:
    """Normals from uniforms in blocks of 16, in `u`'s dtype (float32 or float64).

    In a block the first 8 uniforms give radii, the last 8 angles; the cosines come
    out first. Halves of blocks are moved as opaque items: that is one memory move.
    """
    half = _HALF_BLOCK[u.itemsize]
    halves = u.view(half).reshape(-1, 2)
    radius = np.ascontiguousarray(halves[:, 0]).view(u.dtype)
    angle = np.ascontiguousarray(halves[:, 1]).view(u.dtype)
    np.subtract(1.0, radius, out=radius)
    # NumPy's float32 logarithm is the one function here that float64 is better for
    np.copyto(radius, np.log(radius, dtype=np.float64), casting="same_kind")
    radius *= -2.0
    np.sqrt(radius, out=radius)
    angle *= 2.0 * math.pi
    cosine = np.cos(angle)
    cosine *= radius
    sine = np.sin(angle, out=angle)
    sine *= radius
    out = np.empty_like(u)
    halves = out.view(half).reshape(-1, 2)
    halves[:, 0] = cosine.view(half)
    halves[:, 1] = sine.view(half)
    return out


def box_muller_pairs(u: np.ndarray) -> np.ndarray:
    """Normals from float64 uniforms two by two: (angle, radius) to (cosine, sine)."""
    if u.size <= 16:  # the C library's functions, bit for bit PyTorch's
        out: list[float] = []
        values = u.tolist()
        for at in range(0, u.size, 2):
            out += _pair(values[at], values[at + 1])
        return np.array(out)
    angle = u[::2] * (2.0 * math.pi)
    radius = np.sqrt(-2.0 * np.log1p(-u[1::2]))
    pairs = np.empty_like(u)
    np.multiply(radius, np.cos(angle), out=pairs[::2])
    np.multiply(radius, np.sin(angle), out=pairs[1::2])
    # the one pair whose half may go into the generator's state
    pairs[-2:] = _pair(float(u[-2]), float(u[-1]))
    return pairs


def _pair(a: float, b: float) -> tuple[float, float]:
    radius = math.sqrt(-2.0 * math.log1p(-b))
    angle = 2.0 * math.pi * a
    return radius * math.cos(angle), radius * math.sin(angle)


# ------------------------------------------------------------------------ permutations


def swap_shuffle(words: np.ndarray) -> np.ndarray:
    """The Fisher-Yates shuffle of `len(words) + 1` items, step i drawing word i.

    Step i swaps items i and i + words[i] % (n - i). Short ones loop. Long ones are
    solved at once: item i ends as what its partner place held before step i. A place
    holds its own number until a step k picks it; from then on what place k held
    before step k, which makes a forest of pointers k -> last step that picked k.
    """
    steps = len(words)
    n = steps + 1
    if n < 400:
        out = list(range(n))
        for i, word in enumerate(words.tolist()):
            j = i + word % (n - i)
            out[i], out[j] = out[j], out[i]
        return np.array(out, np.int64)
    place = np.arange(steps, dtype=np.int32)
    partner = (words % np.arange(n, 1, -1, dtype=np.uint32)).astype(np.int32)
    partner += place
    source = np.arange(n, dtype=np.int32)
    moved = partner > place
    source[partner[moved]] = place[moved]  # the last step that picked a place wins
    chased = np.flatnonzero(source != np.arange(n, dtype=np.int32))
    while chased.size:
        now = source[chased]
        further = source[now]
        source[chased] = further
        chased = chased[further != now]
    # Steps sorted by (partner, step): the one before is the last to pick that place.
    held = partner.astype(np.int64)
    held <<= 32
    held |= place
    held.sort()
    step = held & 0xFFFFFFFF
    held >>= 32
    again = np.flatnonzero(held[1:] == held[:-1])
    held[again + 1] = source[step[again]]
    order = np.empty(n, np.int64)
    order[step] = held
    order[-1] = source[-1]
    return order


def inside_out_shuffle(out: np.ndarray, chunks: Iterable[np.ndarray]) -> None:
    """The inside-out shuffle into int64 `out`, step i drawing 64-bit word i."""
    items = memoryview(out)  # type: ignore[arg-type]
    i = 0
    for words in chunks:
        for word in words.tolist():
            j = word % (i + 1)
            items[i] = items[j]
            items[j] = i
            i += 1


# ------------------------------------------------------------------ rejection samplers


def _floor(x: float) -> int:
    """The floor as a 64-bit integer, with C's answer where it doesn't fit."""
    return math.floor(x) if abs(x) < 2.0**63 else _INT64_MIN


def poisson(rate: float, uniform: Uniform) -> float:
    """One Poisson variate: products below a rate of 10, else Hörmann's PTRS (1993)."""
    if rate == 0.0:
        return 0
    if rate < 10.0:
        floor = math.exp(-rate)
        product = uniform()
        k = 0
        while product > floor:
            k += 1
            product *= uniform()
        return k
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = uniform() - 0.5
        v = uniform()
        us = 0.5 - abs(u)
        if us == 0.0:  # an infinite candidate, never accepted
            continue
        k = _floor((2.0 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        density = k * log_rate - rate - math.lgamma(k + 1)
        if v == 0.0 or (
            math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
            <= density
        ):
            return k


def _stirling_tail(k: float) -> float:
    """log k! less Stirling's approximation of it."""
    if k <= 9.0 and k == int(k):
        return _TAILS[int(k)]
    square = (k + 1.0) * (k + 1.0)
    return (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (k + 1.0)


_TAILS = tuple(
    math.lgamma(k + 1.0)
    - (k + 0.5) * math.log(k + 1.0)
    + (k + 1.0)
    - 0.5 * math.log(2.0 * math.pi)
    for k in range(10)
)


def binomial(count: np.ndarray, prob: np.ndarray, uniform: Uniform) -> list[float]:
    """Binomial variates: geometric gaps for a mean below 10, else Hörmann's BTRS.

    What comes of the parameters alone is worked out in their dtype, then in float64.
    """
    out: list[float] = []
    for start in range(0, count.size, _ROWS):
        rows = slice(start, start + _ROWS)
        for n, p, swap, few, log_miss, *constants in zip(
            *_binomial_constants(count[rows], prob[rows])
        ):
            hits: float = 0
            if math.isnan(n) or math.isnan(p):
                hits = math.nan
            elif n <= 0.0:
                out.append(0.0)
                continue
            elif p > 0.0:
                if few:
                    hits = _successes(n, log_miss, uniform)
                else:
                    hits = _transformed(n, uniform, *constants)
            out.append(n - hits if swap else hits)
    return out


def _binomial_constants(count: np.ndarray, prob: np.ndarray) -> list[list[float]]:
    """For each parameter a list of what the loops need, the rarer outcome counted."""
    one = prob.dtype.type(1)
    with np.errstate(all="ignore"):
        swapped = prob > 0.5
        rare = np.where(swapped, one - prob, prob)
        mean, miss = count * rare, one - rare
        wide = rare.astype(np.float64)
        deviation = np.sqrt(mean * miss).astype(np.float64)
        b = 1.15 + 2.53 * deviation
        columns = (
            count,
            rare,
            swapped,
            mean < 10.0,
            np.log1p(-wide).astype(prob.dtype),
            b,
            -0.0873 + 0.0248 * b + 0.01 * wide,
            mean.astype(np.float64) + 0.5,
            0.92 - 4.2 / b,
            rare / miss,
            (2.83 + 5.1 / b) * deviation,
            np.floor((count + one) * rare),
        )
        return [column.tolist() for column in columns]


def _successes(n: float, log_miss: float, uniform: Uniform) -> int:
    trials = hits = 0
    while True:
        u = uniform()
        if u == 0.0:
            return hits
        trials += math.ceil(math.log(u) / log_miss)
        if trials > n:
            return hits
        hits += 1


def _transformed(
    n: float,
    uniform: Uniform,
    b: float,
    a: float,
    c: float,
    v_r: float,
    odds: float,
    alpha: float,
    m: float,
) -> int:
    while True:
        u = uniform() - 0.5
        v = uniform()
        us = 0.5 - abs(u)
        if us == 0.0:
            continue
        k = math.floor((2.0 * a / us + b) * u + c)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or k > n:
            continue
        rest, m_rest = n - k, n - m
        bound = (
            (m + 0.5) * math.log((m + 1.0) / (odds * (m_rest + 1.0)))
            + (n + 1.0) * math.log((m_rest + 1.0) / (rest + 1.0))
            + (k + 0.5) * math.log(odds * (rest + 1.0) / (k + 1.0))
            + _stirling_tail(m)
            + _stirling_tail(m_rest)
            - _stirling_tail(k)
            - _stirling_tail(rest)
        )
        if v == 0.0 or math.log(v * alpha / (a / (us * us) + b)) <= bound:
            return k


def gamma(
    concentration: np.ndarray, uniform: Uniform, spare: float | None
) -> tuple[list[float], float | None]:
    """Standard gamma variates (Marsaglia and Tsang 2000) and the normal left over.

    The constants are worked out in `concentration`'s own dtype, the rest in float64.
    """
    one = concentration.dtype.type(1)
    small = concentration < one
    with np.errstate(all="ignore"):
        power = (one / concentration).tolist()
        third = concentration.dtype.type(np.float32(1) / np.float32(3))
        shape = np.where(small, concentration + one, concentration) - third
        shape = shape.astype(np.float64)
        slope = (1.0 / np.sqrt(9.0 * shape)).tolist()
    out: list[float] = []
    for alpha, less, inverse, d, c in zip(
        concentration.tolist(), small.tolist(), power, shape.tolist(), slope
    ):
        scale = 1.0
        if less:
            if alpha == 0.0:
                out.append(0.0)
                continue
            scale = _power(1.0 - uniform(), inverse)
        while True:
            y = 0.0
            while y <= 0.0:
                if spare is None:
                    angle = uniform()
                    x, spare = _pair(angle, uniform())
                else:
                    x, spare = spare, None
                y = 1.0 + c * x
            v = y * y * y
            u = 1.0 - uniform()
            square = x * x
            if u < 1.0 - 0.0331 * square * square:
                break
            if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
                break
        out.append(scale * d * v)
    return out, spare


def _power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except OverflowError:
        return math.inf
