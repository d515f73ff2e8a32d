"""Averages of weights over training, and what goes with them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, Literal

import dispatchtorch as torch
from dispatchtorch.nn import Module

from ._lr_base import LRScheduler, per_group
from ._rules import number
from ._tensor_list import TensorList
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

_Average = Callable[[Any, Any, Any], Any]
_AverageLists = Callable[[Sequence[Any], Sequence[Any], Any], None]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] "
            "range."
        )


def _is_inexact(tensors: Sequence[Any]) -> bool:
    """Whether averages of such tensors don't have to be cut to whole numbers."""
    return tensors[0].is_floating_point() or tensors[0].is_complex()


def get_ema_avg_fn(decay: float = 0.999) -> _Average:
    """Returns the exponential moving average as a function of two tensors.

    Args:
        decay: how much of the average is kept.
    """
    _check_decay(decay)

    @torch.no_grad()
    def average(ema_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return decay * ema_param + (1 - decay) * current_param

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> _AverageLists:
    """Returns the exponential moving average as a function that changes lists in place.

    Args:
        decay: how much of the average is kept.
    """
    _check_decay(decay)
    one = get_ema_avg_fn(decay)

    @torch.no_grad()
    def average(
        ema_param_list: Sequence[Any], current_param_list: Sequence[Any], num: Any
    ) -> None:
        if _is_inexact(ema_param_list):
            ema = TensorList(ema_param_list)
            ema.lerp_(TensorList(current_param_list), 1 - decay)
            return
        for ema, current in zip(ema_param_list, current_param_list, strict=True):
            ema.copy_(one(ema, current, num))

    return average


def get_swa_avg_fn() -> _Average:
    """Returns the mean of all weights so far as a function of two tensors."""

    @torch.no_grad()
    def average(averaged_param: Any, current_param: Any, num_averaged: Any) -> Any:
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return average


def get_swa_multi_avg_fn() -> _AverageLists:
    """Returns the mean of all weights as a function that changes lists in place."""
    one = get_swa_avg_fn()

    @torch.no_grad()
    def average(
        averaged_param_list: Sequence[Any], current_param_list: Sequence[Any], num: Any
    ) -> None:
        if _is_inexact(averaged_param_list):
            mean = TensorList(averaged_param_list)
            mean.add_((TensorList(current_param_list) - mean) / (number(num) + 1))
            return
        for mean, current in zip(averaged_param_list, current_param_list, strict=True):
            mean.copy_(one(mean, current, num))

    return average


class AveragedModel(Module):
    """A copy of a model with the averages of its weights.

    `Averaging Weights Leads to Wider Optima and Better Generalization
    <https://arxiv.org/abs/1803.05407>`_ (the mean, which is the default) and
    exponential moving averages.

    Args:
        model: the model to average; it is copied.
        device: where the averages shall be, if not with the model.
        avg_fn: gives the new average of a tensor, from the old one, the tensor and the
            number of models so far.
        multi_avg_fn: the same for lists of tensors of one device and dtype, in place.
        use_buffers: averages buffers as well; otherwise they are copied.
    """

    n_averaged: Any

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: _Average | None = None,
        multi_avg_fn: _AverageLists | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError(
                "Only one of avg_fn and multi_avg_fn should be provided"
            )
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer(
            "n_averaged", torch.tensor(0, dtype=torch.long, device=device)
        )
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Takes the present weights of ``model`` into the averages."""

        def tensors(module: Module) -> Iterable[Any]:
            if self.use_buffers:
                return chain(module.parameters(), module.buffers())
            return module.parameters()

        pairs = [
            (mean.detach(), new.detach().to(mean.device))
            for mean, new in zip(tensors(self.module), tensors(model), strict=True)
        ]
        if self.n_averaged == 0:
            for mean, new in pairs:
                mean.copy_(new)
        else:
            self._average(pairs)
        if not self.use_buffers:
            for mine, new in zip(self.module.buffers(), model.buffers(), strict=True):
                mine.detach().copy_(new.detach().to(mine.device))
        self.n_averaged += 1

    def _average(self, pairs: list[tuple[Any, Any]]) -> None:
        if self.avg_fn is not None:
            for mean, new in pairs:
                count = self.n_averaged.to(mean.device)
                mean.copy_(self.avg_fn(mean, new, count))
            return
        average = self.multi_avg_fn or get_swa_multi_avg_fn()
        alike: dict[Any, list[tuple[Any, Any]]] = {}
        for mean, new in pairs:
            alike.setdefault((mean.device, mean.dtype), []).append((mean, new))
        for (device, _), same in alike.items():
            means, news = zip(*same, strict=True)
            average(list(means), list(news), self.n_averaged.to(device))


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Computes the running statistics of batch norms anew, from one pass over the data.

    Args:
        loader: batches; of lists and tuples, the first entry is the input.
        model: whose statistics to compute.
        device: where to move inputs before they are passed to the model.
    """
    kind = torch.nn.modules.batchnorm._BatchNorm
    norms = [module for module in model.modules() if isinstance(module, kind)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    was_training = model.training
    with torch.no_grad():
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over batches
        for batch in loader:
            batch = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(batch if device is None else batch.to(device))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(was_training)


class SWALR(LRScheduler):
    """The rate goes to the one for averaging weights, and stays there.

    Args:
        optimizer: whose rates to set.
        swa_lr: the last rate, or a list with one for each group.
        anneal_epochs: how many epochs it takes.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        last_epoch: the epoch to go on after; -1 starts anew.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        rates = per_group("swa_lr", optimizer, swa_lr)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "anneal_strategy must be one of 'cos' or 'linear', instead got "
                f"{anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(
                f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}"
            )
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _way(self, step: int) -> float:
        """How much of the way to the last rate is behind at some step."""
        part = max(0, min(1, step / max(1, self.anneal_epochs)))
        if self._anneal_strategy == "cos":
            return (1 - math.cos(math.pi * part)) / 2
        return part

    def get_lr(self) -> list[Any]:
        rates = self._current()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._way(step - 1), self._way(step)
        result = []
        for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
            last = group["swa_lr"]
            first = last if before == 1 else (lr - before * last) / (1 - before)
            result.append(last * now + first * (1 - now))
        return result
