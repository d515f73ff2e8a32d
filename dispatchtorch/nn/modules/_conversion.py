"""Moving and converting a module's tensors: ``to``, ``float`` and their kind."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import dispatchtorch as torch
from dispatchtorch import Tensor
from dispatchtorch.nn.parameter import Parameter

if TYPE_CHECKING:
    from typing import Self

    from .module import Module

__all__ = ["Conversion"]

_NO_META_DATA = "Cannot copy out of meta tensor; no data!"


def _mover(name: str) -> Callable[..., Any]:
    """The method that calls the tensor method of that name on each tensor."""

    def move(self: Any, device: Any = None) -> Any:
        return self._apply(lambda t: getattr(t, name)(device))

    move.__name__ = name
    move.__qualname__ = f"Module.{name}"
    move.__doc__ = (
        f"Moves all parameters and buffers with ``Tensor.{name}(device)``, in place."
    )
    return move


class Conversion:
    """The part of :class:`Module` that changes the device or dtype of its tensors.

    All of it happens in place: parameters stay the same objects wherever their memory
    can be exchanged, so optimizers keep working.
    """

    if TYPE_CHECKING:
        _parameters: dict[str, Parameter | None]
        _buffers: dict[str, Tensor | None]

        def children(self) -> Iterator[Module]: ...

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replaces every parameter, gradient and buffer by ``fn`` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        param: Any
        for name, param in self._parameters.items():
            if param is None:
                continue
            with torch.no_grad():
                applied = fn(param)
            grad = param.grad
            if _keeps_identity(param, applied):
                param.data = applied
                target: Any = param
            else:
                target = Parameter(applied, param.requires_grad)
                self._parameters[name] = target
            if grad is not None:
                with torch.no_grad():
                    new_grad = fn(grad)
                if _keeps_identity(grad, new_grad):
                    grad.data = new_grad
                    target.grad = grad
                else:
                    target.grad = new_grad.requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Moves and/or converts the parameters and buffers, in place.

        ``to(device=None, dtype=None, non_blocking=False)``, ``to(dtype, non_blocking)``
        or ``to(tensor, non_blocking)``, each with ``memory_format=`` for 4-D and 5-D
        parameters. Only floating point and complex tensors change their dtype; other
        dtypes raise TypeError.
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex dtypes, but "
                    f"got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature under active development whose "
                    "design may change, and some modules might not work as expected "
                    "when using complex tensors as parameters or buffers.",
                    stacklevel=2,
                )

        def convert(t: Tensor) -> Tensor:
            kind = dtype if t.is_floating_point() or t.is_complex() else None
            options: dict[str, Any] = {}
            if memory_format is not None and t.dim() in (4, 5):
                options["memory_format"] = memory_format
            try:
                return t.to(device, kind, non_blocking, **options)
            except NotImplementedError as error:
                if str(error) != _NO_META_DATA:
                    raise
                raise NotImplementedError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of "
                    "torch.nn.Module.to() when moving module from meta to a different "
                    "device."
                ) from None

        return self._apply(convert)

    def to_empty(self, *, device: Any, recurse: bool = True) -> Self:
        """Moves to ``device`` without copying: values are undefined afterwards."""
        return self._apply(
            lambda t: torch.empty_like(t, device=device), recurse=recurse
        )

    def cpu(self) -> Self:
        """Moves all parameters and buffers to the host's memory, in place."""
        return self._apply(lambda t: t.cpu())

    cuda = _mover("cuda")
    ipu = _mover("ipu")
    xpu = _mover("xpu")
    mtia = _mover("mtia")

    def share_memory(self) -> Self:
        """Moves all tensors to memory shared between processes."""
        return self._apply(lambda t: t.share_memory_())

    def type(self, dst_type: Any) -> Self:
        """Casts all parameters and buffers, of any dtype, to ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Casts all floating point parameters and buffers to ``float32``."""
        return self._cast(torch.float32)

    def double(self) -> Self:
        """Casts all floating point parameters and buffers to ``float64``."""
        return self._cast(torch.float64)

    def half(self) -> Self:
        """Casts all floating point parameters and buffers to ``float16``."""
        return self._cast(torch.float16)

    def bfloat16(self) -> Self:
        """Casts all floating point parameters and buffers to ``bfloat16``."""
        return self._cast(torch.bfloat16)

    def _cast(self, dtype: torch.dtype) -> Self:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)


def _keeps_identity(old: Tensor, new: Tensor) -> bool:
    """Whether ``old`` can take over the memory of ``new`` and stay the same object."""
    # The setting exists only once somebody imported the module that changes it.
    future = sys.modules.get("dispatchtorch.__future__")
    if future is not None and future.get_overwrite_module_params_on_conversion():
        return False
    return old.is_meta == new.is_meta and old.layout == new.layout


_TO_FORMS = "".join(
    f"\n * ({form}bool non_blocking = False, bool copy = False, *, "
    "torch.memory_format memory_format = None)"
    for form in (
        "torch.device device = None, torch.dtype dtype = None, ",
        "torch.dtype dtype, ",
        "Tensor tensor, ",
    )
)


def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
    """``Module.to``'s arguments as (device, dtype, non_blocking, memory_format)."""
    names: tuple[str, ...] = ("device", "dtype", "non_blocking", "copy")
    if isinstance(args[0] if args else kwargs.get("tensor"), Tensor):
        names = ("tensor", "non_blocking", "copy")
    elif args and isinstance(args[0], torch.dtype):
        names = names[1:]
    types: dict[str, Any] = {
        "device": (str, int, torch.device, type(None)),
        "dtype": (torch.dtype, type(None)),
        "tensor": Tensor,
        "non_blocking": bool,
        "copy": bool,
        "memory_format": (torch.memory_format, type(None)),
    }
    given = dict(zip(names, args, strict=False))
    fits = (
        len(args) <= len(names)
        and not given.keys() & kwargs.keys()
        and kwargs.keys() <= {*names, "memory_format"}
    )
    given.update(kwargs)
    if not fits or not all(isinstance(v, types[k]) for k, v in given.items()):
        got = [type(v).__name__ for v in args]
        got += [f"{k}={type(v).__name__}" for k, v in kwargs.items()]
        listed = ", ".join(got) if args else "".join(f"{g}, " for g in got)
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({listed}), but "
            f"expected one of:{_TO_FORMS}\n"
        )
    if given.get("copy"):
        raise RuntimeError(".to() does not accept copy argument")
    like = given.get("tensor")
    device = given.get("device") if like is None else like.device
    dtype = given.get("dtype") if like is None else like.dtype
    if device is not None:
        device = torch.device(device)
    return device, dtype, given.get("non_blocking", False), given.get("memory_format")
