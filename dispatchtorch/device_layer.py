"""The innermost layer: finds the kernel of an operator on a device, and lifts it.

The ladder (``candidates``) is read by two: ``DeviceLayer.bind``, which takes the first
candidate that doesn't decline, and ``explain``, which prints them all.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

from dispatchtorch import backend as _backend
from dispatchtorch.backend import Backend, Kernel
from dispatchtorch.dispatch import keys as K
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.codegen import (
    compile_function,
    compile_kernel,
    inlined,
)
from dispatchtorch.dispatch.layer import Layer, register_layer
from dispatchtorch.dispatch.operator import Operator, get_operator, invalidate
from dispatchtorch.dtypes import DIFFERENTIABLE_MASK
from dispatchtorch.errors import FallbackError, UnsupportedOperator, user_level
from dispatchtorch.lift import Plain, Pointwise, View, shape_mismatch
from dispatchtorch.tensor import Tensor, alias, new_tensor

__all__ = [
    "Candidate",
    "DeviceLayer",
    "candidates",
    "fallback_counts",
    "get_fallback_policy",
    "set_fallback_policy",
]

Function = Callable[..., Any]
_plain = Plain()


class Candidate:
    """One rung of the ladder: what kind it is, where it lies, how to bind it."""

    __slots__ = ("kernel", "kind", "where")

    def __init__(self, kind: str, where: str, kernel: Kernel | None = None) -> None:
        self.kind = kind
        self.where = where
        self.kernel = kernel

    def __repr__(self) -> str:
        return f"{self.kind}: {self.where}"


def candidates(op: Operator, backend: Backend) -> list[Candidate]:
    """Where a kernel of ``op`` for a device is looked for, in order."""
    found = []
    for overlay in _backend.overlays_for(backend.device_type):
        kernel = overlay.kernels.get(op.full_name)
        if kernel is not None:
            found.append(Candidate(f"overlay {overlay.name}", kernel.where(), kernel))
    kernel = backend.kernels.get(op.full_name)
    if kernel is not None:
        found.append(Candidate("kernel", kernel.where(), kernel))
    if op.functional is not None:
        found.append(Candidate("functional", f"{op.functional.full_name}, then copy_"))
    elif isinstance(op.lift, View) and op.full_name != "as_strided":
        found.append(Candidate("view", "as_strided by (shape, strides, offset)"))
    elif op.body is not None:
        code = op.body.__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        found.append(Candidate("decomposition", where))
    elif backend.device_type != "cpu" and not op.tags & {"no_fallback", "view"}:
        found.append(Candidate("fallback", f"cpu, policy {get_fallback_policy()!r}"))
    return found


class DeviceLayer(Layer):
    """Unwraps tensors to native arrays, picks the kernel, wraps the result."""

    name = "device"
    order = 0
    always = True

    def bind(self, op: Operator, keys: int, inner: Function) -> Function:
        bits = keys & K.mask_of("device")
        if bits & (bits - 1):
            return _mixed_devices(op, keys)
        if not bits:
            return _without_device(op)
        return resolve(op, keys, _backend.backend_of(keys))

    def describe(self, op: Operator, keys: int) -> str:
        ladder = candidates(op, _backend.backend_of(keys))
        return repr(ladder[0]) if ladder else "no kernel"


def resolve(op: Operator, keys: int, backend: Backend, start: int = 0) -> Function:
    """The kernel from rung ``start`` of the ladder; lower rungs bind when needed."""
    ladder = candidates(op, backend)[start:]
    if not ladder:
        return _unsupported(op, backend)
    rung = ladder[0]
    bound: list[Function] = []

    def declined(*args: Any) -> Any:
        place = (op.full_name, rung.where)
        _declined[place] = _declined.get(place, 0) + 1
        if not bound:
            bound.append(resolve(op, keys, backend, start + 1))
        return bound[0](*args)

    if rung.kernel is not None:
        lift = op.lift or _plain
        return lift.bind(op, keys, backend, rung.kernel, declined)  # type: ignore[no-any-return]
    if rung.kind == "functional":
        return _inplace(op, keys, backend)
    if rung.kind == "view":
        as_strided = native_kernel("as_strided", backend)
        return op.lift.bind_generic(op, keys, backend, as_strided)  # type: ignore[no-any-return]
    if rung.kind == "decomposition":
        return decomposition(op, keys)
    return _fallback(op, backend)


_declined: dict[tuple[str, str], int] = {}


def declined_counts() -> dict[tuple[str, str], int]:
    """(operator, where the kernel is) -> calls that the kernel left to the next one."""
    return dict(_declined)


def native_kernel(name: str, backend: Backend) -> Function:
    """The native function of a primitive that other mechanisms stand on."""
    for rung in candidates(get_operator(name), backend):
        if rung.kernel is not None:
            return rung.kernel.function
    raise UnsupportedOperator(
        f"device '{backend.device_type}' has no kernel '{name}', which every device needs"
    )


def positional_body(op: Operator) -> Function:
    """The decomposition as a function of the schema's arguments in order."""
    body = op.body
    assert body is not None
    keyword = body.__code__.co_kwonlyargcount
    if keyword:
        names = [a.name for a in op.schema.arguments]
        first = len(names) - keyword
        listed = ", ".join(names)
        call = ", ".join(names[:first] + [f"{n}={n}" for n in names[first:]])
        source = f"def adapted({listed}):\n    return body({call})"
        body = compile_function(source, "adapted", {"body": body})
    derived = op.derivative is not None or op.tags & {"fresh", "nondifferentiable"}
    if derived and not op.tags & {"view", "views", "inplace"}:
        return _without_views(body)
    return body


