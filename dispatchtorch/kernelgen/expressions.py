"""Pointwise operators as rows of (operator, class of dtypes, C expression).

Operands are ``x``, ``y`` and ``z``; ``C`` is the type of the arithmetic, ``K(v)`` a
number of that type, ``PAIR(a, b)`` a complex number.

Classes: ``b`` bool, ``u`` and ``i`` integers without and with a sign, ``f`` floats (half
types compute in float), ``c`` complex numbers as pairs. Classes followed by ``*``: the
expression means the same for vector types, where a language has them. An operator has no
kernel for a class without a row.
"""

from __future__ import annotations

__all__ = ["HELPERS", "INSTRUCTIONS", "ROWS", "rows"]

# operator | result | classes : expression | …
# Result: same, bool, real, or like the operand that has a name of its own.
ROWS = """
neg | same | iuf* : -x | c : -x
abs | real | bu : x | i : x < 0 ? -x : x | f* : fabs(x) | c : hypot(x.x, x.y)
add | same | b : x | y | iu : x + y | f* : x + y | c : x + y
sub | same | iu : x - y | f* : x - y | c : x - y
mul | same | b : x & y | iu : x * y | f* : x * y | c : cmul(x, y)
div | same | f* : x / y | c : cdiv(x, y)
floor_divide | same | f : ffloordiv(x, y) | i : ifloordiv(x, y) | u : y ? x / y : 0
remainder | same | f : fremainder(x, y) | i : iremainder(x, y) | u : y ? x % y : 0
fmod | same | f : fmod(x, y) | i : y && y != -1 ? x % y : 0 | u : y ? x % y : 0
pow | same | f : pow(x, y) | i : ipow(x, y) | u : upow(x, y) | c : cpow(x, y)
atan2 | same | f : atan2(x, y)
maximum | same | buif : x > y || x != x ? x : y
minimum | same | buif : x < y || x != x ? x : y
fmax | same | bui : max(x, y) | f : fmax(x, y)
fmin | same | bui : min(x, y) | f : fmin(x, y)
eq | bool | buif : x == y | c : x.x == y.x && x.y == y.y
ne | bool | buif : x != y | c : x.x != y.x || x.y != y.y
lt | bool | buif : x < y
le | bool | buif : x <= y
gt | bool | buif : x > y
ge | bool | buif : x >= y
bitwise_and | same | bui : x & y
bitwise_or | same | bui : x | y
bitwise_xor | same | bui : x ^ y
bitwise_not | same | b : !x | ui : ~x
logical_and | bool | buif : x != 0 && y != 0 | c : cbool(x) && cbool(y)
logical_or | bool | buif : x != 0 || y != 0 | c : cbool(x) || cbool(y)
logical_xor | bool | buif : (x != 0) != (y != 0) | c : cbool(x) != cbool(y)
logical_not | bool | buif : x == 0 | c : !cbool(x)
exp | same | f* : exp(x) | c : cexp_(x)
exp2 | same | f* : exp2(x)
expm1 | same | f* : expm1(x) | c : cexpm1_(x)
log | same | f* : log(x) | c : clog_(x)
log2 | same | f* : log2(x)
log10 | same | f* : log10(x)
log1p | same | f* : log1p(x) | c : clog1p_(x)
sqrt | same | f* : sqrt(x) | c : csqrt_(x)
rsqrt | same | f* : K(1) / sqrt(x)
sin | same | f* : sin(x) | c : csin_(x)
cos | same | f* : cos(x) | c : ccos_(x)
tan | same | f* : tan(x)
asin | same | f* : asin(x) | c : casin_(x)
acos | same | f* : acos(x) | c : cacos_(x)
atan | same | f* : atan(x) | c : catan_(x)
sinh | same | f* : sinh(x)
cosh | same | f* : cosh(x)
tanh | same | f* : tanh(x) | c : ctanh_(x)
asinh | same | f* : asinh(x) | c : casinh_(x)
acosh | same | f* : acosh(x) | c : cacosh_(x)
atanh | same | f* : atanh(x) | c : catanh_(x)
erf | same | f : erf(x)
floor | same | ui : x | f* : floor(x)
ceil | same | ui : x | f* : ceil(x)
trunc | same | ui : x | f* : trunc(x)
round | same | ui : x | f* : rint(x)
sign | same | b : x | u : x > 0 | i : (x > 0) - (x < 0) | f : (C)((x > 0) - (x < 0))
where.self | where | buifc : x ? y : z
isnan | bool | bui : 0 | f : x != x | c : x.x != x.x || x.y != x.y
isinf | bool | bui : 0 | f : isinf(x) != 0
isfinite | bool | bui : 1 | f : isfinite(x) != 0
copysign | same | f* : copysign(x, y)
hypot | same | f* : hypot(x, y)
square | same | f* : x * x
reciprocal | same | f* : K(1) / x
relu | same | bu : x | i : x > 0 ? x : 0 | f : x > 0 || x != x ? x : 0
sigmoid | same | f* : K(1) / (K(1) + exp(-x))
_conj_physical | same | buif : x | c : PAIR(x.x, -x.y)
silu | same | f* : x / (K(1) + exp(-x))
threshold_backward | threshold | f : y <= z ? 0 : x
"""

