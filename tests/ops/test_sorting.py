"""Sorting, selecting, distinct elements, searching: as PyTorch, on every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch

from .oracle import compare, spec

oracle = pytest.importorskip("torch")
r = np.random.default_rng(0)


def X(*shape: int, dt: str = "float64", g: bool = True) -> Any:
    return spec(r.standard_normal(shape), dt, g)


def I(values: Any, **options: Any) -> Any:
    return spec(np.array(values), **options)


def check(fn: Any, *args: Any, **options: Any) -> None:
    compare(fn, *args, **{"gradgrad": True, "grad_fn": True, **options})


T = I([[3, 1, 2, 1], [0, 5, 5, 2]])
N = I([[1, np.nan, 3.0], [4, 5, np.nan]], grad=True)
U = I(r.integers(0, 4, (3, 5)))
S = I([1, 3, 5, 7, 9])
V = I([[3, 6, 9], [0, 3, 10]])


@pytest.mark.oracle
def test_sort_as_pytorch() -> None:
    check(lambda m, x: m.sort(x), X(3, 4))
    check(lambda m, x: x.sort(0, True), X(3, 4))
    check(lambda m, x: x.sort(descending=True, stable=True), T)
    check(lambda m, x: x.sort(stable=True, dim=0), T)
    check(lambda m, x: m.sort(x), N)
    check(lambda m, x: m.sort(x, descending=True), N)
    check(lambda m, x: m.sort(x), X())
    check(lambda m, x: m.sort(x), X(7, dt="bfloat16"))
    check(lambda m, x: m.sort(x), I([True, False, True]))


@pytest.mark.oracle
def test_argsort_as_pytorch() -> None:
    check(lambda m, x: m.argsort(x, stable=True), T)
    check(lambda m, x: x.argsort(0), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_msort_as_pytorch() -> None:
    check(lambda m, x: m.msort(x), X(3, 4))


@pytest.mark.oracle
def test_sort_2_as_pytorch() -> None:
    check(lambda m, x: m.sort(x), I([1 + 1j]))


@pytest.mark.oracle
def test_topk_as_pytorch() -> None:
    check(lambda m, x: m.topk(x, 2), X(3, 4))
    check(lambda m, x: x.topk(2, 0, False), X(3, 4))
    check(lambda m, x: x.topk(9), X(3, 4))
    check(lambda m, x: x.topk(1), X())


@pytest.mark.oracle
def test_kthvalue_as_pytorch() -> None:
    check(lambda m, x: m.kthvalue(x, 2), X(3, 4))
    check(lambda m, x: x.kthvalue(1, 0, True), X(3, 4))
    check(lambda m, x: x.kthvalue(0), X(3, 4))


@pytest.mark.oracle
def test_median_as_pytorch() -> None:
    for f in ("median", "nanmedian"):
        check(lambda m, x: getattr(m, f)(x), X(3, 4))
        check(lambda m, x: getattr(m, f)(x, 1), X(3, 4))
        check(lambda m, x: getattr(x, f)(0, True), X(3, 4))
        check(lambda m, x: getattr(x, f)(1), N)
        check(lambda m, x: getattr(x, f)(), N, gradgrad=False)
        check(lambda m, x: getattr(x, f)(1)[0], T)
        check(lambda m, x: getattr(x, f)(), X())


@pytest.mark.oracle
def test_mode_as_pytorch() -> None:
    check(lambda m, x: m.mode(x), T)
    check(lambda m, x: m.mode(x, 0, True), T)
    check(lambda m, x: m.mode(x), X(3, 4))
    check(lambda m, x: m.mode(x)[0], I(r.integers(0, 3, (4, 9))))
    check(lambda m, x: m.mode(x), I(r.integers(0, 3, (4, 9))))


@pytest.mark.oracle
def test_cummax_as_pytorch() -> None:
    for f in ("cummax", "cummin"):
        check(lambda m, x: getattr(m, f)(x, 1), X(3, 7))
        check(lambda m, x: getattr(x, f)(0), T)
        check(lambda m, x: getattr(x, f)(1), N)
        check(lambda m, x: getattr(x, f)(1), I(r.integers(0, 3, (4, 9))))
        check(lambda m, x: getattr(x, f)(0), X())


@pytest.mark.oracle
def test_logcumsumexp_as_pytorch() -> None:
    check(lambda m, x: m.logcumsumexp(x, 1), X(3, 7))
    check(lambda m, x: m.logcumsumexp(x, 0), X())
    check(lambda m, x: m.logcumsumexp(x, 0), T)


@pytest.mark.oracle
def test_unique_as_pytorch() -> None:
    for kw in (
        {},
        {"return_inverse": True},
        {"return_counts": True, "return_inverse": True},
    ):
        check(lambda m, x: m.unique(x, **kw), U)
        check(lambda m, x: x.unique(dim=0, **kw), I(r.integers(0, 2, (6, 2))))
        check(lambda m, x: m.unique(x, dim=1, **kw), I(r.integers(0, 2, (2, 6))))
        check(lambda m, x: m.unique_consecutive(x, **kw), I([1, 1, 2, 2, 3, 1, 1, 2]))
        check(
            lambda m, x: x.unique_consecutive(dim=0, **kw), I(r.integers(0, 2, (6, 1)))
        )
        check(lambda m, x: m.unique(x, **kw), spec(np.zeros(0)))


@pytest.mark.oracle
def test_searchsorted_as_pytorch() -> None:
    for kw in ({}, {"right": True}, {"side": "right"}, {"out_int32": True}):
        check(lambda m, s, v: m.searchsorted(s, v, **kw), S, V)
        if "side" not in kw:
            check(lambda m, s, v: m.bucketize(v, s, **kw), S, V)
            check(lambda m, s: m.bucketize(4, s, **kw), S)
        check(lambda m, s: m.searchsorted(s, 3, **kw), S)
    check(
        lambda m, s, v: m.searchsorted(s, v),
        I([[1, 3, 5], [2, 4, 6]]),
        I([[3, 6], [1, 4]]),
    )
    check(lambda m, s, v: m.searchsorted(s, v), I([[1, 3, 5], [2, 4, 6]]), I([3]))
    check(lambda m, s, v: m.searchsorted(s, v), I([1, 2.0, 3]), I([np.nan, 2, 0]))
    check(
        lambda m, s, v: m.searchsorted(s, v, right=True),
        I([1, 2.0, np.nan]),
        I([np.nan, 2, 0]),
    )


@pytest.mark.oracle
def test_isin_as_pytorch() -> None:
    check(lambda m, a, b: m.isin(a, b), V, S)
    check(lambda m, a, b: m.isin(a, b, invert=True), V, S)
    check(lambda m, a: m.isin(a, 3), V)
    check(lambda m, a: m.isin(3, a), V)


@pytest.mark.oracle
def test_where_as_pytorch() -> None:
    check(lambda m, a: m.where(a > 3), V)


@pytest.mark.oracle
def test_argwhere_as_pytorch() -> None:
    check(lambda m, a: m.argwhere(a > 3), V)


def test_order_on_devices(device: str) -> None:
    x = torch.tensor([3, 1, 2, 1], device=device)
    assert x.sort(stable=True).indices.tolist() == [1, 3, 2, 0]
    assert x.unique().tolist() == [1, 2, 3]
    assert x.cummax(0).values.tolist() == [3, 3, 3, 3]
    assert torch.searchsorted(x.sort().values, x).tolist() == [3, 0, 2, 0]
