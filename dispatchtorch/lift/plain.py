"""Plain operators: natives in place of tensors, all else as the schema says."""

from __future__ import annotations

from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch.codegen import compile_kernel
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.lift.base import (
    WRAP,
    Function,
    Lift,
    guard_constants,
    guarded,
    out_of_memory,
)
from dispatchtorch.lift.returns import return_type
from dispatchtorch.tensor import Tensor, new_tensor

__all__ = ["Plain", "natives"]

_new = object.__new__


class Plain(Lift):
    """Natives in place of tensors, everything else as the schema says.

    Where the operator declares a preparation, that gives the kernel's arguments (with
    tensors still in place of natives). One that is marked ``only_checks`` returns them as
    they came.
    """

    def __init__(self, *, has_out: bool = True) -> None:
        self.has_out = has_out

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function:
        arguments = op.schema.arguments
        listed = ", ".join(a.name for a in arguments)
        constants: dict[str, Any] = {
            "fn": kernel.function,
            "declined": declined,
            "wrap": _wrapper(op, keys, backend),
            "failed": _PlainFailed(op),
            **guard_constants(backend),
        }
        lines = []
        if op.prepare is not None:
            constants["prepare"] = op.prepare
            if getattr(op.prepare, "only_checks", False):
                lines.append(f"prepare({listed})")
                call = f"r = fn({', '.join(_native_term(a) for a in arguments)})"
            else:
                lines.append(f"args = prepare({listed})")
                call = (
                    "r = fn(*[a._data if type(a) is Tensor else a if type(a) in PLAIN "
                    "else natives(a) for a in args])"
                )
                constants.update(natives=natives, Tensor=Tensor, PLAIN=_PLAIN_TYPES)
        else:
            call = f"r = fn({', '.join(_native_term(a) for a in arguments)})"
        lines += guarded(backend, call, "failed(error)")
        if _single(op) and backend.array_type is not object:
            mark = K.INFERENCE if keys & K.INFERENCE_MODE else 0
            bits = backend.dtype_bits
            bit = "dtype_of(r).bit" if bits is None else "BITS[r.dtype]"
            constants.update(
                BITS=bits,
                array_type=backend.array_type,
                coerce=backend.coerce,
                dtype_of=backend.dtype,
                new=_new,
                BASE=backend.key | mark,
                Tensor=Tensor,
            )
            lines += [
                "if type(r) is not array_type:",
                f"    if r is NotImplemented: return declined({listed})",
                "    r = coerce(r, None)",
                *WRAP.format(keys=f"BASE | {bit}").strip().splitlines(),
            ]
        else:
            lines.append(f"if r is NotImplemented: return declined({listed})")
            lines.append("return wrap(r)")
        return compile_kernel(listed, lines, constants)


def _single(op: Operator) -> bool:
    """Whether an operator returns one tensor."""
    return len(op.schema.returns) == 1 and op.schema.returns[0].split()[0] == "Tensor"


_PLAIN_TYPES = {int, bool, float, tuple, type(None), str, dtypes.dtype}


def natives(value: Any) -> Any:
    """A value with natives in place of tensors, in lists too."""
    if hasattr(value, "_keys"):
        return value._data
    if type(value) is list:
        return [natives(each) for each in value]
    return value


def _native_term(argument: Any) -> str:
    name = argument.name
    if argument.base == "Tensor|Scalar":
        return f"({name}._data if hasattr({name}, '_keys') else {name})"
    if argument.base != "Tensor":
        return str(name)
    if argument.is_list:
        term = f"[(None if each is None else each._data) for each in {name}]"
        return f"(None if {name} is None else {term})" if argument.optional else term
    if argument.optional:
        return f"(None if {name} is None else {name}._data)"
    return f"{name}._data"


class _PlainFailed:
    __slots__ = ("op",)

    def __init__(self, op: Operator) -> None:
        self.op = op

    def __call__(self, error: Exception) -> Exception:
        return out_of_memory(error) if isinstance(error, MemoryError) else error


def _wrapper(op: Operator, keys: int, backend: Backend) -> Function:
    """Wraps what a native kernel returned: an array, several, or a plain value."""
    mark = K.INFERENCE if keys & K.INFERENCE_MODE else 0
    base = backend.key | mark
    array_type, dtype_of, coerce = backend.array_type, backend.dtype, backend.coerce

    def one(r: Any) -> Any:
        if type(r) is not array_type:
            r = coerce(r, None)
        return new_tensor(r, base | dtype_of(r).bit)

    if not op.schema.returns or op.schema.returns[0].split()[0].rstrip("?") not in (
        "Tensor",
        "Tensor[]",
        "Tensor(a)",
        "Tensor(a!)",
    ):
        return lambda r: r
    if len(op.schema.returns) > 1 or op.schema.returns[0].startswith("Tensor["):
        make = return_type(op)
        return lambda rs: make([None if r is None else one(r) for r in rs])
    return one
