"""Batch normalization: of each channel over the batch, with running statistics."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, ClassVar

import dispatchtorch as torch
import dispatchtorch.nn.functional as F
from dispatchtorch.nn import init
from dispatchtorch.nn.parameter import (
    Parameter,
    UninitializedBuffer,
    UninitializedParameter,
)

from .lazy import LazyModuleMixin
from .module import Module
from .utils import _weight_and_bias

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """What batch and instance normalization share: affine parameters and statistics."""

    # Version 2 added num_batches_tracked.
    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        options = {"device": device, "dtype": dtype}
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            value = Parameter(torch.empty(num_features, **options)) if wanted else None
            self.register_parameter(name, value)
        mean = var = count = None
        if track_running_stats:
            mean = torch.zeros(num_features, **options)
            var = torch.ones(num_features, **options)
            count = torch.tensor(0, dtype=torch.long, device=device)
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", var)
        self.register_buffer("num_batches_tracked", count)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Sets the running statistics to mean 0, variance 1, no batches seen."""
        if self.track_running_stats:
            self.running_mean.zero_()  # type: ignore[union-attr]
            self.running_var.fill_(1)  # type: ignore[union-attr]
            self.num_batches_tracked.zero_()  # type: ignore[union-attr]

    def reset_parameters(self) -> None:
        """Resets the statistics, the weight to ones and the bias to zeros."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (
            (version is None or version < 2)
            and self.track_running_stats
            and key not in state_dict
        ):
            count = self.num_batches_tracked
            if count is None or count.is_meta:
                count = torch.tensor(0, dtype=torch.long)
            state_dict[key] = count
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, *args, **kwargs
        )


class _BatchNorm(_NormBase):
    def _average_factor(self) -> float:
        """The weight of this batch in the running statistics; counts the batch."""
        if not (self.training and self.track_running_stats):
            return 0.0 if self.momentum is None else self.momentum
        count = self.num_batches_tracked
        if count is not None:
            count.add_(1)
            if self.momentum is None:  # a cumulative average
                return 1.0 / float(count)
        return 0.0 if self.momentum is None else self.momentum

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        factor = self._average_factor()
        training = self.training
        mean, var = self._buffers["running_mean"], self._buffers["running_var"]
        # Without statistics of its own, evaluation too normalizes by the batch's.
        by_batch = training or (mean is None and var is None)
        if training and not self.track_running_stats:
            mean = var = None
        weight, bias = _weight_and_bias(self)
        return F.batch_norm(input, mean, var, weight, bias, by_batch, factor, self.eps)


class _CheckDims(_NormBase):
    """Accepts inputs with one of ``_dims`` dimensions."""

    _dims: ClassVar[tuple[int, ...]]

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in self._dims:
            allowed = " or ".join(f"{n}D" for n in self._dims)
            raise ValueError(f"expected {allowed} input (got {input.dim()}D input)")


class BatchNorm1d(_CheckDims, _BatchNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of ``(N, C)``
    or ``(N, C, L)``. https://arxiv.org/abs/1502.03167

    In training, mean and (biased) variance are the batch's, and the running ones move
    towards them; in evaluation they are the running ones.

    Args:
        num_features: C.
        eps: added to the variance.
        momentum: weight of the new batch in the running statistics; None for their
            average over all batches.
        affine: whether there are ``weight`` and, unless ``bias=False``, ``bias``.
        track_running_stats: False uses the batch's statistics in evaluation as well.
    """

    _dims = (2, 3)


class BatchNorm2d(_CheckDims, _BatchNorm):
    """:class:`BatchNorm1d` of ``(N, C, H, W)``."""

    _dims = (4,)


class BatchNorm3d(_CheckDims, _BatchNorm):
    """:class:`BatchNorm1d` of ``(N, C, D, H, W)``."""

    _dims = (5,)


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """Takes ``num_features`` from the first input."""

    weight: UninitializedParameter | None  # type: ignore[assignment]
    bias: UninitializedParameter | None  # type: ignore[assignment]

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        options = {"device": device, "dtype": dtype}
        super().__init__(0, eps, momentum, False, False, **options)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(**options)
            if bias:
                self.bias = UninitializedParameter(**options)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**options)
            self.running_var = UninitializedBuffer(**options)
            self.num_batches_tracked = torch.tensor(0, dtype=torch.long, device=device)

    def reset_parameters(self) -> None:
        """As in the module this becomes; does nothing while shapes aren't known."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Gives parameters and buffers the number of channels of ``input``."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
            if tensor is not None:
                tensor.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, BatchNorm1d):
    """A :class:`BatchNorm1d` that takes ``num_features`` from its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNormBase, BatchNorm2d):
    """A :class:`BatchNorm2d` that takes ``num_features`` from its first input."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNormBase, BatchNorm3d):
    """A :class:`BatchNorm3d` that takes ``num_features`` from its first input."""

    cls_to_become = BatchNorm3d


class SyncBatchNorm(_BatchNorm):
    """Batch normalization with statistics over all processes of ``process_group``.

    In one process it is :class:`BatchNorm1d` for any number of dimensions from two on;
    training with several processes raises NotImplementedError.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any | None = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            eps,
            momentum,
            affine,
            track_running_stats,
            device,
            dtype,
            bias=bias,
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        if input.size(1) == 0:
            raise ValueError(
                "SyncBatchNorm number of input channels should be non-zero"
            )
        # Processes can have been connected only by who imported the package.
        distributed = sys.modules.get("dispatchtorch.distributed")
        if (
            self.training
            and distributed is not None
            and distributed.is_available()
            and distributed.is_initialized()
            and distributed.get_world_size(self.process_group) > 1
        ):
            raise NotImplementedError(
                "SyncBatchNorm does not support training with more than one process"
            )
        return super().forward(input)

    @classmethod
    def convert_sync_batchnorm(
        cls, module: Module, process_group: Any | None = None
    ) -> Module:
        """``module`` with all its batch norms replaced by ones of this class that share
        their parameters and buffers."""
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            with torch.no_grad():
                result.weight, result.bias = module.weight, module.bias
            result.running_mean = module.running_mean
            result.running_var = module.running_var
            result.num_batches_tracked = module.num_batches_tracked
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result
