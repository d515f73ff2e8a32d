"""Plugins before their code: records, the scan of entry points, the settings.

What is known of a plugin from its installation alone: where it comes from, what it says
of itself in the marks of its entry point, and whether the settings let it in. Nothing
here imports a plugin. ``dispatchtorch.plugins`` loads them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import Distribution

__all__ = [
    "BLOCKED",
    "FAILED",
    "GROUP",
    "INCOMPATIBLE",
    "LOADED",
    "LOADING",
    "NOT_LOADED",
    "Entry",
    "Plugin",
    "PluginError",
    "PluginStatus",
    "allowed_names",
    "blocked_by",
    "explain",
    "installed_entries",
    "is_strict",
    "normal",
]

GROUP = "dispatchtorch"

LOADED, NOT_LOADED, LOADING = "loaded", "not loaded", "loading"
FAILED, BLOCKED, INCOMPATIBLE = "failed", "blocked", "incompatible"

# Compiled when the first entry point is read, not at import.
_REFERENCE = r"\s*([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[(.*)\]\s*)?$"
_API_MARK = r"api-(\d+)(?:-(\d+))?$"


class PluginError(RuntimeError):
    """A plugin broke the contract, or failed in strict mode."""


class PluginStatus(NamedTuple):
    """One plugin, as ``dispatchtorch doctor`` shows it.

    ``kind``      "device", "extension", or "unknown" for an unreadable declaration
    ``origin``    "built-in", "installed" or "in-process"
    ``state``     "loaded", "not loaded", "loading", "failed", "blocked", "incompatible"
    ``devices``   the device types that it registered, or is declared to
    ``provides``  all that it registered: "device npu", "layer nan", "operator npu::fft"
    ``hint``      what to do about ``error``
    """

    name: str
    kind: str
    origin: str
    distribution: str
    version: str
    state: str
    error: str = ""
    traceback: str = ""
    devices: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    hint: str = ""
    summary: str = ""
    dtypes: tuple[str, ...] = ()


class Plugin:
    """The record of one plugin: its declaration, its state and its registrations."""

    def __init__(self, name: str, origin: str, kind: str = "unknown") -> None:
        self.name = name
        self.origin = origin
        self.kind = kind
        self.distribution = self.version = ""
        self.module = self.attribute = ""
        self.api = (1, 1)
        self.state = NOT_LOADED
        self.taken = False  # blocked because another plugin has the name
        self.error = self.traceback = self.hint = self.summary = ""
        self.exception: BaseException | None = None
        self.dtypes: tuple[str, ...] = ()
        self.declared: tuple[str, ...] = ()
        self.devices: tuple[str, ...] = ()
        self.hooks: Any = None
        self.undo: list[tuple[str, Callable[[], None]]] = []

    @classmethod
    def built_in(cls, name: str, value: str) -> Plugin:
        """The record of a device that is shipped with the core."""
        plugin = cls(name, "built-in", "device")
        plugin.distribution = GROUP
        plugin.module, _, plugin.attribute = value.partition(":")
        plugin.declared = plugin.devices = (name,)
        return plugin

    @classmethod
    def declared_by(cls, entry: Entry) -> Plugin:
        """The record of an entry point; a malformed one makes a failed plugin."""
        plugin = cls(entry.name, "installed")
        plugin.distribution, plugin.version = entry.distribution, entry.version
        try:
            plugin._read(entry.value)
        except PluginError as error:
            plugin.fail(error)
            plugin.hint = f"report it to the authors of {entry.distribution}"
        return plugin

    def _read(self, value: str) -> None:
        """Takes in ``module:object [marks]``.

        Not left to ``EntryPoint.extras``, which splits marks at their dashes.
        """
        match = re.match(_REFERENCE, value)
        if match is None:
            raise PluginError(
                f"the entry point {self.name!r} is malformed: {value!r} isn't of the "
                "form 'module:object [api-1]'"
            )
        kind = "device"
        for mark in filter(None, map(normal, re.split(r"[,\s]+", match[3] or ""))):
            api = re.match(_API_MARK, mark)
            if api is not None:
                self.api = int(api[1]), int(api[2] or api[1])
            elif mark == "extension":
                kind = "extension"
            else:
                raise PluginError(
                    f"the entry point {self.name!r} has the mark {mark!r}, which isn't "
                    "known: there are 'api-MIN', 'api-MIN-MAX' and 'extension'"
                )
        self.kind, self.module, self.attribute = kind, match[1], match[2] or ""
        if kind == "device":
            self.declared = self.devices = (self.name,)

    @property
    def target(self) -> tuple[str, str, str]:
        """What two entry points of one package share when they name one object."""
        return self.distribution, self.module, self.attribute

    @property
    def is_problem(self) -> bool:
        return self.taken or self.state in (FAILED, INCOMPATIBLE)

    @property
    def source(self) -> str:
        """Where it comes from, in words."""
        if self.origin == "installed":
            return f"{self.distribution} {self.version}".strip() or "unknown origin"
        return self.origin

    @property
    def title(self) -> str:
        return f"{self.name!r} ({self.source})"

    @property
    def trouble(self) -> str:
        """The error and what to do about it, as messages end."""
        fix = f" (to fix it: {self.hint})" if self.hint else ""
        return f"{self.error}{fix}"

    def require_api(self, low: int, high: int, current: int) -> bool:
        """Whether a range of API versions holds the ``current`` one; notes it if not."""
        if low <= current <= high:
            return True
        wants = f"version {low}" if low == high else f"versions {low} to {high}"
        self.state = INCOMPATIBLE
        self.error = (
            f"it is made for {wants} of the plugin API, and this dispatchtorch has "
            f"version {current}"
        )
        older = self.distribution if high < current else "dispatchtorch"
        self.hint = f"pip install --upgrade {older}"
        return False

    def fail(self, error: BaseException) -> None:
        import traceback

        self.state = FAILED
        self.exception = error
        self.error = explain(error)
        self.traceback = "".join(traceback.format_exception(error))

    def retire(self) -> None:
        """Undoes the plugin's registrations, the last one first."""
        self.hooks = None
        self.devices = self.declared
        while self.undo:
            label, undo = self.undo.pop()
            try:
                undo()
            except Exception as error:
                self.error = f"{label} couldn't be undone: {explain(error)}"

    def status(self) -> PluginStatus:
        return PluginStatus(
            self.name,
            self.kind,
            self.origin,
            self.distribution,
            self.version,
            self.state,
            self.error,
            self.traceback,
            self.devices,
            tuple(label for label, _ in self.undo),
            self.hint,
            self.summary,
            self.dtypes,
        )


