"""What relaxed distributions share: the parameters of what they transform."""

from __future__ import annotations

from typing import Any

from dispatchtorch import Tensor
from dispatchtorch.distributions.transformed_distribution import TransformedDistribution

__all__ = ["Relaxed"]


class Relaxed(TransformedDistribution):
    """Draws near to discrete ones, made of ``base_dist``'s by a transform."""

    has_rsample = True
    base_dist: Any
    _parameters = {}

    @property
    def temperature(self) -> Tensor:
        """How far from discrete draws are."""
        return self.base_dist.temperature  # type: ignore[no-any-return]

    @property
    def logits(self) -> Tensor:
        """The log-odds of a binary draw, the log-probabilities of categories."""
        return self.base_dist.logits  # type: ignore[no-any-return]

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self.base_dist.probs  # type: ignore[no-any-return]
