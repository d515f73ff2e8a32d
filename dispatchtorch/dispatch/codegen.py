"""Generates the callables of operators from their schemas.

An entry function computes the keyset of its arguments, looks the kernel up and calls it
with the arguments in the schema's order. It is compiled at its first use. Whatever an
entry can't take (a wrong type, an object with ``__torch_function__``) goes to
``operator.reject``, off the hot path. What is missing or of a wrong type is looked for
only where a kernel has failed: parameters without a default are ``REQUIRED``, which no
kernel takes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dispatchtorch import dtypes
from dispatchtorch.device import device
from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch import state
from dispatchtorch.dispatch.schema import REQUIRED, Argument

if TYPE_CHECKING:
    from dispatchtorch.dispatch.operator import Kernel, Operator, Packet

__all__ = [
    "compile_entry",
    "compile_function",
    "compile_kernel",
    "compile_packet",
    "inlined",
]

_SCALAR_KEYS = dict(dtypes.PYTHON_SCALARS)


def keys_of(value: Any) -> int:
    """The keyset of one operand: a tensor's own, or the bit of a Python scalar's kind."""
    found = _SCALAR_KEYS.get(type(value))
    if found is not None:
        return found
    keys = getattr(value, "_keys", None)
    if keys is not None:
        return keys  # type: ignore[no-any-return]
    for kind in (bool, int, float, complex):
        if isinstance(value, kind):
            return _SCALAR_KEYS[kind]
    letter = getattr(getattr(value, "dtype", None), "kind", "")
    types = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
    if letter in types and getattr(value, "ndim", 1) == 0:  # a NumPy scalar
        return _SCALAR_KEYS[types[letter]]
    raise AttributeError("_keys")


def keys_of_list(values: Any) -> int:
    """The union of the keysets of a list of tensors (None items are skipped)."""
    keys = 0
    for value in values:
        if value is not None:
            keys |= value._keys
    return keys


device_keys: Any = None  # set by the backend registry: device argument -> keyset


def compile_function(source: str, name: str, constants: dict[str, Any]) -> Kernel:
    """Executes ``def name(...)`` with ``constants`` as closure variables."""
    lines = "\n".join("    " + line for line in source.splitlines())
    text = f"def make({', '.join(constants)}):\n{lines}\n    return {name}\n"
    namespace: dict[str, Any] = {}
    exec(compile(text, f"<generated {name}>", "exec"), state.__dict__, namespace)
    made: Kernel = namespace["make"](**constants)
    return made


def compile_kernel(
    parameters: str, lines: list[str], constants: dict[str, Any]
) -> Kernel:
    """A kernel of ``lines``, the last of which returns a name; see :func:`inlined`."""
    body = "\n".join("    " + line for line in lines)
    made = compile_function(f"def kernel({parameters}):\n{body}", "kernel", constants)
    made.generated = parameters, lines, constants  # type: ignore[attr-defined]
    return made


_RETURN = re.compile(r"(^ *|: )return ")


def inlined(
    kernel: Kernel,
    parameters: str,
    result: str,
    constants: dict[str, Any],
    sets: tuple[str, ...] = (),
) -> list[str]:
    """The lines of ``result = kernel(parameters)`` for a kernel around this one.

    Those of the kernel itself where it was generated, so that several layers still make
    one function; else the call. What the lines name is added to ``constants``. The
    attributes ``sets`` are set afterwards, so that they need no first value.
    """
    call = [f"{result} = inner({parameters})"]
    own, lines, names = getattr(kernel, "generated", (None, [], {}))
    *rest, last = lines or [""]
    value = last.removeprefix("return ")
    early = any(_RETURN.search(each) for each in rest)
    loops = any(each.lstrip().startswith(("for ", "while ")) for each in rest)
    clash = any(constants.get(n, v) is not v for n, v in names.items())
    if own != parameters or not value.isidentifier() or (early and loops) or clash:
        constants["inner"] = kernel
        return call
    constants.update(names)
    first = {f"{value}.{each} = None" for each in sets}
    rest = [each for each in rest if each.strip() not in first]
    if early:  # returns become ways out of a loop that runs once
        rest = [
            _RETURN.sub(rf"\1{result} = ", each) + "; break"
            if _RETURN.search(each)
            else each
            for each in rest
        ]
        rest = ["while True:", *("    " + each for each in rest)]
    if value != result:
        rest.append("    " * early + f"{result} = {value}")
    if early:
        rest.append("    break")
    return rest


state.keys_of = keys_of  # type: ignore[attr-defined]
state.keys_of_list = keys_of_list  # type: ignore[attr-defined]
state.Tensor = state.Parameter = None  # type: ignore[attr-defined] # set above


def parameter_names(op: Operator, form: str) -> list[str]:
    """The Python parameter names: PyTorch's functions call ``self`` ``input``."""
    rename = form == "function"
    return [
        "input" if rename and i == 0 and a.name == "self" else a.name
        for i, a in enumerate(op.schema.arguments)
    ]


