"""Error, gamma, Bessel and other special functions, and kernels of rarer pointwise ones.

The error functions follow W. J. Cody, "Rational Chebyshev approximations for the error
function" (Math. Comp. 1969). What NumPy alone can't do well stands on SciPy, imported at
first use.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["kernels_for"]

Kernels = dict[str, tuple[Callable[..., Any], bool]]

# Cody's coefficients, highest power first: numerator and denominator of each interval.
_SMALL = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
     2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
     3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_LARGE = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1,
     1.25781726111229246e-1, 1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1,
     6.05183413124413191e-2, 2.33520497626869185e-3),
)  # fmt: skip
# A fit of erf(x)/x in x² over |x| <= 3.93, enough for single precision.
_SINGLE = (
    (2.042069517658852e-06, 2.847964353738333e-04, 3.77906267823314e-03,
     5.278859783207546e-02, 1.9077107862186107e-01, 1.128379145600105e0),
    (3.8004464080881265e-05, 1.1650804843098307e-03, 1.4996342022760149e-02,
     1.1425224941055731e-01, 5.023991889920008e-01, 1.0),
)  # fmt: skip


def _horner(coefficients: tuple[float, ...], x: Any) -> Any:
    """A polynomial by Horner's rule, with one temporary."""
    of = x.dtype.type
    made = x * of(coefficients[0])
    for each in coefficients[1:-1]:
        made += of(each)
        made *= x
    made += of(coefficients[-1])
    return made


def _ratio(pair: tuple[tuple[float, ...], tuple[float, ...]], x: Any) -> Any:
    made = _horner(pair[0], x)
    made /= _horner(pair[1], x)
    return made


