"""Kullback-Leibler divergences, dispatched on the pair of distributions.

Pairs of one family have formulas of their own. For pairs of different families
KL(p || q) = -H(p) - E_p[log q], and E_p[log q] needs a few moments of p alone.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import dispatchtorch as torch
import dispatchtorch.nn.functional as F
from dispatchtorch import Tensor
from dispatchtorch.distributions.bernoulli import Bernoulli
from dispatchtorch.distributions.beta import Beta
from dispatchtorch.distributions.binomial import Binomial
from dispatchtorch.distributions.categorical import Categorical
from dispatchtorch.distributions.cauchy import Cauchy
from dispatchtorch.distributions.continuous_bernoulli import ContinuousBernoulli
from dispatchtorch.distributions.dirichlet import Dirichlet
from dispatchtorch.distributions.distribution import Distribution
from dispatchtorch.distributions.exp_family import ExponentialFamily
from dispatchtorch.distributions.exponential import Exponential
from dispatchtorch.distributions.gamma import Gamma
from dispatchtorch.distributions.geometric import Geometric
from dispatchtorch.distributions.gumbel import Gumbel
from dispatchtorch.distributions.half_normal import HalfNormal
from dispatchtorch.distributions.independent import Independent
from dispatchtorch.distributions.laplace import Laplace
from dispatchtorch.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    _batch_lowrank_logdet,
    _batch_lowrank_mahalanobis,
)
from dispatchtorch.distributions.multivariate_normal import (
    MultivariateNormal,
    _batch_mahalanobis,
    _half_log_det,
)
from dispatchtorch.distributions.normal import Normal
from dispatchtorch.distributions.one_hot_categorical import OneHotCategorical
from dispatchtorch.distributions.pareto import Pareto
from dispatchtorch.distributions.poisson import Poisson
from dispatchtorch.distributions.transformed_distribution import (
    TransformedDistribution,
)
from dispatchtorch.distributions.uniform import Uniform
from dispatchtorch.distributions.utils import _sum_rightmost, euler_constant

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY: dict[tuple[type, type], Callable[..., Any]] = {}
_KL_MEMOIZE: dict[tuple[type, type], Callable[..., Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Decorates the divergence of a pair of classes of distributions.

    The most specific pair that matches is used; where two match and neither is more
    specific than the other, a pair registered for the two exactly decides.
    """
    for name, given in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(given, type):
            raise TypeError(
                f"Expected {name} to be a Distribution subclass but got {given}"
            )

    def decorator(fun: Any) -> Any:
        _KL_REGISTRY[type_p, type_q] = fun
        _KL_MEMOIZE.clear()
        return fun

    return decorator


def _most_specific(pairs: list[tuple[type, type]], first: int) -> tuple[type, type]:
    """The pair that comes first, side `first` counting before the other side."""

    def precedes(a: tuple[type, type], b: tuple[type, type]) -> bool:
        for side in (first, 1 - first):
            if not issubclass(a[side], b[side]):
                return False
            if a[side] is not b[side]:
                return True
        return True

    return next((a for a in pairs if all(precedes(a, b) for b in pairs)), pairs[0])


