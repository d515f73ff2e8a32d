"""The Wishart distribution."""

from __future__ import annotations

import math
import warnings
from numbers import Number
from typing import Any

import dispatchtorch as torch
from dispatchtorch import Size, Tensor
from dispatchtorch.distributions import Chi2, constraints
from dispatchtorch.distributions.exp_family import ExponentialFamily
from dispatchtorch.distributions.multivariate_normal import (
    _half_log_det,
    _precision_to_scale_tril,
    _the_given,
)
from dispatchtorch.distributions.utils import lazy_property

__all__ = ["Wishart"]


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    steps = torch.arange(p, dtype=x.dtype, device=x.device)
    return torch.digamma(x.unsqueeze(-1) - steps.div(2)).sum(-1)


class Wishart(ExponentialFamily):
    """Random positive-definite matrices: the scatter of ``df`` normal vectors.

    Sampled by the Bartlett decomposition. Singular draws, which rounding makes likely
    for few degrees of freedom, are tried anew a few times, with a warning.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    _parameters = {
        "df": 0,
        "scale_tril": 2,
        "covariance_matrix": 2,
        "precision_matrix": 2,
    }

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        name, matrix = _the_given(
            AssertionError,
            covariance_matrix=covariance_matrix,
            scale_tril=scale_tril,
            precision_matrix=precision_matrix,
        )
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading "
                "batch dimensions"
            )
        if isinstance(df, Number):
            batch = torch.Size(matrix.shape[:-2])
            self.df = torch.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch = torch.broadcast_shapes(matrix.shape[:-2], df.shape)
            self.df = df.expand(batch)
        event_shape = matrix.shape[-2:]
        if self.df.le(event_shape[-1] - 1).any():
            raise ValueError(
                f"Value of df={df} expected to be greater than ndim - 1 = "
                f"{event_shape[-1] - 1}."
            )
        setattr(self, name, matrix.expand(batch + (-1, -1)))
        if name == "scale_tril":
            self._unbroadcasted_scale_tril = matrix
        self._batch_shape, self._event_shape = batch, event_shape
        if self.df.lt(event_shape[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur "
                "for ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch, event_shape, validate_args=validate_args)
        if name == "covariance_matrix":
            self._unbroadcasted_scale_tril = torch.linalg.cholesky(matrix)
        elif name == "precision_matrix":
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(matrix)
        self._dist_chi2 = self._diagonal(batch)

    def _diagonal(self, batch: Size) -> Chi2:
        """The squares on the diagonal of the Bartlett factor."""
        n = self._event_shape[-1]
        steps = torch.arange(n, dtype=self.df.dtype, device=self.df.device)
        return Chi2(df=(self.df.unsqueeze(-1) - steps).expand(batch + (n,)))

    def _expand_into(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(
            batch_shape + self.event_shape
        )
        new._event_shape = self._event_shape
        new._dist_chi2 = new._diagonal(batch_shape)

    def _full(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return self._full(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance of the normal vectors."""
        factor = self._unbroadcasted_scale_tril
        return self._full(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        return self._full(torch.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def _df(self) -> Tensor:
        return self.df.view(self.df.shape + (1, 1))

    @property
    def mean(self) -> Tensor:
        return self._df * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self._df - self.covariance_matrix.shape[-1] - 1
        return factor.masked_fill(factor <= 0, torch.nan) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        outer = torch.einsum("...i,...j->...ij", diagonal, diagonal)
        return self._df * (v.pow(2) + outer)

    def _bartlett_sampling(self, sample_shape: Any = Size(())) -> Tensor:
        n = self._event_shape[-1]
        noise = self._dist_chi2.rsample(sample_shape).sqrt()
        noise = noise.diag_embed(dim1=-2, dim2=-1)
        rows, columns = torch.tril_indices(n, n, offset=-1, device=noise.device)
        shape = torch.Size(sample_shape) + self._batch_shape + (n * (n - 1) // 2,)
        noise[..., rows, columns] = torch.randn(
            shape, dtype=noise.dtype, device=noise.device
        )
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(
        self,
        sample_shape: Any = Size(()),
        max_try_correction: int | None = None,
    ) -> Tensor:
        if max_try_correction is None:
            max_try_correction = 3
        sample_shape = torch.Size(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        # As PyTorch does, the first check takes the regular draws for the singular
        # ones: they are drawn anew once, and a seed gives the same numbers.
        singular = self.support.check(sample)
        if self._batch_shape:
            singular = singular.amax(self._batch_dims(len(sample_shape)))
        if not singular.any():
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(max_try_correction):
            anew = self._bartlett_sampling(sample[singular].shape[:1])
            sample[singular] = anew
            again = ~self.support.check(anew)
            if self._batch_shape:
                again = again.amax(self._batch_dims(1))
            singular = singular.masked_scatter(singular, again)
            if not singular.any():
                break
        return sample

    def _batch_dims(self, start: int) -> tuple[int, ...]:
        return tuple(range(start, start + len(self._batch_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        nu, p = self.df, self._event_shape[-1]
        factor = self._unbroadcasted_scale_tril
        trace = torch.cholesky_solve(value, factor).diagonal(dim1=-2, dim2=-1).sum(-1)
        return (
            -nu * (p * math.log(2.0) / 2.0 + _half_log_det(factor))
            - torch.mvlgamma(nu / 2.0, p=p)
            + (nu - p - 1) / 2.0 * torch.linalg.slogdet(value).logabsdet
            - trace / 2.0
        )

    def entropy(self) -> Tensor:
        nu, p = self.df, self._event_shape[-1]
        log_det = _half_log_det(self._unbroadcasted_scale_tril)
        return (
            (p + 1) * (p * math.log(2.0) / 2.0 + log_det)
            + torch.mvlgamma(nu / 2.0, p=p)
            - (nu - p - 1) / 2.0 * _mvdigamma(nu / 2.0, p=p)
            + p * nu / 2.0
        )

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        p = self._event_shape[-1]
        return -self.precision_matrix / 2, (self.df - p - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        p = self._event_shape[-1]
        log_det = torch.linalg.slogdet(-2 * x).logabsdet
        at = y + (p + 1) / 2
        return at * (-log_det + math.log(2.0) * p) + torch.mvlgamma(at, p=p)
