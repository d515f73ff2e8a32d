"""Relaxed categorical distributions: gradients through nearly one-hot draws."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch import Size, Tensor
from dispatchtorch.distributions import constraints
from dispatchtorch.distributions._parameters import CategoricalParameter
from dispatchtorch.distributions._relaxed import Relaxed
from dispatchtorch.distributions.categorical import Categorical
from dispatchtorch.distributions.transforms import ExpTransform
from dispatchtorch.distributions.utils import broadcast_all, clamp_probs

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(CategoricalParameter):
    """The logarithms of relaxed one-hot draws.

    Maddison, Mnih and Teh, "The concrete distribution" (2017).
    """

    arg_constraints = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    # A submanifold of the real vectors, which PyTorch doesn't check either.
    support = constraints.real_vector
    has_rsample = True
    _parameters = {}

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def _expand_into(self, new: Any, batch_shape: Size) -> None:
        new.temperature = self.temperature
        new._categorical = self._categorical.expand(batch_shape)

    def rsample(self, sample_shape: Any = Size(())) -> Tensor:
        logits = self.logits
        u = torch.rand(
            self._extended_shape(sample_shape), dtype=logits.dtype, device=logits.device
        )
        gumbels = -((-(clamp_probs(u).log())).log())
        scores = (logits + gumbels) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        count = self._categorical._num_events
        logits, value = broadcast_all(self.logits, value)
        scale = torch.full_like(self.temperature, float(count)).lgamma()
        scale = scale - self.temperature.log().mul(-(count - 1))
        score = logits - value.mul(self.temperature)
        score = (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1)
        return score + scale


class RelaxedOneHotCategorical(Relaxed):
    """Points of the simplex that go to one-hot vectors as ``temperature`` goes to 0."""

    arg_constraints = {
        "probs": constraints.simplex,
        "logits": constraints.real_vector,
    }
    support = constraints.simplex
    base_dist: ExpRelaxedCategorical
    _parameters = {}

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(
            temperature, probs, logits, validate_args=validate_args
        )
        super().__init__(base, ExpTransform(), validate_args=validate_args)
