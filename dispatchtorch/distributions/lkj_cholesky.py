"""The LKJ distribution of Cholesky factors of correlation matrices."""

from __future__ import annotations

import math
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Size, Tensor
from dispatchtorch.distributions import Beta, constraints
from dispatchtorch.distributions.distribution import Distribution
from dispatchtorch.distributions.utils import broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Factors of correlation matrices of density proportional to det^(concentration-1).

    Sampled by the onion method (Lewandowski, Kurowicka and Joe 2009).
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    _parameters = {"concentration": 0}

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                "Expected dim to be an integer greater than or equal to 2. Found "
                f"dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # The squared length of each row's off-diagonal part is beta distributed.
        rest = self.concentration + 0.5 * (dim - 2)
        row = torch.arange(
            dim - 1, dtype=self.concentration.dtype, device=self.concentration.device
        )
        row = torch.cat([row.new_zeros((1,)), row])
        self._beta = Beta(row + 0.5, rest.unsqueeze(-1) - 0.5 * row)
        super().__init__(
            self.concentration.size(), torch.Size((dim, dim)), validate_args
        )

    def _expand_into(self, new: Any, batch_shape: Size) -> None:
        new.dim = self.dim
        new._beta = self._beta.expand(batch_shape + (self.dim,))

    def sample(self, sample_shape: Any = Size(())) -> Tensor:
        y = self._beta.sample(sample_shape).unsqueeze(-1)
        normal = torch.randn(
            self._extended_shape(sample_shape), dtype=y.dtype, device=y.device
        ).tril(-1)
        sphere = normal / normal.norm(dim=-1, keepdim=True)
        sphere[..., 0, :].fill_(0.0)  # the first row has nothing off the diagonal
        w = torch.sqrt(y) * sphere
        eps = torch.finfo(w.dtype).tiny
        diagonal = torch.clamp(1 - torch.sum(w**2, dim=-1), min=eps).sqrt()
        return w + torch.diag_embed(diagonal)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = torch.arange(2, self.dim + 1, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        density = torch.sum(order * diagonal.log(), dim=-1)
        count = self.dim - 1
        alpha = self.concentration + 0.5 * count
        ratio = torch.mvlgamma(alpha - 0.5, count) - torch.lgamma(alpha) * count
        return density - (0.5 * count * math.log(math.pi) + ratio)
