"""Lifts: how a native kernel is made to take tensors.

A lift is the shape of a family of operators. It is bound to a native kernel once for each
keyset and yields a flat closure: unwrap, call, wrap. All that is PyTorch's semantics and
no device's business happens here: promotion, scalars, broadcasting errors.

``Pointwise``  operands of one dtype that broadcast; the result's dtype follows a rule
``Plain``      natives in place of tensors, everything else as the schema says
``View``       the result shares memory: a native override, or (shape, strides, offset)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from dispatchtorch import dtypes
from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.codegen import compile_function
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dtypes import BOOL, DTYPE_MASK, INT, SCALAR_MASK
from dispatchtorch.tensor import Tensor, new_tensor

__all__ = ["Lift", "Plain", "Pointwise", "View", "broadcast_shapes", "result_type"]

Function = Callable[..., Any]
_new = object.__new__

WRAP = """
t = new(Tensor)
t._data = r
t._keys = {keys}
t._edge = None
t._ver = None
t._base = None
t._meta = None
return t
"""


def result_keys(backend: Backend, dtype: dtypes.dtype, keys: int) -> int:
    """The keyset of a result: device, dtype, and the mark of inference mode."""
    mark = K.INFERENCE if keys & K.INFERENCE_MODE else 0
    return backend.key | dtype.bit | mark


def guarded(backend: Backend, call: str, failure: str | None) -> list[str]:
    """The lines of ``r = fn(…)``, run in the backend's context where it has one.

    ``failure`` is an expression of the exception to raise instead of ``error``.
    """
    run = call.replace("= fn(", "= run(fn, ") if backend.guard is not None else call
    if failure is None and backend.guard is None:
        return [call]
    raised = failure or "error"
    lines = ["try:", f"    {run}", "except Exception as error:"]
    if backend.guard is not None:
        lines += [
            "    if not is_busy(error): raise " + raised + " from None",
            f"    {call.replace('= fn(', '= guard.copy().run(fn, ')}",
        ]
    else:
        lines.append(f"    raise {raised} from None")
    return lines


def is_busy(error: Exception) -> bool:
    """Whether a context couldn't be entered because another thread is inside it."""
    return type(error) is RuntimeError and "cannot enter context" in str(error)


def run_guarded(backend: Backend, function: Function, *args: Any) -> Any:
    """Calls a native function in the backend's context; for paths that aren't hot."""
    guard = backend.guard
    return function(*args) if guard is None else guard.copy().run(function, *args)


def guard_constants(backend: Backend) -> dict[str, Any]:
    guard = backend.guard
    if guard is None:
        return {}
    return {"run": guard.run, "guard": guard, "is_busy": is_busy}


