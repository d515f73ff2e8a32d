"""The generalized Pareto distribution."""

from __future__ import annotations

from typing import Any

import dispatchtorch as torch
from dispatchtorch import Size, Tensor
from dispatchtorch.distributions import constraints
from dispatchtorch.distributions.distribution import Distribution
from dispatchtorch.distributions.utils import all_numbers, broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """Excesses over a high threshold ``loc``; ``concentration`` 0 is exponential."""

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _parameters = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(
        self,
        loc: Any,
        scale: Any,
        concentration: Any,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(
            loc, scale, concentration
        )
        numbers = all_numbers(loc, scale, concentration)
        shape = Size(()) if numbers else self.loc.size()
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        end = self.loc - self.scale / self.concentration
        high = torch.where(self.concentration < 0, end, torch.inf)
        return constraints.interval(self.loc, high)

    def _z(self, x: Tensor) -> Tensor:
        return (x - self.loc) / self.scale

    def _safe(self) -> tuple[Tensor, Tensor]:
        """Where the concentration is zero, and itself with ones there."""
        zero = torch.isclose(self.concentration, self.concentration.new_zeros(()))
        return zero, torch.where(
            zero, torch.ones_like(self.concentration), self.concentration
        )

    def rsample(self, sample_shape: Any = Size(())) -> Tensor:
        shape = self._extended_shape(sample_shape)
        u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.icdf(u)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        zero, k = self._safe()
        decay = (1 / k + 1) * torch.log1p(k * z)
        return -torch.log(self.scale) - torch.where(zero, z, decay)

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of a draw beyond `value`."""
        if self._validate_args:
            self._validate_sample(value)
        z = self._z(value)
        zero, k = self._safe()
        return torch.where(zero, -z, -torch.log1p(k * z) / k)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of :meth:`cdf`."""
        return torch.log1p(-torch.exp(self.log_survival_function(value)))

    def cdf(self, value: Tensor) -> Tensor:
        return torch.exp(self.log_cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        zero, k = self._safe()
        log_rest = torch.log1p(-value)
        power = torch.expm1(-k * log_rest) / k
        return self.loc + self.scale * torch.where(zero, -log_rest, power)

    @property
    def mean(self) -> Tensor:
        k = self.concentration
        return torch.where(k < 1, self.loc + self.scale / (1 - k), torch.nan)

    @property
    def variance(self) -> Tensor:
        k = self.concentration
        spread = self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k))
        return torch.where(k < 0.5, spread, torch.nan)

    def entropy(self) -> Tensor:
        return (torch.log(self.scale) + self.concentration + 1).expand(self.batch_shape)

    @property
    def mode(self) -> Tensor:
        return self.loc
