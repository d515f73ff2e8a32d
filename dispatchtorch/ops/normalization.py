"""Normalisation: batch, instance, group, layer and root mean square.

All but the last share one computation: the input seen as (outer, inner) blocks, each
with mean 0 and variance 1. Half types compute in float32.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive_joint
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.dispatch.state import grad_enabled
from dispatchtorch.lift import Plain
from dispatchtorch.ops._common import (
    as_ints,
    numel_of,
    scalar_type_name,
    torch,
    wrap_dim,
)
from dispatchtorch.ops._formats import in_format_of, suggested_format
from dispatchtorch.ops._history import linked
from dispatchtorch.ops._precision import half, refuse_but_floats, single
from dispatchtorch.tensor import bare

_PLAIN = Plain()


def _mean_and_variance(x: Any, dims: tuple[int, ...]) -> tuple[Any, Any]:
    mean = x.mean(dims, True)
    difference = x - mean
    return mean, (difference * difference).mean(dims, True)


def _moments(x: Any, dims: tuple[int, ...], eps: float) -> tuple[Any, Any]:
    """The mean along dims, and the inverse of the standard deviation (both kept)."""
    mean, variance = _mean_and_variance(x, dims)
    return mean, torch.rsqrt(variance + eps)


def _input_gradient(
    grad: Any, normal: Any, rstd: Any, weight: Any, dims: tuple[int, ...]
) -> Any:
    """The gradient through mean and variance, ``normal`` being the normalised input."""
    scaled = grad if weight is None else grad * weight
    along = (scaled * normal).mean(dims, True)
    return (scaled - scaled.mean(dims, True) - normal * along) * rstd


def _gradients(
    grad: Any,
    x: Any,
    mean: Any,
    rstd: Any,
    weight: Any,
    dims: tuple[int, ...],
    affine_dims: tuple[int, ...],
    mask: Any,
) -> tuple[Any, Any, Any]:
    """The gradients of input, weight and bias; ``weight`` broadcasts against ``x``."""
    normal = (x - mean) * rstd
    by_input = _input_gradient(grad, normal, rstd, weight, dims) if mask[0] else None
    by_weight = grad * normal if mask[1] else None
    by_bias = grad if mask[2] else None
    if affine_dims:
        by_weight = by_weight.sum(affine_dims) if mask[1] else None  # type: ignore[union-attr]
        by_bias = grad.sum(affine_dims) if mask[2] else None
    return by_input, by_weight, by_bias


def _like(t: Any, like: Any) -> Any:
    return t if t is None or t.dtype is like.dtype else t.to(like.dtype)


def _check_mixed(x: Any, *parameters: Any) -> None:
    """Parameters have the input's dtype, or float32 where that is a half type."""
    wanted = None
    for p in parameters:
        if p is None:
            continue
        if half(x) and p.dtype is dtypes.float32 and wanted in (None, p.dtype):
            wanted = p.dtype
        elif half(x) and (p.dtype is not x.dtype or wanted is dtypes.float32):
            raise RuntimeError(
                f"expected scalar type {scalar_type_name(wanted or x.dtype)} but found "
                f"{scalar_type_name(p.dtype)}"
            )
        elif p.dtype is not x.dtype:
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of Float"
            )
        else:
            wanted = p.dtype


def _statistics_dtype(x: Any, weight: Any) -> Any:
    return x.dtype if weight is None else weight.dtype


# Layer normalisation.


def _check_shape(x: Any, normalized_shape: Any, star: str) -> tuple[int, ...]:
    shape = as_ints(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing "
            "at least one element, but got normalized_shape = []"
        )
    if x._shape[-len(shape) :] != shape or x.ndim < len(shape):
        listed = ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[{star}{listed}], but got input of size{list(x._shape)}"
        )
    return shape


def _check_parameter(p: Any, name: str, shape: tuple[int, ...]) -> None:
    if p is not None and p._shape != shape:
        raise RuntimeError(
            f"Expected {name} to be of same shape as normalized_shape, but got {name} "
            f"of shape {list(p._shape)} and normalized_shape = {list(shape)}"
        )


