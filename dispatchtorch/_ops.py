"""``torch.ops``: every operator by namespace, name and overload.

``torch.ops.aten.add.Tensor`` is an :class:`OpOverload`, a handle of one of our operators
under PyTorch's name for it. Where one operator here takes a tensor or a number, PyTorch
has an overload for each; both names lead to the one operator. Operators that libraries
declare (``torch.library``) are found under their own namespace.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from dispatchtorch.dispatch import operator as _operator
from dispatchtorch.dispatch.codegen import compile_entry, fits, has_out
from dispatchtorch.dispatch.operator import Operator
from dispatchtorch.dispatch.schema import REQUIRED, Argument, Schema, parse

__all__ = [
    "FunctionSchema",
    "OpOverload",
    "OpOverloadPacket",
    "ops",
    "overload_for",
    "overload_names",
    "schema_arguments",
]

UNION = "Tensor|Scalar"

# PyTorch's overload names of operators here that have another one, or none.
_RENAMED = {
    "empty": "memory_format",
    "transpose": "int",
    "conv_transpose2d": "input",
    "conv_transpose3d": "input",
    "ldexp_.Tensor": "",
}
# For operators that take numbers: the overload of two tensors, of a number as the last
# operand, and of a number as the first.
_NAMES = {
    name: tuple("" if each == "-" else each for each in row.split())
    for names, row in {
        "add add_ sub sub_ mul mul_ div div_": "Tensor Tensor Tensor",
        "floor_divide floor_divide_": "- - -",
        "pow float_power": "Tensor_Tensor Tensor_Scalar Scalar",
        "xlogy xlogy_": "Tensor Scalar_Other Scalar_Self",
        "where.self": "self ScalarOther ScalarSelf",
        "bitwise_left_shift bitwise_left_shift_ bitwise_right_shift "
        "bitwise_right_shift_": "Tensor Tensor_Scalar Scalar_Tensor",
        "special_zeta special_xlog1py": "- other_scalar self_scalar",
    }.items()
    for name in names.split()
}
_ANY = ("Tensor", "Scalar", "Scalar_Tensor")
_POLYNOMIAL = ("", "n_scalar", "x_scalar")


def _union_row(op: Operator) -> tuple[str, ...]:
    row = _NAMES.get(op.full_name)
    if row is None:
        row = _POLYNOMIAL if "_polynomial_" in op.name else _ANY
    return row


def schema_arguments(op: Operator) -> list[Argument]:
    return op.schema.arguments


def overload_names(op: Operator) -> dict[str, str]:
    """PyTorch's overload names of an operator, with the schema of each."""
    head, _, tail = op.text.partition("(")
    base = head.partition(".")[0].strip()
    unions = op.text.count(UNION)

    def text(overload: str, first: str, last: str) -> str:
        rest = tail
        if unions > 1:
            rest = rest.replace(UNION, first, 1)
        rest = rest.replace(UNION, last)
        return f"{base}{'.' if overload else ''}{overload}({rest}"

    found: dict[str, str] = {}
    if unions:
        both, last, first = _union_row(op)
        found[both] = text(both, "Tensor", "Tensor")
        found.setdefault(
            last if last != both else "Scalar", text(last, "Tensor", "Scalar")
        )
        if last == both:
            found["Scalar"] = text("Scalar", "Tensor", "Scalar")
        if unions > 1 and first != both:
            found[first] = text(first, "Scalar", "Tensor")
        if "rounding_mode" in tail:
            found["Tensor_mode"] = text("Tensor_mode", "Tensor", "Tensor")
            found["Scalar_mode"] = text("Scalar_mode", "Tensor", "Scalar")
    else:
        overload = _RENAMED.get(op.full_name, op.overload)
        found[overload] = text(overload, "", "")
    if has_out(op, "overload"):
        plain, source = next(iter(found.items()))
        name = "out" if plain in ("", "Tensor", "self") else f"{plain}_out"
        found[name] = _with_out(base, name, source)
    return found


