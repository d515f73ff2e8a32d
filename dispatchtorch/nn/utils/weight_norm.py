"""Weight normalisation by a forward pre-hook: w = g · v / ‖v‖.

Salimans and Kingma, "Weight normalization" (2016). Superseded by
`parametrizations.weight_norm`, with which it shares the arithmetic.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import dispatchtorch as torch
from dispatchtorch.nn.parameter import Parameter, UninitializedParameter

if TYPE_CHECKING:
    from dispatchtorch import Tensor
    from dispatchtorch.nn.modules.module import Module

    T_module = TypeVar("T_module", bound=Module)

__all__ = ["WeightNorm", "weight_norm", "remove_weight_norm"]


def _norm_except(v: Tensor, dim: int) -> Tensor:
    """The 2-norm over all dims but `dim`, kept; over all of them for -1."""
    if dim == -1:
        return torch.linalg.vector_norm(v)
    rank = v.dim()
    if not -rank <= dim < rank:
        raise IndexError(
            "Dimension out of range (expected to be in range of "
            f"[{-rank}, {rank - 1}], but got {dim})"
        )
    others = [d for d in range(rank) if d != dim % rank]
    return torch.linalg.vector_norm(v, 2, others, keepdim=True) if others else v.abs()


def _normalized(v: Tensor, g: Tensor, dim: int) -> Tensor:
    return v * (g / _norm_except(v, dim))


class WeightNorm:
    """The hook: recomputes the weight from `<name>_g` and `<name>_v`."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight for the module's present magnitude and direction."""
        g = getattr(module, self.name + "_g")
        v = getattr(module, self.name + "_v")
        return _normalized(v, g, self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Split the parameter `name` of `module` in two and register the hook."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(
                    "Cannot register two weight_norm hooks on the same parameter "
                    f"{name}"
                )
        fn = WeightNorm(name, dim)
        weight = getattr(module, name)
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized "
                "parameters. Make sure to run the dummy forward before applying "
                "weight normalization"
            )
        magnitude = _norm_except(weight, fn.dim).data
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(magnitude))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, fn.compute_weight(module))
        module.register_forward_pre_hook(fn)
        return fn

    def remove(self, module: Module) -> None:
        """Put the weight as it is back as a parameter."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Set the weight ahead of `module`'s forward."""
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(
    module: T_module, name: str = "weight", dim: int | None = 0
) -> T_module:
    """Replace the parameter `name` by its magnitude along `dim` and its direction.

    With `dim` None there is one magnitude for the whole tensor. Deprecated in favour
    of `parametrizations.weight_norm`. Raises RuntimeError when applied twice.
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of "
        "`torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def _remove_hook(module: Any, name: str, kind: Any, what: str) -> Any:
    """Take the pre-hook of type `kind` for the parameter `name` off `module`."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"{what} of '{name}' not found in {module}")


def remove_weight_norm(module: T_module, name: str = "weight") -> T_module:
    """Undo `weight_norm`, keeping the value. Raises ValueError where there is none."""
    return _remove_hook(module, name, WeightNorm, "weight_norm")
