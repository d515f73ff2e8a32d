"""Lazy modules: they take the sizes of their parameters from the first input."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn.parameter import is_lazy

if TYPE_CHECKING:
    from dispatchtorch.utils.hooks import RemovableHandle

    from .module import Module

    _Base = Module
else:
    _Base = object

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin(_Base):
    """Makes a module lazy; goes before the module's class among the bases.

    The constructor leaves ``UninitializedParameter`` or ``UninitializedBuffer``
    objects; the first call, or loading a state dict, gives them their shapes through
    ``initialize_parameters(*inputs)``, which subclasses define. Then the object becomes
    an instance of ``cls_to_become``, if that is set. An optimizer can be made only
    after that; ``to``, ``float`` and the like work before.
    """

    cls_to_become: type[Any] | None = None

    _load_hook: RemovableHandle
    _initialize_hook: RemovableHandle

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            self._infer_parameters, with_kwargs=True
        )

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materializes the parameters for these inputs of forward."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Whether any parameter or buffer of this module itself has no shape yet."""
        own = itertools.chain(self._parameters.values(), self._buffers.values())
        return any(is_lazy(tensor) for tensor in own)

    def _infer_parameters(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> None:
        """The pre-hook of the first call: fixes the shapes and removes itself."""
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(
                f"module {self._get_name()} has not been fully initialized"
            )
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _lazy_load_hook(self, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
        """Before loading: takes the shapes from the state dict."""
        for name, own in (*self._parameters.items(), *self._buffers.items()):
            given = state_dict.get(prefix + name)
            if is_lazy(own) and given is not None and not is_lazy(given):
                with torch.no_grad():
                    own.materialize(given.shape)  # type: ignore[union-attr]

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        for name, value in self._named_state().items():
            keep = keep_vars or is_lazy(value)
            destination[prefix + name] = value if keep else value.detach()
