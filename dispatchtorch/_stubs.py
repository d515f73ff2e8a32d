"""Writes the type stubs of operators: ``python -m dispatchtorch._stubs [--check]``.

Two stub files come from the schemas, ``_functions.pyi`` (what ``torch.`` completes to) and
``_methods.pyi`` (the base class of Tensor, for type checkers alone). Nothing imports this
module at run time.
"""

from __future__ import annotations

import inspect
import keyword
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

from dispatchtorch.dispatch.codegen import has_out, parameter_names, varargs_index
from dispatchtorch.dispatch.operator import Operator, Packet, packets
from dispatchtorch.dispatch.schema import REQUIRED, Argument

__all__ = ["main", "stubs"]

_HEADER = """\
# Written by `python -m dispatchtorch._stubs` from the operators' schemas.
# mypy: disable-error-code="overload-overlap, overload-cannot-match, misc, override"
# mypy: disable-error-code="no-redef, assignment"
# ruff: noqa

from builtins import bool as _bool, complex as _complex, float as _float
from builtins import int as _int, str as _str, tuple as _tuple, list as _list
from builtins import type as _type, object as _object
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

from dispatchtorch.device import device as _device
from dispatchtorch.dtypes import dtype as _dtype
from dispatchtorch.memory_format import layout as _layout
from dispatchtorch.memory_format import memory_format as _memory_format
from dispatchtorch.size import Size as _Size
"""
_ALIASES = """
_Number = _int | _float | _complex | _bool
_Device = _device | _str | _int | None
_DType = _dtype | _type[Any]
"""

_TYPES = {
    "Tensor": "Tensor",
    "Tensor|Scalar": "Tensor | _Number",
    "Scalar": "_Number",
    "int": "_int",
    "float": "_float",
    "bool": "_bool",
    "str": "_str",
    "ScalarType": "_DType",
    "Device": "_Device",
    "Layout": "_layout",
    "MemoryFormat": "_memory_format",
}
_RETURNS = {"Tensor": "Tensor", "bool": "_bool", "int": "_int", "Scalar": "Any"}
_NOT_CALLED = ("__init__", "__new__", "__getattr__", "__dir__", "__init_subclass__")
_BINARY = (
    "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift lt le gt ge eq ne"
).split()
_INPLACE = "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()


def _type_of(argument: Argument) -> str:
    base = _TYPES.get(argument.base, "Any")
    if base == "Any":
        return base
    if argument.is_list:
        item = f"{base} | None" if argument.optional_items else base
        text = f"Sequence[{item}]"
        if argument.base == "Tensor":
            text = f"_tuple[{item}, ...] | _list[{item}]"
        elif argument.size is not None:
            text = f"{base} | {text}"
    else:
        text = base
    if argument.base in ("int", "Scalar", "float") and not argument.is_list:
        text = "_Number" if argument.base != "int" else text
    optional = argument.optional or argument.default is None
    return f"{text} | None" if optional and "None" not in text.split(" | ") else text


def _return_type(op: Operator) -> str:
    made = []
    for each in op.schema.returns:
        kind = each.split()[0]
        kind = re.sub(r"\([^)]*\)", "", kind)
        optional = kind.endswith("?")
        kind = kind.rstrip("?")
        if kind == "Tensor[]":
            made.append("_tuple[Tensor, ...]")
        else:
            name = _RETURNS.get(kind, "Any")
            made.append(f"{name} | None" if optional and name != "Any" else name)
    if not op.schema.returns or op.schema.returns[0] == "()":
        return "None"
    if len(made) == 1:
        return made[0]
    return "Any" if op.schema.return_names else f"_tuple[{', '.join(made)}]"


def _parameter(argument: Argument, name: str) -> str:
    text = f"{name}: {_type_of(argument)}"
    return text if argument.default is REQUIRED else f"{text} = ..."


def _signatures(op: Operator, form: str) -> Iterable[str]:
    """The parameter lists of an operator; two where sizes may come one by one."""
    names = parameter_names(op, form)
    varargs = varargs_index(op, form)
    for spread in (False, True) if varargs is not None else (False,):
        parts: list[str] = []
        star = optional = False
        for i, (argument, name) in enumerate(
            zip(op.schema.arguments, names, strict=True)
        ):
            if i == varargs and spread:
                parts.append(f"*{name}: _int")
                star = True
                continue
            if argument.kwonly and not star:
                parts.append("*")
                star = True
            text = "self" if form == "method" and i == 0 else _parameter(argument, name)
            if argument.default is not REQUIRED:
                optional = True
            elif optional and not star:
                text += " = ..."
            parts.append(text)
        if has_out(op, form):
            several = len(op.schema.returns) > 1 or op.schema.returns[0] == "Tensor[]"
            kind = "Any" if several else "Tensor | None"
            parts += [] if star else ["*"]
            parts.append(f"out: {kind} = ...")
        yield f"({', '.join(parts)}) -> {_return_type(op)}"