def _layer_checked(
    input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Any, ...]:
    shape = _check_shape(input, normalized_shape, "*, ")
    _check_parameter(weight, "weight", shape)
    _check_parameter(bias, "bias", shape)
    refuse_but_floats(input, "LayerNormKernelImpl")
    _check_mixed(input, weight, bias)
    return input, len(shape), weight, bias, eps


def _trailing(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


@operator(
    "native_layer_norm(Tensor input, int[] normalized_shape, Tensor? weight, "
    "Tensor? bias, float eps) -> (Tensor output, Tensor mean, Tensor rstd)",
    lift=_PLAIN,
    variants="function",
    tags="tuple",
)
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """:func:`layer_norm`, the means, and the inverses of the standard deviations."""
    input, count, weight, bias, eps = _layer_checked(
        input, normalized_shape, weight, bias, eps
    )
    dims = _trailing(count)
    x = single(input).contiguous()
    mean, rstd = _moments(x, dims, eps)
    made = (x - mean) * rstd
    if weight is not None:
        made = made * single(weight)
    if bias is not None:
        made = made + single(bias)
    kind = _statistics_dtype(input, weight)
    return _like(made, input), mean.to(kind), rstd.to(kind)


native_layer_norm.prepare = _layer_checked


@operator(
    "native_layer_norm_backward(Tensor grad_out, Tensor input, int[] normalized_shape, "
    "Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, bool[3] output_mask, "
    "float eps=0.0) -> (Tensor?, Tensor?, Tensor?)",
    lift=_PLAIN,
    variants="private",
)
def native_layer_norm_backward(
    grad_out,
    input,
    normalized_shape,
    mean,
    rstd,
    weight,
    bias,
    output_mask,
    eps,
):
    """The gradients of input, weight and bias."""
    count = len(as_ints(normalized_shape))
    dims = _trailing(count)
    x, grad = single(input), single(grad_out)
    if input.requires_grad and grad_enabled():
        mean, rstd = _moments(x, dims, eps)
    made = _gradients(
        grad, x, single(mean), single(rstd), single(weight) if weight is not None else
        None, dims, tuple(range(input.ndim - count)), output_mask,
    )  # fmt: skip
    return _typed(made, input, weight, bias)


def _typed(made: Any, *like: Any) -> tuple[Any, ...]:
    return tuple(
        _like(m, t) if m is not None and t is not None else m
        for m, t in zip(made, like, strict=True)
    )


native_layer_norm_backward.prepare = (
    lambda grad_out, input, normalized_shape, mean, rstd, weight, bias, mask, eps: (
        grad_out,
        input,
        len(as_ints(normalized_shape)),
        mean,
        rstd,
        weight,
        bias,
        tuple(mask),
    )
)

derive_joint(
    native_layer_norm,
    "input weight bias",
    lambda grad, input, normalized_shape, weight, bias, eps, mean, rstd, needs: linked(
        torch.native_layer_norm_backward(
            grad, input, normalized_shape, mean, rstd, weight, bias, needs, eps
        ),
        input,
        weight,
    ),
    outputs_=(0,),
)


@operator(
    "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, "
    "Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enable=True) -> "
    "Tensor",
    variants="function",
)
def layer_norm(input, normalized_shape, weight, bias, eps, cudnn_enable):
    """The last dims with mean 0 and variance 1 (Ba et al., 2016)."""
    return torch.native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


@operator(
    "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, "
    "float? eps=None) -> Tensor",
    variants="function",
)
def rms_norm(input, normalized_shape, weight, eps):
    """The last dims over their root mean square (Zhang & Sennrich, 2019)."""
    if input.ndim < len(normalized_shape):
        raise ValueError(
            f"Input tensor must have at least {len(normalized_shape)} dimensions, but "
            f"got {input.ndim}"
        )
    shape = _check_shape(input, normalized_shape, "*")
    _check_parameter(weight, "weight", shape)
    if not input.is_floating_point() and not input.is_complex():
        refuse_but_floats(input, "rms_norm")
    x = single(input)
    if eps is None:
        eps = dtypes.finfo(x.dtype).eps
    made = x * torch.rsqrt((x**2).mean(_trailing(len(shape)), True) + eps)
    if weight is not None:
        made = made * single(weight)
    return _like(made, input).contiguous(memory_format=suggested_format(input))


# Group normalisation.


def _group_checked(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, ...]:
    _check_channels(input, weight, bias, group)
    refuse_but_floats(input, "GroupNormKernelImpl")
    _check_mixed(input, weight, bias)
    return input, weight, bias, N, C, HxW, group, eps


def _check_channels(x: Any, weight: Any, bias: Any, group: int) -> None:
    if group <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {group}")
    if x.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {x.ndim}"
        )
    channels = x._shape[1]
    if channels % group:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but "
            f"got input of shape {list(x._shape)} and num_groups={group}"
        )
    for p, name in ((weight, "weight"), (bias, "bias")):
        if p is not None and (p.ndim != 1 or p._shape[0] != channels):
            # PyTorch shows the weight's shape for either.
            shown = p if weight is None else weight
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of "
                f"channels in input, but got {name} of shape {list(shown._shape)} and "
                f"input of shape {list(x._shape)}"
            )


