"""Functions in OpenCL C that expressions of pointwise rows call, by class of dtypes.

``C`` is the type of the arithmetic. Complex functions follow their real definitions.
"""

from __future__ import annotations

__all__ = ["HELPERS"]

_FLOAT = """
inline C fremainder(C x, C y) {
  C m = fmod(x, y);
  return m != 0 && (y < 0) != (m < 0) ? m + y : m;
}
inline C ffloordiv(C x, C y) {
  if (y == 0) return x / y;
  C m = fmod(x, y), q = (x - m) / y;
  if (m != 0 && (y < 0) != (m < 0)) q -= 1;
  if (q == 0) return copysign((C)0, x / y);
  C f = floor(q);
  return q - f > (C)0.5 ? f + 1 : f;
}
"""

_SIGNED = """
inline C ifloordiv(C x, C y) {
  if (y == 0) return 0;
  if (y == -1) return -x;
  C q = x / y, m = x % y;
  return m != 0 && (y < 0) != (m < 0) ? q - 1 : q;
}
inline C iremainder(C x, C y) {
  if (y == 0 || y == -1) return 0;
  C m = x % y;
  return m != 0 && (y < 0) != (m < 0) ? m + y : m;
}
inline C ipow(C x, C y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
  C made = 1;
  for (; y; y >>= 1, x *= x) if (y & 1) made *= x;
  return made;
}
"""

_UNSIGNED = """
inline C upow(C x, C y) {
  C made = 1;
  for (; y; y >>= 1, x *= x) if (y & 1) made *= x;
  return made;
}
"""

_COMPLEX = """
inline bool cbool(C x) { return x.x != 0 || x.y != 0; }
inline C cmul(C x, C y) {
  return (C)(x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x);
}
inline C cdiv(C x, C y) {
  if (fabs(y.x) >= fabs(y.y)) {
    if (y.x == 0 && y.y == 0) return (C)(x.x / fabs(y.x), x.y / fabs(y.x));
    const C r = (C)(y.y / y.x, 0);
    return (C)(x.x + x.y * r.x, x.y - x.x * r.x) / (y.x + y.y * r.x);
  }
  const C r = (C)(y.x / y.y, 0);
  return (C)(x.x * r.x + x.y, x.y * r.x - x.x) / (y.x * r.x + y.y);
}
inline C cexp_(C x) {
  if (x.y == 0) return (C)(exp(x.x), x.y);
  return exp(x.x) * (C)(cos(x.y), sin(x.y));
}
inline C clog_(C x) { return (C)(log(hypot(x.x, x.y)), atan2(x.y, x.x)); }
inline C csqrt_(C x) {
  if (x.x == 0 && x.y == 0) return (C)(0, x.y);
  if (x.x >= 0) {
    C t = (C)(sqrt((x.x + hypot(x.x, x.y)) / 2), 0);
    return (C)(t.x, x.y / (2 * t.x));
  }
  C t = (C)(sqrt((hypot(x.x, x.y) - x.x) / 2), 0);
  return (C)(fabs(x.y) / (2 * t.x), copysign(t.x, x.y));
}
inline C csin_(C x) { return (C)(sin(x.x) * cosh(x.y), cos(x.x) * sinh(x.y)); }
inline C ccos_(C x) { return (C)(cos(x.x) * cosh(x.y), -sin(x.x) * sinh(x.y)); }
inline C cexpm1_(C x) {
  const C half_ = (C)(sin(x.y / 2), 0);
  return (C)(expm1(x.x) * cos(x.y) - 2 * half_.x * half_.x, exp(x.x) * sin(x.y));
}
inline C clog1p_(C x) {
  const C size = fabs(x);
  const bool near = size.x < 0.5f && size.y < 0.5f;
  const C real = near ? (C)(log1p(x.x * (2 + x.x) + x.y * x.y) / 2, 0)
    : (C)(log(hypot(1 + x.x, x.y)), 0);
  return (C)(real.x, atan2(x.y, 1 + x.x));
}
inline C ctanh_(C x) {
  if (fabs(x.x) > 20) return (C)(copysign((C)(1, 0), x).x,
    4 * sin(x.y) * cos(x.y) * exp(-2 * fabs(x.x)));
  const C t = (C)(tan(x.y), sinh(x.x)), b = (C)(1 + t.x * t.x, sqrt(1 + t.y * t.y));
  return (C)(b.x * b.y * t.y, t.x) / (1 + b.x * t.y * t.y);
}
inline C catanh_(C x) {
  const C d = (C)(1 - x.x, 1 + x.x);
  return (C)(log1p(4 * x.x / (d.x * d.x + x.y * x.y)) / 4,
    atan2(2 * x.y, d.x * d.y - x.y * x.y) / 2);
}
inline C catan_(C x) { const C a = catanh_((C)(-x.y, x.x)); return (C)(a.y, -a.x); }
// Kahan's formulas.
inline C casin_(C x) {
  const C l = csqrt_((C)(1 - x.x, -x.y)), r = csqrt_((C)(1 + x.x, x.y));
  return (C)(atan2(x.x, l.x * r.x - l.y * r.y), asinh(l.x * r.y - l.y * r.x));
}
inline C cacos_(C x) {
  const C l = csqrt_((C)(1 - x.x, -x.y)), r = csqrt_((C)(1 + x.x, x.y));
  return (C)(2 * atan2(l.x, r.x), asinh(r.x * l.y - r.y * l.x));
}
inline C casinh_(C x) { const C a = casin_((C)(-x.y, x.x)); return (C)(a.y, -a.x); }
inline C cacosh_(C x) {
  const C l = csqrt_((C)(x.x - 1, x.y)), r = csqrt_((C)(x.x + 1, x.y));
  return (C)(asinh(l.x * r.x + l.y * r.y), 2 * atan2(l.y, r.x));
}
inline C cpow(C x, C y) {
  if (y.x == 0 && y.y == 0) return (C)(1, 0);
  if (x.x == 0 && x.y == 0) return (C)(0, 0);
  return cexp_(cmul(y, clog_(x)));
}
"""

HELPERS = {"b": "", "u": _UNSIGNED, "i": _SIGNED, "f": _FLOAT, "c": _COMPLEX}
