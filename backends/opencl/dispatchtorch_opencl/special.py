"""Special functions by name. Those that aren't here are declined, and run on the host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch_opencl import types
from dispatchtorch_opencl._elementwise import Expression, elementwise
from dispatchtorch_opencl.array import OpenCLArray

__all__ = ["kernels_for"]

# The logarithmic derivative of gamma: recurrence up to 10, then the asymptotic series;
# reflection for negative numbers.
_DIGAMMA = """
inline C digamma_(C x) {
  if (x == 0) return copysign((C)INFINITY, -x);
  if (x == -INFINITY) return NAN;
  C turn = 0, made = 0;
  if (x < 0) {
    const C f = x - trunc(x);
    if (f == 0) return NAN;
    turn = (C)M_PI / tanpi(f); x = 1 - x; }
  for (; x < 10; x += 1) made -= 1 / x;
  const C s = 1 / (x * x);
  const C series = s * ((C)(1.0 / 12) - s * ((C)(1.0 / 120) - s * ((C)(1.0 / 252)
    - s * ((C)(1.0 / 240) - s * ((C)(1.0 / 132) - s * (C)(691.0 / 32760))))));
  return made + log(x) - (C)0.5 / x - series - turn;
}
"""
# Winitzki's approximation, refined by Newton's method on erfc (Halley's steps).
_ERFINV = """
inline C erfinv_(C x) {
  if (x != x || fabs(x) > 1) return NAN;
  if (fabs(x) == 1) return copysign((C)INFINITY, x);
  if (x == 0) return x;
  const C a = fabs(x), l = log1p(-a * a), b = (C)4.3307467508 + l / 2;
  C y = sqrt(sqrt(b * b - l / (C)0.147) - b);
  for (int i = 0; i < 3; i++) {
    const C e = (a > (C)0.5 ? (1 - a) - erfc(y) : erf(y) - a);
    const C u = (a > (C)0.5 ? e : e) / ((C)1.1283791670955126 * exp(-y * y));
    y -= u / (1 + y * u); }
  return copysign(y, x);
}
"""

# Modified Bessel functions of the first kind, of order 0 or 1, times exp(-|x|): the power
# series, whose terms are all positive, and Hankel's expansion from 30 on.
_BESSEL_I = """
inline C bessel_i(C x, int order) {
  const C a = fabs(x);
  if (a != a) return a;
  C sum = 1, term = 1;
  if (a < 30) {
    const C q = a * a / 4;
    for (int k = 1; k < 100 && term > sum * (C)1e-18; k++) {
      term *= q / ((C)k * (C)(k + order)); sum += term; }
    sum *= exp(-a);
    return order ? sum * x / 2 : sum;
  }
  for (int k = 1; k < 20; k++) {
    const C odd = 2 * k - 1;
    term *= -((C)(4 * order) - odd * odd) / ((C)(8 * k) * a); sum += term; }
  sum /= sqrt(2 * (C)3.14159265358979323846 * a);
  return order ? copysign(sum, x) : sum;
}
"""
# exp(x²) erfc(x): a continued fraction from 4 on; and the normal distribution's logarithm.
_ERFCX = """
inline C erfcx_(C x) {
  if (x < 4) return exp(x * x) * erfc(x);
  C tail = x;
  for (int k = 60; k > 0; k--) tail = x + (C)(0.5 * k) / tail;
  return (C)0.56418958354775628695 / tail;
}
inline C log_ndtr_(C x) {
  const C t = x * (C)0.70710678118654752440;
  if (x < -1) return log(erfcx_(-t) / 2) - t * t;
  return log1p(-erfc(t) / 2);
}
"""

# Hurwitz's zeta: the first terms, and the rest by Euler's and Maclaurin's formula.
_ZETA = """
inline C zeta_(C s, C q) {
  if (s == 1) return INFINITY;
  if (s < 1) return NAN;
  if (q <= 0 && q == floor(q)) return INFINITY;
  if (q <= 0 && s != floor(s)) return NAN;
  C sum = 0, a = q;
  for (int k = 0; k < 9 || a <= 9; k++, a += 1) sum += pow(a, -s);
  if (isinf(a)) return sum;
  if (isinf(s)) return q > 1 ? NAN : sum;
  const C b = 1 / (a * a);
  sum += pow(a, 1 - s) / (s - 1) + pow(a, -s) / 2;
  C f = s * pow(a, -s - 1);
  sum += f * (C)(1.0 / 12); f *= (s + 1) * (s + 2) * b;
  sum -= f * (C)(1.0 / 720); f *= (s + 3) * (s + 4) * b;
  sum += f * (C)(1.0 / 30240); f *= (s + 5) * (s + 6) * b;
  sum -= f * (C)(1.0 / 1209600); f *= (s + 7) * (s + 8) * b;
  sum += f * (C)(1.0 / 47900160); f *= (s + 9) * (s + 10) * b;
  return sum - f * (C)(691.0 / 1307674368000.0);
}
inline C trigamma_(C x) {
  if (x >= (C)0.5) return zeta_(2, x);
  const C turn = (C)M_PI / sin((C)M_PI * x);
  return turn * turn - zeta_(2, 1 - x);
}
"""
# The quantiles of the normal distribution: Winitzki's approximation, and Halley's steps on
# erfc, of which the smaller tail is twice the argument.
_NDTRI = """
inline C ndtri_(C p) {
  if (!(p >= 0 && p <= 1)) return NAN;
  const C c = 2 * fmin(p, 1 - p);
  if (c == 0) return p == 0 ? -INFINITY : INFINITY;
  const C l = log(c * (2 - c)), b = (C)4.3307467508 + l / 2;
  C y = sqrt(fmax(sqrt(b * b - l / (C)0.147) - b, (C)0));
  for (int i = 0; i < 3; i++) {
    const C u = (c - erfc(y)) / ((C)1.1283791670955126 * exp(-y * y));
    y -= u / (1 + y * u); }
  return copysign(y * (C)1.41421356237309504880, p - (C)0.5);
}
"""
_SINC = """
inline C sinc_(C x) {
  const C q = x * x;
  if (isinf(x)) return 0;
  return q < (C)0.25
    ? 1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72 * (1 - q / 110)))) : sin(x) / x;
}
"""

# Orthogonal polynomials: the second one, and the one after ``a`` and ``b`` of degree k.
_CHEBYSHEV = "2 * x * a - b"
_POLYNOMIALS = {
    "chebyshev_polynomial_t": ("x", _CHEBYSHEV),
    "chebyshev_polynomial_u": ("2 * x", _CHEBYSHEV),
    "chebyshev_polynomial_v": ("2 * x - 1", _CHEBYSHEV),
    "chebyshev_polynomial_w": ("2 * x + 1", _CHEBYSHEV),
    "hermite_polynomial_h": ("2 * x", "2 * x * a - 2 * k * b"),
    "hermite_polynomial_he": ("x", "x * a - k * b"),
    "laguerre_polynomial_l": ("1 - x", "((2 * k + 1 - x) * a - k * b) / (k + 1)"),
    "legendre_polynomial_p": ("x", "((2 * k + 1) * x * a - k * b) / (k + 1)"),
}


def _polynomial(name: str, second: str, after: str, shifted: bool) -> Expression:
    """The polynomial of degree ``y`` (rounded to zero; 0 for negative ones) at ``x``."""
    helper = f"""
