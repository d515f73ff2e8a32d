"""What distributions promise, without PyTorch at hand: SciPy, integrals, devices."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import dispatchtorch as torch
from dispatchtorch import distributions as D  # noqa: N812
from dispatchtorch.distributions import constraints
from tests.unit.distributions.cases import DISTRIBUTIONS

stats = pytest.importorskip("scipy.stats")

GRID = torch.tensor([0.3, 0.9, 1.0, 2.5, 7.0], dtype=torch.float64)
OTHER = torch.tensor([1.5, 0.4, 1.0, 3.0, 0.8], dtype=torch.float64)
P = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.95], dtype=torch.float64)


def _n(t: Any) -> np.ndarray:
    return t.numpy()


# distribution, the same of SciPy, and whether SciPy's moments are finite and its own
SCIPY: dict[str, tuple[Any, Any]] = {
    "bernoulli": (lambda: D.Bernoulli(P), lambda: stats.bernoulli(_n(P))),
    "beta": (lambda: D.Beta(GRID, OTHER), lambda: stats.beta(_n(GRID), _n(OTHER))),
    "binomial": (lambda: D.Binomial(9, P), lambda: stats.binom(9, _n(P))),
    "cauchy": (
        lambda: D.Cauchy(GRID, OTHER),
        lambda: stats.cauchy(_n(GRID), _n(OTHER)),
    ),
    "chi2": (lambda: D.Chi2(GRID), lambda: stats.chi2(_n(GRID))),
    "exponential": (
        lambda: D.Exponential(GRID),
        lambda: stats.expon(scale=1 / _n(GRID)),
    ),
    "fisher": (
        lambda: D.FisherSnedecor(GRID, 5 + OTHER),
        lambda: stats.f(_n(GRID), 5 + _n(OTHER)),
    ),
    "gamma": (
        lambda: D.Gamma(GRID, OTHER),
        lambda: stats.gamma(_n(GRID), scale=1 / _n(OTHER)),
    ),
    "generalized_pareto": (
        lambda: D.GeneralizedPareto(GRID, OTHER, 0.4 * P),
        lambda: stats.genpareto(0.4 * _n(P), _n(GRID), _n(OTHER)),
    ),
    "geometric": (lambda: D.Geometric(P), lambda: stats.geom(_n(P), loc=-1)),
    "gumbel": (
        lambda: D.Gumbel(GRID, OTHER),
        lambda: stats.gumbel_r(_n(GRID), _n(OTHER)),
    ),
    "half_cauchy": (
        lambda: D.HalfCauchy(OTHER),
        lambda: stats.halfcauchy(scale=_n(OTHER)),
    ),
    "half_normal": (
        lambda: D.HalfNormal(OTHER),
        lambda: stats.halfnorm(scale=_n(OTHER)),
    ),
    "inverse_gamma": (
        lambda: D.InverseGamma(2 + GRID, OTHER),
        lambda: stats.invgamma(2 + _n(GRID), scale=_n(OTHER)),
    ),
    "laplace": (
        lambda: D.Laplace(GRID, OTHER),
        lambda: stats.laplace(_n(GRID), _n(OTHER)),
    ),
    "log_normal": (
        lambda: D.LogNormal(GRID, 0.3 * OTHER),
        lambda: stats.lognorm(s=0.3 * _n(OTHER), scale=np.exp(_n(GRID))),
    ),
    "negative_binomial": (
        lambda: D.NegativeBinomial(GRID, P),
        lambda: stats.nbinom(_n(GRID), 1 - _n(P)),
    ),
    "normal": (
        lambda: D.Normal(GRID, OTHER),
        lambda: stats.norm(_n(GRID), _n(OTHER)),
    ),
    "pareto": (
        lambda: D.Pareto(GRID, 2 + OTHER),
        lambda: stats.pareto(2 + _n(OTHER), scale=_n(GRID)),
    ),
    "poisson": (lambda: D.Poisson(GRID), lambda: stats.poisson(_n(GRID))),
    "student_t": (
        lambda: D.StudentT(2 + GRID, OTHER, P),
        lambda: stats.t(2 + _n(GRID), _n(OTHER), _n(P)),
    ),
    "uniform": (
        lambda: D.Uniform(GRID, GRID + OTHER),
        lambda: stats.uniform(_n(GRID), _n(OTHER)),
    ),
    "von_mises": (
        lambda: D.VonMises(P, OTHER),
        lambda: stats.vonmises(_n(OTHER), _n(P)),
    ),
    "weibull": (
        lambda: D.Weibull(OTHER, GRID),
        lambda: stats.weibull_min(_n(GRID), scale=_n(OTHER)),
    ),
}


@pytest.mark.parametrize("name", SCIPY)
def test_densities_and_moments_are_scipys(name: str) -> None:
    d, reference = (make() for make in SCIPY[name])
    torch.manual_seed(1)
    x = d.sample((6,))
    discrete = hasattr(reference.dist, "_pmf")
    density = reference.logpmf if discrete else reference.logpdf
    np.testing.assert_allclose(_n(d.log_prob(x)), density(_n(x)), rtol=1e-8, atol=1e-10)
    for ours, theirs in (("mean", reference.mean), ("variance", reference.var)):
        if name == "von_mises":  # circular here, not in SciPy
            continue
        expected = theirs()
        if not np.isfinite(expected).all():
            continue
        np.testing.assert_allclose(_n(getattr(d, ours)), expected, rtol=1e-8)
    for ask, expected in (
        (lambda: d.cdf(x), lambda: reference.cdf(_n(x))),
        (lambda: d.entropy(), reference.entropy),
        (lambda: d.icdf(P.expand(1, 5)), lambda: reference.ppf(_n(P)[None])),
    ):
        try:
            got = _n(ask())
        except NotImplementedError:
            continue
        np.testing.assert_allclose(got, expected(), rtol=2e-7, atol=1e-9)


# SciPy's von Mises variables lie about their mean, PyTorch's about zero.
@pytest.mark.parametrize("name", [n for n in SCIPY if n != "von_mises"])
def test_draws_pass_a_goodness_of_fit_test(name: str) -> None:
    d, reference = (make() for make in SCIPY[name])
    torch.manual_seed(7)
    x = _n(d.sample((2000,)))
    for i in range(x.shape[1]):
        if hasattr(reference.dist, "_pmf"):
            mean, spread = reference.mean()[i], reference.std()[i]
            assert abs(x[:, i].mean() - mean) < 5 * spread / 2000**0.5
        else:
            found = stats.kstest(x[:, i], lambda v, i=i: _one(reference, i).cdf(v))
            assert found.pvalue > 1e-4


def _one(reference: Any, i: int) -> Any:
    take = lambda v: v[i] if np.ndim(v) else v  # noqa: E731
    return reference.dist(
        *map(take, reference.args), **{k: take(v) for k, v in reference.kwds.items()}
    )


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_copies_and_pickles(name: str) -> None:
    d = eval(DISTRIBUTIONS[name], {"torch": torch, "D": D})
    copies, shown = (copy.deepcopy(d), pickle.loads(pickle.dumps(d))), repr(d)
    x = d.sample((2,))
    for again in copies:
        assert repr(again) == shown
        np.testing.assert_array_equal(_n(again.log_prob(x)), _n(d.log_prob(x)))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_on_another_device(name: str) -> None:
    source = DISTRIBUTIONS[name].replace("torch.tensor(", "make(")
    source = source.replace("torch.zeros(", "zeros(").replace("torch.ones(", "ones(")
    if source.count("make(") + source.count("zeros(") + source.count("ones(") == 0:
        pytest.skip("made of numbers")

    def on(device: str) -> Any:
        return eval(
            source,
            {
                "torch": torch,
                "D": D,
                "make": lambda v: torch.tensor(v, device=device),
                "zeros": lambda *s: torch.zeros(*s, device=device),
                "ones": lambda *s: torch.ones(*s, device=device),
            },
        )

    torch.manual_seed(3)
    expected = on("cpu").sample((2,))
    torch.manual_seed(3)
    d = on("loopback")
    x = d.sample((2,))
    assert x.device.type == "loopback"
    np.testing.assert_allclose(_n(x.cpu()), _n(expected), rtol=1e-5, atol=1e-6)
    assert d.log_prob(x).device.type == "loopback"


def test_the_package_is_imported_when_it_is_named() -> None:
    code = (
        "import sys, dispatchtorch as torch; "
        "assert 'dispatchtorch.distributions' not in sys.modules; "
        "torch.distributions.Normal; "
        "assert 'dispatchtorch.distributions' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_modules_are_where_scripts_look_for_them() -> None:
    from dispatchtorch.distributions.kl import kl_divergence
    from dispatchtorch.distributions.normal import Normal
    from dispatchtorch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

    assert Normal is D.Normal
    assert kl_divergence is D.kl_divergence
    assert issubclass(LogitRelaxedBernoulli, D.Distribution)


def test_where_pytorch_gives_none() -> None:
    d = D.Kumaraswamy(torch.tensor(3.0).double(), 4.0)
    at = torch.linspace(0.01, 0.99, 9801, dtype=torch.float64)
    best = at[d.log_prob(at).argmax()]
    assert abs(float(d.mode - best)) < 1e-3
    whole = D.Multinomial(6, torch.tensor([0.2, 0.8]))
    assert torch.allclose(whole.expand((2,)).entropy(), whole.entropy())


class TestRegistering:
    def test_a_pair_of_ones_own(self) -> None:
        class Mine(D.Normal):
            pass

        one, other = Mine(0.0, 1.0), D.Normal(1.0, 1.0)
        assert float(D.kl_divergence(one, other)) == 0.5

        @D.register_kl(Mine, D.Normal)
        def _(p: Any, q: Any) -> str:
            return "mine"

        assert D.kl_divergence(one, other) == "mine"
        assert float(D.kl_divergence(other, one)) == 0.5

    def test_an_ambiguous_pair_warns(self) -> None:
        class Left(D.Normal):
            pass

        class Right(D.Normal):
            pass

        D.register_kl(Left, D.Normal)(lambda p, q: 1)
        D.register_kl(D.Normal, Right)(lambda p, q: 2)
        with pytest.warns(RuntimeWarning, match=r"register_kl\(Left, Right\)"):
            assert D.kl_divergence(Left(0.0, 1.0), Right(0.0, 1.0)) == 1

    def test_a_constraint_of_ones_own(self) -> None:
        class Even(constraints.Constraint):
            pass

        with pytest.raises(NotImplementedError, match="Cannot transform Even"):
            D.biject_to(Even())

        @D.biject_to.register(Even)
        def _(constraint: Any) -> Any:
            return D.ExpTransform()

        assert repr(D.biject_to(Even())) == "ExpTransform()"


class TestExpanding:
    def test_a_subclass_with_its_own_init_needs_its_own_expand(self) -> None:
        class Standard(D.Normal):
            def __init__(self) -> None:
                super().__init__(0.0, 1.0)

        with pytest.raises(NotImplementedError, match="Subclass Standard of Normal"):
            Standard().expand([2])
        filled = Standard().expand([2], _instance=D.Normal.__new__(D.Normal))
        assert filled.batch_shape == (2,)

    def test_memory_is_shared(self) -> None:
        loc = torch.zeros(1)
        assert D.Normal(loc, 1.0).expand([1000]).loc.data_ptr() == loc.data_ptr()


def test_validation_can_be_turned_off() -> None:
    D.Normal(0.0, -1.0, validate_args=False)
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)