def _definition(name: str, signatures: list[str], indent: str = "") -> list[str]:
    unique = list(dict.fromkeys(signatures))
    if len(unique) == 1:
        return [f"{indent}def {name}{unique[0]}: ..."]
    lines = []
    for each in unique:
        lines += [f"{indent}@overload", f"{indent}def {name}{each}: ..."]
    return lines


def _packet(packet: Packet, form: str, indent: str = "") -> list[str]:
    made = [text for op in packet.overloads for text in _signatures(op, form)]
    return _definition(packet.name, made, indent)


def _functions() -> list[str]:
    lines: list[str] = []
    for name in sorted(packets):
        packet = packets[name]
        if "function" in packet.variants and not keyword.iskeyword(name):
            lines += _packet(packet, "function")
    return lines


# Python's own methods and properties, from their annotations.

_KNOWN = set("Tensor Any Callable Iterator Sequence None".split())
_BUILTINS = "bool complex float int str tuple list type object".split()


def _annotation(value: Any) -> str:
    """An annotation in the stub's words; Any for names that the stub hasn't."""
    if value is inspect.Parameter.empty:
        return "Any"
    text = value if isinstance(value, str) else getattr(value, "__name__", "Any")
    for name in _BUILTINS:
        text = re.sub(rf"(?<![\w.]){name}\b", f"_{name}", text)
    text = re.sub(r"(?<![\w.])Size\b", "_Size", text)
    text = re.sub(r"(?<![\w.])Device\b", "_device", text)
    text = re.sub(r"(?<![\w.])dtypes\.dtype\b", "_dtype", text)
    names = set(re.findall(r"[A-Za-z_][\w.]*", text))
    allowed = _KNOWN | {f"_{n}" for n in _BUILTINS} | {"_Size", "_device", "_dtype"}
    return text if names <= allowed else "Any"


def _python_method(name: str, function: Callable[..., Any]) -> list[str]:
    parts = []
    star = False
    for i, parameter in enumerate(inspect.signature(function).parameters.values()):
        if i == 0:
            parts.append("self")
            continue
        kind = parameter.kind
        if kind is parameter.VAR_POSITIONAL:
            parts.append(f"*{parameter.name}: {_annotation(parameter.annotation)}")
            star = True
            continue
        if kind is parameter.VAR_KEYWORD:
            parts.append(f"**{parameter.name}: {_annotation(parameter.annotation)}")
            continue
        if kind is parameter.KEYWORD_ONLY and not star:
            parts.append("*")
            star = True
        text = f"{parameter.name}: {_annotation(parameter.annotation)}"
        parts.append(text if parameter.default is parameter.empty else f"{text} = ...")
    returned = _annotation(inspect.signature(function).return_annotation)
    return [f"    def {name}({', '.join(parts)}) -> {returned}: ..."]


def _property(name: str, value: property) -> list[str]:
    returned = "Any"
    if (
        name != "grad"
        and value.fget is not None
        and hasattr(value.fget, "__annotations__")
    ):
        returned = _annotation(inspect.signature(value.fget).return_annotation)
    lines = ["    @property", f"    def {name}(self) -> {returned}: ..."]
    if value.fset is not None:
        lines += [
            f"    @{name}.setter",
            f"    def {name}(self, value: Any) -> None: ...",
        ]
    if value.fdel is not None:
        lines += [f"    @{name}.deleter", f"    def {name}(self) -> None: ..."]
    return lines


def _dunders() -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for name in _BINARY:
        kind = "_object" if name in ("eq", "ne") else "Any"
        made[f"__{name}__"] = [
            f"    def __{name}__(self, other: {kind}) -> Tensor: ..."
        ]
        if name not in ("lt", "le", "gt", "ge", "eq", "ne"):
            made[f"__r{name}__"] = [
                f"    def __r{name}__(self, other: Any) -> Tensor: ..."
            ]
    for name in _INPLACE:
        made[f"__i{name}__"] = [f"    def __i{name}__(self, other: Any) -> Tensor: ..."]
    for name in ("neg", "pos", "abs", "invert"):
        made[f"__{name}__"] = [f"    def __{name}__(self) -> Tensor: ..."]
    made["__hash__"] = ["    def __hash__(self) -> _int: ..."]
    made["__iter__"] = ["    def __iter__(self) -> Iterator[Tensor]: ..."]
    made["__getitem__"] = ["    def __getitem__(self, index: Any) -> Tensor: ..."]
    made["__setitem__"] = [
        "    def __setitem__(self, index: Any, value: Any) -> None: ..."
    ]
    return made


