"""Samples of pointwise operators."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import binary, binary_tensors, cases, table, unary
from ._model import Draw, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample

ROWS: list[OperatorSamples] = []

ROWS += table(
    """
    abs               fhci  np.abs
    acos              fhcib  np.arccos    -0.9:0.9
    acosh             fhcib  np.arccosh   1.2:4 loose=10
    angle             fhcib
    asin              fhcib  np.arcsin    -0.9:0.9
    asinh             fhcib  np.arcsinh
    atan              fhcib  np.arctan
    atanh             fhcib  np.arctanh   -0.8:0.8
    bitwise_not       ib     np.invert
    ceil              fhi    np.ceil
    conj_physical     fhci np.conj
    cos               fhcib  np.cos
    cosh              fhcib  np.cosh
    deg2rad           fhib   np.deg2rad
    digamma           fhib   scipy.special.digamma 0.3:4 loose=10
    erf               fhib   scipy.special.erf
    erfc              fhib   scipy.special.erfc
    erfinv            fhib   scipy.special.erfinv -0.9:0.9 loose=10
    exp               fhcib  np.exp
    exp2              fhcib  np.exp2
    expm1             fhcib  np.expm1
    floor             fhi    np.floor
    frac              fh
    i0                fhib   scipy.special.i0
    isfinite          fhcib  np.isfinite
    isinf             fhcib  np.isinf
    isnan             fhcib  np.isnan
    isneginf          fhib   np.isneginf
    isposinf          fhib   np.isposinf
    isreal            fhcib  np.isreal
    lgamma            fhib   ~scipy.special.gammaln 0.3:4 loose=10
    log               fhcib  np.log       0.3:4
    log10             fhcib  np.log10     0.3:4
    log1p             fhcib  np.log1p     -0.5:4
    log2              fhcib  np.log2      0.3:4
    logical_not       fhcib  np.logical_not
    neg               fhci   np.negative
    positive          fhci   np.positive
    rad2deg           fhib   np.rad2deg
    reciprocal        fhcib  np.reciprocal 0.4:4
    relu              fhi
    rsqrt             fhcib  -            0.4:4
    selu              fh
    sgn               fhcib
    sigmoid           fhcib  scipy.special.expit
    sign              fhib   ~np.sign
    signbit           fhib   np.signbit
    sin               fhcib  np.sin
    sinc              fhcib  np.sinc
    sinh              fhcib  np.sinh
    sqrt              fhcib  np.sqrt      0.3:4
    square            fhcib
    tan               fhcib  np.tan       -1.2:1.2 loose=10
    tanh              fhcib  np.tanh
    trunc             fhi    np.trunc
    absolute          fhci   np.abs
    arccos            fhcib  np.arccos    -0.9:0.9
    arccosh           fhcib  np.arccosh   1.2:4 loose=10
    arcsin            fhcib  np.arcsin    -0.9:0.9
    arcsinh           fhcib  np.arcsinh
    arctan            fhcib  np.arctan
    arctanh           fhcib  np.arctanh   -0.8:0.8
    fix               fhi    np.trunc
    negative          fhci   np.negative
    """,
    unary,
)

ROWS += table(
    """
    atan2                fhib  np.arctan2
    arctan2              fhib  np.arctan2
    copysign             fhib
    fmax                 fhib  np.fmax
    fmin                 fhib  np.fmin
    gcd                  i     np.gcd
    heaviside            fhib  ~np.heaviside grads=0
    hypot                fh    np.hypot
    lcm                  i     np.lcm
    logaddexp            fh    np.logaddexp
    logaddexp2           fh    np.logaddexp2
    logical_and          fhcib np.logical_and
    logical_or           fhcib np.logical_or
    logical_xor          fhcib np.logical_xor
    maximum              fhib  np.maximum
    minimum              fhib  np.minimum
    nextafter            f
    """,
    binary_tensors,
)

ROWS += table(
    """
    add                  fhcib np.add
    bitwise_and          ib    np.bitwise_and
    bitwise_or           ib    np.bitwise_or
    bitwise_xor          ib    np.bitwise_xor
    div                  fhcib - 0.4:3
    divide               fhcib - 0.4:3
    eq                   fhcib np.equal
    ge                   fhib  np.greater_equal
    greater              fhib  np.greater
    greater_equal        fhib  np.greater_equal
    gt                   fhib  np.greater
    le                   fhib  np.less_equal
    less                 fhib  np.less
    less_equal           fhib  np.less_equal
    lt                   fhib  np.less
    mul                  fhcib np.multiply
    multiply             fhcib np.multiply
    ne                   fhcib np.not_equal
    not_equal            fhcib np.not_equal
    true_divide          fhcib - 0.4:3
    xlogy                fhib  scipy.special.xlogy 0.3:4
    """,
    binary,
)


def _reversed(g: Draw) -> Iterator[Any]:
    """``rsub`` subtracts the first operand, and names the second one first."""
    return (s for s in _without_bool(g) if isinstance(s, Sample))


def _without_bool(g: Draw) -> Iterator[Any]:
    yield from binary(g)
    yield S(g(3), g(3), alpha=2)


def _division(g: Draw) -> Iterator[Any]:
    """Divisors that aren't 0, and dividends of both signs."""
    low = -3.0 if g.dtype != "uint8" else 0.0
    x = g(2, 3, low=low, high=6)
    yield S(x, g(2, 3, low=1, high=4))
    yield S(x, g(3, low=1, high=4))
    yield S(g(2, 3, low=low, high=6, layout="transposed"), 2)
    yield S(g(low=low, high=6), g(low=1, high=4))
    yield S(g(0, 3, low=low, high=6), g(3, low=1, high=4))
    if g.is_float:
        yield S(x, g(2, 3, low=-3, high=-1))
        yield S(g.special(), 0.75)


