"""What learning rate schedules share: the base class, and access to groups' options."""

from __future__ import annotations

import warnings
from functools import wraps
from types import FunctionType
from typing import Any
from weakref import ref

import dispatchtorch as torch

from ._rules import number
from .optimizer import Optimizer

__all__ = [
    "EPOCH_DEPRECATION_WARNING",
    "LRScheduler",
    "check_optimizer",
    "function_state",
    "per_group",
    "set_value",
    "values_of",
]

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being "
    "deprecated where possible. Please use `scheduler.step()` to step the scheduler. "
    "During the deprecation, if epoch is different from None, the closed form is used "
    "instead of the new chainable form, where available. Please open an issue if you "
    "are unable to replicate your use case: "
    "https://github.com/pytorch/pytorch/issues/new/choose."
)
_MORE = (
    "See more details at "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)


def check_optimizer(optimizer: Any) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def values_of(optimizer: Optimizer, key: str) -> list[Any]:
    """What all groups hold under ``key``; tensors are copied."""
    values = [group[key] for group in optimizer.param_groups]
    return [v.clone() if isinstance(v, torch.Tensor) else v for v in values]


def set_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Sets an option; a tensor stays the same object."""
    if isinstance(group[key], torch.Tensor):
        group[key].fill_(number(value))
    else:
        group[key] = value


def per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """``value`` as a list with one entry for each group."""
    count = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. {name} has "
            f"{len(value)} values, param_groups has {count}."
        )
    return list(value)


class LRScheduler:
    """The base of learning rate schedules.

    Subclasses say in :meth:`get_lr` what the rates shall be. Making a scheduler sets
    the rates of epoch 0, so make it before the optimizer loads a checkpoint.

    Args:
        optimizer: whose rates to set.
        last_epoch: the epoch to go on after; -1 starts anew.
    """

    optimizer: Optimizer
    base_lrs: list[Any]
    last_epoch: int
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                lr = lr.clone() if isinstance(lr, torch.Tensor) else lr
                group.setdefault("initial_lr", lr)
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when "
                    "resuming scheduler with last_epoch >= 0.\nThis typically happens "
                    "when:\n1. You're trying to resume training from a checkpoint but "
                    "haven't properly loaded the optimizer state\n2. You're using "
                    "last_epoch >= 0 for a fresh training run (not recommended)"
                )
        self.base_lrs = values_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        watch_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Sets the rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Returns everything about the schedule but the optimizer."""
        return {key: value for key, value in vars(self).items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over what :meth:`state_dict` returned.

        The rates of the optimizer are not touched: they come with its own state.
        """
        vars(self).update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """Returns the rates that were set last, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """Computes the rates of epoch ``last_epoch``, one for each group.

        Meant for :meth:`step`; see :meth:`get_last_lr` for the rates in use.
        """
        raise NotImplementedError

    def _current(self) -> list[Any]:
        """The rates in the groups; also the check that all ``get_lr`` start with."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
        return values_of(self.optimizer, "lr")

    def step(self, epoch: int | None = None) -> None:
        """Sets the rates of the next epoch; call it after the optimizer's ``step``.

        Args:
            epoch: deprecated; the epoch to set the rates of.
        """
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
                warnings.warn(
                    "Seems like `optimizer.step()` has been overridden after learning "
                    "rate scheduler initialization. Please, make sure to call "
                    f"`optimizer.step()` before `lr_scheduler.step()`. {_MORE}",
                    UserWarning,
                    stacklevel=2,
                )
            elif not getattr(self.optimizer, "_opt_called", False):
                warnings.warn(
                    "Detected call of `lr_scheduler.step()` before `optimizer.step()`. "
                    "In PyTorch 1.1.0 and later, you should call them in the opposite "
                    "order: `optimizer.step()` before `lr_scheduler.step()`.  Failure "
                    "to do this will result in PyTorch skipping the first value of the "
                    f"learning rate schedule. {_MORE}",
                    UserWarning,
                    stacklevel=2,
                )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed = getattr(self, "_get_closed_form_lr", None)
                values = (closed or self.get_lr)()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values, strict=True):
            set_value(group, "lr", lr)
        self._last_lr = values_of(self.optimizer, "lr")


def watch_steps(optimizer: Any) -> None:
    """Lets schedules know whether the optimizer has taken a step."""
    step = optimizer.step
    function = getattr(step, "__func__", None)
    if function is None or hasattr(step, "_wrapped_by_lr_sched"):
        return
    weak = ref(optimizer)  # the wrapper lives in the optimizer itself

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        optimizer: Any = weak()
        optimizer._opt_called = True
        return function(optimizer, *args, **kwargs)

    wrapper._wrapped_by_lr_sched = True  # type: ignore[attr-defined]
    optimizer.step = wrapper


def function_state(function: Any) -> dict[str, Any] | None:
    """What a callable object remembers; None for functions, which can't be saved."""
    if function is None or isinstance(function, FunctionType):
        return None
    return dict(vars(function))