def decomposition(op: Operator, keys: int) -> Function:
    """The body; below autograd, on aliases that have no history to record."""
    body = positional_body(op)
    if not keys & K.AUTOGRAD:
        return body
    if "views" in op.tags:
        # Views must be of the operand itself, whose history they share.
        def masked(*args: Any) -> Any:
            with state.exclude(K.AUTOGRAD | K.VIEW):
                return body(*args)

        return masked

    def below_autograd(*args: Any) -> Any:
        return body(*[_without_history(each) for each in args])

    return below_autograd


def _without_views(body: Function) -> Function:
    """A decomposition whose results aren't views, though it may end in a view of its own."""

    def fresh(*args: Any) -> Any:
        made = body(*args)
        if type(made) is Tensor:
            return made if made._base is None else _not_a_view(made, args)
        if isinstance(made, tuple) and any(
            getattr(each, "_base", None) is not None for each in made
        ):
            return type(made)(
                [
                    each
                    if getattr(each, "_base", None) is None
                    else _not_a_view(each, args)
                    for each in made
                ]
            )
        return made

    return fresh


def _not_a_view(made: Tensor, args: tuple[Any, ...]) -> Tensor:
    if any(each is made for each in args):
        return made
    own = new_tensor(made._data, made._keys & ~K.VIEW)
    own._edge = made._edge
    own._ver = made._ver
    return own


def _without_history(value: Any) -> Any:
    keys = getattr(value, "_keys", None)
    if keys is not None:
        return alias(value) if keys & K.AUTOGRAD else value
    if type(value) in (list, tuple):
        return [_without_history(each) for each in value]
    return value


def _inplace(op: Operator, keys: int, backend: Backend) -> Function:
    """The functional operator plus a write: directly where the kernel takes ``out=``."""
    functional = op.functional
    assert functional is not None
    copy = native_kernel("copy_", backend)
    compute = functional.new_table()
    below = ~(K.AUTOGRAD | K.VIEW | K.FUNCTION)

    lift = functional.lift
    checked = isinstance(lift, Pointwise) and "where" not in functional.name

    def write(self: Tensor, *args: Any) -> Tensor:
        if checked:
            lift.check_written(functional, (self, *args))
        keyset = keys & below
        result = compute[keyset](*[_without_history(each) for each in (self, *args)])
        return write_back(op, self, result, backend, copy)

    ladder = candidates(functional, backend)
    kernel = ladder[0].kernel if ladder else None
    if kernel is not None and functional.lift is not None:
        direct = functional.lift.bind_inplace(op, keys, backend, kernel, write)
        if direct is not None:
            return direct  # type: ignore[no-any-return]
    return write


