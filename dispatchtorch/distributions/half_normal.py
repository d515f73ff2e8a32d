"""The half-normal distribution."""

from __future__ import annotations

import math

from dispatchtorch import Tensor
from dispatchtorch.distributions._folded import Folded
from dispatchtorch.distributions.normal import Normal

__all__ = ["HalfNormal"]


class HalfNormal(Folded):
    """The absolute value of a normal variable of mean zero and deviation ``scale``."""

    base_dist: Normal
    _parameters = {}
    _whole = Normal

    @property
    def mean(self) -> Tensor:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        return self.scale.pow(2) * (1 - 2 / math.pi)
