"""Samples of ``torch.special``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._generators import binary, table, unary
from ._model import Draw, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample


def _polynomial(g: Draw) -> Iterator[Any]:
    yield S(g(4, low=-0.9, high=0.9), g(4, dtype="int64", low=0, high=5))
    yield S(g(2, 1, low=0.1, high=0.9), g(3, dtype="int64", low=0, high=5))
    yield S(g(3, low=0.1, high=0.9), 3)
    yield S(0.3, g(3, dtype="int64", low=0, high=5))
    yield S(g(0), g(0, dtype="int64"))


def _plain(g: Draw) -> Iterator[Any]:
    return (
        s
        for s in unary(g)
        if not isinstance(s, Sample) or s.arrays()[0].grad or not g.is_float
    )


ROWS: list[OperatorSamples] = [
    *table(
        """
        special.entr        scipy.special.entr     0.3:4
        special.erfcx       scipy.special.erfcx
        special.i0e         scipy.special.i0e
        special.i1          scipy.special.i1
        special.i1e         scipy.special.i1e
        special.log_ndtr    scipy.special.log_ndtr
        special.ndtr        scipy.special.ndtr
        special.ndtri       scipy.special.ndtri    0.1:0.9
        """,
        unary,
        "fib",
        loose=10,
        inplace=False,
    ),
    *table(
        """
        special.airy_ai
        special.bessel_j0           scipy.special.j0
        special.bessel_j1           scipy.special.j1
        special.bessel_y0           scipy.special.y0  0.3:9
        special.bessel_y1           scipy.special.y1  0.3:9
        special.modified_bessel_i0  scipy.special.i0
        special.modified_bessel_i1  scipy.special.i1
        special.modified_bessel_k0  scipy.special.k0  0.3:4
        special.modified_bessel_k1  scipy.special.k1  0.3:4
        special.scaled_modified_bessel_k0  scipy.special.k0e 0.3:4
        special.scaled_modified_bessel_k1  scipy.special.k1e 0.3:4
        special.spherical_bessel_j0
        """,
        _plain,
        "fib",
        loose=10,
        grads=0,
        inplace=False,
    ),
    *table(
        """
        special.xlog1py  scipy.special.xlog1py 0.3:4
        special.zeta     scipy.special.zeta    1.5:4  grads=0
        """,
        binary,
        "fib",
        loose=10,
        inplace=False,
    ),
    *table(
        "\n".join(
            f"special.{name}"
            for name in """
            chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v
            chebyshev_polynomial_w hermite_polynomial_h hermite_polynomial_he
            laguerre_polynomial_l legendre_polynomial_p shifted_chebyshev_polynomial_t
            shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
            shifted_chebyshev_polynomial_w
            """.split()
        ),
        _polynomial,
        "f",
        loose=100,
        grads=0,
        inplace=False,
    ),
]
