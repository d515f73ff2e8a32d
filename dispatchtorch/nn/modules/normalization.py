"""Normalization within each sample: over layers, groups of channels, neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
import dispatchtorch.nn.functional as F
from dispatchtorch.nn import init
from dispatchtorch.nn.parameter import Parameter

from .module import Module
from .utils import _weight_and_bias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dispatchtorch import Tensor

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class _ResponseNorm(Module):
    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class LocalResponseNorm(_ResponseNorm):
    """``x / (k + alpha * mean of x ** 2 over ``size`` neighbouring channels) ** beta``
    of ``(N, C, *)``. Krizhevsky et al., 2012, section 3.3."""

    __constants__ = ["size", "alpha", "beta", "k"]

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)


class CrossMapLRN2d(_ResponseNorm):
    """:class:`LocalResponseNorm` of ``(N, C, H, W)`` with PyTorch's numbers: an even
    ``size`` counts one channel less, though ``alpha`` is divided by ``size``, and the
    first channel counts for all later ones. The gradient is that of this function."""

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1
    ) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4:
            raise ValueError(
                f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead."
            )
        reach = (self.size - 1) // 2
        squares = input.pow(2)
        padded = F.pad(squares, (0, 0, 0, 0, reach, reach))  # type: ignore[arg-type]
        near = padded.unfold(1, 2 * reach + 1, 1).sum(-1)
        channels = torch.arange(input.size(1), device=input.device)
        beyond = (channels > reach).to(input.dtype).reshape(-1, 1, 1)
        near = near + squares[:, :1] * beyond
        return input * (self.k + self.alpha / self.size * near).pow(-self.beta)


class _LayerScale(Module):
    """A module with weight and maybe bias of the shape of the trailing dimensions."""

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]
    normalized_shape: tuple[int, ...]

    def _set_shape(self, normalized_shape: int | Sequence[int]) -> None:
        self.normalized_shape = (
            (normalized_shape,)
            if isinstance(normalized_shape, int)
            else tuple(normalized_shape)
        )


class LayerNorm(_LayerScale):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions.
    https://arxiv.org/abs/1607.06450

    Args:
        normalized_shape: the sizes of those dimensions, or of the one.
        eps: added to the (biased) variance.
        elementwise_affine: whether there are ``weight`` and, unless ``bias=False``,
            ``bias``, of that shape; ones and zeros at first.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        _register_affine(
            self, self.normalized_shape, elementwise_affine, bias, device, dtype
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to ones and the bias to zeros."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = _weight_and_bias(self)
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` over each of ``num_groups``
    groups of the channels of ``(N, C, *)``. https://arxiv.org/abs/1803.08494

    Args:
        num_groups, num_channels: the second must be divisible by the first.
        eps: added to the (biased) variance.
        affine: whether there are ``weight`` and, unless ``bias=False``, ``bias``, one
            number a channel.
    """

    __constants__ = ["num_groups", "num_channels", "eps", "affine"]

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups "
                f"({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        _register_affine(self, num_channels, affine, bias, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to ones and the bias to zeros."""
        _reset_affine(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, *_weight_and_bias(self), self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class RMSNorm(_LayerScale):
    """``x / sqrt(mean(x ** 2) + eps) * weight`` over the last dimensions.
    https://arxiv.org/abs/1910.07467

    ``eps=None`` takes the machine epsilon of the input's dtype; other arguments as
    :class:`LayerNorm`.
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        weight = None
        if elementwise_affine:
            shape = self.normalized_shape
            weight = Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Sets the weight to ones."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)  # type: ignore[arg-type]

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )


def _register_affine(
    module: Module, shape: Any, affine: bool, bias: bool, device: Any, dtype: Any
) -> None:
    for name, wanted in (("weight", affine), ("bias", affine and bias)):
        value = torch.empty(shape, device=device, dtype=dtype) if wanted else None
        module.register_parameter(name, None if value is None else Parameter(value))


def _reset_affine(module: Module) -> None:
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)