_FLOAT = """
INLINE C fremainder(C x, C y) {
  C m = fmod(x, y);
  return m != 0 && (y < 0) != (m < 0) ? m + y : m;
}
INLINE C ffloordiv(C x, C y) {
  if (y == 0) return x / y;
  C m = fmod(x, y), q = (x - m) / y;
  if (m != 0 && (y < 0) != (m < 0)) q -= 1;
  if (q == 0) return copysign((C)0, x / y);
  C f = floor(q);
  return q - f > (C)0.5 ? f + 1 : f;
}
"""

_SIGNED = """
INLINE C ifloordiv(C x, C y) {
  if (y == 0) return 0;
  if (y == -1) return -x;
  C q = x / y, m = x % y;
  return m != 0 && (y < 0) != (m < 0) ? q - 1 : q;
}
INLINE C iremainder(C x, C y) {
  if (y == 0 || y == -1) return 0;
  C m = x % y;
  return m != 0 && (y < 0) != (m < 0) ? m + y : m;
}
INLINE C ipow(C x, C y) {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0;
  C made = 1;
  for (; y; y >>= 1, x *= x) if (y & 1) made *= x;
  return made;
}
"""

_UNSIGNED = """
INLINE C upow(C x, C y) {
  C made = 1;
  for (; y; y >>= 1, x *= x) if (y & 1) made *= x;
  return made;
}
"""

