"""What PyTorch's pickles call the things that live here, and back.

A pickle names its classes and functions, and a checkpoint is to open under PyTorch as
under dispatchtorch. So whatever lives in ``dispatchtorch`` is written as PyTorch has it
(``torch._utils._rebuild_tensor_v2``), and every ``torch`` name that is read means ours.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import dispatchtorch as torch
from dispatchtorch._storage.base import LEGACY_STORAGES, legacy_dtype

__all__ = ["StorageType", "find", "torch_name"]

_HOME = __name__.partition(".")[0]

# Names that don't follow from where the object lives: ours, and PyTorch's.
_ALIASES = {
    ("_utils", "_rebuild_from_type_v2"): ("_tensor", "_rebuild_from_type_v2"),
    ("storage", "UntypedStorage"): ("storage", "UntypedStorage"),
    ("storage", "TypedStorage"): ("storage", "TypedStorage"),
    ("nn.parameter", "_rebuild_parameter"): ("_utils", "_rebuild_parameter"),
    ("nn.parameter", "_rebuild_parameter_with_state"): (
        "_utils",
        "_rebuild_parameter_with_state",
    ),
}
_ALIASES_BACK = {
    theirs: ours for ours, theirs in _ALIASES.items() if ours[0] != "nn.parameter"
}
# Modules of ours whose names are elsewhere in PyTorch, by how they begin.
_MODULES = {
    "nn.modules.attention": "nn.modules.activation",
    "optim._lr_": "optim.lr_scheduler",
}
# Modules of PyTorch's whose names are elsewhere here; "" is the package itself.
_MODULES_BACK = {"_tensor": "", "_C": "", "_C._nn": "nn.functional"}
# Classes of PyTorch's core that stand for other things here.
_CORE_CLASSES = {"TensorBase": "Tensor", "_TensorBase": "Tensor"}


class StorageType:
    """What a storage class's name in a pickle becomes: the dtype, and no class."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def dtype(self) -> Any:
        return legacy_dtype(self._name)

    def __str__(self) -> str:
        return f"StorageType(dtype={self.dtype})"


def _inner(module: str, root: str) -> str | None:
    """``module`` below ``root``; None if it is elsewhere."""
    if module == root:
        return ""
    return module[len(root) + 1 :] if module.startswith(root + ".") else None


def _outer(module: str, root: str) -> str:
    return f"{root}.{module}" if module else root


def _lookup(module: str, name: str) -> Any:
    """``name``, dotted perhaps, of the module ``module`` below our package."""
    found: Any = sys.modules.get(_outer(module, _HOME))
    if found is None:
        found = import_module(_outer(module, _HOME))
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _is_shown(name: str) -> bool:
    """Whether ``torch`` has a class of that name, imported or not."""
    home = vars(sys.modules[_HOME])
    return name in home or name in home["_LAZY"]


def torch_name(obj: Any, name: str | None = None) -> tuple[str, str] | None:
    """The module and name under which a pickle names ``obj``; None for what isn't ours.

    ``name`` is the name that the object's ``__reduce__`` gave, if it gave one.
    """
    module = getattr(obj, "__module__", None)
    name = name or getattr(obj, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    inner = _inner(module, _HOME)
    if inner is None and (inner := _inner(module, "torch")) is None:
        return None
    if found := _ALIASES.get((inner, name)):
        return _outer(found[0], "torch"), found[1]
    for start, module in _MODULES.items():
        if inner.startswith(start):
            inner = module
    # What is shown at these places is there in PyTorch too, wherever it lives here.
    for place in ("nn.functional", "", inner):
        if place == "nn.functional" and (
            isinstance(obj, type) or _outer(place, _HOME) not in sys.modules
        ):
            continue
        # Private names aren't shown there, and few classes: asking for one that isn't
        # imports every operator.
        if place != inner and name.startswith("_"):
            continue
        if not place and inner and isinstance(obj, type) and not _is_shown(name):
            continue
        try:
            if _lookup(place, name) is obj:
                return _outer(place, "torch"), name
        except (AttributeError, ImportError):
            continue
    return None


def find(module: str, name: str) -> Any:
    """Our object of PyTorch's name, or None if ``module`` isn't PyTorch's.

    Raises AttributeError where PyTorch may have the name and this build hasn't.
    """
    inner = _inner(module, "torch")
    if inner is None:
        # C's picklers name our storage classes as they are: see writer.dump.
        known = module == _HOME and name in LEGACY_STORAGES
        return StorageType(name) if known else None
    if inner in ("", "cuda") and name in LEGACY_STORAGES:
        return StorageType(name)
    if inner == "_C" and name == "_VariableFunctionsClass":
        return torch
    if inner == "_C":
        name = _CORE_CLASSES.get(name, name)
    ours = _ALIASES_BACK.get((inner, name), (_MODULES_BACK.get(inner, inner), name))
    try:
        return _lookup(*ours)
    except (AttributeError, ImportError) as error:
        raise AttributeError(
            f"the checkpoint names {module}.{name}, which dispatchtorch doesn't have"
        ) from error
