"""The Python signatures of operators as PyTorch lists them, and what doesn't fit them.

An overload of ours may stand for several of PyTorch's: ``Tensor|Scalar`` is two. Which
message a wrong call gets follows from how many signatures take as many arguments: with
one, the message names the argument; with several (or none), it lists the signatures.
"""

from __future__ import annotations

import keyword
from typing import Any

from dispatchtorch.dispatch.codegen import fits, has_out, parameter_names
from dispatchtorch.dispatch.operator import Operator, Packet
from dispatchtorch.dispatch.schema import REQUIRED, Argument
from dispatchtorch.tensor import Tensor

__all__ = ["expected_type", "raise_mismatch", "signatures_of", "type_name"]

_EXPECTED = {
    "Tensor": "Tensor",
    "Tensor|Scalar": "Tensor",
    "Scalar": "Number",
    "int": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "ScalarType": "torch.dtype",
    "Padding": "tuple of ints",
    "Device": "torch.device",
    "Generator": "torch.Generator",
    "MemoryFormat": "torch.memory_format",
    "Layout": "torch.layout",
}
# Operators that take a number for a tensor without a signature that says so.
_NUMBER_UNLISTED = frozenset("add sub mul".split())
# What also has signatures that PyTorch takes and doesn't list.
_UNLISTED_TOO = frozenset(
    """add sub addbmm addcdiv addcmul addmm addmv addr baddbmm saddmm sspaddmm add_ sub_
    addbmm_ addcdiv_ addcmul_ addmm_ addmv_ addr_ baddbmm_ copy_""".split()
)
# A number on the left, of which PyTorch lists no ``out``.
_LEFT_WITHOUT_OUT = frozenset(
    """bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift
    remainder""".split()
)
_RIGHT_WITHOUT_OUT = frozenset("floor_divide multiply true_divide".split())
# Signatures that PyTorch lists in another order than they are tried in here.
_ORDER = {
    "bernoulli_": (1, 0),
    "repeat_interleave": (1, 0),
    **dict.fromkeys(("std", "var", "std_mean", "var_mean"), (1, 0, 2)),
    "random_": (0, 2, 1),
}
# What PyTorch lists where its overloads aren't ours.
_DIVISION = (
    "div(Tensor self, Tensor other) -> Tensor",
    "div(Tensor self, Tensor other, *, str rounding_mode) -> Tensor",
    "div(Tensor self, Scalar other, *, str rounding_mode) -> Any",
)
_CONV = "(Tensor input, Tensor weight, Tensor? bias=None, int[1] stride=1, "
_SCATTER = "(Tensor self, int dim, Tensor index, "
_SUBTRACT = (
    "subtract(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor",
    "subtract(Tensor self, Scalar other, Scalar alpha=1) -> Any",
)
_MOVE = (
    "movedim(Tensor self, int source, int destination) -> Any",
    "movedim(Tensor self, int[] source, int[] destination) -> Any",
)
_SCATTERS = (
    f"scatter{_SCATTER}Tensor src) -> Tensor",
    f"scatter{_SCATTER}Tensor src, *, str reduce) -> Tensor",
    f"scatter{_SCATTER}Scalar value) -> Tensor",
    f"scatter{_SCATTER}Scalar value, *, str reduce) -> Tensor",
)
_LISTED = {
    **{
        name: (
            f"{name}{_CONV}int[1] padding=0, int[1] dilation=1, int groups=1) -> Any",
            f"{name}{_CONV}str padding='valid', int[1] dilation=1, int groups=1) -> Any",
        )
        for name in ("conv1d", "conv2d", "conv3d")
    },
    "movedim": _MOVE,
    "moveaxis": _MOVE,
    "narrow": (
        "narrow(Tensor self, int dim, Tensor start, int length) -> Any",
        "narrow(Tensor self, int dim, int start, int length) -> Any",
    ),
    "scatter": _SCATTERS,
    "scatter_": _SCATTERS,
    "subtract": _SUBTRACT,
    "subtract_": _SUBTRACT,
    **{
        name: (
            f"{name}(Tensor self) -> Tensor",
            f"{name}(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
            f"{name}(Tensor self, int dim, bool keepdim=False) -> Tensor",
        )
        for name in ("all", "any")
    },
    "div": _DIVISION,
    "divide": (_DIVISION[0], _DIVISION[1], "div(Tensor self, Scalar other) -> Any",
               _DIVISION[2]),
    "rsub": (
        "rsub(Tensor self, Tensor other, *, Scalar alpha=1) -> Any",
        "rsub(Tensor self, Scalar other, Scalar alpha=1) -> Any",
    ),
    "sum": (
        "sum(Tensor self, *, ScalarType? dtype=None) -> Any",
        "sum(Tensor self, int[1]? dim, bool keepdim=False, *, "
        "ScalarType? dtype=None) -> Tensor",
    ),
    "view": (
        "view(Tensor self, ScalarType dtype) -> Any",
        "view(Tensor self, int[] size) -> Any",
    ),
    "where": (
        "where(Tensor condition) -> Any",
        "where(Tensor condition, Tensor input, Tensor other) -> Tensor",
        "where(Tensor condition, Scalar self, Tensor other) -> Any",
        "where(Tensor condition, Tensor input, Scalar other) -> Any",
        "where(Tensor condition, Scalar self, Scalar other) -> Any",
    ),
}  # fmt: skip


