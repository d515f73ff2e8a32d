"""One flat vector out of many parameters, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _checked(parameters: Iterable[Tensor]) -> list[Tensor]:
    listed = list(parameters)
    if any(p.device != listed[0].device for p in listed):
        raise TypeError(
            "Found two parameters on different devices, "
            "this is currently not supported."
        )
    return listed


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Concatenate `parameters` into one 1-D tensor; gradients flow through.

    Raises TypeError for parameters on different devices.
    """
    return torch.cat([p.view(-1) for p in _checked(parameters)])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make each parameter's data a view of its slice of the 1-D `vec`.

    Raises TypeError for parameters on different devices or a `vec` that is no tensor.
    """
    if not isinstance(vec, torch.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {torch.typename(vec)}")
    start = 0
    for p in _checked(parameters):
        stop = start + p.numel()
        p.data = vec[start:stop].view_as(p).data
        start = stop
