"""Methods of Tensor off the beaten track: for tools, and kept for older programs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch._tensor_methods._install import attribute, method
from dispatchtorch._tensor_methods.conversion import to_device_method
from dispatchtorch.dtypes import scalar_type_name
from dispatchtorch.tensor import Tensor, wrap

__all__: list[str] = []


@method
def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """The tensor where a condition holds, ``other`` elsewhere."""
    from dispatchtorch.ops._common import torch

    made: Tensor = torch.where(condition, self, other)
    return made


@method
def polygamma_(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma, in place."""
    from dispatchtorch.ops._common import torch

    found = torch.polygamma(n, self)
    if found.dtype is not self.dtype:
        raise RuntimeError(
            f"result type {scalar_type_name(found.dtype)} can't be cast to the desired "
            f"output type {scalar_type_name(self.dtype)}"
        )
    made: Tensor = self.copy_(found)
    return made


@method
def polygamma(self: Tensor, n: int) -> Tensor:
    """The n-th derivative of digamma."""
    from dispatchtorch.ops._common import torch

    made: Tensor = torch.polygamma(n, self)
    return made


@method
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[..., Any]) -> Tensor:
    """Replaces each element by ``callable(element, x's, y's)`` (slow; on the host)."""
    rows = [t.expand(self._shape).reshape(-1).tolist() for t in (self, x, y)]
    made = np.array([callable(*v) for v in zip(*rows, strict=True)], self._data.dtype)
    return self.copy_(wrap(made.reshape(self._shape), self._backend))


@method
def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dims from the outermost in memory to the innermost.

    ``ambiguity_check``: RuntimeError where several orders, or none, describe the memory;
    or a list of memory formats, one of which is to decide.
    """
    strides, shape = self.stride(), self._shape
    order = sorted(range(len(shape)), key=lambda d: (-strides[d], d))
    if 0 in strides:
        # Expanded dims stay where they are, the others move around them.
        free = [d for d in range(len(shape)) if strides[d]]
        found = iter(sorted(free, key=lambda d: (-strides[d], d)))
        order = [next(found) if strides[d] else d for d in range(len(shape))]
    if any(n == 1 for n in shape) and not ambiguity_check:
        order = _dense_order(shape, strides) or order
    if ambiguity_check:
        unclear = len(set(strides)) < len(strides) or 0 in strides
        if unclear and not _decided(self, ambiguity_check):
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one "
                "of the given memory formats."
            )
    return tuple(order)


def _dense_order(shape: Any, strides: Any) -> list[int] | None:
    """The order of dims whose dense layout has these very strides, if there is one."""
    wide = sorted(
        range(len(shape)),
        key=lambda d: (-strides[d], -shape[d] if shape[d] > 1 else 0, d),
    )
    step = 1
    for d in reversed(wide):
        if strides[d] != step:
            return None
        step *= shape[d]
    return wide


def _decided(self: Tensor, formats: Any) -> bool:
    if not isinstance(formats, (list, tuple)):
        return False
    return sum(self.is_contiguous(memory_format=f) for f in formats) == 1  # type: ignore[attr-defined]


@method
def const_data_ptr(self: Tensor) -> int:
    """The address of the first element, of memory that won't be written to."""
    return self.data_ptr()  # type: ignore[no-any-return, attr-defined]


@method
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What a module's parameter becomes when ``other`` is loaded into it."""
    return other.detach() if assign else self.copy_(other).detach()


@method
def record_stream(self: Tensor, stream: Any) -> None:
    """Tells a device's allocator that another stream uses the memory."""
    from dispatchtorch.streams import Stream

    backend = self._backend
    if not isinstance(stream, Stream):
        raise RuntimeError("unknown parameter type")
    if not backend.indexed:
        raise NotImplementedError(
            "Could not run 'aten::record_stream' with arguments from the "
            f"'{backend.device_type.upper()}' backend: it has no streams."
        )
    if stream._backend is not backend:
        raise RuntimeError(
            f"record_stream: the tensor is on {self.device}, the stream on "
            f"{stream.device}"
        )
    backend.record_stream(self._data, stream._native)


@method
def storage_type(self: Tensor) -> Any:
    """The class of the typed storage."""
    import dispatchtorch

    name = self.type().rpartition(".")[2].removesuffix("Tensor")
    return getattr(dispatchtorch, f"{name}Storage")


@method
def is_distributed(self: Tensor) -> bool:
    """False: tensors are whole."""
    return False


@attribute
def volatile(self: Tensor) -> bool:
    """False: a mode of old, see ``torch.no_grad``."""
    warnings.warn(
        "volatile was removed (Variable.volatile is always False)", stacklevel=2
    )
    return False


setattr(Tensor, "is_mtia", property(lambda self: self.device.type == "mtia"))
for _name in ("xpu", "ipu", "mtia"):
    setattr(Tensor, _name, to_device_method(_name))

# Methods that PyTorch has taken away, and what to call instead.


def _removed(name: str) -> Callable[..., Any]:
    def function(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        from dispatchtorch.linalg import _removed as removed

        return getattr(removed, name)(self, *args, **kwargs)

    function.__name__ = name
    function.__doc__ = (
        f"Removed, as ``torch.{name}``: raises and says what replaces it."
    )
    return function


for _name in ("eig", "symeig", "lstsq", "solve"):
    method(_removed(_name))


@method
def lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> Any:
    """L and U in one matrix and the rows swapped; see ``torch.lu``."""
    from dispatchtorch.functional import lu as function

    return function(self, pivot=pivot, get_infos=get_infos)


@method
def reinforce(self: Tensor, reward: Any) -> Any:
    """Removed: use ``torch.distributions``."""
    raise RuntimeError(
        "reinforce() was removed.\nUse torch.distributions instead.\n"
        "See https://pytorch.org/docs/main/distributions.html"
    )