def write_back(
    op: Operator, target: Tensor, result: Tensor, backend: Backend, copy: Function
) -> Tensor:
    """Writes a functional result to the tensor that an operator changes in place."""
    from dispatchtorch import dtypes

    own, new = target.dtype, result.dtype
    if own is not new and not dtypes.can_cast(new, own):
        from dispatchtorch.out_argument import uncastable

        raise uncastable(op.full_name, new, own)
    shape = backend.shape(target._data)
    if backend.shape(result._data) != shape:
        raise shape_mismatch(shape, backend.shape(result._data))
    copy(target._data, result._data)
    return target


# Crossing to the host.

_counts: dict[tuple[str, str], list[int]] = {}
_policy: str | None = None
_warned: set[tuple[str, str]] = set()
_lock = threading.Lock()
_POLICIES = ("warn", "error", "silent")


def get_fallback_policy() -> str:
    """What happens when an operator must run on ``cpu``: "warn", "error" or "silent"."""
    if _policy is not None:
        return _policy
    policy = os.environ.get("DISPATCHTORCH_FALLBACK", "warn")
    if policy not in _POLICIES:
        raise ValueError(
            f"DISPATCHTORCH_FALLBACK is {policy!r}, expected one of {_POLICIES}"
        )
    return policy


def set_fallback_policy(policy: str | None) -> None:
    """Sets the policy; None goes back to DISPATCHTORCH_FALLBACK, and "warn" without it."""
    global _policy
    if policy is not None and policy not in _POLICIES:
        raise ValueError(f"fallback policy {policy!r}, expected one of {_POLICIES}")
    _policy = policy
    invalidate()


def fallback_counts() -> dict[tuple[str, str], tuple[int, int]]:
    """(operator, device) -> (calls that crossed to the host, bytes moved both ways)."""
    with _lock:
        return {key: (calls, size) for key, (calls, size) in _counts.items()}


def _fallback(op: Operator, backend: Backend) -> Function:
    if get_fallback_policy() == "error":
        return _forbidden_fallback(op, backend)
    name = (op.full_name, backend.device_type)
    arguments = op.schema.arguments

    def crossing(*args: Any) -> Any:
        host = _backend.get_backend("cpu")
        moved = 0
        index = 0

        def down(value: Any) -> Any:
            nonlocal moved, index
            if hasattr(value, "_keys"):
                if value._keys & host.key:
                    return value
                array = backend.to_host(value._data)
                index = backend.index(value._data)
                moved += array.nbytes
                return new_tensor(host.from_host(array, 0), host.key | value.dtype.bit)
            if type(value) in (list, tuple):
                return type(value)(down(each) for each in value)
            return value

        def up(value: Any) -> Any:
            nonlocal moved
            if hasattr(value, "_keys"):
                array = host.to_host(value._data)
                moved += array.nbytes
                return new_tensor(
                    backend.from_host(array, index), backend.key | value.dtype.bit
                )
            if isinstance(value, (list, tuple)):
                return type(value)([up(each) for each in value])
            return value

        lowered = [down(each) for each in args]
        result = op(**{a.name: v for a, v in zip(arguments, lowered, strict=True)})
        if "inplace" in op.tags:
            array = host.to_host(lowered[0]._data)
            moved += array.nbytes
            native_kernel("copy_", backend)(
                args[0]._data, backend.from_host(array, index)
            )
            raised = args[0]
        else:
            raised = up(result)
        with _lock:
            count = _counts.setdefault(name, [0, 0])
            count[0] += 1
            count[1] += moved
        if name not in _warned and get_fallback_policy() == "warn":
            _warned.add(name)
            warnings.warn(
                f"operator '{op.full_name}' has no kernel for device "
                f"'{backend.device_type}' and ran on 'cpu' ({moved} bytes crossed). "
                "Set DISPATCHTORCH_FALLBACK=error to forbid this, =silent to be quiet; "
                f"`dispatchtorch explain {op.name} --device {backend.device_type}` shows "
                "what was tried.",
                stacklevel=user_level(),
            )
        return raised

    return crossing


