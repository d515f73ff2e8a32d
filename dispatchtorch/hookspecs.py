"""The hooks a plugin may implement: the whole surface between a plugin and the core.

A plugin is any object (most simply a module) with functions of these names. A function
may leave out the parameters that it doesn't use. ``@hookimpl`` may mark the functions
and isn't needed: the ``dispatchtorch_`` prefix says enough, so that a plugin's module
stays importable without this one. A function with the prefix and a name that isn't
here is an error. ``docs/plugins.md`` has a section for each hook.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypedDict

import pluggy

if TYPE_CHECKING:
    from dispatchtorch.backend import Backend, Overlay
    from dispatchtorch.dispatch.layer import Layer
    from dispatchtorch.plugins import OperatorLibrary

__all__ = [
    "Description",
    "Expectations",
    "dispatchtorch_conformance_expectations",
    "dispatchtorch_describe",
    "dispatchtorch_device_report",
    "dispatchtorch_register_commands",
    "dispatchtorch_register_device",
    "dispatchtorch_register_kernels",
    "dispatchtorch_register_layers",
    "dispatchtorch_register_operators",
    "hook_names",
    "hookimpl",
    "hooks_of",
    "hookspec",
]

hookspec = pluggy.HookspecMarker("dispatchtorch")
hookimpl = pluggy.HookimplMarker("dispatchtorch")


class Description(TypedDict, total=False):
    """What ``dispatchtorch_describe`` returns; every key may be left out."""

    device: str
    """The device type, for a plugin that brings one."""
    api: tuple[int, int]
    """The oldest and the newest plugin API version that the plugin works with."""
    dtypes: tuple[str, ...] | str
    """The names of the dtypes that the device has (``"float32"``), or ``"all"``."""
    install: str
    """The line that installs what the plugin needs; shown when it fails."""
    summary: str
    """One line for ``dispatchtorch doctor``."""


class Expectations(TypedDict, total=False):
    """What ``dispatchtorch_conformance_expectations`` returns."""

    known_failures: dict[str, str]
    """Operators (full names) that are known to fail, and why."""
    tolerances: dict[str, tuple[float, float]]
    """(rtol, atol) by the name of a dtype, or by "operator:dtype"."""


@hookspec(firstresult=True)
def dispatchtorch_describe() -> Description | None:
    """Says what the plugin is, without needing the device's driver or library."""


@hookspec
def dispatchtorch_register_operators(library: OperatorLibrary) -> None:
    """Declares operators of the plugin's own, with ``library.operator(schema)``."""


@hookspec
def dispatchtorch_register_layers(register: Callable[[Layer], None]) -> None:
    """Passes each dispatch layer of the plugin to ``register``."""


@hookspec
def dispatchtorch_register_device(register: Callable[[Backend], None]) -> None:
    """Passes the plugin's backend, or each of them, to ``register``."""


@hookspec
def dispatchtorch_register_kernels(register: Callable[[Overlay], None]) -> None:
    """Passes overlays (kernels laid over a device's own) to ``register``."""


@hookspec
def dispatchtorch_register_commands(subparsers: Any) -> None:
    """Adds commands to the ``dispatchtorch`` program (argparse's ``subparsers``)."""


@hookspec(firstresult=True)
def dispatchtorch_device_report(device: str) -> dict[str, object] | None:
    """What ``dispatchtorch doctor`` shows of ``device``; None for a foreign device."""


@hookspec(firstresult=True)
def dispatchtorch_conformance_expectations(device: str) -> Expectations | None:
    """What the conformance kit should expect of ``device``; None for a foreign one."""


def hook_names() -> list[str]:
    """The names of all hooks."""
    return [name for name in __all__ if name.startswith("dispatchtorch_")]


@hookimpl
def _unmarked() -> None: ...


_UNMARKED = vars(_unmarked)["dispatchtorch_impl"]  # the options of a plain mark


class _PluginManager(pluggy.PluginManager):
    """pluggy's, which takes unmarked functions with the prefix for hooks too."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        marked = super().parse_hookimpl_opts(plugin, name)
        if marked is not None or not name.startswith("dispatchtorch_"):
            return marked
        found = getattr(plugin, name)
        return dict(_UNMARKED) if inspect.isroutine(found) else None


def hooks_of(plugin: object) -> Any:
    """The hooks of one plugin, in a pluggy manager of its own: it meets no other.

    Raises PluginError for an object without hooks and for a name that is no hook, and
    pluggy's PluginValidationError for parameters that a hook doesn't have.
    """
    from dispatchtorch.plugins import PluginError

    own = _PluginManager("dispatchtorch")
    own.add_hookspecs(sys.modules[__name__])
    own.register(plugin)
    hooks = [caller.name for caller in own.get_hookcallers(plugin) or ()]
    if not hooks:
        raise PluginError(
            f"{plugin!r} has no hook: none of its functions is named dispatchtorch_…"
        )
    for name in hooks:
        if name not in hook_names():
            raise PluginError(
                f"{name!r} isn't a hook; the hooks are {', '.join(hook_names())}"
            )
    return own.hook
