"""What distributions given by probabilities or by log-odds share."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch import Size, Tensor
from dispatchtorch.distributions.distribution import Distribution
from dispatchtorch.distributions.utils import (
    all_numbers,
    broadcast_all,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

__all__ = ["BinaryParameter", "CategoricalParameter", "ProbsOrLogits", "one_of"]


def one_of(probs: Any, logits: Any) -> str:
    """Which of the two is given; ValueError unless it's exactly one."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return "logits" if probs is None else "probs"


class ProbsOrLogits(Distribution):
    """``probs`` and ``logits``, one of them given and the other worked out on demand."""

    _is_binary = True
    _param: Any

    @lazy_property
    def logits(self) -> Tensor:
        """The log-odds."""
        return probs_to_logits(self.probs, is_binary=self._is_binary)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=self._is_binary)

    @property
    def param_shape(self) -> Size:
        """The shape of the parameter that was given."""
        return self._param.size()

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._param.new(*args, **kwargs)

    def _expand_into(self, new: Any, batch_shape: Size) -> None:
        if "_param" in self.__dict__:
            new._param = new.__dict__["probs" if "probs" in self.__dict__ else "logits"]


class BinaryParameter(ProbsOrLogits):
    """A single success probability."""

    def _take(self, probs: Any, logits: Any) -> Size:
        """Sets the parameter; returns the batch shape."""
        name = one_of(probs, logits)
        given = logits if probs is None else probs
        (self._param,) = broadcast_all(given)
        setattr(self, name, self._param)
        return torch.Size(()) if all_numbers(given) else self._param.size()

    def _take_counts(self, total_count: Any, probs: Any, logits: Any) -> Size:
        """Sets ``total_count`` and the parameter; returns the batch shape."""
        name = one_of(probs, logits)
        given = logits if probs is None else probs
        self.total_count, self._param = broadcast_all(total_count, given)
        self.total_count = self.total_count.type_as(self._param)
        setattr(self, name, self._param)
        return self._param.size()


class CategoricalParameter(ProbsOrLogits):
    """Weights of categories along the last dim, behind a ``Categorical``."""

    _is_binary = False
    _categorical: Any

    @property
    def _param(self) -> Tensor:  # type: ignore[override]
        return self._categorical._param

    @property
    def probs(self) -> Tensor:  # type: ignore[override]
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:  # type: ignore[override]
        """The log-probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        return self._categorical.param_shape

    def _new(self, *args: Any, **kwargs: Any) -> Tensor:
        return self._categorical._new(*args, **kwargs)
