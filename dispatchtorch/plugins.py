"""The plugin door: loads each installed plugin by itself and reports on all of them.

A plugin is declared by an entry point of the group ``dispatchtorch``::

    [project.entry-points.dispatchtorch]
    npu = "dispatchtorch_npu:plugin [api-1]"

Its name is the device type that it brings. The marks in brackets are read before any of
the plugin's code: ``api-1`` or ``api-1-3`` is the range of API versions that it works
with, and ``extension`` says that it brings no device of its name but layers, operators,
overlays or commands. A device's plugin is imported when the device is first named,
extensions before the first operator is bound, and nothing is scanned until then.

Whatever goes wrong in a plugin stays with it: its registrations are undone, and the
error is kept for ``report()`` and for the error that naming its device raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Any

from dispatchtorch._discovery import (
    BLOCKED,
    FAILED,
    INCOMPATIBLE,
    LOADED,
    LOADING,
    NOT_LOADED,
    Plugin,
    PluginError,
    PluginStatus,
    allowed_names,
    blocked_by,
    explain,
    installed_entries,
    is_strict,
    normal,
)

if TYPE_CHECKING:
    from dispatchtorch.backend import Backend, Overlay
    from dispatchtorch.dispatch.layer import Layer
    from dispatchtorch.dispatch.operator import Operator

__all__ = [
    "BUILTIN",
    "KNOWN",
    "PYTORCH_TYPES",
    "MissingDeviceError",
    "OperatorLibrary",
    "PluginError",
    "PluginHandle",
    "PluginManager",
    "PluginStatus",
    "PluginWarning",
    "UnknownDeviceError",
    "manager",
]

#: Devices that come with the core: found without a scan, and not to be replaced.
BUILTIN = {"cpu": "dispatchtorch_numpy:plugin", "meta": "dispatchtorch.meta:plugin"}

#: Devices that can be had, and the line that gets them: for messages only.
KNOWN = {
    "cuda": "pip install 'dispatchtorch[cuda]'",
    "opencl": "pip install 'dispatchtorch[opencl]'",
    "loopback": "pip install dispatchtorch-loopback",
}

#: Device types that PyTorch knows, in the order of their numbers: programs may name them
#: (``x.device == torch.device("cuda")``) where no plugin brings them.
PYTORCH_TYPES = tuple(
    "cpu cuda mkldnn opengl opencl ideep hip fpga maia xla vulkan metal xpu mps meta hpu "
    "ve lazy ipu mtia privateuseone".split()
)


class UnknownDeviceError(RuntimeError):
    """No plugin provides the device; the message says which do, and what to install."""


class MissingDeviceError(UnknownDeviceError, AssertionError):
    """The same for a device that PyTorch knows, which raises AssertionError."""


class PluginWarning(RuntimeWarning):
    """An installed extension failed and is left out."""


class PluginHandle:
    """A plugin registered in-process; ``remove()`` or the end of a block undoes it."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self._remove = remove

    def remove(self) -> None:
        self._remove()

    def __enter__(self) -> PluginHandle:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()


