"""RMSprop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_product_,
    add_quotient_,
    add_scaled_,
    check,
    check_lr,
    mix_,
    run_functional,
    zeros,
)
from .optimizer import ParamsT

__all__ = ["RMSprop", "rmsprop"]


class RMSprop(RuleOptimizer):
    """RMSprop, from G. Hinton's course; the centered version is A. Graves's
    (`Generating Sequences With Recurrent Neural Networks`_).

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        alpha: how much of the running average of the squared gradient is kept each
            step.
        eps: added to the denominator, after the square root.
        weight_decay: factor of the L2 penalty.
        momentum: how much of the last step goes into this one.
        centered: divides by the standard deviation instead of the mean square.
        capturable: keeps step counts on the device and reads nothing back from it.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        differentiable: records the step, to differentiate through it.

    .. _Generating Sequences With Recurrent Neural Networks:
        https://arxiv.org/abs/1308.0850
    """

    _late_options: ClassVar[State] = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check(eps=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return {name: zeros(param) for name in names}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        alpha, eps, momentum = options["alpha"], options["eps"], options["momentum"]
        centered, recorded = options["centered"], options.get("differentiable")
        rest = 1 - alpha
        down = -lr

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            square = state["square_avg"]
            add_product_(square.mul_(alpha), grad, grad, rest)
            if centered:
                mean = state["grad_avg"]
                mix_(mean, grad, rest)
                square = square - mean * mean
            root = square.sqrt()
            root = root.add(eps) if recorded else root.add_(eps)
            if momentum > 0:
                buffer = state["momentum_buffer"]
                buffer.mul_(momentum).add_(grad / root)
                add_scaled_(param, buffer, down)
            else:
                add_quotient_(param, grad, root, down)

        return update


def rmsprop(
    params: list[Any],
    grads: list[Any],
    square_avgs: list[Any],
    grad_avgs: list[Any],
    momentum_buffer_list: list[Any],
    state_steps: list[Any],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
    centered: bool,
) -> None:
    """The functional form of :class:`RMSprop`."""
    run_functional(
        RMSprop,
        locals(),
        {
            "step": state_steps,
            "square_avg": square_avgs,
            "grad_avg": grad_avgs,
            "momentum_buffer": momentum_buffer_list,
        },
    )
