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
inline C cpow(C x, C y) {
  if (y.x == 0 && y.y == 0) return (C)(1, 0);
  if (x.x == 0 && x.y == 0) return (C)(0, 0);
  return cexp_(cmul(y, clog_(x)));
}
"""

HELPERS = {"b": "", "u": _UNSIGNED, "i": _SIGNED, "f": _FLOAT, "c": _COMPLEX}
