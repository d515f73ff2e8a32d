"""Adam for gradients that have few rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    check_betas,
    check_lr,
    zeros,
)
from .optimizer import ParamsT

__all__ = ["SparseAdam"]


class SparseAdam(RuleOptimizer):
    """Adam for sparse gradients, such as those of ``Embedding(..., sparse=True)``.

    Averages and parameters of rows that a gradient doesn't have stay as they are, as if
    those rows had not taken part in the step.

    Args:
        params: dense parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        betas: how much of the running averages of the gradient and of its square is
            kept each step.
        eps: added to the denominator.
        maximize: climbs instead of descending.
    """

    _counted = False  # by a Python number, unlike the others
    _elementwise = False

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize}
        super().__init__(params, defaults)
        places = [
            ([i, j], param)
            for i, group in enumerate(self.param_groups)
            for j, param in enumerate(group["params"])
        ]
        sparse = [place for place, param in places if param.is_sparse]
        if sparse:
            raise ValueError(
                f"Sparse params at indices {sparse}: SparseAdam requires dense "
                "parameter tensors"
            )
        pairs = [place for place, param in places if param.is_complex()]
        if pairs:
            raise ValueError(
                f"Complex params at indices {pairs}: SparseAdam does not support "
                "complex parameters"
            )

    def _check_sparse(self, group: Mapping[str, Any]) -> None:
        """Sparse gradients are what it is for."""

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        return {"step": 0, "exp_avg": zeros(param), "exp_avg_sq": zeros(param)}

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        beta1, beta2 = options["betas"]
        eps = options["eps"]

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            if not grad.is_sparse:
                raise RuntimeError(
                    "SparseAdam does not support dense gradients, please consider Adam "
                    "instead"
                )
            step = state["step"] = state["step"] + 1
            grad = grad.coalesce()
            if grad.values().numel() == 0:
                return
            rows, values = tuple(grad.indices()), grad.values()
            averages = []
            for name, new, kept in (
                ("exp_avg", values, beta1),
                ("exp_avg_sq", values.pow(2), beta2),
            ):
                # Coalesced rows appear once each, so that they can simply be written.
                old = state[name][rows]
                average = (new - old).mul_(1 - kept).add_(old)
                state[name].index_put_(rows, average)
                averages.append(average)
            mean, square = averages
            scale = lr * (1 - beta2**step) ** 0.5 / (1 - beta1**step)
            change = mean.div_(square.sqrt_().add_(eps)).mul_(-scale)
            param.index_put_(rows, change.add_(param[rows]))

        return update