def _forbidden_fallback(op: Operator, backend: Backend) -> Function:
    def forbidden(*args: Any) -> Any:
        raise FallbackError(
            f"operator '{op.full_name}' has no kernel for device "
            f"'{backend.device_type}', and the fallback policy 'error' forbids to run it "
            "on 'cpu'. Register a kernel "
            f"(@backend.kernel({op.full_name!r})) or set DISPATCHTORCH_FALLBACK=warn."
        )

    return forbidden


def _unsupported(op: Operator, backend: Backend) -> Function:
    tried = ", ".join(map(repr, candidates(op, backend))) or "nothing is registered"

    def unsupported(*args: Any) -> Any:
        dtypes_ = sorted({a.dtype.name for a in args if hasattr(a, "_keys")})
        raise UnsupportedOperator(
            f"operator '{op.full_name}' isn't implemented for device "
            f"'{backend.device_type}'"
            + (f" with {', '.join(dtypes_)}" if dtypes_ else "")
            + f"; tried: {tried}. A plugin can supply it: "
            f"@backend.kernel({op.full_name!r})."
        )

    return unsupported


def _without_device(op: Operator) -> Function:
    def missing(*args: Any) -> Any:
        scalars = any(a.base == "Tensor|Scalar" for a in op.schema.arguments)
        if scalars and op.schema.returns == ("Tensor",):
            _operator.reject(op, _operator.packets[op.name].callable("function"), args)
        if op.prepare is not None:
            op.prepare(*args)  # knows better words, e.g. for an empty list
        elif op.body is not None:
            return positional_body(op)(*args)
        raise TypeError(f"{op.name}() got no tensor to take the device from")

    return missing


def _mixed_devices(op: Operator, keys: int) -> Function:
    """Operands on several devices: 0-d host tensors travel, all else is an error."""
    table = op.new_table()

    def mixed(*args: Any) -> Any:
        tensors: list[Tensor] = []
        for each in args:
            if hasattr(each, "_keys"):
                tensors.append(each)
            elif type(each) in (list, tuple):
                tensors += [t for t in each if hasattr(t, "_keys")]
        if "mixed_devices" in op.tags:
            target = tensors[0]._backend
            return resolve(op, keys & ~K.mask_of("device") | target.key, target)(*args)
        dimensioned = [t for t in tensors if t.ndim or not t._backend.is_host]
        backends = {t._backend for t in dimensioned}
        if len(backends) == 1 and "pointwise" in op.tags:
            target = backends.pop()
            if "inplace" in op.tags and args[0]._backend is not target:
                raise RuntimeError(
                    f"Attempting to copy from device {dimensioned[0].device} to device "
                    f"{args[0].device}, but cross-device copies are not allowed!"
                )
            index = target.index(dimensioned[0]._data)
            moved = [
                _to_backend(a, target, index) if hasattr(a, "_keys") else a
                for a in args
            ]
            keyset = 0
            for a, argument in zip(moved, op.schema.arguments, strict=True):
                if argument.is_tensor:
                    keyset |= state.keys_of(a)  # type: ignore[attr-defined]
            return table[keyset & ~(K.AUTOGRAD | K.VIEW)](*moved)
        devices = [t.device for t in tensors]
        first = devices[0]
        other = next(device for device in devices if device != first)
        if "meta" in (first.type, other.type):
            raise RuntimeError(
                f"Tensor on device {other} is not on the expected device {first}!"
            )
        names = sorted({str(device) for device in devices}, key=lambda n: n == "cpu")
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two "
            f"devices, {names[0]} and {names[1]}!"
        )

    return mixed


def _to_backend(t: Tensor, target: Backend, index: int) -> Tensor:
    if t._backend is target:
        return t
    array = t._backend.to_host(t._data)
    return new_tensor(target.from_host(array, index), target.key | t.dtype.bit)


class BookkeepingLayer(Layer):
    """Version counters of what is written in place, and the bases of views."""

    name = "bookkeeping"
    order = 20
    always = True

    def bind(self, op: Operator, keys: int, inner: Function) -> Function:
        if "inplace" in op.tags:
            return _writing(op, inner, bool(keys & K.INFERENCE_MODE))
        if "view" in op.tags:
            return _viewing(op, keys, inner)
        return inner

    def describe(self, op: Operator, keys: int) -> str:
        if "inplace" in op.tags:
            return "version counter"
        return "base and shared version counter" if "view" in op.tags else "-"


