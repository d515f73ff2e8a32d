"""Moments, norms, histograms, writing by index: as PyTorch, on every device."""

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


N = lambda: spec(np.array([[1, np.nan, 3], [4, 5, np.nan]]), "float64", True)
g = dict(grad_fn=False, strides=False)


@pytest.mark.oracle
def test_var_as_pytorch() -> None:
    for f in ("var", "std"):
        check(lambda m, x: getattr(m, f)(x), X(3, 4))
        check(lambda m, x: getattr(x, f)(0), X(3, 4))
        check(lambda m, x: getattr(x, f)(0, False), X(3, 4))
        check(lambda m, x: getattr(x, f)(False), X(3, 4))
        check(lambda m, x: getattr(x, f)(unbiased=False), X(3, 4))
        check(
            lambda m, x: getattr(x, f)(dim=(0, 2), keepdim=True, correction=2),
            X(3, 4, 2),
        )
        check(lambda m, x: getattr(x, f)(1), X(3, 1), gradgrad=False)
        check(lambda m, x: getattr(x, f)(), X(), grad=False)
        check(lambda m, x: getattr(x, f)(1), X(3, 0, g=False))
        check(lambda m, x: getattr(x, f)(1), X(3, 5, dt="float16"))
        check(lambda m, x: getattr(x, f)(1), X(3, 5, dt="bfloat16"))
        check(lambda m, x: getattr(x, f)(1), spec(np.ones((2, 2)), "int64"))
        check(
            lambda m, x: getattr(x, f)(),
            spec(
                r.standard_normal((3, 4)) + 1j * r.standard_normal((3, 4)),
                "complex128",
                True,
            ),
        )
        check(
            lambda m, x: getattr(m, f + "_mean")(x, 1, keepdim=True),
            X(3, 4),
            gradgrad=False,
        )
        check(lambda m, x: getattr(m, f + "_mean")(x), X(3, 4))
        check(lambda m, x: getattr(m, f + "_mean")(x, (0, 1), False), X(3, 4))
        check(lambda m, x: getattr(m, f + "_mean")(x, 1, correction=0)[0], X(3, 4))
        check(lambda m, x: getattr(m, f + "_mean")(x), spec(np.ones((2, 2)), "int64"))


@pytest.mark.oracle
def test_norm_as_pytorch() -> None:
    for p in (2, 1, float("inf"), -float("inf"), 3, 1.5, 0.5, -1, "fro"):
        check(lambda m, x: m.norm(x, p), X(3, 4), gradgrad=False)
        check(lambda m, x: x.norm(p, 1), X(3, 4), gradgrad=False)
        if p != "fro":
            check(
                lambda m, x: m.linalg.vector_norm(x, p, dim=(0, 1), keepdim=True),
                X(3, 4),
                gradgrad=False,
            )
            check(
                lambda m, x: m.linalg.vector_norm(x, p),
                spec(np.zeros((3,)), "float64", True),
                gradgrad=False,
            )
            check(
                lambda m, x: m.linalg.vector_norm(x, p),
                spec(
                    r.standard_normal((3, 4)) + 1j * r.standard_normal((3, 4)),
                    "complex128",
                    True,
                ),
                gradgrad=False,
            )
            check(
                lambda m, x: m.linalg.vector_norm(x, p),
                spec(np.zeros((0,)), "float64", False),
            )
            check(
                lambda m, x: m.linalg.vector_norm(x, p, 1),
                spec(np.zeros((2, 0)), "float64", False),
            )
            check(lambda m, x: m.linalg.vector_norm(x, p), X(5, dt="bfloat16"))
    check(lambda m, x: x.norm(), X(3, 4))
    check(lambda m, x: x.norm(dim=-1, keepdim=True), X(3, 4))
    check(lambda m, x: x.norm(2, dtype=m.float64), X(3, dt="float32"))
    check(lambda m, x: x.norm(), spec(np.ones(3), "int64"))
    check(lambda m, x: x.norm(), X())
    check(lambda m, x: m.norm(x, p=2, dim=0, keepdim=False), X(3, 4))


@pytest.mark.oracle
def test_renorm_as_pytorch() -> None:
    check(lambda m, x: x.renorm(2, 0, 1.0), X(3, 4), grad_fn=False)


@pytest.mark.oracle
def test_dist_as_pytorch() -> None:
    check(lambda m, x, y: m.dist(x, y), X(3, 4), X(4), grad_fn=False)


