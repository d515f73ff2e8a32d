"""Folding an inference-mode batch norm into the layer before it."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor
    from dispatchtorch.nn import Parameter
    from dispatchtorch.nn.modules.batchnorm import _BatchNorm
    from dispatchtorch.nn.modules.module import Module

    _ModuleT = TypeVar("_ModuleT", bound=Module)

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def _running_stats(layer: Module, bn: _BatchNorm) -> tuple[Tensor, Tensor]:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    return bn.running_mean, bn.running_var


def fuse_conv_bn_eval(
    conv: _ModuleT, bn: _BatchNorm, transpose: bool = False
) -> _ModuleT:
    """A copy of `conv` that computes bn(conv(x)).

    Both must be in eval mode and `bn` must track running statistics, else
    AssertionError. `transpose` says that `conv` is a transposed convolution.
    """
    mean, var = _running_stats(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, mean, var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution followed by batch norm.

    `conv_w` is (out, in, *kernel), with the first two dims swapped if `transpose`. A
    missing bias counts as zero, a missing affine pair as (1, 0).
    """
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    return _fold(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_linear_bn_eval(linear: _ModuleT, bn: _BatchNorm) -> _ModuleT:
    """A copy of `linear` that computes bn(linear(x)).

    Both must be in eval mode, `bn` must track running statistics and have one feature
    or as many as `linear` has outputs, else AssertionError.
    """
    mean, var = _running_stats(linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, "
            f"got linear.out_features={linear.out_features} "
            f"and bn.num_features={bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, mean, var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer followed by batch norm; `linear_w` (out, in).

    A missing bias counts as zero.
    """
    return _fold(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def _fold(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    var: Tensor,
    eps: float,
    gain: Tensor | None,
    shift: Tensor | None,
    shape: list[int],
) -> tuple[Parameter, Parameter]:
    """y = gain · (w·x + b - mean) / sqrt(var + eps) + shift, as one weight and bias."""
    bias_dtype = weight.dtype if bias is None else bias.dtype
    needs_grad = weight.requires_grad, bias is not None and bias.requires_grad
    with torch.no_grad():
        scale = torch.rsqrt(var + eps)
        if gain is not None:
            scale = gain * scale
        fused_weight = (weight * scale.reshape(shape)).to(weight.dtype)
        fused_bias = (-mean if bias is None else bias - mean) * scale
        if shift is not None:
            fused_bias = fused_bias + shift
    return (
        torch.nn.Parameter(fused_weight, needs_grad[0]),
        torch.nn.Parameter(fused_bias.to(bias_dtype), needs_grad[1]),
    )
