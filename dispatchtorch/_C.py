"""The few names of PyTorch's compiled module that Python code out there reaches for."""

from __future__ import annotations

from typing import Any

from dispatchtorch._tensor_methods import disabled as _disabled_torch_function_impl
from dispatchtorch.autograd.grad_mode import is_grad_enabled
from dispatchtorch.errors import LinAlgError as _LinAlgError
from dispatchtorch.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from dispatchtorch.size import Size
from dispatchtorch.tensor import Tensor as TensorBase

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Size",
    "TensorBase",
    "_LinAlgError",
    "_disabled_torch_dispatch_impl",
    "_disabled_torch_function_impl",
    "is_grad_enabled",
]


def _disabled_torch_dispatch_impl(*args: Any, **kwargs: Any) -> Any:
    """``__torch_dispatch__`` of classes that don't take part in it."""
    return NotImplemented
