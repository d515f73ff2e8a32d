"""Distributions that the tests go over: source text in which ``D`` is the package.

Batched parameters, numbers, float64 and the edges of parameter spaces.
"""

from __future__ import annotations

_SCALES = "torch.tensor([0.3, 1.0, 4.0])"
_LOCS = "torch.tensor([-1.0, 0.0, 2.5])"
_PROBS = "torch.tensor([[0.1, 0.5, 0.4995], [0.9, 0.7, 0.5005]])"
_WEIGHTS = "torch.tensor([[0.2, 0.3, 0.5], [1.0, 4.0, 2.0]])"
_SQUARE = "torch.tensor([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]])"

DISTRIBUTIONS: dict[str, str] = {
    "bernoulli": f"D.Bernoulli({_PROBS})",
    "bernoulli_logits": f"D.Bernoulli(logits={_LOCS})",
    "bernoulli_number": "D.Bernoulli(0.25)",
    "bernoulli_edges": "D.Bernoulli(torch.tensor([0.0, 1.0]))",
    "beta": f"D.Beta({_SCALES}, torch.tensor([2.0, 0.5, 3.0]))",
    "beta_numbers": "D.Beta(0.5, 3.0)",
    "binomial": f"D.Binomial(7, {_PROBS})",
    "binomial_many": "D.Binomial(torch.tensor([40.0, 200.0]), torch.tensor([0.4, 0.9]))",
    "binomial_logits": f"D.Binomial(5, logits={_LOCS})",
    "binomial_edges": "D.Binomial(4, torch.tensor([0.0, 1.0]))",
    "categorical": f"D.Categorical({_WEIGHTS})",
    "categorical_logits": f"D.Categorical(logits={_WEIGHTS})",
    "categorical_zero": "D.Categorical(torch.tensor([0.0, 0.5, 0.5]))",
    "cauchy": f"D.Cauchy({_LOCS}, {_SCALES})",
    "cauchy_numbers": "D.Cauchy(0.0, 2.0)",
    "chi2": "D.Chi2(torch.tensor([0.5, 2.0, 9.0]))",
    "continuous_bernoulli": f"D.ContinuousBernoulli({_PROBS})",
    "continuous_bernoulli_logits": f"D.ContinuousBernoulli(logits={_LOCS})",
    "dirichlet": f"D.Dirichlet({_WEIGHTS})",
    "dirichlet_double": f"D.Dirichlet({_WEIGHTS}.double())",
    "exponential": f"D.Exponential({_SCALES})",
    "exponential_number": "D.Exponential(1.5)",
    "fisher_snedecor": f"D.FisherSnedecor({_SCALES}, torch.tensor([1.0, 5.0, 12.0]))",
    "gamma": f"D.Gamma({_SCALES}, torch.tensor([2.0, 0.5, 3.0]))",
    "gamma_double": f"D.Gamma({_SCALES}.double(), 2.0)",
    "generalized_pareto": "D.GeneralizedPareto(torch.tensor([0.0, 1.0, 0.5, 0.0]), "
    "2.0, torch.tensor([0.0, 0.3, -0.4, 1.5]))",
    "geometric": f"D.Geometric({_PROBS})",
    "geometric_logits": f"D.Geometric(logits={_LOCS})",
    "gumbel": f"D.Gumbel({_LOCS}, {_SCALES})",
    "gumbel_numbers": "D.Gumbel(1.0, 2.0)",
    "half_cauchy": f"D.HalfCauchy({_SCALES})",
    "half_normal": f"D.HalfNormal({_SCALES})",
    "half_normal_number": "D.HalfNormal(2.0)",
    "independent": f"D.Independent(D.Normal({_PROBS}, 1.0), 1)",
    "independent_all": f"D.Independent(D.Bernoulli({_PROBS}), 2)",
    "independent_none": f"D.Independent(D.Bernoulli({_PROBS}), 0)",
    "inverse_gamma": "D.InverseGamma(torch.tensor([0.5, 1.5, 3.0]), 2.0)",
    "kumaraswamy": "D.Kumaraswamy(torch.tensor([0.5, 1.0, 3.0]), "
    "torch.tensor([2.0, 0.5, 4.0]))",
    "laplace": f"D.Laplace({_LOCS}, {_SCALES})",
    "lkj_cholesky": "D.LKJCholesky(3, torch.tensor([0.5, 1.0, 4.0]))",
    "log_normal": f"D.LogNormal({_LOCS}, {_SCALES})",
    "logistic_normal": f"D.LogisticNormal({_PROBS}, 1.0)",
    "low_rank_normal": "D.LowRankMultivariateNormal(torch.zeros(2, 3), "
    "torch.tensor([[1.0, 0.2], [0.3, -0.5], [0.7, 0.1]]), torch.tensor([1.0, 0.5, 2.0]))",
    "mixture": f"D.MixtureSameFamily(D.Categorical({_WEIGHTS}), "
    f"D.Normal({_LOCS}.expand(2, 3), 0.5))",
    "mixture_vectors": "D.MixtureSameFamily(D.Categorical(torch.tensor([0.3, 0.7])), "
    f"D.Independent(D.Normal({_PROBS}, 0.5), 1))",
    "multinomial": f"D.Multinomial(6, {_WEIGHTS})",
    "multinomial_logits": f"D.Multinomial(3, logits={_LOCS})",
    "multivariate_normal": f"D.MultivariateNormal({_PROBS}, {_SQUARE})",
    "multivariate_normal_precision": "D.MultivariateNormal(torch.zeros(3), "
    f"precision_matrix={_SQUARE})",
    "multivariate_normal_tril": "D.MultivariateNormal(torch.zeros(3), scale_tril="
    f"torch.stack([{_SQUARE}.tril(), 2 * {_SQUARE}.tril()]))",
    "negative_binomial": f"D.NegativeBinomial(3.0, {_PROBS})",
    "negative_binomial_logits": f"D.NegativeBinomial({_SCALES}, logits={_LOCS})",
    "normal": f"D.Normal({_LOCS}, {_SCALES})",
    "normal_numbers": "D.Normal(1.0, 2.0)",
    "normal_double": f"D.Normal({_LOCS}.double(), 2.0)",
    "normal_many": "D.Normal(torch.zeros(5, 4), 2.0)",
    "one_hot": f"D.OneHotCategorical({_WEIGHTS})",
    "one_hot_straight": f"D.OneHotCategoricalStraightThrough({_WEIGHTS})",
    "pareto": "D.Pareto(torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.5, 1.5, 4.0]))",
    "poisson": "D.Poisson(torch.tensor([0.0, 0.5, 4.0, 30.0]))",
    "relaxed_bernoulli": f"D.RelaxedBernoulli(torch.tensor(0.7), {_PROBS})",
    "relaxed_bernoulli_logits": f"D.RelaxedBernoulli(torch.tensor(2.0), logits={_LOCS})",
    "relaxed_one_hot": f"D.RelaxedOneHotCategorical(torch.tensor(0.7), {_WEIGHTS})",
    "student_t": f"D.StudentT(torch.tensor([0.5, 1.5, 5.0]), {_LOCS}, {_SCALES})",
    "transformed": f"D.TransformedDistribution(D.Normal({_LOCS}, {_SCALES}), "
    "[D.AffineTransform(1.0, -2.0), D.ExpTransform()])",
    "transformed_vector": "D.TransformedDistribution(D.Normal(torch.zeros(2, 3), 1.0), "
    "[D.StickBreakingTransform()])",
    "transformed_correlation": "D.TransformedDistribution("
    "D.Normal(torch.zeros(2, 3), 1.0), [D.CorrCholeskyTransform()])",
    "uniform": f"D.Uniform({_LOCS}, {_LOCS} + {_SCALES})",
    "uniform_numbers": "D.Uniform(-1.0, 3.0)",
    "von_mises": f"D.VonMises({_LOCS}, torch.tensor([0.1, 1.0, 50.0]))",
    "weibull": f"D.Weibull({_SCALES}, torch.tensor([0.5, 1.0, 3.0]))",
    "wishart": f"D.Wishart(torch.tensor([4.0, 7.5]), {_SQUARE})",
    "wishart_precision": f"D.Wishart(5.0, precision_matrix={_SQUARE})",
    "wishart_tril": f"D.Wishart(4.5, scale_tril={_SQUARE}.tril())",
}