def _methods() -> list[str]:
    from dispatchtorch.tensor import Tensor

    own = _written_in_class()
    members = _dunders()
    # `x.grad` is None at first, but code that uses it has called backward.
    for name, packet in packets.items():
        if "method" in packet.variants and name not in own:
            members[name] = _packet(packet, "method", "    ")
    for name, value in vars(Tensor).items():
        value = getattr(value, "original", value)
        if name in members or name in own or name in _NOT_CALLED:
            continue
        if name.startswith("_") and not name.endswith("__"):
            if name not in ("_make_subclass", "_make_wrapper_subclass"):
                continue
            members[name] = [
                "    @staticmethod",
                f"    def {name}(cls: Any, *args: Any, **kwargs: Any) -> Any: ...",
            ]
        elif isinstance(value, property):
            members[name] = _property(name, value)
        elif isinstance(value, FunctionType) and not hasattr(value, "op"):
            members[name] = _python_method(name, value)
        elif isinstance(value, classmethod):
            members[name] = [
                "    @classmethod",
                f"    def {name}(cls, *args: Any, **kwargs: Any) -> Any: ...",
            ]
    return [line for name in sorted(members) for line in members[name]]


def _written_in_class() -> set[str]:
    """The members that ``tensor.py`` writes down itself, which checkers read there."""
    import ast

    path = Path(__file__).with_name("tensor.py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = next(
        node.body
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Tensor"
    )
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}


def _lazy_names() -> list[str]:
    """Names that ``dispatchtorch/__init__.py`` imports when they are first used."""
    import dispatchtorch

    by_module: dict[str, list[str]] = {}
    for name, module in dispatchtorch._LAZY.items():
        by_module.setdefault(module, []).append(name)
    lines = []
    for module in sorted(by_module):
        written = _written_in_module(module)
        lines += [
            f"from {module} import {name} as {name}"
            if name in written
            else f"{name}: Any"
            for name in sorted(by_module[module])
        ]
    return lines


def _written_in_module(module: str) -> set[str]:
    """The names that a module's text defines, which checkers find there."""
    import ast
    from importlib.util import find_spec

    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return set()
    names: set[str] = set()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            targets = [t for each in node.targets for t in ast.walk(each)]
            names |= {t.id for t in targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _submodules() -> list[str]:
    folder = Path(__file__).parent
    names = []
    for path in sorted(folder.iterdir()):
        name = path.stem if path.suffix == ".py" else path.name
        is_module = path.suffix == ".py" or (path / "__init__.py").exists()
        if is_module and not name.startswith("_") and name in _PUBLIC_MODULES:
            names.append(f"from dispatchtorch import {name} as {name}")
    return names


_PUBLIC_MODULES = set(
    """
    accelerator amp autograd backends distributions fft func functional hub jit library
    linalg nn onnx optim overrides profiler random serialization special storage testing
    utils
    """.split()
)


def _dtypes() -> list[str]:
    import dispatchtorch

    return [
        f"{name}: _dtype"
        for name in sorted(vars(dispatchtorch))
        if isinstance(getattr(dispatchtorch, name), dispatchtorch.dtype)
        and not name.startswith("_")
    ]


def stubs() -> dict[str, str]:
    """{file name: text} of the two stub files."""
    tensor = "from dispatchtorch.tensor import Tensor\n"
    functions = [
        _HEADER + tensor + _ALIASES,
        *_submodules(),
        *_lazy_names(),
        "",
        *_dtypes(),
        "",
        *_functions(),
    ]
    methods = [
        _HEADER + tensor + _ALIASES,
        "class TensorMethods:",
        *_methods(),
    ]
    return {
        "_functions.pyi": "\n".join(functions) + "\n",
        "_methods.pyi": "\n".join(methods) + "\n",
    }


def main(arguments: list[str]) -> int:
    """Writes the files, or (``--check``) says whether they are in step."""
    folder = Path(__file__).parent
    stale = []
    for name, text in stubs().items():
        path = folder / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if "--check" in arguments and stale:
        print(f"out of step: {', '.join(stale)}; run python -m dispatchtorch._stubs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