def _with_out(base: str, overload: str, source: str) -> str:
    """The schema of a functional overload as that of its ``out=`` form."""
    inside, _, returns = source.partition("(")[2].rpartition(" -> ")
    inside = inside[:-1]
    count = returns.count("Tensor")
    if count > 1:
        outs = [f"Tensor({chr(97 + i)}!) out{i}" for i in range(count)]
        made = f"({', '.join(f'Tensor({chr(97 + i)}!)' for i in range(count))})"
    else:
        outs, made = ["Tensor(a!) out"], "Tensor(a!)"
    star = "" if "*," in inside else "*, "
    joined = f"{inside}, {star}{', '.join(outs)}" if inside else f"*, {outs[0]}"
    return f"{base}.{overload}({joined}) -> {made}"


def _called_as(op: Operator, args: tuple[Any, ...]) -> str:
    """The overload name that PyTorch gives a call with these arguments."""
    if UNION not in op.text:
        return _RENAMED.get(op.full_name, op.overload)
    both, last, first = _union_row(op)
    kinds = [
        hasattr(value, "_keys")
        for value, argument in zip(args, op.schema.arguments, strict=False)
        if argument.base == UNION
    ]
    if op.name in ("div", "div_") and args[2] is not None:
        return "Tensor_mode"
    if not kinds[-1]:
        return last
    return first if not kinds[0] else both


# Schemas as objects.

_JIT = {
    "Scalar": "number",
    "ScalarType": "int",
    "Layout": "int",
    "MemoryFormat": "int",
}


class SchemaArgument:
    """One parameter (or result) of a :class:`FunctionSchema`."""

    def __init__(self, argument: Argument, text: str) -> None:
        self.name = argument.name.removesuffix("_") if text else argument.name
        self.type = _jit_type(argument)
        self.default_value = None if argument.default is REQUIRED else argument.default
        self._has_default = argument.default is not REQUIRED
        self.kwarg_only = argument.kwonly
        self.N = argument.size
        self.is_out = argument.kwonly and argument.writes
        inside = text.partition("(")[2].partition(")")[0] if "(" in text else ""
        self.alias_info = AliasInfo(inside) if inside else None

    @property
    def is_write(self) -> bool:
        return self.alias_info is not None and self.alias_info.is_write

    def has_default_value(self) -> bool:
        return self._has_default

    def __repr__(self) -> str:
        return f"{self.type} {self.name}"


class AliasInfo:
    """Which memory an argument shares, and whether it is written."""

    def __init__(self, text: str) -> None:
        names = text.replace("!", " ").replace("->", " ").replace("|", " ").split()
        self.before_set = self.after_set = set(names)
        self.is_write = "!" in text

    def __repr__(self) -> str:
        return f"({'|'.join(sorted(self.before_set))}{'!' if self.is_write else ''})"


def _jit_type(argument: Argument) -> str:
    base = _JIT.get(argument.base, argument.base)
    if argument.is_list:
        base = f"List[{f'Optional[{base}]' if argument.optional_items else base}]"
    return f"Optional[{base}]" if argument.optional else base


