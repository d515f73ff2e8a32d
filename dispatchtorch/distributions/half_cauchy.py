"""The half-Cauchy distribution."""

from __future__ import annotations

import math

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.distributions._folded import Folded
from dispatchtorch.distributions.cauchy import Cauchy

__all__ = ["HalfCauchy"]


class HalfCauchy(Folded):
    """The absolute value of a Cauchy variable about zero, of half width ``scale``."""

    base_dist: Cauchy
    _parameters = {}
    _whole = Cauchy

    @property
    def mean(self) -> Tensor:
        return torch.full(
            self._extended_shape(),
            math.inf,
            dtype=self.scale.dtype,
            device=self.scale.device,
        )

    @property
    def variance(self) -> Tensor:
        return self.base_dist.variance

    def _prepared(self, value: Tensor) -> Tensor:
        value = super()._prepared(value)
        return torch.as_tensor(value, dtype=self.scale.dtype, device=self.scale.device)