def varargs_index(op: Operator, form: str) -> int | None:
    """The index of an ``int[]`` that may be given as separate ints (``x.view(2, 3)``)."""
    positional = [a for a in op.schema.arguments if not a.kwonly]
    start = 1 if form == "method" else 0
    if len(positional) == start + 1:
        only = positional[start]
        if only.is_list and only.base == "int" and only.size is None:
            return start
    return None


def _key_terms(arguments: list[Argument], names: list[str], factory: bool) -> list[str]:
    terms = []
    for argument, name in zip(arguments, names, strict=True):
        if argument.base == "Tensor|Scalar":
            term = f"({name}._keys if type({name}) is Tensor else keys_of({name}))"
            terms.append(
                f"(0 if {name} is None else {term})" if argument.optional else term
            )
        elif argument.base != "Tensor":
            if factory and argument.base == "Device":
                terms.append(f"device_keys({name})")
        elif argument.is_list:
            term = f"keys_of_list({name})"
            terms.append(
                f"({term} if {name} is not None else 0)" if argument.optional else term
            )
        elif argument.optional:
            terms.append(f"({name}._keys if {name} is not None else 0)")
        else:
            terms.append(f"{name}._keys")
    return terms


def has_out(op: Operator, form: str) -> bool:
    """Whether the function form takes ``out=``."""
    return (form in ("function", "overload") and "out" in op.tags) or (
        form in ("function", "overload")
        and getattr(op.lift, "has_out", False)
        and not op.tags & {"inplace", "view", "no_out"}
    )


def signature(op: Operator, form: str) -> tuple[str, list[str], dict[str, Any]]:
    """The parameter list, the names in schema order, and the defaults as constants."""
    names = parameter_names(op, form)
    varargs = varargs_index(op, form)
    parts: list[str] = []
    constants: dict[str, Any] = {}
    star = False
    # What is missing or too much is looked for in the entry, except where looking would
    # cost: for functions of one argument, what Python calls itself, and methods that
    # give views.
    lenient = form != "operator"
    plain = not has_out(op, form) and not any(a.kwonly for a in op.schema.arguments)
    strict_first = form == "method" or (plain and len(names) == 1)
    counts = lenient and not (form == "method" and "view" in op.tags)
    for i, (argument, name) in enumerate(zip(op.schema.arguments, names, strict=True)):
        if i == varargs:
            parts.append(f"*{name}")
            star = True
            continue
        if argument.kwonly and not star:
            parts.append("*more" if counts else "*")
            star = True
        if argument.default is REQUIRED:
            constants["REQUIRED"] = REQUIRED
            strict = not lenient or (i == 0 and strict_first)
            parts.append(name if strict else f"{name}=REQUIRED")
        elif isinstance(argument.default, (int, type(None), str)):
            parts.append(f"{name}={argument.default!r}")
        else:
            constants[f"default_{name}"] = argument.default
            parts.append(f"{name}=default_{name}")
    if has_out(op, form):
        parts += ["out=None"] if star else ["*more", "out=None"]
        star = True
    if counts and not star and len(names) > 1:
        parts.append("*more")
    if varargs is not None or any(n in ("dim", "keepdim", "dims") for n in names):
        parts.append("**compat")
    return ", ".join(parts), names, constants