@pytest.mark.oracle
def test_logsumexp_as_pytorch() -> None:
    for d in (0, -1, (0, 1)):
        check(lambda m, x: m.logsumexp(x, d), X(3, 4))
        check(lambda m, x: x.logsumexp(d, keepdim=True), X(3, 4), gradgrad=False)
    check(
        lambda m, x: m.logsumexp(x, 0),
        spec(np.array([-np.inf, -np.inf]), "float64", False),
    )
    check(
        lambda m, x: m.logsumexp(x, 0),
        spec(np.array([np.inf, -np.inf]), "float64", False),
    )
    check(lambda m, x: m.logsumexp(x, 0), spec(np.arange(5)))
    check(lambda m, x: m.logsumexp(x, 0), X(5, dt="float16"))
    check(lambda m, x: m.logsumexp(x, 0), spec(np.zeros((0, 2)), "float64"))


@pytest.mark.oracle
def test_count_nonzero_as_pytorch() -> None:
    check(lambda m, x: m.count_nonzero(x), spec(np.arange(5)))
    check(lambda m, x: m.count_nonzero(x, 0), spec(np.arange(6).reshape(2, 3)))
    check(lambda m, x: m.count_nonzero(x, dim=(0, 1)), spec(np.arange(6).reshape(2, 3)))


@pytest.mark.oracle
def test_nansum_as_pytorch() -> None:
    check(lambda m, x: m.nansum(x), N())
    check(lambda m, x: m.nansum(x, 1), N())


@pytest.mark.oracle
def test_nanmean_as_pytorch() -> None:
    check(lambda m, x: x.nanmean(0, True), N(), grad_fn=False)
    check(lambda m, x: m.nanmean(x), N(), grad_fn=False)


@pytest.mark.oracle
def test_nansum_2_as_pytorch() -> None:
    check(lambda m, x: m.nansum(x), spec(np.arange(5)))


@pytest.mark.oracle
def test_aminmax_as_pytorch() -> None:
    check(lambda m, x: m.aminmax(x), X(3, 4))
    check(lambda m, x: m.aminmax(x, dim=0), X(3, 4))
    check(lambda m, x: x.aminmax(dim=1, keepdim=True), X(3, 4))
    check(lambda m, x: m.aminmax(x), spec(np.zeros(0)))


@pytest.mark.oracle
def test_take_as_pytorch() -> None:
    check(lambda m, x: m.take(x, m.tensor([0, -1, 5])), X(3, 4), **g)


@pytest.mark.oracle
def test_clone_as_pytorch() -> None:
    check(lambda m, x, y: x.clone().put_(m.tensor([0, 5]), y), X(3, 4), X(2), **g)


@pytest.mark.oracle
def test_take_along_dim_as_pytorch() -> None:
    check(lambda m, x: m.take_along_dim(x, x.argsort(1), 1), X(3, 4), **g)
    check(lambda m, x: m.take_along_dim(x, m.tensor([[1], [0], [2]]), 1), X(3, 4), **g)
    check(lambda m, x: x.take_along_dim(m.tensor([1, 2])), X(3, 4), **g)


@pytest.mark.oracle
def test_masked_scatter_as_pytorch() -> None:
    check(lambda m, x, y: x.masked_scatter(x > 0, y), X(3, 4), X(12), **g)


@pytest.mark.oracle
def test_clone_2_as_pytorch() -> None:
    check(
        lambda m, x, y: x.clone().masked_scatter_(
            m.tensor([True, False, True, True]), y
        ),
        X(3, 4),
        X(12),
        **g,
    )


@pytest.mark.oracle
def test_index_copy_as_pytorch() -> None:
    check(lambda m, x, y: x.index_copy(0, m.tensor([2, 0]), y), X(3, 4), X(2, 4))


@pytest.mark.oracle
def test_index_fill_as_pytorch() -> None:
    check(lambda m, x: x.index_fill(1, m.tensor([2, 0]), 3.0), X(3, 4))


@pytest.mark.oracle
def test_clone_3_as_pytorch() -> None:
    check(lambda m, x: x.clone().index_fill_(1, m.tensor([2, 0]), 0), X(3, 4))


@pytest.mark.oracle
def test_index_fill_2_as_pytorch() -> None:
    check(
        lambda m, x, y: x.index_fill(1, m.tensor([2, 0]), y),
        X(3, 4),
        X(),
        grad_fn=False,
    )


