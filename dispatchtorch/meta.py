"""The ``meta`` device: shapes and dtypes without values.

Its arrays are layouts. Primitives run by their shape rules; where an operator has none of
its own, the family's general rule (its lift) gives the shape. Decompositions need nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend

__all__ = ["MetaArray", "MetaBackend", "plugin"]


class MetaArray:
    """The layout of an array that has no memory."""

    __slots__ = ("dtype", "offset", "shape", "strides")

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: dtypes.dtype,
        strides: tuple[int, ...] | None = None,
        offset: int = 0,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.strides = _row_major(shape) if strides is None else strides
        self.offset = offset


def _row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    steps, step = [], 1
    for size in reversed(shape):
        steps.append(step)
        step *= max(size, 1)
    return tuple(reversed(steps))


class MetaBackend(Backend):
    """``meta``: every kernel is a shape rule."""

    device_type = "meta"
    array_type = MetaArray
    indexed = False

    def __init__(self) -> None:
        super().__init__()
        self.kernels = _Rules(self)  # type: ignore[assignment]

    def from_host(self, array: np.ndarray[Any, Any], index: int) -> MetaArray:
        return MetaArray(array.shape, dtypes.from_host_dtype(array.dtype))

    def to_host(self, array: MetaArray) -> np.ndarray[Any, Any]:
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")

    def empty(
        self, shape: tuple[int, ...], dtype: dtypes.dtype, index: int
    ) -> MetaArray:
        return MetaArray(tuple(shape), dtype)

    def scalar(self, value: Any, dtype: dtypes.dtype, index: int) -> MetaArray:
        return MetaArray((), dtype)

    def cast(self, array: MetaArray, dtype: dtypes.dtype) -> MetaArray:
        return MetaArray(array.shape, dtype)

    def root(self, array: MetaArray) -> MetaArray:
        return MetaArray((1 << 60,), array.dtype)

    def data_ptr(self, array: MetaArray) -> int:
        return 0


class _Rules(dict[str, Any]):
    """Kernels made from shape rules when they are looked up."""

    def __init__(self, backend: Backend) -> None:
        super().__init__()
        self.backend = backend

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            from dispatchtorch.backend import Kernel
            from dispatchtorch.dispatch.operator import get_operator

            rule = _rule_of(get_operator(name))
            if rule is None:
                return default
            self[name] = Kernel(name, rule, "meta", False)
        return self[name]


def _rule_of(op: Any) -> Callable[..., Any] | None:
    """The shape rule of an operator: its own, or that of its family."""
    from dispatchtorch.lift import Pointwise

    if op.full_name in _MEMORY:
        return _MEMORY[op.full_name]
    if op.shape_rule is not None:
        return lambda *args: _built(op.shape_rule(*args))
    if isinstance(op.lift, Pointwise) and op.functional is None:
        return _pointwise_rule(op)
    return None


def _built(made: Any) -> Any:
    """(shape, dtype) pairs as arrays; several of them as a tuple."""
    if isinstance(made, MetaArray):
        return made
    if isinstance(made[1], dtypes.dtype):
        return MetaArray(tuple(made[0]), made[1])
    return tuple(_built(each) for each in made)


def _pointwise_rule(op: Any) -> Callable[..., Any]:
    def rule(*operands: Any) -> MetaArray:
        from dispatchtorch.lift import broadcast_shapes

        arrays = [o for o in operands if isinstance(o, MetaArray)]
        shape = broadcast_shapes([a.shape for a in arrays])
        dtype = op.lift.result_dtype(arrays[-1].dtype)
        if len({a.shape for a in arrays}) == 1:
            return MetaArray(
                shape, dtype, arrays[0].strides if _dense(arrays[0]) else None
            )
        return MetaArray(shape, dtype)

    return rule


def _dense(array: MetaArray) -> bool:
    step = 1
    for stride, size in sorted(zip(array.strides, array.shape, strict=True)):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def _as_strided(x: MetaArray, shape: Any, strides: Any, offset: int) -> MetaArray:
    return MetaArray(tuple(shape), x.dtype, tuple(strides), offset)


def _copy(target: MetaArray, source: MetaArray) -> None:
    """Nothing to write."""


_MEMORY: dict[str, Callable[..., Any]] = {"as_strided": _as_strided, "copy_": _copy}


class _Plugin:
    def dispatchtorch_describe(self) -> dict[str, Any]:
        return {
            "device": "meta",
            "api": (1, 1),
            "dtypes": "all",
            "install": "shipped with dispatchtorch",
            "summary": "shapes and dtypes without values",
        }

    def dispatchtorch_register_device(self, register: Callable[[Any], None]) -> None:
        register(MetaBackend())


plugin = _Plugin()
