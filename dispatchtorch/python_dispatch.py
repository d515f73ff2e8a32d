"""``__torch_dispatch__``: the layer below autograd that hands calls to Python.

A mode switches the layer's bit on for its thread, and tensors of a class with
``__torch_dispatch__`` carry it; all other calls never meet this file. Handlers are given
the :class:`~dispatchtorch._ops.OpOverload` that PyTorch would name, and run with autograd
masked out. Operators that PyTorch decomposes before this layer decompose here too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch._ops import OpOverload, overload_for
from dispatchtorch.backend import get_backend, resolve_device
from dispatchtorch.device import device as Device
from dispatchtorch.device_layer import positional_body
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.keys import AUTOGRAD, FUNCTION, PYTHON, VIEW
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.interception import equip
from dispatchtorch.meta import MetaArray
from dispatchtorch.rejection import given_arguments
from dispatchtorch.tensor import Tensor, support_dispatch

__all__ = ["PythonLayer", "dispatching", "install", "overrides_dispatch", "set_modes"]

Kernel = Callable[..., Any]

# Operators with a decomposition that handlers are given whole, as by PyTorch.
_WHOLE = frozenset(
    """
    _upsample_bicubic2d_aa _upsample_bilinear2d_aa _upsample_lanczos2d_aa
    _upsample_nearest_exact1d _upsample_nearest_exact2d _upsample_nearest_exact3d
    _softmax_backward_data _log_softmax_backward_data adaptive_max_pool2d
    adaptive_max_pool3d allclose avg_pool2d avg_pool3d conv_tbc diag_embed dist equal
    is_same_size ldexp max_pool2d_with_indices max_pool3d_with_indices multi_margin_loss
    renorm rot90 scatter sort split unsafe_split unsafe_split_with_sizes
    upsample_bicubic2d upsample_bilinear2d upsample_linear1d upsample_nearest1d
    upsample_nearest2d upsample_nearest3d upsample_trilinear3d vdot view
    """.split()
)


def _decomposes(op: Operator) -> bool:
    """Whether an operator reaches this layer as the operators it is made of."""
    if op.body is None or "library" in op.tags:
        return False
    if op.derivative is not None:
        return False
    if op.tags & {"factory", "nondifferentiable", "inplace"} or op.name in _WHOLE:
        return False
    return not (
        op.name.startswith("_foreach_") or op.name.endswith(("_copy", "_backward"))
    )


class PythonLayer(Layer):
    """Hands calls to dispatch modes and to ``__torch_dispatch__`` of the operands."""

    name = "python"
    order = 10
    key = PYTHON
    replaces = True

    def bind(self, op: Operator, keys: int, inner: Kernel) -> Kernel:
        if _decomposes(op):
            return positional_body(op)

        below = op.new_table()

        def kernel(*args: Any) -> Any:
            func = overload_for(op, args)
            positional, keywords = arguments_of(op, args)
            return dispatching(
                func, positional, keywords, lambda: below[keys & ~PYTHON](*args)
            )

        return kernel

    def describe(self, op: Operator, keys: int) -> str:
        return "__torch_dispatch__ of subclasses and modes"


def arguments_of(
    op: Operator, args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as PyTorch would pass them on: sizes as lists, no defaults."""
    made = list(args)
    for i, argument in enumerate(op.schema.arguments):
        value = made[i]
        if argument.is_list and value is not None and argument.base != "Tensor":
            made[i] = list(value) if isinstance(value, (list, tuple)) else [value]
            if value is argument.default or tuple(made[i]) == argument.default:
                made[i] = argument.default
    positional, keywords = given_arguments(op, tuple(made))
    if "factory" in op.tags:
        names = {a.name: v for a, v in zip(op.schema.arguments, args, strict=True)}
        if "device" in names and "self" not in names:
            keywords.setdefault("device", _device_of(names["device"]))
        if "pin_memory" in names:
            keywords.setdefault("pin_memory", False)
    return positional, {k.removesuffix("_"): v for k, v in keywords.items()}


def _device_of(device: Any) -> Device:
    if device is not None:
        return Device(device)
    backend, index = resolve_device(None)
    return Device(backend.device_type, index if backend.indexed else None)


def overriding_of(values: Any, found: list[Tensor]) -> list[Tensor]:
    """The operands of classes with ``__torch_dispatch__``, one of each, subclasses first."""
    for each in values:
        if isinstance(each, (list, tuple)):
            overriding_of(each, found)
        elif isinstance(each, Tensor) and each._keys & PYTHON:
            kind = type(each)
            if any(type(other) is kind for other in found):
                continue
            at = next(
                (i for i, o in enumerate(found) if issubclass(kind, type(o))),
                len(found),
            )
            found.insert(at, each)
    return found