@pytest.mark.oracle
def test_sum_as_pytorch() -> None:
    for k in ("sum", "mean", "prod", "amax", "amin"):
        for inc in (True, False):
            check(
                lambda m, x, y: x.scatter_reduce(
                    1, m.tensor([[0, 1, 1], [2, 2, 2]]), y, k, include_self=inc
                ),
                X(2, 4),
                X(2, 3),
                gradgrad=False,
                **g,
            )
            if k != "sum":
                check(
                    lambda m, x, y: x.index_reduce(
                        0, m.tensor([0, 1, 1]), y, k, include_self=inc
                    ),
                    X(4, 2),
                    X(3, 2),
                    gradgrad=False,
                    **g,
                )


@pytest.mark.oracle
def test_bincount_as_pytorch() -> None:
    check(lambda m, x: m.bincount(x), I([1, 2, 2, 5]))
    check(
        lambda m, x: x.bincount(m.tensor([0.5, 1, 2, 3]), minlength=9), I([1, 2, 2, 5])
    )


@pytest.mark.oracle
def test_histc_as_pytorch() -> None:
    check(lambda m, x: m.histc(x, 5), X(20, g=False))
    check(lambda m, x: m.histc(x, 5, -1, 1), X(20, g=False))


@pytest.mark.oracle
def test_quantile_as_pytorch() -> None:
    for n in ("quantile", "nanquantile"):
        for how in ("linear", "lower", "higher", "midpoint", "nearest"):
            check(lambda m, x: getattr(m, n)(x, 0.3, interpolation=how), X(3, 4), **g)
            check(
                lambda m, x: getattr(m, n)(
                    x,
                    m.tensor([0.3, 0.9], dtype=m.float64),
                    dim=1,
                    keepdim=True,
                    interpolation=how,
                ),
                X(3, 4),
                **g,
            )
        check(
            lambda m, x: getattr(m, n)(x, 0.5, dim=1),
            I([[1, np.nan, 3.0], [4, 5, 6]]),
            **g,
        )
        check(lambda m, x: getattr(m, n)(x, 1.5), X(3, 4))


@pytest.mark.oracle
def test_diff_as_pytorch() -> None:
    check(lambda m, x: m.diff(x), X(3, 4), **g)
    check(lambda m, x: x.diff(2, 0), X(3, 4), **g)
    check(lambda m, x: x.diff(prepend=x), X(3, 4), **g)


@pytest.mark.oracle
def test_trapezoid_as_pytorch() -> None:
    check(lambda m, x: m.trapezoid(x), X(3, 4), **g)


@pytest.mark.oracle
def test_trapz_as_pytorch() -> None:
    check(lambda m, x: m.trapz(x, dx=0.5, dim=0), X(3, 4), **g)


@pytest.mark.oracle
def test_trapezoid_2_as_pytorch() -> None:
    check(lambda m, x, y: m.trapezoid(x, y), X(3, 4), X(4), **g)


@pytest.mark.oracle
def test_cumulative_trapezoid_as_pytorch() -> None:
    check(lambda m, x, y: m.cumulative_trapezoid(x, y), X(3, 4), X(4), **g)


@pytest.mark.oracle
def test_vander_as_pytorch() -> None:
    check(lambda m, x: m.vander(x, 3), X(4, g=False), **g)


@pytest.mark.oracle
def test_cov_as_pytorch() -> None:
    check(lambda m, x: m.cov(x), X(3, 5), **g)


@pytest.mark.oracle
def test_corrcoef_as_pytorch() -> None:
    check(lambda m, x: x.corrcoef(), X(3, 5, g=False), **g)


@pytest.mark.oracle
def test_cov_2_as_pytorch() -> None:
    check(
        lambda m, x: m.cov(
            x,
            fweights=m.tensor([1, 2, 1, 1, 3]),
            aweights=m.tensor([0.1, 0.2, 0.3, 0.4, 0.5], dtype=m.float64),
        ),
        X(3, 5),
        **g,
    )


def test_moments_and_norms_on_devices(device: str) -> None:
    x = torch.arange(6.0, device=device).reshape(2, 3)
    assert x.var(1).tolist() == [1.0, 1.0]
    assert torch.var_mean(x, 0)[1].tolist() == [1.5, 2.5, 3.5]
    assert x.norm(float("inf")).item() == 5
    assert abs(x[0].logsumexp(0).item() - 2.4076059) < 1e-5
