"""Tools around tensors: data loading, checkpointing, pytrees, benchmarks, logging.

Each submodule is imported when it is first named, so the package itself costs nothing.
"""

from __future__ import annotations

from typing import Any

_SUBMODULES = frozenset(
    {
        "_device",
        "_python_dispatch",
        "_pytree",
        "backend_registration",
        "benchmark",
        "checkpoint",
        "data",
        "dlpack",
        "flop_counter",
        "hooks",
        "model_zoo",
        "module_tracker",
        "tensorboard",
    }
)

_REGISTRATION = frozenset(
    {"generate_methods_for_privateuse1_backend", "rename_privateuse1_backend"}
)

__all__ = [
    "backend_registration",
    "benchmark",
    "checkpoint",
    "data",
    "dlpack",
    "hooks",
    "model_zoo",
    "set_module",
    "tensorboard",
]


def set_module(obj: Any, mod: str) -> None:
    """Sets the module under which ``obj`` is shown and pickled."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    if name in _REGISTRATION:
        from dispatchtorch.utils import backend_registration

        return getattr(backend_registration, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES, *_REGISTRATION})