def _writing(op: Operator, inner: Function, inference: bool) -> Function:
    listed = ", ".join(a.name for a in op.schema.arguments)
    first = op.schema.arguments[0].name
    others = []
    if "pointwise" in op.tags:
        others = [a.name for a in op.schema.arguments[1:] if a.is_tensor]
    shares = " or ".join(f"getattr({n}, '_ver', None) is ver" for n in others)
    constants: dict[str, Any] = {
        "check_operands": _check_operands,
        "check_overlap": check_overlap,
        "check_inference": _check_inference if not inference else _nothing,
        "INFERENCE": K.INFERENCE,
    }
    lines = [
        f"if {first}._base is not None: check_overlap({first})",
        f"if {first}._keys & INFERENCE: check_inference({first})",
    ]
    if shares:  # tensors that share memory share their version
        lines += [
            f"ver = {first}._ver",
            f"if ver is not None and ({shares}):",
            f"    check_operands({first}, ({', '.join(others)},))",
        ]
    lines += [
        *inlined(inner, listed, "written", constants),
        f"ver = {first}._ver",
        f"if ver is None: {first}._ver = [1, 0]",
        "else: ver[0] += 1",
        f"return {first}",
    ]
    return compile_kernel(listed, lines, constants)


def _check_operands(out: Tensor, operands: tuple[Any, ...]) -> None:
    from dispatchtorch.out_argument import check_operand_overlap

    for each in operands:
        if isinstance(each, Tensor) and each is not out:
            check_operand_overlap(out, each)


def _nothing(t: Tensor) -> None:
    """Inference tensors may be written inside inference mode."""


def _check_inference(t: Tensor) -> None:
    raise RuntimeError(
        "Inplace update to inference tensor outside InferenceMode is not allowed.You can "
        "make a clone to get a normal tensor before doing inplace update.See "
        "https://github.com/pytorch/rfcs/pull/17 for more details."
    )


def check_overlap(t: Tensor) -> None:
    """RuntimeError for a tensor some of whose elements share a memory location."""
    backend = t._backend
    strides = backend.strides(t._data)
    if 0 in strides:
        for size, stride in zip(backend.shape(t._data), strides, strict=True):
            if stride == 0 and size > 1:
                raise RuntimeError(
                    "unsupported operation: more than one element of the written-to "
                    "tensor refers to a single memory location. Please clone() the "
                    "tensor before performing the operation."
                )


def _made_without_grad(view: Tensor) -> None:
    """Marks a view that is made while nothing is recorded: autograd can't follow it."""
    base = view._base
    assert base is not None
    assert view._ver is not None
    view._stamp = ~view._ver[0]
    view._keys |= base._keys & K.AUTOGRAD


def _viewing(op: Operator, keys: int, inner: Function) -> Function:
    listed = ", ".join(a.name for a in op.schema.arguments)
    first = op.schema.arguments[0].name
    constants: dict[str, Any] = {
        "tls": state.tls,
        "made_without_grad": _made_without_grad,
        "AUTOGRAD": K.AUTOGRAD,
        "VIEW": K.VIEW,
    }
    lines = [
        *inlined(inner, listed, "view", constants, ("_ver", "_base")),
        f"ver = {first}._ver",
        f"if ver is None: ver = {first}._ver = [0, 0]",
        "view._ver = ver",
        f"base = {first}._base",
        f"view._base = {first} if base is None else base",
        "view._stamp = ver[1]",
    ]
    if not keys & K.INFERENCE_MODE and keys & DIFFERENTIABLE_MASK:
        lines += [
            "view._keys |= VIEW",
            "if ACTIVE and not tls.mask & AUTOGRAD: made_without_grad(view)",
        ]
    lines.append("return view")
    return compile_kernel(listed, lines, constants)


register_layer(DeviceLayer())
register_layer(BookkeepingLayer())