def compile_entry(op: Operator, form: str) -> Kernel:
    """The callable of one operator: form "function", "method", "operator", "overload"."""
    name = op.name.rpartition("::")[2]
    parameters, names, constants = signature(op, form)
    varargs = varargs_index(op, form)
    listed = ", ".join(names)
    call = f"({listed},)" if names else "()"
    lines = [f"def {name}({parameters}):"]
    if "**compat" in parameters and varargs is None:
        lines.append("    if compat:")
        lines.append(
            f"        return renamed({name}, compat, {_as_dict(names, varargs)})"
        )
    if varargs is not None:
        only = names[varargs]
        lines.append(f"    if len({only}) == 1 and type({only}[0]) is not int:")
        lines.append(f"        {only} = {only}[0]")
        if op.schema.arguments[varargs].default is REQUIRED:
            lines.append(f"    elif not {only}: missing({name}, {only!r})")
            constants["missing"] = _missing
        lines.insert(
            1, f"    if compat: {only} = by_keyword({name}, compat, {only!r}, {only})"
        )
    if has_out(op, form):
        lines.append("    if out is not None:")
        lines.append(f"        return write_out(op, {name}, out, {call})")
    if "*more" in parameters:
        lines.insert(1, f"    if more: return surplus(op, {name}, {call}, more)")
    doubts = [] if form in _UNASKED else _doubts(op, names, form, constants)
    if doubts:
        lines.append(f"    if {' or '.join(doubts)}: ask(op, {name}, {call})")
        constants["ask"] = _ask
    terms = _key_terms(op.schema.arguments, names, "factory" in op.tags)
    keys = " | ".join(terms) if terms else "device_keys(None)"
    if form == "operator":
        fail = f"return reject_operand(op, {name}, {call})"
    else:
        fail = f"return reject(op, {name}, {call})"
    lines += [
        "    try:",
        f"        keys = {keys}",
        "    except (AttributeError, TypeError):",
        f"        {fail}",
        "    if ACTIVE:",
        "        keys = keys & tls.mask | tls.include",
    ]
    if form == "operator":
        lines.append(f"    return table[keys]({listed})")
    else:  # the block costs nothing where nothing fails
        lines += [
            "    try:",
            f"        return table[keys]({listed})",
            "    except Exception:",
            f"        wrong = mismatch(op, {name}, {call})",
            "        if wrong is None: raise",
            "    raise wrong",
        ]
    table = op.new_table()
    constants.update(
        op=op,
        mismatch=_mismatch,
        surplus=_surplus,
        table=table,
        reject=_reject,
        reject_operand=_reject_operand,
        write_out=_write_out,
        renamed=_renamed,
        by_keyword=_by_keyword,
        device_keys=_device_keys,
    )
    made = compile_function("\n".join(lines), name, constants)
    table.form = made
    made.__doc__ = op.__doc__ or op.text
    made.__module__ = "dispatchtorch"
    made.__qualname__ = f"Tensor.{name}" if form in ("method", "operator") else name
    made.op = op  # type: ignore[attr-defined]
    made.form = form  # type: ignore[attr-defined]
    return made


# Callables of what has been checked before: by Python, or by the overload's caller.
_UNASKED = frozenset(["operator", "overload"])
_NUMBERS = {
    "float": frozenset([int, float, bool]),
    "Scalar": frozenset([int, float, bool]),  # complex ones may be out of place
    "complex": frozenset([int, float, bool, complex]),
}
# Views that arrays would give for more than ints.
_LAX_VIEWS = frozenset(["select", "unfold"])
_INTS = frozenset([int, tuple, list, type(None)])