class FunctionSchema:
    """An operator's schema, read as PyTorch's: ``op._schema``."""

    def __init__(self, namespace: str, text: str) -> None:
        bare = text.rpartition("::")[2] if "::" in text.partition("(")[0] else text
        self._parsed: Schema = parse(bare)
        plain = re.sub(r"(?<==)(-?\d+)\.0(?=[,)])", r"\1.", " ".join(bare.split()))
        plain = re.sub(r"='([^']*)'", r'="\1"', plain)
        self._text = f"{namespace}::{plain}"
        self.name = f"{namespace}::{self._parsed.name}"
        self.overload_name = self._parsed.overload
        inside = bare[bare.index("(") + 1 : bare.rindex(" -> ")].rstrip()[:-1]
        from dispatchtorch.dispatch.schema import _split

        texts = [part for part in _split(inside) if part != "*"]
        self.arguments = [
            SchemaArgument(a, t)
            for a, t in zip(self._parsed.arguments, texts, strict=True)
        ]
        self.returns = [
            SchemaArgument(Argument(r if " " in r else f"{r} _", False), r)
            for r in self._parsed.returns
            if r and r != "()"
        ]
        for made in self.returns:
            made.name = "" if made.name == "_" else made.name

    @property
    def is_mutable(self) -> bool:
        return any(a.is_write for a in self.arguments)

    def __str__(self) -> str:
        return self._text

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FunctionSchema) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class OpOverload:
    """One overload of an operator: call it, or ask its ``_schema``."""

    def __init__(
        self, packet: OpOverloadPacket, op: Operator, overload: str, schema: str
    ) -> None:
        self._overloadpacket = packet
        self._operator = op
        self._opname = packet._opname
        self._overloadname = overload or "default"
        self._namespace = packet._namespace
        self._schema_text = schema
        self._made_schema: FunctionSchema | None = None
        self._name = packet._qualified_op_name + (f".{overload}" if overload else "")
        self.__name__ = f"{self._opname}.{self._overloadname}"
        self.__qualname__ = self._opname
        self.__module__ = packet.__module__
        self._checked = self._namespace != "aten"
        self._entry: Callable[..., Any] | None = None
        self._takes_out = overload.endswith("out") and not op.overload.endswith("out")

    @property
    def _schema(self) -> FunctionSchema:
        if self._made_schema is None:
            self._made_schema = FunctionSchema(self._namespace, self._schema_text)
        return self._made_schema

    @property
    def namespace(self) -> str:
        return self._namespace

    @property
    def overloadpacket(self) -> OpOverloadPacket:
        return self._overloadpacket

    op = overloadpacket

    @property
    def tags(self) -> list[Any]:
        """PyTorch's tags of the operator, as far as they are known here."""
        return _tags_of(self._operator)

    @property
    def is_view(self) -> bool:
        """Whether the result shares memory with an argument that isn't written."""
        return any(
            a.alias_info is not None and not a.is_write for a in self._schema.arguments
        )

    def name(self) -> str:
        """``"aten::add.Tensor"``."""
        return self._name

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        if self._checked:
            self._check(args, kwargs)
        entry = self._entry
        if entry is None:
            entry = self._entry = self._compile()
        try:
            return entry(*args, **self._renamed(kwargs))
        except TypeError:
            if not self._checked:
                self._check(args, kwargs)
            raise

    def _renamed(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"from_": kwargs.pop("from"), **kwargs} if "from" in kwargs else kwargs

    def _compile(self) -> Callable[..., Any]:
        made = compile_entry(self._operator, "overload")
        for table in self._operator.tables:
            if table.form is made:
                table.form = self  # what `__torch_function__` is given
        return made

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Raises the RuntimeError of arguments that don't fit the schema."""
        schema = self._schema
        name = schema.name
        arguments = schema._parsed.arguments
        positional = [a for a in arguments if not a.kwonly]
        if len(args) + len(kwargs) > len(arguments):
            raise RuntimeError(
                f"{name}() expected at most {len(arguments)} argument(s) but received "
                f"{len(args) + len(kwargs)} argument(s). Declaration: {schema}"
            )
        if len(args) > len(positional):
            raise RuntimeError(
                f"{name}() takes {len(positional)} positional argument(s) but "
                f"{len(args)} was/were given.  Declaration: {schema}"
            )
        given = dict(zip([a.name for a in positional], args, strict=False))
        names = {a.name: a for a in arguments}
        for key, value in kwargs.items():
            key = key if key in names else f"{key}_"
            if key in names:
                given[key] = value
        for i, argument in enumerate(arguments):
            if argument.name not in given:
                if argument.default is REQUIRED:
                    raise RuntimeError(
                        f"{name}() is missing value for argument "
                        f"'{argument.name}'. Declaration: {schema}"
                    )
                continue
            value = given[argument.name]
            union = self._operator.schema.arguments[i : i + 1]
            if union and union[0].base == UNION and _is_number(value):
                continue  # a number may stand for a tensor in arithmetic
            if argument.base == "bool" and type(value) is int:
                continue
            if not fits(value, argument):
                raise RuntimeError(_misfit(schema, argument, i, value))
        for key in kwargs:
            if key not in names and f"{key}_" not in names:
                raise RuntimeError(
                    f"Unknown keyword argument '{key}' for operator '{name}'. "
                    f"Schema: {schema}"
                )

    def decompose(self, *args: Any, **kwargs: Any) -> Any:
        """The result by the operator's decomposition; NotImplemented without one."""
        body = self._operator.body
        return NotImplemented if body is None else body(*args, **kwargs)

    def has_kernel_for_dispatch_key(self, key: Any) -> bool:
        """Whether a kernel stands under a dispatch key."""
        from dispatchtorch._library.kernels import has_kernel

        return has_kernel(self._operator, key)

    def py_impl(self, key: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorates a kernel for a dispatch key (or for a class of modes)."""
        from dispatchtorch._library import kernels

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            if isinstance(key, type):
                kernels.add_torch_dispatch(self._operator, key, function)
            else:
                kernels.add_kernel(self._operator, key, function)
            return function

        return add

    def __repr__(self) -> str:
        return (
            f"<OpOverload(op='{self._namespace}.{self._opname}', "
            f"overload='{self._overloadname}')>"
        )

    def __str__(self) -> str:
        return f"{self._namespace}.{self._opname}.{self._overloadname}"

    def __deepcopy__(self, memo: Any) -> OpOverload:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _find, (self._namespace, self._opname, self._overloadname)


def _find(namespace: str, name: str, overload: str) -> OpOverload:
    found: OpOverload = getattr(getattr(getattr(ops, namespace), name), overload)
    return found


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool, complex)


def _misfit(schema: FunctionSchema, argument: Argument, i: int, value: Any) -> str:
    wanted = _jit_type(argument)
    if wanted == "number":
        cast = f"Cannot cast {value} to number"
    elif wanted == "Tensor":
        cast = f"Unable to cast {value} to Tensor"
    else:
        cast = (
            f"Unable to cast Python instance of type {type(value)} to C++ type '?' "
            "(#define PYBIND11_DETAILED_ERROR_MESSAGES or compile in debug mode for "
            "details)"
        )
    return (
        f"{schema.name}() Expected a value of type '{wanted}' for argument "
        f"'{argument.name}' but instead found type '{type(value).__name__}'.\n"
        f"Position: {i}\nValue: {value!r}\nDeclaration: {schema}\n"
        f"Cast error details: {cast}"
    )


class OpOverloadPacket:
    """All overloads of one name. A call takes the first that fits."""

    def __init__(self, namespace: str, opname: str) -> None:
        self._namespace = namespace
        self._opname = opname
        self._qualified_op_name = f"{namespace}::{opname}"
        self.__name__ = opname
        self.__qualname__ = opname
        self.__module__ = f"torch.ops.{namespace}"
        self._made: dict[str, OpOverload] = {}

    def _packet(self) -> _operator.Packet:
        key = self._opname if self._namespace == "aten" else self._qualified_op_name
        return _operator.packets[key]

    def _all(self) -> dict[str, OpOverload]:
        """The overloads by PyTorch's names, without the empty one's "default"."""
        found: dict[str, OpOverload] = {}
        for op in self._packet().overloads:
            for name, text in overload_names(op).items():
                known = self._made.get(name)
                if known is None or known._operator is not op:
                    if name in found:
                        continue
                    known = self._made[name] = OpOverload(self, op, name, text)
                found.setdefault(name, known)
        return found

    def overloads(self) -> list[str]:
        """The names of the overloads."""
        return [name or "default" for name in self._all()]

    op_overloads = property(overloads)

    def __getattr__(self, name: str) -> OpOverload:
        if name.startswith("__"):
            raise AttributeError(
                f"'{self}' can't have an overload name beginning with '__' and the "
                f"underlying op {self._qualified_op_name} has no attribute {name} "
                "either."
            )
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._all().get("" if name == "default" else name)
        if found is None:
            raise AttributeError(
                f"The underlying op of '{self}' has no overload name '{name}'"
            )
        return found

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        overloads = self._all()
        if len(overloads) == 1:
            return next(iter(overloads.values()))(*args, **kwargs)
        problems = []
        for each in overloads.values():
            try:
                each._check(args, kwargs)
            except RuntimeError as error:
                problems.append(str(error))
                continue
            return each(*args, **kwargs)
        raise RuntimeError(
            "Overloaded torch operator invoked from Python failed to match any schema:\n"
            + "\n\n".join(problems)
            + "\n\n"
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.overloads())

    def __dir__(self) -> list[str]:
        return sorted({*object.__dir__(self), *self.overloads()})

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self._namespace}.{self._opname}')>"

    def __str__(self) -> str:
        return f"{self._namespace}.{self._opname}"

    def __deepcopy__(self, memo: Any) -> OpOverloadPacket:
        return self


def overload_for(op: Operator, args: tuple[Any, ...]) -> OpOverload:
    """The overload that PyTorch would say a call is of."""
    namespace, _, name = op.name.rpartition("::")
    packet = getattr(getattr(ops, namespace or "aten"), name)
    found: OpOverload = packet._all()[_called_as(op, args)]
    return found


def _tags_of(op: Operator) -> list[Any]:
    from dispatchtorch._library.tags import tags_of

    return tags_of(op)


class _OpNamespace(ModuleType):
    """``torch.ops.<namespace>``."""

    def __init__(self, name: str) -> None:
        super().__init__(f"torch.ops.{name}")
        self.__file__ = "torch.ops"
        self._namespace = name

    def __getattr__(self, name: str) -> OpOverloadPacket:
        namespace = self.__dict__["_namespace"]
        key = name if namespace == "aten" else f"{namespace}::{name}"
        if not name.startswith("__") and key not in _operator.packets:
            _operator.before_bind()  # plugins declare operators
        if name.startswith("__") or key not in _operator.packets:
            raise AttributeError(
                f"'_OpNamespace' '{namespace}' object has no attribute '{name}'"
            )
        made = _packets.get(key)
        if made is None:
            made = _packets[key] = OpOverloadPacket(namespace, name)
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(dir(self))

    def __dir__(self) -> list[str]:
        prefix = "" if self._namespace == "aten" else f"{self._namespace}::"
        return sorted(
            name.removeprefix(prefix)
            for name in _operator.packets
            if name.startswith(prefix) and ("::" in name) == bool(prefix)
        )


_packets: dict[str, OpOverloadPacket] = {}


class _Ops(ModuleType):
    """``torch.ops``."""

    __file__ = "_ops.py"

    def __init__(self) -> None:
        super().__init__("torch.ops")
        self.loaded_libraries: set[str] = set()

    def __getattr__(self, name: str) -> _OpNamespace:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _OpNamespace(name)
        setattr(self, name, made)
        return made

    def load_library(self, path: Any) -> None:
        """Not possible here: shared libraries of operators are PyTorch's own C++."""
        raise NotImplementedError(
            "torch.ops.load_library: shared libraries of C++ operators can't be loaded; "
            "write the operator with torch.library, or as a plugin (docs/plugins.md)"
        )


ops: Any = _Ops()
