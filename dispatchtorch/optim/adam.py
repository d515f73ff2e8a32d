"""Adam."""

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
    zeros,
)
from ._tensor_list import elementwise, maximum_
from .optimizer import ParamsT

__all__ = ["Adam", "adam"]


class Adam(RuleOptimizer):
    """`Adam: A Method for Stochastic Optimization <https://arxiv.org/abs/1412.6980>`_.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the running averages of the gradient and of its square is
            kept each step; two numbers or two tensors of one element.
        eps: added to the denominator.
        weight_decay: factor of the L2 penalty.
        amsgrad: divides by the largest average so far, as in
            `On the Convergence of Adam and Beyond`.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        capturable: keeps step counts on the device and reads nothing back from it.
        differentiable: records the step, to differentiate through it.
        fused: lets gradient scalers leave unscaling to the step; implies ``foreach``.
        decoupled_weight_decay: shrinks parameters instead of adding to gradients, which
            makes it AdamW.
    """

    _late_options: ClassVar[State] = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "decoupled_weight_decay": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[Any, Any] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        tensors = [isinstance(beta, torch.Tensor) for beta in betas]
        lists = foreach and not capturable
        if isinstance(lr, torch.Tensor) and lists:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_lr(lr)
        check(eps=eps)
        check_betas(betas)
        check(weight_decay=weight_decay)
        if any(tensors) and not all(tensors):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            if tensors[i] and lists:
                raise ValueError(
                    f"betas[{i}] as a Tensor is not supported for capturable=False and "
                    "foreach=True"
                )
            if tensors[i] and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        raise RuntimeError(
            "Adam does not support sparse gradients, please consider SparseAdam instead"
        )

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        names = ["exp_avg", "exp_avg_sq"]
        if group["amsgrad"]:
            names.append("max_exp_avg_sq")
        return {name: zeros(param) for name in names}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        beta1, beta2 = options["betas"]
        if not (options.get("capturable") or options.get("differentiable")):
            beta1, beta2 = number(beta1), number(beta2)
        tensors = isinstance(beta1, torch.Tensor)
        rest1, rest2 = 1 - beta1, 1 - beta2
        eps, amsgrad = options["eps"], options["amsgrad"]
        down = -lr

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            mean, square = state["exp_avg"], state["exp_avg_sq"]
            if tensors:
                elementwise(_mix_, mean, grad, beta1)
                elementwise(_mix_, square, grad * grad, beta2)
            else:
                mix_(mean, grad, rest1)
                add_product_(square.mul_(beta2), grad, grad, rest2)
            if amsgrad:
                maximum_(state["max_exp_avg_sq"], square)
                square = state["max_exp_avg_sq"]
            root = square.sqrt() / (1 - beta2**step) ** 0.5
            add_quotient_(param, mean, root.add_(eps), down / (1 - beta1**step))

        return update


def _mix_(average: Any, new: Any, keep: Any) -> None:
    """``average = keep * average + (1 - keep) * new`` for a tensor ``keep``."""
    # The derivative for keep needs the average from before.
    average.copy_(average.clone() * keep + new * (1 - keep))


def adam(
    params: list[Any],
    grads: list[Any],
    exp_avgs: list[Any],
    exp_avg_sqs: list[Any],
    max_exp_avg_sqs: list[Any],
    state_steps: list[Any],
    foreach: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
    fused: bool | None = None,
    grad_scale: Any = None,
    found_inf: Any = None,
    has_complex: bool = False,
    decoupled_weight_decay: bool = False,
    *,
    amsgrad: bool,
    beta1: Any,
    beta2: Any,
    lr: Any,
    weight_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """The functional form of :class:`Adam`."""
    run_functional(
        Adam,
        locals(),
        {
            "step": state_steps,
            "exp_avg": exp_avgs,
            "exp_avg_sq": exp_avg_sqs,
            "max_exp_avg_sq": max_exp_avg_sqs,
        },
    )