class PluginManager:
    """All plugins of the process. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._scanned = False
        self._extensions_loaded = False
        self._loading_extensions = False
        self._plugins = [
            Plugin.built_in(name, value) for name, value in BUILTIN.items()
        ]

    # What the core calls.

    def load_device(self, device_type: str) -> None:
        """Loads the plugin of ``device_type``; afterwards its backend is registered.

        Raises UnknownDeviceError where that can't be (PluginError in strict mode if a
        plugin failed).
        """
        with self._lock:
            if _is_registered(device_type):
                return  # by another thread, or by hand
            plugin = self._provider(device_type)
            if plugin is None:
                if self._scanned:
                    import importlib

                    importlib.invalidate_caches()  # for what was installed meanwhile
                self._scan()
                plugin = self._provider(device_type)
            if plugin is not None:
                if plugin.state == LOADED:
                    plugin.retire()  # its backend was taken out by its handle
                    plugin.state = NOT_LOADED
                self._load(plugin)
            else:
                self.load_extensions()
            self._raise_if_strict()
            if _is_registered(device_type):
                return
            cause = plugin.exception if plugin else None
            known = device_type in PYTORCH_TYPES
            error = MissingDeviceError if known else UnknownDeviceError
            raise error(self._unknown(device_type, plugin)) from cause

    def load_extensions(self) -> None:
        """Loads the plugins that aren't devices; once, and cheap from then on.

        One that fails is left out with a PluginWarning (a PluginError in strict mode).
        """
        if self._extensions_loaded:
            return
        with self._lock:
            if self._extensions_loaded or self._loading_extensions:
                return  # the latter: an extension's own code runs operators
            self._loading_extensions = True
            try:
                if allowed_names() != set():
                    self._scan()
                for plugin in list(self._plugins):
                    if plugin.kind == "extension":
                        self._load(plugin)
            finally:
                self._loading_extensions = False
            self._raise_if_strict()
            self._extensions_loaded = True
            failed = [
                plugin
                for plugin in self._plugins
                if plugin.is_problem and not plugin.taken and plugin.kind != "device"
            ]
        for plugin in failed:
            import warnings

            warnings.warn(
                f"the plugin {plugin.title} is left out: {plugin.error} ("
                "'dispatchtorch doctor' has the details; DISPATCHTORCH_PLUGINS_DENY="
                f"{plugin.name} leaves it out without a warning)",
                PluginWarning,
                stacklevel=2,
            )

    def accelerators(self) -> Iterator[str]:
        """Device types beside the built-in ones: loaded, then loadable, loading them.

        Plugins that fail are passed over; they show in ``report()``.
        """
        from dispatchtorch.backend import registered_backends

        seen = set(BUILTIN)
        for name in list(registered_backends()):
            if name not in seen:
                seen.add(name)
                yield name
        with self._lock:
            self._scan()
            usable = [p for p in self._plugins if p.state in (LOADED, NOT_LOADED)]
        for name in [name for plugin in usable for name in plugin.devices]:
            if name not in seen:
                seen.add(name)
                try:
                    self.load_device(name)
                except UnknownDeviceError:
                    continue
                yield name

    def known_devices(self) -> list[str]:
        """Device types that are there or could be installed; loads none of them."""
        from dispatchtorch.backend import registered_backends

        with self._lock:
            if not self._scanned and allowed_names() != set():
                self._scan()
            declared = [name for p in self._plugins for name in p.devices]
        return list(dict.fromkeys([*declared, *registered_backends(), *KNOWN]))

    # What users, doctor and the conformance kit call.

    def register(self, plugin: object, *, name: str | None = None) -> PluginHandle:
        """Registers a plugin object of this process; the handle's ``remove()`` undoes it.

        For notebooks and tests. Raises PluginError for what would make an installed
        plugin fail, and leaves nothing behind then.
        """
        called = name or getattr(plugin, "__name__", None) or type(plugin).__name__
        record = Plugin(called, "in-process", "extension")
        with self._lock:
            try:
                self._attach(record, plugin)
            except (Exception, SystemExit) as error:
                record.retire()
                if isinstance(error, PluginError):
                    raise
                raise PluginError(
                    f"the plugin {called!r} can't be registered: {explain(error)}"
                ) from error
            except BaseException:
                record.retire()
                raise
            if record.devices:
                record.kind = "device"
            record.state = LOADED
            self._plugins.append(record)

        def remove() -> None:
            with self._lock:
                if record in self._plugins:
                    self._plugins.remove(record)
                    record.retire()

        return PluginHandle(remove)

    def report(self, *, load: bool = False) -> list[PluginStatus]:
        """The state of every plugin; ``load=True`` tries to load all of them first."""
        with self._lock:
            self._scan()
            if load:
                for plugin in list(self._plugins):
                    self._load(plugin)
            return [plugin.status() for plugin in self._plugins]

    def register_commands(self, subparsers: Any) -> None:
        """Lets every extension and loaded device add commands to the program."""
        self.load_extensions()
        for plugin in self._loaded():
            choices = subparsers.choices
            listed = getattr(subparsers, "_choices_actions", [])
            before, shown = dict(choices), list(listed)
            try:
                self._ask(plugin, "register_commands", subparsers=subparsers)
            except PluginError as error:
                choices.clear()
                choices.update(before)
                listed[:] = shown
                plugin.error = str(error)
                if is_strict():
                    raise

    def device_report(self, device: str) -> dict[str, dict[str, object]]:
        """What each loaded plugin reports of a device, by plugin; for ``doctor``.

        A report that fails is ``{"error": …}`` (a PluginError in strict mode).
        """
        reports: dict[str, dict[str, object]] = {}
        for plugin in self._loaded():
            try:
                found = self._ask_dict(plugin, "device_report", device)
            except PluginError as error:
                if is_strict():
                    raise
                found = {"error": str(error)}
            if found is not None:
                reports[plugin.name] = found
        return reports

    def conformance_expectations(self, device: str) -> dict[str, dict[str, object]]:
        """What each loaded plugin expects of a device, by plugin.

        Raises PluginError where one fails: a test kit mustn't guess.
        """
        asked = {
            plugin.name: self._ask_dict(plugin, "conformance_expectations", device)
            for plugin in self._loaded()
        }
        return {name: found for name, found in asked.items() if found is not None}

    # Finding.

    def _provider(self, device_type: str) -> Plugin | None:
        """The plugin whose name is the device type; those to be used come first."""
        found = [
            plugin
            for plugin in self._plugins
            if plugin.name == device_type
            and (plugin.kind != "extension" or plugin.devices)
        ]
        unusable = (BLOCKED, INCOMPATIBLE)
        return min(found, key=lambda p: p.state in unusable, default=None)

    def _scan(self) -> None:
        """Adds the installed plugins that aren't known yet, without importing them."""
        known = {(p.name, p.distribution) for p in self._plugins}
        for entry in installed_entries():
            if (entry.name, entry.distribution) not in known:
                known.add((entry.name, entry.distribution))
                plugin = Plugin.declared_by(entry)
                self._judge(plugin)
                self._plugins.append(plugin)
        if self._scanned:
            return
        self._scanned = True
        installed = {normal(name) for names in known for name in names}
        for wanted in sorted((allowed_names() or set()) - installed):
            # An allow-list that names what isn't there is a mistake to be told of.
            missing = Plugin(wanted, "installed")
            missing.state = FAILED
            missing.error = (
                f"DISPATCHTORCH_PLUGINS names {wanted!r}, and neither a plugin nor a "
                "distribution of that name is installed"
            )
            missing.hint = KNOWN.get(wanted, "correct DISPATCHTORCH_PLUGINS")
            self._plugins.append(missing)

    def _judge(self, plugin: Plugin) -> None:
        """Keeps a plugin out for the settings, its API range or its name."""
        from dispatchtorch.backend import API_VERSION

        setting = blocked_by(plugin)
        if setting:
            plugin.state, plugin.error = BLOCKED, f"blocked by {setting}"
            plugin.hint = f"change {setting.partition('=')[0]}"
            return
        if plugin.state == FAILED or not plugin.require_api(*plugin.api, API_VERSION):
            return
        for other in self._plugins:
            if (
                other.name == plugin.name
                and other.origin != "in-process"
                and other.state not in (BLOCKED, INCOMPATIBLE)
            ):
                plugin.state, plugin.taken = BLOCKED, True
                plugin.error = f"the name {plugin.name!r} is taken by {other.title}"
                plugin.hint = "uninstall one of the two"
                if other.origin == "installed":
                    plugin.hint += (
                        f", or set DISPATCHTORCH_PLUGINS_DENY={other.distribution}"
                    )
                return

    # Loading.

    def _load(self, plugin: Plugin) -> None:
        """Imports and registers one plugin. Its errors, but no interrupt, end here."""
        if plugin.state != NOT_LOADED:
            return
        import importlib

        plugin.state = LOADING
        try:
            found: Any = importlib.import_module(plugin.module)
            for part in filter(None, plugin.attribute.split(".")):
                found = getattr(found, part)
            self._attach(plugin, found)
        except (Exception, SystemExit) as error:
            plugin.retire()
            if plugin.state == LOADING:  # else found incompatible
                plugin.fail(error)
                plugin.hint = (
                    plugin.hint
                    or KNOWN.get(plugin.name, "")
                    or f"pip install --upgrade {plugin.distribution}"
                )
        except BaseException:
            plugin.retire()
            plugin.state = NOT_LOADED
            raise
        else:
            plugin.state = LOADED
            for other in self._plugins:
                if (
                    other.state == NOT_LOADED
                    and other.target == plugin.target
                    and other.name in plugin.devices
                ):
                    other.state, other.summary = LOADED, plugin.summary

    def _attach(self, plugin: Plugin, found: Any) -> None:
        """Calls the register hooks of a plugin's object, recording how to undo each."""
        from dispatchtorch.hookspecs import hooks_of

        if any(p.state == LOADED and p.name == plugin.name for p in self._plugins):
            raise PluginError(f"a plugin named {plugin.name!r} is loaded already")
        plugin.hooks = hooks = hooks_of(found() if isinstance(found, type) else found)
        _describe(plugin)
        registrar = _Registrar(plugin, self._owner)
        library = OperatorLibrary(registrar.record)
        hooks.dispatchtorch_register_operators(library=library)
        hooks.dispatchtorch_register_layers(register=registrar.add_layer)
        hooks.dispatchtorch_register_device(register=registrar.add_device)
        hooks.dispatchtorch_register_kernels(register=registrar.add_overlay)
        if plugin.kind == "device" and plugin.name not in registrar.devices:
            made = ", ".join(registrar.devices) or "none"
            raise PluginError(
                f"the plugin {plugin.name!r} is declared as a device and registered "
                f"{made}"
            )

    def _owner(self, device_type: str, asking: Plugin) -> str:
        """What has a device type already, in words; empty where nothing has."""
        if device_type in BUILTIN and asking.origin != "built-in":
            return "the core"
        for other in self._plugins:
            if other.state == LOADED and device_type in other.devices:
                return f"the plugin {other.title}"
        return "a backend registered by hand" if _is_registered(device_type) else ""

    # Asking loaded plugins.

    def _loaded(self) -> list[Plugin]:
        with self._lock:
            return [p for p in self._plugins if p.state == LOADED and p.hooks]

    def _ask(self, plugin: Plugin, hook: str, **arguments: Any) -> Any:
        try:
            return getattr(plugin.hooks, f"dispatchtorch_{hook}")(**arguments)
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"dispatchtorch_{hook} of the plugin {plugin.title} failed: "
                f"{explain(error)}"
            ) from error

    def _ask_dict(
        self, plugin: Plugin, hook: str, device: str
    ) -> dict[str, object] | None:
        answer = self._ask(plugin, hook, device=device)
        if answer is None or isinstance(answer, dict):
            return answer
        raise PluginError(
            f"dispatchtorch_{hook} of the plugin {plugin.title} must return a dict, "
            f"not {type(answer).__name__}"
        )

    # Saying.

    def _raise_if_strict(self) -> None:
        failed = [p for p in self._plugins if p.is_problem] if is_strict() else []
        if failed:
            lines = [f"\n  {plugin.title}: {plugin.trouble}" for plugin in failed]
            raise PluginError(
                "plugins failed, and DISPATCHTORCH_PLUGINS_STRICT is set:"
                + "".join(lines)
            ) from failed[0].exception

    def _unknown(self, device_type: str, plugin: Plugin | None) -> str:
        """The message for a device that can't be had."""
        from dispatchtorch.backend import registered_backends

        usable = {
            name: p.source
            for p in self._plugins
            if p.state in (LOADED, NOT_LOADED)
            for name in p.devices
        }
        for name in registered_backends():
            usable.setdefault(name, "registered by hand")
        text = (
            f"Torch not compiled with {device_type.upper()} enabled\n"
            if device_type in PYTORCH_TYPES
            else f"Expected one of {', '.join(usable)} device type at start of device "
            f"string: {device_type}\n"
        )
        if plugin is not None:
            how = {
                FAILED: "failed to load",
                LOADING: "is still being loaded: its own code names the device",
            }.get(plugin.state, f"is {plugin.state}")
            why = f": {plugin.trouble}" if plugin.error else ""
            text += f"The plugin of {device_type!r}, {plugin.source}, {how}{why}"
        elif device_type in KNOWN:
            text += (
                f"The plugin of {device_type!r} isn't installed: {KNOWN[device_type]}"
            )
        else:
            text += f"No installed plugin provides {device_type!r}."
        have = [f"{name} ({source})" for name, source in usable.items()]
        text += f"\n  installed: {', '.join(have)}"
        for state in (FAILED, INCOMPATIBLE, BLOCKED):
            for other in self._plugins:
                if other.state == state and other is not plugin:
                    text += f"\n  {state}: {other.title}: {other.trouble}"
        seen = {p.name for p in self._plugins} | usable.keys() | {device_type}
        for name, line in KNOWN.items():
            if name not in seen:
                text += f"\n  not installed: {name}: {line}"
        return text


