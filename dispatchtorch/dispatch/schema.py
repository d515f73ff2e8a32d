"""Operator schemas in PyTorch's syntax, parsed: ``add(Tensor self, …) -> Tensor``.

Two things go beyond PyTorch's grammar: a union ``Tensor|Scalar`` says in one schema what
PyTorch spells as two overloads, and ``int[1]?``-like list types accept a bare int.
"""

from __future__ import annotations

import keyword
import re
import sys
from typing import Any

__all__ = ["Argument", "Schema", "parse"]

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "<required>"})()

_HEAD = re.compile(r"\s*([\w:]+)(?:\.(\w+))?\s*\((.*)\)\s*->\s*(.*?)\s*$", re.S)
_ARGUMENT = re.compile(
    r"(?P<type>[\w|]+(?:\([a-z\d!|* >-]+\))?(?:\[\d*\])?\??(?:\[\d*\])?\??)\s+"
    r"(?P<name>\w+)(?:\s*=\s*(?P<default>.+))?$",
    re.S,
)
_CONSTANTS: dict[str, Any] = {"None": None, "True": True, "False": False, "[]": ()}


class Argument:
    """One parameter: its type (``base``, ``is_list``, ``optional``), name and default."""

    __slots__ = (
        "base",
        "default",
        "is_list",
        "kwonly",
        "name",
        "optional",
        "optional_items",
        "size",
        "type",
        "writes",
    )

    def __init__(self, text: str, kwonly: bool) -> None:
        match = _ARGUMENT.match(text.strip())
        if match is None:
            raise ValueError(f"can't parse the argument {text!r}")
        kind = match["type"]
        self.writes = "!" in kind
        kind = re.sub(r"\([^)]*\)", "", kind)
        self.type = kind
        name = match["name"]
        # `from` and its kind can't be parameters of generated functions.
        self.name = name + "_" if keyword.iskeyword(name) else name
        self.kwonly = kwonly
        self.optional = kind.endswith("?")
        kind = kind.rstrip("?")
        self.is_list = kind.endswith("]")
        self.size: int | None = None
        self.optional_items = False
        if self.is_list:
            kind, _, size = kind[:-1].partition("[")
            self.size = int(size) if size else None
            self.optional_items = kind.endswith("?")
            kind = kind.rstrip("?")
        self.base = "int" if kind == "SymInt" else kind
        default = match["default"]
        self.default = REQUIRED if default is None else _constant(default.strip())

    @property
    def has_default(self) -> bool:
        return self.default is not REQUIRED

    @property
    def is_tensor(self) -> bool:
        return self.base in ("Tensor", "Tensor|Scalar")

    def __repr__(self) -> str:
        return f"{self.type} {self.name}"


def _constant(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] in "\"'":
        return text[1:-1]
    if text[0] == "[":
        return tuple(_constant(each.strip()) for each in text[1:-1].split(","))
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            # An enumerator such as Mean or contiguous_format, as Python has it in code.
            return sys.intern(text)


class Schema:
    """A parsed schema. ``str(schema)`` gives the text back."""

    __slots__ = ("arguments", "name", "namespace", "overload", "returns", "text")

    def __init__(self, text: str) -> None:
        match = _HEAD.match(text)
        if match is None:
            raise ValueError(f"can't parse the schema {text!r}")
        name, self.overload, inside, returns = match.groups()
        self.namespace: str
        self.name: str
        self.namespace, _, self.name = name.rpartition("::")
        self.overload = self.overload or ""
        self.text = " ".join(text.split())
        self.arguments: list[Argument] = []
        kwonly = False
        for part in _split(inside):
            if part == "*":
                kwonly = True
            else:
                self.arguments.append(Argument(part, kwonly))
        returns = returns.strip()
        if returns.startswith("(") and returns.endswith(")"):
            self.returns = tuple(_split(returns[1:-1]))
        else:
            self.returns = (returns,)

    @property
    def full_name(self) -> str:
        return f"{self.name}.{self.overload}" if self.overload else self.name

    @property
    def return_names(self) -> tuple[str, ...]:
        """The names of the results where the schema names them (``values``, ``indices``)."""
        named = [r.split() for r in self.returns]
        return tuple(r[1] for r in named) if all(len(r) == 2 for r in named) else ()

    def __str__(self) -> str:
        return self.text


def _split(text: str) -> list[str]:
    """Splits at the commas outside brackets and quotes."""
    parts, depth, start, quote = [], 0, 0, ""
    for i, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and not depth:
            parts.append(text[start:i].strip())
            start = i + 1
    parts.append(text[start:].strip())
    return [part for part in parts if part]


def parse(text: str) -> Schema:
    """The schema of ``text``; ValueError where it doesn't parse."""
    return Schema(text)
