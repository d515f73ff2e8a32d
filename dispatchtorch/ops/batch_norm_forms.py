"""Batch normalisation under the names that PyTorch's compilers and devices call."""

from __future__ import annotations

from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import torch

__all__: list[str] = []

_LEGIT = "Tensor input, Tensor? weight, Tensor? bias, "


@operator(
    f"_native_batch_norm_legit({_LEGIT}Tensor(a!) running_mean, Tensor(b!) running_var, "
    "bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    variants="function",
)
def _native_batch_norm_legit(
    input, weight, bias, running_mean, running_var, training, momentum, eps
):
    """:func:`native_batch_norm` with running statistics."""
    return torch.native_batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )


@operator(
    f"_native_batch_norm_legit.no_stats({_LEGIT}bool training, float momentum, float "
    "eps) -> (Tensor, Tensor, Tensor)",
    variants="function",
)
def _native_batch_norm_legit_no_stats(input, weight, bias, training, momentum, eps):
    """:func:`native_batch_norm` without running statistics."""
    return torch.native_batch_norm(
        input, weight, bias, None, None, training, momentum, eps
    )


@operator(
    f"_batch_norm_with_update({_LEGIT}Tensor(a!) running_mean, Tensor(b!) running_var, "
    "float momentum, float eps) -> (Tensor, Tensor, Tensor, Tensor)",
    variants="private",
)
def _batch_norm_with_update(
    input, weight, bias, running_mean, running_var, momentum, eps
):
    """:func:`native_batch_norm` in training, and room that some libraries need."""
    made = torch.native_batch_norm(
        input, weight, bias, running_mean, running_var, True, momentum, eps
    )
    return (*made, torch.empty((0,), dtype=torch.uint8, device=input.device))
