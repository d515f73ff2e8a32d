"""Probability distributions (``torch.distributions``).

One module a distribution, under PyTorch's module names; ``constraints`` says what
parameters and values must satisfy, ``transforms`` and ``constraint_registry`` how to get
there from unconstrained numbers, ``kl`` holds the divergences.
"""

from __future__ import annotations

from dispatchtorch.distributions import constraints as constraints
from dispatchtorch.distributions import transforms as transforms
from dispatchtorch.distributions.bernoulli import Bernoulli
from dispatchtorch.distributions.beta import Beta
from dispatchtorch.distributions.binomial import Binomial
from dispatchtorch.distributions.categorical import Categorical
from dispatchtorch.distributions.cauchy import Cauchy
from dispatchtorch.distributions.chi2 import Chi2
from dispatchtorch.distributions.constraint_registry import biject_to, transform_to
from dispatchtorch.distributions.continuous_bernoulli import ContinuousBernoulli
from dispatchtorch.distributions.dirichlet import Dirichlet
from dispatchtorch.distributions.distribution import Distribution
from dispatchtorch.distributions.exp_family import ExponentialFamily
from dispatchtorch.distributions.exponential import Exponential
from dispatchtorch.distributions.fishersnedecor import FisherSnedecor
from dispatchtorch.distributions.gamma import Gamma
from dispatchtorch.distributions.generalized_pareto import GeneralizedPareto
from dispatchtorch.distributions.geometric import Geometric
from dispatchtorch.distributions.gumbel import Gumbel
from dispatchtorch.distributions.half_cauchy import HalfCauchy
from dispatchtorch.distributions.half_normal import HalfNormal
from dispatchtorch.distributions.independent import Independent
from dispatchtorch.distributions.inverse_gamma import InverseGamma
from dispatchtorch.distributions.kl import kl_divergence, register_kl
from dispatchtorch.distributions.kumaraswamy import Kumaraswamy
from dispatchtorch.distributions.laplace import Laplace
from dispatchtorch.distributions.lkj_cholesky import LKJCholesky
from dispatchtorch.distributions.log_normal import LogNormal
from dispatchtorch.distributions.logistic_normal import LogisticNormal
from dispatchtorch.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
)
from dispatchtorch.distributions.mixture_same_family import MixtureSameFamily
from dispatchtorch.distributions.multinomial import Multinomial
from dispatchtorch.distributions.multivariate_normal import MultivariateNormal
from dispatchtorch.distributions.negative_binomial import NegativeBinomial
from dispatchtorch.distributions.normal import Normal
from dispatchtorch.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from dispatchtorch.distributions.pareto import Pareto
from dispatchtorch.distributions.poisson import Poisson
from dispatchtorch.distributions.relaxed_bernoulli import RelaxedBernoulli
from dispatchtorch.distributions.relaxed_categorical import RelaxedOneHotCategorical
from dispatchtorch.distributions.studentT import StudentT
from dispatchtorch.distributions.transformed_distribution import TransformedDistribution
from dispatchtorch.distributions.transforms import *  # noqa: F403
from dispatchtorch.distributions.uniform import Uniform
from dispatchtorch.distributions.von_mises import VonMises
from dispatchtorch.distributions.weibull import Weibull
from dispatchtorch.distributions.wishart import Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "kl_divergence",
    "register_kl",
    "transform_to",
    *transforms.__all__,
]
