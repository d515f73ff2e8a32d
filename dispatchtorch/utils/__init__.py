"""Tools around tensors: data loading, checkpointing, pytrees, benchmarks, logging.

Each submodule is imported when it is first named, so the package itself costs nothing.
"""

from __future__ import annotations

from typing import Any

_SUBMODULES = frozenset(
    {
        "_pytree",
        "benchmark",
        "checkpoint",
        "data",
        "dlpack",
        "hooks",
        "model_zoo",
        "tensorboard",
    }
)

__all__ = [
    "benchmark",
    "checkpoint",
    "data",
    "dlpack",
    "hooks",
    "model_zoo",
    "tensorboard",
]


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
