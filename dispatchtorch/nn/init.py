"""Weight initialisers: fill a tensor in place, outside autograd, and return it.

Every initialiser draws from the generator exactly as PyTorch's does, so that one seed
gives one set of weights under either. Follows the PyTorch page `torch.nn.init`.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Generator, Tensor

__all__ = [
    "calculate_gain",
    "uniform_",
    "normal_",
    "trunc_normal_",
    "constant_",
    "ones_",
    "zeros_",
    "eye_",
    "dirac_",
    "xavier_uniform_",
    "xavier_normal_",
    "kaiming_uniform_",
    "kaiming_normal_",
    "orthogonal_",
    "sparse_",
    "uniform",
    "normal",
    "constant",
    "eye",
    "dirac",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
    "sparse",
]

_Nonlinearity = Literal[
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "selu",
]
_FanMode = Literal["fan_in", "fan_out"]

_GAINS: dict[str, float] = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(
    nonlinearity: _Nonlinearity, param: int | float | None = None
) -> float:
    """The factor by which `nonlinearity` is recommended to scale its weights.

    `param` is the negative slope of `leaky_relu` (0.01 when None) and is ignored by
    the others. Raises ValueError for an unknown name or a slope that is no number.
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    return _GAINS[nonlinearity]


def uniform_(
    tensor: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with draws from the uniform distribution over [a, b)."""
    with torch.no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with draws from the normal distribution N(mean, std²)."""
    with torch.no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with draws from N(mean, std²) redrawn until they lie in [a, b].

    Normal proposals while [a, b] holds more than 30 % of the mass, else uniform
    proposals over [a, b] accepted in proportion to the density. Warns when the mean
    lies more than two standard deviations outside the interval.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    mass = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    with torch.no_grad():
        if mass > 0.3:
            return _reject_from_normal(tensor, mean, std, a, b, generator)
        return _reject_from_uniform(tensor, mean, std, a, b, generator)


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _reject_from_normal(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any
) -> Tensor:
    """Redraw all, keep what falls outside [a, b] out, until nothing does."""
    # Bounds as the dtype holds them: a value rounded onto a bound is inside.
    low = torch.tensor(a, dtype=tensor.dtype).item()
    high = torch.tensor(b, dtype=tensor.dtype).item()
    values = tensor.normal_(mean, std, generator=generator)
    while True:
        outside = (values < low) | (values > high)
        if not outside.any().item():
            break
        redrawn = torch.empty_like(tensor).normal_(mean, std, generator=generator)
        values = torch.where(outside, redrawn, values)
    return tensor if values is tensor else tensor.copy_(values)


def _reject_from_uniform(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Any
) -> Tensor:
    """Accept x ~ U[a, b] with probability density(x) / highest density in [a, b]."""
    mode = min(max(mean, a), b)
    log_peak = -0.5 * ((mode - mean) / std) ** 2
    proposal, log_u = torch.empty_like(tensor), torch.empty_like(tensor)
    values = rejected = None
    while True:
        proposal.uniform_(a, b, generator=generator)
        if values is None:
            values = proposal.clone()
        else:
            values = torch.where(rejected, proposal, values)  # type: ignore[arg-type]
        log_ratio = proposal.sub_(mean).div_(std).pow_(2).mul_(-0.5).sub_(log_peak)
        above = log_u.uniform_(generator=generator).log_() > log_ratio
        rejected = above if rejected is None else rejected & above
        if not rejected.any().item():
            return tensor.copy_(values)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`."""
    with torch.no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    with torch.no_grad():
        return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """Make a 2-D `tensor` the identity matrix. Raises ValueError for another rank."""
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with torch.no_grad():
        tensor.zero_().diagonal().fill_(1)
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make a convolution weight keep its input channels, as many as there are outputs.

    `tensor` is (out, in / groups, *kernel) with one to three kernel dims. Raises
    ValueError for another rank or when `groups` doesn't divide the first size.
    """
    if tensor.ndimension() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.size(0) % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    with torch.no_grad():
        centre = tensor.zero_()
        for size in reversed(tensor.shape[2:]):
            centre = centre.select(-1, size // 2)
        rows = tensor.size(0) // groups
        for group in range(groups):
            centre.narrow(0, group * rows, rows).diagonal().fill_(1)
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """(inputs, outputs) of one unit of a weight (out, in, *kernel)."""
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with "
            "fewer than 2 dimensions"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


def _calculate_correct_fan(tensor: Tensor, mode: _FanMode) -> int:
    chosen = mode.lower()
    modes = ["fan_in", "fan_out"]
    if chosen not in modes:
        raise ValueError(f"Mode {chosen} not supported, please use one of {modes}")
    return _calculate_fan_in_and_fan_out(tensor)[modes.index(chosen)]


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill from U(-a, a), a = gain · sqrt(6 / (fan_in + fan_out)).

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward
    neural networks" (2010). Raises ValueError below two dimensions.
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fill from N(0, std²), std = gain · sqrt(2 / (fan_in + fan_out))."""
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: _FanMode, name: Any) -> float | None:
    """The standard deviation, or None (after a warning) where there is nothing."""
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return None
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(name, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: _FanMode = "fan_in",
    nonlinearity: _Nonlinearity = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill from U(-bound, bound), bound = gain · sqrt(3 / fan).

    `a` is the negative slope of a following leaky ReLU; `mode` keeps the variance in
    the forward (`fan_in`) or the backward pass (`fan_out`). He et al., "Delving deep
    into rectifiers" (2015). Raises ValueError for an unknown mode or nonlinearity.
    """
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    if std is None:
        return tensor
    bound = math.sqrt(3.0) * std
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: _FanMode = "fan_in",
    nonlinearity: _Nonlinearity = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill from N(0, std²), std = gain / sqrt(fan); see `kaiming_uniform_`."""
    std = _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor if std is None else normal_(tensor, 0, std, generator)


def orthogonal_(
    tensor: Tensor, gain: float = 1, generator: Generator | None = None
) -> Tensor:
    """Fill with a (semi-)orthogonal matrix times `gain`; trailing dims are flattened.

    Saxe et al., "Exact solutions to the nonlinear dynamics of learning in deep linear
    neural networks" (2013). Raises ValueError below two dimensions.
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    flat = tensor.new_empty((rows, tensor.numel() // rows))
    with torch.no_grad():
        flat.normal_(0, 1, generator=generator)
        wide = rows < flat.size(1)
        q, r = torch.linalg.qr(flat.t() if wide else flat)
        # QR alone is not uniform over the orthogonal group; R's signs make it so.
        q = q * torch.diagonal(r).sign()
        tensor.copy_((q.t() if wide else q).reshape(tensor.shape))
        return tensor.mul_(gain)


def sparse_(
    tensor: Tensor,
    sparsity: float,
    std: float = 0.01,
    generator: Generator | None = None,
) -> Tensor:
    """Fill a 2-D `tensor` from N(0, std²), with a share of each column set to zero.

    Martens, "Deep learning via Hessian-free optimization" (2010). As in PyTorch the
    positions of the zeros come from the default generator. Raises ValueError for
    another rank.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with torch.no_grad():
        tensor.normal_(0, std, generator=generator)
        for col in range(cols):
            tensor[torch.randperm(rows)[:zeros], col] = 0
    return tensor


def _deprecated(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The old name of `fn`, without the underscore: warns and calls it."""
    name = fn.__name__.removesuffix("_")

    @functools.wraps(fn)
    def alias(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{name}` is now deprecated in favor of `nn.init.{name}_`.",
            FutureWarning,
            stacklevel=2,
        )
        return fn(*args, **kwargs)

    alias.__name__ = alias.__qualname__ = name
    alias.__doc__ = f"Deprecated alias of `{name}_`."
    return alias


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
