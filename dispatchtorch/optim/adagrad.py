"""Adagrad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dispatchtorch as torch

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_quotient_,
    check,
    check_lr,
    run_functional,
)
from .optimizer import ParamsT

__all__ = ["Adagrad", "adagrad"]


class Adagrad(RuleOptimizer):
    """`Adaptive Subgradient Methods for Online Learning and Stochastic Optimization`_.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        lr_decay: how fast the learning rate falls.
        weight_decay: factor of the L2 penalty.
        initial_accumulator_value: what the sums of squares start with.
        eps: added to the denominator.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        differentiable: records the step, to differentiate through it.
        fused: lets gradient scalers leave unscaling to the step; implies ``foreach``.

    .. _Adaptive Subgradient Methods for Online Learning and Stochastic Optimization:
        https://jmlr.org/papers/v12/duchi11a.html
    """

    _late_options: ClassVar[State] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                self._fill_state(self.state[param], param, group)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        value = group["initial_accumulator_value"]
        if param.is_complex():
            value = complex(value, value)
        return {"sum": torch.full_like(param, value)}

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        if group["weight_decay"] != 0:
            raise RuntimeError(
                "weight_decay option is not compatible with sparse gradients"
            )

    def share_memory(self) -> None:
        """Moves the state to shared memory, for training in several processes."""
        for group in self.param_groups:
            for param in group["params"]:
                self.state[param]["sum"].share_memory_()

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        fall, eps = options["lr_decay"], options["eps"]
        recorded = options.get("differentiable")

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            squares = state["sum"]
            scale = -lr / (1 + (step - 1) * fall)
            if grad.is_sparse:
                _update_rows(param, grad, squares, scale, eps)
                return
            squares.add_(grad * grad)
            root = squares.sqrt()
            root = root.add(eps) if recorded else root.add_(eps)
            add_quotient_(param, grad, root, scale)

        return update


def _update_rows(param: Any, grad: Any, squares: Any, scale: Any, eps: float) -> None:
    """The update for a sparse gradient: of the rows that it has, and of no others."""
    grad = grad.coalesce()
    rows, values = tuple(grad.indices()), grad.values()
    # Coalesced rows appear once each, so that they can simply be written.
    total = squares[rows].add_(values.square())
    squares.index_put_(rows, total)
    root = total.sqrt().add_(eps)
    param.index_put_(rows, param[rows].add_(values / root * scale))


def adagrad(
    params: list[Any],
    grads: list[Any],
    state_sums: list[Any],
    state_steps: list[Any],
    fused: bool | None = None,
    grad_scale: Any = None,
    found_inf: Any = None,
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    differentiable: bool = False,
    has_complex: bool = False,
    *,
    lr: float,
    weight_decay: float,
    lr_decay: float,
    eps: float,
    maximize: bool,
) -> None:
    """The functional form of :class:`Adagrad`."""
    run_functional(Adagrad, locals(), {"step": state_steps, "sum": state_sums})