def _describe(plugin: Plugin) -> None:
    """Takes in ``dispatchtorch_describe``, checking it against the declaration."""
    from dispatchtorch.backend import API_VERSION

    about = plugin.hooks.dispatchtorch_describe()
    if about is None:
        return
    if not isinstance(about, dict):
        raise PluginError(
            f"dispatchtorch_describe must return a dict, not {type(about).__name__}"
        )
    plugin.summary = str(about.get("summary", ""))
    dtypes = about.get("dtypes", ())
    plugin.dtypes = (dtypes,) if isinstance(dtypes, str) else tuple(map(str, dtypes))
    plugin.hint = str(about.get("install", ""))
    device = about.get("device", plugin.name)
    if plugin.kind == "device" and device != plugin.name:
        raise PluginError(
            f"dispatchtorch_describe names the device {device!r}, and the entry point "
            f"{plugin.name!r}"
        )
    low, high = about.get("api", (API_VERSION, API_VERSION))
    if not plugin.require_api(low, high, API_VERSION):
        raise PluginError(plugin.error)


class _Registrar:
    """The callbacks that the register hooks of one plugin are given."""

    def __init__(self, plugin: Plugin, owner: Callable[[str, Plugin], str]) -> None:
        self.plugin = plugin
        self.owner = owner
        self.devices: list[str] = []

    def record(self, label: str, undo: Callable[[], None]) -> None:
        if self.plugin.hooks is None:  # a plugin that kept the callback
            undo()
            raise PluginError(f"the plugin {self.plugin.name!r} isn't registered")
        self.plugin.undo.append((label, undo))

    def add_device(self, backend: Backend) -> None:
        from dispatchtorch.backend import Backend, register_backend

        _check_type(backend, Backend, "register_device")
        name = backend.device_type
        twice = "the plugin itself" if name in self.devices else ""
        owner = twice or self.owner(name, self.plugin)
        if owner:
            raise PluginError(f"the device type {name!r} is taken by {owner}")
        self.record(f"device {name}", register_backend(backend).remove)
        self.devices.append(name)
        self.plugin.devices = tuple(self.devices)

    def add_layer(self, layer: Layer) -> None:
        from dispatchtorch.dispatch.layer import Layer, register_layer

        _check_type(layer, Layer, "register_layers")
        self.record(f"layer {layer.name}", register_layer(layer).remove)

    def add_overlay(self, overlay: Overlay) -> None:
        from dispatchtorch.backend import Overlay

        _check_type(overlay, Overlay, "register_kernels")
        label = f"overlay {overlay.name} on {overlay.device_type}"
        self.record(label, overlay.install().remove)