class Parameter:
    """One parameter of a listed signature."""

    __slots__ = ("argument", "kind", "name")

    def __init__(self, argument: Argument, name: str, kind: str) -> None:
        self.argument = argument
        self.name = name
        self.kind = kind

    def __str__(self) -> str:
        default = self.argument.default
        if default is REQUIRED:
            return f"{self.kind} {self.name}"
        if self.name == "pin_memory":
            default = False
        if isinstance(default, str) and self.kind == "str":
            default = f'"{default}"'
        return f"{self.kind} {self.name} = {default}"


def _ahead_of_options(parameters: list[Parameter]) -> int:
    """How many keyword-only parameters stand before ``dtype``."""
    keywords = [p.name for p in parameters if p.argument.kwonly]
    return keywords.index("dtype")


class Signature:
    """A signature: its parameters, of which the last may be ``out``."""

    __slots__ = ("out", "parameters")

    def __init__(self, parameters: list[Parameter], out: str) -> None:
        self.parameters = parameters
        self.out = out

    @property
    def most(self) -> int:
        return len(self.parameters) + bool(self.out)

    @property
    def least(self) -> int:
        return sum(p.argument.default is REQUIRED for p in self.parameters)

    @property
    def positional(self) -> int:
        return sum(not p.argument.kwonly for p in self.parameters)

    def parts(self) -> list[str]:
        """The items of the parameter list, the bare ``*`` among them."""
        parts = []
        star = False
        for each in self.parameters:
            if each.argument.kwonly and not star:
                parts.append("*")
                star = True
            parts.append(str(each))
        if self.out:
            out = [f"{self.out} out = None"]
            names = [p.name for p in self.parameters]
            if "pin_memory" in names:  # a factory: before the options of tensors
                at = parts.index("*") + 1 + _ahead_of_options(self.parameters)
                parts[at:at] = out
            else:
                parts += out if star else ["*", *out]
        return parts

    def __str__(self) -> str:
        return f"({', '.join(self.parts())})"


def expected_type(argument: Argument) -> str:
    """The type of an argument in PyTorch's messages: ``tuple of ints``."""
    name = _EXPECTED.get(argument.base, argument.base)
    if argument.is_list:
        return f"tuple of {name}s" if name in ("Tensor", "int", "float") else name
    return name