def _powers(g: Draw) -> Iterator[Any]:
    if g.kind == "i":
        yield S(g(2, 3, low=0, high=4), g(2, 3, low=0, high=3))
        yield S(g(3), 2)
        yield S(g(0, 3), 3)
        yield S(2, g(3, low=0, high=4))
        return
    yield S(g(2, 3, low=0.4, high=3), g(3, low=-2, high=2))
    yield S(g(low=0.4, high=3), g())
    for exponent in (2, 3, 0.5, -1, -2, 0, 1):
        yield S(g(3, low=0.4, high=3), exponent)
    yield S(1.5, g(2, 2))
    yield S(g(0, 3), 3)


def _shifts(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, low=0, high=9), g(3, low=0, high=3))
    yield S(g(3, low=0, high=9), 1)
    yield S(g(0), g(1, low=0, high=3))


def _where(g: Draw) -> Iterator[Any]:
    yield S(g.mask(2, 3), g(2, 3), g(2, 3))
    yield S(g.mask(3), g(2, 1), g())
    yield S(g.mask(2, 3), g(2, 3, layout="transposed"), 1)
    yield S(g.mask(0, 3), g(3), g(3))
    yield S(g.mask(2, 3))


def _ternary(g: Draw) -> Iterator[Any]:
    x, y, z = (2, 3), (3,), (2, 1)
    yield S(g(*x), g(*x, low=0.5, high=3), g(*x, low=0.5, high=3))
    yield S(g(*x), g(*y, low=0.5, high=3), g(*z, low=0.5, high=3), value=2)
    yield S(g(), g(), g(low=0.5, high=3))
    yield S(g(0, 3), g(0, 3), g(0, 3))


def _lerp(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g(2, 3), g(2, 3))
    yield S(g(2, 3), g(3), 0.3)
    yield S(g(), g(), g())
    yield S(g(2, 3), g(2, 3), 0.8)


def _clamp(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), -1, 1)
    yield S(g(2, 3, layout="transposed"), min=1)
    yield S(g(), max=1)
    yield S(g(2, 3), g(3), g(2, 1))
    yield S(g(2, 3), g(2, 3))
    yield S(g(0, 3), 0, 1)
    if g.is_float:
        yield S(g.special(), -0.5, 0.5)


def _clamp_to(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), 1)
    yield S(g(2, 3), g(3))
    yield S(g(), g())
    yield S(g(0, 3), 1)


def _close(g: Draw) -> Iterator[Any]:
    x = g(2, 3, grad=False)
    near = x.values + np.array(1e-7, x.values.dtype) if g.kind != "b" else x.values
    yield S(x, g.of(near, grad=False))
    yield S(x, g(2, 3, grad=False))
    yield S(x, x)
    yield S(g(0, 3), g(0, 3))
    if g.is_float:
        yield S(g.special(), g.special(), equal_nan=True)


def _equal(g: Draw) -> Iterator[Any]:
    x = g(2, 3, grad=False)
    yield S(x, g.of(x.values, grad=False))
    yield S(x, g(2, 3, grad=False))
    yield S(x, g(3, 2))
    yield S(g(0, 3), g(0, 3))


def _nan_to_num(g: Draw) -> Iterator[Any]:
    yield from unary(g)
    yield S(g(3), 1.0)
    if g.is_float:
        yield S(g.special(), nan=1.0, posinf=2.0, neginf=-2.0)


