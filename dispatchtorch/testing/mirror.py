"""A device made of another one's kernels: ``cpu`` behind a foreign array class.

For tests and for the question of what a device needs. A mirror has the kernels that it is
told to have (the primitives alone, unless told otherwise), can note each one that runs,
and can have some of them altered: a device that is wrong on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from dispatchtorch.backend import Backend, get_backend
from dispatchtorch.dispatch.operator import all_operators
from dispatchtorch.lift import run_guarded

__all__ = ["MirrorArray", "mirror_backend", "primitives"]


class MirrorArray:
    """An array of the mirrored device, on a device of another name."""

    __slots__ = ("index", "native", "shape")

    def __init__(self, native: Any, index: int) -> None:
        self.native = native
        self.shape = native.shape
        self.index = index


def primitives() -> set[str]:
    """The names of all primitives: what a device has to supply, and nothing more."""
    return {name for name, op in all_operators().items() if op.is_primitive}


def mirror_backend(
    name: str,
    *,
    kernels: Iterable[str] | None = None,
    alter: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] | None = None,
    note: Callable[[str], None] | None = None,
    of: str = "cpu",
) -> Backend:
    """A backend called ``name`` with ``of``'s memory and the kernels named.

    ``alter`` maps operators to functions that make another kernel of the native one.
    ``note`` is called with the name of each kernel that runs. Register the result with
    ``dispatchtorch.backend.register_backend``.
    """
    source = get_backend(of)
    wanted = primitives() if kernels is None else set(kernels)
    backend: Backend = type(f"Mirror_{name}", (_Mirror,), {"device_type": name})()
    backend.source = source  # type: ignore[attr-defined]
    for operator, kernel in source.kernels.items():
        if operator in wanted:
            function = kernel.function
            if alter and operator in alter:
                function = alter[operator](function)
            backend.add_kernel(operator, _mirrored(source, operator, function, note))
    return backend


def _mirrored(
    source: Backend,
    name: str,
    function: Callable[..., Any],
    note: Callable[[str], None] | None,
) -> Callable[..., Any]:
    def kernel(*args: Any) -> Any:
        index = 0

        def lower(value: Any) -> Any:
            nonlocal index
            if type(value) is MirrorArray:
                index = value.index
                return value.native
            return [lower(v) for v in value] if type(value) is list else value

        lowered = [lower(each) for each in args]
        if note is not None:
            note(name)
        return _raise_up(source, run_guarded(source, function, *lowered), index)

    kernel.__wrapped__ = function  # type: ignore[attr-defined]
    return kernel


def _raise_up(source: Backend, result: Any, index: int) -> Any:
    if isinstance(result, tuple):
        return tuple(_raise_up(source, each, index) for each in result)
    if result is None or result is NotImplemented:
        return result
    if not isinstance(result, source.array_type):
        result = source.coerce(result, None)
    return MirrorArray(result, index)


class _Mirror(Backend):
    """Memory and layout of the mirrored device."""

    array_type = MirrorArray
    source: Backend

    def device_count(self) -> int:
        return 2

    def from_host(self, array: Any, index: int) -> MirrorArray:
        source = self.source
        native = source.from_host(array, 0)
        made = source.empty(source.shape(native), source.dtype(native), 0)
        source.kernels["copy_"].function(made, native)
        return MirrorArray(made, index)

    def to_host(self, array: MirrorArray) -> Any:
        return self.source.to_host(array.native)

    def empty(self, shape: tuple[int, ...], dtype: Any, index: int) -> MirrorArray:
        return MirrorArray(self.source.empty(shape, dtype, 0), index)

    def strides(self, array: MirrorArray) -> tuple[int, ...]:
        return self.source.strides(array.native)

    def offset(self, array: MirrorArray) -> int:
        return self.source.offset(array.native)

    def dtype(self, array: MirrorArray) -> Any:
        return self.source.dtype(array.native)

    def index(self, array: MirrorArray) -> int:
        return array.index

    def data_ptr(self, array: MirrorArray) -> int:
        return self.source.data_ptr(array.native)

    def root(self, array: MirrorArray) -> MirrorArray:
        return MirrorArray(self.source.root(array.native), array.index)
