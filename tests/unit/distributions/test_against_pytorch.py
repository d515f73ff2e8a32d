"""Each distribution under PyTorch and here: draws, densities, moments, words."""

from __future__ import annotations

import pytest

from tests.unit.distributions.cases import DISTRIBUTIONS
from tests.unit.nn.twin import assert_same

pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

QUESTIONS = {
    "shown": "(repr(d), repr(d.support) if 'Dep' not in repr(type(d).support) else 0)",
    "shapes": "(d.batch_shape, d.event_shape, d.has_rsample, d.has_enumerate_support)",
    "constraints": "{k: repr(v) for k, v in d.arg_constraints.items()}",
    "sample": "d.sample((3,))",
    "sample_one": "d.sample()",
    "sample_many": "d.sample((2, 40))",
    "rsample": "d.rsample((3, 2))",
    "log_prob": "d.log_prob(d.sample((3,)))",
    "log_prob_one": "d.log_prob(d.sample())",
    "cdf": "d.cdf(d.sample((3,)))",
    "icdf": "d.icdf(torch.rand((3, *d.batch_shape)))",
    "entropy": "d.entropy()",
    "perplexity": "d.perplexity()",
    "mean": "d.mean",
    "mode": "d.mode",
    "variance": "d.variance",
    "stddev": "d.stddev",
    "enumerated": "(d.enumerate_support(), d.enumerate_support(expand=False))",
    "expanded": "e = d.expand((4, *d.batch_shape)); (repr(e), e.batch_shape, "
    "e.event_shape, e.sample((2,)), e.log_prob(e.sample()), type(e).__name__)",
    "expanded_mean": "d.expand((2, *d.batch_shape)).mean",
    "expanded_entropy": "d.expand((2, *d.batch_shape)).entropy()",
}

# What PyTorch gives NaN or an AttributeError for.
BEYOND = {("kumaraswamy", "mode"), ("multinomial", "expanded_entropy")}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_answers(name: str, question: str) -> None:
    if (name.partition("_")[0], question) in BEYOND:
        pytest.skip("PyTorch gives none: see test_distributions.py")
    made = f"import torch.distributions as D; d = {DISTRIBUTIONS[name]}; "
    assert_same(made + QUESTIONS[question], rtol=2e-4, atol=2e-6)


# Parameters with gradients: the distribution, and what flows back.
REPARAMETRISED = {
    "beta": ("D.Beta(a, b)", 2e-2),
    "cauchy": ("D.Cauchy(a, b)", 1e-4),
    "chi2": ("D.Chi2(a + b)", 2e-2),
    "continuous_bernoulli": ("D.ContinuousBernoulli(torch.sigmoid(a - b))", 1e-3),
    "dirichlet": ("D.Dirichlet(torch.stack([a, b, a + b], -1))", 2e-2),
    "exponential": ("D.Exponential(a + b)", 1e-4),
    "fisher_snedecor": ("D.FisherSnedecor(a, 10 * b)", 2e-2),
    "gamma": ("D.Gamma(a, b)", 2e-2),
    "generalized_pareto": ("D.GeneralizedPareto(a, b, 0.1 * a)", 1e-4),
    "gumbel": ("D.Gumbel(a, b)", 1e-4),
    "half_normal": ("D.HalfNormal(a + b)", 1e-4),
    "inverse_gamma": ("D.InverseGamma(a, b)", 2e-2),
    "kumaraswamy": ("D.Kumaraswamy(a, b)", 1e-3),
    "laplace": ("D.Laplace(a, b)", 1e-4),
    "log_normal": ("D.LogNormal(a, b)", 1e-4),
    "logistic_normal": ("D.LogisticNormal(a, b)", 1e-3),
    "low_rank": (
        "D.LowRankMultivariateNormal(a, b.unsqueeze(-1) * a.unsqueeze(-1), b)",
        1e-4,
    ),
    "multivariate_normal": (
        "D.MultivariateNormal(a, torch.diag(b) + 0.1 * torch.ones(3, 3))",
        1e-3,
    ),
    "normal": ("D.Normal(a, b)", 1e-4),
    "pareto": ("D.Pareto(a, b)", 1e-3),
    "relaxed_bernoulli": (
        "D.RelaxedBernoulli(torch.tensor(0.7), torch.sigmoid(a - b))",
        1e-3,
    ),
    "relaxed_one_hot": ("D.RelaxedOneHotCategorical(b.sum(), logits=a)", 1e-3),
    "straight_through": ("D.OneHotCategoricalStraightThrough(logits=a * b)", 1e-4),
    "student_t": ("D.StudentT(b, a, b)", 2e-2),
    "uniform": ("D.Uniform(a, a + b)", 1e-4),
    "weibull": ("D.Weibull(a, b)", 1e-3),
    "wishart": ("D.Wishart(5.0, torch.diag(a) + 0.1 * torch.ones(3, 3))", 2e-2),
}


# PyTorch's Wishart draws write over what their backward pass needs.
@pytest.mark.parametrize("name", [n for n in REPARAMETRISED if n != "wishart"])
def test_gradients_of_draws(name: str) -> None:
    made, rtol = REPARAMETRISED[name]
    assert_same(
        f"""
import torch.distributions as D
a = torch.tensor([0.7, 1.5, 6.0], requires_grad=True)
b = torch.tensor([0.5, 2.0, 1.0], requires_grad=True)
d = {made}
x = d.rsample((2,))
w = torch.arange(1.0, x.numel() + 1).reshape(x.shape)
grads = torch.autograd.grad((x * w).sum(), [a, b], allow_unused=True)
out = x, *grads
""",
        rtol=rtol,
        atol=1e-4,
    )


@pytest.mark.parametrize("name", REPARAMETRISED)
def test_gradients_of_densities(name: str) -> None:
    made, _ = REPARAMETRISED[name]
    assert_same(
        f"""
import torch.distributions as D
a = torch.tensor([0.7, 1.5, 6.0], requires_grad=True)
b = torch.tensor([0.5, 2.0, 1.0], requires_grad=True)
d = {made}
x = d.sample()
grads = torch.autograd.grad(d.log_prob(x).sum(), [a, b], allow_unused=True)
try:
    h = d.entropy()
    if h.requires_grad:
        grads += torch.autograd.grad(h.sum(), [a, b], allow_unused=True)
except NotImplementedError:
    pass
out = grads
""",
        rtol=2e-3,
        atol=1e-5,
    )
