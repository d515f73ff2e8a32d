"""Adafactor: second moments of matrices kept as a row and a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dispatchtorch as torch

from ._rules import RuleOptimizer, State, Update, check_lr, number, run_functional
from ._tensor_list import elementwise
from .optimizer import ParamsT

__all__ = ["Adafactor", "adafactor"]


class Adafactor(RuleOptimizer):
    """`Adafactor: Adaptive Learning Rates with Sublinear Memory Cost`_.

    As in PyTorch, moments are means rather than sums and ``eps[0]`` bounds the variance
    from below instead of being added to the squares.

    Args:
        params: parameters, named parameters or groups of either; no complex ones.
        lr: the largest relative step size, and the learning rate of weight decay.
        beta2_decay: the power of the step by which the averages' memory grows.
        eps: the least variance is the square of the first (the dtype's epsilon if
            None); the second is the least size of a parameter that steps are relative
            to.
        d: updates of a larger root mean square are scaled down to it.
        weight_decay: how much parameters shrink each step, times ``lr``.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.

    .. _Adafactor\\: Adaptive Learning Rates with Sublinear Memory Cost:
        https://arxiv.org/abs/1804.04235
    """

    _decays = False  # the size of a parameter is taken before it shrinks
    _real = False
    _elementwise = False
    _late_options: ClassVar[State] = {"foreach": None}

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: {}")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        if param.dim() < 2:
            return {"variance": torch.zeros_like(param)}
        *outer, rows, columns = param.shape
        return {
            "row_var": param.new_zeros((*outer, rows, 1)),
            "col_var": param.new_zeros((*outer, 1, columns)),
        }

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        eps1, eps2 = options["eps"]
        memory, clip, decay = (
            options["beta2_decay"],
            options["d"],
            options["weight_decay"],
        )

        def move(
            param: Any, grad: Any, step: float, row: Any, column: Any, variance: Any
        ) -> None:
            if param.is_complex():
                raise RuntimeError("Adafactor does not support complex parameters")
            least = torch.finfo(param.dtype).eps if eps1 is None else eps1
            share = step**memory
            size = max(eps2, _root_mean_square(param)) * min(lr, 1 / step**0.5)
            if decay != 0:
                param.mul_(1 - lr * decay)
            if grad.dim() > 1:
                for average, dim in ((row, -1), (column, -2)):
                    squares = grad.norm(dim=dim, keepdim=True).square_()
                    average.lerp_(squares.div_(grad.size(dim)), share)
                estimate = row @ column
                estimate.div_(row.mean(dim=-2, keepdim=True).clamp_(min=least))
            else:
                variance.lerp_(grad * grad, share)
                estimate = variance.clone()
            change = estimate.clamp_(min=least * least).rsqrt_().mul_(grad)
            excess = max(1.0, _root_mean_square(change) / clip)
            param.add_(change, alpha=-size / excess)

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            moments = [state.get(name) for name in ("row_var", "col_var", "variance")]
            elementwise(move, param, grad, step, *moments)

        return update


def _root_mean_square(tensor: Any) -> float:
    size: float = number(tensor.norm(2))
    return size / tensor.numel() ** 0.5


def adafactor(
    params: list[Any],
    grads: list[Any],
    row_vars: list[Any],
    col_vars: list[Any],
    variances: list[Any],
    state_steps: list[Any],
    foreach: bool | None = None,
    grad_scale: Any = None,
    found_inf: Any = None,
    has_complex: bool = False,
    *,
    d: float,
    lr: Any,
    beta2_decay: float,
    weight_decay: float,
    eps1: float,
    eps2: float,
    maximize: bool,
) -> None:
    """The functional form of :class:`Adafactor`; moments that don't apply are None."""
    run_functional(
        Adafactor,
        locals(),
        {
            "step": state_steps,
            "row_var": row_vars,
            "col_var": col_vars,
            "variance": variances,
        },
        eps=(eps1, eps2),
    )
