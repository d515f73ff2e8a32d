"""Views: results that share memory, by a native override or (shape, strides, offset)."""

from __future__ import annotations

from typing import Any

from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.codegen import compile_kernel
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import DTYPE_MASK
from dispatchtorch.lift.base import WRAP, Function, Lift
from dispatchtorch.tensor import Tensor, new_tensor

__all__ = ["View"]

_new = object.__new__


class View(Lift):
    """The result shares the first argument's memory.

    ``geometry(shape, strides, offset, *arguments)`` gives those of the result; it
    raises PyTorch's errors. A device's native override is tried first where it has one,
    and whatever it raises is left to ``geometry`` to explain.
    """

    has_out = False

    def __init__(self, geometry: Function) -> None:
        self.geometry = geometry

    def bind_generic(
        self, op: Operator, keys: int, backend: Backend, as_strided: Function
    ) -> Function:
        geometry = self.geometry
        shape_of, strides_of = backend.shape, backend.strides
        offset_of = backend.offset
        mark = K.INFERENCE if keys & K.INFERENCE_MODE else 0
        kept = DTYPE_MASK | backend.key | K.INFERENCE

        def view(self: Tensor, *args: Any) -> Tensor:
            x = self._data
            shape, strides, offset = geometry(
                shape_of(x), strides_of(x), offset_of(x), *args
            )
            r = as_strided(x, shape, strides, offset)
            return new_tensor(r, self._keys & kept | mark)

        return view

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function:
        listed = ", ".join(a.name for a in op.schema.arguments)
        first, _, rest = listed.partition(", ")
        bits = keys & DTYPE_MASK
        mark = K.INFERENCE if keys & (K.INFERENCE_MODE | K.INFERENCE) else 0
        constants: dict[str, Any] = {
            "fn": kernel.function,
            "declined": declined,
            "new": _new,
            "Tensor": Tensor,
            "KEYS": backend.key | bits | mark,
        }
        lines = [
            "try:",
            f"    r = fn({first}._data{', ' if rest else ''}{rest})",
            "except Exception:",
            f"    return declined({listed})",
            f"if r is NotImplemented: return declined({listed})",
            *WRAP.format(keys="KEYS").strip().splitlines(),
        ]
        return compile_kernel(listed, lines, constants)
