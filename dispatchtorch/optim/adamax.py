"""Adamax: Adam with the largest gradient in place of the mean square."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_quotient_,
    check,
    check_betas,
    check_lr,
    mix_,
    run_functional,
    zeros,
)
from ._tensor_list import maximum_
from .optimizer import ParamsT

__all__ = ["Adamax", "adamax"]


class Adamax(RuleOptimizer):
    """Adam by the infinity norm, section 7.1 of the `Adam paper`_.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the running average and of the running norm is kept each
            step.
        eps: added to the size of the gradient.
        weight_decay: factor of the L2 penalty.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        differentiable: records the step, to differentiate through it.
        capturable: keeps step counts on the device and reads nothing back from it.

    .. _Adam paper: https://arxiv.org/abs/1412.6980
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
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check(eps=eps)
        check_betas(betas)
        check(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        return {"exp_avg": zeros(param), "exp_inf": zeros(param)}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        beta1, beta2 = options["betas"]
        rest1 = 1 - beta1
        eps = options["eps"]
        down = -lr

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            mean, norm = state["exp_avg"], state["exp_inf"]
            mix_(mean, grad, rest1)
            maximum_(norm.mul_(beta2), grad.abs().add_(eps))
            add_quotient_(param, mean, norm, down / (1 - beta1**step))

        return update


def adamax(
    params: list[Any],
    grads: list[Any],
    exp_avgs: list[Any],
    exp_infs: list[Any],
    state_steps: list[Any],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    eps: float,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
) -> None:
    """The functional form of :class:`Adamax`."""
    run_functional(
        Adamax,
        locals(),
        {"step": state_steps, "exp_avg": exp_avgs, "exp_inf": exp_infs},
    )
