"""The few names of PyTorch's compiled module that Python code out there reaches for."""

from __future__ import annotations

from dispatchtorch._ops import FunctionSchema
from dispatchtorch._tensor_methods import disabled as _disabled_torch_function_impl
from dispatchtorch._tensor_methods.subclasses import (
    disabled_dispatch as _disabled_torch_dispatch_impl,
)
from dispatchtorch.autograd.grad_mode import is_grad_enabled
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, PYTHON, VIEW
from dispatchtorch.errors import LinAlgError as _LinAlgError
from dispatchtorch.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from dispatchtorch.size import Size
from dispatchtorch.tensor import Tensor as TensorBase

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "FunctionSchema",
    "Size",
    "TensorBase",
    "_AutoDispatchBelowAutograd",
    "_DisableTorchDispatch",
    "_LinAlgError",
    "_disabled_torch_dispatch_impl",
    "_disabled_torch_function_impl",
    "_log_api_usage_once",
    "is_grad_enabled",
]


def _log_api_usage_once(event: str) -> None:
    """Nothing: no log of what is used is kept, as in PyTorch without a logger."""


class _DisableTorchDispatch(state.exclude):
    """A block in which neither modes nor ``__torch_dispatch__`` of operands are called."""

    def __init__(self) -> None:
        super().__init__(PYTHON)


class _AutoDispatchBelowAutograd(state.exclude):
    """A block in which calls skip autograd, and the kernels that stand in for it."""

    def __init__(self) -> None:
        super().__init__(AUTOGRAD | VIEW)

    def __enter__(self) -> None:
        from dispatchtorch._library.kernels import BELOW_AUTOGRAD

        tls = state.tls
        include = tls.include & ~self.keys | BELOW_AUTOGRAD
        self.before = state.update(tls.mask & ~self.keys, include)
