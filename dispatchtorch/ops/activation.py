"""Activation functions: rows of (schema, what it computes, what its gradient computes).

The gradient of each is an operator of its own (``gelu_backward``, …) without a
derivative, so that devices may fuse it, while double backward takes it apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive, derive_joint
from dispatchtorch.dispatch.operator import Operator, get_operator, operator
from dispatchtorch.lift import Pointwise
from dispatchtorch.ops._common import numel_of, scalar_type_name, torch, wrap_dim
from dispatchtorch.ops._history import linked
from dispatchtorch.ops._precision import (
    floats_only,
    has_values,
    in_single,
    refuse_but_floats,
)

Body = Callable[..., Any]

_SQRT_HALF = math.sqrt(0.5)
_SQRT_2_OVER_PI = math.sqrt(2.0 / math.pi)
_GELU_CUBIC = 0.044715
_SIXTH = 0.16666667163372040  # 1 / 6 in float32: PyTorch's slope in every dtype


def _activation(
    schema: str,
    forward: Body,
    backward: Body | None,
    gradient: Body,
    *,
    kernel: str | None = None,
    allowed: tuple[int, ...] = (),
    variants: str = "private",
    inplace: bool = True,
    backward_name: str | None = None,
    linear: bool = False,
) -> Operator:
    """Declares ``name(Tensor self, …)``, ``name_`` and ``name_backward``.

    ``forward(x, *parameters)`` and ``backward(grad, x, *parameters)`` see half types in
    float32; ``gradient`` is the formula that calls the latter's operator, if any. ``kernel`` is
    what PyTorch's error names for the dtypes that it refuses; ``allowed`` are the
    categories that it takes besides floating-point numbers. ``linear`` says that pieces
    are linear, so that second derivatives are zeros.
    """
    head, _, tail = schema.partition("(Tensor self")
    kernel = kernel or f"{head}_cpu"
    forbid = {} if len(allowed) == 3 else floats_only(kernel, *allowed)
    accepted = {dtypes.FLOAT, *allowed}

    def body(self, *parameters):  # type: ignore[no-untyped-def]
        if self.dtype.category not in accepted:
            refuse_but_floats(self, kernel)
        return forward(self, *parameters)

    op = operator(
        schema,
        lift=Pointwise("same", forbid=forbid),
        variants=variants,
        tags="pointwise",
        inplace=inplace,
    )(in_single(body))
    op.__doc__ = forward.__doc__
    derive(op, self=gradient)
    if backward is None:
        return op
    made = operator(
        f"{backward_name or head + '_backward'}(Tensor grad_output, Tensor self{tail}",
        lift=Pointwise("same"),
        variants="private",
        tags="pointwise",
    )(in_single(backward))
    made.__doc__ = f"The gradient of :func:`{head}`."
    if linear:
        derive(made, grad_output=gradient, self=lambda grad: torch.zeros_like(grad))
    return op


def _from_result(name: str, formula: Body, suffix: str = "1") -> None:
    """The derivative of ``name_``, from the result, which has overwritten ``self``."""
    words = "".join(w.capitalize() for w in name.split("_"))
    derive(get_operator(f"{name}_"), name_=f"{words}Backward{suffix}", self=formula)


# Gaussian, sigmoid and their kin.


def _gelu(x: Any, approximate: str) -> Any:
    """``x`` times the normal distribution function (Hendrycks & Gimpel, 2016)."""
    _check_approximate(approximate)
    if approximate == "tanh":
        inner = _SQRT_2_OVER_PI * (x + _GELU_CUBIC * x * x * x)
        return 0.5 * x * (1 + torch.tanh(inner))
    return 0.5 * x * (1 + torch.erf(x * _SQRT_HALF))


def _check_approximate(approximate: str) -> None:
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")


def _gelu_backward(grad: Any, x: Any, approximate: str) -> Any:
    _check_approximate(approximate)
    if approximate == "tanh":
        square = x * x
        t = torch.tanh(_SQRT_2_OVER_PI * (x + _GELU_CUBIC * square * x))
        inner = _SQRT_2_OVER_PI * (1 + 3 * _GELU_CUBIC * square)
        return grad * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)
    density = torch.exp(-0.5 * x * x) * (_SQRT_2_OVER_PI / 2)
    return grad * (0.5 * (1 + torch.erf(x * _SQRT_HALF)) + x * density)


_activation(
    "gelu(Tensor self, *, str approximate='none') -> Tensor",
    _gelu,
    _gelu_backward,
    lambda grad, self, approximate: torch.gelu_backward(
        grad, self, approximate=approximate
    ),
    kernel="GeluKernelImpl",
    variants="nn",
)


def _silu(x: Any) -> Any:
    """``x * sigmoid(x)``."""
    return x * torch.sigmoid(x)


def _silu_backward(grad: Any, x: Any) -> Any:
    s = torch.sigmoid(x)
    slope = s * (1 + x * (1 - s))
    return grad * (slope.conj() if x.is_complex() else slope)


_activation(
    "silu(Tensor self) -> Tensor",
    _silu,
    _silu_backward,
    lambda grad, self: torch.silu_backward(grad, self),
    allowed=(dtypes.COMPLEX,),
)


def _mish(x: Any) -> Any:
    """``x * tanh(softplus(x))`` (Misra, 2019)."""
    return x * torch.tanh(torch.softplus(x))


def _mish_backward(grad: Any, x: Any) -> Any:
    t = torch.tanh(torch.softplus(x))
    return grad * (t + x * torch.sigmoid(x) * (1 - t * t))


_activation(
    "mish(Tensor self) -> Tensor",
    _mish,
    _mish_backward,
    lambda grad, self: torch.mish_backward(grad, self),
)


def _softplus(x: Any, beta: Any, threshold: Any) -> Any:
    """``log(1 + exp(beta * x)) / beta``; the identity above ``threshold``."""
    scaled = x * beta
    return torch.where(scaled > threshold, x, torch.log1p(torch.exp(scaled)) / beta)


def _softplus_backward(grad: Any, x: Any, beta: Any, threshold: Any) -> Any:
    scaled = x * beta
    return torch.where(scaled > threshold, grad, grad * torch.sigmoid(scaled))


_activation(
    "softplus(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor",
    _softplus,
    _softplus_backward,
    lambda grad, self, beta, threshold: torch.softplus_backward(
        grad, self, beta, threshold
    ),
    variants="nn",
    inplace=False,
)


def _log_sigmoid(x: Any) -> Any:
    """The logarithm of the sigmoid function."""
    x = x.contiguous()
    return torch.clamp(x, max=0) - torch.log1p(torch.exp(-torch.abs(x)))


_activation(
    "log_sigmoid(Tensor self) -> Tensor",
    _log_sigmoid,
    lambda grad, x: grad * torch.sigmoid(-x),
    lambda grad, self: torch._log_sigmoid_backward(grad, self),
    variants="nn",
    inplace=False,
    backward_name="_log_sigmoid_backward",
)

# Rectifiers with an exponential branch.


def _elu(x: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
    """``scale * x`` above 0, ``scale * alpha * (exp(input_scale * x) - 1)`` below."""
    below = torch.expm1(x * input_scale) * (alpha * scale)
    return torch.where(x < 0, below, x * scale)


def _elu_backward(grad: Any, x: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
    below = torch.exp(x * input_scale) * (alpha * scale * input_scale)
    return torch.where(x <= 0, grad * below, grad * scale)


def _elu_from_result(
    grad: Any, result: Any, alpha: Any, scale: Any, input_scale: Any
) -> Any:
    if alpha < 0:
        raise RuntimeError(
            "In-place elu backward calculation is triggered with a negative slope "
            "which is not supported. This is caused by calling in-place forward "
            "function with a negative slope, please call out-of-place version instead."
        )
    below = (result + alpha * scale) * input_scale
    return torch.where(result <= 0, grad * below, grad * scale)


_activation(
    "elu(Tensor self, Scalar alpha=1, Scalar scale=1, Scalar input_scale=1) -> Tensor",
    _elu,
    _elu_backward,
    lambda grad, self, alpha, scale, input_scale: torch._elu_backward(
        grad, self, alpha, scale, input_scale
    ),
    backward_name="_elu_backward",
)
_from_result(
    "elu",
    lambda grad, result, alpha, scale, input_scale: _elu_from_result(
        grad, result, alpha, scale, input_scale
    ),
)

#: The fixed point of self-normalising networks (Klambauer et al., 2017).
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@operator("selu(Tensor self) -> Tensor", variants="function")
def selu(self):
    """ELU with the constants that keep mean 0 and variance 1."""
    return torch.elu(self, SELU_ALPHA, SELU_SCALE)


@operator("selu_(Tensor(a!) self) -> Tensor(a!)", variants="function", tags="inplace")
def selu_(self):
    """:func:`selu` in place."""
    return torch.elu_(self, SELU_ALPHA, SELU_SCALE)


def _inverse(alpha: Any) -> Any:
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return 1.0 / alpha


_activation(
    "celu(Tensor self, Scalar alpha=1.0) -> Tensor",
    lambda x, alpha: _elu(x, alpha, 1, _inverse(alpha)),
    lambda grad, x, alpha: _elu_backward(grad, x, alpha, 1, _inverse(alpha)),
    lambda grad, self, alpha: torch._celu_backward(grad, self, alpha),
    kernel="elu_cpu",
    variants="function",
    backward_name="_celu_backward",
)
_from_result(
    "celu",
    lambda grad, result, alpha: _elu_from_result(
        grad, result, alpha, 1, _inverse(alpha)
    ),
)

# Piecewise linear ones.


def _leaky_relu(x: Any, negative_slope: Any) -> Any:
    """``x`` above 0, ``negative_slope * x`` below."""
    return torch.where(x > 0, x, x * negative_slope)


def _leaky_relu_backward(grad: Any, x: Any, negative_slope: Any) -> Any:
    return torch.where(x > 0, grad, grad * negative_slope)


def _leaky_relu_from_result(grad: Any, result: Any, negative_slope: Any) -> Any:
    if negative_slope < 0:
        raise RuntimeError(
            "In-place leakyReLu backward calculation is triggered with a negative "
            "slope which is not supported. This is caused by calling in-place forward "
            "function with a negative slope, please call out-of-place version instead. "
            "File an issue at https://github.com/pytorch/pytorch if you do require "
            "supporting in-place leakRelu backward calculation with negative slope"
        )
    return torch._leaky_relu_backward(grad, result, negative_slope)


_activation(
    "leaky_relu(Tensor self, Scalar negative_slope=0.01) -> Tensor",
    _leaky_relu,
    _leaky_relu_backward,
    lambda grad, self, negative_slope: torch._leaky_relu_backward(
        grad, self, negative_slope
    ),
    backward_name="_leaky_relu_backward",
    linear=True,
)
_from_result(
    "leaky_relu",
    lambda grad, result, negative_slope: _leaky_relu_from_result(
        grad, result, negative_slope
    ),
)


def _hardtanh(x: Any, min_val: Any, max_val: Any) -> Any:
    """``x`` clamped to an interval."""
    kind = x.dtype
    if kind.category == dtypes.BOOL:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if kind.category == dtypes.INT:
        min_val, max_val = int(min_val), int(max_val)
        if not kind.is_signed and (min_val < 0 or max_val < 0):
            raise RuntimeError(
                "cannot do hardtanh on an unsigned type with negative limits"
            )
    return torch.clamp(x, min_val, max_val)


def _hardtanh_backward(grad: Any, x: Any, min_val: Any, max_val: Any) -> Any:
    return torch.where((x <= min_val) | (x >= max_val), 0, grad)


_activation(
    "hardtanh(Tensor self, Scalar min_val=-1, Scalar max_val=1) -> Tensor",
    _hardtanh,
    _hardtanh_backward,
    lambda grad, self, min_val, max_val: torch.hardtanh_backward(
        grad, self, min_val, max_val
    ),
    allowed=(dtypes.BOOL, dtypes.INT, dtypes.COMPLEX),
    linear=True,
)
_from_result(
    "hardtanh",
    lambda grad, result, min_val, max_val: torch.hardtanh_backward(
        grad, result, min_val, max_val
    ),
    suffix="0",
)


@operator("relu6(Tensor self) -> Tensor", variants="private")
def relu6(self):
    """``x`` clamped to the interval from 0 to 6."""
    return torch.hardtanh(self, 0, 6)


@operator("relu6_(Tensor(a!) self) -> Tensor(a!)", variants="private", tags="inplace")
def relu6_(self):
    """:func:`relu6` in place."""
    return torch.hardtanh_(self, 0, 6)


def _hardsigmoid(x: Any) -> Any:
    """A piecewise linear sigmoid: ``clamp(x + 3, 0, 6) / 6``."""
    return torch.clamp(x + 3, 0, 6) / 6


_activation(
    "hardsigmoid(Tensor self) -> Tensor",
    _hardsigmoid,
    lambda grad, x: torch.where((x > -3) & (x < 3), grad * _SIXTH, 0),
    lambda grad, self: torch.hardsigmoid_backward(grad, self),
    linear=True,
)


def _hardswish(x: Any) -> Any:
    """``x * clamp(x + 3, 0, 6) / 6`` (Howard et al., 2019)."""
    return x * torch.clamp(x + 3, 0, 6) / 6


def _hardswish_backward(grad: Any, x: Any) -> Any:
    between = torch.where(x < 3, grad * (x / 3 + 0.5), grad)
    return torch.where(x <= -3, 0, between)


_activation(
    "hardswish(Tensor self) -> Tensor",
    _hardswish,
    _hardswish_backward,
    lambda grad, self: torch.hardswish_backward(grad, self),
)


def _hardshrink(x: Any, lambd: Any) -> Any:
    """``x`` without what lies between ``-lambd`` and ``lambd``."""
    return torch.where((x >= -lambd) & (x <= lambd), 0, x)


_activation(
    "hardshrink(Tensor self, Scalar lambd=0.5) -> Tensor",
    _hardshrink,
    lambda grad, x, lambd: torch.where((x >= -lambd) & (x <= lambd), 0, grad),
    lambda grad, self, lambd: torch.hardshrink_backward(grad, self, lambd),
    variants="function method",
    inplace=False,
    linear=True,
)


def _softshrink(x: Any, lambd: Any) -> Any:
    """``x`` drawn towards 0 by ``lambd``."""
    if lambd < 0:
        greatest = torch_max(x.dtype)
        raise RuntimeError(
            f"lambda must be in range [0, {greatest:g}] for input dtype "
            f"{scalar_type_name(x.dtype)}, but found {lambd:g}"
        )
    outside = torch.where(x < -lambd, x + lambd, x * 0)
    return torch.where(x > lambd, x - lambd, outside)


def torch_max(kind: Any) -> float:
    return float(dtypes.finfo(kind).max)


_activation(
    "softshrink(Tensor self, Scalar lambd=0.5) -> Tensor",
    _softshrink,
    lambda grad, x, lambd: torch.where((x >= -lambd) & (x <= lambd), 0, grad),
    lambda grad, self, lambd: torch.softshrink_backward(grad, self, lambd),
    kernel="softshrink_check",
    variants="nn",
    inplace=False,
    linear=True,
)


def _threshold(x: Any, threshold: Any, value: Any) -> Any:
    """``x`` above ``threshold``, ``value`` elsewhere."""
    if not x.is_floating_point():
        threshold, value = int(threshold), int(value)
    filled = torch.full((), value, dtype=x.dtype, device=x.device)
    return torch.where(x <= threshold, filled, x)


_activation(
    "threshold(Tensor self, Scalar threshold, Scalar value) -> Tensor",
    _threshold,
    None,
    lambda grad, self, threshold: torch.threshold_backward(grad, self, threshold),
    allowed=(dtypes.INT,),
    variants="function",
)
derive(
    get_operator("threshold_"),
    name_="ThresholdBackward1",
    self=lambda grad, self, threshold: torch.threshold_backward(grad, self, threshold),
)

# Learnt and random slopes.


@operator("prelu(Tensor self, Tensor weight) -> Tensor")
def prelu(self, weight):
    """A leaky ReLU whose slope is learnt: one for all, or one for each channel."""
    if self.dtype is not weight.dtype:
        raise RuntimeError(
            "prelu: Type promoting not supported. Got "
            f"{scalar_type_name(self.dtype)} and {scalar_type_name(weight.dtype)}"
        )
    if weight.ndim > 1:
        raise RuntimeError(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
            f"{weight.ndim}"
        )
    count = numel_of(weight._shape)
    if count != 1:
        if self.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = self._shape[1] if self.ndim > 1 else 1
        if channels != count:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter "
                f"numbers = {count} and channel size = {channels}."
            )
    refuse_but_floats(self, "prelu_cpu")
    ndim = self.ndim
    if weight.ndim == 1 and ndim != 1:
        shape = [1] * ndim
        if ndim > 1:
            shape[1] = count
        weight = weight.reshape(shape)
    elif weight.ndim == 0 and ndim:
        weight = weight.reshape([1] * ndim)
    return torch._prelu_kernel(self, weight)


@operator("_prelu_kernel(Tensor self, Tensor weight) -> Tensor", variants="function")
def _prelu_kernel(self, weight):
    """:func:`prelu` with a weight that broadcasts."""
    return torch.where(self > 0, self, self * weight)


def _prelu_gradients(grad: Any, self: Any, weight: Any, needs: Any) -> Any:
    made = [
        torch.where(self > 0, grad, weight * grad) if needs[0] else None,
        torch.where(self > 0, 0, self * grad) if needs[1] else None,
    ]
    return linked(made, self, weight)


derive_joint(
    _prelu_kernel,
    "self weight",
    lambda grad, self, weight, needs: _prelu_gradients(grad, self, weight, needs),
)

_RRELU = "Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, "


def _rrelu_check(lower: Any, upper: Any) -> None:
    if lower > upper:
        raise RuntimeError(
            "Lower bound should be less than or equal to the upper bound"
        )


@operator(
    f"rrelu(Tensor self, {_RRELU}Generator? generator=None) -> Tensor",
    variants="function",
)
def rrelu(self, lower, upper, training, generator):
    """A leaky ReLU with random slopes in training, their mean otherwise."""
    _rrelu_check(lower, upper)
    noise = torch.empty(self._shape, dtype=self.dtype, device=self.device)
    return torch.rrelu_with_noise(self, noise, lower, upper, training, generator)


@operator(
    f"rrelu_(Tensor(a!) self, {_RRELU}Generator? generator=None) -> Tensor(a!)",
    variants="function",
    tags="inplace",
)
def rrelu_(self, lower, upper, training, generator):
    """:func:`rrelu` in place."""
    _rrelu_check(lower, upper)
    noise = torch.empty(self._shape, dtype=self.dtype, device=self.device)
    return torch.rrelu_with_noise_(self, noise, lower, upper, training, generator)


@operator(
    f"rrelu_with_noise(Tensor self, Tensor(b!) noise, {_RRELU}"
    "Generator? generator=None) -> Tensor",
    variants="private",
    inplace=True,
)
def rrelu_with_noise(self, noise, lower, upper, training, generator):
    """:func:`rrelu` that writes the slopes it has drawn to ``noise``."""
    if not training:
        return torch.leaky_relu(self, (lower + upper) / 2).contiguous()
    if self.dtype not in (dtypes.float32, dtypes.float64, dtypes.bfloat16):
        raise NotImplementedError(
            '"rrelu_with_noise_out_cpu" not implemented for '
            f"'{scalar_type_name(self.dtype)}'"
        )
    if not has_values(self):
        return torch.empty_like(self)
    # Slopes are drawn for the negative elements alone, in order and in float64.
    negative = self <= 0
    count = int(negative.sum())
    drawn = torch.empty(count, dtype=dtypes.float64, device=self.device)
    drawn = drawn.uniform_(lower, upper, generator=generator).to(self.dtype)
    slopes = torch.ones(self._shape, dtype=self.dtype, device=self.device)
    noise.copy_(slopes.masked_scatter(negative, drawn))
    return self.contiguous() * noise


def _rrelu_backward(
    grad: Any, self: Any, noise: Any, lower: Any, upper: Any, training: bool
) -> Any:
    if training and upper - lower > 1e-6:
        return linked(grad * noise, self)
    return torch._leaky_relu_backward(grad, self, (lower + upper) / 2)


derive(
    rrelu_with_noise,
    self=lambda grad, self, noise, lower, upper, training: _rrelu_backward(
        grad, self, noise, lower, upper, training
    ),
)
derive(
    get_operator("rrelu_with_noise_"),
    name_="RreluWithNoiseBackward1",
    self=lambda grad, result, noise, lower, upper, training: _rrelu_backward(
        grad, result, noise, lower, upper, training
    ),
)


def _halves(x: Any, dim: int) -> tuple[Any, Any]:
    size = x._shape[dim] // 2
    return x.narrow(dim, 0, size), x.narrow(dim, size, size)


@operator("glu(Tensor self, int dim=-1) -> Tensor", variants="private", tags="out")
@in_single
def glu(self, dim):
    """Half of a dim times the sigmoid of the other half (Dauphin et al., 2016)."""
    if self.ndim == 0:
        raise RuntimeError(
            "glu does not support scalars because halving size must be even"
        )
    wrapped = wrap_dim(dim, self.ndim)
    if self._shape[wrapped] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {wrapped} is size "
            f"{self._shape[wrapped]}"
        )
    refuse_but_floats(self, "glu_cpu")
    first, second = _halves(self, wrapped)
    return first * torch.sigmoid(second)


@operator(
    "glu_backward(Tensor grad_output, Tensor self, int dim) -> Tensor",
    variants="private",
)
@in_single
def glu_backward(grad_output, self, dim):
    """The gradient of :func:`glu`."""
    dim = wrap_dim(dim, self.ndim)
    first, second = _halves(self, dim)
    gate = torch.sigmoid(second)
    through = grad_output * gate
    return torch.cat([through, through * (1 - gate) * first], dim)


derive(glu, self=lambda grad, self, dim: torch.glu_backward(grad, self, dim))
