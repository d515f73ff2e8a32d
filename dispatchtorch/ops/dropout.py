"""Dropout: elements or whole channels zeroed at random.

Random numbers are drawn as PyTorch draws them on its CPU, so that the same seed drops
the same elements: Bernoulli numbers of 1 - p over a tensor of the noise's shape and
dtype.
"""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.dispatch.derivative import derive
from dispatchtorch.dispatch.operator import operator
from dispatchtorch.ops._common import numel_of, scalar_type_name, torch
from dispatchtorch.ops.activation import SELU_ALPHA, SELU_SCALE


def _check(p: float) -> None:
    if p < 0 or p > 1:
        raise RuntimeError(
            f"dropout probability has to be between 0 and 1, but got {p:g}"
        )


def _noise(x: Any, p: float, features: bool) -> Any:
    """Ones with probability 1 - p, else zeros: for each element, or each channel."""
    if features:
        if x.ndim < 2:
            raise RuntimeError(
                "Feature dropout requires at least 2 dimensions in the input"
            )
        shape = (*x._shape[:2], *([1] * (x.ndim - 2)))
        return x.new_empty(shape).bernoulli_(1 - p)
    return torch.empty_like(x).bernoulli_(1 - p)


def _scaled_noise(x: Any, p: float, features: bool) -> Any:
    """What inputs are multiplied by: kept ones grow, so that the mean stays."""
    if x.dtype.category <= dtypes.INT:
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{scalar_type_name(x.dtype)}"
        )
    noise = _noise(x, p, features)
    return noise / (1 - p) if p else noise


def _alpha_terms(x: Any, p: float, features: bool) -> tuple[Any, Any]:
    """The factor and the term that keep mean and variance of SELU's results."""
    alpha = SELU_ALPHA * SELU_SCALE
    noise = _noise(x, p, features)
    a = 1.0 / math.sqrt((alpha * alpha * p + 1) * (1 - p))
    return noise * a, (noise - 1) * (alpha * a) + alpha * a * p


def _family(name: str, features: bool, alpha: bool, documentation: str) -> None:
    """``name(Tensor input, float p, bool train)`` and ``name_``."""

    def forward(input, p, train):  # type: ignore[no-untyped-def]
        _check(p)
        if p == 0 or not train or not numel_of(input._shape):
            return input
        if p == 1:
            return input * torch.zeros((), dtype=input.dtype, device=input.device)
        if alpha:
            factor, term = _alpha_terms(input, p, features)
            return input * factor + term
        return input * _scaled_noise(input, p, features)

    def inplace(self, p, train):  # type: ignore[no-untyped-def]
        _check(p)
        if p == 0 or not train or not numel_of(self._shape):
            return self
        if p == 1:
            return self.mul_(torch.zeros((), dtype=self.dtype, device=self.device))
        if alpha:
            factor, term = _alpha_terms(self, p, features)
            return self.mul_(factor).add_(term)
        return self.mul_(_scaled_noise(self, p, features))

    forward.__doc__ = documentation
    inplace.__doc__ = f":func:`{name}` in place."
    operator(
        f"{name}(Tensor input, float p, bool train) -> Tensor",
        variants="function",
        tags="random",
    )(forward)
    operator(
        f"{name}_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
        variants="function",
        tags="inplace random",
    )(inplace)


_family("dropout", False, False, "Elements zeroed at random, the others scaled.")
_family("feature_dropout", True, False, "Channels zeroed at random, the others scaled.")
_family("alpha_dropout", False, True, "Dropout that keeps SELU's mean and variance.")
_family("feature_alpha_dropout", True, True, "Alpha dropout of whole channels.")


@operator(
    "native_dropout(Tensor input, float p, bool? train) -> (Tensor result, Tensor "
    "mask)",
    variants="function",
    tags="random tuple",
)
def native_dropout(input, p, train):
    """:func:`dropout`, and which elements it kept."""
    if train is False or not numel_of(input._shape):
        kept = torch.ones_like(input, dtype=torch.bool)
        return input.clone(), kept
    kept = torch.empty_like(input, dtype=torch.bool).bernoulli_(1 - p)
    return input * kept * (0.0 if p == 1 else 1 / (1 - p)), kept


@operator(
    "native_dropout_backward(Tensor grad_output, Tensor mask, float scale) -> Tensor",
    tags="out",
    variants="private",
)
def native_dropout_backward(grad_output, mask, scale):
    """The gradient through the elements that were kept, times ``scale``."""
    return grad_output * mask * scale


derive(
    native_dropout_backward,
    grad_output=lambda grad, mask, scale: grad * mask * scale,
)
derive(
    native_dropout,
    outputs_=(0,),
    # As in PyTorch, only an explicit True scales.
    input=lambda grad, p, train, mask: (
        grad * mask * (1 if not train else 0.0 if p == 1 else 1 / (1 - p))
    ),
)
