"""What happens to calls that no generated entry could take.

Either an argument brings ``__torch_function__``, which then decides; or the arguments are
wrong, and the error is PyTorch's; or a Python scalar stands where PyTorch takes one.
"""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.codegen import fits, overrides_functions
from dispatchtorch.dispatch.keys import FUNCTION
from dispatchtorch.dispatch.operator import Operator, Packet, packets
from dispatchtorch.dispatch.schema import REQUIRED, Argument
from dispatchtorch.signatures import expected_type, raise_mismatch, type_name
from dispatchtorch.tensor import Tensor

__all__ = ["given_arguments", "overrides_of"]


def overrides_of(values: Any) -> list[Any]:
    """The arguments whose class overrides functions, subclasses first."""
    found: list[Any] = []
    _collect(values, found)
    return found


def _collect(values: Any, found: list[Any]) -> None:
    for each in values:
        if isinstance(each, (list, tuple)):
            _collect(each, found)
            continue
        kind = type(each)
        if kind is Tensor or not overrides_functions(kind):
            continue
        if isinstance(each, Tensor) and not each._keys & FUNCTION:
            continue
        if all(type(other) is not kind for other in found):
            at = next(
                (i for i, o in enumerate(found) if issubclass(kind, type(o))),
                len(found),
            )
            found.insert(at, each)


def reject(
    op: Operator, function: Any, args: tuple[Any, ...], more: tuple[Any, ...] = ()
) -> Any:
    """Lets an override answer, or raises the TypeError that names the wrong argument.

    ``more``: the positional arguments that are too many.
    """
    missing = bool(more) or any(each is REQUIRED for each in args)
    overriding = [v for v in overrides_of(args) if not isinstance(v, Tensor)]
    if overriding and not missing:
        from dispatchtorch.interception import handle_torch_function

        public = getattr(function, "public", function)
        if getattr(function, "form", "") == "operator":
            public = packets[op.name].callable("method")
        positional, keywords = given_arguments(op, args)
        return handle_torch_function(public, args, *positional, **keywords)
    if op.name in _NUMBERS_AS_TENSORS and not missing:
        made = _with_tensors(op, args)
        if made is not None:
            return op(*made[:2], **given_arguments(op, made)[1])
    _touch(op, function, args)
    form = "method" if parameters(function)[:1] == ("self",) else "function"
    first = op.schema.arguments[0]
    if form == "method" and not fits(args[0], first):
        raise TypeError(
            f"descriptor '{op.name}' for 'torch._C.TensorBase' objects doesn't apply to "
            f"a '{type(args[0]).__name__}' object"
        )
    if more:
        values = tuple(zip(op.schema.arguments, args, strict=True))
        positional = (*(v for a, v in values if not a.kwonly), *more)
        keywords = {a.name: v for a, v in values if a.kwonly and v is not a.default}
    else:
        positional, keywords = given_arguments(op, args, by_name=True)
    public = getattr(function, "public", function)
    packet = getattr(public, "packet", None) or packets.get(op.name) or op
    raise_mismatch(packet, form, positional, keywords)
    for i, (argument, value) in enumerate(zip(op.schema.arguments, args, strict=True)):
        if not fits(value, argument):
            raise TypeError(
                f"{op.name}(): argument '{argument.name}' (position {i + 1}) must be "
                f"{expected_type(argument)}, not {type_name(value)}"
            )
    raise TypeError(f"{op.name}(): can't take the arguments {args!r}")


# Functions that PyTorch writes in Python, with the attribute of tensors that they use
# first: what has none fails there, as an AttributeError.
_TOUCHED = {
    "glu": "dim",
    "max_pool3d_with_indices": "is_cuda",
    "norm": "layout",
    "stft": "dim",
    "tensordot": "dim",
}


def _touch(op: Operator, function: Any, args: tuple[Any, ...]) -> None:
    """AttributeError for no tensor where PyTorch's function asks it for an attribute."""
    attribute = _TOUCHED.get(op.name)
    if attribute is None or parameters(function)[:1] == ("self",):
        return
    for value, argument in zip(args, op.schema.arguments, strict=True):
        wanted = argument.base == "Tensor" and not argument.optional
        if wanted and value is not REQUIRED:
            getattr(value, attribute)


def mismatch(op: Operator, function: Any, args: tuple[Any, ...]) -> Exception | None:
    """The error of a call that failed in a kernel, if it was the arguments' fault."""
    pairs = zip(op.schema.arguments, args, strict=True)
    if op.name in _UNCHECKED or all(may_fit(value, a) for a, value in pairs):
        return _complex_number(op, args)
    try:
        reject(op, function, args)
    except TypeError as error:
        error.__context__ = None  # the kernel's error, that this one stands for
        return error.with_traceback(None)
    return None