def _doubts(
    op: Operator, names: list[str], form: str, constants: dict[str, Any]
) -> list[str]:
    """Conditions, cheap where they are false, of arguments that need a closer look.

    A kernel might take what PyTorch's parser refuses: a number for a bool, a bool for an
    int, a string for a flag.
    """
    found = []
    view = form == "method" and "view" in op.tags and op.name not in _LAX_VIEWS
    varargs = varargs_index(op, form)
    for i, (argument, name) in enumerate(zip(op.schema.arguments, names, strict=True)):
        base, default = argument.base, argument.default
        if i == varargs or argument.is_tensor:
            continue
        if argument.is_list:
            if base == "int" and argument.size and default is None:
                constants["INTS"] = _INTS
                found.append(f"type({name}) not in INTS")
            elif default is REQUIRED and not argument.optional and not view:
                found.append(f"{name} is None")
        elif base == "bool":
            asked = f"{name} is not False and {name} is not True"
            found.append(asked + _unless_none(argument, name))
        elif base in ("int", "str") and not view:
            found.append(f"type({name}) is not {base}" + _unless_none(argument, name))
        elif base in ("float", "Scalar"):
            kinds = f"{base}Types"
            constants[kinds] = _NUMBERS[base]
            if default is REQUIRED or default is None:
                asked = f"type({name}) not in {kinds}"
                found.append(asked + _unless_none(argument, name))
            else:
                constants[f"preset_{name}"] = default
                asked = f"{name} is not preset_{name} and type({name}) not in {kinds}"
                found.append(asked)
        elif base in _NAMED:
            asked = f"type({name}).__name__ != {_NAMED[base]!r}"
            constants[f"preset_{name}"] = default
            found.append(
                f"{name} is not preset_{name} and {name} is not None and {asked}"
            )
        elif base == "ScalarType":
            constants["Dtype"] = dtypes.dtype
            found.append(f"{name} is not None and type({name}) is not Dtype")
        elif base == "Device":
            constants["PLACES"] = _PLACES
            found.append(f"{name} is not None and type({name}) not in PLACES")
    return found


def _unless_none(argument: Argument, name: str) -> str:
    none = argument.optional or argument.default is None
    return f" and {name} is not None" if none else ""


def _ask(op: Operator, function: Kernel, args: tuple[Any, ...]) -> None:
    wrong = _mismatch(op, function, args)
    if wrong is not None:
        raise wrong


def _as_dict(names: list[str], varargs: int | None) -> str:
    return "{" + ", ".join(f"{n!r}: {n}" for n in names) + "}"


def _device_keys(device: Any) -> int:
    keys: int = device_keys(device)
    return keys


def _reject(op: Operator, function: Kernel, args: tuple[Any, ...]) -> Any:
    return _operator.reject(op, function, args)


def _mismatch(
    op: Operator, function: Kernel, args: tuple[Any, ...]
) -> Exception | None:
    found: Exception | None = _operator.mismatch(op, function, args)  # type: ignore[attr-defined]
    return found


def _surplus(
    op: Operator, function: Kernel, args: tuple[Any, ...], more: tuple[Any, ...]
) -> Any:
    return _operator.reject(op, function, args, more)


def _reject_operand(op: Operator, function: Kernel, args: tuple[Any, ...]) -> Any:
    """Python asks the other operand, unless an operand overrides functions."""
    if any(overrides_functions(type(each)) for each in args[1:]):
        try:
            return _operator.reject(op, function, args)
        except TypeError:
            pass
    return NotImplemented


def _write_out(op: Operator, function: Kernel, out: Any, args: tuple[Any, ...]) -> Any:
    for each in args:
        if each is REQUIRED:
            return _operator.reject(op, function, args)
    return _operator.write_out(op, out, args)  # type: ignore[attr-defined]


# NumPy's names for arguments, which PyTorch's parser takes too.
_COMPAT = {"axis": "dim", "axes": "dim", "keepdims": "keepdim"}


def _renamed(function: Kernel, compat: dict[str, Any], given: dict[str, Any]) -> Any:
    for name in compat:
        target = _COMPAT.get(name)
        if target == "dim" and "dim" not in given and "dims" in given:
            target = "dims"
        if target not in given:
            raise TypeError(
                f"{function.__name__}() got an unexpected keyword argument '{name}'"
            )
        given[target] = compat[name]
    return function(**{k: v for k, v in given.items() if v is not REQUIRED})


def _missing(function: Kernel, name: str) -> None:
    raise TypeError(
        f'{function.__name__}() missing 1 required positional arguments: "{name}"'
    )


def _by_keyword(
    function: Kernel, compat: dict[str, Any], name: str, given: tuple[Any, ...]
) -> Any:
    if given and name in compat:
        raise TypeError(
            f"{function.__name__}() got multiple values for argument '{name}'"
        )
    if len(compat) == 1 and name in compat:
        return (compat[name],)
    other = next(each for each in compat if each != name)
    raise TypeError(
        f"{function.__name__}() got an unexpected keyword argument '{other}'"
    )


