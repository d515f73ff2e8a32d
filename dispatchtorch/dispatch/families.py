"""Families: the modules that declare operators, imported when a name is first asked for.

An index says which modules declare which names. It only saves imports: a name that it
doesn't list is looked for in all families.
"""

from __future__ import annotations

import sys
from importlib import import_module

__all__ = ["Families"]


class Families:
    """Which module declares which names, and which of them have been imported."""

    def __init__(self) -> None:
        self.package = ""
        self.all = ""
        self._modules: dict[str, tuple[str, ...]] = {}
        self._ready: set[str] = set()
        self._complete = False

    def set_index(self, package: str, every: str, index: dict[str, str]) -> None:
        """``index``: module of ``package`` -> the names that it declares, in a string.

        Importing ``every`` imports all of them. The overloads of a name keep the order
        in which the index lists their modules.
        """
        self.package = package + "."
        self.all = every
        modules = self._modules
        for module, names in index.items():
            for name in names.split():
                modules[name] = (*modules.get(name, ()), module)

    def knows(self, name: str) -> bool:
        """Whether the index lists a name."""
        return name in self._modules

    def declare(self, name: str) -> None:
        """Imports the modules that the index lists for a name."""
        if name in self._ready:
            return
        done = True
        for module in self._modules.get(name, ()):
            spec = import_module(self.package + module).__spec__
            done &= not getattr(spec, "_initializing", False)
        if done:
            self._ready.add(name)

    def declare_all(self, name: str = "") -> bool:
        """Imports every family; whether there was anything to import.

        With a ``name`` only if a family could declare it.
        """
        if self._complete or not self.all or name.startswith("__") or "::" in name:
            return False
        module = import_module(self.all)
        self._complete = not getattr(module.__spec__, "_initializing", False)
        return True

    def rank(self, name: str, module: str) -> int:
        """The place of a module among those that declare ``name``; others come last."""
        listed = self._modules.get(name, ())
        short = module.removeprefix(self.package)
        return listed.index(short) if short in listed else len(listed)

    def declaring_module(self) -> str:
        """The family whose import is going on in the calling frames, or ""."""
        package = self.package
        frame = sys._getframe(2)
        while package and frame is not None:
            if frame.f_code.co_name == "<module>":
                name: str = frame.f_globals.get("__name__", "")
                return name if name.startswith(package) else ""
            frame = frame.f_back  # type: ignore[assignment]
        return ""
