"""Neural networks: modules, their functional forms, initialisation and utilities."""

# ruff: noqa: F403, F405
from __future__ import annotations

import importlib
from typing import Any

from . import functional, init, modules, parameter, utils
from .modules import *
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "common_types",
    "factory_kwargs",
    "functional",
    "grad",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
]
__all__ += modules.__all__

# Imported when somebody asks for them.
_LAZY = ("attention", "common_types", "grad", "parallel")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "DataParallel":
        from .parallel import DataParallel

        return DataParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """The ``device``, ``dtype`` and ``memory_format`` among a module's ``kwargs``.

    They may also stand in a dict ``factory_kwargs`` inside. Raises TypeError when one
    is given in both places, and for any other name.
    """
    if kwargs is None:
        return {}
    names = {"device", "dtype", "memory_format"}
    if unexpected := kwargs.keys() - {*names, "factory_kwargs"}:
        raise TypeError(f"unexpected kwargs {unexpected}")
    made = dict(kwargs.get("factory_kwargs", {}))
    for name in names & kwargs.keys():
        if name in made:
            raise TypeError(
                f"{name} specified twice, in **kwargs and in factory_kwargs"
            )
        made[name] = kwargs[name]
    return made