class _Functions:
    """The functions, over one array module. Operands are float32 or float64."""

    def __init__(self, xp: Any) -> None:
        self.xp = xp

    def erf(self, x: Any) -> Any:
        xp = self.xp
        if x.dtype.itemsize == 4:
            y = xp.clip(x, -3.93, 3.93)
            return xp.clip(y * _ratio(_SINGLE, y * y), -1, 1)
        a = xp.abs(x)
        b = xp.minimum(a, 0.46875)
        made = xp.asarray(b * _ratio(_SMALL, b * b))
        far = a > 0.46875
        if far.any():
            y = a[far]
            made[far] = 1 - xp.exp(-y * y) * self._scaled_tail(y)
        made = xp.copysign(made, x)
        return xp.where(xp.isnan(x), x, made)

    def _scaled_tail(self, y: Any) -> Any:
        """exp(y²)·erfc(y) for y > 0.46875."""
        xp = self.xp
        b = xp.minimum(y, 4.0)
        made = xp.asarray(_ratio(_MIDDLE, b))
        far = y > 4
        if far.any():
            z = y[far]
            s = 1 / (z * z)
            made[far] = (1 / math.sqrt(math.pi) - s * _ratio(_LARGE, s)) / z
        return made

    def erfc(self, x: Any) -> Any:
        return self._complement(x, scaled=False)

    def erfcx(self, x: Any) -> Any:
        return self._complement(x, scaled=True)

    def _complement(self, x: Any, scaled: bool) -> Any:
        xp = self.xp
        x64 = xp.asarray(x, "float64")
        a = xp.abs(x64)
        made = xp.asarray(1 - self.erf(xp.clip(x64, -0.46875, 0.46875)))
        near = a <= 0.46875
        if scaled:
            made = xp.asarray(made * xp.exp(xp.where(near, a * a, 0)))
        far = ~near
        if far.any():
            y = xp.minimum(a[far], 1e150)
            # exp(-y²) with the rounding error of y² taken out of the exponent.
            q = xp.where(y < 30, xp.trunc(y * 16) / 16, y)
            square = xp.exp(-q * q) * xp.exp(-(y - q) * (y + q))
            tail = self._scaled_tail(y)
            if scaled:
                made[far] = xp.where(x64[far] < 0, 2 / square - tail, tail)
            else:
                tail = xp.where(square == 0, 0, tail * square)
                made[far] = xp.where(x64[far] < 0, 2 - tail, tail)
        return xp.where(xp.isnan(x64), x64, made)

    def erfinv(self, x: Any) -> Any:
        """Winitzki's estimate, polished by three steps of Halley's method."""
        xp = self.xp
        y = xp.asarray(x, "float64")
        inside = xp.abs(y) < 1
        v = xp.where(inside, y, 0.0)
        p = xp.abs(v)
        logs = xp.log1p(-v * v)
        half = 2 / (math.pi * 0.147) + logs / 2
        t = xp.sqrt(xp.sqrt(half * half - logs / 0.147) - half)
        for _ in range(3):
            # erfc keeps its digits in the tail, where erf has none left.
            gap = xp.where(p < 0.5, self.erf(t) - p, (1 - p) - self.erfc(t))
            step = gap * math.sqrt(math.pi) / 2 * xp.exp(t * t)
            t = t - step / (1 + t * step)
        ends = xp.where(xp.abs(y) == 1, math.inf, math.nan)
        return xp.copysign(xp.where(inside, t, ends), xp.where(xp.isnan(y), 1.0, y))

    def ndtri(self, x: Any) -> Any:
        from_scipy = _scipy("ndtri")
        return from_scipy(x)

    def log_ndtr(self, x: Any) -> Any:
        xp = self.xp
        t = xp.asarray(x, "float64") / math.sqrt(2)
        low = t < -0.7
        tail = xp.log(self.erfcx(xp.where(low, -t, 0)) / 2) - t * t
        return xp.where(low, tail, xp.log1p(-self.erfc(xp.where(low, 0, t)) / 2))

    def digamma(self, x: Any) -> Any:
        """Recurrence up to 10, then the asymptotic series; reflection for x < 0."""
        xp = self.xp
        y = xp.asarray(x, "float64")
        negative = y < 0
        z = xp.where(negative, 1 - y, y)
        z = xp.where(z == 0, 1.0, z)
        made = xp.zeros_like(z)
        for _ in range(10):
            small = z < 10
            made = made - xp.where(small, 1 / z, 0)
            z = xp.where(small, z + 1, z)
        s = 1 / (z * z)
        series = s * (
            1 / 12
            - s
            * (
                1 / 120
                - s
                * (1 / 252 - s * (1 / 240 - s * (1 / 132 - s * (691 / 32760 - s / 12))))
            )
        )
        made = made + xp.log(z) - 0.5 / z - series
        turn = y - xp.trunc(y)
        mirror = made - math.pi / xp.tan(math.pi * turn)
        made = xp.where(negative, mirror, made)
        made = xp.where(y == 0, xp.copysign(math.inf, -y), made)
        pole = negative & (turn == 0)
        return xp.where(pole, math.nan, xp.where(y == -math.inf, math.nan, made))

    def trigamma(self, x: Any) -> Any:
        """Six recurrences, then the asymptotic series; reflection below 0.5.

        In the operand's precision: what stands for the poles of negative integers
        is the distance of the rounded pi * x from a multiple of pi.
        """
        xp = self.xp
        low = x < 0.5
        z = xp.where(low, 1 - x, x)
        made = xp.zeros_like(x)
        for _ in range(6):
            made = made + 1 / (z * z)
            z = z + 1
        s = 1 / (z * z)
        made = made + (1 + 1 / (2 * z) + s * (1 / 6 - s * (1 / 30 - s / 42))) / z
        sine = xp.sin(x.dtype.type(math.pi) * x)
        return xp.where(low, math.pi**2 / (sine * sine) - made, made)

    def lgamma(self, x: Any) -> Any:
        """Stirling's series above 10 after the recurrence; reflection below 0.5."""
        xp = self.xp
        y = xp.asarray(x, "float64")
        mirrored = y < 0.5
        z = xp.where(mirrored, 1 - y, y)
        # Near 1 and 2 the logarithm vanishes and Stirling loses digits: a series there.
        near = (z > 0.4) & (z < 2.6)
        shift = xp.ones_like(z)
        w = z
        for _ in range(10):
            small = w < 10
            shift = xp.where(small, shift * w, shift)
            w = xp.where(small, w + 1, w)
        s = 1 / (w * w)
        series = (
            1 / 12
            - s
            * (
                1 / 360
                - s * (1 / 1260 - s * (1 / 1680 - s * (1 / 1188 - s * 691 / 360360)))
            )
        ) / w
        made = (w - 0.5) * xp.log(w) - w + 0.5 * math.log(2 * math.pi) + series
        made = xp.asarray(made - xp.log(shift))
        if near.any():
            made[near] = [math.lgamma(float(v)) for v in z[near].ravel()]
        sine = xp.abs(xp.sin(math.pi * (y - xp.floor(y))))
        below = math.log(math.pi) - xp.log(sine) - made
        made = xp.where(mirrored, below, made)
        made = xp.where(xp.isinf(y), math.inf, made)
        return xp.where((y <= 0) & (y == xp.floor(y)), math.inf, made)

    def polynomial(self, x: Any, n: Any, kind: str) -> Any:
        """Orthogonal polynomials of the degrees ``n``, 0 for negative ones."""
        xp = self.xp
        if kind.startswith("shifted_"):
            return self.polynomial(2 * x - 1, n, kind.removeprefix("shifted_"))
        degree = xp.trunc(n)
        if kind in ("chebv", "chebw"):
            u = _scipy("eval_chebyu")
            last = xp.where(degree > 0, u(xp.maximum(degree - 1, 0), x), 0)
            made = u(degree, x) + (last if kind == "chebw" else -last)
        else:
            if kind.startswith("hermite"):  # these take integers alone
                degree = xp.nan_to_num(degree).astype("int64")
            made = _scipy("eval_" + kind)(degree, x)
        return xp.where(degree < 0, 0, made)


