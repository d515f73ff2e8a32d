"""Gradient clipping: by the norm over all gradients, or value by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def _listed(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, torch.Tensor) else list(tensors)


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all `tensors` taken as one vector, a scalar on the first's device.

    `norm_type` may be `inf`. With `error_if_nonfinite` a nan or infinite result raises
    RuntimeError. `foreach` chooses between PyTorch's two implementations of the same
    sum; here both are one.
    """
    listed = _listed(tensors)
    norm_type = float(norm_type)
    if not listed:
        return torch.tensor(0.0)
    with torch.no_grad():
        device = listed[0].device
        norms = [torch.linalg.vector_norm(t, norm_type).to(device) for t in listed]
        total = torch.linalg.vector_norm(torch.stack(norms), norm_type)
    if error_if_nonfinite and not torch.isfinite(total).item():
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is "
            "non-finite, so it cannot be clipped. To disable this error and scale the "
            "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Tensor,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients of `parameters` by max_norm / total_norm where that shrinks.

    `total_norm` is what `get_total_norm` gave, so that the norm may be reduced over
    processes in between. `foreach` as in `get_total_norm`.
    """
    grads = _grads(parameters)
    if not grads:
        return
    with torch.no_grad():
        # The product with a coefficient of 1 costs less than asking the device
        # whether clipping is needed at all.
        scale = torch.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
        for grad in grads:
            grad.mul_(scale.to(grad.device))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Clip the norm over all gradients of `parameters` in place, and return it.

    Raises RuntimeError for a non-finite norm if `error_if_nonfinite`; warns about an
    iterator that yields nothing. `foreach` as in `get_total_norm`.
    """
    listed = _listed(parameters)
    if not listed and isinstance(parameters, Iterator):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.",
            stacklevel=2,
        )
    total = get_total_norm(_grads(listed), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(listed, max_norm, total, foreach)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor],
    clip_value: float,
    foreach: bool | None = None,
) -> None:
    """Clamp the gradients of `parameters` in place to [-clip_value, clip_value]."""
    clip_value = float(clip_value)
    with torch.no_grad():
        for grad in _grads(parameters):
            grad.clamp_(min=-clip_value, max=clip_value)


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """Deprecated alias of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)
