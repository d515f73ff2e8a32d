"""What happens to calls that no generated entry could take.

Either an argument brings ``__torch_function__``, which then decides; or the arguments are
wrong, and the error is PyTorch's; or a Python scalar stands where PyTorch takes one.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.codegen import fits, parameter_names
from dispatchtorch.dispatch.operator import Operator, Packet
from dispatchtorch.dispatch.schema import REQUIRED
from dispatchtorch.tensor import Tensor

__all__ = ["given_arguments", "overrides_of"]


def overrides_of(values: Any) -> list[Any]:
    """The arguments whose class overrides functions, subclasses first."""
    found: list[Any] = []
    for each in values:
        if isinstance(each, (list, tuple)):
            found += [v for v in overrides_of(each) if v not in found]
            continue
        kind = type(each)
        override = getattr(kind, "__torch_function__", None)
        if override is None or kind is Tensor:
            continue
        if all(type(other) is not kind for other in found):
            at = next(
                (i for i, o in enumerate(found) if issubclass(kind, type(o))),
                len(found),
            )
            found.insert(at, each)
    return found


def reject(op: Operator, function: Any, args: tuple[Any, ...]) -> Any:
    """Lets an override answer, or raises the TypeError that names the wrong argument."""
    overriding = [v for v in overrides_of(args) if not isinstance(v, Tensor)]
    if overriding:
        types = tuple(type(v) for v in overrides_of(args))
        positional, keywords = given_arguments(op, args)
        for each in overriding:
            result = type(each).__torch_function__(
                function, types, positional, keywords
            )
            if result is not NotImplemented:
                return result
        raise TypeError(
            f"Multiple dispatch failed for 'torch.{op.name}'; all __torch_function__ "
            f"handlers returned NotImplemented:\n\n"
            + "\n".join(f"  - tensor subclass {t}" for t in types)
            + "\n\nFor more information, try re-running with TORCH_LOGS=not_implemented"
        )
    form = "method" if parameters(function)[:1] == ("self",) else "function"
    names = parameter_names(op, form)
    offset = 0 if form == "function" else 1
    for i, (argument, name, value) in enumerate(
        zip(op.schema.arguments, names, args, strict=True)
    ):
        if not fits(value, argument):
            if form == "method" and i == 0:
                raise TypeError(
                    f"descriptor '{op.name}' for 'torch._C.TensorBase' objects doesn't "
                    f"apply to a '{type(value).__name__}' object"
                )
            position = "" if argument.kwonly else f" (position {i + 1 - offset})"
            raise TypeError(
                f"{op.name}(): argument '{name}'{position} must be "
                f"{_expected(argument)}, not {type(value).__name__}"
            )
    raise TypeError(f"{op.name}(): can't take the arguments {args!r}")


def parameters(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return code.co_varnames[: code.co_argcount] if code is not None else ()


def given_arguments(
    op: Operator, args: tuple[Any, ...]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as a caller would write them: defaults left out."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    arguments = op.schema.arguments
    last = max(
        (
            i
            for i, (a, v) in enumerate(zip(arguments, args, strict=True))
            if not a.kwonly and (a.default is REQUIRED or v is not a.default)
        ),
        default=-1,
    )
    for i, (a, v) in enumerate(zip(arguments, args, strict=True)):
        if a.kwonly:
            if v is not a.default:
                keywords[a.name] = v
        elif i <= last:
            positional.append(v)
    return tuple(positional), keywords


_EXPECTED = {
    "Tensor": "Tensor",
    "Tensor|Scalar": "Tensor",
    "Scalar": "Number",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "ScalarType": "torch.dtype",
    "Device": "torch.device",
    "Generator": "torch.Generator",
    "MemoryFormat": "torch.memory_format",
}


def _expected(argument: Any) -> str:
    name = _EXPECTED.get(argument.base, argument.base)
    if argument.is_list:
        return f"tuple of {name}s" if name in ("Tensor", "int", "float") else name
    return name


def reject_packet(packet: Packet, form: str, args: Any, kwargs: Any) -> Any:
    """The TypeError of a name with several signatures, which lists them."""
    overriding = [
        v for v in overrides_of((*args, *kwargs.values())) if not isinstance(v, Tensor)
    ]
    if overriding:
        types = tuple(type(v) for v in overriding)
        function = packet.callable(form)
        for each in overriding:
            result = type(each).__torch_function__(function, types, args, kwargs)
            if result is not NotImplemented:
                return result
    shown = args[1:] if form == "method" else args
    given = ", ".join(
        [_typed(v) for v in shown] + [f"{k}={_typed(v)}" for k, v in kwargs.items()]
    )
    lines = "\n".join(f" * ({_signature(op, form)})" for op in packet.overloads)
    raise TypeError(
        f"{packet.name}() received an invalid combination of arguments - got ({given}), "
        f"but expected one of:\n{lines}\n"
    )


def _typed(value: Any) -> str:
    if isinstance(value, Tensor):
        return "Tensor" if type(value) is Tensor else type(value).__name__
    if isinstance(value, (list, tuple)):
        inner = ", ".join(_typed(v) for v in value)
        if isinstance(value, tuple):
            return f"tuple of ({inner}{',' if len(value) == 1 else ''})"
        return f"list of [{inner}]"
    return type(value).__name__


def _signature(op: Operator, form: str) -> str:
    parts = []
    star = False
    for argument, name in zip(
        op.schema.arguments, parameter_names(op, form), strict=True
    ):
        if form == "method" and argument is op.schema.arguments[0]:
            continue
        if argument.kwonly and not star:
            parts.append("*")
            star = True
        default = "" if argument.default is REQUIRED else f" = {argument.default}"
        parts.append(f"{_expected(argument)} {name}{default}")
    return ", ".join(parts)


def _write_out(op: Operator, out: Any, args: tuple[Any, ...]) -> Any:
    from dispatchtorch.out_argument import write_out

    _operator.write_out = write_out  # type: ignore[attr-defined]
    return write_out(op, out, args)


_operator.write_out = _write_out  # type: ignore[attr-defined]
_operator.reject = reject
_operator.reject_packet = reject_packet  # type: ignore[attr-defined]
