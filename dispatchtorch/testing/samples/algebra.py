"""Samples of matrix products and what is made of them, and of distances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ._generators import cases
from ._model import Draw, Failure, OperatorSamples, Sample

__all__ = ["ROWS"]

S = Sample
_NUMBERS = "fhci"


def _mm(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g(3, 4))
    yield S(g(2, 3, layout="transposed"), g(3, 4, layout="transposed"))
    yield S(g(2, 3, layout="expanded"), g(3, 2, layout="strided"))
    yield S(g(2, 0), g(0, 3))
    yield Failure(
        S(g(2, 3), g(2, 3)),
        "RuntimeError",
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)",
    )


def _bmm(g: Draw) -> Iterator[Any]:
    yield S(g(2, 2, 3), g(2, 3, 4))
    yield S(g(2, 2, 3, layout="transposed"), g(2, 3, 2, layout="transposed"))
    yield S(g(0, 2, 3), g(0, 3, 2))
    yield Failure(
        S(g(2, 2, 3), g(2, 2, 3)),
        "RuntimeError",
        "Expected size for first two dimensions of batch2 tensor to be",
    )


def _matmul(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3), g(3, 4))
    yield S(g(3), g(3))
    yield S(g(2, 3), g(3))
    yield S(g(3), g(3, 2))
    yield S(g(2, 1, 2, 3), g(3, 3, 2))
    yield S(g(2, 3, 4, layout="transposed"), g(4, 2))
    yield S(g(2, 3), g(2, 3, 2))
    yield S(g(0, 3), g(3, 2))


def _scaled(*shapes: tuple[int, ...]) -> Any:
    """The product of the last two, added to the first, with beta and alpha."""

    def generate(g: Draw) -> Iterator[Any]:
        yield S(*[g(*shape) for shape in shapes])
        yield S(*[g(*shape) for shape in shapes], beta=2, alpha=3)
        yield S(g(*shapes[0]), *[g(*shape) for shape in shapes[1:]], beta=0)

    return generate


def _activated(g: Draw) -> Iterator[Any]:
    yield S(g(4), g(2, 3), g(3, 4))
    yield S(g(4), g(2, 3), g(3, 4), use_gelu=True)


def _dot(g: Draw) -> Iterator[Any]:
    yield S(g(4), g(4))
    yield S(g(4, layout="strided"), g(4))
    yield S(g(0), g(0))


def _tensordot(g: Draw) -> Iterator[Any]:
    yield S(g(2, 3, 4), g(3, 4, 2))
    yield S(g(2, 3), g(2, 3), dims=([0, 1], [0, 1]))
    yield S(g(2, 3), g(4), 0)


def _einsum(g: Draw) -> Iterator[Any]:
    yield S("ij,jk->ik", g(2, 3), g(3, 4))
    yield S("ii->i", g(3, 3))
    yield S("b...i,...i->b", g(2, 3, 4), g(3, 4))
    yield S("i,j,k->kij", g(2), g(3), g(2))
    yield S("ij->", g(2, 3))


def _cdist(g: Draw) -> Iterator[Any]:
    for p in (2.0, 1.0, 3.0, float("inf")):
        yield S(g(3, 4), g(2, 4), p)
    yield S(g(2, 3, 4), g(2, 2, 4))


def _addr(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    return beta * x + alpha * np.outer(a, b)


ROWS: list[OperatorSamples] = [
    cases("mm", _mm, _NUMBERS, "np.matmul"),
    cases("bmm", _bmm, _NUMBERS, "np.matmul"),
    cases("matmul", _matmul, _NUMBERS, "np.matmul"),
    cases(
        "mv",
        lambda g: [S(g(2, 3), g(3)), S(g(3, 2, layout="transposed"), g(2))],
        _NUMBERS,
        "np.matmul",
    ),
    cases("dot", _dot, _NUMBERS, "np.dot"),
    cases("vdot", _dot, _NUMBERS, "np.vdot"),
    cases(
        "inner",
        lambda g: [S(g(2, 3), g(4, 3)), S(g(3), g(3)), S(g(2), g())],
        _NUMBERS,
        "np.inner",
    ),
    cases("outer", lambda g: [S(g(2), g(3)), S(g(0), g(2))], "fhcib", "np.outer"),
    cases("ger", lambda g: [S(g(2), g(3))], "fhcib", "np.outer"),
    cases("addmm", _scaled((2, 4), (2, 3), (3, 4)), _NUMBERS, loose=4),
    cases("baddbmm", _scaled((2, 2, 4), (2, 2, 3), (2, 3, 4)), _NUMBERS, loose=4),
    cases("addbmm", _scaled((2, 4), (2, 2, 3), (2, 3, 4)), _NUMBERS, loose=4),
    cases("addmv", _scaled((2,), (2, 3), (3,)), _NUMBERS, loose=4),
    cases("addr", _scaled((2, 3), (2,), (3,)), _NUMBERS, _addr, loose=4),
    cases("chain_matmul", lambda g: [S(g(2, 3), g(3, 4), g(4, 2))], "fc"),
    cases(
        "matrix_power",
        lambda g: [S(g(3, 3), 0), S(g(3, 3), 3), S(g(2, 2, 2), 2)],
        "fc",
        np.linalg.matrix_power,
        loose=10,
    ),
    cases(
        "kron",
        lambda g: [S(g(2, 2), g(1, 3)), S(g(2), g(2, 2)), S(g(), g(2))],
        "fhcib",
        "np.kron",
    ),
    cases("cross", lambda g: [S(g(2, 3), g(2, 3)), S(g(3, 2), g(3, 2), 0)], _NUMBERS),
    cases(
        "linalg.cross",
        lambda g: [S(g(2, 3), g(2, 3)), S(g(3, 2), g(3, 1), dim=0)],
        _NUMBERS,
    ),
    cases("tensordot", _tensordot, "fc", covers="_tensordot"),
    cases("_addmm_activation", _activated, "f", grads=0, loose=4),
    cases("_weight_norm", lambda g: [S(g(3, 2), g(3, 1))], "f"),
    cases("einsum", _einsum, "fc", "np.einsum", covers="_einsum"),
    cases("cdist", _cdist, "f", grads=1),
    cases("pdist", lambda g: [S(g(4, 3)), S(g(3, 2), 1.0)], "f", grads=1),
]
