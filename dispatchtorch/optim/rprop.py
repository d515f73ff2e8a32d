"""Resilient propagation: step sizes from the gradient's sign alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dispatchtorch as torch

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    check_lr,
    number,
    ones_like,
    run_functional,
    zeros,
)
from .optimizer import ParamsT

__all__ = ["Rprop", "rprop"]


class Rprop(RuleOptimizer):
    """Resilient backpropagation (M. Riedmiller and H. Braun, 1993).

    Args:
        params: parameters, named parameters or groups of either.
        lr: the first step size, a number or a tensor of one element.
        etas: what a step size is multiplied by when the gradient has changed its sign,
            and when it has not.
        step_sizes: the least and the largest step size.
        capturable: keeps step counts on the device and reads nothing back from it.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        differentiable: records the step, to differentiate through it.
    """

    _late_options: ClassVar[State] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        size = number(group["lr"])
        if param.is_complex():
            size = complex(size, size)
        return {"prev": zeros(param), "step_size": torch.full_like(param.grad, size)}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        less, more = options["etas"]
        least, largest = options["step_sizes"]

        recorded = options.get("differentiable")

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            previous, size = state["prev"], state["step_size"]
            # It is overwritten below, before a backward pass reads it.
            product = grad * (previous.clone() if recorded else previous)
            turned = product < 0
            factor = ones_like(product)
            factor.masked_fill_(product > 0, more).masked_fill_(turned, less)
            size.mul_(factor).clamp_(least, largest)
            grad = grad.masked_fill(turned, 0)
            param.sub_(grad.sign() * size)
            previous.copy_(grad)

        return update


def rprop(
    params: list[Any],
    grads: list[Any],
    prevs: list[Any],
    step_sizes: list[Any],
    state_steps: list[Any],
    foreach: bool | None = None,
    capturable: bool = False,
    maximize: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    step_size_min: float,
    step_size_max: float,
    etaminus: float,
    etaplus: float,
) -> None:
    """The functional form of :class:`Rprop`."""
    run_functional(
        Rprop,
        locals(),
        {"step": state_steps, "prev": prevs, "step_size": step_sizes},
        # A learning rate plays no part once there are step sizes.
        lr=0.0,
        etas=(etaminus, etaplus),
        step_sizes=(step_size_min, step_size_max),
    )
