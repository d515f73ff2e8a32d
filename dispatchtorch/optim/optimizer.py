"""The optimizer base: parameter groups, state, hooks, and files of both.

How a parameter is updated is not decided here: see ``_rules.py``.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

import dispatchtorch as torch
from dispatchtorch.utils.hooks import RemovableHandle

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]

Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]
StateDict: TypeAlias = dict[str, Any]
ParamsT: TypeAlias = Iterable[Any]
GlobalOptimizerPreHook: TypeAlias = Callable[
    ["Optimizer", Args, Kwargs], tuple[Args, Kwargs] | None
]
GlobalOptimizerPostHook: TypeAlias = Callable[["Optimizer", Args, Kwargs], None]

_global_optimizer_pre_hooks: OrderedDict[int, GlobalOptimizerPreHook] = OrderedDict()
_global_optimizer_post_hooks: OrderedDict[int, GlobalOptimizerPostHook] = OrderedDict()

_HOOKS = [
    f"_optimizer_{of}_{when}_hooks"
    for of in ("step", "state_dict", "load_state_dict")
    for when in ("pre", "post")
]


class _RequiredParameter:
    """Marks a default that every parameter group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


def _add_hook(
    hooks: OrderedDict[int, Any], hook: Callable[..., Any], prepend: bool = False
) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: GlobalOptimizerPreHook) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` before any optimizer's ``step``.

    The hook may return a tuple ``(args, kwargs)`` to step with instead.
    """
    return _add_hook(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: GlobalOptimizerPostHook) -> RemovableHandle:
    """Calls ``hook(optimizer, args, kwargs)`` after any optimizer's ``step``."""
    return _add_hook(_global_optimizer_post_hooks, hook)


class Optimizer:
    """The base of all optimizers.

    Args:
        params: tensors, ``(name, tensor)`` pairs, or dicts with a ``"params"`` entry
            and the options of that group. The order must be the same from run to run.
        defaults: the options of groups that don't give their own.
    """

    OptimizerPreHook: TypeAlias = Callable[[Any, Args, Kwargs], Any]
    OptimizerPostHook: TypeAlias = Callable[[Any, Args, Kwargs], None]

    _optimizer_step_pre_hooks: OrderedDict[int, OptimizerPreHook]
    _optimizer_step_post_hooks: OrderedDict[int, OptimizerPostHook]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Any]

    defaults: dict[str, Any]
    param_groups: list[dict[str, Any]]
    state: defaultdict[Any, Any]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        self._patch_step_function()
        if isinstance(params, torch.Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of "
                f"Tensors or dicts, but got {torch.typename(params)}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    # What it is made of.

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, such as layers unfrozen while training.

        Args:
            param_group: ``"params"`` (a tensor or an ordered collection of tensors or
                of ``(name, tensor)`` pairs) and the options that differ from the
                defaults.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, torch.Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. Please use "
                "a list instead."
            )
        else:
            params = list(params)
        names = [param[0] for param in params if isinstance(param, tuple)]
        if names:
            if len(names) != len(params):
                raise ValueError(
                    "all optimizer params should be with/without names. Some param "
                    "names are missing"
                )
            params = [param[1] for param in params]
        param_group["params"] = params
        if names:
            param_group["param_names"] = names

        differentiable = self.defaults.get("differentiable")
        for param in params:
            if not isinstance(param, torch.Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    + torch.typename(param)
                )
            if not (differentiable or param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization "
                    f"parameter {name}"
                )
            param_group.setdefault(name, default)

        if len(set(params)) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in "
                "future, this will cause an error; see "
                "github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        known = {param for group in self.param_groups for param in group["params"]}
        if not known.isdisjoint(params):
            raise ValueError("some parameters appear in more than one parameter group")
        if self.param_groups:
            named = "param_names" in self.param_groups[0]
            if named != ("param_names" in param_group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot "
                    f"add param group {'without' if named else 'with'} names to the "
                    "optimizer"
                )
        self.param_groups.append(param_group)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group):
                if key != "params":
                    text += f"    {key}: {group[key]}\n"
        return text + ")"

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)

    # Stepping.

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Does one optimization step.

        Args:
            closure: evaluates the model again and returns the loss; needed by some
                optimizers only.
        """
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Resets the gradients of all parameters.

        Args:
            set_to_none: drop the gradients rather than fill them with zeros. Less
                memory, and parameters without a new gradient are then left alone.
        """
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                    continue
                grad = param.grad
                if grad is None:
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps a ``step`` so that it runs the step hooks and shows in profiles."""

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self = args[0]
            # Asked without importing the profiler.
            profiler = sys.modules.get("dispatchtorch.autograd.profiler")
            if getattr(profiler, "_is_profiler_enabled", False):
                name = f"Optimizer.step#{type(self).__name__}.step"
                with torch.autograd.profiler.record_function(name):
                    return _hooked_step(self, func, args, kwargs)
            if (
                self._optimizer_step_pre_hooks
                or self._optimizer_step_post_hooks
                or _global_optimizer_pre_hooks
                or _global_optimizer_post_hooks
            ):
                return _hooked_step(self, func, args, kwargs)
            return func(*args, **kwargs)

        return wrapper

    def _patch_step_function(self) -> None:
        cls = type(self)
        if not getattr(cls.step, "hooked", None):
            step = self.profile_hook_step(cls.step)
            step.hooked = True  # type: ignore[attr-defined]
            cls.step = step  # type: ignore[method-assign]

    def register_step_pre_hook(self, hook: OptimizerPreHook) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` before each ``step``.

        ``args`` starts with the optimizer itself. The hook may return a tuple
        ``(args, kwargs)`` to step with instead.
        """
        return _add_hook(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: OptimizerPostHook) -> RemovableHandle:
        """Calls ``hook(optimizer, args, kwargs)`` after each ``step``."""
        return _add_hook(self._optimizer_step_post_hooks, hook)

    # Files.

    def register_state_dict_pre_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` before ``state_dict`` collects anything."""
        return _add_hook(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(
        self,
        hook: Callable[[Optimizer, StateDict], StateDict | None],
        prepend: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)``, which may return another dict."""
        return _add_hook(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self,
        hook: Callable[[Optimizer, StateDict], StateDict | None],
        prepend: bool = False,
    ) -> RemovableHandle:
        """Calls ``hook(optimizer, state_dict)``, which may return what to load instead.

        The hook is given a shallow copy of the dict that the caller passed.
        """
        return _add_hook(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[[Optimizer], None], prepend: bool = False
    ) -> RemovableHandle:
        """Calls ``hook(optimizer)`` after ``load_state_dict``."""
        return _add_hook(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    def state_dict(self) -> StateDict:
        """Returns ``{"state": ..., "param_groups": ...}``, parameters as numbers.

        State tensors are not copied.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[Any, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [
                numbers.setdefault(param, len(numbers)) for param in group["params"]
            ]
            groups.append(packed)
        state = {
            numbers[key] if isinstance(key, torch.Tensor) else key: value
            for key, value in self.state.items()
        }
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Takes over the state and options of a ``state_dict``.

        Parameters are matched by their order; names, where a file has them, change
        nothing. State tensors go to the device and dtype of their parameter (a ``step``
        stays as it is unless the group is capturable or fused).
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed

        saved = deepcopy(state_dict["param_groups"])
        if len(saved) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups"
            )
        owner: dict[Any, tuple[Any, dict[str, Any]]] = {}
        for old, new in zip(self.param_groups, saved, strict=True):
            if len(old["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match "
                    "the size of optimizer's group"
                )
            for number, param in zip(new["params"], old["params"], strict=True):
                owner[number] = (param, new)
            new["params"] = old["params"]
            if "param_names" in old and "param_names" not in new:
                new["param_names"] = old["param_names"]

        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in owner:
                param, group = owner[key]
                state[param] = _cast_state(value, param, group)
            else:
                state[key] = value
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    @staticmethod
    def _process_value_according_to_param_policy(
        param: Any, value: Any, group: dict[str, Any], key: Any = None
    ) -> Any:
        """Where and in which dtype a loaded state tensor shall live."""
        if key == "step":
            if group.get("capturable") or group.get("fused"):
                return value.to(dtype=torch.float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)


def _hooked_step(
    self: Any, step: Callable[..., Any], args: Args, kwargs: Kwargs
) -> Any:
    own = self._optimizer_step_pre_hooks
    if own or _global_optimizer_pre_hooks:
        for hook in chain(_global_optimizer_pre_hooks.values(), own.values()):
            result = hook(self, args, kwargs)
            if result is None:
                continue
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(
                    f"{step} must return None or a tuple of (new_args, new_kwargs), "
                    f"but got {result}."
                )
            args, kwargs = result
    out = step(*args, **kwargs)
    own = self._optimizer_step_post_hooks
    if own or _global_optimizer_post_hooks:
        for hook in chain(own.values(), _global_optimizer_post_hooks.values()):
            hook(self, args, kwargs)
    return out


def _cast_state(value: Any, param: Any, group: dict[str, Any], key: Any = None) -> Any:
    """``value`` of a file with its tensors moved to where ``param`` wants them."""
    if isinstance(value, torch.Tensor):
        policy = Optimizer._process_value_according_to_param_policy
        return policy(param, value, group, key)
    if isinstance(value, dict):
        return {k: _cast_state(v, param, group, k) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(_cast_state(v, param, group) for v in value)
    return value


@contextmanager
def swap_in_optimizer_params_and_state(
    optimizer: Optimizer,
    swapin_parameters: dict[str, Any],
    swapin_optim_state: dict[str, Any],
) -> Iterator[None]:
    """Lets an optimizer act on other parameters and another state for a while.

    Args:
        optimizer: must have state already.
        swapin_parameters: the tensors to optimize instead, in the optimizer's order.
        swapin_optim_state: the state and options, shaped as ``optimizer.state_dict()``.
            Tensors in it are changed in place by a step; nothing else is written back.
    """
    own = f"{swap_in_optimizer_params_and_state.__name__} requires"
    if not optimizer.state:
        raise RuntimeError(f"{own} initialized optimizer state.")
    params = list(swapin_parameters.values())
    groups = optimizer.param_groups
    if sum(len(group["params"]) for group in groups) > len(params):
        raise RuntimeError(
            f"{own} the explicit parameter state to match optimizer.param_groups "
            "ordering."
        )
    new_state = swapin_optim_state.get("state")
    if not isinstance(new_state, dict):
        raise RuntimeError(
            f"{own} swapin_optim_state['state'] to be a dict mapping packed parameter "
            f"ids to per-param state dicts, got {type(new_state).__name__}."
        )
    new_groups = swapin_optim_state.get("param_groups", [])
    if len(new_groups) != len(groups):
        raise RuntimeError(
            "swapin_optim_state has a different number of parameter groups than the "
            "live optimizer."
        )
    state: defaultdict[Any, Any] = defaultdict(dict)
    swapped = []
    rest = iter(params)
    for i, (live, new) in enumerate(zip(groups, new_groups, strict=True)):
        if len(live["params"]) != len(new["params"]):
            raise RuntimeError(
                f"swapin_optim_state param group {i} has a different number of params "
                "than the live optimizer param group."
            )
        if live.keys() != new.keys():
            raise RuntimeError(
                f"{own} optimizer.state_dict()-style param group keys to exactly match "
                f"the live optimizer group keys for group {i}. Keys only in swap-in: "
                f"{[key for key in new if key not in live]}. Keys only in live: "
                f"{[key for key in live if key not in new]}."
            )
        mine = [next(rest) for _ in live["params"]]
        for param, number in zip(mine, new["params"], strict=True):
            state[param] = dict(new_state.get(number, {}))
        swapped.append({key: mine if key == "params" else new[key] for key in live})

    # The list and the dicts of groups stay the same objects: schedulers hold on to
    # them.
    saved = [dict(group) for group in groups]
    live_state = optimizer.state
    try:
        optimizer.state = state
        for group, new in zip(groups, swapped, strict=True):
            group.clear()
            group.update(new)
        yield
    finally:
        optimizer.state = live_state
        for group, old in zip(groups, saved, strict=True):
            group.clear()
            group.update(old)