def dispatching(
    func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], plain: Kernel
) -> Any:
    """Asks the innermost mode, then the operands; ``plain()`` where there is neither.

    TypeError where all of them answer NotImplemented.
    """
    overriding = overriding_of([*args, *kwargs.values()], [])
    types = tuple([type(t) for t in overriding])
    modes = state.tls.dispatch_modes
    rules = func._operator.rules.get("torch_dispatch", {})
    tried: list[str] = []
    if modes:
        mode = modes[-1]
        before = set_modes(modes[:-1])
        masks = state.update(state.tls.mask & ~(AUTOGRAD | VIEW), state.tls.include)
        try:
            registered = _registered(rules, type(mode))
            if registered is not None:
                result = registered(mode, func, types, args, kwargs)
            else:
                result = mode.__torch_dispatch__(func, types, args, kwargs)
        finally:
            state.restore(masks)
            set_modes(before)
        if result is not NotImplemented:
            return result
        tried.append(f"mode object {mode!r}")
    elif not overriding:
        return plain()
    for each in overriding:
        kind = type(each)
        with state.exclude(AUTOGRAD | VIEW):
            registered = _registered(rules, kind)
            if registered is not None:
                result = registered(func, types, args, kwargs)
            else:
                handler: Any = kind.__torch_dispatch__  # type: ignore[attr-defined]
                result = handler(func, types, args, kwargs)
        if result is not NotImplemented:
            return result
        tried.append(f"tensor subclass {kind}")
    listed = "\n".join(f"  - {each}" for each in tried)
    raise TypeError(
        f"Multiple dispatch failed for 'torch._ops.{func}'; all __torch_dispatch__ "
        f"handlers returned NotImplemented:\n\n{listed}\n\nFor more information, try "
        "re-running with TORCH_LOGS=not_implemented"
    )


def _registered(rules: dict[type, Kernel], kind: type) -> Kernel | None:
    for base in kind.__mro__ if rules else ():
        if base in rules:
            return rules[base]
    return None


def set_modes(modes: tuple[Any, ...]) -> tuple[Any, ...]:
    """Makes these the active dispatch modes of the thread; returns those before."""
    tls = state.tls
    before = tls.dispatch_modes
    tls.dispatch_modes = modes
    include = tls.include | PYTHON if modes else tls.include & ~PYTHON
    state.update(tls.mask, include)
    return before  # type: ignore[no-any-return]


_installed = False


def install() -> None:
    """Registers the layer, at the first mode or subclass."""
    global _installed
    if not _installed:
        _installed = True
        register_layer(PythonLayer())


# Subclasses.


def overrides_dispatch(cls: Any) -> bool:
    """Whether a class of tensors has a ``__torch_dispatch__`` of its own."""
    from dispatchtorch._tensor_methods.subclasses import disabled_dispatch

    found = cls.__torch_dispatch__
    return getattr(found, "__func__", found) is not disabled_dispatch


class Shell(MetaArray):
    """The layout of a wrapper, which has no memory, and the device it says it is on."""

    __slots__ = ("device",)

    device: Device


def make_wrapper_subclass(
    cls: Any,
    size: Any,
    strides: Any = None,
    storage_offset: Any = None,
    memory_format: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    dispatch_sizes_strides_policy: str | None = None,
    dispatch_device: bool = False,
    dispatch_layout: bool = False,
    _extra_dispatch_keys: Any = None,
    storage_size: Any = None,
) -> Any:
    """``Tensor._make_wrapper_subclass``: an instance without memory of its own.

    TypeError for a class without ``__torch_dispatch__``. Sizes, strides, dtype and device
    are what is said here; a class overrides others (or these) as properties.
    """
    if not overrides_dispatch(cls):
        raise TypeError(f"{cls.__name__} must define __torch_dispatch__")
    install()
    wanted = dtypes.get_default_dtype() if dtype is None else dtype
    if requires_grad and not wanted.bit & dtypes.DIFFERENTIABLE_MASK:
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients"
        )
    shape = (size,) if isinstance(size, int) else tuple(int(n) for n in size)
    shell = Shell(
        shape,
        wanted,
        None if strides is None else tuple(int(n) for n in strides),
        storage_offset or 0,
    )
    if strides is None and memory_format is not None:
        from dispatchtorch.ops.creation import torch_memory_format_strides

        found = torch_memory_format_strides(shape, memory_format)
        if found is not None:
            shell.strides = tuple(found)
    shell.device = Device("cpu") if device is None else Device(device)
    made = object.__new__(cls)
    made._data = shell
    made._keys = get_backend("meta").key | wanted.bit | PYTHON
    if requires_grad:
        made._keys |= AUTOGRAD
    made._edge = made._ver = made._base = made._meta = None
    from dispatchtorch._tensor_methods import overrides_functions

    if overrides_functions(cls):
        made._keys |= FUNCTION
        equip(cls)
    return made


def claimed_device(t: Tensor) -> Device | None:
    """The device that a wrapper says it is on; None for tensors with memory."""
    return getattr(t._data, "device", None) if type(t._data) is Shell else None


def same_subclass(t: Tensor) -> Tensor:
    """Another object of a tensor's class with the same state, and without history."""
    made: Tensor = object.__new__(type(t))
    for kind in type(t).__mro__:
        for slot in getattr(kind, "__slots__", ()):
            if slot not in ("__dict__", "__weakref__") and hasattr(t, slot):
                setattr(made, slot, getattr(t, slot))
    made.__dict__.update(t.__dict__)
    if t._ver is None:
        t._ver = [0, 0]
    made._ver = t._ver
    made._keys = t._keys & ~(AUTOGRAD | VIEW)
    made._edge = made._base = made._meta = None
    return made


support_dispatch(claimed_device, same_subclass)
