"""Activation functions and dropout of ``torch.nn.functional``."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from dispatchtorch.ops._common import torch as operators

if TYPE_CHECKING:
    from dispatchtorch import Tensor, dtype

__all__ = [
    "alpha_dropout",
    "celu",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "feature_alpha_dropout",
    "glu",
    "gumbel_softmax",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "leaky_relu",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
]


def _either(name: str, inplace: bool, *args: Any) -> Any:
    """The operator ``name`` or, in place, ``name_``."""
    return getattr(operators, f"{name}_" if inplace else name)(*args)


def threshold(
    input: Tensor, threshold: float, value: float, inplace: bool = False
) -> Tensor:
    """``input`` where it exceeds ``threshold``, ``value`` elsewhere."""
    return _either("threshold", inplace, input, threshold, value)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(0, input)``."""
    return operators.relu_(input) if inplace else operators.relu(input)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim`` times the sigmoid of the second half.

    Raises RuntimeError for 0-d tensors.
    """
    return operators.glu(input, dim)


def hardtanh(
    input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Tensor:
    """``input`` clamped to [``min_val``, ``max_val``]; ValueError if that is empty."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    return _either("hardtanh", inplace, input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``input`` clamped to [0, 6]."""
    return _either("relu6", inplace, input)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` above 0, ``alpha * (exp(input) - 1)`` below."""
    return _either("elu", inplace, input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled ELU of self-normalising networks."""
    return _either("selu", inplace, input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(0, input) + min(0, alpha * (exp(input / alpha) - 1))``."""
    return _either("celu", inplace, input, alpha)


def leaky_relu(
    input: Tensor, negative_slope: float = 0.01, inplace: bool = False
) -> Tensor:
    """``input`` above 0, ``negative_slope * input`` below."""
    return _either("leaky_relu", inplace, input, negative_slope)


def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """A leaky ReLU, in training with slopes uniform in [``lower``, ``upper``)."""
    return _either("rrelu", inplace, input, lower, upper, training)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``clamp(input + 3, 0, 6) / 6``."""
    return _either("hardsigmoid", inplace, input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * clamp(input + 3, 0, 6) / 6``."""
    return _either("hardswish", inplace, input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also known as swish."""
    return _either("silu", inplace, input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``."""
    return _either("mish", inplace, input)


def tanhshrink(input: Tensor) -> Tensor:
    """``input - tanh(input)``."""
    return input - input.tanh()


def softsign(input: Tensor) -> Tensor:
    """``input / (1 + abs(input))``."""
    return input / (input.abs() + 1)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``."""
    return input.sigmoid()


# Softmax.


def _softmax_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dim that calls without one get, with a warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to "
        "include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: dtype | None = None,
) -> Tensor:
    """``exp(input)`` scaled to add up to 1 along ``dim``; ``dtype`` casts first."""
    if dim is None:
        dim = _softmax_dim("softmax", input.ndim, _stacklevel)
    return operators.softmax(input, dim, dtype)


def softmin(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: dtype | None = None,
) -> Tensor:
    """:func:`softmax` of ``-input``."""
    if dim is None:
        dim = _softmax_dim("softmin", input.dim(), _stacklevel)
    return (-input).softmax(dim, dtype)


def log_softmax(
    input: Tensor,
    dim: int | None = None,
    _stacklevel: int = 3,
    dtype: dtype | None = None,
) -> Tensor:
    """The logarithm of :func:`softmax`, computed in a stable way."""
    if dim is None:
        dim = _softmax_dim("log_softmax", input.ndim, _stacklevel)
    return operators.log_softmax(input, dim, dtype)


def gumbel_softmax(
    logits: Tensor,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Tensor:
    """Samples of the Gumbel-softmax distribution (Jang et al., 2016).

    With ``hard`` the samples are one-hot, with the gradient of the soft ones. ``eps``
    has no effect.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    noise = operators.empty(
        logits.shape, dtype=logits.dtype, device=logits.device
    ).exponential_()
    soft = ((logits - noise.log()) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    one_hot = operators.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot - soft.detach() + soft


# Dropout.


def _dropout(
    name: str, input: Tensor, p: float, training: bool, inplace: bool
) -> Tensor:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return _either(name, inplace, input, p, training)


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes elements with probability ``p`` and scales the rest by ``1 / (1 - p)``."""
    return _dropout("dropout", input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean and variance after SELU (Klambauer et al., 2017)."""
    return _dropout("alpha_dropout", input, p, training, inplace)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """:func:`alpha_dropout` of whole channels."""
    return _dropout("feature_alpha_dropout", input, p, training, inplace)


def _channels(
    dims: int, input: Tensor, p: float, training: bool, inplace: bool
) -> Tensor:
    """Dropout of whole channels with ``dims`` spatial dims, batched or not."""
    ndim = input.ndim
    name = f"dropout{dims}d"
    plural = "s" if dims > 1 else ""
    accepted = (
        f"Note that {name} exists to provide channel-wise dropout on inputs with "
        f"{dims} spatial dimension{plural}, a channel dimension, and an optional batch "
        f"dimension (i.e. {dims + 1}D or {dims + 2}D inputs)."
    )
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if ndim not in (dims + 1, dims + 2):
        if dims == 1:
            raise RuntimeError(
                f"{name}: Expected 2D or 3D input, but received a {ndim}D input. "
                + accepted
            )
        warnings.warn(
            f"{name}: Received a {ndim}-D input to {name}, which is deprecated and "
            "will result in an error in a future release. To retain the behavior and "
            f"silence this warning, please use dropout instead. {accepted}",
            stacklevel=3,
        )
    if dims == 2 and ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that "
            "channel-wise 1D dropout behavior is desired - input is interpreted as "
            "shape (N, C, L), where C is the channel dim. This behavior will change in "
            "a future release to interpret the input as one without a batch dimension, "
            "i.e. shape (C, H, W). To maintain the 1D channel-wise dropout behavior, "
            "please switch to using dropout1d instead.",
            stacklevel=3,
        )
    if dims == 2 or ndim == dims + 2 or (dims == 1 and ndim != 2):
        return _either("feature_dropout", inplace, input, p, training)
    made = _either("feature_dropout", inplace, input.unsqueeze(0), p, training)
    return input if inplace else made.squeeze(0)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of (N, C, L) or (C, L) with probability ``p``."""
    return _channels(1, input, p, training, inplace)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of (N, C, H, W) or (N, C, L) with probability ``p``."""
    return _channels(2, input, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes channels of (N, C, D, H, W) or (C, D, H, W) with probability ``p``."""
    return _channels(3, input, p, training, inplace)
