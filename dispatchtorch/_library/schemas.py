"""``infer_schema``: an operator's schema from the type hints of a function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ["infer_schema"]


def _types() -> tuple[dict[Any, str], dict[Any, str]]:
    """The schema types of the hints that parameters and returns may have."""
    import collections.abc
    import typing

    import dispatchtorch as torch

    number = int | float | bool
    plain: dict[Any, tuple[str, bool]] = {
        torch.Tensor: ("Tensor", True),
        int: ("SymInt", True),
        float: ("float", True),
        bool: ("bool", True),
        str: ("str", False),
        number: ("Scalar", True),
        torch.dtype: ("ScalarType", False),
        torch.device: ("Device", False),
    }
    lists: list[Any] = [typing.Sequence, typing.List, collections.abc.Sequence, list]  # noqa: UP006
    parameters: dict[Any, str] = {}
    for hint, (name, listed) in plain.items():
        parameters[hint] = name
        parameters[hint | None] = f"{name}?"
        for kind in lists if listed else ():
            parameters[kind[hint]] = f"{name}[]"
            if hint is torch.Tensor:
                parameters[kind[hint | None]] = f"{name}?[]"
            else:
                parameters[kind[hint] | None] = f"{name}[]?"
    returns = {
        torch.Tensor: "Tensor",
        typing.List[torch.Tensor]: "Tensor[]",  # noqa: UP006
        list[torch.Tensor]: "Tensor[]",
        int: "SymInt",
        float: "float",
        bool: "bool",
        number: "Scalar",
    }
    return parameters, returns


def infer_schema(
    prototype_function: Callable[..., Any],
    /,
    *,
    mutates_args: Any,
    op_name: str | None = None,
) -> str:
    """The schema that a function's type hints say; ValueError where they don't.

    ``mutates_args`` names the tensors that the function writes, or is "unknown".
    Follows https://docs.pytorch.org/docs/stable/library.html.
    """
    import inspect

    signature = inspect.signature(prototype_function)

    def error(what: str) -> ValueError:
        return ValueError(
            f"infer_schema(func): {what} Got func with signature {signature})"
        )

    parameters, returns = _types()
    made: list[str] = []
    star = False
    written: set[str] = set()
    for number, (name, parameter) in enumerate(signature.parameters.items()):
        if parameter.kind not in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            raise error(
                "We do not support positional-only args, varargs, or varkwargs."
            )
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            made.append("*")
            star = True
        hint = parameter.annotation
        if hint is parameter.empty:
            raise error(f"Parameter {name} must have a type annotation.")
        hint = _resolved(hint, prototype_function, error)
        kind = _lookup(parameters, hint)
        if kind is None:
            origin = getattr(hint, "__origin__", None)
            listed = (
                "\n\tFor example, please use `list[int]` instead of `tuple`"
                if origin is tuple or hint is tuple
                else ""
            )
            raise error(
                f"Parameter {name} has unsupported type {hint}. The valid types are: "
                f"{parameters.keys()}.{listed}"
            )
        mutated = (
            kind.startswith("Tensor")
            if mutates_args == "unknown"
            else name in mutates_args
        )
        if mutated:
            if not kind.startswith("Tensor"):
                raise error(
                    f"Parameter {name} is in mutable_args but only Tensors or "
                    "collections of Tensors can be mutated"
                )
            kind = f"Tensor(a{number}!){kind.removeprefix('Tensor')}"
            written.add(name)
        default = ""
        if parameter.default is not parameter.empty:
            default = f"={_default(name, parameter.default, error)}"
        made.append(f"{kind} {name}{default}")
    if mutates_args != "unknown":
        unknown = set(mutates_args) - set(signature.parameters)
        if unknown:
            raise error(
                f"{unknown} in mutates_args were not found in the custom op's "
                "signature. mutates_args should contain the names of all args that the "
                "custom op mutates, or just the string 'unknown' if you don't know."
            )
    result = signature.return_annotation
    if result is signature.empty:
        raise error("No return type annotation was provided. Please add one.")
    text = _returned(_resolved(result, prototype_function, error), returns, error)
    return f"{op_name or ''}({', '.join(made)}) -> {text}"


def _resolved(hint: Any, function: Any, error: Callable[[str], ValueError]) -> Any:
    if not isinstance(hint, str):
        return hint
    import inspect

    scope = dict(vars(inspect.getmodule(function) or object))
    scope.update(getattr(function, "__globals__", {}))
    try:
        return eval(hint, scope)
    except Exception:
        raise error(f"Unsupported type annotation {hint}. It is not a type.") from None


def _lookup(table: dict[Any, str], hint: Any) -> str | None:
    try:
        return table.get(hint)
    except TypeError:
        return None


def _default(name: str, value: Any, error: Callable[[str], ValueError]) -> str:
    import dispatchtorch as torch

    if value is None or isinstance(value, (int, float, bool)):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, torch.device):
        return f'"{value}"'
    raise error(
        f"Parameter {name} has an unsupported default value type {type(value)}. Please "
        "file an issue on GitHub so we can prioritize this."
    )


def _returned(
    hint: Any, table: dict[Any, str], error: Callable[[str], ValueError]
) -> str:
    if hint is None:
        return "()"
    origin = getattr(hint, "__origin__", None)
    if origin is tuple:
        parts: Iterable[Any] = hint.__args__
        made = [_lookup(table, each) for each in parts]
        for each, found in zip(parts, made, strict=True):
            if found is None:
                raise error(
                    f"Return has unsupported type {hint}. The valid types are: {table}."
                    if each is not ...
                    else f"Return has unsupported type {hint}."
                )
        if len(made) == 1:
            return f"({made[0]})"
        return f"({', '.join(str(m) for m in made)})"
    found = _lookup(table, hint)
    if found is None:
        raise error(
            f"Return has unsupported type {hint}. The valid types are: {table}."
        )
    return found
