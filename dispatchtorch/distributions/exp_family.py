"""Exponential families: entropy by differentiating the log normaliser."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """p(x; t) = exp(<t(x), theta> - F(theta) + k(x)) with natural parameters theta.

    Subclasses give ``_natural_params``, ``_log_normalizer`` (F) and the mean of the
    carrier measure k; entropy and divergence then follow (Nielsen and Nock 2010).
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """F(theta) - <theta, grad F(theta)> - E[k(x)]."""
        at = [p.detach().requires_grad_() for p in self._natural_params]
        normalizer = self._log_normalizer(*at)
        slopes = torch.autograd.grad(normalizer.sum(), at, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for parameter, slope in zip(at, slopes):
            inner = (parameter * slope).reshape(self._batch_shape + (-1,))
            result = result - inner.sum(-1)
        return result
