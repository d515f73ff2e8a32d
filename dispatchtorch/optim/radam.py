"""RAdam: Adam that waits until its variance can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dispatchtorch as torch

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_product_,
    add_quotient_,
    add_scaled_,
    check,
    check_betas,
    check_lr,
    mix_,
    run_functional,
    zeros,
)
from ._tensor_list import elementwise
from .optimizer import ParamsT

__all__ = ["RAdam", "radam"]


class RAdam(RuleOptimizer):
    """`On the Variance of the Adaptive Learning Rate and Beyond`_.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the running averages of the gradient and of its square is
            kept each step.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty.
        decoupled_weight_decay: shrinks parameters instead of adding to gradients.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        capturable: keeps step counts on the device and reads nothing back from it.
        differentiable: records the step, to differentiate through it.

    .. _On the Variance of the Adaptive Learning Rate and Beyond:
        https://arxiv.org/abs/1908.03265
    """

    _late_options: ClassVar[State] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        return {"exp_avg": zeros(param), "exp_avg_sq": zeros(param)}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        beta1, beta2 = options["betas"]
        rest1, rest2 = 1 - beta1, 1 - beta2
        eps = options["eps"]
        capturable, recorded = options.get("capturable"), options.get("differentiable")
        longest = 2 / rest2 - 1  # of the averages that the variance can be seen as
        rest = (longest - 4) * (longest - 2)

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            mean, square = state["exp_avg"], state["exp_avg_sq"]
            mix_(mean, grad, rest1)
            add_product_(square.mul_(beta2), grad, grad, rest2)
            kept = beta2**step
            length = longest - 2 * step * kept / (1 - kept)
            scale = lr / (1 - beta1**step)
            # The first steps are plain momentum: their variance says too little.
            if not capturable and length <= 5.0:
                add_scaled_(param, mean, -scale)
                return
            rectified = ((length - 4) * (length - 2) * longest / (rest * length)) ** 0.5
            rectified = rectified * (1 - kept) ** 0.5
            root = square.sqrt()
            root = root.add(eps) if recorded else root.add_(eps)
            if capturable:
                adaptive = rectified / root
                adaptive = elementwise(torch.where, length > 5.0, adaptive, 1.0)
                param.sub_(mean * scale * adaptive)
            else:
                add_quotient_(param, mean, root, -scale * rectified)

        return update


def radam(
    params: list[Any],
    grads: list[Any],
    exp_avgs: list[Any],
    exp_avg_sqs: list[Any],
    state_steps: list[Any],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
    eps: float,
) -> None:
    """The functional form of :class:`RAdam`."""
    run_functional(
        RAdam,
        locals(),
        {"step": state_steps, "exp_avg": exp_avgs, "exp_avg_sq": exp_avg_sqs},
    )
