"""``torch.compiler`` and ``torch.compile``: programs run as they are written.

Nothing is compiled. Questions are answered, marks for the compiler leave what they mark
unchanged, and what asks for a compiler raises NotImplementedError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "compile",
    "reset",
    "allow_in_graph",
    "list_backends",
    "disable",
    "cudagraph_mark_step_begin",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
]


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str | Callable[..., Any] | None = None,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """``model`` itself with ``backend="eager"`` or ``disable=True``.

    NotImplementedError for any other backend. Without ``model`` a decorator is returned.
    """
    if not disable and backend != "eager":
        raise NotImplementedError(
            "torch.compile isn't supported: programs run as they are written. Leave it "
            'out, or pass backend="eager" or disable=True, which change nothing'
        )
    return (lambda model: model) if model is None else model


def reset() -> None:
    """Nothing to forget: nothing is compiled."""


def allow_in_graph(fn: Any) -> Any:
    """``fn`` itself: there are no graphs."""
    return fn


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """No compilers."""
    return []


def disable(
    fn: Any = None, recursive: bool = True, *, reason: str | None = None
) -> Any:
    """``fn`` itself, which runs as it is written anyway; a decorator without ``fn``."""
    return (lambda fn: fn) if fn is None else fn


def cudagraph_mark_step_begin() -> None:
    """Nothing to mark: no device's work is captured."""


def is_compiling() -> bool:
    """False."""
    return False


def is_dynamo_compiling() -> bool:
    """False."""
    return False


def is_exporting() -> bool:
    """False."""
    return False
