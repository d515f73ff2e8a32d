"""Schedules that rise and fall: cycles, one cycle, and restarts.

Some move the momentum the other way: that is ``"momentum"`` in a group, or the first of
the ``"betas"`` of optimizers like Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from ._lr_base import LRScheduler, check_optimizer, function_state, per_group, set_value
from .optimizer import Optimizer

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]


def _uses_beta1(optimizer: Optimizer) -> bool:
    """Whether the first beta is what stands for momentum; an error if nothing does."""
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError(
            "optimizer must support momentum or beta1 with `cycle_momentum` option "
            "enabled"
        )
    return "betas" in optimizer.defaults


def _set_momentum(group: dict[str, Any], value: Any, use_beta1: bool) -> None:
    if use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


def _start_momentum(
    optimizer: Optimizer, largest: list[float], least: list[float], use_beta1: bool
) -> None:
    """Starts with the largest momentum, and puts the range into the groups."""
    for group, high, low in zip(optimizer.param_groups, largest, least, strict=True):
        _set_momentum(group, high, use_beta1)
        group["max_momentum"] = high
        group["base_momentum"] = low


# How the height of a cycle shrinks, and whether from cycle to cycle or step to step.
_MODES: dict[str, tuple[Callable[[float, float], float], str]] = {
    "triangular": (lambda gamma, x: 1.0, "cycle"),
    "triangular2": (lambda gamma, x: 1 / (2.0 ** (x - 1)), "cycle"),
    "exp_range": (lambda gamma, x: gamma**x, "iterations"),
}


class CyclicLR(LRScheduler):
    """The rate goes up and down between two bounds, step by step.

    `Cyclical Learning Rates for Training Neural Networks
    <https://arxiv.org/abs/1506.01186>`_. Call :meth:`step` after every batch.

    Args:
        optimizer: whose rates to set.
        base_lr: the lower bound, or a list with one for each group.
        max_lr: the upper bound of the first cycle, or a list with one for each group.
        step_size_up: batches from the lower bound to the upper.
        step_size_down: batches back down; as many as up if None.
        mode: cycles of one height (``"triangular"``), of half the height each
            (``"triangular2"``), or ``gamma**batch`` times the height (``"exp_range"``).
        gamma: for ``"exp_range"``.
        scale_fn: a function that gives the relative height, in place of ``mode``.
        scale_mode: whether ``scale_fn`` is given the cycle (from 1 on) or the batch.
        cycle_momentum: moves the momentum the other way.
        base_momentum: the lower bound of the momentum, or a list.
        max_momentum: the upper bound of the momentum, or a list.
        last_epoch: the batch to go on after; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        base_lrs = per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, base_lrs, strict=True):
                set_value(group, "lr", lr)
        self.max_lrs = per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in _MODES and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode if scale_fn is not None else _MODES[mode][1]
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1(optimizer)
            self.base_momentums = per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = per_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                _start_momentum(
                    optimizer, self.max_momentums, self.base_momentums, self.use_beta1
                )
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The relative height of cycle ``x``, or at batch ``x``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return _MODES[self.mode][0](self.gamma, x)

    def get_lr(self) -> list[Any]:
        self._current()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        if x <= self.step_ratio:
            way = x / self.step_ratio
        else:
            way = (x - 1) / (self.step_ratio - 1)
        by_cycle = self.scale_mode == "cycle"

        def height(bottom: float, top: float) -> float:
            return (
                (top - bottom)
                * way
                * self.scale_fn(cycle if by_cycle else self.last_epoch)
            )

        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups,
                self.base_momentums,
                self.max_momentums,
                strict=True,
            ):
                _set_momentum(group, high - height(low, high), self.use_beta1)
        return [
            low + height(low, high)
            for low, high in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Returns everything about the schedule but the optimizer.

        Of ``scale_fn``, what a callable object remembers; functions are not saved.
        """
        state = super().state_dict()
        state["_scale_fn_custom"] = function_state(state.pop("_scale_fn_custom"))
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        rest = dict(state_dict)
        function = rest.pop("_scale_fn_custom")
        super().load_state_dict(rest)
        if function is not None:
            vars(self._scale_fn_custom).update(function)


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)


def _line(start: float, end: float, part: float) -> float:
    return (end - start) * part + start


_ANNEALING = {"cos": _cosine, "linear": _line}


class OneCycleLR(LRScheduler):
    """The rate rises once, then falls far below where it started.

    `Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates
    <https://arxiv.org/abs/1708.07120>`_. Call :meth:`step` after every batch.

    Args:
        optimizer: whose rates to set.
        max_lr: the highest rate, or a list with one for each group.
        total_steps: batches in all; else ``epochs`` times ``steps_per_epoch``.
        epochs, steps_per_epoch: in place of ``total_steps``.
        pct_start: the part of the batches during which the rate rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: moves the momentum the other way.
        base_momentum: the lower bound of the momentum, or a list.
        max_momentum: the upper bound of the momentum, or a list.
        div_factor: how many times lower than ``max_lr`` the first rate is.
        final_div_factor: how many times lower than the first rate the last one is.
        three_phase: goes down as it went up, and only then to the last rate.
        last_epoch: the batch to go on after; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        if total_steps is not None:
            _check_positive(total_steps=total_steps)
            self.total_steps = total_steps
        elif epochs is not None and steps_per_epoch is not None:
            _check_positive(epochs=epochs, steps_per_epoch=steps_per_epoch)
            self.total_steps = epochs * steps_per_epoch
        else:
            raise ValueError(
                "You must define either total_steps OR (epochs AND steps_per_epoch)"
            )
        top = float(pct_start * self.total_steps) - 1
        phases = [(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")]
        if three_phase:
            end = float(2 * pct_start * self.total_steps) - 2
            phases += [
                (end, "max_lr", "initial_lr", "base_momentum", "max_momentum"),
                (
                    self.total_steps - 1,
                    "initial_lr",
                    "min_lr",
                    "max_momentum",
                    "max_momentum",
                ),
            ]
        else:
            phases += [
                (
                    self.total_steps - 1,
                    "max_lr",
                    "min_lr",
                    "base_momentum",
                    "max_momentum",
                )
            ]
        names = ("end_step", "start_lr", "end_lr", "start_momentum", "end_momentum")
        self._schedule_phases: list[dict[str, Any]] = [
            dict(zip(names, phase, strict=True)) for phase in phases
        ]
        if not (0 <= pct_start < 1 and isinstance(pct_start, float)):
            raise ValueError(
                f"Expected float between 0 and 1 pct_start, but got {pct_start}"
            )
        if anneal_strategy not in _ANNEALING:
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy

        max_lrs = per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = lr / div_factor
                group["max_lr"] = lr
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = _uses_beta1(optimizer)
            largest = per_group("max_momentum", optimizer, max_momentum)
            least = per_group("base_momentum", optimizer, base_momentum)
            if last_epoch == -1:
                _start_momentum(optimizer, largest, least, self.use_beta1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._current()
        batch = self.last_epoch
        if batch > self.total_steps:
            raise ValueError(
                f"Tried to step {batch} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start: float = 0
        for phase in self._schedule_phases:
            if batch <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            start = self._schedule_phases[-2]["end_step"]
        part = (batch - start) / (phase["end_step"] - start)
        between = _ANNEALING[self._anneal_func_type]
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(
                between(group[phase["start_lr"]], group[phase["end_lr"]], part)
            )
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                _set_momentum(group, between(*ends, part), self.use_beta1)
        return rates


def _check_positive(**counts: Any) -> None:
    for name, count in counts.items():
        if count <= 0 or not isinstance(count, int):
            raise ValueError(f"Expected positive integer {name}, but got {count}")


class CosineAnnealingWarmRestarts(LRScheduler):
    """The rate falls along half a cosine, again and again from the start.

    `SGDR: Stochastic Gradient Descent with Warm Restarts
    <https://arxiv.org/abs/1608.03983>`_.

    Args:
        optimizer: whose rates to set.
        T_0: epochs until the first restart.
        T_mult: how many times longer each further period is than the last.
        eta_min: the least rate.
        last_epoch: the epoch to go on after; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(
                f"Expected float or int eta_min, but got {eta_min} of type "
                f"{type(eta_min)}"
            )
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._current()
        height = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * height for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Sets the rates of the next epoch, or of any, parts of epochs included."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            growth = self.T_mult
            if epoch < self.T_0:
                self.T_i, self.T_cur = self.T_0, epoch
            elif growth == 1:
                self.T_cur = epoch % self.T_0
            else:
                periods = int(math.log(epoch / self.T_0 * (growth - 1) + 1, growth))
                before = self.T_0 * (growth**periods - 1) / (growth - 1)
                self.T_i, self.T_cur = self.T_0 * growth**periods, epoch - before
        # The base class counts one up, in whole epochs.
        self.last_epoch = math.floor(epoch) - 1
        self._update_lr()