def _dispatch_kl(type_p: type, type_q: type) -> Callable[..., Any]:
    matches = [
        (p, q)
        for p, q in _KL_REGISTRY
        if issubclass(type_p, p) and issubclass(type_q, q)
    ]
    if not matches:
        return NotImplemented
    left, right = _most_specific(matches, 0), _most_specific(matches, 1)
    if _KL_REGISTRY[left] is not _KL_REGISTRY[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({left[0].__name__}, {right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p || q), of their batch shape; NotImplementedError for an unknown pair."""
    key = type(p), type(q)
    fun = _KL_MEMOIZE.get(key)
    if fun is None:
        fun = _KL_MEMOIZE[key] = _dispatch_kl(*key)
    if fun is NotImplemented:
        raise NotImplementedError(
            "No KL(p || q) is implemented for p type "
            f"{p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return fun(p, q)


# One family, or distributions made of others.


@register_kl(Bernoulli, Bernoulli)
def _kl_bernoulli_bernoulli(p: Any, q: Any) -> Tensor:
    hit = p.probs * (F.softplus(-q.logits) - F.softplus(-p.logits))
    hit = torch.where(q.probs == 0, torch.inf, hit)
    hit = torch.where(p.probs == 0, 0.0, hit)
    miss = (1 - p.probs) * (F.softplus(q.logits) - F.softplus(p.logits))
    miss = torch.where(q.probs == 1, torch.inf, miss)
    miss = torch.where(p.probs == 1, 0.0, miss)
    return hit + miss


@register_kl(Beta, Beta)
def _kl_beta_beta(p: Any, q: Any) -> Tensor:
    total_p = p.concentration1 + p.concentration0
    total_q = q.concentration1 + q.concentration0
    norms = q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma()
    norms = norms - (
        p.concentration1.lgamma() + p.concentration0.lgamma() + total_q.lgamma()
    )
    return (
        norms
        + (p.concentration1 - q.concentration1) * torch.digamma(p.concentration1)
        + (p.concentration0 - q.concentration0) * torch.digamma(p.concentration0)
        + (total_q - total_p) * torch.digamma(total_p)
    )


@register_kl(Binomial, Binomial)
def _kl_binomial_binomial(p: Any, q: Any) -> Tensor:
    # n and p of the two: log of the ratio of binomial coefficients has no closed form
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    kl = p.total_count * (
        p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    )
    return torch.where(p.total_count > q.total_count, torch.inf, kl)


@register_kl(Categorical, Categorical)
def _kl_categorical_categorical(p: Any, q: Any) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = torch.where(q.probs == 0, torch.inf, terms)
    return torch.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _kl_onehotcategorical_onehotcategorical(p: Any, q: Any) -> Tensor:
    return _kl_categorical_categorical(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _kl_continuous_bernoulli_continuous_bernoulli(p: Any, q: Any) -> Tensor:
    own = p._cont_bern_log_norm() + torch.log1p(-p.probs)
    other = q._cont_bern_log_norm() + torch.log1p(-q.probs)
    return p.mean * (p.logits - q.logits) + own - other


@register_kl(Dirichlet, Dirichlet)
def _kl_dirichlet_dirichlet(p: Any, q: Any) -> Tensor:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    norms = (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    away = p.concentration - q.concentration
    logs = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    return total_p.lgamma() - total_q.lgamma() - norms + (away * logs).sum(-1)


@register_kl(Exponential, Exponential)
def _kl_exponential_exponential(p: Any, q: Any) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _kl_expfamily_expfamily(p: Any, q: Any) -> Tensor:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot \
                            be computed using Bregman divergences"
        )
    at_p = [n.detach().requires_grad_() for n in p._natural_params]
    at_q = q._natural_params
    norm = p._log_normalizer(*at_p)
    slopes = torch.autograd.grad(norm.sum(), at_p, create_graph=True)
    result = q._log_normalizer(*at_q) - norm
    for a, b, slope in zip(at_p, at_q, slopes):
        result = result - _sum_rightmost((b - a) * slope, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _kl_gamma_gamma(p: Any, q: Any) -> Tensor:
    return (
        q.concentration * (p.rate / q.rate).log()
        + torch.lgamma(q.concentration)
        - torch.lgamma(p.concentration)
        + (p.concentration - q.concentration) * torch.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _kl_gumbel_gumbel(p: Any, q: Any) -> Tensor:
    ratio = p.scale / q.scale
    away = (p.loc - q.loc) / q.scale
    moment = torch.exp(-away + (1 + ratio).lgamma())
    return -ratio.log() + away + ratio * euler_constant + moment - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _kl_geometric_geometric(p: Any, q: Any) -> Tensor:
    return -p.entropy() - torch.log1p(-q.probs) / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _kl_halfnormal_halfnormal(p: Any, q: Any) -> Tensor:
    return _kl_normal_normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _kl_laplace_laplace(p: Any, q: Any) -> Tensor:
    ratio = p.scale / q.scale
    away = (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * torch.exp(-away / p.scale) - 1


@register_kl(Normal, Normal)
def _kl_normal_normal(p: Any, q: Any) -> Tensor:
    ratio = (p.scale / q.scale).pow(2)
    away = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + away - 1 - ratio.log())


@register_kl(Pareto, Pareto)
def _kl_pareto_pareto(p: Any, q: Any) -> Tensor:
    ratio = q.alpha / p.alpha
    kl = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return torch.where(p.scale < q.scale, torch.inf, kl)


@register_kl(Poisson, Poisson)
def _kl_poisson_poisson(p: Any, q: Any) -> Tensor:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _kl_transformed_transformed(p: Any, q: Any) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Uniform, Uniform)
def _kl_uniform_uniform(p: Any, q: Any) -> Tensor:
    kl = ((q.high - q.low) / (p.high - p.low)).log()
    return torch.where((q.low > p.low) | (q.high < p.high), torch.inf, kl)


@register_kl(Independent, Independent)
def _kl_independent_independent(p: Any, q: Any) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    result = kl_divergence(p.base_dist, q.base_dist)
    return _sum_rightmost(result, p.reinterpreted_batch_ndims)


@register_kl(Cauchy, Cauchy)
def _kl_cauchy_cauchy(p: Any, q: Any) -> Tensor:
    # Chyzak and Nielsen (2019)
    apart = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return apart - (4 * p.scale * q.scale).log()


# Multivariate normals: 2 KL = log |S_q| / |S_p| + tr(S_q^-1 S_p) + distance - n.


def _trace_square(matrix: Tensor) -> Tensor:
    """tr(X X^T)."""
    return matrix.pow(2).sum((-2, -1))


def _whitened(tril: Tensor, matrix: Tensor) -> Tensor:
    """L^-1 X, batches broadcast."""
    batch = torch.broadcast_shapes(tril.shape[:-2], matrix.shape[:-2])
    return torch.linalg.solve_triangular(
        tril.expand(batch + tril.shape[-2:]),
        matrix.expand(batch + matrix.shape[-2:]),
        upper=False,
    )


def _log_det(d: Any) -> Tensor:
    if isinstance(d, LowRankMultivariateNormal):
        return _batch_lowrank_logdet(*d._parts(), d._capacitance_tril)
    return 2 * _half_log_det(d._unbroadcasted_scale_tril)


def _distance(q: Any, x: Tensor) -> Tensor:
    if isinstance(q, LowRankMultivariateNormal):
        return _batch_lowrank_mahalanobis(*q._parts(), x, q._capacitance_tril)
    return _batch_mahalanobis(q._unbroadcasted_scale_tril, x)


def _trace(p: Any, q: Any) -> Tensor:
    """tr(S_q^-1 S_p), by roots of S_p: its factor, or W and the roots of D."""
    if isinstance(p, LowRankMultivariateNormal):
        factor, diag = p._parts()
        roots = [factor, torch.diag_embed(diag.sqrt())]
    else:
        roots = [p._unbroadcasted_scale_tril]
    if not isinstance(q, LowRankMultivariateNormal):
        tril = q._unbroadcasted_scale_tril
        return sum(_trace_square(_whitened(tril, r)) for r in roots)  # type: ignore[return-value]
    factor, diag = q._parts()
    half = _whitened(q._capacitance_tril, factor.mT / diag.unsqueeze(-2))
    total: Any = 0
    for r in roots:
        total = total + _trace_square(r * diag.rsqrt().unsqueeze(-1))
        total = total - _trace_square(torch.matmul(half, r))
    return total  # type: ignore[no-any-return]


def _kl_normal_vectors(p: Any, q: Any, kinds: str) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between {kinds} with\
                          different event shapes cannot be computed"
        )
    distance = _distance(q, q.loc - p.loc)
    terms = _log_det(q) - _log_det(p) + _trace(p, q) + distance
    return 0.5 * (terms - p.event_shape[0])


_FULL, _LOW = MultivariateNormal, LowRankMultivariateNormal
_p: type
_q: type
for _p, _q, _kinds in (
    (_LOW, _LOW, "two Low Rank Multivariate Normals"),
    (_FULL, _LOW, "two (Low Rank) Multivariate Normals"),
    (_LOW, _FULL, "two (Low Rank) Multivariate Normals"),
    (_FULL, _FULL, "two Multivariate Normals"),
):
    register_kl(_p, _q)(functools.partial(_kl_normal_vectors, kinds=_kinds))


# Different families. A moment of p is a function of p and perhaps of q's parameters.


def _uniform_mean_log(low: Tensor, high: Tensor) -> Tensor:
    return (torch.xlogy(high, high) - torch.xlogy(low, low)) / (high - low) - 1


_MEAN_LOG: dict[type, Callable[[Any], Tensor]] = {
    Beta: lambda p: (
        p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    ),
    Exponential: lambda p: -euler_constant - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _uniform_mean_log(p.low, p.high),
}
#: E_p[exp((loc - x) / scale)]
_MEAN_EXP: dict[type, Callable[[Any, Tensor, Tensor], Tensor]] = {
    Exponential: lambda p, loc, scale: (
        torch.exp(loc / scale) * p.rate * scale / (p.rate * scale + 1)
    ),
    Gamma: lambda p, loc, scale: torch.exp(
        loc / scale - p.concentration * (1 / (p.rate * scale)).log1p()
    ),
    Normal: lambda p, loc, scale: torch.exp(
        (loc - p.loc) / scale + 0.5 * (p.scale / scale).pow(2)
    ),
    Uniform: lambda p, loc, scale: (
        (torch.exp((loc - p.low) / scale) - torch.exp((loc - p.high) / scale))
        * scale
        / (p.high - p.low)
    ),
}


def _normal_distance(p: Any, loc: Tensor) -> Tensor:
    """E_p[|x - loc|] of a normal p."""
    away = p.loc - loc
    folded = p.scale * math.sqrt(2 / math.pi) * torch.exp(-0.5 * (away / p.scale) ** 2)
    return folded + away * torch.erf(away / (math.sqrt(2) * p.scale))


def _log_beta_density(p: Any, q: Any) -> Tensor:
    a, b = q.concentration1, q.concentration0
    norm = a.lgamma() + b.lgamma() - (a + b).lgamma()
    log, log_rest = (
        _uniform_mean_log(p.low, p.high),
        _uniform_mean_log(1 - p.high, 1 - p.low),
    )
    return (a - 1) * log + (b - 1) * log_rest - norm


#: E_p[log q], by the class of q
_MEAN_LOG_DENSITY: dict[type, Callable[[Any, Any], Tensor]] = {
    Beta: _log_beta_density,
    ContinuousBernoulli: lambda p, q: (
        p.mean * q.logits + torch.log1p(-q.probs) + q._cont_bern_log_norm()
    ),
    Exponential: lambda p, q: q.rate.log() - q.rate * p.mean,
    Gamma: lambda p, q: (
        q.concentration * q.rate.log()
        - q.concentration.lgamma()
        + (q.concentration - 1) * _MEAN_LOG[_listed(p)](p)
        - q.rate * p.mean
    ),
    Gumbel: lambda p, q: (
        (q.loc - p.mean) / q.scale
        - _MEAN_EXP[_listed(p)](p, q.loc, q.scale)
        - q.scale.log()
    ),
    Laplace: lambda p, q: -(2 * q.scale).log() - _normal_distance(p, q.loc) / q.scale,
    Normal: lambda p, q: (
        -0.5 * (2 * math.pi * q.scale.pow(2)).log()
        - (p.variance + (p.mean - q.loc).pow(2)) / (2 * q.scale.pow(2))
    ),
    Pareto: lambda p, q: (
        q.alpha.log()
        + q.alpha * q.scale.log()
        - (q.alpha + 1) * _MEAN_LOG[_listed(p)](p)
    ),
    Poisson: lambda p, q: p.mean * q.rate.log() - q.rate,
    Uniform: lambda p, q: -(q.high - q.low).log(),
}


def _listed(p: Any) -> type:
    """The class under which the moments of a distribution are listed."""
    return next(c for c in type(p).__mro__ if c in _MEAN_LOG or c in _MEAN_EXP)


#: Where p has mass outside the support of q, by the classes of the two
_OUTSIDE: dict[tuple[type, type], Callable[[Any, Any], Any]] = {
    (Beta, Uniform): lambda p, q: (q.low > 0) | (q.high < 1),
    (ContinuousBernoulli, Uniform): lambda p, q: (q.low >= 0) | (q.high <= 1),
    (Uniform, Beta): lambda p, q: (p.low < 0) | (p.high > 1),
    (Uniform, ContinuousBernoulli): lambda p, q: (p.low <= 0) | (p.high >= 1),
    (Uniform, Exponential): lambda p, q: p.low < 0,
    (Uniform, Gamma): lambda p, q: p.low < 0,
    (Uniform, Pareto): lambda p, q: p.low < q.scale,
}


def _kl_across(p: Any, q: Any, kind: type, outside: Any) -> Tensor:
    kl = -p.entropy() - _MEAN_LOG_DENSITY[kind](p, q)
    return kl if outside is None else torch.where(outside(p, q), torch.inf, kl)


_ACROSS: dict[type, tuple[type, ...]] = {
    Bernoulli: (Poisson,),
    Beta: (ContinuousBernoulli, Exponential, Gamma, Normal, Uniform),
    ContinuousBernoulli: (Exponential, Normal, Uniform),
    Exponential: (Gamma, Gumbel, Normal),
    Gamma: (Exponential, Gumbel, Normal),
    Gumbel: (Normal,),
    Laplace: (Normal,),
    Normal: (Gumbel, Laplace),
    Pareto: (Exponential, Gamma, Normal),
    Uniform: (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Normal, Pareto),
}
for _p, _others in _ACROSS.items():
    for _q in _others:
        register_kl(_p, _q)(
            functools.partial(_kl_across, kind=_q, outside=_OUTSIDE.get((_p, _q)))
        )


def _kl_infinite(p: Any, q: Any) -> Tensor:
    return torch.full_like(p.mean, torch.inf)


_POSITIVE = (Exponential, Gamma)
_BOUNDED = (Beta, ContinuousBernoulli, Pareto, Uniform)
#: Pairs of which p always has mass outside the support of q
_INFINITE: dict[type, tuple[type, ...]] = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: _BOUNDED,
    Gamma: _BOUNDED,
    Gumbel: (*_POSITIVE, *_BOUNDED),
    Laplace: (*_POSITIVE, *_BOUNDED),
    Normal: (*_POSITIVE, *_BOUNDED),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}
for _p, _others in _INFINITE.items():
    for _q in _others:
        register_kl(_p, _q)(_kl_infinite)
