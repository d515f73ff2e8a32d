"""The lift of in-place operators for which a device has a kernel of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch.operator import Operator, get_operator
from dispatchtorch.lift import Lift
from dispatchtorch.lift.base import run_guarded
from dispatchtorch.lift.plain import natives
from dispatchtorch.tensor import Tensor

__all__ = ["Writing", "writes_directly"]


class Writing(Lift):
    """The kernel writes to its first argument, a native array, and returns nothing.

    It gets what the preparation of the functional operator gives. It has to check all
    of it before it writes; returning NotImplemented leaves the call to that operator.
    """

    has_out = False

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Callable[..., Any],
    ) -> Callable[..., Any]:
        function = kernel.function
        prepare = (op.functional or op).prepare
        table = {Tensor: lambda t: t._data, list: natives}

        def write(*args: Any) -> Any:
            given = args if prepare is None else prepare(*args)
            # Tensors may be of a subclass, as parameters are.
            ready = [table.get(type(v), natives)(v) for v in given]
            r = run_guarded(backend, function, *ready)
            return declined(*args) if r is NotImplemented else args[0]

        return write


_WRITING = Writing()


def writes_directly(*names: str) -> None:
    """Lets devices supply kernels for in-place operators."""
    for name in names:
        get_operator(name).lift = _WRITING
