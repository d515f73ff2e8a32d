"""Pointwise operators: operands of one dtype that broadcast against each other."""

from __future__ import annotations

import math
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch.codegen import compile_kernel
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import BOOL, DTYPE_MASK, INT, SCALAR_MASK
from dispatchtorch.lift.base import (
    WRAP,
    Function,
    Lift,
    guard_constants,
    guarded,
    native_as,
    out_of_memory,
    plain_number,
    result_keys,
    run_guarded,
    shape_mismatch,
)
from dispatchtorch.lift.promotion import (
    broadcast_shapes,
    needs_opmath,
    result_type,
    with_scalars,
)
from dispatchtorch.tensor import Tensor, new_tensor

__all__ = ["Broadcast", "Failed", "Pointwise"]

_new = object.__new__


class _Scalars(dict[Any, Any]):
    """0-d native arrays of Python numbers in one dtype, made once for each value.

    Zeros have a slot of their own for their sign; the rest is bounded.
    """

    __slots__ = ("backend", "dtype", "minus_zero", "zero")

    def __init__(self, backend: Backend, dtype: dtypes.dtype) -> None:
        super().__init__()
        self.backend = backend
        self.dtype = dtype
        self.zero = self.minus_zero = None

    def of(self, value: Any) -> Any:
        if value:
            return self[value]
        if isinstance(value, float) and math.copysign(1.0, value) < 0:
            return self.backend.scalar(value, self.dtype, 0)
        if self.zero is None:
            self.zero = self.backend.scalar(value, self.dtype, 0)
        return self.zero

    def __missing__(self, value: Any) -> Any:
        value_ = plain_number(value)
        made = self.backend.scalar(value_, self.dtype, 0)
        if value_ == value_ and len(self) < 256:
            self[value_] = made
        return made