def compile_packet(packet: Packet, form: str) -> Kernel:
    """The callable of a name with several overloads: takes the first that fits."""
    entries = [
        (op, compile_entry(op, form), _Matcher(op, form)) for op in packet.overloads
    ]
    name = packet.name

    remembered: dict[tuple[type, ...], Kernel] = {}

    def choose(*args: Any, **kwargs: Any) -> Any:
        if not kwargs:
            types = tuple([type(each) for each in args])
            known = remembered.get(types)
            if known is not None:
                return known(*args)
        for _, entry, matches in entries:
            if matches(args, kwargs):
                if not kwargs and _decided_by_types(packet, types):
                    remembered[types] = entry
                return entry(*args, **kwargs)
        return _operator.reject_packet(packet, form, args, kwargs)  # type: ignore[attr-defined]

    first, first_entry, _ = entries[0]
    resolve: Any = choose
    bare = [a.base for a in first.schema.arguments if not a.has_default] == ["Tensor"]
    if bare and all(a.kwonly for a in first.schema.arguments[1:]):
        resolve = _with_fast_path(first, first_entry, form, choose)
    elif varargs_index(first, form) == 1 and len(first.schema.arguments) == 2:
        resolve = _with_fast_ints(first, first_entry, choose)

    resolve.__name__ = name
    resolve.__qualname__ = f"Tensor.{name}" if form == "method" else name
    resolve.__module__ = "dispatchtorch"
    resolve.__doc__ = next((op.__doc__ for op in packet.overloads if op.__doc__), None)
    resolve.packet = packet  # type: ignore[attr-defined]
    for _, entry, _ in entries:
        entry.public = resolve  # type: ignore[attr-defined]
        for table in entry.op.tables:  # type: ignore[attr-defined]
            if table.form is entry:
                table.form = resolve
    return resolve


def _decided_by_types(packet: Packet, types: tuple[type, ...]) -> bool:
    """Whether the types of arguments alone say which overload they fit.

    They don't where a tensor may stand for a number (if it has no dims), or a list for
    lists of different things.
    """
    for i, kind in enumerate(types):
        bases = {
            (a.base, a.is_list)
            for op in packet.overloads
            for a in op.schema.arguments[i : i + 1]
        }
        if hasattr(kind, "_keys"):
            if any(base not in ("Tensor", "Tensor|Scalar") for base, _ in bases):
                return False
        elif kind in (list, tuple):
            if len({base for base, is_list in bases if is_list}) > 1:
                return False
        elif kind not in _SCALAR_KEYS and kind not in (str, type(None), dtypes.dtype):
            return False
    return True


def _with_fast_path(op: Operator, entry: Kernel, form: str, choose: Kernel) -> Kernel:
    """A resolver that calls the overload of one bare tensor without looking further."""
    arguments = op.schema.arguments[1:]
    constants: dict[str, Any] = {f"default_{a.name}": a.default for a in arguments}
    rest = "".join(f", default_{a.name}" for a in arguments)
    table = entry.op.new_table()  # type: ignore[attr-defined]
    constants.update(choose=choose, table=table)
    # Functions may be given their tensor by name; methods have it as self.
    if form == "method":
        head = ["(self, *args, **kwargs)", "kwargs or args", "self, *args"]
    else:
        head = ["(*args, **kwargs)", "kwargs or len(args) != 1", "*args"]
    lines = [
        f"def {op.name}{head[0]}:",
        f"    if {head[1]}: return choose({head[2]}, **kwargs)",
        *([] if form == "method" else ["    self, = args"]),
        "    try:",
        "        keys = self._keys",
        "    except AttributeError:",
        f"        return choose({head[2]})",
        "    if ACTIVE:",
        "        keys = keys & tls.mask | tls.include",
        f"    return table[keys](self{rest})",
    ]
    made = compile_function("\n".join(lines), op.name, constants)
    table.form = made
    return made


def _with_fast_ints(op: Operator, entry: Kernel, choose: Kernel) -> Kernel:
    """A resolver that calls the overload of separate ints without looking further."""
    table = entry.op.new_table()  # type: ignore[attr-defined]
    lines = [
        f"def {op.name}(self, *args, **kwargs):",
        "    if kwargs or not args or type(args[0]) is not int:",
        "        return choose(self, *args, **kwargs)",
        "    try:",
        "        keys = self._keys",
        "    except AttributeError:",
        "        return choose(self, *args)",
        "    if ACTIVE:",
        "        keys = keys & tls.mask | tls.include",
        "    return table[keys](self, args)",
    ]
    constants = {"choose": choose, "table": table}
    made = compile_function("\n".join(lines), op.name, constants)
    table.form = made
    return made


