"""NAdam: Adam with Nesterov momentum."""

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
    check,
    check_betas,
    check_lr,
    mix_,
    number,
    run_functional,
    scalar_dtype,
    zeros,
)
from .optimizer import ParamsT

__all__ = ["NAdam", "nadam"]


class NAdam(RuleOptimizer):
    """`Incorporating Nesterov Momentum into Adam`_.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the running averages of the gradient and of its square is
            kept each step.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty.
        momentum_decay: how fast the momentum warms up to ``betas[0]``.
        decoupled_weight_decay: shrinks parameters instead of adding to gradients.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        capturable: keeps step counts on the device and reads nothing back from it.
        differentiable: records the step, to differentiate through it.

    .. _Incorporating Nesterov Momentum into Adam:
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    _scalars = ("mu_product",)
    _late_options: ClassVar[State] = {
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        return {
            "mu_product": torch.ones(
                (),
                dtype=scalar_dtype(),
                device=param.device if group["capturable"] else None,
            ),
            "exp_avg": zeros(param),
            "exp_avg_sq": zeros(param),
        }

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        beta1, beta2 = options["betas"]
        rest1, rest2 = 1 - beta1, 1 - beta2
        eps, warm_up = options["eps"], options["momentum_decay"]
        capturable, recorded = options.get("capturable"), options.get("differentiable")

        def momentum(step: Any) -> Any:
            return beta1 * (1.0 - 0.5 * 0.96 ** (step * warm_up))

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            mean, square = state["exp_avg"], state["exp_avg_sq"]
            mu, mu_next = momentum(step), momentum(step + 1)
            product = state["mu_product"].mul_(mu)
            if not capturable:
                product = number(product)
            mix_(mean, grad, rest1)
            add_product_(square.mul_(beta2), grad, grad, rest2)
            root = square.div(1 - beta2**step).sqrt()
            root = root.add(eps) if recorded else root.add_(eps)
            add_quotient_(param, grad, root, (1 - mu) * -lr / (1 - product))
            add_quotient_(param, mean, root, mu_next * -lr / (1 - product * mu_next))

        return update


def nadam(
    params: list[Any],
    grads: list[Any],
    exp_avgs: list[Any],
    exp_avg_sqs: list[Any],
    mu_products: list[Any],
    state_steps: list[Any],
    decoupled_weight_decay: bool = False,
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    has_complex: bool = False,
    maximize: bool = False,
    *,
    beta1: float,
    beta2: float,
    lr: float,
    weight_decay: float,
    momentum_decay: float,
    eps: float,
) -> None:
    """The functional form of :class:`NAdam`."""
    run_functional(
        NAdam,
        locals(),
        {
            "step": state_steps,
            "mu_product": mu_products,
            "exp_avg": exp_avgs,
            "exp_avg_sq": exp_avg_sqs,
        },
    )
