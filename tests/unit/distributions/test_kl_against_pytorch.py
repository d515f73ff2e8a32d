"""Every registered divergence under PyTorch and here."""

from __future__ import annotations

import pytest

from tests.unit.distributions.cases import _SQUARE, _WEIGHTS
from tests.unit.nn.twin import assert_same

oracle = pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

_A = "torch.tensor([0.5, 1.0, 3.5, 2.0])"
_B = "torch.tensor([2.0, 0.7, 1.5, 1.0])"
_P = "torch.tensor([0.0, 0.3, 0.9, 1.0])"
_Q = "torch.tensor([0.4, 0.6, 1.0, 0.9])"

# two distributions of each class, the second for the right-hand side
MADE = {
    "Bernoulli": (f"D.Bernoulli({_P})", f"D.Bernoulli({_Q})"),
    "Beta": (f"D.Beta({_A}, {_B})", f"D.Beta({_B}, 1.7)"),
    "Binomial": (f"D.Binomial(5, {_P})", f"D.Binomial(5, {_Q})"),
    "Categorical": (f"D.Categorical({_P})", f"D.Categorical({_A})"),
    "Cauchy": (f"D.Cauchy({_A}, {_B})", f"D.Cauchy({_B}, {_A})"),
    "ContinuousBernoulli": (
        "D.ContinuousBernoulli(torch.tensor([0.1, 0.5, 0.8, 0.9]))",
        "D.ContinuousBernoulli(torch.tensor([0.7, 0.2, 0.5, 0.9]))",
    ),
    "Dirichlet": (f"D.Dirichlet({_WEIGHTS})", f"D.Dirichlet(2 + {_WEIGHTS})"),
    "Exponential": (f"D.Exponential({_A})", f"D.Exponential({_B})"),
    "ExponentialFamily": (
        f"D.Wishart(4.0, {_SQUARE})",
        f"D.Wishart(6.5, {_SQUARE} + torch.eye(3))",
    ),
    "Gamma": (f"D.Gamma({_A}, {_B})", f"D.Gamma({_B}, {_A})"),
    "Geometric": (
        "D.Geometric(torch.tensor([0.1, 0.5, 0.8, 0.9]))",
        f"D.Geometric({_Q})",
    ),
    "Gumbel": (f"D.Gumbel({_A}, {_B})", f"D.Gumbel({_B}, {_A})"),
    "HalfNormal": (f"D.HalfNormal({_A})", f"D.HalfNormal({_B})"),
    "Independent": (
        f"D.Independent(D.Normal({_A}, {_B}), 1)",
        f"D.Independent(D.Normal({_B}, {_A}), 1)",
    ),
    "Laplace": (f"D.Laplace({_A}, {_B})", f"D.Laplace({_B}, {_A})"),
    "LowRankMultivariateNormal": (
        "D.LowRankMultivariateNormal(torch.ones(2, 3), torch.ones(3, 2) * 0.3, "
        "torch.tensor([1.0, 2.0, 0.5]))",
        "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1) * 0.7, "
        "torch.tensor([0.5, 0.2, 2.5]))",
    ),
    "MultivariateNormal": (
        f"D.MultivariateNormal(torch.ones(2, 3), {_SQUARE})",
        f"D.MultivariateNormal(torch.zeros(3), {_SQUARE} + torch.eye(3))",
    ),
    "Normal": (f"D.Normal({_A}, {_B})", f"D.Normal({_B}, {_A})"),
    "OneHotCategorical": (
        f"D.OneHotCategorical({_WEIGHTS})",
        f"D.OneHotCategorical(1 + {_WEIGHTS})",
    ),
    "Pareto": (f"D.Pareto({_A}, {_B})", f"D.Pareto({_B}, {_A})"),
    "Poisson": (f"D.Poisson({_A})", f"D.Poisson({_B})"),
    "TransformedDistribution": (
        f"D.LogNormal({_A}, {_B})",
        f"D.LogNormal({_B}, {_A})",
    ),
    "Uniform": (
        "D.Uniform(torch.tensor([0.2, -1.0, 0.1, 2.0]), torch.tensor([0.4, 2.0, 1.0, 3.0]))",
        "D.Uniform(torch.tensor([0.0, -2.0, 0.5, -1.0]), torch.tensor([1.0, 3.0, 4.0, 2.0]))",
    ),
}
PAIRS = [(p.__name__, q.__name__) for p, q in oracle.distributions.kl._KL_REGISTRY]


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergence(p: str, q: str) -> None:
    assert_same(
        f"import torch.distributions as D; D.kl_divergence({MADE[p][0]}, {MADE[q][1]})",
        rtol=5e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_gradient_of_divergence(p: str, q: str) -> None:
    if p == "TransformedDistribution" or "LowRank" in p + q:
        pytest.skip("parameters live in the base, or in parts of their own")
    assert_same(
        f"""
import torch.distributions as D
left, right = {MADE[p][0]}, {MADE[q][1]}
def grown(d):
    leaves = []
    for name in list(d.__dict__):
        value = d.__dict__[name]
        if isinstance(value, torch.Tensor) and name in d.arg_constraints:
            d.__dict__[name] = value.clone().requires_grad_()
            leaves.append(d.__dict__[name])
    return leaves
leaves = grown(left) + grown(right)
kl = D.kl_divergence(left, right)
out = None
if kl.requires_grad and kl.isfinite().all():
    out = torch.autograd.grad(kl.sum(), leaves, allow_unused=True)
""",
        rtol=2e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    "pair",
    [
        "D.Binomial(3, torch.tensor(0.5)), D.Binomial(5, torch.tensor(0.5))",
        "D.Binomial(5, torch.tensor(0.5)), D.Binomial(3, torch.tensor(0.5))",
        "D.Normal(0.0, 1.0), D.Dirichlet(torch.ones(2))",
        "D.Chi2(3.0), D.Chi2(4.0)",
        "D.Chi2(3.0), D.Normal(1.0, 1.0)",
        "D.LogNormal(0.0, 1.0), D.Weibull(1.0, 1.0)",
        "D.Gumbel(0.0, 1.0), D.Weibull(1.0, 1.0)",
        "D.Independent(D.Normal(torch.zeros(2), 1.0), 1), D.Independent("
        "D.Normal(torch.zeros(2), 1.0), 0)",
        "D.MultivariateNormal(torch.zeros(2), torch.eye(2)), "
        "D.MultivariateNormal(torch.zeros(3), torch.eye(3))",
        "D.MultivariateNormal(torch.zeros(2), torch.eye(2)), "
        "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3))",
        "D.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3)), "
        "D.MultivariateNormal(torch.zeros(2), torch.eye(2))",
        "D.Geometric(torch.tensor(0.4)), D.Geometric(torch.tensor([0.4, 0.5]))",
        "D.OneHotCategoricalStraightThrough(torch.ones(3)), D.OneHotCategorical("
        "torch.tensor([0.1, 0.2, 0.7]))",
        "D.RelaxedBernoulli(torch.tensor(1.0), 0.5), D.RelaxedBernoulli("
        "torch.tensor(1.0), 0.6)",
    ],
)
def test_pairs_apart(pair: str) -> None:
    assert_same(f"import torch.distributions as D; D.kl_divergence({pair})", rtol=1e-3)
