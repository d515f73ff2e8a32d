"""L-BFGS: a quasi-Newton method that remembers its last steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dispatchtorch as torch

from ._line_search import strong_wolfe
from ._rules import check_lr
from .optimizer import Optimizer, ParamsT

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """L-BFGS, after M. Schmidt's ``minFunc``.

    It needs as many copies of the parameters as ``history_size`` says, takes one group
    of parameters only, and evaluates the closure several times a step.

    Args:
        params: parameters or named parameters, all on one device.
        lr: learning rate; with a line search, the first step length that is tried.
        max_iter: iterations in one step.
        max_eval: evaluations of the closure in one step; a quarter more than
            ``max_iter`` if None.
        tolerance_grad: stops when no gradient is larger.
        tolerance_change: stops when the loss or the parameters change by less.
        history_size: how many steps are remembered.
        line_search_fn: ``"strong_wolfe"`` or None.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError(
                "LBFGS doesn't support per-parameter options (parameter groups)"
            )
        self._params = self.param_groups[0]["params"]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._params = self.param_groups[0]["params"]

    # All parameters as one vector; complex numbers count twice.

    def _flat_grad(self) -> Any:
        parts = []
        for param in self._params:
            if param.grad is None:
                part = param.new_zeros(param.numel())
            elif param.grad.is_sparse:
                part = param.grad.to_dense().reshape(-1)
            else:
                part = param.grad.reshape(-1)
            if part.is_complex():
                part = torch.view_as_real(part).reshape(-1)
            parts.append(part)
        return torch.cat(parts, 0)

    def _move(self, length: Any, direction: Any) -> None:
        """Adds ``length * direction`` to the parameters."""
        start = 0
        for param in self._params:
            real = torch.view_as_real(param) if param.is_complex() else param
            end = start + real.numel()
            real.add_(direction[start:end].view_as(real), alpha=float(length))
            start = end

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Does one step of up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss and its gradients, and
                returns the loss.

        Returns:
            The loss before the step.
        """
        with torch.no_grad():
            return self._step(torch.enable_grad()(closure))

    def _step(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr = group["lr"]
        if isinstance(lr, torch.Tensor):
            lr = lr.squeeze()
        max_iter, max_eval = group["max_iter"], group["max_eval"]
        small_grad, small_change = group["tolerance_grad"], group["tolerance_change"]
        search, history = group["line_search_fn"], group["history_size"]

        # The state of all parameters is kept with the first, as PyTorch does.
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = closure()
        loss = float(first_loss)
        evaluations = 1
        state["func_evals"] += 1
        grad = self._flat_grad()
        done = bool(grad.abs().max() <= small_grad)
        if done:
            return first_loss

        direction, length = state.get("d"), state.get("t")
        old_grad, old_loss = state.get("prev_flat_grad"), state.get("prev_loss")
        iteration = 0
        while iteration < max_iter:
            iteration += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1:
                direction = grad.neg()
                state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            else:
                _remember(state, grad.sub(old_grad), direction.mul(length), history)
                direction = _newton_direction(state, grad, history)
            if old_grad is None:
                old_grad = grad.clone()
            else:
                old_grad.copy_(grad)
            old_loss = loss

            length = lr
            if state["n_iter"] == 1:
                length = min(1.0, 1.0 / grad.abs().sum()) * lr
            slope = grad.dot(direction)
            if slope > -small_change:
                break

            used = 0
            if search is not None:
                if search != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                start = [param.clone() for param in self._params]

                def evaluate(
                    length: Any, direction: Any = direction, start: list[Any] = start
                ) -> tuple[float, Any]:
                    self._move(length, direction)
                    loss = float(closure())
                    grad = self._flat_grad()
                    for param, value in zip(self._params, start, strict=True):
                        param.copy_(value)
                    return loss, grad

                loss, grad, length, used = strong_wolfe(
                    evaluate,
                    length,
                    direction,
                    loss,
                    grad,
                    slope,
                    small_change,
                    max_evaluations=min(25, max_eval - evaluations),
                )
                self._move(length, direction)
                done = bool(grad.abs().max() <= small_grad)
            else:
                self._move(length, direction)
                if iteration != max_iter:
                    # What the last evaluation would tell, the next step asks anew.
                    loss = float(closure())
                    grad = self._flat_grad()
                    done = bool(grad.abs().max() <= small_grad)
                    used = 1
            evaluations += used
            state["func_evals"] += used

            if (
                iteration == max_iter
                or evaluations >= max_eval
                or done
                or direction.mul(length).abs().max() <= small_change
                or abs(loss - old_loss) < small_change
            ):
                break

        # State dicts list their entries in this order.
        state.update(d=direction, t=length, prev_flat_grad=old_grad, prev_loss=old_loss)
        for name in _ORDER:
            state[name] = state.pop(name)
        return first_loss


_ORDER = (
    "d",
    "t",
    "old_dirs",
    "old_stps",
    "ro",
    "H_diag",
    "prev_flat_grad",
    "prev_loss",
)


def _remember(state: dict[str, Any], change: Any, step: Any, size: int) -> None:
    """Adds a change of the gradient and the step that caused it to the history."""
    curvature = change.dot(step)
    if curvature <= 1e-10:
        return
    memory = state["old_dirs"], state["old_stps"], state["ro"]
    for kept, new in zip(memory, (change, step, 1.0 / curvature), strict=True):
        if len(kept) == size:
            kept.pop(0)
        kept.append(new)
    state["H_diag"] = curvature / change.dot(change)


def _newton_direction(state: dict[str, Any], grad: Any, size: int) -> Any:
    """Minus the inverse Hessian times the gradient, by the two-loop recursion."""
    changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
    weights = state.setdefault("al", [None] * size)
    direction = grad.neg()
    for i in reversed(range(len(changes))):
        weights[i] = steps[i].dot(direction) * inverses[i]
        direction.add_(changes[i], alpha=-float(weights[i]))
    direction.mul_(state["H_diag"])
    for i in range(len(changes)):
        excess = changes[i].dot(direction) * inverses[i]
        direction.add_(steps[i], alpha=float(weights[i] - excess))
    return direction
