"""A module's state: ``state_dict``, ``load_state_dict`` and their hooks."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.nn.parameter import Parameter, is_lazy

from ._hooks import register

if TYPE_CHECKING:
    from dispatchtorch.utils.hooks import RemovableHandle

    from .module import Module

__all__ = ["StateDict"]

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(
    namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])
):
    """What ``load_state_dict`` found on one side only."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _PublicHook:
    """A state dict hook of the public kind: it works in place and returns nothing."""

    def __init__(self, hook: Callable[..., None]) -> None:
        self.hook = hook

    def __call__(self, *args: Any) -> None:
        if self.hook(*args) is not None:
            raise RuntimeError("state_dict post-hook must return None")


class StateDict:
    """The part of :class:`Module` that is about its state."""

    if TYPE_CHECKING:
        _version: int
        _parameters: dict[str, Parameter | None]
        _buffers: dict[str, Tensor | None]
        _modules: dict[str, Module | None]
        _non_persistent_buffers_set: set[str]
        _state_dict_hooks: OrderedDict[int, Callable[..., Any]]
        _state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
        _load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
        _load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]

    def get_extra_state(self) -> Any:
        """More to keep in the state dict; override it with ``set_extra_state``."""
        raise RuntimeError(_UNREACHABLE.format("get_extra_state"))

    def set_extra_state(self, state: Any) -> None:
        """Takes what ``get_extra_state`` gave, when a state dict is loaded."""
        raise RuntimeError(_UNREACHABLE.format("set_extra_state"))

    def _overrides(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(StateDict, name)

    # Hooks.

    def register_state_dict_pre_hook(
        self, hook: Callable[..., None]
    ) -> RemovableHandle:
        """Calls ``hook(module, prefix, keep_vars)`` before ``state_dict`` collects."""
        return register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(
        self, hook: Callable[..., None]
    ) -> RemovableHandle:
        """Calls ``hook(module, state_dict, prefix, local_metadata)`` on the collected
        state, which it may change in place. It must return None."""
        return register(self._state_dict_hooks, _PublicHook(hook))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """As the public kind, but what ``hook`` returns replaces the state dict."""
        for known in self._state_dict_hooks.values():
            if isinstance(known, _PublicHook) and known.hook is hook:
                raise RuntimeError(
                    "Cannot register the same function as the state dict post hook "
                    "that was previously registered via register_state_dict_post_hook"
                )
        return register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., None]
    ) -> RemovableHandle:
        """Calls ``hook(module, state_dict, prefix, local_metadata, strict,
        missing_keys, unexpected_keys, error_msgs)`` before this module's own state is
        loaded."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., None], with_module: bool = False
    ) -> RemovableHandle:
        # A partial follows its module when that is copied or pickled.
        bound = functools.partial(hook, self) if with_module else hook
        return register(self._load_state_dict_pre_hooks, bound)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., None]
    ) -> RemovableHandle:
        """Calls ``hook(module, incompatible_keys)`` after loading; it may edit the two
        lists in place, which decides whether a strict load fails."""
        return register(self._load_state_dict_post_hooks, hook)

    # Saving.

    def state_dict(
        self,
        *args: Any,
        destination: Any = None,
        prefix: str = "",
        keep_vars: bool = False,
    ) -> Any:
        """All parameters and persistent buffers by name, of this and its submodules.

        Args:
            destination: a dict to fill; a new ``OrderedDict`` if None. It also gets an
                attribute ``_metadata`` with the version of each module.
            prefix: put before every name.
            keep_vars: gives the tensors themselves; otherwise they are detached.
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            given = dict(
                zip(("destination", "prefix", "keep_vars"), args, strict=False)
            )
            destination = given["destination"] if destination is None else destination
            prefix = given.get("prefix", "") if prefix == "" else prefix
            keep_vars = keep_vars or given.get("keep_vars", False)
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination,
                    prefix=f"{prefix}{name}.",
                    keep_vars=keep_vars,
                )
        for hook in self._state_dict_hooks.values():
            replacement = hook(self, destination, prefix, local_metadata)
            if replacement is not None:
                destination = replacement
        return destination

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        """Puts this module's own state, not its submodules', into ``destination``."""
        for name, value in self._named_state().items():
            destination[prefix + name] = value if keep_vars else value.detach()
        if self._overrides("get_extra_state"):
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def _named_state(self) -> dict[str, Tensor]:
        """This module's own parameters and persistent buffers, without Nones."""
        state: dict[str, Any] = {
            name: param for name, param in self._parameters.items() if param is not None
        }
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                state[name] = buffer
        return state

    # Loading.

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Loads what ``state_dict`` saved into this module and its submodules.

        Args:
            state_dict: names and tensors; its own dict is left as it is.
            strict: whether names that are missing or unexpected are an error.
            assign: takes the given tensors themselves instead of copying values, with
                their dtype and device; ``requires_grad`` stays the module's.

        Returns the named tuple ``(missing_keys, unexpected_keys)``. Raises RuntimeError
        that lists everything that doesn't fit.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"Expected state_dict to be dict-like, got {type(state_dict)}."
            )
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        state: Any = OrderedDict(state_dict)
        if metadata is not None:
            state._metadata = metadata  # hooks may read it

        def load(module: Any, local: Any, prefix: str) -> None:
            local_metadata = dict((metadata or {}).get(prefix[:-1], {}))
            if assign:
                local_metadata["assign_to_params_buffers"] = assign
            module._load_from_state_dict(
                local, prefix, local_metadata, True, missing, unexpected, errors
            )
            for name, child in module._modules.items():
                if child is not None:
                    inner = f"{prefix}{name}."
                    part = {k: v for k, v in local.items() if k.startswith(inner)}
                    load(child, part, inner)
            incompatible = _IncompatibleKeys(missing, unexpected)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, incompatible) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` "
                        "are not expected to return new values, if incompatible_keys "
                        "need to be modified, it should be done inplace."
                    )

        load(self, state, "")
        if strict:
            errors[:0] = [
                "{} key(s) in state_dict: {}. ".format(
                    what, ", ".join(f'"{k}"' for k in keys)
                )
                for what, keys in (("Missing", missing), ("Unexpected", unexpected))
                if keys
            ]
        if errors:
            listed = "\n\t".join(errors)
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}"
            )
        return _IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Loads this module's own state; override it to read older versions.

        ``local_metadata["version"]`` is the version the state was saved with.
        """
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = self._named_state()
        for name, param in own.items():
            key = prefix + name
            if key in state_dict:
                error = self._load_one(name, param, key, state_dict[key], assign)
                if error:
                    error_msgs.append(error)
            elif strict:
                missing_keys.append(key)

        extra_key = prefix + _EXTRA_STATE_KEY_SUFFIX
        if self._overrides("set_extra_state"):
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    name, dot, _ = key[len(prefix) :].partition(".")
                    if name not in (self._modules if dot else own):
                        unexpected_keys.append(key)

    def _load_one(
        self, name: str, param: Any, key: str, given: Any, assign: bool
    ) -> str | None:
        """Puts ``given`` in place of ``param``; returns what doesn't fit, if any."""
        if not isinstance(given, Tensor) and not hasattr(
            type(given), "__torch_function__"
        ):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or '
                f"Tensor-like object from checkpoint but received {type(given)}"
            )
        lazy = is_lazy(param)
        if lazy and is_lazy(given) and not assign:
            return None  # there is nothing to copy yet
        if not lazy and param.ndim == 0 and given.ndim == 1:
            given = given[0]  # scalars were saved with one dimension long ago
        if not lazy and given.shape != param.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {given.shape} "
                f"from checkpoint, the shape in current model is {param.shape}."
            )
        if param.is_meta and not given.is_meta and not assign:
            warnings.warn(
                f"for {key}: copying from a non-meta parameter in the checkpoint to a "
                "meta parameter in the current model, which is a no-op. (Did you mean "
                "to pass `assign=True` to assign items in the state dictionary to "
                "their corresponding key in the module instead of copying them in "
                "place?)",
                stacklevel=2,
            )
        try:
            with torch.no_grad():
                if not assign:
                    param.copy_(given)
                    return None
                if isinstance(param, Parameter):
                    if isinstance(given, Parameter):
                        given.requires_grad_(param.requires_grad)
                    else:
                        given = Parameter(given, requires_grad=param.requires_grad)
                setattr(self, name, given)
                return None
        except Exception as error:
            return (
                f'While copying the parameter named "{key}", whose dimensions in the '
                f"model are {param.size()} and whose dimensions in the checkpoint are "
                f"{given.size()}, an exception occurred : {error.args}."
            )


_UNREACHABLE = (
    "Reached a code path in Module.{}() that should never be called. A module "
    "overrides get_extra_state and set_extra_state together, or neither."
)
