"""The Kumaraswamy distribution."""

from __future__ import annotations

import math
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.distributions import constraints
from dispatchtorch.distributions.transformed_distribution import TransformedDistribution
from dispatchtorch.distributions.transforms import AffineTransform, PowerTransform
from dispatchtorch.distributions.uniform import Uniform
from dispatchtorch.distributions.utils import broadcast_all, euler_constant

__all__ = ["Kumaraswamy"]


def _moment(a: Tensor, b: Tensor, n: int) -> Tensor:
    """The n-th raw moment: b B(1 + n/a, b)."""
    at = 1 + n / a
    return b * torch.exp(torch.lgamma(at) + torch.lgamma(b) - torch.lgamma(at + b))


class Kumaraswamy(TransformedDistribution):
    """Numbers in (0, 1), much like beta variables but with a closed-form cdf."""

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True
    _parameters = {"concentration1": 0, "concentration0": 0}

    def __init__(
        self,
        concentration1: Any,
        concentration0: Any,
        validate_args: bool | None = None,
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(
            concentration1, concentration0
        )
        base = Uniform(
            torch.full_like(self.concentration0, 0),
            torch.full_like(self.concentration0, 1),
            validate_args=validate_args,
        )
        transforms = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(base, transforms, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return _moment(self.concentration1, self.concentration0, 1)

    @property
    def mode(self) -> Tensor:
        """The likeliest value (PyTorch 2.13 gives NaN where this gives the mode)."""
        a, b = self.concentration1, self.concentration0
        # ((a - 1) / (ab - 1)) ** (1 / a), inside where a and b are at least one
        log_mode = a.reciprocal() * ((a - 1).log() - (a * b - 1).log())
        return log_mode.masked_fill((a < 1) | (b < 1), math.nan).exp()

    @property
    def variance(self) -> Tensor:
        second = _moment(self.concentration1, self.concentration0, 2)
        return second - torch.pow(self.mean, 2)

    def entropy(self) -> Tensor:
        a, b = self.concentration1, self.concentration0
        harmonic = torch.digamma(b + 1) + euler_constant
        return (
            (1 - b.reciprocal())
            + (1 - a.reciprocal()) * harmonic
            - torch.log(a)
            - torch.log(b)
        )