def signatures_of(ops: list[Operator], name: str, form: str) -> list[Signature]:
    """The signatures that PyTorch lists for a name, as a function or a method."""
    found = []
    if name in _ORDER and (name != "repeat_interleave" or form == "method"):
        ops = [ops[i] for i in _ORDER[name]]
    if name in _LISTED:
        ops = [Operator(text, tags=frozenset(["out"])) for text in _LISTED[name]]
    for op in ops:
        arguments = op.schema.arguments
        names = parameter_names(op, form)
        returns = len(op.schema.returns)
        out = "Tensor" if has_out(op, form) and op.schema.returns != ("Any",) else ""
        if out and returns > 1:
            out = "tuple of Tensors"
        left = form != "method" and name in _LEFT_WITHOUT_OUT
        shown = arguments[1:] if form == "method" else arguments
        for kinds in _kinds(shown, name in _NUMBER_UNLISTED, left):
            names_ = names[len(names) - len(shown) :]
            listed = [
                Parameter(a, _plain(a.name if i == 0 and k == "Number" else n), k)
                for i, (a, n, k) in enumerate(zip(shown, names_, kinds, strict=True))
            ]
            without = (kinds[:1] == ["Number"] and name in _LEFT_WITHOUT_OUT) or (
                "Number" in kinds and name in _RIGHT_WITHOUT_OUT
            )
            found.append(Signature(listed, "" if without else out))
    return found


def _plain(name: str) -> str:
    """A parameter's name, without the mark of those that are Python's keywords."""
    plain = name.removesuffix("_")
    return plain if keyword.iskeyword(plain) else name


def _kinds(
    arguments: list[Argument], tensors_only: bool, left: bool
) -> list[list[str]]:
    """The types of parameters, once for each choice of tensor or number."""
    made: list[list[str]] = [[]]
    for i, argument in enumerate(arguments):
        kinds = [expected_type(argument)]
        union = argument.base == "Tensor|Scalar" or (left and i == 0)
        if union and not tensors_only:
            kinds.append("Number")
        made = [[*before, kind] for before in made for kind in kinds]
    if len(made) == 4:
        # Not two numbers; a number on the left comes second.
        return [made[0], made[2], made[1]]
    return made


def raise_mismatch(
    packet: Packet | Operator, form: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Raises the TypeError that PyTorch's parser raises for a call that fits nothing."""
    ops = packet.overloads if isinstance(packet, Packet) else [packet]
    name = packet.name
    found = signatures_of(ops, name, form)
    shown = args[1:] if form == "method" else args
    count = len(shown) + len(kwargs)
    plausible = [s for s in found if s.least <= count <= s.most]
    if len(found) == 1:
        plausible = found
    if name in _UNLISTED_TOO and len(found) == 1:
        only = found[0]
        if not only.least <= len(shown) <= only.positional and not kwargs:
            against = only if len(only.parts()) == count else None
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got "
                f"({_listed(shown, kwargs, against)}), but expected {only}"
            )
    if len(plausible) == 1:
        _raise_for(plausible[0], name, shown, kwargs)
        return
    lines = []
    for each in found:
        lines.append(f" * {each}")
        if count and max(len(each.parts()), 1) == count:
            types = _listed(shown, kwargs, each)
            lines.append(
                "      didn't match because some of the arguments have invalid types: "
                f"({types})"
            )
    text = "\n".join(lines)
    raise TypeError(
        f"{name}() received an invalid combination of arguments - got "
        f"({_listed(shown, kwargs, None)}), but expected one of:\n{text}\n"
    )


