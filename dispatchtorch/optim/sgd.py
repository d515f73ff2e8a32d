"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_scaled_,
    check,
    check_lr,
    number,
    run_functional,
)
from .optimizer import ParamsT

__all__ = ["SGD", "sgd"]


class SGD(RuleOptimizer):
    """Stochastic gradient descent, with momentum where asked for.

    The momentum is that of PyTorch, ``v = momentum * v + (1 - dampening) * grad`` and
    ``param -= lr * v``, and starts as the first gradient. Nesterov's variant follows
    `On the importance of initialization and momentum in deep learning`.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        momentum: how much of the last step goes into this one.
        dampening: how much of a gradient is kept out of the momentum.
        weight_decay: factor of the L2 penalty.
        nesterov: looks ahead; needs momentum and no dampening.
        maximize: climbs instead of descending.
        foreach: updates lists of tensors at a time.
        differentiable: records the step, to differentiate through it.
        fused: lets gradient scalers leave unscaling to the step; implies ``foreach``.
    """

    _counted = False
    _real = False
    _late_options: ClassVar[State] = {
        "nesterov": False,
        "maximize": False,
        "foreach": None,
        "differentiable": False,
        "fused": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        """Rows of zeros are nothing to a plain sum: any gradient will do."""

    def _stateful(self, group: Mapping[str, Any]) -> bool:
        return bool(group["momentum"] != 0)

    @staticmethod
    def _begins(options: Mapping[str, Any], state: State) -> bool:
        momentum = number(options["momentum"])
        return bool(momentum) and state.get("momentum_buffer") is None

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        momentum = number(options["momentum"])
        share = 1 - number(options["dampening"])
        nesterov = options["nesterov"]
        down = -lr

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            if momentum:
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = state["momentum_buffer"] = grad.detach().clone()
                else:
                    add_scaled_(buffer.mul_(momentum), grad, share)
                grad = grad + buffer * momentum if nesterov else buffer
            add_scaled_(param, grad, down)

        return update


def sgd(
    params: list[Any],
    d_p_list: list[Any],
    momentum_buffer_list: list[Any],
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    fused: bool | None = None,
    grad_scale: Any = None,
    found_inf: Any = None,
    *,
    weight_decay: float,
    momentum: float,
    lr: float,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """The functional form of :class:`SGD`; puts buffers that are None in the list."""
    run_functional(
        SGD, locals(), {"momentum_buffer": momentum_buffer_list}, grads=d_p_list
    )
