"""What distributions folded about zero share."""

from __future__ import annotations

import math
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.distributions import constraints
from dispatchtorch.distributions.transformed_distribution import TransformedDistribution
from dispatchtorch.distributions.transforms import AbsTransform

__all__ = ["Folded"]


class Folded(TransformedDistribution):
    """The absolute value of a variable that is symmetric about zero.

    Subclasses name its class in ``_whole``, which takes a location and a scale.
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _parameters = {}
    _whole: Any

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        base = self._whole(0, scale, validate_args=False)
        super().__init__(base, AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Tensor:
        """The scale of the whole variable."""
        scale: Tensor = self.base_dist.scale
        return scale

    @property
    def mode(self) -> Tensor:
        return torch.zeros_like(self.scale)

    def _prepared(self, value: Tensor) -> Tensor:
        """A value, checked, as the whole variable's density takes it."""
        if self._validate_args:
            self._validate_sample(value)
        return value

    def log_prob(self, value: Tensor) -> Tensor:
        value = self._prepared(value)
        log_prob = self.base_dist.log_prob(value) + math.log(2)
        return torch.where(value >= 0, log_prob, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        return self.base_dist.icdf((value + 1) / 2)  # type: ignore[no-any-return]

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - math.log(2)  # type: ignore[no-any-return]