class Entry(NamedTuple):
    """A declared entry point and the distribution that declares it."""

    distribution: str
    version: str
    name: str
    value: str


def installed_entries() -> list[Entry]:
    """The entry points of the group, by place on the path, then by distribution.

    Never raises: what can't be read becomes an entry whose value is the reason, which
    no reference looks like. Each distribution is read by itself, so that a damaged one
    hides no other.
    """
    try:
        found = sorted(_scan(), key=lambda each: each[0])
    except Exception as error:
        return [Entry("", "", "entry points", f"can't be listed: {explain(error)}")]
    return [entry for _, entry in found]


def _scan() -> Iterator[tuple[tuple[int, str, int], Entry]]:
    import importlib.metadata

    places: dict[str, int] = {}
    for found in importlib.metadata.distributions():
        try:
            text = found.read_text("entry_points.txt") or ""
        except Exception:
            continue
        if f"[{GROUP}]" not in text:
            continue
        place = str(found.locate_file(""))
        order = places.setdefault(place, len(places))
        name, version = _identity(found)
        try:
            if str(importlib.metadata.distribution(name).locate_file("")) != place:
                continue  # shadowed by another installation earlier on the path
        except Exception:
            pass
        try:
            entries = [e for e in found.entry_points if e.group == GROUP]
        except Exception as error:
            value = f"entry_points.txt can't be read: {explain(error)}"
            yield (order, normal(name), 0), Entry(name, version, name, value)
            continue
        for number, entry in enumerate(entries):
            declared = Entry(name, version, entry.name, entry.value)
            yield (order, normal(name), number), declared


def _identity(found: Distribution) -> tuple[str, str]:
    """A distribution's name and version; its folder's name where METADATA is damaged."""
    try:
        name, version = found.metadata["Name"], found.version
    except Exception:
        name = version = None  # type: ignore[assignment]
    folder = getattr(getattr(found, "_path", None), "name", "unknown")
    return str(name or folder), str(version or "")


def blocked_by(plugin: Plugin) -> str:
    """The setting that keeps an installed plugin out, and its value; "" for none."""
    names = {normal(plugin.name), normal(plugin.distribution)}
    allowed = allowed_names()
    if names & _names("DISPATCHTORCH_PLUGINS_DENY"):
        variable = "DISPATCHTORCH_PLUGINS_DENY"
    elif allowed is not None and not names & allowed:
        variable = "DISPATCHTORCH_PLUGINS"
    else:
        return ""
    return f"{variable}={os.environ[variable]}"


def allowed_names() -> set[str] | None:
    """The plugins that DISPATCHTORCH_PLUGINS allows: None for all, none for ``0``."""
    names = _names("DISPATCHTORCH_PLUGINS")
    return None if names <= {"1"} else names - {"0"}


def is_strict() -> bool:
    """DISPATCHTORCH_PLUGINS_STRICT: whether any plugin's failure raises."""
    return os.environ.get("DISPATCHTORCH_PLUGINS_STRICT", "") not in ("", "0")


def _names(variable: str) -> set[str]:
    listed = os.environ.get(variable, "").split(",")
    return {normal(name.strip()) for name in listed if name.strip()}


def normal(name: str) -> str:
    """A name as package indexes compare it: case, dots and underscores don't count."""
    return re.sub(r"[-_.]+", "-", name).lower()


def explain(error: BaseException) -> str:
    """An exception in one line."""
    if isinstance(error, PluginError):
        return str(error)
    return f"{type(error).__name__}: {error}"
