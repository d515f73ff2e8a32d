"""What several results are returned as: ``torch.return_types``."""

from __future__ import annotations

from typing import Any

from dispatchtorch.dispatch.operator import Operator

__all__ = ["make_return_type", "named_returns", "return_type"]

_return_types: dict[str, Any] = {}


def return_type(op: Operator) -> Any:
    """What several results are returned as: a named tuple where the schema names them."""
    names = op.schema.return_names
    if not names or "tuple" in op.tags:
        return tuple
    return named_returns(op.schema.name, names)


def named_returns(name: str, names: tuple[str, ...]) -> Any:
    """The class ``torch.return_types.name``, made once."""
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
    return named_returns(name, names)(values)