# Operators that take a number as this C type: "own" is the first operand's.
_NUMBER_TYPES = {
    **dict.fromkeys(("celu", "clamp", "rrelu", "softshrink"), "double"),
    **dict.fromkeys(
        """addbmm addmm addmv addr baddbmm elu hardshrink leaky_relu lerp
        threshold""".split(),
        "own",
    ),
}
_NO_COMPLEX_NORM = ": Expected a non-complex scalar as the order of norm."
_NORMS = {
    "linalg_vector_norm": "linalg.vector_norm",
    "linalg_norm": "linalg.matrix_norm",
    "linalg_matrix_norm": "linalg.matrix_norm",
    "norm": "linalg.vector_norm",
}


def _complex_number(op: Operator, args: tuple[Any, ...]) -> Exception | None:
    """The error of a complex number where a real one is wanted."""
    name = op.name.rstrip("_")
    kind = _NUMBER_TYPES.get(name)
    if (kind is None and name not in _NORMS) or not any(
        type(value) is complex for value in args
    ):
        return None
    if kind is None:
        return RuntimeError(_NORMS[name] + _NO_COMPLEX_NORM)
    dtype = args[0].dtype
    if dtype.is_complex:
        return None
    if kind == "own":
        from dispatchtorch.dtypes import c_type

        kind = c_type(dtype)
    return RuntimeError(f"value cannot be converted to type {kind} without overflow")


_CHECKED = frozenset(
    """Tensor Tensor|Scalar Scalar int float bool str ScalarType Generator Layout
    MemoryFormat Device""".split()
)
# Operators that look at their arguments themselves: their schema says less than they take.
_UNCHECKED = frozenset(["narrow", "norm"])


def may_fit(value: Any, argument: Argument) -> bool:
    """As ``fits``; whatever the parser doesn't look into fits."""
    if value is REQUIRED:
        return False
    return argument.base not in _CHECKED or fits(value, argument)


# Operators that take a number for their first operand.
_NUMBERS_AS_TENSORS = frozenset(
    """add sub mul div floor_divide bitwise_and bitwise_or bitwise_xor
    bitwise_left_shift bitwise_right_shift remainder""".split()
)


def _with_tensors(op: Operator, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The arguments with a tensor in place of the number that comes first."""
    first, second, *rest = args
    if not isinstance(first, (bool, int, float, complex)):
        return None
    if not hasattr(second, "_keys") and (
        not isinstance(second, (int, float, complex)) or op.name[0] in "br"
    ):
        return None
    from dispatchtorch.lift import result_type

    device = getattr(second, "device", None)
    made = full((), first, dtype=result_type([first, second]), device=device)
    return (made, second, *rest)


def full(*args: Any, **kwargs: Any) -> Any:
    return packets["full"].callable("function")(*args, **kwargs)


def parameters(function: Any) -> tuple[str, ...]:
    code = getattr(function, "__code__", None)
    return code.co_varnames[: code.co_argcount] if code is not None else ()


def given_arguments(
    op: Operator, args: tuple[Any, ...], by_name: bool = False
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments as a caller would write them: defaults left out.

    ``by_name``: what follows a default is named.
    """
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
    gap = False
    for i, (a, v) in enumerate(zip(arguments, args, strict=True)):
        if v is REQUIRED or (by_name and v is a.default and not a.kwonly):
            gap = True
        elif a.kwonly or gap:
            if v is not a.default:
                keywords[a.name] = v
        elif i <= last:
            positional.append(v)
    return tuple(positional), keywords


def reject_packet(packet: Packet, form: str, args: Any, kwargs: Any) -> Any:
    """The TypeError of a name with several signatures, which lists them."""
    overriding = [
        v for v in overrides_of((*args, *kwargs.values())) if not isinstance(v, Tensor)
    ]
    if overriding:
        from dispatchtorch.interception import handle_torch_function

        relevant = (*args, *kwargs.values())
        return handle_torch_function(packet.callable(form), relevant, *args, **kwargs)
    raise_mismatch(packet, form, args, kwargs)
    raise TypeError(f"{packet.name}(): can't take the arguments {args!r}")


def _write_out(op: Operator, out: Any, args: tuple[Any, ...]) -> Any:
    from dispatchtorch.out_argument import write_out

    _operator.write_out = write_out  # type: ignore[attr-defined]
    return write_out(op, out, args)


_operator.write_out = _write_out  # type: ignore[attr-defined]
_operator.reject = reject
_operator.mismatch = mismatch  # type: ignore[attr-defined]
_operator.reject_packet = reject_packet  # type: ignore[attr-defined]
