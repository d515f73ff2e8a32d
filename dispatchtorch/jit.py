"""``torch.jit``: what programs ask of it without compiling; the rest isn't supported."""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "export",
    "freeze",
    "ignore",
    "is_scripting",
    "is_tracing",
    "load",
    "save",
    "script",
    "script_if_tracing",
    "trace",
    "trace_module",
    "unused",
]


def is_scripting() -> bool:
    """False."""
    return False


def is_tracing() -> bool:
    """False."""
    return False


def export(fn: Any) -> Any:
    """``fn`` itself: a mark for TorchScript."""
    return fn


def unused(fn: Any) -> Any:
    """``fn`` itself: a mark for TorchScript."""
    return fn


def script_if_tracing(fn: Any) -> Any:
    """``fn`` itself: nothing is traced."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, a mark for TorchScript; a decorator without one."""
    return drop if callable(drop) else (lambda fn: fn)


def _unsupported(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(
            f"torch.jit.{name}: TorchScript isn't supported; programs run as they are "
            "written"
        )

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "NotImplementedError: TorchScript isn't supported."
    return function


freeze, load, save, script, trace, trace_module = map(
    _unsupported, "freeze load save script trace trace_module".split()
)