def _grouped(t: Any, N: int, C: int, HxW: int, group: int) -> Any:
    return t.reshape((N, group, C // group, HxW))


def _by_group(p: Any, C: int, group: int) -> Any:
    return None if p is None else single(p).reshape((1, group, C // group, 1))


_SIZES = "int N, int C, int HxW, int group"


@operator(
    f"native_group_norm(Tensor input, Tensor? weight, Tensor? bias, {_SIZES}, float "
    "eps) -> (Tensor output, Tensor mean, Tensor rstd)",
    lift=_PLAIN,
    variants="function",
    tags="tuple",
)
def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """:func:`group_norm`, the means, and the inverses of the standard deviations."""
    input, weight, bias, N, C, HxW, group, eps = _group_checked(
        input, weight, bias, N, C, HxW, group, eps
    )
    x = _grouped(single(input), N, C, HxW, group)
    mean, rstd = _moments(x, (2, 3), eps)
    made = (x - mean) * rstd
    if weight is not None:
        made = made * _by_group(weight, C, group)
    if bias is not None:
        made = made + _by_group(bias, C, group)
    kind = _statistics_dtype(input, weight)
    return (
        in_format_of(_like(made.reshape(input._shape), input), input),
        mean.reshape((N, group)).to(kind),
        rstd.reshape((N, group)).to(kind),
    )


native_group_norm.prepare = _group_checked


@operator(
    "native_group_norm_backward(Tensor grad_out, Tensor input, Tensor mean, Tensor "
    f"rstd, Tensor? weight, {_SIZES}, bool[3] output_mask, float eps=0.0) -> "
    "(Tensor?, Tensor?, Tensor?)",
    lift=_PLAIN,
    variants="private",
)
def native_group_norm_backward(
    grad_out,
    input,
    mean,
    rstd,
    weight,
    N,
    C,
    HxW,
    group,
    output_mask,
    eps,
):
    """The gradients of input, weight and bias."""
    x = _grouped(single(input), N, C, HxW, group)
    grad = _grouped(single(grad_out), N, C, HxW, group)
    if input.requires_grad and grad_enabled():
        mean, rstd = _moments(x, (2, 3), eps)
    else:
        mean = single(mean).reshape((N, group, 1, 1))
        rstd = single(rstd).reshape((N, group, 1, 1))
    by_input, by_weight, by_bias = _gradients(
        grad, x, mean, rstd, _by_group(weight, C, group), (2, 3), (0, 3), output_mask
    )
    return (
        None if by_input is None else _like(by_input.reshape(input._shape), input),
        None if by_weight is None else by_weight.reshape((C,)),
        None if by_bias is None else by_bias.reshape((C,)),
    )


native_group_norm_backward.prepare = lambda *args: (*args[:9], tuple(args[9]))


def _group_backward(
    grads: Any,
    input: Any,
    weight: Any,
    bias: Any,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
    mean: Any,
    rstd: Any,
    needs: Any,
) -> tuple[Any, ...]:
    made: tuple[Any, ...] = (None, None, None)
    if grads[0] is not None:
        made = torch.native_group_norm_backward(
            grads[0], input, mean, rstd, weight, N, C, HxW, group, needs, eps
        )
    if not needs[0] or (grads[1] is None and grads[2] is None):
        return made
    # Through the statistics, which are results too.
    x = _grouped(single(input), N, C, HxW, group)
    mean, rstd = _moments(x, (2, 3), eps)
    count = C // group * HxW
    more = torch.zeros_like(x)
    if grads[1] is not None:
        more = more + single(grads[1]).reshape((N, group, 1, 1)) / count
    if grads[2] is not None:
        slope = single(grads[2]).reshape((N, group, 1, 1)) * rstd**3 / count
        more = more - slope * (x - mean)
    by_input = _like(more.reshape(input._shape), input)
    return (by_input if made[0] is None else made[0] + by_input, *made[1:])


derive_joint(
    native_group_norm,
    "input weight bias",
    _group_backward,
    outputs_=(0, 1, 2),
)


@operator(
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, "
    "float eps=1.0000000000000001e-05, bool cudnn_enabled=True) -> Tensor",
    variants="function",
)
def group_norm(input, num_groups, weight, bias, eps, cudnn_enabled):
    """Groups of channels with mean 0 and variance 1 (Wu & He, 2018)."""
    _check_channels(input, weight, bias, num_groups)
    shape = input._shape
    return torch.native_group_norm(
        input, weight, bias, shape[0], shape[1], numel_of(shape[2:]), num_groups, eps
    )[0]


# Batch normalisation.


def _batch_checked(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, ...]:
    channels = input._shape[1] if input.ndim > 1 else 0
    named = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    for name, t in named.items():
        if t is not None and numel_of(t._shape) != channels:
            raise RuntimeError(
                f"{name} should contain {channels} elements not {numel_of(t._shape)}"
            )
        if t is None and not training and name.startswith("running"):
            raise RuntimeError(f"{name} must be defined in evaluation mode")
    if input.ndim < 2 and 0 not in input._shape:
        wrap_dim(1, input.ndim)  # where PyTorch fails
    refuse_but_floats(input, "batch_norm")
    for t in named.values():
        if t is not None and t.dtype is not input.dtype:
            if not (half(input) and t.dtype is dtypes.float32):
                raise RuntimeError(
                    "mixed dtype (CPU): all inputs must share same datatype."
                )
    if not input.is_contiguous():
        input = input.contiguous(memory_format=suggested_format(input))
    return input, weight, bias, running_mean, running_var, training, momentum, eps


def _batch_dims(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


def _by_channel(t: Any, ndim: int) -> Any:
    return None if t is None else single(t).reshape([1, -1] + [1] * (ndim - 2))


_RUNNING = "Tensor? running_mean, Tensor? running_var, bool training"


@operator(
    f"native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, {_RUNNING}, "
    "float momentum, float eps) -> "
    "(Tensor output, Tensor save_mean, Tensor save_invstd)",
    lift=_PLAIN,
    variants="function",
    tags="tuple",
)
def native_batch_norm(
    input, weight, bias, running_mean, running_var, training, momentum, eps
):
    """:func:`batch_norm` and, in training, the statistics that it used."""
    input = _batch_checked(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )[0]
    ndim = input.ndim
    x = single(input)
    kind = _statistics_dtype(input, running_mean if weight is None else weight)
    if training:
        mean, variance = _mean_and_variance(x, _batch_dims(ndim))
        invstd = torch.rsqrt(variance + eps)
        saved = mean.reshape((-1,)).to(kind), invstd.reshape((-1,)).to(kind)
        if numel_of(x._shape):
            count = numel_of(x._shape) // x._shape[1]
            _move(running_mean, mean, momentum)
            _move(running_var, variance * (count / (count - 1 or 1)), momentum)
    else:
        mean = _by_channel(running_mean, ndim)
        invstd = torch.rsqrt(_by_channel(running_var, ndim) + eps)
        saved = input.new_empty((0,)), input.new_empty((0,))
    made = (x - mean) * invstd
    if weight is not None:
        made = made * _by_channel(weight, ndim)
    if bias is not None:
        made = made + _by_channel(bias, ndim)
    return _like(made, input), *saved


def _move(running: Any, new: Any, momentum: float) -> None:
    """Moves running statistics towards new ones, unseen by version counters.

    They are saved for the backward pass, which doesn't use them after training.
    """
    if running is None:
        return
    target = bare(running)
    new = bare(new).reshape(target._shape)
    target.copy_(single(target) * (1 - momentum) + new * momentum)


native_batch_norm.prepare = _batch_checked


@operator(
    "native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, "
    "Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? "
    "save_invstd, bool train, float eps, bool[3] output_mask) -> (Tensor?, Tensor?, "
    "Tensor?)",
    lift=_PLAIN,
    variants="private",
)
def native_batch_norm_backward(
    grad_out,
    input,
    weight,
    running_mean,
    running_var,
    save_mean,
    save_invstd,
    train,
    eps,
    output_mask,
):
    """The gradients of input, weight and bias."""
    ndim = input.ndim
    dims = _batch_dims(ndim)
    x, grad = single(input), single(grad_out)
    scale = _by_channel(weight, ndim)
    if train:
        if input.requires_grad and grad_enabled():
            mean, invstd = _moments(x, dims, eps)
        else:
            mean, invstd = _by_channel(save_mean, ndim), _by_channel(save_invstd, ndim)
        made = _gradients(grad, x, mean, invstd, scale, dims, dims, output_mask)
        return _typed(made, input, weight, weight)
    mean = _by_channel(running_mean, ndim)
    invstd = torch.rsqrt(_by_channel(running_var, ndim) + eps)
    made = (
        grad * (invstd if scale is None else scale * invstd)
        if output_mask[0]
        else None,
        (grad * (x - mean) * invstd).sum(dims) if output_mask[1] else None,
        grad.sum(dims) if output_mask[2] else None,
    )
    return _typed(made, input, weight, weight)


native_batch_norm_backward.prepare = lambda *args: (*args[:-1], tuple(args[-1]))

derive_joint(
    native_batch_norm,
    "input weight bias",
    lambda grad, input, weight, running_mean, running_var, training, eps, save_mean,
    save_invstd, needs: linked(
        torch.native_batch_norm_backward(
            grad, input, weight, running_mean, running_var, save_mean, save_invstd,
            training, eps, needs,
        ),
        input,
        weight,
    ),
    outputs_=(0,),
)  # fmt: skip


def _check_both(running_mean: Any, running_var: Any) -> None:
    if (running_mean is None) != (running_var is None):
        raise ValueError(
            "running_mean and running_var must either both be None or neither be None"
        )


@operator(
    f"batch_norm(Tensor input, Tensor? weight, Tensor? bias, {_RUNNING}, float "
    "momentum, float eps, bool cudnn_enabled) -> Tensor",
    variants="function",
)
def batch_norm(
    input,
    weight,
    bias,
    running_mean,
    running_var,
    training,
    momentum,
    eps,
    cudnn_enabled,
):
    """Each channel with mean 0 and variance 1 (Ioffe & Szegedy, 2015)."""
    if training:
        _check_both(running_mean, running_var)
    if 0 in input._shape:
        _batch_checked(
            input, weight, bias, running_mean, running_var, training, momentum, eps
        )
        made = input.clone()
        made = made if weight is None else made * weight.select(0, 0)
        return made if bias is None else made + bias.select(0, 0)
    return torch.native_batch_norm(
        input, weight, bias, running_mean, running_var, training, momentum, eps
    )[0]


@operator(
    "instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, "
    "Tensor? running_var, bool use_input_stats, float momentum, float eps, "
    "bool cudnn_enabled) -> Tensor",
    variants="function",
)
def instance_norm(
    input,
    weight,
    bias,
    running_mean,
    running_var,
    use_input_stats,
    momentum,
    eps,
    cudnn_enabled,
):
    """Each channel of each sample with mean 0 and variance 1 (Ulyanov et al., 2016)."""
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats "
            "is false"
        )
    _check_both(running_mean, running_var)
    samples, channels = input._shape[:2]

    def repeated(t: Any) -> Any:
        return None if t is None else t.repeat(samples)

    means, variances = repeated(running_mean), repeated(running_var)
    made = torch.native_batch_norm(
        input.contiguous().view((1, samples * channels, *input._shape[2:])),
        repeated(weight),
        repeated(bias),
        means,
        variances,
        use_input_stats,
        momentum,
        eps,
    )[0]
    if use_input_stats:
        for running, moved in ((running_mean, means), (running_var, variances)):
            if running is not None:
                running.copy_(moved.view((samples, channels)).mean(0))
    return made.view(input._shape)