class Pointwise(Lift):
    """Operands of one dtype that broadcast against each other.

    ``result``: "same" (the common dtype), "float" (as "same", but integers compute in
    the default dtype), "bool", or "real" (the common dtype's real counterpart).
    ``forbid``: categories (or dtypes) that raise, with PyTorch's message as a format of
    ``{op}`` and ``{dtype}``, or the pair (exception class, message).
    """

    def __init__(
        self,
        result: str = "same",
        *,
        operands: int | None = None,
        forbid: dict[Any, Any] | None = None,
        promotes_bool: bool = False,
    ) -> None:
        self.result = result
        self.operands = operands
        self.forbid = forbid or {}
        self.promotes_bool = promotes_bool

    def compute_dtype(self, op: Operator, common: dtypes.dtype) -> dtypes.dtype:
        """The dtype that operands of a common dtype are computed in."""
        message = self.forbid.get(common.category) or self.forbid.get(common)
        if message is not None:
            raise _forbidden(message, op.name.rstrip("_"), common)
        if self.result == "float" and common.category <= INT:
            return dtypes.get_default_dtype()
        if self.promotes_bool and common.category == BOOL:
            return dtypes.int64
        return common

    def result_dtype(self, computed: dtypes.dtype) -> dtypes.dtype:
        if self.result == "bool":
            return dtypes.bool
        return computed.to_real() if self.result == "real" else computed

    def check_written(self, op: Operator, args: tuple[Any, ...]) -> None:
        """RuntimeError where the result can't be cast to the operand it is written to."""
        names, operands, _ = self._names(op)
        if self.result == "bool":
            return
        values = [args[names.index(n)] for n in operands]
        common = result_type(values)
        if self.result == "float" and common.category <= INT:
            common = dtypes.get_default_dtype()
        elif self.result == "real":
            common = common.to_real()
        own = values[0].dtype
        if not dtypes.can_cast(common, own):
            from dispatchtorch.out_argument import uncastable

            raise uncastable(op.full_name, common, own)

    def prologue(self, op: Operator, constants: dict[str, Any]) -> list[str]:
        """Lines before the call, for arguments that the native kernel doesn't take."""
        return []

    def _names(self, op: Operator) -> tuple[list[str], list[str], list[str]]:
        arguments = op.schema.arguments
        names = [a.name for a in arguments]
        tensors = [a.name for a in arguments if a.is_tensor]
        return names, tensors, [n for n in names if n not in tensors]

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function:
        _names, operands, rest = self._names(op)
        tensor_bits = keys & DTYPE_MASK
        listed = ", ".join(a.name for a in op.schema.arguments)
        one_dtype = tensor_bits & (tensor_bits - 1) == 0
        if one_dtype:
            common = with_scalars(dtypes.dtypes_in(tensor_bits)[0], keys)
            computed = self.compute_dtype(op, common)
            exact = computed.bit == tensor_bits and not needs_opmath(computed, keys)
        else:
            exact = False
        if not exact:
            return self._bind_promoting(op, keys, backend, kernel, declined)
        result = self.result_dtype(computed)
        constants: dict[str, Any] = {
            "fn": kernel.function,
            "new": _new,
            "Tensor": Tensor,
            "KEYS": result_keys(backend, result, keys),
            "array_type": backend.array_type,
            "declined": declined,
            "coerce": backend.coerce,
            "result_dtype": result,
            "failed": Failed(op, backend),
            **guard_constants(backend),
        }
        scalars = keys & SCALAR_MASK
        values = []
        lines = self.prologue(op, constants)
        for name in operands:
            if scalars and name != operands[0]:
                values.append(
                    f"(scalars.of({name}) if type({name}) is not Tensor "
                    f"and not hasattr({name}, '_keys') else {name}._data)"
                )
            elif scalars and len(operands) > 1:
                values.append(
                    f"({name}._data if hasattr({name}, '_keys') "
                    f"else scalars.of({name}))"
                )
            else:
                values.append(f"{name}._data")
        if scalars:
            constants["scalars"] = _Scalars(backend, computed)
            if len(operands) == 2 and op.schema.arguments[0].base == "Tensor":
                # The first is a tensor, so the scalar can only be the second.
                second = operands[1]
                values = [
                    f"{operands[0]}._data",
                    f"scalars[{second}] if {second} else scalars.of({second})",
                ]
        if not backend.checks_broadcast and len(operands) > 1 and not scalars:
            constants["check"] = Broadcast(op, backend)
            lines.append(f"check({', '.join(operands)})")
        call = f"r = fn({', '.join(values + rest)})"
        lines += guarded(backend, call, f"failed(error, ({', '.join(operands)},))")
        if backend.array_type is not object:
            lines += [
                "if type(r) is not array_type:",
                f"    if r is NotImplemented: return declined({listed})",
                "    r = coerce(r, result_dtype)",
            ]
        else:
            lines.append(f"if r is NotImplemented: return declined({listed})")
        if backend.arrange is not None and len(operands) > 1 and not scalars:
            constants["arrange"] = backend.arrange
            lines.append(f"if r.ndim > 1: r = arrange(r, {', '.join(values)})")
        lines += WRAP.format(keys="KEYS").strip().splitlines()
        return compile_kernel(listed, lines, constants)

    def _bind_promoting(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function:
        """Operands of several dtypes: cast to the common one, which dims decide too."""
        names, operands, _ = self._names(op)
        positions = [names.index(n) for n in operands]
        function = kernel.function
        check = None if backend.checks_broadcast else Broadcast(op, backend)
        failed = Failed(op, backend)
        begin: dict[str, Any] = {}
        prologue = self.prologue(op, begin)
        if prologue:
            listed = ", ".join(a.name for a in op.schema.arguments)
            lines = [*prologue, f"return promoting({listed})"]

        def promoting(*args: Any) -> Any:
            args = args[: len(names)]
            values = [args[i] for i in positions]
            common = result_type(values)
            computed = self.compute_dtype(op, common)
            result = self.result_dtype(computed)
            if needs_opmath(computed, keys):
                computed = dtypes.float32
            if check is not None:
                check(*[v for v in values if hasattr(v, "_keys")])
            try:
                index = next(
                    backend.index(v._data) for v in values if hasattr(v, "_keys")
                )
                natives = list(args)
                for i, value in zip(positions, values, strict=True):
                    natives[i] = native_as(value, computed, backend, index)
                r = run_guarded(backend, function, *natives)
                if r is NotImplemented:
                    return declined(*args)
                if type(r) is not backend.array_type:
                    r = backend.coerce(r, self.result_dtype(computed))
                if backend.arrange is not None and r.ndim > 1:
                    r = backend.arrange(r, *[natives[i] for i in positions])
                if self.result_dtype(computed) is not result:
                    r = run_guarded(backend, backend.cast, r, result)
            except Exception as error:
                raise failed(error, tuple(values)) from None
            return new_tensor(r, result_keys(backend, result, keys))

        if prologue:
            begin["promoting"] = promoting
            return compile_kernel(listed, lines, begin)
        return promoting

    def bind_inplace(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function | None:
        assert op.functional is not None
        tensor_bits = keys & DTYPE_MASK
        if not kernel.out or tensor_bits & (tensor_bits - 1):
            return None
        own = dtypes.dtypes_in(tensor_bits)[0]
        common = with_scalars(own, keys)
        if self.result != "bool" and not dtypes.can_cast(common, own):
            return None
        computed = self.compute_dtype(op.functional, common)
        result = self.result_dtype(computed)
        if result is not own or computed is not own or needs_opmath(own, keys):
            return None
        _names, operands, rest = self._names(op.functional)
        listed = ", ".join(a.name for a in op.schema.arguments)
        constants: dict[str, Any] = {
            "fn": kernel.function,
            "failed": Failed(op, backend, inplace=True),
            **guard_constants(backend),
        }
        values = [f"{n}._data" for n in operands]
        if keys & SCALAR_MASK:
            if len(operands) != 2:
                return None
            constants["scalars"] = _Scalars(backend, computed)
            second = operands[1]
            values[1] = f"scalars[{second}] if {second} else scalars.of({second})"
        first = operands[0]
        call = f"r = fn({', '.join(values + rest)}, out={first}._data)"
        lines = self.prologue(op, constants)
        lines += guarded(backend, call, f"failed(error, ({', '.join(operands)},))")
        constants["declined"] = declined
        lines.append(f"if r is NotImplemented: return declined({listed})")
        lines.append(f"return {first}")
        return compile_kernel(listed, lines, constants)


class Broadcast:
    """The check of shapes for backends whose kernels don't make it."""

    __slots__ = ("backend", "op")

    def __init__(self, op: Operator, backend: Backend) -> None:
        self.op = op
        self.backend = backend

    def __call__(self, *tensors: Tensor) -> None:
        shape = self.backend.shape
        shapes = [shape(t._data) for t in tensors]
        first = shapes[0]
        for other in shapes:
            if other != first:
                broadcast_shapes(shapes)
                return


class Failed:
    """Turns a native kernel's exception into the one that PyTorch raises."""

    __slots__ = ("backend", "inplace", "op")

    def __init__(self, op: Operator, backend: Backend, inplace: bool = False) -> None:
        self.op = op
        self.backend = backend
        self.inplace = inplace

    def __call__(self, error: Exception, values: tuple[Any, ...]) -> Exception:
        if isinstance(error, MemoryError):
            return out_of_memory(error)
        shapes = [tuple(v.shape) for v in values if hasattr(v, "_keys")]
        try:
            common = broadcast_shapes(shapes)
        except RuntimeError as mismatch:
            return mismatch
        if self.inplace and common != shapes[0]:
            return shape_mismatch(shapes[0], common)
        return error


def _forbidden(message: Any, name: str, dtype: dtypes.dtype) -> Exception:
    kind = NotImplementedError if '" not implemented for' in message else RuntimeError
    if type(message) is tuple:
        kind, message = message
    return kind(message.format(op=name, dtype=dtypes.scalar_type_name(dtype)))
