"""Instance normalization: of each channel of each sample."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, ClassVar

import dispatchtorch.nn.functional as F

from .batchnorm import _LazyNormBase, _NormBase
from .utils import _weight_and_bias

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    _nd: ClassVar[int]

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
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

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() not in (self._nd + 1, self._nd + 2):
            raise ValueError(
                f"expected {self._nd + 1}D or {self._nd + 2}D input (got "
                f"{input.dim()}D input)"
            )

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        # Once these modules tracked statistics by default; such states name no version.
        if local_metadata.get("version") is None and not self.track_running_stats:
            names = [
                name
                for name in ("running_mean", "running_var")
                if prefix + name in state_dict
            ]
            if names:
                listed = " and ".join(f'"{prefix}{name}"' for name in names)
                error_msgs.append(_OLD_STATS.format(listed, type(self).__name__))
                for name in names:
                    state_dict.pop(prefix + name)
        super()._load_from_state_dict(
            state_dict,
            prefix,
            local_metadata,
            strict,
            missing_keys,
            unexpected_keys,
            error_msgs,
        )

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        batched = input.dim() == self._nd + 2
        dim = 1 if batched else 0
        if input.size(dim) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={dim} to match num_features "
                    f"({self.num_features}), but got: {input.size(dim)}."
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. You can "
                "silence this warning by not passing in num_features, which is not "
                "used because affine=False",
                stacklevel=2,
            )
        output = F.instance_norm(
            input if batched else input.unsqueeze(0),
            self.running_mean,
            self.running_var,
            *_weight_and_bias(self),
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return output if batched else output.squeeze(0)


_OLD_STATS = (
    "Unexpected running stats buffer(s) {0} for {1} with track_running_stats=False. If "
    "state_dict is a checkpoint saved before 0.4.0, this may be expected because {1} "
    "does not track running stats by default since 0.4.0. Please remove these keys "
    "from state_dict. If the running stats are actually needed, instead set "
    "track_running_stats=True in {1} to enable them. See the documentation of {1} for "
    "details."
)


class InstanceNorm1d(_InstanceNorm):
    """``(x - mean) / sqrt(var + eps) * weight + bias`` for each channel of each sample
    of ``(N, C, L)`` or ``(C, L)``. https://arxiv.org/abs/1607.08022

    Arguments as :class:`BatchNorm1d`, but ``affine`` and ``track_running_stats`` are
    False by default.
    """

    _nd = 1


class InstanceNorm2d(_InstanceNorm):
    """:class:`InstanceNorm1d` of ``(N, C, H, W)`` or ``(C, H, W)``."""

    _nd = 2


class InstanceNorm3d(_InstanceNorm):
    """:class:`InstanceNorm1d` of ``(N, C, D, H, W)`` or ``(C, D, H, W)``."""

    _nd = 3


class LazyInstanceNorm1d(_LazyNormBase, InstanceNorm1d):
    """An :class:`InstanceNorm1d` that takes ``num_features`` from its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNormBase, InstanceNorm2d):
    """An :class:`InstanceNorm2d` that takes ``num_features`` from its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNormBase, InstanceNorm3d):
    """An :class:`InstanceNorm3d` that takes ``num_features`` from its first input."""

    cls_to_become = InstanceNorm3d
