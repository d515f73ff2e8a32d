"""Adadelta."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_product_,
    add_scaled_,
    check,
    check_lr,
    run_functional,
    zeros,
)
from .optimizer import ParamsT

__all__ = ["Adadelta", "adadelta"]


class Adadelta(RuleOptimizer):
    """`ADADELTA: An Adaptive Learning Rate Method <https://arxiv.org/abs/1212.5701>`_.

    Args:
        params: parameters, named parameters or groups of either.
        lr: what the step is scaled by, a number or a tensor of one element.
        rho: how much of the running averages of squares is kept each step.
        eps: added to both averages before their square roots.
        weight_decay: factor of the L2 penalty.
        foreach: updates lists of tensors at a time.
        capturable: keeps step counts on the device and reads nothing back from it.
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
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check(eps=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        return {"square_avg": zeros(param), "acc_delta": zeros(param)}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        rho, eps = options["rho"], options["eps"]
        recorded = options.get("differentiable")
        rest = 1 - rho
        down = -lr

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            square, moved = state["square_avg"], state["acc_delta"]
            add_product_(square.mul_(rho), grad, grad, rest)
            root = square.add(eps).sqrt_()
            delta = moved.add(eps).sqrt_()
            if recorded:
                delta = delta / root * grad
            else:
                delta.div_(root).mul_(grad)
            add_product_(moved.mul_(rho), delta, delta, rest)
            add_scaled_(param, delta, down)

        return update


def adadelta(
    params: list[Any],
    grads: list[Any],
    square_avgs: list[Any],
    acc_deltas: list[Any],
    state_steps: list[Any],
    capturable: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> None:
    """The functional form of :class:`Adadelta`."""
    run_functional(
        Adadelta,
        locals(),
        {"step": state_steps, "square_avg": square_avgs, "acc_delta": acc_deltas},
    )