# Functions by the name that `_special` is given -> SciPy's name.
_SCIPY = dict(
    each.split(":")
    for each in """
    i0:i0 i0e:i0e i1:i1 i1e:i1e bessel_j0:j0 bessel_j1:j1 bessel_y0:y0 bessel_y1:y1
    modified_bessel_i0:i0 modified_bessel_i1:i1 modified_bessel_k0:k0
    modified_bessel_k1:k1 scaled_modified_bessel_k0:k0e scaled_modified_bessel_k1:k1e
    gammainc:gammainc gammaincc:gammaincc
    """.split()
)
_POLYNOMIALS = dict(
    each.split(":")
    for each in """
    chebyshev_polynomial_t:chebyt chebyshev_polynomial_u:chebyu
    chebyshev_polynomial_v:chebv chebyshev_polynomial_w:chebw
    hermite_polynomial_h:hermite hermite_polynomial_he:hermitenorm
    laguerre_polynomial_l:laguerre legendre_polynomial_p:legendre
    shifted_chebyshev_polynomial_t:shifted_chebyt
    shifted_chebyshev_polynomial_u:shifted_chebyu
    shifted_chebyshev_polynomial_v:shifted_chebv
    shifted_chebyshev_polynomial_w:shifted_chebw
    """.split()
)


def _scipy(name: str) -> Callable[..., Any]:
    try:
        from scipy import special
    except ImportError:
        raise NotImplementedError(
            f"this special function needs scipy on this device (scipy.special.{name}): "
            "pip install scipy"
        ) from None
    return getattr(special, name)  # type: ignore[no-any-return]


def _zeta(x: Any, q: Any) -> Any:
    """Hurwitz's zeta, where PyTorch takes negative ``q`` too."""
    return _scipy("zeta")(x, q)


def kernels_for(xp: Any) -> Kernels:
    """The special functions of an array module."""
    functions = _Functions(xp)
    table: dict[str, Callable[..., Any]] = {
        "zeta": _zeta,
        "airy_ai": lambda x: _scipy("airy")(x)[0],
        "spherical_bessel_j0": lambda x: _scipy("spherical_jn")(0, xp.abs(x)),
    }

    def find(name: str) -> Callable[..., Any]:
        made = table.get(name)
        if made is None:
            if name in _POLYNOMIALS:
                kind = _POLYNOMIALS[name]
                made = lambda x, n: functions.polynomial(x, n, kind)  # noqa: E731
            elif name in _SCIPY:
                made = _scipy(_SCIPY[name])
            else:
                made = getattr(functions, name)
            table[name] = made
        return made

    def special(operands: list[Any], function: str) -> Any:
        dtype = operands[0].dtype
        if dtype.itemsize < 4:
            operands = [x.astype("float32") for x in operands]
        return xp.asarray(find(function)(*operands)).astype(dtype, copy=False)

    def erf(x: Any) -> Any:
        if x.dtype.itemsize < 4:
            return functions.erf(x.astype("float32")).astype(x.dtype)
        return functions.erf(x)

    def clamp(x: Any, low: Any, high: Any) -> Any:
        def bound(value: Any) -> Any:
            try:
                return x.dtype.type(value)
            except OverflowError:  # wraps around, as a C++ cast does
                return xp.asarray(value).astype(x.dtype)

        made = x if low is None else xp.maximum(x, bound(low))
        return made if high is None else xp.minimum(made, bound(high))

    def heaviside(x: Any, values: Any) -> Any:
        return xp.where(x == 0, values, (x > 0).astype(x.dtype))

    def addcmul(x: Any, a: Any, b: Any, value: Any) -> Any:
        made = a * b if value == 1 else a * x.dtype.type(value) * b
        return xp.add(x, made)

    def addcdiv(x: Any, a: Any, b: Any, value: Any) -> Any:
        made = a / b if value == 1 else a * x.dtype.type(value) / b
        return xp.add(x, made)

    def frexp(x: Any) -> Any:
        if x.dtype.itemsize < 4:
            mantissa, exponent = xp.frexp(x.astype("float32"))
            return mantissa.astype(x.dtype), exponent
        return xp.frexp(x)

    def view_dtype(x: Any, dtype: Any) -> Any:
        old, new = x.dtype.itemsize, dtype.host.itemsize
        if old != new and x.strides[-1] != old:  # a dim of size 1 may have any stride
            strides = (*x.strides[:-1], old)
            x = xp.lib.stride_tricks.as_strided(x, x.shape, strides)
        return x.view(dtype.host)

    return {
        "_special": (special, False),
        "erf": (erf, False),
        "clamp": (clamp, False),
        "heaviside": (heaviside, False),
        "addcmul": (addcmul, False),
        "addcdiv": (addcdiv, False),
        "frexp.Tensor": (frexp, False),
        "_view_dtype": (view_dtype, False),
    }
