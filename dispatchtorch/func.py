"""``torch.func``: calling modules with other parameters. Its transforms aren't here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dispatchtorch as torch
from dispatchtorch._absent import explanation
from dispatchtorch.nn import Module
from dispatchtorch.nn.utils.stateless import _functional_call
from dispatchtorch.tensor import Tensor

__all__ = ["functional_call", "stack_module_state"]


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: dict[str, Tensor] | Sequence[dict[str, Tensor]],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Calls ``module`` with the given tensors in place of its parameters and buffers.

    They are one dict from names to tensors, or several without a name in common. Names
    that are left out keep their values; with ``strict`` all must be given.
    """
    given = parameter_and_buffer_dicts
    if isinstance(given, dict):
        merged = given
    elif not isinstance(given, (list, tuple)):
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, "
            f"but got {type(given)}"
        )
    elif not all(isinstance(each, dict) for each in given):
        raise ValueError(
            "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
        )
    else:
        names = [name for each in given for name in each]
        repeated = [name for name in dict.fromkeys(names) if names.count(name) > 1]
        if repeated:
            raise ValueError(
                f"{repeated} appeared in multiple dictionaries; behavior of functional "
                "call is ambiguous"
            )
        merged = {name: value for each in given for name, value in each.items()}
    return _functional_call(
        module, merged, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(
    models: Sequence[Module],
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of models of one class, stacked along a new dim 0.

    Stacked parameters are leaves. RuntimeError where the models differ in class, mode, or
    in what requires a gradient.
    """
    models = list(models)
    where = "stack_module_state: Expected"
    if not models:
        raise RuntimeError(f"{where} at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError(f"{where} all models to have the same training/eval mode.")
    if len({type(model) for model in models}) > 1:
        raise RuntimeError(f"{where} all models to be of the same class.")
    return (
        _stacked([dict(model.named_parameters()) for model in models]),
        _stacked([dict(model.named_buffers()) for model in models]),
    )


def _stacked(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    made = {}
    for name in states[0]:
        tensors = [state[name] for state in states]
        if len({tensor.requires_grad for tensor in tensors}) > 1:
            raise RuntimeError(
                f"Expected {name} from each model to have the same .requires_grad"
            )
        stacked = torch.stack([tensor.detach() for tensor in tensors])
        made[name] = stacked.requires_grad_(tensors[0].requires_grad)
    return made


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"module 'torch.func' has no attribute '{name}'"
        f"{'' if name.startswith('__') else explanation('func')}"
    )
