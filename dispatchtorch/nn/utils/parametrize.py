"""Parametrizations: a tensor of a module computed by modules from other tensors.

A parametrized module gets a class of its own, in which the tensor is a property; the
tensors behind it live in a `ParametrizationList` under `module.parametrizations`.
Follows the PyTorch page `torch.nn.utils.parametrize`.
"""

from __future__ import annotations

import copy
import copyreg
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch.nn.modules.container import ModuleDict, ModuleList
from dispatchtorch.nn.modules.module import Module
from dispatchtorch.nn.parameter import Parameter

if TYPE_CHECKING:
    from dispatchtorch import Tensor

__all__ = [
    "cached",
    "ParametrizationList",
    "register_parametrization",
    "is_parametrized",
    "remove_parametrizations",
    "type_before_parametrizations",
    "transfer_parametrizations_and_params",
]

_cache_depth = 0
_cache: dict[tuple[int, str], Any] = {}


@contextmanager
def cached() -> Iterator[None]:
    """Within this context a parametrized tensor is computed at its first use only."""
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _type_name(value: Any) -> str:
    return type(value).__name__


_CHANGED = (
    "Registering a parametrization may not change the {what} of the tensor, "
    "unless {flag} flag is enabled.\n{old}.{what}: {a}\n{new}.{what}: {b}"
)
_RETURNED = (
    "The tensor returned by parametrization.right_inverse must have the same {what} "
    "as {old}, unless {flag} flag is enabled.\n{old}.{what}: {a}\nreturned {what}: {b}"
)


def _require_same(message: str, before: Tensor, after: Tensor, **names: str) -> None:
    for what in ("dtype", "shape"):
        a, b = getattr(before, what), getattr(after, what)
        if a != b:
            raise ValueError(message.format(what=what, a=a, b=b, **names))


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor in order, and the tensors behind it.

    What the first parametrization takes is held as `original`, or as `original0`,
    `original1`, … when its `right_inverse` returns a sequence. Raises ValueError for
    no modules and, unless `unsafe`, for modules that change the dtype or shape.
    """

    original: Tensor
    unsafe: bool

    def __init__(
        self, modules: Sequence[Module], original: Tensor, unsafe: bool = False
    ) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.shape, original.dtype
        inner: Any = original
        with torch.no_grad():
            for module in reversed(self):
                if hasattr(module, "right_inverse"):
                    try:
                        inner = module.right_inverse(inner)
                    except NotImplementedError:
                        pass  # starts from the tensor as it is
        self.is_tensor = isinstance(inner, torch.Tensor)
        if not self.is_tensor and not isinstance(inner, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors "
                f"(list, tuple...). Got {_type_name(inner)}"
            )
        self.ntensors = 1 if self.is_tensor else len(inner)
        if self.is_tensor:
            for what in ("dtype", "device"):
                a, b = getattr(original, what), getattr(inner, what)
                if a != b:
                    raise ValueError(
                        "When `right_inverse` outputs one tensor, it may not change "
                        f"the {what}.\noriginal.{what}: {a}\n"
                        f"right_inverse(original).{what}: {b}"
                    )
            # The same object, so that optimisers that hold it keep working.
            original.data = inner.data
            _register(self, "original", original)
        else:
            for i, tensor in enumerate(inner):
                if not isinstance(tensor, torch.Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors "
                        f"(list, tuple...). Got element {i} of the sequence with type "
                        f"{_type_name(tensor)}."
                    )
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor, original.requires_grad)
                _register(self, f"original{i}", tensor)
        if not unsafe:
            result = self()
            if not isinstance(result, torch.Tensor):
                raise ValueError(
                    f"A parametrization must return a tensor. Got {_type_name(result)}."
                )
            for what, a in zip(("dtype", "shape"), reversed(before)):
                b = getattr(result, what)
                if a != b:
                    raise ValueError(
                        "Registering a parametrization may not change the "
                        f"{what} of the tensor, unless `unsafe` flag is enabled.\n"
                        f"unparametrized {what}: {a}\nparametrized {what}: {b}"
                    )

    def _originals(self) -> list[Tensor]:
        if self.is_tensor:
            return [self.original]
        return [getattr(self, f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the tensors behind this one such that it becomes `value`.

        Raises RuntimeError for a parametrization without a `right_inverse`, ValueError
        when one returns something of another kind, number or dtype than is held.
        """
        inner: Any = value
        with torch.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {_type_name(module)} "
                        "does not implement right_inverse."
                    )
                inner = module.right_inverse(inner)
            if self.is_tensor:
                if not isinstance(inner, torch.Tensor):
                    raise ValueError(
                        "`right_inverse` should return a tensor. "
                        f"Got {_type_name(inner)}"
                    )
                what, new = "The tensor returned by `right_inverse`", [inner]
            else:
                if not isinstance(inner, Sequence):
                    raise ValueError(
                        "'right_inverse' must return a sequence of tensors. "
                        f"Got {_type_name(inner)}."
                    )
                if len(inner) != self.ntensors:
                    raise ValueError(
                        "'right_inverse' must return a sequence of tensors of length "
                        f"{self.ntensors}. Got a sequence of length {len(inner)}."
                    )
                what, new = "Tensor {} returned by `right_inverse`", list(inner)
            for i, (tensor, held) in enumerate(zip(new, self._originals())):
                if not isinstance(tensor, torch.Tensor):
                    raise ValueError(
                        "'right_inverse' must return a sequence of tensors or "
                        f"reference-type opaques. Got element {i} of type "
                        f"{_type_name(tensor)}."
                    )
                if tensor.dtype != held.dtype:
                    name = "original" if self.is_tensor else f"original{i}"
                    raise ValueError(
                        f"{what.format(i)} has dtype {tensor.dtype} "
                        f"while `{name}` has dtype {held.dtype}"
                    )
                held.data = tensor.data

    def forward(self) -> Tensor:
        """The parametrized tensor."""
        modules = iter(self)
        x = next(modules)(*self._originals())
        for module in modules:
            x = module(x)
        return x


