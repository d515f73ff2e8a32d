"""Running PyTorch programs unchanged: ``torch`` as a name for this package."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from dispatchtorch import version
from dispatchtorch._absent import explanation
from dispatchtorch.torch_version import TorchVersion

__all__ = ["install_as_torch", "run_script", "uninstall"]


class _Alias(importlib.abc.Loader):
    """Gives an existing module under a second name."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def create_module(self, spec: Any) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just put the alias's spec on the shared module.
        module.__spec__ = importlib.util.spec_from_loader(module.__name__, None)


class _Finder(importlib.abc.MetaPathFinder):
    """``torch`` and ``torch.x.y`` resolve to ``dispatchtorch`` and ``dispatchtorch.x.y``."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != "torch" and not name.startswith("torch."):
            return None
        ours = "dispatchtorch" + name[len("torch") :]
        parent, _, child = ours.rpartition(".")
        if parent == "dispatchtorch":  # torch.cuda and the like are made when named
            getattr(sys.modules[parent], child, None)
        before = sys.modules.get(ours)
        spec = before.__spec__ if before is not None else None
        try:
            module = importlib.import_module(ours)
        except ModuleNotFoundError as error:
            if error.name != ours:
                raise
            reason = explanation(name[len("torch.") :])
            if not reason:
                return None
            raise ModuleNotFoundError(
                f"No module named '{name}'{reason}", name=name
            ) from None
        kept = (
            module.__spec__,
            getattr(module, "__loader__", None),
            module.__package__,
        )
        found = importlib.machinery.ModuleSpec(
            name,
            _Restoring(module, kept if spec is None else (spec, *kept[1:])),
            is_package=hasattr(module, "__path__"),
        )
        return found


class _Restoring(_Alias):
    """An alias that leaves the module's own import attributes as they were."""

    def __init__(self, module: ModuleType, kept: tuple[Any, ...]) -> None:
        super().__init__(module)
        self.kept = kept

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__, module.__loader__, module.__package__ = self.kept


_finder: _Finder | None = None


def install_as_torch() -> None:
    """From here on, ``import torch`` and its submodules give dispatchtorch.

    RuntimeError if the real PyTorch has been imported already.
    """
    global _finder
    loaded = sys.modules.get("torch")
    ours: Any = importlib.import_module("dispatchtorch")
    if loaded is not None and loaded is not ours:
        raise RuntimeError(
            "torch has been imported already; call install_as_torch() before that"
        )
    if _finder is None:
        _finder = _Finder()
        sys.meta_path.insert(0, _finder)
    sys.modules["torch"] = ours
    # Packages for PyTorch look here for what they may use.
    ours.__version__ = TorchVersion(
        f"{version.pytorch}+dispatchtorch{version.__version__}"
    )


def uninstall() -> None:
    """Undoes :func:`install_as_torch`."""
    global _finder
    if _finder is not None:
        sys.meta_path.remove(_finder)
        _finder = None
    for name in [n for n in sys.modules if n == "torch" or n.startswith("torch.")]:
        module: Any = sys.modules[name]
        if getattr(module, "__name__", "").startswith("dispatchtorch"):
            if name == "torch":
                module.__version__ = TorchVersion(version.__version__)
            del sys.modules[name]


def run_script(
    script: str, arguments: Sequence[str] = (), *, as_module: bool = False
) -> None:
    """Runs a script (or module) as ``__main__`` with ``torch`` meaning dispatchtorch.

    What the program raises, it raises here. FileNotFoundError if there is no such script.
    """
    install_as_torch()
    # Processes that are spawned start from sys.path alone, and find `torch` there.
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "_alias"))
    sys.argv = [script, *arguments]
    if as_module:
        runpy.run_module(script, run_name="__main__", alter_sys=True)
        return
    from pathlib import Path

    path = Path(script)
    if not path.is_file():
        raise FileNotFoundError(f"no such script: {script}")
    sys.path.insert(0, str(path.parent.resolve()))
    # As Python does it: absolute, so that warnings and tracebacks name the file.
    runpy.run_path(str(path.absolute()), run_name="__main__")