_COMPLEX = """
INLINE bool cbool(C x) { return x.x != 0 || x.y != 0; }
INLINE C cmul(C x, C y) {
  return PAIR(x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x);
}
INLINE C cdiv(C x, C y) {
  if (fabs(y.x) >= fabs(y.y)) {
    if (y.x == 0 && y.y == 0) return PAIR(x.x / fabs(y.x), x.y / fabs(y.x));
    const C r = PAIR(y.y / y.x, 0);
    return PAIR(x.x + x.y * r.x, x.y - x.x * r.x) / (y.x + y.y * r.x);
  }
  const C r = PAIR(y.x / y.y, 0);
  return PAIR(x.x * r.x + x.y, x.y * r.x - x.x) / (y.x * r.x + y.y);
}
INLINE C cexp_(C x) {
  if (x.y == 0) return PAIR(exp(x.x), x.y);
  return exp(x.x) * PAIR(cos(x.y), sin(x.y));
}
INLINE C clog_(C x) { return PAIR(log(hypot(x.x, x.y)), atan2(x.y, x.x)); }
INLINE C csqrt_(C x) {
  if (x.x == 0 && x.y == 0) return PAIR(0, x.y);
  if (x.x >= 0) {
    C t = PAIR(sqrt((x.x + hypot(x.x, x.y)) / 2), 0);
    return PAIR(t.x, x.y / (2 * t.x));
  }
  C t = PAIR(sqrt((hypot(x.x, x.y) - x.x) / 2), 0);
  return PAIR(fabs(x.y) / (2 * t.x), copysign(t.x, x.y));
}
INLINE C csin_(C x) { return PAIR(sin(x.x) * cosh(x.y), cos(x.x) * sinh(x.y)); }
INLINE C ccos_(C x) { return PAIR(cos(x.x) * cosh(x.y), -sin(x.x) * sinh(x.y)); }
INLINE C cexpm1_(C x) {
  const C r = PAIR(sin(x.y / 2), 0);
  return PAIR(expm1(x.x) * cos(x.y) - 2 * r.x * r.x, exp(x.x) * sin(x.y));
}
INLINE C clog1p_(C x) {
  const bool near = fabs(x.x) < 0.5f && fabs(x.y) < 0.5f;
  return PAIR(near ? log1p(x.x * (2 + x.x) + x.y * x.y) / 2 : log(hypot(1 + x.x, x.y)),
    atan2(x.y, 1 + x.x));
}
INLINE C ctanh_(C x) {
  if (fabs(x.x) > 20)
    return PAIR(x.x > 0 ? 1 : -1, 4 * sin(x.y) * cos(x.y) * exp(-2 * fabs(x.x)));
  const C t = PAIR(tan(x.y), sinh(x.x)), b = PAIR(1 + t.x * t.x, sqrt(1 + t.y * t.y));
  return PAIR(b.x * b.y * t.y, t.x) / (1 + b.x * t.y * t.y);
}
INLINE C catanh_(C x) {
  const C d = PAIR(1 - x.x, 1 + x.x);
  return PAIR(log1p(4 * x.x / (d.x * d.x + x.y * x.y)) / 4,
    atan2(2 * x.y, d.x * d.y - x.y * x.y) / 2);
}
INLINE C catan_(C x) { const C a = catanh_(PAIR(-x.y, x.x)); return PAIR(a.y, -a.x); }
// Kahan, "Branch cuts for complex elementary functions" (1987).
INLINE C casin_(C x) {
  const C l = csqrt_(PAIR(1 - x.x, -x.y)), r = csqrt_(PAIR(1 + x.x, x.y));
  return PAIR(atan2(x.x, l.x * r.x - l.y * r.y), asinh(l.x * r.y - l.y * r.x));
}
INLINE C cacos_(C x) {
  const C l = csqrt_(PAIR(1 - x.x, -x.y)), r = csqrt_(PAIR(1 + x.x, x.y));
  return PAIR(2 * atan2(l.x, r.x), asinh(r.x * l.y - r.y * l.x));
}
INLINE C casinh_(C x) { const C a = casin_(PAIR(-x.y, x.x)); return PAIR(a.y, -a.x); }
INLINE C cacosh_(C x) {
  const C l = csqrt_(PAIR(x.x - 1, x.y)), r = csqrt_(PAIR(x.x + 1, x.y));
  return PAIR(asinh(l.x * r.x + l.y * r.y), 2 * atan2(l.y, r.x));
}
INLINE C cpow(C x, C y) {
  if (y.x == 0 && y.y == 0) return PAIR(1, 0);
  if (x.x == 0 && x.y == 0) return PAIR(0, 0);
  return cexp_(cmul(y, clog_(x)));
}
"""

#: Functions that expressions of a class call; ``INLINE`` goes before each.
HELPERS = {"b": "", "u": _UNSIGNED, "i": _SIGNED, "f": _FLOAT, "c": _COMPLEX}


def rows(text: str = ROWS) -> list[tuple[str, str, dict[str, tuple[str, bool]]]]:
    """(operator, result, {class: (expression, whether it may take vectors)})."""
    made = []
    for line in text.strip().splitlines():
        name, result, *cells = _cells(line)
        by_class = {}
        for cell in cells:
            classes, _, code = cell.partition(" : ")
            vector = classes.endswith("*")
            for each in classes.strip("* "):
                by_class[each] = (code, vector and each == "f")
        made.append((name, result, by_class))
    return made


def _cells(line: str) -> list[str]:
    """A row's cells: bars stand alone between them, and in expressions within one."""
    cells: list[str] = []
    for part in line.split(" | "):
        if len(cells) > 2 and " : " not in part:
            cells[-1] += " | " + part
        else:
            cells.append(part.strip())
    return cells


#: The lines of formulas over lists of tensors, of operands ``{0}``, ``{1}``, ….
INSTRUCTIONS = {
    "abs": "fabs({0})",
    "add": "{0} + {1}",
    "copy": "{0}",
    "div": "{0} / {1}",
    "fill": "{1}",
    "gt": "{0} > {1}",
    "lt": "{0} < {1}",
    "masked_fill": "{1} ? {2} : {0}",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "reciprocal": "1 / {0}",
    "sign": "({0} > 0) - ({0} < 0)",
    "sqrt": "sqrt({0})",
    "sub": "{0} - {1}",
}