def _round(g: Draw) -> Iterator[Any]:
    yield from unary(g)
    if g.is_float:
        yield S(g(2, 3), decimals=0)
        yield S(g(2, 3), decimals=2)


def _logit(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, low=0.1, high=0.9))
    yield S(g(2, 3, low=0.1, high=0.9), 0.2)
    yield S(g(0))


def _complex_parts(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g(2, 3))
    yield S(g(2, 1), g(3))
    yield S(g(), g())
    yield S(g(0), g(0))


def _ldexp(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g(3, dtype="int64", low=-2, high=3))
    yield S(g(), g(dtype="int64", low=0, high=3))
    yield S(g(0, 3), g(3, dtype="int64"))


def _polygamma(g: Draw) -> Iterator[Any]:
    for n in (0, 1, 2):
        yield S(n, g(2, 3, low=1, high=4))
    yield S(1, g(0))


def _mvlgamma(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, low=2, high=5), 1)
    yield S(g(3, low=3, high=6), 3)


_INCOMPLETE = """
igamma   fh  scipy.special.gammainc  0.4:4 grads=0
igammac  fh  scipy.special.gammaincc 0.4:4 grads=0
"""

ROWS += [
    cases("sub", _without_bool, "fhci"),
    cases("subtract", _without_bool, "fhci"),
    cases("rsub", _reversed, "fhci"),
    cases("floor_divide", _division, "fhi", "np.floor_divide", grads=0),
    cases("remainder", _division, "fhi", "np.remainder"),
    cases("fmod", _division, "fhi", "np.fmod"),
    cases("pow", _powers, "fhci"),
    cases("float_power", _powers, "fhci", np.float_power, inplace=False),
    cases(
        "Tensor.float_power_",
        lambda g: [S(g(3, low=0.4, high=3), 2)],
        ("float64",),
        grads=0,
    ),
    cases("bitwise_left_shift", _shifts, "i", "np.left_shift"),
    cases("bitwise_right_shift", _shifts, "i", "np.right_shift"),
    cases("where", _where, "fhcib", np.where),
    cases("addcmul", _ternary, "fhci"),
    cases("addcdiv", _ternary, "fhc"),
    cases("lerp", _lerp, "fhc"),
    cases("clamp", _clamp, "fhi"),
    cases("clip", _clamp, "fhi"),
    cases("clamp_min", _clamp_to, "fhi", "np.maximum"),
    cases("clamp_max", _clamp_to, "fhi", "np.minimum"),
    cases("isclose", _close, "fhcib", "np.isclose"),
    cases("allclose", _close, "fhcib", "np.allclose"),
    cases("equal", _equal, "fhcib"),
    cases("is_same_size", lambda g: [S(g(2, 3), g(2, 3)), S(g(2), g(3))]),
    cases("is_nonzero", lambda g: [S(g.of(1)), S(g.of([0]))]),
    cases("result_type", lambda g: [S(g(2), g()), S(g(2), 1.5), S(2, g())]),
    cases("nan_to_num", _nan_to_num, "fhcib"),
    cases("round", _round, "fhi", "np.round"),
    cases("logit", _logit, "fh", "scipy.special.logit"),
    cases("complex", _complex_parts, "f", lambda a, b: a + 1j * b),
    cases("polar", _complex_parts, "f", lambda a, b: a * np.exp(1j * b)),
    cases("ldexp", _ldexp, "fhc", lambda x, n: x * 2.0**n),
    cases("frexp", unary, "fh"),
    cases(
        "polygamma",
        _polygamma,
        "fhi",
        "scipy.special.polygamma",
        loose=10,
        grads=1,
        inplace=False,
    ),
    cases("mvlgamma", _mvlgamma, "fhi", "scipy.special.multigammaln", loose=10),
    cases("threshold", lambda g: [S(g(2, 3), 0.5, 2), S(g(), 1, 0)], "fhi"),
    cases("ops.aten.threshold_backward", lambda g: [S(g(2, 3), g(2, 3), 0.5)], "fhi"),
    cases("real", lambda g: [S(g(2, 3)), S(g())], "fhc", "np.real"),
    cases("imag", lambda g: [S(g(2, 3)), S(g())], "c", "np.imag"),
    cases("conj", lambda g: [S(g(2, 3)), S(g(0))], "fhcib", "np.conj"),
    cases("resolve_conj", lambda g: [S(g(2, 3))]),
    cases("resolve_neg", lambda g: [S(g(2, 3))]),
    cases(
        "adjoint",
        lambda g: [S(g(2, 3)), S(g(2, 3, 4))],
        "fhcib",
        lambda x: np.conj(x).swapaxes(-1, -2),
    ),
    *table(_INCOMPLETE, binary_tensors),
]
