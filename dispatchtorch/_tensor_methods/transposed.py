"""Transposes as attributes: T, mT, H and mH."""

from __future__ import annotations

import warnings

from dispatchtorch._tensor_methods._install import attribute
from dispatchtorch.tensor import Tensor

__all__: list[str] = []


@attribute
def T(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        warnings.warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape"
            " is deprecated and it will throw an error in a future release. Consider "
            "`x.mT` to transpose batches of matrices or `x.permute(*torch.arange(x.ndim -"
            " 1, -1, -1))` to reverse the dimensions of a tensor.",
            stacklevel=2,
        )
    return self.permute(tuple(range(self.ndim - 1, -1, -1)))


@attribute
def mT(self: Tensor) -> Tensor:
    if self.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{self.ndim}-D tensor."
        )
    return self.transpose(-2, -1)


@attribute
def H(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise RuntimeError(
            "tensor.H is only supported on matrices (2-D tensors). Got "
            f"{self.ndim}-D tensor."
            + (
                " For batches of matrices, consider using tensor.mH"
                if self.ndim > 2
                else ""
            )
        )
    return self.mH if self.ndim else self.conj()


@attribute
def mH(self: Tensor) -> Tensor:
    if self.ndim < 2:
        raise RuntimeError(
            "tensor.mH is only supported on matrices or batches of matrices. Got "
            f"{self.ndim}-D tensor."
        )
    return self.transpose(-2, -1).conj()