def _raise_for(
    signature: Signature, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """The message about the one signature that a call may have meant."""
    parameters = signature.parameters
    positional = [p for p in parameters if not p.argument.kwonly]
    if len(args) > len(positional):
        most, given = len(positional), len(args)
        least = sum(p.argument.default is REQUIRED for p in positional)
        takes = str(most) if least == most else f"from {least} to {most}"
        raise TypeError(
            f"{name}() takes {takes} positional argument{'s' * (most != 1)} but {given} "
            f"{'was' if given == 1 else 'were'} given"
        )
    for i, each in enumerate(parameters):
        if i < len(args):
            value = args[i]
        elif each.name in kwargs:
            value = kwargs[each.name]
        elif each.argument.default is REQUIRED:
            missing = [
                f'"{p.name}"'
                for p in parameters[i:]
                if p.argument.default is REQUIRED and p.name not in kwargs
            ]
            raise TypeError(
                f"{name}() missing {len(missing)} required positional "
                f"argument{'s' * (len(missing) == 1)}: {', '.join(missing)}"
            )
        else:
            continue
        if not fits(value, each.argument):
            place = (
                "" if each.argument.kwonly or i >= len(args) else f" (position {i + 1})"
            )
            label = f"{name}(): argument '{each.name}'"
            if each.argument.is_list and isinstance(value, (list, tuple)):
                _raise_for_item(label, place, each, i, value)
            raise TypeError(
                f"{label}{place} must be {each.kind}, not {type_name(value)}"
            )
    wanted, out = signature.out, kwargs.get("out")
    if (
        wanted
        and out is not None
        and (wanted == "Tensor") is not isinstance(out, Tensor)
    ):
        raise TypeError(
            f"{name}(): argument 'out' must be {wanted}, not {type_name(out)}"
        )
    names = {p.name for p in parameters} | {"out"}
    for each_name in kwargs:
        if each_name not in names:
            raise TypeError(
                f"{name}() got an unexpected keyword argument '{each_name}'"
            )


def _raise_for_item(
    label: str, place: str, parameter: Parameter, index: int, values: Any
) -> None:
    """The message about the item that keeps a list from fitting."""
    argument = parameter.argument
    at = next((i for i, v in enumerate(values) if not fits([v], argument)), None)
    if at is None:
        return
    kind = type_name(values[at])
    if argument.base == "Tensor":
        raise TypeError(
            f"expected Tensor as element {at} in argument {index}, but got {kind}"
        )
    if at == 0:
        raise TypeError(
            f"{label}{place} must be {parameter.kind}, but found element of type {kind} "
            "at pos 0"
        )
    raise TypeError(
        f"{label} failed to unpack the object at pos {at + 1} with error "
        f'"type must be {parameter.kind},but got {kind}"'
    )


def _listed(
    args: tuple[Any, ...], kwargs: dict[str, Any], against: Signature | None
) -> str:
    """The types of what was given; those that don't fit a signature in marks."""
    parts = []
    kinds = {p.name: p.kind for p in against.parameters} if against else {}
    if against and against.out:
        kinds["out"] = against.out
    named = type_with_items if against else type_name
    places = (
        [p.kind for p in against.parameters if not p.argument.kwonly] if against else []
    )
    for i, value in enumerate(args):
        kind = places[i] if i < len(places) else ""
        parts.append(_marked(named(value), against and kind, ""))
    for name, value in kwargs.items():
        kind = kinds.get(name, "")
        parts.append(_marked(named(value), against and kind, f"{name}="))
    # PyTorch leaves the comma behind keywords that nothing precedes.
    return ", ".join(parts) + (", " if kwargs and not args else "")


def _marked(name: str, expected: Any, prefix: str) -> str:
    fine = expected is None or name == expected
    return f"{prefix}{name}" if fine else f"!{prefix}{name}!"


_OWN = frozenset("dtype device layout memory_format Size finfo iinfo qscheme".split())
_HEAP_TYPE = 1 << 9


def type_name(value: Any) -> str:
    """The type of a value in PyTorch's messages, which is C's name of it.

    C's own types say their module (``numpy.ndarray``), those of Python code don't.
    """
    kind = type(value)
    if kind is Tensor:
        return "Tensor"
    name = kind.__name__
    if name in _OWN:
        return f"torch.{name}"
    if name == "Generator":
        return "torch._C.Generator"
    if kind.__flags__ & _HEAP_TYPE or kind.__module__ == "builtins":
        return name
    return f"{kind.__module__}.{name}"


def type_with_items(value: Any) -> str:
    """As ``type_name``, with the types of what a list holds: ``list of [int, str]``."""
    if not isinstance(value, list | tuple) or type_name(value) == "torch.Size":
        return type_name(value)
    inner = ", ".join(map(type_name, value))
    if isinstance(value, tuple):
        return f"tuple of ({inner}{',' if len(value) == 1 else ''})"
    return f"list of [{inner}]"