class _Matcher:
    """Whether arguments fit one overload, by count, names and coarse types."""

    __slots__ = ("names", "op", "positional", "required", "takes_out", "varargs")

    def __init__(self, op: Operator, form: str) -> None:
        self.op = op
        arguments = op.schema.arguments
        listed = parameter_names(op, form)
        self.names = dict(zip(listed, arguments, strict=True))
        self.positional = [a for a in arguments if not a.kwonly]
        self.required = [n for n, a in self.names.items() if a.default is REQUIRED]
        self.varargs = varargs_index(op, form)
        self.takes_out = has_out(op, form)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        varargs = self.varargs
        given = dict.fromkeys(list(self.names)[: len(args)])
        if varargs is not None and len(args) > varargs:
            tail = args[varargs:]
            if len(tail) > 1 or fits_int(tail[0]):
                if not all(fits_int(each) for each in tail):
                    return False
                args = args[:varargs]
        if len(args) > len(self.positional):
            return False
        for value, argument in zip(args, self.positional, strict=False):
            if not fits(value, argument):
                return False
        for name, value in kwargs.items():
            name = _COMPAT.get(name, name) if name not in self.names else name
            if name == "out" and self.takes_out:
                continue
            argument_ = self.names.get(name)
            if argument_ is None or name in given or not fits(value, argument_):
                return False
            given[name] = None
        return all(name in given for name in self.required)


def fits_int(value: Any) -> bool:
    if type(value) is int:
        return True
    if isinstance(value, (bool, float)):
        return False
    if not hasattr(value, "__index__") or getattr(value, "ndim", False):
        return False
    return not (hasattr(value, "_keys") and value.is_floating_point())


def fits(value: Any, argument: Argument) -> bool:
    """Whether a value may be given for an argument (the parser's coarse check)."""
    if value is None:
        return argument.optional or argument.default is None
    if value is argument.default and value is not REQUIRED:
        return True
    base = argument.base
    if argument.is_list:
        if base == "int":
            if argument.size is not None and fits_int(value):
                return True
            return isinstance(value, (list, tuple)) and all(map(fits_int, value))
        if base == "Tensor":
            return isinstance(value, (list, tuple)) and all(
                hasattr(v, "_keys") or (v is None and argument.optional_items)
                for v in value
            )
        if argument.size is not None and fits_scalar(value, base):
            return True
        return isinstance(value, (list, tuple)) and all(
            fits_scalar(v, base) for v in value
        )
    return fits_scalar(value, base)


# Classes of the floors above, by their names.
_NAMED = {
    "Generator": "Generator",
    "Layout": "layout",
    "MemoryFormat": "memory_format",
}
_PLACES = frozenset([str, int, device])


def overrides_functions(kind: type) -> bool:
    """Whether a class has a ``__torch_function__``, other than the one that disables it."""
    function = getattr(kind, "__torch_function__", None)
    return function is not None and not hasattr(function, "disables")


def fits_scalar(value: Any, base: str) -> bool:
    if base == "Tensor":
        return hasattr(value, "_keys") or overrides_functions(type(value))
    if base == "Tensor|Scalar":
        return hasattr(value, "_keys") or fits_scalar(value, "Scalar")
    if base == "int":
        return fits_int(value)
    if base == "bool":
        return isinstance(value, bool)
    if base in ("float", "Scalar"):
        if hasattr(value, "_keys"):
            return bool(value.ndim == 0 and not value.requires_grad)
        try:
            keys_of(value)
        except AttributeError:
            return False
        return base == "Scalar" or not isinstance(value, complex)
    if base == "str":
        return isinstance(value, str)
    if base == "Padding":
        return isinstance(value, (str, int, list, tuple))
    if base == "ScalarType":
        return isinstance(value, dtypes.dtype) or (
            isinstance(value, type) and value in _NUMBERS["complex"]
        )
    if base in _NAMED:
        return any(each.__name__ == _NAMED[base] for each in type(value).__mro__)
    if base == "Device":
        return type(value) in _PLACES or isinstance(value, str)
    return not hasattr(value, "_keys") and not isinstance(value, (int, float))