def _refuse_pickling(self: Any) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through "
        "state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _deepcopy_by_dict(self: Any, memo: dict[int, Any]) -> Any:
    """What `copy.deepcopy` does by itself where `__getstate__` doesn't raise."""
    if id(self) in memo:
        return memo[id(self)]
    replica = self.__new__(self.__class__)
    memo[id(self)] = replica
    replica.__dict__ = copy.deepcopy(self.__dict__, memo)
    for slot in copyreg._slotnames(self.__class__):  # type: ignore[attr-defined]
        if hasattr(self, slot):
            setattr(replica, slot, copy.deepcopy(getattr(self, slot), memo))
    return replica


def _give_own_class(module: Module) -> None:
    cls = type(module)
    members: dict[str, Any] = {"__getstate__": _refuse_pickling}
    if not hasattr(cls, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy_by_dict
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), members)


def _give_property(module: Module, tensor_name: str) -> None:
    def get_parametrized(self: Any) -> Tensor:
        if not _cache_depth:
            return self.parametrizations[tensor_name]()
        key = id(self), tensor_name
        if key not in _cache:
            _cache[key] = self.parametrizations[tensor_name]()
        return _cache[key]

    def set_original(self: Any, value: Tensor) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(get_parametrized, set_original))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Compute `module.<tensor_name>` by `parametrization` from now on.

    Registered on an already parametrized tensor, it is applied last. Its
    `right_inverse`, if it has one, initialises what it takes and serves assignment.
    Raises ValueError for an unknown name and, unless `unsafe`, for a parametrization
    that changes the dtype or shape.
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_appended(module, tensor_name, parametrization)
        held = module.parametrizations[tensor_name]
        held.append(parametrization)
        held.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        held = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _give_property(module, tensor_name)
        module.parametrizations[tensor_name] = held
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized "
            f"element with name '{tensor_name}'"
        )
    return module


def _check_appended(module: Module, tensor_name: str, parametrization: Module) -> None:
    name = f"module.{tensor_name}"
    names = {"flag": "the `unsafe`", "old": name, "new": f"parametrization({name})"}
    before = getattr(module, tensor_name)
    after = parametrization(before)
    if not isinstance(after, torch.Tensor):
        raise ValueError(
            f"A parametrization must return a tensor. Got {_type_name(after)}."
        )
    _require_same(_CHANGED, before, after, **names)
    if hasattr(parametrization, "right_inverse"):
        try:
            back = parametrization.right_inverse(after)
        except NotImplementedError:
            return
        if not isinstance(back, torch.Tensor):
            raise ValueError(
                "parametrization.right_inverse must return a tensor. "
                f"Got: {_type_name(back)}"
            )
        _require_same(_RETURNED, before, back, **names)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether `module`, or its tensor of that name, is parametrized."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    if tensor_name is None:
        return len(parametrizations) > 0
    return tensor_name in parametrizations


def remove_parametrizations(
    module: Module, tensor_name: str, leave_parametrized: bool = True
) -> Module:
    """Make `module.<tensor_name>` a plain tensor again.

    It keeps its present value, or with `leave_parametrized` False the value of the one
    tensor behind it. Raises ValueError when it isn't parametrized, or when several
    tensors are behind it and `leave_parametrized` is False.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(
            f"Module {module} does not have a parametrization on {tensor_name}"
        )
    held = module.parametrizations[tensor_name]
    if held.is_tensor:
        tensor = held.original
        if leave_parametrized:
            with torch.no_grad():
                tensor.data = getattr(module, tensor_name).data
    elif leave_parametrized:
        tensor = getattr(module, tensor_name)
        if tensor.requires_grad:
            tensor = Parameter(tensor)
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, tensor)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """The class that `module` had before it was parametrized."""
    cls = type(module)
    return cls.__bases__[0] if is_parametrized(module) else cls


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations of `from_module` and share their tensors.

    All of them, or those of `tensor_name`. A tensor that `to_module` lacks is added.
    """
    if not is_parametrized(from_module):
        return to_module
    source = from_module.parametrizations
    for name in list(source) if tensor_name is None else [tensor_name]:
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name)))
        for parametrization in source[name]:
            register_parametrization(
                to_module, name, parametrization, unsafe=source[name].unsafe
            )
        target = to_module.parametrizations[name]
        for key in [*source[name]._parameters, *source[name]._buffers]:
            setattr(target, key, getattr(source[name], key))
    return to_module
