"""Gradients of the convolutions with respect to input and weight, as functions.

Convolution is linear in each, so autograd gives the gradient at any point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
import dispatchtorch.nn.functional as F

if TYPE_CHECKING:
    from dispatchtorch import Tensor

    Size = int | Sequence[int]

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def _functions(nd: int) -> tuple[Any, Any]:
    name = f"conv{nd}d"

    def input_grad(
        input_size: Sequence[int],
        weight: Tensor,
        grad_output: Tensor,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
    ) -> Tensor:
        at = grad_output.new_zeros(tuple(input_size), requires_grad=True)
        with torch.enable_grad():
            output = getattr(F, name)(
                at, weight, None, stride, padding, dilation, groups
            )
        return _grad(output, at, grad_output, weight)

    def weight_grad(
        input: Tensor,
        weight_size: Sequence[int],
        grad_output: Tensor,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
    ) -> Tensor:
        at = grad_output.new_zeros(tuple(weight_size), requires_grad=True)
        with torch.enable_grad():
            output = getattr(F, name)(
                input, at, None, stride, padding, dilation, groups
            )
        return _grad(output, at, grad_output, input)

    for function, what in ((input_grad, "input"), (weight_grad, "weight")):
        function.__name__ = function.__qualname__ = f"{name}_{what}"
        function.__doc__ = (
            f"The gradient of ``{name}`` with respect to its {what}, of which only the "
            "shape is given, for a gradient of the output."
        )
    return input_grad, weight_grad


def _grad(output: Tensor, at: Tensor, grad_output: Tensor, other: Tensor) -> Tensor:
    again = torch.is_grad_enabled() and (
        grad_output.requires_grad or other.requires_grad
    )
    (grad,) = torch.autograd.grad(output, at, grad_output, create_graph=again)
    return grad


conv1d_input, conv1d_weight = _functions(1)
conv2d_input, conv2d_weight = _functions(2)
conv3d_input, conv3d_weight = _functions(3)
