"""Distances and products of pairs against the oracle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as dt
import dispatchtorch.nn.functional as F
from dispatchtorch.autograd import gradcheck, gradgradcheck

from .oracle import compare, spec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_RNG = np.random.default_rng(7)
X = _RNG.normal(size=(3, 5))
Y = _RNG.normal(size=(3, 5))
WEIGHT = _RNG.normal(size=(2, 5, 4))
BIAS = _RNG.normal(size=2)


def g(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype, grad=True)


def c(values: Any, dtype: str = "float32") -> Any:
    return spec(np.asarray(values), dtype)


def _cosine(**options: Any) -> Any:
    return lambda t, x, y: t.nn.functional.cosine_similarity(x, y, **options)


def _pairwise(**options: Any) -> Any:
    return lambda t, x, y: t.nn.functional.pairwise_distance(x, y, **options)


@pytest.mark.parametrize(
    "options", [{}, {"dim": 0}, {"dim": -1}, {"eps": 3.0}, {"dim": 3}]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cosine_similarity(options: Any, dtype: str, device: str) -> None:
    compare(_cosine(**options), g(X, dtype), g(Y, dtype), device=device)


def test_cosine_similarity_of_other_operands(device: str) -> None:
    compare(_cosine(), g(X), g(Y[0]), device=device)
    compare(_cosine(), g(X), c(np.zeros((3, 5))), device=device)
    compare(_cosine(), g(X), g(Y, "float64"), device=device)
    compare(_cosine(), c(X, "int64"), c(Y, "int64"), device=device)
    compare(_cosine(), g(X), g(Y[:2]), device=device)


@pytest.mark.parametrize("p", [2.0, 1.0, 3.0, 0.0, float("inf")])
@pytest.mark.parametrize("keepdim", [False, True])
def test_pairwise_distance(p: float, keepdim: bool, device: str) -> None:
    compare(_pairwise(p=p, keepdim=keepdim), g(X), g(Y), device=device)
    compare(_pairwise(p=p, keepdim=keepdim), g(X[0]), g(Y[0]), device=device)
    compare(_pairwise(p=p), g(X), g(Y[0]), device=device)


def _bilinear(t: Any, x: Any, y: Any, w: Any, b: Any = None) -> Any:
    return t.nn.functional.bilinear(x, y, w, b)


@pytest.mark.parametrize("lead", [(3,), (), (2, 3), (0,)])
def test_bilinear(lead: Any, device: str) -> None:
    x, y = _RNG.normal(size=(*lead, 5)), _RNG.normal(size=(*lead, 4))
    compare(_bilinear, g(x), g(y), g(WEIGHT), g(BIAS), device=device, atol=1e-5)
    compare(_bilinear, g(x), g(y), g(WEIGHT), device=device, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "y", "w", "b"),
    [
        (X, Y, WEIGHT, BIAS),
        (X[:, :3], Y[:, :4], WEIGHT, BIAS),
        (X, Y[0, :4], WEIGHT, BIAS),
        (X, Y[:2, :4], WEIGHT, BIAS),
        (X, Y[:, :4], WEIGHT, np.ones(3)),
    ],
)
def test_bilinear_errors(x: Any, y: Any, w: Any, b: Any) -> None:
    compare(_bilinear, c(x), c(y), c(w), c(b))


def test_derivatives(device: str) -> None:
    x, y, w = (
        dt.tensor(v.tolist(), dtype=dt.float64, device=device, requires_grad=True)
        for v in (X, Y, _RNG.normal(size=(2, 5, 5)))
    )
    assert gradcheck(F.cosine_similarity, (x, y), fast_mode=True)
    assert gradcheck(F.pairwise_distance, (x, y), fast_mode=True)
    assert gradcheck(F.bilinear, (x, y, w), fast_mode=True)
    assert gradgradcheck(F.cosine_similarity, (x, y), fast_mode=True)
    assert gradgradcheck(F.bilinear, (x, y, w), fast_mode=True)


@pytest.mark.parametrize("p", [2.0, 1.0, 0.0, 3.0, float("inf")])
def test_pdist(p: float, device: str) -> None:
    def run(t: Any, x: Any) -> Any:
        return t.nn.functional.pdist(x, p)

    rows = _RNG.normal(size=(4, 3))
    compare(run, g(rows) if p else c(rows), device=device)
    compare(run, g(X[:1]) if p else c(X[:1]), device=device)


def test_pdist_errors() -> None:
    compare(lambda t, x: t.pdist(x), c(X[0]))
    compare(lambda t, x: t.pdist(x, -1.0), c(X))
    compare(lambda t, x: t.pdist(x), c(X, "int64"))
