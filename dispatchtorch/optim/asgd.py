"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import dispatchtorch as torch

from ._rules import (
    RuleOptimizer,
    State,
    Update,
    add_scaled_,
    check,
    check_lr,
    number,
    run_functional,
    scalar_dtype,
    zeros,
)
from .optimizer import ParamsT

__all__ = ["ASGD", "asgd"]


class ASGD(RuleOptimizer):
    """`Acceleration of stochastic approximation by averaging`_ (B. Polyak).

    The average lies in the state, as ``"ax"``.

    Args:
        params: parameters, named parameters or groups of either.
        lr: learning rate, a number or a tensor of one element.
        lambd: how fast parameters shrink and the learning rate falls.
        alpha: the power by which the learning rate falls.
        t0: the step at which averaging starts.
        weight_decay: factor of the L2 penalty.
        foreach: updates lists of tensors at a time.
        maximize: climbs instead of descending.
        differentiable: records the step, to differentiate through it.
        capturable: keeps step counts on the device and reads nothing back from it.

    .. _Acceleration of stochastic approximation by averaging:
        https://meyn.ece.ufl.edu/wp-content/uploads/sites/77/archive/spm_files/Courses/ECE555-2011/555media/poljud92.pdf
    """

    _scalars = ("eta", "mu")
    _late_options: ClassVar[State] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, param: Any, group: Mapping[str, Any]) -> State:
        device = param.device if group["capturable"] else None
        dtype = scalar_dtype()
        return {
            "eta": torch.full((), number(group["lr"]), dtype=dtype, device=device),
            "mu": torch.ones((), dtype=dtype, device=device),
            "ax": zeros(param),
        }

    @staticmethod
    def _rule(options: Mapping[str, Any], lr: Any) -> Update:
        lambd, alpha, t0 = options["lambd"], options["alpha"], options["t0"]
        capturable = options.get("capturable")
        if not capturable:
            lr = number(lr)

        def update(param: Any, grad: Any, state: State, step: Any) -> None:
            eta, mu, average = state["eta"], state["mu"], state["ax"]
            if not capturable:
                eta, mu = number(eta), number(mu)
            param.mul_(1 - lambd * eta)
            add_scaled_(param, grad, eta * -1)
            if capturable or mu != 1:
                average.add_(param.sub(average).mul_(mu))
            else:
                average.copy_(param)
            eta = lr / (lambd * lr * step + 1) ** alpha
            if capturable:
                state["eta"].copy_(eta)
                state["mu"].copy_(1 / (step - t0).clamp_min(1))
            else:
                state["eta"].fill_(eta)
                state["mu"].fill_(1 / max(1, step - t0))

        return update


def asgd(
    params: list[Any],
    grads: list[Any],
    axs: list[Any],
    mus: list[Any],
    etas: list[Any],
    state_steps: list[Any],
    foreach: bool | None = None,
    maximize: bool = False,
    differentiable: bool = False,
    capturable: bool = False,
    has_complex: bool = False,
    *,
    lambd: float,
    lr: float,
    t0: float,
    alpha: float,
    weight_decay: float,
) -> None:
    """The functional form of :class:`ASGD`."""
    run_functional(
        ASGD, locals(), {"step": state_steps, "eta": etas, "mu": mus, "ax": axs}
    )