class Lift:
    """A family of operators that take tensors in the same manner."""

    has_out = True

    def bind(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function:
        """A closure over tensors. ``declined(*args)`` runs the next candidate."""
        raise NotImplementedError

    def bind_inplace(
        self,
        op: Operator,
        keys: int,
        backend: Backend,
        kernel: Kernel,
        declined: Function,
    ) -> Function | None:
        """As :meth:`bind`, writing to the first argument; None if it can't be direct."""
        return None


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
        value_ = _plain_number(value)
        made = self.backend.scalar(value_, self.dtype, 0)
        if value_ == value_ and len(self) < 256:
            self[value_] = made
        return made


def _plain_number(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if item is not None else value


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
            common = _with_scalars(dtypes.dtypes_in(tensor_bits)[0], keys)
            computed = self.compute_dtype(op, common)
            exact = computed.bit == tensor_bits and not _needs_opmath(computed, keys)
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
            "failed": _Failed(op, backend),
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
            constants["check"] = _Broadcast(op, backend)
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
        lines += WRAP.format(keys="KEYS").strip().splitlines()
        return closure(op, listed, lines, constants)

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
        check = None if backend.checks_broadcast else _Broadcast(op, backend)
        failed = _Failed(op, backend)
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
            if _needs_opmath(computed, keys):
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
                if self.result_dtype(computed) is not result:
                    r = run_guarded(backend, backend.cast, r, result)
            except Exception as error:
                raise failed(error, tuple(values)) from None
            return new_tensor(r, result_keys(backend, result, keys))

        if prologue:
            begin["promoting"] = promoting
            return closure(op, listed, lines, begin)
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
        common = _with_scalars(own, keys)
        computed = self.compute_dtype(op.functional, common)
        result = self.result_dtype(computed)
        if result is not own or computed is not own or _needs_opmath(own, keys):
            return None
        _names, operands, rest = self._names(op.functional)
        listed = ", ".join(a.name for a in op.schema.arguments)
        constants: dict[str, Any] = {
            "fn": kernel.function,
            "failed": _Failed(op, backend, inplace=True),
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
        return closure(op, listed, lines, constants)


def closure(
    op: Operator, parameters: str, lines: list[str], constants: dict[str, Any]
) -> Function:
    body = "\n".join("    " + line for line in lines)
    return compile_function(f"def kernel({parameters}):\n{body}", "kernel", constants)


def native_as(value: Any, dtype: dtypes.dtype, backend: Backend, index: int = 0) -> Any:
    """An operand's native array in ``dtype``: cast, or made from a Python number."""
    keys = getattr(value, "_keys", None)
    if keys is None:
        return backend.scalar(_plain_number(value), dtype, index)
    if keys & dtype.bit:
        return value._data
    return run_guarded(backend, backend.cast, value._data, dtype)


def _with_scalars(dtype: dtypes.dtype, keys: int) -> dtypes.dtype:
    """What a dimensioned tensor of ``dtype`` becomes with the Python scalars in keys."""
    scalar = dtypes.scalar_dtype(keys)
    if scalar is None or scalar.category <= dtype.category:
        return dtype
    if scalar.is_complex and dtype.is_floating_point:
        return dtype.to_complex()
    return scalar


def _needs_opmath(dtype: dtypes.dtype, keys: int) -> bool:
    """Half types meet Python scalars in float32, as PyTorch's kernels do."""
    return bool(keys & SCALAR_MASK) and dtype in (dtypes.float16, dtypes.bfloat16)


def result_type(values: Any) -> dtypes.dtype:
    """PyTorch's promotion: dimensioned tensors, then 0-d ones, then Python numbers.

    A lower class takes part only where its category is higher than all classes above.
    """
    dims = zeros = numbers = None
    for value in values:
        keys = getattr(value, "_keys", None)
        if keys is None:
            kind = dtypes.scalar_dtype(_scalar_keys(value))
            assert kind is not None
            numbers = kind if numbers is None else dtypes.promote_types(numbers, kind)
            continue
        own = dtypes.DTYPES[(keys & DTYPE_MASK).bit_length() - 1]
        if value.ndim:
            dims = own if dims is None else dtypes.promote_types(dims, own)
        else:
            zeros = own if zeros is None else dtypes.promote_types(zeros, own)
    found = None
    for kind in (dims, zeros, numbers):
        if kind is None:
            continue
        if found is None:
            found = kind
        elif kind.category > found.category:
            if kind.is_complex and found.is_floating_point and kind is numbers:
                found = found.to_complex()
            else:
                found = dtypes.promote_types(found, kind)
    assert found is not None
    return found


def _scalar_keys(value: Any) -> int:
    return state.keys_of(value)  # type: ignore[attr-defined, no-any-return]


def broadcast_shapes(shapes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The common shape; RuntimeError in PyTorch's words where there is none."""
    result: list[int] = []
    for shape in shapes:
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        start = len(result) - len(shape)
        for i, size in enumerate(shape, start):
            if size != result[i]:
                if result[i] == 1:
                    result[i] = size
                elif size != 1:
                    raise RuntimeError(
                        f"The size of tensor a ({result[i]}) must match the size of "
                        f"tensor b ({size}) at non-singleton dimension {i}"
                    )
    return tuple(result)


class _Broadcast:
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


class _Failed:
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


def shape_mismatch(own: tuple[int, ...], common: tuple[int, ...]) -> RuntimeError:
    return RuntimeError(
        f"output with shape {list(own)} doesn't match the broadcast shape {list(common)}"
    )


def out_of_memory(error: MemoryError) -> RuntimeError:
    return RuntimeError(
        f"DefaultCPUAllocator: can't allocate memory: {error}. Error code 12 (Cannot "
        "allocate memory)"
    )


def _forbidden(message: Any, name: str, dtype: dtypes.dtype) -> Exception:
    kind = NotImplementedError if '" not implemented for' in message else RuntimeError
    if type(message) is tuple:
        kind, message = message
    return kind(message.format(op=name, dtype=dtypes.scalar_type_name(dtype)))


class Plain(Lift):
    """Natives in place of tensors, everything else as the schema says.

    Where the operator declares a preparation, that gives the kernel's arguments (with
    tensors still in place of natives).
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
            constants.update(
                array_type=backend.array_type,
                dtype_of=backend.dtype,
                new=_new,
                BASE=backend.key | mark,
                Tensor=Tensor,
            )
            lines += [
                "if type(r) is not array_type:",
                f"    if r is NotImplemented: return declined({listed})",
                "    return wrap(r)",
                *WRAP.format(keys="BASE | dtype_of(r).bit").strip().splitlines(),
            ]
        else:
            lines.append(f"if r is NotImplemented: return declined({listed})")
            lines.append("return wrap(r)")
        return closure(op, listed, lines, constants)


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


_return_types: dict[str, Any] = {}


def return_type(op: Operator) -> Any:
    """What several results are returned as: a named tuple where the schema names them."""
    names = op.schema.return_names
    if not names or "tuple" in op.tags:
        return tuple
    name = op.schema.name
    made = _return_types.get(name)
    if made is None:
        made = _return_types[name] = make_return_type(name, names)
    return made


def make_return_type(name: str, names: tuple[str, ...]) -> Any:
    """A structured tuple class ``torch.return_types.name``, with PyTorch's repr."""
    from operator import itemgetter

    def __repr__(self: Any) -> str:
        lines = ",\n".join(f"{n}={v!r}" for n, v in zip(names, self, strict=True))
        return f"torch.return_types.{name}(\n{lines})"

    members: dict[str, Any] = {n: property(itemgetter(i)) for i, n in enumerate(names)}
    members.update(
        __slots__=(),
        __repr__=__repr__,
        __module__="torch.return_types",
        __reduce__=lambda self: (_rebuild_return, (name, names, tuple(self))),
        n_fields=len(names),
        n_sequence_fields=len(names),
        n_unnamed_fields=0,
        __match_args__=names,
    )
    return type(name, (tuple,), members)


def _rebuild_return(name: str, names: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    made = _return_types.get(name)
    if made is None:
        made = _return_types[name] = make_return_type(name, names)
    return made(values)


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
        return closure(op, listed, lines, constants)