inline C polynomial_(C x, C y) {{
  const long n = (long)trunc(y);
  if (n < 0) return 0;
  if (n == 0) return 1;
  {"x = 2 * x - 1;" if shifted else ""}
  C b = 1, a = {second};
  for (long i = 1; i < n && a == a; i++) {{
    const C k = i, next = {after}; b = a; a = next; }}
  return a;
}}
"""
    return Expression(name, "polynomial_(x, y)", helpers=helper)


_TABLE = {
    "lgamma": Expression("lgamma", "lgamma(x)"),
    "erfc": Expression("erfc", "erfc(x)"),
    "digamma": Expression("digamma", "digamma_(x)", helpers=_DIGAMMA),
    "erfinv": Expression("erfinv", "erfinv_(x)", helpers=_ERFINV),
    "erfcx": Expression("erfcx", "erfcx_(x)", helpers=_ERFCX),
    "log_ndtr": Expression("log_ndtr", "log_ndtr_(x)", helpers=_ERFCX),
    "zeta": Expression("zeta", "zeta_(x, y)", helpers=_ZETA),
    "trigamma": Expression("trigamma", "trigamma_(x)", helpers=_ZETA),
    "ndtri": Expression("ndtri", "ndtri_(x)", helpers=_NDTRI),
    "spherical_bessel_j0": Expression("spherical_bessel_j0", "sinc_(x)", helpers=_SINC),
}
for _order in (0, 1):
    _scaled = f"bessel_i(x, {_order})"
    for _name in (f"i{_order}", f"modified_bessel_i{_order}"):
        _code = f"{_scaled} * exp(fabs(x))"
        _TABLE[_name] = Expression(_name, _code, helpers=_BESSEL_I)
    _TABLE[f"i{_order}e"] = Expression(f"i{_order}e", _scaled, helpers=_BESSEL_I)
for _name, _row in _POLYNOMIALS.items():
    _TABLE[_name] = _polynomial(_name, *_row, False)
    if _name.startswith("chebyshev"):
        _TABLE["shifted_" + _name] = _polynomial("shifted_" + _name, *_row, True)


def kernels_for(backend: Any) -> dict[str, tuple[Callable[..., Any], bool]]:
    """The kernel of special functions."""

    def special(operands: list[OpenCLArray], function: str) -> Any:
        row = _TABLE.get(function)
        if row is None or types.CLASS[operands[0].dtype] != "f":
            return NotImplemented
        return elementwise(row, operands, operands[0].dtype)

    return {"_special": (special, False)}
