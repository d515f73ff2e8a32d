"""Autograd: a dispatch layer that records, and an engine that runs back."""

from __future__ import annotations

from typing import Any

from dispatchtorch.autograd import engine, graph, layer
from dispatchtorch.autograd.anomaly import detect_anomaly, set_detect_anomaly
from dispatchtorch.autograd.api import backward, grad
from dispatchtorch.autograd.engine import (
    is_checkpoint_valid as _is_checkpoint_valid,
)
from dispatchtorch.autograd.function import Function, once_differentiable
from dispatchtorch.autograd.grad_mode import (
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "once_differentiable",
    "set_detect_anomaly",
    "set_grad_enabled",
]

_ = (engine, layer, _is_checkpoint_valid)


def __getattr__(name: str) -> Any:
    if name in ("gradcheck", "gradgradcheck"):
        from importlib import import_module

        module = import_module("dispatchtorch.autograd.gradcheck")
        globals()["gradcheck"] = module.gradcheck
        globals()["gradgradcheck"] = module.gradgradcheck
        return globals()[name]
    if name in ("functional", "profiler", "forward_ad"):
        from importlib import import_module

        try:
            return import_module(f"dispatchtorch.autograd.{name}")
        except ModuleNotFoundError:
            pass
    if name == "Variable":
        from dispatchtorch.autograd.variable import Variable

        return Variable
    raise AttributeError(f"module 'torch.autograd' has no attribute {name!r}")