class OperatorLibrary:
    """What ``dispatchtorch_register_operators`` declares a plugin's operators with.

    As ``dispatchtorch.dispatch.operator`` does for the core's; these are undone with
    the plugin.
    """

    def __init__(self, record: Callable[[str, Callable[[], None]], None]) -> None:
        self._record = record

    def operator(
        self, schema: str, **options: Any
    ) -> Callable[[Callable[..., Any]], Operator]:
        """Declares an operator with the decorated function as its decomposition."""
        from dispatchtorch.dispatch.operator import operator

        declare = operator(schema, **options)
        return lambda body: self._declare(schema, lambda: declare(body))

    def primitive(self, schema: str, **options: Any) -> Operator:
        """Declares an operator whose kernels devices and overlays have to supply."""
        from dispatchtorch.dispatch.operator import primitive

        return self._declare(schema, lambda: primitive(schema, **options))

    def _declare(self, schema: str, declare: Callable[[], Operator]) -> Operator:
        from dispatchtorch.dispatch.operator import declared_operators, remove_operator

        before = set(declared_operators())
        head = schema.partition("(")[0].strip()
        try:
            return declare()
        finally:
            # One declaration makes several operators (in-place variants), or, where it
            # fails, some of them.
            for name, made in list(declared_operators().items()):
                origin = made.functional or made
                if name not in before and origin.full_name == head:
                    self._record(f"operator {name}", partial(remove_operator, made))


def _is_registered(device_type: str) -> bool:
    from dispatchtorch.backend import registered_backends

    return device_type in registered_backends()


def _check_type(thing: object, expected: type, hook: str) -> None:
    if not isinstance(thing, expected):
        raise PluginError(
            f"dispatchtorch_{hook} registers instances of {expected.__name__}, "
            f"not {type(thing).__name__}"
        )


manager = PluginManager()
