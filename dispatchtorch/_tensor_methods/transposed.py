"""Attributes that are views: T, mT, H and mH, the real and the imaginary part."""

from __future__ import annotations

import warnings

from dispatchtorch._tensor_methods._install import attribute
from dispatchtorch.ops._common import torch
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


def _part(name: str) -> property:
    """``Tensor.real`` and ``Tensor.imag``, which can be assigned to."""
    return property(
        lambda self: getattr(torch, name)(self),
        lambda self, value: getattr(torch, name)(self).copy_(
            value if hasattr(value, "_keys") else torch.scalar_tensor(value)
        ),
        doc=f"The {name} part of the tensor, as a view.",
    )


Tensor.real = _part("real")  # type: ignore[attr-defined,assignment]
Tensor.imag = _part("imag")  # type: ignore[attr-defined,assignment]
