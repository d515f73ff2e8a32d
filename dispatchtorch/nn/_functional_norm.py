"""Normalisation, embeddings and distances of ``torch.nn.functional``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from dispatchtorch.ops._common import torch as operators

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "batch_norm",
    "embedding",
    "embedding_bag",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of (N, C, …) with mean 0 and variance 1 (Ioffe & Szegedy, 2015).

    In training by the batch's statistics, which also move the running ones (in place)
    by ``momentum``; otherwise by the running ones. Raises ValueError where a channel
    has one value alone in training.
    """
    if training:
        _check_values(input.size())
        if eps <= 0:
            raise ValueError(
                f"batch_norm eps must be positive during training, but got {eps}"
            )
    return operators.batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps, False
    )


def _check_values(size: Any) -> None:
    values = size[0]
    for each in size[2:]:
        values *= each
    if values == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{size}"
        )


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel of each sample with mean 0 and variance 1 (Ulyanov et al., 2016)."""
    if use_input_stats:
        spatial = 1
        for each in input.size()[2:]:
            spatial *= each
        if spatial == 1:
            raise ValueError(
                "Expected more than 1 spatial element when training, got input size "
                f"{input.size()}"
            )
    return operators.instance_norm(
        input,
        weight,
        bias,
        running_mean,
        running_var,
        use_input_stats,
        momentum,
        eps,
        False,
    )


def layer_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The last dims with mean 0 and variance 1 (Ba et al., 2016)."""
    return operators.layer_norm(input, normalized_shape, weight, bias, eps, False)


def rms_norm(
    input: Tensor,
    normalized_shape: list[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """The last dims over their root mean square (Zhang & Sennrich, 2019).

    ``eps`` is the dtype's by default.
    """
    return operators.rms_norm(input, normalized_shape, weight, eps)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Groups of channels of (N, C, …) with mean 0 and variance 1 (Wu & He, 2018)."""
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received "
            f"{input.dim()}"
        )
    size = input.size()
    values = size[0] * size[1] // num_groups
    for each in size[2:]:
        values *= each
    if values == 1:
        shown = [size[0] * size[1] // num_groups, num_groups, *size[2:]]
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size "
            f"{shown}"
        )
    return operators.group_norm(input, num_groups, weight, bias, eps, False)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """Over ``(k + alpha * mean of squares of size channels) ** beta``.

    Krizhevsky et al., 2012. ``input`` is (N, C, …); ValueError for fewer than 3 dims.
    """
    dim = input.dim()
    if dim < 3:
        gap = " " * 26
        raise ValueError(
            f"Expected 3D or higher dimensionality{gap}input (got {dim} dimensions)"
        )
    if not input.numel():
        return input
    if size <= 0:
        raise RuntimeError(
            f"kernel size should be greater than zero, but got kT: {size} kH: 1 kW: 1"
        )
    channels = input.size(1)
    squares = (input * input).movedim(1, -1)
    padded = operators.pad(squares, (size // 2, (size - 1) // 2))
    windows = padded.unfold(-1, size, 1) if channels else padded.unsqueeze(-1)
    if input.is_floating_point() or input.is_complex():
        means = windows.mean(-1)
    else:  # whole numbers are averaged as such
        means = operators.div(windows.sum(-1), size, rounding_mode="trunc")
    return input / (means.movedim(-1, 1) * alpha + k) ** beta


def normalize(
    input: Tensor,
    p: float = 2.0,
    dim: int | tuple[int, ...] = 1,
    eps: float = 1e-12,
    out: Tensor | None = None,
) -> Tensor:
    """``input`` over its p-norms along ``dim``, or over ``eps`` where they are less."""
    scale = input.norm(p, dim, True).clamp_min(eps).expand_as(input)
    if out is None:
        return input / scale
    return operators.div(input, scale, out=out)


# Embeddings.


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight`` (V, D) that ``input`` names, in its shape and D.

    ``padding_idx`` names a row without gradient. With ``max_norm``, the rows used are
    first scaled down to it, in place.
    """
    count = weight.size(0) if padding_idx is not None else 0
    if padding_idx is None:
        padding_idx = -1
    elif padding_idx > 0:
        assert padding_idx < count, "Padding_idx must be within num_embeddings"
    elif padding_idx < 0:
        assert padding_idx >= -count, "Padding_idx must be within num_embeddings"
        padding_idx += count
    if max_norm is not None:
        input = input.contiguous()
        _renormalise(weight, input, max_norm, norm_type)
    return operators.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


def _renormalise(weight: Any, indices: Any, max_norm: float, norm_type: float) -> None:
    from dispatchtorch import no_grad

    with no_grad():
        operators.embedding_renorm_(weight, indices, max_norm, norm_type)


_MODES = {"sum": 0, "mean": 1, "max": 2}


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sums, means or maxima of bags of embeddings, without forming them.

    ``input`` is (B, L), or one row of all bags that begin at ``offsets``.
    """
    if weight.dtype is operators.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage "
            "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
            "`embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not "
            f"None, then it must have the same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed length sequences. However, found offsets of type "
                "<class 'torch.Tensor'>"
            )
        offsets = operators.arange(
            0, input.numel(), max(input.size(1), 1), dtype=input.dtype,
            device=input.device,
        )  # fmt: skip
        if not input.size(1):
            offsets = offsets.new_zeros(input.size(0))
        include_last_offset = False
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension "
            f"{input.dim()}"
        )
    if mode not in tuple(_MODES):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError(
            "max mode does not support scaling the gradient by the frequency"
        )
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is "
            f"only supported for mode='sum' (got mode='{mode}'). Please open a feature "
            "request on GitHub."
        )
    return operators.embedding_bag(
        weight,
        input,
        offsets,
        scale_grad_by_freq,
        _MODES[mode],
        sparse,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )[0]
